//! The warden: the part of the supervisor that lives inside the jail.
//!
//! A process of its own, between supervisor and script. It enters the outer Landlock domain, starts
//! the script from inside it, answers the notifications of the script's seccomp filter, and when the
//! script's first process has ended, or the supervisor has, it kills whatever is left: with the
//! signal scope of its domain `kill(-1, SIGKILL)` reaches exactly the script's processes. It reports
//! once, at its end. The script is in a domain below the warden's and can neither signal nor trace it.
//!
//! It records; Landlock and the filter decide, in the kernel. Only changes of metadata, which neither
//! knows, are the warden's to judge.
//!
//! One thread answers notifications and does nothing else, so that it is woken where the script
//! runs; another waits for the ends of processes and for the supervisor's. A script that asks much has
//! more to answer it.

pub mod accesses;
pub mod address;
pub mod answering;
pub mod argument;
pub mod asked;
pub mod attempts;
pub mod directories;
pub mod found;
pub mod hand_over;
pub mod here;
pub mod hidden;
pub mod known;
pub mod look;
pub mod macros;
pub mod metadata;
pub mod names;
pub mod network;
pub mod numbers;
pub mod observe;
pub mod open;
pub mod outputs;
pub mod place;
pub mod processes;
pub mod procfs;
pub mod real_path;
pub mod scripts;
pub mod seen;
pub mod socket;
pub mod status;
pub mod under_way;
pub mod waiting;
pub mod walk;
pub mod watch;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, PoisonError, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, pthread_sigmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use serde::{Deserialize, Serialize};

use crate::access::Access;
use crate::jail::Plan;
use crate::jail::enter::{self, Script};
use crate::jail::mounts;
use crate::network::Attempt;
use crate::policy::{Grants, Limit};
use crate::sys::{self, Fork};
use answering::Answering;
use hidden::Hidden;
use known::made::Made;
use observe::{Observer, locked};
use outputs::Outputs;
use processes::Processes;
use procfs::Procfs;
use under_way::UnderWay;
use waiting::Waits;
use watch::{Watch, end_rest};

/// What the warden tells the supervisor at its end.
#[derive(Debug, Serialize, Deserialize)]
pub enum Report {
    /// The script was not executed; nothing of it ran.
    NotStarted {
        /// The step of entering the jail that failed, with its causes.
        why: String,
    },
    /// The script ran.
    Ended {
        /// Wait status of its first process (wait(2)); none if the supervisor ended it.
        status: Option<i32>,
        /// From its start to the end of its first process, in microseconds.
        wall_us: u64,
        /// CPU time of all its processes in user mode, in microseconds.
        user_us: u64,
        /// CPU time of all its processes in the kernel, in microseconds.
        system_us: u64,
        /// Resident set size of its largest process, in KiB.
        peak_rss_kib: u64,
        /// How many processes were still there when the first had ended, and were killed.
        killed: u64,
        /// What it was denied.
        denials: Vec<Access>,
        /// The networks and services that it tried to reach.
        network: Vec<Attempt>,
        /// How many further attempts there were that did not fit.
        network_dropped: u64,
        /// How many further kinds of denials there were that did not fit.
        denials_dropped: u64,
        /// Limits of its own that a process came to.
        limits: Vec<Limit>,
        /// By path that was denied to a compilation, the crate of the procedural macro that tried.
        macros: BTreeMap<String, String>,
        /// Why what was observed could not be written, if it could not.
        unwritten: Option<String>,
    },
}

impl Report {
    /// By path that was denied to a compilation, the crate of the procedural macro that tried.
    #[must_use]
    pub fn macros(&self) -> &BTreeMap<String, String> {
        static NONE: BTreeMap<String, String> = BTreeMap::new();
        match self {
            Self::Ended { macros, .. } => macros,
            Self::NotStarted { .. } => &NONE,
        }
    }
}

