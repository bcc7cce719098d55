//! The JSON Schema of policy documents, for editors (JSON Schema, draft 7, which those for TOML read).
//!
//! Made of the same tables as the reader's, which stays the judge: a schema cannot say that a rule is
//! below another, or that a version requirement is none.

use serde_json::{Map, Value, json};

use super::builtin::Builtin;
use super::collection;
use super::limits::Limit;
use super::placeholders;
use super::reader::{
    ENVIRONMENT_KEYS, FILE_KEYS, INSTRUCTION_KEYS, KEYS, MODE, NETWORK_KEYS, ON_DENIAL,
    PACKAGE_KEYS, RUSTC_KEYS, SECTIONS, UNNAMED,
};

/// The schema.
#[must_use]
pub fn schema() -> Value {
    let mut document =
        object("What build scripts may do: a policy of cargo-brig", &[KEYS, SECTIONS].concat());
    document["$schema"] = "http://json-schema.org/draft-07/schema#".into();
    document["title"] = "cargo-brig policy".into();
    let placeholders = placeholders::NAMES.join("|");
    document["definitions"] = json!({
        "path": {
            "type": "string",
            "description": "Absolute, or below a placeholder. A directory stands for everything below it, `*` for any part of one name.",
            "pattern": format!(r"^(/|\{{({placeholders})\}}(/.+)?$)"),
            "not": {"pattern": r"(^|/)\.\.?(/|$)|//|./$"},
        },
        "hidden": {"anyOf": [{"const": placeholders::OTHER_PROCESSES}, {"$ref": "#/definitions/path"}]},
        "endpoint": {
            "type": "string",
            "description": "ADDRESS:PORT, of which each can be `*`; an IPv6 address stands in brackets.",
            "pattern": r"^(\*|(\*|[0-9.]+|\[[0-9A-Fa-f:.]+\]):(\*|[1-9][0-9]{0,4}))$",
            "examples": ["192.0.2.1:443", "[2001:db8::1]:443", "*:443"],
        },
        "variable": {
            "type": "string",
            "description": "The name of a variable; `*` stands for any part of it.",
            "pattern": r"^[^=\s]+$",
        },
        "instruction": {
            "type": "string",
            "description": "KEY=VALUE; `*` stands for any part of the value.",
            "pattern": r"^[^=*]+=.",
            "examples": ["rustc-link-arg=-fuse-ld=lld"],
        },
    });
    document
}

/// A table that has these keys and no other.
fn object(description: &str, keys: &[&str]) -> Value {
    let properties: Map<String, Value> =
        keys.iter().map(|key| ((*key).to_owned(), property(key))).collect();
    json!({
        "type": "object",
        "description": description,
        "additionalProperties": false,
        "properties": properties,
    })
}

fn list(of: &str, description: &str) -> Value {
    let items = json!({"$ref": format!("#/definitions/{of}")});
    json!({"type": "array", "description": description, "items": items})
}

fn word<T>(description: &str, words: &[(&str, T)]) -> Value {
    let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    json!({"description": description, "enum": words})
}

