//! The record: everything known of one unit's run, as one JSON file beside `OUT_DIR`; and of a compilation
//! in the jail, where that is asked for, as one in a directory of its own.
//!
//! Written whole or not at all. It is outside `OUT_DIR`, so the script cannot touch it; `cargo
//! clean` removes it with the unit, and a fresh unit keeps it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;

use crate::access::Access;
use crate::finding::Finding;
use crate::instruction::Instruction;
use crate::jail::Enforced;
use crate::leftovers;
use crate::network::Attempt;
use crate::output::Output;
use crate::policy::{Grants, Limits, Mode, Policy};
use crate::process::Exit;
use crate::relay::Relayed;
use crate::shim::invocation::Crate;
use crate::sys;
use crate::unit::Unit;
use crate::warden::Report;

/// Version of the fields below; raised when one changes its meaning or goes.
pub const SCHEMA: u32 = 2;
/// The record's name, beside `OUT_DIR`.
pub const FILE_NAME: &str = "brig.json";
/// How the files are called that are written beside it, before their writer's number: what the warden
/// observes, and all of it.
const OBSERVED: &str = "observed.";
const WHOLE: &str = "json.";
/// Where those of compilations are, in a profile's directory; each is named after its crate.
pub const COMPILATIONS: &str = "brig";

/// See the file's description.
#[derive(Debug, Serialize)]
pub struct Record<'a> {
    schema: u32,
    tool: &'static str,
    unit: UnitRecord<'a>,
    policy: PolicyRecord<'a>,
    enforced: &'a Enforced,
    /// Start, in seconds since 1970-01-01 UTC.
    started: u64,
    exit: Exit,
    /// From the script's start to its end, in microseconds.
    wall_us: u64,
    /// CPU time in user mode, in microseconds.
    user_us: u64,
    /// CPU time in the kernel, in microseconds.
    system_us: u64,
    /// Resident set size of the largest process, in KiB.
    peak_rss_kib: u64,
    /// Processes that were still there at the script's end, and were killed.
    killed: u64,
    instructions: &'a [Instruction],
    instruction_count: u64,
    withheld_instructions: Vec<WithheldRecord<'a>>,
    withheld_dropped: u64,
    withheld_variables: Vec<String>,
    swallowed_instructions: &'a [String],
    denials: &'a [Access],
    denials_dropped: u64,
    network: &'a [Attempt],
    network_dropped: u64,
    limits: Limits,
    findings: &'a [Finding],
    outputs: &'a [Output],
    outputs_dropped: u64,
}

#[derive(Debug, Serialize)]
struct UnitRecord<'a> {
    package: &'a str,
    version: &'a str,
    manifest_dir: Cow<'a, str>,
    out_dir: Cow<'a, str>,
    script: Cow<'a, str>,
    workspace: Option<Cow<'a, str>>,
    links: Option<&'a str>,
    target: Option<&'a str>,
    host: Option<&'a str>,
    profile: Option<&'a str>,
    /// Those that Cargo sets, with their values: what the script was made to do. Of others a record
    /// has no value.
    variables: BTreeMap<Cow<'a, str>, Cow<'a, str>>,
    /// Only of a compilation.
    #[serde(skip_serializing_if = "Option::is_none")]
    compilation: Option<CompilationRecord<'a>>,
}

#[derive(Debug, Serialize)]
struct CompilationRecord<'a> {
    #[serde(rename = "crate")]
    name: &'a str,
    kinds: &'a [String],
    test: bool,
    /// By path that was denied, the crate of the procedural macro that tried.
    macros: &'a BTreeMap<String, String>,
}

#[derive(Debug, Serialize)]
struct PolicyRecord<'a> {
    name: &'a str,
    mode: Mode,
    /// The uppermost of its documents, and the digest of that.
    file: &'a str,
    sha256: &'a str,
    /// All of them, from the bottom up.
    documents: Vec<DocumentRecord<'a>>,
}

