/* Reaches other processes, and stays when the script has ended. */

#include "attack.h"
#include <linux/ioprio.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

/* Signals. */

static void kill_it(void) {
    kill(number("bystander"), SIGKILL);
}

static void stop_it(void) {
    kill(number("bystander"), SIGSTOP);
}

static void signal_it(void) {
    kill(number("bystander"), SIGUSR1);
}

static void signal_its_group(void) {
    kill(-number("bystander"), SIGUSR1);
}

static void signal_its_thread(void) {
    syscall(SYS_tgkill, number("bystander"), number("bystander"), SIGUSR1);
}

static void signal_its_thread_by_tkill(void) {
    syscall(SYS_tkill, number("bystander"), SIGUSR1);
}

static void queue_a_signal(void) {
    sigqueue(number("bystander"), SIGUSR1, (union sigval){0});
}

static void queue_a_signal_to_a_thread(void) {
    siginfo_t info = {.si_signo = SIGUSR1, .si_code = SI_QUEUE};
    syscall(SYS_rt_tgsigqueueinfo, number("bystander"), number("bystander"), SIGUSR1, &info);
}

static void signal_by_pidfd(void) {
    syscall(SYS_pidfd_send_signal, syscall(SYS_pidfd_open, number("bystander"), 0), SIGUSR1, NULL, 0);
}

static void signal_by_proc(void) {
    int directory = open(text("/proc/%d", number("bystander")), O_RDONLY | O_DIRECTORY);
    syscall(SYS_pidfd_send_signal, directory, SIGUSR1, NULL, 0);
}

/* The kernel sends it when the pipe becomes readable. */
static void signal_by_a_pipes_owner(void) {
    int ends[2];
    pipe(ends);
    fcntl(ends[0], F_SETSIG, SIGUSR1);
    fcntl(ends[0], F_SETOWN, number("bystander"));
    fcntl(ends[0], F_SETFL, O_ASYNC);
    write(ends[1], "x", 1);
}

static void signal_by_a_pipes_owner_ex(void) {
    int ends[2];
    struct f_owner_ex owner = {F_OWNER_PID, number("bystander")};
    pipe(ends);
    fcntl(ends[0], F_SETSIG, SIGUSR1);
    fcntl(ends[0], F_SETOWN_EX, &owner);
    fcntl(ends[0], F_SETFL, O_ASYNC);
    write(ends[1], "x", 1);
}

static void signal_by_a_sockets_owner(void) {
    int ends[2], owner = number("bystander");
    socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
    ioctl(ends[0], FIOSETOWN, &owner);
    fcntl(ends[0], F_SETFL, O_ASYNC);
    write(ends[1], "x", 1);
}

/* Memory and descriptors. */

static void *variable(void) {
    return (void *)strtoul(told("variable"), NULL, 10);
}

static void write_memory_by_ptrace(void) {
    int pid = number("bystander");
    ptrace(PTRACE_ATTACH, pid, NULL, NULL);
    waitpid(pid, NULL, __WALL);
    ptrace(PTRACE_POKEDATA, pid, variable(), 7);
    ptrace(PTRACE_DETACH, pid, NULL, NULL);
}

static void seize_by_ptrace(void) {
    int pid = number("bystander");
    ptrace(PTRACE_SEIZE, pid, NULL, NULL);
    ptrace(PTRACE_INTERRUPT, pid, NULL, NULL);
    waitpid(pid, NULL, __WALL);
    ptrace(PTRACE_POKEDATA, pid, variable(), 7);
    ptrace(PTRACE_DETACH, pid, NULL, NULL);
}

static void write_memory_by_process_vm_writev(void) {
    uint32_t seven = 7;
    struct iovec from = {&seven, sizeof seven}, to = {variable(), sizeof seven};
    process_vm_writev(number("bystander"), &from, 1, &to, 1, 0);
}

static void write_memory_by_proc(void) {
    uint32_t seven = 7;
    int memory = open(text("/proc/%d/mem", number("bystander")), O_RDWR);
    pwrite(memory, &seven, sizeof seven, (off_t)(uintptr_t)variable());
}

