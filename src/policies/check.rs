//! `cargo brig policy check`: every mistake of the documents that are named, or that decide here.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::{Error, print};
use crate::exit::{self, Ending};
use crate::launch::explain;
use crate::policy::document::{self, Document};
use crate::policy::layers::{self, MACHINE, Places};
use crate::policy::{Layers, Policy};

/// Checks; what is wrong goes to stderr, a line for each document that is not to stdout.
///
/// # Errors
/// [`Error::Output`].
pub fn run(files: &[PathBuf], places: &Places) -> Result<Ending, Error> {
    let named = !files.is_empty();
    let here = [Some(PathBuf::from(MACHINE)), places.user(), places.workspace()];
    let of_build = places.named.clone().filter(|named| named.is_absolute());
    let files: Vec<PathBuf> = if named {
        files.to_vec()
    } else {
        here.into_iter().flatten().filter(|path| path.exists()).chain(of_build).collect()
    };
    let mut is_wrong = false;
    for file in &files {
        is_wrong |= !check(file)?;
    }
    if !named && !is_wrong {
        is_wrong |= !together(places)?;
    }
    if files.is_empty() {
        print(
            "no policy of this machine, this user or this workspace: the built-in one decides\n",
        )?;
    }
    Ok(Ending::Code(if is_wrong { exit::USAGE } else { 0 }))
}

/// Whether a document is a policy.
fn check(file: &Path) -> Result<bool, Error> {
    let read = Document::read(file);
    let (text, is_right) = match &read {
        Ok(document) => (document.warnings.to_string(), true),
        Err(document::Error::Invalid(found)) => (found.to_string(), false),
        Err(error) => (explain(error), false),
    };
    if !text.is_empty() {
        // Nobody is left to be told of an error on stderr.
        drop(writeln!(io::stderr(), "{text}"));
    }
    if let Ok(document) = read {
        let count = document.warnings.0.len();
        let warnings = match count {
            0 => String::new(),
            1 => ", with a warning".to_owned(),
            _ => format!(", with {count} warnings"),
        };
        print(&format!("{}: a policy{warnings}\n", file.display()))?;
    }
    Ok(is_right)
}

/// Whether the documents go together; what counts for nothing is told.
fn together(places: &Places) -> Result<bool, Error> {
    let layers = match Layers::read(places) {
        Ok(layers) => layers,
        Err(error @ layers::Error::Document(_)) => return Err(error.into()),
        Err(error) => {
            drop(writeln!(io::stderr(), "{}", explain(&error)));
            return Ok(false);
        }
    };
    let mut text = String::new();
    let packages = layers.layers.iter().flat_map(|layer| &layer.document.packages);
    let names: Vec<&str> = packages.map(|package| package.name.as_str()).collect();
    let mut told = Vec::new();
    for name in names.into_iter().chain([""]) {
        for gone in Policy::of(&layers, name, "").ineffective {
            if !told.contains(&gone) {
                writeln!(
                    text,
                    "warning: {}:{}: `{} = {}` counts for nothing: the policy `{}` is locked",
                    gone.place.file,
                    gone.place.line,
                    gone.key,
                    gone.text,
                    layers.base.name()
                )
                .expect("a String takes it all");
                told.push(gone);
            }
        }
    }
    drop(io::stderr().write_all(text.as_bytes()));
    Ok(true)
}
