//! What the integration tests share: projects in a directory of their own, and Cargo with and
//! without the jail.
//!
//! Projects lie outside the repository, whose `.cargo/config.toml` they would otherwise inherit, in
//! a directory with a blank and a letter outside of ASCII in its name.

#![allow(dead_code, unreachable_pub, reason = "every test program uses another part of it")]

use std::collections::BTreeMap;
use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// The program under test.
pub const TOOL: &str = env!("CARGO_BIN_EXE_cargo-brig");

/// A project that is removed with this value.
pub struct Project {
    _dir: TempDir,
    /// Its root.
    pub root: PathBuf,
}

impl Project {
    fn empty(name: &str) -> Self {
        let dir = tempfile::Builder::new().prefix("brig tést ").tempdir().unwrap();
        let root = fs::canonicalize(dir.path()).unwrap().join(name);
        fs::create_dir(&root).unwrap();
        Self { _dir: dir, root }
    }

    /// A copy of `tests/<path>`, such as `example` or `fixtures/generates_code`.
    pub fn copy_of(path: &str) -> Self {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(path);
        let project = Self::empty(from.file_name().unwrap().to_str().unwrap());
        copy_dir(&from, &project.root);
        project
    }

    /// A package `name` with this build script, an empty library, and nothing else.
    pub fn with_script(name: &str, script: &str) -> Self {
        let project = Self::empty(name);
        project.write(
            "Cargo.toml",
            &format!("[package]\nname = \"{name}\"\nversion = \"1.2.3\"\nedition = \"2024\"\n"),
        );
        project.write("build.rs", script);
        project.write("src/lib.rs", "");
        project
    }

    /// A project of these files.
    pub fn of(name: &str, files: &[(&str, &str)]) -> Self {
        let project = Self::empty(name);
        for (path, text) in files {
            project.write(path, text);
        }
        project
    }

    /// Writes a file of the project, and the directories above it.
    pub fn write(&self, path: &str, text: &str) -> PathBuf {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    /// Plain `cargo`.
    pub fn cargo(&self, arguments: &[&str]) -> Command {
        let mut command = clean_command(cargo());
        command.args(arguments).current_dir(&self.root);
        command
    }

    /// `cargo brig`, the tool being found in `PATH` as Cargo finds subcommands.
    pub fn brig(&self, arguments: &[&str]) -> Command {
        let mut command = clean_command(cargo());
        command.arg("brig").args(arguments).current_dir(&self.root);
        command
    }

    /// Every file below `directory` (relative to the root) that has this name.
    pub fn files_named(&self, directory: &str, name: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        walk(&self.root.join(directory), &mut |path| {
            if path.file_name() == Some(OsStr::new(name)) {
                found.push(path.to_owned());
            }
        });
        found.sort();
        found
    }

    /// The records below `target`.
    pub fn records(&self) -> Vec<serde_json::Value> {
        self.files_named("target", "brig.json")
            .iter()
            .map(|path| serde_json::from_slice(&fs::read(path).unwrap()).unwrap())
            .collect()
    }
}

/// The Cargo that runs this test.
pub fn cargo() -> PathBuf {
    PathBuf::from(env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")))
}

/// A command without what the outer Cargo, or the person who runs the tests, has set, and with the
/// tool's directory first in `PATH`.
pub fn clean_command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program.as_ref());
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        let foreign = (text.starts_with("CARGO") && text != "CARGO_HOME")
            || text.starts_with("RUSTC")
            || text.starts_with("RUSTFLAGS")
            || text.starts_with("RUSTDOC")
            || [
                "LD_LIBRARY_PATH",
                "LD_PRELOAD",
                "MAKEFLAGS",
                "MFLAGS",
                "OUT_DIR",
                "TARGET",
                "HOST",
            ]
            .contains(&text.as_ref());
        if foreign {
            command.env_remove(&name);
        }
    }
    let tool = Path::new(TOOL).parent().unwrap().to_owned();
    let path = env::var_os("PATH").unwrap_or_default();
    let path = env::join_paths([tool].into_iter().chain(env::split_paths(&path))).unwrap();
    command.env("PATH", path).stdin(Stdio::null());
    command
}

