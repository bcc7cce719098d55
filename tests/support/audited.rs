//! A project with a dependency from a vendored directory, to be audited.

#![allow(dead_code, reason = "every test program uses another part of it")]

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use cargo_brig::exit;
use serde_json::Value;

use crate::support::{Project, shown, stderr, stdout, succeed};

const MANIFEST: &str = "\
[package]
name = \"ship\"
version = \"0.1.0\"
edition = \"2024\"

[dependencies]
hull = \"1\"
";

pub(crate) const CONFIG: &str = "\
[source.crates-io]
replace-with = \"vendored\"

[source.vendored]
directory = \"vendor\"
";

/// What the first version of the dependency does: everything that is usual.
const USUAL: &str = r#"
    let out_dir = std::env::var("OUT_DIR").unwrap();
    std::fs::write(out_dir + "/planks.rs", "3").unwrap();
    let _ = std::env::var("HULL_MODE");
    std::process::Command::new("uname").output().unwrap();
    println!("cargo::rustc-check-cfg=cfg(afloat)");
    println!("cargo::rustc-cfg=afloat");
    println!("cargo::rerun-if-changed=build.rs");
"#;

/// A project with a home directory of its own beside it.
pub(crate) struct World {
    pub(crate) project: Project,
    pub(crate) home: PathBuf,
}

impl World {
    /// With the first version of the dependency.
    pub(crate) fn new() -> Self {
        let project = Project::of(
            "ship",
            &[("Cargo.toml", MANIFEST), ("src/lib.rs", ""), (".cargo/config.toml", CONFIG)],
        );
        let home = project.root.with_file_name("hóme of a user");
        fs::create_dir_all(home.join(".ssh")).unwrap();
        fs::write(home.join(".ssh/id_rsa"), "secret").unwrap();
        let world = Self { project, home };
        world.vendor("1.0.0", "");
        world
    }

    /// Adds a version of the dependency that does this besides what is usual.
    pub(crate) fn vendor(&self, version: &str, more: &str) {
        let file = |name: &str, text: &str| {
            self.project.write(&format!("vendor/hull-{version}/{name}"), text);
        };
        let manifest =
            format!("[package]\nname = \"hull\"\nversion = \"{version}\"\nedition = \"2024\"\n");
        file("Cargo.toml", &manifest);
        file("src/lib.rs", "");
        file("build.rs", &format!("fn main() {{{USUAL}{more}}}\n"));
        self.checksum(version, 'a');
    }

    pub(crate) fn checksum(&self, version: &str, letter: char) {
        let checksum = letter.to_string().repeat(64);
        let text = format!("{{\"files\":{{}},\"package\":\"{checksum}\"}}");
        self.project.write(&format!("vendor/hull-{version}/.cargo-checksum.json"), &text);
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.project.brig(arguments);
        self.prepare(&mut command);
        command
    }

    pub(crate) fn prepare(&self, command: &mut Command) {
        for (name, default) in [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")] {
            let home = std::env::var("HOME").unwrap();
            let directory = std::env::var(name).unwrap_or_else(|_| format!("{home}/{default}"));
            command.env(name, directory);
        }
        command.env("HOME", &self.home);
    }

    /// A verb that must end with this code.
    pub(crate) fn ends(&self, code: i32, arguments: &[&str]) -> Output {
        let output = self.command(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}\n{}", shown(&output));
        output
    }

    pub(crate) fn audit(&self, code: i32) -> Output {
        self.ends(code, &["audit", "--locked"])
    }

    /// The report of an audit that must end with this code.
    pub(crate) fn report(&self, code: i32) -> Value {
        let output = self.ends(code, &["audit", "--locked", "--format", "json"]);
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Locks this version of the dependency.
    pub(crate) fn lock(&self, version: &str) {
        let mut command =
            self.project.cargo(&["update", "--offline", "hull", "--precise", version]);
        self.prepare(&mut command);
        succeed(&mut command);
    }

    pub(crate) fn generate_lockfile(&self) {
        let mut command = self.project.cargo(&["generate-lockfile", "--offline"]);
        self.prepare(&mut command);
        succeed(&mut command);
    }

    /// Locks the version that there is, and approves what it does.
    pub(crate) fn approve(&self) {
        self.generate_lockfile();
        self.audit(exit::UNAPPROVED);
        self.ends(0, &["approve", "--all", "--yes"]);
    }

    /// With the first version locked and approved.
    pub(crate) fn approved() -> Self {
        let world = Self::new();
        world.approve();
        world
    }

    pub(crate) fn baseline(&self) -> String {
        fs::read_to_string(self.project.root.join("brig.lock")).unwrap()
    }
}

pub(crate) fn assert_says(output: &Output, text: &str) {
    let said = stdout(output) + &stderr(output);
    assert!(said.contains(text), "`{text}` is not said\n{}", shown(output));
}
