//! What a script cannot do, each attack seen to work without the jail.
//!
//! Most attacks are tried by one program, [`ATTACKS`], which notes what came of each. It runs as a
//! build script through plain Cargo, where everything must succeed, and through `cargo brig`, where
//! nothing may. The tests that start it as another user need root; run by an ordinary user they are
//! that other user's tests themselves, and say so.

#![expect(unsafe_code, reason = "pidfd_open(2) has no safe wrapper among the dependencies")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{TcpListener, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;
use std::{env, process, thread};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};
use support::{Project, TOOL, clean_command, fail, shown, stderr, succeed, walk};
use tempfile::TempDir;

/// Longer than anything here takes, on a busy machine too.
const LIMIT: Duration = Duration::from_mins(4);
/// An ordinary user: `nobody`.
const USER: u32 = 65534;

/// Tries one attack after the other and writes into `OUT_DIR/results` what came of each. Ends with 1
/// if one of them failed.
const ATTACKS: &str = r#"
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::net::{TcpStream, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};

unsafe extern "C" {
    fn syscall(number: i64, ...) -> i64;
}

fn call(number: i64, a: [i64; 6]) -> io::Result<i64> {
    let result = unsafe { syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn var(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set"))
}

fn out() -> PathBuf {
    var("OUT_DIR").into()
}

fn outside(name: &str) -> PathBuf {
    Path::new(&var("T_OUTSIDE")).join(name)
}

/// The standard library connects and creates by paths; these have none or other rights.
fn victim() -> i64 {
    var("T_VICTIM").parse().unwrap()
}

fn pidfd() -> io::Result<i64> {
    call(434, [victim(), 0, 0, 0, 0, 0])
}

fn create(path: impl AsRef<Path>) -> io::Result<()> {
    File::create_new(path.as_ref())?.write_all(b"x")?;
    fs::remove_file(path)
}

fn read(path: impl AsRef<Path>) -> io::Result<()> {
    assert!(!fs::read(path)?.is_empty());
    Ok(())
}

const SIGCONT: i64 = 18;
const ATTACKS: &[(&str, fn() -> io::Result<()>)] = &[
    // First, because plain Cargo needs what is written into it later.
    ("remove OUT_DIR", || {
        fs::remove_dir_all(out())?;
        fs::create_dir(out())
    }),
    ("rename OUT_DIR", || {
        let moved = out().with_file_name("moved");
        fs::rename(out(), &moved)?;
        fs::rename(moved, out())
    }),
    ("replace OUT_DIR", || {
        let moved = out().with_file_name("moved");
        fs::rename(out(), &moved)?;
        symlink(&moved, out())?;
        fs::remove_file(out())?;
        fs::rename(moved, out())
    }),
    ("create in /tmp", || create(var("T_TMP"))),
    ("create in HOME", || create(Path::new(&var("T_HOME")).join("created"))),
    ("create in the package", || create("src/created.rs")),
    ("create beside OUT_DIR", || create(out().join("../created"))),
    ("create in another OUT_DIR", || create(Path::new(&var("T_OTHER_OUT")).join("created"))),
    ("create in /dev/shm", || create(format!("/dev/shm/brig-{}", std::process::id()))),
    ("append outside", || {
        OpenOptions::new().append(true).open(outside("file"))?.write_all(b"x")
    }),
    ("truncate outside", || {
        OpenOptions::new().write(true).truncate(true).open(outside("truncated")).map(drop)
    }),
    ("truncate outside by path", || {
        let path = std::ffi::CString::new(var("T_OUTSIDE") + "/file").unwrap();
        call(76, [path.as_ptr() as i64, 1, 0, 0, 0, 0]).map(drop)
    }),
    ("remove outside", || fs::remove_file(outside("removed"))),
    ("rename outside", || fs::rename(outside("renamed"), outside("renamed 2"))),
    ("make a directory outside", || {
        fs::create_dir(outside("directory"))?;
        fs::remove_dir(outside("directory"))
    }),
    ("make a link outside", || symlink("/", outside("symlink"))),
    ("make a fifo outside", || {
        let path = std::ffi::CString::new(var("T_OUTSIDE") + "/fifo").unwrap();
        call(133, [path.as_ptr() as i64, 0o10600, 0, 0, 0, 0]).map(drop)
    }),
    ("write through a symbolic link", || {
        symlink(var("T_OUTSIDE"), out().join("away"))?;
        create(out().join("away/by symlink"))
    }),
    ("write through a hard link", || {
        fs::hard_link(outside("file"), out().join("hard"))?;
        OpenOptions::new().append(true).open(out().join("hard"))?.write_all(b"x")
    }),
    ("write through /proc/self/cwd", || create("/proc/self/cwd/src/created.rs")),
    ("write through /proc/self/root", || {
        create(format!("/proc/self/root{}/by root", var("T_OUTSIDE")))
    }),
    ("write through a descriptor of the directory", || {
        let directory = OpenOptions::new().read(true).custom_flags(0o10200000)
            .open(var("T_OUTSIDE"))?;
        let fd = std::os::fd::AsRawFd::as_raw_fd(&directory);
        let name = c"by descriptor";
        // openat(2), O_CREAT | O_WRONLY
        call(257, [fd.into(), name.as_ptr() as i64, 0o101, 0o600, 0, 0]).map(drop)
    }),
    ("hard link out of OUT_DIR", || {
        fs::write(out().join("mine"), "x")?;
        fs::hard_link(out().join("mine"), outside("linked out"))
    }),
    ("move out of OUT_DIR", || {
        fs::write(out().join("mine 2"), "x")?;
        fs::rename(out().join("mine 2"), outside("moved out"))
    }),
    ("exchange with OUT_DIR", || {
        fs::write(out().join("mine 3"), "x")?;
        let ours = std::ffi::CString::new(out().join("mine 3").to_str().unwrap()).unwrap();
        let theirs = std::ffi::CString::new(var("T_OUTSIDE") + "/exchanged").unwrap();
        // renameat2(2), AT_FDCWD, RENAME_EXCHANGE
        call(316, [-100, ours.as_ptr() as i64, -100, theirs.as_ptr() as i64, 2, 0]).map(drop)
    }),
    ("read in the home directory", || read(var("T_HIDDEN"))),
    ("read the credentials", || read(var("T_LOGIN"))),
    ("read a fingerprint", || read(var("T_FINGERPRINT"))),
    ("read in another OUT_DIR", || read(Path::new(&var("T_OTHER_OUT")).join("made"))),
    ("read through a symbolic link", || {
        symlink(var("T_HIDDEN"), out().join("secret"))?;
        read(out().join("secret"))
    }),
    ("read through a hard link", || {
        fs::hard_link(var("T_HIDDEN"), out().join("hard secret"))?;
        read(out().join("hard secret"))
    }),
    ("execute outside", || {
        std::process::Command::new(outside("program")).status().map(drop)
    }),
    ("connect by TCP", || {
        TcpStream::connect(("127.0.0.1", var("T_TCP").parse().unwrap())).map(drop)
    }),
    ("connect by TCP 6", || {
        TcpStream::connect(("::ffff:127.0.0.1", var("T_TCP").parse().unwrap())).map(drop)
    }),
    ("listen by TCP", || std::net::TcpListener::bind("127.0.0.1:0").map(drop)),
    ("listen by TCP without bind", || {
        let fd = call(41, [2, 1, 0, 0, 0, 0])?;
        call(50, [fd, 1, 0, 0, 0, 0]).map(drop)
    }),
    ("send by UDP", || {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.send_to(b"x", ("127.0.0.1", var("T_UDP").parse().unwrap())).map(drop)
    }),
    ("connect to a Unix socket", || UnixStream::connect(var("T_UNIX")).map(drop)),
    ("send to a Unix socket", || {
        UnixDatagram::unbound()?.send_to(b"x", var("T_DATAGRAM")).map(drop)
    }),
    ("connect to an abstract socket", || {
        UnixStream::connect_addr(&SocketAddr::from_abstract_name(var("T_ABSTRACT"))?).map(drop)
    }),
    ("send from a socket pair", || {
        let (socket, _other) = UnixDatagram::pair()?;
        socket.send_to(b"x", var("T_DATAGRAM")).map(drop)
    }),
    ("netlink", || call(41, [16, 3, 0, 0, 0, 0]).map(drop)),
    ("kill", || call(62, [victim(), SIGCONT, 0, 0, 0, 0]).map(drop)),
    ("tgkill", || call(234, [victim(), victim(), SIGCONT, 0, 0, 0]).map(drop)),
    ("signal by pidfd", || call(424, [pidfd()?, SIGCONT, 0, 0, 0, 0]).map(drop)),
    ("queue a signal", || {
        // siginfo_t with si_code SI_QUEUE
        let info: [i32; 32] = std::array::from_fn(|i| if i == 2 { -1 } else { 0 });
        call(129, [victim(), SIGCONT, info.as_ptr() as i64, 0, 0, 0]).map(drop)
    }),
    ("trace", || {
        // PTRACE_SEIZE, and PTRACE_DETACH is the kernel's at our end.
        call(101, [0x4206, victim(), 0, 0, 0, 0]).map(drop)
    }),
    ("read the environment of a process", || read(format!("/proc/{}/environ", victim()))),
    ("read the memory map of a process", || read(format!("/proc/{}/maps", victim()))),
    ("open the memory of a process", || {
        OpenOptions::new().read(true).write(true).open(format!("/proc/{}/mem", victim())).map(drop)
    }),
    ("look into the root of a process", || {
        fs::read_dir(format!("/proc/{}/root/", victim())).map(drop)
    }),
    ("take a descriptor of a process", || call(438, [pidfd()?, 0, 0, 0, 0, 0]).map(drop)),
    ("set a limit of a process", || {
        let (soft, hard) = (1_i64 << 20, 1_i64 << 20);
        let limit = [soft, hard];
        // RLIMIT_FSIZE
        call(302, [victim(), 1, limit.as_ptr() as i64, 0, 0, 0]).map(drop)
    }),
    ("set the priority of a process", || call(141, [0, victim(), 19, 0, 0, 0]).map(drop)),
    ("set the processors of a process", || {
        let all = [-1_i64; 16];
        call(203, [victim(), 128, all.as_ptr() as i64, 0, 0, 0]).map(drop)
    }),
    ("run a program from memory", || {
        let fd = call(319, [c"x".as_ptr() as i64, 0, 0, 0, 0, 0])?;
        fs::copy("/bin/true", format!("/proc/self/fd/{fd}"))?;
        std::process::Command::new(format!("/proc/self/fd/{fd}")).status().map(drop)
    }),
    ("watch a directory", || {
        let fd = call(294, [0; 6])?;
        call(254, [fd, c"/".as_ptr() as i64, 0x100, 0, 0, 0]).map(drop)
    }),
    ("share memory", || call(29, [0, 4096, 0o1600, 0, 0, 0]).map(drop)),
    // Last, because it stops the victim.
    ("signal as a descriptor's owner", || {
        let (socket, other) = UnixStream::pair()?;
        let fd = std::os::fd::AsRawFd::as_raw_fd(&socket);
        // F_SETOWN, F_SETSIG to SIGSTOP, F_SETFL to O_ASYNC. The kernel judges when it is about to
        // send the signal, and tells nobody.
        call(72, [fd.into(), 8, victim(), 0, 0, 0])?;
        call(72, [fd.into(), 10, 19, 0, 0, 0])?;
        call(72, [fd.into(), 4, 0o20000, 0, 0, 0])?;
        (&other).write_all(b"x")?;
        for _ in 0..100 {
            let status = fs::read_to_string(format!("/proc/{}/status", victim()))?;
            if status.to_lowercase().contains("\nstate:\tt") {
                return Ok(());
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        Err(io::Error::other("the signal did not arrive"))
    }),
];

fn main() {
    let mut results = String::new();
    for (name, attack) in ATTACKS {
        let result = match attack() {
            Ok(()) => "done".to_owned(),
            Err(error) => format!("{error}"),
        };
        results.push_str(&format!("{name}\t{result}\n"));
    }
    fs::write(out().join("results"), &results).unwrap();
    println!("cargo::warning=the attacks are over");
    if results.lines().any(|line| !line.ends_with("\tdone")) {
        std::process::exit(1);
    }
}
"#;

/// What the message says of an attack, for those that name a path or reach for a socket. `{}` is a name
/// of [`World::subjects`].
const MESSAGES: &[&str] = &[
    "tried to create `{tmp}`",
    "tried to create `{home}/created`",
    "tried to create `{package}/src/created.rs`",
    "tried to create `{run}/created`",
    "tried to create `{other}/created`",
    "tried to remove `{run}/out`",
    "tried to rename `{run}/out`",
    "tried to write `{outside}/file`",
    "tried to write `{outside}/truncated`",
    "tried to remove `{outside}/removed`",
    "tried to rename `{outside}/renamed`",
    "tried to create `{outside}/directory`",
    "tried to create `{outside}/symlink`",
    "tried to create `{outside}/by symlink`",
    "tried to create `{outside}/by descriptor`",
    "tried to create `{outside}/linked out`",
    "tried to rename `{outside}/moved out`",
    "tried to read `{home}/.ssh/id_ed25519`",
    "tried to read `{cargo-home}/credentials.toml`",
    "tried to read `{fingerprint}`",
    "tried to read `{other}/made`",
    "tried to execute `{outside}/program`",
    "tried to reach `127.0.0.1` port {tcp} (TCP network connection, IPv4 stream socket)",
    "tried to reach `::ffff:127.0.0.1` port {tcp} (TCP network connection, IPv6 stream socket)",
    "tried to listen at `127.0.0.1` port 0 (UDP network traffic, IPv4 datagram socket)",
    "tried to reach `{unix}` (Unix stream socket)",
    "tried to reach `{datagram}` (Unix datagram socket)",
    "tried to reach `@",
    "tried to open a socket (netlink",
];

/// What is outside of the jail: files, listeners and a process to attack.
struct World {
    _dir: TempDir,
    root: PathBuf,
    tmp: PathBuf,
    victim: Child,
    tcp: TcpListener,
    udp: UdpSocket,
    _unix: UnixListener,
    datagram: UnixDatagram,
    _abstract: UnixListener,
}

impl World {
    /// A world that belongs to this user, or to who runs the tests.
    fn of(user: Option<u32>) -> Self {
        let dir = tempfile::Builder::new().prefix("brig wörld ").tempdir().unwrap();
        let root = fs::canonicalize(dir.path()).unwrap();
        let name = root.file_name().unwrap().to_str().unwrap().replace(' ', "-");
        let write = |path: &str, text: &str| {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("home/.ssh/id_ed25519", "a secret");
        write("cargo-home/credentials.toml", "[registry]\ntoken = \"a secret\"\n");
        for file in ["file", "truncated", "removed", "renamed", "exchanged"] {
            write(&format!("outside/{file}"), "text");
        }
        write("outside/program", "#!/bin/sh\nexit 0\n");
        fs::set_permissions(root.join("outside/program"), fs::Permissions::from_mode(0o755))
            .unwrap();
        let mut victim = Command::new("sleep");
        victim.arg("100000").env("SECRET_OF_THE_VICTIM", "x").stdin(Stdio::null());
        if let Some(user) = user {
            victim.uid(user).gid(user);
        }
        let world = Self {
            tcp: TcpListener::bind("127.0.0.1:0").unwrap(),
            udp: UdpSocket::bind("127.0.0.1:0").unwrap(),
            _unix: UnixListener::bind(root.join("unix")).unwrap(),
            datagram: UnixDatagram::bind(root.join("datagram")).unwrap(),
            _abstract: UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap())
                .unwrap(),
            tmp: Path::new("/tmp").join(format!("x-{}-{name}", process::id())),
            victim: victim.spawn().unwrap(),
            _dir: dir,
            root,
        };
        world.udp.set_nonblocking(true).unwrap();
        world.datagram.set_nonblocking(true).unwrap();
        world.tcp.set_nonblocking(true).unwrap();
        if let Some(user) = user {
            give(&world.root, user);
        }
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// The variables by which [`ATTACKS`] learns of all this.
    fn variables(&self, other_out: &Path, fingerprint: &Path) -> Vec<(&'static str, OsString)> {
        let port = |address: std::net::SocketAddr| OsString::from(address.port().to_string());
        let name = self.root.file_name().unwrap().to_str().unwrap().replace(' ', "-");
        vec![
            ("T_OUTSIDE", self.path("outside").into()),
            ("T_TMP", self.tmp.clone().into()),
            ("T_HOME", self.path("home").into()),
            ("T_HIDDEN", self.path("home/.ssh/id_ed25519").into()),
            ("T_LOGIN", self.path("cargo-home/credentials.toml").into()),
            ("T_OTHER_OUT", other_out.into()),
            ("T_FINGERPRINT", fingerprint.into()),
            ("T_TCP", port(self.tcp.local_addr().unwrap())),
            ("T_UDP", port(self.udp.local_addr().unwrap())),
            ("T_UNIX", self.path("unix").into()),
            ("T_DATAGRAM", self.path("datagram").into()),
            ("T_ABSTRACT", name.into()),
            ("T_VICTIM", self.victim.id().to_string().into()),
        ]
    }

    /// Puts back what a successful run of [`ATTACKS`] has changed.
    fn restore(&self) {
        for file in ["file", "truncated", "removed", "renamed", "exchanged"] {
            fs::write(self.path("outside").join(file), "text").unwrap();
        }
    }

    /// Everything outside that a script could have changed, and what reached the sockets.
    fn traces(&self) -> BTreeMap<PathBuf, String> {
        let mut traces = BTreeMap::new();
        for directory in ["home", "cargo-home", "outside"] {
            walk(&self.path(directory), &mut |path| {
                // A fifo would be waited for.
                let is_file = fs::symlink_metadata(path).unwrap().is_file();
                let text = if is_file { fs::read(path).unwrap() } else { Vec::new() };
                let text = String::from_utf8_lossy(&text).into_owned();
                // Cargo's own.
                if !path.starts_with(self.path("cargo-home")) || path.ends_with("credentials.toml")
                {
                    traces.insert(path.to_owned(), text);
                }
            });
        }
        let mut buffer = [0; 8];
        for (name, reached) in [
            ("tcp", self.tcp.accept().is_ok()),
            ("udp", self.udp.recv(&mut buffer).is_ok()),
            ("datagram", self.datagram.recv(&mut buffer).is_ok()),
            ("tmp", self.tmp.exists()),
        ] {
            if reached {
                traces.insert(name.into(), String::new());
            }
        }
        traces
    }
}

impl Drop for World {
    fn drop(&mut self) {
        drop(self.victim.kill());
        drop(self.victim.wait());
    }
}

/// Gives everything below a directory to a user.
fn give(directory: &Path, user: u32) {
    chown(directory, Some(user), Some(user)).unwrap();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.is_symlink() {
            give(&path, user);
        } else {
            std::os::unix::fs::lchown(&path, Some(user), Some(user)).unwrap();
        }
    }
}

/// The output of a command, which must end before [`LIMIT`].
fn output_in_time(command: &mut Command) -> Output {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let pid = child.id();
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || sender.send(child.wait_with_output()));
    receiver.recv_timeout(LIMIT).map_or_else(
        |_| {
            kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL).unwrap();
            panic!("{command:?} has not ended after {LIMIT:?}");
        },
        |output| output.unwrap(),
    )
}

/// What came of each attack.
fn results(out_dir: &Path) -> BTreeMap<String, String> {
    let text = fs::read_to_string(out_dir.join("results")).unwrap();
    let pair = |line: &str| line.split_once('\t').map(|(a, b)| (a.to_owned(), b.to_owned()));
    text.lines().filter_map(pair).collect()
}

fn assert_all_done(results: &BTreeMap<String, String>) {
    let failed: Vec<_> = results.iter().filter(|(_, result)| *result != "done").collect();
    assert!(failed.is_empty(), "attacks that do not work without the jail either: {failed:#?}");
}

fn assert_none_done(results: &BTreeMap<String, String>) {
    let done: Vec<_> = results.iter().filter(|(_, result)| *result == "done").collect();
    assert!(done.is_empty(), "attacks that work in the jail: {done:#?}");
}

/// The only `OUT_DIR` that has this file.
fn out_dir_with(project: &Project, file: &str) -> PathBuf {
    let found = project.files_named("target", file);
    assert_eq!(found.len(), 1, "{found:?}");
    found[0].parent().unwrap().to_owned()
}

/// Two packages, the second one with this build script.
fn two_packages(script: &str) -> Project {
    let manifest = |name: &str| {
        format!("[package]\nname = \"{name}\"\nversion = \"1.2.3\"\nedition = \"2024\"\n")
    };
    Project::of(
        "attacks",
        &[
            ("Cargo.toml", "[workspace]\nmembers = [\"other\", \"attacker\"]\nresolver = \"3\"\n"),
            ("other/Cargo.toml", &manifest("other")),
            (
                "other/build.rs",
                "fn main() { std::fs::write(std::env::var(\"OUT_DIR\").unwrap() + \"/made\", \"x\")\
                 .unwrap(); println!(\"cargo::rerun-if-changed=build.rs\"); }",
            ),
            ("other/src/lib.rs", ""),
            ("attacker/Cargo.toml", &manifest("attacker")),
            ("attacker/build.rs", script),
            ("attacker/src/lib.rs", ""),
        ],
    )
}

#[test]
fn nothing_outside_is_in_reach() {
    let project = two_packages(ATTACKS);
    let world = World::of(None);
    let run = |jailed: bool| {
        let build = |arguments: &[&str]| {
            let mut command =
                if jailed { project.brig(arguments) } else { project.cargo(arguments) };
            support::with_toolchain(&mut command);
            command.env("CARGO_HOME", world.path("cargo-home")).env("HOME", world.path("home"));
            command
        };
        succeed(&mut build(&["build", "-p", "other"]));
        let other = out_dir_with(&project, "made");
        let mut fingerprints =
            project.files_named("target/debug/.fingerprint", "invoked.timestamp");
        walk(&project.root.join("target/debug/.fingerprint"), &mut |path| {
            if path.extension() == Some(OsStr::new("json")) {
                fingerprints.push(path.to_owned());
            }
        });
        let fingerprint = fingerprints.pop().expect("Cargo's fingerprints are elsewhere");
        let mut command = build(&["build", "-p", "attacker"]);
        command.envs(world.variables(&other, &fingerprint));
        let output = output_in_time(&mut command);
        let out_dir = out_dir_with(&project, "results");
        let subjects = [
            ("{tmp}", world.tmp.clone()),
            ("{home}", world.path("home")),
            ("{cargo-home}", world.path("cargo-home")),
            ("{outside}", world.path("outside")),
            ("{package}", project.root.join("attacker")),
            ("{run}", out_dir.parent().unwrap().to_owned()),
            ("{other}", other),
            ("{fingerprint}", fingerprint),
            ("{unix}", world.path("unix")),
            ("{datagram}", world.path("datagram")),
            ("{tcp}", world.tcp.local_addr().unwrap().port().to_string().into()),
        ];
        (output, results(&out_dir), subjects)
    };
    let before = world.traces();
    let (output, results, subjects) = run(true);
    assert!(!output.status.success(), "{}", shown(&output));
    assert_none_done(&results);
    assert_eq!(world.traces(), before);
    let text = stderr(&output);
    for message in MESSAGES {
        let mut message = (*message).to_owned();
        for (name, path) in &subjects {
            message = message.replace(name, &path.to_string_lossy());
        }
        let message = format!("the build script of `attacker v1.2.3` {message}");
        assert!(text.contains(&message), "{message}\nis not in\n{text}");
    }
    fs::remove_dir_all(project.root.join("target")).unwrap();

    let (output, results, _) = run(false);
    assert_all_done(&results);
    assert!(output.status.success(), "{}", shown(&output));
    assert_ne!(world.traces(), before);
}

/// A program compiled for a test, the tool, and the directories of a unit, for a run by hand.
struct ByHand {
    world: World,
    user: Option<u32>,
}

impl ByHand {
    /// `user` is who runs the program, if not who runs the tests.
    fn new(program: &str, user: Option<u32>) -> Self {
        let world = World::of(None);
        for directory in ["package/src", "target/debug/build/p-1/out", "target/debug/build/q-2/out"]
        {
            fs::create_dir_all(world.path(directory)).unwrap();
        }
        fs::write(world.path("target/CACHEDIR.TAG"), "").unwrap();
        fs::write(world.path("target/debug/build/q-2/out/made"), "x").unwrap();
        fs::create_dir_all(world.path("target/debug/.fingerprint/q-2")).unwrap();
        fs::write(world.path("target/debug/.fingerprint/q-2/x.json"), "x").unwrap();
        fs::copy(TOOL, world.path("cargo-brig")).unwrap();
        fs::write(world.path("program.rs"), program).unwrap();
        let mut rustc = clean_command("rustc");
        rustc.args(["--edition=2024", "-Copt-level=0", "-o"]).arg(world.path("program"));
        succeed(rustc.arg(world.path("program.rs")));
        // Replaces the process that belongs to who runs the tests.
        let mut by_hand = Self { world, user };
        if let Some(user) = user {
            drop(by_hand.world.victim.kill());
            by_hand.world.victim.wait().unwrap();
            let mut victim = Command::new("sleep");
            victim.arg("100000").uid(user).gid(user).stdin(Stdio::null());
            by_hand.world.victim = victim.spawn().unwrap();
            give(&by_hand.world.root, user);
        }
        by_hand
    }

    fn out_dir(&self) -> PathBuf {
        self.world.path("target/debug/build/p-1/out")
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        let world = &self.world;
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", world.path("home"))
            .env("CARGO_HOME", world.path("cargo-home"))
            .env("OUT_DIR", self.out_dir())
            .env("CARGO_MANIFEST_DIR", world.path("package"))
            .env("CARGO_PKG_NAME", "by-hand")
            .env("CARGO_PKG_VERSION", "0.1.0")
            .envs(world.variables(
                &world.path("target/debug/build/q-2/out"),
                &world.path("target/debug/.fingerprint/q-2/x.json"),
            ))
            .current_dir(world.path("package"))
            .stdin(Stdio::null());
        if let Some(user) = self.user {
            command.uid(user).gid(user);
        }
        command
    }

    /// The program without the jail.
    fn bare(&self) -> Command {
        self.command(&self.world.path("program"))
    }

    /// The program in the jail.
    fn jailed(&self) -> Command {
        let mut command = self.command(&self.world.path("cargo-brig"));
        command.args(["exec", "--"]).arg(self.world.path("program"));
        command
    }

    /// The program in the jail, by a shell that does something else before.
    fn jailed_after(&self, first: &str) -> Command {
        let mut command = self.command(Path::new("/bin/sh"));
        command.arg("-c").arg(format!("{first}; exec \"$0\" exec -- \"$1\""));
        command.arg(self.world.path("cargo-brig")).arg(self.world.path("program"));
        command
    }

    fn record(&self) -> serde_json::Value {
        let record = fs::read(self.out_dir().with_file_name("brig.json")).unwrap();
        serde_json::from_slice(&record).unwrap()
    }
}

/// Who a test by hand is to be run by: who runs the tests, and, if that is root, an ordinary user.
fn users() -> Vec<Option<u32>> {
    if geteuid().is_root() {
        vec![None, Some(USER)]
    } else {
        eprintln!("not run by root: only what an ordinary user sees is tested");
        vec![None]
    }
}

#[test]
fn nothing_outside_is_in_reach_of_any_user() {
    for user in users() {
        let by_hand = ByHand::new(ATTACKS, user);
        let output = output_in_time(&mut by_hand.jailed());
        assert_eq!(output.status.code(), Some(1), "{user:?} {}", shown(&output));
        assert_none_done(&results(&by_hand.out_dir()));
        let text = stderr(&output);
        let message = "brig: the build script of `by-hand v0.1.0` tried to read `";
        assert!(text.contains(message), "{text}");
        fs::remove_dir_all(by_hand.out_dir()).unwrap();
        fs::create_dir(by_hand.out_dir()).unwrap();
        by_hand.world.restore();
        if let Some(user) = user {
            give(&by_hand.world.root, user);
        }
        let output = output_in_time(&mut by_hand.bare());
        assert_all_done(&results(&by_hand.out_dir()));
        assert!(output.status.success(), "{user:?} {}", shown(&output));
    }
}

/// Writes what it is: `status`, its session, descriptors, standard input.
const DESCRIBES_ITSELF: &str = r#"
use std::io::Read;
unsafe extern "C" {
    fn getsid(pid: i32) -> i32;
}
fn main() {
    let out = std::env::var("OUT_DIR").unwrap();
    let write = |name: &str, text: String| std::fs::write(format!("{out}/{name}"), text).unwrap();
    write("status", std::fs::read_to_string("/proc/self/status").unwrap());
    let session = unsafe { getsid(0) };
    write("session", format!("{} {session}", std::process::id()));
    let mut descriptors = String::new();
    for fd in 0..1024 {
        if let Ok(file) = std::fs::read_link(format!("/proc/self/fd/{fd}")) {
            descriptors.push_str(&format!("{fd} {}\n", file.display()));
        }
    }
    write("descriptors", descriptors);
    let mut input = Vec::new();
    std::io::stdin().read_to_end(&mut input).unwrap();
    write("stdin", String::from_utf8(input).unwrap());
    write("cwd", std::env::current_dir().unwrap().display().to_string());
}
"#;

/// `Name:\tvalue` of /proc/PID/status.
fn status_field<'a>(status: &'a str, name: &str) -> &'a str {
    let field = |line: &'a str| line.strip_prefix(name)?.strip_prefix(':').map(str::trim);
    status.lines().find_map(field).unwrap_or_else(|| panic!("no {name} in {status}"))
}

