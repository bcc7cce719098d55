//! Instructions by which a build script would have code of its choosing run outside of the jail, and
//! what it can leave behind for others to fall over.
//!
//! Each attack is first seen to work under plain Cargo, where it leaves a file in the project's
//! directory `ran`, in which no script can write from within the jail. Under `cargo brig` its
//! instruction is withheld, with a sentence.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Output;

use support::{Project, fail, shown, stderr, stdout, succeed};

/// A workspace of packages, each with a manifest's last lines; scripts are written afterwards. Nobody
/// debugs the packages or builds them a second time.
fn workspace(packages: &[(&str, &str)]) -> Project {
    let members: Vec<&str> = packages.iter().map(|(name, _)| *name).collect();
    let text = format!(
        "[workspace]\nresolver = \"3\"\nmembers = {members:?}\n\
         [profile.dev]\ndebug = false\nincremental = false\n"
    );
    let project = Project::of("workspace", &[("Cargo.toml", &text)]);
    for (name, rest) in packages {
        let manifest =
            format!("[package]\nname = {name:?}\nversion = \"1.2.3\"\nedition = \"2024\"\n{rest}");
        project.write(&format!("{name}/Cargo.toml"), &manifest);
        project.write(&format!("{name}/src/lib.rs"), "");
    }
    fs::create_dir(project.root.join("ran")).unwrap();
    project
}

/// What has left a file in `ran`. Nothing is left of the build then.
fn ran(project: &Project) -> BTreeSet<String> {
    let ran = project.root.join("ran");
    let names = fs::read_dir(&ran).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    for directory in [&ran, &project.root.join("target")] {
        if directory.exists() {
            fs::remove_dir_all(directory).unwrap();
        }
    }
    fs::create_dir(ran).unwrap();
    names
}

#[track_caller]
fn assert_ran(project: &Project, output: &Output, expected: &[&str]) {
    let expected: BTreeSet<String> = expected.iter().map(|name| (*name).to_owned()).collect();
    let ran = ran(project);
    let missing: Vec<_> = expected.difference(&ran).collect();
    let further: Vec<_> = ran.difference(&expected).collect();
    assert!(
        missing.is_empty() && further.is_empty(),
        "did not run: {missing:?}; ran: {further:?}\n{}",
        shown(output)
    );
}

/// What is said, without colors.
fn said(output: &Output) -> String {
    let text = stderr(output);
    let mut parts = text.split("\x1b[");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |said, part| said + part.split_once('m').map_or(part, |(_, rest)| rest))
}

#[track_caller]
fn assert_says(output: &Output, text: &str) {
    assert!(stderr(output).contains(text), "`{text}` is missing in {}", shown(output));
}

/// A sentence about an instruction of a package that begins so, with this in its reason.
#[track_caller]
fn assert_withheld(output: &Output, package: &str, instruction: &str, reason: &str) {
    let text = said(output);
    let start = format!("the build script of `{package} v1.2.3` printed `{instruction}");
    let found = text
        .lines()
        .filter_map(|line| line.split_once(&start)?.1.split_once("`, which is withheld: "))
        .any(|(_, why)| why.contains(reason));
    assert!(found, "`{start}` and `{reason}` are missing in {}", shown(output));
}

/// Prints the lines of the file `lines` in its package, each without its first word, which names
/// an attack. What `{}` stands for is the attack's own directory in `OUT_DIR`, relative to the
/// workspace's root, where rustc and the linker run; programs and plugins in it leave a file of the
/// attack's name. `{long}` is more than one argument may be (execve(2), `MAX_ARG_STRLEN`), so that rustc
/// hands all of them on in a file. At a `|` a write ends.
const SCRIPT: &str = r##"
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

const PLUGIN: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
static __attribute__((constructor)) void leave_a_file(void) {
  Dl_info info;
  char path[4096];
  dladdr((void *)leave_a_file, &info);
  const char *end = strrchr(info.dli_fname, '/'), *start = end;
  while (start > info.dli_fname && start[-1] != '/') start--;
  snprintf(path, sizeof path, "ran/%.*s", (int)(end - start), start);
  FILE *file = fopen(path, "w");
  if (file) fclose(file);
}
int plugin_is_GPL_compatible;
int onload(void *list) { return 0; }
int plugin_init(void *information, void *version) { return 0; }
"#;

fn cc(arguments: &[&str]) {
    assert!(std::process::Command::new("cc").args(arguments).status().unwrap().success());
}

