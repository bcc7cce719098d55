/* Confuses the warden, who answers a script's calls, and then does what a script may not. */

#include "attack.h"
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>

/* In three ways, of which the warden is asked about each. */
static void then_attack(void) {
    mark(open(outside("file"), O_WRONLY));
    chmod(outside("file"), 0600);
    plant(outside("new"));
}

/* Calls whose first argument is a path, and those where it is the second. */
static const int FIRST[] = {SYS_truncate, SYS_statfs, SYS_chdir, SYS_execve, SYS_setxattr, SYS_getxattr,
                            SYS_removexattr, SYS_listxattr};
static const int SECOND[] = {SYS_openat, SYS_mkdirat, SYS_unlinkat, SYS_fchmodat, SYS_fchownat, SYS_utimensat,
                             SYS_faccessat, SYS_readlinkat, SYS_newfstatat, SYS_statx, SYS_mknodat, SYS_linkat,
                             SYS_renameat, SYS_renameat2, SYS_symlinkat, SYS_openat2, SYS_execveat};

static void call_all(const void *path, uint64_t rest) {
    for (size_t call = 0; call < sizeof FIRST / sizeof *FIRST; call++)
        syscall(FIRST[call], path, rest, rest, rest, 0, 0);
    for (size_t call = 0; call < sizeof SECOND / sizeof *SECOND; call++)
        syscall(SECOND[call], AT_FDCWD, path, rest, rest, rest, rest);
}

static char *pages(int count) {
    return mmap(NULL, (size_t)count * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void bad_pointers(void) {
    char *closed = pages(2);
    mprotect(closed + 4096, 4096, PROT_NONE);
    memset(closed, 'a', 4096);
    const uint64_t pointers[] = {0, 1, 4095, ~0ULL, ~0ULL - 4095, 1ULL << 47, 1ULL << 63,
                                 0xffffffff80000000, (uintptr_t)closed + 4096, (uintptr_t)closed + 4095};
    for (size_t one = 0; one < sizeof pointers / sizeof *pointers; one++)
        for (size_t other = 0; other < sizeof pointers / sizeof *pointers; other++)
            call_all((void *)pointers[one], pointers[other]);
    then_attack();
}

static void long_paths(void) {
    for (size_t length = 4090; length < 200000; length = length < 4100 ? length + 1 : length * 2) {
        char *path = malloc(length + 1);
        memset(path, '/', length);
        path[length] = 0;
        call_all(path, (uintptr_t)path);
        memset(path, 'a', length);
        call_all(path, (uintptr_t)path);
        /* A path that would lead outside, were it cut. */
        memset(path, '/', length);
        memcpy(path + length - 300, outside("file"), strlen(outside("file")) + 1);
        mark(open(path, O_WRONLY));
    }
    then_attack();
}

/* The path's last byte is a page's, and there is none behind it. */
static void path_at_the_end_of_memory(void) {
    char *space = pages(2);
    munmap(space + 4096, 4096);
    const char *path = outside("file");
    char *at = space + 4096 - strlen(path) - 1;
    strcpy(at, path);
    mark(open(at, O_WRONLY));
    memmove(at + 1, at, strlen(path));
    mark(open(at + 1, O_WRONLY));
    then_attack();
}

static char *flickering;

static void flicker(unsigned long step) {
    mprotect(flickering, 4096, step % 2 ? PROT_READ | PROT_WRITE : PROT_NONE);
}

static void memory_that_comes_and_goes(void) {
    flickering = pages(1);
    strcpy(flickering, outside("file"));
    meanwhile(flicker);
    while (racing()) {
        mark(open(flickering, O_WRONLY));
        chmod(flickering, 0600);
    }
}

static void nothing(int number_of_signal) {
    (void)number_of_signal;
}

static void signals_meanwhile(void) {
    sigaction(SIGALRM, &(struct sigaction){.sa_handler = nothing}, NULL);
    setitimer(ITIMER_REAL, &(struct itimerval){{0, 200}, {0, 200}}, NULL);
    for (int tries = 0; tries < 300; tries++) {
        int file = open(outside("file"), O_WRONLY);
        if (file >= 0) {
            mark(file);
            close(file);
        }
    }
    setitimer(ITIMER_REAL, &(struct itimerval){{0, 0}, {0, 0}}, NULL);
}

/* They are killed while somebody answers them, and their numbers are another's soon. */
static void processes_that_die(void) {
    for (int round = 0; round < 40; round++) {
        pid_t child = fork();
        if (child == 0)
            for (;;) {
                close(open(outside("file"), O_WRONLY | O_TRUNC));
                chmod(outside("file"), 0600);
            }
        usleep((useconds_t)(round * 7));
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
    }
    then_attack();
}

static void *opens(void *unused) {
    for (int tries = 0; tries < 100; tries++)
        close(open(outside("file"), O_WRONLY | O_TRUNC));
    return unused;
}

/* A program takes the place of all threads. */
static void threads_that_are_replaced(void) {
    for (int round = 0; round < 15; round++) {
        pid_t child = fork();
        if (child == 0) {
            pthread_t thread;
            for (int threads = 0; threads < 8; threads++)
                pthread_create(&thread, NULL, opens, NULL);
            execl("/bin/true", "true", NULL);
        }
        waitpid(child, NULL, 0);
    }
    then_attack();
}

static void many_at_once(void) {
    for (int children = 0; children < 40; children++)
        if (fork() == 0) {
            opens(NULL);
            _exit(0);
        }
    while (wait(NULL) > 0)
        ;
    then_attack();
}

static void no_descriptor_left(void) {
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = 64;
    setrlimit(RLIMIT_NOFILE, &limit);
    int last = -1, file;
    while ((file = open("/dev/null", O_RDONLY)) >= 0)
        last = file;
    close(last);
    then_attack();
}

/* A filter of its own, which allows everything, or has somebody else asked. */
static void filter_of_its_own(void) {
    struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_filter ask = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF);
    struct sock_fprog allows = {1, &allow}, asks = {1, &ask};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &allows);
    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, &allows);
    /* Without a listener every call would fail: only where there is none to be had. */
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 1 << 3, NULL) < 0 && errno == ENOTSUP)
        syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &asks);
    then_attack();
}

