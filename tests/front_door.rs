//! The front door: `cargo brig COMMAND` does what `cargo COMMAND` does, with each build script in
//! the jail and one line more on stderr.
//!
//! Plain Cargo is the reference wherever there is one: each command is run without the jail, the
//! target directory is removed, and it is run with it, in the same place.

mod support;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{SigHandler, Signal, kill, killpg, signal};
use nix::unistd::Pid;
use support::{
    Project, TOOL, cargo, clean_command, copy_dir, fail, shown, stderr, stdout, succeed, summary,
    walk, without_hashes,
};

const MANIFEST: &str = "\
[package]
name = \"ship\"
version = \"1.2.3\"
edition = \"2024\"
description = \"Floats\"
license = \"MIT\"
";

/// Uses what a script is for: a generated file, a cfg and a variable.
const SCRIPT: &str = r#"
use std::path::Path;

fn main() {
    let out_dir = std::env::var_os("OUT_DIR").unwrap();
    std::fs::write(Path::new(&out_dir).join("masts.rs"), "3").unwrap();
    println!("cargo::rustc-check-cfg=cfg(afloat)");
    println!("cargo::rustc-cfg=afloat");
    println!("cargo::rustc-env=SHIP=Endeavour");
    println!("cargo::rerun-if-changed=build.rs");
}
"#;

const LIBRARY: &str = r#"
//! A ship.

/// Counts.
///
/// ```
/// assert_eq!(ship::masts(), 3);
/// ```
#[cfg(afloat)]
#[must_use]
pub fn masts() -> u32 {
    include!(concat!(env!("OUT_DIR"), "/masts.rs"))
}

#[test]
fn it_has_a_name() {
    assert_eq!(env!("SHIP"), "Endeavour");
}
"#;

/// Shows what reaches a program: arguments, a variable, its input; and how it ends.
const PROGRAM: &str = r#"
use std::io::{self, Write};

fn main() {
    println!("{} has {} masts", env!("SHIP"), ship::masts());
    for argument in std::env::args_os().skip(1) {
        println!("argument {argument:?}");
    }
    println!("variable {:?}", std::env::var_os("FLAG"));
    io::copy(&mut io::stdin(), &mut io::stdout()).unwrap();
    io::stderr().write_all(b"to stderr\xff\n").unwrap();
    let code = std::env::var("CODE").map_or(0, |code| code.parse().unwrap());
    std::process::exit(code);
}
"#;

/// A package with a script, a library with a test and a documentation test, and a program.
fn ship() -> Project {
    Project::of(
        "ship",
        &[
            ("Cargo.toml", MANIFEST),
            ("build.rs", SCRIPT),
            ("src/lib.rs", LIBRARY),
            ("src/main.rs", PROGRAM),
        ],
    )
}

/// Lines that depend on the moment: other Cargo processes, and the machine's caches.
const OF_THE_MOMENT: [&str; 5] = ["Blocking", "Updating", "Downloading", "Downloaded", "Locking"];

fn first_word(line: &str) -> &str {
    line.trim_start().split(' ').next().unwrap_or_default()
}

/// A text without what differs between any two builds: how long it took, the ids of threads in
/// panics, and the units' hashes, of which the shim's line in `rustc -vV` is a part.
fn normal(text: &str) -> String {
    let mut lines = Vec::new();
    for line in text.lines().filter(|line| !OF_THE_MOMENT.contains(&first_word(line))) {
        let words = line.split(' ').map(|word| {
            let number = word.trim_end_matches(';').strip_suffix('s');
            let is_time = number.is_some_and(|number| number.parse::<f64>().is_ok());
            let id = word.strip_prefix('(').and_then(|word| word.strip_suffix(')'));
            let is_id = id.is_some_and(|id| id.parse::<u32>().is_ok());
            match (is_time, is_id) {
                (true, _) => "TIME".to_owned(),
                (_, true) => "(ID)".to_owned(),
                _ => without_hashes(word),
            }
        });
        lines.push(words.collect::<Vec<_>>().join(" "));
    }
    lines.join("\n")
}

/// What an output holds on stderr beside the summary.
fn without_summary(output: &Output) -> String {
    let text = stderr(output);
    let lines: Vec<&str> = text.lines().filter(|line| first_word(line) != "Jailed").collect();
    lines.join("\n")
}

const ONE_RUN: &str = "Jailed 1 build script run in the jail, nothing denied";
const ONE_FRESH: &str = "Jailed 0 build script runs in the jail, 1 fresh, nothing denied";

fn remove_target(project: &Project) {
    let target = project.root.join("target");
    if target.exists() {
        fs::remove_dir_all(target).unwrap();
    }
}

/// Asserts that two outputs differ by nothing but the summary, times and hashes.
fn assert_same(plain: &Output, jailed: &Output) {
    let both = format!("without the jail: {}\nwith it: {}", shown(plain), shown(jailed));
    assert_eq!(plain.status, jailed.status, "{both}");
    assert_eq!(normal(&stdout(plain)), normal(&stdout(jailed)), "{both}");
    let rest = without_summary(jailed);
    assert_eq!(normal(&stderr(plain)), normal(&rest), "{both}");
}

/// Runs a command without the jail and, from nothing again, with it, and asserts that the outcome is
/// the same. Returns the jailed command's output.
fn compare(project: &Project, arguments: &[&str], set: impl Fn(&mut Command)) -> Output {
    let run = |mut command: Command| {
        set(&mut command);
        command.output().unwrap()
    };
    let plain = run(project.cargo(arguments));
    remove_target(project);
    let jailed = run(project.brig(arguments));
    assert_same(&plain, &jailed);
    jailed
}

/// As [`compare`], for a command that succeeds and in which the one script runs.
fn compare_success(arguments: &[&str]) -> Project {
    let project = ship();
    let output = compare(&project, arguments, |_| {});
    assert!(output.status.success(), "{}", shown(&output));
    assert_eq!(summary(&output), ONE_RUN, "{}", shown(&output));
    project
}

/// The files of the records below a directory of the project.
fn records_in(project: &Project, directory: &str) -> usize {
    project.files_named(directory, "brig.json").len()
}

// Arguments, environment, streams, exit code.