fn main() {
    let out = std::env::var("OUT_DIR").unwrap();
    let package = std::env::current_dir().unwrap();
    let lines = std::fs::read("lines").unwrap();
    std::env::set_current_dir(&out).unwrap();
    std::fs::write("plugin.c", PLUGIN).unwrap();
    cc(&["-shared", "-fPIC", "plugin.c", "-o", "plugin.so"]);
    // An object that is compiled when it is linked (gcc(1), `-flto`).
    std::fs::write("late.c", "int late(void) { return 0; }").unwrap();
    cc(&["-flto", "-O1", "-c", "late.c"]);
    let mut stdout = std::io::stdout();
    for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let blank = line.iter().position(|byte| *byte == b' ').unwrap();
        let (name, line) = (std::str::from_utf8(&line[..blank]).unwrap(), &line[blank + 1..]);
        let directory = Path::new(&out).strip_prefix(package.parent().unwrap()).unwrap().join(name);
        let directory = directory.to_str().unwrap();
        if !Path::new(name).exists() {
            std::fs::create_dir(name).unwrap();
            let program = format!("#!/bin/sh\n: > ran/{name}\nexit 1\n");
            for file in ["program", "collect2", "cc", "make"] {
                std::fs::write(format!("{name}/{file}"), &program).unwrap();
                let mode = std::fs::Permissions::from_mode(0o755);
                std::fs::set_permissions(format!("{name}/{file}"), mode).unwrap();
            }
            for (file, text) in [
                ("specs", format!("*linker:\n{directory}/program\n")),
                ("arguments", format!("-wrapper {directory}/program")),
                ("source.c", "int compiled;".to_owned()),
                ("source.s", ".globl assembled\n".to_owned()),
            ] {
                std::fs::write(format!("{name}/{file}"), text).unwrap();
            }
            // What stands before the file takes its first word or line for a value.
            std::fs::write(format!("{name}/behind"), format!(". -wrapper {directory}/program")).unwrap();
            for (kind, first) in [
                ("dep-info", "x"),
                ("metadata", "cfg(x)"),
                ("mir", "."),
                ("llvm-ir", "c"),
                ("asm", "."),
                ("obj", "c"),
            ] {
                let text = format!("{first}\n--emit={kind}=ran/{name}");
                std::fs::write(format!("{name}/{kind}"), text).unwrap();
            }
            std::fs::copy("plugin.so", format!("{name}/plugin.so")).unwrap();
            std::fs::copy("late.o", format!("{name}/late.o")).unwrap();
        }
        let long = format!("-Wl{}", ",-z,now".repeat(20_000));
        let line = match std::str::from_utf8(line) {
            Ok(line) => {
                let line = line.replace("{}", directory).replace("{out}", &out);
                line.replace("{long}", &long).into_bytes()
            }
            Err(_) => line.to_vec(),
        };
        for piece in line.split(|byte| *byte == b'|') {
            stdout.write_all(piece).unwrap();
            stdout.flush().unwrap();
        }
        stdout.write_all(b"\n").unwrap();
    }
}
"##;

