//! Redirected directories: private copies to which a script writes in their place.
//!
//! Some scripts write into their own package, which is denied: whoever builds the package next would get
//! what they left. By a `files.redirect` rule the script goes on, with a copy of the directory that only it
//! sees ([`crate::jail::mounts`]) and that goes when it has ended. What it wrote there is told of, and
//! nobody else has it: not rustc, either.

use std::collections::BTreeSet;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use crate::access::printable;
use crate::finding::Finding;
use crate::jail::mounts;
use crate::policy::document::Place;
use crate::policy::resolve::{self, Private};
use crate::policy::{Grant, Grants, Redirected, Right};
use crate::private_dir::{self, PrivateDir};
use crate::unit::Unit;

/// A larger directory is not copied, in bytes.
const MOST: u64 = 4 << 30;
/// So many changed files are named.
const TOLD: usize = 10;

/// Copies that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Where they go.
    #[error(transparent)]
    PrivateDir(#[from] private_dir::Error),
    /// A file.
    #[error("cannot copy `{}`, as the `files.redirect` rule at {}:{} demands", .path.display(), .place.file, .place.line)]
    Copy {
        /// The file.
        path: PathBuf,
        /// The rule.
        place: Place,
        /// Cause.
        #[source]
        source: io::Error,
    },
}

/// The copies of one run.
#[derive(Debug, Default)]
pub struct Redirects {
    /// Where they are, if there are any.
    dir: Option<PrivateDir>,
    /// Why there are none.
    findings: Vec<Finding>,
}

impl Redirects {
    /// Makes the copies that the policy of these grants wants for a unit, and adds what they give. Where the
    /// system has no way to show them to the script they are not made, and writing is denied.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn prepare(unit: &Unit, private: Private<'_>, grants: &mut Grants) -> Result<Self, Error> {
        let wanted = resolve::redirected(&grants.policy, unit, private);
        let wanted = wanted.into_iter().filter(|(path, ..)| !grants.covers(Right::Write, path));
        let wanted: Vec<(PathBuf, Place, bool)> = wanted.collect();
        if wanted.is_empty() {
            return Ok(Self::default());
        }
        if let Err(error) = mounts::try_out() {
            let findings = wanted.iter().map(|(path, place, _)| unavailable(path, place, &error));
            return Ok(Self { findings: findings.collect(), ..Self::default() });
        }
        let dir = PrivateDir::new_in(unit.temporary(), "redirect")?;
        let mut left_out = vec![unit.build_dir().root().to_owned(), dir.path().to_owned()];
        left_out.extend([private.tmp, private.home].map(Path::to_owned));
        left_out.extend(private.library.map(Path::to_owned));
        for (number, (path, place, executes)) in wanted.into_iter().enumerate() {
            let copy = dir.path().join(number.to_string());
            let failed = |(path, source)| Error::Copy { path, place: place.clone(), source };
            let mut copying = Copying { left_out: &left_out, length: 0 };
            copying.directory(&path, &copy).map_err(failed)?;
            let kept = kept(&path, &left_out, grants);
            for (at, _) in &kept {
                make_place(&path, &copy, at, &kept)
                    .map_err(|source| failed((at.clone(), source)))?;
            }
            let given = |right| Grant { right, path: path.clone(), place: Some(place.clone()) };
            grants.files.push(given(Right::Redirect));
            if executes {
                grants.files.push(given(Right::Execute));
            }
            let left_out = left_out.iter().filter(|left_out| left_out.starts_with(&path));
            let left_out = left_out.cloned().collect();
            grants.redirected.push(Redirected { path, copy, place, left_out, kept });
        }
        Ok(Self { dir: Some(dir), findings: Vec::new() })
    }

    /// What a script has written to its copies, once it has ended, or why it had none.
    #[must_use]
    pub fn findings(mut self, grants: &Grants) -> Vec<Finding> {
        for redirected in &grants.redirected {
            let Redirected { path, copy, left_out, .. } = redirected;
            let mut changed = Changed::default();
            changed.look(path, copy, left_out);
            if !changed.told.is_empty() {
                self.findings.push(written(redirected, &changed));
            }
        }
        drop(self.dir.take());
        self.findings
    }
}

/// What of the grants lies in what is not copied, and has to be there all the same, the upper first; and
/// whether it may be written to. That a directory can be listed does not count: all that is in the copy's
/// place can be read.
fn kept(path: &Path, left_out: &[PathBuf], grants: &Grants) -> Vec<(PathBuf, bool)> {
    let is_in = |inner: &Path| {
        inner.starts_with(path) && left_out.iter().any(|outer| inner.starts_with(outer))
    };
    let given = grants.files.iter().filter(|grant| grant.right != Right::List);
    let mut kept: Vec<(PathBuf, bool)> = given
        .filter(|grant| is_in(&grant.path))
        .map(|grant| (grant.path.clone(), grant.right == Right::Write))
        .collect();
    kept.sort();
    // Of the same path the writable one is last.
    kept.reverse();
    kept.dedup_by(|a, b| a.0 == b.0);
    kept.reverse();
    kept
}

