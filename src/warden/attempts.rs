//! What a script tried to reach, each kind of attempt once.

use super::address::Address;
use crate::access::Outcome;
use crate::network::Attempt;

/// So many different attempts are kept, and so many that were denied.
const KEPT: usize = 1000;

/// A socket that was asked for, in the numbers of socket(2).
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// Its address family.
    pub family: i32,
    /// Its type, without flags.
    pub kind: i32,
}

/// What was tried at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tried {
    /// To send something there, or to connect.
    Reach,
    /// To be reached there.
    Listen,
}

/// See the file's description.
#[derive(Debug, Default)]
pub struct Attempts {
    kept: Vec<Attempt>,
    dropped: u64,
}

impl Attempts {
    /// Those that are kept, in the order in which they were first made.
    #[must_use]
    pub fn kept(&self) -> &[Attempt] {
        &self.kept
    }

    /// How many more there were. One that was made twice may count twice.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Notes an attempt, or counts it.
    pub fn note(
        &mut self,
        socket: Kind,
        tried: Tried,
        to: Address,
        host: Option<String>,
        process: u32,
        outcome: Outcome,
    ) {
        let attempt = Attempt {
            family: family_name(socket.family),
            kind: kind_name(socket.kind),
            address: to.text,
            port: to.port,
            host,
            listens: tried == Tried::Listen,
            outcome,
            count: 1,
            process,
        };
        let known = self.kept.iter().position(|known| {
            let Attempt { count, process, .. } = *known;
            *known == Attempt { count, process, ..attempt.clone() }
        });
        if let Some(index) = known {
            self.kept[index].count += 1;
        } else if self.has_room_for(attempt.outcome) {
            self.kept.push(attempt);
        } else {
            self.dropped += 1;
        }
    }

    /// What was allowed leaves room for what is denied, or nobody would hear of that.
    fn has_room_for(&self, outcome: Outcome) -> bool {
        let denied = || self.kept.iter().filter(|kept| kept.outcome == Outcome::Denied).count();
        self.kept.len() < KEPT || (outcome == Outcome::Denied && denied() < KEPT)
    }
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

    const STREAM: Kind = Kind { family: libc::AF_INET, kind: libc::SOCK_STREAM };

    fn to(port: usize) -> Address {
        Address {
            text: Some("192.0.2.1".to_owned()),
            port: u16::try_from(port).ok(),
            ..Address::default()
        }
    }

    #[test]
    fn a_flood_of_what_is_allowed_leaves_room_for_what_is_denied() {
        let mut attempts = Attempts::default();
        for outcome in [Outcome::Allowed, Outcome::Denied] {
            for port in 0..KEPT + 3 {
                attempts.note(STREAM, Tried::Reach, to(port), None, 0, outcome);
            }
        }
        let denied = attempts.kept().iter().filter(|kept| kept.outcome == Outcome::Denied);
        assert_eq!((attempts.kept().len(), denied.count()), (2 * KEPT, KEPT));
        assert_eq!(attempts.dropped(), 6);
        attempts.note(STREAM, Tried::Reach, to(0), None, 7, Outcome::Denied);
        assert_eq!((attempts.kept()[KEPT].count, attempts.kept()[KEPT].process), (2, 0));
        assert_eq!(attempts.dropped(), 6);
    }
}
