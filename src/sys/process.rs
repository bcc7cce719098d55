//! Processes: their start and end, what they used, what they may still do.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::resource::Resource;
use nix::sys::signal::{SigSet, SigmaskHow, pthread_sigmask};

use super::{as_int, check};

/// Which side of [`fork`] the caller is on.
#[derive(Debug)]
pub enum Fork {
    /// In the new process.
    Child,
    /// In the old process; holds the new process's id.
    Parent(i32),
}

/// Duplicates the calling process (fork(2)).
///
/// # Errors
/// The error of fork(2), among them `EAGAIN` at a process limit. A process with more than one
/// thread is refused with `EBUSY`: the locks of the other threads would stay held in the child.
pub fn fork() -> io::Result<Fork> {
    if std::fs::read_dir("/proc/self/task").map_or(1, Iterator::count) > 1 {
        return Err(io::Error::from_raw_os_error(libc::EBUSY));
    }
    // SAFETY: the process has one thread (checked above), so the child owns every lock.
    match check(unsafe { libc::c_long::from(libc::fork()) })? {
        0 => Ok(Fork::Child),
        pid => Ok(Fork::Parent(as_int(pid))),
    }
}

/// Has `command` start its program with this signal mask instead of the caller's (sigprocmask(2)).
pub fn start_with_signal_mask(command: &mut Command, mask: SigSet) {
    let set_mask = move || Ok(pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&mask), None)?);
    // SAFETY: between fork and exec only async-signal-safe functions may be called (fork(2));
    // sigprocmask(2) is one, and the closure does nothing else.
    unsafe { command.pre_exec(set_mask) };
}

/// Ends the calling process at once, without running destructors or exit handlers (_exit(2)).
pub fn exit_now(code: i32) -> ! {
    // SAFETY: _exit takes a plain integer and does not return.
    unsafe { libc::_exit(code) }
}

/// Gives up every capability: bounding, ambient, inheritable, permitted and effective set
/// (capabilities(7)). A process that has none keeps none.
///
/// # Errors
/// The error of prctl(2) or capset(2); `EPERM` from the bounding set is not an error for a process
/// without `CAP_SETPCAP`, because `no_new_privs` and the empty sets already keep it from gaining any.
pub fn drop_capabilities() -> io::Result<()> {
    #[repr(C)]
    struct Header {
        version: u32,
        pid: i32,
    }
    #[repr(C)]
    #[derive(Clone, Copy)]
    struct Data {
        effective: u32,
        permitted: u32,
        inheritable: u32,
    }
    const VERSION_3: u32 = 0x2008_0522;
    for capability in 0..64 {
        // SAFETY: prctl takes plain integers here.
        let dropped = unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) };
        if dropped != 0 {
            let error = io::Error::last_os_error();
            match error.raw_os_error() {
                Some(libc::EINVAL) => break,
                Some(libc::EPERM) => {}
                _ => return Err(error),
            }
        }
    }
    // SAFETY: plain integers; EINVAL below Linux 4.3, where there is no ambient set to clear.
    unsafe { libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) };
    let header = Header { version: VERSION_3, pid: 0 };
    let data = [Data { effective: 0, permitted: 0, inheritable: 0 }; 2];
    // SAFETY: header and data have the layout of version 3 (capget(2)) and live through the call.
    check(unsafe { libc::syscall(libc::SYS_capset, &raw const header, data.as_ptr()) }).map(drop)
}

/// How a process ended and what it used.
#[derive(Clone, Copy, Debug)]
pub struct Waited {
    /// The process that ended.
    pub pid: i32,
    /// Its wait status (wait(2)).
    pub status: i32,
}

/// Waits for any child; `None` if `block` is false and none has ended (wait4(2)).
///
/// # Errors
/// `ECHILD` without children, `EINTR` on a signal.
pub fn wait_any(block: bool) -> io::Result<Option<Waited>> {
    let mut status = 0;
    let flags = if block { 0 } else { libc::WNOHANG } | libc::__WALL;
    // SAFETY: `status` is writable for the length of the call.
    let pid = check(libc::c_long::from(unsafe { libc::waitpid(-1, &raw mut status, flags) }))?;
    let pid = as_int(pid);
    Ok((pid != 0).then_some(Waited { pid, status }))
}

