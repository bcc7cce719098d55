//! Older kernels, user namespaces, chroots, no terminal, and within the jail: the same jail everywhere, or
//! no script.
//!
//! Kernels are as old as `tests/data/older_kernel.c` makes this one look. `tests/container.rs` has the
//! seccomp profile of containers, `tests/jail.rs` other users than root.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use support::{Project, TOOL, cargo, clean_command, fail, shown, stderr, stdout, succeed};

/// Attacks, leaves a daemon behind, and says what it could do.
const SCRIPT: &str = r#"
use std::fs;
unsafe extern "C" {
    fn fork() -> i32;
    fn setsid() -> i32;
    fn pause() -> i32;
    fn signal(number: i32, handler: usize) -> usize;
    fn _exit(code: i32) -> !;
}
fn main() {
    let outside = fs::read_to_string("outside").unwrap();
    let truncate = || fs::OpenOptions::new().write(true).truncate(true).open(&outside);
    let renamed = std::env::var("OUT_DIR").unwrap() + "/renamed";
    println!("cargo::rerun-if-env-changed=T_ROUND");
    println!("cargo::warning=reads {}", fs::read("build.rs").is_ok());
    println!("cargo::warning=writes {}", fs::write(outside.clone() + "-new", "x").is_ok());
    println!("cargo::warning=truncates {}", truncate().is_ok());
    println!("cargo::warning=renames {}", fs::rename(&outside, renamed).is_ok());
    println!("cargo::warning=listens {}", std::net::TcpListener::bind("127.0.0.1:0").is_ok());
    println!("cargo::warning=runs {}", std::process::Command::new("true").status().is_ok());
    unsafe {
        if std::env::var_os("T_STAYS").is_some() && fork() == 0 {
            for number in 1..32 {
                signal(number, 1);
            }
            setsid();
            if fork() != 0 {
                _exit(0);
            }
            loop {
                pause();
            }
        }
    }
}
"#;

const IN_THE_JAIL: &str =
    "reads true, writes false, truncates false, renames false, listens false, runs true";

/// A project with [`SCRIPT`].
struct Attacked {
    project: Project,
    outside: PathBuf,
}

impl Attacked {
    fn new() -> Self {
        let project = Project::with_script("attacks", SCRIPT);
        let outside = project.root.parent().unwrap().join("outside");
        project.write("outside", outside.to_str().unwrap());
        project.write("brig.toml", "extends = \"default\"\non-denial = \"report\"\n");
        let attacked = Self { project, outside };
        attacked.restore();
        let said = said(&mut attacked.project.cargo(&["build"]));
        assert_eq!(said, IN_THE_JAIL.replace("false", "true"), "without the jail");
        attacked.restore();
        attacked
    }

    fn restore(&self) {
        drop(fs::remove_file(format!("{}-new", self.outside.display())));
        fs::write(&self.outside, "text").unwrap();
    }

    /// A wrapping command before `cargo brig build`.
    fn build(&self, wrapper: &[&str], round: &str) -> Command {
        let mut command = clean_command(wrapper[0]);
        command.args(&wrapper[1..]).arg(cargo()).args(["brig", "build"]);
        command.env("T_ROUND", round).env("T_STAYS", "1").current_dir(&self.project.root);
        command
    }

    /// It is in the jail; its record.
    fn assert_jailed(&self, build: &mut Command) -> Value {
        assert_eq!(said(build), IN_THE_JAIL, "{build:?}");
        assert_eq!(fs::read_to_string(&self.outside).unwrap(), "text");
        assert!(!Path::new(&format!("{}-new", self.outside.display())).exists());
        let records = self.project.records();
        let [record] = &records[..] else { panic!("{} records", records.len()) };
        assert!(record["killed"].as_u64().unwrap() >= 1, "{record:#}");
        let denied = |kind: &str| {
            let mut denials = record["denials"].as_array().unwrap().iter();
            denials.any(|denial| denial["kind"] == kind)
        };
        assert!(denied("create") && denied("write"), "{:#}", record["denials"]);
        record.clone()
    }
}

/// What the script says that it could do.
fn said(build: &mut Command) -> String {
    let output = succeed(build);
    let text = stderr(&output);
    let lines = text.lines().filter_map(|line| line.split_once("attacks@1.2.3: "));
    lines.map(|(_, line)| line).collect::<Vec<_>>().join(", ")
}

/// A program of `tests/data`.
fn compiled(project: &Project, name: &str) -> String {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/data/{name}.c"));
    let program = project.root.join(name);
    let mut compiler = Command::new("cc");
    compiler.args(["-O1", "-Wall", "-Wextra", "-Werror", "-o"]).arg(&program).arg(source);
    succeed(&mut compiler);
    program.to_str().unwrap().to_owned()
}

