//! What the record keeps of a script's calls, and what is said of them at its end.

use std::collections::BTreeMap;
use std::ffi::{CString, OsStr};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::errno::Errno;
use nix::sys::signal::Signal;

use super::accesses::Accesses;
use super::argument;
use super::asked::Asked;
use super::found;
use super::hidden::Hidden;
use super::known::Known;
use super::known::made::Made;
use super::macros;
use super::names::Use;
use super::network::Network;
use super::outputs::Outputs;
use super::processes::{Executed, Execution, Processes};
use super::procfs::Procfs;
use super::scripts;
use crate::access::{Access, Kind, Outcome};
use crate::network::Attempt;
use crate::policy::{Grants, Limit, Limits};
use crate::process::Exit;
use crate::sys::Notification;

/// So many denials are asked about: no more are told of.
const BLAMED: usize = 1000;

/// Observes one script.
#[derive(Debug)]
pub struct Observer<'a> {
    grants: &'a Grants,
    hidden: Hidden<'a>,
    outputs: Outputs<'a>,
    accesses: Accesses,
    /// See [`Known`].
    pub known: Known<'a>,
    /// See [`Network`].
    pub network: Network<'a>,
    asked: Asked<'a>,
    /// See [`Processes`].
    pub processes: Processes,
    /// By path that was denied, the crate of the procedural macro that tried.
    pub macros: BTreeMap<String, String>,
}

/// An observer that several threads tell.
pub type Shared<'a> = Mutex<Observer<'a>>;

