//! The grants of one unit: what it may do, resolved, each with the rule that it came from.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::document::{Place, Unnamed};
use super::{Policy, pattern};
use crate::unit::Unit;

/// What a grant lets a script do with a path and everything below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Right {
    /// List directories, without reading files.
    List,
    /// Read files and list directories.
    Read,
    /// [`Right::Read`], and execute.
    Execute,
    /// [`Right::Read`], and write, create, remove, rename.
    Write,
}

/// One resolved permission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// What may be done.
    pub right: Right,
    /// Where: absolute, without symbolic links, existing.
    pub path: PathBuf,
    /// The rule; none of what comes from none.
    pub place: Option<Place>,
}

/// Everything that one unit may do.
#[derive(Clone, Debug, Default)]
pub struct Grants {
    /// The policy that they come from.
    pub policy: Policy,
    /// Paths.
    pub files: Vec<Grant>,
    /// The environment that the script is given.
    pub environment: Vec<(OsString, OsString)>,
    /// The library that is preloaded, which tells what of it is asked for.
    pub library: Option<PathBuf>,
    /// Names of the variables that were set and that it does not get.
    pub withheld: Vec<OsString>,
}

impl Grants {
    /// Whether a grant covers this use of a path that is absolute and free of symbolic links.
    #[must_use]
    pub fn covers(&self, right: Right, path: &Path) -> bool {
        self.files.iter().any(|grant| grant.right.includes(right) && is_below(path, &grant.path))
    }

    /// Whether a variable of this name is kept from the script, set or not.
    #[must_use]
    pub fn withholds(&self, name: &OsStr) -> bool {
        !Unit::is_cargo_variable(name)
            && self.policy.variable(name.as_bytes()).0 == Unnamed::Withhold
    }

    /// Whether a rule lets an instruction pass that would be withheld.
    #[must_use]
    pub fn allows(&self, instruction: &str) -> bool {
        let key_and_value = |text: &'_ str| {
            let rest = text.strip_prefix("cargo::").or_else(|| text.strip_prefix("cargo:"));
            rest.unwrap_or(text).as_bytes().to_vec()
        };
        let text = key_and_value(instruction.trim_start());
        let rules = &self.policy.instructions;
        rules.iter().any(|rule| pattern::matches_exactly(&key_and_value(&rule.text), &text))
    }

    /// The key of the rules that give this right, as a policy document spells it.
    #[must_use]
    pub fn rule_key(right: Right) -> &'static str {
        match right {
            Right::List | Right::Read => "files.read",
            Right::Execute => "files.execute",
            Right::Write => "files.write",
        }
    }
}

/// Whether `path` is `directory` or lies below it. Both are absolute and free of `.`, `..` and double
/// slashes, so bytes can be compared; the warden asks this for every file that a script opens.
fn is_below(path: &Path, directory: &Path) -> bool {
    let rest = path.as_os_str().as_bytes().strip_prefix(directory.as_os_str().as_bytes());
    rest.is_some_and(|rest| rest.is_empty() || rest[0] == b'/' || directory.parent().is_none())
}

impl Right {
    /// Whether who has this right also has the other.
    #[must_use]
    pub fn includes(self, other: Self) -> bool {
        match (self, other) {
            (Self::Execute | Self::Write, Self::Read) | (_, Self::List) => true,
            (a, b) => a == b,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn below_means_below() {
        let below = |path, directory| is_below(Path::new(path), Path::new(directory));
        assert!(below("/a/b", "/a/b") && below("/a/b/c", "/a/b") && below("/x", "/"));
        assert!(!below("/a/bc", "/a/b") && !below("/a", "/a/b"));
    }

    #[test]
    fn rights_include_reading() {
        let grants = Grants {
            files: vec![Grant { right: Right::Write, path: "/out".into(), place: None }],
            ..Grants::default()
        };
        assert!(grants.covers(Right::Write, Path::new("/out/a/b")));
        assert!(grants.covers(Right::Read, Path::new("/out")));
        assert!(!grants.covers(Right::Execute, Path::new("/out/a")));
        assert!(!grants.covers(Right::Read, Path::new("/output")));
    }
}
