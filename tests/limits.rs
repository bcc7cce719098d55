//! Limits: a script that goes beyond one is ended with everything that it started, its unit fails,
//! and the build and the record say which limit it was.

mod support;

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use cargo_brig::policy::Builtin;
use serde_json::Value;
use support::{Project, fail, shown, stderr, stdout, succeed};

/// Uses up what `T_WHAT` names.
const SCRIPT: &str = r#"
use std::fs::{self, File};
use std::io::Write;
use std::process::Command;
use std::time::{Duration, Instant};

/// Longer than a test may take.
const LONG: Duration = Duration::from_secs(3600);

fn main() {
    let out = std::path::PathBuf::from(std::env::var_os("OUT_DIR").unwrap());
    match std::env::var("T_WHAT").unwrap().as_str() {
        "wall-time" => {
            Command::new("setsid").args(["sleep", "3600"]).spawn().unwrap();
            std::thread::sleep(LONG);
        }
        "cpu-time" => {
            let started = Instant::now();
            while started.elapsed() < LONG {}
        }
        "memory" => {
            let memory = vec![1_u8; 300 << 20];
            std::thread::sleep(LONG);
            drop(memory);
        }
        "processes" => {
            let all: Vec<_> = (0..30).map(|_| Command::new("sleep").arg("3600").spawn()).collect();
            std::thread::sleep(LONG);
            drop(all);
        }
        "open-files" => {
            let all: Vec<_> = (0..100).map(|_| File::open("build.rs")).collect();
            let refused = all.iter().filter(|file| file.is_err()).count();
            assert!(refused > 30, "{refused}");
        }
        "file-size" => {
            let mut file = File::create(out.join("long")).unwrap();
            loop {
                file.write_all(&[1; 1 << 20]).unwrap();
            }
        }
        "out-dir" => {
            for number in 0.. {
                fs::write(out.join(format!("file-{number}")), vec![1; 1 << 20]).unwrap();
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        "tmp" => {
            for number in 0.. {
                fs::write(std::env::temp_dir().join(format!("{number}")), vec![1; 1 << 20]).unwrap();
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        "output" => loop {
            println!("{}", "x".repeat(1000));
        },
        _ => println!("cargo::rerun-if-changed=build.rs"),
    }
}
"#;

/// A project whose script does as it is told, under a policy with one limit.
struct Limited {
    project: Project,
}

impl Limited {
    fn new() -> Self {
        Self { project: Project::with_script("uses_up", SCRIPT) }
    }

    fn policy(&self, limit: &str, value: u64) -> PathBuf {
        let (before, _) = Builtin::Default.text().split_once("\n[limits]").unwrap();
        self.project.write("policy.toml", &format!("{before}\n[limits]\n{limit} = {value}\n"))
    }

    fn build(&self, limit: &str, value: u64) -> std::process::Command {
        let mut command = self.project.brig(&["build"]);
        command.env("CARGO_BRIG_POLICY", self.policy(limit, value)).env("T_WHAT", limit);
        command
    }

    /// The one finding of the only record.
    fn finding(&self) -> Value {
        let records = self.project.records();
        let [record] = &records[..] else { panic!("{} records", records.len()) };
        let findings = record["findings"].as_array().unwrap();
        assert_eq!(findings.len(), 1, "{findings:#?}");
        findings[0].clone()
    }
}

#[test]
fn a_script_beyond_a_limit_is_ended() {
    let limited = Limited::new();
    let limits =
        [("wall-time", 2), ("memory", 200), ("processes", 20), ("out-dir", 20), ("output", 8)];
    for (limit, value) in limits {
        let started = Instant::now();
        let output = fail(&mut limited.build(limit, value));
        assert!(started.elapsed() < Duration::from_mins(1), "{limit}");
        let text = stderr(&output);
        let message = "the build script of `uses_up v1.2.3` came to a limit, and was ended: ";
        assert!(text.contains(message), "{limit}: {text}");
        let path = limited.project.root.join("policy.toml");
        let place = format!("(`limits.{limit}` at {}:", path.display());
        assert!(text.contains(&place), "{text}");
        let finding = limited.finding();
        assert_eq!(finding["code"], format!("limit-{limit}"));
        assert_eq!(finding["fatal"], true);
        fs::remove_dir_all(limited.project.root.join("target")).unwrap();
    }
}

#[test]
fn what_lies_in_tmpdir_counts_as_what_lies_in_out_dir() {
    let limited = Limited::new();
    let output = fail(limited.build("out-dir", 20).env("T_WHAT", "tmp"));
    assert_eq!(limited.finding()["code"], "limit-out-dir", "{}", shown(&output));
}

#[test]
fn a_process_is_kept_to_its_own_limits() {
    let limited = Limited::new();
    for (limit, value) in [("cpu-time", 1), ("file-size", 3)] {
        let output = fail(&mut limited.build(limit, value));
        let text = stderr(&output);
        let path = limited.project.root.join("policy.toml");
        let place = format!("(`limits.{limit}` at {}:", path.display());
        assert!(text.contains(&place), "{text}");
        assert_eq!(limited.finding()["code"], format!("limit-{limit}"));
        fs::remove_dir_all(limited.project.root.join("target")).unwrap();
    }
    // Whether it needs more files is for the script to say.
    let output = succeed(&mut limited.build("open-files", 64));
    assert!(stderr(&output).contains("64 open files of one process"), "{}", shown(&output));
    assert_eq!(limited.finding()["code"], "limit-open-files");
}

#[test]
fn nothing_is_said_within_the_limits() {
    let limited = Limited::new();
    let mut command = limited.project.brig(&["build"]);
    let output = succeed(command.env("T_WHAT", "nothing"));
    assert!(stderr(&output).contains("nothing denied"), "{}", shown(&output));
    let records = limited.project.records();
    assert_eq!(records[0]["findings"], Value::Array(Vec::new()));
    assert_eq!(records[0]["limits"]["wall-time"], 21600);
}

#[test]
fn a_policy_that_is_none_is_refused() {
    let limited = Limited::new();
    let output = fail(&mut limited.build("wall-clock", 1));
    let text = stderr(&output);
    assert!(text.contains("policy.toml:") && text.contains("unknown key `wall-clock`"), "{text}");
    let mut command = limited.project.brig(&["build"]);
    let output = fail(command.env("CARGO_BRIG_POLICY", "/no/such/policy.toml"));
    assert!(stderr(&output).contains("/no/such/policy.toml"), "{}", shown(&output));
}

#[test]
fn limits_and_switches_are_shown_with_their_places() {
    let project = Project::with_script("modest", "fn main() {}");
    project.write("brig.toml", "extends = \"strict\"\n[limits]\nwall-time = 7\n");
    let text = stdout(&succeed(&mut project.brig(&["policy", "show"])));
    for (start, place) in [
        ("  wall-time: 7 s ", "/brig.toml:3"),
        ("  output: ", "policies/default.toml:"),
        ("  fails the unit ", "policies/strict.toml:"),
        ("  all others are withheld ", "policies/strict.toml:"),
    ] {
        let line = text.lines().find(|line| line.starts_with(start)).unwrap();
        assert!(line.contains(place), "{line}");
    }
}
