/* Asks about a process by its number in every way, and prints what each says of it: of one that is not the
   script's, of one that does not exist, and of the script's own.

   usage: numbers FOREIGN MISSING */

#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { IOPRIO_WHO_PROCESS = 1, IOPRIO_WHO_PGRP = 2 };

/* MAKE_PROCESS_CPUCLOCK of include/linux/posix-timers.h, for CPUCLOCK_SCHED. */
static clockid_t cpu_clock(pid_t pid) {
    return (clockid_t)((~(unsigned)pid << 3) | 2);
}

static long ask(int way, pid_t pid) {
    char buffer[256];
    struct timespec time;
    int file = STDIN_FILENO;
    switch (way) {
    case 0: return kill(pid, 0);
    case 1: return syscall(SYS_tgkill, pid, pid, 0);
    case 2: return syscall(SYS_tkill, pid, 0);
    case 3: {
        siginfo_t info = {.si_code = SI_QUEUE};
        return syscall(SYS_rt_sigqueueinfo, pid, 0, &info);
    }
    case 4: {
        siginfo_t info = {.si_code = SI_QUEUE};
        return syscall(SYS_rt_tgsigqueueinfo, pid, pid, 0, &info);
    }
    case 5: return getpgid(pid);
    case 6: return getsid(pid);
    case 7: return syscall(SYS_prlimit64, pid, RLIMIT_NOFILE, NULL, buffer);
    case 8: return syscall(SYS_pidfd_open, pid, 0);
    case 9: return syscall(SYS_getpriority, PRIO_PROCESS, pid);
    case 10: return syscall(SYS_getpriority, PRIO_PGRP, pid);
    case 11: return syscall(SYS_ioprio_get, IOPRIO_WHO_PROCESS, pid);
    case 12: return syscall(SYS_ioprio_get, IOPRIO_WHO_PGRP, pid);
    case 13: return syscall(SYS_sched_getaffinity, pid, sizeof buffer, buffer);
    case 14: return syscall(SYS_sched_getscheduler, pid);
    case 15: return syscall(SYS_sched_getparam, pid, buffer);
    case 16: return syscall(SYS_sched_getattr, pid, buffer, 48, 0);
    case 17: return syscall(SYS_sched_rr_get_interval, pid, &time);
    case 18: {
        struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, pid};
        return syscall(SYS_capget, &header, buffer);
    }
    case 19: return syscall(SYS_clock_getres, cpu_clock(pid), &time);
    case 20: return syscall(SYS_clock_gettime, cpu_clock(pid), &time);
    case 21: {
        timer_t timer;
        return syscall(SYS_timer_create, cpu_clock(pid), NULL, &timer);
    }
    case 22: return fcntl(file, F_SETOWN, pid);
    case 23: {
        struct f_owner_ex owner = {F_OWNER_PID, pid};
        return fcntl(file, F_SETOWN_EX, &owner);
    }
    case 24: {
        uint32_t lock = (uint32_t)pid;
        return syscall(SYS_futex, &lock, FUTEX_TRYLOCK_PI, 0, NULL, NULL, 0);
    }
    case 25: return kill(-pid, 0);
    case 26: {
        /* Into its group. */
        pid_t child = fork();
        if (child == 0) {
            syscall(SYS_setpgid, 0, pid);
            _exit(errno);
        }
        int status;
        waitpid(child, &status, 0);
        errno = WEXITSTATUS(status);
        return errno ? -1 : 0;
    }
    default: return 1;
    }
}

int main(int count, char **arguments) {
    if (count != 3)
        return 2;
    pid_t child = fork();
    if (child == 0) {
        pause();
        _exit(0);
    }
    setpgid(child, child);
    pid_t pids[] = {atoi(arguments[1]), atoi(arguments[2]), child};
    for (int way = 0; way <= 26; way++) {
        printf("cargo::warning=%d:", way);
        for (int which = 0; which < 3; which++) {
            errno = 0;
            long result = ask(way, pids[which]);
            printf(" %d", result < 0 ? errno : 0);
        }
        printf("\n");
    }
    /* The groups that it is in itself: 0, and the number of that. */
    printf("cargo::warning=27: %d %d %d\n", kill(0, 0), kill(-getpgrp(), 0), getpgid(0) == getpgrp() ? 0 : 1);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    static const char *const lists[] = {"/proc", "/proc/locks", "/sys/fs/cgroup/cgroup.procs"};
    for (int list = 0; list < 3; list++) {
        int opened = open(lists[list], O_RDONLY);
        printf("cargo::warning=%d: %d\n", 28 + list, opened < 0 ? errno : 0);
    }
    /* What was opened with O_PATH cannot be listed; what the jail gives instead could be. */
    char entries[512];
    int opened = open("/proc", O_PATH);
    long listed = syscall(SYS_getdents64, opened, entries, sizeof entries);
    printf("cargo::warning=31: %d\n", listed < 0 ? errno : 0);
    return 0;
}
