//! A record as it is read back: the fields of [`crate::record`], borrowed from the file's text.
//!
//! A record may hold a hundred thousand accesses, so nothing is copied that has no escape in it, and
//! [`Brief`], which is all that a list of runs needs, skips them. Fields that a later cargo-brig adds
//! are ignored; those that an earlier one did not have are empty. What is read was written by
//! cargo-brig, but the names in it are a script's: who prints them makes them printable.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::OnceLock;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::access::Kind;
use crate::instruction::{self, Instruction, Line};
use crate::network::Attempt;
use crate::policy::Mode;
use crate::policy::allowing::relaying;
use crate::process::{Exit, Process};
use crate::unit::Unit;

/// A string of the record.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(transparent)]
pub struct Text<'a>(#[serde(borrow)] pub Cow<'a, str>);

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

/// What every record of any schema has: which one it is, and who wrote it.
#[derive(Debug, Deserialize)]
pub struct Head<'a> {
    /// See [`crate::record::SCHEMA`].
    pub schema: u32,
    /// The program's name and version.
    #[serde(borrow, default)]
    pub tool: Text<'a>,
}

/// Which build script was run.
#[derive(Clone, Debug, Deserialize)]
pub struct StoredUnit<'a> {
    /// The package's name.
    #[serde(borrow)]
    pub package: Text<'a>,
    /// Its version.
    #[serde(borrow)]
    pub version: Text<'a>,
    /// The package's directory.
    #[serde(borrow)]
    pub manifest_dir: Text<'a>,
    /// `OUT_DIR`.
    #[serde(borrow)]
    pub out_dir: Text<'a>,
    /// The compiled script.
    #[serde(borrow)]
    pub script: Text<'a>,
    /// The workspace that the package belongs to.
    #[serde(borrow)]
    pub workspace: Option<Text<'a>>,
    /// `TARGET`.
    #[serde(borrow)]
    pub target: Option<Text<'a>>,
    /// `HOST`.
    #[serde(borrow)]
    pub host: Option<Text<'a>>,
    /// `PROFILE`.
    #[serde(borrow)]
    pub profile: Option<Text<'a>>,
    /// `CARGO_MANIFEST_LINKS`.
    #[serde(borrow)]
    pub links: Option<Text<'a>>,
    /// The variables that Cargo set, with their values.
    #[serde(borrow, default)]
    pub variables: BTreeMap<Text<'a>, Text<'a>>,
    /// What was compiled, if it is not a script that was run.
    #[serde(borrow)]
    pub compilation: Option<Compiled<'a>>,
}

/// A crate that was compiled.
#[derive(Clone, Debug, Deserialize)]
pub struct Compiled<'a> {
    /// Its name.
    #[serde(borrow, rename = "crate")]
    pub name: Text<'a>,
    /// What was made of it.
    #[serde(borrow, default)]
    pub kinds: Vec<Text<'a>>,
    /// Whether it was compiled with its tests.
    #[serde(default)]
    pub test: bool,
    /// By path that was denied, the crate of the procedural macro that tried.
    #[serde(borrow, default)]
    pub macros: BTreeMap<Text<'a>, Text<'a>>,
}

impl Compiled<'_> {
    /// As a person speaks of it: `proc-macro x`.
    #[must_use]
    pub fn words(&self) -> String {
        let kinds: Vec<&str> = self.kinds.iter().map(|kind| &**kind).collect();
        let kinds = if self.test { "test".to_owned() } else { kinds.join(", ") };
        format!("{kinds} {}", &*self.name).trim_start().to_owned()
    }
}

impl StoredUnit<'_> {
    /// The recorded unit. Variables that Cargo does not set are those of this program: what `{home}`
    /// and the like stand for is not recorded.
    #[must_use]
    pub fn unit(&self) -> Unit {
        let text = |text: &Option<Text<'_>>| text.as_ref().map(|text| text.to_string());
        let variable = |(name, value): (&Text<'_>, &Text<'_>)| {
            (OsString::from(name.to_string()), OsString::from(value.to_string()))
        };
        Unit {
            package: self.package.to_string(),
            version: self.version.to_string(),
            manifest_dir: PathBuf::from(&*self.manifest_dir),
            out_dir: PathBuf::from(&*self.out_dir),
            links: text(&self.links),
            target: text(&self.target),
            host: text(&self.host),
            profile: text(&self.profile),
            workspace: text(&self.workspace).map(PathBuf::from),
            script: PathBuf::from(&*self.script),
            arguments: Vec::new(),
            variables: env::vars_os().chain(self.variables.iter().map(variable)).collect(),
            of_cargo: None,
            found_build_dir: OnceLock::new(),
            jobserver: None,
        }
    }
}

