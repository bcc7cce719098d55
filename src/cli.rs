//! The own verbs and the help of `cargo brig`.

pub mod package_spec;
pub mod selection;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgGroup, Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

use crate::audit::formats;
use crate::audit::sinks::STDOUT;
use crate::color;
pub use package_spec::PackageSpec;
pub use selection::Selection;

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
  cargo brig show ring --lints      what in it is against Cargo's advice to authors
  cargo brig freeze                 overrides, by which Cargo does not run the scripts again
  cargo brig doctor                 can scripts be jailed on this machine, and how well?
  cargo brig audit --locked         did a script do what nobody has approved (in brig.lock)?
  cargo brig approve --all          approve what the last audit found; it asks on a terminal
  cargo brig why openssl-sys        what brings a package in, what it did, and what allowed it

`cargo brig help VERB` says more about one of the own verbs. Each run leaves a record, `brig.json`,
beside its OUT_DIR.

Exit codes:
  Cargo's own, and: 2 usage, 3 a build script was not in the jail, 4 cargo-brig itself failed, or
  finds that scripts cannot be jailed here (`doctor`). An audit ends with 0 if all is approved, and:
  5 a script did what is not approved, 6 the policy was violated, 7 a script failed, 8 it cannot be
  said what a script did. `approve` ends with 1 if nothing was accepted.
  A launcher ends with its script's code, and: 124 an instruction was withheld, a limit was met, or
  something was denied that the policy does not forgive; 125 the script was
  not run.

Environment:
  RUSTC_WRAPPER, build.rustc-wrapper   the wrapper you had goes on working, called by cargo-brig
  CARGO_BRIG_RUSTC_WRAPPER             that wrapper, where RUSTC_WRAPPER names cargo-brig itself
  RUSTDOC, build.rustdoc               so does the rustdoc that you had
  CARGO_BRIG_RUSTDOC                   that rustdoc, where RUSTDOC names a link to cargo-brig
  CARGO_BRIG_POLICY                    as --policy: a built-in policy (default, strict, farm,
                                       permissive) or the absolute path of a document, above all
                                       other layers
  CARGO_BRIG_LOG                       cargo-brig's own diagnostics on stderr: error, …, trace";

/// The own verbs.
#[derive(Debug, Parser)]
#[command(name = "cargo brig", bin_name = "cargo brig", version, about = ABOUT, after_help = HELP)]
#[command(
    override_usage = "cargo brig [--policy POLICY] [+toolchain] <CARGO COMMAND> [ARGUMENTS]…\n       \
                            cargo brig show [PACKAGE] [OPTIONS]\n       \
                            cargo brig freeze [PACKAGE]… [--output FILE]\n       \
                            cargo brig policy check|show|learn|init|schema\n       \
                            cargo brig audit [OPTIONS] [CARGO BUILD ARGUMENTS]…\n       \
                            cargo brig approve|diff|why …\n       \
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
        /// Where TMPDIR and HOME are made, with the same names each time
        #[arg(long, hide = true, value_name = "DIR")]
        private: Option<PathBuf>,
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

`--lints` reads the records and what lies on the disk. `--twice` runs the scripts, in the jail, with Cargo's
variables from the record and all others from here, in a directory that is removed afterwards.

Paths are shortened by the placeholders of policies. Under each denial is the rule that would allow
it, as a line of a policy; several rules with the same key have to be put into one list.

Exit codes:
  0 shown, 2 usage, 4 a record is missing, damaged or of another schema, or the workspace is not known")]
    Show(Show),
    /// Write down what build scripts told Cargo, as overrides by which it does not run them again
    #[command(after_help = "\
Only a package with a `links` key can have an override. What an override would not stand in for is not
frozen, and the reasons are said: a crate that includes files of OUT_DIR, or an instruction that names a
place in the build directory.

