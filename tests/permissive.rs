//! The policy `permissive`: writes stay below `OUT_DIR`, everything else is done and recorded as
//! `default` would have judged it, and every report says so.

mod support;

use std::fs;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;
use support::{Project, fail, shown, stderr, stdout, succeed, summary};

const SCRIPT: &str = r#"
use std::{env, fs, net::TcpStream, os::unix::net::UnixStream, path::Path, process::Command};
fn main() {
    let outside = fs::read_to_string("outside").unwrap();
    let out = env::var("OUT_DIR").unwrap();
    let say = |what: &str, done: bool| println!("cargo::warning={what} {done}");
    say("read", fs::read(format!("{outside}/file")).is_ok());
    say("list", fs::read_dir(&outside).is_ok());
    say("execute", Command::new(format!("{outside}/program")).status().is_ok());
    say("token", env::var("MY_TOKEN").is_ok());
    say("home", Path::new(&env::var("HOME").unwrap()) == Path::new(&outside));
    let port: u16 = fs::read_to_string("port").unwrap().parse().unwrap();
    say("connect", TcpStream::connect(("127.0.0.1", port)).is_ok());
    say("unix", UnixStream::connect(format!("{outside}/socket")).is_ok());
    say("write below", fs::write(format!("{out}/file"), "").is_ok());
    say("write in TMPDIR", fs::write(env::temp_dir().join("x"), "").is_ok());
    say("write", fs::write(format!("{outside}/file"), "changed").is_ok());
    say("create", fs::write(format!("{outside}/new"), "").is_ok());
    say("remove", fs::remove_file(format!("{outside}/file")).is_ok());
    say("rename", fs::rename(format!("{out}/file"), format!("{outside}/moved")).is_ok());
    say("link", fs::hard_link(format!("{outside}/file"), format!("{out}/linked")).is_ok());
    say("chmod", fs::set_permissions(format!("{outside}/file"), fs::metadata(&out).unwrap().permissions()).is_ok());
    say("bind", std::os::unix::net::UnixListener::bind(format!("{outside}/bound")).is_ok());
    println!("cargo::rustc-env=LD_BIND_NOW=1");
}
"#;
const DONE: [&str; 9] = [
    "read",
    "list",
    "execute",
    "token",
    "home",
    "connect",
    "unix",
    "write below",
    "write in TMPDIR",
];

struct World {
    project: Project,
    outside: PathBuf,
    listener: TcpListener,
    _socket: UnixListener,
}

impl World {
    fn new() -> Self {
        let project = Project::with_script("tries", SCRIPT);
        let outside = project.root.parent().unwrap().join("outside");
        fs::create_dir_all(outside.join("config")).unwrap();
        fs::write(outside.join("file"), "x").unwrap();
        fs::copy("/bin/true", outside.join("program")).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = UnixListener::bind(outside.join("socket")).unwrap();
        project.write("outside", outside.to_str().unwrap());
        project.write("port", &listener.local_addr().unwrap().port().to_string());
        Self { project, outside, listener, _socket: socket }
    }

    fn brig(&self, arguments: &[&str]) -> Command {
        let mut command = self.project.brig(arguments);
        // The toolchain is found by the real home directory.
        let real = PathBuf::from(std::env::var_os("HOME").unwrap());
        for (name, directory) in [("RUSTUP_HOME", ".rustup"), ("CARGO_HOME", ".cargo")] {
            if std::env::var_os(name).is_none() {
                command.env(name, real.join(directory));
            }
        }
        command
            .env("HOME", &self.outside)
            .env("XDG_CONFIG_HOME", self.outside.join("config"))
            .env("MY_TOKEN", "x");
        command
    }

    fn record(&self) -> Value {
        let records = self.project.records();
        let [record] = &records[..] else { panic!("{} records", records.len()) };
        record.clone()
    }
}

fn done(output: &Output) -> Vec<String> {
    let text = stderr(output);
    let said = text.lines().filter_map(|line| line.strip_prefix("warning: tries@1.2.3: "));
    said.filter_map(|line| line.strip_suffix(" true").map(str::to_owned)).collect()
}