/// The observer, for the calling thread alone.
pub fn locked<'a, 'b>(observer: &'b Shared<'a>) -> MutexGuard<'b, Observer<'a>> {
    observer.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<'a> Observer<'a> {
    /// An observer that measures by these grants.
    #[must_use]
    pub fn new(grants: &'a Grants, processes: Processes, outputs: Outputs<'a>, made: Made) -> Self {
        let (accesses, network) = (Accesses::default(), Network::new(grants));
        let asked = Asked::new(grants);
        let hidden = Hidden::new(grants);
        Self {
            grants,
            hidden,
            outputs,
            accesses,
            known: Known::new(grants, made),
            network,
            asked,
            processes,
            macros: BTreeMap::new(),
        }
    }

    /// What was denied, and how much more there is of that.
    #[must_use]
    pub fn denials(&self) -> (Vec<Access>, u64) {
        self.accesses.denials()
    }

    /// The networks and services that the script tried to reach, and how many more there are.
    #[must_use]
    pub fn network(&self) -> (Vec<Attempt>, u64) {
        let attempts = self.network.attempts();
        (attempts.kept().to_vec(), attempts.dropped())
    }

    /// The limits of its own that a process came to, which the kernel kept it to.
    pub fn limits_met(&mut self) -> Vec<Limit> {
        let ended_by = |processes: &mut Processes, signal: Signal| {
            processes.all().any(|process| process.exit == Some(Exit::Signal(signal as i32)))
        };
        let Limits { cpu_time, file_size, open_files, .. } = self.grants.policy.limits;
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

    /// A thread makes a call: its process, and whether it is that one's first thread. What has become
    /// of an execve(2) of its is noted now.
    pub fn meet(&mut self, call: &Notification, procfs: &Procfs) -> (u32, bool) {
        let process = self.processes.of(call.pid);
        self.asked.meets(process, &self.processes);
        for Executed { attempt, program } in self.processes.executed(process, call.pid) {
            match program {
                Some(program) => self.note_program(process, call.pid, &attempt, program, procfs),
                None => self.not_executed(process, &attempt),
            }
        }
        (process, self.processes.pid(process) == call.pid)
    }

    /// A process installs a filter: what it may still call, the preloaded library cannot know.
    pub fn filters(&mut self, process: u32) {
        self.known.end();
        self.asked.filters(process, &mut self.processes);
    }

    /// What is known of paths, as a file for a process.
    pub fn table(&mut self, process: u32) -> Option<OwnedFd> {
        if self.asked.has_filter(process) { self.known.forbidden() } else { self.known.file() }
    }

    /// A process tells which variables it has asked for.
    pub fn told(&mut self, call: &Notification, process: u32) {
        self.asked.told(call, process, &self.processes);
    }

    /// A process ends.
    pub fn exits(&mut self, call: &Notification, process: u32) {
        self.asked.ends(call.pid, process);
        self.processes.exits(call.pid, argument::descriptor(call.arguments[0]));
    }

    /// A process tries to execute a program.
    pub fn attempts(&mut self, process: u32, attempt: Execution) {
        if let Some(before) = self.processes.attempts(process, attempt) {
            self.not_executed(process, &before);
        }
    }

    /// A process is about to become another program: what it has asked for as this one is read.
    pub fn reads(&mut self, call: &Notification, process: u32) {
        self.asked.read(call.pid, process);
    }

    /// Adds one use of a path.
    pub fn add(&mut self, kind: Kind, path: &[u8], outcome: Outcome, process: u32) {
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

    /// Adds one use of a path, which failed with this error if it did.
    pub fn add_use(&mut self, used: &Use, errno: Option<Errno>, process: u32) {
        let Use { kind, path, .. } = used;
        let outcome = self.judged(*kind, path, errno);
        self.add(*kind, path, outcome, process);
        match errno {
            Some(Errno::ENOENT) if outcome == Outcome::NotFound => self.known.note(used, false),
            None if *kind == Kind::Stat && outcome == Outcome::Allowed => {
                self.known.note(used, true);
            }
            _ => {}
        }
    }

    /// The outcome of a use of a path, which failed with this error: whether that is the jail's doing.
    #[must_use]
    pub fn judged(&self, kind: Kind, path: &[u8], errno: Option<Errno>) -> Outcome {
        if errno == Some(Errno::ENOENT) && self.hidden.hides(path) {
            return Self::hidden_outcome(kind, path);
        }
        if kind == Kind::List && errno == Some(Errno::EACCES) && self.hidden.hides_list(path) {
            return Outcome::Hidden;
        }
        let refusals = [Errno::EACCES, Errno::EPERM, Errno::EXDEV];
        // What a permissive policy lets pass is told of as if it had not.
        if errno.map_or(self.grants.is_permissive(), |errno| refusals.contains(&errno)) {
            let path = Path::new(OsStr::from_bytes(path));
            let place = if kind.is_of_a_name() { path.parent().unwrap_or(path) } else { path };
            let is_foreign =
                || kind.changes() && self.outputs.may_change(path.as_os_str().as_bytes()).is_err();
            if kind.right().is_some_and(|right| !self.grants.covers(right, place)) || is_foreign() {
                return Outcome::Denied;
            }
        }
        outcome(errno)
    }

    /// The outcome of a use of what is hidden: by what is there, not by what the script was told.
    fn hidden_outcome(kind: Kind, path: &[u8]) -> Outcome {
        // To give a name, its directory has to be there.
        let is_there = if kind.is_of_a_name() && kind != Kind::Remove {
            let slash = path.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
            found::is_there(&path[..slash.max(1)])
        } else {
            found::is_there(path)
        };
        match kind.right() {
            _ if !is_there => Outcome::NotFound,
            Some(_) => Outcome::Denied,
            None => Outcome::Hidden,
        }
    }

    /// Notes what came of an open that had to wait.
    pub fn note_late(&mut self, call: &Notification, uses: &[Use]) {
        let process = self.processes.of(call.pid);
        self.note(process, uses, None);
    }

    /// Notes uses of paths, and the error that they failed with.
    pub fn note(&mut self, process: u32, uses: &[Use], errno: Option<Errno>) {
        for used in uses {
            if self.asked.is_library(&used.path) {
                if errno.is_none() {
                    self.asked.meets(process, &self.processes);
                    self.asked.loads(process);
                }
                continue;
            }
            self.add_use(used, errno, process);
        }
    }

    /// Asks who a denied call comes from, as long as the thread is in it.
    pub fn blame(&mut self, thread: u32, uses: &[Use], errno: Errno) {
        if !self.outputs.are_judged() {
            return;
        }
        for Use { kind, path, .. } in uses {
            let path_text = String::from_utf8_lossy(path);
            if self.macros.len() < BLAMED
                && self.judged(*kind, path, Some(errno)) == Outcome::Denied
                && !self.macros.contains_key(&*path_text)
                && let Some(name) = macros::caller(thread)
            {
                self.macros.insert(path_text.into_owned(), name);
            }
        }
    }

    fn note_program(
        &mut self,
        process: u32,
        thread: u32,
        attempt: &Execution,
        (program, name): (Vec<u8>, Option<CString>),
        procfs: &Procfs,
    ) {
        self.asked.executed(process, &program, self.processes.is_dynamic(process));
        let name = name.filter(|_| program != attempt.path);
        let scripts =
            name.map(|name| scripts::between(procfs, thread, name, &program)).unwrap_or_default();
        for path in scripts.iter().chain([&program]) {
            let outcome = self.judged(Kind::Execute, path, None);
            self.add(Kind::Execute, path, outcome, process);
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
        if outcome == Outcome::NotFound {
            self.known.note(&Use::of(Kind::Execute, attempt.path.clone()), false);
        }
    }
}

/// What came of a use that failed with this error, if it did.
#[must_use]
pub fn outcome(errno: Option<Errno>) -> Outcome {
    match errno {
        None => Outcome::Allowed,
        Some(Errno::ENOENT | Errno::ENOTDIR) => Outcome::NotFound,
        Some(errno) => Outcome::Failed(errno),
    }
}
