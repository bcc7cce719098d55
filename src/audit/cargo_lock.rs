//! `Cargo.lock`: where packages come from, with which checksums, and by which way they are brought in.
//!
//! Read without asking Cargo: `cargo metadata` would download what other platforms need.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::{fs, io};

use serde::Deserialize;
use serde_json::Value;

use super::formats::uri;
use super::report::Location;

/// A `Cargo.lock` that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read.
    #[error("cannot read `{}`", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// It is no `Cargo.lock`.
    #[error("`{}` is damaged", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: Box<toml::de::Error>,
    },
}

#[derive(Debug, Deserialize)]
struct Written {
    #[serde(default)]
    package: Vec<Locked>,
}

/// One package of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Locked {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Where it comes from; none of a path's.
    pub source: Option<String>,
    /// The checksum of its archive.
    pub checksum: Option<String>,
    /// `name`, `name version` or `name version (source)`, as far as needed.
    #[serde(default)]
    pub dependencies: Vec<String>,
    /// Its line, from 1.
    #[serde(skip)]
    pub line: usize,
}

impl Locked {
    fn title(&self) -> String {
        format!("{} v{}", self.name, self.version)
    }
}

/// See the file's description.
#[derive(Debug, Default)]
pub struct CargoLock {
    packages: Vec<Locked>,
    /// For each package, the one by which it is reached first, if any.
    through: Vec<Option<usize>>,
}

/// A package of the workspace, as `cargo metadata --no-deps` tells of it.
#[derive(Debug)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its `Cargo.toml`.
    pub manifest: PathBuf,
    /// Its dependencies' keys in the manifest, by their names.
    keys: BTreeMap<String, String>,
}

impl Member {
    /// All of a workspace's.
    #[must_use]
    pub fn all_in(metadata: &Value) -> Vec<Self> {
        let text = |of: &Value, key: &str| of.get(key)?.as_str().map(str::to_owned);
        let packages = metadata.get("packages").and_then(Value::as_array).into_iter().flatten();
        packages
            .filter_map(|package| {
                let dependencies = package.get("dependencies").and_then(Value::as_array);
                let keys = dependencies.into_iter().flatten().filter_map(|dependency| {
                    let name = text(dependency, "name")?;
                    Some((name.clone(), text(dependency, "rename").unwrap_or(name)))
                });
                Some(Self {
                    name: text(package, "name")?,
                    version: text(package, "version")?,
                    manifest: text(package, "manifest_path")?.into(),
                    keys: keys.collect(),
                })
            })
            .collect()
    }

    /// The line of the manifest that names a dependency.
    fn line_of(&self, dependency: &str) -> Option<usize> {
        let key = self.keys.get(dependency)?;
        let text = fs::read_to_string(&self.manifest).ok()?;
        let is_it = |line: &str| {
            let line = line.trim_start();
            if let Some(table) = line.strip_prefix('[') {
                let table = table.trim_start_matches('[').split(']').next().unwrap_or_default();
                return table
                    .rsplit_once("dependencies.")
                    .is_some_and(|(_, name)| name.trim_matches(|c| c == '"' || c == '\'') == key);
            }
            let line = line.trim_start_matches(['"', '\'']);
            line.strip_prefix(key.as_str()).is_some_and(|rest| {
                rest.trim_start_matches(['"', '\'']).trim_start().starts_with(['=', '.'])
            })
        };
        // What stands before the first table of dependencies is about the package itself.
        let mut in_dependencies = false;
        for (index, line) in text.lines().enumerate() {
            if line.trim_start().starts_with('[') {
                in_dependencies = line.contains("dependencies");
            }
            if in_dependencies && is_it(line) {
                return Some(index + 1);
            }
        }
        None
    }
}

impl CargoLock {
    /// Reads it; an empty one if there is none.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn read(path: &Path, members: &[Member]) -> Result<Self, Error> {
        match fs::read_to_string(path) {
            Ok(text) => Self::parse(&text, members)
                .map_err(|source| Error::Damaged { path: path.to_owned(), source: source.into() }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(source) => Err(Error::Read { path: path.to_owned(), source }),
        }
    }

