//! A policy document as written: TOML, parsed into exactly what it says, with the place of each rule.
//!
//! Nothing is expanded or looked up here; see [`super::resolve`]. All mistakes are told at once.

use std::fs::{self, OpenOptions};
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use semver::VersionReq;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use toml::de::DeTable;

use super::builtin::Builtin;
use super::diagnostic::Diagnostics;
use super::reader::Reader;
use super::{Collected, Limit};
use crate::digest;

/// A parsed policy document.
#[derive(Clone, Debug)]
pub struct Document {
    /// The name that it gives itself.
    pub name: Option<String>,
    /// The file it came from.
    pub file: Arc<str>,
    /// SHA-256 of the text, in lower-case hexadecimal digits.
    pub digest: String,
    /// The built-in policy that it builds on.
    pub extends: Option<Builtin>,
    /// The documents of the collection that it takes in, and where it says so.
    pub crates: Vec<(Collected, Place)>,
    /// Where another document says that it takes this one in, if it is one of the collection.
    pub taken_in: Option<Place>,
    /// Where it says that nothing above it may loosen it.
    pub locked: Option<Place>,
    /// Whether what it does not give is denied, and where it says so.
    pub mode: Option<(Mode, Place)>,
    /// Rules for every package.
    pub common: Rules,
    /// Rules for some packages.
    pub packages: Vec<PackageRules>,
    /// What looks wrong in it.
    pub warnings: Diagnostics,
}

/// Rules for the packages of a name.
#[derive(Clone, Debug)]
pub struct PackageRules {
    /// The package's name.
    pub name: String,
    /// Its versions; all, if none are named.
    pub version: Option<VersionReq>,
    /// The rules.
    pub rules: Rules,
}

/// What a document, or a part of it for some packages, says.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// Directories that may be listed.
    pub list: Vec<Rule>,
    /// Paths that may be read.
    pub read: Vec<Rule>,
    /// Paths that may be executed and read.
    pub execute: Vec<Rule>,
    /// Paths that may be written and read.
    pub write: Vec<Rule>,
    /// Directories of which the script gets a private copy to write to.
    pub redirect: Vec<Rule>,
    /// Paths that do not exist for a script, as far as nothing there is granted.
    pub hide: Vec<Rule>,
    /// Addresses with ports that may be connected to.
    pub connect: Vec<Rule>,
    /// Unix sockets that may be connected to.
    pub unix: Vec<Rule>,
    /// Patterns of names of variables that a script gets.
    pub pass: Vec<Rule>,
    /// Patterns of names of variables that a script does not get.
    pub withhold: Vec<Rule>,
    /// Variables with the values that they get.
    pub set: Vec<(Rule, String)>,
    /// What becomes of variables that no pattern names.
    pub unnamed: Option<(Unnamed, Place)>,
    /// How much a script may use; none is no limit.
    pub limits: Vec<(Limit, Option<u64>, Place)>,
    /// Patterns of instructions that are relayed all the same.
    pub instructions: Vec<Rule>,
    /// What becomes of a unit that was denied something.
    pub on_denial: Option<(OnDenial, Place)>,
    /// Whether rustc is in a jail too.
    pub jails_rustc: Option<(bool, Place)>,
    /// Whether each compilation in the jail leaves a record.
    pub records_rustc: Option<(bool, Place)>,
}

/// What becomes of variables that no pattern names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unnamed {
    /// The script gets them.
    #[default]
    Pass,
    /// It does not.
    Withhold,
}

/// Whether what a policy does not give is denied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// It is.
    #[default]
    Enforce,
    /// It is only recorded; but a script still writes nowhere else.
    Permissive,
}

/// What becomes of a unit that was denied something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnDenial {
    /// It is told, and the unit ends as its script does.
    #[default]
    Report,
    /// The unit fails.
    Fail,
}

/// A place in a document.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The document.
    pub file: Arc<str>,
    /// Line, from 1.
    pub line: usize,
}

/// One rule, as written, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The text between the quotes.
    pub text: String,
    /// Where it stands.
    pub place: Place,
    /// Which bytes of the document it is.
    pub span: Range<usize>,
}

/// A document that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read.
    #[error("cannot read the policy `{}`", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// It is no policy.
    #[error("a policy has mistakes\n{0}")]
    Invalid(Diagnostics),
}

