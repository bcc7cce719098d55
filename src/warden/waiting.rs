//! Opens that have to wait: a fifo's, until somebody has opened its other end (fifo(7)).
//!
//! Each waits in a thread of its own, so that the warden goes on answering the others. The caller is
//! woken by nothing but an answer or its death (seccomp(2), `WAIT_KILLABLE_RECV`), so that no call is
//! made twice; as long as somebody waits, the warden therefore looks for signals that the caller
//! should handle. There is no event for those.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use nix::errno::Errno;
use nix::fcntl::AT_FDCWD;
use nix::poll::PollTimeout;
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::pthread::{Pthread, pthread_kill, pthread_self};
use nix::sys::signal::Signal;

use super::argument;
use super::names::Use;
use super::place;
use crate::sys::{self, Answer, Notification};

/// How often callers that wait are looked at, in milliseconds.
const INTERVAL: u8 = 10;
/// Ends the waiting of a thread of the warden's.
pub const INTERRUPTION: Signal = Signal::SIGUSR1;

/// An open that has to wait.
#[derive(Debug)]
pub struct Waiting {
    /// The call.
    pub call: Notification,
    /// The fifo. A reader's own end, which the other side may already see; a writer's, without access.
    pub file: OwnedFd,
    /// The flags to open it with, without `O_NONBLOCK`.
    pub flags: u64,
    /// Whether the script's descriptor is closed by execve(2).
    pub close_on_exec: bool,
    /// What will have been done.
    pub uses: Vec<Use>,
}

/// All that wait.
#[derive(Debug)]
pub struct Waits {
    listener: OwnedFd,
    all: Mutex<Vec<Arc<Wait>>>,
    begun: EventFd,
}

#[derive(Debug)]
struct Wait {
    call: Notification,
    thread: Pthread,
    given_up: AtomicBool,
}

impl Waits {
    /// None yet.
    ///
    /// # Errors
    /// If there are no more descriptors.
    pub fn new(listener: OwnedFd) -> Result<Self, Errno> {
        sys::let_interrupt(INTERRUPTION)?;
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        let begun = EventFd::from_value_and_flags(0, flags)?;
        Ok(Self { listener, all: Mutex::default(), begun })
    }

    fn all(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Wait>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Readable when a wait has begun.
    #[must_use]
    pub fn begun(&self) -> BorrowedFd<'_> {
        self.begun.as_fd()
    }

    /// After how long callers have to be looked at.
    #[must_use]
    pub fn timeout(&self) -> PollTimeout {
        if self.all().is_empty() { PollTimeout::NONE } else { INTERVAL.into() }
    }

    /// Opens in the calling thread, which is there for nothing else. `note` gets what was done, if it
    /// was.
    pub fn open(&self, waiting: Waiting, note: impl FnOnce(&Notification, Vec<Use>)) {
        let Waiting { call, file, flags, close_on_exec, uses } = waiting;
        let wait =
            Arc::new(Wait { call, thread: pthread_self(), given_up: AtomicBool::new(false) });
        self.all().push(Arc::clone(&wait));
        self.begun.write(1).ok();
        let name = place::own_name(file.as_raw_fd());
        let opened = loop {
            match sys::open(AT_FDCWD.as_raw_fd(), &name, flags, 0, 0) {
                Err(Errno::EINTR) if !wait.given_up.load(Ordering::Relaxed) => {}
                opened => break opened,
            }
        };
        self.all().retain(|other| !Arc::ptr_eq(other, &wait));
        match opened {
            Ok(file) => {
                let answer = Answer::Descriptor(file, close_on_exec);
                match sys::answer_notification(self.listener.as_fd(), call.id, &answer) {
                    Ok(()) => note(&call, uses),
                    Err(errno) => self.fail(&call, errno),
                }
            }
            Err(Errno::EINTR) => {}
            Err(errno) => self.fail(&call, errno),
        }
    }

    /// Of no consequence where the caller is gone.
    fn fail(&self, call: &Notification, errno: Errno) {
        sys::answer_notification(self.listener.as_fd(), call.id, &Answer::Fail(errno)).ok();
    }

    /// Looks at all callers, and ends the waits of those that are gone or have a signal to handle.
    pub fn look(&self) {
        while self.begun.read().is_ok() {}
        for wait in self.all().iter() {
            let call = &wait.call;
            if has_signal(call.pid) {
                let listener = self.listener.as_fd();
                sys::answer_notification(listener, call.id, &Answer::Interrupt).ok();
            }
            if !sys::is_waiting(self.listener.as_fd(), call.id) {
                wait.given_up.store(true, Ordering::Relaxed);
                // Should the thread not have begun to wait yet, it is told again.
                pthread_kill(wait.thread, INTERRUPTION).ok();
            }
        }
    }
}

/// Whether a signal waits for a thread that it neither blocks nor ignores.
fn has_signal(thread: u32) -> bool {
    let set = |field| {
        argument::status(thread, field).ok().and_then(|text| u64::from_str_radix(&text, 16).ok())
    };
    let pending = set("SigPnd:").unwrap_or(0) | set("ShdPnd:").unwrap_or(0);
    pending & !(set("SigBlk:").unwrap_or(0) | set("SigIgn:").unwrap_or(0)) != 0
}
