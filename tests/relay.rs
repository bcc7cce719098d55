//! What a script prints arrives at Cargo, through the jail, as what it means without it: each key in
//! either syntax, odd lines, plain lines, standard error, the exit, and any amount of all this.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::process::{Child, Command, Output, Stdio};
use std::thread::{self, JoinHandle};

use serde_json::Value;
use support::{Project, TOOL, clean_command, fail, shown, stderr, stdout, succeed};

fn remove_target(project: &Project) {
    fs::remove_dir_all(project.root.join("target")).unwrap();
}

/// The messages `build-script-executed`, by package, without what has a unit's hash in it.
fn executed(output: &Output) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    for line in stdout(output).lines() {
        let Ok(message) = serde_json::from_str::<Value>(line) else { continue };
        if message["reason"] != "build-script-executed" {
            continue;
        }
        // path+file:///…/NAME#VERSION
        let id = message["package_id"].as_str().unwrap();
        let name = id.rsplit_once('/').unwrap().1.split_once('#').unwrap().0.to_owned();
        let lists = ["linked_libs", "linked_paths", "cfgs", "env"]
            .map(|key| (key.to_owned(), without_hashes(&message[key].to_string()).into()));
        assert!(found.insert(name, Value::Object(lists.into_iter().collect())).is_none());
    }
    found
}

/// A text in which each unit's hash is `HASH`: the shim's line in `rustc -vV` is part of them.
fn without_hashes(text: &str) -> String {
    let mut result = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(|letter: char| letter.is_ascii_hexdigit()) {
        result.push_str(&rest[..start]);
        rest = &rest[start..];
        let length = rest.find(|letter: char| !letter.is_ascii_hexdigit()).unwrap_or(rest.len());
        result.push_str(if length == 16 { "HASH" } else { &rest[..length] });
        rest = &rest[length..];
    }
    result + rest
}

/// A workspace of these members, which are written afterwards. Nobody debugs them or builds them a
/// second time.
fn workspace(members: &[String]) -> Project {
    let text = format!(
        "[workspace]\nresolver = \"3\"\nmembers = {members:?}\n\
         [profile.dev]\ndebug = false\nincremental = false\n"
    );
    Project::of("workspace", &[("Cargo.toml", &text)])
}

#[test]
fn rows_of_the_grammar_mean_the_same_through_the_jail() {
    // The script cannot tell which toolchain the row is for; this one is for nightly.
    let rows: Vec<Value> = rows()
        .into_iter()
        .filter(|row| !row["name"].as_str().unwrap().ends_with("nightly"))
        .collect();
    let packages: Vec<String> = (0..rows.len()).map(|index| format!("row{index}")).collect();
    let project = workspace(&packages);
    for (row, package) in rows.iter().zip(&packages) {
        let msrv = row["rust_version"].as_str();
        let msrv = msrv.map(|version| format!("rust-version = {version:?}\n")).unwrap_or_default();
        let manifest = format!(
            "[package]\nname = {package:?}\nversion = \"0.1.0\"\nedition = \"2021\"\n{msrv}\
             [[bin]]\nname = \"abin\"\npath = \"main.rs\"\n"
        );
        project.write(&format!("{package}/Cargo.toml"), &manifest);
        project.write(&format!("{package}/main.rs"), "fn main() {}");
        let script = format!(
            "use std::io::Write;\n\
             fn main() {{\n    \
                 std::io::stdout().write_all(include_bytes!(\"stdout\")).unwrap();\n    \
                 std::process::exit({});\n\
             }}\n",
            row["script_exit"]
        );
        project.write(&format!("{package}/build.rs"), &script);
        fs::write(project.root.join(package).join("stdout"), stdout_of(row)).unwrap();
    }
    // Some of the rows make rustc fail, and that Cargo goes on to it is what they show.
    let arguments = ["check", "--keep-going", "--message-format=json"];
    let plain = fail(&mut project.cargo(&arguments));
    remove_target(&project);
    let jailed = fail(&mut project.brig(&arguments));
    let (plain_executed, jailed_executed) = (executed(&plain), executed(&jailed));
    for (row, package) in rows.iter().zip(&packages) {
        let name = row["name"].as_str().unwrap();
        let (plain_executed, jailed_executed) =
            (plain_executed.get(package), jailed_executed.get(package));
        assert_eq!(plain_executed, jailed_executed, "{name}: {}", shown(&jailed));
        assert_eq!(plain_executed.is_some(), row["accepted"] == true, "{name}: {}", shown(&plain));
        if row["accepted"] == false {
            assert_names_the_refused(&jailed, package, name);
        }
    }
}

