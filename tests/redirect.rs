//! Directories of which a script gets a private copy to write to.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use nix::unistd::geteuid;
use support::{Project, TOOL, clean_command, shown, stderr, succeed};

/// Makes, changes, moves, runs and removes things in its own package, and looks whether they are so.
const SCRIPT: &str = r##"
use std::{env, fs, process::Command};
fn main() {
    let out = env::var("OUT_DIR").unwrap();
    let package = env::var("CARGO_MANIFEST_DIR").unwrap();
    fs::write("src/generated.rs", "pub fn made() {}").unwrap();
    assert_eq!(fs::read_to_string("src/generated.rs").unwrap(), "pub fn made() {}");
    assert_eq!(fs::read_to_string(format!("{package}/src/generated.rs")).unwrap().len(), 16);
    fs::create_dir_all("made/deep").unwrap();
    env::set_current_dir("made/deep").unwrap();
    fs::write("tool.sh", "#!/bin/sh\nset -e\necho ran >ran; mv ran ../ran; rm tool.sh; rmdir ../deep\n").unwrap();
    assert!(Command::new("sh").args(["-c", "chmod +x tool.sh && ./tool.sh"]).status().unwrap().success());
    env::set_current_dir(&package).unwrap();
    let names = |directory: &str| {
        let mut names: Vec<_> = fs::read_dir(directory).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(names("made"), ["ran"]);
    assert_eq!(names("src"), ["generated.rs", "lib.rs", "link"]);
    fs::write("src/link", "pub const CHANGED: u8 = 1;\n").unwrap();
    fs::remove_file("notes").unwrap();
    assert!(fs::metadata("notes").is_err());
    fs::copy("src/lib.rs", format!("{out}/copied")).unwrap();
    if env::var_os("T_LOCKS").is_some() {
        assert!(fs::read_dir("closed").is_err() && fs::read("secret").is_err());
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0);
        fs::set_permissions(&package, mode).unwrap();
    }
}
"##;

fn project() -> Project {
    let project = Project::with_script("redirected", SCRIPT);
    project.write("notes", "n");
    project.write("brig.toml", "files.redirect = [\"{package}\"]\n");
    symlink("lib.rs", project.root.join("src/link")).unwrap();
    project
}

/// What lies in a directory, and what is in it, but for the build directory.
fn tree(directory: &Path) -> BTreeMap<String, (u64, u32, Vec<u8>)> {
    let mut tree = BTreeMap::new();
    support::walk(directory, &mut |path| {
        let name = path.strip_prefix(directory).unwrap().to_str().unwrap().to_owned();
        if !name.starts_with("target") && name != "Cargo.lock" {
            let metadata = fs::symlink_metadata(path).unwrap();
            let content = if metadata.is_file() { fs::read(path).unwrap() } else { Vec::new() };
            tree.insert(name, (metadata.ino(), metadata.mode(), content));
        }
    });
    assert!(tree.contains_key("build.rs"), "nothing is seen");
    tree
}

#[test]
fn the_script_goes_on_and_the_sources_are_as_they_were() {
    let project = project();
    let before = tree(&project.root);
    // Without the rule it fails, and is told of it.
    fs::rename(project.root.join("brig.toml"), project.root.join("rules")).unwrap();
    let denied = support::fail(&mut project.brig(&["build"]));
    let rule = "and `files.redirect = [\"{package}\"]` lets it write to a copy";
    assert!(stderr(&denied).contains(rule), "{}", shown(&denied));
    fs::rename(project.root.join("rules"), project.root.join("brig.toml")).unwrap();
    let output = succeed(&mut project.brig(&["build"]));
    assert_eq!(tree(&project.root), before);
    let package = project.root.display();
    let says = format!(
        "changed `made`, `notes`, `src/generated.rs`, `src/lib.rs` in a private copy of `{package}`, which is \
         gone (`files.redirect` at {package}/brig.toml:1)"
    );
    assert!(stderr(&output).contains(&says), "{}", shown(&output));
    let record = &project.records()[0];
    assert_eq!(record["findings"][0]["code"], "redirected", "{record}");
    assert_eq!(record["denials"], serde_json::json!([]));
    let wrote = record["accesses"].as_array().unwrap().iter().any(|access| {
        access["path"].as_str().is_some_and(|path| path.ends_with("/src/generated.rs"))
            && access["kind"] == "create"
    });
    assert!(wrote, "{record}");
    // Plain Cargo's script changes them.
    drop(fs::remove_dir_all(project.root.join("target")));
    succeed(&mut project.cargo(&["build"]));
    assert_ne!(tree(&project.root), before);
}

