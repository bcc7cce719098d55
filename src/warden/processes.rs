//! The processes of a script, and what is known of each.
//!
//! A process is heard of when it makes a call that is notified. What it runs is read when it makes
//! the first such call after an execve(2): at the call itself another thread could still change the
//! path, afterwards the kernel says what it has become.

use std::collections::HashMap;
use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::time::{Duration, Instant};
use std::{fs, io, mem};

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::time::ClockId;
use nix::unistd::Pid;

use super::argument;
use super::status::{self, Status};
use crate::access::Outcome;
use crate::process::{Exit, Process, Program};
use crate::sys;

/// So many are kept. Further ones may not execute programs, of which nothing would be known.
const KEPT: usize = 100_000;
/// So much of a program's arguments is kept, in bytes.
const ARGUMENTS: usize = 4096;
/// And so much of all programs' arguments.
const ALL_ARGUMENTS: usize = 64 << 20;
/// No kernel writes more for a program, in bytes (getauxval(3)).
const VECTOR: usize = 4096;

/// See the file's description.
#[derive(Debug)]
pub struct Processes {
    all: Vec<Known>,
    most: usize,
    /// Programs that further processes may not execute.
    refused: u64,
    /// How many bytes of arguments may still be kept.
    arguments_left: usize,
    /// By the number of each of its threads that was heard of.
    threads: HashMap<u32, u32>,
    started: Instant,
    /// Tells of the ends of processes.
    ends: Epoll,
    /// The file that every process runs until it executes another.
    first_image: Image,
}

#[derive(Debug)]
struct Known {
    process: Process,
    image: Image,
    /// At most one of each thread.
    attempts: Vec<Execution>,
    /// Kept until its end.
    descriptor: Option<OwnedFd>,
}

/// What a process runs: the file, and where the kernel has put 16 random bytes for this very
/// execution (getauxval(3), `AT_RANDOM`), which tells two executions of the same file apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Image {
    program: Vec<u8>,
    random: u64,
    /// Where the kernel has put its interpreter (`AT_BASE`); 0 if it has none.
    interpreter: u64,
    /// Where the kernel has put the path that execve(2) was called with (`AT_EXECFN`).
    name: u64,
}

/// An execve(2) whose outcome is not known yet.
#[derive(Clone, Debug)]
pub struct Execution {
    /// The thread that made it.
    pub thread: u32,
    /// The file that its path led to before.
    pub path: Vec<u8>,
    /// What is to be expected.
    pub outcome: Outcome,
}

/// An execve(2) whose outcome is known.
#[derive(Debug)]
pub struct Executed {
    /// What was tried.
    pub attempt: Execution,
    /// The program that the process has become, if it has, and the path that it was called by.
    pub program: Option<(Vec<u8>, Option<CString>)>,
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn link(pid: u32, name: &str) -> Vec<u8> {
    let target = fs::read_link(format!("/proc/{pid}/{name}"));
    target.map(|path| path.into_os_string().into_vec()).unwrap_or_default()
}

/// What a process runs; none if it is ending, or at this moment becoming another program.
fn image_of(pid: u32) -> Option<Image> {
    const AT_BASE: u64 = 7;
    const AT_RANDOM: u64 = 25;
    const AT_EXECFN: u64 = 31;
    let program = link(pid, "exe");
    let vector = status::read(pid, "auxv", VECTOR).ok()?;
    let word = |bytes: &[u8]| u64::from_ne_bytes(bytes.try_into().unwrap_or_default());
    let value = |key| {
        let pair = vector.chunks_exact(16).find(|pair| word(&pair[..8]) == key);
        pair.map_or(0, |pair| word(&pair[8..]))
    };
    let image = Image {
        interpreter: value(AT_BASE),
        random: value(AT_RANDOM),
        name: value(AT_EXECFN),
        program: link(pid, "exe"),
    };
    let is_whole = image.random != 0 && !program.is_empty() && program == image.program;
    is_whole.then_some(image)
}

fn arguments_of(pid: u32, most: usize) -> Vec<Vec<u8>> {
    let mut text = status::read(pid, "cmdline", ARGUMENTS.min(most)).unwrap_or_default();
    if text.last() == Some(&0) {
        text.pop();
    }
    text.split(|byte| *byte == 0).map(<[u8]>::to_vec).collect()
}

impl Processes {
    /// The first process, which is about to become the script.
    ///
    /// # Errors
    /// If the kernel has no more descriptors.
    pub fn new(first: u32) -> Result<Self, Errno> {
        let mut processes = Self {
            all: Vec::new(),
            most: KEPT,
            refused: 0,
            arguments_left: ALL_ARGUMENTS,
            threads: HashMap::new(),
            started: Instant::now(),
            ends: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?,
            first_image: image_of(first).unwrap_or_default(),
        };
        processes.add(first, None, sys::process_descriptor(first).ok());
        Ok(processes)
    }

