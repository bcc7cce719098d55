//! Names that a script makes, and so what is known of its own directories: that nothing is at a path, until
//! something of one of the names on it is made.
//!
//! No name comes to be in them but by the warden's hand, which says so here before and afterwards; but for core
//! dumps (core(5)), and what somebody else makes there. Names alone are
//! compared, wherever they are made: so it does not matter by which links, mounts or directories a script comes to
//! them.

use std::collections::{HashMap, HashSet};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::fence;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::errno::Errno;
use nix::fcntl::AT_FDCWD;
use nix::sys::statfs::{FsType, fstatfs};

use super::watches::tells;
use crate::policy::Grants;
use crate::preload::protocol::known::LENGTH;
use crate::sys::{self, Shared};
use crate::warden::found::{self, c_string};

/// See the file's description. A clone is of the same names.
#[derive(Clone, Debug, Default)]
pub struct Made(Option<Arc<Mutex<Names>>>);

/// The names, for the calling thread alone.
#[derive(Debug, Default)]
pub struct Names {
    /// What is being made at this moment; none of what can have any name.
    under_way: Vec<Option<Box<[u8]>>>,
    /// The table's memory, and where in it is what is said of paths with such a name on their way.
    memory: Option<Arc<Shared>>,
    said: HashMap<Box<[u8]>, HashSet<usize>>,
}

/// A name that is being made, as long as this lives.
#[derive(Debug)]
#[must_use = "when it is dropped, the name has been made"]
pub struct Making {
    made: Made,
    name: Option<Box<[u8]>>,
}

impl Made {
    /// For a script with these grants: of no use if somebody else may write to its directories for it, or if in
    /// them a name is not its letters.
    #[must_use]
    pub fn new(grants: &Grants) -> Self {
        let is_used = grants.library.is_some()
            && !grants.is_permissive()
            && !grants.gives_sockets()
            && grants.outputs.is_none()
            && grants.own.iter().all(|path| is_told_of(path));
        Self(is_used.then(Arc::default))
    }

    /// The last name of this path is about to be made, in whatever directory.
    #[must_use]
    pub fn make(&self, path: &[u8]) -> Option<Making> {
        let end = path.iter().rposition(|byte| *byte != b'/').map_or(0, |last| last + 1);
        let start = path[..end].iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1);
        let name: Box<[u8]> = path[start..end].into();
        let mut names = self.names()?;
        let gone = names.said.remove(&name).unwrap_or_default();
        names.forget(gone);
        names.under_way.push(Some(name.clone()));
        Some(Making { made: self.clone(), name: Some(name) })
    }

    /// Something is about to be made of which no name is known.
    #[must_use]
    pub fn make_anything(&self) -> Option<Making> {
        let mut names = self.names()?;
        let gone = std::mem::take(&mut names.said);
        names.forget(gone.into_values().flatten());
        names.under_way.push(None);
        Some(Making { made: self.clone(), name: None })
    }

    /// A new table is begun.
    pub fn begin(&self, memory: &Arc<Shared>) {
        if let Some(mut names) = self.names() {
            names.said.clear();
            names.memory = Some(memory.clone());
        }
    }

    /// The names; none if they are of no use. As long as the caller has them, none begins to be made.
    #[must_use]
    pub fn names(&self) -> Option<MutexGuard<'_, Names>> {
        Some(self.0.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Names {
    /// Whether something is being made that may be on this path.
    #[must_use]
    pub fn are_on(&self, path: &[u8]) -> bool {
        let is_on = |name: &Option<Box<[u8]>>| {
            name.as_ref().is_none_or(|name| parts(path).any(|part| *part == **name))
        };
        self.under_way.iter().any(is_on)
    }

    /// Remembers where something is said of a path.
    pub fn say(&mut self, path: &[u8], place: usize) {
        for part in parts(path) {
            match self.said.get_mut(part) {
                Some(places) => {
                    places.insert(place);
                }
                None => {
                    self.said.insert(part.into(), HashSet::from([place]));
                }
            }
        }
    }

    fn forget(&self, places: impl IntoIterator<Item = usize>) {
        let Some(memory) = &self.memory else { return };
        for place in places {
            memory.words()[place].fetch_and(LENGTH, Relaxed);
        }
        // Whoever sees what is made now sees this, too.
        fence(SeqCst);
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        let Some(mut names) = self.made.names() else { return };
        if let Some(at) = names.under_way.iter().position(|name| *name == self.name) {
            names.under_way.swap_remove(at);
        }
    }
}

/// Whether a directory's file system tells of every change, and takes a name by its letters. ZFS may take
/// different letters for the same (zfsprops(7), `casesensitivity`, `normalization`); of others, each directory may
/// (`FS_CASEFOLD_FL`), or all of them, the one above included.
fn is_told_of(directory: &Path) -> bool {
    const ZFS: FsType = FsType(0x2fc1_2fc1);
    let open = |path: &[u8]| {
        let flags = found::flags(libc::O_DIRECTORY | libc::O_CLOEXEC);
        let no_links = libc::RESOLVE_NO_SYMLINKS;
        sys::open(AT_FDCWD.as_raw_fd(), &c_string(path.to_vec()), flags, 0, no_links)
    };
    let Ok(file) = open(directory.as_os_str().as_bytes()) else { return false };
    tells(&file)
        && fstatfs(&file).is_ok_and(|found| found.filesystem_type() != ZFS)
        && !sys::folds_case(file.as_fd())
        && open(&in_other_case(directory)).err() == Some(Errno::ENOENT)
}

/// A path whose last name differs in upper and lower case.
fn in_other_case(path: &Path) -> Vec<u8> {
    let mut bytes = path.as_os_str().as_bytes().to_vec();
    let name = bytes.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
    for byte in &mut bytes[name..] {
        *byte ^= if byte.is_ascii_alphabetic() { 0x20 } else { 0 };
    }
    bytes
}

fn parts(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|byte| *byte == b'/').filter(|part| !part.is_empty())
}
