//! cargo-brig: `cargo build`, with every build script in a Landlock and seccomp jail.
//!
//! The library has no public interface to rely on; it is there so that the tests can reach it. Its
//! modules, in the order in which data flows:
//!
//! - [`cli`]: own verbs and help; [`front`]: any Cargo command, with the shim in force
//! - [`color`]: whether what a person reads has colours
//! - [`settings`]: what the front door tells the others; [`config`]: Cargo's settings that matter
//! - [`shim`]: the rustc wrapper; [`launcher`]: the file that stands in for a script
//! - [`launch`]: one run of one script, step by step; [`redirect`]: copies of directories
//!   that it writes to in their place; [`compile`]: one compilation in the jail, where that is wanted
//! - [`mod@unit`]: who is run; [`policy`]: what it may do; [`jail`]: how that is enforced
//! - [`supervise`] and [`warden`]: the processes outside and inside the jail; [`orphans`]: ending what
//!   they leave; [`tokens`]: the jobserver they share; [`access`], [`process`] and
//!   [`network`]: what they observe
//! - [`preload`]: the library that tells which environment variables are asked for
//! - [`instruction`]: Cargo's grammar; [`relay`]: a script's output on its way to Cargo
//! - [`terminal`]: what steers a terminal, made visible; [`planted`]: links that lead out of `OUT_DIR`
//! - [`watchdog`]: what a script uses, against its limits; [`finding`] and [`denials`]: what a person should hear
//!   of;
//!   [`mod@output`]: what it leaves
//! - [`record`]: what is known of a run; [`session`]: what a build's launchers tell the front door;
//!   [`private_dir`]: directories for one run or one session; [`leftovers`]: files of who was killed
//! - [`stored`]: a record as it is read back; [`lint`]: what in it is a mistake; [`show`]: what a person is told of it
//! - [`freeze`]: records as overrides of Cargo's configuration
//! - [`policies`]: the verbs that check, show, propose and begin policies
//! - [`doctor`]: can scripts be jailed on this machine, and how well?
//! - [`completeness`]: is every script of the build a launcher?
//! - [`audit`]: does every script do only what was approved?
//! - [`exit`]: exit codes; [`digest`]: how digests are written; [`elf`]: what a program is linked with;
//!   [`sys`]: system calls, the only unsafe code

pub mod access;
pub mod audit;
pub mod cli;
pub mod color;
pub mod compile;
pub mod completeness;
pub mod config;
pub mod denials;
pub mod digest;
pub mod doctor;
pub mod elf;
pub mod exit;
pub mod finding;
pub mod freeze;
pub mod front;
pub mod instruction;
pub mod jail;
pub mod launch;
pub mod launcher;
pub mod leftovers;
pub mod lint;
pub mod network;
pub mod orphans;
pub mod output;
pub mod planted;
pub mod policies;
pub mod policy;
pub mod preload;
pub mod private_dir;
pub mod process;
pub mod record;
pub mod redirect;
pub mod relay;
pub mod session;
pub mod settings;
pub mod shim;
pub mod show;
pub mod stored;
pub mod supervise;
pub mod sys;
pub mod terminal;
pub mod tokens;
pub mod unit;
pub mod warden;
pub mod watchdog;
