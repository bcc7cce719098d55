//! Decides what the program is this time, and turns the outcome into an exit code.

use std::env;
use std::error::Error;
use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use cargo_brig::access::printable;
use cargo_brig::exit::{self, Ending};
use cargo_brig::launch::{self, Request, explain};
use cargo_brig::{audit, cli, doctor, freeze, front, launcher, policies, settings, shim, show};

fn main() -> ExitCode {
    start_log();
    let arguments: Vec<OsString> = env::args_os().collect();
    match launcher::launched(&arguments) {
        Ok(None) => {}
        Ok(Some(launched)) => {
            let ending =
                require_static().and_then(|()| Ok(launch::run(Request::of_launcher(launched))?));
            return end(ending, exit::NOT_RUN);
        }
        Err(error) => return end(Err(error.into()), exit::NOT_RUN),
    }
    let (program, rest) = arguments.split_first().map_or((None, &[][..]), |(p, r)| (Some(p), r));
    if let Some(directory) = program.and_then(|program| shim::linker::directory_of(program)) {
        let ending = require_static()
            .and_then(|()| Ok(shim::linker::wrap(&directory, rest)?))
            .map(|status| Ending::Code(shim::exit_code(status)));
        return end(ending, exit::NOT_RUN);
    }
    if let Some(directory) = program.and_then(|program| shim::inner::directory_of(program)) {
        let ending = require_static()
            .and_then(|()| Ok(shim::inner::wrap(&directory, rest)?))
            .map(|status| Ending::Code(shim::exit_code(status)));
        return end(ending, exit::NOT_RUN);
    }
    if program.is_some_and(|program| shim::rustdoc::is_called(program)) {
        let ending = require_static()
            .and_then(|()| Ok(shim::rustdoc::wrap(rest)?))
            .map(|status| Ending::Code(shim::exit_code(status)));
        return end(ending, exit::NOT_RUN);
    }
    match rest.split_first() {
        Some((verb, rest)) if verb == "brig" && !cli::is_own(rest) => {
            doubt_log();
            match front::run(rest) {
                Ok(ending) => ending.into_code(),
                Err(error) => {
                    let code = error.exit_code();
                    end(Err(error.into()), code)
                }
            }
        }
        Some((verb, rest)) if verb == "brig" => own_verb(rest),
        _ if cli::is_own(rest) => own_verb(rest),
        Some((verb, _)) if !shim::looks_like_a_compiler(verb) && !Path::new(verb).exists() => {
            let verb = verb.to_string_lossy();
            eprintln!("error: `{verb}` is no compiler\n  help: did you mean `cargo brig {verb}`?");
            Ending::Code(exit::USAGE).into_code()
        }
        _ => {
            let ending = require_static()
                .and_then(|()| Ok(shim::wrap(rest)?))
                .map(|status| Ending::Code(shim::exit_code(status)));
            end(ending, exit::NOT_RUN)
        }
    }
}

fn require_static() -> Result<(), Box<dyn Error>> {
    Ok(front::require_static()?)
}

fn own_verb(arguments: &[OsString]) -> ExitCode {
    doubt_log();
    let name = OsString::from("cargo brig");
    let mut words = vec![name];
    match arguments.split_first() {
        None => words.push("--help".into()),
        Some((verb, rest)) if verb == "audit" => {
            words.push(verb.clone());
            words.extend(cli::audit_arguments(rest));
        }
        Some(_) => words.extend_from_slice(arguments),
    }
    let (record, private, command) = match cli::parse(words) {
        cli::Verb::Show(arguments) => return show::run(&arguments).into_code(),
        cli::Verb::Freeze(arguments) => return freeze::run(&arguments).into_code(),
        cli::Verb::Policy(verb) => return policies::run(&verb).into_code(),
        cli::Verb::Doctor(arguments) => return doctor::run(&arguments).into_code(),
        cli::Verb::Audit(arguments) => return audit::run(&arguments).into_code(),
        cli::Verb::Approve(arguments) => return audit::approve::run(&arguments).into_code(),
        cli::Verb::Diff(arguments) => return audit::diff::run(&arguments).into_code(),
        cli::Verb::Why(arguments) => return audit::why::run(&arguments).into_code(),
        cli::Verb::Exec { record, private, command } => (record, private, command),
    };
    let ending = require_static().and_then(|()| {
        let (program, rest) = command.split_first().ok_or("no program is named")?;
        let request = Request::of_program(Path::new(program), rest);
        Ok(launch::run(Request { record, private, ..request })?)
    });
    end(ending, exit::NOT_RUN)
}

fn end(ending: Result<Ending, Box<dyn Error>>, on_error: i32) -> ExitCode {
    match ending {
        Ok(ending) => ending.into_code(),
        Err(error) => {
            eprintln!("{}", explain(error.as_ref()).replacen("error:", "error: brig:", 1));
            Ending::Code(on_error).into_code()
        }
    }
}

/// Diagnostics of our own, on request, on stderr: stdout belongs to Cargo's protocol.
fn start_log() {
    let level = env::var(settings::LOG).ok().and_then(|level| level.parse::<tracing::Level>().ok());
    if let Some(level) = level {
        tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr).init();
    }
}

/// Says that a level is none, once for a build and not in every shim.
fn doubt_log() {
    let level = env::var_os(settings::LOG).unwrap_or_default();
    let is_level = level.to_str().is_some_and(|text| text.parse::<tracing::Level>().is_ok());
    if !level.is_empty() && !is_level {
        let (name, level) = (settings::LOG, printable(&level.to_string_lossy()));
        eprintln!("warning: {name} is `{level}`, and not error, warn, info, debug or trace");
    }
}
