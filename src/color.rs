//! Whether what a person reads has colours, as Cargo decides it: by `--color`, then by its setting
//! `term.color` (`CARGO_TERM_COLOR`), and else where there is a terminal and `NO_COLOR` is not set.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io::{IsTerminal, stdout};
use std::sync::LazyLock;

use clap::ColorChoice;

use crate::config::Config;

/// Of a stream, by what was said.
#[must_use]
pub fn is_wanted(said: Option<&OsStr>, is_terminal: bool) -> bool {
    match said.and_then(OsStr::to_str) {
        Some("always") => true,
        Some("never") => false,
        _ => is_terminal && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
    }
}

/// What is said where this program was started.
fn said_here() -> Option<OsString> {
    Config::load(&env::current_dir().unwrap_or_default(), &[]).color()
}

/// Of what an own verb writes to standard output.
#[must_use]
pub fn on_stdout() -> bool {
    static WANTED: LazyLock<bool> =
        LazyLock::new(|| is_wanted(said_here().as_deref(), stdout().is_terminal()));
    *WANTED
}

/// Of help and of what is said of a command line, each on its own stream.
#[must_use]
pub fn of_help() -> ColorChoice {
    match said_here().as_deref().and_then(OsStr::to_str) {
        Some("always") => ColorChoice::Always,
        Some("never") => ColorChoice::Never,
        _ => ColorChoice::Auto,
    }
}
