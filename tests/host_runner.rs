//! One script run by `cargo brig exec`: by hand, and by Cargo itself as nightly's `host.runner`; and
//! the shim in nightly's other layout of the build directory.
//!
//! What needs a nightly toolchain is run where rustup has one. Where it has none there is no other way
//! to try it: then the test says that it was not run.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};
use support::{Project, TOOL, clean_command, fail, shown, stderr, stdout, succeed};

/// A project with an `OUT_DIR`, and a shell script in the place of a build script's program.
fn with_program(text: &str) -> Project {
    let project = Project::of("package", &[("script", &format!("#!/bin/sh\n{text}"))]);
    let script = project.root.join("script");
    fs::set_permissions(script, fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir_all(project.root.join("unit/out")).unwrap();
    project
}

/// `cargo brig exec` with these words, in the environment that Cargo would give.
fn exec(project: &Project, words: &[&str]) -> Command {
    let mut command = project.brig(&["exec"]);
    command
        .args(words)
        .env("OUT_DIR", project.root.join("unit/out"))
        .env("CARGO_MANIFEST_DIR", &project.root)
        .env("CARGO_PKG_NAME", "by_hand")
        .env("CARGO_PKG_VERSION", "0.2.0");
    command
}

fn record(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

const LEAVES_FILES: &str = "\
echo \"$# arguments: $1, $2\"
echo '  cargo:rustc-cfg=x'
echo made > \"$OUT_DIR/made\"
(echo escaped > escaped) 2> /dev/null
exit \"${3:-0}\"
";

#[test]
fn exec_runs_a_program_in_the_jail_with_its_arguments() {
    let project = with_program(LEAVES_FILES);
    succeed(
        clean_command(project.root.join("script"))
            .env("OUT_DIR", project.root.join("unit/out"))
            .current_dir(&project.root),
    );
    assert!(project.root.join("escaped").exists(), "the attack must work without the jail");
    fs::remove_file(project.root.join("escaped")).unwrap();

    let output = succeed(&mut exec(&project, &["--", "./script", "a b", "--help"]));
    assert_eq!(stdout(&output), "2 arguments: a b, --help\ncargo:rustc-cfg=x\n");
    assert_eq!(fs::read_to_string(project.root.join("unit/out/made")).unwrap(), "made\n");
    assert!(!project.root.join("escaped").exists());
    let record = record(&project.root.join("unit/brig.json"));
    assert_eq!(record["unit"]["package"], "by_hand");
    assert_eq!(record["unit"]["version"], "0.2.0");
    assert_eq!(record["exit"], json!({ "code": 0 }));
    let text = record.to_string();
    assert!(text.contains("rustc-cfg") && text.contains("/escaped"), "{record:#}");
}

#[test]
fn exec_writes_the_record_where_it_is_told() {
    let project = with_program("exit 0");
    fs::create_dir(project.root.join("records")).unwrap();
    for name in ["records/one.json", "records/two words.json"] {
        succeed(&mut exec(&project, &["--record", name, "--", "./script"]));
        assert_eq!(record(&project.root.join(name))["exit"], json!({ "code": 0 }));
    }
    assert!(!project.root.join("unit/brig.json").exists());
    let output = fail(&mut exec(&project, &["--record", "no/such/place", "--", "./script"]));
    assert_eq!(output.status.code(), Some(125), "{}", shown(&output));
    assert!(stderr(&output).contains("no/such/place"), "{}", shown(&output));
}

#[test]
fn exec_ends_as_the_program_ends() {
    let project = with_program("kill -\"$1\" $$\nexit \"$2\"");
    for code in [1, 77, 255] {
        let output = fail(&mut exec(&project, &["--", "./script", "0", &code.to_string()]));
        assert_eq!(output.status.code(), Some(code), "{}", shown(&output));
        let record = record(&project.root.join("unit/brig.json"));
        assert_eq!(record["exit"], json!({ "code": code }));
    }
    for signal in [6, 9, 15] {
        // The tool itself: Cargo would turn the signal into a code.
        let mut command = clean_command(TOOL);
        command.args(["exec", "--", "./script", &signal.to_string()]);
        command.env("OUT_DIR", project.root.join("unit/out"));
        command.env("CARGO_MANIFEST_DIR", &project.root).current_dir(&project.root);
        let output = command.output().unwrap();
        assert_eq!(output.status.signal(), Some(signal), "{}", shown(&output));
        let record = record(&project.root.join("unit/brig.json"));
        assert_eq!(record["exit"], json!({ "signal": signal }));
    }
}

#[test]
fn exec_says_what_it_misses() {
    let project = with_program("echo ran");
    let refused = |command: &mut Command, code: i32, message: &str| {
        let output = fail(command);
        assert_eq!(output.status.code(), Some(code), "{}", shown(&output));
        assert!(stderr(&output).contains(message), "`{message}`: {}", shown(&output));
        assert_eq!(stdout(&output), "");
        assert!(!project.root.join("unit/brig.json").exists());
    };
    let words = ["--", "./script"];
    for variable in ["OUT_DIR", "CARGO_MANIFEST_DIR"] {
        let message = format!("error: brig: {variable} is not set: the program was not started as");
        refused(exec(&project, &words).env_remove(variable), 125, &message);
        let message = format!("error: brig: {variable} is `/no/such/directory`, which is not");
        refused(exec(&project, &words).env(variable, "/no/such/directory"), 125, &message);
    }
    refused(&mut exec(&project, &["--", "./absent"]), 125, "`./absent` does not exist");
    refused(&mut exec(&project, &["--"]), 2, "<PROGRAM>");
    refused(&mut exec(&project, &["./script"]), 2, "unexpected argument './script'");
    succeed(&mut exec(&project, &words));
}

/// A script that writes where it may, and tries to write where it may not.
const SCRIPT: &str = "\
fn main() {
    println!(\"cargo::rerun-if-changed=trigger\");
    println!(\"cargo::rustc-env=FROM_SCRIPT=told\");
    let out = std::env::var(\"OUT_DIR\").unwrap();
    std::fs::write(format!(\"{out}/made.rs\"), \"\\\"made\\\"\").unwrap();
    drop(std::fs::write(\"escaped\", \"\"));
}
";

fn with_script() -> Project {
    let project = Project::with_script("escaping", SCRIPT);
    let main = "fn main() { \
                print!(\"{} {}\", env!(\"FROM_SCRIPT\"), include!(concat!(env!(\"OUT_DIR\"), \"/made.rs\"))) }";
    project.write("src/main.rs", main);
    // A file that is missing makes a script run again each time.
    project.write("trigger", "");
    project
}

/// Whether the script could write outside; what it left is removed.
fn escaped(project: &Project) -> bool {
    fs::remove_file(project.root.join("escaped")).is_ok()
}

/// A launcher within the jail would start a jail of its own there, which the jail does not allow.
#[test]
fn exec_of_a_launcher_runs_its_script() {
    let project = with_script();
    succeed(&mut project.brig(&["check"]));
    let launcher = project.files_named("target", "build-script-build").remove(0);
    fs::create_dir_all(project.root.join("unit/out")).unwrap();
    let output = succeed(&mut exec(&project, &["--", launcher.to_str().unwrap()]));
    let lines = "cargo::rerun-if-changed=trigger\ncargo::rustc-env=FROM_SCRIPT=told\n";
    assert_eq!(stdout(&output), lines, "{}", shown(&output));
    assert!(project.root.join("unit/out/made.rs").exists() && !escaped(&project));
}

/// A command of nightly's Cargo; none, after saying so, where rustup has no nightly.
fn nightly(project: &Project) -> Option<impl Fn(&[&str]) -> Command> {
    let run = ["run", "nightly", "cargo"];
    let found = clean_command("rustup").args(run).arg("--version").output();
    if !found.is_ok_and(|output| output.status.success()) {
        eprintln!("NOT RUN: rustup has no nightly toolchain, which this test needs");
        return None;
    }
    let root = project.root.clone();
    Some(move |arguments: &[&str]| {
        let mut command = clean_command("rustup");
        command.args(run).args(arguments).current_dir(&root);
        command
    })
}

/// `cargo brig +nightly` with these words; the tool is named by its path, because rustup puts its own
/// directory of programs first into `PATH`.
fn brig_nightly(project: &Project, arguments: &[&str]) -> Command {
    let mut command = clean_command(TOOL);
    command.args(["brig", "+nightly"]).args(arguments).current_dir(&project.root);
    command
}

fn assert_denied(output: &Output) {
    let text = stderr(output);
    assert!(text.contains("Jailed 1 build script run in the jail, 1 denial"), "{}", shown(output));
}

#[test]
fn nightlys_host_runner_runs_each_script_in_the_jail() {
    let project = with_script();
    let Some(cargo) = nightly(&project) else { return };
    let version =
        stdout(&succeed(clean_command("rustup").args(["run", "nightly", "rustc", "-vV"])));
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    for arguments in [["run", "-q", "--target", host].as_slice(), &["run", "-q"]] {
        let output = succeed(&mut cargo(arguments));
        assert_eq!(stdout(&output), "told made");
        assert!(escaped(&project), "the attack must work without the jail");
        fs::remove_dir_all(project.root.join("target")).unwrap();

        let config = format!("[host]\nrunner = [{TOOL:?}, \"exec\", \"--\"]\n");
        project.write(".cargo/config.toml", &config);
        let output = succeed(
            cargo(arguments)
                .env("CARGO_UNSTABLE_HOST_CONFIG", "true")
                .env("CARGO_UNSTABLE_TARGET_APPLIES_TO_HOST", "true"),
        );
        assert_eq!(stdout(&output), "told made");
        assert!(!escaped(&project), "{}", shown(&output));
        let records = project.records();
        assert_eq!(records.len(), 1);
        assert_eq!(records[0]["unit"]["package"], "escaping");
        assert!(records[0]["denials"].to_string().contains("/escaped"), "{:#}", records[0]);
        fs::remove_dir_all(project.root.join("target")).unwrap();
        fs::remove_dir_all(project.root.join(".cargo")).unwrap();
    }
}

#[test]
fn a_script_that_fails_in_nightlys_host_runner_fails_the_build() {
    let project = Project::with_script("fails", "fn main() { std::process::exit(7) }");
    let Some(cargo) = nightly(&project) else { return };
    let config = format!(
        "[unstable]\nhost-config = true\ntarget-applies-to-host = true\n\
         [host]\nrunner = [{TOOL:?}, \"exec\", \"--\"]\n"
    );
    project.write(".cargo/config.toml", &config);
    let output = fail(&mut cargo(&["check"]));
    assert!(stderr(&output).contains("(exit status: 7)"), "{}", shown(&output));
    assert_eq!(project.records()[0]["exit"], json!({ "code": 7 }));
}

/// In neither layout does nightly's Cargo give a script of ours another name than its own has
/// (`compiler/build_runner/compilation_files.rs`), so each must find out that the other's is there.
#[test]
fn nightlys_layouts_keep_scripts_in_the_jail() {
    let project = with_script();
    let Some(cargo) = nightly(&project) else { return };
    for layout in [["run", "-q"].as_slice(), &["run", "-q", "-Zbuild-dir-new-layout"]] {
        let mut brig = vec!["run"];
        brig.extend(&layout[2..]);
        let output = succeed(&mut brig_nightly(&project, &brig));
        assert_eq!(stdout(&output), "told made", "{}", shown(&output));
        assert_denied(&output);
        assert!(!escaped(&project));

        let output = succeed(&mut brig_nightly(&project, &brig));
        let text = stderr(&output);
        let fresh = text.contains("Jailed 0 build script runs in the jail, 1 ");
        assert!(fresh && text.contains("nothing denied"), "{}", shown(&output));

        // Plain Cargo runs its own script, outside; that is not taken for a run in the jail.
        fs::remove_dir_all(project.root.join("target")).unwrap();
        succeed(&mut cargo(layout));
        assert!(escaped(&project), "the attack must work without the jail");
        let output = succeed(&mut brig_nightly(&project, &brig));
        assert_denied(&output);
        assert!(!escaped(&project));

        // What is in the build directory now is a launcher, which plain Cargo must not run as its own
        // script's equal forever: it compiles it again, and so do we.
        project.write("trigger", "again");
        succeed(&mut cargo(layout));
        assert!(escaped(&project));
        let output = succeed(&mut brig_nightly(&project, &brig));
        assert_denied(&output);
        assert!(!escaped(&project));
        fs::remove_dir_all(project.root.join("target")).unwrap();
    }
}
