//! What a build script tells Cargo: one line of its standard output, read as Cargo reads it, as a
//! typed value, and written out again.
//!
//! A jail that compares prefixes of raw lines is fooled by one leading space, so [`parse`] follows
//! Cargo 1.95's own parser (`BuildOutput::parse` in `src/cargo/core/compiler/custom_build.rs`) to
//! the letter, odd corners included. What is relayed to Cargo is never the script's own bytes but
//! the [`Display`](fmt::Display) of the parsed value: one line, which Cargo (and [`parse`]) reads
//! as that same value.
//!
//! Deliberately not here:
//!
//! * Splitting the output into lines. Cargo splits at `\n` alone, and a last line without one
//!   counts.
//! * Judging. Whether an instruction is harmless, is allowed or is relayed is for policy and
//!   verdict.
//! * What Cargo judges by facts outside the line, after the relay: that the package has the target
//!   which a `rustc-link-arg-*` key names, that its `rust-version` is at least 1.77 for `cargo::`,
//!   that `rustc-env` does not set `RUSTC_BOOTSTRAP` on a stable toolchain. Such lines parse here,
//!   and Cargo refuses them itself.
//! * Replacing the previous `OUT_DIR` in values by the present one, which Cargo does when it reads
//!   its saved copy again.
//!
//! The supervisor parses each line with it, policy and verdict match on [`Kind`], the relay prints,
//! the record serializes.

pub mod swallowed;

use std::borrow::Cow;
use std::fmt;

use serde::{Serialize, Serializer};
use thiserror::Error;

/// How the script introduced the instruction. The two differ in more than a colon, see [`parse`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub enum Syntax {
    /// `cargo:KEY=VALUE`, the only syntax before Cargo 1.77. A key which Cargo does not know is
    /// metadata.
    #[serde(rename = "cargo:")]
    Single,
    /// `cargo::KEY=VALUE`. A key which Cargo does not know is an error.
    #[serde(rename = "cargo::")]
    Double,
}

/// The keys that Cargo knows after two colons. After one, `error` and `metadata` are keys of metadata.
pub const KEYS: [&str; 19] = [
    "error",
    "metadata",
    "rerun-if-changed",
    "rerun-if-env-changed",
    "rustc-cdylib-link-arg",
    "rustc-cfg",
    "rustc-check-cfg",
    "rustc-env",
    "rustc-flags",
    "rustc-link-arg",
    "rustc-link-arg-benches",
    "rustc-link-arg-bin",
    "rustc-link-arg-bins",
    "rustc-link-arg-cdylib",
    "rustc-link-arg-examples",
    "rustc-link-arg-tests",
    "rustc-link-lib",
    "rustc-link-search",
    "warning",
];

impl fmt::Display for Syntax {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Single => "cargo:",
            Self::Double => "cargo::",
        })
    }
}

/// What Cargo makes of one line of a build script's standard output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// Cargo acts on it.
    Instruction(Instruction),
    /// Cargo ignores it: it does not begin with `cargo:`, or it is not UTF-8 (but see [`parse`]).
    Plain,
    /// Cargo refuses the whole output because of it. It must not be relayed in the hope that Cargo
    /// will say so: a later Cargo may have learnt the key, and would act on what nobody judged.
    Invalid(InvalidInstruction),
}

/// One instruction. It always prints as exactly one line, and that line parses as this value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Instruction {
    // Private, because not every combination can be written down: see `Instruction::new`.
    syntax: Syntax,
    kind: Kind,
}

