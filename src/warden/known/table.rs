//! The table's memory, as the preloaded library reads it ([`protocol`]).
//!
//! [`protocol`]: crate::preload::protocol::known

use std::num::NonZero;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use nix::errno::Errno;
use nix::fcntl::AT_FDCWD;
use nix::sys::stat::{SFlag, lstat};
use nix::unistd::{AccessFlags, access};

use super::made::Made;
use super::watches::{Directories, Watched, Watches};
use crate::preload::protocol::known::{
    CLOSED, IS_FORBIDDEN, IS_PAST, IS_REAL_PATH, IS_THERE, LENGTH, MASK, MAY_EXECUTE, MAY_READ,
    PLACE, PROBES, SEED, SIZE, SLOT_COUNT, SLOTS, STATUS, TEXT, hash,
};
use crate::sys::{self, Shared};
use crate::warden::found::{c_string, path_only};

/// One table, until it is closed.
#[derive(Debug)]
pub struct Table {
    memory: Arc<Shared>,
    /// As soon as something has to be watched.
    watches: Option<Watches>,
    /// How many words of the text are in use.
    used: usize,
}

/// Where a path is in the hash table.
enum Slot {
    /// It is there, and this is its place in the memory.
    Taken(usize),
    /// It is not, and could be put into this slot, with this upper half.
    Free(usize, u64),
    /// It is not, and there is no room.
    None,
}

impl Table {
    /// An empty one.
    ///
    /// # Errors
    /// Of [`Shared::new`].
    pub fn new(made: &Made) -> Result<Self, Errno> {
        let words = NonZero::new(SIZE / 8).ok_or(Errno::EINVAL)?;
        let memory = Arc::new(Shared::new(words)?);
        made.begin(&memory);
        Ok(Self { memory, watches: None, used: 0 })
    }

    /// What a process maps, which sees there whether it is closed.
    #[must_use]
    pub fn file(&self) -> Option<OwnedFd> {
        self.memory.file().ok()
    }

