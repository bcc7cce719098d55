//! What a script reaches over the network and by Unix sockets: what a rule gives, and nothing else, by
//! whatever call and however many threads.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::Output;
use std::thread;

use nix::sys::socket::{setsockopt, sockopt::RcvBuf};
use serde_json::Value;
use support::{Project, fail, shown, stderr, succeed};

/// What all scripts begin with: the calls that the standard library does not make as these do.
const PRELUDE: &str = r#"
#![allow(dead_code, unused_imports, unused_unsafe)]
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::{env, fs, thread};
unsafe extern "C" {
    fn socket(family: i32, kind: i32, protocol: i32) -> i32;
    fn connect(fd: i32, address: *const u8, length: u32) -> i32;
    fn bind(fd: i32, address: *const u8, length: u32) -> i32;
    fn listen(fd: i32, backlog: i32) -> i32;
    fn sendto(fd: i32, text: *const u8, length: usize, flags: i32, address: *const u8, size: u32) -> isize;
    fn sendmsg(fd: i32, header: *const u64, flags: i32) -> isize;
    fn sendmmsg(fd: i32, headers: *mut u64, count: u32, flags: i32) -> i32;
    fn setsockopt(fd: i32, level: i32, name: i32, value: *const i32, length: u32) -> i32;
    fn dup2(from: i32, to: i32) -> i32;
}
fn say(what: &str, errno: i32) {
    println!("cargo::warning={what} {errno}");
}
fn errno<T>(result: io::Result<T>) -> i32 {
    result.err().map_or(0, |error| error.raw_os_error().unwrap_or(-1))
}
fn raw(result: isize) -> i32 {
    if result < 0 { io::Error::last_os_error().raw_os_error().unwrap() } else { 0 }
}
fn v4(family: u16, port: u16) -> [u8; 16] {
    let mut address = [0; 16];
    address[..2].copy_from_slice(&family.to_ne_bytes());
    address[2..4].copy_from_slice(&port.to_be_bytes());
    address[4..8].copy_from_slice(&[127, 0, 0, 1]);
    address
}
fn header(address: &[u8; 16], pieces: &[u64; 2]) -> [u64; 8] {
    [address.as_ptr() as u64, 16, pieces.as_ptr() as u64, 1, 0, 0, 0, 0]
}
fn ports() -> Vec<u16> {
    fs::read_to_string("ports").unwrap().lines().map(|port| port.parse().unwrap()).collect()
}
const INET: i32 = 2;
const STREAM: i32 = 1;
const DATAGRAM: i32 = 2;
"#;

