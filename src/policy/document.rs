//! A policy document as written: TOML, parsed into exactly what it says, with the place of each rule.
//!
//! Nothing is expanded or looked up here; see [`super::resolve`]. All mistakes are told at once.

use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use semver::VersionReq;
use sha2::{Digest, Sha256};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Limit;
use super::builtin::Builtin;
use super::diagnostic::{Diagnostics, Lines, Severity, similar};
use super::placeholders;
use crate::digest;

/// A parsed policy document.
#[derive(Clone, Debug)]
pub struct Document {
    /// The name that it gives itself.
    pub name: Option<String>,
    /// The file it came from.
    pub file: Arc<str>,
    /// SHA-256 of the text, in lower-case hexadecimal digits.
    pub digest: String,
    /// The built-in policy that it builds on.
    pub extends: Option<Builtin>,
    /// Where it says that nothing above it may loosen it.
    pub locked: Option<Place>,
    /// Rules for every package.
    pub common: Rules,
    /// Rules for some packages.
    pub packages: Vec<PackageRules>,
    /// What looks wrong in it.
    pub warnings: Diagnostics,
}

/// Rules for the packages of a name.
#[derive(Clone, Debug)]
pub struct PackageRules {
    /// The package's name.
    pub name: String,
    /// Its versions; all, if none are named.
    pub version: Option<VersionReq>,
    /// The rules.
    pub rules: Rules,
}

/// What a document, or a part of it for some packages, says.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// Paths that may be read.
    pub read: Vec<Rule>,
    /// Paths that may be executed and read.
    pub execute: Vec<Rule>,
    /// Paths that may be written and read.
    pub write: Vec<Rule>,
    /// Patterns of names of variables that a script gets.
    pub pass: Vec<Rule>,
    /// Patterns of names of variables that a script does not get.
    pub withhold: Vec<Rule>,
    /// Variables with the values that they get.
    pub set: Vec<(Rule, String)>,
    /// What becomes of variables that no pattern names.
    pub unnamed: Option<(Unnamed, Place)>,
    /// How much a script may use; none is no limit.
    pub limits: Vec<(Limit, Option<u64>, Place)>,
    /// Patterns of instructions that are relayed all the same.
    pub instructions: Vec<Rule>,
    /// What becomes of a unit that was denied something.
    pub on_denial: Option<(OnDenial, Place)>,
}

/// What becomes of variables that no pattern names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unnamed {
    /// The script gets them.
    #[default]
    Pass,
    /// It does not.
    Withhold,
}

/// What becomes of a unit that was denied something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnDenial {
    /// It is told, and the unit ends as its script does.
    #[default]
    Report,
    /// The unit fails.
    Fail,
}

/// A place in a document.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The document.
    pub file: Arc<str>,
    /// Line, from 1.
    pub line: usize,
}

/// One rule, as written, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The text between the quotes.
    pub text: String,
    /// Where it stands.
    pub place: Place,
}

/// A document that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read.
    #[error("cannot read the policy `{}`", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// It is no policy.
    #[error("a policy has mistakes\n{0}")]
    Invalid(Diagnostics),
}

impl Document {
    /// Reads a document.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = fs::read_to_string(path)
            .map_err(|source| Error::Read { path: path.to_owned(), source })?;
        Self::parse(&path.display().to_string(), &text)
    }

    /// Reads a document, if there is one.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn read_if_there(path: &Path) -> Result<Option<Self>, Error> {
        match Self::read(path) {
            Err(Error::Read { source, .. })
                if matches!(
                    source.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                Ok(None)
            }
            read => read.map(Some),
        }
    }

    /// Parses a document; `file` is its name in messages.
    ///
    /// # Errors
    /// [`Error::Invalid`] with all that is wrong.
    pub fn parse(file: &str, text: &str) -> Result<Self, Error> {
        let mut reader = Reader::new(file, text);
        let (table, mistakes) = DeTable::parse_recoverable(text);
        for mistake in mistakes {
            let span = mistake.span().unwrap_or(0..0);
            reader.error(span, mistake.message().to_owned(), None);
        }
        // What a broken line leaves behind would be told of as if it had been meant.
        if reader.found.has_errors() {
            return Err(Error::Invalid(reader.found));
        }
        let mut document = Self {
            name: None,
            file: Arc::clone(&reader.file),
            digest: digest::hex(&Sha256::digest(text.as_bytes())),
            extends: None,
            locked: None,
            common: Rules::default(),
            packages: Vec::new(),
            warnings: Diagnostics::default(),
        };
        reader.document(table.get_ref(), &mut document);
        reader.look_for_shadowed(&document.common);
        if reader.found.has_errors() {
            return Err(Error::Invalid(reader.found));
        }
        document.warnings = reader.found;
        Ok(document)
    }
}

