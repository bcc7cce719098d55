//! One build by Cargo with every script in the jail: before it, and what came of it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use super::command_line::CommandLine;
use super::summary::Style;
use super::{Error, alias_bypasses, cargo_in_force, cover_by_linker, overridden};
use super::{roots, wait, working_directory};
use crate::completeness::{Completeness, Findings};
use crate::config::{Config, LinksOverride};
use crate::launcher;
use crate::policies;
use crate::policy::layers::Places;
use crate::session::Session;
use crate::session::{self, Run};
use crate::settings;

/// A build that has not begun.
#[derive(Debug)]
pub struct Preparation {
    /// The command line.
    pub command_line: CommandLine,
    arguments: Vec<OsString>,
    policy: Option<PathBuf>,
    directory: PathBuf,
    config: Config,
    /// Where Cargo will build, the target directory first.
    pub roots: Vec<PathBuf>,
    /// The workspace's root.
    pub workspace: Option<PathBuf>,
}

/// A build that has ended.
#[derive(Debug)]
pub struct Build {
    /// How Cargo ended.
    pub status: ExitStatus,
    /// What Cargo wrote to standard output, if it was a pipe.
    pub output: Vec<u8>,
    /// Where the scripts of the build were found to run.
    pub findings: Findings,
    /// What the launchers said.
    pub runs: Vec<Run>,
    /// The launchers that could not run their scripts.
    pub not_run: Vec<PathBuf>,
    /// The compiler wrapper that was left out.
    pub left_out: Option<OsString>,
    /// Packages whose scripts were replaced.
    pub overridden: Vec<(String, LinksOverride)>,
    /// How messages about it are printed.
    pub style: Style,
}

impl Preparation {
    /// Prepares `cargo ARGUMENTS`.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn new(
        command_line: CommandLine,
        arguments: &[OsString],
        policy: Option<PathBuf>,
    ) -> Result<Self, Error> {
        let directory = working_directory(&command_line);
        let config = Config::load(&directory, &command_line.values("--config"));
        // What is refused is refused before anything is asked or changed.
        super::users_wrapper(&config, &launcher::own_path()?)?;
        let (roots, workspace) = roots::find(&command_line, &directory, &config);
        let arguments = arguments.to_vec();
        Ok(Self { command_line, arguments, policy, directory, config, roots, workspace })
    }

    /// Where the policies of this build are.
    #[must_use]
    pub fn places(&self) -> Places {
        let directory = self.workspace.clone().unwrap_or_else(|| self.directory.clone());
        let places = policies::places_at(Some(directory));
        Places { named: self.policy.clone().or(places.named), ..places }
    }

    /// Builds. It can be done again.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn build(&self, stdout: Stdio) -> Result<Build, Error> {
        let Self { command_line, arguments, config, roots, .. } = self;
        let session = Session::begin()?;
        let mut cargo =
            cargo_in_force(command_line, arguments, config, self.policy.as_deref(), &session)?;
        cargo.stdout(stdout);
        if let Some(workspace) = &self.workspace {
            cargo.env(settings::WORKSPACE, workspace);
        }
        if command_line.bypasses_the_wrapper() || alias_bypasses(config, command_line) {
            cover_by_linker(
                &mut cargo,
                command_line,
                config,
                roots.first(),
                &launcher::own_path()?,
            )?;
        }
        let waits = |profile_dir: &Path| command_line.builds_in(profile_dir);
        let completeness = Completeness::begin(roots.clone(), waits)?;
        let (status, output) = wait(cargo)?;
        Ok(Build {
            status,
            output,
            findings: completeness.finish()?,
            runs: Run::load_all(session.path())?,
            not_run: session::not_run(session.path())?,
            left_out: session::left_out(session.path())?,
            overridden: overridden(config, command_line),
            style: Style::of(command_line, config),
        })
    }
}