fn output_with_input(command: &mut Command, input: &[u8]) -> Output {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn arguments_variables_streams_and_exit_code_of_a_program_pass_through() {
    let project = ship();
    let mut arguments: Vec<&OsStr> = ["run", "-q", "--", "a  b", "", "--release", "é\n"]
        .iter()
        .map(|argument| OsStr::new(*argument))
        .collect();
    arguments.push(OsStr::from_bytes(b"\xff\xfe"));
    let input = b"line\n\0\xff no end of line";
    let run = |mut command: Command| {
        command.args(&arguments).env("FLAG", OsStr::from_bytes(b"\xc3\x28 x")).env("CODE", "42");
        output_with_input(&mut command, input)
    };
    let plain = run(project.cargo(&[]));
    remove_target(&project);
    let jailed = run(project.brig(&[]));
    assert_eq!(jailed.status.code(), Some(42), "{}", shown(&jailed));
    assert_eq!(plain, jailed, "byte by byte");
    assert!(jailed.stdout.ends_with(input), "{}", shown(&jailed));
    assert!(jailed.stderr.ends_with(b"to stderr\xff\n"), "{}", shown(&jailed));
    assert_eq!(project.records().len(), 1);
}

#[test]
fn the_environment_of_a_program_differs_by_the_two_wrappers_and_by_nothing_else() {
    let project = ship();
    project.write(
        "src/main.rs",
        "fn main() { for (k, v) in std::env::vars() { println!(\"{k}={v:?}\"); } }",
    );
    let variables = |mut command: Command| -> BTreeMap<String, String> {
        let output = succeed(command.env("FLAG", "a  b"));
        let text = without_hashes(&stdout(&output));
        let pairs = text.lines().filter_map(|line| line.split_once('='));
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    };
    let plain = variables(project.cargo(&["run", "-q"]));
    remove_target(&project);
    let mut jailed = variables(project.brig(&["run", "-q"]));
    assert_eq!(plain["FLAG"], "\"a  b\"");
    // A Cargo that the program starts goes on building in the jail.
    assert_eq!(jailed.remove("RUSTC_WRAPPER"), Some(format!("{TOOL:?}")));
    assert!(jailed.remove("RUSTDOC").unwrap().ends_with("/rustdoc\""));
    jailed.retain(|name, _| !name.starts_with("CARGO_BRIG_"));
    assert_eq!(plain, jailed);
}

#[test]
fn a_program_inherits_the_same_descriptors() {
    let project = ship();
    let program = "fn main() {
        let entries = std::fs::read_dir(\"/proc/self/fd\").unwrap();
        let links = entries.filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok());
        // Numbers of pipes differ each time.
        let mut names: Vec<_> = links.map(|link| {
            link.to_str().unwrap().split('[').next().unwrap().to_owned()
        }).collect();
        names.retain(|name| !name.starts_with(\"/proc/\"));
        names.sort();
        println!(\"{names:?}\");
    }";
    project.write("src/main.rs", program);
    let plain = succeed(&mut project.cargo(&["run", "-q"]));
    remove_target(&project);
    let jailed = succeed(&mut project.brig(&["run", "-q"]));
    assert_eq!(stdout(&plain), stdout(&jailed));
}

#[test]
fn stdout_holds_nothing_but_cargos_messages() {
    let project = ship();
    let output = succeed(&mut project.brig(&["build", "--message-format=json"]));
    let reasons: Vec<String> = stdout(&output)
        .lines()
        .map(|line| {
            let message: serde_json::Value = serde_json::from_str(line).unwrap();
            message["reason"].as_str().unwrap().to_owned()
        })
        .collect();
    assert!(reasons.contains(&"build-script-executed".to_owned()), "{reasons:?}");
    assert_eq!(reasons.last().map(String::as_str), Some("build-finished"));
    let output = succeed(&mut project.brig(&["build"]));
    assert_eq!(stdout(&output), "");
}

// Cargo's commands.

#[test]
fn build_is_the_same_and_one_line_more() {
    compare_success(&["build"]);
}

#[test]
fn check_is_the_same() {
    compare_success(&["check", "--all-targets"]);
}

#[test]
fn test_is_the_same_with_documentation_tests() {
    let project = ship();
    let output = compare(&project, &["test"], |_| {});
    assert!(stdout(&output).contains("test it_has_a_name ... ok"), "{}", shown(&output));
    assert!(stdout(&output).contains("masts (line 6) ... ok"), "{}", shown(&output));
    assert_eq!(summary(&output), ONE_RUN);
}

#[test]
fn a_test_that_fails_fails_the_same() {
    let project = ship();
    project.write("tests/sinks.rs", "#[test] fn sinks() { std::process::exit(7); }");
    let output = compare(&project, &["test", "--test", "sinks"], |_| {});
    assert_eq!(output.status.code(), Some(7), "{}", shown(&output));
    assert_eq!(summary(&output), ONE_RUN);
}

#[test]
fn a_compilation_that_fails_fails_the_same() {
    let project = ship();
    project.write("src/main.rs", "fn main() { sink() }");
    let output = compare(&project, &["build"], |_| {});
    assert_eq!(output.status.code(), Some(101), "{}", shown(&output));
    assert!(stderr(&output).contains("cannot find function `sink`"), "{}", shown(&output));
}

#[test]
fn bench_is_the_same() {
    compare_success(&["bench", "--no-run"]);
}

#[test]
fn doc_is_the_same() {
    let project = compare_success(&["doc", "--no-deps"]);
    assert!(project.root.join("target/doc/ship/fn.masts.html").is_file());
}

#[test]
fn clippy_is_the_same() {
    let project = ship();
    project.write("src/lib.rs", &format!("{LIBRARY}\npub fn f() -> i32 {{ return 1; }}\n"));
    let output = compare(&project, &["clippy"], |_| {});
    assert!(stderr(&output).contains("clippy::needless_return"), "{}", shown(&output));
    assert_eq!(summary(&output), ONE_RUN);
}

#[test]
fn rustc_is_the_same() {
    let project = ship();
    project.write("src/main.rs", "#[cfg(not(stern))] compile_error!(\"no\"); fn main() {}");
    let arguments = ["rustc", "--bin", "ship", "--", "--cfg", "stern", "--check-cfg", "cfg(stern)"];
    let output = compare(&project, &arguments, |_| {});
    assert!(output.status.success(), "{}", shown(&output));
    assert_eq!(summary(&output), ONE_RUN);
}

#[test]
fn install_from_a_path_is_the_same() {
    let project = ship();
    let run = |mut command: Command| {
        let root = project.root.join("installed");
        let output = command.args(["--path", ".", "--root"]).arg(&root).output().unwrap();
        let program = root.join("bin/ship");
        assert!(stdout(&succeed(&mut Command::new(&program))).contains("has 3 masts"));
        fs::remove_dir_all(&root).unwrap();
        output
    };
    let plain = run(project.cargo(&["install"]));
    remove_target(&project);
    let jailed = run(project.brig(&["install"]));
    assert_same(&plain, &jailed);
    assert_eq!(summary(&jailed), ONE_RUN);
}

#[test]
fn package_verifies_in_the_jail() {
    let project = compare_success(&["package", "--allow-dirty"]);
    assert!(project.root.join("target/package/ship-1.2.3.crate").is_file());
    assert_eq!(project.records().len(), 1);
}

#[test]
fn a_package_whose_script_changes_its_source_is_stopped_by_the_jail() {
    let project = ship();
    project.write("build.rs", "fn main() { std::fs::write(\"src/new.rs\", \"\").unwrap(); }");
    project.write("src/lib.rs", "");
    project.write("src/main.rs", "fn main() {}");
    let output = fail(&mut project.brig(&["package", "--allow-dirty"]));
    let text = stderr(&output);
    assert!(text.contains("the build script of `ship v1.2.3` tried to create"), "{text}");
}

/// An empty registry of Cargo's first kind, a Git repository, so that nothing is asked of a network.
fn registry(project: &Project) {
    let index = project.root.join("index");
    let text = "{\"dl\":\"http://127.0.0.1:9/dl\",\"api\":\"http://127.0.0.1:9\"}";
    project.write("index/config.json", text);
    for arguments in [
        &["init", "--quiet"][..],
        &["add", "."],
        &[
            "-c",
            "user.name=a",
            "-c",
            "user.email=a@example.org",
            "commit",
            "--quiet",
            "-m",
            "first",
        ],
    ] {
        succeed(clean_command("git").args(arguments).current_dir(&index));
    }
    let url = index.to_str().unwrap().replace(' ', "%20").replace('é', "%C3%A9");
    let config = format!("[registries.harbour]\nindex = \"file://{url}\"\n");
    project.write(".cargo/config.toml", &config);
}

#[test]
fn publishing_without_uploading_verifies_in_the_jail() {
    let project = ship();
    registry(&project);
    let arguments = ["publish", "--dry-run", "--allow-dirty", "--registry", "harbour"];
    let output = compare(&project, &arguments, |_| {});
    assert!(stderr(&output).contains("aborting upload due to dry run"), "{}", shown(&output));
    assert_eq!(summary(&output), ONE_RUN);
    assert_eq!(project.records().len(), 1);
}

#[test]
fn tree_and_metadata_print_the_same_byte_by_byte() {
    let project = ship();
    for arguments in [
        &["tree"][..],
        &["metadata", "--format-version=1"],
        &["pkgid"],
        &["locate-project"],
        &["version", "--verbose"],
        &["--list"],
    ] {
        let plain = succeed(&mut project.cargo(arguments));
        let jailed = succeed(&mut project.brig(arguments));
        assert_eq!(plain.stdout, jailed.stdout, "{arguments:?}");
        assert_eq!(normal(&stderr(&plain)), normal(&stderr(&jailed)), "{arguments:?}");
    }
}

/// A package that has something to be fixed: `fix` and `clippy --fix` start rustc for a workspace's
/// own packages, and so for their scripts, without a wrapper.
fn to_be_fixed() -> Project {
    let project = ship();
    let library = format!("{LIBRARY}\npub fn f() -> i32 {{ let mut x = 1; return x; }}\n");
    project.write("src/lib.rs", &library);
    project
}

/// `arguments` with and without the jail, each on the same source.
fn compare_fix(arguments: &[&str]) {
    let (plain_project, project) = (to_be_fixed(), to_be_fixed());
    let plain = succeed(&mut plain_project.cargo(arguments));
    let jailed = succeed(&mut project.brig(arguments));
    let source = |project: &Project| fs::read_to_string(project.root.join("src/lib.rs")).unwrap();
    assert_eq!(source(&plain_project), source(&project));
    assert!(!source(&project).contains("let mut x"), "nothing was fixed");
    assert_eq!(stdout(&plain), stdout(&jailed));
    assert_eq!(summary(&jailed), ONE_RUN, "{}", shown(&jailed));
    assert_eq!(project.records().len(), 1);
}

#[test]
fn fix_is_the_same_and_its_script_is_in_the_jail() {
    compare_fix(&["fix", "--allow-dirty", "--allow-no-vcs"]);
}

#[test]
fn clippy_fix_is_the_same_and_its_script_is_in_the_jail() {
    compare_fix(&["clippy", "--fix", "--allow-dirty", "--allow-no-vcs"]);
}

#[test]
fn a_script_is_in_the_jail_under_fix_after_a_build_outside() {
    let project = to_be_fixed();
    succeed(&mut project.cargo(&["check"]));
    assert_eq!(project.records().len(), 0);
    let output = succeed(&mut project.brig(&["fix", "--allow-dirty", "--allow-no-vcs"]));
    assert_eq!(summary(&output), ONE_RUN, "{}", shown(&output));
}

#[test]
fn an_alias_is_followed() {
    let project = ship();
    project.write(".cargo/config.toml", "[alias]\nlaunch = [\"build\", \"--release\"]\n");
    let output = succeed(&mut project.brig(&["launch"]));
    assert_eq!(summary(&output), ONE_RUN);
    assert_eq!(records_in(&project, "target/release"), 1);
    let output = succeed(&mut project.brig(&["b"]));
    assert_eq!(summary(&output), ONE_RUN);
}

#[test]
fn an_unknown_command_is_cargos_to_report() {
    let project = ship();
    let plain = project.cargo(&["frobnicate", "x"]).output().unwrap();
    let jailed = project.brig(&["frobnicate", "x"]).output().unwrap();
    assert!(stderr(&jailed).contains("no such command: `frobnicate`"), "{}", shown(&jailed));
    assert_eq!(plain, jailed);
}

#[test]
fn an_unknown_option_and_a_missing_manifest_are_cargos_to_report() {
    let project = ship();
    for arguments in
        [&["build", "--frobnicate"][..], &["build", "--manifest-path", "no/Cargo.toml"]]
    {
        let plain = project.cargo(arguments).output().unwrap();
        let jailed = project.brig(arguments).output().unwrap();
        assert_eq!(plain, jailed, "{arguments:?}");
        assert!(!jailed.status.success());
    }
}

#[test]
fn the_version_is_ours() {
    let project = ship();
    for argument in ["--version", "-V"] {
        let output = succeed(&mut project.brig(&[argument]));
        assert_eq!(stdout(&output), format!("cargo brig {}\n", env!("CARGO_PKG_VERSION")));
        assert_eq!(stderr(&output), "");
    }
}

#[test]
fn help_is_ours_and_says_how_cargos_commands_are_run() {
    let project = ship();
    for arguments in [&["--help"][..], &["-h"], &[]] {
        let output = succeed(&mut project.brig(arguments));
        assert!(
            stdout(&output).contains("cargo brig [--policy POLICY] [+toolchain] <CARGO COMMAND>"),
            "{arguments:?}"
        );
        assert_eq!(stderr(&output), "");
    }
    let output = succeed(&mut project.cargo(&["help", "brig"]));
    assert!(stdout(&output).contains("cargo brig [--policy POLICY] [+toolchain] <CARGO COMMAND>"));
    let plain = project.cargo(&["build", "--help"]).output().unwrap();
    assert_eq!(plain, project.brig(&["build", "--help"]).output().unwrap());
}

#[test]
fn an_own_verb_is_helped_with_and_comes_first() {
    let project = ship();
    for verb in ["show", "audit", "policy"] {
        let help = succeed(&mut project.brig(&["help", verb]));
        assert!(stdout(&help).contains(&format!("Usage: cargo brig {verb}")), "{}", shown(&help));
    }
    let plain = project.cargo(&["help", "build"]).output().unwrap();
    assert_eq!(plain, project.brig(&["help", "build"]).output().unwrap());
    for (arguments, said) in [
        (&["+nightly", "audit"][..], "write `cargo +nightly brig audit`"),
        (&["--color", "never", "show"], "write `cargo brig show`"),
        (&["--policy"], "a built-in policy (default, strict, farm, permissive) or a document"),
        (&["--policy", "strict", "policy", "show"], "`cargo brig policy show --policy POLICY`"),
        (&["--policy", "strict", "show"], "`cargo brig show` takes no `--policy`"),
    ] {
        let output = project.brig(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", shown(&output));
        assert!(stderr(&output).contains(said), "{}", shown(&output));
    }
}

// Directories, targets, profiles, packages, toolchains.

/// Builds twice: the script runs, then it is fresh; its record is where it is expected.
fn assert_builds_in(directory: &str, arguments: &[&str], variables: &[(&str, &str)]) {
    let project = ship();
    for expected in [ONE_RUN, ONE_FRESH] {
        let mut command = project.brig(&[]);
        command.args(arguments).envs(variables.iter().copied());
        let output = succeed(&mut command);
        assert_eq!(summary(&output), expected, "{}", shown(&output));
        let found = project.files_named("", "brig.json");
        let [record] = &found[..] else { panic!("{found:?}") };
        assert!(record.starts_with(project.root.join(directory)), "{}", record.display());
    }
}

/// The toolchain's own target.
fn host() -> String {
    let output = succeed(clean_command(cargo()).arg("-vV"));
    let text = stdout(&output);
    text.lines().find_map(|line| line.strip_prefix("host: ")).unwrap().to_owned()
}

#[test]
fn a_build_for_a_named_target_is_in_the_jail() {
    let host = host();
    assert_builds_in(&format!("target/{host}/debug/build"), &["build", "--target", &host], &[]);
}

#[test]
fn a_release_build_is_in_the_jail() {
    assert_builds_in("target/release/build", &["build", "--release"], &[]);
}

#[test]
fn a_profile_of_ones_own_is_in_the_jail() {
    let config = "profile.fast.inherits='release'";
    let arguments = ["build", "--config", config, "--profile", "fast"];
    assert_builds_in("target/fast/build", &arguments, &[]);
}

#[test]
fn a_target_directory_with_a_blank_is_in_the_jail() {
    let arguments = ["build", "--target-dir", "dir with space"];
    assert_builds_in("dir with space/debug/build", &arguments, &[]);
}

#[test]
fn a_target_directory_from_the_environment_is_in_the_jail() {
    assert_builds_in("from env/debug/build", &["build"], &[("CARGO_TARGET_DIR", "from env")]);
}

#[test]
fn a_build_directory_of_its_own_is_in_the_jail() {
    assert_builds_in(
        "elsewhere/debug/build",
        &["build"],
        &[("CARGO_BUILD_BUILD_DIR", "elsewhere")],
    );
}

#[test]
fn a_manifest_in_another_directory_is_in_the_jail() {
    let project = ship();
    let outside = project.root.parent().unwrap();
    let mut command = project.brig(&["build", "--manifest-path", "ship/Cargo.toml"]);
    let output = succeed(command.current_dir(outside));
    assert_eq!(summary(&output), ONE_RUN);
    assert_eq!(project.records().len(), 1);
}

#[test]
fn one_member_of_a_workspace_is_built_and_counted() {
    let script = "fn main() { println!(\"cargo::rerun-if-changed=build.rs\"); }";
    let member = |name: &str| format!("[package]\nname = \"{name}\"\nedition = \"2024\"\n");
    let (port, starboard) = (member("port"), member("starboard"));
    let project = Project::of(
        "workspace",
        &[
            ("Cargo.toml", "[workspace]\nresolver = \"3\"\nmembers = [\"port\", \"starboard\"]\n"),
            ("port/Cargo.toml", &port),
            ("port/build.rs", script),
            ("port/src/lib.rs", ""),
            ("starboard/Cargo.toml", &starboard),
            ("starboard/build.rs", script),
            ("starboard/src/lib.rs", ""),
        ],
    );
    let output = compare(&project, &["build", "-p", "port"], |_| {});
    assert_eq!(summary(&output), ONE_RUN);
    assert_eq!(project.records()[0]["unit"]["package"], "port");
    let output = succeed(&mut project.brig(&["build", "-p", "starboard"]));
    assert_eq!(summary(&output), ONE_RUN, "the other member has no part in this build");
    let output = succeed(&mut project.brig(&["build", "--workspace"]));
    let expected = "Jailed 0 build script runs in the jail, 2 fresh, nothing denied";
    assert_eq!(summary(&output), expected);
}

#[test]
fn a_toolchain_can_be_named() {
    let project = ship();
    let toolchains = match Command::new("rustup").args(["toolchain", "list", "--quiet"]).output() {
        Ok(output) => stdout(&output).lines().map(str::to_owned).collect(),
        // Without rustup Cargo does not know the argument, and says so the same in both ways.
        Err(_) => vec!["stable".to_owned()],
    };
    assert!(!toolchains.is_empty());
    for toolchain in toolchains {
        let toolchain = format!("+{toolchain}");
        let mut plain = clean_command("cargo");
        plain.args([&toolchain, "check"]).current_dir(&project.root);
        let plain = plain.output().unwrap();
        remove_target(&project);
        let jailed = project.brig(&[&toolchain, "check"]).output().unwrap();
        assert_same(&plain, &jailed);
        if jailed.status.success() {
            // Nightly's layout does not tell which scripts are of this build.
            assert!(summary(&jailed).starts_with("Jailed 1 build script run in the jail"));
            assert_eq!(project.records().len(), 1);
        }
        remove_target(&project);
    }
}

// What is said.

#[test]
fn one_line_is_said_when_all_is_well() {
    let project = ship();
    let plain = succeed(&mut project.cargo(&["build"]));
    remove_target(&project);
    let jailed = succeed(&mut project.brig(&["build"]));
    let text = stderr(&jailed);
    let count = |output: &Output| normal(&stderr(output)).lines().count();
    assert_eq!(count(&jailed), count(&plain) + 1, "{text}");
    assert_eq!(text.lines().last(), Some(format!("      {ONE_RUN}").as_str()));
}

#[test]
fn nothing_is_said_when_cargo_is_to_be_quiet() {
    let project = ship();
    for arguments in [&["build", "-q"][..], &["-q", "build"], &["build", "--quiet"]] {
        let output = succeed(&mut project.brig(arguments));
        assert_eq!((stdout(&output), stderr(&output)), (String::new(), String::new()));
        assert_eq!(project.records().len(), 1);
        remove_target(&project);
    }
    let output = succeed(project.brig(&["build"]).env("CARGO_TERM_QUIET", "true"));
    assert_eq!(stderr(&output), "");
    project.write(".cargo/config.toml", "[term]\nquiet = true\n");
    assert_eq!(stderr(&succeed(&mut project.brig(&["build"]))), "");
    let output = succeed(&mut project.brig(&["--config", "term.quiet=false", "build"]));
    assert_eq!(summary(&output), ONE_FRESH);
}

#[test]
fn a_level_that_is_none_is_told_of_once() {
    let project = ship();
    let output = succeed(project.brig(&["build"]).env("CARGO_BRIG_LOG", "loud"));
    let warning = "warning: CARGO_BRIG_LOG is `loud`, and not error, warn, info, debug or trace\n";
    assert_eq!(stderr(&output).matches(warning).count(), 1, "{}", shown(&output));
}

#[test]
fn a_package_without_a_script_needs_no_summary() {
    let project = ship();
    fs::remove_file(project.root.join("build.rs")).unwrap();
    project.write("src/lib.rs", "");
    project.write("src/main.rs", "fn main() {}");
    let output = compare(&project, &["build"], |_| {});
    assert!(!stderr(&output).contains("Jailed"), "{}", shown(&output));
}

#[test]
fn fresh_scripts_are_counted() {
    let project = ship();
    assert_eq!(summary(&succeed(&mut project.brig(&["build"]))), ONE_RUN);
    assert_eq!(summary(&succeed(&mut project.brig(&["build"]))), ONE_FRESH);
    assert_eq!(summary(&succeed(&mut project.brig(&["check"]))), ONE_FRESH);
}

#[test]
fn a_script_that_never_started_is_not_called_fresh() {
    let project = ship();
    let expected = "Jailed 0 build script runs in the jail, 1 that could not be run";
    // Whether rustc is to be in the jail is not known either: nothing is compiled.
    let output = fail(&mut project.brig(&["--policy", "nope", "build"]));
    assert!(stderr(&output).contains("error: brig: there is no policy `"), "{}", shown(&output));
    assert!(project.files_named("target", "build-script-build").is_empty());
    assert_eq!(summary(&succeed(&mut project.brig(&["build"]))), ONE_RUN);
    // Cargo forgets that it has run the script, and not that it has compiled it.
    let runs = project.files_named("target", "run-build-script-build-script-build");
    assert_eq!(runs.len(), 1, "{runs:?}");
    fs::remove_file(&runs[0]).unwrap();
    project.write("brig.toml", "files = 1\n");
    assert_eq!(summary(&fail(&mut project.brig(&["build"]))), expected);
    project.write("brig.toml", "");
    assert_eq!(summary(&succeed(&mut project.brig(&["build"]))), ONE_RUN);
}

// The wrapper, ours and others.

#[test]
fn as_rustc_wrapper_alone_it_leaves_records_and_says_nothing() {
    let project = ship();
    let plain = succeed(&mut project.cargo(&["build"]));
    remove_target(&project);
    for name in ["cargo-brig", TOOL] {
        let jailed = succeed(project.cargo(&["build"]).env("RUSTC_WRAPPER", name));
        assert_eq!(normal(&stderr(&plain)), normal(&stderr(&jailed)));
        assert_eq!(project.records().len(), 1);
        let link = project.files_named("target", "build-script-build").remove(0);
        assert!(cargo_brig::launcher::trailer_of(&link).is_some(), "not a launcher: {link:?}");
        remove_target(&project);
    }
}

#[test]
fn a_script_compiled_outside_is_compiled_again() {
    let project = ship();
    succeed(&mut project.cargo(&["build"]));
    assert_eq!(project.records().len(), 0);
    let output = succeed(&mut project.brig(&["build"]));
    assert_eq!(summary(&output), ONE_RUN, "{}", shown(&output));
    remove_target(&project);
    succeed(&mut project.cargo(&["build"]));
    succeed(project.cargo(&["build"]).env("RUSTC_WRAPPER", TOOL));
    assert_eq!(project.records().len(), 1);
}

/// Writes its environment to `OUT_DIR`.
const SCRIPT_ENVIRONMENT: &str = r#"
fn main() {
    let path = std::path::Path::new(&std::env::var_os("OUT_DIR").unwrap()).join("environment");
    let mut lines: Vec<_> = std::env::vars_os().map(|(k, v)| format!("{k:?}={v:?}\n")).collect();
    lines.sort();
    std::fs::write(path, lines.concat()).unwrap();
}
"#;

/// What the script of [`SCRIPT_ENVIRONMENT`] saw.
fn script_environment(project: &Project) -> BTreeMap<String, String> {
    let files = project.files_named("target", "environment");
    let [file] = &files[..] else { panic!("{files:?}") };
    let text = without_hashes(&fs::read_to_string(file).unwrap());
    let unquoted = |text: &str| text.trim_matches('"').to_owned();
    text.lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (unquoted(name), unquoted(value)))
        .collect()
}

/// Wrapper programs that write what they are called with to a file, and call it.
struct Wrappers {
    project: Project,
}

impl Wrappers {
    fn new() -> Self {
        let project = ship();
        project.write("build.rs", SCRIPT_ENVIRONMENT);
        project.write("src/lib.rs", "");
        project.write("src/main.rs", "fn main() {}");
        for name in ["wrap", "workspace-wrap"] {
            let text = "#!/bin/sh\necho \"$@\" >>\"$0.calls\"\nexec \"$@\"\n";
            let path = project.write(&format!("tools/{name}"), text);
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        Self { project }
    }

    fn path(&self, name: &str) -> String {
        self.project.root.join("tools").join(name).to_str().unwrap().to_owned()
    }

    /// Which of the package's crates a wrapper was called for, and forgets it.
    fn crates(&self, name: &str) -> Vec<String> {
        let calls = self.path(&format!("{name}.calls"));
        let text = fs::read_to_string(&calls).unwrap_or_default();
        fs::remove_file(&calls).ok();
        let mut names: Vec<String> = text
            .lines()
            .filter_map(|line| line.split_once("--crate-name ")?.1.split(' ').next())
            .filter(|name| *name != "___")
            .map(str::to_owned)
            .collect();
        names.sort();
        names
    }

    /// Builds without and with the jail; the wrapper called `name` must be called for the same, and
    /// the script must see the same. Returns what it saw.
    fn compare(&self, name: &str, set: impl Fn(&mut Command)) -> BTreeMap<String, String> {
        let project = &self.project;
        let build = |mut command: Command| {
            remove_target(project);
            set(&mut command);
            let output = succeed(&mut command);
            (output, self.crates(name), script_environment(project))
        };
        let (_, plain_crates, plain) = build(project.cargo(&["build"]));
        assert_eq!(plain_crates, ["build_script_build", "ship", "ship"]);
        let (output, crates, jailed) = build(project.brig(&["build"]));
        assert_eq!(plain_crates, crates);
        assert_eq!(summary(&output), ONE_RUN, "{}", shown(&output));
        assert_eq!(project.records().len(), 1);
        assert_same_environment(plain, jailed.clone());
        jailed
    }
}

/// Asserts that a script was given the same variables, but for what is private to it, for the library
/// that is preloaded, for the two directories of the toolchain that programs otherwise find by `HOME`, and
/// for the directories in which its loader finds nothing (`tests/build_directory.rs`).
fn assert_same_environment(
    mut plain: BTreeMap<String, String>,
    mut jailed: BTreeMap<String, String>,
) {
    for name in ["HOME", "TMPDIR"] {
        assert_ne!(plain.remove(name), jailed.remove(name), "{name} is private to the script");
    }
    assert!(plain.remove("LD_LIBRARY_PATH").is_some());
    assert_eq!(jailed.remove("LD_LIBRARY_PATH"), None);
    let preload = jailed.remove("LD_PRELOAD").unwrap();
    assert!(preload.ends_with("/libcargo_brig_asked.so"), "{preload}");
    for name in ["CARGO_HOME", "RUSTUP_HOME"] {
        if !plain.contains_key(name) {
            jailed.remove(name);
        }
    }
    assert_eq!(plain, jailed);
}

#[test]
fn a_script_sees_the_environment_that_plain_cargo_gives_it() {
    let wrappers = Wrappers::new();
    let project = &wrappers.project;
    let build = |mut command: Command| {
        remove_target(project);
        succeed(command.env("FLAG", "a  b").env("A_SECRET", "s"));
        script_environment(project)
    };
    let (mut plain, jailed) = (build(project.cargo(&["build"])), build(project.brig(&["build"])));
    assert_eq!(plain.remove("A_SECRET").as_deref(), Some("s"));
    assert_eq!(jailed["FLAG"], "a  b");
    assert_same_environment(plain, jailed.clone());
    assert!(!jailed.contains_key("RUSTC_WRAPPER"));
}

#[test]
fn a_wrapper_in_the_environment_goes_on_working_and_the_script_sees_it() {
    let wrappers = Wrappers::new();
    let wrapper = wrappers.path("wrap");
    let seen = wrappers.compare("wrap", |command| {
        command.env("RUSTC_WRAPPER", &wrapper);
    });
    assert_eq!(seen["RUSTC_WRAPPER"], wrapper);
}

#[test]
fn a_wrappers_path_begins_where_cargo_is_called() {
    let wrappers = Wrappers::new();
    let seen = wrappers.compare("wrap", |command| {
        command.env("RUSTC_WRAPPER", "tools/wrap");
    });
    assert_eq!(seen["RUSTC_WRAPPER"], wrappers.path("wrap"));
}

#[test]
fn a_wrapper_in_path_goes_on_working() {
    let wrappers = Wrappers::new();
    let tools = wrappers.project.root.join("tools");
    let seen = wrappers.compare("wrap", |command| {
        let path = path_of(command);
        let path = std::env::split_paths(&path).chain([tools.clone()]);
        command.env("PATH", std::env::join_paths(path).unwrap()).env("RUSTC_WRAPPER", "wrap");
    });
    assert_eq!(seen["RUSTC_WRAPPER"], "wrap");
}

fn path_of(command: &Command) -> OsString {
    let mut variables = command.get_envs();
    variables.find_map(|(name, value)| (name == "PATH").then_some(value?)).unwrap().to_owned()
}

#[test]
fn a_wrapper_in_cargos_own_variable_goes_on_working() {
    let wrappers = Wrappers::new();
    let wrapper = wrappers.path("wrap");
    wrappers.compare("wrap", |command| {
        command.env("CARGO_BUILD_RUSTC_WRAPPER", &wrapper);
    });
}

#[test]
fn a_wrapper_in_the_configuration_goes_on_working() {
    let wrappers = Wrappers::new();
    let config = "[build]\nrustc-wrapper = \"tools/wrap\"\n";
    wrappers.project.write(".cargo/config.toml", config);
    let seen = wrappers.compare("wrap", |_| {});
    assert_eq!(seen["RUSTC_WRAPPER"], wrappers.path("wrap"));
}

#[test]
fn a_wrapper_for_the_workspace_goes_on_working() {
    let wrappers = Wrappers::new();
    let wrapper = wrappers.path("workspace-wrap");
    let seen = wrappers.compare("workspace-wrap", |command| {
        command.env("RUSTC_WORKSPACE_WRAPPER", &wrapper);
    });
    assert_eq!(seen["RUSTC_WORKSPACE_WRAPPER"], wrapper);
}

#[test]
fn a_wrapper_that_is_named_beside_ours_is_called_by_ours() {
    let wrappers = Wrappers::new();
    let wrapper = wrappers.path("wrap");
    let mut command = wrappers.project.cargo(&["build"]);
    command.env("RUSTC_WRAPPER", TOOL).env("CARGO_BRIG_RUSTC_WRAPPER", &wrapper);
    succeed(&mut command);
    assert_eq!(wrappers.crates("wrap"), ["build_script_build", "ship", "ship"]);
    assert_eq!(wrappers.project.records().len(), 1);
    let seen = script_environment(&wrappers.project);
    assert_eq!(seen.get("RUSTC_WRAPPER"), Some(&wrapper));
    assert!(!seen.keys().any(|name| name.starts_with("CARGO_BRIG_")), "{seen:#?}");
}

#[test]
fn an_empty_wrapper_is_refused_in_plain_words() {
    let project = ship();
    let output = project.brig(&["build"]).env("RUSTC_WRAPPER", "").output().unwrap();
    let text = stderr(&output);
    assert!(text.starts_with("error: brig: RUSTC_WRAPPER is set to nothing"), "{text}");
    assert!(text.contains("build scripts would run outside the jail; unset it"), "{text}");
    assert_eq!(output.status.code(), Some(cargo_brig::exit::USAGE));
    assert!(!project.root.join("target").exists(), "nothing was built");
}

#[test]
fn a_configuration_that_disables_wrappers_does_not_disable_ours() {
    let project = ship();
    project.write(".cargo/config.toml", "[build]\nrustc-wrapper = \"\"\n");
    assert_eq!(summary(&succeed(&mut project.brig(&["build"]))), ONE_RUN);
    remove_target(&project);
    project.write(".cargo/config.toml", "[env]\nRUSTC_WRAPPER = { value = \"\", force = true }\n");
    assert_eq!(summary(&succeed(&mut project.brig(&["build"]))), ONE_RUN);
    remove_target(&project);
    let arguments = ["build", "--config", "build.rustc-wrapper=''"];
    assert_eq!(summary(&succeed(&mut project.brig(&arguments))), ONE_RUN);
}

// Signals. Each build is stopped when its script has said that it runs.

/// Starts more processes, says so, and never ends. Cargo passes a script's lines on at once when it
/// is very verbose.
const SCRIPT_WAITS: &str = r#"
use std::process::Command;

fn main() {
    let mut child = Command::new("sh").args(["-c", "while :; do sleep 60; done"]).spawn().unwrap();
    Command::new("setsid").args(["sh", "-c", "while :; do sleep 60; done"]).spawn().unwrap();
    println!("the script runs");
    child.wait().unwrap();
}
"#;

/// Far more than any of this takes; reaching it is a failure.
const LONG: Duration = Duration::from_mins(1);

/// Calls `found` until it returns something; for what the system has no event for that a test could
/// wait for, such as the end of a process that is not a child.
fn poll<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = found() {
            return value;
        }
        assert!(start.elapsed() < LONG, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The processes that have to do with a project: its path is in their arguments or variables.
fn processes_of(project: &Project) -> Vec<Pid> {
    let root = project.root.as_os_str().as_bytes();
    let mentions = |path: PathBuf| {
        fs::read(path).is_ok_and(|bytes| bytes.windows(root.len()).any(|part| part == root))
    };
    let entries = fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path());
    let processes = entries.filter_map(|path| {
        let pid: i32 = path.file_name()?.to_str()?.parse().ok()?;
        (mentions(path.join("cmdline")) || mentions(path.join("environ"))).then_some(pid)
    });
    processes.map(Pid::from_raw).collect()
}

/// Who was started by nohup(1) ignores SIGHUP, and in the background of a script two others, and so would
/// what it starts.
#[expect(unsafe_code, reason = "signals' dispositions are set between fork and exec")]
fn ended_by_signals(command: &mut Command) {
    let reset = || {
        for of in [Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT] {
            // SAFETY: signal(2) is safe to call there (signal-safety(7)), and the default is no handler.
            unsafe { signal(of, SigHandler::SigDfl) }?;
        }
        Ok(())
    };
    // SAFETY: the closure does nothing else.
    unsafe { command.pre_exec(reset) };
}

/// A build whose script is running.
struct Running<'a> {
    project: &'a Project,
    child: Child,
    stdout: BufReader<ChildStdout>,
}

impl<'a> Running<'a> {
    /// Starts the command in a process group of its own, and waits for the script.
    fn start(project: &'a Project, mut command: Command) -> Self {
        command.stdout(Stdio::piped()).process_group(0);
        ended_by_signals(&mut command);
        let mut child = command.spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let mut running = Self { project, child, stdout };
        running.wait_for_line("the script runs");
        // The script, two shells, and what they start.
        poll("the script's processes", || (processes_of(project).len() >= 5).then_some(()));
        running
    }

    fn wait_for_line(&mut self, wanted: &str) {
        let mut seen = String::new();
        while !seen.contains(wanted) {
            let length = self.stdout.read_line(&mut seen).unwrap();
            assert_ne!(length, 0, "the build ended before its script ran:\n{seen}");
        }
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).unwrap())
    }

    /// How the build ended.
    fn status(&mut self) -> ExitStatus {
        poll("the end of the build", || self.child.try_wait().unwrap())
    }

    fn assert_nothing_is_left(&self) {
        poll("the end of the script's processes", || {
            processes_of(self.project).is_empty().then_some(())
        });
    }
}

impl Drop for Running<'_> {
    /// Plain Cargo leaves the script running, and so would a failing test.
    fn drop(&mut self) {
        for pid in processes_of(self.project) {
            // One that has ended in the meantime is as good as one that was killed.
            kill(pid, Signal::SIGKILL).ok();
        }
        self.child.wait().ok();
    }
}

