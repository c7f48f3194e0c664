/* Memory of known kinds and sizes: blocks of malloc, small and large, a mapping of its own, stacks. Then stdin's end. */
#include "program.h"
#include <string.h>
#include <sys/mman.h>

enum { MIB = 1 << 20, SMALL = 20, LARGE = 30, MAPPED = 40, THREADS = 8, STACK_KIB = 256 };

static pthread_barrier_t barrier;

static void *deep(void *argument) {
    char room[STACK_KIB << 10];
    memset(room, 1, sizeof room);
    keep(room);
    pthread_barrier_wait(&barrier);
    pause();
    return argument;
}

int main(void) {
    for (int i = 0; i < SMALL * 16; i++) memset(keep(malloc(MIB / 16)), 1, MIB / 16);
    memset(keep(malloc((size_t)LARGE * MIB)), 1, (size_t)LARGE * MIB);
    void *mapped = mmap(NULL, (size_t)MAPPED * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    require(mapped != MAP_FAILED, "no memory");
    memset(keep(mapped), 1, (size_t)MAPPED * MIB);
    pthread_barrier_init(&barrier, NULL, THREADS + 1);
    pthread_t thread;
    for (int t = 0; t < THREADS; t++) require(!pthread_create(&thread, NULL, deep, NULL), "no thread");
    pthread_barrier_wait(&barrier);
    puts("ready");
    fflush(stdout);
    while (getchar() >= 0) continue;
    _exit(0);
}
