//! Calls that take the number of a process, where other processes are hidden.
//!
//! Such a call says whether there is a process of that number, and often more. The warden is asked where
//! the number is another than the caller's own 0; what it could not judge, because the number lies in memory
//! or in a lock, is refused.

use super::rule::{Action, Rule, bits, case, int};

/// The first argument is a process, or 0.
const FIRST: Rule = Rule::ByArguments(&[case(&[int(0, 0)], Action::Allow)], Action::Notify);
/// The second one is, or a group or a user.
const SECOND: Rule = Rule::ByArguments(&[case(&[int(1, 0)], Action::Allow)], Action::Notify);
/// A clock that is no process's or thread's is a positive number (`clock_getres`(2), "Dynamic clocks").
const CLOCK: Rule =
    Rule::ByArguments(&[case(&[bits(0, 1 << 31, 0)], Action::Allow)], Action::Notify);
/// As [`super::rule::FCNTL`], and besides `F_SETOWN` and `F_SETOWN_EX`.
const FCNTL: Rule = Rule::ByArguments(
    &[
        case(&[int(1, libc::F_NOTIFY)], Action::Deny(libc::EPERM)),
        case(&[int(1, libc::F_SETLEASE)], Action::Deny(libc::EPERM)),
        case(&[int(1, libc::F_SETOWN)], Action::Deny(libc::EPERM)),
        case(&[int(1, F_SETOWN_EX)], Action::Deny(libc::EPERM)),
        case(&[int(1, libc::F_OFD_SETLK)], Action::Notify),
        case(&[int(1, libc::F_OFD_SETLKW)], Action::Notify),
    ],
    Action::Allow,
);
/// `linux/fcntl.h`; libc has it not for every C library.
const F_SETOWN_EX: i32 = 15;
/// A lock that inherits priorities has its owner's number in it, and the kernel looks for that (futex(2),
/// `FUTEX_LOCK_PI`). ENOSYS is what a kernel without such locks says.
const FUTEX: Rule = Rule::ByArguments(
    &[
        case(&[bits(1, FUTEX_COMMAND, FUTEX_LOCK_PI)], Action::Deny(libc::ENOSYS)),
        case(&[bits(1, FUTEX_COMMAND, FUTEX_TRYLOCK_PI)], Action::Deny(libc::ENOSYS)),
        case(&[bits(1, FUTEX_COMMAND, FUTEX_CMP_REQUEUE_PI)], Action::Deny(libc::ENOSYS)),
        case(&[bits(1, FUTEX_COMMAND, FUTEX_LOCK_PI2)], Action::Deny(libc::ENOSYS)),
    ],
    Action::Allow,
);
/// `FUTEX_CMD_MASK` and the commands (`linux/futex.h`).
const FUTEX_COMMAND: u32 = !(128 | 256);
const FUTEX_LOCK_PI: u32 = 6;
const FUTEX_TRYLOCK_PI: u32 = 8;
const FUTEX_CMP_REQUEUE_PI: u32 = 12;
const FUTEX_LOCK_PI2: u32 = 13;

/// The rule of a call, by its name, if other processes are hidden; none if it says nothing of them.
#[must_use]
pub(super) fn rule(name: &str) -> Option<Rule> {
    Some(match name {
        "kill" | "tkill" | "tgkill" | "rt_sigqueueinfo" | "rt_tgsigqueueinfo" | "pidfd_open" => {
            Rule::Always(Action::Notify)
        }
        "getsid"
        | "getpgid"
        | "sched_getaffinity"
        | "sched_getattr"
        | "sched_getparam"
        | "sched_getscheduler"
        | "sched_rr_get_interval" => FIRST,
        "setpgid" | "getpriority" | "ioprio_get" => SECOND,
        "clock_getres" | "clock_gettime" | "clock_nanosleep" | "timer_create" => CLOCK,
        "fcntl" => FCNTL,
        "futex" => FUTEX,
        "capget" => Rule::Always(Action::Deny(libc::EPERM)),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::rule::Action::{Allow, Deny, Notify};
    use super::super::syscalls::TOPICS;
    use super::*;

    #[test]
    fn only_own_numbers_pass() {
        let pid = 4711;
        for (name, arguments, expected) in [
            ("getpgid", [0, 0], Allow),
            ("getpgid", [pid, 0], Notify),
            ("kill", [0, 0], Notify),
            ("setpgid", [0, 0], Allow),
            ("setpgid", [0, pid], Notify),
            ("getpriority", [0, 0], Allow),
            ("getpriority", [1, pid], Notify),
            ("clock_gettime", [1, 0], Allow),
            ("clock_gettime", [(-9_i64).cast_unsigned(), 0], Notify),
            ("fcntl", [0, libc::F_GETFL.unsigned_abs().into()], Allow),
            ("fcntl", [0, libc::F_SETOWN.unsigned_abs().into()], Deny(libc::EPERM)),
            // With FUTEX_PRIVATE_FLAG.
            ("futex", [0, 128], Allow),
            ("futex", [0, 128 | 6], Deny(libc::ENOSYS)),
            ("capget", [0, 0], Deny(libc::EPERM)),
        ] {
            let [first, second] = arguments;
            let action = rule(name).unwrap().action(&[first, second, 0, 0, 0, 0]);
            assert_eq!(action, expected, "{name} {arguments:?}");
        }
        assert_eq!(rule("read"), None);
    }

    #[test]
    fn every_rule_is_of_a_call_and_as_strict_as_the_table() {
        let names: Vec<&str> =
            TOPICS.iter().flat_map(|topic| topic.calls).map(|call| call.name).collect();
        let ruled = names.iter().filter(|name| rule(name).is_some()).count();
        assert_eq!(ruled, 23);
        // What the table refuses stays so.
        for call in TOPICS.iter().flat_map(|topic| topic.calls) {
            let Some(rule) = rule(call.name) else { continue };
            for second in [0, libc::F_NOTIFY, libc::F_SETLEASE, 6, i32::MAX] {
                let arguments = [0, second.unsigned_abs().into(), 0, 0, 0, 0];
                if matches!(call.rule.action(&arguments), Deny(_)) {
                    assert!(matches!(rule.action(&arguments), Deny(_)), "{} {second}", call.name);
                }
            }
        }
    }
}
