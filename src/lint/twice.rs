//! Whether a script does the same twice: it is run two times, in the jail, by the same policy, each time
//! with an empty `OUT_DIR` at the same place, and what it left and printed is compared. The jail's own
//! directories, such as `HOME`, have the same names both times: a script that writes them down is not to
//! blame for them.
//!
//! A record has the values of Cargo's variables; all others are those of the program that asks. What
//! lies in the package's own build is not touched: the private directory is beside `OUT_DIR`, where
//! nobody but `cargo clean` looks, and goes afterwards.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::{Code, Lint};
use crate::access::printable;
use crate::launcher;
use crate::private_dir::{self, PrivateDir};
use crate::process::Exit;
use crate::stored::Stored;
use crate::unit::Unit;

/// The second run begins so long after the first: the clock shows another second then, which is what most
/// programs write down.
const APART: Duration = Duration::from_millis(1100);
/// The end of a failed run's standard error.
const SHOWN: usize = 2000;

/// Why that cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An earlier cargo-brig, or another build tool.
    #[error("the record of `{}` does not say which variables Cargo had set", printable(.package))]
    NoVariables {
        /// The package.
        package: String,
    },
    /// A run that failed.
    #[error("the recorded run of the build script of `{}` failed", printable(.package))]
    HasFailed {
        /// The package.
        package: String,
    },
    /// A record that came from somewhere else, such as with a build directory among the sources of a
    /// project: it could name any program, and any directory to be read.
    #[error(
        "the record `{}` does not belong where it lies, or its package is gone",
        printable(&.path.to_string_lossy())
    )]
    Displaced {
        /// The record.
        path: PathBuf,
    },
    /// The directory for the runs.
    #[error(transparent)]
    PrivateDir(#[from] private_dir::Error),
    /// Something in it, or a program that cannot be started.
    #[error("cannot use `{}`", printable(&.path.to_string_lossy()))]
    Use {
        /// The file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// A run that failed now.
    #[error(
        "the build script of `{}` cannot be run again: it fails; the last that it said:\n{said}",
        printable(.package)
    )]
    Fails {
        /// The package.
        package: String,
        /// What it said, made printable.
        said: String,
    },
    /// A record that was just written.
    #[error("cannot read what was recorded of the build script of `{}`", printable(.package))]
    Record {
        /// The package.
        package: String,
        /// Cause.
        #[source]
        source: serde_json::Error,
    },
}

/// What one run left and printed.
#[derive(Debug, PartialEq, Eq)]
struct Yield {
    /// Length, digest and where a link leads, by path.
    outputs: BTreeMap<String, (u64, Option<String>, Option<String>)>,
    instructions: Vec<String>,
}

/// Runs the recorded script twice, and says what was different. `record` is the record's file.
///
/// # Errors
/// See [`Error`].
pub fn differing(stored: &Stored<'_>, record: &Path) -> Result<Option<Lint>, Error> {
    let package = || stored.unit.package.to_string();
    if stored.unit.variables.is_empty() {
        return Err(Error::NoVariables { package: package() });
    }
    if stored.exit != Exit::Code(0) {
        return Err(Error::HasFailed { package: package() });
    }
    if !belongs(stored, record) {
        return Err(Error::Displaced { path: record.to_owned() });
    }
    let out_dir = Path::new(&*stored.unit.out_dir);
    let private = PrivateDir::new_in(out_dir.parent().unwrap_or(out_dir), "twice")?;
    // A repository or a manifest above TMPDIR would be found.
    let own = PrivateDir::new("again")?;
    let began = Instant::now();
    let first = run(stored, private.path(), own.path())?;
    thread::sleep(APART.saturating_sub(began.elapsed()));
    let second = run(stored, private.path(), own.path())?;
    Ok(compare(&first, &second))
}

/// Whether a record speaks of what lies around it: the `OUT_DIR` beside it, a script of the same build
/// directory, and a package of that name.
fn belongs(stored: &Stored<'_>, record: &Path) -> bool {
    let unit = stored.unit.unit();
    let is_beside = record.parent().and_then(|directory| fs::canonicalize(directory).ok())
        == fs::canonicalize(&unit.out_dir).ok().and_then(|path| Some(path.parent()?.to_owned()));
    let script = fs::canonicalize(&unit.script);
    let is_script = script.is_ok_and(|script| script.starts_with(unit.build_dir().root()));
    let manifest = fs::read_to_string(unit.manifest_dir.join("Cargo.toml")).unwrap_or_default();
    let manifest: toml::Table = manifest.parse().unwrap_or_default();
    let name = manifest.get("package").and_then(|package| package.get("name"));
    let is_package = name.and_then(toml::Value::as_str) == Some(unit.package.as_str());
    is_beside && is_script && is_package
}

