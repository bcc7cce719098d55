//! The baseline: `brig.lock`, in which a team says what it knows and approves of its dependencies'
//! build scripts.
//!
//! It is made to be committed and merged: sorted, one value on a line, and without anything of the
//! machine it was written on.

use std::cmp::Reverse;
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use semver::Version;
use serde::Deserialize;

use super::behaviour::{Aspect, Behaviour};
use super::beside;
use crate::access::printable;
use crate::policy::placeholders::toml_string;

/// Its name, beside `Cargo.lock`.
pub const FILE_NAME: &str = "brig.lock";
/// Version of its form; raised when an older cargo-brig would misread it.
pub const SCHEMA: u32 = 1;

const HEADING: &str = "\
# What the build scripts of these packages are known to do, and approved for. To be committed.
# `cargo brig audit` compares with it, `cargo brig approve` writes it.
";

/// See the file's description.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Baseline {
    /// See [`SCHEMA`].
    pub version: u32,
    /// By name, version and source.
    #[serde(default, rename = "package")]
    pub packages: Vec<Approved>,
}

/// One version of a package, and what its build script may be seen to do.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approved {
    /// The package's name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// As in [`super::report::Package::source`].
    #[serde(default)]
    pub source: Option<String>,
    /// As in [`super::report::Package::checksum`].
    #[serde(default)]
    pub checksum: Option<String>,
    /// What was approved.
    #[serde(default)]
    pub behaviour: Behaviour,
}

/// A baseline that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read.
    #[error("cannot read the baseline `{}`", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// It cannot be written.
    #[error("cannot write the baseline `{}`; it is as it was", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// Git left both sides of a conflict in it.
    #[error("{}:{line}: a merge conflict was left here", .path.display())]
    Conflict {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
    },
    /// It is no baseline.
    #[error("{}:{line}:{column}: {}", .path.display(), printable(.message))]
    Damaged {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// In characters, from 1.
        column: usize,
        /// What is wrong.
        message: String,
    },
    /// One that a later cargo-brig wrote.
    #[error(
        "`{}` has version {version}; this is cargo-brig {}, which reads version {SCHEMA}",
        .path.display(),
        env!("CARGO_PKG_VERSION")
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
    /// A package stands there twice.
    #[error("`{}` names `{}` twice", .path.display(), printable(.package))]
    Twice {
        /// The file.
        path: PathBuf,
        /// Name and version.
        package: String,
    },
}

impl Error {
    /// What can be done about it.
    #[must_use]
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Self::Conflict { .. } => Some(
                "keep the packages and values of both sides, or take one side and run `cargo brig \
                 audit` and `cargo brig approve` again",
            ),
            Self::Version { .. } => Some("install the cargo-brig that wrote it"),
            Self::Damaged { .. } | Self::Twice { .. } => Some(
                "correct it, or take it as it was committed (`git checkout brig.lock`), and approve \
                 again what is new",
            ),
            Self::Read { .. } | Self::Write { .. } => None,
        }
    }
}

/// Versions in their order, those that are none in that of the alphabet before them.
fn order(version: &str) -> (Option<Version>, &str) {
    (Version::parse(version).ok(), version)
}

impl Baseline {
    /// Reads it, with the digest of its text; none if there is no such file.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn read(path: &Path) -> Result<Option<(Self, String)>, Error> {
        match beside::read(path) {
            Ok(text) => Ok(Some((Self::parse(path, &text)?, beside::digest(text.as_bytes())))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(Error::Read { path: path.to_owned(), source }),
        }
    }

