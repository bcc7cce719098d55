//! An access: one use of a path or a program by a script, with its outcome.
//!
//! The warden makes them, the record keeps them, reports print them.

use std::fmt::{self, Display};
use std::str::FromStr;

use nix::errno::Errno;
use serde::{Deserialize, Serialize};

use crate::policy::{Grants, Right};

/// What the script did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
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
    /// Gave a file another name, or was that name.
    Rename,
    /// Gave a file a further name (link(2)): this one is the name that it had.
    Link,
    /// Executed a program.
    Execute,
    /// Looked at a path without opening what is there (stat(2), access(2), `O_PATH` and their kin).
    Stat,
    /// Read where a symbolic link leads (readlink(2)).
    ReadLink,
    /// Changed the mode of a file (chmod(2)).
    SetMode,
    /// Changed the owner or group of a file (chown(2)).
    SetOwner,
    /// Changed the times of a file (utimensat(2)).
    SetTimes,
    /// Changed an extended attribute of a file (xattr(7)).
    SetAttribute,
}

impl Kind {
    /// The right that a grant must give for this to succeed, if it needs one.
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
            // A link is judged by the name that is made.
            Self::Link | Self::Stat | Self::ReadLink => None,
        }
    }

    /// Whether a name is given or taken, which is a right on the directory that holds it
    /// (`LANDLOCK_ACCESS_FS_REMOVE_DIR` and its kin): `OUT_DIR` itself cannot be removed.
    #[must_use]
    pub fn is_of_a_name(self) -> bool {
        matches!(self, Self::Create | Self::Remove | Self::Rename)
    }

    /// Whether it is a change, or makes one possible.
    #[must_use]
    pub fn changes(self) -> bool {
        self == Self::Link || self.right() == Some(Right::Write)
    }

    /// As in "tried to …".
    #[must_use]
    pub fn verb(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::List => "list",
            Self::Write => "write",
            Self::Create => "create",
            Self::Remove => "remove",
            Self::Rename => "rename",
            Self::Link => "link to",
            Self::Execute => "execute",
            Self::Stat => "look at",
            Self::ReadLink => "read the link",
            Self::SetMode => "change the mode of",
            Self::SetOwner => "change the owner of",
            Self::SetTimes => "change the times of",
            Self::SetAttribute => "change an attribute of",
        }
    }
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Outcome {
    /// It was done.
    Allowed,
    /// The jail refused it.
    Denied,
    /// Something was looked at that is there, and the jail said that it is not. No rule gives a script
    /// more than to look, and so nothing was refused.
    Hidden,
    /// There is nothing of that name (`ENOENT`, `ENOTDIR`).
    NotFound,
    /// It failed, and not by the jail's doing. An execve(2) fails with an error that nobody sees but
    /// its caller: that is `UnknownErrno`.
    Failed(Errno),
}

impl Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Allowed => f.write_str("allowed"),
            Self::Denied => f.write_str("denied"),
            Self::Hidden => f.write_str("hidden"),
            Self::NotFound => f.write_str("not-found"),
            Self::Failed(Errno::UnknownErrno) => f.write_str("failed"),
            Self::Failed(errno) => write!(f, "{errno:?}"),
        }
    }
}

/// Not the name of an outcome.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no outcome of an access")]
pub struct NoOutcome(String);

impl From<Outcome> for String {
    fn from(outcome: Outcome) -> Self {
        outcome.to_string()
    }
}

impl TryFrom<String> for Outcome {
    type Error = NoOutcome;

    fn try_from(text: String) -> Result<Self, NoOutcome> {
        text.parse()
    }
}

impl FromStr for Outcome {
    type Err = NoOutcome;

