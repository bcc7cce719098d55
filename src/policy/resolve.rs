//! From a policy document and a unit to grants: the one place that expands placeholders and paths.

use std::ffi::{OsStr, OsString};
use std::path::{Component, Path, PathBuf};
use std::{fs, io};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, OpenHow, ResolveFlag, openat2};

use super::document::{Document, Rule};
use super::grants::{Grant, Grants, Right};
use crate::preload::protocol::FILE_NAME;
use crate::settings;
use crate::unit::{Jobserver, Unit};

/// A rule that cannot be resolved.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A placeholder that does not exist.
    #[error("{file}:{line}: `{text}` begins with no known placeholder and no `/`")]
    Placeholder {
        /// The policy's file.
        file: String,
        /// The rule's line.
        line: usize,
        /// The rule.
        text: String,
    },
    /// A directory that has to be granted piece by piece cannot be listed.
    #[error("cannot list `{path}`, which a rule of {file}:{line} grants")]
    List {
        /// The directory.
        path: PathBuf,
        /// The policy's file.
        file: String,
        /// The rule's line.
        line: usize,
        /// Cause.
        #[source]
        source: io::Error,
    },
}

/// The directories that are made for one run and removed after it.
#[derive(Clone, Copy, Debug)]
pub struct Private<'a> {
    /// The script's `TMPDIR`.
    pub tmp: &'a Path,
    /// The script's `HOME`: empty. The user's own is not even mentioned to it.
    pub home: &'a Path,
    /// Holds the library that is preloaded, if there is one.
    pub library: Option<&'a Path>,
}

/// Resolves what `document` grants to `unit`, which is given the directories `private`.
/// `users_wrapper` is the compiler wrapper that the user had before ours.
///
/// # Errors
/// See [`Error`].
pub fn resolve(
    document: &Document,
    unit: &Unit,
    private: Private<'_>,
    users_wrapper: Option<&OsStr>,
) -> Result<Grants, Error> {
    let mut grants = Grants {
        policy: document.name.clone(),
        file: document.file.clone(),
        digest: document.digest.clone(),
        library: private.library.map(|directory| directory.join(FILE_NAME)),
        withhold: document.withhold.iter().map(|rule| rule.text.clone()).collect(),
        limits: document.limits,
        ..Grants::default()
    };
    let build_dir = unit.build_dir();
    let closed = build_dir.closed();
    let rules = [
        (Right::Write, &document.files.write),
        (Right::Execute, &document.files.execute),
        (Right::Read, &document.files.read),
    ];
    for (right, rules) in rules {
        for rule in rules {
            for path in expand(rule, document, unit, private)? {
                let Ok(path) = without_links(path) else { continue };
                let list = |source| Error::List {
                    path: path.clone(),
                    file: document.file.clone(),
                    line: rule.line,
                    source,
                };
                without(&path, &closed, right, rule.line, &mut grants.files).map_err(list)?;
            }
        }
    }
    // Every program of the script's loads it, whatever its policy says.
    let grant = |path: &Path| Grant { right: Right::Execute, path: path.to_owned(), line: 0 };
    grants.files.extend(private.library.map(grant));
    grants.files.sort_by(|a, b| (&a.path, a.right, a.line).cmp(&(&b.path, b.right, b.line)));
    grants.files.dedup_by(|a, b| a.path == b.path && a.right == b.right);
    environment(unit, private, users_wrapper, &mut grants);
    Ok(grants)
}

/// The paths that a rule names, none if its placeholder stands for nothing here.
fn expand(
    rule: &Rule,
    document: &Document,
    unit: &Unit,
    private: Private<'_>,
) -> Result<Vec<PathBuf>, Error> {
    let text = rule.text.as_str();
    if text.starts_with('/') {
        return Ok(vec![PathBuf::from(text)]);
    }
    let unknown = || Error::Placeholder {
        file: document.file.clone(),
        line: rule.line,
        text: text.to_owned(),
    };
    let (placeholder, rest) =
        text.strip_prefix('{').and_then(|text| text.split_once('}')).ok_or_else(unknown)?;
    let paths = match placeholder {
        "out-dir" => vec![unit.out_dir.clone()],
        "tmp" => vec![private.tmp.to_owned()],
        "empty-home" => vec![private.home.to_owned()],
        "script" => vec![unit.script.clone()],
        "package" => vec![unit.manifest_dir.clone()],
        "workspace" => outside_home(unit, unit.workspace.iter().cloned()),
        "dep-out-dirs" => unit.dependency_outputs(),
        "toolchain" => unit.toolchain(),
        "cargo-home" => unit.cargo_home().into_iter().collect(),
        "home" => unit.home().into_iter().collect(),
        "path" => outside_home(unit, unit.search_path().into_iter()),
        "jobserver" => match &unit.jobserver {
            Some(Jobserver::Fifo(path)) => vec![path.clone()],
            _ => Vec::new(),
        },
        _ => return Err(unknown()),
    };
    match rest.strip_prefix('/') {
        Some(rest) => Ok(paths.into_iter().map(|path| path.join(rest)).collect()),
        None if rest.is_empty() => Ok(paths),
        None => Err(unknown()),
    }
}

