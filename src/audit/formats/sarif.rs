//! The report for code scanning: SARIF 2.1.0.
//!
//! The few structures of it that are needed are written here. A crate that has all of them generates
//! them in a build script.
//!
//! What is one result, so that what code scanning shows does not depend on chance: each thing that
//! was not approved; each code of a finding; of each package all that the jail refused together, and
//! its verdict where it needs a person. A new package is one result, whatever it does.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::sentence;
use super::timestamp::timestamp;
use super::uri;
use super::visible_json;
use crate::access::printable;
use crate::audit::behaviour::Aspect;
use crate::audit::report::{Location, Outcome, Package, Report, Verdict};
use crate::digest;
use crate::process::Exit;

const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";
/// The base of relative paths, by the name that code scanning knows.
const ROOT: &str = "%SRCROOT%";
/// The name of our fingerprints; raised when what they are made of changes.
const FINGERPRINT: &str = "cargoBrig/v1";

/// Sentences of one result. What is more is in the report as JSON.
const SENTENCES: usize = 50;

/// Writes it.
///
/// # Errors
/// If it cannot be written.
pub fn write(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let rules = rules();
    let of = |package| Results { report, package, rules: &rules }.all();
    let results = report.packages.iter().flat_map(of).collect();
    let mut tool = report.tool.splitn(2, ' ');
    let name = tool.next().unwrap_or_default();
    let version = tool.next().unwrap_or_default();
    let root = format!("{}/", uri::file(report.workspace.root.trim_end_matches('/')));
    let log = Log {
        schema: SCHEMA,
        version: "2.1.0",
        runs: [Run {
            tool: Tool { driver: Driver { name, semantic_version: version, rules: &rules } },
            invocations: [invocation(report)],
            original_uri_base_ids: BTreeMap::from([(ROOT, Base { uri: root })]),
            automation_details: Automation { id: "cargo-brig/audit/" },
            column_kind: "unicodeCodePoints",
            results,
        }],
    };
    visible_json::write(&log, out)
}

fn invocation(report: &Report) -> Invocation {
    let note = |level, text: &str| Notification { level, message: Message::new(text) };
    let remarks = report.remarks.iter().map(|remark| note(Level::Warning, &printable(remark)));
    let departed = report.departed.iter().map(|title| {
        let title = printable(title);
        note(Level::Note, &format!("{title} is in the baseline, and no longer in Cargo.lock"))
    });
    Invocation {
        execution_successful: report.cargo == Exit::Code(0) && report.result != Outcome::Unjudged,
        exit_code: report.result.exit_code(),
        start_time_utc: timestamp(report.started),
        tool_execution_notifications: remarks.chain(departed).collect(),
    }
}

/// The results of one package.
struct Results<'r> {
    report: &'r Report,
    package: &'r Package,
    rules: &'r [Rule],
}

