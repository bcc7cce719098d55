//! The watchdog: what a script uses while it runs, against its limits.
//!
//! The kernel keeps a process to its own limits (setrlimit(2)); what all processes use together, and
//! what lies in `OUT_DIR`, the supervisor looks at from time to time, and the less often the longer a
//! look takes.

use std::ffi::{CString, OsStr};
use std::fs::{self, File};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::AtFlags;
use nix::sys::stat::{SFlag, fstatat};
use nix::unistd::{SysconfVar, sysconf};

use crate::policy::{Limit, Limits};
use crate::sys;

/// Between two looks, at least.
const INTERVAL: Duration = Duration::from_millis(250);
/// A look takes at most this part of the time.
const SHARE: u32 = 50;
const MIB: u64 = 1 << 20;
/// What inode(7) counts disk space in, in bytes.
const BLOCK: u64 = 512;

/// See the file's description.
#[derive(Debug)]
pub struct Watchdog {
    limits: Limits,
    /// What the script can fill: `OUT_DIR` and `TMPDIR`.
    directories: Vec<PathBuf>,
    /// The process whose descendants are the script's.
    warden: i32,
    end: Option<Instant>,
    next: Instant,
    printed: u64,
}

impl Watchdog {
    /// Begins to watch what the warden starts.
    #[must_use]
    pub fn new(limits: Limits, directories: &[&Path], warden: i32) -> Self {
        let now = Instant::now();
        let end = limits.wall_time.and_then(|time| now.checked_add(Duration::from_secs(time)));
        let next = now + INTERVAL;
        let directories = directories.iter().map(|path| path.to_path_buf()).collect();
        Self { limits, directories, warden, end, next, printed: 0 }
    }

    /// When to look next.
    #[must_use]
    pub fn next(&self) -> Instant {
        self.end.map_or(self.next, |end| end.min(self.next))
    }

    /// Counts output; the limit, if it is beyond that.
    pub fn prints(&mut self, bytes: usize) -> Option<Limit> {
        self.printed = self.printed.saturating_add(bytes as u64);
        exceeds(self.printed, self.limits.output).then_some(Limit::Output)
    }

    /// Looks, if it is time to; a limit that the script is beyond.
    pub fn look(&mut self) -> Option<Limit> {
        let now = Instant::now();
        if self.end.is_some_and(|end| now >= end) {
            return Some(Limit::WallTime);
        }
        if now < self.next {
            return None;
        }
        let beyond = self.beyond();
        self.next = Instant::now() + INTERVAL.max(now.elapsed() * SHARE);
        beyond
    }

    fn beyond(&self) -> Option<Limit> {
        let Limits { memory, processes, out_dir, .. } = self.limits;
        if memory.is_some() || processes.is_some() {
            let most = processes.unwrap_or(u64::MAX);
            let (count, bytes) = use_of_descendants(self.warden, most);
            if count > most {
                return Some(Limit::Processes);
            }
            if exceeds(bytes, memory) {
                return Some(Limit::Memory);
            }
        }
        let size = || self.directories.iter().map(|directory| size_of(directory)).sum();
        let is_full = out_dir.is_some() && exceeds(size(), out_dir);
        is_full.then_some(Limit::OutDir)
    }
}

fn exceeds(bytes: u64, mebibytes: Option<u64>) -> bool {
    mebibytes.is_some_and(|most| bytes > most.saturating_mul(MIB))
}

/// How many descendants a process has, as far as `most`, and their resident memory in bytes.
fn use_of_descendants(pid: i32, most: u64) -> (u64, u64) {
    let page = sysconf(SysconfVar::PAGE_SIZE).ok().flatten().and_then(|size| size.try_into().ok());
    let page: u64 = page.unwrap_or(4096);
    let (mut count, mut pages) = (0, 0);
    let mut todo = children(pid);
    while let Some(pid) = todo.pop() {
        count += 1;
        if count > most {
            break;
        }
        // Size, resident, … in pages (proc_pid_statm(5)).
        let sizes = fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
        let resident = sizes.split(' ').nth(1).and_then(|pages| pages.parse().ok());
        pages += resident.unwrap_or(0);
        todo.extend(children(pid));
    }
    (count, pages * page)
}

/// The processes that a process's threads have started.
fn children(pid: i32) -> Vec<i32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    lists
        .flat_map(|list| list.split(' ').filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .collect()
}

