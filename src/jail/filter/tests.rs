//! Tests of [`super`]: the program against its table, in an interpreter; and, in a file of their own, in the
//! kernel.

mod in_kernel;

use libc::{c_int, c_long, sock_filter};

use super::super::rule::{Action, Comparison, HAND_OVER, Rule};
use super::super::syscalls::{Architecture, TOPICS, find};
use super::{Asks, Code, Hides, Program, compile, compile_for, data, load, ranges, seal};

const BOTH: [Architecture; 2] = [Architecture::X86_64, Architecture::Aarch64];
const EPERM: Action = Action::Deny(libc::EPERM);
const ENOSYS: Action = Action::Deny(libc::ENOSYS);
/// Bits that the kernel drops from an `int` argument.
const HIGH: u64 = 0xdead_beef_0000_0000;

/// Runs a program as the kernel does, with the instructions that `seccomp_check_filter` admits
/// and that are used here. Returns the answer and how many instructions it took.
fn interpret(
    program: &[sock_filter],
    audit: u32,
    number: u32,
    arguments: &[u64; 6],
) -> (Action, usize) {
    let mut data = Vec::new();
    data.extend(number.to_le_bytes());
    data.extend(audit.to_le_bytes());
    data.extend(0xffff_f000_1234_5678_u64.to_le_bytes());
    data.extend(arguments.iter().flat_map(|argument| argument.to_le_bytes()));
    let (mut accumulator, mut at, mut steps) = (0, 0, 0);
    loop {
        let sock_filter { code, jt, jf, k } = program[at];
        at += 1;
        steps += 1;
        let choose = |condition| usize::from(if condition { jt } else { jf });
        match code {
            0x20 => {
                let offset = usize::try_from(k).expect("an offset");
                let word = data[offset..offset + 4].try_into().expect("four bytes");
                accumulator = u32::from_le_bytes(word);
            }
            0x54 => accumulator &= k,
            0x05 => at += usize::try_from(k).expect("a distance"),
            0x15 => at += choose(accumulator == k),
            0x35 => at += choose(accumulator >= k),
            0x06 => {
                let action = match k & libc::SECCOMP_RET_ACTION_FULL {
                    libc::SECCOMP_RET_ALLOW => Action::Allow,
                    libc::SECCOMP_RET_USER_NOTIF => Action::Notify,
                    libc::SECCOMP_RET_ERRNO => {
                        Action::Deny(c_int::try_from(k & 0xffff).expect("16 bits"))
                    }
                    other => panic!("unknown answer {other:#x}"),
                };
                return (action, steps);
            }
            other => panic!("unknown operation {other:#x}"),
        }
    }
}

/// What the program answers to a call, which has to exist, with these first arguments and
/// zeros.
fn answer(architecture: Architecture, name: &str, arguments: &[u64]) -> Action {
    let number = TOPICS
        .iter()
        .flat_map(|topic| topic.calls)
        .find(|call| call.name == name)
        .and_then(|call| call.number(architecture))
        .unwrap_or_else(|| panic!("{architecture:?} has no {name}"));
    let program = compile_for(architecture, Asks::default());
    interpret(program.instructions(), architecture.audit(), number, &six(arguments)).0
}

fn six(arguments: &[u64]) -> [u64; 6] {
    let mut six = [0; 6];
    six[..arguments.len()].copy_from_slice(arguments);
    six
}

/// Arguments on both sides of every comparison of a rule, with and without bits that do not
/// count.
fn around(rule: &Rule) -> Vec<[u64; 6]> {
    let mut all = vec![[0; 6], [u64::MAX; 6]];
    let Rule::ByArguments(cases, _) = rule else {
        return all;
    };
    let base: Vec<_> = cases
        .iter()
        .map(|case| {
            let mut arguments = [0; 6];
            for comparison in case.when {
                arguments[usize::from(comparison.argument)] = comparison.value;
            }
            arguments
        })
        .chain(all.clone())
        .collect();
    for Comparison { argument, mask, value } in cases.iter().flat_map(|case| case.when) {
        let near = [0, 1, 7, 31, 32, 63].map(|bit| value ^ (1 << bit));
        for near in near.into_iter().chain([*value, value | !mask, value | HIGH]) {
            all.extend(base.iter().map(|arguments| {
                let mut arguments = *arguments;
                arguments[usize::from(*argument)] = near;
                arguments
            }));
        }
    }
    all
}

