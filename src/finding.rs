//! A finding: something that a script did and that a person should hear of.

use serde::{Deserialize, Serialize};

use crate::access::printable;
use crate::policy::{Grants, Limit};

/// See the file's description.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Names what it is, the same in every version.
    pub code: String,
    /// A sentence without its subject, which is the build script.
    pub message: String,
    /// Whether the unit fails by it.
    pub fatal: bool,
    /// The rule of a policy by which it would not be found, if there is one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub rule: Option<String>,
}

impl Finding {
    /// An instruction was relayed that a policy would have withheld; `rule` would relay it by any policy.
    #[must_use]
    pub fn of_instruction(line: &str, reason: &str, rule: Option<String>) -> Self {
        let line = printable(line);
        Self {
            code: "instruction".to_owned(),
            message: format!("printed `{line}`, which would be withheld: {reason}"),
            fatal: false,
            rule,
        }
    }

    /// A limit was reached, and the script was ended if that is `fatal`.
    #[must_use]
    pub fn of_limit(limit: Limit, fatal: bool, grants: &Grants) -> Self {
        let (key, value) = (limit.key(), limit.value(&grants.policy.limits));
        let ended = if fatal { ", and was ended" } else { "" };
        let place = grants.policy.said.limit(limit);
        let of = match place {
            Some(place) => format!("at {}:{}", place.file, place.line),
            None => format!("of the policy `{}`", grants.policy.name),
        };
        Self {
            code: format!("limit-{key}"),
            message: format!("came to a limit{ended}: {value} (`limits.{key}` {of})"),
            fatal,
            rule: None,
        }
    }
}
