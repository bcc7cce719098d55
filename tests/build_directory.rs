//! What other packages have left in the build directory is closed to a script, however Cargo lays it out.

mod support;

use std::fs;

use support::{Project, shown, stderr, succeed};

/// A member of the workspace looks for what another one's script left, which was built for the host.
const LOOKS: &str = r#"
fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let package = std::env::var("CARGO_MANIFEST_DIR").unwrap();
    let builds = format!("{package}/../target/debug/build");
    let units = std::fs::read_dir(builds).into_iter().flatten().flatten();
    let found = units.filter(|unit| std::fs::read(unit.path().join("out/secret")).is_ok()).count();
    println!("cargo::warning=found {found}");
}
"#;

const LEAVES: &str = r#"
fn main() {
    std::fs::write(std::env::var("OUT_DIR").unwrap() + "/secret", "").unwrap();
}
"#;

#[test]
fn outputs_of_others_are_closed_with_and_without_a_target() {
    let manifest = |name: &str, rest: &str| {
        format!("[package]\nname = \"{name}\"\nversion = \"1.2.3\"\nedition = \"2024\"\n{rest}")
    };
    let project = Project::of(
        "workspace",
        &[
            ("Cargo.toml", "[workspace]\nresolver = \"3\"\nmembers = [\"leaves\", \"looks\"]\n"),
            ("leaves/Cargo.toml", &manifest("leaves", "")),
            ("leaves/src/lib.rs", ""),
            ("leaves/build.rs", LEAVES),
            (
                "looks/Cargo.toml",
                &manifest("looks", "[build-dependencies]\nleaves.path = \"../leaves\"\n"),
            ),
            ("looks/src/lib.rs", ""),
            ("looks/build.rs", LOOKS),
        ],
    );
    let host = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    for arguments in [&["build"][..], &["build", "--target", &host]] {
        let found = |count: usize| format!("looks@1.2.3: found {count}");
        let plain = succeed(&mut project.cargo(arguments));
        assert!(stderr(&plain).contains(&found(1)), "{}", shown(&plain));
        std::fs::remove_dir_all(project.root.join("target")).unwrap();
        let jailed = succeed(&mut project.brig(arguments));
        assert!(stderr(&jailed).contains(&found(0)), "{}", shown(&jailed));
        std::fs::remove_dir_all(project.root.join("target")).unwrap();
    }
}

/// Lists what Cargo has compiled for others, and calls a shared library of another package.
const LINKED: &str = r#"
fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    assert_eq!(shared::answer(), 42);
    let package = std::env::var("CARGO_MANIFEST_DIR").unwrap();
    let deps = std::fs::read_dir(format!("{package}/../target/debug/deps")).into_iter().flatten();
    let read = deps.flatten().filter(|file| std::fs::read(file.path()).is_ok());
    let names = read.map(|file| file.file_name().into_string().unwrap());
    let others = names.filter(|name| !(name.contains("shared") && name.ends_with(".so"))).count();
    println!("cargo::warning=others {others}");
}
"#;

/// As clang-sys looks for a library, in all directories of `LD_LIBRARY_PATH`.
const LOOKS_FOR_A_LIBRARY: &str = r#"
fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let path = std::env::var_os("LD_LIBRARY_PATH").unwrap();
    let deps = std::env::split_paths(&path).find(|path| path.ends_with("debug/deps")).unwrap();
    let of_others = |name: &std::path::Path| name.to_string_lossy().contains("libother");
    let names = std::fs::read_dir(deps).unwrap().map(|entry| entry.unwrap().path());
    let found: Vec<_> = names.filter(|path| of_others(path)).collect();
    let read = found.iter().filter(|path| std::fs::read(path).is_ok()).count();
    println!("cargo::warning=found {} read {read}", !found.is_empty());
}
"#;

#[test]
fn what_is_compiled_is_listed_and_not_read() {
    let manifest = |name: &str, rest: &str| {
        format!("[package]\nname = \"{name}\"\nversion = \"1.2.3\"\nedition = \"2024\"\n{rest}")
    };
    let project = Project::of(
        "looks",
        &[
            (
                "Cargo.toml",
                &manifest("looks", "[workspace]\n[dependencies]\nother.path = \"other\"\n"),
            ),
            ("src/lib.rs", ""),
            ("build.rs", LOOKS_FOR_A_LIBRARY),
            ("other/Cargo.toml", &manifest("other", "")),
            ("other/src/lib.rs", ""),
        ],
    );
    // The variable would lack them.
    project.write("brig.toml", "[environment]\npass = [\"LD_LIBRARY_PATH\"]\n");
    // The other package is compiled before.
    succeed(&mut project.cargo(&["build", "--package", "other"]));
    let output = succeed(&mut project.brig(&["--policy", "default", "build"]));
    assert!(stderr(&output).contains("found true read 0"), "{}", shown(&output));
    let denied = stderr(&output);
    assert!(denied.contains("tried to read") && !denied.contains("tried to list"), "{denied}");
}

