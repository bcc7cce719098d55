//! What is said of a package in sentences, alike in every format that has no places of its own for them.
//!
//! Texts come out printable; what else a format needs to escape it escapes itself.

use crate::access::printable;
use crate::audit::report::{Actor, Change, Denial, Finding, Gone, Outcome, Package};

/// Characters of a command line; the record has all of them.
const COMMAND: usize = 300;

/// `changed (since v1.2.2): REASON`.
#[must_use]
pub fn verdict(package: &Package) -> String {
    let since = package.approved_version.as_ref().filter(|version| **version != package.version);
    let since =
        since.map_or_else(String::new, |version| format!(" (since v{})", printable(version)));
    let reason = package.reason.as_deref().map(printable).filter(|reason| !reason.is_empty());
    let reason = reason.map_or_else(String::new, |reason| format!(": {reason}"));
    format!("{}{since}{reason}", package.verdict)
}

/// Everything about a package that a person should look at, the gravest first.
#[must_use]
pub fn all(package: &Package) -> Vec<String> {
    let (mut findings, denials) = (package.findings.iter().collect::<Vec<_>>(), &package.denials);
    findings.sort_by_key(|finding| !finding.fatal);
    let is_approved = package.verdict.outcome() == Outcome::Clean;
    let added = package.added.iter().filter(|_| !is_approved);
    findings
        .into_iter()
        .map(finding)
        .chain(denials.iter().map(denial))
        .chain(added.map(change))
        .chain(package.gone.iter().map(gone))
        .collect()
}

/// What was found.
#[must_use]
pub fn finding(finding: &Finding) -> String {
    let Finding { code, message, .. } = finding;
    format!("it {} [{}]{}", printable(message), printable(code), by(finding.by.as_ref()))
}

/// What the jail refused, and what would allow it.
#[must_use]
pub fn denial(denial: &Denial) -> String {
    let rule = denial.rule.as_deref().map(printable);
    let rule = rule.map_or_else(String::new, |rule| format!("; `{rule}` would"));
    format!("it {}{rule}{}", printable(&denial.message), by(denial.by.as_ref()))
}

/// What was not approved.
#[must_use]
pub fn change(change: &Change) -> String {
    let value = printable(&change.value);
    format!("not approved: it {}: `{value}`{}", change.aspect.verb(), by(change.by.as_ref()))
}

/// What it does no longer.
#[must_use]
pub fn gone(gone: &Gone) -> String {
    format!("no longer: it {}: `{}`", gone.aspect.verb(), printable(&gone.value))
}

/// The program and its arguments, cut where they are long.
#[must_use]
pub fn command(program: &str, arguments: &[String]) -> String {
    let words = arguments.iter().skip(1).map(String::as_str);
    let words = std::iter::once(program).chain(words);
    let words: Vec<String> = words.map(printable).collect();
    let line = words.join(" ");
    match line.char_indices().nth(COMMAND) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// Sentences one on a line, at most so many of them.
#[must_use]
pub fn lines(mut sentences: Vec<String>, most: usize) -> String {
    if let Some(more) = sentences.len().checked_sub(most).filter(|more| *more > 0) {
        sentences.truncate(most);
        sentences.push(format!("… and {more} more"));
    }
    sentences.join("\n")
}

fn by(actor: Option<&Actor>) -> String {
    actor.map_or_else(String::new, |actor| {
        format!(" (process {}: {})", actor.process, command(&actor.program, &actor.arguments))
    })
}

/// What brings a package in, if it is not of the workspace itself.
#[must_use]
pub fn way(package: &Package) -> Option<String> {
    let path: Vec<String> = package.path.iter().map(|step| printable(step)).collect();
    (path.len() > 1).then(|| format!("by way of {}", path.join(" → ")))
}
