//! What a change must not do without being told of: each of these passed an audit once.

#[path = "support/audited.rs"]
mod audited;
mod support;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use audited::{World, assert_says};
use cargo_brig::exit;
use support::{shown, succeed};

/// What an audit says of a new version that does this, with this in the workspace's policy.
fn added(policy: &str, more: &str) -> Vec<String> {
    let world = World::new();
    world.project.write("brig.toml", policy);
    world.approve();
    world.vendor("1.1.0", more);
    world.lock("1.1.0");
    let report = world.report(exit::UNAPPROVED);
    let added = report["packages"][0]["added"].as_array().unwrap().iter();
    added
        .map(|change| {
            let text = |key: &str| change[key].as_str().unwrap().to_owned();
            format!("{} {}", text("aspect"), text("value"))
        })
        .collect()
}

#[test]
fn what_is_written_in_the_package_is_told() {
    let policy = "[files]\nwrite = [\"{package}/generated\"]\n";
    let more = r#"
        let directory = std::env::var("CARGO_MANIFEST_DIR").unwrap() + "/generated";
        std::fs::write(directory + "/x.rs", "").unwrap();
    "#;
    let world = World::new();
    world.project.write("brig.toml", policy);
    world.approve();
    world.vendor("1.1.0", more);
    world.project.write("vendor/hull-1.1.0/generated/x.rs", "old");
    world.lock("1.1.0");
    let report = world.report(exit::UNAPPROVED);
    let change = &report["packages"][0]["added"][0];
    assert_eq!(
        (change["aspect"].as_str(), change["value"].as_str()),
        (Some("writes"), Some("{package}/generated/")),
        "{report:#}"
    );
}

#[test]
fn a_library_is_told_however_it_is_linked() {
    let more =
        r#"println!("cargo::rustc-link-arg=-lm"); println!("cargo::rustc-link-arg-bins=-lrt");"#;
    let added = added("", more);
    for library in ["libraries m", "libraries rt"] {
        assert!(added.iter().any(|value| value == library), "{added:?}");
    }
}

