//! A `rustc-cfg` that nobody told rustc to expect: since 1.80 it warns of each `#[cfg]` with that name.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

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
    let cfgs: Vec<&String> = subject
        .kinds()
        .filter_map(|kind| match kind {
            Kind::Cfg(cfg) if !expected.has(cfg) => Some(cfg),
            _ => None,
        })
        .collect();
    // The sources are read only where there is something to look for.
    if cfgs.is_empty() {
        return None;
    }
    let mut sources = Sources::default();
    sources.collect(&subject.unit.manifest_dir, subject.compiled_from());
    let items = cfgs.into_iter().filter(|cfg| sources.ask_for(cfg)).cloned();
    Lint::about(
        Code::CfgWithoutCheckCfg,
        "sets what its package asks for and no `rustc-check-cfg` makes known: rustc warns of it",
        items.collect(),
    )
}

fn manifest(directory: &Path) -> Option<Table> {
    fs::read_to_string(directory.join("Cargo.toml")).ok()?.parse().ok()
}

/// The package's own Rust sources.
#[derive(Debug, Default)]
struct Sources {
    texts: Vec<String>,
    bytes: usize,
}

/// So many bytes of sources are read.
const LOOKED_AT: usize = 32 << 20;

impl Sources {
    /// Reads what lies below a directory, but for the script's sources, and what is hidden or built.
    fn collect(&mut self, directory: &Path, but: &[PathBuf]) {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let (path, name) = (entry.path(), entry.file_name());
            // Links are not followed: there may be cycles.
            let Ok(kind) = entry.file_type() else { continue };
            let is_hidden = name.to_string_lossy().starts_with('.');
            if kind.is_dir() && !is_hidden && name != "target" {
                self.collect(&path, but);
            } else if kind.is_file()
                && path.extension() == Some(OsStr::new("rs"))
                && !but.contains(&path)
                && self.bytes < LOOKED_AT
                && let Ok(text) = fs::read_to_string(&path)
            {
                self.bytes += text.len();
                self.texts.push(text);
            }
        }
    }

    /// Whether one of them has the name, and the value, as far as was read.
    fn ask_for(&self, cfg: &str) -> bool {
        let (name, value) = cfg.split_once('=').map_or((cfg, ""), |(name, value)| (name, value));
        let (name, value) = (name.trim(), value.trim());
        self.texts.iter().any(|text| text.contains(name) && text.contains(value))
    }
}
