//! Answering notifications: what the script asks for is done here, or judged, and noted.
//!
//! Opens, changes of names and changes of metadata are performed, so that what is recorded is what was
//! done. Landlock decides them in the kernel: this thread is in the domain that the script is in. What
//! is only looked at, and the start of a program, the kernel carries out for the caller.
//!
//! Several threads may answer at once, each with its own view of /proc: one alone would make processes
//! that run side by side wait for each other, and pull them to its own processor.

use std::ffi::OsStr;
use std::io;
use std::num::NonZero;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{MutexGuard, PoisonError, RwLock};
use std::thread::{self, Builder, Scope};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, unshare};
use nix::sys::stat::SFlag;

use super::argument::PathAt;
use super::found::Found;
use super::here::Here;
use super::metadata::Unopened;
use super::names::Use;
use super::network::Judged;
use super::observe::{Observer, Shared, locked, outcome};
use super::place::Place;
use super::processes::Execution;
use super::procfs::Procfs;
use super::seen::Seen;
use super::under_way::{Change, UnderWay};
use super::waiting::{Waiting, Waits};
use super::{found, look, metadata, names, numbers, open, real_path, scripts};
use crate::access::{Kind, Outcome};
use crate::policy::{Grants, Right};
use crate::preload::protocol;
use crate::sys::{self, Answer, Notification};

/// What all answering threads have in common.
#[derive(Clone, Copy, Debug)]
pub struct Answering<'a, 'g> {
    /// Gives notifications, and takes answers.
    pub listener: BorrowedFd<'a>,
    /// What the script may change.
    pub grants: &'g Grants,
    /// Takes notes.
    pub observer: &'a Shared<'g>,
    /// Calls that wait.
    pub waits: &'a Waits,
    /// Held for reading as long as something is done that is not noted yet.
    pub busy: &'a RwLock<()>,
    /// Changes that are under way.
    pub under_way: &'a UnderWay,
    /// Held for reading as long as a file that a caller was given is open here as well.
    pub shared: &'a RwLock<()>,
}

/// One thread's part of it.
struct Thread<'a, 'g> {
    all: Answering<'a, 'g>,
    procfs: Procfs<'g>,
}

/// A thread's stack, in bytes.
const STACK: usize = 256 * 1024;
/// A script that asks so often is worth further threads.
const MANY: u64 = 500;
/// No more threads answer.
const MOST_THREADS: usize = 16;

/// The library's own call.
const REAL_PATH: i64 = protocol::REAL_PATH as i64;
/// See above.
const TOLD: i64 = protocol::NUMBER as i64;

fn new_thread() -> Builder {
    Builder::new().stack_size(STACK)
}

impl<'a, 'g> Answering<'a, 'g> {
    /// Starts a thread that answers until nobody is left to ask, and later further ones.
    ///
    /// # Errors
    /// If there can be no more threads.
    pub fn start<'scope>(
        self,
        scope: &'scope Scope<'scope, '_>,
        procfs: Procfs<'g>,
    ) -> io::Result<()>
    where
        'a: 'scope,
        'g: 'scope,
    {
        let spare = procfs.another();
        let first = Thread { all: self, procfs };
        let answer = move || {
            first.run(scope, |answered| {
                if answered == MANY {
                    self.start_others(scope, &spare);
                }
            });
        };
        new_thread().spawn_scoped(scope, answer).map(drop)
    }

    /// Starts one thread for each further processor that the script may use.
    fn start_others<'scope>(self, scope: &'scope Scope<'scope, '_>, procfs: &Procfs<'g>)
    where
        'a: 'scope,
        'g: 'scope,
    {
        let count = thread::available_parallelism().map_or(1, NonZero::get).min(MOST_THREADS);
        for _ in 1..count {
            let other = Thread { all: self, procfs: procfs.another() };
            let answer = move || {
                // A umask of its own: each file is made with its caller's (umask(2)).
                match unshare(CloneFlags::CLONE_FS) {
                    Ok(()) => other.run(scope, |_| {}),
                    Err(errno) => tracing::debug!(%errno, "fewer threads answer"),
                }
            };
            if let Err(error) = new_thread().spawn_scoped(scope, answer) {
                tracing::debug!(%error, "fewer threads answer");
            }
        }
    }

    /// Finds a thread for a call that has to wait.
    fn wait<'scope>(self, scope: &'scope Scope<'scope, '_>, waiting: Waiting)
    where
        'a: 'scope,
        'g: 'scope,
    {
        let call = waiting.call;
        let begun = self.waits.begin(waiting);
        let open = move || {
            self.waits.run(begun, |call, uses| locked(self.observer).note_late(call, uses));
        };
        if new_thread().spawn_scoped(scope, open).is_err() {
            self.waits.cannot(&call);
        }
    }
}