/// The path with every symbolic link followed. Few rules name any: the kernel says so in one call,
/// where following them asks about each part of a path (openat2(2), `RESOLVE_NO_SYMLINKS`).
fn without_links(path: PathBuf) -> io::Result<PathBuf> {
    let plain: PathBuf = path.components().collect();
    if !plain.components().any(|part| part == Component::ParentDir) {
        let how = OpenHow::new()
            .flags(OFlag::O_PATH | OFlag::O_CLOEXEC)
            .resolve(ResolveFlag::RESOLVE_NO_SYMLINKS);
        match openat2(AT_FDCWD, &plain, how) {
            Ok(_) => return Ok(plain),
            Err(errno @ (Errno::ENOENT | Errno::ENOTDIR)) => return Err(errno.into()),
            Err(_) => {}
        }
    }
    fs::canonicalize(path)
}

/// Leaves out the home directory itself and everything above it.
fn outside_home(unit: &Unit, paths: impl Iterator<Item = PathBuf>) -> Vec<PathBuf> {
    let home = unit.home().and_then(|home| fs::canonicalize(home).ok());
    paths
        .filter(|path| {
            let path = fs::canonicalize(path).unwrap_or_else(|_| path.clone());
            path.parent().is_some() && !home.as_ref().is_some_and(|home| home.starts_with(&path))
        })
        .collect()
}

/// Grants `path` without the directories in `closed` that lie below it: Landlock can only add, so a
/// directory that contains one of them may be listed, and what lies beside it is granted piece by
/// piece.
fn without(
    path: &Path,
    closed: &[&Path],
    right: Right,
    line: usize,
    grants: &mut Vec<Grant>,
) -> io::Result<()> {
    if !closed.iter().any(|dir| dir.starts_with(path) && *dir != path) {
        grants.push(Grant { right, path: path.to_owned(), line });
        return Ok(());
    }
    grants.push(Grant { right: Right::List, path: path.to_owned(), line });
    for entry in fs::read_dir(path)? {
        let entry = entry?.path();
        // A link is granted by what it leads to, which is not below this directory or already is.
        if closed.contains(&entry.as_path()) || entry.is_symlink() {
            continue;
        }
        without(&entry, closed, right, line, grants)?;
    }
    Ok(())
}

fn environment(
    unit: &Unit,
    private: Private<'_>,
    users_wrapper: Option<&OsStr>,
    grants: &mut Grants,
) {
    for (name, value) in &unit.variables {
        if settings::is_own_variable(name) {
            continue;
        }
        if !Unit::is_cargo_variable(name) && grants.withholds(name) {
            grants.withheld.push(name.clone());
            continue;
        }
        // Cargo names us here; the script is told of the wrapper that the user had.
        if name == "RUSTC_WRAPPER" {
            if let Some(wrapper) = users_wrapper.filter(|wrapper| !is_daemon_client(wrapper)) {
                grants.environment.push((name.clone(), wrapper.to_owned()));
            }
            continue;
        }
        if !REPLACED.iter().any(|replaced| name == replaced) {
            grants.environment.push((name.clone(), value.clone()));
        }
    }
    let mut give = |name: &str, value: &Path| {
        grants.environment.push((OsString::from(name), value.as_os_str().to_owned()));
    };
    give("TMPDIR", private.tmp);
    give("HOME", private.home);
    // Where these are not set, the toolchain finds its directories by HOME.
    if unit.variable("CARGO_HOME").is_none()
        && let Some(path) = unit.cargo_home().filter(|path| path.is_dir())
    {
        give("CARGO_HOME", &path);
    }
    if unit.variable("RUSTUP_HOME").is_none()
        && let Some(path) = unit.rustup_home().filter(|path| path.is_dir())
    {
        give("RUSTUP_HOME", &path);
    }
}

/// Whether a compiler wrapper hands its work to a daemon, which runs outside the jail and is out of
/// reach from inside: crates that compile C would use it (`cc`, `RUSTC_WRAPPER`) and fail.
#[must_use]
pub fn is_daemon_client(wrapper: &OsStr) -> bool {
    let name = Path::new(wrapper).file_stem().unwrap_or_default();
    ["sccache", "cachepot", "buildcache"].iter().any(|client| name == *client)
}

