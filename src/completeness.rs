//! Completeness: is every script file of the build that has just ended our launcher?
//!
//! Cargo hard-links each build script of a build from `build_script_*-HASH` to `build-script-*`,
//! also when the unit is fresh, and only those (`src/cargo/core/compiler/mod.rs`, `link_targets`). So
//! the links are removed before the build; those that are there afterwards are the build's. In the
//! newer layout (nightly's `-Zbuild-dir-new-layout`) there is no such link: there, scripts that are
//! not launchers are removed before the build, so that Cargo compiles them again, and all that are
//! there afterwards are looked at.
//!
//! With [`crate::unit`] the only reader of Cargo's directory layout.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::launcher;
use crate::record;
use crate::shim::invocation::is_script_file_name;

/// A build directory that cannot be looked through.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The build directory.
    #[error("cannot examine the build directory `{}`", .path.display())]
    Directory {
        /// The directory or file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// A script's file.
    #[error(transparent)]
    Launcher(#[from] launcher::Error),
}

/// A look at build directories that has begun: before the build and after it.
#[derive(Debug)]
pub struct Completeness {
    roots: Vec<PathBuf>,
    /// Profile directories that another Cargo process was using, and that are not looked at.
    busy: Vec<PathBuf>,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Findings {
    /// Launchers of this build.
    pub jailed: Vec<PathBuf>,
    /// Launchers that may or may not be of this build (newer layout).
    pub perhaps: Vec<PathBuf>,
    /// Scripts of this build that are not our launcher.
    pub unjailed: Vec<PathBuf>,
}

/// A script's file in a build directory.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum ScriptFile {
    /// The hard link that Cargo runs.
    Link(PathBuf),
    /// The compiled file itself, which Cargo runs in the newer layout.
    Compiled(PathBuf),
}

/// The entries of a directory; none if there is no such directory.
fn entries(directory: &Path) -> Result<Vec<PathBuf>, Error> {
    let failed = |source| Error::Directory { path: directory.to_owned(), source };
    match fs::read_dir(directory) {
        Ok(entries) => entries
            .map(|entry| entry.map(|entry| entry.path()).map_err(failed))
            .collect::<Result<Vec<_>, _>>(),
        Err(error)
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
        {
            Ok(Vec::new())
        }
        Err(error) => Err(failed(error)),
    }
}

/// Directories named `build` with a profile's name, or a target's and a profile's, above them.
fn profile_dirs(root: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut found = Vec::new();
    for first in entries(root)? {
        if first.join("build").is_dir() {
            found.push(first);
        } else if first.is_dir() {
            found.extend(entries(&first)?.into_iter().filter(|dir| dir.join("build").is_dir()));
        }
    }
    Ok(found)
}

/// The directories in a build directory that hold an `OUT_DIR` of this package, or of any, and what
/// is written beside it: `PROFILE/build/PACKAGE-HASH`, and in the newer layout
/// `PROFILE/build/PACKAGE/HASH`. Without an `OUT_DIR` in them they can be something else.
///
/// # Errors
/// If a directory is there and cannot be read.
pub fn run_dirs(root: &Path, package: Option<&str>) -> Result<Vec<PathBuf>, Error> {
    let mut found = Vec::new();
    for profile_dir in profile_dirs(root)? {
        for directory in entries(&profile_dir.join("build"))? {
            let name = directory.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let is_meant = package.is_none_or(|package| {
                name.strip_prefix(package).is_some_and(|rest| {
                    rest.is_empty() || rest.strip_prefix('-').is_some_and(is_hash)
                })
            });
            if !is_meant {
                continue;
            }
            found.extend(entries(&directory)?.into_iter().filter(|inner| {
                inner.file_name().and_then(|name| name.to_str()).is_some_and(is_hash)
            }));
            found.push(directory);
        }
    }
    Ok(found)
}

/// The records of compilations in a build directory. `cargo clean -p` removes what was made, and leaves them.
///
/// # Errors
/// If a directory is there and cannot be read.
pub fn records_of_compilations(root: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut found = Vec::new();
    for profile_dir in profile_dirs(root)? {
        let records = entries(&profile_dir.join(record::COMPILATIONS))?;
        found.extend(
            records.into_iter().filter(|path| path.extension() == Some(OsStr::new("json"))),
        );
    }
    Ok(found)
}

/// What rustc wrote of its inputs, beside the crates that were compiled for the same profile and target as
/// the unit of this `OUT_DIR`: `PROFILE/deps/*.d`, and in the newer layout those of the package,
/// `PROFILE/build/PACKAGE/HASH/out/*.d`. Not those of build scripts.
#[must_use]
pub fn dep_infos(out_dir: &Path) -> Vec<PathBuf> {
    let build = out_dir.ancestors().find(|dir| dir.file_name() == Some(OsStr::new("build")));
    let mut directories: Vec<PathBuf> =
        build.and_then(Path::parent).into_iter().map(|profile| profile.join("deps")).collect();
    let package = out_dir.ancestors().nth(2).filter(|package| Some(*package) != build);
    let units = package.and_then(|package| entries(package).ok()).unwrap_or_default();
    directories.extend(units.into_iter().map(|unit| unit.join("out")));
    let files = directories.iter().filter_map(|directory| entries(directory).ok()).flatten();
    files
        .filter(|path| path.extension() == Some(OsStr::new("d")))
        .filter(|path| path.file_stem().is_some_and(|name| !is_script_file_name(name)))
        .collect()
}

/// Whether a compiled script was part of the last jailed build: [`Completeness::begin`] removes the links of
/// all others. In the newer layout there are no links, and this is false.
#[must_use]
pub fn is_of_last_build(script: &Path) -> bool {
    let beside = script.parent().and_then(|directory| entries(directory).ok());
    beside.unwrap_or_default().iter().any(|path| is_link(path))
}

/// Whether a file is the link of a script that Cargo runs.
fn is_link(path: &Path) -> bool {
    path.file_name().and_then(|name| name.to_str()).is_some_and(|name| {
        (name.starts_with("build-script-") || name.starts_with("metabuild-"))
            && !name.contains('.')
            && path.is_file()
    })
}

fn scripts_in(profile_dir: &Path) -> Result<Vec<ScriptFile>, Error> {
    let mut scripts = Vec::new();
    for package in entries(&profile_dir.join("build"))? {
        for path in entries(&package)? {
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
            if is_link(&path) {
                scripts.push(ScriptFile::Link(path));
                continue;
            }
            if !is_hash(name) {
                continue;
            }
            let compiled = entries(&path.join("out"))?.into_iter().filter(|file| {
                file.file_name().is_some_and(is_script_file_name)
                    && file.extension().is_none()
                    && file.is_file()
            });
            scripts.extend(compiled.map(ScriptFile::Compiled));
        }
    }
    scripts.sort();
    Ok(scripts)
}

/// Whether a directory's name is a unit's hash, as in the newer layout.
fn is_hash(name: &str) -> bool {
    name.len() == 16 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn remove(path: &Path) -> Result<(), Error> {
    fs::remove_file(path).map_err(|source| Error::Directory { path: path.to_owned(), source })
}

impl Completeness {
    /// Prepares the build directories `roots` for a build. `waits` says of a profile directory that
    /// another Cargo process is using whether this build will have to wait for it anyway; then it
    /// is waited for, and else the directory is left alone.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn begin(roots: Vec<PathBuf>, waits: impl Fn(&Path) -> bool) -> Result<Self, Error> {
        let mut completeness = Self { roots, busy: Vec::new() };
        for root in &completeness.roots {
            for profile_dir in profile_dirs(root)? {
                let Some(locks) = lock(&profile_dir, waits(&profile_dir))? else {
                    completeness.busy.push(profile_dir);
                    continue;
                };
                for script in scripts_in(&profile_dir)? {
                    match script {
                        ScriptFile::Link(path) => remove(&path)?,
                        ScriptFile::Compiled(path) if !launcher::is_genuine(&path)? => {
                            remove(&path)?;
                        }
                        ScriptFile::Compiled(_) => {}
                    }
                }
                drop(locks);
            }
        }
        Ok(completeness)
    }

    /// Looks at the script files of the build.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn finish(self) -> Result<Findings, Error> {
        let mut findings = Findings::default();
        for root in &self.roots {
            for profile_dir in profile_dirs(root)? {
                if self.busy.contains(&profile_dir) {
                    continue;
                }
                for script in scripts_in(&profile_dir)? {
                    match script {
                        ScriptFile::Link(path) if launcher::is_genuine(&path)? => {
                            findings.jailed.push(path);
                        }
                        ScriptFile::Compiled(path) if launcher::is_genuine(&path)? => {
                            findings.perhaps.push(path);
                        }
                        ScriptFile::Link(path) | ScriptFile::Compiled(path) => {
                            findings.unjailed.push(path);
                        }
                    }
                }
            }
        }
        Ok(findings)
    }
}