#[test]
fn a_user_without_rights_gets_a_copy_too() {
    const USER: u32 = 4242;
    let project = project();
    fs::remove_file(project.root.join("brig.toml")).unwrap();
    // It is compiled, and does not run.
    let cargo = support::cargo();
    let mut compiled = project.cargo(&["rustc", "--quiet", "--", "--emit=metadata"]);
    succeed(compiled.env("CARGO_TARGET_DIR", project.root.join("elsewhere")));
    let scripts = project.files_named("elsewhere/debug/build", "build-script-build");
    let script = scripts.first().expect("it is compiled");
    for name in ["src/generated.rs", "made/ran"] {
        drop(fs::remove_file(project.root.join(name)));
    }
    drop(fs::remove_dir(project.root.join("made")));
    fs::remove_file(project.root.join("src/link")).unwrap();
    symlink("lib.rs", project.root.join("src/link")).unwrap();
    project.write("src/lib.rs", "");
    project.write("notes", "n");
    project.write("brig.toml", "files.redirect = [\"{package}\"]\n");
    let unit = project.root.join("target/debug/build/redirected-0123456789abcdef");
    fs::create_dir_all(unit.join("out")).unwrap();
    project.write("target/CACHEDIR.TAG", "");
    let program = unit.join("build-script-build");
    fs::copy(script, &program).unwrap();
    fs::remove_dir_all(project.root.join("elsewhere")).unwrap();
    let before = tree(&project.root);
    // Settings are taken from who started it.
    let mut command = clean_command("sh");
    command
        .args(["-c", "\"$0\" exec -- \"$1\"; exit $?", TOOL])
        .arg(&program)
        .env("CARGO_BRIG_POLICY", project.root.join("brig.toml"))
        .current_dir(&project.root)
        .env("HOME", &project.root)
        .env_remove("XDG_CONFIG_HOME")
        .env("OUT_DIR", unit.join("out"))
        .env("CARGO", cargo)
        .env("CARGO_MANIFEST_DIR", &project.root)
        .env("CARGO_PKG_NAME", "redirected")
        .env("CARGO_PKG_VERSION", "1.2.3")
        .env("RUSTC", "rustc");
    if geteuid().is_root() {
        let owner = format!("{USER}:{USER}");
        succeed(Command::new("chown").args(["-R", &owner]).arg(project.root.parent().unwrap()));
        command.uid(USER).gid(USER);
    }
    // What the user may not read is in no copy; and what the script locks is looked into all the same.
    for name in ["closed", "secret"] {
        let path = project.root.join(name);
        let made = if name == "closed" { fs::create_dir(&path) } else { fs::write(&path, "x") };
        made.and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(0o000))).unwrap();
    }
    let output = succeed(command.env("T_LOCKS", ""));
    let says = "changed `made`, `notes`, `src/generated.rs`, `src/lib.rs` in a private copy of";
    assert!(stderr(&output).contains(says), "{}", shown(&output));
    fs::remove_dir(project.root.join("closed")).unwrap();
    fs::remove_file(project.root.join("secret")).unwrap();
    assert_eq!(tree(&project.root), before);
    assert!(unit.join("out/copied").exists());
}