impl Document {
    /// Reads a document.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = text_of(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
        Self::parse(&path.display().to_string(), &text)
    }

    /// Reads a document, if there is one.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn read_if_there(path: &Path) -> Result<Option<Self>, Error> {
        match Self::read(path) {
            Err(Error::Read { source, .. })
                if source.kind() == io::ErrorKind::NotFound && is_absent(path) =>
            {
                Ok(None)
            }
            read => read.map(Some),
        }
    }

    /// Parses a document; `file` is its name in messages.
    ///
    /// # Errors
    /// [`Error::Invalid`] with all that is wrong.
    pub fn parse(file: &str, text: &str) -> Result<Self, Error> {
        Self::read_from(file, text, true)
    }

    /// Reads a document in which nothing looks wrong.
    ///
    /// # Errors
    /// As of [`Document::parse`].
    pub(super) fn undoubted(file: &str, text: &str) -> Result<Self, Error> {
        Self::read_from(file, text, false)
    }

    fn read_from(file: &str, text: &str, is_doubted: bool) -> Result<Self, Error> {
        let mut reader = Reader::new(file, text);
        let (table, mistakes) = DeTable::parse_recoverable(text);
        for mistake in mistakes {
            let span = mistake.span().unwrap_or(0..0);
            reader.error(span, mistake.message().to_owned(), None);
        }
        // What a broken line leaves behind would be told of as if it had been meant.
        if reader.found.has_errors() {
            return Err(Error::Invalid(reader.found));
        }
        let mut document = Self {
            name: None,
            file: Arc::clone(&reader.file),
            digest: digest::hex(&Sha256::digest(text.as_bytes())),
            extends: None,
            crates: Vec::new(),
            taken_in: None,
            locked: None,
            mode: None,
            common: Rules::default(),
            packages: Vec::new(),
            warnings: Diagnostics::default(),
        };
        reader.document(table.get_ref(), &mut document);
        if is_doubted {
            reader.doubt(&document);
        }
        if reader.found.has_errors() {
            return Err(Error::Invalid(reader.found));
        }
        document.warnings = reader.found;
        Ok(document)
    }
}

/// Nobody writes a longer one, in bytes.
const LONGEST: u64 = 4 << 20;

/// The text of a regular file. Of anything else a policy could be read for ever.
fn text_of(path: &Path) -> io::Result<String> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC)
        .open(path)?;
    let metadata = file.metadata()?;
    let invalid = |why: &str| io::Error::new(io::ErrorKind::InvalidInput, why);
    if metadata.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if !metadata.is_file() {
        return Err(invalid("it is no regular file"));
    }
    let mut text = String::new();
    if file.take(LONGEST + 1).read_to_string(&mut text)? as u64 > LONGEST {
        return Err(invalid("it is longer than 4 MiB"));
    }
    Ok(text)
}

/// Whether nobody has meant anything to be there: a link that leads nowhere, on the way to it or
/// itself, is a document that cannot be read.
fn is_absent(path: &Path) -> bool {
    let there = path.ancestors().find(|path| fs::symlink_metadata(path).is_ok());
    there.is_some_and(|there| there != path && there.is_dir())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Texts that look like a policy, cut and joined anywhere.
        #[test]
        fn no_text_is_too_broken_to_be_told_of(
            pieces in prop::collection::vec(
                prop_oneof![
                    any::<String>(),
                    prop::sample::select(vec![
                        "[files]", "read = ", "write", "[\"{tmp}/x*\"]", "\r\n", "\n", "[[package]]", "name",
                        " = \"a\"", "version", "locked = true", "[environment]", "set = { A = ", "}", "\"",
                        "'''", "limits.memory = ", "0x1F", "\\u{1F600}", "ß", "\u{200b}", "# x", "=", "]", ".",
                    ]).prop_map(str::to_owned),
                ],
                0..12,
            )
        ) {
            match Document::parse("p.toml", &pieces.concat()) {
                Ok(document) => prop_assert!(!document.warnings.has_errors()),
                Err(error) => prop_assert!(error.to_string().contains("p.toml:")),
            }
        }
    }

    fn mistakes(text: &str) -> Vec<String> {
        let Err(Error::Invalid(found)) = Document::parse("p.toml", text) else { return Vec::new() };
        let line = |d: &super::super::diagnostic::Diagnostic| {
            format!("{}:{} {}", d.line, d.column, d.message)
        };
        found.0.iter().map(line).collect()
    }

    #[test]
    fn all_mistakes_are_told_in_the_order_of_the_text() {
        let text = "name = 1\n[files]\nreed = []\nread = [\"a\", 2, \"{tpm}/x\"]\n[limits]\nwall-time = 0\n";
        let expected = [
            "1:8 this is an integer, and has to be a string",
            "3:1 unknown key `reed` in `files`",
            "4:9 a path begins with `/` or with a placeholder",
            "4:14 this is an integer, and has to be a string",
            "4:17 there is no placeholder `{tpm}`",
            "6:13 a limit is a number above 0",
        ];
        assert_eq!(mistakes(text), expected);
    }
}