    fn from_str(text: &str) -> Result<Self, NoOutcome> {
        Ok(match text {
            "allowed" => Self::Allowed,
            "denied" => Self::Denied,
            "hidden" => Self::Hidden,
            "not-found" => Self::NotFound,
            "failed" => Self::Failed(Errno::UnknownErrno),
            _ => {
                // The highest number that Linux has (errno(3)).
                let errno =
                    (1..=133).map(Errno::from_raw).find(|errno| format!("{errno:?}") == text);
                Self::Failed(errno.ok_or_else(|| NoOutcome(text.to_owned()))?)
            }
        })
    }
}

/// One kind of use of one path with one outcome, however often it happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    /// What was done.
    pub kind: Kind,
    /// Absolute. Free of symbolic links, where something was found and opened.
    pub path: String,
    /// The path's bytes in hexadecimal digits, where it is not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_hex: Option<String>,
    /// What came of it.
    pub outcome: Outcome,
    /// How often, at least: a program that looks once more at what is known, or for what is known not to be
    /// there, need not be heard of ([`crate::preload`]).
    pub count: u64,
    /// The process that did it first, as an index into the record's processes.
    pub process: u32,
}

impl Access {
    /// A sentence for a person: what was tried, and which rule would have allowed it; `allowing` is that
    /// rule as it can be pasted, if there is one.
    #[must_use]
    pub fn denial(&self, policy: &str, allowing: Option<&str>) -> String {
        let rule = match self.kind.right() {
            Some(right) => {
                format!("no `{}` rule of the policy `{policy}` covers it", Grants::rule_key(right))
            }
            None => format!("the policy `{policy}` hides it"),
        };
        let allowing = allowing.map_or_else(String::new, |rule| format!("; `{rule}` would"));
        format!("{}: {rule}{allowing}", self.attempt())
    }

    /// What was tried, as the beginning of a sentence.
    #[must_use]
    pub fn attempt(&self) -> String {
        let what = format!("tried to {} `{}`", self.kind.verb(), printable(&self.path));
        let times = if self.count > 1 { format!(" ({} times)", self.count) } else { String::new() };
        what + &times
    }
}

/// Escapes control characters and invisible ones, so that a name cannot steer the terminal, forge a
/// line or show in another order than it has.
#[must_use]
pub fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() || is_invisible(character) {
            printable.extend(character.escape_default());
        } else {
            printable.push(character);
        }
    }
    printable
}

/// Characters that show nothing and change what is shown beside them (Unicode, general category Cf,
/// and the separators of lines and paragraphs).
#[must_use]
pub fn is_invisible(character: char) -> bool {
    matches!(character,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_denial_names_the_rule() {
        let access = Access {
            kind: Kind::Create,
            path: "/home/x\n/y".to_owned(),
            path_hex: None,
            outcome: Outcome::Denied,
            count: 2,
            process: 0,
        };
        assert_eq!(
            access.denial("default", None),
            "tried to create `/home/x\\n/y` (2 times): no `files.write` rule of the policy \
             `default` covers it"
        );
        let text = access.denial("default", Some("files.write = [\"/x\"]"));
        assert!(text.ends_with("covers it; `files.write = [\"/x\"]` would"), "{text}");
    }

    #[test]
    fn a_printed_name_steers_nothing() {
        assert_eq!(printable("a\x1b[2J\u{9b}b\r"), "a\\u{1b}[2J\\u{9b}b\\r");
        assert_eq!(printable("\u{202e}txt.\u{200b}é 漢"), "\\u{202e}txt.\\u{200b}é 漢");
    }

    #[test]
    fn outcomes_are_read_back() {
        let outcomes = [
            Outcome::Allowed,
            Outcome::Denied,
            Outcome::Hidden,
            Outcome::NotFound,
            Outcome::Failed(Errno::EEXIST),
            Outcome::Failed(Errno::UnknownErrno),
        ];
        for outcome in outcomes {
            assert_eq!(outcome.to_string().parse::<Outcome>().unwrap(), outcome);
        }
        assert!("EVERYTHING".parse::<Outcome>().is_err());
    }
}
