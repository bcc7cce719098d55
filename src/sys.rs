//! System calls that neither `std` nor `nix` offers in a safe form.
//!
//! The only file of the crate that contains `unsafe`. Every function here is safe to call, makes
//! one system call (or one libc call that wraps it), and says which man page or kernel document
//! describes it. It knows nothing of policies, units or records.

#![expect(
    unsafe_code,
    reason = "the one module that talks to the kernel where no safe wrapper exists"
)]

use std::ffi::{CStr, c_void};
use std::io;
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::resource::Resource;
use nix::sys::signal::{
    SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, Signal, pthread_sigmask, sigaction,
};

fn check(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// A result that the kernel documents to be an `int`.
fn as_int(value: libc::c_long) -> i32 {
    i32::try_from(value).expect("the kernel's documentation says that it is an int")
}

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

/// Closes every descriptor from 3 up, except those in `keep` (`close_range(2)`).
///
/// # Errors
/// The error of `close_range(2)`; `ENOSYS` below Linux 5.9.
pub fn close_descriptors_except(keep: &[RawFd]) -> io::Result<()> {
    let mut keep: Vec<u32> = keep.iter().filter_map(|fd| u32::try_from(*fd).ok()).collect();
    keep.sort_unstable();
    let mut first = 3;
    for fd in keep.into_iter().chain([u32::MAX]) {
        if fd > first {
            let last = if fd == u32::MAX { fd } else { fd - 1 };
            // SAFETY: plain integers; the caller is about to execute another program and no
            // longer uses what it closes.
            check(unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) })?;
        }
        first = first.max(fd.saturating_add(1));
    }
    Ok(())
}

/// Clears or sets close-on-exec of an inherited descriptor, and so also tells whether it is open
/// (fcntl(2), `F_SETFD`).
///
/// # Errors
/// `EBADF` if it is not open.
pub fn set_inheritable(fd: RawFd, inheritable: bool) -> io::Result<()> {
    let flags = if inheritable { 0 } else { libc::FD_CLOEXEC };
    // SAFETY: F_SETFD takes plain integers and touches no memory.
    check(libc::c_long::from(unsafe { libc::fcntl(fd, libc::F_SETFD, flags) })).map(drop)
}

/// Whether an inherited descriptor is open and is a pipe or fifo (fstat(2)).
#[must_use]
pub fn is_pipe(fd: RawFd) -> bool {
    let mut stat = MaybeUninit::<libc::stat>::uninit();
    // SAFETY: `stat` is writable and large enough; it is read only if the call succeeded.
    unsafe {
        libc::fstat(fd, stat.as_mut_ptr()) == 0
            && stat.assume_init().st_mode & libc::S_IFMT == libc::S_IFIFO
    }
}

/// The status flags of an inherited descriptor (fcntl(2), `F_GETFL`).
///
/// # Errors
/// `EBADF` if it is not open.
pub fn status_flags(fd: RawFd) -> io::Result<i32> {
    // SAFETY: plain integers.
    check(unsafe { libc::fcntl(fd, libc::F_GETFL) }.into()).map(as_int)
}

/// Sets the status flags of an inherited descriptor (fcntl(2), `F_SETFL`).
///
/// # Errors
/// `EBADF` if it is not open.
pub fn set_status_flags(fd: RawFd, flags: i32) -> io::Result<()> {
    // SAFETY: plain integers.
    check(unsafe { libc::fcntl(fd, libc::F_SETFL, flags) }.into()).map(drop)
}

/// How many bytes wait in an inherited pipe (`FIONREAD`, pipe(7)).
///
/// # Errors
/// `EBADF` if it is not open.
pub fn bytes_in_pipe(fd: RawFd) -> io::Result<usize> {
    let mut held = 0;
    // SAFETY: the kernel writes one int, which lives through the call.
    check(unsafe { libc::ioctl(fd, libc::FIONREAD, &raw mut held) }.into())?;
    Ok(usize::try_from(held).unwrap_or(0))
}

