//! How a report is written: each format is one file with one function,
//! `fn write(&Report, &mut dyn Write) -> io::Result<()>`, which reads nothing else.

pub mod human;
pub mod json;

use std::io::{self, Write};

use clap::ValueEnum;

use super::report::Report;

/// A format of reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Text for a person.
    Human,
    /// The whole report, by the schema in src/audit/report.schema.json.
    Json,
}

impl Format {
    /// Writes a report.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(self, report: &Report, out: &mut dyn Write) -> io::Result<()> {
        match self {
            Self::Human => human::write(report, out),
            Self::Json => json::write(report, out),
        }
    }
}
