//! What the front door tells the shim and the launcher, and how they learn it unforged.
//!
//! The settings travel as environment variables of Cargo. The shim and the launcher do not look in
//! their own environment, because `cargo::rustc-env` and a workspace's `[env]` table write there,
//! but in the environment with which Cargo itself was executed (`/proc/PID/environ`, proc(5)).

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::process::parent_id;
use std::path::PathBuf;
use std::{fs, io};

use crate::policy::layers::Places;

/// Prefix of every variable of ours. None reaches a script or rustc.
pub const PREFIX: &str = "CARGO_BRIG_";
/// Prefix of what one shim tells another through the user's wrapper ([`crate::shim::inner`]). Variables named
/// like Cargo's are part of what sccache takes for the input of a compilation, and these are not to be.
pub const INNER_PREFIX: &str = "BRIG_INNER_";
/// The compiler wrapper that the user had and that the shim calls.
pub const WRAPPER: &str = "CARGO_BRIG_RUSTC_WRAPPER";
/// The rustdoc that the user had and that the shim calls.
pub const RUSTDOC: &str = "CARGO_BRIG_RUSTDOC";
/// The directory in which a launcher says what it ran.
pub const SESSION: &str = "CARGO_BRIG_SESSION";
/// A policy for this build: a built-in one's name, or the absolute path of a document.
pub const POLICY: &str = "CARGO_BRIG_POLICY";
/// The root of the workspace, where its policy is.
pub const WORKSPACE: &str = "CARGO_BRIG_WORKSPACE";
/// Filter for the program's own diagnostics on stderr: a level (`debug`).
pub const LOG: &str = "CARGO_BRIG_LOG";

/// The environment of the process that started this one, as it was when that was executed.
#[derive(Debug, Default)]
pub struct ParentEnvironment {
    pid: u32,
    variables: Vec<(OsString, OsString)>,
}

/// What cannot be read, and may say which policy there is.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the environment of the process that started this one, or of Cargo, `{path}`")]
pub struct Error {
    path: String,
    #[source]
    source: io::Error,
}

impl ParentEnvironment {
    /// Reads it; empty if it is not there or not for this process to read, so that nothing is taken for a
    /// setting.
    ///
    /// # Errors
    /// What else is in the way, such as a lack of memory: the policy would be another one then.
    pub fn read() -> Result<Self, Error> {
        Self::of(parent_id())
    }

    /// As [`Self::read`], of this process.
    ///
    /// # Errors
    /// As of [`Self::read`].
    pub fn of(pid: u32) -> Result<Self, Error> {
        let path = format!("/proc/{pid}/environ");
        match fs::read(&path) {
            Ok(block) => Ok(Self::parse(pid, &block)),
            Err(error) if is_closed(&error) => Ok(Self::parse(pid, b"")),
            Err(source) => Err(Error { path, source }),
        }
    }

    /// The process, as it was at that time.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    fn parse(pid: u32, block: &[u8]) -> Self {
        let variables = block
            .split(|byte| *byte == 0)
            .filter_map(|entry| {
                let equals = entry.iter().position(|byte| *byte == b'=')?;
                let (name, value) = (&entry[..equals], &entry[equals + 1..]);
                Some((OsString::from_vec(name.to_vec()), OsString::from_vec(value.to_vec())))
            })
            .collect();
        Self { pid, variables }
    }

    /// All of it.
    #[must_use]
    pub fn variables(&self) -> BTreeMap<OsString, OsString> {
        self.variables.iter().cloned().collect()
    }

    /// The value of one variable.
    #[must_use]
    pub fn get(&self, name: impl AsRef<OsStr>) -> Option<&OsStr> {
        let name = name.as_ref();
        self.variables.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_os_str())
    }
}

/// Of what has ended, the kernel says `ESRCH`.
fn is_closed(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied)
        || error.raw_os_error() == Some(libc::ESRCH)
}

/// The settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// See [`WRAPPER`].
    pub wrapper: Option<OsString>,
    /// See [`RUSTDOC`].
    pub rustdoc: Option<OsString>,
    /// See [`SESSION`].
    pub session: Option<PathBuf>,
    /// Where to look for policies: see [`POLICY`] and [`WORKSPACE`].
    pub places: Places,
}

impl Settings {
    /// Takes the settings from Cargo's environment.
    #[must_use]
    pub fn from(parent: &ParentEnvironment) -> Self {
        let non_empty = |name| parent.get(name).filter(|value| !value.is_empty());
        Self {
            wrapper: non_empty(WRAPPER).map(OsStr::to_owned),
            rustdoc: non_empty(RUSTDOC).map(OsStr::to_owned),
            session: non_empty(SESSION).map(PathBuf::from),
            places: Places {
                config_home: Places::config_home(parent.get("XDG_CONFIG_HOME"), parent.get("HOME")),
                directory: non_empty(WORKSPACE)
                    .map(PathBuf::from)
                    .or_else(|| directory_of(parent.pid())),
                named: non_empty(POLICY).map(PathBuf::from),
            },
        }
    }
}

/// Where a process stands: Cargo, in the directory that it was called in.
fn directory_of(process: u32) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{process}/cwd")).ok()
}

/// Whether a variable is one of ours.
#[must_use]
pub fn is_own_variable(name: &OsStr) -> bool {
    [PREFIX, INNER_PREFIX].iter().any(|prefix| name.as_bytes().starts_with(prefix.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_come_from_the_parent() {
        let parent =
            ParentEnvironment::parse(1, b"A=1\0CARGO_BRIG_RUSTC_WRAPPER=sccache\0B=x=y\0junk\0");
        assert_eq!(parent.get("B"), Some(OsStr::new("x=y")));
        let settings = Settings::from(&parent);
        assert_eq!(settings.wrapper.as_deref(), Some(OsStr::new("sccache")));
        assert_eq!(settings.session, None);
    }

    #[test]
    fn an_empty_setting_is_none() {
        let parent = ParentEnvironment::parse(1, b"CARGO_BRIG_SESSION=\0CARGO_BRIG_POLICY=\0");
        let settings = Settings::from(&parent);
        assert_eq!((settings.session, settings.places.named), (None, None));
    }
}
