//! What the outcomes of the attempts mean: which layer refuses what, and whether that is enough.

use super::attempt::{ATTEMPTS, Attempt, OWN, Outcomes};
use super::check::{Check, Group};
use super::named;

/// The outcomes, as far as there are any.
#[derive(Debug)]
pub struct Tried<'a> {
    /// Without a jail; none where there is no bait.
    pub bare: Option<&'a Outcomes>,
    /// Under Landlock alone.
    pub landlock: Option<&'a Outcomes>,
    /// As a script.
    pub jail: Option<&'a Outcomes>,
    /// The kernel's Landlock ABI.
    pub abi: i32,
    /// A policy document takes the place of the built-in one.
    pub own_policy: bool,
}

impl Tried<'_> {
    /// A check of each attempt, and of what a script must be able to do.
    #[must_use]
    pub fn checks(&self) -> Vec<Check> {
        let attempts = ATTEMPTS.iter().map(|attempt| self.check(attempt));
        [self.own_directory()].into_iter().chain(attempts).collect()
    }

    fn check(&self, attempt: &Attempt) -> Check {
        let Attempt { id, what, .. } = *attempt;
        let group = Group::Attempts;
        let of = |outcomes: Option<&Outcomes>| outcomes.and_then(|all| all.get(id)).copied();
        match of(self.bare) {
            None => {
                let meaning = "Not tried: there is nothing to try it on.";
                return Check::not_applicable(id, group, meaning);
            }
            Some(Err(errno)) => {
                let meaning = format!(
                    "Not to be judged: to {what} fails without a jail as well ({}).",
                    named(errno)
                );
                return Check::not_applicable(id, group, meaning);
            }
            Some(Ok(())) => {}
        }
        let by_landlock = of(self.landlock).map(|outcome| outcome.is_err());
        let has = attempt.landlock.is_some_and(|since| self.abi >= since.abi);
        if by_landlock == Some(false) && has {
            return Check::missing(
                id,
                group,
                format!(
                    "Landlock, of ABI {}, was to refuse it, and lets a script {what}.",
                    self.abi
                ),
                "The kernel does not enforce what it says: use another one.",
            );
        }
        match of(self.jail) {
            None => without_a_run(attempt, by_landlock),
            Some(Ok(())) => self.possible(attempt, by_landlock, has),
            Some(Err(_)) => refused(attempt, by_landlock),
        }
    }

    /// A script did it.
    fn possible(&self, attempt: &Attempt, by_landlock: Option<bool>, has: bool) -> Check {
        let Attempt { id, what, filter, .. } = *attempt;
        let group = Group::Attempts;
        match attempt.landlock {
            Some(_) if !filter && by_landlock == Some(true) => Check::degraded(
                id,
                group,
                format!(
                    "A script in the jail can {what}, which Landlock would refuse: the policy \
                     allows it."
                ),
                if self.own_policy {
                    "Look at what the policy in CARGO_BRIG_POLICY grants below the temporary \
                     directory."
                } else {
                    "Set TMPDIR to a directory that the policy does not let scripts read, such as \
                     /tmp."
                },
            ),
            Some(since) if !filter && !has => Check::degraded(
                id,
                group,
                format!(
                    "A script can {what}: nothing refuses that below Landlock ABI {}.",
                    since.abi
                ),
                format!("Upgrade to Linux {} or newer.", since.linux),
            ),
            _ => Check::missing(
                id,
                group,
                format!("A script in the jail can {what}."),
                "Do not run build scripts here: the kernel does not enforce the seccomp filter.",
            ),
        }
    }

    fn own_directory(&self) -> Check {
        let (id, group) = (OWN, Group::Jail);
        let of = |outcomes: Option<&Outcomes>| outcomes.and_then(|all| all.get(OWN)).copied();
        match (of(self.bare), of(self.landlock), of(self.jail)) {
            (None | Some(Err(_)), ..) | (_, None, None) => {
                Check::not_applicable(id, group, "Not tried: nothing can be put into a jail here.")
            }
            (_, Some(Err(errno)), _) | (_, _, Some(Err(errno))) => Check::missing(
                id,
                group,
                format!("A script cannot write in its own OUT_DIR ({}).", named(errno)),
                "Set TMPDIR to a directory of another file system: Landlock does not work as it \
                 should on this one.",
            ),
            _ => Check::ok(
                id,
                group,
                "A script can write, read and remove files in its own OUT_DIR.",
            ),
        }
    }
}

