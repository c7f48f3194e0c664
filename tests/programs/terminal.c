/* Runs a command on a terminal of its own, as its foreground process group; ends as it does. What is on stdin is typed,
 * what the terminal shows goes to stdout. The end of stdin is not passed on. */
#include "program.h"
#include <errno.h>
#include <poll.h>
#include <pty.h>
#include <sys/wait.h>
#include <termios.h>

static int copy(int from, int to) {
    char bytes[4096];
    ssize_t n = read(from, bytes, sizeof bytes);
    for (ssize_t at = 0, m; at < n; at += m)
        if ((m = write(to, bytes + at, n - at)) <= 0) return 0;
    return n > 0;
}

int main(int argc, char **argv) {
    (void)argc;
    struct termios settings;
    int master, status;
    /* Nothing is echoed, and a line ends as it was written. */
    require(openpty(&master, &status, NULL, NULL, NULL) == 0 && tcgetattr(master, &settings) == 0, "openpty");
    settings.c_lflag &= ~ECHO, settings.c_oflag &= ~OPOST;
    close(master), close(status);
    pid_t child = forkpty(&master, NULL, &settings, NULL);
    require(child >= 0, "forkpty");
    if (child == 0) {
        execvp(argv[1], argv + 1);
        _exit(127);
    }
    struct pollfd both[] = {{master, POLLIN, 0}, {0, POLLIN, 0}};
    for (;;) {
        if (poll(both, 2, -1) < 0 && errno == EINTR) continue;
        /* A terminal that nobody has open any more answers with an error. */
        if (both[0].revents && !copy(master, 1)) break;
        if (both[1].revents && !copy(0, master)) both[1].fd = -1;
    }
    require(waitpid(child, &status, 0) == child, "waitpid");
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
