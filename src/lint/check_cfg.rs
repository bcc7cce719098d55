//! The `cfg(NAME, values(…))` of `rustc-check-cfg` and of a manifest's `unexpected_cfgs` (rustc book,
//! "Checking conditional configurations"), read as far as is needed to tell what is expected.

use std::collections::{BTreeMap, BTreeSet};

/// Names that rustc or Cargo always expects.
const WELL_KNOWN: &[&str] = &[
    "clippy",
    "debug_assertions",
    "doc",
    "docsrs",
    "doctest",
    "fmt_debug",
    "miri",
    "overflow_checks",
    "panic",
    "proc_macro",
    "relocation_model",
    "rustfmt",
    "sanitize",
    "sanitizer_cfi_generalize_pointers",
    "sanitizer_cfi_normalize_integers",
    "target_abi",
    "target_arch",
    "target_endian",
    "target_env",
    "target_family",
    "target_feature",
    "target_has_atomic",
    "target_has_atomic_equal_alignment",
    "target_has_atomic_load_store",
    "target_has_reliable_f128",
    "target_has_reliable_f128_math",
    "target_has_reliable_f16",
    "target_has_reliable_f16_math",
    "target_object_format",
    "target_os",
    "target_pointer_width",
    "target_thread_local",
    "target_vendor",
    "test",
    "ub_checks",
    "unix",
    "windows",
];

/// What is expected.
#[derive(Debug, Default)]
pub struct Expected {
    /// By name; none if any value is.
    names: BTreeMap<String, Option<BTreeSet<Option<String>>>>,
    /// Whether any name is.
    any: bool,
}

impl Expected {
    /// Adds one `cfg(…)`; what is not understood leaves everything expected, so that nothing is said that
    /// may be wrong.
    pub fn add(&mut self, text: &str) {
        if self.read(text).is_none() {
            self.any = true;
        }
    }

    /// Adds the features of a package.
    pub fn add_features(&mut self, features: impl Iterator<Item = String>) {
        let names = self.names.entry("feature".to_owned()).or_insert_with(|| Some(BTreeSet::new()));
        if let Some(names) = names {
            names.extend(features.map(Some));
        }
    }

    fn read(&mut self, text: &str) -> Option<()> {
        let inner = text.trim().strip_prefix("cfg(")?.strip_suffix(')')?;
        let mut names = Vec::new();
        let mut values: Option<BTreeSet<Option<String>>> = Some(BTreeSet::from([None]));
        for (index, part) in parts(inner)?.into_iter().enumerate() {
            if let Some(list) = part.strip_prefix("values(").and_then(|v| v.strip_suffix(')')) {
                let mut listed = BTreeSet::new();
                for value in parts(list)? {
                    match value.as_str() {
                        "any()" => values = None,
                        "none()" => drop(listed.insert(None)),
                        _ => drop(listed.insert(Some(string(&value)?))),
                    }
                }
                if let Some(values) = &mut values {
                    *values = listed;
                }
            } else if part == "any()" {
                self.any = true;
            } else if is_name(&part) {
                names.push(part);
            } else if index > 0 || !part.is_empty() {
                return None;
            }
        }
        for name in names {
            let known = self.names.entry(name).or_insert_with(|| Some(BTreeSet::new()));
            match (&mut *known, &values) {
                (Some(known), Some(values)) => known.extend(values.iter().cloned()),
                _ => *known = None,
            }
        }
        Some(())
    }

    /// Whether rustc expects what `rustc-cfg=CFG` sets: `NAME` or `NAME="VALUE"`.
    #[must_use]
    pub fn has(&self, cfg: &str) -> bool {
        let (name, value) = match cfg.split_once('=') {
            Some((name, value)) => match string(value.trim()) {
                Some(value) => (name.trim(), Some(value)),
                // rustc refuses it.
                None => return true,
            },
            None => (cfg.trim(), None),
        };
        self.any
            || WELL_KNOWN.contains(&name)
            || self
                .names
                .get(name)
                .is_some_and(|values| values.as_ref().is_none_or(|values| values.contains(&value)))
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c == '_' || c.is_alphanumeric())
}

/// A string literal without escapes.
fn string(text: &str) -> Option<String> {
    let inner = text.strip_prefix('"')?.strip_suffix('"')?;
    (!inner.contains(['"', '\\'])).then(|| inner.to_owned())
}

/// What stands between the commas, outside of strings and parentheses; none if those are not closed.
fn parts(text: &str) -> Option<Vec<String>> {
    let (mut parts, mut part) = (Vec::new(), String::new());
    let (mut depth, mut quoted) = (0_u32, false);
    for character in text.chars() {
        match character {
            '"' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => depth = depth.checked_sub(1)?,
            ',' if !quoted && depth == 0 => {
                parts.push(std::mem::take(&mut part).trim().to_owned());
                continue;
            }
            _ => {}
        }
        part.push(character);
    }
    if !part.trim().is_empty() {
        parts.push(part.trim().to_owned());
    }
    (!quoted && depth == 0).then_some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_expected_is_read() {
        assert!(WELL_KNOWN.is_sorted());
        let mut expected = Expected::default();
        for text in [
            "cfg(a)",
            "cfg(b, c, values(\"1\", \"2,3)\"))",
            "cfg(d, values(any()))",
            " cfg(e, values(none(), \"x\")) ",
            "cfg()",
        ] {
            expected.add(text);
        }
        expected.add_features(["std".to_owned()].into_iter());
        for (cfg, is_expected) in [
            ("a", true),
            ("a=\"1\"", false),
            ("b=\"1\"", true),
            ("c = \"2,3)\"", true),
            ("b", false),
            ("d=\"whatever\"", true),
            ("e", true),
            ("e=\"y\"", false),
            ("unix", true),
            ("target_os=\"none\"", true),
            ("feature=\"std\"", true),
            ("feature=\"alloc\"", false),
            ("other", false),
        ] {
            assert_eq!(expected.has(cfg), is_expected, "{cfg}");
        }
        expected.add("cfg(any())");
        assert!(expected.has("other"));
    }

    #[test]
    fn what_is_not_understood_accuses_nobody() {
        for text in ["cfg(a", "cfg(a, values(\"x))", "names(a)", "cfg(not(a))"] {
            let mut expected = Expected::default();
            expected.add(text);
            assert!(expected.has("other"), "{text}");
        }
    }
}
