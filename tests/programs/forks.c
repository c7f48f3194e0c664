/* A parent with known blocks forks: the child frees its copies of all, allocates its own and ends. Then the same by
 * vfork and exec, by a child that outlives its parent's wait, and with another thread busy allocating meanwhile. */
#include "program.h"
#include <spawn.h>
#include <sys/wait.h>

enum { BLOCKS = 1000, SIZE = 3333 };
static void *blocks[BLOCKS];
static atomic_int stop;
extern char **environ;

NOINLINE static void parent_block(void) {
    for (int i = 0; i < BLOCKS; i++) blocks[i] = keep(malloc(SIZE));
}

NOINLINE static void child_block(void) {
    for (int i = 0; i < BLOCKS; i++) free(blocks[i]);
    for (int i = 0; i < 10 * BLOCKS; i++) keep(malloc(77));
}

static void *busy(void *argument) {
    (void)argument;
    while (!atomic_load(&stop)) free(keep(malloc(555)));
    return NULL;
}

int main(void) {
    pthread_t thread;
    int status;
    parent_block();
    require(!pthread_create(&thread, NULL, busy, NULL), "no thread");
    for (int round = 0; round < 20; round++) {
        pid_t child = fork();
        require(child >= 0, "fork");
        if (child == 0) {
            child_block();
            _exit(7);
        }
        require(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 7, "the child");
        char *argv[] = {"true", NULL};
        require(posix_spawnp(&child, "true", NULL, NULL, argv, environ) == 0, "posix_spawn");
        require(waitpid(child, &status, 0) == child && status == 0, "the spawned program");
    }
    atomic_store(&stop, 1);
    pthread_join(thread, NULL);
    truth("parent_block", (uint64_t)BLOCKS * SIZE, BLOCKS);
    truth("child_block", 0, 0);
    truth("busy", 0, 0);
}
