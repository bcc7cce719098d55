//! An instruction that Cargo does not see, because the line before it had no newline and so took it in.
//!
//! `print!("probing… "); println!("cargo::rustc-cfg=fast");` is one line, which begins like no
//! instruction; after `print!("cargo::rustc-cfg=a");` the next instruction is part of a value. People
//! also write of instructions, in quotation marks, and programs print them with something in front:
//! those are not meant.

use super::{Kind, Line, Syntax, parse};

/// The instruction that directly follows other text in a line that is none itself, or that a person
/// reads.
#[must_use]
pub fn after_text(line: &str) -> Option<&str> {
    find(line, |before| !before.is_whitespace())
}

/// The instruction in the value of another.
#[must_use]
pub fn in_value(value: &str) -> Option<&str> {
    find(value, |_| true)
}

/// `may_follow` says after which character an instruction is one that was meant to begin a line.
fn find(text: &str, may_follow: impl Fn(char) -> bool) -> Option<&str> {
    text.match_indices("cargo:").map(|(at, _)| text.split_at(at)).find_map(|(before, rest)| {
        let before = before.chars().next_back()?;
        let is_told_of = matches!(before, '"' | '\'' | '`' | '(' | '[' | '<' | '\\' | '“' | '‘');
        (!is_told_of && may_follow(before) && is_instruction(rest)).then_some(rest)
    })
}

/// With one colon any word is a key, of metadata: those are not looked for.
fn is_instruction(text: &str) -> bool {
    match parse(text.as_bytes()) {
        Line::Instruction(instruction) => {
            let is_metadata = matches!(instruction.kind(), Kind::Metadata { .. });
            !is_metadata || instruction.syntax() == Syntax::Double
        }
        Line::Plain | Line::Invalid(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_directly_follows_is_found() {
        for (line, expected) in [
            ("done.cargo:rustc-cfg=a", Some("cargo:rustc-cfg=a")),
            ("é…cargo::metadata=k=v", Some("cargo::metadata=k=v")),
            ("cargo:rustc-cfg=a", None),
            ("[pkg 1.0.0] cargo:rustc-cfg=a", None),
            ("see `cargo:rustc-cfg=a`", None),
            ("xcargo:root=/usr", None),
            ("xcargo::no-such-key=1", None),
            ("xcargo:cargo:rustc-cfg=a", Some("cargo:rustc-cfg=a")),
        ] {
            assert_eq!(after_text(line), expected, "{line}");
        }
    }

    #[test]
    fn a_value_may_have_a_blank_before_it() {
        assert_eq!(in_value("a cargo:rustc-link-lib=z"), Some("cargo:rustc-link-lib=z"));
        assert_eq!(in_value("acargo::rerun-if-changed=b"), Some("cargo::rerun-if-changed=b"));
        assert_eq!(in_value("\"cargo:rustc-link-lib=z\""), None);
    }
}
