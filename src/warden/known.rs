//! What is known of paths: a table for the preloaded library (`src/preload/known.rs`).
//!
//! Most of what a compiler asks for is a header in a directory that does not have it, the real path of one that
//! has, or the status of a directory; and each compiler asks again. What the warden has recorded once need not
//! be asked of it a second time: the library answers from this table, in the process itself. Two kinds of
//! paths are put there. Those that the script may not change, without a symbolic link on them, on file systems that
//! tell of every change ([`watches`]): when there is one, or a mount, the table is closed, and a new one is begun.
//! And in its own directories those at which there is nothing, until it makes something of such a name ([`made`]).
//!
//! The table gives a script nothing and takes nothing from it. Who does not believe it asks the kernel.

pub mod made;
pub mod table;
pub mod watches;

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use self::made::Made;
use self::table::Table;
use self::watches::Directories;
use super::names::Use;
use crate::access::Kind;
use crate::policy::{Grants, Right};
use crate::preload::protocol::known::{
    IS_REAL_PATH, IS_THERE, NO_REAL_PATH, NOTHING_TO_EXECUTE, NOTHING_TO_LOOK_AT, NOTHING_TO_READ,
};

/// After so many paths of which something could have been known they are put into a table.
const ENOUGH: u32 = 32;
/// So many tables are begun at most: what changes all the time is not worth to be kept.
const TABLES: u32 = 32;

/// See the file's description.
#[derive(Debug)]
pub struct Known<'g> {
    grants: &'g Grants,
    made: Made,
    table: Option<Table>,
    /// The last one, if a program has a filter of its own.
    forbidden: Option<Table>,
    /// Directories in which something changed: of what is in them nothing is known for long.
    restless: Directories,
    /// How many more tables may be begun.
    left: u32,
    /// How many more paths there have to be before they are put there.
    missing: u32,
}

/// How a path can be known.
enum Place<'g> {
    /// The script may not change what is there.
    Fixed,
    /// Nobody else does. This is the directory.
    Own(&'g Path),
}

impl<'g> Known<'g> {
    /// For a script with these grants, which makes these names.
    #[must_use]
    pub fn new(grants: &'g Grants, made: Made) -> Self {
        // A permissive policy lets it write everywhere.
        let is_possible = grants.library.is_some() && !grants.is_permissive();
        let left = if is_possible { TABLES } else { 0 };
        let restless = Directories::new();
        Self { grants, made, table: None, forbidden: None, restless, left, missing: ENOUGH }
    }

    /// The table as a file, be there something in it or not.
    #[must_use]
    pub fn file(&mut self) -> Option<OwnedFd> {
        self.renew();
        self.table.as_ref()?.file()
    }

    /// Nothing is known any more: a program has a filter of its own, and whoever has a table sees that there.
    pub fn end(&mut self) {
        self.renew();
        self.left = 0;
        if let Some(table) = self.table.take() {
            table.forbid();
            self.forbidden = Some(table);
        }
    }

    /// The table, as a file, in which a program sees that it has such a filter.
    #[must_use]
    pub fn forbidden(&self) -> Option<OwnedFd> {
        self.forbidden.as_ref()?.file()
    }

    /// Puts what was found at a path into the table, if that is worth to be known. To be read or executed is only what was not there. A link was read if somebody has
    /// asked for the real path, and it is there if it is that itself.
    pub fn note(&mut self, used: &Use, is_there: bool) {
        let said = match (used.kind, is_there) {
            (Kind::ReadLink, true) => IS_REAL_PATH,
            (Kind::ReadLink, false) => NO_REAL_PATH,
            (Kind::Stat, true) => IS_THERE,
            (Kind::Stat, false) => NOTHING_TO_LOOK_AT,
            (Kind::Read, false) => NOTHING_TO_READ,
            (Kind::Execute, false) => NOTHING_TO_EXECUTE,
            _ => return,
        };
        if self.missing > 0 {
            self.missing -= 1;
            return;
        }
        self.renew();
        let Some(table) = &mut self.table else { return };
        let name = used.named.as_ref().unwrap_or(&used.path);
        if table.says(name, said) {
            return;
        }
        if let Some(named) = &used.named
            && !is_by_its_letters(self.grants, named, &used.path)
        {
            return;
        }
        match place_of(self.grants, &used.path) {
            Some(Place::Fixed) if said != IS_THERE => table.learn(name, said, &self.restless),
            // A directory is another one after what the script makes below it.
            Some(Place::Fixed) if !leads_to_what_it_changes(self.grants, &used.path) => {
                table.learn_status(name, &self.restless);
            }
            Some(Place::Own(own)) if !is_there && used.named.is_none() => {
                table.learn_own(name, said, own.as_os_str().as_bytes(), &self.made);
            }
            _ => {}
        }
    }

