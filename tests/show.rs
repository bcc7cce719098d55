//! `cargo brig show`: what it says of records that real builds left, and of what is no record.

mod support;

use std::env;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::{Project, TOOL, clean_command, shown, stderr, stdout, succeed};

/// Tries what is refused, does what is not, and has names that a terminal should not be given.
const SCRIPT: &str = r#"
use std::path::{Path, PathBuf};
use std::{env, fs, net, process};

fn main() {
    let home = PathBuf::from(env::var_os("SHIPS_HOME").unwrap());
    let out_dir = PathBuf::from(env::var_os("OUT_DIR").unwrap());
    for _ in 0..2 {
        let _ = fs::read(home.join(".ssh/config é"));
    }
    let _ = fs::write(home.join("planted"), "");
    let _ = fs::write(home.join("also"), "");
    let _ = fs::write(home.join("\x1b[2J\nDenied (0)\u{202e}"), "");
    let _ = fs::read(home.join("a\"]\nwrite = [\""));
    fs::read("data/ünits of measure.csv").unwrap();
    fs::read("../outside.txt").unwrap();
    let _ = fs::read(out_dir.join("nothing"));
    let status = process::Command::new("sh").args(["-c", "true 'a b'; exit 3"]).status().unwrap();
    assert_eq!(status.code(), Some(3));
    let _ = net::TcpStream::connect("192.0.2.1:443");
    fs::write(out_dir.join("masts é.rs"), "3").unwrap();
    fs::write(out_dir.join("gone"), "3").unwrap();
    fs::rename(out_dir.join("gone"), out_dir.join("going")).unwrap();
    fs::remove_file(out_dir.join("going")).unwrap();
    assert!(Path::new("Cargo.toml").exists());
    println!("cargo::rustc-cfg=afloat");
}
"#;

const MANIFEST: &str = "\
[package]
name = \"ship\"
version = \"1.2.3\"
edition = \"2024\"

[features]
steam = []
";

/// A workspace with the package `ship`, one without a script, and a home directory beside it.
fn harbour() -> Project {
    let project = Project::of(
        "harbour",
        &[
            ("sea/Cargo.toml", "[workspace]\nmembers = [\"ship\", \"raft\"]\nresolver = \"3\"\n"),
            ("sea/outside.txt", ""),
            ("sea/ship/Cargo.toml", MANIFEST),
            ("sea/ship/build.rs", SCRIPT),
            ("sea/ship/src/lib.rs", ""),
            ("sea/ship/data/ünits of measure.csv", ""),
            ("sea/raft/Cargo.toml", "[package]\nname = \"raft\"\nversion = \"0.1.0\"\n"),
            ("sea/raft/src/lib.rs", ""),
            ("höme of u/.ssh/config é", ""),
            ("höme of u/a\"]\nwrite = [\"", ""),
        ],
    );
    let home = PathBuf::from(env::var_os("HOME").unwrap());
    // Cargo and rustup would look for their directories in the other home.
    for (name, default) in [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")] {
        let path = env::var_os(name).map_or_else(|| home.join(default), PathBuf::from);
        project.write(name, path.to_str().unwrap());
    }
    project
}

/// `cargo brig ARGUMENTS` in the workspace, with its own home directory.
fn brig(project: &Project, arguments: &[&str]) -> Command {
    let mut command = project.brig(arguments);
    let home = project.root.join("höme of u");
    command.current_dir(project.root.join("sea")).env("HOME", &home).env("SHIPS_HOME", home);
    for name in ["CARGO_HOME", "RUSTUP_HOME"] {
        command.env(name, fs::read_to_string(project.root.join(name)).unwrap());
    }
    command.env_remove("NO_COLOR");
    command
}

fn show(project: &Project, arguments: &[&str]) -> Output {
    brig(project, &[&["show"], arguments].concat()).output().unwrap()
}

/// What a command that succeeds prints, and nothing on stderr.
fn shows(project: &Project, arguments: &[&str]) -> String {
    let output = show(project, arguments);
    assert!(output.status.success() && output.stderr.is_empty(), "{}", shown(&output));
    stdout(&output)
}

/// What a command that fails by this code says; nothing is on stdout.
fn refuses(project: &Project, arguments: &[&str], code: i32) -> String {
    let output = show(project, arguments);
    assert_eq!(output.status.code(), Some(code), "{}", shown(&output));
    assert!(output.stdout.is_empty(), "{}", shown(&output));
    stderr(&output)
}

