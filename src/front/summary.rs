//! What a person reads at the end of a build: one line if all is well.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io::{IsTerminal, stderr};
use std::path::PathBuf;

use super::command_line::CommandLine;
use crate::access::printable;
use crate::color;
use crate::completeness::Findings;
use crate::config::{Config, LinksOverride};
use crate::policy::Mode;
use crate::session::Run;

/// How it is printed.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    color: bool,
    quiet: bool,
}

impl Style {
    /// As Cargo would do it.
    #[must_use]
    pub fn of(command_line: &CommandLine, config: &Config) -> Self {
        let said = command_line.color().or_else(|| config.color());
        let color = color::is_wanted(said.as_deref(), stderr().is_terminal());
        Self { color, quiet: command_line.is_quiet() || config.is_quiet() }
    }

    fn status(self, word: &str) -> String {
        if self.color { format!("\x1b[1;32m{word:>12}\x1b[0m") } else { format!("{word:>12}") }
    }

    fn label(self, color: u8, word: &str) -> String {
        if self.color { format!("\x1b[1;{color}m{word}\x1b[0m:") } else { format!("{word}:") }
    }
}

/// What a build was found to be.
#[derive(Debug)]
pub struct Summary<'a> {
    /// The scripts that ran.
    pub runs: &'a [Run],
    /// The launchers that could not run their scripts.
    pub not_run: &'a [PathBuf],
    /// The compiler wrapper that was left out, because rustc was in the jail.
    pub left_out: Option<&'a OsStr>,
    /// Where the scripts of the build were found to run.
    pub findings: &'a Findings,
    /// Packages whose scripts were replaced by a `links` override.
    pub overridden: &'a [(String, LinksOverride)],
    /// Whether Cargo succeeded.
    pub succeeded: bool,
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

