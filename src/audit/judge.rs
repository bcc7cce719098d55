//! From what was observed of a package's script, and what was approved, to a verdict.

use super::baseline::{Approved, Baseline, same_place};
use super::behaviour::Behaviour;
use super::cargo_lock::Locked;
use super::observed::{Observed, succeeded};
use super::report::{Change, Gone, Package, Verdict};
use super::run::Run;
use crate::show::quantity;

/// A package's script, in all its runs of a build.
#[derive(Debug)]
pub struct Case {
    /// The package as `Cargo.lock` knows it.
    pub locked: Locked,
    /// What was observed in each run.
    pub runs: Vec<(Run, Observed)>,
    /// Why something about it is not known.
    pub unknown: Option<String>,
    /// Whether the policy fails a unit for what it is denied.
    pub denial_is_fatal: bool,
}

/// Judges one package. Where it stands in files is for who calls to add.
#[must_use]
pub fn judge(case: Case, baseline: &Baseline) -> Package {
    let Case { locked, runs, unknown, denial_is_fatal } = case;
    let approved = approval(&locked, baseline);
    let mut package = Package {
        name: locked.name,
        version: locked.version,
        source: locked.source,
        checksum: locked.checksum,
        verdict: Verdict::Unchanged,
        reason: None,
        approved_version: approved.map(|approved| approved.version.clone()),
        behaviour: Behaviour::default(),
        added: Vec::new(),
        gone: Vec::new(),
        denials: Vec::new(),
        findings: Vec::new(),
        runs: Vec::new(),
        lock: None,
        manifest: None,
        path: Vec::new(),
    };
    for (run, observed) in runs {
        for (aspect, value) in observed.behaviour.values() {
            let is_approved =
                approved.is_some_and(|approved| approved.behaviour.of(aspect).contains(value));
            if package.behaviour.of_mut(aspect).insert(value.to_owned()) && !is_approved {
                let by = observed.by.get(&(aspect, value.to_owned())).cloned();
                package.added.push(Change { aspect, value: value.to_owned(), by });
            }
        }
        package.denials.extend(observed.denials);
        package.findings.extend(observed.findings);
        package.runs.push(run);
    }
    package.added.sort_by(|a, b| (a.aspect, &a.value).cmp(&(b.aspect, &b.value)));
    if unknown.is_none() {
        let values = approved.iter().flat_map(|approved| approved.behaviour.values());
        let gone = values.filter(|(aspect, value)| !package.behaviour.of(*aspect).contains(*value));
        package.gone =
            gone.map(|(aspect, value)| Gone { aspect, value: value.to_owned() }).collect();
    }
    (package.verdict, package.reason) = verdict(&package, approved, unknown, denial_is_fatal);
    package
}

/// What was approved of this version, or of the nearest one.
fn approval<'b>(locked: &Locked, baseline: &'b Baseline) -> Option<&'b Approved> {
    baseline
        .of_version(&locked.name, &locked.version, locked.source.as_deref())
        .or_else(|| baseline.nearest(&locked.name, &locked.version, locked.source.as_deref()))
}

