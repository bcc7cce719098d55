//! What is observed in one record: the behaviour, who is behind each piece of it, and what was wrong.
//!
//! What counts, and what does not:
//!
//! - **reads**: files and directories that were opened for reading, but for what [`super::names`] calls
//!   the script's own and the system; not what was only looked at, and not what is missing, unless the
//!   policy `default` would deny it: then whether it is there is a matter of the machine, and the
//!   attempt counts as `denied`.
//! - **writes**: directories, outside of `OUT_DIR` and `TMPDIR`, in which something was changed.
//! - **programs**: those that were executed, but for the script itself and the parts of compilers.
//! - **variables**: those that the script itself asked for, and of those that its programs asked for the
//!   ones that are named like a secret. Those that Cargo sets say nothing.
//! - **instructions**: all but messages, by kind.
//!
//! Lints are findings of the report, and not part of the behaviour: they are advice to the author, and
//! nobody has to approve them.
//!
//! A record that is not complete is a finding: what did not fit may be anything.

mod instructions;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::behaviour::{Aspect, Behaviour};
use super::names::{Names, Place, Usual};
use super::report::{Actor, Denial, Finding};
use crate::access::{Kind, Outcome, printable};
use crate::lint;
use crate::network::Attempt;
use crate::policy::allowing::allowing;
use crate::policy::collection::Giving;
use crate::policy::document::Unnamed;
use crate::policy::{Builtin, Grants, Layers, Policy};
use crate::process::{Exit, Process, Program};
use crate::stored::{Stored, StoredAccess, StoredOutcome};
use crate::unit::Unit;

/// More denials of one run are not told one by one.
const DENIALS: usize = 1000;

/// See the file's description.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// What the script did.
    pub behaviour: Behaviour,
    /// Who did it first.
    pub by: BTreeMap<(Aspect, String), Actor>,
    /// What the jail refused.
    pub denials: Vec<Denial>,
    /// What else a person should hear of.
    pub findings: Vec<Finding>,
}

/// What observing needs besides records.
#[derive(Debug)]
pub struct Observer {
    usual: Usual,
    /// The policy `default`: which names are those of secrets.
    policy: Policy,
    /// The workspace.
    root: PathBuf,
}

impl Observer {
    /// One for the scripts of the workspace `root`.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        let policy = Layers::of(Vec::new(), Some(Builtin::Default))
            .map(|layers| Policy::of(&layers, "", ""))
            .unwrap_or_default();
        Self { usual: Usual::default(), policy, root: root.to_owned() }
    }

    /// What is observed in a record, the run of this index of its package.
    #[must_use]
    pub fn observe(&self, stored: &Stored<'_>, run: usize) -> Observed {
        let names = Names::of(&stored.unit, &self.usual, &self.root);
        let mut sight = Sight { observer: self, stored, names, run, observed: Observed::default() };
        sight.programs();
        sight.accesses();
        sight.variables();
        sight.network();
        sight.instructions();
        sight.limits();
        sight.denials();
        sight.findings();
        sight.observed
    }
}

/// One record being observed.
struct Sight<'r> {
    observer: &'r Observer,
    stored: &'r Stored<'r>,
    names: Names<'r>,
    run: usize,
    observed: Observed,
}

