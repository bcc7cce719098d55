//! The workspace of all generated packages, and its builds: by plain Cargo and under policies, always
//! from nothing and at the same path, so that whatever a script writes down of paths is the same.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tempfile::TempDir;

use crate::list::{self, Row};
use crate::support::{cargo, clean_command, copy_dir, succeed};

/// How the corpus is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// By plain Cargo.
    Plain,
    /// By plain Cargo, in a directory of another name: what is another than before is so by chance or
    /// by the name of its directory. In the jail that name is another one, too, because of the unit's hash.
    Again,
    /// `cargo brig` under the policy `default`.
    Default,
    /// `cargo brig` under the policy `strict`.
    Strict,
    /// Under `strict` with the documents of the collection, what is not the same without them.
    Collected,
    /// Under `strict` with the rules that were learned, what it did not build without them.
    Learned,
}

impl Mode {
    fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Again => "again",
            Self::Default => "default",
            Self::Strict => "strict",
            Self::Collected => "collected",
            Self::Learned => "learned",
        }
    }
}

/// The target directory's names: another one for [`Mode::Again`], as long.
pub(crate) const TARGETS: [&str; 2] = ["target", "tarbet"];

/// One build script that ran, or was fresh.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Unit {
    /// Name and version.
    pub(crate) package: String,
    /// The directory of its `OUT_DIR`, where the build is kept.
    pub(crate) directory: PathBuf,
}

/// What came of a row's build.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Built {
    pub(crate) succeeded: bool,
    pub(crate) seconds: f64,
    /// Processor time of Cargo and of all that it started.
    pub(crate) cpu_seconds: f64,
    /// The scripts that succeeded.
    pub(crate) units: Vec<Unit>,
    /// What was printed on stderr.
    pub(crate) log: String,
}

/// All builds of one mode, by the rows' names.
pub(crate) type Builds = BTreeMap<String, Built>;

/// Processor time of the processes that this one has waited for, and of theirs.
fn cpu_seconds() -> f64 {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap();
    [usage.user_time(), usage.system_time()]
        .map(|time| Duration::from_micros(time.num_microseconds().try_into().unwrap()))
        .iter()
        .sum::<Duration>()
        .as_secs_f64()
}

/// See the file's description.
#[derive(Debug)]
pub(crate) struct Workspace {
    root: PathBuf,
    _temporary: Option<TempDir>,
}

impl Workspace {
    /// A workspace of these rows, in a directory that is kept, or else in a temporary one. What they
    /// depend on is fetched.
    ///
    /// The path has no blank in it: many a Makefile could not be used there.
    pub(crate) fn of(rows: &[Row], kept: Option<PathBuf>) -> Self {
        let temporary = kept
            .is_none()
            .then(|| tempfile::Builder::new().prefix("brig-corpus-").tempdir().unwrap());
        let root = kept.unwrap_or_else(|| temporary.as_ref().unwrap().path().to_owned());
        fs::create_dir_all(&root).unwrap();
        let root = fs::canonicalize(root).unwrap();
        let workspace = Self { root, _temporary: temporary };
        workspace.generate(rows);
        workspace
    }

    fn sources(&self) -> PathBuf {
        self.root.join("workspace")
    }

    /// Where Cargo builds.
    fn target(&self, mode: Mode) -> PathBuf {
        self.root.join(TARGETS[usize::from(mode == Mode::Again)])
    }

    /// The rules that were learned.
    pub(crate) fn learned(&self) -> PathBuf {
        self.root.join("learned.toml")
    }

    /// Where Cargo builds a row. Variables make scripts give something else: where one is set, they run in
    /// a directory of their own.
    fn target_of(&self, row: &Row, mode: Mode) -> PathBuf {
        let target = self.target(mode);
        if row.variables().is_empty() { target } else { target.join(&row.name) }
    }

    /// The document that takes these in.
    pub(crate) fn taking_in(&self, crates: &BTreeSet<&str>) -> PathBuf {
        let path = self.root.join("collected.toml");
        let crates: Vec<&&str> = crates.iter().collect();
        fs::write(&path, format!("extends = \"strict\"\ncrates = {crates:?}\n")).unwrap();
        path
    }

    /// Where each build's directory is moved.
    pub(crate) fn kept(&self, mode: Mode) -> PathBuf {
        self.root.join(mode.name())
    }