/// As much of a record as a line about it needs.
#[derive(Debug, Deserialize)]
pub struct Brief<'a> {
    /// Who was run.
    #[serde(borrow)]
    pub unit: StoredUnit<'a>,
    /// What it was allowed.
    #[serde(borrow)]
    pub policy: StoredPolicy<'a>,
    /// Seconds since 1970.
    pub started: u64,
    /// How the script ended.
    pub exit: Exit,
    /// What the jail refused.
    #[serde(borrow)]
    pub denials: Vec<StoredAccess<'a>>,
    /// How many more of those there were.
    #[serde(default)]
    pub denials_dropped: u64,
    /// What it tried to reach.
    #[serde(default)]
    pub network: Vec<Attempt>,
    /// What was found besides denials.
    #[serde(borrow, default)]
    pub findings: Vec<Finding<'a>>,
    /// What Cargo was not told.
    #[serde(borrow, default)]
    pub withheld_instructions: Vec<Withheld<'a>>,
    /// What it ran.
    #[serde(default)]
    pub processes: Vec<Process>,
    /// What it left in `OUT_DIR`; none if the record does not say.
    #[serde(borrow)]
    pub outputs: Option<Vec<Output<'a>>>,
    /// How many more of those there are.
    #[serde(default)]
    pub outputs_dropped: u64,
}

/// A whole record.
#[derive(Debug, Deserialize)]
pub struct Stored<'a> {
    /// Who was run.
    #[serde(borrow)]
    pub unit: StoredUnit<'a>,
    /// What it was allowed.
    #[serde(borrow)]
    pub policy: StoredPolicy<'a>,
    /// What was enforced.
    #[serde(borrow)]
    pub enforced: Enforced<'a>,
    /// Limits by name, with their values; null is no limit.
    #[serde(default)]
    pub limits: BTreeMap<String, Value>,
    /// What was found besides denials.
    #[serde(borrow, default)]
    pub findings: Vec<Finding<'a>>,
    /// Seconds since 1970.
    pub started: u64,
    /// How the script ended.
    pub exit: Exit,
    /// Time, in microseconds.
    pub wall_us: u64,
    /// Time in user mode, in microseconds.
    pub user_us: u64,
    /// Time in the kernel, in microseconds.
    pub system_us: u64,
    /// Memory of the largest process, in KiB.
    pub peak_rss_kib: u64,
    /// Processes that were left at the end.
    #[serde(default)]
    pub killed: u64,
    /// What Cargo was told.
    #[serde(borrow, default)]
    pub instructions: Vec<Told<'a>>,
    /// How many instructions Cargo was given.
    #[serde(default)]
    pub instruction_count: u64,
    /// Lines in which an instruction follows other text.
    #[serde(borrow, default)]
    pub swallowed_instructions: Vec<Text<'a>>,
    /// Those that it was not given.
    #[serde(borrow, default)]
    pub withheld_instructions: Vec<Withheld<'a>>,
    /// How many more of those there were.
    #[serde(default)]
    pub withheld_dropped: u64,
    /// Names of variables that the script was not given.
    #[serde(borrow, default)]
    pub withheld_variables: Vec<Text<'a>>,
    /// What the jail refused.
    #[serde(borrow)]
    pub denials: Vec<StoredAccess<'a>>,
    /// How many more of those there were.
    #[serde(default)]
    pub denials_dropped: u64,
    /// What it tried to reach.
    #[serde(default)]
    pub network: Vec<Attempt>,
    /// How many more of those there were.
    #[serde(default)]
    pub network_dropped: u64,
    /// What it ran.
    #[serde(default)]
    pub processes: Vec<Process>,
    /// Programs that it could not execute, because it had too many processes to tell of.
    #[serde(default)]
    pub programs_refused: u64,
    /// Every use of a path.
    #[serde(borrow, default)]
    pub accesses: Vec<StoredAccess<'a>>,
    /// How many more of those there were.
    #[serde(default)]
    pub accesses_dropped: u64,
    /// What it left in `OUT_DIR`; none if the record does not say.
    #[serde(borrow)]
    pub outputs: Option<Vec<Output<'a>>>,
    /// How many more of those there are.
    #[serde(default)]
    pub outputs_dropped: u64,
    /// Which variables it asked for; none if the record does not say.
    #[serde(borrow)]
    pub environment: Option<Environment<'a>>,
}

