//! The real path of a path, for the preloaded library (`src/preload/library.rs`).
//!
//! A program that asks the C library for it asks the kernel about each part of the path. One that has
//! the library loaded asks the warden, once: which opens the path as the caller would, and has the
//! kernel say where that is.

use std::ffi::CStr;
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::fcntl::AT_FDCWD;

use super::argument::PathAt;
use super::found;
use super::place::Place;
use super::procfs::Procfs;
use crate::sys::{self, Notification};

/// Writes the real path of the first argument to where the second says, if it fits into as many
/// bytes as the third says. Returns the path that was asked for, and the real one.
pub fn answer(call: &Notification, procfs: &Procfs) -> (Option<Vec<u8>>, Result<Vec<u8>, Errno>) {
    let place = match Place::of(call, PathAt(None, 0), procfs) {
        Ok(place) => place,
        Err(errno) => return (None, Err(errno)),
    };
    let result = write(call, procfs, &place);
    (Some(place.name(procfs)), result)
}

fn write(call: &Notification, procfs: &Procfs, place: &Place) -> Result<Vec<u8>, Errno> {
    let [_, to, size, ..] = call.arguments;
    let mut path = place.open(procfs, found::flags(libc::O_PATH | libc::O_CLOEXEC), 0)?.path;
    // A pipe has no path, and what is removed has none any more.
    if !path.starts_with(b"/") {
        return Err(Errno::ENOENT);
    }
    path.push(0);
    if path.len() as u64 > size {
        return Err(Errno::ENAMETOOLONG);
    }
    if path.ends_with(b" (deleted)\0") {
        let name = CStr::from_bytes_with_nul(&path).map_err(|_| Errno::ENOENT)?;
        sys::look(AT_FDCWD.as_raw_fd(), name, libc::AT_SYMLINK_NOFOLLOW)?;
    }
    match sys::write_memory(call.pid, to, &path) {
        Ok(written) if written == path.len() => {
            path.pop();
            Ok(path)
        }
        Ok(_) | Err(Errno::EFAULT) => Err(Errno::EFAULT),
        // Not everywhere may one process write into another (ptrace(2), Yama): then it has to do
        // without.
        Err(_) => Err(Errno::ENOSYS),
    }
}
