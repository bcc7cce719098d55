//! The few settings of Cargo's that the front door must know before it takes their place.
//!
//! Reads `.cargo/config.toml` from the working directory upward and in `CARGO_HOME`, and `--config`
//! on the command line (The Cargo Book, "Configuration"). It changes nothing, and judges nothing but
//! whether a file is TOML; Cargo reports every other mistake better.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

/// One source of settings.
#[derive(Debug)]
struct Source {
    /// Where it came from, for messages.
    name: PathBuf,
    /// Relative paths with a slash are relative to this directory.
    base: PathBuf,
    table: Table,
}

/// Cargo's settings, the strongest source first.
#[derive(Debug, Default)]
pub struct Config {
    command_line: Vec<Source>,
    files: Vec<Source>,
}

/// A `[target.<triple>.<links>]` table: Cargo then does not run the script (The Cargo Book,
/// "Overriding Build Scripts").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinksOverride {
    /// The `links` key of the overridden package.
    pub links: String,
    /// The file that says so.
    pub file: PathBuf,
}

/// Keys of a `[target.<triple>]` table that are not the name of a native library.
const TARGET_KEYS: &[&str] = &["linker", "runner", "rustflags", "rustdocflags", "ar"];

fn read(path: &Path) -> Option<Table> {
    let text = fs::read_to_string(path).ok()?;
    match toml::from_str(&text) {
        Ok(table) => Some(table),
        Err(error) => {
            tracing::debug!(path = %path.display(), %error, "left to Cargo to report");
            None
        }
    }
}

/// `config.toml`, or `config`, as Cargo prefers them.
fn file_in(directory: &Path) -> Option<(PathBuf, Table)> {
    ["config", "config.toml"]
        .iter()
        .map(|name| directory.join(name))
        .find_map(|path| read(&path).map(|table| (path, table)))
}

impl Config {
    /// Reads the settings that hold in `directory`. `options` are the values of `--config`, `-Z`
    /// and so on left out.
    #[must_use]
    pub fn load(directory: &Path, options: &[OsString]) -> Self {
        let mut config = Self::default();
        for option in options {
            let path = directory.join(option);
            let table = if path.is_file() {
                read(&path)
            } else {
                option.to_str().and_then(|text| toml::from_str(text).ok())
            };
            if let Some(table) = table {
                let (name, base) = (PathBuf::from("--config"), directory.to_owned());
                config.command_line.push(Source { name, base, table });
            }
        }
        // The last one given is the strongest.
        config.command_line.reverse();
        let mut homes: Vec<PathBuf> =
            directory.ancestors().map(|ancestor| ancestor.join(".cargo")).collect();
        let home = env::var_os("CARGO_HOME")
            .map(PathBuf::from)
            .or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo")));
        homes.extend(home.filter(|home| !homes.contains(home)));
        for home in homes {
            if let Some((name, table)) = file_in(&home) {
                let base = home.parent().unwrap_or(&home).to_owned();
                config.files.push(Source { name, base, table });
            }
        }
        config
    }

    /// The compiler wrapper that Cargo would use if `RUSTC_WRAPPER` were not set.
    #[must_use]
    pub fn rustc_wrapper(&self) -> Option<OsString> {
        self.string("CARGO_BUILD_RUSTC_WRAPPER", |table| {
            table.get("build")?.get("rustc-wrapper")?.as_str()
        })
    }

    /// The rustdoc that Cargo would use if `RUSTDOC` were not set.
    #[must_use]
    pub fn rustdoc(&self) -> Option<OsString> {
        self.string("CARGO_BUILD_RUSTDOC", |table| table.get("build")?.get("rustdoc")?.as_str())
    }

    /// Whether a file says in which directories Cargo builds, or names others that may.
    #[must_use]
    pub fn says_where_to_build(&self) -> bool {
        let mut tables = self.command_line.iter().chain(&self.files).map(|source| &source.table);
        tables.any(|table| {
            let build = table.get("build");
            let says = |key| build.is_some_and(|build| build.get(key).is_some());
            table.contains_key("include") || says("target-dir") || says("build-dir")
        })
    }

    /// `always`, `never` or `auto`, if anything says whether Cargo's messages have colours.
    #[must_use]
    pub fn color(&self) -> Option<OsString> {
        self.string("CARGO_TERM_COLOR", |table| table.get("term")?.get("color")?.as_str())
    }