#[test]
fn of_what_is_compiled_a_script_reads_the_libraries_that_it_is_linked_with() {
    let manifest = |name: &str, rest: &str| {
        format!("[package]\nname = \"{name}\"\nversion = \"1.2.3\"\nedition = \"2024\"\n{rest}")
    };
    let of_script = "[build-dependencies]\nshared.path = \"../shared\"\n[dependencies]\nfirst.path = \"../first\"\n";
    let project = Project::of(
        "linked",
        &[
            (
                "Cargo.toml",
                "[workspace]\nresolver = \"3\"\nmembers = [\"first\", \"script\", \"shared\"]\n",
            ),
            ("first/Cargo.toml", &manifest("first", "")),
            ("first/src/lib.rs", ""),
            ("shared/Cargo.toml", &manifest("shared", "[lib]\ncrate-type = [\"dylib\"]\n")),
            ("shared/src/lib.rs", "pub fn answer() -> u8 { 42 }\n"),
            ("script/Cargo.toml", &manifest("script", of_script)),
            ("script/src/lib.rs", ""),
            ("script/build.rs", LINKED),
            (".cargo/config.toml", "[build]\nrustflags = [\"-Cprefer-dynamic\"]\n"),
        ],
    );
    succeed(&mut project.brig(&["build", "-p", "first"]));
    let others = |output: &std::process::Output| {
        let text = stderr(output);
        let count = text.lines().find_map(|line| line.split_once("others ")?.1.parse::<u32>().ok());
        count.unwrap_or_else(|| panic!("{}", shown(output)))
    };
    assert!(others(&succeed(&mut project.cargo(&["build"]))) > 0);
    succeed(&mut project.cargo(&["clean", "-p", "script"]));
    assert_eq!(others(&succeed(&mut project.brig(&["build"]))), 0);
}

/// Prints where its loader looks.
const LOADS: &str = r#"
fn main() {
    println!("cargo::warning=path {}.", std::env::var("LD_LIBRARY_PATH").unwrap_or_default());
}
"#;

/// Cargo names directories for the loader in which programs of scripts find nothing, and look for each
/// library all the same.
#[test]
fn the_loader_looks_only_where_there_is_something() {
    let project = Project::with_script("loads", LOADS);
    let own = project.root.join("own");
    fs::create_dir(&own).unwrap();
    let own = own.to_str().unwrap();
    let directories = |mut command: std::process::Command, users: &str| -> Vec<String> {
        succeed(&mut project.cargo(&["clean"]));
        let text = stderr(&succeed(command.env("LD_LIBRARY_PATH", users)));
        let path = text.lines().find_map(|line| line.split_once(": path ")).expect(&text).1;
        let paths = path.trim_end_matches('.').split(':');
        paths.filter(|path| !path.is_empty()).map(str::to_owned).collect()
    };
    let target = project.root.join("target/debug");
    let (target, deps) = (target.to_str().unwrap(), target.join("deps"));
    let deps = deps.to_str().unwrap();
    let without = directories(project.cargo(&["build"]), own);
    for expected in [target, deps, own] {
        assert!(without.iter().any(|path| path == expected), "{expected}: {without:?}");
    }
    assert!(without.iter().any(|path| path.contains("/rustlib/")), "{without:?}");
    // The user's own is not granted at first, then it is.
    assert_eq!(directories(project.brig(&["build"]), ""), [""; 0]);
    let policy = |text: &str| project.write("brig.toml", text);
    policy(&format!("[files]\nread = [{own:?}]\n"));
    assert_eq!(directories(project.brig(&["build"]), own), [own]);
    policy("[environment]\npass = [\"LD_LIBRARY_PATH\"]\n");
    assert_eq!(directories(project.brig(&["build"]), own), without);
    policy("mode = \"permissive\"\n");
    assert_eq!(directories(project.brig(&["build"]), own), without);
    // This script is linked with Rust's own library.
    policy("");
    project.write(".cargo/config.toml", "[build]\nrustflags = [\"-Cprefer-dynamic\"]\n");
    let linked = directories(project.brig(&["build"]), "");
    assert!(linked.iter().any(|path| path.contains("/rustlib/")), "{linked:?}");
    assert!(linked.len() == 1, "{linked:?}");
}