/// Reads from an inherited descriptor (read(2)).
///
/// # Errors
/// As documented there.
pub fn read_inherited(fd: RawFd, buffer: &mut [u8]) -> io::Result<usize> {
    // SAFETY: `buffer` is writable and as long as is said.
    let read = unsafe { libc::read(fd, buffer.as_mut_ptr().cast(), buffer.len()) };
    usize::try_from(read).map_err(|_| io::Error::last_os_error())
}

/// Takes ownership of a descriptor that the kernel has just made for this process and that nobody
/// else owns, such as one received in a message (unix(7), `SCM_RIGHTS`).
#[must_use]
pub fn own_descriptor(fd: RawFd) -> OwnedFd {
    // SAFETY: the caller got `fd` from the kernel a moment ago and gives it up by this call.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// Makes `new` refer to the same file as `old`, without close-on-exec (dup2(2)).
///
/// # Errors
/// The error of dup2(2).
pub fn duplicate_to(old: BorrowedFd<'_>, new: RawFd) -> io::Result<()> {
    if old.as_raw_fd() == new {
        return set_inheritable(new, true);
    }
    // SAFETY: `old` is open; whatever `new` was is replaced, which is what the caller asks for.
    check(libc::c_long::from(unsafe { libc::dup2(old.as_raw_fd(), new) })).map(drop)
}

/// Restores the default action of every signal that a handler or "ignore" was set for
/// (signal(7)): ignored signals are otherwise inherited through execve(2).
pub fn reset_signal_dispositions() {
    for signal in 1..=64 {
        // SAFETY: SIG_DFL is valid for every signal; SIGKILL, SIGSTOP and the two that libc keeps
        // for itself answer EINVAL, which is of no consequence.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

/// Has a signal end the system call that a thread waits in, and do nothing else (sigaction(2),
/// without `SA_RESTART`).
///
/// # Errors
/// The error of sigaction(2).
pub fn let_interrupt(signal: Signal) -> Result<(), Errno> {
    extern "C" fn nothing(_: libc::c_int) {}
    let action = SigAction::new(SigHandler::Handler(nothing), SaFlags::empty(), SigSet::empty());
    // SAFETY: the handler does nothing, so whatever it interrupts is not harmed.
    unsafe { sigaction(signal, &action) }.map(drop)
}

/// Ignores a signal, until [`reset_signal_dispositions`] (signal(2)).
///
/// # Errors
/// `EINVAL` for a signal that cannot be ignored.
pub fn ignore(signal: Signal) -> Result<(), Errno> {
    let action = SigAction::new(SigHandler::SigIgn, SaFlags::empty(), SigSet::empty());
    // SAFETY: no handler of ours runs.
    unsafe { sigaction(signal, &action) }.map(drop)
}

/// The Landlock ABI of the running kernel: 1 or more, or 0 if Landlock is missing or switched off.
#[must_use]
pub fn landlock_abi() -> i32 {
    landlock_version().unwrap_or(0).max(0)
}

/// The Landlock ABI of the running kernel (`landlock_create_ruleset(2)` with
/// `LANDLOCK_CREATE_RULESET_VERSION`).
///
/// # Errors
/// `ENOSYS` if the kernel has no Landlock, `EOPNOTSUPP` if it is switched off.
pub fn landlock_version() -> Result<i32, Errno> {
    const CREATE_RULESET_VERSION: libc::c_uint = 1;
    // SAFETY: with this flag the kernel takes a null pointer and size 0 and creates nothing.
    let abi = Errno::result(unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            std::ptr::null::<c_void>(),
            0_usize,
            CREATE_RULESET_VERSION,
        )
    })?;
    Ok(as_int(abi))
}

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
    let result = unsafe {
        libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, &raw const response)
    };
    Errno::result(result).map(drop)
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
    Errno::result(unsafe {
        libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_ADDFD, &raw const addition)
    })
}

