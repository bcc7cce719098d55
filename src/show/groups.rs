//! Many paths on few lines: grouped by directory, and by larger ones, until they are few.

use std::collections::BTreeMap;

/// Paths on these many lines, or a few more.
const LINES: usize = 20;
/// So many files of one directory are named before they are only counted.
const NAMED: usize = 4;

/// The lines for these paths, each path at most once. With `all` each has its own.
#[must_use]
pub fn lines<'p>(paths: impl IntoIterator<Item = &'p str>, all: bool) -> Vec<String> {
    let mut paths: Vec<&str> = paths.into_iter().collect();
    paths.sort_unstable();
    paths.dedup();
    if all || paths.len() <= LINES / 2 {
        return paths.into_iter().map(str::to_owned).collect();
    }
    let mut groups: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for path in paths {
        groups.entry(parent(path)).or_default().push(path);
    }
    // The deepest directories first become part of those that hold them.
    while count(&groups) > LINES {
        let deepest = groups.keys().map(|directory| depth(directory)).max().unwrap_or(0);
        if deepest == 0 {
            break;
        }
        let deep: Vec<&str> =
            groups.keys().copied().filter(|directory| depth(directory) == deepest).collect();
        for directory in deep {
            let paths = groups.remove(directory).unwrap_or_default();
            groups.entry(parent(directory)).or_default().extend(paths);
        }
    }
    let mut lines = Vec::new();
    for (directory, paths) in groups {
        if paths.len() < NAMED {
            lines.extend(paths.into_iter().map(str::to_owned));
        } else {
            lines.push(format!("{directory}/… ({} paths)", paths.len()));
        }
    }
    if let Some(more) = lines.len().checked_sub(2 * LINES).filter(|more| *more > 0) {
        lines.truncate(2 * LINES);
        lines.push(format!("… and {more} more (`--all` shows them)"));
    }
    lines
}

/// How many lines there would be.
fn count(groups: &BTreeMap<&str, Vec<&str>>) -> usize {
    groups.values().map(|paths| if paths.len() < NAMED { paths.len() } else { 1 }).sum()
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(directory, _)| directory)
}

fn depth(directory: &str) -> usize {
    directory.bytes().filter(|byte| *byte == b'/').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_are_named_and_many_counted() {
        let few = ["/b", "/a", "/b"];
        assert_eq!(lines(few, false), ["/a", "/b"]);
        let many: Vec<String> = (0..100_000)
            .map(|number| format!("{{home}}/x/{}/{}/{number}", number % 10, number % 1000))
            .chain(["/srv/y".to_owned()])
            .collect();
        let grouped = lines(many.iter().map(String::as_str), false);
        assert!(grouped.len() <= LINES, "{grouped:?}");
        assert_eq!(grouped.last().unwrap(), "{home}/x/9/… (10000 paths)");
        assert!(grouped.contains(&"/srv/y".to_owned()));
        assert_eq!(lines(many.iter().map(String::as_str), true).len(), many.len());
        let flat: Vec<String> = (0..500).map(|number| format!("{number}")).collect();
        assert_eq!(lines(flat.iter().map(String::as_str), false).len(), 1);
    }
}