impl Sight<'_> {
    fn add(&mut self, aspect: Aspect, value: String, process: Option<u32>) {
        if self.observed.behaviour.of(aspect).contains(&value) {
            return;
        }
        if let Some(actor) = process.and_then(|process| self.actor(process)) {
            self.observed.by.insert((aspect, value.clone()), actor);
        }
        self.observed.behaviour.of_mut(aspect).insert(value);
    }

    fn actor_of(&self, process: u32, program: &Program) -> Actor {
        let known = self.names.placeholders();
        let shorten = |text: &String| known.shorten(text).into_owned();
        Actor {
            program: shorten(&program.program),
            arguments: program.arguments.iter().map(shorten).collect(),
            process,
            run: self.run,
        }
    }

    /// The process of this index, and what it ran when it was last heard of.
    fn actor(&self, process: u32) -> Option<Actor> {
        let processes = &self.stored.processes;
        let mut candidate = processes.get(process as usize)?;
        // Before its first program a process runs what its parent did.
        while candidate.programs.is_empty() {
            let parent = candidate.parent.filter(|parent| *parent < candidate.id)?;
            candidate = processes.get(parent as usize)?;
        }
        Some(self.actor_of(process, candidate.programs.last()?))
    }

    fn accesses(&mut self) {
        let stored = self.stored;
        for access in &stored.accesses {
            let process = Some(access.process);
            let path = &*access.path;
            match (&access.outcome, access.kind) {
                (StoredOutcome::Denied, _) => {
                    let value = self.denied(access);
                    self.add(Aspect::Denied, value, process);
                }
                (_, Kind::Stat | Kind::ReadLink | Kind::Link) => {}
                (StoredOutcome::Allowed, Kind::Read | Kind::List) => {
                    if is_environ(path) {
                        self.add(Aspect::Variables, "(all, from /proc)".to_owned(), process);
                    } else if let Place::Elsewhere(name) = self.names.place(path) {
                        self.add(Aspect::Reads, name, process);
                    }
                }
                (StoredOutcome::Allowed, Kind::Execute) => {
                    if let Some(name) = self.names.program(path) {
                        self.add(Aspect::Programs, name, process);
                    }
                }
                (StoredOutcome::Allowed, _) => {
                    let (directory, _) = path.rsplit_once('/').unwrap_or(("", path));
                    if !self.names.may_be_written(path) {
                        let name = self.names.placeholders().shorten(directory);
                        let name = self.names.steady(&name);
                        self.add(Aspect::Writes, format!("{name}/"), process);
                    }
                }
                (_, Kind::Read | Kind::List) => {
                    if let Place::Elsewhere(name) = self.names.place_of_attempt(path)
                        && !self.names.may_be_looked_for(&name)
                    {
                        self.add(Aspect::Denied, format!("read {name}"), process);
                    }
                }
                _ => {}
            }
        }
        // A search that went on upwards says nothing more, and where it ends is a matter of the machine.
        let top = format!("read {}/", self.names.top());
        let denied = &mut self.observed.behaviour.denied;
        let ends = denied.iter().filter(|value| {
            value.strip_prefix(&top).is_some_and(|rest| {
                ["{above}", "{workspace}"]
                    .iter()
                    .any(|below| denied.contains(&format!("read {below}/{rest}")))
            })
        });
        for end in ends.cloned().collect::<Vec<_>>() {
            denied.remove(&end);
        }
        if stored.accesses_dropped > 0 || stored.denials_dropped > 0 {
            self.incomplete("uses of paths");
        }
        if stored.network_dropped > 0 {
            self.incomplete("networks and sockets");
        }
        if stored.programs_refused > 0 {
            self.incomplete("programs");
        }
    }

    fn denied(&self, access: &StoredAccess<'_>) -> String {
        let path = &*access.path;
        let (verb, path) = match access.kind {
            Kind::Read | Kind::List | Kind::ReadLink => ("read", path),
            Kind::Stat => ("look at", path),
            Kind::Execute => ("execute", path),
            Kind::Link => ("link to", path),
            Kind::Write
            | Kind::Create
            | Kind::Remove
            | Kind::Rename
            | Kind::SetMode
            | Kind::SetOwner
            | Kind::SetTimes
            | Kind::SetAttribute => {
                // The names of temporary files are by chance.
                let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
                ("write", if directory.is_empty() { "/" } else { directory })
            }
        };
        let place = match verb {
            "read" => self.names.place_of_attempt(path),
            _ => self.names.place(path),
        };
        let name = match place {
            Place::Elsewhere(name) => name,
            Place::Own | Place::System => {
                self.names.steady(&self.names.placeholders().shorten(path))
            }
        };
        format!("{verb} {name}")
    }

    fn incomplete(&mut self, what: &str) {
        self.observed.behaviour.findings.insert("record-incomplete".to_owned());
        self.observed.findings.push(Finding {
            code: "record-incomplete".to_owned(),
            message: format!("did more than its record holds: some {what} are not in it"),
            fatal: false,
            by: None,
        });
    }

    /// What processes have become. A script that an interpreter reads is among the accesses.
    fn programs(&mut self) {
        let stored = self.stored;
        let mut seen = HashSet::new();
        for process in &stored.processes {
            for program in &process.programs {
                if seen.insert(program.program.as_str())
                    && let Some(name) = self.names.program(&program.program)
                    && self.observed.behaviour.programs.insert(name.clone())
                {
                    let actor = self.actor_of(process.id, program);
                    self.observed.by.insert((Aspect::Programs, name), actor);
                }
            }
        }
    }

    fn variables(&mut self) {
        let Some(environment) = &self.stored.environment else { return };
        for asked in &environment.asked {
            let name = &*asked.name;
            if Unit::is_cargo_variable(name.as_ref()) {
                continue;
            }
            let by_script =
                asked.processes.iter().find(|process| self.is_script(**process)).copied();
            let is_secret = self.observer.policy.variable(name.as_bytes()).0 == Unnamed::Withhold;
            let process = by_script.or_else(|| asked.processes.first().copied());
            if by_script.is_some() || is_secret {
                let name = self.names.steady(name);
                // Who approved that a secret is asked for has not approved that it is given.
                let is_told = is_secret && &*asked.state == "given";
                let name = if is_told { format!("{name}, given") } else { name };
                self.add(Aspect::Variables, name, process);
            }
        }
        for unseen in &environment.unseen {
            match &*unseen.reason {
                "too many names" => self.incomplete("variables"),
                // A program that is not the script's own asks for whatever it likes.
                reason @ ("static program"
                | "did not load the library"
                | "has a seccomp filter of its own")
                    if self.is_script(unseen.process) =>
                {
                    let value = format!("(unseen: {reason})");
                    self.add(Aspect::Variables, value, Some(unseen.process));
                }
                _ => {}
            }
        }
    }

    /// Whether a process runs the compiled script, and nothing else.
    fn is_script(&self, process: u32) -> bool {
        let processes = &self.stored.processes;
        let is_script = |process: &Process| {
            process.programs.iter().all(|program| program.program == *self.stored.unit.script)
        };
        let mut next = Some(process);
        while let Some(process) = next.and_then(|next| processes.get(next as usize)) {
            if !process.programs.is_empty() {
                return is_script(process);
            }
            next = process.parent.filter(|parent| *parent < process.id);
        }
        false
    }

    fn network(&mut self) {
        // The C library asks for its cache of names and goes on without it (nscd(8)).
        let is_cache = |attempt: &&Attempt| {
            let is_it = |path| ["/run/nscd/socket", "/var/run/nscd/socket"].contains(&path);
            attempt.address.as_deref().is_some_and(is_it)
        };
        for attempt in self.stored.network.iter().filter(|attempt| !is_cache(attempt)) {
            let value = self.attempt(attempt);
            self.add(Aspect::Network, value, Some(attempt.process));
        }
    }

    fn attempt(&self, attempt: &Attempt) -> String {
        let Attempt { family, kind, address, port, host, outcome, .. } = attempt;
        let what = match (host, address, port) {
            (Some(host), ..) => format!("host {host}"),
            (None, Some(address), Some(port)) => format!("{address} port {port} ({family} {kind})"),
            (None, Some(address), None) => {
                let address = self.names.steady(&self.names.placeholders().shorten(address));
                format!("{address} ({family} {kind})")
            }
            (None, None, _) => format!("{family} {kind} socket"),
        };
        // Who approved an attempt has not approved that it succeeds.
        if *outcome == Outcome::Denied { what } else { format!("{what}, allowed") }
    }

    fn limits(&mut self) {
        let stored = self.stored;
        let limit = |key: &str| stored.limits.get(key).and_then(serde_json::Value::as_u64);
        let used =
            [("wall-time", stored.wall_us / 1_000_000), ("memory", stored.peak_rss_kib / 1024)];
        for (key, used) in used {
            // Three quarters, without rounding.
            if limit(key).is_some_and(|limit| used.saturating_mul(4) >= limit.saturating_mul(3)) {
                self.add(Aspect::Limits, key.to_owned(), None);
            }
        }
    }

    fn denials(&mut self) {
        let stored = self.stored;
        let policy = printable(&stored.policy.name);
        let giving = Giving::to(&stored.unit.package, &stored.unit.version);
        for denial in stored.denials.iter().take(DENIALS) {
            let rule =
                allowing(denial.kind, &denial.path, self.names.placeholders(), giving.as_ref())
                    .ok();
            let path = self.names.placeholders().shorten(&denial.path);
            let times =
                if denial.count > 1 { format!(" ({} times)", denial.count) } else { String::new() };
            let why = match denial.kind.right() {
                Some(right) => format!(
                    "no `{}` rule of the policy `{policy}` covers it",
                    Grants::rule_key(right)
                ),
                None => format!("the policy `{policy}` hides it"),
            };
            let message = format!("tried to {} `{path}`{times}: {why}", denial.kind.verb());
            let by = self.actor(denial.process);
            self.observed.denials.push(Denial { message, rule, by });
        }
        let more = stored.denials.len().saturating_sub(DENIALS) as u64 + stored.denials_dropped;
        if more > 0 {
            let message = format!("was denied {more} more uses of paths");
            self.observed.denials.push(Denial { message, rule: None, by: None });
        }
        for attempt in stored.network.iter().filter(|attempt| attempt.is_remarkable()) {
            let by = self.actor(attempt.process);
            let message = attempt.denial(&policy);
            self.observed.denials.push(Denial { message, rule: None, by });
        }
    }

    fn findings(&mut self) {
        let stored = self.stored;
        for finding in &stored.findings {
            if !finding.fatal {
                self.observed.behaviour.findings.insert(finding.code.to_string());
            }
            self.observed.findings.push(Finding {
                code: finding.code.to_string(),
                message: finding.message.to_string(),
                fatal: finding.fatal,
                by: None,
            });
        }
        let mut seen = BTreeSet::new();
        for withheld in &stored.withheld_instructions {
            if seen.insert((&*withheld.line, &*withheld.reason)) {
                let (line, reason) = (&*withheld.line, &*withheld.reason);
                self.observed.findings.push(Finding {
                    code: "instruction-withheld".to_owned(),
                    message: format!("printed `{line}`, which is withheld: {reason}"),
                    fatal: withheld.fatal,
                    by: self.actor(0),
                });
            }
        }
        for lint in lint::of(stored) {
            let mut message = lint.message;
            if let Some((first, rest)) = lint.items.split_first() {
                message.push_str(": ");
                message.push_str(first);
                if !rest.is_empty() {
                    write!(message, " and {} more", rest.len()).expect("a String takes it all");
                }
            }
            let code = lint.code.name().to_owned();
            self.observed.findings.push(Finding { code, message, fatal: false, by: None });
        }
    }
}

