//! Directories, limits and the policy: what a run needs beside the kernel.

use std::env;
use std::path::{Path, PathBuf};

use nix::sys::resource::{Resource, getrlimit};
use nix::sys::statvfs::{FsFlags, statvfs};

use super::check::{Check, Group};
use super::reason;
use crate::policy::Document;
use crate::preload::Preload;
use crate::private_dir::PrivateDir;
use crate::settings;

/// With fewer, ordinary parallel builds come to the limit.
const OPEN_FILES: u64 = 1024;

/// All checks.
#[must_use]
pub fn checks() -> Vec<Check> {
    vec![temporary_directory(), preload_library(), open_files(), policy()]
}

fn temporary_directory() -> Check {
    let (id, group) = ("temporary-directory", Group::Places);
    let path = env::temp_dir();
    if let Err(error) = PrivateDir::new("doctor") {
        return Check::missing(
            id,
            group,
            format!("A script's TMPDIR and HOME cannot be made: {}.", reason(&error)),
            "Set TMPDIR to a directory that you can write to.",
        );
    }
    if statvfs(&path).is_ok_and(|on| on.flags().contains(FsFlags::ST_NOEXEC)) {
        return Check::degraded(
            id,
            group,
            format!(
                "`{}` is mounted noexec: scripts that run what they make in TMPDIR, as configure \
                 scripts do, fail.",
                path.display()
            ),
            "Set TMPDIR to a directory on a file system that is not.",
        );
    }
    let meaning = format!("A script's TMPDIR and HOME can be made in `{}`.", path.display());
    Check::ok(id, group, meaning)
}

fn preload_library() -> Check {
    let (id, group) = ("preload-library", Group::Places);
    match Preload::new(&[&env::temp_dir(), Path::new("/tmp")]) {
        Ok(Some(_)) => Check::ok(
            id,
            group,
            "The library that tells which environment variables are asked for can be loaded.",
        ),
        Ok(None) => Check::degraded(
            id,
            group,
            "Neither TMPDIR nor /tmp can hold the library that tells which environment variables \
             are asked for (mounted noexec, or a name with a blank, a colon or a dollar sign): \
             records know it only where the build directory can.",
            "Set TMPDIR to a directory without such characters, on a file system that is not \
             mounted noexec.",
        ),
        Err(error) => Check::missing(
            id,
            group,
            format!("The library that is preloaded cannot be written: {}.", reason(&error)),
            "Make space in the temporary directory.",
        ),
    }
}

fn open_files() -> Check {
    let (id, group) = ("open-files", Group::Places);
    match getrlimit(Resource::RLIMIT_NOFILE) {
        Ok((_, hard)) if hard < OPEN_FILES => Check::degraded(
            id,
            group,
            format!(
                "The hard limit of open files is {hard}: the warden needs one for each of a \
                 script's processes, and scripts with many fail."
            ),
            format!(
                "Raise it to {OPEN_FILES} or more (`ulimit -Hn`, `LimitNOFILE=`, `--ulimit \
                 nofile=`)."
            ),
        ),
        Ok(_) => {
            Check::ok(id, group, "The hard limit of open files is high enough for the warden.")
        }
        Err(errno) => Check::degraded(
            id,
            group,
            format!("The limit of open files cannot be read ({errno})."),
            "Let whatever sandbox this runs in allow prlimit64(2).",
        ),
    }
}

/// As a launcher finds it.
fn policy() -> Check {
    let (id, group) = ("policy", Group::Places);
    let named = env::var_os(settings::POLICY).filter(|path| !path.is_empty()).map(PathBuf::from);
    let Some(path) = named else {
        return Check::ok(id, group, "The built-in policy holds.");
    };
    let name = settings::POLICY;
    if path.is_relative() {
        return Check::missing(
            id,
            group,
            format!("{name} is `{}`, which is not absolute: no script is run.", path.display()),
            format!("Set {name} to the document's absolute path."),
        );
    }
    match Document::read(&path) {
        Ok(_) => Check::ok(id, group, format!("The policy in `{}` holds.", path.display())),
        Err(error) => Check::missing(
            id,
            group,
            format!("The policy cannot be used, and no script is run: {}.", reason(&error)),
            format!("Correct the document, or unset {name} for the built-in policy."),
        ),
    }
}
