/* Blocks handed between threads: four producers allocate, four consumers free all but every tenth. */
#include "program.h"

enum { PAIRS = 4, BLOCKS = 20000, ROOM = 64, SIZE = 777 };
struct pipe {
    _Atomic(void *) slot[ROOM];
} pipes[PAIRS];

NOINLINE static void *producer(void *argument) {
    struct pipe *pipe = argument;
    for (int i = 0; i < BLOCKS; i++) {
        void *block = keep(malloc(SIZE));
        while (atomic_load(&pipe->slot[i % ROOM])) sched_yield();
        atomic_store(&pipe->slot[i % ROOM], block);
    }
    return NULL;
}

static void *consumer(void *argument) {
    struct pipe *pipe = argument;
    for (int i = 0; i < BLOCKS; i++) {
        void *block;
        while (!(block = atomic_load(&pipe->slot[i % ROOM]))) sched_yield();
        atomic_store(&pipe->slot[i % ROOM], NULL);
        if (i % 10) free(block);
    }
    return NULL;
}

int main(void) {
    pthread_t thread[2 * PAIRS];
    for (int p = 0; p < PAIRS; p++) {
        require(!pthread_create(&thread[2 * p], NULL, producer, &pipes[p]), "no thread");
        require(!pthread_create(&thread[2 * p + 1], NULL, consumer, &pipes[p]), "no thread");
    }
    for (int t = 0; t < 2 * PAIRS; t++) pthread_join(thread[t], NULL);
    truth("producer", (uint64_t)PAIRS * BLOCKS / 10 * SIZE, PAIRS * BLOCKS / 10);
}
