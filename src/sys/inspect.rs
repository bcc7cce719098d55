//! What the kernel says of an open file, as it says it: the bytes of its own structures, to be passed on to
//! who asked.

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd};

use libc::c_long;
use nix::errno::Errno;

/// Flags that only a path has a use for.
const OF_A_PATH: i32 = libc::AT_SYMLINK_NOFOLLOW | libc::AT_EMPTY_PATH;

/// An open file's `struct stat` (newfstatat(2)). Flags other than of paths count.
///
/// # Errors
/// As documented there.
pub fn stat(file: BorrowedFd<'_>, flags: i32) -> Result<Vec<u8>, Errno> {
    filled(size_of::<libc::stat>(), |buffer| {
        let flags = flags & !OF_A_PATH | libc::AT_EMPTY_PATH;
        // SAFETY: the path is a string, and `buffer` has room for the structure.
        unsafe {
            libc::syscall(libc::SYS_newfstatat, file.as_raw_fd(), c"".as_ptr(), buffer, flags)
        }
    })
}

/// An open file's `struct statx` (statx(2)).
///
/// # Errors
/// As documented there.
pub fn statx(file: BorrowedFd<'_>, flags: i32, mask: u32) -> Result<Vec<u8>, Errno> {
    filled(size_of::<libc::statx>(), |buffer| {
        let flags = flags & !OF_A_PATH | libc::AT_EMPTY_PATH;
        let (file, path) = (file.as_raw_fd(), c"".as_ptr());
        // SAFETY: the path is a string, and `buffer` has room for the structure.
        unsafe { libc::syscall(libc::SYS_statx, file, path, flags, mask, buffer) }
    })
}

/// The `struct statfs` of an open file's file system (statfs(2)).
///
/// # Errors
/// As documented there.
pub fn statfs(file: BorrowedFd<'_>) -> Result<Vec<u8>, Errno> {
    filled(size_of::<libc::statfs>(), |buffer| {
        // SAFETY: `buffer` has room for the structure.
        unsafe { libc::syscall(libc::SYS_fstatfs, file.as_raw_fd(), buffer) }
    })
}

/// Whether the caller could use an open file so (faccessat2(2)).
///
/// # Errors
/// As documented there.
pub fn access(file: BorrowedFd<'_>, mode: i32, flags: i32) -> Result<(), Errno> {
    let flags = flags & !OF_A_PATH | libc::AT_EMPTY_PATH;
    let (file, path) = (file.as_raw_fd(), c"".as_ptr());
    // SAFETY: the path is a string.
    let result = unsafe { libc::syscall(libc::SYS_faccessat2, file, path, mode, flags) };
    Errno::result(result).map(drop)
}

/// An extended attribute of what a path leads to (getxattr(2)); the names of all, if none is named
/// (listxattr(2)). No more than `size` bytes, and how many there are; with 0 only that.
///
/// # Errors
/// As documented there.
pub fn attribute(path: &CStr, name: Option<&CStr>, size: usize) -> Result<(Vec<u8>, usize), Errno> {
    let mut buffer = vec![0_u8; size];
    let into = buffer.as_mut_ptr();
    // SAFETY: the strings live through the call, and `buffer` is as long as is said.
    let length = unsafe {
        match name {
            Some(name) => libc::getxattr(path.as_ptr(), name.as_ptr(), into.cast(), size),
            None => libc::listxattr(path.as_ptr(), into.cast(), size),
        }
    };
    let length = usize::try_from(Errno::result(length)?).unwrap_or(0);
    buffer.truncate(length);
    Ok((buffer, length))
}

/// What a call writes that gets room for this many bytes.
fn filled(size: usize, call: impl FnOnce(*mut u8) -> c_long) -> Result<Vec<u8>, Errno> {
    let mut buffer = vec![0; size];
    Errno::result(call(buffer.as_mut_ptr()))?;
    Ok(buffer)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::os::fd::AsFd;
    use std::os::unix::fs::MetadataExt;

    use super::*;

    /// A number in a structure of the kernel's.
    fn number(bytes: &[u8], at: usize) -> u64 {
        u64::from_ne_bytes(bytes[at..at + 8].try_into().unwrap())
    }

    #[test]
    fn structures_are_the_kernels() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("f");
        fs::write(&path, "seven b").unwrap();
        let file = File::open(&path).unwrap();
        let metadata = file.metadata().unwrap();
        let stat = stat(file.as_fd(), libc::AT_SYMLINK_NOFOLLOW).unwrap();
        // Inode and size.
        assert_eq!((number(&stat, 8), number(&stat, 48)), (metadata.ino(), 7));
        let statx = statx(file.as_fd(), 0, libc::STATX_BASIC_STATS).unwrap();
        assert_eq!((number(&statx, 32), number(&statx, 40)), (metadata.ino(), 7));
        assert_eq!(statx.len(), 256);
        assert!(number(&statfs(file.as_fd()).unwrap(), 16) > 0, "blocks");
        assert_eq!(access(file.as_fd(), libc::R_OK, 0), Ok(()));
        assert_eq!(access(file.as_fd(), 8, 0), Err(Errno::EINVAL));
    }
}
