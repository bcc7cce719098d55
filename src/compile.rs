//! One compilation in the jail: rustc with the procedural macros in it, and the linker that it starts.
//!
//! The shim comes here where the policy wants it. It is the jail of a script, with other grants: rules
//! give the package's rustc what they give its script, besides what its command line names; of the
//! directories that it shares with other compilations only its own names can be changed. There is no
//! record: what was denied is said on stderr, which Cargo keeps and shows.

use std::ffi::{OsStr, OsString};
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::{env, fs};

use crate::access::printable;
use crate::denials;
use crate::exit;
use crate::jail::{self, Plan};
use crate::policy::document::Unnamed;
use crate::policy::outputs::{Outputs, Shared};
use crate::policy::resolve::{self, Private};
use crate::policy::{Grant, Grants, Hidden, Limits, Mode, Policy, Right};
use crate::private_dir::{self, PrivateDir};
use crate::relay;
use crate::session;
use crate::settings::{self, ParentEnvironment};
use crate::shim::invocation::Paths;
use crate::supervise::{self, Outcome, Start};
use crate::unit::{self, Unit, Variables};

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
    /// What is told to the front door.
    #[error(transparent)]
    Session(#[from] session::Error),
    /// A program that is not there.
    #[error("there is no program `{}`", .program.display())]
    NoProgram {
        /// As it was named.
        program: PathBuf,
    },
    /// A directory that it writes into.
    #[error("cannot make `{}`", .path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
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
    /// What its command line names.
    pub paths: &'a Paths,
    /// The environment that it would have without the jail.
    pub environment: Vec<(OsString, OsString)>,
    /// The environment of Cargo.
    pub parent: &'a ParentEnvironment,
    /// Where the front door learns of it.
    pub session: Option<&'a Path>,
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
        let variables: Variables = self.environment.iter().cloned().collect();
        let directory = |path: &Path| {
            let failed = |source| Error::Directory { path: path.to_owned(), source };
            fs::create_dir_all(path).and_then(|()| fs::canonicalize(path)).map_err(failed)
        };
        let out_dir = directory(&self.paths.out_dir)?;
        let compiler = found(self.compiler)?;
        let mut unit = Unit::of_compilation(variables, &compiler, &out_dir)?;
        unit.of_cargo = self.parent.variables();
        let tmp = PrivateDir::new("tmp")?;
        let private = Private { tmp: tmp.path(), home: tmp.path(), library: None };
        let fails = policy.fails_by_denial();
        let mut grants = resolve::resolve(policy, &unit, private, None)?;
        // What limits are for a script's work they are not for a compiler's; what a macro finds out
        // of names, it has nobody to tell.
        (grants.policy.limits, grants.hidden) = (Limits::default(), Hidden::default());
        let mut shared = Vec::new();
        for output in &self.paths.outputs {
            let directory = directory(&output.directory)?;
            grants.files.push(given(Right::Write, directory.clone()));
            shared.push(Shared { directory, ..output.clone() });
        }
        grants.outputs = Some(Outputs { shared });
        self.grant_what_is_read(&unit, &compiler, &words[0], &mut grants);

        let environment = self.environment(&grants.policy, tmp.path());
        let program = found(&words[0])?;
        let start = Start::new(&program, words, &environment, unit.jobserver.clone())?;
        let plan = Plan::new(&grants)?;
        let null = OpenOptions::new().write(true).open("/dev/null").map_err(Error::Null)?;
        let mut stdout = io::stdout();
        let outcome = supervise::supervise(plan, start, &grants, &[], &null, |piece| {
            stdout.write_all(piece).and_then(|()| stdout.flush()).map_err(relay::Error::Write)
        });
        let Outcome { status, report, .. } = match outcome {
            Ok(outcome) => outcome,
            Err(supervise::Error::Stopped { signal }) => {
                return Ok(ExitStatus::from_raw(signal as i32));
            }
            Err(error) => return Err(error.into()),
        };
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

    /// What the command line names, what the package's script has made, and what is executed.
    fn grant_what_is_read(&self, unit: &Unit, compiler: &Path, first: &OsStr, grants: &mut Grants) {
        let mut give = |right, path: &Path| {
            // What is not there nobody reads.
            grants.files.extend(fs::canonicalize(path).ok().map(|path| given(right, path)));
        };
        for path in &self.paths.read {
            give(Right::Read, path);
        }
        if let Some(out_dir) = unit.variable("OUT_DIR") {
            give(Right::Read, Path::new(out_dir));
        }
        for program in [first].into_iter().chain(self.paths.linker.as_deref()) {
            if let Ok(program) = found(program) {
                give(Right::Execute, &program);
            }
        }
        give(Right::Execute, compiler);
        // The linker shim is this program, and reads what lies beside its link.
        if let Some(linker) = self.paths.linker.as_deref().map(Path::new)
            && linker.is_absolute()
            && let Some(directory) = linker.parent()
        {
            give(Right::Read, directory);
        }
    }

    /// Without what rules withhold of the variables that Cargo was given. What scripts set for rustc, and
    /// what Cargo itself does, passes.
    fn environment(&self, policy: &Policy, tmp: &Path) -> Vec<(OsString, OsString)> {
        let is_withheld = |name: &OsStr, value: &OsStr| {
            self.parent.get(name) == Some(value)
                && !Unit::is_cargo_variable(name)
                // By it the linker is found.
                && name != "PATH"
                && matches!(policy.variable(name.as_encoded_bytes()), (Unnamed::Withhold, Some(_)))
        };
        let mut environment = self.environment.clone();
        environment.retain(|(name, value)| {
            name != "TMPDIR" && !settings::is_own_variable(name) && !is_withheld(name, value)
        });
        environment.push(("TMPDIR".into(), tmp.into()));
        environment
    }
}

/// Whether a policy wants a package's rustc in the jail.
#[must_use]
pub fn is_wanted(policy: &Policy) -> bool {
    policy.jails_rustc && policy.mode == Mode::Enforce
}

fn given(right: Right, path: PathBuf) -> Grant {
    Grant { right, path, place: None }
}

/// Where a program lies, as execvp(3) finds it.
fn found(program: &OsStr) -> Result<PathBuf, Error> {
    let named = Path::new(program);
    let missing = || Error::NoProgram { program: named.to_owned() };
    if program.as_encoded_bytes().contains(&b'/') {
        return if named.exists() { Ok(named.to_owned()) } else { Err(missing()) };
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let candidates = env::split_paths(&path).map(|directory| directory.join(named));
    candidates.into_iter().find(|path| path.is_file()).ok_or_else(missing)
}
