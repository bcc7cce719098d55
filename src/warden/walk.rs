//! Following a path part by part, as the links of proc(5) that mean something else to each process
//! demand.

use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::AT_FDCWD;
use nix::sys::stat::SFlag;
use nix::sys::statfs::{PROC_SUPER_MAGIC, fstatfs};

use super::found::{self, Found, c_string, errno, path_only, real_path};
use super::names::joined;
use super::procfs::{Procfs, process_of};
use crate::sys;

/// So many symbolic links are followed on one path (`path_resolution`(7), `MAXSYMLINKS`).
const MOST_LINKS: usize = 40;

/// See the file's description.
#[derive(Debug)]
pub struct Walk {
    caller: u32,
    /// How far it has come.
    current: OwnedFd,
    /// The parts that are left, the next one last. Slashes at the end of a path are an empty part.
    rest: Vec<Vec<u8>>,
    links: usize,
    /// What does not exist for the caller, where that ended the walk.
    pub hidden: Option<Vec<u8>>,
}

/// Where a walk has ended: the last name, and the directory it is in.
#[derive(Debug)]
pub struct Last {
    /// The directory.
    pub directory: OwnedFd,
    /// The name.
    pub name: CString,
    /// Whether the name is a link of proc(5) that leads to an object rather than to a path.
    pub is_magic: bool,
}

/// What a part of the path has led to.
enum Step {
    Further,
    Last { name: CString, is_magic: bool },
}

fn root() -> Result<OwnedFd, Errno> {
    sys::open(AT_FDCWD.as_raw_fd(), c"/", path_only(), 0, 0)
}

impl Walk {
    /// A walk that a thread begins in a directory; at the root, if there is none.
    ///
    /// # Errors
    /// If there are no more descriptors.
    pub fn new(caller: u32, directory: Option<&Found>, path: &[u8]) -> Result<Self, Errno> {
        let current = match directory {
            Some(directory) => directory.file.try_clone().map_err(|error| errno(&error))?,
            None => root()?,
        };
        let mut walk = Self { caller, current, rest: Vec::new(), links: 0, hidden: None };
        walk.push(path);
        Ok(walk)
    }

    /// Walks to the path's last name. `follow` is whether a link there is followed too.
    ///
    /// # Errors
    /// Those of open(2), and [`Walk::reached`] tells how far it was possible.
    pub fn run(&mut self, procfs: &Procfs, follow: bool) -> Result<Last, Errno> {
        while let Some(part) = self.rest.pop() {
            match self.step(procfs, &part, follow) {
                Ok(Step::Further) => {}
                Ok(Step::Last { name, is_magic }) => return self.end(name, is_magic),
                Err(errno) => {
                    self.rest.push(part);
                    return Err(errno);
                }
            }
        }
        self.end(c".".to_owned(), false)
    }

    /// The directory that was reached, and behind it what could not be followed.
    ///
    /// # Errors
    /// Those of readlink(2).
    pub fn reached(mut self) -> Result<Vec<u8>, Errno> {
        let mut path = real_path(self.current.as_raw_fd())?;
        self.rest.reverse();
        for part in self.rest.iter().filter(|part| !part.is_empty()) {
            if path != b"/" {
                path.push(b'/');
            }
            path.extend_from_slice(part);
        }
        Ok(path)
    }

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

    fn step(&mut self, procfs: &Procfs, part: &[u8], follow: bool) -> Result<Step, Errno> {
        if part.is_empty() {
            return Ok(Step::Further);
        }
        if !procfs.hidden.is_empty() {
            let path = joined(&real_path(self.current.as_raw_fd())?, part);
            if procfs.hidden.hides(&path) {
                self.hidden = Some(path);
                return Err(Errno::ENOENT);
            }
        }
        // Only slashes are left.
        let is_last = self.rest.iter().all(Vec::is_empty);
        let must_be_directory = !self.rest.is_empty();
        let name = c_string(part.to_owned());
        let whole = if is_last && must_be_directory {
            c_string([part, b"/"].concat())
        } else {
            name.clone()
        };
        let last = Step::Last { name: whole, is_magic: false };
        let child = match self.open(&name, found::flags(libc::O_NOFOLLOW), 0) {
            Ok(child) => child,
            Err(Errno::ENOENT) if is_last => return Ok(last),
            Err(errno) => return Err(errno),
        };
        let kind = found::kind(&child)?;
        if kind != SFlag::S_IFLNK {
            if procfs.is_refused(&real_path(child.as_raw_fd())?) {
                return Err(Errno::EACCES);
            }
            if is_last {
                return Ok(last);
            }
            if kind != SFlag::S_IFDIR {
                return Err(Errno::ENOTDIR);
            }
            self.current = child;
            return Ok(Step::Further);
        }
        if is_last && !follow && !must_be_directory {
            return Ok(last);
        }
        self.links += 1;
        if self.links > MOST_LINKS {
            return Err(Errno::ELOOP);
        }
        self.follow(procfs, name, &child, is_last && !must_be_directory)
    }

    /// Follows a link; the end of the walk, if it is a magic one that comes last.
    fn follow(
        &mut self,
        procfs: &Procfs,
        name: CString,
        link: &OwnedFd,
        is_last: bool,
    ) -> Result<Step, Errno> {
        let file_system = sys::uninterrupted(|| fstatfs(&self.current))?;
        let is_of_proc = file_system.filesystem_type() == PROC_SUPER_MAGIC;
        let magic = |result| matches!(result, Err(Errno::ELOOP));
        if is_of_proc && magic(self.open(&name, 0, libc::RESOLVE_NO_MAGICLINKS)) {
            // However the walk has come here: the caller may be in this directory, or another one.
            if procfs.is_refused(&real_path(self.current.as_raw_fd())?) {
                return Err(Errno::EACCES);
            }
            if is_last {
                return Ok(Step::Last { name, is_magic: true });
            }
            self.current = self.open(&name, 0, 0)?;
            return Ok(Step::Further);
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
        Ok(Step::Further)
    }

    fn end(&self, name: CString, is_magic: bool) -> Result<Last, Errno> {
        let directory = self.current.try_clone().map_err(|error| errno(&error))?;
        Ok(Last { directory, name, is_magic })
    }
}
