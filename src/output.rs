//! Outputs: what a script has left in `OUT_DIR`, and a compilation under its own names.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::digest;
use crate::policy::outputs::Shared;
use crate::sys;

/// So many are listed.
const KEPT: usize = 10_000;
/// So many bytes are digested in all. A file's length costs a script nothing: a hole takes no space, and
/// a further name none either.
const DIGESTED: u64 = 4 << 30;

/// A file in `OUT_DIR`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// Below `OUT_DIR`.
    pub path: String,
    /// Its length, in bytes; of a symbolic link that of what it says.
    pub size: u64,
    /// SHA-256 of its content, in lower-case hexadecimal digits; none of what is no regular file,
    /// cannot be read, or is beyond the 4 GiB that are digested of all.
    pub sha256: Option<String>,
    /// Where a symbolic link leads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
}

/// All outputs, by path, and how many there are beyond those that are listed. Nothing of the script
/// is left to change them.
#[must_use]
pub fn all_in(out_dir: &Path) -> (Vec<Output>, u64) {
    let (mut outputs, mut dropped) = (Vec::new(), 0);
    collect(out_dir, out_dir, &mut outputs, &mut dropped, &mut { DIGESTED });
    (outputs, dropped)
}

/// The files in a directory whose names are a compilation's own, as [`all_in`].
#[must_use]
pub fn own_in(shared: &Shared) -> (Vec<Output>, u64) {
    let (mut outputs, mut dropped) = (Vec::new(), 0);
    let is_own = |path: &Path| path.file_name().is_some_and(|name| shared.has(name.as_bytes()));
    let (directory, left) = (&shared.directory, &mut { DIGESTED });
    let Some(paths) = sorted(directory) else { return (outputs, 1) };
    for path in paths.iter().filter(|path| is_own(path)) {
        add(directory, path, &mut outputs, &mut dropped, left);
    }
    (outputs, dropped)
}

fn sorted(directory: &Path) -> Option<Vec<PathBuf>> {
    let entries = sys::uninterrupted(|| fs::read_dir(directory)).ok()?;
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort_unstable();
    Some(paths)
}

fn collect(
    root: &Path,
    directory: &Path,
    outputs: &mut Vec<Output>,
    dropped: &mut u64,
    left: &mut u64,
) {
    let Some(paths) = sorted(directory) else {
        // Nobody knows what is in it.
        *dropped += 1;
        return;
    };
    for path in paths {
        add(root, &path, outputs, dropped, left);
    }
}

fn add(root: &Path, path: &Path, outputs: &mut Vec<Output>, dropped: &mut u64, left: &mut u64) {
    let Ok(metadata) = fs::symlink_metadata(path) else { return };
    if metadata.is_dir() {
        return collect(root, path, outputs, dropped, left);
    }
    if outputs.len() >= KEPT {
        *dropped += 1;
        return;
    }
    let rest = left.checked_sub(metadata.len()).filter(|_| metadata.is_file());
    *left = rest.unwrap_or(*left);
    let below = path.strip_prefix(root).unwrap_or(path);
    outputs.push(Output {
        path: below.to_string_lossy().into_owned(),
        size: metadata.len(),
        sha256: rest.and_then(|_| digest_of(path).ok()),
        link: fs::read_link(path).ok().map(|to| to.to_string_lossy().into_owned()),
    });
}

fn digest_of(path: &Path) -> io::Result<String> {
    // A fifo that took the file's place would be waited for.
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let mut file = File::options().read(true).custom_flags(flags).open(path)?;
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match sys::uninterrupted(|| file.read(&mut buffer))? {
            0 => return Ok(digest::hex(&digest.finalize())),
            length => digest.update(&buffer[..length]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_links_are_listed() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("a")).unwrap();
        fs::write(dir.path().join("a/b"), "abc").unwrap();
        std::os::unix::fs::symlink("/etc/shadow", dir.path().join("c")).unwrap();
        let (outputs, dropped) = all_in(dir.path());
        assert_eq!((outputs.len(), dropped), (2, 0));
        assert_eq!((outputs[0].path.as_str(), outputs[0].size), ("a/b", 3));
        let digest = outputs[0].sha256.as_deref().unwrap();
        assert!(digest.starts_with("ba7816bf8f01cfea"), "{digest}");
        assert_eq!((outputs[1].link.as_deref(), &outputs[1].sha256), (Some("/etc/shadow"), &None));
    }

    #[test]
    fn a_hole_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        File::create(dir.path().join("a")).unwrap().set_len(1 << 40).unwrap();
        fs::write(dir.path().join("b"), "abc").unwrap();
        let (outputs, _) = all_in(dir.path());
        assert_eq!((outputs[0].size, outputs[0].sha256.as_deref()), (1 << 40, None));
        assert!(outputs[1].sha256.is_some());
    }
}
