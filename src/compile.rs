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
use crate::shim::linker;
use crate::supervise::{self, Outcome, Start};
use crate::terminal::Filter;
use crate::unit::{self, Package, Unit, Variables};

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
        let compiler = found(self.compiler)?;
        let unit = self.unit(&compiler)?;
        let tmp = PrivateDir::new("tmp")?;
        let private = Private { tmp: tmp.path(), home: tmp.path(), library: None };
        let fails = policy.fails_by_denial();
        let mut grants = resolve::resolve(policy, &unit, private, None)?;
        // What limits are for a script's work they are not for a compiler's; what a macro finds out
        // of names, it has nobody to tell.
        (grants.policy.limits, grants.hidden) = (Limits::default(), Hidden::default());
        self.grant_outputs(&unit, &mut grants);
        self.grant_inputs(&unit, &compiler, &words[0], &mut grants);

        let environment = self.environment(&grants.policy, tmp.path());
        let program = found(&words[0])?;
        let jobserver = unit.jobserver.clone();
        let start = Start::new((&program, words), &environment, jobserver, self.parent.pid())?;
        let plan = Plan::new(&grants)?;
        let null = OpenOptions::new().write(true).open("/dev/null").map_err(Error::Null)?;
        let (mut stdout, mut shown) = (io::stdout(), Filter::default());
        let outcome = supervise::supervise(plan, start, &grants, &[], &null, |piece| {
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
            if directory == unit.out_dir || directory.starts_with(build_dir.root()) {
                grants.files.push(given(Right::Write, directory.clone()));
                shared.push(Shared { directory, ..output.clone() });
            }
        }
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
