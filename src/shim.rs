//! The shim: the rustc wrapper that puts a launcher in each compiled build script's place.
//!
//! Cargo calls `cargo-brig RUSTC ARGUMENTS…` for every compilation (The Cargo Book,
//! `build.rustc-wrapper`). Everything but a build script is handed to rustc by execve(2), without a
//! process in between, unless the policy wants rustc itself in the jail ([`crate::compile`]). Scripts are
//! not run here; that is the launcher's work.

pub mod arguments;
pub mod compiler;
pub mod inner;
pub mod invocation;
pub mod linker;
pub mod rustdoc;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::{env, fs};

use sha2::{Digest, Sha256};

use crate::compile::{self, Compile};
use crate::digest;
use crate::launcher::{self, Trailer};
use crate::policy::{Layers, Policy, layers};
use crate::settings::{self, ParentEnvironment, Settings};
use crate::unit::{self, Package};
use arguments::Arguments;
use invocation::{Compilation, Invocation, Paths};

/// The line that the shim adds to what `rustc -vV` prints.
///
/// `RUSTC_WRAPPER` is in no fingerprint of Cargo's, but this text is (`util/rustc.rs`,
/// `compiler/fingerprint`): with it, a script that was compiled without the shim is compiled
/// again, on stable under another hash. The program's digest and path are part of it, because a launcher
/// executes the program by that path: launchers of another version, or of a program at another place,
/// are not used any longer. Cargo keeps the text until the wrapper's file changes.
fn version_tag() -> Result<String, launcher::Error> {
    let path = launcher::own_path()?;
    let mut hasher = Sha256::new();
    hasher.update(launcher::own_digest()?);
    hasher.update(path.as_os_str().as_bytes());
    let digest = digest::hex(&hasher.finalize());
    Ok(format!("cargo-brig: {} {digest}\n", env!("CARGO_PKG_VERSION")))
}

