//! A script's instructions as the table `[target.TRIPLE.LINKS]` of Cargo's configuration, as Cargo reads it
//! (`parse_links_overrides` in its `context/target.rs`).
//!
//! Lists are written as lists, because Cargo splits a string at blanks. `rerun-if-*` has nothing to say
//! where nothing is run, and warnings are not repeated.

use std::collections::BTreeMap;
use std::fmt;

use super::obstacle::Obstacle;
use super::out_dir;
use crate::instruction::{self, Instruction, Kind, LinkFlag};
use crate::policy::placeholders::toml_string;
use crate::process::Exit;
use crate::stored::{Stored, Told};

/// Keys at the place of `links` that are settings.
const SETTINGS: [&str; 5] = ["ar", "linker", "runner", "rustdocflags", "rustflags"];
/// Keys of instructions that an override takes for metadata.
const METADATA: [&str; 3] = ["error", "metadata", "rustc-link-arg-bin"];

/// See the file's description.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    target: String,
    links: String,
    lists: BTreeMap<&'static str, Vec<String>>,
    environment: BTreeMap<String, String>,
    metadata: BTreeMap<String, String>,
}

impl Table {
    /// The table of a recorded run.
    ///
    /// # Errors
    /// All that is in the way.
    pub fn of(stored: &Stored<'_>) -> Result<Self, Vec<Obstacle>> {
        let unit = &stored.unit;
        let Some(links) = &unit.links else { return Err(vec![Obstacle::NoLinks]) };
        let mut obstacles = Vec::new();
        if SETTINGS.contains(&&**links) {
            obstacles.push(Obstacle::Setting { links: links.to_string() });
        }
        if stored.exit != Exit::Code(0) {
            obstacles.push(Obstacle::Failed);
        }
        if unit.target.is_none() {
            obstacles.push(Obstacle::NoTarget);
        }
        if stored.instruction_count != stored.instructions.len() as u64 {
            obstacles.push(Obstacle::Incomplete);
        }
        let mut table = Self {
            target: unit.target.as_deref().unwrap_or_default().to_owned(),
            links: links.to_string(),
            ..Self::default()
        };
        let build_dir = unit.unit().build_dir().root().to_string_lossy().into_owned();
        let given = unit.variables.iter().find(|(name, _)| &***name == "OUT_DIR");
        let given = given.map(|(_, value)| value.to_string());
        for told in &stored.instructions {
            match told.instruction() {
                Some(instruction) => {
                    let line = instruction.to_string();
                    let is_looked_at = matches!(
                        instruction.kind(),
                        Kind::RerunIfChanged(_) | Kind::RerunIfEnvChanged(_) | Kind::Warning { .. }
                    );
                    let names = |path: &str| line.contains(path);
                    if !is_looked_at && (names(&build_dir) || given.as_deref().is_some_and(names)) {
                        obstacles.push(Obstacle::BuildDir { instruction: line });
                    } else if let Err(obstacle) = table.add(&instruction) {
                        obstacles.push(obstacle);
                    }
                }
                None => obstacles.push(Obstacle::Unsupported { instruction: line_of(told) }),
            }
        }
        obstacles.extend(out_dir::check(unit).err());
        if obstacles.is_empty() { Ok(table) } else { Err(obstacles) }
    }