#[test]
fn a_script_has_no_privileges_whoever_runs_it() {
    for user in users() {
        let by_hand = ByHand::new(DESCRIBES_ITSELF, user);
        let read = |name: &str| fs::read_to_string(by_hand.out_dir().join(name)).unwrap();
        succeed(&mut by_hand.bare());
        let bare = read("status");
        assert_eq!(status_field(&bare, "Seccomp"), "0");
        succeed(&mut by_hand.jailed());
        let jailed = read("status");
        let none = "0000000000000000";
        for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
            assert_eq!(status_field(&jailed, set), none, "{user:?} {set}");
        }
        // Without CAP_SETPCAP a bounding set cannot be reduced; with `no_new_privs` nothing can be
        // gained through it.
        let is_root = user.is_none() && geteuid().is_root();
        let bounding = if is_root { none } else { status_field(&bare, "CapBnd") };
        assert_eq!(status_field(&jailed, "CapBnd"), bounding);
        assert_eq!(status_field(&jailed, "NoNewPrivs"), "1");
        assert_eq!(status_field(&jailed, "Seccomp"), "2");
        // What the Rust runtime and libc ignore by themselves: SIGPIPE and the first real-time signal.
        let ignored = u64::from_str_radix(status_field(&jailed, "SigIgn"), 16).unwrap();
        assert_eq!(ignored & 0x7fff_efff, 0, "{ignored:x}");
        for field in ["Uid", "Gid", "SigBlk", "Umask"] {
            assert_eq!(status_field(&jailed, field), status_field(&bare, field), "{field}");
        }
        let session = read("session");
        let (pid, session) = session.split_once(' ').unwrap();
        assert_eq!(pid, session, "the script must have a session of its own");
        assert_eq!(read("stdin"), "");
    }
}