/// What a key of any table takes: no two tables have one key with two meanings.
///
/// # Panics
/// For a key that is not described here.
fn property(key: &str) -> Value {
    if let Some(limit) = Limit::ALL.into_iter().find(|limit| limit.key() == key) {
        return json!({
            "description": format!("The most that a script may use, in {}; `none` for no limit", limit.unit()),
            "oneOf": [{"type": "integer", "minimum": 1}, {"const": "none"}],
        });
    }
    match key {
        "name" => {
            json!({"type": "string", "description": "What messages and records call it; in a `[[package]]`, the package that it is for"})
        }
        "extends" => {
            let names = Builtin::ALL.map(|builtin| (builtin.name(), ()));
            word("The built-in policy at the bottom of all layers", &names)
        }
        "crates" => {
            let names: Vec<&str> = collection::ALL.iter().map(|collected| collected.name).collect();
            json!({
                "type": "array",
                "description": "What these packages need beyond `strict`, as the collection has it",
                "items": {"enum": names},
            })
        }
        "locked" => {
            json!({"type": "boolean", "description": "In the policy of the machine: the layers above it can take away, and never add"})
        }
        "mode" => word(
            "Whether what no rule gives is denied, or all but writes outside OUT_DIR only recorded as denied",
            MODE,
        ),
        "on-denial" => word("What becomes of a unit that was denied something", ON_DENIAL),
        "package" => {
            let mut package =
                object("Rules for the packages of one name", &[PACKAGE_KEYS, SECTIONS].concat());
            package["required"] = json!(["name"]);
            package["properties"]["name"]["pattern"] = json!(r"^[\p{L}\p{N}_-]+$");
            json!({"type": "array", "description": "Rules for some packages, beside those for all", "items": package})
        }
        "version" => {
            json!({"type": "string", "description": "The versions that it is for, as a Cargo.toml writes a requirement", "examples": [">=0.9, <0.11"]})
        }
        "files" => object("What may be done with which files", FILE_KEYS),
        "list" => list("path", "Directories that may be listed"),
        "read" => list("path", "May be opened for reading, and listed"),
        "execute" => list("path", "May be run, and opened for reading"),
        "write" => {
            list("path", "May be opened for writing and reading, created, removed and renamed")
        }
        "redirect" => list(
            "path",
            "Directories of which the script gets a private copy to write to, which goes when it ends",
        ),
        "hide" => list("hidden", "Does not exist for the script, unless another rule gives it"),
        "network" => object("What a script may reach beside files", NETWORK_KEYS),
        "connect" => list("endpoint", "May be connected and sent to"),
        "unix" => list("path", "Unix sockets that may be connected to"),
        "environment" => object("Which variables a script gets", ENVIRONMENT_KEYS),
        "pass" => list(
            "variable",
            "The script gets them; a name in full also where a pattern withholds it",
        ),
        "withhold" => list("variable", "The script does not get them"),
        "set" => json!({
            "type": "object",
            "description": "The script gets them with these values",
            "propertyNames": {"pattern": r"^[^=\s*]+$"},
            "additionalProperties": {"type": "string"},
        }),
        "unnamed" => word("What becomes of variables that no pattern names", UNNAMED),
        "instructions" => object("Instructions that would be withheld", INSTRUCTION_KEYS),
        "allow" => list("instruction", "They are relayed all the same"),
        "limits" => object("How much a script may use", &Limit::ALL.map(Limit::key)),
        "rustc" => object("The compiler, in which procedural macros run", RUSTC_KEYS),
        "jail" => {
            json!({"type": "boolean", "description": "It and what it starts run in a jail too"})
        }
        "record" => {
            json!({"type": "boolean", "description": "Each compilation in the jail leaves a record"})
        }
        _ => unreachable!("`{key}` is not described"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{env, fs};

    use crate::policy::document::{Document, Error};

    /// `BLESS=1` writes it.
    #[test]
    fn the_schema_that_ships_is_this_one() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/policies/policy.schema.json");
        let text = format!("{:#}\n", schema());
        if env::var_os("BLESS").is_some() {
            fs::write(file, &text).unwrap();
        }
        assert!(fs::read_to_string(file).unwrap() == text, "{file} is another one");
    }

    /// Whatever the schema refuses the reader refuses; and of what the reader refuses in the documents
    /// of `tests/policies/bad`, the schema refuses what it can say.
    #[test]
    fn the_schema_and_the_reader_agree() {
        let validator = jsonschema::draft7::new(&schema()).unwrap();
        let is_valid = |text: &str| {
            let value: Value = toml::from_str(text).unwrap();
            validator.is_valid(&value)
        };
        for builtin in Builtin::ALL {
            assert!(is_valid(builtin.text()), "{}", builtin.file());
        }
        let bad = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/policies/bad");
        let mut missed = Vec::new();
        for entry in fs::read_dir(bad).unwrap() {
            let path = entry.unwrap().path();
            let text = fs::read_to_string(&path).unwrap_or_default();
            if path.extension().is_none_or(|extension| extension != "toml")
                || toml::from_str::<Value>(&text).is_err()
            {
                continue;
            }
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            match Document::parse("p.toml", &text) {
                Err(Error::Invalid(_)) if is_valid(&text) => missed.push(name),
                Ok(_) => assert!(is_valid(&text), "{name}"),
                Err(_) => {}
            }
        }
        missed.sort();
        let beyond_a_schema = [
            "both_read_and_hidden",
            "too_many_stars",
            "variable_that_is_both",
            "version_that_is_none",
        ];
        assert_eq!(missed, beyond_a_schema);
    }
}
