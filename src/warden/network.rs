//! What a script tries to reach over a network or through a socket.
//!
//! Where no rule gives it any, a script gets no socket of a network, and none that could reach a daemon.
//! So that the record can say where to it wanted, it gets a stand-in: a Unix socket that is connected to
//! nothing. Every call by which a socket gets a peer, or sends to one, comes to the warden, and is carried
//! out for a connected pair (socketpair(2)) alone. On a stand-in it is refused, but for one that only
//! names a name server: the question that follows has the host's name in it.
//!
//! Where a rule gives something, sockets of that kind are real, and the warden makes those calls itself:
//! see [`super::socket`]. What is sent without an address goes to where a socket is connected, and is the
//! kernel's to carry out.
//!
//! Under a permissive policy sockets are real, and the calls are only noted.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, socket};
use nix::sys::stat::fstat;

use super::address::{Address, DOMAIN, Message, header_at};
use super::argument;
use super::attempts::{Attempts, Kind, Tried};
use super::found::path_only;
use super::place::Place;
use super::procfs::Procfs;
use super::socket::{self as real, Peer, Socket, Work};
use super::waiting::{self, Waiting};
use crate::access::Outcome;
use crate::policy::Grants;
use crate::sys::{self, Answer, Notification};

/// More sockets than a script has open at a time are not remembered.
const REMEMBERED: usize = 10_000;
/// So much is sent by one call: no datagram is longer, and of a stream the caller sends the rest.
const MOST: usize = 65_536;

/// The attempts of one script.
#[derive(Debug)]
pub struct Network<'g> {
    grants: &'g Grants,
    attempts: Attempts,
    /// By inode number: stand-ins, or under a permissive policy all sockets.
    known: HashMap<u64, Known>,
}

#[derive(Clone, Debug)]
struct Known {
    kind: Kind,
    /// The name server that it was connected to.
    server: Option<Address>,
}

/// What becomes of a call.
#[derive(Debug)]
pub enum Judged {
    /// It is decided.
    Now(Answer),
    /// It waits.
    Later(Box<Waiting>),
}

fn low(call: &Notification, index: usize) -> i32 {
    argument::descriptor(call.arguments[index])
}

impl<'g> Network<'g> {
    /// None yet, of a script with these grants.
    #[must_use]
    pub fn new(grants: &'g Grants) -> Self {
        Self { grants, attempts: Attempts::default(), known: HashMap::new() }
    }

    /// Judges, notes and makes a call on a socket; none if it is not such a call.
    pub fn call(&mut self, call: &Notification, process: u32, procfs: &Procfs) -> Option<Judged> {
        let now = |answer| Ok(Judged::Now(answer));
        let judged = match call.number {
            libc::SYS_socket
            | libc::SYS_setsockopt
            | libc::SYS_connect
            | libc::SYS_bind
            | libc::SYS_sendto
            | libc::SYS_sendmsg
            | libc::SYS_sendmmsg
                if self.grants.is_permissive() =>
            {
                now(self.watch(call, process))
            }
            libc::SYS_socket => now(self.socket(call, process)),
            libc::SYS_connect => self.connect(call, process, procfs),
            libc::SYS_bind => self.bind(call, process).map(Judged::Now),
            libc::SYS_setsockopt => now(self.set_option(call)),
            libc::SYS_sendto | libc::SYS_sendmsg | libc::SYS_sendmmsg => {
                Message::all(call).and_then(|messages| self.send(call, process, &messages))
            }
            _ => return None,
        };
        Some(judged.unwrap_or_else(|errno| Judged::Now(Answer::Fail(errno))))
    }

    /// All attempts.
    #[must_use]
    pub fn attempts(&self) -> &Attempts {
        &self.attempts
    }