#[test]
fn this_kernel_can_enforce_all_that_is_tested() {
    let project = Project::with_script("records", "fn main() {}");
    succeed(&mut project.brig(&["build"]));
    let records = project.records();
    let landlock = &records[0]["enforced"]["landlock"];
    let abi = landlock["abi"].as_i64().unwrap();
    assert!(abi >= 6, "Landlock ABI {abi}: the tests need 6 (Linux 6.12)");
    for scope in ["Signal", "AbstractUnixSocket"] {
        let scopes = landlock["scopes"].as_array().unwrap();
        assert!(scopes.iter().any(|known| known == scope), "no {scope} in {scopes:?}");
    }
}

#[test]
fn inherited_descriptors_and_standard_input_do_not_reach_the_script() {
    let project = Project::with_script("describes_itself", DESCRIBES_ITSELF);
    let secret = project.write("a secret file", "x");
    let run = |verb: &str| {
        // A descriptor, a pipe, and an input: what a shell or a CI runner can leave open.
        let mut shell = clean_command("sh");
        shell
            .args(["-c", "echo typed | { exec 7<\"$SECRET\" 8>&1 9<&0; exec $VERB build; }"])
            .env("SECRET", &secret)
            .env("VERB", format!("{} {verb}", support::cargo().display()))
            .current_dir(&project.root);
        succeed(&mut shell);
        let out_dir = out_dir_with(&project, "descriptors");
        let read = |name: &str| fs::read_to_string(out_dir.join(name)).unwrap();
        let all = (read("descriptors"), read("stdin"), read("cwd"), read("session"));
        fs::remove_dir_all(project.root.join("target")).unwrap();
        all
    };
    let (descriptors, input, cwd, session) = run("brig");
    let numbers: Vec<&str> =
        descriptors.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(descriptors.contains("0 /dev/null\n"), "{descriptors}");
    // Standard streams and Cargo's jobserver; the directory that is listed is not open any more.
    assert_eq!(numbers.len(), 5, "{descriptors}");
    for line in descriptors.lines().skip(1) {
        assert!(line.contains(" pipe:["), "{descriptors}");
    }
    assert!(!descriptors.contains("a secret file"), "{descriptors}");
    assert_eq!(input, "");
    assert_eq!(cwd, project.root.to_str().unwrap());
    let (pid, session) = session.split_once(' ').unwrap();
    assert_eq!(pid, session);

    let (descriptors, _, plain_cwd, session) = run("");
    assert!(descriptors.contains("a secret file"), "{descriptors}");
    assert_eq!(plain_cwd, cwd);
    let (pid, session) = session.split_once(' ').unwrap();
    assert_ne!(pid, session);
}

