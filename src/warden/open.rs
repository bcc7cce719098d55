//! Opening a file for the script.
//!
//! The warden opens it and hands the descriptor over, so what is recorded is what was opened,
//! whatever happens to the path in between.

use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::resource::Resource;
use nix::sys::stat::{SFlag, umask};

use super::argument::{self, PathAt};
use super::found::{self, Found};
use super::metadata;
use super::names::{Use, joined, umask_of};
use super::place::Place;
use super::procfs::Procfs;
use super::waiting::{Open, Waiting, Work};
use crate::access::Kind;
use crate::preload::protocol;
use crate::sys::{self, Answer, Notification};

/// The first `struct open_how` (openat2(2)): three numbers.
const HOW: usize = 24;
/// So often something can take the name of what is about to be made, and give it free again.
const TRIES: usize = 16;
/// No structure of a call is longer (openat2(2), `E2BIG`).
const PAGE: usize = 4096;

/// A call that opens, with its arguments as the kernel would take them.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    at: PathAt,
    flags: u64,
    mode: u64,
    resolve: u64,
    invalid: Option<Errno>,
}

/// What came of it.
#[derive(Debug)]
pub enum Opened {
    /// The call is decided: how it is answered, and what was done with which paths.
    Now(Answer, Vec<Use>),
    /// A regular file or a directory was opened; whether its descriptor is closed by execve(2), and what
    /// was done with which paths.
    File(OwnedFd, bool, Vec<Use>),
    /// What is wanted is the table of what is known of paths ([`super::known`]).
    Table,
    /// It waits.
    Later(Box<Waiting>),
}

/// Bits that open(2) knows; it ignores all others (`VALID_OPEN_FLAGS` in the kernel's
/// `include/linux/fcntl.h`).
const KNOWN: i32 = libc::O_ACCMODE
    | libc::O_CREAT
    | libc::O_EXCL
    | libc::O_NOCTTY
    | libc::O_TRUNC
    | libc::O_APPEND
    | libc::O_NONBLOCK
    | libc::O_SYNC
    | libc::O_DSYNC
    | libc::O_ASYNC
    | libc::O_DIRECT
    | LARGE_FILE
    | libc::O_DIRECTORY
    | libc::O_NOFOLLOW
    | libc::O_NOATIME
    | libc::O_CLOEXEC
    | libc::O_PATH
    | libc::O_TMPFILE;
/// `O_LARGEFILE` of the kernel, which sets it for every open(2) of a 64-bit program
/// (`force_o_largefile`); libc's is 0.
#[cfg(target_arch = "x86_64")]
const LARGE_FILE: i32 = 0o100_000;
/// See above.
#[cfg(target_arch = "aarch64")]
const LARGE_FILE: i32 = 0o400_000;
/// The bits that count beside `O_PATH`.
const WITH_PATH: i32 = libc::O_PATH | libc::O_DIRECTORY | libc::O_NOFOLLOW | libc::O_CLOEXEC;
/// `O_TMPFILE` without the bit of `O_DIRECTORY` in it.
const TMPFILE: i32 = libc::O_TMPFILE & !libc::O_DIRECTORY;

impl Request {
    /// What this call asks for, if it is such a call.
    #[must_use]
    pub fn of(call: &Notification) -> Option<Self> {
        let argument = |index: usize| argument::descriptor(call.arguments[index]);
        match call.number {
            libc::SYS_openat => Some(Self::old(PathAt(Some(0), 1), argument(2), argument(3))),
            libc::SYS_openat2 => Some(Self::new(call)),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_open => Some(Self::old(PathAt(None, 0), argument(1), argument(2))),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_creat => {
                let flags = libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC;
                Some(Self::old(PathAt(None, 0), flags, argument(1)))
            }
            _ => None,
        }
    }

