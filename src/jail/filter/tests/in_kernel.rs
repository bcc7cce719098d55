//! The filter in the kernel: what it refuses, and what goes on under it.

#![expect(unsafe_code, reason = "the tests install the filter and make raw system calls")]

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::Command;
use std::sync::mpsc;
use std::thread;

use libc::{c_char, c_int, c_long};

use super::super::super::rule::{Action, Rule};
use super::super::super::syscalls::{Architecture, find};
use super::super::{Asks, compile};
use super::{HIGH, six};

/// A system call with these first arguments and zeros: its result, or the errno.
fn call(number: c_long, arguments: &[u64]) -> Result<c_long, c_int> {
    let all = six(arguments);
    // SAFETY: the tests pass pointers to memory that outlives the call, or make calls that fail
    // before they follow one.
    let result = unsafe { libc::syscall(number, all[0], all[1], all[2], all[3], all[4], all[5]) };
    if result < 0 {
        return Err(io::Error::last_os_error().raw_os_error().expect("an errno"));
    }
    Ok(result)
}

fn pointer<T: ?Sized>(to: &T) -> u64 {
    std::ptr::from_ref(to).cast::<u8>() as u64
}

fn pointer_mut<T>(to: &mut T) -> u64 {
    std::ptr::from_mut(to) as u64
}

fn fd(descriptor: &impl AsRawFd) -> u64 {
    u64::try_from(descriptor.as_raw_fd()).expect("a descriptor")
}

/// Puts the calling thread, and what it starts, under the filter.
fn install(flags: u64) -> c_long {
    let program = compile(Asks::default());
    let instructions = program.instructions();
    let fprog = libc::sock_fprog {
        len: u16::try_from(instructions.len()).expect("a short program"),
        filter: instructions.as_ptr().cast_mut(),
    };
    // PR_SET_NO_NEW_PRIVS and SECCOMP_SET_MODE_FILTER.
    call(libc::SYS_prctl, &[38, 1]).expect("no_new_privs");
    call(libc::SYS_seccomp, &[1, flags, pointer(&fprog)]).expect("a kernel with seccomp filters")
}

/// Runs an attack under the filter, in a thread of its own. Nobody listens there, so what the
/// filter notifies of fails with ENOSYS (seccomp(2)).
fn filtered<T: Send>(attack: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let thread = scope.spawn(|| {
            install(0);
            attack()
        });
        thread.join().expect("the attack panicked")
    })
}

/// The result of a call without the filter, and under it.
fn both_ways(number: c_long, arguments: &[u64]) -> [Result<c_long, c_int>; 2] {
    [call(number, arguments), filtered(|| call(number, arguments))]
}

/// Runs under the filter with a listener that lets everything continue: the result, and the
/// numbers that it heard.
fn listened<T: Send>(run: impl FnOnce() -> T + Send) -> (T, Vec<c_long>) {
    let (sender, receiver) = mpsc::channel();
    thread::scope(|scope| {
        let thread = scope.spawn(move || {
            sender.send(install(8)).expect("the listening thread waits for it");
            run()
        });
        let listener = receiver.recv().expect("a listener");
        let listener = c_int::try_from(listener).expect("a descriptor");
        // SAFETY: seccomp(2) returned this descriptor, and nobody else owns it.
        let listener = unsafe { OwnedFd::from_raw_fd(listener) };
        let mut heard = Vec::new();
        while let Some(notified) = next_notification(&listener) {
            heard.push(c_long::from(notified.data.nr));
            let response = libc::seccomp_notif_resp { id: notified.id, val: 0, error: 0, flags: 1 };
            // SECCOMP_IOCTL_NOTIF_SEND. It fails when the caller was killed, and then there is
            // nobody to answer.
            call(libc::SYS_ioctl, &[fd(&listener), 0xc018_2101, pointer(&response)]).ok();
        }
        (thread.join().expect("the run panicked"), heard)
    })
}

/// Waits for a notification; `None` when the last thread under the filter has ended.
fn next_notification(listener: &OwnedFd) -> Option<libc::seccomp_notif> {
    let mut poll = libc::pollfd { fd: listener.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: one pollfd, which lives until the call returns.
    unsafe { libc::poll(&raw mut poll, 1, -1) };
    if poll.revents & libc::POLLIN == 0 {
        return None;
    }
    // SAFETY: the structure consists of integers, and the kernel wants it zeroed.
    let mut notified: libc::seccomp_notif = unsafe { std::mem::zeroed() };
    // SECCOMP_IOCTL_NOTIF_RECV.
    let received = call(libc::SYS_ioctl, &[fd(listener), 0xc050_2100, pointer_mut(&mut notified)]);
    received.ok().map(|_| notified)
}

/// A directory that is removed in the end.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("filter-{name}-{}", std::process::id()));
        fs::create_dir(&path).expect("a new directory");
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // It is in the way of nothing.
        fs::remove_dir_all(&self.0).ok();
    }
}