/// Takes a token of the jobserver and puts it back.
const USES_THE_JOBSERVER: &str = r#"
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::FromRawFd;
fn main() {
    let flags = std::env::var("CARGO_MAKEFLAGS").unwrap();
    let auth = flags.split(' ').find_map(|flag| flag.strip_prefix("--jobserver-auth=")).unwrap();
    let (read, write) = auth.split_once(',').unwrap();
    let [mut read, mut write] =
        [read, write].map(|fd| unsafe { File::from_raw_fd(fd.parse().unwrap()) });
    let mut token = [0];
    read.read_exact(&mut token).unwrap();
    write.write_all(&token).unwrap();
    // GNU make takes part in it as well.
    let out = std::env::var("OUT_DIR").unwrap();
    std::fs::write(format!("{out}/Makefile"), "all: a b\na b:\n\t+@touch $@\n").unwrap();
    let make = std::process::Command::new("make")
        .args(["-C", &out])
        .env("MAKEFLAGS", &flags)
        .output()
        .unwrap();
    assert!(make.status.success(), "{make:?}");
    let warnings = String::from_utf8(make.stderr).unwrap();
    assert!(!warnings.contains("jobserver"), "{warnings}");
    std::fs::write(out + "/token", token).unwrap();
}
"#;

#[test]
fn the_jobserver_works() {
    let project = Project::with_script("uses_the_jobserver", USES_THE_JOBSERVER);
    succeed(&mut project.cargo(&["build", "-j2"]));
    fs::remove_dir_all(project.root.join("target")).unwrap();
    let output = output_in_time(&mut project.brig(&["build", "-j2"]));
    assert!(output.status.success(), "{}", shown(&output));
    let token = out_dir_with(&project, "token");
    assert!(token.join("a").exists() && token.join("b").exists());
}

/// Writes tokens into the jobserver's pipe until it is full, without waiting.
const FILLS_THE_JOBSERVER: &str = r#"
use std::fs::File;
use std::io::Write;
use std::os::fd::FromRawFd;
unsafe extern "C" {
    fn fcntl(fd: i32, command: i32, ...) -> i32;
}
fn main() {
    let flags = std::env::var("CARGO_MAKEFLAGS").unwrap();
    let fd = flags.rsplit(',').next().unwrap().parse().unwrap();
    let mut pipe = unsafe {
        assert_eq!(fcntl(fd, 4, 0o4001), 0);
        File::from_raw_fd(fd)
    };
    while pipe.write(&[b'+'; 512]).is_ok() {}
    while pipe.write(b"+").is_ok() {}
}
"#;

