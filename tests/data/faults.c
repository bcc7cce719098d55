/* Starts a program as Cargo starts a launcher, and lets one of the system calls fail that it makes, or that
   the warden makes, or that the warden's child makes until it is the script; or kills one of them there; or
   kills who has started it all; or sets the clock, as far as these can see. Then waits until nothing is left of what was started, and says how all this
   went. The script itself runs as it would without this (ptrace(2), seccomp(2)).

   faults REPORT WHO CALLS FAULT NUMBER PROGRAM ARGUMENT...

   WHO is launcher, warden or child; CALLS is a class of calls (see `classes`); FAULT is kill, orphan, back or
   ahead (a day, from then on) or an errno; NUMBER says which of these calls, from 1; none with 0. The report says, a line each:
   calls WHO CLASS COUNT, of all that were made; hit CALL, if the fault was injected; ended STATUS, of the
   program (wait(2)); hung, if it had to be ended; survivor COMMAND, of each process that was left. */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Seconds: more than anything here takes. */
#define LONG 40
#define DAY 86400L

enum { LAUNCHER, WARDEN, CHILD, ROLES };
static const char *const roles[] = {"launcher", "warden", "child"};

enum { ANY, SPACE, DESCRIPTORS, MEMORY, INTERRUPTIBLE, CLOCK, CLASSES };
static const char *const classes[] = {"any", "space", "descriptors", "memory", "interruptible", "clock"};

enum { KILL = 0, ORPHAN = -1, BACK = -2, AHEAD = -3 };
static const char *const faults[] = {"kill", "orphan", "back", "ahead"};

struct task {
    pid_t id, group;
    int role; /* -1: not known yet */
    unsigned long call; /* that is under way */
    int fails; /* by this errno */
    unsigned long address; /* that it asked for, where it gets what it has */
    unsigned long time; /* where it gets the time of the clock that can be set */
    int waits; /* it has stopped before it was known */
};
static struct task tasks[256];

static volatile sig_atomic_t is_late;
static void late(int signal) {
    (void)signal;
    is_late = 1;
}

static struct task *task_of(pid_t id) {
    struct task *none = NULL;
    for (struct task *task = tasks; task < tasks + sizeof tasks / sizeof *tasks; task++) {
        if (task->id == id) return task;
        if (task->id == 0 && !none) none = task;
    }
    if (!none) abort();
    *none = (struct task){.id = id, .group = id, .role = -1};
    return none;
}

/* Whether a descriptor is a file on a disk. */
static int is_file(pid_t id, unsigned long descriptor) {
    char name[64], path[4096];
    snprintf(name, sizeof name, "/proc/%d/fd/%d", id, (int)descriptor);
    ssize_t length = readlink(name, path, sizeof path - 1);
    if (length <= 0) return 0;
    path[length] = 0;
    return path[0] == '/' && strncmp(path, "/dev/", 5) != 0 && strncmp(path, "/proc/", 6) != 0;
}

/* Whether a clock is one that can be set. */
static int is_set(unsigned long clock) {
    return clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE;
}

