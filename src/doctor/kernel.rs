//! What the kernel, and whoever started this, let the jail be made of: Landlock, seccomp, and looking
//! at one's own processes.

use nix::errno::Errno;

use super::check::{Check, Group};
use super::container::Container;
use super::domain::{self, Domain};
use super::listener::{Listener, Step};
use super::machine::Machine;
use super::{Failure, named};
use crate::jail::landlock::FLOOR;
use crate::sys;
use crate::warden::procfs::Procfs;

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

/// Whether this runs as, or below, a script in the jail: the jail's filter refuses another listener
/// before the kernel can look at the program, and hides Landlock.
#[must_use]
pub fn is_in_a_jail(abi: Result<i32, Errno>) -> bool {
    abi == Err(Errno::EOPNOTSUPP)
        && sys::try_filter_flags(libc::SECCOMP_FILTER_FLAG_NEW_LISTENER) == Errno::EBUSY
}

impl Kernel<'_> {
    /// All checks.
    #[must_use]
    pub fn checks(&self) -> Vec<Check> {
        let mut checks = vec![self.nesting(), self.abi(), self.domain(), self.layers()];
        checks.extend([self.filter(), Self::wait_killable(), self.notification()]);
        checks.extend([self.descriptor(), self.wake_up(), self.memory(), self.procfs()]);
        checks.extend([self.pidfd(), self.exit_status(), openat2(), self.capabilities()]);
        checks
    }

    fn nesting(&self) -> Check {
        let (id, group) = ("nesting", Group::Jail);
        if is_in_a_jail(self.abi) {
            return Check::missing(
                id,
                group,
                "This runs in cargo-brig's jail already, as a build script or below one, and a jail \
                 within the jail is refused.",
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
            "Switch it on at boot: `lsm=landlock,{modules}` on the kernel's command line, in a kernel \
             built with CONFIG_SECURITY_LANDLOCK."
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
                    "The kernel has Landlock of ABI {abi}, by which truncating files outside cannot be \
                     refused; at least {FLOOR} is needed."
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
                let meaning = "The kernel has Landlock, but it is switched off, or a seccomp filter \
                               says so: files outside could not be kept from scripts.";
                Check::missing(id, group, meaning, switch_on)
            }
            Err(Errno::ENOSYS) if filtered => Check::missing(
                id,
                group,
                "Landlock cannot be called (ENOSYS): the kernel does not have it, or a seccomp filter \
                 hides it.",
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
            Some(_) => {
                "Give this more processes, open files, memory, and space in the temporary directory."
                    .to_owned()
            }
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
                    "Further Landlock domains that can be entered: {layers}. The jail needs {}, and this \
                     runs in {} or more already.",
                    domain::NEEDED,
                    domain::MOST - layers
                ),
                "Start it from fewer sandboxes within each other.",
            ),
            Some(Ok(layers)) if *layers < domain::MOST => Check::degraded(
                id,
                group,
                format!(
                    "This runs in somebody else's Landlock domain ({} of {} are used): scripts can do \
                     only what that allows as well, and fail where the policy allows more.",
                    domain::MOST - layers,
                    domain::MOST
                ),
                "Start it outside of the other sandbox, if scripts are denied what the policy allows.",
            ),
            Some(Ok(_)) => Check::ok(id, group, "This does not run in a Landlock domain already."),
        }
    }

    fn filter(&self) -> Check {
        let (id, group) = ("seccomp-filter", Group::Seccomp);
        let allow = || {
            sentence(&Container::allow_calls(
                self.machine.container,
                "seccomp(2) with SECCOMP_FILTER_FLAG_NEW_LISTENER",
            ))
        };
        match self.listener.installed {
            Some(Ok(())) => {
                Check::ok(id, group, "The jail's seccomp filter and its listener can be installed.")
            }
            Some(Err(Errno::EBUSY)) => Check::missing(
                id,
                group,
                "The seccomp filter cannot be installed with a listener: this runs under one that has a \
                 listener already, and the kernel allows one.",
                "Run it outside of the jail, sandbox or container that answers system calls by a listener \
                 (seccomp_unotify(2)).",
            ),
            Some(Err(errno @ (Errno::EINVAL | Errno::ENOSYS))) => Check::missing(
                id,
                group,
                format!(
                    "The seccomp filter cannot be installed with a listener ({errno}): the kernel lacks \
                     what the jail asks for."
                ),
                "Upgrade to Linux 6.2 or newer, built with CONFIG_SECCOMP_FILTER.",
            ),
            Some(Err(errno)) => Check::missing(
                id,
                group,
                format!("The seccomp filter cannot be installed with a listener ({errno})."),
                allow(),
            ),
            None => Check::missing(
                id,
                group,
                format!(
                    "The seccomp filter could not be tried: {}.",
                    self.unseen.unwrap_or("its listener did not arrive")
                ),
                "Give this more processes, open files and space in the temporary directory.",
            ),
        }
    }

    fn wait_killable() -> Check {
        let (id, group) = ("seccomp-wait-killable", Group::Seccomp);
        let listener = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER;
        let both = listener | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
        match (sys::try_filter_flags(listener), sys::try_filter_flags(both)) {
            (Errno::EFAULT, Errno::EFAULT) => Check::ok(
                id,
                group,
                "A call that the warden carries out is not interrupted by signals.",
            ),
            (Errno::EFAULT, errno) => Check::missing(
                id,
                group,
                format!(
                    "The kernel does not know SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV ({errno}): a signal \
                     would have calls made twice."
                ),
                "Upgrade to Linux 6.2 or newer (5.19 is the first that has it).",
            ),
            _ => Check::not_applicable(
                id,
                group,
                "Not tried: no filter with a listener can be installed.",
            ),
        }
    }

    /// A check of what is only come to where the filter was installed.
    fn step(
        &self,
        (id, group): (&'static str, Group),
        step: Step,
        ok: &str,
        failed: impl FnOnce(Errno) -> Check,
    ) -> Check {
        match step {
            Some(Ok(())) => Check::ok(id, group, ok),
            Some(Err(errno)) => failed(errno),
            None => Check::not_applicable(
                id,
                group,
                match self.unseen {
                    Some(why) => format!("Not tried: {why}."),
                    None => "Not tried: the seccomp filter cannot be installed.".to_owned(),
                },
            ),
        }
    }

    fn notification(&self) -> Check {
        let name = ("seccomp-notification", Group::Seccomp);
        // A filter that is installed and does not notify is no filter.
        let step = match (self.listener.installed, self.listener.notified) {
            (Some(Ok(())), None) => Some(Err(Errno::ENOMSG)),
            (_, notified) => notified,
        };
        self.step(name, step, "The warden hears of what a script opens.", |errno| {
            Check::missing(
                name.0,
                name.1,
                format!("The filter does not notify the warden of open(2) ({errno})."),
                "Run it on Linux's own kernel, 6.2 or newer.",
            )
        })
    }

    fn descriptor(&self) -> Check {
        let name = ("seccomp-descriptor", Group::Seccomp);
        let ok = "The warden can open a file for a script and hand the descriptor over.";
        self.step(name, self.listener.descriptor, ok, |errno| {
            Check::missing(
                name.0,
                name.1,
                format!("A descriptor cannot be handed to a script (SECCOMP_IOCTL_NOTIF_ADDFD: {errno})."),
                "Upgrade to Linux 6.2 or newer (5.14 is the first that can); raise the limit of open files \
                 if that is what is short.",
            )
        })
    }

    fn wake_up(&self) -> Check {
        let name = ("seccomp-wake-up", Group::Seccomp);
        let ok = "Script and warden wake each other on one processor.";
        self.step(name, self.listener.wakes, ok, |errno| {
            Check::degraded(
                name.0,
                name.1,
                format!(
                    "The kernel does not know SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP ({errno}): each call that \
                     the warden answers can take ten times as long."
                ),
                "Upgrade to Linux 6.6 or newer.",
            )
        })
    }

    fn memory(&self) -> Check {
        let name = ("memory-reading", Group::Processes);
        let ok = "The warden can read in a script's memory which file it opens.";
        self.step(name, self.listener.memory, ok, |errno| {
            let yama = match self.machine.ptrace_scope {
                Some(scope @ 2..) => format!(
                    "Set `sysctl kernel.yama.ptrace_scope=1` (it is {scope}): 1 lets processes look at \
                     those that they have started, which is enough."
                ),
                _ => "Let the seccomp filter or security module that this runs under allow \
                      process_vm_readv of one's own processes; make the program's file readable."
                    .to_owned(),
            };
            let meaning = format!("The warden cannot read a script's memory ({errno}): no file could be opened.");
            Check::missing(name.0, name.1, meaning, yama)
        })
    }

    fn procfs(&self) -> Check {
        let name @ (id, group) = ("procfs", Group::Processes);
        if let Err(errno) = Procfs::read() {
            return Check::missing(
                id,
                group,
                format!("/proc is not mounted, or is another process-id namespace's ({errno})."),
                "Mount it: `mount -t proc proc /proc` in the namespace that this runs in, or start the \
                 container with its own /proc.",
            );
        }
        self.step(name, self.listener.procfs, "/proc tells the warden of a script's processes.", |errno| {
            Check::missing(
                id,
                group,
                format!("/proc does not tell the warden of a script's processes ({errno})."),
                "Mount /proc without `hidepid=` or with the one that shows one's own processes (proc(5)), \
                 and set `kernel.yama.ptrace_scope` to 0 or 1.",
            )
        })
    }

    fn pidfd(&self) -> Check {
        let name = ("pidfd", Group::Processes);
        self.step(
            name,
            self.listener.pidfd,
            "The warden can wait for a script's processes.",
            |errno| {
                Check::missing(
                    name.0,
                    name.1,
                    format!("There are no descriptors of processes (pidfd_open: {errno})."),
                    sentence(&Container::allow_calls(self.machine.container, "pidfd_open(2)")),
                )
            },
        )
    }

    fn exit_status(&self) -> Check {
        let name = ("exit-status", Group::Processes);
        let ok = "A record says how each of a script's processes ended.";
        self.step(name, self.listener.status, ok, |errno| {
            Check::degraded(
                name.0,
                name.1,
                format!(
                    "The kernel does not tell how processes ended that are not one's own children \
                     (PIDFD_GET_INFO: {errno}): records say it of a script's first process only."
                ),
                "Upgrade to Linux 6.15 or newer.",
            )
        })
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

fn openat2() -> Check {
    let (id, group) = ("openat2", Group::Processes);
    match sys::open(libc::AT_FDCWD, c"/", libc::O_PATH.unsigned_abs().into(), 0, 0) {
        Ok(_) => Check::ok(id, group, "The warden can open files with openat2."),
        Err(errno) => Check::missing(
            id,
            group,
            format!(
                "openat2 does not work ({}): the warden opens everything by it.",
                named(errno as i32)
            ),
            sentence(&Container::allow_calls(Container::detect(), "openat2(2)")),
        ),
    }
}

/// With a capital letter and a full stop.
fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().into_iter().flat_map(char::to_uppercase);
    first.chain(characters).chain(['.']).collect()
}
