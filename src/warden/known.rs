//! What is known of paths: a table for the preloaded library (`src/preload/known.rs`).
//!
//! Most of what a compiler asks for is a header in a directory that does not have it, or the real path of
//! one that has; and each compiler asks again. What the warden has recorded once need not be asked of it a
//! second time: the library answers from this table, in the process itself. Only what nobody changes is put
//! there: paths that the script may not make or remove, without a symbolic link on them, on file systems
//! that tell of every change (inotify(7)). When there is one, or a mount, the table is closed, and a new one is begun.
//!
//! The table gives a script nothing and takes nothing from it. Who does not believe it asks the kernel.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::num::NonZero;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::{Arc, OnceLock};
use std::thread::Builder;

use nix::errno::Errno;
use nix::fcntl::AT_FDCWD;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};
use nix::sys::statfs::{self, FsType, fstatfs};

use super::found::{self, c_string, path_only};
use crate::access::Kind;
use crate::policy::{Grants, Right};
use crate::preload::protocol::known::{
    CLOSED, IS_REAL_PATH, LENGTH, NO_REAL_PATH, NOTHING_TO_LOOK_AT, NOTHING_TO_READ, PLACE, PROBES,
    SEED, SIZE, SLOT_COUNT, SLOTS, TEXT, hash,
};
use crate::sys::{self, Shared};

/// After so many paths of which something could have been known a table is begun.
const ENOUGH: u32 = 32;
/// So many tables are begun at most: what changes all the time is not worth to be kept.
const TABLES: u32 = 32;
/// So many directories are watched at most: a user may have only so many watches (inotify(7)).
const DIRECTORIES: usize = 500;
/// File systems that nobody changes behind this kernel's back (statfs(2)).
const TELLING: [FsType; 8] = [
    statfs::EXT4_SUPER_MAGIC,
    statfs::XFS_SUPER_MAGIC,
    statfs::BTRFS_SUPER_MAGIC,
    statfs::F2FS_SUPER_MAGIC,
    statfs::OVERLAYFS_SUPER_MAGIC,
    statfs::TMPFS_MAGIC,
    FsType(0xca45_1a4e), // bcachefs
    FsType(0x2fc1_2fc1), // ZFS
];
/// The stack of the thread that waits for changes, in bytes.
const STACK: usize = 64 * 1024;

/// Names of directories.
type Directories = HashSet<Box<[u8]>>;

/// See the file's description.
#[derive(Debug)]
pub struct Known<'g> {
    grants: &'g Grants,
    table: Option<Table>,
    /// Directories in which something changed: of what is in them nothing is known for long.
    restless: Directories,
    /// How many more tables may be begun.
    left: u32,
    /// How many more paths there have to be before one is.
    missing: u32,
}

impl<'g> Known<'g> {
    /// For a script with these grants.
    #[must_use]
    pub fn new(grants: &'g Grants) -> Self {
        // A permissive policy lets it write everywhere.
        let is_possible = grants.library.is_some() && !grants.is_permissive();
        let left = if is_possible { TABLES } else { 0 };
        Self { grants, table: None, restless: Directories::new(), left, missing: ENOUGH }
    }

    /// The table as a file; none as long as there is none.
    #[must_use]
    pub fn file(&self) -> Option<OwnedFd> {
        self.table.as_ref().filter(|table| !table.is_closed())?.memory.file().ok()
    }

    /// There is no table any more, and will be none.
    pub fn end(&mut self) {
        self.left = 0;
        if let Some(table) = self.table.take() {
            close(&table.memory);
        }
    }