fn built() -> Project {
    let project = harbour();
    succeed(&mut brig(&project, &["build"]));
    project
}

fn record(project: &Project) -> PathBuf {
    let mut records = project.files_named("sea/target", "brig.json");
    assert_eq!(records.len(), 1, "{records:?}");
    records.swap_remove(0)
}

fn load(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// The lines of a section, from its heading to the next empty line.
fn section<'t>(text: &'t str, heading: &str) -> Vec<&'t str> {
    let mut lines = text.lines().skip_while(|line| !line.starts_with(heading));
    assert!(lines.next().is_some(), "no {heading} in {text}");
    lines.take_while(|line| !line.is_empty()).map(str::trim).collect()
}

#[test]
fn a_report_says_what_was_denied_and_what_was_done() {
    let project = built();
    let text = shows(&project, &["ship"]);
    assert!(text.starts_with("ship v1.2.3\n"), "{text}");
    assert!(text.contains(", debug, x86_64-unknown-linux-gnu, exit code 0, policy `default`\n"));
    assert!(text.contains(&format!("  {}\n", record(&project).display())), "{text}");
    let denied = [
        r#"read {home}/a"]\nwrite = [""#,
        r#"files.read = ["{home}/a\"]\U0000000Awrite = [\""]"#,
        "read {home}/.ssh/config é (2 times)",
        r#"files.read = ["{home}/.ssh/config é"]"#,
        r"create {home}/\u{1b}[2J\nDenied (0)\u{202e}",
        "create {home}/also",
        "create {home}/planted",
        r#"files.write = ["{home}"]  # and everything below it"#,
        "reach `192.0.2.1` port 443 (TCP network connection, IPv4 stream socket)",
        r#"network.connect = ["192.0.2.1:443"]"#,
    ];
    let mut lines = section(&text, "Denied (6)");
    let mut expected = denied.to_vec();
    // Which is first depends on where the project lies.
    lines.sort_unstable();
    expected.sort_unstable();
    assert_eq!(lines, expected);
    let first = text.find("Denied (6)").unwrap();
    for later in ["Network", "Read", "Created", "Processes"] {
        assert!(text.find(&format!("\n{later}")).unwrap() > first, "{text}");
    }
    let tried = "tried to reach `192.0.2.1` port 443 (TCP network connection, IPv4 stream socket)";
    assert_eq!(section(&text, "Network and sockets (1)"), [format!("{tried}: denied")]);
    assert_eq!(section(&text, "Read (")[0], "{workspace}/outside.txt");
    assert_eq!(section(&text, "Read (").len(), 2, "{text}");
    assert_eq!(section(&text, "Looked for and not found").len(), 0);
    assert!(section(&text, "Created (").contains(&"{out-dir}/masts é.rs"), "{text}");
    assert_eq!(section(&text, "Removed (1 path)"), ["{out-dir}/going"]);
    let renamed = section(&text, "Renamed or linked (2 paths)");
    assert_eq!(renamed, ["{out-dir}/going", "{out-dir}/gone"]);
    assert!(section(&text, "Executed (").contains(&"{script}"), "{text}");
    let processes = section(&text, "Processes (2)");
    assert!(processes[0].starts_with("0 {script}  ("), "{text}");
    assert!(processes[1].contains(" -c 'true 'a b'; exit 3'  ("), "{text}");
    assert!(processes[1].contains(", exit code 3, CPU "), "{text}");
    assert!(section(&text, "Totals")[1].starts_with("1 instruction told to Cargo"), "{text}");
    assert!(section(&text, "Enforced")[0].starts_with("policy `default` of policies/default.toml"));
    assert!(!text.contains('\x1b'), "{text}");

    let all = shows(&project, &["ship@1.2", "--all"]);
    let missing = section(&all, "Looked for and not found");
    assert!(missing.contains(&"{out-dir}/nothing"), "{all}");
}

#[test]
fn the_rules_are_those_of_a_policy() {
    let project = built();
    let text = shows(&project, &["ship"]);
    let rules: Vec<&str> =
        text.lines().map(str::trim).filter(|line| line.starts_with("files.")).collect();
    assert_eq!(rules.len(), 3, "{text}");
    for rule in rules {
        let policy = format!("name = \"p\"\n{rule}\n");
        let document = cargo_brig::policy::Document::parse("p.toml", &policy).unwrap();
        assert_eq!(document.common.read.len() + document.common.write.len(), 1, "{rule}");
    }
}

