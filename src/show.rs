//! `cargo brig show`: what the records of a workspace's last build say, for a person or a program.
//!
//! Reads records and writes text; it runs nothing but `cargo metadata`, to learn where Cargo builds.

pub mod find;
pub mod groups;
pub mod lints;
pub mod list;
pub mod page;
pub mod processes;
pub mod quantity;
pub mod report;
pub mod rule;

use std::collections::BTreeSet;
use std::io::{self, Write, stdout};
use std::path::PathBuf;

use crate::access::printable;
use crate::cli::{Format, Show};
use crate::exit::{self, Ending};
use crate::launch::explain;
use crate::process::Exit;
use crate::stored::{Brief, Stored};
use crate::{completeness, lint, record};
use find::{Found, Workspace};
use page::{Page, Paint};

/// Why a record cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Cargo knows of no workspace here.
    #[error("cannot tell where Cargo builds: {}", printable(.reason))]
    NoWorkspace {
        /// What Cargo says.
        reason: String,
    },
    /// Nothing was ever built.
    #[error("there is no build directory `{}`", printable(&.path.to_string_lossy()))]
    NoBuildDirectory {
        /// Where Cargo would build.
        path: PathBuf,
    },
    /// No record at all.
    #[error("there is no record in `{}`", printable(&.path.to_string_lossy()))]
    NoRecords {
        /// Where Cargo builds.
        path: PathBuf,
    },
    /// No record of this package.
    #[error("there is no record of a build script of `{}`", printable(.package))]
    NoRecord {
        /// The package, as it was named.
        package: String,
    },
    /// No record of a compilation.
    #[error(
        "there is no record of a compilation{}",
        .package.as_ref().map(|package| format!(" of `{}`", printable(package))).unwrap_or_default()
    )]
    NoCompilation {
        /// The package, as it was named, if one was.
        package: Option<String>,
    },
    /// A package that nothing can be recorded of.
    #[error("the package `{}` has no build script", printable(.package))]
    NoScript {
        /// The package, as it was named.
        package: String,
    },
    /// The build directory.
    #[error(transparent)]
    Directory(#[from] completeness::Error),
    /// A record's file.
    #[error("cannot read the record `{}`", printable(&.path.to_string_lossy()))]
    Read {
        /// The file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// A file that is no record.
    #[error(
        "the record `{}` is damaged, at line {line}, column {column}: {}",
        printable(&.path.to_string_lossy()),
        printable(.message)
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// In bytes, from 1.
        column: usize,
        /// What is wrong.
        message: String,
    },
    /// A record of another schema.
    #[error(
        "the record `{}` has schema {schema}, written by {}; this is cargo-brig {}, which reads \
         schema {}",
        printable(&.path.to_string_lossy()),
        printable(.tool),
        env!("CARGO_PKG_VERSION"),
        record::SCHEMA
    )]
    Schema {
        /// The file.
        path: PathBuf,
        /// Its schema.
        schema: u32,
        /// Who wrote it.
        tool: String,
    },
    /// A script that cannot be run again.
    #[error(transparent)]
    Twice(#[from] lint::twice::Error),
    /// Standard output.
    #[error("cannot write to standard output")]
    Output(#[source] io::Error),
}

impl Error {
    /// What can be done about it.
    fn help(&self) -> Option<&'static str> {
        Some(match self {
            Self::NoWorkspace { .. } => {
                "go to a package's directory, or name one with --manifest-path, or the build \
                 directory with --target-dir"
            }
            Self::NoBuildDirectory { .. } => {
                "build with `cargo brig build` first, or say with --target-dir where it was built"
            }
            Self::NoRecords { .. } => {
                "a record is made when a build script runs in the jail: `cargo brig build` (after \
                 `cargo clean`, if plain Cargo has built here); a workspace without build scripts \
                 has none"
            }
            Self::NoRecord { .. } => {
                "`cargo brig show` lists those that there are; `cargo brig build` makes one of each \
                 build script that it runs"
            }
            Self::NoCompilation { .. } => {
                "compilations are recorded under `rustc.jail = true` and `rustc.record = true` in a \
                 policy, when a crate is compiled, and not while it is fresh"
            }
            Self::NoScript { .. } => "`cargo brig show` lists the packages that have a record",
            Self::Damaged { .. } => {
                "remove the package's build with `cargo clean -p PACKAGE`, and build it again with \
                 `cargo brig build`"
            }
            Self::Schema { schema, .. } if *schema > record::SCHEMA => {
                "install the cargo-brig that wrote it, or build again with this one, after `cargo \
                 clean -p PACKAGE`"
            }
            Self::Schema { .. } => {
                "build again with this cargo-brig, after `cargo clean -p PACKAGE`"
            }
            Self::Twice(_) => "build again with `cargo brig build`, in the same environment",
            Self::Directory(_) | Self::Read { .. } | Self::Output(_) => return None,
        })
    }

    fn tell(&self) {
        let text = explain(self).replacen("error:", "error: brig:", 1);
        // Nobody is left to be told of an error on stderr.
        drop(writeln!(io::stderr(), "{text}"));
        if let Some(help) = self.help() {
            drop(writeln!(io::stderr(), "  help: {help}"));
        }
    }
}