/// Variables that lead to the user's own files; those that a script needs are given anew
/// (XDG Base Directory Specification).
const REPLACED: &[&str] = &[
    "HOME",
    "TMPDIR",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_RUNTIME_DIR",
    "XDG_STATE_HOME",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::document::{DEFAULT, DEFAULT_FILE};
    use crate::unit::Variables;

    struct Fixture {
        dir: tempfile::TempDir,
        unit: Unit,
    }

    fn fixture(variables: &[(&str, &str)]) -> Fixture {
        let dir = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(dir.path()).unwrap();
        let package = root.join("workspace/package");
        let out = root.join("workspace/target/debug/build/p-1/out");
        fs::create_dir_all(package.join("src")).unwrap();
        fs::create_dir_all(&out).unwrap();
        fs::write(root.join("workspace/target/CACHEDIR.TAG"), "").unwrap();
        fs::write(root.join("workspace/Cargo.toml"), "").unwrap();
        let script = root.join("workspace/target/debug/build/p-1/s.brig-script");
        fs::write(&script, "").unwrap();
        let mut all: Variables = variables.iter().map(|(n, v)| (n.into(), v.into())).collect();
        all.insert("OUT_DIR".into(), out.into());
        all.insert("CARGO_MANIFEST_DIR".into(), package.into());
        all.insert("HOME".into(), root.join("home").into());
        let workspace = Some(root.join("workspace"));
        let unit = Unit::parse(all, &script, vec!["s".into()], workspace).unwrap();
        Fixture { dir, unit }
    }

    fn grants_of(fixture: &Fixture) -> Grants {
        let document = Document::parse(DEFAULT_FILE, DEFAULT).unwrap();
        let path = fixture.dir.path().join("workspace");
        let private = Private { tmp: &path, home: &path, library: None };
        resolve(&document, &fixture.unit, private, None).unwrap()
    }

    #[test]
    fn the_build_directory_is_left_out_of_the_workspace() {
        let fixture = fixture(&[]);
        let document = Document::parse(DEFAULT_FILE, DEFAULT).unwrap();
        let tmp = fixture.dir.path().join("tmp");
        fs::create_dir(&tmp).unwrap();
        let private = Private { tmp: &tmp, home: &tmp, library: None };
        let grants = resolve(&document, &fixture.unit, private, None).unwrap();
        let root = fixture.unit.workspace.clone().unwrap();
        assert!(grants.covers(Right::Read, &root.join("Cargo.toml")));
        assert!(grants.covers(Right::Read, &root.join("package/src/lib.rs")));
        assert!(grants.covers(Right::List, &root));
        assert!(grants.covers(Right::Write, &fixture.unit.out_dir.join("x")));
        assert!(!grants.covers(Right::Read, &root.join("target/debug/.fingerprint/x/y")));
        assert!(!grants.covers(Right::Read, fixture.unit.run_dir().join("output").as_path()));
        assert!(!grants.covers(Right::Write, &root.join("package/src/lib.rs")));
    }

    #[test]
    fn secrets_and_own_variables_are_kept_back() {
        let fixture = fixture(&[
            ("GITHUB_TOKEN", "x"),
            ("CARGO_BRIG_SESSION", "/s"),
            ("DEP_Z_API_KEY", "x"),
            ("RUSTC_WRAPPER", "/bin/cargo-brig"),
            ("TMPDIR", "/tmp"),
            ("MY_FLAG", "1"),
        ]);
        let grants = grants_of(&fixture);
        let names: Vec<&str> =
            grants.environment.iter().filter_map(|(name, _)| name.to_str()).collect();
        for name in ["MY_FLAG", "DEP_Z_API_KEY", "OUT_DIR", "TMPDIR"] {
            assert!(names.contains(&name), "{name} is missing");
        }
        for name in ["GITHUB_TOKEN", "CARGO_BRIG_SESSION", "RUSTC_WRAPPER"] {
            assert!(!names.contains(&name), "{name} is there");
        }
        assert_eq!(grants.withheld, ["GITHUB_TOKEN"]);
    }

    #[test]
    fn an_unknown_placeholder_is_an_error() {
        let fixture = fixture(&[]);
        for rule in ["{nowhere}", "relative", "{tmp}x"] {
            let text = format!("name = \"x\"\n[files]\nread = [\"{rule}\"]");
            let document = Document::parse("p.toml", &text).unwrap();
            let private = Private { tmp: Path::new("/"), home: Path::new("/"), library: None };
            let error = resolve(&document, &fixture.unit, private, None).unwrap_err();
            assert!(error.to_string().starts_with("p.toml:3: "), "{error}");
        }
    }
}
