//! What lints look at: a record with its instructions as typed values, and where its paths lie.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::instruction::{self, Instruction, Kind, Line};
use crate::policy::Builtin;
use crate::policy::placeholders::{Placeholders, is_below};
use crate::process::Exit;
use crate::stored::{Stored, Told};
use crate::unit::Unit;

/// See the file's description.
#[derive(Debug)]
pub struct Subject<'r> {
    /// The record.
    pub stored: &'r Stored<'r>,
    /// Who was run.
    pub unit: Unit,
    /// How its paths are shortened.
    pub known: Placeholders,
    /// What Cargo was told.
    pub instructions: Vec<Instruction>,
    /// What it would have been told, but for the policy.
    pub withheld: Vec<Instruction>,
    /// Where the build lies, in which Cargo looks after everything.
    build_dir: PathBuf,
    /// `registry` and `git` of Cargo's home, which Cargo takes for immutable.
    sources: Vec<PathBuf>,
    /// Paths that others look after: the system's, and those of dependencies.
    of_others: Vec<String>,
    /// See [`Subject::compiled_from`].
    compiled_from: OnceLock<Vec<PathBuf>>,
}

impl<'r> Subject<'r> {
    /// The subject of a record.
    #[must_use]
    pub fn of(stored: &'r Stored<'r>) -> Self {
        let unit = stored.unit.unit();
        let sources = unit.cargo_home().into_iter().flat_map(|home| {
            let real = fs::canonicalize(&home).ok().filter(|real| *real != home);
            [Some(home), real].into_iter().flatten()
        });
        let withheld = stored.withheld_instructions.iter().filter_map(|withheld| {
            match instruction::parse(withheld.line.as_bytes()) {
                Line::Instruction(instruction) => Some(instruction),
                Line::Plain | Line::Invalid(_) => None,
            }
        });
        Self {
            known: Placeholders::of(&unit),
            instructions: stored.instructions.iter().filter_map(Told::instruction).collect(),
            withheld: withheld.collect(),
            build_dir: unit.build_dir().root().to_owned(),
            sources: sources.flat_map(|home| ["registry", "git"].map(|of| home.join(of))).collect(),
            of_others: system(&unit).into_iter().chain(lent(&unit)).collect(),
            compiled_from: OnceLock::new(),
            stored,
            unit,
        }
    }

    /// Whether the script succeeded. If not, Cargo runs it again in any case, and it may not have come
    /// to what it would have printed.
    #[must_use]
    pub fn has_succeeded(&self) -> bool {
        self.stored.exit == Exit::Code(0)
    }

    /// What the script printed, told to Cargo or not.
    pub fn kinds(&self) -> impl Iterator<Item = &Kind> {
        self.instructions.iter().chain(&self.withheld).map(Instruction::kind)
    }

    /// Whether a path is one of those that Cargo never looks at again: a source of its registries or
    /// repositories (`find_stale_file` in its `fingerprint/mod.rs`).
    #[must_use]
    pub fn is_immutable(&self, path: &Path) -> bool {
        self.sources.iter().any(|source| path.starts_with(source))
    }

    /// Whether the package's own files never change: it comes from a registry or a repository, or is a
    /// vendored copy (`cargo vendor`), which Cargo knows by its checksum.
    #[must_use]
    pub fn is_package_immutable(&self) -> bool {
        let package = &self.unit.manifest_dir;
        self.is_immutable(package) || package.join(".cargo-checksum.json").is_file()
    }

    /// Whether a path belongs to the system, the toolchain, the build, a dependency, or Cargo's own
    /// sources: nobody declares it.
    #[must_use]
    pub fn is_of_others(&self, path: &str) -> bool {
        let placeholder = self.known.split(path).map(|(placeholder, _)| placeholder);
        let is_own = matches!(placeholder, Some("{package}"));
        let is_usual = matches!(
            placeholder,
            Some("{out-dir}" | "{tmp}" | "{empty-home}" | "{script}" | "{toolchain}")
        );
        let path = Path::new(path);
        is_usual
            || path.starts_with(&self.build_dir)
            || !is_own
                && (self.is_immutable(path)
                    || self.of_others.iter().any(|of| is_below(&path.to_string_lossy(), of)))
    }

    /// What the script itself was compiled from: Cargo compiles and runs it again when that changes. rustc
    /// lists it in the `.d` file beside the script.
    #[must_use]
    pub fn compiled_from(&self) -> &[PathBuf] {
        self.compiled_from.get_or_init(|| {
            let script = &self.unit.script;
            let name = script.file_name().unwrap_or_default().to_string_lossy();
            let name = name.split('.').next().unwrap_or_default();
            let text = fs::read_to_string(script.with_file_name(format!("{name}.d")));
            let text = text.unwrap_or_default();
            let sources = text.lines().filter_map(|line| line.split_once(": ")).flat_map(|rule| {
                // A blank in a name is written `\ `.
                let names = rule.1.replace("\\ ", "\0");
                let names: Vec<String> =
                    names.split_whitespace().map(|name| name.replace('\0', " ")).collect();
                names
            });
            let root = self.unit.workspace.as_deref().unwrap_or(&self.unit.manifest_dir);
            sources.map(|source| root.join(source)).collect()
        })
    }

    /// The package's `rust-version`.
    #[must_use]
    pub fn rust_version(&self) -> Option<(u64, u64)> {
        let version = self.stored.unit.variables.iter();
        let version = version.clone().find(|(name, _)| &***name == "CARGO_PKG_RUST_VERSION")?.1;
        let mut numbers = version.split('.').map(|number| number.parse().ok());
        Some((numbers.next()??, numbers.next().flatten().unwrap_or(0)))
    }

    /// A path as a policy writes it.
    #[must_use]
    pub fn shorten(&self, path: &str) -> String {
        self.known.shorten(path).into_owned()
    }
}

/// The system's directories: those of the built-in policy, and those that hold programs.
fn system(unit: &Unit) -> Vec<String> {
    let mut system = Builtin::directories();
    system.extend(["/dev", "/sys", "/proc"].map(str::to_owned));
    let path = unit.search_path().into_iter().flat_map(|directory| {
        // A version manager's programs read what lies beside their `bin`.
        let of_a_manager =
            unit.home().filter(|home| directory.starts_with(home)).and_then(|home| {
                let below = directory.strip_prefix(&home).ok()?.components().next()?;
                below.as_os_str().to_string_lossy().starts_with('.').then(|| home.join(below))
            });
        [Some(directory), of_a_manager].into_iter().flatten()
    });
    system.extend(path.filter_map(|path| path.to_str().map(str::to_owned)));
    system
}

/// What dependencies told of by `DEP_*`: their own scripts declare it, and when they run again, so does
/// this one.
fn lent(unit: &Unit) -> Vec<String> {
    let told = unit.variables.iter().filter(|(name, _)| {
        let name = name.to_string_lossy();
        name.starts_with("DEP_") || name.starts_with("CARGO_DEP_")
    });
    let paths = told.flat_map(|(_, value)| {
        let value = value.to_string_lossy();
        let parts: Vec<String> = value.split([':', ';']).map(str::to_owned).collect();
        parts
    });
    paths.filter(|path| path.starts_with('/') && path.len() > 1).collect()
}
