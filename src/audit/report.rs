//! The report: one audit, with everything that a format needs.
//!
//! Texts in it are as they were recorded: a script chose some of them, and whoever shows them to a
//! person makes them printable first ([`crate::access::printable`], or as the format escapes). It is
//! also what `cargo brig approve` reads: the last audit's lies in the target directory.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::behaviour::{Aspect, Behaviour};
use super::run::Run;
use crate::exit;
use crate::process::Exit;

/// Version of the fields below; raised when one changes its meaning or goes.
pub const SCHEMA: u32 = 1;

/// See the file's description.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// See [`SCHEMA`].
    pub schema: u32,
    /// Who made it: `cargo-brig 0.1.0`.
    pub tool: String,
    /// When the audit began, in seconds since 1970-01-01 UTC.
    pub started: u64,
    /// What was audited.
    pub workspace: Workspace,
    /// What Cargo was asked to do, its name left out: `["build", "--release"]`.
    pub command: Vec<String>,
    /// How Cargo ended.
    pub cargo: Exit,
    /// The policies that decided, each once.
    pub policies: Vec<Policy>,
    /// The packages with a build script in this build, by name, version and source.
    pub packages: Vec<Package>,
    /// Packages that are in the baseline and no longer in `Cargo.lock`: `name v1.2.3`.
    pub departed: Vec<String>,
    /// What the audit could not do, or was told by nobody, in sentences.
    pub remarks: Vec<String>,
    /// What it comes to.
    pub result: Outcome,
}

/// The workspace of an audit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workspace {
    /// Its root, an absolute path. Paths in [`Location`]s are relative to it.
    pub root: String,
    /// The baseline's file, absolute.
    pub baseline: String,
    /// SHA-256 of the baseline; none if there is no such file.
    pub baseline_sha256: Option<String>,
    /// SHA-256 of `Cargo.lock`; none if there is no such file.
    pub lock_sha256: Option<String>,
}

/// A policy, of which a package can have its own part.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Policy {
    /// Its name.
    pub name: String,
    /// Its documents, from the bottom up.
    pub documents: Vec<Document>,
}

/// A policy's document.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Document {
    /// Its file, or `built in: NAME`.
    pub file: String,
    /// Its digest.
    pub sha256: String,
}

/// What an audit comes to, from good to bad; the whole is as bad as its worst package.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Every script did only what was approved.
    Clean,
    /// It cannot be said what a script did.
    Unjudged,
    /// A script failed by itself.
    Failed,
    /// A script did what nobody approved.
    Unapproved,
    /// A script did what the policy does not forgive.
    Violated,
    /// A script was not in the jail.
    Unjailed,
}

impl Outcome {
    /// The exit code of the audit.
    #[must_use]
    pub fn exit_code(self) -> i32 {
        match self {
            Self::Clean => 0,
            Self::Unjailed => exit::UNJAILED,
            Self::Unapproved => exit::UNAPPROVED,
            Self::Violated => exit::VIOLATED,
            Self::Failed => exit::SCRIPT_FAILED,
            Self::Unjudged => exit::UNJUDGED,
        }
    }
}

/// What is said of one package.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It does what was approved of this version, or less.
    Unchanged,
    /// This version is not in the baseline, and does what was approved of an earlier or later one.
    NewVersion,
    /// It was rerun by nobody, because Cargo's configuration gives the script's results itself.
    Overridden,
    /// It cannot be said what it did.
    Unjudged,
    /// Its script failed.
    Failed,
    /// No version of it is in the baseline.
    NewPackage,
    /// It does what was not approved.
    Changed,
    /// This version was approved with another checksum, or from another source.
    Replaced,
    /// It did what the policy does not forgive.
    Violated,
    /// Its script was not in the jail.
    Unjailed,
}

impl Verdict {
    /// What it makes of the whole.
    #[must_use]
    pub fn outcome(self) -> Outcome {
        match self {
            Self::Unchanged | Self::NewVersion | Self::Overridden => Outcome::Clean,
            Self::Unjudged => Outcome::Unjudged,
            Self::Failed => Outcome::Failed,
            Self::NewPackage | Self::Changed | Self::Replaced => Outcome::Unapproved,
            Self::Violated => Outcome::Violated,
            Self::Unjailed => Outcome::Unjailed,
        }
    }