    fn now(&self) -> u64 {
        micros(self.started.elapsed())
    }

    /// Readable when a process has ended.
    ///
    /// # Errors
    /// If there are no more descriptors.
    pub fn ends_descriptor(&self) -> io::Result<OwnedFd> {
        self.ends.0.as_fd().try_clone_to_owned()
    }

    fn add(&mut self, pid: u32, parent: Option<u32>, process: Option<OwnedFd>) -> u32 {
        let id = u32::try_from(self.all.len()).unwrap_or(u32::MAX);
        if self.all.len() >= self.most {
            return parent.unwrap_or(0);
        }
        let descriptor = process.filter(|descriptor| {
            let event = EpollEvent::new(EpollFlags::EPOLLIN, id.into());
            self.ends.add(descriptor, event).is_ok()
        });
        let parent_process = parent.map(|parent| &self.all[parent as usize]);
        // Where it cannot be read, for want of descriptors: it has its parent's until it executes another.
        let inherited = parent_process.map_or(&self.first_image, |parent| &parent.image);
        let image = if self.all.is_empty() { None } else { image_of(pid) };
        let image = image.unwrap_or_else(|| inherited.clone());
        let cwd =
            parent_process.map_or_else(|| lossy(&link(pid, "cwd")), |p| p.process.cwd.clone());
        let process = Process {
            id,
            parent,
            pid,
            programs: Vec::new(),
            cwd,
            started_us: self.now(),
            wall_us: None,
            exit: None,
            cpu_us: None,
            peak_rss_kib: None,
        };
        self.all.push(Known { process, image, attempts: Vec::new(), descriptor });
        self.threads.insert(pid, id);
        id
    }

    /// The process that a thread belongs to.
    pub fn of(&mut self, thread: u32) -> u32 {
        if let Some(id) = self.threads.get(&thread).copied() {
            let pid = self.pid(id);
            // The end of a thread is not notified, and its number can be another's by now.
            if pid == thread || Path::new(&format!("/proc/{pid}/task/{thread}")).exists() {
                return id;
            }
            self.threads.remove(&thread);
        }
        // Most are the first threads of new processes, of which alone there is a descriptor.
        if let Ok(process) = sys::process_descriptor(thread)
            && let Ok(parent) = sys::parent_of(process.as_fd())
        {
            let parent = self.threads.get(&parent).copied();
            return self.add(thread, parent, Some(process));
        }
        let status = Status::of(thread).ok();
        let number = |field| status.as_ref().and_then(|status| status.number(field));
        let pid: u32 = number("Tgid:").unwrap_or(thread);
        let id = if let Some(id) = self.threads.get(&pid) {
            *id
        } else {
            let parent = number("PPid:").and_then(|parent: u32| self.threads.get(&parent));
            let parent = parent.copied();
            self.add(pid, parent, sys::process_descriptor(pid).ok())
        };
        self.threads.insert(thread, id);
        id
    }

    /// Whether a thread's process, which [`Processes::of`] has found, may execute a program: not if it is
    /// one too many, and only its parent is known.
    pub fn may_execute(&mut self, thread: u32, id: u32) -> bool {
        let is_known = self.all.len() < self.most
            || Status::of(thread).is_ok_and(|status| status.number("Tgid:") == Some(self.pid(id)));
        self.refused += u64::from(!is_known);
        is_known
    }