#[test]
fn a_list_has_a_line_for_each_run() {
    let project = built();
    succeed(&mut brig(&project, &["build", "--release"]));
    let text = shows(&project, &[]);
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("package      built for  when"), "{text}");
    for (line, profile) in [(lines[1], "release"), (lines[2], "debug")] {
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(words[..3], ["ship", "v1.2.3", profile], "{text}");
        assert_eq!(words[5..8], ["UTC", "0", "6"], "{text}");
    }
    assert_eq!(lines[3..], ["", "`cargo brig show ship` shows all that one of them did"], "{text}");
}

#[test]
fn json_is_the_records_and_where_they_lie() {
    let project = built();
    let path = record(&project);
    let mut expected = load(&path);
    expected["path"] = json!(path.to_str().unwrap());
    for arguments in [&["--format", "json"][..], &["ship", "--format=json"]] {
        let shown: Value = serde_json::from_str(&shows(&project, arguments)).unwrap();
        assert_eq!(shown, json!([expected]));
    }
}

#[test]
fn fields_of_a_later_record_are_shown_or_ignored() {
    let project = built();
    let path = record(&project);
    let mut changed = load(&path);
    changed["tomorrow"] = json!({"x": [1, 2]});
    changed["limits"] = json!({"wall-time": 600, "processes": 100, "cpu-time": null});
    changed["findings"] =
        json!([{"code": "limit-wall-time", "message": "stopped\nafter \u{1b}600 s"}]);
    changed["outputs"] = json!([
        {"path": "masts é.rs", "size": 2048, "sha256": "0123456789abcdef".repeat(4)},
        {"path": "mast", "size": 12, "sha256": null, "link": "/masts\r"},
    ]);
    changed["outputs_dropped"] = json!(2);
    changed["environment"] = json!({
        "given": ["CC", "PATH"],
        "asked": [
            {"name": "CC", "state": "given", "processes": [0]},
            {"name": "CFLAGS", "state": "absent", "processes": [0]},
            {"name": "A_TOKEN", "state": "withheld", "processes": [0]},
        ],
        "unseen": [{"process": 1, "reason": "static program"}],
    });
    fs::write(&path, serde_json::to_vec(&changed).unwrap()).unwrap();
    let text = shows(&project, &["ship"]);
    let finding = section(&text, "Findings (1)");
    assert_eq!(finding, [r"limit-wall-time: stopped\nafter \u{1b}600 s"]);
    let outputs = section(&text, "Left in OUT_DIR (4 files, 2.0 KiB)");
    assert_eq!(outputs[0], "masts é.rs  2.0 KiB  0123456789ab");
    assert_eq!(outputs[1], r"mast  12 bytes  → /masts\r");
    assert!(outputs[2].starts_with("… and 2 more"), "{text}");
    let environment = section(&text, "Environment");
    assert_eq!(environment[0], "asked for, and withheld: A_TOKEN");
    assert_eq!(environment[1], "asked for, and not set: CFLAGS");
    assert_eq!(environment[2], "asked for, and given: CC");
    assert!(environment[4].ends_with("asked for was not seen: static program"), "{text}");
    assert!(section(&text, "Enforced").contains(&"limits: processes 100, wall-time 600"));
    let list = shows(&project, &[]);
    assert!(list.lines().nth(1).unwrap().ends_with("  4"), "{list}");
}

