//! Entering the jail: what the warden and the script's first process do to themselves, in order.
//!
//! Every step is obligatory. The script is executed only after the last one returned `Ok`; the
//! step that did not is named in the error.

use std::convert::Infallible;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, pthread_sigmask};
use nix::unistd::{execve, setsid};

use super::filter::Program;
use super::landlock;
use crate::policy::Limits;
use crate::sys;
use crate::unit::Jobserver;

/// The step of entering that failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// setsid(2).
    #[error("cannot start a session of its own")]
    Session(#[source] io::Error),
    /// prctl(2), `PR_SET_PDEATHSIG` or `PR_SET_CHILD_SUBREAPER`.
    #[error("cannot tie its life to its supervisor's")]
    Lifeline(#[source] io::Error),
    /// capset(2) and prctl(2).
    #[error("cannot drop capabilities")]
    Capabilities(#[source] io::Error),
    /// prctl(2), `PR_SET_NO_NEW_PRIVS`.
    #[error("cannot set no_new_privs")]
    NoNewPrivs(#[source] io::Error),
    /// Landlock.
    #[error(transparent)]
    Landlock(#[from] landlock::Error),
    /// `dup2(2)`, `close_range(2)`.
    #[error("cannot close inherited descriptors")]
    Descriptors(#[source] io::Error),
    /// sigprocmask(2).
    #[error("cannot restore the signal mask")]
    Signals(#[source] io::Error),
    /// setrlimit(2).
    #[error("cannot set resource limits")]
    Limits(#[source] io::Error),
    /// seccomp(2).
    #[error(
        "cannot install the seccomp filter with its listener \
         (a process inside another jail of this kind cannot have a second one)"
    )]
    Filter(#[source] io::Error),
    /// seccomp(2), of the second filter.
    #[error("cannot install the second seccomp filter, as network rules demand")]
    Seal(#[source] io::Error),
    /// What answered for the kernel said that the filter is installed, and it is not.
    #[error(
        "the seccomp filter is said to be installed, but calls pass it \
         (a filter outside answers seccomp(2) in the kernel's place)"
    )]
    FilterNotInForce,
    /// The listener did not reach the warden.
    #[error("cannot hand the seccomp listener to the warden")]
    Listener(#[source] io::Error),
    /// execve(2).
    #[error("cannot execute the build script")]
    Execute(#[source] io::Error),
}

/// Confines the calling process as the warden: session, capabilities, `no_new_privs`, outer domain.
///
/// # Errors
/// The step that failed.
pub fn enter_as_warden(rulesets: landlock::Rulesets) -> Result<landlock::Inner, Error> {
    setsid().map_err(|e| Error::Session(e.into()))?;
    prctl::set_child_subreaper(true).map_err(|e| Error::Lifeline(e.into()))?;
    sys::drop_capabilities().map_err(Error::Capabilities)?;
    prctl::set_no_new_privs().map_err(|e| Error::NoNewPrivs(e.into()))?;
    Ok(rulesets.enter_outer()?)
}

/// What the script's first process needs to become the script.
#[derive(Debug)]
pub struct Script {
    /// The program.
    pub program: CString,
    /// Its arguments, its name first.
    pub arguments: Vec<CString>,
    /// Its environment, `NAME=value` each.
    pub environment: Vec<CString>,
    /// Its standard input, output and error.
    pub streams: [OwnedFd; 3],
    /// The jobserver, kept open.
    pub jobserver: Option<Jobserver>,
    /// The signal mask that Cargo gave us.
    pub signal_mask: SigSet,
    /// How much each of its processes may use.
    pub limits: Limits,
}

/// Turns the calling process, a child of the warden, into the script. Returns only on failure.
///
/// `hand_over` gives the listener to the warden, and the filter that seals it comes into force after
/// that; `report` is the close-on-exec descriptor on which
/// the caller will report the error.
///
/// # Errors
/// The step that failed.
pub fn become_script(
    script: &Script,
    inner: landlock::Inner,
    (filter, seal): (&Program, Option<&Program>),
    report: BorrowedFd<'_>,
    hand_over: impl FnOnce(OwnedFd) -> io::Result<()>,
) -> Result<Infallible, Error> {
    setsid().map_err(|e| Error::Session(e.into()))?;
    // If the warden is gone already its death will not be signalled, but then nobody answers the
    // notification of the execve(2) below, and the kernel fails it (`ENOSYS`, seccomp_unotify(2)).
    prctl::set_pdeathsig(Signal::SIGKILL).map_err(|e| Error::Lifeline(e.into()))?;
    inner.enter()?;
    for (stream, number) in script.streams.iter().zip(0..) {
        sys::duplicate_to(stream.as_fd(), number).map_err(Error::Descriptors)?;
    }
    sys::reset_signal_dispositions();
    pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&script.signal_mask), None)
        .map_err(|e| Error::Signals(e.into()))?;
    limit(&script.limits).map_err(|e| Error::Limits(e.into()))?;
    let listener = sys::install_filter(filter.instructions()).map_err(Error::Filter)?;
    // The filter answers this call itself, and so that the kernel never would after it has just made
    // two rulesets.
    if sys::landlock_version() != Err(Errno::EOPNOTSUPP) {
        return Err(Error::FilterNotInForce);
    }
    hand_over(listener).map_err(Error::Listener)?;
    if let Some(seal) = seal {
        sys::add_filter(seal.instructions()).map_err(Error::Seal)?;
    }
    let mut keep = vec![report.as_raw_fd()];
    if let Some(Jobserver::Pipe { read, write }) = &script.jobserver {
        // Only what is a pipe is a jobserver; any other descriptor of these numbers is closed.
        keep.extend([*read, *write].into_iter().filter(|fd| sys::is_inherited_pipe(*fd)));
    }
    sys::close_descriptors_except(&keep).map_err(Error::Descriptors)?;
    match execve(&script.program, &script.arguments, &script.environment) {
        Err(errno) => Err(Error::Execute(errno.into())),
        Ok(never) => Ok(never),
    }
}

/// Lowers the calling process's limits to these, where they are higher.
fn limit(limits: &Limits) -> Result<(), Errno> {
    /// From the signal that a process can handle to the one that it cannot (setrlimit(2),
    /// `RLIMIT_CPU`), in seconds.
    const GRACE: u64 = 5;
    let lower = |resource, most: Option<u64>, grace| {
        let Some(most) = most else { return Ok(()) };
        let (soft, hard) = getrlimit(resource)?;
        setrlimit(resource, soft.min(most), hard.min(most.saturating_add(grace)))
    };
    lower(Resource::RLIMIT_CPU, limits.cpu_time, GRACE)?;
    lower(Resource::RLIMIT_NOFILE, limits.open_files, 0)?;
    lower(
        Resource::RLIMIT_FSIZE,
        limits.file_size.map(|mebibytes| mebibytes.saturating_mul(1 << 20)),
        0,
    )
}
