//! The own verbs and the help of `cargo brig`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Parser, Subcommand, ValueEnum};

const ABOUT: &str = "Run Cargo with every build script in a Landlock and seccomp jail";
const HELP: &str = "\
Any Cargo command can follow, with its arguments and with `+toolchain`: it is run as it is, with
every build script in the jail. Scripts write only below OUT_DIR and a private TMPDIR, read the
system, the toolchain and their own package, and have no network.

Examples:
  cargo brig build --release        like `cargo build --release`
  cargo brig +nightly test -p core  like `cargo +nightly test -p core`
  cargo brig --policy strict build  the same by a stricter policy
  cargo brig policy show            what build scripts may do here, and by which rule
  RUSTC_WRAPPER=cargo-brig cargo build
                                    the same without the summary and the final look
  cargo brig exec -- ./build-script-build
                                    one build script, with the environment as it is
  cargo brig show                   the build scripts that were run here, one a line
  cargo brig show openssl-sys       what the script of one package did
  cargo brig doctor                 can scripts be jailed on this machine, and how well?

Each run leaves a record, `brig.json`, beside its OUT_DIR.

Exit codes:
  Cargo's own, and: 2 usage, 3 a build script was not in the jail, 4 cargo-brig itself failed, or
  finds that scripts cannot be jailed here (`doctor`).
  A launcher ends with its script's code, and: 124 an instruction was withheld, a limit was met, or
  something was denied that the policy does not forgive; 125 the script was
  not run.

Environment:
  RUSTC_WRAPPER, build.rustc-wrapper   the wrapper you had goes on working, called by cargo-brig
  CARGO_BRIG_RUSTC_WRAPPER             that wrapper, where RUSTC_WRAPPER names cargo-brig itself
  CARGO_BRIG_POLICY                    as --policy: a built-in policy (default, strict, farm) or the
                                       absolute path of a document, above all other layers
  CARGO_BRIG_LOG                       cargo-brig's own diagnostics on stderr: error, …, trace";

/// The own verbs.
#[derive(Debug, Parser)]
#[command(name = "cargo brig", bin_name = "cargo brig", version, about = ABOUT, after_help = HELP)]
#[command(
    override_usage = "cargo brig [--policy POLICY] [+toolchain] <CARGO COMMAND> [ARGUMENTS]…\n       \
                            cargo brig show [PACKAGE] [OPTIONS]\n       \
                            cargo brig policy check|show|learn|init\n       \
                            cargo brig doctor [OPTIONS]\n       \
                            cargo brig exec [--record FILE] -- PROGRAM [ARGUMENTS]…"
)]
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
    /// Show what the build scripts of a workspace did, by the records of their last runs
    #[command(after_help = "\
Without PACKAGE there is one line for each run.

A build directory can hold several runs of one package's script, for other profiles, targets, features
or compilers, old ones too. Shown is the newest for each version, target and profile; `--all` shows
the others as well.

Paths are shortened by the placeholders of policies. Under each denial is the rule that would allow
it, as a line of a policy; several rules with the same key have to be put into one list.

Exit codes:
  0 shown, 2 usage, 4 a record is missing, damaged or of another schema, or the workspace is not known")]
    Show(Show),
    /// Check, show or begin the policy that decides what build scripts may do
    #[command(
        subcommand,
        after_help = "\
A policy is made of layers. From the bottom: a built-in one (`default`, `strict`, `farm`), the machine's
/etc/cargo-brig/policy.toml, the user's ~/.config/cargo-brig/policy.toml, the workspace's brig.toml, and
one that is named by --policy or CARGO_BRIG_POLICY. Grants of all count together; where two speak of the
same limit, variable or switch, the upper one counts. The machine's can be locked: then the layers above
it only take away."
    )]
    Policy(PolicyVerb),
    /// Try whether build scripts can be jailed on this machine, how well, and what to do about it
    #[command(after_help = "\
Everything is tried where it can be: a script that makes one forbidden thing after the other is run in
the jail, and Landlock and seccomp are each tried alone. Nothing is left behind, nothing leaves the
machine.

Exit codes:
  0 build scripts can be jailed here, although something may be degraded, 2 usage, 4 they cannot")]
    Doctor(Doctor),
}

