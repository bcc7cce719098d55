/* Uses descriptors that somebody left open when Cargo was started: see `keeper.c`. */

#include "attack.h"

enum { FILE_OUTSIDE = 20, SHORTENED = 21, DIRECTORY = 22, READ_ONLY = 23, SENDER = 24 };

/* Everybody has a place of its own in the file. */
static off_t place(void) {
    return number("index") * 64;
}

static int source(void) {
    int file = open(out("source"), O_RDWR | O_CREAT | O_TRUNC, 0644);
    mark(file);
    return file;
}

static void write_to_an_inherited_file(void) {
    const char *mine = text("owned by %s\n", name);
    pwrite(FILE_OUTSIDE, mine, strlen(mine), place());
}

static void map_an_inherited_file(void) {
    char *bytes = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_SHARED, FILE_OUTSIDE, 0);
    if (bytes != MAP_FAILED)
        strcpy(bytes + place(), text("owned by %s\n", name));
}

static void copy_to_an_inherited_file(void) {
    off_t from = 0, to = place();
    copy_file_range(source(), &from, FILE_OUTSIDE, &to, 64, 0);
}

static void splice_to_an_inherited_file(void) {
    int ends[2];
    off_t to = place();
    pipe(ends);
    mark(ends[1]);
    splice(ends[0], NULL, FILE_OUTSIDE, &to, 64, 0);
}

static void reopen_an_inherited_file(void) {
    int file = open(text("/proc/self/fd/%d", FILE_OUTSIDE), O_WRONLY);
    const char *mine = text("owned by %s\n", name);
    pwrite(file, mine, strlen(mine), place());
}

static void shorten_an_inherited_file(void) {
    ftruncate(SHORTENED, 1);
}

static void create_in_an_inherited_directory(void) {
    mark(openat(DIRECTORY, name, O_WRONLY | O_CREAT, 0644));
}

static void enter_an_inherited_directory(void) {
    if (fchdir(DIRECTORY) == 0)
        plant(name);
}

static void go_up_from_an_inherited_directory(void) {
    mark(openat(DIRECTORY, text("../%s/file", name), O_WRONLY));
}

static void change_an_inherited_file(void) {
    fchmod(READ_ONLY, 0600);
}

static void send_by_an_inherited_socket(void) {
    send(SENDER, name, strlen(name), 0);
}

/* The supervisor's own, by their numbers: what it has open could be inherited by mistake. */
static void write_to_every_descriptor(void) {
    for (int file = 3; file < 1024; file++) {
        const char *mine = text("owned by %s\n", name);
        if (file != SHORTENED && lseek(file, 0, SEEK_CUR) >= 0)
            pwrite(file, mine, strlen(mine), place());
    }
}

const struct attack DESCRIPTORS[] = {
    ATTACK(write_to_an_inherited_file),
    ATTACK(map_an_inherited_file),
    ATTACK(copy_to_an_inherited_file),
    ATTACK(splice_to_an_inherited_file),
    ATTACK(reopen_an_inherited_file),
    ATTACK(shorten_an_inherited_file),
    ATTACK(create_in_an_inherited_directory),
    ATTACK(enter_an_inherited_directory),
    ATTACK(go_up_from_an_inherited_directory),
    ATTACK(change_an_inherited_file),
    ATTACK(send_by_an_inherited_socket),
    ATTACK(write_to_every_descriptor),
    {0},
};
