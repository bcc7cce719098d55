//! The launcher: the file that stands in for a compiled build script.
//!
//! A launcher is a program of a few kilobytes (`launcher/starter.rs`, a crate of its own) that executes
//! cargo-brig by the path at which it lay when the script was compiled, with a [`Trailer`] behind it. It
//! is a file of its own, so that a linker that writes through a link can reach nothing but that file, and
//! loads nothing that a script could have planted. This file knows how to write a launcher, how to
//! recognise one and how to read its trailer; it does not know where Cargo wants it (that is
//! [`crate::shim`]) or what is done when one was started ([`crate::launch`]).

pub mod slot;

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use sha2::{Digest, Sha256};

use crate::digest;
use crate::leftovers;

/// What every launcher begins with, but for the path in it.
const STARTER: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/starter"));
const MAGIC: &[u8; 12] = b"\x7fBRIGLAUNCH\n";
/// Version of the layout below; another one is not read.
const FORMAT: u32 = 1;
/// Magic, format, length of the body.
const FOOTER: usize = 12 + 4 + 4;
/// No launcher comes near this with the longest of names and paths.
const LARGEST: u64 = 64 * 1024;
/// What the script's own file is called: the launcher's name and this.
pub const SCRIPT_SUFFIX: &str = ".brig-script";

/// What a launcher knows about its script, written once, when the script was compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trailer {
    /// Name of the script's file, in the launcher's own directory.
    pub script: OsString,
    /// Root of the workspace, if the script's package lies in it.
    pub workspace: Option<PathBuf>,
}

/// Why a launcher could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The running program's own file.
    #[error("cannot read the program's own file `{path}`")]
    OwnFile {
        /// `/proc/self/exe`, or where that leads.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// Reading what may be a launcher.
    #[error("cannot read `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// Writing the launcher.
    #[error("cannot write the launcher `{path}`")]
    Write {
        /// The launcher, or the file beside it that was to become it.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// Moving the script out of the way.
    #[error("cannot move the build script `{path}` out of the launcher's way")]
    MoveScript {
        /// The compiled script.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// It has no trailer, or one that this version does not write.
    #[error("the launcher `{path}` is damaged or of another version of cargo-brig")]
    Damaged {
        /// The launcher.
        path: PathBuf,
    },
}

const OWN_FILE: &str = "/proc/self/exe";

impl Trailer {
    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.script.as_bytes().to_vec();
        bytes.push(0);
        if let Some(workspace) = &self.workspace {
            bytes.extend_from_slice(workspace.as_os_str().as_bytes());
        }
        let length = u32::try_from(bytes.len()).expect("paths are shorter than 4 GiB");
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&FORMAT.to_le_bytes());
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes
    }

    fn from_body(body: &[u8]) -> Option<Self> {
        let zero = body.iter().position(|byte| *byte == 0)?;
        let (script, workspace) = (&body[..zero], &body[zero + 1..]);
        if script.is_empty() || script.contains(&b'/') {
            return None;
        }
        Some(Self {
            script: OsString::from_vec(script.to_vec()),
            workspace: (!workspace.is_empty()).then(|| OsStr::from_bytes(workspace).into()),
        })
    }
}

/// The trailer at the end of a file; none if the file does not end in one that this version writes.
fn trailer_in(bytes: &[u8]) -> Option<Trailer> {
    let (rest, footer) = bytes.split_at_checked(bytes.len().checked_sub(FOOTER)?)?;
    let (magic, footer) = footer.split_at(MAGIC.len());
    let (format, length) = footer.split_at(4);
    if magic != MAGIC || format != FORMAT.to_le_bytes() {
        return None;
    }
    let length = usize::try_from(u32::from_le_bytes(length.try_into().ok()?)).ok()?;
    Trailer::from_body(&rest[rest.len().checked_sub(length)?..])
}

/// The content of what may be a launcher; none if it is too large for one.
fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    let read = File::open(path)?.take(LARGEST + 1).read_to_end(&mut bytes)?;
    Ok((read as u64 <= LARGEST).then_some(bytes))
}

/// The program's own path, by which Cargo will call it, and launchers. A program that was replaced while
/// it runs shows as deleted; the new one at the same place is as good.
///
/// # Errors
/// [`Error::OwnFile`].
pub fn own_path() -> Result<PathBuf, Error> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        |source| Error::OwnFile { path, source }
    };
    let path = fs::read_link(OWN_FILE).map_err(failed(Path::new(OWN_FILE)))?;
    if path.is_file() {
        return Ok(path);
    }
    let bytes = path.as_os_str().as_bytes();
    let replaced = Path::new(OsStr::from_bytes(bytes.strip_suffix(b" (deleted)").unwrap_or(bytes)));
    fs::canonicalize(replaced).map_err(failed(&path))
}