    /// open(2) takes what it knows of its arguments (`build_open_how`).
    fn old(at: PathAt, flags: i32, mode: i32) -> Self {
        let mut flags = (flags & KNOWN) | LARGE_FILE;
        if flags & libc::O_PATH != 0 {
            flags &= WITH_PATH;
        }
        let creates = flags & (libc::O_CREAT | TMPFILE) != 0;
        let mode = if creates { u64::from(mode.cast_unsigned() & 0o7777) & !set_id() } else { 0 };
        Self { at, flags: found::flags(flags), mode, resolve: 0, invalid: None }
    }

    /// openat2(2) is strict.
    fn new(call: &Notification) -> Self {
        let at = PathAt(Some(0), 1);
        match how(call) {
            Ok([flags, mode, resolve]) => {
                Self { at, flags, mode: mode & !set_id(), resolve, invalid: None }
            }
            Err(errno) => Self { at, flags: 0, mode: 0, resolve: 0, invalid: Some(errno) },
        }
    }

    /// Whether the call may make or empty a file.
    #[must_use]
    pub fn changes(&self) -> bool {
        self.has(libc::O_CREAT | libc::O_TRUNC | TMPFILE)
    }

    fn has(&self, flag: i32) -> bool {
        self.flags & found::flags(flag) != 0
    }

    /// Opens the file.
    #[must_use]
    pub fn perform(self, call: &Notification, procfs: &Procfs) -> Opened {
        let place = match self.place(call, procfs) {
            Ok(place) => place,
            // The call names nothing.
            Err(errno) => return Opened::Now(Answer::Fail(errno), Vec::new()),
        };
        if place.name.as_c_str() == protocol::known::PATH {
            return Opened::Table;
        }
        if self.has(libc::O_PATH) {
            // Its flags are in memory: by the time the kernel reads them they can be others, and a file
            // would be opened that nobody has noted. Callers do without on older kernels.
            if call.number == libc::SYS_openat2 && self.is_valid() {
                return Opened::Now(Answer::Fail(Errno::ENOSYS), Vec::new());
            }
            return self.look(procfs, &place);
        }
        // Without room for its descriptor a file is not opened, and so not made or emptied either.
        if self.changes() && !has_room(call.pid, procfs) && self.is_valid() {
            return Opened::Now(Answer::Fail(Errno::EMFILE), Vec::new());
        }
        let (found, created) = match self.open(call, procfs, &place) {
            Ok(opened) => opened,
            Err(Errno::ENOENT) if may_have_many(call.pid) => {
                return self.failed(procfs, &place, Errno::ENOENT);
            }
            Err(errno) if errno != Errno::EINVAL && !has_room(call.pid, procfs) => {
                return self.failed(procfs, &place, Errno::EMFILE);
            }
            Err(errno) => {
                return self.writers_fifo(procfs, &place, errno).map_or_else(
                    || self.failed(procfs, &place, errno),
                    |file| self.wait(call, file),
                );
            }
        };
        let kind = found::kind(&found.file).ok();
        // A writer has been told so (`ENXIO`) if nobody reads.
        if kind == Some(SFlag::S_IFIFO) && self.waits() && !self.has(libc::O_WRONLY) {
            return self.wait(call, found);
        }
        let uses = self.uses(found.path, kind == Some(SFlag::S_IFDIR), created);
        let close_on_exec = self.has(libc::O_CLOEXEC);
        match kind {
            Some(SFlag::S_IFREG | SFlag::S_IFDIR) => Opened::File(found.file, close_on_exec, uses),
            _ => Opened::Now(Answer::Descriptor(found.file, close_on_exec), uses),
        }
    }

    fn place(&self, call: &Notification, procfs: &Procfs) -> Result<Place, Errno> {
        if let Some(errno) = self.invalid {
            return Err(errno);
        }
        let scoped = self.resolve & (libc::RESOLVE_BENEATH | libc::RESOLVE_IN_ROOT) != 0;
        let place = if scoped {
            Place::scoped(call, self.at, procfs)
        } else {
            Place::of(call, self.at, procfs)
        };
        // The kernel looks at the flags before it looks at the path.
        place.map_err(|errno| if self.is_valid() { errno } else { Errno::EINVAL })
    }

