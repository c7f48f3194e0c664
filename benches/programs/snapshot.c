/* Holds 20,000 blocks from 2,000 stacks of 30 frames and 5,000 mappings, while a thread allocates and maps without a
 * pause. For each line on stdin: the longest that a malloc+free and a mmap+munmap took since the last one, in us. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

enum { BLOCKS = 20000, MAPPINGS = 5000, DEPTH = 30, STACKS = 2000 };

static void *volatile sink;
static _Atomic long longest_malloc, longest_map;

static __attribute__((noinline)) long down(unsigned stack, int depth) {
    if (depth == 0) {
        sink = malloc(64);
        return 0;
    }
    /* Two calls, so that paths differ; + 1: no tail call. */
    if (stack >> (depth % 11) & 1) return down(stack, depth - 1) + 1;
    return down(stack, depth - 1) + 2;
}

static long now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000L + time.tv_nsec;
}

static void note(_Atomic long *longest, long since) {
    long took = now() - since;
    if (took > atomic_load(longest)) atomic_store(longest, took);
}

static void *work(void *unused) {
    for (;;) {
        long before = now();
        sink = malloc(100);
        free(sink);
        note(&longest_malloc, before);
        before = now();
        munmap(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), 4096);
        note(&longest_map, before);
    }
    return unused;
}

int main(void) {
    int byte;
    pthread_t thread;
    for (int i = 0; i < BLOCKS; i++) down(i % STACKS, DEPTH);
    /* Of two kinds in turn, which the kernel cannot join. */
    for (int i = 0; i < MAPPINGS; i++)
        if (mmap(NULL, 4096, i % 2 ? PROT_READ : PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED)
            return 1;
    pthread_create(&thread, NULL, work, NULL);
    for (puts("ready"), fflush(stdout); (byte = getchar()) != EOF;) {
        if (byte != '\n') continue;
        printf("%ld %ld\n", atomic_exchange(&longest_malloc, 0) / 1000, atomic_exchange(&longest_map, 0) / 1000);
        fflush(stdout);
    }
    return 0;
}
