//! The relay: a script's standard output on its way to Cargo, line by line.
//!
//! What Cargo would take for an instruction is parsed, judged and written out again from its typed
//! value, a message without control characters; every other line passes through as it is, but for escape
//! sequences that steer a terminal (see [`terminal`]). Memory is bounded: a plain line is never kept,
//! an instruction only up to [`LONGEST_INSTRUCTION`].

use std::fmt::Write as _;
use std::io::{self, Write};

use crate::access::printable;
use crate::instruction::{self, Instruction, InvalidInstruction, Kind, Line, swallowed};
use crate::policy::allowing::relaying;
use crate::policy::instructions::Decision;
use crate::terminal::{self, Filter};

/// No instruction is longer, in bytes. Cargo knows no limit, but each value becomes an argument or
/// a variable, of which the kernel takes 128 KiB (execve(2), `MAX_ARG_STRLEN`).
pub const LONGEST_INSTRUCTION: usize = 1024 * 1024;
/// So many instructions are kept for the record, and so many bytes of them; later ones are relayed and
/// counted.
const KEPT: (usize, usize) = (10_000, 16 * 1024 * 1024);
/// So many that are withheld are kept, and so many besides for which the unit fails.
const WITHHELD: usize = 1000;
/// So many characters are kept of each.
const WITHHELD_LINE: usize = 4096;
/// So many bytes of a line that is not an instruction are looked at for one in its middle.
const LOOKED_AT: usize = 4096;
/// So many such lines are kept, and so many characters of each.
const SWALLOWED: (usize, usize) = (100, 300);

/// Why relaying ended early.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Cargo no longer reads, or its pipe is broken.
    #[error("cannot write the script's output to Cargo")]
    Write(#[source] io::Error),
    /// A line longer than [`LONGEST_INSTRUCTION`] that may be an instruction.
    #[error("the script printed an instruction of more than {LONGEST_INSTRUCTION} bytes")]
    TooLong,
}

/// An instruction that did not reach Cargo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Withheld {
    /// The instruction as a line; of a very long one the beginning, and `…`.
    pub line: String,
    /// Why.
    pub reason: String,
    /// Whether the unit fails for it.
    pub fatal: bool,
}

impl Withheld {
    /// A sentence for a person.
    #[must_use]
    pub fn sentence(&self) -> String {
        const SHOWN: usize = 200;
        let mut line: String = printable(&self.line).chars().take(SHOWN).collect();
        if line.len() < self.line.len() {
            line.push('…');
        }
        let mut sentence = format!("printed `{line}`, which is withheld: {}", self.reason);
        // A rule for a line that was cut could not be pasted.
        if let Some(rule) = relaying(&self.line).filter(|_| self.fatal && !line.ends_with('…')) {
            write!(sentence, "; `{rule}` would relay it").expect("a String takes it all");
        }
        sentence
    }
}

/// What was relayed, for the record.
#[derive(Clone, Debug, Default)]
pub struct Relayed {
    /// The instructions that reached Cargo, in order; the first ones if there are very many.
    pub instructions: Vec<Instruction>,
    /// How many there were.
    pub count: u64,
    /// Those that did not reach Cargo.
    pub withheld: Vec<Withheld>,
    /// How many more of those there were.
    pub withheld_dropped: u64,
    /// The first of the lines in which an instruction follows other text, so that Cargo ignores it.
    pub swallowed: Vec<String>,
}

/// See the file's description. `J` decides about each instruction.
pub struct Relay<W, J> {
    out: W,
    judge: J,
    /// The beginning of a line that is, or may become, an instruction.
    pending: Vec<u8>,
    /// Inside a line that is not an instruction.
    passing: bool,
    /// The beginning of that line.
    passed: Vec<u8>,
    /// Where such lines go.
    filter: Filter,
    relayed: Relayed,
    /// The bytes of the instructions in it.
    kept: usize,
}

/// What the beginning of a line tells.
#[derive(PartialEq)]
enum Beginning {
    Plain,
    MaybeInstruction,
}

const PREFIX: &[u8] = b"cargo:";