    /// Whether it is closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.memory.words()[CLOSED].load(Acquire) != 0
    }

    /// Closes it, and says that a program has a filter of its own.
    pub fn forbid(&self) {
        self.memory.words()[CLOSED].fetch_or(IS_FORBIDDEN, Release);
    }

    /// The directory in which something changed.
    #[must_use]
    pub fn changed(self) -> Option<Box<[u8]>> {
        self.watches?.changed()
    }

    /// What watches; none if nothing can, and so nothing can be said.
    fn watches(&mut self) -> Option<&mut Watches> {
        if self.watches.is_none() {
            let memory = self.memory.clone();
            match Watches::begin(move || close(&memory)) {
                Ok(watches) => self.watches = Some(watches),
                Err(errno) => {
                    tracing::debug!(%errno, "nothing is known of a path");
                    close(&self.memory);
                }
            }
        }
        self.watches.as_mut()
    }

    fn is_watched(&mut self, path: &[u8], how: Watched, restless: &Directories) -> bool {
        self.watches().is_some_and(|watches| watches.lead_to(path, how, restless))
    }

    /// Whether it says this of a path.
    #[must_use]
    pub fn says(&self, path: &[u8], said: u64) -> bool {
        matches!(self.slot(path), Slot::Taken(place) if self.memory.words()[place].load(Relaxed) & said != 0)
    }

    /// Says that of a path that nobody may change, if it is so, and the table will be closed when it is not any
    /// more: it is looked at when it is watched already, and nothing comes in between.
    pub fn learn(&mut self, path: &[u8], said: u64, restless: &Directories) {
        if self.is_watched(path, Watched::Names, restless) && is_so(path, said) {
            self.put(path, said, None);
        }
    }

    /// As [`Self::learn`], of what is there, if that is a file or a directory.
    pub fn learn_status(&mut self, path: &[u8], restless: &Directories) {
        if !self.is_watched(path, Watched::Status, restless) {
            return;
        }
        let name = c_string(path.to_vec());
        let Ok(found) = lstat(name.as_c_str()) else { return };
        match SFlag::from_bits_truncate(found.st_mode) & SFlag::S_IFMT {
            SFlag::S_IFREG if found.st_nlink == 1 => {}
            // What has another name as well can change by that, in a directory that is not watched.
            SFlag::S_IFREG | SFlag::S_IFDIR => {
                let watched = self.watches().map(|watches| watches.watch(path, Watched::Status));
                if restless.contains(path) || watched != Some(Ok(())) {
                    return;
                }
            }
            _ => return,
        }
        // Now it is watched itself.
        let Ok(status) = sys::status(&name, MASK) else { return };
        let may = |flag| access(name.as_c_str(), flag).is_ok();
        let reads = if may(AccessFlags::R_OK) { MAY_READ } else { 0 };
        let executes = if may(AccessFlags::X_OK) { MAY_EXECUTE } else { 0 };
        self.put(path, IS_THERE | reads | executes, Some(&status));
    }

    /// Says that nothing is at a path in a directory of the script's own, if it is so, until something of a name on
    /// it is made.
    pub fn learn_own(&mut self, path: &[u8], said: u64, own: &[u8], made: &Made) {
        let Some(mut names) = made.names() else { return };
        let (to_own, none) = ([own, b"/"].concat(), Directories::new());
        let below = path.strip_prefix(own).unwrap_or(path);
        if names.are_on(below)
            || !self.is_watched(&to_own, Watched::Itself, &none)
            || !is_missing(path)
        {
            return;
        }
        if let Some(place) = self.put(path, said, None) {
            names.say(below, place);
        }
    }

    /// Puts it there; where, if there is room.
    fn put(&mut self, path: &[u8], said: u64, status: Option<&[u64; STATUS]>) -> Option<usize> {
        let slot = self.slot(path);
        let needed = match slot {
            Slot::Taken(_) => 0,
            Slot::Free(..) => 2 + path.len().div_ceil(8),
            Slot::None => return None,
        };
        let end = self.used + needed + if status.is_some() { STATUS } else { 0 };
        if TEXT + end > SIZE / 8 {
            return None;
        }
        let words = self.memory.words();
        let place = match slot {
            Slot::Taken(place) => place,
            _ => TEXT + self.used,
        };
        if needed > 0 {
            words[place].store(path.len() as u64, Relaxed);
            for (word, bytes) in words[place + 2..].iter().zip(path.chunks(8)) {
                let mut whole = [0; 8];
                whole[..bytes.len()].copy_from_slice(bytes);
                word.store(u64::from_ne_bytes(whole), Relaxed);
            }
        }
        if let Some(status) = status {
            let at = self.used + needed;
            for (word, value) in words[TEXT + at..].iter().zip(status) {
                word.store(*value, Relaxed);
            }
            words[place + 1].store(at as u64 + 1, Relaxed);
        }
        self.used = end;
        words[place].fetch_or(said, Release);
        if let Slot::Free(slot, tag) = slot {
            words[slot].store(tag | ((place - TEXT) as u64 + 1), Release);
        }
        Some(place)
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
        let text = &words[place + 2..][..length.div_ceil(8)];
        let mut text: Vec<u8> =
            text.iter().flat_map(|word| word.load(Relaxed).to_ne_bytes()).collect();
        text.truncate(length);
        text
    }

    /// What is said of a path.
    #[cfg(test)]
    pub(super) fn said(&self, path: &[u8]) -> u64 {
        let Slot::Taken(place) = self.slot(path) else { return 0 };
        self.memory.words()[place].load(Relaxed) & !LENGTH
    }
}

fn close(memory: &Shared) {
    memory.words()[CLOSED].fetch_or(IS_PAST, Release);
}

/// Whether it is so at this moment, of a path without links to it: the name that was recorded of a call that
/// failed need not be what it failed for.
fn is_so(path: &[u8], said: u64) -> bool {
    let (path, mut target) = (c_string(path.to_vec()), [0]);
    let is_no_link = if said == IS_REAL_PATH { Errno::EINVAL } else { Errno::ENOENT };
    sys::read_link(AT_FDCWD.as_raw_fd(), &path, &mut target) == Err(is_no_link)
}

/// Whether nothing is at this path, and no link on the way to there.
fn is_missing(path: &[u8]) -> bool {
    let (path, no_links) = (c_string(path.to_vec()), libc::RESOLVE_NO_SYMLINKS);
    let found = sys::open(AT_FDCWD.as_raw_fd(), &path, path_only(), 0, no_links);
    found.err() == Some(Errno::ENOENT)
}