/// The key of an instruction and what follows its `=`.
///
/// Values are what Cargo keeps: without white space at the end, otherwise untouched. They may be
/// empty, begin with white space, and hold NUL, escape sequences or a lone carriage return. The
/// variants' meaning is given in the Cargo Book, chapter [Build Scripts](https://doc.rust-lang.org/cargo/reference/build-scripts.html#outputs-of-the-build-script).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `rustc-link-lib`: `-l` for the package's library, or for its binaries if it has none.
    LinkLib(String),
    /// `rustc-link-search`: `-L`, also for every dependent, and a source of `LD_LIBRARY_PATH`.
    LinkSearch(String),
    /// `rustc-flags`: any number of the two above in one line, also none.
    Flags(Vec<LinkFlag>),
    /// `rustc-link-arg`: an argument for the linker, for every target of the package.
    LinkArg(String),
    /// `rustc-link-arg-bin`: the same for one binary.
    LinkArgBin {
        /// Name of the binary. Holds no `=`. Cargo refuses a name that the package does not have.
        bin: String,
        /// The argument.
        arg: String,
    },
    /// `rustc-link-arg-bins`: the same for all binaries. Cargo refuses it if there are none.
    LinkArgBins(String),
    /// `rustc-link-arg-tests`: the same for integration tests. Cargo refuses it if there are none.
    LinkArgTests(String),
    /// `rustc-link-arg-examples`: the same for examples. Cargo refuses it if there are none.
    LinkArgExamples(String),
    /// `rustc-link-arg-benches`: the same for benchmarks. Cargo refuses it if there are none.
    LinkArgBenches(String),
    /// `rustc-link-arg-cdylib` or `rustc-cdylib-link-arg`: the same for the `cdylib` of the package
    /// **and those of its dependents**. Without one in the package Cargo only warns.
    LinkArgCdylib {
        /// Which of the two keys was used: Cargo's warning quotes it.
        spelling: CdylibSpelling,
        /// The argument.
        arg: String,
    },
    /// `rustc-cfg`: `--cfg` for the package. Cargo does not look into it.
    Cfg(String),
    /// `rustc-check-cfg`: `--check-cfg` for the package. Cargo does not look into it.
    CheckCfg(String),
    /// `rustc-env`: a variable in the environment of every rustc (and wrapper of it) that compiles
    /// the package.
    Env {
        /// Holds no `=`, may be empty. Cargo refuses `RUSTC_BOOTSTRAP` on a stable toolchain.
        name: String,
        /// The variable's value.
        value: String,
    },
    /// `warning`: a message that does not fail the build.
    Warning {
        /// The message, which may hold terminal escape sequences.
        text: String,
        /// Whether no white space stood before it. When the script fails, Cargo shows only those
        /// warnings.
        at_line_start: bool,
    },
    /// `error` (with `cargo::` only): a message that fails the build, if it stands at the start of
    /// its line.
    Error {
        /// The message, which may hold terminal escape sequences.
        text: String,
        /// Whether no white space stood before it. Cargo looks for `cargo::error=` twice, in the
        /// untrimmed line while the script runs and in the trimmed line afterwards, and
        /// only the first fails the build: an indented error is printed as an error and
        /// the build succeeds.
        at_line_start: bool,
    },
    /// `rerun-if-changed`: a file or directory whose change makes the script run again. Relative to
    /// the package.
    RerunIfChanged(String),
    /// `rerun-if-env-changed`: a variable whose change makes the script run again. Cargo stores its
    /// value, in clear.
    RerunIfEnvChanged(String),
    /// `cargo::metadata=KEY=VALUE`, or `cargo:KEY=VALUE` with a key that is not reserved:
    /// `DEP_LINKS_KEY=VALUE` in the environment of the build scripts of direct dependents.
    Metadata {
        /// As written: Cargo turns it to upper case and `-` to `_` later. Holds no `=`, may be
        /// empty or hold blanks.
        key: String,
        /// The value.
        value: String,
    },
}

/// One word, or pair of words, of a `rustc-flags` instruction.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum LinkFlag {
    /// `-l`, with what follows it. Never empty, never with white space inside.
    Lib(String),
    /// `-L`, with what follows it. Never empty, never with white space inside.
    Search(String),
}

impl fmt::Display for LinkFlag {
    // Joined, so that a flag stays one word whatever its value is.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lib(lib) => write!(f, "-l{lib}"),
            Self::Search(path) => write!(f, "-L{path}"),
        }
    }
}

/// The two keys that Cargo knows for the linker arguments of a `cdylib`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CdylibSpelling {
    /// `rustc-link-arg-cdylib`
    LinkArgCdylib,
    /// `rustc-cdylib-link-arg`, the older one
    CdylibLinkArg,
}

/// A line which begins like an instruction and is none, so that Cargo refuses the whole output.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("invalid instruction {line:?}")]
pub struct InvalidInstruction {
    /// The line without white space around it, as Cargo quotes it. It may hold terminal escape
    /// sequences.
    pub line: String,
    /// What is wrong with it.
    #[source]
    pub reason: Reason,
}

