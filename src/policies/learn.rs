//! `cargo brig policy learn`: the least rules that the recorded runs would have needed to be denied
//! nothing under `strict`.
//!
//! What would open a secret is proposed as a comment alone, and so is what no rule gives.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use super::{Error, print};
use crate::access::{Kind, Outcome, printable};
use crate::cli::Learn;
use crate::exit::Ending;
use crate::policy::Right;
use crate::policy::allowing::allowing;
use crate::policy::collection::Giving;
use crate::policy::document::Unnamed;
use crate::policy::layers::Layers;
use crate::policy::placeholders::{Placeholders, toml_string};
use crate::policy::resolve::REPLACED;
use crate::policy::{Builtin, Grants, Policy};
use crate::show::find::{self, Workspace};
use crate::show::{self, report};
use crate::stored::{Stored, StoredOutcome, Withheld};
use crate::unit::Unit;

/// What lies there are keys, tokens and the traces of people (the documentation of ssh, gpg, git, the
/// clouds' and registries' own clients).
const SECRETS: &[&str] = &[
    "{home}/.ssh",
    "{home}/.gnupg",
    "{home}/.aws",
    "{home}/.azure",
    "{home}/.config/gcloud",
    "{home}/.config/gh",
    "{home}/.config/hub",
    "{home}/.kube",
    "{home}/.docker",
    "{home}/.netrc",
    "{home}/.npmrc",
    "{home}/.pypirc",
    "{home}/.gem/credentials",
    "{home}/.git-credentials",
    "{home}/.config/git/credentials",
    "{home}/.password-store",
    "{home}/.local/share/keyrings",
    "{home}/.mozilla",
    "{home}/.config/google-chrome",
    "{home}/.config/chromium",
    "{home}/.bash_history",
    "{home}/.zsh_history",
    "{cargo-home}/credentials",
    "{cargo-home}/credentials.toml",
    "/etc/shadow",
    "/etc/gshadow",
    "/etc/sudoers",
    "/etc/ssh",
    "/etc/ssl/private",
    "/root",
    "/run/secrets",
    "/var/run/secrets",
];

/// Parts of names of files with keys, passwords and their like, wherever they lie.
const NAMED_LIKE_SECRETS: &[&str] = &[
    "credential",
    "gradle.properties",
    "id_ecdsa",
    "id_ed25519",
    "id_rsa",
    "keystore",
    "password",
    "secret",
    "settings.xml",
    "token",
    "wallet",
];

fn is_named_like_a_secret(place: &str) -> bool {
    let name = place.rsplit('/').next().unwrap_or_default().to_lowercase();
    let ends = [".jks", ".kdbx", ".key", ".p12", ".pem", ".pfx"];
    name == ".env"
        || name.starts_with(".env.")
        || ends.iter().any(|end| name.ends_with(end))
        || NAMED_LIKE_SECRETS.iter().any(|part| name.contains(part))
}

/// Whether it is to write where programs and settings of the whole system lie.
fn is_the_systems(right: Right, place: &str) -> bool {
    const SYSTEM: &[&str] = &[
        "/bin", "/boot", "/dev", "/etc", "/lib", "/opt", "/proc", "/run", "/sbin", "/sys", "/usr",
        "/var",
    ];
    right == Right::Write && SYSTEM.iter().any(|directory| is_below(place, directory))
}

/// Whether what lies right below the root, or the root itself, is meant, which hold what is nobody's business
/// here; or to write what is the system's.
fn is_wide(right: Right, path: &str) -> bool {
    Path::new(path).components().count() <= 2 || is_the_systems(right, path)
}

/// Whether a rule that names this would open a secret, or may: then nothing proposes it.
#[must_use]
pub fn opens_a_secret(right: Right, place: &str) -> bool {
    (place.starts_with('/') && is_wide(right, place))
        || place.starts_with("{home}/.")
        || place == "{home}"
        || is_named_like_a_secret(place)
        || SECRETS.iter().any(|secret| is_below(place, secret) || is_below(secret, place))
}

