/* Times allocation patterns; prints nanoseconds per malloc+free pair on stdout, then the KiB that were resident at most.
 *
 *   micro PATTERN PAIRS THREADS
 *
 * Half as many pairs go before, and are not timed: a profiler's first moments are not what a call costs (heaptrack's
 * reader takes a quarter of a second to start, and the program waits for it).
 *
 *     pair     allocate 64 bytes and free them at once
 *     NUMBER   the same with so many bytes
 *     handed   each thread frees what its neighbour allocated, 64 bytes, in batches of 256
 *     ring     a ring of 4,096 live blocks of 16 to 1,039 bytes
 *     live     the same with 200,000 live blocks
 *     realloc  grow a block from 16 bytes to 64 KiB by doubling (12 reallocs count as 12 pairs)
 *     deep     pairs of 64 bytes below 40 frames
 *     none     nothing: what the program costs without its loop
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char *pattern;
static long pairs;

static __attribute__((noinline)) void pair_loop(long n, size_t size) {
    for (long i = 0; i < n; i++) {
        void *volatile block = malloc(size);
        free(block);
    }
}

enum { BATCH = 256, MOST_THREADS = 64 };
static int threads;
static void *batches[MOST_THREADS][BATCH];
static pthread_barrier_t barrier;

static __attribute__((noinline)) void handed_loop(long n, int thread) {
    for (long i = 0; i < n; i += BATCH) {
        for (int j = 0; j < BATCH; j++) batches[thread][j] = malloc(64);
        pthread_barrier_wait(&barrier);
        for (int j = 0; j < BATCH; j++) free(batches[(thread + 1) % threads][j]);
        pthread_barrier_wait(&barrier);
    }
}

static __attribute__((noinline)) void ring_loop(long n, long live) {
    void **blocks = calloc(live, sizeof *blocks);
    unsigned random = 1;
    for (long i = 0; i < n; i++) {
        random = random * 1664525 + 1013904223;
        long at = (random >> 8) % live;
        free(blocks[at]);
        blocks[at] = malloc(16 + (random >> 20) % 1024);
    }
    for (long i = 0; i < live; i++) free(blocks[i]);
    free(blocks);
}

static __attribute__((noinline)) void realloc_loop(long n) {
    for (long i = 0; i < n; i += 12) {
        void *block = NULL;
        for (size_t size = 16; size <= 65536 / 2; size *= 2) block = realloc(block, size);
        free(block);
    }
}

static __attribute__((noinline)) long deep_loop(int depth, long n) {
    if (depth == 0) {
        pair_loop(n, 64);
        return 0;
    }
    long below = deep_loop(depth - 1, n);
    __asm__ volatile("" : "+r"(below)); /* or the compiler makes a loop of it */
    return below + 1;
}

static long resident_kib(void) {
    char line[256];
    long kib = 0;
    FILE *status = fopen("/proc/self/status", "r");
    while (status && fgets(line, sizeof line, status))
        if (sscanf(line, "VmHWM: %ld", &kib) == 1) break;
    if (status) fclose(status);
    return kib;
}

static struct timespec begin;

static void run(long pairs, void *thread) {
    if (!strcmp(pattern, "pair")) pair_loop(pairs, 64);
    else if (atol(pattern) > 0) pair_loop(pairs, atol(pattern));
    else if (!strcmp(pattern, "handed")) handed_loop(pairs, (int)(long)thread);
    else if (!strcmp(pattern, "ring")) ring_loop(pairs, 4096);
    else if (!strcmp(pattern, "live")) ring_loop(pairs, 200000);
    else if (!strcmp(pattern, "realloc")) realloc_loop(pairs);
    else if (!strcmp(pattern, "deep")) deep_loop(40, pairs);
    else if (strcmp(pattern, "none")) exit(2);
}

static void *work(void *thread) {
    run(pairs / 2, thread);
    pthread_barrier_wait(&barrier);
    if (!thread) clock_gettime(CLOCK_MONOTONIC, &begin);
    run(pairs, thread);
    return NULL;
}

int main(int argc, char **argv) {
    if (argc != 4) return 2;
    pattern = argv[1];
    pairs = atol(argv[2]);
    threads = atoi(argv[3]);
    if (threads < 1 || threads > MOST_THREADS) return 2;
    pthread_t ids[MOST_THREADS];
    pthread_barrier_init(&barrier, NULL, threads);
    struct timespec end;
    for (long i = 1; i < threads; i++) pthread_create(&ids[i], NULL, work, (void *)i);
    work(NULL);
    for (int i = 1; i < threads; i++) pthread_join(ids[i], NULL);
    clock_gettime(CLOCK_MONOTONIC, &end);
    double ns = (end.tv_sec - begin.tv_sec) * 1e9 + (end.tv_nsec - begin.tv_nsec);
    printf("%.3f\n%ld\n", ns / pairs, resident_kib());
    return 0;
}