/// The warden's descriptors to the supervisor.
#[derive(Debug)]
pub struct Channels<'a> {
    /// The report goes here.
    pub report: OwnedFd,
    /// What was observed goes here, as the fields of a JSON object.
    pub observed: &'a File,
    /// Reaches its end when the supervisor is gone or wants the script stopped.
    pub lifeline: OwnedFd,
}

/// Runs the warden in the calling process, which has been forked for it, and does not return.
pub fn run(plan: Plan, script: Script, grants: &Grants, channels: &Channels<'_>) -> ! {
    let Err(why) = guard(plan, script, grants, channels);
    end(channels, &Report::NotStarted { why })
}

/// Reports, and ends the process: with it the thread that waits for notifications.
fn end(channels: &Channels<'_>, report: &Report) -> ! {
    let mut bytes = serde_json::to_vec(report).unwrap_or_default();
    bytes.push(b'\n');
    let written = nix_file(channels.report.as_fd()).and_then(|mut pipe| pipe.write_all(&bytes));
    // Without a reader there is no supervisor; everything of the script is dead all the same.
    sys::exit_now(i32::from(written.is_err()))
}

fn nix_file(fd: BorrowedFd<'_>) -> io::Result<std::fs::File> {
    Ok(std::fs::File::from(fd.try_clone_to_owned()?))
}

/// An error with its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

fn guard(
    plan: Plan,
    script: Script,
    grants: &Grants,
    channels: &Channels<'_>,
) -> Result<Infallible, String> {
    let step = |what: &'static str| move |error: Errno| format!("{what}: {error}");
    let Plan { rulesets, filter, seal } = plan;
    if !grants.redirected.is_empty() {
        mounts::enter(&grants.redirected).map_err(|error| chain(&error))?;
    }
    let scoped = !rulesets.enforced.scopes.is_empty();
    let inner = enter::enter_as_warden(rulesets).map_err(|error| chain(&error))?;
    if grants.gives_sockets() {
        try_taking_sockets()?;
    }

    let mut child_signal = SigSet::empty();
    child_signal.add(Signal::SIGCHLD);
    pthread_sigmask(SigmaskHow::SIG_BLOCK, Some(&child_signal), None)
        .map_err(step("cannot block SIGCHLD"))?;
    let children =
        SignalFd::with_flags(&child_signal, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
            .map_err(step("cannot make a signal descriptor"))?;
    let (ours, theirs) = hand_over::pair().map_err(step("cannot make a socket pair"))?;
    let (failure, failure_of_script) =
        nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).map_err(step("cannot make a pipe"))?;

    let started = Instant::now();
    let first = match sys::fork().map_err(|error| format!("cannot fork: {error}"))? {
        Fork::Child => {
            drop((ours, failure));
            let hand_over = |listener: OwnedFd| theirs.send(&listener);
            let Err(error) = enter::become_script(
                &script,
                inner,
                (&filter, seal.as_ref()),
                failure_of_script.as_fd(),
                hand_over,
            );
            let told = nix_file(failure_of_script.as_fd())
                .and_then(|mut pipe| pipe.write_all(chain(&error).as_bytes()));
            sys::exit_now(if told.is_ok() { 125 } else { 126 });
        }
        Fork::Parent(pid) => pid,
    };
    drop((theirs, failure_of_script));
    // One descriptor for each process that is watched: what the user's shell allows is soon used up.
    // The script has the old limit.
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard).ok();
    }
    // The script's output must end when its processes do: nobody else may hold the pipes.
    drop(script);

    let processes = Processes::new(first.unsigned_abs()).map_err(step("cannot watch processes"))?;
    let outputs = Outputs::new(grants);
    let made = Made::new(grants);
    let procfs = Procfs::read(Hidden::new(grants), outputs.clone(), made.clone())
        .map_err(step("cannot read /proc as its own"))?;
    let Ok(listener) = ours.receive() else {
        // The script ended before it had a filter.
        let killed = end_rest(scoped);
        tracing::debug!(killed, "the script did not come to its filter");
        return Err(reason(failure.as_fd())?);
    };
    // An older kernel has no such flag; answers are slower there, and no less right.
    if let Err(error) = sys::wake_listener_on_same_cpu(listener.as_fd()) {
        tracing::debug!(%error, "the listener wakes on any CPU");
    }
    let waits =
        listener.try_clone().map_err(|error| format!("cannot keep the listener: {error}"))?;
    let waits = Waits::new(waits).map_err(step("cannot prepare for opens that wait"))?;
    let observer = Mutex::new(Observer::new(grants, processes, outputs, made));
    let (busy, shared, under_way) = (RwLock::new(()), RwLock::new(()), UnderWay::default());
    thread::scope(|scope| {
        let (listener, observer, waits) = (listener.as_fd(), &observer, &waits);
        let (busy, shared, under_way) = (&busy, &shared, &under_way);
        let answering = Answering { listener, grants, observer, waits, busy, under_way, shared };
        if let Err(error) = answering.start(scope, procfs) {
            let killed = end_rest(scoped);
            tracing::debug!(killed, "nobody can answer");
            end(channels, &Report::NotStarted { why: format!("cannot start a thread: {error}") });
        }
        let watch = Watch { first, children, observer, waits };
        let status = watch.run(channels.lifeline.as_fd());
        let wall = started.elapsed();
        locked(observer).read_rest();
        let killed = end_rest(scoped);
        // The answering thread may wait for ever (below Linux 6.11): nothing is left but to end here.
        let status = match (reason(failure.as_fd()), status) {
            (Ok(why), Ok(status)) if why.is_empty() => status,
            (Ok(none), Err(why)) if none.is_empty() => end(channels, &Report::NotStarted { why }),
            (Ok(why) | Err(why), _) => end(channels, &Report::NotStarted { why }),
        };
        // Nobody is left to ask; what has been done is noted before the last word.
        let _all = busy.write().unwrap_or_else(PoisonError::into_inner);
        let mut observer = locked(observer);
        end(channels, &report(&mut observer, status, wall, killed, channels.observed))
    })
}

