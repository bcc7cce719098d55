//! The arguments of a call that wait in the memory of the process that made it.
//!
//! They are read once. A second thread can change them as long as the call waits, so what the warden
//! performs, it performs on what was read here, and nothing is read twice.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use crate::sys::{self, Notification};

/// The longest path the kernel takes, its NUL included (limits.h, `PATH_MAX`).
const PATH_MAX: usize = 4096;

/// Where in a call's arguments a path stands: the directory descriptor's argument, if there is one,
/// and the path's.
#[derive(Clone, Copy, Debug)]
pub struct PathAt(pub Option<usize>, pub usize);

/// A descriptor as an argument: an `int`, whatever stands in the upper half.
#[must_use]
pub fn descriptor(argument: u64) -> i32 {
    u32::try_from(argument & 0xffff_ffff).unwrap_or_default().cast_signed()
}

/// The name under which everybody finds a process's open file (proc(5), "/proc/pid/fd/").
#[must_use]
pub fn descriptor_path(pid: u32, descriptor: i32) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/fd/{descriptor}"))
}

/// The path argument, made absolute as the calling process sees it. Through its working directory
/// and its descriptors themselves, which may have no other name any more.
///
/// # Errors
/// As the kernel finds them: `EFAULT`, `ENAMETOOLONG`, and `ENOENT` for an empty path.
pub fn path(
    notification: &Notification,
    PathAt(directory, path): PathAt,
) -> Result<PathBuf, Errno> {
    let pid = notification.pid;
    let path = PathBuf::from(string(pid, notification.arguments[path], PATH_MAX)?);
    if path.as_os_str().is_empty() {
        return Err(Errno::ENOENT);
    }
    if path.is_absolute() {
        return Ok(own_to_theirs(&path, pid));
    }
    let base = match directory.map(|index| descriptor(notification.arguments[index])) {
        None | Some(libc::AT_FDCWD) => PathBuf::from(format!("/proc/{pid}/cwd")),
        Some(directory) => descriptor_path(pid, directory),
    };
    Ok(base.join(path))
}

/// Names that mean something else to each process, in terms of the script's.
fn own_to_theirs(path: &Path, pid: u32) -> PathBuf {
    let replace = |prefix: &str, by: String| {
        path.strip_prefix(prefix).ok().map(|rest| Path::new(&by).join(rest))
    };
    replace("/proc/self", format!("/proc/{pid}"))
        .or_else(|| replace("/proc/thread-self", format!("/proc/{pid}")))
        .or_else(|| replace("/dev/fd", format!("/proc/{pid}/fd")))
        .or_else(|| replace("/dev/stdin", format!("/proc/{pid}/fd/0")))
        .or_else(|| replace("/dev/stdout", format!("/proc/{pid}/fd/1")))
        .or_else(|| replace("/dev/stderr", format!("/proc/{pid}/fd/2")))
        .unwrap_or_else(|| path.to_owned())
}

/// A string that ends within `most` bytes, its NUL included.
///
/// # Errors
/// `EFAULT` if it cannot be read, `ENAMETOOLONG` if it does not end.
pub fn string(pid: u32, mut address: u64, most: usize) -> Result<OsString, Errno> {
    const PAGE: u64 = 4096;
    let mut bytes = Vec::new();
    while bytes.len() < most {
        // Up to the page's end: what lies behind it may not be mapped.
        let length = usize::try_from(PAGE - address % PAGE).map_err(|_| Errno::EFAULT)?;
        let mut piece = [0; 4096];
        let read =
            sys::read_memory(pid, address, &mut piece[..length]).map_err(|_| Errno::EFAULT)?;
        if let Some(end) = piece[..read].iter().position(|byte| *byte == 0) {
            bytes.extend_from_slice(&piece[..end]);
            break;
        }
        bytes.extend_from_slice(&piece[..read]);
        address = address.checked_add(length as u64).ok_or(Errno::EFAULT)?;
    }
    if bytes.len() < most { Ok(OsString::from_vec(bytes)) } else { Err(Errno::ENAMETOOLONG) }
}

/// As many bytes as `buffer` holds.
///
/// # Errors
/// `EFAULT` if not all of them can be read.
pub fn bytes(pid: u32, address: u64, buffer: &mut [u8]) -> Result<(), Errno> {
    match sys::read_memory(pid, address, buffer) {
        Ok(read) if read == buffer.len() => Ok(()),
        _ => Err(Errno::EFAULT),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::ffi::OsStrExt;

    #[test]
    fn a_string_over_a_page_border_is_read() {
        let text = vec![b'a'; 3000];
        let mut memory = vec![0_u8; 3 * 4096];
        let border = 4096 - memory.as_ptr().addr() % 4096;
        let start = border + 4096 - 1500;
        memory[start..start + text.len()].copy_from_slice(&text);
        let at = memory[start..].as_ptr().expose_provenance() as u64;
        let pid = std::process::id();
        assert_eq!(string(pid, at, PATH_MAX).unwrap().as_bytes(), &text[..]);
        assert_eq!(string(pid, at, text.len() + 1).unwrap().as_bytes(), &text[..]);
        assert_eq!(string(pid, at, text.len()), Err(Errno::ENAMETOOLONG));
        assert_eq!(string(pid, 8, PATH_MAX), Err(Errno::EFAULT));
    }

    #[test]
    fn names_of_the_process_itself_are_translated() {
        assert_eq!(own_to_theirs(Path::new("/dev/fd/3"), 7), Path::new("/proc/7/fd/3"));
        assert_eq!(own_to_theirs(Path::new("/proc/self/maps"), 7), Path::new("/proc/7/maps"));
        assert_eq!(own_to_theirs(Path::new("/proc/selfish"), 7), Path::new("/proc/selfish"));
    }

    #[test]
    fn a_path_argument_is_relative_to_its_directory() {
        let at = c"Cargo.toml".as_ptr().expose_provenance() as u64;
        let directory = u64::from(libc::AT_FDCWD.cast_unsigned());
        let (id, pid, number) = (0, std::process::id(), libc::SYS_openat);
        let call = Notification { id, pid, number, arguments: [directory, at, 0, 0, 0, 0] };
        let path = path(&call, PathAt(Some(0), 1)).unwrap();
        let expected = std::env::current_dir().unwrap().join("Cargo.toml");
        assert_eq!(fs::canonicalize(path).unwrap(), expected);
    }
}
