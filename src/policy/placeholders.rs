//! From a path back to what a policy calls it: `/home/u/.ssh/config` is `{home}/.ssh/config`.
//!
//! The inverse of [`super::resolve`], for people and for rules that they can paste. A placeholder
//! that stands for many directories (`{path}`, `{dep-out-dirs}`, `{library-path}`) is not used: a rule with it would
//! give more than the path that it was made for.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use crate::access::is_invisible;
use crate::unit::Unit;

/// The placeholders that a policy knows.
pub const NAMES: &[&str] = &[
    "out-dir",
    "tmp",
    "empty-home",
    "script",
    "package",
    "workspace",
    "dep-out-dirs",
    "library-path",
    "toolchain",
    "cargo-home",
    "home",
    "path",
    "jobserver",
];

/// What stands for the directories in `/proc` of processes that are not the script's. They come and
/// go, and so this is no path, and nothing but a rule that hides can name it.
pub const OTHER_PROCESSES: &str = "{other-processes}";

/// What stands for which directory, for one unit.
#[derive(Clone, Debug, Default)]
pub struct Placeholders {
    /// The longest path first.
    known: Vec<(String, &'static str)>,
    /// Directories in which a run's private ones are made, see [`crate::private_dir`].
    temporary: Vec<String>,
}

/// Beginnings of the names of a run's private directories; six letters or digits follow.
const PRIVATE: [(&str, &str); 2] =
    [("cargo-brig-tmp-", "{tmp}"), ("cargo-brig-home-", "{empty-home}")];

impl Placeholders {
    /// Those of a unit.
    #[must_use]
    pub fn of(unit: &Unit) -> Self {
        let home = unit.home();
        let is_home = |path: &Path| home.as_ref().is_some_and(|home| home.starts_with(path));
        let mut known = Self::default();
        known.add("{out-dir}", &unit.out_dir);
        known.add("{script}", &unit.script);
        known.add("{package}", &unit.manifest_dir);
        // A policy does not take a home directory for a workspace.
        for workspace in unit.workspace.iter().filter(|path| !is_home(path)) {
            known.add("{workspace}", workspace);
        }
        for toolchain in unit.toolchain() {
            known.add("{toolchain}", &toolchain);
        }
        if let Some(directory) = unit.cargo_home() {
            known.add("{cargo-home}", &directory);
        }
        if let Some(directory) = &home {
            known.add("{home}", directory);
        }
        known.known.sort_by_key(|(path, _)| std::cmp::Reverse(path.len()));
        let temporary = [unit.temporary().to_owned(), PathBuf::from("/tmp")];
        for directory in temporary.map(|path| fs::canonicalize(&path).unwrap_or(path)) {
            known.temporary.extend(directory.to_str().map(str::to_owned));
        }
        known
    }

    /// Paths of a record have no symbolic links in them, those of variables may.
    fn add(&mut self, placeholder: &'static str, path: &Path) {
        let real = fs::canonicalize(path).ok().filter(|real| real != path);
        for path in [Some(path.to_owned()), real].into_iter().flatten() {
            if let Some(path) = path.to_str().filter(|path| path.len() > 1)
                && !self.known.iter().any(|(known, _)| known == path)
            {
                self.known.push((path.to_owned(), placeholder));
            }
        }
    }

    /// The placeholder that a path begins with, and the rest, which is empty or begins with a slash.
    #[must_use]
    pub fn split<'p>(&self, path: &'p str) -> Option<(&'static str, &'p str)> {
        let known = self
            .known
            .iter()
            .find_map(|(directory, placeholder)| Some((*placeholder, below(path, directory)?)));
        known.or_else(|| self.temporary.iter().find_map(|parent| private(path, parent)))
    }

    /// The path as a policy could write it.
    #[must_use]
    pub fn shorten<'p>(&self, path: &'p str) -> Cow<'p, str> {
        match self.split(path) {
            Some((placeholder, rest)) => Cow::Owned(format!("{placeholder}{rest}")),
            None => Cow::Borrowed(path),
        }
    }
}

/// Whether a path is that of `directory` or lies below it.
#[must_use]
pub fn is_below(path: &str, directory: &str) -> bool {
    below(path, directory).is_some()
}

