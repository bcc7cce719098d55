//! What the warden has to know of proc(5): which of its paths are not to be opened for a script.
//!
//! A process may always look at itself, and so the warden at its own `/proc` directory, where its
//! memory, its environment and its descriptors are: a path that leads there is refused, but for what
//! every process is told of every other.

use std::fs;
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::fcntl::AT_FDCWD;

use super::directories::Directories;
use super::found::{c_string, errno};
use super::hidden::Hidden;
use super::known::made::Made;
use super::outputs::Outputs;
use super::status::Status;
use crate::sys;

/// What the warden has to know of proc(5) on this machine.
#[derive(Debug)]
pub struct Procfs<'g> {
    /// Where else it is mounted: what lies there is refused.
    elsewhere: Vec<Vec<u8>>,
    /// What does not exist, there and elsewhere.
    pub hidden: Hidden<'g>,
    /// What of a directory is the script's own.
    pub outputs: Outputs<'g>,
    /// Where processes stand.
    pub directories: Directories,
    /// Names that are made.
    pub made: Made,
}

impl<'g> Procfs<'g> {
    /// Looks for mounts.
    ///
    /// # Errors
    /// If `/proc` is not there or is another process-id namespace's: then nothing can be said of a
    /// script's processes.
    pub fn read(hidden: Hidden<'g>, outputs: Outputs<'g>, made: Made) -> Result<Self, Errno> {
        let own = std::process::id().to_string();
        if fs::read_link("/proc/self").map_err(|error| errno(&error))? != *own {
            return Err(Errno::ESRCH);
        }
        // Fields: number, parent, device, root, mount point, …, "-", type (proc_pid_mountinfo(5)).
        let mounts = fs::read("/proc/self/mountinfo").map_err(|error| errno(&error))?;
        let elsewhere = mounts.split(|byte| *byte == b'\n').filter_map(|line| {
            let mut fields = line.split(|byte| *byte == b' ');
            let point = fields.nth(4)?;
            let kind = fields.skip_while(|field| *field != b"-").nth(1)?;
            let point = unescaped(point);
            (kind == b"proc" && !is_below(&point, b"/proc")).then_some(point)
        });
        Ok(Self {
            elsewhere: elsewhere.collect(),
            hidden,
            outputs,
            directories: Directories::default(),
            made,
        })
    }

    /// The same for another thread.
    #[must_use]
    pub fn another(&self) -> Self {
        Self {
            elsewhere: self.elsewhere.clone(),
            hidden: self.hidden,
            outputs: self.outputs.clone(),
            directories: self.directories.another(),
            made: self.made.clone(),
        }
    }

    /// Whether what lies at this real path is not to be opened for a script.
    #[must_use]
    pub fn is_refused(&self, path: &[u8]) -> bool {
        own(path).is_some_and(|name| !PUBLIC.contains(&name))
            || self.elsewhere.iter().any(|mount| is_below(path, mount))
    }
}

/// What of a process everybody may read (proc(5)).
const PUBLIC: &[&[u8]] =
    &[b"", b"/cgroup", b"/cmdline", b"/comm", b"/limits", b"/stat", b"/statm", b"/status"];

/// What is behind the directory of one of the warden's threads, if this real path is below it.
#[must_use]
pub fn own(path: &[u8]) -> Option<&[u8]> {
    let rest = path.strip_prefix(b"/proc/")?;
    let end = rest.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len());
    let (number, name) = rest.split_at(end);
    let thread = c_string([b"/proc/self/task/", number].concat());
    (end > 0 && sys::look(AT_FDCWD.as_raw_fd(), &thread, 0).is_ok()).then_some(name)
}

/// A field of such a file: blanks and the like are octal numbers there.
#[must_use]
pub fn unescaped(field: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, behind)) = rest.split_first() {
        let digits = behind.get(..3).and_then(|digits| str::from_utf8(digits).ok());
        let number = digits.and_then(|digits| u8::from_str_radix(digits, 8).ok());
        let (byte, after) = match number.filter(|_| *first == b'\\') {
            Some(number) => (number, &behind[3..]),
            None => (*first, behind),
        };
        bytes.push(byte);
        rest = after;
    }
    bytes
}

fn is_below(path: &[u8], directory: &[u8]) -> bool {
    path.strip_prefix(directory).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
}

/// The process that a thread belongs to.
///
/// # Errors
/// `ESRCH` if it is gone.
pub fn process_of(thread: u32) -> Result<u32, Errno> {
    Status::of(thread)?.number("Tgid:").ok_or(Errno::ESRCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_point_is_read_with_its_blanks() {
        assert_eq!(unescaped(br"/a\040b\134\9"), br"/a b\\9");
    }

    #[test]
    fn its_own_directory_is_refused_but_for_what_is_public() {
        let procfs = Procfs {
            elsewhere: vec![b"/x y".to_vec()],
            hidden: Hidden::default(),
            outputs: Outputs::default(),
            directories: Directories::default(),
            made: Made::default(),
        };
        let own = |name: &str| format!("/proc/{}{name}", std::process::id()).into_bytes();
        assert!(procfs.is_refused(&own("/mem")) && !procfs.is_refused(&own("/status")));
        assert!(procfs.is_refused(b"/x y/1/mem") && !procfs.is_refused(b"/x yz"));
    }
}
