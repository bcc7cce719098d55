// Looks for files, again and again, in the way that its first argument says.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define WAYS 10

// Looks for a file in one of these ways, and says the error, or 0.
static int look(int way, const char *path) {
    struct stat status;
    struct statx more;
    char space[PATH_MAX];
    int file;
    FILE *stream;
    errno = 0;
    switch (way) {
    case 0:
        if ((file = open(path, O_RDONLY)) >= 0) close(file), errno = 0;
        break;
    case 1:
        if ((stream = fopen(path, "r"))) fclose(stream), errno = 0;
        break;
    case 2: if (!stat(path, &status)) errno = 0; break;
    case 3: if (!lstat(path, &status)) errno = 0; break;
    case 4: if (!access(path, R_OK)) errno = 0; break;
    case 5: if (realpath(path, space)) errno = 0; break;
    case 6: if (!fstatat(AT_FDCWD, path, &status, 0)) errno = 0; break;
    case 7: if (!fstatat(AT_FDCWD, path, &status, AT_SYMLINK_NOFOLLOW)) errno = 0; break;
    case 8: if (!statx(AT_FDCWD, path, 0, STATX_BASIC_STATS, &more)) errno = 0; break;
    case 9: if (!faccessat(AT_FDCWD, path, F_OK, AT_EACCESS)) errno = 0; break;
    }
    return errno;
}

// So often that what is not there is known.
static void learn(const char *path) {
    for (int round = 0; round < 300; round++)
        if (look(round % WAYS, path) != ENOENT) printf("%s: %s\n", path, strerror(errno)), exit(1);
}

static void all(const char *directory) {
    char path[PATH_MAX], there[PATH_MAX], space[PATH_MAX];
    snprintf(there, sizeof there, "%s/there", directory);
    for (int round = 0; round < 100; round++) {
        for (int number = 0; number < 20; number++) {
            snprintf(path, sizeof path, "%s/none/%d", directory, number);
            for (int way = 0; way < WAYS; way++)
                // As a whole, and from a directory; what has a dot on its way means the same.
                if (look(way, path) != ENOENT || look(way, path + strlen(directory) + 1) != ENOENT)
                    printf("%s in way %d: %s\n", path, way, strerror(errno));
        }
        char *made = realpath(there, NULL);
        if (!made || strcmp(made, there)) puts("realpath of what is there");
        free(made);
        made = realpath("there", space);
        if (made != space || strcmp(made, there)) puts("realpath of what is there, relative");
        if (look(0, there) || look(2, "there")) puts("what is there");
    }
}

// What another process is to make, or to remove, while this one looks.
static void changes(char **paths) {
    for (char **path = paths; *path; path++)
        if (!strstr(*path, "goes")) learn(*path);
    for (char **path = paths; *path; path++)
        for (int round = 0; strstr(*path, "goes") && round < 300; round++)
            if (look(5, *path)) puts("there from the start");
    puts("ready"), fflush(stdout);
    for (char **path = paths; *path; path++)
        for (int way = 0; way < WAYS; way++) {
            int wanted = strstr(*path, "goes") ? ENOENT : 0;
            while (look(way, *path) != wanted) usleep(1000);
        }
    puts("seen");
}

// Whether a file is there as soon as something else is made.
static void another_way(int how, int way) {
    struct {unsigned long long flags, mode, resolve;} beneath = {O_WRONLY | O_CREAT, 0644, 8};
    mkdir("e", 0755);
    if (how != 3) close(creat("e/own", 0644));
    if (look(way, "d/own") != ENOENT || look(way, "own") != ENOENT) puts("too early, in another way");
    // Its directory gets another name, by a link or altogether.
    if (how == 0) rename("e", "d");
    if (how == 1) symlink("e", "d");
    // It is what a link leads to.
    if (how == 2) symlink("e", "d"), symlink("../own", "e/link"), close(creat("d/link", 0644));
    if (how == 3) rename("e", "d"), close(syscall(437, AT_FDCWD, "d/own", &beneath, sizeof beneath));
    if (look(way, "d/own")) printf("not there, by %d in way %d\n", how, way);
    if (how == 2 && look(way, "own")) puts("not where the link leads to");
    unlink("d/own"), unlink("d/link"), unlink("own"), unlink("d"), rmdir("d"), rmdir("e");
}