/// No script was run.
fn without_a_run(attempt: &Attempt, by_landlock: Option<bool>) -> Check {
    let Attempt { id, what, .. } = *attempt;
    let group = Group::Attempts;
    match by_landlock {
        None => Check::not_applicable(id, group, "Not tried: nothing can be put into a jail here."),
        Some(true) => Check::ok(
            id,
            group,
            format!("Landlock lets no script {what}; the whole jail was not tried."),
        ),
        Some(false) => {
            let meaning = format!(
                "Not tried: that no script can {what} is for the whole jail, which was not tried."
            );
            Check::not_applicable(id, group, meaning)
        }
    }
}

/// A script could not do it.
fn refused(attempt: &Attempt, by_landlock: Option<bool>) -> Check {
    let Attempt { id, what, filter, .. } = *attempt;
    let group = Group::Attempts;
    let by = match (by_landlock, filter, attempt.landlock) {
        (Some(false), true, Some(since)) => {
            return Check::degraded(
                id,
                group,
                format!(
                    "No script can {what}, but the seccomp filter alone refuses that, as Landlock \
                     does from ABI {} on.",
                    since.abi
                ),
                format!("Upgrade to Linux {} or newer.", since.linux),
            );
        }
        (Some(true), true, _) => "Landlock and the seccomp filter refuse it, each by itself",
        (Some(true), false, _) => "Landlock refuses it",
        (_, true, _) => "the seccomp filter, or the warden, refuses it",
        (_, false, _) => "it is refused",
    };
    Check::ok(id, group, format!("No script can {what}: {by}."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::check::State;

    fn outcomes(outcome: Result<(), i32>) -> Outcomes {
        let ids = ATTEMPTS.iter().map(|attempt| attempt.id).chain([OWN]);
        ids.map(|id| (id.to_owned(), outcome)).collect()
    }

    fn state(tried: &Tried<'_>, id: &str) -> State {
        tried.checks().iter().find(|check| check.id == id).unwrap().state
    }

    #[test]
    fn what_is_refused_twice_is_ok_and_by_one_alone_is_degraded() {
        let (done, refused) = (outcomes(Ok(())), outcomes(Err(libc::EACCES)));
        let mut tried = Tried {
            bare: Some(&done),
            landlock: Some(&refused),
            jail: Some(&refused),
            abi: 7,
            own_policy: false,
        };
        assert!(ATTEMPTS.iter().all(|attempt| state(&tried, attempt.id) == State::Ok));
        assert_eq!(state(&tried, OWN), State::Missing);
        tried.landlock = Some(&done);
        tried.abi = 3;
        assert_eq!(state(&tried, "tcp-connect"), State::Degraded);
        assert_eq!(state(&tried, "udp"), State::Ok);
        // An ABI that has it must refuse it.
        assert_eq!(state(&tried, "files-write"), State::Missing);
        tried.abi = 7;
        assert_eq!(state(&tried, "tcp-connect"), State::Missing);
    }

    #[test]
    fn what_a_script_can_do_is_missing_or_for_the_kernel_or_policy_to_change() {
        let (done, refused) = (outcomes(Ok(())), outcomes(Err(libc::EACCES)));
        let mut tried = Tried {
            bare: Some(&done),
            landlock: Some(&done),
            jail: Some(&done),
            abi: 3,
            own_policy: false,
        };
        for attempt in ATTEMPTS {
            let best_effort = ["device-ioctl", "signals"].contains(&attempt.id);
            let expected = if best_effort { State::Degraded } else { State::Missing };
            assert_eq!(state(&tried, attempt.id), expected, "{}", attempt.id);
        }
        tried.landlock = Some(&refused);
        tried.abi = 7;
        assert_eq!(state(&tried, "files-read"), State::Degraded);
        assert_eq!(state(&tried, "udp"), State::Missing);
    }

    #[test]
    fn what_fails_without_a_jail_or_was_not_tried_says_nothing() {
        let (done, refused) = (outcomes(Ok(())), outcomes(Err(libc::EPERM)));
        let mut tried = Tried {
            bare: Some(&refused),
            landlock: Some(&refused),
            jail: Some(&refused),
            abi: 7,
            own_policy: false,
        };
        for attempt in ATTEMPTS {
            assert_eq!(state(&tried, attempt.id), State::NotApplicable, "{}", attempt.id);
        }
        tried = Tried { bare: Some(&done), landlock: None, jail: None, ..tried };
        for check in tried.checks() {
            assert_eq!(check.state, State::NotApplicable, "{}", check.id);
        }
        tried.landlock = Some(&refused);
        assert_eq!(state(&tried, "signals"), State::Ok);
        tried.landlock = Some(&done);
        tried.abi = 3;
        assert_eq!(state(&tried, "signals"), State::NotApplicable);
        assert_eq!(state(&tried, OWN), State::Ok);
    }
}
