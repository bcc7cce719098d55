//! The session: a private directory in which the launchers of one `cargo brig` command say what
//! they ran.
//!
//! One file per run, written by the launcher, read by the front door when Cargo has ended. A script
//! cannot reach the directory. Without one (plain `RUSTC_WRAPPER=cargo-brig cargo build`) nothing is
//! said, and only the records remain.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::finding::Finding;
use crate::policy::Mode;

/// One run of one script, as the summary needs it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Run {
    /// The package's name and version.
    pub package: String,
    /// The launcher's file.
    pub launcher: PathBuf,
    /// Whether anything but writes was denied.
    pub mode: Mode,
    /// The record's file.
    pub record: PathBuf,
    /// Sentences about what was denied.
    pub denials: Vec<String>,
    /// What the limits had to do with it.
    pub findings: Vec<Finding>,
    /// Sentences about instructions that did not reach Cargo and failed the unit.
    pub withheld: Vec<String>,
}

/// A session that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot {what} the session directory `{}`", .path.display())]
pub struct Error {
    what: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

impl Run {
    /// Writes the run into the session.
    ///
    /// # Errors
    /// If the directory cannot be written.
    pub fn save(&self, session: &Path) -> Result<(), Error> {
        let failed = |source| Error { what: "write to", path: session.to_owned(), source };
        let path = session.join(format!("run-{}.json", std::process::id()));
        let beside = path.with_extension("new");
        let text = serde_json::to_vec(self).map_err(|error| failed(error.into()))?;
        fs::write(&beside, text).and_then(|()| fs::rename(&beside, path)).map_err(failed)
    }

    /// Reads every run of a session, by package.
    ///
    /// # Errors
    /// If the directory cannot be read or a file in it is damaged.
    pub fn load_all(session: &Path) -> Result<Vec<Self>, Error> {
        let failed = |source| Error { what: "read", path: session.to_owned(), source };
        let mut runs = Vec::new();
        for entry in fs::read_dir(session).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.extension().is_some_and(|extension| extension == "json") {
                let text = fs::read(&path).map_err(failed)?;
                runs.push(serde_json::from_slice(&text).map_err(|error| failed(error.into()))?);
            }
        }
        runs.sort_by(|a: &Self, b| (&a.package, &a.launcher).cmp(&(&b.package, &b.launcher)));
        Ok(runs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_read_back() {
        let session = crate::private_dir::PrivateDir::new("test").unwrap();
        let run = Run {
            package: "a v1.0.0".to_owned(),
            launcher: "/t/build-script-build".into(),
            mode: Mode::Enforce,
            record: "/r/brig.json".into(),
            denials: Vec::new(),
            findings: Vec::new(),
            withheld: Vec::new(),
        };
        run.save(session.path()).unwrap();
        assert_eq!(Run::load_all(session.path()).unwrap()[0].package, "a v1.0.0");
    }
}
