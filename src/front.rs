//! The front door: `cargo brig <any cargo command>`.
//!
//! Runs Cargo with the shim in force, and passes arguments, streams, signals and the exit code
//! through. After a command that can build it looks at the build's script files and prints a summary.

pub mod build;
pub mod command_line;
pub(crate) mod roots;
pub mod summary;

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill, pthread_sigmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::Pid;
use serde_json::Value;

use crate::cli;
use crate::completeness;
use crate::config::{Config, LinksOverride};
use crate::exit::{self, Ending};
use crate::launcher;
use crate::policies;
use crate::policy::layers::Places;
use crate::policy::{Builtin, Layers};
use crate::session::{self, Session};
use crate::settings::{self, ParentEnvironment};
use crate::shim::{compiler, linker};
use crate::sys;
use build::{Build, Preparation};
use command_line::CommandLine;

/// Why the front door could not do its part.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The program itself cannot serve as shim and launcher.
    #[error(
        "this cargo-brig is dynamically linked: a build script could make it load a library of the \
         script's; install a static one (RUSTFLAGS=\"-C target-feature=+crt-static\" cargo install \
         cargo-brig --target x86_64-unknown-linux-gnu)"
    )]
    Dynamic,
    /// `RUSTC_WRAPPER` is set, and empty.
    #[error(
        "RUSTC_WRAPPER is set to nothing, by which Cargo runs rustc without any wrapper and build \
         scripts would run outside the jail; unset it, or run `cargo` without `brig`"
    )]
    EmptyWrapper,
    /// A compiler wrapper or a rustdoc of the configuration's, by a locked policy.
    #[error(
        "`{}` does not lie where programs of the system, of rustup or of Cargo do, and under a locked policy \
         it is not run (where it is yours and not the workspace's, say so by {variable})",
        .program.display()
    )]
    ForeignProgram {
        /// The program.
        program: PathBuf,
        /// What would name it.
        variable: &'static str,
    },
    /// The own environment.
    #[error(transparent)]
    Settings(#[from] settings::Error),
    /// `--policy` without what it needs.
    #[error(
        "write `cargo brig --policy POLICY COMMAND`, with a built-in policy ({}) or a document",
        Builtin::names()
    )]
    NoPolicy,
    /// `--policy` before a verb that is not Cargo's and takes one behind it.
    #[error("write `cargo brig {verb} --policy POLICY`")]
    PolicyFirst {
        /// The verb.
        verb: String,
    },
    /// `--policy` before a verb that is not Cargo's and takes none.
    #[error("`cargo brig {verb}` takes no `--policy`")]
    PolicyOfNothing {
        /// The verb.
        verb: String,
    },
    /// A verb that is not Cargo's, behind what is for Cargo.
    #[error("`{verb}` is a verb of cargo-brig: write `{instead}`")]
    VerbBehind {
        /// The verb.
        verb: String,
        /// How it is written.
        instead: String,
    },
    /// The program's own path.
    #[error("cannot tell where cargo-brig itself is installed")]
    OwnPath(#[from] launcher::Error),
    /// Cargo cannot be started or waited for.
    #[error("cannot run `{}`", .program.to_string_lossy())]
    Cargo {
        /// Cargo.
        program: OsString,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// The session.
    #[error(transparent)]
    Session(#[from] session::Error),
    /// The look at the build directory.
    #[error(transparent)]
    Completeness(#[from] completeness::Error),
    /// The linker shim.
    #[error(transparent)]
    Linker(#[from] linker::Error),
    /// `cargo fix` cannot be covered.
    #[error(
        "cannot tell the target directory or the host of `cargo {command}`, without which its \
             build scripts cannot be covered"
    )]
    NoLinkerShim {
        /// The Cargo command.
        command: String,
    },
}

impl Error {
    /// The exit code: whether it was the command line or the machine.
    #[must_use]
    pub fn exit_code(&self) -> i32 {
        match self {
            Self::EmptyWrapper
            | Self::NoPolicy
            | Self::PolicyFirst { .. }
            | Self::PolicyOfNothing { .. }
            | Self::VerbBehind { .. } => exit::USAGE,
            _ => exit::FAILED,
        }
    }
}

/// Refuses a program that the dynamic loader prepares: it would run a script's code first.
///
/// # Errors
/// [`Error::Dynamic`].
pub fn require_static() -> Result<(), Error> {
    if cfg!(target_feature = "crt-static") { Ok(()) } else { Err(Error::Dynamic) }
}

/// Runs a Cargo command with the shim in force.
///
/// # Errors
/// See [`Error`].
pub fn run(arguments: &[OsString]) -> Result<Ending, Error> {
    require_static()?;
    let (policy, arguments) = own_options(arguments)?;
    let command_line = CommandLine::parse(arguments);
    refuse_own_verb(arguments, &command_line)?;
    if !command_line.may_build() {
        let directory = working_directory(&command_line);
        let config = Config::load(&directory, &command_line.values("--config"));
        let session = Session::begin()?;
        let cargo = cargo_in_force(&command_line, arguments, &config, policy.as_deref(), &session)?;
        return Ok(ending(wait(cargo)?.0));
    }
    let build = Preparation::new(command_line, arguments, policy)?.build(Stdio::inherit())?;
    let Build { status, findings, runs, not_run, left_out, overridden, style, .. } = build;
    let summary = summary::Summary {
        runs: &runs,
        not_run: &not_run,
        left_out: left_out.as_deref(),
        findings: &findings,
        overridden: &overridden,
        succeeded: status.success(),
    };
    eprint!("{}", summary.render(style));
    if status.success() && !findings.unjailed.is_empty() {
        return Ok(Ending::Code(exit::UNJAILED));
    }
    Ok(ending(status))
}

/// Cargo with these arguments and the shim in force.
fn cargo_in_force(
    command_line: &CommandLine,
    arguments: &[OsString],
    config: &Config,
    policy: Option<&Path>,
    session: &Session,
) -> Result<Command, Error> {
    let own = launcher::own_path()?;
    let wrapper = users_wrapper(config, &own)?;
    let mut cargo = command_line.cargo();
    cargo.args(arguments).env("RUSTC_WRAPPER", &own);
    cargo.env(settings::SESSION, session.path());
    if let Some(policy) = policy {
        cargo.env(settings::POLICY, policy);
    }
    let rustdoc = users_rustdoc(&own);
    let of_config = config.rustdoc().filter(|_| rustdoc.is_none());
    let of_config = of_config.map(|rustdoc| from_here(&rustdoc));
    let is_said = |names: &[&str]| names.iter().any(|name| env::var_os(name).is_some());
    let of_wrapper = ["RUSTC_WRAPPER", settings::WRAPPER, "CARGO_BUILD_RUSTC_WRAPPER"];
    if let Some(wrapper) = wrapper.as_ref().filter(|_| !is_said(&of_wrapper)) {
        distrust(wrapper, "RUSTC_WRAPPER", policy)?;
    }
    if let Some(rustdoc) = of_config.as_ref().filter(|_| !is_said(&["CARGO_BUILD_RUSTDOC"])) {
        distrust(rustdoc, "RUSTDOC", policy)?;
    }
    cargo.env("RUSTDOC", session.rustdoc(&own)?);
    match rustdoc.or(of_config) {
        Some(rustdoc) => cargo.env(settings::RUSTDOC, rustdoc),
        None => cargo.env_remove(settings::RUSTDOC),
    };
    match wrapper {
        Some(wrapper) => cargo.env(settings::WRAPPER, wrapper),
        None => cargo.env_remove(settings::WRAPPER),
    };
    Ok(cargo)
}

/// The rustdoc that the environment names. Within a `cargo brig run`, where that is this program, the user's is
/// named beside it.
fn users_rustdoc(own: &Path) -> Option<OsString> {
    let is_own = |rustdoc: &OsStr| fs::canonicalize(rustdoc).is_ok_and(|path| path == own);
    let named = env::var_os("RUSTDOC").filter(|rustdoc| !is_own(rustdoc));
    let named = named.or_else(|| env::var_os(settings::RUSTDOC));
    named.filter(|rustdoc| !rustdoc.is_empty()).map(|rustdoc| from_here(&rustdoc))
}

/// A program that a variable names, as Cargo understands it: a path begins where Cargo is called, and what calls
/// the program stands in a package's directory.
fn from_here(program: &OsStr) -> OsString {
    let is_path = program.as_bytes().contains(&b'/');
    if is_path {
        env::current_dir().unwrap_or_default().join(program).into()
    } else {
        program.to_owned()
    }
}

/// Refuses a program of the configuration's that can be the workspace's, under a locked policy: it runs outside
/// of the jail. The variable is the one by which a user says that it is not.
fn distrust(program: &OsStr, variable: &'static str, policy: Option<&Path>) -> Result<(), Error> {
    let here = env::current_dir().ok();
    let places = policies::places_at(here.clone());
    let places = Places { named: policy.map(Path::to_owned).or(places.named), ..places };
    // By a policy that cannot be read the shim lets nothing pass.
    if !Layers::read(&places).is_ok_and(|layers| layers.locked) {
        return Ok(());
    }
    let own = ParentEnvironment::of(std::process::id())?;
    if compiler::lies_where_users_do(program, &own, here.as_deref()) {
        return Ok(());
    }
    Err(Error::ForeignProgram { program: program.into(), variable })
}

/// Whether the command is an alias of one that [`CommandLine::bypasses_the_wrapper`], however many
/// aliases lie between.
fn alias_bypasses(config: &Config, command_line: &CommandLine) -> bool {
    const DEEPEST: usize = 32;
    let mut name = command_line.command().map(str::to_owned);
    for _ in 0..DEEPEST {
        let Some(words) = name.and_then(|name| config.alias(&name)) else { return false };
        let arguments: Vec<OsString> = words.into_iter().map(OsString::from).collect();
        let line = CommandLine::parse(&arguments);
        if line.bypasses_the_wrapper() {
            return true;
        }
        name = line.command().map(str::to_owned);
    }
    true
}

/// Refuses what is for an own verb, which comes first; the advice says what would be understood.
fn refuse_own_verb(arguments: &[OsString], command_line: &CommandLine) -> Result<(), Error> {
    let first = arguments.first().and_then(|first| first.to_str());
    if let Some(verb) = first.filter(|verb| cli::is_own(arguments) && !verb.starts_with('-')) {
        return Err(match cli::with_policy(arguments) {
            Some(verb) => Error::PolicyFirst { verb },
            None => Error::PolicyOfNothing { verb: verb.to_owned() },
        });
    }
    let Some(verb) = command_line.command().filter(|command| cli::is_own_verb(command)) else {
        return Ok(());
    };
    let toolchain = command_line.toolchain().first();
    let toolchain = toolchain.map(|toolchain| format!(" {}", toolchain.to_string_lossy()));
    let instead = format!("cargo{} brig {verb}", toolchain.unwrap_or_default());
    Err(Error::VerbBehind { verb: verb.to_owned(), instead })
}

/// What stands before Cargo's own arguments.
fn own_options(arguments: &[OsString]) -> Result<(Option<PathBuf>, &[OsString]), Error> {
    let Some(first) = arguments.first().and_then(|first| first.to_str()) else {
        return Ok((None, arguments));
    };
    match first.strip_prefix("--policy") {
        Some("") => match arguments {
            [_, policy, rest @ ..] if !rest.is_empty() => Ok((Some(policy_of(policy)), rest)),
            _ => Err(Error::NoPolicy),
        },
        Some(policy) if policy.starts_with('=') => {
            Ok((Some(policy_of(policy[1..].as_ref())), &arguments[1..]))
        }
        _ => Ok((None, arguments)),
    }
}

/// A policy as it is named on a command line: a built-in one, or a document in the working directory.
pub(crate) fn policy_of(named: &OsStr) -> PathBuf {
    let path = PathBuf::from(named);
    let is_builtin = named.to_str().is_some_and(|named| Builtin::of_name(named).is_some());
    if is_builtin { path } else { env::current_dir().unwrap_or_default().join(path) }
}

fn ending(status: ExitStatus) -> Ending {
    match status.code() {
        Some(code) => Ending::Code(code),
        None => Ending::Signal(status.signal().unwrap_or_default()),
    }
}

fn working_directory(command_line: &CommandLine) -> PathBuf {
    let current = env::current_dir().unwrap_or_default();
    match command_line.values("-C").last() {
        Some(directory) => current.join(directory),
        None => current,
    }
}

/// The wrapper that the user had, which ours will call.
///
/// # Errors
/// [`Error::EmptyWrapper`].
pub fn users_wrapper(config: &Config, own: &Path) -> Result<Option<OsString>, Error> {
    let variable = env::var_os("RUSTC_WRAPPER");
    if variable.as_ref().is_some_and(|wrapper| wrapper.is_empty()) {
        return Err(Error::EmptyWrapper);
    }
    // Where the variable names us, within a `cargo brig run` for instance, the user's is beside it.
    let wrapper = variable
        .filter(|wrapper| !is_own(wrapper, own))
        .or_else(|| env::var_os(settings::WRAPPER))
        .or_else(|| config.rustc_wrapper());
    let wrapper = wrapper.filter(|wrapper| !wrapper.is_empty() && !is_own(wrapper, own));
    Ok(wrapper.map(|wrapper| from_here(&wrapper)))
}

/// Whether a wrapper is this program: then it is not called twice.
fn is_own(wrapper: &OsStr, own: &Path) -> bool {
    let path = Path::new(wrapper);
    path.file_name() == Some(OsStr::new("cargo-brig"))
        || fs::canonicalize(path).is_ok_and(|path| path == own)
}

/// Runs Cargo, hands on the signals that only this process gets, and returns Cargo's status, and what it
/// wrote to its standard output if that is a pipe.
///
/// A signal from the terminal reaches the whole process group, Cargo included; one that somebody
/// sent to this process alone is passed on (sigaction(2), `SI_KERNEL`).
fn wait(mut cargo: Command) -> Result<(ExitStatus, Vec<u8>), Error> {
    let program = cargo.get_program().to_owned();
    let failed = |source: io::Error| Error::Cargo { program: program.clone(), source };
    let signals: SigSet = [
        Signal::SIGCHLD,
        Signal::SIGINT,
        Signal::SIGTERM,
        Signal::SIGHUP,
        Signal::SIGQUIT,
        Signal::SIGUSR1,
        Signal::SIGUSR2,
    ]
    .into_iter()
    .collect();
    let mut mask = SigSet::empty();
    pthread_sigmask(SigmaskHow::SIG_BLOCK, Some(&signals), Some(&mut mask))
        .map_err(|errno| failed(errno.into()))?;
    sys::start_with_signal_mask(&mut cargo, mask);
    let arriving = SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC)
        .map_err(|errno| failed(errno.into()))?;
    let mut child: Child = cargo.spawn().map_err(failed)?;
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap_or(i32::MAX));
    let output = child.stdout.take().map(|mut stdout| {
        thread::spawn(move || {
            let mut output = Vec::new();
            stdout.read_to_end(&mut output).map(|_| output)
        })
    });
    loop {
        if let Some(status) = child.try_wait().map_err(failed)? {
            let output = match output.map(thread::JoinHandle::join) {
                None => Vec::new(),
                Some(Ok(output)) => output.map_err(failed)?,
                Some(Err(panic)) => std::panic::resume_unwind(panic),
            };
            return Ok((status, output));
        }
        let mut polled = [PollFd::new(arriving.as_fd(), PollFlags::POLLIN)];
        match poll(&mut polled, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(failed(errno.into())),
        }
        let Ok(Some(info)) = arriving.read_signal() else { continue };
        let number = i32::try_from(info.ssi_signo).unwrap_or_default();
        let Ok(signal) = Signal::try_from(number) else { continue };
        let from_terminal = info.ssi_code == libc::SI_KERNEL;
        if signal != Signal::SIGCHLD && !from_terminal {
            // Cargo may have ended in this moment; then there is nobody to tell.
            if let Err(errno) = kill(pid, signal) {
                tracing::debug!(%errno, %signal, "Cargo did not get the signal");
            }
        }
    }
}