fn waits() -> Project {
    Project::with_script("waits", SCRIPT_WAITS)
}

#[test]
fn a_signal_to_the_process_group_ends_everything_as_plain_cargo_ends() {
    let project = waits();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT] {
        let status = |command: Command, check: bool| {
            let mut running = Running::start(&project, command);
            killpg(running.pid(), signal).unwrap();
            let status = running.status();
            if check {
                running.assert_nothing_is_left();
            }
            status
        };
        let plain = status(project.cargo(&["build", "-vv"]), false);
        let jailed = status(project.brig(&["build", "-vv"]), true);
        assert_eq!(jailed.signal(), Some(signal as i32));
        assert_eq!(plain.signal(), jailed.signal());
    }
}

#[test]
fn a_signal_to_the_front_door_alone_ends_everything() {
    let project = waits();
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut running = Running::start(&project, project.brig(&["build", "-vv"]));
        // `cargo brig` is replaced by the program: one process, not two.
        kill(running.pid(), signal).unwrap();
        assert_eq!(running.status().signal(), Some(signal as i32));
        running.assert_nothing_is_left();
    }
}

#[test]
fn the_death_of_cargo_alone_ends_the_script() {
    let project = waits();
    let mut command = project.cargo(&["build", "-vv"]);
    command.env("RUSTC_WRAPPER", TOOL);
    let mut running = Running::start(&project, command);
    kill(running.pid(), Signal::SIGKILL).unwrap();
    assert_eq!(running.status().signal(), Some(Signal::SIGKILL as i32));
    running.assert_nothing_is_left();
}

