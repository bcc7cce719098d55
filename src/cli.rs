//! The own verbs and the help of `cargo brig`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Parser, Subcommand};

const ABOUT: &str = "Run Cargo with every build script in a Landlock and seccomp jail";
const HELP: &str = "\
Any Cargo command can follow, with its arguments and with `+toolchain`: it is run as it is, with
every build script in the jail. Scripts write only below OUT_DIR and a private TMPDIR, read the
system, the toolchain and their own package, and have no network.

Examples:
  cargo brig build --release        like `cargo build --release`
  cargo brig +nightly test -p core  like `cargo +nightly test -p core`
  RUSTC_WRAPPER=cargo-brig cargo build
                                    the same without the summary and the audit
  cargo brig exec -- ./build-script-build
                                    one build script, with the environment as it is

Each run leaves a record, `brig.json`, beside its OUT_DIR.

Exit codes:
  Cargo's own, and: 2 usage, 3 a build script was not in the jail, 4 cargo-brig itself failed.
  A launcher ends with its script's code, and: 124 an instruction was withheld, 125 the script was
  not run.

Environment:
  RUSTC_WRAPPER, build.rustc-wrapper   the wrapper you had goes on working, called by cargo-brig
  CARGO_BRIG_RUSTC_WRAPPER             that wrapper, where RUSTC_WRAPPER names cargo-brig itself
  CARGO_BRIG_POLICY                    a policy document that takes the place of the built-in one
  CARGO_BRIG_LOG                       cargo-brig's own diagnostics on stderr: error, …, trace";

/// The own verbs.
#[derive(Debug, Parser)]
#[command(name = "cargo brig", bin_name = "cargo brig", version, about = ABOUT, after_help = HELP)]
#[command(override_usage = "cargo brig [+toolchain] <CARGO COMMAND> [ARGUMENTS]…\n       \
                            cargo brig exec [--record FILE] -- PROGRAM [ARGUMENTS]…")]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// One own verb.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Run one build script in the jail, from the environment that Cargo, or whoever calls, gives
    #[command(after_help = "\
`OUT_DIR` and `CARGO_MANIFEST_DIR` must be set. With nightly's -Zhost-config it serves as runner:
  [host]
  runner = [\"cargo-brig\", \"exec\", \"--\"]")]
    Exec {
        /// Where the record is written [default: brig.json beside `OUT_DIR`]
        #[arg(long, value_name = "FILE")]
        record: Option<PathBuf>,
        /// The build script's program
        #[arg(last = true, required = true, value_name = "PROGRAM")]
        command: Vec<OsString>,
    },
}

/// Whether these arguments, after `cargo brig`, are for us and not for Cargo.
#[must_use]
pub fn is_own(arguments: &[OsString]) -> bool {
    match arguments.first().and_then(|first| first.to_str()) {
        None => arguments.is_empty(),
        Some(first) => ["exec", "--help", "-h", "--version", "-V"].contains(&first),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn cargo_commands_are_not_ours() {
        let own = |text: &str| is_own(&[OsString::from(text)]);
        assert!(own("exec") && own("--help") && own("-V") && is_own(&[]));
        assert!(!own("build") && !own("+nightly") && !own("help") && !own("-q"));
    }
}