/// Makes what `at` is put over, unless that lies in something that is put there itself.
fn make_place(path: &Path, copy: &Path, at: &Path, kept: &[(PathBuf, bool)]) -> io::Result<()> {
    if kept.iter().any(|(outer, _)| at != outer && at.starts_with(outer)) {
        return Ok(());
    }
    let place = copy.join(at.strip_prefix(path).map_err(io::Error::other)?);
    if fs::metadata(at)?.is_dir() {
        return fs::create_dir_all(place);
    }
    if let Some(parent) = place.parent() {
        fs::create_dir_all(parent)?;
    }
    File::create(place).map(drop)
}

/// A copy that is being made.
struct Copying<'a> {
    left_out: &'a [PathBuf],
    length: u64,
}

impl Copying<'_> {
    fn directory(&mut self, from: &Path, to: &Path) -> Result<(), (PathBuf, io::Error)> {
        let failed = |error| (from.to_owned(), error);
        let metadata = fs::symlink_metadata(from).map_err(failed)?;
        fs::create_dir(to).map_err(failed)?;
        // By this descriptor: whatever has the name by then, nothing is written elsewhere.
        let flags = libc::O_DIRECTORY | libc::O_NOFOLLOW;
        let copy = OpenOptions::new().read(true).custom_flags(flags).open(to).map_err(failed)?;
        let to = PathBuf::from(format!("/proc/self/fd/{}", copy.as_raw_fd()));
        let entries = match fs::read_dir(from) {
            Ok(entries) => entries,
            // The script could not look into it either.
            Err(error) if is_out_of_reach(&error) => {
                return keep_metadata(&copy, &metadata).map_err(failed);
            }
            Err(error) => return Err(failed(error)),
        };
        for entry in entries {
            let entry = entry.map_err(failed)?;
            let (inner, place) = (entry.path(), to.join(entry.file_name()));
            if self.left_out.contains(&inner) {
                continue;
            }
            let kind = entry.file_type().map_err(|error| (inner.clone(), error))?;
            if kind.is_dir() {
                self.directory(&inner, &place)?;
                continue;
            }
            let copied = if kind.is_symlink() {
                fs::read_link(&inner).and_then(|to| symlink(to, &place))
            } else if kind.is_file() {
                self.file(&inner, &place)
            } else {
                Ok(())
            };
            match copied {
                Err(error) if !is_out_of_reach(&error) => return Err((inner, error)),
                _ => {}
            }
        }
        keep_metadata(&copy, &metadata).map_err(failed)
    }

    fn file(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        // It may have become something else by now.
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
        let mut file = OpenOptions::new().read(true).custom_flags(flags).open(from)?;
        let metadata = file.metadata()?;
        self.length = self.length.saturating_add(metadata.len());
        if !metadata.is_file() || self.length > MOST {
            let most = MOST >> 30;
            return Err(io::Error::other(format!("the directory has more than {most} GiB")));
        }
        let mut copy = File::create_new(to)?;
        io::copy(&mut file, &mut copy)?;
        keep_metadata(&copy, &metadata)
    }
}

/// Whether something is gone, or this user may not read it.
fn is_out_of_reach(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied)
}

/// Mode and time of modification are the original's: by them it is told what the script has changed.
fn keep_metadata(copy: &File, of: &Metadata) -> io::Result<()> {
    copy.set_permissions(fs::Permissions::from_mode(of.mode() & 0o777))?;
    copy.set_modified(of.modified()?)
}

/// What is not in a copy as it is in the directory.
#[derive(Debug, Default)]
struct Changed {
    /// The first paths.
    told: Vec<PathBuf>,
    /// How many more there are.
    more: usize,
}

impl Changed {
    fn add(&mut self, path: PathBuf) {
        if self.told.len() < TOLD {
            self.told.push(path);
        } else {
            self.more += 1;
        }
    }

    /// Looks at all that is in a directory or in its copy, by the order of names.
    fn look(&mut self, path: &Path, copy: &Path, left_out: &[PathBuf]) {
        // The script may have taken the rights to look away.
        if fs::read_dir(copy).is_err() {
            fs::set_permissions(copy, fs::Permissions::from_mode(0o700)).ok();
        }
        let names = |directory: &Path| {
            let entries = fs::read_dir(directory).into_iter().flatten().flatten();
            entries.map(|entry| entry.file_name()).collect::<BTreeSet<_>>()
        };
        let mut all = names(path);
        all.append(&mut names(copy));
        for name in all {
            let (original, copied) = (path.join(&name), copy.join(&name));
            if left_out.contains(&original) {
                continue;
            }
            let of = |path: &Path| fs::symlink_metadata(path).ok();
            match (of(&original), of(&copied)) {
                (Some(one), Some(other)) if one.is_dir() && other.is_dir() => {
                    self.look(&original, &copied, left_out);
                }
                (one, other) if is_same((&original, one.as_ref()), (&copied, other.as_ref())) => {}
                _ => self.add(original),
            }
        }
    }
}

