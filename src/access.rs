//! An access: one use of a path, program or address by a script, with its outcome.
//!
//! The warden makes them, the record keeps them, reports print them. What is kept at present is
//! what was denied.

use serde::{Deserialize, Serialize};

use crate::policy::{Grants, Right};

/// What the script did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Opened a file for reading.
    Read,
    /// Opened a directory to list it.
    List,
    /// Opened a file for writing, or truncated it.
    Write,
    /// Created a file, directory, link or node.
    Create,
    /// Removed a file or directory.
    Remove,
    /// Gave a file another name.
    Rename,
    /// Executed a program.
    Execute,
    /// Changed the mode of a file (chmod(2)).
    SetMode,
    /// Changed the owner or group of a file (chown(2)).
    SetOwner,
    /// Changed the times of a file (utimensat(2)).
    SetTimes,
    /// Changed an extended attribute of a file (xattr(7)).
    SetAttribute,
    /// Made a socket.
    Socket,
}

impl Kind {
    /// The right that a grant must give for this to succeed; none can for a socket.
    #[must_use]
    pub fn right(self) -> Option<Right> {
        match self {
            Self::Read => Some(Right::Read),
            Self::List => Some(Right::List),
            Self::Write
            | Self::Create
            | Self::Remove
            | Self::Rename
            | Self::SetMode
            | Self::SetOwner
            | Self::SetTimes
            | Self::SetAttribute => Some(Right::Write),
            Self::Execute => Some(Right::Execute),
            Self::Socket => None,
        }
    }

    /// As in "tried to …".
    fn verb(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::List => "list",
            Self::Write => "write",
            Self::Create => "create",
            Self::Remove => "remove",
            Self::Rename => "rename",
            Self::Execute => "execute",
            Self::SetMode => "change the mode of",
            Self::SetOwner => "change the owner of",
            Self::SetTimes => "change the times of",
            Self::SetAttribute => "change an attribute of",
            Self::Socket => "open",
        }
    }
}

/// One kind of use of one subject, however often it happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    /// What was done.
    pub kind: Kind,
    /// The path, absolute and free of symbolic links, or the kind of socket.
    pub subject: String,
    /// How often.
    pub count: u64,
    /// The program that did it first, if it could be told.
    pub program: Option<String>,
}

impl Access {
    /// A sentence for a person: what was tried, and which rule would have allowed it.
    #[must_use]
    pub fn denial(&self, policy: &str) -> String {
        let what = format!("tried to {} `{}`", self.kind.verb(), printable(&self.subject));
        let times = if self.count > 1 { format!(" ({} times)", self.count) } else { String::new() };
        let rule = match self.kind.right() {
            Some(right) => {
                format!("no `{}` rule of the policy `{policy}` covers it", Grants::rule_key(right))
            }
            None => format!("the policy `{policy}` gives build scripts no network and no sockets"),
        };
        format!("{what}{times}: {rule}")
    }

    /// Whether a person should be told even though the script went on. Name services and the like
    /// try a local socket and do without; every script that asks for a user's name does so.
    #[must_use]
    pub fn is_remarkable(&self) -> bool {
        self.kind != Kind::Socket || self.subject.contains("IPv")
    }
}

/// Escapes control characters, so that a name cannot steer the terminal or forge a line.
#[must_use]
pub fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            printable.extend(character.escape_default());
        } else {
            printable.push(character);
        }
    }
    printable
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_denial_names_the_rule() {
        let access = Access {
            kind: Kind::Create,
            subject: "/home/x\n/y".to_owned(),
            count: 2,
            program: None,
        };
        assert_eq!(
            access.denial("default"),
            "tried to create `/home/x\\n/y` (2 times): no `files.write` rule of the policy \
             `default` covers it"
        );
    }
}
