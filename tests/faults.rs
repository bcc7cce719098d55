//! Faults at any moment of a run: whatever fails or is killed, no script runs outside of the jail, none
//! survives, no record is half written, and the next run works.
//!
//! `tests/data/faults.c` makes one system call fail of those that the launcher, the warden or the process
//! that becomes the script make, or kills who makes it, or who has started the launcher, as a full disk, a lack
//! of memory or of descriptors, a signal or a person would. The ordinary tests try a part of all calls; the
//! ignored ones try each.

mod support;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fmt::{self, Write};
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use cargo_brig::launcher::trailer_of;
use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde_json::Value;
use support::{Project, TOOL, clean_command, shown, stderr, stdout, succeed};
use tempfile::TempDir;

/// Tries to write outside, writes to `OUT_DIR`, runs a program, leaves a daemon behind that ignores what can be
/// ignored, and ends; or only waits, for ever.
const SCRIPT: &str = r#"
use std::process::Command;
unsafe extern "C" {
    fn fork() -> i32;
    fn setsid() -> i32;
    fn pause() -> i32;
    fn signal(number: i32, handler: usize) -> usize;
    fn _exit(code: i32) -> !;
}
fn main() {
    // Without a word: who has no reader any more would notice.
    while std::env::var_os("T_WAITS").is_some() {
        unsafe { pause() };
    }
    let outside = std::fs::read_to_string("outside").unwrap();
    println!("cargo::rustc-cfg=begun");
    drop(std::fs::write(outside, "x"));
    std::fs::write(std::env::var("OUT_DIR").unwrap() + "/made", "x").unwrap();
    assert!(Command::new("true").status().unwrap().success());
    unsafe {
        if fork() == 0 {
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
    println!("cargo::rustc-cfg=made");
}
"#;

/// What is injected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// Who makes the call is killed.
    Kill,
    /// Who has started the launcher is.
    Orphan,
    /// The call fails.
    Fail(Errno),
    /// The clock is set a day back from then on.
    Back,
    /// Or ahead.
    Ahead,
}

/// A kind of fault: whose calls, which of them, and what happens there.
#[derive(Clone, Copy, Debug)]
struct Kind {
    role: &'static str,
    /// See `tests/data/faults.c`.
    calls: &'static str,
    fault: Fault,
}

/// At the so many-th of these calls, from 1; nowhere at 0.
#[derive(Clone, Copy, Debug)]
struct Injection(Kind, usize);

impl fmt::Display for Injection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(Kind { role, calls, fault }, number) = self;
        write!(f, "{fault:?} at the {role}'s call {number} of the class `{calls}`")
    }
}

impl Injection {
    const NONE: Self = Self(Kind { role: "launcher", calls: "any", fault: Fault::Kill }, 0);
}

const ROLES: [&str; 3] = ["launcher", "warden", "child"];

/// The kinds of fault for each role.
fn kinds(calls: &'static str, fault: Fault) -> Vec<Kind> {
    ROLES.map(|role| Kind { role, calls, fault }).to_vec()
}

/// What the injector says of a run.
struct Report {
    text: String,
    output: Output,
}

impl Report {
    fn lines_of<'a>(&'a self, word: &'a str) -> impl Iterator<Item = &'a str> {
        self.text.lines().filter_map(move |line| line.strip_prefix(word)?.strip_prefix(' '))
    }

    /// How many calls of a class somebody made.
    fn count(&self, role: &str, calls: &str) -> usize {
        let start = format!("{role} {calls} ");
        let mut counts = self.lines_of("calls").filter_map(|line| line.strip_prefix(&start));
        counts.next().unwrap().parse().unwrap()
    }

    /// How the program ended.
    fn status(&self) -> Option<ExitStatus> {
        let status = self.lines_of("ended").next()?;
        Some(ExitStatus::from_raw(status.parse().unwrap()))
    }

    fn is_well(&self) -> bool {
        self.status().is_some_and(|status| status.success())
    }

    /// What holds whatever happens.
    fn survivors(&self) -> Vec<String> {
        let left = self.lines_of("survivor").map(|name| format!("`{name}` survived"));
        let late = self.text.lines().filter(|line| *line == "hung");
        left.chain(late.map(|_| "it did not end".to_owned())).collect()
    }
}