/* Whether a call is of a class; `heap` is where the caller's ends. */
static int is_of(int class, pid_t id, unsigned long heap, const struct __ptrace_syscall_info *info) {
    unsigned long call = info->entry.nr;
    const uint64_t *words = info->entry.args;
    int makes_descriptor = 0, makes_process = 0;
    switch (call) {
#ifdef SYS_open
    case SYS_open:
    case SYS_pipe:
    case SYS_dup2:
#endif
    case SYS_openat: case SYS_openat2: case SYS_socket: case SYS_socketpair: case SYS_pipe2: case SYS_dup:
    case SYS_dup3: case SYS_epoll_create1: case SYS_eventfd2: case SYS_signalfd4: case SYS_pidfd_open:
    case SYS_memfd_create: case SYS_landlock_create_ruleset: case SYS_seccomp:
        makes_descriptor = 1;
        break;
    case SYS_fcntl:
        makes_descriptor = words[1] == F_DUPFD || words[1] == F_DUPFD_CLOEXEC;
        break;
#ifdef SYS_fork
    case SYS_fork:
    case SYS_vfork:
#endif
    case SYS_clone: case SYS_clone3:
        makes_process = 1;
        break;
    }
    switch (class) {
    case ANY:
        return 1;
    case DESCRIPTORS:
        return makes_descriptor;
    case MEMORY:
        switch (call) {
        case SYS_brk:
            return words[0] > heap;
        case SYS_mmap: case SYS_mremap: case SYS_mprotect: case SYS_landlock_add_rule:
        case SYS_landlock_restrict_self: case SYS_execve: case SYS_epoll_ctl: case SYS_sendmsg:
        case SYS_ppoll: case SYS_setsid: case SYS_capset: case SYS_unshare:
#ifdef SYS_poll
        case SYS_poll:
#endif
            return 1;
        }
        return makes_descriptor || makes_process;
    case SPACE:
        switch (call) {
#ifdef SYS_open
        case SYS_open:
            return (words[1] & O_CREAT) != 0;
        case SYS_mkdir: case SYS_rename: case SYS_link: case SYS_symlink:
#endif
        case SYS_mkdirat: case SYS_renameat: case SYS_renameat2: case SYS_linkat: case SYS_symlinkat:
            return 1;
        case SYS_openat:
            return (words[2] & O_CREAT) != 0;
        case SYS_write: case SYS_writev: case SYS_pwrite64: case SYS_ftruncate: case SYS_fallocate:
        case SYS_close: case SYS_fsync: case SYS_fdatasync:
            return call != SYS_close && is_file(id, words[0]);
        case SYS_sendfile:
            return is_file(id, words[0]);
        case SYS_copy_file_range: case SYS_splice:
            return is_file(id, words[2]);
        }
        return 0;
    case INTERRUPTIBLE:
        switch (call) {
#ifdef SYS_open
        case SYS_open: case SYS_poll:
#endif
        case SYS_openat: case SYS_openat2: case SYS_read: case SYS_pread64: case SYS_readv: case SYS_write:
        case SYS_writev: case SYS_pwrite64: case SYS_ppoll: case SYS_epoll_pwait: case SYS_wait4:
        case SYS_waitid: case SYS_recvmsg: case SYS_sendmsg: case SYS_copy_file_range: case SYS_sendfile:
        case SYS_fallocate: case SYS_ftruncate: case SYS_getrandom: case SYS_flock: case SYS_statfs:
        case SYS_fstatfs: case SYS_ioctl:
            return 1;
        }
        return 0;
    case CLOCK:
        return call == SYS_clock_gettime && is_set(words[0]);
    }
    return 0;
}

/* Makes the call that is about to begin none. */
static void skip(pid_t id) {
#if defined __x86_64__
    ptrace(PTRACE_POKEUSER, id, 15 * 8 /* orig_rax */, -1L);
#elif defined __aarch64__
    int none = -1;
    struct iovec vector = {&none, sizeof none};
    ptrace(PTRACE_SETREGSET, id, NT_ARM_SYSTEM_CALL, &vector);
#endif
}

/* Changes the first argument of the call that is about to begin. */
static void argument(pid_t id, long value) {
#if defined __x86_64__
    ptrace(PTRACE_POKEUSER, id, 14 * 8 /* rdi */, value);
#elif defined __aarch64__
    unsigned long registers[34];
    struct iovec vector = {registers, sizeof registers};
    ptrace(PTRACE_GETREGSET, id, NT_PRSTATUS, &vector);
    registers[0] = value;
    ptrace(PTRACE_SETREGSET, id, NT_PRSTATUS, &vector);
#endif
}

/* Has the call that is about to end return this. */
static void returns(pid_t id, long result) {
#if defined __x86_64__
    ptrace(PTRACE_POKEUSER, id, 10 * 8 /* rax */, result);
#elif defined __aarch64__
    unsigned long registers[34];
    struct iovec vector = {registers, sizeof registers};
    ptrace(PTRACE_GETREGSET, id, NT_PRSTATUS, &vector);
    registers[0] = result;
    ptrace(PTRACE_SETREGSET, id, NT_PRSTATUS, &vector);
#endif
}

static long counts[ROLES][CLASSES];
static unsigned long heaps[ROLES];
static int role, class, fault;
static long number;
static long set; /* by so many seconds the clock was */
static pid_t parent;
static FILE *report;