    /// Puts what was found at a path into the table, if that is worth to be known, and there is a table or it
    /// is time for one. To be read or looked at is only what was not there; a link was read if somebody has
    /// asked for the real path, and `is_real` is whether it was the path itself.
    pub fn note(&mut self, kind: Kind, path: &[u8], is_real: bool) {
        let said = match kind {
            Kind::ReadLink if is_real => IS_REAL_PATH,
            Kind::ReadLink => NO_REAL_PATH,
            Kind::Read => NOTHING_TO_READ,
            Kind::Stat => NOTHING_TO_LOOK_AT,
            _ => return,
        };
        if let Some(table) = self.table.take_if(|table| table.is_closed()) {
            self.restless.extend(table.changed());
        }
        if self.table.is_none() {
            if self.missing > 0 {
                self.missing -= 1;
            } else if self.left > 0 {
                self.left -= 1;
                match Table::new() {
                    Ok(table) => self.table = Some(table),
                    Err(errno) => {
                        tracing::debug!(%errno, "what is known of a path is asked for each time");
                        self.left = 0;
                    }
                }
            }
        }
        if let Some(table) = &mut self.table
            && !table.adds(path, said)
            && may_be_known(self.grants, path)
        {
            table.add(path, said, &self.restless);
        }
    }
}

/// Whether a script with these grants may know of a path, and neither changes what is there nor sees a copy.
fn may_be_known(grants: &Grants, path: &[u8]) -> bool {
    let path = Path::new(OsStr::from_bytes(path));
    // Whether there is something that is hidden, the table must not tell.
    !(grants.covers(Right::Write, path)
        || grants.redirected.iter().any(|redirected| path.starts_with(&redirected.path))
        || grants.hides(path))
}

/// Whether it is so at this moment, of a path without links to it: the name that was recorded of a call that
/// failed need not be what it failed for.
fn is_so(path: &[u8], said: u64) -> bool {
    let (path, mut target) = (c_string(path.to_vec()), [0]);
    let is_no_link = if said == IS_REAL_PATH { Errno::EINVAL } else { Errno::ENOENT };
    sys::read_link(AT_FDCWD.as_raw_fd(), &path, &mut target) == Err(is_no_link)
}

fn errno_of(error: &io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or_default())
}

fn close(memory: &Shared) {
    memory.words()[CLOSED].store(1, Release);
}

/// How closely a directory is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Watched {
    /// Whether it stays where it is.
    Itself,
    /// And what comes into it or leaves it.
    Whole,
}

/// How a directory is watched, and how it is told of.
type Watch = (Watched, WatchDescriptor);

/// Where a path is in the hash table.
enum Slot {
    /// It is there, and this is its place in the memory.
    Taken(usize),
    /// It is not, and could be put into this slot, with this upper half.
    Free(usize, u64),
    /// It is not, and there is no room.
    None,
}

/// Where changes are told of, and the first.
#[derive(Debug)]
struct Changes {
    inotify: Inotify,
    first: OnceLock<WatchDescriptor>,
}

#[derive(Debug)]
struct Table {
    memory: Arc<Shared>,
    changes: Arc<Changes>,
    /// The directories that are watched, and those that cannot be.
    directories: HashMap<Box<[u8]>, Result<Watch, Errno>>,
    /// How many words of the text are in use.
    used: usize,
}

impl Table {
    fn new() -> Result<Self, Errno> {
        let words = NonZero::new(SIZE / 8).ok_or(Errno::EINVAL)?;
        let memory = Arc::new(Shared::new(words)?);
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        let mounts = File::open("/proc/self/mountinfo").map_err(|error| errno_of(&error))?;
        let changes = Arc::new(Changes { inotify, first: OnceLock::new() });
        let (closes, waits) = (memory.clone(), changes.clone());
        let wait = move || {
            let mut polled = [
                PollFd::new(waits.inotify.as_fd(), PollFlags::POLLIN),
                // Of a mount or its end (proc_pid_mountinfo(5)).
                PollFd::new(mounts.as_fd(), PollFlags::POLLPRI),
            ];
            // Whatever comes is a reason, an error too.
            sys::uninterrupted(|| poll(&mut polled, PollTimeout::NONE)).ok();
            if let Some(event) = waits.inotify.read_events().ok().as_deref().and_then(<[_]>::first)
            {
                waits.first.get_or_init(|| event.wd);
            }
            close(&closes);
        };
        let started = Builder::new().stack_size(STACK).spawn(wait);
        started.map_err(|error| errno_of(&error))?;
        Ok(Self { memory, changes, directories: HashMap::new(), used: 0 })
    }

