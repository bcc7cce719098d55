//! What the kernel says of a thread in a file of its own below `/proc`.
//!
//! It writes such a file anew for each read, so one is read at once, and of what is asked for together the
//! answers come from one reading.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::str::FromStr;

use nix::errno::Errno;

/// Nearly all are shorter, in bytes.
const USUAL: usize = 4096;

/// The first bytes of a file of a thread's that the kernel gives as much of as is asked for, at most so many.
///
/// # Errors
/// Of open(2) and read(2): the thread is gone, for one.
pub fn read(thread: u32, name: &str, most: usize) -> io::Result<Vec<u8>> {
    let mut file = File::open(format!("/proc/{thread}/{name}"))?;
    let mut bytes = vec![0; USUAL.min(most)];
    let mut length = 0;
    loop {
        match file.read(&mut bytes[length..]) {
            Ok(read) => length += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        }
        // There is no more.
        if length < bytes.len() || length >= most {
            bytes.truncate(length);
            return Ok(bytes);
        }
        bytes.resize(most.min(2 * length), 0);
    }
}

/// `/proc/THREAD/status` (`proc_pid_status`(5)).
#[derive(Debug)]
pub struct Status(Vec<u8>);

impl Status {
    /// Reads it.
    ///
    /// # Errors
    /// `ESRCH` if the thread is gone.
    pub fn of(thread: u32) -> Result<Self, Errno> {
        read(thread, "status", usize::MAX).map(Self).map_err(|_| Errno::ESRCH)
    }

    /// What stands behind the name of a field, such as `Umask:`.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut lines = self.0.split(|byte| *byte == b'\n');
        let value = lines.find_map(|line| line.strip_prefix(name.as_bytes()))?;
        // A thread's name is any bytes; no other field's value is.
        str::from_utf8(value).ok().map(str::trim)
    }

    /// The same, of a field that has a decimal number.
    #[must_use]
    pub fn number<T: FromStr>(&self, name: &str) -> Option<T> {
        self.field(name)?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn a_status_has_fields() {
        let own = std::process::id();
        let status = Status::of(own).unwrap();
        assert_eq!(status.number("Tgid:"), Some(own));
        assert_eq!(status.field("Nothing:"), None);
        assert!(Status::of(u32::MAX).is_err());
        let bytes = b"Name:\ta\xff\nUmask:\t0022\nVmHWM:\t    12 kB\n".to_vec();
        let status = Status(bytes);
        assert_eq!((status.field("Umask:"), status.field("VmHWM:")), (Some("0022"), Some("12 kB")));
        assert_eq!(status.field("Name:"), None);
    }

    #[test]
    fn a_long_file_is_read_to_its_end_or_as_far_as_wanted() {
        let long = "x".repeat(3 * USUAL);
        let mut command = Command::new("sh");
        command.args(["-c", "echo; read x", &long]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // Before it runs the kernel does not have its arguments in place.
        child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        let read = |most| read(child.id(), "cmdline", most).unwrap();
        let (whole, start) = (read(usize::MAX), read(100));
        drop(child.stdin.take());
        child.wait().unwrap();
        assert!(whole == format!("sh\0-c\0echo; read x\0{long}\0").as_bytes());
        assert!(start == whole[..100]);
    }
}
