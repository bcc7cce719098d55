//! `cargo brig diff`: two versions of a package in the baseline, or two states of the whole.

use std::collections::BTreeMap;
use std::io::{self, Write, stdout};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Serialize;

use super::baseline::{self, Approved, Baseline};
use super::behaviour::{Aspect, Behaviour};
use super::fail;
use super::formats::visible_json;
use super::place::Place;
use super::report::Gone;
use crate::access::printable;
use crate::cli::{Diff, Format};
use crate::exit::{self, Ending};
use crate::show;

/// Version of the fields of [`Comparison`]; raised when one changes its meaning or goes.
const SCHEMA: u32 = 1;

/// Why nothing can be compared.
#[derive(Debug, thiserror::Error)]
enum Error {
    /// Not what is compared.
    #[error("write `cargo brig diff [PACKAGE] OLD..NEW`, with versions, files or Git revisions")]
    Usage,
    /// Cargo knows of no workspace here.
    #[error(transparent)]
    NoWorkspace(#[from] show::Error),
    /// A baseline.
    #[error(transparent)]
    Baseline(#[from] baseline::Error),
    /// There is none.
    #[error("there is no baseline `{}`", .path.display())]
    NoBaseline {
        /// Where it would be.
        path: PathBuf,
    },
    /// Neither a version, nor a file, nor a revision.
    #[error("`{}` is no {what}", printable(.word))]
    Unknown {
        /// As it was written.
        word: String,
        /// What it could have been.
        what: String,
    },
    /// A package that neither side has.
    #[error("`{}` is in neither of the two", printable(.package))]
    NoPackage {
        /// The package.
        package: String,
    },
    /// Git.
    #[error("cannot run git")]
    Git(#[source] io::Error),
    /// Standard output.
    #[error("cannot write to standard output")]
    Output(#[source] io::Error),
}

/// Compares what the arguments say.
#[must_use]
pub fn run(arguments: &Diff) -> Ending {
    match compare(arguments) {
        Ok(()) => Ending::Code(0),
        Err(Error::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ending::Code(0),
        Err(error) => {
            let code = if matches!(error, Error::Usage) { exit::USAGE } else { exit::FAILED };
            let help = match &error {
                Error::Baseline(error) => error.help(),
                _ => None,
            };
            fail(&error, help, code)
        }
    }
}

fn compare(arguments: &Diff) -> Result<(), Error> {
    let (package, range) = match &arguments.words[..] {
        [range] => (None, range),
        [package, range] => (Some(package.as_str()), range),
        _ => return Err(Error::Usage),
    };
    let place = Place::of(None, arguments.manifest_path.as_ref())?;
    let current = place.root.join(baseline::FILE_NAME);
    // Two dots can be part of a path.
    let splits: Vec<(&str, &str)> = range
        .match_indices("..")
        .map(|(at, dots)| (&range[..at], &range[at + dots.len()..]))
        .collect();
    let mut error = Error::Usage;
    for (old, new) in splits.into_iter().filter(|(old, _)| !old.is_empty()) {
        let sides = package
            .and_then(|package| versions(&current, package, old, new).transpose())
            .unwrap_or_else(|| {
                Ok((state(&place.root, old, package)?, state(&place.root, new, package)?))
            });
        match sides {
            Ok((old, new)) => {
                if let Some(package) = package.filter(|_| old.is_empty() && new.is_empty()) {
                    return Err(Error::NoPackage { package: package.to_owned() });
                }
                return write(&differences(&old, &new), arguments.format);
            }
            Err(failure) => error = failure,
        }
    }
    Err(error)
}

/// What is compared: packages by a title.
type State = BTreeMap<String, Approved>;

/// Two versions of a package in one baseline, if it has both.
fn versions(
    current: &Path,
    package: &str,
    old: &str,
    new: &str,
) -> Result<Option<(State, State)>, Error> {
    let Some((baseline, _)) = Baseline::read(current)? else { return Ok(None) };
    let of = |version: &str| {
        let found = baseline.packages.iter().find(|approved| approved.is(package, version))?;
        Some(State::from([(package.to_owned(), found.clone())]))
    };
    Ok(of(old).zip(of(new)))
}

/// A baseline: a file, whose name ends in `.lock` as no branch's does (`git-check-ref-format(1)`); or that of
/// a Git revision; or the working directory's.
fn state(root: &Path, word: &str, package: Option<&str>) -> Result<State, Error> {
    let current = root.join(baseline::FILE_NAME);
    let path = if word.is_empty() { current } else { PathBuf::from(word) };
    let is_file = path.extension().is_some_and(|extension| extension == "lock");
    let baseline = if is_file {
        let read = Baseline::read(&path)?;
        read.map(|(baseline, _)| baseline).ok_or(Error::NoBaseline { path })?
    } else {
        of_revision(root, word, package)?
    };
    let packages = baseline.packages.into_iter();
    let meant = packages.filter(|approved| package.is_none_or(|package| approved.name == package));
    let mut state = State::new();
    for approved in meant {
        // Of several versions each stands for itself; a single one can be followed by another.
        let title = if state.contains_key(&approved.name) {
            format!("{} v{}", approved.name, approved.version)
        } else {
            approved.name.clone()
        };
        state.insert(title, approved);
    }
    Ok(state)
}

/// The baseline in a Git revision (gitrevisions(7), `REV:./PATH`).
fn of_revision(root: &Path, revision: &str, package: Option<&str>) -> Result<Baseline, Error> {
    let unknown = || Error::Unknown {
        word: revision.to_owned(),
        what: match package {
            Some(package) => format!(
                "version of `{}` in brig.lock, and no Git revision with a brig.lock",
                printable(package)
            ),
            None => "Git revision with a brig.lock, and no file that ends in `.lock`".to_owned(),
        },
    };
    if revision.starts_with('-') {
        return Err(unknown());
    }
    let object = format!("{revision}:./{}", baseline::FILE_NAME);
    // What a repository says of itself must not run anything: one that lies bare in the tree is none, and
    // what is missing in it is not fetched (git(1), git-config(1)).
    let output = Command::new("git")
        .args(["-c", "safe.bareRepository=explicit", "cat-file", "blob", &object])
        .env("GIT_NO_LAZY_FETCH", "1")
        .env("GIT_ALLOW_PROTOCOL", "none")
        .current_dir(root)
        .stdin(Stdio::null())
        .output()
        .map_err(Error::Git)?;
    if !output.status.success() {
        return Err(unknown());
    }
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(Baseline::parse(Path::new(&object), &text)?)
}

/// All that is different.
#[derive(Debug, Serialize)]
struct Comparison {
    schema: u32,
    tool: &'static str,
    differences: Vec<Difference>,
}

/// What is different of one package.
#[derive(Debug, Serialize)]
struct Difference {
    /// Its name, and its version where there are several.
    package: String,
    /// Its version before; none of one that is new.
    old: Option<String>,
    /// Its version now; none of one that is gone.
    new: Option<String>,
    /// Whether it comes from elsewhere.
    other_source: bool,
    /// Whether it has another checksum under the same version.
    other_checksum: bool,
    /// What is approved now only.
    added: Vec<Gone>,
    /// What was approved before only.
    removed: Vec<Gone>,
}

fn differences(old: &State, new: &State) -> Comparison {
    let mut titles: Vec<&String> = old.keys().chain(new.keys()).collect();
    titles.sort();
    titles.dedup();
    let differing = titles.into_iter().filter(|title| old.get(*title) != new.get(*title));
    Comparison {
        schema: SCHEMA,
        tool: concat!("cargo-brig ", env!("CARGO_PKG_VERSION")),
        differences: differing
            .map(|title| difference(title, old.get(title), new.get(title)))
            .collect(),
    }
}

fn difference(title: &str, old: Option<&Approved>, new: Option<&Approved>) -> Difference {
    let both = old.zip(new);
    let nothing = Behaviour::default();
    let [before, after] = [old, new].map(|side| side.map_or(&nothing, |side| &side.behaviour));
    let only = |one: &Behaviour, other: &Behaviour| -> Vec<Gone> {
        let values = one.values().filter(|(aspect, value)| !other.of(*aspect).contains(*value));
        values.map(|(aspect, value)| Gone { aspect, value: value.to_owned() }).collect()
    };
    Difference {
        package: title.to_owned(),
        old: old.map(|old| old.version.clone()),
        new: new.map(|new| new.version.clone()),
        other_source: both.is_some_and(|(old, new)| old.source != new.source),
        other_checksum: both
            .is_some_and(|(old, new)| old.version == new.version && old.checksum != new.checksum),
        added: only(after, before),
        removed: only(before, after),
    }
}

fn write(comparison: &Comparison, format: Format) -> Result<(), Error> {
    let mut text = Vec::new();
    match format {
        Format::Json => visible_json::write(comparison, &mut text).map_err(Error::Output)?,
        Format::Human => text.extend(rendered(&comparison.differences).as_bytes()),
    }
    let mut out = stdout().lock();
    out.write_all(&text).and_then(|()| out.flush()).map_err(Error::Output)
}

/// As a person reads it.
fn rendered(differences: &[Difference]) -> String {
    let mut lines = Vec::new();
    for Difference { package, old, new, other_source, other_checksum, added, removed } in
        differences
    {
        lines.push(match (old, new) {
            (Some(old), Some(new)) if old == new => format!("{package} v{old}"),
            (Some(old), Some(new)) => format!("{package} v{old} → v{new}"),
            (Some(old), None) => format!("{package} v{old}: is not there any more"),
            (None, new) => format!("{package} v{}: is new", new.as_deref().unwrap_or_default()),
        });
        if *other_source {
            lines.push("  has another source".to_owned());
        }
        if *other_checksum {
            lines.push("  has another checksum under the same version".to_owned());
        }
        for aspect in Aspect::ALL {
            for (sign, values) in [('+', added), ('-', removed)] {
                let values = values.iter().filter(|value| value.aspect == aspect);
                lines.extend(values.map(|of| format!("  {sign} {}: {}", aspect.verb(), of.value)));
            }
        }
    }
    if differences.is_empty() {
        lines.push("No difference".to_owned());
    }
    lines.iter().map(|line| printable(line) + "\n").collect()
}
