//! What steers a terminal, made visible.
//!
//! Cargo shows a script's messages, and with `-vv` or on failure everything that it printed, as it is:
//! an escape sequence can write to the clipboard, answer in the user's stead, or hide and forge what
//! Cargo says. In what is meant for people, [`visible`] replaces every control character but the tab.
//! In other output, which stays byte for byte otherwise, [`Filter`] replaces what begins an escape
//! sequence (ECMA-48, 5.3 and 5.4), except one that sets colors, which compilers print.

use std::borrow::Cow;
use std::io::{self, Write};

const ESCAPE: u8 = 0x1b;
/// The first byte of U+0080 to U+00BF in UTF-8; to U+009F they are control functions, too.
const C1_LEAD: u8 = 0xc2;
/// No sequence that sets colors is longer.
const LONGEST: usize = 64;

/// A message without control characters; tabs stay.
#[must_use]
pub fn visible(text: &str) -> Cow<'_, str> {
    let steers = |letter: char| letter.is_control() && letter != '\t';
    if !text.contains(steers) {
        return Cow::Borrowed(text);
    }
    let mut visible = String::with_capacity(text.len() + 8);
    for letter in text.chars() {
        if steers(letter) {
            visible.extend(letter.escape_default());
        } else {
            visible.push(letter);
        }
    }
    Cow::Owned(visible)
}

/// Whether a text holds an escape sequence that does more than to set colors.
#[must_use]
pub fn steers(text: &str) -> bool {
    let (mut filter, mut out) = (Filter::default(), Vec::with_capacity(text.len()));
    let written = filter.write(&mut out, text.as_bytes()).and_then(|()| filter.end(&mut out));
    written.is_err() || out != text.as_bytes()
}

/// A stream of output on its way.
#[derive(Debug, Default)]
pub struct Filter {
    /// The beginning of what may be an escape sequence.
    held: Vec<u8>,
}

impl Filter {
    /// Writes a piece of the stream, but for an end that may begin an escape sequence.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&mut self, out: &mut impl Write, piece: &[u8]) -> io::Result<()> {
        let mut rest = piece;
        while let Some(&byte) = rest.first() {
            if self.held.is_empty() {
                let harmless = rest.iter().position(|byte| *byte == ESCAPE || *byte == C1_LEAD);
                let (passed, held) = rest.split_at(harmless.unwrap_or(rest.len()));
                out.write_all(passed)?;
                self.held.extend(held.first());
                rest = held.get(1..).unwrap_or_default();
                continue;
            }
            match (self.held[0], byte) {
                (C1_LEAD, 0x80..=0x9f) => {
                    self.held.clear();
                    write!(out, "\\u{{{byte:x}}}")?;
                }
                (ESCAPE, b'[') if self.held.len() == 1 => self.held.push(byte),
                (ESCAPE, b'0'..=b'9' | b';' | b':') if (2..LONGEST).contains(&self.held.len()) => {
                    self.held.push(byte);
                }
                (ESCAPE, b'm') if self.held.len() > 1 => {
                    out.write_all(&self.held)?;
                    self.held.clear();
                    out.write_all(b"m")?;
                }
                _ => {
                    self.end(out)?;
                    continue;
                }
            }
            rest = &rest[1..];
        }
        Ok(())
    }

    /// Writes what was kept: the stream ends, or does not go on as an escape sequence would.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn end(&mut self, out: &mut impl Write) -> io::Result<()> {
        let held = std::mem::take(&mut self.held);
        match held.strip_prefix(&[ESCAPE]) {
            Some(rest) => {
                out.write_all(b"\\u{1b}")?;
                out.write_all(rest)
            }
            None => out.write_all(&held),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn filtered(pieces: &[&[u8]]) -> Vec<u8> {
        let (mut filter, mut out) = (Filter::default(), Vec::new());
        for piece in pieces {
            filter.write(&mut out, piece).unwrap();
        }
        filter.end(&mut out).unwrap();
        out
    }

    #[test]
    fn sequences_are_seen_and_colors_stay() {
        for (text, expected) in [
            ("\x1b]52;c;eA==\x07", "\\u{1b}]52;c;eA==\x07"),
            ("\x1b[2J", "\\u{1b}[2J"),
            ("\x1b[1;31mred\x1b[0m\x1b[m", "\x1b[1;31mred\x1b[0m\x1b[m"),
            ("\x1bm", "\\u{1b}m"),
            ("\x1b[\x1b[31m", "\\u{1b}[\x1b[31m"),
            ("\u{9b}2J\u{90}é\u{a0}", "\\u{9b}2J\\u{90}é\u{a0}"),
            ("a\tb\r\n\x07", "a\tb\r\n\x07"),
            ("\x1b", "\\u{1b}"),
            ("\x1b[?25l", "\\u{1b}[?25l"),
        ] {
            assert_eq!(String::from_utf8(filtered(&[text.as_bytes()])).unwrap(), expected);
            assert_eq!(steers(text), text != expected, "{text:?}");
        }
        let long = format!("\x1b[{}m", "1;".repeat(LONGEST));
        assert!(steers(&long));
        assert_eq!(filtered(&[b"\xc2\xc2\x9b\xff"]), b"\xc2\\u{9b}\xff");
    }

    #[test]
    fn messages_keep_what_is_harmless() {
        assert_eq!(visible("a\tb é 漢 \u{200d}"), "a\tb é 漢 \u{200d}");
        assert_eq!(visible("\x1b[31ma\rb\0\u{9b}\u{85}"), "\\u{1b}[31ma\\rb\\u{0}\\u{9b}\\u{85}");
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(bytes in "[\\x1b\\[0-9;:m\u{9b}é\u{80}xJ]{0,20}", at in 0usize..40) {
            let bytes = bytes.as_bytes();
            let at = at.min(bytes.len());
            prop_assert_eq!(filtered(&[&bytes[..at], &bytes[at..]]), filtered(&[bytes]));
        }

        #[test]
        fn what_is_left_steers_nothing(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let once = filtered(&[&bytes]);
            prop_assert_eq!(filtered(&[&once]), once.clone());
            let text = String::from_utf8_lossy(&once);
            let is_c1 = |letter| ('\u{80}'..='\u{9f}').contains(&letter);
            prop_assert!(!text.contains(is_c1));
        }
    }
}