/// Whether what is no directory is in the copy as it was.
fn is_same(
    (original, one): (&Path, Option<&Metadata>),
    (copied, other): (&Path, Option<&Metadata>),
) -> bool {
    match (one, other) {
        (Some(one), Some(other)) if one.is_symlink() && other.is_symlink() => {
            fs::read_link(original).ok() == fs::read_link(copied).ok()
        }
        (Some(one), Some(other)) if one.is_file() && other.is_file() => {
            let of = |file: &Metadata| (file.len(), file.mode() & 0o777, file.modified().ok());
            of(one) == of(other)
        }
        // What is no file, directory or link was not copied, and what cannot be read neither.
        (Some(one), None) => {
            let is_copied = one.is_file() || one.is_dir() || one.is_symlink();
            !is_copied || (one.is_file() && File::open(original).is_err())
        }
        _ => false,
    }
}

fn written(Redirected { path, place, .. }: &Redirected, changed: &Changed) -> Finding {
    let names = changed.told.iter().map(|changed| {
        let name = changed.strip_prefix(path).unwrap_or(changed);
        format!("`{}`", printable(&name.to_string_lossy()))
    });
    let names: Vec<String> = names.collect();
    let more = match changed.more {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let Place { file, line } = place;
    Finding {
        code: "redirected".to_owned(),
        message: format!(
            "changed {}{more} in a private copy of `{}`, which is gone (`files.redirect` at {file}:{line})",
            names.join(", "),
            printable(&path.to_string_lossy()),
        ),
        fatal: false,
        rule: None,
    }
}

fn unavailable(path: &Path, Place { file, line }: &Place, error: &io::Error) -> Finding {
    Finding {
        code: "redirect-unavailable".to_owned(),
        message: format!(
            "had no private copy of `{}` to write to (`files.redirect` at {file}:{line}): the system gives \
             this user no mount namespace ({error})",
            printable(&path.to_string_lossy()),
        ),
        fatal: false,
        rule: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_not_copied_and_what_is_changed_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir_all(at("p/src/deep")).unwrap();
        fs::create_dir_all(at("p/target/debug")).unwrap();
        for name in ["p/src/a.rs", "p/src/deep/b.rs", "p/gone", "p/target/debug/x"] {
            fs::write(at(name), "x").unwrap();
        }
        symlink("src/a.rs", at("p/link")).unwrap();
        nix::unistd::mkfifo(&at("p/fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        fs::set_permissions(at("p/src/a.rs"), fs::Permissions::from_mode(0o444)).unwrap();
        let left_out = [at("p/target")];
        let mut copying = Copying { left_out: &left_out, length: 0 };
        copying.directory(&at("p"), &at("copy")).unwrap();
        assert!(!at("copy/target").exists() && at("copy/link").is_symlink());
        assert_eq!(fs::metadata(at("copy/src/a.rs")).unwrap().mode() & 0o777, 0o444);
        let changed = || {
            let mut changed = Changed::default();
            changed.look(&at("p"), &at("copy"), &left_out);
            changed.told
        };
        assert_eq!(changed(), Vec::<PathBuf>::new());
        fs::write(at("copy/src/deep/b.rs"), "yy").unwrap();
        fs::write(at("copy/new"), "").unwrap();
        fs::remove_file(at("copy/gone")).unwrap();
        fs::remove_file(at("copy/link")).unwrap();
        assert_eq!(changed(), [at("p/gone"), at("p/link"), at("p/new"), at("p/src/deep/b.rs")]);
    }

    #[test]
    fn what_is_granted_in_what_is_left_out_is_kept() {
        let grant = |right, path: &str| Grant { right, path: path.into(), place: None };
        let files = vec![
            grant(Right::Execute, "/p/t/b/out"),
            grant(Right::Write, "/p/t/b/out"),
            grant(Right::List, "/p/t/deps"),
            grant(Right::Read, "/p/t/deps/a.so"),
            grant(Right::Read, "/p/src"),
            grant(Right::Read, "/usr"),
        ];
        let grants = Grants { files, ..Grants::default() };
        let kept = kept(Path::new("/p"), &["/p/t".into(), "/tmp/x".into()], &grants);
        assert_eq!(kept, [("/p/t/b/out".into(), true), ("/p/t/deps/a.so".into(), false)]);
    }
}