/// An attack by link arguments of one binary: its name, the arguments, the beginning of the one that
/// has to be withheld, and a part of the reason.
type LinkAttack = (&'static str, &'static [&'static str], &'static str, &'static str);

const UNLISTED: &str = "is not among the options known to shape only what is linked";
const SEPARATOR: &str = "a quote or control character in it joins or separates arguments";

const LINK_ATTACKS: &[LinkAttack] = &[
    ("wrapper", &["-wrapper", "{}/program"], "-wrapper", UNLISTED),
    ("prefix", &["-B{}"], "-B", UNLISTED),
    ("long_prefix", &["--prefix={}/"], "--prefix=", UNLISTED),
    // A driver takes it for a directory; this one lies in the package.
    ("static_prefix", &["-Bstatic"], "-Bstatic", UNLISTED),
    ("specs", &["-specs={}/specs"], "-specs=", UNLISTED),
    ("specs_and_file", &["--specs", "{}/specs"], "--specs", UNLISTED),
    ("compiler_plugin", &["{}/source.c", "-fplugin={}/plugin.so"], "-fplugin=", UNLISTED),
    (
        "compared",
        &["{}/source.c", "-fcompare-debug=-fplugin={}/plugin.so"],
        "-fcompare-debug=",
        UNLISTED,
    ),
    ("plugin", &["-fuse-ld=bfd", "-Wl,-plugin,{}/plugin.so"], "-Wl,-plugin,", UNLISTED),
    ("long_plugin", &["-fuse-ld=bfd", "-Wl,--plugin={}/plugin.so"], "-Wl,--plugin=", UNLISTED),
    ("chosen_linker", &["-fuse-ld=bfd", "-Wl,--plugin={}/plugin.so"], "-fuse-ld=bfd", UNLISTED),
    (
        "in_commas",
        &["-fuse-ld=bfd", "-Wl,-z,now,-plugin,{}/plugin.so,-z,relro"],
        "-Wl,-z,now,-plugin",
        "`-plugin` is not among",
    ),
    (
        "in_two",
        &["-fuse-ld=bfd", "-Wl,-plugin", "-Wl,{}/plugin.so"],
        "-Wl,-plugin",
        "`-plugin` is not among",
    ),
    (
        "in_four",
        &["-fuse-ld=bfd", "-Xlinker", "-plugin", "-Xlinker", "{}/plugin.so"],
        "-plugin",
        UNLISTED,
    ),
    ("llvm", &["-Wl,-mllvm,-load={}/plugin.so"], "-Wl,-mllvm,", "`-mllvm` is not among"),
    ("long_llvm", &["-Wl,--mllvm=-load={}/plugin.so"], "-Wl,--mllvm=", UNLISTED),
    (
        "error_script",
        &["-Wl,--error-handling-script={}/program", "-lmissing"],
        "-Wl,--error-handling-script=",
        UNLISTED,
    ),
    ("file", &["@{}/arguments"], "@", "is an argument file"),
    (
        "quotes",
        &["-fuse-ld=bfd", "-Wl,-rpath,'", "',-plugin,{}/plugin.so", "{long}"],
        "'",
        SEPARATOR,
    ),
    ("tab", &["-lz\t-specs={}/specs", "{long}"], "-lz\\t", SEPARATOR),
    // What writes files.
    ("map", &["-Wl,-Map=ran/map"], "-Wl,-Map=", UNLISTED),
    (
        "dependency_file",
        &["-Wl,--dependency-file=ran/dependency_file"],
        "-Wl,--dependency-file=",
        UNLISTED,
    ),
    ("reproduce", &["-Wl,--reproduce=ran/reproduce"], "-Wl,--reproduce=", UNLISTED),
    ("why_extract", &["-Wl,--why-extract=ran/why_extract"], "-Wl,--why-extract=", UNLISTED),
    ("time_trace", &["-Wl,--time-trace=ran/time_trace"], "-Wl,--time-trace=", UNLISTED),
    ("output", &["-oran/output"], "-oran/", UNLISTED),
    ("output_in_two", &["-o", "ran/output_in_two"], "-o", UNLISTED),
    // What compiles.
    ("source", &["{}/source.c", "-MD", "-MF", "ran/source"], "target/", "is a source file"),
    ("preprocessor", &["{}/source.c", "-Wp,-MD,ran/preprocessor"], "-Wp,", UNLISTED),
    ("assembler", &["{}/source.s", "-Wa,-a=ran/assembler"], "-Wa,", UNLISTED),
    ("auxiliary", &["{}/source.c", "-aux-info", "ran/auxiliary"], "-aux-info", UNLISTED),
    ("language", &["-MD", "-MF", "ran/language", "-x", "c", "{}/source.s"], "-x", UNLISTED),
];

/// Instructions in disguise, as the script prints them, and the colons with which they are withheld.
const DISGUISES: &[(&str, &str, &str)] = &[
    ("blanks", "\u{a0}\u{3000}cargo::rustc-link-arg-bin=blanks=-Wl,-Map=ran/blanks", "cargo::"),
    ("crlf", " \t\u{b}\u{c}cargo:rustc-link-arg-bin=crlf=-Wl,-Map=ran/crlf \r", "cargo:"),
    ("split", "car|go::rustc-link-arg|-bin=spl|it=-W|l,-M|ap=ran/split", "cargo::"),
    (
        "separators",
        "\u{2028}cargo:rustc-link-arg-bin=separators=-Wl,-Map=ran/separators\u{2029}",
        "cargo:",
    ),
];

#[test]
fn link_arguments_run_nothing_outside() {
    let project = workspace(&[("attacks", "build = \"../script.rs\"\n")]);
    let mut names: Vec<&str> = LINK_ATTACKS.iter().map(|attack| attack.0).collect();
    names.extend(DISGUISES.iter().map(|disguise| disguise.0));
    let mut lines = Vec::new();
    for (name, arguments, _, _) in LINK_ATTACKS {
        for argument in *arguments {
            let line = format!("{name} cargo::rustc-link-arg-bin={name}={argument}\n");
            lines.extend(line.into_bytes());
        }
    }
    for (name, line, _) in DISGUISES {
        lines.extend(format!("{name} {line}\n").into_bytes());
    }
    // No instructions to Cargo: behind a NUL, a byte order mark, a byte that is no UTF-8.
    for before in [b"\0".as_slice(), "\u{feff}".as_bytes(), b"\xff"] {
        let line = b"cargo::rustc-link-arg-bins=-Wl,-Map=ran/no_instruction\n";
        lines.extend([b"none ", before, line].concat());
    }
    project.write("script.rs", SCRIPT);
    fs::write(project.root.join("attacks/lines"), lines).unwrap();
    for name in &names {
        project.write(&format!("attacks/src/bin/{name}.rs"), "fn main() {}");
    }
    let program = project.write("static/collect2", "#!/bin/sh\n: > ran/static_prefix\nexit 1\n");
    fs::set_permissions(program, fs::Permissions::from_mode(0o755)).unwrap();

    let output = fail(&mut project.cargo(&["build", "--keep-going"]));
    assert_ran(&project, &output, &names);

    let output = fail(&mut project.brig(&["build", "--keep-going"]));
    assert_ran(&project, &output, &[]);
    for (name, _, argument, reason) in LINK_ATTACKS {
        let instruction = format!("cargo::rustc-link-arg-bin={name}={argument}");
        assert_withheld(&output, "attacks", &instruction, reason);
    }
    for (name, _, colons) in DISGUISES {
        let instruction = format!("{colons}rustc-link-arg-bin={name}=-Wl,-Map=ran/{name}");
        assert_withheld(&output, "attacks", &instruction, UNLISTED);
    }
    let text = stderr(&output);
    assert!(!text.contains("printed `cargo::rustc-link-arg-bins="), "{}", shown(&output));
}

/// Every other way of an argument to the linker, of an argument file to rustc, and of a variable to
/// both.
#[test]
fn no_key_carries_an_attack() {
    let keys = [
        ("all", "rustc-link-arg="),
        ("one_bin", "rustc-link-arg-bin=program="),
        ("bins", "rustc-link-arg-bins="),
        ("tests", "rustc-link-arg-tests="),
        ("examples", "rustc-link-arg-examples="),
        ("benches", "rustc-link-arg-benches="),
        ("cdylib", "rustc-link-arg-cdylib="),
        ("old_cdylib", "rustc-cdylib-link-arg="),
    ];
    let argument_files = [
        ("cfg", "rustc-cfg=@{}/dep-info"),
        ("check_cfg", "rustc-check-cfg=@{}/metadata"),
        ("search", "rustc-link-search=@{}/mir"),
        ("library", "rustc-link-lib=@{}/llvm-ir"),
        ("search_flag", "rustc-flags=-L @{}/asm"),
        ("library_flag", "rustc-flags=-l@{}/obj"),
    ];
    let variables: [(&str, &[&str]); 4] = [
        ("path", &["rustc-env=PATH={out}/path:/usr/bin:/bin"]),
        ("compiler_path", &["rustc-env=COMPILER_PATH={}"]),
        (
            "make",
            &[
                "rustc-env=MAKE={}/make",
                "rustc-link-arg=-fuse-ld=bfd",
                "rustc-link-arg=-flto=2",
                "rustc-link-arg={}/late.o",
            ],
        ),
        (
            "rustc_log",
            &["rustc-env=RUSTC_LOG_OUTPUT_TARGET=ran/rustc_log", "rustc-env=RUSTC_LOG=info"],
        ),
    ];
    let script = "build = \"../script.rs\"\n";
    let library = format!("{script}[lib]\ncrate-type = [\"rlib\", \"cdylib\"]\n");
    let after = "[dependencies]\nsearch_file = { path = \"../search_file\" }\n\
                 [lib]\ncrate-type = [\"cdylib\"]\n";
    let mut packages =
        vec![("keys", &*library), ("values", script), ("search_file", script), ("after", after)];
    packages.extend(variables.map(|(name, _)| (name, script)));
    let project = workspace(&packages);
    project.write("script.rs", SCRIPT);
    for file in ["src/bin/program.rs", "tests/test.rs", "examples/example.rs", "benches/bench.rs"] {
        project.write(&format!("keys/{file}"), "fn main() {}");
    }
    let attack = "-Wl,-mllvm,-load=";
    let lines = keys.map(|(name, key)| format!("{name} cargo::{key}{attack}{{}}/plugin.so\n"));
    project.write("keys/lines", &lines.concat());
    let lines = argument_files.map(|(name, line)| format!("{name} cargo::{line}\n"));
    project.write("values/lines", &lines.concat());
    // rustc hands `-L` and the file on to the driver, wherever a dependent is linked.
    let line = "search_file cargo::rustc-link-search=native=@{}/behind\n";
    project.write("search_file/lines", line);
    for (name, lines) in variables {
        let lines: Vec<String> =
            lines.iter().map(|line| format!("{name} cargo::{line}\n")).collect();
        project.write(&format!("{name}/lines"), &lines.concat());
        project.write(&format!("{name}/src/main.rs"), "fn main() {}");
    }

    // What is tested and measured in itself need not be built.
    let targets = ["--lib", "--bins", "--test", "*", "--examples", "--bench", "*", "--keep-going"];
    let arguments = [&["build"], &targets[..]].concat();
    let output = fail(&mut project.cargo(&arguments));
    let mut names: Vec<&str> = keys.iter().map(|(name, _)| *name).collect();
    names.extend(argument_files.map(|(name, _)| name));
    names.extend(variables.map(|(name, _)| name));
    names.push("search_file");
    assert_ran(&project, &output, &names);

    let output = fail(&mut project.brig(&arguments));
    assert_ran(&project, &output, &[]);
    for (_, key) in keys {
        let instruction = format!("cargo::{key}{attack}target/");
        assert_withheld(&output, "keys", &instruction, "`-mllvm` is not among");
    }
    let files = "becomes an argument file of rustc or of the linker";
    for (_, line) in argument_files {
        let (start, _) = line.split_once("{}").unwrap();
        let start = format!("cargo::{}target/", start.replace("-L @", "-L@"));
        assert_withheld(&output, "values", &start, files);
    }
    let instruction = "cargo::rustc-link-search=native=@target/";
    assert_withheld(&output, "search_file", instruction, files);
    for (name, lines) in variables {
        let (start, _) = lines[0].split_once(['{', '/']).unwrap();
        let reason = "the variable steers the loader, the compiler or the linker";
        assert_withheld(&output, name, &format!("cargo::{start}"), reason);
    }
}

/// A script that compiles a procedural macro, which a library then names that has no such dependency.
const MACRO: &str = r#"
fn main() {
    let out = std::env::var("OUT_DIR").unwrap();
    let source = format!("{out}/planted.rs");
    std::fs::write(&source, "
        extern crate proc_macro;
        use proc_macro::TokenStream;
        #[proc_macro]
        pub fn leave_a_file(_: TokenStream) -> TokenStream {
            drop(std::fs::write(\"ran/\".to_owned() + env!(\"CARGO_PKG_NAME\"), \"\"));
            TokenStream::new()
        }").unwrap();
    let status = std::process::Command::new(std::env::var("RUSTC").unwrap())
        .args(["--crate-type=proc-macro", "--edition=2024", "--crate-name=planted", "--out-dir"])
        .args([&out, &source])
        .status();
    assert!(status.unwrap().success());
    println!("{}{out}", include_str!("key"));
}
"#;

/// A script that plants a library at a place in its `OUT_DIR`, which is searched.
const RUNTIME: &str = r#"
fn main() {
    let root = std::fs::canonicalize("..").unwrap();
    let out = std::env::var("OUT_DIR").unwrap();
    let path = std::path::Path::new(&out).join(include_str!("place"));
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let name = std::env::var("CARGO_PKG_NAME").unwrap();
    let status = std::process::Command::new("cc")
        .args(["-shared", "-fPIC", "-nostdlib", "-Wl,-z,now", "../plant.c", "-o"])
        .arg(path)
        .arg(format!("-DMARKER=\"{}/ran/{name}-\"", root.display()))
        .status();
    assert!(status.unwrap().success());
    println!("cargo::rustc-link-search=native={out}");
}
"#;

#[test]
fn searched_directories_bring_nothing_into_the_compiler() {
    let keys = [
        ("bare", "cargo::rustc-link-search="),
        ("with_kind", "cargo:rustc-link-search=crate="),
        ("as_flag", "cargo::rustc-flags=-Lall="),
    ];
    let places = [("beside", "libgcc_s.so.1"), ("below", "glibc-hwcaps/x86-64-v2/libgcc_s.so.1")];
    let after = places.map(|(name, _)| {
        (format!("after_{name}"), format!("[dependencies]\n{name} = {{ path = \"../{name}\" }}\n"))
    });
    let mut packages: Vec<(&str, &str)> = keys.iter().map(|(name, _)| (*name, "")).collect();
    packages.extend(places.map(|(name, _)| (name, "")));
    packages.extend(after.iter().map(|(name, rest)| (name.as_str(), rest.as_str())));
    let project = workspace(&packages);
    project.write("plant.c", include_str!("data/plant.c"));
    for (name, key) in keys {
        project.write(&format!("{name}/build.rs"), MACRO);
        project.write(&format!("{name}/key"), key);
        let library = "extern crate planted;\nplanted::leave_a_file!();";
        project.write(&format!("{name}/src/lib.rs"), library);
    }
    for (name, place) in places {
        project.write(&format!("{name}/build.rs"), RUNTIME);
        project.write(&format!("{name}/place"), place);
        project.write(&format!("after_{name}/src/lib.rs"), "//! ```\n//! ```\n");
    }
    // A blank would end the flag.
    let target = tempfile::tempdir().unwrap();
    let checked = |mut command: std::process::Command| {
        command.args(["check", "-p", "bare", "-p", "with_kind", "-p", "as_flag", "--keep-going"]);
        command.arg("--target-dir").arg(target.path());
        command
    };
    let output = succeed(&mut checked(project.cargo(&[])));
    assert_ran(&project, &output, &["as_flag", "bare", "with_kind"]);
    // rustdoc compiles the tests in documentation, and Cargo calls no wrapper for it.
    for (name, _) in places {
        let package = format!("after_{name}");
        let output = fail(&mut project.cargo(&["test", "--doc", "-p", &package]));
        assert_ran(&project, &output, &[&format!("{name}-rustdoc")]);
        let output = fail(&mut project.brig(&["test", "--doc", "-p", &package]));
        assert_ran(&project, &output, &[]);
        let reason = "the directory holds `libgcc_s.so.1`, which would stand in for";
        assert_withheld(&output, name, "cargo::rustc-link-search=/", reason);
    }

    let output = fail(&mut checked(project.brig(&[])));
    assert_ran(&project, &output, &[]);
    let reason = "the directory holds `libplanted.so`, which can be a procedural macro to rustc";
    for (name, _) in keys {
        assert_withheld(&output, name, "cargo::rustc-link-search=/", reason);
    }
}

#[test]
fn metadata_brings_a_dependent_nothing_that_leaves_its_jail() {
    let after = "[dependencies]\nplanting = { path = \"../planting\" }\n";
    let project = workspace(&[("planting", "links = \"planting\"\n"), ("after", after)]);
    fs::write(project.root.parent().unwrap().join("secret.h"), "int secret;\n").unwrap();
    let planting = r##"
use std::os::unix::fs::PermissionsExt;
fn main() {
    let out = std::env::var("OUT_DIR").unwrap();
    let root = std::fs::canonicalize("..").unwrap();
    let program = format!("#!/bin/sh\n: > '{}/ran/program'\n", root.display());
    std::fs::write(format!("{out}/cc"), program).unwrap();
    std::fs::set_permissions(format!("{out}/cc"), PermissionsExt::from_mode(0o755)).unwrap();
    let header = format!("#include \"{}/secret.h\"\n", root.parent().unwrap().display());
    std::fs::write(format!("{out}/stdio.h"), header).unwrap();
    println!("cargo::metadata=cc={out}/cc");
    println!("cargo:include={out}");
}
"##;
    let user = r#"
fn main() {
    drop(std::process::Command::new(std::env::var("DEP_PLANTING_CC").unwrap()).status());
    let out = std::env::var("OUT_DIR").unwrap();
    let include = format!("-I{}", std::env::var("DEP_PLANTING_INCLUDE").unwrap());
    std::fs::write(format!("{out}/a.c"), "\#include <stdio.h>\nint *stolen = &secret;\n").unwrap();
    let mut cc = std::process::Command::new("cc");
    let status = cc.current_dir(&out).args([&include, "-c", "a.c"]).status();
    println!("cargo::warning=stolen: {}", status.unwrap().success());
}
"#;
    project.write("planting/build.rs", planting);
    project.write("after/build.rs", &user.replace("\\#", "#"));
    let output = succeed(&mut project.cargo(&["check"]));
    assert_says(&output, "stolen: true");
    assert_ran(&project, &output, &["program"]);

    // Nobody can tell such metadata from what dependents need; program and header are used in the
    // dependent's jail.
    let output = succeed(&mut project.brig(&["check"]));
    assert_says(&output, "stolen: false");
    assert_says(&output, "Jailed 2 build script runs in the jail, 2 denials");
    assert_ran(&project, &output, &[]);
}

#[test]
fn what_is_left_in_out_dir_leads_nobody_out_of_it() {
    let project = workspace(&[("linking", ""), ("replacing", ""), ("honest", "")]);
    let outside = project.root.parent().unwrap().join("outside");
    fs::create_dir(&outside).unwrap();
    let script = |body: &str| {
        format!(
            "use std::os::unix::fs::symlink;\n\
             fn main() {{\n    \
                 let out = std::env::var(\"OUT_DIR\").unwrap();\n    \
                 let root = std::fs::canonicalize(\"..\").unwrap();\n    \
                 let outside = root.parent().unwrap().join(\"outside\");\n    \
                 {body}\n\
             }}\n"
        )
    };
    let scripts = [
        ("linking", "symlink(outside.join(\"profile\"), format!(\"{out}/report.txt\")).unwrap();"),
        ("replacing", "std::fs::remove_dir(&out).unwrap(); symlink(outside, out).unwrap();"),
        // As configure scripts and installers of libraries and headers do.
        (
            "honest",
            "drop(outside);\n    \
             symlink(root.join(\"honest/build.rs\"), format!(\"{out}/source\")).unwrap();\n    \
             symlink(\"/usr/include\", format!(\"{out}/include\")).unwrap();\n    \
             symlink(\"libx.so.1\", format!(\"{out}/libx.so\")).unwrap();",
        ),
    ];
    for (name, body) in scripts {
        project.write(&format!("{name}/build.rs"), &script(body));
    }
    let out_dirs = || {
        let build = fs::read_dir(project.root.join("target/debug/build")).unwrap();
        build.map(|entry| entry.unwrap().path().join("out")).filter(|path| path.exists())
    };
    succeed(&mut project.cargo(&["check"]));
    assert_eq!(out_dirs().filter(|out| out.is_symlink()).count(), 1);
    // A tool that writes where it knows of a report.
    let report = out_dirs().find(|out| out.join("report.txt").is_symlink()).unwrap();
    fs::write(report.join("report.txt"), "written").unwrap();
    assert_eq!(fs::read_to_string(outside.join("profile")).unwrap(), "written");
    fs::remove_file(outside.join("profile")).unwrap();
    fs::remove_dir_all(project.root.join("target")).unwrap();

    let output = fail(&mut project.brig(&["check", "--keep-going"]));
    assert_eq!(out_dirs().filter(|out| out.is_symlink()).count(), 0);
    let sentence = "the build script of `linking v1.2.3` left the symbolic link `report.txt` in OUT_DIR, \
                    which leads to `";
    assert_says(&output, sentence);
    assert_says(
        &output,
        "/outside/profile`: it may not read that, and whoever follows the link may",
    );
    assert_says(&output, "the build script of `replacing v1.2.3` tried to remove");
    assert!(!stderr(&output).contains("of `honest v1.2.3`"), "{}", shown(&output));

    // What was replaced before the jail was there is no place for a script to write.
    for out in out_dirs() {
        fs::remove_dir_all(&out).unwrap();
        symlink(&outside, &out).unwrap();
    }
    project.write("honest/build.rs", &script("drop((root, outside)); drop(symlink(\"a\", out));"));
    let output = fail(&mut project.brig(&["check", "-p", "honest"]));
    assert_says(&output, "is a symbolic link, and OUT_DIR leads through it");
    assert_eq!(fs::read_dir(outside).unwrap().count(), 0);
}

#[test]
fn nothing_that_is_shown_steers_the_terminal() {
    // Writing to the clipboard (OSC 52), clearing the screen, and the latter's short form.
    let script = |last: &str| {
        let prints = [
            ("println", "plain\x1b]52;c;eA==\x07 \x1b[2J \u{9b}2J \x1b[31mred\x1b[0m\té"),
            ("eprintln", "errors\x1b]52;c;eA==\x07\u{9b}2J"),
            ("println", "cargo::warning=message\x1b]52;c;eA==\x07\t\u{9b}2J é"),
            ("println", last),
        ];
        let prints = prints.map(|(print, text)| format!("    {print}!(\"{{}}\", {text:?});\n"));
        format!("fn main() {{\n{}}}\n", prints.concat())
    };
    let lasts = [
        ("harmless", "cargo::rustc-env=HARMLESS=\x1b[31mred\x1b[0m\té"),
        ("fails", "cargo::error=failure\x1b]52;c;eA==\x07"),
        ("variable", "cargo::rustc-env=NAME\x1b]52;c;eA==\x07=x"),
        ("binary", "cargo::rustc-link-arg-bin=NAME\x1b]52;c;eA==\x07=-lz"),
        ("metadata", "cargo:NAME\u{9b}2J=x"),
        ("unknown", "cargo::NAME\x1b]52;c;eA==\x07=x"),
    ];
    let project = workspace(&lasts.map(|(name, _)| (name, "")));
    for (name, last) in lasts {
        project.write(&format!("{name}/build.rs"), &script(last));
    }
    let arguments = ["check", "-vv", "--keep-going", "--color=always"];
    let steers = |output: &Output| {
        let text = stdout(output) + &stderr(output);
        ["\x1b]52", "\x1b[2J", "\u{9b}"].map(|sequence| text.contains(sequence))
    };
    let output = fail(&mut project.cargo(&arguments));
    assert_eq!(steers(&output), [true; 3], "{}", shown(&output));
    fs::remove_dir_all(project.root.join("target")).unwrap();

    let output = fail(&mut project.brig(&arguments));
    assert_eq!(steers(&output), [false; 3], "{}", shown(&output));
    let text = stdout(&output) + &stderr(&output);
    for line in [
        "plain\\u{1b}]52;c;eA==\x07 \\u{1b}[2J \\u{9b}2J \x1b[31mred\x1b[0m\té\n",
        "errors\\u{1b}]52;c;eA==\x07\\u{9b}2J\n",
        "message\\u{1b}]52;c;eA==\\u{7}\t\\u{9b}2J é\n",
        "failure\\u{1b}]52;c;eA==\\u{7}\n",
        "cargo::rustc-env=HARMLESS=\x1b[31mred\x1b[0m\té\n",
    ] {
        assert!(text.contains(line), "{line:?} is missing in {text}");
    }
    let reason = "an escape sequence in it steers the terminal";
    for (name, instruction) in [
        ("variable", "cargo::rustc-env=NAME\\u{1b}]52;c;eA==\\u{7}=x"),
        ("binary", "cargo::rustc-link-arg-bin=NAME\\u{1b}]52;c;eA==\\u{7}=-lz"),
        ("metadata", "cargo:NAME\\u{9b}2J=x"),
    ] {
        assert_withheld(&output, name, instruction, reason);
    }
    assert_withheld(&output, "unknown", "cargo::NAME\\u{1b}]52", "unknown key");
    assert!(!text.contains("of `harmless v1.2.3`"), "{}", shown(&output));
}

#[test]
fn legitimate_link_arguments_pass() {
    let project = workspace(&[("honest", "[lib]\ncrate-type = [\"rlib\", \"cdylib\"]\n")]);
    let script = r#"
fn main() {
    let package = std::env::var("CARGO_MANIFEST_DIR").unwrap();
    let out = std::env::var("OUT_DIR").unwrap();
    std::fs::write(format!("{out}/a.c"), "int from_c(void) { return 7; }").unwrap();
    for command in [["cc", "-c", "a.c"].as_slice(), &["ar", "rc", "liba.a", "a.o"]] {
        let mut process = std::process::Command::new(command[0]);
        assert!(process.args(&command[1..]).current_dir(&out).status().unwrap().success());
    }
    for argument in [
        "-Wl,-z,relro,-z,now",
        "-z",
        "noexecstack",
        "-Wl,-rpath,$ORIGIN/../lib",
        "-Wl,-rpath,/somewhere/else",
        "-Xlinker",
        "--gc-sections",
        "-Wl,--whole-archive",
        &format!("{out}/liba.a"),
        "-Wl,--no-whole-archive",
        "-Wl,--defsym,defined=from_c",
        "-Wl,--build-id=sha1",
        "-pthread",
        "-Wl,--as-needed",
        "-lm",
    ] {
        println!("cargo::rustc-link-arg={argument}");
    }
    println!("cargo::rustc-cdylib-link-arg=-Wl,--version-script={package}/exports.map");
    println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libhonest.so.1");
    println!("cargo::rustc-link-arg-bins=-Wl,-T,{package}/more.x");
    println!("cargo::rustc-link-search=native={out}");
    println!("cargo::rustc-flags=-L /usr/lib -l dl");
}
"#;
    project.write("honest/build.rs", script);
    project.write("honest/exports.map", "{ global: exported; local: *; };");
    project.write("honest/more.x", "SECTIONS { .more : { BYTE(1) } } INSERT AFTER .data;");
    let library = "#[unsafe(no_mangle)]\npub extern \"C\" fn exported() -> i32 { 1 }\n";
    project.write("honest/src/lib.rs", library);
    let main = "unsafe extern \"C\" { fn defined() -> i32; }\n\
                fn main() { println!(\"{}\", unsafe { defined() }) }";
    project.write("honest/src/main.rs", main);
    for jailed in [false, true] {
        let run = |arguments: &[&str]| {
            succeed(&mut if jailed { project.brig(arguments) } else { project.cargo(arguments) })
        };
        run(&["build"]);
        assert_eq!(stdout(&run(&["run"])), "7\n");
        let has = |file: &str, text: &[u8]| {
            let bytes = fs::read(project.root.join("target/debug").join(file)).unwrap();
            bytes.windows(text.len()).any(|window| window == text)
        };
        assert!(has("honest", b"$ORIGIN/../lib:/somewhere/else"));
        assert!(has("honest", b".more"));
        assert!(has("libhonest.so", b"libhonest.so.1"));
        fs::remove_dir_all(project.root.join("target")).unwrap();
    }
}
