//! Reads the text of a policy document: every key and value known, of its type and in its place, or a
//! diagnostic. All mistakes are told at once, in the order of the text.

use std::ops::Range;
use std::sync::Arc;

use semver::VersionReq;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::builtin::Builtin;
use super::collection;
use super::diagnostic::{Diagnostics, Lines, Mistake, Severity, similar};
use super::document::{Document, Mode, OnDenial, PackageRules, Place, Rule, Rules, Unnamed};
use super::doubtful::{Doubt, doubts};
use super::syntax::{
    endpoint, hidden, instruction, is_package_name, listed, path, there_are, unix_socket, variable,
};
use super::{Collected, Limit};

/// The keys that a document has itself, beside those of [`SECTIONS`].
pub(super) const KEYS: &[&str] =
    &["name", "extends", "crates", "locked", "mode", "on-denial", "package"];
/// The keys that a `[[package]]` has itself.
pub(super) const PACKAGE_KEYS: &[&str] = &["name", "version", "on-denial"];
/// The tables of rules.
pub(super) const SECTIONS: &[&str] =
    &["files", "network", "environment", "instructions", "limits", "rustc"];
pub(super) const FILE_KEYS: &[&str] = &["list", "read", "execute", "write", "redirect", "hide"];
pub(super) const NETWORK_KEYS: &[&str] = &["connect", "unix"];
pub(super) const ENVIRONMENT_KEYS: &[&str] = &["pass", "withhold", "set", "unnamed"];
pub(super) const INSTRUCTION_KEYS: &[&str] = &["allow"];
pub(super) const RUSTC_KEYS: &[&str] = &["jail", "record"];
pub(super) const ON_DENIAL: &[(&str, OnDenial)] =
    &[("report", OnDenial::Report), ("fail", OnDenial::Fail)];
pub(super) const MODE: &[(&str, Mode)] =
    &[("enforce", Mode::Enforce), ("permissive", Mode::Permissive)];
pub(super) const UNNAMED: &[(&str, Unnamed)] =
    &[("pass", Unnamed::Pass), ("withhold", Unnamed::Withhold)];

/// A table's entries as they stand in the text: key, its place, value.
type Entry<'v, 't> = (&'v str, Range<usize>, &'v Spanned<DeValue<'t>>);

/// Reads one text, and collects what is wrong with it.
pub(super) struct Reader<'t> {
    pub(super) file: Arc<str>,
    lines: Lines<'t>,
    pub(super) found: Diagnostics,
}

impl<'t> Reader<'t> {
    pub(super) fn new(file: &str, text: &'t str) -> Self {
        Self { file: file.into(), lines: Lines::of(text), found: Diagnostics::default() }
    }

    fn tell(
        &mut self,
        severity: Severity,
        span: Range<usize>,
        message: String,
        help: Option<String>,
    ) {
        let diagnostic = self.lines.diagnostic(severity, &self.file, span, message, help);
        self.found.0.push(diagnostic);
    }

    pub(super) fn error(&mut self, span: Range<usize>, message: String, help: Option<String>) {
        self.tell(Severity::Error, span, message, help);
    }

    fn place(&self, span: &Range<usize>) -> Place {
        Place { file: Arc::clone(&self.file), line: self.lines.line(span.start) }
    }