impl Results<'_> {
    fn all(&self) -> Vec<Result> {
        let package = self.package;
        let mut results: Vec<Result> = self.verdict().into_iter().collect();
        let is_unapproved = package.verdict.outcome() != Outcome::Clean;
        for change in &package.added {
            let Changes::EachAlone = changes(package.verdict) else { break };
            // The finding is a result, too.
            let is_told = change.aspect == Aspect::Findings
                && package.findings.iter().any(|finding| finding.code == change.value);
            if !is_told {
                let text = sentence::change(change);
                let rule = unapproved(change.aspect);
                results.push(self.result(&rule, Level::Error, &change.value, &text));
            }
        }
        results.extend(self.findings(is_unapproved));
        if !package.denials.is_empty() {
            let level = match package.verdict {
                Verdict::Violated => Level::Error,
                _ if is_unapproved => Level::Warning,
                _ => Level::Note,
            };
            let sentences: Vec<String> = package.denials.iter().map(sentence::denial).collect();
            results.push(self.result("denied", level, "", &sentence::lines(sentences, SENTENCES)));
        }
        results
    }

    /// One result for each code, in the order in which they were found.
    fn findings(&self, is_unapproved: bool) -> Vec<Result> {
        let findings = &self.package.findings;
        let mut results = Vec::new();
        for (place, finding) in findings.iter().enumerate() {
            let code = &finding.code;
            if findings[..place].iter().any(|earlier| earlier.code == *code) {
                continue;
            }
            let alike = findings.iter().filter(|finding| finding.code == *code);
            let is_new = is_unapproved
                && self
                    .package
                    .added
                    .iter()
                    .any(|change| change.aspect == Aspect::Findings && change.value == *code);
            let is_fatal = alike.clone().any(|finding| finding.fatal);
            let level = match (is_fatal || is_new, is_unapproved) {
                (true, _) => Level::Error,
                (false, true) => Level::Warning,
                (false, false) => Level::Note,
            };
            let sentences: Vec<String> = alike.map(sentence::finding).collect();
            results.push(self.result(
                "finding",
                level,
                code,
                &sentence::lines(sentences, SENTENCES),
            ));
        }
        results
    }

    /// The verdict, where the other results do not say it.
    fn verdict(&self) -> Option<Result> {
        let package = self.package;
        let (rule, level) = match package.verdict {
            Verdict::Unchanged => return None,
            Verdict::Changed if !package.added.is_empty() => return None,
            Verdict::Changed => ("changed", Level::Error),
            Verdict::Violated
                if !package.denials.is_empty()
                    || package.findings.iter().any(|finding| finding.fatal) =>
            {
                return None;
            }
            Verdict::Violated => ("violated", Level::Error),
            Verdict::NewPackage => ("new-package", Level::Error),
            Verdict::Replaced => ("replaced", Level::Error),
            Verdict::Unjailed => ("unjailed", Level::Error),
            Verdict::Failed => ("failed", Level::Error),
            Verdict::Unjudged => ("unjudged", Level::Error),
            Verdict::NewVersion => ("new-version", Level::Note),
            Verdict::Overridden => ("overridden", Level::Note),
        };
        let mut sentences = vec![sentence::verdict(package)];
        if let Changes::InOne = changes(package.verdict) {
            sentences.extend(package.added.iter().map(sentence::change));
        }
        Some(self.result(rule, level, "", &sentence::lines(sentences, SENTENCES)))
    }

    /// `what` tells results of one rule and package apart; it is the same in every run.
    fn result(&self, rule: &str, level: Level, what: &str, text: &str) -> Result {
        let Package { name, version, source, .. } = self.package;
        let title = self.package.title();
        let mut text = format!("The build script of `{}`: {text}", printable(&title));
        if let Some(way) = sentence::way(self.package) {
            text = format!("{text}\n{way}");
        }
        let fingerprint = [rule, name, version, source.as_deref().unwrap_or(""), what].join("\0");
        let places = [&self.package.lock, &self.package.manifest];
        let mut locations = places.into_iter().flatten().map(physical);
        let physical_location = locations.next().unwrap_or_else(|| self.anywhere());
        let related = locations.map(|physical_location| Related { id: 1, physical_location });
        Result {
            rule_id: rule.to_owned(),
            rule_index: self.rules.iter().position(|known| known.id == rule),
            level,
            message: Message::new(&text),
            locations: [Place {
                physical_location,
                logical_locations: [Logical {
                    name: printable(name),
                    fully_qualified_name: printable(&title),
                    kind: "package",
                }],
            }],
            related_locations: related.collect(),
            partial_fingerprints: BTreeMap::from([(
                FINGERPRINT,
                digest::hex(&Sha256::digest(fingerprint.as_bytes())),
            )]),
        }
    }

    /// Of a package whose line is not known: the file that has to name it.
    fn anywhere(&self) -> Physical {
        let has_lock = self.report.workspace.lock_sha256.is_some();
        whole(if has_lock { "Cargo.lock" } else { "Cargo.toml" })
    }
}

fn physical(location: &Location) -> Physical {
    let mut physical = whole(&location.file);
    // Lines count from 1 (section 3.30.5).
    physical.region = Some(Region { start_line: location.line.max(1) });
    physical
}

fn whole(file: &str) -> Physical {
    let artifact_location = if file.starts_with('/') {
        Artifact { uri: uri::file(file), uri_base_id: None }
    } else {
        Artifact { uri: uri::path(file), uri_base_id: Some(ROOT) }
    };
    Physical { artifact_location, region: None }
}

/// How what was not approved is told.
enum Changes {
    EachAlone,
    InOne,
    /// The package passes.
    Not,
}

fn changes(verdict: Verdict) -> Changes {
    match verdict {
        Verdict::NewPackage => Changes::InOne,
        _ if verdict.outcome() == Outcome::Clean => Changes::Not,
        _ => Changes::EachAlone,
    }
}

fn unapproved(aspect: Aspect) -> String {
    format!("unapproved-{aspect}")
}

