//! What a script does very often hides nothing that it does once.

mod support;

use support::{Project, fail, shown, stderr};

/// Builds with this script, which must fail, and gives what is said.
fn failure(script: &str) -> String {
    let project = Project::with_script("floods", script);
    let output = fail(project.brig(&["build"]).env("XDG_CONFIG_HOME", project.root.join("config")));
    assert_eq!(output.status.code(), Some(101), "{}", shown(&output));
    stderr(&output)
}

#[test]
fn of_instructions_that_are_left_out() {
    let text = failure(
        r#"fn main() {
            for _ in 0..11_000 {
                println!("cargo::rerun-if-env-changed=NPM_TOKEN");
            }
            println!("cargo::rustc-env=LD_PRELOAD=/tmp/x.so");
        }"#,
    );
    assert!(
        text.contains("printed `cargo::rustc-env=LD_PRELOAD=/tmp/x.so`, which is withheld"),
        "{text}"
    );
}

#[test]
fn of_links_that_harm_nobody() {
    let text = failure(
        r#"use std::os::unix::fs::symlink;
        fn main() {
            let out = std::env::var("OUT_DIR").unwrap();
            for number in 0..400 {
                symlink("/proc/self/environ", format!("{out}/{number}")).unwrap();
            }
            std::fs::create_dir(format!("{out}/deep")).unwrap();
            symlink("/etc/shadow", format!("{out}/deep/x")).unwrap();
        }"#,
    );
    assert!(
        text.contains("the symbolic link `deep/x` in OUT_DIR, which leads to `/etc/shadow`"),
        "{text}"
    );
}
