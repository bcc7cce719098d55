//! A record stays true while the script changes what its calls are about to use.
//!
//! One program, `data/racing.c`, makes calls whose names, flags, links and directories another thread
//! or process changes all the time, and counts by the results what was really used. The record must
//! have the same counts. A warden that reads the arguments of a call and then lets the kernel read them
//! again would be overtaken, and so it is tested that the attacker overtakes the program itself.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use support::{Project, TOOL, clean_command, shown, stdout, succeed};

/// A run that has not ended after so many seconds never will.
const LIMIT: &str = "50";

/// The names of `racing.c` for what it uses, in turn.
const NAMES: [&str; 4] = ["a", "b", "c", "d"];

/// A program without a C library, which makes no call but those that end it: by `exit_group(2)`,
/// by exit(2), or by a signal.
const BARE: &str = r#"
#if defined(__x86_64__)
enum { GETPID = 39, EXIT = 60, KILL = 62, EXIT_GROUP = 231 };
#elif defined(__aarch64__)
enum { GETPID = 172, EXIT = 93, KILL = 129, EXIT_GROUP = 94 };
#endif

static long call(long number, long first, long second) {
#if defined(__x86_64__)
    __asm__ volatile("syscall" : "+a"(number) : "D"(first), "S"(second) : "rcx", "r11", "memory");
    return number;
#elif defined(__aarch64__)
    register long x8 __asm__("x8") = number, x0 __asm__("x0") = first, x1 __asm__("x1") = second;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1) : "memory");
    return x0;
#endif
}

__attribute__((noreturn)) void _start(void) {
    if (END == KILL)
        call(KILL, call(GETPID, 0, 0), CODE);
    call(END, CODE, 0);
    __builtin_unreachable();
}
"#;

/// Uses by kind, outcome and path: how many.
type Uses = BTreeMap<(String, String, PathBuf), u64>;

/// A package with the program and what it uses.
struct Racing {
    project: Project,
    package: PathBuf,
    out_dir: PathBuf,
    hidden: PathBuf,
}

fn compile(options: &[&str], source: &Path, program: &Path) {
    succeed(Command::new("cc").args(options).arg(source).arg("-o").arg(program));
}

impl Racing {
    fn new() -> Self {
        let project = Project::of(
            "racing",
            &[
                ("package/racing.c", include_str!("data/racing.c")),
                ("package/program.c", "int main(void) { return CODE; }\n"),
                ("package/bare.c", BARE),
                ("hidden", "secret"),
            ],
        );
        let (package, hidden) = (project.root.join("package"), project.root.join("hidden"));
        compile(&["-O1", "-pthread"], &package.join("racing.c"), &package.join("racing"));
        for (name, code) in NAMES.iter().zip(10..) {
            project.write(&format!("package/files/{name}"), "");
            let script = project
                .write(&format!("package/scripts/{name}"), &format!("#!/bin/sh\nexit {code}\n"));
            fs::set_permissions(script, fs::Permissions::from_mode(0o755)).unwrap();
            let define = format!("-DCODE={code}");
            let bare = ["-static", "-nostdlib", "-fno-stack-protector"];
            for (directory, source, options) in [
                ("programs", "program.c", ["-static"].as_slice()),
                ("exit_group", "bare.c", &[&bare, ["-DEND=EXIT_GROUP"].as_slice()].concat()),
                ("exit", "bare.c", &[&bare, ["-DEND=EXIT"].as_slice()].concat()),
                ("signal", "bare.c", &[&bare, ["-DEND=KILL"].as_slice()].concat()),
            ] {
                fs::create_dir_all(package.join(directory)).unwrap();
                let options = [options, &["-O1", &define]].concat();
                compile(&options, &package.join(source), &package.join(directory).join(name));
            }
            // A script first, and then programs.
            let kind = if *name == "a" { "scripts" } else { "programs" };
            fs::create_dir_all(package.join("mixed")).unwrap();
            fs::copy(package.join(kind).join(name), package.join("mixed").join(name)).unwrap();
        }
        symlink(&hidden, package.join("files/y")).unwrap();
        let out_dir = project.root.join("unit/out");
        fs::create_dir_all(&out_dir).unwrap();
        Self { project, package, out_dir, hidden }
    }

