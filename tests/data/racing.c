/* Changes what a call is about to use while the call is made, and counts what was really used.

   usage: racing ATTACK ROUNDS BY

   BY says who makes the changes: a "thread", a process that shares a mapping ("mapping"), or one that
   shares all memory ("memory"). $OUT_DIR/truth gets a line for each kind of use, in the record's words:
   the kind, the outcome, how often, the path. Standard output gets "overtaken N": in how many rounds
   what was used is not what stood there just before the call. */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHECK(condition) \
    ((condition) ? (void)0 : (fprintf(stderr, "%s:%d: %s: %m\n", __FILE__, __LINE__, #condition), exit(99)))

static const char NAMES[] = "abcd";
enum { MANY = sizeof NAMES - 1 };

/* As in linux/openat2.h, which is not everywhere. */
struct how {
    uint64_t flags, mode, resolve;
};

static struct shared {
    volatile int stop;
    char path[PATH_MAX];
    volatile char *at; /* The letter of `path` that changes. */
    volatile struct how how;
} *shared;

static const char *out, *package;
static FILE *truth;
static long rounds, overtaken;

static char *format(const char *text, ...) {
    char *result;
    va_list arguments;
    va_start(arguments, text);
    CHECK(vasprintf(&result, text, arguments) >= 0);
    va_end(arguments);
    return result;
}

static void tell(const char *kind, const char *outcome, long count, const char *path) {
    if (count > 0)
        fprintf(truth, "%s %s %ld %s\n", kind, outcome, count, path);
}

static void write_file(const char *path) {
    int file = open(path, O_WRONLY | O_CREAT, 0600);
    CHECK(file >= 0);
    close(file);
}

/* Opens for reading, by the kernel: what the preloaded library knows of is not counted. */
static int ask(const char *path) {
    return syscall(SYS_openat, AT_FDCWD, path, O_RDONLY);
}

static ino_t inode(const char *path) {
    struct stat status;
    CHECK(stat(path, &status) == 0);
    return status.st_ino;
}

/* Who makes the changes. */

static void (*change)(unsigned long step);

static void changes(void) {
    for (unsigned long step = 0; !shared->stop; step++)
        change(step);
}

static void *thread(void *unused) {
    changes();
    return unused;
}

static int process(void *unused) {
    (void)unused;
    changes();
    syscall(SYS_exit_group, 0);
    return 0;
}

static pthread_t the_thread;
static pid_t the_process;

static void start(const char *by, void (*what)(unsigned long)) {
    change = what;
    shared->stop = 0;
    if (strcmp(by, "thread") == 0) {
        CHECK(pthread_create(&the_thread, NULL, thread, NULL) == 0);
    } else if (strcmp(by, "mapping") == 0) {
        the_process = fork();
        CHECK(the_process >= 0);
        if (the_process == 0)
            process(NULL);
    } else {
        static char stack[65536] __attribute__((aligned(16)));
        the_process = clone(process, stack + sizeof stack, CLONE_VM | SIGCHLD, NULL);
        CHECK(the_process > 0);
    }
}

static void stop(void) {
    shared->stop = 1;
    if (the_process > 0)
        CHECK(waitpid(the_process, NULL, 0) == the_process);
    else
        CHECK(pthread_join(the_thread, NULL) == 0);
}

/* What is changed. */

static void change_letter(unsigned long step) {
    const char *letters = "abcdxy";
    *shared->at = letters[step % strlen(letters)];
}

static void change_program(unsigned long step) {
    *shared->at = NAMES[step % MANY];
}

static char *links[2][MANY], *targets[2][MANY];

/* Two links with names of their own: one to a directory, one to a file. */
static void change_links(unsigned long step) {
    for (int which = 0; which < 2; which++) {
        char *made = links[which][0], *link = links[which][1];
        CHECK(symlink(targets[which][step % MANY], made) == 0);
        CHECK(rename(made, link) == 0);
    }
}

static char *current, *directories[MANY];

/* A directory has the name `current` for a while, then none has, then another. */
static void change_directories(unsigned long step) {
    CHECK(rename(directories[step % MANY], current) == 0);
    CHECK(rename(current, directories[step % MANY]) == 0);
}

static void change_flags(unsigned long step) {
    const int flags[] = {O_RDONLY, O_WRONLY, O_RDWR};
    shared->how.flags = flags[step % 3];
}

static void change_whether_to_create(unsigned long step) {
    shared->how.flags = step % 2 ? O_RDONLY : O_WRONLY | O_CREAT | O_EXCL;
}

/* The attacks. */

/* A letter of the path; two of the names lead nowhere and to where nothing may be read. */
static void attack_path(const char *by) {
    ino_t inodes[MANY];
    for (int which = 0; which < MANY; which++)
        inodes[which] = inode(format("%s/files/%c", package, NAMES[which]));
    ino_t hidden = inode(format("%s/files/y", package));
    long opened[MANY] = {0}, absent = 0, denied = 0, escaped = 0;
    snprintf(shared->path, sizeof shared->path, "%s/files/a", package);
    shared->at = shared->path + strlen(shared->path) - 1;
    start(by, change_letter);
    for (long round = 0; round < rounds; round++) {
        char before = *shared->at, used = 'y';
        int file = syscall(SYS_openat, AT_FDCWD, shared->path, O_RDONLY);
        if (file < 0 && errno == ENOENT) {
            absent++;
            used = 'x';
        } else if (file < 0) {
            CHECK(errno == EACCES);
            denied++;
        } else {
            struct stat status;
            CHECK(fstat(file, &status) == 0);
            escaped += status.st_ino == hidden;
            for (int which = 0; which < MANY; which++) {
                if (status.st_ino == inodes[which]) {
                    opened[which]++;
                    used = NAMES[which];
                }
            }
            close(file);
        }
        overtaken += used != before;
    }
    stop();
    for (int which = 0; which < MANY; which++)
        tell("read", "allowed", opened[which], format("%s/files/%c", package, NAMES[which]));
    tell("read", "not-found", absent, format("%s/files/x", package));
    tell("read", "denied", denied, getenv("T_HIDDEN"));
    tell("read", "allowed", escaped, getenv("T_HIDDEN"));
}

static void make_links(const char *directory, const char *below) {
    for (int which = 0; which < 2; which++) {
        links[which][0] = format("%s/new link %d", out, which);
        links[which][1] = format("%s/link %d", out, which);
        for (int target = 0; target < MANY; target++)
            targets[which][target] =
                format("%s/%c%s", directory, NAMES[target], which == 0 ? "" : below);
        CHECK(symlink(targets[which][0], links[which][1]) == 0);
    }
}

/* Symbolic links in the middle and at the end of a path. */
static void attack_links(const char *by) {
    ino_t inodes[MANY];
    long opened[MANY] = {0};
    for (int which = 0; which < MANY; which++) {
        CHECK(mkdir(format("%s/%c", out, NAMES[which]), 0700) == 0);
        char *file = format("%s/%c/f", out, NAMES[which]);
        write_file(file);
        inodes[which] = inode(file);
    }
    make_links(out, "/f");
    char *paths[2] = {format("%s/f", links[0][1]), links[1][1]};
    start(by, change_links);
    for (long round = 0; round < rounds; round++) {
        char before[PATH_MAX] = "";
        CHECK(readlink(links[round % 2][1], before, sizeof before - 1) > 0);
        int file = ask(paths[round % 2]);
        CHECK(file >= 0);
        struct stat status;
        CHECK(fstat(file, &status) == 0);
        for (int which = 0; which < MANY; which++) {
            if (status.st_ino == inodes[which]) {
                opened[which]++;
                overtaken += strcmp(before, targets[round % 2][which]) != 0;
            }
        }
        close(file);
    }
    stop();
    for (int which = 0; which < MANY; which++)
        tell("read", "allowed", opened[which], format("%s/%c/f", out, NAMES[which]));
}

/* The name of a directory that is part of the path. What was opened had that name; a look at the open
   file, afterwards, may find another. */
static void attack_directories(const char *by) {
    long opened = 0, absent = 0;
    current = format("%s/current", out);
    for (int which = 0; which < MANY; which++) {
        directories[which] = format("%s/%c", out, NAMES[which]);
        CHECK(mkdir(directories[which], 0700) == 0);
        write_file(format("%s/f", directories[which]));
    }
    char *path = format("%s/f", current);
    start(by, change_directories);
    for (long round = 0; round < rounds; round++) {
        int file = ask(path);
        if (file < 0) {
            CHECK(errno == ENOENT);
            absent++;
            continue;
        }
        opened++;
        char after[PATH_MAX] = "";
        CHECK(readlink(format("/proc/self/fd/%d", file), after, sizeof after - 1) > 0);
        overtaken += strcmp(after, path) != 0;
        close(file);
    }
    stop();
    tell("read", "allowed", opened, path);
    tell("read", "not-found", absent, path);
}

/* The flags of openat2(2), which are in memory: what for. */
static void attack_flags(const char *by) {
    long reads = 0, writes = 0;
    char *path = format("%s/file", out);
    write_file(path);
    start(by, change_flags);
    for (long round = 0; round < rounds; round++) {
        uint64_t before = shared->how.flags;
        int file = syscall(SYS_openat2, AT_FDCWD, path, &shared->how, sizeof shared->how);
        CHECK(file >= 0);
        int mode = fcntl(file, F_GETFL) & O_ACCMODE;
        reads += mode != O_WRONLY;
        writes += mode != O_RDONLY;
        overtaken += (uint64_t)mode != before;
        close(file);
    }
    stop();
    tell("read", "allowed", reads, path);
    /* It was made by this program, once. */
    tell("create", "allowed", 1, path);
    tell("write", "allowed", writes, path);
}

/* The same: whether to make the file. */
static void attack_creation(const char *by) {
    long created = 0, absent = 0;
    char *path = format("%s/made", out);
    start(by, change_whether_to_create);
    for (long round = 0; round < rounds; round++) {
        int creates = shared->how.flags != O_RDONLY;
        int file = syscall(SYS_openat2, AT_FDCWD, path, &shared->how, sizeof shared->how);
        overtaken += creates != (file >= 0);
        if (file < 0) {
            CHECK(errno == ENOENT);
            absent++;
            continue;
        }
        created++;
        close(file);
        CHECK(unlink(path) == 0);
    }
    stop();
    tell("read", "not-found", absent, path);
    tell("create", "allowed", created, path);
    tell("remove", "allowed", created, path);
}

static char *path_of_program, *path_of_first;

static void *execute(void *unused) {
    /* Where the kernel puts the path of a script for its interpreter, there is the path of another. */
    char *arguments[] = {"program", path_of_first, NULL}, *environment[] = {NULL};
    execve(path_of_program, arguments, environment);
    syscall(SYS_exit_group, 99);
    return unused;
}

/* Programs, each of which ends with a code or a signal of its own: `directory` has them. */
static void attack_programs(const char *by, const char *directory, int through_link, int in_thread) {
    long executed[MANY] = {0};
    path_of_first = format("%s/%s/a", package, directory);
    if (through_link) {
        make_links(format("%s/%s", package, directory), "");
        path_of_program = links[1][1];
        start(by, change_links);
    } else {
        strcpy(shared->path, path_of_first);
        shared->at = shared->path + strlen(shared->path) - 1;
        path_of_program = shared->path;
        start(by, change_program);
    }
    for (long round = 0; round < rounds; round++) {
        char before[PATH_MAX] = "";
        if (through_link)
            CHECK(readlink(path_of_program, before, sizeof before - 1) > 0);
        else
            strcpy(before, path_of_program);
        pid_t child = in_thread ? fork() : vfork();
        CHECK(child >= 0);
        if (child == 0) {
            pthread_t thread;
            if (in_thread && pthread_create(&thread, NULL, execute, NULL) == 0)
                for (;;)
                    pause();
            execute(NULL);
        }
        int status;
        CHECK(waitpid(child, &status, 0) == child);
        int code = (WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status)) - 10;
        CHECK(0 <= code && code < MANY);
        executed[code]++;
        overtaken += before[strlen(before) - 1] != NAMES[code];
    }
    stop();
    for (int which = 0; which < MANY; which++) {
        char *path = format("%s/%s/%c", package, directory, NAMES[which]);
        tell("execute", "allowed", executed[which], path);
    }
}

int main(int count, char **arguments) {
    CHECK(count == 4);
    const char *attack = arguments[1], *by = arguments[3];
    rounds = atol(arguments[2]);
    out = getenv("OUT_DIR"), package = getenv("CARGO_MANIFEST_DIR");
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(shared != MAP_FAILED);
    truth = fopen(format("%s/truth", out), "we");
    CHECK(truth);
    if (strcmp(attack, "path") == 0)
        attack_path(by);
    else if (strcmp(attack, "links") == 0)
        attack_links(by);
    else if (strcmp(attack, "directories") == 0)
        attack_directories(by);
    else if (strcmp(attack, "flags") == 0)
        attack_flags(by);
    else if (strcmp(attack, "creation") == 0)
        attack_creation(by);
    else if (strcmp(attack, "programs through links") == 0)
        attack_programs(by, "programs", 1, 0);
    else if (strcmp(attack, "programs in threads") == 0)
        attack_programs(by, "programs", 0, 1);
    else
        attack_programs(by, attack, 0, 0);
    printf("overtaken %ld\n", overtaken);
    CHECK(fclose(truth) == 0);
    return 0;
}
