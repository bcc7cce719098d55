//! The linker shim: the second way to a launcher, for scripts that rustc compiles without the
//! wrapper.
//!
//! `cargo fix` and `cargo clippy --fix` call rustc for the workspace's own packages without
//! `RUSTC_WRAPPER` (`src/cargo/ops/fix/mod.rs`). For these commands the front door sets
//! `CARGO_TARGET_<HOST>_LINKER` to a link that is named like the real linker, so that rustc still
//! guesses its flavor, and lies in a directory called [`DIRECTORY`], by which the program knows what
//! it is. The real linker is named in the file [`REAL`] beside the link: not in a variable, because
//! rustc's environment can be written by a script.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use super::arguments::{self, expand};
use super::invocation::is_script_file_name;
use crate::launcher;

/// Name of the directory in which the link lies.
pub const DIRECTORY: &str = "brig-linker";
/// Name of the file that holds the real linker's path or name.
pub const REAL: &str = "real-linker";

/// Why a link step could not be wrapped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file that names the real linker.
    #[error("cannot read the real linker's name in `{path}`")]
    Real {
        /// The file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// The link or the file that names the real linker cannot be made.
    #[error("cannot set up the linker shim `{path}`")]
    SetUp {
        /// What was to be made.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// The real linker cannot be started.
    #[error("cannot run the linker `{}`", .linker.display())]
    Run {
        /// The real linker.
        linker: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// The command line.
    #[error(transparent)]
    Arguments(#[from] arguments::Error),
    /// The launcher.
    #[error(transparent)]
    Launcher(#[from] launcher::Error),
}

/// The directory of the link, if `program` (the program's own `argv[0]`) is the linker shim.
#[must_use]
pub fn directory_of(program: &OsStr) -> Option<PathBuf> {
    let parent = Path::new(program).parent()?;
    (parent.file_name() == Some(OsStr::new(DIRECTORY))).then(|| parent.to_owned())
}

/// Makes the linker shim below `directory` (a place of the build's own, such as its target
/// directory) and returns the link's path.
///
/// # Errors
/// [`Error::SetUp`].
pub fn set_up(directory: &Path, program: &Path, linker: &OsStr) -> Result<PathBuf, Error> {
    let directory = directory.join(DIRECTORY);
    let set_up = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::SetUp { path, source }
    };
    fs::create_dir_all(&directory).map_err(set_up(&directory))?;
    let beside = |name: &str| directory.join(format!(".{name}.{}", std::process::id()));
    let real = directory.join(REAL);
    let new_real = beside(REAL);
    fs::write(&new_real, linker.as_bytes()).map_err(set_up(&new_real))?;
    fs::rename(&new_real, &real).map_err(set_up(&real))?;
    let link = directory.join(Path::new(linker).file_name().unwrap_or(OsStr::new("cc")));
    let new_link = beside("link");
    symlink(program, &new_link).map_err(set_up(&new_link))?;
    fs::rename(&new_link, &link).map_err(set_up(&link))?;
    Ok(link)
}

/// Runs the real linker, and covers what it wrote if that is a build script.
///
/// # Errors
/// See [`Error`]; no script is then left where Cargo would run it.
pub fn wrap(directory: &Path, arguments: &[OsString]) -> Result<ExitStatus, Error> {
    let real = directory.join(REAL);
    let linker = fs::read(&real).map_err(|source| Error::Real { path: real, source })?;
    let linker = PathBuf::from(OsString::from_vec(linker));
    let script = script_of(arguments)?;
    if let Some(script) = &script {
        launcher::remove(script)?;
    }
    let status = Command::new(&linker)
        .args(arguments)
        .status()
        .map_err(|source| Error::Run { linker: linker.clone(), source })?;
    if let Some(script) = script {
        if status.success() {
            launcher::install(&script, workspace_of_fix().as_deref())?;
        } else {
            launcher::remove(&script)?;
        }
    }
    Ok(status)
}

/// The build script that this call of the linker writes, if it does.
fn script_of(arguments: &[OsString]) -> Result<Option<PathBuf>, arguments::Error> {
    // In an argument file for the linker rustc escapes blanks and backslashes by a backslash
    // (`rustc_codegen_ssa/src/back/command.rs`).
    let escaped = arguments.iter().any(|argument| argument.as_bytes().starts_with(b"@"));
    let arguments = expand(arguments)?;
    let mut arguments = arguments.iter();
    let mut output = None;
    while let Some(argument) = arguments.next() {
        if argument == "-o" {
            output =
                arguments.next().map(|path| if escaped { unescape(path) } else { path.into() });
        }
    }
    Ok(output.filter(|path| {
        let in_deps = path.parent().and_then(Path::file_name) == Some(OsStr::new("deps"));
        path.file_name().is_some_and(is_script_file_name) && !in_deps
    }))
}

fn unescape(word: &OsStr) -> PathBuf {
    let mut bytes = Vec::with_capacity(word.len());
    let mut rest = word.as_bytes().iter();
    while let Some(byte) = rest.next() {
        bytes.push(if *byte == b'\\' { *rest.next().unwrap_or(byte) } else { *byte });
    }
    PathBuf::from(OsString::from_vec(bytes))
}

/// Only packages of the workspace are compiled without the wrapper, and rustc is then run in its
/// root; rustc runs the linker in its own directory.
fn workspace_of_fix() -> Option<PathBuf> {
    env::current_dir().ok().filter(|path| path.join("Cargo.toml").is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_link_says_what_the_program_is() {
        let program = OsStr::new("/t/brig-linker/cc");
        assert_eq!(directory_of(program), Some(PathBuf::from("/t/brig-linker")));
        assert_eq!(directory_of(OsStr::new("cargo-brig")), None);
        assert_eq!(directory_of(OsStr::new("/usr/bin/cc")), None);
    }

    #[test]
    fn the_link_is_made_twice_without_harm() {
        let dir = tempfile::tempdir().unwrap();
        for linker in ["cc", "/opt/bin/clang"] {
            let link = set_up(dir.path(), Path::new("/bin/true"), OsStr::new(linker)).unwrap();
            assert_eq!(link.file_name(), Path::new(linker).file_name());
            assert_eq!(fs::read_link(&link).unwrap(), Path::new("/bin/true"));
            let real = dir.path().join(DIRECTORY).join(REAL);
            assert_eq!(fs::read_to_string(real).unwrap(), linker);
        }
    }

    #[test]
    fn only_scripts_are_covered() {
        let words = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
        let script = words(&["-m64", "x.o", "-o", "/t/build/p-1/build_script_build-1", "-lc"]);
        assert!(script_of(&script).unwrap().is_some());
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("linker-arguments");
        fs::write(&file, "x.o\n-o\n/t\\ d/build/p-1/build_script_build-1\n").unwrap();
        let argument = words(&[&format!("@{}", file.display())]);
        let path = Path::new("/t d/build/p-1/build_script_build-1");
        assert_eq!(script_of(&argument).unwrap().as_deref(), Some(path));
        let test = words(&["x.o", "-o", "/t/deps/build_script_build-1"]);
        assert_eq!(script_of(&test).unwrap(), None);
        let program = words(&["x.o", "-o", "/t/debug/deps/app-1"]);
        assert_eq!(script_of(&program).unwrap(), None);
    }
}
