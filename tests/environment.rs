//! Which environment variables a script's processes ask for, and that they are answered as without
//! the jail.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use support::{Project, clean_command, stdout, succeed};

/// A program in the place of a build script's, and what it leaves.
struct Program {
    project: Project,
}

impl Program {
    /// A C program, linked with these arguments.
    fn c(source: &str, arguments: &[&str]) -> Self {
        let program = Self::new();
        program.compile("script", source, arguments);
        program
    }

    /// A shell script.
    fn shell(text: &str) -> Self {
        let program = Self::new();
        let script = program.project.write("script", &format!("#!/bin/sh\nset -e\n{text}"));
        fs::set_permissions(script, fs::Permissions::from_mode(0o755)).unwrap();
        program
    }

    fn new() -> Self {
        let project = Project::of("package", &[]);
        fs::create_dir_all(project.root.join("unit/out")).unwrap();
        Self { project }
    }

    fn compile(&self, name: &str, source: &str, arguments: &[&str]) -> PathBuf {
        let file = self.project.write(&format!("{name}.c"), &format!("{INCLUDES}{source}"));
        let program = self.project.root.join(name);
        let mut command = Command::new("gcc");
        succeed(command.args(["-O1", "-pthread", "-o"]).arg(&program).arg(&file).args(arguments));
        program
    }

    fn results(&self, mut command: Command, variables: &[(&str, &str)]) -> String {
        command
            .current_dir(&self.project.root)
            .env("OUT_DIR", self.project.root.join("unit/out"))
            .env("CARGO_MANIFEST_DIR", &self.project.root)
            .env("CARGO_PKG_NAME", "by_hand")
            .env("CARGO_PKG_VERSION", "0.2.0")
            .envs(variables.iter().copied());
        let output = succeed(&mut command);
        assert_eq!(support::stderr(&output), "");
        stdout(&output)
    }

    fn plain(&self, variables: &[(&str, &str)]) -> String {
        self.results(clean_command(self.project.root.join("script")), variables)
    }

    fn jailed(&self, variables: &[(&str, &str)]) -> String {
        self.results(self.project.brig(&["exec", "--", "./script"]), variables)
    }

    /// Runs it in the jail.
    fn run(&self) -> Environment {
        self.jailed(&[]);
        self.environment()
    }

    fn environment(&self) -> Environment {
        let text = fs::read(self.project.root.join("unit/brig.json")).unwrap();
        Environment::of(serde_json::from_slice(&text).unwrap())
    }
}

const INCLUDES: &str = "#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
";

/// A record's `environment`.
struct Environment {
    record: Value,
    /// State and processes by name.
    asked: BTreeMap<String, (String, Vec<u64>)>,
}

impl Environment {
    fn of(record: Value) -> Self {
        let asked = record["environment"]["asked"].as_array().unwrap().iter();
        let asked = asked.map(|asked| {
            let name = asked["name"].as_str().unwrap().to_owned();
            let processes = asked["processes"].as_array().unwrap();
            let processes = processes.iter().map(|process| process.as_u64().unwrap()).collect();
            (name, (asked["state"].as_str().unwrap().to_owned(), processes))
        });
        let asked = asked.collect();
        Self { record, asked }
    }

    fn state(&self, name: &str) -> Option<&str> {
        self.asked.get(name).map(|(state, _)| state.as_str())
    }

    fn processes(&self, name: &str) -> &[u64] {
        self.asked.get(name).map_or(&[], |(_, processes)| processes)
    }

    fn unseen(&self) -> &Value {
        &self.record["environment"]["unseen"]
    }

    /// The reasons why those that ran this program were not seen.
    fn unseen_of(&self, program: &str) -> Vec<&str> {
        let ran = |process: &Value| {
            let mut programs = process["programs"].as_array().unwrap().iter();
            programs.any(|ran| {
                Path::new(ran["program"].as_str().unwrap()).file_name() == Some(program.as_ref())
            })
        };
        let processes = self.record["processes"].as_array().unwrap();
        let id = processes.iter().find(|process| ran(process)).expect(program)["id"].clone();
        let unseen = self.unseen().as_array().unwrap().iter();
        unseen
            .filter(|unseen| unseen["process"] == id)
            .map(|unseen| unseen["reason"].as_str().unwrap())
            .collect()
    }
}

