//! The diagnosis: everything that was found out about this machine.

use std::env;

use serde::Serialize;
use serde_json::Value;

use super::attempt;
use super::bait::Laid;
use super::check::{Check, Group, State};
use super::domain::{self, Domain};
use super::judge::Tried;
use super::kernel::Kernel;
use super::listener::{self, Listener};
use super::machine::Machine;
use super::{Failure, places, probe, reason, script, toolchain};
use crate::jail::landlock::{FLOOR, is_in_a_jail};
use crate::{front, launcher, settings, sys};

/// Version of the fields below; raised when one changes its meaning or goes.
pub const SCHEMA: u32 = 1;
/// The first Landlock ABI that has a scope for signals.
const SIGNAL_SCOPE: i32 = 6;

/// See the file's description.
#[derive(Debug, Serialize)]
pub struct Diagnosis {
    /// See [`SCHEMA`].
    pub schema: u32,
    /// The program's name and version.
    pub tool: &'static str,
    /// Whether build scripts can be jailed here.
    pub can_jail: bool,
    /// The worst of the checks.
    pub state: State,
    /// The machine.
    pub machine: Machine,
    /// What the jail enforced on the script that was run, as in its record; null if none was.
    pub enforced: Option<Value>,
    /// The checks, the worst first.
    pub checks: Vec<Check>,
}

impl Diagnosis {
    /// Tries everything. The calling process must have one thread.
    #[must_use]
    pub fn make() -> Self {
        let machine = Machine::read();
        let abi = sys::landlock_version();
        let usable = abi.is_ok_and(|abi| abi >= FLOOR);
        let nested = is_in_a_jail(abi);
        // In the jail, what fails says nothing of the machine, and would be in the outer script's
        // record.
        let laid = (!nested).then(Laid::new);
        let bait = laid.as_ref().and_then(|laid| laid.as_ref().ok()).map(|laid| &laid.bait);

        let bare = bait.and_then(|bait| probe::run(|| attempt::make_all(bait)).ok());
        let domain = bait.map(domain::enter);
        let layers = usable.then(domain::layers);
        let (listener, unseen) = match &laid {
            None => (Listener::default(), None),
            Some(Ok(laid)) => listener::listen(laid.root()),
            Some(Err(error)) => (Listener::default(), Some(reason(error))),
        };
        let ran = match &laid {
            None => Err("a jail within the jail is refused".to_owned()),
            Some(Ok(laid)) => may_run(abi.unwrap_or(0), domain.as_ref())
                .and_then(|()| front::require_static().map_err(|error| reason(&error)))
                .and_then(|()| launcher::own_path().map_err(|error| reason(&error)))
                .and_then(|own| script::run(laid, &own)),
            Some(Err(error)) => Err(reason(error)),
        };

        let kernel = Kernel {
            machine: &machine,
            abi,
            domain: domain.as_ref(),
            layers: layers.as_ref(),
            listener: &listener,
            unseen: unseen.as_deref(),
        };
        let mut checks = kernel.checks();
        let tried = Tried {
            bare: bare.as_ref(),
            landlock: domain.as_ref().and_then(|domain| domain.as_ref().ok()).map(|d| &d.outcomes),
            jail: ran.as_ref().ok().map(|ran| &ran.outcomes),
            abi: abi.unwrap_or(0),
            own_policy: env::var_os(settings::POLICY).is_some_and(|path| !path.is_empty()),
        };
        checks.extend(tried.checks());
        checks.extend(places::checks());
        checks.extend(toolchain::checks());
        if nested {
            checks = checks.into_iter().map(from_within).collect();
        }
        // That no script ran follows from what else is missing.
        let explained = checks.iter().any(|check| check.state == State::Missing);
        let run = run_of(&ran, explained);
        if explained {
            checks.push(run);
        } else {
            checks.insert(0, run);
        }
        checks.sort_by_key(|check| check.state);
        let state = checks.first().map_or(State::Ok, |check| check.state);
        Self {
            schema: SCHEMA,
            tool: concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION")),
            can_jail: state != State::Missing,
            state,
            machine,
            enforced: ran.ok().map(|ran| ran.enforced),
            checks,
        }
    }
}

/// Whether it is safe to run a script. At its end the warden sends a signal to everybody, which
/// reaches nobody outside by virtue of Landlock's scope alone (`LANDLOCK_SCOPE_SIGNAL`): where it
/// was seen that the scope is not enforced, or not seen that it is, nothing is run.
fn may_run(abi: i32, domain: Option<&Result<Domain, Failure>>) -> Result<(), String> {
    match domain {
        Some(Err(failure)) => Err(failure.why.clone()),
        None => Err("there is nothing to try it on".to_owned()),
        Some(Ok(_)) if abi < SIGNAL_SCOPE => Ok(()),
        Some(Ok(domain)) if domain.outcomes.get("signals").is_some_and(Result::is_err) => Ok(()),
        Some(Ok(_)) => {
            Err("a Landlock domain does not keep signals from processes outside, and to \
                            end a script would be to end those"
                .to_owned())
        }
    }
}

fn run_of(ran: &Result<script::Ran, String>, explained: bool) -> Check {
    let (id, group) = ("script", Group::Jail);
    match ran {
        Ok(_) => Check::ok(
            id,
            group,
            "A program was run in the jail as a build script, from front to back.",
        ),
        Err(why) => Check::missing(
            id,
            group,
            format!("A program was not run in the jail as a build script: {why}."),
            if explained {
                "Change what else is missing."
            } else {
                "Go by the reason that is given, and by what is degraded; nothing else is missing."
            },
        ),
    }
}

/// What a check says that was made in the jail: of the kernel nothing, as the jail is before it.
fn from_within(check: Check) -> Check {
    match check.group {
        Group::Places | Group::Toolchain => check,
        _ if check.id == "nesting" => check,
        group => Check::not_applicable(check.id, group, "Not to be judged from within the jail."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::attempt::Outcomes;

    #[test]
    fn no_script_is_run_where_its_end_would_be_everybodys() {
        let domain = |outcome| {
            let outcomes = [("signals".to_owned(), outcome)].into();
            Ok(Domain { outcomes, privileges: None })
        };
        assert!(may_run(6, Some(&domain(Ok(())))).is_err());
        assert!(may_run(6, Some(&domain(Err(libc::EPERM)))).is_ok());
        assert!(may_run(5, Some(&domain(Ok(())))).is_ok());
        let unknown = Ok(Domain { outcomes: Outcomes::new(), privileges: None });
        assert!(may_run(7, Some(&unknown)).is_err() && may_run(7, None).is_err());
        let failed = Failure { why: "denied".to_owned(), errno: None };
        assert_eq!(may_run(7, Some(&Err(failed))), Err("denied".to_owned()));
    }
}
