//! A directory that only this user can enter, and that goes when it is no longer needed.
//!
//! For a script's `TMPDIR` and `HOME`, for the library that is preloaded, and for the session of a `cargo brig` command.
//!
//! Whoever has made one holds a lock of it (flock(2)) as long as it lives, and so does the warden. What is
//! not locked was left by somebody who was killed, and the next session removes it.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::unistd::{geteuid, mkdtemp};

/// How the names of those begin that have a name of their own.
const NAMES: &str = "cargo-brig-";
/// The bit of the mode that says that the maker holds a lock (`S_ISVTX`, which means nothing else where all
/// belongs to one user): what has none was made by an earlier version, and can be in use.
const LOCKED: u32 = 0o1000;

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
    /// None where the file system has no locks.
    _lock: Option<File>,
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
        let template = parent.join(format!("{NAMES}{purpose}-XXXXXX"));
        let failed = |path: &Path, source| Error { path: path.to_owned(), source };
        let path = mkdtemp(&template).map_err(|errno| failed(&template, errno.into()))?;
        let made = fs::canonicalize(&path).and_then(|path| {
            let lock = hold(&path)?;
            if lock.is_some() {
                fs::set_permissions(&path, fs::Permissions::from_mode(0o700 | LOCKED))?;
            }
            Ok(Self { path, is_lent: false, _lock: lock })
        });
        made.map_err(|source| {
            drop(fs::remove_dir(&path));
            failed(&path, source)
        })
    }

    /// Removes the directories of this user's below `parent` whose makers were killed.
    pub fn remove_left(parent: &Path) {
        for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
            let path = entry.path();
            let is_ours = entry.file_name().to_string_lossy().starts_with(NAMES)
                && entry.metadata().is_ok_and(|of| {
                    of.is_dir() && of.uid() == geteuid().as_raw() && of.mode() & LOCKED != 0
                });
            if is_ours && let Ok(Some(_lock)) = hold(&path) {
                // What cannot be removed stays, as it would have without this.
                if let Err(error) = fs::remove_dir_all(&path) {
                    tracing::debug!(%error, path = %path.display(), "left by a killed process");
                }
            }
        }
    }

    /// Makes this very directory, which only this user can enter.
    ///
    /// # Errors
    /// If it is there already, or its parent cannot be written.
    pub fn at(path: &Path) -> Result<Self, Error> {
        let failed = |source| Error { path: path.to_owned(), source };
        DirBuilder::new().mode(0o700).create(path).map_err(failed)?;
        let path = fs::canonicalize(path).map_err(failed)?;
        Ok(Self { path, is_lent: false, _lock: None })
    }

    /// A directory that another process has made, and removes.
    #[must_use]
    pub fn lent(path: PathBuf) -> Self {
        Self { path, is_lent: true, _lock: None }
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

/// Locks a directory; none if somebody else does, or there are no locks.
fn hold(path: &Path) -> io::Result<Option<File>> {
    let flags = libc::O_DIRECTORY | libc::O_NOFOLLOW;
    let lock = File::options().read(true).custom_flags(flags).open(path)?;
    Ok(lock.try_lock().is_ok().then_some(lock))
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
    // Should it not go, it is still one that is locked, and the next session's to remove.
    let opened = fs::set_permissions(directory, fs::Permissions::from_mode(0o700 | LOCKED));
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

    #[test]
    fn what_a_killed_process_has_left_is_removed_and_nothing_else() {
        let parent = tempfile::tempdir().unwrap();
        let alive = PrivateDir::new_in(parent.path(), "tmp").unwrap();
        let left = parent.path().join("cargo-brig-tmp-abcdef");
        let earlier = parent.path().join("cargo-brig-tmp-mnopqr");
        let others = parent.path().join("cargo-tmp-abcdef");
        let link = parent.path().join("cargo-brig-tmp-ghijkl");
        fs::create_dir_all(left.join("a")).unwrap();
        fs::create_dir(&others).unwrap();
        fs::create_dir(&earlier).unwrap();
        for path in [&left, &others] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o700 | LOCKED)).unwrap();
        }
        std::os::unix::fs::symlink(&others, &link).unwrap();
        PrivateDir::remove_left(parent.path());
        assert!(!left.exists());
        assert!(alive.path().exists() && others.exists() && link.exists() && earlier.exists());
    }
}
