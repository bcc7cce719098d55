//! What one call of rustc is asked to build, read from its command line.
//!
//! Only the command line counts: variables such as `CARGO_BIN_NAME` can be set by a workspace's
//! `[env]` table.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::arguments::{self, Arguments};
use crate::policy::outputs::{Behind, Shared};

/// A call of rustc, as far as the shim cares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Invocation {
    /// `rustc -vV`: what is printed here becomes part of every unit's hash.
    VerboseVersion,
    /// The compilation of a build script.
    BuildScript(Compilation),
    /// Anything else.
    Other,
}

/// The compilation of a build script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compilation {
    /// The program that rustc is going to write.
    pub output: PathBuf,
    /// The script's source file as given; Cargo names it relative to the workspace root for a
    /// package that lies in the workspace, absolutely for every other
    /// (`src/cargo/util/workspace.rs`, `path_args`).
    pub source: Option<PathBuf>,
}

/// A command line of which it cannot be said where Cargo wants what rustc writes.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An argument file.
    #[error(transparent)]
    Arguments(#[from] arguments::Error),
    /// Flags that move a build script's program.
    #[error(
        "`{option}` among rustc's flags has a crate written elsewhere than where Cargo looks for it"
    )]
    Elsewhere {
        /// The option.
        option: &'static str,
    },
}

/// Whether a crate of this name is a build script. Cargo gives build scripts `build_script_` and
/// the file's stem, and metabuild packages `metabuild_` and the package's name
/// (`src/cargo/util/toml/targets.rs`).
fn is_script_name(name: &[u8]) -> bool {
    name.starts_with(b"build_script_") || name.starts_with(b"metabuild_")
}

/// Whether a file of this name is a build script's program.
#[must_use]
pub fn is_script_file_name(name: &OsStr) -> bool {
    is_script_name(name.as_bytes())
}

/// Reads the command line of one rustc call, without the program's name.
///
/// A program called `build-script-…` of the user's own is told from a build script by the
/// directory that Cargo has it written to: `deps` is never a script's.
///
/// # Errors
/// [`Error::ArgumentFile`].
pub fn parse(arguments: &[OsString]) -> Result<Invocation, Error> {
    let arguments = Arguments::parse(arguments)?;
    let names: Vec<&[u8]> = arguments.values("crate-name").collect();
    let verbose = arguments.has(&["v", "verbose"]);
    // Where a crate is named something is compiled, whatever flags ask besides.
    if names.is_empty() && verbose && arguments.has(&["V", "version"]) {
        return Ok(Invocation::VerboseVersion);
    }
    let Some(crate_name) = names.into_iter().find(|name| is_script_name(name)) else {
        return Ok(Invocation::Other);
    };
    let mut emitted = arguments.listed("emit").peekable();
    let links = emitted.peek().is_none()
        || emitted.any(|kind| kind == b"link" || kind.starts_with(b"link="));
    if !arguments.listed("crate-type").any(|kind| kind == b"bin") || !links {
        return Ok(Invocation::Other);
    }
    let output = output_of(&arguments, crate_name)?;
    if output.parent().and_then(Path::file_name) == Some(OsStr::new("deps")) {
        return Ok(Invocation::Other);
    }
    let source = arguments.input().map(PathBuf::from);
    Ok(Invocation::BuildScript(Compilation { output, source }))
}

