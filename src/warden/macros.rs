//! Whose procedural macro a call comes from.
//!
//! rustc loads macros as shared libraries and runs them in its own threads. So the nearest address on the
//! calling thread's stack that lies in such a library says which one it is. It is a hint for a person,
//! not a proof: who wants to can leave another address there.

use std::fs;
use std::path::Path;

use super::argument;

/// So much of a stack is looked at, in bytes.
const DEPTH: usize = 256 * 1024;
const PAGE: usize = 4096;

/// The crate of the macro that makes the call in which this thread is. None if it is none.
#[must_use]
pub fn caller(thread: u32) -> Option<String> {
    let libraries = libraries(&fs::read_to_string(format!("/proc/{thread}/maps")).ok()?);
    if libraries.is_empty() {
        return None;
    }
    // The last two fields are the stack pointer and the program counter (proc_pid_syscall(5)).
    let at = fs::read_to_string(format!("/proc/{thread}/syscall")).ok()?;
    let stack = at.split_whitespace().rev().nth(1)?.strip_prefix("0x")?;
    let mut address = u64::from_str_radix(stack, 16).ok()?;
    let end = address.saturating_add(DEPTH as u64);
    let mut buffer = [0; PAGE];
    while address < end {
        // What lies behind the stack's end cannot be read.
        let length = PAGE - usize::try_from(address % PAGE as u64).ok()?;
        let piece = &mut buffer[..length];
        argument::bytes(thread, address, piece).ok()?;
        let mut words = piece.chunks_exact(8).filter_map(|word| word.try_into().ok());
        let found = words.find_map(|word| {
            let word = u64::from_ne_bytes(word);
            libraries.iter().find(|(from, to, _)| (*from..*to).contains(&word))
        });
        if let Some((_, _, name)) = found {
            return Some(name.clone());
        }
        address += length as u64;
    }
    None
}

/// The executable parts of what could be a macro's library, with its crate's name.
#[must_use]
pub fn libraries(maps: &str) -> Vec<(u64, u64, String)> {
    let of_line = |line: &str| {
        // Fields: addresses, rights, offset, device, inode, path (proc_pid_maps(5)).
        let mut fields = line.splitn(6, ' ');
        let (from, to) = fields.next()?.split_once('-')?;
        if !fields.next()?.contains('x') {
            return None;
        }
        let name = crate_of(Path::new(fields.nth(3)?.trim_start()))?;
        Some((u64::from_str_radix(from, 16).ok()?, u64::from_str_radix(to, 16).ok()?, name))
    };
    maps.lines().filter_map(of_line).collect()
}

/// The name of the crate that Cargo has had compiled into this library. The toolchain's own lie in `lib`.
fn crate_of(library: &Path) -> Option<String> {
    if library.parent()?.file_name()? == "lib" {
        return None;
    }
    let (name, hash) = library
        .file_name()?
        .to_str()?
        .strip_prefix("lib")?
        .strip_suffix(".so")?
        .rsplit_once('-')?;
    let is_hash = hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hash.then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_macros_library_is_told_from_others() {
        let maps = "7f0000000000-7f0000001000 r--p 00000000 fe:00 1   /t/debug/deps/libevil-0123456789abcdef.so\n\
            7f0000001000-7f0000009000 r-xp 00001000 fe:00 1   /t/a b/debug/deps/libevil_x-0123456789abcdef.so\n\
            7f0000010000-7f0000019000 r-xp 00001000 fe:00 1   /r/lib/libstd-0123456789abcdef.so\n\
            7f0000020000-7f0000029000 r-xp 00001000 fe:00 1   /usr/lib/x/libc.so.6\n\
            7ffc00000000-7ffc00021000 rw-p 00000000 00:00 0   [stack]\n";
        let found = libraries(maps);
        assert_eq!(found, [(0x7f00_0000_1000, 0x7f00_0000_9000, "evil_x".to_owned())]);
    }
}
