//! The unit: which build script is run, for which package, with which directories.
//!
//! The only reader of the environment that Cargo gives a build script ("Environment variables Cargo
//! sets for build scripts", The Cargo Book) and, with [`crate::completeness`] for whole builds, of Cargo's
//! directory layout. It decides nothing: what the script may do with all this is policy.

pub mod build_dir;
pub mod manifest;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::fd::RawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::{env, fs};

use crate::elf;
use build_dir::BuildDir;

/// Variables by name.
pub type Variables = BTreeMap<OsString, OsString>;

/// One execution of one package's build script.
#[derive(Clone, Debug)]
pub struct Unit {
    /// `CARGO_PKG_NAME`.
    pub package: String,
    /// `CARGO_PKG_VERSION`.
    pub version: String,
    /// `CARGO_MANIFEST_DIR`: the package's own directory.
    pub manifest_dir: PathBuf,
    /// `OUT_DIR`, without symbolic links.
    pub out_dir: PathBuf,
    /// `CARGO_MANIFEST_LINKS`.
    pub links: Option<String>,
    /// `TARGET`.
    pub target: Option<String>,
    /// `HOST`.
    pub host: Option<String>,
    /// `PROFILE`.
    pub profile: Option<String>,
    /// Root of the workspace that the package lies in.
    pub workspace: Option<PathBuf>,
    /// The compiled script.
    pub script: PathBuf,
    /// The script's arguments, its name first.
    pub arguments: Vec<OsString>,
    /// The environment as Cargo gave it.
    pub variables: Variables,
    /// Cargo's own environment, where it is known: a workspace's `[env]` table changes what scripts are
    /// given, and is not to say where the user's directories are.
    pub of_cargo: Option<Variables>,
    /// What the jobserver needs to be reached.
    pub jobserver: Option<Jobserver>,
    /// See [`Unit::build_dir`].
    pub(crate) found_build_dir: OnceLock<BuildDir>,
}

/// How the script reaches the jobserver (GNU make manual, "POSIX Jobserver Interaction").
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Jobserver {
    /// Two inherited descriptors of a pipe.
    Pipe {
        /// Tokens are read from it.
        read: RawFd,
        /// Tokens are written back to it.
        write: RawFd,
    },
    /// A fifo in the file system.
    Fifo(PathBuf),
}

/// Why it cannot be told which script is to be run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Cargo sets this variable for every build script.
    #[error(
        "{name} is not set: the program was not started as a build script is \
         (a binary of yours must not be called `build-script-…`)"
    )]
    Missing {
        /// The variable.
        name: &'static str,
    },
    /// A directory that must exist.
    #[error("{name} is `{}`, which is not a directory", .path.display())]
    Directory {
        /// The variable.
        name: &'static str,
        /// Its value.
        path: PathBuf,
        /// Cause.
        #[source]
        source: std::io::Error,
    },
    /// A symbolic link where Cargo makes directories.
    #[error(
        "`{}` is a symbolic link, and OUT_DIR leads through it: Cargo does not make such links",
        .path.display()
    )]
    Planted {
        /// The link.
        path: PathBuf,
    },
    /// The script's file is gone.
    #[error("the build script `{}` does not exist", .path.display())]
    Script {
        /// Where it should be.
        path: PathBuf,
        /// Cause.
        #[source]
        source: std::io::Error,
    },
}

/// What a package is called that says nothing of itself.
const UNNAMED: &str = "(unnamed package)";
const NO_VERSION: &str = "0.0.0";

/// Refuses an `OUT_DIR` that is a symbolic link, or leads through one between the profile's directory
/// and itself: what is granted there would be granted elsewhere.
fn no_links(out_dir: &Path) -> Result<(), Error> {
    let depth = out_dir.ancestors().position(|dir| dir.file_name() == Some(OsStr::new("build")));
    // As far as the profile's directory; of another tool's, OUT_DIR alone.
    for path in out_dir.ancestors().take(depth.map_or(1, |depth| depth + 2)) {
        if path.is_symlink() {
            return Err(Error::Planted { path: path.to_owned() });
        }
    }
    Ok(())
}