    fn parse(text: &str, members: &[Member]) -> Result<Self, toml::de::Error> {
        let Written { package: mut packages } = toml::from_str(text)?;
        let lines = text.lines().enumerate().filter(|(_, line)| line.trim() == "[[package]]");
        for (package, (line, _)) in packages.iter_mut().zip(lines) {
            package.line = line + 1;
        }
        let mut lock = Self { through: vec![None; packages.len()], packages };
        lock.walk(members);
        Ok(lock)
    }

    /// Finds the shortest way to each package.
    fn walk(&mut self, members: &[Member]) {
        let mut by_name: HashMap<&str, Vec<usize>> = HashMap::new();
        for (index, package) in self.packages.iter().enumerate() {
            by_name.entry(&package.name).or_default().push(index);
        }
        let is_member = |package: &Locked| {
            let same =
                |member: &Member| member.name == package.name && member.version == package.version;
            package.source.is_none() && members.iter().any(same)
        };
        let mut reached: Vec<bool> = self.packages.iter().map(is_member).collect();
        let mut next: VecDeque<usize> = (0..reached.len()).filter(|i| reached[*i]).collect();
        while let Some(index) = next.pop_front() {
            for dependency in &self.packages[index].dependencies {
                let mut words = dependency.split(' ');
                let (name, version) = (words.next().unwrap_or_default(), words.next());
                let source = words.next().map(|source| source.trim_matches(['(', ')']));
                for found in by_name.get(name).into_iter().flatten() {
                    let package = &self.packages[*found];
                    let fits = version.is_none_or(|version| package.version == version)
                        && source.is_none_or(|source| {
                            package.source.as_deref().is_some_and(|of| of.starts_with(source))
                        });
                    if fits && !reached[*found] {
                        reached[*found] = true;
                        self.through[*found] = Some(index);
                        next.push_back(*found);
                    }
                }
            }
        }
    }

    /// Every package.
    #[must_use]
    pub fn packages(&self) -> &[Locked] {
        &self.packages
    }

    /// A package, of the source that Cargo's identifier `id` speaks of; of any if there is no identifier.
    #[must_use]
    pub fn find(&self, name: &str, version: &str, id: Option<&str>) -> Option<usize> {
        self.packages.iter().position(|package| {
            let is_named = package.name == name && package.version == version;
            is_named && id.is_none_or(|id| is_of_source(id, package.source.as_deref()))
        })
    }

    /// The way to a package, its own name last.
    #[must_use]
    pub fn path_to(&self, package: usize) -> Vec<String> {
        let mut path = vec![self.packages[package].title()];
        let mut next = self.through[package];
        while let Some(index) = next {
            path.push(self.packages[index].title());
            next = self.through[index];
        }
        path.reverse();
        path
    }

    /// The line of a member's manifest that brings a package in; of a member the manifest itself.
    #[must_use]
    pub fn manifest_of(&self, package: usize, members: &[Member], root: &Path) -> Option<Location> {
        let (mut first, mut dependency) = (package, None);
        while let Some(index) = self.through[first] {
            dependency = Some(first);
            first = index;
        }
        let locked = &self.packages[first];
        let is_it =
            |member: &&Member| member.name == locked.name && member.version == locked.version;
        let member = members.iter().find(is_it).filter(|_| locked.source.is_none())?;
        let line = match dependency {
            Some(dependency) => member.line_of(&self.packages[dependency].name)?,
            None => 1,
        };
        Some(Location { file: relative(&member.manifest, root), line })
    }
}

