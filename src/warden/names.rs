//! Calls that make, remove or rename a name.
//!
//! The warden performs them: the directory that a path leads to is opened, the kernel says where it
//! lies, and the call is made in it. So the outcome is the kernel's own, and nothing that the script
//! changes in between makes it another name than the one that is recorded.

use std::ffi::CString;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::sys::resource::Resource;
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::{Mode, SFlag, mkdirat, mknodat, umask};
use nix::unistd::{Pid, UnlinkatFlags, linkat, symlinkat, truncate, unlinkat};

use super::argument::{self, PathAt};
use super::found::{self, Found};
use super::known::made::Making;
use super::metadata;
use super::place::Place;
use super::procfs::Procfs;
use super::status::Status;
use crate::access::Kind;
use crate::sys::{self, Notification};

/// A call on names, with the arguments that say which. Numbers are of arguments.
#[derive(Clone, Copy, Debug)]
pub enum Request {
    /// mkdir(2): the mode.
    MakeDirectory(PathAt, usize),
    /// mknod(2): mode and device.
    MakeNode(PathAt, usize),
    /// unlink(2), rmdir(2), unlinkat(2).
    Remove(PathAt, Removed),
    /// symlink(2): what the link says.
    MakeLink(usize, PathAt),
    /// link(2): the flags.
    Link(PathAt, PathAt, Option<usize>),
    /// rename(2): the flags.
    Rename(PathAt, PathAt, Option<usize>),
    /// truncate(2): the length.
    Truncate(PathAt, usize),
}

/// What is removed.
#[derive(Clone, Copy, Debug)]
pub enum Removed {
    /// Anything but a directory.
    File,
    /// An empty directory.
    #[cfg(target_arch = "x86_64")]
    Directory,
    /// As the flags in this argument say.
    Flags(usize),
}

/// One name that a call uses, and what for.
#[derive(Debug)]
pub struct Use {
    /// What for.
    pub kind: Kind,
    /// Its absolute path.
    pub path: Vec<u8>,
    /// The absolute path that the call named, if it is another one, and matters.
    pub named: Option<Vec<u8>>,
}

impl Use {
    /// What for, and the absolute path.
    #[must_use]
    pub fn of(kind: Kind, path: Vec<u8>) -> Self {
        Self { kind, path, named: None }
    }
}

/// The directory that holds a name, and the name.
struct Name {
    directory: Found,
    last: CString,
    _making: Option<Making>,
}

impl Name {
    fn directory(&self) -> &OwnedFd {
        &self.directory.file
    }

    fn path(&self) -> Vec<u8> {
        joined(&self.directory.path, self.last.to_bytes())
    }
}

/// A name in a directory. One that is no name of its own stands for the directory.
#[must_use]
pub fn joined(directory: &[u8], name: &[u8]) -> Vec<u8> {
    let end = name.iter().rposition(|byte| *byte != b'/').map_or(0, |last| last + 1);
    match &name[..end] {
        b"" | b"." | b".." => directory.to_vec(),
        name if directory == b"/" => [b"/", name].concat(),
        name => [directory, b"/", name].concat(),
    }
}

/// The mask that a process takes off the modes of what it makes (umask(2)).
///
/// # Errors
/// `ESRCH` if it is gone.
pub fn umask_of(thread: u32) -> Result<Mode, Errno> {
    let status = Status::of(thread)?;
    let mask = status.field("Umask:").and_then(|mask| u32::from_str_radix(mask, 8).ok());
    mask.map(Mode::from_bits_truncate).ok_or(Errno::ESRCH)
}

impl Request {
    /// Whether a directory may be elsewhere after this.
    #[must_use]
    pub fn moves_directories(self) -> bool {
        matches!(self, Self::Rename(..) | Self::Remove(..))
    }

    /// What this call asks for, if it is such a call.
    #[must_use]
    pub fn of(number: i64) -> Option<Self> {
        let at = |directory, path| PathAt(Some(directory), path);
        Some(match number {
            libc::SYS_mkdirat => Self::MakeDirectory(at(0, 1), 2),
            libc::SYS_mknodat => Self::MakeNode(at(0, 1), 2),
            libc::SYS_unlinkat => Self::Remove(at(0, 1), Removed::Flags(2)),
            libc::SYS_symlinkat => Self::MakeLink(0, at(1, 2)),
            libc::SYS_linkat => Self::Link(at(0, 1), at(2, 3), Some(4)),
            libc::SYS_renameat => Self::Rename(at(0, 1), at(2, 3), None),
            libc::SYS_renameat2 => Self::Rename(at(0, 1), at(2, 3), Some(4)),
            libc::SYS_truncate => Self::Truncate(PathAt(None, 0), 1),
            _ => return Self::of_older(number),
        })
    }

