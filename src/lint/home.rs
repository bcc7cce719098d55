//! Paths of the home directory in what a script made: in the files of `OUT_DIR`, text or not, and in
//! what `rustc-env` puts into the program.
//!
//! The build directory often lies in the home directory too; paths into it are where things are, and not
//! counted. At most 256 MiB are looked at.

use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::subject::Subject;
use super::{Code, Lint};
use crate::instruction::Kind;

/// So many bytes are looked at, in all.
const LOOKED_AT: u64 = 256 << 20;
/// So much of a path is shown.
const SHOWN: usize = 120;

/// What names the home directory.
#[must_use]
pub fn named(subject: &Subject<'_>) -> Option<Lint> {
    let home = subject.unit.home().filter(|home| home.parent().is_some())?;
    let search = Search::new(&home, subject.unit.build_dir().root());
    let mut example = None;
    let mut items = Vec::new();
    for kind in subject.kinds() {
        if let Kind::Env { name, value } = kind
            && let Some(path) = search.find(value.as_bytes())
        {
            example.get_or_insert(path);
            items.push(format!("rustc-env={name}"));
        }
    }
    let (mut left, mut is_complete) = (LOOKED_AT, true);
    for output in subject.stored.outputs.iter().flatten().filter(|output| output.link.is_none()) {
        let path = subject.unit.out_dir.join(&*output.path);
        let Some(bytes) = read(&path, left) else { continue };
        left -= bytes.len() as u64;
        is_complete &= bytes.len() as u64 >= output.size;
        if let Some(found) = search.find(&bytes) {
            example.get_or_insert(found);
            items.push(subject.shorten(&path.to_string_lossy()));
        }
    }
    let example = example.unwrap_or_default();
    let but = if is_complete { "" } else { " (not all was looked at: it is more than 256 MiB)" };
    let message =
        format!("put paths of the home directory into its outputs, such as `{example}`{but}");
    Lint::about(Code::HomeDirectoryInOutput, &message, items)
}

/// As much of a regular file as is allowed. The script is gone, but what it left can be anything.
fn read(path: &Path, left: u64) -> Option<Vec<u8>> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let file = File::options().read(true).custom_flags(flags).open(path).ok()?;
    file.metadata().ok()?.is_file().then_some(())?;
    let mut bytes = Vec::new();
    file.take(left).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// What is looked for.
struct Search {
    /// With a slash at its end.
    home: Vec<u8>,
    build_dir: PathBuf,
}

impl Search {
    fn new(home: &Path, build_dir: &Path) -> Self {
        let mut home = home.as_os_str().as_bytes().to_vec();
        home.push(b'/');
        Self { home, build_dir: build_dir.to_owned() }
    }

    /// The first path of the home directory, printable and not too long.
    fn find(&self, bytes: &[u8]) -> Option<String> {
        let length = self.home.len();
        let starts = bytes.windows(length).enumerate().filter(|(_, window)| *window == self.home);
        starts.map(|(at, _)| at).find_map(|at| {
            if !begins_a_path(&bytes[..at]) {
                return None;
            }
            let is_end = |byte: &u8| byte.is_ascii_control() || b"\"'`<>|;:,()".contains(byte);
            let rest = &bytes[at..];
            let end = rest.iter().position(is_end).unwrap_or(rest.len());
            let path = String::from_utf8_lossy(&rest[..end]);
            // A name is not all: a path that ends here is of no interest.
            let is_own = Path::new(&*path).starts_with(&self.build_dir) || end == length;
            (!is_own).then(|| path.chars().take(SHOWN).collect())
        })
    }
}

/// Whether a path can begin after these bytes: `/mnt/root/x` has no `/root/` in it, `-I/root/x` has.
fn begins_a_path(before: &[u8]) -> bool {
    match before {
        [.., b'-', option] if option.is_ascii_uppercase() => true,
        [.., last] => !(last.is_ascii_alphanumeric() || b"_-./+~".contains(last)),
        [] => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_the_home_directory_are_found() {
        let search = Search::new(Path::new("/home/é u"), Path::new("/home/é u/ship/target"));
        for (text, expected) in [
            ("x\0/home/é u/.cargo/a b.c\0y", Some("/home/é u/.cargo/a b.c")),
            ("-I/home/é u/include", Some("/home/é u/include")),
            ("\"/home/é u/a\", \"b\"", Some("/home/é u/a")),
            ("/home/é u/ship/target/debug/build/x/out/y.rs", None),
            ("/home/é u/ship/target/x:/home/é u/y", Some("/home/é u/y")),
            ("/mnt/home/é u/x", None),
            ("/home/é u/", None),
            ("/home/é u", None),
        ] {
            assert_eq!(search.find(text.as_bytes()).as_deref(), expected, "{text}");
        }
    }
}
