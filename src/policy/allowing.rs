//! The rule that would allow what was denied, as a line of a policy.

use std::path::Path;

use super::Grants;
use super::placeholders::{Placeholders, toml_string};
use crate::access::Kind;

/// See the file's description.
///
/// # Errors
/// Why there is no such rule, as a phrase.
pub fn allowing(kind: Kind, path: &str, known: &Placeholders) -> Result<String, &'static str> {
    let Some(right) = kind.right() else {
        return Err("no rule gives this: a policy cannot show what the jail hides");
    };
    // To give or take a name is a right on the directory that holds it.
    let (place, note) = if kind.is_of_a_name() {
        let directory = Path::new(path).parent().and_then(Path::to_str).unwrap_or("/");
        (directory, "  # and everything below it")
    } else {
        (path, "")
    };
    let key = Grants::rule_key(right);
    Ok(format!("{key} = [{}]{note}", toml_string(&known.shorten(place))))
}
