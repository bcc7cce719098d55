//! What a script read, against what it declared: is it run again when it has to, and only then?

use std::collections::BTreeSet;
use std::path::Path;

use super::declared::{Declared, place};
use super::subject::Subject;
use super::{Code, Lint};
use crate::access::Kind;
use crate::stored::StoredOutcome;
use crate::unit::Unit;

/// Files by which programs find out which toolchain is meant, or how Cargo is set up; a change of either
/// makes Cargo build again in any case.
const OF_THE_TOOLCHAIN: [&str; 4] =
    ["rust-toolchain", "rust-toolchain.toml", ".cargo/config", ".cargo/config.toml"];

/// Variables of the machine, the terminal, the loader and the runtimes: they say where and how a
/// program runs, not what it makes. `RUSTFLAGS` is one that Cargo looks after itself.
const OF_THE_MACHINE: &[&str] = &[
    "CLICOLOR",
    "CLICOLOR_FORCE",
    "COLORTERM",
    "FORCE_COLOR",
    "GLIBC_TUNABLES",
    "HOME",
    "LANG",
    "LANGUAGE",
    "LOGNAME",
    "MAKEFLAGS",
    "MFLAGS",
    "NO_COLOR",
    "OLDPWD",
    "PATH",
    "PWD",
    "RUSTFLAGS",
    "RUSTUP_HOME",
    "RUSTUP_TOOLCHAIN",
    "RUST_BACKTRACE",
    "RUST_LIB_BACKTRACE",
    "RUST_LOG",
    "RUST_MIN_STACK",
    "SHELL",
    "TEMP",
    "TERM",
    "TMP",
    "TMPDIR",
    "TZ",
    "TZDIR",
    "USER",
];

/// Beginnings of the names of such variables.
const FAMILIES_OF_THE_MACHINE: [&str; 5] = ["CARGO_", "LC_", "LD_", "MALLOC_", "XDG_"];

/// Declared paths that do not exist.
#[must_use]
pub fn missing(subject: &Subject<'_>) -> Option<Lint> {
    let package = &subject.unit.manifest_dir;
    if !subject.has_succeeded() || !package.is_dir() {
        return None;
    }
    let declared = Declared::of(subject);
    let missing = declared.paths.into_iter().filter(|path| {
        let path = package.join(path);
        // Cargo does not look there.
        !subject.is_immutable(&path) && !path.exists()
    });
    let items = missing.map(|path| subject.shorten(&place(package, &path).to_string_lossy()));
    Lint::about(
        Code::RerunsAlways,
        "declares with `rerun-if-changed` what does not exist, and so runs in every build",
        items.collect(),
    )
}

/// A package that can change, and nothing that is declared.
#[must_use]
pub fn nothing_declared(subject: &Subject<'_>) -> Option<Lint> {
    let is_meant = subject.has_succeeded()
        && !subject.is_package_immutable()
        && Declared::of(subject).is_nothing();
    is_meant.then(|| Lint {
        code: Code::RerunsOnAnyChange,
        message: "declares nothing that it depends on, and so runs again after any change in its \
                  package"
            .to_owned(),
        items: Vec::new(),
    })
}

/// Files that were read and not declared.
#[must_use]
pub fn files(subject: &Subject<'_>) -> Option<Lint> {
    if !subject.has_succeeded() {
        return None;
    }
    let declared = Declared::of(subject);
    let package = &subject.unit.manifest_dir;
    let accesses = subject
        .stored
        .accesses
        .iter()
        .filter(|access| access.outcome == StoredOutcome::Allowed && access.path_hex.is_none());
    let made: BTreeSet<&str> = accesses
        .clone()
        .filter(|access| matches!(access.kind, Kind::Create | Kind::Write))
        .map(|access| &*access.path)
        .collect();
    // If nothing is declared, Cargo looks at the whole package, and at nothing else.
    let is_package_known = subject.is_package_immutable() || declared.is_nothing();
    let is_known = |path: &Path| {
        let is_of_the_package = is_package_known && path.starts_with(package);
        is_of_the_package
            || declared.covers(path)
            || OF_THE_TOOLCHAIN.iter().any(|name| path.ends_with(name))
            || subject.compiled_from().iter().any(|source| source == path)
    };
    let read = accesses.filter(|access| {
        let path = Path::new(&*access.path);
        let is_input = match access.kind {
            Kind::Read => true,
            Kind::Execute => path.starts_with(package),
            _ => false,
        };
        let is_made = made.contains(&*access.path);
        is_input && !is_made && !subject.is_of_others(&access.path) && !is_known(path)
    });
    let undeclared = read.filter_map(|access| match repository(&access.path) {
        // Whoever declares its `HEAD` knows what it is about.
        Some(repository) if declared.has_below(Path::new(repository)) => None,
        Some(repository) => Some(subject.shorten(repository)),
        None => Some(subject.shorten(&access.path)),
    });
    Lint::about(
        Code::UndeclaredFile,
        "read what no `rerun-if-changed` covers, and so does not run again when it changes",
        undeclared.collect(),
    )
}

/// The repository that a file of git's belongs to: there are many of them, and they change together.
fn repository(path: &str) -> Option<&str> {
    let at = path.find("/.git/")?;
    Some(&path[..at + "/.git".len()])
}

/// Variables that the script itself asked for and did not declare. What its compilers ask for, it
/// cannot know.
#[must_use]
pub fn variables(subject: &Subject<'_>) -> Option<Lint> {
    if !subject.has_succeeded() {
        return None;
    }
    let declared = Declared::of(subject);
    let asked = subject.stored.environment.iter().flat_map(|environment| &environment.asked);
    let undeclared = asked
        .filter(|asked| asked.processes.contains(&0))
        .map(|asked| asked.name.to_string())
        .filter(|name| !declared.variables.contains(name) && !is_of_the_machine(name));
    Lint::about(
        Code::UndeclaredVariable,
        "asked for variables that no `rerun-if-env-changed` names, and so does not run again when they \
         change",
        undeclared.collect(),
    )
}

fn is_of_the_machine(name: &str) -> bool {
    Unit::is_cargo_variable(name.as_ref())
        || OF_THE_MACHINE.contains(&name)
        || FAMILIES_OF_THE_MACHINE.iter().any(|family| name.starts_with(family))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_is_one_thing() {
        assert_eq!(repository("/a/.git/refs/x"), Some("/a/.git"));
        assert_eq!(repository("/a/.gitignore"), None);
    }

    #[test]
    fn nobody_declares_the_machine() {
        assert!(OF_THE_MACHINE.is_sorted());
        for name in ["PATH", "LC_ALL", "CARGO_HOME", "OPT_LEVEL", "DEP_Z_ROOT"] {
            assert!(is_of_the_machine(name), "{name}");
        }
        for name in ["CC", "CFLAGS", "PKG_CONFIG_PATH", "SOURCE_DATE_EPOCH", "DOCS_RS"] {
            assert!(!is_of_the_machine(name), "{name}");
        }
    }
}
