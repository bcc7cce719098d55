//! Where reports go: `--format FORMAT [--output FILE]`, as often as wanted.

use std::io::{self, Write, stdout};
use std::path::PathBuf;

use super::beside;
use super::formats::{Format, human};
use super::report::Report;
use crate::color;

/// What stands for standard output.
pub const STDOUT: &str = "-";

/// One format and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sink {
    /// The format.
    pub format: Format,
    /// The file; none is standard output.
    pub file: Option<PathBuf>,
}

/// A report that cannot be written, or a command line that does not say where to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `--output` without a format before it.
    #[error("each `--output FILE` follows a `--format FORMAT`")]
    Unpaired,
    /// Two formats on standard output.
    #[error("only one format can go to standard output: give the others an `--output FILE`")]
    Ambiguous,
    /// A file.
    #[error("cannot write the report `{}`", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// A format that cannot say what the report says.
    #[error("this report cannot be written in that format")]
    Format(#[source] io::Error),
    /// Standard output.
    #[error("cannot write to standard output")]
    Output(#[source] io::Error),
}

/// The sinks of formats and outputs as they stand on the command line, one output for each format. What a
/// person reads goes to standard output, unless another format does.
///
/// # Errors
/// [`Error::Unpaired`], [`Error::Ambiguous`].
pub fn of(formats: &[Format], outputs: &[PathBuf]) -> Result<Vec<Sink>, Error> {
    if formats.len() != outputs.len() {
        return Err(Error::Unpaired);
    }
    let mut sinks: Vec<Sink> = formats
        .iter()
        .zip(outputs)
        .map(|(format, output)| Sink {
            format: *format,
            file: Some(output.clone()).filter(|output| output.as_os_str() != STDOUT),
        })
        .collect();
    match sinks.iter().filter(|sink| sink.file.is_none()).count() {
        0 => sinks.push(Sink { format: Format::Human, file: None }),
        1 => {}
        _ => return Err(Error::Ambiguous),
    }
    Ok(sinks)
}

impl Sink {
    /// Writes a report there; a file whole or not at all.
    ///
    /// # Errors
    /// [`Error::Write`], [`Error::Output`].
    pub fn write(&self, report: &Report) -> Result<(), Error> {
        let mut bytes = Vec::new();
        match (self.format, &self.file) {
            (Format::Human, None) => human::write(report, &mut bytes, color::on_stdout()),
            _ => self.format.write(report, &mut bytes),
        }
        .map_err(Error::Format)?;
        if let Some(path) = &self.file {
            return beside::write(path, &bytes)
                .map_err(|source| Error::Write { path: path.clone(), source });
        }
        let mut out = stdout().lock();
        out.write_all(&bytes).and_then(|()| out.flush()).map_err(Error::Output)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_reads_on_stdout_unless_something_else_is_there() {
        let file = |path: &str| PathBuf::from(path);
        let human = Sink { format: Format::Human, file: None };
        assert_eq!(of(&[], &[]).unwrap(), std::slice::from_ref(&human));
        let json = Sink { format: Format::Json, file: Some(file("a b")) };
        assert_eq!(of(&[Format::Json], &[file("a b")]).unwrap(), [json, human]);
        let json = Sink { format: Format::Json, file: None };
        assert_eq!(of(&[Format::Json], &[file(STDOUT)]).unwrap(), [json]);
        assert!(matches!(of(&[], &[file("x")]), Err(Error::Unpaired)));
        let both = [Format::Json, Format::Human];
        assert!(matches!(of(&both, &[file("-"), file("-")]), Err(Error::Ambiguous)));
    }
}