    /// Begins a table, if there is none.
    fn renew(&mut self) {
        if let Some(table) = self.table.take_if(|table| table.is_closed()) {
            self.restless.extend(table.changed());
        }
        if self.table.is_some() || self.left == 0 {
            return;
        }
        self.left -= 1;
        match Table::new(&self.made) {
            Ok(table) => self.table = Some(table),
            Err(errno) => {
                tracing::debug!(%errno, "what is known of a path is asked for each time");
                self.left = 0;
            }
        }
    }
}

/// How a script with these grants may know of a path. Where it sees a copy, it does not; and whether there is
/// something that is hidden, the table must not tell.
fn place_of<'g>(grants: &'g Grants, path: &[u8]) -> Option<Place<'g>> {
    let path = Path::new(OsStr::from_bytes(path));
    if grants.redirected.iter().any(|redirected| path.starts_with(&redirected.path))
        || grants.hides(path)
    {
        return None;
    }
    if let Some(own) = grants.own.iter().find(|own| path.starts_with(own)) {
        return Some(Place::Own(own));
    }
    (!grants.covers(Right::Write, path)).then_some(Place::Fixed)
}

/// Whether a name of a path is the path itself but for dots and slashes, and leads through nothing that a script
/// with these grants may change: what is judged by the path is then what is found by the name, also when a link
/// comes into the way.
fn is_by_its_letters(grants: &Grants, named: &[u8], path: &[u8]) -> bool {
    let mut reached = PathBuf::new();
    for part in Path::new(OsStr::from_bytes(named)).components() {
        if part == Component::ParentDir {
            reached.pop();
            continue;
        }
        reached.push(part);
        if grants.covers(Right::Write, &reached) {
            return false;
        }
    }
    reached.as_os_str().as_bytes() == path
}

