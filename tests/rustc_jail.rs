//! rustc in the jail: what a procedural macro can do there, and that what is usual goes on as before.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use support::{Project, stderr, stdout, succeed};

/// With a procedural macro `evil` of this body, which the package `app` calls, and another package that
/// is compiled before.
fn workspace(name: &str, body: &str) -> Project {
    let package = |name: &str, rest: &str| {
        format!("[package]\nname = \"{name}\"\nversion = \"1.0.0\"\nedition = \"2024\"\n{rest}")
    };
    let of_app = "[dependencies]\nevil = { path = \"../evil\" }\nother = { path = \"../other\" }\n";
    let macro_ = format!(
        "use std::{{env, fs}};\nuse proc_macro::TokenStream;\n\
         fn deps() -> String {{\n    env::args().skip_while(|a| a != \"--out-dir\").nth(1).unwrap()\n}}\n\
         fn other() -> Vec<std::path::PathBuf> {{\n    let all = fs::read_dir(deps()).unwrap();\n    \
         let all = all.map(|entry| entry.unwrap().path());\n    \
         all.filter(|path| path.file_name().unwrap().to_str().unwrap().contains(\"other\")).collect()\n}}\n\
         #[proc_macro]\npub fn go(_: TokenStream) -> TokenStream {{\n    \
         let _unused: (fn() -> _, fn() -> _) = (deps, other);\n{body}\n}}\n"
    );
    Project::of(
        name,
        &[
            (
                "Cargo.toml",
                "[workspace]\nresolver = \"3\"\nmembers = [\"app\", \"evil\", \"other\"]\n",
            ),
            ("app/Cargo.toml", &package("app", of_app)),
            (
                "app/src/main.rs",
                "evil::go!();\nfn main() {\n    println!(\"{TEXT}\");\n    other::x();\n}\n",
            ),
            ("app/data.txt", "of the package"),
            ("other/Cargo.toml", &package("other", "")),
            ("other/src/lib.rs", "pub fn x() {}\n"),
            ("evil/Cargo.toml", &package("evil", "[lib]\nproc-macro = true\n")),
            ("evil/src/lib.rs", &macro_),
        ],
    )
}

const JAIL: &str = "rustc.jail = true\n";

/// Everything that one macro may want, none of which a failure of another keeps it from.
const ATTACKS: &str = r#"
    let home = env::var("HOME").unwrap();
    drop(fs::write(format!("{home}/written"), "x"));
    drop(fs::remove_file(format!("{home}/precious")));
    drop(fs::set_permissions(format!("{home}/mode"), std::os::unix::fs::PermissionsExt::from_mode(0o666)));
    drop(std::net::TcpStream::connect(fs::read_to_string("app/port").unwrap()));
    drop(std::process::Command::new("sh").args(["-c", "touch \"$HOME/by-a-child\""]).status());
    for path in other() {
        if path.extension().is_some_and(|extension| extension == "d") {
            drop(fs::write(&path, "x"));
        }
    }
    drop(fs::write(format!("{}/libplanted-0123456789abcdef.rlib", deps()), "x"));
    let key = fs::read_to_string(format!("{home}/key")).unwrap_or_default();
    let token = env::var("A_TOKEN").unwrap_or_default();
    format!("const TEXT: &str = \"[{key}] [{token}]\";").parse().unwrap()
"#;

/// What became of the world when such a workspace was built.
fn attacked(policy: &str) -> (BTreeMap<&'static str, bool>, String) {
    let project = workspace("attacked", ATTACKS);
    project.write("brig.toml", policy);
    let home = project.root.parent().unwrap().join("home");
    fs::create_dir(&home).unwrap();
    for name in ["precious", "mode", "key"] {
        fs::write(home.join(name), "of the user").unwrap();
    }
    fs::set_permissions(home.join("mode"), fs::Permissions::from_mode(0o600)).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    project.write("app/port", &listener.local_addr().unwrap().to_string());
    let mut build = project.brig(&["run"]);
    support::with_toolchain(&mut build);
    let output = succeed(build.env("HOME", &home).env("A_TOKEN", "of the user's"));
    let deps = project.root.join("target/debug/deps");
    let text = stdout(&output);
    let files: Vec<PathBuf> = fs::read_dir(&deps).unwrap().map(|e| e.unwrap().path()).collect();
    let named =
        |path: &Path, part: &str| path.file_name().unwrap().to_str().unwrap().contains(part);
    let of_other = files
        .iter()
        .find(|path| named(path, "other-") && path.extension().is_some_and(|e| e == "d"));
    let mode = fs::metadata(home.join("mode")).unwrap().permissions().mode();
    let effects = BTreeMap::from([
        ("writes to the home directory", home.join("written").exists()),
        ("removes a file there", !home.join("precious").exists()),
        ("changes a mode there", mode & 0o777 == 0o666),
        ("has a child write there", home.join("by-a-child").exists()),
        ("reads a key", text.contains("[of the user]")),
        ("sees a secret variable", text.contains("[of the user's]")),
        ("reaches the network", listener.accept().is_ok()),
        ("edits another crate's output", fs::read(of_other.unwrap()).unwrap() == b"x"),
        ("plants a library", files.iter().any(|path| named(path, "planted"))),
    ]);
    (effects, stderr(&output))
}

#[test]
fn a_macro_reaches_nothing_outside() {
    let (effects, _) = attacked("");
    assert!(effects.values().all(|happened| *happened), "without the jail: {effects:#?}");
    let (effects, said) = attacked(JAIL);
    assert!(effects.values().all(|happened| !happened), "within: {effects:#?}");
    for sentence in [
        "the compilation of `app v1.0.0` tried to create `",
        "/home/written`: no `files.write` rule of the policy `default` covers it",
        "/home/key`: no `files.read` rule",
        "which is another crate's output (by the procedural macro crate `evil`)",
        "tried to reach `127.0.0.1`",
    ] {
        assert!(said.contains(sentence), "{sentence:?} in {said}");
    }
}