#[test]
fn control_c_at_a_terminal_ends_everything_as_plain_cargo_ends() {
    let project = waits();
    // script(1) makes a terminal, and ends with the code 128 and the signal of what it ran.
    let status = |words: &str, check: bool| {
        let mut command = clean_command("script");
        let line = format!("exec '{}' {words}", cargo().display());
        command.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
        command.current_dir(&project.root).env("SHELL", "/bin/sh").stdin(Stdio::piped());
        let mut running = Running::start(&project, command);
        let mut keyboard = running.child.stdin.take().unwrap();
        keyboard.write_all(b"\x03").unwrap();
        let status = running.status();
        if check {
            running.assert_nothing_is_left();
        }
        status.code()
    };
    let plain = status("build -vv", false);
    let jailed = status("brig build -vv", true);
    assert_eq!(jailed, Some(128 + Signal::SIGINT as i32));
    assert_eq!(plain, jailed);
}

// Scripts that fail.

/// Builds with a script of this body; both ways must fail with the same words.
fn compare_failure(body: &str) -> String {
    let project = Project::with_script("dies", &format!("fn main() {{ {body} }}"));
    let output = |mut command: Command| command.output().unwrap();
    let mut plain = output(project.cargo(&["build"]));
    remove_target(&project);
    let mut jailed = output(project.brig(&["build"]));
    // Whether the kernel wrote a core file is a matter of the machine's settings.
    for output in [&mut plain, &mut jailed] {
        output.stderr = stderr(output).replace(" (core dumped)", "").into_bytes();
    }
    assert_same(&plain, &jailed);
    assert_eq!(jailed.status.code(), Some(101));
    let records = project.records();
    assert_eq!(records.len(), 1, "a run that failed is recorded");
    stderr(&jailed)
}

