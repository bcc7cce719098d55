//! The text that is being made: lines that are printable, cut and indented, with or without colours.

use std::fmt::Write as _;

use crate::access::printable;
use crate::color;

/// Characters of a line that is not to be pasted.
const WIDTH: usize = 180;

/// Whether there are colours.
#[derive(Clone, Copy, Debug)]
pub struct Paint {
    color: bool,
}

impl Paint {
    /// Without colours.
    #[must_use]
    pub fn none() -> Self {
        Self { color: false }
    }

    /// As stdout needs it.
    #[must_use]
    pub fn of_stdout() -> Self {
        Self { color: color::on_stdout() }
    }
}

/// See the file's description.
#[derive(Debug)]
pub struct Page {
    text: String,
    paint: Paint,
}

impl Page {
    /// An empty one.
    #[must_use]
    pub fn new(paint: Paint) -> Self {
        Self { text: String::new(), paint }
    }

    /// What is on it.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    fn painted(&mut self, code: &str, indent: usize, line: &str) {
        let line = if code.is_empty() || !self.paint.color {
            line.to_owned()
        } else {
            format!("\x1b[{code}m{line}\x1b[0m")
        };
        writeln!(self.text, "{:indent$}{line}", "").expect("a String takes it all");
    }

    /// A line; what is too long is cut, and nothing in it steers the terminal.
    pub fn line(&mut self, indent: usize, line: &str) {
        let line = cut(&printable(line), WIDTH.saturating_sub(indent));
        self.painted("", indent, &line);
    }

    /// A line that matters less.
    pub fn dim(&mut self, indent: usize, line: &str) {
        let line = cut(&printable(line), WIDTH.saturating_sub(indent));
        self.painted("2", indent, &line);
    }

    /// A line to be pasted: it is never cut.
    pub fn rule(&mut self, indent: usize, line: &str) {
        self.painted("36", indent, &printable(line));
    }

    /// The first line of a report.
    pub fn title(&mut self, line: &str) {
        let line = cut(&printable(line), WIDTH);
        self.painted("1", 0, &line);
    }

    /// The first line of a section, after an empty one.
    pub fn heading(&mut self, line: &str) {
        self.blank();
        self.painted("1;32", 0, &cut(&printable(line), WIDTH));
    }

    /// The first line of a section of what is wrong, after an empty one.
    pub fn warning(&mut self, line: &str) {
        self.blank();
        self.painted("1;33", 0, &cut(&printable(line), WIDTH));
    }

    /// An empty line.
    pub fn blank(&mut self) {
        self.text.push('\n');
    }
}

/// A text of at most so many characters.
#[must_use]
pub fn cut(text: &str, width: usize) -> String {
    if text.chars().nth(width).is_none() {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_cut_and_steers_nothing() {
        let mut page = Page::new(Paint::none());
        page.line(2, "a\x1b[2J\nb");
        assert_eq!(page.text(), "  a\\u{1b}[2J\\nb\n");
        assert_eq!(cut("ééé", 3), "ééé");
        assert_eq!(cut("éééé", 3), "éé…");
        page.line(10, &"x".repeat(1000));
        assert!(page.text().lines().all(|line| line.chars().count() <= WIDTH));
    }
}
