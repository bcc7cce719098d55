//! Changes of a file's mode, owner, times and extended attributes.
//!
//! Landlock does not know them (landlock(7), "Current limitations"), not even on a descriptor that
//! was opened for reading. So the warden performs them itself: on a file that it has opened, and of
//! which the kernel then says where it lies. Nothing that the script changes in between can make it
//! another file. Deciding which places are allowed is the observer's.

use std::ffi::CString;
use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, open};
use nix::sys::stat::{FchmodatFlags, Mode, UtimensatFlags, fchmodat, utimensat};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid, fchownat};

use super::argument::{self, PathAt};
use crate::access::Kind;
use crate::sys::{self, Notification};

/// The longest name and value of an extended attribute (`linux/limits.h`).
const NAME_MAX: usize = 256;
const VALUE_MAX: u64 = 65536;

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

/// What a symbolic link at a path's end means: what it leads to, itself, or what the flags in this
/// argument say.
#[derive(Clone, Copy, Debug)]
enum Link {
    Follow,
    Keep,
    Flags(usize),
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

/// A file, as the script named it and as the warden opened it.
#[derive(Debug)]
pub struct Opened {
    file: OwnedFd,
    /// Where it lies, free of symbolic links. Pipes and the like have a name that is no path.
    pub path: PathBuf,
    /// Whether it is a directory.
    pub is_directory: bool,
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
            libc::SYS_fchmodat2 => (at(Link::Flags(3)), Values::Mode(2)),
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
    pub fn open(self, call: &Notification) -> Result<Opened, Errno> {
        let (path, follow) = match self.target {
            Target::Descriptor(index) => (of_descriptor(call, index)?, true),
            Target::Path(at, link) => named(call, at, link)?,
        };
        let mut flags = OFlag::O_PATH | OFlag::O_CLOEXEC;
        if !follow {
            flags |= OFlag::O_NOFOLLOW;
        }
        let file =
            open(&path, flags, Mode::empty()).map_err(|errno| self.of_missing(call, errno))?;
        let metadata = fs::metadata(own_path(&file)).map_err(|error| errno(&error))?;
        let path = fs::read_link(own_path(&file)).map_err(|error| errno(&error))?;
        Ok(Opened { file, path, is_directory: metadata.is_dir() })
    }

    /// To the warden a directory descriptor that is not open is a path that does not exist.
    fn of_missing(self, call: &Notification, errno: Errno) -> Errno {
        let Target::Path(PathAt(Some(index), _), _) = self.target else { return errno };
        let descriptor = argument::descriptor(call.arguments[index]);
        let name = argument::descriptor_path(call.pid, descriptor);
        let is_open = descriptor == libc::AT_FDCWD || fs::symlink_metadata(name).is_ok();
        if errno == Errno::ENOENT && !is_open { Errno::EBADF } else { errno }
    }

    /// Reads what is to be changed.
    ///
    /// # Errors
    /// What the call fails with.
    pub fn change(self, call: &Notification) -> Result<Change, Errno> {
        let argument = |index: usize| call.arguments[index];
        let low = |index: usize| u32::try_from(argument(index) & 0xffff_ffff).unwrap_or_default();
        let name = |index: usize| {
            let name = argument::string(call.pid, argument(index), NAME_MAX).map_err(|errno| {
                if errno == Errno::ENAMETOOLONG { Errno::ERANGE } else { errno }
            })?;
            CString::new(name.into_vec()).map_err(|_| Errno::EINVAL)
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

impl Opened {
    /// Makes the change.
    ///
    /// # Errors
    /// What the kernel says to it.
    pub fn perform(&self, change: &Change) -> Result<(), Errno> {
        // Through its name in /proc, because most of these calls take no descriptor that was opened
        // without access. It leads to this very file, a symbolic link included.
        let path = own_path(&self.file);
        match change {
            Change::Mode(mode) => fchmodat(AT_FDCWD, &path, *mode, FchmodatFlags::FollowSymlink),
            Change::Owner(uid, gid) => fchownat(&self.file, "", *uid, *gid, AtFlags::AT_EMPTY_PATH),
            Change::Times(accessed, modified) => {
                utimensat(AT_FDCWD, &path, accessed, modified, UtimensatFlags::FollowSymlink)
            }
            Change::SetAttribute(name, value, flags) => {
                sys::set_attribute(&path, name, value, *flags).map_err(|error| errno(&error))
            }
            Change::RemoveAttribute(name) => {
                sys::remove_attribute(&path, name).map_err(|error| errno(&error))
            }
        }
    }
}

fn own_path(file: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

fn errno(error: &std::io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}

/// The path that a call names, and whether a symbolic link at its end is followed.
fn named(call: &Notification, at: PathAt, link: Link) -> Result<(PathBuf, bool), Errno> {
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
    let Some(directory) = directory else {
        return Ok((argument::path(call, at)?, follow));
    };
    // utimensat(2) without a path is futimens(3).
    if call.arguments[index] == 0 && call.number == libc::SYS_utimensat {
        return Ok((of_descriptor(call, directory)?, true));
    }
    match argument::path(call, at) {
        Err(Errno::ENOENT) if may_be_empty => {
            let descriptor = argument::descriptor(call.arguments[directory]);
            if descriptor == libc::AT_FDCWD {
                return Ok((PathBuf::from(format!("/proc/{}/cwd", call.pid)), true));
            }
            Ok((argument::descriptor_path(call.pid, descriptor), true))
        }
        path => Ok((path?, follow)),
    }
}

/// The name of an open file, by which it can be opened again without access.
fn of_descriptor(call: &Notification, index: usize) -> Result<PathBuf, Errno> {
    let descriptor = argument::descriptor(call.arguments[index]);
    let info = fs::read_to_string(format!("/proc/{}/fdinfo/{descriptor}", call.pid));
    let info = info.map_err(|_| Errno::EBADF)?;
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).map(str::trim);
    let flags = flags.and_then(|flags| i32::from_str_radix(flags, 8).ok()).ok_or(Errno::EBADF)?;
    // One that was opened without access gives none (open(2), `O_PATH`).
    if flags & libc::O_PATH != 0 {
        return Err(Errno::EBADF);
    }
    Ok(argument::descriptor_path(call.pid, descriptor))
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
