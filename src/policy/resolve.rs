//! From a policy document and a unit to grants: the one place that expands placeholders and paths.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::{fs, io};

use super::document::{Place, Rule};
use super::endpoint::Endpoint;
use super::grants::{Grant, Grants, Hidden, Right};
use super::placeholders::OTHER_PROCESSES;
use super::written::Written;
use super::{Mode, Policy, library_path, pattern};
use crate::preload::protocol::FILE_NAME;
use crate::settings;
use crate::unit::{Jobserver, Unit};

/// A rule that cannot be resolved.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A directory that has to be granted piece by piece cannot be listed.
    #[error("cannot list `{path}`, which a rule of {}:{} grants", .place.file, .place.line)]
    List {
        /// The directory.
        path: PathBuf,
        /// The rule.
        place: Place,
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

/// Resolves what `policy` grants to `unit`, which is given the directories `private`.
/// `users_wrapper` is the compiler wrapper that the user had before ours.
///
/// # Errors
/// See [`Error`].
pub fn resolve(
    policy: Policy,
    unit: &Unit,
    private: Private<'_>,
    users_wrapper: Option<&OsStr>,
) -> Result<Grants, Error> {
    let mut grants = Grants {
        library: private.library.map(|directory| directory.join(FILE_NAME)),
        ..Grants::default()
    };
    let build_dir = unit.build_dir();
    let closed = build_dir.closed();
    let rules = [
        (Right::Write, &policy.write),
        (Right::Execute, &policy.execute),
        (Right::Read, &policy.read),
        (Right::List, &policy.list),
    ];
    let written = Written::new(&policy.write, unit, private, build_dir);
    let mut listed = Listed::new();
    for (right, rules) in rules {
        for rule in rules {
            for path in expand(rule, unit, private) {
                let Ok(path) = written.without_links(&path) else { continue };
                let list =
                    |source| Error::List { path: path.clone(), place: rule.place.clone(), source };
                let grants = (right, &rule.place, &mut grants.files);
                without(&path, &closed, grants, &mut listed).map_err(list)?;
            }
        }
    }
    let own = [unit.out_dir.as_path(), private.tmp].map(|path| written.without_links(path));
    grants.own = own.into_iter().flatten().collect();
    // Every program of the script's loads it, whatever its policy says.
    let grant = |path: &Path| Grant { right: Right::Execute, path: path.to_owned(), place: None };
    grants.files.extend(private.library.map(grant));
    // Of several rules that give the same, the lowest layer's is named: this sort keeps their order.
    grants.files.sort_by(|a, b| (&a.path, a.right).cmp(&(&b.path, b.right)));
    grants.files.dedup_by(|a, b| a.path == b.path && a.right == b.right);
    grants.hidden = hidden(&policy.hide, unit, private);
    // The document was checked for others.
    grants.connect =
        policy.connect.iter().filter_map(|rule| Endpoint::parse(&rule.text).ok()).collect();
    let sockets = policy.unix.iter().flat_map(|rule| expand(rule, unit, private));
    grants.unix = sockets
        .filter_map(|path| match written.without_links(&path) {
            Ok(path) => Some(path),
            // A service may begin to listen later; then it is found under this name.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Some(written.without_links(path.parent()?).ok()?.join(path.file_name()?))
            }
            Err(_) => None,
        })
        .collect();
    grants.policy = policy;
    environment(unit, private, users_wrapper, &mut grants);
    Ok(grants)
}

/// The directories of which `policy` wants a private copy for `unit`, without symbolic links; the rules, and
/// whether a rule lets the script execute all that lies in the directory. One that lies in another is part
/// of that one's copy.
pub(crate) fn redirected(
    policy: &Policy,
    unit: &Unit,
    private: Private<'_>,
) -> Vec<(PathBuf, Place, bool)> {
    let given = policy.execute.iter().flat_map(|rule| expand(rule, unit, private));
    let given: Vec<PathBuf> = given.filter_map(|path| fs::canonicalize(path).ok()).collect();
    let is_given = |path: &Path| given.iter().any(|given| path.starts_with(given));
    let rules = policy.redirect.iter();
    let paths = rules.flat_map(|rule| {
        expand(rule, unit, private).into_iter().map(|path| (path, rule.place.clone()))
    });
    let mut found: Vec<(PathBuf, Place, bool)> = paths
        .filter_map(|(path, place)| Some((fs::canonicalize(path).ok()?, place)))
        .filter(|(path, _)| path.is_dir())
        .map(|(path, place)| {
            let executes = is_given(&path);
            (path, place, executes)
        })
        .collect();
    found.sort();
    found.dedup_by(|inner, outer| inner.0.starts_with(&outer.0));
    found
}

