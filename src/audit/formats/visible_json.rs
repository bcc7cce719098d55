//! JSON in which everything that shows nothing or steers a terminal is escaped, and not only what has to be
//! (RFC 8259, section 7): reports are looked at, too.

use std::io::{self, Write};

use serde::Serialize;

use crate::access::is_invisible;

/// Writes a value.
///
/// # Errors
/// If it cannot be written, or is no JSON.
pub fn write(value: &impl Serialize, out: &mut dyn Write) -> io::Result<()> {
    let text = serde_json::to_string_pretty(value)?;
    let mut rest = text.as_str();
    // Outside of strings there is nothing of the kind but line feeds.
    let hides = |letter: char| letter != '\n' && (letter.is_control() || is_invisible(letter));
    while let Some(at) = rest.find(hides) {
        let (before, from) = rest.split_at(at);
        out.write_all(before.as_bytes())?;
        let mut letters = from.chars();
        for unit in
            letters.next().into_iter().flat_map(|letter| letter.encode_utf16(&mut [0; 2]).to_vec())
        {
            write!(out, "\\u{unit:04x}")?;
        }
        rest = letters.as_str();
    }
    out.write_all(rest.as_bytes())?;
    out.write_all(b"\n")
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_reader_sees_what_was_written() {
        let text = "a\n\u{9b}\u{202e}\u{e0041}é\\u0041\"\u{7f}";
        let mut written = Vec::new();
        super::write(&[text], &mut written).unwrap();
        let read: Vec<String> = serde_json::from_slice(&written).unwrap();
        assert_eq!(read, [text]);
        let written = String::from_utf8(written).unwrap();
        assert_eq!(written, "[\n  \"a\\n\\u009b\\u202e\\udb40\\udc41é\\\\u0041\\\"\\u007f\"\n]\n");
    }
}