#[test]
fn a_rust_script_is_seen_asking_for_what_it_has_and_has_not() {
    let script = r#"
        fn main() {
            assert_eq!(std::env::var("A_FLAG").unwrap(), "a  b");
            assert!(std::env::var("A_SECRET").is_err());
            assert!(std::env::var_os("NOWHERE_SET").is_none());
            // It is there for who walks through the environment, and so for who asks; there is nothing in it.
            assert_eq!(std::env::var("LD_PRELOAD").as_deref(), Ok(""));
        }
    "#;
    let project = Project::with_script("curious", script);
    let mut build = project.brig(&["build"]);
    succeed(build.env("A_FLAG", "a  b").env("A_SECRET", "s").env("NOT_ASKED_FOR", "1"));
    let environment = Environment::of(project.records().remove(0));
    assert_eq!(environment.state("A_FLAG"), Some("given"));
    assert_eq!(environment.state("A_SECRET"), Some("withheld"));
    assert_eq!(environment.state("NOWHERE_SET"), Some("absent"));
    assert_eq!(environment.state("LD_PRELOAD"), Some("absent"));
    assert_eq!(environment.state("NOT_ASKED_FOR"), None);
    assert_eq!(*environment.unseen(), json!([]));

    let given = environment.record["environment"]["given"].as_array().unwrap();
    let given: Vec<&str> = given.iter().map(|name| name.as_str().unwrap()).collect();
    assert!(given.is_sorted(), "{given:?}");
    for (name, is) in [("A_FLAG", true), ("NOT_ASKED_FOR", true), ("OUT_DIR", true)] {
        assert_eq!(given.contains(&name), is, "{name}");
    }
    assert!(!given.contains(&"A_SECRET") && !given.contains(&"LD_PRELOAD"), "{given:?}");
    // The library is no input of the script's.
    assert!(!environment.record["accesses"].to_string().contains("libcargo_brig_asked"));
}

const ASKS_IN_ALL_WAYS: &str = r#"
extern char **environ;
static const char *names[] = {"PATH", "A", "A=", "A=B", "=", "", "AB", "EMPTY", "LD_PRELOAD", "SET",
    "PUT", "PRELOADED", "OUT_DIR", "\xff\xfe", 0};
static void ask(const char *when) {
    for (int i = 0; names[i]; i++) {
        char *plain = getenv(names[i]), *secure = secure_getenv(names[i]);
        printf("%s %s: %s %d\n", when, names[i], plain ? plain : "(null)", plain == secure);
    }
}
int main(void) {
    static char put[] = "PUT=put", changed[] = "PUT=changed", nothing[] = "NOTHING";
    ask("first");
    setenv("SET", "set", 1); putenv(put); ask("set");
    setenv("SET", "again", 0); setenv("A", "x", 1); putenv(changed); ask("changed");
    unsetenv("SET"); unsetenv("A"); putenv("PUT"); ask("unset");
    static char *own[] = {nothing, "A=own", "A=second", 0};
    char **before = environ;
    environ = own; ask("own");
    environ = 0; ask("none");
    environ = before;
    setenv("LD_PRELOAD", "/lib/x.so:/lib/y.so", 1); ask("preload");
    clearenv(); ask("clear");
    setenv("A", "new", 1); ask("new");
    errno = 77; getenv("ONE_MORE"); printf("%d\n", errno);
}
"#;