/// The paths that a rule names, none if its placeholder stands for nothing here. Parts with a `*` are
/// looked for among what there is.
pub(super) fn expand(rule: &Rule, unit: &Unit, private: Private<'_>) -> Vec<PathBuf> {
    let text = rule.text.as_str();
    let (roots, rest) = match text.strip_prefix('{').and_then(|text| text.split_once('}')) {
        None => (vec![PathBuf::from("/")], text),
        Some((placeholder, rest)) => {
            let roots = match placeholder {
                "out-dir" => vec![unit.out_dir.clone()],
                "tmp" => vec![private.tmp.to_owned()],
                "empty-home" => vec![private.home.to_owned()],
                "script" => vec![unit.script.clone()],
                "package" => vec![unit.manifest_dir.clone()],
                "workspace" => outside_home(unit, unit.workspace.iter().cloned()),
                "dep-out-dirs" => unit.dependency_outputs(),
                "library-path" => unit.library_path(),
                "toolchain" => unit.toolchain(),
                "cargo-home" => unit.cargo_home().into_iter().collect(),
                "home" => unit.home().into_iter().collect(),
                "path" => outside_home(unit, unit.search_path().into_iter()),
                // The document was checked for others.
                _ => match &unit.jobserver {
                    Some(Jobserver::Fifo(path)) => vec![path.clone()],
                    _ => Vec::new(),
                },
            };
            (roots, rest)
        }
    };
    let rest = rest.trim_start_matches('/');
    if rest.is_empty() {
        return roots;
    }
    if !rest.contains('*') {
        return roots.into_iter().map(|root| root.join(rest)).collect();
    }
    rest.split('/').fold(roots, |paths, part| {
        if !part.contains('*') {
            return paths.into_iter().map(|path| path.join(part)).collect();
        }
        let entries = paths.iter().filter_map(|path| fs::read_dir(path).ok()).flatten().flatten();
        let fits = |name: &OsString| pattern::matches_exactly(part.as_bytes(), name.as_bytes());
        entries.filter(|entry| fits(&entry.file_name())).map(|entry| entry.path()).collect()
    })
}

/// What these rules hide, by the names that they have for it and by its real path.
fn hidden(rules: &[Rule], unit: &Unit, private: Private<'_>) -> Hidden {
    let (processes, rules): (Vec<_>, Vec<_>) =
        rules.iter().partition(|rule| rule.text == OTHER_PROCESSES);
    let named = rules.into_iter().flat_map(|rule| expand(rule, unit, private));
    // The root is home to some users in containers.
    let named = named.filter(|path| path.parent().is_some() || unit.home().as_ref() != Some(path));
    let mut paths: Vec<PathBuf> = named.flat_map(|path| [real_path(&path), path]).collect();
    paths.sort();
    paths.dedup();
    Hidden { paths, other_processes: !processes.is_empty() }
}