/// Cargo gives its tokens back, and would wait for ever.
#[test]
fn a_jobserver_that_a_script_has_filled_has_room_afterwards() {
    for user in users() {
        let by_hand = ByHand::new(FILLS_THE_JOBSERVER, user);
        for jailed in [false, true] {
            let (read, write) = nix::unistd::pipe().unwrap();
            let [reading, writing] = [&read, &write].map(AsRawFd::as_raw_fd);
            let mut command = if jailed { by_hand.jailed() } else { by_hand.bare() };
            command.env("CARGO_MAKEFLAGS", format!("--jobserver-auth={reading},{writing}"));
            succeed(&mut command);
            let flags = fcntl(&write, FcntlArg::F_GETFL).unwrap();
            let waits = !OFlag::from_bits_retain(flags).contains(OFlag::O_NONBLOCK);
            fcntl(&write, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
            let has_room = nix::unistd::write(&write, b"+").is_ok();
            assert_eq!((waits, has_room), (jailed, jailed), "{user:?}");
        }
    }
}

/// Has make run many jobs at a time, by the jobserver's tokens; or takes two and is killed.
const TAKES_TOKENS: &str = r#"
use std::{env, fs, io::Read, os::fd::FromRawFd, process::Command};
fn main() {
    let flags = env::var("CARGO_MAKEFLAGS").unwrap();
    if env::var_os("T_KILLED").is_some() {
        let auth = flags.rsplit('=').next().unwrap();
        let read = auth.split_once(',').unwrap().0.parse().unwrap();
        let mut read = unsafe { fs::File::from_raw_fd(read) };
        read.read_exact(&mut [0; 2]).unwrap();
        std::process::abort();
    }
    let out = env::var("OUT_DIR").unwrap();
    let names: Vec<String> = (0..40).map(|number| format!("t{number}")).collect();
    let names = names.join(" ");
    fs::write(format!("{out}/Makefile"), format!("all: {names}\n{names}:\n\t+@$(MAKE) -f inner $@\n")).unwrap();
    fs::write(format!("{out}/inner"), "t%: a% b%\n\t@touch $@\na% b%:\n\t@touch $@\n").unwrap();
    let make = Command::new("make").args(["-C", &out]).env("MAKEFLAGS", &flags).output().unwrap();
    let said = String::from_utf8_lossy(&make.stderr);
    assert!(make.status.success() && !said.contains("jobserver"), "{said}");
    assert!(fs::metadata(format!("{out}/t39")).is_ok());
}
"#;

/// All that were taken are there again. What a script holds that is killed nobody else gets, with and
/// without the jail.
#[test]
fn the_jobservers_tokens_are_counted() {
    const TOKENS: usize = 5;
    for user in users() {
        let by_hand = ByHand::new(TAKES_TOKENS, user);
        for (jailed, killed) in [(false, false), (true, false), (false, true), (true, true)] {
            let (read, write) = nix::unistd::pipe().unwrap();
            nix::unistd::write(&write, &[b'+'; TOKENS]).unwrap();
            let [reading, writing] = [&read, &write].map(AsRawFd::as_raw_fd);
            let mut command = if jailed { by_hand.jailed() } else { by_hand.bare() };
            command.env("CARGO_MAKEFLAGS", format!("-j --jobserver-auth={reading},{writing}"));
            if killed {
                command.env("T_KILLED", "");
            }
            let output = output_in_time(&mut command);
            assert_eq!(output.status.success(), !killed, "{jailed}: {}", shown(&output));
            fcntl(&read, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
            let left = nix::unistd::read(&read, &mut [0; 100]).unwrap();
            let held = if killed { 2 } else { 0 };
            assert_eq!(left, TOKENS - held, "{user:?}, {jailed}, {killed}");
        }
    }
}

/// Who starts a build passes on variables, and not always what their numbers mean. The supervisor has pipes
/// of its own, whatever their numbers are.
#[test]
fn a_jobserver_that_was_not_passed_on_is_none() {
    let shows = r#"
        fn main() {
            let list = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
            let numbers = list.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
            // The list itself is open under the lowest number that is free.
            let more: Vec<_> = numbers.filter(|number| *number > 3).collect();
            assert!(more.is_empty(), "{more:?}");
        }"#;
    let by_hand = ByHand::new(shows, None);
    for number in 4..40 {
        let mut command = by_hand.jailed();
        let auth = format!("--jobserver-auth={number},{}", number + 1);
        succeed(command.env("CARGO_MAKEFLAGS", auth));
    }
}

/// A build directory can come with the sources, and be anything.
#[test]
fn an_out_dir_that_is_a_link_is_refused() {
    for user in users() {
        let by_hand = ByHand::new("fn main() { std::fs::write(\"made\", \"x\").unwrap(); }", user);
        let (out_dir, outside) = (by_hand.out_dir(), by_hand.world.path("outside"));
        for link in [out_dir.clone(), out_dir.parent().unwrap().to_owned()] {
            fs::remove_dir_all(&link).unwrap();
            fs::create_dir_all(outside.join("out")).unwrap();
            std::os::unix::fs::symlink(&outside, &link).unwrap();
            if let Some(user) = user {
                give(&by_hand.world.root, user);
            }
            let before = by_hand.world.traces();
            let mut command = by_hand.jailed();
            let output = output_in_time(command.current_dir(&out_dir));
            assert_eq!(output.status.code(), Some(125), "{}", shown(&output));
            let message = format!("`{}` is a symbolic link", link.display());
            assert!(stderr(&output).contains(&message), "{}", shown(&output));
            assert_eq!(by_hand.world.traces(), before);
            fs::remove_file(&link).unwrap();
            fs::create_dir_all(&out_dir).unwrap();
        }
    }
}

/// Writes its environment.
const WRITES_ITS_ENVIRONMENT: &str = r#"
fn main() {
    let text: String = std::env::vars().map(|(name, value)| format!("{name}={value}\u{1e}")).collect();
    std::fs::write(std::env::var("OUT_DIR").unwrap() + "/environment", text).unwrap();
}
"#;

#[test]
fn secrets_are_withheld_and_nothing_else() {
    let project = Project::with_script("writes_its_environment", WRITES_ITS_ENVIRONMENT);
    let secrets = [
        "GITHUB_TOKEN",
        "CARGO_REGISTRY_TOKEN",
        "CARGO_REGISTRIES_MINE_TOKEN",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_ACCESS_KEY_ID",
        "NPM_TOKEN",
        "DATABASE_PASSWORD",
        "SSH_AUTH_SOCK",
        "OPENAI_API_KEY",
        "gitlab_token",
        "Some_Private_Key_File",
        "VAULT_CREDENTIALS",
    ];
    let harmless = ["A_VARIABLE", "CC", "OPENSSL_DIR", "MONKEY", "KEYBOARD", "Grüße", "EMPTY"];
    let run = |command: &mut Command| {
        command.envs(secrets.map(|name| (name, "a secret value")));
        command.envs(harmless.map(|name| (name, if name == "EMPTY" { "" } else { "a value" })));
        succeed(command);
        let out_dir = out_dir_with(&project, "environment");
        let text = fs::read_to_string(out_dir.join("environment")).unwrap();
        fs::remove_dir_all(project.root.join("target")).unwrap();
        let pair = |entry: &str| entry.split_once('=').map(|(n, v)| (n.to_owned(), v.to_owned()));
        text.split('\u{1e}').filter_map(pair).collect::<BTreeMap<String, String>>()
    };
    let plain = run(&mut project.cargo(&["build"]));
    let jailed = run(&mut project.brig(&["build"]));
    let names = |variables: &BTreeMap<String, String>| {
        variables.keys().cloned().collect::<BTreeSet<String>>()
    };
    let missing: BTreeSet<String> = &names(&plain) - &names(&jailed);
    // Of the directories in it none would help its loader.
    let expected = secrets.into_iter().chain(["LD_LIBRARY_PATH"]);
    assert_eq!(missing, expected.map(str::to_owned).collect());
    let added: BTreeSet<String> = &names(&jailed) - &names(&plain);
    let expected = ["TMPDIR", "LD_PRELOAD", "CARGO_HOME", "RUSTUP_HOME"];
    assert!(added.iter().all(|name| expected.contains(&name.as_str())), "{added:?}");
    for (name, value) in &plain {
        // `OUT_DIR` has another hash; the numbers of the jobserver's descriptors are Cargo's.
        let differs = ["HOME", "TMPDIR", "OUT_DIR", "CARGO_MAKEFLAGS", "LD_LIBRARY_PATH"];
        if let Some(other) = jailed.get(name)
            && !differs.contains(&name.as_str())
        {
            assert_eq!(value, other, "{name}");
        }
    }
    assert_ne!(plain["HOME"], jailed["HOME"]);
}

/// Uses its `TMPDIR`, and leaves things there that are hard to remove.
const USES_TMPDIR: &str = r#"
use std::os::unix::fs::PermissionsExt;
fn main() {
    let tmp = std::env::temp_dir();
    assert_eq!(std::fs::read_dir(&tmp).unwrap().count(), 0, "TMPDIR must be empty");
    let locked = tmp.join("locked/inner");
    std::fs::create_dir_all(&locked).unwrap();
    std::fs::write(locked.join("file"), "x").unwrap();
    std::os::unix::fs::symlink("/", tmp.join("root")).unwrap();
    std::os::unix::fs::symlink(std::env::var("OUT_DIR").unwrap(), locked.join("out")).unwrap();
    for directory in [locked.clone(), tmp.join("locked")] {
        std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0)).unwrap();
    }
    let out = std::env::var("OUT_DIR").unwrap();
    std::fs::write(out + "/tmp", tmp.to_str().unwrap()).unwrap();
}
"#;

#[test]
fn the_temporary_directory_is_private_and_gone_afterwards() {
    for user in users() {
        let by_hand = ByHand::new(USES_TMPDIR, user);
        let output = succeed(&mut by_hand.jailed());
        let tmp = fs::read_to_string(by_hand.out_dir().join("tmp")).unwrap();
        assert_ne!(Path::new(&tmp), env::temp_dir());
        assert!(!Path::new(&tmp).exists(), "{tmp} is still there: {}", shown(&output));
        assert!(by_hand.out_dir().join("tmp").exists(), "links in it must not be followed");
        assert_eq!(stderr(&output), "");
    }
}

#[test]
fn a_program_in_out_dir_can_be_run() {
    let script = r#"
        fn main() {
            let out = std::path::PathBuf::from(std::env::var("OUT_DIR").unwrap());
            for directory in [out, std::env::temp_dir()] {
                let copy = directory.join("copy of true");
                std::fs::copy("/bin/true", &copy).unwrap();
                assert!(std::process::Command::new(&copy).status().unwrap().success());
                std::fs::remove_file(copy).unwrap();
            }
        }"#;
    let project = Project::with_script("runs_its_own_program", script);
    succeed(&mut project.cargo(&["build"]));
    succeed(&mut project.brig(&["build"]));
}

