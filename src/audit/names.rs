//! Names: what the things that a script uses are called in a baseline, the same on every machine.
//!
//! A path is a script's own (its package, `OUT_DIR`, `TMPDIR`, the empty home), or of the system, and
//! then says nothing; or it lies elsewhere, and gets a name. **The system** is what the built-in policy
//! `default` names by its absolute path, and the Rust toolchain. In a name
//!
//! - a directory that has a placeholder is that, and `{workspace}` the audited one for all of its packages,
//!   `{above}` a directory above it; the profile's directory in the build directory is
//!   `{build-dir}`, and another package's `OUT_DIR` in it `{build-dir}/PACKAGE`;
//! - what is in `CARGO_HOME`'s registry or Git checkouts is named by its package's directory, and what
//!   `default` grants in the home directory by the directory that it grants;
//! - hexadecimal digits that are a hash, and numbers of processes, are `*`; the triples of target and host
//!   are `{target}` and `{host}`, and the package's own version is `{version}`.

use std::borrow::Cow;
use std::fs;
use std::path::Path;

use crate::policy::Builtin;
use crate::policy::document::Rules;
use crate::policy::placeholders::Placeholders;
use crate::stored::StoredUnit;

/// The parts of compilers and linkers that these run themselves (GCC manual, "Overall Options"; rustc's
/// `-Clink-self-contained`). Which of them run depends on the machine.
const PARTS_OF_COMPILERS: &[&str] = &[
    "as",
    "cc1",
    "cc1obj",
    "cc1objplus",
    "cc1plus",
    "collect2",
    "f951",
    "gcc-ld",
    "ld",
    "ld.bfd",
    "ld.gold",
    "ld.lld",
    "ld64.lld",
    "lld",
    "lto-wrapper",
    "lto1",
    "rust-lld",
];

/// Architectures with which the names of cross compilers begin (GNU triplets).
const ARCHITECTURES: &[&str] = &[
    "aarch64",
    "arm",
    "armv7l",
    "i386",
    "i486",
    "i586",
    "i686",
    "loongarch64",
    "mips64el",
    "powerpc64",
    "powerpc64le",
    "riscv64",
    "s390x",
    "x86_64",
];

/// Where in `/dev` files are, and not devices (`shm_overview`(7), `mq_overview`(7)).
const SHARED: [&str; 2] = ["/dev/shm/", "/dev/mqueue/"];

/// What the built-in policy `default` grants.
#[derive(Debug)]
pub struct Usual {
    /// By absolute path: the system.
    system: Vec<String>,
    /// By placeholder: `{home}/.pyenv`.
    other: Vec<String>,
}

impl Default for Usual {
    fn default() -> Self {
        let documents = Builtin::Default.documents().unwrap_or_default();
        let rules = documents.into_iter().flat_map(|document| {
            let Rules { read, execute, write, .. } = document.common;
            read.into_iter().chain(execute).chain(write).map(|rule| rule.text)
        });
        let (system, other) = rules.partition(|rule| rule.starts_with('/'));
        Self { system, other }
    }
}

impl Usual {
    fn is_system(&self, path: &str) -> bool {
        self.system.iter().any(|directory| below(path, directory).is_some())
    }

    /// The rule that covers a path with a placeholder.
    fn rule(&self, name: &str) -> Option<&str> {
        self.other.iter().map(String::as_str).find(|rule| below(name, rule).is_some())
    }
}

/// Where a path lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In what is the script's own.
    Own,
    /// In the system or the toolchain.
    System,
    /// Elsewhere, under this name.
    Elsewhere(String),
}

/// The names for one unit.
#[derive(Debug)]
pub struct Names<'u> {
    usual: &'u Usual,
    known: Placeholders,
    /// The build directory, and the profile's directory in it.
    build: [String; 2],
    /// The audited workspace, and whether the package belongs to it.
    root: String,
    is_member: bool,
    /// Directories above the workspace, the deepest first, but for those that others have in common: the
    /// home directory, what lies above that, and what lies in `/`.
    above: Vec<String>,
    /// What is replaced in any text.
    replaced: Vec<(String, &'static str)>,
}