/// The verbs of `cargo brig policy`.
#[derive(Debug, Subcommand)]
pub enum PolicyVerb {
    /// Find every mistake in policies: in these files, or in those that decide here
    #[command(after_help = "\
Exit codes:
  0 all are policies (there may be warnings), 2 one is not, 4 standard output is closed")]
    Check {
        /// Documents
        #[arg(value_name = "FILE")]
        files: Vec<PathBuf>,
        /// A built-in policy or a document, as for a build
        #[arg(long, value_name = "POLICY")]
        policy: Option<String>,
    },
    /// Show what all layers together say, each rule with its file and line
    Show {
        /// For one package: `name` or `name@version`
        #[arg(value_name = "PACKAGE")]
        package: Option<PackageSpec>,
        /// A built-in policy or a document, as for a build
        #[arg(long, value_name = "POLICY")]
        policy: Option<String>,
    },
    /// Propose the least rules that the recorded runs needed, as a document that extends `strict`
    #[command(after_help = "\
Printed to standard output: `cargo brig policy learn > brig.toml`. What would open a secret, and what no
rule gives, stands there as a comment. Scripts do not ask for every variable where it can be seen: see
`unseen` in `cargo brig show PACKAGE`.")]
    Learn(Show),
    /// Write a brig.toml to begin with
    Init {
        /// Build on the policy `strict`
        #[arg(long)]
        strict: bool,
        /// Also write .cargo/config.toml, by which plain Cargo uses the jail; printed if there is one
        #[arg(long)]
        cargo_config: bool,
    },
}

/// The arguments of `cargo brig doctor`.
#[derive(Debug, Args)]
pub struct Doctor {
    /// For a person, or everything as one JSON object
    #[arg(long, value_enum, default_value = "human", value_name = "FORMAT")]
    pub format: Format,
    /// Also explain what is as it should be, and what could not be tried
    #[arg(long)]
    pub all: bool,
    /// Be the script that is run in the jail, and make the attempts on what this describes
    #[arg(long, hide = true, value_name = "JSON")]
    pub attempt: Option<String>,
}

/// The arguments of `cargo brig show`.
#[derive(Debug, Args)]
pub struct Show {
    /// The package whose build script's runs are shown in full: `name` or `name@version`
    #[arg(value_name = "PACKAGE")]
    pub package: Option<PackageSpec>,
    /// For a person, or as the records are, in an array, each with the additional field `path`
    #[arg(long, value_enum, default_value = "human", value_name = "FORMAT")]
    pub format: Format,
    /// Shorten no list, also list what was not found, and show older runs
    #[arg(long)]
    pub all: bool,
    /// The directory that the build was told to write to
    #[arg(long, value_name = "DIR")]
    pub target_dir: Option<PathBuf>,
    /// The workspace's or a package's Cargo.toml
    #[arg(long, value_name = "PATH")]
    pub manifest_path: Option<PathBuf>,
}

/// How records and findings about the machine are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Text.
    Human,
    /// As data.
    Json,
}

/// Which package is meant, as in `cargo build -p`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackageSpec {
    /// Its name.
    pub name: String,
    /// Its version, or the beginning of it.
    pub version: Option<String>,
}

/// Not the name of a package.
#[derive(Debug, thiserror::Error)]
#[error("write `name` or `name@version`")]
pub struct NoPackageSpec;

impl FromStr for PackageSpec {
    type Err = NoPackageSpec;

    fn from_str(text: &str) -> Result<Self, NoPackageSpec> {
        let (name, version) = match text.split_once('@') {
            Some((name, version)) => (name, Some(version.to_owned())),
            None => (text, None),
        };
        let is_name = |name: &str| {
            !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '-' || c == '_')
        };
        if !is_name(name) || version.as_deref() == Some("") {
            return Err(NoPackageSpec);
        }
        Ok(Self { name: name.to_owned(), version })
    }
}

impl PackageSpec {
    /// Whether a version is meant: `1.2` stands for `1.2.0` and `1.2.7`, as for Cargo.
    #[must_use]
    pub fn is_version(&self, version: &str) -> bool {
        self.version.as_deref().is_none_or(|wanted| {
            version.strip_prefix(wanted).is_some_and(|rest| {
                rest.is_empty() || (rest.starts_with('.') && wanted.split('.').count() < 3)
            })
        })
    }
}

/// Whether these arguments, after `cargo brig`, are for us and not for Cargo.
#[must_use]
pub fn is_own(arguments: &[OsString]) -> bool {
    match arguments.first().and_then(|first| first.to_str()) {
        None => arguments.is_empty(),
        Some(first) => {
            ["exec", "policy", "show", "doctor", "--help", "-h", "--version", "-V"].contains(&first)
        }
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
        assert!(
            own("exec")
                && own("show")
                && own("doctor")
                && own("--help")
                && own("-V")
                && is_own(&[])
        );
        assert!(!own("build") && !own("+nightly") && !own("help") && !own("-q"));
    }

    #[test]
    fn packages_are_named_as_for_cargo() {
        let spec = |text: &str| text.parse::<PackageSpec>().unwrap();
        assert!(spec("openssl-sys").is_version("0.9.1"));
        assert!(spec("a@1").is_version("1.2.3") && spec("a@1.2").is_version("1.2.3"));
        assert!(spec("a@1.2.3").is_version("1.2.3") && !spec("a@1.2").is_version("1.20.3"));
        assert!(!spec("a@1.2.3").is_version("1.2.3-rc.1"));
        for text in ["", "@1", "a@", "../x", "a b"] {
            assert!(text.parse::<PackageSpec>().is_err(), "{text}");
        }
    }
}
