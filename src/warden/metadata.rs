//! Changes of a file's mode, owner, times and extended attributes.
//!
//! Landlock does not know them (landlock(7), "Current limitations"), not even on a descriptor that
//! was opened for reading. So the warden performs them itself: on a file that it has opened, and of
//! which the kernel then says where it lies. Nothing that the script changes in between can make it
//! another file. Deciding which places are allowed is the observer's.

use std::ffi::CString;
use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::sys::stat::{FchmodatFlags, Mode, SFlag, UtimensatFlags, fchmodat, utimensat};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid, fchownat};

use super::argument::{self, Link, PathAt};
use super::found::{self, Found};
use super::place::Place;
use super::procfs::Procfs;
use crate::access::Kind;
use crate::sys::{self, Notification};

/// The longest name and value of an extended attribute (`linux/limits.h`).
const NAME_MAX: usize = 256;
const VALUE_MAX: u64 = 65536;
/// The same on every architecture (`include/uapi/asm-generic/unistd.h`); libc has it for some.
const FCHMODAT2: i64 = 452;

/// What is to be changed.
#[derive(Debug)]
pub enum Change {
    /// chmod(2)
    Mode(Mode),
    /// chown(2); none stays as it is.
    Owner(Option<Uid>, Option<Gid>),
    /// utimensat(2)
    Times(TimeSpec, TimeSpec),
    /// setxattr(2), with its flags
    SetAttribute(CString, Vec<u8>, i32),
    /// removexattr(2)
    RemoveAttribute(CString),
}

/// Which file is meant.
#[derive(Clone, Copy, Debug)]
enum Target {
    Descriptor(usize),
    Path(PathAt, Link),
}

/// Which of a call's arguments say what is to be changed.
#[derive(Clone, Copy, Debug)]
enum Values {
    Mode(usize),
    Owner(usize),
    /// Two `timespec`.
    Times(usize),
    /// Two `timeval`.
    #[cfg(target_arch = "x86_64")]
    OldTimes(usize),
    /// A `utimbuf`.
    #[cfg(target_arch = "x86_64")]
    OldestTimes(usize),
    SetAttribute(usize),
    RemoveAttribute(usize),
}

/// The bits of a file's mode by which a program runs with its owner's rights. No file gets them from a
/// script: others could run what it has made as its user, who can be root.
pub const SET_ID: Mode = Mode::S_ISUID.union(Mode::S_ISGID);

/// Why a file was not opened.
#[derive(Debug)]
pub struct Unopened {
    /// What the call fails with.
    pub errno: Errno,
    /// What does not exist for the caller, if that is why.
    pub hidden: Option<Vec<u8>>,
}

/// A change that a script has asked for.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    target: Target,
    values: Values,
}

impl Request {
    /// What this call asks for, if it is such a call.
    #[must_use]
    pub fn of(number: i64) -> Option<Self> {
        let path = |link| Target::Path(PathAt(None, 0), link);
        let at = |link| Target::Path(PathAt(Some(0), 1), link);
        let descriptor = Target::Descriptor(0);
        let (target, values) = match number {
            libc::SYS_fchmod => (descriptor, Values::Mode(1)),
            libc::SYS_fchmodat => (at(Link::Follow), Values::Mode(2)),
            FCHMODAT2 => (at(Link::Flags(3)), Values::Mode(2)),
            libc::SYS_fchown => (descriptor, Values::Owner(1)),
            libc::SYS_fchownat => (at(Link::Flags(4)), Values::Owner(2)),
            libc::SYS_utimensat => (at(Link::Flags(3)), Values::Times(2)),
            libc::SYS_setxattr => (path(Link::Follow), Values::SetAttribute(1)),
            libc::SYS_lsetxattr => (path(Link::Keep), Values::SetAttribute(1)),
            libc::SYS_fsetxattr => (descriptor, Values::SetAttribute(1)),
            libc::SYS_removexattr => (path(Link::Follow), Values::RemoveAttribute(1)),
            libc::SYS_lremovexattr => (path(Link::Keep), Values::RemoveAttribute(1)),
            libc::SYS_fremovexattr => (descriptor, Values::RemoveAttribute(1)),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_chmod => (path(Link::Follow), Values::Mode(1)),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_chown => (path(Link::Follow), Values::Owner(1)),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_lchown => (path(Link::Keep), Values::Owner(1)),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_utime => (path(Link::Follow), Values::OldestTimes(1)),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_utimes => (path(Link::Follow), Values::OldTimes(1)),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_futimesat => (at(Link::Follow), Values::OldTimes(2)),
            _ => return None,
        };
        Some(Self { target, values })
    }

