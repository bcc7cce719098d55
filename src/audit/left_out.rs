//! What is left out of an audit: packages with a build script that the workspace has for these targets, and
//! this build did not. A build without tests leaves out what only tests depend on, for instance.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::report::Package;
use crate::access::printable;
use crate::front::{self, command_line::CommandLine};

/// So many are named.
const NAMED: usize = 10;

/// What Cargo says of the packages (The Cargo Book, `cargo metadata`).
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Known>,
    resolve: Option<Resolve>,
}

#[derive(Deserialize)]
struct Known {
    id: String,
    name: String,
    version: String,
    targets: Vec<Target>,
}

#[derive(Deserialize)]
struct Target {
    kind: Vec<String>,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
}

impl Metadata {
    /// The packages with a script, without those of `here`: `name v1.2.3`.
    fn scripts_without(self, here: &BTreeSet<String>) -> Vec<String> {
        let nodes = self.resolve.map_or_else(Vec::new, |resolve| resolve.nodes);
        let resolved: BTreeSet<String> = nodes.into_iter().map(|node| node.id).collect();
        let has_script = |known: &&Known| {
            known.targets.iter().any(|target| target.kind.iter().any(|kind| kind == "custom-build"))
        };
        let known = self.packages.iter().filter(|known| resolved.contains(&known.id));
        let mut titles: Vec<String> = known
            .filter(has_script)
            .map(|known| format!("{} v{}", known.name, known.version))
            .filter(|title| !here.contains(title))
            .collect();
        titles.sort();
        titles
    }
}

/// A remark on what a build that succeeded left out; none if nothing was. Changes no `Cargo.lock`.
#[must_use]
pub fn remark(command_line: &CommandLine, packages: &[Package]) -> Option<String> {
    let runs = packages.iter().flat_map(|package| &package.runs);
    let targets: BTreeSet<&str> = runs.filter_map(|run| run.target.as_deref()).collect();
    let mut options = vec!["--offline", "--locked"];
    for target in targets {
        options.extend(["--filter-platform", target]);
    }
    let metadata = front::metadata(command_line, &options);
    let Some(metadata) = metadata.and_then(|metadata| Metadata::deserialize(metadata).ok()) else {
        return Some(
            "Cargo does not say which other packages have a build script (`cargo metadata --offline \
             --locked` fails)"
                .to_owned(),
        );
    };
    let here = packages.iter().map(Package::title).collect();
    let titles = metadata.scripts_without(&here);
    let (first, rest) = titles.split_at(titles.len().min(NAMED));
    let named = printable(&first.join(", "));
    let more = if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
    (!titles.is_empty()).then(|| {
        format!(
            "not in this build, and so not audited: {named}{more}; `--workspace --all-targets` builds \
             everything but what optional features bring"
        )
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_has_a_script_and_is_not_here_is_found() {
        let known = |name: &str, kind: &str| json!({ "id": name, "name": name, "version": "1.0.0", "targets": [{ "kind": ["lib"] }, { "kind": [kind] }] });
        let metadata = json!({
            "packages": [
                known("hull", "custom-build"), known("keel", "custom-build"), known("mast", "bin"),
                known("elsewhere", "custom-build"),
            ],
            "resolve": { "nodes": [{ "id": "hull" }, { "id": "keel" }, { "id": "mast" }] },
        });
        let metadata = Metadata::deserialize(metadata).unwrap();
        assert_eq!(metadata.scripts_without(&["hull v1.0.0".to_owned()].into()), ["keel v1.0.0"]);
    }
}
