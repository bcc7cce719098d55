//! A real workspace, `tests/example`: the same with and without the jail.
//!
//! It is built by plain Cargo and then, from nothing and in the same place, by `cargo brig`. What
//! Cargo reports of each build script and what each script wrote are compared. The crates come from
//! the registry; `tests/prepare` installs what their scripts need.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use support::{Project, outputs, stdout, succeed, summary, without_hashes};

/// What is seen of a build.
struct Build {
    output: Output,
    /// Cargo's `build-script-executed` messages by package, without hashes.
    scripts: BTreeMap<String, String>,
    outputs: BTreeMap<String, Vec<u8>>,
}

fn build(project: &Project, mut command: Command) -> Build {
    let output = succeed(&mut command);
    let messages = stdout(&output);
    let messages = messages.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut scripts = BTreeMap::new();
    for message in messages.filter(|message| message["reason"] == "build-script-executed") {
        // A package can be compiled for the host and for the target, with other features.
        let key = format!("{} {}", message["package_id"], message["out_dir"]);
        let earlier = scripts.insert(without_hashes(&key), without_hashes(&message.to_string()));
        assert_eq!(earlier, None, "{key}");
    }
    Build { output, scripts, outputs: outputs(project) }
}

/// `CMake` tries small programs under names of its own, logs them, and hashes command lines, in
/// which the unit's hash is.
fn is_by_chance(name: &str) -> bool {
    ["CMakeConfigureLog.yaml", "CMakeError.log", "CMakeOutput.log", "CMakeRuleHashes.txt"]
        .iter()
        .any(|file| name.ends_with(file))
        || name.contains("/CMakeScratch/")
}

/// Objects and archives without debugging information: a compiler orders its strings by their hash,
/// and the unit's path is one of them.
fn stripped(name: &str, bytes: &[u8]) -> Vec<u8> {
    let is_object = Path::new(name).extension().is_some_and(|is| is == "o" || is == "a");
    if !is_object {
        return bytes.to_vec();
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), bytes).unwrap();
    succeed(Command::new("strip").args(["-D", "--strip-debug"]).arg(file.path()));
    fs::read(file.path()).unwrap()
}

#[test]
fn the_example_is_the_same_with_and_without_the_jail() {
    const ARGUMENTS: [&str; 3] = ["build", "--locked", "--message-format=json"];
    let project = Project::copy_of("example");
    let plain = build(&project, project.cargo(&ARGUMENTS));
    let run = succeed(&mut project.cargo(&["run", "--locked", "--quiet"]));
    assert!(project.records().is_empty());
    fs::remove_dir_all(project.root.join("target")).unwrap();
    let jailed = build(&project, project.brig(&ARGUMENTS));
    let jailed_run = succeed(&mut project.brig(&["run", "--locked", "--quiet"]));

    assert_eq!(stdout(&run), stdout(&jailed_run));
    assert!(stdout(&run).contains("total: 42270 cents\n"), "{}", stdout(&run));

    let packages = [
        "libc",
        "libgit2-sys",
        "libsqlite3-sys",
        "openssl-sys",
        "ring",
        "serde",
        "zstd-sys",
        "catalogue",
    ];
    for package in packages {
        let ran = plain
            .scripts
            .keys()
            .any(|key| key.contains(&format!("/{package}-0000000000000000/out")));
        assert!(ran, "{package} is not part of the example: {:#?}", plain.scripts.keys());
    }
    assert_eq!(plain.scripts, jailed.scripts);

    let names = |build: &Build| -> Vec<String> {
        build.outputs.keys().filter(|name| !is_by_chance(name)).cloned().collect()
    };
    assert_eq!(names(&plain), names(&jailed));
    assert!(names(&plain).len() > 500, "{}", names(&plain).len());
    let differing: Vec<String> = names(&plain)
        .into_iter()
        .filter(|name| {
            let (plain, jailed) = (&plain.outputs[name], &jailed.outputs[name]);
            plain != jailed && stripped(name, plain) != stripped(name, jailed)
        })
        .collect();
    assert_eq!(differing, Vec::<String>::new());

    let records = project.records();
    assert_eq!(records.len(), jailed.scripts.len());
    for record in &records {
        assert_eq!(record["exit"], serde_json::json!({ "code": 0 }), "{record:#}");
        assert_eq!(record["denials"], serde_json::json!([]), "{record:#}");
        assert_eq!(record["withheld_instructions"], serde_json::json!([]), "{record:#}");
    }
    let sentence =
        format!("Jailed {} build script runs in the jail, nothing denied", records.len());
    assert_eq!(summary(&jailed.output), sentence);
}
