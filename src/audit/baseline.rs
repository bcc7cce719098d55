//! The baseline: `brig.lock`, in which a team says what it knows and approves of its dependencies'
//! build scripts.
//!
//! It is made to be committed and merged: sorted, one value on a line, and without anything of the
//! machine it was written on.

use serde::{Deserialize, Serialize};

use super::behaviour::Behaviour;

/// Its name, beside `Cargo.lock`.
pub const FILE_NAME: &str = "brig.lock";
/// Version of its form; raised when an older cargo-brig would misread it.
pub const SCHEMA: u32 = 1;

/// See the file's description.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Baseline {
    /// See [`SCHEMA`].
    pub version: u32,
    /// By name, version and source.
    #[serde(default, rename = "package")]
    pub packages: Vec<Approved>,
}

/// One version of a package, and what its build script may be seen to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approved {
    /// The package's name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// As in [`super::report::Package::source`].
    #[serde(default)]
    pub source: Option<String>,
    /// As in [`super::report::Package::checksum`].
    #[serde(default)]
    pub checksum: Option<String>,
    /// What was approved.
    #[serde(default)]
    pub behaviour: Behaviour,
}
