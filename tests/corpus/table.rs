//! `TABLE.md`: what came of each crate, for people.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use cargo_brig::show::quantity::moment;

use crate::compare::Differences;
use crate::judge::{Judged, Under};
use crate::list::{self, Row};
use crate::support::{stdout, succeed, without_hashes};

const HEAD: &str = "\
# Corpus

Published crates with build scripts, built by plain Cargo and by `cargo brig`. Written by
`BLESS=1 cargo test --test corpus -- --ignored`, which takes an hour or two, from
[crates.toml](crates.toml). Each line is a package that depends on exactly this crate, built by
`cargo check`; scripts that earlier lines have run are not run again, so the times say only how plain
Cargo and the jail compare (one build each, of everything, beside others on the machine, by a program
without much optimization).

\"Same\" means that Cargo was told the same instructions, and that `OUT_DIR` holds the same files, without
hashes of units and without debugging information. What plain Cargo itself gives differently in a second
build is not counted; it is listed below.
";

fn path() -> PathBuf {
    list::directory().join("TABLE.md")
}

/// A row's first cell.
fn title(row: &Row) -> String {
    let alias = if row.name == row.package() { "" } else { &row.name };
    let title = format!("{} {} {alias}", row.package(), row.version());
    title.trim_end().to_owned()
}

fn result(under: &Under) -> String {
    if !under.tried {
        "not tried".to_owned()
    } else if !under.builds {
        "fails".to_owned()
    } else if under.differs.is_empty() {
        "same".to_owned()
    } else {
        "differs".to_owned()
    }
}

fn with_rules(row: &Row, under: &Under) -> String {
    if let (true, Some(why)) = (under.tried, row.not_under_strict()) {
        return why.to_owned();
    }
    let count: usize = under.rules.values().map(Vec::len).sum();
    match count {
        0 => result(under),
        1 => format!("{} with 1 rule", result(under)),
        count => format!("{} with {count} rules", result(under)),
    }
}

fn list_of_differences(text: &mut String, title: &str, of: &BTreeMap<String, Differences>) {
    if of.is_empty() {
        return;
    }
    write!(text, "\n## {title}\n\n").unwrap();
    for (package, differences) in of {
        let mut files: BTreeMap<&str, usize> = BTreeMap::new();
        for difference in differences {
            let name = match difference.rsplit_once(':') {
                Some((name, line)) if line.parse::<usize>().is_ok() => name,
                _ => difference,
            };
            *files.entry(name).or_default() += 1;
        }
        let names: Vec<&str> = files.keys().copied().take(6).collect();
        let more = files.len().saturating_sub(names.len());
        let more = if more == 0 { String::new() } else { format!(", and {more} more") };
        writeln!(text, "- {package}: {}{more}", names.join(", ")).unwrap();
    }
}

/// A text in which what lies in Cargo's and the corpus' directories is named as by a policy, whatever
/// machine it was on.
fn without_places(text: &str) -> String {
    let mut text = without_hashes(text);
    for (before, after) in [
        ("/registry/src/", "{sources}"),
        ("/target/", "{build-dir}/"),
        ("/.global-cache", "{cargo-home}/.global-cache"),
        ("/.package-cache", "{cargo-home}/.package-cache"),
        ("/cargo-brig-home-", "{empty-home}"),
    ] {
        let Some(found) = text.find(before) else { continue };
        let start = text[..found].rfind(['`', '"', ' ']).map_or(0, |quote| quote + 1);
        let mut end = found + before.len();
        if before.ends_with('-') || before.ends_with("src/") {
            // The registry's name, or one that was made up.
            end += text[end..].find(['/', '`']).unwrap_or(0);
        }
        text.replace_range(start..end, after);
    }
    text
}

fn merged<'a>(
    maps: impl Iterator<Item = &'a BTreeMap<String, Differences>>,
) -> BTreeMap<String, Differences> {
    let mut all: BTreeMap<String, Differences> = BTreeMap::new();
    for (package, differences) in maps.flatten() {
        all.entry(package.clone()).or_default().extend(differences.iter().cloned());
    }
    all
}

