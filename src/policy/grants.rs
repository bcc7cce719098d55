//! The grants of one unit: what it may do, resolved, each with the rule that it came from.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::document::{Place, Unnamed};
use super::endpoint::Endpoint;
use super::outputs::Outputs;
use super::{Mode, Policy, pattern};
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
    /// [`Right::Write`], in a private copy.
    Redirect,
}

/// A directory in whose place a script sees a private copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirected {
    /// The directory: absolute, without symbolic links.
    pub path: PathBuf,
    /// The copy.
    pub copy: PathBuf,
    /// The rule.
    pub place: Place,
    /// What of the directory the copy does not have: grants of the whole directory do not count there.
    pub left_out: Vec<PathBuf>,
    /// What lies in the directory and is seen as it is, the upper first, and whether the script may write to
    /// it.
    pub kept: Vec<(PathBuf, bool)>,
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

/// What does not exist for one unit's script.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hidden {
    /// Paths, as far as nothing there is granted: absolute, without symbolic links, and the names by
    /// which the rules have them.
    pub paths: Vec<PathBuf>,
    /// The directories in `/proc` of processes that are not the script's.
    pub other_processes: bool,
}

/// Everything that one unit may do.
#[derive(Clone, Debug, Default)]
pub struct Grants {
    /// The policy that they come from.
    pub policy: Policy,
    /// Paths.
    pub files: Vec<Grant>,
    /// Directories in whose place the script sees private copies.
    pub redirected: Vec<Redirected>,
    /// What does not exist for the script.
    pub hidden: Hidden,
    /// Directories that nobody but the script writes to as long as it runs: absolute, without symbolic links.
    pub own: Vec<PathBuf>,
    /// What may be connected to over IP.
    pub connect: Vec<Endpoint>,
    /// Unix sockets that may be connected to: absolute, without symbolic links.
    pub unix: Vec<PathBuf>,
    /// The environment that the script is given.
    pub environment: Vec<(OsString, OsString)>,
    /// The library that is preloaded, which tells what of it is asked for.
    pub library: Option<PathBuf>,
    /// Names of the variables that were set and that it does not get.
    pub withheld: Vec<OsString>,
    /// What of the directories that it may write to is its own, if that is not all. A compilation has
    /// these; a script has directories of its own.
    pub outputs: Option<Outputs>,
}

impl Grants {
    /// Whether a grant covers this use of a path that is absolute and free of symbolic links.
    #[must_use]
    pub fn covers(&self, right: Right, path: &Path) -> bool {
        self.files.iter().any(|grant| {
            grant.right.includes(right)
                && is_below(path, &grant.path)
                && !self.is_left_out(grant, path)
        })
    }

    /// Whether a grant is of a directory that is redirected, and the copy does not have this of it.
    fn is_left_out(&self, grant: &Grant, path: &Path) -> bool {
        self.redirected.iter().any(|redirected| {
            redirected.path == grant.path
                && redirected.left_out.iter().any(|left_out| is_below(path, left_out))
        })
    }

    /// Where that lies which the script sees at a path.
    #[must_use]
    pub fn seen_at<'p>(&self, path: &'p Path) -> Cow<'p, Path> {
        for Redirected { path: directory, copy, kept, .. } in &self.redirected {
            if kept.iter().any(|(kept, _)| is_below(path, kept)) {
                break;
            }
            if let Ok(inner) = path.strip_prefix(directory) {
                return Cow::Owned(copy.join(inner));
            }
        }
        Cow::Borrowed(path)
    }

    /// Whether a rule gives a socket, over IP or of the Unix family.
    #[must_use]
    pub fn gives_sockets(&self) -> bool {
        !self.connect.is_empty() || !self.unix.is_empty()
    }

    /// Whether what the rules do not give is only recorded, but for writing.
    #[must_use]
    pub fn is_permissive(&self) -> bool {
        self.policy.mode == Mode::Permissive
    }

    /// Whether anything does not exist for the script.
    #[must_use]
    pub fn hides_something(&self) -> bool {
        !self.is_permissive() && (self.hidden.other_processes || !self.hidden.paths.is_empty())
    }

    /// Whether processes that are not the script's do not exist for it.
    #[must_use]
    pub fn hides_processes(&self) -> bool {
        self.hides_something() && self.hidden.other_processes
    }

    /// Whether a path that is absolute and free of symbolic links does not exist for the script. What is
    /// granted does, and the directories on the way to it. Processes are for the warden to judge.
    #[must_use]
    pub fn hides(&self, path: &Path) -> bool {
        self.hidden.paths.iter().any(|hidden| is_below(path, hidden))
            && !self
                .files
                .iter()
                .any(|grant| is_below(path, &grant.path) || is_below(&grant.path, path))
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
            Right::List => "files.list",
            Right::Read => "files.read",
            Right::Execute => "files.execute",
            Right::Write => "files.write",
            Right::Redirect => "files.redirect",
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
            (Self::Execute | Self::Write | Self::Redirect, Self::Read)
            | (Self::Redirect, Self::Write)
            | (_, Self::List) => true,
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
    fn what_is_hidden_is_what_nothing_gives() {
        let grant = |path: &str| Grant { right: Right::Read, path: path.into(), place: None };
        let grants = Grants {
            files: vec![grant("/home/u/project"), grant("/usr")],
            hidden: Hidden {
                paths: vec!["/home/u".into(), "/usr/x".into()],
                other_processes: false,
            },
            ..Grants::default()
        };
        for (path, expected) in [
            ("/home/u/.ssh", true),
            ("/home/u/.ssh/id", true),
            ("/home/u/projects", true),
            ("/home/u", false),
            ("/home/u/project", false),
            ("/home/u/project/x", false),
            ("/home", false),
            ("/usr/x/y", false),
        ] {
            assert_eq!(grants.hides(Path::new(path)), expected, "{path}");
        }
        let all = Grants {
            hidden: Hidden { paths: vec!["/".into()], other_processes: false },
            ..Grants::default()
        };
        assert!(all.hides(Path::new("/")) && all.hides(Path::new("/etc")));
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
