/* Executes a program as on a kernel whose Landlock has an older ABI, or that has none (ABI 0): the version,
   and what is not known to that ABI, as the kernel's `security/landlock/syscalls.c` of that time answers;
   and for ABI 3 the system calls and ioctls that came after Linux 6.2 are missing. What an older Landlock
   knows, this kernel's enforces. Ends as the program does, or with 99 if a process of the program's is left.

   older_kernel ABI PROGRAM ARGUMENT... */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

/* Seconds: more than anything here takes. */
#define LONG 20

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define ANSWER(value) BPF_STMT(BPF_RET | BPF_K, value)
#define IF(number, action) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1), ANSWER(action)
#define MISSING(error) (SECCOMP_RET_ERRNO | (error))

/* Of `linux/seccomp.h` and `linux/pidfd.h`. */
#define WAKE_UP 0x40082104 /* SECCOMP_IOCTL_NOTIF_SET_FLAGS, Linux 6.6 */
#define PROCESS_INFO 0xc040ff0b /* PIDFD_GET_INFO, Linux 6.13 */
#define FIRST 451 /* cachestat(2), Linux 6.5 */
#define LAST 480

static struct sock_filter landlock[] = {
    LOAD(nr),
    IF(SYS_landlock_create_ruleset, SECCOMP_RET_TRACE),
    IF(SYS_landlock_add_rule, SECCOMP_RET_TRACE),
    IF(SYS_landlock_restrict_self, SECCOMP_RET_TRACE),
    ANSWER(SECCOMP_RET_ALLOW),
};
static struct sock_filter others[] = {
    LOAD(nr),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 0, 6),
    LOAD(args[1]),
    IF(WAKE_UP, MISSING(EINVAL)),
    IF(PROCESS_INFO, MISSING(ENOTTY)),
    ANSWER(SECCOMP_RET_ALLOW),
    BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, FIRST, 0, 2),
    BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, LAST, 1, 0),
    ANSWER(MISSING(ENOSYS)),
    ANSWER(SECCOMP_RET_ALLOW),
};

static long abi;
static volatile sig_atomic_t is_late;
static void late(int signal) {
    (void)signal;
    is_late = 1;
}

static int install(struct sock_filter *filter, unsigned short length) {
    struct sock_fprog program = {length, filter};
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0;
}

/* What the older kernel answers; or that it does what this one does. */
#define GO_ON 1000
static long answer(pid_t id, unsigned long call, const uint64_t *words) {
    enum { VERSION = 1, PORT = 2, FILES = 0, PORTS = 1, SCOPES = 2 };
    if (abi == 0) return -ENOSYS;
    if (call == SYS_landlock_restrict_self) return words[1] != 0 && abi < 7 ? -EINVAL : GO_ON;
    if (call == SYS_landlock_add_rule) return words[1] == PORT && abi < 4 ? -EINVAL : GO_ON;
    if (words[2] == VERSION) return words[0] || words[1] ? -EINVAL : abi;
    if (words[2] != 0) return -EINVAL;
    uint64_t handled[16] = {0};
    if (words[1] > sizeof handled) return -E2BIG;
    struct iovec ours = {handled, words[1]}, theirs = {(void *)words[0], words[1]};
    if (process_vm_readv(id, &ours, 1, &theirs, 1, 0) != (ssize_t)words[1]) return -EFAULT;
    for (unsigned long at = abi < 4 ? 1 : abi < 6 ? 2 : 3; at < sizeof handled / sizeof *handled; at++)
        if (handled[at]) return -E2BIG;
    int files = abi < 2 ? 13 : abi < 3 ? 14 : abi < 5 ? 15 : 16;
    if (handled[FILES] >> files || handled[PORTS] >> 2 || handled[SCOPES] >> 2) return -EINVAL;
    return GO_ON;
}

/* Answers in the kernel's place. */
static void returns(pid_t id, long result) {
#if defined __x86_64__
    ptrace(PTRACE_POKEUSER, id, 15 * 8 /* orig_rax */, -1L);
    ptrace(PTRACE_POKEUSER, id, 10 * 8 /* rax */, result);
#elif defined __aarch64__
    int none = -1;
    struct iovec call = {&none, sizeof none};
    ptrace(PTRACE_SETREGSET, id, NT_ARM_SYSTEM_CALL, &call);
    unsigned long registers[34];
    struct iovec vector = {registers, sizeof registers};
    ptrace(PTRACE_GETREGSET, id, NT_PRSTATUS, &vector);
    registers[0] = result;
    ptrace(PTRACE_SETREGSET, id, NT_PRSTATUS, &vector);
#endif
}

int main(int count, char **words) {
    int gate[2];
    if (count < 3 || prctl(PR_SET_CHILD_SUBREAPER, 1) || pipe2(gate, O_CLOEXEC)) return 2;
    abi = atol(words[1]);
    pid_t program = fork();
    if (program == 0) {
        char none;
        close(gate[1]);
        if (read(gate[0], &none, 1) != 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
            install(landlock, sizeof landlock / sizeof *landlock) ||
            (abi <= 3 && install(others, sizeof others / sizeof *others)))
            _exit(2);
        execvp(words[2], words + 2);
        perror(words[2]);
        _exit(127);
    }
    struct sigaction action = {.sa_handler = late};
    sigaction(SIGALRM, &action, NULL);
    long options = PTRACE_O_TRACESECCOMP | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
                   PTRACE_O_EXITKILL;
    if (ptrace(PTRACE_SEIZE, program, 0, options)) return 2;
    close(gate[1]);
    int status, ended = 2 << 8;
    for (;;) {
        pid_t id = waitpid(-1, &status, __WALL);
        if (id < 0 && errno == EINTR && is_late) {
            fprintf(stderr, "a process is left\n");
            return 99;
        }
        if (id < 0 && errno == EINTR) continue;
        if (id < 0) break;
        if (!WIFSTOPPED(status)) {
            if (id == program) {
                ended = status;
                alarm(LONG);
            }
            continue;
        }
        int event = status >> 16, deliver = 0;
        struct __ptrace_syscall_info info;
        if (event == PTRACE_EVENT_SECCOMP &&
            ptrace(PTRACE_GET_SYSCALL_INFO, id, sizeof info, &info) > 0) {
            long result = answer(id, info.seccomp.nr, info.seccomp.args);
            if (result != GO_ON) returns(id, result);
        } else if (event == 0) {
            deliver = WSTOPSIG(status);
        }
        ptrace(PTRACE_CONT, id, 0, deliver);
    }
    return WIFEXITED(ended) ? WEXITSTATUS(ended) : 128 + WTERMSIG(ended);
}
