//! The collection: what packages need beyond the policy `strict`, a document for each of them, which a
//! policy takes in by the package's name.
//!
//! They are the files in `policies/crates/` of the source, which the same parser reads. A launch parses
//! those that its policies take in, and no others.

use super::builtin::Builtin;
use super::document::{Document, Error, OnDenial, Unnamed};
use super::layers::{Layer, Owner};
use super::{Grants, Layers, Policy, Right, pattern};

/// One document of the collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Collected {
    /// The package's name, by which a policy takes it in.
    pub name: &'static str,
    /// The name under which messages speak of its file.
    pub file: &'static str,
    /// Its text.
    pub text: &'static str,
}

macro_rules! collected {
    ($($name:literal),* $(,)?) => {
        &[$(Collected {
            name: $name,
            file: concat!("policies/crates/", $name, ".toml"),
            text: include_str!(concat!("../../policies/crates/", $name, ".toml")),
        }),*]
    };
}

/// All of them, by name.
pub const ALL: &[Collected] = collected![
    "audiopus_sys",
    "libfuzzer-sys",
    "libsodium-sys-stable",
    "libsqlite3-sys",
    "libxml",
    "llvm-sys",
    "lzma-sys",
    "mlua-sys",
    "nettle-sys",
    "openssl-sys",
    "pq-sys",
    "rustix",
    "scratch",
    "snmalloc-sys",
];

impl Collected {
    /// The one of this name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        ALL.iter().find(|collected| collected.name == name).copied()
    }

    /// What it says.
    ///
    /// # Errors
    /// A mistake in the source of this program.
    pub fn document(self) -> Result<Document, Error> {
        // Each launch reads those that are taken in, and a test has looked for what is doubtful.
        Document::undoubted(self.file, self.text)
    }

    /// What it is about, in a few words: the first line.
    #[must_use]
    pub fn about(self) -> &'static str {
        let line = self.text.lines().next().unwrap_or_default();
        line.split_once(": ").map_or("", |(_, about)| about)
    }
}

/// What a package would be given by its document of the collection, for messages that name it.
#[derive(Clone, Debug)]
pub struct Giving {
    /// The document.
    pub collected: Collected,
    grants: Grants,
}

impl Giving {
    /// The one of a package, if there is a document and it speaks of this version.
    #[must_use]
    pub fn to(package: &str, version: &str) -> Option<Self> {
        let collected = Collected::of_name(package)?;
        let document = collected.document().ok()?;
        let layers = vec![Layer { owner: Owner::Builtin, document }];
        let layers = Layers { layers, base: Builtin::Strict, locked: false };
        let policy = Policy::of(&layers, package, version);
        let Policy { list, read, execute, write, instructions, .. } = &policy;
        let lists = [list, read, execute, write, instructions];
        let is_given = !policy.variables.is_empty() || !policy.set.is_empty();
        let speaks = is_given || policy.said.on_denial.is_some();
        if !speaks && lists.into_iter().all(Vec::is_empty) {
            return None;
        }
        Some(Self { collected, grants: Grants { policy, ..Grants::default() } })
    }

    /// The line of a policy that takes it in.
    #[must_use]
    pub fn rule(&self) -> String {
        format!("crates = [\"{}\"]", self.collected.name)
    }

    /// Whether it gives a path, which is written as a rule would name it.
    #[must_use]
    pub fn path(&self, right: Right, path: &str) -> bool {
        let Policy { list, read, execute, write, .. } = &self.grants.policy;
        [(Right::List, list), (Right::Read, read), (Right::Execute, execute), (Right::Write, write)]
            .into_iter()
            .filter(|(given, _)| given.includes(right))
            .any(|(_, rules)| rules.iter().any(|rule| is_below(path, &rule.text)))
    }

    /// Whether what is denied does not fail the unit by it.
    #[must_use]
    pub fn forgives(&self) -> bool {
        let policy = &self.grants.policy;
        policy.said.on_denial.is_some() && policy.on_denial == OnDenial::Report
    }

    /// Whether it has a variable passed, or sets it.
    #[must_use]
    pub fn variable(&self, name: &str) -> bool {
        let policy = &self.grants.policy;
        let passes = matches!(policy.variable(name.as_bytes()), (Unnamed::Pass, Some(_)));
        passes || policy.set.iter().any(|(set, _)| set.text == name)
    }

    /// Whether it has an instruction relayed.
    #[must_use]
    pub fn instruction(&self, line: &str) -> bool {
        self.grants.allows(line)
    }
}

