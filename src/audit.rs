//! `cargo brig audit`: does every build script do only what the team has approved?
//!
//! The modules, in the order in which data flows:
//!
//! - [`evidence`]: the records of one build
//! - [`behaviour`]: what one package's script is known to do; [`names`]: what the things that it uses are
//!   called, the same on every machine; [`observed`]: the behaviour in one record
//! - [`baseline`]: `brig.lock`, the behaviour that was approved
//! - [`cargo_lock`]: where a package comes from, and by which way
//! - [`judge`]: from what was observed and what was approved to a verdict; [`review`]: one whole audit
//! - [`report`]: what it comes to, with everything that a format needs
//! - [`formats`]: how a report is written; [`sinks`]: where to; [`beside`]: whole or not at all
//! - [`place`]: where the files of audits are; [`last`]: the last report, which [`approve`] approves; [`diff`]: two states of the baseline;
//!   [`why`]: one package, explained

pub mod approve;
pub mod baseline;
pub mod behaviour;
pub mod beside;
pub mod cargo_lock;
pub mod diff;
pub mod evidence;
pub mod formats;
pub mod judge;
pub mod last;
pub mod left_out;
pub mod names;
pub mod observed;
pub mod place;
pub mod report;
pub mod review;
pub mod run;
pub mod sinks;
pub mod why;

use std::error::Error;
use std::io::{self, Write};

use crate::cli::Audit;
use crate::exit::{self, Ending};
use crate::launch::explain;

/// Makes an audit and writes its report to all sinks.
#[must_use]
pub fn run(arguments: &Audit) -> Ending {
    let sinks = match sinks::of(&arguments.format, &arguments.output) {
        Ok(sinks) => sinks,
        Err(error) => return fail(&error, None, exit::USAGE),
    };
    let report = match review::review(arguments) {
        Ok(report) => report,
        Err(error) => return fail(&error, error.help(), error.exit_code()),
    };
    let mut code = report.result.exit_code();
    for sink in sinks {
        match sink.write(&report) {
            Ok(()) => {}
            // Whoever reads has seen enough.
            Err(sinks::Error::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {}
            Err(error) => {
                fail(&error, None, exit::FAILED);
                // Nobody is told that all is well without being told all.
                code = exit::FAILED;
            }
        }
    }
    Ending::Code(code)
}

/// Says what went wrong, and with which code to end.
fn fail(error: &dyn Error, help: Option<&str>, code: i32) -> Ending {
    let text = explain(error).replacen("error:", "error: brig:", 1);
    // Nobody is left to be told of an error on stderr.
    drop(writeln!(io::stderr(), "{text}"));
    if let Some(help) = help {
        drop(writeln!(io::stderr(), "  help: {help}"));
    }
    Ending::Code(code)
}
