//! What a record says of paths is what strace saw: nothing is missing, and nothing is invented.
//!
//! A script is run twice, in the same `OUT_DIR` and with the environment that the jail would give it:
//! bare under strace, and in the jail. Both must have opened, made, removed, renamed and executed the
//! same paths as often, and have looked in vain for the same. strace cannot look at the jailed run itself: there
//! the warden makes the calls. The scripts are those of the example workspace, and small ones that use
//! what builds use.

#[path = "support/captured.rs"]
mod captured;
mod support;
#[path = "support/trace.rs"]
mod trace;

use std::collections::BTreeSet;
use std::env;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use captured::{Captured, capture, parse_environment};
use serde_json::Value;
use support::{Project, TOOL, succeed};
use tempfile::TempDir;
use trace::{Use, Uses, uses};

/// For `timeout`: a run that has not ended after two minutes never will.
const LIMIT: [&str; 2] = ["--kill-after=5", "120"];

/// Where a run's private directories, trace and record lie.
struct Runner {
    _dir: TempDir,
    root: PathBuf,
}

impl Runner {
    fn new() -> Self {
        trace::must_work();
        let dir = tempfile::Builder::new().prefix("brig-strace-").tempdir().unwrap();
        let root = fs::canonicalize(dir.path()).unwrap();
        fs::create_dir(root.join("private")).unwrap();
        Self { _dir: dir, root }
    }

    /// Beside what lies in it, so that the same rule finds both kinds of private directories.
    fn private(&self) -> PathBuf {
        self.root.join("private")
    }

    /// `cargo-brig exec` of a program, in a script's stead.
    fn exec(&self, script: &Captured, program: &Path) -> Command {
        script.empty_out_dir();
        let mut command = script.command("timeout");
        command.args(LIMIT).arg(TOOL).args(["exec", "--record"]).arg(self.root.join("record"));
        command.arg("--").arg(program);
        command.env("TMPDIR", self.private()).stdin(Stdio::null());
        command
    }

    /// What strace sees of a script that is run without the jail.
    fn traced(&self, script: &Captured) -> Uses {
        let environment = self.exec(script, Path::new("/usr/bin/env")).arg("-0").output().unwrap();
        assert!(environment.status.success(), "{}", support::shown(&environment));
        let directory = |purpose: &str| {
            let prefix = format!("cargo-brig-{purpose}-");
            tempfile::Builder::new().prefix(&prefix).tempdir_in(self.private()).unwrap()
        };
        let (tmp, home) = (directory("tmp"), directory("home"));
        let trace = self.root.join("trace");
        script.empty_out_dir();
        let mut command = Command::new("timeout");
        command
            .args(LIMIT)
            .args(trace::strace(&trace))
            .arg(&script.program)
            .current_dir(&script.directory)
            .env_clear()
            .envs(parse_environment(&environment.stdout))
            // The library went with that run, and is not in a record.
            .env_remove("LD_PRELOAD")
            .env("TMPDIR", tmp.path())
            .env("HOME", home.path())
            .stdin(Stdio::null());
        succeed(&mut command);
        let directory = fs::canonicalize(&script.directory).unwrap();
        let writable = [&script.out_dir, tmp.path(), home.path()];
        uses(&fs::read_to_string(trace).unwrap(), &directory, &writable)
    }

    /// What the record says of a script that is run in the jail.
    fn recorded(&self, script: &Captured) -> Uses {
        succeed(&mut self.exec(script, &script.program));
        let record = fs::read(self.root.join("record")).unwrap();
        let record: Value = serde_json::from_slice(&record).unwrap();
        let accesses = record["accesses"].as_array().expect("the record has accesses");
        counted(accesses.iter().filter_map(recorded_use))
    }

    fn compare(&self, script: &Captured) -> Comparison {
        // What some of them write down of their calls.
        let results = || fs::read_to_string(script.out_dir.join("results")).unwrap_or_default();
        let traced = self.normalized(self.traced(script));
        let bare = results();
        let recorded = self.normalized(self.recorded(script));
        Comparison { name: script.package.clone(), traced, recorded, results: [bare, results()] }
    }

