//! Patterns for names: `*` stands for any number of characters, letters match in either case.

/// Whether `name` as a whole matches `pattern`.
#[must_use]
pub fn matches(pattern: &[u8], name: &[u8]) -> bool {
    match pattern.split_first() {
        None => name.is_empty(),
        Some((b'*', rest)) => (0..=name.len()).any(|skip| matches(rest, &name[skip..])),
        Some((byte, rest)) => name
            .split_first()
            .is_some_and(|(first, name)| byte.eq_ignore_ascii_case(first) && matches(rest, name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_match_any_run() {
        for (pattern, name, expected) in [
            ("*TOKEN*", "GITHUB_TOKEN", true),
            ("*TOKEN*", "token", true),
            ("*_KEY", "MY_KEY", true),
            ("*_KEY", "KEYBOARD", false),
            ("AWS_*", "AWS_", true),
            ("AWS_*", "XAWS_A", false),
            ("", "", true),
            ("A", "", false),
        ] {
            assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), expected, "{pattern} {name}");
        }
    }
}
