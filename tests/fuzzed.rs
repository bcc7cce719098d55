//! The properties that the fuzz targets look for counterexamples of (`tests/fuzz`), asked of the seeds
//! and of what comes out when they are cut and joined.

#[path = "fuzz/properties.rs"]
mod properties;

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

/// The files of these directories below `tests`.
fn seeds(directories: &[&str]) -> Vec<Vec<u8>> {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let entries = directories.iter().flat_map(|name| fs::read_dir(tests.join(name)).unwrap());
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.is_file());
    files.sort();
    let seeds: Vec<Vec<u8>> = files.iter().map(|file| fs::read(file).unwrap()).collect();
    assert!(seeds.len() > 2, "{directories:?} hold no seeds");
    seeds
}

/// Two seeds, each cut at both ends, one after the other.
fn spliced(seeds: &[Vec<u8>]) -> impl Strategy<Value = Vec<u8>> {
    let piece = || {
        let seed = prop::sample::select(seeds.to_vec());
        (seed, any::<prop::sample::Index>(), any::<prop::sample::Index>()).prop_map(
            |(seed, one, other)| {
                let (one, other) = (one.index(seed.len() + 1), other.index(seed.len() + 1));
                seed[one.min(other)..one.max(other)].to_vec()
            },
        )
    };
    (piece(), piece()).prop_map(|(one, other)| [one, other].concat())
}

fn ask(property: fn(&[u8]), seeds: &[Vec<u8>]) {
    for seed in seeds {
        property(seed);
    }
    proptest!(|(bytes in spliced(seeds))| property(&bytes));
}

#[test]
fn a_policy_is_one_or_is_told_of() {
    ask(
        properties::policy,
        &seeds(&["fuzz/seeds/policy", "policies/bad", "../policies", "../policies/crates"]),
    );
}

#[test]
fn what_reaches_cargo_was_judged() {
    ask(properties::instructions, &seeds(&["fuzz/seeds/instructions"]));
}

#[test]
fn a_record_steers_no_terminal() {
    ask(properties::record, &seeds(&["fuzz/seeds/record"]));
}

#[test]
fn a_notification_is_decoded_or_refused() {
    ask(properties::notification, &seeds(&["fuzz/seeds/notification"]));
}
