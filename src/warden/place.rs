//! A place that a call names: a path, and the directory it starts from, as the calling process sees
//! them.
//!
//! The warden opens it in the caller's stead. For most paths the kernel does that in one step, the
//! same for whoever asks. What means something else to each process are the links of proc(5):
//! `/proc/self`, and through it `/dev/fd` and `/dev/stdin`. They can lie behind any other link, so a
//! path that meets one is followed part by part, and those links are read as the caller's.
//!
//! A process may always look at itself, and so the warden at its own `/proc` directory, where its
//! memory, its environment and its descriptors are: a path that leads there is refused, but for what
//! every process is told of every other.

use std::cell::Cell;
use std::ffi::{CStr, CString};
use std::fs;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::fcntl::AT_FDCWD;
use nix::sys::stat::{SFlag, fstat};
use nix::sys::statfs::{PROC_SUPER_MAGIC, fstatfs};
use nix::unistd::{AccessFlags, access};

use super::argument::{self, PathAt};
use super::names::joined;
use crate::sys::{self, Notification};

/// Flags of openat2(2).
const NO_MAGIC_LINKS: u64 = libc::RESOLVE_NO_MAGICLINKS;
const NO_LINKS: u64 = libc::RESOLVE_NO_SYMLINKS | NO_MAGIC_LINKS;
/// So many symbolic links are followed on one path (`path_resolution`(7), `MAXSYMLINKS`).
const MOST_LINKS: usize = 40;

/// Flags of open(2), as openat2(2) takes them.
#[must_use]
pub fn flags(flags: i32) -> u64 {
    u64::from(flags.cast_unsigned())
}

/// To open a name for what it is, and nothing that is in it.
fn path_only() -> u64 {
    flags(libc::O_PATH | libc::O_CLOEXEC)
}

/// What the warden has to know of proc(5) on this machine.
#[derive(Debug)]
pub struct Procfs {
    /// Where else it is mounted: what lies there is refused.
    elsewhere: Vec<Vec<u8>>,
}

impl Procfs {
    /// Looks for mounts.
    ///
    /// # Errors
    /// If `/proc` is not there or is another process-id namespace's: then nothing can be said of a
    /// script's processes.
    pub fn read() -> Result<Self, Errno> {
        let own = std::process::id().to_string();
        if fs::read_link("/proc/self").map_err(|error| errno(&error))? != *own {
            return Err(Errno::ESRCH);
        }
        // Fields: number, parent, device, root, mount point, …, "-", type (proc_pid_mountinfo(5)).
        let mounts = fs::read("/proc/self/mountinfo").map_err(|error| errno(&error))?;
        let elsewhere = mounts.split(|byte| *byte == b'\n').filter_map(|line| {
            let mut fields = line.split(|byte| *byte == b' ');
            let point = fields.nth(4)?;
            let kind = fields.skip_while(|field| *field != b"-").nth(1)?;
            (kind == b"proc" && point != b"/proc" && !point.starts_with(b"/proc/"))
                .then(|| point.to_vec())
        });
        Ok(Self { elsewhere: elsewhere.collect() })
    }

    fn is_refused(&self, path: &[u8]) -> bool {
        own(path).is_some_and(|name| !PUBLIC.contains(&name))
            || self.elsewhere.iter().any(|mount| is_below(path, mount))
    }
}

/// What of a process everybody may read (proc(5)).
const PUBLIC: &[&[u8]] =
    &[b"", b"/cgroup", b"/cmdline", b"/comm", b"/limits", b"/stat", b"/statm", b"/status"];

/// What is behind the directory of one of the warden's threads, if this real path is below it.
fn own(path: &[u8]) -> Option<&[u8]> {
    let rest = path.strip_prefix(b"/proc/")?;
    let end = rest.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len());
    let (number, name) = rest.split_at(end);
    let thread = c_string([b"/proc/self/task/", number].concat());
    (end > 0 && sys::look(AT_FDCWD.as_raw_fd(), &thread, 0).is_ok()).then_some(name)
}

fn is_below(path: &[u8], directory: &[u8]) -> bool {
    path.strip_prefix(directory).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
}

fn errno(error: &std::io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}

/// See the file's description.
#[derive(Debug)]
pub struct Place {
    /// The calling thread.
    caller: u32,
    /// Where a relative path starts.
    base: Option<OwnedFd>,
    /// The path as it was given.
    pub name: CString,
    /// Whether a symbolic link was met on it.
    has_links: Cell<bool>,
}

