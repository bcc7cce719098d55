/* Changes files outside, their names and their metadata. */

#include "attack.h"
#include <linux/fs.h>
#include <linux/openat2.h>
#include <sys/sysmacros.h>
#include <utime.h>

static void write_and_truncate(void) {
    mark(open(outside("file"), O_WRONLY | O_TRUNC));
}

static void append(void) {
    mark(open(outside("file"), O_WRONLY | O_APPEND));
}

static void create_new(void) {
    mark(open(outside("new"), O_WRONLY | O_CREAT | O_EXCL, 0644));
}

static void create_by_creat(void) {
    mark(creat(outside("new"), 0644));
}

static void open_below_a_descriptor(void) {
    int directory = open(outside(""), O_PATH | O_DIRECTORY);
    mark(openat(directory, "file", O_WRONLY));
}

static void open_by_openat2(void) {
    struct open_how how = {.flags = O_WRONLY | O_TRUNC};
    mark((int)syscall(SYS_openat2, AT_FDCWD, outside("file"), &how, sizeof how));
}

static void open_in_root_by_openat2(void) {
    int root = open("/", O_PATH | O_DIRECTORY);
    struct open_how how = {.flags = O_WRONLY | O_CREAT, .mode = 0644, .resolve = RESOLVE_IN_ROOT};
    mark((int)syscall(SYS_openat2, root, outside("new"), &how, sizeof how));
}

static void truncate_by_path(void) {
    truncate(outside("file"), 0);
}

/* The file is the package's own, which may be read. */
static void reopen_a_read_only_descriptor(void) {
    int file = open("src/lib.rs", O_RDONLY);
    mark(open(text("/proc/self/fd/%d", file), O_WRONLY | O_TRUNC));
}

static void reopen_a_path_descriptor(void) {
    int file = open(outside("file"), O_PATH);
    mark(open(text("/proc/self/fd/%d", file), O_WRONLY | O_TRUNC));
}

static void reopen_by_dev_fd(void) {
    int file = open("src/lib.rs", O_RDONLY);
    mark(open(text("/dev/fd/%d", file), O_WRONLY | O_APPEND));
}

static void remove_file(void) {
    unlink(outside("file"));
}

static void remove_directory(void) {
    rmdir(outside("empty"));
}

static void make_directory(void) {
    mkdir(outside("new"), 0755);
}

static void rename_away(void) {
    rename(outside("file"), out("stolen"));
}

static void rename_into(void) {
    plant(out("planted"));
    rename(out("planted"), outside("file"));
}

static void rename_directory_into(void) {
    mkdir(out("directory"), 0755);
    plant(out("directory/planted"));
    rename(out("directory"), outside("new"));
}

static void rename_exchange(void) {
    plant(out("planted"));
    syscall(SYS_renameat2, AT_FDCWD, out("planted"), AT_FDCWD, outside("file"), RENAME_EXCHANGE);
}

static void rename_below_descriptors(void) {
    plant(out("planted"));
    int from = open(getenv("OUT_DIR"), O_PATH), to = open(outside(""), O_PATH);
    renameat(from, "planted", to, "planted");
}

static void hard_link_out_and_write(void) {
    unlink(out("linked"));
    link(outside("file"), out("linked"));
    mark(open(out("linked"), O_WRONLY));
}

static void hard_link_in(void) {
    plant(out("planted"));
    link(out("planted"), outside("new"));
}

static void hard_link_by_descriptor(void) {
    plant(out("planted"));
    int file = open(out("planted"), O_PATH);
    linkat(AT_FDCWD, text("/proc/self/fd/%d", file), AT_FDCWD, outside("new"), AT_SYMLINK_FOLLOW);
}

static void make_symbolic_link(void) {
    symlink("/etc/passwd", outside("new"));
}

static void replace_symbolic_link(void) {
    symlink("/etc/passwd", out("link"));
    rename(out("link"), outside("link"));
}

static void link_a_nameless_file(void) {
    int file = open(getenv("OUT_DIR"), O_TMPFILE | O_WRONLY, 0644);
    mark(file);
    linkat(AT_FDCWD, text("/proc/self/fd/%d", file), AT_FDCWD, outside("new"), AT_SYMLINK_FOLLOW);
}

