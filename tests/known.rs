//! What is known of paths, which the preloaded library answers: the same as without the jail, recorded
//! once, and forgotten when it changes.

mod support;

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;
use support::{Project, TOOL, clean_command, shown, stdout, succeed};

/// A directory that the script may not write to, a program that looks for files in it, and an `OUT_DIR`.
struct Looked {
    project: Project,
    program: PathBuf,
    files: PathBuf,
    out: PathBuf,
}

impl Looked {
    fn new(name: &str) -> Self {
        Self::with(name, &[])
    }

    fn with(name: &str, flags: &[&str]) -> Self {
        let project = Project::of(name, &[("known.c", include_str!("data/known.c"))]);
        let program = project.root.join("program");
        let mut gcc = clean_command("gcc");
        gcc.current_dir(&project.root)
            .args(["-O2", "-fexceptions", "-pthread", "-w", "known.c", "-o", "program"])
            .args(flags);
        succeed(&mut gcc);
        project.write("files/there", "");
        let [files, out] = ["files", "unit/out"].map(|name| project.root.join(name));
        fs::create_dir_all(&out).unwrap();
        Self { project, program, files, out }
    }

    fn command(&self, mut command: Command) -> Command {
        let root = &self.project.root;
        command.env("OUT_DIR", &self.out).env("CARGO_MANIFEST_DIR", root).current_dir(root);
        command
    }

    fn bare(&self) -> Command {
        self.command(clean_command(&self.program))
    }

    fn jailed(&self) -> Command {
        let mut command = clean_command(TOOL);
        command.args(["exec", "--"]).arg(&self.program);
        self.command(command)
    }

    /// How often something had this outcome, by kind and path.
    fn counts(&self, outcome: &str) -> Vec<(String, String, u64)> {
        let record = fs::read(self.project.root.join("unit/brig.json")).unwrap();
        let record: Value = serde_json::from_slice(&record).unwrap();
        let accesses = record["accesses"].as_array().unwrap().iter();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        accesses
            .filter(|access| access["outcome"] == outcome)
            .map(|access| {
                (text(&access["kind"]), text(&access["path"]), access["count"].as_u64().unwrap())
            })
            .collect()
    }
}

fn says_nothing(command: &mut Command) {
    assert_eq!(stdout(&succeed(command)), "");
}

#[test]
fn a_path_is_asked_for_a_few_times_and_recorded() {
    // Without links on its way: paths with one are asked for each time.
    for flags in [&[][..], &["-D_FILE_OFFSET_BITS=64"]] {
        let looked = Looked::with("often", flags);
        let files = looked.files.canonicalize().unwrap();
        says_nothing(looked.bare().arg("all").arg(&files));
        says_nothing(looked.jailed().arg("all").arg(&files));
        let absent = looked.counts("not-found");
        let below = files.join("none").to_str().unwrap().to_owned() + "/";
        let absent: Vec<_> =
            absent.iter().filter(|(_, path, _)| path.starts_with(&below)).collect();
        for number in 0..20 {
            let path = format!("{below}{number}");
            assert!(absent.iter().any(|(_, other, _)| *other == path), "{path}: {absent:#?}");
        }
        // 24,000 times.
        let sum: u64 = absent.iter().map(|(_, _, count)| count).sum();
        assert!((20..1_000).contains(&sum), "{sum}");
        let there = files.join("there").to_str().unwrap().to_owned();
        let real: Vec<_> = looked
            .counts("allowed")
            .into_iter()
            .filter(|(kind, path, _)| kind == "read-link" && *path == there)
            .map(|(_, _, count)| count)
            .collect();
        // 200 times.
        assert!(real.len() == 1 && (1..50).contains(&real[0]), "{real:?}");
    }
}

#[test]
fn what_changes_outside_is_seen() {
    let looked = Looked::new("changing");
    let files = looked.files.canonicalize().unwrap();
    for directory in ["kept", "replaced", "elsewhere"] {
        fs::create_dir(files.join(directory)).unwrap();
    }
    fs::write(files.join("elsewhere/a"), "").unwrap();
    fs::write(files.join("goes"), "").unwrap();
    let paths = ["kept/a", "moved/a", "replaced/a", "link/a", "renamed", "goes"];
    let mut jailed = looked.jailed();
    jailed.arg("changes").args(paths.map(|path| files.join(path))).stdout(Stdio::piped());
    let mut child = jailed.spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    // Each in a way of its own.
    fs::write(files.join("kept/a"), "").unwrap();
    fs::create_dir_all(files.join("new")).unwrap();
    fs::write(files.join("new/a"), "").unwrap();
    fs::rename(files.join("new"), files.join("moved")).unwrap();
    fs::rename(files.join("replaced"), files.join("old")).unwrap();
    fs::rename(files.join("elsewhere"), files.join("replaced")).unwrap();
    symlink("moved", files.join("link")).unwrap();
    fs::rename(files.join("there"), files.join("renamed")).unwrap();
    fs::remove_file(files.join("goes")).unwrap();
    let mut rest = String::new();
    output.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "seen\n");
    assert!(child.wait().unwrap().success());
}

