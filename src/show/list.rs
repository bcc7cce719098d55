//! One line for each run: which package, when, how it ended, what was refused.

use super::find::Found;
use super::page::{Page, cut};
use super::quantity::{counted, moment, short_exit};
use crate::access::printable;
use crate::policy::Mode;

/// The widest cell.
const CELL: usize = 60;

/// The table of these runs, with the columns' names above it and what to type next below it.
pub fn render(page: &mut Page, found: &[Found], older: &[Found]) {
    let names = ["package", "built for", "when", "exit", "denied", "programs", "outputs"];
    let is_of_rustc = found.iter().any(|run| run.compiled.is_some());
    let mut rows = vec![names.map(str::to_owned)];
    rows.extend(found.iter().map(row));
    let widths: Vec<usize> = (0..names.len())
        .map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0))
        .collect();
    for (number, row) in rows.iter().enumerate() {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        let line = cells.collect::<Vec<_>>().join("  ");
        match number {
            0 => page.title(line.trim_end()),
            _ => page.line(0, line.trim_end()),
        }
    }
    page.blank();
    if !older.is_empty() {
        page.dim(0, &self::older(older));
    }
    let first = found.iter().find(|run| run.denied > 0).or(found.first());
    let example = first.map_or("PACKAGE", |run| &run.package);
    let option = if is_of_rustc { " --rustc" } else { "" };
    page.dim(0, &format!("`cargo brig show {example}{option}` shows all that one of them did"));
}

fn row(run: &Found) -> [String; 7] {
    let target = run.target.as_deref().filter(|target| Some(*target) != run.host.as_deref());
    let profile = run.profile.as_deref().unwrap_or("-");
    let built_for = match target {
        Some(target) => format!("{profile}, {target}"),
        None => profile.to_owned(),
    };
    let cell = |text: &str| cut(&printable(text), CELL);
    [
        match &run.compiled {
            Some(compiled) => cell(&format!("{} v{}, {compiled}", run.package, run.version)),
            None => cell(&format!("{} v{}", run.package, run.version)),
        },
        cell(&built_for),
        moment(run.started),
        short_exit(run.exit),
        match run.mode {
            Mode::Enforce => run.denied.to_string(),
            Mode::Permissive => format!("{} (permissive)", run.denied),
        },
        run.programs.to_string(),
        run.outputs.map_or_else(|| "-".to_owned(), |outputs| outputs.to_string()),
    ]
}

/// What is said of runs that are left out.
#[must_use]
pub fn older(older: &[Found]) -> String {
    let denied: u64 = older.iter().map(|run| run.denied).sum();
    let denials = if denied == 0 {
        "without denials".to_owned()
    } else {
        format!("with {}", counted(denied, "denial"))
    };
    let runs = counted(older.len() as u64, "older run");
    format!("{runs}, {denials}, left out: `--all` shows all runs")
}