impl<'u> Names<'u> {
    /// Those for a recorded unit in the workspace `root`, as this process's environment knows them.
    #[must_use]
    pub fn of(stored: &StoredUnit<'_>, usual: &'u Usual, root: &Path) -> Self {
        let unit = stored.unit();
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let build_dir = unit.build_dir();
        let build = build_dir.closed().map(text);
        let home = unit.home();
        let root = fs::canonicalize(root).unwrap_or_else(|_| root.to_owned());
        let above = root.ancestors().skip(1).filter(|path| {
            let is_home = home.as_ref().is_some_and(|home| home.starts_with(path));
            path.ancestors().count() > 2 && !is_home
        });
        let mut replaced = Vec::new();
        for (triple, name) in [(&unit.target, "{target}"), (&unit.host, "{host}")] {
            if let Some(triple) = triple {
                // As it is, as in the names of variables, and as Debian calls its directories.
                let multiarch = triple.replace("-unknown-", "-").replace("-pc-", "-");
                let variable = triple.replace(['-', '.'], "_");
                let upper = variable.to_uppercase();
                let spellings = [triple.clone(), variable, upper, multiarch];
                replaced.extend(spellings.map(|spelling| (spelling, name)));
            }
        }
        let version = unit.version.split('+').next().unwrap_or_default();
        if version.contains('.') {
            replaced.push((unit.version.clone(), "{version}"));
            replaced.push((version.to_owned(), "{version}"));
            replaced.push((version.replace(['.', '-'], "_"), "{version}"));
        }
        Self {
            usual,
            known: Placeholders::of(&unit),
            build,
            above: above.map(text).collect(),
            root: text(&root),
            is_member: unit.workspace.is_some(),
            replaced,
        }
    }

    /// The placeholders alone.
    #[must_use]
    pub fn placeholders(&self) -> &Placeholders {
        &self.known
    }

    /// Where a path lies.
    #[must_use]
    pub fn place(&self, path: &str) -> Place {
        let split = self.known.split(path);
        match split {
            Some(("{out-dir}" | "{tmp}" | "{empty-home}" | "{script}", _)) => return Place::Own,
            Some(("{package}", rest)) if !self.is_built(path, path.len() - rest.len()) => {
                return Place::Own;
            }
            _ => {}
        }
        if let Some(name) = self.built(path) {
            return Place::Elsewhere(name);
        }
        // What is nearer has the word.
        let depth = split.map_or(0, |(_, rest)| path.len() - rest.len());
        if let Some(rest) = below(path, &self.root).filter(|_| depth <= self.root.len()) {
            return Place::Elsewhere(self.steady(&format!("{{workspace}}{rest}")));
        }
        let Some((placeholder, rest)) = split else {
            return if self.usual.is_system(path) {
                Place::System
            } else {
                Place::Elsewhere(self.steady(path))
            };
        };
        if placeholder == "{toolchain}" {
            return Place::System;
        }
        let name = format!("{placeholder}{rest}");
        Place::Elsewhere(match self.usual.rule(&name) {
            // `{cargo-home}/registry/src/INDEX/PACKAGE`, `{cargo-home}/git/checkouts/NAME/REVISION`
            Some("{cargo-home}/registry" | "{cargo-home}/git") => {
                let end = name.match_indices('/').nth(4).map_or(name.len(), |(at, _)| at);
                self.steady(&name[..end])
            }
            Some(rule) if placeholder == "{home}" || placeholder == "{cargo-home}" => {
                rule.to_owned()
            }
            _ => self.steady(&name),
        })
    }

    /// Whether a script may write there and nobody is told: to its own directories, and to devices such as
    /// `/dev/null`.
    #[must_use]
    pub fn may_be_written(&self, path: &str) -> bool {
        matches!(self.known.split(path), Some(("{out-dir}" | "{tmp}" | "{empty-home}", _)))
            || path.starts_with("/proc/")
            || (path.starts_with("/dev/") && !SHARED.iter().any(|shared| path.starts_with(shared)))
    }

