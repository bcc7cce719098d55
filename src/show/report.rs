//! One record for a person: first what was wrong, then what the script did.

use std::collections::BTreeMap;
use std::path::Path;

use super::page::Page;
use super::quantity::{bytes, counted, duration, exit, memory, moment};
use super::{groups, processes, rule};
use crate::access::Kind;
use crate::network::Attempt;
use crate::policy::Builtin;
use crate::policy::Mode;
use crate::policy::collection::Giving;
use crate::policy::placeholders::{Placeholders, is_below};
use crate::process::Exit;
use crate::stored::{Environment, Stored, StoredAccess, StoredOutcome, StoredUnit, Text};

/// So many lines has a section, unless all are wanted.
const SHOWN: usize = 40;

/// What stands for which directory, for the unit of a record.
#[must_use]
pub fn placeholders(of: &StoredUnit<'_>) -> Placeholders {
    Placeholders::of(&of.unit())
}

/// The report on one record, which was read from `path`.
pub fn render(page: &mut Page, stored: &Stored<'_>, path: &Path, all: bool) {
    let known = placeholders(&stored.unit);
    let giving = Giving::to(&stored.unit.package, &stored.unit.version);
    let report = Report { stored, known, giving, all, accesses: Accesses::sort(stored) };
    report.title(page, path);
    report.denials(page);
    report.findings(page);
    report.network(page);
    report.read(page);
    report.missing(page);
    report.changed(page);
    report.executed(page);
    report.environment(page);
    report.outputs(page);
    report.processes(page);
    report.totals(page);
    report.enforced(page);
}

/// The allowed and the missing, by what was done. The others are in the record's denials, or are
/// counted by their errors.
#[derive(Default)]
struct Accesses<'r> {
    read: Vec<&'r str>,
    written: Vec<&'r str>,
    created: Vec<&'r str>,
    removed: Vec<&'r str>,
    renamed: Vec<&'r str>,
    changed: Vec<&'r str>,
    executed: Vec<&'r str>,
    hidden: Vec<&'r str>,
    missing: Vec<&'r str>,
    failed: BTreeMap<&'r str, u64>,
}

impl<'r> Accesses<'r> {
    fn sort(stored: &'r Stored<'_>) -> Self {
        let mut sorted = Self::default();
        for access in &stored.accesses {
            let path = &*access.path;
            match &access.outcome {
                StoredOutcome::Denied => {}
                StoredOutcome::Hidden => sorted.hidden.push(path),
                StoredOutcome::NotFound => sorted.missing.push(path),
                StoredOutcome::Failed(error) => *sorted.failed.entry(error).or_default() += 1,
                StoredOutcome::Allowed => match access.kind {
                    Kind::Read => sorted.read.push(path),
                    Kind::Write => sorted.written.push(path),
                    Kind::Create => sorted.created.push(path),
                    Kind::Remove => sorted.removed.push(path),
                    Kind::Rename | Kind::Link => sorted.renamed.push(path),
                    Kind::Execute => sorted.executed.push(path),
                    Kind::SetMode | Kind::SetOwner | Kind::SetTimes | Kind::SetAttribute => {
                        sorted.changed.push(path);
                    }
                    Kind::List | Kind::Stat | Kind::ReadLink => {}
                },
            }
        }
        // They are by path, and differ in kind or outcome.
        for paths in
            [&mut sorted.hidden, &mut sorted.missing, &mut sorted.renamed, &mut sorted.changed]
        {
            paths.dedup();
        }
        sorted
    }
}

struct Report<'r> {
    stored: &'r Stored<'r>,
    known: Placeholders,
    /// What the collection would give its package.
    giving: Option<Giving>,
    all: bool,
    accesses: Accesses<'r>,
}

