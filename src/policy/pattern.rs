//! Patterns for names and values: `*` stands for any number of characters.

/// Whether `name` as a whole matches `pattern`, in which letters match in either case.
#[must_use]
pub fn matches(pattern: &[u8], name: &[u8]) -> bool {
    fits(pattern, name, u8::eq_ignore_ascii_case)
}

/// Whether `value` as a whole matches `pattern`.
#[must_use]
pub fn matches_exactly(pattern: &[u8], value: &[u8]) -> bool {
    fits(pattern, value, u8::eq)
}

/// Goes back to the last star only: an earlier one could take no more than that one can.
fn fits(pattern: &[u8], text: &[u8], is_same: impl Fn(&u8, &u8) -> bool) -> bool {
    let (mut in_pattern, mut in_text) = (0, 0);
    let mut star = None;
    while in_text < text.len() {
        match pattern.get(in_pattern) {
            Some(b'*') => {
                star = Some((in_pattern, in_text));
                in_pattern += 1;
            }
            Some(byte) if is_same(byte, &text[in_text]) => {
                in_pattern += 1;
                in_text += 1;
            }
            _ => {
                let Some((at, taken)) = star else { return false };
                star = Some((at, taken + 1));
                (in_pattern, in_text) = (at + 1, taken + 1);
            }
        }
    }
    pattern[in_pattern..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn stars_match_any_run() {
        for (pattern, name, expected) in [
            ("*TOKEN*", "GITHUB_TOKEN", true),
            ("*TOKEN*", "token", true),
            ("*_KEY", "MY_KEY", true),
            ("*_KEY", "KEYBOARD", false),
            ("AWS_*", "AWS_", true),
            ("AWS_*", "XAWS_A", false),
            ("a*b*c", "aXbXbc", true),
            ("a*b*c", "aXbXbcd", false),
            ("", "", true),
            ("A", "", false),
        ] {
            assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), expected, "{pattern} {name}");
        }
        assert!(!matches_exactly(b"a*", b"AB") && matches_exactly(b"a*", b"aB"));
    }

    /// As the definition says, in time that grows with every star.
    fn simple(pattern: &[u8], text: &[u8]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some((b'*', rest)) => (0..=text.len()).any(|skip| simple(rest, &text[skip..])),
            Some((byte, rest)) => {
                text.split_first().is_some_and(|(f, t)| f == byte && simple(rest, t))
            }
        }
    }

    proptest! {
        #[test]
        fn it_is_as_the_definition_says(pattern in "[ab*]{0,8}", text in "[ab]{0,10}") {
            let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
            prop_assert_eq!(matches_exactly(pattern, text), simple(pattern, text));
        }
    }
}
