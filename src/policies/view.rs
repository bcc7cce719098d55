//! `cargo brig policy show`: what all documents together say, each rule with its place.

use serde_json::Value;

use super::{Error, metadata, print};
use crate::cli::PackageSpec;
use crate::exit::Ending;
use crate::policy::document::{Document, OnDenial, Place, Rule, Unnamed};
use crate::policy::layers::Places;
use crate::policy::{Layers, Limit, Mode, Policy};
use crate::show::page::{Page, Paint};

/// Shows it, for one package if one is named.
///
/// # Errors
/// See [`Error`].
pub fn run(package: Option<&PackageSpec>, places: &Places) -> Result<Ending, Error> {
    let layers = Layers::read(places)?;
    let mut page = Page::new(Paint::of_stdout());
    match package {
        None => render(&mut page, &layers, "every package", &Policy::of(&layers, "", "")),
        Some(package) => {
            let found = versions(package);
            if found.is_empty() {
                return Err(Error::NoPackage { package: package.name.clone() });
            }
            for (index, version) in found.iter().enumerate() {
                if index > 0 {
                    page.blank();
                }
                let of = format!("{} v{version}", package.name);
                render(&mut page, &layers, &of, &Policy::of(&layers, &package.name, version));
            }
        }
    }
    print(page.text())?;
    Ok(Ending::Code(0))
}

/// The versions of a package that the workspace uses.
fn versions(package: &PackageSpec) -> Vec<String> {
    let metadata = metadata(&[]).unwrap_or_default();
    let packages = metadata.get("packages").and_then(Value::as_array).into_iter().flatten();
    let text = |of: &Value, key: &str| of.get(key).and_then(Value::as_str).map(str::to_owned);
    let mut versions: Vec<String> = packages
        .filter(|of| text(of, "name").as_ref() == Some(&package.name))
        .filter_map(|of| text(of, "version"))
        .filter(|version| package.is_version(version))
        .collect();
    versions.sort();
    versions
}

fn render(page: &mut Page, layers: &Layers, of: &str, policy: &Policy) {
    let locked = if layers.locked { ", locked" } else { "" };
    let permissive = policy.mode == Mode::Permissive;
    let mode = if permissive { ", permissive" } else { "" };
    page.title(&format!("policy `{}`{locked}{mode}, for {of}", policy.name));
    if permissive {
        page.warning("What is not given here is recorded, and none of it denied but to write");
    }
    page.heading("Documents, the lowest first");
    for layer in &layers.layers {
        let Document { file, taken_in, .. } = &layer.document;
        let of = match taken_in {
            Some(Place { file, line }) => format!("taken in by {file}:{line}"),
            None => layer.owner.name().to_owned(),
        };
        page.line(2, &format!("{file} ({of})"));
    }
    for (heading, rules) in [
        ("May be listed", &policy.list),
        ("May be read", &policy.read),
        ("May be executed and read", &policy.execute),
        ("May be written and read", &policy.write),
        ("May be written in a private copy", &policy.redirect),
        ("Does not exist, but for what is given there", &policy.hide),
    ] {
        section(page, heading, rules.iter().map(|rule| (rule.text.clone(), &rule.place)));
    }
    for (heading, rules) in [
        ("May be connected to", &policy.connect),
        ("Unix sockets that may be connected to", &policy.unix),
    ] {
        section(page, heading, rules.iter().map(|rule| (rule.text.clone(), &rule.place)));
    }
    page.heading("Variables, besides those that Cargo sets");
    for (name, value) in &policy.set {
        row(page, &format!("{} = {value:?}", name.text), &name.place);
    }
    for (becomes, Rule { text, place, .. }) in &policy.variables {
        let verb = if *becomes == Unnamed::Pass { "passes" } else { "is withheld" };
        row(page, &format!("{text} {verb}"), place);
    }
    let others = if policy.unnamed == Unnamed::Pass { "pass" } else { "are withheld" };
    said(page, &format!("all others {others}"), policy.said.unnamed.as_ref());
    section(
        page,
        "Instructions that are relayed all the same",
        policy.instructions.iter().map(|rule| (rule.text.clone(), &rule.place)),
    );
    page.heading("Limits");
    for limit in Limit::ALL {
        let text = format!("{}: {}", limit.key(), limit.value(&policy.limits));
        said(page, &text, policy.said.limit(limit));
    }
    let then = match policy.on_denial {
        _ if permissive => "is told, and the unit ends as its script does",
        OnDenial::Report => "is told, and the unit ends as its script does",
        OnDenial::Fail => "fails the unit",
    };
    page.heading("What is denied");
    said(page, then, policy.said.on_denial.as_ref());
    page.heading("The compiler, and the procedural macros in it");
    let rustc = if policy.jails_rustc && !permissive { "in a jail too" } else { "not in a jail" };
    said(page, rustc, policy.said.jails_rustc.as_ref());
    if policy.jails_rustc && !permissive {
        let recorded =
            if policy.records_rustc { "each compilation is recorded" } else { "not recorded" };
        said(page, recorded, policy.said.records_rustc.as_ref());
    }
    section(
        page,
        "Counts for nothing, because the policy is locked",
        policy
            .ineffective
            .iter()
            .map(|gone| (format!("{} = {}", gone.key, gone.text), &gone.place)),
    );
}

fn section<'p>(page: &mut Page, heading: &str, rules: impl Iterator<Item = (String, &'p Place)>) {
    let mut rules = rules.peekable();
    if rules.peek().is_some() {
        page.heading(heading);
    }
    for (text, place) in rules {
        row(page, &text, place);
    }
}

/// A row, of which there may be nothing that says so.
fn said(page: &mut Page, text: &str, place: Option<&Place>) {
    match place {
        Some(place) => row(page, text, place),
        None => page.line(2, text),
    }
}

fn row(page: &mut Page, text: &str, place: &Place) {
    page.line(2, &format!("{text:<40}  {}:{}", place.file, place.line));
}
