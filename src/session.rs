//! The session: a private directory in which the launchers of one `cargo brig` command say what
//! they ran.
//!
//! One file per run, or per script that could not be run, written by the launcher, read by the front
//! door when Cargo has ended. A script cannot reach the directory. Without one (plain
//! `RUSTC_WRAPPER=cargo-brig cargo build`) nothing is said, and only the records remain.
//!
//! The session also lends what can be the same for all scripts, because none may write there: the empty
//! home directory and the library that is preloaded. To make and remove them for each takes half a
//! millisecond.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use serde::{Deserialize, Serialize};

use crate::finding::Finding;
use crate::policy::Mode;
use crate::preload::{self, Preload};
use crate::private_dir::{self, PrivateDir};

/// The beginning of the name of a file that says that a script could not be run.
const NOT_RUN: &str = "not-run-";

/// The name of the file that says which wrapper was left out.
const LEFT_OUT: &str = "left-out";
/// The name of the link to the empty home directory.
const HOME: &str = "home";
/// The name of the link to the library's directory.
const LIBRARY: &str = "library";
/// The name of the link that is called for rustdoc.
pub const RUSTDOC: &str = "rustdoc";

/// A session, as long as it lasts.
#[derive(Debug)]
pub struct Session {
    directory: PrivateDir,
    _home: PrivateDir,
    _preload: Option<Preload>,
}

impl Session {
    /// Begins one.
    ///
    /// # Errors
    /// If its directories cannot be made.
    pub fn begin() -> Result<Self, Error> {
        PrivateDir::remove_left(&env::temp_dir());
        let (directory, home) = (PrivateDir::new("session")?, PrivateDir::new("home")?);
        let preload = Preload::new(&[&env::temp_dir(), Path::new("/tmp")])?;
        let path = directory.path();
        let lend = |name: &str, to: &Path| {
            let failed = |source| Error::failed("write to", path, source);
            symlink(to, path.join(name)).map_err(failed)
        };
        lend(HOME, home.path())?;
        if let Some(preload) = &preload {
            lend(LIBRARY, preload.directory())?;
        }
        Ok(Self { directory, _home: home, _preload: preload })
    }

    /// Its directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Makes the link by which Cargo calls this program, `own`, for rustdoc.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn rustdoc(&self, own: &Path) -> Result<PathBuf, Error> {
        let link = self.path().join(RUSTDOC);
        let failed = |source| Error::failed("write to", self.path(), source);
        symlink(own, &link).map(|()| link).map_err(failed)
    }
}

/// What a session lends.
#[derive(Debug, Default)]
pub struct Lent {
    /// The empty home directory.
    pub home: Option<PathBuf>,
    /// The directory of the library that is preloaded.
    pub library: Option<PathBuf>,
}

impl Lent {
    /// By this session.
    #[must_use]
    pub fn by(session: &Path) -> Self {
        let lent = |name| fs::read_link(session.join(name)).ok().filter(|path| path.is_dir());
        Self { home: lent(HOME), library: lent(LIBRARY) }
    }
}

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
    /// How many more denials there were.
    pub denials_dropped: u64,
    /// What the limits had to do with it.
    pub findings: Vec<Finding>,
    /// Sentences about instructions that did not reach Cargo and failed the unit.
    pub withheld: Vec<String>,
}

/// A session that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its directory, or the home directory.
    #[error(transparent)]
    PrivateDir(#[from] private_dir::Error),
    /// The library.
    #[error(transparent)]
    Preload(#[from] preload::Error),
    /// What is in it.
    #[error("cannot {what} the session directory `{}`", .path.display())]
    Content {
        /// What was tried.
        what: &'static str,
        /// The directory.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
}

impl Error {
    fn failed(what: &'static str, session: &Path, source: io::Error) -> Self {
        Self::Content { what, path: session.to_owned(), source }
    }
}

impl Run {
    /// Writes the run into the session.
    ///
    /// # Errors
    /// If the directory cannot be written.
    pub fn save(&self, session: &Path) -> Result<(), Error> {
        let failed = |source| Error::failed("write to", session, source);
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
        let failed = |source| Error::failed("read", session, source);
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

/// Says in the session that this launcher could not run its script.
///
/// # Errors
/// If the directory cannot be written.
pub fn note_not_run(session: &Path, launcher: &Path) -> Result<(), Error> {
    let failed = |source| Error::failed("write to", session, source);
    let path = session.join(format!("{NOT_RUN}{}", std::process::id()));
    fs::write(path, launcher.as_os_str().as_bytes()).map_err(failed)
}

/// Says in the session that crates were compiled without this wrapper.
///
/// # Errors
/// If the directory cannot be written.
pub fn note_left_out(session: &Path, wrapper: &OsStr) -> Result<(), Error> {
    let failed = |source| Error::failed("write to", session, source);
    fs::write(session.join(LEFT_OUT), wrapper.as_bytes()).map_err(failed)
}

/// Reads without which wrapper crates were compiled.
///
/// # Errors
/// If the file is there and cannot be read.
pub fn left_out(session: &Path) -> Result<Option<OsString>, Error> {
    match fs::read(session.join(LEFT_OUT)) {
        Ok(wrapper) => Ok(Some(OsString::from_vec(wrapper))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::failed("read", session, source)),
    }
}

/// Reads which launchers of a session could not run their scripts.
///
/// # Errors
/// If the directory or a file in it cannot be read.
pub fn not_run(session: &Path) -> Result<Vec<PathBuf>, Error> {
    let failed = |source| Error::failed("read", session, source);
    let mut launchers = Vec::new();
    for entry in fs::read_dir(session).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.file_name().as_bytes().starts_with(NOT_RUN.as_bytes()) {
            let launcher = fs::read(entry.path()).map_err(failed)?;
            launchers.push(PathBuf::from(OsString::from_vec(launcher)));
        }
    }
    Ok(launchers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_read_back() {
        let session = Session::begin().unwrap();
        let run = Run {
            package: "a v1.0.0".to_owned(),
            launcher: "/t/build-script-build".into(),
            mode: Mode::Enforce,
            record: "/r/brig.json".into(),
            denials: Vec::new(),
            denials_dropped: 0,
            findings: Vec::new(),
            withheld: Vec::new(),
        };
        run.save(session.path()).unwrap();
        note_not_run(session.path(), Path::new("/t/b")).unwrap();
        assert_eq!(Run::load_all(session.path()).unwrap()[0].package, "a v1.0.0");
        assert_eq!(not_run(session.path()).unwrap(), [PathBuf::from("/t/b")]);
        assert_eq!(left_out(session.path()).unwrap(), None);
        note_left_out(session.path(), OsStr::new("sccache")).unwrap();
        assert_eq!(left_out(session.path()).unwrap(), Some("sccache".into()));
        let Lent { home, library } = Lent::by(session.path());
        assert_eq!(fs::read_dir(home.as_ref().unwrap()).unwrap().count(), 0);
        assert_eq!(fs::read_dir(library.unwrap()).unwrap().count(), 1);
        let path = session.path().to_owned();
        drop(session);
        assert!(!path.exists() && !home.unwrap().exists());
        assert!(Lent::by(&path).home.is_none());
    }
}