Exit codes:
  0 written, 2 usage, 4 a package that was named cannot be frozen, a record is missing or damaged, or the
  file cannot be written; nothing is written then")]
    Freeze(Freeze),
    /// Check, show or begin the policy that decides what build scripts may do
    #[command(
        subcommand,
        after_help = "\
A policy is made of layers. From the bottom: a built-in one (`default`, `strict`, `farm`,
`permissive`), the machine's /etc/cargo-brig/policy.toml, the user's ~/.config/cargo-brig/policy.toml,
the workspace's brig.toml, and one that is named by --policy or CARGO_BRIG_POLICY. Grants of all count
together; where two speak of the same limit, variable or switch, the upper one counts. The machine's can
be locked: then the layers above it only take away."
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
    /// Build in the jail, and compare what build scripts did with what was approved
    #[command(
        override_usage = "cargo brig audit [OPTIONS] [CARGO BUILD ARGUMENTS]…",
        after_help = "\
What is approved stands in brig.lock, beside Cargo.lock, and is to be committed. `cargo brig approve`
writes it; an audit never does. Everything that is no option of the audit's goes to `cargo build`:
`cargo brig audit --locked --release --target x86_64-unknown-linux-musl`.

Scripts that are fresh are judged by their records. One without a record, or with one that was made under
another policy, is run again.

Exit codes; of several, the first of this list:
  3 a script was not in the jail, 6 a script did what the policy does not forgive, 5 a script did what is
  not approved, 7 a script failed, 8 it cannot be said what a script did, 0 all is as approved;
  2 usage, 4 the audit could not be made"
    )]
    Audit(Audit),
    /// Approve what the last audit found: write brig.lock
    #[command(group = ArgGroup::new("which").args(["packages", "all"]).required(true), after_help = "\
Nothing is built: the report of the last audit is what is approved. What would be approved is shown, and
asked for where a terminal is there; elsewhere `--yes` is needed. A package that has other content under
a version that was approved has to be named.

Exit codes:
  0 written, or nothing to approve, 2 usage, or nobody to ask, or what is named is not there, 4 there is no audit, or brig.lock cannot be
  written; 1 nothing was accepted")]
    Approve(Approve),
    /// Compare two versions in brig.lock, or two states of it
    #[command(after_help = "\
OLD and NEW are versions of PACKAGE in brig.lock; or files; or Git revisions, of which brig.lock is
taken: `cargo brig diff main..`, `cargo brig diff openssl-sys 0.9.115..0.9.116`, `cargo brig diff
a.lock..b.lock`. Without NEW the working directory's brig.lock is compared.

Exit codes:
  0 compared, 2 usage, 4 one of them cannot be read, or none of them has the package")]
    Diff(Diff),
    /// Explain a package: what brings it in, what its build script did, and which rule allowed it
    #[command(after_help = "\
What was audited under `--policy`, or built, is explained under the same one.

Exit codes:
  0 explained, 2 usage, 4 the package or its record is not there, or was made under another policy")]
    Why(Why),
}

/// The arguments of `cargo brig audit`.
#[derive(Debug, Args)]
pub struct Audit {
    /// How the report is written; can be given several times
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub format: Vec<formats::Format>,
    /// Where the format before this goes [default: standard output]
    #[arg(long, value_name = "FILE")]
    pub output: Vec<PathBuf>,
    /// Run `cargo check` instead of `cargo build`
    #[arg(long)]
    pub check: bool,
    /// A built-in policy or a document, as for a build
    #[arg(long, value_name = "POLICY")]
    pub policy: Option<PathBuf>,
    /// What `cargo build` is given
    #[arg(last = true, hide = true)]
    pub cargo: Vec<OsString>,
}

/// The arguments of `cargo brig approve`.
#[derive(Debug, Args)]
pub struct Approve {
    /// The packages: `name` or `name@version`
    #[arg(value_name = "PACKAGE")]
    pub packages: Vec<PackageSpec>,
    /// All of them, but for those that have other content under the same version
    #[arg(long)]
    pub all: bool,
    /// Only this: an aspect (`programs`), or one value of it (`programs=curl`); several times
    #[arg(long, value_name = "ASPECT[=VALUE]")]
    pub only: Vec<Selection>,
    /// Ask nothing
    #[arg(long)]
    pub yes: bool,
    /// The directory that the audit was told to write to
    #[arg(long, value_name = "DIR")]
    pub target_dir: Option<PathBuf>,
    /// The workspace's or a package's Cargo.toml
    #[arg(long, value_name = "PATH")]
    pub manifest_path: Option<PathBuf>,
}

