//! The jobserver's pipe, which Cargo, rustc and every script share, kept usable whatever a script did
//! to it.
//!
//! A script can fill it, and Cargo would wait for ever when it gives a token back; or make its ends
//! non-blocking for everybody. A token that a script has taken is lost until Cargo ends: who else may
//! have it cannot be told.

use std::io;
use std::os::fd::RawFd;

use crate::sys;
use crate::unit::Jobserver;

/// More jobs than these nobody runs at a time.
const MOST: usize = 4096;

/// The ends of the pipe as they were before the script.
#[derive(Debug)]
pub struct Tokens {
    read: RawFd,
    write: RawFd,
    flags: (i32, i32),
}

impl Tokens {
    /// Notes how an inherited pipe is; none if the jobserver is another one, or these numbers are those of
    /// other descriptors: who passes on the variable need not pass on the pipe.
    #[must_use]
    pub fn note(jobserver: Option<&Jobserver>) -> Option<Self> {
        let Some(&Jobserver::Pipe { read, write }) = jobserver else { return None };
        if !sys::is_inherited_pipe(read) || !sys::is_inherited_pipe(write) {
            return None;
        }
        let flags = (sys::status_flags(read).ok()?, sys::status_flags(write).ok()?);
        Some(Self { read, write, flags })
    }

    /// Puts the pipe back into that state, once the script is gone.
    ///
    /// # Errors
    /// Those of fcntl(2), ioctl(2) and read(2).
    pub fn restore(&self) -> io::Result<()> {
        sys::set_status_flags(self.write, self.flags.1)?;
        sys::set_status_flags(self.read, self.flags.0)?;
        let mut buffer = [0; 1024];
        loop {
            let surplus = sys::bytes_in_pipe(self.read)?.saturating_sub(MOST).min(buffer.len());
            // Others take tokens at the same time, but never so many that this waits.
            if surplus == 0 {
                return Ok(());
            }
            match sys::uninterrupted(|| sys::read_inherited(self.read, &mut buffer[..surplus])) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }
}
