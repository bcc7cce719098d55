//! Lints for a person or a program.

use serde::Serialize;

use super::find::{self, Found};
use super::page::{Page, Paint};
use super::quantity::counted;
use super::{Error, groups, write};
use crate::cli::{Format, Show};
use crate::lint::{self, Code, Level, Lint};
use crate::stored::Stored;

/// Characters of a line of running text.
const WIDTH: usize = 100;
/// So many items are named, unless all are wanted.
const NAMED: usize = 20;

/// The lints of one run.
#[derive(Debug, Serialize)]
struct Linted<'a> {
    package: &'a str,
    version: &'a str,
    target: Option<&'a str>,
    profile: Option<&'a str>,
    /// The record's file.
    path: String,
    lints: Vec<Lint>,
}

/// Writes the lints of these runs; of a package that was named, also that there are none. What cannot be
/// read, or run again, goes to `failed`.
///
/// # Errors
/// If standard output cannot be written, or a record's file is gone.
pub fn write_all(
    shown: &Show,
    found: &[Found],
    failed: &mut impl FnMut(Error),
) -> Result<(), Error> {
    let mut all = Vec::new();
    for run in found {
        let text = find::read(&run.path)?;
        let stored: Stored = match serde_json::from_slice(&text) {
            Ok(stored) => stored,
            Err(error) => {
                failed(find::damaged(&run.path, &error));
                continue;
            }
        };
        let mut lints = lint::of(&stored);
        if shown.twice {
            match lint::twice::differing(&stored, &run.path) {
                Ok(differing) => lints.extend(differing),
                Err(error) => failed(error.into()),
            }
            lints.sort_by_key(|lint| lint.code);
        }
        all.push(Linted {
            package: &run.package,
            version: &run.version,
            target: run.target.as_deref(),
            profile: run.profile.as_deref(),
            path: run.path.to_string_lossy().into_owned(),
            lints,
        });
    }
    match shown.format {
        Format::Json => {
            let text = serde_json::to_string_pretty(&all).map_err(|e| Error::Output(e.into()))?;
            write(format!("{text}\n").as_bytes())
        }
        Format::Human => {
            let mut page = Page::new(Paint::of_stdout());
            render(&mut page, &all, shown);
            write(page.text().as_bytes())
        }
    }
}

fn render(page: &mut Page, all: &[Linted<'_>], shown: &Show) {
    let is_shown = |linted: &&Linted<'_>| shown.package.is_some() || !linted.lints.is_empty();
    for (index, linted) in all.iter().filter(is_shown).enumerate() {
        if index > 0 {
            page.blank();
        }
        page.title(&format!("{} v{}", linted.package, linted.version));
        page.dim(2, &linted.path);
        if linted.lints.is_empty() {
            page.line(2, "nothing was found");
        }
        for lint in &linted.lints {
            render_one(page, lint, shown.all);
        }
    }
    let without = all.iter().filter(|linted| !is_shown(linted)).count();
    let runs = |noun| counted(without as u64, noun);
    if without == all.len() {
        page.dim(0, &format!("nothing was found in {}", runs("run")));
    } else if without > 0 {
        page.blank();
        page.dim(0, &format!("nothing was found in {}", runs("other run")));
    }
}

fn render_one(page: &mut Page, lint: &Lint, all: bool) {
    let Lint { code, message, items } = lint;
    let heading = format!("{}: {}", code.level().name(), code.name());
    match code.level() {
        Level::Warning => page.warning(&heading),
        Level::Note => page.heading(&heading),
    }
    wrapped(page, "", message);
    for line in lines(*code, items, all) {
        page.line(4, &line);
    }
    wrapped(page, "help: ", code.help());
    page.dim(2, &format!("see {}", code.source()));
}

/// Paths by directory, and anything else one by one.
fn lines(code: Code, items: &[String], all: bool) -> Vec<String> {
    if matches!(
        code,
        Code::UndeclaredFile | Code::HomeDirectoryInOutput | Code::WritesOutsideOutDir
    ) {
        return groups::lines(items.iter().map(String::as_str), all);
    }
    let shown = if all { items.len() } else { NAMED.min(items.len()) };
    let mut lines = items[..shown].to_vec();
    if shown < items.len() {
        lines.push(format!("… and {} more (`--all` shows them)", items.len() - shown));
    }
    lines
}

/// Words on as many lines as they need.
fn wrapped(page: &mut Page, label: &str, text: &str) {
    let mut line = label.to_owned();
    for word in text.split(' ') {
        if !line.trim().is_empty() && line.chars().count() + word.chars().count() > WIDTH {
            page.line(2, line.trim_end());
            line = " ".repeat(label.len());
        }
        line.push_str(word);
        line.push(' ');
    }
    page.line(2, line.trim_end());
}
