//! Watching what is known: directories on the usual local file systems, and mounts (inotify(7)).

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::{Arc, OnceLock};
use std::thread::Builder;

use nix::errno::Errno;
use nix::fcntl::AT_FDCWD;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};
use nix::sys::statfs::{self, FsType, fstatfs};

use crate::sys;
use crate::warden::found::{self, c_string, path_only};

/// So many directories are watched at most: a user may have only so many watches (inotify(7)).
const DIRECTORIES: usize = 1000;
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
pub type Directories = HashSet<Box<[u8]>>;

/// How closely a directory is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Watched {
    /// Whether it stays where it is.
    Itself,
    /// And what comes into it or leaves it.
    Names,
    /// And whether the status of anything in it changes.
    Status,
}

/// How a directory is watched, and how it is told of.
type Watch = (Watched, WatchDescriptor);

/// Where changes are told of, and the first.
#[derive(Debug)]
struct Changes {
    inotify: Inotify,
    first: OnceLock<WatchDescriptor>,
}

/// See the file's description.
#[derive(Debug)]
pub struct Watches {
    changes: Arc<Changes>,
    /// The directories that are watched, and those that cannot be.
    directories: HashMap<Box<[u8]>, Result<Watch, Errno>>,
}

impl Watches {
    /// Begins, and calls `end` after the first change, in a thread of its own.
    ///
    /// # Errors
    /// Those of `inotify_init1`(2), and if there can be no more descriptors or threads.
    pub fn begin(end: impl FnOnce() + Send + 'static) -> Result<Self, Errno> {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        let mounts = File::open("/proc/self/mountinfo").map_err(|error| errno_of(&error))?;
        let changes = Arc::new(Changes { inotify, first: OnceLock::new() });
        let waits = changes.clone();
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
            end();
        };
        let started = Builder::new().stack_size(STACK).spawn(wait);
        started.map_err(|error| errno_of(&error))?;
        Ok(Self { changes, directories: HashMap::new() })
    }

    /// The directory in which something changed.
    #[must_use]
    pub fn changed(self) -> Option<Box<[u8]>> {
        let first = *self.changes.first.get()?;
        let mut all = self.directories.into_iter();
        all.find_map(|(name, known)| known.is_ok_and(|(_, watch)| watch == first).then_some(name))
    }

    /// Watches the directories that lead to a path, as far as they are there, and the last of them as closely
    /// as `how` says. Whether that is possible, and worth it.
    pub fn lead_to(&mut self, path: &[u8], how: Watched, restless: &Directories) -> bool {
        let mut last = &b"/"[..];
        for (at, _) in path.iter().enumerate().filter(|(_, byte)| **byte == b'/') {
            let directory = &path[..at.max(1)];
            match self.watch(directory, Watched::Itself) {
                Ok(()) => last = directory,
                Err(Errno::ENOENT) => break,
                Err(_) => return false,
            }
        }
        !restless.contains(last) && self.watch(last, how).is_ok()
    }

    /// Watches one directory, or a file.
    ///
    /// # Errors
    /// Those of openat2(2) and `inotify_add_watch`(2); `ENOTSUP` of a file system that does not tell, `ENOSPC` of
    /// one directory too many.
    pub fn watch(&mut self, directory: &[u8], how: Watched) -> Result<(), Errno> {
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

fn errno_of(error: &io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or_default())
}

/// Whether an open file's file system tells of every change.
#[must_use]
pub fn tells(file: impl AsFd) -> bool {
    fstatfs(file).is_ok_and(|found| TELLING.contains(&found.filesystem_type()))
}

/// Watches a directory or a file, if there is no link on its way. It is the one that is found there, whatever
/// comes into its place.
fn begin_watch(
    inotify: &Inotify,
    directory: &[u8],
    how: Watched,
) -> Result<WatchDescriptor, Errno> {
    let no_links = libc::RESOLVE_NO_SYMLINKS | libc::RESOLVE_NO_MAGICLINKS;
    let path = c_string(directory.to_vec());
    let directory = sys::open(AT_FDCWD.as_raw_fd(), &path, path_only(), 0, no_links)?;
    if !tells(&directory) {
        return Err(Errno::ENOTSUP);
    }
    let add_to_others = AddWatchFlags::from_bits_retain(libc::IN_MASK_ADD);
    let mut flags = AddWatchFlags::IN_DELETE_SELF | AddWatchFlags::IN_MOVE_SELF | add_to_others;
    if how >= Watched::Names {
        flags |= AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVE | AddWatchFlags::IN_DELETE;
    }
    if how == Watched::Status {
        flags |= AddWatchFlags::IN_ATTRIB | AddWatchFlags::IN_MODIFY;
    }
    inotify.add_watch(found::own_name(directory.as_raw_fd()).as_c_str(), flags)
}
