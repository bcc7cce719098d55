//! What one compilation writes, in directories that it shares with others.
//!
//! Cargo has all crates of a profile compiled into one directory (`deps`). The jail's ruleset can only
//! give that directory as a whole; which names in it a compilation may make or change is told here, by
//! the names that rustc gives to its files.

use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// The directories that a compilation writes into.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outputs {
    /// Each of them.
    pub shared: Vec<Shared>,
}

/// A directory in which some names are a compilation's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shared {
    /// Absolute, without symbolic links.
    pub directory: PathBuf,
    /// What its own names begin with.
    pub stems: Vec<Vec<u8>>,
    /// What comes behind that; but for [`Behind::Dash`] a name may also end there.
    pub behind: Behind,
}

/// What comes behind the beginning of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behind {
    /// A dot: `libfoo-0123456789abcdef.rlib`.
    Dot,
    /// A dash: `foo-2x9k…`, the directory of an incremental compilation
    /// (`rustc_incremental/src/persist/fs.rs`).
    Dash,
}

/// Whose a path is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The ruleset alone decides about it.
    Elsewhere,
    /// The compilation's.
    Own,
    /// Named at random by rustc or a linker: its own if it has made it.
    Temporary,
    /// Another compilation's.
    Foreign,
}

impl Outputs {
    /// Whose a path is that is absolute and free of symbolic links, and the name in the shared directory
    /// by which that can be told.
    #[must_use]
    pub fn owner<'p>(&self, path: &'p [u8]) -> (Owner, &'p [u8]) {
        let mut nearest: Option<(Owner, &[u8], usize)> = None;
        for shared in &self.shared {
            let directory = shared.directory.as_os_str().as_bytes();
            let Some(rest) = path.strip_prefix(directory) else { continue };
            let Some(rest) = rest.strip_prefix(b"/") else { continue };
            let end = rest.iter().position(|byte| *byte == b'/').unwrap_or(rest.len());
            let length = directory.len();
            if nearest.is_none_or(|(owner, _, nearest)| {
                nearest < length || (nearest == length && owner == Owner::Foreign)
            }) {
                let whole = &path[..=length + end];
                nearest = Some((shared.owner(&rest[..end]), whole, length));
            }
        }
        nearest.map_or((Owner::Elsewhere, path), |(owner, name, _)| (owner, name))
    }
}

impl Shared {
    /// Whether something of this name is the compilation's own, whoever made it.
    #[must_use]
    pub fn has(&self, name: &[u8]) -> bool {
        self.stems.iter().any(|stem| {
            let rest = name.strip_prefix(stem.as_slice());
            rest.is_some_and(|rest| match (self.behind, rest.first()) {
                (Behind::Dot, next) => next.is_none_or(|next| *next == b'.'),
                (Behind::Dash, next) => next == Some(&b'-'),
            })
        })
    }

    fn owner(&self, name: &[u8]) -> Owner {
        match self.behind {
            _ if self.has(name) => Owner::Own,
            Behind::Dot if is_temporary(name) => Owner::Temporary,
            Behind::Dot | Behind::Dash => Owner::Foreign,
        }
    }
}

/// Whether rustc or a linker gives such a name to what it keeps beside its output until it is complete:
/// `rmeta` and `rustc` (`rustc_metadata/src/fs.rs`, `rustc_codegen_ssa/src/back/link.rs`), `.tmp` (the
/// archive that is written), `.mold-`, each with what makes it unique.
fn is_temporary(name: &[u8]) -> bool {
    const BEGINNINGS: [(&[u8], &[u8]); 4] =
        [(b"rmeta", b""), (b"rustc", b""), (b".tmp", b".temp-archive"), (b".mold-", b"")];
    BEGINNINGS.iter().any(|(beginning, end)| {
        let middle = name.strip_prefix(*beginning).and_then(|rest| rest.strip_suffix(*end));
        middle
            .is_some_and(|middle| middle.len() == 6 && middle.iter().all(u8::is_ascii_alphanumeric))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_its_own_anothers_or_nobodys() {
        let shared = |directory: &str, stems: &[&str], behind| Shared {
            directory: directory.into(),
            stems: stems.iter().map(|stem| stem.as_bytes().to_vec()).collect(),
            behind,
        };
        let outputs = Outputs {
            shared: vec![
                shared("/t/debug/deps", &["foo-12ab", "libfoo-12ab"], Behind::Dot),
                shared("/t/debug/incremental", &["foo"], Behind::Dash),
                shared("/t/debug", &["foo"], Behind::Dot),
            ],
        };
        for (path, owner, name) in [
            ("/t/debug/deps/libfoo-12ab.rlib", Owner::Own, "/t/debug/deps/libfoo-12ab.rlib"),
            ("/t/debug/deps/foo-12ab", Owner::Own, "/t/debug/deps/foo-12ab"),
            ("/t/debug/deps/foo-12abc.d", Owner::Foreign, "/t/debug/deps/foo-12abc.d"),
            ("/t/debug/deps/libbar-12ab.rlib", Owner::Foreign, "/t/debug/deps/libbar-12ab.rlib"),
            ("/t/debug/deps/rmetaA1b2C3/full", Owner::Temporary, "/t/debug/deps/rmetaA1b2C3"),
            ("/t/debug/deps/rustc_a-12ab.d", Owner::Foreign, "/t/debug/deps/rustc_a-12ab.d"),
            (
                "/t/debug/deps/.tmpA1b2C3.temp-archive",
                Owner::Temporary,
                "/t/debug/deps/.tmpA1b2C3.temp-archive",
            ),
            ("/t/debug/incremental/foo-1x/s", Owner::Own, "/t/debug/incremental/foo-1x"),
            ("/t/debug/incremental/foo", Owner::Foreign, "/t/debug/incremental/foo"),
            (
                "/t/debug/incremental/rustcA1b2C3",
                Owner::Foreign,
                "/t/debug/incremental/rustcA1b2C3",
            ),
            ("/t/debug/foo.d", Owner::Own, "/t/debug/foo.d"),
            ("/t/debug/bar.d", Owner::Foreign, "/t/debug/bar.d"),
            ("/t/debug/deps", Owner::Foreign, "/t/debug/deps"),
            ("/t/debug", Owner::Elsewhere, "/t/debug"),
            ("/x", Owner::Elsewhere, "/x"),
        ] {
            let (found, at) = outputs.owner(path.as_bytes());
            assert_eq!((found, str::from_utf8(at).unwrap()), (owner, name), "{path}");
        }
    }
}
