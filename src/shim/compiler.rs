//! Whose compiler it is that Cargo calls.
//!
//! A workspace's `.cargo/config.toml` can name any program (`build.rustc`, `build.rustc-workspace-wrapper`,
//! `build.rustc-wrapper`), flags for it (`build.rustflags`) and variables (`env`), and Cargo asks it for its
//! version and what it would do, which is outside of the jail, as the compiler is that is not jailed. The user
//! is to be trusted with that; where the policy is locked, the workspace is not.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::arguments::Arguments;
use crate::settings::ParentEnvironment;

/// Where systems keep programs, and nobody keeps sources.
const SYSTEM: &[&str] =
    &["/bin", "/usr/bin", "/usr/lib", "/usr/libexec", "/usr/local/bin", "/nix/store", "/gnu/store"];

/// Whether a compiler is the user's: the environment names it, or it is called like one of a toolchain's and
/// lies where such do.
#[must_use]
pub fn is_users(compiler: &OsStr, parent: &ParentEnvironment, workspace: Option<&Path>) -> bool {
    if parent.get("RUSTC") == Some(compiler) {
        return true;
    }
    let name = Path::new(compiler).file_name().unwrap_or_default().as_bytes();
    let is_called_so = matches!(name, b"rustc" | b"clippy-driver") || name.starts_with(b"rustc-");
    is_called_so && lies_where_users_do(compiler, parent, workspace)
}

/// Whether a program lies where the system's, rustup's or Cargo's own do, and not in `workspace`.
#[must_use]
pub fn lies_where_users_do(
    program: &OsStr,
    parent: &ParentEnvironment,
    workspace: Option<&Path>,
) -> bool {
    let real_path = |path: PathBuf| fs::canonicalize(path).ok();
    let Some(real) = located(program, parent) else { return false };
    let workspace = workspace.and_then(|workspace| real_path(workspace.into()));
    if workspace.is_some_and(|workspace| real.starts_with(workspace)) {
        return false;
    }
    let home = parent.get("HOME").map(Path::new);
    let below = |variable, usual, inner: &str| {
        let own = parent.get(variable).map(PathBuf::from);
        let directory = own.or_else(|| home.map(|home| home.join(usual)));
        directory.map(|directory| directory.join(inner))
    };
    let beside_cargo = fs::read_link(format!("/proc/{}/exe", parent.pid())).ok();
    let places = [
        below("RUSTUP_HOME", ".rustup", "toolchains"),
        below("CARGO_HOME", ".cargo", "bin"),
        beside_cargo.and_then(|cargo| cargo.parent().map(Path::to_owned)),
    ];
    let places = places.into_iter().flatten().chain(SYSTEM.iter().map(PathBuf::from));
    places.filter_map(real_path).any(|place| real.starts_with(place))
}

/// Whether flags can make rustc load code when it is only asked: a code generator, a plug-in, another
/// toolchain's. The user's own are in its environment, where they take the place of the workspace's.
#[must_use]
pub fn is_told_to_load(arguments: &Arguments, parent: &ParentEnvironment) -> bool {
    // Of an empty one Cargo may think as of none.
    let is_said = |name| parent.get(name).is_some_and(|flags| !flags.is_empty());
    if is_said("RUSTFLAGS") || is_said("CARGO_ENCODED_RUSTFLAGS") {
        return false;
    }
    let loads = |value: &[u8]| value.windows(4).any(|part| part == b"load");
    arguments.values("Z").any(|value| value != b"unstable-options")
        || arguments.has(&["sysroot"])
        || arguments.codegen("llvm-args").any(loads)
}

/// Where a program lies, found in Cargo's `PATH` if it is only named; a link at its end is not followed,
/// because rustup's leads to rustup.
#[must_use]
pub fn located(program: &OsStr, parent: &ParentEnvironment) -> Option<PathBuf> {
    let program = Path::new(program);
    let path = if program.as_os_str().as_bytes().contains(&b'/') {
        program.to_owned()
    } else {
        let directories = parent.get("PATH").unwrap_or_default();
        env::split_paths(directories).map(|dir| dir.join(program)).find(|path| path.is_file())?
    };
    Some(fs::canonicalize(path.parent()?).ok()?.join(path.file_name()?))
}