#[test]
fn what_the_script_makes_is_there_at_once() {
    says_nothing_either_way(&Looked::new("making"), "own", &[]);
}

/// Runs the program bare and in the jail, with these names in a directory that it may not write to: neither
/// has anything to say.
fn says_nothing_either_way(looked: &Looked, how: &str, names: &[&str]) {
    let files = looked.files.canonicalize().unwrap();
    for mut command in [looked.bare(), looked.jailed()] {
        says_nothing(command.arg(how).args(names.iter().map(|name| files.join(name))));
    }
}

#[test]
fn a_status_is_what_the_kernel_says() {
    let looked = Looked::new("status");
    let files = looked.files.canonicalize().unwrap();
    fs::create_dir_all(files.join("directory/below")).unwrap();
    let closed = PermissionsExt::from_mode(0o200);
    fs::write(files.join("closed"), "x").unwrap();
    fs::set_permissions(files.join("closed"), closed).unwrap();
    fs::copy("/bin/true", files.join("program")).unwrap();
    symlink("there", files.join("link")).unwrap();
    fs::hard_link(files.join("there"), files.join("directory/again")).unwrap();
    let names =
        ["", "there", "directory", "directory/", "directory/../there", "closed", "program", "link"];
    says_nothing_either_way(&looked, "status", &names);
    says_nothing_either_way(&looked, "status", &["directory/again", "link/", "there/", "none"]);
    // 400 times by functions that know, and 400 by the kernel.
    let there = files.join("program").to_str().unwrap().to_owned();
    says_nothing(looked.jailed().arg("status").arg(&there));
    let allowed = looked.counts("allowed").into_iter();
    let stats: u64 = allowed
        .filter(|(kind, path, _)| kind == "stat" && *path == there)
        .map(|(.., count)| count)
        .sum();
    // Of 6,200; and 1,200 times of whether it may be written to, which the kernel is asked.
    assert!((2_800..5_400).contains(&stats), "{stats}");
}

#[test]
fn programs_are_found_where_they_are() {
    let looked = Looked::new("starting");
    let files = looked.files.canonicalize().unwrap();
    let program = |path: &str, mode, text: &str| {
        looked.project.write(&format!("files/{path}"), text);
        fs::set_permissions(files.join(path), PermissionsExt::from_mode(mode)).unwrap();
    };
    program("bin/seven", 0o755, "#!/bin/sh\nexit 7\n");
    program("bin/plain", 0o755, "exit 8\n");
    program("bin/later", 0o755, "#!/bin/sh\nexit 5\n");
    program("bin/without", 0o755, "#!/no/interpreter\n");
    program("second/without", 0o755, "#!/bin/sh\nexit 6\n");
    // One that may not be executed stands before it.
    program("first/closed", 0o644, "#!/bin/sh\nexit 3\n");
    program("second/closed", 0o755, "#!/bin/sh\nexit 4\n");
    let path = ["none", "first", "bin", "second"].map(|name| files.join(name));
    let path = std::env::join_paths(path).unwrap();
    let run = |mut command: Command, path: &OsStr, name: &str| {
        let names = ["seven", "plain", "without", "closed", "absent", "bin/seven", "later"];
        command.arg("starts").args(names).env("PATH", path).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut text = String::new();
        while !text.ends_with("ready\n") && output.read_line(&mut text).unwrap() > 0 {}
        program(name, 0o755, "#!/bin/sh\nexit 9\n");
        output.read_to_string(&mut text).unwrap();
        assert!(child.wait().unwrap().success() && text.ends_with("seen\n"), "{text}");
        fs::remove_file(files.join(name)).unwrap();
        text
    };
    let relative = OsString::from_iter([OsStr::new("files/none:"), &path]);
    let empty = OsString::from_iter([&path, OsStr::new("::")]);
    for path in [&path, &relative, &empty] {
        let bare = run(looked.bare(), path, "first/later");
        assert!(bare.starts_with("seven in way 0: 7, 7\n"), "{bare}");
        assert_eq!(run(looked.jailed(), path, "first/later"), bare);
        fs::create_dir_all(files.join("none")).unwrap();
        assert_eq!(run(looked.jailed(), path, "none/later"), bare);
        fs::remove_dir(files.join("none")).unwrap();
    }
    run(looked.jailed(), &path, "first/later");
    let seven = files.join("none/seven").to_str().unwrap().to_owned();
    let absent = looked.counts("not-found").into_iter();
    let tried: Vec<_> =
        absent.filter(|(kind, path, _)| kind == "execute" && *path == seven).collect();
    assert!(tried.len() == 1 && (1..60).contains(&tried[0].2), "{tried:?}");
}

