//! The last audit's report, kept in the target directory: what `cargo brig approve` approves.

use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::beside;
use super::report::{Report, SCHEMA};
use crate::access::printable;

/// Its name, in the target directory.
pub const FILE_NAME: &str = "brig-audit.json";

/// A report that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is none.
    #[error("there is no audit to approve: `{}` does not exist", .path.display())]
    None {
        /// Where it would be.
        path: PathBuf,
    },
    /// It cannot be read.
    #[error("cannot read the last audit's report `{}`", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// It cannot be written.
    #[error("cannot keep the audit's report in `{}`", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// It is no report, or one of another cargo-brig.
    #[error("the last audit's report `{}` is not to be used: {}", .path.display(), printable(.why))]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
}

/// Keeps a report.
///
/// # Errors
/// [`Error::Write`].
pub fn write(target: &Path, report: &Report) -> Result<(), Error> {
    let path = target.join(FILE_NAME);
    // Where Cargo failed before it made the directory there is nothing to approve.
    if !target.is_dir() {
        return Ok(());
    }
    let text = serde_json::to_vec(report).map_err(io::Error::from);
    text.and_then(|text| beside::write(&path, &text))
        .map_err(|source| Error::Write { path, source })
}

/// Reads the last one.
///
/// # Errors
/// See [`Error`].
pub fn read(target: &Path) -> Result<Report, Error> {
    #[derive(Deserialize)]
    struct Head {
        schema: u32,
    }
    let path = target.join(FILE_NAME);
    let text = match beside::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Error::None { path }),
        Err(source) => return Err(Error::Read { path, source }),
    };
    let damaged = |why: String| Error::Damaged { path: path.clone(), why };
    let head: Head = serde_json::from_str(&text).map_err(|error| damaged(error.to_string()))?;
    if head.schema != SCHEMA {
        return Err(damaged(format!(
            "it has schema {}, and this cargo-brig {SCHEMA}",
            head.schema
        )));
    }
    serde_json::from_str(&text).map_err(|error| damaged(error.to_string()))
}
