//! `cargo brig freeze`: with what it writes, real Cargo runs no script and makes the same program; what would
//! not be the same is refused.

mod support;

use std::fs;

use support::{Project, shown, stderr, stdout, succeed};

const Z_SYS: &str = r#"
fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-link-lib=dylib=z");
    println!("cargo::rustc-flags=-L /usr/lib");
    println!("cargo::rustc-cfg=deep=\"very \\\" é\"");
    println!("cargo::rustc-check-cfg=cfg(deep, values(any()))");
    println!("cargo::rustc-env=WIND=north, \"strong\"");
    println!("cargo::rustc-link-arg=-Wl,--as-needed");
    println!("cargo::warning=a storm");
    println!("cargo:fla-vour=vanilla é");
    println!("cargo::metadata=two words=x");
}
"#;

const LIB: &str = r#"
unsafe extern "C" { fn zlibVersion() -> *const core::ffi::c_char; }
pub fn told() -> String {
    let version = unsafe { core::ffi::CStr::from_ptr(zlibVersion()) }.to_str().unwrap();
    format!("{} {} {}", !version.is_empty(), cfg!(deep = "very \" é"), env!("WIND"))
}
"#;

/// A program with `z-sys`, whose script says all that an override can.
fn sailor() -> Project {
    Project::of(
        "sailor",
        &[
            (
                "Cargo.toml",
                "[package]\nname = \"sailor\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\
                 [dependencies]\nz-sys = { path = \"z-sys\" }\n[workspace]\n",
            ),
            (
                "build.rs",
                "fn main() {
                     println!(\"cargo::rerun-if-changed=build.rs\");
                     let told = [\"DEP_Z_FLA_VOUR\", \"DEP_Z_TWO WORDS\"].map(|n| std::env::var(n).unwrap());
                     println!(\"cargo::rustc-env=TOLD={}\", told.join(\" \"));
                 }",
            ),
            ("src/main.rs", "fn main() { println!(\"{} {}\", z_sys::told(), env!(\"TOLD\")); }"),
            (
                "z-sys/Cargo.toml",
                "[package]\nname = \"z-sys\"\nversion = \"0.2.0\"\nedition = \"2024\"\nlinks = \"z\"\n",
            ),
            ("z-sys/build.rs", Z_SYS),
            ("z-sys/src/lib.rs", LIB),
        ],
    )
}

const SAID: &str = "true true north, \"strong\" vanilla é x\n";

#[test]
fn what_is_frozen_is_built_without_its_script() {
    let project = sailor();
    let output = succeed(&mut project.brig(&["run"]));
    assert_eq!(stdout(&output), SAID);
    let config = ".cargo/config.toml";
    fs::create_dir(project.root.join(".cargo")).unwrap();
    let output = succeed(&mut project.brig(&["freeze", "--output", config]));
    assert!(output.stdout.is_empty(), "{}", shown(&output));
    let told = stderr(&output);
    assert_eq!(told, "note: not frozen, without a `links` key: sailor v0.1.0\n");
    succeed(&mut project.cargo(&["clean"]));

    // Nothing of it can be compiled, let alone run.
    project.write("z-sys/build.rs", "compile_error!(\"compiled\");");
    let output = succeed(&mut project.cargo(&["run"]));
    assert_eq!(stdout(&output), SAID);
    let text = stderr(&output);
    assert!(!text.contains("z-sys@") && !text.contains("storm"), "{text}");

    // It is a release's as well as a test's, and without it all is as before.
    succeed(&mut project.cargo(&["test", "--release"]));
    fs::remove_file(project.root.join(config)).unwrap();
    let output = project.cargo(&["build"]).output().unwrap();
    assert!(!output.status.success() && stderr(&output).contains("compiled"), "{}", shown(&output));
}

#[test]
fn it_is_printed_or_replaces_only_its_own() {
    let project = sailor();
    succeed(&mut project.brig(&["build"]));
    let printed = stdout(&succeed(&mut project.brig(&["freeze", "z-sys"])));
    assert!(printed.starts_with("# Build scripts that need not run"), "{printed}");
    assert!(
        printed.contains("\n# z-sys v0.2.0\n[target.x86_64-unknown-linux-gnu.z]\n"),
        "{printed}"
    );
    assert!(!printed.contains("storm") && !printed.contains("rerun"), "{printed}");

    let dashed = ["freeze", "z-sys", "--output", "-"];
    assert_eq!(stdout(&succeed(&mut project.brig(&dashed))), printed);
    succeed(&mut project.brig(&["freeze", "z-sys", "--output", ".cargo/config.toml"]));
    let path = project.root.join(".cargo/config.toml");
    assert_eq!(fs::read_to_string(path).unwrap(), printed);
    fs::remove_dir_all(project.root.join(".cargo")).unwrap();

    let path = project.write("é frozen.toml", "[build]\njobs = 1\n");
    let arguments = ["freeze", "z-sys", "--output", "é frozen.toml"];
    let output = project.brig(&arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(4), "{}", shown(&output));
    assert!(stderr(&output).contains("is not of `cargo brig freeze`"), "{}", shown(&output));
    assert_eq!(fs::read_to_string(&path).unwrap(), "[build]\njobs = 1\n");
    fs::write(&path, format!("{printed}# old\n")).unwrap();
    succeed(&mut project.brig(&arguments));
    assert_eq!(fs::read_to_string(&path).unwrap(), printed);
    let names = fs::read_dir(&project.root).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(names.filter(|name| name.to_string_lossy().contains("frozen")).count(), 1);
}

/// Packages that cannot be frozen: a script, a crate, and the reason.
const REFUSED: &[(&str, &str, &str, &str)] = &[
    (
        "includes",
        "std::fs::write(std::env::var(\"OUT_DIR\").unwrap() + \"/x.rs\", \"1\").unwrap();",
        "pub const X: u8 = include!(concat!(env!(\"OUT_DIR\"), \"/x.rs\"));",
        "its crate uses OUT_DIR",
    ),
    (
        "searches",
        "println!(\"cargo::rustc-link-search=native={}\", std::env::var(\"OUT_DIR\").unwrap());",
        "",
        "names a place in the build directory",
    ),
    (
        "tells",
        "println!(\"cargo::metadata=include={}/x\", std::env::var(\"OUT_DIR\").unwrap());",
        "",
        "names a place in the build directory",
    ),
    (
        "changes",
        "if std::env::var(\"PROFILE\").unwrap() == \"release\" { println!(\"cargo::rustc-env=A=b\"); }",
        "",
        "told Cargo different things",
    ),
    ("linker", "", "", "is a setting of Cargo's"),
];

#[test]
fn what_an_override_would_not_stand_in_for_is_refused() {
    let project = Project::of("refused é", &[]);
    let mut members = String::new();
    for (name, script, source, _) in REFUSED {
        let manifest = format!(
            "[package]\nname = \"{name}\"\nversion = \"1.0.0\"\nedition = \"2024\"\nlinks = \"{name}\"\n"
        );
        project.write(&format!("{name}/Cargo.toml"), &manifest);
        project.write(&format!("{name}/build.rs"), &format!("fn main() {{ {script} }}"));
        project.write(&format!("{name}/src/lib.rs"), source);
        members.extend(["\"", name, "\", "]);
    }
    project.write("Cargo.toml", &format!("[workspace]\nmembers = [{members}]\nresolver = \"3\"\n"));
    succeed(&mut project.brig(&["build"]));
    succeed(&mut project.brig(&["build", "--release", "-p", "changes"]));
    for (name, _, _, reason) in REFUSED {
        let arguments = ["freeze", name, "--output", "frozen.toml"];
        let output = project.brig(&arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(4), "{}", shown(&output));
        let told = stderr(&output);
        let begin = format!("warning: not frozen: `{name} v1.0.0`\n  ");
        assert!(told.starts_with(&begin) && told.contains(reason), "{name}: {told}");
        assert_eq!(told.lines().count(), 2, "{told}");
        assert!(!project.root.join("frozen.toml").exists());
    }
    // Of all, those that can be; here none.
    let output = succeed(&mut project.brig(&["freeze"]));
    assert!(!stdout(&output).contains("[target"), "{}", shown(&output));
    assert_eq!(stderr(&output).matches("not frozen").count(), REFUSED.len());

    // A crate that was not compiled may use OUT_DIR.
    fs::remove_dir_all(project.root.join("target/debug/deps")).unwrap();
    let output = project.brig(&["freeze", "searches"]).output().unwrap();
    assert!(stderr(&output).contains("its crate was not compiled"), "{}", shown(&output));
}
