//! Lints: what a recorded run shows to be against Cargo's own advice to authors of build scripts, or
//! likely to be a mistake. Each has a code, a sentence, and a help with its source ([`Code`]).
//!
//! [`of`] decides by the record, and by what lies on the disk now: the package, `OUT_DIR`, and whether
//! declared paths exist. It runs nothing; [`twice`] does, on request. Where a lint cannot know, it is
//! silent: each finding is to be true.

pub mod cfg;
pub mod check_cfg;
pub mod code;
pub mod cross;
pub mod declared;
pub mod home;
pub mod inputs;
pub mod network;
pub mod outside;
pub mod printed;
pub mod subject;
pub mod twice;

use serde::{Serialize, Serializer};

use crate::stored::Stored;
pub use code::{Code, Level};
use subject::Subject;

/// One finding of one lint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lint {
    /// Which.
    pub code: Code,
    /// A sentence without its subject, which is the build script.
    pub message: String,
    /// What it is about, one by one: paths as a policy writes them, names, or lines. May be long, and
    /// may hold what a script chose.
    pub items: Vec<String>,
}

impl Lint {
    /// One about these; none if there are none.
    fn about(code: Code, message: &str, mut items: Vec<String>) -> Option<Self> {
        items.sort_unstable();
        items.dedup();
        (!items.is_empty()).then(|| Self { code, message: message.to_owned(), items })
    }
}

/// With everything that its code stands for, so that nobody needs a table.
impl Serialize for Lint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        #[serde(rename = "Lint")]
        struct Written<'a> {
            code: &'static str,
            level: Level,
            message: &'a str,
            items: &'a [String],
            help: &'static str,
            source: &'static str,
        }
        let Self { code, message, items } = self;
        Written {
            code: code.name(),
            level: code.level(),
            message,
            items,
            help: code.help(),
            source: code.source(),
        }
        .serialize(serializer)
    }
}

/// All lints of a recorded run, but for what only a second run shows.
#[must_use]
pub fn of(stored: &Stored<'_>) -> Vec<Lint> {
    let subject = Subject::of(stored);
    let mut lints: Vec<Lint> = [
        network::tried(&subject),
        outside::written(&subject),
        printed::swallowed(&subject),
        printed::misspelled(&subject),
        printed::old_syntax(&subject),
        cross::host_paths(&subject),
        inputs::missing(&subject),
        inputs::nothing_declared(&subject),
        inputs::files(&subject),
        inputs::variables(&subject),
        cfg::unexpected(&subject),
        home::named(&subject),
    ]
    .into_iter()
    .flatten()
    .collect();
    lints.sort_by_key(|lint| lint.code);
    lints
}