/// The rules of one package.
#[derive(Debug, Default)]
struct Needs {
    /// What the collection would give it.
    giving: Option<Giving>,
    /// Whether it needs some of that.
    is_given: bool,
    /// Lists, by their keys.
    lists: BTreeMap<&'static str, BTreeSet<String>>,
    /// What is said and not given.
    remarks: BTreeSet<String>,
}

impl Needs {
    fn of(package: &str, version: &str) -> Self {
        Self { giving: Giving::to(package, version), ..Self::default() }
    }

    /// Whether the collection gives something that it needs: then its document is taken in.
    fn is_given(&mut self, gives: impl FnOnce(&Giving) -> bool) -> bool {
        let is_given = self.giving.as_ref().is_some_and(gives);
        self.is_given |= is_given;
        is_given
    }

    fn path(&mut self, kind: Kind, path: &str, known: &Placeholders) {
        let Some(right) = kind.right() else { return };
        let place = if kind.is_of_a_name() {
            Path::new(path).parent().and_then(Path::to_str).unwrap_or("/")
        } else {
            path
        };
        let is_wide = is_wide(right, place);
        let place = known.shorten(place).into_owned();
        if self.is_given(|giving| giving.path(right, &place) || giving.forgives()) {
            return;
        }
        let is_secret = is_wide || opens_a_secret(right, &place);
        let key = Grants::rule_key(right);
        if is_secret {
            let rule = allowing(kind, path, known, None).unwrap_or_default();
            self.remarks.insert(format!("opens secrets, or may: {rule}"));
        } else {
            self.lists.entry(key).or_default().insert(place);
        }
    }

    fn variable(&mut self, name: &str, default: &Policy, strict: &Policy) {
        // What the jail replaces, a script has in another form.
        if Unit::is_cargo_variable(name.as_ref())
            || REPLACED.contains(&name)
            || strict.variable(name.as_bytes()).0 == Unnamed::Pass
        {
            return;
        }
        if self.is_given(|giving| giving.variable(name)) {
            return;
        }
        // `=` and blanks are no part of a rule.
        let is_name = !name.is_empty()
            && !name
                .contains(|c: char| c == '=' || c == '*' || c.is_whitespace() || c.is_control());
        if default.variable(name.as_bytes()).0 == Unnamed::Withhold {
            let rule = format!("environment.pass = [{}]", toml_string(name));
            self.remarks.insert(format!("is named like a secret: {rule}"));
        } else if is_name {
            self.lists.entry("environment.pass").or_default().insert(name.to_owned());
        }
    }

    fn render(&self, text: &mut String, name: &str, version: &str) {
        if self.lists.is_empty() && self.remarks.is_empty() {
            return;
        }
        let mut line = |line: String| writeln!(text, "{line}").expect("a String takes it all");
        line(format!(
            "\n[[package]]\nname = {}\nversion = {}",
            toml_string(name),
            toml_string(&format!("={version}"))
        ));
        for (key, list) in &self.lists {
            // What lies below another one of the list is in it.
            let is_covered = |path: &String| {
                *key != "environment.pass"
                    && list.iter().any(|other| other != path && is_below(path, other))
            };
            let items: Vec<String> = list
                .iter()
                .filter(|path| !is_covered(path))
                .map(|item| toml_string(item))
                .collect();
            match &items[..] {
                [one] => line(format!("{key} = [{one}]")),
                items => line(format!("{key} = [\n  {},\n]", items.join(",\n  "))),
            }
        }
        for remark in &self.remarks {
            line(format!("# {}", printable(remark)));
        }
    }
}

