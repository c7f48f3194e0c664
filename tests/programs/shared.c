/* Children that share their parent's memory: what they allocate is the parent's. By vfork, by clone with CLONE_VM, while
 * another thread allocates; and one by posix_spawn, which executes this program again (ARGV[1]) and has its own. */
#include "program.h"
#include <sched.h>
#include <spawn.h>
#include <sys/wait.h>

enum { VFORKED = 30, CLONED = 20, SPAWNED = 10, SIZE = 3210 };
extern char **environ;
static atomic_int stop;
static _Alignas(16) char stack[1 << 18];

NOINLINE static void vforked_block(void) { keep(malloc(SIZE)); }
NOINLINE static void cloned_block(void) { keep(malloc(SIZE)); }
NOINLINE static void spawned_block(void) { keep(malloc(SIZE)); }

static int cloned(void *argument) {
    (void)argument;
    cloned_block();
    _exit(5);
}

static void *busy(void *argument) {
    (void)argument;
    while (!atomic_load(&stop)) free(keep(malloc(555)));
    return NULL;
}

static void expect(pid_t child, int code) {
    int status;
    require(child > 0 && waitpid(child, &status, 0) == child, "a child");
    require(WIFEXITED(status) && WEXITSTATUS(status) == code, "its exit code");
}

int main(int argc, char **argv) {
    if (argc > 1) {
        for (int i = 0; i < SPAWNED; i++) spawned_block();
        return 6;
    }
    pthread_t thread;
    require(!pthread_create(&thread, NULL, busy, NULL), "no thread");
    for (int i = 0; i < VFORKED; i++) {
        pid_t child = vfork();
        if (child == 0) {
            vforked_block();
            _exit(4);
        }
        expect(child, 4);
    }
    for (int i = 0; i < CLONED; i++) expect(clone(cloned, stack + sizeof stack, CLONE_VM | SIGCHLD, NULL), 5);
    char *again[] = {argv[0], "spawned", NULL};
    pid_t child;
    require(posix_spawn(&child, "/proc/self/exe", NULL, NULL, again, environ) == 0, "posix_spawn");
    expect(child, 6);
    atomic_store(&stop, 1);
    pthread_join(thread, NULL);
    truth("vforked_block", VFORKED * SIZE, VFORKED);
    truth("cloned_block", CLONED * SIZE, CLONED);
}
