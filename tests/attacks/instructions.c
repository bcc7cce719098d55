/* Prints what has rustc, the linker or the terminal do something outside. Many more such instructions
   are in `tests/instructions.rs` and `tests/nothing_outside.rs`. */

#include "attack.h"

/* A program that leaves a file outside. */
static void program(const char *path) {
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0755);
    dprintf(file, "#!/bin/sh\n: > '%s'\nexit 1\n", outside("new"));
    close(file);
}

/* A library and a linker's plugin that does, whoever loads it. */
static const char *library(void) {
    int from = open(workspace("plugin.so"), O_RDONLY);
    int to = open(out("plugin.so"), O_WRONLY | O_CREAT | O_TRUNC, 0755);
    char piece[65536];
    for (ssize_t length; (length = read(from, piece, sizeof piece)) > 0;)
        write(to, piece, (size_t)length);
    close(to);
    return out("plugin.so");
}

static void write_text(const char *path, const char *contents) {
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    write(file, contents, strlen(contents));
    close(file);
}

static const char *arguments(void) {
    program(out("program"));
    write_text(out("arguments"), text(".\n-Clinker=%s", out("program")));
    return out("arguments");
}

static void say(const char *line) {
    puts(line);
    fflush(stdout);
}

/* Cargo believes nothing of a script that fails. */
static void succeed(void) {
    exit(0);
}

static void preload_a_library(void) {
    say(text("cargo::rustc-env=LD_PRELOAD=%s", library()));
    succeed();
}

static void audit_by_a_library(void) {
    say(text("cargo::rustc-env=LD_AUDIT=%s", library()));
    succeed();
}

static void another_compiler_in_path(void) {
    mkdir(out("bin"), 0755);
    program(out("bin/cc"));
    say(text("cargo::rustc-env=PATH=%s:%s", out("bin"), getenv("PATH")));
    succeed();
}

static void another_linker_by_compiler_path(void) {
    mkdir(out("bin"), 0755);
    program(out("bin/collect2"));
    say(text("cargo::rustc-env=COMPILER_PATH=%s", out("bin")));
    succeed();
}

/* LLD ends in a crash where it is asked to, and shows it with names. */
static void another_symbolizer_for_a_crash(void) {
    program(out("symbolizer"));
    say(text("cargo::rustc-env=LLVM_SYMBOLIZER_PATH=%s", out("symbolizer")));
    say("cargo::rustc-env=FORCE_LLD_DIAGNOSTICS_CRASH=1");
    succeed();
}

static void log_into_a_file(void) {
    say(text("cargo::rustc-env=RUSTC_LOG_OUTPUT_TARGET=%s", outside("new")));
    say("cargo::rustc-env=RUSTC_LOG=info");
    succeed();
}

static void argument_file_as_library_directory(void) {
    say(text("cargo::rustc-link-search=@%s", arguments()));
    succeed();
}

static void argument_file_as_flag(void) {
    say(text("cargo::rustc-flags=-L @%s", arguments()));
    succeed();
}

static void argument_file_as_condition(void) {
    program(out("program"));
    write_text(out("arguments"), text("x\n-Clinker=%s", out("program")));
    say(text("cargo::rustc-cfg=@%s", out("arguments")));
    succeed();
}

static void wrap_the_linker(void) {
    program(out("program"));
    say("cargo::rustc-link-arg=-wrapper");
    say(text("cargo::rustc-link-arg=%s", out("program")));
    succeed();
}

static void another_linker_by_prefix(void) {
    mkdir(out("bin"), 0755);
    program(out("bin/collect2"));
    say(text("cargo::rustc-link-arg-bins=-B%s", out("bin")));
    succeed();
}

static void another_linker_by_specs(void) {
    program(out("program"));
    write_text(out("specs"), text("*linker:\n%s\n", out("program")));
    say(text("cargo::rustc-link-arg=-specs=%s", out("specs")));
    succeed();
}

static void linkers_plugin(void) {
    say("cargo::rustc-link-arg=-fuse-ld=bfd");
    say(text("cargo::rustc-link-arg=-Wl,-z,now,-plugin,%s", library()));
    succeed();
}

/* Cargo trims more than blanks, and reads no sooner than at the end of a line. */
static void linkers_plugin_in_disguise(void) {
    const char *line = text("\u00a0\u3000 cargo:rustc-link-arg-bins=-Wl,-plugin,%s \r", library());
    say("\t\u2028cargo::rustc-link-arg-bins=-fuse-ld=bfd\u2029");
    for (const char *letter = line; *letter; letter++)
        write(1, letter, 1);
    write(1, "\n", 1);
    succeed();
}

static void linkers_map(void) {
    say(text("cargo::rustc-link-arg=-Wl,-Map=%s", outside("new")));
    succeed();
}

/* Sets the terminal's clipboard. */
#define CLIPBOARD "\033]52;c;b3duZWQ=\a"

static void escape_in_a_warning(void) {
    say(text("cargo::warning=" CLIPBOARD "%s", name));
    succeed();
}

static void escape_in_an_error(void) {
    say(text("cargo::error=" CLIPBOARD "%s", name));
}

static void escape_in_what_a_failure_shows(void) {
    fprintf(stderr, CLIPBOARD "%s\n", name);
}

static void escape_of_one_byte_in_what_a_failure_shows(void) {
    fprintf(stderr, "\302\23552;c;b3duZWQ=\a%s\n", name);
}

const struct attack INSTRUCTIONS[] = {
    ATTACK(preload_a_library),
    ATTACK(audit_by_a_library),
    ATTACK(another_compiler_in_path),
    ATTACK(another_linker_by_compiler_path),
    ATTACK(another_symbolizer_for_a_crash),
    ATTACK(log_into_a_file),
    ATTACK(argument_file_as_library_directory),
    ATTACK(argument_file_as_flag),
    ATTACK(argument_file_as_condition),
    ATTACK(wrap_the_linker),
    ATTACK(another_linker_by_prefix),
    ATTACK(another_linker_by_specs),
    ATTACK(linkers_plugin),
    ATTACK(linkers_plugin_in_disguise),
    ATTACK(linkers_map),
    ATTACK(escape_in_a_warning),
    ATTACK(escape_in_an_error),
    ATTACK(escape_in_what_a_failure_shows),
    ATTACK(escape_of_one_byte_in_what_a_failure_shows),
    {0},
};