fn counts(judged: &[Judged]) -> String {
    let built: Vec<&Judged> = judged.iter().filter(|one| one.plain_seconds.is_some()).collect();
    let same = built.iter().filter(|one| one.default.is_same()).count();
    let quiet = built.iter().filter(|one| one.default.denied.is_empty()).count();
    let strict = built.iter().filter(|one| one.strict.is_same()).count();
    let alone =
        built.iter().filter(|one| one.strict.is_same() && one.strict.rules.is_empty()).count();
    let plain: f64 = built.iter().filter_map(|one| one.plain_seconds).sum();
    let jailed: f64 = built.iter().map(|one| one.default.seconds).sum();
    let plain_cpu: f64 = built.iter().map(|one| one.plain_cpu_seconds).sum();
    let jailed_cpu: f64 = built.iter().map(|one| one.default.cpu_seconds).sum();
    let not_built = judged.len() - built.len();
    format!(
        "{} crates are built by plain Cargo (and {not_built} are not, and are not counted). Under \
         `default` {same} of them are the same, {quiet} without anything denied; under `strict` {strict}, \
         {alone} of these without a rule. Plain Cargo took {plain:.0} s ({plain_cpu:.0} s of \
         processor time), `default` {jailed:.0} s ({jailed_cpu:.0} s).",
        built.len(),
    )
}

fn table(judged: &[Judged]) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let date = moment(now);
    let kernel = stdout(&succeed(Command::new("uname").arg("-sr")));
    let rustc = stdout(&succeed(Command::new("rustc").arg("--version")));
    let mut text = HEAD.to_owned();
    write!(
        text,
        "\n{}, {}, {}, {} processors. {}\n",
        &date[..10],
        kernel.split('-').next().unwrap().trim(),
        rustc.trim(),
        std::thread::available_parallelism().unwrap(),
        counts(judged)
    )
    .unwrap();
    let groups: BTreeSet<&String> = judged.iter().map(|one| &one.row.group).collect();
    for group in groups {
        write!(text, "\n## {group}\n\n").unwrap();
        text.push_str("| Crate | Scripts | Plain | Jailed | `default` | Denied | `strict` |\n");
        text.push_str("|---|---|---|---|---|---|---|\n");
        for one in judged.iter().filter(|one| one.row.group == *group) {
            let title = title(&one.row);
            let Some(seconds) = one.plain_seconds else {
                let why = one.row.not_by_plain_cargo().unwrap_or("unknown");
                writeln!(text, "| {title} | | not built: {why} | | | | |").unwrap();
                continue;
            };
            let denied = match one.default.denied.len() {
                0 => String::new(),
                count => count.to_string(),
            };
            writeln!(
                text,
                "| {title} | {} | {seconds:.1} s | {:.1} s | {} | {denied} | {} |",
                one.scripts,
                one.default.seconds,
                one.row.not_in_the_jail().unwrap_or(&result(&one.default)),
                with_rules(&one.row, &one.strict)
            )
            .unwrap();
        }
    }
    let default = || judged.iter().map(|one| &one.default);
    let strict = || judged.iter().map(|one| &one.strict);
    let denied: BTreeSet<&String> = default().flat_map(|under| &under.denied).collect();
    if !denied.is_empty() {
        text.push_str("\n## Denied under `default`\n\n");
        for what in denied {
            writeln!(text, "- {}", without_places(what)).unwrap();
        }
    }
    list_of_differences(
        &mut text,
        "Differs under `default`",
        &merged(default().map(|under| &under.differs)),
    );
    list_of_differences(
        &mut text,
        "Differs under `strict`",
        &merged(strict().map(|under| &under.differs)),
    );
    let rules: BTreeMap<&String, &Vec<String>> = strict().flat_map(|under| &under.rules).collect();
    if !rules.is_empty() {
        text.push_str("\n## Rules under `strict`\n\n");
        for (package, rules) in rules {
            let rules: Vec<String> = rules.iter().map(|rule| without_places(rule)).collect();
            writeln!(text, "- {package}: `{}`", rules.join("`, `")).unwrap();
        }
    }
    list_of_differences(
        &mut text,
        "Differs from one plain build to the next",
        &merged(default().chain(strict()).map(|under| &under.varies)),
    );
    text
}

/// Writes the table, and the lock file beside it.
pub(crate) fn write(judged: &[Judged], lock_file: &str) {
    fs::write(path(), table(judged)).unwrap();
    fs::write(list::directory().join("Cargo.lock"), lock_file).unwrap();
}

/// The rows of the table as it is committed: the first cell, and the one under `default`.
fn committed() -> BTreeMap<String, String> {
    let text = fs::read_to_string(path()).unwrap();
    let rows = text.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| Crate "));
    rows.map(|line| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        (cells[1].to_owned(), cells[5].to_owned())
    })
    .collect()
}

/// The table has the list's crates and versions, and enough of them.
pub(crate) fn check(rows: &[Row]) {
    let committed = committed();
    let titles: BTreeSet<String> = rows.iter().map(title).collect();
    let in_table: BTreeSet<String> = committed.keys().cloned().collect();
    assert_eq!(titles, in_table, "tests/corpus/TABLE.md is out of date");
    let same = committed.values().filter(|result| *result == "same").count();
    assert!(same >= 120, "{same}");
}