    fn command(&self, words: &[&Path], attack: &str, rounds: u64, by: &str) -> Output {
        fs::remove_dir_all(&self.out_dir).unwrap();
        fs::create_dir(&self.out_dir).unwrap();
        let mut command = clean_command("timeout");
        command
            .args(["--kill-after=5", LIMIT])
            .args(words)
            .arg(self.package.join("racing"))
            .args([attack, &rounds.to_string(), by])
            .current_dir(&self.package)
            .env("OUT_DIR", &self.out_dir)
            .env("CARGO_MANIFEST_DIR", &self.package)
            .env("T_HIDDEN", &self.hidden)
            .stdin(Stdio::null());
        let output = succeed(&mut command);
        let text = stdout(&output);
        let overtaken = text.trim().strip_prefix("overtaken ").map(str::parse::<u64>);
        let Some(Ok(overtaken)) = overtaken else { panic!("{}", shown(&output)) };
        eprintln!("{attack}, by {by}: overtaken in {overtaken} of {rounds} rounds");
        // A machine with one processor overtakes seldom, but does.
        assert!(overtaken > rounds / 1000, "the attack must work: {overtaken} of {rounds}");
        output
    }

    /// What the program found that it had used.
    fn truth(&self) -> Uses {
        let truth = fs::read_to_string(self.out_dir.join("truth")).unwrap();
        let lines = truth.lines().map(|line| {
            let mut words = line.splitn(4, ' ');
            let mut word = || words.next().unwrap().to_owned();
            let (kind, outcome, count) = (word(), word(), word().parse().unwrap());
            ((kind, outcome, PathBuf::from(word())), count)
        });
        lines.collect()
    }

    fn record(&self) -> Value {
        let record = fs::read(self.project.root.join("unit/brig.json")).unwrap();
        serde_json::from_slice(&record).unwrap()
    }

    /// Whether the attacks use this path: not the program itself, nor what it writes down.
    fn is_used(&self, path: &Path) -> bool {
        let in_package = path.strip_prefix(&self.package);
        path == self.hidden
            || path.starts_with(&self.out_dir) && path != self.out_dir.join("truth")
            || in_package.is_ok_and(|rest| rest.iter().count() > 1)
    }

    /// What the record of a run in the jail says of these kinds of uses.
    fn recorded(&self, kinds: &[&str]) -> Uses {
        let record = self.record();
        let accesses = record["accesses"].as_array().expect("the record has accesses");
        let mut recorded = Uses::new();
        for access in accesses {
            let text = |field: &str| access[field].as_str().unwrap().to_owned();
            let path = PathBuf::from(text("path"));
            if kinds.contains(&&*text("kind")) && self.is_used(&path) {
                let key = (text("kind"), text("outcome"), path);
                *recorded.entry(key).or_default() += access["count"].as_u64().unwrap();
            }
        }
        recorded
    }

    /// How the processes of a run in the jail ended, by the last programs that they ran.
    fn processes(&self) -> Uses {
        let record = self.record();
        let mut processes = Uses::new();
        for process in record["processes"].as_array().expect("the record has processes") {
            let programs = process["programs"].as_array().unwrap();
            let program = programs.last().and_then(|program| program["program"].as_str());
            let path = PathBuf::from(program.unwrap_or_default());
            if self.is_used(&path) {
                let key = ("process".to_owned(), process["exit"].to_string(), path);
                *processes.entry(key).or_default() += 1;
            }
        }
        processes
    }

    /// Runs an attack in the jail and compares.
    fn attack(&self, attack: &str, rounds: u64, by: &str, kinds: &[&str]) -> Uses {
        let jail = [Path::new(TOOL), Path::new("exec"), Path::new("--")];
        self.command(&jail, attack, rounds, by);
        let truth = self.truth();
        let recorded = self.recorded(kinds);
        assert_eq!(differences(&truth, &recorded), "", "{attack}, by {by}");
        truth
    }
}

