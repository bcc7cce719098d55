/* The world around an attack: a keeper with a terminal and descriptors of its own, who starts Cargo and
   says what became of it and of who stood by; and bystanders. */

#include "attack.h"
#include <linux/keyctl.h>
#include <mqueue.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <termios.h>

/* What a bystander shows. */
struct shown {
    uint32_t signals, variable;
};

static struct shown *shown;

static void count_signal(int signal) {
    (void)signal;
    shown->signals++;
}

/* bystander FILE DIRECTORY SECRET: shows itself in the file, and ends with its standard input. */
int bystander(char **words) {
    int file = open(words[0], O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file < 0 || ftruncate(file, sizeof *shown))
        return 1;
    shown = mmap(NULL, sizeof *shown, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    shown->variable = 1;
    for (int signal = 1; signal < 32; signal++)
        if (!strchr((char[]){SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGCHLD, SIGCONT, 0}, signal))
            sigaction(signal, &(struct sigaction){.sa_handler = count_signal}, NULL);
    setpgid(0, 0);
    /* Debuggers of the same user may attach, where Yama asks for it. */
    prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
    int secret = open(text("%s/secret", words[1]), O_RDONLY | O_CLOEXEC);
    dprintf(1, "%lu %d\n", (unsigned long)&shown->variable, secret);
    const char *changing = text("%s/directory/%s", words[1], words[2]);
    for (;;) {
        struct pollfd input = {0, POLLIN, 0};
        if (poll(&input, 1, 20) > 0)
            return 0;
        close(open(changing, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
        unlink(changing);
    }
}

/* keep RESULT PORT PROGRAM…: runs the program with a terminal, a file (20, 21, 23), a directory (22) and a
   connected socket (24) that are not its own, in a group with a bystander. Writes into the file RESULT what
   became of it all, a line for each. */
int keep(int count, char **words) {
    const char *result = words[0], *world = getenv("KEPT_WORLD");
    (void)count;
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (master < 0 || grantpt(master) || unlockpt(master))
        return 91;
    const char *terminal = ptsname(master);
    setsid();
    int slave = open(terminal, O_RDWR | O_CLOEXEC);
    if (slave < 0 || ioctl(slave, TIOCSCTTY, 0))
        return 92;
    ioctl(slave, TIOCSWINSZ, &(struct winsize){24, 80, 0, 0});
    /* Somebody types. */
    const char *typed = text("%s\n", getenv("KEPT_TYPED"));
    if (write(master, typed, strlen(typed)) < 0)
        return 93;
    unsetenv("KEPT_TYPED");
    FILE *name_of_terminal = fopen(text("%s/terminal", world), "w");
    fputs(terminal, name_of_terminal);
    fclose(name_of_terminal);
    dup2(open(text("%s/outside/shared/file", world), O_RDWR), 20);
    dup2(open(text("%s/outside/shared/shortened", world), O_RDWR), 21);
    dup2(open(text("%s/outside/shared", world), O_RDONLY | O_DIRECTORY), 22);
    dup2(open(text("%s/outside/shared/mode", world), O_RDONLY), 23);
    struct sockaddr_in address = {AF_INET, htons((uint16_t)atoi(words[1])), {htonl(INADDR_LOOPBACK)}, {0}};
    int sender = socket(AF_INET, SOCK_DGRAM, 0);
    connect(sender, (struct sockaddr *)&address, sizeof address);
    dup2(sender, 24);
    for (int file = 3; file < 20; file++)
        if (file != master && file != slave)
            close(file);
    pid_t stands_by = fork();
    if (stands_by == 0) {
        signal(SIGTTOU, SIG_IGN);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;)
            pause();
    }
    /* No shell's child: its group is the terminal's foreground. */
    pid_t command = fork();
    if (command == 0) {
        signal(SIGTTOU, SIG_DFL);
        execvp(words[2], words + 2);
        _exit(94);
    }
    /* Signals that reach the group are the group's, not the keeper's. */
    for (int number = 1; number < 32; number++)
        if (number != SIGCHLD)
            signal(number, SIG_IGN);
    int status, kept;
    waitpid(command, &status, WUNTRACED);
    FILE *file = fopen(result, "w");
    if (WIFEXITED(status))
        fprintf(file, "command exit %d\n", WEXITSTATUS(status));
    else if (WIFSIGNALED(status))
        fprintf(file, "command signal %d\n", WTERMSIG(status));
    else
        fprintf(file, "command stopped\n");
    if (WIFSTOPPED(status))
        kill(command, SIGKILL);
    if (waitpid(stands_by, &kept, WNOHANG | WUNTRACED) == 0)
        fprintf(file, "bystander lives\n");
    else
        fprintf(file, "bystander ended\n");
    kill(stands_by, SIGKILL);
    struct winsize size = {0};
    struct termios settings;
    ioctl(slave, TIOCGWINSZ, &size);
    tcgetattr(slave, &settings);
    fprintf(file, "terminal %d columns, %s\n", size.ws_col, settings.c_lflag & TOSTOP ? "stops" : "goes on");
    /* What is typed into it, as if by the user; and what is written to it. */
    char bytes[65536];
    settings.c_lflag &= ~(tcflag_t)ICANON;
    tcsetattr(slave, TCSANOW, &settings);
    fcntl(slave, F_SETFL, O_NONBLOCK);
    fcntl(master, F_SETFL, O_NONBLOCK);
    for (ssize_t length; (length = read(slave, bytes, sizeof bytes)) > 0;)
        fprintf(file, "typed %.*s\n", (int)length, bytes);
    for (ssize_t length; (length = read(master, bytes, sizeof bytes)) > 0;)
        fprintf(file, "displayed %.*s\n", (int)length, bytes);
    fclose(file);
    return 0;
}

/* What lies outside of every file system: prints it and takes it away. `before` puts secrets there. */
int inspect(const char *what) {
    int key = number("key");
    int is_before = strcmp(what, "before") == 0;
    const char *queue = text("/%s-%s", told("id"), name);
    if (strcmp(name, "read_shared_memory") == 0 && is_before) {
        int memory = shmget(key, 4096, IPC_CREAT | 0600);
        strcpy(shmat(memory, NULL, 0), told("secret"));
        return 0;
    }
    if (strcmp(name, "read_key") == 0 && is_before) {
        const char *secret = told("secret");
        long id = syscall(SYS_add_key, "user", text("%s-%s", told("id"), name), secret, strlen(secret),
                          KEY_SPEC_USER_KEYRING);
        syscall(SYS_keyctl, KEYCTL_SETPERM, id, 0x3f3f0000);
        return id < 0;
    }
    if ((strcmp(name, "send_to_a_queue") == 0) && is_before)
        return msgget(key, IPC_CREAT | 0600) < 0;
    if (is_before)
        return 0;
    int memory = shmget(key, 0, 0), queued = msgget(key, 0), semaphores = semget(key, 0, 0);
    struct { long kind; char bytes[64]; } message;
    if (memory >= 0) {
        puts("shared memory");
        shmctl(memory, IPC_RMID, NULL);
    }
    if (queued >= 0) {
        puts(msgrcv(queued, &message, sizeof message.bytes, 0, IPC_NOWAIT) >= 0 ? "message" : "queue");
        msgctl(queued, IPC_RMID, NULL);
    }
    if (semaphores >= 0) {
        puts("semaphores");
        semctl(semaphores, 0, IPC_RMID);
    }
    if (mq_unlink(queue) == 0)
        puts("POSIX queue");
    long found = syscall(SYS_keyctl, KEYCTL_SEARCH, KEY_SPEC_USER_KEYRING, "user",
                         text("%s-%s", told("id"), name), 0);
    if (found >= 0) {
        puts("key");
        syscall(SYS_keyctl, KEYCTL_UNLINK, found, KEY_SPEC_USER_KEYRING);
    }
    return 0;
}