// What this process makes and removes itself is there at once, and gone at once.
static void own(void) {
    for (int round = 0; round < 200; round++) {
        for (int way = 0; way < WAYS; way++) {
            if (look(way, "own") != ENOENT || look(way, "d/own") != ENOENT) puts("too early");
            if (round % 3 == 0) close(creat("own", 0644));
            if (round % 3 == 1) close(creat("other", 0644)), rename("other", "own");
            if (round % 3 == 2) symlink("/dev/null", "own");
            mkdir("d", 0755), link("own", "d/own");
            for (int again = 0; again < WAYS; again++)
                if (look(again, "own")) puts("not there");
            if (look(3, "d/own")) puts("not in the directory");
            unlink("d/own"), rmdir("d"), unlink("own");
            another_way(round % 4, way);
        }
    }
}

// What fails by another name leaves this one as it was.
static void mistaken(const char *there, const char *absent) {
    char inside[PATH_MAX];
    learn(absent);
    for (int round = 0; round < 50; round++) look(5, there);
    snprintf(inside, sizeof inside, "../..%s", there);
    struct {unsigned long long flags, mode, resolve;} how = {O_RDONLY, 0, 0x10};
    int here = open(".", O_RDONLY | O_DIRECTORY);
    for (int round = 0; round < 50; round++)
        if (syscall(437, here, inside, &how, sizeof how) >= 0) puts("opened in a root of its own");
    for (int way = 0; way < WAYS; way++)
        if (look(way, there)) printf("%s in way %d: %s\n", there, way, strerror(errno));
}

// What a link leads to that nobody may change, and that this process makes.
static void led(const char *path) {
    for (int round = 0; round < 100; round++) {
        learn(path);
        if (look(5, "") != ENOENT) puts("an empty path");
        mkdir("later", 0755), close(creat("later/none", 0644));
        for (int way = 0; way < WAYS; way++)
            if (look(way, path)) printf("%s in way %d: %s\n", path, way, strerror(errno));
        unlink("later/none"), rmdir("later");
    }
}

static int cleaned, waiting[2];
static void clean(int *value) { cleaned += *value; }

static void *wait_for_ever(void *fifo) {
    int value __attribute__((cleanup(clean))) = 1;
    write(waiting[1], "x", 1);
    close(open(fifo, O_RDONLY));
    return NULL;
}

// A thread that waits in open(2) is cancelled: what it leaves is cleaned up.
static void cancelled(const char *absent) {
    learn(absent);
    for (int round = 0; round < 20; round++) {
        pthread_t thread;
        void *result;
        char byte;
        if (pipe(waiting) || mkfifo("fifo", 0600)) puts("no fifo");
        pthread_create(&thread, NULL, wait_for_ever, "fifo");
        read(waiting[0], &byte, 1);
        // Sooner or later in the call.
        usleep(1000 * (round % 3));
        pthread_cancel(thread);
        pthread_join(thread, &result);
        if (result != PTHREAD_CANCELED) puts("not cancelled");
        close(waiting[0]), close(waiting[1]), unlink("fifo");
    }
    if (cleaned != 20) printf("cleaned %d times\n", cleaned);
}

// How much of its stack a signal handler uses that looks for a file.
static const char *looked_for;
static void handler(int signal) { close(open(looked_for, O_RDONLY)), access(looked_for, F_OK); }

static void small_stack(const char *absent) {
    static char space[1 << 16];
    learn(absent), looked_for = absent;
    // The loader looks for a function when it is called first, and keeps every register meanwhile.
    handler(0);
    memset(space, 0x5a, sizeof space);
    stack_t stack = {.ss_sp = space, .ss_size = sizeof space};
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_ONSTACK};
    sigaltstack(&stack, NULL), sigaction(SIGUSR1, &action, NULL);
    raise(SIGUSR1);
    unsigned unused = 0;
    while (unused < sizeof space && space[unused] == 0x5a) unused++;
    // The kernel's frame is most of it.
    unsigned used = sizeof space - unused, frame = getauxval(AT_MINSIGSTKSZ);
    if (used > frame + 1536) printf("%u bytes beside the %u of the frame\n", used - frame, frame);
}