    /// Whether flags and mode are what the kernel accepts: that it says of an empty path, too.
    fn is_valid(&self) -> bool {
        let open = sys::open(libc::AT_FDCWD, c"", self.flags, self.mode, self.resolve);
        open.is_err_and(|errno| errno != Errno::EINVAL)
    }

    /// Whether the open of a fifo waits for the other end (fifo(7)).
    fn waits(&self) -> bool {
        !self.has(libc::O_NONBLOCK) && !self.has(libc::O_RDWR)
    }

    /// The fifo that could not be opened for writing because nobody reads from it.
    fn writers_fifo(&self, procfs: &Procfs, place: &Place, errno: Errno) -> Option<Found> {
        if errno != Errno::ENXIO || !self.waits() {
            return None;
        }
        let flags = found::flags(libc::O_PATH | libc::O_CLOEXEC);
        let found = place.open_resolved(procfs, flags, 0, self.resolve).ok()?;
        (found::kind(&found.file) == Ok(SFlag::S_IFIFO)).then_some(found)
    }

    fn wait(&self, call: &Notification, Found { file, path }: Found) -> Opened {
        // It is there, and its name has been followed.
        let done = libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW | libc::O_NONBLOCK;
        let flags = (self.flags & !found::flags(done)) | found::flags(libc::O_CLOEXEC);
        let uses = self.uses(path, false, false);
        let close_on_exec = self.has(libc::O_CLOEXEC);
        let work = Work::Open(Open { file, flags, close_on_exec, uses });
        Opened::Later(Box::new(Waiting { call: *call, work }))
    }

    /// With `O_PATH` nothing is opened but the name; the kernel does it, as such a descriptor cannot
    /// be handed over. What is done with it later goes through the warden again.
    ///
    /// Where something is hidden the kernel must not: it would look at the path once more, which may be
    /// what is hidden by then. So the caller gets a descriptor to read from, or none. With `O_DIRECTORY` it
    /// gets what it wants: of a directory there is little to see.
    fn look(&self, procfs: &Procfs, place: &Place) -> Opened {
        let flags = self.flags | found::flags(libc::O_CLOEXEC);
        let found = place.open_resolved(procfs, flags, self.mode, self.resolve);
        let (path, answer) = match found {
            Ok(found) if !procfs.hidden.is_empty() && !self.has(libc::O_DIRECTORY) => {
                let close_on_exec = self.has(libc::O_CLOEXEC);
                // This one could be listed, what the caller wanted could not.
                let readable = if procfs.hidden.hides_list(&found.path) {
                    Err(Errno::EACCES)
                } else {
                    found::reopened(&found.file)
                };
                let answer = readable.map(|file| Answer::Descriptor(file, close_on_exec));
                (found.path, answer.unwrap_or_else(Answer::Fail))
            }
            Ok(found) => (found.path, Answer::Continue),
            Err(errno) => (place.name(procfs), Answer::Fail(errno)),
        };
        Opened::Now(answer, vec![Use::of(Kind::Stat, path)])
    }