static void link_a_nameless_file_outside(void) {
    int file = open(outside(""), O_TMPFILE | O_WRONLY, 0644);
    mark(file);
    linkat(AT_FDCWD, text("/proc/self/fd/%d", file), AT_FDCWD, outside("new"), AT_SYMLINK_FOLLOW);
}

static void link_by_an_empty_path(void) {
    int file = open(out("mine"), O_CREAT | O_WRONLY, 0644);
    mark(file);
    linkat(file, "", AT_FDCWD, outside("new"), AT_EMPTY_PATH);
}

static void make_fifo(void) {
    mkfifo(outside("new"), 0644);
}

static void make_file_by_mknod(void) {
    mknod(outside("new"), S_IFREG | 0644, 0);
}

/* /dev/null, which harms nobody. */
static void make_device(void) {
    mknod(out("device"), S_IFCHR | 0666, makedev(1, 3));
}

static void make_device_at(void) {
    mknodat(open(getenv("OUT_DIR"), O_PATH), "device", S_IFCHR | 0666, makedev(1, 3));
}

static void change_mode(void) {
    chmod(outside("file"), 0600);
}

static void change_mode_by_descriptor(void) {
    fchmod(open("src/lib.rs", O_RDONLY), 0777);
}

static void change_mode_at(void) {
    fchmodat(open(outside(""), O_PATH), "file", 0600, 0);
}

/* By the newest call that the kernel has. */
static void change_mode_at_2(void) {
    if (syscall(452, AT_FDCWD, outside("file"), 0600, 0) < 0 && errno == ENOSYS)
        chmod(outside("file"), 0600);
}

static void change_mode_of_a_path_descriptor(void) {
    chmod(text("/proc/self/fd/%d", open(outside("file"), O_PATH)), 0600);
}

static void change_mode_above_out_dir(void) {
    chdir(getenv("OUT_DIR"));
    chmod(text("../../../../../../outside/%s/file", name), 0600);
}

static void change_owner(void) {
    chown(outside("file"), getuid(), getgid());
}

static void change_owner_of_a_link(void) {
    lchown(outside("link"), getuid(), getgid());
}

static void change_owner_by_descriptor(void) {
    fchown(open("src/lib.rs", O_RDONLY), getuid(), getgid());
}

static void give_away(void) {
    chown(outside("file"), 12345, 12345);
}

static void change_times(void) {
    struct timespec times[2] = {{1, 0}, {1, 0}};
    utimensat(AT_FDCWD, outside("file"), times, 0);
}

static void change_times_by_descriptor(void) {
    struct timespec times[2] = {{1, 0}, {1, 0}};
    futimens(open("src/lib.rs", O_RDONLY), times);
}

static void change_times_by_utime(void) {
    struct utimbuf times = {1, 1};
    utime(outside("file"), &times);
}

static void change_times_of_a_link(void) {
    struct timespec times[2] = {{1, 0}, {1, 0}};
    utimensat(AT_FDCWD, outside("link"), times, AT_SYMLINK_NOFOLLOW);
}

static void set_attribute(void) {
    setxattr(outside("file"), "user.owned", "x", 1, 0);
}

static void set_attribute_by_descriptor(void) {
    fsetxattr(open("src/lib.rs", O_RDONLY), "user.owned", "x", 1, 0);
}

/* By the newest call that the kernel has. */
static void set_attribute_at(void) {
    struct { uint64_t value; uint32_t size, flags; } arguments = {(uintptr_t)"x", 1, 0};
    const char *file = outside("file");
    if (syscall(463, AT_FDCWD, file, 0, "user.owned", &arguments, sizeof arguments) < 0 &&
        errno == ENOSYS)
        setxattr(file, "user.owned", "x", 1, 0);
}

static void remove_attribute(void) {
    removexattr(outside("attributed"), "user.mine");
}

static void remove_attribute_by_descriptor(void) {
    fremovexattr(open("src/lib.rs", O_RDONLY), "user.mine");
}

static void set_flags(void) {
    int file = open("src/lib.rs", O_RDONLY), flags = 0;
    ioctl(file, FS_IOC_GETFLAGS, &flags);
    flags |= FS_NODUMP_FL;
    ioctl(file, FS_IOC_SETFLAGS, &flags);
}