/// What the children that were waited for used in sum (getrusage(2), `RUSAGE_CHILDREN`).
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// CPU time in user mode.
    pub user: Duration,
    /// CPU time in the kernel.
    pub system: Duration,
    /// Resident set size of the largest process, in KiB.
    pub peak_rss_kib: u64,
}

/// See [`Usage`].
#[must_use]
pub fn children_usage() -> Usage {
    let mut raw = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: `raw` is writable and large enough; RUSAGE_CHILDREN cannot fail (getrusage(2)).
    let raw = unsafe {
        libc::getrusage(libc::RUSAGE_CHILDREN, raw.as_mut_ptr());
        raw.assume_init()
    };
    let duration = |time: libc::timeval| {
        Duration::from_secs(time.tv_sec.unsigned_abs())
            + Duration::from_micros(time.tv_usec.unsigned_abs())
    };
    Usage {
        user: duration(raw.ru_utime),
        system: duration(raw.ru_stime),
        peak_rss_kib: raw.ru_maxrss.unsigned_abs(),
    }
}

/// A limit of a process that it reaches at present (prlimit(2)).
///
/// # Errors
/// `ESRCH` if it is gone, `EPERM`.
pub fn limit_of(pid: u32, resource: Resource) -> Result<u64, Errno> {
    let pid = i32::try_from(pid).map_err(|_| Errno::ESRCH)?;
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: nothing is set, and `limit` is writable for the length of the call.
    let result = unsafe { libc::prlimit(pid, resource as _, std::ptr::null(), &raw mut limit) };
    Errno::result(result).map(|_| limit.rlim_cur)
}

/// A descriptor of a process, which becomes readable when the process has ended (`pidfd_open`(2)).
///
/// # Errors
/// `ESRCH` if it is gone, `EMFILE`.
pub fn process_descriptor(pid: u32) -> Result<OwnedFd, Errno> {
    // SAFETY: plain integers.
    let fd = Errno::result(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })?;
    // SAFETY: the call returned a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(as_int(fd)) })
}

/// `linux/pidfd.h`, the structure's first version.
#[repr(C)]
#[derive(Default)]
struct ProcessInfo {
    mask: u64,
    cgroup: u64,
    /// Of the process, its thread group and its parent, and of its user and groups.
    ids: [u32; 11],
    exit_code: i32,
}

/// `PIDFD_GET_INFO`, of what a mask says.
fn process_info(process: BorrowedFd<'_>, mask: u64) -> Result<ProcessInfo, Errno> {
    const _: () = assert!(size_of::<ProcessInfo>() == 64);
    const GET_INFO: libc::c_ulong = 0xc040_ff0b;
    let mut info = ProcessInfo { mask, ..ProcessInfo::default() };
    // SAFETY: `info` has the size that is part of the request, and is writable.
    let result = unsafe { libc::ioctl(process.as_raw_fd(), GET_INFO, &raw mut info) };
    Errno::result(result)?;
    if info.mask & mask == 0 { Err(Errno::ESRCH) } else { Ok(info) }
}

/// The number of a process's parent (`PIDFD_GET_INFO` with `PIDFD_INFO_PID`, Linux 6.13).
///
/// # Errors
/// `ENOTTY` or `EINVAL` on an older kernel, `ESRCH` if it is gone.
pub fn parent_of(process: BorrowedFd<'_>) -> Result<u32, Errno> {
    const PID: u64 = 1 << 0;
    let [_, _, parent, ..] = process_info(process, PID)?.ids;
    Ok(parent)
}

/// The wait status (wait(2)) of a process that has ended and has been waited for by its parent
/// (`PIDFD_GET_INFO` with `PIDFD_INFO_EXIT`, Linux 6.15).
///
/// # Errors
/// `ENOTTY` or `EINVAL` on an older kernel, `ESRCH` if nobody has waited for it yet.
pub fn exit_status(process: BorrowedFd<'_>) -> Result<i32, Errno> {
    const EXIT: u64 = 1 << 3;
    process_info(process, EXIT).map(|info| info.exit_code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_with_threads_is_not_forked() {
        let error = fork().unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EBUSY));
    }
}