#[test]
fn each_request_is_answered_as_without_the_jail() {
    let program = Program::c(ASKS_IN_ALL_WAYS, &[]);
    let variables = [("A", "B=C"), ("EMPTY", "")];
    // In the jail there is always one, with nothing in it.
    let plain = program.plain(&[&variables[..], &[("LD_PRELOAD", "")]].concat());
    assert_eq!(plain, program.jailed(&variables));
    let environment = program.environment();
    for name in ["A", "AB", "EMPTY", "LD_PRELOAD", "SET", "PUT", "ONE_MORE", "A=B"] {
        assert_eq!(environment.processes(name), [0], "{name}");
    }
    assert_eq!(environment.state("EMPTY"), Some("given"));
    assert_eq!(environment.state("PUT"), Some("absent"));
    let text = environment.record["environment"]["asked"].to_string();
    assert!(text.contains(r#""name_hex":"fffe""#), "{text}");
    assert_eq!(*environment.unseen(), json!([]));
}

#[test]
fn a_library_that_the_user_preloads_is_preloaded_and_named() {
    let program = Program::c(ASKS_IN_ALL_WAYS, &[]);
    let source = "__attribute__((constructor)) static void start(void) \
                  { setenv(\"PRELOADED\", getenv(\"LD_PRELOAD\"), 1); }";
    program.compile("users.so", source, &["-shared", "-fPIC"]);
    // A path without a blank, to what may be read.
    let dir = tempfile::tempdir().unwrap();
    let link = dir.path().join("package");
    symlink(&program.project.root, &link).unwrap();
    let path = link.join("users.so");
    let path = path.to_str().unwrap();
    for value in [path.to_owned(), format!("{path}:"), format!(" {path}"), String::new()] {
        let plain = program.plain(&[("LD_PRELOAD", &value)]);
        assert_eq!(plain.contains("first PRELOADED: (null)"), value.is_empty(), "{plain}");
        assert_eq!(plain, program.jailed(&[("LD_PRELOAD", &value)]));
        let environment = program.environment();
        assert_eq!(environment.state("LD_PRELOAD"), Some("given"));
        let given = environment.record["environment"]["given"].as_array().unwrap();
        assert!(given.contains(&json!("LD_PRELOAD")), "{given:?}");
    }
}

#[test]
fn what_compilers_and_build_tools_ask_for_is_seen() {
    let program = Program::shell(
        "cd \"$OUT_DIR\"
        echo 'int main(void) { return 0; }' > a.c
        gcc a.c -o a
        printf 'all:\\n\\t@true\\n' > Makefile
        make > /dev/null
        printf 'cmake_minimum_required(VERSION 3.10)\\nproject(p C)\\n' > CMakeLists.txt
        cmake -B build > /dev/null
        ",
    );
    let environment = program.run();
    let asks = |name: &str, program: &str, state: &str| {
        assert_eq!(environment.state(name), Some(state), "{name}");
        let asked = environment.processes(name).iter().any(|id| {
            let process = &environment.record["processes"][usize::try_from(*id).unwrap()];
            process["programs"].to_string().contains(program)
        });
        assert!(asked, "{program} does not ask for {name}");
    };
    asks("COMPILER_PATH", "gcc", "absent");
    asks("LIBRARY_PATH", "gcc", "absent");
    asks("TMPDIR", "gcc", "given");
    asks("CPATH", "cc1", "absent");
    asks("MAKEFLAGS", "gcc", "absent");
    asks("CC", "cmake", "absent");
    asks("CFLAGS", "cmake", "absent");
    asks("PATH", "cmake", "given");
    assert_eq!(environment.unseen_of("make"), ["walks the environment itself"]);
    assert_eq!(environment.unseen_of("cmake"), [""; 0]);
}

#[test]
fn who_is_not_seen_is_named_with_the_reason() {
    let program = Program::shell(
        ": \"$NOBODY_SEES\"
        ./static
        LD_PRELOAD= ./bare
        ./seen
        ./killed || true
        ./thread
        (: subshell; ./static)
        ./forks
        ./later
        ",
    );
    let asks = "int main(void) { getenv(\"ASKED\"); return 0; }";
    program.compile("static", asks, &["-static"]);
    program.compile("bare", asks, &[]);
    program.compile("seen", asks, &[]);
    program.compile("killed", "int main(void) { getenv(\"ASKED\"); raise(SIGKILL); }", &[]);
    let thread = "int main(void) { getenv(\"LAST\"); syscall(SYS_exit, 0); }";
    program.compile("thread", thread, &[]);
    // A child of fork tells anew, and what starts in it, but not what starts afterwards.
    let filters = "#include <linux/filter.h>\n#include <linux/seccomp.h>\n#include <sys/prctl.h>\n
        int main(void) {
            struct sock_filter all = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
            struct sock_fprog program = {1, &all};
            getenv(\"BEFORE_FILTER\");
            prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
            if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) return 1;
            if (!fork()) execl(\"./below\", \"below\", NULL);
            int status;
            wait(&status);
            getenv(\"BEHIND_FILTER\");
            return status;
        }";
    program.compile("filters", filters, &[]);
    // It has no filter, but its library does not know that: its child tells nothing.
    let forks = "int main(void) {
        getenv(\"EARLY\");
        if (system(\"./filters\")) return 1;
        if (!fork()) getenv(\"IN_CHILD\"), exit(0);
        wait(NULL);
        return 0;
    }";
    program.compile("forks", forks, &[]);
    program.compile("below", "int main(void) { getenv(\"BELOW_FILTER\"); return 0; }", &[]);
    program.compile("later", "int main(void) { getenv(\"AFTER_FILTER\"); return 0; }", &[]);
    // The shell says that a program was killed.
    let mut command = program.project.brig(&["exec", "--", "./script"]);
    command.env("OUT_DIR", program.project.root.join("unit/out"));
    succeed(command.env("CARGO_MANIFEST_DIR", &program.project.root));
    let environment = program.environment();
    assert_eq!(environment.state("NOBODY_SEES"), None);
    assert_eq!(environment.processes("ASKED").len(), 1);
    let states = ["BEFORE_FILTER", "BEHIND_FILTER", "BELOW_FILTER", "IN_CHILD", "AFTER_FILTER"]
        .map(|name| environment.state(name));
    assert_eq!(states, [Some("absent"), Some("absent"), None, None, Some("absent")]);
    for (name, reasons) in [
        ("static", &["static program"][..]),
        ("bare", &["did not load the library"]),
        ("seen", &[]),
        ("killed", &["ended by a signal"]),
        ("thread", &["ended by its last thread"]),
        ("filters", &[]),
        ("below", &["has a seccomp filter of its own"]),
        ("later", &[]),
    ] {
        assert_eq!(environment.unseen_of(name), reasons, "{name}");
    }
    let processes = environment.record["processes"].as_array().unwrap();
    let of_forks = |process: &&Value| process["programs"].to_string().contains("forks");
    let forks = &processes.iter().find(of_forks).unwrap()["id"];
    let is_silent = |process: &Value| {
        let reason =
            json!({ "process": process["id"], "reason": "has a seccomp filter of its own" });
        environment.unseen().as_array().unwrap().contains(&reason)
    };
    let child = |process: &&Value| process["parent"] == *forks && process["programs"] == json!([]);
    assert!(processes.iter().find(child).is_some_and(is_silent));
    let of_shell = ["has a seccomp filter of its own", "walks the environment itself"]
        .map(|reason| json!({ "process": 0, "reason": reason }));
    assert_eq!(environment.unseen().as_array().unwrap()[..2], of_shell);
}

#[test]
fn children_and_threads_are_seen() {
    let program = Program::c(
        r#"
        static void *many(void *which) {
            char name[32];
            for (int i = 0; i < 100; i++) {
                snprintf(name, sizeof name, "T%d_%d", (int)(long)which, i);
                for (int j = 0; j < 3; j++) if (getenv(name)) abort();
                if (getenv("SHARED")) abort();
            }
            return 0;
        }
        int main(void) {
            // Before anybody else has asked for anything.
            pid_t pid = vfork();
            if (!pid) { getenv("OF_VFORK"); execl("/bin/true", "true", (char *)0); _exit(9); }
            waitpid(pid, 0, 0);
            getenv("AFTER_VFORK");
            if (!(pid = fork())) { getenv("OF_CHILD"); getenv("OF_BOTH"); _exit(0); }
            waitpid(pid, 0, 0);
            getenv("OF_BOTH");
            if (!(pid = fork())) { getenv("BEFORE_EXEC"); execl("/bin/true", "true", (char *)0); }
            waitpid(pid, 0, 0);
            pthread_t threads[8];
            for (long i = 0; i < 8; i++) pthread_create(threads + i, 0, many, (void *)i);
            for (int i = 0; i < 8; i++) pthread_join(threads[i], 0);
            // Is still there when the script has ended.
            if (!fork()) { getenv("OF_SURVIVOR"); for (;;) pause(); }
            usleep(200000);
            return 0;
        }
        "#,
        &[],
    );
    let environment = program.run();
    assert!(environment.processes("OF_VFORK").contains(&1));
    assert_eq!(environment.processes("AFTER_VFORK"), [0]);
    assert_eq!(environment.processes("OF_CHILD"), [2]);
    assert_eq!(environment.processes("OF_BOTH"), [0, 2]);
    assert_eq!(environment.processes("BEFORE_EXEC"), [3]);
    assert_eq!(environment.processes("OF_SURVIVOR"), [4]);
    assert_eq!(environment.processes("SHARED"), [0]);
    for thread in 0..8 {
        for index in 0..100 {
            let name = format!("T{thread}_{index}");
            assert_eq!(environment.processes(&name), [0], "{name}");
        }
    }
    let survivor = json!([{ "process": 4, "reason": "ended by a signal" }]);
    assert_eq!(*environment.unseen(), survivor);
}

#[test]
fn too_many_names_are_said_to_be_so() {
    let program = Program::c(
        r#"
        int main(void) {
            char name[5000];
            for (int i = 0; i < 5000; i++) {
                snprintf(name, sizeof name, "NAME_%d", i);
                if (getenv(name)) abort();
            }
            setenv("NAME_4999", "found", 1);
            puts(getenv("NAME_4999"));
            memset(name, 'x', sizeof name - 1); name[sizeof name - 1] = 0;
            return getenv(name) != 0;
        }
        "#,
        &[],
    );
    assert_eq!(program.jailed(&[]), "found\n");
    let environment = program.environment();
    assert_eq!(environment.asked.len(), 1000);
    assert_eq!(environment.record["environment"]["asked"][999]["name"], "NAME_999");
    assert_eq!(*environment.unseen(), json!([{ "process": 0, "reason": "too many names" }]));
}

#[test]
fn one_name_that_is_too_long_is_said_to_be_so() {
    let program = Program::c(
        r#"
        int main(void) {
            char name[257];
            memset(name, 'x', 256); name[256] = 0;
            getenv("FIRST"); getenv(name); getenv(name + 1); getenv("LAST");
        }
        "#,
        &[],
    );
    let environment = program.run();
    let asked: Vec<&str> = environment.asked.keys().map(String::as_str).collect();
    assert_eq!(asked, ["FIRST", "LAST", &"x".repeat(255)]);
    assert_eq!(*environment.unseen(), json!([{ "process": 0, "reason": "too many names" }]));
}

#[test]
fn a_script_that_lists_its_environment_sees_the_library_and_nothing_else() {
    let program = Program::c(
        "extern char **environ; int main(void) { for (char **v = environ; *v; v++) puts(*v); }",
        &[],
    );
    let jailed = program.jailed(&[("X", "1")]);
    let library = jailed.lines().find_map(|line| line.strip_prefix("LD_PRELOAD=")).unwrap();
    assert!(library.ends_with("/libcargo_brig_asked.so"), "{library}");
    assert!(!Path::new(library).exists(), "removed after the run");
    let names = |text: &str| -> Vec<String> {
        let names = text.lines().filter_map(|line| Some(line.split_once('=')?.0.to_owned()));
        // These are given where the user has none.
        let own = ["LD_PRELOAD", "CARGO", "CARGO_HOME", "RUSTUP_HOME", "HOME", "TMPDIR"];
        let mut names: Vec<_> = names.filter(|name| !own.contains(&name.as_str())).collect();
        names.sort();
        names
    };
    assert_eq!(names(&jailed), names(&program.plain(&[("X", "1")])));
}

#[test]
fn a_sanitizer_that_wants_to_come_first_lets_the_library_be() {
    let source = "int main(void) { char *some = malloc(1); free(some); puts(getenv(\"A\")); \
                  return getenv(\"CRASH\") ? *some : 0; }";
    let program = Program::c(source, &["-fsanitize=address"]);
    // To look for leaks it traces itself, which the jail forbids.
    let no_leaks = ("ASAN_OPTIONS", "detect_leaks=0");
    assert_eq!(program.jailed(&[("A", "answer"), no_leaks]), "answer\n");
    assert_eq!(program.environment().state("A"), Some("given"));
    let mut command = program.project.brig(&["exec", "--", "./script"]);
    command.env("OUT_DIR", program.project.root.join("unit/out")).envs([
        no_leaks,
        ("A", "1"),
        ("CRASH", "1"),
    ]);
    let output = support::fail(command.env("CARGO_MANIFEST_DIR", &program.project.root));
    assert!(
        support::stderr(&output).contains("heap-use-after-free"),
        "{}",
        support::shown(&output)
    );
}

#[test]
fn a_hostile_book_harms_nobody() {
    let program = Program::c(
        r#"
        #include <sys/mman.h>
        #include <fcntl.h>
        #include <sys/stat.h>
        extern char **environ;
        int main(void) {
            long number = 0x22726967, size = 17 * 4096;
            long addresses[] = {0, 8, -1, -4096, 0x7fffffffe000, (long)main & -4096};
            for (int i = 0; i < 6; i++) {
                if (syscall(number, addresses[i], size, 1L) != -1 || errno != ENOSYS) return 1;
                if (!fork()) _exit(0);
                wait(0);
            }
            unsigned char *book = mmap(0, size, PROT_READ | PROT_WRITE,
                                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            memset(book, 0xff, size);
            for (int i = 0; i < 20; i++) {
                syscall(number, book, size, 1L);
                execl("/nowhere", "nowhere", (char *)0);
                for (int j = 0; j < size; j++) book[j] = rand() % 3 ? 'a' + rand() % 26 : 0;
            }
            // The library cannot be changed.
            char *path = 0;
            for (char **v = environ; *v; v++) if (!strncmp(*v, "LD_PRELOAD=", 11)) path = *v + 11;
            if (!path) return 2;
            if (open(path, O_WRONLY) != -1 || truncate(path, 0) != -1) return 3;
            if (chmod(path, 0777) != -1 || unlink(path) != -1) return 4;
            return 0;
        }
        "#,
        &[],
    );
    let environment = program.run();
    assert!(environment.asked.len() <= 10_000, "{}", environment.asked.len());
    assert!(environment.asked.keys().all(|name| name.len() <= 255 && !name.is_empty()));
    assert_eq!(environment.record["exit"], json!({ "code": 0 }));
}
