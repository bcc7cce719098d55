//! Bait: files, sockets and a process of our own, on which attempts are made.
//!
//! Everything lies in a private directory below the system's temporary one, or is an open socket of
//! this process, and goes with the value.

use std::fs::{self, Permissions};
use std::io;
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::private_dir::{self, PrivateDir};

/// Bait that cannot be laid.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its directory.
    #[error(transparent)]
    Directory(#[from] private_dir::Error),
    /// What lies in it.
    #[error("cannot write below `{}`", .path.display())]
    Write {
        /// The directory.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
}

/// What attempts are made on, as whoever makes them is told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Bait {
    /// May be written: `OUT_DIR`.
    pub own: PathBuf,
    /// May not be touched.
    pub outside: PathBuf,
    /// A process outside.
    pub witness: i32,
    /// Name of an abstract Unix socket outside.
    pub socket: String,
    /// Port of a TCP socket outside, on the loopback device.
    pub port: u16,
}

/// Bait, and what keeps it there.
#[derive(Debug)]
pub struct Laid {
    /// Where it is.
    pub bait: Bait,
    /// None where sockets cannot be had. An attempt on one then fails without a jail too, which is
    /// seen. Closed before the directory is removed, for which descriptors are needed.
    _sockets: (Option<TcpListener>, [Option<UnixListener>; 2]),
    directory: PrivateDir,
}

impl Laid {
    /// Lays it.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn new() -> Result<Self, Error> {
        let directory = PrivateDir::new("doctor")?;
        let root = directory.path();
        let bait = |port| Bait {
            own: root.join("unit/out"),
            outside: root.join("outside"),
            witness: std::process::id().cast_signed(),
            socket: format!("cargo-brig-doctor-{}", std::process::id()),
            port,
        };
        let tcp = TcpListener::bind(("127.0.0.1", 0)).ok();
        let port = tcp.as_ref().and_then(|tcp| tcp.local_addr().ok()).map_or(9, |a| a.port());
        let bait = bait(port);
        let lay = || {
            fs::create_dir_all(&bait.own)?;
            fs::create_dir(root.join("package"))?;
            fs::create_dir(&bait.outside)?;
            for name in ["file", "removed"] {
                fs::write(bait.outside.join(name), "untouched")?;
            }
            fs::set_permissions(bait.outside.join("file"), Permissions::from_mode(0o644))?;
            fs::write(bait.own.join("moved"), "")
        };
        lay().map_err(|source| Error::Write { path: root.to_owned(), source })?;
        let name = SocketAddr::from_abstract_name(&bait.socket);
        let abstract_socket = name.and_then(|name| UnixListener::bind_addr(&name)).ok();
        let socket = UnixListener::bind(bait.outside.join("socket")).ok();
        Ok(Self { bait, directory, _sockets: (tcp, [abstract_socket, socket]) })
    }

    /// Where everything lies.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.directory.path()
    }

    /// An empty directory, for a package.
    #[must_use]
    pub fn package(&self) -> PathBuf {
        self.root().join("package")
    }
}
