//! An audit's report whose every text tries to break out of the format that it is written in.

use std::collections::BTreeSet;

use cargo_brig::audit::behaviour::{Aspect, Behaviour};
use cargo_brig::audit::report::{
    Actor, Change, Denial, Document, Finding, Gone, Location, Outcome, Package, Policy, Report,
    SCHEMA, Verdict, Workspace,
};
use cargo_brig::audit::run::{Output, Process, Run};
use cargo_brig::process::Exit;

/// Ends lines, strings, attributes, elements, comments, scripts, CDATA sections and workflow commands;
/// begins links, placeholders and escape sequences; and is no XML at all.
pub(crate) const HOSTILE: &str = "é漢\n::error::x\r\n%0A::warning file=a,line=1::x%0D##[error]x\u{1b}[2J\0\u{85}\
    \u{202e}\u{fffe}\u{2028}\u{9b}]]>--></textarea></title></style></script><script>document.title='broken'\
    </script><img src=x onerror=\"document.title='broken'\">\" onfocus=\"document.title='broken'\" autofocus \
    ' `a` \\ & &lt; {0} {home} ${{ x }} [a](https://example.org)\\](1), a:b";

/// A text of its own for each place, so that a reader can find it again.
pub(crate) fn hostile(place: &str) -> String {
    format!("{place} {HOSTILE}")
}

fn actor(place: &str) -> Actor {
    Actor {
        program: hostile(&format!("{place}-program")),
        arguments: vec!["cc".to_owned(), hostile(&format!("{place}-argument"))],
        process: 7,
        run: 0,
    }
}

fn package(verdict: Verdict) -> Package {
    let name = format!("{verdict:?}");
    Package {
        version: "1.2.3".to_owned(),
        source: Some("registry+https://github.com/rust-lang/crates.io-index".to_owned()),
        checksum: Some("c0".repeat(32)),
        reason: Some(hostile(&format!("{name}-reason"))),
        approved_version: None,
        behaviour: Behaviour::default(),
        added: Vec::new(),
        gone: Vec::new(),
        denials: Vec::new(),
        findings: Vec::new(),
        runs: vec![Run {
            record: format!("/work spacé/target/debug/build/{name}-0123456789abcdef/brig.json"),
            record_sha256: "ab".repeat(32),
            started: 1_782_907_205,
            ran_now: false,
            target: Some("x86_64-unknown-linux-gnu".to_owned()),
            exit: Exit::Code(0),
            wall_us: 1_500_000,
            processes: Vec::new(),
            processes_dropped: 0,
            outputs: Vec::new(),
            outputs_dropped: 0,
        }],
        lock: Some(Location { file: "Cargo.lock".to_owned(), line: 12 }),
        manifest: None,
        path: vec!["app v0.1.0".to_owned(), format!("{name} v1.2.3")],
        name,
        verdict,
    }
}

/// One that begins another, that becomes no program, that nobody saw end.
fn processes() -> Vec<Process> {
    let process = |id: u32, parent: Option<u32>| Process {
        id,
        parent,
        program: Some(hostile(&format!("process-{id}-program"))),
        arguments: vec!["cc".to_owned(), hostile(&format!("process-{id}-argument"))],
        started_us: u64::from(id) * 250_000,
        wall_us: Some(500_000),
        exit: Some(Exit::Code(0)),
        cpu_us: Some(400_000),
        peak_rss_kib: Some(20_480),
    };
    let forked = Process { program: None, arguments: Vec::new(), ..process(1, Some(0)) };
    let unseen = Process { wall_us: None, exit: None, cpu_us: None, ..process(2, Some(1)) };
    vec![process(0, None), forked, unseen]
}

fn outputs() -> Vec<Output> {
    let output = |path: &str, size| Output {
        path: path.to_owned(),
        size,
        sha256: Some("67".repeat(32)),
        link: None,
    };
    let link = Some(hostile("link"));
    vec![
        output(&hostile("output"), 2048),
        Output { sha256: None, link, ..output("link", 0) },
        Output { sha256: None, ..output("large", 1 << 40) },
    ]
}

