//! What a script declared to depend on, as Cargo understands it (`local_fingerprints_deps` and
//! `find_stale_file` in Cargo's `fingerprint/mod.rs`).

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};

use super::subject::Subject;
use crate::instruction::Kind;

/// See the file's description.
#[derive(Debug, Default)]
pub struct Declared {
    /// As printed.
    pub paths: BTreeSet<String>,
    /// By name.
    pub variables: BTreeSet<String>,
    /// The paths, absolute, and what they lead to. A directory stands for everything below it.
    places: BTreeSet<PathBuf>,
}

impl Declared {
    /// What was declared in a run; a declaration that the policy held back was one all the same.
    #[must_use]
    pub fn of(subject: &Subject<'_>) -> Self {
        let mut declared = Self::default();
        for kind in subject.kinds() {
            match kind {
                Kind::RerunIfChanged(path) => {
                    let place = place(&subject.unit.manifest_dir, path);
                    declared.places.extend(fs::canonicalize(&place));
                    declared.places.insert(place);
                    declared.paths.insert(path.clone());
                }
                Kind::RerunIfEnvChanged(name) => {
                    declared.variables.insert(name.clone());
                }
                _ => {}
            }
        }
        declared
    }

    /// Whether nothing was declared: then everything in the package counts, and nothing else.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.paths.is_empty() && self.variables.is_empty()
    }

    /// Whether a declared path is this one, or a directory above it.
    #[must_use]
    pub fn covers(&self, path: &Path) -> bool {
        path.ancestors().any(|above| self.places.contains(above))
    }

    /// Whether a declared path lies in this directory.
    #[must_use]
    pub fn has_below(&self, directory: &Path) -> bool {
        self.places.iter().any(|place| place.starts_with(directory))
    }
}

/// A declared path, which is relative to the package, without `.` and `..`.
#[must_use]
pub fn place(package: &Path, declared: &str) -> PathBuf {
    let mut place = PathBuf::new();
    for component in package.join(declared).components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                place.pop();
            }
            other => place.push(other),
        }
    }
    place
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_in_the_package_unless_absolute() {
        for (declared, expected) in [
            ("a/b", "/p/é/a/b"),
            ("", "/p/é"),
            (".", "/p/é"),
            ("../x/./y", "/p/x/y"),
            ("/a/../b", "/b"),
        ] {
            assert_eq!(place(Path::new("/p/é"), declared), Path::new(expected), "{declared}");
        }
    }

    #[test]
    fn a_directory_covers_what_is_below_it() {
        let places = ["/p/src", "/p/a.c"].map(PathBuf::from).into();
        let declared = Declared { places, ..Declared::default() };
        for (path, expected) in
            [("/p/src/x/y.c", true), ("/p/src", true), ("/p/a.c", true), ("/p/srcs", false)]
        {
            assert_eq!(declared.covers(Path::new(path)), expected, "{path}");
        }
    }
}