/// A file that the warden has opened.
#[derive(Debug)]
pub struct Found {
    /// Its descriptor.
    pub file: OwnedFd,
    /// Where it lies, free of symbolic links. Pipes and the like have a name that is no path.
    pub path: Vec<u8>,
}

impl Found {
    fn new(file: OwnedFd) -> Result<Self, Errno> {
        let path = real_path(file.as_raw_fd())?;
        Ok(Self { file, path })
    }
}

/// Under which name the warden itself finds an open file.
#[must_use]
pub fn own_name(file: RawFd) -> CString {
    c_string(format!("/proc/self/fd/{file}").into_bytes())
}

/// Of bytes that come from a C string, or from us.
fn c_string(bytes: Vec<u8>) -> CString {
    CString::new(bytes).expect("no NUL byte is in it")
}

fn real_path(file: RawFd) -> Result<Vec<u8>, Errno> {
    let mut buffer = [0; 4096];
    match sys::read_link(AT_FDCWD.as_raw_fd(), &own_name(file), &mut buffer) {
        // Nobody has granted anything in a directory of this name.
        Err(Errno::ENAMETOOLONG) => Ok(b"/(a path longer than 4095 bytes)".to_vec()),
        path => Ok(path?.to_vec()),
    }
}

impl Place {
    /// The place that a call's arguments name.
    ///
    /// # Errors
    /// As the kernel finds them: `EFAULT`, `ENAMETOOLONG`, `ENOENT` for an empty path, `EBADF` for a
    /// directory that is not open.
    pub fn of(call: &Notification, at: PathAt) -> Result<Self, Errno> {
        Self::from(call, at, |name| !name.starts_with(b"/"))
    }

    /// The same, where the directory counts for an absolute path too (openat2(2),
    /// `RESOLVE_BENEATH`, `RESOLVE_IN_ROOT`).
    ///
    /// # Errors
    /// As of [`Place::of`].
    pub fn scoped(call: &Notification, at: PathAt) -> Result<Self, Errno> {
        let mut place = Self::from(call, at, |_| true)?;
        let name = place.name.to_bytes();
        let start = name.iter().position(|byte| *byte != b'/').unwrap_or(name.len());
        let first = name[start..].split(|byte| *byte == b'/').next().unwrap_or_default();
        let replaced = match first {
            b"self" | b"thread-self" if place.starts_in_procfs()? => {
                let process = process_of(call.pid)?;
                let own = if first == b"self" {
                    process.to_string()
                } else {
                    format!("{process}/task/{}", call.pid)
                };
                c_string([own.as_bytes(), &name[start + first.len()..]].concat())
            }
            _ => return Ok(place),
        };
        place.name = replaced;
        Ok(place)
    }

    fn from(
        call: &Notification,
        PathAt(directory, path): PathAt,
        counts: impl Fn(&[u8]) -> bool,
    ) -> Result<Self, Errno> {
        let name = argument::path(call.pid, call.arguments[path])?;
        if name.is_empty() {
            return Err(Errno::ENOENT);
        }
        let directory = directory.map(|index| argument::descriptor(call.arguments[index]));
        let base = if counts(name.to_bytes()) { Some(base_of(call.pid, directory)?) } else { None };
        Ok(Self { caller: call.pid, base, name, has_links: Cell::new(false) })
    }

    fn starts_in_procfs(&self) -> Result<bool, Errno> {
        let Some(base) = &self.base else { return Ok(false) };
        Ok(fstatfs(base)?.filesystem_type() == PROC_SUPER_MAGIC)
    }

    /// The place that a name means to a thread.
    ///
    /// # Errors
    /// `ESRCH` or `ENOENT` if it is gone.
    pub fn for_caller(caller: u32, name: CString) -> Result<Self, Errno> {
        let is_absolute = name.to_bytes().starts_with(b"/");
        let base = if is_absolute { None } else { Some(base_of(caller, None)?) };
        Ok(Self { caller, base, name, has_links: Cell::new(false) })
    }

    /// The open file that an argument names, as a place of no name (openat(2), `AT_EMPTY_PATH`).
    ///
    /// # Errors
    /// `EBADF` if it is not open.
    pub fn of_descriptor(call: &Notification, index: usize) -> Result<Found, Errno> {
        Found::new(base_of(call.pid, Some(argument::descriptor(call.arguments[index])))?)
    }

    fn directory(&self) -> RawFd {
        self.base.as_ref().map_or(libc::AT_FDCWD, AsRawFd::as_raw_fd)
    }

