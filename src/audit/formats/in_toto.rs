//! The report as an attestation: an in-toto Statement v1 with the predicate `runtime-trace` v0.1, ready
//! to be signed (github.com/in-toto/attestation, `spec/v1/statement.md` and
//! `spec/predicates/runtime-trace.md`).
//!
//! Its subjects are what it speaks for: the `Cargo.lock` that was built from, the records, and the files
//! that the scripts left in `OUT_DIR`, as far as the records have their digests. Files that scripts used are
//! told with the behaviour and not as `fileAccess`, where each would need a digest.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::Serialize;

use super::timestamp::timestamp;
use super::uri;
use super::visible_json;
use crate::audit::behaviour::{Aspect, Behaviour};
use crate::audit::report::{Denial, Finding, Outcome, Package, Policy, Report, Verdict};
use crate::process::Exit;

/// The platform that started the monitored processes.
const HOST: &str = "https://doc.rust-lang.org/cargo/";
/// What these processes are.
const TYPE: &str = "https://doc.rust-lang.org/cargo/reference/build-scripts.html";

/// Writes it.
///
/// # Errors
/// If it cannot be written, or there is nothing that an attestation could be about.
pub fn write(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let subject = subjects(report);
    if subject.is_empty() {
        return Err(io::Error::other(
            "there is nothing to attest to: no build script has left a record, and there is no Cargo.lock",
        ));
    }
    let workspace = &report.workspace;
    let baseline = workspace.baseline_sha256.as_deref().map(|digest| Resource {
        name: "brig.lock".to_owned(),
        digest: sha256(digest),
        annotations: None,
    });
    let statement = Statement {
        kind: "https://in-toto.io/Statement/v1",
        subject,
        predicate_type: "https://in-toto.io/attestation/runtime-trace/v0.1",
        predicate: Predicate {
            monitor: Monitor {
                kind: monitor(&report.tool),
                trace_policy: TracePolicy { policies: &report.policies, baseline },
            },
            monitored_process: Monitored { host: HOST, kind: TYPE, event: event(report) },
            monitor_log: MonitorLog {
                process: report.packages.iter().flat_map(processes).collect(),
                network: report.packages.iter().flat_map(network).collect(),
            },
            metadata: Metadata {
                started: timestamp(report.started),
                audit: AuditResult {
                    result: report.result,
                    cargo: report.cargo,
                    remarks: &report.remarks,
                    departed: &report.departed,
                    packages: report.packages.iter().map(Audited::new).collect(),
                },
            },
        },
    };
    visible_json::write(&statement, out)
}

/// `cargo-brig 0.1.0` as a package URL.
fn monitor(tool: &str) -> String {
    format!("pkg:cargo/{}", uri::path(tool).replacen("%20", "@", 1))
}

fn event(report: &Report) -> String {
    let words: Vec<&str> =
        std::iter::once("cargo").chain(report.command.iter().map(String::as_str)).collect();
    words.join(" ")
}

fn sha256(digest: &str) -> BTreeMap<&'static str, String> {
    BTreeMap::from([("sha256", digest.to_owned())])
}

/// Names are unique, as subjects' should be: those of a package's second run have a number.
fn subjects(report: &Report) -> Vec<Resource<'_>> {
    let lock = report.workspace.lock_sha256.as_deref().map(|digest| Resource {
        name: "Cargo.lock".to_owned(),
        digest: sha256(digest),
        annotations: None,
    });
    let mut subjects: Vec<Resource<'_>> = lock.into_iter().collect();
    let mut runs: BTreeMap<String, usize> = BTreeMap::new();
    for package in &report.packages {
        for run in &package.runs {
            let title = package.title();
            let number = runs.entry(title.clone()).and_modify(|number| *number += 1).or_insert(1);
            let run_of = if *number > 1 { format!("{title}#{number}") } else { title };
            let annotations = Some(Made {
                package: &package.name,
                version: &package.version,
                target: run.target.as_deref(),
            });
            let record = ("brig.json", Some(run.record_sha256.as_str()));
            let outputs =
                run.outputs.iter().map(|output| (output.path.as_str(), output.sha256.as_deref()));
            let files = std::iter::once((run_of.clone(), record))
                .chain(outputs.map(|output| (format!("{run_of}/out"), output)));
            subjects.extend(files.filter_map(|(directory, (path, digest))| {
                Some(Resource {
                    name: format!("{directory}/{path}"),
                    digest: sha256(digest?),
                    annotations,
                })
            }));
        }
    }
    subjects
}