    /// Reads a text that `path` stands for in messages.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn parse(path: &Path, text: &str) -> Result<Self, Error> {
        /// What every version has.
        #[derive(Deserialize)]
        struct Head {
            version: u32,
        }
        let is_conflict = |line: &str| {
            ["<<<<<<<", "|||||||", ">>>>>>>"].iter().any(|mark| line.starts_with(mark))
                || line == "======="
        };
        if let Some(line) = text.lines().position(is_conflict) {
            return Err(Error::Conflict { path: path.to_owned(), line: line + 1 });
        }
        let damaged = |error: toml::de::Error| {
            let before = &text[..error.span().map_or(0, |span| span.start.min(text.len()))];
            let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
            let line = before.matches('\n').count() + 1;
            let message = error.message().to_owned();
            Error::Damaged { path: path.to_owned(), line, column, message }
        };
        let Head { version } = toml::from_str(text).map_err(damaged)?;
        if version != SCHEMA {
            return Err(Error::Version { path: path.to_owned(), version });
        }
        let mut baseline: Self = toml::from_str(text).map_err(damaged)?;
        baseline.sort();
        for pair in baseline.packages.windows(2) {
            if pair[0].is(&pair[1].name, &pair[1].version) && pair[0].source == pair[1].source {
                let package = format!("{} v{}", pair[0].name, pair[0].version);
                return Err(Error::Twice { path: path.to_owned(), package });
            }
        }
        Ok(baseline)
    }

    fn sort(&mut self) {
        self.packages.sort_by(|a, b| {
            let key = |of: &Approved| (of.name.clone(), of.source.clone());
            (&a.name, order(&a.version))
                .cmp(&(&b.name, order(&b.version)))
                .then(key(a).cmp(&key(b)))
        });
    }

    /// Its text.
    #[must_use]
    pub fn render(&mut self) -> String {
        self.sort();
        let mut text = format!("{HEADING}version = {SCHEMA}\n");
        for package in &self.packages {
            package.render(&mut text);
        }
        text
    }

    /// Writes it, whole or not at all.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn write(&mut self, path: &Path) -> Result<(), Error> {
        beside::write(path, self.render().as_bytes())
            .map_err(|source| Error::Write { path: path.to_owned(), source })
    }

    /// What was approved of exactly this version.
    #[must_use]
    pub fn of_version(&self, name: &str, version: &str, source: Option<&str>) -> Option<&Approved> {
        let found = || self.packages.iter().filter(|approved| approved.is(name, version));
        let same = found().find(|approved| same_place(approved.source.as_deref(), source));
        same.or_else(|| found().next())
    }

    /// What was approved of the version that is nearest: the last one before it, or the first after it; of
    /// the same source, if there is one of that.
    #[must_use]
    pub fn nearest(&self, name: &str, version: &str, source: Option<&str>) -> Option<&Approved> {
        let is_of_source = |approved: &Approved| same_place(approved.source.as_deref(), source);
        let is_named = |approved: &&Approved| approved.name == name;
        let has_source = self.packages.iter().filter(is_named).any(is_of_source);
        let of_name = || {
            let named = self.packages.iter().filter(is_named);
            named.filter(|approved| !has_source || is_of_source(approved))
        };
        let is_before = |approved: &&Approved| order(&approved.version) <= order(version);
        of_name()
            .filter(is_before)
            .max_by_key(|approved| order(&approved.version))
            .or_else(|| of_name().min_by_key(|approved| order(&approved.version)))
    }

    /// What was approved of exactly this version and source, to be changed.
    pub fn entry(&mut self, name: &str, version: &str, source: Option<&str>) -> &mut Approved {
        let is_it = |approved: &Approved| {
            approved.is(name, version) && same_place(approved.source.as_deref(), source)
        };
        let index = self.packages.iter().position(is_it).unwrap_or_else(|| {
            self.packages.push(Approved {
                name: name.to_owned(),
                version: version.to_owned(),
                source: source.map(str::to_owned),
                checksum: None,
                behaviour: Behaviour::default(),
            });
            self.packages.len() - 1
        });
        &mut self.packages[index]
    }

    /// The versions of a package, the newest first.
    #[must_use]
    pub fn versions(&self, name: &str) -> Vec<&str> {
        let found = self.packages.iter().filter(|approved| approved.name == name);
        let mut versions: Vec<&str> = found.map(|approved| approved.version.as_str()).collect();
        versions.sort_by_key(|version| Reverse(order(version)));
        versions
    }
}

/// Whether two sources are the same but for a Git revision.
#[must_use]
pub fn same_place(a: Option<&str>, b: Option<&str>) -> bool {
    let place = |source: &str| match source.strip_prefix("git+") {
        Some(git) => git.split('#').next().unwrap_or(git).to_owned(),
        None => source.to_owned(),
    };
    a.map(place) == b.map(place)
}