/// Shows what is asked for. Everything that cannot be shown is told on stderr, and makes the exit
/// code [`exit::FAILED`].
#[must_use]
pub fn run(arguments: &Show) -> Ending {
    let mut complete = true;
    let outcome = show(arguments, &mut |error| {
        error.tell();
        complete = false;
    });
    match outcome {
        Ok(()) if complete => Ending::Code(0),
        Ok(()) => Ending::Code(exit::FAILED),
        // Whoever reads has seen enough.
        Err(Error::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ending::Code(0),
        Err(error) => {
            error.tell();
            Ending::Code(exit::FAILED)
        }
    }
}

/// As [`run`]; a record that cannot be read goes to `failed`, and the others are shown.
fn show(arguments: &Show, failed: &mut impl FnMut(Error)) -> Result<(), Error> {
    let workspace = Workspace::of(&arguments.location)?;
    let package = arguments.package.as_ref();
    let mut found = if arguments.rustc {
        workspace.compilations(package, failed)?
    } else {
        workspace.records(package, failed)?
    };
    if found.is_empty() {
        return Ok(());
    }
    let older = if arguments.all { Vec::new() } else { find::retain_last(&mut found) };
    match arguments.format {
        _ if arguments.lints => lints::write_all(arguments, &found, failed),
        Format::Json => write_json(&found),
        Format::Human if arguments.package.is_some() => {
            write_reports(&found, &older, arguments.all, failed)
        }
        Format::Human => {
            let mut page = Page::new(Paint::of_stdout());
            list::render(&mut page, &found, &older);
            write(page.text().as_bytes())
        }
    }
}

fn write(bytes: &[u8]) -> Result<(), Error> {
    let mut out = stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).map_err(Error::Output)
}

fn write_reports(
    found: &[Found],
    older: &[Found],
    all: bool,
    failed: &mut impl FnMut(Error),
) -> Result<(), Error> {
    let mut is_first = true;
    for run in found {
        let text = find::read(&run.path)?;
        let stored: Stored = match serde_json::from_slice(&text) {
            Ok(stored) => stored,
            Err(error) => {
                failed(find::damaged(&run.path, &error));
                continue;
            }
        };
        let mut page = Page::new(Paint::of_stdout());
        if !is_first {
            page.blank();
        }
        is_first = false;
        report::render(&mut page, &stored, &run.path, all);
        write(page.text().as_bytes())?;
    }
    if !older.is_empty() {
        let mut page = Page::new(Paint::of_stdout());
        page.blank();
        page.dim(0, &list::older(older));
        write(page.text().as_bytes())?;
    }
    Ok(())
}

/// The records as they are, each with its file's path as the first field.
fn write_json(found: &[Found]) -> Result<(), Error> {
    let mut before = b"[\n".as_slice();
    for run in found {
        let text = find::read(&run.path)?;
        let fields = text.trim_ascii().strip_prefix(b"{").unwrap_or_default().trim_ascii_start();
        let path = serde_json::to_string(&run.path.to_string_lossy())
            .map_err(|error| Error::Output(error.into()))?;
        write(before)?;
        write(format!("{{\n  \"path\": {path},\n  ").as_bytes())?;
        write(fields)?;
        before = b",\n";
    }
    write(b"\n]\n")
}

/// How many things the jail refused or found, as the summary of the build counted them.
fn denied(run: &Brief<'_>) -> u64 {
    let failed = run.exit != Exit::Code(0);
    let network = run.network.iter().filter(|attempt| attempt.counts(failed));
    let withheld = run.withheld_instructions.iter().filter(|withheld| withheld.fatal);
    // What is printed twice is told of once.
    let withheld: BTreeSet<(&str, &str)> =
        withheld.map(|withheld| (&*withheld.line, &*withheld.reason)).collect();
    let told = run.denials.len() + network.count() + run.findings.len() + withheld.len();
    told as u64 + run.denials_dropped
}
