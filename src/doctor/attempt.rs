//! Attempts: what a script must not be able to do, tried and put right again.
//!
//! The same list is tried three times: without any jail, under Landlock alone, and as a script in
//! the whole jail. What fails without a jail says nothing of the jail.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::path::PathBuf;

use nix::sys::signal::kill;
use nix::unistd::{Pid, truncate};

use super::bait::Bait;
use crate::sys;

/// What came of each attempt, by its name: done, or refused by this errno.
pub type Outcomes = BTreeMap<String, Result<(), i32>>;

/// Since when Landlock knows something.
#[derive(Clone, Copy, Debug)]
pub struct Since {
    /// The first ABI that does.
    pub abi: i32,
    /// The first Linux that has it (landlock(7), "VERSIONS").
    pub linux: &'static str,
}

/// One attempt.
#[derive(Debug)]
pub struct Attempt {
    /// Its name, and that of its check.
    pub id: &'static str,
    /// What it is to do, as in "a script cannot …".
    pub what: &'static str,
    /// Since when Landlock refuses it.
    pub landlock: Option<Since>,
    /// Whether the seccomp filter, or the warden for it, refuses it as well.
    pub filter: bool,
    make: fn(&Bait) -> io::Result<()>,
}

const ABI_1: Option<Since> = Some(Since { abi: 1, linux: "5.13" });
const ABI_2: Option<Since> = Some(Since { abi: 2, linux: "5.19" });
const ABI_3: Option<Since> = Some(Since { abi: 3, linux: "6.2" });
const ABI_4: Option<Since> = Some(Since { abi: 4, linux: "6.7" });
const ABI_5: Option<Since> = Some(Since { abi: 5, linux: "6.10" });
const ABI_6: Option<Since> = Some(Since { abi: 6, linux: "6.12" });

const fn by_landlock(
    id: &'static str,
    what: &'static str,
    landlock: Option<Since>,
    make: fn(&Bait) -> io::Result<()>,
) -> Attempt {
    Attempt { id, what, landlock, filter: false, make }
}

const fn by_filter(
    id: &'static str,
    what: &'static str,
    landlock: Option<Since>,
    make: fn(&Bait) -> io::Result<()>,
) -> Attempt {
    Attempt { id, what, landlock, filter: true, make }
}

/// All of them.
pub const ATTEMPTS: &[Attempt] = &[
    by_landlock("files-read", "read a file outside", ABI_1, |bait| fs::read(file(bait)).map(drop)),
    by_landlock("files-list", "list a directory outside", ABI_1, |bait| {
        fs::read_dir(&bait.outside).map(drop)
    }),
    by_landlock("files-write", "write to a file outside", ABI_1, |bait| {
        OpenOptions::new().append(true).open(file(bait)).map(drop)
    }),
    by_landlock("files-create", "create a file outside", ABI_1, |bait| {
        let path = bait.outside.join("created");
        File::create_new(&path)?;
        fs::remove_file(path)
    }),
    by_landlock("files-remove", "remove a file outside", ABI_1, |bait| {
        let path = bait.outside.join("removed");
        fs::remove_file(&path)?;
        fs::write(path, "untouched")
    }),
    by_landlock("files-link", "link a file outside to a name of its own", ABI_2, |bait| {
        let link = bait.own.join("link");
        fs::hard_link(file(bait), &link)?;
        fs::remove_file(link)
    }),
    by_landlock("files-rename", "move a file of its own outside", ABI_2, |bait| {
        let (own, outside) = (bait.own.join("moved"), bait.outside.join("moved"));
        fs::rename(&own, &outside)?;
        fs::rename(outside, own)
    }),
    by_landlock("files-truncate", "truncate a file outside by its name", ABI_3, |bait| {
        Ok(truncate(&file(bait), 1)?)
    }),
    by_filter("metadata", "change the mode of a file outside", None, |bait| {
        fs::set_permissions(file(bait), Permissions::from_mode(0o600))?;
        fs::set_permissions(file(bait), Permissions::from_mode(0o644))
    }),
    by_filter("tcp-connect", "connect to a TCP port", ABI_4, |bait| {
        TcpStream::connect(("127.0.0.1", bait.port)).map(drop)
    }),
    by_filter("tcp-bind", "listen on a TCP port", ABI_4, |_| {
        TcpListener::bind(("127.0.0.1", 0)).map(drop)
    }),
    by_filter("udp", "have a UDP socket", None, |_| UdpSocket::bind(("127.0.0.1", 0)).map(drop)),
    by_filter("unix-socket", "connect to a Unix socket by its path", None, |bait| {
        UnixStream::connect(bait.outside.join("socket")).map(drop)
    }),
    by_filter("abstract-socket", "connect to an abstract Unix socket", ABI_6, |bait| {
        UnixStream::connect_addr(&SocketAddr::from_abstract_name(&bait.socket)?).map(drop)
    }),
    by_landlock("device-ioctl", "make a request of the driver of a device", ABI_5, |_| {
        // Read only, as both grants are: writing to a device includes its requests. FIONREAD is let
        // through by the filter and handed to the driver (kernel, `security/landlock/fs.c`,
        // `is_masked_device_ioctl`), which does not know it.
        let device = File::open("/dev/urandom")?;
        match sys::bytes_in_pipe(device.as_raw_fd()) {
            Err(error)
                if [Some(libc::ENOTTY), Some(libc::EINVAL)].contains(&error.raw_os_error()) =>
            {
                Ok(())
            }
            other => other.map(drop),
        }
    }),
    by_landlock("signals", "send a signal to a process outside", ABI_6, |bait| {
        Ok(kill(Pid::from_raw(bait.witness), None)?)
    }),
];

/// What a script must be able to do: the name of its outcome.
pub const OWN: &str = "own-directory";

fn file(bait: &Bait) -> PathBuf {
    bait.outside.join("file")
}

/// Makes all of them, one after the other.
#[must_use]
pub fn make_all(bait: &Bait) -> Outcomes {
    let own = || {
        let path = bait.own.join("written");
        fs::write(&path, "written")?;
        match fs::read(&path)?.as_slice() {
            b"written" => fs::remove_file(path),
            _ => Err(io::Error::from_raw_os_error(libc::EIO)),
        }
    };
    let made = ATTEMPTS.iter().map(|attempt| (attempt.id, (attempt.make)(bait)));
    made.chain([(OWN, own())])
        .map(|(id, result)| {
            (id.to_owned(), result.map_err(|error| error.raw_os_error().unwrap_or(libc::EIO)))
        })
        .collect()
}
