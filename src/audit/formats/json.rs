//! The whole report as it is, by the schema in `src/audit/report.schema.json`.

use std::io::{self, Write};

use super::visible_json;
use crate::audit::report::Report;

/// Writes it.
///
/// # Errors
/// If it cannot be written.
pub fn write(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    visible_json::write(report, out)
}
