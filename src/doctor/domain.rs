//! Landlock by itself: the jail's two domains, entered by a probe without the seccomp filter, so
//! that it is seen what each of the two refuses.

use serde::{Deserialize, Serialize};

use super::attempt::{self, Outcomes};
use super::bait::Bait;
use super::machine::own_status;
use super::{Failure, probe};
use crate::jail::{enter, landlock};
use crate::policy::{Grant, Grants, Right};

/// The jail's domains: the warden's and, in it, the script's.
pub const NEEDED: u32 = 2;
/// As many as a process can be in (landlock(7), "Ruleset layers").
pub const MOST: u32 = 16;

/// What came of it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Domain {
    /// Of the attempts.
    pub outcomes: Outcomes,
    /// `/proc/PID/status` of a process that has entered: `CapEff`, `CapPrm` and `NoNewPrivs`; none
    /// if it cannot be read.
    pub privileges: Option<[String; 3]>,
}

/// Enters both domains in a new process and makes the attempts there.
///
/// # Errors
/// The step that failed, with its causes.
pub fn enter(bait: &Bait) -> Result<Domain, Failure> {
    let grant = |right, path: &str| Grant { right, path: path.into(), place: None };
    let own = Grant { right: Right::Write, path: bait.own.clone(), place: None };
    let files = vec![own, grant(Right::Read, "/proc"), grant(Right::Read, "/dev/urandom")];
    let grants = Grants { files, ..Grants::default() };
    let rulesets = landlock::plan(&grants).map_err(|error| Failure::of(&error))?;
    let work = || {
        let inner = enter::enter_as_warden(rulesets).map_err(|error| Failure::of(&error))?;
        inner.enter().map_err(|error| Failure::of(&error))?;
        let status = own_status();
        let field = |name| status.as_ref().and_then(|status| status.get(name).cloned());
        let privileges = match ["CapEff", "CapPrm", "NoNewPrivs"].map(field) {
            [Some(effective), Some(permitted), Some(privs)] => Some([effective, permitted, privs]),
            _ => None,
        };
        Ok(Domain { outcomes: attempt::make_all(bait), privileges })
    };
    probe::run(work).map_err(|error| Failure::of(&error))?
}

/// How many domains this process could enter.
///
/// # Errors
/// What else than their number was in the way.
pub fn layers() -> Result<u32, Failure> {
    // The kernel's answer to one domain too many (landlock_restrict_self(2)).
    let at_the_end = |error: &landlock::Error| {
        let failure = Failure::of(error);
        if failure.errno == Some(libc::E2BIG) { Ok(()) } else { Err(failure) }
    };
    let work = || {
        let mut entered = 0;
        while entered < 2 * MOST {
            let rulesets = landlock::plan(&Grants::default()).map_err(|e| Failure::of(&e))?;
            let entering = rulesets.enter_outer().and_then(|inner| {
                entered += 1;
                inner.enter()
            });
            if let Err(error) = entering {
                at_the_end(&error)?;
                break;
            }
            entered += 1;
        }
        Ok(entered)
    };
    probe::run(work).map_err(|error| Failure::of(&error))?
}