fn run(stored: &Stored<'_>, directory: &Path, own: &Path) -> Result<Yield, Error> {
    let (out_dir, record) = (directory.join("out"), directory.join("brig.json"));
    let using = |path: &Path| {
        let path = path.to_owned();
        |source| Error::Use { path, source }
    };
    if out_dir.exists() {
        fs::remove_dir_all(&out_dir).map_err(using(&out_dir))?;
    }
    fs::create_dir(&out_dir).map_err(using(&out_dir))?;
    let program = env::current_exe().map_err(using(Path::new("/proc/self/exe")))?;
    let mut command = Command::new(&program);
    // The launcher knows the workspace.
    let script = Path::new(&*stored.unit.script);
    let launcher = launcher::launcher_path(script).filter(|path| path.is_file());
    command.arg("exec").arg("--record").arg(&record).arg("--private").arg(own).arg("--");
    command.arg(launcher.as_deref().unwrap_or(script));
    for (name, _) in env::vars_os().filter(|(name, _)| Unit::is_cargo_variable(name)) {
        command.env_remove(name);
    }
    for (name, value) in &stored.unit.variables {
        // The jobserver was that build's.
        if &**name != "CARGO_MAKEFLAGS" {
            command.env(&**name, &**value);
        }
    }
    command.env_remove("MAKEFLAGS").env_remove("MFLAGS").env("OUT_DIR", &out_dir);
    command.current_dir(&*stored.unit.manifest_dir).stdin(Stdio::null());
    let output = command.output().map_err(using(&program))?;
    let package = || stored.unit.package.to_string();
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let start = said.len().saturating_sub(SHOWN);
        let start = (start..said.len()).find(|at| said.is_char_boundary(*at)).unwrap_or(start);
        let said: Vec<String> = said[start..].lines().map(printable).collect();
        return Err(Error::Fails { package: package(), said: said.join("\n") });
    }
    let text = fs::read(&record).map_err(using(&record))?;
    let stored: Stored<'_> = serde_json::from_slice(&text)
        .map_err(|source| Error::Record { package: package(), source })?;
    let text = |text: &crate::stored::Text<'_>| text.to_string();
    Ok(Yield {
        outputs: stored
            .outputs
            .iter()
            .flatten()
            .map(|output| {
                let what =
                    (output.size, output.sha256.as_ref().map(text), output.link.as_ref().map(text));
                (output.path.to_string(), what)
            })
            .collect(),
        instructions: stored
            .instructions
            .iter()
            .filter_map(|told| Some(told.instruction()?.to_string()))
            .collect(),
    })
}

fn compare(first: &Yield, second: &Yield) -> Option<Lint> {
    let paths = first.outputs.keys().chain(second.outputs.keys());
    let outputs = paths
        .filter(|path| first.outputs.get(*path) != second.outputs.get(*path))
        .map(|path| format!("{{out-dir}}/{path}"));
    let mut items: Vec<String> = outputs.collect();
    for (run, other) in [(first, second), (second, first)] {
        let only = run.instructions.iter().filter(|line| !other.instructions.contains(line));
        items.extend(only.cloned());
    }
    if items.is_empty() && first.instructions != second.instructions {
        items.push("the order of its instructions".to_owned());
    }
    Lint::about(
        Code::DiffersBetweenRuns,
        "gave something else when it was run a second time with the same inputs",
        items,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(outputs: &[(&str, &str)], instructions: &[&str]) -> Yield {
        let outputs = outputs
            .iter()
            .map(|(path, digest)| ((*path).to_owned(), (1, Some((*digest).to_owned()), None)));
        Yield {
            outputs: outputs.collect(),
            instructions: instructions.iter().map(|&line| line.to_owned()).collect(),
        }
    }

    #[test]
    fn what_differs_is_named() {
        let first = result(&[("a", "1"), ("b", "1")], &["x", "y"]);
        assert_eq!(compare(&first, &first), None);
        let items = |second: &Yield| compare(&first, second).unwrap().items;
        let second = result(&[("a", "2"), ("c", "1")], &["x", "z"]);
        assert_eq!(items(&second), ["y", "z", "{out-dir}/a", "{out-dir}/b", "{out-dir}/c"]);
        let second = result(&[("a", "1"), ("b", "1")], &["y", "x"]);
        assert_eq!(items(&second), ["the order of its instructions"]);
    }
}
