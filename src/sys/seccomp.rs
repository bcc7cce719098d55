//! The seccomp filter and its listener (`seccomp_unotify(2)`).

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::errno::Errno;

use super::{as_int, check, uninterrupted};

/// How a seccomp filter would fare that has these flags and no program: nothing is ever installed, and
/// `EFAULT` is the answer of a kernel that knows the flags, which it looks at before the program
/// (seccomp(2), `EINVAL`; the kernel's own tests ask so, `detect_seccomp_filter_flags`).
#[must_use]
pub fn try_filter_flags(flags: libc::c_ulong) -> Errno {
    // SAFETY: the kernel does not follow a null pointer, but refuses it.
    let result = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            flags,
            std::ptr::null::<libc::sock_fprog>(),
        )
    };
    Errno::result(result).err().unwrap_or(Errno::EFAULT)
}

/// Installs a seccomp filter on the calling thread and returns its listener (seccomp(2),
/// `SECCOMP_FILTER_FLAG_NEW_LISTENER`).
///
/// # Errors
/// `EBUSY` if an earlier filter of this process already has a listener, `EACCES` without
/// `no_new_privs`, `EINVAL` for a program that the kernel does not accept.
pub fn install_filter(program: &[libc::sock_filter]) -> io::Result<OwnedFd> {
    let len =
        u16::try_from(program.len()).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
    let fprog = libc::sock_fprog { len, filter: program.as_ptr().cast_mut() };
    let install = |flags: libc::c_ulong| {
        // SAFETY: `fprog` points to `len` instructions that outlive the call; the kernel only reads.
        check(unsafe {
            libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const fprog)
        })
    };
    // A call that the listener has received is not interrupted by a signal that does not kill: it
    // would be made a second time (Linux 5.19).
    let flags = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER;
    let fd = install(flags | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV)?;
    // SAFETY: the call returned a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(as_int(fd)) })
}

/// Installs a further seccomp filter on the calling thread, without a listener: of two filters' answers
/// the stricter one counts (seccomp(2)).
///
/// # Errors
/// `EACCES` without `no_new_privs`, `EINVAL` for a program that the kernel does not accept.
pub fn add_filter(program: &[libc::sock_filter]) -> io::Result<()> {
    let len =
        u16::try_from(program.len()).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
    let fprog = libc::sock_fprog { len, filter: program.as_ptr().cast_mut() };
    // SAFETY: `fprog` points to `len` instructions that outlive the call; the kernel only reads.
    check(unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const fprog)
    })
    .map(drop)
}

/// One notification of a seccomp listener (`seccomp_unotify(2)`).
#[derive(Clone, Copy, Debug)]
pub struct Notification {
    /// Names this notification in the answer.
    pub id: u64,
    /// The calling thread's id.
    pub pid: u32,
    /// The system call's number.
    pub number: i64,
    /// The system call's arguments.
    pub arguments: [u64; 6],
}

/// What to do with a notified call.
#[derive(Debug)]
pub enum Answer {
    /// The kernel goes on with the call.
    Continue,
    /// The call fails with this errno.
    Fail(Errno),
    /// The call returns 0: what it asks for was done in its place.
    Done,
    /// The call returns a new descriptor of this file, with close-on-exec or without.
    Descriptor(OwnedFd, bool),
    /// The call returns this number.
    Number(i32),
    /// The call is made again once the signal that waits for the caller has been handled, or fails
    /// with `EINTR`, as the signal's handler was installed (signal(7), `SA_RESTART`).
    Interrupt,
}

/// Takes the next notification (`SECCOMP_IOCTL_NOTIF_RECV`).
///
/// # Errors
/// `ENOENT` if the caller died in between; other errors of ioctl(2).
pub fn receive_notification(listener: BorrowedFd<'_>) -> Result<Notification, Errno> {
    let mut raw = MaybeUninit::<libc::seccomp_notif>::zeroed();
    // SAFETY: the kernel asks for a zeroed structure of this size and fills it.
    let raw = unsafe {
        Errno::result(libc::ioctl(
            listener.as_raw_fd(),
            libc::SECCOMP_IOCTL_NOTIF_RECV,
            raw.as_mut_ptr(),
        ))?;
        raw.assume_init()
    };
    Ok(Notification {
        id: raw.id,
        pid: raw.pid,
        number: i64::from(raw.data.nr),
        arguments: raw.data.args,
    })
}

