/* Tries one attack: the one that the package is named after, in whose directory it runs.

   Called with words it is a part of the world around: see `keeper.c`. */

#include "attack.h"

const char *name;
static char *known;

int keep(int count, char **words);
int bystander(char **words);
int inspect(const char *what);

const char *text(const char *format, ...) {
    char *result;
    va_list arguments;
    va_start(arguments, format);
    if (vasprintf(&result, format, arguments) < 0)
        abort();
    va_end(arguments);
    return result;
}

const char *told(const char *key) {
    size_t length = strlen(key);
    for (const char *line = known; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
        if (strncmp(line, key, length) == 0 && line[length] == '=')
            return strndup(line + length + 1, strcspn(line + length + 1, "\n"));
    fprintf(stderr, "nobody told %s\n", key);
    exit(97);
}

int number(const char *key) {
    return atoi(told(key));
}

const char *outside(const char *file) {
    return text("%s/outside/%s/%s", told("world"), name, file);
}

const char *out(const char *file) {
    return text("%s/%s", getenv("OUT_DIR"), file);
}

const char *home(const char *file) {
    return text("%s/home/%s", told("world"), file);
}

const char *workspace(const char *file) {
    return text("%s/workspace/%s", told("world"), file);
}

void mark(int file) {
    const char *mine = text("owned by %s\n", name);
    if (file >= 0 && write(file, mine, strlen(mine)) < 0)
        perror("mark");
}

void plant(const char *path) {
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
    if (file < 0) {
        perror(path);
        return;
    }
    mark(file);
    close(file);
}

void loot(const void *bytes, size_t length) {
    int file = open(out("loot"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (write(file, bytes, length) < 0)
        perror("loot");
    close(file);
}

void loot_from(int file) {
    char piece[65536];
    ssize_t length;
    while ((length = read(file, piece, sizeof piece)) > 0)
        loot(piece, (size_t)length);
    if (length < 0)
        perror("read");
}

void loot_file(const char *path) {
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        perror(path);
    else
        loot_from(file);
}

static volatile long steps;

static void *repeat(void *what) {
    for (;; steps++)
        ((void (*)(unsigned long))what)((unsigned long)steps);
    return NULL;
}

void meanwhile(void (*what)(unsigned long step)) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, repeat, (void *)what))
        abort();
    pthread_detach(thread);
    while (steps < 2)
        sched_yield();
}

/* A try counts if something has changed since the last one: where others run too, nothing does for long. */
int racing(void) {
    enum { TRIES = 250, SECONDS = 60 };
    static long last;
    static int counted, wanted;
    static time_t start;
    struct timespec now;
    /* The other clock may be set meanwhile. */
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (start == 0) {
        /* Without the jail, where it has to succeed, a try takes less. */
        const char *more = getenv("KEPT_TRIES");
        wanted = more ? atoi(more) : TRIES;
        start = now.tv_sec;
    }
    if (steps == last)
        sched_yield();
    else
        counted++;
    last = steps;
    return counted < wanted && now.tv_sec - start < SECONDS;
}

static const struct attack *const GROUNDS[] = {
    FILES,    LINKS_AND_RACES, PROCESSES, NETWORK, DESCRIPTORS, KERNEL_CALLS,
    TERMINAL, LAUNCHER_FILES,  SECRETS,   WARDEN,  ALONE,       INSTRUCTIONS,
};

int main(int count, char **words) {
    if (count > 2 && strcmp(words[1], "keep") == 0)
        return keep(count - 2, words + 2);
    if (count > 2 && strcmp(words[1], "bystander") == 0)
        return bystander(words + 2);
    if (count > 1 && strcmp(words[1], "list") == 0) {
        for (size_t ground = 0; ground < sizeof GROUNDS / sizeof *GROUNDS; ground++)
            for (const struct attack *attack = GROUNDS[ground]; attack->name; attack++)
                puts(attack->name);
        return 0;
    }
    /* A program that has its owner's rights, if the kernel gives it them. */
    if (count == 2 && strcmp(words[0], "elevated") == 0) {
        name = "elevated";
        plant(words[1]);
        return 0;
    }
    char *here = getcwd(NULL, 0);
    name = strrchr(here, '/') + 1;
    int file = open("told", O_RDONLY | O_CLOEXEC);
    known = calloc(1, 65536);
    if (file < 0 || read(file, known, 65535) < 0) {
        perror("told");
        return 98;
    }
    close(file);
    if (count > 2 && strcmp(words[1], "inspect") == 0)
        return inspect(words[2]);
    for (size_t ground = 0; ground < sizeof GROUNDS / sizeof *GROUNDS; ground++)
        for (const struct attack *attack = GROUNDS[ground]; attack->name; attack++)
            if (strcmp(attack->name, name) == 0) {
                attack->try();
                /* A script that fails is run again, and its package is not compiled. */
                return 1;
            }
    fprintf(stderr, "no attack is called %s\n", name);
    return 99;
}