#[test]
fn a_script_that_exits_with_a_code_is_reported_the_same() {
    let text = compare_failure("println!(\"out\"); eprintln!(\"err\"); std::process::exit(3);");
    assert!(text.contains("build-script-build` (exit status: 3)\n"), "{text}");
    assert!(text.contains("--- stdout\n  out\n\n  --- stderr\n  err\n"), "{text}");
}

#[test]
fn a_script_that_aborts_is_reported_the_same() {
    let text = compare_failure("std::process::abort();");
    assert!(text.contains("(signal: 6, SIGABRT: process abort signal)"), "{text}");
}

#[test]
fn a_script_that_is_killed_is_reported_the_same() {
    let kill = "let line = format!(\"kill -9 {}\", std::process::id());\
                std::process::Command::new(\"sh\").args([\"-c\", &line]).status().unwrap();";
    let text = compare_failure(kill);
    assert!(text.contains("(signal: 9, SIGKILL: kill)"), "{text}");
}

#[test]
fn a_script_that_segfaults_is_reported_the_same() {
    let text = compare_failure("unsafe { std::ptr::null_mut::<u8>().write_volatile(1) }");
    assert!(text.contains("signal: "), "{text}");
}

#[test]
fn a_script_that_panics_is_reported_the_same() {
    let text = compare_failure("panic!(\"no wind\");");
    assert!(text.contains("no wind"), "{text}");
}