/// The policy of a run.
#[derive(Debug, Deserialize)]
pub struct StoredPolicy<'a> {
    /// Its name.
    #[serde(borrow)]
    pub name: Text<'a>,
    /// Whether it denied anything but writes.
    #[serde(default)]
    pub mode: Mode,
    /// Its file.
    #[serde(borrow)]
    pub file: Text<'a>,
    /// The file's digest.
    #[serde(borrow)]
    pub sha256: Text<'a>,
    /// All its documents, from the bottom up.
    #[serde(borrow, default)]
    pub documents: Vec<StoredDocument<'a>>,
}

/// A document of a policy.
#[derive(Debug, Deserialize)]
pub struct StoredDocument<'a> {
    /// Its file.
    #[serde(borrow)]
    pub file: Text<'a>,
    /// Its digest.
    #[serde(borrow)]
    pub sha256: Text<'a>,
}

/// What was enforced.
#[derive(Debug, Deserialize)]
pub struct Enforced<'a> {
    /// Landlock's part.
    #[serde(borrow)]
    pub landlock: Landlock<'a>,
    /// Length of the seccomp filter.
    pub seccomp_instructions: u64,
    /// See `jail::Enforced`.
    pub no_new_privs: bool,
    /// See `jail::Enforced`.
    pub capabilities_dropped: bool,
    /// See `jail::Enforced`.
    pub descriptors_closed: bool,
}

/// What Landlock enforced.
#[derive(Debug, Deserialize)]
pub struct Landlock<'a> {
    /// The kernel's ABI.
    pub abi: i32,
    /// File-system rights that needed a rule.
    #[serde(borrow)]
    pub files: Vec<Text<'a>>,
    /// Network rights that needed a rule.
    #[serde(borrow)]
    pub network: Vec<Text<'a>>,
    /// What could not be reached outside.
    #[serde(borrow)]
    pub scopes: Vec<Text<'a>>,
}

/// Something that was found besides denials.
#[derive(Debug, Deserialize)]
pub struct Finding<'a> {
    /// What kind of finding.
    #[serde(borrow)]
    pub code: Text<'a>,
    /// A sentence.
    #[serde(borrow)]
    pub message: Text<'a>,
    /// Whether the unit failed by it.
    #[serde(default)]
    pub fatal: bool,
    /// The rule of a policy by which it would not be found.
    #[serde(borrow, default)]
    pub rule: Option<Text<'a>>,
}

/// An instruction that Cargo was given.
#[derive(Debug, Deserialize)]
pub struct Told<'a> {
    /// See [`Instruction::key`].
    #[serde(borrow)]
    pub key: Text<'a>,
    /// See [`Instruction::value`].
    #[serde(borrow)]
    pub value: Text<'a>,
    /// `cargo:` or `cargo::`.
    #[serde(borrow)]
    pub syntax: Text<'a>,
}

impl Told<'_> {
    /// The instruction; none if a later cargo-brig wrote one that this one does not know.
    #[must_use]
    pub fn instruction(&self) -> Option<Instruction> {
        let (syntax, key, value) = (&*self.syntax, &*self.key, &*self.value);
        let line = if syntax == "cargo:" && key == "metadata" {
            format!("{syntax}{value}")
        } else {
            format!("{syntax}{key}={value}")
        };
        match instruction::parse(line.as_bytes()) {
            Line::Instruction(instruction) => Some(instruction),
            Line::Plain | Line::Invalid(_) => None,
        }
    }
}

/// An instruction that Cargo was not given.
#[derive(Debug, Deserialize)]
pub struct Withheld<'a> {
    /// What the script printed.
    #[serde(borrow)]
    pub line: Text<'a>,
    /// Why it was withheld.
    #[serde(borrow)]
    pub reason: Text<'a>,
    /// Whether the unit failed by it.
    #[serde(default)]
    pub fatal: bool,
}

impl Withheld<'_> {
    /// The rule of a policy by which it would be relayed, if there is one.
    #[must_use]
    pub fn rule(&self) -> Option<String> {
        relaying(&self.line).filter(|_| self.fatal)
    }
}