    fn socket(&mut self, call: &Notification, process: u32) -> Answer {
        let (family, kind) = (low(call, 0), low(call, 1));
        let flags = SockFlag::from_bits_truncate(kind);
        let asked = Kind { family, kind: kind & 0xf };
        let is_ip = [libc::AF_INET, libc::AF_INET6].contains(&family);
        let is_stream = [libc::SOCK_STREAM, libc::SOCK_SEQPACKET].contains(&asked.kind);
        let is_given = (is_ip && !self.grants.connect.is_empty())
            || (family == libc::AF_UNIX && is_stream && !self.grants.unix.is_empty());
        if is_given {
            // Of other protocols there is nothing to judge by: programs do without.
            return match real::new(call) {
                Some(Ok(file)) => Answer::Descriptor(file, flags.contains(SockFlag::SOCK_CLOEXEC)),
                Some(Err(errno)) => Answer::Fail(errno),
                None => Answer::Fail(Errno::EPROTONOSUPPORT),
            };
        }
        let has_addresses = is_ip || family == libc::AF_UNIX;
        let has_addresses = has_addresses && (is_stream || asked.kind == libc::SOCK_DGRAM);
        if has_addresses && let Ok((socket, inode)) = new_stand_in(flags) {
            self.remember(inode, asked);
            return Answer::Descriptor(socket, flags.contains(SockFlag::SOCK_CLOEXEC));
        }
        self.attempts.note(asked, Tried::Reach, Address::default(), None, process, Outcome::Denied);
        Answer::Fail(Errno::EACCES)
    }

    fn remember(&mut self, inode: u64, kind: Kind) {
        if self.known.len() >= REMEMBERED {
            self.known.clear();
        }
        self.known.insert(inode, Known { kind, server: None });
    }

    /// What is known of the socket that the call's first argument is.
    fn known(&mut self, call: &Notification) -> Option<&mut Known> {
        let link = fs::read_link(format!("/proc/{}/fd/{}", call.pid, low(call, 0))).ok()?;
        let inode = link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?;
        self.known.get_mut(&inode.parse().ok()?)
    }

    /// Whether a rule lets a script reach this.
    fn covers(&self, to: &Address) -> bool {
        to.ip.is_some_and(|to| self.grants.connect.iter().any(|rule| rule.covers(to)))
    }

    fn connect(
        &mut self,
        call: &Notification,
        process: u32,
        procfs: &Procfs,
    ) -> Result<Judged, Errno> {
        let to = Address::read(call, call.arguments[1], call.arguments[2])?;
        if let Some(stand_in) = self.known(call) {
            // A datagram socket that is connected has not sent anything (connect(2)).
            if stand_in.kind.kind == libc::SOCK_DGRAM {
                if to.family == libc::AF_UNSPEC {
                    stand_in.server = None;
                    return Ok(Judged::Now(Answer::Done));
                }
                if to.port == Some(DOMAIN) {
                    stand_in.server = Some(to);
                    return Ok(Judged::Now(Answer::Done));
                }
            }
            let kind = stand_in.kind;
            return Ok(self.refuse(kind, Tried::Reach, to, process));
        }
        if !self.grants.gives_sockets() {
            return Err(Errno::EPERM);
        }
        // What it is, the kernel says: between the look above and this one it can have become another.
        let socket = Socket::of(call)?;
        let kind = Kind { family: socket.family, kind: socket.kind };
        let peer = match to.family {
            libc::AF_UNSPEC if socket.is_ip() => Peer::Nobody,
            libc::AF_INET | libc::AF_INET6 if socket.is_ip() => {
                // To sort addresses a resolver asks for a route in this way. Nobody is told, and nothing
                // is connected: what is sent then would be.
                if to.port == Some(0) && socket.kind == libc::SOCK_DGRAM {
                    return Err(Errno::ENETUNREACH);
                }
                let Some(ip) = to.ip.filter(|_| self.covers(&to)) else {
                    return Ok(self.refuse(kind, Tried::Reach, to, process));
                };
                self.attempts.note(kind, Tried::Reach, to, None, process, Outcome::Allowed);
                Peer::Ip(ip)
            }
            libc::AF_UNIX if socket.family == libc::AF_UNIX => {
                match self.unix_peer(call, to, procfs)? {
                    Ok((to, file)) => {
                        self.attempts.note(kind, Tried::Reach, to, None, process, Outcome::Allowed);
                        Peer::Unix(file)
                    }
                    Err(to) => return Ok(self.refuse(kind, Tried::Reach, to, process)),
                }
            }
            _ => return Err(Errno::EINVAL),
        };
        // Also where it seems not to wait: another thread can change that.
        Self::make(call, Work::Connect(socket, peer), true)
    }

    /// The socket at a path, opened, if a rule names it; else where the path leads.
    fn unix_peer(
        &self,
        call: &Notification,
        to: Address,
        procfs: &Procfs,
    ) -> Result<Result<(Address, OwnedFd), Address>, Errno> {
        let Some(path) = to.path.clone() else { return Ok(Err(to)) };
        if path.is_empty() {
            return Err(Errno::EINVAL);
        }
        let found = Place::for_caller(call.pid, path, procfs)?.open(procfs, path_only(), 0)?;
        let text = Some(String::from_utf8_lossy(&found.path).into_owned());
        let to = Address { text, ..to };
        let path = Path::new(OsStr::from_bytes(&found.path));
        let is_given = self.grants.unix.iter().any(|given| given == path);
        Ok(if is_given { Ok((to, found.file)) } else { Err(to) })
    }