    /// What kind of access it is.
    #[must_use]
    pub fn kind(self) -> Kind {
        match self.values {
            Values::Mode(_) => Kind::SetMode,
            Values::Owner(_) => Kind::SetOwner,
            Values::Times(_) => Kind::SetTimes,
            #[cfg(target_arch = "x86_64")]
            Values::OldTimes(_) | Values::OldestTimes(_) => Kind::SetTimes,
            Values::SetAttribute(_) | Values::RemoveAttribute(_) => Kind::SetAttribute,
        }
    }

    /// Opens the file that the call names, without any access to its content.
    ///
    /// # Errors
    /// What the call fails with.
    pub fn open(self, call: &Notification, procfs: &Procfs) -> Result<Found, Unopened> {
        let mut hidden = None;
        self.target.open(call, procfs, &mut hidden).map_err(|errno| Unopened { errno, hidden })
    }

    /// Reads what is to be changed.
    ///
    /// # Errors
    /// What the call fails with.
    pub fn change(self, call: &Notification) -> Result<Change, Errno> {
        let argument = |index: usize| call.arguments[index];
        let low = |index: usize| u32::try_from(argument(index) & 0xffff_ffff).unwrap_or_default();
        let name = |index: usize| {
            argument::string(call.pid, argument(index), NAME_MAX)
                .map_err(|errno| if errno == Errno::ENAMETOOLONG { Errno::ERANGE } else { errno })
        };
        Ok(match self.values {
            Values::Mode(at) => Change::Mode(Mode::from_bits_truncate(low(at) & 0o7777)),
            Values::Owner(at) => {
                let given = |id: u32| (id != u32::MAX).then_some(id);
                let (uid, gid) = (given(low(at)), given(low(at + 1)));
                Change::Owner(uid.map(Uid::from_raw), gid.map(Gid::from_raw))
            }
            Values::Times(at) => times(call, argument(at), Nanoseconds::AsGiven)?,
            #[cfg(target_arch = "x86_64")]
            Values::OldTimes(at) => times(call, argument(at), Nanoseconds::FromMicroseconds)?,
            #[cfg(target_arch = "x86_64")]
            Values::OldestTimes(at) => oldest_times(call, argument(at))?,
            Values::SetAttribute(at) => {
                let length = argument(at + 2);
                if length > VALUE_MAX {
                    return Err(Errno::E2BIG);
                }
                let mut value = vec![0; usize::try_from(length).map_err(|_| Errno::E2BIG)?];
                if !value.is_empty() {
                    argument::bytes(call.pid, argument(at + 1), &mut value)?;
                }
                Change::SetAttribute(name(at)?, value, low(at + 3).cast_signed())
            }
            Values::RemoveAttribute(at) => Change::RemoveAttribute(name(at)?),
        })
    }
}

impl Change {
    /// Makes the change.
    ///
    /// # Errors
    /// What the kernel says to it.
    pub fn perform(&self, file: &OwnedFd) -> Result<(), Errno> {
        // Through its name in /proc, because most of these calls take no descriptor that was opened
        // without access. It leads to this very file, a symbolic link included.
        let path = found::own_name(file.as_raw_fd());
        let path = path.as_c_str();
        match self {
            Self::Mode(mode) => {
                let is_directory = found::kind(file)? == SFlag::S_IFDIR;
                let mode = if is_directory { *mode } else { mode.difference(SET_ID) };
                fchmodat(AT_FDCWD, path, mode, FchmodatFlags::FollowSymlink)
            }
            Self::Owner(uid, gid) => fchownat(file, "", *uid, *gid, AtFlags::AT_EMPTY_PATH),
            Self::Times(accessed, modified) => {
                utimensat(AT_FDCWD, path, accessed, modified, UtimensatFlags::FollowSymlink)
            }
            Self::SetAttribute(name, value, flags) => sys::set_attribute(path, name, value, *flags),
            Self::RemoveAttribute(name) => sys::remove_attribute(path, name),
        }
    }
}