/// Whether Cargo's identifier (`registry+https://…#name@version`) speaks of a source as `Cargo.lock` has it,
/// where a Git revision stands behind the `#`.
fn is_of_source(id: &str, source: Option<&str>) -> bool {
    let Some(source) = source else { return id.starts_with("path+") };
    let of_id = id.rsplit_once('#').map_or(id, |(source, _)| source);
    let place = source.rsplit_once('#').map_or(source, |(place, _)| place);
    // Lock files before version 4 have the name of a branch as it is.
    let encoded = || {
        let (url, reference) = place.split_once('?')?;
        let (kind, name) = reference.split_once('=')?;
        Some(format!("{url}?{kind}={}", uri::path(name).replace('/', "%2F")))
    };
    of_id == place || encoded().is_some_and(|place| of_id == place)
}

/// A path below the workspace's root, as reports speak of it.
#[must_use]
pub fn relative(path: &Path, root: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str = r#"version = 4

[[package]]
name = "hull"
version = "0.2.0"
source = "registry+https://github.com/rust-lang/crates.io-index"
checksum = "aa"
dependencies = ["keel 1.0.0"]

[[package]]
name = "keel"
version = "1.0.0"
source = "registry+https://github.com/rust-lang/crates.io-index"

[[package]]
name = "keel"
version = "2.0.0"
source = "git+https://example.org/keel?branch=main#0123"

[[package]]
name = "ship"
version = "0.1.0"
dependencies = ["hull", "keel 2.0.0"]
"#;

    #[test]
    fn the_way_to_a_package_and_its_line_are_found() {
        let dir = tempfile::tempdir().unwrap();
        let manifest = dir.path().join("Cargo.toml");
        let text = "[package]\nname = \"ship\"\nkeel = 1\n\n[dependencies]\nbody = { package = \
                    \"hull\" }\n[target.'cfg(unix)'.dependencies.keel]\nversion = \"2\"\n";
        fs::write(&manifest, text).unwrap();
        let keys = [("hull", "body"), ("keel", "keel")];
        let keys = keys.map(|(name, key)| (name.to_owned(), key.to_owned()));
        let members = [Member {
            name: "ship".to_owned(),
            version: "0.1.0".to_owned(),
            manifest,
            keys: keys.into(),
        }];
        let lock = CargoLock::parse(LOCK, &members).unwrap();
        let find = |name, version| lock.find(name, version, None).unwrap();
        let old = find("keel", "1.0.0");
        assert_eq!(lock.path_to(old), ["ship v0.1.0", "hull v0.2.0", "keel v1.0.0"]);
        assert_eq!(lock.path_to(find("keel", "2.0.0")), ["ship v0.1.0", "keel v2.0.0"]);
        assert_eq!((lock.packages()[old].line, find("hull", "0.2.0")), (10, 0));
        let line = |package| lock.manifest_of(package, &members, dir.path()).unwrap();
        assert_eq!(line(old), Location { file: "Cargo.toml".to_owned(), line: 6 });
        assert_eq!(line(find("keel", "2.0.0")).line, 7);
        assert_eq!(line(find("ship", "0.1.0")).line, 1);
        let id = "git+https://example.org/keel?branch=main#keel@2.0.0";
        assert_eq!(lock.find("keel", "2.0.0", Some(id)), Some(2));
        for other in [
            "git+https://example.org/keel#2.0.0",
            "git+https://example.org/keel?branch=mai#keel@2.0.0",
            "git+https://example.org/keel-evil?branch=main#keel@2.0.0",
            "registry+https://example.org/keel?branch=main#keel@2.0.0",
            "path+file:///src/keel#2.0.0",
        ] {
            assert_eq!(lock.find("keel", "2.0.0", Some(other)), None, "{other}");
        }
        assert_eq!(lock.find("ship", "0.1.0", Some("path+file:///src/ship#0.1.0")), Some(3));
        let old = Some("git+https://example.org/keel?branch=a/b#0123");
        assert!(is_of_source("git+https://example.org/keel?branch=a%2Fb#keel@2.0.0", old));
        assert!(!is_of_source("git+https://example.org/keel?branch=a%2Fc#keel@2.0.0", old));
        assert_eq!(lock.find("mast", "1.0.0", None), None);
    }
}
