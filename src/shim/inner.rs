//! The inner shim: rustc as sccache calls it, where rustc is in the jail.
//!
//! sccache has a daemon compile, or reads what another compilation has left: neither works from inside a jail,
//! and around the client a jail would be around nothing. So the shim calls sccache outside, with a link to
//! this program for the compiler, named as that is. Whoever then starts it, the daemon or the client, starts
//! this program, and that starts the real compiler in the jail.
//!
//! The daemon's own environment says nothing: it gives a compiler that of its client, which the shim made.
//! What the shim hands on in it, a script cannot have set. The policy is read from Cargo's environment again,
//! and has to be the one that the shim found: its digest is in a variable whose name begins as Cargo's do, and
//! so part of what sccache keeps a result under. Anything else fails the compilation.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, symlink};
use std::os::unix::process::{CommandExt, parent_id};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::{env, fs, io};

use sha2::{Digest, Sha256};

use super::arguments::Arguments;
use super::invocation::{self, Paths};
use super::{Error, environment_of, guard_environment};
use crate::compile::{self, Compile};
use crate::policy::{Layers, Policy};
use crate::settings::{ParentEnvironment, Settings};
use crate::unit::Package;
use crate::{digest, launcher};

/// Name of the directory in which the directories of links are.
const DIRECTORY: &str = "brig-rustc";
/// The file beside a link that names the real compiler.
const REAL: &str = "real";
/// Under which policy, and by which program.
const POLICY: &str = "CARGO_BRIG_COMPILED_UNDER";
/// Cargo's process.
const CARGO: &str = "BRIG_INNER_CARGO";
/// Where Cargo has the crate compiled to.
const OUT_DIR: &str = "BRIG_INNER_OUT_DIR";

/// Whether the compiler can be called through this wrapper, which is outside of the jail then.
#[must_use]
pub fn is_for(wrapper: &OsStr) -> bool {
    Path::new(wrapper).file_stem() == Some(OsStr::new("sccache"))
}

/// The directory of the link, if `program` (the program's own `argv[0]`) is the inner shim.
#[must_use]
pub fn directory_of(program: &OsStr) -> Option<PathBuf> {
    let parent = Path::new(program).parent()?;
    let above = parent.parent()?.file_name()?;
    (above == DIRECTORY).then(|| parent.to_owned())
}

/// What sccache keeps the results of a policy under.
fn key(policy: &Policy) -> Result<String, launcher::Error> {
    let mut hasher = Sha256::new();
    hasher.update(launcher::own_digest()?);
    for (_, sha256) in &policy.documents {
        hasher.update(sha256);
    }
    Ok(digest::hex(&hasher.finalize()))
}

/// Has `command`, which calls the wrapper, call this program for the compiler.
///
/// # Errors
/// See [`Error`].
pub fn call_through(
    command: &mut Command,
    wrapper: &OsStr,
    compile: &Compile<'_>,
    policy: &Policy,
) -> Result<(), Error> {
    let root = compile.build_root()?;
    let compiler = compile::found(compile.compiler)?;
    let own = |source| Error::Inner { path: "/proc/self/exe".into(), source };
    let program = env::current_exe().map_err(own)?;
    let link = set_up(&root, &program, &compiler)?;
    let guarded = std::mem::replace(command, Command::new(wrapper));
    for (name, value) in guarded.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.arg(link).args(guarded.get_args().skip(1));
    let out_dir = fs::canonicalize(&compile.paths.out_dir);
    let out_dir = out_dir.unwrap_or_else(|_| compile.paths.out_dir.clone());
    command.env(POLICY, key(policy)?).env(OUT_DIR, out_dir);
    command.env(CARGO, compile.parent.pid().to_string());
    Ok(())
}

/// Makes the link. Another compiler, or another version of it at the same place, has one of its own: the daemon
/// asks a compiler once which one it is.
fn set_up(root: &Path, program: &Path, compiler: &Path) -> Result<PathBuf, Error> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::Inner { path, source }
    };
    let metadata = fs::metadata(compiler).map_err(failed(compiler))?;
    let mut hasher = Sha256::new();
    hasher.update(compiler.as_os_str().as_bytes());
    hasher.update(metadata.mtime().to_ne_bytes());
    hasher.update(metadata.size().to_ne_bytes());
    hasher.update(env::var_os("RUSTUP_TOOLCHAIN").unwrap_or_default().as_bytes());
    let name = digest::hex(&hasher.finalize());
    let above = root.join(DIRECTORY);
    let directory = above.join(&name[..16]);
    fs::create_dir_all(&directory).map_err(failed(&directory))?;
    // A build directory can have come with the sources.
    for path in [&above, &directory] {
        if path.is_symlink() {
            return Err(failed(path)(io::Error::other("it is a symbolic link")));
        }
    }
    let beside = |name: &str| directory.join(format!(".{name}.{}", std::process::id()));
    let (real, new_real) = (directory.join(REAL), beside(REAL));
    fs::write(&new_real, compiler.as_os_str().as_bytes()).map_err(failed(&new_real))?;
    fs::rename(&new_real, &real).map_err(failed(&real))?;
    let link = directory.join(compiler.file_name().unwrap_or(OsStr::new("rustc")));
    let new_link = beside("link");
    symlink(program, &new_link).map_err(failed(&new_link))?;
    fs::rename(&new_link, &link).map_err(failed(&link))?;
    Ok(link)
}