#[test]
fn created_files_have_the_modes_that_they_have_without_the_jail() {
    let script = r#"
        use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, MetadataExt};
        fn main() {
            let out = std::path::PathBuf::from(std::env::var("OUT_DIR").unwrap());
            std::fs::write(out.join("plain"), "").unwrap();
            std::fs::OpenOptions::new().write(true).create(true).mode(0o777)
                .open(out.join("program")).unwrap();
            std::fs::DirBuilder::new().mode(0o775).create(out.join("directory")).unwrap();
            std::fs::copy("/bin/true", out.join("copy")).unwrap();
            let mut text = String::new();
            for name in ["plain", "program", "directory", "copy"] {
                let metadata = std::fs::metadata(out.join(name)).unwrap();
                text += &format!("{name} {:o} {}\n", metadata.mode(), metadata.uid());
            }
            std::fs::write(out.join("modes"), text).unwrap();
        }"#;
    let project = Project::with_script("creates_files", script);
    for umask in ["022", "027", "077", "000"] {
        let run = |verb: &str| {
            let mut shell = clean_command("sh");
            shell.args(["-c", &format!("umask {umask}; exec \"$CARGO_PROGRAM\" {verb} build")]);
            shell.env("CARGO_PROGRAM", support::cargo()).current_dir(&project.root);
            succeed(&mut shell);
            let out_dir = out_dir_with(&project, "modes");
            let text = fs::read_to_string(out_dir.join("modes")).unwrap();
            fs::remove_dir_all(project.root.join("target")).unwrap();
            text
        };
        assert_eq!(run("brig"), run(""), "umask {umask}");
    }
}

/// Starts a daemon in the usual way: a fork, a session, another fork. With `HOLD` the daemon keeps
/// standard output open.
const LEAVES_A_DAEMON: &str = r#"
use std::io::Read;
use std::os::fd::FromRawFd;
unsafe extern "C" {
    fn fork() -> i32;
    fn setsid() -> i32;
    fn pause() -> i32;
    fn pipe(fds: *mut i32) -> i32;
    fn dup2(old: i32, new: i32) -> i32;
    fn prctl(option: i32, ...) -> i32;
    fn signal(number: i32, handler: usize) -> usize;
    fn write(fd: i32, data: *const u8, length: usize) -> isize;
    fn close(fd: i32) -> i32;
    fn _exit(code: i32) -> !;
}
fn main() {
    let hold = std::env::var_os("HOLD").is_some();
    let mut fds = [0; 2];
    unsafe {
        assert_eq!(pipe(fds.as_mut_ptr()), 0);
        if fork() == 0 {
            setsid();
            if fork() != 0 {
                _exit(0);
            }
            // Gives up every tie that there is to whoever started it: death signal, terminal
            // signals, parent.
            prctl(1, 0);
            for number in 1..32 {
                signal(number, 1);
            }
            if !hold {
                let null = std::fs::File::options().write(true).open("/dev/null").unwrap();
                let null = std::os::fd::IntoRawFd::into_raw_fd(null);
                dup2(null, 1);
                dup2(null, 2);
            }
            let pid = std::process::id().to_string();
            write(fds[1], pid.as_ptr(), pid.len());
            close(fds[1]);
            loop {
                pause();
            }
        }
        close(fds[1]);
        let mut pid = String::new();
        std::fs::File::from_raw_fd(fds[0]).read_to_string(&mut pid).unwrap();
        let out = std::env::var("OUT_DIR").unwrap();
        std::fs::write(out + "/daemon", &pid).unwrap();
        println!("cargo::warning=daemon {pid}");
    }
}
"#;

/// Whether a process is there that is not only waiting for its parent to take notice of its end.
fn is_alive(pid: &str) -> bool {
    fs::read_to_string(format!("/proc/{pid}/status"))
        .is_ok_and(|status| !status_field(&status, "State").starts_with('Z'))
}

#[test]
fn a_daemon_is_gone_when_the_build_ends() {
    let project = Project::with_script("leaves_a_daemon_behind", LEAVES_A_DAEMON);
    let daemon = || fs::read_to_string(out_dir_with(&project, "daemon").join("daemon")).unwrap();
    let output = output_in_time(project.brig(&["build"]).env("HOLD", "1"));
    assert!(output.status.success(), "{}", shown(&output));
    assert!(!is_alive(&daemon()), "the daemon has survived: {}", shown(&output));
    assert_eq!(project.records()[0]["killed"], 1);
    fs::remove_dir_all(project.root.join("target")).unwrap();

    let output = output_in_time(&mut project.cargo(&["build"]));
    assert!(output.status.success(), "{}", shown(&output));
    let daemon = daemon();
    assert!(is_alive(&daemon), "without the jail a daemon must survive");
    kill(Pid::from_raw(daemon.parse().unwrap()), Signal::SIGKILL).unwrap();
}

/// Starts several descendants, says who all of them are, and waits for ever.
const WAITS_FOR_EVER: &str = r#"
unsafe extern "C" {
    fn fork() -> i32;
    fn setsid() -> i32;
    fn pause() -> i32;
    fn prctl(option: i32, ...) -> i32;
    fn signal(number: i32, handler: usize) -> usize;
    fn _exit(code: i32) -> !;
}
fn main() {
    unsafe {
        for number in 1..32 {
            signal(number, 1);
        }
        prctl(1, 0);
        // A subreaper in between: orphans below it do not go to the supervisor.
        if fork() == 0 {
            prctl(36, 1);
            for _ in 0..3 {
                if fork() == 0 {
                    setsid();
                    if fork() != 0 {
                        _exit(0);
                    }
                    println!("descendant {}", std::process::id());
                    loop {
                        pause();
                    }
                }
            }
            println!("descendant {}", std::process::id());
            loop {
                pause();
            }
        }
        println!("descendant {}", std::process::id());
        loop {
            pause();
        }
    }
}
"#;

/// Waits until a process has ended (`pidfd_open(2)`).
struct Ending(OwnedFd);

impl Ending {
    fn of(pid: i32) -> Self {
        // SAFETY: plain integers; the result is a new descriptor that nobody else owns.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
        assert!(fd >= 0, "pidfd_open: {}", std::io::Error::last_os_error());
        // SAFETY: see above.
        Self(unsafe { OwnedFd::from_raw_fd(i32::try_from(fd).unwrap()) })
    }

    fn has_come(&self) -> bool {
        let mut polled = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
        poll(&mut polled, PollTimeout::try_from(60_000_u32).unwrap()).unwrap() == 1
    }
}

fn children_of(pid: u32) -> Vec<i32> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    text.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

/// A script in the jail that waits for ever, the supervisor, and its descendants.
fn waiting(by_hand: &ByHand) -> (Child, Vec<Ending>) {
    let mut supervisor =
        by_hand.jailed().stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(supervisor.stdout.take().unwrap());
    let mut descendants = Vec::new();
    for _ in 0..5 {
        let mut line = String::new();
        lines.read_line(&mut line).unwrap();
        let pid = line.trim().strip_prefix("descendant ").unwrap_or_else(|| panic!("{line:?}"));
        descendants.push(Ending::of(pid.parse().unwrap()));
    }
    supervisor.stdout = Some(lines.into_inner());
    (supervisor, descendants)
}

#[test]
fn nothing_survives_the_supervisor() {
    for user in users() {
        let by_hand = ByHand::new(WAITS_FOR_EVER, user);
        for signal in [Signal::SIGKILL, Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
            let (mut supervisor, descendants) = waiting(&by_hand);
            let pid = Pid::from_raw(supervisor.id().cast_signed());
            let warden = Ending::of(children_of(supervisor.id())[0]);
            kill(pid, signal).unwrap();
            let status = supervisor.wait().unwrap();
            assert_eq!(status.signal(), Some(signal as i32), "{status}");
            assert!(warden.has_come(), "the warden has survived {signal}");
            assert!(descendants.iter().all(Ending::has_come), "descendants survived {signal}");
        }
    }
}

#[test]
fn nothing_survives_the_warden_and_the_run_fails() {
    for user in users() {
        let by_hand = ByHand::new(WAITS_FOR_EVER, user);
        for signal in [Signal::SIGKILL, Signal::SIGABRT] {
            let (mut supervisor, descendants) = waiting(&by_hand);
            let warden = children_of(supervisor.id());
            assert_eq!(warden.len(), 1);
            kill(Pid::from_raw(warden[0]), signal).unwrap();
            let mut text = String::new();
            supervisor.stderr.take().unwrap().read_to_string(&mut text).unwrap();
            assert_eq!(supervisor.wait().unwrap().code(), Some(125), "{text}");
            assert!(text.contains("the warden ended without a report"), "{text}");
            assert!(descendants.iter().all(Ending::has_come), "descendants survived {signal}");
        }
    }
}

/// A warden that does nothing more stands for one that hangs in a call, on a file system that does not
/// answer.
#[test]
fn nothing_survives_a_warden_that_hangs() {
    for user in users() {
        let by_hand = ByHand::new(WAITS_FOR_EVER, user);
        let (mut supervisor, descendants) = waiting(&by_hand);
        let [warden] = children_of(supervisor.id())[..] else { panic!("one child") };
        kill(Pid::from_raw(warden), Signal::SIGSTOP).unwrap();
        kill(Pid::from_raw(supervisor.id().cast_signed()), Signal::SIGTERM).unwrap();
        let ended = Ending::of(supervisor.id().cast_signed());
        assert!(ended.has_come(), "the supervisor waits for ever");
        assert_eq!(supervisor.wait().unwrap().signal(), Some(Signal::SIGTERM as i32));
        assert!(descendants.iter().all(Ending::has_come), "descendants have survived");
    }
}