    /// Makes a call now, or leaves it to a thread that can wait.
    fn make(call: &Notification, work: Work, waits: bool) -> Result<Judged, Errno> {
        if waits {
            let work = waiting::Work::Socket(work);
            return Ok(Judged::Later(Box::new(Waiting { call: *call, work })));
        }
        work.perform().map(Judged::Now)
    }

    /// Nothing listens, and so no address is given but the one that a socket of datagrams needs to be
    /// sent from.
    fn bind(&mut self, call: &Notification, process: u32) -> Result<Answer, Errno> {
        let to = Address::read(call, call.arguments[1], call.arguments[2])?;
        let stand_in = self.known(call).map(|stand_in| stand_in.kind);
        let kind = match stand_in {
            Some(kind) => kind,
            None if !self.grants.gives_sockets() => return Err(Errno::EPERM),
            None => {
                let socket = Socket::of(call)?;
                let chosen = to.ip.filter(|ip| ip.port() == 0 && ip.ip().is_unspecified());
                if let Some(address) = chosen
                    && socket.is_ip()
                    && socket.kind == libc::SOCK_DGRAM
                {
                    return socket.bind_anywhere(address).map(|()| Answer::Done);
                }
                Kind { family: socket.family, kind: socket.kind }
            }
        };
        self.attempts.note(kind, Tried::Listen, to, None, process, Outcome::Denied);
        Err(Errno::EACCES)
    }

    /// A stand-in takes every option. A socket over IP takes those that have nothing to do with where it
    /// sends: by others packets take another way (`IP_OPTIONS`) or a connection is made with the first
    /// data (`TCP_FASTOPEN_CONNECT`).
    fn set_option(&mut self, call: &Notification) -> Answer {
        if self.known(call).is_some() {
            return Answer::Done;
        }
        let is_harmless = OPTIONS.contains(&(low(call, 1), low(call, 2)));
        if self.grants.connect.is_empty() || is_harmless {
            Answer::Continue
        } else {
            Answer::Fail(Errno::ENOPROTOOPT)
        }
    }

    fn send(
        &mut self,
        call: &Notification,
        process: u32,
        messages: &[Message],
    ) -> Result<Judged, Errno> {
        if let Some(stand_in) = self.known(call).cloned() {
            for message in messages {
                let to = message.to.clone().or_else(|| stand_in.server.clone());
                let to = to.ok_or(Errno::ENOTCONN)?;
                let host = (to.port == Some(DOMAIN)).then(|| message.host(call)).flatten();
                self.attempts.note(stand_in.kind, Tried::Reach, to, host, process, Outcome::Denied);
            }
            // As if nobody listened there: a resolver gives up at once.
            return Err(Errno::ECONNREFUSED);
        }
        let is_addressed = messages.iter().any(|message| message.to.is_some());
        if self.grants.connect.is_empty() {
            // A pair's own end, or a Unix socket that is connected; what it is sent to is not for it to
            // choose (unix(7)).
            return if is_addressed && call.number == libc::SYS_sendto {
                Err(Errno::EPERM)
            } else {
                Ok(Judged::Now(Answer::Continue))
            };
        }
        let socket = Socket::of(call)?;
        if call.number == libc::SYS_sendto && !is_addressed {
            // That there is no address stands in a register: no thread can add one.
            self.note_question(call, process, &socket, &messages[0]);
            return Ok(Judged::Now(Answer::Continue));
        }
        self.send_here(call, process, socket, messages)
    }

