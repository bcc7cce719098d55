//! A program in the jail sees what it sees without: which calls succeed, with what result and which
//! error, what is there afterwards, and that signals, threads and waiting change nothing of that.
//!
//! `fixtures/semantics` is a program in C with some thousand checks, each of which prints one line.
//! It runs by itself and by `cargo brig exec`, and the lines must be equal. It drops what the jail
//! takes away by design (capabilities, the terminal), and asks nothing that the policy answers. Each
//! run has a time limit: a call that is never answered fails its test.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};
use serde_json::Value;
use support::{Project, TOOL, clean_command, shown, stderr, stdout, succeed};

/// Longer than any program here takes, on a busy machine too.
const LIMIT: Duration = Duration::from_mins(2);
/// An ordinary user: `nobody`.
const USER: u32 = 65534;

/// What is compiled of `fixtures/semantics`.
struct Programs {
    dynamic: PathBuf,
    without_libraries: PathBuf,
    library: PathBuf,
}

static PROGRAMS: LazyLock<Programs> = LazyLock::new(|| {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/semantics");
    let mut files: Vec<PathBuf> =
        fs::read_dir(sources).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "c"));
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("semantics");
    fs::create_dir_all(&directory).unwrap();
    let source = directory.join("library.c");
    fs::write(&source, "int answer(void) { return 42; }\n").unwrap();
    let compile = |name: &str, arguments: &[&str], files: &[PathBuf]| {
        let program = directory.join(name);
        let mut gcc = clean_command("gcc");
        // Some checks pass what the compiler knows to be wrong.
        gcc.args(["-std=gnu11", "-w", "-pthread"]).args(arguments).args(files);
        succeed(gcc.arg("-o").arg(&program));
        program
    };
    Programs {
        dynamic: compile("dynamic", &[], &files),
        without_libraries: compile("static", &["-static"], &files),
        library: compile("library.so", &["-shared", "-fPIC"], &[source]),
    }
});

/// The processes that this one has started, and theirs.
fn descendants(of: u32) -> Vec<i32> {
    let mut parents = BTreeMap::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let pid = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok());
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let parent = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1));
        if let (Some(pid), Some(Ok(parent))) = (pid, parent.map(str::parse::<u32>)) {
            parents.insert(pid, parent);
        }
    }
    let mut found = BTreeSet::from([of]);
    let mut size = 0;
    while size < found.len() {
        size = found.len();
        found.extend(
            parents
                .iter()
                .filter(|(_, of)| found.contains(of))
                .map(|(pid, _)| *pid)
                .collect::<Vec<_>>(),
        );
    }
    found.into_iter().map(|pid| i32::try_from(pid).unwrap()).collect()
}

/// Runs a command to its end, which must come in time.
fn output_in_time(command: &mut Command) -> Output {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let pid = child.id();
    let (ended, end) = mpsc::channel();
    thread::spawn(move || ended.send(child.wait_with_output()));
    if let Ok(output) = end.recv_timeout(LIMIT) {
        return output.unwrap();
    }
    for pid in descendants(pid) {
        if let Err(errno) = kill(Pid::from_raw(pid), Signal::SIGKILL) {
            eprintln!("{pid}: {errno}");
        }
    }
    let mut output = end.recv_timeout(LIMIT).unwrap().unwrap();
    // The check that hangs is the one after the last that is printed.
    let begin = output.stdout.len().saturating_sub(2000);
    output.stdout.drain(..begin);
    panic!("{command:?} does not end; until now\n{}", shown(&output));
}

/// A package with an `OUT_DIR` for each way to run a program.
struct Unit {
    project: Project,
}

impl Unit {
    fn new() -> Self {
        let project = Project::of("package", &[("file", "")]);
        fs::copy(&PROGRAMS.library, project.root.join("library.so")).unwrap();
        // Paths are of the same length.
        for out in ["bare/out", "jail/out"] {
            fs::create_dir_all(project.root.join(out)).unwrap();
        }
        Self { project }
    }

    fn prepared(&self, mut command: Command, out: &str) -> Command {
        command
            .env("OUT_DIR", self.project.root.join(out))
            .env("CARGO_MANIFEST_DIR", &self.project.root)
            .env("T_LIBRARY", self.project.root.join("library.so"))
            .current_dir(&self.project.root);
        command
    }

