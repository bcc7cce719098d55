//! Where Cargo builds, and which directory is the workspace's.
//!
//! `cargo metadata` says it, which takes a fifth of the time of a build of nothing. Where nothing but the
//! manifest in or above the working directory can say it, that is read instead ("The Manifest Format",
//! "Workspaces" and "Build cache" in The Cargo Book).

use std::path::{Path, PathBuf};
use std::{env, fs};

use serde_json::Value;
use toml::Table;

use super::command_line::CommandLine;
use super::metadata;
use crate::config::Config;

/// Commands that are about the package in whose directory they are called, and their short names.
const HERE: &[&str] = &[
    "b", "bench", "build", "c", "check", "clippy", "d", "doc", "metadata", "r", "run", "rustc",
    "rustdoc", "t", "test",
];
/// Options by which Cargo looks at another place, or at other settings.
const ELSEWHERE: &[&str] = &["-C", "-Z", "--config", "--manifest-path", "--lockfile-path"];
/// Variables that say where Cargo builds.
const VARIABLES: &[&str] = &["CARGO_TARGET_DIR", "CARGO_BUILD_TARGET_DIR", "CARGO_BUILD_BUILD_DIR"];

/// The directories in which Cargo will build, the target directory first, and the workspace's. None if Cargo cannot tell,
/// as for `cargo install` outside of a package: then only what the launchers say is known.
pub(crate) fn find(
    command_line: &CommandLine,
    directory: &Path,
    config: &Config,
) -> (Vec<PathBuf>, Option<PathBuf>) {
    if let Some(workspace) = by_manifest(command_line, directory, config) {
        let target = workspace.join("target");
        return (roots(command_line, directory, Some(target), None), Some(workspace));
    }
    let Some(metadata) = metadata(command_line, &["--no-deps"]) else {
        return (Vec::new(), None);
    };
    let path = |key: &str| metadata.get(key).and_then(Value::as_str).map(PathBuf::from);
    let configured = path("target_directory");
    let build = path("build_directory").filter(|build| Some(build) != configured.as_ref());
    (roots(command_line, directory, configured, build), path("workspace_root"))
}

/// A build directory that is none of its own is the target directory, wherever that is.
fn roots(
    command_line: &CommandLine,
    directory: &Path,
    configured: Option<PathBuf>,
    build: Option<PathBuf>,
) -> Vec<PathBuf> {
    let named = command_line.values("--target-dir").pop();
    let target = named.map(|target| directory.join(target)).or(configured);
    let mut roots: Vec<PathBuf> = target.into_iter().chain(build).collect();
    roots.dedup();
    roots
}

/// The workspace's directory, if the nearest manifest is its root's and nothing else has a say.
fn by_manifest(command_line: &CommandLine, directory: &Path, config: &Config) -> Option<PathBuf> {
    let is_said = |option: &&str| !command_line.values(option).is_empty();
    let is_plain = HERE.contains(&command_line.command()?)
        && command_line.toolchain().is_empty()
        && !ELSEWHERE.iter().any(is_said)
        && !VARIABLES.iter().any(|name| env::var_os(name).is_some())
        && !config.says_where_to_build();
    if !is_plain || !directory.is_absolute() {
        return None;
    }
    let mut with_manifest =
        directory.ancestors().filter(|directory| directory.join("Cargo.toml").exists());
    let root = with_manifest.next()?;
    let manifest: Table = fs::read_to_string(root.join("Cargo.toml")).ok()?.parse().ok()?;
    let is_root = manifest.get("workspace").is_some_and(toml::Value::is_table);
    let names_root =
        manifest.get("package").is_some_and(|package| package.get("workspace").is_some());
    let mut is_alone = || with_manifest.next().is_none() && manifest.contains_key("package");
    (!names_root && (is_root || is_alone())).then(|| root.to_owned())
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;

    const PACKAGE: &str = "[package]\nname = \"p\"\nversion = \"1.0.0\"\nedition = \"2024\"\n";

    #[test]
    fn what_a_manifest_says_is_what_cargo_says() {
        let dir = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(dir.path()).unwrap().join("é x");
        let write = |name: &str, text: &str| {
            let path = root.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let of_workspace = |rest: &str| format!("{PACKAGE}[workspace]\n{rest}");
        let member = PACKAGE.replace("\"p\"", "\"m\"");
        for (name, text) in [
            ("alone/Cargo.toml", PACKAGE),
            ("root/Cargo.toml", &of_workspace("members = [\"in\"]\nexclude = [\"out\"]\n")),
            ("root/in/Cargo.toml", &member),
            ("root/in/src/lib.rs", ""),
            ("root/out/Cargo.toml", PACKAGE),
            ("root/own/Cargo.toml", &of_workspace("")),
            ("virtual/Cargo.toml", "[workspace]\nresolver = \"3\"\nmembers = [\"in\"]\n"),
            ("virtual/in/Cargo.toml", &member),
            (
                "beside/Cargo.toml",
                &PACKAGE.replace("[package]", "[package]\nworkspace = \"../led\""),
            ),
            ("led/Cargo.toml", "[workspace]\nresolver = \"3\"\nmembers = [\"../beside\"]\n"),
            ("moved/Cargo.toml", PACKAGE),
            ("moved/.cargo/config.toml", "[build]\ntarget-dir = \"elsewhere\"\n"),
            ("broken/Cargo.toml", "[package\n"),
        ] {
            write(name, text);
            let source = Path::new(name).with_file_name("src").join("main.rs");
            if name.ends_with("Cargo.toml") && text.contains("[package]") {
                write(source.to_str().unwrap(), "fn main() {}\n");
            }
        }
        let mut read = Vec::new();
        for (name, words) in [
            ("alone", "build"),
            ("alone/src", "check"),
            ("alone", "build --target-dir t"),
            ("alone", "build --config build.target-dir='\"t\"'"),
            ("root", "test"),
            ("root/in", "build"),
            ("root/in/src", "build"),
            ("root/out", "build"),
            ("root/own", "build"),
            ("virtual", "build"),
            ("virtual/in", "build"),
            ("beside", "build"),
            ("led", "build"),
            ("moved", "build"),
            ("alone", "build --manifest-path ../moved/Cargo.toml"),
            ("alone", "install"),
        ] {
            let directory = root.join(name);
            let words: Vec<OsString> = words.split(' ').map(OsString::from).collect();
            let command_line = CommandLine::parse(&words);
            let config = Config::load(&directory, &command_line.values("--config"));
            let Some(workspace) = by_manifest(&command_line, &directory, &config) else { continue };
            read.push((name, words.len()));
            let mut cargo = std::process::Command::new("cargo");
            cargo.args(["metadata", "--no-deps", "--offline"]).current_dir(&directory);
            let output = cargo.output().unwrap();
            let said: Value = serde_json::from_slice(&output.stdout).unwrap();
            assert_eq!(said["workspace_root"].as_str(), workspace.to_str(), "{name}");
            let target = workspace.join("target");
            assert_eq!(said["target_directory"].as_str(), target.to_str(), "{name}");
            let expected = if words.len() > 1 { directory.join("t") } else { target };
            let (roots, _) = find(&command_line, &directory, &config);
            assert_eq!(roots, [expected], "{name}");
        }
        assert_eq!(
            read,
            [
                ("alone", 1),
                ("alone/src", 1),
                ("alone", 3),
                ("root", 1),
                ("root/own", 1),
                ("virtual", 1),
                ("led", 1)
            ]
        );
        let config = Config::default();
        let build = CommandLine::parse(&["build".into()]);
        assert_eq!(by_manifest(&build, &root.join("broken"), &config), None);
    }
}
