/* Executes a program under what the usual container engines leave of the system calls: those that their
   default seccomp profile refuses to a container without capabilities are refused here ("Seccomp security
   profiles for Docker", and the profile itself for newer calls); and FORBIDDEN, where that is defined. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define ANSWER(value) BPF_STMT(BPF_RET | BPF_K, value)
#define REFUSED(error) ANSWER(SECCOMP_RET_ERRNO | (error))
#define REFUSE(number, error)                                                                       \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1), REFUSED(error)
#define NAMESPACES                                                                                  \
    (CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET |      \
     CLONE_NEWCGROUP)

static struct sock_filter filter[] = {
    LOAD(nr),
    REFUSE(SYS_acct, EPERM),
    REFUSE(SYS_add_key, EPERM),
    REFUSE(SYS_bpf, EPERM),
    REFUSE(SYS_clock_adjtime, EPERM),
    REFUSE(SYS_clock_settime, EPERM),
    REFUSE(SYS_delete_module, EPERM),
    REFUSE(SYS_fanotify_init, EPERM),
    REFUSE(SYS_finit_module, EPERM),
    REFUSE(SYS_fsconfig, EPERM),
    REFUSE(SYS_fsmount, EPERM),
    REFUSE(SYS_fsopen, EPERM),
    REFUSE(SYS_fspick, EPERM),
    REFUSE(SYS_get_mempolicy, EPERM),
    REFUSE(SYS_init_module, EPERM),
    REFUSE(SYS_io_uring_enter, EPERM),
    REFUSE(SYS_io_uring_register, EPERM),
    REFUSE(SYS_io_uring_setup, EPERM),
    REFUSE(SYS_kcmp, EPERM),
    REFUSE(SYS_kexec_load, EPERM),
    REFUSE(SYS_keyctl, EPERM),
    REFUSE(SYS_lookup_dcookie, EPERM),
    REFUSE(SYS_mbind, EPERM),
    REFUSE(SYS_mount, EPERM),
    REFUSE(SYS_mount_setattr, EPERM),
    REFUSE(SYS_move_mount, EPERM),
    REFUSE(SYS_move_pages, EPERM),
    REFUSE(SYS_open_by_handle_at, EPERM),
    REFUSE(SYS_open_tree, EPERM),
    REFUSE(SYS_perf_event_open, EPERM),
    REFUSE(SYS_personality, EPERM),
    REFUSE(SYS_pidfd_getfd, EPERM),
    REFUSE(SYS_pivot_root, EPERM),
    REFUSE(SYS_quotactl, EPERM),
    REFUSE(SYS_reboot, EPERM),
    REFUSE(SYS_request_key, EPERM),
    REFUSE(SYS_set_mempolicy, EPERM),
    REFUSE(SYS_setns, EPERM),
    REFUSE(SYS_settimeofday, EPERM),
    REFUSE(SYS_swapoff, EPERM),
    REFUSE(SYS_swapon, EPERM),
    REFUSE(SYS_syslog, EPERM),
    REFUSE(SYS_umount2, EPERM),
    REFUSE(SYS_unshare, EPERM),
    REFUSE(SYS_userfaultfd, EPERM),
    REFUSE(SYS_vhangup, EPERM),
#ifdef FORBIDDEN
    REFUSE(FORBIDDEN, ERROR),
#endif
    /* Its flags lie in memory: callers do without. */
    REFUSE(SYS_clone3, ENOSYS),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 3),
    LOAD(args[0]),
    BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, NAMESPACES, 0, 1),
    REFUSED(EPERM),
    ANSWER(SECCOMP_RET_ALLOW),
};

int main(int count, char **words) {
    struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
    if (count < 2 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0) {
        perror("seccomp");
        return 1;
    }
    execvp(words[1], words + 1);
    perror(words[1]);
    return 1;
}
