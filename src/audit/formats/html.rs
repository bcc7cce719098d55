//! The report as a page for a browser: one file that loads nothing, and needs no script to be read.
//!
//! Whatever a script chose is data. It gets into the page through [`Shown`] alone and as text, never into
//! an attribute or the page's own script or style; and the page's policy (Content Security Policy
//! Level 3, section 2.3.1) lets no others run than these two, which it names by their digests.

pub mod runs;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display, Write as _};
use std::io::{self, Write};

use sha2::{Digest, Sha256};

use super::sentence;
use crate::access::printable;
use crate::audit::behaviour::Aspect;
use crate::audit::report::{Actor, Outcome, Package, Report, Verdict};
use crate::show::quantity::{self, counted, moment};

const STYLE: &str = include_str!("html/style.css");
const SCRIPT: &str = include_str!("html/script.js");
/// So many denials are told before the packages; each package tells its own.
const DENIALS: usize = 100;

/// Outcomes from bad to good, as a reader looks for them.
const OUTCOMES: [Outcome; 6] = [
    Outcome::Unjailed,
    Outcome::Violated,
    Outcome::Unapproved,
    Outcome::Failed,
    Outcome::Unjudged,
    Outcome::Clean,
];

/// Writes it.
///
/// # Errors
/// If it cannot be written.
pub fn write(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let mut packages: Vec<&Package> = report.packages.iter().collect();
    packages.sort_by_key(|package| {
        let outcome = package.verdict.outcome();
        (Reverse(outcome), package.denials.is_empty(), Reverse(package.verdict))
    });
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; base-uri 'none'; form-action 'none'",
        base64(&Sha256::digest(STYLE.as_bytes())),
        base64(&Sha256::digest(SCRIPT.as_bytes()))
    );
    write!(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"referrer\" content=\"no-referrer\">\n\
         <title>Audit of {}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n",
        Shown(&report.workspace.root)
    )?;
    writeln!(out, "<a class=\"skip\" href=\"#packages\">To the packages</a>")?;
    summary(report, out)?;
    denials(&packages, out)?;
    writeln!(out, "<main id=\"packages\">\n<h2>Packages ({})</h2>", packages.len())?;
    controls(&packages, out)?;
    for (number, package) in packages.iter().enumerate() {
        Page { report, package, out: &mut *out }.package(number)?;
    }
    writeln!(out, "</main>\n<script>{SCRIPT}</script>\n</body>\n</html>")
}

fn summary(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let (class, what) = told(report.result);
    writeln!(
        out,
        "<header>\n<h1>Audit of build scripts: <span class=\"{class}\">{what}</span></h1>"
    )?;
    writeln!(out, "<dl>")?;
    let command: Vec<&str> =
        std::iter::once("cargo").chain(report.command.iter().map(String::as_str)).collect();
    let command = format!("{} ({})", command.join(" "), quantity::exit(report.cargo));
    let baseline = report.workspace.baseline_sha256.as_ref().map_or_else(
        || "none yet".to_owned(),
        |digest| format!("{} (SHA-256 {digest})", report.workspace.baseline),
    );
    for (name, value) in [
        ("Workspace", report.workspace.root.as_str()),
        ("When", &moment(report.started)),
        ("Command", &command),
        ("Baseline", &baseline),
        ("Made by", &report.tool),
    ] {
        writeln!(out, "<dt>{name}</dt><dd><code>{}</code></dd>", Shown(value))?;
    }
    for policy in &report.policies {
        write!(out, "<dt>Policy</dt><dd><code>{}</code><ul>", Shown(&policy.name))?;
        for document in &policy.documents {
            let (file, digest) = (Shown(&document.file), Shown(&document.sha256));
            write!(out, "<li><code>{file}</code> <code>{digest}</code></li>")?;
        }
        writeln!(out, "</ul></dd>")?;
    }
    writeln!(out, "</dl>")?;
    let departed = report
        .departed
        .iter()
        .map(|title| format!("{title} is in the baseline, and no longer in Cargo.lock"));
    let remarks: Vec<String> = report.remarks.iter().cloned().chain(departed).collect();
    if !remarks.is_empty() {
        writeln!(out, "<ul class=\"warn\">")?;
        for remark in &remarks {
            writeln!(out, "<li>{}</li>", Shown(remark))?;
        }
        writeln!(out, "</ul>")?;
    }
    writeln!(out, "</header>")
}

