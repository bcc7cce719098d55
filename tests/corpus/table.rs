//! `TABLE.md`: what came of each crate, for people.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use cargo_brig::policy::collection::{ALL, Collected};
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
build is not counted; it is listed below. What is the same with `crates = […]` fails under `strict` alone, or
gives something else: documents of the collection ([policies/crates](../../policies/crates)) mend that.
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

/// What came of it under `strict`, and what that took.
fn under_strict(one: &Judged) -> String {
    let Judged { row, strict, collected, .. } = one;
    if collected.builds && !strict.is_same() {
        let crates: Vec<&&str> = collected.crates.iter().collect();
        let crates = format!("`crates = {crates:?}`");
        return match row.not_in_the_jail() {
            Some(why) if !collected.is_same() => format!("with {crates}: {why}"),
            _ => format!("{} with {crates}", result(collected)),
        };
    }
    if let (true, Some(why)) = (strict.tried, row.not_under_strict()) {
        return why.to_owned();
    }
    let count: usize = strict.rules.values().map(Vec::len).sum();
    match count {
        0 => result(strict),
        1 => format!("{} with 1 rule", result(strict)),
        count => format!("{} with {count} rules", result(strict)),
    }
}

fn lines_of_differences(of: &BTreeMap<String, Differences>) -> BTreeSet<String> {
    let line = |(package, differences): (&String, &Differences)| {
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
        format!("- {package}: {}{more}", names.join(", "))
    };
    of.iter().map(line).collect()
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

/// The table, as it is written and read: the rows by their first cells, and lists of what was found.
#[derive(Debug, Default)]
struct Table {
    rows: BTreeMap<String, Vec<String>>,
    /// How long it all took.
    took: String,
    sections: BTreeMap<&'static str, BTreeSet<String>>,
}

const DENIED: &str = "Denied under `default`";
const DIFFERS: &str = "Differs under `default`";
const DIFFERS_STRICT: &str = "Differs under `strict`";
const RULES: &str = "Rules under `strict`";
const VARIES: &str = "Differs from one plain build to the next";
const SECTIONS: [&str; 5] = [DENIED, DIFFERS, DIFFERS_STRICT, RULES, VARIES];

impl Table {
    /// The one that is committed.
    fn read() -> Self {
        let text = fs::read_to_string(path()).unwrap();
        let mut table = Self::default();
        let mut section = None;
        for line in text.lines() {
            if let Some(title) = line.strip_prefix("## ") {
                section = SECTIONS.into_iter().find(|section| *section == title);
            } else if let (Some(section), true) = (section, line.starts_with("- ")) {
                table.sections.entry(section).or_default().insert(line.to_owned());
            } else if line.starts_with("| ") && !line.starts_with("| Crate ") {
                let cells: Vec<String> =
                    line.split('|').map(|cell| cell.trim().to_owned()).collect();
                table.rows.insert(cells[1].clone(), cells[1..cells.len() - 1].to_vec());
            } else if let Some((_, took)) = line.split_once("Plain Cargo took ") {
                table.took = format!("Plain Cargo took {took}");
            }
        }
        table
    }

    /// Puts what was built now in the place of what was found before.
    fn amend(&mut self, judged: &[Judged]) {
        for one in judged {
            let title = title(&one.row);
            let Some(seconds) = one.plain_seconds else {
                let why = one.row.not_by_plain_cargo().unwrap_or("unknown");
                let mut cells = vec![String::new(); 7];
                (cells[0], cells[2]) = (title.clone(), format!("not built: {why}"));
                self.rows.insert(title, cells);
                continue;
            };
            let strict = under_strict(one);
            if !one.default.tried
                && let Some(cells) = self.rows.get_mut(&title)
            {
                cells[6] = strict;
                continue;
            }
            let denied = match one.default.denied.len() {
                0 => String::new(),
                count => count.to_string(),
            };
            let default = one.row.not_in_the_jail().map(str::to_owned);
            let cells = vec![
                title.clone(),
                one.scripts.to_string(),
                format!("{seconds:.1} s"),
                if one.default.tried {
                    format!("{:.1} s", one.default.seconds)
                } else {
                    String::new()
                },
                default.unwrap_or_else(|| result(&one.default)),
                denied,
                strict,
            ];
            self.rows.insert(title, cells);
        }
        let of_default: Vec<&Judged> = judged.iter().filter(|one| one.default.tried).collect();
        let of_strict: Vec<&Judged> = judged.iter().filter(|one| one.strict.tried).collect();
        let denied = of_default.iter().flat_map(|one| &one.default.denied);
        let denied = denied.map(|what| format!("- {}", without_places(what))).collect();
        self.put(DENIED, &of_default, denied);
        let differs = merged(of_default.iter().map(|one| &one.default.differs));
        self.put(DIFFERS, &of_default, lines_of_differences(&differs));
        // What the collection mends stands in the table.
        let strict = |one: &&&Judged| !one.collected.is_same();
        let differs = merged(of_strict.iter().filter(strict).map(|one| &one.strict.differs));
        self.put(DIFFERS_STRICT, &of_strict, lines_of_differences(&differs));
        let rules: BTreeMap<&String, &Vec<String>> =
            of_strict.iter().flat_map(|one| &one.strict.rules).collect();
        let rules = rules.into_iter().map(|(package, rules)| {
            let rules: Vec<String> = rules.iter().map(|rule| without_places(rule)).collect();
            format!("- {package}: `{}`", rules.join("`, `"))
        });
        self.put(RULES, &of_strict, rules.collect());
        let all = judged.iter().flat_map(|one| [&one.default, &one.strict, &one.collected]);
        let varies = lines_of_differences(&merged(all.map(|under| &under.varies)));
        self.sections.entry(VARIES).or_default().extend(varies);
    }

    /// Takes the place of all that a section says of these rows' packages.
    fn put(&mut self, section: &'static str, of: &[&Judged], lines: BTreeSet<String>) {
        let packages: BTreeSet<&String> = of.iter().flat_map(|one| &one.packages).collect();
        let section = self.sections.entry(section).or_default();
        section.retain(|line| {
            let package = line.trim_start_matches("- ").split(':').next().unwrap_or_default();
            !packages.iter().any(|known| *known == package)
        });
        section.extend(lines);
    }

    fn counts(&self, rows: &[Row]) -> String {
        let (plain, told): (Vec<&Row>, Vec<&Row>) =
            rows.iter().partition(|row| row.variables().is_empty());
        let cells = |rows: &[&Row]| -> Vec<&Vec<String>> {
            let cells = rows.iter().filter_map(|row| self.rows.get(&title(row)));
            cells.filter(|cells| !cells[2].starts_with("not built")).collect()
        };
        let (built, told) = (cells(&plain), cells(&told));
        let count = |of: &[&Vec<String>], is: &dyn Fn(&[String]) -> bool| {
            of.iter().filter(|cells| is(cells)).count()
        };
        let by_crates = |cells: &[String]| cells[6].starts_with("same with `crates");
        format!(
            "{} crates are built by plain Cargo (and {} are not, and are not counted). Under `default` {} of \
             them are the same, {} without anything denied. Under `strict` {} were tried: {} are the same, {} \
             with documents of the collection, {} with rules that were learned. Of {} builds in which variables \
             say what is linked, {} are the same under `strict` by itself, and {} with documents of the \
             collection. {}",
            built.len(),
            plain.len() - built.len(),
            count(&built, &|cells| cells[4] == "same"),
            count(&built, &|cells| cells[4] == "same" && cells[5].is_empty()),
            count(&built, &|cells| cells[6] != "not tried"),
            count(&built, &|cells| cells[6] == "same"),
            count(&built, &by_crates),
            count(&built, &|cells| cells[6].starts_with("same with ")
                && cells[6].contains(" rule")),
            told.len(),
            count(&told, &|cells| cells[6] == "same"),
            count(&told, &by_crates),
            self.took,
        )
    }

    fn render(&self, rows: &[Row]) -> String {
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
            self.counts(rows)
        )
        .unwrap();
        let mut group = None;
        for row in rows {
            let Some(cells) = self.rows.get(&title(row)) else { continue };
            if group.replace(&row.group) != Some(&row.group) {
                write!(text, "\n## {}\n\n", row.group).unwrap();
                text.push_str(
                    "| Crate | Scripts | Plain | Jailed | `default` | Denied | `strict` |\n",
                );
                text.push_str("|---|---|---|---|---|---|---|\n");
            }
            let is_built = !cells[2].starts_with("not built");
            let cell = |cell: &String| {
                if cell.is_empty() && !is_built { " |".to_owned() } else { format!(" {cell} |") }
            };
            let line: String = cells.iter().map(cell).collect();
            writeln!(text, "|{line}").unwrap();
        }
        for (title, lines) in SECTIONS.map(|section| (section, self.sections.get(section))) {
            let lines: Vec<&str> = lines.into_iter().flatten().map(String::as_str).collect();
            if !lines.is_empty() {
                write!(text, "\n## {title}\n\n{}\n", lines.join("\n")).unwrap();
            }
        }
        text
    }
}

