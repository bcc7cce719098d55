//! The rule that would allow what was denied or withheld, as a line of a policy.

use std::path::Path;

use super::Grants;
use super::collection::Giving;
use super::placeholders::{Placeholders, toml_string};
use crate::access::Kind;
use crate::instruction::{self, Line};

/// See the file's description. `giving` is what the collection would give the package, which goes before
/// a rule for the path alone.
///
/// # Errors
/// Why there is no such rule, as a phrase.
pub fn allowing(
    kind: Kind,
    path: &str,
    known: &Placeholders,
    giving: Option<&Giving>,
) -> Result<String, &'static str> {
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
    let place = known.shorten(place);
    if let Some(giving) = giving.filter(|giving| giving.path(right, &place)) {
        return Ok(giving.rule());
    }
    Ok(format!("{key} = [{}]{note}", toml_string(&place)))
}

/// The rule by which an instruction that makes the unit fail would be relayed. None of what Cargo itself
/// refuses, nor of a line that was cut at an `…`: it would match nothing.
#[must_use]
pub fn relaying(line: &str) -> Option<String> {
    let Line::Instruction(_) = instruction::parse(line.as_bytes()) else { return None };
    if line.ends_with('…') {
        return None;
    }
    let line = line.trim_start();
    let rule = line.strip_prefix("cargo::").or_else(|| line.strip_prefix("cargo:"))?;
    Some(format!("instructions.allow = [{}]", toml_string(rule)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::layers::{Layer, Layers, Owner};
    use crate::policy::{Document, Policy};

    #[test]
    fn the_rule_for_an_instruction_relays_it() {
        for line in [
            "cargo::rustc-env=LD_PRELOAD=/tmp/x.so",
            "cargo:rustc-link-arg=-Wl,--script=\"a b\"",
            "cargo::rustc-cfg=@/x*y",
            "cargo::rustc-env=A=\u{9b}2J",
        ] {
            let rule = relaying(line).unwrap();
            let document = Document::parse("brig.toml", &rule).unwrap();
            let layer = Layer { owner: Owner::Workspace, document };
            let policy = Policy::of(&Layers::of(vec![layer], None).unwrap(), "", "");
            assert!(Grants { policy, ..Grants::default() }.allows(line), "{rule}");
        }
        assert_eq!(relaying("cargo::no-such-key=1"), None);
        assert_eq!(relaying("cargo::rustc-env=LD_PRELOAD=/tmp/…"), None);
    }
}