fn is_below(path: &str, directory: &str) -> bool {
    path.strip_prefix(directory).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Prints a document for the runs that the arguments mean.
///
/// # Errors
/// See [`Error`].
pub fn run(arguments: &Learn) -> Result<Ending, Error> {
    let policy = |base: Builtin| -> Result<Policy, Error> {
        Ok(Policy::of(&Layers::of(Vec::new(), Some(base))?, "", ""))
    };
    let (default, strict) = (policy(Builtin::Default)?, policy(Builtin::Strict)?);
    let mut failure = None;
    let mut failed = |error: show::Error| {
        failure.get_or_insert(error);
    };
    let workspace = Workspace::of(&arguments.location)?;
    let mut found = workspace.records(arguments.package.as_ref(), &mut failed)?;
    if let Some(error) = failure {
        // Rules that were learned from half of what happened deny the other half.
        return Err(error.into());
    }
    find::retain_last(&mut found);
    let mut packages: BTreeMap<(String, String), Needs> = BTreeMap::new();
    for run in &found {
        let text = find::read(&run.path)?;
        let stored: Stored =
            serde_json::from_slice(&text).map_err(|error| find::damaged(&run.path, &error))?;
        let needs = packages
            .entry((run.package.clone(), run.version.clone()))
            .or_insert_with(|| Needs::of(&run.package, &run.version));
        collect(&stored, needs, &default, &strict);
    }
    let mut text = String::from(
        "# What the recorded runs of these build scripts would have needed under the policy `strict`, beside the\n\
         # rules that they had. Read each rule before you use it: it is what was asked for, not what is right.\n\
         extends = \"strict\"\n",
    );
    let taken: BTreeSet<&str> = packages
        .iter()
        .filter(|(_, needs)| needs.is_given)
        .map(|((name, _), _)| name.as_str())
        .collect();
    if !taken.is_empty() {
        let taken: Vec<String> = taken.into_iter().map(toml_string).collect();
        writeln!(text, "crates = [{}]", taken.join(", ")).expect("a String takes it all");
    }
    for ((name, version), needs) in &packages {
        needs.render(&mut text, name, version);
    }
    print(&text)?;
    Ok(Ending::Code(0))
}

fn collect(stored: &Stored<'_>, needs: &mut Needs, default: &Policy, strict: &Policy) {
    let known = report::placeholders(&stored.unit);
    for access in stored.accesses.iter().filter(|access| access.outcome == StoredOutcome::Denied) {
        if access.path_hex.is_some() {
            needs
                .remarks
                .insert(format!("no rule can name `{}`, which is not UTF-8", &*access.path));
        } else {
            needs.path(access.kind, &access.path, &known);
        }
    }
    if let Some(environment) = &stored.environment {
        let is_set = |state: &str| matches!(state, "given" | "withheld");
        for asked in environment.asked.iter().filter(|asked| is_set(&asked.state)) {
            needs.variable(&asked.name, default, strict);
        }
    }
    for attempt in stored.network.iter().filter(|attempt| attempt.outcome == Outcome::Denied) {
        let remark = match attempt.allowing() {
            Some(rule) if attempt.is_remarkable() => {
                format!("can carry away what it reads: {rule}")
            }
            // Whose refusal is not told of is seldom missed: see `Attempt::is_remarkable`.
            Some(rule) => format!("can ask whoever listens there, and may do without: {rule}"),
            None if attempt.is_remarkable() => {
                format!("asks for what no rule gives: it {}", attempt.denial("strict"))
            }
            None => continue,
        };
        needs.remarks.insert(remark);
    }
    let withheld = stored.withheld_instructions.iter().filter_map(Withheld::rule);
    let found =
        stored.findings.iter().filter_map(|finding| Some(finding.rule.as_ref()?.to_string()));
    for rule in withheld.chain(found) {
        let pattern = rule.split_once("[\"").and_then(|(_, rest)| rest.strip_suffix("\"]"));
        if pattern.is_some_and(|pattern| needs.is_given(|giving| giving.instruction(pattern))) {
            continue;
        }
        needs
            .remarks
            .insert(format!("makes rustc or the linker do outside the jail what it says: {rule}"));
    }
}