#[derive(Debug, Serialize)]
struct DocumentRecord<'a> {
    file: &'a str,
    sha256: &'a str,
}

impl<'a> PolicyRecord<'a> {
    fn of(policy: &'a Policy) -> Self {
        let record = |(file, sha256): &'a (String, String)| DocumentRecord { file, sha256 };
        let documents: Vec<_> = policy.documents.iter().map(record).collect();
        let (file, sha256) = documents.last().map_or(("", ""), |last| (last.file, last.sha256));
        Self { name: &policy.name, mode: policy.mode, file, sha256, documents }
    }
}

#[derive(Debug, Serialize)]
struct WithheldRecord<'a> {
    line: &'a str,
    reason: &'a str,
    fatal: bool,
}

/// A record that cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the record `{}`", .path.display())]
pub struct Error {
    path: PathBuf,
    #[source]
    source: io::Error,
}

impl Error {
    /// What the warden observed could not be written.
    #[must_use]
    pub fn unwritten(path: &Path, why: &str) -> Self {
        Self { path: path.to_owned(), source: io::Error::other(why.to_owned()) }
    }
}

/// Everything that a record is made of.
#[derive(Clone, Copy, Debug)]
pub struct Parts<'a> {
    /// Who was run.
    pub unit: &'a Unit,
    /// What was compiled, if that is not a script's run.
    pub compiled: Option<&'a Crate>,
    /// What it was allowed.
    pub grants: &'a Grants,
    /// What was enforced.
    pub enforced: &'a Enforced,
    /// When it was started.
    pub started: SystemTime,
    /// How its first process ended.
    pub exit: Exit,
    /// What the warden reported.
    pub report: &'a Report,
    /// What was relayed.
    pub relayed: &'a Relayed,
    /// What a person should hear of.
    pub findings: &'a [Finding],
    /// What was left, and how much more of it there is.
    pub outputs: (&'a [Output], u64),
}

impl<'a> Record<'a> {
    /// Puts a record together.
    #[must_use]
    pub fn new(parts: Parts<'a>) -> Self {
        let Parts { unit, grants, enforced, started, exit, report, relayed, findings, .. } = parts;
        let (outputs, outputs_dropped) = parts.outputs;
        let compilation = parts.compiled.map(|of| CompilationRecord {
            name: &of.name,
            kinds: &of.kinds,
            test: of.is_test,
            macros: report.macros(),
        });
        let mut record = Self {
            schema: SCHEMA,
            tool: concat!("cargo-brig ", env!("CARGO_PKG_VERSION")),
            unit: UnitRecord {
                package: &unit.package,
                version: &unit.version,
                manifest_dir: unit.manifest_dir.to_string_lossy(),
                out_dir: unit.out_dir.to_string_lossy(),
                script: unit.script.to_string_lossy(),
                workspace: unit.workspace.as_deref().map(Path::to_string_lossy),
                links: unit.links.as_deref(),
                target: unit.target.as_deref(),
                host: unit.host.as_deref(),
                profile: unit.profile.as_deref(),
                variables: unit
                    .variables
                    .iter()
                    .filter(|(name, _)| Unit::is_cargo_variable(name))
                    .map(|(name, value)| (name.to_string_lossy(), value.to_string_lossy()))
                    .collect(),
                compilation,
            },
            policy: PolicyRecord::of(&grants.policy),
            enforced,
            started: started.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs(),
            exit,
            wall_us: 0,
            user_us: 0,
            system_us: 0,
            peak_rss_kib: 0,
            killed: 0,
            instructions: &relayed.instructions,
            instruction_count: relayed.count,
            withheld_instructions: relayed
                .withheld
                .iter()
                .map(|withheld| WithheldRecord {
                    line: &withheld.line,
                    reason: &withheld.reason,
                    fatal: withheld.fatal,
                })
                .collect(),
            withheld_dropped: relayed.withheld_dropped,
            withheld_variables: grants
                .withheld
                .iter()
                .map(|name| name.to_string_lossy().into_owned())
                .collect(),
            swallowed_instructions: &relayed.swallowed,
            denials: &[],
            denials_dropped: 0,
            network: &[],
            network_dropped: 0,
            limits: grants.policy.limits,
            findings,
            outputs,
            outputs_dropped,
        };
        if let Report::Ended {
            wall_us,
            user_us,
            system_us,
            peak_rss_kib,
            killed,
            denials,
            denials_dropped,
            network,
            network_dropped,
            ..
        } = report
        {
            record.wall_us = *wall_us;
            record.user_us = *user_us;
            record.system_us = *system_us;
            record.peak_rss_kib = *peak_rss_kib;
            record.killed = *killed;
            record.denials = denials;
            record.denials_dropped = *denials_dropped;
            record.network = network;
            record.network_dropped = *network_dropped;
        }
        record
    }

