//! What the jail costs per script: the time from executing the launcher to the script's `main`,
//! against executing the script itself.
//!
//! The script is a real one: rustc compiles it, through the shim, in a workspace of Cargo's layout.
//! The first thing its `main` does is to read the clock. It is run bare, as a launcher, and by
//! `cargo brig exec`, in turn, so that whatever else the machine does meets all three. It is run in a
//! session, as by `cargo brig build`; with `alone` in none, as by `RUSTC_WRAPPER=cargo-brig cargo build`.
//!
//! `cargo bench --bench launch [-- ROUNDS] [alone]`; 200 rounds unless told otherwise.

use std::env;
use std::error::Error;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use cargo_brig::session::Session;
use cargo_brig::settings;
use nix::time::ClockId;

const TOOL: &str = env!("CARGO_BIN_EXE_cargo-brig");
const ROUNDS: usize = 200;
/// Runs before the first one that counts.
const WARM_UP: usize = 10;

/// The script. With `hold` it waits, so that the processes around it can be looked at.
const SCRIPT: &str = r#"
use std::os::raw::{c_int, c_long};

#[repr(C)]
struct Timespec { seconds: i64, nanoseconds: c_long }

unsafe extern "C" {
    fn clock_gettime(clock: c_int, time: *mut Timespec) -> c_int;
}

fn main() {
    const CLOCK_MONOTONIC: c_int = 1;
    let mut time = Timespec { seconds: 0, nanoseconds: 0 };
    let result = unsafe { clock_gettime(CLOCK_MONOTONIC, &mut time) };
    assert_eq!(result, 0);
    println!("main {} {}", time.seconds, time.nanoseconds);
    if std::env::args().nth(1).as_deref() == Some("hold") {
        std::thread::sleep(std::time::Duration::from_millis(500));
    }
}
"#;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn now() -> Result<Duration> {
    Ok(Duration::from(ClockId::CLOCK_MONOTONIC.now()?))
}

/// A workspace with one package and its compiled script.
struct Fixture {
    _dir: tempfile::TempDir,
    root: PathBuf,
    launcher: PathBuf,
    script: PathBuf,
}

impl Fixture {
    fn new() -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("brig-bench-").tempdir()?;
        let root = fs::canonicalize(dir.path())?;
        let unit = root.join("target/release/build/measured-0123456789abcdef");
        fs::create_dir_all(unit.join("out"))?;
        fs::create_dir_all(root.join("src"))?;
        fs::write(root.join("target/CACHEDIR.TAG"), "")?;
        fs::write(root.join("Cargo.toml"), "[package]\nname = \"measured\"\n")?;
        fs::write(root.join("src/lib.rs"), "")?;
        fs::write(root.join("build.rs"), SCRIPT)?;
        let compiled = Command::new(TOOL)
            .arg(rustc())
            .args(["--crate-name", "build_script_build", "--edition=2024", "build.rs"])
            .args(["--crate-type", "bin", "--emit=link", "--out-dir"])
            .arg(&unit)
            .current_dir(&root)
            .status()?;
        if !compiled.success() {
            return Err("the script cannot be compiled".into());
        }
        let launcher = unit.join("build_script_build");
        let script = cargo_brig::launcher::script_path(&launcher);
        Ok(Self { _dir: dir, root, launcher, script })
    }

    /// A command with what Cargo gives to a build script.
    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        let cargo = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
        command
            .current_dir(&self.root)
            .env("CARGO", cargo)
            .env("RUSTC", rustc())
            .env("CARGO_MANIFEST_DIR", &self.root)
            .env("OUT_DIR", self.launcher.with_file_name("out"))
            .env("CARGO_PKG_NAME", "measured")
            .env("CARGO_PKG_VERSION", "0.1.0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        command
    }

    fn way(&self, way: Way) -> Command {
        match way {
            Way::Bare => self.command(&self.script),
            Way::Launcher => self.command(&self.launcher),
            Way::Exec => {
                let mut command = self.command(Path::new(TOOL));
                command.args(["exec", "--"]).arg(&self.script);
                command
            }
        }
    }
}

fn rustc() -> OsString {
    env::var_os("RUSTC").unwrap_or_else(|| OsString::from("rustc"))
}

/// How the script is run.
#[derive(Clone, Copy)]
enum Way {
    Bare,
    Launcher,
    Exec,
}

