/* A program with busy threads that changes what it is: ARGV[1] is
 *
 *   user     drops its user, which glibc does in every thread, and goes on
 *   program  executes itself anew from a thread other than the first (ARGV[1] is then `new`) */
#include "program.h"

enum { BLOCKS = 200, SIZE = 1999 };
static atomic_int stop, allocated;

NOINLINE static void old_block(void) { keep(malloc(SIZE)); }
NOINLINE static void new_block(void) { keep(malloc(SIZE)); }

static void *busy(void *argument) {
    (void)argument;
    while (!atomic_load(&stop)) {
        free(keep(malloc(555)));
        atomic_fetch_add(&allocated, 1);
    }
    return NULL;
}

static void *execute(void *argument) {
    execl("/proc/self/exe", (char *)argument, "new", (char *)NULL);
    require(0, "exec");
    return NULL;
}

int main(int argc, char **argv) {
    require(argc > 1, "what to change");
    pthread_t threads[4], executing;
    if (strcmp(argv[1], "new")) {
        for (int i = 0; i < BLOCKS; i++) old_block();
        for (int i = 0; i < 4; i++) require(!pthread_create(&threads[i], NULL, busy, NULL), "no thread");
        while (atomic_load(&allocated) < 1000) sched_yield();
        if (!strcmp(argv[1], "program")) {
            require(!pthread_create(&executing, NULL, execute, argv[0]), "no thread");
            pthread_join(executing, NULL);
        }
        require(setuid(65534) == 0, "setuid");
        int before = atomic_load(&allocated);
        while (atomic_load(&allocated) < before + 1000) sched_yield();
        atomic_store(&stop, 1);
        for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
        truth("old_block", BLOCKS * SIZE, BLOCKS);
    }
    for (int i = 0; i < BLOCKS; i++) new_block();
    truth("new_block", BLOCKS * SIZE, BLOCKS);
}
