//! The preloaded library, as a file that a script's programs can load.
//!
//! It tells which environment variables they ask for, and answers what is known of paths: `library.rs`
//! beside this module is its source, a crate of its own, which `build.rs` compiles. What it notes the
//! warden reads ([`crate::warden::asked`]), and what is known the warden tells it
//! ([`crate::warden::known`]).

pub mod protocol;

use std::ffi::{OsStr, OsString};
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::sys::statvfs::{FsFlags, statvfs};

use crate::private_dir::{self, PrivateDir};

/// The variable by which the loader is told (ld.so(8)).
const VARIABLE: &str = "LD_PRELOAD";

const LIBRARY: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/preload.so"));

/// A library that cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its directory.
    #[error(transparent)]
    Directory(#[from] private_dir::Error),
    /// The file itself.
    #[error("cannot write `{path}`")]
    Write {
        /// The file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
}

/// The library in a private directory, which is removed when this is dropped, unless it is lent.
#[derive(Debug)]
pub struct Preload {
    directory: PrivateDir,
}

impl Preload {
    /// Writes the library into a directory of its own below the first of these that can hold it: the
    /// loader maps nothing executable from a file system that is mounted `noexec`, and takes a blank
    /// or a colon for the end of a path. None if there is no such directory.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn new(below: &[&Path]) -> Result<Option<Self>, Error> {
        let Some(parent) = below.iter().find(|parent| can_hold(parent)) else { return Ok(None) };
        Self::write(PrivateDir::new_in(parent, "asked")?).map(Some)
    }

    /// As [`Preload::new`], in a directory of this very name, if what is above it can hold the library.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn at(path: &Path) -> Result<Option<Self>, Error> {
        if !path.parent().is_some_and(can_hold) {
            return Ok(None);
        }
        Self::write(PrivateDir::at(path)?).map(Some)
    }

    /// In a directory that another process has written it into. None if that is not what is there now: who
    /// may write to `/tmp` could have put a library of his own in its place.
    #[must_use]
    pub fn lent(directory: PathBuf) -> Option<Self> {
        let preload = Self { directory: PrivateDir::lent(directory) };
        let is_untouched = fs::read(preload.path()).is_ok_and(|bytes| bytes == LIBRARY);
        is_untouched.then_some(preload)
    }

    /// Whether it is another process's.
    #[must_use]
    pub fn is_lent(&self) -> bool {
        self.directory.is_lent()
    }

    fn write(directory: PrivateDir) -> Result<Self, Error> {
        let preload = Self { directory };
        let path = preload.path();
        let file = OpenOptions::new().write(true).create_new(true).mode(0o444).open(&path);
        match file.and_then(|mut file| file.write_all(LIBRARY)) {
            Ok(()) => Ok(preload),
            Err(source) => Err(Error::Write { path, source }),
        }
    }

    /// The directory, in which there is nothing else.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The library.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.directory().join(protocol::FILE_NAME)
    }

    /// The environment, with this library before what the user has preloaded.
    #[must_use]
    pub fn added_to(&self, environment: &[(OsString, OsString)]) -> Vec<(OsString, OsString)> {
        let mut environment = environment.to_vec();
        let mut value = self.path().into_os_string();
        if let Some((_, users)) = environment.iter_mut().find(|(name, _)| name == VARIABLE) {
            value.push(":");
            value.push(&*users);
            *users = value;
        } else {
            environment.push((VARIABLE.into(), value));
        }
        environment
    }
}

fn can_hold(directory: &Path) -> bool {
    let nameable = |path: &OsStr| !path.as_bytes().iter().any(|byte| b" :$".contains(byte));
    // A link on the way to it is followed before its name is used.
    let real = directory.canonicalize();
    real.is_ok_and(|path| {
        let flags = statvfs(&path).map(|file_system| file_system.flags());
        nameable(path.as_os_str()) && flags.is_ok_and(|flags| !flags.contains(FsFlags::ST_NOEXEC))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_comes_first_and_only_where_it_can_be_named() {
        let dir = tempfile::tempdir().unwrap();
        let blank = dir.path().join("a blank");
        std::fs::create_dir(&blank).unwrap();
        assert!(Preload::new(&[&blank, Path::new("/nowhere")]).unwrap().is_none());
        let preload = Preload::new(&[&blank, dir.path()]).unwrap().unwrap();
        let path = preload.path();
        assert!(path.starts_with(dir.path()), "{}", path.display());
        assert_eq!(std::fs::read(&path).unwrap(), LIBRARY);
        let with = |users: &str| format!("{}:{users}", path.display());
        for users in ["", "/lib/a.so", "/a.so /b.so"] {
            let environment = preload.added_to(&[(VARIABLE.into(), users.into())]);
            assert_eq!(environment, [(VARIABLE.into(), with(users).into())]);
        }
        assert_eq!(preload.added_to(&[]), [(VARIABLE.into(), path.clone().into_os_string())]);
        drop(preload);
        assert!(!path.exists() && dir.path().exists());
    }
}
