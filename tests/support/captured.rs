//! A build script as Cargo ran it: its program, its directory and the environment that it was given,
//! so that it can be run again, in other ways, without Cargo.
//!
//! A rustc wrapper puts a shell script into the place of each build script that is compiled. It writes
//! its environment down and then runs what was compiled.

#![allow(dead_code, unreachable_pub, reason = "every program that includes it uses another part")]

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The wrapper. Each script that is compiled has a directory of its own.
const WRAPPER: &str = r#"#!/bin/sh
"$@" || exit
name= directory= suffix=
while [ $# -gt 0 ]; do
    case $1 in
        --crate-name) name=$2 ;;
        --out-dir) directory=$2 ;;
        extra-filename=*) suffix=${1#*=} ;;
    esac
    shift
done
case $name in build_script_*) ;; *) exit 0 ;; esac
mv "$directory/$name$suffix" "$directory/captured-script"
cp "$0.stand-in" "$directory/$name$suffix"
"#;

const STAND_IN: &str = r#"#!/bin/sh
printf %s "${0%/*}/captured-script" > "$OUT_DIR.program"
env -0 > "$OUT_DIR.environment"
exec "${0%/*}/captured-script" "$@"
"#;

/// What Cargo sets for the processes that it starts itself, and a shell for its own.
const NOT_THE_SCRIPTS: &[&str] =
    &["RUSTC_WRAPPER", "CARGO_MAKEFLAGS", "MAKEFLAGS", "MFLAGS", "_", "OLDPWD", "PWD", "SHLVL"];

/// See the file's description.
#[derive(Debug)]
pub struct Captured {
    /// The compiled script.
    pub program: PathBuf,
    /// Its package's name.
    pub package: String,
    /// Its package's directory, in which it is run.
    pub directory: PathBuf,
    /// Its `OUT_DIR`.
    pub out_dir: PathBuf,
    /// Its environment, without the jobserver, whose descriptors are gone.
    pub environment: Vec<(OsString, OsString)>,
}

/// Lets a Cargo command capture the scripts that it builds. `directory` is for the wrapper.
pub fn capture(command: &mut Command, directory: &Path) {
    fs::create_dir_all(directory).unwrap();
    let wrapper = directory.join("rustc-wrapper");
    for (path, text) in [(&wrapper, WRAPPER), (&directory.join("rustc-wrapper.stand-in"), STAND_IN)]
    {
        fs::write(path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    command.env("RUSTC_WRAPPER", wrapper);
}

impl Captured {
    /// Every script that was captured below this build directory, by the names of their packages.
    pub fn all(build_dir: &Path) -> Vec<Self> {
        let mut all = Vec::new();
        for unit in fs::read_dir(build_dir.join("build")).unwrap() {
            let out_dir = unit.unwrap().path().join("out");
            if let Ok(environment) = fs::read(out_dir.with_extension("environment")) {
                all.push(Self::of(out_dir, &environment));
            }
        }
        all.sort_by(|a, b| (&a.package, &a.out_dir).cmp(&(&b.package, &b.out_dir)));
        all
    }

    fn of(out_dir: PathBuf, environment: &[u8]) -> Self {
        let environment: Vec<(OsString, OsString)> = parse_environment(environment)
            .into_iter()
            .filter(|(name, _)| !NOT_THE_SCRIPTS.iter().any(|other| name == other))
            .collect();
        let variable = |wanted: &str| {
            let found = environment.iter().find(|(name, _)| name == wanted);
            found.unwrap_or_else(|| panic!("Cargo sets no {wanted}")).1.clone()
        };
        let program = fs::read(out_dir.with_extension("program")).unwrap();
        Self {
            program: OsString::from_vec(program).into(),
            package: variable("CARGO_PKG_NAME").into_string().unwrap(),
            directory: variable("CARGO_MANIFEST_DIR").into(),
            out_dir,
            environment,
        }
    }

    /// The `OUT_DIR` as Cargo hands it over: there, and without what an earlier run left.
    pub fn empty_out_dir(&self) {
        fs::remove_dir_all(&self.out_dir).unwrap();
        fs::create_dir(&self.out_dir).unwrap();
    }

    /// This program in the script's directory and with its environment alone.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(&self.directory)
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }
}

/// What `env -0` prints.
pub fn parse_environment(text: &[u8]) -> Vec<(OsString, OsString)> {
    text.split(|byte| *byte == 0)
        .filter_map(|variable| {
            let equals = variable.iter().position(|byte| *byte == b'=')?;
            let part = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
            Some((part(&variable[..equals]), part(&variable[equals + 1..])))
        })
        .collect()
}
