//! The whole jail: this program, run as a build script by `cargo-brig exec`, makes the attempts.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Instant;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::attempt::{self, Outcomes};
use super::bait::{Bait, Laid};
use super::probe::{PATIENCE, wait_for};
use super::reason;
use crate::{record, settings, sys};

/// Where the script says what came of its attempts, in `OUT_DIR`.
const OUTCOMES: &str = "outcomes.json";

/// What came of it.
#[derive(Debug)]
pub struct Ran {
    /// Of the attempts.
    pub outcomes: Outcomes,
    /// The record's field `enforced`.
    pub enforced: Value,
}

/// Runs the program at `own` as a script.
///
/// # Errors
/// What it said instead.
pub fn run(laid: &Laid, own: &Path) -> Result<Ran, String> {
    let said = laid.root().join("said");
    let file = |path: &Path| File::create(path).map_err(|error| reason(&error));
    let bait = serde_json::to_string(&laid.bait).map_err(|error| reason(&error))?;
    let record = laid.root().join("unit").join(record::FILE_NAME);
    let mut command = Command::new(own);
    command
        .args(["exec", "--"])
        .arg(own)
        .args(["doctor", "--attempt", &bait])
        .env("OUT_DIR", &laid.bait.own)
        .env("CARGO_MANIFEST_DIR", laid.package())
        .env("CARGO_PKG_NAME", env!("CARGO_PKG_NAME"))
        .env("CARGO_PKG_VERSION", env!("CARGO_PKG_VERSION"))
        // What it says on stderr is the reason why it did not run.
        .env_remove(settings::LOG)
        // A jobserver's descriptors would be somebody else's here.
        .env_remove("CARGO_MAKEFLAGS")
        .env_remove("MAKEFLAGS")
        .current_dir(laid.package())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(file(&said)?);
    let status = command.spawn().and_then(wait).map_err(|error| reason(&error))?;
    let Some(status) = status else {
        return Err(format!("it did not end within {} seconds", PATIENCE.as_secs()));
    };
    if !status.success() {
        let text = fs::read(&said).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines = text.lines().map(|line| line.trim().trim_start_matches("error: brig: "));
        let text = lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ");
        return Err(if text.is_empty() { status.to_string() } else { text });
    }
    let parse = |path: &Path| fs::read(path).map_err(|error| reason(&error));
    let outcomes = serde_json::from_slice(&parse(&laid.bait.own.join(OUTCOMES))?);
    let mut record: Value =
        serde_json::from_slice(&parse(&record)?).map_err(|error| reason(&error))?;
    Ok(Ran {
        outcomes: outcomes.map_err(|error| reason(&error))?,
        enforced: record["enforced"].take(),
    })
}

/// Waits for a process's end; none if it did not come in time, and was brought about.
fn wait(mut child: Child) -> io::Result<Option<ExitStatus>> {
    // Below Linux 5.3, or where it is forbidden, there is no such descriptor, and no jail to hang
    // in.
    if let Ok(process) = sys::process_descriptor(child.id())
        && wait_for(process.as_fd(), Instant::now() + PATIENCE).is_none()
    {
        // The supervisor then ends everything of the script.
        kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGTERM)?;
        child.wait()?;
        return Ok(None);
    }
    child.wait().map(Some)
}

/// Is the script: makes the attempts and says what came of them.
///
/// # Errors
/// If that cannot be said.
pub fn be_the_script(bait: &str) -> io::Result<()> {
    let bait: Bait = serde_json::from_str(bait)?;
    let outcomes = serde_json::to_vec(&attempt::make_all(&bait))?;
    fs::write(bait.own.join(OUTCOMES), outcomes)
}