#[test]
fn what_is_no_record_is_said_in_plain_words() {
    let project = built();
    let path = record(&project);
    let good = fs::read_to_string(&path).unwrap();
    let name = path.to_str().unwrap();

    let half = good[..good.len() / 2].rfind('"').unwrap();
    fs::write(&path, &good[..half]).unwrap();
    let line = good[..half].lines().count();
    for arguments in [&["ship"][..], &[], &["--format", "json"]] {
        let text = refuses(&project, arguments, 4);
        let place = format!("error: brig: the record `{name}` is damaged, at line {line}, column ");
        assert!(text.starts_with(&place), "{text}");
        assert!(text.contains("\n  help: ") && text.lines().count() == 2, "{text}");
    }
    // The others are shown all the same.
    let other = path.parent().unwrap().with_file_name("boat-0123456789abcdef").join("brig.json");
    fs::create_dir(other.parent().unwrap()).unwrap();
    fs::write(&other, good.replace("\"package\": \"ship\"", "\"package\": \"boat\"")).unwrap();
    let output = show(&project, &[]);
    assert_eq!(output.status.code(), Some(4));
    assert!(stdout(&output).contains("\nboat v1.2.3"), "{}", shown(&output));
    assert!(stderr(&output).contains("damaged"), "{}", shown(&output));
    assert!(shows(&project, &["boat"]).starts_with("boat v1.2.3\n"));

    for (text, words) in [
        ("", "damaged, at line 1, column 1: "),
        ("[]", "damaged, at line 1, column 1: a record begins with a brace"),
        ("{\"schema\": 2,\n \"unit\": 7}", "damaged, at line 2, column 10: invalid type"),
        (
            "{\"schema\": 1, \"tool\": \"cargo-brig 0.0.1\"}",
            "has schema 1, written by cargo-brig 0.0.1",
        ),
        ("{\"schema\": 77, \"tool\": \"x\\u001b\"}", "has schema 77, written by x\\u{1b}; this is"),
    ] {
        fs::write(&path, text).unwrap();
        let told = refuses(&project, &["ship"], 4);
        assert!(told.contains(words) && told.contains("help: "), "{text}: {told}");
        assert!(!told.contains('\x1b'), "{told}");
    }
    fs::remove_file(&path).unwrap();
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRUSR).unwrap();
    assert!(refuses(&project, &["ship"], 4).contains("it is not a file"));
}

#[test]
fn what_was_never_built_is_said_in_plain_words() {
    let project = harbour();
    let told = refuses(&project, &[], 4);
    let target = project.root.join("sea/target");
    let words = format!("error: brig: there is no build directory `{}`\n", target.display());
    assert!(told.starts_with(&words) && told.contains("cargo brig build"), "{told}");

    // Nothing holds this one back.
    project.write("sea/ship/build.rs", "fn main() {}");
    let mut cargo = project.cargo(&["build", "--offline"]);
    cargo.current_dir(project.root.join("sea"));
    succeed(&mut cargo);
    let told = refuses(&project, &["--format", "json"], 4);
    assert!(told.starts_with("error: brig: there is no record in `"), "{told}");
    let told = refuses(&project, &["ship"], 4);
    assert!(told.starts_with("error: brig: there is no record of a build script of `ship`\n"));
    let told = refuses(&project, &["raft@0.1"], 4);
    assert!(
        told.starts_with("error: brig: the package `raft@0.1` has no build script\n"),
        "{told}"
    );
    let told = refuses(&project, &["ship@2"], 4);
    assert!(told.starts_with("error: brig: there is no record of a build script of `ship@2`\n"));

    let elsewhere = tempfile::tempdir().unwrap();
    let mut command = brig(&project, &["show"]);
    let output = command.current_dir(elsewhere.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(4), "{}", shown(&output));
    let told = stderr(&output);
    assert!(
        told.starts_with(
            "error: brig: cannot tell where Cargo builds: could not find `Cargo.toml`"
        )
    );
}

#[test]
fn a_command_line_that_is_none_is_a_mistake_of_usage() {
    let project = harbour();
    for arguments in [&["a", "b"][..], &["--format", "xml"], &["../x"], &["--target-dir"]] {
        let told = refuses(&project, arguments, 2);
        assert!(told.starts_with("error: "), "{told}");
    }
    let help = shows(&project, &["--help"]);
    for words in ["[PACKAGE]", "--format", "--all", "newest", "Exit codes:", " 4 "] {
        assert!(help.contains(words), "{words}: {help}");
    }
}