#[test]
fn a_script_that_logs_an_error_is_reported_the_same() {
    let text = compare_failure("println!(\"cargo::error=no wind\");");
    assert!(text.contains("error: dies@1.2.3: no wind"), "{text}");
}

#[test]
fn an_unknown_instruction_fails_the_build_in_both() {
    let body = "fn main() { println!(\"cargo::frobnicate=1\"); }";
    let project = Project::with_script("mumbles", body);
    let plain = fail(&mut project.cargo(&["build"]));
    remove_target(&project);
    let jailed = fail(&mut project.brig(&["build"]));
    assert_eq!(plain.status, jailed.status);
    // Cargo never sees it here, as another Cargo may know it: the words are not Cargo's.
    for (output, words) in [(&plain, "Unknown key: `frobnicate`"), (&jailed, "unknown key")] {
        let text = stderr(output);
        assert!(text.contains(words) && text.contains("`cargo::frobnicate=1`"), "{text}");
        assert!(text.contains("mumbles v1.2.3"), "{text}");
    }
}

#[test]
fn a_warning_is_shown_the_same() {
    let body = "fn main() { println!(\"cargo::warning=little wind, é\"); }";
    let project = Project::with_script("warns", body);
    let output = compare(&project, &["build"], |_| {});
    assert!(stderr(&output).contains("warning: warns@1.2.3: little wind, é\n"));
    // From Cargo's own file, when the unit is fresh.
    let output = succeed(&mut project.brig(&["build"]));
    assert!(stderr(&output).contains("warning: warns@1.2.3: little wind, é\n"));
}

