//! The accesses of a run, as the warden collects them: each kind of use of each path with each
//! outcome once, with a count.
//!
//! A script may touch a hundred thousand paths, and the warden's memory is not the script's to fill:
//! a path is kept as the number of its directory and its name's place in one buffer.

use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};

use hashbrown::HashTable;
use nix::errno::Errno;
use serde::Serialize;

use crate::access::{Access, Kind, Outcome};
use crate::digest;

/// So many different accesses are kept; further ones are only counted.
const KEPT: u32 = 1_000_000;
/// So many bytes of names and of directories are kept, too.
const BYTES: usize = 512 << 20;
/// So many denials are told to a person.
const DENIALS: usize = 1000;

/// See the file's description.
#[derive(Debug, Default)]
pub struct Accesses {
    directories: Vec<Box<[u8]>>,
    directory_table: HashTable<u32>,
    directory_bytes: usize,
    /// All names, one after the other.
    names: Vec<u8>,
    entries: Vec<Entry>,
    table: HashTable<u32>,
    /// The script chooses the names: a hash that it cannot foresee.
    hasher: RandomState,
    dropped: u64,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    directory: u32,
    name: u32,
    length: u16,
    outcome: u8,
    kind: Kind,
    count: u32,
    process: u32,
}

const ALLOWED: u8 = 0;
const DENIED: u8 = 254;
const NOT_FOUND: u8 = 255;
const UNKNOWN: u8 = 253;
const HIDDEN: u8 = 252;

fn packed(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Allowed => ALLOWED,
        Outcome::Denied => DENIED,
        Outcome::Hidden => HIDDEN,
        Outcome::NotFound => NOT_FOUND,
        // The highest number that Linux has is 133 (errno(3)).
        Outcome::Failed(errno) => {
            u8::try_from(errno as i32).ok().filter(|errno| *errno != 0).unwrap_or(UNKNOWN)
        }
    }
}

fn unpacked(outcome: u8) -> Outcome {
    match outcome {
        ALLOWED => Outcome::Allowed,
        DENIED => Outcome::Denied,
        HIDDEN => Outcome::Hidden,
        NOT_FOUND => Outcome::NotFound,
        UNKNOWN => Outcome::Failed(Errno::UnknownErrno),
        errno => Outcome::Failed(Errno::from_raw(errno.into())),
    }
}

/// The record's form of an access, borrowed.
#[derive(Serialize)]
struct Written<'a> {
    kind: Kind,
    path: std::borrow::Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path_hex: Option<String>,
    outcome: Outcome,
    count: u32,
    process: u32,
}

/// Directory and name of an absolute path. The root has no name.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    let slash = path.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
    let (directory, name) = path.split_at(slash);
    (directory, name.strip_prefix(b"/").unwrap_or(name))
}

impl Accesses {
    /// Counts one use of an absolute path.
    pub fn add(&mut self, kind: Kind, path: &[u8], outcome: Outcome, process: u32) {
        let (directory, name) = split(path);
        let Some(directory) = self.directory(directory) else {
            self.dropped += 1;
            return;
        };
        let outcome = packed(outcome);
        let hash = self.hasher.hash_one((directory, name, kind, outcome));
        let same = |index: &u32| {
            let entry = &self.entries[*index as usize];
            entry.directory == directory
                && entry.kind == kind
                && entry.outcome == outcome
                && self.name(entry) == name
        };
        if let Some(index) = self.table.find(hash, same) {
            let entry = &mut self.entries[*index as usize];
            entry.count = entry.count.saturating_add(1);
            return;
        }
        let place = u32::try_from(self.names.len());
        let length = u16::try_from(name.len());
        let index = u32::try_from(self.entries.len()).ok().filter(|_| !self.is_full());
        let (Ok(place), Ok(length), Some(index)) = (place, length, index) else {
            self.dropped += 1;
            return;
        };
        self.names.extend_from_slice(name);
        let entry = Entry { directory, name: place, length, outcome, kind, count: 1, process };
        self.entries.push(entry);
        let Self { table, entries, names, hasher, .. } = self;
        table.insert_unique(hash, index, |index| {
            let entry = &entries[*index as usize];
            hasher.hash_one((entry.directory, name_in(names, entry), entry.kind, entry.outcome))
        });
    }

    fn is_full(&self) -> bool {
        self.entries.len() >= KEPT as usize || self.names.len() + self.directory_bytes >= BYTES
    }

    /// The number of a directory; none if it is a new one and there is no room for what is in it.
    fn directory(&mut self, path: &[u8]) -> Option<u32> {
        let is_full = self.is_full();
        let Self { directories, directory_table, hasher, .. } = self;
        let hash = hasher.hash_one(path);
        if let Some(index) =
            directory_table.find(hash, |index| *directories[*index as usize] == *path)
        {
            return Some(*index);
        }
        if is_full {
            return None;
        }
        let index = u32::try_from(directories.len()).ok()?;
        self.directory_bytes += path.len();
        directories.push(path.into());
        directory_table
            .insert_unique(hash, index, |index| hasher.hash_one(&*directories[*index as usize]));
        Some(index)
    }

