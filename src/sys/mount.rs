//! Mounts of the calling process's own mount namespace (`mount_namespaces`(7)).

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::errno::Errno;

use super::as_int;

/// A copy of the mount in which an open file lies, from there on and without what is mounted below: a bind
/// mount that is nowhere yet (`open_tree`(2), `OPEN_TREE_CLONE`).
///
/// # Errors
/// `EPERM` without the right to mount, others of `open_tree`(2).
pub fn clone_tree(file: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    let flags =
        libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC | libc::AT_EMPTY_PATH.cast_unsigned();
    // SAFETY: the string lives through the call; the kernel only reads it.
    let tree = unsafe { libc::syscall(libc::SYS_open_tree, file.as_raw_fd(), c"".as_ptr(), flags) };
    let tree = as_int(Errno::result(tree)?);
    // SAFETY: the call returned a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(tree) })
}

/// Puts such a copy over an open file (`move_mount`(2)).
///
/// # Errors
/// Those of `move_mount`(2), such as `ENOTDIR` for a directory over a file.
pub fn attach(tree: BorrowedFd<'_>, over: BorrowedFd<'_>) -> Result<(), Errno> {
    // SAFETY: both strings live through the call; the kernel only reads them.
    let moved = unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            tree.as_raw_fd(),
            c"".as_ptr(),
            over.as_raw_fd(),
            c"".as_ptr(),
            libc::MOVE_MOUNT_F_EMPTY_PATH | libc::MOVE_MOUNT_T_EMPTY_PATH,
        )
    };
    Errno::result(moved).map(drop)
}

/// Lets nobody write through such a copy (`mount_setattr`(2), `MOUNT_ATTR_RDONLY`).
///
/// # Errors
/// Those of `mount_setattr`(2).
pub fn make_read_only(tree: BorrowedFd<'_>) -> Result<(), Errno> {
    set_attributes(tree.as_raw_fd(), c"", libc::AT_EMPTY_PATH, libc::MOUNT_ATTR_RDONLY, 0)
}

/// Has nothing of what is mounted from now on seen in other mount namespaces (`mount_setattr`(2),
/// `MS_PRIVATE`).
///
/// # Errors
/// `EPERM` without the right to mount, others of `mount_setattr`(2).
pub fn make_all_private() -> Result<(), Errno> {
    set_attributes(libc::AT_FDCWD, c"/", libc::AT_RECURSIVE, 0, libc::MS_PRIVATE)
}

fn set_attributes(
    directory: i32,
    path: &CStr,
    flags: i32,
    set: u64,
    propagation: u64,
) -> Result<(), Errno> {
    let attributes = libc::mount_attr { attr_set: set, attr_clr: 0, propagation, userns_fd: 0 };
    // SAFETY: string and structure live through the call, which only reads them; the size is the
    // structure's.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            directory,
            path.as_ptr(),
            flags,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    Errno::result(result).map(drop)
}
