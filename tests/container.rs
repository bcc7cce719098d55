//! Under the seccomp profile by which the usual container engines start a container.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::{Project, TOOL, clean_command, fail, shown, stderr, stdout, succeed};

/// The program that applies the profile, and forbids what is defined so.
fn container(project: &Project, defined: &[&str]) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/container.c");
    let program = project.root.join("container");
    let mut compiler = Command::new("cc");
    compiler.args(["-O1", "-Wall", "-Wextra", "-Werror", "-o"]).arg(&program).arg(source);
    compiler.args(defined);
    succeed(&mut compiler);
    program
}

/// Tries to write outside, and says which namespace it could have had.
const SCRIPT: &str = r#"
    unsafe extern "C" { fn unshare(flags: i32) -> i32; }
    fn main() {
        let outside = std::fs::read_to_string("outside").unwrap();
        println!("cargo::warning=writes {}", std::fs::write(outside, "x").is_ok());
        println!("cargo::warning=unshares {}", unsafe { unshare(0x0400_0000) } == 0);
        let made = std::process::Command::new("sh").args(["-c", "echo x >\"$OUT_DIR/made\""]).status();
        println!("cargo::warning=runs {}", made.unwrap().success());
    }
"#;

#[test]
fn scripts_are_jailed_under_a_containers_profile() {
    let project = Project::with_script("contained", SCRIPT);
    let outside = project.root.parent().unwrap().join("outside");
    project.write("outside", outside.to_str().unwrap());
    let container = container(&project, &[]);
    let within = |program: &Path, arguments: &[&str]| {
        let mut command = clean_command(&container);
        command.arg(program).args(arguments).current_dir(&project.root);
        command
    };
    let cargo = support::cargo();
    let says = |command: &mut Command, what: &str| {
        let output = succeed(command);
        let line = format!("contained@1.2.3: {what}\n");
        assert!(stderr(&output).contains(&line), "{line}{}", shown(&output));
    };
    // The profile itself keeps a script from a namespace and from nothing else.
    says(&mut within(&cargo, &["build"]), "unshares false");
    assert!(outside.exists(), "without the jail");
    fs::remove_file(&outside).unwrap();
    for policy in ["default", "strict"] {
        drop(fs::remove_dir_all(project.root.join("target")));
        project.write("brig.toml", &format!("extends = \"{policy}\"\non-denial = \"report\"\n"));
        for line in ["writes false", "unshares false", "runs true"] {
            drop(fs::remove_dir_all(project.root.join("target")));
            says(&mut within(Path::new(TOOL), &["brig", "build"]), line);
        }
        assert!(!outside.exists(), "{policy}");
        let records = project.records();
        let denials = &records[0]["denials"];
        assert_eq!(denials[0]["path"].as_str(), outside.to_str(), "{policy}: {denials}");
    }
    // What needs a call that the profile refuses is refused in plain words.
    project.write("brig.toml", "network.connect = [\"127.0.0.1:1\"]\n");
    drop(fs::remove_dir_all(project.root.join("target")));
    let output = fail(&mut within(Path::new(TOOL), &["brig", "build"]));
    let why = "a policy with network rules needs pidfd_getfd(2), which fails";
    assert!(stderr(&output).contains(why), "{}", shown(&output));
    let doctor = || within(Path::new(TOOL), &["brig", "doctor"]);
    let output = fail(&mut doctor());
    assert!(stdout(&output).contains("pidfd_getfd"), "{}", shown(&output));
    fs::remove_file(project.root.join("brig.toml")).unwrap();
    succeed(&mut doctor());
    // What needs a namespace is denied, and it is said why.
    project.write("brig.toml", "files.redirect = [\"{package}\"]\n");
    let line = "had no private copy of";
    let output = succeed(&mut within(Path::new(TOOL), &["brig", "build"]));
    assert!(stderr(&output).contains(line), "{}", shown(&output));
    assert!(!outside.exists());
}

/// As systemd does it by `SystemCallFilter=` and by `RestrictSUIDSGID=`.
#[test]
fn what_is_forbidden_is_named_and_no_script_runs() {
    let project = Project::with_script("contained", SCRIPT);
    let outside = project.root.parent().unwrap().join("outside");
    project.write("outside", outside.to_str().unwrap());
    for (call, error, sentence) in [
        (
            "landlock_create_ruleset",
            "EPERM",
            "landlock_create_ruleset(2) is forbidden here (EPERM: Operation not permitted)",
        ),
        ("openat2", "ENOSYS", "openat2(2) is forbidden here (ENOSYS: Function not implemented)"),
    ] {
        let defined = [format!("-DFORBIDDEN=SYS_{call}"), format!("-DERROR={error}")];
        let container = container(&project, &defined.each_ref().map(String::as_str));
        let mut build = clean_command(&container);
        let output = fail(build.arg(TOOL).args(["brig", "build"]).current_dir(&project.root));
        assert!(stderr(&output).contains(sentence), "{}", shown(&output));
        assert!(!outside.exists(), "{call}");
        let mut doctor = clean_command(&container);
        let said = stdout(&fail(doctor.arg(TOOL).args(["brig", "doctor"])));
        assert!(said.contains(call), "{said}");
    }
}
