//! What the jail refused to a row's scripts, from their records, and which rules `strict` would need.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::workspace::Built;

/// What was denied in a build, each with its package's name.
pub(crate) fn in_build(kept: &Path, built: &Built) -> BTreeSet<String> {
    let mut denied = BTreeSet::new();
    for unit in &built.units {
        let path = kept.join(&unit.directory).join("brig.json");
        let text = fs::read(&path)
            .unwrap_or_else(|error| panic!("no record of {}: {error}", unit.package));
        let record: Value = serde_json::from_slice(&text).unwrap();
        let mut tell = |what: String| denied.insert(format!("{}: {what}", unit.package));
        for access in record["denials"].as_array().unwrap() {
            tell(format!("{} `{}`", text_of(&access["kind"]), text_of(&access["path"])));
        }
        let attempts = record["network"].as_array().unwrap();
        for attempt in attempts.iter().filter(|attempt| attempt["outcome"] == "denied") {
            let named = [&attempt["type"], &attempt["address"]].map(text_of).join(" ");
            tell(format!("{} socket {named}", text_of(&attempt["family"])));
        }
        for instruction in record["withheld_instructions"].as_array().unwrap() {
            tell(format!("instruction `{}`", text_of(&instruction["line"])));
        }
        for finding in record["findings"].as_array().unwrap() {
            tell(format!("finding {}", text_of(&finding["code"])));
        }
    }
    denied
}

fn text_of(value: &Value) -> &str {
    value.as_str().unwrap_or("")
}

/// The rules of a learned document, by package.
pub(crate) fn rules(learned: &str) -> BTreeMap<String, Vec<String>> {
    let document: toml::Table = toml::from_str(learned).unwrap();
    let mut rules: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let packages = document.get("package").and_then(toml::Value::as_array);
    for package in packages.into_iter().flatten().filter_map(toml::Value::as_table) {
        let text = |key: &str| package[key].as_str().unwrap();
        let name = format!("{} {}", text("name"), text("version").trim_start_matches('='));
        let lists = package.iter().filter_map(|(key, value)| Some((key, value.as_table()?)));
        for (section, table) in lists {
            for (key, values) in table {
                for value in values.as_array().into_iter().flatten() {
                    rules.entry(name.clone()).or_default().push(format!("{section}.{key} {value}"));
                }
            }
        }
    }
    rules
}
