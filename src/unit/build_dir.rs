//! Cargo's build directory, as one unit sees it: where it begins, what in it is nobody's business,
//! and which paths in it are outputs that a script may be lent.
//!
//! Everything below it was written by rustc or by scripts, and a script can plant symbolic links: a
//! path is judged by what it leads to, never by its letters.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::record;

/// The build directory ("Build cache", The Cargo Book): `[TARGET/]PROFILE/build/…/out` below `root`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildDir {
    /// Its root, without symbolic links.
    root: PathBuf,
    /// The profile's directory, in which units, fingerprints and libraries lie.
    profile: PathBuf,
    /// The ways in which variables spell the root.
    spellings: Vec<PathBuf>,
}

impl BuildDir {
    /// The build directory that `out_dir` (without symbolic links) lies in: a script's `OUT_DIR`, or where
    /// Cargo has crates compiled to. `as_given` is what Cargo
    /// calls it, and `target` the triple that is built for.
    ///
    /// Cargo marks the root with `CACHEDIR.TAG`, unless somebody had made the directory before; then
    /// its layout tells. It marks the directory of a target as well: then the root is above that, where the
    /// scripts themselves were compiled for the host. An `OUT_DIR` of another build tool has its own parent for a root.
    #[must_use]
    pub fn of(out_dir: &Path, as_given: &Path, target: Option<&str>) -> Self {
        let above = || out_dir.ancestors().skip(1);
        let named = |dir: &Path, name: &str| dir.file_name() == Some(OsStr::new(name));
        let is_of_crates = |dir: &&Path| named(dir, "deps") || named(dir, "examples");
        let built = above().find(|dir| named(dir, "build"));
        let built = built.or_else(|| Some(out_dir).filter(is_of_crates)).and_then(Path::parent);
        let by_layout = || {
            let above = built?.parent()?;
            let is_target = target.is_some_and(|target| named(above, target));
            if is_target { above.parent() } else { Some(above) }
        };
        let is_marked = |dir: &Path| dir.join("CACHEDIR.TAG").is_file();
        let marked = above().find(|dir| is_marked(dir)).map(|marked| {
            let has_scripts = |dir: &Path| {
                let profile = built.and_then(Path::file_name);
                profile.is_some_and(|profile| dir.join(profile).join("build").is_dir())
            };
            let is_target = target.is_some_and(|target| named(marked, target));
            let root = marked.parent().filter(|root| is_marked(root) || has_scripts(root));
            root.filter(|_| is_target).unwrap_or(marked)
        });
        let root = marked.or_else(by_layout).or_else(|| out_dir.parent()).unwrap_or(out_dir);
        let profile = built.filter(|profile| profile.starts_with(root)).unwrap_or(root);
        let mut spellings = vec![root.to_owned()];
        let depth = out_dir.components().count() - root.components().count();
        if let Some(spelling) = as_given.ancestors().nth(depth)
            && spelling != root
            && fs::canonicalize(spelling).is_ok_and(|path| path == root)
        {
            spellings.push(spelling.to_owned());
        }
        Self { root: root.to_owned(), profile: profile.to_owned(), spellings }
    }

    /// Its root, without symbolic links: scripts write below it.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The directories whose contents no rule about a larger directory grants: they hold other
    /// packages' outputs, and fingerprints with the values of variables.
    #[must_use]
    pub fn closed(&self) -> [&Path; 2] {
        [&self.root, &self.profile]
    }

    /// The directory for the records of compilations, if this is a build directory of Cargo's.
    #[must_use]
    pub fn compilations(&self) -> Option<PathBuf> {
        (self.profile != self.root).then(|| self.profile.join(record::COMPILATIONS))
    }

    /// Whether something in a profile's directory that is Cargo's own, or this program's, lies there: outputs
    /// of scripts and of other crates, fingerprints, records.
    #[must_use]
    pub fn is_inner(&self, path: &Path) -> bool {
        let names = ["build", ".fingerprint", record::COMPILATIONS];
        let within = path.strip_prefix(&self.root).unwrap_or(Path::new(""));
        within.iter().any(|part| names.iter().any(|name| part == *name))
    }