/// Whether a line that begins so can be an instruction: white space as Cargo trims it (Unicode's),
/// then `cargo:` or as much of it as is there.
fn beginning(line: &[u8]) -> Beginning {
    let (text, rest) = match std::str::from_utf8(line) {
        Ok(text) => (text, &[][..]),
        Err(error) => {
            let (valid, rest) = line.split_at(error.valid_up_to());
            // `error_len` is none where a character is only cut off by the end of the piece.
            let cut_off = error.error_len().is_none();
            (str::from_utf8(valid).unwrap_or_default(), if cut_off { &[][..] } else { rest })
        }
    };
    let trimmed = text.trim_start().as_bytes();
    let seen = trimmed.len().min(PREFIX.len());
    if trimmed[..seen] != PREFIX[..seen] || (trimmed.len() < PREFIX.len() && !rest.is_empty()) {
        return Beginning::Plain;
    }
    Beginning::MaybeInstruction
}

impl<W: Write, J: FnMut(&Instruction) -> Decision> Relay<W, J> {
    /// A relay that writes to `out`.
    pub fn new(out: W, judge: J) -> Self {
        Self {
            out,
            judge,
            pending: Vec::new(),
            passing: false,
            passed: Vec::new(),
            filter: Filter::default(),
            relayed: Relayed::default(),
            kept: 0,
        }
    }

    /// Takes the next piece of output, of any length.
    ///
    /// # Errors
    /// See [`Error`]; the script has to be stopped then.
    pub fn feed(&mut self, piece: &[u8]) -> Result<(), Error> {
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            let ends = part.ends_with(b"\n");
            if self.passing {
                self.filter.write(&mut self.out, part).map_err(Error::Write)?;
                self.pass(part);
                self.passing = !ends;
                if ends {
                    self.end_passed();
                }
                continue;
            }
            self.pending.extend_from_slice(part);
            if ends {
                self.pending.pop();
                self.end_line(true)?;
            } else if beginning(&self.pending) == Beginning::Plain {
                self.filter.write(&mut self.out, &self.pending).map_err(Error::Write)?;
                let part = std::mem::take(&mut self.pending);
                self.pass(&part);
                self.passing = true;
            } else if self.pending.len() > LONGEST_INSTRUCTION {
                return Err(Error::TooLong);
            }
        }
        self.out.flush().map_err(Error::Write)
    }

    /// Ends the output: a last line without a newline counts.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn finish(mut self) -> Result<Relayed, Error> {
        if !self.pending.is_empty() {
            self.end_line(false)?;
        }
        self.end_passed();
        self.filter.end(&mut self.out).map_err(Error::Write)?;
        self.out.flush().map_err(Error::Write)?;
        Ok(self.relayed)
    }

    fn end_line(&mut self, newline: bool) -> Result<(), Error> {
        if self.pending.len() > LONGEST_INSTRUCTION && beginning(&self.pending) != Beginning::Plain
        {
            return Err(Error::TooLong);
        }
        let line = std::mem::take(&mut self.pending);
        match instruction::parse(&line) {
            Line::Plain => {
                let end: &[u8] = if newline { b"\n" } else { b"" };
                for part in [&line, end] {
                    self.filter.write(&mut self.out, part).map_err(Error::Write)?;
                }
                self.pass(&line);
                self.end_passed();
            }
            Line::Instruction(instruction) => match (self.judge)(&instruction) {
                Decision::Relay => {
                    let instruction = shown(instruction);
                    let line = instruction.to_string();
                    writeln!(self.out, "{line}").map_err(Error::Write)?;
                    self.relayed.count += 1;
                    let (most, bytes) = KEPT;
                    self.kept = self.kept.saturating_add(line.len());
                    if self.relayed.instructions.len() < most && self.kept <= bytes {
                        self.relayed.instructions.push(instruction);
                    }
                }
                Decision::Omit(reason) => self.withhold(&instruction.to_string(), reason, false),
                Decision::Withhold(reason) => {
                    self.withhold(&instruction.to_string(), &reason, true);
                }
            },
            // Cargo would refuse the whole output. A later Cargo may know the key and act on what
            // nobody judged, so it does not get the line.
            Line::Invalid(InvalidInstruction { line, reason }) => {
                self.withhold(&line, &reason.to_string(), true);
            }
        }
        self.pending = line;
        self.pending.clear();
        Ok(())
    }

    /// Takes a further part of a line that is not an instruction.
    fn pass(&mut self, part: &[u8]) {
        let room = LOOKED_AT - self.passed.len();
        self.passed.extend_from_slice(&part[..part.len().min(room)]);
    }

    /// Looks at the beginning of such a line.
    fn end_passed(&mut self) {
        let (lines, characters) = SWALLOWED;
        let text = String::from_utf8_lossy(&self.passed);
        let text = text.trim_end();
        if self.relayed.swallowed.len() < lines && swallowed::after_text(text).is_some() {
            self.relayed.swallowed.push(text.chars().take(characters).collect());
        }
        self.passed.clear();
    }

    fn withhold(&mut self, line: &str, reason: &str, fatal: bool) {
        let Relayed { withheld, withheld_dropped, .. } = &mut self.relayed;
        // What is only omitted leaves room for that for which the unit fails.
        let fails = || withheld.iter().filter(|withheld| withheld.fatal).count();
        if withheld.len() >= WITHHELD && (!fatal || fails() >= WITHHELD) {
            *withheld_dropped += 1;
            return;
        }
        let mut characters = line.chars();
        let mut line: String = characters.by_ref().take(WITHHELD_LINE).collect();
        if characters.next().is_some() {
            line.push('…');
        }
        withheld.push(Withheld { line, reason: reason.to_owned(), fatal });
    }
}