/// One line for each use whose counts differ.
fn differences(truth: &Uses, recorded: &Uses) -> String {
    let mut text = String::new();
    let keys: BTreeSet<_> = truth.keys().chain(recorded.keys()).collect();
    for key @ (kind, outcome, path) in keys {
        let (truth, recorded) = (truth.get(key), recorded.get(key));
        if truth != recorded {
            let [truth, recorded] = [truth, recorded].map(|count| count.copied().unwrap_or(0));
            let path = path.display();
            writeln!(text, "{kind} {outcome} {path}: {truth} times, recorded {recorded}").unwrap();
        }
    }
    text
}

fn total(uses: &Uses, kind: &str) -> u64 {
    uses.iter().filter(|((of, ..), _)| of == kind).map(|(_, count)| count).sum()
}

#[test]
fn files_are_recorded_that_were_opened() {
    let racing = Racing::new();
    for (by, rounds) in [("thread", 100_000), ("mapping", 20_000), ("memory", 20_000)] {
        let truth = racing.attack("path", rounds, by, &["read"]);
        assert_eq!(total(&truth, "read"), rounds);
        // Each of the names was met.
        assert_eq!(truth.len(), NAMES.len() + 2, "{truth:?}");
    }
}

#[test]
fn links_and_directories_are_recorded_as_they_were() {
    let racing = Racing::new();
    for by in ["thread", "mapping", "memory"] {
        let truth = racing.attack("links", 10_000, by, &["read"]);
        assert_eq!(total(&truth, "read"), 10_000);
        let truth = racing.attack("directories", 10_000, by, &["read"]);
        assert_eq!(total(&truth, "read"), 10_000);
    }
}

#[test]
fn the_purpose_of_an_open_is_recorded() {
    let racing = Racing::new();
    for by in ["thread", "mapping", "memory"] {
        racing.attack("flags", 20_000, by, &["read", "write", "create"]);
        racing.attack("creation", 20_000, by, &["read", "write", "create", "remove"]);
    }
}

/// How a process of this program ends: by the number of its name.
fn exit_of(attack: &str, program: &Path) -> String {
    let name = program.file_name().unwrap().to_str().unwrap();
    let code = 10 + NAMES.iter().position(|other| *other == name).unwrap();
    let how = if attack == "signal" { "signal" } else { "code" };
    format!("{{\"{how}\":{code}}}")
}

/// Runs an attack in which programs are executed, and says what is recorded of them and is not so.
fn attack_programs(racing: &Racing, attack: &str, rounds: u64, by: &str) -> String {
    let jail = [Path::new(TOOL), Path::new("exec"), Path::new("--")];
    racing.command(&jail, attack, rounds, by);
    let truth = racing.truth();
    assert_eq!(total(&truth, "execute"), rounds);
    let mut recorded = racing.recorded(&["execute"]);
    recorded.retain(|(_, outcome, _), _| outcome == "allowed");
    let mut wrong = differences(&truth, &recorded);
    // The program of a script is its interpreter.
    if !["scripts", "mixed"].contains(&attack) {
        let process = |((_, _, path), count): (&(String, String, PathBuf), &u64)| {
            (("process".to_owned(), exit_of(attack, path), path.clone()), *count)
        };
        let truth: Uses = truth.iter().map(process).collect();
        wrong.push_str(&differences(&truth, &racing.processes()));
    }
    if wrong.is_empty() { wrong } else { format!("{attack}, by {by}:\n{wrong}") }
}

#[test]
fn programs_are_recorded_that_ran() {
    let racing = Racing::new();
    let attacks = [
        ("programs", 2000, "thread"),
        ("programs", 1000, "mapping"),
        ("programs", 1000, "memory"),
        ("programs through links", 1000, "thread"),
        ("programs in threads", 500, "mapping"),
    ];
    let wrong = attacks.map(|(attack, rounds, by)| attack_programs(&racing, attack, rounds, by));
    assert!(wrong.concat().is_empty(), "{}", wrong.concat());
}

#[test]
fn programs_that_do_nothing_but_end_are_recorded() {
    let racing = Racing::new();
    let wrong = attack_programs(&racing, "exit_group", 1000, "thread");
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn scripts_are_recorded_that_ran() {
    let racing = Racing::new();
    let wrong = ["scripts", "mixed"].map(|attack| attack_programs(&racing, attack, 1000, "thread"));
    assert!(wrong.concat().is_empty(), "{}", wrong.concat());
}