/// The keys that a document has itself, beside those of [`SECTIONS`].
const KEYS: &[&str] = &["name", "extends", "locked", "on-denial", "package"];
/// The keys that a `[[package]]` has itself.
const PACKAGE_KEYS: &[&str] = &["name", "version", "on-denial"];
/// The tables of rules.
const SECTIONS: &[&str] = &["files", "environment", "instructions", "limits"];
const FILE_KEYS: &[&str] = &["read", "execute", "write"];
const ENVIRONMENT_KEYS: &[&str] = &["pass", "withhold", "set", "unnamed"];
const INSTRUCTION_KEYS: &[&str] = &["allow"];

/// A table's entries as they stand in the text: key, its place, value.
type Entry<'v, 't> = (&'v str, Range<usize>, &'v Spanned<DeValue<'t>>);

/// Reads one text, and collects what is wrong with it.
struct Reader<'t> {
    file: Arc<str>,
    text: &'t str,
    lines: Lines<'t>,
    found: Diagnostics,
}

impl<'t> Reader<'t> {
    fn new(file: &str, text: &'t str) -> Self {
        Self { file: file.into(), text, lines: Lines::of(text), found: Diagnostics::default() }
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

    fn error(&mut self, span: Range<usize>, message: String, help: Option<String>) {
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
            rules.push(Rule { text, place: self.place(&item.span()) });
        }
        rules
    }