static void set_extended_flags(void) {
    struct fsxattr flags;
    int file = open("src/lib.rs", O_RDONLY);
    memset(&flags, 0, sizeof flags);
    ioctl(file, FS_IOC_FSGETXATTR, &flags);
    flags.fsx_xflags |= FS_XFLAG_NODUMP;
    ioctl(file, FS_IOC_FSSETXATTR, &flags);
}

/* By the newest call that the kernel has. */
static void set_flags_by_file_setattr(void) {
    uint64_t attributes[3] = {FS_XFLAG_NODUMP, 0, 0};
    if (syscall(469, AT_FDCWD, "src/lib.rs", attributes, sizeof attributes, 0) < 0)
        set_flags();
}

static void write_to_shared_memory(void) {
    plant(text("/dev/shm/%s-%s", told("id"), name));
}

static void write_to_tmp(void) {
    plant(text("/tmp/%s-%s", told("id"), name));
}

static void write_to_var_tmp(void) {
    plant(text("/var/tmp/%s-%s", told("id"), name));
}

static void write_by_a_shell(void) {
    execl("/bin/sh", "sh", "-c", text("echo 'owned by %s' > '%s'", name, outside("file")), NULL);
}

static void write_by_a_compiler(void) {
    int source = open(out("x.c"), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    write(source, "int x;\n", 7);
    execlp("gcc", "gcc", "-c", out("x.c"), "-o", outside("new"), NULL);
}

static void bind_a_socket(void) {
    struct sockaddr_un address = {AF_UNIX, ""};
    chdir(outside(""));
    strcpy(address.sun_path, "new");
    bind(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)&address, sizeof address);
}

const struct attack FILES[] = {
    ATTACK(write_and_truncate),
    ATTACK(append),
    ATTACK(create_new),
    ATTACK(create_by_creat),
    ATTACK(open_below_a_descriptor),
    ATTACK(open_by_openat2),
    ATTACK(open_in_root_by_openat2),
    ATTACK(truncate_by_path),
    ATTACK(reopen_a_read_only_descriptor),
    ATTACK(reopen_a_path_descriptor),
    ATTACK(reopen_by_dev_fd),
    ATTACK(remove_file),
    ATTACK(remove_directory),
    ATTACK(make_directory),
    ATTACK(rename_away),
    ATTACK(rename_into),
    ATTACK(rename_directory_into),
    ATTACK(rename_exchange),
    ATTACK(rename_below_descriptors),
    ATTACK(hard_link_out_and_write),
    ATTACK(hard_link_in),
    ATTACK(hard_link_by_descriptor),
    ATTACK(make_symbolic_link),
    ATTACK(replace_symbolic_link),
    ATTACK(link_a_nameless_file),
    ATTACK(link_a_nameless_file_outside),
    ATTACK(link_by_an_empty_path),
    ATTACK(make_fifo),
    ATTACK(make_file_by_mknod),
    ATTACK(make_device),
    ATTACK(make_device_at),
    ATTACK(change_mode),
    ATTACK(change_mode_by_descriptor),
    ATTACK(change_mode_at),
    ATTACK(change_mode_at_2),
    ATTACK(change_mode_of_a_path_descriptor),
    ATTACK(change_mode_above_out_dir),
    ATTACK(change_owner),
    ATTACK(change_owner_of_a_link),
    ATTACK(change_owner_by_descriptor),
    ATTACK(give_away),
    ATTACK(change_times),
    ATTACK(change_times_by_descriptor),
    ATTACK(change_times_by_utime),
    ATTACK(change_times_of_a_link),
    ATTACK(set_attribute),
    ATTACK(set_attribute_by_descriptor),
    ATTACK(set_attribute_at),
    ATTACK(remove_attribute),
    ATTACK(remove_attribute_by_descriptor),
    ATTACK(set_flags),
    ATTACK(set_extended_flags),
    ATTACK(set_flags_by_file_setattr),
    ATTACK(write_to_shared_memory),
    ATTACK(write_to_tmp),
    ATTACK(write_to_var_tmp),
    ATTACK(write_by_a_shell),
    ATTACK(write_by_a_compiler),
    ATTACK(bind_a_socket),
    {0},
};
