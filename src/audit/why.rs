//! `cargo brig why`: one package, explained: what brings it in, whether it is approved, what its build
//! script did, and which rule allowed each thing.
//!
//! Which rule that was is found by the policies as they are now, and for another run's private
//! directories and `DEP_*` variables it is told by their names.

pub mod page;

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::io::{self, Write, stdout};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::baseline::{self, Baseline};
use super::beside;
use super::cargo_lock::{self, CargoLock, Locked, Member};
use super::evidence::{self, Unusable};
use super::fail;
use super::formats::visible_json;
use super::judge::{Case, judge};
use super::names::{Names, Usual};
use super::observed::Observer;
use super::report::Package;
use super::run::Run;
use crate::access::Kind;
use crate::cli::{Format, Why};
use crate::exit::{self, Ending};
use crate::front::command_line::CommandLine;
use crate::front::{self, policy_of};
use crate::policies;
use crate::policy::document::{Place, Unnamed};
use crate::policy::layers::Places;
use crate::policy::placeholders::Placeholders;
use crate::policy::resolve::{self, Private};
use crate::policy::{Grants, Layers, Policy, Right, layers};
use crate::private_dir::{self, PrivateDir};
use crate::show;
use crate::show::find::{self, Found, Workspace};
use crate::show::page::{Page, Paint};
use crate::stored::{Stored, StoredOutcome};
use crate::unit::Unit;

/// Version of the fields of [`Explanation`]; raised when one changes its meaning or goes.
const SCHEMA: u32 = 1;

