//! What a jail will consist of, prepared before a process is forked: making a ruleset in the new
//! process would cost it time, and would have to be done where a failure is hard to report.

use serde::Serialize;

use super::filter::Hides;
use super::{filter, landlock};
use crate::policy::Grants;

/// A jail, ready to be entered.
#[derive(Debug)]
pub struct Plan {
    /// The Landlock rulesets.
    pub rulesets: landlock::Rulesets,
    /// The seccomp program.
    pub filter: filter::Program,
    /// The program that comes on top of it once the listener is handed over, if one has to.
    pub seal: Option<filter::Program>,
}

/// What is enforced, for the record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Enforced {
    /// Landlock's part.
    pub landlock: landlock::Enforced,
    /// Number of instructions of the seccomp filter.
    pub seccomp_instructions: usize,
    /// `PR_SET_NO_NEW_PRIVS` is set.
    pub no_new_privs: bool,
    /// Every capability is dropped, the bounding set's too.
    pub capabilities_dropped: bool,
    /// Only the standard streams and the jobserver's descriptors are inherited.
    pub descriptors_closed: bool,
}

impl Plan {
    /// Prepares the jail for these grants.
    ///
    /// # Errors
    /// See [`landlock::Error`].
    pub fn new(grants: &Grants) -> Result<Self, landlock::Error> {
        let asks = filter::Asks {
            hides: match (grants.hides_something(), grants.hides_processes()) {
                (_, true) => Hides::Processes,
                (true, false) => Hides::Paths,
                (false, false) => Hides::Nothing,
            },
            overlooks: grants.outputs.is_some(),
            network: !grants.connect.is_empty() && !grants.is_permissive(),
            sockets: grants.gives_sockets() && !grants.is_permissive(),
        };
        let seal = asks.network.then(filter::seal);
        Ok(Self { rulesets: landlock::plan(grants)?, filter: filter::compile(asks), seal })
    }

    /// What the jail enforces once entered. Every step of entering is obligatory, so this holds of
    /// every script that was executed.
    #[must_use]
    pub fn enforced(&self) -> Enforced {
        Enforced {
            landlock: self.rulesets.enforced.clone(),
            seccomp_instructions: self.filter.instructions().len(),
            no_new_privs: true,
            capabilities_dropped: true,
            descriptors_closed: true,
        }
    }
}
