//! The system calls, by what they are for, each with what the filter does with it: plain data.

use super::super::rule::{
    ALLOW, CLONE, EXECVEAT, FCNTL, FORBID, IOCTL, IOPRIO_SET, MISSING, MKNOD, MKNODAT, NEWFSTATAT,
    NO_LANDLOCK, NOTIFY, OWN_PROCESS, PERSONALITY, PRCTL, Rule, SECCOMP, SENDMSG, SETPRIORITY,
    SOCKETPAIR, STATX,
};
use super::{SystemCall, Topic};
use crate::preload::protocol;

const fn both(name: &'static str, x86_64: u32, aarch64: u32, rule: Rule) -> SystemCall {
    SystemCall { name, rule, x86_64: Some(x86_64), aarch64: Some(aarch64) }
}

/// Since Linux 5.1, a new call gets the same number everywhere.
const fn same(name: &'static str, number: u32, rule: Rule) -> SystemCall {
    both(name, number, number, rule)
}

const fn x86_64(name: &'static str, number: u32, rule: Rule) -> SystemCall {
    SystemCall { name, rule, x86_64: Some(number), aarch64: None }
}

/// Every system call up to Linux 7.0 (`rseq_slice_yield`), with its number on x86-64 and on
/// aarch64.
///
/// Sources: `arch/x86/entry/syscalls/syscall_64.tbl` and `scripts/syscall.tbl` of the kernel. To
/// move a call, change its rule: `ALLOW`, `NOTIFY`, `FORBID`, `MISSING`, or one of the rules above.
pub const TOPICS: &[Topic] = &[
    Topic {
        // Landlock decides; the warden records, and performs where it must be exact.
        reason: "opens, makes, renames or removes a name in the file system",
        calls: &[
            x86_64("open", 2, NOTIFY),
            both("openat", 257, 56, NOTIFY),
            same("openat2", 437, NOTIFY),
            x86_64("creat", 85, NOTIFY),
            x86_64("mkdir", 83, NOTIFY),
            both("mkdirat", 258, 34, NOTIFY),
            x86_64("rmdir", 84, NOTIFY),
            x86_64("unlink", 87, NOTIFY),
            both("unlinkat", 263, 35, NOTIFY),
            x86_64("rename", 82, NOTIFY),
            both("renameat", 264, 38, NOTIFY),
            both("renameat2", 316, 276, NOTIFY),
            x86_64("link", 86, NOTIFY),
            both("linkat", 265, 37, NOTIFY),
            x86_64("symlink", 88, NOTIFY),
            both("symlinkat", 266, 36, NOTIFY),
            both("truncate", 76, 45, NOTIFY),
        ],
    },
    Topic {
        reason: "makes a file, a fifo, a socket or a device node",
        calls: &[x86_64("mknod", 133, MKNOD), both("mknodat", 259, 33, MKNODAT)],
    },
    Topic {
        // The warden records; Landlock decides by the right to execute.
        reason: "starts another program",
        calls: &[both("execve", 59, 221, NOTIFY), both("execveat", 322, 281, EXECVEAT)],
    },
    Topic {
        // Landlock knows TCP by port (ABI 4), abstract Unix sockets (ABI 6), and nothing of UDP,
        // netlink, vsock, AF_ALG or, before ABI 9, of Unix sockets that have a path. So no socket
        // is made at all but a connected pair and the warden's stand-ins, and nothing that gives a
        // socket another peer, or sends to one, is let through. Where a rule names what may be reached,
        // the warden makes those calls itself.
        reason: "reaches a network, the kernel's own services or a daemon outside the jail",
        calls: &[
            both("socket", 41, 198, NOTIFY),
            both("socketpair", 53, 199, SOCKETPAIR),
            both("connect", 42, 203, NOTIFY),
            both("bind", 49, 200, NOTIFY),
            both("sendto", 44, 206, NOTIFY),
            // Of a stream or seqpacket pair, the kernel ignores or refuses an address (unix(7),
            // `unix_stream_sendmsg` and `unix_seqpacket_sendmsg`), see `SOCKETPAIR`.
            both("sendmsg", 46, 211, SENDMSG),
            both("sendmmsg", 307, 269, NOTIFY),
            both("recvfrom", 45, 207, ALLOW),
            both("recvmsg", 47, 212, ALLOW),
            both("recvmmsg", 299, 243, ALLOW),
            // Useless without `bind` and `connect`; a pair answers EINVAL. See `filter::Asks` for sockets
            // that are given an address for it.
            both("listen", 50, 201, ALLOW),
            both("accept", 43, 202, ALLOW),
            both("accept4", 288, 242, ALLOW),
            both("shutdown", 48, 210, ALLOW),
            both("getsockname", 51, 204, ALLOW),
            both("getpeername", 52, 205, ALLOW),
            both("setsockopt", 54, 208, NOTIFY),
            both("getsockopt", 55, 209, ALLOW),
        ],
    },
    Topic {
        // Landlock does not cover these (landlock(7), "Current limitations"), not even on a
        // read-only descriptor: the warden performs them. The youngest, for which there is an older
        // call, are refused; `file_setattr` is also the twin of ioctls that `IOCTL` refuses.
        reason: "changes mode, owner, times or attributes of a file",
        calls: &[
            x86_64("chmod", 90, NOTIFY),
            both("fchmod", 91, 52, NOTIFY),
            both("fchmodat", 268, 53, NOTIFY),
            same("fchmodat2", 452, NOTIFY),
            x86_64("chown", 92, NOTIFY),
            both("fchown", 93, 55, NOTIFY),
            x86_64("lchown", 94, NOTIFY),
            both("fchownat", 260, 54, NOTIFY),
            x86_64("utime", 132, NOTIFY),
            x86_64("utimes", 235, NOTIFY),
            x86_64("futimesat", 261, NOTIFY),
            both("utimensat", 280, 88, NOTIFY),
            both("setxattr", 188, 5, NOTIFY),
            both("lsetxattr", 189, 6, NOTIFY),
            both("fsetxattr", 190, 7, NOTIFY),
            same("setxattrat", 463, MISSING),
            both("removexattr", 197, 14, NOTIFY),
            both("lremovexattr", 198, 15, NOTIFY),
            both("fremovexattr", 199, 16, NOTIFY),
            same("removexattrat", 466, MISSING),
            same("file_setattr", 469, FORBID),
        ],
    },
    Topic {
        // Reveals at most that a path exists, and its metadata. Without a path, by a descriptor, such a
        // call is let through.
        reason: "looks at a path without opening it",
        calls: &[
            x86_64("stat", 4, NOTIFY),
            x86_64("lstat", 6, NOTIFY),
            both("newfstatat", 262, 79, NEWFSTATAT),
            both("statx", 332, 291, STATX),
            x86_64("access", 21, NOTIFY),
            both("faccessat", 269, 48, NOTIFY),
            same("faccessat2", 439, NOTIFY),
            x86_64("readlink", 89, NOTIFY),
            both("readlinkat", 267, 78, NOTIFY),
            both("statfs", 137, 43, NOTIFY),
            both("getxattr", 191, 8, NOTIFY),
            both("lgetxattr", 192, 9, NOTIFY),
            // Its structure lies in memory; libc does without.
            same("getxattrat", 464, MISSING),
            both("listxattr", 194, 11, NOTIFY),
            both("llistxattr", 195, 12, NOTIFY),
            same("listxattrat", 465, NOTIFY),
            same("file_getattr", 468, NOTIFY),
            both("chdir", 80, 49, NOTIFY),
            both("fchdir", 81, 50, NOTIFY),
            both("getcwd", 79, 17, ALLOW),
        ],
    },
    Topic {
        // A user namespace gives every capability inside it, and with them most of the kernel's
        // attack surface (user_namespaces(7)).
        reason: "makes a process in new namespaces or outside of its parent's reach",
        calls: &[
            both("clone", 56, 220, CLONE),
            // Its flags are in memory, out of a filter's sight; libc falls back to `clone`.
            same("clone3", 435, MISSING),
            both("unshare", 272, 97, FORBID),
            both("setns", 308, 268, FORBID),
            x86_64("fork", 57, ALLOW),
            x86_64("vfork", 58, ALLOW),
        ],
    },
    Topic {
        reason: "sends a control request to a device or a file system",
        calls: &[both("ioctl", 16, 29, IOCTL)],
    },
    Topic {
        // Landlock has no right for watching, and a watch needs no more than the directory's
        // descriptor.
        reason: "lets a process watch or delay what others do with a file",
        calls: &[
            both("fcntl", 72, 25, FCNTL),
            x86_64("inotify_init", 253, FORBID),
            both("inotify_init1", 294, 26, FORBID),
            both("inotify_add_watch", 254, 27, FORBID),
            both("inotify_rm_watch", 255, 28, FORBID),
            both("fanotify_init", 300, 262, FORBID),
            both("fanotify_mark", 301, 263, FORBID),
        ],
    },
    Topic {
        reason: "hides from the warden what a process is or does",
        calls: &[
            both("prctl", 157, 167, PRCTL),
            // The kernel allows one listener for each process (EBUSY) anyway; further filters only
            // narrow.
            both("seccomp", 317, 277, SECCOMP),
            both("personality", 135, 92, PERSONALITY),
        ],
    },
    Topic {
        // The kernel asks for the same user only, and Landlock does not cover it: a script could
        // freeze or starve everything else that its user runs. 0 means the caller itself.
        reason: "changes the scheduling or the limits of another process",
        calls: &[
            both("prlimit64", 302, 261, OWN_PROCESS),
            both("sched_setaffinity", 203, 122, OWN_PROCESS),
            both("sched_setscheduler", 144, 119, OWN_PROCESS),
            both("sched_setparam", 142, 118, OWN_PROCESS),
            both("sched_setattr", 314, 274, OWN_PROCESS),
            both("setpriority", 141, 140, SETPRIORITY),
            both("ioprio_set", 251, 30, IOPRIO_SET),
        ],
    },
    Topic {
        // Landlock stops these at the border of a domain. Inside it, one process could act in
        // another's name and so make the record wrong; no build needs that.
        reason: "reads or controls another process",
        calls: &[
            both("ptrace", 101, 117, FORBID),
            both("process_vm_readv", 310, 270, FORBID),
            both("process_vm_writev", 311, 271, FORBID),
            same("process_madvise", 440, FORBID),
            same("process_mrelease", 448, FORBID),
            same("pidfd_getfd", 438, FORBID),
            both("kcmp", 312, 272, FORBID),
            both("migrate_pages", 256, 238, FORBID),
            both("move_pages", 279, 239, FORBID),
            both("get_robust_list", 274, 100, OWN_PROCESS),
        ],
    },
    Topic {
        // A ring opens files and sockets on its own (io_uring(7)); native AIO is its predecessor.
        // EPERM is what the kernel says where io_uring is switched off (`io_uring_disabled`), and
        // libraries expect it.
        reason: "makes system calls that no filter sees",
        calls: &[
            same("io_uring_setup", 425, FORBID),
            same("io_uring_enter", 426, FORBID),
            same("io_uring_register", 427, FORBID),
            both("io_setup", 206, 0, FORBID),
            both("io_destroy", 207, 1, FORBID),
            both("io_submit", 209, 2, FORBID),
            both("io_cancel", 210, 3, FORBID),
            both("io_getevents", 208, 4, FORBID),
            both("io_pgetevents", 333, 292, FORBID),
        ],
    },
    Topic {
        // A program in such a file runs without Landlock's right to execute and without a name for
        // the record. ENOSYS, because callers fall back to a temporary file on it and give up on
        // EPERM.
        reason: "keeps a program or data in a file that has no path",
        calls: &[both("memfd_create", 319, 279, MISSING), same("memfd_secret", 447, MISSING)],
    },
    Topic {
        reason: "loads code into the kernel, or measures other processes through it",
        calls: &[
            both("bpf", 321, 280, FORBID),
            both("perf_event_open", 298, 241, FORBID),
            both("userfaultfd", 323, 282, FORBID),
            both("init_module", 175, 105, FORBID),
            both("finit_module", 313, 273, FORBID),
            both("delete_module", 176, 106, FORBID),
            both("kexec_load", 246, 104, FORBID),
            both("kexec_file_load", 320, 294, FORBID),
        ],
    },
    Topic {
        // Key rings, System V IPC and message queues are named by number or outside the file tree
        // (keyrings(7), sysvipc(7), mq_overview(7)); they are a way out of the jail and back in.
        reason: "reaches keys, queues or memory that are shared with every process of the user",
        calls: &[
            both("add_key", 248, 217, FORBID),
            both("request_key", 249, 218, FORBID),
            both("keyctl", 250, 219, FORBID),
            both("shmget", 29, 194, FORBID),
            both("shmat", 30, 196, FORBID),
            both("shmctl", 31, 195, FORBID),
            both("shmdt", 67, 197, FORBID),
            both("semget", 64, 190, FORBID),
            both("semop", 65, 193, FORBID),
            both("semtimedop", 220, 192, FORBID),
            both("semctl", 66, 191, FORBID),
            both("msgget", 68, 186, FORBID),
            both("msgsnd", 69, 189, FORBID),
            both("msgrcv", 70, 188, FORBID),
            both("msgctl", 71, 187, FORBID),
            both("mq_open", 240, 180, FORBID),
            both("mq_unlink", 241, 181, FORBID),
            both("mq_timedsend", 242, 182, FORBID),
            both("mq_timedreceive", 243, 183, FORBID),
            both("mq_notify", 244, 184, FORBID),
            both("mq_getsetattr", 245, 185, FORBID),
        ],
    },
    Topic {
        // Landlock forbids these to a confined process; refused here as well, because a mount moved
        // under a rule turns it into another rule.
        reason: "changes the tree of mounts that paths and rules refer to",
        calls: &[
            both("mount", 165, 40, FORBID),
            both("umount2", 166, 39, FORBID),
            both("pivot_root", 155, 41, FORBID),
            both("chroot", 161, 51, FORBID),
            same("move_mount", 429, FORBID),
            same("mount_setattr", 442, FORBID),
            same("fsopen", 430, FORBID),
            same("fsconfig", 431, FORBID),
            same("fsmount", 432, FORBID),
            same("fspick", 433, FORBID),
            same("open_tree", 428, FORBID),
            same("open_tree_attr", 467, FORBID),
        ],
    },
    Topic {
        reason: "names a file by a handle instead of a path",
        calls: &[
            both("name_to_handle_at", 303, 264, FORBID),
            both("open_by_handle_at", 304, 265, FORBID),
        ],
    },
    Topic {
        // `/proc/self/mountinfo` says the same and Landlock judges it; on ENOSYS, callers turn to
        // it.
        reason: "lists mounts or namespaces of the machine",
        calls: &[
            same("statmount", 457, MISSING),
            same("listmount", 458, MISSING),
            same("listns", 470, MISSING),
        ],
    },
    Topic {
        reason: "changes the security label of a process",
        calls: &[
            same("lsm_set_self_attr", 460, FORBID),
            same("lsm_get_self_attr", 459, ALLOW),
            same("lsm_list_modules", 461, ALLOW),
        ],
    },
    Topic {
        // The kernel asks for a capability that the jail has dropped; refused here so that this
        // does not rest on one mechanism alone.
        reason: "administers the machine",
        calls: &[
            both("reboot", 169, 142, FORBID),
            both("swapon", 167, 224, FORBID),
            both("swapoff", 168, 225, FORBID),
            both("acct", 163, 89, FORBID),
            both("quotactl", 179, 60, FORBID),
            same("quotactl_fd", 443, FORBID),
            both("syslog", 103, 116, FORBID),
            both("vhangup", 153, 58, FORBID),
            both("settimeofday", 164, 170, FORBID),
            both("clock_settime", 227, 112, FORBID),
            both("adjtimex", 159, 171, FORBID),
            both("clock_adjtime", 305, 266, FORBID),
            both("sethostname", 170, 161, FORBID),
            both("setdomainname", 171, 162, FORBID),
        ],
    },
    Topic {
        reason: "reaches hardware or the processor's segment tables",
        calls: &[
            x86_64("iopl", 172, FORBID),
            x86_64("ioperm", 173, FORBID),
            x86_64("modify_ldt", 154, FORBID),
        ],
    },
    Topic {
        // ENOSYS is the kernel's own answer (syscalls(2), unimplemented(2)).
        reason: "is gone from the kernel, or never was in it",
        calls: &[
            x86_64("_sysctl", 156, MISSING),
            x86_64("create_module", 174, MISSING),
            x86_64("get_kernel_syms", 177, MISSING),
            x86_64("query_module", 178, MISSING),
            both("nfsservctl", 180, 42, MISSING),
            both("lookup_dcookie", 212, 18, MISSING),
            x86_64("uselib", 134, MISSING),
            x86_64("getpmsg", 181, MISSING),
            x86_64("putpmsg", 182, MISSING),
            x86_64("afs_syscall", 183, MISSING),
            x86_64("tuxcall", 184, MISSING),
            x86_64("security", 185, MISSING),
            x86_64("vserver", 236, MISSING),
            x86_64("epoll_ctl_old", 214, MISSING),
            x86_64("epoll_wait_old", 215, MISSING),
            x86_64("set_thread_area", 205, MISSING),
            x86_64("get_thread_area", 211, MISSING),
        ],
    },
    Topic {
        // Landlock decided when the descriptor was opened.
        reason: "works on descriptors that the script holds",
        calls: &[
            both("read", 0, 63, ALLOW),
            both("write", 1, 64, ALLOW),
            both("readv", 19, 65, ALLOW),
            both("writev", 20, 66, ALLOW),
            both("pread64", 17, 67, ALLOW),
            both("pwrite64", 18, 68, ALLOW),
            both("preadv", 295, 69, ALLOW),
            both("pwritev", 296, 70, ALLOW),
            both("preadv2", 327, 286, ALLOW),
            both("pwritev2", 328, 287, ALLOW),
            both("lseek", 8, 62, ALLOW),
            both("close", 3, 57, ALLOW),
            same("close_range", 436, ALLOW),
            both("dup", 32, 23, ALLOW),
            x86_64("dup2", 33, ALLOW),
            both("dup3", 292, 24, ALLOW),
            x86_64("pipe", 22, ALLOW),
            both("pipe2", 293, 59, ALLOW),
            both("sendfile", 40, 71, ALLOW),
            both("splice", 275, 76, ALLOW),
            both("tee", 276, 77, ALLOW),
            both("vmsplice", 278, 75, ALLOW),
            both("copy_file_range", 326, 285, ALLOW),
            both("fstat", 5, 80, ALLOW),
            both("fstatfs", 138, 44, ALLOW),
            both("ftruncate", 77, 46, ALLOW),
            both("fallocate", 285, 47, ALLOW),
            both("fadvise64", 221, 223, ALLOW),
            both("readahead", 187, 213, ALLOW),
            // It waits until the warden has that file no longer open.
            both("flock", 73, 32, NOTIFY),
            x86_64("getdents", 78, ALLOW),
            both("getdents64", 217, 61, ALLOW),
            both("fsync", 74, 82, ALLOW),
            both("fdatasync", 75, 83, ALLOW),
            both("sync_file_range", 277, 84, ALLOW),
            both("syncfs", 306, 267, ALLOW),
            both("sync", 162, 81, ALLOW),
            same("cachestat", 451, ALLOW),
            both("fgetxattr", 193, 10, ALLOW),
            both("flistxattr", 196, 13, ALLOW),
        ],
    },
    Topic {
        reason: "waits for descriptors, events and time",
        calls: &[
            x86_64("poll", 7, ALLOW),
            both("ppoll", 271, 73, ALLOW),
            x86_64("select", 23, ALLOW),
            both("pselect6", 270, 72, ALLOW),
            x86_64("epoll_create", 213, ALLOW),
            both("epoll_create1", 291, 20, ALLOW),
            both("epoll_ctl", 233, 21, ALLOW),
            x86_64("epoll_wait", 232, ALLOW),
            both("epoll_pwait", 281, 22, ALLOW),
            same("epoll_pwait2", 441, ALLOW),
            x86_64("eventfd", 284, ALLOW),
            both("eventfd2", 290, 19, ALLOW),
            x86_64("signalfd", 282, ALLOW),
            both("signalfd4", 289, 74, ALLOW),
            both("timerfd_create", 283, 85, ALLOW),
            both("timerfd_settime", 286, 86, ALLOW),
            both("timerfd_gettime", 287, 87, ALLOW),
            both("nanosleep", 35, 101, ALLOW),
            both("clock_nanosleep", 230, 115, ALLOW),
            both("clock_gettime", 228, 113, ALLOW),
            both("clock_getres", 229, 114, ALLOW),
            both("gettimeofday", 96, 169, ALLOW),
            x86_64("time", 201, ALLOW),
            both("times", 100, 153, ALLOW),
            x86_64("alarm", 37, ALLOW),
            both("getitimer", 36, 102, ALLOW),
            both("setitimer", 38, 103, ALLOW),
            both("timer_create", 222, 107, ALLOW),
            both("timer_settime", 223, 110, ALLOW),
            both("timer_gettime", 224, 108, ALLOW),
            both("timer_getoverrun", 225, 109, ALLOW),
            both("timer_delete", 226, 111, ALLOW),
        ],
    },
    Topic {
        reason: "manages the script's own memory",
        calls: &[
            both("mmap", 9, 222, ALLOW),
            both("munmap", 11, 215, ALLOW),
            both("mremap", 25, 216, ALLOW),
            both("mprotect", 10, 226, ALLOW),
            both("brk", 12, 214, ALLOW),
            both("madvise", 28, 233, ALLOW),
            both("mincore", 27, 232, ALLOW),
            both("msync", 26, 227, ALLOW),
            both("remap_file_pages", 216, 234, ALLOW),
            both("mlock", 149, 228, ALLOW),
            both("mlock2", 325, 284, ALLOW),
            both("munlock", 150, 229, ALLOW),
            both("mlockall", 151, 230, ALLOW),
            both("munlockall", 152, 231, ALLOW),
            same("mseal", 462, ALLOW),
            same("map_shadow_stack", 453, ALLOW),
            both("pkey_mprotect", 329, 288, ALLOW),
            both("pkey_alloc", 330, 289, ALLOW),
            both("pkey_free", 331, 290, ALLOW),
            both("membarrier", 324, 283, ALLOW),
            both("mbind", 237, 235, ALLOW),
            both("set_mempolicy", 238, 237, ALLOW),
            both("get_mempolicy", 239, 236, ALLOW),
            same("set_mempolicy_home_node", 450, ALLOW),
        ],
    },
    Topic {
        reason: "manages the script's own threads and children",
        calls: &[
            // A thread without a listener would try to end for ever.
            both("exit", 60, 93, ALLOW),
            // The warden notes how a process ended.
            both("exit_group", 231, 94, NOTIFY),
            both("wait4", 61, 260, ALLOW),
            both("waitid", 247, 95, ALLOW),
            both("getpid", 39, 172, ALLOW),
            both("getppid", 110, 173, ALLOW),
            both("gettid", 186, 178, ALLOW),
            both("set_tid_address", 218, 96, ALLOW),
            x86_64("arch_prctl", 158, ALLOW),
            both("futex", 202, 98, ALLOW),
            same("futex_waitv", 449, ALLOW),
            same("futex_wake", 454, ALLOW),
            same("futex_wait", 455, ALLOW),
            same("futex_requeue", 456, ALLOW),
            both("set_robust_list", 273, 99, ALLOW),
            both("rseq", 334, 293, ALLOW),
            same("rseq_slice_yield", 471, ALLOW),
            both("setsid", 112, 157, ALLOW),
            both("getsid", 124, 156, ALLOW),
            both("setpgid", 109, 154, ALLOW),
            both("getpgid", 121, 155, ALLOW),
            x86_64("getpgrp", 111, ALLOW),
            same("pidfd_open", 434, ALLOW),
            both("getrlimit", 97, 163, ALLOW),
            both("setrlimit", 160, 164, ALLOW),
            both("getrusage", 98, 165, ALLOW),
            both("getpriority", 140, 141, ALLOW),
            both("ioprio_get", 252, 31, ALLOW),
            both("getcpu", 309, 168, ALLOW),
            both("sched_yield", 24, 124, ALLOW),
            both("sched_getaffinity", 204, 123, ALLOW),
            both("sched_getscheduler", 145, 120, ALLOW),
            both("sched_getparam", 143, 121, ALLOW),
            both("sched_getattr", 315, 275, ALLOW),
            both("sched_get_priority_max", 146, 125, ALLOW),
            both("sched_get_priority_min", 147, 126, ALLOW),
            both("sched_rr_get_interval", 148, 127, ALLOW),
            // The kernel itself plants these two in a probed program; elsewhere they end in a
            // signal.
            x86_64("uretprobe", 335, ALLOW),
            x86_64("uprobe", 336, ALLOW),
        ],
    },
    Topic {
        // Landlock's scope (ABI 6) judges the receiver.
        reason: "sends or receives signals",
        calls: &[
            both("kill", 62, 129, ALLOW),
            both("tkill", 200, 130, ALLOW),
            both("tgkill", 234, 131, ALLOW),
            both("rt_sigqueueinfo", 129, 138, ALLOW),
            both("rt_tgsigqueueinfo", 297, 240, ALLOW),
            same("pidfd_send_signal", 424, ALLOW),
            both("rt_sigaction", 13, 134, ALLOW),
            both("rt_sigprocmask", 14, 135, ALLOW),
            both("rt_sigreturn", 15, 139, ALLOW),
            both("rt_sigpending", 127, 136, ALLOW),
            both("rt_sigtimedwait", 128, 137, ALLOW),
            both("rt_sigsuspend", 130, 133, ALLOW),
            both("sigaltstack", 131, 132, ALLOW),
            x86_64("pause", 34, ALLOW),
            both("restart_syscall", 219, 128, ALLOW),
        ],
    },
    Topic {
        // The kernel has no such call, and the warden answers what the kernel would.
        reason: "is the preloaded library's way to the warden",
        calls: &[
            same("brig_asked", protocol::NUMBER, NOTIFY),
            same("brig_real_path", protocol::REAL_PATH, NOTIFY),
        ],
    },
    Topic {
        // Without capabilities and with `no_new_privs`, these only ever give something up.
        reason: "asks or drops the script's own identity",
        calls: &[
            both("getuid", 102, 174, ALLOW),
            both("geteuid", 107, 175, ALLOW),
            both("getgid", 104, 176, ALLOW),
            both("getegid", 108, 177, ALLOW),
            both("getresuid", 118, 148, ALLOW),
            both("getresgid", 120, 150, ALLOW),
            both("getgroups", 115, 158, ALLOW),
            both("umask", 95, 166, ALLOW),
            both("setuid", 105, 146, ALLOW),
            both("setgid", 106, 144, ALLOW),
            both("setreuid", 113, 145, ALLOW),
            both("setregid", 114, 143, ALLOW),
            both("setresuid", 117, 147, ALLOW),
            both("setresgid", 119, 149, ALLOW),
            both("setfsuid", 122, 151, ALLOW),
            both("setfsgid", 123, 152, ALLOW),
            both("setgroups", 116, 159, ALLOW),
            both("capget", 125, 90, ALLOW),
            both("capset", 126, 91, ALLOW),
        ],
    },
    Topic {
        // What the warden opens for a process would not be held to that process's own rules: so it
        // hears that it can have none, as where Landlock is switched off (landlock(7)).
        reason: "confines a process further, where the warden would not be confined with it",
        calls: &[
            same("landlock_create_ruleset", 444, NO_LANDLOCK),
            same("landlock_add_rule", 445, NO_LANDLOCK),
            same("landlock_restrict_self", 446, NO_LANDLOCK),
        ],
    },
    Topic {
        reason: "asks about the system",
        calls: &[
            both("uname", 63, 160, ALLOW),
            both("sysinfo", 99, 179, ALLOW),
            x86_64("sysfs", 139, ALLOW),
            x86_64("ustat", 136, ALLOW),
            both("getrandom", 318, 278, ALLOW),
        ],
    },
];
