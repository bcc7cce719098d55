//! The records of a workspace: where they lie, which of them are of the last build.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use std::{env, fs, io};

use serde_json::Value;

use super::Error;
use crate::cli::{Location, PackageSpec};
use crate::config::Config;
use crate::front::command_line::CommandLine;
use crate::front::roots;
use crate::policy::Mode;
use crate::process::Exit;
use crate::stored::{Brief, Compiled, Head};
use crate::{completeness, front, record};

/// A workspace, or a build directory that was named.
#[derive(Debug)]
pub struct Workspace {
    command_line: CommandLine,
    /// Where Cargo builds.
    roots: Vec<PathBuf>,
}

/// A record that was found, and what a line about it needs.
#[derive(Clone, Debug)]
pub struct Found {
    /// Its file.
    pub path: PathBuf,
    /// The package's name.
    pub package: String,
    /// The package's version.
    pub version: String,
    /// `TARGET`.
    pub target: Option<String>,
    /// `HOST`.
    pub host: Option<String>,
    /// `PROFILE`.
    pub profile: Option<String>,
    /// The compiled script, or the compiler.
    pub script: PathBuf,
    /// What was compiled, if it is not a script that was run.
    pub compiled: Option<String>,
    /// Seconds since 1970.
    pub started: u64,
    /// When the record was written: two runs can have started in the same second.
    pub written: Option<SystemTime>,
    /// How the script ended.
    pub exit: Exit,
    /// How many things the jail refused.
    pub denied: u64,
    /// Whether its policy denied anything but writes.
    pub mode: Mode,
    /// How many programs were run, the script included.
    pub programs: usize,
    /// How many files it left in `OUT_DIR`; none if the record does not say.
    pub outputs: Option<u64>,
}

impl Workspace {
    /// The workspace that the arguments mean.
    ///
    /// # Errors
    /// If Cargo cannot tell, or nothing was built there.
    pub fn of(location: &Location) -> Result<Self, Error> {
        let mut words = vec![OsString::from("metadata")];
        for (option, value) in
            [("--target-dir", &location.target_dir), ("--manifest-path", &location.manifest_path)]
        {
            words.extend(value.iter().flat_map(|v| [option.into(), v.clone().into_os_string()]));
        }
        let command_line = CommandLine::parse(&words);
        let directory = env::current_dir().unwrap_or_default();
        let config = Config::load(&directory, &[]);
        let (mut roots, _) = roots::find(&command_line, &directory, &config);
        if roots.is_empty() {
            // A build directory that was named is enough.
            let named = location.target_dir.as_ref().map(|path| directory.join(path));
            roots.push(named.ok_or_else(|| no_workspace(&command_line))?);
        }
        if !roots.iter().any(|root| root.is_dir()) {
            return Err(Error::NoBuildDirectory { path: roots.swap_remove(0) });
        }
        Ok(Self { command_line, roots })
    }

    /// Every record of this package, or of all, by package and version, the newest first. What cannot
    /// be read goes to `failed`.
    ///
    /// # Errors
    /// If a directory cannot be read, or there is no record.
    pub fn records(
        &self,
        package: Option<&PackageSpec>,
        failed: &mut impl FnMut(Error),
    ) -> Result<Vec<Found>, Error> {
        let mut paths = Vec::new();
        for root in &self.roots {
            let name = package.map(|package| package.name.as_str());
            let directories = completeness::run_dirs(root, name)?;
            paths.extend(directories.iter().map(|directory| directory.join(record::FILE_NAME)));
        }
        let is_meant = |run: &Found| run.compiled.is_none();
        Self::read(paths, package, is_meant, failed).ok_or_else(|| self.nothing(package))
    }

    /// As [`Self::records`], of crates that were compiled and are still there.
    ///
    /// # Errors
    /// If a directory cannot be read, or there is no record.
    pub fn compilations(
        &self,
        package: Option<&PackageSpec>,
        failed: &mut impl FnMut(Error),
    ) -> Result<Vec<Found>, Error> {
        let mut paths = Vec::new();
        for root in &self.roots {
            paths.extend(completeness::records_of_compilations(root)?);
        }
        let package_name = || package.map(|package| package.name.clone());
        let nothing = || Error::NoCompilation { package: package_name() };
        let is_meant = |run: &Found| run.compiled.is_some();
        Self::read(paths, package, is_meant, failed).ok_or_else(nothing)
    }

    /// Those that can be read; none if there is none and nothing was said.
    fn read(
        paths: Vec<PathBuf>,
        package: Option<&PackageSpec>,
        is_meant: impl Fn(&Found) -> bool,
        failed: &mut impl FnMut(Error),
    ) -> Option<Vec<Found>> {
        let mut found = Vec::new();
        let mut failures = 0;
        for path in paths {
            match Found::load(&path) {
                Ok(run) => found.extend(run),
                Err(error) => {
                    failures += 1;
                    failed(error);
                }
            }
        }
        found.retain(|run| {
            let is_named = package.is_none_or(|package| {
                run.package == package.name && package.is_version(&run.version)
            });
            is_named && is_meant(run)
        });
        // One that cannot be read is answer enough.
        if found.is_empty() && failures == 0 {
            return None;
        }
        found.sort_by(|a, b| {
            let key = |run: &Found| (Reverse(run.started), Reverse(run.written), run.path.clone());
            (&a.package, &a.version).cmp(&(&b.package, &b.version)).then(key(a).cmp(&key(b)))
        });
        Some(found)
    }

