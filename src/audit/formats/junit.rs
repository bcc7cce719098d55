//! The report for what shows test results: the XML of `JUnit`, in which each package is a test case.
//!
//! There is no specification; this is what Ant's reporter writes and readers agree on. What is not as
//! approved is a failure, what could not be judged an error.

use std::borrow::Cow;
use std::io::{self, Write};

use super::sentence;
use super::timestamp::timestamp;
use crate::access::printable;
use crate::audit::report::{Outcome, Package, Report, Verdict};

/// Writes it.
///
/// # Errors
/// If it cannot be written.
pub fn write(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let count = |as_what: As| {
        report.packages.iter().filter(|package| as_what == As::of(package.verdict)).count()
    };
    let counts = format!(
        "tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\"",
        report.packages.len(),
        count(As::Failure),
        count(As::Error),
        count(As::Skipped)
    );
    let started = timestamp(report.started);
    // Its readers know times without a zone.
    let started = started.trim_end_matches('Z');
    writeln!(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>")?;
    writeln!(out, "<testsuites name=\"cargo brig audit\" {counts}>")?;
    writeln!(out, "  <testsuite name=\"build scripts\" {counts} timestamp=\"{started}\">")?;
    for package in &report.packages {
        case(package, out)?;
    }
    let departed = report.departed.iter().map(|title| {
        format!("{} is in the baseline, and no longer in Cargo.lock", printable(title))
    });
    let remarks: Vec<String> =
        report.remarks.iter().map(|remark| printable(remark)).chain(departed).collect();
    if !remarks.is_empty() {
        writeln!(out, "    <system-err>{}</system-err>", escaped(&remarks.join("\n")))?;
    }
    writeln!(out, "  </testsuite>")?;
    writeln!(out, "</testsuites>")
}

fn case(package: &Package, out: &mut dyn Write) -> io::Result<()> {
    write!(
        out,
        "    <testcase classname=\"{}\" name=\"{}\"",
        escaped(&printable(&package.name)),
        escaped(&printable(&package.title()))
    )?;
    if let Some(location) = package.lock.as_ref().or(package.manifest.as_ref()) {
        let file = printable(&location.file);
        write!(out, " file=\"{}\" line=\"{}\"", escaped(&file), location.line)?;
    }
    let mut sentences = sentence::all(package);
    sentences.extend(sentence::way(package));
    let text = sentences.join("\n");
    let text = escaped(&text);
    let message = sentence::verdict(package);
    let message = escaped(&message);
    let element = match As::of(package.verdict) {
        As::Failure => "failure",
        As::Error => "error",
        As::Skipped => return writeln!(out, "><skipped message=\"{message}\"/></testcase>"),
        As::Success if text.is_empty() => return writeln!(out, "/>"),
        As::Success => return writeln!(out, "><system-out>{text}</system-out></testcase>"),
    };
    let verdict = escaped(&package.verdict.to_string()).into_owned();
    writeln!(out, ">")?;
    writeln!(out, "      <{element} type=\"{verdict}\" message=\"{message}\">{text}</{element}>")?;
    writeln!(out, "    </testcase>")
}

/// What a package is as a test case.
#[derive(PartialEq, Eq)]
enum As {
    Success,
    Skipped,
    Failure,
    Error,
}

impl As {
    fn of(verdict: Verdict) -> Self {
        match verdict.outcome() {
            Outcome::Clean if verdict == Verdict::Overridden => Self::Skipped,
            Outcome::Clean => Self::Success,
            Outcome::Unapproved | Outcome::Violated | Outcome::Unjailed => Self::Failure,
            Outcome::Failed | Outcome::Unjudged => Self::Error,
        }
    }
}

/// A printable text in an attribute or between elements. What no XML document can hold, not even by
/// its number (XML 1.0, section 2.2), becomes visible.
fn escaped(text: &str) -> Cow<'_, str> {
    let needs = |letter| matches!(letter, '&' | '<' | '>' | '"' | '\'' | '\u{fffe}' | '\u{ffff}');
    if !text.contains(needs) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\u{fffe}' | '\u{ffff}' => escaped.extend(letter.escape_unicode()),
            _ => escaped.push(letter),
        }
    }
    Cow::Owned(escaped)
}
