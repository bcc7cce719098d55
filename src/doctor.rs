//! `cargo brig doctor`: whether build scripts can be jailed on this machine, how well, and what to
//! do about it.
//!
//! By trying: attempts are made without a jail, under Landlock alone and by a script in the whole
//! jail, and the jail's seccomp filter is installed and answered. It uses the code that makes a
//! script's jail, and has no second opinion of what that takes. It talks to nobody, asks for no
//! privileges and leaves nothing behind.

pub mod attempt;
pub mod bait;
pub mod calls;
pub mod check;
pub mod container;
pub mod diagnosis;
pub mod domain;
pub mod judge;
pub mod kernel;
pub mod listener;
pub mod machine;
pub mod places;
pub mod probe;
pub mod render;
pub mod script;
pub mod toolchain;

use std::env;
use std::error::Error;
use std::io::{self, Write, stdout};
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::errno::Errno;
use serde::{Deserialize, Serialize};

use crate::cli::{Doctor, Format};
use crate::exit::{self, Ending};
use crate::settings;
use crate::show::page::{Page, Paint};
use diagnosis::Diagnosis;

/// Tries everything and says how it stands; [`exit::FAILED`] if no script can be jailed here.
#[must_use]
pub fn run(arguments: &Doctor) -> Ending {
    if let Some(bait) = &arguments.attempt {
        return Ending::Code(i32::from(script::be_the_script(bait).is_err()));
    }
    leave_session();
    let diagnosis = Diagnosis::make();
    let text = match arguments.format {
        Format::Json => json(&diagnosis),
        Format::Human => {
            let mut page = Page::new(Paint::of_stdout());
            render::render(&mut page, &diagnosis, arguments.all);
            page.text().to_owned()
        }
    };
    let mut out = stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // Whoever reads has seen enough; the code still says how it stands.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            drop(writeln!(io::stderr(), "error: brig: cannot write to standard output: {error}"));
            Ending::Code(exit::FAILED)
        }
        _ if diagnosis.can_jail => Ending::Code(0),
        _ => Ending::Code(exit::FAILED),
    }
}

/// Starts this program anew without the variable by which it would tell a build under way, of which
/// it is a part, of the script that it runs: that is not one of the build's.
fn leave_session() {
    if env::var_os(settings::SESSION).is_some() {
        let mut command = Command::new("/proc/self/exe");
        command.args(env::args_os().skip(1)).env_remove(settings::SESSION);
        let error = command.exec();
        tracing::debug!(%error, "the build hears of the script");
    }
}

fn json(diagnosis: &Diagnosis) -> String {
    serde_json::to_string_pretty(diagnosis).expect("it has no keys but strings") + "\n"
}

/// What a step failed by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The step, with its causes.
    pub why: String,
    /// The kernel's answer, if it was that.
    pub errno: Option<i32>,
}

impl Failure {
    fn of(error: &(dyn Error + 'static)) -> Self {
        let mut errno = None;
        let mut cause = Some(error);
        while let Some(error) = cause {
            let own = error.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error);
            errno = own.or_else(|| error.downcast_ref::<Errno>().map(|own| *own as i32)).or(errno);
            cause = error.source();
        }
        Self { why: reason(error), errno }
    }
}

/// An error with its causes, in one line.
fn reason(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// The name and the meaning of an errno.
fn named(errno: i32) -> String {
    Errno::from_raw(errno).to_string()
}

/// With a capital letter and a full stop.
fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().into_iter().flat_map(char::to_uppercase);
    first.chain(characters).chain(['.']).collect()
}