/// The program that a build script's compilation writes.
///
/// Cargo chooses it by `--out-dir` and `-C extra-filename`, and does not mind if it is missing: then it
/// runs what is there already (`src/cargo/core/compiler/mod.rs`, `link_targets`). So flags that move it are
/// refused.
fn output_of(arguments: &Arguments, crate_name: &[u8]) -> Result<PathBuf, Error> {
    let as_path = |bytes: &[u8]| PathBuf::from(OsStr::from_bytes(bytes));
    let explicit = one_of("-o", arguments.values("o"))?;
    let link = arguments.listed("emit").filter_map(|kind| kind.strip_prefix(b"link="));
    let link = one_of("--emit=link=", link)?;
    let out_dir = one_of("--out-dir", arguments.values("out-dir"))?;
    let suffix = one_of("-C extra-filename", arguments.codegen("extra-filename"))?;
    match (explicit, link, out_dir) {
        (Some(_), Some(_), _) | (Some(_), _, Some(_)) => Err(Error::Elsewhere { option: "-o" }),
        (_, Some(_), Some(_)) => Err(Error::Elsewhere { option: "--emit=link=" }),
        (Some(file), None, None) | (None, Some(file), None) => Ok(as_path(file)),
        (None, None, out_dir) => {
            let name = [crate_name, suffix.unwrap_or_default()].concat();
            Ok(as_path(out_dir.unwrap_or_default()).join(OsStr::from_bytes(&name)))
        }
    }
}

/// The value of an option that is given once, or always alike.
fn one_of<'a>(
    option: &'static str,
    mut values: impl Iterator<Item = &'a [u8]>,
) -> Result<Option<&'a [u8]>, Error> {
    let first = values.next();
    if values.any(|value| Some(value) != first) {
        return Err(Error::Elsewhere { option });
    }
    Ok(first)
}

/// Which crate a compilation is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crate {
    /// Its name.
    pub name: String,
    /// What is made of it: `lib`, `proc-macro`, `bin`.
    pub kinds: Vec<String>,
    /// Whether it is compiled with its tests.
    pub is_test: bool,
    /// The name, and what Cargo tells it by from others of that name; none if that is no part of a file's
    /// name.
    pub key: Option<String>,
}

impl Crate {
    fn of(arguments: &Arguments, name: &[u8], out_dir: &Path) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let name = text(name);
        // In the newer layout the hash is that of the directory.
        let unit = out_dir.parent().and_then(Path::file_name);
        let unit = unit.filter(|_| out_dir.file_name() == Some(OsStr::new("out")));
        let hash = arguments.codegen("extra-filename").last().filter(|suffix| !suffix.is_empty());
        let hash =
            hash.or(unit.map(OsStr::as_bytes)).or_else(|| arguments.codegen("metadata").last());
        let hash = hash.map(text).unwrap_or_default();
        let key = format!("{name}-{}", hash.strip_prefix('-').unwrap_or(&hash));
        let is_part = key.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_'));
        Self {
            kinds: arguments.listed("crate-type").map(text).collect(),
            is_test: arguments.has(&["test"]),
            key: Some(key).filter(|_| is_part),
            name,
        }
    }
}

/// What a compilation's command line names, as far as a jail has to know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// What is compiled.
    pub crate_: Crate,
    /// Where most of what it makes goes.
    pub out_dir: PathBuf,
    /// Which names there, and elsewhere, are its own. Directories are as given.
    pub outputs: Vec<Shared>,
    /// Directories of libraries and crates: Cargo's, the user's and those that scripts have named.
    pub libraries: Vec<PathBuf>,
    /// The linker.
    pub linker: Option<PathBuf>,
    /// The target, as Cargo calls its directory.
    pub target: Option<String>,
    /// The directory of all documentation, which a call of rustdoc writes into.
    pub documentation: Option<PathBuf>,
}

