//! One compilation in the jail: rustc with the procedural macros in it, and the linker that it starts.
//!
//! The shim comes here where the policy wants it. It is the jail of a script, with other grants: rules
//! give the package's rustc what they give its script, besides what its command line names; of the
//! directories that it shares with other compilations only its own names can be changed. What was denied is
//! said on stderr, which Cargo keeps and shows; a record is made where the policy asks for one.

use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::SystemTime;
use std::{env, fs};

use crate::access::printable;
use crate::denials;
use crate::exit;
use crate::jail::{self, Plan};
use crate::output;
use crate::policy::document::Unnamed;
use crate::policy::outputs::{Outputs, Shared};
use crate::policy::resolve::{self, Private};
use crate::policy::{Grant, Grants, Hidden, Limits, Mode, Policy, Right};
use crate::private_dir::{self, PrivateDir};
use crate::process::Exit;
use crate::record::{self, Parts, Record};
use crate::relay::{self, Relayed};
use crate::session;
use crate::settings::{self, ParentEnvironment};
use crate::shim::invocation::Paths;
use crate::shim::linker;
use crate::supervise::{self, Outcome, Start};
use crate::terminal::Filter;
use crate::unit::{self, Package, Unit, Variables};
use crate::warden::Report;

/// Why a crate could not be compiled in the jail.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What is compiled.
    #[error(transparent)]
    Unit(#[from] unit::Error),
    /// The policy's meaning for it.
    #[error(transparent)]
    Resolve(#[from] resolve::Error),
    /// Its `TMPDIR`.
    #[error(transparent)]
    PrivateDir(#[from] private_dir::Error),
    /// The jail.
    #[error(transparent)]
    Jail(#[from] jail::landlock::Error),
    /// The run.
    #[error(transparent)]
    Supervise(#[from] supervise::Error),
    /// Its standard output.
    #[error(transparent)]
    Relay(#[from] relay::Error),
    /// What is told to the front door.
    #[error(transparent)]
    Session(#[from] session::Error),
    /// A program that is not there.
    #[error("there is no program `{}`", .program.display())]
    NoProgram {
        /// As it was named.
        program: PathBuf,
    },
    /// A compilation that is not one of Cargo's.
    #[error(
        "there is no place for a record of what is compiled to `{}`, which is no build directory of Cargo's",
        .out_dir.display()
    )]
    NoPlace {
        /// Where it is compiled to.
        out_dir: PathBuf,
    },
    /// The directory of records.
    #[error("cannot make the directory of records `{}`", .path.display())]
    Records {
        /// The directory.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// A file that is written to in the compiler's stead.
    #[error("cannot write `{}`", .path.display())]
    Result {
        /// The file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// The record.
    #[error(transparent)]
    Record(#[from] record::Error),
    /// `/dev/null`.
    #[error("cannot open /dev/null")]
    Null(#[source] io::Error),
}

/// A compilation, as the shim was asked for it.
#[derive(Debug)]
pub struct Compile<'a> {
    /// The wrapper, if there is one, the compiler, its arguments.
    pub words: &'a [OsString],
    /// The compiler itself.
    pub compiler: &'a OsStr,
    /// Whose crate is compiled.
    pub package: Package,
    /// What its command line names.
    pub paths: &'a Paths,
    /// The environment that it would have without the jail.
    pub environment: Vec<(OsString, OsString)>,
    /// The environment of Cargo.
    pub parent: &'a ParentEnvironment,
    /// The process that started this one, and without which nobody wants the crate: Cargo, or what calls
    /// the compiler for it.
    pub caller: u32,
    /// Where the front door learns of it.
    pub session: Option<&'a Path>,
    /// Which of the words is a file elsewhere that is written to in its stead, when it has succeeded.
    pub result: Option<usize>,
}

impl Compile<'_> {
    /// Compiles in the jail, as this policy says. Returns how the compiler ended; as failed, if it was
    /// denied what the policy does not forgive.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn run(self, policy: Policy) -> Result<ExitStatus, Error> {
        // Such a wrapper has a daemon compile, which is outside and out of reach.
        let words = match self.words.split_first() {
            Some((wrapper, rest)) if resolve::is_daemon_client(wrapper) => {
                if let Some(session) = self.session {
                    session::note_left_out(session, wrapper)?;
                }
                rest
            }
            _ => self.words,
        };
        let compiler = found(self.compiler)?;
        let unit = self.unit(&compiler)?;
        let tmp = PrivateDir::new_in(unit.temporary(), "tmp")?;
        let mut words = words.to_vec();
        let result = self.result.and_then(|at| words.get_mut(at)).map(|word| {
            let made = tmp.path().join("result");
            (std::mem::replace(word, made.clone().into()), made)
        });
        let private = Private { tmp: tmp.path(), home: tmp.path(), library: None };
        let fails = policy.fails_by_denial();
        let mut grants = resolve::resolve(policy, &unit, private, None)?;
        // What limits are for a script's work they are not for a compiler's; what a macro finds out
        // of names, it has nobody to tell.
        (grants.policy.limits, grants.hidden) = (Limits::default(), Hidden::default());
        self.grant_outputs(&unit, &mut grants);
        self.grant_inputs(&unit, &compiler, &words[0], &mut grants);

        self.set_environment(&mut grants, tmp.path());
        let environment = &grants.environment;
        let program = found(&words[0])?;
        let jobserver = unit.jobserver.clone();
        let start = Start::new((&program, &words), environment, jobserver, self.caller)?;
        let plan = Plan::new(&grants)?;
        let enforced = plan.enforced();
        let record = self.record(&unit, &grants.policy)?;
        let observed = match &record {
            Some(record) => record::space_for(record)?,
            None => OpenOptions::new().write(true).open("/dev/null").map_err(Error::Null)?,
        };
        let started = SystemTime::now();
        let (mut stdout, mut shown) = (io::stdout(), Filter::default());
        let outcome = supervise::supervise(plan, start, &grants, &[], &observed, |piece| {
            shown
                .write(&mut stdout, piece)
                .and_then(|()| stdout.flush())
                .map_err(relay::Error::Write)
        });
        let Outcome { status, report, .. } = match outcome {
            Ok(outcome) => outcome,
            Err(supervise::Error::Stopped { signal }) => {
                return Ok(ExitStatus::from_raw(signal as i32));
            }
            Err(error) => return Err(error.into()),
        };
        shown.end(&mut stdout).map_err(relay::Error::Write)?;
        if let Some((wanted, made)) = result.filter(|_| status.success()) {
            let failed = |source| Error::Result { path: wanted.clone().into(), source };
            copy(&made, Path::new(&wanted)).map_err(failed)?;
        }
        if let Some(record) = record {
            if let Report::Ended { unwritten: Some(why), .. } = &report {
                return Err(record::Error::unwritten(&record, why).into());
            }
            let shared = grants.outputs.as_ref().and_then(|outputs| outputs.shared.first());
            let (outputs, outputs_dropped) = shared.map(output::own_in).unwrap_or_default();
            let parts = Parts {
                unit: &unit,
                compiled: Some(&self.paths.crate_),
                grants: &grants,
                enforced: &enforced,
                started,
                exit: Exit::from(status),
                report: &report,
                relayed: &Relayed::default(),
                findings: &[],
                outputs: (&outputs, outputs_dropped),
            };
            Record::new(parts).write(&record, observed)?;
        }
        let denied = denials::sentences(&report, &grants, &unit, !status.success());
        for sentence in &denied {
            let crate_ = printable(&format!("{} v{}", unit.package, unit.version));
            eprintln!("warning: brig: the compilation of `{crate_}` {sentence}");
        }
        if status.success() && fails && !denied.is_empty() {
            return Ok(ExitStatus::from_raw(exit::WITHHELD << 8));
        }
        Ok(status)
    }

    /// The build directory that it writes to.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn build_root(&self) -> Result<PathBuf, Error> {
        Ok(self.unit(&found(self.compiler)?)?.build_dir().root().to_owned())
    }

    fn unit(&self, compiler: &Path) -> Result<Unit, Error> {
        let variables: Variables = self.environment.iter().cloned().collect();
        let Paths { out_dir, target, .. } = self.paths;
        let unit = Unit::of_compilation(
            self.package.clone(),
            variables,
            compiler,
            out_dir,
            target.clone(),
        )?;
        Ok(Unit { of_cargo: Some(self.parent.variables()), ..unit })
    }

    /// Where Cargo has it write to; of what else the command line names, what lies in the build directory:
    /// flags can be a workspace's.
    fn grant_outputs(&self, unit: &Unit, grants: &mut Grants) {
        let build_dir = unit.build_dir();
        let mut shared = Vec::new();
        for output in &self.paths.outputs {
            let Ok(directory) = fs::canonicalize(&output.directory) else { continue };
            let is_within = directory.starts_with(build_dir.root());
            if directory == unit.out_dir || (is_within && !build_dir.is_inner(&directory)) {
                grants.files.push(given(Right::Write, directory.clone()));
                shared.push(Shared { directory, ..output.clone() });
            }
        }
        // All crates' documentation lies in one directory, which Cargo names once: rustdoc takes no second.
        let documentation =
            self.paths.documentation.as_deref().filter(|path| is_for_documentation(path));
        let documentation = documentation.and_then(|directory| fs::canonicalize(directory).ok());
        grants.files.extend(documentation.map(|directory| given(Right::Write, directory)));
        grants.outputs = Some(Outputs { shared });
    }

    /// What was compiled before, what scripts have made, and what is executed.
    fn grant_inputs(&self, unit: &Unit, compiler: &Path, first: &OsStr, grants: &mut Grants) {
        let inputs = unit.inputs_of_compilation(&self.paths.libraries);
        grants.files.extend(inputs.into_iter().map(|path| given(Right::Read, path)));
        let programs = [found(first).ok(), Some(compiler.to_owned())].into_iter().flatten();
        let mut programs: Vec<PathBuf> = programs.collect();
        // The linker shim is this program, and reads what lies beside its link.
        let shim = self.paths.linker.as_deref().filter(|linker| {
            let directory = linker::directory_of(linker.as_os_str());
            let directory = directory.and_then(|directory| fs::canonicalize(directory).ok());
            directory.is_some_and(|directory| directory.starts_with(unit.build_dir().root()))
        });
        if let Some(directory) = shim.and_then(Path::parent) {
            grants.files.extend(fs::canonicalize(directory).map(|path| given(Right::Read, path)));
            programs.extend(env::current_exe());
        }
        let programs = programs.iter().filter_map(|path| fs::canonicalize(path).ok());
        grants.files.extend(programs.map(|path| given(Right::Execute, path)));
    }

    /// Where the record goes, if the policy asks for one. Nobody in a jail writes there, and a build
    /// directory can have come with the sources.
    fn record(&self, unit: &Unit, policy: &Policy) -> Result<Option<PathBuf>, Error> {
        if !policy.records_rustc {
            return Ok(None);
        }
        let key = self.paths.crate_.key.as_deref();
        let place = unit.build_dir().compilations().zip(key);
        let (directory, key) =
            place.ok_or_else(|| Error::NoPlace { out_dir: unit.out_dir.clone() })?;
        let made = match fs::create_dir(&directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ if directory.is_symlink() => Err(io::Error::other("it is a symbolic link")),
            _ => Ok(()),
        };
        made.map_err(|source| Error::Records { path: directory.clone(), source })?;
        Ok(Some(directory.join(format!("{key}.json"))))
    }

    /// Without what rules withhold of the variables that Cargo was given. What scripts set for rustc, and
    /// what Cargo itself does, passes.
    fn set_environment(&self, grants: &mut Grants, tmp: &Path) {
        let policy = &grants.policy;
        let is_withheld = |name: &OsStr, value: &OsStr| {
            self.parent.get(name) == Some(value)
                && !Unit::is_cargo_variable(name)
                // By it the linker is found.
                && name != "PATH"
                && matches!(policy.variable(name.as_encoded_bytes()), (Unnamed::Withhold, Some(_)))
        };
        let mut environment = self.environment.clone();
        environment.retain(|(name, _)| name != "TMPDIR" && !settings::is_own_variable(name));
        let withheld = environment.extract_if(.., |(name, value)| is_withheld(name, value));
        let withheld = withheld.map(|(name, _)| name).collect();
        environment.push(("TMPDIR".into(), tmp.into()));
        (grants.environment, grants.withheld) = (environment, withheld);
    }
}

/// Whether a policy wants a package's rustc in the jail.
#[must_use]
pub fn is_wanted(policy: &Policy) -> bool {
    policy.jails_rustc && policy.mode == Mode::Enforce
}

/// Whether all in a directory is documentation, as far as Cargo and rustdoc leave signs: a workspace can have
/// come with a link in its place, or set the target directory to what is somebody's.
fn is_for_documentation(directory: &Path) -> bool {
    // Without a slash at the end, by which a link would be followed.
    let directory = directory.components().as_path();
    let is_of_cargo = directory.parent().is_some_and(|root| root.join("CACHEDIR.TAG").is_file());
    let is_empty = || fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_none());
    let is_of_rustdoc = || directory.join(".lock").is_file();
    !directory.is_symlink() && (is_of_cargo || is_empty() || is_of_rustdoc())
}

/// Copies what a compilation has made, which could be anything by now: a link to a file of the user's, or a
/// fifo that nobody writes to.
fn copy(made: &Path, wanted: &Path) -> io::Result<()> {
    const MOST: u64 = 64 << 20;
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let made = OpenOptions::new().read(true).custom_flags(flags).open(made)?;
    let metadata = made.metadata()?;
    if !metadata.is_file() || metadata.len() > MOST {
        return Err(io::Error::other("what was made is no file of a size that it can have"));
    }
    io::copy(&mut made.take(MOST), &mut File::create(wanted)?).map(drop)
}

fn given(right: Right, path: PathBuf) -> Grant {
    Grant { right, path, place: None }
}

/// Where a program lies, as execvp(3) finds it.
///
/// # Errors
/// [`Error::NoProgram`].
pub fn found(program: &OsStr) -> Result<PathBuf, Error> {
    let named = Path::new(program);
    let missing = || Error::NoProgram { program: named.to_owned() };
    if program.as_encoded_bytes().contains(&b'/') {
        return if named.exists() { Ok(named.to_owned()) } else { Err(missing()) };
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let candidates = env::split_paths(&path).map(|directory| directory.join(named));
    candidates.into_iter().find(|path| path.is_file()).ok_or_else(missing)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn documentation_is_written_to_what_is_for_it() {
        let dir = tempfile::tempdir().unwrap();
        let doc = dir.path().join("doc");
        assert!(!is_for_documentation(&doc));
        fs::create_dir(&doc).unwrap();
        assert!(is_for_documentation(&doc));
        fs::write(doc.join("letter"), "of the user").unwrap();
        assert!(!is_for_documentation(&doc));
        fs::write(doc.join(".lock"), "").unwrap();
        assert!(is_for_documentation(&doc));
        fs::write(dir.path().join("CACHEDIR.TAG"), "").unwrap();
        symlink(&doc, dir.path().join("link")).unwrap();
        assert!(!is_for_documentation(&dir.path().join("link")));
        assert!(!is_for_documentation(&dir.path().join("link/")));
    }

    #[test]
    fn nothing_but_a_file_is_copied() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("made"), "x: y\n").unwrap();
        copy(&at("made"), &at("wanted")).unwrap();
        assert_eq!(fs::read_to_string(at("wanted")).unwrap(), "x: y\n");
        symlink(at("made"), at("link")).unwrap();
        nix::unistd::mkfifo(&at("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        File::create(at("huge")).unwrap().set_len(1 << 40).unwrap();
        for name in ["link", "fifo", "huge", "missing"] {
            copy(&at(name), &at("wanted")).unwrap_err();
        }
    }
}
