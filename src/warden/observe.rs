//! Reading a notification: what the script was about to do, and whether the jail denies it.
//!
//! The kernel denies; this only tells a person what it was. A path is read from the script's memory,
//! and a second thread of the script could change it before the kernel reads it again: the outcome
//! is not affected by that, only what is written about it.

use std::collections::HashMap;
use std::fs;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;

use super::argument::{self, PathAt};
use super::metadata::Request;
use crate::access::{Access, Kind};
use crate::policy::{Grants, Right};
use crate::sys::{Answer, Notification};

/// So many different denials are kept for the record.
const KEPT: usize = 1000;

/// Observes one script.
pub struct Observer<'a> {
    grants: &'a Grants,
    denials: HashMap<(Kind, String), Access>,
    dropped: u64,
}

/// What a call is about to do to one path.
struct Use {
    kind: Kind,
    path: PathAt,
    /// Whether a symbolic link at the end is followed.
    follow: bool,
}

fn opening(flags: u64, path: PathAt) -> Option<Use> {
    let flags = OFlag::from_bits_truncate(u32::try_from(flags & 0xffff_ffff).ok()?.cast_signed());
    if flags.contains(OFlag::O_PATH) {
        return None;
    }
    let access = flags & OFlag::O_ACCMODE;
    let kind = if access != OFlag::O_RDONLY || flags.contains(OFlag::O_TRUNC) {
        Kind::Write
    } else if flags.contains(OFlag::O_CREAT) {
        Kind::Create
    } else {
        Kind::Read
    };
    Some(Use { kind, path, follow: !flags.contains(OFlag::O_NOFOLLOW) })
}

/// The paths of a call, and what is about to happen to them.
fn uses(notification: &Notification) -> Vec<Use> {
    let arguments = &notification.arguments;
    let at = |fd, path| PathAt(Some(fd), path);
    let plain = |path| PathAt(None, path);
    let entry = |kind, path| vec![Use { kind, path, follow: false }];
    match notification.number {
        libc::SYS_openat => opening(arguments[2], at(0, 1)).into_iter().collect(),
        libc::SYS_openat2 => {
            let mut flags = [0; 8];
            let read = argument::bytes(notification.pid, arguments[2], &mut flags);
            let flags = if read.is_ok() { u64::from_ne_bytes(flags) } else { 0 };
            opening(flags, at(0, 1)).into_iter().collect()
        }
        libc::SYS_execve => vec![Use { kind: Kind::Execute, path: plain(0), follow: true }],
        libc::SYS_execveat => vec![Use { kind: Kind::Execute, path: at(0, 1), follow: true }],
        libc::SYS_mkdirat | libc::SYS_mknodat => entry(Kind::Create, at(0, 1)),
        libc::SYS_unlinkat => entry(Kind::Remove, at(0, 1)),
        libc::SYS_symlinkat => entry(Kind::Create, at(1, 2)),
        libc::SYS_linkat => entry(Kind::Create, at(2, 3)),
        libc::SYS_renameat | libc::SYS_renameat2 => {
            let mut both = entry(Kind::Rename, at(0, 1));
            both.extend(entry(Kind::Rename, at(2, 3)));
            both
        }
        libc::SYS_truncate => vec![Use { kind: Kind::Write, path: plain(0), follow: true }],
        _ => older_uses(notification),
    }
}

/// Calls that only older architectures have.
#[cfg(target_arch = "x86_64")]
fn older_uses(notification: &Notification) -> Vec<Use> {
    let plain = |path| PathAt(None, path);
    let entry = |kind, path| vec![Use { kind, path, follow: false }];
    match notification.number {
        libc::SYS_open => opening(notification.arguments[1], plain(0)).into_iter().collect(),
        libc::SYS_creat => vec![Use { kind: Kind::Write, path: plain(0), follow: true }],
        libc::SYS_mkdir | libc::SYS_mknod => entry(Kind::Create, plain(0)),
        libc::SYS_rmdir | libc::SYS_unlink => entry(Kind::Remove, plain(0)),
        libc::SYS_symlink | libc::SYS_link => entry(Kind::Create, plain(1)),
        libc::SYS_rename => {
            let mut both = entry(Kind::Rename, plain(0));
            both.extend(entry(Kind::Rename, plain(1)));
            both
        }
        _ => Vec::new(),
    }
}

/// Calls that only older architectures have: here there are none.
#[cfg(not(target_arch = "x86_64"))]
fn older_uses(_: &Notification) -> Vec<Use> {
    Vec::new()
}