/// The calls fail with this errno under the filter, on the kernel that the test runs on.
fn refused(errno: c_int, calls: &[(c_long, &[u64])]) {
    for (number, arguments) in calls {
        let result = filtered(|| call(*number, arguments));
        assert_eq!(result, Err(errno), "{number} {arguments:x?}");
    }
}

#[test]
fn kernel_refuses_what_the_table_forbids() {
    let text = c"x".as_ptr() as u64;
    refused(
        libc::EPERM,
        &[
            (libc::SYS_unshare, &[0x4000_0000]),
            (libc::SYS_setns, &[]),
            (libc::SYS_io_uring_setup, &[1]),
            (libc::SYS_io_setup, &[1]),
            (libc::SYS_bpf, &[]),
            (libc::SYS_userfaultfd, &[1]),
            (libc::SYS_perf_event_open, &[]),
            (libc::SYS_keyctl, &[]),
            (libc::SYS_shmget, &[0, 4096, 0o1600]),
            (libc::SYS_mq_open, &[text]),
            (libc::SYS_fanotify_init, &[0x200]),
            (libc::SYS_ptrace, &[]),
            (libc::SYS_chroot, &[text]),
            (libc::SYS_mount, &[text, text, text]),
            (libc::SYS_open_tree, &[0, text, 1]),
            (libc::SYS_name_to_handle_at, &[0, text]),
            (libc::SYS_adjtimex, &[]),
            // file_setattr
            (469, &[0, text]),
        ],
    );
    refused(
        libc::ENOSYS,
        &[
            (libc::SYS_clone3, &[]),
            // Behind the table, and `getpid` of x32.
            (472, &[]),
            (0x4000_0027, &[]),
            // The filter notifies of these, and nobody listens.
            (libc::SYS_openat, &[0, text]),
            (libc::SYS_execve, &[text]),
            (libc::SYS_socket, &[1, 1]),
            (libc::SYS_connect, &[]),
            (libc::SYS_sendto, &[0, 0, 0, 0, 1 << 32]),
        ],
    );
}

#[test]
fn kernel_refuses_arguments_that_the_table_forbids() {
    let text = c"x".as_ptr() as u64;
    refused(
        libc::EPERM,
        &[
            // CLONE_NEWUSER, and CLONE_PARENT.
            (libc::SYS_clone, &[0x1000_0011]),
            (libc::SYS_clone, &[HIGH | 0x1000_0011]),
            (libc::SYS_clone, &[0x8011]),
            (libc::SYS_mknodat, &[0, text, 0o020_644]),
            (libc::SYS_mknodat, &[0, text, 0x1_0000 | 0o020_644]),
            // TIOCSTI.
            (libc::SYS_ioctl, &[0, HIGH | 0x5412]),
            // ADDR_NO_RANDOMIZE.
            (libc::SYS_personality, &[0x0004_0000]),
            (libc::SYS_personality, &[HIGH | 0x0004_0000]),
            // PR_SET_DUMPABLE.
            (libc::SYS_prctl, &[4, 0]),
        ],
    );
    refused(libc::EBUSY, &[(libc::SYS_seccomp, &[1, 8])]);
    refused(libc::ENOSYS, &[(libc::SYS_execveat, &[0, text, 0, 0, 0x1000])]);
}

/// `getpid` is 20 in the 32-bit table. A kernel without that table ends the test with a signal.
#[test]
#[cfg(target_arch = "x86_64")]
fn kernel_refuses_the_32_bit_entry() {
    fn getpid() -> u64 {
        let mut result: u64 = 20;
        // SAFETY: the call takes no argument. The kernel keeps all registers but the result
        // and, before 4.17, r8 to r11.
        unsafe {
            std::arch::asm!(
                "int 0x80", inout("rax") result,
                out("r8") _, out("r9") _, out("r10") _, out("r11") _,
            );
        }
        result & 0xffff_ffff
    }
    let refused = u64::from((-libc::ENOSYS).cast_unsigned());
    assert_eq!(filtered(getpid), refused);
}

