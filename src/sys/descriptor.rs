//! Descriptors that were inherited, which nobody owns in the sense of [`OwnedFd`].

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use super::{as_int, check};

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

/// Whether a descriptor is open, is a pipe or fifo (fstat(2)), and was inherited: what this program opens
/// itself is closed on execution (fcntl(2), `FD_CLOEXEC`), and what was inherited cannot be.
#[must_use]
pub fn is_inherited_pipe(fd: RawFd) -> bool {
    // SAFETY: plain integers.
    if unsafe { libc::fcntl(fd, libc::F_GETFD) } & libc::FD_CLOEXEC != 0 {
        return false;
    }
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