    fn bare(&self, program: &Path) -> Command {
        self.prepared(clean_command(program), "bare/out")
    }

    fn jailed(&self, program: &Path) -> Command {
        let mut command = clean_command(TOOL);
        command.args(["exec", "--"]).arg(program);
        self.prepared(command, "jail/out")
    }

    /// Under a policy that hides something, by which the warden answers much more itself.
    fn hiding(&self, program: &Path) -> Command {
        let policy =
            self.project.write("hides.toml", "files.hide = [\"/absent\", \"{other-processes}\"]\n");
        let mut command = clean_command("sh");
        // Policies are what the calling process has in its environment.
        command.args(["-c", "\"$0\" exec -- \"$@\"; exit $?", TOOL]).arg(program);
        command.env("CARGO_BRIG_POLICY", policy);
        self.prepared(command, "jail/out")
    }

    /// What the record of the run in the jail says was denied of what belongs to the program itself.
    fn denied_of_its_own(&self) -> Vec<String> {
        let record = fs::read(self.project.root.join("jail/brig.json")).unwrap();
        let record: Value = serde_json::from_slice(&record).unwrap();
        let own = [self.project.root.to_str().unwrap(), "/proc/"];
        let denials = record["denials"].as_array().unwrap().iter();
        denials
            .map(|denial| (denial["kind"].as_str().unwrap(), denial["path"].as_str().unwrap()))
            .filter(|(_, path)| own.iter().any(|own| path.starts_with(own)))
            .map(|(kind, path)| format!("{kind} {path}"))
            .collect()
    }
}

/// The checks of a run, by name.
fn checks(output: &Output) -> BTreeMap<String, String> {
    let mut checks = BTreeMap::new();
    for line in stdout(output).lines() {
        let (name, result) = line.split_once('\t').unwrap_or((line, ""));
        let earlier = checks.insert(name.to_owned(), result.to_owned());
        assert_eq!(earlier, None, "two checks are called `{name}`");
    }
    assert!(checks.contains_key("end") && output.status.success(), "{}", shown(output));
    checks
}

/// Runs the checks of a section with and without the jail, and returns what they say: the same, and
/// so many.
fn same(program: &Path, section: &str, count: usize) -> BTreeMap<String, String> {
    let unit = Unit::new();
    let bare = checks(&output_in_time(unit.bare(program).arg(section)));
    assert_eq!(bare.len(), count, "so many checks of `{section}`");
    let jailed = checks(&output_in_time(unit.jailed(program).arg(section)));
    assert_same(&bare, &jailed);
    let denied = unit.denied_of_its_own();
    assert!(denied.is_empty(), "nothing of this was denied: {denied:#?}");
    bare
}

/// The result of a check, but that no file has the bits by which a program runs with its owner's rights: no
/// script's gets them in the jail (`tests/metadata.rs`). A mode stands in it as six octal digits, as
/// `100755` for a file.
fn without_set_ids(result: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    for word in result.split(' ') {
        let (name, digits) = word.rsplit_once('=').map_or(("", word), |(name, rest)| (name, rest));
        let is_mode = !name.is_empty() || words.last().is_some_and(|before| before == "mode");
        let (digits, rest) = digits.split_at_checked(6).unwrap_or((digits, ""));
        let mode = u32::from_str_radix(digits, 8).ok().filter(|mode| mode & 0o170_000 == 0o100_000);
        words.push(match mode {
            Some(mode) if is_mode => {
                let before = &word[..word.len() - digits.len() - rest.len()];
                format!("{before}{:o}{rest}", mode & !0o6000)
            }
            _ => word.to_owned(),
        });
    }
    words.join(" ")
}

fn assert_same(bare: &BTreeMap<String, String>, jailed: &BTreeMap<String, String>) {
    let mut different = Vec::new();
    for name in bare.keys().chain(jailed.keys()).collect::<BTreeSet<_>>() {
        let bare = bare.get(name).map(|result| without_set_ids(result));
        if bare.as_ref() != jailed.get(name) {
            let shown = |result: Option<&String>| {
                result.map_or_else(|| "(not there)".to_owned(), Clone::clone)
            };
            different.push(format!(
                "{name}\n    without the jail: {}\n    in the jail:      {}",
                shown(bare.as_ref()),
                shown(jailed.get(name))
            ));
        }
    }
    assert!(different.is_empty(), "{} differ:\n{}", different.len(), different.join("\n"));
}

