/* The first process of a container must reap its orphans. Makes forty, which end at once, and waits until none is left,
 * not even as a zombie. Then waits for signal 15, upon which it ends with code 7. */
#include "program.h"
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

enum { ORPHANS = 40 };

static void on_signal(int signal) { _exit(signal == 15 ? 7 : 8); }

int main(void) {
    pid_t orphans[ORPHANS];
    signal(SIGTERM, on_signal);
    for (int i = 0; i < ORPHANS; i++) {
        int pipes[2];
        require(pipe(pipes) == 0, "pipe");
        pid_t child = fork();
        require(child >= 0, "fork");
        if (child == 0) {
            pid_t orphan = fork();
            require(orphan >= 0, "fork");
            if (orphan == 0) _exit(0);
            _exit(write(pipes[1], &orphan, sizeof orphan) != sizeof orphan);
        }
        require(waitpid(child, NULL, 0) == child, "its parent");
        require(read(pipes[0], &orphans[i], sizeof orphans[i]) == sizeof orphans[i], "its number");
        close(pipes[0]), close(pipes[1]);
    }
    for (int i = 0; i < ORPHANS; i++)
        for (int polls = 0; kill(orphans[i], 0) == 0 || errno != ESRCH; polls++)
            require(usleep(10000) == 0 && polls < 6000, "an orphan is left as a zombie");
    printf("parent %d, all reaped\n", getppid());
    fflush(stdout);
    for (;;) pause();
}