#[test]
fn program_agrees_with_the_table() {
    for architecture in BOTH {
        let program = compile_for(architecture, Asks::default());
        let own = crate::preload::protocol::NUMBER;
        let edges = [
            own - 1,
            own,
            own + 1,
            own | 0x4000_0000,
            0x4000_0000,
            0x4000_003b,
            0x7fff_ffff,
            0x8000_0000,
            u32::MAX,
        ];
        for number in (0..1024).chain(edges) {
            let rule =
                find(architecture, number).map_or(Rule::Always(ENOSYS), |(_, call)| call.rule);
            for arguments in around(&rule) {
                assert_eq!(
                    interpret(program.instructions(), architecture.audit(), number, &arguments).0,
                    rule.action(&arguments),
                    "{architecture:?} {number} {arguments:x?}"
                );
            }
        }
    }
}

#[test]
fn program_is_short_and_shallow() {
    for architecture in BOTH {
        let program = compile_for(architecture, Asks::default());
        let length = program.instructions().len();
        assert!(length <= 512, "{length}");
        let steps = (0..512)
            .map(|number| {
                interpret(program.instructions(), architecture.audit(), number, &[7; 6]).1
            })
            .max();
        assert!(steps <= Some(64), "{steps:?}");
        assert_eq!(ranges(architecture, Asks::default())[0].first, 0);
    }
}

#[test]
fn other_entries_do_not_exist() {
    const I386: u32 = 0x4000_0003;
    const ARM: u32 = 0x4000_0028;
    for architecture in BOTH {
        let program = compile_for(architecture, Asks::default());
        for audit in [0, I386, ARM, architecture.audit() ^ 0x8000_0000, u32::MAX] {
            for number in [0, 1, 11, 20, 102, 295] {
                let (action, _) = interpret(program.instructions(), audit, number, &[0; 6]);
                assert_eq!(action, ENOSYS, "{audit:#x} {number}");
            }
        }
    }
    // x32: read, open, execve, io_uring_setup and x32's own execve; its own numbers without the
    // bit as well.
    let program = compile_for(Architecture::X86_64, Asks::default());
    let x32 = [0, 2, 59, 425, 520].map(|number| 0x4000_0000 | number);
    for number in x32.into_iter().chain(512..=547) {
        let audit = Architecture::X86_64.audit();
        let (action, _) = interpret(program.instructions(), audit, number, &[0; 6]);
        assert_eq!(action, ENOSYS, "{number:#x}");
    }
}

#[test]
fn a_policy_asks_for_more_than_the_table() {
    let answer = |asks: Asks, number: c_long, arguments: &[u64]| {
        let number = u32::try_from(number).unwrap();
        let program = compile(asks);
        let native = Architecture::NATIVE.audit();
        interpret(program.instructions(), native, number, &six(arguments)).0
    };
    let empty_path = [0, 0, 0, libc::AT_EMPTY_PATH.unsigned_abs().into()];
    let hides = Asks { hides: Hides::Paths, ..Asks::default() };
    assert_eq!(answer(Asks::default(), libc::SYS_newfstatat, &empty_path), Action::Allow);
    assert_eq!(answer(hides, libc::SYS_newfstatat, &empty_path), Action::Notify);
    assert_eq!(answer(hides, libc::SYS_kill, &[1]), Action::Allow);
    let hides = Asks { hides: Hides::Processes, ..Asks::default() };
    assert_eq!(answer(hides, libc::SYS_newfstatat, &empty_path), Action::Notify);
    assert_eq!(answer(hides, libc::SYS_kill, &[1]), Action::Notify);
    let network = Asks { sockets: true, ..Asks::default() };
    assert_eq!(answer(Asks::default(), libc::SYS_listen, &[]), Action::Allow);
    assert_eq!(answer(network, libc::SYS_listen, &[]), Action::Deny(libc::EACCES));
}

#[test]
fn the_seal_refuses_what_hands_the_listener_over_and_nothing_else() {
    let program = seal();
    let answer = |number: c_long, flags: c_int| {
        let number = u32::try_from(number).unwrap();
        let arguments = six(&[0, 0, flags.unsigned_abs().into()]);
        interpret(program.instructions(), Architecture::NATIVE.audit(), number, &arguments).0
    };
    assert_eq!(answer(libc::SYS_sendmsg, HAND_OVER), Action::Deny(libc::EPERM));
    assert_eq!(answer(libc::SYS_sendmsg, 0), Action::Allow);
    for number in 0..1000 {
        let expected = number != libc::SYS_sendmsg;
        assert_eq!(answer(number, HAND_OVER) == Action::Allow, expected, "{number}");
    }
}