    /// The path, absolute, as far as it can be told without looking.
    #[must_use]
    pub fn text(&self) -> Vec<u8> {
        let base = self.base.as_ref().and_then(|base| real_path(base.as_raw_fd()).ok());
        let mut text = base.unwrap_or_default();
        for part in self.name.to_bytes().split(|byte| *byte == b'/') {
            match part {
                b"" | b"." => {}
                b".." => text.truncate(text.iter().rposition(|byte| *byte == b'/').unwrap_or(0)),
                part => {
                    text.push(b'/');
                    text.extend_from_slice(part);
                }
            }
        }
        if text.is_empty() { b"/".to_vec() } else { text }
    }

    /// The path as far as it resolves, without a link at its end being followed.
    #[must_use]
    pub fn name(&self, procfs: &Procfs) -> Vec<u8> {
        let name = self.name.to_bytes();
        let leads_up = name.windows(2).any(|pair| pair == b"..");
        if !leads_up && !self.has_links.get() {
            return self.text();
        }
        // `..` is the parent of what is there, which a link before it can have made another. What is
        // not there, nor anything behind it, has no other name than the one given.
        let mut end = name.len();
        loop {
            let part = self.part(c_string(name[..end].to_vec()));
            if let Ok((directory, last)) = part.and_then(|part| part.parent(procfs)) {
                let path = joined(&directory.path, last.to_bytes());
                let rest = &name[end..];
                return if rest.is_empty() { path } else { joined(&path, &rest[1..]) };
            }
            match name[..end].iter().rposition(|byte| *byte == b'/') {
                Some(slash) if slash > 0 => end = slash,
                _ => return self.text(),
            }
        }
    }

    /// Where a link that leads to nothing leads.
    #[must_use]
    pub fn target(&self, procfs: &Procfs) -> Option<Vec<u8>> {
        if !self.has_links.get() {
            return None;
        }
        let Last { directory, name, .. } = self.walk(procfs, true).ok()?;
        Some(joined(&real_path(directory.as_raw_fd()).ok()?, name.to_bytes()))
    }

    /// Another name, from the same directory.
    fn part(&self, name: CString) -> Result<Self, Errno> {
        let base = self.base.as_ref().map(OwnedFd::try_clone).transpose();
        let base = base.map_err(|error| errno(&error))?;
        Ok(Self { caller: self.caller, base, name, has_links: Cell::new(false) })
    }

    /// Whether there is a symbolic link, and it can be read; for the record only.
    ///
    /// # Errors
    /// As of readlinkat(2).
    pub fn read_link(&self) -> Result<(), Errno> {
        sys::read_link(self.directory(), &self.name, &mut [0]).map(drop)
    }

    /// Whether there is something; for the record only.
    ///
    /// # Errors
    /// As of fstatat(2).
    pub fn look(&self, follow: bool) -> Result<(), Errno> {
        let flags = if follow { 0 } else { libc::AT_SYMLINK_NOFOLLOW };
        sys::look(self.directory(), &self.name, flags)
    }

    /// Opens what is there, with flags as open(2) knows them.
    ///
    /// # Errors
    /// Those of open(2).
    pub fn open(&self, procfs: &Procfs, flags: u64, mode: u64) -> Result<Found, Errno> {
        let open = |resolve| sys::open(self.directory(), &self.name, flags, mode, resolve);
        match open(NO_LINKS) {
            Ok(file) if is_plain(self.name.to_bytes()) => {
                let path = self.name.to_bytes();
                if procfs.is_refused(path) {
                    return Err(Errno::EACCES);
                }
                return Ok(Found { file, path: path.to_vec() });
            }
            Ok(file) => return admitted(procfs, Found::new(file)?),
            Err(Errno::ELOOP) => {}
            Err(errno) => return Err(errno),
        }
        self.has_links.set(true);
        if let Ok(file) = open(NO_MAGIC_LINKS) {
            let found = Found::new(file)?;
            if own(&found.path).is_none() {
                return admitted(procfs, found);
            }
        }
        let has = |flag| flags & self::flags(flag) != 0;
        let creates = has(libc::O_CREAT);
        let keep = has(libc::O_NOFOLLOW) || (creates && has(libc::O_EXCL));
        let Last { directory, name, is_magic } = self.walk(procfs, !keep)?;
        let resolve = if is_magic { 0 } else { NO_MAGIC_LINKS };
        if creates && self.name.to_bytes().ends_with(b"/") {
            return Err(Errno::EISDIR);
        }
        let file = sys::open(directory.as_raw_fd(), &name, flags, mode, resolve)?;
        admitted(procfs, Found::new(file)?)
    }