    /// Sends messages whose addresses are in memory, or could be put there.
    fn send_here(
        &mut self,
        call: &Notification,
        process: u32,
        socket: Socket,
        messages: &[Message],
    ) -> Result<Judged, Errno> {
        let flags = low(call, if call.number == libc::SYS_sendmsg { 2 } else { 3 });
        if flags & libc::MSG_FASTOPEN != 0 {
            return Err(Errno::EOPNOTSUPP);
        }
        let flags = MsgFlags::from_bits_retain(flags);
        let at_once = flags | MsgFlags::MSG_DONTWAIT;
        let mut sent = 0;
        for message in messages {
            let result = self.prepare(call, process, &socket, message).and_then(|(to, bytes)| {
                let result = socket.send(to, &bytes, at_once);
                result.map_err(|errno| (errno, Some((to, bytes))))
            });
            match result {
                Ok(length) if call.number == libc::SYS_sendmmsg => {
                    // Its length is behind its header (sendmmsg(2)).
                    let at = header_at(call, sent)? + size_of::<libc::msghdr>() as u64;
                    let length = u32::try_from(length).unwrap_or(u32::MAX);
                    sys::write_memory(call.pid, at, &length.to_ne_bytes())?;
                    sent += 1;
                }
                Ok(length) => {
                    let length = i32::try_from(length).unwrap_or(i32::MAX);
                    return Ok(Judged::Now(Answer::Number(length)));
                }
                Err(_) if sent > 0 => break,
                Err((Errno::EAGAIN, Some((to, bytes))))
                    if socket.waits()
                        && !flags.contains(MsgFlags::MSG_DONTWAIT)
                        && call.number != libc::SYS_sendmmsg =>
                {
                    return Self::make(call, Work::Send(socket, to, bytes, flags), true);
                }
                Err((errno, _)) => return Err(errno),
            }
        }
        Ok(Judged::Now(Answer::Number(i32::try_from(sent).unwrap_or(i32::MAX))))
    }

    /// Judges a message, and copies it.
    fn prepare(
        &mut self,
        call: &Notification,
        process: u32,
        socket: &Socket,
        message: &Message,
    ) -> Result<Prepared, (Errno, Option<Prepared>)> {
        let failed = |errno| (errno, None);
        let kind = Kind { family: socket.family, kind: socket.kind };
        if message.has_control {
            return Err(failed(Errno::EPERM));
        }
        let to = match &message.to {
            None => {
                self.note_question(call, process, socket, message);
                None
            }
            Some(_) if !socket.is_ip() || socket.kind != libc::SOCK_DGRAM => {
                return Err(failed(Errno::EISCONN));
            }
            Some(to) => {
                let host = (to.port == Some(DOMAIN)).then(|| message.host(call)).flatten();
                let ip = to.ip.ok_or_else(|| failed(Errno::EAFNOSUPPORT))?;
                let is_given = self.covers(to);
                let outcome = if is_given { Outcome::Allowed } else { Outcome::Denied };
                self.attempts.note(kind, Tried::Reach, to.clone(), host, process, outcome);
                if !is_given {
                    return Err(failed(Errno::EACCES));
                }
                Some(ip)
            }
        };
        Ok((to, message.content(call, MOST).map_err(failed)?))
    }

    /// Notes which host name a name server is asked for.
    fn note_question(
        &mut self,
        call: &Notification,
        process: u32,
        socket: &Socket,
        message: &Message,
    ) {
        if !socket.is_ip() || socket.kind != libc::SOCK_DGRAM {
            return;
        }
        let server = socket.peer().filter(|peer| peer.port() == DOMAIN);
        if let Some(server) = server
            && let Some(host) = message.host(call)
        {
            let (text, port) = (Some(server.ip().to_string()), Some(DOMAIN));
            let to = Address { text, port, ip: Some(server), ..Address::default() };
            let kind = Kind { family: socket.family, kind: socket.kind };
            self.attempts.note(kind, Tried::Reach, to, Some(host), process, Outcome::Allowed);
        }
    }

    /// Lets a call pass, and notes where it goes: what another thread makes of its arguments meanwhile
    /// is as much allowed.
    fn watch(&mut self, call: &Notification, process: u32) -> Answer {
        match call.number {
            libc::SYS_socket => return self.watched_socket(call, process),
            libc::SYS_connect | libc::SYS_bind => {
                let read = Address::read(call, call.arguments[1], call.arguments[2]);
                let Ok(to) = read else { return Answer::Continue };
                let Some(socket) = self.known(call) else { return Answer::Continue };
                let connects = call.number == libc::SYS_connect;
                let is_datagram = socket.kind.kind == libc::SOCK_DGRAM;
                let names_server = connects && is_datagram && to.port == Some(DOMAIN);
                socket.server = names_server.then(|| to.clone());
                let kind = socket.kind;
                let tried = if connects { Tried::Reach } else { Tried::Listen };
                if to.text.is_some() && !names_server {
                    self.note_watched(kind, tried, to, None, process);
                }
            }
            libc::SYS_setsockopt => {}
            _ => {
                let Some(socket) = self.known(call).cloned() else { return Answer::Continue };
                for message in Message::all(call).unwrap_or_default() {
                    let to = message.to.clone().or_else(|| socket.server.clone());
                    let Some(to) = to else { continue };
                    let host = (to.port == Some(DOMAIN)).then(|| message.host(call)).flatten();
                    self.note_watched(socket.kind, Tried::Reach, to, host, process);
                }
            }
        }
        Answer::Continue
    }