    /// The entries with known keys; the others are errors.
    fn entries<'v>(
        &mut self,
        table: &'v DeTable<'t>,
        of: &str,
        known: &[&[&str]],
    ) -> Vec<Entry<'v, 't>> {
        let known = known.concat();
        let mut entries = Vec::new();
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            if known.contains(&name) {
                entries.push((name, key.span(), value));
                continue;
            }
            let help = match similar(name, &known) {
                Some(similar) => format!("did you mean `{similar}`?"),
                None => there_are(&known),
            };
            self.error(key.span(), format!("unknown key `{name}` in {of}"), Some(help));
        }
        // Mistakes are told in the order of the text.
        entries.sort_by_key(|(_, span, _)| span.start);
        entries
    }

    fn wrong_type(&mut self, value: &Spanned<DeValue<'_>>, expected: &str) {
        let is = value.get_ref().type_str();
        self.error(value.span(), format!("this is {}, and has to be {expected}", a(is)), None);
    }

    fn string(&mut self, value: &Spanned<DeValue<'_>>) -> Option<String> {
        let text = value.get_ref().as_str().map(str::to_owned);
        if text.is_none() {
            self.wrong_type(value, "a string");
        }
        text
    }

    fn table<'v>(&mut self, value: &'v Spanned<DeValue<'t>>) -> Option<&'v DeTable<'t>> {
        let table = value.get_ref().as_table();
        if table.is_none() {
            self.wrong_type(value, "a table");
        }
        table
    }

    /// A list of rules, each of which `check` finds to be one, or says why not.
    fn rules(
        &mut self,
        value: &Spanned<DeValue<'_>>,
        check: impl Fn(&str) -> Result<(), Mistake>,
    ) -> Vec<Rule> {
        let Some(array) = value.get_ref().as_array() else {
            self.wrong_type(value, "a list of strings");
            return Vec::new();
        };
        let mut rules: Vec<Rule> = Vec::new();
        for item in array {
            let Some(text) = self.string(item) else { continue };
            if let Err(Mistake { message, help }) = check(&text) {
                self.error(item.span(), message, help);
                continue;
            }
            if let Some(first) = rules.iter().find(|rule| rule.text == text) {
                let message = format!("the same rule stands in line {}", first.place.line);
                self.tell(Severity::Warning, item.span(), message, None);
            }
            rules.push(Rule { text, place: self.place(&item.span()), span: item.span() });
        }
        rules
    }

    pub(super) fn document(&mut self, table: &DeTable<'t>, document: &mut Document) {
        for (key, span, value) in self.entries(table, "a policy", &[KEYS, SECTIONS]) {
            match key {
                "name" => document.name = self.string(value),
                "extends" => document.extends = self.extends(value),
                "crates" => document.crates = self.crates(value),
                "locked" => match value.get_ref().as_bool() {
                    Some(locked) => document.locked = locked.then(|| self.place(&span)),
                    None => self.wrong_type(value, "`true` or `false`"),
                },
                "mode" => {
                    let found = self.one_of(value, MODE);
                    document.mode = found.map(|found| (found, self.place(&value.span())));
                }
                "package" => document.packages = self.packages(value),
                _ => self.section(key, value, &mut document.common),
            }
        }
    }

    fn extends(&mut self, value: &Spanned<DeValue<'_>>) -> Option<Builtin> {
        let name = self.string(value)?;
        let builtin = Builtin::of_name(&name);
        if builtin.is_none() {
            let names = Builtin::ALL.map(Builtin::name);
            let help = match similar(&name, &names) {
                Some(similar) => format!("did you mean `{similar}`?"),
                None => there_are(&names),
            };
            self.error(value.span(), format!("there is no built-in policy `{name}`"), Some(help));
        }
        builtin
    }

    fn crates(&mut self, value: &Spanned<DeValue<'_>>) -> Vec<(Collected, Place)> {
        let names: Vec<&str> = collection::ALL.iter().map(|collected| collected.name).collect();
        let known = |name: &str| match Collected::of_name(name) {
            Some(_) => Ok(()),
            None => Err(Mistake {
                message: format!("the collection has no document for a crate `{name}`"),
                help: Some(match similar(name, &names) {
                    Some(similar) => format!("did you mean `{similar}`?"),
                    None => "`cargo brig policy crates` lists those that it has".to_owned(),
                }),
            }),
        };
        let rules = self.rules(value, known).into_iter();
        rules.filter_map(|rule| Some((Collected::of_name(&rule.text)?, rule.place))).collect()
    }

    fn packages(&mut self, value: &Spanned<DeValue<'t>>) -> Vec<PackageRules> {
        let Some(array) = value.get_ref().as_array() else {
            let help = "write `[[package]]`, in two brackets".to_owned();
            self.error(value.span(), "`package` is a list of tables".to_owned(), Some(help));
            return Vec::new();
        };
        let mut packages = Vec::new();
        for item in array {
            let Some(table) = self.table(item) else { continue };
            let (mut name, mut version, mut rules) = (None, None, Rules::default());
            for (key, _, value) in self.entries(table, "`[[package]]`", &[PACKAGE_KEYS, SECTIONS]) {
                match key {
                    "name" => name = self.string(value).map(|name| (name, value.span())),
                    "version" => version = self.version(value),
                    _ => self.section(key, value, &mut rules),
                }
            }
            match name {
                None => {
                    // The table's span is all of it: its head is what is meant.
                    let head = item.span().start..item.span().start + "[[package]]".len();
                    self.error(head, "a `[[package]]` has to have a `name`".to_owned(), None);
                }
                Some((name, span)) if !is_package_name(&name) => {
                    self.error(span, format!("`{name}` is not the name of a package"), None);
                }
                Some((name, _)) => packages.push(PackageRules { name, version, rules }),
            }
        }
        packages
    }

    fn version(&mut self, value: &Spanned<DeValue<'_>>) -> Option<VersionReq> {
        let text = self.string(value)?;
        match VersionReq::parse(&text) {
            Ok(version) => Some(version),
            Err(error) => {
                let help = "write it as in a Cargo.toml, for instance \">=0.9, <0.11\"".to_owned();
                self.error(value.span(), format!("not a version requirement: {error}"), Some(help));
                None
            }
        }
    }

    fn section(&mut self, key: &str, value: &Spanned<DeValue<'t>>, rules: &mut Rules) {
        if key == "on-denial" {
            let found = self.one_of(value, ON_DENIAL);
            rules.on_denial = found.map(|found| (found, self.place(&value.span())));
            return;
        }
        let Some(table) = self.table(value) else { return };
        match key {
            "files" => self.files(table, rules),
            "network" => {
                for (key, _, value) in self.entries(table, "`network`", &[NETWORK_KEYS]) {
                    match key {
                        "connect" => rules.connect = self.rules(value, endpoint),
                        _ => rules.unix = self.rules(value, unix_socket),
                    }
                }
            }
            "environment" => self.environment(table, rules),
            "instructions" => {
                for (_, _, value) in self.entries(table, "`instructions`", &[INSTRUCTION_KEYS]) {
                    rules.instructions = self.rules(value, instruction);
                }
            }
            "rustc" => {
                for (key, span, value) in self.entries(table, "`rustc`", &[RUSTC_KEYS]) {
                    let said = match key {
                        "jail" => &mut rules.jails_rustc,
                        _ => &mut rules.records_rustc,
                    };
                    match value.get_ref().as_bool() {
                        Some(is_wanted) => *said = Some((is_wanted, self.place(&span))),
                        None => self.wrong_type(value, "`true` or `false`"),
                    }
                }
            }
            _ => self.limits(table, rules),
        }
    }

    fn files(&mut self, table: &DeTable<'t>, rules: &mut Rules) {
        for (key, _, value) in self.entries(table, "`files`", &[FILE_KEYS]) {
            match key {
                "list" => rules.list = self.rules(value, path),
                "read" => rules.read = self.rules(value, path),
                "execute" => rules.execute = self.rules(value, path),
                "write" => rules.write = self.rules(value, path),
                "redirect" => rules.redirect = self.rules(value, path),
                _ => rules.hide = self.rules(value, hidden),
            }
        }
        let Rules { list, read, execute, write, redirect, hide, .. } = rules;
        for hide in hide {
            let given = [
                (&*list, "listed"),
                (read, "read"),
                (execute, "executed"),
                (write, "written"),
                (redirect, "redirected"),
            ];
            let given = given.into_iter().find(|(rules, _)| has(rules, &hide.text));
            if let Some((_, done)) = given {
                let message = format!("`{}` is both {done} and hidden", hide.text);
                self.error(hide.span.clone(), message, None);
            }
        }
    }

    fn environment(&mut self, table: &DeTable<'t>, rules: &mut Rules) {
        for (key, _, value) in self.entries(table, "`environment`", &[ENVIRONMENT_KEYS]) {
            match key {
                "pass" => rules.pass = self.rules(value, variable),
                "withhold" => rules.withhold = self.rules(value, variable),
                "unnamed" => {
                    let found = self.one_of(value, UNNAMED);
                    rules.unnamed = found.map(|found| (found, self.place(&value.span())));
                }
                _ => {
                    let Some(table) = self.table(value) else { continue };
                    for (name, value) in table {
                        let rule = Rule {
                            text: name.get_ref().to_string(),
                            place: self.place(&name.span()),
                            span: name.span(),
                        };
                        let Some(text) = self.string(value) else { continue };
                        if let Err(Mistake { message, help }) = variable(&rule.text) {
                            self.error(name.span(), message, help);
                        } else if rule.text.contains('*') {
                            let message = "a value is given to one variable by its name";
                            self.error(name.span(), message.to_owned(), None);
                        } else if text.contains('\0') {
                            self.error(value.span(), "a value has no NUL in it".to_owned(), None);
                        } else {
                            rules.set.push((rule, text));
                        }
                    }
                }
            }
        }
        for pass in &rules.pass {
            if has(&rules.withhold, &pass.text) {
                let message = format!("`{}` is both passed and withheld", pass.text);
                self.error(pass.span.clone(), message, None);
            }
        }
    }

    fn limits(&mut self, table: &DeTable<'t>, rules: &mut Rules) {
        let known = Limit::ALL.map(Limit::key);
        for (key, _, value) in self.entries(table, "`limits`", &[&known]) {
            let Some(limit) = Limit::ALL.into_iter().find(|limit| limit.key() == key) else {
                continue;
            };
            let number = match value.get_ref() {
                DeValue::String(word) if word == "none" => None,
                DeValue::Integer(number) => {
                    let number = u64::from_str_radix(number.as_str(), number.radix());
                    let Some(number) = number.ok().filter(|number| *number > 0) else {
                        self.error(value.span(), "a limit is a number above 0".to_owned(), None);
                        continue;
                    };
                    Some(number)
                }
                _ => {
                    self.wrong_type(value, "a number, or \"none\"");
                    continue;
                }
            };
            rules.limits.push((limit, number, self.place(&value.span())));
        }
    }

    fn one_of<T: Copy>(&mut self, value: &Spanned<DeValue<'_>>, words: &[(&str, T)]) -> Option<T> {
        let text = self.string(value)?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning);
        if found.is_none() {
            let all: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            self.error(value.span(), format!("this has to be {}", listed(&all, "or")), None);
        }
        found
    }

    /// Tells of what was probably not meant.
    pub(super) fn doubt(&mut self, document: &Document) {
        for Doubt { rule, message, help } in doubts(document) {
            self.tell(Severity::Warning, rule.span.clone(), message, help.map(str::to_owned));
        }
        self.found.0.sort_by_key(|diagnostic| (diagnostic.line, diagnostic.column));
    }
}

fn has(rules: &[Rule], text: &str) -> bool {
    rules.iter().any(|rule| rule.text == text)
}

fn a(noun: &str) -> String {
    let article = if noun.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {noun}")
}