/// Ways to another crate's output that lead over a name of the compilation's own.
const DETOURS: &str = r#"
    use std::os::unix::fs::symlink;
    let victim = other().into_iter().find(|path| path.extension().is_some_and(|e| e == "d")).unwrap();
    let before = fs::read(&victim).unwrap();
    let hash = env::args().find_map(|a| Some(a.strip_prefix("extra-filename=")?.to_owned())).unwrap();
    let own = |end: &str| format!("{}/app{hash}.{end}", deps());
    drop(symlink(&victim, own("link")));
    drop(fs::write(own("link"), "x"));
    drop(fs::hard_link(&victim, own("hard")));
    drop(fs::write(own("hard"), "x"));
    drop(fs::rename(&victim, own("moved")));
    fs::write(own("new"), "x").unwrap();
    drop(fs::rename(own("new"), &victim));
    let reader = fs::File::open(&victim).unwrap();
    let again = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&reader));
    drop(fs::write(again, "x"));
    drop(fs::write(format!("/proc/self/cwd/{}", victim.display()), "x"));
    // Another compilation's temporary directory, which anybody's could be.
    drop(fs::write(format!("{}/rustcABCDEF/symbols.o", deps()), "x"));
    drop(fs::remove_dir_all(format!("{}/rustcABCDEF", deps())));
    drop(fs::create_dir(format!("{}/rustcABCDEF", deps())));
    drop(fs::remove_file(format!("{}/rustcABCDEF/symbols.o", deps())));
    fs::create_dir(format!("{}/rmetaABCDEF", deps())).unwrap();
    fs::write(format!("{}/rmetaABCDEF/mine", deps()), "x").unwrap();
    fs::remove_dir_all(format!("{}/rmetaABCDEF", deps())).unwrap();
    // A name that leads now here, now there.
    fs::write(own("plain"), "").unwrap();
    let ended = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (victim, own, ended) = (&victim, &own, &ended);
        let swaps = scope.spawn(move || {
            while !ended.load(std::sync::atomic::Ordering::Relaxed) {
                drop(symlink(&victim, own("a")));
                drop(fs::rename(own("a"), own("swapped")));
                drop(symlink(own("plain"), own("b")));
                drop(fs::rename(own("b"), own("swapped")));
            }
        });
        let mut written = 0;
        for _ in 0..3000 {
            written += usize::from(fs::write(own("swapped"), "x").is_ok());
        }
        ended.store(true, std::sync::atomic::Ordering::Relaxed);
        swaps.join().unwrap();
        assert!(written > 0, "the race was never run");
    });
    for end in ["link", "hard", "moved", "new", "plain", "swapped", "a", "b"] {
        drop(fs::remove_file(own(end)));
    }
    let kept = fs::read(&victim).is_ok_and(|now| now == before);
    format!("const TEXT: &str = \"kept: {kept}\";").parse().unwrap()
"#;

#[test]
fn no_detour_leads_to_another_crates_output() {
    for (policy, kept) in [("", false), (JAIL, true)] {
        let project = workspace("detours", DETOURS);
        project.write("brig.toml", policy);
        succeed(&mut project.brig(&["build", "-p", "other", "-p", "evil"]));
        let foreign = project.write("target/debug/deps/rustcABCDEF/symbols.o", "of another");
        let text = stdout(&succeed(&mut project.brig(&["run"])));
        assert!(text.contains(&format!("kept: {kept}")), "{policy:?}: {text}");
        assert_eq!(fs::read(&foreign).ok().as_deref() == Some(b"of another"), kept, "{policy:?}");
    }
}

/// Reads a file of the package, as `include_dir`, `askama` and `sqlx` do.
const USUAL: &str = r#"
    let directory = env::var("CARGO_MANIFEST_DIR").unwrap();
    let text = fs::read_to_string(format!("{directory}/data.txt")).unwrap();
    format!("const TEXT: &str = {text:?};").parse().unwrap()
"#;

fn usual(policy: &str) -> Project {
    let project = workspace("usual", USUAL);
    project.write("brig.toml", policy);
    project
}

#[test]
fn what_is_usual_works() {
    let project = usual("extends = \"strict\"\nrustc.jail = true\n");
    let brig = |arguments: &[&str], variables: &[(&str, &str)]| {
        let mut command = project.brig(arguments);
        let said = stderr(&succeed(command.envs(variables.iter().copied())));
        assert!(!said.contains("tried to"), "{arguments:?}: {said}");
        said
    };
    for arguments in [
        &["check"][..],
        &["build"],
        &["test", "--workspace"],
        &["doc", "--no-deps"],
        &["clippy"],
        &["build", "--release"],
        &["build", "--config", "profile.dev.incremental=false"],
        &["build", "--config", "profile.dev.lto=\"thin\""],
    ] {
        brig(arguments, &[]);
    }
    assert_eq!(stdout(&succeed(&mut project.brig(&["run", "-q"]))), "of the package\n");
    // What is compiled again is compiled by what was kept of the last time.
    project.write(
        "app/src/main.rs",
        "evil::go!();\nfn main() {\n    println!(\"again {TEXT}\");\n}\n",
    );
    brig(&["build"], &[]);
    assert_eq!(stdout(&succeed(&mut project.brig(&["run", "-q"]))), "again of the package\n");
    assert!(fs::read_dir(project.root.join("target/debug/incremental")).unwrap().count() > 0);
    for flags in [
        "-C split-debuginfo=packed",
        "-C split-debuginfo=unpacked",
        "-C save-temps",
        "-C codegen-units=4 -C opt-level=1",
        "-C link-arg=-fuse-ld=bfd",
        "-C link-arg=-fuse-ld=lld",
        "-C link-arg=-fuse-ld=mold",
        "--emit=asm,llvm-ir,link,metadata,dep-info",
    ] {
        brig(&["build"], &[("RUSTFLAGS", flags)]);
    }
}

