//! What is wrong, or looks wrong, in a policy document: where, and what to write instead.

use std::fmt::{self, Write as _};
use std::ops::Range;

use crate::access::printable;

/// Whether a document can be used in spite of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It cannot.
    Error,
    /// It can, and probably does not mean what its author does.
    Warning,
}

/// See the file's description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong.
    pub message: String,
    /// The document.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What to do about it.
    pub help: Option<String>,
    /// The line as it stands there, up to its end, and how many of its characters are meant.
    excerpt: (String, usize),
}

/// Why a text is no rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

/// Everything that is wrong with one document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagnostics(pub Vec<Diagnostic>);

impl Diagnostics {
    /// Whether the document cannot be used.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.0.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, diagnostic) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_char('\n')?;
            }
            diagnostic.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { severity, message, file, line, column, help, excerpt: (text, length) } = self;
        let severity = match severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let number = line.to_string();
        let margin = " ".repeat(number.len());
        writeln!(f, "{severity}: {}", printable(message))?;
        writeln!(f, "{margin}--> {}:{line}:{column}", printable(file))?;
        writeln!(f, "{margin} |")?;
        writeln!(f, "{number} | {text}")?;
        write!(f, "{margin} | {}{}", " ".repeat(column - 1), "^".repeat((*length).max(1)))?;
        if let Some(help) = help {
            write!(f, "\n{margin} = help: {}", printable(help))?;
        }
        Ok(())
    }
}

/// The lines of a document's text.
#[derive(Debug)]
pub struct Lines<'t> {
    text: &'t str,
    /// Where each begins, in bytes.
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    /// Of a text.
    #[must_use]
    pub fn of(text: &'t str) -> Self {
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        Self { text, starts: std::iter::once(0).chain(ends.map(|(at, _)| at + 1)).collect() }
    }

    /// The line that a byte is in, from 1.
    #[must_use]
    pub fn line(&self, offset: usize) -> usize {
        self.starts.partition_point(|start| *start <= offset)
    }

    /// Something about a part of the text.
    #[must_use]
    pub fn diagnostic(
        &self,
        severity: Severity,
        file: &str,
        span: Range<usize>,
        message: String,
        help: Option<String>,
    ) -> Diagnostic {
        let line = self.line(span.start);
        let start = self.starts[line - 1];
        let text = self.text[start..].lines().next().unwrap_or_default();
        let shown = |text: &str| -> String {
            // One character each, so that the carets stand below what they mean.
            text.chars()
                .map(|c| {
                    if printable(c.encode_utf8(&mut [0; 4])).len() > c.len_utf8() { ' ' } else { c }
                })
                .collect()
        };
        // The span can begin behind the text: at the `\n` of a `\r\n`.
        let end = span.end.min(start + text.len()).max(span.start);
        let count =
            |range: Range<usize>| self.text.get(range).map_or(0, |text| text.chars().count());
        Diagnostic {
            severity,
            message,
            file: file.to_owned(),
            line,
            column: count(start..span.start) + 1,
            help,
            excerpt: (shown(text), count(span.start..end)),
        }
    }
}

/// The name that was probably meant, of those that there are (Damerau-Levenshtein distance).
#[must_use]
pub fn similar<'n>(name: &str, known: &[&'n str]) -> Option<&'n str> {
    let best =
        known.iter().map(|known| (strsim::damerau_levenshtein(name, known), *known)).min()?;
    (best.0 <= name.len().max(3) / 3).then_some(best.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diagnostic_points_at_what_it_means() {
        let text = "a = 1\nß = [ \"{tpm}\" ] # x\n";
        let at = text.find("\"{tpm}").unwrap();
        let lines = Lines::of(text);
        let help = Some("`{tmp}` is similar".to_owned());
        let diagnostic =
            lines.diagnostic(Severity::Error, "p.toml", at..at + 7, "no".to_owned(), help);
        let expected = "error: no\n --> p.toml:2:7\n  |\n2 | ß = [ \"{tpm}\" ] # x\n  |       ^^^^^^^\n  = help: `{tmp}` is similar";
        assert_eq!(diagnostic.to_string(), expected);
    }

    #[test]
    fn what_is_similar_is_found() {
        assert_eq!(similar("reed", &["read", "write"]), Some("read"));
        assert_eq!(similar("xyz", &["read", "write"]), None);
    }
}