/// Why a line is an [`InvalidInstruction`]. All but the last two are Cargo's own reasons.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Reason {
    /// Nothing separates key and value.
    #[error("expected `{0}KEY=VALUE`, found no `=`")]
    NoEquals(Syntax),
    /// A `cargo::` key that Cargo does not know. Keys are not trimmed.
    #[error("unknown key {0:?}")]
    UnknownKey(String),
    /// `cargo::metadata=` without a second `=`.
    #[error("expected `cargo::metadata=KEY=VALUE`, found no second `=`")]
    MetadataWithoutValue,
    /// `rustc-env=` without a second `=`.
    #[error("expected `rustc-env=NAME=VALUE`, found no second `=`")]
    EnvWithoutValue,
    /// `rustc-link-arg-bin=` without a second `=`.
    #[error("expected `rustc-link-arg-bin=BIN=ARG`, found no second `=`")]
    LinkArgBinWithoutArg,
    /// A word of `rustc-flags` that is neither `-l` nor `-L`.
    #[error("only `-l` and `-L` are allowed in `rustc-flags`, not {0:?}")]
    ForbiddenFlag(String),
    /// `rustc-flags` ends in a bare `-l` or `-L`.
    #[error("the last flag of `rustc-flags` has no value")]
    FlagWithoutValue,
    /// What was given as one line holds `\n`. Cargo would see two lines.
    #[error("it is more than one line")]
    SeveralLines,
    /// Cargo would read something else from it than the instruction it was to be (from
    /// [`Instruction::new`] only).
    #[error("it would not be read back as the same instruction")]
    Ambiguous,
}

/// Reads one line of a build script's standard output, given without its `\n`, as Cargo does.
///
/// * A line that is not UTF-8 is [`Line::Plain`] whatever it holds. The exception is
///   `cargo::error=` at its very start, which fails the build all the same, because Cargo looks for
///   it in a lossy copy of the output as well: it becomes a [`Kind::Error`] with replacement
///   characters.
/// * White space (Unicode `White_Space`) around the line is dropped, so an indented instruction
///   counts, and CRLF does no harm. A byte order mark or a NUL is not white space.
/// * `cargo::` is looked for before `cargo:`. The key ends at the first `=` and is not trimmed.
/// * After `cargo:`, a key other than the 17 reserved ones is the key of metadata, `error`,
///   `metadata` and `rustc-cfg ` (with a blank) included.
///
/// What is lost concerns only messages at the start of a line, and only when the build fails: Cargo
/// then shows white space at the end of a message, which is dropped here; and warnings that are not
/// UTF-8, which are [`Line::Plain`] here because Cargo ignores them when the build succeeds.
#[must_use]
pub fn parse(line: &[u8]) -> Line {
    if line.contains(&b'\n') {
        return invalid(String::from_utf8_lossy(line).trim(), Reason::SeveralLines);
    }
    let Ok(text) = str::from_utf8(line) else {
        return parse_non_utf8(line);
    };
    let trimmed = text.trim();
    let (syntax, data) = if let Some(data) = trimmed.strip_prefix("cargo::") {
        (Syntax::Double, data)
    } else if let Some(data) = trimmed.strip_prefix("cargo:") {
        (Syntax::Single, data)
    } else {
        return Line::Plain;
    };
    match Kind::parse(syntax, data, text.starts_with("cargo:")) {
        Ok(kind) => Line::Instruction(Instruction { syntax, kind }),
        Err(reason) => invalid(trimmed, reason),
    }
}

fn invalid(line: &str, reason: Reason) -> Line {
    Line::Invalid(InvalidInstruction { line: line.to_owned(), reason })
}

/// `BuildOutput::parse` skips such a line, but the detection of errors while the script runs
/// (`ProcessBuilder::exec_with_streaming` in `crates/cargo-util/src/process_builder.rs`) decodes
/// with `from_utf8_lossy`.
fn parse_non_utf8(line: &[u8]) -> Line {
    match line.strip_prefix(b"cargo::error=") {
        Some(text) => Line::Instruction(Instruction {
            syntax: Syntax::Double,
            kind: Kind::Error {
                text: String::from_utf8_lossy(text).trim_end().to_owned(),
                at_line_start: true,
            },
        }),
        None => Line::Plain,
    }
}