/// Whether a path is that of all variables of a process (`proc_pid_environ(5)`).
fn is_environ(path: &str) -> bool {
    path.starts_with("/proc/") && path.ends_with("/environ")
}

/// Whether a script ended as it should.
#[must_use]
pub fn succeeded(exit: Exit) -> bool {
    exit == Exit::Code(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// What is observed in a record with these fields besides those that every record has.
    fn observed(more: serde_json::Value) -> Observed {
        let mut record = json!({
            "unit": {
                "package": "hull", "version": "1.0.0",
                "manifest_dir": "/tmp/w/ship/vendor/hull",
                "out_dir": "/tmp/w/ship/target/debug/build/hull-0123456789abcdef/out",
                "script": "/tmp/w/ship/target/debug/build/hull-1123456789abcdef/s",
                "workspace": null, "target": null, "host": null, "profile": null,
            },
            "policy": { "name": "default", "file": "f", "sha256": "s" },
            "enforced": {
                "landlock": { "abi": 7, "files": [], "network": [], "scopes": [] },
                "seccomp_instructions": 1, "no_new_privs": true, "capabilities_dropped": true,
                "descriptors_closed": true,
            },
            "started": 1, "exit": { "code": 0 }, "wall_us": 1, "user_us": 1, "system_us": 1,
            "peak_rss_kib": 1, "denials": [],
        });
        let serde_json::Value::Object(more) = more else { panic!("an object") };
        record.as_object_mut().unwrap().extend(more);
        let text = record.to_string();
        let stored: Stored = serde_json::from_str(&text).unwrap();
        Observer::new(Path::new("/tmp/w/ship")).observe(&stored, 0)
    }

    fn access(kind: &str, path: &str, outcome: &str) -> serde_json::Value {
        json!({ "kind": kind, "path": path, "outcome": outcome, "count": 1, "process": 0 })
    }

    #[test]
    fn a_search_upwards_is_one_thing_wherever_it_begins() {
        let accesses: Vec<_> = ["/tmp/w/ship/.tool", "/tmp/w/.tool", "/tmp/.tool"]
            .map(|path| access("read", path, "not-found"))
            .into();
        let observed = observed(json!({ "accesses": accesses }));
        let denied: Vec<&str> = observed.behaviour.denied.iter().map(String::as_str).collect();
        // The workspace is not for a dependency to look through.
        assert_eq!(denied, ["read {above}/.tool", "read {workspace}/.tool"]);
    }

    #[test]
    fn what_is_usual_or_by_chance_says_nothing() {
        let accesses = json!([
            access("read", "/usr/include/zlib.h", "allowed"),
            access("read", "/tmp/w/ship/vendor/hull/x.c", "allowed"),
            access("stat", "/tmp/w/ship/secrets", "allowed"),
            access("execute", "/srv/bin/cc", "not-found"),
            access("create", "/tmp/cc4711.o", "denied"),
            access("create", "/tmp/cc4712.o", "denied"),
            access("read", "/tmp/w/ship/data.csv", "allowed"),
            access("read", "/srv/missing", "not-found"),
            access("create", "/srv/out/cc4711.o", "allowed"),
        ]);
        let behaviour = observed(json!({ "accesses": accesses })).behaviour;
        let expected: Vec<(Aspect, &str)> = vec![
            (Aspect::Denied, "read /srv/missing"),
            (Aspect::Denied, "write /tmp"),
            (Aspect::Reads, "{workspace}/data.csv"),
            (Aspect::Writes, "/srv/out/"),
        ];
        assert_eq!(behaviour.values().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn secrets_are_told_whoever_asks() {
        let program =
            |path: &str| json!([{ "program": path, "arguments": [path], "started_us": 0 }]);
        let process = |id: u32, programs: serde_json::Value| {
            json!({ "id": id, "parent": null, "pid": 1, "programs": programs, "cwd": "/",
                    "started_us": 0, "wall_us": 1, "exit": null, "cpu_us": 1, "peak_rss_kib": 1 })
        };
        let asked = |name: &str, process: u32| json!({ "name": name, "state": "absent", "processes": [process] });
        let script = "/tmp/w/ship/target/debug/build/hull-1123456789abcdef/s";
        let observed = observed(json!({
            "processes": [process(0, program(script)), process(1, program("/usr/bin/curl"))],
            "environment": { "given": [], "unseen": [], "asked": [
                asked("HULL_MODE", 0), asked("OUT_DIR", 0), asked("CURL_HOME", 1), asked("NPM_TOKEN", 1),
            ] },
        }));
        let variables: Vec<&String> = observed.behaviour.variables.iter().collect();
        assert_eq!(variables, ["HULL_MODE", "NPM_TOKEN"]);
        let by = &observed.by[&(Aspect::Variables, "NPM_TOKEN".to_owned())];
        assert_eq!((by.program.as_str(), by.process), ("/usr/bin/curl", 1));
        assert!(observed.behaviour.programs.contains("curl"));
    }

    #[test]
    fn an_attempt_is_not_a_success() {
        let attempt = |outcome: &str| {
            json!({ "family": "IPv4", "type": "stream", "address": "192.0.2.1", "port": 443,
                    "outcome": outcome, "count": 1, "process": 0 })
        };
        let attempts = ["denied", "allowed", "ECONNREFUSED"].map(attempt);
        let network = observed(json!({ "network": attempts })).behaviour.network;
        let expected = "192.0.2.1 port 443 (IPv4 stream)";
        assert_eq!(network, [expected.to_owned(), format!("{expected}, allowed")].into());
    }

    #[test]
    fn what_is_not_in_the_record_is_a_finding() {
        for field in [
            "accesses_dropped",
            "denials_dropped",
            "network_dropped",
            "programs_refused",
            "withheld_dropped",
            "instruction_count",
        ] {
            let observed = observed(json!({ field: 1 }));
            assert!(observed.behaviour.findings.contains("record-incomplete"), "{field}");
            let codes = observed.findings.iter().map(|finding| finding.code.as_str());
            assert_eq!(codes.filter(|code| *code == "record-incomplete").count(), 1, "{field}");
        }
        let observed =
            observed(json!({ "limits": { "memory": 4, "wall-time": 2 }, "peak_rss_kib": 3072 }));
        assert!(observed.behaviour.findings.is_empty());
        assert!(
            observed.behaviour.limits.contains("memory") && observed.behaviour.limits.len() == 1
        );
    }

    #[test]
    fn instructions_are_told_by_kind() {
        let instruction =
            |key: &str, value: &str| json!({ "key": key, "value": value, "syntax": "cargo::" });
        let observed = observed(json!({
            "instructions": [
                instruction("rustc-env", "HULL=1"), instruction("rustc-link-lib", "static=hull_1_0_0"),
                instruction("rustc-flags", "-lz -L/tmp/x"), instruction("warning", "leak"),
            ],
            "instruction_count": 4,
            "withheld_instructions": [
                { "line": " cargo::rerun-if-env-changed=NPM_TOKEN", "reason": "r", "fatal": false },
                { "line": "cargo::rustc-env=LD_PRELOAD=/x", "reason": "r", "fatal": true },
            ],
        }));
        let expected: Vec<(Aspect, &str)> = vec![
            (Aspect::Denied, "instruction rerun-if-env-changed"),
            (Aspect::Instructions, "rustc-env=HULL"),
            (Aspect::Instructions, "rustc-flags"),
            (Aspect::Instructions, "rustc-link-lib"),
            (Aspect::Libraries, "static=hull_{version}"),
            (Aspect::Libraries, "z"),
        ];
        assert_eq!(observed.behaviour.values().collect::<Vec<_>>(), expected);
        let fatal: Vec<bool> = observed.findings.iter().map(|finding| finding.fatal).collect();
        assert_eq!(fatal, [false, true]);
    }
}
