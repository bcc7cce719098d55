//! Directories that `rustc-link-search` names: which of them bring code into programs outside the jail.
//!
//! rustc looks for crates in such a directory, the linker for libraries, and Cargo puts it first into
//! `LD_LIBRARY_PATH` of compilers and programs if it lies in the build directory. Scripts write there,
//! so an `OUT_DIR` is withheld if it is none of the package's own or its dependencies', or holds a shared library by which it stands in for the C or
//! Rust runtime: every program that is started takes that from it, rustc and what it runs among them
//! where Cargo does not call the shim (`cargo fix`, rustdoc), and every dependent is linked with
//! it. And a directory there, or in the package, is withheld if it holds a procedural macro: rustc
//! loads and executes one by its name, though the package does not say that it has one. Behind
//! `native=` and `framework=` rustc does not look for crates.
//!
//! What a directory holds counts when the script has ended: nothing of it is left to change it, and no
//! other script can write there. Directories of the system, the toolchain and the user hold what they
//! are there for.
//!
//! What cannot be refused: a library of any other name (`libzstd.so.1`, `libutil.a`) that the script has
//! built and that a program happens to load or to be linked with under that name. Such directories are
//! for libraries with names like these. The shim lets a compiler look into the system's directories first;
//! programs that Cargo starts by itself (`cargo run`, `cargo test`) get the order that Cargo chose, and
//! hold the package's code anyway. Objects like `crt1.o` are of no use to a script: gcc and clang
//! do not look for them in directories of `-L`.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use thiserror::Error;

/// Why a directory is withheld.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// rustc hands long command lines on in a file, one argument to a line.
    #[error(
        "a control character in it separates arguments in the file by which rustc hands long command \
         lines to the linker driver"
    )]
    Separator,
    /// An argument of its own.
    #[error(
        "a value that begins with `@` becomes an argument file of rustc or of the linker, which can \
         name a linker of the script's choosing"
    )]
    ArgumentFile,
    /// An option instead of a path.
    #[error("a path that begins with `-` becomes an option of the linker driver")]
    Option,
    /// A path that means another one to the loader.
    #[error("the dynamic loader replaces what follows a `$` in it by another directory's name")]
    Token,
    /// More directories than anybody needs.
    #[error("it names more than {MOST} directories")]
    TooMany,
    /// A directory with a stand-in.
    #[error(
        "the directory holds `{0}`, which would stand in for the system's or the toolchain's own"
    )]
    StandsIn(String),
    /// A directory with a procedural macro.
    #[error(
        "the directory holds `{0}`, which can be a procedural macro to rustc, and which it would execute: \
         `native=` before the directory keeps rustc from looking for crates in it"
    )]
    Macro(String),
    /// A directory in which another package's script writes.
    #[error(
        "the directory is the OUT_DIR of a package that is no dependency with `links`, whose script \
         can put anything there later"
    )]
    Foreign,
    /// A relative path that leads to nobody knows where.
    #[error("the relative path leads out of the package, and elsewhere for each dependent")]
    Upwards,
    /// A directory that nobody can look into.
    #[error("the directory cannot be listed, and what it holds cannot be told")]
    Unlistable,
}

/// So many directories are looked into.
const MOST: usize = 10_000;

/// What a value of `-L` says.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LinkSearch {
    /// The directory.
    pub path: PathBuf,
    /// Whether rustc looks for crates there.
    pub crates: bool,
}

impl LinkSearch {
    /// Reads `[KIND=]PATH` as rustc does (`rustc_session/src/search_paths.rs`).
    ///
    /// # Errors
    /// Why it is withheld whatever the directory holds.
    pub fn parse(value: &str) -> Result<Self, Refusal> {
        if value.chars().any(char::is_control) {
            return Err(Refusal::Separator);
        }
        let (kind, path) = match value.split_once('=') {
            Some((kind @ ("native" | "framework" | "all" | "crate" | "dependency"), path)) => {
                (kind, path)
            }
            _ => ("all", value),
        };
        // What follows any `=` is looked at, so that a kind of a later rustc hides nothing.
        let rest = value.split_once('=').map_or(path, |(_, rest)| rest);
        if [value, path, rest].iter().any(|text| text.starts_with('@')) {
            return Err(Refusal::ArgumentFile);
        }
        if path.starts_with('-') {
            return Err(Refusal::Option);
        }
        // `$LIB`, `$ORIGIN`, `$PLATFORM`, also in braces (ld.so(8), "Dynamic string tokens").
        if value.contains('$') {
            return Err(Refusal::Token);
        }
        let crates = kind != "native" && kind != "framework";
        Ok(Self { path: PathBuf::from(path), crates })
    }
}

