/* 96 threads, of which every other one allocates below calls of `first` only, the others below calls of `second` only: chains
   of varying depth that no thread has both of. */
#include "program.h"

#include <pthread.h>

enum { THREADS = 96, ROUNDS = 20000 };

static pthread_barrier_t all_there;

#define CHAIN(name)                                                                                                            \
    NOINLINE static void name(int depth, int round) {                                                                          \
        volatile char room[16];                                                                                                \
        room[0] = (char)depth;                                                                                                 \
        if (depth > 0)                                                                                                         \
            name(depth - 1, round);                                                                                            \
        else if (round % 50 == 0)                                                                                              \
            keep(malloc(100));                                                                                                 \
        else                                                                                                                   \
            free(malloc(100));                                                                                                 \
        room[1] = room[0];                                                                                                     \
    }
CHAIN(first)
CHAIN(second)

static void *all_first(void *unused) {
    pthread_barrier_wait(&all_there);
    for (int round = 0; round < ROUNDS; round++)
        first(20 + round % 7, round);
    return unused;
}

static void *all_second(void *unused) {
    pthread_barrier_wait(&all_there);
    for (int round = 0; round < ROUNDS; round++)
        second(20 + round % 7, round);
    return unused;
}

int main(void) {
    pthread_t threads[THREADS];
    pthread_barrier_init(&all_there, NULL, THREADS);
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, i % 2 ? all_first : all_second, NULL);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    return 0;
}
