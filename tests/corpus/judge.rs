//! What the builds of the corpus say about the jail.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use cargo_brig::policy::collection::Giving;

use crate::compare::{self, Differences, Side};
use crate::denied;
use crate::list::Row;
use crate::workspace::{Builds, Built, Mode, Workspace};

/// What came of a row under a policy.
#[derive(Debug, Default)]
pub(crate) struct Under {
    pub(crate) tried: bool,
    pub(crate) builds: bool,
    pub(crate) seconds: f64,
    pub(crate) cpu_seconds: f64,
    /// In what its scripts' results differ from plain Cargo's, by package.
    pub(crate) differs: BTreeMap<String, Differences>,
    /// In what they do, and plain Cargo's from one build to the next as well.
    pub(crate) varies: BTreeMap<String, Differences>,
    /// What was denied, and the end of what Cargo said if it failed.
    pub(crate) denied: BTreeSet<String>,
    pub(crate) log: String,
    /// The crates whose documents of the collection it was built with.
    pub(crate) crates: BTreeSet<&'static str>,
    /// The rules without which it is denied something under `strict`.
    pub(crate) rules: BTreeMap<String, Vec<String>>,
}

impl Under {
    /// Whether the jail cannot be noticed.
    pub(crate) fn is_same(&self) -> bool {
        self.tried && self.builds && self.differs.is_empty()
    }
}

/// A row that was built.
#[derive(Debug)]
pub(crate) struct Judged {
    pub(crate) row: Row,
    /// The packages in it that have build scripts.
    pub(crate) packages: BTreeSet<String>,
    /// How many build scripts there are in it.
    pub(crate) scripts: usize,
    /// None if plain Cargo does not build it.
    pub(crate) plain_seconds: Option<f64>,
    pub(crate) plain_cpu_seconds: f64,
    /// The end of what plain Cargo said.
    pub(crate) log: String,
    pub(crate) default: Under,
    pub(crate) strict: Under,
    /// Under `strict` with the collection, where that has something for it.
    pub(crate) collected: Under,
}

fn last_lines(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}

/// The rows whose results differ between two modes, and those results.
fn differing(
    rows: &[Row],
    workspace: &Workspace,
    (one, of_one): (Mode, &Builds),
    (other, of_other): (Mode, &Builds),
) -> BTreeMap<String, BTreeMap<String, Differences>> {
    let (kept_one, kept_other) = (workspace.kept(one), workspace.kept(other));
    let mut result = BTreeMap::new();
    for row in rows {
        let succeeded = |builds: &Builds| builds.get(&row.name).is_some_and(|is| is.succeeded);
        if succeeded(of_one) && succeeded(of_other) {
            let one = Side { kept: &kept_one, builds: of_one };
            let other = Side { kept: &kept_other, builds: of_other };
            let found = compare::of_row(&row.name, one, other);
            if !found.is_empty() {
                result.insert(row.name.clone(), found);
            }
        }
    }
    result
}

/// What is different in any row, by package: a script that several rows have ran once.
fn by_package(
    differing: &BTreeMap<String, BTreeMap<String, Differences>>,
) -> BTreeMap<String, Differences> {
    let mut packages: BTreeMap<String, Differences> = BTreeMap::new();
    for (package, differences) in differing.values().flatten() {
        packages.entry(package.clone()).or_default().extend(differences.iter().cloned());
    }
    packages
}

/// What the collection has for the packages in a build.
fn crates_for(plain: &Built) -> BTreeSet<&'static str> {
    let names = plain.units.iter().filter_map(|unit| unit.package.split_once(' '));
    names
        .filter_map(|(name, version)| Giving::to(name, version))
        .map(|one| one.collected.name)
        .collect()
}

