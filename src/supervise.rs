//! The supervisor: starts the warden, drains the script's streams, waits for the report.
//!
//! It stays in Cargo's process group, outside the jail, so Ctrl-C reaches it; on a signal, or when
//! relaying fails, it lets go of the warden's lifeline, and the warden kills everything. If the
//! supervisor itself is killed, the lifeline ends by that. It returns only when nothing of the
//! script is left, so Cargo never waits for a pipe that a survivor holds.

use std::ffi::{CString, OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::{ExitStatusExt, parent_id};
use std::path::Path;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill, pthread_sigmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::waitpid;
use nix::unistd::{Pid, pipe2};

use crate::jail::Plan;
use crate::jail::enter::Script;
use crate::orphans;
use crate::policy::{Grants, Limit};
use crate::relay;
use crate::sys::{self, Fork};
use crate::terminal::Filter;
use crate::tokens::Tokens;
use crate::unit::Jobserver;
use crate::warden::{self, Channels, Report};
use crate::watchdog::Watchdog;

/// What is started.
#[derive(Debug)]
pub struct Start {
    /// See [`Script::program`].
    pub program: CString,
    /// See [`Script::arguments`].
    pub arguments: Vec<CString>,
    /// See [`Script::environment`].
    pub environment: Vec<CString>,
    /// See [`Script::jobserver`].
    pub jobserver: Option<Jobserver>,
    /// Who has started this process, and wants the script.
    pub parent: u32,
}

impl Start {
    /// Of what Rust's library has.
    ///
    /// # Errors
    /// [`Error::Nul`].
    pub fn new(
        (program, arguments): (&Path, &[OsString]),
        environment: &[(OsString, OsString)],
        jobserver: Option<Jobserver>,
        parent: u32,
    ) -> Result<Self, Error> {
        let c_string = |text: &OsStr| {
            CString::new(text.as_bytes()).map_err(|_| Error::Nul { text: text.to_owned() })
        };
        let variable = |(name, value): &(OsString, OsString)| {
            c_string(&[name, OsStr::new("="), value].into_iter().collect::<OsString>())
        };
        Ok(Self {
            program: c_string(program.as_os_str())?,
            arguments: arguments.iter().map(|word| c_string(word)).collect::<Result<_, _>>()?,
            environment: environment.iter().map(variable).collect::<Result<_, _>>()?,
            jobserver,
            parent,
        })
    }
}

/// Why a script could not be supervised to its end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A name with a NUL byte.
    #[error("`{}` contains a NUL byte", .text.to_string_lossy())]
    Nul {
        /// The argument or variable.
        text: OsString,
    },
    /// A pipe, a signal descriptor, the process itself.
    #[error("cannot {what}")]
    SetUp {
        /// What was to be done.
        what: &'static str,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// Waiting for the script's output.
    #[error("cannot read the script's output")]
    Drain(#[source] io::Error),
    /// Passing the script's stderr on.
    #[error("cannot write the script's standard error")]
    StandardError(#[source] io::Error),
    /// Relaying its stdout.
    #[error(transparent)]
    Relay(#[from] relay::Error),
    /// A step of entering the jail failed.
    #[error("the build script was not started: {why}")]
    NotStarted {
        /// The step, with its causes.
        why: String,
    },
    /// The warden ended without a report. Whatever was left of the script has been killed.
    #[error("the warden ended without a report (killed from outside, or out of memory)")]
    NoReport,
    /// The supervisor was told to stop; the script has been killed.
    #[error("stopped by {signal}")]
    Stopped {
        /// The signal.
        signal: Signal,
    },
}

/// How a script ended, and what it used.
#[derive(Debug)]
pub struct Outcome {
    /// Exit status of its first process.
    pub status: ExitStatus,
    /// The limit for which it was ended.
    pub exceeded: Option<Limit>,
    /// The warden's report.
    pub report: Report,
}

fn set_up<T>(what: &'static str, result: Result<T, Errno>) -> Result<T, Error> {
    result.map_err(|errno| Error::SetUp { what, source: errno.into() })
}

fn stop_signals() -> SigSet {
    [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT].into_iter().collect()
}

/// Runs a script in the jail and returns when nothing of it is left. `relay` gets its standard
/// output piece by piece; `directories` are those that it can fill; into `observed` goes what the warden observed, as the fields of a JSON
/// object.
///
/// # Errors
/// See [`Error`]; nothing of the script is left in that case either.
pub fn supervise(
    plan: Plan,
    start: Start,
    grants: &Grants,
    directories: &[&Path],
    observed: &File,
    mut relay: impl FnMut(&[u8]) -> Result<(), relay::Error>,
) -> Result<Outcome, Error> {
    // A record that grows beyond what the user's shell allows is an error to report, not a death. The
    // script gets all signals back as they are by default.
    set_up("ignore SIGXFSZ", sys::ignore(Signal::SIGXFSZ))?;
    // If Cargo is killed, nobody wants the script any more. No signal comes if that is so already, and
    // what has been read of Cargo's environment could be another process's.
    set_up("tie its life to Cargo's", prctl::set_pdeathsig(Signal::SIGTERM))?;
    if parent_id() != start.parent || has_no_reader(io::stdout().as_fd()) {
        return Err(Error::Stopped { signal: Signal::SIGTERM });
    }
    // Should the warden be killed, its children come to us.
    set_up("become a subreaper", prctl::set_child_subreaper(true))?;
    let signals = stop_signals();
    let mut signal_mask = SigSet::empty();
    set_up(
        "block signals",
        pthread_sigmask(SigmaskHow::SIG_BLOCK, Some(&signals), Some(&mut signal_mask)),
    )?;
    let stops = set_up(
        "make a signal descriptor",
        SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK),
    )?;
    let pipe = || set_up("make a pipe", pipe2(OFlag::O_CLOEXEC));
    let (output, output_of_script) = pipe()?;
    let (errors, errors_of_script) = pipe()?;
    let (report, report_of_warden) = pipe()?;
    let (lifeline_of_warden, lifeline) = pipe()?;
    let null = OpenOptions::new()
        .read(true)
        .open("/dev/null")
        .map_err(|source| Error::SetUp { what: "open /dev/null", source })?;

    let tokens = Tokens::note(start.jobserver.as_ref());
    let script = Script {
        program: start.program,
        arguments: start.arguments,
        environment: start.environment,
        streams: [null.into(), output_of_script, errors_of_script],
        jobserver: start.jobserver,
        signal_mask,
        limits: grants.policy.limits,
    };
    let fork = sys::fork().map_err(|source| Error::SetUp { what: "fork", source })?;
    let warden = match fork {
        Fork::Child => {
            drop((output, errors, report, lifeline, stops));
            let channels =
                Channels { report: report_of_warden, observed, lifeline: lifeline_of_warden };
            warden::run(plan, script, grants, &channels)
        }
        Fork::Parent(pid) => Pid::from_raw(pid),
    };
    drop((script, report_of_warden, lifeline_of_warden, plan));

    let watchdog = Watchdog::new(grants.policy.limits, directories, warden.as_raw());
    let lifeline = Lifeline { warden, held: Some(lifeline), until: None };
    let streams = Streams { output, errors, report, stops, lifeline, watchdog };
    let drained = streams.drain(&mut relay);
    // With the streams the lifeline is gone: the warden has no reason to stay.
    match sys::uninterrupted(|| waitpid(warden, None)) {
        // Reaped already, among what a killed warden left behind.
        Ok(_) | Err(Errno::ECHILD) => {}
        Err(errno) => set_up("wait for the warden", Err(errno))?,
    }
    if let Some(tokens) = tokens {
        let restored = tokens.restore();
        restored.map_err(|source| Error::SetUp { what: "restore the jobserver", source })?;
    }
    let (report, exceeded) = drained?;
    let report = parse_report(&report).ok_or(Error::NoReport)?;
    let status = match report {
        Report::NotStarted { why } => return Err(Error::NotStarted { why }),
        Report::Ended { status: Some(status), .. } => status,
        // It was ended for a limit.
        Report::Ended { status: None, .. } if exceeded.is_some() => Signal::SIGKILL as i32,
        Report::Ended { status: None, .. } => return Err(Error::NoReport),
    };
    Ok(Outcome { status: ExitStatus::from_raw(status), exceeded, report })
}

/// Whether what is written to a pipe reaches nobody. A process that ends closes its files before its
/// children get another parent (the kernel's `do_exit`): they see one or the other.
fn has_no_reader(output: BorrowedFd<'_>) -> bool {
    let mut polled = [PollFd::new(output, PollFlags::empty())];
    poll(&mut polled, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
        && polled[0].revents().is_some_and(|events| events.contains(PollFlags::POLLERR))
}

fn parse_report(bytes: &[u8]) -> Option<Report> {
    serde_json::from_slice(bytes).ok()
}

struct Streams {
    output: OwnedFd,
    errors: OwnedFd,
    report: OwnedFd,
    stops: SignalFd,
    lifeline: Lifeline,
    watchdog: Watchdog,
}

/// What keeps the warden, and with it the script, alive.
struct Lifeline {
    warden: Pid,
    held: Option<OwnedFd>,
    /// When the warden is killed, should it not have ended by itself.
    until: Option<Instant>,
}

impl Lifeline {
    /// How long the warden may take to end everything. It can hang in a call that it makes for the
    /// script, on a file system that does not answer.
    const GRACE: Duration = Duration::from_secs(5);

    /// Lets go of the warden: it ends the script.
    fn let_go(&mut self) {
        if self.held.take().is_some() {
            self.until = Some(Instant::now() + Self::GRACE);
        }
    }

    /// Kills a warden that has not ended in time. What it leaves behind is killed when its report is
    /// found to be missing.
    fn look(&mut self) {
        if self.until.is_some_and(|until| Instant::now() >= until) {
            self.until = None;
            if let Err(errno) = kill(self.warden, Signal::SIGKILL) {
                tracing::debug!(%errno, "the warden has ended");
            }
        }
    }
}

/// So much is read of a pipe at once, in bytes. Most scripts print less, and each page costs as much as a call.
const PIECE: usize = 8 * 1024;
const OUTPUT: usize = 0;
const REPORT: usize = 2;

impl Streams {
    /// Reads all three pipes to their ends and returns the report's bytes, and the limit that the
    /// script came to. After that, a signal or an error the lifeline is let go, and what still comes
    /// is read and thrown away.
    fn drain(
        mut self,
        relay: &mut impl FnMut(&[u8]) -> Result<(), relay::Error>,
    ) -> Result<(Vec<u8>, Option<Limit>), Error> {
        let mut report = Vec::new();
        let mut exceeded = None;
        let mut errors = Filter::default();
        let mut failure: Option<Error> = None;
        let mut buffer = vec![0; PIECE];
        let mut pipes = [self.output, self.errors, self.report].map(|pipe| Some(File::from(pipe)));
        while pipes.iter().any(Option::is_some) {
            let next = self.watchdog.next();
            let until = self.lifeline.until.map_or(next, |until| until.min(next));
            let (stopped, ready) = wait_for(&self.stops, &pipes, until).map_err(Error::Drain)?;
            self.lifeline.look();
            if exceeded.is_none() {
                exceeded = self.watchdog.look();
            }
            if let Some(signal) = stopped {
                failure.get_or_insert(Error::Stopped { signal });
            }
            for index in ready {
                let Some(pipe) = &mut pipes[index] else { continue };
                let length = match pipe.read(&mut buffer) {
                    Ok(length) => length,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) => {
                        failure.get_or_insert(Error::Drain(error));
                        0
                    }
                };
                if length == 0 {
                    pipes[index] = None;
                    if index == REPORT && parse_report(&report).is_none() {
                        orphans::end_all();
                    }
                    continue;
                }
                let piece = &buffer[..length];
                if index != REPORT && exceeded.is_none() {
                    exceeded = self.watchdog.prints(length);
                }
                let result = match index {
                    REPORT => {
                        report.extend_from_slice(piece);
                        Ok(())
                    }
                    _ if failure.is_some() || exceeded.is_some() => Ok(()),
                    OUTPUT => relay(piece).map_err(Error::from),
                    _ => errors.write(&mut io::stderr(), piece).map_err(Error::StandardError),
                };
                if let Err(error) = result {
                    failure.get_or_insert(error);
                }
            }
            if failure.is_some() || exceeded.is_some() {
                self.lifeline.let_go();
            }
        }
        if let Err(error) = errors.end(&mut io::stderr()) {
            failure.get_or_insert(Error::StandardError(error));
        }
        failure.map_or(Ok((report, exceeded)), Err)
    }
}

/// Waits until a signal to stop or something on one of the pipes has come, or the time has.
fn wait_for(
    stops: &SignalFd,
    pipes: &[Option<File>; 3],
    until: Instant,
) -> io::Result<(Option<Signal>, Vec<usize>)> {
    let open: Vec<(usize, &File)> = pipes
        .iter()
        .enumerate()
        .filter_map(|(index, pipe)| Some((index, pipe.as_ref()?)))
        .collect();
    let mut polled = vec![PollFd::new(stops.as_fd(), PollFlags::POLLIN)];
    polled.extend(open.iter().map(|(_, pipe)| PollFd::new(pipe.as_fd(), PollFlags::POLLIN)));
    let left = until.saturating_duration_since(Instant::now());
    // A poll of less than a millisecond would be none at all.
    let timeout = PollTimeout::try_from(left + Duration::from_millis(1));
    match poll(&mut polled, timeout.unwrap_or(PollTimeout::MAX)) {
        Ok(_) => {}
        Err(Errno::EINTR) => return Ok((None, Vec::new())),
        Err(errno) => return Err(errno.into()),
    }
    let is_ready = |fd: &PollFd| fd.revents().is_some_and(|events| !events.is_empty());
    let signal = if is_ready(&polled[0]) {
        stops.read_signal()?.map(|info| {
            let number = i32::try_from(info.ssi_signo).unwrap_or_default();
            Signal::try_from(number).unwrap_or(Signal::SIGTERM)
        })
    } else {
        None
    };
    let ready = open
        .iter()
        .zip(&polled[1..])
        .filter(|(_, fd)| is_ready(fd))
        .map(|((index, _), _)| *index)
        .collect();
    Ok((signal, ready))
}