#[test]
fn the_jail_holds_on_each_kernel_from_the_floor_and_says_how() {
    let attacked = Attacked::new();
    let older = compiled(&attacked.project, "older_kernel");
    for (abi, network, scopes, has_ioctl) in [
        (3, json!([]), json!([]), false),
        (4, json!(["BindTcp", "ConnectTcp"]), json!([]), false),
        (5, json!(["BindTcp", "ConnectTcp"]), json!([]), true),
        (6, json!(["BindTcp", "ConnectTcp"]), json!(["AbstractUnixSocket", "Signal"]), true),
    ] {
        let number = abi.to_string();
        let record = attacked.assert_jailed(&mut attacked.build(&[&older, &number], &number));
        let landlock = &record["enforced"]["landlock"];
        let files = landlock["files"].as_array().unwrap();
        assert_eq!(landlock["abi"], abi);
        assert!(files.contains(&json!("Truncate")) && files.contains(&json!("Refer")), "{files:?}");
        assert_eq!(files.contains(&json!("IoctlDev")), has_ioctl, "{abi}: {files:?}");
        assert_eq!(landlock["network"], network, "{abi}");
        assert_eq!(landlock["scopes"], scopes, "{abi}");
        let mut doctor = clean_command(&older);
        let output = succeed(doctor.args([&number, TOOL, "doctor"]));
        assert!(stdout(&output).contains("can be jailed here"), "{}", shown(&output));
    }
}

#[test]
fn below_the_floor_no_script_runs_and_it_is_said_what_is_needed() {
    let attacked = Attacked::new();
    let older = compiled(&attacked.project, "older_kernel");
    for abi in ["0", "1", "2"] {
        let output = fail(&mut attacked.build(&[&older, abi], abi));
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(101), "{}", shown(&output));
        let needed = format!(
            "the kernel's Landlock ABI is {abi}, but at least 3 is needed (Linux 6.2 or newer, with \
             `landlock` among the security modules that are switched on; `cargo brig doctor` says more)"
        );
        assert!(text.contains(&needed), "{text}");
        assert!(!text.contains("attacks@1.2.3: reads"), "{text}");
        assert_eq!(fs::read_to_string(&attacked.outside).unwrap(), "text");
        assert!(attacked.project.records().is_empty());
    }
}

#[test]
fn the_jail_holds_in_user_namespaces() {
    let attacked = Attacked::new();
    for wrapper in [
        &["unshare", "-Ur"][..],
        &["unshare", "-Uc"],
        &["unshare", "-Urpf", "--mount-proc", "--kill-child"],
        &["unshare", "-Ur", "unshare", "-Uc"],
    ] {
        attacked.assert_jailed(&mut attacked.build(wrapper, &wrapper.join(" ")));
    }
}