const ATTEMPTS: &str = r#"
fn main() {
    let [tcp, other_tcp, udp, other_udp] = ports()[..] else { panic!() };
    let talk = |to: SocketAddr| -> io::Result<()> {
        let mut stream = TcpStream::connect(to)?;
        stream.set_nodelay(true)?;
        // Where a rule gives more, nobody answers behind the other port.
        stream.set_read_timeout(Some(std::time::Duration::from_secs(1)))?;
        stream.write_all(b"ping")?;
        let mut answer = [0; 4];
        stream.read_exact(&mut answer)?;
        assert_eq!(&answer, b"pong");
        Ok(())
    };
    let mapped = Ipv4Addr::LOCALHOST.to_ipv6_mapped();
    say("tcp", errno(talk((Ipv4Addr::LOCALHOST, tcp).into())));
    say("tcp, mapped", errno(talk((mapped, tcp).into())));
    say("tcp, other port", errno(talk((Ipv4Addr::LOCALHOST, other_tcp).into())));
    say("tcp, other port, mapped", errno(talk((mapped, other_tcp).into())));
    say("tcp, other address", errno(talk((Ipv4Addr::new(127, 0, 0, 2), tcp).into())));
    say("tcp, no address", errno(talk((Ipv4Addr::UNSPECIFIED, tcp).into())));
    let socket_udp = UdpSocket::bind("0.0.0.0:0");
    say("udp, bind anywhere", errno(socket_udp.as_ref().map_err(|e| io::Error::from_raw_os_error(e.raw_os_error().unwrap()))));
    let socket_udp = socket_udp.unwrap_or_else(|_| unsafe { UdpSocket::from_raw_fd(socket(INET, DATAGRAM, 0)) });
    say("udp, sendto", errno(socket_udp.send_to(b"sendto", (Ipv4Addr::LOCALHOST, udp))));
    say("udp, sendto, other port", errno(socket_udp.send_to(b"x", (Ipv4Addr::LOCALHOST, other_udp))));
    let to = v4(2, udp);
    let other = v4(2, other_udp);
    let unspecified = v4(0, other_udp);
    let text = b"message";
    let pieces = [text.as_ptr() as u64, 7];
    let fd = socket_udp.as_raw_fd();
    unsafe {
        say("udp, sendmsg", raw(sendmsg(fd, header(&to, &pieces).as_ptr(), 0)));
        say("udp, sendmsg, other port", raw(sendmsg(fd, header(&other, &pieces).as_ptr(), 0)));
        // The form in which the listener is handed over.
        say("udp, sendmsg, unheard", raw(sendmsg(fd, header(&other, &pieces).as_ptr(), 0x804)));
        say("udp, sendto, no family", raw(sendto(fd, text.as_ptr(), 7, 0, unspecified.as_ptr(), 16)));
        let mut several = [header(&to, &pieces), header(&to, &pieces)];
        let count = sendmmsg(fd, several.as_mut_ptr().cast(), 2, 0);
        say("udp, sendmmsg", if count == 2 && several[1][7] as u32 == 7 { 0 } else { raw(-1) });
        let mut several = [header(&to, &pieces), header(&other, &pieces)];
        let count = sendmmsg(fd, several.as_mut_ptr().cast(), 2, 0);
        say("udp, sendmmsg, the second to another", if count == 1 { 13 } else { raw(count as isize) });
        say("udp, connect, other port", raw(connect(fd, other.as_ptr(), 16) as isize));
        say("udp, connect", raw(connect(fd, to.as_ptr(), 16) as isize));
        say("udp, send", raw(sendto(fd, b"connected".as_ptr(), 9, 0, std::ptr::null(), 0)));
        let stream = socket(INET, STREAM, 0);
        let address = v4(2, other_tcp);
        say("fast open", raw(sendto(stream, text.as_ptr(), 7, 0x2000_0000, address.as_ptr(), 16)));
        let on = 1;
        say("fast open by an option", raw(setsockopt(stream, 6, 30, &on, 4) as isize));
        say("bind", raw(bind(stream, v4(2, 0).as_ptr(), 16) as isize));
        say("listen", raw(listen(stream, 1) as isize));
        say("udp, bind", raw(bind(socket(INET, DATAGRAM, 0), v4(2, 0).as_ptr(), 16) as isize));
        say("mptcp", raw(socket(INET, STREAM, 262) as isize));
        say("raw", raw(socket(INET, 3, 17) as isize));
        say("netlink", raw(socket(16, 3, 0) as isize));
    }
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, tcp));
    if let Ok(stream) = &stream {
        let fd = stream.as_raw_fd();
        unsafe {
            say("dissolve", raw(connect(fd, v4(0, 0).as_ptr(), 16) as isize));
            say("connect again, elsewhere", raw(connect(fd, v4(2, other_tcp).as_ptr(), 16) as isize));
        }
    }
}
"#;

struct World {
    project: Project,
    tcp: TcpListener,
    other_tcp: TcpListener,
    udp: UdpSocket,
    other_udp: UdpSocket,
}

impl World {
    fn new(script: &str) -> Self {
        let project = Project::with_script("reaches", &format!("{PRELUDE}{script}"));
        let listener = || TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = || {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.set_nonblocking(true).unwrap();
            socket
        };
        let world = Self {
            project,
            tcp: listener(),
            other_tcp: listener(),
            udp: socket(),
            other_udp: socket(),
        };
        world.other_tcp.set_nonblocking(true).unwrap();
        let [tcp, other_tcp] = [&world.tcp, &world.other_tcp].map(|it| it.local_addr().unwrap());
        let [udp, other_udp] = [&world.udp, &world.other_udp].map(|it| it.local_addr().unwrap());
        let ports = [tcp, other_tcp, udp, other_udp].map(|address| address.port().to_string());
        world.project.write("ports", &ports.join("\n"));
        world
    }

