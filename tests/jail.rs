//! What a script cannot do, each attack seen to work without the jail.

mod support;

use std::fs;

use support::{Project, fail, stderr, succeed};

/// A script that writes to a file outside and says so if it could.
fn writes_to(path: &str) -> String {
    format!("fn main() {{ std::fs::write({path}, \"x\").unwrap(); }}")
}

#[test]
fn writing_to_the_home_directory_fails() {
    let script = r#"concat_path(&std::env::var("HOME").unwrap())"#;
    let text = format!(
        "{}\nfn concat_path(home: &str) -> String {{ format!(\"{{home}}/brig-was-here\") }}",
        writes_to(script)
    );
    let project = Project::with_script("writes_home", &text);
    let home = project.root.join("home of a user");
    fs::create_dir(&home).unwrap();
    let marker = home.join("brig-was-here");
    let cargo_home = std::env::var_os("CARGO_HOME").unwrap_or_default();
    let with_home = |command: &mut std::process::Command| {
        command.env("HOME", &home).env("CARGO_HOME", &cargo_home).output().unwrap()
    };
    let output = with_home(&mut project.brig(&["build"]));
    assert!(!output.status.success() && !marker.exists());
    let text = stderr(&output);
    assert!(text.contains("the build script of `writes_home v1.2.3` tried to create"), "{text}");
    let output = with_home(&mut project.cargo(&["build"]));
    assert!(output.status.success() && marker.exists(), "the attack must work without the jail");
}

#[test]
fn writing_to_the_own_package_fails() {
    let project = Project::with_script("writes_package", &writes_to("\"src/planted.rs\""));
    let text = stderr(&fail(&mut project.brig(&["build"])));
    assert!(text.contains("the build script of `writes_package v1.2.3` tried to create"), "{text}");
    assert!(text.contains("src/planted.rs"), "{text}");
    assert!(!project.root.join("src/planted.rs").exists());
    succeed(&mut project.cargo(&["build"]));
    assert!(project.root.join("src/planted.rs").exists());
}
