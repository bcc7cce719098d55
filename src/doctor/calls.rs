//! What the warden needs of the kernel: a filter with a listener, by which it hears of calls and
//! answers them, and looking at its own processes.

use nix::errno::Errno;

use super::check::{Check, Group};
use super::container::Container;
use super::kernel::Kernel;
use super::listener::Step;
use super::{named, sentence};
use crate::sys;
use crate::warden::hidden::Hidden;
use crate::warden::known::made::Made;
use crate::warden::outputs::Outputs;
use crate::warden::procfs::Procfs;

impl Kernel<'_> {
    /// All checks of that.
    pub(super) fn of_the_warden(&self) -> [Check; 10] {
        [
            self.filter(),
            Self::wait_killable(),
            self.notification(),
            self.descriptor(),
            self.wake_up(),
            self.memory(),
            self.procfs(),
            self.pidfd(),
            self.exit_status(),
            self.openat2(),
        ]
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
                "The seccomp filter cannot be installed with a listener: this runs under one that \
                 has a listener already, and the kernel allows one.",
                "Run it outside of the jail, sandbox or container that answers system calls by a \
                 listener (seccomp_unotify(2)).",
            ),
            Some(Err(errno @ (Errno::EINVAL | Errno::ENOSYS))) => Check::missing(
                id,
                group,
                format!(
                    "The seccomp filter cannot be installed with a listener ({errno}): the kernel \
                     lacks what the jail asks for."
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
                    "The kernel does not know SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV ({errno}): a \
                     signal would have calls made twice."
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
                format!(
                    "A descriptor cannot be handed to a script (SECCOMP_IOCTL_NOTIF_ADDFD: \
                     {errno})."
                ),
                "Upgrade to Linux 6.2 or newer (5.14 is the first that can); raise the limit of \
                 open files if that is what is short.",
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
                    "The kernel does not know SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP ({errno}): each \
                     call that the warden answers can take ten times as long."
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
                    "Set `sysctl kernel.yama.ptrace_scope=1` (it is {scope}): 1 lets processes \
                     look at those that they have started, which is enough."
                ),
                _ => "Let the seccomp filter or security module that this runs under allow \
                      process_vm_readv of one's own processes; make the program's file readable."
                    .to_owned(),
            };
            let meaning = format!(
                "The warden cannot read a script's memory ({errno}): no file could be opened."
            );
            Check::missing(name.0, name.1, meaning, yama)
        })
    }

    fn procfs(&self) -> Check {
        let name @ (id, group) = ("procfs", Group::Processes);
        if let Err(errno) = Procfs::read(Hidden::default(), Outputs::default(), Made::default()) {
            return Check::missing(
                id,
                group,
                format!("/proc is not mounted, or is another process-id namespace's ({errno})."),
                "Mount it: `mount -t proc proc /proc` in the namespace that this runs in, or \
                 start the container with its own /proc.",
            );
        }
        let ok = "/proc tells the warden of a script's processes.";
        self.step(name, self.listener.procfs, ok, |errno| {
            Check::missing(
                id,
                group,
                format!("/proc does not tell the warden of a script's processes ({errno})."),
                "Mount /proc without `hidepid=` or with the one that shows one's own processes \
                 (proc(5)), and set `kernel.yama.ptrace_scope` to 0 or 1.",
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

    fn openat2(&self) -> Check {
        let (id, group) = ("openat2", Group::Processes);
        match try_openat2() {
            Ok(()) => Check::ok(id, group, "The warden can open files with openat2."),
            Err(errno) => Check::missing(
                id,
                group,
                format!(
                    "openat2 does not work ({}): the warden opens everything by it.",
                    named(errno as i32)
                ),
                sentence(&Container::allow_calls(self.machine.container, "openat2(2)")),
            ),
        }
    }
}

/// Opens something by openat2(2).
///
/// # Errors
/// Why that is not possible.
pub fn try_openat2() -> Result<(), Errno> {
    sys::open(libc::AT_FDCWD, c"/", libc::O_PATH.unsigned_abs().into(), 0, 0).map(drop)
}