    /// Without what differs from one run to the next by its nature.
    fn normalized(&self, uses: Uses) -> Uses {
        let private = self.private();
        let normalize = |path: &Path| -> PathBuf {
            let in_private = path.strip_prefix(&private);
            let path =
                in_private.map_or(path.to_owned(), |rest| Path::new("/{private}").join(rest));
            let mut normalized = PathBuf::new();
            for part in path.components() {
                let parent = normalized.clone();
                normalized.push(without_chance(&parent, part.as_os_str().as_bytes()));
            }
            normalized
        };
        counted(
            uses.into_iter()
                .map(|(found, count)| (Use { path: normalize(&found.path), ..found }, count)),
        )
    }
}

/// Uses with the sums of their counts.
fn counted(uses: impl Iterator<Item = (Use, u64)>) -> Uses {
    let mut counted = Uses::new();
    for (found, count) in uses {
        *counted.entry(found).or_default() += count;
    }
    counted
}

fn recorded_use(access: &Value) -> Option<(Use, u64)> {
    const KINDS: [&str; 8] =
        ["create", "execute", "link", "list", "read", "remove", "rename", "write"];
    // Those of calls that were not traced are left out.
    let kind = KINDS.into_iter().find(|kind| access["kind"] == *kind)?;
    let path = match access["path_hex"].as_str() {
        Some(digits) => {
            let digits: Vec<u8> = digits.bytes().collect();
            let byte =
                |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
            OsString::from_vec(digits.chunks(2).map(byte).collect()).into()
        }
        None => PathBuf::from(access["path"].as_str().unwrap()),
    };
    let outcome = access["outcome"].as_str().unwrap().to_owned();
    Some((Use { kind, path, outcome }, access["count"].as_u64().unwrap()))
}

/// Names that programs make up: `?` stands for a letter, a digit or `_`, `#` for digits, `%` for
/// hexadecimal ones, and `*` for what is not made up.
const MADE_UP: &[&str] = &[
    // The jail's private directories.
    "cargo-brig-tmp-??????*",
    "cargo-brig-home-??????*",
    // gcc, collect2 and ar.
    "cc??????.*",
    "st??????",
    // rustc.
    "rmeta??????",
    "rustc??????",
    // The crates cc and autocfg.
    "#detect_compiler_family.c",
    "autocfg_%_#.autocfg_%_#.%-*",
    "autocfg_%_*",
    // CMake.
    "TryCompile-??????",
    "*cmTC_?????*.tmp?????",
    "*cmTC_?????*",
    "*.tmp?????",
    // Python, sed and mktemp(1).
    "tmp????????",
    "sed??????",
    "tmp.??????????",
];

/// A part of a path, with what is random in it taken out.
fn without_chance(parent: &Path, part: &[u8]) -> OsString {
    let is_process = part == b"self" || part.iter().all(u8::is_ascii_digit);
    if parent == Path::new("/proc") && is_process || parent == Path::new("/proc/PID/task") {
        return "PID".into();
    }
    let known = MADE_UP.iter().find_map(|pattern| matched(pattern.as_bytes(), part));
    OsString::from_vec(known.unwrap_or_else(|| part.to_vec()))
}

/// The text with the pattern's marks where it matches them, if it matches.
fn matched(pattern: &[u8], text: &[u8]) -> Option<Vec<u8>> {
    let (rest, mut matched) = match (pattern, text) {
        ([], []) => return Some(Vec::new()),
        ([b'*', pattern @ ..], _) => {
            return (0..=text.len()).rev().find_map(|kept| {
                let rest = self::matched(pattern, &text[kept..])?;
                Some([&text[..kept], &rest].concat())
            });
        }
        ([b'?', pattern @ ..], [byte, text @ ..])
            if byte.is_ascii_alphanumeric() || *byte == b'_' =>
        {
            (self::matched(pattern, text)?, vec![b'?'])
        }
        ([mark @ (b'#' | b'%'), pattern @ ..], _) => {
            let is_digit = |byte: &&u8| {
                if *mark == b'#' { byte.is_ascii_digit() } else { byte.is_ascii_hexdigit() }
            };
            let digits = text.iter().take_while(is_digit).count();
            if digits == 0 {
                return None;
            }
            (self::matched(pattern, &text[digits..])?, vec![*mark])
        }
        ([wanted, pattern @ ..], [byte, text @ ..]) if wanted == byte => {
            (self::matched(pattern, text)?, vec![*byte])
        }
        _ => return None,
    };
    matched.extend(rest);
    Some(matched)
}

