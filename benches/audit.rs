//! What an audit costs when nothing has changed: `cargo brig audit` against Cargo's own build of the same
//! workspace, all fresh; and how long it takes to judge one long record.
//!
//! A workspace of packages is generated, each with a build script, and built in both ways; another one
//! has a single script that looks for many files. Then both commands are run in turn.
//!
//! `cargo bench --bench audit [-- SCRIPTS]`; 100 scripts unless told otherwise.

#[path = "../tests/support/mod.rs"]
mod support;

use std::env;
use std::error::Error;
use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use support::{Project, succeed};

const SCRIPTS: usize = 100;
const ACCESSES: usize = 100_000;
const ROUNDS: usize = 10;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// A workspace with so many packages, whose scripts do this.
fn workspace(packages: usize, script: &str) -> Project {
    let text = "[workspace]\nresolver = \"3\"\nmembers = [\"packages/*\"]\n";
    let project = Project::of("audited", &[("Cargo.toml", text)]);
    for number in 0..packages {
        let file =
            |name: &str, text: &str| project.write(&format!("packages/p{number}/{name}"), text);
        file(
            "Cargo.toml",
            &format!("[package]\nname = \"p{number}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n"),
        );
        file("src/lib.rs", "");
        file("build.rs", script);
    }
    project
}

/// Of all children that have ended, in seconds.
fn cpu_of_children() -> Result<f64> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let micros = [usage.user_time(), usage.system_time()]
        .iter()
        .map(|time| time.tv_sec() * 1_000_000 + time.tv_usec())
        .sum::<i64>();
    Ok(Duration::from_micros(u64::try_from(micros)?).as_secs_f64())
}

/// Wall and processor time, in seconds.
fn timed(command: &mut Command) -> Result<[f64; 2]> {
    let (cpu, start) = (cpu_of_children()?, Instant::now());
    succeed(command);
    Ok([start.elapsed().as_secs_f64(), cpu_of_children()? - cpu])
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

#[expect(clippy::print_stdout, reason = "the figures are what it is run for")]
fn measure(what: &str, project: &Project) -> Result<()> {
    let plain = || {
        let mut command = project.cargo(&["build", "--offline", "--target-dir", "plain"]);
        command.env("CARGO_TERM_QUIET", "true");
        command
    };
    let audit = || project.brig(&["audit", "--locked", "--offline"]);
    succeed(&mut plain());
    project.brig(&["audit", "--offline"]).output()?;
    succeed(&mut project.brig(&["approve", "--all", "--yes"]));
    succeed(&mut audit());
    let mut rows = Vec::new();
    for _ in 0..ROUNDS {
        rows.push((timed(&mut plain())?, timed(&mut audit())?));
    }
    for (index, name) in ["wall", "CPU"].into_iter().enumerate() {
        let plain = median(rows.iter().map(|(plain, _)| plain[index]).collect());
        let audit = median(rows.iter().map(|(_, audit)| audit[index]).collect());
        let more = median(rows.iter().map(|(plain, audit)| audit[index] - plain[index]).collect());
        println!("{what}, {name}: cargo build {plain:.3} s, audit {audit:.3} s, more {more:.3} s");
    }
    let mut size = 0;
    support::walk(&project.root.join("target"), &mut |path| {
        if path.file_name().is_some_and(|name| name == "brig.json") {
            size += fs::metadata(path).map_or(0, |metadata| metadata.len());
        }
    });
    println!("{what}: {} KiB of records", size / 1024);
    Ok(())
}

fn main() -> Result<()> {
    // Cargo passes `--bench`; a number is for us.
    let scripts = env::args().skip(1).find_map(|argument| argument.parse().ok());
    let scripts = scripts.unwrap_or(SCRIPTS);
    let small = "fn main() { println!(\"cargo::rerun-if-changed=build.rs\"); }";
    measure(&format!("{scripts} fresh scripts"), &workspace(scripts, small))?;
    let long = format!(
        "fn main() {{ println!(\"cargo::rerun-if-changed=build.rs\"); \
         for number in 0..{ACCESSES} {{ drop(std::fs::File::open(format!(\"sources/{{number}}.c\"))); }} }}"
    );
    measure(&format!("a record of {ACCESSES} accesses"), &workspace(1, &long))
}
