//! What does not exist for a script, because its policy hides it.
//!
//! The warden says `ENOENT` where Landlock would say `EACCES`, and where a call only looks. That gives
//! nothing: what Landlock refuses stays refused, whatever the answer is.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::status::Status;
use crate::policy::Grants;

/// See the file's description.
#[derive(Clone, Copy, Debug, Default)]
pub struct Hidden<'g> {
    grants: Option<&'g Grants>,
}

impl<'g> Hidden<'g> {
    /// What these grants hide.
    #[must_use]
    pub fn new(grants: &'g Grants) -> Self {
        Self { grants: grants.hides_something().then_some(grants) }
    }

    /// Whether nothing is hidden.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.grants.is_none()
    }

    /// Whether processes that are not the script's do not exist for it.
    #[must_use]
    pub fn hides_processes(&self) -> bool {
        self.grants.is_some_and(Grants::hides_processes)
    }

    /// Whether what is, or would be, at this real path does not exist for the script.
    #[must_use]
    pub fn hides(&self, path: &[u8]) -> bool {
        let Some(grants) = self.grants else { return false };
        let is_foreign = || process_in(path).is_some_and(|process| !is_of_script(process));
        grants.hides(Path::new(OsStr::from_bytes(path)))
            || (self.hides_processes() && (lists_processes(path) || is_foreign()))
    }

    /// Whether a directory is there, and what is in it is not to be seen: it lists all processes.
    #[must_use]
    pub fn hides_list(&self, path: &[u8]) -> bool {
        self.hides_processes() && path == b"/proc"
    }
}

/// Whether a file has the numbers of processes in it (proc(5), cgroups(7)).
fn lists_processes(path: &[u8]) -> bool {
    const OF_A_GROUP: [&[u8]; 3] = [b"cgroup.procs", b"cgroup.threads", b"tasks"];
    let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    path == b"/proc/locks"
        || path.starts_with(b"/proc/sysvipc/")
        || (path.starts_with(b"/sys/fs/cgroup/") && OF_A_GROUP.contains(&name))
}

/// The process or thread whose directory in proc(5) this path is or lies below.
fn process_in(path: &[u8]) -> Option<u32> {
    let rest = path.strip_prefix(b"/proc/")?;
    str::from_utf8(rest.split(|byte| *byte == b'/').next()?).ok()?.parse().ok()
}

/// Whether a process or thread is the script's: then it descends from the warden, which takes in those
/// whose parents are gone (prctl(2), `PR_SET_CHILD_SUBREAPER`).
#[must_use]
pub fn is_of_script(mut process: u32) -> bool {
    let warden = std::process::id();
    // Its number can be another's by the time that its parent is asked about: then it is gone.
    while process > 1 {
        let parent = Status::of(process).ok().and_then(|status| status.number("PPid:"));
        match parent {
            Some(parent) if parent == warden => return true,
            Some(parent) => process = parent,
            None => return false,
        }
    }
    false
}
