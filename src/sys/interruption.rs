//! Calls that a signal interrupts (signal(7), "Interruption of system calls"), made again.
//!
//! `std` does so for reading, writing and opening files, and not for directories; `nix` does not. No
//! handler of ours is ever to end a wait but that of the warden's threads that wait for the script.

use std::io;

use nix::errno::Errno;

/// An error that can be `EINTR`.
pub trait Interruption {
    /// Whether it is.
    fn is_interruption(&self) -> bool;
}

impl Interruption for Errno {
    fn is_interruption(&self) -> bool {
        *self == Errno::EINTR
    }
}

impl Interruption for io::Error {
    fn is_interruption(&self) -> bool {
        self.kind() == io::ErrorKind::Interrupted
    }
}

/// Makes a call until it is not interrupted.
///
/// # Errors
/// Those of the call, but for `EINTR`.
pub fn uninterrupted<T, E: Interruption>(mut call: impl FnMut() -> Result<T, E>) -> Result<T, E> {
    loop {
        match call() {
            Err(error) if error.is_interruption() => {}
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_interrupted_is_done_again() {
        let mut results = vec![Err(Errno::EIO), Ok(2), Ok(1), Err(Errno::EINTR)];
        let mut next = || uninterrupted(|| results.pop().unwrap());
        assert_eq!([next(), next(), next()], [Ok(1), Ok(2), Err(Errno::EIO)]);
    }
}