/// What these checks say, in this order.
fn said<const N: usize>(checks: &BTreeMap<String, String>, names: [&str; N]) -> [String; N] {
    names.map(|name| checks.get(name).unwrap_or_else(|| panic!("no `{name}`")).clone())
}

#[test]
fn every_way_to_open_answers_as_without_the_jail() {
    let checks = same(&PROGRAMS.dynamic, "opens", 2285);
    assert_eq!(said(&checks, ["open 3 'missing'"]), ["ENOENT; same"]);
}

#[test]
fn a_static_program_is_answered_as_a_dynamic_one() {
    same(&PROGRAMS.without_libraries, "proc", 295);
    same(&PROGRAMS.without_libraries, "memory", 472);
}

#[test]
fn names_are_made_and_removed_and_looked_at_as_without_the_jail() {
    let checks = same(&PROGRAMS.dynamic, "names", 3650);
    assert_eq!(said(&checks, ["mkdir 'dir'", "rmdir '.'"]), ["EEXIST; same", "EINVAL; same"]);
}

#[test]
fn calls_with_two_paths_answer_as_without_the_jail() {
    let checks = same(&PROGRAMS.dynamic, "pairs", 1452);
    let names = ["rename 'dir' 'dir/sub/new'", "noreplace 'file' 'hard'"];
    assert_eq!(said(&checks, names), ["EINVAL; same", "EEXIST; same"]);
}

/// Only what is opened with `O_PATH` is another thing then, and `/proc` cannot be listed.
#[test]
fn where_something_is_hidden_calls_answer_as_without_the_jail() {
    // As the checks print flags: `O_PATH` is the only one of eight digits. Their `cwd` can be `/proc`.
    let is_place = |name: &str, result: &str| {
        let flags = result.split("flags ").nth(1).and_then(|rest| rest.split(' ').next());
        let is_proc = name.ends_with("'cwd'") && result.contains("mode 40555 ");
        is_proc || name.contains("O_PATH") || flags.is_some_and(|flags| flags.len() == 8)
    };
    for (section, most) in [("opens", 2000), ("names", 3650), ("pairs", 1452), ("memory", 460)] {
        let unit = Unit::new();
        let mut bare = checks(&output_in_time(unit.bare(&PROGRAMS.dynamic).arg(section)));
        let mut hiding = checks(&output_in_time(unit.hiding(&PROGRAMS.dynamic).arg(section)));
        let places: Vec<String> = bare
            .extract_if(.., |name, result| is_place(name, result))
            .map(|(name, _)| name)
            .collect();
        hiding.retain(|name, _| !places.contains(name));
        let record = fs::read_to_string(unit.project.root.join("jail/brig.json")).unwrap();
        assert!(record.contains("hides.toml"), "the policy is in force");
        assert!(bare.len() >= most, "{} checks of `{section}`", bare.len());
        assert_same(&bare, &hiding);
    }
}

#[test]
fn descriptors_are_as_without_the_jail() {
    let checks = same(&PROGRAMS.dynamic, "descriptors", 828);
    let names = ["one too many made", "truncate beyond the limit", "signals", "dlopen"];
    assert_eq!(said(&checks, names), ["EMFILE", "EFBIG", "1", "42"]);
}

#[test]
fn odd_and_long_paths_are_as_without_the_jail() {
    let checks = same(&PROGRAMS.dynamic, "memory", 472);
    let names = ["does not end: open", "a path of 4096: mkdir", "41 links"];
    assert_eq!(said(&checks, names), ["EFAULT", "ENAMETOOLONG", "ELOOP"]);
}

#[test]
fn each_process_and_thread_is_itself_in_proc() {
    let checks = same(&PROGRAMS.dynamic, "proc", 295);
    let names = ["child link of a link", "thread link", "thread thread link"];
    assert_eq!(said(&checks, names), ["mine", "my process's", "my thread's"]);
}

