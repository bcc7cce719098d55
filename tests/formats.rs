//! The formats of an audit's report: what each makes of a report whose texts try to break out of it.
//!
//! What each writes is compared with a file in `tests/formats`, which `BLESS=1` writes anew, and read
//! by something that knows the format and not this program.

#[path = "support/hostile.rs"]
mod hostile;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use cargo_brig::audit::formats::Format;
use cargo_brig::audit::report::{Report, Verdict};
use hostile::hostile;
use serde_json::Value;

fn written(format: Format, report: &Report) -> String {
    let mut text = Vec::new();
    format.write(report, &mut text).unwrap();
    String::from_utf8(text).unwrap()
}

/// What a format makes of the hostile report, which is what it made of it before.
fn golden(format: Format, file: &str) -> String {
    let text = written(format, &hostile::report());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/formats").join(file);
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, &text).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap();
    assert!(text == expected, "{file} is not what is written; BLESS=1 writes it anew");
    // Line feeds are the format's own.
    let steers = |letter: char| letter != '\n' && letter.is_control();
    assert_eq!(text.find(steers), None, "{file}");
    text
}

fn schema(file: &str) -> jsonschema::Validator {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/schemas").join(file);
    let schema = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    jsonschema::options().should_validate_formats(true).build(&schema).unwrap()
}