    /// Whether Cargo is to be quiet in general.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        let find = |sources: &[Source]| {
            sources.iter().find_map(|source| source.table.get("term")?.get("quiet")?.as_bool())
        };
        find(&self.command_line)
            .or_else(|| env::var("CARGO_TERM_QUIET").ok()?.parse().ok())
            .or_else(|| find(&self.files))
            .unwrap_or(false)
    }

    /// The linker that Cargo would use for `triple`.
    #[must_use]
    pub fn linker(&self, triple: &str) -> Option<OsString> {
        let variable =
            format!("CARGO_TARGET_{}_LINKER", triple.to_uppercase().replace(['-', '.'], "_"));
        self.string(&variable, |table| table.get("target")?.get(triple)?.get("linker")?.as_str())
    }

    /// The words that Cargo puts in the place of the command `name` (The Cargo Book, `[alias]`).
    #[must_use]
    pub fn alias(&self, name: &str) -> Option<Vec<String>> {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect();
        let find = |sources: &[Source]| {
            sources.iter().find_map(|source| match source.table.get("alias")?.get(name)? {
                Value::String(text) => Some(words(text)),
                Value::Array(list) => {
                    Some(list.iter().filter_map(Value::as_str).map(str::to_owned).collect())
                }
                _ => None,
            })
        };
        let variable = format!("CARGO_ALIAS_{}", name.to_uppercase().replace('-', "_"));
        find(&self.command_line)
            .or_else(|| env::var(variable).ok().map(|text| words(&text)))
            .or_else(|| find(&self.files))
    }

    /// Every `links` override that is written anywhere.
    #[must_use]
    pub fn links_overrides(&self) -> Vec<LinksOverride> {
        let mut overrides: Vec<LinksOverride> = Vec::new();
        for source in self.command_line.iter().chain(&self.files) {
            let Some(targets) = source.table.get("target").and_then(Value::as_table) else {
                continue;
            };
            for table in targets.values().filter_map(Value::as_table) {
                for (links, value) in table {
                    let known = overrides.iter().any(|known| known.links == *links);
                    if value.is_table() && !TARGET_KEYS.contains(&links.as_str()) && !known {
                        overrides.push(LinksOverride {
                            links: links.clone(),
                            file: source.name.clone(),
                        });
                    }
                }
            }
        }
        overrides
    }

    /// One string setting: command line, then the variable, then the files.
    fn string(&self, variable: &str, get: impl Fn(&Table) -> Option<&str>) -> Option<OsString> {
        let find = |sources: &[Source]| {
            sources.iter().find_map(|source| Some(program(&source.base, get(&source.table)?)))
        };
        find(&self.command_line)
            .or_else(|| env::var_os(variable))
            .or_else(|| find(&self.files))
            .filter(|value| !value.is_empty())
    }
}

/// A program in a setting: a bare name is looked up in `PATH`, anything else is a path relative to
/// the directory that holds `.cargo`.
fn program(base: &Path, value: &str) -> OsString {
    if value.contains('/') { base.join(value).into() } else { OsStr::new(value).to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_file_and_the_command_line_win() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let inner = root.join("a/b");
        fs::create_dir_all(inner.join(".cargo")).unwrap();
        fs::create_dir_all(root.join(".cargo")).unwrap();
        fs::write(
            root.join(".cargo/config.toml"),
            "[build]\nrustc-wrapper = \"tools/wrap\"\n[target.t-x]\nlinker = \"ld-outer\"\n\
             [term]\nquiet = true\ncolor = \"always\"\n",
        )
        .unwrap();
        fs::write(
            inner.join(".cargo/config.toml"),
            "[target.t-x]\nlinker = \"ld-inner\"\n[target.t-x.z]\nrustc-link-lib = [\"z\"]\n",
        )
        .unwrap();
        let config = Config::load(&inner, &[]);
        assert_eq!(config.rustc_wrapper().unwrap(), root.join("tools/wrap"));
        assert_eq!(config.linker("t-x").unwrap(), "ld-inner");
        assert_eq!(config.links_overrides()[0].links, "z");
        let options = ["build.rustc-wrapper='sccache'".into(), "term.quiet=false".into()];
        let with_options = Config::load(&inner, &options);
        assert_eq!(with_options.rustc_wrapper().unwrap(), "sccache");
        assert!(config.is_quiet() && !with_options.is_quiet());
        assert!(config.color().is_some());
    }
}
