//! Files, by a directory and a path that is passed on as it is.

use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;

use super::{as_int, uninterrupted};

/// How many words a status has.
const STATUS: usize = size_of::<libc::statx>() / size_of::<u64>();

/// Opens a file (openat2(2)). `directory` is `AT_FDCWD` or a descriptor; it does not count for an
/// absolute path. Flags and resolve flags are passed as they are, also those that nobody knows.
///
/// # Errors
/// As documented there, but for `EINTR`.
pub fn open(
    directory: RawFd,
    path: &CStr,
    flags: u64,
    mode: u64,
    resolve: u64,
) -> Result<OwnedFd, Errno> {
    uninterrupted(|| open_once(directory, path, flags, mode, resolve))
}

/// As [`open`], until a signal comes.
///
/// # Errors
/// As documented there.
pub fn open_once(
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

/// What the mask asks for of the status of what is at a path, a link for itself, as the kernel writes it
/// (`statx`(2)).
///
/// # Errors
/// As documented there.
pub fn status(path: &CStr, mask: u32) -> Result<[u64; STATUS], Errno> {
    let mut words = [0; STATUS];
    // SAFETY: `path` lives through the call, and a `struct statx` has this size.
    let result = unsafe {
        let keep = libc::AT_SYMLINK_NOFOLLOW;
        let (path, words) = (path.as_ptr(), words.as_mut_ptr());
        libc::syscall(libc::SYS_statx, libc::AT_FDCWD, path, keep, mask, words)
    };
    Errno::result(result).map(|_| words)
}

/// Whether names that differ in upper and lower case are the same in an open directory
/// (`FS_CASEFOLD_FL`, `ioctl_iflags`(2)), as far as its file system has such flags.
#[must_use]
pub fn folds_case(directory: BorrowedFd<'_>) -> bool {
    const FOLDS_CASE: libc::c_long = 0x4000_0000;
    let mut flags: libc::c_long = 0;
    // SAFETY: the kernel writes an `int` or a `long` there.
    let result =
        unsafe { libc::ioctl(directory.as_raw_fd(), libc::FS_IOC_GETFLAGS, &raw mut flags) };
    result == 0 && flags & FOLDS_CASE != 0
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