    /// Rules for the first of each.
    fn rules(&self) -> String {
        let [tcp, udp] = [self.tcp.local_addr(), self.udp.local_addr()].map(Result::unwrap);
        format!("[network]\nconnect = [\"{tcp}\", \"{udp}\"]\n")
    }

    fn build(&self, rules: &str) -> Output {
        self.project.write("brig.toml", rules);
        drop(fs::remove_dir_all(self.project.root.join("target")));
        let config = self.project.root.join("config");
        succeed(self.project.brig(&["build"]).env("XDG_CONFIG_HOME", config))
    }

    fn errors(&self, rules: &str) -> BTreeMap<String, i32> {
        errors(&self.build(rules))
    }

    fn attempts(&self) -> Vec<Value> {
        let records = self.project.records();
        let [record] = &records[..] else { panic!("{} records", records.len()) };
        record["network"].as_array().unwrap().clone()
    }

    /// Answers whoever connects.
    fn serve(&self) {
        let listener = self.tcp.try_clone().unwrap();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                thread::spawn(move || {
                    let mut question = [0; 4];
                    while stream.read_exact(&mut question).is_ok() {
                        stream.write_all(b"pong").unwrap();
                    }
                });
            }
        });
    }

    fn received(socket: &UdpSocket) -> Vec<String> {
        let mut bytes = [0; 100];
        let mut all = Vec::new();
        while let Ok(length) = socket.recv(&mut bytes) {
            all.push(String::from_utf8_lossy(&bytes[..length]).into_owned());
        }
        all
    }
}

fn errors(output: &Output) -> BTreeMap<String, i32> {
    let text = stderr(output);
    let said = text.lines().filter_map(|line| line.strip_prefix("warning: reaches@1.2.3: "));
    let errors = said.filter_map(|line| line.rsplit_once(' '));
    errors.filter_map(|(what, errno)| Some((what.to_owned(), errno.parse().ok()?))).collect()
}

const EACCES: i32 = 13;