    /// The `OUT_DIR`s that a value names; it can hold several paths, joined by whatever the package
    /// likes.
    #[must_use]
    pub fn out_dirs_in(&self, value: &OsStr) -> Vec<PathBuf> {
        let value = value.as_bytes();
        let mut found = Vec::new();
        for root in &self.spellings {
            let root = root.as_os_str().as_bytes();
            for start in 0..value.len().saturating_sub(root.len()) {
                if !value[start..].starts_with(root) {
                    continue;
                }
                // Where the path ends cannot be told from its letters: `…/build/outer-1/out/lib`.
                let ends = (start + root.len()..value.len())
                    .filter(|end| value[*end..].starts_with(b"/out"))
                    .map(|end| end + b"/out".len());
                let mut paths = ends.map(|end| Path::new(OsStr::from_bytes(&value[start..end])));
                found.extend(paths.find_map(|path| self.out_dir_around(path)));
            }
        }
        found.sort();
        found.dedup();
        found
    }

    /// Where a path leads, if that is where Cargo puts artifact dependencies: the configuration of a
    /// workspace can set any variable.
    #[must_use]
    pub fn artifact(&self, path: &Path) -> Option<PathBuf> {
        let path = fs::canonicalize(path).ok()?;
        let within = path.strip_prefix(&self.root).ok()?;
        within.iter().any(|name| name == "artifact").then_some(path)
    }

    /// A directory of `LD_LIBRARY_PATH` that holds what this build made: `deps` of a profile, or a
    /// directory in an `OUT_DIR`. Without symbolic links.
    #[must_use]
    pub fn library_dir(&self, path: &Path) -> Option<PathBuf> {
        let path = fs::canonicalize(path).ok()?;
        let within: Vec<&OsStr> = path.strip_prefix(&self.root).ok()?.iter().collect();
        let is_deps = matches!(within[..], [_, deps] | [_, _, deps] if deps == "deps");
        (is_deps || self.out_dir_around(&path).is_some()).then_some(path)
    }