/// Why nothing can be explained.
#[derive(Debug, thiserror::Error)]
enum Error {
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
pub fn run(arguments: &Why) -> Ending {
    match explain(arguments) {
        Ok(()) => Ending::Code(0),
        Err(Error::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ending::Code(0),
        Err(error) => {
            let help = match &error {
                Error::Baseline(error) => error.help(),
                Error::Unusable(Unusable::Policy) => Some(
                    "name the policy that it was made under with `--policy`, or run `cargo brig \
                     audit` again",
                ),
                Error::Unusable(_) => Some("run `cargo brig audit` again"),
                _ => None,
            };
            fail(&error, help, exit::FAILED)
        }
    }
}

/// Everything about one package.
#[derive(Debug, Serialize)]
struct Explanation {
    schema: u32,
    tool: &'static str,
    /// One for each run of its script.
    runs: Vec<Explained>,
}

/// One run, explained.
#[derive(Debug, Serialize)]
struct Explained {
    /// As in an audit's report, with this run alone.
    package: Package,
    /// Paths, by the rule that allowed their use.
    paths: Vec<ByRule>,
    /// Variables that were asked for and are set, by the rule that passes or withholds them.
    variables: Vec<ByRule>,
}

/// What comes of one rule.
#[derive(Debug, Serialize)]
struct ByRule {
    /// The rule and its place, or why there is none, for a person.
    rule: String,
    values: BTreeSet<String>,
}

fn by_rule(rules: BTreeMap<String, BTreeSet<String>>) -> Vec<ByRule> {
    rules.into_iter().map(|(rule, values)| ByRule { rule, values }).collect()
}

fn explain(arguments: &Why) -> Result<(), Error> {
    let workspace = Workspace::of(&arguments.location)?;
    let mut failure = None;
    let mut found =
        workspace.records(Some(&arguments.package), &mut |error| failure = Some(error))?;
    if let Some(error) = failure {
        return Err(error.into());
    }
    find::retain_last(&mut found);
    let context = Context::new(arguments)?;
    let mut text = Vec::new();
    match arguments.format {
        Format::Json => {
            let runs = found.iter().map(|run| Ok(context.explain(run)?.0));
            let explanation = Explanation {
                schema: SCHEMA,
                tool: concat!("cargo-brig ", env!("CARGO_PKG_VERSION")),
                runs: runs.collect::<Result<_, Error>>()?,
            };
            visible_json::write(&explanation, &mut text).map_err(Error::Output)?;
        }
        Format::Human => {
            let mut page = Page::new(Paint::of_stdout());
            for (index, run) in found.iter().enumerate() {
                if index > 0 {
                    page.blank();
                }
                let (explained, known) = context.explain(run)?;
                page::render(&mut page, &explained, &known);
            }
            text.extend(page.text().as_bytes());
        }
    }
    let mut out = stdout().lock();
    out.write_all(&text).and_then(|()| out.flush()).map_err(Error::Output)
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
    fn new(arguments: &Why) -> Result<Self, Error> {
        let mut words = vec!["metadata".into()];
        if let Some(path) = &arguments.location.manifest_path {
            words.extend(["--manifest-path".into(), path.clone().into_os_string()]);
        }
        let metadata = front::metadata(&CommandLine::parse(&words), &["--no-deps"]);
        let metadata = metadata.unwrap_or_default();
        let root = metadata.get("workspace_root").and_then(serde_json::Value::as_str);
        let root = root.map_or_else(|| env::current_dir().unwrap_or_default(), Into::into);
        let members = Member::all_in(&metadata);
        let baseline = Baseline::read(&root.join(baseline::FILE_NAME))?;
        let places = policies::places_at(Some(root.clone()));
        let named = arguments.policy.as_ref().map(|policy| policy_of(policy.as_ref()));
        let places = Places { named: named.or(places.named), ..places };
        Ok(Self {
            cargo_lock: CargoLock::read(&root.join("Cargo.lock"), &members)?,
            members,
            baseline: baseline.map(|(baseline, _)| baseline).unwrap_or_default(),
            layers: Layers::read(&places)?,
            private: [PrivateDir::new("tmp")?, PrivateDir::new("home")?],
            root,
        })
    }

    /// One run, and by which placeholders its paths are shortened.
    fn explain(&self, run: &Found) -> Result<(Explained, Placeholders), Error> {
        let text = find::read(&run.path)?;
        let (stored, policy) = evidence::read(&run.path, &text, &self.layers)?;
        let record = run.path.to_string_lossy().into_owned();
        let ran = Run::of(&stored, record, beside::digest(&text), false);
        let package = self.judged(&stored, &policy, ran);
        let unit = stored.unit.unit();
        let [tmp, home] = &self.private;
        let private = Private { tmp: tmp.path(), home: home.path(), library: None };
        let grants = resolve::resolve(policy, &unit, private, None)?;
        let paths = by_rule(self.paths(&stored, &grants));
        let variables = by_rule(variables(&stored, &grants));
        Ok((Explained { package, paths, variables }, Placeholders::of(&unit)))
    }

    /// As an audit judges it.
    fn judged(&self, stored: &Stored<'_>, policy: &Policy, run: Run) -> Package {
        let (name, version) = (stored.unit.package.to_string(), stored.unit.version.to_string());
        let index = self.cargo_lock.find(&name, &version, None);
        let locked = match index {
            Some(index) => self.cargo_lock.packages()[index].clone(),
            None => Locked { name, version, ..Locked::default() },
        };
        let observed = Observer::new(&self.root).observe(stored, 0);
        let case = Case {
            locked,
            runs: vec![(run, observed)],
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
    fn paths(&self, stored: &Stored<'_>, grants: &Grants) -> BTreeMap<String, BTreeSet<String>> {
        let usual = Usual::default();
        let names = Names::of(&stored.unit, &usual, &self.root);
        let mut allowed: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for access in &stored.accesses {
            let right = access.kind.right().filter(|_| access.outcome == StoredOutcome::Allowed);
            let Some(right) = right else { continue };
            let rule = rule_of(grants, &names, right, access.kind, &access.path);
            allowed.entry(rule).or_default().insert(access.path.to_string());
        }
        allowed
    }
}

/// The variables that were asked for and are set, by the rule that passes or withholds them.
fn variables(stored: &Stored<'_>, grants: &Grants) -> BTreeMap<String, BTreeSet<String>> {
    let mut variables: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let asked = stored.environment.iter().flat_map(|environment| &environment.asked);
    for asked in asked.filter(|asked| &*asked.state != "absent") {
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
        variables.entry(rule).or_default().insert(name.to_owned());
    }
    variables
}

fn at(place: &Place) -> String {
    format!("{}:{}", place.file, place.line)
}

/// The rule that gives a right on a path.
fn rule_of(grants: &Grants, names: &Names<'_>, right: Right, kind: Kind, path: &str) -> String {
    let text = |place: &Place| {
        let policy = &grants.policy;
        let lists = [&policy.list, &policy.read, &policy.execute, &policy.write];
        let rule =
            lists.into_iter().flatten().find(|rule| rule.place == *place && !rule.text.is_empty());
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
