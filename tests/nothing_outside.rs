//! Nothing that a build script brings along runs outside of the jail: not a library that it plants,
//! not through the loader's variables, and not the script itself, however it is named, compiled or
//! hidden.
//!
//! Each attack is first seen to work under plain Cargo. What runs outside leaves a file in the
//! project's directory `ran`, where no script can write from within the jail.

mod support;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use cargo_brig::launcher::slot;

use support::{Project, TOOL, cargo, clean_command, fail, shown, stderr, succeed};

/// A package without anything but a library; tables can follow it.
fn manifest(name: &str, rest: &str) -> String {
    format!("[package]\nname = \"{name}\"\nversion = \"1.2.3\"\nedition = \"2024\"\n{rest}")
}

/// A workspace of packages, each with a manifest's last lines and a build script; no script if that
/// is empty.
fn workspace(packages: &[(&str, &str, &str)]) -> Project {
    let members: Vec<&str> = packages.iter().map(|(name, _, _)| *name).collect();
    let text = format!("[workspace]\nresolver = \"3\"\nmembers = {members:?}\n");
    let project = Project::of("workspace", &[("Cargo.toml", &text)]);
    for (name, rest, script) in packages {
        project.write(&format!("{name}/Cargo.toml"), &manifest(name, rest));
        project.write(&format!("{name}/src/lib.rs"), "");
        if !script.is_empty() {
            project.write(&format!("{name}/build.rs"), script);
        }
    }
    fs::create_dir(project.root.join("ran")).unwrap();
    project
}

/// One package whose script tries to leave a file outside, and goes on if it cannot.
fn escaping() -> Project {
    let project = Project::with_script("escaping", ESCAPE);
    // A file that is missing makes a script run again each time.
    project.write("trigger", "");
    fs::create_dir(project.root.join("ran")).unwrap();
    project
}