    /// Opens what is there, under resolve flags of the caller's own (openat2(2)).
    ///
    /// # Errors
    /// Those of openat2(2).
    pub fn open_resolved(
        &self,
        procfs: &Procfs,
        flags: u64,
        mode: u64,
        resolve: u64,
    ) -> Result<Found, Errno> {
        if resolve == 0 {
            return self.open(procfs, flags, mode);
        }
        let resolve = resolve | NO_MAGIC_LINKS;
        let file = sys::open(self.directory(), &self.name, flags, mode, resolve)?;
        admitted(procfs, Found::new(file)?)
    }

    /// The directory that holds the place's last name, and that name, with the slashes behind it.
    ///
    /// # Errors
    /// Those of open(2).
    pub fn parent(&self, procfs: &Procfs) -> Result<(Found, CString), Errno> {
        let name = self.name.to_bytes();
        let end = name.iter().rposition(|byte| *byte != b'/').map_or(0, |last| last + 1);
        let start = name[..end].iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1);
        let (directory, last) = name.split_at(start);
        let last = c_string(last.to_vec());
        // The root itself has no name: the call is made on it as it was given.
        let last = if last.is_empty() { self.name.clone() } else { last };
        let directory = match directory {
            b"" => c".".to_owned(),
            directory => c_string(directory.to_vec()),
        };
        let place = self.part(directory)?;
        Ok((place.open(procfs, path_only() | flags(libc::O_DIRECTORY), 0)?, last))
    }

    /// Follows the path part by part to its last name.
    fn walk(&self, procfs: &Procfs, follow: bool) -> Result<Last, Errno> {
        let mut walk = Walk {
            caller: self.caller,
            current: match &self.base {
                Some(base) => base.try_clone().map_err(|error| errno(&error))?,
                None => root()?,
            },
            rest: Vec::new(),
            links: 0,
        };
        walk.push(self.name.to_bytes());
        walk.run(procfs, follow)
    }
}

fn admitted(procfs: &Procfs, found: Found) -> Result<Found, Errno> {
    if procfs.is_refused(&found.path) { Err(Errno::EACCES) } else { Ok(found) }
}

fn root() -> Result<OwnedFd, Errno> {
    sys::open(AT_FDCWD.as_raw_fd(), c"/", path_only(), 0, 0)
}

/// The calling thread's working directory, or an open file of its.
fn base_of(caller: u32, directory: Option<i32>) -> Result<OwnedFd, Errno> {
    let name = match directory {
        None | Some(libc::AT_FDCWD) => format!("/proc/{caller}/cwd"),
        Some(directory) => format!("/proc/{caller}/fd/{directory}"),
    };
    sys::open(AT_FDCWD.as_raw_fd(), &c_string(name.into_bytes()), path_only(), 0, 0).map_err(
        |errno| match errno {
            Errno::ENOENT if directory.is_some() => Errno::EBADF,
            errno => errno,
        },
    )
}

/// Whether a path is its own real path, if no link is on it.
fn is_plain(path: &[u8]) -> bool {
    path.starts_with(b"/")
        && path.split(|byte| *byte == b'/').skip(1).all(|part| !matches!(part, b"" | b"." | b".."))
}

/// Where a walk has ended: the last name, and the directory it is in.
struct Last {
    directory: OwnedFd,
    name: CString,
    /// Whether the name is a link of proc(5) that leads to an object rather than to a path.
    is_magic: bool,
}

struct Walk {
    caller: u32,
    current: OwnedFd,
    /// The parts that are left, the next one last. Slashes at the end of a path are an empty part.
    rest: Vec<Vec<u8>>,
    links: usize,
}

impl Walk {
    /// Puts the parts of a path before what is left.
    fn push(&mut self, path: &[u8]) {
        let ends_in_slash = path.ends_with(b"/") && self.rest.is_empty();
        let mut parts: Vec<Vec<u8>> = path
            .split(|byte| *byte == b'/')
            .filter(|part| !part.is_empty())
            .map(<[u8]>::to_vec)
            .collect();
        if ends_in_slash && !parts.is_empty() {
            parts.push(Vec::new());
        }
        parts.reverse();
        self.rest.extend(parts);
    }