/// What there is to say of a script that ran; what was observed is written to `out`.
fn report(
    observer: &mut Observer<'_>,
    status: Option<i32>,
    wall: Duration,
    killed: u64,
    out: &File,
) -> Report {
    if let Some(status) = status {
        observer.processes.first_ended(status);
    }
    let usage = sys::children_usage();
    let micros = |duration: Duration| u64::try_from(duration.as_micros()).unwrap_or(0);
    let (denials, denials_dropped) = observer.denials();
    let (network, network_dropped) = observer.network();
    let mut fields = BufWriter::new(out);
    let written = observer.write(&mut fields).and_then(|()| fields.flush());
    Report::Ended {
        status,
        wall_us: micros(wall),
        user_us: micros(usage.user),
        system_us: micros(usage.system),
        peak_rss_kib: usage.peak_rss_kib,
        killed,
        denials,
        denials_dropped,
        network,
        network_dropped,
        limits: observer.limits_met(),
        macros: std::mem::take(&mut observer.macros),
        unwritten: written.err().map(|error| error.to_string()),
    }
}

/// Whether sockets of a script can be taken to make calls on them: some containers' filters forbid it.
fn try_taking_sockets() -> Result<(), String> {
    let own = sys::thread_descriptor(std::process::id());
    let taken = own.and_then(|own| sys::descriptor_of(own.as_fd(), 0));
    taken.map(drop).map_err(|errno| {
        format!("a policy with network rules needs pidfd_getfd(2), which fails: {errno}")
    })
}

/// Why the script was not executed; empty if it was.
fn reason(failure: BorrowedFd<'_>) -> Result<String, String> {
    let mut why = String::new();
    nix_file(failure)
        .and_then(|mut pipe| pipe.read_to_string(&mut why))
        .map_err(|error| format!("cannot read why the script did not start: {error}"))?;
    Ok(why)
}
