//! What a script tries to reach over a network or through a socket.
//!
//! A script gets no socket of a network, and none that could reach a daemon. So that the record can
//! say where to it wanted, it gets a stand-in: a Unix socket that is connected to nothing. Every call
//! by which a socket gets a peer, or sends to one, comes to the warden, and is carried out for a
//! connected pair (socketpair(2)) alone. On a stand-in it is refused, but for one that only names a
//! name server: the question that follows has the host's name in it.

use std::collections::HashMap;
use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use nix::sys::stat::fstat;

use super::argument;
use crate::access::Outcome;
use crate::network::Attempt;
use crate::policy::Grants;
use crate::sys::{Answer, Notification};

/// So many different attempts are kept.
const KEPT: usize = 1000;
/// More stand-ins than a script has open at a time are not remembered.
const STAND_INS: usize = 10_000;
/// The port of name servers (services(5), "domain").
const DOMAIN: u16 = 53;
/// The longest address that a socket call takes (`sizeof(struct sockaddr_storage)`).
const ADDRESS: usize = 128;
/// As much of a message as holds a host name (RFC 1035, 2.3.4 and 4.1.1).
const QUESTION: usize = 12 + 255;

/// The attempts of one script.
#[derive(Debug)]
pub struct Network {
    /// Whether nothing is refused.
    is_permissive: bool,
    attempts: Vec<Attempt>,
    /// By inode number.
    stand_ins: HashMap<u64, StandIn>,
}

#[derive(Clone, Debug)]
struct StandIn {
    family: i32,
    kind: i32,
    /// The name server that it was connected to.
    server: Option<Address>,
}

#[derive(Clone, Debug, Default)]
struct Address {
    text: Option<String>,
    port: Option<u16>,
}

/// A message that is to be sent: to whom, and where it begins.
struct Message {
    to: Option<Address>,
    text: u64,
    length: u64,
}

fn low(call: &Notification, index: usize) -> i32 {
    argument::descriptor(call.arguments[index])
}

impl Network {
    /// None yet, of a script with these grants.
    #[must_use]
    pub fn new(grants: &Grants) -> Self {
        let is_permissive = grants.is_permissive();
        Self { is_permissive, attempts: Vec::new(), stand_ins: HashMap::new() }
    }

    /// Judges and notes a call on a socket; none if it is not such a call.
    pub fn call(&mut self, call: &Notification, process: u32) -> Option<Answer> {
        if self.is_permissive {
            return self.watch(call, process);
        }
        let answer = match call.number {
            libc::SYS_socket => return Some(self.socket(call, process)),
            libc::SYS_connect | libc::SYS_bind => self.connect(call, process),
            libc::SYS_setsockopt => {
                Ok(if self.stand_in(call).is_some() { Answer::Done } else { Answer::Continue })
            }
            libc::SYS_sendto => {
                let message = Message::of_sendto(call);
                message.map(|message| self.send(call, process, &[message]))
            }
            libc::SYS_sendmsg => Message::of_header(call, call.arguments[1])
                .map(|message| self.send(call, process, &[message])),
            libc::SYS_sendmmsg => {
                Message::all_of(call).map(|messages| self.send(call, process, &messages))
            }
            _ => return None,
        };
        Some(answer.unwrap_or_else(Answer::Fail))
    }

    /// All attempts.
    #[must_use]
    pub fn attempts(&self) -> &[Attempt] {
        &self.attempts
    }

    /// Lets a call pass, and notes where it goes: what another thread makes of its arguments meanwhile
    /// is as much allowed.
    fn watch(&mut self, call: &Notification, process: u32) -> Option<Answer> {
        match call.number {
            libc::SYS_socket => return Some(self.watched_socket(call, process)),
            libc::SYS_connect | libc::SYS_bind => {
                let read = Address::read(call, call.arguments[1], call.arguments[2]);
                let Ok((_, to)) = read else { return Some(Answer::Continue) };
                let Some(socket) = self.stand_in(call) else { return Some(Answer::Continue) };
                let names_server = call.number == libc::SYS_connect && to.port == Some(DOMAIN);
                socket.server = names_server.then(|| to.clone());
                let socket = socket.clone();
                if to.text.is_some() && !names_server {
                    self.refuse(&socket, to, None, process);
                }
            }
            libc::SYS_sendto => {
                let messages = Message::of_sendto(call).into_iter().collect();
                self.watch_messages(call, process, messages);
            }
            libc::SYS_sendmsg => {
                let messages = Message::of_header(call, call.arguments[1]).into_iter().collect();
                self.watch_messages(call, process, messages);
            }
            libc::SYS_sendmmsg => {
                self.watch_messages(call, process, Message::all_of(call).unwrap_or_default());
            }
            libc::SYS_setsockopt => {}
            _ => return None,
        }
        Some(Answer::Continue)
    }