#[test]
fn what_a_link_leads_to_is_there_at_once() {
    let looked = Looked::new("leading");
    symlink(looked.out.join("later"), looked.files.join("link")).unwrap();
    says_nothing_either_way(&looked, "led", &["link/none"]);
}

#[test]
fn what_fails_by_another_name_changes_nothing() {
    says_nothing_either_way(&Looked::new("mistaking"), "mistaken", &["there", "none"]);
}

#[test]
fn a_thread_that_waits_can_be_cancelled() {
    says_nothing_either_way(&Looked::new("cancelling"), "cancelled", &["none"]);
}

#[test]
fn little_of_a_small_stack_is_used() {
    says_nothing_either_way(&Looked::new("stacking"), "stack", &["none"]);
}

#[test]
fn nobody_writes_to_the_table() {
    let looked = Looked::new("guarded");
    let files = looked.files.canonicalize().unwrap();
    let paths = ["none", "there"].map(|name| files.join(name));
    says_nothing(looked.jailed().arg("guard").args(&paths));
}

/// Before glibc 2.34 most programs have no `dlsym`: the library, changed so that it asks for what nobody has.
#[test]
fn programs_without_dlsym_live() {
    let directory = tempfile::tempdir().unwrap();
    let preload = cargo_brig::preload::Preload::new(&[directory.path()]).unwrap().unwrap();
    let mut bytes = fs::read(preload.path()).unwrap();
    let at = bytes.windows(7).position(|name| name == b"\0dlsym\0").unwrap();
    bytes[at + 1] = b'X';
    let library = directory.path().join("without.so");
    fs::write(&library, bytes).unwrap();
    fs::write(directory.path().join("file"), "there\n").unwrap();
    let run = |words: &[&str]| {
        let mut command = clean_command(words[0]);
        command.args(&words[1..]).current_dir(directory.path()).env("LD_PRELOAD", &library);
        stdout(&succeed(&mut command))
    };
    assert_eq!(run(&["cat", "file"]), "there\n");
    assert_eq!(run(&["stat", "--format=%s", "file"]), "6\n");
    let real = directory.path().canonicalize().unwrap();
    assert_eq!(
        run(&["sh", "-c", "cat < file; realpath ."]),
        format!("there\n{}\n", real.display())
    );
    let found = run(&["python3", "-c", "import subprocess; subprocess.run(['cat', 'file'])"]);
    assert_eq!(found, "there\n");
}

#[test]
fn a_program_with_a_filter_of_its_own_lives() {
    let looked = Looked::new("filtering");
    let absent = looked.files.canonicalize().unwrap().join("none");
    for way in ["0", "1"] {
        for (before, opens) in [("0", "0"), ("0", "1"), ("1", "0"), ("1", "1")] {
            for mut command in [looked.bare(), looked.jailed()] {
                command.arg("filtered").arg(&absent).args([way, before, opens]);
                let output = command.output().unwrap();
                let of = format!("{way} {before} {opens}");
                assert_eq!(stdout(&output), "alive\n", "{of} {}", shown(&output));
            }
        }
    }
}

#[test]
fn other_errors_are_the_same() {
    let looked = Looked::new("failing");
    let absent = looked.files.canonicalize().unwrap().join("none");
    let [bare, jailed] = [looked.bare(), looked.jailed()].map(|mut command| {
        fs::remove_dir_all(&looked.out).unwrap();
        fs::create_dir(&looked.out).unwrap();
        stdout(&succeed(command.arg("corners").arg(&absent)))
    });
    assert_eq!(jailed, bare);
}

/// Counts the opens that come to it, and says how many there were.
const COUNTING: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
static int count;
int open(const char *path, int flags, ...) {
    int (*next)(const char *, int, ...) = dlsym(RTLD_NEXT, "open");
    count++;
    return next(path, flags);
}
__attribute__((destructor)) static void say(void) { printf("%s\n", count > 200 ? "all" : "few"); }
"#;

#[test]
fn a_library_that_the_user_preloads_is_asked() {
    let looked = Looked::new("preloading");
    looked.project.write("counting.c", COUNTING);
    let mut gcc = clean_command("gcc");
    gcc.current_dir(&looked.project.root);
    succeed(gcc.args(["-shared", "-fPIC", "-w", "counting.c", "-o", "libcounting.so"]));
    let files = looked.files.canonicalize().unwrap();
    for mut command in [looked.bare(), looked.jailed()] {
        // The loader takes a blank for the end of a path, and this one has none.
        command.env("LD_PRELOAD", "./libcounting.so");
        let output = succeed(command.arg("all").arg(&files));
        assert!(stdout(&output).contains("all\n"), "{}", shown(&output));
    }
}
