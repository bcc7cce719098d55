//! What the scripts of one build have in common, because none of them may write there, and that they do
//! not where one may.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use support::{Project, stderr, succeed};

/// Says where its home directory and the preloaded library are, leaves a file in the home directory if it
/// may, and says what else is there.
const SCRIPT: &str = r#"
fn main() {
    let home = std::env::var("HOME").unwrap();
    drop(std::fs::write(format!("{home}/{}", std::env::var("CARGO_PKG_NAME").unwrap()), ""));
    let count = std::fs::read_dir(&home).unwrap().count();
    // The library keeps its own name from who asks for it.
    let library = std::env::vars().find(|(name, _)| name == "LD_PRELOAD").unwrap().1;
    println!("cargo::warning={home} {library} {count}");
}
"#;

/// Three packages with that script.
fn workspace(policy: &str) -> Project {
    let project = Project::of(
        "workspace",
        &[("Cargo.toml", "[workspace]\nresolver = \"3\"\nmembers = [\"a\", \"b\", \"c\"]\n")],
    );
    for name in ["a", "b", "c"] {
        let manifest =
            format!("[package]\nname = \"{name}\"\nversion = \"1.0.0\"\nedition = \"2024\"\n");
        project.write(&format!("{name}/Cargo.toml"), &manifest);
        project.write(&format!("{name}/src/lib.rs"), "");
        project.write(&format!("{name}/build.rs"), SCRIPT);
    }
    project.write("brig.toml", policy);
    project
}

/// What each script says: its home directory, its library, and how many files are in its home directory.
fn said(project: &Project) -> Vec<[String; 3]> {
    said_by(&mut project.brig(&["build"]))
}

fn said_by(build: &mut Command) -> Vec<[String; 3]> {
    let text = stderr(&succeed(build));
    let lines = text.lines().filter_map(|line| line.strip_prefix("warning: ")?.split_once(": "));
    let words = lines.map(|(_, line)| line.split(' ').map(str::to_owned).collect::<Vec<_>>());
    words.filter_map(|words| words.try_into().ok()).collect()
}

#[test]
fn scripts_share_what_none_may_write_to() {
    let said = said(&workspace(""));
    assert_eq!(said.len(), 3, "{said:?}");
    let shared: BTreeSet<_> = said.iter().collect();
    assert_eq!(shared.len(), 1, "{said:?}");
    let [home, library, count] = &said[0];
    assert_eq!(count, "0");
    for path in [home, library] {
        assert!(!Path::new(path).exists(), "it goes with the build: {path}");
    }
}

#[test]
fn a_home_directory_that_may_be_written_to_is_nobody_elses() {
    let rules = [
        "files.write = [\"{empty-home}\"]",
        "files.write = [\"{empty-home}\"]\nextends = \"strict\"",
    ];
    for rule in rules {
        let project = workspace(rule);
        let said = said(&project);
        assert_eq!(said.len(), 3, "{said:?}");
        let homes: BTreeSet<_> = said.iter().map(|[home, ..]| home).collect();
        assert_eq!(homes.len(), 3, "{said:?}");
        for [home, library, count] in &said {
            assert_eq!(count, "1", "what others left is not there");
            assert!(!Path::new(home).exists() && !Path::new(library).exists());
        }
    }
    // By a path of its own choosing, too.
    let tmp = fs::canonicalize(std::env::temp_dir()).unwrap();
    let said =
        said(&workspace(&format!("files.write = [\"{}/cargo-brig-home-*\"]", tmp.display())));
    let homes: BTreeSet<_> = said.iter().map(|[home, ..]| home).collect();
    assert_eq!(homes.len(), 3, "{said:?}");
}

/// Leaves a file in each home directory that is made for scripts, and puts another library in the place of
/// each that is preloaded.
const SPOILER: &str = r#"
use std::fs;
fn main() {
    let tmp = std::env::var("TMPDIR").unwrap();
    let mut spoilt = 0;
    for entry in fs::read_dir(std::path::Path::new(&tmp).parent().unwrap()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if name.starts_with("cargo-brig-home-") {
            fs::write(path.join(".curlrc"), "proxy = x.example").unwrap();
            spoilt += 1;
        } else if name.starts_with("cargo-brig-asked-") {
            for library in fs::read_dir(&path).unwrap() {
                let library = library.unwrap().path();
                fs::write(path.join("planted"), "of a").unwrap();
                fs::rename(path.join("planted"), library).unwrap();
                spoilt += 1;
            }
        }
    }
    assert!(spoilt >= 2, "{spoilt}");
}
"#;

#[test]
fn what_a_script_could_reach_after_all_is_not_used_any_more() {
    let tmp = tempfile::Builder::new().prefix("brig-lent-").tempdir().unwrap();
    let rules =
        ["read", "write"].map(|key| format!("files.{key} = [\"{}\"]", tmp.path().display()));
    let project = workspace(&format!("[[package]]\nname = \"a\"\n{}\n", rules.join("\n")));
    project.write(
        "a/Cargo.toml",
        "[package]\nname = \"a\"\nversion = \"1.0.0\"\nedition = \"2024\"\nlinks = \"a\"\n",
    );
    project.write("a/build.rs", SPOILER);
    for name in ["b", "c"] {
        project.write(
            &format!("{name}/Cargo.toml"),
            &format!(
                "[package]\nname = \"{name}\"\nversion = \"1.0.0\"\nedition = \"2024\"\n\
                 [dependencies]\na = {{ path = \"../a\" }}\n"
            ),
        );
    }
    let tmp = tmp.path();
    let said = said_by(project.brig(&["build"]).env("TMPDIR", tmp));
    let own: BTreeSet<_> = said.iter().map(|[home, library, _]| (home, library)).collect();
    assert_eq!(own.len(), 2, "{said:?}");
    for [home, library, count] in &said {
        assert_eq!(count, "0", "another script left it there");
        for path in [home, library] {
            assert!(path.starts_with(tmp.to_str().unwrap()) && !Path::new(path).exists());
        }
    }
}