/// Without a C library, of which there is none for it everywhere.
#[test]
fn linkers_for_another_target_work() {
    const TARGET: &str = "aarch64-unknown-linux-gnu";
    let sysroot = stdout(&succeed(support::clean_command("rustc").args(["--print", "sysroot"])));
    if !Path::new(sysroot.trim()).join("lib/rustlib").join(TARGET).exists() {
        eprintln!("{TARGET} is not installed (rustup target add): linking for it is not tested");
        return;
    }
    let project = usual("extends = \"strict\"\nrustc.jail = true\n");
    project.write(
        "app/src/main.rs",
        "#![no_std]\n#![no_main]\nevil::go!();\n#[panic_handler]\n\
         fn panic(_: &core::panic::PanicInfo) -> ! {\n    loop {}\n}\n\
         #[unsafe(no_mangle)]\npub extern \"C\" fn _start() -> usize {\n    TEXT.len()\n}\n",
    );
    project.write("other/src/lib.rs", "#![no_std]\npub fn x() {}\n");
    for (linker, flavor) in [("rust-lld", "ld.lld"), ("ld.lld", "ld.lld"), ("mold", "ld")] {
        let flags = format!("-C linker={linker} -C linker-flavor={flavor} -C panic=abort");
        let mut build = project.brig(&["build", "--target", TARGET]);
        let said = stderr(&succeed(build.env("RUSTFLAGS", flags)));
        assert!(!said.contains("tried to"), "{linker}: {said}");
        let made = project.root.join("target").join(TARGET).join("debug/app");
        let machine = fs::read(&made).unwrap()[18];
        assert_eq!(machine, 183, "EM_AARCH64 (elf(5))");
        fs::remove_file(made).unwrap();
    }
}

#[test]
fn a_denial_fails_the_compilation_where_the_policy_says_so() {
    let project = workspace("denied", ATTACKS);
    project.write("app/port", "127.0.0.1:1");
    project.write("brig.toml", "on-denial = \"fail\"\nrustc.jail = true\n");
    let home = project.root.parent().unwrap().join("home");
    fs::create_dir(&home).unwrap();
    let check = || {
        let mut check = project.brig(&["check"]);
        support::with_toolchain(&mut check).env("HOME", &home).output().unwrap()
    };
    let output = check();
    assert_eq!(output.status.code(), Some(101), "{}", stderr(&output));
    assert!(stderr(&output).contains("(exit status: 124)"), "{}", stderr(&output));
    // A rule of the package's lets it.
    let rule = "rustc.jail = true\n[[package]]\nname = \"app\"\nrustc.jail = false\n";
    project.write("brig.toml", rule);
    let output = check();
    assert!(
        output.status.success() && !stderr(&output).contains("tried to"),
        "{}",
        stderr(&output)
    );
}

/// The same bytes come out as without the jail.
#[test]
fn the_outputs_are_those_of_a_compilation_without_it() {
    let project = usual("");
    let files = |policy: &str| {
        project.write("brig.toml", policy);
        succeed(&mut project.brig(&["clean"]));
        // An incremental session names its object files at random.
        succeed(&mut project.brig(&["build", "--config", "profile.dev.incremental=false"]));
        let deps = project.root.join("target/debug/deps");
        let entries = fs::read_dir(deps).unwrap().map(|entry| entry.unwrap().path());
        let bytes = |path: PathBuf| (path.clone(), fs::read(path).unwrap());
        entries.filter(|path| path.is_file()).map(bytes).collect::<BTreeMap<_, _>>()
    };
    let (without, within) = (files(""), files(JAIL));
    assert!(without.len() > 5, "{:?}", without.keys());
    let differ: Vec<_> =
        without.iter().filter(|(path, bytes)| within.get(*path) != Some(bytes)).collect();
    assert!(differ.is_empty(), "{:?}", differ.iter().map(|(path, _)| path).collect::<Vec<_>>());
    assert_eq!(without.len(), within.len(), "{:?}", within.keys());
}

/// A compiler wrapper that is no daemon's client is in the jail, too.
#[test]
fn a_users_wrapper_is_in_the_jail() {
    let project = usual("");
    let wrapper = project.write("wrapper", "#!/bin/sh\necho x >>\"$HOME/wrapped\"\nexec \"$@\"\n");
    fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755)).unwrap();
    let home = project.root.parent().unwrap().join("home");
    fs::create_dir(&home).unwrap();
    let calls = |policy: &str| {
        project.write("brig.toml", policy);
        succeed(&mut project.brig(&["clean"]));
        drop(fs::remove_file(home.join("wrapped")));
        let mut build = project.brig(&["build"]);
        support::with_toolchain(&mut build);
        let said = stderr(&succeed(build.env("RUSTC_WRAPPER", &wrapper).env("HOME", &home)));
        let count = fs::read_to_string(home.join("wrapped")).unwrap_or_default().lines().count();
        (count, said.matches("/home/wrapped`: no `files.write` rule").count())
    };
    // Cargo's questions to the compiler run nobody's code, and are not in the jail.
    let ((all, none), (questions, denied)) = (calls(""), calls(JAIL));
    assert_eq!((none, denied, all - questions), (0, 3, 3), "{all} {questions}");
}

