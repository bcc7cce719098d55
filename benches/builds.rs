//! What the jail costs whole scripts, and each call of theirs: processor time and wall time, against
//! the bare script, strace and bubblewrap.
//!
//! The scripts are compiled once, by Cargo in its `dev` profile, with the versions that the example
//! workspace has locked, and what Cargo gives them is kept. Then each round runs each of them in each
//! way, in turn, in an empty `OUT_DIR`, so that whatever else the machine does meets all of them.
//! Processor time is that of everything that was started: supervisor, warden, strace and bubblewrap
//! included. What a launcher adds before the script's `main` is measured by `launch.rs`.
//!
//! `cargo bench --bench builds [-- ROUNDS] [jail]`; 10 rounds unless told otherwise, and with `jail`
//! neither strace nor bubblewrap.

#[path = "../tests/support/captured.rs"]
mod captured;
mod cost;
#[path = "../tests/support/mod.rs"]
mod support;

use std::env;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use captured::{Captured, capture};
use cost::{Cost, median, run};
use serde_json::Value;
use support::{Project, TOOL, succeed};

const ROUNDS: usize = 10;
/// Calls of each kind that one run of `calls` makes.
const CALLS: u32 = 20_000;
/// Files that `reads` opens.
const FILES: u32 = 100_000;
/// A directory has this many of them.
const FILES_IN_DIRECTORY: u32 = 1000;

/// Asks the compiler a dozen questions.
const PROBES: &str = r#"
fn main() {
    let probe = autocfg::new();
    for path in ["std::sync::OnceLock", "std::sync::LazyLock", "std::net::IpAddr", "no::such"] {
        probe.emit_has_path(path);
    }
    for name in ["i128", "u128", "std::num::NonZeroU8", "std::no::Type"] {
        probe.emit_has_type(name);
    }
    probe.emit_expression_cfg("1.0_f64.total_cmp(&2.0)", "has_total_cmp");
    probe.emit_expression_cfg("1.0_f64.no_such_method()", "has_no_such_method");
    probe.emit_constant_cfg("u32::MAX.leading_zeros()", "has_constant");
    probe.emit_has_trait("std::iter::Sum");
}
"#;

/// Prints how many nanoseconds one call of each kind takes.
const CALLS_SCRIPT: &str = r#"
use std::fs::{self, File};
use std::path::Path;
use std::time::Instant;

fn main() {
    let Ok(calls) = std::env::var("T_CALLS") else { return };
    let calls: u32 = calls.parse().unwrap();
    let out = std::env::var("OUT_DIR").unwrap();
    let (file, link) = (Path::new(&out).join("file"), Path::new(&out).join("link"));
    let absent = Path::new(&out).join("absent");
    fs::write(&file, "x").unwrap();
    std::os::unix::fs::symlink(&file, &link).unwrap();
    let measure = |name: &str, call: &dyn Fn()| {
        let start = Instant::now();
        for _ in 0..calls {
            call();
        }
        println!("{name}: {}", start.elapsed().as_nanos() / u128::from(calls));
    };
    measure("open, close", &|| drop(File::open(&file).unwrap()));
    measure("open of nothing", &|| assert!(File::open(&absent).is_err()));
    measure("stat", &|| drop(fs::metadata(&file).unwrap()));
    measure("readlink", &|| drop(fs::read_link(&link).unwrap()));
}
"#;

/// Opens every file of a directory of directories.
const READS_SCRIPT: &str = r#"
use std::fs::{self, File};

fn main() {
    let Ok(directory) = std::env::var("T_FILES") else { return };
    let mut files = 0;
    for directory in fs::read_dir(directory).unwrap() {
        for file in fs::read_dir(directory.unwrap().path()).unwrap() {
            File::open(file.unwrap().path()).unwrap();
            files += 1;
        }
    }
    println!("{files} files");
}
"#;

/// The scripts that are measured whole, and what they do.
const BUILDS: [(&str, &str); 6] = [
    ("libgit2-sys", "C through cc, with many directories of headers"),
    ("libsqlite3-sys", "C through cc, one large file"),
    ("libz-ng-sys", "CMake"),
    ("ring", "C and assembly through cc"),
    ("zstd-sys", "C through cc"),
    ("probes", "a dozen questions to rustc, by autocfg"),
];

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// A project with the scripts, each captured.
struct Fixture {
    project: Project,
    scripts: Vec<Captured>,
}