/// Cargo, or we in its stead, must say of which package it does not accept the output.
#[track_caller]
fn assert_names_the_refused(output: &Output, package: &str, name: &str) {
    let text = stderr(output);
    let mut errors = text.lines().filter(|line| line.starts_with("error:"));
    let named = |line: &str| {
        line.contains(&format!("`{package} v0.1.0")) || line.contains(&format!(" {package}@0.1.0:"))
    };
    assert!(errors.any(named), "{name} ({package}): {text}");
}

fn rows() -> Vec<Value> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/cargo-grammar.json");
    let mut table: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    serde_json::from_value(table["rows"].take()).unwrap()
}

fn stdout_of(row: &Value) -> Vec<u8> {
    let hex = row["stdout_hex"].as_str().unwrap();
    let bytes =
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap());
    let mut bytes: Vec<u8> = bytes.collect();
    // Any link argument serves, but this one is withheld: it would set a language for the driver.
    if bytes.ends_with(b"=-x\n") {
        let at = bytes.len() - 2;
        bytes[at] = b's';
    }
    bytes
}

/// Every key of the Cargo Book, "Outputs of the Build Script", without its colons.
const INSTRUCTIONS: &[&str] = &[
    "rerun-if-changed=watched",
    "rerun-if-env-changed=WATCHED",
    "rustc-link-arg=-Wl,-z,now",
    "rustc-link-arg-cdylib=-Wl,-z,relro",
    "rustc-cdylib-link-arg=-Wl,-O1",
    "rustc-link-arg-bin=PACKAGE_bin=-Wl,--no-undefined",
    "rustc-link-arg-bins=-Wl,--gc-sections",
    "rustc-link-arg-tests=-Wl,--hash-style=gnu",
    "rustc-link-arg-examples=-Wl,--as-needed",
    "rustc-link-arg-benches=-Wl,--build-id=none",
    "rustc-link-lib=m",
    "rustc-link-lib=dylib=dl",
    "rustc-link-search=native=OUT_DIR",
    "rustc-link-search=/usr/lib",
    "rustc-flags=-L /usr -l pthread",
    "rustc-cfg=first",
    "rustc-cfg=second=\"with a value\"",
    "rustc-check-cfg=cfg(first)",
    "rustc-check-cfg=cfg(second, values(any()))",
    "rustc-env=FIRST=a=b c",
    "rustc-env=SECOND=é $HOME",
    "warning=a warning",
    "METADATA_root=OUT_DIR/x y",
    "METADATA_two-words=1",
];

/// A workspace of `old` and `new`, which print every key in the old and the new syntax, and of one
/// dependent of each, whose script prints what it is told of it.
fn with_every_key() -> Project {
    let packages = ["old", "new", "after_old", "after_new"].map(str::to_owned);
    let project = workspace(&packages);
    for package in &packages {
        let (kind, dependencies) = match package.strip_prefix("after_") {
            Some(other) => ("", format!("{other} = {{ path = \"../{other}\" }}\n")),
            None => ("[lib]\ncrate-type = [\"rlib\", \"cdylib\"]\n", String::new()),
        };
        let manifest = format!(
            "[package]\nname = {package:?}\nversion = \"0.1.0\"\nedition = \"2024\"\n\
             links = {package:?}\n{kind}[dependencies]\n{dependencies}"
        );
        project.write(&format!("{package}/Cargo.toml"), &manifest);
        project.write(&format!("{package}/src/lib.rs"), "");
    }
    for (package, colons, metadata) in [("old", "cargo:", ""), ("new", "cargo::", "metadata=")] {
        let lines: Vec<String> = INSTRUCTIONS
            .iter()
            .map(|line| line.replacen("METADATA_", metadata, 1).replacen("PACKAGE", package, 1))
            .map(|line| format!("{colons}{line}\n"))
            .collect();
        let script = "fn main() {\n    \
                          let out = std::env::var(\"OUT_DIR\").unwrap();\n    \
                          print!(\"{}\", include_str!(\"lines\").replace(\"OUT_DIR\", &out));\n\
                      }\n";
        project.write(&format!("{package}/build.rs"), script);
        project.write(&format!("{package}/lines"), &lines.concat());
        let main = "#[cfg(all(first, second = \"with a value\"))]\n\
                    fn main() { println!(\"{}|{}\", env!(\"FIRST\"), env!(\"SECOND\")); }\n";
        project.write(&format!("{package}/src/bin/{package}_bin.rs"), main);
        project.write(&format!("{package}/tests/{package}_test.rs"), "");
        project.write(&format!("{package}/examples/{package}_example.rs"), "fn main() {}");
        project.write(&format!("{package}/benches/{package}_bench.rs"), "");
        let script = "fn main() {\n    \
                          for (name, value) in std::env::vars().filter(|(name, _)| name.starts_with(\"DEP_\")) {\n        \
                              println!(\"{name}={value}\");\n    \
                          }\n\
                      }\n";
        project.write(&format!("after_{package}/build.rs"), script);
    }
    project
}

