/* Uses names in every way that there is, and writes down what each call answered. Calls are made without
   libc, which has only the newer ones. Symbolic links lead at the end where they led before, so that it can
   be told then what a path stood for. Started in an empty directory, which OUT_DIR names. */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static FILE *results;
static long show(const char *what, long result) {
    fprintf(results, "%s: %s\n", what, result < 0 ? strerrorname_np(errno) : "done");
    return result;
}
#define DO(call, ...) show(#call " " #__VA_ARGS__, syscall(SYS_##call, __VA_ARGS__))
/* Calls that younger machines do not have: there libc's functions make the newer ones of them. */
#ifdef SYS_open
#define OLD(call, ...) show(#call " " #__VA_ARGS__, syscall(SYS_##call, __VA_ARGS__))
#else
#define OLD(call, ...) show(#call " " #__VA_ARGS__, call(__VA_ARGS__))
#endif
#define OPEN(...) close(DO(openat, __VA_ARGS__))

static void run(const char *how, const char *path, int directory) {
    fflush(results);
    pid_t child = fork();
    if (child == 0) {
        char *arguments[] = {"program", NULL}, *environment[] = {"PATH=/usr/bin:/bin", NULL};
        if (strcmp(how, "at") == 0)
            syscall(SYS_execveat, directory, path, arguments, environment, 0);
        else if (strcmp(how, "fd") == 0)
            fexecve(directory, arguments, environment);
        else
            syscall(SYS_execve, path, arguments, environment);
        _exit(errno);
    }
    int status;
    waitpid(child, &status, 0);
    fprintf(results, "%s %s: %d\n", how, path, WEXITSTATUS(status));
}

static void *in_thread(void *unused) {
    OPEN(AT_FDCWD, "thread", O_WRONLY | O_CREAT, 0600);
    OPEN(AT_FDCWD, "/proc/thread-self/comm", O_RDONLY);
    return unused;
}