#[test]
fn a_fifo_waits_for_its_other_end_and_nothing_else_does() {
    let checks = same(&PROGRAMS.dynamic, "fifos", 45);
    let names = ["interrupted", "restarted", "killed and gone", "many complete"];
    assert_eq!(said(&checks, names), ["EINTR", "handled 5, still there 1", "ENXIO", "80"]);
}

#[test]
fn an_interrupted_call_is_neither_lost_nor_done_twice() {
    let checks = same(&PROGRAMS.dynamic, "hammer", 23);
    let names = ["restart: wrong", "no restart: wrong", "threads: wrong", "death: whole"];
    assert_eq!(said(&checks, names), ["0", "0", "0", "80"]);
}

#[test]
fn two_hundred_threads_do_not_hinder_each_other() {
    let checks = same(&PROGRAMS.dynamic, "storm", 8);
    assert_eq!(said(&checks, ["wrong", "winners 3"]), ["0", "1 1 1 1 1"]);
}

#[test]
fn programs_start_and_share_as_without_the_jail() {
    let checks = same(&PROGRAMS.dynamic, "processes", 249);
    let names = ["written and executed by threads", "threads and exec", "removed and replaced"];
    let removed = "6 flags 100002 close 0 mode 100644 size 7 'content'";
    assert_eq!(said(&checks, names), ["0 refused", "exit 51", removed]);
}

/// Runs a shell script with and without the jail; what it prints, and all that it leaves in
/// `OUT_DIR`, must be the same.
fn same_of_shell(text: &str) -> (String, BTreeMap<PathBuf, Vec<u8>>) {
    let unit = Unit::new();
    let program =
        unit.project.write("program", &format!("#!/bin/bash\nset -eu\ncd \"$OUT_DIR\"\n{text}"));
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let results = [unit.bare(&program), unit.jailed(&program)].map(|mut command| {
        let out = command.get_envs().find(|(name, _)| *name == "OUT_DIR").unwrap().1.unwrap();
        let out = PathBuf::from(out);
        let output = output_in_time(&mut command);
        assert!(output.status.success(), "{}", shown(&output));
        let mut files = BTreeMap::new();
        support::walk(&out, &mut |path| {
            let content = if path.is_file() { fs::read(path).unwrap() } else { Vec::new() };
            files.insert(path.strip_prefix(&out).unwrap().to_owned(), content);
        });
        (stdout(&output), stderr(&output), files)
    });
    let [(printed, errors, files), jailed] = results;
    assert_eq!((&printed, &errors), (&jailed.0, &jailed.1));
    assert_eq!(files.keys().collect::<Vec<_>>(), jailed.2.keys().collect::<Vec<_>>());
    assert!(files == jailed.2, "the files' contents differ");
    let denied = unit.denied_of_its_own();
    assert!(denied.is_empty(), "nothing of this was denied: {denied:#?}");
    (printed, files)
}

#[test]
fn shells_use_the_names_of_descriptors() {
    let (printed, files) = same_of_shell(
        r#"
        cat <(echo one) <(echo two)
        echo three > /dev/stdout
        echo four | cat /dev/stdin
        echo five | tee >(cat >&2) /dev/fd/1 2>/dev/null | sort
        exec 7>seven; echo seven >/dev/fd/7; echo more >>/proc/self/fd/7; exec 7>&-
        exec 8<>eight; echo eight >&8; cat /proc/self/fd/8; exec 8>&-
        umask 077; echo private > private; stat -c %a private
        mkfifo fifo; (echo through > fifo) & cat fifo; wait
        while read -r line; do echo "read $line"; done < seven
        cp -r "$OUT_DIR/seven" copy; mv copy moved; ln -s moved link; cat link; rm link
        mkdir -p a/b/c; (cd a/b && touch c/file && cd ../.. && mv a/b/c a/c); find a | sort
        tar cf - a | tar tf - ; rm -r a
        ln seven hard; stat -c %h seven; cmp seven hard
        ./missing 2>/dev/null || echo "missing $?"
        mktemp -d "$OUT_DIR/temporary.XXXXXX" >/dev/null; rmdir temporary.*
        sed -i s/more/less/ seven; cat seven; head -c 5 /dev/zero | wc -c
    "#,
    );
    assert!(printed.starts_with("one\ntwo\nthree\nfour\nfive\nfive\n"), "{printed}");
    assert!(printed.contains("\n600\nthrough\nread "), "{printed}");
    assert_eq!(files.len(), 6, "{:?}", files.keys());
}