    fn add(&mut self, instruction: &Instruction) -> Result<(), Obstacle> {
        let unsupported = || Obstacle::Unsupported { instruction: instruction.to_string() };
        let (key, value) = match instruction.kind() {
            Kind::RerunIfChanged(_) | Kind::RerunIfEnvChanged(_) | Kind::Warning { .. } => {
                return Ok(());
            }
            Kind::Error { .. } | Kind::LinkArgBin { .. } => return Err(unsupported()),
            Kind::Env { name, value } => {
                self.environment.insert(name.clone(), value.clone());
                return Ok(());
            }
            Kind::Metadata { key, value } => {
                if instruction::KEYS.contains(&&**key) && !METADATA.contains(&&**key) {
                    return Err(unsupported());
                }
                self.metadata.insert(key.clone(), value.clone());
                return Ok(());
            }
            Kind::Flags(flags) => {
                for flag in flags {
                    let (key, value) = match flag {
                        LinkFlag::Lib(value) => ("rustc-link-lib", value),
                        LinkFlag::Search(value) => ("rustc-link-search", value),
                    };
                    self.lists.entry(key).or_default().push(value.clone());
                }
                return Ok(());
            }
            Kind::LinkArgCdylib { arg, .. } => ("rustc-link-arg-cdylib", arg),
            Kind::LinkLib(value)
            | Kind::LinkSearch(value)
            | Kind::LinkArg(value)
            | Kind::LinkArgBins(value)
            | Kind::LinkArgTests(value)
            | Kind::LinkArgExamples(value)
            | Kind::LinkArgBenches(value)
            | Kind::Cfg(value)
            | Kind::CheckCfg(value) => (instruction.key(), value),
        };
        self.lists.entry(key).or_default().push(value.clone());
        Ok(())
    }

    /// Its first line.
    #[must_use]
    pub fn heading(&self) -> String {
        format!("[target.{}.{}]", key(&self.target), key(&self.links))
    }
}

fn line_of(told: &Told<'_>) -> String {
    format!("{}{}={}", &*told.syntax, &*told.key, &*told.value)
}

/// A key as it is, where TOML allows that.
fn key(text: &str) -> String {
    let is_bare = !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if is_bare { text.to_owned() } else { toml_string(text) }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.heading())?;
        for (name, values) in &self.lists {
            let values: Vec<String> = values.iter().map(|value| toml_string(value)).collect();
            writeln!(f, "{name} = [{}]", values.join(", "))?;
        }
        if !self.environment.is_empty() {
            let pairs = self.environment.iter();
            let pairs: Vec<String> = pairs
                .map(|(name, value)| format!("{} = {}", key(name), toml_string(value)))
                .collect();
            writeln!(f, "rustc-env = {{ {} }}", pairs.join(", "))?;
        }
        for (name, value) in &self.metadata {
            writeln!(f, "{} = {}", key(name), toml_string(value))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instruction::{Line, parse};

    fn table(lines: &[&str]) -> Result<Table, Obstacle> {
        let mut table =
            Table { target: "a-b-c".to_owned(), links: "z.1".to_owned(), ..Table::default() };
        for line in lines {
            let Line::Instruction(instruction) = parse(line.as_bytes()) else { panic!("{line}") };
            table.add(&instruction)?;
        }
        Ok(table)
    }

    #[test]
    fn instructions_become_lists_in_their_order() {
        let table = table(&[
            "cargo::rustc-link-lib=b",
            "cargo::rustc-flags=-l a -L /x",
            "cargo::rustc-link-search=native=/é x",
            "cargo::rustc-cfg=v=\"1\"",
            "cargo::rerun-if-changed=a",
            "cargo::warning=a",
            "cargo::rustc-env=A B=\u{202e}",
            "cargo:root=/usr",
            "cargo:root=/opt",
        ])
        .unwrap();
        let expected = "[target.a-b-c.\"z.1\"]\n\
                        rustc-cfg = [\"v=\\\"1\\\"\"]\n\
                        rustc-link-lib = [\"b\", \"a\"]\n\
                        rustc-link-search = [\"/x\", \"native=/é x\"]\n\
                        rustc-env = { \"A B\" = \"\\U0000202E\" }\n\
                        root = \"/opt\"\n";
        assert_eq!(table.to_string(), expected);
        let read: toml::Table = expected.parse().unwrap();
        assert_eq!(read["target"]["a-b-c"]["z.1"]["rustc-env"]["A B"].as_str(), Some("\u{202e}"));
    }

    #[test]
    fn what_an_override_cannot_say_is_refused() {
        assert!(METADATA.is_sorted() && SETTINGS.is_sorted());
        for line in
            ["cargo::rustc-link-arg-bin=x=-s", "cargo::error=a", "cargo::metadata=rustc-env=a"]
        {
            assert!(matches!(table(&[line]), Err(Obstacle::Unsupported { .. })), "{line}");
        }
    }
}