impl Summary<'_> {
    /// The text for stderr; nothing if no script has to do with the command, or nothing has to be
    /// said and Cargo was to be quiet.
    #[must_use]
    pub fn render(&self, style: Style) -> String {
        let mut text = String::new();
        self.line(&mut text, style);
        if !style.quiet {
            self.denials(&mut text, style);
            if let Some(wrapper) = self.left_out {
                let wrapper = printable(&wrapper.to_string_lossy());
                let label = style.label(33, "warning");
                writeln!(
                    text,
                    "{label} rustc was in the jail, and so called without `{wrapper}`, which has a daemon \
                     outside compile"
                )
                .expect("a String takes it all");
            }
        }
        if !self.findings.unjailed.is_empty() {
            self.unjailed(&mut text, style);
        }
        text
    }

    fn line(&self, text: &mut String, style: Style) {
        let ran = self.runs.len();
        let (not_run, silent) = (self.not_run.len(), self.silent());
        let perhaps = self.findings.perhaps.len().saturating_sub(ran);
        if style.quiet || ran + not_run + silent + perhaps + self.overridden.len() == 0 {
            return;
        }
        let mut parts = vec![format!("{} in the jail", counted(ran, "build script run"))];
        if not_run > 0 {
            parts.push(format!("{not_run} that could not be run"));
        }
        if silent > 0 {
            // Where Cargo failed it came to some of them no more.
            let are = if self.succeeded { "fresh" } else { "fresh or not run to the end" };
            parts.push(format!("{silent} {are}"));
        }
        if perhaps > 0 {
            parts.push(format!("{perhaps} more jailed before in this build directory"));
        }
        for (package, by) in self.overridden {
            parts.push(format!(
                "`{}` not run because {} overrides `links = \"{}\"`",
                printable(package),
                by.file.display(),
                printable(&by.links)
            ));
        }
        let permissive = self.permissive();
        if permissive > 0 {
            parts.push(format!("{permissive} of them permissive"));
        }
        let dropped: u64 = self.runs.iter().map(|run| run.denials_dropped).sum();
        let told: usize = self.denied().values().map(Vec::len).sum();
        let denied = told + usize::try_from(dropped).unwrap_or(usize::MAX - told);
        match denied {
            // Of what did not run that says nothing.
            0 if !self.succeeded && (ran == 0 || not_run > 0) => {}
            0 => parts.push("nothing denied".to_owned()),
            denied if permissive > 0 => parts.push(format!("{denied} denied or only recorded")),
            denied => parts.push(counted(denied, "denial")),
        }
        writeln!(text, "{} {}", style.status("Jailed"), parts.join(", "))
            .expect("a String takes it all");
        if permissive > 0 {
            writeln!(
                text,
                "{} by a permissive policy scripts were kept from writing elsewhere, and from nothing else",
                style.label(33, "warning")
            )
            .expect("a String takes it all");
        }
    }

    /// How many of the build's launchers said nothing.
    fn silent(&self) -> usize {
        let ran = |launcher: &PathBuf| self.runs.iter().any(|run| run.launcher == *launcher);
        let jailed = self.findings.jailed.iter();
        jailed.filter(|launcher| !ran(launcher) && !self.not_run.contains(launcher)).count()
    }

    /// How many scripts ran that were denied nothing but to write.
    fn permissive(&self) -> usize {
        self.runs.iter().filter(|run| run.mode == Mode::Permissive).count()
    }

    /// Sentences by package, each once.
    fn denied(&self) -> BTreeMap<&str, Vec<&str>> {
        let mut denied: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for run in self.runs {
            let findings = run.findings.iter().map(|finding| &finding.message);
            for sentence in run.denials.iter().chain(findings).chain(&run.withheld) {
                let known = denied.entry(&run.package).or_default();
                if !known.contains(&sentence.as_str()) {
                    known.push(sentence);
                }
            }
        }
        denied.retain(|_, sentences| !sentences.is_empty());
        denied
    }

    fn denials(&self, text: &mut String, style: Style) {
        const SHOWN: usize = 20;
        for (package, sentences) in self.denied() {
            let label = style.label(33, "warning");
            for sentence in sentences.iter().take(SHOWN) {
                writeln!(text, "{label} the build script of `{}` {sentence}", printable(package))
                    .expect("a String takes it all");
            }
            if let Some(more) = sentences.len().checked_sub(SHOWN).filter(|more| *more > 0) {
                writeln!(text, "{label} … and {more} more of `{}`", printable(package))
                    .expect("a String takes it all");
            }
        }
    }

    fn unjailed(&self, text: &mut String, style: Style) {
        let label = style.label(31, "error");
        let files: &Vec<PathBuf> = &self.findings.unjailed;
        for file in files {
            let file = printable(&file.to_string_lossy());
            writeln!(text, "{label} the build script `{file}` is not in the jail")
                .expect("a String takes it all");
        }
        if self.succeeded {
            writeln!(
                text,
                "{label} the build is not reported as a success: {} of it can have run outside the \
                 jail (was another Cargo without cargo-brig building here?)",
                counted(files.len(), "build script")
            )
            .expect("a String takes it all");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    const PLAIN: Style = Style { color: false, quiet: false };

    fn summary_of<'a>(runs: &'a [Run], findings: &'a Findings) -> Summary<'a> {
        Summary { runs, not_run: &[], left_out: None, findings, overridden: &[], succeeded: true }
    }

    fn run(denials: Vec<String>) -> Run {
        Run {
            package: "a v1.0.0".to_owned(),
            launcher: "/t/a".into(),
            mode: Mode::Enforce,
            record: "/t/brig.json".into(),
            denials,
            denials_dropped: 0,
            findings: Vec::new(),
            withheld: Vec::new(),
        }
    }

    #[test]
    fn one_line_when_all_is_well() {
        let findings =
            Findings { jailed: vec!["/t/a".into(), "/t/b".into()], ..Findings::default() };
        let runs = [run(Vec::new())];
        let summary = summary_of(&runs, &findings);
        assert_eq!(
            summary.render(PLAIN),
            "      Jailed 1 build script run in the jail, 1 fresh, nothing denied\n"
        );
        assert_eq!(summary.render(Style { color: false, quiet: true }), "");
    }

    #[test]
    fn what_did_not_run_is_not_called_fresh() {
        let launchers = vec![PathBuf::from("/t/a"), "/t/b".into(), "/t/c".into()];
        let findings = Findings { jailed: launchers, ..Findings::default() };
        let not_run = [PathBuf::from("/t/b")];
        let failed = Summary { not_run: &not_run, succeeded: false, ..summary_of(&[], &findings) };
        assert_eq!(
            failed.render(PLAIN),
            "      Jailed 0 build script runs in the jail, 1 that could not be run, 2 fresh or not run \
             to the end\n"
        );
        // What ran was denied nothing, although a test failed, say.
        let runs = [run(Vec::new())];
        let failed = Summary { succeeded: false, ..summary_of(&runs, &findings) };
        let line =
            "1 build script run in the jail, 2 fresh or not run to the end, nothing denied\n";
        assert!(failed.render(PLAIN).ends_with(line), "{}", failed.render(PLAIN));
    }

    #[test]
    fn who_only_watches_is_told_so() {
        let runs = [run(vec!["tried to read `/x`".to_owned()]), run(Vec::new())];
        let [watched, jailed] = runs;
        let runs = [Run { mode: Mode::Permissive, ..watched }, jailed];
        let findings = Findings::default();
        let summary = summary_of(&runs, &findings);
        let text = summary.render(PLAIN);
        let line = "2 build script runs in the jail, 1 of them permissive, 1 denied or only recorded\n\
             warning: by a permissive policy scripts were kept from writing elsewhere, and";
        assert!(text.contains(line), "{text}");
    }

    #[test]
    fn denials_name_the_package() {
        let denial = "tried to create `/home/u/x`".to_owned();
        let runs = [run(vec![denial.clone()]), run(vec![denial])];
        let findings = Findings::default();
        let summary = summary_of(&runs, &findings);
        let text = summary.render(PLAIN);
        assert!(text.contains("2 build script runs in the jail, 1 denial\n"), "{text}");
        assert!(text.contains("warning: the build script of `a v1.0.0` tried to create"), "{text}");
    }

    #[test]
    fn nothing_to_say_is_nothing_said() {
        let findings = Findings::default();
        let summary = summary_of(&[], &findings);
        assert_eq!(summary.render(PLAIN), "");
    }

    #[test]
    fn an_unjailed_script_is_said_even_when_quiet() {
        let findings = Findings { unjailed: vec!["/t/x".into()], ..Findings::default() };
        let summary = summary_of(&[], &findings);
        let text = summary.render(Style { color: false, quiet: true });
        assert!(text.contains("error: the build script `/t/x` is not in the jail"), "{text}");
    }
}