/// Whether a path is a directory above one that a script with these grants may change.
fn leads_to_what_it_changes(grants: &Grants, path: &[u8]) -> bool {
    let path = Path::new(OsStr::from_bytes(path));
    grants
        .files
        .iter()
        .any(|grant| grant.right.includes(Right::Write) && grant.path.starts_with(path))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::ffi::OsStringExt;

    use super::*;
    use crate::policy::{Grant, Hidden};
    use crate::preload::protocol::known::{CLOSED, IS_FORBIDDEN, IS_PAST};
    use crate::preload::protocol::known::{MAY_EXECUTE, MAY_READ};

    #[test]
    fn a_table_says_what_was_found_until_that_changes() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path().canonicalize().unwrap();
        let grants = Grants { library: Some("/library".into()), ..Grants::default() };
        let mut known = Known::new(&grants, Made::default());
        let path =
            |number: u32| directory.join(format!("none/{number}")).into_os_string().into_vec();
        for number in 0..20_000 {
            known.note(&Use::of(Kind::Read, path(number)), false);
        }
        let said = |known: &Known<'_>, path: &[u8]| known.table.as_ref().unwrap().said(path);
        // It has begun after the first, and was full before all were in it.
        let first = ENOUGH;
        assert_eq!(said(&known, &path(first - 1)), 0);
        assert_eq!(said(&known, &path(first)), NOTHING_TO_READ);
        let all = (0..20_000).filter(|number| said(&known, &path(*number)) != 0).count();
        assert!((5_000..19_000).contains(&all), "{all}");
        known.note(&Use::of(Kind::Stat, path(first)), false);
        assert_eq!(said(&known, &path(first)), NOTHING_TO_READ | NOTHING_TO_LOOK_AT);

        fs::create_dir(directory.join("none")).unwrap();
        let table = known.table.as_ref().unwrap();
        while !table.is_closed() {
            std::thread::yield_now();
        }
        let inode = |file: &OwnedFd| nix::sys::stat::fstat(file).unwrap().st_ino;
        let past = inode(&known.table.as_ref().unwrap().file().unwrap());
        assert_ne!(inode(&known.file().unwrap()), past);
        // What is in a directory that changes is not kept any more.
        let other = directory.join("other").into_os_string().into_vec();
        known.note(&Use::of(Kind::Read, other), false);
        known.note(&Use::of(Kind::Read, path(1)), false);
        assert!(known.file().is_some());
        assert_eq!(said(&known, directory.join("other").as_os_str().as_bytes()), 0);
        assert_eq!(said(&known, &path(1)), NOTHING_TO_READ);
    }

    #[test]
    fn who_has_a_filter_is_told_so_whatever_changes() {
        let directory = tempfile::tempdir().unwrap();
        let absent = directory.path().canonicalize().unwrap().join("none");
        let grants = Grants { library: Some("/library".into()), ..Grants::default() };
        let mut known = Known::new(&grants, Made::default());
        for _ in 0..=ENOUGH {
            known.note(&Use::of(Kind::Read, absent.clone().into_os_string().into_vec()), false);
        }
        known.end();
        assert!(known.file().is_none());
        fs::write(&absent, "").unwrap();
        let closed = || {
            let mut words = [0; 8 * (CLOSED + 1)];
            let file = known.forbidden().unwrap();
            assert_eq!(nix::sys::uio::pread(&file, &mut words, 0), Ok(words.len()));
            u64::from_ne_bytes(*words.last_chunk().unwrap())
        };
        while closed() & IS_PAST == 0 {
            std::thread::yield_now();
        }
        assert_eq!(closed(), IS_PAST | IS_FORBIDDEN);
    }

    #[test]
    fn only_what_the_script_cannot_change_is_known() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path().canonicalize().unwrap();
        let own = directory.join("own");
        fs::create_dir(&own).unwrap();
        std::os::unix::fs::symlink(&own, directory.join("link")).unwrap();
        let grant = Grant { right: Right::Write, path: own.clone(), place: None };
        let library = Some("/library".into());
        let hidden = Hidden { paths: vec![directory.join("hidden")], ..Hidden::default() };
        let grants = Grants { library, files: vec![grant], hidden, ..Grants::default() };
        let mut known = Known::new(&grants, Made::new(&grants));
        let mut note = |path: &Path| {
            for _ in 0..=ENOUGH {
                known.note(&Use::of(Kind::Stat, path.as_os_str().as_bytes().to_vec()), false);
            }
            known.table.as_ref().unwrap().said(path.as_os_str().as_bytes()) != 0
        };
        assert!(note(&directory.join("none")));
        assert!(!note(&own.join("none")));
        assert!(!note(&directory.join("link/none")));
        assert!(!note(&directory.join("hidden/none")));
        // It is there.
        assert!(!note(&own));
        assert!(!note(Path::new("/proc/self/none")));
    }

    #[test]
    fn a_status_is_known_until_it_changes() {
        type Change = fn(&Path);
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path().canonicalize().unwrap();
        let grants = Grants { library: Some("/library".into()), ..Grants::default() };
        fs::create_dir_all(directory.join("own/out")).unwrap();
        fs::create_dir(directory.join("sub")).unwrap();
        for name in ["file", "sub/file", "named"] {
            fs::write(directory.join(name), "").unwrap();
        }
        fs::hard_link(directory.join("named"), directory.join("sub/again")).unwrap();
        std::os::unix::fs::symlink("file", directory.join("link")).unwrap();
        let grant = Grant { right: Right::Write, path: directory.join("own/out"), place: None };
        let grants = Grants { files: vec![grant], ..grants };
        let change: [(&str, Change); 6] = [
            ("file", |path| fs::write(path, "more").unwrap()),
            ("file", |path| {
                let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
                fs::set_permissions(path, mode).unwrap();
            }),
            ("sub", |path| fs::write(path.join("new"), "").unwrap()),
            ("sub", |path| {
                let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
                fs::set_permissions(path, mode).unwrap();
            }),
            ("sub/file", |path| fs::remove_file(path).unwrap()),
            ("named", |path| fs::write(path.with_file_name("sub/again"), "more").unwrap()),
        ];
        for (name, change) in change {
            let mut known = Known::new(&grants, Made::new(&grants));
            let mut said = |name: &str, named: Option<&str>| {
                let path = |name: &str| directory.join(name).into_os_string().into_vec();
                let used = Use { kind: Kind::Stat, path: path(name), named: named.map(path) };
                for _ in 0..=ENOUGH {
                    known.note(&used, true);
                }
                known.table.as_ref().unwrap().said(&path(named.unwrap_or(name)))
            };
            assert_eq!(said("file", None), IS_THERE | MAY_READ);
            assert_eq!(said("sub", None), IS_THERE | MAY_READ | MAY_EXECUTE);
            assert_eq!(said("file", Some("sub/../file")), IS_THERE | MAY_READ);
            // By another name, it is judged by its letters, and by what they lead through.
            for named in ["own/out/../../file", "own/../sub/file", "link/../file"] {
                assert_eq!(said("file", Some(named)), 0, "{named}");
            }
            for unknown in ["own", "own/out", "link"] {
                assert_eq!(said(unknown, None), 0, "{unknown}");
            }
            assert_ne!(said(name, None), 0, "{name}");
            change(&directory.join(name));
            let table = known.table.as_ref().unwrap();
            while !table.is_closed() {
                std::thread::yield_now();
            }
        }
    }

    #[test]
    fn nothing_is_there_until_a_name_is_made() {
        let directory = tempfile::tempdir().unwrap();
        let own = directory.path().canonicalize().unwrap().join("own");
        fs::create_dir_all(own.join("sub")).unwrap();
        std::os::unix::fs::symlink("sub", own.join("link")).unwrap();
        let grant = Grant { right: Right::Write, path: own.clone(), place: None };
        let library = Some("/library".into());
        let grants =
            Grants { library, files: vec![grant], own: vec![own.clone()], ..Grants::default() };
        let made = Made::new(&grants);
        let mut known = Known::new(&grants, made.clone());
        let path = |name: &str| own.join(name).into_os_string().into_vec();
        let mut note = |name: &str, kind| {
            for _ in 0..=ENOUGH {
                known.note(&Use::of(kind, path(name)), false);
            }
            known.table.as_ref().unwrap().said(&path(name))
        };
        assert_eq!(note("sub/a", Kind::Read), NOTHING_TO_READ);
        assert_eq!(note("sub/b/a", Kind::Stat), NOTHING_TO_LOOK_AT);
        assert_eq!(note("sub/b/c", Kind::Execute), NOTHING_TO_EXECUTE);
        assert_eq!(note("sub/d", Kind::Stat), NOTHING_TO_LOOK_AT);
        // A link is on its way, or it is there.
        assert_eq!(note("link/d", Kind::Stat), 0);
        assert_eq!(note("sub", Kind::Stat), 0);
        // In whatever directory, and whatever comes behind it.
        let making = made.make(b"sub/a");
        assert_eq!(note("sub/a", Kind::Read), 0);
        assert_eq!(note("sub/b/a", Kind::Stat), 0);
        assert_eq!(note("sub/b/c", Kind::Stat), NOTHING_TO_EXECUTE | NOTHING_TO_LOOK_AT);
        drop(making);
        assert_eq!(note("sub/a", Kind::Stat), NOTHING_TO_LOOK_AT);
        let making = made.make(b"b/");
        assert_eq!(note("sub/b/c", Kind::Execute), 0);
        assert_eq!(note("sub/d", Kind::Stat), NOTHING_TO_LOOK_AT);
        fs::create_dir(own.join("sub/b")).unwrap();
        drop(making);
        assert_eq!(note("sub/b", Kind::Stat), 0);
        assert_eq!(note("sub/b/c", Kind::Execute), NOTHING_TO_EXECUTE);
        let making = made.make_anything();
        assert_eq!(note("sub/b/c", Kind::Stat), 0);
        assert_eq!(note("sub/e", Kind::Stat), 0);
        drop(making);
        assert_eq!(note("sub/e", Kind::Stat), NOTHING_TO_LOOK_AT);
    }
}
