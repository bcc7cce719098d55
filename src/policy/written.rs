//! Where scripts write, and so where a symbolic link is not the user's word: a rule that names a path
//! there gives nothing that lies outside.

use std::cell::{OnceCell, RefCell};
use std::collections::{HashSet, VecDeque};
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};
use std::{fs, io};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, OpenHow, ResolveFlag, openat2};

use super::document::Rule;
use super::resolve::{Private, expand};
use crate::unit::Unit;
use crate::unit::build_dir::BuildDir;

/// As many links are followed as the kernel does (`path_resolution(7)`).
const MOST_LINKS: usize = 40;

/// The directories in which scripts can have left links.
#[derive(Debug)]
pub(super) struct Written<'a> {
    write: &'a [Rule],
    unit: &'a Unit,
    private: Private<'a>,
    build_dir: &'a BuildDir,
    /// What the rules name, without links. Looked for when the first link is met.
    roots: OnceCell<Vec<PathBuf>>,
    /// Paths that are free of links: many are named by several rules.
    plain: RefCell<HashSet<PathBuf>>,
}

impl<'a> Written<'a> {
    /// Those of a unit that is given these rules to write, and these directories.
    pub(super) fn new(
        write: &'a [Rule],
        unit: &'a Unit,
        private: Private<'a>,
        build_dir: &'a BuildDir,
    ) -> Self {
        let (roots, plain) = (OnceCell::new(), RefCell::default());
        Self { write, unit, private, build_dir, roots, plain }
    }

    /// The path with every symbolic link followed. Few rules name any: the kernel says so in one call,
    /// where following them asks about each part of a path (openat2(2), `RESOLVE_NO_SYMLINKS`).
    ///
    /// # Errors
    /// `EXDEV` if a link leads out of where scripts write, and what the kernel says.
    pub(super) fn without_links(&self, path: &Path) -> io::Result<PathBuf> {
        let plain: PathBuf = path.components().collect();
        if self.plain.borrow().contains(&plain) {
            return Ok(plain);
        }
        if !plain.components().any(|part| part == Component::ParentDir) {
            let how = OpenHow::new()
                .flags(OFlag::O_PATH | OFlag::O_CLOEXEC)
                .resolve(ResolveFlag::RESOLVE_NO_SYMLINKS);
            match openat2(AT_FDCWD, &plain, how) {
                Ok(_) => {
                    self.plain.borrow_mut().insert(plain.clone());
                    return Ok(plain);
                }
                Err(errno @ (Errno::ENOENT | Errno::ENOTDIR)) => return Err(errno.into()),
                Err(_) => {}
            }
        }
        self.follow(path)
    }

    fn follow(&self, path: &Path) -> io::Result<PathBuf> {
        let parts = |path: &Path| -> Vec<OsString> {
            path.components().map(|part| part.as_os_str().to_owned()).collect()
        };
        let mut real = PathBuf::from("/");
        let mut rest: VecDeque<OsString> = parts(path).into();
        let mut bounds = Vec::new();
        while let Some(part) = rest.pop_front() {
            if part == ".." {
                real.pop();
                continue;
            }
            // An absolute part replaces what was before it.
            let next = real.join(&part);
            match fs::read_link(&next) {
                Ok(_) if bounds.len() == MOST_LINKS => return Err(Errno::ELOOP.into()),
                Ok(target) => {
                    bounds.push(self.around(&real));
                    for part in parts(&target).into_iter().rev() {
                        rest.push_front(part);
                    }
                }
                // Not a link (readlink(2)).
                Err(error) if error.raw_os_error() == Some(Errno::EINVAL as i32) => real = next,
                Err(error) => return Err(error),
            }
        }
        if bounds.into_iter().flatten().all(|bound| real.starts_with(bound)) {
            Ok(real)
        } else {
            Err(Errno::EXDEV.into())
        }
    }

    /// The smallest directory that scripts write in and that this one, which is free of links, lies in.
    fn around(&self, directory: &Path) -> Option<PathBuf> {
        let named = || self.write.iter().flat_map(|rule| expand(rule, self.unit, self.private));
        let roots = self
            .roots
            .get_or_init(|| named().filter_map(|path| fs::canonicalize(path).ok()).collect());
        let is_built = directory.starts_with(self.build_dir.root());
        let out_dir = is_built.then(|| self.build_dir.out_dir_around(directory)).flatten();
        let around = roots.iter().filter(|root| directory.starts_with(root)).cloned();
        around.chain(out_dir).max_by_key(|root| root.as_os_str().len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::document::Place;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_of_scripts_lead_nowhere_else() {
        let dir = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(dir.path()).unwrap();
        let out = root.join("target/debug/build/p-1/out");
        for directory in ["target/debug/build/p-1/out/real", "home", "work/real"] {
            fs::create_dir_all(root.join(directory)).unwrap();
        }
        fs::create_dir_all(root.join("target/debug/.fingerprint")).unwrap();
        for (link, target) in [
            ("target/debug/build/p-1/out/away", "home"),
            ("target/debug/build/p-1/out/around", "target/debug/.fingerprint"),
            ("target/debug/build/p-1/out/within", "target/debug/build/p-1/out/real"),
            ("work/away", "home"),
            ("users", "target/debug/build/p-1/out/away"),
            ("home/link", "home"),
            ("loop", "loop"),
        ] {
            symlink(root.join(target), root.join(link)).unwrap();
        }
        symlink("../../../../../home", out.join("relative")).unwrap();
        let all = [("OUT_DIR", out.as_path()), ("CARGO_MANIFEST_DIR", root.as_path())];
        let all = all.map(|(name, path)| (OsString::from(name), path.as_os_str().to_owned()));
        let unit = Unit::parse(all.into(), &out.join("real"), vec!["s".into()], None).unwrap();
        let private = Private { tmp: &root, home: &root, library: None };
        let place = Place { file: "p.toml".into(), line: 1 };
        let rules = ["work", "work/away"].map(|name| root.join(name).to_str().unwrap().to_owned());
        let rules = rules.map(|text| Rule { text, place: place.clone(), span: 0..0 });
        let build_dir = unit.build_dir();
        let written = Written::new(&rules, &unit, private, build_dir);
        let follow =
            |path: &str| written.without_links(&root.join(path)).map_err(|e| e.raw_os_error());
        let out = "target/debug/build/p-1/out";
        for (path, expected) in [
            (format!("{out}/real"), Ok(root.join(out).join("real"))),
            (format!("{out}/within"), Ok(root.join(out).join("real"))),
            ("home/link/link".to_owned(), Ok(root.join("home"))),
            ("work/real/..".to_owned(), Ok(root.join("work"))),
            (format!("{out}/away"), Err(Some(libc::EXDEV))),
            (format!("{out}/relative"), Err(Some(libc::EXDEV))),
            (format!("{out}/around"), Err(Some(libc::EXDEV))),
            ("work/away".to_owned(), Err(Some(libc::EXDEV))),
            ("users".to_owned(), Err(Some(libc::EXDEV))),
            ("loop".to_owned(), Err(Some(libc::ELOOP))),
            ("absent".to_owned(), Err(Some(libc::ENOENT))),
        ] {
            assert_eq!(follow(&path), expected, "{path}");
        }
    }
}