/// The arguments of `cargo brig diff`.
#[derive(Debug, Args)]
pub struct Diff {
    /// The package, and what is compared; or that alone
    #[arg(value_names = ["PACKAGE", "OLD..NEW"], num_args = 1..=2, required = true)]
    pub words: Vec<String>,
    /// For a person, or as one JSON object
    #[arg(long, value_enum, default_value = "human", value_name = "FORMAT")]
    pub format: Format,
    /// The workspace's or a package's Cargo.toml
    #[arg(long, value_name = "PATH")]
    pub manifest_path: Option<PathBuf>,
}

/// The arguments of `cargo brig why`.
#[derive(Debug, Args)]
pub struct Why {
    /// The package: `name` or `name@version`
    #[arg(value_name = "PACKAGE")]
    pub package: PackageSpec,
    /// For a person, or everything as one JSON object
    #[arg(long, value_enum, default_value = "human", value_name = "FORMAT")]
    pub format: Format,
    /// The built-in policy or the document that the script ran under, if one was named
    #[arg(long, value_name = "POLICY")]
    pub policy: Option<PathBuf>,
    /// Where the records are.
    #[command(flatten)]
    pub location: Location,
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
    /// List what is known of crates that need rules beyond `strict`, to be taken in by `crates = ["NAME"]`
    Crates {
        /// Print this crate's document, with the reason of each rule
        #[arg(value_name = "NAME")]
        name: Option<String>,
    },
    /// Propose the least rules that the recorded runs needed, as a document that extends `strict`
    #[command(after_help = "\
Printed to standard output: `cargo brig policy learn > learned.toml`, to be read and merged into brig.toml.
Where the collection has a document that gives it (`cargo brig policy crates`), that is taken in by name.
What would open a secret or a network, or run code outside the jail, and what no rule gives, stands there
as a comment. Scripts do not ask for every variable where it can be seen: see `unseen` in `cargo brig show
PACKAGE`.")]
    Learn(Learn),
    /// Print the JSON Schema of policies, by which an editor completes and checks them
    #[command(after_help = "\
With the language server taplo, a comment at a document's head names it:
  #:schema ./policy.schema.json")]
    Schema,
    /// Write a brig.toml to begin with, if there is none
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
#[expect(clippy::struct_excessive_bools, reason = "each is an option of the command line")]
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
    /// Instead, show the compilations in the jail that were recorded (`rustc.record` in a policy)
    #[arg(long)]
    pub rustc: bool,
    /// Instead, show what in the runs is against Cargo's advice to authors of build scripts
    #[arg(long, conflicts_with = "rustc")]
    pub lints: bool,
    /// For that, also run each script of PACKAGE two times more, and compare
    #[arg(long, requires = "lints", requires = "package")]
    pub twice: bool,
    /// Where the records are.
    #[command(flatten)]
    pub location: Location,
}

/// The arguments of `cargo brig policy learn`.
#[derive(Debug, Args)]
pub struct Learn {
    /// The package whose build script's runs are learned from: `name` or `name@version` [default: all]
    #[arg(value_name = "PACKAGE")]
    pub package: Option<PackageSpec>,
    /// Where the records are.
    #[command(flatten)]
    pub location: Location,
}

/// The arguments of `cargo brig freeze`.
#[derive(Debug, Args)]
pub struct Freeze {
    /// The packages: `name` or `name@version` [default: all that can be frozen]
    #[arg(value_name = "PACKAGE")]
    pub packages: Vec<PackageSpec>,
    /// Written instead of standard output, which is `-`; only an earlier one of the same kind is replaced
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Where the records are.
    #[command(flatten)]
    pub location: Location,
}

