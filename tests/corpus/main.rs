//! The compatibility corpus: published crates, whose build scripts must not notice the jail.
//!
//! Each crate of `crates.toml` is built by plain Cargo, under `default`, and under `strict`. What is not the
//! same under `strict` is built with the documents of the collection for its packages, and what then still
//! fails with the rules that `cargo brig policy learn` proposes. That it builds, what the scripts
//! tell Cargo and what they leave in `OUT_DIR` is compared with plain Cargo's. `cargo test` does so with
//! a few small crates. All of them, which takes hours, need `tests/corpus/prepare` once, and
//!
//! ```sh
//! BLESS=1 cargo test --test corpus -- --ignored --nocapture
//! ```
//!
//! which writes `TABLE.md` and `Cargo.lock`. `CORPUS=ring,cxx` chooses crates, and `CORPUS_DIR=DIR`
//! names a directory that is kept: builds that are there already are not done again. With `BLESS=1` the
//! chosen crates take their places in the table, and the others stay as they are.

mod compare;
mod denied;
mod judge;
mod list;
#[path = "../support/mod.rs"]
mod support;
mod table;
mod workspace;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;

use cargo_brig::policy::collection::ALL;
use cargo_brig::policy::pattern;
use judge::{defects, judge};
use list::Row;
use workspace::Workspace;

/// The crates' packages of Debian that are not installed.
fn missing(rows: &[Row]) -> BTreeSet<&str> {
    let is_installed = |package: &str| {
        let mut query = Command::new("dpkg-query");
        let output = query.args(["--show", "--showformat=${db:Status-Status}", package]).output();
        output.unwrap().stdout == b"installed"
    };
    let needs = rows.iter().flat_map(Row::needs).map(String::as_str);
    needs.filter(|package| !is_installed(package)).collect()
}

#[test]
#[ignore = "takes hours: see the file's description"]
fn every_crate_is_the_same_in_the_jail() {
    let wanted = std::env::var("CORPUS").ok();
    let is_wanted = |row: &Row| {
        wanted.as_ref().is_none_or(|names| names.split(',').any(|name| name == row.name))
    };
    let rows: Vec<Row> = list::all().into_iter().filter(is_wanted).collect();
    let missing = missing(&rows);
    assert!(missing.is_empty(), "not installed: {missing:?}; tests/corpus/prepare installs them");
    let workspace = Workspace::of(&rows, std::env::var_os("CORPUS_DIR").map(PathBuf::from));
    let judged = judge(&rows, &workspace, None);
    if std::env::var_os("BLESS").is_some() {
        match wanted {
            None => table::write(&judged, &workspace.lock_file()),
            Some(_) => table::amend(&judged),
        }
    }
    let defects = defects(&judged);
    assert!(defects.is_empty(), "{}", defects.join("\n"));
}

#[test]
fn a_slice_of_the_corpus_is_the_same_in_the_jail() {
    let rows: Vec<Row> = list::all().into_iter().filter(Row::is_in_the_slice).collect();
    assert!(rows.len() >= 6);
    let workspace = Workspace::of(&rows, None);
    let judged = judge(&rows, &workspace, None);
    let defects = defects(&judged);
    assert!(defects.is_empty(), "{}", defects.join("\n"));
}

#[test]
fn a_jail_that_is_noticed_is_a_defect() {
    let is_wanted = |row: &Row| ["libc", "rustc_version"].contains(&row.name.as_str());
    let rows: Vec<Row> = list::all().into_iter().filter(is_wanted).collect();
    let workspace = Workspace::of(&rows, None);
    let mut policy = tempfile::NamedTempFile::with_suffix(".toml").unwrap();
    policy
        .write_all(
            b"[[package]]\n\
              name = \"libc\"\n\
              environment.set = { RUST_LIBC_UNSTABLE_FREEBSD_VERSION = \"13\" }\n\
              [[package]]\n\
              name = \"corpus-rustc_version\"\n\
              limits.open-files = 3\n",
        )
        .unwrap();
    let judged = judge(&rows, &workspace, Some(policy.path()));
    let defects = defects(&judged);
    let [libc, rustc_version] = &defects[..] else { panic!("{defects:#?}") };
    assert!(libc.starts_with("libc: the script of libc 0.2."), "{libc}");
    assert!(libc.ends_with("under `default`: `cargo:warning`"), "{libc}");
    let expected = "rustc_version is not built under `default`:\n";
    assert!(rustc_version.starts_with(expected), "{rustc_version}");
}

/// A variable that no build of the corpus has set was not seen to be needed.
#[test]
fn no_rule_of_the_collection_is_guessed() {
    let rows = list::all();
    for collected in ALL {
        for package in collected.document().unwrap().packages {
            for rule in package.rules.pass {
                let is_set = rows.iter().filter(|row| row.package() == collected.name).any(|row| {
                    let mut names = row.variables().keys();
                    names.any(|name| pattern::matches(rule.text.as_bytes(), name.as_bytes()))
                });
                assert!(is_set, "{}: no crate of the corpus sets {}", collected.file, rule.text);
            }
        }
    }
}

#[test]
fn the_table_has_all_crates() {
    table::check(&list::all());
}
