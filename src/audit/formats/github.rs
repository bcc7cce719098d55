//! The report as annotations of a GitHub workflow: one command on a line for each package that needs
//! a person, the gravest first, because only the first ten of a step are shown.
//!
//! A command is a line that begins with `::`. Line ends are escaped twice: [`sentence`] makes those of
//! a script visible, and what is left is encoded as the runner decodes it
//! (actions/toolkit, `packages/core/src/command.ts`).

use std::cmp::Reverse;
use std::io::{self, Write};

use super::sentence;
use crate::access::printable;
use crate::audit::report::{Location, Outcome, Package, Report, Verdict};

/// Sentences of one annotation; its text may have 64 KiB.
const SENTENCES: usize = 20;

/// Writes it.
///
/// # Errors
/// If it cannot be written.
pub fn write(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let mut packages: Vec<&Package> = report.packages.iter().collect();
    packages.sort_by_key(|package| Reverse(package.verdict));
    for package in packages {
        let command = match package.verdict {
            verdict if verdict.outcome() != Outcome::Clean => "error",
            Verdict::NewVersion | Verdict::Overridden => "notice",
            _ => continue,
        };
        let mut lines = vec![sentence::verdict(package)];
        lines.extend(sentence::way(package));
        lines.push(sentence::lines(sentence::all(package), SENTENCES));
        let text = lines.join("\n");
        let place = package.lock.as_ref().or(package.manifest.as_ref());
        let title = format!("build script of {}: {}", printable(&package.title()), package.verdict);
        write!(out, "::{command} ")?;
        if let Some(Location { file, line }) = place {
            // The runner makes it relative to the repository, in which a workspace can lie deeper.
            let absolute = if file.starts_with('/') {
                file.clone()
            } else {
                format!("{}/{file}", report.workspace.root.trim_end_matches('/'))
            };
            write!(out, "file={},line={line},", property(&printable(&absolute)))?;
        }
        writeln!(out, "title={}::{}", property(&title), data(text.trim_end()))?;
    }
    for remark in &report.remarks {
        writeln!(out, "::warning title=cargo brig audit::{}", data(&printable(remark)))?;
    }
    for title in &report.departed {
        let text = format!("{} is in the baseline, and no longer in Cargo.lock", printable(title));
        writeln!(out, "::notice title=cargo brig audit::{}", data(&text))?;
    }
    Ok(())
}

/// The text of a command.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// A property's value.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
