//! A view of the file system of the jail's own, in which private copies lie in the place of directories
//! that the policy redirects.
//!
//! It is entered by the warden before all else, so that all paths of the script mean the same to both. It
//! takes a mount namespace, and where the user may not mount a user namespace (`user_namespaces`(7)). Not
//! every system gives those, and a jail without redirected directories does without.

use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{Pid, getegid, geteuid};

use crate::policy::Redirected;
use crate::sys::{self, Fork};

/// The step of entering that failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// unshare(2).
    #[error("cannot have a mount namespace of its own")]
    Namespace(#[source] io::Error),
    /// Who the user is in a user namespace.
    #[error("cannot write `{}`", .path.display())]
    Users {
        /// The file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// A mount.
    #[error("cannot put a private copy in the place of `{}`", .path.display())]
    Mount {
        /// What it is put over.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// The working directory.
    #[error("cannot enter the working directory again")]
    WorkingDirectory(#[source] io::Error),
}

/// Whether the calling process could enter such a view, found out by a process that does.
///
/// # Errors
/// Why it cannot.
pub fn try_out() -> io::Result<()> {
    match sys::fork()? {
        Fork::Child => {
            let code = match separate() {
                Ok(()) => 0,
                Err(Error::Namespace(error) | Error::Users { source: error, .. }) => {
                    error.raw_os_error().unwrap_or(libc::EPERM)
                }
                Err(_) => libc::EPERM,
            };
            sys::exit_now(code)
        }
        Fork::Parent(pid) => match sys::uninterrupted(|| waitpid(Pid::from_raw(pid), None))? {
            WaitStatus::Exited(_, 0) => Ok(()),
            WaitStatus::Exited(_, errno) => Err(io::Error::from_raw_os_error(errno)),
            _ => Err(Errno::EPERM.into()),
        },
    }
}

/// Has the calling process, which has one thread, and those that it starts see the copies.
///
/// # Errors
/// The step that failed.
pub fn enter(redirected: &[Redirected]) -> Result<(), Error> {
    let directory = env::current_dir().map_err(Error::WorkingDirectory)?;
    separate()?;
    for Redirected { path, copy, kept, .. } in redirected {
        // What is kept cannot be reached any more once the copy is in its place.
        let kept: Vec<(&Path, OwnedFd)> = kept
            .iter()
            .map(|(path, is_writable)| Ok((path.as_path(), tree_of(path, *is_writable)?)))
            .collect::<Result<_, Error>>()?;
        put(&tree_of(copy, true)?, path)?;
        for (path, tree) in &kept {
            put(tree, path)?;
        }
    }
    // By its name, which leads into the copy now.
    env::set_current_dir(directory).map_err(Error::WorkingDirectory)
}

/// Gives the calling process a mount namespace in which it may mount.
fn separate() -> Result<(), Error> {
    let failed = |errno: Errno| Error::Namespace(errno.into());
    if unshare(CloneFlags::CLONE_NEWNS).is_err() {
        let (uid, gid) = (geteuid(), getegid());
        unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS).map_err(failed)?;
        // The same user and group as before, and nobody else.
        for (file, text) in [
            ("setgroups", "deny".to_owned()),
            ("uid_map", format!("{uid} {uid} 1")),
            ("gid_map", format!("{gid} {gid} 1")),
        ] {
            let path = Path::new("/proc/self").join(file);
            fs::write(&path, text).map_err(|source| Error::Users { path, source })?;
        }
    }
    sys::make_all_private().map_err(failed)
}

/// What lies at a path that is absolute and free of symbolic links. Where there is a link by now, somebody has
/// put it there to have another thing mounted.
fn opened(path: &Path) -> Result<OwnedFd, Errno> {
    let name = CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::EINVAL)?;
    let flags = u64::from((libc::O_PATH | libc::O_CLOEXEC).cast_unsigned());
    sys::open(libc::AT_FDCWD, &name, flags, 0, libc::RESOLVE_NO_SYMLINKS)
}

fn tree_of(path: &Path, is_writable: bool) -> Result<OwnedFd, Error> {
    let tree = || {
        let tree = sys::clone_tree(opened(path)?.as_fd())?;
        if !is_writable {
            sys::make_read_only(tree.as_fd())?;
        }
        Ok(tree)
    };
    tree().map_err(|errno: Errno| Error::Mount { path: path.to_owned(), source: errno.into() })
}

fn put(tree: &OwnedFd, path: &Path) -> Result<(), Error> {
    opened(path)
        .and_then(|over| sys::attach(tree.as_fd(), over.as_fd()))
        .map_err(|errno| Error::Mount { path: path.to_owned(), source: errno.into() })
}