/// All rules, whether they have results or not: code scanning closes what a rule no longer finds.
fn rules() -> Vec<Rule> {
    const APPROVE: &str = "`cargo brig why PACKAGE` shows who does it and what brings the package in. \
        If it is what the package shall do, `cargo brig approve PACKAGE` writes it to brig.lock, to be \
        committed; if not, stay with the version that was approved.";
    const ALLOW: &str = "Where the script needs it, the rule of the policy that is named allows it, in \
        brig.toml beside Cargo.lock. Where it does not, leave it denied: the script went on without it.";
    const JUDGE: &str = "The message says what is missing. `cargo brig doctor` says whether build scripts \
        can be jailed on this machine; `cargo clean -p PACKAGE` makes Cargo run a script again.";
    let aspects = Aspect::ALL.into_iter().map(|aspect| {
        let what = match aspect {
            Aspect::Denied => "Build script tries what it must not, and nobody approved that",
            Aspect::Network => "Build script asks for the network, and nobody approved that",
            Aspect::Programs => "Build script runs a program that nobody approved",
            Aspect::Reads => "Build script reads what nobody approved",
            Aspect::Writes => "Build script writes where nobody approved it",
            Aspect::Variables => "Build script asks for a variable, and nobody approved that",
            Aspect::Instructions => "Build script gives Cargo an instruction that nobody approved",
            Aspect::Libraries => "Build script links a library that nobody approved",
            Aspect::Findings => "Build script does what is remarkable, and nobody approved that",
            Aspect::Limits => "Build script comes near a limit, and nobody approved that",
        };
        Rule::new(&unapproved(aspect), Level::Error, what, APPROVE)
    });
    let others = [
        ("changed", Level::Error, "Build script does what nobody approved", APPROVE),
        ("new-package", Level::Error, "Package with a build script that nobody approved", APPROVE),
        ("replaced", Level::Error, "Other content under an approved version", APPROVE),
        ("violated", Level::Error, "Build script does what the policy does not forgive", ALLOW),
        ("denied", Level::Warning, "Build script tried what the jail refused", ALLOW),
        ("finding", Level::Warning, "Build script does what a person should hear of", APPROVE),
        ("unjailed", Level::Error, "Build script was not in the jail", JUDGE),
        ("failed", Level::Error, "Build script failed", JUDGE),
        ("unjudged", Level::Error, "It cannot be said what a build script did", JUDGE),
        ("new-version", Level::Note, "New version with approved behaviour", APPROVE),
        ("overridden", Level::Note, "Cargo's configuration stands in for a build script", JUDGE),
    ];
    let others = others.map(|(id, level, what, help)| Rule::new(id, level, what, help));
    aspects.chain(others).collect()
}

#[derive(Serialize)]
struct Log<'l> {
    #[serde(rename = "$schema")]
    schema: &'static str,
    version: &'static str,
    runs: [Run<'l>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Run<'l> {
    tool: Tool<'l>,
    invocations: [Invocation; 1],
    original_uri_base_ids: BTreeMap<&'static str, Base>,
    automation_details: Automation,
    column_kind: &'static str,
    results: Vec<Result>,
}

#[derive(Serialize)]
struct Tool<'l> {
    driver: Driver<'l>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Driver<'l> {
    name: &'l str,
    semantic_version: &'l str,
    rules: &'l [Rule],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    id: String,
    short_description: Message,
    full_description: Message,
    help: Help,
    default_configuration: Configuration,
    properties: Properties,
}

impl Rule {
    fn new(id: &str, level: Level, what: &str, help: &str) -> Self {
        Self {
            id: id.to_owned(),
            short_description: Message::new(what),
            full_description: Message::new(&format!("{what}.")),
            help: Help { text: help.replace('`', ""), markdown: help.to_owned() },
            default_configuration: Configuration { level },
            properties: Properties {
                tags: ["security", "supply-chain"],
                precision: "very-high",
                security_severity: match level {
                    Level::Error => "8.0",
                    Level::Warning => "5.0",
                    Level::Note => "2.0",
                },
            },
        }
    }
}

#[derive(Serialize)]
struct Help {
    text: String,
    markdown: String,
}

#[derive(Serialize)]
struct Configuration {
    level: Level,
}

/// What code scanning orders alerts by; the names are its own.
#[derive(Serialize)]
struct Properties {
    tags: [&'static str; 2],
    precision: &'static str,
    #[serde(rename = "security-severity")]
    security_severity: &'static str,
}

#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "lowercase")]
enum Level {
    Error,
    Warning,
    Note,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Invocation {
    execution_successful: bool,
    exit_code: i32,
    start_time_utc: String,
    tool_execution_notifications: Vec<Notification>,
}

#[derive(Serialize)]
struct Notification {
    level: Level,
    message: Message,
}

#[derive(Serialize)]
struct Message {
    text: String,
}

impl Message {
    /// A text that stands for itself: its braces are no placeholders (section 3.11.5), and nothing
    /// in it is a link (3.11.6).
    fn new(text: &str) -> Self {
        let text = text.replace('{', "{{").replace('}', "}}").replace("](", "]\\(");
        Self { text }
    }
}

#[derive(Serialize)]
struct Base {
    uri: String,
}

#[derive(Serialize)]
struct Automation {
    id: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Result {
    rule_id: String,
    rule_index: Option<usize>,
    level: Level,
    message: Message,
    locations: [Place; 1],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    related_locations: Vec<Related>,
    partial_fingerprints: BTreeMap<&'static str, String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Place {
    physical_location: Physical,
    logical_locations: [Logical; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Logical {
    name: String,
    fully_qualified_name: String,
    kind: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Related {
    id: usize,
    physical_location: Physical,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Physical {
    artifact_location: Artifact,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<Region>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Artifact {
    uri: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    uri_base_id: Option<&'static str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Region {
    start_line: usize,
}