/* Whoever holds the listener could let a call pass. */
static void answers_itself(void) {
    pid_t child = fork();
    if (child == 0) {
        then_attack();
        _exit(0);
    }
    for (int tries = 0; tries < 20; tries++)
        for (int file = 3; file < 100; file++) {
            struct seccomp_notif asked;
            memset(&asked, 0, sizeof asked);
            struct seccomp_notif_resp answer = {(uint64_t)tries, 0, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE};
            fcntl(file, F_SETFL, O_NONBLOCK);
            ioctl(file, SECCOMP_IOCTL_NOTIF_SEND, &answer);
        }
    waitpid(child, NULL, 0);
}

/* What the preloaded library says, by somebody who is no library. */
static void speaks_for_the_library(void) {
    for (int what = 0; what < 2; what++) {
        int call = number(what ? "real_path" : "asked");
        char *closed = pages(1), *space = pages(1);
        munmap(closed, 4096);
        for (uint64_t argument = 0; argument < 64; argument++) {
            syscall(call, argument, argument, argument, argument, argument, argument);
            syscall(call, outside("file"), argument, space, 4096, argument, argument);
            syscall(call, argument, outside("file"), argument, space, 4096, 0);
            syscall(call, closed, closed, ~0ULL, closed, ~0ULL, ~0ULL);
        }
    }
    then_attack();
}

static void without_the_library(void) {
    char *words[] = {"sh", "-c", (char *)text("echo owned > '%s'", outside("file")), NULL}, *none[] = {NULL};
    execve("/bin/sh", words, none);
}

/* landrun and others: the supervisor looked at one message and the kernel sent another (sandlock, #27). */
static struct msghdr *volatile header;
static struct sockaddr_un address;

static void flip_message(unsigned long step) {
    header->msg_namelen = step % 2 ? sizeof address : 0;
    header->msg_name = step % 2 ? &address : NULL;
}

static void message_that_changes(void) {
    int ends[2] = {-1, -1};
    struct iovec piece = {(void *)name, strlen(name)};
    chdir(outside(""));
    address = (struct sockaddr_un){AF_UNIX, "datagram"};
    header = calloc(1, sizeof *header);
    header->msg_iov = &piece;
    header->msg_iovlen = 1;
    if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, ends))
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends);
    meanwhile(flip_message);
    /* What goes to the other end and stays there would soon fill the buffer, and nothing more be sent. */
    while (racing()) {
        char received[64];
        sendmsg(ends[0], header, 0);
        while (recv(ends[1], received, sizeof received, 0) > 0)
            ;
    }
}

const struct attack WARDEN[] = {
    ATTACK(bad_pointers),
    ATTACK(long_paths),
    ATTACK(path_at_the_end_of_memory),
    ATTACK(memory_that_comes_and_goes),
    ATTACK(signals_meanwhile),
    ATTACK(processes_that_die),
    ATTACK(threads_that_are_replaced),
    ATTACK(many_at_once),
    ATTACK(no_descriptor_left),
    ATTACK(filter_of_its_own),
    ATTACK(answers_itself),
    ATTACK(speaks_for_the_library),
    ATTACK(without_the_library),
    ATTACK(message_that_changes),
    {0},
};
