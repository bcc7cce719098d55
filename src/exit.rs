//! Exit codes, and ending the way another process ended.

use std::process::ExitCode;

use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, pthread_sigmask, raise};

/// Of `cargo brig approve`: nobody accepted anything.
pub const DECLINED: i32 = 1;
/// The command line cannot be understood, or asks for what is refused.
pub const USAGE: i32 = 2;
/// Cargo succeeded, but a build script of the build was not in the jail.
pub const UNJAILED: i32 = 3;
/// The front door could not do its own part; or build scripts cannot be jailed here, which is what
/// [`crate::doctor`] ends with.
pub const FAILED: i32 = 4;
/// Of an audit: a build script did what nobody has approved.
pub const UNAPPROVED: i32 = 5;
/// Of an audit: a build script did what the policy does not forgive.
pub const VIOLATED: i32 = 6;
/// Of an audit: a build script failed by itself.
pub const SCRIPT_FAILED: i32 = 7;
/// Of an audit: it cannot be said what a build script did.
pub const UNJUDGED: i32 = 8;
/// A launcher or shim could not do its part; the script did not run, or what it printed is void.
pub const NOT_RUN: i32 = 125;
/// The script printed an instruction that is withheld, left a planted link, came to a limit, or was denied
/// what its policy does not forgive.
pub const WITHHELD: i32 = 124;

/// How the program is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// With this exit code.
    Code(i32),
    /// By this signal, so that whoever waits sees what happened to the script.
    Signal(i32),
}

impl Ending {
    /// Ends the program by the signal, or returns the code to end with.
    #[must_use]
    pub fn into_code(self) -> ExitCode {
        let code = match self {
            Self::Code(code) => code,
            Self::Signal(number) => {
                die_by(number);
                // Only a signal that cannot kill gets here.
                128 + number
            }
        };
        ExitCode::from(u8::try_from(code & 0xff).unwrap_or(u8::MAX))
    }
}

fn die_by(number: i32) {
    let Ok(signal) = Signal::try_from(number) else { return };
    // The script may have dumped core; the launcher has nothing to show.
    if let Err(errno) = setrlimit(Resource::RLIMIT_CORE, 0, 0) {
        tracing::debug!(%errno, "core dumps stay possible");
    }
    crate::sys::reset_signal_dispositions();
    let all: SigSet = [signal].into_iter().collect();
    let raised =
        pthread_sigmask(SigmaskHow::SIG_UNBLOCK, Some(&all), None).and_then(|()| raise(signal));
    if let Err(errno) = raised {
        tracing::debug!(%errno, "a code stands for the signal");
    }
}
