//! An instruction parses as Cargo parses it: every row of `tests/data/cargo-grammar.json`, which
//! says what Cargo 1.95 made of a script's output, is parsed here, and what Cargo would do with the
//! instructions is compared with what it did; once for the script's own bytes and once for the
//! bytes that are relayed instead.
//!
//! The parser knows one line. What Cargo knows besides (the package's targets and `rust-version`,
//! the toolchain, the exit status, the detection of errors while the script runs) is modelled in
//! [`Package::build`], after `build_work` and `BuildOutput::parse` in Cargo's
//! `src/cargo/core/compiler/custom_build.rs`.

use std::collections::BTreeSet;

use cargo_brig::instruction::{
    Instruction, InvalidInstruction, KEYS, Kind, Line, LinkFlag, Reason, Syntax, parse,
};
use serde_json::Value;

/// What of Cargo's `build-script-executed` message depends on the script's output.
#[derive(Debug, Default, PartialEq)]
struct Executed {
    linked_libs: Vec<String>,
    linked_paths: Vec<String>,
    cfgs: Vec<String>,
    env: Vec<(String, String)>,
}

/// The beginning of the error with which Cargo refuses.
type Refusal = String;

/// What Cargo knows of the package `a v0.1.0` whose script printed a row. It has one binary, and
/// neither tests nor benchmarks nor examples nor a cdylib.
struct Package {
    /// Whether its `rust-version` is at least 1.77.
    knows_double_colon: bool,
    nightly: bool,
    script_exit: i64,
}

const BINS: [&str; 1] = ["abin"];
const WHENCE: &str = "build script of `a v0.1.0";

impl Package {
    fn of(row: &Value) -> Self {
        Self {
            knows_double_colon: row["rust_version"].as_str().is_none_or(|version| {
                let (major, minor) =
                    version.split_once('.').expect("a rust_version is MAJOR.MINOR");
                (major.parse::<u32>().unwrap(), minor.parse::<u32>().unwrap()) >= (1, 77)
            }),
            nightly: row["name"].as_str().unwrap().ends_with("nightly"),
            script_exit: row["script_exit"].as_i64().unwrap(),
        }
    }

    /// What Cargo does with a script that printed these lines.
    fn build(&self, lines: &[Line]) -> Result<Executed, Refusal> {
        if self.script_exit != 0 {
            return Err("error: failed to run custom build command for `a v0.1.0".to_owned());
        }
        for line in lines {
            if let Line::Instruction(instruction) = line
                && let Kind::Error { text, at_line_start: true } = instruction.kind()
            {
                return Err(format!("error: a@0.1.0: {text}"));
            }
        }
        let mut executed = Executed::default();
        for line in lines {
            match line {
                Line::Plain => {}
                Line::Invalid(invalid) => {
                    self.check_syntax(invalid.line.starts_with("cargo::"))?;
                    return Err(refusal(invalid));
                }
                Line::Instruction(instruction) => {
                    self.check_syntax(instruction.syntax() == Syntax::Double)?;
                    self.act(instruction, &mut executed)?;
                }
            }
        }
        Ok(executed)
    }

    fn check_syntax(&self, double: bool) -> Result<(), Refusal> {
        if double && !self.knows_double_colon {
            return Err("error: the `cargo::` syntax for build script output instructions was added in Rust 1.77.0".to_owned());
        }
        Ok(())
    }

    fn act(&self, instruction: &Instruction, executed: &mut Executed) -> Result<(), Refusal> {
        let no_such_target = || {
            let (syntax, key) = (instruction.syntax(), instruction.key());
            Err(format!("error: invalid instruction `{syntax}{key}` from {WHENCE}"))
        };
        match instruction.kind() {
            Kind::LinkLib(lib) => executed.linked_libs.push(lib.clone()),
            Kind::LinkSearch(path) => executed.linked_paths.push(path.clone()),
            Kind::Flags(flags) => {
                for flag in flags {
                    match flag {
                        LinkFlag::Lib(lib) => executed.linked_libs.push(lib.clone()),
                        LinkFlag::Search(path) => executed.linked_paths.push(path.clone()),
                    }
                }
            }
            Kind::Cfg(cfg) => executed.cfgs.push(cfg.clone()),
            Kind::Env { name, value } if name == "RUSTC_BOOTSTRAP" => {
                if !self.nightly {
                    return Err(format!(
                        "error: cannot set `RUSTC_BOOTSTRAP={value}` from {WHENCE}"
                    ));
                }
            }
            Kind::Env { name, value } => executed.env.push((name.clone(), value.clone())),
            Kind::LinkArgBin { bin, .. } if !BINS.contains(&bin.as_str()) => {
                return no_such_target();
            }
            Kind::LinkArgTests(_) | Kind::LinkArgExamples(_) | Kind::LinkArgBenches(_) => {
                return no_such_target();
            }
            Kind::LinkArg(_)
            | Kind::LinkArgBin { .. }
            | Kind::LinkArgBins(_)
            | Kind::LinkArgCdylib { .. }
            | Kind::CheckCfg(_)
            | Kind::Warning { .. }
            | Kind::Error { .. }
            | Kind::RerunIfChanged(_)
            | Kind::RerunIfEnvChanged(_)
            | Kind::Metadata { .. } => {}
        }
        Ok(())
    }
}