/// Tries to get from its copy to what it may not have.
const ATTACKS: &str = r#"
use std::{env, fs, io::Write, os::unix::fs::symlink};
fn main() {
    let outside = fs::read_to_string("outside").unwrap();
    let dep = env::var("DEP_DEP_OUT").unwrap();
    let parent = std::os::unix::process::parent_id();
    let package = env::var("CARGO_MANIFEST_DIR").unwrap();
    let build = format!("{package}/target/debug/build");
    let append = |path: &str| fs::OpenOptions::new().append(true).open(path).and_then(|mut f| f.write_all(b"x"));
    let say = |what: &str, done: bool| println!("cargo::warning={what} {done}");
    say("outside", fs::write(&outside, "x").is_ok());
    fs::create_dir_all("made").unwrap();
    symlink(&outside, "made/link").unwrap();
    say("by-link", fs::write("made/link", "x").is_ok());
    say("dependency", append(&format!("{dep}/file")).is_ok());
    say("dependency-new", fs::write(format!("{dep}/new"), "x").is_ok());
    say("dependency-gone", fs::remove_file(format!("{dep}/file")).is_ok());
    let neighbours = fs::read_dir(&build).unwrap().filter_map(|entry| {
        let name = entry.unwrap().file_name().into_string().unwrap();
        name.starts_with("neighbour").then(|| format!("{build}/{name}/out/secret"))
    });
    say("neighbour", neighbours.map(fs::read_to_string).any(|read| read.is_ok()));
    say("fingerprints", fs::read_dir(format!("{package}/target/debug/.fingerprint")).is_ok_and(|d| d.count() > 0));
    say("own-script", fs::remove_file(env::current_exe().unwrap()).is_ok());
    let fingerprint = format!("{package}/target/debug/.fingerprint/evil");
    drop(fs::create_dir_all(format!("{package}/target/debug/.fingerprint")));
    drop(fs::write(fingerprint, ""));
    for pid in [parent.to_string(), "1".to_owned()] {
        for way in ["root", "cwd"] {
            drop(fs::write(format!("/proc/{pid}/{way}{package}/by-proc"), "x"));
            drop(fs::write(format!("/proc/{pid}/{way}/by-proc"), "x"));
        }
    }
    fs::write("by-name", "x").unwrap();
}
"#;

#[test]
fn a_copy_gives_nothing_else() {
    let manifest = |name: &str, rest: &str| {
        format!("[package]\nname = \"{name}\"\nversion = \"1.2.3\"\nedition = \"2021\"\n{rest}")
    };
    let project = Project::of("attacked", &[]);
    let dependencies =
        "[workspace]\n[dependencies]\ndep.path = \"dep\"\nneighbour.path = \"neighbour\"\n";
    project.write("Cargo.toml", &manifest("attacker", dependencies));
    project.write("dep/Cargo.toml", &manifest("dep", "links = \"dep\"\n"));
    project.write("neighbour/Cargo.toml", &manifest("neighbour", ""));
    for (package, file) in [("dep", "file"), ("neighbour", "secret")] {
        project.write(&format!("{package}/src/lib.rs"), "");
        let script = format!(
            "fn main() {{ let out = std::env::var(\"OUT_DIR\").unwrap();\n\
             std::fs::write(format!(\"{{out}}/{file}\"), \"s\").unwrap();\n\
             println!(\"cargo::metadata=out={{out}}\"); }}"
        );
        project.write(&format!("{package}/build.rs"), &script);
    }
    project.write("src/lib.rs", "");
    project.write("build.rs", ATTACKS);
    let outside = project.root.with_file_name("outside-of-attacked");
    project.write("outside", outside.to_str().unwrap());
    let aims = [
        "outside",
        "by-link",
        "dependency",
        "dependency-new",
        "dependency-gone",
        "neighbour",
        "fingerprints",
        "own-script",
    ];
    // So that its neighbour is there.
    succeed(&mut project.cargo(&["build", "-p", "neighbour", "-p", "dep"]));
    let output = succeed(&mut project.cargo(&["build"]));
    for aim in aims {
        assert!(stderr(&output).contains(&format!(": {aim} true")), "{aim}: {}", shown(&output));
    }
    assert!(project.root.join("by-name").exists() && outside.exists(), "without the jail");
    for made in ["by-name", "by-proc", "made/link", "target"] {
        let made = project.root.join(made);
        drop(fs::remove_file(&made));
        drop(fs::remove_dir_all(&made));
    }
    fs::remove_file(&outside).unwrap();

    project.write("brig.toml", "files.redirect = [\"{package}\"]\n");
    succeed(&mut project.brig(&["build", "-p", "neighbour", "-p", "dep"]));
    let output = succeed(&mut project.brig(&["build"]));
    for aim in aims {
        assert!(stderr(&output).contains(&format!(": {aim} false")), "{aim}: {}", shown(&output));
    }
    for made in ["by-name", "by-proc", "made/link", "target/debug/.fingerprint/evil"] {
        assert!(fs::symlink_metadata(project.root.join(made)).is_err(), "{made}");
    }
    assert!(!outside.exists());
    let files = project.files_named("target/debug/build", "file");
    assert_eq!(files.len(), 1);
    assert_eq!(fs::read_to_string(&files[0]).unwrap(), "s");
}

