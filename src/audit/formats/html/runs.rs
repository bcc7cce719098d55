//! The runs of a package in the page: the processes of each as a tree, drawn over the time that it took,
//! with what each was the first to do; and what was left in `OUT_DIR`.

use std::collections::BTreeMap;
use std::io::{self, Write};

use super::super::sentence;
use super::Shown;
use crate::audit::report::{Actor, Package, Report};
use crate::audit::run::{Output, Process, Run};
use crate::process::Exit;
use crate::show::quantity::{self, bytes, counted, duration, memory, moment};

/// So many processes of a run have a row, beside those that something is told of.
const ROWS: usize = 100;
/// So many outputs of a run have a line.
const OUTPUTS: usize = 200;
/// Processes below this depth are not set in further.
const DEPTH: usize = 16;
/// Length of the line of time, in units of the drawing.
const LENGTH: u64 = 1000;

/// What each process, by its run and number, was the first to do, as it is shown.
type Deeds<'p> = BTreeMap<(usize, u32), (&'p Actor, Vec<String>)>;

/// Writes the package's runs in the order in which they began.
///
/// # Errors
/// If they cannot be written.
pub fn write(report: &Report, package: &Package, out: &mut dyn Write) -> io::Result<()> {
    if package.runs.is_empty() {
        return Ok(());
    }
    let deeds = deeds(package);
    let mut runs: Vec<(usize, &Run)> = package.runs.iter().enumerate().collect();
    runs.sort_by_key(|(_, run)| run.started);
    writeln!(out, "<h3>Runs and processes</h3>\n<ol>")?;
    for (index, run) in runs {
        let target = run
            .target
            .as_deref()
            .map_or_else(String::new, |target| format!(" for <code>{}</code>", Shown(target)));
        let when = if run.ran_now {
            let later = run.started.saturating_sub(report.started);
            format!("{later} s after the audit began")
        } else {
            format!("earlier, at {}", moment(run.started))
        };
        let (exit, took) = (quantity::exit(run.exit), duration(run.wall_us));
        writeln!(out, "<li>{when}{target}: {exit}, {took}")?;
        writeln!(out, "<span class=\"by\">record <code>{}</code></span>", Shown(&run.record))?;
        processes(run, index, &deeds, out)?;
        outputs(run, out)?;
        writeln!(out, "</li>")?;
    }
    writeln!(out, "</ol>")
}

fn processes(run: &Run, index: usize, deeds: &Deeds<'_>, out: &mut dyn Write) -> io::Result<()> {
    let of_run = deeds.range((index, 0)..=(index, u32::MAX));
    // What is told of a process that the report does not have is told all the same.
    let beyond = of_run.filter(|((_, id), _)| *id as usize >= run.processes.len());
    let beyond: Vec<_> = beyond.collect();
    if run.processes.is_empty() && beyond.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "<table class=\"processes\">\n<thead><tr><th>Process</th><th>Time</th><th>Took</th>\
         <th>Processor</th><th>Memory</th></tr></thead>\n<tbody>"
    )?;
    let mut left_out = run.processes_dropped;
    for (row, (depth, process)) in tree(&run.processes).into_iter().enumerate() {
        let done = deeds.get(&(index, process.id));
        if row < ROWS || done.is_some() {
            self::process(process, depth, run.wall_us, done, out)?;
        } else {
            left_out += 1;
        }
    }
    for ((_, id), (actor, done)) in beyond {
        let command = sentence::command(&actor.program, &actor.arguments);
        write!(out, "<tr><td><b>{id}</b> <code>{}</code>", Shown(&command))?;
        list(done, out)?;
        writeln!(out, "</td><td></td><td></td><td></td><td></td></tr>")?;
    }
    writeln!(out, "</tbody>\n</table>")?;
    if left_out > 0 {
        writeln!(out, "<p>… and {left_out} more, in the record</p>")?;
    }
    Ok(())
}

fn process(
    process: &Process,
    depth: usize,
    whole: u64,
    done: Option<&(&Actor, Vec<String>)>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let command = match &process.program {
        Some(program) => {
            format!("<code>{}</code>", Shown(&sentence::command(program, &process.arguments)))
        }
        None => "as its parent".to_owned(),
    };
    let exit = match process.exit {
        Some(Exit::Code(0)) => String::new(),
        Some(exit) => format!(" <span class=\"warn\">{}</span>", quantity::exit(exit)),
        None => " <span class=\"warn\">not seen to end</span>".to_owned(),
    };
    let space = "\u{2003}".repeat(depth.min(DEPTH));
    write!(out, "<tr><td>{space}<b>{}</b> {command}{exit}", process.id)?;
    if let Some((_, done)) = done {
        list(done, out)?;
    }
    let end = process.wall_us.map_or(whole, |wall| process.started_us.saturating_add(wall));
    let (from, width) = bar(process.started_us, end, whole);
    let words = format!("from {} to {}", duration(process.started_us), duration(end));
    write!(
        out,
        "</td><td><svg viewBox=\"0 0 {LENGTH} 10\" preserveAspectRatio=\"none\" role=\"img\" \
         aria-label=\"{words}\"><title>{words}</title><rect x=\"{from}\" width=\"{width}\" \
         height=\"10\"></rect></svg></td>"
    )?;
    let [took, cpu] = [process.wall_us, process.cpu_us].map(|time| time.map(duration));
    for value in [took, cpu, process.peak_rss_kib.map(memory)] {
        write!(out, "<td>{}</td>", value.unwrap_or_default())?;
    }
    writeln!(out, "</tr>")
}

