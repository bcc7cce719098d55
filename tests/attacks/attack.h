/* What the attacks share: where they are, what they were told, and what they leave. */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

/* One attack: its name, which is its package's, and what it does. It may end or replace the process. */
struct attack {
    const char *name;
    void (*try)(void);
};
#define ATTACK(function) {#function, function}

extern const struct attack FILES[], LINKS_AND_RACES[], PROCESSES[], NETWORK[], DESCRIPTORS[],
    KERNEL_CALLS[], TERMINAL[], LAUNCHER_FILES[], SECRETS[], WARDEN[], ALONE[], INSTRUCTIONS[];

/* The attack's name. */
extern const char *name;

/* A formatted text, which is never freed. */
const char *text(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* A line `KEY=VALUE` of the file `told` in the package. */
const char *told(const char *key);
int number(const char *key);
/* Paths: in the attack's own directory outside, in OUT_DIR, in the home directory, in the workspace. */
const char *outside(const char *file);
const char *out(const char *file);
const char *home(const char *file);
const char *workspace(const char *file);
/* Writes who was here, by a descriptor or into a file. */
void mark(int file);
void plant(const char *path);
/* Puts what was learned where the test looks for it: into OUT_DIR. */
void loot(const void *bytes, size_t length);
void loot_from(int file);
void loot_file(const char *path);
/* Does something in a thread until the process ends. */
void meanwhile(void (*what)(unsigned long step));
/* Whether that thread has not yet had its chances. Asked before each try. */
int racing(void);
