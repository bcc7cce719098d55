//! Files that are written whole or not at all: beside, and then renamed.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// Writes a file. What was there stays until everything is on the disk. A link is replaced and not
/// followed: whoever brings a workspace can put one there. A device or a pipe, such as `/dev/stdout`, cannot
/// be replaced and is written to.
///
/// # Errors
/// Those of the file system; beside the file there is then nothing left.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let is_link = fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink());
    // Anybody can put a link into `/dev/shm`.
    let is_system = path.parent() == Some(Path::new("/dev"))
        || ["/dev/fd", "/proc"].iter().any(|directory| path.starts_with(directory));
    if (is_system || !is_link) && fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        return File::options().write(true).open(path)?.write_all(bytes);
    }
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let beside: PathBuf = path.with_file_name(name);
    let written = File::options()
        .write(true)
        .create_new(true)
        .open(&beside)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&beside, path));
    written.inspect_err(|_| {
        // The error that led here is the one to report.
        drop(fs::remove_file(&beside));
    })
}

/// Reads a file; a fifo would never end.
///
/// # Errors
/// Those of the file system.
pub fn read(path: &Path) -> io::Result<String> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    fs::read_to_string(path)
}

/// SHA-256 in lower-case hexadecimal digits.
#[must_use]
pub fn digest(bytes: &[u8]) -> String {
    crate::digest::hex(&Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_of_what_failed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a b");
        write(&path, b"one").unwrap();
        write(&path, b"two").unwrap();
        assert_eq!(read(&path).unwrap(), "two");
        let link = dir.path().join("link");
        for to in [path.as_path(), Path::new("/dev/full"), dir.path()] {
            drop(fs::remove_file(&link));
            std::os::unix::fs::symlink(to, &link).unwrap();
            write(&link, b"three").unwrap();
            assert_eq!(
                (read(&path).unwrap().as_str(), read(&link).unwrap().as_str()),
                ("two", "three")
            );
        }
        fs::remove_file(&link).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        // Everybody may write there.
        let shared = tempfile::tempdir_in("/dev/shm").unwrap();
        let link = shared.path().join("link");
        std::os::unix::fs::symlink("/dev/null", &link).unwrap();
        write(&link, b"three").unwrap();
        assert_eq!(read(&link).unwrap(), "three");
        // The device has no space left on it.
        assert!(write(Path::new("/dev/full"), b"x").is_err());
        assert!(Path::new("/dev/full").exists());
        assert!(write(&dir.path().join("none/x"), b"x").is_err());
    }
}