/// A directory that a variable or an option names, without symbolic links.
fn real(name: &'static str, path: &Path) -> Result<PathBuf, Error> {
    let failed = |source| Error::Directory { name, path: path.to_owned(), source };
    fs::canonicalize(path).map_err(failed)
}

/// A package that rustc is called for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// Its name, as far as it can be told.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its directory.
    pub directory: PathBuf,
    /// The directory that Cargo calls rustc in: the workspace's root, or the package's own.
    pub root: PathBuf,
}

impl Package {
    /// The package whose crate the calling process is to have compiled.
    ///
    /// # Errors
    /// [`Error::Directory`].
    pub fn of_compilation() -> Result<Self, Error> {
        let root = real("the working directory", Path::new("."))?;
        let named = env::var_os("CARGO_MANIFEST_DIR").and_then(|path| fs::canonicalize(path).ok());
        // A script can have set it, and Cargo has it there or below.
        let directory =
            named.filter(|path| path.starts_with(&root)).unwrap_or_else(|| root.clone());
        let found = manifest::package_in(&directory, &root);
        let (name, version) = found.unwrap_or_else(|| (UNNAMED.to_owned(), NO_VERSION.to_owned()));
        Ok(Self { name, version, directory, root })
    }
}

impl Unit {
    /// Reads the unit from the environment Cargo set.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn parse(
        variables: Variables,
        script: &Path,
        arguments: Vec<OsString>,
        workspace: Option<PathBuf>,
    ) -> Result<Self, Error> {
        let text = |name: &str| {
            variables.get(OsStr::new(name)).map(|value| value.to_string_lossy().into_owned())
        };
        let directory = |name: &'static str| {
            let path = variables.get(OsStr::new(name)).ok_or(Error::Missing { name })?;
            real(name, Path::new(path))
        };
        let out_dir = directory("OUT_DIR")?;
        no_links(Path::new(&variables[OsStr::new("OUT_DIR")]))?;
        let manifest_dir = directory("CARGO_MANIFEST_DIR")?;
        let script = fs::canonicalize(script)
            .map_err(|source| Error::Script { path: script.to_owned(), source })?;
        Ok(Self {
            package: text("CARGO_PKG_NAME").unwrap_or_else(|| UNNAMED.to_owned()),
            version: text("CARGO_PKG_VERSION").unwrap_or_else(|| NO_VERSION.to_owned()),
            manifest_dir: manifest_dir.clone(),
            out_dir,
            links: text("CARGO_MANIFEST_LINKS"),
            target: text("TARGET"),
            host: text("HOST"),
            profile: text("PROFILE"),
            // The launcher's word for it is not enough: a build directory can come with the sources.
            workspace: workspace
                .and_then(|path| fs::canonicalize(path).ok())
                .filter(|path| manifest_dir.starts_with(path)),
            script,
            arguments,
            jobserver: Jobserver::of(&variables),
            variables,
            of_cargo: None,
            found_build_dir: OnceLock::new(),
        })
    }

    /// The compilation of a package's crate as a unit of its own: `compiler` writes to `out_dir`, for
    /// `target` if that is not the host.
    ///
    /// A build script chooses variables of rustc's (`cargo::rustc-env`): of those that say what a unit
    /// may do only `OUT_DIR` is believed, after a look.
    ///
    /// # Errors
    /// [`Error::Directory`].
    pub fn of_compilation(
        package: Package,
        mut variables: Variables,
        compiler: &Path,
        out_dir: &Path,
        target: Option<String>,
    ) -> Result<Self, Error> {
        variables.retain(|name, _| !is_of_dependencies(name.as_bytes()));
        // As Cargo says it to a script: the toolchain is found by it.
        variables.insert("RUSTC".into(), compiler.into());
        Ok(Self {
            package: package.name,
            version: package.version,
            manifest_dir: package.directory,
            out_dir: real("--out-dir", out_dir)?,
            links: None,
            target,
            host: None,
            profile: None,
            workspace: Some(package.root),
            script: compiler.to_owned(),
            arguments: Vec::new(),
            jobserver: Jobserver::of(&variables),
            variables,
            of_cargo: None,
            found_build_dir: OnceLock::new(),
        })
    }

    /// The `OUT_DIR` of the package that is compiled, if it has one, and the directories of libraries that
    /// lie where Cargo has crates compiled to or scripts write.
    #[must_use]
    pub fn inputs_of_compilation(&self, libraries: &[PathBuf]) -> Vec<PathBuf> {
        let build_dir = self.build_dir();
        let own = self.variable("OUT_DIR").map(Path::new).into_iter();
        let own = own.filter_map(|path| Some((path, build_dir.out_dir_around(path)?)));
        let own =
            own.filter(|(path, out_dir)| fs::canonicalize(path).is_ok_and(|path| path == *out_dir));
        let libraries = libraries.iter().filter_map(|path| build_dir.library_dir(path));
        libraries.chain(own.map(|(_, out_dir)| out_dir)).collect()
    }

    /// One variable, if it is set and not empty.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<&OsStr> {
        self.variables.get(OsStr::new(name)).map(OsString::as_os_str).filter(|v| !v.is_empty())
    }

    /// One of the variables that say where the user's directories are.
    fn users(&self, name: &str) -> Option<&OsStr> {
        let variables = self.of_cargo.as_ref().unwrap_or(&self.variables);
        variables.get(OsStr::new(name)).map(OsString::as_os_str).filter(|v| !v.is_empty())
    }

    /// The directory for temporary files, as the user has it: Cargo's `[env]` can name one that a script writes
    /// to.
    #[must_use]
    pub fn temporary(&self) -> &Path {
        let users = self.users("TMPDIR").map(Path::new).filter(|path| path.is_absolute());
        users.unwrap_or(Path::new("/tmp"))
    }

    /// The directory that holds `OUT_DIR` and Cargo's own files about this run, and the record.
    #[must_use]
    pub fn run_dir(&self) -> &Path {
        self.out_dir.parent().unwrap_or(&self.out_dir)
    }

    /// The user's home directory. Only the variable counts: asking the user database would load
    /// name-service libraries into a program that must load nothing.
    #[must_use]
    pub fn home(&self) -> Option<PathBuf> {
        self.users("HOME").map(PathBuf::from).filter(|path| path.is_absolute())
    }

    /// `CARGO_HOME`, or its default.
    #[must_use]
    pub fn cargo_home(&self) -> Option<PathBuf> {
        self.users("CARGO_HOME")
            .map(PathBuf::from)
            .or_else(|| self.home().map(|home| home.join(".cargo")))
    }

    /// `RUSTUP_HOME`, or its default.
    #[must_use]
    pub fn rustup_home(&self) -> Option<PathBuf> {
        self.users("RUSTUP_HOME")
            .map(PathBuf::from)
            .or_else(|| self.home().map(|home| home.join(".rustup")))
    }

    /// The directories of the Rust toolchain: rustup's, if it is there, and the one in which the
    /// compiler that Cargo names lies.
    #[must_use]
    pub fn toolchain(&self) -> Vec<PathBuf> {
        let sysroots = ["RUSTC", "CARGO"].iter().filter_map(|name| {
            let program = Path::new(self.variable(name)?);
            let program = if program.is_absolute() {
                program.to_owned()
            } else {
                self.search_path().into_iter().map(|dir| dir.join(program)).find(|p| p.is_file())?
            };
            let bin = fs::canonicalize(program).ok()?;
            Some(bin.parent()?.parent()?.to_owned())
        });
        // A compiler directly below `/` or in the home directory has no toolchain directory of its
        // own: to grant its parent would grant everything.
        let too_much = |path: &PathBuf| {
            path.parent().is_none() || self.home().is_some_and(|home| home.starts_with(path))
        };
        self.rustup_home().into_iter().chain(sysroots).filter(|path| !too_much(path)).collect()
    }

    /// The absolute directories of `PATH`.
    #[must_use]
    pub fn search_path(&self) -> Vec<PathBuf> {
        let path = self.users("PATH").unwrap_or_default();
        env::split_paths(path).filter(|path| path.is_absolute()).collect()
    }

    /// The build directory that `OUT_DIR` lies in.
    #[must_use]
    pub fn build_dir(&self) -> &BuildDir {
        self.found_build_dir.get_or_init(|| {
            let as_given = self.variable("OUT_DIR").map_or(self.out_dir.as_path(), Path::new);
            BuildDir::of(&self.out_dir, as_given, self.target.as_deref())
        })
    }

    /// The outputs of dependencies that this script was told of: the `OUT_DIR`s named in `DEP_*`
    /// variables, and, of what Cargo has compiled, the shared libraries that the script is linked with.
    /// Scripts choose both: [`BuildDir`] keeps to the build directory.
    #[must_use]
    pub fn dependency_outputs(&self) -> Vec<PathBuf> {
        let build_dir = self.build_dir();
        let mut outputs: Vec<PathBuf> = Vec::new();
        for (name, value) in &self.variables {
            let name = name.as_bytes();
            if is_of_dependencies(name) {
                outputs.extend(build_dir.out_dirs_in(value));
            } else if name == b"LD_LIBRARY_PATH" {
                let directories = env::split_paths(value);
                let directories = directories.filter_map(|path| build_dir.library_dir(&path));
                let (of_cargo, of_scripts): (Vec<_>, Vec<_>) =
                    directories.partition(|path| build_dir.out_dir_around(path).is_none());
                outputs.extend(of_scripts);
                outputs.extend(self.libraries_in(&of_cargo));
            } else if is_artifact_variable(name) {
                outputs.extend(build_dir.artifact(Path::new(value)));
            }
        }
        outputs.sort();
        outputs.dedup();
        outputs
    }

    /// The libraries in these directories with which the script is linked, and those with which they are.
    /// All else there is other crates' outputs.
    fn libraries_in(&self, directories: &[PathBuf]) -> Vec<PathBuf> {
        let mut found: Vec<PathBuf> = Vec::new();
        let mut todo = elf::needed(&self.script);
        while let Some(name) = todo.pop() {
            let candidates = directories.iter().map(|directory| directory.join(&name));
            if let Some(library) = candidates.into_iter().find(|path| path.is_file())
                && !found.contains(&library)
            {
                todo.extend(elf::needed(&library));
                found.push(library);
            }
        }
        found
    }

    /// Whether a directory is one of the toolchain's, in which there is nothing but Rust's own libraries,
    /// and none with which the script is linked.
    #[must_use]
    pub fn is_for_others_libraries(&self, directory: &Path) -> bool {
        let of_toolchain = || {
            let roots = self.toolchain().into_iter().filter_map(|root| fs::canonicalize(root).ok());
            roots.into_iter().any(|root| directory.starts_with(root))
        };
        of_toolchain()
            && fs::read_dir(directory).is_ok_and(|mut entries| {
                entries.all(|entry| entry.is_ok_and(|entry| is_no_others(&entry.file_name())))
            })
            && self.libraries_in(&[directory.to_owned()]).is_empty()
    }

    /// The directories of `LD_LIBRARY_PATH` that hold what this build made. Cargo sets it so that the script
    /// finds its shared libraries, and whoever looks for others by it lists them too.
    #[must_use]
    pub fn library_path(&self) -> Vec<PathBuf> {
        let build_dir = self.build_dir();
        let path = self.variable("LD_LIBRARY_PATH").unwrap_or_default();
        env::split_paths(path).filter_map(|path| build_dir.library_dir(&path)).collect()
    }

    /// Whether Cargo sets a variable of this name for build scripts, so that it always passes.
    #[must_use]
    pub fn is_cargo_variable(name: &OsStr) -> bool {
        const NAMES: &[&[u8]] = &[
            b"CARGO",
            b"CARGO_ENCODED_RUSTFLAGS",
            b"CARGO_MAKEFLAGS",
            b"CARGO_TRIM_PATHS",
            b"DEBUG",
            b"HOST",
            b"LD_LIBRARY_PATH",
            b"NUM_JOBS",
            b"OPT_LEVEL",
            b"OUT_DIR",
            b"PROFILE",
            b"RUSTC",
            b"RUSTC_LINKER",
            b"RUSTC_WORKSPACE_WRAPPER",
            b"RUSTC_WRAPPER",
            b"RUSTDOC",
            b"TARGET",
        ];
        const PREFIXES: &[&[u8]] = &[
            b"CARGO_CFG_",
            b"CARGO_DEP_",
            b"CARGO_FEATURE_",
            b"CARGO_MANIFEST_",
            b"CARGO_PKG_",
            b"DEP_",
        ];
        let name = name.as_bytes();
        NAMES.contains(&name)
            || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
            || is_artifact_variable(name)
    }
}