/// A compiled script with its launcher, and the directories that it is run with.
struct Place {
    _dir: TempDir,
    root: PathBuf,
    injector: PathBuf,
}

impl Place {
    fn new() -> Self {
        // Without a blank, so that the library that is preloaded lies in the temporary directory too.
        let dir = tempfile::Builder::new().prefix("brig-faults-").tempdir().unwrap();
        let root = fs::canonicalize(dir.path()).unwrap();
        for directory in ["package/src", "target/debug/build/p-1/out", "tmp", "home"] {
            fs::create_dir_all(root.join(directory)).unwrap();
        }
        let injector = root.join("faults");
        let place = Self { _dir: dir, root, injector };
        for (name, text) in [
            ("target/CACHEDIR.TAG", ""),
            ("package/src/lib.rs", ""),
            ("package/build.rs", SCRIPT),
            ("package/Cargo.toml", "[package]\nname = \"faulty\"\nversion = \"1.2.3\"\n"),
            ("package/outside", place.path("outside").to_str().unwrap()),
            ("policy.toml", "extends = \"default\"\non-denial = \"report\"\n"),
        ] {
            fs::write(place.path(name), text).unwrap();
        }
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/faults.c");
        let mut compiler = Command::new("cc");
        compiler
            .args(["-O1", "-Wall", "-Wextra", "-Werror", "-o"])
            .arg(&place.injector)
            .arg(source);
        succeed(&mut compiler);
        let mut rustc = place.shim(OsStr::new("rustc"));
        succeed(&mut rustc);
        place.see_that_the_script_could_harm();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    fn unit(&self) -> PathBuf {
        self.path("target/debug/build/p-1")
    }

    fn launcher(&self) -> PathBuf {
        self.unit().join("build_script_build")
    }

    fn script(&self) -> PathBuf {
        self.unit().join("build_script_build.brig-script")
    }

    /// The shim, compiling the script.
    fn shim(&self, compiler: &OsStr) -> Command {
        let mut shim = clean_command(TOOL);
        shim.arg(compiler).args(["--crate-name", "build_script_build", "--crate-type", "bin"]);
        shim.args(["--edition=2024", "build.rs", "--out-dir"]).arg(self.unit());
        shim.current_dir(self.path("package"));
        shim
    }

    /// A program with what Cargo gives a script.
    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", self.path("home"))
            .env("TMPDIR", self.path("tmp"))
            .env("OUT_DIR", self.unit().join("out"))
            .env("CARGO_MANIFEST_DIR", self.path("package"))
            .env("CARGO_PKG_NAME", "faulty")
            .env("CARGO_PKG_VERSION", "1.2.3")
            .env("CARGO_BRIG_POLICY", self.path("policy.toml"))
            .current_dir(self.path("package"));
        command
    }

    /// Without the jail it writes outside. Its daemon ends with its namespace.
    fn see_that_the_script_could_harm(&self) {
        let mut bare = self.command(Path::new("unshare"));
        succeed(bare.args(["-rpf", "--kill-child"]).arg(self.script()));
        fs::remove_file(self.path("outside")).expect("the script writes outside");
        self.empty_out_dir();
    }

    /// As Cargo hands it over.
    fn empty_out_dir(&self) {
        fs::remove_dir_all(self.unit().join("out")).unwrap();
        fs::create_dir(self.unit().join("out")).unwrap();
    }

    /// This command with a fault.
    fn inject(&self, injection: Injection, command: &Command) -> Report {
        let Injection(Kind { role, calls, fault }, number) = injection;
        let fault = match fault {
            Fault::Kill => "kill".to_owned(),
            Fault::Orphan => "orphan".to_owned(),
            Fault::Fail(errno) => (errno as i32).to_string(),
            Fault::Back => "back".to_owned(),
            Fault::Ahead => "ahead".to_owned(),
        };
        let report = self.path("report");
        let mut injector = Command::new(&self.injector);
        injector.arg(&report).args([role, calls, &fault]).arg(number.to_string());
        injector.arg(command.get_program()).args(command.get_args()).env_clear();
        injector.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let output = succeed(injector.current_dir(command.get_current_dir().unwrap()));
        Report { text: fs::read_to_string(report).unwrap(), output }
    }