/// What was seen of one script in two ways.
struct Comparison {
    name: String,
    traced: Uses,
    recorded: Uses,
    results: [String; 2],
}

/// Says what was compared, and fails if anything differs.
fn assert_same(comparisons: &[Comparison]) {
    let mut differences = String::new();
    for Comparison { name, traced, recorded, results: [bare, jailed] } in comparisons {
        for (bare, jailed) in
            bare.lines().zip(jailed.lines()).filter(|(bare, jailed)| bare != jailed)
        {
            writeln!(differences, "{name}: bare `{bare}`, in the jail `{jailed}`").unwrap();
        }
        let mut list = |what: &str, these: &Uses, those: &Uses, may_be_less: bool| {
            let mut listed = 0;
            for (found @ Use { kind, path, outcome }, count) in these {
                let other = those.get(found).unwrap_or(&0);
                // What was known not to be there, or to be a real path, is asked for less often.
                let is_known = *other > 0
                    && (*kind == "read-link"
                        || (outcome == "not-found" && ["read", "stat", "execute"].contains(kind)));
                if count > other && !(is_known && may_be_less) {
                    let path = path.to_string_lossy();
                    writeln!(
                        differences,
                        "{name}: {what}: {kind} {path:?}: {outcome}: {} of {count}",
                        count - other
                    )
                    .unwrap();
                    listed += 1;
                }
            }
            listed
        };
        let missing = list("missing in the record", traced, recorded, true);
        let invented = list("invented by the record", recorded, traced, false);
        let paths: BTreeSet<&Path> = traced.keys().map(|found| found.path.as_path()).collect();
        eprintln!(
            "{name}: {} uses of {} paths compared, {missing} missing, {invented} invented",
            traced.values().sum::<u64>(),
            paths.len()
        );
    }
    assert!(differences.is_empty(), "\n{differences}");
}