/// A file that the script left in `OUT_DIR`.
#[derive(Debug, Deserialize)]
pub struct Output<'a> {
    /// Relative to `OUT_DIR`.
    #[serde(borrow)]
    pub path: Text<'a>,
    /// In bytes.
    #[serde(default)]
    pub size: u64,
    /// Digest of its content.
    #[serde(borrow, default)]
    pub sha256: Option<Text<'a>>,
    /// Where it leads, if it is a symbolic link.
    #[serde(borrow, default)]
    pub link: Option<Text<'a>>,
}

/// The environment that the script had, and what it asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Environment<'a> {
    /// Names of the variables that it had.
    #[serde(borrow)]
    pub given: Vec<Text<'a>>,
    /// Those that it asked for.
    #[serde(borrow)]
    pub asked: Vec<Asked<'a>>,
    /// Processes of which that cannot be told.
    #[serde(borrow)]
    pub unseen: Vec<Unseen<'a>>,
}

/// A variable that was asked for.
#[derive(Debug, Deserialize)]
pub struct Asked<'a> {
    /// Its name.
    #[serde(borrow)]
    pub name: Text<'a>,
    /// `given`, `absent` or `withheld`.
    #[serde(borrow)]
    pub state: Text<'a>,
    /// Who asked: places in the record's list of processes.
    #[serde(default)]
    pub processes: Vec<u32>,
}

/// A process of which it cannot be told what it asked for.
#[derive(Debug, Deserialize)]
pub struct Unseen<'a> {
    /// Its place in the record's list.
    pub process: u32,
    /// Why.
    #[serde(borrow)]
    pub reason: Text<'a>,
}

/// One use of a path.
#[derive(Clone, Debug, Deserialize)]
pub struct StoredAccess<'a> {
    /// What was done.
    pub kind: Kind,
    /// Absolute.
    #[serde(borrow)]
    pub path: Text<'a>,
    /// The path's bytes, where it is not UTF-8.
    #[serde(borrow, default)]
    pub path_hex: Option<Text<'a>>,
    /// What came of it.
    pub outcome: StoredOutcome,
    /// How often.
    pub count: u64,
    /// The first process that did it.
    pub process: u32,
}

/// As [`crate::access::Outcome`], with an error's name left as it is: to look up its number is slow,
/// and nobody here needs it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StoredOutcome {
    /// It was done.
    Allowed,
    /// The jail refused it.
    Denied,
    /// It is there, and the jail said that it is not.
    Hidden,
    /// There is nothing of that name.
    NotFound,
    /// It failed, by this error.
    Failed(String),
}

impl<'de> Deserialize<'de> for StoredOutcome {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Text::deserialize(deserializer)?;
        Ok(match &*text {
            "allowed" => Self::Allowed,
            "denied" => Self::Denied,
            "hidden" => Self::Hidden,
            "not-found" => Self::NotFound,
            error => Self::Failed(error.to_owned()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instruction_is_read_back() {
        for line in [
            "cargo::rustc-cfg=x=\"y\"",
            "cargo:root=/é x",
            "cargo:metadata=a=b",
            "cargo::metadata=a=b",
            "cargo:rustc-flags=-lz -L/x",
            "cargo:rustc-env=A=",
        ] {
            let Line::Instruction(instruction) = instruction::parse(line.as_bytes()) else {
                panic!("{line}");
            };
            let text = serde_json::to_string(&instruction).unwrap();
            let told: Told = serde_json::from_str(&text).unwrap();
            assert_eq!(told.instruction(), Some(instruction));
        }
    }

    #[test]
    fn an_access_is_borrowed_unless_it_has_escapes() {
        let text = r#"[
{"kind":"read","path":"/é/x y","outcome":"allowed","count":2,"process":0,"later":[1]},
{"kind":"set-mode","path":"/a\nb","outcome":"EEXIST","count":1,"process":1},
{"kind":"stat","path":"/\ufffd","path_hex":"2fff","outcome":"not-found","count":1,"process":1}
]"#;
        let accesses: Vec<StoredAccess> = serde_json::from_str(text).unwrap();
        assert!(matches!(accesses[0].path.0, Cow::Borrowed("/é/x y")));
        assert!(matches!(&accesses[1].path.0, Cow::Owned(path) if path == "/a\nb"));
        assert_eq!(accesses[1].outcome, StoredOutcome::Failed("EEXIST".to_owned()));
        assert_eq!(accesses[2].outcome, StoredOutcome::NotFound);
        assert_eq!(accesses[2].path_hex.as_deref(), Some("2fff"));
    }
}