/// A message that steers no terminal; any other instruction as it is.
fn shown(instruction: Instruction) -> Instruction {
    let kind = match instruction.kind() {
        Kind::Warning { text, at_line_start } => {
            Kind::Warning { text: terminal::visible(text).into(), at_line_start: *at_line_start }
        }
        Kind::Error { text, at_line_start } => {
            Kind::Error { text: terminal::visible(text).into(), at_line_start: *at_line_start }
        }
        _ => return instruction,
    };
    let syntax = instruction.syntax();
    Instruction::new(syntax, kind)
        .expect("a message that is shorter by its control characters is one")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relay(pieces: &[&[u8]]) -> (Vec<u8>, Relayed) {
        let mut out = Vec::new();
        let mut relay = Relay::new(&mut out, |_: &Instruction| Decision::Relay);
        for piece in pieces {
            relay.feed(piece).unwrap();
        }
        let relayed = relay.finish().unwrap();
        (out, relayed)
    }

    #[test]
    fn instructions_are_written_out_again_and_plain_lines_pass() {
        let (out, relayed) = relay(&[b"hello\n\t cargo::rustc-cfg=x \r\n\xff\xfe\nlast"]);
        assert_eq!(out, b"hello\ncargo::rustc-cfg=x\n\xff\xfe\nlast");
        assert_eq!(relayed.count, 1);
    }

    #[test]
    fn an_instruction_split_over_writes_is_one() {
        let text = "\u{3000}cargo:rustc-link-lib=z\nplain\n".as_bytes();
        let whole = relay(&[text]).0;
        for at in 0..text.len() {
            assert_eq!(relay(&[&text[..at], &text[at..]]).0, whole, "split at {at}");
        }
        let bytes: Vec<&[u8]> = text.chunks(1).collect();
        assert_eq!(relay(&bytes).0, whole);
    }

    #[test]
    fn a_plain_line_is_not_kept() {
        let mut out = Vec::new();
        let mut relay = Relay::new(&mut out, |_: &Instruction| Decision::Relay);
        relay.feed(b"c").unwrap();
        assert_eq!(relay.pending, b"c");
        relay.feed(b"argh").unwrap();
        assert!(relay.pending.is_empty() && relay.passing);
        relay.feed(&vec![b'x'; 3 * LONGEST_INSTRUCTION]).unwrap();
        assert!(relay.pending.is_empty());
    }

    #[test]
    fn an_instruction_in_the_middle_of_a_line_is_noted() {
        let text = b"x cargo:rustc-cfg=a\nprobing...cargo::rustc-cfg=b\ncargo:rustc-cfg=c\n-cargo:rustc-cfg=d";
        let expected = ["probing...cargo::rustc-cfg=b", "-cargo:rustc-cfg=d"];
        for at in 0..text.len() {
            let relayed = relay(&[&text[..at], &text[at..]]).1;
            assert_eq!(relayed.swallowed, expected, "split at {at}");
        }
        let far = [vec![b'x'; 2 * LOOKED_AT], b"cargo:rustc-cfg=a".to_vec()].concat();
        assert!(relay(&[&far]).1.swallowed.is_empty());
    }

    #[test]
    fn a_flood_of_what_is_omitted_hides_nothing_fatal() {
        let judge = |instruction: &Instruction| match instruction.kind() {
            Kind::Cfg(_) => Decision::Omit("so"),
            _ => Decision::Withhold("no".into()),
        };
        let mut relay = Relay::new(io::sink(), judge);
        for _ in 0..WITHHELD + 5 {
            relay.feed(b"cargo::rustc-cfg=x\n").unwrap();
        }
        relay
            .feed(&[b"cargo::rustc-env=A=", vec![b'x'; 2 * WITHHELD_LINE].as_slice()].concat())
            .unwrap();
        let relayed = relay.finish().unwrap();
        assert_eq!((relayed.withheld.len(), relayed.withheld_dropped), (WITHHELD + 1, 5));
        let last = relayed.withheld.last().unwrap();
        assert!(last.fatal && last.line.ends_with("xx…"));
        assert_eq!(last.line.chars().count(), WITHHELD_LINE + 1);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut relay = Relay::new(io::sink(), |_: &Instruction| Decision::Relay);
        let long = [b"cargo::rustc-env=A=", vec![b'x'; LONGEST_INSTRUCTION / 2].as_slice(), b"\n"]
            .concat();
        for _ in 0..40 {
            relay.feed(&long).unwrap();
        }
        let relayed = relay.finish().unwrap();
        assert_eq!((relayed.instructions.len(), relayed.count), (31, 40));
    }

    #[test]
    fn an_endless_instruction_is_an_error() {
        for start in ["cargo::rustc-cfg=", "  "] {
            let mut relay = Relay::new(io::sink(), |_: &Instruction| Decision::Relay);
            relay.feed(start.as_bytes()).unwrap();
            let blanks = vec![b' '; LONGEST_INSTRUCTION + 1];
            assert!(matches!(relay.feed(&blanks), Err(Error::TooLong)));
        }
    }

    #[test]
    fn what_cargo_refuses_is_withheld() {
        let (out, relayed) = relay(&[b"cargo::no-such-key=1\ncargo::rustc-cfg=a\n"]);
        assert_eq!(out, b"cargo::rustc-cfg=a\n");
        assert!(relayed.withheld[0].fatal);
        let sentence = relayed.withheld[0].sentence();
        assert!(sentence.contains("no-such-key") && !sentence.contains("allow = "), "{sentence}");
    }

    #[test]
    fn nothing_steers_the_terminal() {
        let text =
            b"\x1b]52;x\n  cargo:warning=\x1b[31m\ta\rb\ncargo::error=\x9b\x1b\nx\x1b[31m\x1b[2";
        let expected = b"\\u{1b}]52;x\n cargo:warning=\\u{1b}[31m\ta\\rb\n\
                         cargo::error=\xef\xbf\xbd\\u{1b}\nx\x1b[31m\\u{1b}[2";
        assert_eq!(relay(&[text]).0, expected);
        for at in 0..text.len() {
            assert_eq!(relay(&[&text[..at], &text[at..]]).0, expected, "split at {at}");
        }
    }

    #[test]
    fn withheld_instructions_do_not_reach_cargo() {
        let mut out = Vec::new();
        let mut relay =
            Relay::new(&mut out, |_: &Instruction| Decision::Withhold("because".into()));
        relay.feed(b"cargo::rustc-cfg=\x1b]52;x\nplain\n").unwrap();
        let relayed = relay.finish().unwrap();
        assert_eq!(out, b"plain\n");
        let sentence = relayed.withheld[0].sentence();
        assert!(!sentence.contains('\x1b'));
        let rule = r#"; `instructions.allow = ["rustc-cfg=\U0000001B]52;x"]` would relay it"#;
        assert!(sentence.ends_with(rule), "{sentence}");
        let withheld = &relayed.withheld[0];
        let long =
            Withheld { line: format!("{}{}", withheld.line, "x".repeat(300)), ..withheld.clone() };
        assert!(long.sentence().ends_with("is withheld: because"), "{}", long.sentence());
    }
}
