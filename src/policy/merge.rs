//! From layers of documents to one policy for one package.
//!
//! Grants of all layers count together. Where two layers speak of the same limit, switch or value, the
//! upper one's word counts, and within a layer what it says of the package before what it says of all.
//!
//! A variable that a layer withholds passes where that layer or one above names it in full. A pattern
//! with `*` passes only what nobody withholds: else `CARGO_*` would pass a token.
//!
//! Under a locked policy the layers above the machine's can take away, and never add: their `hide` and
//! `withhold`, lower `limits`, `unnamed = "withhold"`, `on-denial = "fail"`, and `rustc.jail` and
//! `rustc.record` with `true` count, and nothing else.

use semver::Version;

use super::document::{Document, Mode, OnDenial, Place, Rule, Rules, Unnamed};
use super::layers::{Layer, Layers, Owner};
use super::pattern;
use super::{Limit, Limits};

/// What all layers together say of one package.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// The name of the uppermost document that has one, or of the built-in policy.
    pub name: String,
    /// The documents that it comes from, from the bottom up: file and digest.
    pub documents: Vec<(String, String)>,
    /// Whether what is not given is denied.
    pub mode: Mode,
    /// Directories that may be listed.
    pub list: Vec<Rule>,
    /// Paths that may be read.
    pub read: Vec<Rule>,
    /// Paths that may be executed and read.
    pub execute: Vec<Rule>,
    /// Paths that may be written and read.
    pub write: Vec<Rule>,
    /// Directories of which the script gets a private copy to write to.
    pub redirect: Vec<Rule>,
    /// Paths that do not exist for a script, as far as nothing there is granted.
    pub hide: Vec<Rule>,
    /// Addresses with ports that may be connected to.
    pub connect: Vec<Rule>,
    /// Unix sockets that may be connected to.
    pub unix: Vec<Rule>,
    /// What becomes of variables, the uppermost rule first.
    pub variables: Vec<(Unnamed, Rule)>,
    /// What becomes of the others.
    pub unnamed: Unnamed,
    /// Variables with the values that they get.
    pub set: Vec<(Rule, String)>,
    /// How much a script may use.
    pub limits: Limits,
    /// Patterns of instructions that are relayed all the same.
    pub instructions: Vec<Rule>,
    /// What becomes of a unit that was denied something.
    pub on_denial: OnDenial,
    /// Whether the rustc that compiles the package is in a jail too.
    pub jails_rustc: bool,
    /// Whether each compilation in the jail leaves a record.
    pub records_rustc: bool,
    /// Where that is said, and what of each limit, and of the variables that no rule names.
    pub said: Said,
    /// What counts for nothing, because the policy is locked.
    pub ineffective: Vec<Ineffective>,
}

/// Where a policy's switches and limits come from.
#[derive(Clone, Debug, Default)]
pub struct Said {
    /// See [`Policy::on_denial`].
    pub on_denial: Option<Place>,
    /// See [`Policy::jails_rustc`].
    pub jails_rustc: Option<Place>,
    /// See [`Policy::records_rustc`].
    pub records_rustc: Option<Place>,
    /// See [`Policy::unnamed`].
    pub unnamed: Option<Place>,
    limits: Vec<(Limit, Place)>,
}

impl Said {
    /// Where a limit comes from, if anything speaks of it.
    #[must_use]
    pub fn limit(&self, limit: Limit) -> Option<&Place> {
        self.limits.iter().rev().find(|(other, _)| *other == limit).map(|(_, place)| place)
    }
}

/// Something that counts for nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ineffective {
    /// Its key, as a document spells it.
    pub key: &'static str,
    /// What it says.
    pub text: String,
    /// Where it stands.
    pub place: Place,
}

