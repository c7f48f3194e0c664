/* A daemon: forks twice, leads a session of its own and closes every descriptor; the command that started it ends.
 *
 * ARGV: a pipe to read from, one to write to, and perhaps a user. For each line it leaks ten blocks of 10007 B and answers
 * `done`, to one more of which nobody has to ask; it ends with the pipe. With a user it leaves that to a child, which drops
 * to that user first. */
#include "program.h"
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

NOINLINE static void step(void) {
    for (int i = 0; i < 10; i++) keep(malloc(10007));
}

static void detach(void) {
    int null = open("/dev/null", O_RDWR);
    for (int fd = 0; fd < 3; fd++) require(dup2(null, fd) == fd, "dup2");
}

/* `done` is a descriptor that says that the daemon is there: its process id, once the first blocks have been allocated. */
static void serve(const char *in, const char *out, int done) {
    char line;
    step();
    require(dup2(done, 3) == 3 && syscall(SYS_close_range, 4, ~0U, 0) == 0, "close_range");
    pid_t self = getpid();
    require(write(3, &self, sizeof self) == sizeof self && close(3) == 0, "the pipe");
    detach();
    int from = open(in, O_RDONLY), to = open(out, O_WRONLY);
    require(from >= 0 && to >= 0, "the pipes");
    while (read(from, &line, 1) == 1) {
        if (line != '\n') continue;
        step();
        require(write(to, "done\n", 5) == 5, "answer");
    }
}

int main(int argc, char **argv) {
    int done[2];
    require(argc > 2 && pipe(done) == 0, "two pipes");
    pid_t child = fork();
    require(child >= 0, "fork");
    if (child == 0) {
        require(setsid() > 0, "setsid");
        child = fork();
        require(child >= 0, "fork");
        if (child > 0) _exit(0);
        require(chdir("/") == 0, "chdir");
        umask(0);
        if (argc > 3) {
            keep(malloc(1));
            child = fork();
            require(child >= 0, "fork");
            if (child > 0) {
                detach();
                close(done[1]);
                _exit(waitpid(child, NULL, 0) != child);
            }
            require(setuid(atoi(argv[3])) == 0, "setuid");
        }
        serve(argv[1], argv[2], done[1]);
        _exit(0);
    }
    close(done[1]);
    pid_t self;
    require(read(done[0], &self, sizeof self) == sizeof self, "the daemon");
    printf("daemon %d\n", self);
    return 0;
}