#[test]
fn nothing_survives_cargo() {
    let project = Project::with_script("waits_for_ever", WAITS_FOR_EVER);
    // The lines reach the test through Cargo with -vv.
    let mut command = project.cargo(&["build", "-vv"]);
    let mut cargo = command
        .env("RUSTC_WRAPPER", TOOL)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut descendants = Vec::new();
    for line in BufReader::new(cargo.stdout.take().unwrap()).lines().map_while(Result::ok) {
        if let Some((_, pid)) = line.split_once("descendant ") {
            descendants.push(Ending::of(pid.parse().unwrap()));
        }
        if descendants.len() == 5 {
            break;
        }
    }
    assert_eq!(descendants.len(), 5);
    cargo.kill().unwrap();
    cargo.wait().unwrap();
    assert!(descendants.iter().all(Ending::has_come), "descendants survived Cargo");
}

/// Attacks everybody above it. Under plain Cargo that is Cargo and who started it.
const ATTACKS_ITS_PARENTS: &str = r#"
use std::fs::{self, File};
use std::io;
unsafe extern "C" {
    fn getppid() -> i32;
    fn kill(pid: i32, signal: i32) -> i32;
    fn ptrace(request: u64, ...) -> i64;
    fn setpriority(which: i32, who: u32, priority: i32) -> i32;
}
fn check(result: i64) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
/// Opens a file by its name in a directory that may be entered by whoever owns it.
fn from(directory: &str, name: &str) -> io::Result<()> {
    std::env::set_current_dir(directory)?;
    let opened = File::open(name).map(drop);
    std::env::set_current_dir("/").unwrap();
    opened
}
fn main() {
    let mut results = String::new();
    let mut pid = unsafe { getppid() };
    for who in ["parent", "grandparent"] {
        let attacks = [
            ("signal", check(unsafe { kill(pid, 18) }.into())),
            ("probe", check(unsafe { kill(pid, 0) }.into())),
            ("trace", check(unsafe { ptrace(0x4206, pid, 0, 0) })),
            ("memory", File::options().read(true).write(true).open(format!("/proc/{pid}/mem")).map(drop)),
            ("environment", fs::read(format!("/proc/{pid}/environ")).map(drop)),
            ("maps", fs::read(format!("/proc/{pid}/maps")).map(drop)),
            ("descriptors", fs::read_link(format!("/proc/{pid}/fd/1")).map(drop)),
            ("program", fs::read_link(format!("/proc/{pid}/exe")).map(drop)),
            ("descriptor", File::open(format!("/proc/{pid}/fd/0")).map(drop)),
            ("descriptor by directory", from(&format!("/proc/{pid}/fd"), "0")),
            ("descriptor by process", {
                let out = std::env::var("OUT_DIR").unwrap();
                let _ = fs::remove_file(format!("{out}/link"));
                std::os::unix::fs::symlink(format!("/proc/{pid}/task/{pid}/fd/0"), format!("{out}/link"))
                    .and_then(|()| File::open(format!("{out}/link")).map(drop))
            }),
            ("environment by directory", from(&format!("/proc/{pid}"), "environ")),
            ("descriptor by another's directory", from(&format!("/proc/{pid}/fd"), "/proc/self/cwd/0")),
            ("priority", check(unsafe { setpriority(0, pid as u32, 19) }.into())),
        ];
        for (name, result) in attacks {
            let result = result.map_or_else(|error| error.to_string(), |()| "done".to_owned());
            results.push_str(&format!("{name} of the {who}\t{result}\n"));
        }
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap();
        pid = parent.trim().parse().unwrap();
    }
    let out = std::env::var("OUT_DIR").unwrap();
    fs::write(out + "/results", results).unwrap();
}
"#;

#[test]
fn warden_and_supervisor_are_out_of_reach() {
    for user in users() {
        let by_hand = ByHand::new(ATTACKS_ITS_PARENTS, user);
        let output = output_in_time(&mut by_hand.jailed());
        assert!(output.status.success(), "{}", shown(&output));
        let results_in_jail = results(&by_hand.out_dir());
        assert_eq!(results_in_jail.len(), 28);
        assert_none_done(&results_in_jail);
        // Without the jail: two shells of the same user stand above it.
        let mut shell = by_hand.command(Path::new("/bin/sh"));
        let program = by_hand.world.path("program");
        shell.args(["-c", "sh -c '\"$0\"; true' \"$0\"; true"]).arg(program);
        succeed(&mut shell);
        assert_all_done(&results(&by_hand.out_dir()));
    }
}

#[test]
fn a_script_that_kills_all_it_can_kills_only_itself() {
    let script = r#"
        unsafe extern "C" {
            fn fork() -> i32;
            fn kill(pid: i32, signal: i32) -> i32;
            fn pause() -> i32;
        }
        fn main() {
            let child = unsafe { fork() };
            if child == 0 {
                loop { unsafe { pause(); } }
            }
            // All but the caller; then its group; then itself.
            unsafe { kill(-1, 9) };
            unsafe { kill(0, 9) };
        }"#;
    let project = Project::with_script("kills_everybody", script);
    let mut bystander = Command::new("sleep").arg("100000").spawn().unwrap();
    let output = output_in_time(&mut project.brig(&["build"]));
    assert_eq!(output.status.code(), Some(101), "{}", shown(&output));
    assert!(stderr(&output).contains("signal: 9"), "{}", shown(&output));
    assert!(bystander.try_wait().unwrap().is_none(), "a bystander was killed");
    bystander.kill().unwrap();
    bystander.wait().unwrap();
}

/// A package with a script that reads what `DEP_*` variables and search paths lead to.
fn lender(manifest_of_lender: &str, script_of_lender: &str, script: &str) -> Project {
    Project::of(
        "borrows",
        &[
            (
                "Cargo.toml",
                "[package]\nname = \"borrower\"\nversion = \"1.0.0\"\nedition = \"2024\"\n\
                 [dependencies]\nlender = { path = \"lender\" }\n\
                 [build-dependencies]\nlender = { path = \"lender\" }\n",
            ),
            ("build.rs", script),
            ("src/lib.rs", ""),
            (
                "lender/Cargo.toml",
                &format!(
                    "[package]\nversion = \"1.0.0\"\nedition = \"2024\"\n{manifest_of_lender}"
                ),
            ),
            ("lender/build.rs", script_of_lender),
            ("lender/src/lib.rs", ""),
        ],
    )
}

/// Cargo puts directories that a build-dependency's script named into `LD_LIBRARY_PATH`, if they
/// look like directories below the build directory: two packages together must not be able to
/// borrow the rest of the machine in this way.
#[test]
fn a_search_path_does_not_lend_what_is_outside() {
    let world = World::of(None);
    let reads = "fn main() { std::fs::read(std::env::var(\"T_HIDDEN\").unwrap()).unwrap(); }";
    let by_link = r#"
        fn main() {
            let out = std::env::var("OUT_DIR").unwrap();
            let home = std::env::var("T_LENT").unwrap();
            let _ = std::fs::remove_file(format!("{out}/lent"));
            std::os::unix::fs::symlink(home, format!("{out}/lent")).unwrap();
            println!("cargo::rustc-link-search=native={out}/lent");
        }"#;
    let by_dots = r#"
        fn main() {
            let out = std::env::var("OUT_DIR").unwrap();
            let home = std::env::var("T_LENT").unwrap();
            let up = "/..".repeat(out.split('/').count() - 1);
            println!("cargo::rustc-link-search=native={out}{up}{home}");
        }"#;
    let directory = world.path("home/.ssh");
    let secret = directory.join("id_ed25519");
    for script in [by_link, by_dots] {
        let project = lender("name = \"lender\"\n", script, reads);
        let run = |mut command: Command| {
            output_in_time(command.env("T_HIDDEN", &secret).env("T_LENT", &directory))
        };
        let output = run(project.cargo(&["build"]));
        assert!(output.status.success(), "{}", shown(&output));
        let output = run(project.brig(&["build"]));
        assert!(!output.status.success(), "the secret was read: {}", shown(&output));
        // Whoever lends it fails already, or else who borrows it.
        let text = stderr(&output);
        let messages = [
            format!(
                "left the symbolic link `lent` in OUT_DIR, which leads to `{}`",
                directory.display()
            ),
            "printed `cargo::rustc-link-search=native=".to_owned(),
            format!("tried to read `{}`", secret.display()),
        ];
        assert!(messages.iter().any(|message| text.contains(message)), "{}", shown(&output));
    }
}

/// Metadata tells a dependent's script of the `OUT_DIR` of its dependency, whatever the package is
/// called and by whatever name the target directory is reached.
#[test]
fn a_dependencys_out_dir_can_be_read() {
    let gives = r#"
        fn main() {
            let out = std::env::var("OUT_DIR").unwrap();
            std::fs::write(format!("{out}/header.h"), "x").unwrap();
            println!("cargo::metadata=include={out}");
        }"#;
    let takes = r#"
        fn main() {
            let path = std::env::var("DEP_NATIVE_INCLUDE").unwrap() + "/header.h";
            std::fs::read(path).unwrap();
        }"#;
    for name in ["lender", "out", "outer", "output-sys"] {
        let manifest = format!("name = \"{name}\"\nlinks = \"native\"\n");
        let project = lender(&manifest, gives, takes);
        let text = fs::read_to_string(project.root.join("Cargo.toml")).unwrap();
        let text = text.replace("lender = { path", &format!("{name} = {{ path"));
        project.write("Cargo.toml", &text);
        succeed(&mut project.cargo(&["build"]));
        succeed(&mut project.brig(&["build"]));
    }
    // A target directory that is a symbolic link, on another disk for example.
    let project = lender("name = \"lender\"\nlinks = \"native\"\n", gives, takes);
    let elsewhere = TempDir::new().unwrap();
    std::os::unix::fs::symlink(elsewhere.path(), project.root.join("target")).unwrap();
    succeed(&mut project.cargo(&["build"]));
    succeed(&mut project.brig(&["build"]));
}