// The table itself: it can be read, and nothing else.
static void guard(const char *absent, const char *there) {
    learn(absent);
    int table = open("/dev/null/cargo-brig/known", O_RDONLY);
    if (table < 0) puts("no table"), exit(1);
    char *map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, table, 0);
    if (map == MAP_FAILED || map[0]) puts("closed from the start");
    if (!mprotect(map, 4096, PROT_READ | PROT_WRITE)) puts("writable"), map[0] = 1;
    if (mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, table, 0) != MAP_FAILED) puts("mapped");
    if (pwrite(table, "x", 1, 0) >= 0) puts("written");
    if (!ftruncate(table, 0)) puts("cut off");
    if (!fallocate(table, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096)) puts("a hole");
    if (fcntl(table, F_ADD_SEALS, F_SEAL_WRITE) >= 0) puts("sealed");
    char name[64];
    snprintf(name, sizeof name, "/proc/self/fd/%d", table);
    if (open(name, O_RDWR) >= 0) puts("opened for writing");
    char *none[] = {NULL};
    if (!fchmod(table, 0700)) puts("executable");
    execve(name, none, none);
    if (errno != EACCES) printf("execve: %s\n", strerror(errno));
    if (look(0, absent) != ENOENT || look(0, there)) puts("not as before");
}