/// Thirty small files with a rule each, and what is made of them all.
const TREE: &str = r#"
for i in $(seq 30); do echo "int f$i(void) { return $i; }" > "f$i.c"; done
(echo "int main(void) { int sum = 0;"; for i in $(seq 30); do echo "int f$i(void); sum += f$i();"; done
 echo "return sum % 256; }") > main.c
"#;

#[test]
fn make_builds_a_tree_with_eight_jobs() {
    let (printed, files) = same_of_shell(&format!(
        r#"{TREE}
        cat > Makefile <<'END'
OBJECTS := $(patsubst %.c,o/%.o,$(wildcard *.c))
prog: $(OBJECTS) ; @gcc -o $@ $^
o/%.o: %.c | o ; @gcc -c -o $@ $<
o: ; @mkdir -p $@
sub: ; @+$(MAKE) --no-print-directory -C . prog
END
        make -s -j8 sub; ./prog || echo "$?"; make -s -q prog && echo "up to date"
        "#
    ));
    assert_eq!(printed, "209\nup to date\n");
    assert!(files.len() > 60, "{:?}", files.keys());
}

#[test]
fn ninja_builds_a_tree() {
    if !clean_command("ninja").arg("--version").output().is_ok_and(|output| output.status.success())
    {
        eprintln!("NOT RUN: there is no ninja, which this test needs");
        return;
    }
    // Its log has times in it.
    let (printed, files) = same_of_shell(&format!(
        r#"{TREE}
        (echo "rule cc"; echo "  command = gcc -MD -MF \$out.d -c -o \$out \$in"; echo "  depfile = \$out.d"
         echo "  deps = gcc"; echo "rule ld"; echo "  command = gcc -o \$out \$in"
         for i in main $(seq -f f%g 30); do echo "build o/$i.o: cc $i.c"; done
         echo "build prog: ld o/main.o $(seq -s ' ' -f o/f%g.o 30)") > build.ninja
        ninja -j8 > log 2>&1 || cat log; ./prog || echo "$?"; ninja | tail -n 1; rm -f .ninja* log
        "#
    ));
    assert_eq!(printed, "209\nninja: no work to do.\n");
    assert!(files.len() > 60, "{:?}", files.keys());
}

/// A program that may be executed but not read is not dumpable: nobody can see what it asks for
/// (`PR_SET_DUMPABLE(2const)`). The jail may refuse it that, but has to answer.
#[test]
fn a_program_that_cannot_be_read_does_not_hang() {
    let unit = Unit::new();
    let root = &unit.project.root;
    let (tool, program) = (root.join("cargo-brig"), root.join("secret"));
    // By another program: a descriptor of ours that is open for writing would be inherited by what
    // other tests start, and keep this from being executed.
    succeed(clean_command("cp").arg(TOOL).arg(&tool));
    // A static one, that gets as far as its own first call.
    succeed(clean_command("cp").arg(&PROGRAMS.without_libraries).arg(&program));
    let is_root = geteuid().is_root();
    if is_root {
        for path in [
            root.parent().unwrap(),
            root,
            &root.join("bare/out"),
            &root.join("jail/out"),
            &root.join("jail"),
            &program,
        ] {
            chown(path, Some(USER), Some(USER)).unwrap();
        }
    }
    fs::set_permissions(&program, fs::Permissions::from_mode(0o111)).unwrap();
    let as_user = |mut command: Command| {
        command.arg("unseen");
        if is_root {
            command.uid(USER).gid(USER);
        }
        output_in_time(&mut command)
    };
    let bare = checks(&as_user(unit.bare(&program)));
    let names = ["open", "mkdir", "rename", "execve", "killed"];
    assert_eq!(said(&bare, names), ["0", "0", "0", "exit 0", "signal 9"]);
    let mut jailed = clean_command(&tool);
    jailed.args(["exec", "--"]).arg(&program);
    let jailed = checks(&as_user(unit.prepared(jailed, "jail/out")));
    assert!(jailed.keys().eq(bare.keys()), "all are answered: {jailed:#?}");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
}