/// Whether the caller of a notification still waits for its answer
/// (`SECCOMP_IOCTL_NOTIF_ID_VALID`).
#[must_use]
pub fn is_waiting(listener: BorrowedFd<'_>, id: u64) -> bool {
    // SAFETY: the kernel only reads `id`, which lives through the call.
    let result = unsafe {
        libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_ID_VALID, &raw const id)
    };
    result == 0
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

/// Reads up to `buffer.len()` bytes of another process's memory (`process_vm_readv(2)`).
///
/// # Errors
/// `EFAULT` if nothing is mapped there, `ESRCH` if the process is gone, `EPERM`.
pub fn read_memory(pid: u32, address: u64, buffer: &mut [u8]) -> io::Result<usize> {
    let local = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let remote = libc::iovec {
        iov_base: std::ptr::with_exposed_provenance_mut(
            usize::try_from(address).map_err(|_| io::Error::from_raw_os_error(libc::EFAULT))?,
        ),
        iov_len: buffer.len(),
    };
    let pid = i32::try_from(pid).map_err(|_| io::Error::from_raw_os_error(libc::ESRCH))?;
    // SAFETY: `local` describes `buffer`, which is writable; `remote` is only ever read, in the
    // other process, and checked there by the kernel.
    let read = unsafe { libc::process_vm_readv(pid, &raw const local, 1, &raw const remote, 1, 0) };
    usize::try_from(read).map_err(|_| io::Error::last_os_error())
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

/// The wait status (wait(2)) of a process that has ended and has been waited for by its parent
/// (`PIDFD_GET_INFO` with `PIDFD_INFO_EXIT`, Linux 6.15).
///
/// # Errors
/// `ENOTTY` or `EINVAL` on an older kernel, `ESRCH` if nobody has waited for it yet.
pub fn exit_status(process: BorrowedFd<'_>) -> Result<i32, Errno> {
    // `linux/pidfd.h`, the structure's first version.
    #[repr(C)]
    #[derive(Default)]
    struct Info {
        mask: u64,
        cgroup: u64,
        ids: [u32; 11],
        exit_code: i32,
    }
    const _: () = assert!(size_of::<Info>() == 64);
    const GET_INFO: libc::c_ulong = 0xc040_ff0b;
    const EXIT: u64 = 1 << 3;
    let mut info = Info { mask: EXIT, ..Info::default() };
    // SAFETY: `info` has the size that is part of the request, and is writable.
    let result = unsafe { libc::ioctl(process.as_raw_fd(), GET_INFO, &raw mut info) };
    Errno::result(result)?;
    if info.mask & EXIT == 0 { Err(Errno::ESRCH) } else { Ok(info.exit_code) }
}

/// Opens a file (openat2(2)). `directory` is `AT_FDCWD` or a descriptor; it does not count for an
/// absolute path. Flags and resolve flags are passed as they are, also those that nobody knows.
///
/// # Errors
/// As documented there.
pub fn open(
    directory: RawFd,
    path: &CStr,
    flags: u64,
    mode: u64,
    resolve: u64,
) -> Result<OwnedFd, Errno> {
    // SAFETY: all fields are integers, for which zero is a value.
    let mut how: libc::open_how = unsafe { std::mem::zeroed() };
    (how.flags, how.mode, how.resolve) = (flags, mode, resolve);
    // SAFETY: `path` and `how` live through the call, `how` has the size that is said.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_openat2,
            directory,
            path.as_ptr(),
            &raw const how,
            size_of::<libc::open_how>(),
        )
    };
    let fd = Errno::result(fd)?;
    // SAFETY: the call returned a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(as_int(fd)) })
}

/// Renames a file (renameat2(2)), with flags passed as they are.
///
/// # Errors
/// As documented there.
pub fn rename(from: (RawFd, &CStr), to: (RawFd, &CStr), flags: u32) -> Result<(), Errno> {
    // SAFETY: both strings live through the call.
    let result = unsafe {
        libc::syscall(libc::SYS_renameat2, from.0, from.1.as_ptr(), to.0, to.1.as_ptr(), flags)
    };
    Errno::result(result).map(drop)
}