/// All that a package can have, each text hostile.
fn worst() -> Package {
    let mut behaviour = Behaviour::default();
    for aspect in Aspect::ALL {
        let values = [hostile(aspect.name()), format!("{{home}}/{aspect}")];
        *behaviour.of_mut(aspect) = BTreeSet::from(values);
    }
    let change = |(aspect, value): (Aspect, &str)| Change {
        aspect,
        value: value.to_owned(),
        by: Some(actor("change")),
    };
    let added = behaviour.values().map(change).collect();
    let finding = |code: String, fatal| Finding {
        code,
        message: hostile("finding"),
        fatal,
        by: Some(actor("finding")),
    };
    Package {
        name: hostile("name"),
        version: hostile("version"),
        source: Some(hostile("source")),
        checksum: Some(hostile("checksum")),
        approved_version: Some(hostile("approved")),
        added,
        behaviour,
        gone: vec![Gone { aspect: Aspect::Reads, value: hostile("gone") }],
        denials: vec![
            Denial {
                message: hostile("denial"),
                rule: Some(hostile("rule")),
                by: Some(actor("denial")),
            },
            Denial { message: "tried to list `/`".to_owned(), rule: None, by: None },
        ],
        findings: vec![
            finding("limit-memory".to_owned(), true),
            finding(hostile("code"), false),
            finding("limit-memory".to_owned(), false),
        ],
        runs: vec![
            Run {
                record: hostile("/record"),
                record_sha256: "cd".repeat(32),
                started: 1_782_907_201,
                ran_now: true,
                target: Some(hostile("target")),
                exit: Exit::Code(1),
                wall_us: 2_000_000,
                processes: processes(),
                processes_dropped: 3,
                outputs: outputs(),
                outputs_dropped: 2,
            },
            Run {
                record: hostile("/other-record"),
                record_sha256: "ef".repeat(32),
                started: 1_782_907_204,
                ran_now: false,
                target: None,
                exit: Exit::Signal(9),
                wall_us: 10,
                processes: Vec::new(),
                processes_dropped: 0,
                outputs: outputs(),
                outputs_dropped: 0,
            },
        ],
        lock: Some(Location { file: hostile("lock"), line: 3 }),
        manifest: Some(Location { file: hostile("/manifest"), line: 7 }),
        path: vec![hostile("way"), hostile("end")],
        ..package(Verdict::Violated)
    }
}

/// The worst package, and one of each verdict.
pub(crate) fn report() -> Report {
    let mut packages = vec![worst()];
    for verdict in [
        Verdict::Unchanged,
        Verdict::NewVersion,
        Verdict::Overridden,
        Verdict::Unjudged,
        Verdict::Failed,
        Verdict::NewPackage,
        Verdict::Changed,
        Verdict::Replaced,
        Verdict::Unjailed,
    ] {
        let mut package = package(verdict);
        let values = [(Aspect::Programs, "cc"), (Aspect::Reads, "{home}/a \"b\"")];
        for (aspect, value) in values {
            package.behaviour.of_mut(aspect).insert(value.to_owned());
            if matches!(verdict, Verdict::NewPackage | Verdict::Changed) {
                package.added.push(Change { aspect, value: value.to_owned(), by: None });
            }
        }
        if matches!(verdict, Verdict::NewVersion | Verdict::Changed) {
            package.approved_version = Some("1.2.2".to_owned());
        }
        if verdict == Verdict::Unjudged {
            (package.lock, package.manifest) = (None, None);
            package.runs.clear();
        }
        packages.push(package);
    }
    Report {
        schema: SCHEMA,
        tool: "cargo-brig 0.1.0".to_owned(),
        started: 1_782_907_200,
        workspace: Workspace {
            root: "/work spacé".to_owned(),
            baseline: "/work spacé/brig.lock".to_owned(),
            baseline_sha256: Some("01".repeat(32)),
            lock_sha256: Some("23".repeat(32)),
        },
        command: vec!["build".to_owned(), hostile("word")],
        cargo: Exit::Code(101),
        policies: vec![Policy {
            name: hostile("policy"),
            documents: vec![Document { file: hostile("document"), sha256: "45".repeat(32) }],
        }],
        packages,
        departed: vec![hostile("departed")],
        remarks: vec![hostile("remark")],
        result: Outcome::Unjailed,
    }
}