    /// Whether approval is what it lacks.
    #[must_use]
    pub fn can_be_approved(self) -> bool {
        matches!(self, Self::NewVersion | Self::NewPackage | Self::Changed | Self::Replaced)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unchanged => "unchanged",
            Self::NewVersion => "new version, same behaviour",
            Self::Overridden => "not run, overridden",
            Self::Unjudged => "could not be judged",
            Self::Failed => "failed",
            Self::NewPackage => "new",
            Self::Changed => "changed",
            Self::Replaced => "other content under the same version",
            Self::Violated => "violates the policy",
            Self::Unjailed => "not in the jail",
        })
    }
}

/// A package with a build script.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Where `Cargo.lock` says that it comes from (`registry+https://…`, `git+https://…#REVISION`);
    /// none of a package that lies on this machine.
    pub source: Option<String>,
    /// The registry's checksum of its archive, from `Cargo.lock`.
    pub checksum: Option<String>,
    /// What is said of it.
    pub verdict: Verdict,
    /// Why, as a sentence without its subject, where the verdict alone does not say it.
    pub reason: Option<String>,
    /// The version in the baseline that it was compared with; none of a new package.
    pub approved_version: Option<String>,
    /// Everything that its script did.
    pub behaviour: Behaviour,
    /// What it did and was not approved, by aspect and value; of a new package everything.
    pub added: Vec<Change>,
    /// What was approved and it did not do this time, which fails nothing.
    pub gone: Vec<Gone>,
    /// What the jail refused.
    pub denials: Vec<Denial>,
    /// What else a person should hear of.
    pub findings: Vec<Finding>,
    /// Its script's runs in this build: for the host and the target, say.
    pub runs: Vec<Run>,
    /// Where `Cargo.lock` names it.
    pub lock: Option<Location>,
    /// The line of the workspace's manifest that brings it in, or its own manifest if it belongs to
    /// the workspace.
    pub manifest: Option<Location>,
    /// The shortest way to it through `Cargo.lock`, the workspace's package first and itself last:
    /// `name v1.2.3`.
    pub path: Vec<String>,
}

impl Package {
    /// As Cargo writes it: `name v1.2.3`.
    #[must_use]
    pub fn title(&self) -> String {
        format!("{} v{}", self.name, self.version)
    }
}

/// A place in a file of the workspace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Location {
    /// Relative to [`Workspace::root`], with `/`; absolute if it lies elsewhere.
    pub file: String,
    /// From 1.
    pub line: usize,
}

/// Something that a script did and that was not approved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Which side of its behaviour.
    pub aspect: Aspect,
    /// What, as in [`Behaviour`].
    pub value: String,
    /// Who did it first; none if no single process did, as of instructions.
    pub by: Option<Actor>,
}

/// Something that was approved and that a script did not do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gone {
    /// Which side of its behaviour.
    pub aspect: Aspect,
    /// What, as in [`Behaviour`].
    pub value: String,
}

/// A process of a script.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// Its program, a path that begins with a placeholder where one fits.
    pub program: String,
    /// Its arguments, its name first.
    pub arguments: Vec<String>,
    /// Its index among the `processes` of the record.
    pub process: u32,
    /// The record, as an index into [`Package::runs`].
    pub run: usize,
}

/// Something that the jail refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Denial {
    /// What was tried and why it was refused, a sentence whose subject is the build script.
    pub message: String,
    /// The rule of a policy that would allow it, if there is one.
    pub rule: Option<String>,
    /// Who tried.
    pub by: Option<Actor>,
}

/// Something that a person should hear of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What it is, the same in every version: `limit-memory`, `instruction-withheld`.
    pub code: String,
    /// A sentence whose subject is the build script.
    pub message: String,
    /// Whether the unit fails by it.
    pub fatal: bool,
    /// Who caused it, where one process did.
    pub by: Option<Actor>,
}
