//! The words of a rustc call, taken apart as rustc does it.
//!
//! A workspace's flags stand among Cargo's own words, so what an option's value is must not be taken for
//! an option: rustc reads `-L --out-dir=x` as a directory of libraries. rustc uses the rules of getopts,
//! with the options of `rustc_session/src/config.rs` (`rustc_optgroups`).

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

/// An argument file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the argument file `{}`", .path.display())]
pub struct Error {
    /// The file.
    path: PathBuf,
    /// Cause.
    source: io::Error,
}

/// Replaces every `@path` by the lines of that file, once, as rustc does
/// (`rustc_driver_impl/src/args.rs`): an argument file inside an argument file is not expanded.
///
/// # Errors
/// If one cannot be read; rustc would fail as well.
pub fn expand(arguments: &[OsString]) -> Result<Vec<OsString>, Error> {
    let mut expanded = Vec::with_capacity(arguments.len());
    for argument in arguments {
        let bytes = argument.as_bytes();
        let Some(path) = bytes.strip_prefix(b"@") else {
            expanded.push(argument.clone());
            continue;
        };
        // `@shell:path` is rustc's unstable variant; its quoting is not needed to see what Cargo
        // wrote, but its words must not be overlooked.
        let (path, shell) = match path.strip_prefix(b"shell:") {
            Some(path) => (path, true),
            None => (path, false),
        };
        let path = PathBuf::from(OsStr::from_bytes(path));
        let content = fs::read(&path).map_err(|source| Error { path, source })?;
        let is_separator = |byte: &u8| *byte == b'\n' || (shell && byte.is_ascii_whitespace());
        let mut words: Vec<&[u8]> = content.split(is_separator).collect();
        if words.last().is_some_and(|word| word.is_empty()) {
            words.pop();
        }
        expanded.extend(
            words
                .into_iter()
                .map(|word| OsString::from_vec(word.strip_suffix(b"\r").unwrap_or(word).to_vec())),
        );
    }
    Ok(expanded)
}

/// Options of one letter that have no value. Behind them more can stand in the same word.
const SHORT_FLAGS: &[u8] = b"hgOvV";

/// Options without a value. Of any other, also one that we do not know, the next word is the value if it
/// has none behind `=`.
const LONG_FLAGS: &[&[u8]] = &[b"help", b"test", b"verbose", b"version"];

/// Those that rustdoc has besides (`librustdoc/lib.rs`, `opts`).
const LONG_FLAGS_OF_RUSTDOC: &[&[u8]] = &[
    b"check",
    b"disable-minification",
    b"disable-per-crate-search",
    b"display-doctest-warnings",
    b"document-hidden-items",
    b"document-private-items",
    b"enable-index-page",
    b"enable-per-target-ignores",
    b"extern-html-root-takes-precedence",
    b"generate-link-to-definition",
    b"generate-macro-expansion",
    b"generate-redirect-map",
    b"html-no-source",
    b"markdown-no-toc",
    b"no-capture",
    b"no-defaults",
    b"no-run",
    b"nocapture",
    b"scrape-tests",
    b"show-coverage",
    b"show-type-layout",
    b"sort-modules-by-appearance",
];

/// The words of a rustc call.
#[derive(Debug, Default)]
pub struct Arguments {
    /// Options with their values, empty for one that has none; the names without dashes.
    options: Vec<(Vec<u8>, Vec<u8>)>,
    /// What is no option and no option's value.
    free: Vec<OsString>,
    /// Whether the first word that begins with a dash is a dash alone.
    is_question: bool,
}