#[test]
fn memory_files_are_missing() {
    let arguments = [c"x".as_ptr() as u64, 1];
    let [without, with] = both_ways(libc::SYS_memfd_create, &arguments);
    assert!(without.is_ok(), "{without:?}");
    assert_eq!(with, Err(libc::ENOSYS));
}

#[test]
fn another_process_keeps_its_limits_and_priority() {
    let mut other = Command::new("sleep").arg("60").spawn().expect("sleep");
    let id = u64::from(other.id());
    let limit = [1024_u64, 1024];
    let processors = [u64::MAX; 16];
    let refused = [Ok(0), Err(libc::EPERM)];
    for high in [0, HIGH] {
        // PRIO_PROCESS, RLIMIT_NOFILE.
        assert_eq!(both_ways(libc::SYS_setpriority, &[high, high | id, 5]), refused);
        assert_eq!(both_ways(libc::SYS_prlimit64, &[high | id, 7, pointer(&limit)]), refused);
        let affinity = [high | id, 128, pointer(&processors)];
        assert_eq!(both_ways(libc::SYS_sched_setaffinity, &affinity), refused);
    }
    other.kill().expect("kill");
    other.wait().expect("wait");
}

#[test]
fn a_process_keeps_power_over_itself() {
    let mut limit = [0_u64; 2];
    let at = pointer_mut(&mut limit);
    assert_eq!(filtered(|| call(libc::SYS_prlimit64, &[0, 7, 0, at])), Ok(0));
    assert_eq!(filtered(|| call(libc::SYS_setpriority, &[0, 0, 19])), Ok(0));
    assert_eq!(filtered(|| call(libc::SYS_prctl, &[4, 1])), Ok(0));
    assert_eq!(filtered(|| call(libc::SYS_personality, &[0xffff_ffff])), Ok(0));
    assert_eq!(filtered(|| thread::spawn(|| 7).join().expect("a thread")), 7);
    // A further filter only narrows; the listener hears of it.
    let (installed, heard) = listened(|| install(0));
    assert_eq!(installed, 0);
    assert!(heard.contains(&libc::SYS_seccomp), "{heard:?}");
}

#[test]
fn a_directory_is_not_watched() {
    let directory = Directory::new("watch");
    let opened = fs::File::open(&directory.0).expect("a directory");
    let [without, with] = both_ways(libc::SYS_inotify_init1, &[0x8_0000]);
    assert!(without.is_ok(), "{without:?}");
    assert_eq!(with, Err(libc::EPERM));
    // F_NOTIFY with DN_CREATE and DN_MULTISHOT; EINVAL where the kernel is built without it.
    let [without, with] = both_ways(libc::SYS_fcntl, &[fd(&opened), 1026, 0x8000_0004]);
    assert!(matches!(without, Ok(0) | Err(libc::EINVAL)), "{without:?}");
    assert_eq!(with, Err(libc::EPERM));
}

#[test]
fn a_file_is_not_leased() {
    let directory = Directory::new("lease");
    let path = directory.0.join("file");
    fs::write(&path, "x").expect("write");
    let file = fs::File::open(&path).expect("open");
    // F_SETLEASE with F_RDLCK.
    assert_eq!(both_ways(libc::SYS_fcntl, &[fd(&file), 1024, 0]), [Ok(0), Err(libc::EPERM)]);
}

#[test]
fn a_read_only_descriptor_changes_no_attributes() {
    let directory = Directory::new("attributes");
    let path = directory.0.join("file");
    fs::write(&path, "x").expect("write");
    let file = fs::File::open(&path).expect("open");
    let mut flags = 0_u64;
    let at = pointer_mut(&mut flags);
    // FS_IOC_GETFLAGS and FS_IOC_SETFLAGS. A file system without them answers ENOTTY or
    // EOPNOTSUPP.
    let asked = call(libc::SYS_ioctl, &[fd(&file), 0x8008_6601, at]);
    assert_eq!(filtered(|| call(libc::SYS_ioctl, &[fd(&file), 0x8008_6601, at])), asked);
    let [without, with] = both_ways(libc::SYS_ioctl, &[fd(&file), 0x4008_6602, at]);
    assert_eq!(without.is_ok(), asked.is_ok());
    assert_eq!(with, Err(libc::EPERM));
}

