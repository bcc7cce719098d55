//! How much a script may use.

use serde::{Deserialize, Serialize};

/// The limits of one unit, as a policy document gives them and a record keeps them; none is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Limits {
    /// From start to end, in seconds.
    pub wall_time: Option<u64>,
    /// Processor time of one process, in seconds.
    pub cpu_time: Option<u64>,
    /// Resident memory of all processes together, in MiB; what they share counts for each.
    pub memory: Option<u64>,
    /// Processes at one time.
    pub processes: Option<u64>,
    /// Open files of one process.
    pub open_files: Option<u64>,
    /// Length of one file, in MiB.
    pub file_size: Option<u64>,
    /// Disk space of everything in `OUT_DIR` and `TMPDIR`, in MiB.
    pub out_dir: Option<u64>,
    /// What is printed on standard output and standard error, in MiB.
    pub output: Option<u64>,
}

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Limit {
    /// See [`Limits::wall_time`].
    WallTime,
    /// See [`Limits::cpu_time`].
    CpuTime,
    /// See [`Limits::memory`].
    Memory,
    /// See [`Limits::processes`].
    Processes,
    /// See [`Limits::open_files`].
    OpenFiles,
    /// See [`Limits::file_size`].
    FileSize,
    /// See [`Limits::out_dir`].
    OutDir,
    /// See [`Limits::output`].
    Output,
}

impl Limit {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::WallTime,
        Self::CpuTime,
        Self::Memory,
        Self::Processes,
        Self::OpenFiles,
        Self::FileSize,
        Self::OutDir,
        Self::Output,
    ];

    fn field(self, limits: &mut Limits) -> &mut Option<u64> {
        match self {
            Self::WallTime => &mut limits.wall_time,
            Self::CpuTime => &mut limits.cpu_time,
            Self::Memory => &mut limits.memory,
            Self::Processes => &mut limits.processes,
            Self::OpenFiles => &mut limits.open_files,
            Self::FileSize => &mut limits.file_size,
            Self::OutDir => &mut limits.out_dir,
            Self::Output => &mut limits.output,
        }
    }

    /// Sets it.
    pub fn set(self, limits: &mut Limits, value: Option<u64>) {
        *self.field(limits) = value;
    }

    /// What it is.
    #[must_use]
    pub fn of(self, limits: &Limits) -> Option<u64> {
        *self.field(&mut { *limits })
    }

    /// The key by which a policy sets it.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::WallTime => "wall-time",
            Self::CpuTime => "cpu-time",
            Self::Memory => "memory",
            Self::Processes => "processes",
            Self::OpenFiles => "open-files",
            Self::FileSize => "file-size",
            Self::OutDir => "out-dir",
            Self::Output => "output",
        }
    }

    /// Its value, as a person reads it.
    #[must_use]
    pub fn value(self, limits: &Limits) -> String {
        self.of(limits)
            .map_or_else(|| "no limit".to_owned(), |value| format!("{value} {}", self.unit()))
    }

    /// What its number counts.
    #[must_use]
    pub fn unit(self) -> &'static str {
        match self {
            Self::WallTime => "s",
            Self::CpuTime => "s of processor time for one process",
            Self::Memory => "MiB of memory",
            Self::Processes => "processes at a time",
            Self::OpenFiles => "open files of one process",
            Self::FileSize => "MiB for one file",
            Self::OutDir => "MiB for OUT_DIR",
            Self::Output => "MiB of output",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_said_with_its_unit() {
        let limits = Limits { out_dir: Some(3), ..Limits::default() };
        assert_eq!(Limit::OutDir.value(&limits), "3 MiB for OUT_DIR");
        assert_eq!(Limit::Memory.value(&limits), "no limit");
        let text = serde_json::to_value(limits).unwrap();
        assert_eq!(text["out-dir"], 3);
    }
}