fn assert_valid(schema: &jsonschema::Validator, value: &Value) {
    let errors: Vec<String> = schema
        .iter_errors(value)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{errors:#?}");
}

/// A text as it is shown: it cannot steer, and looks the same where it can be read.
fn shown(text: &str) -> String {
    cargo_brig::access::printable(text)
}

#[test]
fn sarif_is_valid_and_points_at_lines() {
    let log: Value = serde_json::from_str(&golden(Format::Sarif, "audit.sarif")).unwrap();
    let schema = schema("sarif-2.1.0.json");
    assert_valid(&schema, &log);
    let mut broken = log.clone();
    broken["runs"][0]["results"][0]["level"] = "fatal".into();
    assert!(!schema.is_valid(&broken), "the schema says nothing");

    let run = &log["runs"][0];
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    let results = run["results"].as_array().unwrap();
    let mut fingerprints = BTreeSet::new();
    for result in results {
        let rule = &rules[usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap()];
        assert_eq!(rule["id"], result["ruleId"]);
        let fingerprint = result["partialFingerprints"]["cargoBrig/v1"].as_str().unwrap();
        assert!(fingerprints.insert(fingerprint), "twice: {result}");
        let message = result["message"]["text"].as_str().unwrap();
        assert!(!message.contains("](") && !message.replace("{{", "").contains('{'), "{message}");
        let place = &result["locations"][0]["physicalLocation"];
        let uri = place["artifactLocation"]["uri"].as_str().unwrap();
        assert!(!uri.contains(|letter: char| !letter.is_ascii_graphic() || letter == ':'), "{uri}");
        assert_eq!(place["artifactLocation"]["uriBaseId"], "%SRCROOT%");
    }
    assert_eq!(run["originalUriBaseIds"]["%SRCROOT%"]["uri"], "file:///work%20spac%C3%A9/");
    let of = |rule: &str| {
        let mut found = results.iter().filter(|result| result["ruleId"] == rule);
        let result = found.next().unwrap_or_else(|| panic!("no result of {rule}"));
        result.clone()
    };
    let level = |rule: &str| of(rule)["level"].as_str().unwrap().to_owned();
    for rule in ["unjailed", "failed", "unjudged", "replaced", "new-package", "unapproved-reads"] {
        assert_eq!(level(rule), "error");
    }
    assert_eq!((level("denied"), level("new-version")), ("error".to_owned(), "note".to_owned()));
    // Each code of a finding once, and what one result tells no other does.
    assert_eq!(results.iter().filter(|result| result["ruleId"] == "finding").count(), 2);
    assert!(results.iter().all(|result| result["ruleId"] != "violated"));
    let place = &of("unjailed")["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], "Cargo.lock");
    assert_eq!(place["region"]["startLine"], 12);
    let other = &of("denied")["relatedLocations"][0]["physicalLocation"];
    assert!(other["artifactLocation"]["uri"].as_str().unwrap().starts_with("file:///manifest%20"));
    assert_eq!(other["region"]["startLine"], 7);
    let nowhere = &of("unjudged")["locations"][0]["physicalLocation"];
    assert_eq!(nowhere["artifactLocation"]["uri"], "Cargo.lock");
    assert_eq!(nowhere["region"], Value::Null);
    let remark = &run["invocations"][0]["toolExecutionNotifications"][0]["message"]["text"];
    let said = remark.as_str().unwrap().replace("{{", "{").replace("}}", "}");
    assert_eq!(said.replace("]\\(", "]("), shown(&hostile("remark")));
}

#[test]
fn fingerprints_depend_on_no_path_and_no_time() {
    fn fingerprints(report: &Report) -> Vec<Value> {
        let log: Value = serde_json::from_str(&written(Format::Sarif, report)).unwrap();
        let results = log["runs"][0]["results"].as_array().unwrap();
        results.iter().map(|result| result["partialFingerprints"].clone()).collect()
    }
    let report = hostile::report();
    let mut later = report.clone();
    later.started += 1000;
    later.workspace.root = "/elsewhere".to_owned();
    for package in &mut later.packages {
        package.lock = None;
        package.denials.reverse();
        for run in &mut package.runs {
            run.record = format!("/elsewhere{}", run.record);
            run.started += 1000;
        }
        for change in &mut package.added {
            change.by = None;
        }
    }
    assert_eq!(fingerprints(&later), fingerprints(&report));
    later.packages[0].added.last_mut().unwrap().value.push('x');
    assert_ne!(fingerprints(&later), fingerprints(&report));
}

#[test]
fn an_approved_package_fails_nothing() {
    let mut report = hostile::report();
    report.packages.truncate(1);
    report.packages[0].verdict = Verdict::Unchanged;
    for finding in &mut report.packages[0].findings {
        finding.fatal = false;
    }
    let log: Value = serde_json::from_str(&written(Format::Sarif, &report)).unwrap();
    let results = log["runs"][0]["results"].as_array().unwrap();
    assert_eq!(results.len(), 3);
    assert!(results.iter().all(|result| result["level"] == "note"));
}

/// The text of an element and of all below it.
fn text_of(node: roxmltree::Node<'_, '_>) -> String {
    node.descendants().filter(roxmltree::Node::is_text).filter_map(|node| node.text()).collect()
}

/// A text as it is shown in XML, which not every character can be in.
fn xml(text: &str) -> String {
    shown(text).replace('\u{fffe}', "\\u{fffe}")
}

#[test]
fn junit_has_a_test_case_for_each_package() {
    let text = golden(Format::Junit, "audit.xml");
    let document = roxmltree::Document::parse(&text).unwrap();
    let suite = document.root_element().first_element_child().unwrap();
    let cases: Vec<_> = suite.children().filter(|child| child.has_tag_name("testcase")).collect();
    let packages = hostile::report().packages;
    assert_eq!(cases.len(), packages.len());
    let mut counts =
        [("failure", "failures", 0), ("error", "errors", 0), ("skipped", "skipped", 0)];
    for (case, package) in cases.iter().zip(&packages) {
        assert_eq!(case.attribute("name").unwrap(), xml(&package.title()));
        assert_eq!(case.attribute("classname").unwrap(), xml(&package.name));
        let children: Vec<&str> = case
            .children()
            .filter(roxmltree::Node::is_element)
            .map(|child| child.tag_name().name())
            .collect();
        let expected: &[&str] = match package.verdict {
            Verdict::Violated
            | Verdict::Unjailed
            | Verdict::NewPackage
            | Verdict::Changed
            | Verdict::Replaced => &["failure"],
            Verdict::Unjudged | Verdict::Failed => &["error"],
            Verdict::Overridden => &["skipped"],
            // They have nothing to say but what brings them in.
            Verdict::Unchanged | Verdict::NewVersion => &["system-out"],
        };
        assert_eq!(children, expected, "{:?}", package.verdict);
        for (name, _, count) in &mut counts {
            *count += u32::from(expected.contains(name));
        }
    }
    assert_eq!(suite.attribute("tests"), Some("10"));
    for (_, attribute, count) in counts {
        assert_eq!(suite.attribute(attribute), Some(count.to_string().as_str()), "{attribute}");
    }
    let failure = cases[0].first_element_child().unwrap();
    let said = text_of(failure);
    for place in ["finding", "denial", "rule", "denied", "gone", "change-program"] {
        let beginning: String = xml(&hostile(place)).chars().take(60).collect();
        assert!(said.contains(&beginning), "{place} is not in {said}");
    }
    assert!(failure.attribute("message").unwrap().contains(&xml(&hostile("Violated-reason"))));
    assert_eq!(text_of(suite.last_element_child().unwrap()).lines().count(), 2);
}

/// A command as the runner reads a line (actions/runner, `ActionCommand.TryParseV2`).
struct Command {
    name: String,
    properties: Vec<(String, String)>,
    text: String,
}

fn command(line: &str) -> Command {
    let (head, text) = line.strip_prefix("::").unwrap().split_once("::").unwrap();
    let (name, properties) = head.split_once(' ').unwrap();
    let data = |text: &str| text.replace("%0D", "\r").replace("%0A", "\n").replace("%25", "%");
    let property = |text: &str| {
        let text = text.replace("%0D", "\r").replace("%0A", "\n").replace("%3A", ":");
        text.replace("%2C", ",").replace("%25", "%")
    };
    let properties = properties.split(',').map(|pair| {
        let (key, value) = pair.split_once('=').unwrap();
        (key.to_owned(), property(value))
    });
    Command { name: name.to_owned(), properties: properties.collect(), text: data(text) }
}

#[test]
fn github_gets_one_command_a_package_and_none_of_a_script() {
    let text = golden(Format::Github, "audit.github.txt");
    let commands: Vec<Command> = text.lines().map(command).collect();
    assert_eq!(text.matches('\n').count(), commands.len());
    // All but the unchanged one, the remark and the departed one.
    assert_eq!(commands.len(), hostile::report().packages.len() - 1 + 2);
    let names: Vec<&str> = commands.iter().map(|command| command.name.as_str()).collect();
    let expected = [vec!["error"; 7], vec!["notice"; 2], vec!["warning", "notice"]].concat();
    assert_eq!(names, expected);
    for command in &commands {
        let keys: Vec<&str> = command.properties.iter().map(|(key, _)| key.as_str()).collect();
        assert!(keys == ["title"] || keys == ["file", "line", "title"], "{keys:?}");
        assert!(!command.text.contains('\r'));
        let forged = command.text.lines().find(|line| line.trim_start().starts_with("::"));
        assert_eq!(forged, None);
    }
    assert!(commands[0].text.starts_with("not in the jail: Unjailed-reason"));
    assert_eq!(
        commands[0].properties[..2],
        [("file", "/work spacé/Cargo.lock"), ("line", "12")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
    );
    let worst = &commands[1];
    let file = shown(&format!("/work spacé/{}", hostile("lock")));
    assert_eq!(worst.properties[0], ("file".to_owned(), file));
    assert!(worst.text.contains(&shown(&hostile("denial"))));
    assert!(worst.text.lines().nth(1).unwrap().starts_with("by way of "));
    assert_eq!(commands[commands.len() - 2].text, shown(&hostile("remark")));
}

#[test]
fn in_toto_is_a_statement_about_the_records() {
    let text = golden(Format::InToto, "audit.intoto.json");
    let statement: Value = serde_json::from_str(&text).unwrap();
    let schema = schema("in-toto-runtime-trace-0.1.json");
    assert_valid(&schema, &statement);
    let mut broken = statement.clone();
    broken["subject"][0].as_object_mut().unwrap().remove("digest");
    assert!(!schema.is_valid(&broken), "the schema says nothing");

    let report = hostile::report();
    let subjects = statement["subject"].as_array().unwrap();
    let names: BTreeSet<&str> =
        subjects.iter().map(|subject| subject["name"].as_str().unwrap()).collect();
    assert_eq!(names.len(), subjects.len(), "two subjects of one name");
    let digest = |subject: &Value| subject["digest"]["sha256"].as_str().unwrap().to_owned();
    let digests: Vec<String> = subjects.iter().map(digest).collect();
    let runs = report.packages.iter().flat_map(|package| &package.runs);
    let expected: Vec<String> = std::iter::once(report.workspace.lock_sha256.clone().unwrap())
        .chain(runs.flat_map(|run| {
            let outputs = run.outputs.iter().filter_map(|output| output.sha256.clone());
            std::iter::once(run.record_sha256.clone()).chain(outputs)
        }))
        .collect();
    assert_eq!(digests, expected);
    let predicate = &statement["predicate"];
    assert_eq!(predicate["monitor"]["type"], "pkg:cargo/cargo-brig@0.1.0");
    assert_eq!(predicate["monitoredProcess"]["event"], format!("cargo build {}", hostile("word")));
    assert_eq!(predicate["metadata"]["buildStartedOn"], "2026-07-01T12:00:00Z");
    let audited = &predicate["metadata"]["cargoBrigAudit"]["packages"];
    assert_eq!(audited.as_array().unwrap().len(), report.packages.len());
    assert_eq!(audited[0]["denials"][0]["message"], hostile("denial"));
    assert_eq!(audited[0]["behaviour"]["reads"][0], hostile("reads"));
    let log = &predicate["monitorLog"];
    assert_eq!(log["network"][0]["attempt"], hostile("network"));
    let processes = log["process"].as_array().unwrap();
    let told = |process: &Value| process["processBinary"] == hostile("process-2-program");
    let process = processes.iter().find(|process| told(process)).unwrap();
    assert_eq!((&process["id"], &process["parent"]), (&2.into(), &1.into()));
    assert_eq!(process["arguments"][1], hostile("process-2-argument"));
    assert!(
        names
            .contains(format!("{}/out/{}", report.packages[0].title(), hostile("output")).as_str())
    );

    let mut nothing = report;
    nothing.packages.clear();
    nothing.workspace.lock_sha256 = None;
    let error = Format::InToto.write(&nothing, &mut Vec::new()).unwrap_err();
    assert!(error.to_string().starts_with("there is nothing to attest to"), "{error}");
}

/// Every tag of a page but for what is within `style` and `script`: its name, and its attributes' names.
fn tags(page: &str) -> Vec<(String, Vec<String>)> {
    let (mut tags, mut rest) = (Vec::new(), page);
    while let Some((_, from)) = rest.split_once('<') {
        let (tag, after) = from.split_once('>').unwrap();
        // Outside of quotes there are names alone.
        let bare: String = tag.split('"').step_by(2).collect();
        let mut words = bare.split_ascii_whitespace();
        let name = words.next().unwrap().to_owned();
        let skipped = ["style", "script"].contains(&name.as_str());
        rest = if skipped { after.split_once(&format!("</{name}>")).unwrap().1 } else { after };
        tags.push((name, words.map(|word| word.trim_end_matches('=').to_owned()).collect()));
    }
    tags
}

#[test]
fn html_has_no_markup_but_its_own() {
    let page = golden(Format::Html, "audit.html");
    let tags = tags(&page);
    for (name, attributes) in &tags {
        let is_known = [
            "!DOCTYPE", "html", "head", "meta", "title", "style", "script", "body", "a", "header",
            "h1", "h2", "h3", "h4", "span", "dl", "dt", "dd", "code", "ul", "ol", "li", "section",
            "main", "div", "input", "label", "button", "details", "summary", "b", "p", "table",
            "thead", "tbody", "tr", "th", "td", "svg", "rect",
        ]
        .contains(&name.trim_start_matches('/'));
        assert!(is_known, "<{name}>");
        for attribute in attributes {
            let is_known = [
                "html",
                "lang",
                "charset",
                "http-equiv",
                "content",
                "name",
                "class",
                "href",
                "id",
                "role",
                "hidden",
                "type",
                "aria-label",
                "placeholder",
                "checked",
                "data-outcome",
                "data-denials",
                "viewBox",
                "preserveAspectRatio",
                "x",
                "width",
                "height",
            ]
            .contains(&attribute.as_str());
            assert!(is_known, "<{name} {attribute}>");
        }
    }
    let count = |wanted: &str| tags.iter().filter(|(name, _)| name == wanted).count();
    let packages = hostile::report().packages;
    assert_eq!((count("script"), count("style")), (1, 1));
    // And two runs' outputs.
    assert_eq!(count("details"), packages.len() + 2);
    assert_eq!(count("rect"), 3);
    assert!(!page.contains("document.title='"), "a quote is not escaped");
    let html = |text: &str| {
        let text = shown(text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        text.replace('"', "&quot;").replace('\'', "&#39;").replace('`', "&#96;")
    };
    for place in [
        "name",
        "version",
        "source",
        "checksum",
        "approved",
        "reads",
        "gone",
        "denial",
        "rule",
        "finding",
        "code",
        "target",
        "/record",
        "way",
        "lock",
        "/manifest",
        "word",
        "policy",
        "document",
        "remark",
        "departed",
        "Violated-reason",
        "change-program",
        "denial-program",
        "process-0-program",
        "output",
        "link",
    ] {
        let expected = html(&hostile(place));
        let is_command = place.ends_with("-program");
        let beginning: String =
            expected.chars().take(if is_command { 60 } else { usize::MAX }).collect();
        assert!(page.contains(&beginning), "{place} is not there as {beginning}");
    }
    assert!(page.contains("default-src 'none'; style-src 'sha256-"), "no policy");
    let position = |text: &str| page.find(text).unwrap_or_else(|| panic!("{text} is not there"));
    assert!(position("<h2>Denied (2)</h2>") < position("<h2>Packages (10)</h2>"));
    assert!(position("<b>Unjailed v1.2.3</b>") < position("<b>Changed v1.2.3</b>"));
    assert!(position("<b>Changed v1.2.3</b>") < position("<b>Unchanged v1.2.3</b>"));
}