    /// Makes a socket, to know it again.
    fn watched_socket(&mut self, call: &Notification, process: u32) -> Answer {
        let (family, kind) = (low(call, 0), low(call, 1));
        let flags = SockFlag::from_bits_truncate(kind);
        let socket = StandIn { family, kind: kind & 0xf, server: None };
        match new_socket(call) {
            Some(Ok((file, inode))) => {
                self.remember(inode, socket);
                Answer::Descriptor(file, flags.contains(SockFlag::SOCK_CLOEXEC))
            }
            Some(Err(errno)) => Answer::Fail(errno),
            None => {
                self.refuse(&socket, Address::default(), None, process);
                Answer::Continue
            }
        }
    }

    fn watch_messages(&mut self, call: &Notification, process: u32, messages: Vec<Message>) {
        let Some(socket) = self.stand_in(call).cloned() else { return };
        for message in messages {
            let Some(to) = message.to.clone().or_else(|| socket.server.clone()) else { continue };
            let host = (to.port == Some(DOMAIN)).then(|| message.host(call)).flatten();
            self.refuse(&socket, to, host, process);
        }
    }

    fn remember(&mut self, inode: u64, socket: StandIn) {
        if self.stand_ins.len() >= STAND_INS {
            self.stand_ins.clear();
        }
        self.stand_ins.insert(inode, socket);
    }

    fn socket(&mut self, call: &Notification, process: u32) -> Answer {
        let (family, kind) = (low(call, 0), low(call, 1));
        let flags = SockFlag::from_bits_truncate(kind);
        let kind = kind & 0xf;
        let has_addresses = [libc::AF_INET, libc::AF_INET6, libc::AF_UNIX].contains(&family)
            && [libc::SOCK_STREAM, libc::SOCK_DGRAM, libc::SOCK_SEQPACKET].contains(&kind);
        let stand_in = StandIn { family, kind, server: None };
        if has_addresses && let Ok((socket, inode)) = new_stand_in(flags) {
            self.remember(inode, stand_in);
            return Answer::Descriptor(socket, flags.contains(SockFlag::SOCK_CLOEXEC));
        }
        self.refuse(&stand_in, Address::default(), None, process);
        Answer::Fail(Errno::EACCES)
    }

    /// The stand-in that the call's first argument is.
    fn stand_in(&mut self, call: &Notification) -> Option<&mut StandIn> {
        let link = fs::read_link(format!("/proc/{}/fd/{}", call.pid, low(call, 0))).ok()?;
        let inode = link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?;
        self.stand_ins.get_mut(&inode.parse().ok()?)
    }

    fn connect(&mut self, call: &Notification, process: u32) -> Result<Answer, Errno> {
        let (family, address) = Address::read(call, call.arguments[1], call.arguments[2])?;
        let Some(stand_in) = self.stand_in(call) else {
            return Ok(Answer::Fail(Errno::EPERM));
        };
        let connects = call.number == libc::SYS_connect;
        // A datagram socket that is connected has not sent anything (connect(2)).
        if connects && stand_in.kind == libc::SOCK_DGRAM {
            if family == libc::AF_UNSPEC {
                stand_in.server = None;
                return Ok(Answer::Done);
            }
            if address.port == Some(DOMAIN) {
                stand_in.server = Some(address);
                return Ok(Answer::Done);
            }
        }
        let stand_in = stand_in.clone();
        self.refuse(&stand_in, address, None, process);
        Ok(Answer::Fail(Errno::EACCES))
    }

    fn send(&mut self, call: &Notification, process: u32, messages: &[Message]) -> Answer {
        let Some(stand_in) = self.stand_in(call).cloned() else {
            // A pair's own end; what it is sent to is not for it to choose (unix(7)).
            let is_addressed = messages.iter().any(|message| message.to.is_some());
            return if is_addressed && call.number == libc::SYS_sendto {
                Answer::Fail(Errno::EPERM)
            } else {
                Answer::Continue
            };
        };
        for message in messages {
            let Some(to) = message.to.clone().or_else(|| stand_in.server.clone()) else {
                return Answer::Fail(Errno::ENOTCONN);
            };
            let host = (to.port == Some(DOMAIN)).then(|| message.host(call)).flatten();
            self.refuse(&stand_in, to, host, process);
        }
        // As if nobody listened there: a resolver gives up at once.
        Answer::Fail(Errno::ECONNREFUSED)
    }