impl Paths {
    /// Reads the command line of one rustc call, without the program's name. None if it compiles nothing:
    /// Cargo also asks rustc for its version, and by `-` what it would do.
    ///
    /// # Errors
    /// [`Error::ArgumentFile`].
    pub fn parse(arguments: &[OsString]) -> Result<Option<Self>, Error> {
        let arguments = Arguments::parse(arguments)?;
        let Some(name) = arguments.last("crate-name") else { return Ok(None) };
        if arguments.is_question() {
            return Ok(None);
        }
        let out_dir = arguments.last("out-dir").map(path);
        let out_dir = out_dir
            .or_else(|| arguments.last("o").map(in_directory))
            .unwrap_or_else(|| PathBuf::from("."));
        let crate_ = Crate::of(&arguments, name, &out_dir);
        let suffix = one_of("-C extra-filename", arguments.codegen("extra-filename"))?;
        let stem = [name, suffix.unwrap_or_default()].concat();
        let library = [b"lib", stem.as_slice()].concat();
        let mut outputs = vec![shared(out_dir.clone(), vec![stem, library], Behind::Dot)];
        // Cargo names files only by what they are called there: others are a workspace's. Who gives no
        // directory is not Cargo; then what is kept for a while is named like the file.
        let explicit = arguments.listed("emit").filter_map(|kind| {
            let equals = kind.iter().position(|byte| *byte == b'=')?;
            Some(&kind[equals + 1..]).filter(|file| *file != b"-")
        });
        let explicit = arguments.last("o").into_iter().chain(explicit);
        for file in explicit.filter(|_| !arguments.has(&["out-dir"])) {
            let stem = path(file).file_stem().unwrap_or_default().as_bytes().to_vec();
            outputs.push(shared(in_directory(file), vec![stem], Behind::Dot));
        }
        if let Some(directory) = arguments.codegen("incremental").last() {
            outputs.push(shared(path(directory), vec![name.to_vec()], Behind::Dash));
        }
        Ok(Some(Self {
            crate_,
            out_dir,
            outputs,
            libraries: libraries_of(&arguments),
            linker: arguments.codegen("linker").last().map(path),
            target: target_of(&arguments),
            documentation: None,
        }))
    }

    /// Reads the command line of one rustdoc call, without the program's name. None if it documents nothing: it
    /// can be asked for its version, or to run tests, which are the package's programs.
    ///
    /// All documentation lies in one directory, and Cargo says besides where crates are compiled to, after which
    /// the build directory is told (`src/cargo/core/compiler/mod.rs`, `prepare_rustdoc`).
    ///
    /// # Errors
    /// [`Error::ArgumentFile`].
    pub fn parse_of_rustdoc(arguments: &[OsString]) -> Result<Option<Self>, Error> {
        let arguments = Arguments::parse_of_rustdoc(arguments)?;
        let Some(name) = arguments.last("crate-name") else { return Ok(None) };
        let directories = arguments.values("o").chain(arguments.values("out-dir"));
        let documentation = one_of("-o", directories)?.map(path);
        if documentation.is_none() && arguments.has(&["test"]) {
            return Ok(None);
        }
        // The first one is Cargo's: what a workspace's flags or a script name comes behind it.
        let mut compiled =
            arguments.values("L").filter_map(|value| value.strip_prefix(b"dependency="));
        let out_dir = compiled.next().map(path).or_else(|| documentation.clone());
        let out_dir = out_dir.unwrap_or_else(|| PathBuf::from("."));
        let of_others = shared(out_dir.clone(), Vec::new(), Behind::Dot);
        let crate_ = Crate::of(&arguments, name, &out_dir);
        Ok(Some(Self {
            crate_: Crate { kinds: vec!["doc".to_owned()], ..crate_ },
            out_dir,
            outputs: vec![of_others],
            libraries: libraries_of(&arguments),
            linker: None,
            target: target_of(&arguments),
            documentation,
        }))
    }
}

fn path(bytes: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(bytes))
}

