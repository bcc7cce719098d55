//! What a policy hides does not exist for a script, by whatever call and way it looks, and the record
//! says what is true.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use support::{Project, clean_command, fail, shown, stderr, stdout, succeed};

/// Looks at what lies outside in every way, and says by which error each failed.
const SCRIPT: &str = r##"
use std::{env, ffi::CString, fs, io, path::Path, process::Command};
unsafe extern "C" {
    fn syscall(number: i64, ...) -> i64;
    fn getppid() -> i32;
}
fn errno<T>(result: io::Result<T>) -> i32 {
    result.err().map_or(0, |error| error.raw_os_error().unwrap_or(-1))
}
fn raw(result: i64) -> i32 {
    if result < 0 { io::Error::last_os_error().raw_os_error().unwrap() } else { 0 }
}
fn c(path: &str) -> CString {
    CString::new(path).unwrap()
}
fn main() {
    let outside = fs::read_to_string("outside").unwrap();
    let out = env::var("OUT_DIR").unwrap();
    let say = |what: &str, errno: i32| println!("cargo::warning={what} {errno}");
    let at = |name: &str| format!("{outside}/{name}");
    let mut buffer = [0_u8; 512];
    let here = -100_i64;
    say("given", errno(fs::read(at("given/file"))));
    say("the way to what is given", errno(fs::metadata(&outside)));
    say("absent", errno(fs::metadata(at("absent"))));
    say("read", errno(fs::read(at("file"))));
    say("read a directory", errno(fs::read_dir(at("directory"))));
    say("stat", errno(fs::metadata(at("file"))));
    say("lstat", errno(fs::symlink_metadata(at("file"))));
    say("stat of what is no directory", errno(fs::metadata(at("file/x"))));
    say("readlink", errno(fs::read_link(at("link"))));
    say("canonicalize", errno(fs::canonicalize(at("file"))));
    say("execute", errno(Command::new(at("program")).status()));
    // A name without blanks leads there.
    let (path, link, interpreted) = ("/proc/self/cwd/o", format!("{out}/o"), format!("{out}/interpreted"));
    let mut program = fs::read("/bin/true").unwrap();
    let loader = program.windows(4).position(|bytes| bytes == b"/lib").unwrap();
    program[loader..loader + path.len() + 1].copy_from_slice(&c(path).into_bytes_with_nul());
    for name in ["file", "program", "absent"] {
        std::os::unix::fs::symlink(at(name), &link).unwrap();
        for (what, content) in [("interpreted", format!("#! {path} x\n").into_bytes()), ("loaded", program.clone())] {
            fs::write(&interpreted, content).unwrap();
            fs::set_permissions(&interpreted, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
            say(&format!("{what} by {name}"), errno(Command::new(&interpreted).current_dir(&out).status()));
        }
        fs::remove_file(&link).unwrap();
    }
    say("create", errno(fs::write(at("new"), "")));
    say("write", errno(fs::OpenOptions::new().write(true).open(at("file"))));
    say("mkdir", errno(fs::create_dir(at("directory"))));
    say("remove what is absent", errno(fs::remove_file(at("absent"))));
    say("remove", errno(fs::remove_file(at("file"))));
    say("rename", errno(fs::rename(at("file"), format!("{out}/file"))));
    fs::write(format!("{out}/mine"), "").unwrap();
    say("rename over", errno(fs::rename(format!("{out}/mine"), at("file"))));
    say("link", errno(fs::hard_link(at("file"), format!("{out}/linked"))));
    say("chmod", errno(fs::set_permissions(at("file"), std::os::unix::fs::PermissionsExt::from_mode(0o600))));
    say("chdir", errno(env::set_current_dir(at("directory"))));
    drop(std::os::unix::fs::symlink(at("directory"), format!("{out}/to-directory")));
    drop(std::os::unix::fs::symlink(at("file"), format!("{out}/to-file")));
    say("by a link", errno(fs::metadata(format!("{out}/to-file"))));
    say("read by a link", errno(fs::read(format!("{out}/to-file"))));
    say("below a link", errno(fs::metadata(format!("{out}/to-directory/file"))));
    say("the link itself", errno(fs::symlink_metadata(format!("{out}/to-file"))));
    say("leading up", errno(fs::metadata(at("directory/../given/file"))));
    say("leading up again", errno(fs::metadata(at("given/../file"))));
    say("from the root", errno(fs::metadata(format!("/proc/self/root{}", at("file")))));
    unsafe {
        let path = c(&at("file"));
        say("O_PATH", raw(syscall(257, here, path.as_ptr(), 0o10000000, 0)));
        say("access", raw(syscall(21, path.as_ptr(), 0)));
        say("getxattr", raw(syscall(191, path.as_ptr(), c"user.x".as_ptr(), buffer.as_mut_ptr(), 9_i64)));
        say("statfs", raw(syscall(137, path.as_ptr(), buffer.as_mut_ptr())));
        // AT_EMPTY_PATH, with a path that is not empty.
        say("fstatat", raw(syscall(262, here, path.as_ptr(), buffer.as_mut_ptr(), 0x1000)));
        say("statx", raw(syscall(332, here, path.as_ptr(), 0x1000, 0xfff, buffer.as_mut_ptr())));
        say("fstat", raw(syscall(262, 1_i64, c"".as_ptr(), buffer.as_mut_ptr(), 0x1000)));
        // RESOLVE_NO_SYMLINKS, and RESOLVE_IN_ROOT from the root.
        let how = [0_u64, 0, 4];
        say("openat2", raw(syscall(437, here, path.as_ptr(), how.as_ptr(), 24_i64)));
        let link = c(&at("link"));
        say("openat2 of a link", raw(syscall(437, here, link.as_ptr(), how.as_ptr(), 24_i64)));
        // A file that is made in this way, with RESOLVE_NO_SYMLINKS.
        let how = [0o101_u64, 0o600, 4];
        let made = c(&format!("{out}/made"));
        say("make", raw(syscall(437, here, made.as_ptr(), how.as_ptr(), 24_i64)));
        env::set_current_dir("/proc/self/root").unwrap();
        let how = [0_u64, 0, 0x10];
        say("openat2 from the root", raw(syscall(437, here, path.as_ptr(), how.as_ptr(), 24_i64)));
        say("the parent", errno(fs::metadata(format!("/proc/{}/status", getppid()))));
    }
    say("the first process", errno(fs::read("/proc/1/status")));
    say("itself", errno(fs::read("/proc/self/status")));
    say("itself by its number", errno(fs::read(format!("/proc/{}/status", std::process::id()))));
    let mut child = Command::new("sleep").arg("60").spawn().unwrap();
    say("its child", errno(fs::read(format!("/proc/{}/stat", child.id()))));
    child.kill().unwrap();
    child.wait().unwrap();
    for link in ["to-file", "to-directory"] {
        fs::remove_file(Path::new(&out).join(link)).unwrap();
    }
}
"##;

const ENOENT: i32 = 2;
const EACCES: i32 = 13;

struct World {
    project: Project,
    outside: PathBuf,
}

impl World {
    fn new() -> Self {
        let project = Project::with_script("looks", SCRIPT);
        let outside = project.root.parent().unwrap().join("outside");
        for directory in ["given", "directory", "config"] {
            fs::create_dir_all(outside.join(directory)).unwrap();
        }
        for file in ["file", "given/file", "directory/file"] {
            fs::write(outside.join(file), "secret").unwrap();
        }
        symlink(outside.join("file"), outside.join("link")).unwrap();
        fs::copy("/bin/true", outside.join("program")).unwrap();
        project.write("outside", outside.to_str().unwrap());
        Self { project, outside }
    }

    fn brig(&self, arguments: &[&str]) -> Command {
        let mut command = self.project.brig(arguments);
        command.env("XDG_CONFIG_HOME", self.outside.join("config"));
        command
    }

    fn policy(&self, text: &str) {
        let text = text.replace("OUTSIDE", self.outside.to_str().unwrap());
        self.project.write("brig.toml", &text);
    }

    fn build(&self) -> Output {
        drop(fs::remove_dir_all(self.project.root.join("target")));
        succeed(&mut self.brig(&["build"]))
    }

    /// By which error each attempt failed; 0 is none.
    fn errors(&self) -> BTreeMap<String, i32> {
        let output = self.build();
        let text = stderr(&output);
        let said = text.lines().filter_map(|line| line.strip_prefix("warning: looks@1.2.3: "));
        let errors = said.filter_map(|line| line.rsplit_once(' '));
        let errors =
            errors.filter_map(|(what, errno)| Some((what.to_owned(), errno.parse().ok()?)));
        let errors: BTreeMap<_, _> = errors.collect();
        assert!(errors.len() > 40, "{}", shown(&output));
        errors
    }

    /// Kind and outcome of each access to a path outside.
    fn outcomes(&self, name: &str) -> Vec<(String, String)> {
        let records = self.project.records();
        let [record] = &records[..] else { panic!("{} records", records.len()) };
        let path = self.outside.join(name);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let accesses = record["accesses"].as_array().unwrap().iter();
        accesses
            .filter(|access| access["path"] == path.to_str().unwrap())
            .map(|access| (text(&access["kind"]), text(&access["outcome"])))
            .collect()
    }
}

/// What is there for every script, whatever is hidden.
const ALWAYS: [&str; 8] = [
    "make",
    "given",
    "the way to what is given",
    "the link itself",
    "fstat",
    "itself",
    "itself by its number",
    "its child",
];
const PROCESSES: [&str; 2] = ["the parent", "the first process"];

#[test]
fn what_is_hidden_does_not_exist() {
    let world = World::new();
    world.policy("[files]\nread = [\"OUTSIDE/given\"]\n");
    let before = world.errors();
    // Each of these finds that something is there, by what it gets or by the error.
    for (what, errno) in &before {
        assert_eq!(*errno == ENOENT, what.ends_with("absent"), "{what} {errno}");
    }
    assert_eq!((before["read"], before["stat"], before["fstatat"]), (EACCES, 0, 0));

    world.policy("[files]\nhide = [\"OUTSIDE\"]\nread = [\"OUTSIDE/given\"]\n");
    let hidden = world.errors();
    for (what, errno) in &hidden {
        let is_there = ALWAYS.contains(&what.as_str()) || PROCESSES.contains(&what.as_str());
        let expected = if is_there { 0 } else { ENOENT };
        assert_eq!(*errno, expected, "{what}");
    }
    let file = world.outcomes("file");
    for (kind, outcome) in [
        ("read", "denied"),
        ("write", "denied"),
        ("remove", "denied"),
        ("rename", "denied"),
        ("set-mode", "denied"),
        ("stat", "hidden"),
        ("read-link", "hidden"),
    ] {
        assert!(file.contains(&(kind.to_owned(), outcome.to_owned())), "{kind} {file:?}");
    }
    assert!(file.iter().all(|(_, outcome)| ["denied", "hidden"].contains(&outcome.as_str())));
    assert_eq!(world.outcomes("program"), [("execute".to_owned(), "denied".to_owned())]);
    assert_eq!(world.outcomes("new"), [("create".to_owned(), "denied".to_owned())]);
    let absent = world.outcomes("absent");
    assert!(absent.len() == 3 && absent.iter().all(|(_, outcome)| outcome == "not-found"));
    let text = stdout(&succeed(&mut world.brig(&["show", "looks"])));
    assert!(text.contains("Looked for and hidden from it ("), "{text}");

    // A pattern hides what there is of it, and what is given is not hidden.
    world.policy("[files]\nhide = [\"OUTSIDE/fi*\"]\n[[package]]\nname = \"looks\"\nfiles.read = [\"OUTSIDE/given\"]");
    let some = world.errors();
    assert_eq!((some["stat"], some["read a directory"], some["given"]), (ENOENT, EACCES, 0));
    world.policy("[files]\nhide = [\"OUTSIDE/given/file\"]\n[[package]]\nname = \"looks\"\nfiles.read = [\"OUTSIDE/given\"]");
    assert_eq!(world.errors()["given"], 0);
}

#[test]
fn other_processes_can_be_hidden() {
    let world = World::new();
    world.policy("[files]\nhide = [\"{other-processes}\"]\nread = [\"OUTSIDE/given\"]\n");
    let errors = world.errors();
    for what in PROCESSES {
        assert_eq!(errors[what], ENOENT, "{what}");
    }
    for what in ["itself", "itself by its number", "its child", "given"] {
        assert_eq!(errors[what], 0, "{what}");
    }
}

#[test]
fn strict_hides_the_home_directory() {
    let world = World::new();
    world.policy("extends = \"strict\"\non-denial = \"report\"\nfiles.read = [\"{home}/given\"]\n");
    drop(fs::remove_dir_all(world.project.root.join("target")));
    let mut command = world.brig(&["build"]);
    support::with_toolchain(&mut command);
    let output = succeed(command.env("HOME", &world.outside));
    let text = stderr(&output);
    for line in ["given 0", "read 2", "stat 2", "the parent 2", "the first process 2", "itself 0"] {
        assert!(text.contains(&format!("looks@1.2.3: {line}\n")), "{line}: {}", shown(&output));
    }
    // What was only looked at fails nothing; what was opened does.
    world.policy("extends = \"strict\"\nfiles.read = [\"{home}/given\"]\n");
    let looks = "fn main() { let outside = std::fs::read_to_string(\"outside\").unwrap();
        assert!(!std::fs::exists(format!(\"{outside}/file\")).unwrap()); }";
    world.project.write("build.rs", looks);
    succeed(&mut command);
    world.project.write(
        "build.rs",
        &looks
            .replace("!std::fs::exists", "std::fs::exists")
            .replace("assert!(", "let _ = std::fs::read(format!(\"{outside}/file\")); drop((")
            .replace(".unwrap()); }", ".unwrap(),)); }"),
    );
    let text = stderr(&fail(&mut command));
    assert!(text.contains("tried to read") && text.contains("outside/file"), "{text}");
}

#[test]
fn what_cannot_be_hidden_is_said() {
    let world = World::new();
    world.policy("[files]\nread = [\"/usr\"]\nhide = [\"/usr/lib/x\"]\n");
    let text = stderr(&succeed(&mut world.brig(&["policy", "check"])));
    assert!(text.contains("`/usr` in line 2 gives this: it is not hidden"), "{text}");
    world.policy("[files]\nhide = [\"{home}\", \"{other-processes}\"]\n");
    let text = stdout(&succeed(&mut world.brig(&["policy", "show"])));
    assert!(text.contains("Does not exist, but for what is given there\n  {home} "), "{text}");
}

/// A program that nobody may read has a memory that the warden cannot read either: what it looks at could
/// be hidden, and nobody could record it.
#[test]
fn a_program_that_nobody_may_read_sees_nothing() {
    const LOOKS: &str = "
        #include <errno.h>
        #include <sys/stat.h>
        int main(int count, char **arguments) {
            struct stat found;
            return stat(arguments[1], &found) ? errno : 0;
        }";
    let script = r#"
        use std::{env, fs, os::unix::fs::PermissionsExt, path::Path, process::Command};
        fn main() {
            let out = env::var("OUT_DIR").unwrap();
            for mode in [0o755, 0o111] {
                let program = Path::new(&out).join(format!("looks-{mode:o}"));
                fs::copy("looks", &program).unwrap();
                fs::set_permissions(&program, fs::Permissions::from_mode(mode)).unwrap();
                let status = Command::new(&program).arg("/etc/hostname").status().unwrap();
                println!("cargo::warning={mode:o}: {:?}", status.code());
                fs::remove_file(&program).unwrap();
            }
        }"#;
    let project = Project::with_script("looks_unread", script);
    let source = project.root.join("looks.c");
    fs::write(&source, LOOKS).unwrap();
    let mut compiler = clean_command("gcc");
    succeed(compiler.args(["-static", "-o"]).arg(project.root.join("looks")).arg(&source));
    let bare = stderr(&succeed(&mut project.cargo(&["build"])));
    assert!(bare.contains("755: Some(0)") && bare.contains("111: Some(0)"), "{bare}");
    project.write("brig.toml", "files.hide = [\"{home}\"]\n");
    let jailed = stderr(&succeed(&mut project.brig(&["build"])));
    assert!(jailed.contains("755: Some(0)"), "{jailed}");
    assert!(jailed.contains("111: Some(1)"), "{jailed}");
}

/// What is looked at is what was judged, whatever another thread writes in the place of its path.
#[test]
fn nobody_looks_past_the_warden() {
    let script = r#"
        use std::{fs, process::Command};
        fn main() {
            let directory = fs::read_to_string("outside").unwrap();
            let way = |letter: &str| format!("{directory}/{letter}");
            let status = Command::new("./glancing").args([way("a"), way("b"), fs::read_to_string("rounds").unwrap()]).status();
            assert!(status.unwrap().success());
        }"#;
    let project = Project::with_script("looks", script);
    let outside = project.root.with_file_name("outside");
    for (directory, mode) in [("a", 0o644), ("b", 0o755)] {
        let directory = outside.join(directory);
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("file"), "").unwrap();
        fs::set_permissions(directory.join("file"), fs::Permissions::from_mode(mode)).unwrap();
        symlink(directory.file_name().unwrap(), directory.join("link")).unwrap();
    }
    project.write("outside", outside.to_str().unwrap());
    compiled(&project, "glancing", include_str!("data/glancing.c"));
    let seen = |output: &Output| said(output).concat();
    project.write("rounds", "500");
    let bare = succeed(&mut project.cargo(&["build"]));
    let count = seen(&bare).len();
    assert!(count >= 7 && seen(&bare).iter().all(|seen| *seen > 0), "{}", shown(&bare));
    fs::remove_dir_all(project.root.join("target")).unwrap();
    project.write("rounds", "10000");
    let rules = "files.read = [\"OUTSIDE/a\"]\nfiles.hide = [\"OUTSIDE\"]\n";
    project.write("brig.toml", &rules.replace("OUTSIDE", outside.to_str().unwrap()));
    let jailed = succeed(&mut project.brig(&["build"]));
    assert_eq!(seen(&jailed), vec![0_i64; count], "{}", shown(&jailed));
}

/// The project's script runs this program in C, with these arguments from files.
fn compiled(project: &Project, name: &str, source: &str) {
    let source = project.write(&format!("{name}.c"), source);
    let mut compiler = clean_command("cc");
    succeed(compiler.args(["-O1", "-pthread", "-o"]).arg(project.root.join(name)).arg(source));
}

/// What the program of a script said, in order: numbers behind each colon.
fn said(output: &Output) -> Vec<Vec<i64>> {
    let text = stderr(output);
    let lines = text.lines().filter_map(|line| line.strip_prefix("warning: looks@1.2.3: "));
    let numbers = lines.map(|line| {
        let (_, numbers) = line.split_once(": ").unwrap();
        numbers.split(' ').map(|number| number.parse().unwrap()).collect()
    });
    numbers.collect()
}

/// A process that is not the script's is as one that does not exist, whoever asks by its number.
#[test]
fn other_processes_have_no_numbers() {
    let script = r#"
        use std::{fs, process::Command};
        fn main() {
            let arguments = fs::read_to_string("processes").unwrap();
            let status = Command::new("./numbers").args(arguments.split(' ')).status();
            assert!(status.unwrap().success());
        }"#;
    let project = Project::with_script("looks", script);
    compiled(&project, "numbers", include_str!("data/numbers.c"));
    let is_there = |pid: &u32| Path::new(&format!("/proc/{pid}")).exists();
    let most: u32 = fs::read_to_string("/proc/sys/kernel/pid_max").unwrap().trim().parse().unwrap();
    let missing = (1..most).rev().find(|pid| !is_there(pid)).unwrap();
    // In a group of its own, which another process of the session can enter.
    let mut foreign = Command::new("sleep").arg("600").process_group(0).spawn().unwrap();
    project.write("processes", &format!("{} {missing}", foreign.id()));
    let bare = said(&succeed(&mut project.cargo(&["build"])));
    fs::remove_dir_all(project.root.join("target")).unwrap();
    project.write("brig.toml", "files.hide = [\"{other-processes}\"]\n");
    let output = succeed(&mut project.brig(&["build"]));
    foreign.kill().unwrap();
    foreign.wait().unwrap();
    let jailed = said(&output);
    assert_eq!((bare.len(), jailed.len()), (32, 32), "{}", shown(&output));
    for (way, (bare, jailed)) in bare.iter().zip(&jailed).enumerate() {
        match way {
            0..=26 => {
                // Calls by which nobody learns anything are no attack.
                assert_ne!(bare[0], bare[1], "{way} tells nothing without the jail");
                assert_eq!(jailed[0], jailed[1], "{way}: {jailed:?}");
                let is_refused = [7, 18, 22, 23, 24].contains(&way);
                assert!(jailed[2] == bare[2] || is_refused, "{way}: {bare:?} {jailed:?}");
            }
            27 => assert_eq!((&bare[..], &jailed[..]), (&[0, 0, 0][..], &[0, 0, 0][..])),
            _ => assert_ne!(jailed[0], 0, "{way}"),
        }
    }
}
