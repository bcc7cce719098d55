//! The report for a person: what fails first, each with who did it and what brings it in; then what is
//! worth knowing; then what it comes to, and what to do.

use std::collections::BTreeMap;
use std::io::{self, Write};

use crate::access::printable;
use crate::audit::behaviour::Aspect;
use crate::audit::report::{Actor, Gone, Location, Outcome, Package, Report, Verdict};
use crate::lint;
use crate::show::page::cut;
use crate::show::quantity::counted;

/// So many values of one aspect of a new package, or changes of one package, are shown.
const SHOWN: usize = 20;
/// Characters of a line.
const WIDTH: usize = 180;

/// Writes it, with colours or without.
///
/// # Errors
/// If it cannot be written.
pub fn write(report: &Report, out: &mut dyn Write, color: bool) -> io::Result<()> {
    let mut text = Text { out, is_first: true, color };
    let fails = |package: &&Package| package.verdict.outcome() != Outcome::Clean;
    let mut failing: Vec<&Package> = report.packages.iter().filter(fails).collect();
    failing.sort_by_key(|package| std::cmp::Reverse(package.verdict.outcome()));
    // Without a baseline everything is new, and one line for each is enough to begin with.
    let is_beginning = report.workspace.baseline_sha256.is_none();
    for package in &failing {
        if is_beginning && package.verdict == Verdict::NewPackage {
            text.line(0, &format!("{}: {}", package.title(), in_short(package)))?;
        } else {
            text.package(package)?;
        }
    }
    for package in report.packages.iter().filter(|package| !fails(package)) {
        text.remarkable(package)?;
    }
    for gone in &report.departed {
        text.line(0, &format!("{gone}: is in brig.lock, and no longer in Cargo.lock"))?;
    }
    for remark in &report.remarks {
        text.line(0, &format!("note: {remark}"))?;
    }
    text.end(report, &failing, is_beginning)
}

/// What a script did, in numbers.
fn in_short(package: &Package) -> String {
    let counts = Aspect::ALL.into_iter().filter_map(|aspect| {
        let count = package.behaviour.of(aspect).len();
        (count > 0).then(|| format!("{aspect} {count}"))
    });
    let counts: Vec<String> = counts.collect();
    if counts.is_empty() { "nothing remarkable".to_owned() } else { counts.join(", ") }
}

struct Text<'o> {
    out: &'o mut dyn Write,
    is_first: bool,
    color: bool,
}

/// What the first line about a package is printed in (ECMA-48, 8.3.117).
const BOLD: &str = "1";
const GREEN: &str = "1;32";
const YELLOW: &str = "33";
const RED: &str = "1;31";