/// The directories that one script has named.
#[derive(Debug, Default)]
pub struct Searched {
    named: BTreeSet<LinkSearch>,
}

impl Searched {
    /// Takes note of a directory.
    ///
    /// # Errors
    /// If there are too many.
    pub fn note(&mut self, search: LinkSearch) -> Result<(), Refusal> {
        // No directory has a longer name (limits.h, `PATH_MAX`).
        if search.path.as_os_str().len() >= 4096 {
            return Ok(());
        }
        if self.named.len() >= MOST && !self.named.contains(&search) {
            return Err(Refusal::TooMany);
        }
        self.named.insert(search);
        Ok(())
    }

    /// The directories that are withheld for where they are or what they hold, now that the script has
    /// ended.
    #[must_use]
    pub fn judge(&self, places: &Places<'_>) -> Vec<(PathBuf, Refusal)> {
        let judged = self.named.iter().map(|search| (&search.path, places.judge(search)));
        judged.filter_map(|(path, judged)| Some((path.clone(), judged.err()?))).collect()
    }
}

/// Where the files of a unit are; all without symbolic links.
#[derive(Clone, Copy, Debug)]
pub struct Places<'a> {
    /// The package's directory.
    pub package: &'a Path,
    /// Root of the workspace, if the package lies in it.
    pub workspace: Option<&'a Path>,
    /// Root of the build directory.
    pub build_dir: &'a Path,
    /// `OUT_DIR`, and those of the dependencies that the script was told of. A dependency's script does
    /// not run again without this one.
    pub out_dirs: &'a [PathBuf],
}

impl Places<'_> {
    /// rustc reads a relative path in the workspace's root or in the package's, and for dependents in
    /// theirs: above the build directory, in most cases.
    fn judge(&self, search: &LinkSearch) -> Result<(), Refusal> {
        let path = search.path.as_path();
        let bases = [self.package].into_iter().chain(self.workspace);
        let bases = bases.chain(self.build_dir.ancestors().skip(1));
        if path.is_absolute() {
            return self.judge_at(path, search.crates);
        }
        if self.workspace.is_none() && path.components().any(|part| part == Component::ParentDir) {
            return Err(Refusal::Upwards);
        }
        bases.map(|base| base.join(path)).try_for_each(|path| self.judge_at(&path, search.crates))
    }

    fn judge_at(&self, path: &Path, crates: bool) -> Result<(), Refusal> {
        let directory = lead(path);
        if self.out_dirs.iter().any(|out_dir| directory.starts_with(out_dir)) {
            find_stand_in(&directory, 0)?;
        } else if let Ok(within) = directory.strip_prefix(self.build_dir) {
            // Beside them is only what Cargo has compiled.
            let is_unit = within.components().take(3).any(|name| name.as_os_str() == "build");
            return if is_unit { Err(Refusal::Foreign) } else { Ok(()) };
        } else if !directory.starts_with(self.package) {
            return Ok(());
        }
        if crates {
            let names = names_in(&directory)?;
            for name in &names {
                if is_macro(&directory.join(name)) || is_described(name, &names) {
                    return Err(Refusal::Macro(name.to_string_lossy().into_owned()));
                }
            }
        }
        Ok(())
    }
}

/// Where a path leads, as far as it leads anywhere.
fn lead(path: &Path) -> PathBuf {
    for there in path.ancestors() {
        if let (Ok(directory), Ok(rest)) = (fs::canonicalize(there), path.strip_prefix(there)) {
            return directory.join(rest);
        }
    }
    path.to_owned()
}

/// The C runtime and the libraries of the compilers' programs: beginnings of names by which every
/// program finds them when it is started, up to a dot or dash.
const RUNTIME: &[&str] = &[
    "ld-linux",
    "ld-musl",
    "libLLVM",
    "libatomic",
    "libbfd",
    "libc",
    "libctf",
    "libdl",
    "libgcc_s",
    "libm",
    "libmvec",
    "libnss_compat",
    "libnss_dns",
    "libnss_files",
    "libnss_systemd",
    "libopcodes",
    "libpthread",
    "librt",
    "librustc_driver",
    "libsframe",
    "libstd",
    "libstdc++",
    "libz.so.1",
];
/// What every program is linked with, as archives.
const RUNTIME_ARCHIVES: &[&str] = &["libc.a", "libgcc.a", "libgcc_eh.a", "libgcc_s.a"];