/// Answers a notification (`SECCOMP_IOCTL_NOTIF_SEND`, or `SECCOMP_IOCTL_NOTIF_ADDFD` with
/// `SECCOMP_ADDFD_FLAG_SEND`, Linux 5.14).
///
/// # Errors
/// `ENOENT` if the caller is gone; `EMFILE` if a descriptor does not fit into the caller's limit, and
/// then the call still waits for an answer; other errors of ioctl(2).
pub fn answer_notification(
    listener: BorrowedFd<'_>,
    id: u64,
    answer: &Answer,
) -> Result<(), Errno> {
    // SECCOMP_USER_NOTIF_FLAG_CONTINUE and SECCOMP_ADDFD_FLAG_SEND, which libc has as longs.
    const CONTINUE: u32 = 1;
    const SEND: u32 = 2;
    // What the kernel calls ERESTARTSYS (`include/linux/errno.h`): never seen outside of it.
    const RESTART: i32 = 512;
    let (val, error, flags) = match answer {
        Answer::Continue => (0, 0, CONTINUE),
        Answer::Fail(errno) => (0, -(*errno as i32), 0),
        Answer::Interrupt => (0, -RESTART, 0),
        Answer::Done => (0, 0, 0),
        Answer::Number(number) => (i64::from(*number), 0, 0),
        Answer::Descriptor(file, close_on_exec) => {
            return add(listener, id, file, *close_on_exec, SEND).map(drop);
        }
    };
    let response = libc::seccomp_notif_resp { id, val, error, flags };
    // SAFETY: the kernel only reads `response`, which lives through the call.
    let send = || unsafe {
        libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, &raw const response)
    };
    // The caller would wait for ever for what has not been sent.
    uninterrupted(|| Errno::result(send())).map(drop)
}

/// Gives the caller of a notification a descriptor of a file, and says its number; the call still waits
/// for its answer (`SECCOMP_IOCTL_NOTIF_ADDFD`, Linux 5.9).
///
/// # Errors
/// `ENOENT` if the caller is gone; `EMFILE` if it does not fit into the caller's limit; other errors of
/// ioctl(2).
pub fn add_descriptor(
    listener: BorrowedFd<'_>,
    id: u64,
    file: &OwnedFd,
    close_on_exec: bool,
) -> Result<i32, Errno> {
    add(listener, id, file, close_on_exec, 0)
}

fn add(
    listener: BorrowedFd<'_>,
    id: u64,
    file: &OwnedFd,
    close_on_exec: bool,
    flags: u32,
) -> Result<i32, Errno> {
    let addition = libc::seccomp_notif_addfd {
        id,
        flags,
        srcfd: file.as_raw_fd().unsigned_abs(),
        newfd: 0,
        newfd_flags: if close_on_exec { libc::O_CLOEXEC.unsigned_abs() } else { 0 },
    };
    // SAFETY: the kernel only reads `addition`, which lives through the call.
    let add = || unsafe {
        libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_ADDFD, &raw const addition)
    };
    uninterrupted(|| Errno::result(add()))
}

/// Whether the caller of a notification still waits for its answer
/// (`SECCOMP_IOCTL_NOTIF_ID_VALID`).
#[must_use]
pub fn is_waiting(listener: BorrowedFd<'_>, id: u64) -> bool {
    // SAFETY: the kernel only reads `id`, which lives through the call.
    let ask = || unsafe {
        libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_ID_VALID, &raw const id)
    };
    // Who is taken to be gone is not answered any more.
    uninterrupted(|| Errno::result(ask())).is_ok()
}

/// Asks the kernel to wake the listener on the caller's CPU (`SECCOMP_IOCTL_NOTIF_SET_FLAGS`,
/// Linux 6.6): an answer from another CPU costs ten times as much.
///
/// # Errors
/// `EINVAL` or `ENOTTY` on an older kernel.
pub fn wake_listener_on_same_cpu(listener: BorrowedFd<'_>) -> io::Result<()> {
    const SET_FLAGS: libc::c_ulong = 0x4008_2104;
    const FD_SYNC_WAKE_UP: libc::c_ulong = 1;
    // SAFETY: the argument is a plain integer.
    check(libc::c_long::from(unsafe {
        libc::ioctl(listener.as_raw_fd(), SET_FLAGS, FD_SYNC_WAKE_UP)
    }))
    .map(drop)
}

const _: () = assert!(size_of::<libc::seccomp_notif>() == 80);