fn in_directory(file: &[u8]) -> PathBuf {
    match path(file).parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

const fn shared(directory: PathBuf, stems: Vec<Vec<u8>>, behind: Behind) -> Shared {
    Shared { directory, stems, behind }
}

fn libraries_of(arguments: &Arguments) -> Vec<PathBuf> {
    let directory = |value: &[u8]| {
        // A kind and the directory, or that alone.
        let at = value.iter().position(|byte| *byte == b'=');
        path(at.map_or(value, |at| &value[at + 1..]))
    };
    arguments.values("L").map(directory).collect()
}

/// The description of a target lies in a file, after which Cargo names its directories.
fn target_of(arguments: &Arguments) -> Option<String> {
    let target = arguments.last("target").map(path)?;
    Some(target.file_stem()?.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_words(words: &[&str]) -> Invocation {
        parse(&words.iter().map(OsString::from).collect::<Vec<_>>()).unwrap()
    }

    const SCRIPT: &[&str] = &[
        "--crate-name",
        "build_script_build",
        "--edition=2021",
        "p/build.rs",
        "--crate-type",
        "bin",
        "--emit=dep-info,link",
        "-C",
        "extra-filename=-0a1b",
        "--out-dir",
        "/t d/debug/build/p-0a1b",
    ];

    #[test]
    fn a_build_script_is_recognised() {
        let Invocation::BuildScript(compilation) = parse_words(SCRIPT) else {
            panic!("not recognised");
        };
        assert_eq!(
            compilation.output,
            Path::new("/t d/debug/build/p-0a1b/build_script_build-0a1b")
        );
        assert_eq!(compilation.source.as_deref(), Some(Path::new("p/build.rs")));
    }

    #[test]
    fn joined_spellings_are_recognised() {
        let invocation = parse_words(&[
            "--crate-name=metabuild_p",
            "--crate-type=bin",
            "-Cextra-filename=-1",
            "--out-dir=/d",
        ]);
        let Invocation::BuildScript(compilation) = invocation else {
            panic!("not recognised");
        };
        assert_eq!(compilation.output, Path::new("/d/metabuild_p-1"));
    }

    #[test]
    fn other_crates_are_left_alone() {
        let library = ["--crate-name", "build_script_utils", "--crate-type", "lib"];
        assert_eq!(parse_words(&library), Invocation::Other);
        let program = ["--crate-name", "app", "--crate-type", "bin"];
        assert_eq!(parse_words(&program), Invocation::Other);
        let own = ["--crate-name", "build_script_x", "--crate-type", "bin", "--out-dir", "/t/deps"];
        assert_eq!(parse_words(&own), Invocation::Other);
        let test = ["--crate-name", "build_script_x", "--test", "--out-dir", "/t/deps"];
        assert_eq!(parse_words(&test), Invocation::Other);
    }

    #[test]
    fn metadata_only_is_not_a_program() {
        let check =
            ["--crate-name", "build_script_build", "--crate-type", "bin", "--emit=metadata"];
        assert_eq!(parse_words(&check), Invocation::Other);
    }

    #[test]
    fn a_crate_has_a_key_of_its_own() {
        let of = |words: &[&str]| {
            let words: Vec<OsString> = words.iter().map(OsString::from).collect();
            let Crate { kinds, is_test, key, .. } = Paths::parse(&words).unwrap().unwrap().crate_;
            (kinds.join(" "), is_test, key.unwrap_or_default())
        };
        let (kinds, is_test, key) = of(SCRIPT);
        assert_eq!((&*kinds, is_test, &*key), ("bin", false, "build_script_build-0a1b"));
        let test = ["--crate-name=a", "--test", "-Cmetadata=1f", "--out-dir=/t/deps"];
        assert_eq!(of(&test), (String::new(), true, "a-1f".to_owned()));
        let newer = ["--crate-name=a", "--crate-type=lib,cdylib", "--out-dir=/t/build/a/2e/out"];
        assert_eq!(of(&newer), ("lib cdylib".to_owned(), false, "a-2e".to_owned()));
        for outside in ["/../x", ".", "%"] {
            let name = format!("-Cextra-filename=-{outside}");
            assert_eq!(of(&["--crate-name=a", &name, "--out-dir=/t/deps"]).2, "", "{outside}");
        }
    }

    #[test]
    fn what_is_documented_goes_where_cargo_says_it_once() {
        const CRATE: &[&str] =
            &["--crate-name", "a", "src/lib.rs", "-Cmetadata=1f", "-L", "dependency=/t/debug/deps"];
        let of = |words: &[&str]| {
            let words: Vec<OsString> = words.iter().map(OsString::from).collect();
            Paths::parse_of_rustdoc(&words)
        };
        let doc = [CRATE, &["--document-private-items", "-o", "/t/doc"]].concat();
        let paths = of(&doc).unwrap().unwrap();
        assert_eq!(paths.documentation.as_deref(), Some(Path::new("/t/doc")));
        assert_eq!(
            (paths.out_dir, paths.crate_.key),
            ("/t/debug/deps".into(), Some("a-1f".into()))
        );
        // Nothing that is compiled is its own.
        assert!(paths.outputs.iter().all(|shared| shared.stems.is_empty()), "{:?}", paths.outputs);
        assert_eq!(of(&[CRATE, &["--test"]].concat()).unwrap(), None);
        assert_eq!(of(&["-vV"]).unwrap(), None);
        // A workspace's flags come behind Cargo's: they move nothing, and make no tests of it.
        let expected = of(&doc).unwrap();
        for flags in [
            ["-L", "dependency=/home"],
            ["--emit=dep-info=/t/debug/deps/libother-2e.rlib", "-Zunstable-options"],
            ["--scrape-examples-output-path", "/t/debug/deps/libother-2e.rlib"],
        ] {
            let found = of(&[&doc[..], &flags].concat()).unwrap();
            let places = |paths: Option<Paths>| paths.map(|paths| (paths.out_dir, paths.outputs));
            assert_eq!(places(found), places(expected.clone()), "{flags:?}");
        }
        for flags in
            [&["--test"][..], &["--show-coverage", "--test"], &["--html-in-header", "--test"]]
        {
            assert!(of(&[&doc, flags].concat()).unwrap().is_some(), "{flags:?}");
        }
        for flags in [["-o", "/home"], ["--out-dir", "/home"]] {
            of(&[&doc[..], &flags].concat()).unwrap_err();
        }
    }

    #[test]
    fn no_flag_moves_a_script() {
        let expected = parse_words(SCRIPT);
        for flags in [
            ["-L", "--out-dir=/t/deps"].as_slice(),
            &["-L", "-o/t/deps/x"],
            &["-gL", "--emit=link=/t/deps/x"],
            &["--cfg", "--crate-name=x"],
            &["--test", "--emit=metadata"],
        ] {
            assert_eq!(parse_words(&[SCRIPT, flags].concat()), expected, "{flags:?}");
        }
        for flags in [
            ["-o", "/t/deps/x"].as_slice(),
            &["-vo/t/deps/x"],
            &["--emit=link=/t/deps/x"],
            &["-C", "extra_filename=-x"],
            &["--out-dir=/t/deps"],
        ] {
            let words = [SCRIPT, flags].concat();
            parse(&words.iter().map(OsString::from).collect::<Vec<_>>()).unwrap_err();
        }
    }

    #[test]
    fn no_flag_makes_a_question_of_a_script() {
        for flags in [["-L", "-vV"].as_slice(), &["-L", "-V", "-v"]] {
            let parsed = parse_words(&[SCRIPT, flags].concat());
            assert!(matches!(parsed, Invocation::BuildScript(_)), "{flags:?}");
        }
    }

    #[test]
    fn only_a_question_compiles_nothing() {
        let compiles = |words: &[&str]| {
            let words: Vec<OsString> = words.iter().map(OsString::from).collect();
            Paths::parse(&words).unwrap().is_some()
        };
        assert!(!compiles(&["-", "--crate-name", "___", "--print=file-names"]));
        assert!(!compiles(&["/bin/rustc", "-", "--crate-name", "___"]) && !compiles(&["-vV"]));
        assert!(compiles(&["--crate-name", "a", "a.rs", "-L", "-"]));
        assert!(compiles(&["--crate-name", "a", "a.rs", "-"]));
    }

    #[test]
    fn the_verbose_version_is_recognised() {
        assert_eq!(parse_words(&["-vV"]), Invocation::VerboseVersion);
        assert_eq!(parse_words(&["--version", "--verbose"]), Invocation::VerboseVersion);
        assert_eq!(parse_words(&["--version"]), Invocation::Other);
    }
}
