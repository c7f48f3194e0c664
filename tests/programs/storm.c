/* 64 threads allocate, resize, exchange and free blocks at random, ARGV[1] times each, and free every one. */
#include "program.h"

enum { THREADS = 64, SLOTS = 32, EXCHANGE = 256 };
static _Atomic(void *) exchange[EXCHANGE];
static long rounds;

NOINLINE static void *storm_malloc(size_t size) { return keep(malloc(size)); }
NOINLINE static void *storm_realloc(void *block, size_t size) { return keep(realloc(block, size)); }

static void *worker(void *argument) {
    uint64_t random = (uint64_t)argument * 0x9E3779B97F4A7C15 + 1;
    void *mine[SLOTS] = {0};
    for (long i = 0; i < rounds; i++) {
        random ^= random << 13, random ^= random >> 7, random ^= random << 17;
        int slot = random % SLOTS;
        size_t size = 1 + (random >> 8) % 5000;
        switch ((random >> 32) % 4) {
        case 0:
            free(mine[slot]);
            mine[slot] = storm_malloc(size);
            break;
        case 1:
            mine[slot] = storm_realloc(mine[slot], size);
            break;
        case 2: /* freed, or resized, by whichever thread finds it */
            mine[slot] = atomic_exchange(&exchange[(random >> 40) % EXCHANGE], mine[slot]);
            break;
        default:
            free(mine[slot]);
            mine[slot] = NULL;
        }
    }
    for (int slot = 0; slot < SLOTS; slot++) free(mine[slot]);
    return NULL;
}

int main(int argc, char **argv) {
    pthread_t thread[THREADS];
    rounds = argc > 1 ? atol(argv[1]) : 1000;
    for (long t = 0; t < THREADS; t++) require(!pthread_create(&thread[t], NULL, worker, (void *)t), "no thread");
    for (long t = 0; t < THREADS; t++) pthread_join(thread[t], NULL);
    for (int i = 0; i < EXCHANGE; i++) free(exchange[i]);
    truth("storm_malloc", 0, 0);
    truth("storm_realloc", 0, 0);
}
