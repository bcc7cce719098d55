//! How a report is written: each format is one file with one function,
//! `fn write(&Report, &mut dyn Write) -> io::Result<()>`, which reads nothing else.
//!
//! What formats share: [`sentence`], what is said of a package; [`uri`], [`timestamp`] and
//! [`visible_json`], how paths, moments and values are written for machines.

pub mod github;
pub mod html;
pub mod human;
pub mod in_toto;
pub mod json;
pub mod junit;
pub mod sarif;
pub mod sentence;
pub mod timestamp;
pub mod uri;
pub mod visible_json;

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
    /// SARIF 2.1.0, for code scanning.
    Sarif,
    /// XML of test results, a test case for each package.
    Junit,
    /// Annotations of a GitHub workflow.
    Github,
    /// An in-toto statement, to be signed.
    InToto,
    /// A page for a browser.
    Html,
}

impl Format {
    /// Writes a report.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(self, report: &Report, out: &mut dyn Write) -> io::Result<()> {
        match self {
            Self::Human => human::write(report, out, false),
            Self::Json => json::write(report, out),
            Self::Sarif => sarif::write(report, out),
            Self::Junit => junit::write(report, out),
            Self::Github => github::write(report, out),
            Self::InToto => in_toto::write(report, out),
            Self::Html => html::write(report, out),
        }
    }
}
