//! `cargo brig why`: one package, explained: what brings it in, whether it is approved, what its build
//! script did, and which rule allowed each thing.
//!
//! Which rule that was is found by the policies as they are now, and for another run's private
//! directories and `DEP_*` variables it is told by their names.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::io::{self, Write, stdout};
use std::path::{Path, PathBuf};

use super::baseline::{self, Baseline};
use super::behaviour::Aspect;
use super::cargo_lock::{self, CargoLock, Locked, Member};
use super::evidence::{self, Unusable};
use super::fail;
use super::judge::{Case, judge};
use super::names::{Names, Usual};
use super::observed::Observer;
use super::report::{Package, Verdict};
use super::run::Run;
use crate::access::Kind;
use crate::cli::Show;
use crate::exit::{self, Ending};
use crate::front;
use crate::front::command_line::CommandLine;
use crate::policies;
use crate::policy::document::{Place, Unnamed};
use crate::policy::resolve::{self, Private};
use crate::policy::{Grants, Layers, Policy, Right, layers};
use crate::private_dir::{self, PrivateDir};
use crate::show::find::{self, Found, Workspace};
use crate::show::page::{Page, Paint};
use crate::show::quantity::counted;
use crate::show::{self, groups};
use crate::stored::{Stored, StoredOutcome};
use crate::unit::Unit;

/// So many things that one rule allowed are shown.
const SHOWN: usize = 8;