/// The path without symbolic links, as far as it exists.
fn real_path(path: &Path) -> PathBuf {
    let exists = |path: &&Path| fs::symlink_metadata(path).is_ok();
    let there = path.ancestors().find(exists).unwrap_or(Path::new("/"));
    let real = fs::canonicalize(there).unwrap_or_else(|_| there.to_owned());
    // Nothing to join would leave a slash at the end.
    match path.strip_prefix(there) {
        Ok(rest) if rest.parent().is_some() => real.join(rest),
        _ => real,
    }
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

/// What lies in directories, but for links, of which more than one rule can want to know.
type Listed = HashMap<PathBuf, Vec<PathBuf>>;

/// Grants `path` without the directories in `closed` that lie below it: Landlock can only add, so a
/// directory that contains one of them may be listed, and what lies beside it is granted piece by
/// piece.
fn without(
    path: &Path,
    closed: &[&Path],
    (right, place, grants): (Right, &Place, &mut Vec<Grant>),
    listed: &mut Listed,
) -> io::Result<()> {
    if !closed.iter().any(|dir| dir.starts_with(path) && *dir != path) {
        grants.push(Grant { right, path: path.to_owned(), place: Some(place.clone()) });
        return Ok(());
    }
    grants.push(Grant { right: Right::List, path: path.to_owned(), place: Some(place.clone()) });
    let entries = match listed.remove(path) {
        Some(entries) => entries,
        None => list(path)?,
    };
    for entry in entries.iter().filter(|entry| !closed.contains(&entry.as_path())) {
        without(entry, closed, (right, place, grants), listed)?;
    }
    listed.insert(path.to_owned(), entries);
    Ok(())
}

/// What lies in a directory. A link is granted by what it leads to, which is not below this directory or
/// already is.
fn list(path: &Path) -> io::Result<Vec<PathBuf>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        // What has gone meanwhile is no link.
        if !entry.file_type().is_ok_and(|kind| kind.is_symlink()) {
            entries.push(entry.path());
        }
    }
    Ok(entries)
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
        if grants.withholds(name) {
            grants.withheld.push(name.clone());
            if !grants.is_permissive() {
                continue;
            }
        }
        // Cargo names us here; the script is told of the wrapper that the user had.
        if name == "RUSTC_WRAPPER" {
            if let Some(wrapper) = users_wrapper.filter(|wrapper| !is_daemon_client(wrapper)) {
                grants.environment.push((name.clone(), wrapper.to_owned()));
            }
            continue;
        }
        if name == library_path::VARIABLE && replaces(&grants.policy, library_path::VARIABLE) {
            if let Some(value) = library_path::shortened(value, unit, grants) {
                grants.environment.push((name.clone(), value));
            }
            continue;
        }
        let is_replaced = |replaced: &&str| name == *replaced && replaces(&grants.policy, replaced);
        if !REPLACED.iter().any(is_replaced) {
            grants.environment.push((name.clone(), value.clone()));
        }
    }
    let mut give = |name: &str, value: &Path| {
        grants.environment.push((OsString::from(name), value.as_os_str().to_owned()));
    };
    for (name, path) in [("TMPDIR", private.tmp), ("HOME", private.home)] {
        if replaces(&grants.policy, name) || unit.variable(name).is_none() {
            give(name, path);
        }
    }
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
    // What Cargo sets says what is built, and is for nobody to change.
    for (name, value) in &grants.policy.set {
        let name = OsStr::new(&name.text);
        if !Unit::is_cargo_variable(name) && !settings::is_own_variable(name) {
            grants.environment.retain(|(other, _)| other != name);
            grants.environment.push((name.to_owned(), value.into()));
        }
    }
}

