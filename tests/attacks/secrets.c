/* Reads what a script is not to know, and leaves it in OUT_DIR for the test to find. */

#include "attack.h"
#include <sys/sendfile.h>

static void read_file(void) {
    loot_file(outside("secret"));
}

static void read_by_memory_map(void) {
    int file = open(outside("secret"), O_RDONLY);
    void *bytes = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, file, 0);
    struct stat status;
    fstat(file, &status);
    if (bytes != MAP_FAILED)
        loot(bytes, (size_t)status.st_size);
}

static void read_by_sendfile(void) {
    int file = open(outside("secret"), O_RDONLY), to = creat(out("loot"), 0644);
    sendfile(to, file, NULL, 4096);
}

static void read_by_copy_file_range(void) {
    int file = open(outside("secret"), O_RDONLY), to = creat(out("loot"), 0644);
    copy_file_range(file, NULL, to, NULL, 4096, 0);
}

static void read_a_path_descriptor(void) {
    loot_file(text("/proc/self/fd/%d", open(outside("secret"), O_PATH)));
}

static void read_through_a_link(void) {
    unlink(out("link"));
    symlink(outside("secret"), out("link"));
    loot_file(out("link"));
    unlink(out("link"));
}

static void read_through_the_root(void) {
    loot_file(text("/proc/self/root%s", outside("secret")));
}

static void read_through_the_parents_root(void) {
    loot_file(text("/proc/%d/root%s", getppid(), outside("secret")));
}

static void read_a_hard_link(void) {
    unlink(out("linked"));
    link(outside("secret"), out("linked"));
    loot_file(out("linked"));
}

static void read_by_moving(void) {
    rename(outside("secret"), out("moved"));
    loot_file(out("moved"));
}

static void read_by_a_program(void) {
    execl("/bin/sh", "sh", "-c", text("cat '%s' > '%s'", outside("secret"), out("loot")), NULL);
}

