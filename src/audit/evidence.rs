//! Evidence: the records of the scripts of one build, and of which packages they are.
//!
//! Cargo itself says, fresh or not, which scripts belong to a build and where their `OUT_DIR`s are
//! (`build-script-executed` among its messages); the launchers say which of them ran now, those that
//! failed included, of which Cargo says nothing.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::front::build::Build;
use crate::policy::{Layers, Policy};
use crate::record;
use crate::show::{self, find};
use crate::stored::{Head, Stored};

/// One run of a script of the build.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// Its record's file.
    pub record: PathBuf,
    /// Cargo's identifier of the package; none of a script that failed.
    pub id: Option<String>,
    /// Whether it ran in this build.
    pub ran_now: bool,
}

/// One of Cargo's messages, as far as it matters here (The Cargo Book, "External tools").
#[derive(Deserialize)]
struct Message {
    reason: String,
    package_id: Option<String>,
    out_dir: Option<PathBuf>,
}

/// The evidence of a build, by the records' paths.
#[must_use]
pub fn of(build: &Build) -> BTreeMap<PathBuf, Evidence> {
    let mut evidence = BTreeMap::new();
    for line in build.output.split(|byte| *byte == b'\n') {
        // Most messages are long and about something else.
        let Ok(Message { reason, package_id, out_dir: Some(out_dir) }) =
            serde_json::from_slice(line)
        else {
            continue;
        };
        if reason == "build-script-executed" {
            let run_dir = real(out_dir.parent().unwrap_or(&out_dir));
            let record = run_dir.join(record::FILE_NAME);
            evidence.insert(record.clone(), Evidence { record, id: package_id, ran_now: false });
        }
    }
    for run in &build.runs {
        let record = real(run.record.parent().unwrap_or(&run.record)).join(record::FILE_NAME);
        let run = Evidence { record: record.clone(), id: None, ran_now: true };
        evidence.entry(record).or_insert(run).ran_now = true;
    }
    evidence
}

fn real(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

/// Name and version in an identifier: `registry+https://…#name@1.2.3`, `path+file:///…/name#1.2.3`.
#[must_use]
pub fn name_and_version(id: &str) -> (String, String) {
    let (source, package) = id.rsplit_once('#').unwrap_or((id, ""));
    let directory = || {
        let path = source.split('?').next().unwrap_or(source);
        path.rsplit('/').next().unwrap_or_default().to_owned()
    };
    match package.split_once('@') {
        Some((name, version)) => (name.to_owned(), version.to_owned()),
        None => (directory(), package.to_owned()),
    }
}

/// Why a record is no evidence of what its script does now.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// It cannot be read, or not by this program.
    #[error(transparent)]
    Record(#[from] show::Error),
    /// Other policies decided.
    #[error("its record was made under another policy")]
    Policy,
}

/// Reads a record, and refuses one that was made under other policies than `layers`.
///
/// # Errors
/// See [`Unusable`].
pub fn read<'t>(
    path: &Path,
    text: &'t [u8],
    layers: &Layers,
) -> Result<(Stored<'t>, Policy), Unusable> {
    let damaged = |error: serde_json::Error| find::damaged(path, &error);
    let head: Head = serde_json::from_slice(text).map_err(damaged)?;
    if head.schema != record::SCHEMA {
        let (path, tool) = (path.to_owned(), head.tool.to_string());
        return Err(show::Error::Schema { path, schema: head.schema, tool }.into());
    }
    let stored: Stored = serde_json::from_slice(text).map_err(damaged)?;
    let policy = Policy::of(layers, &stored.unit.package, &stored.unit.version);
    let now = policy.documents.iter().map(|(file, digest)| (file.as_str(), digest.as_str()));
    let then = stored.policy.documents.iter().map(|of| (&*of.file, &*of.sha256));
    if now.eq(then) { Ok((stored, policy)) } else { Err(Unusable::Policy) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_read() {
        for (id, name, version) in [
            ("registry+https://github.com/rust-lang/crates.io-index#libc@0.2.1", "libc", "0.2.1"),
            ("path+file:///src/a%20b/ship#0.1.0", "ship", "0.1.0"),
            ("path+file:///src/x#ship@0.1.0", "ship", "0.1.0"),
            ("git+https://example.org/keel?branch=main#2.0.0", "keel", "2.0.0"),
        ] {
            assert_eq!(name_and_version(id), (name.to_owned(), version.to_owned()));
        }
    }
}
