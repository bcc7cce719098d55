//! `cargo brig approve`: takes over what the last audit found, or a part of it, into the baseline.
//!
//! Nothing is built or run: what is approved is what the audit's report says, and only if `Cargo.lock` is
//! still the one that was audited.

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::{fs, io::stdin};

use super::baseline::{self, Baseline, SCHEMA};
use super::cargo_lock::{self, CargoLock};
use super::place::Place;
use super::report::{Change, Package, Report, Verdict};
use super::{beside, fail, last};
use crate::access::printable;
use crate::cli::{Approve, Selection};
use crate::exit::{self, Ending};
use crate::show::{self, quantity::counted};

/// Why nothing can be approved.
#[derive(Debug, thiserror::Error)]
enum Error {
    /// Cargo knows of no workspace here.
    #[error(transparent)]
    NoWorkspace(#[from] show::Error),
    /// The last audit.
    #[error(transparent)]
    Last(#[from] last::Error),
    /// The baseline.
    #[error(transparent)]
    Baseline(#[from] baseline::Error),
    /// `Cargo.lock`.
    #[error(transparent)]
    CargoLock(#[from] cargo_lock::Error),
    /// Dependencies are not those that were audited.
    #[error("`{}` is not the one that was audited", .path.display())]
    Outdated {
        /// The file.
        path: PathBuf,
    },
    /// A package that the audit did not see.
    #[error("the last audit knows of no build script of `{}`", printable(.package))]
    NoPackage {
        /// As it was named.
        package: String,
    },
    /// A value that no package has.
    #[error("none of these packages does what `--only {}` says", printable(&.only.to_string()))]
    NoSuchValue {
        /// As it was named.
        only: Selection,
    },
    /// No terminal.
    #[error("there is nobody to ask: `--yes` approves what is shown")]
    Nobody,
    /// The terminal or standard output.
    #[error("cannot ask")]
    Ask(#[source] io::Error),
}

impl Error {
    fn help(&self) -> Option<&'static str> {
        match self {
            Self::Last(last::Error::None { .. }) => Some(
                "run `cargo brig audit` first; if it was given --target-dir, give it here, too",
            ),
            Self::Last(_) | Self::Outdated { .. } => Some("run `cargo brig audit` again"),
            Self::Baseline(error) => error.help(),
            _ => None,
        }
    }
}

/// Approves what the arguments say.
#[must_use]
pub fn run(arguments: &Approve) -> Ending {
    match approve(arguments) {
        Ok(ending) => ending,
        Err(error) => {
            let code = match error {
                Error::Nobody | Error::NoPackage { .. } | Error::NoSuchValue { .. } => exit::USAGE,
                _ => exit::FAILED,
            };
            fail(&error, error.help(), code)
        }
    }
}

fn approve(arguments: &Approve) -> Result<Ending, Error> {
    let place = Place::of(arguments.target_dir.as_ref(), arguments.manifest_path.as_ref())?;
    let report = last::read(&place.target)?;
    let cargo_lock_file = place.root.join("Cargo.lock");
    let digest = fs::read(&cargo_lock_file).ok().map(|text| beside::digest(&text));
    let is_same_place = Path::new(&report.workspace.root) == place.root;
    if digest != report.workspace.lock_sha256 || !is_same_place {
        return Err(Error::Outdated { path: cargo_lock_file });
    }
    let file = place.root.join(baseline::FILE_NAME);
    let read = Baseline::read(&file)?;
    let is_new = read.is_none();
    let mut baseline = read.map_or_else(
        || Baseline { version: SCHEMA, packages: Vec::new() },
        |(baseline, _)| baseline,
    );
    let offers = offers(arguments, &report, is_new)?;
    if offers.is_empty() {
        println(&format!(
            "Nothing to approve: {}",
            if arguments.only.is_empty() {
                "all is as approved"
            } else {
                "there is no such change"
            }
        ))?;
        return Ok(Ending::Code(0));
    }
    for offer in &offers {
        offer.show()?;
    }
    let accepted = if arguments.yes { offers } else { ask(offers)? };
    if accepted.is_empty() {
        println("Nothing is approved")?;
        return Ok(Ending::Code(exit::DECLINED));
    }
    let cargo_lock = CargoLock::read(&cargo_lock_file, &[])?;
    for offer in &accepted {
        offer.take_over(&mut baseline);
    }
    forget_departed(&mut baseline, &accepted, &cargo_lock);
    baseline.write(&file)?;
    let verb = if is_new { "Wrote" } else { "Changed" };
    println(&format!(
        "{verb} {}: {} approved",
        file.display(),
        counted(accepted.len() as u64, "package")
    ))?;
    Ok(Ending::Code(0))
}

/// What could be approved of one package.
struct Offer<'r> {
    package: &'r Package,
    changes: Vec<&'r Change>,
}

/// What the arguments select of what the audit found.
fn offers<'r>(
    arguments: &Approve,
    report: &'r Report,
    is_new: bool,
) -> Result<Vec<Offer<'r>>, Error> {
    let is_named = |package: &Package| {
        arguments
            .packages
            .iter()
            .any(|spec| spec.name == package.name && spec.is_version(&package.version))
    };
    for spec in &arguments.packages {
        let is_it =
            |package: &Package| spec.name == package.name && spec.is_version(&package.version);
        if !report.packages.iter().any(is_it) {
            return Err(Error::NoPackage { package: spec.name.clone() });
        }
    }
    let is_done = |only: &&Selection| {
        let meant = report.packages.iter().filter(|package| arguments.all || is_named(package));
        let mut values = meant.flat_map(|package| package.behaviour.values());
        only.value.is_none() || values.any(|(aspect, value)| only.includes(aspect, value))
    };
    if let Some(only) = arguments.only.iter().find(|only| !is_done(only)) {
        return Err(Error::NoSuchValue { only: only.clone() });
    }
    let mut offers = Vec::new();
    for package in &report.packages {
        let is_meant =
            if arguments.all { package.verdict != Verdict::Replaced } else { is_named(package) };
        // A script that failed has not shown all that it does, and one outside the jail nothing.
        let is_known = package.verdict.can_be_approved() || package.verdict == Verdict::Violated;
        let is_missing = is_new && package.verdict == Verdict::Unchanged;
        if !is_meant || !(is_known || is_missing) {
            continue;
        }
        let is_selected = |change: &&Change| {
            arguments.only.is_empty()
                || arguments.only.iter().any(|only| only.includes(change.aspect, &change.value))
        };
        let changes: Vec<&Change> = package.added.iter().filter(is_selected).collect();
        // A package that does nothing remarkable is approved as such.
        let is_whole = arguments.only.is_empty() && package.verdict != Verdict::Violated;
        if !changes.is_empty() || is_whole {
            offers.push(Offer { package, changes });
        }
    }
    Ok(offers)
}

impl Offer<'_> {
    fn show(&self) -> Result<(), Error> {
        let Package { verdict, .. } = self.package;
        println(&format!("{}: {verdict}", self.package.title()))?;
        if let Some(reason) = &self.package.reason {
            println(&format!("  {reason}"))?;
        }
        for change in &self.changes {
            println(&format!("  + {}: {}", change.aspect.verb(), change.value))?;
        }
        if self.changes.is_empty() {
            println("  nothing that it is not approved for")?;
        }
        Ok(())
    }

