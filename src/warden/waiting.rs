//! Calls that have to wait: the open of a fifo, until somebody has opened its other end (fifo(7)), and
//! what a socket does.
//!
//! Each waits in a thread of its own, so that the warden goes on answering the others. The caller is
//! woken by nothing but an answer or its death (seccomp(2), `WAIT_KILLABLE_RECV`), so that no call is
//! made twice; as long as somebody waits, the warden therefore looks for signals that the caller
//! should handle. There is no event for those.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::AT_FDCWD;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::pthread::{Pthread, pthread_kill, pthread_self};
use nix::sys::signal::Signal;

use super::found;
use super::names::Use;
use super::socket;
use super::status::Status;
use crate::sys::{self, Answer, Notification};

/// How often callers that wait are looked at, in milliseconds.
const INTERVAL: u8 = 10;
/// Ends the waiting of a thread of the warden's.
pub const INTERRUPTION: Signal = Signal::SIGUSR1;

/// A call that has to wait.
#[derive(Debug)]
pub struct Waiting {
    /// The call.
    pub call: Notification,
    /// What it waits to do.
    pub work: Work,
}

/// What a call waits to do.
#[derive(Debug)]
pub enum Work {
    /// Opens a fifo.
    Open(Open),
    /// Connects a socket, or sends by it.
    Socket(socket::Work),
}

/// The open of a fifo.
#[derive(Debug)]
pub struct Open {
    /// The fifo. A reader's own end, which the other side may already see; a writer's, without access.
    pub file: OwnedFd,
    /// The flags to open it with, without `O_NONBLOCK`.
    pub flags: u64,
    /// Whether the script's descriptor is closed by execve(2).
    pub close_on_exec: bool,
    /// What will have been done.
    pub uses: Vec<Use>,
}

impl Work {
    /// Makes the call, and says what it returns.
    fn perform(&self) -> Result<Answer, Errno> {
        match self {
            Self::Open(Open { file, flags, close_on_exec, .. }) => {
                let name = found::own_name(file.as_raw_fd());
                let opened = sys::open_once(AT_FDCWD.as_raw_fd(), &name, *flags, 0, 0)?;
                Ok(Answer::Descriptor(opened, *close_on_exec))
            }
            Self::Socket(work) => work.perform(),
        }
    }
}

/// A wait that a thread has to be found for.
#[derive(Debug)]
pub struct Begun {
    wait: Arc<Wait>,
    work: Work,
}

/// All that wait.
#[derive(Debug)]
pub struct Waits {
    listener: OwnedFd,
    all: Mutex<Vec<Arc<Wait>>>,
    ended: Condvar,
    begun: EventFd,
}

