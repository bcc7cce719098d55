//! A `rustc-cfg` that nobody told rustc to expect: since 1.80 it warns of each `#[cfg]` with that name.

use std::fs;
use std::path::Path;

use toml::{Table, Value};

use super::check_cfg::Expected;
use super::subject::Subject;
use super::{Code, Lint};
use crate::instruction::Kind;

/// What is set, and neither declared by the script nor in the manifest.
#[must_use]
pub fn unexpected(subject: &Subject<'_>) -> Option<Lint> {
    let mut expected = Expected::default();
    for kind in subject.kinds() {
        if let Kind::CheckCfg(text) = kind {
            expected.add(text);
        }
    }
    // Whoever has no manifest to show is not accused.
    let manifest = manifest(&subject.unit.manifest_dir)?;
    let tables = ["features", "dependencies"].into_iter().filter_map(|key| manifest.get(key));
    let features = tables.filter_map(Value::as_table).flat_map(Table::keys).cloned();
    expected.add_features(features);
    let own = manifest.get("lints");
    let is_inherited = own
        .and_then(|lints| lints.get("workspace"))
        .is_some_and(|inherited| inherited.as_bool() == Some(true));
    let of_workspace = || {
        let root = self::manifest(subject.unit.workspace.as_deref()?)?;
        root.get("workspace")?.get("lints").cloned()
    };
    let lints = if is_inherited { of_workspace() } else { own.cloned() };
    let lint = lints.as_ref().and_then(|lints| lints.get("rust")?.get("unexpected_cfgs"));
    if let Some(lint) = lint {
        let level = lint.as_str().or_else(|| lint.get("level")?.as_str());
        if level == Some("allow") {
            return None;
        }
        let texts = lint.get("check-cfg").and_then(Value::as_array);
        texts.into_iter().flatten().filter_map(Value::as_str).for_each(|text| expected.add(text));
    }
    let items = subject.kinds().filter_map(|kind| match kind {
        Kind::Cfg(cfg) if !expected.has(cfg) => Some(cfg.clone()),
        _ => None,
    });
    Lint::about(
        Code::CfgWithoutCheckCfg,
        "sets what no `rustc-check-cfg` makes known: rustc warns wherever the package asks for it",
        items.collect(),
    )
}

fn manifest(directory: &Path) -> Option<Table> {
    fs::read_to_string(directory.join("Cargo.toml")).ok()?.parse().ok()
}