    fn generate(&self, rows: &[Row]) {
        let sources = self.sources();
        if sources.exists() {
            return;
        }
        let beside = self.root.join("workspace.new");
        drop(fs::remove_dir_all(&beside));
        for row in rows {
            let package = beside.join(&row.name);
            fs::create_dir_all(package.join("src")).unwrap();
            if row.files().exists() {
                copy_dir(&row.files(), &package);
            }
            fs::write(package.join("Cargo.toml"), row.manifest()).unwrap();
            let library = package.join("src/lib.rs");
            if !library.exists() {
                fs::write(library, "").unwrap();
            }
        }
        let members: Vec<&String> = rows.iter().map(|row| &row.name).collect();
        // Without debugging information a build is smaller, and says less of where it was done.
        let manifest = format!(
            "[workspace]\nresolver = \"3\"\nmembers = {members:?}\n\n[profile.dev]\ndebug = false\n"
        );
        fs::write(beside.join("Cargo.toml"), manifest).unwrap();
        fs::write(beside.join(".gitignore"), "").unwrap();
        // What it names beside these rows Cargo leaves out.
        let locked = list::directory().join("Cargo.lock");
        if locked.exists() {
            fs::copy(locked, beside.join("Cargo.lock")).unwrap();
        }
        // For scripts that tell of commits.
        let git = |arguments: &[&str]| {
            let mut git = Command::new("git");
            git.current_dir(&beside).args(arguments).env("GIT_CONFIG_GLOBAL", "/dev/null");
            for who in ["AUTHOR", "COMMITTER"] {
                git.env(format!("GIT_{who}_NAME"), "Corpus")
                    .env(format!("GIT_{who}_EMAIL"), "corpus@example.org")
                    .env(format!("GIT_{who}_DATE"), "2026-01-01T00:00:00Z");
            }
            succeed(&mut git);
        };
        git(&["init", "--quiet", "--initial-branch=main"]);
        let mut fetch = clean_command(cargo());
        fetch.arg("fetch").current_dir(&beside);
        succeed(&mut fetch);
        git(&["add", "--all"]);
        git(&["commit", "--quiet", "--message=Corpus"]);
        fs::rename(beside, sources).unwrap();
    }

    /// What Cargo has locked.
    pub(crate) fn lock_file(&self) -> String {
        fs::read_to_string(self.sources().join("Cargo.lock")).unwrap()
    }

    fn command(&self, mode: Mode, words: &[&str]) -> Command {
        let mut command = clean_command(cargo());
        command.args(words).current_dir(self.sources());
        command.env("CARGO_TARGET_DIR", self.target(mode)).env("CARGO_INCREMENTAL", "0");
        // It would keep what it has built in the home directory, for the next build.
        command.env("GMP_MPFR_SYS_CACHE", "_");
        command
    }

    fn build(&self, row: &Row, mode: Mode, words: &[&str]) -> Built {
        let mut command = self.command(mode, words);
        command.args(["check", "--offline", "--keep-going", "--message-format=json"]);
        command.arg("--package").arg(row.member()).args(row.arguments());
        command.env("CARGO_TARGET_DIR", self.target_of(row, mode)).envs(row.variables());
        let used = cpu_seconds();
        let started = Instant::now();
        let output = command.stdin(Stdio::null()).output().unwrap();
        let seconds = started.elapsed().as_secs_f64();
        let cpu_seconds = cpu_seconds() - used;
        let messages = String::from_utf8_lossy(&output.stdout);
        let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let units = messages
            .filter(|message| message["reason"] == "build-script-executed")
            .map(|message| {
                let id = message["package_id"].as_str().unwrap();
                let package = id.rsplit_once('#').map_or(id, |(_, package)| package);
                let out_dir = Path::new(message["out_dir"].as_str().unwrap());
                let directory = out_dir.parent().unwrap();
                Unit {
                    package: package.replace('@', " "),
                    directory: directory.strip_prefix(self.target(mode)).unwrap().to_owned(),
                }
            })
            .collect();
        let log = String::from_utf8_lossy(&output.stderr).into_owned();
        Built { succeeded: output.status.success(), seconds, cpu_seconds, units, log }
    }

    /// Builds each of the rows, from nothing, and keeps what scripts left and what came of it. What is
    /// there already is not done again, and a build that was interrupted goes on.
    pub(crate) fn build_all(&self, rows: &[Row], mode: Mode, policy: Option<&Path>) -> Builds {
        let kept = self.kept(mode);
        let name = format!("{}.json", mode.name());
        if let Ok(builds) = fs::read(kept.join(&name)) {
            return serde_json::from_slice(&builds).unwrap();
        }
        let target = self.target(mode);
        let progress = target.join(name);
        let mut builds = if let Ok(builds) = fs::read(&progress) {
            serde_json::from_slice(&builds).unwrap()
        } else {
            if target.exists() {
                fs::remove_dir_all(&target).unwrap();
            }
            fs::create_dir(&target).unwrap();
            Builds::new()
        };
        let policy = policy.map(|policy| policy.to_str().unwrap());
        let words = match (mode, policy) {
            (Mode::Plain | Mode::Again, _) => vec![],
            (Mode::Default, None) => vec!["brig"],
            (_, Some(policy)) => vec!["brig", "--policy", policy],
            (_, None) => vec!["brig", "--policy", mode.name()],
        };
        for row in rows {
            if builds.contains_key(&row.name) {
                continue;
            }
            let built = self.build(row, mode, &words);
            eprintln!(
                "{:8} {:28} {:6.1} s, {:3} scripts{}",
                mode.name(),
                row.name,
                built.seconds,
                built.units.len(),
                if built.succeeded { "" } else { ", FAILED" }
            );
            builds.insert(row.name.clone(), built);
            fs::write(&progress, serde_json::to_vec(&builds).unwrap()).unwrap();
        }
        if mode == Mode::Default && builds.values().any(|built| !built.units.is_empty()) {
            let learned = succeed(&mut self.command(mode, &["brig", "policy", "learn"]));
            fs::write(self.learned(), learned.stdout).unwrap();
        }
        // Only what lies beside the scripts is looked at.
        for other in ["debug/deps", "debug/.fingerprint", "debug/incremental"] {
            drop(fs::remove_dir_all(target.join(other)));
        }
        fs::write(&progress, serde_json::to_vec(&builds).unwrap()).unwrap();
        fs::rename(target, kept).unwrap();
        builds
    }
}