fn list(items: &[String], out: &mut dyn Write) -> io::Result<()> {
    write!(out, "<ul>")?;
    for item in items {
        write!(out, "<li>{item}</li>")?;
    }
    write!(out, "</ul>")
}

/// Where a process's bar begins, and how long it is: always to be seen, and never outside.
fn bar(start: u64, end: u64, whole: u64) -> (u64, u64) {
    const LEAST: u64 = 4;
    let whole = whole.max(1);
    let at = |time: u64| {
        let place = u128::from(time.min(whole)) * u128::from(LENGTH) / u128::from(whole);
        u64::try_from(place).unwrap_or(LENGTH)
    };
    let from = at(start).min(LENGTH - LEAST);
    (from, at(end).saturating_sub(from).max(LEAST))
}

/// The processes with their depths, each before those that come from it.
fn tree(processes: &[Process]) -> Vec<(usize, &Process)> {
    let mut children: BTreeMap<Option<u32>, Vec<&Process>> = BTreeMap::new();
    for process in processes {
        // A parent was heard of before; others would make circles.
        let parent = process.parent.filter(|parent| *parent < process.id);
        children.entry(parent).or_default().push(process);
    }
    let mut rows = Vec::with_capacity(processes.len());
    let roots = children.remove(&None).unwrap_or_default();
    let mut waiting: Vec<_> = roots.into_iter().rev().map(|root| (0, root)).collect();
    while let Some((depth, process)) = waiting.pop() {
        rows.push((depth, process));
        let children = children.remove(&Some(process.id)).unwrap_or_default();
        waiting.extend(children.into_iter().rev().map(|child| (depth + 1, child)));
    }
    rows
}

fn outputs(run: &Run, out: &mut dyn Write) -> io::Result<()> {
    if run.outputs.is_empty() {
        return Ok(());
    }
    let count = run.outputs.len() as u64 + run.outputs_dropped;
    let size = run.outputs.iter().fold(0_u64, |sum, output| sum.saturating_add(output.size));
    let (count, size) = (counted(count, "file"), bytes(size));
    writeln!(out, "<details><summary>Left in OUT_DIR: {count}, {size}</summary>\n<ul>")?;
    for Output { path, size, sha256, link } in run.outputs.iter().take(OUTPUTS) {
        let what = match (link, sha256) {
            (Some(to), _) => format!("a link to <code>{}</code>", Shown(to)),
            (None, Some(digest)) => {
                format!("{}, SHA-256 <code>{}</code>", bytes(*size), Shown(digest))
            }
            (None, None) => bytes(*size),
        };
        writeln!(out, "<li><code>{}</code>: {what}</li>", Shown(path))?;
    }
    let more = run.outputs.len().saturating_sub(OUTPUTS) as u64 + run.outputs_dropped;
    if more > 0 {
        writeln!(out, "<li>… and {more} more, in the record</li>")?;
    }
    writeln!(out, "</ul></details>")
}

/// See [`Deeds`].
fn deeds(package: &Package) -> Deeds<'_> {
    let denials = package
        .denials
        .iter()
        .map(|denial| (&denial.by, format!("denied: <code>{}</code>", Shown(&denial.message))));
    let findings = package
        .findings
        .iter()
        .map(|finding| (&finding.by, format!("found: <code>{}</code>", Shown(&finding.message))));
    let changes = package.added.iter().map(|change| {
        let value = Shown(&change.value);
        (&change.by, format!("{} <code>{value}</code>", change.aspect.verb()))
    });
    let mut deeds = BTreeMap::new();
    for (by, deed) in denials.chain(findings).chain(changes) {
        if let Some(actor) = by {
            let entry = deeds.entry((actor.run, actor.process));
            entry.or_insert_with(|| (actor, Vec::new())).1.push(deed);
        }
    }
    deeds
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(id: u32, parent: Option<u32>) -> Process {
        Process {
            id,
            parent,
            program: None,
            arguments: Vec::new(),
            started_us: 0,
            wall_us: None,
            exit: None,
            cpu_us: None,
            peak_rss_kib: None,
        }
    }

    #[test]
    fn every_process_has_one_row_below_its_parent() {
        let parents = [None, Some(0), Some(1), Some(0), Some(9), None, Some(6), Some(2)];
        let processes: Vec<_> = (0..).zip(parents).map(|(id, of)| process(id, of)).collect();
        let rows: Vec<_> = tree(&processes).iter().map(|(depth, of)| (of.id, *depth)).collect();
        assert_eq!(rows, [(0, 0), (1, 1), (2, 2), (7, 3), (3, 1), (4, 0), (5, 0), (6, 0)]);
    }

    #[test]
    fn a_bar_is_seen_and_within_the_line() {
        for (start, end, whole, expected) in [
            (0, 100, 100, (0, 1000)),
            (25, 75, 100, (250, 500)),
            (50, 50, 100, (500, 4)),
            (100, 300, 100, (996, 4)),
            (0, 0, 0, (0, 4)),
            (90, 10, 100, (900, 4)),
            (0, u64::MAX, u64::MAX, (0, 1000)),
        ] {
            assert_eq!(bar(start, end, whole), expected);
        }
    }
}
