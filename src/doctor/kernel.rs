//! What the kernel, and whoever started this, let the jail be made of. Landlock's part is here;
//! what the warden needs beside it is in [`super::calls`].

use nix::errno::Errno;

use super::calls::try_openat2;
use super::check::{Check, Group};
use super::container::Container;
use super::domain::{self, Domain};
use super::listener::Listener;
use super::machine::Machine;
use super::{Failure, sentence};
use crate::jail::landlock::{FLOOR, is_in_a_jail};

/// What was seen of the kernel.
#[derive(Debug)]
pub struct Kernel<'a> {
    /// The machine.
    pub machine: &'a Machine,
    /// The Landlock ABI, or why there is none.
    pub abi: Result<i32, Errno>,
    /// Landlock by itself; none is not tried.
    pub domain: Option<&'a Result<Domain, Failure>>,
    /// How many domains can be entered; none is not tried.
    pub layers: Option<&'a Result<u32, Failure>>,
    /// The filter by itself.
    pub listener: &'a Listener,
    /// Why that was not seen to the end.
    pub unseen: Option<&'a str>,
}

impl Kernel<'_> {
    /// All checks.
    #[must_use]
    pub fn checks(&self) -> Vec<Check> {
        let mut checks = vec![self.nesting(), self.abi(), self.domain(), self.layers()];
        checks.extend(self.of_the_warden());
        checks.push(self.capabilities());
        checks
    }

    fn nesting(&self) -> Check {
        let (id, group) = ("nesting", Group::Jail);
        if is_in_a_jail(self.abi) {
            return Check::missing(
                id,
                group,
                "This runs in cargo-brig's jail already, as a build script or below one, and a \
                 jail within the jail is refused.",
                "Run it outside: where a build script starts Cargo, let that be plain `cargo`; its \
                 scripts are in the jail of the outer one.",
            );
        }
        Check::ok(id, group, "This does not run in cargo-brig's jail already.")
    }

    fn abi(&self) -> Check {
        let (id, group) = ("landlock", Group::Landlock);
        let filtered = self.machine.seccomp_filters.is_some_and(|filters| filters > 0);
        let calls = "landlock_create_ruleset, landlock_add_rule and landlock_restrict_self";
        let allow = || Container::allow_calls(self.machine.container, calls);
        let modules = self.machine.security_modules.as_deref().unwrap_or("…");
        let switch_on = format!(
            "Switch it on at boot: `lsm=landlock,{modules}` on the kernel's command line, in a \
             kernel built with CONFIG_SECURITY_LANDLOCK."
        );
        let upgrade = "Upgrade to Linux 6.2 or newer, built with CONFIG_SECURITY_LANDLOCK";
        match self.abi {
            Ok(abi) if abi >= FLOOR => Check::ok(
                id,
                group,
                format!("The kernel has Landlock of ABI {abi}; at least {FLOOR} is needed."),
            ),
            Ok(abi) => Check::missing(
                id,
                group,
                format!(
                    "The kernel has Landlock of ABI {abi}, by which truncating files outside \
                     cannot be refused; at least {FLOOR} is needed."
                ),
                format!("{upgrade}."),
            ),
            Err(_) if is_in_a_jail(self.abi) => Check::missing(
                id,
                group,
                "The jail that this runs in hides Landlock from what is in it.",
                "Run it outside the jail.",
            ),
            Err(Errno::EOPNOTSUPP) => {
                let meaning = "The kernel has Landlock, but it is switched off, or a seccomp \
                               filter says so: files outside could not be kept from scripts.";
                Check::missing(id, group, meaning, switch_on)
            }
            Err(Errno::ENOSYS) if filtered => Check::missing(
                id,
                group,
                "Landlock cannot be called (ENOSYS): the kernel does not have it, or a seccomp \
                 filter hides it.",
                format!("{upgrade}; if it is that already: {}.", allow()),
            ),
            Err(Errno::ENOSYS) => Check::missing(
                id,
                group,
                "The kernel does not have Landlock.",
                format!("{upgrade}."),
            ),
            Err(errno) => Check::missing(
                id,
                group,
                format!("Landlock cannot be called ({errno}): a seccomp filter refuses it."),
                sentence(&allow()),
            ),
        }
    }

    fn domain(&self) -> Check {
        let (id, group) = ("landlock-domain", Group::Landlock);
        match self.domain {
            None => {
                Check::not_applicable(id, group, "Not tried: there is no directory to try it with.")
            }
            Some(Ok(_)) => {
                Check::ok(id, group, "A process can enter the jail's two Landlock domains.")
            }
            // Said already.
            Some(Err(_)) if self.abi.is_ok_and(|abi| abi < FLOOR) || self.abi.is_err() => {
                Check::not_applicable(id, group, "Not tried: the kernel's Landlock cannot be used.")
            }
            Some(Err(_)) if try_openat2().is_err() => Check::not_applicable(
                id,
                group,
                "Not tried: openat2 does not work, which opens what Landlock's rules are about.",
            ),
            Some(Err(failure)) => Check::missing(
                id,
                group,
                format!("The jail's two Landlock domains cannot be entered: {}.", failure.why),
                self.allow_or_give(failure, "landlock_add_rule, landlock_restrict_self and prctl"),
            ),
        }
    }

    /// What to do about a step that failed: who refuses it must allow it, or there is too little of
    /// something.
    fn allow_or_give(&self, failure: &Failure, calls: &str) -> String {
        match failure.errno {
            Some(libc::EPERM | libc::EACCES | libc::ENOSYS) => {
                sentence(&Container::allow_calls(self.machine.container, calls))
            }
            Some(_) => "Give this more processes, open files, memory, and space in the temporary \
                 directory."
                .to_owned(),
            None => "Run it on Linux's own kernel, and not under what answers system calls in its \
                     place or kills processes."
                .to_owned(),
        }
    }

    fn layers(&self) -> Check {
        let (id, group) = ("landlock-layers", Group::Landlock);
        match self.layers {
            None => {
                Check::not_applicable(id, group, "Not tried: the kernel's Landlock cannot be used.")
            }
            Some(Err(failure)) => Check::not_applicable(
                id,
                group,
                format!("It cannot be told how many domains can be entered: {}.", failure.why),
            ),
            Some(Ok(layers)) if *layers < domain::NEEDED => Check::missing(
                id,
                group,
                format!(
                    "Further Landlock domains that can be entered: {layers}. The jail needs {}, \
                     and this runs in {} or more already.",
                    domain::NEEDED,
                    domain::MOST - layers
                ),
                "Start it from fewer sandboxes within each other.",
            ),
            Some(Ok(layers)) if *layers < domain::MOST => Check::degraded(
                id,
                group,
                format!(
                    "This runs in somebody else's Landlock domain ({} of {} are used): scripts \
                     can do only what that allows as well, and fail where the policy allows more.",
                    domain::MOST - layers,
                    domain::MOST
                ),
                "Start it outside of the other sandbox, if scripts are denied what the policy \
                 allows.",
            ),
            Some(Ok(_)) => Check::ok(id, group, "This does not run in a Landlock domain already."),
        }
    }

    fn capabilities(&self) -> Check {
        let (id, group) = ("capabilities", Group::Processes);
        let Some(Ok(Domain { privileges, .. })) = self.domain else {
            return Check::not_applicable(
                id,
                group,
                "Not tried: the jail's domains cannot be entered.",
            );
        };
        let none = |set: &str| set.bytes().all(|digit| digit == b'0');
        match privileges {
            Some([effective, permitted, no_new_privs])
                if none(effective) && none(permitted) && no_new_privs == "1" =>
            {
                let whoever = if self.machine.user == 0 { ", although root runs it" } else { "" };
                Check::ok(
                    id,
                    group,
                    format!("A script has no capabilities and gains none{whoever}."),
                )
            }
            Some([effective, permitted, no_new_privs]) => Check::missing(
                id,
                group,
                format!(
                    "A process that has dropped its capabilities has some all the same (effective \
                     {effective}, permitted {permitted}, no_new_privs {no_new_privs})."
                ),
                "Run it as an ordinary user.",
            ),
            None => {
                Check::not_applicable(id, group, "Not tried: /proc does not say which there are.")
            }
        }
    }
}
