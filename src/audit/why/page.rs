//! One run, explained to a person.

use super::{ByRule, Explained};
use crate::audit::behaviour::Aspect;
use crate::audit::report::{Package, Verdict};
use crate::policy::placeholders::Placeholders;
use crate::show::groups;
use crate::show::page::Page;
use crate::show::quantity::counted;

/// So many things that one rule allowed are shown.
const SHOWN: usize = 8;

/// Writes it, with paths shortened by what is `known`.
pub(super) fn render(page: &mut Page, explained: &Explained, known: &Placeholders) {
    let Explained { package, paths, variables } = explained;
    page.title(&package.title());
    origin(page, package);
    let verdict = match (&package.verdict, &package.approved_version) {
        (Verdict::NewPackage, _) => "is not in brig.lock".to_owned(),
        (verdict, Some(version)) => format!("{verdict}, compared with v{version} in brig.lock"),
        (verdict, None) => verdict.to_string(),
    };
    page.line(2, &verdict);
    for run in &package.runs {
        page.dim(2, &run.record);
    }
    for (aspect, values) in by_aspect(package) {
        page.heading(&format!("It {} ({})", aspect.verb(), values.len()));
        for (value, is_new) in values {
            let new = if is_new { "  (not approved)" } else { "" };
            page.line(2, &format!("{value}{new}"));
        }
    }
    rules(page, paths, variables, known);
    if !package.denials.is_empty() {
        page.warning(&format!("Denied ({})", package.denials.len()));
        for denial in &package.denials {
            page.line(2, &denial.message);
            if let Some(rule) = &denial.rule {
                page.rule(6, rule);
            }
        }
    }
    for finding in &package.findings {
        page.warning(&format!("{}: it {}", finding.code, finding.message));
    }
}

/// What was allowed, by the rule that allowed it.
fn rules(page: &mut Page, paths: &[ByRule], variables: &[ByRule], known: &Placeholders) {
    page.heading("What allowed it");
    for ByRule { rule, values } in paths {
        page.line(2, &format!("{rule}: {}", counted(values.len() as u64, "path")));
        let paths: Vec<_> = values.iter().map(|path| known.shorten(path)).collect();
        let lines = groups::lines(paths.iter().map(AsRef::as_ref), false);
        for line in lines.iter().take(SHOWN) {
            page.dim(6, line);
        }
        if lines.len() > SHOWN {
            page.dim(6, &format!("… and {} more", lines.len() - SHOWN));
        }
    }
    for ByRule { rule, values } in variables {
        let names: Vec<&str> = values.iter().map(String::as_str).collect();
        page.line(2, &format!("{}: {rule}", counted(names.len() as u64, "variable")));
        page.dim(6, &names.join(", "));
    }
}

/// What brings it in.
fn origin(page: &mut Page, package: &Package) {
    let manifest = package.manifest.as_ref();
    let place = manifest.map(|place| format!(" ({}:{})", place.file, place.line));
    let place = place.unwrap_or_default();
    match &package.path[..] {
        [] => page.line(2, "is not in Cargo.lock"),
        [_] => page.line(2, &format!("in this workspace{place}")),
        path => page.line(2, &format!("by way of {}{place}", path.join(" → "))),
    }
    if let Some(source) = &package.source {
        page.dim(2, source);
    }
}

/// The values of a package's behaviour, and whether they are new.
fn by_aspect(package: &Package) -> Vec<(Aspect, Vec<(&str, bool)>)> {
    let is_new = |aspect: Aspect, value: &str| {
        package.added.iter().any(|change| change.aspect == aspect && change.value == value)
    };
    Aspect::ALL
        .into_iter()
        .filter(|aspect| !package.behaviour.of(*aspect).is_empty())
        .map(|aspect| {
            let values = package.behaviour.of(aspect).iter();
            (aspect, values.map(|value| (value.as_str(), is_new(aspect, value))).collect())
        })
        .collect()
}
