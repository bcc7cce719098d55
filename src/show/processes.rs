//! The processes of a run as a tree.

use super::page::{Page, cut};
use super::quantity::{duration, exit, memory};
use crate::policy::placeholders::Placeholders;
use crate::process::{Process, Program};

/// So many are shown.
const SHOWN: usize = 40;
/// So deep is the tree indented.
const DEEPEST: usize = 12;
/// Characters of a command.
const COMMAND: usize = 100;

/// The tree; without `all` its first lines only.
pub fn render(page: &mut Page, processes: &[Process], known: &Placeholders, all: bool) {
    let mut children: Vec<Vec<usize>> = vec![Vec::new(); processes.len()];
    let mut next: Vec<(usize, usize)> = Vec::new();
    for (index, process) in processes.iter().enumerate().rev() {
        // A parent is heard of before its children.
        match process.parent.map(|parent| parent as usize).filter(|parent| *parent < index) {
            Some(parent) => children[parent].push(index),
            None => next.push((index, 0)),
        }
    }
    let mut shown = 0;
    while let Some((index, depth)) = next.pop() {
        if shown == SHOWN && !all {
            let more = processes.len() - shown;
            page.line(2, &format!("… and {more} more (`--all` shows them)"));
            return;
        }
        shown += 1;
        page.line(2 + 2 * depth.min(DEEPEST), &line(&processes[index], known));
        next.extend(children[index].iter().map(|child| (*child, depth + 1)));
    }
}

fn line(process: &Process, known: &Placeholders) -> String {
    let commands: Vec<String> =
        process.programs.iter().map(|program| command(program, known)).collect();
    let command = if commands.is_empty() {
        "(what its parent is)".to_owned()
    } else {
        commands.join(" → ")
    };
    let mut facts = Vec::new();
    facts.extend(process.wall_us.map(duration));
    facts.push(process.exit.map_or_else(|| "end not seen".to_owned(), exit));
    facts.extend(process.cpu_us.map(|time| format!("CPU {}", duration(time))));
    facts.extend(process.peak_rss_kib.map(memory));
    format!("{} {command}  ({})", process.id, facts.join(", "))
}

fn command(program: &Program, known: &Placeholders) -> String {
    let mut words = vec![known.shorten(&program.program).into_owned()];
    for argument in program.arguments.iter().skip(1) {
        let argument = known.shorten(argument);
        let is_plain = !argument.is_empty() && !argument.contains(char::is_whitespace);
        words.push(if is_plain { argument.into_owned() } else { format!("'{argument}'") });
    }
    cut(&words.join(" "), COMMAND)
}

/// The name of a process's last program.
#[must_use]
pub fn name(processes: &[Process], id: u32) -> Option<&str> {
    let program = &processes.get(id as usize)?.programs.last()?.program;
    Some(program.rsplit_once('/').map_or(program.as_str(), |(_, name)| name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::show::page::Paint;

    fn process(id: u32, parent: Option<u32>) -> Process {
        let program = Program {
            program: format!("/bin/p{id}"),
            arguments: vec!["p".to_owned(), "a b".to_owned()],
            started_us: 0,
        };
        Process {
            id,
            parent,
            pid: id,
            programs: vec![program],
            cwd: "/".to_owned(),
            started_us: 0,
            wall_us: Some(1000),
            exit: None,
            cpu_us: None,
            peak_rss_kib: Some(1),
        }
    }

    fn tree(processes: &[Process], all: bool) -> String {
        let mut page = Page::new(Paint::of_stdout());
        render(&mut page, processes, &Placeholders::default(), all);
        page.text().to_owned()
    }

    #[test]
    fn children_follow_their_parents() {
        let processes =
            [process(0, None), process(1, Some(0)), process(2, Some(0)), process(3, Some(1))];
        let expected = "  0 /bin/p0 'a b'  (1.0 ms, end not seen, 1.0 KiB)
    1 /bin/p1 'a b'  (1.0 ms, end not seen, 1.0 KiB)
      3 /bin/p3 'a b'  (1.0 ms, end not seen, 1.0 KiB)
    2 /bin/p2 'a b'  (1.0 ms, end not seen, 1.0 KiB)
";
        assert_eq!(tree(&processes, false), expected);
        assert_eq!(name(&processes, 3), Some("p3"));
    }

    #[test]
    fn no_tree_is_too_deep_or_too_long() {
        let deep: Vec<Process> = (0..10_000).map(|id| process(id, id.checked_sub(1))).collect();
        assert_eq!(tree(&deep, true).lines().count(), 10_000);
        assert!(tree(&deep, false).ends_with("  … and 9960 more (`--all` shows them)\n"));
        // A parent that cannot be: the process stands for itself.
        let damaged = [process(0, Some(1)), process(1, Some(1))];
        assert_eq!(tree(&damaged, true).lines().count(), 2);
    }
}