/// SHA-256 of the running program, in lower-case hexadecimal digits.
///
/// # Errors
/// If `/proc/self/exe` cannot be read.
pub fn own_digest() -> Result<String, Error> {
    let wrap = |source| Error::OwnFile { path: OWN_FILE.into(), source };
    let mut program = File::open(OWN_FILE).map_err(wrap)?;
    let (mut hasher, mut buffer) = (Sha256::new(), vec![0; 256 * 1024]);
    loop {
        match program.read(&mut buffer).map_err(wrap)? {
            0 => break,
            length => hasher.update(&buffer[..length]),
        }
    }
    Ok(digest::hex(&hasher.finalize()))
}

/// A launcher, without its trailer, that executes the running program.
fn program() -> Result<&'static [u8], Error> {
    static PROGRAM: OnceLock<Vec<u8>> = OnceLock::new();
    if let Some(program) = PROGRAM.get() {
        return Ok(program);
    }
    let path = own_path()?.into_os_string().into_vec();
    let mut program = STARTER.to_vec();
    let place = program.windows(slot::MARK.len()).position(|window| window == slot::MARK);
    let place = place.expect("build.rs has compiled what has this place");
    let slot = &mut program[place..place + slot::SIZE];
    slot.fill(0);
    slot[..path.len()].copy_from_slice(&path);
    Ok(PROGRAM.get_or_init(|| program))
}

/// What the running program was started as, if a launcher has executed it.
#[derive(Debug)]
pub struct Launched {
    /// The launcher.
    pub path: PathBuf,
    /// What it knows.
    pub trailer: Trailer,
    /// The arguments that it was given, its name first.
    pub arguments: Vec<OsString>,
}

/// Whether the running program, which has these arguments, was executed by a launcher.
///
/// # Errors
/// [`Error::Read`] if that cannot be read, [`Error::Damaged`] if it has no trailer that can be
/// understood: it must not pass for a script that did nothing, and succeeded.
pub fn launched(arguments: &[OsString]) -> Result<Option<Launched>, Error> {
    let [name, file, arguments @ ..] = arguments else { return Ok(None) };
    if name.as_bytes() != slot::NAME.to_bytes() {
        return Ok(None);
    }
    let failed = |source| Error::Read { path: file.into(), source };
    let path = fs::canonicalize(file).map_err(failed)?;
    let bytes = read(&path).map_err(failed)?.unwrap_or_default();
    let Some(trailer) = trailer_in(&bytes) else { return Err(Error::Damaged { path }) };
    Ok(Some(Launched { path, trailer, arguments: arguments.to_vec() }))
}

/// Whether the file at `path` ends in a launcher's trailer. Says nothing about the program before
/// it: see [`is_genuine`].
#[must_use]
pub fn trailer_of(path: &Path) -> Option<Trailer> {
    trailer_in(&read(path).ok()??)
}

/// Whether the file at `path` is a launcher that executes the running program.
///
/// # Errors
/// If that file cannot be read, or it cannot be told where the running program lies.
pub fn is_genuine(path: &Path) -> Result<bool, Error> {
    let bytes = read(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
    let program = program()?;
    Ok(bytes.is_some_and(|bytes| {
        let trailer = trailer_in(&bytes);
        trailer.is_some_and(|trailer| bytes == [program, &trailer.to_bytes()].concat())
    }))
}

/// Where the script of the launcher at `launcher` is.
#[must_use]
pub fn script_path(launcher: &Path) -> PathBuf {
    let mut name = launcher.file_name().unwrap_or_default().to_owned();
    name.push(SCRIPT_SUFFIX);
    launcher.with_file_name(name)
}

/// Where the launcher of a script is that lies where [`script_path`] says.
#[must_use]
pub fn launcher_path(script: &Path) -> Option<PathBuf> {
    let name = script.file_name()?.as_bytes().strip_suffix(SCRIPT_SUFFIX.as_bytes())?;
    Some(script.with_file_name(OsStr::from_bytes(name)))
}

/// How a launcher is called that is being written, before its writer's number.
fn unfinished(path: &Path) -> OsString {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".brig-new-");
    name
}