    /// Adds it to the baseline, beside what was approved of it already.
    fn take_over(&self, baseline: &mut Baseline) {
        let Package { name, version, source, checksum, .. } = self.package;
        let known = baseline.of_version(name, version, source.as_deref());
        let known = known.or_else(|| baseline.nearest(name, version, source.as_deref()));
        let mut behaviour = known.map(|known| known.behaviour.clone()).unwrap_or_default();
        for change in &self.changes {
            behaviour.of_mut(change.aspect).insert(change.value.clone());
        }
        // What was approved from elsewhere is so no longer.
        if self.package.verdict == Verdict::Replaced {
            baseline.packages.retain(|approved| !approved.is(name, version));
        }
        let entry = baseline.entry(name, version, source.as_deref());
        entry.source.clone_from(source);
        entry.checksum.clone_from(checksum);
        entry.behaviour = behaviour;
    }
}

/// Takes away what `Cargo.lock` no longer has: packages, and versions in whose place another one was
/// approved.
fn forget_departed(baseline: &mut Baseline, accepted: &[Offer<'_>], cargo_lock: &CargoLock) {
    let locked = cargo_lock.packages();
    baseline.packages.retain(|approved| {
        let is_there = |package: &cargo_lock::Locked| approved.is(&package.name, &package.version);
        let is_succeeded = accepted.iter().any(|offer| offer.package.name == approved.name);
        locked.iter().any(is_there)
            || !is_succeeded && locked.iter().any(|package| package.name == approved.name)
    });
}

/// Asks a person for each package.
fn ask(offers: Vec<Offer<'_>>) -> Result<Vec<Offer<'_>>, Error> {
    if !stdin().is_terminal() {
        return Err(Error::Nobody);
    }
    let mut accepted = Vec::new();
    for mut offer in offers {
        let title = offer.package.title();
        match answer(&format!("Approve {title}? [y]es, [n]o, [e]ach alone"))? {
            'y' => accepted.push(offer),
            'e' => {
                let mut chosen = Vec::new();
                for change in std::mem::take(&mut offer.changes) {
                    let what = format!("{}: {}", change.aspect.verb(), change.value);
                    if answer(&format!("  {title} {what}? [y]es, [n]o"))? == 'y' {
                        chosen.push(change);
                    }
                }
                offer.changes = chosen;
                if !offer.changes.is_empty() {
                    accepted.push(offer);
                }
            }
            _ => {}
        }
    }
    Ok(accepted)
}

/// The first letter of an answer; the end of input is a no.
fn answer(question: &str) -> Result<char, Error> {
    print(&format!("{} ", printable(question)))?;
    let mut line = String::new();
    stdin().lock().read_line(&mut line).map_err(Error::Ask)?;
    Ok(line.trim().chars().next().map_or('n', |letter| letter.to_ascii_lowercase()))
}

fn println(line: &str) -> Result<(), Error> {
    print(&format!("{}\n", printable(line)))
}

fn print(text: &str) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(Error::Ask)
}
