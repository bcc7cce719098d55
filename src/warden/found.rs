//! A file that the warden has opened, and where it lies.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::fcntl::AT_FDCWD;
use nix::sys::stat::{SFlag, fstat};
use nix::unistd::{AccessFlags, access};

use crate::sys;

/// See the file's description.
#[derive(Debug)]
pub struct Found {
    /// Its descriptor.
    pub file: OwnedFd,
    /// Where it lies, free of symbolic links. Pipes and the like have a name that is no path.
    pub path: Vec<u8>,
}

impl Found {
    /// Asks the kernel where a file lies.
    ///
    /// # Errors
    /// Those of readlink(2).
    pub fn new(file: OwnedFd) -> Result<Self, Errno> {
        let path = real_path(file.as_raw_fd())?;
        Ok(Self { file, path })
    }
}

/// Flags of open(2), as openat2(2) takes them.
#[must_use]
pub fn flags(flags: i32) -> u64 {
    u64::from(flags.cast_unsigned())
}

/// To open a name for what it is, and nothing that is in it.
#[must_use]
pub fn path_only() -> u64 {
    flags(libc::O_PATH | libc::O_CLOEXEC)
}

/// Under which name the warden itself finds an open file.
#[must_use]
pub fn own_name(file: RawFd) -> CString {
    c_string(format!("/proc/self/fd/{file}").into_bytes())
}

/// Of bytes that come from a C string, or from us.
///
/// # Panics
/// At a NUL byte.
#[must_use]
pub fn c_string(bytes: Vec<u8>) -> CString {
    CString::new(bytes).expect("no NUL byte is in it")
}

/// Where an open file lies, free of symbolic links.
///
/// # Errors
/// Those of readlink(2).
pub fn real_path(file: RawFd) -> Result<Vec<u8>, Errno> {
    let mut buffer = [0; 4096];
    match sys::read_link(AT_FDCWD.as_raw_fd(), &own_name(file), &mut buffer) {
        // Nobody has granted anything in a directory of this name.
        Err(Errno::ENAMETOOLONG) => Ok(b"/(a path longer than 4095 bytes)".to_vec()),
        path => Ok(path?.to_vec()),
    }
}

/// Whether there is something of this name, be it only a link.
#[must_use]
pub fn is_there(path: &[u8]) -> bool {
    let keep = libc::AT_SYMLINK_NOFOLLOW;
    sys::look(AT_FDCWD.as_raw_fd(), &c_string(path.to_vec()), keep).is_ok()
}

/// The kernel's part of an error.
#[must_use]
pub fn errno(error: &io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}

/// An open file's type (inode(7)).
///
/// # Errors
/// Those of fstat(2).
pub fn kind(file: &OwnedFd) -> Result<SFlag, Errno> {
    Ok(SFlag::from_bits_truncate(fstat(file)?.st_mode) & SFlag::S_IFMT)
}

/// Opens a file or a directory for reading that was opened without access. To open anything else may do
/// more than that.
///
/// # Errors
/// Those of open(2), and `EACCES` of what is neither.
pub fn reopened(file: &OwnedFd) -> Result<OwnedFd, Errno> {
    match kind(file)? {
        SFlag::S_IFREG | SFlag::S_IFDIR => {
            let flags = flags(libc::O_RDONLY | libc::O_CLOEXEC);
            sys::open(libc::AT_FDCWD, &own_name(file.as_raw_fd()), flags, 0, 0)
        }
        SFlag::S_IFLNK => Err(Errno::ELOOP),
        _ => Err(Errno::EACCES),
    }
}

/// Whether an open file may be executed, as far as its mode says.
///
/// # Errors
/// `EACCES` if not.
pub fn may_execute(file: &OwnedFd) -> Result<(), Errno> {
    access(own_name(file.as_raw_fd()).as_c_str(), AccessFlags::X_OK)
}
