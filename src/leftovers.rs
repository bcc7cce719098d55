//! Files that a launcher or a shim was writing when it was killed.
//!
//! Each is written beside what it is to become, under a name that ends in the number of who writes it. Who
//! writes the same file next removes what the dead have left.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;

/// Removes what lies in a directory, is called `start` and a number, and whose process is gone. The caller
/// itself has written nothing yet: what has its number is another's, from before a restart of the machine
/// or the container.
pub fn remove(directory: &Path, start: &OsStr) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let number = name.as_bytes().strip_prefix(start.as_bytes());
        let pid = number.and_then(|number| str::from_utf8(number).ok()?.parse().ok());
        if pid.is_some_and(is_gone)
            && let Err(error) = fs::remove_file(entry.path())
        {
            tracing::debug!(%error, name = %name.display(), "a file of a killed process stays");
        }
    }
}

fn is_gone(pid: i32) -> bool {
    pid > 0
        && (pid.unsigned_abs() == std::process::id()
            || kill(Pid::from_raw(pid), None) == Err(Errno::ESRCH))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_dead_have_left_goes() {
        let dir = tempfile::tempdir().unwrap();
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        let (dead, own) = (child.id(), std::process::id());
        let parent = std::os::unix::process::parent_id();
        let left = [format!("a.{dead}"), format!("a.{own}")];
        let kept =
            [format!("a.{parent}"), format!("b.{dead}"), "a.0".into(), "a.-1".into(), "a.".into()];
        for name in left.iter().chain(&kept) {
            fs::write(dir.path().join(name), "").unwrap();
        }
        remove(dir.path(), OsStr::new("a."));
        assert!(left.iter().all(|name| !dir.path().join(name).exists()));
        assert!(kept.iter().all(|name| dir.path().join(name).exists()));
    }
}