/// Whether a file in the toolchain is no library, or one that nothing but Rust programs are linked with: its
/// name ends in a hash, or in the compiler's version (`libstd-0123456789abcdef.so`,
/// `libLLVM.so.22.1-rust-1.95.0-stable`).
fn is_no_others(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    let is_library = name.split('.').skip(1).any(|part| part == "so");
    let stem = name.strip_suffix(".so").unwrap_or_default();
    let hash = stem.rsplit_once('-').map_or("", |(_, hash)| hash);
    let has_hash = hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    !is_library || has_hash || (name.starts_with("libLLVM") && name.contains("-rust-"))
}

/// Variables by which scripts hear of other packages' (`links`).
fn is_of_dependencies(name: &[u8]) -> bool {
    name.starts_with(b"DEP_") || name.starts_with(b"CARGO_DEP_")
}

/// `CARGO_BIN_FILE_<DEP>…`, `CARGO_CDYLIB_DIR_<DEP>` and their like: artifact dependencies (The
/// Cargo Book, "Unstable features").
fn is_artifact_variable(name: &[u8]) -> bool {
    const KINDS: [&[u8]; 6] = [
        b"BIN_DIR_",
        b"BIN_FILE_",
        b"CDYLIB_DIR_",
        b"CDYLIB_FILE_",
        b"STATICLIB_DIR_",
        b"STATICLIB_FILE_",
    ];
    let rest = name.strip_prefix(b"CARGO_");
    rest.is_some_and(|rest| KINDS.iter().any(|kind| rest.starts_with(kind)))
}

