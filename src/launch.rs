//! One run of one build script, from front to back: unit → policy → grants → jail → supervise →
//! relay → record → verdict.
//!
//! Used by the launcher and by `cargo brig exec`, which differ only in where they find the script.

pub mod dirs;

use std::cell::RefCell;
use std::error::Error as StdError;
use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::io::{self, BufWriter};
use std::os::unix::process::parent_id;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use std::{env, fs};

use crate::denials;
use crate::exit;
use crate::finding::Finding;
use crate::instruction::Instruction;
use crate::jail::{self, Plan};
use crate::launcher::{self, Launched};
use crate::output;
use crate::planted;
use crate::policy::allowing::relaying;
use crate::policy::document::OnDenial;
use crate::policy::instructions::{Decision, Judge};
use crate::policy::link_search::{Places, Refusal, Searched};
use crate::policy::{Grants, Layers, Limit, Mode, Policy, Right, layers};
use crate::process::Exit;
use crate::record::{self, Parts, Record};
use crate::relay::{self, Relay, Relayed, Withheld};
use crate::session::{self, Lent, Run};
use crate::settings::{self, ParentEnvironment, Settings};
use crate::shim::rustdoc;
use crate::supervise::{self, Outcome, Start};
use crate::unit::{self, Unit};
use crate::warden::Report;
use dirs::Dirs;

/// So many instructions that would have been withheld are told of.
const TOLD: usize = 100;