#[test]
fn all_variables_at_once_are_told() {
    let added = added("", r#"drop(std::fs::read("/proc/self/environ"));"#);
    assert_eq!(added, ["variables (all, from /proc)"]);
}

/// More names than are kept hide the one that matters.
#[test]
fn a_flood_of_names_is_told() {
    let more = r#"
        for number in 0..10_100 {
            drop(std::env::var(format!("DEP_{number}_X")));
        }
        drop(std::env::var("GITHUB_TOKEN"));
    "#;
    let added = added("", more);
    assert!(added.iter().any(|value| value == "findings record-incomplete"), "{added:?}");
}

/// The approval was for asking in vain.
#[test]
fn a_secret_that_is_given_is_told() {
    let world = World::new();
    world.vendor("1.0.0", r#"drop(std::env::var("NPM_TOKEN"));"#);
    let audit = |code| {
        let mut command = world.command(&["audit", "--locked", "--format", "json"]);
        let output = command.env("NPM_TOKEN", "s3cret").output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{}", shown(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    world.generate_lockfile();
    audit(exit::UNAPPROVED);
    world.ends(0, &["approve", "--all", "--yes"]);
    audit(0);
    world.project.write("brig.toml", "[environment]\npass = [\"NPM_TOKEN\"]\n");
    assert!(audit(exit::UNAPPROVED).contains("\"NPM_TOKEN, given\""));
}

/// A wrapper puts the bare script where Cargo runs it, once: what is built again is in the jail.
#[test]
fn a_script_that_was_outside_of_the_jail_once_fails_the_audit() {
    let world = World::new();
    world.approve();
    fs::remove_dir_all(world.project.root.join("target")).unwrap();
    let wrapper = world.project.root.join("wrapper.sh");
    let text = "#!/bin/sh\n\
        \"$@\" || exit\n\
        case \" $* \" in *' --crate-name hull '*) ;; *) exit 0;; esac\n\
        [ -e once ] && exit 0\n\
        : >once\n\
        for script in ../../target/debug/build/hull-*/*.brig-script; do\n\
            cp \"$script\" \"${script%/*}/new\"\n\
            mv -f \"${script%/*}/new\" \"${script%/*}/build-script-build\"\n\
        done\n";
    fs::write(&wrapper, text).unwrap();
    fs::set_permissions(&wrapper, PermissionsExt::from_mode(0o755)).unwrap();
    let mut command = world.command(&["audit", "--locked"]);
    let output = command.env("RUSTC_WRAPPER", &wrapper).output().unwrap();
    assert_eq!(output.status.code(), Some(exit::UNJAILED), "{}", shown(&output));
    assert_says(&output, "is not cargo-brig's launcher");
    let mut command = world.command(&["audit", "--locked"]);
    let output = command.env("RUSTC_WRAPPER", &wrapper).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", shown(&output));
}

fn git(directory: &Path, arguments: &[&str]) {
    let mut command = Command::new("git");
    command.current_dir(directory).args(["-c", "user.name=a", "-c", "user.email=a@example.org"]);
    succeed(command.args(arguments));
}

#[test]
fn no_file_stands_in_for_a_revision() {
    let world = World::approved();
    let root = &world.project.root;
    git(root, &["init", "--quiet", "--initial-branch", "main"]);
    git(root, &["add", "brig.lock"]);
    git(root, &["commit", "--quiet", "-m", "approve"]);
    let text = world.baseline().replace("\"uname\"", "\"curl\"");
    fs::write(root.join("brig.lock"), &text).unwrap();
    assert_says(&world.ends(0, &["diff", "main.."]), "+ runs: curl");
    fs::write(root.join("main"), &text).unwrap();
    assert_says(&world.ends(0, &["diff", "main.."]), "+ runs: curl");
    // Files end in `.lock`, and are named as such.
    fs::rename(root.join("main"), root.join("main.lock")).unwrap();
    assert_says(&world.ends(0, &["diff", "main.lock.."]), "No difference");
}

/// The tree of a pull request is a repository too, whose settings say how to fetch what it lacks.
#[test]
fn comparing_runs_nothing_of_the_tree() {
    let world = World::approved();
    let root = &world.project.root;
    git(root, &["init", "--quiet", "--bare", "--initial-branch", "main", "bare"]);
    let bare = root.join("bare");
    fs::copy(root.join("brig.lock"), bare.join("brig.lock")).unwrap();
    git(root, &["init", "--quiet", "--initial-branch", "main", "other"]);
    fs::copy(root.join("brig.lock"), root.join("other/brig.lock")).unwrap();
    git(&root.join("other"), &["add", "brig.lock"]);
    git(&root.join("other"), &["commit", "--quiet", "-m", "x"]);
    git(&root.join("other"), &["push", "--quiet", bare.to_str().unwrap(), "main"]);
    let witness = root.with_file_name("ran");
    let settings = [
        ("core.repositoryformatversion", "1".to_owned()),
        ("extensions.partialClone", "origin".to_owned()),
        ("remote.origin.promisor", "true".to_owned()),
        ("remote.origin.url", root.join("other").to_str().unwrap().to_owned()),
        ("remote.origin.uploadpack", format!("touch '{}'; git-upload-pack", witness.display())),
    ];
    for (key, value) in &settings {
        git(&bare, &["config", key, value]);
    }
    // With a working tree, so that paths in it have a meaning.
    let config = fs::read_to_string(bare.join("config")).unwrap();
    let config = config.replace("bare = true", "bare = false\n\tworktree = .");
    fs::write(bare.join("config"), config).unwrap();
    // Everything but the blob stays.
    let blob =
        succeed(Command::new("git").current_dir(&bare).args(["rev-parse", "main:brig.lock"]));
    let blob = String::from_utf8(blob.stdout).unwrap();
    let (directory, name) = blob.trim().split_at(2);
    let object = bare.join("objects").join(directory).join(name);
    if object.exists() {
        fs::remove_file(object).unwrap();
    }
    for name in ["HEAD", "config", "objects", "refs"] {
        fs::rename(bare.join(name), root.join(name)).unwrap();
    }
    // By itself git fetches it.
    let mut command = Command::new("git");
    command.current_dir(root).args(["cat-file", "blob", "main:./brig.lock"]);
    drop(command.output().unwrap());
    assert!(witness.exists(), "the attack proves nothing");
    fs::remove_file(&witness).unwrap();
    world.ends(exit::FAILED, &["diff", "main.."]);
    assert!(!witness.exists());
}

#[test]
fn reports_are_not_written_through_links() {
    let world = World::approved();
    let root = &world.project.root;
    let victim = world.home.join(".bashrc");
    fs::write(&victim, "mine").unwrap();
    for name in ["audit.xml", "target/brig-audit.json"] {
        drop(fs::remove_file(root.join(name)));
        symlink(&victim, root.join(name)).unwrap();
    }
    world.ends(0, &["audit", "--locked", "--format", "junit", "--output", "audit.xml"]);
    assert_eq!(fs::read_to_string(&victim).unwrap(), "mine");
    assert!(fs::read_to_string(root.join("audit.xml")).unwrap().contains("<testsuites"));
}

#[test]
fn nothing_is_written_for_an_outdated_cargo_lock() {
    let world = World::approved();
    let root = &world.project.root;
    world.vendor("1.1.0", "");
    let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
    fs::write(root.join("Cargo.toml"), manifest.replace("hull = \"1\"", "hull = \"1.1\"")).unwrap();
    let before = fs::read_to_string(root.join("Cargo.lock")).unwrap();
    let output = world.command(&["audit", "--locked"]).output().unwrap();
    assert!(!output.status.success(), "{}", shown(&output));
    assert_says(&output, "Cargo ended with ");
    assert_eq!(fs::read_to_string(root.join("Cargo.lock")).unwrap(), before);
}
