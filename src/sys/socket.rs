//! Sockets of other processes.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::errno::Errno;

use super::as_int;

/// The size of an `int`, and of a `sockaddr`.
const INT: libc::socklen_t = 4;
const ADDRESS: libc::socklen_t = 16;
const _: () = assert!(size_of::<libc::c_int>() == 4 && size_of::<libc::sockaddr>() == 16);

/// A descriptor of a thread's process, from which that thread's descriptors can be taken
/// (`pidfd_open`(2), `PIDFD_THREAD`; before Linux 6.9, of a process's first thread alone).
///
/// # Errors
/// `ESRCH` if it is gone, `EINVAL` on an older kernel, `EMFILE`.
pub fn thread_descriptor(thread: u32) -> Result<OwnedFd, Errno> {
    /// `linux/pidfd.h`
    const THREAD: libc::c_int = libc::O_EXCL;
    let open = |flags: libc::c_int| {
        // SAFETY: plain integers.
        Errno::result(unsafe { libc::syscall(libc::SYS_pidfd_open, thread, flags) })
    };
    let fd = match open(THREAD) {
        Err(Errno::EINVAL) => open(0)?,
        opened => opened?,
    };
    // SAFETY: the call returned a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(as_int(fd)) })
}

/// A duplicate of another process's descriptor (`pidfd_getfd(2)`).
///
/// # Errors
/// `EBADF` if it is not open there, `EPERM`, `ESRCH`, `EMFILE`.
pub fn descriptor_of(process: BorrowedFd<'_>, number: i32) -> Result<OwnedFd, Errno> {
    // SAFETY: plain integers.
    let fd = Errno::result(unsafe {
        libc::syscall(libc::SYS_pidfd_getfd, process.as_raw_fd(), number, 0)
    })?;
    // SAFETY: the call returned a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(as_int(fd)) })
}

/// A number that the kernel keeps of a socket (socket(7), `SO_DOMAIN` and its kin).
///
/// # Errors
/// `ENOTSOCK`, `ENOPROTOOPT`.
pub fn socket_option(socket: BorrowedFd<'_>, option: i32) -> Result<i32, Errno> {
    let mut value: libc::c_int = 0;
    let mut length = INT;
    // SAFETY: `value` is writable and as long as `length` says.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            option,
            (&raw mut value).cast(),
            &raw mut length,
        )
    };
    Errno::result(result).map(|_| value)
}

/// Dissolves a socket's connection (connect(2), `AF_UNSPEC`).
///
/// # Errors
/// Those of connect(2).
pub fn disconnect(socket: BorrowedFd<'_>) -> Result<(), Errno> {
    let address = libc::sockaddr {
        sa_family: libc::sa_family_t::try_from(libc::AF_UNSPEC).unwrap_or(0),
        sa_data: [0; 14],
    };
    let length = ADDRESS;
    // SAFETY: the kernel only reads `address`, which is as long as `length` says.
    let result = unsafe { libc::connect(socket.as_raw_fd(), &raw const address, length) };
    Errno::result(result).map(drop)
}
