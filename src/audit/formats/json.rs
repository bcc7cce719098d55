//! The whole report as it is, by the schema in `src/audit/report.schema.json`.

use std::io::{self, Write};

use crate::audit::report::Report;

/// Writes it.
///
/// # Errors
/// If it cannot be written.
pub fn write(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, report)?;
    out.write_all(b"\n")
}