/// The denials of all packages.
fn denials(packages: &[&Package], out: &mut dyn Write) -> io::Result<()> {
    let all = packages.iter().enumerate().flat_map(|(number, package)| {
        package.denials.iter().map(move |denial| (number, package, denial))
    });
    let count = packages.iter().map(|package| package.denials.len()).sum::<usize>();
    if count == 0 {
        return Ok(());
    }
    writeln!(out, "<section>\n<h2>Denied ({count})</h2>\n<ul>")?;
    for (number, package, denial) in all.take(DENIALS) {
        let (title, message) = (package.title(), Shown(&denial.message));
        writeln!(
            out,
            "<li><a href=\"#package-{number}\">{}</a> <code>{message}</code></li>",
            Shown(&title)
        )?;
    }
    if let Some(more) = count.checked_sub(DENIALS).filter(|more| *more > 0) {
        writeln!(out, "<li>… and {more} more, each with its package</li>")?;
    }
    writeln!(out, "</ul>\n</section>")
}

/// What the page's script works with; hidden without it.
fn controls(packages: &[&Package], out: &mut dyn Write) -> io::Result<()> {
    writeln!(
        out,
        "<div class=\"controls\" role=\"search\" hidden>\n\
         <input type=\"search\" id=\"search\" aria-label=\"Search\" \
         placeholder=\"Search packages, paths, programs ( / )\">"
    )?;
    for outcome in OUTCOMES {
        let count = packages.iter().filter(|package| package.verdict.outcome() == outcome).count();
        if count > 0 {
            let (class, what) = told(outcome);
            writeln!(
                out,
                "<label class=\"{class}\"><input type=\"checkbox\" checked data-outcome=\"{}\"> \
                 {what} ({count})</label>",
                word(outcome)
            )?;
        }
    }
    writeln!(
        out,
        "<label><input type=\"checkbox\" id=\"denials\"> with denials only</label>\n\
         <button type=\"button\" id=\"open\">Open all</button>\n\
         <button type=\"button\" id=\"close\">Close all</button>\n\
         <span id=\"shown\" role=\"status\"></span>\n</div>"
    )
}

/// One package's part of the page.
struct Page<'p> {
    report: &'p Report,
    package: &'p Package,
    out: &'p mut dyn Write,
}

