//! Tests of [`super`]: the table against the kernel's headers, and each clever rule.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use super::super::rule::{Action, Rule};
use super::{Architecture, SystemCall, TOPICS, find};
use crate::preload::protocol;

const BOTH: [Architecture; 2] = [Architecture::X86_64, Architecture::Aarch64];

fn calls() -> impl Iterator<Item = &'static SystemCall> {
    TOPICS.iter().flat_map(|topic| topic.calls)
}

fn numbers(architecture: Architecture) -> BTreeMap<u32, &'static str> {
    let numbered = |call: &'static SystemCall| Some((call.number(architecture)?, call.name));
    calls().filter_map(numbered).collect()
}

/// The first of these files that exists: distributions differ in where they put the kernel's
/// headers.
fn header(candidates: &[&str]) -> String {
    candidates.iter().find_map(|path| fs::read_to_string(path).ok()).unwrap_or_else(|| {
        panic!("needs the kernel headers (linux-libc-dev): none of {candidates:?}")
    })
}

/// `#define PREFIX_name number` lines.
fn defines<'a>(header: &'a str, prefix: &'a str) -> impl Iterator<Item = (&'a str, u32)> {
    header.lines().filter_map(move |line| {
        let mut words = line.strip_prefix("#define ")?.strip_prefix(prefix)?.split_whitespace();
        Some((words.next()?, words.next()?.parse().ok()?))
    })
}

#[test]
fn no_name_and_no_number_appears_twice() {
    let names: BTreeMap<_, _> = calls().map(|call| (call.name, call)).collect();
    assert_eq!(names.len(), calls().count());
    for architecture in BOTH {
        let counted = calls().filter(|call| call.number(architecture).is_some()).count();
        assert_eq!(numbers(architecture).len(), counted, "{architecture:?}");
    }
}

#[test]
#[cfg(target_arch = "x86_64")]
fn x86_64_header_is_covered() {
    let header =
        header(&["/usr/include/asm/unistd_64.h", "/usr/include/x86_64-linux-gnu/asm/unistd_64.h"]);
    let table = numbers(Architecture::X86_64);
    let mut seen = 0;
    for (name, number) in defines(&header, "__NR_") {
        assert_eq!(table.get(&number), Some(&name), "{number}");
        seen += 1;
    }
    assert!(seen > 300, "the header was not understood: {seen}");
}

#[test]
fn generic_header_is_covered_by_aarch64() {
    let header = header(&["/usr/include/asm-generic/unistd.h"]);
    let table = numbers(Architecture::Aarch64);
    let mut seen = 0;
    for (name, number) in defines(&header, "__NR_") {
        // 403 to 423 are calls of 32-bit machines with a 64-bit time; two names count rather
        // than call.
        let counts = matches!(name, "syscalls" | "arch_specific_syscall");
        if counts || (403..=423).contains(&number) {
            continue;
        }
        // An architecture has one of the two at this number (`__ARCH_WANT_SYNC_FILE_RANGE2`).
        let name = if name == "sync_file_range2" { "sync_file_range" } else { name };
        assert_eq!(table.get(&number), Some(&name), "{number}");
        seen += 1;
    }
    for (name, number) in defines(&header, "__NR3264_") {
        let name = match name {
            "fstatat" => "newfstatat",
            "fadvise64" | "fcntl" | "fstat" | "fstatfs" | "ftruncate" | "lseek" | "mmap"
            | "sendfile" | "statfs" | "truncate" => name,
            _ => panic!("{name} is new"),
        };
        assert_eq!(table.get(&number), Some(&name), "{number}");
        seen += 1;
    }
    assert!(seen > 280, "the header was not understood: {seen}");
}

#[test]
fn numbers_beyond_the_header_are_the_same_everywhere() {
    for call in calls() {
        let [x86_64, aarch64] = BOTH.map(|architecture| call.number(architecture));
        if x86_64 >= Some(424) || aarch64 >= Some(424) {
            assert_eq!(x86_64, aarch64, "{}", call.name);
        }
    }
    for architecture in BOTH {
        // Those that the kernel does not have.
        let own = [protocol::NUMBER, protocol::REAL_PATH];
        let newest: Vec<_> = numbers(architecture)
            .into_keys()
            .filter(|number| *number >= 424 && !own.contains(number))
            .collect();
        assert_eq!(newest, (424..=471).collect::<Vec<_>>(), "{architecture:?}");
    }
}