/// Another root, in which the system and the project have been mounted.
#[test]
fn the_jail_holds_in_a_chroot() {
    let attacked = Attacked::new();
    let new = attacked.project.root.with_file_name("root");
    fs::create_dir(&new).unwrap();
    let enter = "
        set -e
        new=$1; shift
        mount -t tmpfs none \"$new\"
        for name in /*; do
            if [ -L \"$name\" ]; then
                cp -P \"$name\" \"$new$name\"
            elif [ -d \"$name\" ]; then
                mkdir \"$new$name\"
                mount --rbind \"$name\" \"$new$name\"
            fi
        done
        exec /usr/sbin/chroot \"$new\" sh -c 'cd \"$0\"; exec \"$@\"' \"$PWD\" \"$@\"";
    let wrapper = ["unshare", "-Urm", "sh", "-c", enter, "sh", new.to_str().unwrap()];
    attacked.assert_jailed(&mut attacked.build(&wrapper, "chroot"));
}

#[test]
fn no_terminal_and_no_standard_streams_are_needed() {
    let attacked = Attacked::new();
    let mut build = attacked.build(&["setsid", "-w"], "session");
    attacked.assert_jailed(build.stdin(Stdio::null()));
    let closed = ["setsid", "-w", "sh", "-c", "exec \"$@\" <&- >&- 2>&-", "sh"];
    succeed(&mut attacked.build(&closed, "closed"));
    let records = attacked.project.records();
    assert_eq!(records[0]["denials"].as_array().unwrap().len(), 3, "{:#}", records[0]["denials"]);
    assert_eq!(fs::read_to_string(&attacked.outside).unwrap(), "text");
}

/// A jail within the jail is refused, and nothing of it runs in a weaker one.
#[test]
fn within_the_jail_another_one_is_refused_in_clear_words() {
    let script = r#"
        use std::process::Command;
        fn main() {
            let out = std::env::var("OUT_DIR").unwrap();
            std::fs::create_dir_all(format!("{out}/inner/src")).unwrap();
            std::fs::write(format!("{out}/inner/src/lib.rs"), "").unwrap();
            std::fs::write(format!("{out}/inner/Cargo.toml"),
                "[package]\nname = \"inner\"\nversion = \"0.1.0\"\n[workspace]\n").unwrap();
            std::fs::write(format!("{out}/inner/build.rs"),
                "fn main() { println!(\"cargo::warning=the inner script ran\"); }").unwrap();
            for words in [&["brig", "build"][..], &["build"]] {
                let mut cargo = Command::new(std::env::var("CARGO").unwrap());
                cargo.args(words).current_dir(format!("{out}/inner"));
                cargo.env_remove("RUSTC_WRAPPER").env("CARGO_TARGET_DIR", format!("{out}/target"));
                let output = cargo.output().unwrap();
                let text = String::from_utf8_lossy(&output.stderr).into_owned();
                println!("cargo::warning={words:?} {}", output.status.success());
                for line in text.lines().filter(|line| line.contains("brig") || line.contains("ran")) {
                    println!("cargo::warning={line}");
                }
            }
        }"#;
    let project = Project::with_script("nests", script);
    project.write("brig.toml", "extends = \"default\"\non-denial = \"report\"\n");
    let tool = Path::new(TOOL).parent().unwrap().display();
    project.write(
        "policy.toml",
        &format!("extends = \"default\"\non-denial = \"report\"\nfiles.execute = [\"{tool}\"]\n"),
    );
    let mut build = project.brig(&["build"]);
    let output = succeed(build.env("CARGO_BRIG_POLICY", project.root.join("policy.toml")));
    let text = stderr(&output);
    assert!(text.contains("nests@1.2.3: [\"brig\", \"build\"] false"), "{text}");
    let why = "this runs in cargo-brig's jail already, and a jail within the jail is refused";
    assert!(text.contains(why), "{text}");
    // Plain Cargo runs it, in the outer script's jail.
    assert!(text.contains("nests@1.2.3: [\"build\"] true"), "{text}");
    assert_eq!(text.matches("inner@0.1.0: the inner script ran").count(), 1, "{text}");
}

/// As `the_jail_holds_in_a_chroot`, with a system that is not this one's, entered by an ordinary user or one
/// that has become root in a namespace of its own.
#[test]
#[ignore = "downloads a Debian: needs root, debootstrap, and some minutes"]
fn the_jail_holds_in_a_debian_that_debootstrap_has_made() {
    let attacked = Attacked::new();
    // debootstrap takes no blanks.
    let new = tempfile::Builder::new().prefix("brig-debian-").tempdir().unwrap();
    let new = new.path();
    let mut debootstrap = clean_command("debootstrap");
    debootstrap.args(["--variant=minbase", "--include=gcc,libc6-dev", "bookworm"]).arg(new);
    succeed(debootstrap.arg("http://deb.debian.org/debian"));
    let home = PathBuf::from(std::env::var_os("HOME").unwrap());
    let of_rust =
        [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")].map(|(name, directory)| {
            std::env::var_os(name).map_or_else(|| home.join(directory), PathBuf::from)
        });
    let [cargo_home, rustup_home] = &of_rust;
    let mounted = [
        Path::new("/proc"),
        Path::new("/dev"),
        cargo_home,
        rustup_home,
        Path::new(TOOL).parent().unwrap(),
        &attacked.project.root,
    ];
    let enter = "
        set -e
        new=$1; shift
        while [ \"$1\" != -- ]; do
            mkdir -p \"$new$1\"
            mount --rbind \"$1\" \"$new$1\"
            shift
        done
        shift
        exec /usr/sbin/chroot \"$new\" sh -c 'cd \"$0\"; exec \"$@\"' \"$PWD\" \"$@\"";
    let mut wrapper = vec!["unshare", "-Urm", "sh", "-c", enter, "sh", new.to_str().unwrap()];
    wrapper.extend(mounted.iter().map(|path| path.to_str().unwrap()));
    wrapper.push("--");
    // There the system's own file is the one outside.
    let outside = new.join(attacked.outside.strip_prefix("/").unwrap());
    fs::create_dir_all(outside.parent().unwrap()).unwrap();
    fs::write(&outside, "text").unwrap();
    attacked.assert_jailed(&mut attacked.build(&wrapper, "debian"));
    assert_eq!(fs::read_to_string(&outside).unwrap(), "text");
}
