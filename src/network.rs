//! An attempt to reach a network or a service: which family of addresses, and where to.

use std::fmt::Write as _;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::access::{Outcome, printable};
use crate::policy::endpoint::Endpoint;
use crate::policy::placeholders::toml_string;

/// One kind of attempt, however often it was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// `IPv4`, `IPv6`, `Unix`, `netlink`, `packet`, or the number of the address family.
    pub family: String,
    /// `stream`, `datagram`, `raw`, or the number of the socket's type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Where to: an IP address or a path; none if no more than a socket was asked for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub address: Option<String>,
    /// The port, of an IP address.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub port: Option<u16>,
    /// The host name that a name server was asked for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub host: Option<String>,
    /// Whether somebody was to reach the script there, and not the other way round.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub listens: bool,
    /// What came of it.
    pub outcome: Outcome,
    /// How often.
    pub count: u64,
    /// The process that did it first, as an index into the record's processes.
    pub process: u32,
}

impl Attempt {
    /// What was tried, for a person.
    #[must_use]
    pub fn tried(&self) -> String {
        let mut text = match (&self.host, &self.address) {
            (Some(host), _) => format!("tried to look up the host name `{}`", printable(host)),
            (None, Some(address)) => {
                let verb = if self.listens { "listen at" } else { "reach" };
                let mut text = format!("tried to {verb} `{}`", printable(address));
                if let Some(port) = self.port {
                    write!(text, " port {port}").expect("a String takes it all");
                }
                text
            }
            (None, None) => "tried to open a socket".to_owned(),
        };
        let protocol = match (self.family.as_str(), self.kind.as_str()) {
            ("IPv4" | "IPv6", "stream") => "TCP network connection, ",
            ("IPv4" | "IPv6", "datagram") => "UDP network traffic, ",
            _ => "",
        };
        write!(text, " ({protocol}{} {} socket)", self.family, self.kind)
            .expect("a String takes it all");
        if self.count > 1 {
            write!(text, " ({} times)", self.count).expect("a String takes it all");
        }
        text
    }

    /// A sentence for a person, with the reason.
    #[must_use]
    pub fn denial(&self, policy: &str) -> String {
        let tried = self.tried();
        match self.allowing() {
            Some(rule) => {
                let key = rule.split(" =").next().unwrap_or_default();
                format!(
                    "{tried}: no `{key}` rule of the policy `{policy}` covers it; `{rule}` would"
                )
            }
            None => format!("{tried}: no rule gives build scripts that"),
        }
    }

    /// The rule that would allow it, as a line of a policy, if there is one.
    #[must_use]
    pub fn allowing(&self) -> Option<String> {
        let address = self.address.as_deref().filter(|_| !self.listens)?;
        match self.family.as_str() {
            "IPv4" | "IPv6" => {
                let to = SocketAddr::new(address.parse().ok()?, self.port?);
                Endpoint::parse(&to.to_string()).ok()?;
                Some(format!("network.connect = [{}]", toml_string(&to.to_string())))
            }
            "Unix" if address.starts_with('/') && self.kind != "datagram" => {
                Some(format!("network.unix = [{}]", toml_string(address)))
            }
            _ => None,
        }
    }

    /// Whether a person should be told even though the script went on. Name services and the like
    /// try a local socket and do without; every script that asks for a user's name does so.
    #[must_use]
    pub fn is_remarkable(&self) -> bool {
        self.family.starts_with("IPv") && self.outcome == Outcome::Denied
    }

    /// Whether it is one of the denials of a run: of one that failed every refusal is, which may be why.
    #[must_use]
    pub fn counts(&self, failed: bool) -> bool {
        self.outcome == Outcome::Denied && (failed || self.is_remarkable())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_denial_says_where_to() {
        let mut attempt = Attempt {
            family: "IPv4".to_owned(),
            kind: "stream".to_owned(),
            address: Some("192.0.2.1".to_owned()),
            port: Some(443),
            host: None,
            listens: false,
            outcome: Outcome::Denied,
            count: 2,
            process: 0,
        };
        let text = attempt.denial("default");
        assert!(text.starts_with("tried to reach `192.0.2.1` port 443 (TCP network"), "{text}");
        assert!(text.contains("(2 times)") && attempt.is_remarkable());
        assert!(text.ends_with("; `network.connect = [\"192.0.2.1:443\"]` would"), "{text}");
        attempt.listens = true;
        assert!(attempt.denial("default").contains("tried to listen at `192.0.2.1` port 443"));
        assert_eq!(attempt.allowing(), None);
        attempt.listens = false;
        attempt.host = Some("example.org".to_owned());
        assert!(attempt.denial("default").contains("host name `example.org`"));
        attempt.host = None;
        attempt.family = "IPv6".to_owned();
        attempt.address = Some("2001:db8::1".to_owned());
        assert_eq!(attempt.allowing().unwrap(), "network.connect = [\"[2001:db8::1]:443\"]");
        attempt.address = Some("::".to_owned());
        assert_eq!(attempt.allowing(), None);
        (attempt.family, attempt.port) = ("Unix".to_owned(), None);
        for (address, expected) in
            [("/run/x", Some("network.unix = [\"/run/x\"]")), ("@x", None), ("x", None)]
        {
            attempt.address = Some(address.to_owned());
            assert_eq!(attempt.allowing().as_deref(), expected);
        }
    }
}