/// Directories of a directory in which the loader looks as well, by processor (ld.so(8), "Hardware
/// capabilities"); those but the first until glibc 2.37.
pub(super) const CAPABILITIES: &[&str] = &[
    "glibc-hwcaps",
    "tls",
    "haswell",
    "xeon_phi",
    "avx512_1",
    "x86_64",
    "i686",
    "aarch64",
    "atomics",
];
/// No deeper, counted in directories.
const DEEPEST: usize = 4;

fn names_in(directory: &Path) -> Result<Vec<OsString>, Refusal> {
    match fs::read_dir(directory) {
        Ok(entries) => entries
            .map(|entry| entry.map(|entry| entry.file_name()).map_err(|_| Refusal::Unlistable))
            .collect(),
        // Nobody finds anything in what is no directory, or not there.
        Err(_) if !directory.is_dir() => Ok(Vec::new()),
        Err(_) => Err(Refusal::Unlistable),
    }
}

fn find_stand_in(directory: &Path, depth: usize) -> Result<(), Refusal> {
    for name in names_in(directory)? {
        if stands_in(name.as_bytes()) {
            return Err(Refusal::StandsIn(name.to_string_lossy().into_owned()));
        }
        let is_capability = depth > 0 || CAPABILITIES.iter().any(|known| name == *known);
        if is_capability && depth < DEEPEST {
            find_stand_in(&directory.join(name), depth + 1)?;
        }
    }
    Ok(())
}

/// Whether a linker or loader takes a file of this name for a part of the runtime.
fn stands_in(name: &[u8]) -> bool {
    let is_shared = name.split(|byte| *byte == b'.').skip(1).any(|part| part == b"so");
    let begins = |runtime: &&str| {
        let rest = name.strip_prefix(runtime.as_bytes());
        rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'.' | b'-')))
    };
    RUNTIME_ARCHIVES.iter().any(|archive| archive.as_bytes() == name)
        || is_shared && RUNTIME.iter().any(begins)
}

/// Whether rustc takes a shared library for a crate's by the description of the crate that lies beside it
/// (`rustc_metadata/src/locator.rs`).
fn is_described(name: &OsString, names: &[OsString]) -> bool {
    let path = Path::new(name);
    is_library(path)
        && ["rmeta", "rlib"].iter().any(|end| {
            let beside = path.with_extension(end);
            names.iter().any(|other| other == beside.as_os_str())
        })
}

fn is_library(path: &Path) -> bool {
    let extension = path.extension();
    extension.is_some_and(|extension| ["so", "dylib", "dll"].iter().any(|e| extension == *e))
}

