//! The report for a person: first what fails, then what changed, then one line for the rest.

use std::io::{self, Write};

use crate::access::printable;
use crate::audit::report::Report;

/// Writes it.
///
/// # Errors
/// If it cannot be written.
pub fn write(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    for package in &report.packages {
        writeln!(out, "{}: {}", printable(&package.title()), package.verdict)?;
        for change in &package.added {
            writeln!(out, "  {} {}", change.aspect.verb(), printable(&change.value))?;
        }
    }
    Ok(())
}
