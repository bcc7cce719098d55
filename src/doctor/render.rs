//! A diagnosis for a person: the worst first, and what is as it should be in a line for each group.

use super::check::{Check, State};
use super::diagnosis::Diagnosis;
use super::machine::Machine;
use crate::show::page::Page;
use crate::show::quantity::{counted, memory};

/// Characters of a line of sentences.
const WIDTH: usize = 100;

/// Writes it; with `all`, also what is as it should be and what was not tried.
pub fn render(page: &mut Page, diagnosis: &Diagnosis, all: bool) {
    let of = |state: State| -> Vec<&Check> {
        diagnosis.checks.iter().filter(|check| check.state == state).collect()
    };
    let (missing, degraded) = (of(State::Missing), of(State::Degraded));
    page.title(&match (missing.len(), degraded.len()) {
        (0, 0) => "Build scripts can be jailed here".to_owned(),
        (0, _) => "Build scripts can be jailed here, with less than there could be".to_owned(),
        _ => "Build scripts cannot be jailed here".to_owned(),
    });
    sentences(page, 2, "", &machine(&diagnosis.machine));
    for (name, checks) in [("Missing", &missing), ("Degraded", &degraded)] {
        if !checks.is_empty() {
            page.warning(&format!("{name} ({})", checks.len()));
            for check in checks {
                explain(page, check);
            }
        }
    }
    for (name, state) in [("In order", State::Ok), ("Not tried", State::NotApplicable)] {
        let checks = of(state);
        if checks.is_empty() {
            continue;
        }
        page.heading(&format!("{name} ({})", checks.len()));
        if all {
            for check in checks {
                explain(page, check);
            }
        } else {
            groups(page, &checks);
        }
    }
    if !all {
        page.blank();
        page.dim(0, "`cargo brig doctor --all` says what each of them means");
    }
}

fn machine(machine: &Machine) -> String {
    let mut parts = vec![
        format!("Linux {}", machine.kernel.as_deref().unwrap_or("of an unknown release")),
        machine.architecture.to_owned(),
    ];
    parts.extend(machine.processors.map(|count| counted(count as u64, "processor")));
    parts.extend(machine.memory_kib.map(|kib| format!("{} of memory", memory(kib))));
    parts.push(match machine.user {
        0 => "root".to_owned(),
        user => format!("user {user}"),
    });
    if machine.user_namespace == Some(true) {
        parts.push("in a user namespace".to_owned());
    }
    parts.push(machine.container.map_or("no container", |container| container.title()).to_owned());
    if let Some(filters) = machine.seccomp_filters.filter(|filters| *filters > 0) {
        parts.push(format!("under {} of somebody else's", counted(filters, "seccomp filter")));
    }
    parts.join(", ")
}

fn explain(page: &mut Page, check: &Check) {
    sentences(page, 2, &format!("{}: ", check.id), &check.meaning);
    if let Some(advice) = &check.advice {
        sentences(page, 6, "do: ", advice);
    }
}

/// One line for each group.
fn groups(page: &mut Page, checks: &[&Check]) {
    let mut sorted = checks.to_vec();
    sorted.sort_by_key(|check| check.group);
    for group in sorted.chunk_by(|one, other| one.group == other.group) {
        let names: Vec<&str> = group.iter().map(|check| check.id).collect();
        let title = format!("{:<11}", group[0].group.title());
        sentences(page, 2, &title, &names.join(", "));
    }
}

/// A text in lines that are not too long; behind the first they stand below what is behind
/// `before`.
fn sentences(page: &mut Page, indent: usize, before: &str, text: &str) {
    let behind = if before.ends_with(": ") { indent + 4 } else { indent + before.chars().count() };
    let mut line = before.to_owned();
    let mut indent = indent;
    let mut is_empty = true;
    for word in text.split_whitespace() {
        let length = line.chars().count() + 1 + word.chars().count();
        if !is_empty && indent + length > WIDTH {
            page.line(indent, &line);
            (line, indent, is_empty) = (String::new(), behind, true);
        }
        if !is_empty {
            line.push(' ');
        }
        line.push_str(word);
        is_empty = false;
    }
    page.line(indent, &line);
}
