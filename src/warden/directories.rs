//! Where processes stand: the directories that their relative paths start from.
//!
//! To ask the kernel each time costs as much as half of an open. So what it said is kept for as long
//! as nothing changes it: no process of the script is about to change its directory, and no directory
//! is renamed or removed. Only first threads are kept, because any other may have a directory of its
//! own (unshare(2), `CLONE_FS`).

use std::cell::RefCell;
use std::collections::HashMap;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::errno::Errno;
use nix::fcntl::AT_FDCWD;
use nix::sys::stat::fstat;

use super::found::{Found, c_string, path_only};
use crate::sys;

/// So many processes are kept; each takes two descriptors.
const KEPT: usize = 256;

/// See the file's description. Each answering thread has its own.
#[derive(Debug, Default)]
pub struct Directories {
    shared: Arc<Changes>,
    cache: RefCell<Cache>,
}

/// What changes directories.
#[derive(Debug, Default)]
struct Changes {
    /// How often something has; what was known before counts no more.
    count: AtomicU64,
    /// Threads that may be changing theirs at this moment: each until its next call.
    moving: Mutex<Vec<u32>>,
    /// How many of those there are.
    movers: AtomicUsize,
}

#[derive(Debug, Default)]
struct Cache {
    /// The changes that are known of.
    changes: u64,
    /// The thread whose call is looked at, and its process in the record, if it is that one's first.
    caller: Option<(u32, u32)>,
    known: HashMap<u32, Known>,
}

#[derive(Debug)]
struct Known {
    /// In the record: the kernel gives a number again.
    process: u32,
    cwd: Option<Arc<Found>>,
    /// `/proc/PID/fd`
    descriptors: Option<OwnedFd>,
}

fn open(name: String) -> Result<OwnedFd, Errno> {
    sys::open(AT_FDCWD.as_raw_fd(), &c_string(name.into_bytes()), path_only(), 0, 0)
}

impl Directories {
    /// A thread makes a call. `first_of` is the process in the record whose first thread it is.
    pub fn meet(&self, thread: u32, first_of: Option<u32>) {
        self.shared.end(|moving| moving == thread);
        self.cache.borrow_mut().caller = first_of.map(|process| (thread, process));
    }

    /// The kernel is about to change a thread's directory, and that of all it shares it with.
    pub fn moves(&self, thread: u32) {
        let mut moving = self.shared.moving();
        moving.push(thread);
        self.shared.movers.store(moving.len(), Ordering::SeqCst);
        self.shared.count.fetch_add(1, Ordering::SeqCst);
    }

    /// Directories have been renamed or removed.
    pub fn forget(&self) {
        self.shared.count.fetch_add(1, Ordering::SeqCst);
    }

    /// The same for another thread.
    #[must_use]
    pub fn another(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), cache: RefCell::default() }
    }

    /// The working directory of a thread.
    ///
    /// # Errors
    /// `ENOENT` or `ESRCH` if the thread is gone.
    pub fn cwd(&self, thread: u32) -> Result<Arc<Found>, Errno> {
        let ask = || Ok(Arc::new(Found::new(open(format!("/proc/{thread}/cwd"))?)?));
        let mut cache = self.cache.borrow_mut();
        let Some(known) = cache.of(thread, &self.shared) else { return ask() };
        if let Some(cwd) = &known.cwd {
            return Ok(Arc::clone(cwd));
        }
        let cwd = ask()?;
        known.cwd = Some(Arc::clone(&cwd));
        Ok(cwd)
    }

    /// How many descriptors a thread has open: the size of this directory (Linux 6.2; 0 before).
    ///
    /// # Errors
    /// `ENOENT` or `ESRCH` if the thread is gone.
    pub fn open_descriptors(&self, thread: u32) -> Result<u64, Errno> {
        let ask = || open(format!("/proc/{thread}/fd"));
        let size = |file: &OwnedFd| Ok(u64::try_from(fstat(file)?.st_size).unwrap_or(0));
        let mut cache = self.cache.borrow_mut();
        let Some(known) = cache.of(thread, &self.shared) else { return size(&ask()?) };
        if known.descriptors.is_none() {
            known.descriptors = Some(ask()?);
        }
        known.descriptors.as_ref().map_or(Ok(0), size)
    }
}

impl Changes {
    fn moving(&self) -> MutexGuard<'_, Vec<u32>> {
        self.moving.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Threads have changed their directories, or are gone.
    fn end(&self, which: impl Fn(u32) -> bool) {
        if self.movers.load(Ordering::SeqCst) == 0 {
            return;
        }
        let mut moving = self.moving();
        moving.retain(|thread| !which(*thread));
        self.movers.store(moving.len(), Ordering::SeqCst);
    }
}

impl Cache {
    /// What is known of a thread, if that can be kept.
    fn of(&mut self, thread: u32, shared: &Changes) -> Option<&mut Known> {
        let (_, process) = self.caller.filter(|(caller, _)| *caller == thread)?;
        // One that was killed makes no further call.
        shared.end(|moving| !Path::new(&format!("/proc/{moving}")).exists());
        if shared.movers.load(Ordering::SeqCst) > 0 {
            return None;
        }
        let changes = shared.count.load(Ordering::SeqCst);
        if changes != self.changes || self.known.len() >= KEPT {
            self.changes = changes;
            self.known.clear();
        }
        let new = || Known { process, cwd: None, descriptors: None };
        let known = self.known.entry(thread).or_insert_with(new);
        if known.process != process {
            *known = new();
        }
        Some(known)
    }
}
