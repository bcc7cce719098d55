//! The case studies of the Cargo Book, and what else a well-behaved build script relies on: each
//! fixture does the same with and without the jail.
//!
//! What both Cargos print, the exit code, and what the scripts wrote are compared; what differs by
//! nature (the units' hashes, how long it took, what had to be waited for or downloaded, the summary)
//! is taken out by [`Outcome::of`].

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Output};

use support::{Project, outputs, shown, stderr, stdout, succeed, summary, without_hashes};

/// What a person, and another program, see of a finished command.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    code: Option<i32>,
    stdout: String,
    /// In the order of the alphabet: Cargo compiles packages in an order of its own each time.
    stderr: Vec<String>,
}

impl Outcome {
    fn of(output: &Output) -> Self {
        let mut lines: Vec<String> = stderr(output)
            .lines()
            .filter(|line| {
                let word = line.trim_start().split(' ').next().unwrap_or_default();
                !["Jailed", "Blocking", "Updating", "Downloading", "Downloaded"].contains(&word)
            })
            .map(|line| match line.split_once(" target(s) in ") {
                Some((before, _)) => format!("{before} target(s)"),
                None => without_hashes(line),
            })
            .collect();
        lines.sort();
        Self { code: output.status.code(), stdout: stdout(output), stderr: lines }
    }
}

/// Runs a Cargo command without the jail and, from nothing again, with it. The outcome must be the
/// same. Returns the jailed command's output and what the scripts wrote without and with the jail.
fn compare(
    project: &Project,
    arguments: &[&str],
    environment: &[(&str, &str)],
) -> (Output, [BTreeMap<String, Vec<u8>>; 2]) {
    let run = |mut command: Command| command.envs(environment.iter().copied()).output().unwrap();
    let plain = run(project.cargo(arguments));
    let plain_outputs = outputs(project);
    assert_eq!(project.records(), Vec::<serde_json::Value>::new());
    fs::remove_dir_all(project.root.join("target")).unwrap();
    let jailed = run(project.brig(arguments));
    assert_eq!(Outcome::of(&plain), Outcome::of(&jailed), "{}", shown(&jailed));
    (jailed, [plain_outputs, outputs(project)])
}

/// The packages of which there is a record, each of a run that succeeded and was denied nothing.
fn jailed_packages(project: &Project) -> Vec<String> {
    let mut packages: Vec<String> = project
        .records()
        .iter()
        .map(|record| {
            assert_eq!(record["exit"], serde_json::json!({ "code": 0 }), "{record:#}");
            assert_eq!(record["denials"], serde_json::json!([]), "{record:#}");
            record["unit"]["package"].as_str().unwrap().to_owned()
        })
        .collect();
    packages.sort();
    packages
}

#[test]
fn a_script_that_generates_code_works() {
    let project = Project::copy_of("fixtures/generates_code");
    let (output, [plain, jailed]) = compare(&project, &["run", "--locked"], &[]);
    assert_eq!(stdout(&output), "Hello, World!\n");
    assert_eq!(plain, jailed);
    assert_eq!(jailed.len(), 1);
    assert_eq!(jailed_packages(&project), ["generates_code"]);
    assert_eq!(summary(&output), "Jailed 1 build script run in the jail, nothing denied");
}

#[test]
fn a_script_that_starts_gcc_and_ar_itself_works() {
    let project = Project::copy_of("fixtures/builds_native_by_hand");
    let (output, [plain, jailed]) = compare(&project, &["run", "--locked"], &[]);
    assert_eq!(stdout(&output), "42\n");
    assert_eq!(names(&plain), names(&jailed));
    assert_eq!(names(&jailed).len(), 2);
    assert_eq!(jailed_packages(&project), ["builds_native_by_hand"]);
}

#[test]
fn a_script_that_uses_the_cc_crate_works() {
    let project = Project::copy_of("fixtures/builds_native_with_cc");
    let (output, [plain, jailed]) = compare(&project, &["run", "--locked"], &[]);
    assert_eq!(stdout(&output), "Hello, World!\n");
    assert_eq!(names(&plain), names(&jailed));
    assert!(names(&jailed).iter().any(|name| name.ends_with("/libhello.a")), "{jailed:?}");
    assert_eq!(jailed_packages(&project), ["builds_native_with_cc"]);
}

/// The names alone, where a compiler writes times and its own temporary names into the files.
fn names(outputs: &BTreeMap<String, Vec<u8>>) -> Vec<&str> {
    outputs.keys().map(String::as_str).collect()
}

#[test]
fn a_sys_package_builds_its_bundled_source_with_the_headers_of_another() {
    let project = Project::copy_of("fixtures/sys_packages");
    let (output, [plain, jailed]) = compare(&project, &["run", "--locked"], &[]);
    assert_eq!(stdout(&output), "bundled\n");
    assert_eq!(cmake_names(&plain), cmake_names(&jailed));
    assert!(names(&jailed).iter().any(|name| name.ends_with("/out/lib/libharbour.a")));
    assert_eq!(jailed_packages(&project), ["harbour-sys", "tide-sys"]);
    assert_eq!(summary(&output), "Jailed 2 build script runs in the jail, nothing denied");
}