    /// How many programs were not executed because there were too many processes.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// The directory below `/proc` that a process finds its own things in.
    #[must_use]
    pub fn pid(&self, id: u32) -> u32 {
        self.all[id as usize].process.pid
    }

    /// The process that a process comes from, if that is known.
    #[must_use]
    pub fn parent(&self, id: u32) -> Option<u32> {
        self.all.get(id as usize)?.process.parent
    }

    /// Whether a process's program has an interpreter (ld.so(8)): without one it is linked statically,
    /// or is the interpreter itself.
    #[must_use]
    pub fn is_dynamic(&self, id: u32) -> bool {
        self.all[id as usize].image.interpreter != 0
    }

    /// The processes of whose ends nothing is known, with the kernel's numbers for them.
    pub fn living(&mut self) -> Vec<(u32, u32)> {
        self.note_ends();
        let living = self.all.iter().map(|known| &known.process);
        let living = living.filter(|process| process.exit.is_none());
        living.map(|process| (process.id, process.pid)).collect()
    }

    /// Notes an execve(2) that is about to happen, and returns the one before that of the same thread, if what
    /// came of it could not be found out. The thread goes on with the old program, so it has failed.
    pub fn attempts(&mut self, id: u32, attempt: Execution) -> Option<Execution> {
        let attempts = &mut self.all[id as usize].attempts;
        let before = attempts.iter().position(|other| other.thread == attempt.thread);
        let before = before.map(|at| attempts.remove(at));
        attempts.push(attempt);
        before
    }

    /// Finds out what came of what a process tried to execute, now that `thread` makes another call.
    /// Nothing, if nothing was tried, or it is not decided yet.
    pub fn executed(&mut self, id: u32, thread: u32) -> Vec<Executed> {
        let now = self.now();
        let known = &mut self.all[id as usize];
        if known.attempts.is_empty() {
            return Vec::new();
        }
        let pid = known.process.pid;
        // Only the thread that is left after an execve(2) has the process's number. Others are still
        // those of the old program, and so is the one that tried and failed.
        let image = if thread == pid { image_of(pid) } else { Some(known.image.clone()) };
        let Some(image) = image else { return Vec::new() };
        if image == known.image {
            let own = known.attempts.extract_if(.., |attempt| attempt.thread == thread);
            return own.map(|attempt| Executed { attempt, program: None }).collect();
        }
        let arguments = arguments_of(pid, self.arguments_left);
        self.arguments_left -= arguments.iter().map(Vec::len).sum::<usize>();
        known.process.programs.push(Program {
            program: lossy(&image.program),
            arguments: arguments.iter().map(|argument| lossy(argument)).collect(),
            started_us: now,
        });
        known.process.cwd = lossy(&link(pid, "cwd"));
        let program = Some((image.program.clone(), argument::path(pid, image.name).ok()));
        // One of them has succeeded, and the others' threads are gone: of several, the one that was on
        // its way to this very file.
        let mut attempts = mem::take(&mut known.attempts);
        let last = attempts.len() - 1;
        let succeeded = attempts.iter().position(|attempt| attempt.path == image.program);
        attempts.swap(succeeded.unwrap_or(last), last);
        let mut all: Vec<_> =
            attempts.into_iter().map(|attempt| Executed { attempt, program: None }).collect();
        all[last].program = program;
        known.image = image;
        self.threads.retain(|thread, process| *process != id || *thread == pid);
        all
    }

    /// A process ends by itself, with this code.
    pub fn exits(&mut self, thread: u32, code: i32) {
        let id = self.of(thread);
        let now = self.now();
        let process = &mut self.all[id as usize].process;
        let pid = process.pid;
        process.exit = Some(Exit::Code(code & 0xff));
        process.wall_us = Some(now - process.started_us);
        process.cpu_us = cpu_time(pid);
        let status = Status::of(pid).ok();
        let peak = status.as_ref().and_then(|status| status.field("VmHWM:"));
        process.peak_rss_kib =
            peak.and_then(|peak| peak.trim_end_matches("kB").trim().parse().ok());
    }