/// Whether a path lies where a rule says, each part of which can have a `*`.
fn is_below(path: &str, rule: &str) -> bool {
    let mut parts = path.split('/');
    rule.split('/').all(|of_rule| {
        parts
            .next()
            .is_some_and(|part| pattern::matches_exactly(of_rule.as_bytes(), part.as_bytes()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policies::learn::opens_a_secret;
    use crate::policy::document::{Rule, Rules};
    use std::fs;

    /// What a document of the collection can have: rules for its package that give, and nothing else.
    fn given(rules: &Rules) -> Vec<&Rule> {
        let Rules { list, read, execute, write, pass, instructions, set, .. } = rules;
        let lists = [list, read, execute, write, pass, instructions].into_iter().flatten();
        lists.chain(set.iter().map(|(rule, _)| rule)).collect()
    }

    #[test]
    fn every_file_of_the_collection_is_listed() {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/policies/crates");
        let files = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name());
        let mut files: Vec<String> = files.map(|name| name.into_string().unwrap()).collect();
        files.sort();
        let listed: Vec<String> = ALL.iter().map(|one| format!("{}.toml", one.name)).collect();
        assert_eq!(listed, files);
        for collected in ALL {
            assert_eq!(Collected::of_name(collected.name), Some(*collected));
        }
        assert_eq!(Collected::of_name("openssl"), None);
    }

    /// Nothing that a reader of the list of names would not expect: no word about other packages, none
    /// that takes away, no network, nothing that opens secrets.
    #[test]
    fn a_document_gives_its_package_rules_and_does_nothing_else() {
        let default = Policy::of(&Layers::of(Vec::new(), None).unwrap(), "", "");
        for Collected { name, file, text } in ALL {
            let document = Document::parse(file, text).unwrap();
            assert!(document.warnings.0.is_empty(), "{}", document.warnings);
            let Document { name: own, extends, locked, mode, crates, common, packages, .. } =
                &document;
            assert!(own.is_none() && extends.is_none() && locked.is_none() && mode.is_none());
            assert!(crates.is_empty() && !packages.is_empty(), "{file}");
            assert_eq!(format!("{common:?}"), format!("{:?}", Rules::default()), "{file}");
            for package in packages {
                assert_eq!(package.name, *name, "{file}");
                let Rules {
                    hide,
                    withhold,
                    connect,
                    unix,
                    unnamed,
                    limits,
                    on_denial,
                    jails_rustc,
                    ..
                } = &package.rules;
                assert!(hide.is_empty() && withhold.is_empty() && limits.is_empty(), "{file}");
                assert!(connect.is_empty() && unix.is_empty(), "{file}");
                assert!(unnamed.is_none() && jails_rustc.is_none());
                // That a denial does not fail the unit gives nothing.
                let on_denial = on_denial.as_ref().map(|(then, _)| *then);
                assert_ne!(on_denial, Some(OnDenial::Fail), "{file}");
                assert!(on_denial.is_some() || !given(&package.rules).is_empty(), "{file}");
                let Rules { list, read, execute, write, pass, set, .. } = &package.rules;
                for rule in [list, read, execute].into_iter().flatten() {
                    assert!(!opens_a_secret(Right::Read, &rule.text), "{file}: {}", rule.text);
                }
                for rule in write {
                    assert!(!opens_a_secret(Right::Write, &rule.text), "{file}: {}", rule.text);
                }
                for rule in pass.iter().chain(set.iter().map(|(rule, _)| rule)) {
                    let by_default = default.variable(rule.text.as_bytes()).0;
                    assert_eq!(by_default, Unnamed::Pass, "{file}: {}", rule.text);
                }
            }
        }
    }

    /// A comment stands behind a rule, or above it and those that follow it.
    #[test]
    fn every_rule_has_its_reason() {
        for Collected { name, file, text } in ALL {
            let lines: Vec<&str> = text.lines().map(str::trim).collect();
            let document = Document::parse(file, text).unwrap();
            assert!(lines[0].starts_with(&format!("# {name}: ")), "{file}: {}", lines[0]);
            let places = document.packages.iter().flat_map(|package| {
                let places = given(&package.rules).into_iter().map(|rule| &rule.place);
                places.chain(package.rules.on_denial.iter().map(|(_, place)| place))
            });
            for place in places {
                let line = place.line - 1;
                let is_rule = |line: &&&str| {
                    line.starts_with('"') || line.ends_with('[') && line.contains(" = ")
                };
                let above =
                    lines[..line].iter().rev().find(|line| !is_rule(line) || line.contains("# "));
                let has_reason = lines[line].contains(" # ")
                    || above.is_some_and(|above| {
                        above.starts_with("# ") && !above.starts_with(&format!("# {name}: "))
                    });
                assert!(has_reason, "{file}:{}: {}", line + 1, lines[line]);
            }
        }
    }

    #[test]
    fn a_rule_names_what_lies_below() {
        assert!(is_below("{home}/.cache/x", "{home}/.cache") && is_below("/a/b1/c", "/a/b*"));
        assert!(
            !is_below("/a/bc", "/a/b") && !is_below("/a", "/a/b") && !is_below("/a/c/b1", "/a/b*")
        );
    }

    #[test]
    fn what_is_given_is_known_by_package_and_right() {
        let giving = Giving::to("openssl-sys", "0.9.118").unwrap();
        assert_eq!(giving.rule(), "crates = [\"openssl-sys\"]");
        assert!(
            giving.variable("OPENSSL_LIB_DIR")
                && giving.variable("X86_64_UNKNOWN_LINUX_GNU_OPENSSL_STATIC")
        );
        assert!(!giving.variable("OPENSSL_KEY") && !giving.path(Right::Read, "/etc/passwd"));
        let giving = Giving::to("snmalloc-sys", "0.7.6").unwrap();
        assert!(giving.instruction("cargo::rustc-link-arg=-fuse-ld=lld"));
        assert!(!giving.instruction("cargo:rustc-link-arg=-fuse-ld=/tmp/ld"));
        let rustix =
            |version: &str| Giving::to("rustix", version).is_some_and(|giving| giving.forgives());
        assert!(rustix("0.38.44") && !rustix("1.1.6"));
        assert!(Giving::to("no-such-package", "1.0.0").is_none());
    }
}