    /// The record, if there is one, without what differs from run to run.
    fn essence(&self) -> Option<Result<Value, String>> {
        let text = fs::read_to_string(self.unit().join("brig.json")).ok()?;
        let record = serde_json::from_str(&text).map(|record| essence(&record));
        Some(record.map_err(|error| format!("{error}: {text}")))
    }

    /// What a session leaves that has found something.
    fn names_after_a_session(&self) -> BTreeSet<String> {
        let mut session = clean_command(TOOL);
        session.args(["brig", "locate-project"]).env("TMPDIR", self.path("tmp"));
        succeed(session.current_dir(self.path("package")));
        // Who is killed before there is a lock leaves an empty directory.
        let tmp = self.path("tmp");
        let is_empty = |name: &String| names(&tmp.join(name)).is_empty();
        names(&tmp).into_iter().filter(|name| !is_empty(name)).collect()
    }
}

/// Names in a directory.
fn names(directory: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(directory).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// What a record says that is the same for each run.
fn essence(record: &Value) -> Value {
    const NAMES: [&str; 11] = [
        "schema",
        "policy",
        "enforced",
        "exit",
        "instructions",
        "denials",
        "findings",
        "outputs",
        "outputs_dropped",
        "accesses",
        "accesses_dropped",
    ];
    let of = |name: &str| (name.to_owned(), normal(&record[name]));
    Value::Object(NAMES.into_iter().map(of).collect())
}

/// Without the names of private directories, and in order.
fn normal(value: &Value) -> Value {
    match value {
        Value::String(text) => {
            let mut parts = text.split("/cargo-brig-");
            let mut text = parts.next().unwrap_or_default().to_owned();
            for part in parts {
                let purpose = part.split('-').next().unwrap_or_default();
                let rest = part.split_once('/').map_or("", |(_, rest)| rest);
                write!(text, "/{purpose}/{rest}").unwrap();
            }
            Value::String(text)
        }
        Value::Array(values) => {
            let mut values: Vec<Value> = values.iter().map(normal).collect();
            values.sort_by_key(ToString::to_string);
            Value::Array(values)
        }
        Value::Object(fields) => {
            let pair = |(name, value): (&String, &Value)| (name.clone(), normal(value));
            Value::Object(fields.iter().map(pair).collect())
        }
        other => other.clone(),
    }
}

/// What one record says and the other does not, a line each.
fn difference(one: &Value, other: &Value) -> String {
    let lines = |of: &Value| -> BTreeSet<String> {
        let of = of.as_object().unwrap().iter();
        of.flat_map(|(name, value)| match value {
            Value::Array(values) => values.iter().map(|value| format!("{name} {value}")).collect(),
            value => vec![format!("{name} {value}")],
        })
        .collect()
    };
    let (one, other) = (lines(one), lines(other));
    let gone = one.difference(&other).map(|line| format!("\n- {line}"));
    gone.chain(other.difference(&one).map(|line| format!("\n+ {line}"))).collect()
}

/// Whether a record says itself that something failed that otherwise does not: for want of memory or
/// descriptors files cannot be opened, by the script or for the record.
fn is_told(record: &Value, errno: Errno) -> bool {
    let is =
        |outcome: &Value| outcome == &Value::String(format!("{errno:?}")) || outcome == "ESRCH";
    let mut accesses = record["accesses"].as_array().unwrap().iter();
    let mut outputs = record["outputs"].as_array().unwrap().iter();
    errno != Errno::EINTR
        && (accesses.any(|access| is(&access["outcome"]))
            || outputs.any(|output| output["sha256"].is_null())
            || record["outputs_dropped"] != 0)
}

/// A run without a fault, against which all others are compared.
struct Sound {
    report: Report,
    essence: Value,
    beside: BTreeSet<String>,
}

impl Sound {
    fn of(place: &Place) -> Self {
        let report = place.inject(Injection::NONE, &place.command(&place.launcher()));
        assert!(report.is_well(), "{}", shown(&report.output));
        assert_eq!(stdout(&report.output), "cargo::rustc-cfg=begun\ncargo::rustc-cfg=made\n");
        let essence = place.essence().unwrap().unwrap();
        let outside = place.path("outside");
        assert_eq!(essence["denials"][0]["path"].as_str(), outside.to_str(), "{essence}");
        let beside = names(&place.unit());
        place.empty_out_dir();
        Self { report, essence, beside }
    }
}

/// What a fault led to and may not lead to.
fn wrong_with(place: &Place, injection: Injection, sound: &Sound) -> Vec<String> {
    let before = names(&place.path("tmp"));
    let report = place.inject(injection, &place.command(&place.launcher()));
    let mut wrong = report.survivors();
    let mut check = |is_right: bool, what: &str| {
        if !is_right {
            wrong.push(what.to_owned());
        }
    };
    check(!place.path("outside").exists(), "the script ran outside");
    drop(fs::remove_file(place.path("outside")));
    let record = place.essence();
    check(!matches!(record, Some(Err(_))), "the record is half written");
    let is_hit = report.lines_of("hit").next().is_some();
    let Injection(Kind { fault, .. }, _) = injection;
    if report.is_well() {
        let printed = report.output.stdout == sound.report.output.stdout;
        check(printed, "it is well, and not all was printed");
        let Some(Ok(record)) = &record else { panic!("{injection}: it is well without a record") };
        let difference = difference(&sound.essence, record);
        let may_differ = matches!(fault, Fault::Fail(errno) if is_told(record, errno));
        check(difference.is_empty() || may_differ, &format!("the record is another:{difference}"));
    } else {
        let may_fail =
            fault != Fault::Fail(Errno::EINTR) && !matches!(fault, Fault::Back | Fault::Ahead);
        check(is_hit && may_fail, "it should have gone well");
    }
    if let Fault::Fail(_) = fault {
        let is_said = report.is_well() || !report.output.stderr.is_empty();
        check(is_said, "it failed without a word");
        // The C library's malloc(3) ends whom the kernel refuses memory at a moment that it does not expect.
        let is_aborted = report.status().and_then(|status| status.signal()) == Some(libc::SIGABRT);
        let may_stay = is_aborted && fault == Fault::Fail(Errno::ENOMEM);
        let stays = names(&place.path("tmp")) != before;
        check(!stays || may_stay, "private directories are left");
        check(names(&place.unit()).is_subset(&sound.beside), "files are left beside the record");
    }
    place.empty_out_dir();
    let next = place.inject(Injection::NONE, &place.command(&place.launcher()));
    let is_well = next.is_well() && next.output.stdout == sound.report.output.stdout;
    check(is_well, "the next run fails");
    match place.essence() {
        Some(Ok(record)) => {
            let difference = difference(&sound.essence, &record);
            check(difference.is_empty(), &format!("the next record is another:{difference}"));
        }
        none => check(false, &format!("the next run leaves {none:?}")),
    }
    check(names(&place.unit()) == sound.beside, "the next run leaves what the first has left");
    place.empty_out_dir();
    if wrong.is_empty() {
        return wrong;
    }
    let (hit, wrong) = (report.lines_of("hit").collect::<String>(), wrong.join("; "));
    let (first, next) = (shown(&report.output), shown(&next.output));
    vec![format!("{injection}, {hit}: {wrong}\n{:?}\n{first}\nthen {next}", report.status())]
}

/// Injects every so many-th of all faults of these kinds.
fn sweep(kinds: &[Kind], every: usize) {
    let places: Vec<(Place, Sound)> = (0..2)
        .map(|_| {
            let place = Place::new();
            let sound = Sound::of(&place);
            (place, sound)
        })
        .collect();
    let mut all = Vec::new();
    for kind in kinds {
        let count = places[0].1.report.count(kind.role, kind.calls);
        // From one kind to the next another part of them.
        let first = all.len() % every.min(count).max(1) + 1;
        all.extend((first..=count).step_by(every).map(|number| Injection(*kind, number)));
    }
    assert!(all.len() >= kinds.len(), "{all:?}");
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for (place, sound) in &places {
            let (all, next, wrong) = (&all, &next, &wrong);
            scope.spawn(move || {
                while let Some(injection) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let found = wrong_with(place, *injection, sound);
                    wrong.lock().unwrap().extend(found);
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    eprintln!("{} faults", all.len());
    assert!(wrong.is_empty(), "{} of {} faults:\n{}", wrong.len(), all.len(), wrong.join("\n\n"));
    for (place, _) in &places {
        assert_eq!(place.names_after_a_session(), BTreeSet::new());
    }
}

#[test]
fn whoever_is_killed() {
    sweep(&kinds("any", Fault::Kill), 60);
}

#[test]
fn the_disk_is_full() {
    sweep(&kinds("space", Fault::Fail(Errno::ENOSPC))[..2], 1);
}

#[test]
fn no_more_descriptors() {
    sweep(&kinds("descriptors", Fault::Fail(Errno::EMFILE)), 17);
}

#[test]
fn no_more_memory() {
    sweep(&kinds("memory", Fault::Fail(Errno::ENOMEM)), 23);
}

#[test]
fn calls_are_interrupted() {
    sweep(&kinds("interruptible", Fault::Fail(Errno::EINTR)), 23);
}

/// What takes time is measured by a clock that nobody sets: nothing is late, and nothing took a day.
#[test]
fn the_clock_is_set() {
    let place = Place::new();
    let sound = Sound::of(&place);
    let count = sound.report.count("launcher", "clock");
    assert!(count > 0 && sound.report.count("warden", "clock") == 0, "{}", sound.report.text);
    for fault in [Fault::Back, Fault::Ahead] {
        for number in 1..=count {
            let injection = Injection(Kind { role: "launcher", calls: "clock", fault }, number);
            let report = place.inject(injection, &place.command(&place.launcher()));
            assert!(report.lines_of("hit").next().is_some(), "{injection}: {}", report.text);
            let text = fs::read_to_string(place.unit().join("brig.json")).unwrap();
            let record: Value = serde_json::from_str(&text).unwrap();
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
            let off = now.abs_diff(record["started"].as_u64().unwrap());
            assert_eq!(off >= 80_000, number == 1, "its first look at it is what the record says");
            let times = times_in(&record);
            assert!(times.len() > 5 && times.iter().all(|time| *time < 3_600_000_000), "{times:?}");
            place.empty_out_dir();
            assert_eq!(wrong_with(&place, injection, &sound), [""; 0]);
        }
    }
}

/// All times that a record tells, in microseconds, but for when it began.
fn times_in(record: &Value) -> Vec<u64> {
    match record {
        Value::Object(fields) => fields
            .iter()
            .flat_map(|(name, value)| match value.as_u64() {
                Some(time) if name.ends_with("_us") => vec![time],
                _ => times_in(value),
            })
            .collect(),
        Value::Array(values) => values.iter().flat_map(times_in).collect(),
        _ => Vec::new(),
    }
}

#[test]
#[ignore = "takes more than ten minutes"]
fn each_call() {
    let faults = [
        ("any", Fault::Kill),
        ("space", Fault::Fail(Errno::ENOSPC)),
        ("space", Fault::Fail(Errno::EIO)),
        ("descriptors", Fault::Fail(Errno::EMFILE)),
        ("descriptors", Fault::Fail(Errno::ENFILE)),
        ("memory", Fault::Fail(Errno::ENOMEM)),
        ("interruptible", Fault::Fail(Errno::EINTR)),
    ];
    for (calls, fault) in faults {
        sweep(&kinds(calls, fault), 1);
    }
}

#[test]
#[ignore = "takes minutes"]
fn each_call_before_there_is_a_script() {
    orphaned(1);
    shim_faults(1);
}

/// Whoever has started the launcher is killed before there is a script, which would wait for ever.
fn orphaned(every: usize) {
    let place = Place::new();
    let sound = Sound::of(&place);
    let kind = Kind { role: "launcher", calls: "any", fault: Fault::Orphan };
    let mut launcher = place.command(&place.launcher());
    launcher.env("T_WAITS", "1");
    for number in (1..=sound.report.count("before-script", "any")).step_by(every) {
        let injection = Injection(kind, number);
        let report = place.inject(injection, &launcher);
        assert_eq!(report.survivors(), [""; 0], "{injection}: {}", report.text);
        assert!(!place.path("outside").exists() && !report.is_well(), "{injection}");
    }
}

#[test]
fn cargo_is_killed_before_there_is_a_script() {
    orphaned(40);
}

/// The shim, with a compiler that takes no time. What it fails at it leaves nothing of, and a launcher is whole.
fn shim_faults(every: usize) {
    let place = Place::new();
    let compiler = place.path("rustc");
    let (made, launcher) = (place.path("made"), place.launcher());
    fs::rename(place.script(), &made).unwrap();
    let (from, to) = (made.display(), launcher.display());
    fs::write(&compiler, format!("#!/bin/sh\ncp '{from}' '{to}'\n")).unwrap();
    fs::set_permissions(&compiler, fs::Permissions::from_mode(0o755)).unwrap();
    let shim = place.shim(compiler.as_os_str());
    let sound = place.inject(Injection::NONE, &shim);
    let trailer = trailer_of(&launcher).expect("it is a launcher");
    assert_eq!(trailer.script, "build_script_build.brig-script", "{}", shown(&sound.output));
    let whole = fs::read(&launcher).unwrap();
    let is_whole = || {
        fs::read(&launcher).is_ok_and(|bytes| bytes == whole)
            && fs::read(place.script()).unwrap() == fs::read(&made).unwrap()
    };
    assert!(sound.is_well() && is_whole(), "{}", shown(&sound.output));
    let beside = names(&place.unit());
    let faults = [
        ("any", Fault::Kill),
        ("space", Fault::Fail(Errno::ENOSPC)),
        ("descriptors", Fault::Fail(Errno::EMFILE)),
        ("interruptible", Fault::Fail(Errno::EINTR)),
    ];
    for (calls, fault) in faults {
        let kind = Kind { role: "launcher", calls, fault };
        for number in (1..=sound.count(kind.role, calls)).step_by(every) {
            let injection = Injection(kind, number);
            let report = place.inject(injection, &shim);
            let context = || format!("{injection}: {}{}", report.text, shown(&report.output));
            assert_eq!(report.survivors(), [""; 0], "{}", context());
            if report.is_well() {
                assert!(is_whole(), "{}", context());
            } else if fault != Fault::Kill {
                assert_ne!(fault, Fault::Fail(Errno::EINTR), "{}", context());
                // Who fails before all else leaves what was there.
                assert!(!launcher.exists() || is_whole(), "{}", context());
                assert!(!report.output.stderr.is_empty(), "{}", context());
            }
            let next = place.inject(Injection::NONE, &shim);
            assert!(next.is_well() && is_whole(), "{}\nthen {}", context(), shown(&next.output));
            assert_eq!(names(&place.unit()), beside, "{}", context());
        }
    }
}

#[test]
fn a_shim_that_fails_or_is_killed_leaves_no_script() {
    shim_faults(19);
}

/// So little is allowed that something fails, wherever that is (getrlimit(2)).
#[test]
fn few_descriptors_or_little_memory_are_allowed() {
    let place = Place::new();
    let sound = Sound::of(&place);
    let few = (3..=24).map(|count| format!("--nofile={count}:{count}"));
    let little = (4..=64).step_by(4).map(|mebibytes| format!("--as={}", mebibytes << 20));
    let (mut went_well, mut failed) = (0, 0);
    for limit in few.chain(little) {
        let mut launcher = place.command(Path::new("/usr/bin/prlimit"));
        let report = place.inject(Injection::NONE, launcher.arg(&limit).arg(place.launcher()));
        let context = || format!("{limit}: {}{}", report.text, shown(&report.output));
        assert_eq!(report.survivors(), [""; 0], "{}", context());
        assert!(!place.path("outside").exists(), "{}", context());
        let record = place.essence();
        assert!(!matches!(record, Some(Err(_))), "{record:?} {}", context());
        if report.is_well() {
            assert_eq!(report.output.stdout, sound.report.output.stdout, "{}", context());
            assert!(record.is_some(), "{}", context());
            went_well += 1;
        } else {
            failed += 1;
        }
        place.empty_out_dir();
    }
    assert!(went_well > 3 && failed > 3, "{went_well} went well, {failed} failed");
    let next = place.inject(Injection::NONE, &place.command(&place.launcher()));
    assert!(next.is_well(), "{}", shown(&next.output));
    assert_eq!(names(&place.unit()), sound.beside);
    assert_eq!(place.names_after_a_session(), BTreeSet::new());
}

/// A file system with so many free pages, then with more.
#[test]
fn a_disk_has_room_for_a_part() {
    const RUN: &str = "
        mount -t tmpfs -o size=128k none \"$UNIT\"
        mkdir \"$OUT_DIR\"
        head -c 1m /dev/zero >\"$UNIT/filler\" 2>/dev/null
        truncate -s -$ROOM \"$UNIT/filler\"
        \"$TOOL\" exec -- \"$SCRIPT\"
        echo first $?
        cd \"$UNIT\"; echo left *; cd - >/dev/null
        rm \"$UNIT/filler\"
        \"$TOOL\" exec -- \"$SCRIPT\"
        echo second $?
        cd \"$UNIT\"; echo left *";
    let place = Place::new();
    let script = place.path("script");
    fs::rename(place.script(), &script).unwrap();
    let mut codes = BTreeSet::new();
    for pages in 0..8 {
        let mut command = place.command(Path::new("unshare"));
        // A process namespace, so that everything has ended when this has.
        command.args(["-Urmpf", "--mount-proc", "--kill-child", "sh", "-c", RUN]);
        command.env("UNIT", place.unit()).env("TOOL", TOOL).env("SCRIPT", &script);
        let output = succeed(command.env("ROOM", (pages * 4096).to_string()));
        let text = stdout(&output);
        let said = |word: &str| -> Vec<&str> {
            text.lines().filter_map(|line| line.strip_prefix(word)).collect()
        };
        let code = said("first ")[0];
        assert!(["0", "101", "125"].contains(&code), "{}", shown(&output));
        let first = if code == "125" { "filler out" } else { "brig.json filler out" };
        assert_eq!(said("left "), [first, "brig.json out"], "{}", shown(&output));
        assert_eq!(said("second "), ["0"], "{}", shown(&output));
        assert!(code != "125" || stderr(&output).contains("No space left"), "{}", shown(&output));
        assert!(!place.path("outside").exists());
        codes.insert(code.to_owned());
    }
    assert!(codes.contains("0") && codes.contains("125"), "{codes:?}");
}

/// Two builds in one target directory, of which the first and all of its own are killed: its script ends, and
/// the second, which has waited for it, does its work.
#[test]
fn a_build_that_waits_for_one_that_is_killed_goes_on() {
    let script = r#"
        unsafe extern "C" { fn pause() -> i32; }
        fn main() {
            println!("cargo::rerun-if-changed=build.rs");
            println!("the script is {}", std::process::id());
            while std::env::var_os("T_WAITS").is_some() {
                unsafe { pause() };
            }
        }"#;
    let project = Project::with_script("twice", script);
    let tmp = project.root.with_file_name("tmp");
    fs::create_dir(&tmp).unwrap();
    let build = || {
        let mut build = project.brig(&["build", "-vv"]);
        build.env("TMPDIR", &tmp).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        build
    };
    let line = |lines: &mut dyn BufRead, wanted: &str| {
        let mut line = String::new();
        while !line.contains(wanted) {
            line.clear();
            assert_ne!(lines.read_line(&mut line).unwrap(), 0, "`{wanted}` does not come");
        }
        line
    };
    let mut first = build().env("T_WAITS", "1").spawn().unwrap();
    let said = line(&mut BufReader::new(first.stdout.take().unwrap()), "the script is ");
    let script: i32 = said.trim().rsplit(' ').next().unwrap().parse().unwrap();
    assert!(Path::new(&format!("/proc/{script}")).exists());
    let mut second = build().spawn().unwrap();
    let mut errors = BufReader::new(second.stderr.take().unwrap());
    line(&mut errors, "Blocking waiting for file lock");
    killpg(Pid::from_raw(first.id().cast_signed()), Signal::SIGKILL).unwrap();
    assert!(!first.wait().unwrap().success());
    let summary = line(&mut errors, "Jailed ");
    assert!(summary.contains("1 build script run in the jail"), "{summary}");
    assert!(second.wait_with_output().unwrap().status.success());
    assert!(!Path::new(&format!("/proc/{script}")).exists());
    assert_eq!(project.records().len(), 1);
    // The first one's session, home, library and temporary directory are no more.
    succeed(&mut build());
    assert_eq!(names(&tmp), BTreeSet::new());
}