#[test]
fn unknown_calls_do_not_exist() {
    for architecture in BOTH {
        let program = compile_for(architecture, Asks::default());
        for number in [340, 400, 423, 472, 473, 1000, u32::MAX] {
            let (action, _) =
                interpret(program.instructions(), architecture.audit(), number, &[0; 6]);
            assert_eq!(action, ENOSYS, "{number}");
        }
    }
}

#[test]
fn process_arguments_count_in_their_lower_half() {
    for architecture in BOTH {
        let answer = |name, arguments: &[u64]| answer(architecture, name, arguments);
        for high in [0, HIGH] {
            for name in [
                "prlimit64",
                "sched_setaffinity",
                "sched_setscheduler",
                "sched_setparam",
                "sched_setattr",
                "get_robust_list",
            ] {
                assert_eq!(answer(name, &[high]), Action::Allow, "{name}");
                assert_eq!(answer(name, &[high | 1]), EPERM, "{name}");
                assert_eq!(answer(name, &[high | 0xffff_ffff]), EPERM, "{name}");
            }
            // PRIO_PROCESS, PRIO_PGRP and PRIO_USER; IOPRIO_WHO_PROCESS and IOPRIO_WHO_PGRP.
            assert_eq!(answer("setpriority", &[high, high]), Action::Allow);
            assert_eq!(answer("setpriority", &[high, high | 0x1267]), EPERM);
            assert_eq!(answer("setpriority", &[high | 1, high]), EPERM);
            assert_eq!(answer("setpriority", &[high | 2, high]), EPERM);
            assert_eq!(answer("ioprio_set", &[high | 1, high]), Action::Allow);
            assert_eq!(answer("ioprio_set", &[high | 1, high | 0x1267]), EPERM);
            assert_eq!(answer("ioprio_set", &[high | 2, high]), EPERM);
        }
    }
}

#[test]
fn requests_and_options_count_in_their_lower_half() {
    for architecture in BOTH {
        let answer = |name, arguments: &[u64]| answer(architecture, name, arguments);
        for high in [0, HIGH] {
            // TIOCSTI, TIOCLINUX, TIOCSCTTY, TIOCCONS, TIOCSETD, FS_IOC_SETFLAGS,
            // FS_IOC_FSSETXATTR.
            for request in [0x5412, 0x541c, 0x540e, 0x541d, 0x5423, 0x4008_6602, 0x401c_5820] {
                assert_eq!(answer("ioctl", &[0, high | request]), EPERM, "{request:#x}");
            }
            // TCGETS, TCGETS2, FIONBIO, FICLONE, FS_IOC_GETFLAGS.
            for request in [0x5401, 0x802c_542a, 0x5421, 0x4004_9409, 0x8008_6601] {
                assert_eq!(answer("ioctl", &[0, high | request]), Action::Allow, "{request:#x}");
            }
            // FIDEDUPERANGE, FS_IOC_ENABLE_VERITY, BTRFS_IOC_SUBVOL_CREATE, SIOCGIFCONF.
            for request in [0xc018_9436, 0x4080_6685, 0x5000_940e, 0x8912] {
                let action = answer("ioctl", &[0, high | request]);
                assert_eq!(action, Action::Deny(libc::ENOTTY), "{request:#x}");
            }
            // F_SETLEASE, F_NOTIFY, F_GETFL.
            assert_eq!(answer("fcntl", &[0, high | 0x400]), EPERM);
            assert_eq!(answer("fcntl", &[0, high | 0x402]), EPERM);
            assert_eq!(answer("fcntl", &[0, high | 0x3]), Action::Allow);
            // PR_SET_MM, PR_SET_PTRACER, PR_SCHED_CORE, PR_SET_NAME.
            assert_eq!(answer("prctl", &[high | 0x23]), EPERM);
            assert_eq!(answer("prctl", &[high | 0x5961_6d61]), EPERM);
            assert_eq!(answer("prctl", &[high | 0x3e]), EPERM);
            assert_eq!(answer("prctl", &[high | 0xf]), Action::Allow);
            // ADDR_NO_RANDOMIZE.
            assert_eq!(answer("personality", &[high]), Action::Allow);
            assert_eq!(answer("personality", &[high | 0xffff_ffff]), Action::Allow);
            assert_eq!(answer("personality", &[high | 0x0004_0000]), EPERM);
        }
    }
}

