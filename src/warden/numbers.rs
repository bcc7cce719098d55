//! Calls that take the number of a process, where other processes are hidden.
//!
//! Another's number is as one that nobody has. The numbers are in the call itself, so nobody can change them
//! after they were judged.

use std::fs;

use nix::errno::Errno;
use nix::unistd::{Pid, getpgid};

use super::argument;
use super::hidden::is_of_script;
use crate::sys::{Answer, Notification};

/// What a call's number is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Of {
    /// A process or thread.
    Process(i32),
    /// A group of processes.
    Group(i32),
    /// A user's processes, of which many are not the script's.
    User,
    /// Nothing that is hidden.
    Nothing,
}

/// What to answer a call that takes a process's number; none if it is not such a call.
#[must_use]
pub fn answer(call: &Notification) -> Option<Answer> {
    let number = |index: usize| argument::descriptor(call.arguments[index]);
    let (of, missing) = match call.number {
        libc::SYS_kill => (by_sign(number(0)), Errno::ESRCH),
        libc::SYS_getpriority => (by_kind(number(0), number(1)), Errno::ESRCH),
        // These count from 1 (`ioprio_set`(2)).
        libc::SYS_ioprio_get => (by_kind(number(0).wrapping_sub(1), number(1)), Errno::ESRCH),
        libc::SYS_setpgid => {
            let (process, group) = (number(0), number(1));
            (if group == process { Of::Nothing } else { Of::Group(group) }, Errno::EPERM)
        }
        libc::SYS_clock_getres
        | libc::SYS_clock_gettime
        | libc::SYS_clock_nanosleep
        | libc::SYS_timer_create => (by_clock(number(0)), Errno::EINVAL),
        libc::SYS_tkill
        | libc::SYS_tgkill
        | libc::SYS_rt_sigqueueinfo
        | libc::SYS_rt_tgsigqueueinfo
        | libc::SYS_pidfd_open
        | libc::SYS_getsid
        | libc::SYS_getpgid
        | libc::SYS_sched_getaffinity
        | libc::SYS_sched_getattr
        | libc::SYS_sched_getparam
        | libc::SYS_sched_getscheduler
        | libc::SYS_sched_rr_get_interval => (Of::Process(number(0)), Errno::ESRCH),
        _ => return None,
    };
    let is_known = match of {
        // Of what no process can have, the kernel says so.
        Of::Process(process) => {
            u32::try_from(process).map_or(true, |process| process == 0 || is_of_script(process))
        }
        Of::Group(group) => group <= 0 || has_group(group),
        Of::User => false,
        Of::Nothing => true,
    };
    Some(if is_known { Answer::Continue } else { Answer::Fail(missing) })
}

/// As of kill(2).
fn by_sign(number: i32) -> Of {
    match number {
        // Its own group, and all that it may signal.
        0 | -1 | i32::MIN => Of::Nothing,
        1.. => Of::Process(number),
        _ => Of::Group(-number),
    }
}

/// As of getpriority(2).
fn by_kind(kind: i32, number: i32) -> Of {
    match kind {
        0 => Of::Process(number),
        1 => Of::Group(number),
        2 => Of::User,
        _ => Of::Nothing,
    }
}

/// Whose CPU clock this is (`clock_getres`(2), "Dynamic clocks"; `CPUCLOCK_PID` in the kernel's
/// `include/linux/posix-timers_types.h`).
fn by_clock(clock: i32) -> Of {
    const OF_A_FILE: i32 = 3;
    if clock >= 0 || clock & 7 == OF_A_FILE { Of::Nothing } else { Of::Process(!(clock >> 3)) }
}

/// Whether a process of the script's is in a group.
fn has_group(group: i32) -> bool {
    let is_in = |process: &u32| {
        let pid = i32::try_from(*process).ok().map(Pid::from_raw);
        pid.is_some_and(|pid| getpgid(Some(pid)) == Ok(Pid::from_raw(group)))
    };
    let Ok(all) = fs::read_dir("/proc") else { return false };
    let processes = all.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    processes.filter(is_in).any(is_of_script)
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt;
    use std::process::Command;

    use super::*;

    #[test]
    fn a_number_is_of_what_the_manual_says() {
        assert_eq!(by_sign(7), Of::Process(7));
        assert_eq!(by_sign(-7), Of::Group(7));
        assert_eq!(
            (by_sign(0), by_sign(-1), by_sign(i32::MIN)),
            (Of::Nothing, Of::Nothing, Of::Nothing)
        );
        assert_eq!(
            (by_kind(0, 7), by_kind(1, 7), by_kind(2, 7)),
            (Of::Process(7), Of::Group(7), Of::User)
        );
        // The process's clock, and a thread's.
        assert_eq!(by_clock(!7 << 3 | 2), Of::Process(7));
        assert_eq!(by_clock(!7 << 3 | 4 | 2), Of::Process(7));
        assert_eq!((by_clock(1), by_clock(!7 << 3 | 3)), (Of::Nothing, Of::Nothing));
    }

    #[test]
    fn groups_are_looked_for_among_the_scripts_processes() {
        // This process is none of those, and its child is.
        assert!(!has_group(nix::unistd::getpgrp().as_raw()));
        let mut child = Command::new("sleep").arg("600").process_group(0).spawn().unwrap();
        let group = i32::try_from(child.id()).unwrap();
        let is_known = has_group(group);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(is_known && !has_group(group));
    }
}