    /// Calls that only older architectures have.
    #[cfg(target_arch = "x86_64")]
    fn of_older(number: i64) -> Option<Self> {
        let first = PathAt(None, 0);
        Some(match number {
            libc::SYS_mkdir => Self::MakeDirectory(first, 1),
            libc::SYS_mknod => Self::MakeNode(first, 1),
            libc::SYS_unlink => Self::Remove(first, Removed::File),
            libc::SYS_rmdir => Self::Remove(first, Removed::Directory),
            libc::SYS_symlink => Self::MakeLink(0, PathAt(None, 1)),
            libc::SYS_link => Self::Link(first, PathAt(None, 1), None),
            libc::SYS_rename => Self::Rename(first, PathAt(None, 1), None),
            _ => return None,
        })
    }

    /// Calls that only older architectures have: here there are none.
    #[cfg(not(target_arch = "x86_64"))]
    fn of_older(_: i64) -> Option<Self> {
        None
    }

    /// Makes the call. `uses` gets the names, as far as it came.
    ///
    /// # Errors
    /// What the call fails with.
    pub fn perform(
        self,
        call: &Notification,
        procfs: &Procfs,
        uses: &mut Vec<Use>,
    ) -> Result<(), Errno> {
        let low = |index: usize| argument::descriptor(call.arguments[index]);
        let mode = |index: usize| low(index).cast_unsigned() & 0xffff;
        match self {
            Self::MakeDirectory(at, index) => {
                let name = name(call, procfs, at, Kind::Create, uses)?;
                let mode = Mode::from_bits_truncate(mode(index));
                // As most are: then it is not worth a look at the umask.
                let keep = libc::AT_SYMLINK_NOFOLLOW;
                if sys::look(name.directory().as_raw_fd(), &name.last, keep).is_ok() {
                    return Err(Errno::EEXIST);
                }
                umask(umask_of(call.pid)?);
                mkdirat(name.directory(), name.last.as_c_str(), mode)
            }
            Self::MakeNode(at, index) => {
                let kind = SFlag::from_bits_truncate(mode(index)) & SFlag::S_IFMT;
                match kind {
                    // A device node is a door to its driver; the filter has refused it already.
                    SFlag::S_IFDIR | SFlag::S_IFCHR | SFlag::S_IFBLK => return Err(Errno::EPERM),
                    SFlag::S_IFREG | SFlag::S_IFIFO | SFlag::S_IFSOCK => {}
                    kind if kind.is_empty() => {}
                    _ => return Err(Errno::EINVAL),
                }
                let name = name(call, procfs, at, Kind::Create, uses)?;
                umask(umask_of(call.pid)?);
                let is_file = kind.is_empty() || kind == SFlag::S_IFREG;
                let without = if is_file { metadata::SET_ID } else { Mode::empty() };
                let mode = Mode::from_bits_truncate(mode(index)).difference(without);
                mknodat(name.directory(), name.last.as_c_str(), kind, mode, 0)
            }
            Self::Remove(at, removed) => {
                let flag = match removed {
                    Removed::File => UnlinkatFlags::NoRemoveDir,
                    #[cfg(target_arch = "x86_64")]
                    Removed::Directory => UnlinkatFlags::RemoveDir,
                    Removed::Flags(index) => match low(index) {
                        0 => UnlinkatFlags::NoRemoveDir,
                        libc::AT_REMOVEDIR => UnlinkatFlags::RemoveDir,
                        _ => return Err(Errno::EINVAL),
                    },
                };
                let name = name(call, procfs, at, Kind::Remove, uses)?;
                unlinkat(name.directory(), name.last.as_c_str(), flag)
            }
            Self::MakeLink(target, at) => {
                let target = argument::path(call.pid, call.arguments[target])?;
                if target.is_empty() {
                    return Err(Errno::ENOENT);
                }
                let name = name(call, procfs, at, Kind::Create, uses)?;
                symlinkat(target.as_c_str(), name.directory(), name.last.as_c_str())
            }
            Self::Link(old, new, flags) => {
                let flags = flags.map_or(0, low);
                link(call, procfs, (old, new), flags, uses)
            }
            Self::Rename(old, new, flags) => {
                let flags = flags.map_or(0, low).cast_unsigned();
                let exchanges = flags & libc::RENAME_EXCHANGE != 0;
                let known = libc::RENAME_NOREPLACE | libc::RENAME_EXCHANGE | libc::RENAME_WHITEOUT;
                if flags & !known != 0 || (exchanges && flags != libc::RENAME_EXCHANGE) {
                    return Err(Errno::EINVAL);
                }
                let old = name(call, procfs, old, Kind::Rename, uses)?;
                let new = name(call, procfs, new, Kind::Rename, uses)?;
                let (from, to) = (old.directory().as_raw_fd(), new.directory().as_raw_fd());
                sys::rename((from, &old.last), (to, &new.last), flags)
            }
            Self::Truncate(at, index) => {
                let length = call.arguments[index].cast_signed();
                if length < 0 {
                    return Err(Errno::EINVAL);
                }
                let file = opened(call, procfs, at, Kind::Write, uses)?;
                let limit = sys::limit_of(call.pid, Resource::RLIMIT_FSIZE);
                if limit.is_ok_and(|limit| length.unsigned_abs() > limit) {
                    // As the kernel would say it (truncate(2), `EFBIG`).
                    let caller = i32::try_from(call.pid).map_err(|_| Errno::ESRCH)?;
                    kill(Pid::from_raw(caller), Signal::SIGXFSZ)?;
                    return Err(Errno::EFBIG);
                }
                truncate(found::own_name(file.file.as_raw_fd()).as_c_str(), length)
            }
        }
    }
}

