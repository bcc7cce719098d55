//! What one call of rustc is asked to build, read from its command line.
//!
//! Only the command line counts: variables such as `CARGO_BIN_NAME` can be set by a workspace's
//! `[env]` table. Argument files (`@path`) are expanded as rustc expands them
//! (`rustc_driver_impl/src/args.rs`), because Cargo uses one when a command line is too long.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

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

/// An argument file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read.
    #[error("cannot read the argument file `{path}`")]
    ArgumentFile {
        /// The file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
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

/// Replaces every `@path` by the lines of that file, once, as rustc does: an argument file inside
/// an argument file is not expanded.
///
/// # Errors
/// [`Error::ArgumentFile`] if one cannot be read; rustc would fail as well.
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
        let content = fs::read(&path).map_err(|source| Error::ArgumentFile { path, source })?;
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

/// The value of `--name value`, `--name=value` or, for a one-letter name, `-Cvalue`.
struct Options<'a> {
    arguments: &'a [OsString],
}

impl<'a> Options<'a> {
    fn values(&self, name: &'static str) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let short = !name.starts_with("--");
        let mut arguments = self.arguments.iter();
        std::iter::from_fn(move || {
            loop {
                let argument = arguments.next()?.as_bytes();
                let Some(rest) = argument.strip_prefix(name.as_bytes()) else {
                    continue;
                };
                if rest.is_empty() {
                    return arguments.next().map(|value| value.as_bytes());
                }
                if short {
                    return Some(rest);
                }
                if let Some(value) = rest.strip_prefix(b"=") {
                    return Some(value);
                }
            }
        })
    }

    fn last(&self, name: &'static str) -> Option<&'a [u8]> {
        self.values(name).last()
    }

    fn codegen(&self, key: &str) -> Option<&'a [u8]> {
        let prefix = format!("{key}=");
        self.values("-C")
            .chain(self.values("--codegen"))
            .filter_map(|value| value.strip_prefix(prefix.as_bytes()))
            .last()
    }
}