/// What follows `directory` in `path`, if that is the directory or lies below it.
fn below<'p>(path: &'p str, directory: &str) -> Option<&'p str> {
    path.strip_prefix(directory).filter(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn private<'p>(path: &'p str, parent: &str) -> Option<(&'static str, &'p str)> {
    let name = below(path, parent)?.strip_prefix('/')?;
    PRIVATE.iter().find_map(|(beginning, placeholder)| {
        let rest = name.strip_prefix(beginning)?;
        let (random, rest) = rest.split_at_checked(6)?;
        let is_ours = random.bytes().all(|byte| byte.is_ascii_alphanumeric());
        (is_ours && (rest.is_empty() || rest.starts_with('/'))).then_some((*placeholder, rest))
    })
}

/// A text as a TOML string on one line, in which nothing steers a terminal or reorders a line.
#[must_use]
pub fn toml_string(text: &str) -> String {
    let mut string = String::with_capacity(text.len() + 2);
    string.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => string.extend(['\\', character]),
            _ if character.is_control() || is_invisible(character) => {
                write!(string, "\\U{:08X}", u32::from(character)).expect("a String takes it all");
            }
            _ => string.push(character),
        }
    }
    string.push('"');
    string
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn placeholders() -> Placeholders {
        let mut known = Placeholders::default();
        for (path, placeholder) in [
            ("/home/u/ship/target/debug/build/hull-1/out", "{out-dir}"),
            ("/home/u/ship/hull", "{package}"),
            ("/home/u/ship", "{workspace}"),
            ("/home/u/.cargo", "{cargo-home}"),
            ("/home/u", "{home}"),
        ] {
            known.known.push((path.to_owned(), placeholder));
        }
        known.temporary = vec!["/tmp".to_owned()];
        known
    }

    #[test]
    fn the_longest_directory_wins() {
        let known = placeholders();
        for (path, expected) in [
            ("/home/u/ship/target/debug/build/hull-1/out/a b.rs", "{out-dir}/a b.rs"),
            (
                "/home/u/ship/target/debug/build/hull-1/output",
                "{workspace}/target/debug/build/hull-1/output",
            ),
            ("/home/u/ship/hull", "{package}"),
            ("/home/u/ship/hull2/é", "{workspace}/hull2/é"),
            ("/home/u/.cargo/registry", "{cargo-home}/registry"),
            ("/home/u/.ssh/config", "{home}/.ssh/config"),
            ("/home/ute", "/home/ute"),
            ("/", "/"),
        ] {
            assert_eq!(known.shorten(path), expected);
        }
    }

    #[test]
    fn private_directories_are_known_by_name_and_place() {
        let known = placeholders();
        for (path, expected) in [
            ("/tmp/cargo-brig-tmp-aB3xYz/cc.o", "{tmp}/cc.o"),
            ("/tmp/cargo-brig-home-aB3xYz", "{empty-home}"),
            ("/tmp/cargo-brig-home-aB3xYzz/x", "/tmp/cargo-brig-home-aB3xYzz/x"),
            ("/tmp/cargo-brig-tmp-aB/3xYz", "/tmp/cargo-brig-tmp-aB/3xYz"),
            ("/tmp/cargo-brig-tmp-aB3xé", "/tmp/cargo-brig-tmp-aB3xé"),
            ("/srv/cargo-brig-tmp-aB3xYz/x", "/srv/cargo-brig-tmp-aB3xYz/x"),
        ] {
            assert_eq!(known.shorten(path), expected);
        }
    }

    #[test]
    fn what_a_script_made_does_not_hide_where_it_is() {
        let known = placeholders();
        let planted = "/home/u/{package}/x";
        assert_eq!(known.shorten(planted), "{home}/{package}/x");
        assert_eq!(toml_string("/a\"]\nwrite=[\"/"), r#""/a\"]\U0000000Awrite=[\"/""#);
        assert_eq!(toml_string("/\u{202e}x\u{1b}"), r#""/\U0000202Ex\U0000001B""#);
    }

    proptest! {
        #[test]
        fn a_toml_string_is_one_line_and_read_back(text: String) {
            let written = toml_string(&text);
            prop_assert!(!written.contains(|c: char| c.is_control() || is_invisible(c)));
            let table: toml::Table = toml::from_str(&format!("rule = {written}")).unwrap();
            prop_assert_eq!(table["rule"].as_str().unwrap(), text);
        }
    }
}