impl Page<'_> {
    fn package(&mut self, number: usize) -> io::Result<()> {
        let package = self.package;
        let outcome = package.verdict.outcome();
        let (class, _) = told(outcome);
        let mut counts = Vec::new();
        for (count, what) in
            [(package.denials.len(), "denial"), (package.findings.len(), "finding")]
        {
            if count > 0 {
                counts.push(counted(count as u64, what));
            }
        }
        if outcome != Outcome::Clean && !package.added.is_empty() {
            counts.push(format!("{} not approved", package.added.len()));
        }
        writeln!(
            self.out,
            "<details class=\"package\" id=\"package-{number}\" data-outcome=\"{}\" data-denials=\"{}\">\n\
             <summary><b>{}</b> <span class=\"verdict {class}\">{}</span> <span class=\"counts\">{}</span>\
             </summary>\n<div class=\"body\">",
            word(outcome),
            package.denials.len(),
            Shown(&package.title()),
            package.verdict,
            counts.join(", ")
        )?;
        if let Some(reason) = package.reason.as_ref().filter(|reason| !reason.is_empty()) {
            writeln!(self.out, "<p>{}</p>", Shown(reason))?;
        }
        self.denials()?;
        self.findings()?;
        self.changes()?;
        self.behaviour()?;
        runs::write(self.report, package, self.out)?;
        self.origin()?;
        writeln!(self.out, "</div>\n</details>")
    }

    fn denials(&mut self) -> io::Result<()> {
        self.list("Denied", "bad", &self.package.denials, |denial| {
            let rule = denial.rule.as_ref().map_or_else(String::new, |rule| {
                format!(
                    "<span class=\"by\">would be allowed by <code>{}</code></span>",
                    Shown(rule)
                )
            });
            format!("<code>{}</code>{rule}{}", Shown(&denial.message), By(denial.by.as_ref()))
        })
    }

    fn findings(&mut self) -> io::Result<()> {
        self.list("Found", "warn", &self.package.findings, |finding| {
            let fatal = if finding.fatal { " (fails the build)" } else { "" };
            let (code, message) = (Shown(&finding.code), Shown(&finding.message));
            format!("<b>{code}</b>{fatal} <code>{message}</code>{}", By(finding.by.as_ref()))
        })
    }

    fn changes(&mut self) -> io::Result<()> {
        // Of a new package everything is, and it follows.
        let is_told = self.package.verdict == Verdict::NewPackage
            || self.package.verdict.outcome() == Outcome::Clean;
        if !is_told {
            self.list("Not approved", "bad", &self.package.added, |change| {
                let value = Shown(&change.value);
                format!("{} <code>{value}</code>{}", change.aspect.verb(), By(change.by.as_ref()))
            })?;
        }
        self.list("Approved, and not done this time", "", &self.package.gone, |gone| {
            format!("{} <code>{}</code>", gone.aspect.verb(), Shown(&gone.value))
        })
    }

    fn list<T>(
        &mut self,
        title: &str,
        class: &str,
        items: &[T],
        item: impl Fn(&T) -> String,
    ) -> io::Result<()> {
        if items.is_empty() {
            return Ok(());
        }
        writeln!(self.out, "<h3 class=\"{class}\">{title} ({})</h3>\n<ul>", items.len())?;
        for one in items {
            writeln!(self.out, "<li>{}</li>", item(one))?;
        }
        writeln!(self.out, "</ul>")
    }

    /// Everything that it does, files by where they lie.
    fn behaviour(&mut self) -> io::Result<()> {
        let package = self.package;
        let added: BTreeSet<(Aspect, &str)> =
            package.added.iter().map(|change| (change.aspect, change.value.as_str())).collect();
        for aspect in Aspect::ALL {
            let values = package.behaviour.of(aspect);
            if values.is_empty() {
                continue;
            }
            writeln!(self.out, "<h3>{} ({})</h3>", heading(aspect), values.len())?;
            let mut areas: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
            let has_areas = matches!(aspect, Aspect::Reads | Aspect::Writes);
            for value in values {
                areas.entry(if has_areas { area(value) } else { "" }).or_default().push(value);
            }
            for (area, values) in areas {
                if !area.is_empty() {
                    let count = values.len();
                    writeln!(self.out, "<h4><code>{}</code> ({count})</h4>", Shown(area))?;
                }
                writeln!(self.out, "<ul>")?;
                for value in values {
                    let is_new = added.contains(&(aspect, value));
                    let class = if is_new { " class=\"new\"" } else { "" };
                    writeln!(self.out, "<li{class}><code>{}</code></li>", Shown(value))?;
                }
                writeln!(self.out, "</ul>")?;
            }
        }
        Ok(())
    }

    fn origin(&mut self) -> io::Result<()> {
        let package = self.package;
        writeln!(self.out, "<h3>Where it comes from</h3>\n<dl>")?;
        let places = [&package.manifest, &package.lock].into_iter().flatten();
        let places: Vec<String> =
            places.map(|place| format!("{}:{}", place.file, place.line)).collect();
        let rows = [
            ("Way", (package.path.len() > 1).then(|| package.path.join(" → "))),
            ("Line", (!places.is_empty()).then(|| places.join(", "))),
            ("Source", package.source.clone()),
            ("Checksum", package.checksum.clone()),
            ("Approved version", package.approved_version.clone()),
        ];
        for (name, value) in rows {
            if let Some(value) = value {
                writeln!(self.out, "<dt>{name}</dt><dd><code>{}</code></dd>", Shown(&value))?;
            }
        }
        writeln!(self.out, "</dl>")
    }
}

