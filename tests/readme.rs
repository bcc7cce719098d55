//! What README.md says, against the code.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use cargo_brig::access::{Access, Kind, Outcome};
use cargo_brig::audit::behaviour::Aspect;
use cargo_brig::audit::formats::Format;
use cargo_brig::jail::landlock;
use cargo_brig::network::Attempt;
use cargo_brig::policy::Document;
use cargo_brig::policy::allowing::allowing;
use cargo_brig::policy::placeholders::Placeholders;
use cargo_brig::{cli, doctor, exit, lint, record, settings};
use clap::{CommandFactory, ValueEnum};

use support::{Project, succeed};

const README: &str = include_str!("../README.md");

/// The part of the README under a heading, up to the next one of its level or above.
fn section(heading: &str) -> &'static str {
    let (_, rest) = README.split_once(&format!("\n{heading}\n")).expect("the heading exists");
    let level = heading.find(' ').expect("a heading begins with its level");
    let ends = (1..=level).filter_map(|level| rest.find(&format!("\n{} ", "#".repeat(level))));
    &rest[..ends.min().unwrap_or(rest.len())]
}

/// The first cells of the tables in a text.
fn first_cells(text: &'static str) -> impl Iterator<Item = &'static str> {
    text.lines()
        .filter_map(|line| line.strip_prefix("| ")?.split(" | ").next())
        .filter(|cell| !cell.starts_with('-'))
}

/// Everything between backticks in a text.
fn quoted(text: &'static str) -> BTreeSet<&'static str> {
    text.split('`').skip(1).step_by(2).collect()
}

#[test]
fn the_exit_codes_are_those_of_the_program() {
    let told: BTreeSet<i32> =
        first_cells(section("## Exit codes")).filter_map(|cell| cell.parse().ok()).collect();
    let codes = [
        exit::DECLINED,
        exit::USAGE,
        exit::UNJAILED,
        exit::FAILED,
        exit::UNAPPROVED,
        exit::VIOLATED,
        exit::SCRIPT_FAILED,
        exit::UNJUDGED,
        exit::WITHHELD,
        exit::NOT_RUN,
    ];
    assert_eq!(told, BTreeSet::from(codes));
    let help = cli::Cli::command().render_long_help().to_string();
    let (_, help) = help.split_once("Exit codes:").unwrap();
    for code in codes {
        assert!(help.contains(&format!(" {code} ")), "{code} is not in the help");
    }
}

#[test]
fn the_policy_that_it_shows_is_one() {
    let text =
        section("## Your own policy").split("```").find_map(|text| text.strip_prefix("toml\n"));
    let document = Document::parse("README.md", text.unwrap()).unwrap();
    assert!(document.warnings.0.is_empty(), "{}", document.warnings);
    assert_eq!(document.packages.len(), 1);
}

#[test]
fn the_commands_and_files_that_it_names_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut commands = 0;
    let mut in_commands = false;
    for line in README.lines() {
        if line.starts_with("```") {
            in_commands = line == "```sh";
        } else if in_commands && line.starts_with("tests/") {
            let path = root.join(line.split(' ').next().unwrap());
            let mode =
                fs::metadata(&path).unwrap_or_else(|e| panic!("{path:?}: {e}")).permissions();
            assert!(mode.mode() & 0o111 != 0, "{path:?} cannot be executed");
            commands += 1;
        }
    }
    assert_eq!(commands, 2);
    for target in README.split("](").skip(1) {
        let target = target.split(')').next().unwrap();
        assert!(root.join(target).is_file(), "there is no {target}");
    }
}

#[test]
fn the_denials_read_as_they_are_printed() {
    let denial = |kind, path: &str| {
        let (path, outcome) = (path.to_owned(), Outcome::Denied);
        let rule = allowing(kind, &path, &Placeholders::default(), None).unwrap();
        let rule = rule.split("  #").next();
        Access { kind, path, path_hex: None, outcome, count: 1, process: 0 }.denial("default", rule)
    };
    let network = Attempt {
        listens: false,
        family: "IPv4".to_owned(),
        kind: "stream".to_owned(),
        address: Some("192.0.2.1".to_owned()),
        port: Some(443),
        host: None,
        outcome: Outcome::Denied,
        count: 1,
        process: 0,
    };
    for sentence in [
        denial(Kind::Read, "/etc/shadow"),
        denial(Kind::Create, "/tmp/x"),
        network.denial("default"),
    ] {
        let line = format!("\nwarning: the build script of `curious v0.1.0` {sentence}\n");
        assert!(README.contains(&line), "{line}");
    }
}

/// A text with each number as `0`, and the plurals of words after them cut.
fn without_numbers(text: &str) -> String {
    let mut result = String::new();
    for character in text.chars() {
        match character {
            '0'..='9' if result.ends_with('0') => {}
            '0'..='9' => result.push('0'),
            _ => result.push(character),
        }
    }
    result.replace("0.0 ms", "0 ms").replace("0.0 s", "0 s").replace("0 s,", "0 ms,")
}

#[test]
fn a_shown_record_looks_as_it_does_there() {
    let script = "use std::{env, fs, net};
        fn main() {
            let _ = fs::read(\"/etc/shadow\");
            let _ = fs::write(\"/tmp/x\", \"\");
            let _ = net::TcpStream::connect(\"192.0.2.1:443\");
            fs::read(\"Cargo.toml\").unwrap();
            fs::write(env::var(\"OUT_DIR\").unwrap() + \"/words.rs\", \"\").unwrap();
        }";
    let project = Project::with_script("curious", script);
    let manifest = fs::read_to_string(project.root.join("Cargo.toml")).unwrap();
    project.write("Cargo.toml", &manifest.replace("1.2.3", "0.1.0"));
    succeed(&mut project.brig(&["build"]));
    let output = succeed(&mut project.brig(&["show", "curious"]));
    let shown = without_numbers(&String::from_utf8(output.stdout).unwrap());
    let (_, told) = README.split_once("$ cargo brig show curious\n").unwrap();
    let (told, _) = told.split_once("```").unwrap();
    let mut rest = shown.lines();
    for line in told.lines().filter(|line| line.trim() != "…") {
        let line = without_numbers(line);
        assert!(rest.any(|candidate| candidate == line), "`{line}` is not (there) in\n{shown}");
    }
}

#[test]
fn the_doctor_says_what_it_says_there() {
    let project = Project::of("nothing", &[("file", "")]);
    let output = succeed(&mut project.brig(&["doctor"]));
    let said = String::from_utf8(output.stdout).unwrap();
    let section = section("## Doctor");
    let (_, told) = section.split_once("$ cargo brig doctor\n").unwrap();
    let (told, _) = told.split_once("```").unwrap();
    // But for the line of the machine's.
    let lines = |text: &str| -> Vec<String> {
        text.lines().filter(|line| !line.starts_with("  Linux ")).map(str::to_owned).collect()
    };
    assert_eq!(lines(&said), lines(told));

    let output = succeed(&mut project.brig(&["doctor", "--format", "json"]));
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let names = quoted(section);
    for name in
        said.as_object().unwrap().keys().chain(said["checks"][0].as_object().unwrap().keys())
    {
        assert!(names.contains(name.as_str()), "`{name}` is not told of");
    }
    assert!(section.contains(&format!("`schema`, now {}", doctor::diagnosis::SCHEMA)));
}

#[test]
fn the_fields_of_a_record_are_those_that_it_has() {
    let project = Project::with_script("quiet", "fn main() {}");
    succeed(&mut project.brig(&["build"]));
    let records = project.records();
    let [record] = &records[..] else { panic!("{} records", records.len()) };
    let record = record.as_object().unwrap();
    let has = |section: &str| -> BTreeSet<String> {
        let object = if section.is_empty() { record } else { record[section].as_object().unwrap() };
        object.keys().cloned().collect()
    };

    let text = section("### The record");
    assert!(text.contains(&format!("`{}`", record::FILE_NAME)), "{}", record::FILE_NAME);
    assert!(text.contains(&format!("version of this format, now {}", record::SCHEMA)));
    let told: BTreeSet<String> = first_cells(text).flat_map(quoted).map(str::to_owned).collect();
    assert_eq!(told, has(""));
    for (object, row) in ["unit", "policy", "enforced"].map(|object| {
        (object, text.lines().find(|line| line.starts_with(&format!("| `{object}` |"))).unwrap())
    }) {
        let told = quoted(row);
        for field in has(object) {
            assert!(told.contains(field.as_str()), "`{object}` has `{field}`");
        }
    }
}

#[test]
fn the_lints_are_those_of_the_program() {
    let told: Vec<&str> =
        first_cells(section("### What a script should not do")).flat_map(quoted).collect();
    assert_eq!(told, lint::Code::ALL.map(lint::Code::name));
}

#[test]
fn the_aspects_of_a_baseline_are_those_that_it_has() {
    let section = section("## What your team knows").split("\n### ").next().unwrap();
    let told: BTreeSet<&str> = first_cells(section).flat_map(quoted).collect();
    let mut expected: BTreeSet<&str> = Aspect::ALL.iter().map(|aspect| aspect.name()).collect();
    expected.insert("brig.lock");
    assert_eq!(told, expected);
}

#[test]
fn the_formats_of_an_audit_are_those_of_the_program() {
    let told: Vec<&str> = first_cells(section("### Its reports")).flat_map(quoted).collect();
    let formats = Format::value_variants().iter().filter_map(ValueEnum::to_possible_value);
    let formats: BTreeSet<String> = formats.map(|format| format.get_name().to_owned()).collect();
    assert_eq!(told.into_iter().map(str::to_owned).collect::<BTreeSet<_>>(), formats);
}

#[test]
fn versions_and_names_are_those_of_the_program() {
    let version = env!("CARGO_PKG_RUST_VERSION");
    assert!(README.contains(&format!("a Rust toolchain ({version} or newer")), "{version}");
    let lowest = first_cells(section("## Kernel")).find_map(|cell| cell.parse::<i32>().ok());
    assert_eq!(lowest, Some(landlock::FLOOR));
    let variables = quoted(section("## Environment variables"));
    for variable in [settings::WRAPPER, settings::LOG] {
        assert!(variables.contains(variable), "{variable}");
    }
}
