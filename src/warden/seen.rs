//! What a call sees that looks at a path, where something is hidden, and what an extended attribute holds.
//!
//! What the kernel would look at itself could be another path by then: a second thread can write what is
//! hidden in the place of what is not. So the warden opens the path once, without any access to what is in
//! the file, and answers by what it has opened. Landlock knows no attributes: those of users, which are
//! anything (xattr(7), "Extended user attributes"), are for those who may read the file.

use std::ffi::OsStr;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::stat::SFlag;

use super::argument;
use super::found::{self, Found};
use super::look::{FILE_GETATTR, LISTXATTRAT, Request};
use super::names::Use;
use super::place::Place;
use super::procfs::{Procfs, process_of};
use crate::access::Kind;
use crate::policy::{Grants, Right};
use crate::sys::inspect;
use crate::sys::{self, Answer, Notification};

/// The longest path that a link holds (limits.h, `PATH_MAX`).
const LINK_MAX: usize = 4096;
/// The longest name of an extended attribute, its NUL included, and the longest value
/// (`linux/limits.h`).
const NAME_MAX: usize = 256;
const VALUE_MAX: usize = 65536;

/// See the file's description.
#[derive(Debug)]
pub struct Seen {
    /// What was done with which path, and what came of it; none of a call that names none.
    pub used: Option<(Use, Result<(), Errno>)>,
    /// How the call is answered.
    pub answer: Answer,
}

impl Seen {
    fn failed(errno: Errno) -> Self {
        Self { used: None, answer: Answer::Fail(errno) }
    }

    /// Looks for a call.
    #[must_use]
    pub fn by(call: &Notification, request: Request, procfs: &Procfs, grants: &Grants) -> Self {
        // Their structures lie in memory, and callers do without on older kernels.
        if matches!(call.number, LISTXATTRAT | FILE_GETATTR) {
            return Self::failed(Errno::ENOSYS);
        }
        if !is_valid(call) {
            return Self::failed(Errno::EINVAL);
        }
        let place = match Place::of(call, request.at, procfs) {
            Ok(place) => place,
            Err(Errno::ENOENT) if call.number == libc::SYS_readlinkat || has_empty_path(call) => {
                return Self::of_open_file(call, procfs);
            }
            Err(errno) => return Self::failed(errno),
        };
        let keep = if request.link.is_followed(call) { 0 } else { libc::O_NOFOLLOW };
        let flags = found::flags(libc::O_PATH | libc::O_CLOEXEC | keep);
        let mut kind = request.kind;
        let (found, answer) = match place.open(procfs, flags, 0) {
            Ok(_) if call.number == libc::SYS_chdir => (Ok(()), Ok(Answer::Continue)),
            Ok(file) => {
                let answer = match call.number {
                    libc::SYS_getxattr | libc::SYS_lgetxattr => {
                        attribute(call, &file, grants, &mut kind)
                    }
                    _ => told(call, &file),
                };
                // That a file has no such attribute, for instance, is no failure to look at it.
                let found = answer.as_ref().map(drop).map_err(|errno| *errno);
                (if kind == Kind::Stat { Ok(()) } else { found }, answer)
            }
            Err(errno) => (Err(errno), Err(errno)),
        };
        let used = place.used(kind, procfs);
        Self { used: Some((used, found)), answer: answer.unwrap_or_else(Answer::Fail) }
    }

    /// Looks at the file that a call's first argument is, and no path.
    #[must_use]
    pub fn of_open_file(call: &Notification, procfs: &Procfs) -> Self {
        let told = match argument::descriptor(call.arguments[0]) {
            libc::AT_FDCWD => procfs.directories.cwd(call.pid).and_then(|cwd| told(call, &cwd)),
            _ => Place::of_descriptor(call, 0).and_then(|file| told(call, &file)),
        };
        // `EINVAL` is of a path that is no link's.
        let is_link_wanted = call.number == libc::SYS_readlinkat;
        let answer = told.unwrap_or_else(|errno| match errno {
            Errno::EINVAL if is_link_wanted => Answer::Fail(Errno::ENOENT),
            errno => Answer::Fail(errno),
        });
        Self { used: None, answer }
    }
}

/// Whether a call may ask about an open file (openat(2), `AT_EMPTY_PATH`).
fn has_empty_path(call: &Notification) -> bool {
    let index = match call.number {
        libc::SYS_newfstatat | libc::SYS_faccessat2 => 3,
        libc::SYS_statx => 2,
        _ => return false,
    };
    argument::descriptor(call.arguments[index]) & libc::AT_EMPTY_PATH != 0
}