/// A text as the page shows it, between elements or in a quoted attribute: printable, and free of what is
/// markup (HTML, 13.2.5). Everything that a script chose goes through this.
struct Shown<'t>(&'t str);

impl Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for letter in printable(self.0).chars() {
            match letter {
                '&' => f.write_str("&amp;"),
                '<' => f.write_str("&lt;"),
                '>' => f.write_str("&gt;"),
                '"' => f.write_str("&quot;"),
                '\'' => f.write_str("&#39;"),
                '`' => f.write_str("&#96;"),
                letter => f.write_char(letter),
            }?;
        }
        Ok(())
    }
}

/// Who did something.
struct By<'p>(Option<&'p Actor>);

impl Display for By<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(actor) = self.0 else { return Ok(()) };
        let command = sentence::command(&actor.program, &actor.arguments);
        write!(
            f,
            "<span class=\"by\">by process {}: <code>{}</code></span>",
            actor.process,
            Shown(&command)
        )
    }
}

/// The part of a path that files are grouped by: its placeholder, or its first directory.
fn area(path: &str) -> &str {
    let end = match path.as_bytes().first() {
        Some(b'{') => path.find('}').map(|at| at + 1),
        Some(b'/') => path[1..].find('/').map(|at| at + 1),
        _ => path.find('/'),
    };
    end.map_or(path, |end| &path[..end])
}

fn heading(aspect: Aspect) -> &'static str {
    match aspect {
        Aspect::Denied => "Tried, and must not",
        Aspect::Network => "Network",
        Aspect::Programs => "Programs",
        Aspect::Reads => "Reads",
        Aspect::Writes => "Writes outside of its own directories",
        Aspect::Variables => "Variables asked for",
        Aspect::Instructions => "Instructions to Cargo",
        Aspect::Libraries => "Libraries",
        Aspect::Findings => "Findings",
        Aspect::Limits => "Limits that it comes near",
    }
}

/// Its colour, and what it is called.
fn told(outcome: Outcome) -> (&'static str, &'static str) {
    match outcome {
        Outcome::Clean => ("good", "as approved"),
        Outcome::Unjudged => ("warn", "could not be judged"),
        Outcome::Failed => ("warn", "failed"),
        Outcome::Unapproved => ("bad", "not as approved"),
        Outcome::Violated => ("bad", "against the policy"),
        Outcome::Unjailed => ("bad", "not in the jail"),
    }
}

/// Its name in the page.
fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Clean => "clean",
        Outcome::Unjudged => "unjudged",
        Outcome::Failed => "failed",
        Outcome::Unapproved => "unapproved",
        Outcome::Violated => "violated",
        Outcome::Unjailed => "unjailed",
    }
}

/// RFC 4648, section 4.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let mut bits = 0;
        for place in 0..3 {
            bits = bits << 8 | u32::from(group.get(place).copied().unwrap_or(0));
        }
        for place in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * place) & 63) as usize];
            text.push(if place <= group.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_standard() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
        assert_eq!(base64(&[0xfb, 0xff]), "+/8=");
    }

    #[test]
    fn files_lie_in_areas() {
        for (path, expected) in [
            ("{home}/.ssh/id", "{home}"),
            ("{home}", "{home}"),
            ("/etc/a/b", "/etc"),
            ("/etc", "/etc"),
            ("/", "/"),
            ("a/b", "a"),
            ("é", "é"),
            ("{", "{"),
            ("", ""),
        ] {
            assert_eq!(area(path), expected);
        }
    }
}