impl Approved {
    /// Whether this version is meant.
    #[must_use]
    pub fn is(&self, name: &str, version: &str) -> bool {
        self.name == name && self.version == version
    }

    fn render(&self, text: &mut String) {
        let mut line = |line: String| writeln!(text, "{line}").expect("a String takes it all");
        line("\n[[package]]".to_owned());
        for (key, value) in [
            ("name", Some(&self.name)),
            ("version", Some(&self.version)),
            ("source", self.source.as_ref()),
            ("checksum", self.checksum.as_ref()),
        ] {
            if let Some(value) = value {
                line(format!("{key} = {}", toml_string(value)));
            }
        }
        if self.behaviour == Behaviour::default() {
            return;
        }
        line("\n[package.behaviour]".to_owned());
        for aspect in Aspect::ALL {
            let values = self.behaviour.of(aspect);
            if values.is_empty() {
                continue;
            }
            line(format!("{aspect} = ["));
            for value in values {
                line(format!("  {},", toml_string(value)));
            }
            line("]".to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<Baseline, Error> {
        Baseline::parse(Path::new("brig.lock"), text)
    }

    fn approved(name: &str, version: &str) -> Approved {
        Approved {
            name: name.to_owned(),
            version: version.to_owned(),
            source: None,
            checksum: None,
            behaviour: Behaviour::default(),
        }
    }

    #[test]
    fn mistakes_are_told_with_their_places() {
        let message = |text: &str| parse(text).unwrap_err().to_string();
        assert_eq!(
            message("version = 1\n<<<<<<< HEAD\n"),
            "brig.lock:2: a merge conflict was left here"
        );
        let text = "version = 1\n[[package]]\nname = \"a\"\nversion = \"1\"\nreeds = []\n";
        assert!(
            message(text).starts_with("brig.lock:5:1: unknown field `reeds`"),
            "{}",
            message(text)
        );
        assert!(message("version = 2\nlater = 1").contains("has version 2"));
        assert!(message("").contains("missing field `version`"), "{}", message(""));
        let twice = "[[package]]\nname = \"a\"\nversion = \"1.0.0\"\n";
        assert!(
            message(&format!("version = 1\n{twice}{twice}")).contains("names `a v1.0.0` twice")
        );
    }

    #[test]
    fn the_nearest_version_is_the_one_before() {
        let mut baseline = Baseline { version: SCHEMA, packages: Vec::new() };
        baseline.packages =
            ["1.10.0", "1.9.0", "3.0.0"].map(|version| approved("a", version)).into();
        let nearest =
            |version| baseline.nearest("a", version, None).map(|found| found.version.as_str());
        assert_eq!(nearest("1.9.5"), Some("1.9.0"));
        assert_eq!(nearest("2.0.0"), Some("1.10.0"));
        assert_eq!(nearest("0.1.0"), Some("1.9.0"));
        assert_eq!(baseline.versions("a"), ["3.0.0", "1.10.0", "1.9.0"]);
        assert!(baseline.nearest("b", "1.0.0", None).is_none());
    }

    #[test]
    fn of_git_the_revision_is_no_place() {
        assert!(same_place(Some("git+https://x/y?branch=a#1"), Some("git+https://x/y?branch=a#2")));
        assert!(!same_place(Some("git+https://x/y#1"), Some("git+https://x/z#1")));
        assert!(!same_place(Some("registry+https://x"), None));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            names in prop::collection::btree_map("[a-c]{1,2}", "[0-9]\\.[0-9]\\.[0-9]", 0..6),
            values in prop::collection::vec((0..10usize, any::<String>()), 0..12),
        ) {
            let mut baseline = Baseline { version: SCHEMA, packages: Vec::new() };
            for (index, (name, version)) in names.iter().enumerate() {
                let mut package = approved(name, version);
                for (aspect, value) in values.iter().skip(index) {
                    package.behaviour.of_mut(Aspect::ALL[*aspect]).insert(value.clone());
                }
                package.checksum = values.first().map(|(_, value)| value.clone());
                baseline.packages.push(package);
            }
            baseline.packages.reverse();
            let text = baseline.render();
            let mut read = parse(&text).unwrap();
            prop_assert_eq!(&read, &baseline);
            prop_assert_eq!(read.render(), text);
        }
    }
}