    /// Notes which processes have ended, and how.
    pub fn note_ends(&mut self) {
        let mut events = [EpollEvent::empty(); 64];
        loop {
            let count = self.ends.wait(&mut events, EpollTimeout::ZERO).unwrap_or(0);
            for event in &events[..count] {
                let id = u32::try_from(event.data()).unwrap_or(u32::MAX);
                self.ended(id);
            }
            if count < events.len() {
                return;
            }
        }
    }

    fn ended(&mut self, id: u32) {
        let now = self.now();
        let Some(known) = self.all.get_mut(id as usize) else { return };
        let Some(descriptor) = known.descriptor.take() else { return };
        self.ends.delete(&descriptor).ok();
        let process = &mut known.process;
        process.wall_us.get_or_insert(now - process.started_us);
        // A signal can come between a process's last call and its end. Nothing is known below Linux
        // 6.15, and nothing yet while its parent has not waited for it.
        if let Ok(status) = sys::exit_status(descriptor.as_fd()) {
            process.exit = Some(exit_of(status));
        } else if process.exit.is_none() {
            known.descriptor = Some(descriptor);
        }
        self.threads.retain(|_, process| *process != id);
    }

    /// How the first process ended, as its parent knows.
    pub fn first_ended(&mut self, status: i32) {
        let now = self.now();
        let process = &mut self.all[0].process;
        process.exit = Some(exit_of(status));
        process.wall_us.get_or_insert(now);
    }

    /// Everything known, when all have ended.
    pub fn all(&mut self) -> impl Iterator<Item = &Process> {
        self.note_ends();
        for Known { process, descriptor, .. } in &mut self.all {
            if process.exit.is_none()
                && let Some(descriptor) = descriptor
                && let Ok(status) = sys::exit_status(descriptor.as_fd())
            {
                process.exit = Some(exit_of(status));
            }
        }
        self.all.iter().map(|known| &known.process)
    }

    /// Each execve(2) after which its process made no further call.
    pub fn undecided(&mut self) -> Vec<(u32, Execution)> {
        let all = self.all.iter_mut().zip(0..);
        all.flat_map(|(known, id)| known.attempts.drain(..).map(move |attempt| (id, attempt)))
            .collect()
    }

    /// How many are known.
    #[must_use]
    pub fn count(&self) -> usize {
        self.all.len()
    }
}

fn exit_of(status: i32) -> Exit {
    match status & 0x7f {
        0 => Exit::Code((status >> 8) & 0xff),
        signal => Exit::Signal(signal),
    }
}

fn cpu_time(pid: u32) -> Option<u64> {
    let pid = Pid::from_raw(i32::try_from(pid).ok()?);
    let time = ClockId::pid_cpu_clock_id(pid).ok()?.now().ok()?;
    Some(micros(Duration::from(time)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::process::{Command, Stdio};

    #[test]
    fn one_process_too_many_executes_nothing() {
        let own = std::process::id();
        let mut processes = Processes::new(own).unwrap();
        processes.most = 1;
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let of_child = processes.of(child.id());
        let may = processes.may_execute(child.id(), of_child);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!may && processes.refused() == 1);
        let of_own = processes.of(own);
        assert!(processes.may_execute(own, of_own) && processes.refused() == 1);
    }

    #[test]
    fn what_fails_in_a_process_of_unknown_parents_has_failed() {
        let mut processes = Processes::new(1).unwrap();
        let (input, output) = (Stdio::piped(), Stdio::piped());
        let mut child = Command::new("cat").stdin(input).stdout(output).spawn().unwrap();
        // Spawned does not mean executed: until it answers it may still be becoming `cat`.
        child.stdin.as_mut().unwrap().write_all(b"?").unwrap();
        child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        let id = processes.of(child.id());
        let (thread, path) = (child.id(), b"/nothing".to_vec());
        processes.attempts(id, Execution { thread, path, outcome: Outcome::NotFound });
        let executed = processes.executed(id, thread);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(matches!(executed[..], [Executed { program: None, .. }]), "{executed:?}");
    }

    #[test]
    fn arguments_are_kept_as_long_as_there_is_room() {
        assert!(!arguments_of(std::process::id(), 1)[0].is_empty());
        assert_eq!(arguments_of(std::process::id(), 0), [b""]);
    }
}
