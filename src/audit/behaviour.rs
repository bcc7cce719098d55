//! Behaviour: what one package's build script is known to do.
//!
//! It is a set of short texts for each aspect. They are the same from run to run and from machine to
//! machine: paths begin with placeholders, and nothing in them is by chance.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

/// A side of what a script does. Reports order by it.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum Aspect {
    /// See [`Behaviour::denied`].
    Denied,
    /// See [`Behaviour::network`].
    Network,
    /// See [`Behaviour::programs`].
    Programs,
    /// See [`Behaviour::reads`].
    Reads,
    /// See [`Behaviour::writes`].
    Writes,
    /// See [`Behaviour::variables`].
    Variables,
    /// See [`Behaviour::instructions`].
    Instructions,
    /// See [`Behaviour::libraries`].
    Libraries,
    /// See [`Behaviour::findings`].
    Findings,
    /// See [`Behaviour::limits`].
    Limits,
}

impl Aspect {
    /// All of them, in order.
    pub const ALL: [Self; 10] = [
        Self::Denied,
        Self::Network,
        Self::Programs,
        Self::Reads,
        Self::Writes,
        Self::Variables,
        Self::Instructions,
        Self::Libraries,
        Self::Findings,
        Self::Limits,
    ];

    /// Its name in files and on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Denied => "denied",
            Self::Network => "network",
            Self::Programs => "programs",
            Self::Reads => "reads",
            Self::Writes => "writes",
            Self::Variables => "variables",
            Self::Instructions => "instructions",
            Self::Libraries => "libraries",
            Self::Findings => "findings",
            Self::Limits => "limits",
        }
    }

    /// What a script does with one of its values, as in "it …: VALUE".
    #[must_use]
    pub fn verb(self) -> &'static str {
        match self {
            Self::Denied => "tries, and must not",
            Self::Network => "asks for the network",
            Self::Programs => "runs",
            Self::Reads => "reads",
            Self::Writes => "writes",
            Self::Variables => "asks for the variable",
            Self::Instructions => "gives Cargo the instruction",
            Self::Libraries => "links the library",
            Self::Findings => "is found to",
            Self::Limits => "comes near the limit",
        }
    }
}

impl fmt::Display for Aspect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// See the file's description.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Behaviour {
    /// What it tried and may not, or would not if it were there: `read {home}/.ssh/config`,
    /// `write /tmp`, `instruction rustc-env=LD_PRELOAD`.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub denied: BTreeSet<String>,
    /// What it tried to reach: `192.0.2.1 port 443 (IPv4 stream)`, `host example.org`; with `, allowed` behind
    /// it what the jail did not refuse.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub network: BTreeSet<String>,
    /// Programs that it ran: by their names those of the system and the toolchain, else by their paths.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub programs: BTreeSet<String>,
    /// Files that it read, but for its package, what it wrote itself, the system and the toolchain.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub reads: BTreeSet<String>,
    /// Files that it wrote, created or removed outside of `OUT_DIR` and `TMPDIR`.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub writes: BTreeSet<String>,
    /// Variables that it asked for, but for those that Cargo sets.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub variables: BTreeSet<String>,
    /// Instructions by kind: `rustc-cfg`, `rustc-env=NAME`.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub instructions: BTreeSet<String>,
    /// Native libraries that it links, as rustc is told: `static=z`.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub libraries: BTreeSet<String>,
    /// Codes of what else was found.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub findings: BTreeSet<String>,
    /// Limits of which it needed three quarters or more, by their keys.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub limits: BTreeSet<String>,
}

impl Behaviour {
    /// The values of one aspect.
    #[must_use]
    pub fn of(&self, aspect: Aspect) -> &BTreeSet<String> {
        match aspect {
            Aspect::Denied => &self.denied,
            Aspect::Network => &self.network,
            Aspect::Programs => &self.programs,
            Aspect::Reads => &self.reads,
            Aspect::Writes => &self.writes,
            Aspect::Variables => &self.variables,
            Aspect::Instructions => &self.instructions,
            Aspect::Libraries => &self.libraries,
            Aspect::Findings => &self.findings,
            Aspect::Limits => &self.limits,
        }
    }

    /// As [`Self::of`], to be changed.
    pub fn of_mut(&mut self, aspect: Aspect) -> &mut BTreeSet<String> {
        match aspect {
            Aspect::Denied => &mut self.denied,
            Aspect::Network => &mut self.network,
            Aspect::Programs => &mut self.programs,
            Aspect::Reads => &mut self.reads,
            Aspect::Writes => &mut self.writes,
            Aspect::Variables => &mut self.variables,
            Aspect::Instructions => &mut self.instructions,
            Aspect::Libraries => &mut self.libraries,
            Aspect::Findings => &mut self.findings,
            Aspect::Limits => &mut self.limits,
        }
    }

    /// Everything, by aspect and value.
    pub fn values(&self) -> impl Iterator<Item = (Aspect, &str)> {
        Aspect::ALL
            .into_iter()
            .flat_map(|aspect| self.of(aspect).iter().map(move |value| (aspect, value.as_str())))
    }
}