#[test]
fn flags_count_in_their_lower_half() {
    for architecture in BOTH {
        let answer = |name, arguments: &[u64]| answer(architecture, name, arguments);
        for high in [0, HIGH] {
            // SECCOMP_FILTER_FLAG_TSYNC and SECCOMP_FILTER_FLAG_NEW_LISTENER.
            assert_eq!(answer("seccomp", &[1, high | 1]), Action::Notify);
            assert_eq!(answer("seccomp", &[1, high | 8]), Action::Deny(libc::EBUSY));
            assert_eq!(answer("seccomp", &[1, high | 9]), Action::Deny(libc::EBUSY));
            // AT_SYMLINK_NOFOLLOW and AT_EMPTY_PATH.
            assert_eq!(answer("execveat", &[3, 1, 2, 3, high | 0x100]), Action::Notify);
            assert_eq!(answer("execveat", &[3, 1, 2, 3, high | 0x1000]), ENOSYS);
            assert_eq!(answer("execveat", &[3, 1, 2, 3, high | 0x1100]), ENOSYS);
            // AF_UNIX with SOCK_STREAM | SOCK_CLOEXEC, SOCK_SEQPACKET | SOCK_NONBLOCK,
            // SOCK_DGRAM, SOCK_RAW; AF_INET.
            assert_eq!(answer("socketpair", &[high | 1, high | 0x8_0001]), Action::Allow);
            assert_eq!(answer("socketpair", &[high | 1, high | 0x0805]), Action::Allow);
            assert_eq!(answer("socketpair", &[high | 1, high | 0x8_0002]), EPERM);
            assert_eq!(answer("socketpair", &[high | 1, high | 3]), EPERM);
            assert_eq!(answer("socketpair", &[high | 2, high | 1]), EPERM);
            // A thread of glibc, a vfork, a fork, and each way out.
            for flags in [0x003d_0f00, 0x4111, 0x0120_0011] {
                assert_eq!(answer("clone", &[high | flags]), Action::Allow, "{flags:#x}");
            }
            for bit in [15, 17, 25, 26, 27, 28, 29, 30] {
                assert_eq!(answer("clone", &[high | 1 << bit | 0x11]), EPERM, "{bit}");
            }
        }
    }
}

#[test]
fn modes_count_in_sixteen_bits() {
    for above in [0, 0x0001_0000, 0xffff_0000, HIGH] {
        for device in [0o020_644, 0o060_644] {
            for architecture in BOTH {
                assert_eq!(answer(architecture, "mknodat", &[0, 0, above | device]), EPERM);
            }
            assert_eq!(answer(Architecture::X86_64, "mknod", &[0, above | device]), EPERM);
        }
        for other in [0o644, 0o010_644, 0o100_644, 0o140_644] {
            for architecture in BOTH {
                let action = answer(architecture, "mknodat", &[0, 0, above | other]);
                assert_eq!(action, Action::Notify);
            }
            let action = answer(Architecture::X86_64, "mknod", &[0, above | other]);
            assert_eq!(action, Action::Notify);
        }
    }
}

#[test]
fn longs_and_pointers_count_in_both_halves() {
    for architecture in BOTH {
        let answer = |name, arguments: &[u64]| answer(architecture, name, arguments);
        // PR_SET_DUMPABLE.
        assert_eq!(answer("prctl", &[4, 1]), Action::Allow);
        assert_eq!(answer("prctl", &[4, 0]), EPERM);
        assert_eq!(answer("prctl", &[HIGH | 4, 0]), EPERM);
        assert_eq!(answer("prctl", &[4, HIGH | 1]), EPERM);
    }
}

/// A jump that is too long for a conditional one, to the case that holds and to the one that
/// does not.
#[test]
fn far_jumps_take_a_detour() {
    let mut code = Code::default();
    let allow = code.answer(Action::Allow);
    let notify = code.answer(Action::Notify);
    for _ in 0..300 {
        code.put(load(data::NUMBER));
    }
    code.branch(libc::BPF_JEQ, 7, notify, allow);
    code.put(load(data::NUMBER));
    let Program(program) = code.finish();
    assert_eq!(interpret(&program, 0, 7, &[0; 6]), (Action::Notify, 4));
    assert_eq!(interpret(&program, 0, 8, &[0; 6]), (Action::Allow, 4));
}
