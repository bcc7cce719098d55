//! Compiles the two programs that are embedded in cargo-brig: the library that is preloaded into a
//! script's programs (`src/preload/library.rs`), and what a launcher starts as
//! (`src/launcher/starter.rs`).
//!
//! By the compiler and linker that Cargo names, for the target that cargo-brig is for. Of the flags
//! that Cargo has for cargo-brig itself none is taken over: most of them, static linking for one, are
//! wrong for a library that has to fit into any program.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

/// What makes both small: no library, no start-up files, few segments.
const LINK_ARGUMENTS: &str = "-nostartfiles -nostdlib -Wl,-z,noseparate-code -Wl,--build-id=none \
                              -Wl,-z,norelro -Wl,-z,noexecstack";

/// And quick to load: one hash table. A thread that is cancelled unwinds through it (`pthread_cancel`(3)).
const OF_LIBRARY: &str = "-Wl,--hash-style=gnu -Wl,-z,max-page-size=4096 -Wl,--eh-frame-hdr";

/// At an address of its own, which nobody has to relocate. Kernels for aarch64 have pages of up to this
/// size.
const OF_PROGRAM: &str = "-static -no-pie -Wl,--no-eh-frame-hdr -Wl,-z,max-page-size=65536";

fn variable(name: &str) -> OsString {
    env::var_os(name).unwrap_or_else(|| panic!("Cargo sets {name} for build scripts"))
}

fn compile(source: &str, kind: &str, flags: &[&str], link_arguments: &str, output: &str) {
    let mut command = Command::new(variable("RUSTC"));
    command
        .args(["--crate-type", kind, "--edition", "2024"])
        .args(["-C", "panic=abort", "-C", "opt-level=s", "-C", "codegen-units=1"])
        .args(["-C", "strip=symbols", "-C", "relro-level=off", "-C", "debuginfo=0"])
        .args(flags)
        .args(["-C", &format!("link-args={LINK_ARGUMENTS} {link_arguments}")])
        .arg("--target")
        .arg(variable("TARGET"))
        .arg("-o")
        .arg(PathBuf::from(variable("OUT_DIR")).join(output))
        .arg(source);
    if let Some(linker) = env::var_os("RUSTC_LINKER") {
        let mut flag = OsString::from("-Clinker=");
        flag.push(linker);
        command.arg(flag);
    }
    let status = command.status().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
    assert!(status.success(), "{command:?} failed");
}

fn main() {
    let dynamic =
        ["--crate-name=preload", "-Ctarget-feature=-crt-static", "-Cforce-unwind-tables=yes"];
    compile("src/preload/library.rs", "cdylib", &dynamic, OF_LIBRARY, "preload.so");
    let alone = [
        "--crate-name=starter",
        "-Cforce-unwind-tables=no",
        "-Ctarget-feature=+crt-static",
        "-Crelocation-model=static",
    ];
    compile("src/launcher/starter.rs", "bin", &alone, OF_PROGRAM, "starter");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src/launcher");
    println!("cargo::rerun-if-changed=src/preload");
    println!("cargo::rerun-if-env-changed=RUSTC_LINKER");
}
