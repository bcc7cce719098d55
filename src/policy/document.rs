//! A policy document as written: TOML, parsed into exactly what it says, with the line of each rule.
//!
//! Nothing is expanded or looked up here; see [`super::resolve`].

use std::fs;
use std::path::Path;

use serde::Deserialize;
use sha2::{Digest, Sha256};
use toml::Spanned;

use super::Limits;
use crate::digest;

/// The built-in policy, the file `policies/default.toml` of the source.
pub const DEFAULT: &str = include_str!("../../policies/default.toml");
/// The name under which messages speak of that file.
pub const DEFAULT_FILE: &str = "policies/default.toml";

/// A parsed policy.
#[derive(Clone, Debug)]
pub struct Document {
    /// The policy's name.
    pub name: String,
    /// The file it came from.
    pub file: String,
    /// SHA-256 of the text, in lower-case hexadecimal digits.
    pub digest: String,
    /// Path rules.
    pub files: Files,
    /// Patterns of names of variables that a script does not get.
    pub withhold: Vec<Rule>,
    /// How much a script may use.
    pub limits: Limits,
}

/// The path rules of a document.
#[derive(Clone, Debug, Default)]
pub struct Files {
    /// Paths that may be read.
    pub read: Vec<Rule>,
    /// Paths that may be executed and read.
    pub execute: Vec<Rule>,
    /// Paths that may be written and read.
    pub write: Vec<Rule>,
}

/// One rule, as written, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The text between the quotes.
    pub text: String,
    /// Line in the document, from 1.
    pub line: usize,
}

/// A document that is not a policy.
#[derive(Debug, thiserror::Error)]
#[error("{file}:{line}:{column}: {message}")]
pub struct Error {
    /// The file.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDocument {
    name: String,
    #[serde(default)]
    files: RawFiles,
    #[serde(default)]
    environment: RawEnvironment,
    #[serde(default)]
    limits: Limits,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct RawFiles {
    read: Vec<Spanned<String>>,
    execute: Vec<Spanned<String>>,
    write: Vec<Spanned<String>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct RawEnvironment {
    withhold: Vec<Spanned<String>>,
}

impl Document {
    /// Reads a document.
    ///
    /// # Errors
    /// As of [`Document::parse`], or that the file cannot be read.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let file = path.display().to_string();
        let text = fs::read_to_string(path).map_err(|error| Error {
            file: file.clone(),
            line: 1,
            column: 1,
            message: format!("cannot be read: {error}"),
        })?;
        Self::parse(&file, &text)
    }

    /// Parses a document; `file` is its name in messages.
    ///
    /// # Errors
    /// The first place at which the text is not TOML or not a policy: an unknown key, a value of
    /// another type.
    pub fn parse(file: &str, text: &str) -> Result<Self, Error> {
        let lines = Lines::of(text);
        let raw: RawDocument = toml::from_str(text).map_err(|error| {
            let (line, column) = lines.position(text, error.span().unwrap_or(0..0).start);
            Error { file: file.to_owned(), line, column, message: error.message().to_owned() }
        })?;
        let rules = |spanned: Vec<Spanned<String>>| {
            spanned
                .into_iter()
                .map(|rule| Rule { line: lines.line(rule.span().start), text: rule.into_inner() })
                .collect()
        };
        Ok(Self {
            name: raw.name,
            file: file.to_owned(),
            digest: digest::hex(&Sha256::digest(text.as_bytes())),
            files: Files {
                read: rules(raw.files.read),
                execute: rules(raw.files.execute),
                write: rules(raw.files.write),
            },
            withhold: rules(raw.environment.withhold),
            limits: raw.limits,
        })
    }
}

/// Where the lines of a text begin, in bytes. A launcher asks for the line of each rule.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        Self(std::iter::once(0).chain(ends.map(|(at, _)| at + 1)).collect())
    }

    /// Counts from 1.
    fn line(&self, offset: usize) -> usize {
        self.0.partition_point(|start| *start <= offset)
    }

    /// Line and column, in characters, from 1.
    fn position(&self, text: &str, offset: usize) -> (usize, usize) {
        let line = self.line(offset);
        let before = text.get(self.0[line - 1]..offset).unwrap_or_default();
        (line, before.chars().count() + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_policy_is_a_policy() {
        let document = Document::parse(DEFAULT_FILE, DEFAULT).unwrap();
        assert_eq!(document.name, "default");
        assert_eq!(document.digest.len(), 64);
        let rule = &document.files.write[0];
        assert_eq!(rule.text, "{out-dir}");
        assert_eq!(DEFAULT.lines().nth(rule.line - 1).unwrap().trim(), "\"{out-dir}\",");
    }

    #[test]
    fn mistakes_have_a_place() {
        let parse = |text| Document::parse("p.toml", text).unwrap_err().to_string();
        assert!(
            parse("name = \"x\"\n[files]\nreed = []\n").starts_with("p.toml:3:1: unknown field")
        );
        assert!(parse("name = \"x\"\n[limits]\nwall = 1").starts_with("p.toml:3:1: unknown field"));
        assert!(parse("name = 1").starts_with("p.toml:1:8: invalid type"));
        assert!(parse("name = \"x\"\n[files]\nread = [\"a\", 2]").starts_with("p.toml:3:14: "));
    }
}