/// Reads the command line of one rustc call, without the program's name.
///
/// A program called `build-script-…` of the user's own is told from a build script by the
/// directory that Cargo has it written to: `deps` is never a script's.
///
/// # Errors
/// [`Error::ArgumentFile`].
pub fn parse(arguments: &[OsString]) -> Result<Invocation, Error> {
    let arguments = expand(arguments)?;
    let options = Options { arguments: &arguments };
    let has = |names: &[&str]| arguments.iter().any(|argument| names.iter().any(|n| argument == n));
    // Where a crate is named it can be an option's value, which flags choose.
    if options.last("--crate-name").is_none()
        && (has(&["-vV"]) || (has(&["-V", "--version"]) && has(&["-v", "--verbose"])))
    {
        return Ok(Invocation::VerboseVersion);
    }
    let crate_name =
        options.values("--crate-name").find(|name| is_script_name(name)).unwrap_or_default();
    let is_bin = options
        .values("--crate-type")
        .any(|types| types.split(|byte| *byte == b',').any(|kind| kind == b"bin"));
    let emitted: Vec<&[u8]> =
        options.values("--emit").flat_map(|kinds| kinds.split(|byte| *byte == b',')).collect();
    let links = emitted.is_empty()
        || emitted.iter().any(|kind| *kind == b"link" || kind.starts_with(b"link="));
    if crate_name.is_empty() || !is_bin || !links {
        return Ok(Invocation::Other);
    }
    let as_path = |bytes: &[u8]| PathBuf::from(OsStr::from_bytes(bytes));
    let explicit = options
        .last("-o")
        .map(as_path)
        .or_else(|| emitted.iter().find_map(|kind| kind.strip_prefix(b"link=")).map(as_path));
    let output = explicit.unwrap_or_else(|| {
        let mut name = crate_name.to_vec();
        name.extend_from_slice(options.codegen("extra-filename").unwrap_or_default());
        let directory = options.last("--out-dir").map(as_path).unwrap_or_default();
        directory.join(OsStr::from_bytes(&name))
    });
    if output.parent().and_then(Path::file_name) == Some(OsStr::new("deps")) {
        return Ok(Invocation::Other);
    }
    let source = arguments
        .iter()
        .map(Path::new)
        .find(|path| path.extension() == Some(OsStr::new("rs")))
        .map(Path::to_owned);
    Ok(Invocation::BuildScript(Compilation { output, source }))
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
    fn of(options: &Options<'_>, name: &[u8], out_dir: &Path) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let name = text(name);
        let kinds = options.values("--crate-type").flat_map(|kinds| kinds.split(|b| *b == b','));
        // In the newer layout the hash is that of the directory.
        let unit = out_dir.parent().and_then(Path::file_name);
        let unit = unit.filter(|_| out_dir.file_name() == Some(OsStr::new("out")));
        let hash = options.codegen("extra-filename").filter(|suffix| !suffix.is_empty());
        let hash = hash.or(unit.map(OsStr::as_bytes)).or_else(|| options.codegen("metadata"));
        let hash = hash.map(text).unwrap_or_default();
        let key = format!("{name}-{}", hash.strip_prefix('-').unwrap_or(&hash));
        let is_part = key.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_'));
        Self {
            kinds: kinds.map(text).collect(),
            is_test: options.arguments.iter().any(|argument| argument == "--test"),
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
}

impl Paths {
    /// Reads the command line of one rustc call, without the program's name. None if it compiles nothing:
    /// Cargo also asks rustc for its version, and by `-` what it would do.
    ///
    /// # Errors
    /// [`Error::ArgumentFile`].
    pub fn parse(arguments: &[OsString]) -> Result<Option<Self>, Error> {
        let arguments = expand(arguments)?;
        let options = Options { arguments: &arguments };
        let Some(name) = options.last("--crate-name") else { return Ok(None) };
        // Cargo says so before all else. Further behind it can be an option's value, which flags choose.
        let first = arguments.iter().find(|argument| argument.as_bytes().starts_with(b"-"));
        if first.is_some_and(|first| first == "-") {
            return Ok(None);
        }
        let path = |bytes: &[u8]| PathBuf::from(OsStr::from_bytes(bytes));
        let in_directory = |file: &[u8]| match path(file).parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        let out_dir = options.last("--out-dir").map(path);
        let out_dir = out_dir
            .or_else(|| options.last("-o").map(in_directory))
            .unwrap_or_else(|| PathBuf::from("."));
        let crate_ = Crate::of(&options, name, &out_dir);
        let stem = [name, options.codegen("extra-filename").unwrap_or_default()].concat();
        let library = [b"lib", stem.as_slice()].concat();
        let shared = |directory: PathBuf, stems, behind| Shared { directory, stems, behind };
        let mut outputs = vec![shared(out_dir.clone(), vec![stem, library], Behind::Dot)];
        // Where it is told to write to another file, what it keeps for a while is named like that.
        let explicit = options.values("--emit").flat_map(|kinds| kinds.split(|byte| *byte == b','));
        let explicit = explicit.filter_map(|kind| {
            let equals = kind.iter().position(|byte| *byte == b'=')?;
            Some(&kind[equals + 1..]).filter(|file| *file != b"-")
        });
        for file in options.last("-o").into_iter().chain(explicit) {
            let stem = path(file).file_stem().unwrap_or_default().as_bytes().to_vec();
            outputs.push(shared(in_directory(file), vec![stem], Behind::Dot));
        }
        if let Some(directory) = options.codegen("incremental") {
            outputs.push(shared(path(directory), vec![name.to_vec()], Behind::Dash));
        }
        let directory = |value: &[u8]| {
            // A kind and the directory, or that alone.
            let at = value.iter().position(|byte| *byte == b'=');
            path(at.map_or(value, |at| &value[at + 1..]))
        };
        let libraries = options.values("-L").map(directory).collect();
        let linker = options.codegen("linker").map(path);
        // The description of a target lies in a file, after which Cargo names its directories.
        let target = options.last("--target").map(path);
        let target = target.as_deref().and_then(Path::file_stem);
        let target = target.map(|target| target.to_string_lossy().into_owned());
        Ok(Some(Self { crate_, out_dir, outputs, libraries, linker, target }))
    }
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
    fn argument_files_are_expanded() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("arguments");
        fs::write(&file, SCRIPT.join("\n")).unwrap();
        let argument = OsString::from(format!("@{}", file.display()));
        assert!(matches!(parse(&[argument]).unwrap(), Invocation::BuildScript(_)));
        parse(&[OsString::from("@/no/such/file")]).unwrap_err();
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