#[test]
fn known_numbers_agree_with_libc() {
    for (name, number) in [
        ("openat", libc::SYS_openat),
        ("ioctl", libc::SYS_ioctl),
        ("clone", libc::SYS_clone),
        ("socketpair", libc::SYS_socketpair),
        ("prlimit64", libc::SYS_prlimit64),
        ("seccomp", libc::SYS_seccomp),
        ("mount_setattr", libc::SYS_mount_setattr),
        ("mseal", libc::SYS_mseal),
    ] {
        let number = u32::try_from(number).expect("a system call number");
        assert_eq!(numbers(Architecture::NATIVE).get(&number), Some(&name));
    }
}

#[test]
fn every_topic_says_why() {
    for topic in TOPICS {
        assert!(!topic.reason.is_empty() && !topic.reason.ends_with('.'), "{topic:?}");
        assert!(!topic.calls.is_empty(), "{topic:?}");
    }
    let (topic, call) = find(Architecture::X86_64, 272).expect("unshare");
    assert_eq!(call.name, "unshare");
    assert!(topic.reason.contains("namespace"));
}

fn always(action: Action) -> Vec<&'static str> {
    let mut names: Vec<_> =
        calls().filter(|call| call.rule == Rule::Always(action)).map(|call| call.name).collect();
    names.sort_unstable();
    names
}

fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}

// What is not simply allowed, written out a second time: a call that leaves a list is a
// decision.

#[test]
fn notified_calls() {
    let notified = "access bind brig_asked brig_real_path chdir chmod chown connect creat execve exit_group faccessat \
         faccessat2 fchdir fchmod fchmodat fchmodat2 fchown fchownat file_getattr flock fremovexattr fsetxattr \
         futimesat getxattr lchown lgetxattr link linkat listxattr listxattrat \
         llistxattr lremovexattr lsetxattr lstat mkdir mkdirat open openat openat2 readlink \
         readlinkat removexattr rename renameat renameat2 rmdir sendmmsg sendto setsockopt \
         setxattr socket stat statfs symlink symlinkat truncate unlink unlinkat utime utimensat \
         utimes";
    assert_eq!(always(Action::Notify), words(notified));
}

#[test]
fn forbidden_calls() {
    let forbidden = "acct add_key adjtimex bpf chroot clock_adjtime clock_settime \
         delete_module fanotify_init fanotify_mark file_setattr finit_module fsconfig fsmount \
         fsopen fspick init_module inotify_add_watch inotify_init inotify_init1 \
         inotify_rm_watch io_cancel io_destroy io_getevents io_pgetevents io_setup io_submit \
         io_uring_enter io_uring_register io_uring_setup ioperm iopl kcmp kexec_file_load \
         kexec_load keyctl lsm_set_self_attr migrate_pages modify_ldt mount mount_setattr \
         move_mount move_pages mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedsend \
         mq_unlink msgctl msgget msgrcv msgsnd name_to_handle_at open_by_handle_at open_tree \
         open_tree_attr perf_event_open pidfd_getfd pivot_root process_madvise \
         process_mrelease process_vm_readv process_vm_writev ptrace quotactl quotactl_fd \
         reboot request_key semctl semget semop semtimedop setdomainname sethostname setns \
         settimeofday shmat shmctl shmdt shmget swapoff swapon syslog umount2 unshare \
         userfaultfd vhangup";
    assert_eq!(always(Action::Deny(libc::EPERM)), words(forbidden));
}

#[test]
fn missing_calls() {
    let missing = "_sysctl afs_syscall clone3 create_module epoll_ctl_old epoll_wait_old \
         get_kernel_syms get_thread_area getpmsg getxattrat listmount listns lookup_dcookie \
         memfd_create memfd_secret nfsservctl putpmsg query_module removexattrat security \
         set_thread_area setxattrat statmount tuxcall uselib vserver";
    assert_eq!(always(Action::Deny(libc::ENOSYS)), words(missing));
}

#[test]
fn calls_judged_by_their_arguments() {
    let judged: BTreeSet<_> = calls()
        .filter(|call| matches!(call.rule, Rule::ByArguments(..)))
        .map(|call| call.name)
        .collect();
    let expected = "clone execveat fcntl get_robust_list ioctl ioprio_set mknod mknodat \
         newfstatat personality prctl prlimit64 sched_setaffinity sched_setattr sched_setparam \
         sched_setscheduler seccomp sendmsg setpriority socketpair statx";
    assert_eq!(judged, words(expected).into_iter().collect());
}
