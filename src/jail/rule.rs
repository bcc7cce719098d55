//! Rules: what the filter does with a system call, by its arguments where its number is not enough.
//!
//! By value only: a path lies in memory where another thread can change it, and is for Landlock and,
//! by way of [`Action::Notify`], for the warden. Which call has which rule is the table's business
//! ([`super::syscalls`]).

use libc::c_int;

/// What the filter does with one call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Action {
    /// The kernel carries the call out.
    Allow,
    /// The call fails with this `errno`. Nobody hears of it.
    Deny(c_int),
    /// The warden decides, and records.
    Notify,
}

/// How the action on a system call is found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Rule {
    /// The same for every call. Only such a rule that allows is cached by the kernel.
    Always(Action),
    /// The action of the first case that holds; without one, the action at the end.
    ByArguments(&'static [Case], Action),
}

impl Rule {
    /// The action on a call with these arguments.
    #[must_use]
    pub fn action(&self, arguments: &[u64; 6]) -> Action {
        match self {
            Self::Always(action) => *action,
            Self::ByArguments(cases, otherwise) => cases
                .iter()
                .find(|case| case.when.iter().all(|comparison| comparison.holds(arguments)))
                .map_or(*otherwise, |case| case.action),
        }
    }
}

/// An action, when every comparison holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Case {
    /// All of these.
    pub when: &'static [Comparison],
    /// The action then.
    pub action: Action,
}

/// Whether one argument, as far as the kernel looks at it, equals a value.
///
/// A register has 64 bits, but the kernel uses only the lower half where a parameter is an `int`: a
/// script that sets the upper half would slip past a comparison of the whole, and past a comparison
/// of the lower half where the parameter is a pointer or a `long`. So the mask says which bits
/// count.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Comparison {
    /// Which argument, from 0 to 5.
    pub argument: u8,
    /// The bits that count.
    pub mask: u64,
    /// What those bits must be.
    pub value: u64,
}

impl Comparison {
    /// Whether the comparison is true of these arguments.
    #[must_use]
    pub fn holds(&self, arguments: &[u64; 6]) -> bool {
        arguments[usize::from(self.argument)] & self.mask == self.value
    }
}

pub(super) const ALLOW: Rule = Rule::Always(Action::Allow);
pub(super) const NOTIFY: Rule = Rule::Always(Action::Notify);
pub(super) const FORBID: Rule = Rule::Always(Action::Deny(libc::EPERM));
/// As if the kernel did not have the call: for calls that every caller has a way around.
pub(super) const MISSING: Rule = Rule::Always(Action::Deny(libc::ENOSYS));

/// The kernel's answer where Landlock is switched off.
pub(super) const NO_LANDLOCK: Rule = Rule::Always(Action::Deny(libc::EOPNOTSUPP));

/// The file type within a mode, inode(7): in the 16 bits that the kernel takes of a mode
/// (`umode_t`).
const S_IFMT: u32 = libc::S_IFMT;

/// A device node is a door to its driver. A fifo, a socket or a file is Landlock's business.
pub(super) const MKNOD: Rule = Rule::ByArguments(
    &[
        case(&[bits(1, S_IFMT, libc::S_IFCHR)], Action::Deny(libc::EPERM)),
        case(&[bits(1, S_IFMT, libc::S_IFBLK)], Action::Deny(libc::EPERM)),
    ],
    Action::Notify,
);

/// As [`MKNOD`], with a directory descriptor before the path.
pub(super) const MKNODAT: Rule = Rule::ByArguments(
    &[
        case(&[bits(2, S_IFMT, libc::S_IFCHR)], Action::Deny(libc::EPERM)),
        case(&[bits(2, S_IFMT, libc::S_IFBLK)], Action::Deny(libc::EPERM)),
    ],
    Action::Notify,
);

/// With `AT_EMPTY_PATH` the program is a descriptor, and no path says what is run. ENOSYS, because
/// fexecve(3) then runs `/proc/self/fd/N`, which has one.
pub(super) const EXECVEAT: Rule = Rule::ByArguments(
    &[case(&[flag_unset(4, libc::AT_EMPTY_PATH)], Action::Notify)],
    Action::Deny(libc::ENOSYS),
);

/// `AT_EMPTY_PATH` is how a C library asks about an open file: with an empty path, which is most of
/// all such calls. A path that is not empty in spite of it goes unseen.
pub(super) const NEWFSTATAT: Rule =
    Rule::ByArguments(&[case(&[flag_set(3, libc::AT_EMPTY_PATH)], Action::Allow)], Action::Notify);

/// As [`NEWFSTATAT`], with the flags before the buffer.
pub(super) const STATX: Rule =
    Rule::ByArguments(&[case(&[flag_set(2, libc::AT_EMPTY_PATH)], Action::Allow)], Action::Notify);

/// The low bits of a socket type; the others are `SOCK_CLOEXEC` and `SOCK_NONBLOCK`
/// (`SOCK_TYPE_MASK`, `linux/net.h`).
const SOCK_TYPE_MASK: u32 = 0xf;