/// A shell script in a build script's place, in a package with these files.
fn small(runner: &Runner, name: &str, files: &[(&str, &str)], text: &str) -> Captured {
    let directory = runner.root.join(name);
    let program = directory.join("script");
    let out_dir = directory.join("target/debug/build").join(name).join("out");
    fs::create_dir_all(&out_dir).unwrap();
    for (path, text) in files {
        let path = directory.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    fs::write(&program, format!("#!/bin/sh\nset -e\ncd \"$OUT_DIR\"\n{text}")).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let mut environment: Vec<(OsString, OsString)> = ["PATH", "HOME"]
        .iter()
        .filter_map(|name| Some((name.into(), env::var_os(name)?)))
        .collect();
    environment.extend([
        ("OUT_DIR".into(), out_dir.clone().into()),
        ("CARGO_MANIFEST_DIR".into(), directory.clone().into()),
        ("CARGO_PKG_NAME".into(), name.into()),
        ("CARGO_PKG_VERSION".into(), "0.1.0".into()),
        ("LC_ALL".into(), "C.UTF-8".into()),
        // What is there after the first run would not be made by the second.
        ("PYTHONDONTWRITEBYTECODE".into(), "1".into()),
    ]);
    Captured { program, package: name.to_owned(), directory, out_dir, environment }
}

/// Three processes: one that changes its directory, a child of it, and a call that was begun before
/// the child's and ended after it.
const TRACE: &str = r#"
7  execve("\x2f\x61", [""...], 0x7ffd /* 4 vars */) = 0
7  openat(AT_FDCWD<\x2f\x64>, "\x61", O_RDONLY|O_CLOEXEC) = 3<\x2f\x64\x2f\xc3\xa4>
7  openat(3<\x2f\x64>, "\x61\x2f\x2e\x2e\x2f\x62", O_RDWR|O_CREAT, 0666) = -1 ENOENT (No such file or directory)
7  chdir("\x2f\x6e\x6f\x6e\x65") = 0
7  vfork( <unfinished ...>
8  mkdir("\x78", 0777 <unfinished ...>
7  <... vfork resumed>)              = 8
8  <... mkdir resumed>)              = -1 EEXIST (File exists)
8  openat2(AT_FDCWD<\x2f\x64>, "\x65", {flags=O_WRONLY|O_CLOEXEC, resolve=0}, 24) = 4<\x2f\x65>(deleted)
8  openat(AT_FDCWD<\x2f\x64>, "\x6e", O_RDWR|O_CREAT, 0666) = 5<\x2f\x64\x2f\x6e\x65\x77>
8  openat(AT_FDCWD<\x2f\x64>, "\x6e", O_RDONLY|O_CREAT, 0666) = 5<\x2f\x64\x2f\x6e\x65\x77>
8  openat(AT_FDCWD<\x2f\x64>, "\x6e", O_RDONLY) = 6<\x2f\x64\x2f\x6e\x65\x77>
8  unlink(NULL)                      = -1 EFAULT (Bad address)
8  +++ exited with 0 +++
7  --- SIGCHLD {si_signo=SIGCHLD} ---
7  rename("\x62", "\x2f\x63")        = 0
7  execve("\x2f\x6e\x6f", [], 0x1 /* 0 vars */) = ?
"#;

#[test]
fn a_trace_is_read_as_it_is_meant() {
    let uses = uses(TRACE.trim_start(), Path::new("/d"), &[Path::new("/d"), Path::new("/e")]);
    let shown: Vec<String> = uses
        .iter()
        .map(|(Use { kind, path, outcome }, count)| {
            format!("{count} {kind} {} {outcome}", path.display())
        })
        .collect();
    let expected = [
        "1 create /d/b not-found",
        "1 create /d/new allowed",
        "1 create /none/x EEXIST",
        "1 execute /a allowed",
        "2 read /d/new allowed",
        "1 read /d/ä allowed",
        "1 rename /c allowed",
        "1 rename /none/b allowed",
        "1 write /e allowed",
    ];
    assert_eq!(shown, expected);
}

#[test]
fn what_is_made_up_is_taken_out() {
    let normal = |part: &str| without_chance(Path::new("/tmp"), part.as_bytes());
    assert_eq!(normal("ccAb1_9x.cdtor.c"), "cc??????.cdtor.c");
    assert_eq!(normal("cc1plus"), "cc1plus");
    assert_eq!(normal("123456789detect_compiler_family.c"), "#detect_compiler_family.c");
    assert_eq!(normal("libcmTC_0a1b2.a"), "libcmTC_?????.a");
    assert_eq!(normal("cmTC_0a1b2_loc.tmp3c4d5"), "cmTC_?????_loc.tmp?????");
    assert_eq!(without_chance(Path::new("/proc"), b"123"), "PID");
    assert_eq!(normal("123"), "123");
}

#[test]
fn the_scripts_of_the_example() {
    let runner = Runner::new();
    let project = Project::copy_of("example");
    // Without zlib-ng, whose CMake makes tens of thousands of calls: a smaller one has a test below.
    let manifest = fs::read_to_string(project.root.join("archive/Cargo.toml")).unwrap();
    project.write("archive/Cargo.toml", &manifest.replace("flate2.workspace = true\n", ""));
    project.write("archive/src/lib.rs", "");
    let mut cargo = project.cargo(&["check", "--quiet"]);
    for member in ["archive", "measures", "receipts", "transport"] {
        cargo.args(["--package", member]);
    }
    capture(&mut cargo, &project.root.join("capture"));
    succeed(&mut cargo);
    let scripts = Captured::all(&project.root.join("target/debug"));
    let names: Vec<&str> = scripts.iter().map(|script| script.package.as_str()).collect();
    for package in ["libc", "num-traits", "openssl-sys", "proc-macro2", "ring", "serde", "zstd-sys"]
    {
        assert!(names.contains(&package), "{package} is not among {names:?}");
    }
    let comparisons: Vec<Comparison> =
        scripts.iter().map(|script| runner.compare(script)).collect();
    assert_same(&comparisons);
}

const C_FILES: &[(&str, &str)] = &[
    (
        "c/main.c",
        "#include <stdio.h>\n#include \"one.h\"\nint main(void) { return puts(ONE) < 0; }\n",
    ),
    ("c/include/one.h", "#include \"two.h\"\n#define ONE TWO\n"),
    ("c/other include/two.h", "#define TWO \"two\"\n"),
    ("c/part.c", "#include <math.h>\ndouble part(double x) { return sqrt(x); }\n"),
    ("c/assembler.S", "#include \"two.h\"\n.section .note.GNU-stack,\"\",%progbits\n"),
];

const C: &str = r#"
c="$CARGO_MANIFEST_DIR/c"
cc -c -O2 -g -I "$c/absent" -I "$c/include" -I "$c/other include" "$c/main.c" -o main.o
cc -c -fPIC "$c/part.c" -o part.o
cc -c -I "$c/other include" "$c/assembler.S" -o assembler.o
ar crs libpart.a part.o assembler.o
ranlib libpart.a
cc -shared -o libpart.so part.o -lm
cc main.o -L. -L"$c/absent" -lpart -lm -o main
./main
LD_LIBRARY_PATH="$PWD:/no/such/directory" ./main
if cc -E -I "$c/absent" "$c/main.c" -o main.i 2> errors; then exit 1; fi
printf '#include <zlib.h>\n#include <no/such/header.h>\n' | cc -E - > probed 2>> errors || true
strip -o stripped main
rm main.o part.o
"#;

const CXX_FILES: &[(&str, &str)] = &[
    (
        "main.cpp",
        "#include <iostream>\n#include <vector>\n#include \"list.hpp\"\nint main() { std::cout << list().size() << std::endl; }\n",
    ),
    ("list.hpp", "#include <vector>\nstd::vector<int> list();\n"),
    ("list.cpp", "#include \"list.hpp\"\nstd::vector<int> list() { return {1, 2, 3}; }\n"),
];

const CXX: &str = r#"
c++ -std=c++17 -O1 "$CARGO_MANIFEST_DIR/main.cpp" "$CARGO_MANIFEST_DIR/list.cpp" -o main
./main
c++ -std=c++17 -MMD -MF list.d -c "$CARGO_MANIFEST_DIR/list.cpp" -o list.o
"#;

const CMAKE_FILES: &[(&str, &str)] = &[
    (
        "CMakeLists.txt",
        "cmake_minimum_required(VERSION 3.13)\nproject(small C)\ninclude(CheckIncludeFile)\n\
         check_include_file(stdint.h HAVE_STDINT_H)\ncheck_include_file(no/such.h HAVE_NO_SUCH_H)\n\
         configure_file(config.h.in config.h)\nadd_library(part STATIC part.c)\n\
         target_include_directories(part PRIVATE ${CMAKE_CURRENT_BINARY_DIR})\n\
         install(TARGETS part DESTINATION lib)\n",
    ),
    ("config.h.in", "#cmakedefine HAVE_STDINT_H\n#cmakedefine HAVE_NO_SUCH_H\n"),
    ("part.c", "#include \"config.h\"\nint part(void) { return 1; }\n"),
];

const CMAKE: &str = r#"
cmake -S "$CARGO_MANIFEST_DIR" -B build -DCMAKE_INSTALL_PREFIX="$OUT_DIR" > configured
cmake --build build --target install > built
"#;

const MAKE_FILES: &[(&str, &str)] = &[
    (
        "make/Makefile",
        "-include absent.mk\ninclude part.mk\nall: one.txt two.txt sub\n\t@cat one.txt two.txt > all.txt\n\
         %.txt: %.in\n\t@sed s/in/out/ < $< > $@\nsub:\n\t@$(MAKE) -C sub\n.PHONY: all sub\n",
    ),
    ("make/part.mk", "VPATH = elsewhere\n"),
    ("make/one.in", "in one\n"),
    ("make/elsewhere/two.in", "in two\n"),
    ("make/sub/Makefile", "../made/sub: ; @mkdir -p ../made && echo sub > $@\n"),
];

const MAKE: &str = r#"
cp -R "$CARGO_MANIFEST_DIR/make" .
make -j2 -C make
make -C make
"#;

const PYTHON_FILES: &[(&str, &str)] = &[
    ("generate.py", PYTHON_SCRIPT),
    ("package/__init__.py", ""),
    ("package/part.py", "NAME = 'part'\n"),
];

const PYTHON_SCRIPT: &str = r#"
import json, os, pathlib, shutil, subprocess, sys, tempfile
sys.path.insert(0, os.environ["CARGO_MANIFEST_DIR"])
from package.part import NAME
try:
    import package.absent
except ImportError:
    pass
# It would try whether it can be written to, by a file with a name that nobody could tell from others.
tempfile.tempdir = os.environ["TMPDIR"]
out = pathlib.Path(os.environ["OUT_DIR"])
(out / "deep/er").mkdir(parents=True)
(out / "deep/er" / "größe.json").write_text(json.dumps({"name": NAME}))
(out / "link").symlink_to("deep/er")
with open(out / "link" / "größe.json") as file:
    assert json.load(file)["name"] == "part"
os.rename(out / "link", out / "renamed")
with tempfile.TemporaryDirectory() as directory:
    pathlib.Path(directory, "scratch").write_bytes(b"x")
    os.replace(os.path.join(directory, "scratch"), out / "kept")
subprocess.run(["cat", "kept"], cwd=out, check=True, stdout=subprocess.DEVNULL)
subprocess.run("cd deep && ls er > ../listed", cwd=out, shell=True, check=True)
shutil.copytree(out / "deep", out / "copied")
shutil.rmtree(out / "deep")
"#;

const SHELL: &str = r#"
mkdir -p a/b/c 'a name with blanks' "$(printf 'a\nline')"
echo one > a/one; echo two >> a/one; : > empty
(cd a/b && echo three > c/three && cat ../one ./c/../c/three > both && cat /proc/self/stat > /dev/null)
ln -s a/b link; ln -s nowhere dangling; ln -s loop loop; ln a/one hard
cat link/both link/../one > /dev/null
cat dangling loop a/one/x absent/y 2> errors || true
echo made > "$(printf 'not \377 utf-8')"
cp -R a copied; cp -p a/one 'a name with blanks/ä'; mv copied/one copied/moved; mv copied/b other
sed -i s/one/eins/ a/one
tar cf all.tar a link; mkdir unpacked; tar xf all.tar -C unpacked
find a -name 'o*' | sort > found; grep -r eins a > grepped
install -D -m 755 a/one installed/bin/one
rm -r copied unpacked; rmdir 'a name with blanks' 2>> errors || true
mktemp > /dev/null
cat > tool << 'END'
#!/bin/sh
exec cat "$@"
END
chmod +x tool; ./tool found > /dev/null; sh ./tool found > /dev/null
if ./absent 2>> errors; then exit 1; fi
if no-such-command 2>> errors; then exit 1; fi
env true; nice true; echo found | xargs cat > /dev/null
while read -r line; do echo "$line"; done < found > again
git rev-parse --short HEAD 2>> errors || true
"#;

const CALL_NAMES: &str = r#"
cc -O1 -Wall -Wno-unused-result -Wno-maybe-uninitialized "$CARGO_MANIFEST_DIR/names.c" -o names -pthread
exec ./names
"#;

#[test]
fn every_call_that_uses_a_name() {
    let runner = Runner::new();
    let script = small(&runner, "names", &[("names.c", include_str!("data/names.c"))], CALL_NAMES);
    let comparison = runner.compare(&script);
    assert_same(&[comparison]);
}

#[test]
fn the_tools_of_builds() {
    let runner = Runner::new();
    let scripts = [
        small(&runner, "c", C_FILES, C),
        small(&runner, "cxx", CXX_FILES, CXX),
        small(&runner, "cmake", CMAKE_FILES, CMAKE),
        small(&runner, "make", MAKE_FILES, MAKE),
        small(&runner, "python", PYTHON_FILES, "python3 \"$CARGO_MANIFEST_DIR/generate.py\""),
        small(&runner, "shell", &[], SHELL),
    ];
    let comparisons: Vec<Comparison> =
        scripts.iter().map(|script| runner.compare(script)).collect();
    assert_same(&comparisons);
}
