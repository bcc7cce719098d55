//! Policies: who decides, what each kind of rule gives and takes, and what is said of mistakes.
//!
//! Layers are tried through Cargo and the real program. The machine's document lies in `/etc`: the
//! tests that need one give the build a copy of `/etc` in a mount namespace of its own, for which an
//! ordinary user needs a user namespace.

mod support;

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use nix::sys::stat::Mode;
use nix::unistd::{geteuid, mkfifo};
use serde_json::Value;
use support::{Project, TOOL, clean_command, fail, shown, stderr, stdout, succeed, summary};

/// Reads a file outside, executes another, writes a third, asks for variables; fails at nothing.
const SCRIPT: &str = r#"
use std::{env, fs, process::Command};
fn main() {
    let outside = env::var("DEP_T_OUTSIDE").or_else(|_| fs::read_to_string("outside")).unwrap();
    let say = |what: &str, ok: bool| println!("cargo::warning={what} {ok}");
    say("read", fs::read(format!("{outside}/data/file")).is_ok());
    say("execute", Command::new(format!("{outside}/program")).status().is_ok());
    say("write", fs::write(format!("{outside}/written/file"), "x").is_ok());
    let port: u16 = fs::read_to_string("port").unwrap().parse().unwrap();
    say("connect", std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    say("unix", std::os::unix::net::UnixStream::connect(format!("{outside}/socket")).is_ok());
    for name in ["MY_TOKEN", "MY_FLAG", "EDITOR", "PATH"] {
        say(name, env::var_os(name).is_some());
    }
    say("CFLAGS", env::var("CFLAGS").is_ok_and(|value| value == "-O1"));
    say("HOME", env::var("HOME").is_ok_and(|home| home.contains("cargo-brig-home")));
    println!("cargo::rustc-cfg=done");
    println!("cargo::rustc-check-cfg=cfg(done)");
    if fs::exists("instructs").unwrap() {
        println!("cargo::rustc-env=LD_DEBUG=help\ncargo::rustc-env=LD_DEBUG=help");
    }
}
"#;

/// A workspace whose script tries things, and the directory outside that it tries them on.
struct World {
    project: Project,
    outside: PathBuf,
    listener: TcpListener,
    _socket: UnixListener,
}

impl World {
    fn new() -> Self {
        Self::of(Project::with_script("tries", SCRIPT))
    }

    fn of(project: Project) -> Self {
        let outside = project.root.parent().unwrap().join("outside");
        for directory in ["data", "written", "home", "config"] {
            fs::create_dir_all(outside.join(directory)).unwrap();
        }
        fs::write(outside.join("data/file"), "x").unwrap();
        fs::write(outside.join("program"), "#!/bin/sh\n").unwrap();
        fs::set_permissions(outside.join("program"), fs::Permissions::from_mode(0o755)).unwrap();
        project.write("outside", outside.to_str().unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = UnixListener::bind(outside.join("socket")).unwrap();
        project.write("port", &listener.local_addr().unwrap().port().to_string());
        Self { project, outside, listener, _socket: socket }
    }

    fn brig(&self, arguments: &[&str]) -> Command {
        let mut command = self.project.brig(arguments);
        self.prepare(&mut command);
        command
    }

    /// The user's own documents are not the tests'.
    fn prepare(&self, command: &mut Command) {
        command
            .env("XDG_CONFIG_HOME", self.outside.join("config"))
            .env("MY_TOKEN", "x")
            .env("MY_FLAG", "x")
            .env("EDITOR", "x");
    }

    /// A document in which `OUTSIDE` stands for that directory.
    fn write(&self, path: &str, text: &str) -> PathBuf {
        self.project.write(path, &self.text(text))
    }

    fn text(&self, text: &str) -> String {
        let port = self.listener.local_addr().unwrap().port().to_string();
        text.replace("OUTSIDE", self.outside.to_str().unwrap()).replace("PORT", &port)
    }

    /// Builds, from the beginning.
    fn build(&self, command: &mut Command) -> Output {
        drop(fs::remove_dir_all(self.project.root.join("target")));
        command.output().unwrap()
    }

    /// What the script could do, as it says itself.
    fn done(&self, command: &mut Command) -> Vec<String> {
        let output = self.build(command);
        assert!(output.status.success(), "{}", shown(&output));
        done(&output)
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

/// What the policy `default` lets it do.
const BY_DEFAULT: [&str; 4] = ["MY_FLAG", "EDITOR", "PATH", "HOME"];
/// Gives all that can be given.
const GENEROUS: &str = r#"
[files]
read = ["OUTSIDE/data"]
execute = ["OUTSIDE/program"]
write = ["OUTSIDE/written"]
[environment]
pass = ["MY_TOKEN", "HOME"]
set = { CFLAGS = "-O1" }
[network]
connect = ["127.0.0.1:PORT"]
unix = ["OUTSIDE/socket"]
"#;
const ALL: [&str; 10] = [
    "read", "execute", "write", "connect", "unix", "MY_TOKEN", "MY_FLAG", "EDITOR", "PATH",
    "CFLAGS",
];

#[test]
fn each_rule_gives_and_without_it_nothing_is_given() {
    let world = World::new();
    assert_eq!(world.done(&mut world.brig(&["build"])), BY_DEFAULT);
    let given = |text: &str| {
        world.write("brig.toml", text);
        let done = world.done(&mut world.brig(&["build"]));
        let more = done.into_iter().filter(|what| !BY_DEFAULT.contains(&what.as_str()));
        more.collect::<Vec<_>>()
    };
    assert_eq!(given("files.read = [\"OUTSIDE/data\"]"), ["read"]);
    assert_eq!(given("files.read = [\"OUTSIDE/d*a\"]"), ["read"]);
    assert_eq!(given("files.read = [\"OUTSIDE/e*\"]"), [""; 0]);
    assert_eq!(given("files.execute = [\"OUTSIDE/program\"]"), ["execute"]);
    assert_eq!(given("files.write = [\"OUTSIDE/written\"]"), ["write"]);
    assert_eq!(given("network.connect = [\"127.0.0.1:PORT\"]"), ["connect"]);
    assert_eq!(given("network.unix = [\"OUTSIDE/socket\"]"), ["unix"]);
    assert_eq!(given("environment.pass = [\"MY_TOKEN\"]"), ["MY_TOKEN"]);
    assert_eq!(given("environment.pass = [\"MY_*\"]"), [""; 0]);
    assert_eq!(given("environment.set = { CFLAGS = \"-O1\" }"), ["CFLAGS"]);
    world.write("brig.toml", "environment.withhold = [\"MY_FLAG\", \"E*\"]");
    assert_eq!(world.done(&mut world.brig(&["build"])), ["PATH", "HOME"]);
    assert_eq!(
        world.record()["withheld_variables"],
        serde_json::json!(["EDITOR", "MY_FLAG", "MY_TOKEN"])
    );
    world.write("brig.toml", GENEROUS);
    assert_eq!(world.done(&mut world.brig(&["build"])), ALL);
}

/// A rule below a directory that scripts write in is no way out of it: what stands there under that
/// name may be a link that a script has left.
#[test]
fn a_link_in_out_dir_lends_nothing_to_a_rule() {
    let world = World::new();
    world.write("brig.toml", "[files]\nread = [\"{out-dir}/lent\", \"{out-dir}/lent*\"]\n");
    let plants = r#"std::os::unix::fs::symlink(
        format!("{outside}/data"),
        std::path::Path::new(&env::var("OUT_DIR").unwrap()).join("lent"),
    ).ok(); let say"#;
    world.write("build.rs", &SCRIPT.replacen("let say", plants, 1));
    // The link stays when the run that left it has failed.
    fail(&mut world.brig(&["build"]));
    let output = world.brig(&["build"]).output().unwrap();
    let record = world.record();
    let denials = record["denials"].as_array().unwrap().iter();
    let file = world.outside.join("data/file");
    let denied = denials.filter(|denial| denial["path"] == file.to_str().unwrap()).count();
    assert_eq!(denied, 1, "the link was followed: {}", shown(&output));
}

#[test]
fn rules_for_a_package_are_for_no_other() {
    let world = World::new();
    for (head, expected) in [
        ("name = \"tries\"", &["read"][..]),
        ("name = \"tries\"\nversion = \">=1.2, <2\"", &["read"]),
        ("name = \"tries\"\nversion = \">=2\"", &[]),
        ("name = \"tried\"", &[]),
    ] {
        let text = format!("[[package]]\n{head}\nfiles.read = [\"OUTSIDE/data\"]\n");
        world.write("brig.toml", &text);
        let done = world.done(&mut world.brig(&["build"]));
        let more: Vec<_> =
            done.iter().filter(|what| !BY_DEFAULT.contains(&what.as_str())).collect();
        assert_eq!(more, expected, "{head}");
    }
}

#[test]
fn an_instruction_passes_by_a_rule() {
    let world = World::new();
    world.write("instructs", "");
    let output = world.build(&mut world.brig(&["build"]));
    assert!(!output.status.success() && stderr(&output).contains("LD_DEBUG"), "{}", shown(&output));
    // Whoever tells of it names the rule, and nobody gives it unasked.
    let rule = "instructions.allow = [\"rustc-env=LD_DEBUG=help\"]";
    assert!(
        stderr(&output).contains(&format!("; `{rule}` would relay it\n")),
        "{}",
        shown(&output)
    );
    let page = stdout(&succeed(&mut world.brig(&["show", "tries"])));
    assert!(page.contains(&format!("\n      {rule}\n")), "{page}");
    let learned = stdout(&succeed(&mut world.brig(&["policy", "learn"])));
    let remark =
        format!("\n# makes rustc or the linker do outside the jail what it says: {rule}\n");
    assert!(learned.contains(&remark), "{learned}");
    // The list counts what the summary counted.
    let denied = summary(&output);
    let denied = denied.split(", ").last().and_then(|last| last.strip_suffix(" denials")).unwrap();
    let list = stdout(&succeed(&mut world.brig(&["show"])));
    assert_eq!(list.lines().nth(1).unwrap().split_whitespace().nth(7), Some(denied), "{list}");
    world.write("brig.toml", "instructions.allow = [\"rustc-env=LD_DEBUG=h*\"]");
    // The variable makes the loader print its help.
    let output = world.build(&mut world.brig(&["build"]));
    assert!(!stderr(&output).contains("was not relayed"), "{}", shown(&output));
    assert_eq!(world.record()["withheld_instructions"], serde_json::json!([]));
}

#[test]
fn layers_decide_in_their_order() {
    let world = World::new();
    let config = world.outside.join("config/cargo-brig/policy.toml");
    fs::create_dir_all(config.parent().unwrap()).unwrap();
    fs::write(&config, world.text("files.read = [\"OUTSIDE/data\"]\nlimits.output = 7\n")).unwrap();
    world.write(
        "brig.toml",
        "name = \"ours\"\nfiles.write = [\"OUTSIDE/written\"]\nlimits.output = 9",
    );
    let named = world.write("named.toml", "environment.withhold = [\"EDITOR\"]\n");
    let expected = ["read", "write", "MY_FLAG", "PATH", "HOME"];
    for mut command in [
        world.brig(&["--policy", "named.toml", "build"]),
        world.brig(&["--policy=named.toml", "build"]),
    ] {
        assert_eq!(world.done(&mut command), expected);
    }
    let mut plain = world.project.cargo(&["build"]);
    plain.env("RUSTC_WRAPPER", TOOL).env("CARGO_BRIG_POLICY", &named);
    world.prepare(&mut plain);
    assert_eq!(world.done(&mut plain), expected);
    let record = world.record();
    assert_eq!(record["limits"]["output"], 9);
    assert_eq!(record["policy"]["name"], "ours");
    let documents = record["policy"]["documents"].as_array().unwrap();
    let files: Vec<_> =
        documents.iter().map(|document| document["file"].as_str().unwrap()).collect();
    let brig = world.project.root.join("brig.toml");
    let paths = [config.to_str().unwrap(), brig.to_str().unwrap(), named.to_str().unwrap()];
    assert_eq!(files, [&["policies/default.toml"][..], &paths].concat());
}

/// Cargo starts a package's script in its directory; what lies there is the package's.
#[test]
fn a_packages_own_document_decides_nothing() {
    let world = World::new();
    world.write("brig.toml", GENEROUS);
    world.write("main/src/lib.rs", "");
    world.write(
        "main/Cargo.toml",
        "[package]\nname = \"main\"\nedition = \"2024\"\n[dependencies]\ntries = { path = \"..\" }\n[workspace]\n",
    );
    let directory = world.project.root.join("main");
    for wrapper in [false, true] {
        let mut command = if wrapper {
            world.project.cargo(&["build", "-vv"])
        } else {
            world.brig(&["build", "-vv"])
        };
        world.prepare(&mut command);
        if wrapper {
            command.env("RUSTC_WRAPPER", TOOL);
        }
        drop(fs::remove_dir_all(directory.join("target")));
        // Above the workspace's own directory it is the user's: here it is in the way.
        fs::write(directory.join("brig.toml"), "").unwrap();
        let output = succeed(command.current_dir(&directory));
        assert!(stderr(&output).contains("read false"), "{}", shown(&output));
    }
}

#[test]
fn strict_passes_what_is_named_and_forgives_nothing() {
    let world = World::new();
    let output = world.build(&mut world.brig(&["--policy", "strict", "build"]));
    assert!(!output.status.success());
    let text = stderr(&output);
    assert!(text.contains("tried to read") && text.contains("policy `strict`"), "{text}");
    // Cargo shows the launcher's code.
    assert!(text.contains("exit status: 124"), "{text}");
    world.write("brig.toml", &format!("extends = \"strict\"\n{GENEROUS}"));
    let expected = ["read", "execute", "write", "connect", "unix", "MY_TOKEN", "PATH", "CFLAGS"];
    assert_eq!(world.done(&mut world.brig(&["build"])), expected);
}

/// A command that sees a copy of `/etc` with this policy in it.
fn on_machine(world: &World, policy: &str, inner: &Command) -> Command {
    let etc = world.outside.join("etc");
    if !etc.exists() {
        let mut copy = Command::new("cp");
        // An ordinary user cannot read all of it.
        copy.args(["-a", "/etc"]).arg(&etc).output().unwrap();
        fs::create_dir(etc.join("cargo-brig")).unwrap();
    }
    fs::write(etc.join("cargo-brig/policy.toml"), world.text(policy)).unwrap();
    let mut command = clean_command("unshare");
    command.arg(if geteuid().is_root() { "-m" } else { "-rm" });
    command.args(["sh", "-c", "mount --bind \"$0\" /etc && exec \"$@\""]).arg(etc);
    command.arg(inner.get_program()).args(inner.get_args());
    command.current_dir(inner.get_current_dir().unwrap());
    for (name, value) in inner.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
}

const MACHINE: &str =
    "extends = \"farm\"\non-denial = \"report\"\nfiles.read = [\"OUTSIDE/data\"]\n";
/// What that lets the script do. In the namespace of an ordinary user, too.
const ON_FARM: [&str; 3] = ["read", "PATH", "HOME"];

#[test]
fn nobody_loosens_the_policy_of_the_machine() {
    let world = World::new();
    let farm = |command: &Command| on_machine(&world, MACHINE, command);
    assert_eq!(world.done(&mut farm(&world.brig(&["build"]))), ON_FARM);
    let named = world.write("named.toml", GENEROUS);
    let user = world.outside.join("config/cargo-brig/policy.toml");
    fs::create_dir_all(user.parent().unwrap()).unwrap();
    let elsewhere = world.write("elsewhere/brig.toml", GENEROUS);
    let mut commands = vec![
        ("a document that is named", world.brig(&["--policy", "named.toml", "build"])),
        ("a built-in policy that is named", world.brig(&["--policy", "default", "build"])),
        (
            "a setting of Cargo",
            world.brig(&["build", "--config", "env.CARGO_BRIG_POLICY='default'"]),
        ),
    ];
    let mut with = |what, name: &str, value: &Path| {
        for wrapper in [false, true] {
            let mut command =
                if wrapper { world.project.cargo(&["build"]) } else { world.brig(&["build"]) };
            world.prepare(&mut command);
            if wrapper {
                command.env("RUSTC_WRAPPER", TOOL);
            }
            command.env(name, value);
            commands.push((what, command));
        }
    };
    with("a variable with a document", "CARGO_BRIG_POLICY", &named);
    with("a variable with a name", "CARGO_BRIG_POLICY", Path::new("default"));
    with("another workspace", "CARGO_BRIG_WORKSPACE", elsewhere.parent().unwrap());
    with("another user's directory", "XDG_CONFIG_HOME", &world.project.root.join("xdg"));
    world.write("xdg/cargo-brig/policy.toml", GENEROUS);
    for (what, command) in &commands {
        assert_eq!(world.done(&mut farm(command)), ON_FARM, "{what}");
    }
    fs::write(&user, world.text(GENEROUS)).unwrap();
    assert_eq!(world.done(&mut farm(&world.brig(&["build"]))), ON_FARM, "the user's document");
    let generous = [
        ("the workspace's document", GENEROUS.to_owned()),
        ("another basis", format!("extends = \"default\"\n{GENEROUS}")),
        ("a name", "name = \"farm\"\nenvironment.unnamed = \"pass\"".to_owned()),
        (
            "rules for the package",
            format!(
                "[[package]]\nname = \"tries\"{}",
                GENEROUS
                    .replace("[files]", "[package.files]")
                    .replace("[environment]", "[package.environment]")
                    .replace("[network]", "[package.network]")
            ),
        ),
        ("limits", "[limits]\nprocesses = \"none\"\noutput = 4000\nmemory = 999999".to_owned()),
    ];
    for (what, text) in &generous {
        world.write("brig.toml", text);
        assert_eq!(world.done(&mut farm(&world.brig(&["build"]))), ON_FARM, "{what}");
        let limits = world.record()["limits"].clone();
        assert_eq!(
            (limits["processes"].as_u64(), limits["output"].as_u64()),
            (Some(1024), Some(256))
        );
    }
    // An instruction that would be withheld is.
    world.write("instructs", "");
    world.write("brig.toml", "instructions.allow = [\"rustc-env=LD_DEBUG=*\"]");
    let output = world.build(&mut farm(&world.brig(&["build"])));
    assert!(!output.status.success() && stderr(&output).contains("LD_DEBUG"), "{}", shown(&output));
    fs::remove_file(world.project.root.join("instructs")).unwrap();
    // Who takes away is heard, and who locks is not.
    world.write("brig.toml", "[environment]\nwithhold = [\"PATH\"]\n[limits]\nprocesses = 99\n");
    assert_eq!(world.done(&mut farm(&world.brig(&["build"]))), ["read", "HOME"]);
    assert_eq!(world.record()["limits"]["processes"], 99);
    for permissive in ["mode = \"permissive\"", "extends = \"permissive\""] {
        world.write("brig.toml", permissive);
        let output = world.build(&mut farm(&world.brig(&["build"])));
        assert!(!output.status.success() && done(&output).is_empty(), "{}", shown(&output));
        assert!(stderr(&output).contains("does not let anybody make it permissive"));
    }
    world.write("brig.toml", "");
    let output = world.build(&mut farm(&world.brig(&["--policy", "permissive", "build"])));
    assert!(!output.status.success() && done(&output).is_empty(), "{}", shown(&output));
    world.write("brig.toml", "locked = true");
    let output = world.build(&mut farm(&world.brig(&["build"])));
    assert!(stderr(&output).contains("only the policy of the machine"), "{}", shown(&output));
}

#[test]
fn a_machines_policy_that_is_none_stops_every_script() {
    let world = World::new();
    for policy in ["extends = \"farm", "[files]\nreed = []\n"] {
        let output = world.build(&mut on_machine(&world, policy, &world.brig(&["build"])));
        let text = stderr(&output);
        assert!(!output.status.success(), "{text}");
        assert!(
            text.contains("error: brig: a policy has mistakes")
                && text.contains("--> /etc/cargo-brig/policy.toml:"),
            "{text}"
        );
        assert!(!world.project.root.join("target").join("brig.json").exists());
        assert!(done(&output).is_empty());
    }
    // One that is not locked is a layer like others.
    let policy = "files.read = [\"OUTSIDE/data\"]";
    let expected = [&["read"][..], &BY_DEFAULT].concat();
    assert_eq!(world.done(&mut on_machine(&world, policy, &world.brig(&["build"]))), expected);
}

#[test]
fn what_counts_for_nothing_is_said() {
    let world = World::new();
    world.write("brig.toml", "name = \"ours\"\n[files]\nread = [\"/srv\"]\nhide = [\"/var/x\"]\n");
    let check = world.brig(&["policy", "check"]);
    let output = succeed(&mut on_machine(&world, MACHINE, &check));
    let text = stderr(&output);
    assert!(text.contains("brig.toml:3: `files.read = /srv` counts for nothing"), "{text}");
    let show = world.brig(&["policy", "show", "tries"]);
    let text = stdout(&succeed(&mut on_machine(&world, MACHINE, &show)));
    assert!(text.starts_with("policy `ours`, locked, for tries v1.2.3\n"), "{text}");
    assert!(
        text.contains("Counts for nothing, because the policy is locked\n  files.read = /srv "),
        "{text}"
    );
    // What takes away counts.
    let hidden = text.split("Does not exist").nth(1).unwrap();
    assert!(hidden.contains("\n  /var/x ") && !text.contains("files.hide"), "{text}");
    let machine = world.text("  OUTSIDE/data ");
    assert!(
        text.lines()
            .any(|line| line.starts_with(&machine)
                && line.ends_with("/etc/cargo-brig/policy.toml:3")),
        "{text}"
    );
}

#[test]
fn a_beginning_is_a_policy_and_never_written_over() {
    let world = World::new();
    let output = succeed(&mut world.brig(&["policy", "init", "--strict", "--cargo-config"]));
    assert_eq!(stdout(&output).lines().count(), 2, "{}", shown(&output));
    succeed(&mut world.brig(&["policy", "check"]));
    // Plain Cargo finds the tool, and the script its policy.
    let mut plain = world.project.cargo(&["build"]);
    world.prepare(&mut plain);
    let output = world.build(&mut plain);
    assert!(stderr(&output).contains("policy `strict`"), "{}", shown(&output));
    let before = fs::read(world.project.root.join("brig.toml")).unwrap();
    let output = fail(&mut world.brig(&["policy", "init"]));
    assert_eq!(output.status.code(), Some(4));
    assert!(stderr(&output).contains("brig.toml` is there already"), "{}", shown(&output));
    assert_eq!(fs::read(world.project.root.join("brig.toml")).unwrap(), before);
    // What is there keeps nobody from the rest.
    let config = world.project.root.join(".cargo/config.toml");
    fs::remove_file(&config).unwrap();
    let said = stdout(&succeed(&mut world.brig(&["policy", "init", "--cargo-config"])));
    assert!(said.contains("brig.toml is there already, and stays"), "{said}");
    assert!(config.is_file());
    assert_eq!(fs::read(world.project.root.join("brig.toml")).unwrap(), before);
}

/// What cannot be read is not taken for what is not there.
#[test]
fn a_document_that_cannot_be_read_stops_every_script() {
    let world = World::new();
    let path = world.project.root.join("brig.toml");
    let link = |to: &str| std::os::unix::fs::symlink(to, &path).unwrap();
    let kinds: [(&str, &dyn Fn()); 4] = [
        ("a link that leads nowhere", &|| link("/nowhere/brig.toml")),
        ("a link that leads to itself", &|| link("brig.toml")),
        ("a directory", &|| fs::create_dir(&path).unwrap()),
        ("a fifo", &|| mkfifo(&path, Mode::S_IRWXU).unwrap()),
    ];
    for (what, make) in kinds {
        make();
        let output = world.build(&mut world.brig(&["build"]));
        let said = format!("cannot read the policy `{}`", path.display());
        assert!(!output.status.success(), "{what}");
        assert!(stderr(&output).contains(&said), "{what}: {}", shown(&output));
        let output = fail(&mut world.brig(&["policy", "check"]));
        assert!(stderr(&output).contains(&said), "{what}: {}", shown(&output));
        if path.is_dir() && !path.is_symlink() {
            fs::remove_dir(&path).unwrap();
        } else {
            fs::remove_file(&path).unwrap();
        }
    }
    let output = fail(&mut world.brig(&["policy", "check", "/dev/zero"]));
    assert!(stderr(&output).contains("it is no regular file"), "{}", shown(&output));
    fs::create_dir(world.outside.join("config/cargo-brig")).unwrap();
    let of_user = world.outside.join("config/cargo-brig/policy.toml");
    std::os::unix::fs::symlink("/nowhere", of_user).unwrap();
    assert!(!world.build(&mut world.brig(&["build"])).status.success());
}

/// A workspace has Cargo set variables for its scripts. Where the user's directories are it does not say.
#[test]
fn a_workspace_moves_no_placeholder() {
    let world = World::new();
    let outside = world.outside.to_str().unwrap();
    std::os::unix::fs::symlink(outside, world.outside.join("home/.pyenv")).unwrap();
    fs::create_dir(world.outside.join("cargo")).unwrap();
    std::os::unix::fs::symlink(outside, world.outside.join("cargo/registry")).unwrap();
    let set =
        |name: &str, value: &str| format!("{name} = {{ value = \"{value}\", force = true }}\n");
    let path = format!("{outside}:{outside}/data:{}", std::env::var("PATH").unwrap());
    let table = [set("PATH", &path), set("HOME", &format!("{outside}/home"))];
    world.project.write(".cargo/config.toml", &format!("[env]\n{}", table.concat()));
    assert_eq!(world.done(&mut world.brig(&["build"])), BY_DEFAULT);
}

#[test]
fn nothing_wide_is_learned() {
    let script = "fn main() {
        drop(std::fs::read_dir(\"/\").map(|all| all.count()));
        for path in [\"/written-by-a-script\", \"/etc/written-by-a-script\", \"/usr/local/x-of-a-script\"] {
            drop(std::fs::write(path, \"\"));
        }
        let outside = std::fs::read_to_string(\"outside\").unwrap();
        for name in [\".env\", \"server.key\", \"data/plain\", \"home/.config/tool\"] {
            drop(std::fs::read(format!(\"{outside}/{name}\")));
        }
    }";
    let world = World::new();
    world.project.write("build.rs", script);
    for name in [".env", "server.key", "data/plain", "home/.config/tool"] {
        fs::create_dir_all(world.outside.join("home/.config")).unwrap();
        fs::write(world.outside.join(name), "x").unwrap();
    }
    let home = world.outside.join("home");
    let brig = |arguments: &[&str]| {
        let mut command = world.brig(arguments);
        support::with_toolchain(&mut command).env("HOME", &home);
        command
    };
    succeed(&mut brig(&["build"]));
    let learned = stdout(&succeed(&mut brig(&["policy", "learn"])));
    let rules: String = learned.lines().filter(|line| !line.starts_with('#')).collect();
    let remarks: String = learned.lines().filter(|line| line.starts_with('#')).collect();
    assert!(rules.contains("/outside/data/plain"), "{learned}");
    for wide in ["[\"/\"", "/etc", "/usr", ".env", "server.key", "/.config"] {
        assert!(!rules.contains(wide) && remarks.contains(wide), "{wide}: {learned}");
    }
}

#[test]
fn what_is_learned_is_enough_and_opens_no_secret() {
    let world = World::new();
    let output = fail(&mut world.brig(&["policy", "learn"]));
    assert!(stderr(&output).contains("there is no build directory"), "{}", shown(&output));
    let ssh = world.outside.join("home/.ssh");
    fs::create_dir(&ssh).unwrap();
    fs::write(ssh.join("id"), "x").unwrap();
    world.write(
        "build.rs",
        &SCRIPT.replace(
            "say(\"execute\"",
            "drop(fs::read(format!(\"{outside}/home/.ssh/id\")));\n    say(\"execute\"",
        ),
    );
    let home = world.outside.join("home");
    let brig = |arguments: &[&str]| {
        let mut command = world.brig(arguments);
        support::with_toolchain(&mut command).env("HOME", &home);
        command
    };
    assert_eq!(world.done(&mut brig(&["build"])), BY_DEFAULT);
    let learned = stdout(&succeed(&mut brig(&["policy", "learn", "tries"])));
    let outside = world.outside.to_str().unwrap();
    for line in [
        "extends = \"strict\"".to_owned(),
        "name = \"tries\"\nversion = \"=1.2.3\"".to_owned(),
        "environment.pass = [\n  \"EDITOR\",\n  \"MY_FLAG\",\n]".to_owned(),
        format!("files.execute = [\"{outside}/program\"]"),
        format!("files.read = [\"{outside}/data/file\"]"),
        format!("files.write = [\"{outside}/written\"]"),
        world.text("# can carry away what it reads: network.connect = [\"127.0.0.1:PORT\"]"),
        format!(
            "# can ask whoever listens there, and may do without: network.unix = [\"{outside}/socket\"]"
        ),
        "# is named like a secret: environment.pass = [\"MY_TOKEN\"]".to_owned(),
        "# opens secrets, or may: files.read = [\"{home}/.ssh/id\"]".to_owned(),
    ] {
        assert!(learned.contains(&format!("\n{line}\n")), "{line}\n{learned}");
    }
    // What is told for people to decide is a rule as it stands.
    world.write("brig.toml", &learned.replace("# can carry away what it reads: ", ""));
    succeed(&mut brig(&["policy", "check"]));
    // The key stays what it was.
    let output = world.build(&mut brig(&["build"]));
    assert!(!output.status.success() && stderr(&output).contains("/.ssh/id"), "{}", shown(&output));
    world.write("build.rs", SCRIPT);
    let expected = ["read", "execute", "write", "connect", "MY_FLAG", "EDITOR", "PATH", "HOME"];
    assert_eq!(world.done(&mut brig(&["build"])), expected);
    assert_eq!(world.record()["denials"], serde_json::json!([]));
}

/// What is said of each broken document stands beside it. `BLESS=1` writes it anew.
#[test]
fn every_mistake_has_its_message() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/policies/bad");
    let files = fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path());
    let mut documents: Vec<PathBuf> = files
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    documents.sort();
    assert!(documents.len() >= 30, "{}", documents.len());
    for document in documents {
        let name = document.file_name().unwrap();
        let mut command = clean_command(TOOL);
        command.args(["brig", "policy", "check"]).arg(name).current_dir(&directory);
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{}: {}", name.display(), shown(&output));
        assert_eq!(stdout(&output), "", "{}", name.display());
        let expected = document.with_extension("txt");
        if std::env::var_os("BLESS").is_some() {
            fs::write(&expected, &output.stderr).unwrap();
        }
        let text = stderr(&output);
        assert!(
            text.starts_with("error: ") && text.contains(&format!("--> {}:", name.display())),
            "{text}"
        );
        assert!(!text.contains('\x1b'), "{text:?}");
        assert_eq!(text, fs::read_to_string(&expected).unwrap(), "{}", name.display());
    }
}

/// Asks where OpenSSL lies, as the crate of this name does, and tells what it was given.
const LOCATED: &str = r#"
fn main() {
    for name in ["OPENSSL_LIB_DIR", "X86_64_UNKNOWN_LINUX_GNU_OPENSSL_STATIC", "OPENSSL_KEY", "EDITOR"] {
        println!("cargo::warning={name} {}", std::env::var_os(name).is_some());
    }
}
"#;

/// A package of this name, in a user's world without policies.
fn collected(name: &str, version: &str, script: &str) -> World {
    let project = Project::with_script(name, script);
    let manifest =
        format!("[package]\nname = \"{name}\"\nversion = \"{version}\"\nedition = \"2024\"\n");
    project.write("Cargo.toml", &manifest);
    World::of(project)
}

fn located(world: &World, arguments: &[&str]) -> Command {
    let mut command = world.brig(arguments);
    for name in ["OPENSSL_LIB_DIR", "X86_64_UNKNOWN_LINUX_GNU_OPENSSL_STATIC", "OPENSSL_KEY"] {
        command.env(name, "/usr/lib");
    }
    command
}

fn given(output: &Output) -> Vec<String> {
    let text = stderr(output);
    let said = text.lines().filter_map(|line| line.strip_suffix(" true"));
    said.filter_map(|line| line.rsplit(' ').next().map(str::to_owned)).collect()
}

#[test]
fn what_a_crate_needs_is_taken_in_by_its_name() {
    let world = collected("openssl-sys", "0.9.118", LOCATED);
    let build = |text: &str| {
        world.write("brig.toml", text);
        let output = world.build(&mut located(&world, &["build"]));
        assert!(output.status.success(), "{}", shown(&output));
        given(&output)
    };
    let by_name = ["OPENSSL_LIB_DIR", "X86_64_UNKNOWN_LINUX_GNU_OPENSSL_STATIC"];
    assert_eq!(build("extends = \"strict\""), [""; 0]);
    let taken = "extends = \"strict\"\ncrates = [\n  \"openssl-sys\",\n]";
    assert_eq!(build(taken), by_name);
    let record = world.record();
    let documents = record["policy"]["documents"].as_array().unwrap();
    let files: Vec<&str> =
        documents.iter().map(|document| document["file"].as_str().unwrap()).collect();
    let brig = world.project.root.join("brig.toml");
    assert_eq!(files[2..], ["policies/crates/openssl-sys.toml", brig.to_str().unwrap()]);
    // Each rule says where it stands, and its document who wants it.
    let shown = stdout(&succeed(&mut world.brig(&["policy", "show", "openssl-sys"])));
    let line = |begins: &str, holds: &str| {
        let mut lines = shown.lines().filter(|line| line.trim_start().starts_with(begins));
        lines.any(|line| line.ends_with(holds))
    };
    let text = fs::read_to_string("policies/crates/openssl-sys.toml").unwrap();
    let at = 1 + text.lines().position(|line| line.contains("\"OPENSSL_LIBS\"")).unwrap();
    let place = format!(" policies/crates/openssl-sys.toml:{at}");
    assert!(line("OPENSSL_LIBS passes", &place), "{shown}");
    let taken_in = format!("(taken in by {}:3)", brig.display());
    assert!(line("policies/crates/openssl-sys.toml", &taken_in), "{shown}");
    assert!(!stdout(&succeed(&mut world.brig(&["policy", "show"]))).contains("OPENSSL_LIBS"));
    // The package of another name gets nothing of it, and who takes it in can take away.
    assert_eq!(build("extends = \"strict\"\ncrates = [\"pq-sys\"]"), [""; 0]);
    let withheld = format!("{taken}\nenvironment.withhold = [\"OPENSSL_LIB_DIR\"]");
    assert_eq!(build(&withheld), by_name[1..]);
    // What was withheld, and by which name it would be given, stands in what is shown of the run.
    build("extends = \"strict\"");
    let shown = stdout(&succeed(&mut world.brig(&["show", "openssl-sys"])));
    assert!(shown.contains("\n      crates = [\"openssl-sys\"]\n"), "{shown}");
    // A name that is none stops the script, and so do others' mistakes.
    world.write("brig.toml", "extends = \"strict\"\ncrates = [\"openssl-sis\"]");
    let output = world.build(&mut located(&world, &["build"]));
    let said = stderr(&output);
    assert!(!output.status.success() && given(&output).is_empty(), "{said}");
    assert!(said.contains("the collection has no document for a crate `openssl-sis`"), "{said}");
    assert!(said.contains("brig.toml:2:11\n"), "{said}");
    assert!(said.contains("did you mean `openssl-sys`?"), "{said}");
}

#[test]
fn nothing_is_taken_in_under_a_lock() {
    let world = collected("openssl-sys", "0.9.118", LOCATED);
    world.write("brig.toml", "crates = [\"openssl-sys\"]");
    let farm =
        |policy: &str, arguments: &[&str]| on_machine(&world, policy, &located(&world, arguments));
    let output = world.build(&mut farm("extends = \"farm\"", &["build"]));
    assert!(output.status.success() && given(&output).is_empty(), "{}", shown(&output));
    let gone = "crates = openssl-sys";
    let output = succeed(&mut farm("extends = \"farm\"", &["policy", "check"]));
    let expected = format!("brig.toml:1: `{gone}` counts for nothing");
    assert!(stderr(&output).contains(&expected), "{}", shown(&output));
    let output = succeed(&mut farm("extends = \"farm\"", &["policy", "show", "openssl-sys"]));
    let counts = stdout(&output);
    let counts = counts.split("Counts for nothing").nth(1).unwrap();
    assert!(counts.contains(gone) && counts.contains("brig.toml:1"), "{counts}");
    // The machine's own word counts.
    let machine = "extends = \"farm\"\ncrates = [\"openssl-sys\"]";
    let output = world.build(&mut farm(machine, &["build"]));
    assert_eq!(given(&output).len(), 2, "{}", shown(&output));
}

#[test]
fn what_the_collection_has_is_learned_by_its_name() {
    let world = collected("openssl-sys", "0.9.118", LOCATED);
    succeed(&mut located(&world, &["build"]));
    let learned = stdout(&succeed(&mut world.brig(&["policy", "learn"])));
    assert!(learned.contains("extends = \"strict\"\ncrates = [\"openssl-sys\"]\n"), "{learned}");
    assert!(learned.contains("\nenvironment.pass = [\"EDITOR\"]\n"), "{learned}");
    assert!(!learned.contains("OPENSSL_LIB_DIR"), "{learned}");
    world.write("brig.toml", &learned);
    let output = world.build(&mut located(&world, &["build"]));
    let expected = ["OPENSSL_LIB_DIR", "X86_64_UNKNOWN_LINUX_GNU_OPENSSL_STATIC", "EDITOR"];
    assert_eq!(given(&output), expected, "{}", shown(&output));
    // An instruction, too, and nothing where nothing is needed.
    let script = "fn main() { println!(\"cargo::rustc-link-arg=-fuse-ld=lld\"); }";
    let world = collected("snmalloc-sys", "0.7.6", script);
    assert!(!world.build(&mut world.brig(&["build"])).status.success());
    let learned = stdout(&succeed(&mut world.brig(&["policy", "learn"])));
    assert!(
        learned.ends_with("\nextends = \"strict\"\ncrates = [\"snmalloc-sys\"]\n"),
        "{learned}"
    );
    world.write("brig.toml", &learned);
    let output = world.build(&mut world.brig(&["build"]));
    assert!(output.status.success(), "{}", shown(&output));
    world.write("build.rs", "fn main() {}");
    succeed(&mut world.brig(&["build"]));
    let learned = stdout(&succeed(&mut world.brig(&["policy", "learn"])));
    assert!(!learned.contains("crates"), "{learned}");
}

#[test]
fn a_denial_that_the_collection_forgives_says_so() {
    let script = "fn main() {
        println!(\"cargo::rerun-if-changed=build.rs\");
        let _ = std::fs::remove_dir_all(std::env::var(\"OUT_DIR\").unwrap());
    }";
    let world = collected("scratch", "1.0.9", script);
    let output = world.build(&mut world.brig(&["--policy", "strict", "build"]));
    assert!(!output.status.success(), "{}", shown(&output));
    let said = "; with `crates = [\"scratch\"]` the unit does not fail by it";
    assert!(stderr(&output).contains(said), "{}", shown(&output));
    let learned = stdout(&succeed(&mut world.brig(&["policy", "learn"])));
    assert!(learned.ends_with("\ncrates = [\"scratch\"]\n"), "{learned}");
    world.write("brig.toml", &learned);
    let output = world.build(&mut world.brig(&["build"]));
    assert!(
        output.status.success() && stderr(&output).contains("tried to remove"),
        "{}",
        shown(&output)
    );
    assert!(!stderr(&output).contains(said), "{}", shown(&output));
    // By `default` it does not fail either, and nothing is said.
    world.write("brig.toml", "");
    let output = world.build(&mut world.brig(&["build"]));
    assert!(output.status.success() && !stderr(&output).contains("crates"), "{}", shown(&output));
}

#[test]
fn the_collection_is_listed_and_printed() {
    let world = World::new();
    let listed = stdout(&succeed(&mut world.brig(&["policy", "crates"])));
    let names: Vec<&str> = listed.lines().filter_map(|line| line.split(' ').next()).collect();
    let mut files: Vec<String> = fs::read_dir("policies/crates")
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    files.sort();
    assert_eq!(names, files);
    for name in names {
        let printed = stdout(&succeed(&mut world.brig(&["policy", "crates", name])));
        let text = fs::read_to_string(format!("policies/crates/{name}.toml")).unwrap();
        assert_eq!(printed, text);
    }
    let output = fail(&mut world.brig(&["policy", "crates", "openssl"]));
    assert_eq!(output.status.code(), Some(4), "{}", shown(&output));
    assert!(stderr(&output).contains("no document for a crate `openssl`"), "{}", shown(&output));
    let schema = stdout(&succeed(&mut world.brig(&["policy", "schema"])));
    let schema: Value = serde_json::from_str(&schema).unwrap();
    let known = schema["properties"]["crates"]["items"]["enum"].as_array().unwrap();
    let known: Vec<&str> = known.iter().map(|name| name.as_str().unwrap()).collect();
    assert_eq!(known, files);
}
