//! `cargo brig diff`: two versions of a package in the baseline, or two states of the whole.

use std::collections::BTreeMap;
use std::io::{self, Write, stdout};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::baseline::{self, Approved, Baseline};
use super::behaviour::{Aspect, Behaviour};
use super::fail;
use super::place::Place;
use crate::access::printable;
use crate::cli::Diff;
use crate::exit::{self, Ending};
use crate::show;

/// Why nothing can be compared.
#[derive(Debug, thiserror::Error)]
enum Error {
    /// Not what is compared.
    #[error("write `cargo brig diff [PACKAGE] OLD..NEW`")]
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
            Ok((old, new)) => return render(&old, &new),
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

fn render(old: &State, new: &State) -> Result<(), Error> {
    let mut text = String::new();
    let mut line = |line: &str| {
        text.push_str(&printable(line));
        text.push('\n');
    };
    let nothing = Behaviour::default();
    let mut titles: Vec<&String> = old.keys().chain(new.keys()).collect();
    titles.sort();
    titles.dedup();
    let mut differing = 0;
    for title in titles {
        let (before, after) = (old.get(title), new.get(title));
        if before == after {
            continue;
        }
        differing += 1;
        let version = |of: Option<&Approved>| of.map(|of| format!("v{}", of.version));
        line(&match (version(before), version(after)) {
            (Some(before), Some(after)) if before == after => format!("{title} {before}"),
            (Some(before), Some(after)) => format!("{title} {before} → {after}"),
            (Some(before), None) => format!("{title} {before}: is not there any more"),
            (None, after) => format!("{title} {}: is new", after.unwrap_or_default()),
        });
        if let (Some(before), Some(after)) = (before, after) {
            if before.source != after.source {
                line("  has another source");
            }
            if before.version == after.version && before.checksum != after.checksum {
                line("  has another checksum under the same version");
            }
        }
        let of = |side: Option<&Approved>| {
            side.map_or_else(|| nothing.clone(), |of| of.behaviour.clone())
        };
        let (before, after) = (of(before), of(after));
        for aspect in Aspect::ALL {
            for value in after.of(aspect).difference(before.of(aspect)) {
                line(&format!("  + {}: {value}", aspect.verb()));
            }
            for value in before.of(aspect).difference(after.of(aspect)) {
                line(&format!("  - {}: {value}", aspect.verb()));
            }
        }
    }
    if differing == 0 {
        line("No difference");
    }
    let mut out = stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(Error::Output)
}