    fn is_closed(&self) -> bool {
        self.memory.words()[CLOSED].load(Acquire) != 0
    }

    /// The directory in which something changed.
    fn changed(self) -> Option<Box<[u8]>> {
        let first = *self.changes.first.get()?;
        let mut all = self.directories.into_iter();
        all.find_map(|(name, known)| known.is_ok_and(|(_, watch)| watch == first).then_some(name))
    }

    /// Adds to what the table says of a path, if it says something and that is so.
    fn adds(&self, path: &[u8], said: u64) -> bool {
        let Slot::Taken(place) = self.slot(path) else { return false };
        let word = &self.memory.words()[place];
        if word.load(Relaxed) & said == 0 && is_so(path, said) {
            word.fetch_or(said, Relaxed);
        }
        true
    }

    /// Where a path is in the hash table, or could be.
    fn slot(&self, path: &[u8]) -> Slot {
        let words = self.memory.words();
        let hash = path.iter().fold(SEED, |before, byte| hash(before, *byte));
        let first = usize::try_from(hash % SLOT_COUNT as u64).unwrap_or_default();
        for probe in 0..PROBES {
            let slot = SLOTS + (first + probe) % SLOT_COUNT;
            match words[slot].load(Relaxed) {
                0 => return Slot::Free(slot, hash & !PLACE),
                found if (found ^ hash) & !PLACE == 0 => {
                    let place = usize::try_from(found & PLACE).unwrap_or_default();
                    if self.text(TEXT + place - 1) == path {
                        return Slot::Taken(TEXT + place - 1);
                    }
                }
                _ => {}
            }
        }
        Slot::None
    }

    fn text(&self, place: usize) -> Vec<u8> {
        let words = self.memory.words();
        let length = usize::try_from(words[place].load(Relaxed) & LENGTH).unwrap_or_default();
        let text = &words[place + 1..][..length.div_ceil(8)];
        let mut text: Vec<u8> =
            text.iter().flat_map(|word| word.load(Relaxed).to_ne_bytes()).collect();
        text.truncate(length);
        text
    }

    fn add(&mut self, path: &[u8], said: u64, restless: &Directories) {
        let Slot::Free(slot, tag) = self.slot(path) else { return };
        let place = self.used;
        let end = place + 1 + path.len().div_ceil(8);
        if TEXT + end > SIZE / 8 || !self.stays(path, said, restless) {
            return;
        }
        let words = self.memory.words();
        words[TEXT + place].store(path.len() as u64 | said, Relaxed);
        for (word, bytes) in words[TEXT + place + 1..].iter().zip(path.chunks(8)) {
            let mut whole = [0; 8];
            whole[..bytes.len()].copy_from_slice(bytes);
            word.store(u64::from_ne_bytes(whole), Relaxed);
        }
        self.used = end;
        words[slot].store(tag | (place as u64 + 1), Release);
    }

    /// Whether that is so, and the table will be closed when it changes.
    fn stays(&mut self, path: &[u8], said: u64, restless: &Directories) -> bool {
        // It is looked at when it is watched already: nothing comes in between.
        self.watch(path, restless) && is_so(path, said)
    }

    /// Watches the directories that lead to a path, as far as they are there.
    fn watch(&mut self, path: &[u8], restless: &Directories) -> bool {
        let mut last = &b"/"[..];
        for (at, _) in path.iter().enumerate().filter(|(_, byte)| **byte == b'/') {
            let directory = &path[..at.max(1)];
            match self.watch_as(directory, Watched::Itself) {
                Ok(()) => last = directory,
                Err(Errno::ENOENT) => break,
                Err(_) => return false,
            }
        }
        !restless.contains(last) && self.watch_as(last, Watched::Whole).is_ok()
    }

    fn watch_as(&mut self, directory: &[u8], how: Watched) -> Result<(), Errno> {
        match self.directories.get(directory) {
            Some(Ok((known, _))) if *known >= how => return Ok(()),
            Some(Err(errno)) => return Err(*errno),
            _ => {}
        }
        if self.directories.len() >= DIRECTORIES {
            return Err(Errno::ENOSPC);
        }
        let result = begin_watch(&self.changes.inotify, directory, how);
        if result != Err(Errno::ENOENT) {
            self.directories.insert(directory.into(), result.map(|watch| (how, watch)));
        }
        result.map(drop)
    }
}

