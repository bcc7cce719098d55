//! Addresses of sockets, and messages, as they stand in the memory of the process that made a call.
//!
//! As all arguments they are read once, and what is done is done with what was read.

use std::ffi::CString;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use nix::errno::Errno;

use super::argument;
use super::found::c_string;
use crate::sys::Notification;

/// The port of name servers (services(5), "domain").
pub const DOMAIN: u16 = 53;
/// The longest address that a socket call takes (`sizeof(struct sockaddr_storage)`).
const ADDRESS: usize = 128;
/// As much of a message as holds a host name (RFC 1035, 2.3.4 and 4.1.1).
const QUESTION: usize = 12 + 255;
/// A message has no more pieces (`UIO_MAXIOV`).
const PIECES: usize = 1024;

/// An address of any family.
#[derive(Clone, Debug, Default)]
pub struct Address {
    /// Its family (`address_families`(7)).
    pub family: i32,
    /// As a person writes it, without the port.
    pub text: Option<String>,
    /// The port, of an IP address.
    pub port: Option<u16>,
    /// The whole of an IP address.
    pub ip: Option<SocketAddr>,
    /// Of a Unix address that is no abstract name.
    pub path: Option<CString>,
}

/// A message that is to be sent: to whom, and where it is.
#[derive(Debug)]
pub struct Message {
    /// To whom, if it says so itself.
    pub to: Option<Address>,
    /// Whether descriptors or options are sent with it (cmsg(3)).
    pub has_control: bool,
    /// Its pieces: where each begins, and its length.
    pieces: Vec<[u64; 2]>,
}

impl Address {
    /// An address in memory (`sockaddr`(3type)).
    ///
    /// # Errors
    /// `EFAULT`, and `EINVAL` for a length that no address has.
    pub fn read(call: &Notification, at: u64, length: u64) -> Result<Self, Errno> {
        let length = usize::try_from(length & 0xffff_ffff).unwrap_or(usize::MAX);
        if !(2..=ADDRESS).contains(&length) {
            return Err(Errno::EINVAL);
        }
        let mut bytes = [0; ADDRESS];
        argument::bytes(call.pid, at, &mut bytes[..length])?;
        let family = i32::from(u16::from_ne_bytes([bytes[0], bytes[1]]));
        let port = u16::from_be_bytes([bytes[2], bytes[3]]);
        let ip = match family {
            libc::AF_INET => {
                let octets: [u8; 4] = bytes[4..8].try_into().unwrap_or_default();
                SocketAddr::new(IpAddr::from(Ipv4Addr::from(octets)), port)
            }
            libc::AF_INET6 => {
                let octets: [u8; 16] = bytes[8..24].try_into().unwrap_or_default();
                let scope = u32::from_ne_bytes(bytes[24..28].try_into().unwrap_or_default());
                SocketAddrV6::new(Ipv6Addr::from(octets), port, 0, scope).into()
            }
            libc::AF_UNIX => return Ok(Self::unix(&bytes[2..length])),
            _ => return Ok(Self { family, ..Self::default() }),
        };
        let text = Some(ip.ip().to_string());
        Ok(Self { family, text, port: Some(port), ip: Some(ip), path: None })
    }

    fn unix(path: &[u8]) -> Self {
        let family = libc::AF_UNIX;
        // An abstract name begins with a NUL byte, and is written with an @ (unix(7)).
        if let Some(name) = path.strip_prefix(b"\0") {
            let text = Some(format!("@{}", String::from_utf8_lossy(name)));
            return Self { family, text, ..Self::default() };
        }
        let path = path.split(|byte| *byte == 0).next().unwrap_or_default();
        let text = Some(String::from_utf8_lossy(path).into_owned());
        Self { family, text, path: Some(c_string(path.to_vec())), ..Self::default() }
    }
}

impl Message {
    /// Those of a call that sends.
    ///
    /// # Errors
    /// What the call fails with.
    pub fn all(call: &Notification) -> Result<Vec<Self>, Errno> {
        match call.number {
            libc::SYS_sendto => Ok(vec![Self::of_sendto(call)?]),
            libc::SYS_sendmsg => Ok(vec![Self::of_header(call, call.arguments[1])?]),
            _ => Self::of_several(call),
        }
    }

    fn of_sendto(call: &Notification) -> Result<Self, Errno> {
        let [_, text, length, _, at, size] = call.arguments;
        let to = if at == 0 { None } else { Some(Address::read(call, at, size)?) };
        Ok(Self { to, has_control: false, pieces: vec![[text, length]] })
    }

    /// Of a `msghdr` in memory (sendmsg(2)).
    fn of_header(call: &Notification, at: u64) -> Result<Self, Errno> {
        let [name, size, pieces, count, control, control_size] = words(call, at)?;
        let is_addressed = name != 0 && argument::descriptor(size) != 0;
        let to = is_addressed.then(|| Address::read(call, name, size)).transpose()?;
        let count = usize::try_from(count).ok().filter(|count| *count <= PIECES);
        let mut all = vec![[[0; 8]; 2]; count.ok_or(Errno::EMSGSIZE)?];
        let bytes = all.as_flattened_mut().as_flattened_mut();
        if !bytes.is_empty() {
            argument::bytes(call.pid, pieces, bytes)?;
        }
        let pieces = all.into_iter().map(|piece| piece.map(u64::from_ne_bytes)).collect();
        Ok(Self { to, has_control: control != 0 && control_size != 0, pieces })
    }

    /// Of the first messages of an array of `mmsghdr` (sendmmsg(2)).
    fn of_several(call: &Notification) -> Result<Vec<Self>, Errno> {
        /// A resolver sends one for each version of IP.
        const MOST: u64 = 4;
        let count = (call.arguments[2] & 0xffff_ffff).min(MOST);
        (0..count).map(|index| Self::of_header(call, header_at(call, index)?)).collect()
    }

    /// Its content, or as many bytes of it.
    ///
    /// # Errors
    /// `EFAULT`.
    pub fn content(&self, call: &Notification, most: usize) -> Result<Vec<u8>, Errno> {
        let mut content = Vec::new();
        for [at, length] in &self.pieces {
            let length = usize::try_from(*length).unwrap_or(usize::MAX).min(most - content.len());
            let before = content.len();
            content.resize(before + length, 0);
            if length > 0 {
                argument::bytes(call.pid, *at, &mut content[before..])?;
            }
        }
        Ok(content)
    }

    /// The host name that a name server is asked for (RFC 1035, 4.1.2).
    #[must_use]
    pub fn host(&self, call: &Notification) -> Option<String> {
        host_in(&self.content(call, QUESTION).ok()?)
    }
}

/// Where a message's `mmsghdr` is (sendmmsg(2)).
///
/// # Errors
/// `EFAULT`.
pub fn header_at(call: &Notification, index: u64) -> Result<u64, Errno> {
    let size = size_of::<libc::mmsghdr>() as u64;
    call.arguments[1].checked_add(index * size).ok_or(Errno::EFAULT)
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
            let address = Address::read(&call, at, bytes.len() as u64);
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
