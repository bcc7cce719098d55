//! What `cargo brig build` costs the example workspace, against plain `cargo build`: from nothing, and
//! when nothing is to be done.
//!
//! Each round builds it in each way, in turn, in an empty target directory, and then three times more.
//! Scripts are recorded in every way but plain. A ratio is to the plain build of the same round; the
//! smallest and the largest stand beside it.
//!
//! `cargo bench --bench workspace [-- ROUNDS]`; 3 rounds unless told otherwise.

mod cost;
#[path = "../tests/support/mod.rs"]
mod support;

use std::env;
use std::error::Error;
use std::fs;
use std::path::Path;

use cargo_brig::record::{COMPILATIONS, FILE_NAME};
use cost::{Cost, median, run};
use support::{Project, walk};

const ROUNDS: usize = 3;
/// So often a round builds what is built.
const AGAIN: usize = 3;

/// The ways to build, and their policies; plain Cargo has none.
const WAYS: [(&str, Option<&str>); 4] = [
    ("plain", None),
    ("jailed", Some("")),
    ("rustc jailed", Some("[rustc]\njail = true\n")),
    ("rustc recorded", Some("[rustc]\njail = true\nrecord = true\n")),
];

/// A build from nothing, one of nothing, and the size of the records in bytes.
struct Built {
    everything: Cost,
    nothing: Cost,
    records: u64,
}

fn build(project: &Project, policy: Option<&str>) -> Result<Built, Box<dyn Error>> {
    let target = project.root.join("target");
    if target.exists() {
        fs::remove_dir_all(&target)?;
    }
    project.write("brig.toml", policy.unwrap_or_default());
    let command = || {
        let words = ["build", "--locked", "--quiet"];
        if policy.is_some() { project.brig(&words) } else { project.cargo(&words) }
    };
    let everything = run(&mut command())?.0;
    let again = (0..AGAIN).map(|_| Ok(run(&mut command())?.0));
    let again: Vec<Cost> = again.collect::<Result<_, Box<dyn Error>>>()?;
    let nothing = Cost {
        cpu: median(again.iter().map(|cost| cost.cpu)),
        wall: median(again.iter().map(|cost| cost.wall)),
    };
    Ok(Built { everything, nothing, records: records(&target) })
}

fn records(target: &Path) -> u64 {
    let mut size = 0;
    walk(target, &mut |path| {
        let of_compilation =
            path.parent().is_some_and(|directory| directory.ends_with(COMPILATIONS));
        if of_compilation || path.file_name().is_some_and(|name| name == FILE_NAME) {
            size += fs::metadata(path).map_or(0, |metadata| metadata.len());
        }
    });
    size
}

#[expect(clippy::print_stdout, reason = "the figures are what it is run for")]
fn main() -> Result<(), Box<dyn Error>> {
    // Cargo passes `--bench`; a number is for us.
    let rounds = env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(ROUNDS);
    let project = Project::copy_of("example");
    // Sources are fetched, and caches warm, before the first round that counts.
    build(&project, None)?;
    let mut rows: Vec<Vec<Built>> = Vec::new();
    for _ in 0..rounds.max(1) {
        let row = WAYS.iter().map(|(_, policy)| build(&project, *policy));
        rows.push(row.collect::<Result<_, _>>()?);
    }
    println!("{} rounds, medians", rows.len());
    let kinds = ["everything, CPU", "everything, wall", "nothing, CPU", "nothing, wall"];
    for (index, kind) in kinds.iter().enumerate() {
        let of = |built: &Built| {
            let Built { everything, nothing, .. } = built;
            [everything.cpu, everything.wall, nothing.cpu, nothing.wall][index]
        };
        println!("\n{kind:<16} {:>10}  {:>6}  {:>6}  {:>6}", "ms", "ratio", "least", "most");
        for (way, (name, _)) in WAYS.iter().enumerate() {
            let time = median(rows.iter().map(|row| of(&row[way])));
            let ratios = || rows.iter().map(|row| of(&row[way]) / of(&row[0]));
            let (least, most) = (ratios().fold(f64::MAX, f64::min), ratios().fold(0.0, f64::max));
            println!(
                "{name:<16} {time:>10.0}  {:>6.3}  {least:>6.3}  {most:>6.3}",
                median(ratios())
            );
        }
    }
    println!();
    for (way, (name, _)) in WAYS.iter().enumerate().skip(1) {
        println!("records of {name}: {} KiB", rows[0][way].records / 1024);
    }
    Ok(())
}