/// Where the records of a workspace are.
#[derive(Debug, Args)]
pub struct Location {
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

/// The arguments of `cargo brig audit` with its own options first, and behind `--` what is Cargo's; each
/// format is followed by an output.
#[must_use]
pub fn audit_arguments(arguments: &[OsString]) -> Vec<OsString> {
    const WITH_VALUE: [&str; 3] = ["--format", "--output", "--policy"];
    let (mut own, mut cargo) = (Vec::new(), Vec::new());
    let mut words = arguments.iter().cloned().peekable();
    let mut open_format = false;
    let stdout = |own: &mut Vec<OsString>| own.push(format!("--output={STDOUT}").into());
    while let Some(word) = words.next() {
        let text = word.to_string_lossy().into_owned();
        let option = text.split('=').next().unwrap_or_default();
        if option == "--format" && std::mem::replace(&mut open_format, true) {
            stdout(&mut own);
        }
        if option == "--output" && !std::mem::take(&mut open_format) {
            // One too many is told of as a mistake.
            own.push(format!("--output={STDOUT}").into());
        }
        if WITH_VALUE.contains(&option) {
            own.push(word);
            if !text.contains('=') {
                own.extend(words.next());
            }
        } else if ["--check", "--help", "-h"].contains(&option) {
            own.push(word);
        } else {
            cargo.push(word);
        }
    }
    if open_format {
        stdout(&mut own);
    }
    if !cargo.is_empty() {
        own.push("--".into());
        own.extend(cargo);
    }
    own
}

/// The own verbs.
const VERBS: [&str; 9] =
    ["exec", "freeze", "policy", "show", "doctor", "audit", "approve", "diff", "why"];

/// Whether these arguments, after `cargo brig`, are for us and not for Cargo. Of Cargo's commands Cargo
/// helps.
#[must_use]
pub fn is_own(arguments: &[OsString]) -> bool {
    match arguments.first().and_then(|first| first.to_str()) {
        None => arguments.is_empty(),
        Some("help") => arguments.get(1).is_none_or(|verb| verb.to_str().is_some_and(is_own_verb)),
        Some(first) => is_own_verb(first) || ["--help", "-h", "--version", "-V"].contains(&first),
    }
}

/// Whether a word is one of our verbs.
#[must_use]
pub fn is_own_verb(word: &str) -> bool {
    VERBS.contains(&word)
}

/// The verb at the beginning of these arguments, if it takes a `--policy`.
#[must_use]
pub fn with_policy(arguments: &[OsString]) -> Option<String> {
    let words: Vec<&str> = arguments.iter().take(2).filter_map(|word| word.to_str()).collect();
    match words[..] {
        [verb @ ("audit" | "why"), ..] => Some(verb.to_owned()),
        ["policy", verb @ ("show" | "check")] => Some(format!("policy {verb}")),
        _ => None,
    }
}

/// Understands the words of an own verb; says what is wrong with them, or helps, and ends, if that is all
/// there is to do.
#[must_use]
pub fn parse(words: Vec<OsString>) -> Verb {
    let command = Cli::command().color(color::of_help());
    let cli = Cli::from_arg_matches(&command.get_matches_from(words));
    cli.unwrap_or_else(|error| error.exit()).verb
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert!(!own("build") && !own("+nightly") && !own("-q"));
        let help = |of: &str| is_own(&[OsString::from("help"), OsString::from(of)]);
        assert!(own("help") && help("show") && !help("build"));
        let verbs = Cli::command();
        let mut verbs: Vec<&str> = verbs.get_subcommands().map(clap::Command::get_name).collect();
        verbs.sort_unstable();
        let mut expected = VERBS;
        expected.sort_unstable();
        assert_eq!(verbs, expected);
    }

    #[test]
    fn verbs_with_a_policy_are_known() {
        for command in Cli::command().get_subcommands() {
            let takes = |command: &clap::Command| {
                command.get_arguments().any(|argument| argument.get_id() == "policy")
            };
            let words = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
            let verb = command.get_name();
            assert_eq!(with_policy(&words(&[verb])).is_some(), takes(command), "{verb}");
            for inner in command.get_subcommands() {
                let words = words(&[verb, inner.get_name()]);
                assert_eq!(with_policy(&words).is_some(), takes(inner), "{words:?}");
            }
        }
    }

    #[test]
    fn what_is_not_the_audits_is_cargos() {
        let arranged = |text: &str| {
            let words: Vec<OsString> = text.split(' ').map(OsString::from).collect();
            let words = audit_arguments(&words);
            words
                .iter()
                .map(|word| word.to_string_lossy().into_owned())
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(
            arranged("--locked --format json -p a --output=b --check --format human"),
            "--format json --output=b --check --format human --output=- -- --locked -p a"
        );
        assert_eq!(
            arranged("--format json --format human --output x"),
            "--format json --output=- --format human --output x"
        );
        assert_eq!(arranged("+nightly --policy strict"), "--policy strict -- +nightly");
    }
}