/// Adds the directories that rustup and Cargo find by `HOME`, so that `HOME` can be another.
pub fn with_toolchain(command: &mut Command) -> &mut Command {
    let home = PathBuf::from(env::var_os("HOME").unwrap_or_default());
    for (name, directory) in [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")] {
        let value = env::var_os(name).unwrap_or_else(|| home.join(directory).into());
        command.env(name, value);
    }
    command
}

/// The output of a command that must succeed.
pub fn succeed(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}\n{}", shown(&output));
    output
}

/// The output of a command that must fail by an exit code.
pub fn fail(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    let failed = !output.status.success() && output.status.signal().is_none();
    assert!(failed, "{command:?}\n{}", shown(&output));
    output
}

/// What a command printed on stderr.
pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// What a command printed on stdout.
pub fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Everything about a finished command, for a failure's message.
pub fn shown(output: &Output) -> String {
    format!("{}\n--- stdout\n{}\n--- stderr\n{}", output.status, stdout(output), stderr(output))
}

/// Calls `visit` for everything below `directory` that is not a directory.
pub fn walk(directory: &Path, visit: &mut impl FnMut(&Path)) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.is_symlink() {
            walk(&path, visit);
        } else {
            visit(&path);
        }
    }
}

/// Copies a directory with everything in it, hidden files and modes included.
pub fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let from = entry.unwrap().path();
        let to = to.join(from.file_name().unwrap());
        if from.is_dir() {
            if from.file_name() != Some(OsStr::new("target")) {
                copy_dir(&from, &to);
            }
        } else {
            fs::copy(&from, &to).unwrap();
        }
    }
}

/// A text without the hashes of units, which differ: the shim's line in `rustc -vV` is part of them.
pub fn without_hashes(text: &str) -> String {
    String::from_utf8(bytes_without_hashes(text.as_bytes())).unwrap()
}

/// What stands in their place: as long, so that offsets in binary files still hold.
pub const NO_HASH: &[u8; 16] = b"0000000000000000";

/// As [`without_hashes`], for anything: 16 hexadecimal digits after a `-`, and no letter or digit
/// after them.
pub fn bytes_without_hashes(bytes: &[u8]) -> Vec<u8> {
    let mut parts = bytes.split(|byte| *byte == b'-');
    let mut result = parts.next().unwrap_or_default().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at(part.len().min(NO_HASH.len()));
        let is_hash = digits.len() == NO_HASH.len()
            && digits.iter().all(u8::is_ascii_hexdigit)
            && !rest.first().is_some_and(u8::is_ascii_alphanumeric);
        result.push(b'-');
        result.extend(if is_hash { NO_HASH } else { digits });
        result.extend(rest);
    }
    result
}

/// The one summary line of `cargo brig`.
pub fn summary(output: &Output) -> String {
    let text = stderr(output);
    let mut lines = text.lines().map(str::trim_start).filter(|line| line.starts_with("Jailed "));
    let line = lines.next().unwrap_or_else(|| panic!("no summary: {}", shown(output)));
    assert_eq!(lines.next(), None, "{}", shown(output));
    line.to_owned()
}

/// Every file in an `OUT_DIR` below `target`, by its path without hashes, without hashes.
pub fn outputs(project: &Project) -> BTreeMap<String, Vec<u8>> {
    let mut outputs = BTreeMap::new();
    walk(&project.root.join("target"), &mut |path| {
        let name = path.strip_prefix(&project.root).unwrap().to_str().unwrap();
        if name.contains("/build/") && name.contains("/out/") {
            let bytes = fs::read(path).unwrap_or_else(|error| panic!("{name}: {error}"));
            let earlier = outputs.insert(without_hashes(name), bytes_without_hashes(&bytes));
            assert_eq!(earlier, None, "two files are called {name}");
        }
    });
    outputs
}