/// Makes Cargo believe that what a directory such as [`run_dirs`] gives was never built or run, by
/// removing its fingerprint (`src/cargo/core/compiler/fingerprint/mod.rs`): the next build does it again.
///
/// # Errors
/// See [`Error`].
pub fn forget(directory: &Path) -> Result<(), Error> {
    let name = directory.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let build = directory.ancestors().find(|path| path.file_name().is_some_and(|n| n == "build"));
    let Some(profile_dir) = build.and_then(Path::parent) else { return Ok(()) };
    let fingerprint = if is_hash(name) {
        directory.join("fingerprint")
    } else {
        profile_dir.join(".fingerprint").join(name)
    };
    let locks = lock(profile_dir, true)?;
    let removed = fs::remove_dir_all(&fingerprint);
    drop(locks);
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::Directory { path: fingerprint, source: error })
        }
        _ => Ok(()),
    }
}

/// Cargo's locks of a profile directory (`src/cargo/core/compiler/layout.rs`), held; none if they
/// are taken and `wait` is false.
fn lock(profile_dir: &Path, wait: bool) -> Result<Option<Vec<File>>, Error> {
    let mut locks = Vec::new();
    for name in [".cargo-lock", ".cargo-build-lock"] {
        let path = profile_dir.join(name);
        let file = match File::options().read(true).write(true).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(source) => return Err(Error::Directory { path, source }),
        };
        let failed = |source| Error::Directory { path: path.clone(), source };
        match file.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) if wait => {
                eprintln!("    Blocking waiting for file lock on build directory");
                file.lock().map_err(failed)?;
            }
            Err(fs::TryLockError::WouldBlock) => return Ok(None),
            Err(fs::TryLockError::Error(source)) => return Err(failed(source)),
        }
        locks.push(file);
    }
    Ok(Some(locks))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(dir: &Path, name: &str, jailed: bool) -> PathBuf {
        fs::create_dir_all(dir).unwrap();
        let path = dir.join(name);
        fs::write(&path, "script").unwrap();
        if jailed {
            launcher::install(&path, None).unwrap();
        }
        path
    }

    #[test]
    fn links_that_cargo_makes_again_are_the_builds() {
        let dir = tempfile::tempdir().unwrap();
        let package = dir.path().join("debug/build/p-1");
        let stale =
            script(&dir.path().join("t-x/release/build/old-1"), "build-script-build", false);
        let compiled = script(&package, "build_script_build-1", true);
        let link = package.join("build-script-build");
        fs::hard_link(&compiled, &link).unwrap();
        let completeness = Completeness::begin(vec![dir.path().to_owned()], |_| true).unwrap();
        assert!(!link.exists() && !stale.exists() && compiled.exists());
        fs::hard_link(&compiled, &link).unwrap();
        let raw = script(&dir.path().join("debug/build/q-2"), "build-script-main", false);
        let findings = completeness.finish().unwrap();
        assert_eq!(findings.jailed, [link]);
        assert_eq!(findings.unjailed, [raw]);
    }

    #[test]
    fn in_the_newer_layout_raw_scripts_are_compiled_again() {
        let dir = tempfile::tempdir().unwrap();
        let raw = script(
            &dir.path().join("debug/build/p/0123456789abcdef/out"),
            "build_script_build",
            false,
        );
        let good = script(
            &dir.path().join("debug/build/q/0123456789abcde0/out"),
            "build_script_build",
            true,
        );
        let completeness = Completeness::begin(vec![dir.path().to_owned()], |_| true).unwrap();
        assert!(!raw.exists() && good.exists());
        let findings = completeness.finish().unwrap();
        assert_eq!(findings.perhaps, [good]);
        assert!(findings.unjailed.is_empty());
    }

    #[test]
    fn a_directory_in_use_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let link = script(&dir.path().join("debug/build/p-1"), "build-script-build", false);
        let lock = File::create(dir.path().join("debug/.cargo-lock")).unwrap();
        lock.lock().unwrap();
        let completeness = Completeness::begin(vec![dir.path().to_owned()], |_| false).unwrap();
        assert!(link.exists());
        assert!(completeness.finish().unwrap().unjailed.is_empty());
    }
}
