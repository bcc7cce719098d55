//! Sentences about what was denied, each with the rule that would allow it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::access::Access;
use crate::network::Attempt;
use crate::policy::Grants;
use crate::policy::allowing::allowing;
use crate::policy::collection::Giving;
use crate::policy::outputs::Owner;
use crate::policy::placeholders::Placeholders;
use crate::unit::Unit;
use crate::warden::Report;

/// What a person should be told: everything if the script failed, which may be why; else what counts
/// even though it went on.
#[must_use]
pub fn sentences(report: &Report, grants: &Grants, unit: &Unit, failed: bool) -> Vec<String> {
    let Report::Ended { denials, network, macros, .. } = report else { return Vec::new() };
    let (known, giving) = if denials.is_empty() {
        (Placeholders::default(), None)
    } else {
        (Placeholders::of(unit), Giving::to(&unit.package, &unit.version))
    };
    let of_access = |denial: &Access| {
        let sentence = of_access(denial, grants, &known, giving.as_ref());
        with_macro(sentence, denial, macros)
    };
    let network = network.iter().filter(|attempt| attempt.counts(failed));
    let of_attempt = |attempt: &Attempt| attempt.denial(&grants.policy.name);
    denials.iter().map(of_access).chain(network.map(of_attempt)).collect()
}

fn of_access(
    denial: &Access,
    grants: &Grants,
    known: &Placeholders,
    giving: Option<&Giving>,
) -> String {
    let outputs = grants.outputs.as_ref();
    let owner = outputs.map(|outputs| outputs.owner(denial.path.as_bytes()).0);
    if denial.kind.changes() && matches!(owner, Some(Owner::Foreign | Owner::Temporary)) {
        return format!("{}, which is another crate's output", denial.attempt());
    }
    let rule = allowing(denial.kind, &denial.path, known, giving).ok();
    // A remark on it is for those who paste it.
    let rule = rule.as_deref().and_then(|rule| rule.split("  #").next());
    let mut sentence = denial.denial(&grants.policy.name, rule);
    // Whose sources they are does not want that, and the script may do without.
    let is_own = denial.kind.changes() && rule.is_some_and(|rule| rule.contains("\"{package}"));
    if is_own && outputs.is_none() {
        sentence += ", and `files.redirect = [\"{package}\"]` lets it write to a copy";
    }
    if let Some(giving) = giving.filter(|giving| giving.forgives())
        && grants.policy.fails_by_denial()
    {
        write!(sentence, "; with `{}` the unit does not fail by it", giving.rule())
            .expect("a String takes it all");
    }
    sentence
}

fn with_macro(sentence: String, denial: &Access, macros: &BTreeMap<String, String>) -> String {
    match macros.get(&denial.path) {
        Some(name) => format!("{sentence} (by the procedural macro crate `{name}`)"),
        None => sentence,
    }
}
