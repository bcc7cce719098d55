//! What two runs of one script told Cargo and left in `OUT_DIR`, and in what that differs.
//!
//! The units' hashes are left out. What differs is named by line, or by file where lines say nothing, so
//! that what plain Cargo gives differently from build to build can be told from what the jail changes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::{bytes_without_hashes, succeed, walk, without_hashes};
use crate::workspace::{Builds, TARGETS, Unit};

/// The places in which two results differ.
pub(crate) type Differences = BTreeSet<String>;

/// What a run left.
struct Outcome {
    /// The lines that are instructions.
    instructions: Vec<String>,
    /// What the jail did not tell Cargo, and let the script go on: that it is to be run again when a
    /// variable changes that it is not given.
    withheld: Vec<String>,
    files: BTreeMap<String, Left>,
}

#[derive(PartialEq)]
struct Left {
    bytes: Vec<u8>,
    executable: bool,
}

impl Outcome {
    fn of(directory: &Path) -> Self {
        let output = fs::read(directory.join("output")).unwrap();
        let output = without_hashes(&String::from_utf8_lossy(&in_one_directory(&output)));
        let instructions =
            output.lines().map(str::trim_end).filter(|line| line.starts_with("cargo:"));
        let record = fs::read(directory.join("brig.json")).unwrap_or_else(|_| b"{}".to_vec());
        let record: Value = serde_json::from_slice(&record).unwrap();
        let withheld = record["withheld_instructions"].as_array().into_iter().flatten();
        let withheld = withheld
            .filter(|instruction| instruction["fatal"] == false)
            .map(|instruction| instruction["line"].as_str().unwrap().trim_end().to_owned());
        let mut files = BTreeMap::new();
        let out_dir = directory.join("out");
        walk(&out_dir, &mut |path| {
            let name = path.strip_prefix(&out_dir).unwrap().to_string_lossy();
            let metadata = fs::symlink_metadata(path).unwrap();
            let bytes = if metadata.is_symlink() {
                fs::read_link(path).unwrap().to_string_lossy().into_owned().into_bytes()
            } else if metadata.is_file() {
                fs::read(path).unwrap()
            } else {
                Vec::new()
            };
            let executable = metadata.permissions().mode() & 0o100 != 0;
            let bytes = bytes_without_hashes(&in_one_directory(&bytes));
            files.insert(without_hashes(&name), Left { bytes, executable });
        });
        Self {
            instructions: instructions.map(str::to_owned).collect(),
            withheld: withheld.collect(),
            files,
        }
    }
}

/// With the one name of the target directory in place of the other, which is as long.
fn in_one_directory(bytes: &[u8]) -> Vec<u8> {
    let [one, other] = TARGETS.map(|name| format!("/{name}/").into_bytes());
    let mut bytes = bytes.to_vec();
    let mut from = 0;
    while let Some(found) = bytes[from..].windows(other.len()).position(|window| window == other) {
        from += found;
        bytes[from..from + one.len()].copy_from_slice(&one);
    }
    bytes
}

/// What an instruction is named by: one about a `cfg` by itself, any other without its value.
fn key(instruction: &str) -> &str {
    if instruction.contains("rustc-cfg=") {
        return instruction;
    }
    instruction.rsplit_once('=').map_or(instruction, |(key, _)| key)
}

fn of_instructions(one: &[String], other: &[String], differences: &mut Differences) {
    if one == other {
        return;
    }
    let sorted = |lines: &[String]| {
        let mut lines = lines.to_vec();
        lines.sort();
        lines
    };
    let (sorted_one, sorted_other) = (sorted(one), sorted(other));
    if sorted_one == sorted_other {
        differences.insert("the order of instructions".to_owned());
        return;
    }
    for (lines, others) in [(&sorted_one, &sorted_other), (&sorted_other, &sorted_one)] {
        for line in lines.iter().filter(|line| !others.contains(line)) {
            differences.insert(format!("`{}`", key(line)));
        }
    }
    if differences.is_empty() {
        differences.insert("how often an instruction is given".to_owned());
    }
}

