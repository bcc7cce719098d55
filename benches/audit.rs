//! What an audit costs when nothing has changed: `cargo brig audit` against Cargo's own build of the same
//! workspace, all fresh; and how long it takes to judge one long record.
//!
//! A workspace of packages is generated, each with a build script, and built in both ways; another one
//! has a single script that looks for many files. Then both commands are run in turn.
//!
//! `cargo bench --bench audit [-- SCRIPTS]`; 100 scripts unless told otherwise.

mod cost;
#[path = "../tests/support/mod.rs"]
mod support;

use std::env;
use std::error::Error;
use std::fs;

use cost::{Cost, median, run};
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
        rows.push((run(&mut plain())?.0, run(&mut audit())?.0));
    }
    for (index, name) in ["wall", "CPU"].into_iter().enumerate() {
        let of = |cost: &Cost| [cost.wall, cost.cpu][index];
        let plain = median(rows.iter().map(|(plain, _)| of(plain)));
        let audit = median(rows.iter().map(|(_, audit)| of(audit)));
        let more = median(rows.iter().map(|(plain, audit)| of(audit) - of(plain)));
        println!(
            "{what}, {name}: cargo build {plain:.0} ms, audit {audit:.0} ms, more {more:.0} ms"
        );
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
