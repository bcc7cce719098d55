/* Looks at a file whose path another thread changes into that of a hidden one while it is looked at, in
   every way, and says how often each of them saw the hidden one.

   usage: glancing GIVEN HIDDEN ROUNDS

   A round counts if the path has changed meanwhile. The two paths differ in one letter. Each is a
   directory of `file`, which may be executed if it is the hidden one, and `link`, which leads to its
   directory. */

#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static volatile int stop;
static volatile unsigned long changes;
static volatile char *letter;
static char letters[2];

static void *change(void *unused) {
    while (!stop)
        for (int which = 0; which < 2; which++, changes++)
            *letter = letters[which];
    return unused;
}

static char file[4096], link_[4096];
static int is_hidden_link(const char *text, long length) {
    return length > 0 && memchr(text, letters[1], (size_t)length) != NULL;
}

static struct stat hidden;
static int is_hidden(const struct stat *found, long result) {
    return result == 0 && found->st_mode == hidden.st_mode;
}

static int look(int way) {
    struct stat found;
    struct statx foundx;
    char text[4096];
    int opened, seen;
    switch (way) {
#ifdef SYS_stat
    case 0: return is_hidden(&found, syscall(SYS_stat, file, &found));
    case 1: return is_hidden(&found, syscall(SYS_lstat, file, &found));
    case 2: return syscall(SYS_access, file, X_OK) == 0;
    case 3: return is_hidden_link(text, syscall(SYS_readlink, link_, text, sizeof text));
#endif
    case 4: return is_hidden(&found, syscall(SYS_newfstatat, AT_FDCWD, file, &found, 0));
    case 5:
        return syscall(SYS_statx, AT_FDCWD, file, 0, STATX_MODE, &foundx) == 0 &&
               foundx.stx_mode == (hidden.st_mode & 0xffff);
    case 6: return syscall(SYS_faccessat, AT_FDCWD, file, X_OK) == 0;
    case 7: return syscall(SYS_faccessat2, AT_FDCWD, file, X_OK, 0) == 0;
    case 8: return is_hidden_link(text, syscall(SYS_readlinkat, AT_FDCWD, link_, text, sizeof text));
    case 9:
        opened = open(file, O_PATH);
        seen = opened >= 0 && is_hidden(&found, fstat(opened, &found));
        close(opened);
        return seen;
    /* With a path that is empty and is not. */
    case 10: return is_hidden(&found, syscall(SYS_newfstatat, 0, file, &found, AT_EMPTY_PATH));
    default: return -1;
    }
}

int main(int count, char **arguments) {
    if (count != 4)
        return 2;
    size_t at = 0;
    while (arguments[1][at] == arguments[2][at])
        at++;
    letters[1] = arguments[2][at];
    hidden.st_mode = S_IFREG | 0755;
    for (int way = 0; way <= 10; way++) {
        snprintf(file, sizeof file, "%s/file", way == 10 ? arguments[2] : arguments[1]);
        snprintf(link_, sizeof link_, "%s/link", arguments[1]);
        int is_link = way == 3 || way == 8;
        letter = (is_link ? link_ : file) + (way == 10 ? 0 : at);
        letters[0] = way == 10 ? '\0' : arguments[1][at];
        if (way == 10)
            letters[1] = '/';
        stop = 0;
        pthread_t changer;
        if (pthread_create(&changer, NULL, change, NULL) != 0)
            return 3;
        long seen = 0;
        for (long round = atol(arguments[3]); round > 0;) {
            unsigned long before = changes;
            seen += look(way) > 0;
            round -= changes != before;
        }
        stop = 1;
        pthread_join(changer, NULL);
        printf("cargo::warning=%d: %ld\n", way, seen);
    }
    return 0;
}