impl<'a, 'g> Thread<'a, 'g> {
    /// Answers, and tells `further` how often it has.
    fn run<'scope>(&self, scope: &'scope Scope<'scope, '_>, further: impl Fn(u64))
    where
        'a: 'scope,
        'g: 'scope,
    {
        let mut answered = 0;
        loop {
            match sys::receive_notification(self.all.listener) {
                Ok(call) => {
                    let _busy = self.all.busy.read().unwrap_or_else(PoisonError::into_inner);
                    self.all.waits.end_dead();
                    self.all.under_way.wait_for_the_dead(self.all.listener);
                    if let Some(waiting) = self.notified(&call) {
                        self.all.wait(scope, *waiting);
                    }
                }
                Err(Errno::EINTR) => {}
                // Whoever asked died in between, or everybody has.
                Err(Errno::ENOENT) if !self.has_ended() => {}
                Err(_) => return,
            }
            answered += 1;
            further(answered);
        }
    }

    /// Whether the last process with the filter is gone.
    fn has_ended(&self) -> bool {
        let mut polled = [PollFd::new(self.all.listener, PollFlags::POLLIN)];
        let seen = poll(&mut polled, PollTimeout::ZERO).is_ok_and(|ready| ready > 0);
        seen && polled[0].revents().is_some_and(|events| events.contains(PollFlags::POLLHUP))
    }

    fn observer(&self) -> MutexGuard<'_, Observer<'g>> {
        locked(self.all.observer)
    }

    /// Carries out or judges one call, notes it, and answers it; or gives back what has to wait.
    fn notified(&self, call: &Notification) -> Option<Box<Waiting>> {
        // The kernel asks about these for a policy that hides something, and they are most of all calls.
        if !self.procfs.hidden.is_empty() && look::names_nothing(call) {
            self.give(call, Seen::of_open_file(call, &self.procfs).answer).ok();
            return None;
        }
        self.closes_what_is_shared(call);
        let (process, is_first) = self.observer().meet(call, &self.procfs);
        self.procfs.directories.meet(call.pid, is_first.then_some(process));
        if let Some(request) = open::Request::of(call) {
            let change = if request.changes() { Some(self.begin(call)?) } else { None };
            let opened = request.perform(call, &self.procfs);
            drop(change);
            let (given, uses) = match opened {
                open::Opened::Now(answer, uses) => {
                    if let Answer::Fail(errno) = answer {
                        self.observer().blame(call.pid, &uses, errno);
                    }
                    (self.give(call, answer), uses)
                }
                open::Opened::File(file, close_on_exec, uses) => {
                    (self.give_shared(call, file, close_on_exec), uses)
                }
                open::Opened::Table => {
                    let table = self.observer().table(process);
                    match table {
                        Some(table) => self.give_shared(call, table, true),
                        None => self.give(call, Answer::Fail(Errno::ENOENT)),
                    }
                    .ok();
                    return None;
                }
                open::Opened::Later(waiting) => return Some(waiting),
            };
            self.observer().note(process, &uses, given.err());
            return None;
        }
        let judged = self.observer().network.call(call, process, &self.procfs);
        let answer = match judged {
            Some(Judged::Later(waiting)) => return Some(waiting),
            Some(Judged::Now(answer)) => answer,
            None => self.answer(call, process)?,
        };
        self.give(call, answer).ok();
        None
    }

    /// Begins a change; none if nobody waits for it any more.
    fn begin(&self, call: &Notification) -> Option<Change<'_>> {
        self.all.under_way.begin(self.all.listener, call.id)
    }

    /// Answers, and says what the caller gets to see: only the kernel knows whether a descriptor fits
    /// into its limit.
    fn give(&self, call: &Notification, answer: Answer) -> Result<(), Errno> {
        if let Answer::Descriptor(file, close_on_exec) = answer {
            return self.give_alone(call, file, close_on_exec);
        }
        let failed = if let Answer::Fail(errno) = answer { Some(errno) } else { None };
        self.sent(call, sys::answer_notification(self.all.listener, call.id, &answer))?;
        failed.map_or(Ok(()), Err)
    }

    /// Gives a descriptor of a file in one step, after which the file is open here for a moment longer.
    /// Who could tell waits that moment: see [`Self::closes_what_is_shared`].
    fn give_shared(
        &self,
        call: &Notification,
        file: OwnedFd,
        close_on_exec: bool,
    ) -> Result<(), Errno> {
        let _shared = self.all.shared.read().unwrap_or_else(PoisonError::into_inner);
        // The answer is dropped before the lock is.
        let answer = Answer::Descriptor(file, close_on_exec);
        self.sent(call, sys::answer_notification(self.all.listener, call.id, &answer))
    }

    /// Waits until no file is open here that a caller was given, if the call could tell: a program that is
    /// open for writing is not executed (execve(2), `ETXTBSY`), and a lock that belongs to an open file
    /// lasts as long as that (flock(2); fcntl(2), `F_OFD_SETLK`).
    fn closes_what_is_shared(&self, call: &Notification) {
        if matches!(
            call.number,
            libc::SYS_execve | libc::SYS_execveat | libc::SYS_flock | libc::SYS_fcntl
        ) {
            drop(self.all.shared.write().unwrap_or_else(PoisonError::into_inner));
        }
    }

    /// Gives a descriptor that is the caller's alone when it goes on: it may close it, and a device or the
    /// other end of a pipe is told at once.
    fn give_alone(
        &self,
        call: &Notification,
        file: OwnedFd,
        close_on_exec: bool,
    ) -> Result<(), Errno> {
        let added = {
            // The kernel wakes the caller to take a descriptor, and this thread when that is done. On
            // another processor, either costs as much as ten calls.
            let _here = [Here::hold(call.pid), Here::hold(0)];
            sys::add_descriptor(self.all.listener, call.id, &file, close_on_exec)
        };
        // Only now does the caller go on, and may run where it always could.
        drop(file);
        self.sent(
            call,
            added.and_then(|number| {
                sys::answer_notification(self.all.listener, call.id, &Answer::Number(number))
            }),
        )
    }

    /// What came of an answer; if the kernel does not take it, the call fails.
    fn sent(&self, call: &Notification, answered: Result<(), Errno>) -> Result<(), Errno> {
        match answered {
            // Nobody waits any more, which is not ours to mend.
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(errno) => {
                tracing::trace!(%errno, "a notification was not answered");
                let failed = Answer::Fail(errno);
                sys::answer_notification(self.all.listener, call.id, &failed).ok();
                Err(errno)
            }
        }
    }

    /// Carries out or judges a call that opens nothing; none if nobody waits for it any more.
    fn answer(&self, call: &Notification, process: u32) -> Option<Answer> {
        if matches!(call.number, libc::SYS_chdir | libc::SYS_fchdir) {
            self.procfs.directories.moves(call.pid);
        }
        if let Some(request) = look::Request::of(call.number) {
            let (used, answer) = if self.procfs.hidden.is_empty() && !look::reads(call.number) {
                (request.look(call, &self.procfs).ok(), Answer::Continue)
            } else {
                let Seen { used, answer } = Seen::by(call, request, &self.procfs, self.all.grants);
                (used, answer)
            };
            if let Some((used, found)) = used {
                self.observer().add_use(&used, found.err(), process);
            }
            return Some(answer);
        }
        if let Some(request) = names::Request::of(call.number) {
            let _change = self.begin(call)?;
            let mut uses = Vec::new();
            let result = request.perform(call, &self.procfs, &mut uses);
            if request.moves_directories() {
                self.procfs.directories.forget();
            }
            if result.is_ok() {
                for Use { kind, path, .. } in &uses {
                    match kind {
                        Kind::Create => self.procfs.outputs.made(path),
                        Kind::Remove => self.procfs.outputs.gone(path),
                        _ => {}
                    }
                }
            }
            if let Err(errno) = result {
                self.observer().blame(call.pid, &uses, errno);
            }
            self.observer().note(process, &uses, result.err());
            return Some(result.map_or_else(Answer::Fail, |()| Answer::Done));
        }
        if let Some(request) = metadata::Request::of(call.number) {
            let _change = self.begin(call)?;
            let done = self.change(call, process, request);
            return Some(done.map_or_else(Answer::Fail, |()| Answer::Done));
        }
        Some(match call.number {
            libc::SYS_execve => self.attempt(call, process, PathAt(None, 0)),
            libc::SYS_execveat => self.attempt(call, process, PathAt(Some(0), 1)),
            REAL_PATH => self.real_path(call, process),
            TOLD => {
                self.observer().told(call, process);
                Answer::Fail(Errno::ENOSYS)
            }
            libc::SYS_seccomp | libc::SYS_prctl => {
                self.observer().filters(process);
                Answer::Continue
            }
            libc::SYS_exit_group => {
                self.observer().exits(call, process);
                Answer::Continue
            }
            _ => numbers::answer(call).unwrap_or(Answer::Continue),
        })
    }

    fn real_path(&self, call: &Notification, process: u32) -> Answer {
        let (path, result) = real_path::answer(call, &self.procfs);
        if let Some(path) = path
            && result != Err(Errno::ENOSYS)
        {
            let is_real = result.as_ref().is_ok_and(|real| *real == path);
            let used = Use::of(Kind::ReadLink, path);
            let mut observer = self.observer();
            observer.add_use(&used, result.as_ref().err().copied(), process);
            if is_real {
                observer.known.note(&used, true);
            }
        }
        result.map_or_else(Answer::Fail, |_| Answer::Done)
    }

    fn change(
        &self,
        call: &Notification,
        process: u32,
        request: metadata::Request,
    ) -> Result<(), Errno> {
        let file = match request.open(call, &self.procfs) {
            Ok(file) => file,
            Err(Unopened { errno, hidden }) => {
                let uses = hidden.map(|path| Use::of(request.kind(), path));
                self.observer().note(process, uses.as_slice(), Some(errno));
                return Err(errno);
            }
        };
        let change = request.change(call)?;
        // A pipe or a socket has no path, and is the script's own or was handed to it. A device that it
        // may write to is not its own.
        let path = Path::new(OsStr::from_bytes(&file.path));
        let judged =
            if found::kind(&file.file)? == SFlag::S_IFDIR { Some(path) } else { path.parent() };
        let has_no_path =
            [&b"pipe:["[..], b"socket:["].iter().any(|kind| file.path.starts_with(kind));
        let may = has_no_path
            || (judged.is_some_and(|place| self.all.grants.covers(Right::Write, place))
                && self.procfs.outputs.may_change(&file.path).is_ok());
        let result = if may { change.perform(&file.file) } else { Err(Errno::EPERM) };
        if let Err(errno) = result {
            let used = Use::of(request.kind(), file.path.clone());
            self.observer().blame(call.pid, &[used], errno);
        }
        let outcome = if may { outcome(result.err()) } else { Outcome::Denied };
        self.observer().add(request.kind(), &file.path, outcome, process);
        result
    }

    fn hidden_interpreter(&self, call: &Notification, program: &Found) -> Option<Vec<u8>> {
        let is_possible = !self.procfs.hidden.is_empty();
        is_possible.then(|| scripts::hidden(&self.procfs, call.pid, &program.file)).flatten()
    }

    /// Notes what is about to be executed. Which program it becomes is seen at its next call.
    ///
    /// What cannot be read here must not be executed: the kernel would read it a second time, when
    /// another thread may have put a path there, and nobody would look which program that was.
    fn attempt(&self, call: &Notification, process: u32, at: PathAt) -> Answer {
        if !self.observer().processes.may_execute(call.pid, process) {
            return Answer::Fail(Errno::EAGAIN);
        }
        self.observer().reads(call, process);
        let place = match Place::of(call, at, &self.procfs) {
            Ok(place) => place,
            Err(errno) => return Answer::Fail(errno),
        };
        let flags = found::flags(libc::O_PATH | libc::O_CLOEXEC);
        let found = place.open(&self.procfs, flags, 0);
        let (path, errno) = match found {
            Ok(found) => {
                if let Some(interpreter) = self.hidden_interpreter(call, &found) {
                    let mut observer = self.observer();
                    let outcome = observer.judged(Kind::Execute, &interpreter, Some(Errno::ENOENT));
                    observer.add(Kind::Execute, &interpreter, outcome, process);
                    return Answer::Fail(Errno::ENOENT);
                }
                let errno = found::may_execute(&found.file).err();
                (found.path, errno)
            }
            Err(errno) => (place.name(&self.procfs), Some(errno)),
        };
        let mut observer = self.observer();
        let outcome = observer.judged(Kind::Execute, &path, errno);
        if errno == Some(Errno::ENOENT) && self.procfs.hidden.hides(&path) {
            observer.add(Kind::Execute, &path, outcome, process);
            return Answer::Fail(Errno::ENOENT);
        }
        observer.attempts(process, Execution { thread: call.pid, path, outcome });
        Answer::Continue
    }
}