impl Text<'_> {
    fn line(&mut self, indent: usize, line: &str) -> io::Result<()> {
        self.is_first = false;
        let line = cut(&printable(line), WIDTH - indent);
        writeln!(self.out, "{:indent$}{line}", "")
    }

    fn painted(&mut self, paint: &str, indent: usize, line: &str) -> io::Result<()> {
        if !self.color {
            return self.line(indent, line);
        }
        self.is_first = false;
        let line = cut(&printable(line), WIDTH - indent);
        writeln!(self.out, "{:indent$}\x1b[{paint}m{line}\x1b[0m", "")
    }

    fn package(&mut self, package: &Package) -> io::Result<()> {
        if !self.is_first {
            writeln!(self.out)?;
        }
        // After a part was approved, it is this version.
        let since = package.approved_version.as_ref().filter(|version| {
            matches!(package.verdict, Verdict::Changed | Verdict::Violated | Verdict::Failed)
                && **version != package.version
        });
        let since = since.map_or_else(String::new, |version| format!(" since v{version}"));
        let verdict = match package.verdict {
            Verdict::Changed => format!("changed{since}"),
            Verdict::Violated | Verdict::Failed if !package.added.is_empty() => {
                format!("{}, and changed{since}", package.verdict)
            }
            verdict => verdict.to_string(),
        };
        self.painted(BOLD, 0, &format!("{}: {verdict}", package.title()))?;
        let is_told =
            |reason: &&String| package.findings.iter().any(|finding| finding.message == **reason);
        if let Some(reason) = package.reason.as_ref().filter(|reason| !is_told(reason)) {
            self.line(2, reason)?;
        }
        self.origin(package)?;
        for finding in &package.findings {
            self.painted(YELLOW, 2, &format!("{}: it {}", finding.code, finding.message))?;
            self.actor(finding.by.as_ref())?;
        }
        if package.verdict == Verdict::NewPackage {
            self.everything(package)?;
        } else {
            self.changes(package)?;
        }
        for run in &package.runs {
            self.line(2, &format!("record: {}", run.record))?;
        }
        Ok(())
    }

    /// What brings it in.
    fn origin(&mut self, package: &Package) -> io::Result<()> {
        let place = |location: &Location| format!("{}:{}", location.file, location.line);
        let places: Vec<String> = [&package.manifest, &package.lock]
            .into_iter()
            .filter_map(|location| location.as_ref().map(place))
            .collect();
        let places = places.join(", ");
        match &package.path[..] {
            [] => Ok(()),
            [_] => self.line(2, &format!("in this workspace ({places})")),
            path => self.line(2, &format!("by way of {} ({places})", path.join(" → "))),
        }
    }

    fn actor(&mut self, by: Option<&Actor>) -> io::Result<()> {
        let Some(by) = by else { return Ok(()) };
        // Of the script its name says enough.
        let arguments = by.arguments.iter().skip(1).map(String::as_str);
        let words: Vec<&str> = std::iter::once(by.program.as_str()).chain(arguments).collect();
        self.line(6, &format!("by process {}: {}", by.process, words.join(" ")))
    }

    /// All that a new package does, one line for each aspect.
    fn everything(&mut self, package: &Package) -> io::Result<()> {
        for aspect in Aspect::ALL {
            let values = package.behaviour.of(aspect);
            if values.is_empty() {
                continue;
            }
            let mut shown: Vec<&str> = values.iter().take(SHOWN).map(String::as_str).collect();
            let more = format!("… and {} more", values.len().saturating_sub(SHOWN));
            if values.len() > SHOWN {
                shown.push(&more);
            }
            self.line(2, &format!("{}: {}", aspect.verb(), shown.join(", ")))?;
        }
        Ok(())
    }

    /// What is new, with who did it, and what is gone.
    fn changes(&mut self, package: &Package) -> io::Result<()> {
        for change in package.added.iter().take(SHOWN) {
            self.painted(YELLOW, 2, &format!("+ {}: {}", change.aspect.verb(), change.value))?;
            self.actor(change.by.as_ref())?;
        }
        if let Some(more) = package.added.len().checked_sub(SHOWN).filter(|more| *more > 0) {
            self.line(2, &format!("… and {more} more"))?;
        }
        self.gone(package)
    }

    fn gone(&mut self, package: &Package) -> io::Result<()> {
        let mut gone: BTreeMap<Aspect, Vec<&str>> = BTreeMap::new();
        for Gone { aspect, value } in &package.gone {
            gone.entry(*aspect).or_default().push(value);
        }
        for (aspect, values) in gone {
            self.line(2, &format!("- no longer {}: {}", aspect.verb(), values.join(", ")))?;
        }
        Ok(())
    }

    /// What is worth knowing of a package that passes.
    fn remarkable(&mut self, package: &Package) -> io::Result<()> {
        let title = package.title();
        match (package.verdict, &package.approved_version, &package.reason) {
            (Verdict::NewVersion, Some(version), _) => {
                self.line(0, &format!("{title}: does what v{version} is approved for"))?;
            }
            (Verdict::Overridden, _, Some(reason)) => {
                self.line(0, &format!("{title}: was not run, because {reason}"))?;
            }
            _ if !package.gone.is_empty() => {
                self.line(0, &format!("{title}: does less than it is approved for"))?;
            }
            _ => return Ok(()),
        }
        self.gone(package)
    }

    /// What it comes to, and what to do.
    fn end(&mut self, report: &Report, failing: &[&Package], is_beginning: bool) -> io::Result<()> {
        if !self.is_first {
            writeln!(self.out)?;
        }
        let packages = counted(report.packages.len() as u64, "package");
        let scripts = format!("{packages} with a build script");
        let of = |outcome: Outcome| {
            failing.iter().filter(|package| package.verdict.outcome() == outcome).count() as u64
        };
        let is_lint = |code: &str| lint::Code::ALL.iter().any(|lint| lint.name() == code);
        let findings = report.packages.iter().flat_map(|package| &package.findings);
        let lints = findings.filter(|finding| is_lint(&finding.code)).count() as u64;
        let unapproved = counted(of(Outcome::Unapproved), "package");
        let count = |outcome| counted(of(outcome), "package");
        if report.result == Outcome::Clean {
            let advice = match lints {
                0 => String::new(),
                lints => format!("; {}: `cargo brig show --lints`", counted(lints, "lint")),
            };
            let line = format!("Audit: {scripts}, all as approved{advice}");
            return self.painted(GREEN, 0, &line);
        }
        let parts = [
            (
                Outcome::Unjailed,
                format!("the script of {} was not in the jail", count(Outcome::Unjailed)),
            ),
            (Outcome::Violated, format!("{} against the policy", count(Outcome::Violated))),
            (Outcome::Unapproved, format!("{unapproved} not as approved")),
            (Outcome::Failed, format!("the script of {} failed", count(Outcome::Failed))),
            (Outcome::Unjudged, format!("{} not to be judged", count(Outcome::Unjudged))),
        ];
        let parts = parts.into_iter().filter(|(outcome, _)| of(*outcome) > 0);
        let mut parts: Vec<String> = parts.map(|(_, part)| part).collect();
        if parts.is_empty() {
            parts.push("it was not built whole".to_owned());
        }
        self.painted(RED, 0, &format!("Audit: {scripts}; {}", parts.join(", ")))?;
        if is_beginning {
            self.line(2, "There is no brig.lock yet. If this is what these scripts shall do, `cargo brig approve --all`")?;
            self.line(2, "writes one, to be committed; `cargo brig why PACKAGE` says more about one of them.")
        } else if of(Outcome::Unapproved) > 0 {
            self.line(
                2,
                "`cargo brig why PACKAGE` says more, `cargo brig approve PACKAGE` approves.",
            )
        } else {
            Ok(())
        }
    }
}