/// Whether a variable that leads to the user's own files is replaced. The one that says where to write
/// is, if that alone is denied.
fn replaces(policy: &Policy, name: &str) -> bool {
    !policy.names(name) && (policy.mode == Mode::Enforce || name == "TMPDIR")
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
pub const REPLACED: &[&str] = &[
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
    use crate::policy::Layers;
    use crate::policy::document::Document;
    use crate::policy::layers::{Layer, Owner};
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

    /// The built-in policy with a document above it.
    fn policy(fixture: &Fixture, text: &str) -> Policy {
        let document = Document::parse("p.toml", text).unwrap();
        let layers = Layers::of(vec![Layer { owner: Owner::Named, document }], None).unwrap();
        Policy::of(&layers, &fixture.unit.package, &fixture.unit.version)
    }

    fn grants_of(fixture: &Fixture) -> Grants {
        let path = fixture.dir.path().join("workspace");
        let private = Private { tmp: &path, home: &path, library: None };
        resolve(policy(fixture, ""), &fixture.unit, private, None).unwrap()
    }

    #[test]
    fn the_build_directory_is_left_out_of_the_workspace() {
        let fixture = fixture(&[]);
        let tmp = fixture.dir.path().join("tmp");
        fs::create_dir(&tmp).unwrap();
        let private = Private { tmp: &tmp, home: &tmp, library: None };
        let grants = resolve(policy(&fixture, ""), &fixture.unit, private, None).unwrap();
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
    fn variables_are_passed_withheld_and_set_by_rule() {
        let fixture = fixture(&[
            ("MY_TOKEN", "x"),
            ("OTHER_TOKEN", "x"),
            ("PATH", "/bin"),
            ("EDITOR", "x"),
            ("CARGO_REGISTRY_TOKEN", "x"),
            ("CARGO_PKG_NAME", "p"),
        ]);
        let text = "extends = \"strict\"\n[environment]\npass = [\"MY_TOKEN\", \"HOME\"]\n\
                    set = { CFLAGS = \"-O1\", OUT_DIR = \"/x\" }";
        let root = fixture.dir.path();
        let private = Private { tmp: root, home: root, library: None };
        let grants = resolve(policy(&fixture, text), &fixture.unit, private, None).unwrap();
        let value = |name: &str| {
            let found = grants.environment.iter().filter(|(other, _)| other == name);
            let values: Vec<_> = found.map(|(_, value)| value.to_str().unwrap()).collect();
            assert!(values.len() < 2, "{name} {values:?}");
            values.first().map(|value| (*value).to_owned())
        };
        let home = fixture.unit.home().unwrap();
        assert_eq!(value("HOME").as_deref(), home.to_str());
        assert_eq!(value("MY_TOKEN").as_deref(), Some("x"));
        assert_eq!(value("CFLAGS").as_deref(), Some("-O1"));
        assert_eq!(value("PATH").as_deref(), Some("/bin"));
        assert_ne!(value("OUT_DIR").as_deref(), Some("/x"));
        assert_eq!(grants.withheld, ["CARGO_REGISTRY_TOKEN", "EDITOR", "OTHER_TOKEN"]);
    }

    #[test]
    fn what_is_hidden_is_hidden_by_all_its_names() {
        let fixture = fixture(&[]);
        let root = fs::canonicalize(fixture.dir.path()).unwrap();
        fs::create_dir_all(root.join("home/real")).unwrap();
        std::os::unix::fs::symlink(root.join("home"), root.join("users")).unwrap();
        let text = format!(
            "[files]\nhide = [\"{}/users/re*\", \"{{home}}/absent/x\", \"{{other-processes}}\"]",
            root.display()
        );
        let tmp = root.join("home/real/tmp");
        fs::create_dir(&tmp).unwrap();
        let private = Private { tmp: &tmp, home: &tmp, library: None };
        let grants = resolve(policy(&fixture, &text), &fixture.unit, private, None).unwrap();
        for (path, expected) in [
            ("users/real/x", true),
            ("home/real/x", true),
            ("home/absent/x", true),
            ("home/absent", false),
            ("home/other", false),
            ("home/real/tmp/x", false),
            ("home/real", false),
        ] {
            assert_eq!(grants.hides(&root.join(path)), expected, "{path}");
        }
        assert!(grants.hidden.other_processes);
    }

    #[test]
    fn stars_in_paths_stand_for_what_there_is() {
        let fixture = fixture(&[]);
        let root = fs::canonicalize(fixture.dir.path()).unwrap();
        for directory in ["data/a1/x", "data/a2/x", "data/b/x", "data/a3"] {
            fs::create_dir_all(root.join(directory)).unwrap();
        }
        let text = format!("[files]\nread = [\"{}/data/a*/x\"]", root.display());
        let tmp = root.join("home");
        let private = Private { tmp: &tmp, home: &tmp, library: None };
        let grants = resolve(policy(&fixture, &text), &fixture.unit, private, None).unwrap();
        let data = root.join("data");
        let below = grants.files.iter().filter_map(|grant| grant.path.strip_prefix(&data).ok());
        let granted: Vec<_> = below.filter(|path| !path.as_os_str().is_empty()).collect();
        assert_eq!(granted, [Path::new("a1/x"), Path::new("a2/x")]);
    }
}