/// A pair is a pipe in two directions, as long as it stays connected to itself. A datagram socket
/// does not: it sends to any path that a message names, and the message is out of a filter's sight.
/// `SOCK_RAW` is the same thing (unix(7)).
pub(super) const SOCKETPAIR: Rule = Rule::ByArguments(
    &[
        case(
            &[int(0, libc::AF_UNIX), bits(1, SOCK_TYPE_MASK, libc::SOCK_STREAM.unsigned_abs())],
            Action::Allow,
        ),
        case(
            &[int(0, libc::AF_UNIX), bits(1, SOCK_TYPE_MASK, libc::SOCK_SEQPACKET.unsigned_abs())],
            Action::Allow,
        ),
    ],
    Action::Deny(libc::EPERM),
);

/// Flags of the one sendmsg(2) that nobody is asked about: by it the script's first process hands the
/// listener to the warden, when nobody listens yet. Neither means anything to a Unix socket
/// (`unix_seqpacket_sendmsg`), and no other flags go with them, so nobody uses them by accident.
pub const HAND_OVER: c_int = libc::MSG_CONFIRM | libc::MSG_DONTROUTE;

/// A message whose flags are [`HAND_OVER`] reaches what the socket is connected to, and so nobody
/// but the script itself: see [`SOCKETPAIR`]. Where scripts get other sockets there is a second filter,
/// [`super::filter::seal`].
pub(super) const SENDMSG: Rule =
    Rule::ByArguments(&[case(&[int(2, HAND_OVER)], Action::Allow)], Action::Notify);

/// See [`super::filter::seal`].
pub(super) const SEALED_SENDMSG: Rule =
    Rule::ByArguments(&[case(&[int(2, HAND_OVER)], Action::Deny(libc::EPERM))], Action::Allow);

/// Nobody is to reach a script.
pub(super) const UNHEARD: Rule = Rule::Always(Action::Deny(libc::EACCES));

/// Flags of clone(2) that make a namespace, and the one that makes a sibling: a child of the
/// supervisor that the supervisor did not start. The kernel takes the lower half of the flags
/// (`lower_32_bits` in `kernel/fork.c`), in which the bit of `CLONE_NEWTIME` belongs to the exit
/// signal.
const CLONE_FORBIDDEN: c_int = libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_PARENT;

pub(super) const CLONE: Rule = Rule::ByArguments(
    &[case(&[flag_unset(0, CLONE_FORBIDDEN)], Action::Allow)],
    Action::Deny(libc::EPERM),
);

/// Landlock judges requests to devices, and only from ABI 5 on; requests to a file need no more
/// than a read-only descriptor, and some create, delete or freeze (chattr, verity, btrfs and
/// bcachefs subvolumes, encryption keys). Their number is open, so this is a list of what is let
/// through. The rest gets ENOTTY, the answer of a file that does not know the request.
///
/// `_IOC` numbers (`asm-generic/ioctl.h`) are spelled out, since libc has them not for every
/// architecture and C library.
pub(super) const IOCTL: Rule = Rule::ByArguments(
    &[
        // Types into a terminal (TIOCSTI, TIOCLINUX), takes one over (TIOCSCTTY, TIOCCONS), loads a
        // line discipline (TIOCSETD): ioctl_tty(2).
        case(&[request(0x5412)], Action::Deny(libc::EPERM)),
        case(&[request(0x541c)], Action::Deny(libc::EPERM)),
        case(&[request(0x540e)], Action::Deny(libc::EPERM)),
        case(&[request(0x541d)], Action::Deny(libc::EPERM)),
        case(&[request(0x5423)], Action::Deny(libc::EPERM)),
        // Other terminal requests, and those that any descriptor knows: FIONREAD, FIONBIO, FIOCLEX,
        // FIONCLEX, FIOASYNC.
        case(&[bits(1, 0xff00, 0x5400)], Action::Allow),
        // FICLONE and FICLONERANGE, which cp tries first; they write to a descriptor that is open
        // for writing.
        case(&[request(0x4004_9409)], Action::Allow),
        case(&[request(0x4020_940d)], Action::Allow),
        // Reads: FIGETBSZ, FS_IOC_GETFLAGS, FS_IOC_GETVERSION, FS_IOC_FSGETXATTR, FS_IOC_FIEMAP.
        case(&[request(0x0002)], Action::Allow),
        case(&[request(0x8008_6601)], Action::Allow),
        case(&[request(0x8008_7601)], Action::Allow),
        case(&[request(0x801c_581f)], Action::Allow),
        case(&[request(0xc020_660b)], Action::Allow),
        // FS_IOC_SETFLAGS and FS_IOC_FSSETXATTR: EPERM is what chattr(1) expects of a refusal.
        case(&[request(0x4008_6602)], Action::Deny(libc::EPERM)),
        case(&[request(0x401c_5820)], Action::Deny(libc::EPERM)),
    ],
    Action::Deny(libc::ENOTTY),
);

