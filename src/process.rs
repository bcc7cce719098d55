//! A process of a script: what it ran, how long, and how it ended.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use serde::{Deserialize, Serialize};

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Exit {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

impl From<ExitStatus> for Exit {
    fn from(status: ExitStatus) -> Self {
        match status.code() {
            Some(code) => Self::Code(code),
            None => Self::Signal(status.signal().unwrap_or_default()),
        }
    }
}

/// A program that a process has become by execve(2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// The file, as the kernel names it; of a script its interpreter.
    pub program: String,
    /// The arguments, the name first, as far as 4 KiB go. The program itself can change them before
    /// they are read.
    pub arguments: Vec<String>,
    /// Since the script's start, in microseconds.
    pub started_us: u64,
}

/// One process of a script, from the first time that the warden hears of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its place in the record's list.
    pub id: u32,
    /// The process that it comes from; none of the first, and of one whose parent was gone before it
    /// was heard of.
    pub parent: Option<u32>,
    /// The kernel's number for it.
    pub pid: u32,
    /// What it ran, one after the other. Before its first it runs what its parent did.
    pub programs: Vec<Program>,
    /// The working directory, at the start of its last program.
    pub cwd: String,
    /// Since the script's start, in microseconds.
    pub started_us: u64,
    /// Until its end, in microseconds; none if that was not seen.
    pub wall_us: Option<u64>,
    /// How it ended; none if that was not seen.
    pub exit: Option<Exit>,
    /// Processor time of all its threads, in microseconds; none if a signal ended it.
    pub cpu_us: Option<u64>,
    /// The most memory that it had, in KiB; none if a signal ended it.
    pub peak_rss_kib: Option<u64>,
}