impl Arguments {
    /// Takes the command line of one rustc call apart, without the program's name.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn parse(arguments: &[OsString]) -> Result<Self, Error> {
        Self::parse_with(arguments, &[])
    }

    /// As [`Self::parse`], of a call of rustdoc.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn parse_of_rustdoc(arguments: &[OsString]) -> Result<Self, Error> {
        Self::parse_with(arguments, LONG_FLAGS_OF_RUSTDOC)
    }

    fn parse_with(arguments: &[OsString], further_flags: &[&[u8]]) -> Result<Self, Error> {
        let is_flag = |long: &[u8]| LONG_FLAGS.contains(&long) || further_flags.contains(&long);
        let words = expand(arguments)?;
        let first = words.iter().find(|word| word.as_bytes().starts_with(b"-"));
        let mut parsed =
            Self { is_question: first.is_some_and(|first| first == "-"), ..Self::default() };
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            let bytes = word.as_bytes();
            let mut next = || words.next().map(OsString::into_vec).unwrap_or_default();
            if bytes == b"--" {
                parsed.free.extend(words);
                break;
            }
            if let Some(long) = bytes.strip_prefix(b"--") {
                let equals = long.iter().position(|byte| *byte == b'=');
                let (name, value) = match equals {
                    Some(at) => (&long[..at], long[at + 1..].to_vec()),
                    None if is_flag(long) => (long, Vec::new()),
                    None => (long, next()),
                };
                parsed.options.push((name.to_vec(), value));
            } else if let Some(letters) = bytes.strip_prefix(b"-").filter(|rest| !rest.is_empty()) {
                let flags =
                    letters.iter().take_while(|letter| SHORT_FLAGS.contains(letter)).count();
                let flag = |letter: &u8| (vec![*letter], Vec::new());
                parsed.options.extend(letters[..flags].iter().map(flag));
                if let Some((letter, value)) = letters[flags..].split_first() {
                    let value = if value.is_empty() { next() } else { value.to_vec() };
                    parsed.options.push((vec![*letter], value));
                }
            } else {
                parsed.free.push(word);
            }
        }
        Ok(parsed)
    }

    /// The values of an option, named without dashes.
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        let of_name = move |(option, _): &&(Vec<u8>, Vec<u8>)| option == name.as_bytes();
        self.options.iter().filter(of_name).map(|(_, value)| value.as_slice())
    }

    /// What the values of an option name, if they are lists.
    pub fn listed<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.values(name).flat_map(|values| values.split(|byte| *byte == b','))
    }

    /// The last value of an option.
    #[must_use]
    pub fn last<'a>(&'a self, name: &'a str) -> Option<&'a [u8]> {
        self.values(name).last()
    }

    /// Whether one of these options is there.
    #[must_use]
    pub fn has(&self, names: &[&str]) -> bool {
        self.options.iter().any(|(option, _)| names.iter().any(|name| option == name.as_bytes()))
    }

    /// The values of `-C NAME=VALUE`, which rustc takes with `_` in the name as well.
    pub fn codegen<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.values("C").chain(self.values("codegen")).filter_map(move |value| {
            let at = value.iter().position(|byte| *byte == b'=')?;
            let dashed = value[..at].iter().map(|b| if *b == b'_' { b'-' } else { *b });
            dashed.eq(name.bytes()).then_some(&value[at + 1..])
        })
    }

    /// What is compiled: the last of what is no option, because before it a wrapper is given the
    /// compiler.
    #[must_use]
    pub fn input(&self) -> Option<&OsStr> {
        self.free.last().map(OsString::as_os_str)
    }

    /// Whether Cargo only asks what rustc would do: that it says by `-` before all else. Further behind, it
    /// can be an option's value, which flags choose.
    #[must_use]
    pub const fn is_question(&self) -> bool {
        self.is_question
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(words: &[&str]) -> Arguments {
        Arguments::parse(&words.iter().map(OsString::from).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn the_value_of_an_option_is_none() {
        for flags in [
            ["-L", "--out-dir=/x"].as_slice(),
            &["--cfg", "--out-dir=/x"],
            &["-gOL", "--out-dir=/x"],
            &["--not-known-yet", "--out-dir=/x"],
            &["-Z--out-dir=/x"],
            &["--", "--out-dir=/x"],
        ] {
            let words = [&["a.rs", "--test", "--out-dir", "/t"], flags].concat();
            let found = of(&words);
            assert_eq!(found.values("out-dir").collect::<Vec<_>>(), [b"/t"], "{flags:?}");
        }
        assert_eq!(of(&["-vo/x"]).last("o"), Some(b"/x".as_slice()));
        assert_eq!(of(&["-gO", "-o", "-v"]).last("o"), Some(b"-v".as_slice()));
        assert!(of(&["--version", "--verbose"]).has(&["version"]));
    }

    #[test]
    fn codegen_options_have_two_spellings() {
        let found = of(&["-Cextra_filename=-1", "--codegen", "extra-filename=-2", "-C", "lto"]);
        let values: Vec<_> = found.codegen("extra-filename").collect();
        assert_eq!(values, [b"-1".as_slice(), b"-2"]);
        assert_eq!(found.codegen("lto").count(), 0);
    }

    #[test]
    fn the_input_is_what_no_option_takes() {
        let found = of(&["/bin/rustc", "--crate-name", "a", "src/a.rs", "-L", "b.rs"]);
        assert_eq!(found.input(), Some(OsStr::new("src/a.rs")));
        assert!(of(&["/bin/rustc", "-", "--print=cfg"]).is_question());
        assert!(!of(&["--crate-name", "a", "-"]).is_question());
    }

    #[test]
    fn argument_files_are_expanded() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("arguments");
        fs::write(&file, "-L\n--out-dir=/x\r\n--out-dir=/t d").unwrap();
        let argument = format!("@{}", file.display());
        assert_eq!(of(&[&argument]).values("out-dir").collect::<Vec<_>>(), [b"/t d"]);
        Arguments::parse(&[OsString::from("@/no/such/file")]).unwrap_err();
    }
}
