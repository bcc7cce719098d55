//! What it takes to run something, as every benchmark measures it.

#![allow(unreachable_pub, reason = "shared by the benchmarks, each a crate of its own")]

use std::error::Error;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};

/// Milliseconds.
#[derive(Clone, Copy)]
pub struct Cost {
    /// Of processors, by all that was started and waited for.
    pub cpu: f64,
    /// That passed.
    pub wall: f64,
}

/// Of all children that have ended.
fn cpu_of_children() -> Result<Duration, Box<dyn Error>> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let micros = [usage.user_time(), usage.system_time()]
        .iter()
        .map(|time| time.tv_sec() * 1_000_000 + time.tv_usec())
        .sum::<i64>();
    Ok(Duration::from_micros(micros.try_into()?))
}

/// Runs a command, which must succeed.
pub fn run(command: &mut Command) -> Result<(Cost, Output), Box<dyn Error>> {
    let cpu = cpu_of_children()?;
    let start = Instant::now();
    let output = command.output()?;
    let wall = start.elapsed();
    let cpu = cpu_of_children()?.saturating_sub(cpu);
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{command:?}: {}\n{said}", output.status).into());
    }
    let milliseconds = |time: Duration| time.as_secs_f64() * 1000.0;
    Ok((Cost { cpu: milliseconds(cpu), wall: milliseconds(wall) }, output))
}

/// The value in the middle.
pub fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    f64::midpoint(values[(values.len() - 1) / 2], values[values.len() / 2])
}