#[test]
fn directories_are_named_as_for_cargo() {
    let project = harbour();
    let target = project.root.join("other tärget");
    let target = target.to_str().unwrap();
    succeed(&mut brig(&project, &["build", "--target-dir", target]));
    refuses(&project, &[], 4);
    let manifest = project.root.join("sea/raft/Cargo.toml");
    let elsewhere = tempfile::tempdir().unwrap();
    for (arguments, variable) in [
        (vec!["show", "ship", "--target-dir", target], None),
        (vec!["show", "ship", "--manifest-path", manifest.to_str().unwrap()], Some(target)),
    ] {
        let mut command = brig(&project, &arguments);
        command.current_dir(elsewhere.path());
        if let Some(target) = variable {
            command.env("CARGO_TARGET_DIR", target);
        }
        let output = succeed(&mut command);
        assert!(stdout(&output).starts_with("ship v1.2.3\n"), "{}", shown(&output));
    }
    // A build directory of its own, in Cargo's configuration.
    project.write("sea/.cargo/config.toml", "[build]\nbuild-dir = \"intermédiate\"\n");
    succeed(&mut brig(&project, &["build"]));
    assert!(shows(&project, &["ship"]).contains("/sea/intermédiate/debug/build/ship-"));
    // By another name of the program, without Cargo.
    let mut direct = clean_command(TOOL);
    direct.args(["show", "ship"]).current_dir(project.root.join("sea"));
    assert!(stdout(&succeed(&mut direct)).starts_with("ship v1.2.3\n"));
}

#[test]
fn only_the_last_build_is_shown_unless_all_are_wanted() {
    let project = built();
    succeed(&mut brig(&project, &["build", "-p", "ship", "--features", "steam"]));
    assert_eq!(project.files_named("sea/target", "brig.json").len(), 2);
    let count = |text: &str| text.lines().filter(|line| line.starts_with("ship v1.2.3")).count();
    for arguments in [&[][..], &["ship"]] {
        let text = shows(&project, arguments);
        assert_eq!(count(&text), 1, "{text}");
        assert!(text.contains("1 older run, with 6 denials, left out: `--all` shows"), "{text}");
        let text = shows(&project, &[arguments, &["--all"]].concat());
        assert_eq!(count(&text), 2, "{text}");
    }
    let json: Value = serde_json::from_str(&shows(&project, &["--format", "json"])).unwrap();
    assert_eq!(json.as_array().unwrap().len(), 1);
}

#[test]
fn there_are_colours_only_where_they_are_wanted() {
    let project = built();
    for (variables, expected) in [
        (&[("CARGO_TERM_COLOR", "always")][..], true),
        (&[("CARGO_TERM_COLOR", "always"), ("NO_COLOR", "1")], true),
        (&[("CARGO_TERM_COLOR", "never")], false),
        (&[], false),
    ] {
        let mut command = brig(&project, &["show", "ship"]);
        let output = succeed(command.envs(variables.iter().copied()));
        assert_eq!(stdout(&output).contains("\x1b["), expected, "{variables:?}");
    }
}

/// Gives a record a hundred thousand accesses.
fn fill(path: &Path) {
    let mut record = load(path);
    let accesses = (0..100_000).map(|number| {
        let outcome = ["allowed", "not-found", "EEXIST", "denied"][number % 4];
        let path = format!("/srv/{}/é {}/{number}", number % 31, number % 501);
        json!({"kind": "create", "path": path, "outcome": outcome, "count": 1, "process": 0})
    });
    record["accesses"] = accesses.collect();
    let denied = record["accesses"].as_array().unwrap().iter().filter(|a| a["outcome"] == "denied");
    record["denials"] = denied.take(1000).cloned().collect();
    record["denials_dropped"] = json!(24_000);
    fs::write(path, serde_json::to_vec_pretty(&record).unwrap()).unwrap();
}

#[test]
fn a_large_record_is_shown_on_a_few_lines_and_at_once() {
    let project = built();
    fill(&record(&project));
    for arguments in [&["ship"][..], &[]] {
        let start = Instant::now();
        let text = shows(&project, arguments);
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
        assert!(text.lines().count() < 200, "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 200), "{text}");
    }
    let text = shows(&project, &["ship"]);
    let denied = section(&text, "Denied (25001)");
    assert!(denied.contains(&"… and 960 more (`--all` shows them)"), "{text}");
    assert!(denied.contains(&"… and 24000 more, among the record's accesses"), "{text}");
    assert!(section(&text, "Created (25000 paths)").len() <= 41, "{text}");
    let all = shows(&project, &["ship", "--all"]);
    assert!(all.lines().count() > 50_000);
}

#[test]
fn whoever_reads_may_stop() {
    let project = built();
    fill(&record(&project));
    for arguments in [&["show", "ship", "--all"][..], &["show", "--format", "json"]] {
        let mut command = brig(&project, arguments);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut begin = [0; 10];
        child.stdout.take().unwrap().read_exact(&mut begin).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{}", shown(&output));
    }
}
