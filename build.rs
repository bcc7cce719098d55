//! Compiles the library that is preloaded into a script's programs (`src/preload/library.rs`), which
//! is embedded in cargo-brig.
//!
//! By the compiler and linker that Cargo names, for the target that cargo-brig is for. Of the flags
//! that Cargo has for cargo-brig itself none is taken over: most of them, static linking for one, are
//! wrong for a library that has to fit into any program.

use std::env;
use std::path::PathBuf;
use std::process::Command;

/// What makes the library small and quick to load: no other library, no start-up files, two segments,
/// one hash table.
const LINK_ARGUMENTS: &str = "-nostartfiles -nostdlib -Wl,--hash-style=gnu -Wl,-z,noseparate-code \
                              -Wl,--build-id=none -Wl,-z,norelro -Wl,-z,noexecstack \
                              -Wl,--no-eh-frame-hdr -Wl,-z,max-page-size=4096";

fn variable(name: &str) -> std::ffi::OsString {
    env::var_os(name).unwrap_or_else(|| panic!("Cargo sets {name} for build scripts"))
}

fn main() {
    let library = PathBuf::from(variable("OUT_DIR")).join("preload.so");
    let mut command = Command::new(variable("RUSTC"));
    command
        .args(["--crate-name", "preload", "--crate-type", "cdylib", "--edition", "2024"])
        .args(["-C", "panic=abort", "-C", "opt-level=s", "-C", "codegen-units=1"])
        .args(["-C", "strip=symbols", "-C", "relro-level=off", "-C", "debuginfo=0"])
        .args(["-C", "target-feature=-crt-static", "-C", "force-unwind-tables=no"])
        .args(["-C", &format!("link-args={LINK_ARGUMENTS}")])
        .arg("--target")
        .arg(variable("TARGET"))
        .arg("-o")
        .arg(&library)
        .arg("src/preload/library.rs");
    if let Some(linker) = env::var_os("RUSTC_LINKER") {
        let mut flag = std::ffi::OsString::from("-Clinker=");
        flag.push(linker);
        command.arg(flag);
    }
    let status = command.status().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
    assert!(status.success(), "{command:?} failed");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src/preload");
    println!("cargo::rerun-if-env-changed=RUSTC_LINKER");
}