impl Report<'_> {
    fn title(&self, page: &mut Page, path: &Path) {
        let Stored { unit, policy, .. } = self.stored;
        let package = format!("{} v{}", &*unit.package, &*unit.version);
        match &unit.compilation {
            Some(compiled) => page.title(&format!("{package}, {}", compiled.words())),
            None => page.title(&package),
        }
        let mut facts = vec![moment(self.stored.started)];
        facts.extend(unit.profile.as_deref().map(str::to_owned));
        facts.extend(unit.target.as_deref().map(str::to_owned));
        facts.push(exit(self.stored.exit));
        facts.push(format!("policy `{}`", &*policy.name));
        page.line(2, &facts.join(", "));
        if policy.mode == Mode::Permissive {
            page.warning("Permissive: of what stands here as denied, writes alone were");
        }
        page.dim(2, &path.to_string_lossy());
    }

    /// A list that is not longer than a person reads.
    fn list<'l>(&self, page: &mut Page, lines: impl ExactSizeIterator<Item = &'l str>) {
        let count = lines.len();
        let shown = if self.all { count } else { SHOWN };
        for line in lines.take(shown) {
            page.line(2, line);
        }
        rest(page, count, shown);
    }

    fn shortened(&self, paths: &[&str]) -> Vec<String> {
        paths.iter().map(|path| self.known.shorten(path).into_owned()).collect()
    }

    fn paths(&self, page: &mut Page, heading: &str, paths: &[&str]) {
        if paths.is_empty() {
            return;
        }
        page.heading(&format!("{heading} ({})", counted(paths.len() as u64, "path")));
        let shortened = self.shortened(paths);
        for line in groups::lines(shortened.iter().map(String::as_str), self.all) {
            page.line(2, &line);
        }
    }

    fn denials(&self, page: &mut Page) {
        let Stored { denials, denials_dropped, exit, .. } = self.stored;
        let failed = *exit != Exit::Code(0);
        let attempts: Vec<&Attempt> =
            self.stored.network.iter().filter(|attempt| attempt.counts(failed)).collect();
        let count = (denials.len() + attempts.len()) as u64 + denials_dropped;
        if count == 0 {
            return;
        }
        page.warning(&format!("Denied ({count})"));
        // Those that one rule would allow, together, where the first of them was.
        let mut by_rule: Vec<(Result<String, &str>, Vec<&StoredAccess<'_>>)> = Vec::new();
        let mut places: BTreeMap<Result<String, &str>, usize> = BTreeMap::new();
        for denial in denials {
            let rule = if self.is_anothers(denial) {
                Err("no rule gives a compilation another crate's output")
            } else {
                rule::allowing(denial, &self.known, self.giving.as_ref())
            };
            let place = *places.entry(rule.clone()).or_insert_with(|| {
                by_rule.push((rule, Vec::new()));
                by_rule.len() - 1
            });
            by_rule[place].1.push(denial);
        }
        let mut shown = 0;
        for (rule, denials) in &by_rule {
            if shown >= SHOWN && !self.all {
                break;
            }
            let take = if self.all { denials.len() } else { SHOWN - shown };
            for denial in denials.iter().take(take) {
                page.line(2, &self.denial(denial));
            }
            shown += denials.len().min(take);
            match rule {
                Ok(rule) => page.rule(6, rule),
                Err(reason) => page.dim(6, reason),
            }
        }
        rest(page, denials.len(), shown);
        if *denials_dropped > 0 {
            page.line(2, &format!("… and {denials_dropped} more, among the record's accesses"));
        }
        self.refused_attempts(page, &attempts);
    }

    fn refused_attempts(&self, page: &mut Page, attempts: &[&Attempt]) {
        let shown = if self.all { attempts.len() } else { SHOWN };
        for attempt in attempts.iter().take(shown) {
            let tried = attempt.tried();
            page.line(2, tried.strip_prefix("tried to ").unwrap_or(&tried));
            match attempt.allowing() {
                Some(rule) => page.rule(6, &rule),
                None => page.dim(6, "no rule gives build scripts that"),
            }
        }
        rest(page, attempts.len(), shown);
    }

    fn denial(&self, denial: &StoredAccess<'_>) -> String {
        let path = self.known.shorten(&denial.path);
        let times = times(denial.count);
        // The script itself needs no name.
        let by = processes::name(&self.stored.processes, denial.process)
            .filter(|_| denial.process > 0)
            .map(|name| format!(", by `{name}`"))
            .unwrap_or_default();
        let compiled = self.stored.unit.compilation.as_ref();
        let macro_ = compiled.and_then(|compiled| compiled.macros.get(&denial.path));
        let from = macro_
            .map(|name| format!(", by the procedural macro crate `{}`", &**name))
            .unwrap_or_default();
        format!("{} {path}{times}{by}{from}", denial.kind.verb())
    }

    /// Whether a compilation was kept from changing what lies where it may write.
    fn is_anothers(&self, denial: &StoredAccess<'_>) -> bool {
        let unit = &self.stored.unit;
        let is_within = Path::new(&*denial.path).starts_with(Path::new(&*unit.out_dir));
        unit.compilation.is_some() && denial.kind.changes() && is_within
    }

    fn findings(&self, page: &mut Page) {
        let Stored { findings, withheld_instructions, .. } = self.stored;
        if !findings.is_empty() {
            page.warning(&format!("Findings ({})", findings.len()));
            let lines = findings.iter().map(|finding| {
                let line = format!("{}: {}", &*finding.code, &*finding.message);
                (line, finding.rule.as_ref().map(|rule| rule.to_string()))
            });
            self.with_rules(page, lines);
        }
        if !withheld_instructions.is_empty() {
            page.warning(&format!("Not told to Cargo ({})", withheld_instructions.len()));
            let lines = withheld_instructions.iter().map(|withheld| {
                let line = format!("`{}`: {}", &*withheld.line, &*withheld.reason);
                let giving = self.giving.as_ref();
                let giving = giving.filter(|giving| giving.instruction(&withheld.line));
                (line, giving.map(Giving::rule).or_else(|| withheld.rule()))
            });
            self.with_rules(page, lines);
        }
    }

    /// A list, with the rule under each line that would do without it.
    fn with_rules(
        &self,
        page: &mut Page,
        lines: impl ExactSizeIterator<Item = (String, Option<String>)>,
    ) {
        let count = lines.len();
        let shown = if self.all { count } else { SHOWN };
        for (line, rule) in lines.take(shown) {
            page.line(2, &line);
            if let Some(rule) = rule {
                page.rule(6, &rule);
            }
        }
        rest(page, count, shown);
    }

    fn network(&self, page: &mut Page) {
        let attempts = &self.stored.network;
        if attempts.is_empty() {
            return;
        }
        let lines: Vec<String> = attempts
            .iter()
            .map(|attempt| format!("{}: {}", attempt.tried(), attempt.outcome))
            .collect();
        page.warning(&format!("Network and sockets ({})", attempts.len()));
        self.list(page, lines.iter().map(String::as_str));
        if self.stored.network_dropped > 0 {
            let more = counted(self.stored.network_dropped, "further attempt");
            page.line(2, &format!("{more} did not fit into the record"));
        }
    }

    fn read(&self, page: &mut Page) {
        let system = Builtin::directories();
        let (mut own, mut usual, mut other) = (0_u64, 0_u64, Vec::new());
        for path in &self.accesses.read {
            match self.known.split(path).map(|(placeholder, _)| placeholder) {
                Some("{package}" | "{out-dir}" | "{tmp}" | "{empty-home}" | "{script}") => own += 1,
                Some("{toolchain}") => usual += 1,
                None if system.iter().any(|directory| is_below(path, directory)) => usual += 1,
                _ => other.push(*path),
            }
        }
        page.heading(&format!("Read ({})", counted(self.accesses.read.len() as u64, "file")));
        let shortened = self.shortened(&other);
        for line in groups::lines(shortened.iter().map(String::as_str), self.all) {
            page.line(2, &line);
        }
        let besides = format!(
            "{own} in its package, OUT_DIR and TMPDIR, {usual} of the system and the toolchain"
        );
        page.dim(2, &besides);
    }

    fn missing(&self, page: &mut Page) {
        self.paths(page, "Looked for and hidden from it", &self.accesses.hidden);
        let missing = &self.accesses.missing;
        if self.all {
            self.paths(page, "Looked for and not found", missing);
        } else if !missing.is_empty() {
            let count = counted(missing.len() as u64, "path");
            page.heading(&format!("Looked for and not found ({count}; `--all` lists them)"));
        }
    }

    fn changed(&self, page: &mut Page) {
        let Accesses { created, written, removed, renamed, changed, failed, .. } = &self.accesses;
        self.paths(page, "Created", created);
        self.paths(page, "Wrote", written);
        self.paths(page, "Removed", removed);
        self.paths(page, "Renamed or linked", renamed);
        self.paths(page, "Changed the mode, owner, times or an attribute", changed);
        if !failed.is_empty() {
            let errors: Vec<String> =
                failed.iter().map(|(error, count)| format!("{error} {count}")).collect();
            page.heading("Failed for other reasons");
            page.line(2, &errors.join(", "));
        }
        if self.stored.accesses_dropped > 0 {
            let more = counted(self.stored.accesses_dropped, "use");
            page.warning(&format!("{more} of further paths did not fit into the record"));
        }
    }

    fn executed(&self, page: &mut Page) {
        self.paths(page, "Executed", &self.accesses.executed);
        if self.stored.programs_refused > 0 {
            let more = counted(self.stored.programs_refused, "program");
            page.warning(&format!("{more} more could not be executed, for too many processes"));
        }
    }

    fn environment(&self, page: &mut Page) {
        let withheld = &self.stored.withheld_variables;
        let Some(Environment { given, asked, unseen }) = &self.stored.environment else {
            if !withheld.is_empty() {
                page.heading("Environment");
                page.line(2, &format!("withheld: {}", joined(withheld.iter())));
            }
            return;
        };
        page.heading("Environment");
        for (state, words) in [
            ("withheld", "asked for, and withheld"),
            ("absent", "asked for, and not set"),
            ("given", "asked for, and given"),
        ] {
            let names: Vec<&Text<'_>> =
                asked.iter().filter(|asked| &*asked.state == state).map(|a| &a.name).collect();
            self.names(page, words, &names);
            if let Some(giving) = self.giving.as_ref().filter(|_| state == "withheld")
                && names.iter().any(|name| giving.variable(name))
            {
                page.rule(6, &giving.rule());
            }
        }
        let is_asked = |name: &&Text<'_>| asked.iter().any(|asked| asked.name == **name);
        let rest: Vec<&Text<'_>> = withheld.iter().filter(|name| !is_asked(name)).collect();
        self.names(page, "withheld, and not asked for", &rest);
        page.dim(2, &format!("it had {}", counted(given.len() as u64, "variable")));
        for unseen in unseen.iter().take(if self.all { unseen.len() } else { SHOWN }) {
            let name = processes::name(&self.stored.processes, unseen.process).unwrap_or("?");
            let reason = &*unseen.reason;
            page.dim(2, &format!("what `{name}` asked for was not seen: {reason}"));
        }
    }

    /// Names on one line, or with `all` each on its own.
    fn names(&self, page: &mut Page, words: &str, names: &[&Text<'_>]) {
        if names.is_empty() {
            return;
        }
        if self.all {
            page.line(2, &format!("{words}:"));
            for name in names {
                page.line(4, name);
            }
        } else {
            page.line(2, &format!("{words}: {}", joined(names.iter().copied())));
        }
    }

    fn outputs(&self, page: &mut Page) {
        let Some(outputs) = &self.stored.outputs else { return };
        let count = outputs.len() as u64 + self.stored.outputs_dropped;
        let size: u64 = outputs.iter().map(|output| output.size).fold(0, u64::saturating_add);
        let heading = match self.stored.unit.compilation {
            Some(_) => "Made",
            None => "Left in OUT_DIR",
        };
        page.heading(&format!("{heading} ({}, {})", counted(count, "file"), bytes(size)));
        let lines: Vec<String> = outputs
            .iter()
            .map(|output| {
                let digest = output.sha256.as_deref().unwrap_or_default();
                let digest: String = digest.chars().take(if self.all { 64 } else { 12 }).collect();
                let leads = output.link.as_ref().map(|link| format!("→ {}", &**link));
                let what = leads.unwrap_or(digest);
                format!("{}  {}  {what}", &*output.path, bytes(output.size))
            })
            .collect();
        self.list(
            page,
            lines.iter().map(|line| line.trim_end_matches(' ')).collect::<Vec<_>>().into_iter(),
        );
        if self.stored.outputs_dropped > 0 {
            let more = self.stored.outputs_dropped;
            page.line(2, &format!("… and {more} more, which the record does not name"));
        }
    }

    fn processes(&self, page: &mut Page) {
        let all = &self.stored.processes;
        if all.is_empty() {
            return;
        }
        page.heading(&format!("Processes ({})", all.len()));
        processes::render(page, all, &self.known, self.all);
    }

    fn totals(&self, page: &mut Page) {
        let stored = self.stored;
        page.heading("Totals");
        page.line(
            2,
            &format!(
                "{}, CPU {} (system {}), {} in the largest process",
                duration(stored.wall_us),
                duration(stored.user_us.saturating_add(stored.system_us)),
                duration(stored.system_us),
                memory(stored.peak_rss_kib)
            ),
        );
        let mut facts = Vec::new();
        if stored.unit.compilation.is_none() {
            facts.push(counted(stored.instruction_count, "instruction") + " told to Cargo");
        }
        if stored.killed > 0 {
            facts.push(format!("processes left at its end, and killed: {}", stored.killed));
        }
        if !facts.is_empty() {
            page.line(2, &facts.join(", "));
        }
    }

    fn enforced(&self, page: &mut Page) {
        let Stored { policy, enforced, limits, .. } = self.stored;
        page.heading("Enforced");
        let digest: String = policy.sha256.chars().take(12).collect();
        page.line(2, &format!("policy `{}` of {} ({digest})", &*policy.name, &*policy.file));
        let landlock = &enforced.landlock;
        page.line(
            2,
            &format!(
                "Landlock ABI {}: {} on files, {} on the network; scopes: {}",
                landlock.abi,
                counted(landlock.files.len() as u64, "right"),
                counted(landlock.network.len() as u64, "right"),
                if landlock.scopes.is_empty() {
                    "none".to_owned()
                } else {
                    joined(landlock.scopes.iter())
                }
            ),
        );
        let filter = counted(enforced.seccomp_instructions, "instruction");
        let mut facts = vec![format!("seccomp filter of {filter}")];
        for (is_so, words) in [
            (enforced.no_new_privs, "no new privileges"),
            (enforced.capabilities_dropped, "no capabilities"),
            (enforced.descriptors_closed, "no inherited descriptors"),
        ] {
            facts.push(if is_so { words.to_owned() } else { format!("NOT {words}") });
        }
        page.line(2, &facts.join(", "));
        let limits: Vec<String> = limits
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| format!("{name} {value}"))
            .collect();
        if !limits.is_empty() {
            page.line(2, &format!("limits: {}", limits.join(", ")));
        }
    }
}

/// What is said of the rest of a list.
fn rest(page: &mut Page, count: usize, shown: usize) {
    if let Some(more) = count.checked_sub(shown).filter(|more| *more > 0) {
        page.line(2, &format!("… and {more} more (`--all` shows them)"));
    }
}

fn times(count: u64) -> String {
    if count > 1 { format!(" ({count} times)") } else { String::new() }
}

fn joined<'t>(names: impl Iterator<Item = &'t Text<'t>>) -> String {
    names.map(|name| &**name).collect::<Vec<_>>().join(", ")
}