/// The runs as wholes, and the processes of each.
fn processes(package: &Package) -> Vec<Process<'_>> {
    let mut all = Vec::new();
    for (index, run) in package.runs.iter().enumerate() {
        let of_run = Process {
            package: &package.name,
            version: &package.version,
            run: index,
            ..Process::default()
        };
        let started = Some(timestamp(run.started));
        let wall_us = Some(run.wall_us);
        all.push(Process { started, wall_us, exit: Some(run.exit), ..of_run.clone() });
        all.extend(run.processes.iter().map(|process| Process {
            id: Some(process.id),
            parent: process.parent,
            binary: process.program.as_deref(),
            arguments: &process.arguments,
            started_us: Some(process.started_us),
            wall_us: process.wall_us,
            exit: process.exit,
            ..of_run.clone()
        }));
    }
    all
}

fn network(package: &Package) -> impl Iterator<Item = Network<'_>> {
    package.behaviour.of(Aspect::Network).iter().map(|attempt| Network {
        package: &package.name,
        version: &package.version,
        attempt,
    })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Statement<'s> {
    #[serde(rename = "_type")]
    kind: &'static str,
    subject: Vec<Resource<'s>>,
    predicate_type: &'static str,
    predicate: Predicate<'s>,
}

/// A `ResourceDescriptor`.
#[derive(Serialize)]
struct Resource<'s> {
    name: String,
    digest: BTreeMap<&'static str, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    annotations: Option<Made<'s>>,
}

/// By which run a file was made.
#[derive(Clone, Copy, Serialize)]
struct Made<'s> {
    package: &'s str,
    version: &'s str,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<&'s str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Predicate<'s> {
    monitor: Monitor<'s>,
    monitored_process: Monitored,
    monitor_log: MonitorLog<'s>,
    metadata: Metadata<'s>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Monitor<'s> {
    #[serde(rename = "type")]
    kind: String,
    trace_policy: TracePolicy<'s>,
}

#[derive(Serialize)]
struct TracePolicy<'s> {
    policies: &'s [Policy],
    #[serde(skip_serializing_if = "Option::is_none")]
    baseline: Option<Resource<'s>>,
}

#[derive(Serialize)]
struct Monitored {
    #[serde(rename = "hostID")]
    host: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
    event: String,
}

#[derive(Serialize)]
struct MonitorLog<'s> {
    process: Vec<Process<'s>>,
    network: Vec<Network<'s>>,
}

#[derive(Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Process<'s> {
    package: &'s str,
    version: &'s str,
    /// Which of the package's records.
    run: usize,
    /// Its index in that record; none of the run as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<u32>,
    #[serde(rename = "processBinary", skip_serializing_if = "Option::is_none")]
    binary: Option<&'s str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    arguments: &'s [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    started: Option<String>,
    /// Since the run's start, in microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    started_us: Option<u64>,
    /// How long it took, in microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    wall_us: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit: Option<Exit>,
}

#[derive(Serialize)]
struct Network<'s> {
    package: &'s str,
    version: &'s str,
    attempt: &'s str,
}

#[derive(Serialize)]
struct Metadata<'s> {
    #[serde(rename = "buildStartedOn")]
    started: String,
    /// A field of ours, as the parsing rules allow.
    #[serde(rename = "cargoBrigAudit")]
    audit: AuditResult<'s>,
}

#[derive(Serialize)]
struct AuditResult<'s> {
    result: Outcome,
    cargo: Exit,
    remarks: &'s [String],
    departed: &'s [String],
    packages: Vec<Audited<'s>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Audited<'s> {
    name: &'s str,
    version: &'s str,
    source: Option<&'s str>,
    checksum: Option<&'s str>,
    verdict: Verdict,
    behaviour: &'s Behaviour,
    denials: &'s [Denial],
    findings: &'s [Finding],
}

impl<'s> Audited<'s> {
    fn new(package: &'s Package) -> Self {
        Self {
            name: &package.name,
            version: &package.version,
            source: package.source.as_deref(),
            checksum: package.checksum.as_deref(),
            verdict: package.verdict,
            behaviour: &package.behaviour,
            denials: &package.denials,
            findings: &package.findings,
        }
    }
}