    /// Notes an attempt that is refused, or counts it.
    fn refuse(&mut self, socket: &StandIn, to: Address, host: Option<String>, process: u32) {
        let attempt = Attempt {
            family: family_name(socket.family),
            kind: kind_name(socket.kind),
            address: to.text,
            port: to.port,
            host,
            outcome: Outcome::Denied,
            count: 1,
            process,
        };
        let known = self.attempts.iter().position(|known| {
            let Attempt { count, process, .. } = *known;
            *known == Attempt { count, process, ..attempt.clone() }
        });
        match known {
            Some(index) => self.attempts[index].count += 1,
            None if self.attempts.len() < KEPT => self.attempts.push(attempt),
            None => {}
        }
    }
}

/// The socket that a call asks for, and its inode number; none if it is of another kind than most
/// programs have.
fn new_socket(call: &Notification) -> Option<Result<(OwnedFd, u64), Errno>> {
    let family = match low(call, 0) {
        libc::AF_INET => AddressFamily::Inet,
        libc::AF_INET6 => AddressFamily::Inet6,
        libc::AF_UNIX => AddressFamily::Unix,
        _ => return None,
    };
    let flags = SockFlag::from_bits_truncate(low(call, 1)) | SockFlag::SOCK_CLOEXEC;
    let (kind, usual) = match low(call, 1) & 0xf {
        libc::SOCK_STREAM => (SockType::Stream, libc::IPPROTO_TCP),
        libc::SOCK_DGRAM => (SockType::Datagram, libc::IPPROTO_UDP),
        libc::SOCK_SEQPACKET => (SockType::SeqPacket, 0),
        _ => return None,
    };
    if ![0, usual].contains(&low(call, 2)) {
        return None;
    }
    let inode = |socket: OwnedFd| fstat(&socket).map(|stat| (socket, stat.st_ino));
    Some(socket(family, kind, flags, None).and_then(inode))
}

fn new_stand_in(flags: SockFlag) -> Result<(OwnedFd, u64), Errno> {
    let flags = flags | SockFlag::SOCK_CLOEXEC;
    let socket = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    let inode = fstat(&socket)?.st_ino;
    Ok((socket, inode))
}

impl Address {
    /// An address in memory, and its family (`sockaddr`(3type)).
    fn read(call: &Notification, at: u64, length: u64) -> Result<(i32, Self), Errno> {
        let length = usize::try_from(length & 0xffff_ffff).unwrap_or(usize::MAX);
        if !(2..=ADDRESS).contains(&length) {
            return Err(Errno::EINVAL);
        }
        let mut bytes = [0; ADDRESS];
        argument::bytes(call.pid, at, &mut bytes[..length])?;
        let family = i32::from(u16::from_ne_bytes([bytes[0], bytes[1]]));
        let port = Some(u16::from_be_bytes([bytes[2], bytes[3]]));
        let text = match family {
            libc::AF_INET => {
                let octets: [u8; 4] = bytes[4..8].try_into().unwrap_or_default();
                Some(Ipv4Addr::from(octets).to_string())
            }
            libc::AF_INET6 => {
                let octets: [u8; 16] = bytes[8..24].try_into().unwrap_or_default();
                Some(Ipv6Addr::from(octets).to_string())
            }
            libc::AF_UNIX => {
                let path = &bytes[2..length];
                // An abstract name begins with a NUL byte, and is written with an @ (unix(7)).
                let (prefix, path) = match path.strip_prefix(b"\0") {
                    Some(name) => ("@", name),
                    None => ("", path.split(|byte| *byte == 0).next().unwrap_or_default()),
                };
                let text = format!("{prefix}{}", String::from_utf8_lossy(path));
                return Ok((family, Self { text: Some(text), port: None }));
            }
            _ => return Ok((family, Self::default())),
        };
        Ok((family, Self { text, port }))
    }
}

impl Message {
    fn of_sendto(call: &Notification) -> Result<Self, Errno> {
        let [_, text, length, _, at, size] = call.arguments;
        let to = if at == 0 { None } else { Some(Address::read(call, at, size)?.1) };
        Ok(Self { to, text, length })
    }