    fn name(&self, entry: &Entry) -> &[u8] {
        name_in(&self.names, entry)
    }

    fn path(&self, entry: &Entry) -> Vec<u8> {
        [&self.directories[entry.directory as usize], b"/".as_slice(), self.name(entry)].concat()
    }

    /// Whether anything had this outcome.
    #[must_use]
    pub fn has(&self, outcome: Outcome) -> bool {
        let outcome = packed(outcome);
        self.entries.iter().any(|entry| entry.outcome == outcome)
    }

    /// How many did not fit.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// By path, then by kind and outcome.
    fn in_order(&self) -> Vec<u32> {
        let mut order: Vec<u32> = (0..).take(self.entries.len()).collect();
        let key = |index: u32| {
            let entry = &self.entries[index as usize];
            let directory = &*self.directories[entry.directory as usize];
            (directory, self.name(entry), entry.kind, entry.outcome)
        };
        order.sort_unstable_by(|a, b| key(*a).cmp(&key(*b)));
        order
    }

    /// What the jail refused, at most a thousand of them, and how many more there are.
    #[must_use]
    pub fn denials(&self) -> (Vec<Access>, u64) {
        let all = self.in_order();
        let denied: Vec<&Entry> = all
            .iter()
            .map(|index| &self.entries[*index as usize])
            .filter(|entry| entry.outcome == DENIED)
            .collect();
        let more = denied.len().saturating_sub(DENIALS) as u64;
        let access = |entry: &&Entry| {
            let path = self.path(entry);
            let (path, path_hex) = text(&path);
            Access {
                kind: entry.kind,
                path: path.into_owned(),
                path_hex,
                outcome: Outcome::Denied,
                count: entry.count.into(),
                process: entry.process,
            }
        };
        (denied.iter().take(DENIALS).map(access).collect(), more)
    }

    /// Writes all of them as a JSON array, each on a line of its own.
    ///
    /// # Errors
    /// Of `out`.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let mut before = b"[\n";
        for index in self.in_order() {
            let entry = &self.entries[index as usize];
            let path = self.path(entry);
            let (path, path_hex) = text(&path);
            let outcome = unpacked(entry.outcome);
            let Entry { kind, count, process, .. } = *entry;
            out.write_all(before)?;
            let written = Written { kind, path, path_hex, outcome, count, process };
            serde_json::to_writer(&mut *out, &written)?;
            before = b",\n";
        }
        out.write_all(if self.entries.is_empty() { b"[]" } else { b"\n]" })
    }
}

fn name_in<'a>(names: &'a [u8], entry: &Entry) -> &'a [u8] {
    &names[entry.name as usize..][..entry.length.into()]
}

/// A path as text, and its bytes where text cannot say it all.
fn text(path: &[u8]) -> (std::borrow::Cow<'_, str>, Option<String>) {
    let text = String::from_utf8_lossy(path);
    let hex = std::str::from_utf8(path).err().map(|_| digest::hex(path));
    (text, hex)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(accesses: &Accesses) -> Vec<Access> {
        let mut bytes = Vec::new();
        accesses.write(&mut bytes).unwrap();
        serde_json::from_slice(&bytes).unwrap()
    }

    #[test]
    fn the_same_is_counted() {
        let mut accesses = Accesses::default();
        assert!(written(&accesses).is_empty());
        accesses.add(Kind::Read, b"/b/x", Outcome::Allowed, 3);
        accesses.add(Kind::Read, b"/b/x", Outcome::Allowed, 4);
        accesses.add(Kind::Read, b"/b/x", Outcome::Denied, 5);
        accesses.add(Kind::List, b"/", Outcome::Failed(Errno::EMFILE), 0);
        accesses.add(Kind::Stat, b"/a\xff", Outcome::NotFound, 0);
        let all = written(&accesses);
        let paths: Vec<&str> = all.iter().map(|access| access.path.as_str()).collect();
        assert_eq!(paths, ["/", "/a\u{fffd}", "/b/x", "/b/x"]);
        assert_eq!((all[2].count, all[2].process), (2, 3));
        assert_eq!(all[1].path_hex.as_deref(), Some("2f61ff"));
        assert_eq!(all[0].outcome, Outcome::Failed(Errno::EMFILE));
        let (denials, more) = accesses.denials();
        assert_eq!((denials.len(), more), (1, 0));
        assert_eq!(denials[0].process, 5);
    }

    #[test]
    fn a_hundred_thousand_stay_small() {
        let mut accesses = Accesses::default();
        for number in 0..100_000 {
            let path = format!("/some/directory/{}/file-{number}.h", number / 100);
            accesses.add(Kind::Read, path.as_bytes(), Outcome::Allowed, 0);
        }
        assert_eq!(accesses.entries.len(), 100_000);
        let bytes = accesses.names.capacity()
            + accesses.entries.capacity() * size_of::<Entry>()
            + accesses.table.capacity() * 5;
        assert!(bytes < 8 << 20, "{bytes}");
    }
}