/// What a symbolic link says, into a buffer (readlinkat(2)).
///
/// # Errors
/// As documented there; `EINVAL` for what is no link.
pub fn read_link<'a>(
    directory: RawFd,
    path: &CStr,
    buffer: &'a mut [u8],
) -> Result<&'a [u8], Errno> {
    // SAFETY: `path` lives through the call, and `buffer` is as long as is said.
    let length = unsafe {
        libc::readlinkat(directory, path.as_ptr(), buffer.as_mut_ptr().cast(), buffer.len())
    };
    let length = usize::try_from(Errno::result(length)?).unwrap_or(0);
    Ok(&buffer[..length])
}

/// Whether there is something at a path (fstatat(2)); the flags say whether a symbolic link at its
/// end is followed.
///
/// # Errors
/// As documented there.
pub fn look(directory: RawFd, path: &CStr, flags: i32) -> Result<(), Errno> {
    let mut stat = MaybeUninit::<libc::stat>::uninit();
    // SAFETY: `path` lives through the call, `stat` is writable and large enough.
    let result = unsafe { libc::fstatat(directory, path.as_ptr(), stat.as_mut_ptr(), flags) };
    Errno::result(result).map(drop)
}

/// Writes bytes into another process's memory (`process_vm_writev(2)`), and says how many.
///
/// # Errors
/// `EFAULT` if nothing can be written there, `ESRCH` if the process is gone, `EPERM`.
pub fn write_memory(pid: u32, address: u64, bytes: &[u8]) -> Result<usize, Errno> {
    let pid = i32::try_from(pid).map_err(|_| Errno::ESRCH)?;
    let local = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    let address = usize::try_from(address).map_err(|_| Errno::EFAULT)?;
    let remote = libc::iovec {
        iov_base: std::ptr::with_exposed_provenance_mut(address),
        iov_len: bytes.len(),
    };
    // SAFETY: `local` describes `bytes`, which is only read; `remote` is only written in the other
    // process, and checked there by the kernel.
    let written =
        unsafe { libc::process_vm_writev(pid, &raw const local, 1, &raw const remote, 1, 0) };
    Errno::result(written).map(|written| usize::try_from(written).unwrap_or(0))
}

/// Sets an extended attribute of what a path leads to (setxattr(2)).
///
/// # Errors
/// As documented there.
pub fn set_attribute(path: &CStr, name: &CStr, value: &[u8], flags: i32) -> Result<(), Errno> {
    // SAFETY: all pointers lead to values that live through the call, and `value` has this length.
    let result = unsafe {
        libc::setxattr(path.as_ptr(), name.as_ptr(), value.as_ptr().cast(), value.len(), flags)
    };
    Errno::result(result).map(drop)
}

/// Removes an extended attribute of what a path leads to (removexattr(2)).
///
/// # Errors
/// As documented there.
pub fn remove_attribute(path: &CStr, name: &CStr) -> Result<(), Errno> {
    // SAFETY: both pointers lead to strings that live through the call.
    Errno::result(unsafe { libc::removexattr(path.as_ptr(), name.as_ptr()) }).map(drop)
}

const _: () = assert!(size_of::<libc::seccomp_notif>() == 80);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_its_own_memory() {
        let source = *b"an exact copy";
        let mut buffer = [0; 13];
        let read = read_memory(std::process::id(), source.as_ptr().addr() as u64, &mut buffer);
        assert_eq!(read.unwrap(), 13);
        assert_eq!(buffer, source);
    }

    #[test]
    fn unmapped_memory_is_an_error() {
        let error = read_memory(std::process::id(), 8, &mut [0; 4]).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EFAULT));
    }

    #[test]
    fn a_process_with_threads_is_not_forked() {
        let error = fork().unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EBUSY));
    }
}