/// Whether a call's flags and the like are what the kernel accepts: it looks at these before it looks at the
/// path (statx(2), faccessat(2), readlink(2), `EINVAL`).
fn is_valid(call: &Notification) -> bool {
    /// `AT_STATX_SYNC_TYPE`
    const SYNC: i32 = libc::AT_STATX_FORCE_SYNC | libc::AT_STATX_DONT_SYNC;
    const OF_STAT: i32 =
        libc::AT_SYMLINK_NOFOLLOW | libc::AT_NO_AUTOMOUNT | libc::AT_EMPTY_PATH | SYNC;
    const OF_ACCESS: i32 = libc::AT_EACCESS | libc::AT_SYMLINK_NOFOLLOW | libc::AT_EMPTY_PATH;
    const MODES: i32 = libc::R_OK | libc::W_OK | libc::X_OK;
    let has_only =
        |index: usize, flags: i32| argument::descriptor(call.arguments[index]) & !flags == 0;
    let has_room = |index: usize| argument::descriptor(call.arguments[index]) > 0;
    match call.number {
        libc::SYS_newfstatat => has_only(3, OF_STAT),
        libc::SYS_statx => {
            let synced = argument::descriptor(call.arguments[2]) & SYNC;
            // The uppermost bit of the mask is reserved (`STATX__RESERVED`).
            has_only(2, OF_STAT) && synced != SYNC && has_only(3, i32::MAX)
        }
        #[cfg(target_arch = "x86_64")]
        libc::SYS_access => has_only(1, MODES),
        libc::SYS_faccessat => has_only(2, MODES),
        libc::SYS_faccessat2 => has_only(2, MODES) && has_only(3, OF_ACCESS),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_readlink => has_room(2),
        libc::SYS_readlinkat => has_room(3),
        _ => true,
    }
}

/// Tells the caller what it wants to know of a file.
fn told(call: &Notification, file: &Found) -> Result<Answer, Errno> {
    let number = |index: usize| argument::descriptor(call.arguments[index]);
    let open = file.file.as_fd();
    match call.number {
        libc::SYS_newfstatat => written(call, 2, &inspect::stat(open, number(3))?),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_stat | libc::SYS_lstat => written(call, 1, &inspect::stat(open, 0)?),
        libc::SYS_statx => {
            let mask = number(3).cast_unsigned();
            written(call, 4, &inspect::statx(open, number(2), mask)?)
        }
        libc::SYS_statfs => written(call, 1, &inspect::statfs(open)?),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_access => inspect::access(open, number(1), 0).map(|()| Answer::Done),
        libc::SYS_faccessat => inspect::access(open, number(2), 0).map(|()| Answer::Done),
        libc::SYS_faccessat2 => inspect::access(open, number(2), number(3)).map(|()| Answer::Done),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_readlink => read_link(call, file, 1),
        libc::SYS_readlinkat => read_link(call, file, 2),
        libc::SYS_listxattr | libc::SYS_llistxattr => {
            let path = found::own_name(open.as_raw_fd());
            let (names, length) = inspect::attribute(&path, None, size(call, 2))?;
            counted(call, 1, &names, length)
        }
        _ => Err(Errno::ENOSYS),
    }
}

/// Tells what an attribute holds. `kind` becomes what that is, if the script may not read the file.
fn attribute(
    call: &Notification,
    file: &Found,
    grants: &Grants,
    kind: &mut Kind,
) -> Result<Answer, Errno> {
    let name = argument::string(call.pid, call.arguments[1], NAME_MAX)
        .map_err(|errno| if errno == Errno::ENAMETOOLONG { Errno::ERANGE } else { errno })?;
    let path = found::own_name(file.file.as_raw_fd());
    let (value, length) = inspect::attribute(&path, Some(&name), size(call, 3))?;
    // That there is none may be known.
    let path = Path::new(OsStr::from_bytes(&file.path));
    if name.to_bytes().starts_with(b"user.") && !grants.covers(Right::Read, path) {
        *kind = Kind::Read;
        if !grants.is_permissive() {
            return Err(Errno::EACCES);
        }
    }
    counted(call, 2, &value, length)
}

/// Tells what a link holds.
fn read_link(call: &Notification, link: &Found, to: usize) -> Result<Answer, Errno> {
    let room = argument::descriptor(call.arguments[to + 1]);
    let room = usize::try_from(room).map_err(|_| Errno::EINVAL)?;
    if found::kind(&link.file)? != SFlag::S_IFLNK {
        return Err(Errno::EINVAL);
    }
    let mut buffer = [0; LINK_MAX];
    let own;
    // These say something else to each process (proc(5)).
    let text = match &link.path[..] {
        b"/proc/self" => {
            own = process_of(call.pid)?.to_string();
            own.as_bytes()
        }
        b"/proc/thread-self" => {
            own = format!("{}/task/{}", process_of(call.pid)?, call.pid);
            own.as_bytes()
        }
        _ => sys::read_link(link.file.as_raw_fd(), c"", &mut buffer)?,
    };
    let text = &text[..text.len().min(room)];
    counted(call, to, text, text.len())
}

/// A size, as an argument: no larger than what there can be.
fn size(call: &Notification, index: usize) -> usize {
    usize::try_from(call.arguments[index]).unwrap_or(VALUE_MAX).min(VALUE_MAX)
}

fn counted(call: &Notification, to: usize, bytes: &[u8], count: usize) -> Result<Answer, Errno> {
    written(call, to, bytes)?;
    i32::try_from(count).map(Answer::Number).map_err(|_| Errno::E2BIG)
}

/// Writes to where an argument says.
fn written(call: &Notification, to: usize, bytes: &[u8]) -> Result<Answer, Errno> {
    if bytes.is_empty() {
        return Ok(Answer::Done);
    }
    match sys::write_memory(call.pid, call.arguments[to], bytes)? {
        written if written == bytes.len() => Ok(Answer::Done),
        _ => Err(Errno::EFAULT),
    }
}
