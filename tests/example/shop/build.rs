//! Asks Git which revision is built, as many programs do, and makes do without.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if Path::new("../.git/HEAD").exists() {
        println!("cargo::rerun-if-changed=../.git/HEAD");
    }
    let revision = revision().unwrap_or_else(|| "unknown".to_owned());
    println!("cargo::rustc-env=SHOP_REVISION={revision}");
}

fn revision() -> Option<String> {
    let git = Command::new("git")
        .args(["rev-parse", "--short", "HEAD"])
        .output()
        .ok()?;
    let revision = String::from_utf8(git.stdout).ok()?;
    git.status.success().then(|| revision.trim().to_owned())
}