#[test]
fn nothing_is_denied_but_to_write() {
    let world = World::new();
    let output = succeed(&mut world.brig(&["--policy", "permissive", "build"]));
    assert_eq!(done(&output), DONE, "{}", shown(&output));
    assert_eq!(fs::read_to_string(world.outside.join("file")).unwrap(), "x");
    for name in ["new", "moved", "bound"] {
        assert!(!world.outside.join(name).exists(), "{name}");
    }
    let text = stderr(&output);
    assert!(summary(&output).contains("1 of them permissive"), "{text}");
    assert!(
        text.contains("warning: by a permissive policy scripts were kept from writing"),
        "{text}"
    );
    assert!(
        text.contains("printed `cargo::rustc-env=LD_BIND_NOW=1`, which would be withheld"),
        "{text}"
    );
    let learned = stdout(&succeed(&mut world.brig(&["policy", "learn"])));
    let rule = "says: instructions.allow = [\"rustc-env=LD_BIND_NOW=1\"]\n";
    assert!(learned.contains(rule), "{learned}");

    let record = world.record();
    assert_eq!(record["policy"]["mode"], "permissive");
    let denials = record["denials"].as_array().unwrap();
    let denied = |kind: &str, name: &str| {
        let path = world.outside.join(name);
        denials
            .iter()
            .any(|denial| denial["kind"] == kind && denial["path"] == path.to_str().unwrap())
    };
    for (kind, name) in [
        ("read", "file"),
        ("list", ""),
        ("execute", "program"),
        ("write", "file"),
        ("create", "new"),
        ("remove", "file"),
    ] {
        let name = name.trim_end_matches('/');
        let is_there = if name.is_empty() {
            denials
                .iter()
                .any(|d| d["kind"] == kind && d["path"] == world.outside.to_str().unwrap())
        } else {
            denied(kind, name)
        };
        assert!(is_there, "{kind} {name} {denials:#?}");
    }
    assert_eq!(record["withheld_variables"], serde_json::json!(["MY_TOKEN"]));
    assert_eq!(record["findings"][0]["code"], "instruction");
    assert_eq!(record["findings"][0]["fatal"], false);
    assert_eq!(
        record["instructions"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|line| line.to_string().contains("LD_BIND_NOW"))
            .count(),
        1
    );
    let network = record["network"].as_array().unwrap();
    let port = world.listener.local_addr().unwrap().port();
    assert!(
        network.iter().any(|attempt| attempt["port"] == port
            && attempt["type"] == "stream"
            && attempt["outcome"] == "denied"),
        "{network:#?}"
    );
    assert!(record["limits"].as_object().unwrap().values().all(Value::is_null));

    let text = stdout(&succeed(&mut world.brig(&["show"])));
    assert!(text.contains("(permissive)"), "{text}");
    let text = stdout(&succeed(&mut world.brig(&["show", "tries"])));
    assert!(
        text.contains("Permissive: of what stands here as denied, writes alone were"),
        "{text}"
    );
    let text = stdout(&succeed(&mut world.brig(&["policy", "show", "--policy", "permissive"])));
    assert!(text.starts_with("policy `permissive`, permissive, for every package\n"), "{text}");
    let learned = stdout(&succeed(&mut world.brig(&["policy", "learn"])));
    assert!(learned.contains("files.execute = [\"{home}/program\"]"), "{learned}");
}

#[test]
fn what_default_denies_it_denies_without_permission() {
    let world = World::new();
    let output = world.brig(&["build"]).output().unwrap();
    assert!(
        !output.status.success() && stderr(&output).contains("LD_BIND_NOW"),
        "{}",
        shown(&output)
    );
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &stderr(&output);
    for what in ["read", "execute", "token", "home", "connect", "unix"] {
        assert!(text.contains(&format!("cargo::warning={what} false")), "{what}: {text}");
    }
}

/// A document can be permissive by itself, and a failed unit is not failed by what it was not denied.
#[test]
fn a_document_watches_by_its_own_rules() {
    let world = World::new();
    world
        .project
        .write("brig.toml", "extends = \"strict\"\nmode = \"permissive\"\nname = \"ours\"\n");
    let output = succeed(&mut world.brig(&["build"]));
    assert_eq!(done(&output), DONE, "{}", shown(&output));
    assert_eq!(world.record()["policy"]["mode"], "permissive");
    world.project.write("brig.toml", "extends = \"farm\"\nmode = \"permissive\"\n");
    let text = stderr(&fail(&mut world.brig(&["policy", "check"])));
    assert!(text.contains("brig.toml:2: the policy is locked, and does not let"), "{text}");
    drop(fs::remove_dir_all(world.project.root.join("target")));
    let output = fail(&mut world.brig(&["build"]));
    assert!(
        stderr(&output).contains("does not let anybody make it permissive"),
        "{}",
        shown(&output)
    );
}