// Allows this process next to nothing but to look for files, and to open them or not.
static void restrict_calls(int way, int opens) {
    static const int allowed[] = {
        SYS_openat, SYS_mmap, SYS_close, SYS_newfstatat, SYS_fstat, SYS_write, SYS_exit_group,
        SYS_faccessat, SYS_readlinkat, SYS_clone, SYS_set_robust_list, SYS_wait4,
#ifdef SYS_open
        SYS_open, SYS_stat, SYS_lstat, SYS_access, SYS_readlink,
#endif
    };
    struct sock_filter code[64];
    int length = 0;
    code[length++] = (struct sock_filter)BPF_STMT(
        BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (unsigned i = opens ? 0 : 2; i < sizeof allowed / sizeof *allowed; i++) {
        code[length++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, allowed[i], 0, 1);
        code[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    }
    code[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
    struct sock_fprog program = {length, code};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    long result = way ? prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)
                      : syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program);
    if (result) puts("no filter");
}

static void filtered(const char *absent, int way, int before, int opens) {
    setvbuf(stdout, NULL, _IONBF, 0);
    if (before) learn(absent), learn("none/relative");
    getenv("BEFORE");
    restrict_calls(way, opens);
    for (int round = 0; round < 300; round++)
        for (int looked = 0; looked < 5; looked++)
            if (looked != 1 && (looked || opens) && (look(looked, absent) != ENOENT || look(looked, "none/x") != ENOENT))
                puts("otherwise");
    // The library has calls of its own for these.
    if (look(5, absent) != ENOENT || look(5, "/usr")) puts("no real path");
    pid_t child = fork();
    if (!child) getenv("IN_CHILD"), _exit(0);
    int status = 1;
    if (child < 0 || waitpid(child, &status, 0) != child || status) puts("a dead child");
    puts("alive");
}

// Calls that fail for other reasons, or make something.
static void corners(const char *absent) {
    learn(absent);
    char below[PATH_MAX], lengthy[PATH_MAX + 300];
    snprintf(below, sizeof below, "%s/..", absent);
    memset(lengthy, 'x', sizeof lengthy), lengthy[sizeof lengthy - 1] = 0, lengthy[0] = '/';
    struct stat status;
    FILE *stream;
    char *null = NULL;
    int file;
    int said;
#define SAY(call) errno = 0, said = (int)(call), printf("%s: %d %s\n", #call, said, strerror(errno))
    struct statx more;
    char *nowhere = (char *)-4096;
    for (int round = 0; round < 100; round++) look(2, "/usr"), look(8, "/usr");
    SAY(stat("/usr", (void *)nowhere));
    SAY(stat("/usr", (void *)corners));
    SAY(fstatat(AT_FDCWD, "/usr", (void *)((char *)corners - 64), 0));
    SAY(statx(AT_FDCWD, "/usr", 0, STATX_ALL, (void *)nowhere));
    SAY(statx(AT_FDCWD, "/usr", 0, ~0x80000000u, &more));
    SAY(statx(AT_FDCWD, "/usr", 0x8000, STATX_ALL, &more));
    SAY(fstatat(AT_FDCWD, "/usr", &status, 0x4000));
    SAY(fstatat(-5, absent, &status, 0));
    SAY(fstatat(-5, "none", &status, 0));
    SAY(stat(nowhere, &status));
    SAY(open(nowhere, O_RDONLY));
    SAY(openat(-5, nowhere, O_RDONLY));
    SAY(statx(-5, nowhere, 0, STATX_ALL, &more));
    SAY(faccessat(AT_FDCWD, nowhere, R_OK, 0));
    SAY(access(absent, 99));
    SAY(access(null, 0));
    SAY(stat(null, &status));
    SAY(stat("", &status));
    SAY(lstat(below, &status));
    SAY(stat(lengthy, &status));
    SAY(open(lengthy + 200, O_RDONLY));
    SAY(open(absent, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    SAY(open(absent, O_PATH));
    SAY(open(absent, O_WRONLY));
    SAY(open(absent, O_RDWR | O_TRUNC | O_CLOEXEC));
    SAY(open(absent, O_TMPFILE | O_RDONLY, 0600));
    SAY(open(absent, O_TMPFILE | O_RDWR, 0600));
    SAY(fopen(absent, "q") != NULL);
    SAY(fopen(absent, "r+") != NULL);
    SAY(fopen(absent, "rb,ccs=UTF-8") != NULL);
    SAY(realpath(null, below) != NULL);
    SAY((file = open("made", O_CREAT | O_EXCL | O_RDWR, 0640)) >= 0);
    SAY(fstat(file, &status));
    printf("%o\n", status.st_mode), close(file);
    SAY((stream = fopen("made", "rx")) != NULL);
    if (stream) fclose(stream);
    SAY((stream = fopen("written", "w+")) != NULL);
    if (stream) fclose(stream);
    SAY(stat("written", &status));
    printf("%o %ld\n", status.st_mode, (long)status.st_size);
    // What realpath leaves where it fails, and of a path that lies where its answer goes.
    char real[PATH_MAX] = "", *names[] = {below, (char *)absent, "made", "none/x"};
    for (unsigned index = 0; index < sizeof names / sizeof *names; index++) {
        // Where it succeeds, errno means nothing.
        SAY(realpath(names[index], real) == real && !(errno = 0));
        puts(real);
    }
    strcpy(real, "made");
    SAY(realpath(real, real) == real && !(errno = 0)), puts(real);
    // What is done before a program is started is done once.
    char *none[] = {NULL};
    pid_t child;
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, "once", O_CREAT | O_EXCL | O_WRONLY, 0600);
    setenv("PATH", "/usr/local/sbin", 1);
    for (int round = 0; round < 60; round++) posix_spawnp(&child, "no-such-program", NULL, NULL, none, none);
    setenv("PATH", "/usr/local/sbin:/usr/local/bin", 1);
    SAY(posix_spawnp(&child, "no-such-program", &actions, NULL, none, none));
}

// Starts a program by its name in one of three ways, and says how it ended.
static int start(int way, const char *name) {
    extern char **environ;
    char *arguments[] = {(char *)name, "argument", NULL};
    pid_t child;
    int status;
    if (way == 0) {
        int failed = posix_spawnp(&child, name, NULL, NULL, arguments, environ);
        if (failed) return -failed;
    } else if (!(child = fork())) {
        if (way == 1) execvp(name, arguments);
        else execvpe(name, arguments, environ);
        _exit(errno);
    }
    waitpid(child, &status, 0);
    return WEXITSTATUS(status);
}

// Starts each of these programs often, and says how the first and the last of them ended; the last once more
// when another process has made something that comes before it.
static void starts(char **names) {
    char *last = NULL;
    for (char **name = names; *name; last = *name++)
        for (int way = 0; way < 3; way++) {
            int first = start(way, *name), now = first;
            for (int round = 0; round < 40; round++)
                if ((now = start(way, *name)) != first) break;
            printf("%s in way %d: %d, %d\n", *name, way, first, now);
        }
    puts("ready"), fflush(stdout);
    for (int way = 0; way < 3; way++) while (start(way, last) != 9) usleep(1000);
    puts("seen");
}

// Whether what is known of a file is what the kernel says, all of it.
static void status(char **paths) {
    for (char **path = paths; *path; path++)
        for (int round = 0; round < 100; round++) {
            struct stat known[4], said;
            memset(known, round, sizeof known), memset(&said, ~round, sizeof said);
            int results[] = {stat(*path, known), lstat(*path, known + 1), fstatat(AT_FDCWD, *path, known + 2, 0),
                             fstatat(AT_FDCWD, *path, known + 3, AT_SYMLINK_NOFOLLOW)};
            for (int way = 0; way < 4; way++) {
                int flags = way % 2 ? AT_SYMLINK_NOFOLLOW : 0;
                if (results[way] != syscall(SYS_newfstatat, AT_FDCWD, *path, &said, flags)) puts("another result");
                if (!results[way] && memcmp(known + way, &said, sizeof said)) printf("%s: another status in way %d\n", *path, way);
            }
            struct statx more, all;
            for (int way = 0; way < 3; way++) {
                unsigned mask = way ? STATX_ALL : STATX_BASIC_STATS;
                int flags = way == 2 ? AT_SYMLINK_NOFOLLOW : 0;
                memset(&more, round, sizeof more), memset(&all, ~round, sizeof all);
                int result = statx(AT_FDCWD, *path, flags, mask, &more);
                if (result != syscall(SYS_statx, AT_FDCWD, *path, flags, STATX_ALL, &all)) puts("another result of statx");
                // More may be told than was asked for.
                if (mask == STATX_BASIC_STATS) more.stx_mask = all.stx_mask, more.stx_btime = all.stx_btime;
                if (!result && memcmp(&more, &all, sizeof all)) printf("%s: another statx in way %d\n", *path, way);
            }
            for (int mode = 0; mode < 8; mode++)
                for (int way = 0; way < 3; way++) {
                    errno = 0;
                    int result = way == 0 ? access(*path, mode) : way == 1 ? eaccess(*path, mode)
                                                                         : faccessat(AT_FDCWD, *path, mode, 0);
                    int error = errno;
                    errno = 0;
                    if (result != syscall(SYS_faccessat, AT_FDCWD, *path, mode) || error != errno)
                        printf("%s: another access %d in way %d\n", *path, mode, way);
                }
        }
}

int main(int count, char **arguments) {
    const char *how = arguments[1];
    if (!strcmp(how, "all") && count == 3) {
        if (chdir(arguments[2])) return 1;
        all(arguments[2]);
    } else if (!strcmp(how, "changes")) {
        changes(arguments + 2);
    } else if (!strcmp(how, "starts")) {
        starts(arguments + 2);
    } else if (!strcmp(how, "status")) {
        status(arguments + 2);
    } else if (!strcmp(how, "guard") && count == 4) {
        guard(arguments[2], arguments[3]);
    } else if (!strcmp(how, "filtered") && count == 6) {
        int ways[3];
        for (int index = 0; index < 3; index++) ways[index] = atoi(arguments[3 + index]);
        filtered(arguments[2], ways[0], ways[1], ways[2]);
    } else {
        if (chdir(getenv("OUT_DIR"))) return 1;
        if (!strcmp(how, "own")) own();
        else if (!strcmp(how, "led") && count == 3) led(arguments[2]);
        else if (!strcmp(how, "mistaken") && count == 4) mistaken(arguments[2], arguments[3]);
        else if (!strcmp(how, "cancelled") && count == 3) cancelled(arguments[2]);
        else if (!strcmp(how, "stack") && count == 3) small_stack(arguments[2]);
        else if (!strcmp(how, "corners") && count == 3) corners(arguments[2]);
        else return 1;
    }
    return 0;
}
