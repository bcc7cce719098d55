//! A probe: work that is done in a process of its own, because what it does to itself cannot be
//! undone.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::{Pid, pipe2};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::sys::{self, Fork};

/// Longer than any probe takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A probe that says nothing.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `fork(2)` or `pipe(2)`.
    #[error("cannot start a process")]
    Start(#[source] io::Error),
    /// It was killed, or took too long.
    #[error("the process that tried it was killed, or did not end")]
    Silent,
}

/// A process that is at work.
#[derive(Debug)]
pub struct Probe {
    /// Its number.
    pub pid: Pid,
    answer: File,
    is_reaped: bool,
}

impl Probe {
    /// Starts `work` in a new process.
    ///
    /// # Errors
    /// [`Error::Start`].
    pub fn start<T: Serialize>(work: impl FnOnce() -> T) -> Result<Self, Error> {
        let (answer, told) = pipe2(OFlag::O_CLOEXEC).map_err(|e| Error::Start(e.into()))?;
        match sys::fork().map_err(Error::Start)? {
            Fork::Child => {
                drop(answer);
                let said = say(told, &work());
                sys::exit_now(i32::from(said.is_err()))
            }
            Fork::Parent(pid) => {
                Ok(Self { pid: Pid::from_raw(pid), answer: answer.into(), is_reaped: false })
            }
        }
    }

    /// What came of it.
    ///
    /// # Errors
    /// [`Error::Silent`].
    pub fn finish<T: DeserializeOwned>(mut self) -> Result<T, Error> {
        let until = Instant::now() + PATIENCE;
        let mut bytes = Vec::new();
        let mut piece = [0; 4096];
        loop {
            if wait_for(self.answer.as_fd(), until).is_none() {
                return Err(Error::Silent);
            }
            match self.answer.read(&mut piece) {
                Ok(0) => break,
                Ok(read) => bytes.extend_from_slice(&piece[..read]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Err(Error::Silent),
            }
        }
        self.reap();
        serde_json::from_slice(&bytes).map_err(|_| Error::Silent)
    }

    fn reap(&mut self) {
        while waitpid(self.pid, None) == Err(Errno::EINTR) {}
        self.is_reaped = true;
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        if !self.is_reaped {
            // It may hang in what it tries; nobody waits for it any more.
            kill(self.pid, Signal::SIGKILL).ok();
            self.reap();
        }
    }
}

/// Does `work` in a new process, and returns what came of it.
///
/// # Errors
/// See [`Error`].
pub fn run<T: Serialize + DeserializeOwned>(work: impl FnOnce() -> T) -> Result<T, Error> {
    Probe::start(work)?.finish()
}

fn say<T: Serialize>(told: OwnedFd, answer: &T) -> io::Result<()> {
    File::from(told).write_all(&serde_json::to_vec(answer)?)
}

/// Waits until there is something to be read, or the other end is gone, and says which; none if
/// that does not come in time.
#[must_use]
pub fn wait_for(fd: BorrowedFd<'_>, until: Instant) -> Option<PollFlags> {
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let mut polled = [PollFd::new(fd, PollFlags::POLLIN)];
        match poll(&mut polled, PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)) {
            Ok(0) | Err(Errno::EINTR) if Instant::now() < until => {}
            Ok(0) | Err(_) => return None,
            Ok(_) => return polled[0].revents(),
        }
    }
}