const WAYS: [Way; 3] = [Way::Bare, Way::Launcher, Way::Exec];

impl Way {
    fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::Launcher => "launcher",
            Self::Exec => "cargo brig exec",
        }
    }
}

/// Times of one run, from just before the program was executed.
struct Times {
    main: Duration,
    exit: Duration,
}

fn run(command: &mut Command) -> Result<Times> {
    let start = now()?;
    let output = command.output()?;
    let exit = now()?;
    let text = String::from_utf8(output.stdout)?;
    let line = text.lines().find_map(|line| line.strip_prefix("main "));
    let Some((seconds, nanoseconds)) = line.and_then(|line| line.split_once(' ')) else {
        return Err(format!("{}: no time in `{text}`", output.status).into());
    };
    let main = Duration::new(seconds.parse()?, nanoseconds.parse()?);
    Ok(Times { main: main.saturating_sub(start), exit: exit.saturating_sub(start) })
}

/// Milliseconds, sorted.
struct Sample(Vec<f64>);

impl Sample {
    fn of(times: impl Iterator<Item = f64>) -> Self {
        let mut times: Vec<f64> = times.collect();
        times.sort_by(f64::total_cmp);
        Self(times)
    }

    fn percentile(&self, percent: usize) -> f64 {
        self.0[(self.0.len() - 1) * percent / 100]
    }

    fn line(&self) -> String {
        let [p10, p50, p90] = [10, 50, 90].map(|percent| self.percentile(percent));
        format!("{p50:8.3} {p10:8.3} {p90:8.3}")
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// Peak resident set sizes, in KiB, of the processes that a run consists of, outermost first.
fn peak_memory(fixture: &Fixture) -> Result<Vec<u64>> {
    let mut child = fixture.way(Way::Launcher).arg("hold").spawn()?;
    thread::sleep(Duration::from_millis(250));
    let mut peaks = Vec::new();
    let mut pid = child.id().to_string();
    loop {
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = peak.and_then(|peak| peak.trim().strip_suffix(" kB")).unwrap_or("0");
        peaks.push(peak.trim().parse()?);
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
        match children.split_whitespace().next() {
            Some(next) => next.clone_into(&mut pid),
            None => break,
        }
    }
    child.wait()?;
    Ok(peaks)
}

#[expect(clippy::print_stdout, reason = "the figures are what it is run for")]
fn main() -> Result<()> {
    let is_alone = env::args().any(|argument| argument == "alone");
    if !is_alone && env::var_os(settings::SESSION).is_none() {
        // A launcher looks for the session in the environment that its parent was started with.
        let session = Session::begin()?;
        let mut own = Command::new(env::current_exe()?);
        let status =
            own.args(env::args_os().skip(1)).env(settings::SESSION, session.path()).status()?;
        return if status.success() { Ok(()) } else { Err(status.to_string().into()) };
    }
    // Cargo passes `--bench`; a number is for us.
    let rounds = env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(ROUNDS);
    let fixture = Fixture::new()?;
    let mut rows: Vec<[Times; 3]> = Vec::with_capacity(rounds);
    for round in 0..WARM_UP + rounds.max(1) {
        let [bare, launcher, exec] = WAYS.map(|way| run(&mut fixture.way(way)));
        if round >= WARM_UP {
            rows.push([bare?, launcher?, exec?]);
        }
    }

    println!("{} rounds, milliseconds           median      p10      p90", rows.len());
    for what in ["to main", "to exit"] {
        let time = |times: &Times| if what == "to main" { times.main } else { times.exit };
        for (index, way) in WAYS.into_iter().enumerate() {
            let sample = Sample::of(rows.iter().map(|row| milliseconds(time(&row[index]))));
            println!("{what}  {:<24} {}", way.name(), sample.line());
        }
        for (index, way) in WAYS.into_iter().enumerate().skip(1) {
            let more =
                |row: &[Times; 3]| milliseconds(time(&row[index])) - milliseconds(time(&row[0]));
            let sample = Sample::of(rows.iter().map(more));
            println!("{what}  {:<24} {}", format!("{} - bare", way.name()), sample.line());
        }
    }
    let peaks: Vec<String> = peak_memory(&fixture)?.iter().map(u64::to_string).collect();
    println!("peak memory of supervisor, warden, script: {} KiB", peaks.join(", "));
    Ok(())
}