/// Builds the rows by plain Cargo and under the policies, and compares. A document can take the place of
/// `default`.
pub(crate) fn judge(rows: &[Row], workspace: &Workspace, policy: Option<&Path>) -> Vec<Judged> {
    let plain = workspace.build_all(rows, Mode::Plain, None);
    let built: Vec<Row> = rows.iter().filter(|row| plain[&row.name].succeeded).cloned().collect();
    let default = workspace.build_all(&built, Mode::Default, policy);
    // Who names crates wants them tried, however long they take.
    let is_chosen = std::env::var_os("CORPUS").is_some();
    let mut short: Vec<Row> =
        built.iter().filter(|row| !row.is_long() || is_chosen).cloned().collect();
    // Who interrupts it shall have as many of them as possible.
    short.sort_by(|one, other| plain[&one.name].seconds.total_cmp(&plain[&other.name].seconds));
    let strict = workspace.build_all(&short, Mode::Strict, None);
    let plain_side = (Mode::Plain, &plain);
    let differs = differing(&built, workspace, plain_side, (Mode::Strict, &strict));
    let crates_for = |row: &Row| crates_for(&plain[&row.name]);
    let fails = |row: &Row| strict.get(&row.name).is_some_and(|strict| !strict.succeeded);
    let needy: Vec<Row> = short
        .iter()
        .filter(|row| fails(row) || differs.contains_key(&row.name))
        .filter(|row| !crates_for(row).is_empty())
        .cloned()
        .collect();
    let taken = workspace.taking_in(&needy.iter().flat_map(crates_for).collect());
    let collected = workspace.build_all(&needy, Mode::Collected, Some(&taken));
    let failed: Vec<Row> = short
        .iter()
        .filter(|row| fails(row) && row.variables().is_empty())
        .filter(|row| !collected.get(&row.name).is_some_and(|collected| collected.succeeded))
        .cloned()
        .collect();
    let learned = workspace.build_all(&failed, Mode::Learned, Some(&workspace.learned()));

    let sides = [
        (Mode::Default, &default),
        (Mode::Strict, &strict),
        (Mode::Learned, &learned),
        (Mode::Collected, &collected),
    ];
    let found = sides.map(|side| differing(&built, workspace, plain_side, side));
    let suspects: Vec<Row> = built
        .iter()
        .filter(|row| found.iter().any(|found| found.contains_key(&row.name)))
        .cloned()
        .collect();
    let again = workspace.build_all(&suspects, Mode::Again, None);
    let by_itself = by_package(&differing(&suspects, workspace, plain_side, (Mode::Again, &again)));
    let rules = denied::rules(&fs::read_to_string(workspace.learned()).unwrap_or_default());

    let under = |row: &Row, index: usize| -> Under {
        let (mode, builds) = sides[index];
        let Some(built) = builds.get(&row.name) else { return Under::default() };
        let mut under = Under {
            tried: true,
            builds: built.succeeded,
            seconds: built.seconds,
            cpu_seconds: built.cpu_seconds,
            denied: denied::in_build(&workspace.kept(mode), built),
            log: if built.succeeded { String::new() } else { last_lines(&built.log) },
            ..Under::default()
        };
        for (package, differences) in found[index].get(&row.name).into_iter().flatten() {
            let nothing = Differences::new();
            let by_itself = by_itself.get(package).unwrap_or(&nothing);
            let (varies, differs): (Differences, Differences) =
                differences.iter().cloned().partition(|what| by_itself.contains(what));
            for (kind, differences) in [(&mut under.varies, varies), (&mut under.differs, differs)]
            {
                if !differences.is_empty() {
                    kind.insert(package.clone(), differences);
                }
            }
        }
        under
    };
    rows.iter()
        .map(|row| {
            let plain = &plain[&row.name];
            let mut under_strict = under(row, 1);
            let mut collected = under(row, 3);
            if collected.tried {
                collected.crates = crates_for(row);
            }
            if under_strict.tried && !under_strict.builds && sides[2].1.contains_key(&row.name) {
                under_strict = under(row, 2);
                under_strict.rules = plain
                    .units
                    .iter()
                    .filter_map(|unit| rules.get_key_value(&unit.package))
                    .map(|(package, rules)| (package.clone(), rules.clone()))
                    .collect();
            }
            Judged {
                row: row.clone(),
                packages: plain.units.iter().map(|unit| unit.package.clone()).collect(),
                scripts: plain.units.len(),
                plain_seconds: plain.succeeded.then_some(plain.seconds),
                plain_cpu_seconds: plain.cpu_seconds,
                log: if plain.succeeded { String::new() } else { last_lines(&plain.log) },
                default: under(row, 0),
                strict: under_strict,
                collected,
            }
        })
        .collect()
}

/// What is wrong with the jail, or with the list.
pub(crate) fn defects(judged: &[Judged]) -> Vec<String> {
    let mut defects = Vec::new();
    for Judged { row, plain_seconds, log, default, strict, collected, scripts, .. } in judged {
        let name = &row.name;
        match (plain_seconds, row.not_by_plain_cargo()) {
            (None, Some(_)) => continue,
            (None, None) => {
                defects.push(format!("{name} is not built by plain Cargo:\n{log}"));
                continue;
            }
            (Some(_), Some(_)) => defects.push(format!("{name} is built by plain Cargo")),
            (Some(_), None) => {}
        }
        if *scripts == 0 && row.arguments().is_empty() {
            defects.push(format!("{name} has no build script"));
        }
        if collected.tried && !collected.builds && row.not_under_strict().is_none() {
            defects.push(format!(
                "{name} is not built under `strict` with the collection:\n{}",
                collected.log
            ));
        }
        if let Some(why) = row.not_in_the_jail() {
            if default.is_same() {
                defects.push(format!("{name} is the same in the jail, in spite of: {why}"));
            }
            continue;
        }
        for (policy, under) in [("default", default), ("strict", strict)] {
            if !under.tried || (policy == "strict" && collected.is_same()) {
                continue;
            }
            if policy == "strict"
                && let Some(why) = row.not_under_strict()
            {
                if under.is_same() {
                    defects.push(format!("{name} is the same under `strict`, in spite of: {why}"));
                }
                continue;
            }
            if !under.builds {
                defects.push(format!("{name} is not built under `{policy}`:\n{}", under.log));
            }
            for (package, differences) in &under.differs {
                let differences: Vec<&str> = differences.iter().map(String::as_str).collect();
                defects.push(format!(
                    "{name}: the script of {package} gives something else under `{policy}`: {}",
                    differences.join(", ")
                ));
            }
        }
    }
    defects
}
