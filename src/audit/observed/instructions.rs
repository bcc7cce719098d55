//! What is observed of the instructions: their kinds, the libraries that they link, and those that Cargo was
//! not given.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::path::Path;

use super::Sight;
use crate::audit::behaviour::Aspect;
use crate::instruction::{self, Line};

impl Sight<'_> {
    pub(super) fn instructions(&mut self) {
        let stored = self.stored;
        for instruction in &stored.instructions {
            let (key, value) = (&*instruction.key, &*instruction.value);
            match key {
                "warning" | "error" => continue,
                "rustc-link-lib" => self.library(value),
                "rustc-flags" => {
                    for library in value.split(' ').filter_map(|word| word.strip_prefix("-l")) {
                        self.library(library);
                    }
                }
                _ if key.contains("link-arg") => self.link_argument(value),
                _ => {}
            }
            let kind = instruction_kind(key, value);
            if !self.observed.behaviour.instructions.contains(&*kind) {
                let kind = self.names.steady(&kind);
                self.add(Aspect::Instructions, kind, None);
            }
        }
        if stored.instruction_count > stored.instructions.len() as u64
            || stored.withheld_dropped > 0
        {
            self.incomplete("instructions");
        }
        for withheld in stored.withheld_instructions.iter().filter(|withheld| !withheld.fatal) {
            // A line that is no instruction would have failed the unit.
            if let Line::Instruction(instruction) = instruction::parse(withheld.line.as_bytes()) {
                let value = instruction.value();
                let kind = self.names.steady(&instruction_kind(instruction.key(), &value));
                self.add(Aspect::Denied, format!("instruction {kind}"), None);
            }
        }
    }

    /// What is linked by an argument for the linker: `-lNAME`, or a file.
    fn link_argument(&mut self, value: &str) {
        let is_file = |word: &&str| {
            let extension = Path::new(word).extension().and_then(OsStr::to_str);
            !word.starts_with('-') && (matches!(extension, Some("a" | "o")) || word.contains(".so"))
        };
        // Of a binary's argument the binary comes first.
        for word in value.split([' ', '=']) {
            if let Some(library) = word.strip_prefix("-l").filter(|library| !library.is_empty()) {
                self.library(library);
            } else if is_file(&word) {
                let known = self.names.placeholders().shorten(word).into_owned();
                self.library(&known);
            }
        }
    }

    fn library(&mut self, value: &str) {
        let value = self.names.steady(value);
        self.add(Aspect::Libraries, value, None);
    }
}

/// An instruction's kind: its key, and of a variable the name.
fn instruction_kind<'t>(key: &'t str, value: &str) -> Cow<'t, str> {
    match (key, value.split_once('=')) {
        ("rustc-env", Some((name, _))) => Cow::Owned(format!("{key}={name}")),
        _ => Cow::Borrowed(key),
    }
}