#[derive(Debug)]
struct Wait {
    call: Notification,
    thread: OnceLock<Pthread>,
    given_up: AtomicBool,
    /// Whether the thread waits no longer, and only answers.
    opened: AtomicBool,
    /// A reader's own end.
    end: Mutex<Option<OwnedFd>>,
    close_on_exec: bool,
    /// Whether nothing is lost if it ends by a signal: of what is sent, a part can have gone.
    interruptible: bool,
    uses: Vec<Use>,
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
        Ok(Self { listener, all: Mutex::default(), ended: Condvar::new(), begun })
    }

    fn all(&self) -> MutexGuard<'_, Vec<Arc<Wait>>> {
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

    /// Notes a wait, before there is a thread for it.
    pub fn begin(&self, waiting: Waiting) -> Begun {
        let Waiting { call, mut work } = waiting;
        let (end, close_on_exec, uses) = match &mut work {
            Work::Open(Open { file, flags, close_on_exec, uses }) => {
                let reads = *flags & found::flags(libc::O_WRONLY) == 0;
                let end = if reads { file.try_clone().ok() } else { None };
                (end, *close_on_exec, std::mem::take(uses))
            }
            Work::Socket(_) => (None, false, Vec::new()),
        };
        let interruptible = !matches!(work, Work::Socket(socket::Work::Send(..)));
        let wait = Arc::new(Wait {
            call,
            interruptible,
            thread: OnceLock::new(),
            given_up: AtomicBool::new(false),
            opened: AtomicBool::new(false),
            end: Mutex::new(end),
            close_on_exec,
            uses,
        });
        self.all().push(Arc::clone(&wait));
        self.begun.write(1).ok();
        Begun { wait, work }
    }

    /// There is no thread for a wait.
    pub fn cannot(&self, call: &Notification) {
        self.all().retain(|wait| wait.call.id != call.id);
        self.fail(call, Errno::EAGAIN);
    }

    /// Makes the call in the calling thread, which is there for nothing else. `note` gets what was done,
    /// if it was.
    pub fn run(&self, begun: Begun, note: impl FnOnce(&Notification, &[Use])) {
        let Begun { wait, work } = begun;
        wait.thread.get_or_init(pthread_self);
        let done = loop {
            if wait.given_up.load(Ordering::SeqCst) {
                break Err(Errno::EINTR);
            }
            match work.perform() {
                Err(Errno::EINTR) => {}
                done => break done,
            }
        };
        let call = wait.call;
        {
            // From here on nothing interrupts this thread: see `end`.
            let _all = self.all();
            wait.opened.store(true, Ordering::SeqCst);
        }
        let answered = match done {
            Ok(answer) => {
                let sent = sys::answer_notification(self.listener.as_fd(), call.id, &answer);
                if let Err(errno) = sent {
                    self.fail(&call, errno);
                }
                sent.is_ok()
            }
            Err(Errno::EINTR) => false,
            Err(errno) => {
                self.fail(&call, errno);
                false
            }
        };
        // The caller goes on. As long as this wait is in the list, its next call is not answered: it
        // must not meet an end of the fifo that is still open here.
        drop((work, wait.end().take()));
        self.all().retain(|other| !Arc::ptr_eq(other, &wait));
        self.ended.notify_all();
        if answered {
            note(&call, &wait.uses);
        }
    }

    /// Of no consequence where the caller is gone.
    fn fail(&self, call: &Notification, errno: Errno) {
        sys::answer_notification(self.listener.as_fd(), call.id, &Answer::Fail(errno)).ok();
    }

    /// Looks at all callers, and ends the waits of those that are gone, have a signal to handle, or
    /// missed a writer, who came before the thread began to wait and has gone.
    pub fn look(&self, note: impl Fn(&Notification, &[Use])) {
        while self.begun.read().is_ok() {}
        let all = self.all().clone();
        for wait in all {
            let (call, listener) = (&wait.call, self.listener.as_fd());
            if wait.interruptible && has_signal(call.pid) {
                sys::answer_notification(listener, call.id, &Answer::Interrupt).ok();
            } else if wait.gives_its_end(listener) {
                note(call, &wait.uses);
            }
        }
        self.end_dead();
    }

    /// Ends the waits whose callers are gone, so that what they have left open is not met.
    pub fn end_dead(&self) {
        let all = self.all().clone();
        for wait in all {
            if !sys::is_waiting(self.listener.as_fd(), wait.call.id) {
                self.end(&wait);
            }
        }
    }

    /// Ends the thread of a wait whose caller is gone.
    fn end(&self, wait: &Arc<Wait>) {
        /// Should the thread not have begun to wait yet, it is told again.
        const AGAIN: Duration = Duration::from_millis(1);
        wait.given_up.store(true, Ordering::SeqCst);
        let mut all = self.all();
        while all.iter().any(|other| Arc::ptr_eq(other, wait)) {
            if let Some(thread) = wait.thread.get()
                && !wait.opened.load(Ordering::SeqCst)
            {
                pthread_kill(*thread, INTERRUPTION).ok();
            }
            all = match self.ended.wait_timeout(all, AGAIN) {
                Ok((all, _)) => all,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
    }
}

impl Wait {
    fn end(&self) -> MutexGuard<'_, Option<OwnedFd>> {
        self.end.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands a reader's end over, if there has been a writer. The thread does not end before that is
    /// done, and this end is closed here.
    fn gives_its_end(&self, listener: BorrowedFd<'_>) -> bool {
        let mut end = self.end();
        let Some(file) = end.take_if(|end| has_had_a_writer(end)) else { return false };
        let answer = Answer::Descriptor(file, self.close_on_exec);
        sys::answer_notification(listener, self.call.id, &answer).is_ok()
    }
}

/// Whether somebody has written to a fifo since this end of it was opened, or has opened it and gone
/// again (`pipe_poll` in the kernel's `fs/pipe.c`).
fn has_had_a_writer(end: &OwnedFd) -> bool {
    let mut polled = [PollFd::new(end.as_fd(), PollFlags::POLLIN)];
    poll(&mut polled, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
}

/// Whether a signal waits for a thread that it neither blocks nor ignores.
fn has_signal(thread: u32) -> bool {
    let Ok(status) = Status::of(thread) else { return false };
    let set = |field| status.field(field).and_then(|text| u64::from_str_radix(text, 16).ok());
    let pending = set("SigPnd:").unwrap_or(0) | set("ShdPnd:").unwrap_or(0);
    pending & !(set("SigBlk:").unwrap_or(0) | set("SigIgn:").unwrap_or(0)) != 0
}