impl Policy {
    /// What these layers say of a package.
    #[must_use]
    pub fn of(layers: &Layers, package: &str, version: &str) -> Self {
        let mut policy = Self { name: layers.base.name().to_owned(), ..Self::default() };
        for layer in &layers.layers {
            let document = &layer.document;
            policy.documents.push((document.file.to_string(), document.digest.clone()));
            if layer.owner != Owner::Builtin {
                policy.name = document.name.clone().unwrap_or(policy.name);
            }
            if let Some((mode, _)) = document.mode {
                policy.mode = mode;
            }
            let locked = layers.locked && layer.owner > Owner::Machine;
            if locked && let Some(place) = &document.taken_in {
                policy.leave_out(document, place);
                continue;
            }
            let mut variables = Vec::new();
            for rules in Self::parts(layer, package, version) {
                let mut rules = rules.clone();
                if locked {
                    policy.take_from(&mut rules);
                }
                policy.add(&mut rules, &mut variables);
            }
            // The part for all packages came first, and is asked last.
            variables.reverse();
            let below = std::mem::take(&mut policy.variables);
            policy.variables = variables.into_iter().flatten().chain(below).collect();
        }
        policy
    }

    /// What a layer says of all packages, and then of this one.
    fn parts<'l>(
        layer: &'l Layer,
        package: &'l str,
        version: &str,
    ) -> impl Iterator<Item = &'l Rules> {
        let version = Version::parse(version).ok();
        let of_package = layer.document.packages.iter().filter(move |rules| {
            // A requirement without a pre-release leaves pre-releases out; here it is meant to tell old
            // from new.
            let plain =
                |version: &Version| Version::new(version.major, version.minor, version.patch);
            rules.name == package
                && rules.version.as_ref().is_none_or(|required| {
                    version.as_ref().is_some_and(|version| {
                        required.matches(version) || required.matches(&plain(version))
                    })
                })
        });
        std::iter::once(&layer.document.common).chain(of_package.map(|package| &package.rules))
    }

    /// Of a document of the collection, which has nothing that takes away, nothing is left.
    fn leave_out(&mut self, taken_in: &Document, place: &Place) {
        let names = taken_in.packages.first().map(|package| package.name.clone());
        let (text, place) = (names.unwrap_or_default(), place.clone());
        self.ineffective.push(Ineffective { key: "crates", text, place });
    }

    /// Leaves only what takes away.
    fn take_from(&mut self, rules: &mut Rules) {
        let mut none = |key, rules: &mut Vec<Rule>| {
            let gone = rules.drain(..);
            self.ineffective.extend(gone.map(|Rule { text, place, .. }| Ineffective {
                key,
                text,
                place,
            }));
        };
        none("files.list", &mut rules.list);
        none("files.read", &mut rules.read);
        none("files.execute", &mut rules.execute);
        none("files.write", &mut rules.write);
        none("files.redirect", &mut rules.redirect);
        none("network.connect", &mut rules.connect);
        none("network.unix", &mut rules.unix);
        none("environment.pass", &mut rules.pass);
        none("instructions.allow", &mut rules.instructions);
        for (Rule { text, place, .. }, _) in rules.set.drain(..) {
            self.ineffective.push(Ineffective { key: "environment.set", text, place });
        }
        if let Some((_, place)) = rules.unnamed.take_if(|(unnamed, _)| *unnamed == Unnamed::Pass) {
            let text = "pass".to_owned();
            self.ineffective.push(Ineffective { key: "environment.unnamed", text, place });
        }
        if let Some((_, place)) = rules.on_denial.take_if(|(then, _)| *then == OnDenial::Report) {
            let text = "report".to_owned();
            self.ineffective.push(Ineffective { key: "on-denial", text, place });
        }
        if let Some((_, place)) = rules.jails_rustc.take_if(|(jails, _)| !*jails) {
            let text = "false".to_owned();
            self.ineffective.push(Ineffective { key: "rustc.jail", text, place });
        }
        if let Some((_, place)) = rules.records_rustc.take_if(|(records, _)| !*records) {
            let text = "false".to_owned();
            self.ineffective.push(Ineffective { key: "rustc.record", text, place });
        }
        let limits = self.limits;
        let is_higher = |(limit, value, _): &mut (Limit, Option<u64>, Place)| {
            limit.of(&limits).is_some_and(|now| value.is_none_or(|value| value > now))
        };
        for (limit, value, place) in rules.limits.extract_if(.., is_higher) {
            let text = value.map_or_else(|| "none".to_owned(), |value| value.to_string());
            self.ineffective.push(Ineffective { key: limit.key(), text, place });
        }
    }

    fn add(&mut self, rules: &mut Rules, variables: &mut Vec<Vec<(Unnamed, Rule)>>) {
        self.list.append(&mut rules.list);
        self.read.append(&mut rules.read);
        self.execute.append(&mut rules.execute);
        self.write.append(&mut rules.write);
        self.redirect.append(&mut rules.redirect);
        self.hide.append(&mut rules.hide);
        self.connect.append(&mut rules.connect);
        self.unix.append(&mut rules.unix);
        self.instructions.append(&mut rules.instructions);
        let passed = rules.pass.drain(..).map(|rule| (Unnamed::Pass, rule));
        let withheld = rules.withhold.drain(..).map(|rule| (Unnamed::Withhold, rule));
        variables.push(passed.chain(withheld).collect());
        for (name, value) in rules.set.drain(..) {
            self.set.retain(|(other, _)| other.text != name.text);
            self.set.push((name, value));
        }
        for (limit, value, place) in rules.limits.drain(..) {
            limit.set(&mut self.limits, value);
            self.said.limits.push((limit, place));
        }
        if let Some((unnamed, place)) = rules.unnamed.take() {
            (self.unnamed, self.said.unnamed) = (unnamed, Some(place));
        }
        if let Some((on_denial, place)) = rules.on_denial.take() {
            (self.on_denial, self.said.on_denial) = (on_denial, Some(place));
        }
        if let Some((jails, place)) = rules.jails_rustc.take() {
            (self.jails_rustc, self.said.jails_rustc) = (jails, Some(place));
        }
        if let Some((records, place)) = rules.records_rustc.take() {
            (self.records_rustc, self.said.records_rustc) = (records, Some(place));
        }
    }

    /// What becomes of a variable, and by which rule, if one names it.
    #[must_use]
    pub fn variable(&self, name: &[u8]) -> (Unnamed, Option<&Rule>) {
        let mut passed = None;
        for (becomes, rule) in &self.variables {
            if !pattern::matches(rule.text.as_bytes(), name) {
                continue;
            }
            let is_whole = !rule.text.contains('*');
            match becomes {
                Unnamed::Pass if is_whole => return (Unnamed::Pass, Some(rule)),
                Unnamed::Pass => passed = passed.or(Some(rule)),
                Unnamed::Withhold => return (Unnamed::Withhold, Some(rule)),
            }
        }
        if passed.is_some() { (Unnamed::Pass, passed) } else { (self.unnamed, None) }
    }

    /// Whether a unit fails by what it is denied.
    #[must_use]
    pub fn fails_by_denial(&self) -> bool {
        self.on_denial == OnDenial::Fail && self.mode == Mode::Enforce
    }

    /// Whether a variable that the jail would replace is passed by its name.
    #[must_use]
    pub fn names(&self, variable: &str) -> bool {
        let rule = self.variable(variable.as_bytes());
        matches!(rule, (Unnamed::Pass, Some(rule)) if rule.text.eq_ignore_ascii_case(variable))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn layers(texts: &[(Owner, &str)]) -> Layers {
        let layer = |(owner, text): &(Owner, &str)| Layer {
            owner: *owner,
            document: Document::parse(owner.name(), text).unwrap(),
        };
        Layers::of(texts.iter().map(layer).collect(), None).unwrap()
    }

    fn policy(texts: &[(Owner, &str)]) -> Policy {
        Policy::of(&layers(texts), "openssl-sys", "0.9.5")
    }

    #[test]
    fn grants_add_up_and_the_uppermost_word_counts() {
        let policy = policy(&[
            (Owner::User, "[files]\nread = [\"/u\"]\n[limits]\nprocesses = 5\nmemory = \"none\""),
            (Owner::Workspace, "name = \"w\"\n[files]\nread = [\"/w\"]\n[limits]\nprocesses = 9"),
        ]);
        let texts: Vec<&str> = policy.read.iter().map(|rule| rule.text.as_str()).collect();
        assert!(texts.contains(&"/usr") && texts.ends_with(&["/u", "/w"]), "{texts:?}");
        assert_eq!((policy.limits.processes, policy.limits.memory), (Some(9), None));
        for (limit, file) in [
            (Limit::Processes, "of the workspace"),
            (Limit::Memory, "of the user"),
            (Limit::Output, "policies/default.toml"),
        ] {
            assert_eq!(&*policy.said.limit(limit).unwrap().file, file);
        }
        assert_eq!((policy.name.as_str(), policy.documents.len()), ("w", 3));
        assert_eq!(policy.read.last().unwrap().place.file.as_ref(), "of the workspace");
    }

    #[test]
    fn rules_for_a_package_are_for_its_versions() {
        let rules = |version: &str, of: &str| {
            let text = format!(
                "[[package]]\nname = \"openssl-sys\"\n{version}\nfiles.read = [\"/x\"]\n\
                 environment.pass = [\"A_KEY\"]\n[environment]\nwithhold = [\"A_KEY\"]"
            );
            let text = text.replace("[environment]", "\n[[package]]\nname = \"b\"\n[environment]");
            let text = text.replace("[environment]", "[package.environment]");
            let layers = layers(&[(Owner::Workspace, &text)]);
            let policy = Policy::of(&layers, "openssl-sys", of);
            let read = policy.read.last().unwrap().text == "/x";
            assert_eq!(read, policy.variable(b"A_KEY").0 == Unnamed::Pass);
            read
        };
        assert!(rules("", "0.9.5") && rules("version = \">=0.9\"", "0.9.5"));
        assert!(!rules("version = \">=0.10\"", "0.9.5"));
        assert!(rules("version = \">=0.9\"", "0.9.5-beta.1"));
    }

    #[test]
    fn a_pattern_passes_no_secret_and_a_name_does() {
        let of =
            |text: &str, name: &str| policy(&[(Owner::User, text)]).variable(name.as_bytes()).0;
        let pass = |pattern: &str| format!("[environment]\npass = [\"{pattern}\"]");
        assert_eq!(of(&pass("CARGO*"), "CARGO_REGISTRY_TOKEN"), Unnamed::Withhold);
        assert_eq!(of(&pass("CARGO_REGISTRY_TOKEN"), "CARGO_REGISTRY_TOKEN"), Unnamed::Pass);
        assert_eq!(of(&pass("*"), "EDITOR"), Unnamed::Pass);
        let both = "extends = \"strict\"\n[environment]\nwithhold = [\"PATH\"]";
        assert_eq!(of(both, "PATH"), Unnamed::Withhold);
    }

    #[test]
    fn a_locked_policys_records_are_for_nobody_to_leave_out() {
        let (on, off) = ("rustc.record = true", "rustc.record = false");
        let records = |machine: &str, named: &str| {
            let machine = format!("extends = \"farm\"\n{machine}");
            let policy = policy(&[(Owner::Machine, &machine), (Owner::Named, named)]);
            (policy.records_rustc, policy.ineffective.iter().any(|gone| gone.key == "rustc.record"))
        };
        assert_eq!(records(on, off), (true, true));
        assert_eq!(records("", on), (true, false));
        assert_eq!(records("", ""), (false, false));
        assert!(!policy(&[(Owner::User, on), (Owner::Workspace, off)]).records_rustc);
    }

    #[test]
    fn a_locked_policy_is_only_tightened() {
        let machine = (Owner::Machine, "extends = \"farm\"\n[files]\nread = [\"/srv\"]");
        let plain = policy(&[machine]);
        let loosening = "extends = \"default\"\non-denial = \"report\"\n[files]\nread = [\"/a\"]\n\
            execute = [\"/b\"]\nwrite = [\"/c\"]\n[environment]\npass = [\"A_TOKEN\"]\n\
            unnamed = \"pass\"\nset = { CFLAGS = \"x\" }\n[limits]\nprocesses = 99999\noutput = \"none\"\n\
            [instructions]\nallow = [\"rustc-env=PATH=*\"]\n\
            [network]\nconnect = [\"*\"]\nunix = [\"/run/x\"]\n[rustc]\njail = false";
        let loosening = &format!(
            "crates = [\"openssl-sys\"]\n{}",
            loosening.replace("[files]\n", "[files]\nlist = [\"/l\"]\n")
        );
        let with = |text: &str| {
            format!("{text}\n[[package]]\nname = \"openssl-sys\"\nfiles.read = [\"/d\"]")
        };
        for owner in [Owner::User, Owner::Workspace, Owner::Named] {
            let policy = policy(&[machine, (owner, &with(loosening))]);
            assert_eq!((&policy.read, &policy.write), (&plain.read, &plain.write));
            assert_eq!((&policy.list, &policy.variables), (&plain.list, &plain.variables));
            assert_eq!((&policy.execute, policy.limits), (&plain.execute, plain.limits));
            assert_eq!((policy.unnamed, policy.on_denial), (Unnamed::Withhold, OnDenial::Fail));
            assert_eq!(policy.variable(b"A_TOKEN").0, Unnamed::Withhold);
            assert!(policy.set.is_empty() && policy.instructions.is_empty());
            assert!(policy.connect.is_empty() && policy.unix.is_empty());
            assert!(policy.jails_rustc);
            assert_eq!(policy.ineffective.len(), 16, "{:#?}", policy.ineffective);
        }
        let tighter =
            "files.hide = [\"/h\"]\n[environment]\nwithhold = [\"PATH\"]\n[limits]\nprocesses = 7";
        let policy = policy(&[machine, (Owner::Workspace, tighter)]);
        assert_eq!(policy.hide.last().unwrap().text, "/h");
        assert_eq!(policy.limits.processes, Some(7));
        assert_eq!(policy.variable(b"PATH").0, Unnamed::Withhold);
        assert!(policy.ineffective.is_empty());
    }

    #[test]
    fn what_is_taken_in_counts_where_it_is_taken_in() {
        let takes = "crates = [\"openssl-sys\"]";
        let withholds = "environment.withhold = [\"OPENSSL_LIB_DIR\", \"OPENSSL_STATIC\"]";
        let becomes = |texts: &[(Owner, &str)], name: &str| {
            let policy = policy(texts);
            let (becomes, rule) = policy.variable(name.as_bytes());
            (becomes, rule.map(|rule| rule.place.file.to_string()))
        };
        let strict = (Owner::User, "extends = \"strict\"");
        let collected = Some("policies/crates/openssl-sys.toml".to_owned());
        assert_eq!(becomes(&[strict], "OPENSSL_LIB_DIR"), (Unnamed::Withhold, None));
        let above = [strict, (Owner::Workspace, takes)];
        assert_eq!(becomes(&above, "OPENSSL_LIB_DIR"), (Unnamed::Pass, collected.clone()));
        assert_eq!(becomes(&above, "OPENSSL_KEY").0, Unnamed::Withhold);
        // Who takes it in has the last word, and a layer below has not.
        let both = format!("{takes}\n{withholds}");
        let of_taker = Some("of the workspace".to_owned());
        assert_eq!(
            becomes(&[strict, (Owner::Workspace, &both)], "OPENSSL_LIB_DIR"),
            (Unnamed::Withhold, of_taker)
        );
        let below = format!("extends = \"strict\"\n{withholds}");
        let below = [(Owner::User, below.as_str()), (Owner::Workspace, takes)];
        assert_eq!(becomes(&below, "OPENSSL_LIB_DIR"), (Unnamed::Pass, collected));
        // It is for its package alone.
        let other = Policy::of(&layers(&above), "openssl", "0.9.5");
        assert_eq!(other.variable(b"OPENSSL_LIB_DIR").0, Unnamed::Withhold);
        // Under a lock the machine's counts.
        let machine = (Owner::Machine, "extends = \"farm\"\ncrates = [\"openssl-sys\"]");
        let locked = policy(&[machine, (Owner::Workspace, "crates = [\"snmalloc-sys\"]")]);
        assert_eq!(locked.variable(b"OPENSSL_LIB_DIR").0, Unnamed::Pass);
        let [gone] = &locked.ineffective[..] else { panic!("{:#?}", locked.ineffective) };
        assert_eq!((gone.key, gone.text.as_str()), ("crates", "snmalloc-sys"));
        assert_eq!((&*gone.place.file, gone.place.line), ("of the workspace", 1));
    }

    /// A document of whatever rules there can be.
    fn any_document() -> impl Strategy<Value = String> {
        let list = |pattern: &'static str| {
            prop::collection::btree_set(pattern, 0..3)
                .prop_map(|items| format!("{:?}", items.into_iter().collect::<Vec<_>>()))
        };
        let paths = || list("/[a-c]{1,2}");
        let limit = || {
            prop_oneof![
                (1_u64..50_000).prop_map(|number| number.to_string()),
                Just("\"none\"".to_owned())
            ]
        };
        let names = (list("[AB]{0,2}[*]?(TOKEN|PATH|X)[*]?"), list("[CD]{1,2}[*]?"));
        let switches = (any::<bool>(), any::<bool>(), any::<bool>());
        let parts = ((paths(), paths(), paths()), names, (limit(), limit()), switches);
        parts.prop_map(|((read, execute, write), (pass, withhold), (one, other), switches)| {
            let (of_package, fails, is_strict) = switches;
            let head = if of_package { "[[package]]\nname = \"openssl-sys\"\n" } else { "" };
            let then = if fails { "fail" } else { "report" };
            let port = 1 + read.len();
            let hide = read.replace('/', "/h");
            let unnamed = if is_strict { "withhold" } else { "pass" };
            format!(
                "crates = [\"openssl-sys\"]\n{head}on-denial = \"{then}\"\nfiles.list = {read}\nfiles.read = {read}\nfiles.execute = {execute}\n\
                 files.write = {write}\nfiles.hide = {hide}\nenvironment.pass = {pass}\n\
                 environment.withhold = {withhold}\nenvironment.unnamed = \"{unnamed}\"\n\
                 limits.processes = {one}\nlimits.output = {other}\n\
                 instructions.allow = [\"rustc-cfg=@*\"]\n\
                 network.connect = [\"*:{port}\"]\nnetwork.unix = {execute}\nrustc.jail = {fails}\n"
            )
        })
    }

    proptest! {
        #[test]
        fn nothing_above_a_locked_policy_gives_anything(
            texts in prop::collection::vec(any_document(), 1..3),
            names in prop::collection::vec("[A-D]{0,2}(TOKEN|PATH|X|)", 8),
        ) {
            let machine = "extends = \"farm\"\nenvironment.pass = [\"AX\"]\nnetwork.connect = [\"*:9\"]";
            let machine = (Owner::Machine, machine);
            let owners = [Owner::User, Owner::Workspace];
            let mut all = vec![machine];
            all.extend(owners.into_iter().zip(texts.iter().map(String::as_str)));
            let (plain, policy) = (policy(&[machine]), policy(&all));
            prop_assert_eq!(&policy.list, &plain.list);
            prop_assert_eq!(&policy.read, &plain.read);
            prop_assert_eq!(&policy.execute, &plain.execute);
            prop_assert_eq!(&policy.write, &plain.write);
            prop_assert_eq!(&policy.connect, &plain.connect);
            prop_assert!(policy.unix.is_empty());
            // What is hidden stays so, and more can be.
            prop_assert!(policy.hide.starts_with(&plain.hide));
            prop_assert!(policy.instructions.is_empty() && policy.set.is_empty());
            prop_assert_eq!(policy.on_denial, OnDenial::Fail);
            prop_assert!(policy.jails_rustc);
            for limit in Limit::ALL {
                let (now, before) = (limit.of(&policy.limits), limit.of(&plain.limits));
                prop_assert!(before.is_none() || now.is_some_and(|now| Some(now) <= before));
            }
            for name in names {
                let passes = |policy: &Policy| policy.variable(name.as_bytes()).0 == Unnamed::Pass;
                prop_assert!(passes(&plain) || !passes(&policy), "{}", name);
            }
        }

        #[test]
        fn what_one_layer_adds_takes_no_path_from_those_below(text in any_document()) {
            let (plain, policy) = (policy(&[]), policy(&[(Owner::User, &text)]));
            prop_assert!(policy.list.starts_with(&plain.list));
            prop_assert!(policy.read.starts_with(&plain.read));
            prop_assert!(policy.execute.starts_with(&plain.execute));
            prop_assert!(policy.write.starts_with(&plain.write));
            prop_assert!(policy.ineffective.is_empty());
        }
    }

    #[test]
    fn only_the_machine_locks() {
        let document = Document::parse("brig.toml", "locked = true").unwrap();
        let layer = Layer { owner: Owner::Workspace, document };
        let error = Layers::of(vec![layer], None).unwrap_err();
        assert!(error.to_string().starts_with("brig.toml:1: only the policy of the machine"));
    }
}
