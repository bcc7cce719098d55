//! `TABLE.md`: the cases, for people.

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

use crate::GROUNDS;
use crate::case::{Case, Policy, Who};

const HEAD: &str = "\
# Attacks

Written by `BLESS=1 cargo test --test attacks`. Each attack is one function of the C files beside this
one, and is tried by plain Cargo and under each built-in policy, by root and by an ordinary user. \"Who\"
tells of those that only one of them can try. Within the jail nothing of the effect is seen; where some
policies do not promise that, those that do are named.
";

fn within(case: &Case) -> String {
    if case.promised == Policy::ALL {
        return "none".to_owned();
    }
    let names: Vec<String> =
        case.promised.iter().map(|policy| format!("`{}`", policy.name())).collect();
    format!("none under {}", names.join(", "))
}

fn table() -> String {
    let mut text = HEAD.to_owned();
    let count: usize = GROUNDS.iter().map(|(_, cases)| cases.len()).sum();
    write!(text, "\n{count} attacks.\n").unwrap();
    for (ground, cases) in GROUNDS {
        write!(text, "\n## {ground}\n\n").unwrap();
        text.push_str("| Attack | Effect without the jail | Within | Stopped by | Who |\n");
        text.push_str("|---|---|---|---|---|\n");
        for case in cases {
            let who = match case.who {
                Who::Anybody => "",
                Who::Root => "root",
                Who::OrdinaryUser => "an ordinary user",
            };
            let name = case.name.replace('_', " ");
            let (effect, within, by) = (case.effect, within(case), case.stopped_by);
            writeln!(text, "| {name} | {effect} | {within} | {by} | {who} |").unwrap();
        }
    }
    text
}

/// Compares the table with what is committed, or writes it.
pub(crate) fn check() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/attacks/TABLE.md");
    let text = table();
    if env::var_os("BLESS").is_some() {
        fs::write(&path, &text).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == text,
        "tests/attacks/TABLE.md is out of date: run `BLESS=1 cargo test --test attacks`"
    );
}