    /// Why there is no record.
    fn nothing(&self, package: Option<&PackageSpec>) -> Error {
        let Some(package) = package else {
            return Error::NoRecords { path: self.roots[0].clone() };
        };
        let name = match &package.version {
            Some(version) => format!("{}@{version}", package.name),
            None => package.name.clone(),
        };
        // Nothing is fetched, and no lock file written, to find the words of a message.
        let metadata = front::metadata(&self.command_line, &["--frozen"]).unwrap_or_default();
        let packages = metadata.get("packages").and_then(Value::as_array);
        let text = |of: &Value, key: &str| {
            of.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let has_script = |of: &Value| {
            let targets = of.get("targets").and_then(Value::as_array).into_iter().flatten();
            let mut kinds = targets.filter_map(|target| target.get("kind")?.as_array()).flatten();
            kinds.any(|kind| kind == "custom-build")
        };
        let mut meant = packages.into_iter().flatten().filter(|candidate| {
            text(candidate, "name") == package.name
                && package.is_version(&text(candidate, "version"))
        });
        match meant.next() {
            Some(first) if !has_script(first) && !meant.any(has_script) => {
                Error::NoScript { package: name }
            }
            _ => Error::NoRecord { package: name },
        }
    }
}

/// Cargo's own reason.
pub(crate) fn no_workspace(command_line: &CommandLine) -> Error {
    let mut cargo = command_line.cargo();
    cargo.args(["metadata", "--format-version=1", "--no-deps"]).args(command_line.manifest());
    let reason = match cargo.output() {
        Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
        Err(error) => error.to_string(),
    };
    let reason = reason.trim().trim_start_matches("error: ");
    let reason = reason.lines().map(str::trim).filter(|line| !line.is_empty());
    Error::NoWorkspace { reason: reason.collect::<Vec<_>>().join(" ") }
}

/// The text of a record's file.
///
/// # Errors
/// [`Error::Read`].
pub fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let failed = |source| Error::Read { path: path.to_owned(), source };
    // A fifo would never end.
    if !fs::metadata(path).map_err(failed)?.is_file() {
        return Err(failed(io::Error::other("it is not a file")));
    }
    fs::read(path).map_err(failed)
}

/// A record that is not JSON, or not a record.
#[must_use]
pub fn damaged(path: &Path, error: &serde_json::Error) -> Error {
    let (line, column) = (error.line().max(1), error.column().max(1));
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    let message = text.strip_suffix(&place).unwrap_or(&text).to_owned();
    Error::Damaged { path: path.to_owned(), line, column, message }
}

/// Whether nothing is left of what a compilation made: `cargo clean -p` has removed it.
fn is_gone(brief: &Brief<'_>) -> bool {
    let made = brief.outputs.as_deref().unwrap_or_default();
    let directory = Path::new(&*brief.unit.out_dir);
    !made.is_empty() && !made.iter().any(|output| directory.join(&*output.path).exists())
}

impl Found {
    /// Reads a record, if there is one.
    ///
    /// # Errors
    /// If it cannot be read, or not by this program.
    fn load(path: &Path) -> Result<Option<Self>, Error> {
        let text = match read(path) {
            Err(Error::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                return Ok(None);
            }
            text => text?,
        };
        let failed = |error: serde_json::Error| damaged(path, &error);
        if text.trim_ascii_start().first() != Some(&b'{') {
            let message = "a record begins with a brace".to_owned();
            return Err(Error::Damaged { path: path.to_owned(), line: 1, column: 1, message });
        }
        let head: Head = serde_json::from_slice(&text).map_err(failed)?;
        if head.schema != record::SCHEMA {
            let tool = head.tool.to_string();
            return Err(Error::Schema { path: path.to_owned(), schema: head.schema, tool });
        }
        let brief: Brief = serde_json::from_slice(&text).map_err(failed)?;
        if brief.unit.compilation.is_some() && is_gone(&brief) {
            return Ok(None);
        }
        let unit = &brief.unit;
        let text = |text: &crate::stored::Text| text.to_string();
        Ok(Some(Self {
            path: path.to_owned(),
            package: unit.package.to_string(),
            version: unit.version.to_string(),
            target: unit.target.as_ref().map(text),
            host: unit.host.as_ref().map(text),
            profile: unit.profile.as_ref().map(text),
            script: PathBuf::from(&*unit.script),
            compiled: unit.compilation.as_ref().map(Compiled::words),
            started: brief.started,
            written: fs::metadata(path).and_then(|metadata| metadata.modified()).ok(),
            exit: brief.exit,
            denied: super::denied(&brief),
            mode: brief.policy.mode,
            programs: brief.processes.iter().map(|process| process.programs.len()).sum(),
            outputs: brief.outputs.as_ref().map(|all| all.len() as u64 + brief.outputs_dropped),
        }))
    }
}

/// Leaves the runs of the last build, and returns the others: kept is the newest of each package,
/// version, target and profile, and beside it the newest of each further compiled script that was
/// part of the last build, as a package has when it is built with two sets of features.
pub fn retain_last(found: &mut Vec<Found>) -> Vec<Found> {
    let mut newest: HashMap<_, Vec<PathBuf>> = HashMap::new();
    let (last, older) = std::mem::take(found).into_iter().partition(|run: &Found| {
        let key = (
            (run.package.clone(), run.version.clone(), run.compiled.clone()),
            (run.target.clone(), run.profile.clone()),
        );
        let scripts = newest.entry(key).or_default();
        let is_last = scripts.is_empty()
            || !scripts.contains(&run.script) && completeness::is_of_last_build(&run.script);
        if is_last {
            scripts.push(run.script.clone());
        }
        is_last
    });
    *found = last;
    older
}