    fn open(&self, name: &CStr, flags: u64, resolve: u64) -> Result<OwnedFd, Errno> {
        sys::open(self.current.as_raw_fd(), name, path_only() | flags, 0, resolve)
    }

    fn run(mut self, procfs: &Procfs, follow: bool) -> Result<Last, Errno> {
        while let Some(part) = self.rest.pop() {
            // Only slashes are left.
            let is_last = self.rest.iter().all(Vec::is_empty);
            let must_be_directory = !self.rest.is_empty();
            let mut whole = part.clone();
            if is_last && must_be_directory {
                whole.push(b'/');
            }
            let (whole, name) = (c_string(whole), c_string(part));
            if name.is_empty() {
                continue;
            }
            let child = match self.open(&name, flags(libc::O_NOFOLLOW), 0) {
                Ok(child) => child,
                Err(Errno::ENOENT) if is_last => return Ok(self.end(whole, false)),
                Err(errno) => return Err(errno),
            };
            let kind = SFlag::from_bits_truncate(fstat(&child)?.st_mode) & SFlag::S_IFMT;
            if kind != SFlag::S_IFLNK {
                if procfs.is_refused(&real_path(child.as_raw_fd())?) {
                    return Err(Errno::EACCES);
                }
                if is_last {
                    return Ok(self.end(whole, false));
                }
                if kind != SFlag::S_IFDIR {
                    return Err(Errno::ENOTDIR);
                }
                self.current = child;
                continue;
            }
            if is_last && !follow && !must_be_directory {
                return Ok(self.end(whole, false));
            }
            self.links += 1;
            if self.links > MOST_LINKS {
                return Err(Errno::ELOOP);
            }
            if let Some(last) = self.follow(procfs, &name, &child, is_last && !must_be_directory)? {
                return Ok(last);
            }
        }
        Ok(self.end(c".".to_owned(), false))
    }

    /// Follows a link; the end of the walk, if it is a magic one that comes last.
    fn follow(
        &mut self,
        procfs: &Procfs,
        name: &CStr,
        link: &OwnedFd,
        is_last: bool,
    ) -> Result<Option<Last>, Errno> {
        let is_of_proc = fstatfs(&self.current)?.filesystem_type() == PROC_SUPER_MAGIC;
        if is_of_proc && matches!(self.open(name, 0, NO_MAGIC_LINKS), Err(Errno::ELOOP)) {
            // However the walk has come here: the caller may be in this directory, or another one.
            if procfs.is_refused(&real_path(self.current.as_raw_fd())?) {
                return Err(Errno::EACCES);
            }
            if is_last {
                let current = self.current.try_clone().map_err(|error| errno(&error))?;
                return Ok(Some(Last {
                    directory: current,
                    name: name.to_owned(),
                    is_magic: true,
                }));
            }
            self.current = self.open(name, 0, 0)?;
            return Ok(None);
        }
        let caller = self.caller;
        match name.to_bytes() {
            b"self" if is_of_proc => self.push(process_of(caller)?.to_string().as_bytes()),
            b"thread-self" if is_of_proc => {
                self.push(format!("{}/task/{caller}", process_of(caller)?).as_bytes());
            }
            _ => {
                let mut buffer = [0; 4096];
                let target = sys::read_link(link.as_raw_fd(), c"", &mut buffer)?.to_vec();
                if target.is_empty() {
                    return Err(Errno::ENOENT);
                }
                if target.starts_with(b"/") {
                    self.current = root()?;
                }
                self.push(&target);
            }
        }
        Ok(None)
    }

    fn end(self, name: CString, is_magic: bool) -> Last {
        Last { directory: self.current, name, is_magic }
    }
}

/// The process that a thread belongs to.
fn process_of(thread: u32) -> Result<u32, Errno> {
    argument::status(thread, "Tgid:").and_then(|id| id.parse().map_err(|_| Errno::ESRCH))
}

/// Whether an open file is a directory.
///
/// # Errors
/// Those of fstat(2).
pub fn is_directory(file: &OwnedFd) -> Result<bool, Errno> {
    let kind = SFlag::from_bits_truncate(fstat(file)?.st_mode);
    Ok(kind & SFlag::S_IFMT == SFlag::S_IFDIR)
}

/// Whether an open file may be executed, as far as its mode says.
///
/// # Errors
/// `EACCES` if not.
pub fn may_execute(file: &OwnedFd) -> Result<(), Errno> {
    access(own_name(file.as_raw_fd()).as_c_str(), AccessFlags::X_OK)
}
