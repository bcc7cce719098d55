//! An attack suite: each case tries one thing that a script may not do, and the test looks at what came of
//! it outside, not at what the script was told.
//!
//! Every case is tried by plain Cargo, where it must succeed, or it proves nothing; and by `cargo brig`
//! with each built-in policy, where it must not. All of it is done by who runs the tests and, if that is
//! root, once more by an ordinary user. The attacks are one C program, compiled once; a package for each
//! case has a build script that becomes this program. `TABLE.md` lists the cases: it is written by
//! `BLESS=1 cargo test --test attacks`, and is compared otherwise.
//!
//! Attacks that need a system call of their own are here for the jail as a whole; that each call of the
//! kernel's table is judged is tested beside that table (`src/jail/syscalls`). Limits are in
//! `tests/limits.rs`, floods in `tests/floods.rs`, and instructions in `tests/instructions.rs` and
//! `tests/nothing_outside.rs`, of which a dozen are here too.

mod alone;
mod case;
mod descriptors;
mod files;
mod instructions;
mod kernel_calls;
mod launcher_files;
mod links_and_races;
mod network;
mod processes;
mod secrets;
#[path = "../support/mod.rs"]
mod support;
mod table;
mod terminal;
mod warden;
mod world;

use std::collections::BTreeMap;

use case::{Case, Policy};
use nix::unistd::geteuid;
use world::{USER, World};

/// The grounds, in the order of the table, and what is tried there.
const GROUNDS: [(&str, &[Case]); 12] = [
    ("Files", files::CASES),
    ("Links and races", links_and_races::CASES),
    ("Secrets", secrets::CASES),
    ("Processes", processes::CASES),
    ("Network", network::CASES),
    ("Descriptors", descriptors::CASES),
    ("Kernel calls", kernel_calls::CASES),
    ("Terminal", terminal::CASES),
    ("Files of Cargo, cargo-brig and the user", launcher_files::CASES),
    ("Warden", warden::CASES),
    ("Instructions", instructions::CASES),
    ("Processes that everything depends on", alone::CASES),
];

fn all() -> impl Iterator<Item = &'static Case> {
    GROUNDS.iter().flat_map(|(_, cases)| *cases)
}

/// Which cases a test is about: those that it names in `ATTACKS`, if that is set.
fn chosen(cases: impl Iterator<Item = &'static Case>) -> Vec<Case> {
    let wanted = std::env::var("ATTACKS").ok();
    let is_wanted = |name: &str| {
        wanted.as_ref().is_none_or(|names| names.split(',').any(|wanted| wanted == name))
    };
    cases.filter(|case| is_wanted(case.name)).copied().collect()
}

/// Tries all of them without the jail and by each policy, by each user.
fn try_all(
    cases: &[Case],
    attempt: impl Fn(&mut World, Option<Policy>) -> BTreeMap<&'static str, bool>,
) {
    let mut world = World::new(cases.to_vec());
    let mut wrong = Vec::new();
    let mut users = vec![None];
    if geteuid().is_root() {
        users.push(Some(USER));
    } else {
        eprintln!("not run by root: only what an ordinary user can try is tested");
    }
    for user in users {
        if let Some(user) = user {
            world.give_to(user);
        }
        let who = if user.is_none() && geteuid().is_root() { "root" } else { "a user" };
        for policy in [None].into_iter().chain(Policy::ALL.map(Some)) {
            let effects = attempt(&mut world, policy);
            let judged = cases.iter().filter_map(|case| Some((case, *effects.get(case.name)?)));
            for (case, happened) in judged {
                match policy {
                    None if !happened => {
                        wrong
                            .push(format!("{} does nothing without the jail, by {who}", case.name));
                    }
                    Some(policy) if happened && case.promised.contains(&policy) => {
                        wrong.push(format!(
                            "{} succeeds under `{}`, by {who}: {}",
                            case.name,
                            policy.name(),
                            case.effect
                        ));
                    }
                    _ => {}
                }
            }
            if !wrong.is_empty() && std::env::var_os("ATTACKS").is_some() {
                eprintln!("{policy:?}, by {who}:\n{}", world.log());
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn attacks_change_nothing_outside() {
    let together = GROUNDS[..GROUNDS.len() - 1].iter().flat_map(|(_, cases)| *cases);
    try_all(&chosen(together), World::try_together);
}

#[test]
fn attacks_end_nobody_outside() {
    try_all(&chosen(alone::CASES.iter()), World::try_alone);
}

#[test]
fn the_table_lists_the_cases() {
    table::check();
}
