//! A place that a call names: a path, and the directory it starts from, as the calling process sees
//! them.
//!
//! The warden opens it in the caller's stead. For most paths the kernel does that in one step, the
//! same for whoever asks. What means something else to each process are the links of proc(5):
//! `/proc/self`, and through it `/dev/fd` and `/dev/stdin`. They can lie behind any other link, so a
//! path that meets one is followed part by part, and those links are read as the caller's.

use std::cell::{Cell, RefCell};
use std::ffi::CString;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;

use nix::errno::Errno;
use nix::fcntl::AT_FDCWD;
use nix::sys::statfs::{PROC_SUPER_MAGIC, fstatfs};

use super::argument::{self, PathAt};
use super::found::{self, Found, c_string, path_only, real_path};
use super::names::{Use, joined};
use super::procfs::{self, Procfs, process_of};
use super::walk::{Last, Walk};
use crate::access::Kind;
use crate::sys::{self, Notification};

/// Flags of openat2(2).
const NO_MAGIC_LINKS: u64 = libc::RESOLVE_NO_MAGICLINKS;
const NO_LINKS: u64 = libc::RESOLVE_NO_SYMLINKS | NO_MAGIC_LINKS;

/// See the file's description.
#[derive(Debug)]
pub struct Place {
    /// The calling thread.
    caller: u32,
    /// Where a relative path starts.
    base: Option<Arc<Found>>,
    /// The path as it was given.
    pub name: CString,
    /// Whether a symbolic link was met on it.
    has_links: Cell<bool>,
    /// What of it does not exist for the caller, once that was met.
    hidden: RefCell<Option<Vec<u8>>>,
}

impl Place {
    fn new(caller: u32, base: Option<Arc<Found>>, name: CString) -> Self {
        let (has_links, hidden) = (Cell::new(false), RefCell::default());
        Self { caller, base, name, has_links, hidden }
    }

    /// The place that a call's arguments name.
    ///
    /// # Errors
    /// As the kernel finds them: `EFAULT`, `ENAMETOOLONG`, `ENOENT` for an empty path, `EBADF` for a
    /// directory that is not open.
    pub fn of(call: &Notification, at: PathAt, procfs: &Procfs) -> Result<Self, Errno> {
        Self::from(call, at, procfs, |name| !name.starts_with(b"/"))
    }

    /// The same, where the directory counts for an absolute path too (openat2(2),
    /// `RESOLVE_BENEATH`, `RESOLVE_IN_ROOT`).
    ///
    /// # Errors
    /// As of [`Place::of`].
    pub fn scoped(call: &Notification, at: PathAt, procfs: &Procfs) -> Result<Self, Errno> {
        let mut place = Self::from(call, at, procfs, |_| true)?;
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
        procfs: &Procfs,
        counts: impl Fn(&[u8]) -> bool,
    ) -> Result<Self, Errno> {
        let name = argument::path(call.pid, call.arguments[path])?;
        if name.is_empty() {
            return Err(Errno::ENOENT);
        }
        let directory = directory.map(|index| argument::descriptor(call.arguments[index]));
        let base = if counts(name.to_bytes()) {
            Some(base_of(call.pid, directory, procfs)?)
        } else {
            None
        };
        Ok(Self::new(call.pid, base, name))
    }

    fn starts_in_procfs(&self) -> Result<bool, Errno> {
        let Some(base) = &self.base else { return Ok(false) };
        let file_system = sys::uninterrupted(|| fstatfs(&base.file))?;
        Ok(file_system.filesystem_type() == PROC_SUPER_MAGIC)
    }

    /// The place that a name means to a thread.
    ///
    /// # Errors
    /// `ESRCH` or `ENOENT` if it is gone.
    pub fn for_caller(caller: u32, name: CString, procfs: &Procfs) -> Result<Self, Errno> {
        let is_absolute = name.to_bytes().starts_with(b"/");
        let base = if is_absolute { None } else { Some(procfs.directories.cwd(caller)?) };
        Ok(Self::new(caller, base, name))
    }

    /// The open file that an argument names, as a place of no name (openat(2), `AT_EMPTY_PATH`).
    ///
    /// # Errors
    /// `EBADF` if it is not open.
    pub fn of_descriptor(call: &Notification, index: usize) -> Result<Found, Errno> {
        Found::new(open_file(call.pid, argument::descriptor(call.arguments[index]))?)
    }

    fn directory(&self) -> RawFd {
        self.base.as_ref().map_or(libc::AT_FDCWD, |base| base.file.as_raw_fd())
    }