impl Fixture {
    fn new() -> Self {
        let project = Project::copy_of("example");
        let manifest = fs::read_to_string(project.root.join("Cargo.toml")).unwrap();
        let members = "members = [\n    \"probes\",\n    \"calls\",\n    \"reads\",";
        project.write("Cargo.toml", &manifest.replacen("members = [", members, 1));
        for (name, script) in [("probes", PROBES), ("calls", CALLS_SCRIPT), ("reads", READS_SCRIPT)]
        {
            let mut package = format!("[package]\nname = \"{name}\"\nedition = \"2024\"\n");
            if name == "probes" {
                package.push_str("[build-dependencies]\nautocfg = \"1\"\n");
            }
            project.write(&format!("{name}/Cargo.toml"), &package);
            project.write(&format!("{name}/build.rs"), script);
            project.write(&format!("{name}/src/lib.rs"), "");
        }
        let mut cargo = project.cargo(&["check", "--quiet", "--workspace"]);
        capture(&mut cargo, &project.root.join("capture"));
        succeed(&mut cargo);
        let scripts = Captured::all(&project.root.join("target/debug"));
        fs::create_dir(project.root.join("tmp")).unwrap();
        Self { project, scripts }
    }

    fn script(&self, package: &str) -> &Captured {
        self.scripts.iter().find(|script| script.package == package).expect("it was captured")
    }

    fn record(&self) -> PathBuf {
        self.project.root.join("record.json")
    }

    /// A command that runs a script in this way, in an empty `OUT_DIR`.
    fn command(&self, script: &Captured, way: Way) -> Command {
        script.empty_out_dir();
        let tmp = self.project.root.join("tmp");
        let mut command = match way {
            Way::Bare => script.command(&script.program),
            Way::Jailed => {
                let mut command = script.command(TOOL);
                command.args(["exec", "--record"]).arg(self.record()).arg("--");
                command.arg(&script.program);
                command
            }
            Way::Strace => {
                let mut command = script.command("strace");
                command.args(["-f", "-qq", "-e", "trace=file", "-o", "/dev/null", "--"]);
                command.arg(&script.program);
                command
            }
            Way::Bubblewrap => {
                let mut command = script.command("bwrap");
                command.args(["--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"]);
                for directory in [&script.out_dir, &tmp] {
                    command.arg("--bind").args([directory, directory]);
                }
                command.args(["--unshare-net", "--"]).arg(&script.program);
                command
            }
        };
        command.env("TMPDIR", tmp).stdin(Stdio::null());
        command
    }
}

/// How a script is run.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    Bare,
    Jailed,
    Strace,
    Bubblewrap,
}

impl Way {
    fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::Jailed => "jailed",
            Self::Strace => "strace",
            Self::Bubblewrap => "bubblewrap",
        }
    }

    /// Why it cannot be tried here, if it cannot.
    fn missing(self) -> Option<String> {
        let words: &[&str] = match self {
            Self::Bare | Self::Jailed => return None,
            Self::Strace => &["strace", "-o", "/dev/null", "true"],
            Self::Bubblewrap => &["bwrap", "--ro-bind", "/", "/", "--unshare-net", "true"],
        };
        match Command::new(words[0]).args(&words[1..]).output() {
            Ok(output) if output.status.success() => None,
            Ok(output) => Some(String::from_utf8_lossy(&output.stderr).trim_end().to_owned()),
            Err(error) => Some(error.to_string()),
        }
    }
}

/// How many accesses a record has, and of how many kinds; none if it keeps none.
fn accesses(record: &Path) -> Result<Option<(u64, usize)>> {
    let record: Value = serde_json::from_slice(&fs::read(record)?)?;
    let Some(accesses) = record["accesses"].as_array() else { return Ok(None) };
    let count = accesses.iter().filter_map(|access| access["count"].as_u64()).sum();
    Ok(Some((count, accesses.len())))
}

fn shown_accesses(accesses: Option<(u64, usize)>) -> String {
    accesses.map_or_else(
        || "not recorded by this version".to_owned(),
        |(count, kinds)| format!("{count}, in {kinds} entries"),
    )
}