impl Jobserver {
    /// The jobserver that variables tell of.
    fn of(variables: &Variables) -> Option<Self> {
        let mut flags = ["CARGO_MAKEFLAGS", "MAKEFLAGS"].iter();
        flags.find_map(|name| Self::parse(variables.get(OsStr::new(name))?))
    }

    /// Reads the jobserver's address from `CARGO_MAKEFLAGS` or `MAKEFLAGS`; the last one given
    /// counts, as for make.
    #[must_use]
    pub fn parse(flags: &OsStr) -> Option<Self> {
        flags.as_bytes().rsplit(u8::is_ascii_whitespace).find_map(|word| {
            let auth = word
                .strip_prefix(b"--jobserver-auth=")
                .or_else(|| word.strip_prefix(b"--jobserver-fds="))?;
            if let Some(path) = auth.strip_prefix(b"fifo:") {
                return Some(Self::Fifo(PathBuf::from(OsStr::from_bytes(path))));
            }
            let (read, write) = std::str::from_utf8(auth).ok()?.split_once(',')?;
            let (read, write) = (read.parse().ok()?, write.parse().ok()?);
            (read >= 3 && write >= 3).then_some(Self::Pipe { read, write })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobservers_are_read() {
        let parse = |flags: &str| Jobserver::parse(OsStr::new(flags));
        assert_eq!(
            parse("-j --jobserver-fds=6,7 --jobserver-auth=6,7"),
            Some(Jobserver::Pipe { read: 6, write: 7 })
        );
        assert_eq!(
            parse("-j8 --jobserver-auth=fifo:/tmp/GMfifo1"),
            Some(Jobserver::Fifo("/tmp/GMfifo1".into()))
        );
        assert_eq!(parse("--jobserver-auth=-2,-2"), None);
        assert_eq!(parse("--jobserver-auth=0,1"), None);
        assert_eq!(parse("k"), None);
    }

    #[test]
    fn cargo_variables_are_known() {
        for name in ["OUT_DIR", "CARGO_CFG_UNIX", "DEP_Z_API_KEY", "CARGO_BIN_FILE_X_y"] {
            assert!(Unit::is_cargo_variable(OsStr::new(name)), "{name}");
        }
        for name in ["CARGO_REGISTRY_TOKEN", "HOME", "CARGO_HOME"] {
            assert!(!Unit::is_cargo_variable(OsStr::new(name)), "{name}");
        }
    }
}