/// Why a script could not be run. Nothing of it is left then, and nothing of what it printed counts,
/// because the exit code is not 0.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Where the settings are.
    #[error(transparent)]
    Settings(#[from] settings::Error),
    /// The unit.
    #[error(transparent)]
    Unit(#[from] unit::Error),
    /// The policy.
    #[error(transparent)]
    Policy(#[from] layers::Error),
    /// The jail.
    #[error(transparent)]
    Jail(#[from] jail::landlock::Error),
    /// The script's own directories, and what the policy means for it.
    #[error(transparent)]
    Dirs(#[from] dirs::Error),
    /// What is told to the front door.
    #[error(transparent)]
    Session(#[from] session::Error),
    /// The run.
    #[error(transparent)]
    Supervise(#[from] supervise::Error),
    /// The end of its output.
    #[error(transparent)]
    Relay(#[from] relay::Error),
    /// The record.
    #[error(transparent)]
    Record(#[from] record::Error),
}

/// What is to be run.
#[derive(Debug)]
pub struct Request {
    /// The compiled script.
    pub script: PathBuf,
    /// Its arguments, its name first.
    pub arguments: Vec<OsString>,
    /// Root of the workspace, if the package lies in it.
    pub workspace: Option<PathBuf>,
    /// The file that Cargo, or whoever calls, takes for the script.
    pub launcher: PathBuf,
    /// Where the record goes; beside `OUT_DIR` if none is named.
    pub record: Option<PathBuf>,
    /// The directory in which the script's private ones have the same names each time; else they have
    /// names of their own.
    pub private: Option<PathBuf>,
}

impl Request {
    /// The request of a launcher that was started.
    #[must_use]
    pub fn of_launcher(launched: Launched) -> Self {
        let Launched { path, trailer, arguments } = launched;
        Self {
            script: path.with_file_name(&trailer.script),
            arguments,
            workspace: trailer.workspace,
            launcher: path,
            record: None,
            private: None,
        }
    }

    /// The request of `cargo brig exec`: a program and its arguments. If the program is a launcher,
    /// its script is meant: a jail within the jail would not work.
    #[must_use]
    pub fn of_program(program: &Path, arguments: &[OsString]) -> Self {
        let trailer = launcher::trailer_of(program);
        let script = trailer
            .as_ref()
            .map_or_else(|| program.to_owned(), |trailer| program.with_file_name(&trailer.script));
        let mut all = vec![program.as_os_str().to_owned()];
        all.extend_from_slice(arguments);
        Self {
            script,
            arguments: all,
            workspace: trailer.and_then(|trailer| trailer.workspace),
            launcher: program.to_owned(),
            record: None,
            private: None,
        }
    }
}

/// Runs a script and returns how the launcher has to end.
///
/// # Errors
/// See [`Error`].
pub fn run(request: Request) -> Result<exit::Ending, Error> {
    let parent = ParentEnvironment::read()?;
    let settings = Settings::from(&parent);
    let launcher = request.launcher.clone();
    let ending = run_by(&settings, &parent, request);
    if let (Err(_), Some(session)) = (&ending, &settings.session)
        && let Err(error) = session::note_not_run(session, &launcher)
    {
        tracing::debug!(%error, "the summary knows less");
    }
    ending
}

fn run_by(
    settings: &Settings,
    parent: &ParentEnvironment,
    request: Request,
) -> Result<exit::Ending, Error> {
    let mut unit = Unit::parse(
        rustdoc::restored(env::vars_os().collect(), settings),
        &request.script,
        request.arguments.clone(),
        request.workspace.clone(),
    )?;
    unit.of_cargo = Some(parent.variables());
    tracing::debug!(package = unit.package, parent = parent_id(), "launch");
    let policy = Policy::of(&Layers::read(&settings.places)?, &unit.package, &unit.version);
    let lent = settings.session.as_deref().map(Lent::by).unwrap_or_default();
    let (private, wrapper) = (request.private.as_deref(), settings.wrapper.as_deref());
    let (dirs, grants) = Dirs::prepare(private, lent, &unit, &policy, wrapper)?;
    let plan = Plan::new(&grants)?;
    let enforced = plan.enforced();
    let preload = dirs.preload.as_ref();
    let environment = preload.map(|preload| preload.added_to(&grants.environment));
    let environment = environment.as_ref().unwrap_or(&grants.environment);
    let jobserver = unit.jobserver.clone();
    let script = (unit.script.as_path(), unit.arguments.as_slice());
    let start = Start::new(script, environment, jobserver, parent.pid())?;

    let is_withheld = |name: &str| grants.withholds(OsStr::new(name));
    let may_read = |path: &Path| {
        grants.covers(Right::Read, &fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()))
    };
    let mut judge =
        Judge { is_withheld: &is_withheld, may_read: &may_read, searched: Searched::default() };
    let unwithheld = Unwithheld::default();
    let mut relay = Relay::new(
        BufWriter::with_capacity(64 * 1024, io::stdout()),
        |instruction: &Instruction| match judge.judge(instruction) {
            Decision::Withhold(_) if grants.allows(&instruction.to_string()) => Decision::Relay,
            decision if grants.is_permissive() => unwithheld.instead_of(decision, instruction),
            decision => decision,
        },
    );
    let record = request.record.unwrap_or_else(|| unit.run_dir().join(record::FILE_NAME));
    let observed = record::space_for(&record)?;
    let started = SystemTime::now();
    let filled = dirs.filled(&unit, &grants);
    let outcome =
        supervise::supervise(plan, start, &grants, &filled, &observed, |piece| relay.feed(piece));
    let Outcome { status, exceeded, report } = match outcome {
        Ok(outcome) => outcome,
        Err(supervise::Error::Stopped { signal }) => {
            return Ok(exit::Ending::Signal(signal as i32));
        }
        Err(error) => return Err(error.into()),
    };
    if let Report::Ended { unwritten: Some(why), .. } = &report {
        return Err(record::Error::unwritten(&record, why).into());
    }
    let mut relayed = relay.finish()?;
    let mut out_dirs = unit.dependency_outputs();
    out_dirs.push(unit.out_dir.clone());
    let held = judge.searched.judge(&Places {
        package: &unit.manifest_dir,
        workspace: unit.workspace.as_deref(),
        build_dir: unit.build_dir().root(),
        out_dirs: &out_dirs,
    });
    hold(held, &grants, &mut relayed, &unwithheld);
    let redirected = dirs.end(&grants);

    let exit = Exit::from(status);
    let (outputs, outputs_dropped) = output::all_in(&unit.out_dir);
    let mut findings = findings(exceeded, &report, &grants);
    findings.extend(redirected.into_iter().chain(planted::links_in(&unit.out_dir, &grants)));
    findings.append(&mut unwithheld.0.take());
    for finding in &mut findings {
        finding.fatal &= !grants.is_permissive();
    }
    let parts = Parts {
        unit: &unit,
        compiled: None,
        grants: &grants,
        enforced: &enforced,
        started,
        exit,
        report: &report,
        relayed: &relayed,
        findings: &findings,
        outputs: (&outputs, outputs_dropped),
    };
    Record::new(parts).write(&record, observed)?;
    let run = Run {
        package: format!("{} v{}", unit.package, unit.version),
        launcher: request.launcher,
        mode: grants.policy.mode,
        record,
        denials: denials::sentences(&report, &grants, &unit, exit != Exit::Code(0)),
        denials_dropped: match report {
            Report::Ended { denials_dropped, .. } => denials_dropped,
            Report::NotStarted { .. } => 0,
        },
        withheld: fatal(&relayed).map(Withheld::sentence).collect(),
        findings,
    };
    if let Some(session) = &settings.session {
        run.save(session)?;
    }
    Ok(verdict(&run, exit, grants.policy.on_denial))
}

/// Instructions that would have been withheld, and were relayed by a permissive policy.
#[derive(Debug, Default)]
struct Unwithheld(RefCell<Vec<Finding>>);

impl Unwithheld {
    fn note(&self, line: &str, reason: &str, rule: Option<String>) {
        let mut findings = self.0.borrow_mut();
        let finding = Finding::of_instruction(line, reason, rule);
        if findings.len() < TOLD && !findings.contains(&finding) {
            findings.push(finding);
        }
    }

    fn instead_of(&self, decision: Decision, instruction: &Instruction) -> Decision {
        match decision {
            Decision::Relay => {}
            Decision::Omit(reason) => self.note(&instruction.to_string(), reason, None),
            Decision::Withhold(reason) => {
                let line = instruction.to_string();
                self.note(&line, &reason, relaying(&line));
            }
        }
        Decision::Relay
    }
}

/// Withholds what was found out of directories when the script had ended.
fn hold(
    held: Vec<(PathBuf, Refusal)>,
    grants: &Grants,
    relayed: &mut Relayed,
    unwithheld: &Unwithheld,
) {
    for (path, refusal) in held {
        let line = format!("cargo::rustc-link-search={}", path.display());
        let reason = refusal.to_string();
        if grants.allows(&line) {
            continue;
        }
        if grants.is_permissive() {
            unwithheld.note(&line, &reason, relaying(&line));
        } else {
            relayed.withheld.push(Withheld { line, reason, fatal: true });
        }
    }
}

/// What the script's limits had to do with its end.
fn findings(exceeded: Option<Limit>, report: &Report, grants: &Grants) -> Vec<Finding> {
    let met = match report {
        Report::Ended { limits, .. } => limits.as_slice(),
        Report::NotStarted { .. } => &[],
    };
    let fatal = exceeded.into_iter().map(|limit| Finding::of_limit(limit, true, grants));
    fatal.chain(met.iter().map(|limit| Finding::of_limit(*limit, false, grants))).collect()
}

fn fatal(relayed: &Relayed) -> impl Iterator<Item = &Withheld> {
    relayed.withheld.iter().filter(|withheld| withheld.fatal)
}

/// How the launcher ends, said on stderr if there is something to say: Cargo shows that if the
/// launcher fails.
fn verdict(run: &Run, exit: Exit, on_denial: OnDenial) -> exit::Ending {
    let failed = exit != Exit::Code(0);
    let mut text = String::new();
    for finding in &run.findings {
        describe(&mut text, &run.package, &finding.message);
    }
    let fatal = || run.findings.iter().filter(|finding| finding.fatal);
    // It did not end by itself.
    let is_ended = fatal().any(|finding| finding.code.starts_with("limit-"));
    let is_fatal = fatal().next().is_some();
    let is_denied =
        on_denial == OnDenial::Fail && run.mode == Mode::Enforce && !run.denials.is_empty();
    if failed || is_denied || !run.withheld.is_empty() {
        for denial in &run.denials {
            describe(&mut text, &run.package, denial);
        }
    }
    for withheld in &run.withheld {
        describe(&mut text, &run.package, withheld);
    }
    if !text.is_empty() {
        eprint!("{text}");
    }
    match exit {
        _ if is_ended => exit::Ending::Code(exit::WITHHELD),
        Exit::Signal(signal) => exit::Ending::Signal(signal),
        Exit::Code(0) if is_denied || is_fatal || !run.withheld.is_empty() => {
            exit::Ending::Code(exit::WITHHELD)
        }
        Exit::Code(code) => exit::Ending::Code(code),
    }
}

fn describe(text: &mut String, package: &str, what: &str) {
    writeln!(text, "brig: the build script of `{package}` {what}").expect("a String takes it all");
}

/// An error with its causes, as a person reads it.
#[must_use]
pub fn explain(error: &dyn StdError) -> String {
    let mut text = format!("error: {error}");
    let mut source = error.source();
    while let Some(cause) = source {
        write!(text, "\n  caused by: {cause}").expect("a String takes it all");
        source = cause.source();
    }
    text
}
