//! `crates.toml`: the crates, as written, and the package that each becomes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// What is written behind a crate's name.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Entry {
    package: Option<String>,
    version: String,
    #[serde(default)]
    features: Vec<String>,
    default_features: Option<bool>,
    #[serde(default)]
    with: BTreeMap<String, String>,
    #[serde(default)]
    needs: Vec<String>,
    #[serde(default)]
    cargo: Vec<String>,
    #[serde(default)]
    set: BTreeMap<String, String>,
    plain: Option<String>,
    default: Option<String>,
    strict: Option<String>,
    #[serde(default)]
    long: bool,
    #[serde(default)]
    slice: bool,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Written {
    Version(String),
    Entry(Box<Entry>),
}

/// One crate of the corpus.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// What it has to do with build scripts.
    pub(crate) group: String,
    /// The crate's name, unless that is taken.
    pub(crate) name: String,
    entry: Entry,
}

/// Where the list and the packages lie.
pub(crate) fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus")
}

/// All crates, in the order of groups and names.
pub(crate) fn all() -> Vec<Row> {
    let text = fs::read_to_string(directory().join("crates.toml")).unwrap();
    let groups: BTreeMap<String, BTreeMap<String, Written>> = toml::from_str(&text).unwrap();
    let of_version = |version| Entry {
        version,
        package: None,
        features: Vec::new(),
        default_features: None,
        with: BTreeMap::new(),
        needs: Vec::new(),
        cargo: Vec::new(),
        set: BTreeMap::new(),
        plain: None,
        default: None,
        strict: None,
        long: false,
        slice: false,
    };
    let mut rows = Vec::new();
    for (group, entries) in groups {
        for (name, written) in entries {
            let entry = match written {
                Written::Version(version) => of_version(version),
                Written::Entry(entry) => *entry,
            };
            rows.push(Row { group: group.clone(), name, entry });
        }
    }
    let names: BTreeSet<&String> = rows.iter().map(|row| &row.name).collect();
    assert_eq!(names.len(), rows.len(), "a name stands there twice");
    rows
}

impl Row {
    /// The crate.
    pub(crate) fn package(&self) -> &str {
        self.entry.package.as_deref().unwrap_or(&self.name)
    }

    pub(crate) fn version(&self) -> &str {
        &self.entry.version
    }

    /// The generated package's name.
    pub(crate) fn member(&self) -> String {
        format!("corpus-{}", self.name)
    }

    /// Debian packages without which it cannot be built.
    pub(crate) fn needs(&self) -> &[String] {
        &self.entry.needs
    }

    /// Further arguments for Cargo.
    pub(crate) fn arguments(&self) -> &[String] {
        &self.entry.cargo
    }

    /// Variables that are set for it.
    pub(crate) fn variables(&self) -> &BTreeMap<String, String> {
        &self.entry.set
    }

    /// Why plain Cargo does not build it.
    pub(crate) fn not_by_plain_cargo(&self) -> Option<&str> {
        self.entry.plain.as_deref()
    }

    /// What is not the same in the jail, and why.
    pub(crate) fn not_in_the_jail(&self) -> Option<&str> {
        self.entry.default.as_deref()
    }

    /// What no rule makes the same under `strict`, and why.
    pub(crate) fn not_under_strict(&self) -> Option<&str> {
        self.entry.strict.as_deref()
    }

    /// Whether it takes minutes, and is not tried under `strict`.
    pub(crate) fn is_long(&self) -> bool {
        self.entry.long
    }

    pub(crate) fn is_in_the_slice(&self) -> bool {
        self.entry.slice
    }

    /// Files of the package that are not generated.
    pub(crate) fn files(&self) -> PathBuf {
        directory().join("packages").join(&self.name)
    }

    /// The package's `Cargo.toml`.
    pub(crate) fn manifest(&self) -> String {
        let Self { entry, .. } = self;
        let mut text = format!(
            "[package]\nname = \"{}\"\nversion = \"1.0.0\"\nedition = \"2024\"\n",
            self.member()
        );
        let own_script = self.files().join("build.rs").exists();
        let kind = if own_script { "build-dependencies" } else { "dependencies" };
        write!(text, "\n[{kind}.{}]\nversion = \"={}\"\n", self.package(), entry.version).unwrap();
        writeln!(text, "features = {:?}", entry.features).unwrap();
        writeln!(text, "default-features = {}", entry.default_features.unwrap_or(true)).unwrap();
        for (name, version) in &entry.with {
            write!(text, "\n[dependencies.{name}]\nversion = \"={version}\"\n").unwrap();
        }
        text
    }
}