fn took(judged: &[Judged]) -> String {
    let plain: f64 = judged.iter().filter_map(|one| one.plain_seconds).sum();
    let jailed: f64 = judged.iter().map(|one| one.default.seconds).sum();
    let plain_cpu: f64 = judged.iter().map(|one| one.plain_cpu_seconds).sum();
    let jailed_cpu: f64 = judged.iter().map(|one| one.default.cpu_seconds).sum();
    format!(
        "Plain Cargo took {plain:.0} s ({plain_cpu:.0} s of processor time), `default` {jailed:.0} s \
         ({jailed_cpu:.0} s)."
    )
}

/// Writes the table, and the lock file beside it.
pub(crate) fn write(judged: &[Judged], lock_file: &str) {
    let mut table = Table { took: took(judged), ..Table::default() };
    table.amend(judged);
    fs::write(path(), table.render(&list::all())).unwrap();
    fs::write(list::directory().join("Cargo.lock"), lock_file).unwrap();
}

/// Writes what came of some crates into the table that is there.
pub(crate) fn amend(judged: &[Judged]) {
    let mut table = Table::read();
    table.amend(judged);
    fs::write(path(), table.render(&list::all())).unwrap();
}

/// The table has the list's crates and versions, and enough of them; and each document of the collection
/// was needed, and was enough.
pub(crate) fn check(rows: &[Row]) {
    let committed = Table::read().rows;
    let titles: BTreeSet<String> = rows.iter().map(title).collect();
    let in_table: BTreeSet<String> = committed.keys().cloned().collect();
    assert_eq!(titles, in_table, "tests/corpus/TABLE.md is out of date");
    let same = committed.values().filter(|cells| cells[4] == "same").count();
    assert!(same >= 120, "{same}");
    for Collected { name, .. } in ALL {
        let named = format!("\"{name}\"");
        let is_seen =
            |cells: &Vec<String>| cells[6].contains("with `crates = ") && cells[6].contains(&named);
        assert!(committed.values().any(is_seen), "{name} was not seen to be needed");
    }
}