impl Instruction {
    /// An instruction that no script printed.
    ///
    /// # Errors
    ///
    /// If no line can say it: a value with `\n` or with white space at its end, a name or key with
    /// `=`, [`Kind::Error`] or a reserved metadata key with [`Syntax::Single`], an empty
    /// [`LinkFlag`] or one with white space.
    pub fn new(syntax: Syntax, kind: Kind) -> Result<Self, InvalidInstruction> {
        let instruction = Self { syntax, kind };
        let line = instruction.to_string();
        match parse(line.as_bytes()) {
            Line::Instruction(read_back) if read_back == instruction => Ok(instruction),
            Line::Invalid(invalid) => Err(invalid),
            Line::Instruction(_) | Line::Plain => {
                Err(InvalidInstruction { line, reason: Reason::Ambiguous })
            }
        }
    }

    /// With one colon or two.
    #[must_use]
    pub fn syntax(&self) -> Syntax {
        self.syntax
    }

    /// What it instructs Cargo to do.
    #[must_use]
    pub fn kind(&self) -> &Kind {
        &self.kind
    }

    /// The key's name: what stands between the colons and the `=`, except that it is `metadata` for
    /// all metadata, and so also for `cargo:KEY=VALUE`.
    #[must_use]
    pub fn key(&self) -> &'static str {
        match &self.kind {
            Kind::LinkLib(_) => "rustc-link-lib",
            Kind::LinkSearch(_) => "rustc-link-search",
            Kind::Flags(_) => "rustc-flags",
            Kind::LinkArg(_) => "rustc-link-arg",
            Kind::LinkArgBin { .. } => "rustc-link-arg-bin",
            Kind::LinkArgBins(_) => "rustc-link-arg-bins",
            Kind::LinkArgTests(_) => "rustc-link-arg-tests",
            Kind::LinkArgExamples(_) => "rustc-link-arg-examples",
            Kind::LinkArgBenches(_) => "rustc-link-arg-benches",
            Kind::LinkArgCdylib { spelling, .. } => match spelling {
                CdylibSpelling::LinkArgCdylib => "rustc-link-arg-cdylib",
                CdylibSpelling::CdylibLinkArg => "rustc-cdylib-link-arg",
            },
            Kind::Cfg(_) => "rustc-cfg",
            Kind::CheckCfg(_) => "rustc-check-cfg",
            Kind::Env { .. } => "rustc-env",
            Kind::Warning { .. } => "warning",
            Kind::Error { .. } => "error",
            Kind::RerunIfChanged(_) => "rerun-if-changed",
            Kind::RerunIfEnvChanged(_) => "rerun-if-env-changed",
            Kind::Metadata { .. } => "metadata",
        }
    }

    /// The text after `KEY=`, as it is printed. `KEY=VALUE` for metadata in either syntax.
    #[must_use]
    pub fn value(&self) -> Cow<'_, str> {
        match &self.kind {
            Kind::LinkLib(value)
            | Kind::LinkSearch(value)
            | Kind::LinkArg(value)
            | Kind::LinkArgBins(value)
            | Kind::LinkArgTests(value)
            | Kind::LinkArgExamples(value)
            | Kind::LinkArgBenches(value)
            | Kind::LinkArgCdylib { arg: value, .. }
            | Kind::Cfg(value)
            | Kind::CheckCfg(value)
            | Kind::Warning { text: value, .. }
            | Kind::Error { text: value, .. }
            | Kind::RerunIfChanged(value)
            | Kind::RerunIfEnvChanged(value) => Cow::Borrowed(value),
            Kind::LinkArgBin { bin: name, arg: value }
            | Kind::Env { name, value }
            | Kind::Metadata { key: name, value } => Cow::Owned(format!("{name}={value}")),
            Kind::Flags(flags) => {
                let words: Vec<String> = flags.iter().map(LinkFlag::to_string).collect();
                Cow::Owned(words.join(" "))
            }
        }
    }
}

/// The canonical line, without `\n`.
impl fmt::Display for Instruction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (syntax, value) = (self.syntax, self.value());
        match (&self.kind, syntax) {
            (Kind::Metadata { .. }, Syntax::Single) => return write!(f, "{syntax}{value}"),
            (Kind::Warning { at_line_start, .. } | Kind::Error { at_line_start, .. }, _)
                if !at_line_start =>
            {
                f.write_str(" ")?;
            }
            _ => {}
        }
        write!(f, "{syntax}{key}={value}", key = self.key())
    }
}

