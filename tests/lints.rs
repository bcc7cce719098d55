//! `cargo brig show --lints`: each lint finds the script that has it, and nothing in one that has not; and
//! what it says of Cargo is what Cargo does.

mod support;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;
use support::{Project, TOOL, clean_command, shown, stderr, stdout, succeed};

/// What every script can use: it counts its runs in `OUT_DIR`.
const COMMON: &str = r#"
#[allow(unused_imports)]
use std::{env, fs, io::Write as _, net, path::{Path, PathBuf}};
#[allow(dead_code)]
fn out(name: &str) -> PathBuf {
    Path::new(&env::var_os("OUT_DIR").unwrap()).join(name)
}
fn counted() {
    let mut runs = fs::File::options().create(true).append(true).open(out("runs")).unwrap();
    runs.write_all(b"x").unwrap();
}
"#;

/// Declares something, so that nothing else is to be said of it.
const DECLARES: &str = r#"println!("cargo::rerun-if-changed=build.rs");"#;

/// Packages: name, the rest of their `[package]` table and manifest, and what their scripts do.
const PACKAGES: &[(&str, &str, &str)] = &[
    ("quiet", "", ""),
    ("fetches", "", r#"let _ = net::TcpStream::connect("192.0.2.1:443");"#),
    ("spills", "", r#"let _ = fs::write("made in the package", "");"#),
    (
        "swallows",
        "",
        r#"print!("probing…"); println!("cargo::warning=a");
           print!("cargo::rustc-env=A=b "); println!("cargo::rustc-env=C=d");"#,
    ),
    (
        "quotes",
        "",
        r#"println!("this prints `cargo::rustc-cfg=a` and [x 1.0.0] cargo:rustc-cfg=a");
           println!("cargo::warning=use \"cargo::rustc-cfg=a\" or cargo:rustc-cfg=b");"#,
    ),
    ("misspells", "", r#"println!("cargo:rustc-link-libs=z"); println!("cargo:rustc_cfg=a");"#),
    (
        "tells",
        "links = \"tells\"\n",
        r#"println!("cargo:root=/usr"); println!("cargo:library=z");"#,
    ),
    ("misses", "", r#"println!("cargo::rerun-if-changed=nowhere/é");"#),
    ("listens", "", r#"println!("cargo::rerun-if-changed=data");"#),
    (
        "reads",
        "",
        r#"fs::read("data/a b").unwrap(); fs::read("data/c").unwrap(); fs::read("build.rs").unwrap();
           fs::read("../shared é.txt").unwrap(); let _ = env::var("READS_WHAT");
           fs::write(out("x"), "").unwrap(); fs::read(out("x")).unwrap(); fs::read("/etc/passwd").unwrap();
           println!("cargo::rerun-if-changed=data/c"); let _ = env::var("TARGET");"#,
    ),
    (
        "declares",
        "",
        r#"fs::read("data/a b").unwrap(); fs::read("../shared é.txt").unwrap();
           let _ = env::var("DECLARES_WHAT"); let _ = env::var("A_TOKEN");
           println!("cargo::rerun-if-changed=data"); println!("cargo::rerun-if-changed=../shared é.txt");
           println!("cargo::rerun-if-env-changed=A_TOKEN");
           println!("cargo::rerun-if-env-changed=DECLARES_WHAT");"#,
    ),
    (
        "lends",
        "links = \"lends\"\n",
        r#"println!("cargo::metadata=include={}/data", env::var("CARGO_MANIFEST_DIR").unwrap());"#,
    ),
    (
        "borrows",
        "[dependencies]\nlends = { path = \"../lends\" }\n",
        r#"fs::read("../lends/data/c").unwrap(); fs::read("../lends/Cargo.toml").unwrap();"#,
    ),
    ("is-silent", "", r#"fs::read("data/c").unwrap();"#),
    ("is-vendored", "", r#"fs::read("data/c").unwrap();"#),
    (
        "sets",
        "",
        r#"println!("cargo::rustc-cfg=afloat"); println!("cargo::rustc-cfg=docsrs");
           println!("cargo::rustc-cfg=nobody_asks_for_it");"#,
    ),
    (
        "expects",
        "[features]\nsteam = []\n[lints.rust]\n\
         unexpected_cfgs = { level = \"warn\", check-cfg = ['cfg(moored)'] }\n",
        r#"println!("cargo::rustc-check-cfg=cfg(afloat, values(none(), \"yes\"))");
           println!("cargo::rustc-cfg=afloat"); println!("cargo::rustc-cfg=afloat=\"yes\"");
           println!("cargo::rustc-cfg=moored"); println!("cargo::rustc-cfg=feature=\"steam\"");"#,
    ),
    (
        "names-home",
        "",
        r#"let home = env::var("SHIPS_HOME").unwrap(); fs::write(out("a é.bin"),
           format!("\0-I{home}/include\0")).unwrap();
           println!("cargo::rerun-if-env-changed=SHIPS_HOME");
           println!("cargo::rustc-env=BERTH={home}/berth");"#,
    ),
    (
        "names-itself",
        "",
        r#"fs::write(out("a"), out("b").to_str().unwrap()).unwrap();
           println!("cargo::rustc-env=FILE={}", out("a").display());"#,
    ),
    ("is-old", "rust-version = \"1.80\"\n", r#"println!("cargo:rustc-env=A=b");"#),
    ("may-be-old", "rust-version = \"1.76\"\n", r#"println!("cargo:rustc-env=A=b");"#),
    (
        "crosses",
        "",
        r#"println!("cargo::rustc-link-search=native=/usr/lib");
           println!("cargo::rustc-link-search=native=/usr/lib/aarch64-linux-gnu");"#,
    ),
    (
        "dates",
        "",
        r#"let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
           fs::write(out("when"), now.to_string()).unwrap();
           println!("cargo::rustc-env=BUILT={now}");"#,
    ),
];

/// A workspace of them, built. Its home directory is the workspace's own parent.
fn fleet() -> &'static Project {
    static FLEET: OnceLock<Project> = OnceLock::new();
    FLEET.get_or_init(|| {
        let project = Project::of("fleet é", &[("sea/shared é.txt", "")]);
        let mut members = String::new();
        for (name, manifest, script) in PACKAGES {
            let declares = match *name {
                // One of them reads its own source, which Cargo knows.
                "is-silent" | "is-vendored" | "reads" => "",
                // Cargo refuses two colons there.
                "may-be-old" => r#"println!("cargo:rerun-if-changed=build.rs");"#,
                _ => DECLARES,
            };
            for (path, text) in [
                (
                    "Cargo.toml",
                    format!(
                        "[package]\nname = \"{name}\"\nversion = \"1.2.3\"\nedition = \"2021\"\n{manifest}"
                    ),
                ),
                ("build.rs", format!("{COMMON}fn main() {{ counted(); {declares} {script} }}")),
                (
                    "src/lib.rs",
                    match *name {
                        "sets" => "#[cfg(afloat)] pub fn sail() {}".to_owned(),
                        "expects" => "#[cfg(any(afloat, moored, afloat = \"yes\"))] pub fn sail() {}".to_owned(),
                        _ => String::new(),
                    },
                ),
                ("data/a b", String::new()),
                ("data/c", String::new()),
            ] {
                project.write(&format!("sea/{name}/{path}"), &text);
            }
            members.extend(["\"", name, "\", "]);
        }
        project.write("sea/is-vendored/.cargo-checksum.json", "{}");
        project.write(
            "sea/Cargo.toml",
            &format!("[workspace]\nmembers = [{members}]\nresolver = \"2\"\n"),
        );
        let output = succeed(&mut brig(&project, &["build"]));
        // As rustc sees it, too.
        let text = stderr(&output);
        assert!(text.contains("unexpected `cfg` condition name: `afloat`"), "{text}");
        assert_eq!(text.matches("unexpected `cfg`").count(), 1, "{text}");
        project
    })
}

/// `cargo brig ARGUMENTS` in the workspace, with its own home directory.
fn brig(project: &Project, arguments: &[&str]) -> Command {
    let mut command = project.brig(arguments);
    set_up(project, &mut command);
    command
}

fn set_up(project: &Project, command: &mut Command) {
    let home = PathBuf::from(env::var_os("HOME").unwrap());
    // Cargo and rustup would look for their directories in the other home.
    for (name, default) in [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")] {
        command.env(name, env::var_os(name).map_or_else(|| home.join(default), PathBuf::from));
    }
    command
        .current_dir(project.root.join("sea"))
        .env("HOME", &project.root)
        .env("SHIPS_HOME", &project.root)
        .env("A_TOKEN", "secret");
}

/// The lints of one package, by code, with their items.
fn lints(project: &Project, arguments: &[&str]) -> Vec<(String, Vec<String>)> {
    let mut command = brig(project, &["show"]);
    let output = succeed(command.args(arguments).args(["--lints", "--format", "json"]));
    let runs: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(runs.as_array().unwrap().len(), 1, "{runs:#}");
    let of = |lint: &Value| {
        for key in ["message", "help", "source", "level"] {
            assert!(!lint[key].as_str().unwrap().is_empty(), "{lint:#}");
        }
        let items = lint["items"].as_array().unwrap().iter();
        let items = items.map(|item| item.as_str().unwrap().to_owned()).collect();
        (lint["code"].as_str().unwrap().to_owned(), items)
    };
    runs[0]["lints"].as_array().unwrap().iter().map(of).collect()
}

/// Asserts that a package has exactly these lints.
fn has(package: &str, expected: &[(&str, &[&str])]) {
    let lints = lints(fleet(), &[package]);
    let borrowed: Vec<(&str, Vec<&str>)> = lints
        .iter()
        .map(|(code, items)| (code.as_str(), items.iter().map(String::as_str).collect()))
        .collect();
    let expected: Vec<(&str, Vec<&str>)> =
        expected.iter().map(|(code, items)| (*code, items.to_vec())).collect();
    assert_eq!(borrowed, expected, "{package}");
}

#[test]
fn nothing_is_found_in_a_script_that_has_nothing() {
    has("quiet", &[]);
}

#[test]
fn the_network_is_named() {
    has(
        "fetches",
        &[(
            "network",
            &[
                "tried to reach `192.0.2.1` port 443 (TCP network connection, IPv4 stream socket): denied",
            ],
        )],
    );
}

#[test]
fn writing_outside_is_found() {
    has("spills", &[("writes-outside-out-dir", &["{package}/made in the package: denied"])]);
}

#[test]
fn swallowed_instructions_are_found_and_quoted_ones_are_not() {
    has(
        "swallows",
        &[(
            "swallowed-instruction",
            &["cargo::rustc-env=A=b cargo::rustc-env=C=d", "probing…cargo::warning=a"],
        )],
    );
    has("quotes", &[]);
}

#[test]
fn slips_are_told_from_metadata() {
    has(
        "misspells",
        &[(
            "key-becomes-metadata",
            &[
                "`cargo:rustc-link-libs=`: `rustc-link-lib` is meant",
                "`cargo:rustc_cfg=`: `rustc-cfg` is meant",
            ],
        )],
    );
    has("tells", &[]);
}

#[test]
fn inputs_are_found_unless_they_are_declared() {
    has(
        "reads",
        &[
            ("undeclared-file", &["{package}/data/a b", "{workspace}/shared é.txt"]),
            ("undeclared-variable", &["READS_WHAT"]),
        ],
    );
    has("declares", &[]);
    // What a dependency tells of is the dependency's.
    has("borrows", &[("undeclared-file", &["{workspace}/lends/Cargo.toml"])]);
    has("is-silent", &[("reruns-on-any-change", &[])]);
    has("is-vendored", &[]);
    has("misses", &[("reruns-always", &["{package}/nowhere/é"])]);
    has("listens", &[]);
}

#[test]
fn cfgs_are_expected_by_the_script_or_the_manifest() {
    has("sets", &[("cfg-without-check-cfg", &["afloat"])]);
    has("expects", &[]);
}

#[test]
fn the_home_directory_is_found_and_the_build_directory_is_not() {
    has("names-home", &[("home-directory-in-output", &["rustc-env=BERTH", "{out-dir}/a é.bin"])]);
    has("names-itself", &[]);
}

#[test]
fn one_colon_is_old_only_where_two_are_known() {
    has("is-old", &[("old-syntax", &["cargo:rustc-env="])]);
    has("may-be-old", &[]);
}

/// Writes down where its own directories are, and all of its environment.
const LODGES: &str = r#"
use std::{env, fs};
fn main() {
    let [home, tmp] = ["HOME", "TMPDIR"].map(|name| env::var(name).unwrap());
    println!("cargo::rustc-env=LODGING={home} {tmp}");
    let all: Vec<String> = env::vars().map(|(name, value)| format!("{name}={value}")).collect();
    fs::write(env::var("OUT_DIR").unwrap() + "/all", all.join("\n")).unwrap();
}
"#;

#[test]
fn a_second_run_shows_what_differs() {
    let differing = lints(fleet(), &["dates", "--twice"]);
    let [(code, items)] = &differing[..] else { panic!("{differing:?}") };
    assert_eq!(code, "differs-between-runs");
    let [first, second, file] = &items[..] else { panic!("{items:?}") };
    assert!(first.starts_with("cargo::rustc-env=BUILT=") && first < second, "{items:?}");
    assert_eq!(file, "{out-dir}/when");
    assert_eq!(lints(fleet(), &["names-itself", "--twice"]), []);
    // What the jail calls its own directories is none of the script's doing.
    let project = Project::with_script("lodges", LODGES);
    succeed(&mut project.brig(&["build"]));
    let output = succeed(&mut project.brig(&["show", "lodges", "--lints", "--twice"]));
    assert!(!stdout(&output).contains("differs-between-runs"), "{}", shown(&output));
    let left = |name: &str| !fleet().files_named("sea/target", name).is_empty();
    assert!(left("when"));
    let mut directories = Vec::new();
    support::walk(&fleet().root.join("sea/target"), &mut |path| {
        directories.extend(path.ancestors().map(Path::to_owned));
    });
    let twice = directories.iter().find(|path| path.to_string_lossy().contains("twice"));
    assert_eq!(twice, None);
}

#[test]
fn a_script_that_fails_the_second_time_is_told_of() {
    // It counts on a variable that is not set any more.
    let project =
        Project::with_script("leans", "fn main() { std::env::var(\"LEANS_ON\").unwrap(); }");
    succeed(project.brig(&["build"]).env("LEANS_ON", "1"));
    let output = project.brig(&["show", "leans", "--lints", "--twice"]).output().unwrap();
    assert_eq!(output.status.code(), Some(4), "{}", shown(&output));
    let told = stderr(&output);
    assert!(
        told.contains("cannot be run again: it fails") && told.contains("build.rs:1"),
        "{told}"
    );
    assert!(stdout(&output).contains("undeclared-variable"), "{}", shown(&output));
    let output = project.brig(&["show", "--twice"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", shown(&output));
}

#[test]
fn a_record_from_elsewhere_runs_nothing() {
    let project = Project::with_script("ferry", "fn main() {}");
    succeed(&mut project.brig(&["build"]));
    let records = project.files_named("target", "brig.json");
    let [path] = &records[..] else { panic!("{records:?}") };
    let good: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let marker = elsewhere.path().join("program");
    fs::write(&marker, "#!/bin/sh\n").unwrap();
    for (field, value) in [
        ("out_dir", elsewhere.path().join("out")),
        ("out_dir", elsewhere.path().to_owned()),
        ("script", marker.clone()),
        ("manifest_dir", elsewhere.path().to_owned()),
    ] {
        let mut bad = good.clone();
        bad["unit"][field] = value.to_str().unwrap().into();
        fs::write(path, bad.to_string()).unwrap();
        let output = project.brig(&["show", "ferry", "--lints", "--twice"]).output().unwrap();
        assert_eq!(output.status.code(), Some(4), "{field}: {}", shown(&output));
        assert!(stderr(&output).contains("does not belong where it lies"), "{}", shown(&output));
    }
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 1);
    fs::write(path, good.to_string()).unwrap();
    succeed(&mut project.brig(&["show", "ferry", "--lints", "--twice"]));
}

#[test]
fn the_hosts_paths_count_only_for_another_target() {
    let project = fleet();
    has("crosses", &[]);
    let record = project
        .files_named("sea/target", "brig.json")
        .into_iter()
        .find(|path| fs::read_to_string(path).unwrap().contains("\"package\": \"crosses\""));
    let record: Value = serde_json::from_slice(&fs::read(record.unwrap()).unwrap()).unwrap();
    let mut command = clean_command(TOOL);
    set_up(project, &mut command);
    for (name, value) in record["unit"]["variables"].as_object().unwrap() {
        command.env(name, value.as_str().unwrap());
    }
    // Beside another OUT_DIR, as a build for that machine would have it.
    let out_dir = project.root.join("sea/target/aarch64/debug/build/crosses-0123456789abcdef/out");
    fs::create_dir_all(&out_dir).unwrap();
    command.env("TARGET", "aarch64-unknown-linux-gnu").env("OUT_DIR", &out_dir).args([
        "exec",
        "--",
        record["unit"]["script"].as_str().unwrap(),
    ]);
    succeed(&mut command);
    let mut show = brig(project, &["show", "crosses", "--lints", "--format", "json"]);
    let runs: Value = serde_json::from_slice(&succeed(&mut show).stdout).unwrap();
    let run =
        runs.as_array().unwrap().iter().find(|run| run["target"] == "aarch64-unknown-linux-gnu");
    fs::remove_dir_all(out_dir.parent().unwrap()).unwrap();
    let lint = &run.unwrap()["lints"][0];
    assert_eq!(lint["code"], "host-path-in-cross-build", "{lint:#}");
    let expected = ["cargo::rustc-link-search=native=/usr/lib"];
    assert_eq!(lint["items"], serde_json::json!(expected));
}

#[test]
fn a_person_sees_what_to_do() {
    let output = succeed(&mut brig(fleet(), &["show", "reads", "--lints"]));
    let text = stdout(&output);
    for words in [
        "reads v1.2.3\n",
        "\nwarning: undeclared-file\n  read what no `rerun-if-changed` covers",
        "\n    {package}/data/a b\n",
        "\n  help: print `cargo::rerun-if-changed=PATH`",
        "\n  see https://doc.rust-lang.org/cargo/reference/build-scripts.html#change-detection\n",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    let text = stdout(&succeed(&mut brig(fleet(), &["show", "quiet", "--lints"])));
    assert!(text.ends_with("\n  nothing was found\n"), "{text}");
    let text = stdout(&succeed(&mut brig(fleet(), &["show", "--lints"])));
    assert!(text.contains("\nspills v1.2.3\n") && !text.contains("quiet"), "{text}");
}

/// What the lints say that Cargo does, Cargo does.
#[test]
fn cargo_runs_scripts_again_as_the_lints_say() {
    let project = Project::of("fleet é", &[]);
    let root = project.root.join("sea");
    support::copy_dir(&fleet().root.join("sea"), &root);
    succeed(&mut brig(&project, &["build"]));
    let runs = |package: &str| -> u64 {
        let all = project.files_named("sea/target", "runs");
        let is_of = |path: &&PathBuf| path.to_string_lossy().contains(&format!("/{package}-"));
        fs::metadata(all.iter().find(is_of).unwrap()).unwrap().len()
    };
    let build = || succeed(&mut brig(&project, &["build"]));
    build();
    assert_eq!(runs("misses"), 2, "what is declared and does not exist");
    for package in ["listens", "reads", "declares", "is-silent", "quiet"] {
        assert_eq!(runs(package), 1, "{package}");
    }
    let later = std::time::SystemTime::now() + std::time::Duration::from_secs(5);
    let touch = |path: &str| {
        let file = fs::File::options().write(true).open(root.join(path)).unwrap();
        file.set_modified(later).unwrap();
    };
    for package in ["listens", "reads", "declares", "is-silent", "quiet"] {
        touch(&format!("{package}/data/a b"));
    }
    build();
    let expected = [("listens", 2), ("reads", 1), ("declares", 2), ("is-silent", 2), ("quiet", 1)];
    for (package, count) in expected {
        assert_eq!(runs(package), count, "{package}");
    }
}
