//! A socket of the script's, on which the warden makes a call in its stead: on a duplicate of its
//! descriptor, and with the warden's own copy of the address. So no other thread of the script can
//! put another address, or another socket, in the place of what was judged.

use std::io::IoSlice;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, SockaddrStorage, UnixAddr, bind, connect,
    getpeername, sendmsg, socket,
};

use super::argument;
use super::found;
use crate::sys::{self, Answer, Notification};

/// See the file's description.
#[derive(Debug)]
pub struct Socket {
    file: OwnedFd,
    /// Its family of addresses, as the kernel has it.
    pub family: i32,
    /// Its type.
    pub kind: i32,
}

/// What a socket is connected to.
#[derive(Debug)]
pub enum Peer {
    /// Nothing any more (connect(2), `AF_UNSPEC`).
    Nobody,
    /// An IP address.
    Ip(SocketAddr),
    /// The Unix socket that this file is, which was opened without access.
    Unix(OwnedFd),
}

/// A call that may have to wait.
#[derive(Debug)]
pub enum Work {
    /// connect(2)
    Connect(Socket, Peer),
    /// sendmsg(2): to whom, what, and with which flags.
    Send(Socket, Option<SocketAddr>, Vec<u8>, MsgFlags),
}

/// The socket that a call of socket(2) asks for; none if it is of another kind than most programs have.
#[must_use]
pub fn new(call: &Notification) -> Option<Result<OwnedFd, Errno>> {
    let argument = |index: usize| argument::descriptor(call.arguments[index]);
    let family = match argument(0) {
        libc::AF_INET => AddressFamily::Inet,
        libc::AF_INET6 => AddressFamily::Inet6,
        libc::AF_UNIX => AddressFamily::Unix,
        _ => return None,
    };
    let flags = SockFlag::from_bits_truncate(argument(1)) | SockFlag::SOCK_CLOEXEC;
    let (kind, usual) = match argument(1) & 0xf {
        libc::SOCK_STREAM => (SockType::Stream, libc::IPPROTO_TCP),
        libc::SOCK_DGRAM => (SockType::Datagram, libc::IPPROTO_UDP),
        libc::SOCK_SEQPACKET if family == AddressFamily::Unix => (SockType::SeqPacket, 0),
        _ => return None,
    };
    let is_usual = argument(2) == 0 || (argument(2) == usual && family != AddressFamily::Unix);
    is_usual.then(|| socket(family, kind, flags, None))
}

impl Socket {
    /// The socket that a call's first argument is.
    ///
    /// # Errors
    /// `EBADF`, `ENOTSOCK`, and those of `pidfd_getfd(2)`.
    pub fn of(call: &Notification) -> Result<Self, Errno> {
        let process = sys::thread_descriptor(call.pid)?;
        let file = sys::descriptor_of(process.as_fd(), argument::descriptor(call.arguments[0]))?;
        let family = sys::socket_option(file.as_fd(), libc::SO_DOMAIN)?;
        let kind = sys::socket_option(file.as_fd(), libc::SO_TYPE)?;
        Ok(Self { file, family, kind })
    }

    /// Whether it is one of IP.
    #[must_use]
    pub fn is_ip(&self) -> bool {
        [libc::AF_INET, libc::AF_INET6].contains(&self.family)
    }

    /// Whether its calls wait.
    #[must_use]
    pub fn waits(&self) -> bool {
        let flags = fcntl(&self.file, FcntlArg::F_GETFL).unwrap_or(0);
        !OFlag::from_bits_truncate(flags).contains(OFlag::O_NONBLOCK)
    }

    /// The port that it is connected to.
    #[must_use]
    pub fn peer(&self) -> Option<SocketAddr> {
        let peer = getpeername::<SockaddrStorage>(self.file.as_raw_fd()).ok()?;
        let v4 = peer.as_sockaddr_in().map(|address| SocketAddr::V4((*address).into()));
        v4.or_else(|| peer.as_sockaddr_in6().map(|address| SocketAddr::V6((*address).into())))
    }

    /// Gives it an address that the kernel chooses.
    ///
    /// # Errors
    /// Those of bind(2).
    pub fn bind_anywhere(&self, address: SocketAddr) -> Result<(), Errno> {
        bind(self.file.as_raw_fd(), &SockaddrStorage::from(address))
    }

    fn connect(&self, peer: &Peer) -> Result<(), Errno> {
        let fd = self.file.as_raw_fd();
        match peer {
            Peer::Nobody => sys::disconnect(self.file.as_fd()),
            Peer::Ip(address) => connect(fd, &SockaddrStorage::from(*address)),
            // Its name in /proc leads to this very socket, whatever is at its path now.
            Peer::Unix(file) => {
                connect(fd, &UnixAddr::new(found::own_name(file.as_raw_fd()).to_bytes())?)
            }
        }
    }

    /// Sends without waiting, and without a signal for the warden.
    ///
    /// # Errors
    /// Those of sendmsg(2).
    pub fn send(
        &self,
        to: Option<SocketAddr>,
        bytes: &[u8],
        flags: MsgFlags,
    ) -> Result<usize, Errno> {
        let to = to.map(SockaddrStorage::from);
        let flags = flags | MsgFlags::MSG_NOSIGNAL;
        sendmsg(self.file.as_raw_fd(), &[IoSlice::new(bytes)], &[], flags, to.as_ref())
    }
}

impl Work {
    /// Makes the call.
    ///
    /// # Errors
    /// What it fails with.
    pub fn perform(&self) -> Result<Answer, Errno> {
        match self {
            Self::Connect(socket, peer) => socket.connect(peer).map(|()| Answer::Done),
            Self::Send(socket, to, bytes, flags) => {
                let sent = socket.send(*to, bytes, *flags)?;
                Ok(Answer::Number(i32::try_from(sent).unwrap_or(i32::MAX)))
            }
        }
    }
}