/// Runs the compiler: in the jail, if it is to compile something.
///
/// # Errors
/// See [`Error`].
pub fn wrap(directory: &Path, arguments: &[OsString]) -> Result<ExitStatus, Error> {
    let caller = parent_id();
    let real = directory.join(REAL);
    let compiler = fs::read(&real).map_err(|source| Error::Inner { path: real, source })?;
    let compiler = OsString::from_vec(compiler);
    // By such a question sccache finds out rustup's compilers, and would call them without us.
    if arguments.first().is_some_and(|first| first.as_bytes().starts_with(b"+")) {
        return Err(Error::Question);
    }
    let handed = |name: &'static str| env::var_os(name).ok_or(Error::NotHanded { name });
    let cargo = handed(CARGO)?.to_str().and_then(|cargo| cargo.parse().ok());
    let parent = ParentEnvironment::of(cargo.ok_or(Error::NotHanded { name: CARGO })?)?;
    let mut command = Command::new(&compiler);
    command.args(arguments);
    guard_environment(&mut command, &compiler, &parent);
    let Some(mut paths) = Paths::parse(arguments)? else {
        let is_source = |argument: &OsString| argument.as_bytes().ends_with(b".rs");
        if arguments.iter().any(is_source) {
            return Err(Error::Question);
        }
        return Err(Error::Run { source: command.exec(), program: compiler.into() });
    };
    let settings = Settings::from(&parent);
    let package = Package::of_compilation()?;
    let policy = Policy::of(&Layers::read(&settings.places)?, &package.name, &package.version);
    if !compile::is_wanted(&policy) || handed(POLICY)?.as_bytes() != key(&policy)?.as_bytes() {
        return Err(Error::OtherPolicy);
    }
    // What else is compiled, sccache asks by a file in a directory of its own.
    let mut result = None;
    if !Arguments::parse(arguments).map_err(invocation::Error::from)?.has(&["out-dir"]) {
        paths.out_dir = handed(OUT_DIR)?.into();
        paths.outputs.clear();
        let at = arguments.iter().position(|argument| argument == "-o");
        result = at.map(|at| at + 2).filter(|at| *at <= arguments.len());
    }
    let mut words = vec![compiler.clone()];
    words.extend_from_slice(arguments);
    let compile = Compile {
        words: &words,
        compiler: &compiler,
        package,
        paths: &paths,
        environment: environment_of(&command),
        parent: &parent,
        caller,
        session: settings.session.as_deref(),
        result,
    };
    Ok(compile.run(policy)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_link_says_what_the_program_is() {
        let of = |program: &str| directory_of(OsStr::new(program));
        assert_eq!(of("/t/brig-rustc/0a/rustc"), Some("/t/brig-rustc/0a".into()));
        for other in ["rustc", "/t/brig-rustc/rustc", "/t/brig-linker/cc", "cargo-brig"] {
            assert_eq!(of(other), None, "{other}");
        }
    }

    #[test]
    fn another_compiler_has_another_link() {
        let dir = tempfile::tempdir().unwrap();
        let link = |name: &str, text: &str| {
            let compiler = dir.path().join(name);
            fs::write(&compiler, text).unwrap();
            let link = set_up(dir.path(), Path::new("/bin/true"), &compiler).unwrap();
            assert_eq!(fs::read_link(&link).unwrap(), Path::new("/bin/true"));
            let real = fs::read(link.with_file_name(REAL)).unwrap();
            assert_eq!(real, compiler.as_os_str().as_bytes());
            link
        };
        let first = link("rustc", "1");
        assert_eq!(first.file_name(), Some(OsStr::new("rustc")));
        assert_ne!(first, link("rustc", "12"));
        assert_ne!(link("rustc", "12").parent(), link("clippy-driver", "12").parent());
        fs::remove_dir_all(dir.path().join(DIRECTORY)).unwrap();
        symlink("/tmp", dir.path().join(DIRECTORY)).unwrap();
        set_up(dir.path(), Path::new("/bin/true"), &dir.path().join("rustc")).unwrap_err();
    }
}