    /// Makes a socket, to know it again.
    fn watched_socket(&mut self, call: &Notification, process: u32) -> Answer {
        let (family, kind) = (low(call, 0), low(call, 1));
        let flags = SockFlag::from_bits_truncate(kind);
        let asked = Kind { family, kind: kind & 0xf };
        let made = real::new(call)
            .map(|made| made.and_then(|socket| fstat(&socket).map(|stat| (socket, stat.st_ino))));
        match made {
            Some(Ok((socket, inode))) => {
                self.remember(inode, asked);
                Answer::Descriptor(socket, flags.contains(SockFlag::SOCK_CLOEXEC))
            }
            Some(Err(errno)) => Answer::Fail(errno),
            None => {
                self.note_watched(asked, Tried::Reach, Address::default(), None, process);
                Answer::Continue
            }
        }
    }

    fn note_watched(
        &mut self,
        kind: Kind,
        tried: Tried,
        to: Address,
        host: Option<String>,
        process: u32,
    ) {
        let path = to.text.as_deref().filter(|_| to.path.is_some()).map(Path::new);
        let is_given = match path {
            Some(path) => self.grants.unix.iter().any(|given| given == path),
            None => self.covers(&to),
        };
        let is_given = is_given && tried == Tried::Reach;
        let outcome = if is_given { Outcome::Allowed } else { Outcome::Denied };
        self.attempts.note(kind, tried, to, host, process, outcome);
    }

    fn refuse(&mut self, kind: Kind, tried: Tried, to: Address, process: u32) -> Judged {
        self.attempts.note(kind, tried, to, None, process, Outcome::Denied);
        Judged::Now(Answer::Fail(Errno::EACCES))
    }
}

/// A message's address and its content.
type Prepared = (Option<std::net::SocketAddr>, Vec<u8>);

/// Options that a socket over IP takes: level and name (socket(7), tcp(7), ip(7), ipv6(7)).
const OPTIONS: &[(i32, i32)] = &[
    (libc::SOL_SOCKET, libc::SO_BROADCAST),
    (libc::SOL_SOCKET, libc::SO_KEEPALIVE),
    (libc::SOL_SOCKET, libc::SO_LINGER),
    (libc::SOL_SOCKET, libc::SO_PRIORITY),
    (libc::SOL_SOCKET, libc::SO_RCVBUF),
    (libc::SOL_SOCKET, libc::SO_RCVLOWAT),
    (libc::SOL_SOCKET, libc::SO_RCVTIMEO),
    (libc::SOL_SOCKET, libc::SO_REUSEADDR),
    (libc::SOL_SOCKET, libc::SO_SNDBUF),
    (libc::SOL_SOCKET, libc::SO_SNDTIMEO),
    (libc::SOL_SOCKET, libc::SO_TIMESTAMP),
    (libc::IPPROTO_TCP, libc::TCP_CORK),
    (libc::IPPROTO_TCP, libc::TCP_KEEPCNT),
    (libc::IPPROTO_TCP, libc::TCP_KEEPIDLE),
    (libc::IPPROTO_TCP, libc::TCP_KEEPINTVL),
    (libc::IPPROTO_TCP, libc::TCP_NODELAY),
    (libc::IPPROTO_TCP, libc::TCP_QUICKACK),
    (libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT),
    (libc::IPPROTO_IP, libc::IP_MTU_DISCOVER),
    (libc::IPPROTO_IP, libc::IP_RECVERR),
    (libc::IPPROTO_IP, libc::IP_TOS),
    (libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER),
    (libc::IPPROTO_IPV6, libc::IPV6_RECVERR),
    (libc::IPPROTO_IPV6, libc::IPV6_TCLASS),
    (libc::IPPROTO_IPV6, libc::IPV6_V6ONLY),
];

fn new_stand_in(flags: SockFlag) -> Result<(OwnedFd, u64), Errno> {
    let flags = flags | SockFlag::SOCK_CLOEXEC;
    let socket = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    let inode = fstat(&socket)?.st_ino;
    Ok((socket, inode))
}
