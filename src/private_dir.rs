//! A directory that only this user can enter, and that goes when it is no longer needed.
//!
//! For a script's `TMPDIR` and `HOME`, for the library that is preloaded, and for the session of a `cargo brig` command.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::unistd::mkdtemp;

/// A private directory that cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot make the private directory `{}`", .path.display())]
pub struct Error {
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// A directory that is removed when this is dropped, unless it is somebody else's.
#[derive(Debug)]
pub struct PrivateDir {
    path: PathBuf,
    is_lent: bool,
}

impl PrivateDir {
    /// Makes a directory below the system's temporary directory that only this user can enter.
    ///
    /// # Errors
    /// If the temporary directory cannot be written.
    pub fn new(purpose: &str) -> Result<Self, Error> {
        Self::new_in(&std::env::temp_dir(), purpose)
    }

    /// Makes a directory below another that only this user can enter.
    ///
    /// # Errors
    /// If that cannot be written.
    pub fn new_in(parent: &Path, purpose: &str) -> Result<Self, Error> {
        let template = parent.join(format!("cargo-brig-{purpose}-XXXXXX"));
        let failed = |path: &Path, source| Error { path: path.to_owned(), source };
        let path = mkdtemp(&template).map_err(|errno| failed(&template, errno.into()))?;
        let path = fs::canonicalize(&path).map_err(|source| failed(&path, source))?;
        Ok(Self { path, is_lent: false })
    }

    /// Makes this very directory, which only this user can enter.
    ///
    /// # Errors
    /// If it is there already, or its parent cannot be written.
    pub fn at(path: &Path) -> Result<Self, Error> {
        let failed = |source| Error { path: path.to_owned(), source };
        DirBuilder::new().mode(0o700).create(path).map_err(failed)?;
        let path = fs::canonicalize(path).map_err(failed)?;
        Ok(Self { path, is_lent: false })
    }

    /// A directory that another process has made, and removes.
    #[must_use]
    pub fn lent(path: PathBuf) -> Self {
        Self { path, is_lent: true }
    }

    /// Whether it is another process's.
    #[must_use]
    pub fn is_lent(&self) -> bool {
        self.is_lent
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for PrivateDir {
    fn drop(&mut self) {
        if self.is_lent || fs::remove_dir_all(&self.path).is_ok() {
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

#[cfg(test)]
mod tests {
    use super::*;

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
        let dir = PrivateDir::at(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        assert!(PrivateDir::at(&path).is_err() && dir.path() == path);
        drop(PrivateDir::lent(path.clone()));
        assert!(path.exists());
    }
}