static void read_memory_by_process_vm_readv(void) {
    FILE *maps = fopen(text("/proc/%d/maps", number("bystander")), "r");
    char line[512];
    while (maps && fgets(line, sizeof line, maps)) {
        unsigned long from, to;
        if (strstr(line, "[stack]") && sscanf(line, "%lx-%lx", &from, &to) == 2) {
            struct iovec own = {malloc(to - from), to - from}, its = {(void *)from, to - from};
            ssize_t length = process_vm_readv(number("bystander"), &own, 1, &its, 1, 0);
            if (length > 0)
                loot(own.iov_base, (size_t)length);
        }
    }
}

static void read_its_variables(void) {
    loot_file(text("/proc/%d/environ", number("bystander")));
}

static void read_its_command_line(void) {
    loot_file(text("/proc/%d/cmdline", number("bystander")));
}

static void read_its_descriptor(void) {
    loot_file(text("/proc/%d/fd/%d", number("bystander"), number("descriptor")));
}

static void take_its_descriptor(void) {
    int pid = (int)syscall(SYS_pidfd_open, number("bystander"), 0);
    int file = (int)syscall(SYS_pidfd_getfd, pid, number("descriptor"), 0);
    lseek(file, 0, SEEK_SET);
    loot_from(file);
}

/* How it runs. */

static void lower_its_limits(void) {
    struct rlimit limit = {64, 64};
    prlimit(number("bystander"), RLIMIT_NOFILE, &limit, NULL);
}

static void bind_it_to_a_processor(void) {
    cpu_set_t set;
    sched_getaffinity(0, sizeof set, &set);
    int first = 0;
    while (!CPU_ISSET(first, &set))
        first++;
    CPU_ZERO(&set);
    CPU_SET(first, &set);
    sched_setaffinity(number("bystander"), sizeof set, &set);
}

static void lower_its_priority(void) {
    setpriority(PRIO_PROCESS, (id_t)number("bystander"), 19);
}

static void lower_its_groups_priority(void) {
    setpriority(PRIO_PGRP, (id_t)number("bystander"), 19);
}

static void lower_its_disk_priority(void) {
    syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, number("bystander"),
            IOPRIO_PRIO_VALUE(IOPRIO_CLASS_IDLE, 0));
}

static void change_its_scheduler(void) {
    sched_setscheduler(number("bystander"), SCHED_BATCH, &(struct sched_param){0});
}

static void change_its_scheduler_by_sched_setattr(void) {
    struct { uint32_t size, policy; uint64_t flags; int32_t nice; uint32_t rest[7]; } attributes = {
        48, SCHED_IDLE, 0, 0, {0}};
    syscall(SYS_sched_setattr, number("bystander"), &attributes, 0);
}

static void have_it_killed_first(void) {
    int file = open(text("/proc/%d/oom_score_adj", number("bystander")), O_WRONLY);
    write(file, "1000", 4);
}

static void change_what_it_dumps(void) {
    int file = open(text("/proc/%d/coredump_filter", number("bystander")), O_WRONLY);
    write(file, "0", 1);
}

/* Survivors: the test finds them by their command line. */

static int started[2];

/* Whoever becomes a survivor closes its end of a pipe by it. */
static void __attribute__((constructor)) begin(void) {
    pipe2(started, O_CLOEXEC);
}

static void wait_for_survivors(void) {
    char nothing;
    close(started[1]);
    read(started[0], &nothing, 1);
}

static void survive(void) {
    int null = open("/dev/null", O_RDWR);
    for (int file = 0; file < 3; file++)
        dup2(null, file);
    close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
    /* The terminal's end is not the build's. */
    signal(SIGHUP, SIG_IGN);
    char *words[] = {(char *)text("%s-survivor-%s", told("id"), name), "900", NULL};
    execv("/bin/sleep", words);
    _exit(1);
}

static void stay_by_fork(void) {
    if (fork() == 0)
        survive();
    wait_for_survivors();
}

static void stay_in_a_session(void) {
    if (fork() == 0) {
        setsid();
        survive();
    }
    wait_for_survivors();
}

static void stay_as_a_daemon(void) {
    pid_t child = fork();
    if (child == 0) {
        setsid();
        if (fork() == 0)
            survive();
        _exit(0);
    }
    wait_for_survivors();
}

static void stay_in_a_group(void) {
    if (fork() == 0) {
        setpgid(0, 0);
        survive();
    }
    wait_for_survivors();
}