/// The commands that Cargo says it runs, without our wrapper and without hashes, sorted.
fn commands(output: &Output) -> Vec<String> {
    let text = stderr(output);
    let mut commands: Vec<String> = text
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("Running `"))
        .map(|command| match command.find("rustc --crate-name") {
            Some(start) => without_hashes(&command[start..]),
            None => without_hashes(command),
        })
        .collect();
    commands.sort();
    commands
}

/// The file `name` that Cargo keeps of each script's run, by package.
fn kept(project: &Project, name: &str) -> BTreeMap<String, Vec<u8>> {
    let mut kept = BTreeMap::new();
    for path in project.files_named("target", name) {
        let unit = path.parent().unwrap().file_name().unwrap().to_str().unwrap();
        let package = unit.rsplit_once('-').unwrap().0.to_owned();
        assert!(kept.insert(package, fs::read(path).unwrap()).is_none());
    }
    kept
}

#[test]
fn every_key_in_either_syntax_has_its_effect() {
    let project = with_every_key();
    let arguments = ["build", "--all-targets", "-v", "--message-format=json"];
    let mut seen = Vec::new();
    for jailed in [false, true] {
        let command = |arguments: &[&str]| {
            if jailed { project.brig(arguments) } else { project.cargo(arguments) }
        };
        project.write("old/watched", "");
        project.write("new/watched", "");
        let output = succeed(&mut command(&arguments));
        let text = stderr(&output);
        for package in ["old", "new"] {
            let warning = format!("warning: {package}@0.1.0: a warning\n");
            assert_eq!(text.matches(&warning).count(), 1, "{text}");
        }
        let told: BTreeMap<String, String> = kept(&project, "output")
            .into_iter()
            .filter(|(package, _)| package.starts_with("after_"))
            .map(|(package, lines)| (package, without_hashes(str::from_utf8(&lines).unwrap())))
            .collect();
        assert_eq!(told.len(), 2);
        assert!(told["after_new"].contains("DEP_NEW_TWO_WORDS=1\n"), "{told:?}");
        let ran = stdout(&succeed(&mut command(&["run", "-q", "-p", "new"])));
        assert_eq!(ran, "a=b c|é $HOME\n");

        // Nothing else than what the script named makes it run again.
        let again = succeed(&mut command(&arguments));
        let mut dirty = vec![dirty(&again)];
        project.write("old/unwatched", "");
        dirty.push(self::dirty(&succeed(&mut command(&arguments))));
        assert_eq!(dirty, [[""; 0]; 2], "{}", shown(&again));
        dirty.push(self::dirty(&succeed(command(&arguments).env("WATCHED", "1"))));
        assert_eq!(dirty[2].len(), 2, "{dirty:?}");
        let file = fs::File::options().write(true).open(project.root.join("old/watched")).unwrap();
        let later = std::time::SystemTime::now() + std::time::Duration::from_secs(10);
        file.set_modified(later).unwrap();
        dirty.push(self::dirty(&succeed(command(&arguments).env("WATCHED", "1"))));
        assert_eq!(dirty[3].len(), 1, "{dirty:?}");

        seen.push((executed(&output), commands(&output), told, dirty));
        remove_target(&project);
    }
    assert_eq!(seen[0].0, seen[1].0);
    assert_eq!(seen[0].1, seen[1].1);
    assert_eq!(seen[0].2, seen[1].2);
    assert_eq!(seen[0].3, seen[1].3);
    // The comparison would be worth nothing if the instructions were not there.
    let of_rustc: Vec<&String> =
        seen[0].1.iter().filter(|command| command.starts_with("rustc ")).collect();
    for instruction in INSTRUCTIONS.iter().filter(|line| line.contains("-Wl,")) {
        let argument = instruction.rsplit_once('=').unwrap();
        let argument = argument.1.split("-Wl").last().unwrap();
        let given = of_rustc.iter().filter(|command| command.contains(argument)).count();
        assert!(given >= 2, "{instruction}: {of_rustc:#?}");
    }
}