    fn document(&mut self, table: &DeTable<'t>, document: &mut Document) {
        for (key, span, value) in self.entries(table, "a policy", &[KEYS, SECTIONS]) {
            match key {
                "name" => document.name = self.string(value),
                "extends" => document.extends = self.extends(value),
                "locked" => match value.get_ref().as_bool() {
                    Some(locked) => document.locked = locked.then(|| self.place(&span)),
                    None => self.wrong_type(value, "`true` or `false`"),
                },
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
            let found =
                self.one_of(value, &[("report", OnDenial::Report), ("fail", OnDenial::Fail)]);
            rules.on_denial = found.map(|found| (found, self.place(&value.span())));
            return;
        }
        let Some(table) = self.table(value) else { return };
        match key {
            "files" => {
                for (key, _, value) in self.entries(table, "`files`", &[FILE_KEYS]) {
                    let list = match key {
                        "read" => &mut rules.read,
                        "execute" => &mut rules.execute,
                        _ => &mut rules.write,
                    };
                    *list = self.rules(value, path);
                }
            }
            "environment" => self.environment(table, rules),
            "instructions" => {
                for (_, _, value) in self.entries(table, "`instructions`", &[INSTRUCTION_KEYS]) {
                    rules.instructions = self.rules(value, instruction);
                }
            }
            _ => self.limits(table, rules),
        }
    }

    fn environment(&mut self, table: &DeTable<'t>, rules: &mut Rules) {
        for (key, _, value) in self.entries(table, "`environment`", &[ENVIRONMENT_KEYS]) {
            match key {
                "pass" => rules.pass = self.rules(value, variable),
                "withhold" => rules.withhold = self.rules(value, variable),
                "unnamed" => {
                    let words = [("pass", Unnamed::Pass), ("withhold", Unnamed::Withhold)];
                    let found = self.one_of(value, &words);
                    rules.unnamed = found.map(|found| (found, self.place(&value.span())));
                }
                _ => {
                    let Some(table) = self.table(value) else { continue };
                    for (name, value) in table {
                        let rule = Rule {
                            text: name.get_ref().to_string(),
                            place: self.place(&name.span()),
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
            if rules.withhold.iter().any(|withhold| withhold.text == pass.text) {
                let line = self.text.lines().nth(pass.place.line - 1).unwrap_or_default();
                let start = line.as_ptr().addr() - self.text.as_ptr().addr();
                let message = format!("`{}` is both passed and withheld", pass.text);
                self.error(start..start + line.len(), message, None);
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

    /// Rules that change nothing, because a directory above them has the same or a greater right.
    fn look_for_shadowed(&mut self, rules: &Rules) {
        let Rules { read, execute, write, .. } = rules;
        for (rules, greater) in
            [(read, vec![read, execute, write]), (execute, vec![execute]), (write, vec![write])]
        {
            for rule in rules {
                let shadow = greater.iter().flat_map(|rules| rules.iter()).find(|other| {
                    rule.text.strip_prefix(other.text.as_str()).is_some_and(|r| r.starts_with('/'))
                });
                if let Some(shadow) = shadow {
                    let line = self.text.lines().nth(rule.place.line - 1).unwrap_or_default();
                    let start = line.as_ptr().addr() - self.text.as_ptr().addr();
                    let at = line.find(&rule.text).map_or(0, |at| at);
                    let span = start + at..start + at + rule.text.len();
                    let message = format!(
                        "`{}` in line {} covers this already",
                        shadow.text, shadow.place.line
                    );
                    self.tell(Severity::Warning, span, message, None);
                }
            }
        }
    }
}

/// Why a text is no rule.
struct Mistake {
    message: String,
    help: Option<String>,
}

fn mistake(message: impl Into<String>) -> Mistake {
    Mistake { message: message.into(), help: None }
}

/// Whether a text is a path as [`super::resolve`] takes it.
fn path(text: &str) -> Result<(), Mistake> {
    let rest = if let Some(rest) = text.strip_prefix('{') {
        let (name, rest) =
            rest.split_once('}').ok_or_else(|| mistake("a placeholder ends with `}`"))?;
        if !placeholders::NAMES.contains(&name) {
            let help = match similar(name, placeholders::NAMES) {
                Some(similar) => format!("did you mean `{{{similar}}}`?"),
                None => there_are(placeholders::NAMES),
            };
            let message = format!("there is no placeholder `{{{name}}}`");
            return Err(Mistake { message, help: Some(help) });
        }
        if !rest.is_empty() && !rest.starts_with('/') {
            return Err(mistake("a placeholder is followed by a `/` or by nothing"));
        }
        rest
    } else if text.starts_with('/') {
        text
    } else {
        let help = if text.starts_with('~') {
            "the home directory is `{home}`".to_owned()
        } else {
            "write `{package}/…`, `{workspace}/…` or another placeholder before it".to_owned()
        };
        let message = "a path begins with `/` or with a placeholder".to_owned();
        return Err(Mistake { message, help: Some(help) });
    };
    if rest.contains('\0') {
        return Err(mistake("a path has no NUL in it"));
    }
    let mut parts = rest.split('/').skip(1);
    if parts.clone().any(|part| part == ".." || part == ".") {
        return Err(mistake("`.` and `..` are not followed in a rule: it would match nothing"));
    }
    if rest.len() > 1 && rest.ends_with('/') {
        return Err(mistake("a directory is named without a `/` at its end"));
    }
    if rest != "/" && parts.any(str::is_empty) {
        return Err(mistake("a part of this path is empty: it would match nothing"));
    }
    Ok(())
}

/// Whether a text is a pattern of names of variables.
fn variable(text: &str) -> Result<(), Mistake> {
    if text.is_empty() {
        return Err(mistake("a variable has a name"));
    }
    if let Some(character) = text.chars().find(|c| *c == '=' || c.is_whitespace() || c.is_control())
    {
        let shown = character.escape_debug();
        return Err(mistake(format!("no variable's name has a `{shown}` in it")));
    }
    Ok(())
}

/// Whether a text is a pattern of instructions: `KEY=VALUE`.
fn instruction(text: &str) -> Result<(), Mistake> {
    let text = text.strip_prefix("cargo::").or_else(|| text.strip_prefix("cargo:")).unwrap_or(text);
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() && !value.is_empty() && !key.contains('*') => Ok(()),
        _ => Err(Mistake {
            message: "an instruction is a key, `=` and a value".to_owned(),
            help: Some("for instance \"rustc-link-arg=-fuse-ld=lld\"; `*` stands for any part of the value".to_owned()),
        }),
    }
}

fn is_package_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '-' || c == '_')
}

fn listed(words: &[&str], conjunction: &str) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => {
            format!("{} {conjunction} {last}", rest.join(", "))
        }
        _ => quoted.concat(),
    }
}

fn there_are(words: &[&str]) -> String {
    let verb = if words.len() == 1 { "is" } else { "are" };
    format!("there {verb} {}", listed(words, "and"))
}

fn a(noun: &str) -> String {
    let article = if noun.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {noun}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistakes(text: &str) -> Vec<String> {
        let Err(Error::Invalid(found)) = Document::parse("p.toml", text) else { return Vec::new() };
        let line = |d: &super::super::diagnostic::Diagnostic| {
            format!("{}:{} {}", d.line, d.column, d.message)
        };
        found.0.iter().map(line).collect()
    }

    #[test]
    fn all_mistakes_are_told_in_the_order_of_the_text() {
        let text = "name = 1\n[files]\nreed = []\nread = [\"a\", 2, \"{tpm}/x\"]\n[limits]\nwall-time = 0\n";
        let expected = [
            "1:8 this is an integer, and has to be a string",
            "3:1 unknown key `reed` in `files`",
            "4:9 a path begins with `/` or with a placeholder",
            "4:14 this is an integer, and has to be a string",
            "4:17 there is no placeholder `{tpm}`",
            "6:13 a limit is a number above 0",
        ];
        assert_eq!(mistakes(text), expected);
    }

    #[test]
    fn what_is_shadowed_is_a_warning() {
        let text = "[files]\nread = [\"/usr\", \"/usr/lib\"]\nwrite = [\"/usr/lib\"]\nexecute = [\"/usr\"]";
        let document = Document::parse("p.toml", text).unwrap();
        let messages: Vec<_> =
            document.warnings.0.iter().map(|w| (w.line, w.column, w.message.as_str())).collect();
        assert_eq!(messages, [(2, 18, "`/usr` in line 2 covers this already")]);
    }
}