/// The beginning of Cargo's error for a line that its parser refuses without knowing the package.
fn refusal(invalid: &InvalidInstruction) -> Refusal {
    let message = match &invalid.reason {
        Reason::NoEquals(_) | Reason::UnknownKey(_) | Reason::MetadataWithoutValue => {
            "invalid output in ".to_owned()
        }
        Reason::EnvWithoutValue => "Variable rustc-env has no value in ".to_owned(),
        Reason::LinkArgBinWithoutArg => format!("invalid instruction `{}` from ", invalid.line),
        Reason::ForbiddenFlag(_) => "only `-l` and `-L` flags are allowed in ".to_owned(),
        Reason::FlagWithoutValue => "flag in rustc-flags has no value in ".to_owned(),
        Reason::SeveralLines | Reason::Ambiguous => {
            panic!("no single line of Cargo's is refused like this: {invalid:?}")
        }
    };
    format!("error: {message}{WHENCE}")
}

/// What Cargo did.
fn observed(row: &Value) -> Result<Executed, &str> {
    let message = &row["build_script_executed"];
    if !row["accepted"].as_bool().unwrap() {
        assert!(message.is_null(), "refused, and yet Cargo sent a message: {row}");
        return Err(row["cargo_error"].as_str().expect("a refused row has Cargo's error"));
    }
    let string = |value: &Value| value.as_str().unwrap().to_owned();
    let list = |key: &str| message[key].as_array().unwrap().iter().map(string).collect();
    let pairs = message["env"].as_array().unwrap().iter();
    Ok(Executed {
        linked_libs: list("linked_libs"),
        linked_paths: list("linked_paths"),
        cfgs: list("cfgs"),
        env: pairs.map(|pair| (string(&pair[0]), string(&pair[1]))).collect(),
    })
}

fn rows() -> Vec<Value> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/cargo-grammar.json");
    let mut table: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    serde_json::from_value(table["rows"].take()).unwrap()
}

fn stdout(row: &Value) -> Vec<u8> {
    let hex = row["stdout_hex"].as_str().unwrap();
    assert!(hex.len().is_multiple_of(2));
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn parse_stdout(stdout: &[u8]) -> Vec<Line> {
    stdout.split(|byte| *byte == b'\n').map(parse).collect()
}

/// The instructions written out again. Plain lines mean nothing to Cargo; an invalid line is not
/// relayed but fails the unit, so that there is nothing to relay then.
fn relay(lines: &[Line]) -> Option<String> {
    let mut relayed = String::new();
    for line in lines {
        match line {
            Line::Instruction(instruction) => {
                relayed.push_str(&instruction.to_string());
                relayed.push('\n');
            }
            Line::Plain => {}
            Line::Invalid(_) => return None,
        }
    }
    Some(relayed)
}

#[track_caller]
fn assert_same(name: &str, computed: Result<Executed, Refusal>, observed: &Result<Executed, &str>) {
    match (computed, observed) {
        (Ok(computed), Ok(observed)) => assert_eq!(&computed, observed, "{name}"),
        (Err(computed), Err(observed)) => {
            assert!(
                observed.starts_with(&computed),
                "{name}: {computed:?} is not how {observed:?} begins"
            );
        }
        (computed, observed) => panic!("{name}: {computed:?}, but Cargo: {observed:?}"),
    }
}

#[test]
fn script_output_means_what_cargo_made_of_it() {
    for row in rows() {
        let computed = Package::of(&row).build(&parse_stdout(&stdout(&row)));
        assert_same(&row["name"].to_string(), computed, &observed(&row));
    }
}

#[test]
fn relayed_output_means_what_cargo_made_of_the_original() {
    for row in rows() {
        let (name, observed) = (row["name"].to_string(), observed(&row));
        match relay(&parse_stdout(&stdout(&row))) {
            Some(relayed) => {
                let lines = parse_stdout(relayed.as_bytes());
                assert_same(&name, Package::of(&row).build(&lines), &observed);
                assert_eq!(
                    relay(&lines),
                    Some(relayed),
                    "{name}: relaying twice changes something"
                );
            }
            None => {
                assert!(observed.is_err(), "{name}: the unit would fail, but Cargo: {observed:?}");
            }
        }
    }
}

/// The two tests above prove only as much as the table holds.
#[test]
fn table_holds_every_key_and_every_refusal() {
    let (mut keys, mut refusals) = (BTreeSet::new(), BTreeSet::new());
    for line in rows().iter().flat_map(|row| parse_stdout(&stdout(row))) {
        match line {
            Line::Instruction(instruction) => {
                keys.insert(instruction.key());
            }
            Line::Invalid(invalid) => {
                let variant = format!("{:?}", invalid.reason);
                refusals.insert(variant.split('(').next().unwrap().to_owned());
            }
            Line::Plain => {}
        }
    }
    let keys: Vec<_> = keys.into_iter().collect();
    assert_eq!(keys, KEYS);
    let refusals: Vec<_> = refusals.iter().map(String::as_str).collect();
    assert_eq!(
        refusals,
        [
            "EnvWithoutValue",
            "FlagWithoutValue",
            "ForbiddenFlag",
            "LinkArgBinWithoutArg",
            "MetadataWithoutValue",
            "NoEquals",
            "UnknownKey",
        ]
    );
}