/// Puts a launcher in the place of the compiled script at `path` and keeps the script beside it.
///
/// The launcher is written beside and renamed, so that at `path` there is at any moment either
/// nothing or a whole launcher; the script is moved first, so that it is never at `path` when
/// this function has failed.
///
/// # Errors
/// [`Error::MoveScript`], [`Error::Write`], [`Error::OwnFile`]; at `path` there is then no file.
pub fn install(path: &Path, workspace: Option<&Path>) -> Result<(), Error> {
    let script = script_path(path);
    fs::rename(path, &script)
        .map_err(|source| Error::MoveScript { path: path.to_owned(), source })?;
    let trailer = Trailer {
        script: script.file_name().unwrap_or_default().to_owned(),
        workspace: workspace.map(Path::to_owned),
    };
    let mut name = unfinished(path);
    name.push(std::process::id().to_string());
    let beside = path.with_file_name(name);
    let write = || -> Result<(), Error> {
        let wrap = |source| Error::Write { path: beside.clone(), source };
        let program = program()?;
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o755)
            .open(&beside)
            .map_err(wrap)?;
        file.write_all(&[program, &trailer.to_bytes()].concat()).map_err(wrap)?;
        let mode = fs::metadata(&script).map_err(wrap)?.permissions().mode();
        file.set_permissions(fs::Permissions::from_mode(mode & 0o777)).map_err(wrap)?;
        drop(file);
        fs::rename(&beside, path).map_err(|source| Error::Write { path: path.to_owned(), source })
    };
    write().inspect_err(|_| {
        // Nothing half-written stays behind; the error that led here is the one to report.
        drop(fs::remove_file(&beside));
    })
}

/// Removes an earlier launcher and its script, so that rustc and the linker write a new file
/// instead of writing through whatever is there; and launchers that were not finished.
///
/// # Errors
/// [`Error::Write`] if one is there and cannot be removed.
pub fn remove(path: &Path) -> Result<(), Error> {
    for path in [path.to_owned(), script_path(path)] {
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(Error::Write { path, source });
            }
            _ => {}
        }
    }
    leftovers::remove(path.parent().unwrap_or(Path::new(".")), &unfinished(path));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_launcher_is_recognised_and_a_program_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("build_script_build-0123");
        fs::write(&path, "a compiled script").unwrap();
        assert_eq!(trailer_of(&path), None);
        install(&path, Some(Path::new("/a workspace/é"))).unwrap();
        let trailer = trailer_of(&path).unwrap();
        assert_eq!(trailer.script, "build_script_build-0123.brig-script");
        assert_eq!(trailer.workspace.as_deref(), Some(Path::new("/a workspace/é")));
        assert_eq!(fs::read(script_path(&path)).unwrap(), b"a compiled script");
        assert!(is_genuine(&path).unwrap());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_changed_launcher_is_not_genuine() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("script");
        fs::write(&path, "x").unwrap();
        install(&path, None).unwrap();
        let mut bytes = fs::read(&path).unwrap();
        bytes[500] ^= 1;
        fs::write(&path, bytes).unwrap();
        assert!(trailer_of(&path).is_some());
        assert!(!is_genuine(&path).unwrap());
    }

    #[test]
    fn a_path_of_any_length_has_its_place() {
        let places = STARTER.windows(slot::MARK.len()).filter(|window| *window == slot::MARK);
        assert_eq!(places.count(), 1);
        let place = STARTER.windows(slot::MARK.len()).position(|window| window == slot::MARK);
        let after = &STARTER[place.unwrap() + slot::MARK.len()..][..slot::SIZE - slot::MARK.len()];
        assert!(after.iter().all(|byte| *byte == 0));
        let path = own_path().unwrap();
        assert!(program().unwrap()[place.unwrap()..].starts_with(path.as_os_str().as_bytes()));
    }

    #[test]
    fn a_trailer_that_leaves_the_directory_is_refused() {
        assert_eq!(Trailer::from_body(b"../x\0"), None);
        assert_eq!(Trailer::from_body(b"\0/w"), None);
        assert_eq!(Trailer::from_body(b"no zero"), None);
    }

    #[test]
    fn nothing_stays_at_the_path_when_the_launcher_cannot_be_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        fs::write(&path, "x").unwrap();
        fs::create_dir(dir.path().join(format!("s.brig-new-{}", std::process::id()))).unwrap();
        install(&path, None).unwrap_err();
        assert!(!path.exists());
    }
}
