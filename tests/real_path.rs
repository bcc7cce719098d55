//! `realpath`, which the preloaded library has the warden answer at once: the same as without the
//! jail, and recorded.

mod support;

use std::fs;
use std::process::Command;

use serde_json::Value;
use support::{Project, TOOL, clean_command, shown, stdout, succeed};

/// Prints the real path of many paths, or why there is none; in all three ways of asking.
const PROGRAM: &str = r#"
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int main(void) {
    char out[PATH_MAX], space[PATH_MAX], lengthy[PATH_MAX + 2];
    if (chdir(getenv("OUT_DIR"))) return 1;
    getcwd(out, sizeof out);
    mkdir("d", 0755), mkdir("d/e", 0755), close(creat("d/file", 0644));
    symlink("d/e", "link"), symlink("nowhere", "dangling"), symlink("loop", "loop");
    symlink("/proc/self", "me"), symlink("link/../file", "up"), symlink(out, "whole");
    memset(lengthy, 'x', PATH_MAX + 1), lengthy[PATH_MAX + 1] = 0;
    const char *paths[] = {
        "", "/", ".", "..", "//", "d", "d/", "d//e/.", "d/e/..", "d/file", "d/file/", "d/file/..",
        "d/file/x", "link", "link/", "link/..", "up", "dangling", "loop", "loop/x", "whole/link",
        "missing", "missing/..", "/lib", "/usr/include/../lib/./.", "/bin/sh", "/proc/self/exe",
        "/proc/self/cwd/d", "me/cwd", "/proc/self/root/usr", "/dev/fd", "/dev/null", "/nope/x",
        lengthy, lengthy + 2, lengthy + PATH_MAX - 254,
    };
    for (unsigned i = 0; i < sizeof paths / sizeof *paths; i++) {
        errno = 0;
        char *made = realpath(paths[i], NULL);
        printf("%.40s: %s\n", paths[i], made ? made : strerror(errno));
        errno = 0;
        char *given = realpath(paths[i], space);
        char *third = canonicalize_file_name(paths[i]);
        if (!made != !given || !made != !third) puts("the three differ");
        if (made && (given != space || strcmp(made, given) || strcmp(made, third))) puts("differ");
        free(made), free(third);
    }
    if (chdir("d/e") || rmdir("../e")) return 2;
    char *gone = realpath(".", NULL);
    printf("removed: %s\n", gone ? gone : strerror(errno));
    return 0;
}
"#;

#[test]
fn a_real_path_is_as_without_the_jail_and_recorded() {
    let project = Project::of("resolves", &[("program.c", PROGRAM)]);
    for flags in [&["-O0"][..], &["-O2", "-D_FORTIFY_SOURCE=2"], &["-O2", "-static"]] {
        let mut gcc = clean_command("gcc");
        succeed(gcc.current_dir(&project.root).args(flags).args([
            "-w",
            "program.c",
            "-o",
            "program",
        ]));
        let program = project.root.join("program");
        let out = project.root.join("unit/out");
        let run = |mut command: Command| {
            fs::remove_dir_all(project.root.join("unit")).ok();
            fs::create_dir_all(&out).unwrap();
            command.env("OUT_DIR", &out).env("CARGO_MANIFEST_DIR", &project.root);
            let output = command.current_dir(&project.root).output().unwrap();
            // The links that it leaves are refused in the end.
            let code = output.status.code();
            assert!(code == Some(0) || code == Some(124), "{}", shown(&output));
            let output = stdout(&output);
            // Another one each time.
            let own = output.lines().filter(|line| !line.starts_with("/dev/fd:"));
            own.map(str::to_owned).collect::<Vec<_>>()
        };
        let bare = run(clean_command(&program));
        assert_eq!(bare.len(), 36, "{bare:#?}");
        let mut jailed = clean_command(TOOL);
        jailed.args(["exec", "--"]).arg(&program);
        assert_eq!(run(jailed), bare, "{flags:?}");
        let record = fs::read(project.root.join("unit/brig.json")).unwrap();
        let record: Value = serde_json::from_slice(&record).unwrap();
        let accesses = record["accesses"].as_array().unwrap();
        let outcome = |name: &str| {
            let path = out.join(name);
            let is_it = |access: &&Value| {
                access["kind"] == "read-link" && access["path"] == path.to_str().unwrap()
            };
            accesses.iter().find(is_it).map(|access| access["outcome"].as_str().unwrap())
        };
        assert_eq!(outcome("missing"), Some("not-found"), "{flags:?}");
        assert!(outcome("link").is_some() && outcome("loop").is_some(), "{flags:?}");
    }
}