/// A datagram pair reaches any socket by its path; a stream pair refuses an address and a
/// seqpacket pair ignores it. So the filter, which cannot see a message's address, lets only
/// the latter two through.
#[test]
fn a_pair_reaches_nobody_else() {
    let directory = Directory::new("pair");
    let path = directory.0.join("daemon");
    let daemon = UnixDatagram::bind(&path).expect("bind");
    daemon.set_nonblocking(true).expect("a socket that does not block");
    let heard = || daemon.recv(&mut [0; 8]).is_ok();
    let name = path.to_str().expect("text");
    let attack = |kind| {
        let mut pair = [0; 2];
        call(libc::SYS_socketpair, &[1, kind, 0, pointer_mut(&mut pair)])?;
        // SAFETY: socketpair(2) returned these descriptors.
        let [near, _far] = pair.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) });
        send_message(&near, name)
    };
    // SOCK_DGRAM, and SOCK_RAW, which is the same.
    for kind in [2, 3] {
        assert_eq!(attack(kind), Ok(1));
        assert!(heard(), "the attack does not work, so the rule is for nothing");
        assert_eq!(filtered(|| attack(kind)), Err(libc::EPERM));
        assert_eq!(filtered(|| attack(HIGH | kind)), Err(libc::EPERM));
        assert!(!heard());
    }
    // SOCK_STREAM and SOCK_SEQPACKET.
    assert_eq!(listened(|| attack(1)).0, Err(libc::EISCONN));
    assert_eq!(listened(|| attack(5)).0, Ok(1));
    assert!(!heard());
}

/// sendmsg(2) of one byte to the socket of this name.
fn send_message(socket: &OwnedFd, name: &str) -> Result<c_long, c_int> {
    // SAFETY: the structures consist of integers, and of pointers that may be null.
    let (mut address, mut message): (libc::sockaddr_un, libc::msghdr) =
        unsafe { std::mem::zeroed() };
    address.sun_family = 1;
    assert!(name.len() < address.sun_path.len());
    for (to, from) in address.sun_path.iter_mut().zip(name.bytes()) {
        *to = c_char::from_ne_bytes([from]);
    }
    let mut part = libc::iovec { iov_base: c"x".as_ptr().cast_mut().cast(), iov_len: 1 };
    message.msg_name = (&raw mut address).cast();
    message.msg_namelen = 110;
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    // MSG_NOSIGNAL.
    call(libc::SYS_sendmsg, &[fd(socket), pointer(&message), 0x4000])
}

#[test]
fn ordinary_work_goes_on_and_is_heard() {
    let directory = Directory::new("work");
    let (text, heard) = listened(|| {
        let [file, moved] = ["file", "sub/file"].map(|name| directory.0.join(name));
        fs::create_dir(directory.0.join("sub")).expect("mkdir");
        fs::write(&file, "hello").expect("write");
        fs::rename(&file, &moved).expect("rename");
        let output = Command::new("cat").arg(moved).output().expect("cat");
        String::from_utf8(output.stdout).expect("text")
    });
    assert_eq!(text, "hello");
    for number in [libc::SYS_openat, libc::SYS_execve] {
        assert!(heard.contains(&number), "{number} in {heard:?}");
    }
    for number in heard {
        let number = u32::try_from(number).expect("a system call number");
        let (_, call) = find(Architecture::NATIVE, number).expect("a known call");
        assert_ne!(call.rule, Rule::Always(Action::Allow), "{}", call.name);
    }
}

/// glibc falls back from the execveat(2) that the filter refuses to a path, of which the filter
/// notifies.
#[test]
#[cfg(target_env = "gnu")]
fn fexecve_falls_back_to_a_path() {
    let program = fs::File::open("/bin/true").expect("/bin/true");
    let arguments = [c"true".as_ptr() as usize, 0];
    let (status, heard) = listened(|| {
        // SAFETY: the child makes nothing but system calls, with memory that was there before.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let arguments = arguments.as_ptr().cast();
            // SAFETY: the arguments end in a null pointer, and the environment is one.
            unsafe {
                let nothing = [std::ptr::null(); 1];
                libc::fexecve(program.as_raw_fd(), arguments, nothing.as_ptr());
                libc::_exit(99);
            }
        }
        let mut status = -1;
        // SAFETY: the child is ours, and the status lives until the call returns.
        unsafe { libc::waitpid(child, &raw mut status, 0) };
        status
    });
    assert_eq!(status, 0);
    assert!(heard.contains(&libc::SYS_execve), "{heard:?}");
    assert!(!heard.contains(&libc::SYS_execveat), "{heard:?}");
}
