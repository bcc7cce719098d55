//! Calls that look at a path without opening it.
//!
//! The kernel carries them out for the caller. What the warden notes is what it finds at that path
//! itself: they give no content away, and are too many to be performed. Only where something is hidden,
//! and at what an extended attribute holds, the warden looks in the caller's stead ([`super::seen`]).

use nix::errno::Errno;

use super::argument::{self, Link, PathAt};
use super::names::Use;
use super::place::Place;
use super::procfs::Procfs;
use crate::access::Kind;
use crate::sys::Notification;

/// A look at a path, and what came of it.
pub type Looked = (Use, Result<(), Errno>);

/// A call that looks.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// Where it looks.
    pub at: PathAt,
    /// What a link there means.
    pub link: Link,
    /// What kind of access it is.
    pub kind: Kind,
}

impl Request {
    /// What this call asks for, if it is such a call.
    #[must_use]
    pub fn of(number: i64) -> Option<Self> {
        let at = PathAt(Some(0), 1);
        let first = PathAt(None, 0);
        let (at, link) = match number {
            libc::SYS_newfstatat => (at, Link::Flags(3)),
            libc::SYS_statx | LISTXATTRAT => (at, Link::Flags(2)),
            libc::SYS_faccessat => (at, Link::Follow),
            libc::SYS_faccessat2 => (at, Link::Flags(3)),
            FILE_GETATTR => (at, Link::Flags(4)),
            libc::SYS_readlinkat => {
                return Some(Self { at, link: Link::Keep, kind: Kind::ReadLink });
            }
            libc::SYS_statfs | libc::SYS_getxattr | libc::SYS_listxattr | libc::SYS_chdir => {
                (first, Link::Follow)
            }
            libc::SYS_lgetxattr | libc::SYS_llistxattr => (first, Link::Keep),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_stat | libc::SYS_access => (first, Link::Follow),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_lstat => (first, Link::Keep),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_readlink => {
                return Some(Self { at: first, link: Link::Keep, kind: Kind::ReadLink });
            }
            _ => return None,
        };
        Some(Self { at, link, kind: Kind::Stat })
    }

    /// The path, and what is found there.
    ///
    /// # Errors
    /// Where it names no path, or that cannot be read.
    pub fn look(self, call: &Notification, procfs: &Procfs) -> Result<Looked, Errno> {
        let place = Place::of(call, self.at, procfs)?;
        let found = if self.kind == Kind::ReadLink {
            place.read_link()
        } else {
            place.look(self.link.is_followed(call))
        };
        Ok((place.used(self.kind, procfs), found))
    }
}

/// Whether a call tells what somebody has written, and not only that it is there.
#[must_use]
pub fn reads(number: i64) -> bool {
    matches!(number, libc::SYS_getxattr | libc::SYS_lgetxattr)
}

/// Whether a call asks about an open file: with an empty path (openat(2), `AT_EMPTY_PATH`).
#[must_use]
pub fn names_nothing(call: &Notification) -> bool {
    let flags = match call.number {
        libc::SYS_newfstatat => 3,
        libc::SYS_statx => 2,
        _ => return false,
    };
    let path = call.arguments[1];
    // Since Linux 6.11 there need be no path at all.
    argument::descriptor(call.arguments[flags]) & libc::AT_EMPTY_PATH != 0
        && (path == 0 || argument::path(call.pid, path).is_ok_and(|path| path.is_empty()))
}

// Calls that libc does not number yet.
pub(super) const LISTXATTRAT: i64 = 465;
pub(super) const FILE_GETATTR: i64 = 468;