/// Why nothing can be explained.
#[derive(Debug, thiserror::Error)]
enum Error {
    /// No package was named.
    #[error("write `cargo brig why PACKAGE`")]
    NoPackage,
    /// The records.
    #[error(transparent)]
    Records(#[from] show::Error),
    /// One record.
    #[error(transparent)]
    Unusable(#[from] Unusable),
    /// The baseline.
    #[error(transparent)]
    Baseline(#[from] baseline::Error),
    /// `Cargo.lock`.
    #[error(transparent)]
    CargoLock(#[from] cargo_lock::Error),
    /// The policies.
    #[error(transparent)]
    Policy(#[from] layers::Error),
    /// What they mean here.
    #[error(transparent)]
    Resolve(#[from] resolve::Error),
    /// The directories that stand for a run's own.
    #[error(transparent)]
    PrivateDir(#[from] private_dir::Error),
    /// Standard output.
    #[error("cannot write to standard output")]
    Output(#[source] io::Error),
}

/// Explains the package that the arguments name.
#[must_use]
pub fn run(arguments: &Show) -> Ending {
    match explain(arguments) {
        Ok(()) => Ending::Code(0),
        Err(Error::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ending::Code(0),
        Err(error) => {
            let code = if matches!(error, Error::NoPackage) { exit::USAGE } else { exit::FAILED };
            let help = match &error {
                Error::Baseline(error) => error.help(),
                Error::Unusable(_) => Some("run `cargo brig audit` again"),
                _ => None,
            };
            fail(&error, help, code)
        }
    }
}

fn explain(arguments: &Show) -> Result<(), Error> {
    let package = arguments.package.as_ref().ok_or(Error::NoPackage)?;
    let workspace = Workspace::of(arguments)?;
    let mut failure = None;
    let mut found = workspace.records(Some(package), &mut |error| failure = Some(error))?;
    if let Some(error) = failure {
        return Err(error.into());
    }
    find::retain_last(&mut found);
    let context = Context::new(arguments)?;
    let mut page = Page::new(Paint::of_stdout());
    for (index, run) in found.iter().enumerate() {
        if index > 0 {
            page.blank();
        }
        context.explain(&mut page, run)?;
    }
    let mut out = stdout().lock();
    out.write_all(page.text().as_bytes()).and_then(|()| out.flush()).map_err(Error::Output)
}

/// What is the same for all runs.
struct Context {
    root: PathBuf,
    members: Vec<Member>,
    cargo_lock: CargoLock,
    baseline: Baseline,
    layers: Layers,
    private: [PrivateDir; 2],
}

impl Context {
    fn new(arguments: &Show) -> Result<Self, Error> {
        let mut words = vec!["metadata".into()];
        if let Some(path) = &arguments.manifest_path {
            words.extend(["--manifest-path".into(), path.clone().into_os_string()]);
        }
        let metadata = front::metadata(&CommandLine::parse(&words), &["--no-deps"]);
        let metadata = metadata.unwrap_or_default();
        let root = metadata.get("workspace_root").and_then(serde_json::Value::as_str);
        let root = root.map_or_else(|| env::current_dir().unwrap_or_default(), Into::into);
        let members = Member::all_in(&metadata);
        let baseline = Baseline::read(&root.join(baseline::FILE_NAME))?;
        Ok(Self {
            cargo_lock: CargoLock::read(&root.join("Cargo.lock"), &members)?,
            members,
            baseline: baseline.map(|(baseline, _)| baseline).unwrap_or_default(),
            layers: Layers::read(&policies::places_at(Some(root.clone())))?,
            private: [PrivateDir::new("tmp")?, PrivateDir::new("home")?],
            root,
        })
    }

    fn explain(&self, page: &mut Page, run: &Found) -> Result<(), Error> {
        let text = find::read(&run.path)?;
        let (stored, policy) = evidence::read(&run.path, &text, &self.layers)?;
        let package = self.judged(&stored, &policy, run);
        page.title(&package.title());
        origin(page, &package);
        let verdict = match (&package.verdict, &package.approved_version) {
            (Verdict::NewPackage, _) => "is not in brig.lock".to_owned(),
            (verdict, Some(version)) => format!("{verdict}, compared with v{version} in brig.lock"),
            (verdict, None) => verdict.to_string(),
        };
        page.line(2, &verdict);
        page.dim(2, &run.path.to_string_lossy());
        for (aspect, values) in by_aspect(&package) {
            page.heading(&format!("It {} ({})", aspect.verb(), values.len()));
            for (value, is_new) in values {
                let new = if is_new { "  (not approved)" } else { "" };
                page.line(2, &format!("{value}{new}"));
            }
        }
        self.rules(page, &stored, policy)?;
        if !package.denials.is_empty() {
            page.warning(&format!("Denied ({})", package.denials.len()));
            for denial in &package.denials {
                page.line(2, &denial.message);
                if let Some(rule) = &denial.rule {
                    page.rule(6, rule);
                }
            }
        }
        for finding in &package.findings {
            page.warning(&format!("{}: it {}", finding.code, finding.message));
        }
        Ok(())
    }

    /// As an audit judges it.
    fn judged(&self, stored: &Stored<'_>, policy: &Policy, run: &Found) -> Package {
        let (name, version) = (stored.unit.package.to_string(), stored.unit.version.to_string());
        let index = self.cargo_lock.find(&name, &version, None);
        let locked = match index {
            Some(index) => self.cargo_lock.packages()[index].clone(),
            None => Locked { name, version, ..Locked::default() },
        };
        let observed = Observer::new(&self.root).observe(stored, 0);
        let record = run.path.to_string_lossy().into_owned();
        let reported = Run::of(stored, record, String::new(), false);
        let case = Case {
            locked,
            runs: vec![(reported, observed)],
            unknown: None,
            denial_is_fatal: policy.fails_by_denial(),
        };
        let mut package = judge(case, &self.baseline);
        if let Some(index) = index {
            package.path = self.cargo_lock.path_to(index);
            package.manifest = self.cargo_lock.manifest_of(index, &self.members, &self.root);
        }
        package
    }

    /// What was allowed, by the rule that allowed it.
    fn rules(&self, page: &mut Page, stored: &Stored<'_>, policy: Policy) -> Result<(), Error> {
        let unit = stored.unit.unit();
        let [tmp, home] = &self.private;
        let private = Private { tmp: tmp.path(), home: home.path(), library: None };
        let grants = resolve::resolve(policy, &unit, private, None)?;
        let usual = Usual::default();
        let names = Names::of(&stored.unit, &usual, &self.root);
        let mut allowed: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
        for access in &stored.accesses {
            let right = access.kind.right().filter(|_| access.outcome == StoredOutcome::Allowed);
            let Some(right) = right else { continue };
            let rule = rule_of(&grants, &names, right, access.kind, &access.path);
            allowed.entry(rule).or_default().insert(&access.path);
        }
        page.heading("What allowed it");
        for (rule, paths) in &allowed {
            page.line(2, &format!("{rule}: {}", counted(paths.len() as u64, "path")));
            let paths: Vec<_> =
                paths.iter().map(|path| names.placeholders().shorten(path)).collect();
            let lines = groups::lines(paths.iter().map(AsRef::as_ref), false);
            for line in lines.iter().take(SHOWN) {
                page.dim(6, line);
            }
            if lines.len() > SHOWN {
                page.dim(6, &format!("… and {} more", lines.len() - SHOWN));
            }
        }
        let Some(environment) = &stored.environment else { return Ok(()) };
        let mut variables: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
        for asked in environment.asked.iter().filter(|asked| &*asked.state != "absent") {
            let name = &*asked.name;
            let rule = match grants.policy.variable(name.as_bytes()) {
                _ if Unit::is_cargo_variable(name.as_ref()) => {
                    "Cargo sets it for build scripts".to_owned()
                }
                (Unnamed::Pass, Some(rule)) => format!("passed by {}", at(&rule.place)),
                (Unnamed::Withhold, Some(rule)) => format!("withheld by {}", at(&rule.place)),
                (Unnamed::Pass, None) => "no rule withholds it".to_owned(),
                (Unnamed::Withhold, None) => "no rule passes it".to_owned(),
            };
            variables.entry(rule).or_default().insert(name);
        }
        for (rule, names) in variables {
            let names: Vec<&str> = names.into_iter().collect();
            page.line(2, &format!("{}: {rule}", counted(names.len() as u64, "variable")));
            page.dim(6, &names.join(", "));
        }
        Ok(())
    }
}

/// What brings it in.
fn origin(page: &mut Page, package: &Package) {
    let manifest = package.manifest.as_ref();
    let place = manifest.map(|place| format!(" ({}:{})", place.file, place.line));
    let place = place.unwrap_or_default();
    match &package.path[..] {
        [] => page.line(2, "is not in Cargo.lock"),
        [_] => page.line(2, &format!("in this workspace{place}")),
        path => page.line(2, &format!("by way of {}{place}", path.join(" → "))),
    }
    if let Some(source) = &package.source {
        page.dim(2, source);
    }
}

fn at(place: &Place) -> String {
    format!("{}:{}", place.file, place.line)
}

/// The values of a package's behaviour, and whether they are new.
fn by_aspect(package: &Package) -> Vec<(Aspect, Vec<(&str, bool)>)> {
    let is_new = |aspect: Aspect, value: &str| {
        package.added.iter().any(|change| change.aspect == aspect && change.value == value)
    };
    Aspect::ALL
        .into_iter()
        .filter(|aspect| !package.behaviour.of(*aspect).is_empty())
        .map(|aspect| {
            let values = package.behaviour.of(aspect).iter();
            (aspect, values.map(|value| (value.as_str(), is_new(aspect, value))).collect())
        })
        .collect()
}

/// The rule that gives a right on a path.
fn rule_of(grants: &Grants, names: &Names<'_>, right: Right, kind: Kind, path: &str) -> String {
    let text = |place: &Place| {
        let policy = &grants.policy;
        let rules = policy.read.iter().chain(&policy.execute).chain(&policy.write);
        let rule = rules.into_iter().find(|rule| rule.place == *place && !rule.text.is_empty());
        rule.map_or_else(|| at(place), |rule| format!("{} ({})", rule.text, at(place)))
    };
    let target = Path::new(path);
    // A name is given by who may write in the directory.
    let target = if kind.is_of_a_name() { target.parent().unwrap_or(target) } else { target };
    let granted = grants
        .files
        .iter()
        .filter(|grant| grant.right.includes(right) && target.starts_with(&grant.path));
    // The nearest directory says most.
    let nearest = granted.max_by_key(|grant| grant.path.as_os_str().len());
    if let Some(place) = nearest.and_then(|grant| grant.place.as_ref()) {
        return text(place);
    }
    match names.placeholders().split(path) {
        Some((placeholder @ ("{tmp}" | "{empty-home}" | "{out-dir}"), _)) => placeholder.to_owned(),
        _ if names.is_in_build_dir(path) => "{dep-out-dirs}, by a `DEP_*` variable".to_owned(),
        _ if path.contains("cargo-brig") => "cargo-brig's own library".to_owned(),
        _ => "a rule that is not there any more, or not on this machine".to_owned(),
    }
}