    /// Writes it to `path`, beside and renamed; `observed` holds what the warden observed, as the
    /// fields of a JSON object.
    ///
    /// # Errors
    /// [`Error`]; at `path` there is then nothing.
    pub fn write(&self, path: &Path, observed: File) -> Result<(), Error> {
        let failed = |source| Error { path: path.to_owned(), source };
        let text = serde_json::to_string_pretty(self).map_err(|error| failed(error.into()))?;
        write_beside(path, &text, observed).map_err(failed)
    }
}

/// A file for what the warden will observe, on the record's own disk and without a name. The record of an
/// earlier run goes: whatever becomes of this one, nobody shall take that for its record.
///
/// # Errors
/// [`Error`] with the record's path.
pub fn space_for(path: &Path) -> Result<File, Error> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            return Err(Error { path: path.to_owned(), source });
        }
        _ => {}
    }
    let directory = path.parent().unwrap_or(Path::new("."));
    for kind in [OBSERVED, WHOLE] {
        let start = path.with_extension(kind);
        leftovers::remove(directory, start.file_name().unwrap_or_default());
    }
    let beside = path.with_extension(format!("{OBSERVED}{}", std::process::id()));
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).create_new(true).open(&beside);
    file.and_then(|file| fs::remove_file(&beside).map(|()| file))
        .map_err(|source| Error { path: path.to_owned(), source })
}

/// By hand: `copy_file_range(2)`, which `io::copy` calls, can be interrupted.
fn copy(from: &mut File, to: &mut impl Write) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match sys::uninterrupted(|| from.read(&mut buffer))? {
            0 => return Ok(()),
            length => to.write_all(&buffer[..length])?,
        }
    }
}

fn write_beside(path: &Path, text: &str, mut observed: File) -> io::Result<()> {
    let beside = path.with_extension(format!("{WHOLE}{}", std::process::id()));
    let mut write = || {
        let file = OpenOptions::new().write(true).create(true).truncate(true).open(&beside)?;
        let mut file = BufWriter::new(file);
        observed.rewind()?;
        if observed.metadata()?.len() == 0 {
            file.write_all(text.as_bytes())?;
        } else {
            // An object lacks only its brace.
            let open = text.strip_suffix("\n}").unwrap_or(text);
            writeln!(file, "{open},")?;
            copy(&mut observed, &mut file)?;
            file.write_all(b"\n}")?;
        }
        file.write_all(b"\n")?;
        file.flush()?;
        fs::rename(&beside, path)
    };
    write().inspect_err(|_| {
        // The error that led here is the one to report.
        drop(fs::remove_file(&beside));
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_record_of_an_earlier_run_goes_first() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("brig.json");
        fs::write(&path, "of an earlier run").unwrap();
        drop(space_for(&path).unwrap());
        drop(space_for(&path).unwrap());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_is_no_record_stays_and_is_said() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("brig.json");
        fs::create_dir(&path).unwrap();
        assert_eq!(space_for(&path).unwrap_err().path, path);
        assert!(path.is_dir());
    }
}