/// `F_NOTIFY` watches a directory, and `F_SETLEASE` delays whoever opens the file next (fcntl(2)). A lock
/// that belongs to an open file waits until the warden has that file no longer open.
pub(super) const FCNTL: Rule = Rule::ByArguments(
    &[
        case(&[int(1, libc::F_NOTIFY)], Action::Deny(libc::EPERM)),
        case(&[int(1, libc::F_SETLEASE)], Action::Deny(libc::EPERM)),
        case(&[int(1, libc::F_OFD_SETLK)], Action::Notify),
        case(&[int(1, libc::F_OFD_SETLKW)], Action::Notify),
    ],
    Action::Allow,
);

/// `PR_SET_MM` rewrites what `/proc/PID` says of a process, and `PR_SET_DUMPABLE` closes it to the
/// warden, unless it sets the ordinary 1 (`SUID_DUMP_USER`). `PR_SET_PTRACER` opens it to others,
/// and `PR_SCHED_CORE` ties processors to another process. Of a filter of the script's own the warden
/// hears, as of one by seccomp(2): the preloaded library does nothing that it could forbid.
pub(super) const PRCTL: Rule = Rule::ByArguments(
    &[
        case(&[int(0, libc::PR_SET_DUMPABLE), long(1, 1)], Action::Allow),
        case(&[int(0, libc::PR_SET_DUMPABLE)], Action::Deny(libc::EPERM)),
        case(&[int(0, libc::PR_SET_MM)], Action::Deny(libc::EPERM)),
        case(&[int(0, libc::PR_SET_PTRACER)], Action::Deny(libc::EPERM)),
        case(&[int(0, libc::PR_SCHED_CORE)], Action::Deny(libc::EPERM)),
        case(&[int(0, libc::PR_SET_SECCOMP)], Action::Notify),
    ],
    Action::Allow,
);

/// `SECCOMP_FILTER_FLAG_NEW_LISTENER` (1 << 3, seccomp(2)). EBUSY is what the kernel says when
/// there is one already.
pub(super) const SECCOMP: Rule =
    Rule::ByArguments(&[case(&[flag_unset(1, 1 << 3)], Action::Notify)], Action::Deny(libc::EBUSY));

/// Asking (0xffffffff) and the ordinary personality (0) are allowed. Others make every mapping
/// executable, switch address randomization off or change what uname(2) says, and with it what is
/// built.
pub(super) const PERSONALITY: Rule = Rule::ByArguments(
    &[case(&[int(0, 0)], Action::Allow), case(&[int(0, -1)], Action::Allow)],
    Action::Deny(libc::EPERM),
);

/// The first argument is a process, and 0 is the caller. A process that names itself by its number
/// is refused too: a filter does not know the number.
pub(super) const OWN_PROCESS: Rule =
    Rule::ByArguments(&[case(&[int(0, 0)], Action::Allow)], Action::Deny(libc::EPERM));

/// `PRIO_PROCESS` and 0: the caller itself. Not its group or its user, setpriority(2).
pub(super) const SETPRIORITY: Rule =
    Rule::ByArguments(&[case(&[int(0, 0), int(1, 0)], Action::Allow)], Action::Deny(libc::EPERM));

/// `IOPRIO_WHO_PROCESS` and 0: the caller itself (`ioprio_set`(2)).
pub(super) const IOPRIO_SET: Rule =
    Rule::ByArguments(&[case(&[int(0, 1), int(1, 0)], Action::Allow)], Action::Deny(libc::EPERM));

pub(super) const fn case(when: &'static [Comparison], action: Action) -> Case {
    Case { when, action }
}

/// An `int` argument equals a value: the kernel drops the upper half of the register.
pub(super) const fn int(argument: u8, value: c_int) -> Comparison {
    bits(argument, u32::MAX, value.cast_unsigned())
}

/// Some bits of an `int` argument equal a value.
pub(super) const fn bits(argument: u8, mask: u32, value: u32) -> Comparison {
    assert!(argument < 6, "a system call has six arguments");
    assert!(value & !mask == 0, "a bit that does not count is never set");
    Comparison { argument, mask: mask as u64, value: value as u64 }
}

/// The request of an ioctl(2).
const fn request(request: u32) -> Comparison {
    bits(1, u32::MAX, request)
}

/// None of these flags is set in an `int` argument.
const fn flag_unset(argument: u8, flags: c_int) -> Comparison {
    bits(argument, flags.cast_unsigned(), 0)
}

/// This flag is set in an `int` argument.
const fn flag_set(argument: u8, flag: c_int) -> Comparison {
    bits(argument, flag.cast_unsigned(), flag.cast_unsigned())
}

/// A `long` or pointer argument equals a value in all its bits.
const fn long(argument: u8, value: u64) -> Comparison {
    assert!(argument < 6, "a system call has six arguments");
    Comparison { argument, mask: u64::MAX, value }
}