/// As [`names`], without the directories that `CMake` names after a random number.
fn cmake_names(outputs: &BTreeMap<String, Vec<u8>>) -> Vec<&str> {
    let mut names = names(outputs);
    names.retain(|name| !name.contains("/CMakeScratch/"));
    names
}

#[test]
fn a_sys_package_finds_an_installed_library_by_pkg_config() {
    let project = Project::copy_of("fixtures/sys_packages");
    let prefix = project.root.join("installed");
    succeed(Command::new(project.root.join("install_harbour")).arg(&prefix));
    let pkg_config_path = prefix.join("lib/pkgconfig");
    // A blank ends a word in this file, and the project's path has one (pc(5), "Libs").
    let file = pkg_config_path.join("harbour.pc");
    let text = fs::read_to_string(&file).unwrap();
    let escaped = prefix.to_str().unwrap().replace(' ', "\\ ");
    fs::write(&file, text.replace(prefix.to_str().unwrap(), &escaped)).unwrap();
    let environment = [("PKG_CONFIG_PATH", pkg_config_path.to_str().unwrap())];
    let (output, [plain, jailed]) = compare(&project, &["run", "--locked"], &environment);
    assert_eq!(stdout(&output), "installed\n");
    assert_eq!(names(&plain), names(&jailed));
    assert!(!names(&jailed).iter().any(|name| name.contains("libharbour")), "{jailed:?}");
    assert_eq!(jailed_packages(&project), ["harbour-sys", "tide-sys"]);
}

#[test]
fn an_overridden_script_does_not_run_and_the_summary_says_so() {
    let project = Project::copy_of("fixtures/links_override");
    let (output, [plain, jailed]) = compare(&project, &["run", "--locked"], &[]);
    assert_eq!(stdout(&output), "overridden\n");
    assert_eq!((plain.len(), jailed.len()), (0, 0));
    assert_eq!(jailed_packages(&project), Vec::<String>::new());
    let config = project.root.join(".cargo/config.toml");
    let sentence = format!(
        "Jailed 0 build script runs in the jail, `links_override v0.1.0` not run because {} \
         overrides `links = \"beacon\"`, nothing denied",
        config.display()
    );
    assert_eq!(summary(&output), sentence);
}

#[test]
fn without_its_override_the_script_of_that_fixture_runs() {
    let project = Project::copy_of("fixtures/links_override");
    fs::remove_dir_all(project.root.join(".cargo")).unwrap();
    let output = support::fail(&mut project.brig(&["build", "--locked"]));
    assert!(stderr(&output).contains("the build script ran"), "{}", shown(&output));
    let exit = &project.records()[0]["exit"];
    assert_eq!(*exit, serde_json::json!({ "code": 101 }));
}

#[test]
fn a_build_dependency_with_a_script_of_its_own_works() {
    let project = Project::copy_of("fixtures/build_dependencies");
    let (output, [plain, jailed]) = compare(&project, &["run", "--locked"], &[]);
    assert_eq!(stdout(&output), "a gale from the west\n");
    assert_eq!(plain, jailed);
    assert_eq!(jailed.len(), 2);
    assert_eq!(jailed_packages(&project), ["build_dependencies", "forecast"]);
    assert_eq!(summary(&output), "Jailed 2 build script runs in the jail, nothing denied");
}

#[test]
fn the_variables_of_a_build_for_the_host_reach_the_script() {
    let project = Project::copy_of("fixtures/cross_variables");
    let (output, [plain, jailed]) = compare(&project, &["run", "--locked"], &[]);
    assert!(stdout(&output).contains("CARGO_FEATURE_DEEP_WATER=1\n"), "{}", shown(&output));
    assert_eq!(plain, jailed);
    assert_eq!(jailed_packages(&project), ["cross_variables"]);
}

#[test]
fn the_variables_of_a_build_for_another_target_reach_the_script() {
    const HERE: &str = std::env::consts::ARCH;
    let there = if HERE == "x86_64" { "aarch64" } else { "x86_64" };
    let target = format!("{there}-unknown-linux-gnu");
    let project = Project::copy_of("fixtures/cross_variables");
    // Whether the program can be linked depends on what is installed; the script runs before that.
    let arguments = ["check", "--locked", "--target", &target];
    let (_, [plain, jailed]) = compare(&project, &arguments, &[]);
    assert_eq!(plain, jailed);
    let (name, text) = jailed.iter().next().unwrap();
    let text = String::from_utf8_lossy(text);
    assert!(name.starts_with(&format!("target/{target}/debug/build/")), "{name}");
    let value = |wanted: &str| {
        let mut lines = text.lines().filter_map(|line| line.split_once('='));
        lines.find_map(|(name, value)| (name == wanted).then_some(value)).unwrap()
    };
    assert_eq!(value("TARGET"), target);
    assert!(value("HOST").starts_with(HERE), "{text}");
    assert_eq!(value("CARGO_CFG_TARGET_ARCH"), there);
    assert_eq!(jailed_packages(&project), ["cross_variables"]);
}