// The launcher's life in the target directory.

fn digest(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap()
}

#[test]
fn a_changed_script_is_compiled_again_and_the_tool_stays_as_it_is() {
    let project = ship();
    let before = digest(Path::new(TOOL));
    for masts in ["3", "4", "5"] {
        project.write("build.rs", &SCRIPT.replace("\"3\"", &format!("{masts:?}")));
        let output = succeed(project.brig(&["run"]).env("CODE", "0"));
        let expected = format!("Endeavour has {masts} masts");
        assert!(stdout(&output).contains(&expected), "{}", shown(&output));
        assert_eq!(summary(&output), ONE_RUN);
    }
    // The same, where Cargo does not remove the old file first.
    project.write("build.rs", &SCRIPT.replace("\"3\"", "\"6\""));
    let output = succeed(project.cargo(&["run"]).env("RUSTC_WRAPPER", TOOL));
    assert!(stdout(&output).contains("Endeavour has 6 masts"), "{}", shown(&output));
    assert!(before == digest(Path::new(TOOL)), "the tool was written to");
    let links = fs::metadata(TOOL).unwrap();
    let launcher = project.files_named("target", "build-script-build").remove(0);
    let launcher = fs::metadata(launcher).unwrap();
    assert_ne!(links.ino(), launcher.ino(), "a launcher is a copy");
}

#[test]
fn a_script_of_another_name_is_in_the_jail() {
    for (name, program) in [("gen.rs", "build-script-gen"), ("gén.rs", "build-script-gén")] {
        let project = ship();
        fs::remove_file(project.root.join("build.rs")).unwrap();
        project.write(name, &SCRIPT.replace("build.rs", name));
        project.write("Cargo.toml", &format!("{MANIFEST}build = \"{name}\"\n"));
        let output = compare(&project, &["build"], |_| {});
        assert_eq!(summary(&output), ONE_RUN, "{}", shown(&output));
        assert_eq!(project.files_named("target", program).len(), 1);
        assert_eq!(summary(&succeed(&mut project.brig(&["build"]))), ONE_FRESH);
    }
}

/// A copy of the tool in a directory of its own, as an installation at another place.
fn installation(project: &Project, directory: &str) -> PathBuf {
    let directory = project.root.join(directory);
    fs::create_dir_all(&directory).unwrap();
    let tool = directory.join("cargo-brig");
    fs::copy(TOOL, &tool).unwrap();
    tool
}

/// `cargo brig`, by the installation of [`installation`].
fn brig_of(project: &Project, tool: &Path, arguments: &[&str]) -> Command {
    let mut command = project.brig(arguments);
    let path = path_of(&command);
    let directory = tool.parent().unwrap().to_owned();
    let path = std::env::join_paths([directory].into_iter().chain(std::env::split_paths(&path)));
    command.env("PATH", path.unwrap());
    command
}

