//! Whether cost grows linearly: with what one script does, and with how many scripts a build has.
//!
//! One script asks for more and more paths, each another one, bare and in the jail in turn. Workspaces of
//! more and more packages, each with a script, are built by plain Cargo and by `cargo brig`, and then once
//! more when nothing is to be done. A stand-in for rustc links the same script to each place, so that the
//! time is Cargo's and the jail's. Where cost is linear, the last column stays as it is.
//!
//! `cargo bench --bench scaling [-- MOST]`; up to 1,000 scripts unless told otherwise.

mod cost;

use std::env;
use std::error::Error;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use cost::{Cost, median, run};

const TOOL: &str = env!("CARGO_BIN_EXE_cargo-brig");
const ACCESSES: [u32; 4] = [1_000, 10_000, 100_000, 1_000_000];
const SCRIPTS: [usize; 6] = [10, 100, 300, 1_000, 3_000, 10_000];
const USUAL_MOST: usize = 1_000;
/// So often nothing is built.
const AGAIN: usize = 3;

/// Looks for so many files that are not there, as a build looks for headers.
const SCRIPT: &str = r#"
fn main() {
    let count: u32 = std::env::var("T_COUNT").map_or(0, |count| count.parse().unwrap());
    let out = std::env::var("OUT_DIR").unwrap();
    for number in 0..count {
        assert!(std::fs::metadata(format!("{out}/{number}")).is_err());
    }
}
"#;

/// Makes a link to the compiled script of what is one, and nothing of everything else; what it is asked, the
/// real rustc answers.
const STAND_IN: &str = r#"#!/bin/sh
name= out= suffix=
real() { exec "$T_RUSTC" "$@"; }
case " $* " in *" --crate-name ___ "* | *" -vV "*) real "$@" ;; esac
for word; do
    case $last in
        --crate-name) name=$word ;;
        --out-dir) out=$word ;;
    esac
    case $word in extra-filename=*) suffix=${word#extra-filename=} ;; esac
    last=$word
done
: >"$out/$name$suffix.d"
case $name in
    build_script_build) ln "$T_SCRIPT" "$out/$name$suffix" ;;
    *) : >"$out/lib$name$suffix.rmeta" ;;
esac
"#;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn rustc() -> OsString {
    env::var_os("RUSTC").unwrap_or_else(|| OsString::from("rustc"))
}

fn script(root: &Path) -> Result<PathBuf> {
    fs::write(root.join("build.rs"), SCRIPT)?;
    let script = root.join("script");
    run(Command::new(rustc()).args(["-O", "-o"]).arg(&script).arg(root.join("build.rs")))?;
    Ok(script)
}

#[expect(clippy::print_stdout, reason = "the figures are what it is run for")]
fn accesses(root: &Path, script: &Path) -> Result<()> {
    println!(
        "accesses      bare ms    jailed ms   µs of CPU time more for each   bytes of record for each"
    );
    let package = root.join("package");
    let out = package.join("target/debug/build/measured-0123456789abcdef/out");
    fs::create_dir_all(&out)?;
    fs::write(package.join("target/CACHEDIR.TAG"), "")?;
    fs::write(package.join("Cargo.toml"), "[package]\nname = \"measured\"\n")?;
    let record = root.join("record.json");
    for count in ACCESSES {
        let prepared = |mut command: Command| {
            command
                .current_dir(&package)
                .env("T_COUNT", count.to_string())
                .env("OUT_DIR", &out)
                .env("CARGO_MANIFEST_DIR", &package)
                .env("CARGO_PKG_NAME", "measured")
                .env("CARGO_PKG_VERSION", "1.0.0")
                .env("RUSTC", rustc());
            command
        };
        let bare = run(&mut prepared(Command::new(script)))?.0;
        let mut jailed = Command::new(TOOL);
        jailed.args(["exec", "--record"]).arg(&record).arg("--").arg(script);
        let jailed = run(&mut prepared(jailed))?.0;
        let more = (jailed.cpu - bare.cpu) * 1000.0 / f64::from(count);
        let size = fs::metadata(&record)?.len() / u64::from(count);
        let [bare, jailed] = [bare.wall, jailed.wall];
        println!("{count:>8}  {bare:>11.1}  {jailed:>11.1}  {more:>29.1}  {size:>25}");
    }
    Ok(())
}

/// A workspace of so many packages, in a directory of their own as in most that are large: of what lies
/// beside the target directory a script gets each by a rule of its own.
fn workspace(root: &Path, count: usize) -> Result<()> {
    for number in 0..count {
        let package = root.join(format!("packages/p{number}"));
        fs::create_dir_all(package.join("src"))?;
        fs::write(package.join("src/lib.rs"), "")?;
        fs::write(package.join("build.rs"), "fn main() {}")?;
        let manifest = format!("[package]\nname = \"p{number}\"\nversion = \"1.0.0\"\n");
        fs::write(package.join("Cargo.toml"), manifest + "edition = \"2024\"\n")?;
    }
    let manifest = "[workspace]\nresolver = \"3\"\nmembers = [\"packages/*\"]\n";
    fs::write(root.join("Cargo.toml"), manifest)?;
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the figures are what it is run for")]
fn scripts(root: &Path, script: &Path, most: usize) -> Result<()> {
    let stand_in = root.join("rustc");
    fs::write(&stand_in, STAND_IN)?;
    fs::set_permissions(&stand_in, fs::Permissions::from_mode(0o755))?;
    let cargo = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    println!();
    println!("           a build of everything                        a build of nothing");
    println!(
        "scripts    plain s  jailed s  ms more for each script   plain ms  jailed ms  ms more for each script"
    );
    for count in SCRIPTS.into_iter().filter(|count| *count <= most) {
        let directory = root.join("workspace");
        workspace(&directory, count)?;
        let build = |program: &OsString, words: &[&str]| {
            let mut command = Command::new(program);
            command
                .args(words)
                .args(["check", "--offline"])
                .current_dir(&directory)
                .env("RUSTC", &stand_in)
                .env("T_RUSTC", rustc())
                .env("T_SCRIPT", script)
                .env_remove("CARGO_BUILD_TARGET");
            run(&mut command).map(|(cost, _)| cost)
        };
        let builds = |program: &OsString, words: &[&str]| -> Result<[f64; 2]> {
            let everything = build(program, words)?;
            let nothing = (0..AGAIN).map(|_| build(program, words));
            let nothing: Vec<Cost> = nothing.collect::<Result<_>>()?;
            Ok([everything.wall, median(nothing.iter().map(|cost| cost.wall))])
        };
        let plain = builds(&cargo, &[])?;
        fs::remove_dir_all(directory.join("target"))?;
        let jailed = TOOL.into();
        let jailed = builds(&jailed, &["brig"])?;
        let more = |build: usize| {
            let more = jailed[build] - plain[build];
            more / f64::from(u32::try_from(count).unwrap_or(u32::MAX))
        };
        println!(
            "{count:>7}  {:>9.2} {:>9.2}  {:>23.2}  {:>9.0}  {:>9.0}  {:>23.3}",
            plain[0] / 1000.0,
            jailed[0] / 1000.0,
            more(0),
            plain[1],
            jailed[1],
            more(1),
        );
        fs::remove_dir_all(&directory)?;
    }
    Ok(())
}

fn main() -> Result<()> {
    // Cargo passes `--bench`; a number is for us.
    let most = env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(USUAL_MOST);
    let directory = tempfile::Builder::new().prefix("brig-bench-").tempdir()?;
    let root = fs::canonicalize(directory.path())?;
    let script = script(&root)?;
    accesses(&root, &script)?;
    scripts(&root, &script, most)
}
