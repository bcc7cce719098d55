//! Killing and reaping whatever comes to a subreaper, without the help of signal scoping.
//!
//! For the warden below Landlock ABI 6, and for the supervisor whose warden was killed. A process
//! whose parent dies comes to the nearest subreaper above it (`prctl(2)`, `PR_SET_CHILD_SUBREAPER`), so
//! killing the children again and again ends the whole tree.

use std::fs;
use std::io;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::sys;

/// Kills every child and its orphans until none is left, and says how many were killed.
pub fn end_all() -> u64 {
    end_with(kill_children)
}

/// Reaps every child until none is left, calling `kill` before each wait, and says how many ended by
/// `SIGKILL`.
pub fn end_with(mut kill: impl FnMut()) -> u64 {
    let mut killed = 0;
    loop {
        kill();
        match sys::wait_any(true) {
            Ok(Some(waited)) if waited.status & 0x7f == libc::SIGKILL => killed += 1,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // ECHILD: nobody is left.
            Err(_) => return killed,
        }
    }
}

fn kill_children() {
    for child in children() {
        if let Err(errno) = kill(Pid::from_raw(child), Signal::SIGKILL) {
            tracing::trace!(%errno, child, "not killed");
        }
    }
}

/// The calling process's children, by the kernel's list or, where it keeps none
/// (`CONFIG_PROC_CHILDREN`), by looking at every process (`proc(5)`).
fn children() -> Vec<i32> {
    let own = std::process::id();
    if let Ok(list) = fs::read_to_string(format!("/proc/self/task/{own}/children")) {
        return list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect();
    }
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| parent_of(*pid) == Some(own)).collect()
}

fn parent_of(pid: i32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may itself hold blanks and parentheses.
    let (_, after_name) = stat.rsplit_once(')')?;
    after_name.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parent_of_this_process_is_read() {
        let own = i32::try_from(std::process::id()).unwrap();
        assert_eq!(parent_of(own), Some(std::os::unix::process::parent_id()));
    }
}
