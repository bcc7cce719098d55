//! One run of a script in a report: when, how it ended, its processes over time, and what it left.

use serde::{Deserialize, Serialize};

use crate::policy::placeholders::Placeholders;
use crate::process::{self, Exit};
use crate::stored::Stored;

/// So many processes of a run are told. The record has all of them.
pub const PROCESSES: usize = 1000;

/// See the file's description.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// The record's file, absolute.
    pub record: String,
    /// SHA-256 of the record.
    pub record_sha256: String,
    /// When it began, in seconds since 1970-01-01 UTC.
    pub started: u64,
    /// Whether this audit ran it; else it was fresh, and its record was read.
    pub ran_now: bool,
    /// The triple that was built for.
    pub target: Option<String>,
    /// How the script ended.
    pub exit: Exit,
    /// Until the end of its first process, in microseconds.
    #[serde(default)]
    pub wall_us: u64,
    /// The first [`PROCESSES`] of its processes, in the order in which the warden heard of them.
    #[serde(default)]
    pub processes: Vec<Process>,
    /// How many more there were.
    #[serde(default)]
    pub processes_dropped: u64,
    /// What it left in `OUT_DIR`, as far as the record has it.
    #[serde(default)]
    pub outputs: Vec<Output>,
    /// How many more of those there are.
    #[serde(default)]
    pub outputs_dropped: u64,
}

/// A process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its number: its index in the record, and here.
    pub id: u32,
    /// The process that it comes from; none of the first, and of one whose parent nobody knew.
    pub parent: Option<u32>,
    /// The last program that it became, a path that begins with a placeholder where one fits; none if it
    /// became none, and ran on as what its parent was.
    pub program: Option<String>,
    /// That program's arguments, its name first.
    pub arguments: Vec<String>,
    /// Since the run's start, in microseconds.
    pub started_us: u64,
    /// Until its end, in microseconds; none if that was not seen.
    pub wall_us: Option<u64>,
    /// How it ended; none if that was not seen.
    pub exit: Option<Exit>,
    /// Processor time, in microseconds; none if a signal ended it.
    pub cpu_us: Option<u64>,
    /// The most memory that it had, in KiB; none if a signal ended it.
    pub peak_rss_kib: Option<u64>,
}

/// A file in `OUT_DIR`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// Relative to `OUT_DIR`.
    pub path: String,
    /// In bytes.
    pub size: u64,
    /// Digest of its content; none of a link, and of what was too much to read.
    pub sha256: Option<String>,
    /// Where it leads, if it is a symbolic link.
    pub link: Option<String>,
}

impl Run {
    /// The run that a record is of: `record` is its file, and `sha256` that file's digest.
    #[must_use]
    pub fn of(stored: &Stored<'_>, record: String, sha256: String, ran_now: bool) -> Self {
        let known = Placeholders::of(&stored.unit.unit());
        let processes = &stored.processes;
        let outputs = stored.outputs.iter().flatten().map(|output| Output {
            path: output.path.to_string(),
            size: output.size,
            sha256: output.sha256.as_deref().map(str::to_owned),
            link: output.link.as_deref().map(str::to_owned),
        });
        Self {
            record,
            record_sha256: sha256,
            started: stored.started,
            ran_now,
            target: stored.unit.target.as_deref().map(str::to_owned),
            exit: stored.exit,
            wall_us: stored.wall_us,
            processes: processes.iter().take(PROCESSES).map(|it| Process::of(it, &known)).collect(),
            processes_dropped: processes.len().saturating_sub(PROCESSES) as u64,
            outputs: outputs.collect(),
            outputs_dropped: stored.outputs_dropped,
        }
    }
}

impl Process {
    fn of(process: &process::Process, known: &Placeholders) -> Self {
        let shorten = |text: &String| known.shorten(text).into_owned();
        let last = process.programs.last();
        Self {
            id: process.id,
            parent: process.parent,
            program: last.map(|program| shorten(&program.program)),
            arguments: last
                .map_or_else(Vec::new, |program| program.arguments.iter().map(shorten).collect()),
            started_us: process.started_us,
            wall_us: process.wall_us,
            exit: process.exit,
            cpu_us: process.cpu_us,
            peak_rss_kib: process.peak_rss_kib,
        }
    }
}