fn verdict(
    package: &Package,
    approved: Option<&Approved>,
    unknown: Option<String>,
    denial_is_fatal: bool,
) -> (Verdict, Option<String>) {
    if let Some(finding) = package.findings.iter().find(|finding| finding.fatal) {
        return (Verdict::Violated, Some(finding.message.clone()));
    }
    if let Some(denial) = package.denials.first().filter(|_| denial_is_fatal) {
        return (Verdict::Violated, Some(denial.message.clone()));
    }
    if let Some(run) = package.runs.iter().find(|run| !succeeded(run.exit)) {
        return (Verdict::Failed, Some(format!("ended with {}", quantity::exit(run.exit))));
    }
    if unknown.is_some() {
        return (Verdict::Unjudged, unknown);
    }
    let Some(approved) = approved else { return (Verdict::NewPackage, None) };
    if !same_place(approved.source.as_deref(), package.source.as_deref()) {
        let from = |source: Option<&str>| source.unwrap_or("a directory").to_owned();
        let (then, now) = (from(approved.source.as_deref()), from(package.source.as_deref()));
        return (Verdict::Replaced, Some(format!("was approved from {then}, and is from {now}")));
    }
    if approved.version != package.version {
        let is_same = package.added.is_empty();
        return (if is_same { Verdict::NewVersion } else { Verdict::Changed }, None);
    }
    if approved.checksum != package.checksum {
        let text = |checksum: Option<&str>| checksum.unwrap_or("none").to_owned();
        let then = text(approved.checksum.as_deref());
        let now = text(package.checksum.as_deref());
        let reason = format!("was approved with the checksum {then}, and has {now}");
        return (Verdict::Replaced, Some(reason));
    }
    (if package.added.is_empty() { Verdict::Unchanged } else { Verdict::Changed }, None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::behaviour::Aspect;
    use crate::audit::report::{Finding, Outcome};
    use crate::process::Exit;

    const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

    fn behaviour(programs: &[&str]) -> Behaviour {
        let programs = programs.iter().map(|program| (*program).to_owned()).collect();
        Behaviour { programs, ..Behaviour::default() }
    }

    fn baseline(checksum: &str, programs: &[&str]) -> Baseline {
        let mut baseline = Baseline::default();
        let approved = baseline.entry("a", "1.0.0", Some(REGISTRY));
        approved.checksum = Some(checksum.to_owned());
        approved.behaviour = behaviour(programs);
        baseline
    }

    fn case(version: &str, programs: &[&str], exit: Exit) -> Case {
        let locked = Locked {
            name: "a".to_owned(),
            version: version.to_owned(),
            source: Some(REGISTRY.to_owned()),
            checksum: Some("c".to_owned()),
            ..Locked::default()
        };
        let run = Run {
            record: "/r".to_owned(),
            record_sha256: String::new(),
            started: 0,
            ran_now: true,
            target: None,
            exit,
            wall_us: 0,
            processes: Vec::new(),
            processes_dropped: 0,
            outputs: Vec::new(),
            outputs_dropped: 0,
        };
        let observed = Observed { behaviour: behaviour(programs), ..Observed::default() };
        Case { locked, runs: vec![(run, observed)], unknown: None, denial_is_fatal: false }
    }

    #[test]
    fn every_verdict_has_its_cause() {
        let ok = Exit::Code(0);
        let known = baseline("c", &["cc", "sh"]);
        let of = |case: Case, baseline: &Baseline| judge(case, baseline).verdict;
        assert_eq!(of(case("1.0.0", &["cc"], ok), &known), Verdict::Unchanged);
        assert_eq!(of(case("1.0.0", &["curl"], ok), &known), Verdict::Changed);
        assert_eq!(of(case("1.1.0", &["cc"], ok), &known), Verdict::NewVersion);
        assert_eq!(of(case("1.1.0", &["curl"], ok), &known), Verdict::Changed);
        assert_eq!(of(case("1.0.0", &["cc"], ok), &Baseline::default()), Verdict::NewPackage);
        assert_eq!(of(case("1.0.0", &["cc"], ok), &baseline("d", &["cc"])), Verdict::Replaced);
        assert_eq!(of(case("1.0.0", &["cc"], Exit::Signal(9)), &known), Verdict::Failed);
        let mut elsewhere = case("1.0.0", &["cc"], ok);
        elsewhere.locked.source = None;
        assert_eq!(of(elsewhere, &known), Verdict::Replaced);
        let mut unknown = case("1.0.0", &["cc"], ok);
        unknown.unknown = Some("has no record".to_owned());
        assert_eq!(of(unknown, &known), Verdict::Unjudged);
        let mut fatal = case("1.0.0", &["cc"], ok);
        fatal.runs[0].1.findings.push(Finding {
            code: "limit-memory".to_owned(),
            message: "came to a limit".to_owned(),
            fatal: true,
            by: None,
        });
        assert_eq!(of(fatal, &known), Verdict::Violated);
    }

    #[test]
    fn what_is_new_and_what_is_gone_are_told() {
        let package =
            judge(case("1.1.0", &["cc", "curl"], Exit::Code(0)), &baseline("c", &["cc", "sh"]));
        let added: Vec<_> =
            package.added.iter().map(|change| (change.aspect, &*change.value)).collect();
        assert_eq!(added, [(Aspect::Programs, "curl")]);
        assert_eq!((package.gone[0].aspect, &*package.gone[0].value), (Aspect::Programs, "sh"));
        assert_eq!(package.approved_version.as_deref(), Some("1.0.0"));
    }

    #[test]
    fn the_worst_counts() {
        let worst = [Verdict::NewVersion, Verdict::Violated, Verdict::Unjudged];
        assert_eq!(worst.iter().map(|verdict| verdict.outcome()).max(), Some(Outcome::Violated));
    }
}