/// Objects, archives and what is linked of them, without debugging information: a compiler orders its
/// strings by their hash, and the unit's path is one of them. A linker's build identifier is a hash, too.
fn stripped(left: &Left) -> Option<Vec<u8>> {
    if !left.bytes.starts_with(b"\x7fELF") && !left.bytes.starts_with(b"!<arch>\n") {
        return None;
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), &left.bytes).unwrap();
    let arguments = ["-D", "--strip-debug", "--remove-section=.note.gnu.build-id"];
    succeed(Command::new("strip").args(arguments).arg(file.path()));
    Some(fs::read(file.path()).unwrap())
}

fn of_files(name: &str, one: &Left, other: &Left, differences: &mut Differences) {
    if one.executable != other.executable {
        differences.insert(format!("the mode of {name}"));
    }
    if one.bytes == other.bytes {
        return;
    }
    if let (Some(one), Some(other)) = (stripped(one), stripped(other))
        && one == other
    {
        return;
    }
    let lines = |left: &Left| -> Option<Vec<String>> {
        let text = String::from_utf8(left.bytes.clone()).ok()?;
        Some(text.lines().map(str::to_owned).collect())
    };
    match (lines(one), lines(other)) {
        (Some(one), Some(other)) if one.len() == other.len() => {
            let differing = one.iter().zip(&other).enumerate();
            for (number, _) in differing.filter(|(_, (one, other))| one != other) {
                differences.insert(format!("{name}:{}", number + 1));
            }
        }
        _ => {
            differences.insert(name.to_owned());
        }
    }
}

fn of_outcomes(one: &Outcome, other: &Outcome) -> Differences {
    let mut differences = Differences::new();
    let one_told: Vec<String> = one
        .instructions
        .iter()
        .filter(|instruction| !other.withheld.contains(instruction))
        .cloned()
        .collect();
    of_instructions(&one_told, &other.instructions, &mut differences);
    for (name, left) in &one.files {
        match other.files.get(name) {
            Some(other) => of_files(name, left, other, &mut differences),
            None => {
                differences.insert(missing(name));
            }
        }
    }
    for name in other.files.keys().filter(|name| !one.files.contains_key(*name)) {
        differences.insert(missing(name));
    }
    differences
}

/// Names that are made up anew each time can only be told of by their directory.
fn missing(name: &str) -> String {
    let directory = Path::new(name).parent().unwrap_or(Path::new(""));
    format!("which files are in OUT_DIR/{}", directory.display())
}

/// Where builds of the same mode are kept, and which there are.
#[derive(Clone, Copy)]
pub(crate) struct Side<'a> {
    pub(crate) kept: &'a Path,
    pub(crate) builds: &'a Builds,
}

/// Compares the results of a row's scripts, by package.
///
/// A package can be there several times in one build, with other features, and nothing says which of
/// them is which on the other side: each is compared with the one that it resembles most.
pub(crate) fn of_row(name: &str, one: Side, other: Side) -> BTreeMap<String, Differences> {
    let by_package = |side: Side| {
        let mut packages: BTreeMap<String, Vec<Outcome>> = BTreeMap::new();
        for Unit { package, directory } in &side.builds[name].units {
            let outcome = Outcome::of(&side.kept.join(directory));
            packages.entry(package.clone()).or_default().push(outcome);
        }
        packages
    };
    let (one, mut other) = (by_package(one), by_package(other));
    let mut result = BTreeMap::new();
    for (package, outcomes) in one {
        let mut others = other.remove(&package).unwrap_or_default();
        let mut differences = Differences::new();
        for outcome in &outcomes {
            let compared = others.iter().map(|other| of_outcomes(outcome, other)).enumerate();
            let Some((index, found)) = compared.min_by_key(|(_, found)| found.len()) else {
                differences.insert("how many scripts ran".to_owned());
                continue;
            };
            others.swap_remove(index);
            differences.extend(found);
        }
        if !others.is_empty() {
            differences.insert("how many scripts ran".to_owned());
        }
        if !differences.is_empty() {
            result.insert(package, differences);
        }
    }
    for package in other.into_keys() {
        result.insert(package, Differences::from(["how many scripts ran".to_owned()]));
    }
    result
}
