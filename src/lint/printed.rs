//! Instructions that Cargo does not understand as they were meant.

use super::subject::Subject;
use super::{Code, Lint};
use crate::instruction::{self, Kind, Syntax, swallowed as find};

/// Keys of metadata after one colon, and no others after two.
const OF_TWO_COLONS: [&str; 2] = ["error", "metadata"];

/// Instructions that follow other text on their line.
#[must_use]
pub fn swallowed(subject: &Subject<'_>) -> Option<Lint> {
    let lines = subject.stored.swallowed_instructions.iter().map(|line| line.to_string());
    let all = subject.instructions.iter().chain(&subject.withheld);
    let in_values = all.filter_map(|instruction| {
        let value = instruction.value();
        let inner = match instruction.kind() {
            Kind::Warning { .. } | Kind::Error { .. } => find::after_text(&value),
            _ => find::in_value(&value),
        };
        inner.map(|_| instruction.to_string())
    });
    Lint::about(
        Code::SwallowedInstruction,
        "printed instructions that Cargo does not see, because the text before them has no newline",
        lines.chain(in_values).collect(),
    )
}

/// Keys that were meant for Cargo and became metadata.
#[must_use]
pub fn misspelled(subject: &Subject<'_>) -> Option<Lint> {
    let all = subject.instructions.iter().chain(&subject.withheld);
    let items = all.filter_map(|instruction| match instruction.kind() {
        Kind::Metadata { key, .. } if instruction.syntax() == Syntax::Single => {
            let meant = meant(key)?;
            Some(format!("`cargo:{key}=`: {meant}"))
        }
        _ => None,
    });
    Lint::about(
        Code::KeyBecomesMetadata,
        "printed instructions with one colon and a key that Cargo does not know, which became metadata",
        items.collect(),
    )
}

/// What a key of metadata was meant to be, if it was not meant to be that.
fn meant(key: &str) -> Option<String> {
    // Cargo knows both after two colons.
    if OF_TWO_COLONS.contains(&key) {
        return Some(format!("`cargo::{key}=` is meant"));
    }
    let plain = key.trim().to_ascii_lowercase().replace('_', "-");
    let known = instruction::KEYS.iter().filter(|key| !OF_TWO_COLONS.contains(key));
    let nearest = known.min_by_key(|known| strsim::damerau_levenshtein(known, &plain))?;
    // Words are alike that are short.
    let is_near = strsim::damerau_levenshtein(nearest, &plain) <= nearest.len() / 6;
    if is_near {
        return Some(format!("`{nearest}` is meant"));
    }
    let is_reserved = ["rustc-", "rerun-if-"].iter().any(|of| plain.starts_with(of));
    is_reserved.then(|| "Cargo knows no such key".to_owned())
}

/// One colon in a package that needs a Cargo which knows two.
#[must_use]
pub fn old_syntax(subject: &Subject<'_>) -> Option<Lint> {
    if subject.rust_version()? < (1, 77) {
        return None;
    }
    let old = subject.instructions.iter().filter(|old| old.syntax() == Syntax::Single);
    let items = old.map(|instruction| match instruction.kind() {
        Kind::Metadata { key, .. } => format!("cargo:{key}= (cargo::metadata={key}=)"),
        _ => format!("cargo:{}=", instruction.key()),
    });
    Lint::about(
        Code::OldSyntax,
        "prints instructions with one colon, itself or by a library, in a package whose rust-version \
         has those with two",
        items.collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_told_from_metadata() {
        for (key, expected) in [
            ("rustc-link-libs", "`rustc-link-lib` is meant"),
            ("rustc_cfg", "`rustc-cfg` is meant"),
            ("rustc-cfg ", "`rustc-cfg` is meant"),
            ("RERUN-IF-CHANGED", "`rerun-if-changed` is meant"),
            ("rerun-if-change", "`rerun-if-changed` is meant"),
            ("warnings", "`warning` is meant"),
            ("rustc-opt-level", "Cargo knows no such key"),
            ("error", "`cargo::error=` is meant"),
        ] {
            assert_eq!(meant(key).as_deref(), Some(expected), "{key}");
        }
        for key in ["root", "include", "lib", "learning", "version", "rustc", "errors", ""] {
            assert_eq!(meant(key), None, "{key}");
        }
    }
}