/// Whether rustc can take a file for a procedural macro, and so load it: a shared library with the
/// section in which a crate is described (`rustc_metadata/src/locator.rs`, `get_metadata_section`).
fn is_macro(path: &Path) -> bool {
    const MARK: &[u8] = b".rustc\0";
    const PIECE: usize = 64 * 1024;
    if !is_library(path) || !path.is_file() {
        return false;
    }
    // One that cannot be read may be one.
    let Ok(mut file) = File::open(path) else { return true };
    let (mut buffer, mut kept) = (vec![0; PIECE], 0);
    loop {
        match file.read(&mut buffer[kept..]) {
            Ok(0) => return false,
            Ok(length) => {
                let end = kept + length;
                if buffer[..end].windows(MARK.len()).any(|window| window == MARK) {
                    return true;
                }
                // It may begin at the end of this piece.
                kept = end.min(MARK.len() - 1);
                buffer.copy_within(end - kept..end, 0);
            }
            Err(_) => return true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_rustc_reads_them() {
        let parse = |value| LinkSearch::parse(value);
        let search = |path: &str, crates| Ok(LinkSearch { path: path.into(), crates });
        assert_eq!(parse("/x"), search("/x", true));
        assert_eq!(parse("all=/x"), search("/x", true));
        assert_eq!(parse("native=/x"), search("/x", false));
        assert_eq!(parse("framework=/x"), search("/x", false));
        assert_eq!(parse("/a=b"), search("/a=b", true));
        assert_eq!(parse("/home/o'brien/x"), search("/home/o'brien/x", true));
        for value in ["@x", "native=@x", "kind=@x", "all=@x"] {
            assert_eq!(parse(value), Err(Refusal::ArgumentFile), "{value}");
        }
        for value in ["-Bx", "native=-Bx"] {
            assert_eq!(parse(value), Err(Refusal::Option), "{value}");
        }
        assert_eq!(parse("crate=/x"), search("/x", true));
        assert_eq!(parse("dependency=/x"), search("/x", true));
        assert_eq!(parse("native=/x\t-specs=/x"), Err(Refusal::Separator));
    }

    #[test]
    fn stand_ins_are_known_by_name() {
        for name in [
            "libc.so",
            "libc.so.6",
            "libgcc_s.so.1",
            "libgcc.a",
            "libstd-0123456789abcdef.so",
            "ld-linux-x86-64.so.2",
            "libLLVM.so.21.1-rust-1.95.0-stable",
            "libstdc++.so.6",
            "librustc_driver-1.so",
            "libc-2.36.so",
            "libz.so.1.3.1",
        ] {
            assert!(stands_in(name.as_bytes()), "{name}");
        }
        for name in [
            "libz.so",
            "libzstd.so.1",
            "libcurl.so",
            "libc++.so",
            "libc++.a",
            "libmagic.so",
            "libcrypto.so",
            "libgccjit.so",
            "libutil.a",
            "libtest.a",
            "libm.a",
            "libc.txt",
            "libc",
            "libLLVMCore.a",
        ] {
            assert!(!stands_in(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn directories_are_judged_by_where_they_are_and_what_they_hold() {
        let dir = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(dir.path()).unwrap();
        let out = root.join("target/debug/build/p-1/out");
        let places = Places {
            package: &root.join("package"),
            workspace: Some(&root),
            build_dir: &root.join("target"),
            out_dirs: std::slice::from_ref(&out),
        };
        let of = |value: &str| {
            let mut searched = Searched::default();
            searched.note(LinkSearch::parse(value).unwrap()).unwrap();
            searched.judge(&places).pop().map(|(path, refusal)| {
                assert!(value.ends_with(path.to_str().unwrap()));
                refusal
            })
        };
        let directories =
            ["package/lib", "target/debug/build/p-1/out/lib", "target/debug/deps", "own"];
        for directory in directories {
            fs::create_dir_all(root.join(directory)).unwrap();
            let mut text = vec![b'x'; 65_530];
            fs::write(root.join(directory).join("libfoo.so"), &text).unwrap();
            assert_eq!(of(directory), None);
            // Over the border of two pieces.
            text.extend_from_slice(b"\0.rustc\0");
            fs::write(root.join(directory).join("libfoo.so"), text).unwrap();
        }
        let planted = Some(Refusal::Macro("libfoo.so".to_owned()));
        let built = out.join("lib").to_str().unwrap().to_owned();
        for value in
            ["package/lib", "lib", &built, directories[1], "../target/debug/build/p-1/out/lib"]
        {
            assert_eq!(of(value), planted, "{value}");
            assert_eq!(of(&format!("native={value}")), None, "{value}");
        }
        for value in ["own", "target/debug/deps", "missing", "/usr/lib"] {
            assert_eq!(of(value), None, "{value}");
        }
        std::os::unix::fs::symlink(&out, root.join("package/link")).unwrap();
        assert_eq!(of("all=link/lib"), planted);

        for other in ["target/debug/build/q-1/out", "target/x/debug/build/q/1/out/lib"] {
            assert_eq!(of(&format!("native={other}")), Some(Refusal::Foreign), "{other}");
        }
        // A package that is its workspace's only one.
        let alone = Places { package: &root, ..places };
        let mut searched = Searched::default();
        searched.note(LinkSearch::parse("target/debug/deps").unwrap()).unwrap();
        assert_eq!(searched.judge(&alone), []);
        let outside = Places { workspace: None, ..places };
        let mut searched = Searched::default();
        searched.note(LinkSearch::parse("native=../x").unwrap()).unwrap();
        assert_eq!(searched.judge(&outside)[0].1, Refusal::Upwards);

        fs::write(root.join("package/lib/libfoo.so"), "").unwrap();
        assert_eq!(of("lib"), None);
        fs::write(root.join("package/lib/libfoo.rmeta"), "").unwrap();
        assert_eq!(of("lib"), planted);
        for directory in directories {
            fs::write(root.join(directory).join("libc.so"), "GROUP ( evil.a )").unwrap();
        }
        let stands_in = |name: &str| Some(Refusal::StandsIn(name.to_owned()));
        assert_eq!(of("native=link/lib"), stands_in("libc.so"));
        assert_eq!(of("native=lib"), None);
        fs::create_dir_all(out.join("glibc-hwcaps/x86-64-v2")).unwrap();
        assert_eq!(of("native=link"), None);
        fs::write(out.join("glibc-hwcaps/x86-64-v2/libc.so.6"), "").unwrap();
        assert_eq!(of("native=link"), stands_in("libc.so.6"));
    }
}