static void hit(struct task *task, const struct __ptrace_syscall_info *info) {
    fprintf(report, "hit %lu(%#lx, %#lx)\n", info->entry.nr, info->entry.args[0], info->entry.args[1]);
    if (fault > 0 && info->entry.nr == SYS_brk) {
        /* It does not fail, but leaves all as it is. */
        task->address = info->entry.args[0];
        argument(task->id, 0);
    } else if (fault > 0) {
        skip(task->id);
        task->fails = fault;
    } else if (fault == KILL) {
        kill(task->group, SIGKILL);
    } else if (fault == ORPHAN) {
        kill(parent, SIGKILL);
    } else {
        set = fault == BACK ? -DAY : DAY;
    }
}

/* Has a program that begins ask the kernel for the time: the vDSO is taken out of what it is told (getauxval(3)). */
static void without_vdso(pid_t id) {
    struct __ptrace_syscall_info info;
    if (ptrace(PTRACE_GET_SYSCALL_INFO, id, sizeof info, &info) <= 0) return;
    unsigned long *word = (unsigned long *)info.stack_pointer;
    word += 1 + ptrace(PTRACE_PEEKDATA, id, word, 0) + 1;
    while (ptrace(PTRACE_PEEKDATA, id, word, 0)) word++;
    for (word++; ptrace(PTRACE_PEEKDATA, id, word, 0) != AT_NULL; word += 2)
        if (ptrace(PTRACE_PEEKDATA, id, word, 0) == AT_SYSINFO_EHDR)
            ptrace(PTRACE_POKEDATA, id, word, (unsigned long)AT_IGNORE);
}

static void call_stops(struct task *task) {
    struct __ptrace_syscall_info info;
    if (ptrace(PTRACE_GET_SYSCALL_INFO, task->id, sizeof info, &info) <= 0) return;
    if (info.op == PTRACE_SYSCALL_INFO_EXIT && task->call == SYS_brk && task->role >= 0)
        heaps[task->role] = info.exit.rval;
#if defined __x86_64__
    /* The caller still has it there; elsewhere the result takes its place. */
    if (info.op == PTRACE_SYSCALL_INFO_EXIT && task->address) argument(task->id, task->address);
#endif
    if (info.op == PTRACE_SYSCALL_INFO_EXIT) task->address = 0;
    if (info.op == PTRACE_SYSCALL_INFO_EXIT && task->fails) {
        returns(task->id, -task->fails);
        task->fails = 0;
    }
    if (info.op == PTRACE_SYSCALL_INFO_EXIT && task->time && info.exit.rval == 0) {
        long seconds = ptrace(PTRACE_PEEKDATA, task->id, task->time, 0);
        ptrace(PTRACE_POKEDATA, task->id, task->time, seconds + set);
    }
    task->time = 0;
    if (info.op != PTRACE_SYSCALL_INFO_ENTRY || task->role < 0) return;
    task->call = info.entry.nr;
    if (info.entry.nr == SYS_clock_gettime && is_set(info.entry.args[0])) task->time = info.entry.args[1];
    for (int other = 0; other < CLASSES; other++) {
        if (!is_of(other, task->id, heaps[task->role], &info)) continue;
        counts[task->role][other]++;
        if (task->role == role && other == class && counts[role][class] == number) hit(task, &info);
    }
}

/* Says who is left, and ends them. */
static void end_survivors(const char *what) {
    char list[64], path[64], text[65536], name[256];
    for (;;) {
        snprintf(list, sizeof list, "/proc/self/task/%d/children", getpid());
        FILE *children = fopen(list, "r");
        size_t length = children ? fread(text, 1, sizeof text - 1, children) : 0;
        if (children) fclose(children);
        text[length] = 0;
        for (char *word = strtok(text, " "); word; word = strtok(NULL, " ")) {
            snprintf(path, sizeof path, "/proc/%s/comm", word);
            FILE *comm = fopen(path, "r");
            if (comm && fgets(name, sizeof name, comm)) fprintf(report, "%s %s", what, name);
            if (comm) fclose(comm);
            kill(atoi(word), SIGKILL);
        }
        for (struct task *task = tasks; task < tasks + sizeof tasks / sizeof *tasks; task++)
            if (task->id) kill(task->group, SIGKILL);
        int status;
        if (waitpid(-1, &status, __WALL) < 0 && errno == ECHILD) return;
    }
}

static int number_of(const char *const *names, int count, const char *name) {
    for (int at = 0; at < count; at++)
        if (strcmp(names[at], name) == 0) return at;
    fprintf(stderr, "what is %s?\n", name);
    exit(2);
}

