//! The arguments of a call that wait in the memory of the process that made it.
//!
//! They are read once. A second thread can change them as long as the call waits, so what the warden
//! performs, it performs on what was read here, and nothing is read twice.

use std::ffi::CString;
use std::io;

use nix::errno::Errno;

use crate::sys::{self, Notification};

/// The longest path the kernel takes, its NUL included (limits.h, `PATH_MAX`).
const PATH_MAX: usize = 4096;

/// Where in a call's arguments a path stands: the directory descriptor's argument, if there is one,
/// and the path's.
#[derive(Clone, Copy, Debug)]
pub struct PathAt(pub Option<usize>, pub usize);

/// What a symbolic link at a path's end means.
#[derive(Clone, Copy, Debug)]
pub enum Link {
    /// What it leads to.
    Follow,
    /// Itself.
    Keep,
    /// What the flags in this argument say.
    Flags(usize),
}

impl Link {
    /// Whether a call follows a link at its path's end.
    #[must_use]
    pub fn is_followed(self, call: &Notification) -> bool {
        match self {
            Self::Follow => true,
            Self::Keep => false,
            Self::Flags(index) => {
                descriptor(call.arguments[index]) & libc::AT_SYMLINK_NOFOLLOW == 0
            }
        }
    }
}

/// A descriptor as an argument: an `int`, whatever stands in the upper half.
#[must_use]
pub fn descriptor(argument: u64) -> i32 {
    u32::try_from(argument & 0xffff_ffff).unwrap_or_default().cast_signed()
}

/// A path, as it stands in memory.
///
/// # Errors
/// As the kernel finds them: `EFAULT`, `ENAMETOOLONG`.
pub fn path(thread: u32, address: u64) -> Result<CString, Errno> {
    string(thread, address, PATH_MAX)
}

/// A string that ends within `most` bytes, its NUL included.
///
/// # Errors
/// `EFAULT` if it cannot be read, `ENAMETOOLONG` if it does not end.
pub fn string(thread: u32, mut address: u64, most: usize) -> Result<CString, Errno> {
    /// Most are shorter.
    const PIECE: usize = 256;
    /// The smallest page there is.
    const PAGE: usize = 4096;
    let mut bytes = Vec::new();
    while bytes.len() < most {
        // Never across a page's end: what lies behind it may not be mapped.
        let into = usize::try_from(address % PAGE as u64).map_err(|_| Errno::EFAULT)?;
        let length = PIECE.min(PAGE - into);
        let mut piece = [0; PIECE];
        let piece = &mut piece[..length];
        let read = sys::read_memory(thread, address, piece).map_err(|error| unreadable(&error))?;
        if let Some(end) = piece[..read].iter().position(|byte| *byte == 0) {
            bytes.extend_from_slice(&piece[..end]);
            if bytes.len() >= most {
                break;
            }
            return CString::new(bytes).map_err(|_| Errno::EFAULT);
        }
        bytes.extend_from_slice(&piece[..read]);
        address = address.checked_add(length as u64).ok_or(Errno::EFAULT)?;
    }
    Err(Errno::ENAMETOOLONG)
}

/// A process may close its memory to others (`prctl(2)`, `PR_SET_DUMPABLE`; a program that its user
/// cannot read): then the warden cannot know what it asks for, and it does not get it.
fn unreadable(error: &io::Error) -> Errno {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(errno @ (Errno::EPERM | Errno::ESRCH)) => errno,
        _ => Errno::EFAULT,
    }
}

/// As many bytes as `buffer` holds.
///
/// # Errors
/// `EFAULT` if not all of them can be read.
pub fn bytes(thread: u32, address: u64, buffer: &mut [u8]) -> Result<(), Errno> {
    match sys::read_memory(thread, address, buffer) {
        Ok(read) if read == buffer.len() => Ok(()),
        Ok(_) => Err(Errno::EFAULT),
        Err(error) => Err(unreadable(&error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_over_a_page_border_is_read() {
        let text = vec![b'a'; 3000];
        let mut memory = vec![0_u8; 3 * 4096];
        let border = 4096 - memory.as_ptr().addr() % 4096;
        let start = border + 4096 - 1500;
        memory[start..start + text.len()].copy_from_slice(&text);
        let at = memory[start..].as_ptr().expose_provenance() as u64;
        let pid = std::process::id();
        assert_eq!(string(pid, at, PATH_MAX).unwrap().to_bytes(), &text[..]);
        assert_eq!(string(pid, at, text.len() + 1).unwrap().to_bytes(), &text[..]);
        assert_eq!(string(pid, at, text.len()), Err(Errno::ENAMETOOLONG));
        assert_eq!(string(pid, 8, PATH_MAX), Err(Errno::EFAULT));
    }
}