/// Why Cargo ran scripts again: what it says of each, without times.
fn dirty(output: &Output) -> Vec<String> {
    let text = stderr(output);
    let mut lines: Vec<String> = text
        .lines()
        .filter(|line| line.trim_start().starts_with("Dirty"))
        .filter(|line| line.contains("WATCHED") || line.contains("watched"))
        .map(|line| line.split(" has changed (").next().unwrap().to_owned())
        .collect();
    lines.sort();
    lines.dedup();
    lines
}

#[test]
fn plain_lines_their_order_and_standard_error_stay_byte_for_byte() {
    let script = r#"
use std::io::Write;
fn main() {
    // All but what begins an escape sequence; those that set colors pass as well.
    let all = (0..=255).chain([b'\n']).chain((0..=255).rev()).filter(|byte| *byte != 0x1b);
    let all: Vec<u8> = all.chain(*b"\x1b[1;31mred\x1b[m").collect();
    std::io::stderr().write_all(&all).unwrap();
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(b"first\ncargo::rustc-cfg=one\n\n  second \t\r\n").unwrap();
    stdout.write_all(&all).unwrap();
    stdout.write_all(b"\ncargo:rustc-env=A=b\ncargo\ncarg\xff\n\xc3cargo::rustc-cfg=no\n").unwrap();
    stdout.write_all(&[b"x".repeat(300_000), b"\ncargo::rustc-cfg=two\nthe last".to_vec()].concat()).unwrap();
}
"#;
    let project = Project::with_script("streams", script);
    let of_both = |project: &Project| (kept(project, "output"), kept(project, "stderr"));
    let output = succeed(&mut project.cargo(&["check", "--message-format=json"]));
    let (plain, plain_executed) = (of_both(&project), executed(&output));
    remove_target(&project);
    let output = succeed(&mut project.brig(&["check", "--message-format=json"]));
    assert_eq!(plain.1["streams"].len(), 524);
    assert!(
        of_both(&project) == plain,
        "{:?}",
        String::from_utf8_lossy(&kept(&project, "output")["streams"])
    );
    assert_eq!(executed(&output), plain_executed);
}

#[test]
fn the_exit_is_the_scripts_exit() {
    let ways = [
        "code_0",
        "code_1",
        "code_101",
        "code_255",
        "signal_6",
        "signal_9",
        "signal_8",
        "signal_15",
    ];
    let project = workspace(&ways.map(str::to_owned));
    for way in ways {
        let manifest =
            format!("[package]\nname = {way:?}\nversion = \"0.1.0\"\nedition = \"2024\"\n");
        project.write(&format!("{way}/Cargo.toml"), &manifest);
        project.write(&format!("{way}/src/lib.rs"), "");
        let (kind, number) = way.split_once('_').unwrap();
        let end = match kind {
            "signal" => format!("unsafe {{ raise({number}) }};"),
            _ => format!("std::process::exit({number});"),
        };
        let script = format!(
            "unsafe extern \"C\" {{ fn raise(signal: i32) -> i32; }}\nfn main() {{ {end} }}\n"
        );
        project.write(&format!("{way}/build.rs"), &script);
    }
    let ends = |output: &Output| -> Vec<String> {
        let text = stderr(output);
        let mut ends: Vec<String> = text
            .lines()
            .filter_map(|line| line.trim_start().strip_prefix("process didn't exit successfully: "))
            .map(without_hashes)
            .collect();
        ends.sort();
        ends
    };
    let plain = fail(&mut project.cargo(&["check", "--keep-going"]));
    remove_target(&project);
    let jailed = fail(&mut project.brig(&["check", "--keep-going"]));
    assert_eq!(ends(&jailed), ends(&plain));
    assert_eq!(ends(&plain).len(), ways.len() - 1);
    assert_eq!(ends(&plain).iter().filter(|end| end.contains("(signal: ")).count(), 4);
    assert_eq!(plain.status.code(), jailed.status.code());
}