/// Cargo marks only a target directory that it makes itself (`CACHEDIR.TAG`).
#[test]
fn other_profiles_of_a_target_directory_made_by_hand_are_not_readable() {
    let reads = r#"
        fn main() {
            std::fs::read_dir("target").unwrap();
            std::fs::read(std::env::var("T_FINGERPRINT").unwrap()).unwrap();
        }"#;
    let project = Project::with_script("reads_fingerprints", reads);
    fs::create_dir(project.root.join("target")).unwrap();
    let fingerprint = project.write("target/debug/.fingerprint/other-1/other.json", "a secret");
    let run = |mut command: Command| output_in_time(command.env("T_FINGERPRINT", &fingerprint));
    let output = run(project.cargo(&["build", "--release"]));
    assert!(output.status.success(), "{}", shown(&output));
    let output = run(project.brig(&["build", "--release"]));
    assert!(!output.status.success(), "the fingerprint was read: {}", shown(&output));
}

/// A script that writes to a file outside and says so if it could.
fn writes_to(path: &str) -> String {
    format!("fn main() {{ std::fs::write({path}, \"x\").unwrap(); }}")
}

#[test]
fn writing_to_the_home_directory_fails() {
    let script = r#"concat_path(&std::env::var("HOME").unwrap())"#;
    let text = format!(
        "{}\nfn concat_path(home: &str) -> String {{ format!(\"{{home}}/brig-was-here\") }}",
        writes_to(script)
    );
    let project = Project::with_script("writes_home", &text);
    let home = project.root.join("home of a user");
    fs::create_dir(&home).unwrap();
    let marker = home.join("brig-was-here");
    let with_home = |command: &mut Command| {
        support::with_toolchain(command).env("HOME", &home).output().unwrap()
    };
    let output = with_home(&mut project.brig(&["build"]));
    assert!(!output.status.success() && !marker.exists());
    let text = stderr(&output);
    assert!(text.contains("the build script of `writes_home v1.2.3` tried to create"), "{text}");
    let output = with_home(&mut project.cargo(&["build"]));
    assert!(output.status.success() && marker.exists(), "the attack must work without the jail");
}

#[test]
fn writing_to_the_own_package_fails() {
    let project = Project::with_script("writes_package", &writes_to("\"src/planted.rs\""));
    let text = stderr(&fail(&mut project.brig(&["build"])));
    assert!(text.contains("the build script of `writes_package v1.2.3` tried to create"), "{text}");
    assert!(text.contains("src/planted.rs"), "{text}");
    assert!(!project.root.join("src/planted.rs").exists());
    succeed(&mut project.cargo(&["build"]));
    assert!(project.root.join("src/planted.rs").exists());
}

/// While one thread executes a program, which takes its time, another fails to.
#[test]
fn a_thread_does_not_hide_the_program_of_another() {
    const ROUNDS: usize = 100;
    let script = format!(
        r#"
        use std::os::unix::process::CommandExt;
        use std::process::Command;
        unsafe extern "C" {{
            fn fork() -> i32;
            fn waitpid(pid: i32, status: *mut i32, flags: i32) -> i32;
        }}
        fn main() {{
            let padding = vec!["x".repeat(100_000); 10];
            for _ in 0..{ROUNDS} {{
                if unsafe {{ fork() }} == 0 {{
                    let padding = padding.clone();
                    std::thread::spawn(|| Command::new("/usr/bin/env").arg("true").args(padding).exec());
                    loop {{
                        Command::new("/no/such/program").exec();
                        std::fs::metadata("/no/such/file").ok();
                    }}
                }}
                unsafe {{ waitpid(-1, &mut 0, 0) }};
            }}
        }}"#
    );
    let by_hand = ByHand::new(&script, None);
    let output = output_in_time(&mut by_hand.jailed());
    assert!(output.status.success(), "{}", shown(&output));
    let record = by_hand.record();
    let program = fs::canonicalize("/usr/bin/env").unwrap();
    let executed = record["accesses"].as_array().unwrap().iter().filter(|access| {
        access["kind"] == "execute"
            && access["outcome"] == "allowed"
            && Path::new(access["path"].as_str().unwrap()) == program
    });
    let count: u64 = executed.map(|access| access["count"].as_u64().unwrap()).sum();
    assert_eq!(count, ROUNDS as u64);
}

/// Where something answers for the kernel that it restricts, and it does not, nothing is run, and
/// nothing is killed in the belief that signals reach the script's processes alone: that would be every
/// process of the user's, so this runs where there are no others.
#[test]
fn a_jail_that_is_only_said_to_be_entered_runs_nothing() {
    const ANSWERS: &str = r"
        #include <linux/filter.h>
        #include <linux/seccomp.h>
        #include <stddef.h>
        #include <stdlib.h>
        #include <sys/prctl.h>
        #include <sys/syscall.h>
        #include <unistd.h>
        int main(int count, char **arguments) {
            struct sock_filter filter[] = {
                BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, atoi(arguments[1]), 0, 1),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
            };
            struct sock_fprog program = {4, filter};
            if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, 2, &program)) return 7;
            execv(arguments[2], arguments + 2);
            return 8;
        }";
    let by_hand = ByHand::new("fn main() { println!(\"it has run\"); }", None);
    let (source, answers) = (by_hand.world.path("answers.c"), by_hand.world.path("answers"));
    fs::write(&source, ANSWERS).unwrap();
    succeed(clean_command("gcc").arg("-o").arg(&answers).arg(&source));
    let jailed = by_hand.jailed();
    for (call, said) in [
        (libc::SYS_landlock_restrict_self, "Landlock says that it enforces the ruleset, but"),
        (libc::SYS_seccomp, "the seccomp filter is said to be installed, but"),
    ] {
        let mut command = clean_command("unshare");
        command.args(if geteuid().is_root() { &["-pf"][..] } else { &["-rpf"][..] });
        command.args(["--mount-proc", "--kill-child"]).arg(&answers).arg(call.to_string());
        command.arg(jailed.get_program()).args(jailed.get_args()).env_clear();
        command.current_dir(jailed.get_current_dir().unwrap());
        command.envs(jailed.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let output = output_in_time(&mut command);
        assert!(!shown(&output).contains("it has run"), "{}", shown(&output));
        assert_eq!(output.status.code(), Some(125), "{}", shown(&output));
        assert!(stderr(&output).contains(said), "{}", shown(&output));
    }
}

/// A record that finds no room is no record, and without one the run is void.
#[test]
fn a_record_that_does_not_fit_fails_the_run() {
    let script = r#"
        fn main() {
            for number in 0..20_000 {
                std::fs::metadata(format!("/no such file {number}")).ok();
            }
            println!("cargo::warning=it has run");
        }"#;
    for user in users() {
        let by_hand = ByHand::new(script, user);
        let output = output_in_time(&mut by_hand.jailed_after("ulimit -f 512"));
        assert_eq!(output.status.code(), Some(125), "{}", shown(&output));
        let text = stderr(&output);
        assert!(text.contains("cannot write the record") && text.contains("large"), "{text}");
        let out_dir = by_hand.out_dir();
        let beside = fs::read_dir(out_dir.parent().unwrap()).unwrap();
        let left: Vec<_> = beside.map(|entry| entry.unwrap().file_name()).collect();
        let records = left.iter().filter(|name| name.to_string_lossy().starts_with("brig."));
        assert_eq!(records.count(), 0, "{left:?}");
    }
}

/// A program that cannot be read is closed to the warden, and so is what it asks for.
#[test]
fn an_unreadable_program_executes_nothing_unseen() {
    let script = r#"
        use std::os::unix::{fs::PermissionsExt, process::CommandExt};
        use std::{env, fs, process::Command};
        fn main() {
            if env::args().nth(1).is_some() {
                let error = Command::new("/usr/bin/touch").arg("touched").exec();
                std::process::exit(error.raw_os_error().unwrap());
            }
            let out = env::var("OUT_DIR").unwrap();
            env::set_current_dir(&out).unwrap();
            fs::copy(env::current_exe().unwrap(), "unreadable").unwrap();
            fs::set_permissions("unreadable", fs::Permissions::from_mode(0o111)).unwrap();
            Command::new(out + "/unreadable").arg("x").status().unwrap();
        }"#;
    for user in users() {
        let by_hand = ByHand::new(script, user);
        let output = output_in_time(&mut by_hand.jailed());
        assert!(output.status.success(), "{}", shown(&output));
        assert!(!by_hand.out_dir().join("touched").exists());
    }
}

/// A name of 15 bytes that ends within a character, as a longer one does that was cut.
#[test]
fn a_thread_of_any_name_makes_files() {
    let script = r#"
        unsafe extern "C" {
            fn prctl(what: i32, name: *const u8) -> i32;
        }
        fn main() {
            assert_eq!(unsafe { prctl(15, b"a name cut in \xc3\0".as_ptr()) }, 0);
            let out = std::env::var("OUT_DIR").unwrap();
            std::fs::create_dir(out.clone() + "/directory").unwrap();
            std::fs::write(out + "/file", "x").unwrap();
        }"#;
    for user in users() {
        let by_hand = ByHand::new(script, user);
        let output = output_in_time(&mut by_hand.jailed());
        assert!(output.status.success(), "{}", shown(&output));
    }
}

/// A script that leaves more than could be read in a day ends all the same.
#[test]
fn holes_do_not_hold_the_launcher() {
    let script = r#"
        fn main() {
            let out = std::env::var("OUT_DIR").unwrap();
            for number in 0..100 {
                let file = std::fs::File::create(format!("{out}/{number}")).unwrap();
                file.set_len(60 << 30).unwrap();
            }
        }"#;
    let by_hand = ByHand::new(script, None);
    let output = output_in_time(&mut by_hand.jailed());
    assert!(output.status.success(), "{}", shown(&output));
}