/// What `cargo metadata` says; none if it fails, for which Cargo will give the reason itself.
pub(crate) fn metadata(command_line: &CommandLine, options: &[&str]) -> Option<Value> {
    let output = command_line
        .cargo()
        .args(command_line.global())
        .args(["metadata", "--format-version=1"])
        .args(options)
        .args(command_line.manifest())
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    serde_json::from_slice(&output.stdout).ok()
}

/// Sets the linker shim for a command that does not call the wrapper for the workspace's packages.
fn cover_by_linker(
    cargo: &mut Command,
    command_line: &CommandLine,
    config: &Config,
    target_dir: Option<&PathBuf>,
    own: &Path,
) -> Result<(), Error> {
    let host = command_line
        .cargo()
        .args(command_line.toolchain())
        .arg("-vV")
        .stderr(Stdio::null())
        .output()
        .ok()
        .and_then(|output| {
            let text = String::from_utf8(output.stdout).ok()?;
            text.lines().find_map(|line| line.strip_prefix("host: ")).map(str::to_owned)
        });
    let (Some(target_dir), Some(host)) = (target_dir, host) else {
        let command = command_line.command().unwrap_or_default().to_owned();
        return Err(Error::NoLinkerShim { command });
    };
    let real = config.linker(&host).unwrap_or_else(|| OsString::from("cc"));
    let link = linker::set_up(target_dir, own, &real)?;
    let variable = format!("CARGO_TARGET_{}_LINKER", host.to_uppercase().replace(['-', '.'], "_"));
    cargo.env(variable, link);
    Ok(())
}

/// The packages whose scripts do not run because of a `links` override.
fn overridden(config: &Config, command_line: &CommandLine) -> Vec<(String, LinksOverride)> {
    let overrides = config.links_overrides();
    if overrides.is_empty() {
        return Vec::new();
    }
    let metadata = metadata(command_line, &[]).unwrap_or_default();
    let packages = metadata.get("packages").and_then(Value::as_array);
    let mut found = Vec::new();
    for package in packages.into_iter().flatten() {
        let text = |key: &str| package.get(key).and_then(Value::as_str);
        let Some(links) = text("links") else { continue };
        if let Some(by) = overrides.iter().find(|candidate| candidate.links == links) {
            let name =
                format!("{} v{}", text("name").unwrap_or("?"), text("version").unwrap_or("?"));
            found.push((name, by.clone()));
        }
    }
    found
}