/// The disk space that a directory takes, with everything below it, in bytes. A directory that cannot
/// be listed counts as empty. The script may change all of it meanwhile, but leads this process nowhere
/// else by a symbolic link.
fn size_of(directory: &Path) -> u64 {
    let Ok(root) = File::open(directory) else { return 0 };
    let mut bytes = 0_u64;
    let mut todo = vec![Below { root: Rc::new(root.into()), path: PathBuf::from(".") }];
    while let Some(next) = todo.pop() {
        if let Ok(size) = next.size(&mut todo) {
            bytes = bytes.saturating_add(size);
        }
    }
    bytes
}

/// A directory below another one.
struct Below {
    root: Rc<OwnedFd>,
    path: PathBuf,
}

impl Below {
    /// A longer path starts anew, before it gets too long for the kernel.
    const LONGEST: usize = 2048;

    fn open(&self) -> Result<OwnedFd, Errno> {
        let name = CString::new(self.path.as_os_str().as_bytes()).map_err(|_| Errno::EINVAL)?;
        let flags = u64::from((libc::O_DIRECTORY | libc::O_CLOEXEC).cast_unsigned());
        let resolve = libc::RESOLVE_NO_SYMLINKS | libc::RESOLVE_BENEATH;
        sys::open(self.root.as_raw_fd(), &name, flags, 0, resolve)
    }

    /// The disk space of what is directly in it. The directories in it are still to do.
    fn size(self, todo: &mut Vec<Self>) -> Result<u64, Errno> {
        let mut directory = Dir::from_fd(self.open()?)?;
        let mut names = Vec::new();
        for entry in directory.iter() {
            let name = entry?.file_name().to_owned();
            if !matches!(name.to_bytes(), b"." | b"..") {
                names.push(name);
            }
        }
        let is_long = self.path.as_os_str().len() > Self::LONGEST;
        let (root, path) = if is_long {
            (Rc::new(self.open()?), PathBuf::from("."))
        } else {
            (self.root, self.path)
        };
        let mut blocks = 0;
        for name in names {
            let Ok(stat) = fstatat(&directory, name.as_c_str(), AtFlags::AT_SYMLINK_NOFOLLOW)
            else {
                continue;
            };
            // inode(7)
            blocks += u64::try_from(stat.st_blocks).unwrap_or(0);
            if SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT == SFlag::S_IFDIR {
                let path = path.join(OsStr::from_bytes(name.to_bytes()));
                todo.push(Self { root: Rc::clone(&root), path });
            }
        }
        Ok(blocks * BLOCK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watchdog(limits: Limits, out_dir: &Path) -> Watchdog {
        let own = i32::try_from(std::process::id()).unwrap();
        let mut watchdog = Watchdog::new(limits, &[out_dir], own);
        watchdog.next = Instant::now();
        watchdog
    }

    #[test]
    fn what_lies_in_a_directory_is_counted() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("sub")).unwrap();
        fs::write(dir.path().join("sub/file"), vec![1; 3 << 20]).unwrap();
        let limits = |mebibytes| Limits { out_dir: Some(mebibytes), ..Limits::default() };
        assert_eq!(watchdog(limits(2), dir.path()).look(), Some(Limit::OutDir));
        assert_eq!(watchdog(limits(100), dir.path()).look(), None);
    }

    #[test]
    fn links_lead_nowhere_and_depth_hides_nothing() {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/usr", dir.path().join("link")).unwrap();
        assert!(size_of(dir.path()) < 1 << 20);
        // Deeper than a path can say.
        let name = "d".repeat(200);
        let mut inner = File::open(dir.path()).unwrap();
        for _ in 0..50 {
            let below = format!("/proc/self/fd/{}/{name}", inner.as_raw_fd());
            fs::create_dir(&below).unwrap();
            inner = File::open(&below).unwrap();
        }
        let file = format!("/proc/self/fd/{}/file", inner.as_raw_fd());
        fs::write(file, vec![1; 3 << 20]).unwrap();
        assert!(size_of(dir.path()) > 3 << 20);
    }

    #[test]
    fn output_and_time_are_counted() {
        let dir = tempfile::tempdir().unwrap();
        let limits = Limits { output: Some(1), wall_time: Some(0), ..Limits::default() };
        let mut watchdog = watchdog(limits, dir.path());
        assert_eq!(watchdog.prints(1 << 20), None);
        assert_eq!(watchdog.prints(1), Some(Limit::Output));
        assert_eq!(watchdog.look(), Some(Limit::WallTime));
    }
}