/// `{"key": "rustc-cfg", "value": "…", "syntax": "cargo::"}`
impl Serialize for Instruction {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        #[serde(rename = "Instruction")]
        struct Written<'a> {
            key: &'static str,
            value: &'a str,
            syntax: Syntax,
        }
        Written { key: self.key(), value: &self.value(), syntax: self.syntax }.serialize(serializer)
    }
}

impl Kind {
    /// `data` is what follows the colons in the trimmed line. Cargo trims the end of a value again,
    /// to no effect.
    fn parse(syntax: Syntax, data: &str, at_line_start: bool) -> Result<Self, Reason> {
        let (key, value) = data.split_once('=').ok_or(Reason::NoEquals(syntax))?;
        if let Some(kind) = Self::parse_reserved(key, value, at_line_start)? {
            return Ok(kind);
        }
        match (syntax, key) {
            (Syntax::Single, _) => {
                Ok(Self::Metadata { key: key.to_owned(), value: value.to_owned() })
            }
            (Syntax::Double, "metadata") => {
                let (key, value) = split_pair(value).ok_or(Reason::MetadataWithoutValue)?;
                Ok(Self::Metadata { key, value })
            }
            (Syntax::Double, "error") => Ok(Self::Error { text: value.to_owned(), at_line_start }),
            (Syntax::Double, _) => Err(Reason::UnknownKey(key.to_owned())),
        }
    }

    /// The 17 keys which both syntaxes know (`RESERVED_PREFIXES`), `None` for any other.
    fn parse_reserved(key: &str, value: &str, at_line_start: bool) -> Result<Option<Self>, Reason> {
        let text = || value.to_owned();
        let kind = match key {
            "rustc-flags" => Self::Flags(parse_flags(value)?),
            "rustc-link-lib" => Self::LinkLib(text()),
            "rustc-link-search" => Self::LinkSearch(text()),
            "rustc-link-arg" => Self::LinkArg(text()),
            "rustc-link-arg-bin" => {
                let (bin, arg) = split_pair(value).ok_or(Reason::LinkArgBinWithoutArg)?;
                Self::LinkArgBin { bin, arg }
            }
            "rustc-link-arg-bins" => Self::LinkArgBins(text()),
            "rustc-link-arg-tests" => Self::LinkArgTests(text()),
            "rustc-link-arg-examples" => Self::LinkArgExamples(text()),
            "rustc-link-arg-benches" => Self::LinkArgBenches(text()),
            "rustc-link-arg-cdylib" => {
                Self::LinkArgCdylib { spelling: CdylibSpelling::LinkArgCdylib, arg: text() }
            }
            "rustc-cdylib-link-arg" => {
                Self::LinkArgCdylib { spelling: CdylibSpelling::CdylibLinkArg, arg: text() }
            }
            "rustc-cfg" => Self::Cfg(text()),
            "rustc-check-cfg" => Self::CheckCfg(text()),
            "rustc-env" => {
                let (name, value) = split_pair(value).ok_or(Reason::EnvWithoutValue)?;
                Self::Env { name, value }
            }
            "warning" => Self::Warning { text: text(), at_line_start },
            "rerun-if-changed" => Self::RerunIfChanged(text()),
            "rerun-if-env-changed" => Self::RerunIfEnvChanged(text()),
            _ => return Ok(None),
        };
        Ok(Some(kind))
    }
}

fn split_pair(value: &str) -> Option<(String, String)> {
    let (name, value) = value.split_once('=')?;
    Some((name.to_owned(), value.to_owned()))
}

/// `BuildOutput::parse_rustc_flags`: a bare `-l` or `-L` takes the next word, whatever it looks
/// like.
fn parse_flags(value: &str) -> Result<Vec<LinkFlag>, Reason> {
    let mut words = value.split_whitespace();
    let mut flags = Vec::new();
    while let Some(word) = words.next() {
        let (flag, joined): (fn(String) -> LinkFlag, &str) =
            if let Some(lib) = word.strip_prefix("-l") {
                (LinkFlag::Lib, lib)
            } else if let Some(path) = word.strip_prefix("-L") {
                (LinkFlag::Search, path)
            } else {
                return Err(Reason::ForbiddenFlag(word.to_owned()));
            };
        let value =
            if joined.is_empty() { words.next().ok_or(Reason::FlagWithoutValue)? } else { joined };
        flags.push(flag(value.to_owned()));
    }
    Ok(flags)
}

#[cfg(test)]
mod tests;