/// Why a compilation could not be wrapped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No compiler was named.
    #[error(
        "no compiler was named: as a wrapper the program is called by Cargo, with rustc's path"
    )]
    NoCompiler,
    /// rustdoc is this program.
    #[error("`{}` is cargo-brig itself: name the real rustdoc by {}", .path.display(), settings::RUSTDOC)]
    NoRustdoc {
        /// What would be called.
        path: PathBuf,
    },
    /// The compiler or the user's wrapper cannot be started.
    #[error("cannot run the compiler `{}`", .program.display())]
    Run {
        /// What was to be started.
        program: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// What rustc has left in a script's place.
    #[error("`{}` is not a build script's program", .path.display())]
    NoProgram {
        /// The file.
        path: PathBuf,
    },
    /// The link by which the user's wrapper calls this program, or what is beside it.
    #[error("cannot use `{}`, for the compiler to be called through sccache", .path.display())]
    Inner {
        /// The file or directory.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// A call of the inner shim that nothing is known of.
    #[error("{name} is not set: the program was not called through the shim")]
    NotHanded {
        /// What the shim hands on.
        name: &'static str,
    },
    /// A call that compiles nothing and asks for nothing that is answered.
    #[error("the compiler is not asked for that where it is in the jail")]
    Question,
    /// A compiler of the workspace's, by a locked policy.
    #[error(
        "`{}` is no compiler of the toolchain that Cargo is of, of rustup's or of the system's, and under a \
         locked policy it is not asked or run outside of the jail (where it is yours and not the workspace's, \
         say so by the variable RUSTC)",
        .compiler.display()
    )]
    ForeignCompiler {
        /// The compiler.
        compiler: PathBuf,
    },
    /// Flags of the workspace's, by a locked policy.
    #[error(
        "the flags have rustc load code when it is asked a question, outside of the jail, and under a locked policy \
         only the variable RUSTFLAGS may (`-Z`, `--sysroot`, `-C llvm-args`)"
    )]
    Loads,
    /// A policy that the shim does not know.
    #[error("the policy has changed meanwhile, or Cargo has ended: the crate was not compiled")]
    OtherPolicy,
    /// The text of `rustc -vV` cannot be handed on.
    #[error("cannot print the compiler's version")]
    Print(#[source] io::Error),
    /// Where the settings are.
    #[error(transparent)]
    Settings(#[from] settings::Error),
    /// The command line.
    #[error(transparent)]
    Invocation(#[from] invocation::Error),
    /// The launcher.
    #[error(transparent)]
    Launcher(#[from] launcher::Error),
    /// The policy.
    #[error(transparent)]
    Policy(#[from] layers::Error),
    /// The package.
    #[error(transparent)]
    Unit(#[from] unit::Error),
    /// The jail.
    #[error(transparent)]
    Compile(#[from] compile::Error),
}

/// Wraps one call of rustc. `arguments` begin with the compiler, or with
/// `RUSTC_WORKSPACE_WRAPPER` and then the compiler.
///
/// Returns the compiler's exit status; when there is nothing to do after the compiler, it does not
/// return.
///
/// # Errors
/// See [`Error`]. No script is then left where Cargo would run it.
pub fn wrap(arguments: &[OsString]) -> Result<ExitStatus, Error> {
    let parent = ParentEnvironment::read()?;
    let settings = Settings::from(&parent);
    let compiler = arguments.first().ok_or(Error::NoCompiler)?;
    let mut words = Vec::with_capacity(arguments.len() + 1);
    words.extend(settings.wrapper.clone());
    words.extend_from_slice(arguments);
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]);
    guard_environment(&mut command, compiler, &parent);
    let failed = |source| Error::Run { program: PathBuf::from(&words[0]), source };

    let layers = Layers::read(&settings.places)?;
    let jail = Jail::of(Paths::parse(&arguments[1..])?, &layers)?;
    if layers.locked {
        distrust(&mut command, arguments, jail.is_some(), &settings, &parent)?;
    }
    let compile = |command: &mut Command| match &jail {
        Some(Jail { paths, package, policy }) => {
            let wrapper = settings.wrapper.as_deref().filter(|wrapper| inner::is_for(wrapper));
            let compile = Compile {
                words: &words,
                compiler,
                package: package.clone(),
                paths,
                environment: environment_of(command),
                parent: &parent,
                caller: parent.pid(),
                session: settings.session.as_deref(),
                result: None,
            };
            if let Some(wrapper) = wrapper {
                inner::call_through(command, wrapper, &compile, policy)?;
                return command.status().map_err(failed);
            }
            Ok(compile.run(policy.clone())?)
        }
        None => command.status().map_err(failed),
    };
    match invocation::parse(&arguments[1..])? {
        Invocation::Other if jail.is_some() => compile(&mut command),
        Invocation::Other => Err(failed(command.exec())),
        Invocation::VerboseVersion => {
            let output = command
                .stdin(Stdio::inherit())
                .stderr(Stdio::inherit())
                .output()
                .map_err(failed)?;
            let mut stdout = io::stdout().lock();
            let tag = if output.status.success() { version_tag()? } else { String::new() };
            stdout
                .write_all(&output.stdout)
                .and_then(|()| stdout.write_all(tag.as_bytes()))
                .and_then(|()| stdout.flush())
                .map_err(Error::Print)?;
            Ok(output.status)
        }
        Invocation::BuildScript(compilation) => {
            launcher::remove(&compilation.output)?;
            let done = compile(&mut command).and_then(|status| {
                if status.success() {
                    cover(&compilation)?;
                }
                Ok(status)
            });
            if !done.as_ref().is_ok_and(ExitStatus::success) {
                launcher::remove(&compilation.output)?;
            }
            done
        }
    }
}

/// Under a locked policy: refuses what runs outside of the jail and can be the workspace's, and has a question
/// answered by what Cargo itself was given.
fn distrust(
    command: &mut Command,
    arguments: &[OsString],
    is_jailed: bool,
    settings: &Settings,
    parent: &ParentEnvironment,
) -> Result<(), Error> {
    let workspace = settings.places.directory.as_deref();
    let Some((compiler, arguments)) = arguments.split_first().filter(|_| !is_jailed) else {
        return Ok(());
    };
    if !compiler::is_users(compiler, parent, workspace) {
        return Err(Error::ForeignCompiler { compiler: compiler.into() });
    }
    if Paths::parse(arguments)?.is_none() {
        let words = Arguments::parse(arguments).map_err(invocation::Error::from)?;
        if compiler::is_told_to_load(&words, parent) {
            return Err(Error::Loads);
        }
        let given = parent.variables();
        let given = given.into_iter().filter(|(name, _)| !settings::is_own_variable(name));
        command.env_clear().envs(given);
    }
    Ok(())
}

/// What a compilation needs to run in the jail.
struct Jail {
    paths: Paths,
    package: Package,
    policy: Policy,
}

impl Jail {
    /// None for what compiles nothing, and where no policy wants it.
    fn of(paths: Option<Paths>, layers: &Layers) -> Result<Option<Self>, Error> {
        let Some(paths) = paths else { return Ok(None) };
        if !layers.speak_of_rustc() {
            return Ok(None);
        }
        let package = Package::of_compilation()?;
        let policy = Policy::of(layers, &package.name, &package.version);
        Ok(compile::is_wanted(&policy).then_some(Self { paths, package, policy }))
    }
}

/// The whole environment with which a command would be started.
fn environment_of(command: &Command) -> Vec<(OsString, OsString)> {
    let mut environment: BTreeMap<OsString, OsString> = env::vars_os().collect();
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => environment.insert(name.to_owned(), value.to_owned()),
            None => environment.remove(name),
        };
    }
    environment.into_iter().collect()
}

/// Puts the launcher in place, unless the linker shim has done so already: a launcher over a
/// launcher would run itself for ever. A macro could have written one, too: then what it says of its
/// script is not to be believed.
fn cover(compilation: &Compilation) -> Result<(), Error> {
    let output = &compilation.output;
    let here = env::current_dir().ok();
    if !fs::symlink_metadata(output).is_ok_and(|file| file.is_file()) {
        return Err(Error::NoProgram { path: output.clone() });
    }
    if let Some(Trailer { script, workspace }) = launcher::trailer_of(output) {
        let is_its_own = launcher::script_path(output).file_name() == Some(&script)
            && workspace.is_none_or(|workspace| Some(workspace) == here)
            && launcher::is_genuine(output)?;
        return if is_its_own { Ok(()) } else { Err(Error::NoProgram { path: output.clone() }) };
    }
    let in_workspace = compilation.source.as_deref().is_some_and(Path::is_relative);
    let workspace = here.filter(|_| in_workspace);
    Ok(launcher::install(output, workspace.as_deref())?)
}

/// Variables that make the dynamic loader run code of their value's choosing (ld.so(8)).
const LOADER_VARIABLES: &[&str] = &["LD_PRELOAD", "LD_AUDIT", "GLIBC_TUNABLES"];

/// Takes out of the compiler's environment what a build script can have put there: loader
/// variables that Cargo itself did not have (`cargo::rustc-env`), the precedence of library
/// directories that scripts chose (`cargo::rustc-link-search`), and our own variables.
fn guard_environment(command: &mut Command, compiler: &OsStr, parent: &ParentEnvironment) {
    for name in LOADER_VARIABLES {
        if env::var_os(name).as_deref() != parent.get(name) {
            command.env_remove(name);
        }
    }
    for (name, _) in env::vars_os() {
        if settings::is_own_variable(&name) {
            command.env_remove(name);
        }
    }
    if let Some(path) = env::var_os("LD_LIBRARY_PATH") {
        let users = parent.get("LD_LIBRARY_PATH").unwrap_or_default();
        command.env("LD_LIBRARY_PATH", library_path(&path, users, compiler));
    }
}

/// Directories in which the dynamic loader looks by default on the systems that we run on.
const SYSTEM_LIBRARIES: &[&str] = &[
    "/lib/x86_64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu",
    "/lib/aarch64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/lib64",
    "/usr/lib64",
    "/lib",
    "/usr/lib",
];

/// The compiler's own libraries, then the user's directories, then the system's, then what Cargo
/// added: the last are the directories that build scripts can name and fill.
fn library_path(path: &OsStr, users: &OsStr, compiler: &OsStr) -> OsString {
    let mut directories: Vec<PathBuf> = Vec::new();
    if let Some(root) = Path::new(compiler).parent().and_then(Path::parent) {
        directories.push(root.join("lib"));
    }
    directories.extend(env::split_paths(users).filter(|path| path.is_absolute()));
    directories.extend(SYSTEM_LIBRARIES.iter().map(PathBuf::from));
    directories.retain(|path| path.is_dir());
    for directory in env::split_paths(path) {
        if !directory.as_os_str().is_empty() && !directories.contains(&directory) {
            directories.push(directory);
        }
    }
    // Only a colon cannot be joined, and none of these was split from a name that has one.
    env::join_paths(directories).unwrap_or_default()
}

/// Whether `name` is the name of a compiler, as far as a mistyped subcommand must be told apart.
#[must_use]
pub fn looks_like_a_compiler(name: &OsStr) -> bool {
    name.as_bytes().contains(&b'/') || name.as_bytes().starts_with(b"rustc")
}

/// The exit code that stands for a compiler's exit status: its own, or 128 and the signal.
#[must_use]
pub fn exit_code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_that_scripts_chose_come_last() {
        let path = library_path(
            OsStr::new("/t/debug/build/evil-1/out:/usr/lib:/t/debug"),
            OsStr::new("/opt"),
            OsStr::new("rustc"),
        );
        let directories: Vec<PathBuf> = env::split_paths(&path).collect();
        assert_eq!(directories[0], Path::new("/opt"));
        let position = |name| directories.iter().position(|d| d == Path::new(name)).unwrap();
        assert!(position("/usr/lib") < position("/t/debug/build/evil-1/out"));
        assert!(position("/t/debug/build/evil-1/out") < position("/t/debug"));
    }

    #[test]
    fn a_mistyped_verb_is_not_a_compiler() {
        assert!(looks_like_a_compiler(OsStr::new("/usr/bin/clippy-driver")));
        assert!(looks_like_a_compiler(OsStr::new("rustc")));
        assert!(!looks_like_a_compiler(OsStr::new("build")));
    }
}