    /// Whether a path lies in the build directory, and that deeper than `depth` bytes.
    fn is_built(&self, path: &str, depth: usize) -> bool {
        self.build[0].len() > depth && below(path, &self.build[0]).is_some()
    }

    /// Whether a path lies in the build directory.
    #[must_use]
    pub fn is_in_build_dir(&self, path: &str) -> bool {
        self.is_built(path, 0)
    }

    /// The name of a path in the build directory.
    fn built(&self, path: &str) -> Option<String> {
        let [root, profile] = &self.build;
        let rest = below(path, profile).or_else(|| below(path, root))?;
        // `/build/PACKAGE-HASH/out/…`, `/build/PACKAGE/HASH/out/…`
        let mut parts = rest.split('/').skip(1);
        if parts.next() == Some("build")
            && let Some(unit) = parts.next()
            && parts.take(2).any(|part| part == "out")
        {
            let package = unit.rsplit_once('-').filter(|(_, hash)| is_hash(hash));
            return Some(format!("{{build-dir}}/{}", package.map_or(unit, |(name, _)| name)));
        }
        Some(self.steady(&format!("{{build-dir}}{rest}")))
    }

    /// Whether somebody may look for such a path without being told of it: what is missing there is
    /// missing by chance.
    #[must_use]
    pub fn may_be_looked_for(&self, name: &str) -> bool {
        name.starts_with("{build-dir}")
            || self.usual.rule(name).is_some_and(|rule| rule != "{workspace}" || self.is_member)
    }

    /// As [`Self::place`], for what was only tried: tools look for their settings in every directory above
    /// the one that they are started in, wherever that is.
    #[must_use]
    pub fn place_of_attempt(&self, path: &str) -> Place {
        match self.place(path) {
            Place::Elsewhere(name) if name.starts_with('/') || name.starts_with("{home}") => {
                let above = self.above.iter().find_map(|directory| below(path, directory));
                Place::Elsewhere(
                    above.map_or(name, |rest| self.steady(&format!("{{above}}{rest}"))),
                )
            }
            place => place,
        }
    }

    /// The directory in `/` that the workspace lies in.
    #[must_use]
    pub fn top(&self) -> &str {
        let end = self.root.match_indices('/').nth(1).map_or(self.root.len(), |(at, _)| at);
        &self.root[..end]
    }

    /// What a program is called, if it is worth a word: the script itself and the parts of compilers are
    /// not.
    #[must_use]
    pub fn program(&self, path: &str) -> Option<String> {
        let name = || path.rsplit_once('/').map_or(path, |(_, name)| name);
        match self.known.split(path) {
            Some(("{script}", _)) => return None,
            // What is built there has names by chance, as what CMake and autoconf try has.
            Some((own @ ("{out-dir}" | "{tmp}" | "{empty-home}"), _)) => {
                return Some(own.to_owned());
            }
            Some(("{package}", rest)) if !self.is_built(path, path.len() - rest.len()) => {
                return Some(self.steady(&format!("{{package}}{rest}")));
            }
            _ => {}
        }
        match self.place(path) {
            Place::Own => None,
            Place::System => {
                let name = program_name(name());
                (!PARTS_OF_COMPILERS.contains(&name)).then(|| name.to_owned())
            }
            // A name says more than the directory that stands for it.
            Place::Elsewhere(directory) if directory != self.steady(&self.known.shorten(path)) => {
                Some(format!("{directory}/{}", self.steady(program_name(name()))))
            }
            Place::Elsewhere(path) => Some(path),
        }
    }

