//! Scripts with an interpreter: which files an execve(2) went through before it came to a program.
//!
//! The kernel leaves the path that it was called with to the new program (getauxval(3),
//! `AT_EXECFN`), and says which file the program is. What lies between are files that begin with
//! `#!` (execve(2), "Interpreter scripts"): they are followed here as the kernel did, and count only
//! if they lead to that program. Where something is hidden they are followed before, too, and to the
//! interpreter that a program itself names (ld.so(8)).

use std::ffi::CString;
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;

use nix::errno::Errno;

use super::found;
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

/// What does not exist for `caller` of the interpreters that the kernel would look for if it executed a
/// file.
#[must_use]
pub fn hidden(procfs: &Procfs, caller: u32, program: &OwnedFd) -> Option<Vec<u8>> {
    let mut program = found::reopened(program).ok()?;
    for _ in 0..=DEEPEST {
        let place = Place::for_caller(caller, named_in(program)?, procfs).ok()?;
        if let Some(path) = place.hidden(procfs, true) {
            return Some(path);
        }
        program = found::reopened(&place.open(procfs, found::path_only(), 0).ok()?.file).ok()?;
    }
    None
}

/// The interpreter that a file names, as a script or as a program.
fn named_in(file: impl Into<File>) -> Option<CString> {
    let file = file.into();
    let line = beginning(&file)?;
    interpreter_in(&line).or_else(|| loader_in(&file, &line))
}

/// A file's path, and the interpreter that it names.
fn look(procfs: &Procfs, caller: u32, name: CString) -> Result<(Vec<u8>, Option<CString>), Errno> {
    let place = Place::for_caller(caller, name, procfs)?;
    let found = place.open(procfs, found::path_only(), 0)?;
    // A program may be executable and not readable; it is no script then.
    let line = found::reopened(&found.file).ok().and_then(|file| beginning(&File::from(file)));
    Ok((found.path, line.and_then(|line| interpreter_in(&line))))
}

/// What the kernel reads of a file to know what it is.
fn beginning(file: &File) -> Option<Vec<u8>> {
    let mut line = Vec::new();
    file.take(LINE as u64).read_to_end(&mut line).ok().map(|_| line)
}

/// The program interpreter that a program of 64 bits names (elf(5), `PT_INTERP`).
fn loader_in(file: &File, header: &[u8]) -> Option<CString> {
    const PT_INTERP: u64 = 3;
    const PATH_MAX: u64 = 4096;
    /// More are no program's (`load_elf_phdrs` in the kernel's `fs/binfmt_elf.c`).
    const HEADERS: usize = 65536;
    let number = |bytes: &[u8], at: usize, size: usize| {
        let bytes = bytes.get(at..at + size)?;
        Some(bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    };
    if !header.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    let (at, size, count) =
        (number(header, 32, 8)?, number(header, 54, 2)?, number(header, 56, 2)?);
    let mut headers = vec![0; usize::try_from(size * count).ok().filter(|all| *all <= HEADERS)?];
    file.read_exact_at(&mut headers, at).ok()?;
    let size = usize::try_from(size).ok().filter(|size| *size > 0)?;
    let wanted =
        headers.chunks_exact(size).find(|header| number(header, 0, 4) == Some(PT_INTERP))?;
    let (at, length) = (number(wanted, 8, 8)?, number(wanted, 32, 8)?);
    let mut path = vec![0; usize::try_from(length.min(PATH_MAX)).ok()?];
    file.read_exact_at(&mut path, at).ok()?;
    let path = path.split(|byte| *byte == 0).next()?;
    CString::new(path).ok().filter(|path| !path.is_empty())
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

    #[test]
    fn a_program_names_its_loader() {
        let loader = |path: &str| named_in(File::open(path).unwrap());
        let name = loader("/bin/true").unwrap().into_string().unwrap();
        assert!(name.contains("ld-") && std::path::Path::new(&name).exists(), "{name}");
        // The loader itself has none; nor has what is cut off.
        assert_eq!(loader(&name), None);
        let whole = std::fs::read("/bin/true").unwrap();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("cut");
        for length in [0, 4, 40, 63, 64, 100] {
            std::fs::write(&path, &whole[..length]).unwrap();
            assert_eq!(loader(path.to_str().unwrap()), None, "{length}");
        }
    }
}