#[test]
fn what_is_not_relayed_fails_the_build_and_names_package_and_instruction() {
    let project = workspace(&["invalid".to_owned(), "withheld".to_owned()]);
    let lines = [
        ("invalid", "  cargo::bogus=1", "cargo::bogus=1", "unknown key \"bogus\""),
        ("withheld", "\tcargo:rustc-env=PATH=/x", "cargo:rustc-env=PATH=/x", "the variable steers"),
    ];
    for (package, line, _, _) in lines {
        let manifest =
            format!("[package]\nname = {package:?}\nversion = \"0.1.0\"\nedition = \"2024\"\n");
        project.write(&format!("{package}/Cargo.toml"), &manifest);
        project.write(&format!("{package}/src/lib.rs"), "");
        let script =
            format!("fn main() {{ println!(\"cargo::rustc-cfg=x\"); println!({line:?}); }}\n");
        project.write(&format!("{package}/build.rs"), &script);
    }
    let output = fail(&mut project.brig(&["check", "--keep-going", "--message-format=json"]));
    assert_eq!(output.status.code(), Some(101));
    assert_eq!(executed(&output), BTreeMap::new());
    let text = stderr(&output);
    assert_eq!(text.matches("(exit status: 124)").count(), 2, "{text}");
    for (package, _, instruction, reason) in lines {
        let sentence = format!(
            "the build script of `{package} v0.1.0` printed `{instruction}`, which is withheld: {reason}"
        );
        // Once where Cargo reports the failure, once in the summary.
        assert!(text.contains(&format!("  brig: {sentence}")), "{text}");
        assert!(text.contains(&format!("warning: {sentence}")), "{text}");
    }
    assert_eq!(project.records().len(), 2);
}

/// Compiles a script in C, which prints fast, and returns the command that runs it in the jail.
fn printer(project: &Project, main: &str) -> Command {
    let source = format!(
        "#define _GNU_SOURCE\n#include <stdio.h>\n#include <string.h>\n#include <unistd.h>\n\
         int main(void) {{\n{main}\n  return 0;\n}}\n"
    );
    let source = project.write("print.c", &source);
    let program = project.root.join("print");
    succeed(clean_command("cc").args(["-O1", "-o"]).arg(&program).arg(source));
    let out_dir = project.root.join("unit/out");
    fs::create_dir_all(&out_dir).unwrap();
    let mut command = clean_command(TOOL);
    command.args(["exec", "--"]).arg(&program).env("OUT_DIR", out_dir);
    command.env("CARGO_MANIFEST_DIR", &project.root).current_dir(&project.root);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The most memory that a process has had, in KiB (`VmHWM`, proc(5)).
fn peak_memory(child: &Child) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse().unwrap()
}

/// A supervisor must not keep what it relays.
const MOST_MEMORY: u64 = 32 * 1024;

/// Reads `length` bytes of the supervisor's output, in which `unit` comes again and again, and
/// returns its peak memory at a moment when it has more to write than a pipe takes.
fn read_repeated(mut child: Child, unit: &[u8], length: u64) -> (u64, Output) {
    const REST: u64 = 1024 * 1024;
    let mut errors = child.stderr.take().unwrap();
    let errors = thread::spawn(move || {
        let mut bytes = Vec::new();
        errors.read_to_end(&mut bytes).unwrap();
        bytes
    });
    let mut pipe = child.stdout.take().unwrap();
    let pattern: Vec<u8> = unit.iter().copied().cycle().take(unit.len() * 64 * 1024).collect();
    let mut buffer = vec![0; 64 * 1024];
    let (mut at, mut memory) = (0_u64, 0);
    loop {
        let count = pipe.read(&mut buffer).unwrap();
        if count == 0 {
            break;
        }
        let start = usize::try_from(at % unit.len() as u64).unwrap();
        let expected = &pattern[start..];
        let shared = count.min(usize::try_from(length.saturating_sub(at)).unwrap());
        assert!(buffer[..shared] == expected[..shared], "wrong at {at}");
        at += count as u64;
        if memory == 0 && at + REST >= length {
            memory = peak_memory(&child);
        }
        if at > length {
            let mut stdout = buffer[shared..count].to_vec();
            pipe.read_to_end(&mut stdout).unwrap();
            return (memory, end(child, stdout, errors));
        }
    }
    let output = end(child, Vec::new(), errors);
    assert_eq!(at, length, "{}", shown(&output));
    (memory, output)
}