/// Finds the directory that a name is in.
fn name(
    call: &Notification,
    procfs: &Procfs,
    at: PathAt,
    kind: Kind,
    uses: &mut Vec<Use>,
) -> Result<Name, Errno> {
    let place = Place::of(call, at, procfs)?;
    match place.parent(procfs) {
        Ok((directory, last)) => {
            let is_made = matches!(kind, Kind::Create | Kind::Rename);
            let making = is_made.then(|| procfs.made.make(last.to_bytes())).flatten();
            let name = Name { directory, last, _making: making };
            let path = name.path();
            let outputs = &procfs.outputs;
            let judged = match kind {
                Kind::Create => outputs.may_make(&path),
                _ => outputs.may_change(&path),
            };
            uses.push(Use::of(kind, path));
            judged.map(|()| name)
        }
        Err(errno) => {
            uses.push(Use::of(kind, place.told()));
            Err(errno)
        }
    }
}

/// Opens, without access to its content, what a path leads to.
fn opened(
    call: &Notification,
    procfs: &Procfs,
    at: PathAt,
    kind: Kind,
    uses: &mut Vec<Use>,
) -> Result<Found, Errno> {
    let place = Place::of(call, at, procfs)?;
    let found = place.open(procfs, found::flags(libc::O_PATH | libc::O_CLOEXEC), 0);
    let path = found.as_ref().map_or_else(|_| place.told(), |found| found.path.clone());
    let judged = procfs.outputs.may_change(&path);
    uses.push(Use::of(kind, path));
    found.and_then(|found| judged.map(|()| found))
}

fn link(
    call: &Notification,
    procfs: &Procfs,
    (old, new): (PathAt, PathAt),
    flags: i32,
    uses: &mut Vec<Use>,
) -> Result<(), Errno> {
    const EMPTY: i32 = libc::AT_EMPTY_PATH;
    if flags & !(libc::AT_SYMLINK_FOLLOW | EMPTY) != 0 {
        return Err(Errno::EINVAL);
    }
    let is_empty =
        flags & EMPTY != 0 && argument::path(call.pid, call.arguments[old.1])?.is_empty();
    let file = match old.0 {
        Some(directory) if is_empty => Place::of_descriptor(call, directory)?,
        _ if flags & libc::AT_SYMLINK_FOLLOW != 0 => opened(call, procfs, old, Kind::Link, uses)?,
        _ => {
            let old = name(call, procfs, old, Kind::Link, uses)?;
            let keep = libc::AT_SYMLINK_NOFOLLOW;
            sys::look(old.directory().as_raw_fd(), &old.last, keep)?;
            let new = name(call, procfs, new, Kind::Create, uses)?;
            let (from, to) = (old.last.as_c_str(), new.last.as_c_str());
            return linkat(old.directory(), from, new.directory(), to, AtFlags::empty());
        }
    };
    let new = name(call, procfs, new, Kind::Create, uses)?;
    let old = found::own_name(file.file.as_raw_fd());
    let follow = AtFlags::AT_SYMLINK_FOLLOW;
    linkat(AT_FDCWD, old.as_c_str(), new.directory(), new.last.as_c_str(), follow)
}
