//! `cargo brig freeze`: what the scripts of packages with a `links` key told Cargo, as the overrides of
//! Cargo's configuration in whose presence it does not run them ("Overriding Build Scripts", The Cargo
//! Book).
//!
//! Reads records and what rustc wrote of its inputs, and writes text. What an override would not stand in
//! for is not frozen, with the reasons.

pub mod obstacle;
pub mod out_dir;
pub mod table;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Write, stdout};
use std::path::{Path, PathBuf};

use crate::access::printable;
use crate::audit::sinks::STDOUT;
use crate::cli::Freeze;
use crate::exit::{self, Ending};
use crate::launch::explain;
use crate::show::{
    self,
    find::{self, Workspace},
};
use crate::stored::Stored;
use obstacle::Obstacle;
use table::Table;

/// The first line of what is written, by which it is known again.
const HEADER: &str = "# Build scripts that need not run: written by `cargo brig freeze`.";
const EXPLANATION: &str = "\
# Cargo takes this instead of the scripts, as part of `.cargo/config.toml`. It holds for these versions, their
# features and this machine's libraries alone: freeze again when any of them changes.
";

/// Why nothing could be frozen.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The records.
    #[error(transparent)]
    Records(#[from] show::Error),
    /// A file of somebody else's.
    #[error(
        "`{}` is there already, and is not of `cargo brig freeze`",
        printable(&.path.to_string_lossy())
    )]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// A file that cannot be written.
    #[error("cannot write `{}`", printable(&.path.to_string_lossy()))]
    Write {
        /// The file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// Standard output.
    #[error("cannot write to standard output")]
    Output(#[source] io::Error),
}

/// A package's runs for one target.
#[derive(Debug, Default)]
struct Runs {
    /// What each of them would be.
    tables: Vec<Table>,
    obstacles: Vec<Obstacle>,
}

/// Freezes what is asked for. A package that was named and cannot be frozen is a failure, and nothing is
/// written then.
#[must_use]
pub fn run(arguments: &Freeze) -> Ending {
    match freeze(arguments) {
        Ok(ending) => ending,
        Err(Error::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ending::Code(0),
        Err(error) => {
            tell(&explain(&error).replacen("error:", "error: brig:", 1));
            Ending::Code(exit::FAILED)
        }
    }
}

fn freeze(arguments: &Freeze) -> Result<Ending, Error> {
    let workspace = Workspace::of(&arguments.location)?;
    let mut failures = Vec::new();
    let mut failed = |error| failures.push(error);
    let mut found = Vec::new();
    if arguments.packages.is_empty() {
        found = workspace.records(None, &mut failed)?;
    }
    for package in &arguments.packages {
        found.extend(workspace.records(Some(package), &mut failed)?);
    }
    if let Some(error) = failures.into_iter().next() {
        return Err(error.into());
    }
    find::retain_last(&mut found);
    let mut packages: BTreeMap<(String, String, String), Runs> = BTreeMap::new();
    for run in &found {
        let text = find::read(&run.path)?;
        let stored: Stored =
            serde_json::from_slice(&text).map_err(|error| find::damaged(&run.path, &error))?;
        let target = run.target.clone().unwrap_or_default();
        let key = (run.package.clone(), run.version.clone(), target);
        let runs = packages.entry(key).or_default();
        match Table::of(&stored) {
            Ok(table) if runs.tables.first().is_some_and(|first| *first != table) => {
                runs.obstacles.push(Obstacle::Differs);
            }
            Ok(table) => runs.tables.push(table),
            Err(obstacles) => runs.obstacles.extend(obstacles),
        }
    }
    let (text, refused) = document(packages);
    tell_refused(&refused, arguments.packages.is_empty());
    if !arguments.packages.is_empty() && !refused.is_empty() {
        return Ok(Ending::Code(exit::FAILED));
    }
    if let Some(path) = arguments.output.as_ref().filter(|path| path.as_os_str() != STDOUT) {
        write_file(path, &text)?;
    } else {
        let mut out = stdout().lock();
        out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(Error::Output)?;
    }
    Ok(Ending::Code(0))
}

/// The document, and what is not part of it.
fn document(
    packages: BTreeMap<(String, String, String), Runs>,
) -> (String, Vec<(String, Vec<Obstacle>)>) {
    let mut text = format!("{HEADER}\n{EXPLANATION}");
    let mut refused = Vec::new();
    // Two versions of a package, or two packages, cannot have the same key in one build, but records can
    // be of several.
    let mut taken: BTreeMap<String, String> = BTreeMap::new();
    for ((package, version, _), Runs { tables, mut obstacles }) in packages {
        let name = format!("{package} v{version}");
        if let Some(table) = tables.first()
            && let Some(other) = taken.get(&table.heading())
        {
            obstacles.push(Obstacle::Taken { by: other.clone() });
        }
        match tables.first() {
            Some(table) if obstacles.is_empty() => {
                taken.insert(table.heading(), name.clone());
                write!(text, "\n# {}\n{table}", printable(&name)).expect("a String takes it all");
            }
            _ => {
                obstacles.sort();
                obstacles.dedup();
                refused.push((name, obstacles));
            }
        }
    }
    (text, refused)
}

/// Says what is not frozen, and why. That most packages have no `links` key needs no more than a line,
/// where all were meant.
fn tell_refused(refused: &[(String, Vec<Obstacle>)], are_all_meant: bool) {
    let (without, others): (Vec<_>, Vec<_>) = refused
        .iter()
        .partition(|(_, obstacles)| are_all_meant && *obstacles == [Obstacle::NoLinks]);
    if !without.is_empty() {
        let names: Vec<String> = without.iter().map(|(package, _)| printable(package)).collect();
        tell(&format!("note: not frozen, without a `links` key: {}", names.join(", ")));
    }
    for (package, obstacles) in others {
        let mut text = format!("warning: not frozen: `{}`", printable(package));
        for obstacle in obstacles {
            write!(text, "\n  {}", printable(&obstacle.to_string()))
                .expect("a String takes it all");
        }
        tell(&text);
    }
}

fn tell(text: &str) {
    // Nobody is left to be told of an error on stderr.
    drop(writeln!(io::stderr(), "{text}"));
}

/// Writes a file beside and renames it, over an earlier one of the same kind only. The directory is made
/// if need be: few workspaces have a `.cargo`.
fn write_file(path: &Path, text: &str) -> Result<(), Error> {
    let failed = |source| Error::Write { path: path.to_owned(), source };
    match fs::read(path) {
        Ok(earlier) if !earlier.starts_with(HEADER.as_bytes()) => {
            return Err(Error::Foreign { path: path.to_owned() });
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
        fs::create_dir_all(directory).map_err(failed)?;
    }
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}", std::process::id()));
    let beside = path.with_file_name(name);
    let write = || -> io::Result<()> {
        let mut file = File::create_new(&beside)?;
        file.write_all(text.as_bytes())?;
        fs::rename(&beside, path)
    };
    write().inspect_err(|_| drop(fs::remove_file(&beside))).map_err(failed)
}
