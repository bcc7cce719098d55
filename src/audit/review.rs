//! One audit: from the build to the report.
//!
//! Every script of the build has to have a record that this program can read, made under the policies
//! that decide now. One that has none is run again, by making Cargo forget that it ran; what then still
//! cannot be judged is said to be so.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{SystemTime, UNIX_EPOCH};

use super::baseline::{self, Baseline};
use super::cargo_lock::{self, CargoLock, Locked, Member};
use super::evidence::{self, Evidence, name_and_version};
use super::judge::{Case, judge};
use super::observed::Observer;
use super::report::{
    Document, Location, Outcome, Package, Policy as ReportedPolicy, Report, SCHEMA, Verdict,
    Workspace,
};
use super::run::Run;
use super::{beside, last, left_out};
use crate::cli::Audit;
use crate::completeness;
use crate::exit;
use crate::front::build::{Build, Preparation};
use crate::front::command_line::CommandLine;
use crate::front::{self, policy_of};
use crate::policy::{Layers, layers};
use crate::process::Exit;
use crate::show::{self, find, quantity};

/// An audit that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The build.
    #[error(transparent)]
    Front(#[from] front::Error),
    /// Cargo knows of no workspace here.
    #[error(transparent)]
    NoWorkspace(#[from] show::Error),
    /// The policies.
    #[error(transparent)]
    Policy(#[from] layers::Error),
    /// The baseline.
    #[error(transparent)]
    Baseline(#[from] baseline::Error),
    /// `Cargo.lock`.
    #[error(transparent)]
    CargoLock(#[from] cargo_lock::Error),
    /// Cargo's fingerprints.
    #[error(transparent)]
    Completeness(#[from] completeness::Error),
    /// The last audit's report.
    #[error(transparent)]
    Last(#[from] last::Error),
    /// An option of Cargo's that the audit needs for itself.
    #[error("`{option}` is what cargo-brig itself asks Cargo for in an audit")]
    Taken {
        /// The option.
        option: &'static str,
    },
}

impl Error {
    /// The exit code.
    #[must_use]
    pub fn exit_code(&self) -> i32 {
        match self {
            Self::Front(error) => error.exit_code(),
            Self::Taken { .. } => exit::USAGE,
            _ => exit::FAILED,
        }
    }

    /// What can be done about it.
    #[must_use]
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Self::Baseline(error) => error.help(),
            Self::NoWorkspace(_) => {
                Some("go to a package's directory, or name one with --manifest-path")
            }
            _ => None,
        }
    }
}

/// Makes an audit, and keeps its report for `cargo brig approve`.
///
/// # Errors
/// See [`Error`].
pub fn review(arguments: &Audit) -> Result<Report, Error> {
    front::require_static()?;
    let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let words = command(arguments)?;
    let policy = arguments.policy.as_ref().map(|policy| policy_of(policy.as_ref()));
    let preparation = Preparation::new(CommandLine::parse(&words), &words, policy)?;
    let metadata = front::metadata(&preparation.command_line, &["--no-deps"]);
    let (Some(root), Some(metadata)) = (&preparation.workspace, &metadata) else {
        return Err(find::no_workspace(&preparation.command_line).into());
    };
    let baseline_file = root.join(baseline::FILE_NAME);
    let baseline = Baseline::read(&baseline_file)?;
    let layers = Layers::read(&preparation.places())?;
    let lock = alone(root);

    let (build, mut remarks) = build(&preparation, &layers)?;
    let members = Member::all_in(metadata);
    let cargo_lock_file = root.join("Cargo.lock");
    let cargo_lock = CargoLock::read(&cargo_lock_file, &members)?;
    let cargo = Exit::from(build.status);
    let mut bench = Bench {
        layers: &layers,
        cargo_lock: &cargo_lock,
        members: &members,
        root,
        baseline: baseline.as_ref().map_or(&Baseline::default(), |(baseline, _)| baseline).clone(),
        policies: BTreeSet::new(),
    };
    let packages = bench.packages(&build);
    let worst = packages.iter().map(|package| package.verdict.outcome()).max();
    let mut result = worst.unwrap_or(Outcome::Clean);
    if cargo == Exit::Code(0) {
        remarks.extend(left_out::remark(&preparation.command_line, &packages));
    } else {
        remarks.push(format!(
            "Cargo ended with {}: scripts that it did not come to are not in this report",
            quantity::exit(cargo)
        ));
        result = result.max(Outcome::Unjudged);
    }
    let report = Report {
        schema: SCHEMA,
        tool: concat!("cargo-brig ", env!("CARGO_PKG_VERSION")).to_owned(),
        started,
        workspace: Workspace {
            root: root.to_string_lossy().into_owned(),
            baseline: baseline_file.to_string_lossy().into_owned(),
            baseline_sha256: baseline.as_ref().map(|(_, digest)| digest.clone()),
            lock_sha256: fs::read(&cargo_lock_file).ok().map(|text| beside::digest(&text)),
        },
        command: words.iter().map(|word| word.to_string_lossy().into_owned()).collect(),
        cargo,
        departed: departed(&bench.baseline, &cargo_lock),
        policies: bench.policies.into_iter().collect(),
        packages,
        remarks,
        result,
    };
    if let Some(target) = preparation.roots.first() {
        last::write(target, &report)?;
    }
    drop(lock);
    Ok(report)
}

/// What Cargo is asked for.
fn command(arguments: &Audit) -> Result<Vec<OsString>, Error> {
    let mut rest = arguments.cargo.clone();
    for option in ["--message-format", "--build-plan", "--unit-graph"] {
        let is_it = |word: &OsString| {
            word.to_str()
                .and_then(|word| word.strip_prefix(option))
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
        };
        if rest.iter().any(is_it) {
            return Err(Error::Taken { option });
        }
    }
    let mut words = Vec::new();
    if rest.first().is_some_and(|first| first.to_string_lossy().starts_with('+')) {
        words.push(rest.remove(0));
    }
    words.push(if arguments.check { "check".into() } else { "build".into() });
    // One script's failure does not hide the others.
    if !rest.iter().any(|word| word == "--keep-going") {
        words.push("--keep-going".into());
    }
    words.push("--message-format=json-render-diagnostics".into());
    words.extend(rest);
    Ok(words)
}

/// Waits until no other audit of this workspace runs. A file system that has no locks has none here either:
/// Cargo's own would be missing, too.
fn alone(root: &Path) -> Option<File> {
    let directory = File::open(root).ok()?;
    let locked = match directory.try_lock() {
        Err(TryLockError::WouldBlock) => {
            eprintln!("    Blocking waiting for another audit of this workspace");
            directory.lock()
        }
        Err(TryLockError::Error(error)) => Err(error),
        Ok(()) => Ok(()),
    };
    if let Err(error) = locked {
        tracing::debug!(%error, "no lock");
        return None;
    }
    Some(directory)
}

/// Builds, and once more if a script has to be run again.
fn build(preparation: &Preparation, layers: &Layers) -> Result<(Build, Vec<String>), Error> {
    let first = preparation.build(Stdio::piped())?;
    let mut remarks = Vec::new();
    let mut stale: Vec<PathBuf> = Vec::new();
    for Evidence { record, .. } in evidence::of(&first).into_values() {
        let usable = find::read(&record).map_err(evidence::Unusable::from);
        let usable = usable.and_then(|text| evidence::read(&record, &text, layers).map(|_| ()));
        if let Err(unusable) = usable {
            let directory = record.parent().unwrap_or(&record).to_owned();
            remarks.push(format!("a script was run again: {unusable}"));
            stale.push(directory);
        }
    }
    for script in &first.findings.unjailed {
        stale.extend(script.parent().map(Path::to_owned));
    }
    // The reason for a first run is told once.
    remarks.sort();
    remarks.dedup();
    if stale.is_empty() {
        return Ok((first, remarks));
    }
    for directory in &stale {
        completeness::forget(directory)?;
    }
    let mut second = preparation.build(Stdio::piped())?;
    // What ran in the first build ran in this audit, and what ran outside of the jail did.
    second.runs.extend(first.runs);
    second.findings.unjailed.extend(first.findings.unjailed);
    second.findings.unjailed.sort();
    second.findings.unjailed.dedup();
    Ok((second, remarks))
}

/// Packages of the baseline that no version of is in `Cargo.lock`.
fn departed(baseline: &Baseline, cargo_lock: &CargoLock) -> Vec<String> {
    let is_there = |name: &str| cargo_lock.packages().iter().any(|package| package.name == name);
    let gone = baseline.packages.iter().filter(|approved| !is_there(&approved.name));
    gone.map(|approved| format!("{} v{}", approved.name, approved.version)).collect()
}

/// Everything that judging takes.
struct Bench<'b> {
    layers: &'b Layers,
    cargo_lock: &'b CargoLock,
    members: &'b [Member],
    root: &'b Path,
    baseline: Baseline,
    policies: BTreeSet<ReportedPolicy>,
}

impl Bench<'_> {
    /// Every package whose script is in the build, judged.
    fn packages(&mut self, build: &Build) -> Vec<Package> {
        let observer = Observer::new(self.root);
        let mut cases: BTreeMap<(String, String, Option<String>), Case> = BTreeMap::new();
        for evidence in evidence::of(build).into_values() {
            self.take(&evidence, &observer, &mut cases);
        }
        let mut packages: Vec<Package> = cases
            .into_values()
            .map(|case| {
                let package = judge(case, &self.baseline);
                self.located(package)
            })
            .collect();
        for script in &build.findings.unjailed {
            packages.push(self.unjailed(script));
        }
        for (title, by) in &build.overridden {
            let (name, version) = title.split_once(" v").unwrap_or((title, ""));
            let is_here = |package: &Package| package.name == name && package.version == version;
            if !packages.iter().any(is_here) {
                let reason = format!("{} gives its results instead", by.file.display());
                packages.push(self.without_run(name, version, Verdict::Overridden, reason));
            }
        }
        packages.sort_by(|a, b| {
            (&a.name, &a.version, &a.source).cmp(&(&b.name, &b.version, &b.source))
        });
        packages
    }

    /// Adds a run to the case of its package.
    fn take(
        &mut self,
        evidence: &Evidence,
        observer: &Observer,
        cases: &mut BTreeMap<(String, String, Option<String>), Case>,
    ) {
        let id = evidence.id.as_deref();
        let text = find::read(&evidence.record).map_err(evidence::Unusable::from);
        let (text, unreadable) = match text {
            Ok(text) => (text, None),
            Err(error) => (Vec::new(), Some(error)),
        };
        let read = match unreadable {
            Some(error) => Err(error),
            None => evidence::read(&evidence.record, &text, self.layers),
        };
        let (name, version) = match (&read, id) {
            (Ok((stored, _)), _) => {
                (stored.unit.package.to_string(), stored.unit.version.to_string())
            }
            (Err(_), Some(id)) => name_and_version(id),
            (Err(_), None) => ("(unknown package)".to_owned(), String::new()),
        };
        let locked = self.locked(&name, &version, id);
        let key = (name, version, locked.source.clone());
        let case = cases.entry(key).or_insert_with(|| Case {
            locked,
            runs: Vec::new(),
            unknown: None,
            denial_is_fatal: false,
        });
        let (stored, policy) = match read {
            Ok(read) => read,
            Err(error) => {
                case.unknown.get_or_insert(error.to_string());
                return;
            }
        };
        case.denial_is_fatal |= policy.fails_by_denial();
        let documents = policy
            .documents
            .iter()
            .map(|(file, sha256)| Document { file: file.clone(), sha256: sha256.clone() });
        self.policies.insert(ReportedPolicy { name: policy.name, documents: documents.collect() });
        let seen = observer.observe(&stored, case.runs.len());
        let record = evidence.record.to_string_lossy().into_owned();
        let run = Run::of(&stored, record, beside::digest(&text), evidence.ran_now);
        case.runs.push((run, seen));
    }

    fn locked(&self, name: &str, version: &str, id: Option<&str>) -> Locked {
        match self.cargo_lock.find(name, version, id) {
            Some(index) => self.cargo_lock.packages()[index].clone(),
            None => {
                Locked { name: name.to_owned(), version: version.to_owned(), ..Locked::default() }
            }
        }
    }

    /// Adds where the workspace's files speak of a package.
    fn located(&self, mut package: Package) -> Package {
        let is_it = |locked: &Locked| {
            locked.name == package.name
                && locked.version == package.version
                && locked.source == package.source
        };
        if let Some(index) = self.cargo_lock.packages().iter().position(is_it) {
            let line = self.cargo_lock.packages()[index].line;
            package.lock = Some(Location { file: "Cargo.lock".to_owned(), line });
            package.manifest = self.cargo_lock.manifest_of(index, self.members, self.root);
            package.path = self.cargo_lock.path_to(index);
        }
        package
    }

    /// A package of which there is no run to judge.
    fn without_run(&self, name: &str, version: &str, verdict: Verdict, reason: String) -> Package {
        let case = Case {
            locked: self.locked(name, version, None),
            runs: Vec::new(),
            unknown: Some(String::new()),
            denial_is_fatal: false,
        };
        let mut package = self.located(judge(case, &self.baseline));
        (package.verdict, package.reason) = (verdict, Some(reason));
        package
    }

    /// The package of a script that was not in the jail, by its directory's name.
    fn unjailed(&self, script: &Path) -> Package {
        let directory = script.parent().and_then(Path::file_name).unwrap_or_default();
        let directory = directory.to_string_lossy();
        let name = directory.rsplit_once('-').map_or(&*directory, |(name, _)| name);
        let of_name = self.cargo_lock.packages().iter().find(|package| package.name == name);
        let version = of_name.map_or("", |package| package.version.as_str());
        let reason = format!("`{}` is not cargo-brig's launcher", script.display());
        self.without_run(name, version, Verdict::Unjailed, reason)
    }
}
