//! Where a rule lets a script connect to: addresses and ports.
//!
//! No host names: what one stands for is whatever a name server says, and the script's own resolver and
//! the one who judges would have to hear the same.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use super::diagnostic::Mistake;

/// See the file's description.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The address; none is every one.
    pub address: Option<IpAddr>,
    /// The port; none is every one.
    pub port: Option<u16>,
}

impl Endpoint {
    /// Reads `ADDRESS:PORT`, each of which can be `*`, or `*` alone.
    ///
    /// # Errors
    /// Why it is none.
    pub fn parse(text: &str) -> Result<Self, Mistake> {
        if text == "*" {
            return Ok(Self { address: None, port: None });
        }
        let help = "for instance \"192.0.2.1:443\", \"[2001:db8::1]:443\", \"*:443\" or \"*\"";
        let mistake =
            |message: String, help: &str| Mistake { message, help: Some(help.to_owned()) };
        if text.parse::<IpAddr>().is_ok() {
            return Err(mistake(format!("`{text}` has no port, which can be `*`"), help));
        }
        let Some((host, port)) = text.rsplit_once(':') else {
            return Err(mistake("an address and a port have a `:` between them".to_owned(), help));
        };
        let port = match port {
            "*" => None,
            port => match port.parse::<u16>().ok().filter(|number| number.to_string() == port) {
                Some(port) if port > 0 => Some(port),
                _ => {
                    return Err(mistake(
                        "a port is a number from 1 to 65535, or `*`".to_owned(),
                        help,
                    ));
                }
            },
        };
        let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let address = match bracketed {
            Some(host) => host.parse::<Ipv6Addr>().ok().map(IpAddr::from),
            None => host.parse::<IpAddr>().ok().filter(IpAddr::is_ipv4),
        };
        match address {
            _ if host == "*" => Ok(Self { address: None, port }),
            Some(address) if address.to_canonical().is_unspecified() => {
                let message = format!("no host has the address `{address}`");
                Err(mistake(message, "`*` stands for every address"))
            }
            Some(address) => Ok(Self { address: Some(address.to_canonical()), port }),
            None if bracketed.is_none() && host.contains(':') => {
                let message = "an IPv6 address stands in brackets".to_owned();
                Err(mistake(message, help))
            }
            None => {
                let help =
                    "a name is what a name server makes of it: name addresses, or every one by `*`";
                Err(mistake(format!("`{host}` is not an IP address"), help))
            }
        }
    }

    /// Whether this is one of those that are meant. An IPv4 address is the same in its IPv6 form
    /// (RFC 4291, 2.5.5.2).
    #[must_use]
    pub fn covers(&self, to: SocketAddr) -> bool {
        self.address.is_none_or(|address| address == to.ip().to_canonical())
            && self.port.is_none_or(|port| port == to.port())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_covers_its_addresses_and_ports() {
        for (rule, to, expected) in [
            ("192.0.2.1:443", "192.0.2.1:443", true),
            ("192.0.2.1:443", "192.0.2.1:444", false),
            ("192.0.2.1:443", "192.0.2.2:443", false),
            ("192.0.2.1:443", "[::ffff:192.0.2.1]:443", true),
            ("[::ffff:192.0.2.1]:443", "192.0.2.1:443", true),
            ("192.0.2.1:443", "[::192.0.2.1]:443", false),
            ("192.0.2.1:*", "192.0.2.1:1", true),
            ("*:443", "[2001:db8::1]:443", true),
            ("*:443", "192.0.2.1:80", false),
            ("[2001:db8::1]:443", "[2001:db8:0::1]:443", true),
            ("[2001:db8::1]:443", "[2001:db8::2]:443", false),
            ("127.0.0.1:80", "0.0.0.0:80", false),
            ("*", "0.0.0.0:80", true),
            ("*:*", "[::]:80", true),
        ] {
            let endpoint = Endpoint::parse(rule).map_err(|mistake| mistake.message).unwrap();
            assert_eq!(endpoint.covers(to.parse().unwrap()), expected, "{rule} {to}");
        }
    }

    #[test]
    fn what_is_none_is_refused() {
        for rule in [
            "",
            ":",
            "crates.io:443",
            "*.io:443",
            "192.0.2.1",
            "::1",
            "::1:80",
            "[::1]",
            "1.2.3:80",
            "192.0.2.1:0",
            "192.0.2.1:65536",
            "192.0.2.1:+80",
            "192.0.2.1: 80",
            "[192.0.2.1]:80",
            "0.0.0.0:80",
            "[::]:80",
            "[::ffff:0.0.0.0]:80",
            "*:",
            "**",
            "192.0.2.*:80",
            "[fe80::1%eth0]:80",
        ] {
            assert!(Endpoint::parse(rule).is_err(), "{rule}");
        }
    }
}
