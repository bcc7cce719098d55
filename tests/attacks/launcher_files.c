/* Changes what Cargo, cargo-brig and the user's other programs go by. */

#include "attack.h"
#include <glob.h>

/* Writes into every file of a pattern, and in a directory a new one. */
static void plant_in_all(const char *pattern) {
    glob_t found;
    if (glob(pattern, GLOB_NOSORT, NULL, &found))
        fprintf(stderr, "nothing is called %s\n", pattern);
    else
        for (size_t number = 0; number < found.gl_pathc; number++) {
            struct stat status;
            /* A program that runs cannot be opened for writing, but can be removed. */
            const char *path = found.gl_pathv[number];
            if (stat(path, &status) == 0 && S_ISDIR(status.st_mode)) {
                plant(text("%s/planted", path));
            } else {
                plant(out("planted"));
                if (rename(out("planted"), path))
                    plant(path);
            }
        }
}

/* The build directory, by name: a list of it is not given to every script. */
static const char *build(const char *file) {
    return text("%s/target/debug/%s", workspace(""), file);
}

static void own_record(void) {
    plant(out("../brig.json"));
}

static void own_saved_output(void) {
    plant(out("../output"));
}

static void own_directory(void) {
    plant(out("../planted"));
}

static void neighbours_launcher(void) {
    plant_in_all(build("build/victim-*/build-script-build"));
}

static void neighbours_script(void) {
    plant_in_all(build("build/victim-*/build_script_build-*"));
}

static void neighbours_output(void) {
    plant_in_all(build("build/victim-*/out"));
}

static void neighbours_record(void) {
    plant(text("%s/brig.json", told("victim")));
}

static void neighbours_instructions(void) {
    plant(text("%s/output", told("victim")));
}

static void neighbours_fingerprint(void) {
    plant_in_all(build(".fingerprint/victim-*"));
}

static void own_fingerprint(void) {
    plant_in_all(text("%s/.fingerprint/%s-*", build(""), name));
}

static void compiled_libraries(void) {
    plant_in_all(build("deps/libvictim-*.rlib"));
}

static void target_directory(void) {
    plant(build("planted"));
}

static void cargo_configuration(void) {
    plant(workspace(".cargo/config.toml.planted"));
}

static void own_manifest(void) {
    plant("Cargo.toml");
}

static void own_source(void) {
    plant("src/lib.rs");
}

static void own_package(void) {
    plant("planted.rs");
}

static void script_source(void) {
    plant(workspace("planted.rs"));
}

static void neighbours_source(void) {
    plant(workspace("bait/src/lib.rs"));
}

static void lock_file(void) {
    int file = open(workspace("Cargo.lock"), O_WRONLY | O_APPEND);
    dprintf(file, "# owned by %s\n", name);
}

static void workspace_policy(void) {
    int file = open(workspace("brig.toml"), O_WRONLY | O_APPEND);
    dprintf(file, "# owned by %s\n", name);
}

static void baseline(void) {
    plant(workspace("brig.lock"));
}

static void git_hook(void) {
    plant(workspace(".git/hooks/pre-commit"));
}

static void git_configuration(void) {
    plant(workspace(".git/config"));
}

static void editor_settings(void) {
    plant(workspace(".vscode/tasks.json"));
}

static void users_policy(void) {
    plant(home(".config/cargo-brig/planted.toml"));
}

static void users_cargo_configuration(void) {
    plant(home(".cargo/config.toml.planted"));
}

static void users_programs(void) {
    plant(home(".cargo/bin/planted"));
}

static void registry_source(void) {
    plant(home(".cargo/registry/src/index/other-1.0.0/build.rs"));
}

static void shell_profile(void) {
    plant(home(".profile"));
}

static void shell_start(void) {
    int file = open(home(".bashrc"), O_WRONLY | O_APPEND);
    dprintf(file, "# owned by %s\n", name);
}

static void authorized_keys(void) {
    plant(home(".ssh/authorized_keys"));
}

static void session_start(void) {
    plant(home(".config/autostart/planted.desktop"));
}

static void user_service(void) {
    plant(home(".config/systemd/user/planted.service"));
}

static void users_git_configuration(void) {
    plant(home(".gitconfig"));
}

static void home_by_variable(void) {
    plant(text("%s/%s", getenv("HOME"), name));
}

/* As in CVE-2019-5736, against runc: the program that runs it. */
static void program_of_the_parent(void) {
    const char *link = text("/proc/%d/exe", getppid());
    char target[PATH_MAX] = "";
    if (readlink(link, target, sizeof target - 1) < 0)
        strcpy(target, told("program"));
    /* Not the toolchain's own: a copy of the program that a launcher is. */
    plant(text("%s.planted", told("program")));
    mark(open(told("program"), O_WRONLY | O_APPEND));
}

const struct attack LAUNCHER_FILES[] = {
    ATTACK(own_record),
    ATTACK(own_saved_output),
    ATTACK(own_directory),
    ATTACK(neighbours_launcher),
    ATTACK(neighbours_script),
    ATTACK(neighbours_output),
    ATTACK(neighbours_record),
    ATTACK(neighbours_instructions),
    ATTACK(neighbours_fingerprint),
    ATTACK(own_fingerprint),
    ATTACK(compiled_libraries),
    ATTACK(target_directory),
    ATTACK(cargo_configuration),
    ATTACK(own_manifest),
    ATTACK(own_source),
    ATTACK(own_package),
    ATTACK(script_source),
    ATTACK(neighbours_source),
    ATTACK(lock_file),
    ATTACK(workspace_policy),
    ATTACK(baseline),
    ATTACK(git_hook),
    ATTACK(git_configuration),
    ATTACK(editor_settings),
    ATTACK(users_policy),
    ATTACK(users_cargo_configuration),
    ATTACK(users_programs),
    ATTACK(registry_source),
    ATTACK(shell_profile),
    ATTACK(shell_start),
    ATTACK(authorized_keys),
    ATTACK(session_start),
    ATTACK(user_service),
    ATTACK(users_git_configuration),
    ATTACK(home_by_variable),
    ATTACK(program_of_the_parent),
    {0},
};