#[expect(clippy::print_stdout, reason = "the figures are what it is run for")]
fn measure_builds(fixture: &Fixture, ways: &[Way], rounds: usize) -> Result<()> {
    for (package, what) in BUILDS {
        let script = fixture.script(package);
        // Caches are warm before the first round that counts.
        run(&mut fixture.command(script, Way::Bare))?;
        let mut rows: Vec<Vec<Cost>> = Vec::new();
        for _ in 0..rounds {
            let costs = ways.iter().map(|way| Ok(run(&mut fixture.command(script, *way))?.0));
            rows.push(costs.collect::<Result<_>>()?);
        }
        let accesses = shown_accesses(accesses(&fixture.record())?);
        println!("\n{package} ({what}); accesses: {accesses}");
        println!("{:<12} {:>9} {:>7}   {:>9} {:>7}", "", "CPU ms", "ratio", "wall ms", "ratio");
        for (index, way) in ways.iter().enumerate() {
            let columns = [|cost: Cost| cost.cpu, |cost: Cost| cost.wall].map(|of| {
                let time = median(rows.iter().map(|row| of(row[index])));
                let ratio = median(rows.iter().map(|row| of(row[index]) / of(row[0])));
                format!("{time:9.1} {ratio:7.3}")
            });
            println!("{:<12} {}", way.name(), columns.join("   "));
        }
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the figures are what it is run for")]
fn measure_calls(fixture: &Fixture, ways: &[Way], rounds: usize) -> Result<()> {
    let script = fixture.script("calls");
    let mut names: Vec<String> = Vec::new();
    let mut rows: Vec<Vec<Vec<f64>>> = Vec::new();
    for _ in 0..rounds {
        let mut row = Vec::new();
        for way in ways {
            let mut command = fixture.command(script, *way);
            let output = run(command.env("T_CALLS", CALLS.to_string()))?.1;
            let text = String::from_utf8(output.stdout)?;
            let figures = text.lines().filter_map(|line| line.split_once(": "));
            let figures: Vec<(&str, &str)> = figures.collect();
            names = figures.iter().map(|(name, _)| (*name).to_owned()).collect();
            let figures = figures.iter().map(|(_, figure)| figure.parse::<f64>());
            row.push(figures.collect::<std::result::Result<_, _>>()?);
        }
        rows.push(row);
    }
    print!("\n{:<16}", "µs for each call");
    for way in ways {
        print!(" {:>10}", way.name());
    }
    println!();
    for (call, name) in names.iter().enumerate() {
        print!("{name:<16}");
        for way in 0..ways.len() {
            print!(" {:10.2}", median(rows.iter().map(|row| row[way][call])) / 1000.0);
        }
        println!();
    }
    Ok(())
}

/// A process's peak resident set size in KiB; none once it has ended.
fn peak(pid: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    peak.trim().strip_suffix(" kB")?.trim().parse().ok()
}

/// The processes that a process has started.
fn children(pid: &str) -> Vec<String> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    children.unwrap_or_default().split_whitespace().map(str::to_owned).collect()
}

#[expect(clippy::print_stdout, reason = "the figures are what it is run for")]
fn measure_memory(fixture: &Fixture) -> Result<()> {
    let script = fixture.script("reads");
    let files = script.directory.join("files");
    for directory in 0..FILES / FILES_IN_DIRECTORY {
        let directory = files.join(directory.to_string());
        fs::create_dir_all(&directory)?;
        for file in 0..FILES_IN_DIRECTORY {
            fs::write(directory.join(format!("file-number-{file}")), "")?;
        }
    }
    let mut child = fixture
        .command(script, Way::Jailed)
        .env("T_FILES", &files)
        .stdout(Stdio::null())
        .spawn()?;
    // A process tells its peak as long as it lives, and nobody tells when it is about to end.
    let supervisor = child.id().to_string();
    let mut warden = None;
    let mut peaks = [0, 0];
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if warden.is_none() {
            warden = children(&supervisor).into_iter().next();
        }
        for (seen, pid) in peaks.iter_mut().zip([Some(&supervisor), warden.as_ref()]) {
            *seen = pid.and_then(|pid| peak(pid)).unwrap_or(0).max(*seen);
        }
        thread::sleep(Duration::from_micros(500));
    };
    if !status.success() {
        return Err(format!("the script that opens {FILES} files: {status}").into());
    }
    let record = fixture.record();
    let [supervisor, warden] = peaks.map(|kib| kib / 1024);
    println!("\na script that opens {FILES} files");
    println!("accesses: {}", shown_accesses(accesses(&record)?));
    println!("peak memory of supervisor, warden: {supervisor} MiB, {warden} MiB");
    println!("size of the record: {} KiB", fs::metadata(&record)?.len() / 1024);
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the figures are what it is run for")]
fn main() -> Result<()> {
    // Cargo passes `--bench`; a number is for us.
    let rounds = env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(ROUNDS);
    let mut ways = vec![Way::Bare, Way::Jailed];
    let others = if env::args().any(|argument| argument == "jail") {
        &[][..]
    } else {
        &[Way::Strace, Way::Bubblewrap]
    };
    for way in others.iter().copied() {
        match way.missing() {
            None => ways.push(way),
            Some(why) => println!("{} is left out: {why}", way.name()),
        }
    }
    let fixture = Fixture::new();
    println!("{rounds} rounds, medians; a ratio is to the bare run of the same round");
    measure_calls(&fixture, &ways, rounds.max(1))?;
    measure_memory(&fixture)?;
    measure_builds(&fixture, &ways, rounds.max(1))?;
    println!("\nfrom the launcher's start to the script's `main`: cargo bench --bench launch");
    Ok(())
}