impl Target {
    /// `hidden` gets what does not exist for the caller, if it names that.
    fn open(
        self,
        call: &Notification,
        procfs: &Procfs,
        hidden: &mut Option<Vec<u8>>,
    ) -> Result<Found, Errno> {
        match self {
            // What was opened without access cannot be changed by its descriptor (open(2), `O_PATH`).
            Self::Descriptor(index) if is_path_only(call, index)? => Err(Errno::EBADF),
            Self::Descriptor(index) => Place::of_descriptor(call, index),
            Self::Path(at, link) => named(call, procfs, at, link, hidden),
        }
    }
}

/// The file that a call names by a path.
fn named(
    call: &Notification,
    procfs: &Procfs,
    at: PathAt,
    link: Link,
    hidden: &mut Option<Vec<u8>>,
) -> Result<Found, Errno> {
    let (follow, may_be_empty) = match link {
        Link::Follow => (true, false),
        Link::Keep => (false, false),
        Link::Flags(index) => {
            let flags = AtFlags::from_bits(argument::descriptor(call.arguments[index]))
                .filter(|flags| {
                    (AtFlags::AT_SYMLINK_NOFOLLOW | AtFlags::AT_EMPTY_PATH).contains(*flags)
                })
                .ok_or(Errno::EINVAL)?;
            let keep = flags.contains(AtFlags::AT_SYMLINK_NOFOLLOW);
            (!keep, flags.contains(AtFlags::AT_EMPTY_PATH))
        }
    };
    let PathAt(directory, index) = at;
    if let Some(directory) = directory {
        // utimensat(2) without a path is futimens(3).
        if call.arguments[index] == 0 && call.number == libc::SYS_utimensat {
            return Target::Descriptor(directory).open(call, procfs, hidden);
        }
        if may_be_empty && argument::path(call.pid, call.arguments[index])?.is_empty() {
            return Place::of_descriptor(call, directory);
        }
    }
    let flags = libc::O_PATH | libc::O_CLOEXEC | if follow { 0 } else { libc::O_NOFOLLOW };
    let place = Place::of(call, at, procfs)?;
    let found = place.open(procfs, found::flags(flags), 0);
    *hidden = place.is_hidden().then(|| place.told());
    found
}

/// Whether a descriptor was opened without access (`proc_pid_fdinfo`(5)).
fn is_path_only(call: &Notification, index: usize) -> Result<bool, Errno> {
    let descriptor = argument::descriptor(call.arguments[index]);
    let info = fs::read_to_string(format!("/proc/{}/fdinfo/{descriptor}", call.pid))
        .map_err(|_| Errno::EBADF)?;
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).ok_or(Errno::EBADF)?;
    let flags = i32::from_str_radix(flags.trim(), 8).map_err(|_| Errno::EBADF)?;
    Ok(flags & libc::O_PATH != 0)
}

/// What the second half of each time counts.
#[derive(Clone, Copy)]
enum Nanoseconds {
    AsGiven,
    #[cfg(target_arch = "x86_64")]
    FromMicroseconds,
}

/// Two times of two 64-bit numbers each; now, if there are none.
fn times(call: &Notification, address: u64, unit: Nanoseconds) -> Result<Change, Errno> {
    if address == 0 {
        return Ok(Change::Times(TimeSpec::UTIME_NOW, TimeSpec::UTIME_NOW));
    }
    let mut bytes = [0; 32];
    argument::bytes(call.pid, address, &mut bytes)?;
    let mut numbers =
        bytes.chunks_exact(8).map(|number| number.try_into().map_or(0, i64::from_ne_bytes));
    let mut time = || {
        let (seconds, rest) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        match unit {
            Nanoseconds::AsGiven => Ok(TimeSpec::new(seconds, rest)),
            #[cfg(target_arch = "x86_64")]
            Nanoseconds::FromMicroseconds => match rest {
                0..1_000_000 => Ok(TimeSpec::new(seconds, rest * 1000)),
                _ => Err(Errno::EINVAL),
            },
        }
    };
    Ok(Change::Times(time()?, time()?))
}

/// Two times in whole seconds (utime(2)).
#[cfg(target_arch = "x86_64")]
fn oldest_times(call: &Notification, address: u64) -> Result<Change, Errno> {
    if address == 0 {
        return Ok(Change::Times(TimeSpec::UTIME_NOW, TimeSpec::UTIME_NOW));
    }
    let mut bytes = [[0; 8]; 2];
    argument::bytes(call.pid, address, bytes.as_flattened_mut())?;
    let [accessed, modified] = bytes.map(|number| TimeSpec::new(i64::from_ne_bytes(number), 0));
    Ok(Change::Times(accessed, modified))
}