    /// The path, absolute, as far as it can be told without looking.
    #[must_use]
    pub fn text(&self) -> Vec<u8> {
        let mut text = self.base.as_ref().map_or_else(Vec::new, |base| base.path.clone());
        // A root has no name of its own.
        text.truncate(if text == b"/" { 0 } else { text.len() });
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

    /// The absolute path as it was given, if that is not this path.
    #[must_use]
    pub fn named(&self, path: &[u8]) -> Option<Vec<u8>> {
        let name = self.name.to_bytes();
        let Some(base) = &self.base else { return (name != path).then(|| name.to_vec()) };
        let base = if base.path == b"/" { b"" } else { &base.path[..] };
        let named = [base, b"/", name].concat();
        (named != path).then_some(named)
    }

    /// A look at the place.
    #[must_use]
    pub fn used(&self, kind: Kind, procfs: &Procfs) -> Use {
        let path = self.name(procfs);
        let named = self.named(&path);
        Use { kind, path, named }
    }

    /// The path as far as it resolves, without a link at its end being followed.
    #[must_use]
    pub fn name(&self, procfs: &Procfs) -> Vec<u8> {
        if let Some(hidden) = &*self.hidden.borrow() {
            return hidden.clone();
        }
        if !self.has_links.get() && self.leads_up_from_what_is_there() {
            return self.text();
        }
        // `..` is the parent of what is there, which a link before it can have made another. What is
        // not there, nor anything behind it, has no other name than the one given.
        if let Ok((directory, last)) = self.parent(procfs) {
            return joined(&directory.path, last.to_bytes());
        }
        let reached = self.start().and_then(|mut walk| match walk.run(procfs, false) {
            Ok(last) => Ok(joined(&real_path(last.directory.as_raw_fd())?, last.name.to_bytes())),
            Err(_) => walk.reached(),
        });
        reached.unwrap_or_else(|_| self.text())
    }

    /// Whether everything up to the last `..` is there. If there is no `..`, nothing has to be.
    fn leads_up_from_what_is_there(&self) -> bool {
        let name = self.name.to_bytes();
        let Some(last) = name.windows(2).rposition(|pair| pair == b"..") else { return true };
        let to_there = c_string(name[..last + 2].to_vec());
        sys::open(self.directory(), &to_there, path_only(), 0, NO_LINKS).is_ok()
    }

    /// Where a link that leads to nothing leads.
    #[must_use]
    pub fn target(&self, procfs: &Procfs) -> Option<Vec<u8>> {
        if !self.has_links.get() {
            return None;
        }
        let Last { directory, name, .. } = self.start().ok()?.run(procfs, true).ok()?;
        Some(joined(&real_path(directory.as_raw_fd()).ok()?, name.to_bytes()))
    }

    /// The path, as far as it can be told of something that could not be used.
    #[must_use]
    pub fn told(&self) -> Vec<u8> {
        self.hidden.borrow().clone().unwrap_or_else(|| self.text())
    }

    /// What of this place, or of the way to it, does not exist for the caller. `follow` is whether a link
    /// at its end is followed.
    #[must_use]
    pub fn hidden(&self, procfs: &Procfs, follow: bool) -> Option<Vec<u8>> {
        if procfs.hidden.is_empty() {
            return None;
        }
        let hidden = self.look_for_hidden(procfs, follow);
        self.hidden.borrow_mut().clone_from(&hidden);
        hidden
    }

    fn look_for_hidden(&self, procfs: &Procfs, follow: bool) -> Option<Vec<u8>> {
        let mut parts = self.name.to_bytes().split(|byte| *byte == b'/');
        if !parts.any(|part| part == b"..") {
            let text = self.text();
            if procfs.hidden.hides(&text) {
                return Some(text);
            }
            let open = sys::open(self.directory(), &self.name, path_only(), 0, NO_LINKS);
            // No link was met, be there something or not.
            if open.err() != Some(Errno::ELOOP) {
                return None;
            }
        }
        let mut walk = self.start().ok()?;
        walk.run(procfs, follow).err()?;
        walk.hidden
    }

    /// Whether something of it does not exist for the caller.
    #[must_use]
    pub fn is_hidden(&self) -> bool {
        self.hidden.borrow().is_some()
    }

    /// Another name, from the same directory.
    fn part(&self, name: CString) -> Self {
        Self::new(self.caller, self.base.clone(), name)
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
        let has = |flag| flags & found::flags(flag) != 0;
        let creates = has(libc::O_CREAT);
        let keep = has(libc::O_NOFOLLOW) || (creates && has(libc::O_EXCL));
        if self.hidden(procfs, !keep).is_some() {
            return Err(Errno::ENOENT);
        }
        let open = |resolve| sys::open(self.directory(), &self.name, flags, mode, resolve);
        let _making = creates.then(|| procfs.made.make(self.name.to_bytes()));
        match open(NO_LINKS) {
            // No link was met, and so its name is its real path.
            Ok(file) => return self.admitted(procfs, self.as_named(file)?),
            Err(Errno::ELOOP) => {}
            Err(errno) => return Err(errno),
        }
        self.has_links.set(true);
        let last = creates.then(|| self.start().and_then(|mut walk| walk.run(procfs, !keep)));
        let _making_another =
            last.and_then(Result::ok).map(|last| procfs.made.make(last.name.to_bytes()));
        if let Ok(file) = open(NO_MAGIC_LINKS) {
            let found = Found::new(file)?;
            if procfs::own(&found.path).is_none() {
                return self.admitted(procfs, found);
            }
        }
        let Last { directory, name, is_magic } = self.start()?.run(procfs, !keep)?;
        let resolve = if is_magic { 0 } else { NO_MAGIC_LINKS };
        if creates && self.name.to_bytes().ends_with(b"/") {
            return Err(Errno::EISDIR);
        }
        let file = sys::open(directory.as_raw_fd(), &name, flags, mode, resolve)?;
        self.admitted(procfs, Found::new(file)?)
    }

    /// A file that was opened by this name without a link on it.
    fn as_named(&self, file: OwnedFd) -> Result<Found, Errno> {
        // Of what has been removed, or cannot be reached, the kernel says so in words.
        let has_real_path =
            |base: &Arc<Found>| base.path.starts_with(b"/") && !base.path.ends_with(b")");
        if self.base.as_ref().is_none_or(has_real_path) {
            return Ok(Found { file, path: self.text() });
        }
        Found::new(file)
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
        // Under which name, these flags have a say in.
        let creates = flags & found::flags(libc::O_CREAT) != 0;
        let _making = creates.then(|| procfs.made.make_anything());
        if !procfs.hidden.is_empty() {
            // Where this leads, the kernel alone can say; then it is looked at before it is opened.
            let keep = flags & found::flags(libc::O_NOFOLLOW);
            // By its letters, and by its links as they are: an error of these flags would tell.
            if self.hidden(procfs, keep == 0).is_some() {
                return Err(Errno::ENOENT);
            }
            let flags = path_only() | keep;
            let found = sys::open(self.directory(), &self.name, flags, 0, resolve);
            if let Ok(found) = found {
                self.admitted(procfs, Found::new(found)?)?;
            }
        }
        let file = sys::open(self.directory(), &self.name, flags, mode, resolve)?;
        self.admitted(procfs, Found::new(file)?)
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
        let place = self.part(directory);
        let hide = |path: Vec<u8>| {
            self.hidden.replace(Some(path));
            Errno::ENOENT
        };
        let flags = path_only() | found::flags(libc::O_DIRECTORY);
        let directory = place.open(procfs, flags, 0).map_err(|errno| {
            let hidden = place.hidden.take();
            hidden.map_or(errno, |hidden| hide(joined(&hidden, last.to_bytes())))
        })?;
        let path = joined(&directory.path, last.to_bytes());
        if procfs.hidden.hides(&path) {
            return Err(hide(path));
        }
        Ok((directory, last))
    }

    /// The directory and the name to which it leads, be there something of that name or not. `follow` is
    /// whether a link at its end is followed.
    ///
    /// # Errors
    /// Those of open(2).
    pub fn last(&self, procfs: &Procfs, follow: bool) -> Result<(Found, CString), Errno> {
        let Last { directory, name, .. } = self.start()?.run(procfs, follow)?;
        Ok((Found::new(directory)?, name))
    }

    fn admitted(&self, procfs: &Procfs, found: Found) -> Result<Found, Errno> {
        if procfs.hidden.hides(&found.path) {
            self.hidden.replace(Some(found.path));
            return Err(Errno::ENOENT);
        }
        if procfs.is_refused(&found.path) { Err(Errno::EACCES) } else { Ok(found) }
    }

    /// The path, to be followed part by part.
    fn start(&self) -> Result<Walk, Errno> {
        Walk::new(self.caller, self.base.as_deref(), self.name.to_bytes())
    }
}

/// The calling thread's working directory, or an open file of its.
fn base_of(caller: u32, directory: Option<i32>, procfs: &Procfs) -> Result<Arc<Found>, Errno> {
    match directory {
        None | Some(libc::AT_FDCWD) => procfs.directories.cwd(caller),
        Some(directory) => Ok(Arc::new(Found::new(open_file(caller, directory)?)?)),
    }
}

/// An open file of a thread.
fn open_file(caller: u32, descriptor: i32) -> Result<OwnedFd, Errno> {
    let name = c_string(format!("/proc/{caller}/fd/{descriptor}").into_bytes());
    sys::open(AT_FDCWD.as_raw_fd(), &name, path_only(), 0, 0)
        .map_err(|errno| if errno == Errno::ENOENT { Errno::EBADF } else { errno })
}