    /// A text without what differs from run to run and from machine to machine.
    #[must_use]
    pub fn steady(&self, text: &str) -> String {
        let mut text = Cow::Borrowed(text);
        for (from, to) in &self.replaced {
            if text.contains(from.as_str()) {
                text = Cow::Owned(text.replace(from.as_str(), to));
            }
        }
        let parts = text.split('/').map(|part| {
            // A number of a process, as in `/proc/123/environ`.
            if !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()) {
                return "*".to_owned();
            }
            let (stem, extension) = part.split_once('.').unwrap_or((part, ""));
            let dot = if part.contains('.') { "." } else { "" };
            match stem.rsplit_once('-') {
                Some((name, hash)) if is_hash(hash) => format!("{name}-*{dot}{extension}"),
                None if is_hash(stem) => format!("*{dot}{extension}"),
                // `index.crates.io-1949cf8c6b5b557f`
                _ => match part.rsplit_once('-') {
                    Some((name, hash)) if is_hash(hash) => format!("{name}-*"),
                    _ => part.to_owned(),
                },
            }
        });
        parts.collect::<Vec<_>>().join("/")
    }
}

/// What follows `directory` in `path`, if that is the directory or lies below it.
fn below<'p>(path: &'p str, directory: &str) -> Option<&'p str> {
    path.strip_prefix(directory).filter(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Sixteen hexadecimal digits or more.
fn is_hash(text: &str) -> bool {
    text.len() >= 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A program's name without the triple before it and the version behind it: `x86_64-linux-gnu-gcc-12` is
/// `gcc`, `python3.11` is `python3`.
fn program_name(name: &str) -> &str {
    let is_triple = ARCHITECTURES.iter().any(|architecture| {
        name.strip_prefix(architecture).is_some_and(|rest| rest.starts_with('-'))
    });
    let tool = is_triple.then(|| {
        ["-linux-gnu", "-linux-musl"].iter().find_map(|system| {
            // `-linux-gnueabihf-` is one, too.
            let (_, rest) = name.split_once(system)?;
            rest.split_once('-').map(|(_, tool)| tool)
        })
    });
    let name = tool.flatten().unwrap_or(name);
    let is_version = |text: &str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
    };
    match name.rsplit_once('-') {
        Some((tool, version)) if is_version(version) => return tool,
        _ => {}
    }
    match name.split_once('.') {
        Some((tool, version))
            if is_version(version) && tool.ends_with(|last: char| last.is_ascii_digit()) =>
        {
            tool
        }
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stored::Text;
    use std::collections::BTreeMap;

    fn unit() -> StoredUnit<'static> {
        let text = |text: &'static str| Text(Cow::Borrowed(text));
        StoredUnit {
            package: text("hull-sys"),
            version: text("1.2.3+4"),
            manifest_dir: text("/src/a b/é/hull-sys"),
            out_dir: text("/src/a b/é/target/debug/build/hull-sys-0123456789abcdef/out"),
            script: text("/src/a b/é/target/debug/build/hull-sys-1123456789abcdef/s.brig-script"),
            workspace: Some(text("/src/a b/é")),
            target: Some(text("aarch64-unknown-linux-gnu")),
            host: Some(text("x86_64-unknown-linux-gnu")),
            profile: None,
            links: None,
            variables: BTreeMap::new(),
            compilation: None,
        }
    }

    #[test]
    fn places_are_named_without_the_machine() {
        let (unit, usual) = (unit(), Usual::default());
        let names = Names::of(&unit, &usual, Path::new("/src/a b/é"));
        let elsewhere = |name: &str| Place::Elsewhere(name.to_owned());
        for (path, expected) in [
            ("/src/a b/é/hull-sys/src/x.c", Place::Own),
            ("/src/a b/é/target/debug/build/hull-sys-0123456789abcdef/out/x", Place::Own),
            ("/usr/include/zlib.h", Place::System),
            ("/etc/passwd", Place::System),
            ("/etc/shadow", elsewhere("/etc/shadow")),
            ("/src/a b/é/data/x.csv", elsewhere("{workspace}/data/x.csv")),
            (
                "/src/a b/é/target/debug/build/keel-sys-0123456789abcdee/out/include/k.h",
                elsewhere("{build-dir}/keel-sys"),
            ),
            (
                "/src/a b/é/target/debug/build/keel-sys/0123456789abcdee/out/include/k.h",
                elsewhere("{build-dir}/keel-sys"),
            ),
            (
                "/src/a b/é/target/debug/deps/libk-0123456789abcdee.so",
                elsewhere("{build-dir}/deps/libk-*.so"),
            ),
            ("/srv/aarch64-unknown-linux-gnu/1.2.3/x", elsewhere("/srv/{target}/{version}/x")),
        ] {
            assert_eq!(names.place(path), expected, "{path}");
        }
        for (path, expected) in [
            ("/src/a b/.cargo/config.toml", "{above}/.cargo/config.toml"),
            ("/src/a b/é/.cargo/config.toml", "{workspace}/.cargo/config.toml"),
            ("/src/a b/é/target/debug/libc.so.6", "{build-dir}/libc.so.6"),
            ("/src/.cargo/config.toml", "/src/.cargo/config.toml"),
            ("/var/lib/x", "/var/lib/x"),
        ] {
            assert_eq!(names.place_of_attempt(path), elsewhere(expected), "{path}");
        }
    }

    #[test]
    fn only_own_files_and_devices_are_written_untold() {
        let (unit, usual) = (unit(), Usual::default());
        let names = Names::of(&unit, &usual, Path::new("/src/a b/é"));
        let out_file = format!("{}/x", &*unit.out_dir);
        for path in [&*out_file, "/dev/null", "/dev/pts/0", "/proc/self/comm"] {
            assert!(names.may_be_written(path), "{path}");
        }
        for path in ["/dev/shm/x", "/dev/mqueue/x", "/src/a b/é/x", "/tmp/a"] {
            assert!(!names.may_be_written(path), "{path}");
        }
    }

    #[test]
    fn programs_are_named_without_versions() {
        for (name, expected) in [
            ("x86_64-linux-gnu-gcc-12", "gcc"),
            ("arm-linux-gnueabihf-g++", "g++"),
            ("python3.11", "python3"),
            ("ld.bfd", "ld.bfd"),
            ("llvm-config-19.1", "llvm-config"),
            ("x86_64", "x86_64"),
            ("pkg-config", "pkg-config"),
        ] {
            assert_eq!(program_name(name), expected);
        }
        let (unit, usual) = (unit(), Usual::default());
        let names = Names::of(&unit, &usual, Path::new("/src/a b/é"));
        let program = |path: &str| names.program(path);
        assert_eq!(program("/usr/lib/gcc/x86_64-linux-gnu/12/cc1"), None);
        assert_eq!(program("/usr/bin/curl").as_deref(), Some("curl"));
        assert_eq!(
            program("/src/a b/é/hull-sys/configure").as_deref(),
            Some("{package}/configure")
        );
        let out_dir = &*unit.out_dir;
        assert_eq!(program(&format!("{out_dir}/cc1")).as_deref(), Some("{out-dir}"));
        assert_eq!(program("/srv/cc1").as_deref(), Some("/srv/cc1"));
        assert_eq!(program(&unit.script), None);
    }

    #[test]
    fn chance_is_taken_out_and_nothing_else() {
        let (unit, usual) = (unit(), Usual::default());
        let names = Names::of(&unit, &usual, Path::new("/src/a b/é"));
        for (text, expected) in [
            ("/x/serde-0123456789abcdef/y", "/x/serde-*/y"),
            ("/x/index.crates.io-1949cf8c6b5b557f", "/x/index.crates.io-*"),
            ("/proc/4711/environ", "/proc/*/environ"),
            ("CC_aarch64_unknown_linux_gnu", "CC_{target}"),
            ("AARCH64_UNKNOWN_LINUX_GNU_DIR", "{target}_DIR"),
            ("/usr/lib/x86_64-linux-gnu/x", "/usr/lib/{host}/x"),
            ("static=hull_1_2_3_core", "static=hull_{version}_core"),
            ("/x/decade-beef", "/x/decade-beef"),
        ] {
            assert_eq!(names.steady(text), expected);
        }
    }
}