fn end(mut child: Child, stdout: Vec<u8>, errors: JoinHandle<Vec<u8>>) -> Output {
    Output { status: child.wait().unwrap(), stdout, stderr: errors.join().unwrap() }
}

#[test]
fn a_line_of_100_mib_takes_little_memory() {
    const LENGTH: u64 = 100 * 1024 * 1024;
    let project = Project::with_script("long_line", "fn main() {}");
    let main = format!(
        "  static char piece[1 << 20];\n  memset(piece, 'x', sizeof piece);\n  \
         for (int i = 0; i < {}; i++) fwrite(piece, 1, sizeof piece, stdout);\n  \
         puts(\"\\n cargo:rustc-cfg=end\");",
        LENGTH >> 20
    );
    let mut command = printer(&project, &main);
    let (memory, output) = read_repeated(command.spawn().unwrap(), b"x", LENGTH);
    assert!(output.status.success(), "{}", shown(&output));
    assert_eq!(stdout(&output), "\ncargo:rustc-cfg=end\n");
    assert!(memory < MOST_MEMORY, "{memory} KiB");
}

#[test]
fn ten_million_short_lines_take_little_memory() {
    const COUNT: u64 = 10_000_000;
    let project = Project::with_script("short_lines", "fn main() {}");
    let main = format!("  for (int i = 0; i < {COUNT}; i++) fputs(\"ab\\n\", stdout);");
    let mut command = printer(&project, &main);
    let (memory, output) = read_repeated(command.spawn().unwrap(), b"ab\n", COUNT * 3);
    assert!(output.status.success(), "{}", shown(&output));
    assert!(memory < MOST_MEMORY, "{memory} KiB");
}

#[test]
fn a_million_instructions_take_little_memory() {
    const COUNT: u64 = 1_000_000;
    let project = Project::with_script("instructions", "fn main() {}");
    let line = "cargo:rustc-cfg=a\n";
    let main = format!("  for (int i = 0; i < {COUNT}; i++) fputs({line:?}, stdout);");
    let mut command = printer(&project, &main);
    let length = COUNT * line.len() as u64;
    let (memory, output) = read_repeated(command.spawn().unwrap(), line.as_bytes(), length);
    assert!(output.status.success(), "{}", shown(&output));
    assert!(memory < MOST_MEMORY, "{memory} KiB");
    let record = project.root.join("unit/brig.json");
    let size = fs::metadata(record).unwrap().len();
    assert!(size < 4 * 1024 * 1024, "the record has {size} bytes");
}

#[test]
fn both_streams_at_once_do_not_block_each_other() {
    const MEBIBYTES: u64 = 32;
    let project = Project::with_script("both_streams", "fn main() {}");
    // Each write is more than a pipe takes, so each waits for its reader.
    let main = format!(
        "  static char piece[1 << 20];\n  memset(piece, 'x', sizeof piece);\n  \
         for (int i = 0; i < {MEBIBYTES}; i++)\n    \
         for (int fd = 1; fd <= 2; fd++)\n      \
         for (size_t at = 0; at < sizeof piece;) at += write(fd, piece + at, sizeof piece - at);"
    );
    let mut command = printer(&project, &main);
    let (memory, output) = read_repeated(command.spawn().unwrap(), b"x", MEBIBYTES << 20);
    assert!(output.status.success());
    assert!(output.stderr == vec![b'x'; usize::try_from(MEBIBYTES << 20).unwrap()]);
    assert!(memory < MOST_MEMORY, "{memory} KiB");
}

#[test]
fn an_endless_instruction_ends_the_script() {
    let project = Project::with_script("endless", "fn main() {}");
    let main = "  fputs(\"cargo::rustc-cfg=\", stdout);\n  for (;;) putchar('x');";
    let mut command = printer(&project, main);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(125), "{}", shown(&output));
    assert_eq!(stdout(&output), "");
    assert!(
        stderr(&output).contains("an instruction of more than 1048576 bytes"),
        "{}",
        shown(&output)
    );
    assert!(!project.root.join("unit/brig.json").exists());
}
