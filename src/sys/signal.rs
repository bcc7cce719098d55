//! Signals: what is done with them.

use nix::errno::Errno;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

/// Restores the default action of every signal that a handler or "ignore" was set for
/// (signal(7)): ignored signals are otherwise inherited through execve(2).
pub fn reset_signal_dispositions() {
    for signal in 1..=64 {
        // SAFETY: SIG_DFL is valid for every signal; SIGKILL, SIGSTOP and the two that libc keeps
        // for itself answer EINVAL, which is of no consequence.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

/// Has a signal end the system call that a thread waits in, and do nothing else (sigaction(2),
/// without `SA_RESTART`).
///
/// # Errors
/// The error of sigaction(2).
pub fn let_interrupt(signal: Signal) -> Result<(), Errno> {
    extern "C" fn nothing(_: libc::c_int) {}
    let action = SigAction::new(SigHandler::Handler(nothing), SaFlags::empty(), SigSet::empty());
    // SAFETY: the handler does nothing, so whatever it interrupts is not harmed.
    unsafe { sigaction(signal, &action) }.map(drop)
}

/// Ignores a signal, until [`reset_signal_dispositions`] (signal(2)).
///
/// # Errors
/// `EINVAL` for a signal that cannot be ignored.
pub fn ignore(signal: Signal) -> Result<(), Errno> {
    let action = SigAction::new(SigHandler::SigIgn, SaFlags::empty(), SigSet::empty());
    // SAFETY: no handler of ours runs.
    unsafe { sigaction(signal, &action) }.map(drop)
}