int main(void) {
    char *out = getenv("OUT_DIR");
    results = fopen("results", "we");
    mkdir("d", 0700), mkdir("d/e", 0700), mkdir("f", 0700);
    symlink("d/e", "link"), symlink("loop", "loop"), symlink("nowhere", "dangling"), symlink("d", "another link");
    symlink("../../made through", "d/e/out");
    int here = open(".", O_RDONLY | O_DIRECTORY), d = open("d", O_RDONLY | O_DIRECTORY);
    char absolute[5000];

    /* Opening. */
    OLD(creat, "file", 0600);
    OLD(open, "file", O_RDONLY);
    OLD(open, "file", O_RDWR);
    OLD(open, "file", O_WRONLY | O_APPEND);
    OLD(open, "file", O_RDONLY | O_CREAT, 0600);
    OLD(open, "new", O_WRONLY | O_CREAT | O_EXCL, 0600);
    OLD(open, "new", O_WRONLY | O_CREAT | O_EXCL, 0600);
    OLD(open, "link/through", O_WRONLY | O_CREAT | O_TRUNC, 0600);
    OLD(open, "dangling", O_WRONLY | O_CREAT | O_EXCL, 0600);
    OLD(open, "dangling", O_RDONLY);
    OLD(open, "link/out", O_WRONLY | O_CREAT, 0600);
    OLD(open, "loop", O_RDONLY);
    OLD(open, "link", O_RDONLY | O_NOFOLLOW);
    OLD(open, "link", O_RDONLY | O_DIRECTORY);
    OLD(open, "d", O_WRONLY);
    OLD(open, "d", O_RDONLY);
    OLD(open, "file/below", O_RDONLY);
    OLD(open, "file", O_RDONLY | O_DIRECTORY);
    OLD(open, "file/", O_RDONLY);
    OLD(open, "absent", O_RDONLY);
    OLD(open, "absent/below", O_WRONLY | O_CREAT, 0600);
    OLD(open, "link/../absent/below", O_RDONLY);
    OLD(open, "link/../../file", O_RDONLY);
    OLD(open, ".//d/./e/../../file", O_RDONLY);
    snprintf(absolute, sizeof absolute, "%s/link/through", out);
    OLD(open, absolute, O_RDONLY);
    OPEN(AT_FDCWD, "file", O_RDONLY);
    OPEN(here, "file", O_RDONLY);
    OPEN(d, "e/through", O_RDWR);
    OPEN(d, "../file", O_RDONLY);
    OPEN(d, absolute, O_RDONLY);
    OPEN(d, "absent", O_RDONLY);
    OPEN(d, "new below", O_RDWR | O_CREAT, 0600);
    OPEN(AT_FDCWD, "/dev/null", O_RDWR);
    OPEN(AT_FDCWD, "/proc/self/status", O_RDONLY);
    OPEN(AT_FDCWD, "/proc/self/absent", O_RDONLY);
    OPEN(AT_FDCWD, "/proc/self/cwd/file", O_RDONLY);
    int file = open("file", O_RDONLY);
    snprintf(absolute, sizeof absolute, "/proc/self/fd/%d", file);
    OPEN(AT_FDCWD, absolute, O_RDONLY);
    snprintf(absolute, sizeof absolute, "/dev/fd/%d", file);
    OPEN(AT_FDCWD, absolute, O_RDONLY);
    OPEN(AT_FDCWD, "gr\xc3\xb6\xc3\x9f" "e, \"quoted\" <x>\n", O_WRONLY | O_CREAT, 0600);
    OPEN(AT_FDCWD, "not \xff utf-8", O_WRONLY | O_CREAT, 0600);
    OPEN(AT_FDCWD, "not \xfe there", O_RDONLY);
    long how[3] = {O_RDONLY, 0, 0};
    DO(openat2, here, "file", how, sizeof how);
    how[0] = O_WRONLY | O_CREAT, how[1] = 0600, how[2] = 8 /* RESOLVE_BENEATH */;
    DO(openat2, d, "beneath", how, sizeof how);
    DO(openat2, d, "../beside", how, sizeof how);
    how[2] = 4 /* RESOLVE_NO_SYMLINKS */;
    DO(openat2, here, "link/through", how, sizeof how);
    how[2] = 16 /* RESOLVE_IN_ROOT */;
    DO(openat2, d, "/e/in root", how, sizeof how);

    /* Making, linking, renaming. */
    OLD(mkdir, "made", 0700);
    OLD(mkdir, "made", 0700);
    OLD(mkdir, "made with slash/", 0700);
    OLD(mkdir, "link/made", 0700);
    OLD(mkdir, "absent/made", 0700);
    DO(mkdirat, d, "made", 0700);
    OLD(mkdir, "dangling", 0700);
    OLD(mknod, "node", S_IFREG | 0600, 0);
    DO(mknodat, d, "node", S_IFREG | 0600, 0);
    OLD(symlink, "target", "made/symbolic");
    DO(symlinkat, "target", d, "symbolic");
    OLD(symlink, "target", "made/symbolic");
    OLD(link, "file", "made/hard");
    OLD(link, "absent", "made/harder");
    OLD(link, "link", "hard link");
    DO(linkat, here, "made/hard", d, "hard", 0);
    symlink("../file", "d/soft");
    DO(linkat, d, "soft", d, "followed", AT_SYMLINK_FOLLOW);
    DO(truncate, "d/soft", 10);
    OLD(rename, "new", "renamed");
    OLD(rename, "renamed", "file");
    OLD(rename, "absent", "renamed");
    OLD(rename, "file", "absent/renamed");
    OLD(rename, "made with slash", "link/moved");
    OLD(rename, "another link", "link renamed");
    OLD(rename, "d", "made");
    DO(renameat, d, "new below", here, "above");
    DO(renameat2, d, "hard", here, "above", 1 /* RENAME_NOREPLACE */);
    DO(renameat2, d, "hard", here, "above", 2 /* RENAME_EXCHANGE */);
    OPEN(d, "e/moved", O_RDONLY);

    /* A directory that has another name now, and one that has none. */
    OLD(rename, "d", "f/d");
    OPEN(d, "e/through", O_RDONLY);
    OPEN(d, "in renamed", O_WRONLY | O_CREAT, 0600);
    DO(unlinkat, d, "in renamed", 0);

    /* Removing. */
    OLD(unlink, "above");
    OLD(unlink, "absent");
    OLD(unlink, "made");
    OLD(unlink, "link renamed");
    DO(unlinkat, d, "hard", 0);
    DO(unlinkat, d, "made", AT_REMOVEDIR);
    DO(unlinkat, d, "absent", AT_REMOVEDIR);
    OLD(rmdir, "made");
    OLD(rmdir, "file");
    OLD(rmdir, "f/d/e/moved");
    DO(truncate, "file", 10);
    DO(truncate, "absent", 10);

    /* From other directories, processes and threads. */
    DO(chdir, "f/d");
    OLD(open, "node", O_RDONLY);
    OLD(mkdir, "from there", 0700);
    DO(fchdir, here);
    OLD(rmdir, "f/d/from there");
    DO(chdir, "absent");
    OLD(mkdir, "here again", 0700);
    fflush(results);
    if (vfork() == 0) {
        unlink("here again"), rmdir("here again");
        _exit(0);
    }
    if (fork() == 0) {
        DO(chdir, "f");
        OLD(rmdir, "d");
        OLD(rename, "d", "../d");
        OLD(mkdir, "in child", 0700);
        fflush(results);
        _exit(0);
    }
    wait(NULL), wait(NULL);
    OLD(mkdir, "in parent", 0700);
    fflush(results);
    pthread_t thread;
    pthread_create(&thread, NULL, in_thread, NULL);
    pthread_join(thread, NULL);

    /* Executing. */
    FILE *script = fopen("script", "w");
    fputs("#! /bin/sh -e\nexit 3\n", script), fclose(script), chmod("script", 0700);
    script = fopen("nested", "w");
    fprintf(script, "#!%s/script\n", out), fclose(script), chmod("nested", 0700);
    script = fopen("f/in f", "w");
    fputs("#!/usr/bin/env sh\nexit 4\n", script), fclose(script), chmod("f/in f", 0700);
    script = fopen("dead", "w");
    fputs("#!/no/such/interpreter\n", script), fclose(script), chmod("dead", 0700);
    symlink("/bin/true", "true"), symlink("f/in f", "linked script");
    run("path", "/bin/true", -1);
    run("path", "true", -1);
    run("path", "./script", -1);
    run("path", "nested", -1);
    run("path", "linked script", -1);
    run("path", "absent", -1);
    run("path", "dead", -1);
    run("path", "results", -1);
    run("path", "file/absent", -1);
    int f = open("f", O_RDONLY | O_DIRECTORY);
    run("at", "in f", f);
    run("at", "absent", f);
    file = open("/bin/true", O_RDONLY);
    run("fd", "true", file);
    fclose(results);
    return 0;
}
