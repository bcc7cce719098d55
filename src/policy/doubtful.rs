//! What in a policy is well written and still cannot be what was meant: rules that match nothing, and
//! rules that others cover.

use std::ffi::OsStr;

use super::document::{Document, Rule, Rules};
use super::pattern;
use crate::instruction::{self, Line};
use crate::settings;
use crate::unit::Unit;

/// A rule that was probably not meant as it stands.
pub(super) struct Doubt<'d> {
    pub(super) rule: &'d Rule,
    pub(super) message: String,
    pub(super) help: Option<&'static str>,
}

/// All doubts about a document.
pub(super) fn doubts(document: &Document) -> Vec<Doubt<'_>> {
    let common = &document.common;
    let mut doubts = Doubts::default();
    doubts.of(common, None);
    for package in &document.packages {
        doubts.of(&package.rules, Some(common));
    }
    doubts.0
}

#[derive(Default)]
struct Doubts<'d>(Vec<Doubt<'d>>);

impl<'d> Doubts<'d> {
    fn add(&mut self, rule: &'d Rule, message: impl Into<String>, help: Option<&'static str>) {
        self.0.push(Doubt { rule, message: message.into(), help });
    }

    /// About rules that count together with these others.
    fn of(&mut self, rules: &'d Rules, with: Option<&'d Rules>) {
        let all = || [Some(rules), with].into_iter().flatten();
        let covered = |rule: &Rule, by: &[fn(&Rules) -> &Vec<Rule>]| {
            let others = all().flat_map(|rules| by.iter().flat_map(|list| list(rules)));
            others.filter(|other| is_below(&rule.text, &other.text)).map(said).next()
        };
        let list: fn(&Rules) -> &Vec<Rule> = |rules| &rules.list;
        let read: fn(&Rules) -> &Vec<Rule> = |rules| &rules.read;
        let execute: fn(&Rules) -> &Vec<Rule> = |rules| &rules.execute;
        let write: fn(&Rules) -> &Vec<Rule> = |rules| &rules.write;
        for (of, by) in [
            (list, &[list, read, execute, write][..]),
            (read, &[read, execute, write]),
            (execute, &[execute]),
            (write, &[write]),
        ] {
            for rule in of(rules) {
                self.path(rule);
                if let Some(message) = covered(rule, by) {
                    self.add(rule, message, None);
                }
            }
        }
        for rule in &rules.redirect {
            self.path(rule);
            let mut written = all().flat_map(|rules| &rules.write);
            if let Some(over) = written.find(|over| is_below(&rule.text, &over.text)) {
                let message = format!(
                    "`{}` in line {} lets scripts write there: nothing is redirected",
                    over.text, over.place.line
                );
                self.add(rule, message, None);
            }
        }
        for rule in &rules.hide {
            let given = all().flat_map(|rules| {
                [&rules.list, &rules.read, &rules.execute, &rules.write, &rules.redirect]
            });
            let given = given.flatten().find(|given| is_below(&rule.text, &given.text));
            if let Some(Rule { text, place, .. }) = given {
                let message =
                    format!("`{text}` in line {} gives this: it is not hidden", place.line);
                self.add(rule, message, None);
            }
        }
        for rule in rules.pass.iter().chain(&rules.withhold) {
            self.variable(rule);
        }
        for rule in &rules.pass {
            let withheld = || all().flat_map(|rules| &rules.withhold);
            // A pattern is within another one if that one matches it as if it were a name.
            let is_pattern = rule.text.contains('*');
            if is_pattern && let Some(over) = withheld().find(|other| is_within(rule, other)) {
                let message = format!(
                    "this passes nothing: `{}` in line {} withholds it all",
                    over.text, over.place.line
                );
                let help = "a variable that is named in full passes all the same";
                self.add(rule, message, Some(help));
            } else if let Some(over) = all()
                .flat_map(|rules| &rules.pass)
                .find(|other| is_pattern && !is_same(rule, other) && is_within(rule, other))
            {
                self.add(rule, said(over), None);
            }
        }
        for rule in &rules.withhold {
            let others = all().flat_map(|rules| &rules.withhold);
            let over = others.filter(|other| !is_same(rule, other)).find(|o| is_within(rule, o));
            if let Some(over) = over {
                self.add(rule, said(over), None);
            }
        }
        for rule in &rules.instructions {
            self.instruction(rule);
        }
    }

    fn path(&mut self, rule: &'d Rule) {
        let text = &rule.text;
        if text.split('/').any(|part| part.contains("**")) {
            let help = "a directory stands for everything below it, `*` for a part of one name";
            self.add(rule, "`**` is the same as `*` here", Some(help));
        } else if text.contains(['?', '[']) {
            let message = "`*` is the only wildcard: this is a name with these very letters";
            self.add(rule, message, None);
        }
        for placeholder in ["{script}", "{jobserver}"] {
            if text.strip_prefix(placeholder).is_some_and(|rest| !rest.is_empty()) {
                let message = format!("`{placeholder}` is a file: this matches nothing");
                self.add(rule, message, None);
            }
        }
    }

