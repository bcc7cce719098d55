//! rustdoc, which expands procedural macros as rustc does.
//!
//! Cargo has no wrapper for it, but a variable for the program (`RUSTDOC`, The Cargo Book). The front door has it
//! name a link to this program that is called like it, in the session's directory. What documents a crate is run
//! in the jail where the policy wants rustc there; what runs a package's tests is not, as their programs are not.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use super::invocation::Paths;
use super::{Error, Jail, compiler, environment_of, guard_environment};
use crate::compile::{self, Compile};
use crate::launcher;
use crate::policy::Layers;
use crate::session::RUSTDOC as NAME;
use crate::settings::{ParentEnvironment, Settings};
use crate::unit::Variables;

/// Whether the program is called as rustdoc (`program` is its own `argv[0]`).
#[must_use]
pub fn is_called(program: &OsStr) -> bool {
    Path::new(program).file_name() == Some(OsStr::new(NAME))
}

/// Runs rustdoc with these arguments. If it is not in the jail it does not return.
///
/// # Errors
/// See [`Error`].
pub fn wrap(arguments: &[OsString]) -> Result<ExitStatus, Error> {
    let parent = ParentEnvironment::read()?;
    let settings = Settings::from(&parent);
    let named = settings.rustdoc.clone().unwrap_or_else(|| beside_cargo(&parent));
    // Looked for where Cargo would: a workspace's `[env]` can have set another PATH for this process.
    let found = compiler::located(&named, &parent);
    let found = found.ok_or(compile::Error::NoProgram { program: named.into() })?;
    // It would start itself for ever.
    if fs::canonicalize(&found).ok() == Some(launcher::own_path()?) {
        return Err(Error::NoRustdoc { path: found });
    }
    let rustdoc = found.into_os_string();
    let mut words = vec![rustdoc.clone()];
    words.extend_from_slice(arguments);
    let mut command = Command::new(&rustdoc);
    command.args(arguments);
    guard_environment(&mut command, &rustdoc, &parent);
    let layers = Layers::read(&settings.places)?;
    let Some(Jail { paths, package, policy }) =
        Jail::of(Paths::parse_of_rustdoc(arguments)?, &layers)?
    else {
        return Err(Error::Run { program: rustdoc.into(), source: command.exec() });
    };
    let compile = Compile {
        words: &words,
        compiler: &rustdoc,
        package,
        paths: &paths,
        environment: environment_of(&command),
        parent: &parent,
        caller: parent.pid(),
        session: settings.session.as_deref(),
        result: None,
    };
    Ok(compile.run(policy)?)
}

/// The one of Cargo's toolchain.
fn beside_cargo(parent: &ParentEnvironment) -> OsString {
    let cargo = fs::read_link(format!("/proc/{}/exe", parent.pid())).ok();
    let beside = cargo.map(|cargo| cargo.with_file_name(NAME)).filter(|path| path.is_file());
    beside.unwrap_or_else(|| NAME.into()).into()
}

/// A script's variables, with the rustdoc of which Cargo would have told it without us.
#[must_use]
pub fn restored(mut variables: Variables, settings: &Settings) -> Variables {
    let link = settings.session.as_deref().map(|session| session.join(NAME));
    if variables.get(OsStr::new("RUSTDOC")).is_none_or(|named| link != Some(named.into())) {
        return variables;
    }
    let rustc = variables.get(OsStr::new("RUSTC")).map(Path::new);
    let beside = rustc.filter(|rustc| rustc.is_absolute()).map(|rustc| rustc.with_file_name(NAME));
    let beside = beside.filter(|path| path.is_file()).map(PathBuf::into_os_string);
    let users = settings.rustdoc.clone().or(beside).unwrap_or_else(|| NAME.into());
    variables.insert("RUSTDOC".into(), users);
    variables
}
