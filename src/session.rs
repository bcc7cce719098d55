//! The session: a private directory in which the launchers of one `cargo brig` command say what
//! they ran.
//!
//! One file per run, written by the launcher, read by the front door when Cargo has ended. A script
//! cannot reach the directory. Without one (plain `RUSTC_WRAPPER=cargo-brig cargo build`) nothing is
//! said, and only the records remain.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::unistd::mkdtemp;
use serde::{Deserialize, Serialize};

use crate::access::Access;

/// One run of one script, as the summary needs it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Run {
    /// The package's name and version.
    pub package: String,
    /// The launcher's file.
    pub launcher: PathBuf,
    /// The policy's name.
    pub policy: String,
    /// What was denied.
    pub denials: Vec<Access>,
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

/// A directory that is removed when this is dropped.
#[derive(Debug)]
pub struct PrivateDir {
    path: PathBuf,
}

impl PrivateDir {
    /// Makes a directory below the system's temporary directory that only this user can enter.
    ///
    /// # Errors
    /// If the temporary directory cannot be written.
    pub fn new(purpose: &str) -> Result<Self, Error> {
        let template = std::env::temp_dir().join(format!("cargo-brig-{purpose}-XXXXXX"));
        let failed = |path: &Path, source| Error { what: "make", path: path.to_owned(), source };
        let path = mkdtemp(&template).map_err(|errno| failed(&template, errno.into()))?;
        let path = fs::canonicalize(&path).map_err(|source| failed(&path, source))?;
        Ok(Self { path })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for PrivateDir {
    fn drop(&mut self) {
        if fs::remove_dir_all(&self.path).is_ok() {
            return;
        }
        // A script can have taken its own rights to a directory in its TMPDIR away.
        open_directories(&self.path);
        if let Err(error) = fs::remove_dir_all(&self.path) {
            eprintln!("warning: cannot remove `{}`: {error}", self.path.display());
        }
    }
}

fn open_directories(directory: &Path) {
    let opened = fs::set_permissions(directory, fs::Permissions::from_mode(0o700));
    let Ok(entries) = opened.and_then(|()| fs::read_dir(directory)) else {
        return;
    };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            open_directories(&entry.path());
        }
    }
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
        let session = PrivateDir::new("test").unwrap();
        let run = Run {
            package: "a v1.0.0".to_owned(),
            launcher: "/t/build-script-build".into(),
            policy: "default".to_owned(),
            denials: Vec::new(),
            withheld: Vec::new(),
        };
        run.save(session.path()).unwrap();
        assert_eq!(Run::load_all(session.path()).unwrap()[0].package, "a v1.0.0");
    }

    #[test]
    fn a_private_directory_goes_even_if_a_script_locked_it() {
        let dir = PrivateDir::new("test").unwrap();
        let path = dir.path().to_owned();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        let locked = path.join("a/b");
        fs::create_dir_all(&locked).unwrap();
        fs::write(locked.join("c"), "").unwrap();
        fs::set_permissions(path.join("a"), fs::Permissions::from_mode(0o000)).unwrap();
        drop(dir);
        assert!(!path.exists());
    }
}