    fn variable(&mut self, rule: &'d Rule) {
        let name = OsStr::new(&rule.text);
        if settings::is_own_variable(name) {
            self.add(rule, "no script gets this variable: it is cargo-brig's own", None);
        } else if !rule.text.contains('*') && Unit::is_cargo_variable(name) {
            self.add(rule, "Cargo sets this variable for the script: it always passes", None);
        }
    }

    fn instruction(&mut self, rule: &'d Rule) {
        let text = rule.text.strip_prefix("cargo::").or(rule.text.strip_prefix("cargo:"));
        let key = text.unwrap_or(&rule.text).split('=').next().unwrap_or_default();
        let is_relayed = ["rerun-if-changed", "warning", "error"].contains(&key);
        // Every key with a value that any of them takes.
        let is_unknown = key.starts_with("rustc-")
            && ["a=b", "-lx"].into_iter().all(|value| {
                let line = format!("cargo::{key}={value}");
                !matches!(instruction::parse(line.as_bytes()), Line::Instruction(_))
            });
        if is_unknown {
            self.add(rule, format!("Cargo knows no instruction `{key}`"), None);
        } else if is_relayed {
            self.add(rule, format!("`{key}` is relayed without a rule"), None);
        }
    }
}

fn said(over: &Rule) -> String {
    format!("`{}` in line {} covers this already", over.text, over.place.line)
}

fn is_below(path: &str, directory: &str) -> bool {
    path.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'))
}

fn is_same(rule: &Rule, other: &Rule) -> bool {
    rule.text.eq_ignore_ascii_case(&other.text)
}

fn is_within(rule: &Rule, other: &Rule) -> bool {
    other.text.contains('*') && pattern::matches(other.text.as_bytes(), rule.text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_doubtful_is_told_where_it_stands() {
        let told = |text: &str| -> Vec<(usize, String)> {
            let document = Document::parse("p.toml", text).unwrap();
            document.warnings.0.into_iter().map(|warning| (warning.line, warning.message)).collect()
        };
        for (text, expected) in [
            ("[files]\nread = [\"/usr\"]\nwrite = [\"/usr/lib\"]\nexecute = [\"/usr\"]", None),
            (
                "[files]\nread = [\"/usr\", \"/usr/lib\"]",
                Some("`/usr` in line 2 covers this already"),
            ),
            (
                "files.write = [\"/srv\"]\n[[package]]\nname = \"p\"\n\nfiles.read = [\"/srv/x\"]",
                Some("`/srv` in line 1 covers this already"),
            ),
            (
                "files.read = [\"/srv\"]\nfiles.hide = [\"/srv/x\"]",
                Some("`/srv` in line 1 gives this: it is not hidden"),
            ),
            ("files.read = [\"/srv/**\"]", Some("`**` is the same as `*` here")),
            (
                "files.read = [\"/srv/?\"]",
                Some("`*` is the only wildcard: this is a name with these very letters"),
            ),
            ("files.read = [\"{script}/x*\"]", Some("`{script}` is a file: this matches nothing")),
            (
                "environment.pass = [\"MY_*\", \"MY_X\", \"MY_*_X\"]",
                Some("`MY_*` in line 1 covers this already"),
            ),
            (
                "environment.withhold = [\"MY_*\", \"my_x\"]",
                Some("`MY_*` in line 1 covers this already"),
            ),
            ("environment = { pass = [\"MY_X\"], withhold = [\"MY_*\"] }", None),
            (
                "environment = { pass = [\"MY_A*\"], withhold = [\"MY_*\"] }",
                Some("this passes nothing: `MY_*` in line 1 withholds it all"),
            ),
            (
                "environment.withhold = [\"CARGO_BRIG_LOG\"]",
                Some("no script gets this variable: it is cargo-brig's own"),
            ),
            (
                "environment.withhold = [\"OUT_DIR\"]",
                Some("Cargo sets this variable for the script: it always passes"),
            ),
            (
                "instructions.allow = [\"rustc-link-argz=x\"]",
                Some("Cargo knows no instruction `rustc-link-argz`"),
            ),
            (
                "instructions.allow = [\"cargo::warning=x\"]",
                Some("`warning` is relayed without a rule"),
            ),
            (
                "instructions.allow = [\"rustc-flags=-lx\", \"rustc-env=A=*\", \"rustc-link-arg-bin=a=b\"]",
                None,
            ),
        ] {
            let told = told(text);
            let last = text.lines().count();
            assert_eq!(
                told,
                expected.map(|message| (last, message.to_owned())).into_iter().collect::<Vec<_>>(),
                "{text}"
            );
        }
    }
}