static void stay_deaf_to_signals(void) {
    if (fork() == 0) {
        sigset_t all;
        sigfillset(&all);
        sigprocmask(SIG_BLOCK, &all, NULL);
        for (int signal_number = 1; signal_number < 32; signal_number++)
            signal(signal_number, SIG_IGN);
        prctl(PR_SET_PDEATHSIG, 0);
        setsid();
        survive();
    }
    wait_for_survivors();
}

static void stay_stopped(void) {
    pid_t child = fork();
    if (child == 0) {
        setsid();
        survive();
    }
    wait_for_survivors();
    kill(child, SIGSTOP);
}

static void stay_as_a_shells_job(void) {
    const char *job = text("exec -a %s-survivor-%s sleep 900", told("id"), name);
    execl("/bin/bash", "bash", "-c",
          text("setsid bash -c '%s' </dev/null >/dev/null 2>&1 &", job), NULL);
}

static void stay_as_a_clone(void) {
    if (syscall(SYS_clone, CLONE_PARENT | SIGCHLD, NULL, NULL, NULL, 0) == 0)
        survive();
    wait_for_survivors();
}

static void stay_as_a_clone3(void) {
    uint64_t arguments[8] = {CLONE_PARENT, 0, 0, 0, 0, 0, 0, 0};
    if (syscall(SYS_clone3, arguments, sizeof arguments) == 0)
        survive();
    else if (errno == ENOSYS)
        stay_as_a_clone();
    wait_for_survivors();
}

/* A generation lives for moments only: whoever looks for it finds its parent. */
static void stay_by_generations(void) {
    if (fork() == 0) {
        setsid();
        for (int generation = 0; generation < 500; generation++) {
            if (fork() != 0)
                _exit(0);
        }
        survive();
    }
}

static void stay_by_many_forks(void) {
    for (int child = 0; child < 40; child++)
        if (fork() == 0) {
            if (child % 2)
                setsid();
            survive();
        }
    wait_for_survivors();
}

static void stay_under_a_subreaper(void) {
    if (fork() == 0) {
        prctl(PR_SET_CHILD_SUBREAPER, 1);
        setsid();
        if (fork() == 0)
            survive();
        survive();
    }
    wait_for_survivors();
}

static void stay_in_a_namespace(void) {
    if (fork() == 0) {
        unshare(CLONE_NEWUSER | CLONE_NEWPID);
        if (fork() == 0)
            survive();
        _exit(0);
    }
    wait_for_survivors();
}

const struct attack PROCESSES[] = {
    ATTACK(kill_it),
    ATTACK(stop_it),
    ATTACK(signal_it),
    ATTACK(signal_its_group),
    ATTACK(signal_its_thread),
    ATTACK(signal_its_thread_by_tkill),
    ATTACK(queue_a_signal),
    ATTACK(queue_a_signal_to_a_thread),
    ATTACK(signal_by_pidfd),
    ATTACK(signal_by_proc),
    ATTACK(signal_by_a_pipes_owner),
    ATTACK(signal_by_a_pipes_owner_ex),
    ATTACK(signal_by_a_sockets_owner),
    ATTACK(write_memory_by_ptrace),
    ATTACK(seize_by_ptrace),
    ATTACK(write_memory_by_process_vm_writev),
    ATTACK(write_memory_by_proc),
    ATTACK(read_memory_by_process_vm_readv),
    ATTACK(read_its_variables),
    ATTACK(read_its_command_line),
    ATTACK(read_its_descriptor),
    ATTACK(take_its_descriptor),
    ATTACK(lower_its_limits),
    ATTACK(bind_it_to_a_processor),
    ATTACK(lower_its_priority),
    ATTACK(lower_its_groups_priority),
    ATTACK(lower_its_disk_priority),
    ATTACK(change_its_scheduler),
    ATTACK(change_its_scheduler_by_sched_setattr),
    ATTACK(have_it_killed_first),
    ATTACK(change_what_it_dumps),
    ATTACK(stay_by_fork),
    ATTACK(stay_in_a_session),
    ATTACK(stay_as_a_daemon),
    ATTACK(stay_in_a_group),
    ATTACK(stay_deaf_to_signals),
    ATTACK(stay_stopped),
    ATTACK(stay_as_a_shells_job),
    ATTACK(stay_as_a_clone),
    ATTACK(stay_as_a_clone3),
    ATTACK(stay_by_generations),
    ATTACK(stay_by_many_forks),
    ATTACK(stay_under_a_subreaper),
    ATTACK(stay_in_a_namespace),
    {0},
};
