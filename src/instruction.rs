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
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn instruction(line: &str) -> Instruction {
        match parse(line.as_bytes()) {
            Line::Instruction(instruction) => instruction,
            other => panic!("{line:?} parsed as {other:?}"),
        }
    }

    fn reason(line: &str) -> Reason {
        match parse(line.as_bytes()) {
            Line::Invalid(InvalidInstruction { line: quoted, reason }) => {
                assert_eq!(quoted, line.trim());
                reason
            }
            other => panic!("{line:?} parsed as {other:?}"),
        }
    }

    fn metadata(key: &str, value: &str) -> Kind {
        Kind::Metadata { key: key.to_owned(), value: value.to_owned() }
    }

    #[test]
    fn white_space_hides_no_instruction() {
        for line in [
            "cargo::rustc-cfg=x",
            "  \t cargo::rustc-cfg=x",
            "\u{a0}\u{3000}\u{2028}\u{85}cargo::rustc-cfg=x\r",
            "\u{b}\u{c}cargo::rustc-cfg=x \u{2029}",
        ] {
            assert_eq!(instruction(line).kind(), &Kind::Cfg("x".to_owned()), "{line:?}");
            assert_eq!(instruction(line).to_string(), "cargo::rustc-cfg=x");
        }
        for line in [
            "\u{feff}cargo::rustc-cfg=x",
            "\0cargo::rustc-cfg=x",
            "CARGO::rustc-cfg=x",
            "cargo",
            "",
        ] {
            assert_eq!(parse(line.as_bytes()), Line::Plain, "{line:?}");
        }
    }

    #[test]
    fn value_is_kept_but_for_its_end() {
        let line = "cargo::rustc-cfg= a\rcargo::warning=b\0\u{2028}\u{1b}[0m=";
        assert_eq!(instruction(line).value(), &line["cargo::rustc-cfg=".len()..]);
        assert_eq!(instruction(line).to_string(), line);
        assert_eq!(
            instruction("cargo:rustc-link-search= \t").kind(),
            &Kind::LinkSearch(String::new())
        );
    }

    #[test]
    fn single_colon_makes_metadata_of_all_but_reserved_keys() {
        for key in [
            "bogus",
            "",
            " rustc-cfg",
            "rustc-cfg ",
            "error",
            "metadata",
            "rustc-link-arg-lib",
            "a b.c-d",
        ] {
            let line = format!("cargo:{key}=v=w");
            assert_eq!(instruction(&line).kind(), &metadata(key, "v=w"));
            assert_eq!(instruction(&line).to_string(), line);
            assert_eq!(instruction(&line).key(), "metadata");
        }
        assert_eq!(instruction("cargo:rustc-cfg=v").kind(), &Kind::Cfg("v".to_owned()));
    }

    #[test]
    fn refused_lines_say_why() {
        assert_eq!(reason("cargo:"), Reason::NoEquals(Syntax::Single));
        assert_eq!(reason("cargo:rustc-cfg"), Reason::NoEquals(Syntax::Single));
        assert_eq!(reason(" cargo::rustc-cfg"), Reason::NoEquals(Syntax::Double));
        assert_eq!(reason("cargo:: rustc-cfg=x"), Reason::UnknownKey(" rustc-cfg".to_owned()));
        assert_eq!(reason("cargo:::rustc-cfg=x"), Reason::UnknownKey(":rustc-cfg".to_owned()));
        assert_eq!(reason("cargo::=x"), Reason::UnknownKey(String::new()));
        assert_eq!(reason("cargo::metadata=k"), Reason::MetadataWithoutValue);
        assert_eq!(reason("cargo:rustc-env=FOO"), Reason::EnvWithoutValue);
        assert_eq!(reason("cargo:rustc-link-arg-bin=x"), Reason::LinkArgBinWithoutArg);
        assert_eq!(reason("cargo::rustc-flags=-lx -C y"), Reason::ForbiddenFlag("-C".to_owned()));
        assert_eq!(reason("cargo::rustc-flags=-lx -L "), Reason::FlagWithoutValue);
    }

    #[test]
    fn line_with_newline_is_refused() {
        for line in ["cargo::rustc-cfg=a\nb", "plain\ncargo::rustc-cfg=a", "\n"] {
            assert_eq!(reason(line), Reason::SeveralLines);
        }
    }

    #[test]
    fn message_remembers_whether_it_was_indented() {
        for (line, at_line_start) in [("cargo::error=E", true), (" cargo::error=E", false)] {
            let text = "E".to_owned();
            assert_eq!(instruction(line).kind(), &Kind::Error { text, at_line_start });
            assert_eq!(instruction(line).to_string(), line);
        }
        for (line, at_line_start) in [("cargo:warning=W", true), ("\tcargo:warning=W", false)] {
            let text = "W".to_owned();
            assert_eq!(instruction(line).kind(), &Kind::Warning { text, at_line_start });
            assert_eq!(instruction(line).to_string(), line.replace('\t', " "));
        }
    }

    #[test]
    fn line_that_is_not_utf8_is_plain_unless_it_is_an_error() {
        for line in [
            &b"cargo::rustc-cfg=\xff"[..],
            b"cargo::bogus=\xff",
            b" cargo::error=\xff",
            b"\xffcargo::error=x",
        ] {
            assert_eq!(parse(line), Line::Plain, "{line:?}");
        }
        let Line::Instruction(error) = parse(b"cargo::error=a\xff \r") else {
            panic!("an error that fails the build was dropped");
        };
        assert_eq!(error.to_string(), "cargo::error=a\u{fffd}");
    }

    #[test]
    fn flag_takes_the_next_word_whatever_it_is() {
        let flags = instruction("cargo:rustc-flags= -l foo\u{3000}-lbar -L /x\r-L/y -l -L -L@f");
        let lib = |name: &str| LinkFlag::Lib(name.to_owned());
        let search = |path: &str| LinkFlag::Search(path.to_owned());
        let expected =
            vec![lib("foo"), lib("bar"), search("/x"), search("/y"), lib("-L"), search("@f")];
        assert_eq!(flags.kind(), &Kind::Flags(expected));
        assert_eq!(flags.to_string(), "cargo:rustc-flags=-lfoo -lbar -L/x -L/y -l-L -L@f");
        assert_eq!(instruction("cargo::rustc-flags=").kind(), &Kind::Flags(Vec::new()));
    }

    #[test]
    fn what_no_line_can_say_is_no_instruction() {
        let refused = |syntax, kind| Instruction::new(syntax, kind).unwrap_err().reason;
        let double = |kind| refused(Syntax::Double, kind);
        let single = |kind| refused(Syntax::Single, kind);
        let text = || "E".to_owned();
        let at_line_start = true;

        assert_eq!(double(Kind::Cfg("a\ncargo::rustc-cfg=b".to_owned())), Reason::SeveralLines);
        assert_eq!(double(Kind::LinkSearch("x\n".to_owned())), Reason::SeveralLines);
        assert_eq!(double(Kind::Cfg("a\r".to_owned())), Reason::Ambiguous);
        assert_eq!(double(metadata("k=", "v")), Reason::Ambiguous);
        assert_eq!(double(Kind::Flags(vec![LinkFlag::Lib("a -lb".to_owned())])), Reason::Ambiguous);
        assert_eq!(
            double(Kind::Flags(vec![LinkFlag::Lib(String::new())])),
            Reason::FlagWithoutValue
        );
        assert_eq!(single(Kind::Error { text: text(), at_line_start }), Reason::Ambiguous);
        assert_eq!(single(metadata("rustc-env", "A=b")), Reason::Ambiguous);
        assert_eq!(single(metadata(":error", "b")), Reason::Ambiguous);
        assert_eq!(single(metadata(":bogus", "b")), Reason::UnknownKey("bogus".to_owned()));
    }

    #[test]
    fn record_shows_key_value_and_syntax() {
        let json = |line| serde_json::to_string(&instruction(line)).unwrap();
        assert_eq!(
            json(" cargo::rustc-env=A=b"),
            r#"{"key":"rustc-env","value":"A=b","syntax":"cargo::"}"#
        );
        assert_eq!(
            json("cargo:root=/x"),
            r#"{"key":"metadata","value":"root=/x","syntax":"cargo:"}"#
        );
    }

    #[test]
    fn terminal_escapes_do_not_reach_an_error_message() {
        let Line::Invalid(invalid) = parse(b"cargo::a\x1b]52;c;eA==\x07") else {
            panic!("not refused");
        };
        assert_eq!(invalid.reason.to_string(), r#"unknown key "a\u{1b}]52;c;eA""#);
        assert!(!invalid.to_string().contains('\x1b'));
    }

    /// Characters with a meaning to the grammar, or to a careless version of it.
    const TELLING: &str = "abzlL-=: \t\r\0\u{b}\u{85}\u{a0}\u{2028}\u{3000}\u{feff}\u{1b}@";

    fn text() -> impl Strategy<Value = String> {
        let character = prop_oneof![
            3 => proptest::sample::select(TELLING.chars().collect::<Vec<_>>()),
            1 => any::<char>().prop_filter("one line", |c| *c != '\n'),
        ];
        proptest::collection::vec(character, 0..8).prop_map(String::from_iter)
    }

    fn value() -> impl Strategy<Value = String> {
        text().prop_map(|text| text.trim_end().to_owned())
    }

    fn name() -> impl Strategy<Value = String> {
        text().prop_map(|text| text.replace('=', ""))
    }

    fn flags() -> impl Strategy<Value = Kind> {
        let word = || text().prop_map(|text| format!("w{text}").replace(char::is_whitespace, ""));
        let flag = prop_oneof![word().prop_map(LinkFlag::Lib), word().prop_map(LinkFlag::Search)];
        proptest::collection::vec(flag, 0..4).prop_map(Kind::Flags)
    }

    /// Built without `Instruction::new`, which would make `parse(line(x)) == x` true by definition.
    fn any_instruction() -> impl Strategy<Value = Instruction> {
        let syntax = prop_oneof![Just(Syntax::Single), Just(Syntax::Double)];
        let either = prop_oneof![
            value().prop_map(Kind::LinkLib),
            value().prop_map(Kind::LinkSearch),
            flags(),
            value().prop_map(Kind::LinkArg),
            (name(), value()).prop_map(|(bin, arg)| Kind::LinkArgBin { bin, arg }),
            value().prop_map(Kind::LinkArgBins),
            value().prop_map(Kind::LinkArgTests),
            value().prop_map(Kind::LinkArgExamples),
            value().prop_map(Kind::LinkArgBenches),
            (any::<bool>(), value()).prop_map(|(old, arg)| Kind::LinkArgCdylib {
                spelling: if old {
                    CdylibSpelling::CdylibLinkArg
                } else {
                    CdylibSpelling::LinkArgCdylib
                },
                arg,
            }),
            value().prop_map(Kind::Cfg),
            value().prop_map(Kind::CheckCfg),
            (name(), value()).prop_map(|(name, value)| Kind::Env { name, value }),
            (value(), any::<bool>())
                .prop_map(|(text, at_line_start)| Kind::Warning { text, at_line_start }),
            value().prop_map(Kind::RerunIfChanged),
            value().prop_map(Kind::RerunIfEnvChanged),
        ];
        let double = prop_oneof![
            (value(), any::<bool>())
                .prop_map(|(text, at_line_start)| Kind::Error { text, at_line_start }),
            (name(), value()).prop_map(|(key, value)| Kind::Metadata { key, value }),
        ];
        let single = (name(), value()).prop_map(|(key, value)| Kind::Metadata {
            key: key.trim_start_matches(':').to_owned(),
            value,
        });
        prop_oneof![
            16 => (syntax, either).prop_map(|(syntax, kind)| Instruction { syntax, kind }),
            2 => double.prop_map(|kind| Instruction { syntax: Syntax::Double, kind }),
            2 => single.prop_map(|kind| Instruction { syntax: Syntax::Single, kind }),
        ]
    }

    /// Lines that look like instructions, most of them a little wrong.
    fn near_instruction() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            3 => text().prop_map(String::into_bytes),
            3 => proptest::sample::select(vec![
                "cargo:", "cargo::", "=", "error", "warning", "metadata", "rustc-cfg", "rustc-env", "rustc-flags",
                "rustc-link-arg-bin", "rustc-link-lib", "-l", "-L", " ", "\r",
            ])
            .prop_map(|piece| piece.as_bytes().to_vec()),
            1 => proptest::collection::vec(any::<u8>(), 0..3),
        ];
        let start = proptest::sample::select(vec![
            "",
            "cargo:",
            "cargo::",
            " cargo::",
            "cargo::error=",
            "cargo::rustc-flags=",
        ]);
        (start, proptest::collection::vec(piece, 0..6))
            .prop_map(|(start, pieces)| [start.as_bytes().to_vec(), pieces.concat()].concat())
    }

    fn assert_relays_unchanged(line: &[u8]) -> Result<(), TestCaseError> {
        match parse(line) {
            Line::Instruction(instruction) => {
                let canonical = instruction.to_string();
                prop_assert!(!canonical.contains('\n'));
                prop_assert_eq!(
                    parse(canonical.as_bytes()),
                    Line::Instruction(instruction.clone())
                );
                prop_assert_eq!(
                    Instruction::new(instruction.syntax, instruction.kind.clone()),
                    Ok(instruction)
                );
            }
            Line::Invalid(invalid) if invalid.reason != Reason::SeveralLines => {
                prop_assert_eq!(parse(invalid.line.as_bytes()), Line::Invalid(invalid));
            }
            Line::Invalid(_) => prop_assert!(line.contains(&b'\n')),
            Line::Plain => {
                let looks_like_one =
                    str::from_utf8(line).is_ok_and(|text| text.trim().starts_with("cargo:"));
                prop_assert!(!looks_like_one);
            }
        }
        Ok(())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn line_parses_as_the_instruction_it_was_written_from(instruction in any_instruction()) {
            let line = instruction.to_string();
            prop_assert_eq!(parse(line.as_bytes()), Line::Instruction(instruction.clone()));
            prop_assert_eq!(Instruction::new(instruction.syntax, instruction.kind.clone()), Ok(instruction));
        }

        #[test]
        fn white_space_around_a_line_changes_nothing_but_the_start_of_a_message(
            instruction in any_instruction(),
            before in "[ \t\r\u{b}\u{85}\u{a0}\u{2028}\u{3000}]{1,3}",
            after in "[ \t\r\u{b}\u{85}\u{a0}\u{2028}\u{3000}]{0,3}",
        ) {
            let line = format!("{before}{instruction}{after}");
            let mut expected = instruction;
            if let Kind::Warning { at_line_start, .. } | Kind::Error { at_line_start, .. } = &mut expected.kind {
                *at_line_start = false;
            }
            prop_assert_eq!(parse(line.as_bytes()), Line::Instruction(expected));
        }

        #[test]
        fn near_instruction_relays_unchanged(line in near_instruction()) {
            assert_relays_unchanged(&line)?;
        }

        #[test]
        fn arbitrary_bytes_relay_unchanged(line in proptest::collection::vec(any::<u8>(), 0..64)) {
            assert_relays_unchanged(&line)?;
        }
    }
}
