//! Reading a notification: what the script asks for, what comes of it, and what the record keeps.
//!
//! Opens, changes of names and changes of metadata are performed here, so that what is recorded is
//! what was done. Landlock decides them in the kernel: this thread is in the domain that the script
//! is in. What is only looked at, and the start of a program, the kernel carries out for the caller.

use std::ffi::{CString, OsStr};
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::errno::Errno;
use nix::sched::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};
use nix::sys::signal::Signal;
use nix::unistd::Pid;

use super::accesses::Accesses;
use super::argument::{self, PathAt};
use super::asked::Asked;
use super::names::Use;
use super::network::Network;
use super::place::Place;
use super::processes::{Executed, Execution, Processes};
use super::procfs::Procfs;
use super::waiting::Waiting;
use super::{found, look, metadata, names, open, real_path, scripts};
use crate::access::{Access, Kind, Outcome};
use crate::network::Attempt;
use crate::policy::{Grants, Limit, Limits, Right};
use crate::preload::protocol;
use crate::process::Exit;
use crate::sys::{self, Answer, Notification};

/// Observes one script.
#[derive(Debug)]
pub struct Observer<'a> {
    listener: OwnedFd,
    procfs: Procfs,
    grants: &'a Grants,
    accesses: Accesses,
    network: Network,
    asked: Asked<'a>,
    /// See [`Processes`].
    pub processes: Processes,
}

/// An observer that several threads tell.
pub type Shared<'a> = Mutex<Observer<'a>>;