    /// Of a `msghdr` in memory (sendmsg(2)); the text is where its first piece is.
    fn of_header(call: &Notification, at: u64) -> Result<Self, Errno> {
        let [name, size, pieces, count] = words(call, at)?;
        let is_addressed = name != 0 && argument::descriptor(size) != 0;
        let to = is_addressed.then(|| Address::read(call, name, size)).transpose()?;
        let to = to.map(|(_, address)| address);
        let [text, length] = if count == 0 { [0, 0] } else { words(call, pieces)? };
        Ok(Self { to, text, length })
    }

    /// Of the first messages of an array of `mmsghdr` (sendmmsg(2)).
    fn all_of(call: &Notification) -> Result<Vec<Self>, Errno> {
        /// A resolver sends one for each version of IP.
        const MOST: u64 = 4;
        let size = size_of::<libc::mmsghdr>() as u64;
        let count = (call.arguments[2] & 0xffff_ffff).min(MOST);
        let at = |index: u64| call.arguments[1].checked_add(index * size).ok_or(Errno::EFAULT);
        (0..count).map(|index| Self::of_header(call, at(index)?)).collect()
    }

    /// The host name that a name server is asked for (RFC 1035, 4.1.2).
    fn host(&self, call: &Notification) -> Option<String> {
        let length = usize::try_from(self.length).unwrap_or(usize::MAX).min(QUESTION);
        let mut bytes = vec![0; length];
        argument::bytes(call.pid, self.text, &mut bytes).ok()?;
        host_in(&bytes)
    }
}

/// The name in a question to a name server.
fn host_in(message: &[u8]) -> Option<String> {
    let mut rest = message.get(12..)?;
    let mut labels = Vec::new();
    loop {
        let (length, behind) = rest.split_first()?;
        if *length == 0 {
            break;
        }
        let (label, behind) = behind.split_at_checked((*length).into())?;
        labels.push(String::from_utf8_lossy(label).into_owned());
        rest = behind;
    }
    (!labels.is_empty()).then(|| labels.join("."))
}

/// Numbers of 64 bits, one after the other.
fn words<const COUNT: usize>(call: &Notification, at: u64) -> Result<[u64; COUNT], Errno> {
    let mut bytes = [[0; 8]; COUNT];
    argument::bytes(call.pid, at, bytes.as_flattened_mut())?;
    Ok(bytes.map(u64::from_ne_bytes))
}

/// As a person calls this address family (`address_families`(7)).
fn family_name(family: i32) -> String {
    let name = match family {
        libc::AF_UNIX => "Unix",
        libc::AF_INET => "IPv4",
        libc::AF_INET6 => "IPv6",
        libc::AF_NETLINK => "netlink",
        libc::AF_PACKET => "packet",
        _ => return family.to_string(),
    };
    name.to_owned()
}

/// As a person calls this type of socket (socket(2)).
fn kind_name(kind: i32) -> String {
    let name = match kind {
        libc::SOCK_STREAM => "stream",
        libc::SOCK_DGRAM => "datagram",
        libc::SOCK_SEQPACKET => "seqpacket",
        libc::SOCK_RAW => "raw",
        _ => return kind.to_string(),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_has_a_host_name() {
        let mut question = vec![0; 12];
        question.extend_from_slice(b"\x05index\x06crates\x02io\0\0\x01\0\x01");
        assert_eq!(host_in(&question).as_deref(), Some("index.crates.io"));
        for length in 0..question.len() - 4 {
            assert_eq!(host_in(&question[..length]), None);
        }
    }

    #[test]
    fn addresses_are_read() {
        let read = |bytes: &[u8]| {
            let pid = std::process::id();
            let call = Notification { id: 0, pid, number: 0, arguments: [0; 6] };
            let at = bytes.as_ptr().expose_provenance() as u64;
            let address = Address::read(&call, at, bytes.len() as u64).map(|address| address.1);
            address.map(|address| (address.text.unwrap_or_default(), address.port))
        };
        let family = |family: i32| u16::try_from(family).unwrap().to_ne_bytes();
        let inet = [&family(libc::AF_INET)[..], &[1, 187, 192, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0]];
        assert_eq!(read(&inet.concat()).unwrap(), ("192.0.2.1".to_owned(), Some(443)));
        let path = [&family(libc::AF_UNIX)[..], b"/run/x\0y"].concat();
        assert_eq!(read(&path).unwrap(), ("/run/x".to_owned(), None));
        let name = [&family(libc::AF_UNIX)[..], b"\0bus"].concat();
        assert_eq!(read(&name).unwrap(), ("@bus".to_owned(), None));
        assert_eq!(read(&[1]), Err(Errno::EINVAL));
    }
}
