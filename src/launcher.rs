//! The launcher: the file that stands in for a compiled build script.
//!
//! A launcher is a byte-for-byte copy of this program with a [`Trailer`] behind it. The copy is
//! what makes it safe to be in `target/`: a linker that writes through a link can reach nothing but
//! that copy, and the program loads nothing that a script could have planted. This file knows how
//! to write a launcher, how to recognise one and how to read the trailer of the running program; it
//! does not know where Cargo wants it (that is [`crate::shim`]) or what a launcher does
//! ([`crate::launch`]).

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use sha2::{Digest, Sha256};

use crate::digest;
use crate::leftovers;
use crate::sys;

const MAGIC: &[u8; 12] = b"\x7fBRIGLAUNCH\n";
/// Version of the layout below; another one is not read.
const FORMAT: u32 = 1;
/// Magic, format, length of the body.
const FOOTER: usize = 12 + 4 + 4;
/// No file name and path together come near this; a larger length is a damaged file.
const LONGEST_BODY: u64 = 64 * 1024;
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
        /// `/proc/self/exe`.
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
    /// The trailer is not what this version writes.
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

/// A program file, taken apart.
struct Image {
    /// Length of the program without a trailer.
    program: u64,
    trailer: Option<Trailer>,
}

fn read_image(file: &File, path: &Path) -> io::Result<Result<Image, Error>> {
    let length = file.metadata()?.len();
    let plain = Ok(Ok(Image { program: length, trailer: None }));
    let Some(footer_at) = length.checked_sub(FOOTER as u64) else {
        return plain;
    };
    let mut footer = [0; FOOTER];
    file.read_exact_at(&mut footer, footer_at)?;
    let (magic, rest) = footer.split_at(MAGIC.len());
    if magic != MAGIC {
        return plain;
    }
    let (format, body_length) = rest.split_at(4);
    let body_length = u64::from(u32::from_le_bytes(body_length.try_into().expect("four bytes")));
    let damaged = || Ok(Err(Error::Damaged { path: path.to_owned() }));
    if format != FORMAT.to_le_bytes() || body_length > LONGEST_BODY {
        return damaged();
    }
    let Some(body_at) = footer_at.checked_sub(body_length) else {
        return damaged();
    };
    let mut body = vec![0; usize::try_from(body_length).expect("at most 64 KiB")];
    file.read_exact_at(&mut body, body_at)?;
    match Trailer::from_body(&body) {
        Some(trailer) => Ok(Ok(Image { program: body_at, trailer: Some(trailer) })),
        None => damaged(),
    }
}

fn own_file() -> Result<(File, Image), Error> {
    let path = Path::new(OWN_FILE);
    let wrap = |source| Error::OwnFile { path: path.to_owned(), source };
    let file = File::open(path).map_err(wrap)?;
    let name = fs::read_link(path).map_err(wrap)?;
    let image = read_image(&file, &name).map_err(wrap)??;
    Ok((file, image))
}

/// How the names of build scripts' files begin: as Cargo runs them, and as rustc writes them
/// (`src/cargo/util/toml/targets.rs`).
const SCRIPT_NAMES: &[&[u8]] = &[b"build-script-", b"build_script_", b"metabuild-", b"metabuild_"];

/// SHA-256 of the running program without a trailer, in lower-case hexadecimal digits.
///
/// # Errors
/// If `/proc/self/exe` cannot be read.
pub fn own_digest() -> Result<String, Error> {
    let (mut file, image) = own_file()?;
    let wrap = |source| Error::OwnFile { path: OWN_FILE.into(), source };
    file.seek(SeekFrom::Start(0)).map_err(wrap)?;
    let (mut hasher, mut buffer) = (Sha256::new(), vec![0; 256 * 1024]);
    let mut program = file.take(image.program);
    loop {
        match program.read(&mut buffer).map_err(wrap)? {
            0 => break,
            length => hasher.update(&buffer[..length]),
        }
    }
    Ok(digest::hex(&hasher.finalize()))
}

/// The trailer of the running program: `Some` if it was started as a launcher.
///
/// # Errors
/// [`Error::OwnFile`] if `/proc/self/exe` cannot be read, [`Error::Damaged`] if it ends in a trailer
/// that cannot be understood, or in none and lies where a launcher does. Cargo runs scripts without
/// arguments, and without this the program would then print its help: a script that did nothing, and
/// succeeded.
pub fn own_trailer() -> Result<Option<Trailer>, Error> {
    let (_, image) = own_file()?;
    if image.trailer.is_none() {
        let path = PathBuf::from(OWN_FILE);
        let path = fs::read_link(&path).map_err(|source| Error::OwnFile { path, source })?;
        let name = path.file_name().unwrap_or_default().as_bytes();
        if SCRIPT_NAMES.iter().any(|start| name.starts_with(start)) {
            return Err(Error::Damaged { path });
        }
    }
    Ok(image.trailer)
}

/// Whether the file at `path` ends in a launcher's trailer. Says nothing about the program before
/// it: see [`is_genuine`].
#[must_use]
pub fn trailer_of(path: &Path) -> Option<Trailer> {
    let file = File::open(path).ok()?;
    read_image(&file, path).ok()?.ok()?.trailer
}

/// Whether the file at `path` is a launcher whose program is, byte for byte, the running one.
///
/// # Errors
/// If either file cannot be read.
pub fn is_genuine(path: &Path) -> Result<bool, Error> {
    let own = own_program()?;
    let failed = |source| Error::OwnFile { path: path.to_owned(), source };
    let other = File::open(path).map_err(failed)?;
    let Ok(image) = read_image(&other, path).map_err(failed)? else { return Ok(false) };
    if image.trailer.is_none() || image.program != own.len() as u64 {
        return Ok(false);
    }
    let mut buffer = vec![0; 256 * 1024];
    let mut at = 0;
    for piece in own.chunks(buffer.len()) {
        let read = &mut buffer[..piece.len()];
        other.read_exact_at(read, at).map_err(failed)?;
        if read != piece {
            return Ok(false);
        }
        at += piece.len() as u64;
    }
    Ok(true)
}

/// The running program without a trailer, which is read once: a build has many launchers to compare with it.
fn own_program() -> Result<&'static [u8], Error> {
    static PROGRAM: OnceLock<Vec<u8>> = OnceLock::new();
    if let Some(program) = PROGRAM.get() {
        return Ok(program);
    }
    let (file, image) = own_file()?;
    let mut program = Vec::new();
    let read = file.take(image.program).read_to_end(&mut program);
    read.map_err(|source| Error::OwnFile { path: OWN_FILE.into(), source })?;
    Ok(PROGRAM.get_or_init(|| program))
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
        let (mut own, image) = own_file()?;
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o755)
            .open(&beside)
            .map_err(wrap)?;
        own.seek(SeekFrom::Start(0)).map_err(wrap)?;
        // Interrupted, it goes on from where it was.
        let rest = |own: &mut File| own.stream_position().map(|at| image.program - at);
        let copy = || {
            let length = rest(&mut own)?;
            io::copy(&mut (&mut own).take(length), &mut file)
        };
        sys::uninterrupted(copy).map_err(wrap)?;
        if rest(&mut own).map_err(wrap)? != 0 {
            return Err(wrap(io::ErrorKind::UnexpectedEof.into()));
        }
        file.write_all(&trailer.to_bytes()).map_err(wrap)?;
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
        bytes[5000] ^= 1;
        fs::write(&path, bytes).unwrap();
        assert!(trailer_of(&path).is_some());
        assert!(!is_genuine(&path).unwrap());
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
