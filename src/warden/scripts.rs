//! Scripts with an interpreter: which files an execve(2) went through before it came to a program.
//!
//! The kernel leaves the path that it was called with to the new program (getauxval(3),
//! `AT_EXECFN`), and says which file the program is. What lies between are files that begin with
//! `#!` (execve(2), "Interpreter scripts"): they are followed here as the kernel did, and count only
//! if they lead to that program.

use std::ffi::CString;
use std::fs::File;
use std::io::Read;

use nix::errno::Errno;

use super::found::{self, Found};
use super::place::Place;
use super::procfs::Procfs;

/// So much of a file's beginning the kernel looks at (`BINPRM_BUF_SIZE`).
const LINE: usize = 256;
/// So often one interpreter may be the next one's script.
const DEEPEST: usize = 5;

/// The files that were executed when `caller` was given `name` to execute and became `program`,
/// besides the program itself; none if the one does not lead to the other.
#[must_use]
pub fn between(procfs: &Procfs, caller: u32, name: CString, program: &[u8]) -> Vec<Vec<u8>> {
    let mut scripts = Vec::new();
    let mut name = name;
    for _ in 0..=DEEPEST {
        let Ok((path, interpreter)) = look(procfs, caller, name) else { break };
        if path == program {
            return scripts;
        }
        let Some(interpreter) = interpreter else { break };
        scripts.push(path);
        name = interpreter;
    }
    Vec::new()
}

/// A file's path, and the interpreter that it names.
fn look(procfs: &Procfs, caller: u32, name: CString) -> Result<(Vec<u8>, Option<CString>), Errno> {
    let flags = libc::O_RDONLY | libc::O_NONBLOCK | libc::O_CLOEXEC;
    let place = Place::for_caller(caller, name, procfs)?;
    let Ok(Found { file, path }) = place.open(procfs, found::flags(flags), 0) else {
        // A program may be executable and not readable; it is no script then.
        let found = place.open(procfs, found::flags(libc::O_PATH | libc::O_CLOEXEC), 0)?;
        return Ok((found.path, None));
    };
    let mut line = Vec::new();
    let read = File::from(file).take(LINE as u64).read_to_end(&mut line);
    Ok((path, read.ok().and_then(|_| interpreter_in(&line))))
}

/// The interpreter that a file's first line names.
fn interpreter_in(beginning: &[u8]) -> Option<CString> {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let line = beginning.strip_prefix(b"#!")?;
    let line = line.split(|byte| matches!(byte, b'\n' | b'\0')).next()?;
    let start = line.iter().position(|byte| !is_blank(byte))?;
    let name = line[start..].split(is_blank).next()?;
    CString::new(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interpreter_is_the_first_word() {
        let interpreter = |line: &[u8]| interpreter_in(line).map(CString::into_bytes);
        assert_eq!(interpreter(b"#!/bin/sh\nrm").unwrap(), b"/bin/sh");
        assert_eq!(interpreter(b"#! \t/usr/bin/env -S x y\n").unwrap(), b"/usr/bin/env");
        assert_eq!(interpreter(b"#!/bin/x").unwrap(), b"/bin/x");
        for none in [&b"\x7fELF"[..], b"#", b"#!", b"#!  \n/bin/sh"] {
            assert_eq!(interpreter(none), None);
        }
    }
}