/// What a daemon compiles is compiled outside: a wrapper of which no more is known is not called, and a
/// person hears of it.
#[test]
fn a_wrapper_with_a_daemon_is_left_out() {
    let project = usual("");
    let wrapper = project.write("cachepot", "#!/bin/sh\necho \"$*\" >>\"$WRAPPED\"\nexec \"$@\"\n");
    fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755)).unwrap();
    let log = project.root.parent().unwrap().join("wrapped");
    let warning = format!("so called without `{}`, which has a daemon", wrapper.display());
    for (policy, is_called) in [("", true), (JAIL, false)] {
        project.write("brig.toml", policy);
        succeed(&mut project.brig(&["clean"]));
        fs::write(&log, "").unwrap();
        let mut build = project.brig(&["build"]);
        build.env("RUSTC_WRAPPER", &wrapper).env("WRAPPED", &log);
        let said = stderr(&succeed(&mut build));
        assert_eq!(said.matches(&warning).count(), usize::from(!is_called), "{said}");
        let calls = fs::read_to_string(&log).unwrap();
        assert_eq!(calls.contains("--crate-name evil"), is_called, "{calls}");
    }
}

/// Reads whatever the file `wanted` names, below the workspace or anywhere, as far as it may.
const READS: &str = r#"
    let wanted = fs::read_to_string("wanted").unwrap();
    let paths = wanted.lines().flat_map(|path| match path.split_once('*') {
        None => vec![path.to_owned()],
        Some((start, end)) => {
            let (directory, start) = start.rsplit_once('/').unwrap();
            let names = fs::read_dir(directory).into_iter().flatten().flatten();
            let names = names.map(|entry| entry.file_name().into_string().unwrap());
            let names = names.filter(|name| name.starts_with(start));
            names.map(|name| format!("{directory}/{name}{end}")).collect()
        }
    });
    let mut got = String::new();
    for path in paths {
        got += &fs::read_to_string(&path).unwrap_or_default();
        drop(fs::write(format!("{path}.written"), "x"));
    }
    format!("const TEXT: &str = {got:?};").parse().unwrap()
"#;

/// Prints what `LINE` says, in which `VICTIM` stands for another package's `OUT_DIR`.
const SAYS: &str = r#"
    fn main() {
        println!("cargo::rerun-if-env-changed=LINE");
        let line = std::env::var("LINE").unwrap();
        let build = std::path::Path::new(&std::env::var("OUT_DIR").unwrap()).join("../..");
        let units = std::fs::read_dir(build).into_iter().flatten().flatten();
        let victim = units.map(|unit| unit.path().canonicalize().unwrap()).find(|path| {
            path.file_name().unwrap().to_str().unwrap().starts_with("victim-") && path.join("out").exists()
        });
        let victim = victim.map(|path| path.join("out").display().to_string()).unwrap_or_default();
        println!("{}", line.replace("VICTIM", &victim));
    }
"#;