    /// Opens the file, and says whether it was made.
    fn open(
        &self,
        call: &Notification,
        procfs: &Procfs,
        place: &Place,
    ) -> Result<(Found, bool), Errno> {
        // Never wait for the other end of a fifo.
        let own = self.flags | found::flags(libc::O_CLOEXEC | libc::O_NONBLOCK);
        let open = |flags| {
            let opened = place.open_resolved(procfs, flags, self.mode, self.resolve)?;
            if procfs.hidden.hides_list(&opened.path) { Err(Errno::EACCES) } else { Ok(opened) }
        };
        let creates = self.has(libc::O_CREAT);
        let opened = if procfs.outputs.are_judged() && self.may_write() {
            self.open_own(call, procfs, place, own)?
        } else if creates || self.has(TMPFILE) {
            umask(umask_of(call.pid)?);
            match open(if creates { own | found::flags(libc::O_EXCL) } else { own }) {
                Err(Errno::EEXIST) if !self.has(libc::O_EXCL) => {
                    // A link that leads to nothing is there, and what it leads to is made.
                    let is_missing = place.look(true) == Err(Errno::ENOENT);
                    (open(own)?, is_missing)
                }
                opened => (opened?, true),
            }
        } else {
            (open(own)?, false)
        };
        if !self.has(libc::O_NONBLOCK) {
            let settable = libc::O_APPEND | libc::O_ASYNC | libc::O_DIRECT | libc::O_NOATIME;
            let flags = i32::try_from(self.flags & found::flags(settable)).unwrap_or(0);
            fcntl(&opened.0.file, FcntlArg::F_SETFL(OFlag::from_bits_retain(flags)))?;
        }
        Ok(opened)
    }

    /// Whether something can be written by it.
    fn may_write(&self) -> bool {
        self.changes() || self.has(libc::O_WRONLY | libc::O_RDWR)
    }

    /// Opens for writing what is not somebody else's output, and says whether it was made. What is there
    /// is found first, and what was found is opened, whatever has the path's name by then.
    fn open_own(
        &self,
        call: &Notification,
        procfs: &Procfs,
        place: &Place,
        own: u64,
    ) -> Result<(Found, bool), Errno> {
        // Callers do without on older kernels.
        if self.resolve != 0 {
            return Err(Errno::ENOSYS);
        }
        let (creates, is_new) = (self.has(libc::O_CREAT), self.has(libc::O_EXCL));
        let is_unnamed = self.has(TMPFILE);
        let keep = self.has(libc::O_NOFOLLOW) || (creates && is_new);
        let looks = found::path_only() | if keep { found::flags(libc::O_NOFOLLOW) } else { 0 };
        let done = found::flags(libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW);
        for _ in 0..TRIES {
            match place.open(procfs, looks, 0) {
                Ok(_) if creates && is_new && !is_unnamed => return Err(Errno::EEXIST),
                Ok(Found { file, .. }) => {
                    let path = found::real_path(file.as_raw_fd())?;
                    match found::kind(&file)? {
                        SFlag::S_IFLNK => return Err(Errno::ELOOP),
                        SFlag::S_IFDIR if !is_unnamed => return Err(Errno::EISDIR),
                        // It has no name to be judged by, until it is given one.
                        SFlag::S_IFDIR => {}
                        _ => procfs.outputs.may_change(&path)?,
                    }
                    umask(umask_of(call.pid)?);
                    let name = found::own_name(file.as_raw_fd());
                    // openat2(2) takes a mode for what is made, and for nothing else.
                    let (flags, mode) =
                        if is_unnamed { (own, self.mode) } else { (own & !done, 0) };
                    let file = sys::open(libc::AT_FDCWD, &name, flags, mode, 0)?;
                    return Ok((Found { file, path }, is_unnamed));
                }
                Err(Errno::ENOENT) if creates => {
                    let (directory, name) = place.last(procfs, !keep)?;
                    let path = joined(&directory.path, name.to_bytes());
                    procfs.outputs.may_make(&path)?;
                    umask(umask_of(call.pid)?);
                    let flags = own | found::flags(libc::O_EXCL | libc::O_NOFOLLOW);
                    match sys::open(directory.file.as_raw_fd(), &name, flags, self.mode, 0) {
                        Err(Errno::EEXIST) if !is_new => {}
                        Err(errno) => return Err(errno),
                        Ok(file) => {
                            procfs.outputs.made(&path);
                            return Ok((Found { file, path }, true));
                        }
                    }
                }
                Err(errno) => return Err(errno),
            }
        }
        Err(Errno::EAGAIN)
    }