int main(int argc, char **words) {
    if (argc < 7) return 2;
    report = fopen(words[1], "we");
    if (report) setvbuf(report, NULL, _IOLBF, 0);
    role = number_of(roles, ROLES, words[2]);
    class = number_of(classes, CLASSES, words[3]);
    fault = atoi(words[4]);
    for (int named = 0; named < 4; named++)
        if (strcmp(words[4], faults[named]) == 0) fault = -named;
    number = atol(words[5]);
    int gate[2], told[2];
    if (!report || prctl(PR_SET_CHILD_SUBREAPER, 1) || pipe2(gate, O_CLOEXEC) || pipe2(told, O_CLOEXEC)) {
        perror("faults");
        return 2;
    }
    parent = fork();
    if (parent == 0) {
        close(gate[1]);
        int printed[2];
        if (pipe2(printed, O_CLOEXEC)) _exit(127);
        pid_t program = fork();
        if (program == 0) {
            char none;
            if (dup2(printed[1], 1) != 1 || read(gate[0], &none, 1) != 0) _exit(127);
            execv(words[6], words + 6);
            _exit(127);
        }
        /* As Cargo does, of whose scripts nobody else reads the output. */
        close(printed[1]);
        if (write(told[1], &program, sizeof program) != sizeof program) _exit(127);
        char text[4096];
        ssize_t length;
        while ((length = read(printed[0], text, sizeof text)) > 0)
            if (write(1, text, length) != length) _exit(127);
        waitpid(program, NULL, 0);
        _exit(0);
    }
    pid_t program;
    if (read(told[0], &program, sizeof program) != sizeof program) return 2;
    close(1);
    close(2);
    struct sigaction action = {.sa_handler = late};
    sigaction(SIGALRM, &action, NULL);
    alarm(LONG);
    long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
                   PTRACE_O_TRACEEXEC;
    if (ptrace(PTRACE_SEIZE, program, 0, options)) return 2;
    close(gate[1]);
    int status;
    for (;;) {
        if (is_late) {
            fprintf(report, "hung\n");
            end_survivors("survivor");
            break;
        }
        pid_t id = waitpid(-1, &status, __WALL);
        if (id < 0 && errno == EINTR) continue;
        if (id < 0) break;
        if (id == parent && !WIFSTOPPED(status)) continue;
        struct task *task = task_of(id);
        if (!WIFSTOPPED(status)) {
            if (id == program) {
                fprintf(report, "ended %d\n", status);
                /* From here on nothing has a reason to stay. */
                alarm(LONG / 2);
            }
            task->id = 0;
            continue;
        }
        int signal = WSTOPSIG(status), event = status >> 16, deliver = 0;
        if (event == PTRACE_EVENT_EXEC) {
            if (id != program) {
                ptrace(PTRACE_DETACH, id, 0, 0);
                task->id = 0;
                continue;
            }
            task->role = LAUNCHER;
            without_vdso(id);
        } else if (event == PTRACE_EVENT_FORK || event == PTRACE_EVENT_VFORK || event == PTRACE_EVENT_CLONE) {
            unsigned long new;
            ptrace(PTRACE_GETEVENTMSG, id, 0, &new);
            struct task *other = task_of((pid_t)new);
            int is_thread = event == PTRACE_EVENT_CLONE;
            if (!is_thread && task->role == LAUNCHER)
                fprintf(report, "calls before-script any %ld\n", counts[LAUNCHER][ANY]);
            other->role = is_thread || task->role == CHILD ? task->role : task->role + 1;
            if (is_thread) other->group = task->group;
            else heaps[other->role] = heaps[task->role];
            if (other->waits) ptrace(PTRACE_SYSCALL, other->id, 0, 0);
            other->waits = 0;
        } else if (event == PTRACE_EVENT_STOP) {
            if (task->role < 0) {
                task->waits = 1;
                continue;
            }
        } else if (signal == (SIGTRAP | 0x80)) {
            call_stops(task);
        } else if (event == 0) {
            deliver = signal;
        }
        ptrace(PTRACE_SYSCALL, id, 0, deliver);
    }
    for (int who = 0; who < ROLES; who++)
        for (int what = 0; what < CLASSES; what++)
            fprintf(report, "calls %s %s %ld\n", roles[who], classes[what], counts[who][what]);
    return fclose(report) ? 2 : 0;
}