#[test]
fn a_tool_that_was_moved_compiles_the_scripts_again() {
    let project = ship();
    let first = installation(&project, "first place");
    assert_eq!(summary(&succeed(&mut brig_of(&project, &first, &["build"]))), ONE_RUN);
    let second = project.root.join("second place/cargo-brig");
    fs::create_dir(second.parent().unwrap()).unwrap();
    fs::rename(&first, &second).unwrap();
    let output = succeed(&mut brig_of(&project, &second, &["build"]));
    assert_eq!(summary(&output), ONE_RUN, "{}", shown(&output));
    assert_eq!(summary(&succeed(&mut brig_of(&project, &second, &["build"]))), ONE_FRESH);
    // Without the front door, too.
    let third = project.root.join("third place/cargo-brig");
    fs::create_dir(third.parent().unwrap()).unwrap();
    fs::rename(&second, &third).unwrap();
    let output = succeed(project.cargo(&["build"]).env("RUSTC_WRAPPER", &third));
    assert!(stderr(&output).contains("Compiling ship"), "{}", shown(&output));
    assert_eq!(summary(&succeed(&mut brig_of(&project, &third, &["build"]))), ONE_FRESH);
}

#[test]
fn another_version_of_the_tool_compiles_the_scripts_again() {
    let project = ship();
    let tool = installation(&project, "tools");
    assert_eq!(summary(&succeed(&mut brig_of(&project, &tool, &["build"]))), ONE_RUN);
    // What stands behind an ELF file's last section does not matter to its working.
    let mut bytes = fs::read(&tool).unwrap();
    bytes.extend_from_slice(b"another version");
    fs::remove_file(&tool).unwrap();
    fs::write(&tool, bytes).unwrap();
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).unwrap();
    let output = succeed(&mut brig_of(&project, &tool, &["build"]));
    assert_eq!(summary(&output), ONE_RUN, "{}", shown(&output));
}

#[test]
fn without_the_tool_nothing_is_built() {
    let project = ship();
    let tool = installation(&project, "tools");
    succeed(project.cargo(&["build"]).env("RUSTC_WRAPPER", &tool));
    fs::remove_file(&tool).unwrap();
    project.write("src/lib.rs", &format!("{LIBRARY}\n// Changed.\n"));
    let output = fail(project.cargo(&["build"]).env("RUSTC_WRAPPER", &tool));
    let text = stderr(&output);
    assert!(text.contains(tool.to_str().unwrap()), "{text}");
    assert!(text.contains("No such file or directory"), "{text}");
}

#[test]
fn a_launcher_runs_nothing_as_long_as_the_tool_is_gone() {
    let script = "fn main() { if let Some(path) = std::env::var_os(\"REACH\") {\
                  std::fs::write(path, \"x\").unwrap(); } }";
    let project = Project::with_script("reaches", script);
    let tool = installation(&project, "tools");
    succeed(&mut brig_of(&project, &tool, &["build"]));
    let away = tool.with_file_name("away");
    fs::rename(&tool, &away).unwrap();
    let record = project.files_named("target", "brig.json").remove(0);
    let out_dir = record.with_file_name("out");
    let launcher = project.files_named("target", "build-script-build").remove(0);
    let marker = project.root.join("marker");
    let run = |program: &Path| {
        let mut command = clean_command(program);
        command.env("OUT_DIR", &out_dir).env("CARGO_MANIFEST_DIR", &project.root);
        command.env("CARGO_PKG_NAME", "reaches").env("CARGO_PKG_VERSION", "1.2.3");
        command.env("REACH", &marker).current_dir(&project.root).output().unwrap()
    };
    let output = run(&launcher);
    assert_eq!(output.status.code(), Some(125), "{}", shown(&output));
    let path = tool.to_str().unwrap();
    let said = format!(
        "error: brig: cannot execute `{path}`, which keeps this build script in the jail\n"
    );
    assert!(stderr(&output).starts_with(&said), "{}", shown(&output));
    assert!(stderr(&output).contains("help: install cargo-brig there again"), "{}", shown(&output));
    assert!(stdout(&output).is_empty() && !marker.exists());
    fs::rename(&away, &tool).unwrap();
    let output = run(&launcher);
    assert_eq!(output.status.code(), Some(101), "{}", shown(&output));
    assert!(stderr(&output).contains("tried to create"), "{}", shown(&output));
    assert!(!marker.exists());
    // The script itself, as it is kept beside the launcher, does reach.
    let mut raw = None;
    walk(&project.root.join("target"), &mut |path| {
        if path.extension() == Some(OsStr::new("brig-script")) {
            raw = Some(path.to_owned());
        }
    });
    let output = run(&raw.expect("the script is kept"));
    assert!(output.status.success() && marker.exists(), "{}", shown(&output));
}

#[test]
fn a_launcher_whose_script_has_gone_fails_and_says_so() {
    let project = ship();
    succeed(&mut project.brig(&["build"]));
    let mut scripts = Vec::new();
    walk(&project.root.join("target"), &mut |path| {
        if path.extension() == Some(OsStr::new("brig-script")) {
            scripts.push(path.to_owned());
        }
    });
    let [script] = &scripts[..] else { panic!("{scripts:?}") };
    fs::remove_file(script).unwrap();
    // Its output is wanted again, but Cargo sees no reason to compile it.
    let out_dir = project.files_named("target", "masts.rs").remove(0);
    fs::remove_dir_all(out_dir.parent().unwrap().parent().unwrap()).unwrap();
    let output = fail(&mut project.brig(&["build"]));
    let text = stderr(&output);
    assert!(text.contains("does not exist") && text.contains("brig-script"), "{text}");
}

#[test]
fn clean_removes_everything() {
    let project = to_be_fixed();
    succeed(&mut project.brig(&["build"]));
    succeed(&mut project.brig(&["fix", "--allow-dirty", "--allow-no-vcs"]));
    assert!(project.root.join("target").exists());
    succeed(&mut project.brig(&["clean", "-p", "ship"]));
    let mut left = Vec::new();
    walk(&project.root.join("target/debug/build"), &mut |path| left.push(path.to_owned()));
    assert_eq!(left, Vec::<PathBuf>::new());
    succeed(&mut project.brig(&["build"]));
    let output = succeed(&mut project.brig(&["clean"]));
    assert!(stderr(&output).contains("Removed"), "{}", shown(&output));
    assert!(!project.root.join("target").exists());
}

#[test]
fn several_cargos_in_one_target_directory_all_succeed() {
    let project = ship();
    let mut children: Vec<Child> =
        [&["build"][..], &["check"], &["build"], &["build", "--release"]]
            .iter()
            .map(|arguments| {
                let mut command = project.brig(arguments);
                command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
            })
            .collect();
    let mut runs = 0;
    for child in &mut children {
        let mut text = String::new();
        child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
        assert!(child.wait().unwrap().success(), "{text}");
        assert!(text.contains("Jailed") && text.contains("nothing denied"), "{text}");
        runs += text.matches("Jailed 1 build script run in").count();
    }
    // One for each profile; who waited for it finds it fresh.
    assert_eq!(runs, 2);
    assert_eq!(project.records().len(), 2);
    assert_eq!(summary(&succeed(&mut project.brig(&["build"]))), ONE_FRESH);
}

#[test]
fn a_moved_project_builds() {
    let project = ship();
    succeed(&mut project.brig(&["build"]));
    let elsewhere = project.root.with_file_name("elsewhere");
    fs::rename(&project.root, &elsewhere).unwrap();
    let output = succeed(project.brig(&["run", "-q"]).current_dir(&elsewhere));
    assert!(stdout(&output).contains("Endeavour has 3 masts"), "{}", shown(&output));
    // The directory is expected to be there when the project is removed.
    copy_dir(&elsewhere, &project.root);
}