    /// The `OUT_DIR` that a path leads into: `[TARGET/]PROFILE/build/PACKAGE-HASH/out`, or
    /// `…/build/PACKAGE/HASH/out` in nightly's layout.
    #[must_use]
    pub fn out_dir_around(&self, path: &Path) -> Option<PathBuf> {
        let path = fs::canonicalize(path).ok()?;
        let within: Vec<&OsStr> = path.strip_prefix(&self.root).ok()?.iter().collect();
        let build = within.iter().take(3).position(|name| *name == "build")?;
        let out = [2, 3].into_iter().map(|after| build + after);
        let out = out.into_iter().find(|at| within.get(*at).is_some_and(|name| *name == "out"))?;
        let mut out_dir = self.root.clone();
        out_dir.extend(&within[..=out]);
        out_dir.is_dir().then_some(out_dir)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// A build directory with these `OUT_DIR`s, the first one being the unit's own.
    fn build_dir(root: &Path, out_dirs: &[&str]) -> BuildDir {
        for out_dir in out_dirs {
            fs::create_dir_all(root.join(out_dir)).unwrap();
        }
        let out_dir = fs::canonicalize(root.join(out_dirs[0])).unwrap();
        BuildDir::of(&out_dir, &root.join(out_dirs[0]), Some("a-b-c"))
    }

    #[test]
    fn the_root_is_found_with_and_without_a_tag() {
        let dir = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(dir.path()).unwrap();
        for (out_dir, profile) in [
            ("debug/build/p-1/out", "debug"),
            ("a-b-c/debug/build/p-1/out", "a-b-c/debug"),
            ("debug/build/p/1/out", "debug"),
            ("build/debug/build/p-1/out", "build/debug"),
        ] {
            let parent =
                if out_dir.starts_with("build") { root.join("build") } else { root.clone() };
            let found = build_dir(&root, &[out_dir]);
            assert_eq!(found.closed(), [parent.as_path(), &root.join(profile)], "{out_dir}");
        }
        fs::write(root.join("CACHEDIR.TAG"), "").unwrap();
        let found = build_dir(&root, &["a-b-c/debug/build/p-1/out"]);
        assert_eq!(found.closed(), [root.as_path(), &root.join("a-b-c/debug")]);
        // Cargo marks a target's directory, too: also where it does not mark the root.
        fs::write(root.join("a-b-c/CACHEDIR.TAG"), "").unwrap();
        let out_dir = "a-b-c/debug/build/p-1/out";
        assert_eq!(build_dir(&root, &[out_dir]).root(), root);
        fs::remove_file(root.join("CACHEDIR.TAG")).unwrap();
        assert_eq!(build_dir(&root, &[out_dir]).root(), root);
        let found = build_dir(&root, &[out_dir, "debug/build/q-1/out"]);
        assert_eq!(found.root(), root);
        let lent = root.join("debug/build/q-1/out");
        assert_eq!(found.out_dirs_in(lent.as_os_str()), [lent]);
        // Somebody has called the root so.
        fs::remove_dir_all(root.join("debug")).unwrap();
        assert_eq!(build_dir(&root, &[out_dir]).root(), root.join("a-b-c"));
        // Another tool's.
        let elsewhere = tempfile::tempdir().unwrap();
        let elsewhere = fs::canonicalize(elsewhere.path()).unwrap();
        let found = build_dir(&elsewhere, &["action/out"]);
        assert_eq!(found.closed(), [elsewhere.join("action").as_path(); 2]);
    }

    #[test]
    fn out_dirs_are_found_in_any_joint_and_spelling() {
        let dir = tempfile::tempdir().unwrap();
        let real = fs::canonicalize(dir.path()).unwrap().join("real target");
        let names = ["a-1", "b-2", "out-3", "outer-4"];
        let out_dirs = names.map(|name| format!("debug/build/{name}/out"));
        build_dir(&real, &out_dirs.each_ref().map(String::as_str));
        let link = real.with_file_name("link");
        symlink(&real, &link).unwrap();
        let found = build_dir(&link, &[&out_dirs[0]]);
        for root in [&real, &link] {
            let path = |index: usize| root.join(&out_dirs[index]).display().to_string();
            let expect = |value: &str, indices: &[usize]| {
                let expected: Vec<_> = indices.iter().map(|i| real.join(&out_dirs[*i])).collect();
                assert_eq!(found.out_dirs_in(OsStr::new(value)), expected, "{value}");
            };
            expect(&format!("-I{}/include;{}", path(0), path(1)), &[0, 1]);
            expect(&path(2), &[2]);
            expect(&format!("{}/lib/out", path(3)), &[3]);
            expect(&format!("{}/debug/build", root.display()), &[]);
            expect(&format!("{}/debug/build/../../../out", root.display()), &[]);
        }
    }

    #[test]
    fn links_lend_nothing_from_outside() {
        let dir = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(dir.path()).unwrap().join("target");
        let found = build_dir(&root, &["debug/build/a-1/out", "debug/build/b-2/out"]);
        for directory in
            ["debug/deps", "debug/.fingerprint/out", "debug/build/b-2/out/lib", "../out"]
        {
            fs::create_dir_all(root.join(directory)).unwrap();
        }
        let planted = root.join("debug/build/b-2/out");
        symlink(root.join("../out"), planted.join("outside")).unwrap();
        symlink(root.join("debug/.fingerprint"), planted.join("inside")).unwrap();
        let library_dir = |path: &str| found.library_dir(&root.join(path));
        for path in ["debug/deps", "debug/build/b-2/out", "debug/build/b-2/out/lib"] {
            assert_eq!(library_dir(path), Some(root.join(path)));
        }
        for path in [
            "debug",
            "debug/.fingerprint/out",
            "debug/build/b-2",
            "debug/build/b-2/out/outside",
            "debug/build/b-2/out/inside",
            "debug/build/b-2/out/../../../../../out",
            "../out",
        ] {
            assert_eq!(library_dir(path), None, "{path}");
        }
        // The whole of an `OUT_DIR` whose value leads out of it, and nothing of where it leads.
        let value = format!("{}/outside", planted.display());
        assert_eq!(found.out_dirs_in(OsStr::new(&value)), std::slice::from_ref(&planted));
        fs::remove_dir_all(&planted).unwrap();
        symlink(root.join("../out"), &planted).unwrap();
        assert_eq!(found.out_dirs_in(OsStr::new(&value)), Vec::<PathBuf>::new());
    }
}