/// A script and a macro can be one's, and a workspace's configuration can be anybody's.
#[test]
fn what_others_say_of_a_compilation_gives_it_nothing() {
    let project = workspace("told", READS);
    let outside = project.root.parent().unwrap().join("outside");
    for directory in ["library", "bin", "trusted", "out"] {
        fs::create_dir_all(outside.join(directory)).unwrap();
        fs::write(outside.join(directory).join("key"), "of the user").unwrap();
    }
    std::os::unix::fs::symlink("/usr/bin/cc", outside.join("bin/cc")).unwrap();
    let of = |path: &str| outside.join(path).to_str().unwrap().to_owned();
    project.write(
        "Cargo.toml",
        "[workspace]\nresolver = \"3\"\nmembers = [\"app\", \"evil\", \"other\", \"victim\"]\n",
    );
    project.write(
        "victim/Cargo.toml",
        "[package]\nname = \"victim\"\nversion = \"1.0.0\"\nedition = \"2024\"\n",
    );
    project.write("victim/src/lib.rs", "");
    let leaves = "fn main() { let out = std::env::var(\"OUT_DIR\").unwrap();
        std::fs::write(out + \"/key\", \"of the user\").unwrap(); }";
    project.write("victim/build.rs", leaves);
    project.write("app/build.rs", SAYS);
    let trusted =
        format!("[[package]]\nname = \"trusted\"\nfiles.read = [\"{}\"]\n", of("trusted"));
    let policy = format!("{JAIL}{trusted}[[package]]\nname = \"free\"\nrustc.jail = false\n");
    let search = |path: &str| format!("cargo::rustc-link-search=native={path}");
    let set = |name: &str, value: &str| format!("cargo::rustc-env={name}={value}");
    let target = project.root.join("target/debug");
    let none = String::new;
    let inner = |directory: &str| format!("target/debug/{directory}/key");
    project.write(&inner("brig"), "of this program");
    project.write(&inner(".fingerprint"), "of Cargo");
    // What the script prints, what rustc is told by the configuration, and what the macro then reads.
    let cases = [
        (search(&of("library")), none(), of("library/key")),
        (
            search(target.join(".fingerprint").to_str().unwrap()),
            none(),
            "target/debug/.fingerprint/victim-*/invoked.timestamp".to_owned(),
        ),
        (set("CARGO_PKG_NAME", "trusted"), none(), of("trusted/key")),
        (set("CARGO_PKG_NAME", "free"), none(), of("library/key")),
        (set("OUT_DIR", &of("out")), none(), of("out/key")),
        (set("DEP_X_ROOT", "VICTIM"), none(), "target/debug/build/victim-*/out/key".to_owned()),
        (
            set("CARGO_BIN_FILE_X", "VICTIM"),
            none(),
            "target/debug/build/victim-*/out/key".to_owned(),
        ),
        // By this name alone rustc compiles its standard input.
        (none(), "-L\u{1f}-".to_owned(), of("library/key")),
        (none(), "-L\u{1f}-vV".to_owned(), of("library/key")),
        (none(), format!("-Clinker={}", of("bin/cc")), of("bin/key")),
        (none(), format!("--emit=link,dep-info={}", of("out/key.d")), of("out/key")),
        // A name beside the profile's directories is all that is in the directory of that name.
        (
            none(),
            "--emit=link,dep-info,asm=target/debug/build.s".to_owned(),
            "target/debug/build/victim-*/out/key".to_owned(),
        ),
        // What is Cargo's and this program's in the build directory.
        (none(), "--emit=link,dep-info=target/debug/brig/key.d".to_owned(), inner("brig")),
        (
            none(),
            "--emit=link,dep-info=target/debug/.fingerprint/key.d".to_owned(),
            inner(".fingerprint"),
        ),
    ];
    let mut wrong = Vec::new();
    for (line, flag, wanted) in &cases {
        let mut reached = Vec::new();
        for jailed in [false, true] {
            project.write("brig.toml", if jailed { &policy } else { "" });
            project.write("wanted", wanted);
            drop(fs::remove_file(format!("{wanted}.written")));
            succeed(project.brig(&["build", "-p", "victim"]).env("LINE", ""));
            project.write("app/src/main.rs", &format!("evil::go!();\nfn main() {{\n    println!(\"{{TEXT}}\");\n    other::x();\n}}\n// {jailed}"));
            let mut build = project.brig(&["run", "-p", "app"]);
            build.env("LINE", line);
            if !flag.is_empty() {
                // The path has blanks in it.
                build.env("CARGO_ENCODED_RUSTFLAGS", flag);
            }
            let output = build.output().unwrap();
            let is_read = !stdout(&output).trim().is_empty();
            reached.push(is_read || fs::exists(format!("{wanted}.written")).unwrap());
        }
        // Nothing but this is withheld for what it says.
        if reached != [!line.contains("=OUT_DIR"), false] {
            wrong.push(format!("{line} {flag}: {wanted}: {reached:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The records of compilations that `cargo brig show` finds.
fn compilations(project: &Project, of: &[&str]) -> Vec<Value> {
    let arguments = [&["show"], of, &["--rustc", "--format", "json"]].concat();
    serde_json::from_str(&stdout(&succeed(&mut project.brig(&arguments)))).unwrap()
}

/// Writes whatever it can where the records are, and to another crate's output, and reads a key.
const FORGES: &str = r#"
    let records = format!("{}/../brig", deps());
    for entry in fs::read_dir(&records).into_iter().flatten() {
        drop(fs::write(entry.unwrap().path(), "forged"));
    }
    for name in ["app-0123456789abcdef.json", "new"] {
        drop(fs::write(format!("{records}/{name}"), "forged"));
    }
    drop(fs::rename(&records, format!("{records}-moved")));
    let victim = other().into_iter().find(|path| path.extension().is_some_and(|e| e == "d"));
    drop(fs::write(victim.unwrap(), "forged"));
    drop(fs::read(format!("{}/key", env::var("HOME").unwrap())));
    "const TEXT: &str = \"\";".parse().unwrap()
"#;

#[test]
fn a_compilation_leaves_a_record_where_that_is_wanted() {
    let project = workspace("recorded", FORGES);
    let home = project.root.parent().unwrap().join("home");
    fs::create_dir(&home).unwrap();
    fs::write(home.join("key"), "of the user").unwrap();
    let brig = |arguments: &[&str]| {
        let mut command = project.brig(arguments);
        support::with_toolchain(&mut command).env("HOME", &home).output().unwrap()
    };
    let records = project.root.join("target/debug/brig");
    for policy in ["", JAIL, "rustc.record = true\n"] {
        project.write("brig.toml", policy);
        assert!(brig(&["build"]).status.success(), "{policy}");
        assert!(!records.exists(), "{policy}");
        assert!(brig(&["clean"]).status.success());
    }
    let output = brig(&["show", "app", "--rustc"]);
    assert_eq!(output.status.code(), Some(4));

    project.write("brig.toml", "[rustc]\njail = true\nrecord = true\n");
    assert!(brig(&["build"]).status.success());
    let all = compilations(&project, &[]);
    let names: Vec<&str> =
        all.iter().map(|record| record["unit"]["compilation"]["crate"].as_str().unwrap()).collect();
    assert_eq!(names, ["app", "evil", "other"]);
    let app = &compilations(&project, &["app"])[0];
    assert_eq!(app["schema"], 2);
    assert_eq!(app["unit"]["compilation"]["kinds"], serde_json::json!(["bin"]));
    let key = home.join("key").display().to_string();
    let denied: Vec<&str> =
        app["denials"].as_array().unwrap().iter().map(|d| d["path"].as_str().unwrap()).collect();
    assert!(denied.contains(&key.as_str()), "{denied:?}");
    assert_eq!(app["unit"]["compilation"]["macros"][&key], "evil");
    assert!(denied.iter().any(|path| path.ends_with("/debug/brig/new")), "{denied:?}");
    let programs = app["processes"].to_string();
    assert!(programs.contains("rustc") && programs.contains("ld"), "{programs}");
    let outputs = app["outputs"].to_string();
    assert!(outputs.contains(".d\"") && outputs.contains("sha256"), "{outputs}");
    // Nothing but what the shim has written, and nothing of a script's.
    assert_eq!(fs::read_dir(&records).unwrap().count(), 3);
    assert!(project.records().is_empty());
    assert!(!brig(&["show", "app"]).status.success());

    let text = stdout(&brig(&["show", "app", "--rustc"]));
    for line in ["app v1.0.0, bin app", "(by the", "no rule gives a compilation another crate's"] {
        let line = line.replace("(by the", "/key, by the procedural macro crate `evil`");
        assert!(text.contains(&line), "{line:?} in {text}");
    }
    let list = stdout(&brig(&["show", "--rustc"]));
    assert!(list.contains("evil v1.0.0, proc-macro evil"), "{list}");
    let shown = stdout(&brig(&["policy", "show"]));
    assert!(shown.contains("each compilation is recorded"), "{shown}");

    // What Cargo has removed is not shown, and with the rest of the profile it is gone.
    assert!(brig(&["clean", "-p", "other"]).status.success());
    assert_eq!(compilations(&project, &[]).len(), 2);
    assert!(brig(&["clean"]).status.success());
    assert!(!records.exists());

    // A build directory can have come with the sources.
    let outside = project.root.parent().unwrap().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::create_dir_all(records.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink(&outside, &records).unwrap();
    let output = brig(&["build"]);
    let said = "cannot make the directory of records";
    assert!(!output.status.success() && stderr(&output).contains(said), "{}", stderr(&output));
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
}

/// What crates do that read files at compile time: `include_dir` lists a directory of the package, askama
/// reads its `templates` and `askama.toml`, `graphql_client` a schema by the name in an attribute,
/// sqlx without a database the `.sqlx` of the package or of the workspace, which it asks Cargo for.
const READERS: &str = r#"
    let package = std::path::PathBuf::from(env::var("CARGO_MANIFEST_DIR").unwrap());
    let mut names: Vec<_> = fs::read_dir(package.join("assets")).unwrap()
        .map(|entry| entry.unwrap().path()).collect();
    names.sort();
    let mut text = String::new();
    for path in &names {
        assert!(path.canonicalize().unwrap().is_absolute() && path.metadata().unwrap().is_file());
        text += &fs::read_to_string(path).unwrap();
    }
    for path in ["templates/page.html", "askama.toml", "queries/../schema.graphql"] {
        text += &fs::read_to_string(package.join(path)).unwrap();
    }
    let metadata = std::process::Command::new(env::var("CARGO").unwrap())
        .args(["metadata", "--format-version=1", "--no-deps", "--offline"])
        .current_dir(&package).output().unwrap();
    assert!(metadata.status.success(), "{}", String::from_utf8_lossy(&metadata.stderr));
    let metadata = String::from_utf8(metadata.stdout).unwrap();
    let root = metadata.split("\"workspace_root\":\"").nth(1).unwrap().split('"').next().unwrap();
    let root = std::path::Path::new(root);
    assert!(fs::metadata(package.join(".sqlx/query-0a.json")).is_err());
    text += &fs::read_to_string(root.join(".sqlx/query-0a.json")).unwrap();
    text += &fs::read_to_string(root.join(".env")).unwrap_or_default();
    let above = package.ancestors().find(|path| path.join("Cargo.lock").exists()).unwrap();
    assert_eq!(above, root);
    format!("const TEXT: &str = {text:?};").parse().unwrap()
"#;

#[test]
fn macros_that_read_files_of_their_users_work() {
    let project = workspace("readers", READERS);
    for (path, text) in [
        ("app/assets/a.txt", "1"),
        ("app/assets/b.txt", "2"),
        ("app/templates/page.html", "3"),
        ("app/askama.toml", "4"),
        ("app/queries/query.graphql", ""),
        ("app/schema.graphql", "5"),
        (".sqlx/query-0a.json", "6"),
        (".env", "7"),
    ] {
        project.write(path, text);
    }
    let home = project.root.parent().unwrap().join("home");
    fs::create_dir(&home).unwrap();
    let run = |policy: &str| {
        project.write("brig.toml", policy);
        succeed(&mut project.brig(&["clean"]));
        let mut run = project.brig(&["run"]);
        support::with_toolchain(&mut run).env("HOME", &home).output().unwrap()
    };
    for policy in ["", "extends = \"strict\"\n", "extends = \"farm\"\n"] {
        let output = run(policy);
        assert_eq!(stdout(&output), "1234567\n", "{policy}: {}", stderr(&output));
        assert!(!stderr(&output).contains("tried to"), "{policy}: {}", stderr(&output));
    }
    // Cargo's Git reads this, if it is there.
    fs::write(home.join(".gitconfig"), "").unwrap();
    let output = run("extends = \"strict\"\n");
    let rule = "files.read = [\"{home}/.gitconfig\"]";
    assert!(!output.status.success() && stderr(&output).contains(rule), "{}", stderr(&output));
    let output = run(&format!("extends = \"strict\"\n{rule}\n"));
    assert_eq!(stdout(&output), "1234567\n", "{}", stderr(&output));
}

/// The daemon of sccache, on a port of its own, which ends with this value.
struct Sccache {
    directory: tempfile::TempDir,
    port: u16,
}

impl Sccache {
    /// Started by somebody whose variables are nothing to go by.
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let sccache = Self { directory, port };
        let mut start = support::clean_command("sccache");
        let start = sccache.set(start.arg("--start-server"));
        let output = start.env("CARGO_BRIG_POLICY", "permissive").output();
        let output = output.expect("sccache is installed (tests/run-tests)");
        assert!(output.status.success(), "{}", stderr(&output));
        sccache
    }

    fn set<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        let port = self.port.to_string();
        command.env("SCCACHE_DIR", self.directory.path()).env("SCCACHE_SERVER_PORT", port)
    }

    /// How many compilations it had in store, and how many it had not.
    fn hits_and_misses(&self) -> (u64, u64) {
        let mut command = support::clean_command("sccache");
        let stats = self.set(command.args(["--show-stats", "--stats-format=json"]));
        let stats: Value = serde_json::from_slice(&succeed(stats).stdout).unwrap();
        let count = |kind: &str| {
            let counts = stats["stats"][kind]["counts"].as_object().unwrap();
            counts.values().map(|count| count.as_u64().unwrap()).sum()
        };
        (count("cache_hits"), count("cache_misses"))
    }
}

impl Drop for Sccache {
    fn drop(&mut self) {
        let mut command = support::clean_command("sccache");
        drop(self.set(command.arg("--stop-server")).output());
    }
}

/// Does what is forbidden, in a library, which sccache's daemon compiles, and in a program, which it
/// leaves to its client.
const CACHED: &str = r#"
    let home = env::var("HOME").unwrap();
    let by = if env::args().any(|word| word == "bin") { "bin" } else { "lib" };
    drop(fs::write(format!("{home}/written-{by}"), "x"));
    let key = fs::read_to_string(format!("{home}/key")).unwrap_or_default();
    format!("pub const TEXT: &str = \"[{key}]\";").parse().unwrap()
"#;

#[test]
fn what_sccache_compiles_is_compiled_in_the_jail() {
    let sccache = Sccache::start();
    let project = workspace("cached", CACHED);
    project.write("app/src/lib.rs", "evil::go!();\n");
    project.write(
        "app/src/main.rs",
        "evil::go!();\nfn main() {\n    println!(\"{} {TEXT}\", app::TEXT);\n    other::x();\n}\n",
    );
    let home = project.root.parent().unwrap().join("home");
    fs::create_dir(&home).unwrap();
    fs::write(home.join("key"), "of the user").unwrap();
    let run = |policy: &str| {
        project.write("brig.toml", policy);
        succeed(&mut project.brig(&["clean"]));
        let mut command = project.brig(&["run", "--config", "profile.dev.incremental=false"]);
        support::with_toolchain(sccache.set(&mut command));
        let output = succeed(command.env("RUSTC_WRAPPER", "sccache").env("HOME", &home));
        let written = |by: &str| {
            let path = home.join(format!("written-{by}"));
            path.exists() && fs::remove_file(path).is_ok()
        };
        (stdout(&output), [written("lib"), written("bin")], stderr(&output))
    };
    let read = format!("{JAIL}files.read = [\"{}\"]\n", home.join("key").display());
    let denial = "/home/key`: no `files.read` rule";
    let (text, written, said) = run(JAIL);
    assert_eq!((text.as_str(), written), ("[] []\n", [false; 2]), "{said}");
    assert!(said.contains(denial) && !said.contains("called without"), "{said}");
    assert_eq!(sccache.hits_and_misses(), (0, 2), "{said}");
    // Of what was compiled by this policy, and by no other.
    let (text, written, said) = run(JAIL);
    assert_eq!((text.as_str(), written), ("[] []\n", [false; 2]), "{said}");
    assert_eq!(sccache.hits_and_misses(), (2, 2), "{said}");
    let (text, written, said) = run(&read);
    assert_eq!((text.as_str(), written), ("[of the user] [of the user]\n", [false; 2]), "{said}");
    assert_eq!(sccache.hits_and_misses().1, 4, "{said}");
    // What others have compiled is not what they take, and what was compiled in the jail is not what they get.
    let (text, written, said) = run("");
    assert_eq!((text.as_str(), written), ("[of the user] [of the user]\n", [true; 2]), "{said}");
    let (text, written, said) = run(JAIL);
    assert_eq!((text.as_str(), written), ("[] []\n", [false; 2]), "{said}");
}

/// Does nothing when it is compiled, and what is forbidden when it is documented.
const DOCUMENTED: &str = r#"
    let Some(deps) = env::args().find_map(|a| Some(a.strip_prefix("dependency=")?.to_owned())) else {
        panic!("Cargo says where crates lie");
    };
    let is_documented = !env::args().any(|word| word == "--out-dir");
    let home = env::var("HOME").unwrap();
    if is_documented {
        drop(fs::write(format!("{home}/written"), "x"));
        for entry in fs::read_dir(&deps).unwrap() {
            let path = entry.unwrap().path();
            if path.to_str().unwrap().contains("other-") && path.extension().is_some_and(|e| e == "d") {
                drop(fs::write(&path, "x"));
            }
        }
        drop(fs::write(format!("{deps}/libplanted-0123456789abcdef.rmeta"), "x"));
    }
    let key = fs::read_to_string(format!("{home}/key")).unwrap_or_default();
    format!("pub const TEXT: &str = \"[{}]\";", if is_documented { key } else { String::new() }).parse().unwrap()
"#;

#[test]
fn what_is_documented_is_in_the_jail() {
    let project = workspace("documented", DOCUMENTED);
    project
        .write("app/src/lib.rs", "//! ```\n//! app::x();\n//! ```\nevil::go!();\npub fn x() {}\n");
    project.write("app/src/main.rs", "fn main() {\n    other::x();\n}\n");
    let home = project.root.parent().unwrap().join("home");
    fs::create_dir(&home).unwrap();
    fs::write(home.join("key"), "of the user").unwrap();
    let documented = |policy: &str, arguments: &[&str]| {
        project.write("brig.toml", policy);
        succeed(&mut project.brig(&["clean"]));
        let mut doc = project.brig(&[&["doc", "--no-deps"], arguments].concat());
        let said = stderr(&succeed(support::with_toolchain(&mut doc).env("HOME", &home)));
        let mut all = Vec::new();
        support::walk(&project.root.join("target"), &mut |path| all.push(path.to_owned()));
        let found = |part: &str| {
            all.iter().filter(|path| path.to_str().unwrap().contains(part)).collect::<Vec<_>>()
        };
        let page = found("app/constant.TEXT.html");
        let of_other =
            found("/other-").into_iter().find(|path| path.extension().is_some_and(|e| e == "d"));
        let effects = [
            fs::remove_file(home.join("written")).is_ok(),
            fs::read_to_string(page[0]).unwrap().contains("[of the user]"),
            fs::read(of_other.unwrap()).unwrap() == b"x",
            !found("planted").is_empty(),
        ];
        (effects, said)
    };
    for arguments in [
        &[][..],
        &["--document-private-items"],
        &["--target", "x86_64-unknown-linux-gnu"],
        &["--config", "build.build-dir='target/inner'"],
    ] {
        let (without, _) = documented("", arguments);
        let (within, said) = documented(JAIL, arguments);
        assert_eq!((without, within), ([true; 4], [false; 4]), "{arguments:?}: {said}");
        for sentence in
            ["/home/written`: no `files.write` rule", "/home/key`: no `files.read` rule"]
        {
            assert!(said.contains(sentence), "{arguments:?}: {sentence:?} in {said}");
        }
    }
    // Tests are programs of the package's own.
    succeed(&mut project.brig(&["test", "--doc"]));
    // What a workspace has in the place of documentation is none.
    let precious = home.join("precious");
    fs::create_dir(&precious).unwrap();
    let writes = format!("drop(fs::write({:?}, \"x\"));\n{DOCUMENTED}", precious.join("written"));
    let project = workspace("misled", &writes.replace("deps}/lib", "deps}/none/"));
    project.write("brig.toml", JAIL);
    fs::create_dir(project.root.join("target")).unwrap();
    symlink(&precious, project.root.join("target/doc")).unwrap();
    for (policy, arrives) in [("", true), (JAIL, false)] {
        project.write("brig.toml", policy);
        let mut doc = project.brig(&["doc", "--no-deps"]);
        drop(support::with_toolchain(&mut doc).env("HOME", &home).output().unwrap());
        assert_eq!(precious.join("written").exists(), arrives, "{policy}");
        assert_eq!(precious.join("app").exists(), arrives, "{policy}");
        fs::remove_dir_all(&precious).unwrap();
        fs::create_dir(&precious).unwrap();
        drop(fs::remove_dir_all(project.root.join("target/debug")));
    }
}

/// The rustdoc that the user has is called, and named to scripts.
#[test]
fn the_users_rustdoc_is_called() {
    let project = usual("");
    let script = "fn main() {\n    println!(\"cargo::warning=told of {}\", std::env::var(\"RUSTDOC\").unwrap());\n}\n";
    project.write("app/build.rs", script);
    let told = |command: &mut Command| {
        let said = stderr(&succeed(command));
        said.lines().find_map(|line| Some(line.split_once("told of ")?.1.to_owned())).unwrap()
    };
    let mut plain = project.cargo(&["check"]);
    assert_eq!(told(&mut plain), told(&mut project.brig(&["check"])));
    let users = project.write("tools/rustdoc", "#!/bin/sh\necho called >&2\nexec rustdoc \"$@\"\n");
    fs::set_permissions(&users, fs::Permissions::from_mode(0o755)).unwrap();
    for policy in ["", JAIL] {
        project.write("brig.toml", policy);
        succeed(&mut project.brig(&["clean"]));
        let said = succeed(project.brig(&["doc"]).env("RUSTDOC", &users));
        assert!(stderr(&said).contains("called\n"), "{policy}: {}", stderr(&said));
        assert_eq!(told(project.brig(&["check"]).env("RUSTDOC", &users)), users.to_str().unwrap());
    }
    // A path begins where Cargo is called, and a name is not looked for where a workspace says.
    project.write("brig.toml", "");
    for (named, by, config, is_called) in [
        ("../tools/rustdoc", "RUSTDOC", "", true),
        ("../tools/rustdoc", "CARGO_BUILD_RUSTDOC", "", true),
        (
            "rustdoc",
            "RUSTDOC",
            "[env]\nPATH = { value = \"TOOLS:/usr/bin:/bin\", force = true }\n",
            false,
        ),
    ] {
        let tools = project.root.join("tools");
        project.write(".cargo/config.toml", &config.replace("TOOLS", tools.to_str().unwrap()));
        succeed(&mut project.brig(&["clean"]));
        let mut doc = project.brig(&["doc", "--no-deps"]);
        let said = stderr(&succeed(doc.env(by, named).current_dir(project.root.join("app"))));
        assert_eq!(said.contains("called\n"), is_called, "{named} by {by}: {said}");
    }
    project.write(".cargo/config.toml", "[build]\nrustdoc = \"tools/rustdoc\"\n");
    succeed(&mut project.brig(&["clean"]));
    let said = stderr(&succeed(&mut project.brig(&["doc"])));
    assert!(said.contains("called\n"), "{said}");
    // The workspace's is nobody to be trusted where its policy cannot loosen anything.
    let refused = project.brig(&["--policy", "farm", "doc"]).output().unwrap();
    assert!(!refused.status.success(), "{}", stderr(&refused));
    assert!(stderr(&refused).contains("say so by RUSTDOC"), "{}", stderr(&refused));
    // Where that is this program again, it is said.
    fs::remove_file(&users).unwrap();
    symlink(support::TOOL, &users).unwrap();
    let mut again = support::clean_command("sh");
    again.args(["-c", "\"$CARGO_BRIG_RUSTDOC\" --version; exit $?"]);
    let said = stderr(&support::fail(again.env("CARGO_BRIG_RUSTDOC", &users)));
    assert!(said.contains("is cargo-brig itself: name the real rustdoc"), "{said}");
}