const ESCAPE: &str = "\
fn main() {
    println!(\"cargo::rerun-if-changed=trigger\");
    drop(std::fs::write(\"ran/script\", \"\"));
}
";

/// What left a file in `ran` since the last call.
fn ran(project: &Project) -> BTreeSet<String> {
    let directory = project.root.join("ran");
    let names = fs::read_dir(&directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    fs::remove_dir_all(&directory).unwrap();
    fs::create_dir(&directory).unwrap();
    names
}

/// Runs plain Cargo, takes its `target` away, and returns what left a file.
fn ran_without_the_jail(project: &Project, command: &mut Command) -> BTreeSet<String> {
    let output = command.output().unwrap();
    let target = project.root.join("target");
    if target.exists() {
        fs::remove_dir_all(target).unwrap();
    }
    let names = ran(project);
    assert!(!names.is_empty(), "the attack must work without the jail: {}", shown(&output));
    names
}

#[track_caller]
fn assert_nothing_ran(project: &Project, output: &Output) {
    assert_eq!(ran(project), BTreeSet::new(), "{}", shown(output));
}

#[track_caller]
fn assert_says(output: &Output, text: &str) {
    assert!(stderr(output).contains(text), "`{text}` is missing in {}", shown(output));
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// A library that leaves the file `MARKER` and the name of the program that loads it. Its code runs
/// while the library is relocated (an indirect function's resolver, GCC manual, "Common Function
/// Attributes"), before the loader notices that the library has nothing of what it stands for; so it
/// can use nothing but system calls.
const PLANT: &str = include_str!("data/plant.c");

/// What scripts use to plant [`PLANT`], which lies in the workspace's root.
const PLANTING: &str = r#"
fn plant(name: &str, marker: &str) {
    let root = std::fs::canonicalize("..").unwrap();
    let out = std::env::var("OUT_DIR").unwrap();
    let status = std::process::Command::new("cc")
        .args(["-shared", "-fPIC", "-nostdlib", "-Wl,-z,now", "../plant.c"])
        .arg(format!("-DMARKER=\"{}/ran/{marker}-\"", root.display()))
        .args(["-o".to_owned(), format!("{out}/{name}")])
        .status()
        .unwrap();
    assert!(status.success());
}
"#;

/// A workspace in which `evil` plants these libraries in `OUT_DIR/planted`, and names a directory of
/// its `OUT_DIR` that Cargo then puts into `LD_LIBRARY_PATH` for the script of `victim`, which has it
/// as a build dependency, and for the rustc that compiles `user`, which has it behind a procedural
/// macro.
fn with_planted(libraries: &[&str], searched: &str) -> Project {
    let script = format!(
        r#"
fn main() {{
    let out = std::env::var("OUT_DIR").unwrap();
    std::fs::create_dir_all(format!("{{out}}/planted")).unwrap();
    for library in {libraries:?} {{
        plant(&format!("planted/{{library}}"), library);
    }}
    // What is linked afterwards shall find the true one, and load the planted one when it runs.
    let cc = std::process::Command::new("cc").arg("-print-file-name=libgcc_s.so.1").output();
    let path = String::from_utf8(cc.unwrap().stdout).unwrap();
    let text = format!("GROUP ( \"{{}}\" -lgcc )", path.trim());
    std::fs::write(format!("{{out}}/planted/libgcc_s.so"), text).unwrap();
    println!("cargo::rustc-link-search=native={{out}}/{searched}");
    println!("cargo::rerun-if-changed=build.rs");
}}
{PLANTING}"#
    );
    let macros = "[lib]\nproc-macro = true\n[dependencies]\nevil = { path = \"../evil\" }\n";
    let project = workspace(&[
        ("evil", "", &script),
        ("victim", "[build-dependencies]\nevil = { path = \"../evil\" }\n", "fn main() {}"),
        ("macros", macros, ""),
        ("user", "[dependencies]\nmacros = { path = \"../macros\" }\n", ""),
    ]);
    project.write("plant.c", PLANT);
    project
}

#[test]
fn a_planted_library_runs_in_no_compiler_shim_or_launcher() {
    // The libraries come to the place where they are found when their script has ended and cannot be
    // withheld from any longer: shim and launcher must not depend on that.
    let project = with_planted(&["libc.so.6", "libgcc_s.so.1"], "searched");
    let both = ["build", "-p", "victim", "-p", "user"];
    let move_there = || {
        for library in project.files_named("target", "libc.so.6") {
            let planted = library.parent().unwrap();
            fs::rename(planted, planted.with_file_name("searched")).unwrap();
        }
        // Both are built again, with what is there now.
        project.write("victim/src/lib.rs", "");
        project.write("user/src/lib.rs", "");
    };
    succeed(&mut project.cargo(&both));
    move_there();
    let output = fail(&mut project.cargo(&["build", "-p", "victim"]));
    assert_eq!(ran(&project), names(&["libgcc_s.so.1-build-script-build"]), "{}", shown(&output));
    let user = &mut project.cargo(&["build", "-p", "user"]);
    assert_eq!(ran_without_the_jail(&project, user), names(&["libc.so.6-rustc"]));

    succeed(&mut project.brig(&both));
    move_there();
    // The compiler does not see it.
    let output = succeed(&mut project.brig(&["build", "-p", "user"]));
    assert_nothing_ran(&project, &output);
    // The script breaks by it as it does without the jail, but within; its launcher does not.
    let output = fail(&mut project.brig(&["build", "-p", "victim"]));
    assert_nothing_ran(&project, &output);
    let records = project.records();
    let victim = records.iter().find(|record| record["unit"]["package"] == "victim").unwrap();
    assert_eq!(victim["exit"], serde_json::json!({ "code": 127 }), "{victim:#}");
    assert_says(&output, "the build script of `victim v1.2.3` tried to create");
}

#[test]
fn loader_variables_of_a_script_do_not_reach_the_compiler() {
    // Blanks would end a path in LD_PRELOAD, so it is relative to the compiler's directory, the
    // workspace's root.
    let script = format!(
        r#"
fn main() {{
    let variable = std::env::var("CARGO_PKG_NAME").unwrap();
    let out = std::env::var("OUT_DIR").unwrap();
    let root = std::fs::canonicalize("..").unwrap();
    let out = std::path::Path::new(&out).strip_prefix(root).unwrap();
    plant("libc.so.6", &variable);
    let file = if variable == "LD_LIBRARY_PATH" {{ "" }} else {{ "/libc.so.6" }};
    println!("cargo::rustc-env={{variable}}={{}}{{file}}", out.display());
}}
{PLANTING}"#
    );
    let variables = ["LD_AUDIT", "LD_LIBRARY_PATH", "LD_PRELOAD"];
    let project = workspace(&variables.map(|variable| (variable, "", script.as_str())));
    project.write("plant.c", PLANT);
    let arguments = ["check", "--keep-going"];
    let plain = ran_without_the_jail(&project, &mut project.cargo(&arguments));
    assert_eq!(plain, variables.map(|variable| format!("{variable}-rustc")).into());

    let output = fail(&mut project.brig(&arguments));
    assert_nothing_ran(&project, &output);
    for variable in variables {
        let start = format!("the build script of `{variable} v1.2.3` printed ");
        assert_says(&output, &format!("{start}`cargo::rustc-env={variable}=target/debug/"));
    }
    assert_says(&output, "which is withheld: the variable steers the loader");
}

#[test]
fn loader_variables_of_the_workspace_reach_neither_shim_nor_launcher() {
    let project = escaping();
    let plant = project.write("plant.c", PLANT);
    // No rustc works under this audit, so no script is compiled by one; it is seen to be loaded.
    let programs: [(&str, &[&str]); 2] =
        [("LD_AUDIT", &["rustc"]), ("LD_PRELOAD", &["rustc", "build-script-build"])];
    for (variable, programs) in programs {
        let marker = format!("-DMARKER=\"{}/ran/{variable}-\"", project.root.display());
        let mut cc = clean_command("cc");
        cc.args(["-shared", "-fPIC", "-nostdlib", "-Wl,-z,now"]).args([&marker, "-o"]);
        succeed(cc.arg(project.root.join("planted.so")).arg(&plant));
        let config = format!("[env]\n{variable} = {{ value = \"./planted.so\", force = true }}\n");
        project.write(".cargo/config.toml", &config);
        let plain = ran_without_the_jail(&project, &mut project.cargo(&["check"]));
        for program in programs {
            assert!(plain.contains(&format!("{variable}-{program}")), "{plain:?}");
        }
        let output = succeed(&mut project.brig(&["check"]));
        assert_nothing_ran(&project, &output);
        assert_says(&output, "Jailed 1 build script run in the jail");
        fs::remove_dir_all(project.root.join("target")).unwrap();
    }
}

/// A script that leaves a file named as its package.
const ESCAPE_BY_NAME: &str = "\
fn main() {
    let name = std::env::var(\"CARGO_PKG_NAME\").unwrap();
    drop(std::fs::write(format!(\"../ran/{name}\"), \"\"));
}
";

#[test]
fn scripts_are_found_by_any_name_and_in_an_argument_file() {
    // Cargo hands rustc the features' names as one argument, and uses a file when the kernel refuses
    // that (execve(2), `MAX_ARG_STRLEN`).
    let features: Vec<String> =
        (0..2500).map(|n| format!("a{}_{n} = []\n", "x".repeat(60))).collect();
    let features = features.concat();
    let project = workspace(&[
        ("usual", "", ESCAPE_BY_NAME),
        ("renamed", "build = \"gen.rs\"\n", ""),
        ("accented", "build = \"tools/my-Gén_1.rs\"\n", ""),
        ("binary", "[[bin]]\nname = \"usual\"\npath = \"main.rs\"\n", ESCAPE_BY_NAME),
        ("features", &format!("[features]\n{features}"), ESCAPE_BY_NAME),
    ]);
    project.write("renamed/gen.rs", ESCAPE_BY_NAME);
    project.write("accented/tools/my-Gén_1.rs", ESCAPE_BY_NAME);
    project.write("binary/main.rs", "fn main() {}");
    let wrapper = wrapper(
        &project,
        "for word; do case $word in @*) : >> argument-file-seen;; esac; done\nexec \"$@\"\n",
    );
    let all = names(&["usual", "renamed", "accented", "binary", "features"]);
    assert_eq!(ran_without_the_jail(&project, &mut project.cargo(&["check"])), all);

    let output = succeed(project.brig(&["check"]).env("RUSTC_WRAPPER", wrapper));
    assert_nothing_ran(&project, &output);
    assert!(project.root.join("argument-file-seen").exists(), "no argument file was used");
    assert_says(&output, "Jailed 5 build script runs in the jail, 5 denials");
}

/// A wrapper of the user's: a shell script in the project.
fn wrapper(project: &Project, text: &str) -> PathBuf {
    let path = project.root.join("wrapper");
    executable(&path, text);
    path
}

fn executable(path: &Path, text: &str) {
    fs::write(path, format!("#!/bin/sh\n{text}")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Spellings on rustc's command line that Cargo does not use today.
#[test]
fn other_spellings_of_a_compilation_are_found() {
    let project = escaping();
    let rustc = succeed(clean_command("rustc").args(["--print", "sysroot"]));
    let rustc = Path::new(support::stdout(&rustc).trim()).join("bin/rustc");
    project.write("arguments", "--crate-name\nbuild_script_build\n--crate-type\nbin\n");
    let spellings: &[&[&str]] = &[
        &["--crate-name=build_script_build", "--crate-type=bin", "--out-dir=written"],
        &["--crate-name", "build_script_build", "--crate-type", "bin,bin", "--out-dir", "written"],
        &[
            "--crate-type=bin",
            "--crate-name=build_script_build",
            "-o",
            "written/build_script_build",
        ],
        &["@arguments", "--out-dir", "written", "--emit", "link"],
        &["--crate-name=metabuild_a", "--crate-type=bin", "-owritten/build_script_build"],
        &[
            "--crate-name=build_script_build",
            "--crate-type=bin",
            "--emit=link=written/build_script_build",
        ],
    ];
    let program = project.root.join("written/build_script_build");
    for spelling in spellings {
        fs::create_dir(project.root.join("written")).unwrap();
        let mut plain = clean_command(&rustc);
        succeed(plain.args(*spelling).arg("build.rs").current_dir(&project.root));
        succeed(clean_command(&program).current_dir(&project.root));
        assert_eq!(ran(&project), names(&["script"]));

        fs::remove_dir_all(project.root.join("written")).unwrap();
        fs::create_dir(project.root.join("written")).unwrap();
        let mut shim = clean_command(TOOL);
        shim.arg(&rustc).args(*spelling).arg("build.rs").current_dir(&project.root);
        let output = succeed(&mut shim);
        // A launcher says what it misses; the script would have left its file.
        let run = fail(clean_command(&program).current_dir(&project.root));
        assert_eq!(run.status.code(), Some(125), "{spelling:?}: {}", shown(&run));
        assert_says(&run, "error: brig: OUT_DIR is not set");
        assert_nothing_ran(&project, &output);
        fs::remove_dir_all(project.root.join("written")).unwrap();
    }
}

#[test]
fn flags_of_the_workspace_do_not_move_a_script_out_of_sight() {
    let project = escaping();
    for flags in [
        "['-L', '--out-dir=/x/deps']",
        "['-L', '-o/x/deps/y']",
        "['-L', '--emit=link=/x/deps/y']",
        "['-gL', '--out-dir=/x/deps']",
    ] {
        project.write(".cargo/config.toml", &format!("[build]\nrustflags = {flags}\n"));
        let plain = ran_without_the_jail(&project, &mut project.cargo(&["check"]));
        assert_eq!(plain, names(&["script"]));
        let output = succeed(&mut project.brig(&["check"]));
        assert_nothing_ran(&project, &output);
        assert_says(&output, "Jailed 1 build script run in the jail, 1 denial");
        fs::remove_dir_all(project.root.join("target")).unwrap();
    }
    let flags = "[build]\nrustflags = ['-C', 'extra-filename=-x']\n";
    project.write(".cargo/config.toml", flags);
    let output = fail(&mut project.brig(&["check"]));
    assert_nothing_ran(&project, &output);
    assert_says(&output, "error: brig: `-C extra-filename` among rustc's flags has a crate");
}

/// It is asked for its version outside of the jail, and what else it would do.
#[test]
fn under_a_locked_policy_the_workspace_names_no_compiler() {
    let project = escaping();
    let root = project.root.display();
    let sysroot = succeed(clean_command("rustc").args(["--print", "sysroot"]));
    let real = format!("{}/bin/rustc", support::stdout(&sysroot).trim());
    let text = format!("echo >'{root}/ran/compiler'\n");
    executable(&project.root.join("rustc"), &format!("{text}exec {real} \"$@\"\n"));
    executable(&project.root.join("sccache"), &format!("{text}exec \"$@\"\n"));
    for settings in [
        format!("rustc = \"{root}/rustc\""),
        "rustc = \"./rustc\"".to_owned(),
        format!("rustc-workspace-wrapper = \"{root}/rustc\""),
        "rustc-wrapper = \"./sccache\"".to_owned(),
        format!(
            "rustc = \"rustc\"\n[env]\nPATH = {{ value = \"{root}:/usr/bin:/bin\", force = true }}"
        ),
    ] {
        project.write(".cargo/config.toml", &format!("[build]\n{settings}\n"));
        let plain = ran_without_the_jail(&project, &mut project.cargo(&["check"]));
        assert!(plain.contains("compiler"), "{settings}: {plain:?}");
        let output = fail(&mut project.brig(&["--policy", "farm", "check"]));
        assert_nothing_ran(&project, &output);
        if !settings.contains("PATH") {
            assert_says(&output, "under a locked policy it is not");
        }
    }
    fs::remove_dir_all(project.root.join(".cargo")).unwrap();
    let denied = fail(&mut project.brig(&["--policy", "farm", "check"]));
    assert_says(&denied, "tried to create");
    // What the user says counts.
    let mut own = project.brig(&["--policy", "farm", "check"]);
    let output = own.env("RUSTC", project.root.join("rustc")).output().unwrap();
    assert!(!stderr(&output).contains("is no compiler"), "{}", shown(&output));
}

#[test]
fn settings_of_the_workspace_do_not_turn_the_jail_off() {
    let project = escaping();
    let wrapper = wrapper(&project, ": > ran/wrapper\nexec \"$@\"\n");
    let wrapper = wrapper.to_str().unwrap();
    let plain = &mut project.cargo(&["check"]);
    let plain = ran_without_the_jail(&project, plain.env("CARGO_BUILD_RUSTC_WRAPPER", wrapper));
    assert_eq!(plain, names(&["script", "wrapper"]));
    let forced =
        |name: &str, value: &str| format!("{name} = {{ value = '{value}', force = true }}\n");
    let own: String = ["CARGO_BRIG_RUSTC_WRAPPER", "RUSTC_WRAPPER", "CARGO_BUILD_RUSTC_WRAPPER"]
        .map(|name| forced(name, wrapper))
        .concat();
    let names_of_crates: String =
        ["CARGO_CRATE_NAME", "CARGO_BIN_NAME", "CARGO_PRIMARY_PACKAGE", "CARGO_BRIG_SESSION"]
            .map(|name| forced(name, "/nowhere"))
            .concat();
    let nothing: String = ["RUSTC_WRAPPER", "CARGO_BUILD_RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER"]
        .map(|name| forced(name, ""))
        .concat();
    let configs = [
        format!("[env]\n{own}"),
        format!("[env]\n{names_of_crates}"),
        format!("[env]\n{nothing}"),
        "[build]\nrustc-wrapper = \"\"\n".to_owned(),
        "[build]\nbuild-dir = \"target/elsewhere\"\n".to_owned(),
        String::new(),
    ];
    for config in configs {
        project.write(".cargo/config.toml", &config);
        let environment =
            if config.is_empty() { ["CARGO_BUILD_RUSTC_WRAPPER"].as_slice() } else { &[] };
        let with = |mut command: Command| {
            for name in environment {
                command.env(name, "");
            }
            command
        };
        let arguments: &[&str] = &["check", "--config", "build.rustc-wrapper=''"];
        let arguments = if config.is_empty() { arguments } else { &arguments[..1] };
        let plain = ran_without_the_jail(&project, &mut with(project.cargo(arguments)));
        assert!(plain.contains("script"), "{config}: {plain:?}");
        let output = with(project.brig(arguments)).output().unwrap();
        assert!(output.status.success(), "{config}: {}", shown(&output));
        assert_nothing_ran(&project, &output);
        assert_says(&output, "Jailed 1 build script run in the jail, 1 denial");
        fs::remove_dir_all(project.root.join("target")).unwrap();
    }
}

#[test]
fn an_empty_wrapper_is_refused() {
    let project = escaping();
    let plain = &mut project.cargo(&["check"]);
    ran_without_the_jail(&project, plain.env("RUSTC_WRAPPER", ""));
    let output = fail(project.brig(&["check"]).env("RUSTC_WRAPPER", ""));
    assert_eq!(output.status.code(), Some(2));
    assert_says(&output, "error: brig: RUSTC_WRAPPER is set to nothing, by which Cargo runs rustc");
    assert_says(&output, "unset it, or run `cargo` without `brig`");
    assert!(!project.root.join("target").exists());
    assert_nothing_ran(&project, &output);
}

#[test]
fn a_script_that_plain_cargo_compiled_and_ran_is_compiled_and_run_again() {
    let project = escaping();
    succeed(&mut project.cargo(&["check"]));
    assert_eq!(ran(&project), names(&["script"]));
    let output = succeed(&mut project.brig(&["check"]));
    assert_nothing_ran(&project, &output);
    assert_says(&output, "Compiling escaping v1.2.3");
    assert_says(&output, "Jailed 1 build script run in the jail, 1 denial");

    // Plain Cargo goes on with its own script, and ours stays ours.
    project.write("trigger", "");
    succeed(&mut project.cargo(&["check"]));
    assert_eq!(ran(&project), names(&["script"]));
    let output = succeed(&mut project.brig(&["check"]));
    assert_nothing_ran(&project, &output);
    assert_says(&output, "Jailed 1 build script run in the jail, 1 denial");
    let output = succeed(&mut project.brig(&["check"]));
    assert_says(&output, "Jailed 0 build script runs in the jail, 1 fresh, nothing denied");
}

#[test]
fn commands_that_fix_the_workspace_jail_its_scripts() {
    let project = workspace(&[("first", "", ESCAPE_BY_NAME), ("second", "", ESCAPE_BY_NAME)]);
    let both = names(&["first", "second"]);
    let source = "pub fn one() -> u8 {\n    return (1);\n}\n";
    // Cargo replaces an alias itself, and then calls rustc without a wrapper all the same.
    let aliases = "[alias]\nmend = [\"fix\", \"--allow-no-vcs\"]\nheal = \"mend --lib\"\n";
    project.write(".cargo/config.toml", aliases);
    for arguments in
        [["fix", "--allow-no-vcs"].as_slice(), &["clippy", "--fix", "--allow-no-vcs"], &["heal"]]
    {
        project.write("first/src/lib.rs", source);
        assert_eq!(ran_without_the_jail(&project, &mut project.cargo(arguments)), both);
        let fixed = fs::read_to_string(project.root.join("first/src/lib.rs")).unwrap();
        assert_ne!(fixed, source);

        project.write("first/src/lib.rs", source);
        let output = succeed(&mut project.brig(arguments));
        assert_nothing_ran(&project, &output);
        assert_says(&output, "Jailed 2 build script runs in the jail, 2 denials");
        let again = fs::read_to_string(project.root.join("first/src/lib.rs")).unwrap();
        assert_eq!(again, fixed);
        fs::remove_dir_all(project.root.join("target")).unwrap();
    }
}

/// Puts the bare script back where Cargo runs it, once the package's library is compiled.
const SABOTAGE: &str = "\
\"$@\" || exit
case \" $* \" in *' --crate-name escaping '*)
    for script in target/debug/build/escaping-*/*.brig-script; do
        cp \"$script\" \"${script%/*}/new\" && mv -f \"${script%/*}/new\" \"${script%/*}/build-script-build\"
    done
esac
";

#[test]
fn a_build_with_a_script_outside_of_the_jail_is_no_success() {
    let project = escaping();
    let wrapper = wrapper(&project, SABOTAGE);
    for arguments in [["check"].as_slice(), &["check", "--quiet"]] {
        let output = fail(project.brig(arguments).env("RUSTC_WRAPPER", &wrapper));
        assert_eq!(output.status.code(), Some(3), "{}", shown(&output));
        assert_says(&output, "error: the build script `");
        assert_says(&output, "/build-script-build` is not in the jail\n");
        assert_says(&output, "error: the build is not reported as a success: 1 build script of it");
        fs::remove_dir_all(project.root.join("target")).unwrap();
    }
    // Cargo's own failure keeps its code, and what was found is said all the same.
    project.write("src/lib.rs", "fn main() { no_such_function() }");
    let sabotage =
        SABOTAGE.replace("\"$@\" || exit\n", "").replace("esac\n", "esac\nexec \"$@\"\n");
    let wrapper = self::wrapper(&project, &sabotage);
    let output = fail(project.brig(&["check"]).env("RUSTC_WRAPPER", &wrapper));
    assert_eq!(output.status.code(), Some(101), "{}", shown(&output));
    assert_says(&output, "/build-script-build` is not in the jail\n");
    // The next build finds the launcher again, where the script would have run outside.
    project.write("src/lib.rs", "");
    project.write("trigger", "");
    let output = succeed(&mut project.brig(&["check"]));
    assert_nothing_ran(&project, &output);
    assert_says(&output, "Jailed 1 build script run in the jail, 1 denial");
}

/// A package that was built in the jail, and its launcher.
fn with_launcher() -> (Project, PathBuf) {
    let project = escaping();
    succeed(&mut project.brig(&["check"]));
    let mut found = Vec::new();
    support::walk(&project.root.join("target"), &mut |path| {
        let name = path.file_name().unwrap().to_str().unwrap();
        if name.starts_with("build_script_build-") && !name.contains('.') {
            found.push(path.to_owned());
        }
    });
    assert_eq!(found.len(), 1, "{found:?}");
    (project, found.remove(0))
}

#[test]
fn a_launcher_with_a_damaged_trailer_runs_nothing_and_says_so() {
    let (project, launcher) = with_launcher();
    let whole = fs::read(&launcher).unwrap();
    let end = whole.len();
    let flipped = |from_end: usize| {
        let mut bytes = whole.clone();
        bytes[end - from_end] ^= 1;
        bytes
    };
    let name = launcher.file_name().unwrap().len() + ".brig-script".len();
    // The footer: magic (12 bytes), format (4), length of the body (4); before it the body.
    let damages = [
        ("cut by a byte", whole[..end - 1].to_vec(), "damaged"),
        ("cut in the body", whole[..end - 25].to_vec(), "damaged"),
        ("cut to the program", whole[..end - 20 - name - 1].to_vec(), "damaged"),
        ("magic", flipped(20), "damaged"),
        ("format", flipped(8), "damaged"),
        ("length, low byte", flipped(4), "does not exist"),
        ("length, high byte", flipped(1), "damaged"),
        ("script's name", flipped(20 + name), "does not exist"),
    ];
    let out_dir = project.files_named("target", "output").remove(0).with_file_name("out");
    for (what, bytes, message) in damages {
        // In place, so that it is the link that Cargo runs as well.
        fs::write(&launcher, bytes).unwrap();
        let mut command = clean_command(launcher.with_file_name("build-script-build"));
        command.env("OUT_DIR", &out_dir).env("CARGO_MANIFEST_DIR", &project.root);
        let output = command.current_dir(&project.root).output().unwrap();
        assert_eq!(output.status.code(), Some(125), "{what}: {}", shown(&output));
        assert!(output.stdout.is_empty(), "{what}: {}", shown(&output));
        assert!(stderr(&output).contains(message), "{what}: {}", shown(&output));
        assert_nothing_ran(&project, &output);
        // Cargo takes nothing from it.
        project.write("trigger", what);
        let output = fail(&mut project.brig(&["check"]));
        assert_eq!(output.status.code(), Some(101), "{what}: {}", shown(&output));
        assert_says(&output, message);
        assert_nothing_ran(&project, &output);
    }
    fs::write(&launcher, whole).unwrap();
    let output = succeed(&mut project.brig(&["check"]));
    assert_says(&output, "Jailed 1 build script run in the jail, 1 denial");
}

#[test]
fn a_changed_launcher_does_not_pass_the_audit() {
    let (project, launcher) = with_launcher();
    let mut bytes = fs::read(&launcher).unwrap();
    // A letter of a message, so that the program goes on working.
    let text = b"cannot execute";
    let at = bytes.windows(text.len()).position(|window| window == text).unwrap();
    bytes[at] = b'C';
    fs::write(&launcher, bytes).unwrap();
    let output = fail(&mut project.brig(&["check"]));
    assert_eq!(output.status.code(), Some(3), "{}", shown(&output));
    assert_says(&output, "/build-script-build` is not in the jail\n");
}

/// Links the program under test dynamically: a feature that is asked for anywhere counts for rustc,
/// so the other order must be taken back.
const DYNAMIC: &str = "\
for word; do
    shift
    case $word in
        target-feature=+crt-static) set -- \"$@\" target-feature=-crt-static;;
        *) set -- \"$@\" \"$word\";;
    esac
done
exec \"$@\"
";

/// The program, linked dynamically; everything that it depends on is shared with these tests' own
/// build. Cargo keeps what a workspace wrapper's rustc has written apart (The Cargo Book,
/// `build.rustc-workspace-wrapper`), so the program under test stays what it is.
fn dynamic_program() -> PathBuf {
    let ours = Path::new(env!("CARGO_TARGET_TMPDIR"));
    // The outermost: Cargo puts this file into the directory of a target, too.
    let build_dir = ours.ancestors().filter(|path| path.join("CACHEDIR.TAG").exists()).last();
    let target = ours.join("dynamic");
    fs::create_dir_all(&target).unwrap();
    // The wrapper's path is part of what Cargo compares, so it has to be the same each time.
    let wrapper = target.join("wrapper");
    executable(&wrapper, DYNAMIC);
    let mut build = clean_command(cargo());
    build
        .args(["build", "--offline", "--locked", "--bin", "cargo-brig"])
        .args(["--config", "profile.dev.package.cargo-brig.opt-level=0"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("RUSTC_WORKSPACE_WRAPPER", wrapper)
        .env("CARGO_BUILD_BUILD_DIR", build_dir.unwrap())
        .env("CARGO_TARGET_DIR", &target);
    succeed(&mut build);
    let mut programs = Vec::new();
    support::walk(&target, &mut |path| {
        if path.ends_with("debug/cargo-brig") {
            programs.push(path.to_owned());
        }
    });
    assert_eq!(programs.len(), 1, "{programs:?}");
    programs.remove(0)
}

#[test]
fn a_dynamic_program_serves_in_no_role() {
    let project = escaping();
    let dynamic = &dynamic_program();
    let script = "build_script_build";
    let rustc = ["rustc", "--crate-name", script, "--crate-type", "bin", "build.rs"];
    // A launcher has this at its end.
    let launcher = project.root.join(script);
    let body = b"build_script_build.brig-script\0";
    let mut bytes = body.to_vec();
    bytes.extend_from_slice(b"\x7fBRIGLAUNCH\n\x01\0\0\0");
    bytes.extend_from_slice(&u32::try_from(body.len()).unwrap().to_le_bytes());
    let bare = project.root.join("build_script_build.brig-script");
    succeed(clean_command("rustc").args(["build.rs", "-o"]).arg(&bare).current_dir(&project.root));
    let link = project.root.join("brig-linker/cc");
    fs::create_dir(link.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink(dynamic, &link).unwrap();
    project.write("brig-linker/real-linker", "cc");

    let roles: [(&str, &Path, &[&str], i32); 5] = [
        ("front door", dynamic, &["brig", "check"], 4),
        ("shim", dynamic, &rustc, 125),
        ("linker shim", &link, &["-o", script], 125),
        ("exec", dynamic, &["exec", "--", "./build_script_build.brig-script"], 125),
        ("launcher", dynamic, &[script], 125),
    ];
    for (role, program, arguments, code) in roles {
        if role == "launcher" {
            fs::write(&launcher, &bytes).unwrap();
        }
        let mut command = clean_command(program);
        if role == "launcher" {
            command.arg0(OsStr::from_bytes(slot::NAME.to_bytes()));
        }
        command.args(arguments).env("OUT_DIR", project.root.join("ran"));
        let output =
            fail(command.env("CARGO_MANIFEST_DIR", &project.root).current_dir(&project.root));
        assert_eq!(output.status.code(), Some(code), "{role}: {}", shown(&output));
        assert_says(&output, "error: brig: this cargo-brig is dynamically linked");
        assert_says(&output, "install a static one");
        assert_nothing_ran(&project, &output);
        assert_eq!(launcher.exists(), role == "launcher", "the {role} compiled the script");
    }
    succeed(clean_command(&bare).current_dir(&project.root));
    assert_eq!(ran(&project), names(&["script"]), "the script works without the jail");
}