    fn uses(&self, path: Vec<u8>, is_directory: bool, created: bool) -> Vec<Use> {
        if created {
            return vec![Use::of(Kind::Create, path)];
        }
        let reads = !self.has(libc::O_WRONLY);
        if is_directory && reads && !self.has(libc::O_RDWR) {
            return vec![Use::of(Kind::List, path)];
        }
        let mut uses = Vec::new();
        if reads {
            uses.push(Use::of(Kind::Read, path.clone()));
        }
        if !reads || self.has(libc::O_RDWR | libc::O_TRUNC) {
            uses.push(Use::of(Kind::Write, path));
        }
        uses
    }

    /// What would have been opened.
    fn failed(&self, procfs: &Procfs, place: &Place, errno: Errno) -> Opened {
        let path_only = found::flags(libc::O_PATH | libc::O_CLOEXEC);
        // What has to be new does not follow a link (open(2), `O_EXCL`).
        let keep =
            self.has(libc::O_NOFOLLOW) || (self.has(libc::O_CREAT) && self.has(libc::O_EXCL));
        let flags = path_only | if keep { found::flags(libc::O_NOFOLLOW) } else { 0 };
        let found = match errno {
            Errno::ENOENT | Errno::ENOTDIR | Errno::ENAMETOOLONG => None,
            _ => place.open(procfs, flags, 0).ok(),
        };
        let exists = found.is_some();
        let is_directory =
            found.as_ref().is_some_and(|found| found::kind(&found.file) == Ok(SFlag::S_IFDIR));
        let missing = || place.target(procfs).unwrap_or_else(|| place.name(procfs));
        let path = found.map_or_else(missing, |found| found.path);
        let created = self.has(libc::O_CREAT) && (!exists || self.has(libc::O_EXCL));
        let named = place.named(&path);
        let mut uses = self.uses(path, is_directory, created);
        if let [used] = &mut uses[..] {
            used.named = named;
        }
        Opened::Now(Answer::Fail(errno), uses)
    }
}

fn set_id() -> u64 {
    u64::from(metadata::SET_ID.bits())
}

/// Whether a process can have one more descriptor. The size of this directory is how many it has
/// (Linux 6.2), and a new one gets the lowest free number.
fn has_room(pid: u32, procfs: &Procfs) -> bool {
    let Ok(limit) = sys::limit_of(pid, Resource::RLIMIT_NOFILE) else { return true };
    if procfs.directories.open_descriptors(pid).is_ok_and(|count| count < limit) {
        return true;
    }
    let Ok(all) = fs::read_dir(format!("/proc/{pid}/fd")) else { return true };
    let below = all.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u64>().ok());
    (below.filter(|number| *number < limit).count() as u64) < limit
}

/// Whether a process may have so many descriptors that it is not asked how many it has when it has looked
/// for what is not there, as compilers do with most of what they open. With all of them in use it
/// hears of that, and not of its full table; it gets nothing either way.
fn may_have_many(pid: u32) -> bool {
    /// What a process may have by default (`INR_OPEN_CUR` in the kernel's `include/uapi/linux/fs.h`).
    const MANY: u64 = 1024;
    sys::limit_of(pid, Resource::RLIMIT_NOFILE).is_ok_and(|limit| limit >= MANY)
}

/// The structure that openat2(2) takes (`copy_struct_from_user`).
fn how(call: &Notification) -> Result<[u64; 3], Errno> {
    let size = usize::try_from(call.arguments[3]).map_err(|_| Errno::E2BIG)?;
    if size < HOW {
        return Err(Errno::EINVAL);
    }
    if size > PAGE {
        return Err(Errno::E2BIG);
    }
    let mut bytes = vec![0; size];
    argument::bytes(call.pid, call.arguments[2], &mut bytes)?;
    if bytes[HOW..].iter().any(|byte| *byte != 0) {
        return Err(Errno::E2BIG);
    }
    let number = |index: usize| {
        let bytes = bytes[8 * index..][..8].try_into().unwrap_or_default();
        u64::from_ne_bytes(bytes)
    };
    Ok([number(0), number(1), number(2)])
}