/* The compiler quotes the line in its message. */
static void read_by_a_compiler(void) {
    int source = open(out("x.c"), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    dprintf(source, "#include \"%s\"\n", outside("secret"));
    dup2(creat(out("loot"), 0644), 2);
    execlp("gcc", "gcc", "-fsyntax-only", out("x.c"), NULL);
}

static void read_by_an_assembler(void) {
    int source = open(out("x.s"), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    dprintf(source, ".incbin \"%s\"\n", outside("secret"));
    execlp("gcc", "gcc", "-c", out("x.s"), "-o", out("loot"), NULL);
}

static void run_a_program(void) {
    dup2(creat(out("loot"), 0644), 1);
    execl(outside("program"), "program", NULL);
}

static void run_a_program_by_descriptor(void) {
    dup2(creat(out("loot"), 0644), 1);
    char *words[] = {"program", NULL}, *none[] = {NULL};
    int file = open(outside("program"), O_PATH);
    syscall(SYS_execveat, file, "", words, none, AT_EMPTY_PATH);
    fexecve(file, words, none);
}

static void run_a_program_by_its_interpreter(void) {
    dup2(creat(out("loot"), 0644), 1);
    execl("/bin/sh", "sh", outside("program"), NULL);
}

static void list_directory(void) {
    dup2(creat(out("loot"), 0644), 1);
    execlp("ls", "ls", outside("directory"), NULL);
}

static void read_attribute(void) {
    char value[256];
    ssize_t length = getxattr(outside("attributed"), "user.mine", value, sizeof value);
    if (length > 0)
        loot(value, (size_t)length);
}

static void read_attribute_of_a_path_descriptor(void) {
    char value[256];
    const char *path = text("/proc/self/fd/%d", open(outside("attributed"), O_PATH));
    ssize_t length = getxattr(path, "user.mine", value, sizeof value);
    if (length > 0)
        loot(value, (size_t)length);
}

static void read_private_key(void) {
    loot_file(home(".ssh/id_ed25519"));
}

static void read_cargo_credentials(void) {
    loot_file(home(".cargo/credentials.toml"));
}

static void read_cargo_configuration(void) {
    loot_file(home(".cargo/config.toml"));
}

static void read_cloud_credentials(void) {
    loot_file(home(".aws/credentials"));
}

static void read_netrc(void) {
    loot_file(home(".netrc"));
}

static void read_container_credentials(void) {
    loot_file(home(".docker/config.json"));
}

static void read_git_credentials(void) {
    loot_file(home(".git-credentials"));
}

static void read_shell_history(void) {
    loot_file(home(".bash_history"));
}

static void read_browser_cookies(void) {
    loot_file(home(".mozilla/firefox/cookies.sqlite"));
}

static void read_a_neighbours_output(void) {
    execl("/bin/sh", "sh", "-c",
          text("cat '%s'/target/debug/build/victim-*/out/* > '%s'", workspace(""), out("loot")), NULL);
}

static void read_fingerprints(void) {
    execl("/bin/sh", "sh", "-c",
          text("cat '%s'/target/debug/.fingerprint/victim-*/run-build-script-*.json > '%s'",
               workspace(""), out("loot")), NULL);
}

static void read_variable(void) {
    const char *value = getenv("FORGE_TOKEN");
    if (value)
        loot(value, strlen(value));
}

static void read_all_variables(void) {
    loot_file("/proc/self/environ");
}

static void read_the_parents_variables(void) {
    loot_file(text("/proc/%d/environ", getppid()));
}

/* Everybody's above it, up to the first process. */
static void read_everybodys_variables(void) {
    for (int pid = getppid(); pid > 1;) {
        loot_file(text("/proc/%d/environ", pid));
        FILE *file = fopen(text("/proc/%d/status", pid), "r");
        char line[256];
        pid = 0;
        while (file && fgets(line, sizeof line, file))
            if (sscanf(line, "PPid: %d", &pid) == 1)
                break;
    }
}

static void read_the_parents_memory(void) {
    FILE *maps = fopen(text("/proc/%d/maps", getppid()), "r");
    int memory = open(text("/proc/%d/mem", getppid()), O_RDONLY);
    char line[512];
    while (maps && fgets(line, sizeof line, maps)) {
        unsigned long from, to;
        if (strstr(line, "[stack]") && sscanf(line, "%lx-%lx", &from, &to) == 2) {
            char *bytes = malloc(to - from);
            ssize_t length = pread(memory, bytes, to - from, (off_t)from);
            if (length > 0)
                loot(bytes, (size_t)length);
        }
    }
}

const struct attack SECRETS[] = {
    ATTACK(read_file),
    ATTACK(read_by_memory_map),
    ATTACK(read_by_sendfile),
    ATTACK(read_by_copy_file_range),
    ATTACK(read_a_path_descriptor),
    ATTACK(read_through_a_link),
    ATTACK(read_through_the_root),
    ATTACK(read_through_the_parents_root),
    ATTACK(read_a_hard_link),
    ATTACK(read_by_moving),
    ATTACK(read_by_a_program),
    ATTACK(read_by_a_compiler),
    ATTACK(read_by_an_assembler),
    ATTACK(run_a_program),
    ATTACK(run_a_program_by_descriptor),
    ATTACK(run_a_program_by_its_interpreter),
    ATTACK(list_directory),
    ATTACK(read_attribute),
    ATTACK(read_attribute_of_a_path_descriptor),
    ATTACK(read_private_key),
    ATTACK(read_cargo_credentials),
    ATTACK(read_cargo_configuration),
    ATTACK(read_cloud_credentials),
    ATTACK(read_netrc),
    ATTACK(read_container_credentials),
    ATTACK(read_git_credentials),
    ATTACK(read_shell_history),
    ATTACK(read_browser_cookies),
    ATTACK(read_a_neighbours_output),
    ATTACK(read_fingerprints),
    ATTACK(read_variable),
    ATTACK(read_all_variables),
    ATTACK(read_the_parents_variables),
    ATTACK(read_everybodys_variables),
    ATTACK(read_the_parents_memory),
    {0},
};