/// Watches a directory, if there is no link on its way. It is the one that is found there, whatever comes
/// into its place.
fn begin_watch(
    inotify: &Inotify,
    directory: &[u8],
    how: Watched,
) -> Result<WatchDescriptor, Errno> {
    let no_links = libc::RESOLVE_NO_SYMLINKS | libc::RESOLVE_NO_MAGICLINKS;
    let flags = path_only() | found::flags(libc::O_DIRECTORY);
    let path = c_string(directory.to_vec());
    let directory = sys::open(AT_FDCWD.as_raw_fd(), &path, flags, 0, no_links)?;
    if !TELLING.contains(&fstatfs(&directory)?.filesystem_type()) {
        return Err(Errno::ENOTSUP);
    }
    let add_to_others = AddWatchFlags::from_bits_retain(libc::IN_MASK_ADD);
    let mut flags = AddWatchFlags::IN_DELETE_SELF | AddWatchFlags::IN_MOVE_SELF | add_to_others;
    if how == Watched::Whole {
        flags |= AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVE | AddWatchFlags::IN_DELETE;
    }
    inotify.add_watch(found::own_name(directory.as_raw_fd()).as_c_str(), flags)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::ffi::OsStringExt;

    use super::*;
    use crate::policy::{Grant, Hidden};

    #[test]
    fn a_table_says_what_was_found_until_that_changes() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path().canonicalize().unwrap();
        let grants = Grants { library: Some("/library".into()), ..Grants::default() };
        let mut known = Known::new(&grants);
        let path =
            |number: u32| directory.join(format!("none/{number}")).into_os_string().into_vec();
        for number in 0..20_000 {
            known.note(Kind::Read, &path(number), false);
        }
        let said = |known: &Known<'_>, path: &[u8]| {
            let table = known.table.as_ref().unwrap();
            let Slot::Taken(place) = table.slot(path) else { return 0 };
            assert_eq!(table.text(place), path);
            table.memory.words()[place].load(Relaxed) & !LENGTH
        };
        // It has begun after the first, and was full before the last.
        assert_eq!(said(&known, &path(0)), 0);
        assert_eq!(said(&known, &path(ENOUGH)), NOTHING_TO_READ);
        assert_eq!(said(&known, &path(19_999)), 0);
        let all = (0..20_000).filter(|number| said(&known, &path(*number)) != 0).count();
        assert!((5_000..19_000).contains(&all), "{all}");
        known.note(Kind::Stat, &path(ENOUGH), false);
        assert_eq!(said(&known, &path(ENOUGH)), NOTHING_TO_READ | NOTHING_TO_LOOK_AT);

        fs::create_dir(directory.join("none")).unwrap();
        let table = known.table.as_ref().unwrap();
        while !table.is_closed() {
            std::thread::yield_now();
        }
        assert!(known.file().is_none());
        // What is in a directory that changes is not kept any more.
        known.note(Kind::Read, &directory.join("other").into_os_string().into_vec(), false);
        known.note(Kind::Read, &path(1), false);
        assert!(known.file().is_some());
        assert_eq!(said(&known, directory.join("other").as_os_str().as_bytes()), 0);
        assert_eq!(said(&known, &path(1)), NOTHING_TO_READ);
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
        let mut known = Known::new(&grants);
        let mut note = |path: &Path| {
            for _ in 0..=ENOUGH {
                known.note(Kind::Stat, path.as_os_str().as_bytes(), false);
            }
            matches!(
                known.table.as_ref().unwrap().slot(path.as_os_str().as_bytes()),
                Slot::Taken(_)
            )
        };
        assert!(note(&directory.join("none")));
        assert!(!note(&own.join("none")));
        assert!(!note(&directory.join("link/none")));
        assert!(!note(&directory.join("hidden/none")));
        // It is there.
        assert!(!note(&own));
        assert!(!note(Path::new("/proc/self/none")));
    }
}
