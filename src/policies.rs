//! `cargo brig policy`: what decides here, whether it is well written, and a beginning.
//!
//! Reads documents and writes text. Of all verbs only `init` makes a file, and never over another.

pub mod check;
pub mod collection;
pub mod init;
pub mod learn;
pub mod view;

use std::env;
use std::ffi::OsString;
use std::io::{self, Write, stdout};
use std::path::PathBuf;

use serde_json::Value;

use crate::cli::PolicyVerb;
use crate::exit::{self, Ending};
use crate::front;
use crate::front::command_line::CommandLine;
use crate::launch::explain;
use crate::policy::layers::{self, Places};
use crate::policy::schema::schema;
use crate::settings;
use crate::show;

/// Why a verb could not do its part.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The documents.
    #[error(transparent)]
    Layers(#[from] layers::Error),
    /// The records.
    #[error(transparent)]
    Records(#[from] show::Error),
    /// No package of this name.
    #[error("there is no package `{package}` in this workspace")]
    NoPackage {
        /// As it was named.
        package: String,
    },
    /// No document of this name.
    #[error(
        "the collection has no document for a crate `{name}`; `cargo brig policy crates` lists those that it has"
    )]
    NotCollected {
        /// As it was named.
        name: String,
    },
    /// A file that would be written over.
    #[error("`{}` is there already", .path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// A file that cannot be written.
    #[error("cannot write `{}`", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// Standard output.
    #[error("cannot write to standard output")]
    Output(#[source] io::Error),
}

/// Runs one of the verbs.
#[must_use]
pub fn run(verb: &PolicyVerb) -> Ending {
    let outcome = match verb {
        PolicyVerb::Check { files, policy } => check::run(files, &places(policy.as_deref())),
        PolicyVerb::Show { package, policy } => {
            view::run(package.as_ref(), &places(policy.as_deref()))
        }
        PolicyVerb::Crates { name } => collection::run(name.as_deref()),
        PolicyVerb::Schema => print(&format!("{:#}\n", schema())).map(|()| Ending::Code(0)),
        PolicyVerb::Learn(arguments) => learn::run(arguments),
        PolicyVerb::Init { strict, cargo_config } => init::run(*strict, *cargo_config),
    };
    match outcome {
        Ok(ending) => ending,
        Err(Error::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ending::Code(0),
        Err(error) => {
            let text = explain(&error).replacen("error:", "error: brig:", 1);
            // Nobody is left to be told of an error on stderr.
            drop(writeln!(io::stderr(), "{text}"));
            Ending::Code(if matches!(error, Error::Layers(_)) { exit::USAGE } else { exit::FAILED })
        }
    }
}

/// Where the policies of a build are that is started here.
fn places(named: Option<&str>) -> Places {
    let places = places_at(workspace().or_else(|| env::current_dir().ok()));
    let named = named.map(|named| front::policy_of(named.as_ref()));
    Places { named: named.or(places.named), ..places }
}

/// Where the policies of a build are that is started in a workspace, or another directory.
#[must_use]
pub fn places_at(directory: Option<PathBuf>) -> Places {
    let named = env::var_os(settings::POLICY).filter(|named| !named.is_empty());
    Places {
        config_home: Places::config_home(
            env::var_os("XDG_CONFIG_HOME").as_deref(),
            env::var_os("HOME").as_deref(),
        ),
        directory,
        named: named.map(PathBuf::from),
    }
}

/// The root of the workspace, if this is one.
fn workspace() -> Option<PathBuf> {
    let metadata = metadata(&["--no-deps"])?;
    metadata.get("workspace_root").and_then(Value::as_str).map(PathBuf::from)
}

fn metadata(options: &[&str]) -> Option<Value> {
    front::metadata(&CommandLine::parse(&[OsString::from("metadata")]), options)
}

fn print(text: &str) -> Result<(), Error> {
    let mut out = stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(Error::Output)
}