impl<'a> Observer<'a> {
    /// An observer that measures by these grants.
    #[must_use]
    pub fn new(grants: &'a Grants) -> Self {
        Self { grants, denials: HashMap::new(), dropped: 0 }
    }

    /// What was denied, in a fixed order, and how many kinds did not fit.
    #[must_use]
    pub fn into_denials(self) -> (Vec<Access>, u64) {
        let mut denials: Vec<Access> = self.denials.into_values().collect();
        denials.sort_by(|a, b| (a.kind, &a.subject).cmp(&(b.kind, &b.subject)));
        (denials, self.dropped)
    }

    /// Reads one notification, keeps it if the jail denies it, and says how to answer it.
    pub fn observe(&mut self, notification: &Notification) -> Answer {
        if let Some(answer) = self.observe_call(notification) {
            return answer;
        }
        for Use { kind, path, follow } in uses(notification) {
            if let Some((kind, path)) = self.denied(notification, kind, path, follow) {
                self.keep(notification.pid, kind, path.to_string_lossy().into_owned());
            }
        }
        Answer::Continue
    }

    /// Calls that the kernel does not judge for us: sockets of any kind but a pair, which are
    /// refused, and changes of metadata, which are performed where the script may write.
    fn observe_call(&mut self, notification: &Notification) -> Option<Answer> {
        if let Some(request) = Request::of(notification.number) {
            let done = self.change(notification, request);
            return Some(done.map_or_else(|errno| Answer::Fail(errno as i32), |()| Answer::Done));
        }
        if notification.number != libc::SYS_socket {
            return None;
        }
        let low = |argument: u64| argument & 0xffff_ffff;
        let subject = socket_name(low(notification.arguments[0]), low(notification.arguments[1]));
        self.keep(notification.pid, Kind::Socket, subject);
        Some(Answer::Fail(libc::EACCES))
    }

    fn change(&mut self, notification: &Notification, request: Request) -> Result<(), Errno> {
        let file = request.open(notification)?;
        let change = request.change(notification)?;
        // What has no path, a pipe for instance, is the script's own or was handed to it. A device
        // that it may write to is not its own.
        let may = !file.path.is_absolute()
            || if file.is_directory {
                self.grants.covers(Right::Write, &file.path)
            } else {
                file.path.parent().is_some_and(|dir| self.grants.covers(Right::Write, dir))
            };
        if !may {
            let subject = file.path.to_string_lossy().into_owned();
            self.keep(notification.pid, request.kind(), subject);
            return Err(Errno::EPERM);
        }
        file.perform(&change)
    }

    /// The path in question, if the jail denies this use of it.
    fn denied(
        &self,
        notification: &Notification,
        kind: Kind,
        at: PathAt,
        follow: bool,
    ) -> Option<(Kind, PathBuf)> {
        let path = argument::path(notification, at).ok()?;
        let (kind, path) = match resolve(&path, follow && kind != Kind::Rename) {
            Some(found) if kind == Kind::Read && found.is_dir() => (Kind::List, found),
            // O_CREAT on what is there already only opens it.
            Some(found) if kind == Kind::Create && follow => (Kind::Read, found),
            // What is there already cannot be made: the answer is EEXIST, in and out of the jail.
            Some(_) if kind == Kind::Create => return None,
            Some(found) => (kind, found),
            None if matches!(kind, Kind::Write | Kind::Create | Kind::Rename) => {
                let kind = if kind == Kind::Rename { kind } else { Kind::Create };
                (kind, resolve(path.parent()?, true)?.join(path.file_name()?))
            }
            // What is not there cannot be denied.
            None => return None,
        };
        // Pipes, sockets and the like are not in the file system.
        if !path.is_absolute() {
            return None;
        }
        let right = kind.right()?;
        // Names are given and taken in a directory, which is what Landlock asks about
        // (`LANDLOCK_ACCESS_FS_REMOVE_DIR` and its kin): `OUT_DIR` itself cannot be removed.
        let judged = match kind {
            Kind::Create | Kind::Remove | Kind::Rename => path.parent()?,
            _ => &path,
        };
        (!self.grants.covers(right, judged)).then_some((kind, path))
    }

