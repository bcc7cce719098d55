//! Cargo, rustc, the wrapper between them, and how they find this program.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::check::{Check, Group};
use super::reason;
use crate::config::Config;
use crate::front;
use crate::launcher;
use crate::policy::resolve::is_daemon_client;

const GROUP: Group = Group::Toolchain;

/// All checks.
#[must_use]
pub fn checks() -> Vec<Check> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| OsString::from("rustc"));
    vec![
        static_program(),
        architecture(),
        program_in_path(),
        version("cargo", &cargo, "only `cargo-brig exec` can run a script"),
        version("rustc", &rustc, "nothing can be compiled"),
        rustc_wrapper(),
    ]
}

fn static_program() -> Check {
    let id = "static-program";
    match front::require_static() {
        Ok(()) => Check::ok(
            id,
            GROUP,
            "cargo-brig is linked statically: no script makes it load a library.",
        ),
        Err(error) => Check::missing(
            id,
            GROUP,
            "This cargo-brig is linked dynamically, and refuses to run scripts.",
            format!("Install a static one: {}.", reason(&error)),
        ),
    }
}

fn architecture() -> Check {
    let id = "architecture";
    if cfg!(target_arch = "x86_64") {
        return Check::ok(id, GROUP, "x86-64 is what cargo-brig is tested on.");
    }
    Check::degraded(
        id,
        GROUP,
        "The seccomp filter has a table for this architecture, but was never tested on it.",
        "Run the tests (`tests/run-tests`) before relying on it, or build on x86-64.",
    )
}

/// Where Cargo looks for a subcommand: in `PATH`, and before it in its own `bin` (Cargo,
/// `src/bin/cargo/main.rs`, `search_directories`).
fn search_directories() -> Vec<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut directories: Vec<PathBuf> = env::split_paths(&path).collect();
    let home = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo")));
    if let Some(bin) = home.map(|home| home.join("bin")).filter(|bin| !directories.contains(bin)) {
        directories.insert(0, bin);
    }
    directories
}

fn find(program: &OsStr, directories: &[PathBuf]) -> Option<PathBuf> {
    let is_program = |path: &PathBuf| {
        fs::metadata(path)
            .is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
    };
    directories.iter().map(|directory| directory.join(program)).find(is_program)
}

fn program_in_path() -> Check {
    let id = "program-in-path";
    let own = match launcher::own_path() {
        Ok(own) => own,
        Err(error) => {
            return Check::missing(
                id,
                GROUP,
                format!("It cannot be told where this program lies: {}.", reason(&error)),
                "Mount /proc.",
            );
        }
    };
    let Some(found) = find(OsStr::new("cargo-brig"), &search_directories()) else {
        return Check::degraded(
            id,
            GROUP,
            "There is no cargo-brig in PATH: `cargo brig` and `RUSTC_WRAPPER=cargo-brig` do not \
             find it.",
            format!("Add `{}` to PATH.", own.parent().unwrap_or(&own).display()),
        );
    };
    if is_same(&found, &own) {
        let meaning = format!("The cargo-brig in PATH, `{}`, is this program.", found.display());
        return Check::ok(id, GROUP, meaning);
    }
    Check::degraded(
        id,
        GROUP,
        format!(
            "The cargo-brig in PATH, `{}`, is another program than this one, `{}`: what is said \
             here does not hold for `cargo brig`.",
            found.display(),
            own.display()
        ),
        "Remove the one that is not wanted, or change PATH, and run this again.",
    )
}

/// Whether two paths lead to one file, or to copies of it.
fn is_same(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| fs::canonicalize(path).ok();
    let length = |path: &Path| fs::metadata(path).ok().map(|file| file.len());
    (real(one).is_some() && real(one) == real(other))
        || (length(one) == length(other)
            && fs::read(one).ok().is_some_and(|bytes| fs::read(other).is_ok_and(|o| o == bytes)))
}

fn version(id: &'static str, program: &OsStr, without: &str) -> Check {
    let output = Command::new(program)
        .arg("--version")
        // rustup would fetch a toolchain that is not there.
        .env("RUSTUP_AUTO_INSTALL", "0")
        .stdin(Stdio::null())
        .output();
    let name = program.to_string_lossy();
    let why = match output {
        Ok(output) if output.status.success() => {
            let text = String::from_utf8_lossy(&output.stdout);
            return Check::ok(id, GROUP, format!("`{name}` is {}.", text.trim()));
        }
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stderr);
            text.lines().next().unwrap_or("it fails").trim_start_matches("error: ").to_owned()
        }
        Err(error) => reason(&error),
    };
    Check::degraded(
        id,
        GROUP,
        format!("`{name}` cannot be run ({why}): {without}."),
        "Install Rust (https://rustup.rs, or the distribution's packages) and have it in PATH.",
    )
}

fn rustc_wrapper() -> Check {
    let id = "rustc-wrapper";
    let directory = env::current_dir().unwrap_or_default();
    let config = Config::load(&directory, &[]);
    let own = launcher::own_path().unwrap_or_default();
    let wrapper = match front::users_wrapper(&config, &own) {
        Ok(wrapper) => wrapper,
        Err(error) => {
            return Check::missing(
                id,
                GROUP,
                format!("`cargo brig` refuses to run: {}.", reason(&error)),
                "Unset RUSTC_WRAPPER.",
            );
        }
    };
    let Some(wrapper) = wrapper else {
        let meaning = match env::var_os("RUSTC_WRAPPER") {
            Some(_) => {
                "RUSTC_WRAPPER names cargo-brig: plain `cargo` runs scripts in the jail too."
            }
            None => {
                "No compiler wrapper is set. `cargo brig` sets its own; plain `cargo` runs no \
                 script in the jail."
            }
        };
        return Check::ok(id, GROUP, meaning);
    };
    let name = wrapper.to_string_lossy();
    let is_there = if name.contains('/') {
        Path::new(&wrapper).exists()
    } else {
        let path = env::var_os("PATH").unwrap_or_default();
        find(&wrapper, &env::split_paths(&path).collect::<Vec<_>>()).is_some()
    };
    if !is_there {
        return Check::degraded(
            id,
            GROUP,
            format!(
                "The compiler wrapper `{name}`, which cargo-brig is to call, is not there: rustc \
                 fails."
            ),
            "Install it, or unset RUSTC_WRAPPER and `build.rustc-wrapper`.",
        );
    }
    if is_daemon_client(&wrapper) {
        let meaning = format!(
            "The compiler wrapper `{name}` works through a daemon outside the jail. cargo-brig \
             calls it for rustc; scripts are not told of it, as they cannot reach it: the C code \
             that they compile is not cached."
        );
        return Check::degraded(
            id,
            GROUP,
            meaning,
            "Nothing, or use a cache without a daemon, such as ccache, for C.",
        );
    }
    Check::ok(
        id,
        GROUP,
        format!("cargo-brig calls the compiler wrapper `{name}`, and scripts are told of it."),
    )
}