/// The compiler would follow it, where there is no copy.
#[test]
fn a_link_to_what_the_copy_does_not_have_is_planted() {
    let script = r#"
        fn main() {
            let out = std::env::var("OUT_DIR").unwrap();
            let package = std::env::var("CARGO_MANIFEST_DIR").unwrap();
            for (name, to) in [("fine", "src/lib.rs"), ("link", "target/debug/.fingerprint")] {
                std::os::unix::fs::symlink(format!("{package}/{to}"), format!("{out}/{name}")).unwrap();
            }
        }"#;
    let project = Project::with_script("planting", script);
    succeed(&mut project.cargo(&["build"]));
    project.write("brig.toml", "files.redirect = [\"{package}\"]\n");
    let output = support::fail(&mut project.brig(&["build"]));
    let record = &project.records()[0];
    let findings = record["findings"].as_array().unwrap();
    let codes: Vec<&str> = findings.iter().filter_map(|found| found["code"].as_str()).collect();
    assert_eq!(codes, ["planted-link"], "{}", shown(&output));
}

/// Else a workspace could have the launcher make its files where a script can put a link in their way.
#[test]
fn the_configuration_does_not_say_where_the_private_directories_are() {
    let script =
        "fn main() { println!(\"cargo::warning=in {}\", std::env::var(\"TMPDIR\").unwrap()); }";
    let project = Project::with_script("placed", script);
    let mine = project.root.join("mine");
    fs::create_dir(&mine).unwrap();
    let line = format!(": in {}", mine.display());
    let settings = format!("[env]\nTMPDIR = {{ value = '{}', force = true }}\n", mine.display());
    project.write(".cargo/config.toml", &settings);
    let output = succeed(&mut project.cargo(&["build"]));
    assert!(stderr(&output).contains(&line), "{}", shown(&output));
    let output = succeed(&mut project.brig(&["build"]));
    assert!(!stderr(&output).contains(&line), "{}", shown(&output));
    // The user's own says it.
    fs::remove_dir_all(project.root.join("target")).unwrap();
    fs::remove_dir_all(project.root.join(".cargo")).unwrap();
    let output = succeed(project.brig(&["build"]).env("TMPDIR", &mine));
    assert!(stderr(&output).contains(&line), "{}", shown(&output));
}

#[test]
fn what_cannot_be_copied_is_an_error() {
    let project = project();
    project.write("brig.toml", "files.redirect = [\"{package}\"]\n");
    let huge = fs::File::create(project.root.join("huge")).unwrap();
    huge.set_len(5 << 30).unwrap();
    let output = support::fail(&mut project.brig(&["build"]));
    let says = format!(
        "error: brig: cannot copy `{0}/huge`, as the `files.redirect` rule at {0}/brig.toml:1 demands",
        project.root.display()
    );
    assert!(stderr(&output).contains(&says), "{}", shown(&output));
    assert!(!project.root.join("src/generated.rs").exists());
}
