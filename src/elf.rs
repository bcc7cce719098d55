//! Which shared libraries a program or library is linked with (elf(5)).
//!
//! Of 64-bit little-endian files alone, as scripts are on the machines that we run on. What is none, or
//! says what cannot be, is linked with nothing.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::FileExt;
use std::path::Path;

const HEADER: usize = 64;
const PROGRAM_HEADER: usize = 56;
/// An entry of the dynamic section: a tag and a value.
const ENTRY: usize = 16;
/// More than any linker writes.
const MOST: usize = 4096;
/// The longest name of a library.
const NAME: usize = 256;

const PT_LOAD: u64 = 1;
const PT_DYNAMIC: u64 = 2;
const DT_NEEDED: u64 = 1;
const DT_STRTAB: u64 = 5;

/// The names of the libraries, as the linker has written them, but for those with a directory.
#[must_use]
pub fn needed(path: &Path) -> Vec<OsString> {
    File::open(path).ok().and_then(|file| needed_by(&file)).unwrap_or_default()
}

fn needed_by(file: &File) -> Option<Vec<OsString>> {
    let header = bytes(file, 0, HEADER)?;
    if !header.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    let (at, count) = (number(&header, 32, 8)?, number(&header, 56, 2)?);
    let count = usize::try_from(count).ok()?.min(MOST);
    let headers = bytes(file, at, count * PROGRAM_HEADER)?;
    let headers: Vec<&[u8]> = headers.chunks_exact(PROGRAM_HEADER).collect();
    let of_kind = |kind| headers.iter().filter(move |header| number(header, 0, 4) == Some(kind));
    let dynamic = of_kind(PT_DYNAMIC).next()?;
    let size = usize::try_from(number(dynamic, 32, 8)?).ok()?.min(MOST * ENTRY);
    let entries = bytes(file, number(dynamic, 8, 8)?, size)?;
    let entries = || {
        let entries = entries.chunks_exact(ENTRY);
        entries.filter_map(|entry| Some((number(entry, 0, 8)?, number(entry, 8, 8)?)))
    };
    let (_, strings) = entries().find(|(tag, _)| *tag == DT_STRTAB)?;
    // The entry has an address; where that is in the file the segment around it says.
    let strings = of_kind(PT_LOAD).find_map(|header| {
        let (offset, address) = (number(header, 8, 8)?, number(header, 16, 8)?);
        let within = strings.checked_sub(address)?;
        (within < number(header, 32, 8)?).then(|| offset.checked_add(within))?
    })?;
    let name = |at: u64| {
        let mut name = vec![0; NAME];
        let length = file.read_at(&mut name, strings.checked_add(at)?).ok()?;
        name.truncate(name[..length].iter().position(|byte| *byte == 0)?);
        Some(OsString::from_vec(name))
    };
    let names = entries().filter(|(tag, _)| *tag == DT_NEEDED).filter_map(|(_, at)| name(at));
    let is_plain = |name: &OsStr| !name.is_empty() && !name.as_bytes().contains(&b'/');
    Some(names.filter(|name| is_plain(name)).collect())
}

fn bytes(file: &File, at: u64, length: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, at).ok()?;
    Some(bytes)
}

fn number(bytes: &[u8], at: usize, length: usize) -> Option<u64> {
    let mut number = [0; 8];
    number[..length].copy_from_slice(bytes.get(at..at + length)?);
    Some(u64::from_le_bytes(number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::process::Command;

    #[test]
    fn libraries_are_found_in_what_the_linker_writes() {
        let dir = tempfile::tempdir().unwrap();
        let source = dir.path().join("a.c");
        fs::write(&source, "int puts(const char *); int main(void) { return puts(\"\"); }")
            .unwrap();
        let program = dir.path().join("a");
        let status = Command::new("cc")
            .args(["-o".as_ref(), program.as_os_str(), source.as_os_str()])
            .status();
        assert!(status.unwrap().success());
        assert_eq!(needed(&program), ["libc.so.6"]);
        assert!(needed(&source).is_empty() && needed(dir.path()).is_empty());
        // No part of it has us read what is not there.
        let whole = fs::read(&program).unwrap();
        for end in (0..whole.len()).step_by(97) {
            fs::write(&program, &whole[..end]).unwrap();
            assert!(needed(&program).len() <= 1);
        }
    }
}