    fn keep(&mut self, pid: u32, kind: Kind, subject: String) {
        let full = self.denials.len() >= KEPT;
        match self.denials.entry((kind, subject)) {
            std::collections::hash_map::Entry::Occupied(mut kept) => kept.get_mut().count += 1,
            std::collections::hash_map::Entry::Vacant(_) if full => self.dropped += 1,
            std::collections::hash_map::Entry::Vacant(place) => {
                let subject = place.key().1.clone();
                let program = fs::read_link(format!("/proc/{pid}/exe"))
                    .ok()
                    .map(|path| path.to_string_lossy().into_owned());
                place.insert(Access { kind, subject, count: 1, program });
            }
        }
    }
}

/// As a person calls this kind of socket (socket(2)).
fn socket_name(family: u64, kind: u64) -> String {
    let family = match i32::try_from(family).unwrap_or(-1) {
        libc::AF_UNIX => "Unix",
        libc::AF_INET => "IPv4",
        libc::AF_INET6 => "IPv6",
        libc::AF_NETLINK => "netlink",
        libc::AF_PACKET => "packet",
        other => return format!("network socket (address family {other})"),
    };
    let kind = match i32::try_from(kind & 0xf).unwrap_or(-1) {
        libc::SOCK_STREAM => "stream",
        libc::SOCK_DGRAM => "datagram",
        libc::SOCK_RAW => "raw",
        _ => "other",
    };
    let note = match (family, kind) {
        ("IPv4" | "IPv6", "stream") => " (TCP network connection)",
        ("IPv4" | "IPv6", "datagram") => " (UDP network traffic, such as a host name look-up)",
        _ => "",
    };
    format!("{family} {kind} socket{note}")
}

/// Where a path leads, free of symbolic links; `None` if there is nothing.
fn resolve(path: &Path, follow: bool) -> Option<PathBuf> {
    let mut flags = OFlag::O_PATH | OFlag::O_CLOEXEC;
    if !follow {
        flags |= OFlag::O_NOFOLLOW;
    }
    let file = open(path, flags, Mode::empty()).ok()?;
    fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStrExt;

    use crate::policy::Grant;

    fn notification(number: i64, arguments: [u64; 6]) -> Notification {
        Notification { id: 0, pid: std::process::id(), number, arguments }
    }

    fn grants(path: &Path) -> Grants {
        let path = fs::canonicalize(path).unwrap();
        let files = vec![Grant { right: Right::Write, path, line: 1 }];
        Grants { files, ..Grants::default() }
    }

    fn address(text: &std::ffi::CStr) -> u64 {
        text.as_ptr().expose_provenance() as u64
    }

    const AT_FDCWD: u64 = libc::AT_FDCWD.cast_unsigned() as u64;

    #[test]
    fn opening_outside_the_grants_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let grants = grants(dir.path());
        let mut observer = Observer::new(&grants);
        let inside = std::ffi::CString::new(dir.path().join("new").as_os_str().as_bytes()).unwrap();
        let write = (libc::O_WRONLY | libc::O_CREAT) as u64;
        for path in [inside.as_c_str(), c"/etc/passwd", c"/etc/passwd", c"/no/such/file"] {
            let call = notification(libc::SYS_openat, [AT_FDCWD, address(path), write, 0, 0, 0]);
            assert!(matches!(observer.observe(&call), Answer::Continue));
        }
        let (denials, dropped) = observer.into_denials();
        assert_eq!(dropped, 0);
        assert_eq!(denials.len(), 1);
        assert_eq!(denials[0].subject, "/etc/passwd");
        assert_eq!((denials[0].kind, denials[0].count), (Kind::Write, 2));
        assert!(denials[0].program.is_some());
    }

    #[test]
    fn a_socket_is_refused_and_kept() {
        let grants = Grants::default();
        let mut observer = Observer::new(&grants);
        let arguments = [libc::AF_INET as u64 | 1 << 40, libc::SOCK_STREAM as u64, 0, 0, 0, 0];
        let answer = observer.observe(&notification(libc::SYS_socket, arguments));
        assert!(matches!(answer, Answer::Fail(libc::EACCES)));
        let denials = observer.into_denials().0;
        assert_eq!(denials[0].subject, "IPv4 stream socket (TCP network connection)");
    }

    #[test]
    fn a_bad_pointer_is_left_to_the_kernel() {
        let grants = Grants::default();
        let mut observer = Observer::new(&grants);
        observer.observe(&notification(libc::SYS_openat, [AT_FDCWD, 8, 0, 0, 0, 0]));
        assert!(observer.into_denials().0.is_empty());
    }
}
