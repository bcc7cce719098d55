/* What would disturb every other attack: each has a Cargo and a PID namespace of its own. */

#include "attack.h"
#include <dirent.h>
#include <sys/ptrace.h>

static void kill_everybody(void) {
    kill(-1, SIGKILL);
}

/* All but itself. */
static void kill_the_group(void) {
    signal(SIGTERM, SIG_IGN);
    kill(0, SIGTERM);
}

/* Cargo's, without the jail. Within, it is its own, and somebody else lets it go on. */
static void stop_the_group(void) {
    int ready[2];
    char byte;
    if (pipe(ready) != 0)
        return;
    pid_t self = getpid(), child = fork();
    if (child == 0) {
        setsid();
        write(ready[1], "", 1);
        while (getppid() == self) {
            usleep(20000);
            kill(self, SIGCONT);
        }
        _exit(0);
    }
    read(ready[0], &byte, 1);
    kill(0, SIGSTOP);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}

static void kill_the_parent(void) {
    kill(getppid(), SIGKILL);
}

static void stop_the_parent(void) {
    kill(getppid(), SIGSTOP);
}

/* And every thread of it, of which the warden could be one. */
static void kill_each_by_number(void) {
    for (int pid = 2; pid < 400; pid++)
        if (pid != getpid()) {
            DIR *threads = opendir(text("/proc/%d/task", pid));
            for (struct dirent *entry; threads && (entry = readdir(threads));)
                syscall(SYS_tgkill, pid, atoi(entry->d_name), SIGKILL);
            kill(pid, SIGKILL);
        }
}

static void kill_each_by_pidfd(void) {
    for (int pid = 2; pid < 400; pid++)
        if (pid != getpid())
            syscall(SYS_pidfd_send_signal, syscall(SYS_pidfd_open, pid, 0), SIGKILL, NULL, 0);
}

/* Whatever answers for the parent, and all above it. */
static void write_everybodys_memory(void) {
    for (int pid = 2; pid < 400; pid++) {
        FILE *maps = pid == getpid() ? NULL : fopen(text("/proc/%d/maps", pid), "r");
        int memory = open(text("/proc/%d/mem", pid), O_RDWR);
        char line[512], zeros[4096] = {0};
        while (maps && memory >= 0 && fgets(line, sizeof line, maps)) {
            unsigned long from, to;
            if (strstr(line, "r-xp") && sscanf(line, "%lx-%lx", &from, &to) == 2)
                for (; from < to; from += sizeof zeros)
                    pwrite(memory, zeros, sizeof zeros, (off_t)from);
        }
        close(memory);
        if (maps)
            fclose(maps);
    }
}

static void trace_the_parent(void) {
    int parent = getppid();
    ptrace(PTRACE_ATTACH, parent, NULL, NULL);
    waitpid(parent, NULL, __WALL);
    ptrace(PTRACE_DETACH, parent, NULL, SIGKILL);
}

/* Stays where Cargo waits for the end of what is printed; a file says that it was waited for. */
static void hold_the_build(void) {
    if (fork() == 0) {
        setsid();
        usleep(3000000);
        plant(out("held"));
        _exit(0);
    }
}

const struct attack ALONE[] = {
    ATTACK(kill_everybody),
    ATTACK(kill_the_group),
    ATTACK(stop_the_group),
    ATTACK(kill_the_parent),
    ATTACK(stop_the_parent),
    ATTACK(kill_each_by_number),
    ATTACK(kill_each_by_pidfd),
    ATTACK(write_everybodys_memory),
    ATTACK(trace_the_parent),
    ATTACK(hold_the_build),
    {0},
};