#[test]
fn what_a_rule_gives_is_reached_and_nothing_else() {
    let world = World::new(ATTEMPTS);
    world.serve();
    let given: [(&str, i32); 28] = [
        ("tcp", 0),
        ("tcp, mapped", 0),
        ("udp, bind anywhere", 0),
        ("udp, sendto", 0),
        ("udp, sendmsg", 0),
        ("udp, sendmmsg", 0),
        ("udp, connect", 0),
        ("udp, send", 0),
        ("dissolve", 0),
        ("tcp, other port", EACCES),
        ("tcp, other port, mapped", EACCES),
        ("tcp, other address", EACCES),
        ("tcp, no address", EACCES),
        ("udp, sendto, other port", EACCES),
        ("udp, sendmsg, other port", EACCES),
        ("udp, sendmsg, unheard", libc::EPERM),
        ("udp, sendto, no family", libc::EAFNOSUPPORT),
        ("udp, sendmmsg, the second to another", EACCES),
        ("udp, connect, other port", EACCES),
        ("fast open", libc::EOPNOTSUPP),
        ("fast open by an option", libc::ENOPROTOOPT),
        ("bind", EACCES),
        ("listen", EACCES),
        ("udp, bind", EACCES),
        ("mptcp", libc::EPROTONOSUPPORT),
        ("raw", libc::EPROTONOSUPPORT),
        ("netlink", EACCES),
        ("connect again, elsewhere", EACCES),
    ];
    let errors = world.errors(&world.rules());
    for (what, expected) in given {
        assert_eq!(errors.get(what), Some(&expected), "{what} {errors:#?}");
    }
    assert_eq!(world.other_tcp.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    let mut received = World::received(&world.udp);
    received.sort();
    assert_eq!(received, ["connected", "message", "message", "message", "message", "sendto"]);
    assert_eq!(World::received(&world.other_udp), [""; 0]);
    let attempts = world.attempts();
    let outcome = |kind: &str, port: u16| {
        let attempts = attempts.iter().filter(|it| it["type"] == kind && it["port"] == port);
        let mut outcomes: Vec<_> = attempts.map(|it| it["outcome"].as_str().unwrap()).collect();
        outcomes.dedup();
        outcomes
    };
    let port = |socket: &UdpSocket| socket.local_addr().unwrap().port();
    assert_eq!(outcome("datagram", port(&world.udp)), ["allowed"]);
    assert_eq!(outcome("datagram", port(&world.other_udp)), ["denied"]);
    assert_eq!(outcome("stream", world.other_tcp.local_addr().unwrap().port()), ["denied"]);

    // Without a rule nothing of it is.
    let errors = world.errors("");
    for what in ["tcp", "tcp, mapped", "udp, sendto", "udp, sendmsg", "udp, connect"] {
        assert_ne!(errors[what], 0, "{what}");
    }
    assert_eq!(World::received(&world.udp), [""; 0]);
    // Rules with stars.
    for (rule, reached) in [("*", true), ("*:*", true), ("127.0.0.1:*", true), ("[::1]:*", false)] {
        let errors = world.errors(&format!("[network]\nconnect = [\"{rule}\"]\n"));
        assert_eq!(errors["tcp"] == 0, reached, "{rule}");
        assert_eq!(errors["udp, sendto"] == 0, reached, "{rule}");
    }
    let other = format!(
        "[[package]]\nname = \"other\"\n{}",
        world.rules().replace("[network]\nconnect", "network.connect")
    );
    assert_eq!(world.errors(&other)["tcp"], EACCES);
    let own = other.replace("\"other\"", "\"reaches\"");
    assert_eq!(world.errors(&own)["tcp"], 0);
}

#[test]
fn a_denial_names_the_rule_that_would_allow_it() {
    let world = World::new(
        "fn main() { let port = ports()[0]; TcpStream::connect((\"127.0.0.1\", port)).unwrap(); }",
    );
    let config = world.project.root.join("config");
    let build = || {
        let mut command = world.project.brig(&["build"]);
        command.env("XDG_CONFIG_HOME", &config);
        command
    };
    let text = stderr(&fail(&mut build()));
    let rule = text.split("covers it; `").nth(1).unwrap().split("` would").next().unwrap();
    world.project.write("brig.toml", rule);
    succeed(&mut build());
    assert_eq!(world.attempts()[0]["outcome"], "allowed");
}

/// One thread swaps the address, another one the socket, while a third connects and sends.
#[test]
fn no_race_leads_elsewhere() {
    let world = World::new(
        r#"
use std::sync::atomic::{AtomicBool, Ordering};
fn main() {
    let [tcp, other_tcp, udp, other_udp] = ports()[..] else { panic!() };
    static END: AtomicBool = AtomicBool::new(false);
    let address: &'static mut [u8; 16] = Box::leak(Box::new(v4(2, tcp)));
    let datagram: &'static mut [u8; 16] = Box::leak(Box::new(v4(2, udp)));
    let (at, at_datagram) = (address.as_mut_ptr() as usize, datagram.as_mut_ptr() as usize);
    let swap = move || {
        let mut turn = false;
        while !END.load(Ordering::Relaxed) {
            turn = !turn;
            unsafe {
                let bytes = if turn { other_tcp } else { tcp }.to_be_bytes();
                ((at + 2) as *mut [u8; 2]).write_volatile(bytes);
                let bytes = if turn { other_udp } else { udp }.to_be_bytes();
                ((at_datagram + 2) as *mut [u8; 2]).write_volatile(bytes);
            }
        }
    };
    let (pair, _other) = UnixStream::pair().unwrap();
    let socket_udp = unsafe { socket(INET, DATAGRAM, 0) };
    let (pair_fd, shared) = (pair.as_raw_fd(), 200);
    let swap_sockets = move || {
        while !END.load(Ordering::Relaxed) {
            unsafe {
                dup2(pair_fd, shared);
                dup2(socket_udp, shared);
            }
        }
    };
    let threads = [thread::spawn(swap), thread::spawn(swap_sockets)];
    let (mut connected, mut refused, mut sent) = (0, 0, 0);
    let forbidden = v4(2, other_udp);
    let text = b"x";
    let pieces = [text.as_ptr() as u64, 1];
    for _ in 0..3000 {
        unsafe {
            let stream = OwnedFd::from_raw_fd(socket(INET, STREAM, 0));
            match raw(connect(stream.as_raw_fd(), at as *const u8, 16) as isize) {
                0 => connected += 1,
                13 => refused += 1,
                errno => panic!("{errno}"),
            }
            let header = [at_datagram as u64, 16, pieces.as_ptr() as u64, 1, 0, 0, 0];
            sent += i32::from(sendmsg(socket_udp, header.as_ptr(), 0) == 1);
            sendto(socket_udp, text.as_ptr(), 1, 0, at_datagram as *const u8, 16);
            // To what was a pair's end when the warden looked.
            let header = [forbidden.as_ptr() as u64, 16, pieces.as_ptr() as u64, 1, 0, 0, 0];
            sendmsg(shared, header.as_ptr(), 0x4000);
        }
    }
    END.store(true, Ordering::Relaxed);
    for thread in threads {
        thread.join().unwrap();
    }
    say("connected", connected);
    say("refused", refused);
    say("sent", sent);
}
"#,
    );
    // As a service that takes no notice.
    let listener = world.tcp.try_clone().unwrap();
    thread::spawn(move || listener.incoming().for_each(drop));
    let output = world.build(&world.rules());
    let errors = errors(&output);
    assert!(errors["connected"] > 0 && errors["refused"] > 0 && errors["sent"] > 0, "{errors:?}");
    assert_eq!(world.other_tcp.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    assert_eq!(World::received(&world.other_udp), [""; 0], "{}", shown(&output));
    assert!(!World::received(&world.udp).is_empty());
}

/// A connection that nobody takes waits, and nobody waits with it.
#[test]
fn a_connect_that_waits_hinders_nobody() {
    let world = World::new(
        r#"
fn main() {
    let address = v4(2, ports()[0]);
    let fill: Vec<_> = (0..200)
        .map(|_| thread::spawn(move || unsafe { connect(socket(INET, STREAM, 0), address.as_ptr(), 16) }))
        .collect();
    // Some of them wait now, or soon, for longer than this lasts.
    let done = (0..300).filter(|_| fs::read("ports").is_ok()).count();
    say("read", i32::try_from(done).unwrap());
    say("waiting", i32::from(fill.iter().any(|thread| !thread.is_finished())));
    std::process::exit(0);
}
"#,
    );
    // 128 connections wait to be taken (listen(2), as the standard library calls it).
    let errors = world.errors(&world.rules());
    assert_eq!((errors["read"], errors["waiting"]), (300, 1));
}

const BY_PATH: &str = r#"
fn main() {
    let outside = fs::read_to_string("outside").unwrap();
    let out = env::var("OUT_DIR").unwrap();
    let talk = |path: String| -> io::Result<()> {
        let mut stream = UnixStream::connect(path)?;
        stream.write_all(b"ping")?;
        let mut answer = [0; 4];
        stream.read_exact(&mut answer)
    };
    say("given", errno(talk(format!("{outside}/given.sock"))));
    say("other", errno(talk(format!("{outside}/other.sock"))));
    say("leading up", errno(talk(format!("{outside}/x/../given.sock"))));
    std::os::unix::fs::symlink(format!("{outside}/given.sock"), format!("{out}/to-given")).unwrap();
    std::os::unix::fs::symlink(format!("{outside}/other.sock"), format!("{out}/to-other")).unwrap();
    say("a link", errno(talk(format!("{out}/to-given"))));
    say("a link to another", errno(talk(format!("{out}/to-other"))));
    env::set_current_dir(&out).unwrap();
    say("a relative link", errno(talk("to-given".to_owned())));
    say("a relative link to another", errno(talk("to-other".to_owned())));
    say("absent", errno(talk(format!("{outside}/absent.sock"))));
    say("no socket", errno(talk("/etc/passwd".to_owned())));
    let name = <std::os::unix::net::SocketAddr as std::os::linux::net::SocketAddrExt>::from_abstract_name(b"brig-test").unwrap();
    say("abstract", errno(UnixStream::connect_addr(&name)));
    let (pair, mut end) = UnixStream::pair().unwrap();
    (&pair).write_all(b"x").unwrap();
    end.read_exact(&mut [0]).unwrap();
    say("datagram", errno(UnixDatagram::unbound().and_then(|socket| socket.send_to(b"x", format!("{outside}/given.sock")))));
    say("bind", errno(std::os::unix::net::UnixListener::bind(format!("{out}/own"))));
    for name in ["to-given", "to-other"] {
        fs::remove_file(format!("{out}/{name}")).unwrap();
    }
    // The name is now the allowed one's, now the other's.
    let path = env::temp_dir().join("swapped");
    let swapped = path.clone();
    thread::spawn(move || loop {
        for name in ["given", "other"] {
            let new = swapped.with_extension("new");
            drop(std::os::unix::fs::symlink(format!("{outside}/{name}.sock"), &new));
            drop(fs::rename(new, &swapped));
        }
    });
    let connected = (0..2000).filter(|_| UnixStream::connect(&path).is_ok()).count();
    say("swapped", i32::try_from(connected).unwrap());
}
"#;

#[test]
fn unix_sockets_are_reached_by_their_paths() {
    let world = World::new(BY_PATH);
    let outside: PathBuf = world.project.root.parent().unwrap().join("outside");
    fs::create_dir_all(outside.join("x")).unwrap();
    world.project.write("outside", outside.to_str().unwrap());
    let given = UnixListener::bind(outside.join("given.sock")).unwrap();
    let other = UnixListener::bind(outside.join("other.sock")).unwrap();
    other.set_nonblocking(true).unwrap();
    let name =
        <std::os::unix::net::SocketAddr as std::os::linux::net::SocketAddrExt>::from_abstract_name(
            b"brig-test",
        )
        .unwrap();
    let _abstract = UnixListener::bind_addr(&name).unwrap();
    thread::spawn(move || {
        for stream in given.incoming() {
            let mut stream = stream.unwrap();
            thread::spawn(move || {
                let mut question = [0; 4];
                if stream.read_exact(&mut question).is_ok() {
                    stream.write_all(b"pong").unwrap();
                }
            });
        }
    });
    let rules = format!("[network]\nunix = [\"{}/given.sock\"]\n", outside.display());
    let errors = world.errors(&rules);
    for (what, expected) in [
        ("given", 0),
        ("leading up", 0),
        ("a link", 0),
        ("a relative link", 0),
        ("other", EACCES),
        ("a link to another", EACCES),
        ("a relative link to another", EACCES),
        ("absent", libc::ENOENT),
        ("no socket", EACCES),
        ("abstract", EACCES),
        ("datagram", libc::ECONNREFUSED),
        ("bind", EACCES),
    ] {
        assert_eq!(errors.get(what), Some(&expected), "{what} {errors:#?}");
    }
    assert!(errors["swapped"] > 0, "{errors:#?}");
    assert_eq!(other.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    let attempts = world.attempts();
    let outcome = |name: &str| {
        let path = outside.join(name);
        let attempt = attempts.iter().find(|it| it["address"] == path.to_str().unwrap());
        attempt.unwrap()["outcome"].clone()
    };
    assert_eq!((outcome("given.sock"), outcome("other.sock")), ("allowed".into(), "denied".into()));
    let errors = world.errors("");
    assert_eq!((errors["given"], errors["swapped"]), (EACCES, 0));
}

#[test]
fn a_flood_of_what_is_allowed_hides_no_denial() {
    let world = World::new(
        r#"
fn main() {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    for port in 1..1500 {
        drop(socket.send_to(b"", (Ipv4Addr::LOCALHOST, port)));
    }
    drop(socket.send_to(b"x", (Ipv4Addr::new(127, 0, 0, 2), 1)));
}
"#,
    );
    world.project.write("brig.toml", "on-denial = \"fail\"\nnetwork.connect = [\"127.0.0.1:*\"]\n");
    let config = world.project.root.join("config");
    let output = fail(world.project.brig(&["build"]).env("XDG_CONFIG_HOME", config));
    let text = stderr(&output);
    assert!(text.contains("tried to reach `127.0.0.2` port 1"), "{text}");
    let records = world.project.records();
    let kept = records[0]["network"].as_array().unwrap().len() as u64;
    assert_eq!((kept, records[0]["network_dropped"].as_u64()), (1001, Some(499)));
}

/// A socket with `SO_PASSCRED` is given an abstract name when it connects, even in vain (unix(7)).
#[test]
fn nobody_listens_under_a_name_that_the_kernel_chose() {
    let world = World::new(
        r#"
fn main() {
    let path = fs::read_to_string("to").unwrap();
    let mut address = [0_u8; 110];
    address[0] = 1;
    address[2..2 + path.len()].copy_from_slice(path.as_bytes());
    unsafe {
        for (name, kind) in [("stream", STREAM), ("seqpacket", 5)] {
            let socket = socket(1, kind, 0);
            let on = 1;
            say(&format!("{name}, option"), raw(setsockopt(socket, 1, 16, &on, 4) as isize));
            say(&format!("{name}, connect"), raw(connect(socket, address.as_ptr(), 110) as isize));
            say(&format!("{name}, listen"), raw(listen(socket, 1) as isize));
        }
    }
}
"#,
    );
    let outside = world.project.root.parent().unwrap().join("outside");
    fs::create_dir_all(&outside).unwrap();
    let path = outside.join("given.sock");
    world.project.write("to", path.to_str().unwrap());
    // Nobody listens there: the connect is made, and fails.
    drop(UnixListener::bind(&path).unwrap());
    let errors = world.errors(&format!("[network]\nunix = [\"{}\"]\n", path.display()));
    for kind in ["stream", "seqpacket"] {
        assert_eq!(errors[&format!("{kind}, option")], 0, "{errors:?}");
        assert_eq!(errors[&format!("{kind}, connect")], libc::ECONNREFUSED, "{errors:?}");
        assert_eq!(errors[&format!("{kind}, listen")], EACCES, "{errors:?}");
    }
}

/// Signals come while a message waits for room at its receiver, and a part of it has gone.
#[test]
fn a_message_that_a_signal_interrupts_is_sent_once() {
    let world = World::new(
        r#"
unsafe extern "C" {
    fn signal(number: i32, handler: extern "C" fn(i32)) -> usize;
    fn setitimer(which: i32, new: *const [i64; 4], old: *mut [i64; 4]) -> i32;
}
extern "C" fn heard(_: i32) {}
fn main() {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, ports()[0])).unwrap();
    unsafe {
        // Restarts what it interrupts (signal(2)).
        signal(14, heard);
        setitimer(0, &[0, 2000, 0, 2000], std::ptr::null_mut());
        // There is never room for a whole message.
        setsockopt(stream.as_raw_fd(), 1, 7, &4096, 4);
    }
    let (mut next, mut begun) = (0_u64, 0);
    for _ in 0..40 {
        let mut text: Vec<u8> = (next..next + 8192).flat_map(u64::to_le_bytes).collect();
        text.drain(..begun);
        let pieces = [text.as_ptr() as u64, text.len() as u64];
        let header = [0, 0, pieces.as_ptr() as u64, 1, 0, 0, 0];
        let sent = unsafe { sendmsg(stream.as_raw_fd(), header.as_ptr(), 0) };
        if sent < 0 {
            panic!("{}", io::Error::last_os_error());
        }
        let sent = begun + sent as usize;
        (next, begun) = (next + sent as u64 / 8, sent % 8);
    }
    let all = next * 8 + begun as u64;
    say("bytes", all as i32);
    fs::write(env::var("OUT_DIR").unwrap() + "/sent", all.to_string()).unwrap();
}
"#,
    );
    let listener = world.tcp.try_clone().unwrap();
    setsockopt(&listener, RcvBuf, &4096).unwrap();
    let reader = thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        let (mut all, mut piece) = (Vec::new(), vec![0; 1 << 12]);
        loop {
            // Slower than a sender, so that this one waits.
            thread::sleep(std::time::Duration::from_millis(2));
            match stream.read(&mut piece).unwrap() {
                0 => return all,
                length => all.extend_from_slice(&piece[..length]),
            }
        }
    });
    let errors = world.errors(&world.rules());
    assert!(errors["bytes"] > 100_000, "{errors:?}");
    let received = reader.join().unwrap();
    let records = world.project.records();
    let out = records[0]["unit"]["out_dir"].as_str().unwrap();
    let sent: usize = fs::read_to_string(format!("{out}/sent")).unwrap().parse().unwrap();
    assert_eq!(received.len(), sent);
    let (words, _) = received.as_chunks::<8>();
    let wrong = words.iter().zip(0_u64..).position(|(word, number)| *word != number.to_le_bytes());
    assert_eq!(wrong, None);
}
