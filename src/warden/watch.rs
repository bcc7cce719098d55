//! Waiting for the script's end, and ending what is left of it.

use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::signal::{Signal, kill};
use nix::sys::signalfd::SignalFd;
use nix::unistd::Pid;

use super::observe::{Shared, locked};
use super::waiting::Waits;
use crate::orphans;
use crate::sys;

/// See the file's description.
#[derive(Debug)]
pub struct Watch<'a, 'b> {
    /// The script's first process.
    pub first: i32,
    /// Tells of ends of the warden's children.
    pub children: SignalFd,
    /// Hears of ends of processes.
    pub observer: &'b Shared<'a>,
    /// Opens that wait, whose callers are looked at.
    pub waits: &'b Waits,
}

impl Watch<'_, '_> {
    /// Waits until the script's first process or the supervisor has ended.
    ///
    /// # Errors
    /// What cannot be waited for.
    pub fn run(&self, lifeline: BorrowedFd<'_>) -> Result<Option<i32>, String> {
        // The descriptor itself does not change, and is not closed as long as the observer lives.
        let ends = locked(self.observer).processes.ends_descriptor();
        let ends = ends.map_err(|error| format!("cannot watch processes: {error}"))?;
        loop {
            let mut polled = [
                PollFd::new(lifeline, PollFlags::POLLIN),
                PollFd::new(self.children.as_fd(), PollFlags::POLLIN),
                PollFd::new(ends.as_fd(), PollFlags::POLLIN),
                PollFd::new(self.waits.begun(), PollFlags::POLLIN),
            ];
            match poll(&mut polled, self.waits.timeout()) {
                Ok(_) => {}
                Err(Errno::EINTR) => continue,
                Err(errno) => return Err(format!("cannot wait for the script: {errno}")),
            }
            let seen =
                |index: usize| polled[index].revents().is_some_and(|events| !events.is_empty());
            // First: whoever answers may hang, and with it the observer be locked.
            if seen(0) {
                return Ok(None);
            }
            if seen(1) {
                while matches!(self.children.read_signal(), Ok(Some(_))) {}
                if let Some(status) = self.reap() {
                    return Ok(Some(status));
                }
            }
            if seen(2) {
                locked(self.observer).processes.note_ends();
            }
            self.waits.look(|call, uses| locked(self.observer).note_late(call, uses));
        }
    }

    /// Reaps what has ended; the status of the first process if it is among that.
    fn reap(&self) -> Option<i32> {
        let mut status = None;
        while let Ok(Some(waited)) = sys::uninterrupted(|| sys::wait_any(false)) {
            if waited.pid == self.first {
                status = Some(waited.status);
            }
        }
        status
    }
}

/// Kills and reaps every process of the script that is left, and says how many were killed.
/// `scoped` is whether this process's domain scopes signals.
#[must_use]
pub fn end_rest(scoped: bool) -> u64 {
    if !scoped {
        return orphans::end_all();
    }
    orphans::end_with(|| {
        // Reaches exactly the processes of this domain and the ones below, but for the caller
        // (landlock(7), `LANDLOCK_SCOPE_SIGNAL`; kill(2), "-1"). An error means that there are none.
        if let Err(errno) = kill(Pid::from_raw(-1), Signal::SIGKILL) {
            tracing::trace!(%errno, "nothing to kill");
        }
    })
}