/// The observer, for the calling thread alone.
#[must_use]
pub fn locked<'a, 'b>(observer: &'b Shared<'a>) -> MutexGuard<'b, Observer<'a>> {
    observer.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<'a> Observer<'a> {
    /// An observer that measures by these grants.
    #[must_use]
    pub fn new(
        listener: OwnedFd,
        procfs: Procfs,
        grants: &'a Grants,
        processes: Processes,
    ) -> Self {
        let (accesses, network) = (Accesses::default(), Network::default());
        let asked = Asked::new(grants);
        Self { listener, procfs, grants, accesses, network, asked, processes }
    }

    /// What was denied, and how much more there is of that.
    #[must_use]
    pub fn denials(&self) -> (Vec<Access>, u64) {
        self.accesses.denials()
    }

    /// The networks and services that the script tried to reach.
    #[must_use]
    pub fn network(&self) -> Vec<Attempt> {
        self.network.attempts().to_vec()
    }

    /// The limits of its own that a process came to, which the kernel kept it to.
    pub fn limits_met(&mut self) -> Vec<Limit> {
        let ended_by = |processes: &mut Processes, signal: Signal| {
            processes.all().any(|process| process.exit == Some(Exit::Signal(signal as i32)))
        };
        let Limits { cpu_time, file_size, open_files, .. } = self.grants.limits;
        let mut met = Vec::new();
        if cpu_time.is_some() && ended_by(&mut self.processes, Signal::SIGXCPU) {
            met.push(Limit::CpuTime);
        }
        if file_size.is_some() && ended_by(&mut self.processes, Signal::SIGXFSZ) {
            met.push(Limit::FileSize);
        }
        if open_files.is_some() && self.accesses.has(Outcome::Failed(Errno::EMFILE)) {
            met.push(Limit::OpenFiles);
        }
        met
    }

    /// Writes what was observed, as the fields of a JSON object.
    ///
    /// # Errors
    /// Of `out`.
    pub fn write(&mut self, out: &mut impl Write) -> io::Result<()> {
        for (process, attempt) in self.processes.undecided() {
            self.not_executed(process, &attempt);
        }
        out.write_all(b"\"processes\": [")?;
        for (number, process) in self.processes.all().enumerate() {
            out.write_all(if number == 0 { b"\n" } else { b",\n" })?;
            serde_json::to_writer(&mut *out, process)?;
        }
        write!(out, "],\n\"programs_refused\": {},\n\"environment\": ", self.processes.refused())?;
        self.asked.write(out, &mut self.processes)?;
        write!(out, ",\n\"accesses_dropped\": {},\n\"accesses\": ", self.accesses.dropped())?;
        self.accesses.write(out)
    }

    /// Reads what processes still have to tell, before they are killed.
    pub fn read_rest(&mut self) {
        self.asked.read_rest(&mut self.processes);
    }

    /// Carries out or judges one call, notes it, and answers it; or gives back what has to wait.
    pub fn notified(&mut self, call: &Notification) -> Option<Box<Waiting>> {
        let process = self.processes.of(call.pid);
        self.asked.meets(process, &self.processes);
        self.note_executed(process, call.pid);
        let is_first = self.processes.pid(process) == call.pid;
        self.procfs.directories.meet(call.pid, is_first.then_some(process));
        if let Some(request) = open::Request::of(call) {
            return match request.perform(call, &self.procfs) {
                open::Opened::Now(answer, uses) => {
                    self.opened(call, &answer, &uses);
                    None
                }
                open::Opened::Later(waiting) => Some(waiting),
            };
        }
        let answer = self.answer(call, process);
        if let Err(errno) = self.send(call, &answer)
            && errno != Errno::ENOENT
        {
            // A descriptor that did not fit into the script's limit.
            self.send(call, &Answer::Fail(errno)).ok();
        }
        None
    }

    /// Fails if nobody waits any more, which is not ours to mend, or at a limit of the caller's.
    fn send(&self, call: &Notification, answer: &Answer) -> Result<(), Errno> {
        let listener = self.listener.as_fd();
        let answered = if let Answer::Descriptor(file, close_on_exec) = answer {
            let added = {
                // The kernel wakes the caller to take a descriptor, and this thread when that is done.
                // On another processor, either costs as much as ten calls.
                let _here = [Here::hold(call.pid), Here::hold(0)];
                sys::add_descriptor(listener, call.id, file, *close_on_exec)
            };
            // Only now does the caller go on, and may run where it always could.
            added.and_then(|number| {
                sys::answer_notification(listener, call.id, &Answer::Number(number))
            })
        } else {
            sys::answer_notification(listener, call.id, answer)
        };
        answered.inspect_err(|errno| tracing::trace!(%errno, "a notification was not answered"))
    }

    fn answer(&mut self, call: &Notification, process: u32) -> Answer {
        if matches!(call.number, libc::SYS_chdir | libc::SYS_fchdir) {
            self.procfs.directories.moves(call.pid);
        }
        if let Some(request) = look::Request::of(call.number) {
            if let Some((path, found)) = request.look(call, &self.procfs) {
                let outcome = outcome(found.err());
                self.add(request.kind, &path, outcome, process);
            }
            return Answer::Continue;
        }
        if let Some(request) = names::Request::of(call.number) {
            let mut uses = Vec::new();
            let result = request.perform(call, &self.procfs, &mut uses);
            if request.moves_directories() {
                self.procfs.directories.forget();
            }
            self.note(call, &uses, result.err());
            return result.map_or_else(Answer::Fail, |()| Answer::Done);
        }
        if let Some(request) = metadata::Request::of(call.number) {
            let done = self.change(call, process, request);
            return done.map_or_else(Answer::Fail, |()| Answer::Done);
        }
        if let Some(answer) = self.network.call(call, process) {
            return answer;
        }
        match call.number {
            libc::SYS_execve => return self.attempt(call, process, PathAt(None, 0)),
            libc::SYS_execveat => return self.attempt(call, process, PathAt(Some(0), 1)),
            REAL_PATH => return self.real_path(call, process),
            TOLD => {
                self.asked.told(call, process, &self.processes);
                return Answer::Fail(Errno::ENOSYS);
            }
            libc::SYS_exit_group => {
                self.asked.ends(call.pid, process);
                self.processes.exits(call.pid, argument::descriptor(call.arguments[0]));
            }
            _ => {}
        }
        Answer::Continue
    }

    fn add(&mut self, kind: Kind, path: &[u8], outcome: Outcome, process: u32) {
        // Pipes, sockets and the like are not in the file system.
        if !path.starts_with(b"/") {
            return;
        }
        // A process finds its own things below a number that is another one each time.
        let own = format!("/proc/{}", self.processes.pid(process));
        match path.strip_prefix(own.as_bytes()) {
            Some(rest) if rest.first().is_none_or(|byte| *byte == b'/') => {
                let path = [b"/proc/self", rest].concat();
                self.accesses.add(kind, &path, outcome, process);
            }
            _ => self.accesses.add(kind, path, outcome, process),
        }
    }

    /// The outcome of a use of a path, which failed with this error: whether that is the jail's doing.
    fn judged(&self, kind: Kind, path: &[u8], errno: Option<Errno>) -> Outcome {
        let refusals = [Errno::EACCES, Errno::EPERM, Errno::EXDEV];
        if errno.is_some_and(|errno| refusals.contains(&errno)) {
            let path = Path::new(OsStr::from_bytes(path));
            let place = if kind.is_of_a_name() { path.parent().unwrap_or(path) } else { path };
            if kind.right().is_some_and(|right| !self.grants.covers(right, place)) {
                return Outcome::Denied;
            }
        }
        outcome(errno)
    }

    /// Answers an open, and notes it: only the kernel tells whether the script got the descriptor.
    fn opened(&mut self, call: &Notification, answer: &Answer, uses: &[Use]) {
        let sent = self.send(call, answer);
        let errno = match (answer, sent) {
            // It did not fit into the script's limit.
            (Answer::Descriptor(..), Err(errno)) if errno != Errno::ENOENT => {
                self.send(call, &Answer::Fail(errno)).ok();
                Some(errno)
            }
            (Answer::Fail(errno), _) => Some(*errno),
            _ => None,
        };
        self.note(call, uses, errno);
    }

    /// Notes uses of paths, and the error that they failed with.
    pub fn note(&mut self, call: &Notification, uses: &[Use], errno: Option<Errno>) {
        let process = self.processes.of(call.pid);
        for Use { kind, path } in uses {
            if self.asked.is_library(path) {
                if errno.is_none() {
                    self.asked.meets(process, &self.processes);
                    self.asked.loads(process);
                }
                continue;
            }
            let outcome = self.judged(*kind, path, errno);
            self.add(*kind, path, outcome, process);
        }
    }

    fn real_path(&mut self, call: &Notification, process: u32) -> Answer {
        let (path, result) = real_path::answer(call, &self.procfs);
        if let Some(path) = path
            && result != Err(Errno::ENOSYS)
        {
            self.add(Kind::ReadLink, &path, outcome(result.err()), process);
        }
        result.map_or_else(Answer::Fail, |()| Answer::Done)
    }

    fn change(
        &mut self,
        call: &Notification,
        process: u32,
        request: metadata::Request,
    ) -> Result<(), Errno> {
        let file = request.open(call, &self.procfs)?;
        let change = request.change(call)?;
        // A pipe or a socket has no path, and is the script's own or was handed to it. A device that it
        // may write to is not its own.
        let path = Path::new(OsStr::from_bytes(&file.path));
        let judged = if found::is_directory(&file.file)? { Some(path) } else { path.parent() };
        let has_no_path =
            [&b"pipe:["[..], b"socket:["].iter().any(|kind| file.path.starts_with(kind));
        let may =
            has_no_path || judged.is_some_and(|place| self.grants.covers(Right::Write, place));
        let result = if may { change.perform(&file.file) } else { Err(Errno::EPERM) };
        let outcome = if may { outcome(result.err()) } else { Outcome::Denied };
        self.add(request.kind(), &file.path, outcome, process);
        result
    }

    /// Notes what is about to be executed. Which program it becomes is seen at its next call.
    ///
    /// What cannot be read here must not be executed: the kernel would read it a second time, when
    /// another thread may have put a path there, and nobody would look which program that was.
    fn attempt(&mut self, call: &Notification, process: u32, at: PathAt) -> Answer {
        if !self.processes.may_execute(call.pid, process) {
            return Answer::Fail(Errno::EAGAIN);
        }
        self.asked.read(call.pid, process);
        let place = match Place::of(call, at, &self.procfs) {
            Ok(place) => place,
            Err(errno) => return Answer::Fail(errno),
        };
        let flags = found::flags(libc::O_PATH | libc::O_CLOEXEC);
        let found = place.open(&self.procfs, flags, 0);
        let (path, errno) = match found {
            Ok(found) => {
                let errno = found::may_execute(&found.file).err();
                (found.path, errno)
            }
            Err(errno) => (place.name(&self.procfs), Some(errno)),
        };
        let outcome = self.judged(Kind::Execute, &path, errno);
        self.processes.attempts(process, Execution { thread: call.pid, path, outcome });
        Answer::Continue
    }

    fn note_executed(&mut self, process: u32, thread: u32) {
        for Executed { attempt, program } in self.processes.executed(process, thread) {
            match program {
                Some(program) => self.note_program(process, thread, &attempt, program),
                None => self.not_executed(process, &attempt),
            }
        }
    }

    fn note_program(
        &mut self,
        process: u32,
        thread: u32,
        attempt: &Execution,
        (program, name): (Vec<u8>, Option<CString>),
    ) {
        self.asked.executed(process, &program, self.processes.is_dynamic(process));
        let name = name.filter(|_| program != attempt.path);
        let scripts = name
            .map(|name| scripts::between(&self.procfs, thread, name, &program))
            .unwrap_or_default();
        for path in scripts.iter().chain([&program]) {
            self.add(Kind::Execute, path, Outcome::Allowed, process);
        }
    }

    fn not_executed(&mut self, process: u32, attempt: &Execution) {
        let outcome = match attempt.outcome {
            // The mode would have let it be executed, and the jail did not; or it is no program, or
            // its interpreter is missing; or a signal ended it before it made a call.
            Outcome::Allowed => {
                match self.judged(Kind::Execute, &attempt.path, Some(Errno::EACCES)) {
                    Outcome::Denied => Outcome::Denied,
                    _ => Outcome::Failed(Errno::UnknownErrno),
                }
            }
            outcome => outcome,
        };
        self.add(Kind::Execute, &attempt.path, outcome, process);
    }
}

/// A thread that is held on this thread's processor as long as this lives.
struct Here {
    thread: Pid,
    before: CpuSet,
}

impl Here {
    fn hold(thread: u32) -> Option<Self> {
        let thread = Pid::from_raw(i32::try_from(thread).ok()?);
        let before = sched_getaffinity(thread).ok()?;
        let cpu = sched_getcpu().ok()?;
        if !before.is_set(cpu).ok()? {
            return None;
        }
        let mut here = CpuSet::new();
        here.set(cpu).ok()?;
        sched_setaffinity(thread, &here).ok()?;
        Some(Self { thread, before })
    }
}

impl Drop for Here {
    fn drop(&mut self) {
        // It fails only if the thread is gone.
        sched_setaffinity(self.thread, &self.before).ok();
    }
}

/// The library's own call.
const REAL_PATH: i64 = protocol::REAL_PATH as i64;
/// See above.
const TOLD: i64 = protocol::NUMBER as i64;

fn outcome(errno: Option<Errno>) -> Outcome {
    match errno {
        None => Outcome::Allowed,
        Some(Errno::ENOENT | Errno::ENOTDIR) => Outcome::NotFound,
        Some(errno) => Outcome::Failed(errno),
    }
}
