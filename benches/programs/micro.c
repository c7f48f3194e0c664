/* Times allocation patterns; prints nanoseconds per malloc+free pair on stdout.
 *
 *   micro PATTERN PAIRS THREADS
 *     pair     allocate 64 bytes and free them at once
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

static __attribute__((noinline)) void pair_loop(long n) {
    for (long i = 0; i < n; i++) {
        void *volatile block = malloc(64);
        free(block);
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
    if (depth > 0) return deep_loop(depth - 1, n) + 1; /* + 1: no tail call */
    pair_loop(n);
    return 0;
}

static void *work(void *unused) {
    (void)unused;
    if (!strcmp(pattern, "pair")) pair_loop(pairs);
    else if (!strcmp(pattern, "ring")) ring_loop(pairs, 4096);
    else if (!strcmp(pattern, "live")) ring_loop(pairs, 200000);
    else if (!strcmp(pattern, "realloc")) realloc_loop(pairs);
    else if (!strcmp(pattern, "deep")) deep_loop(40, pairs);
    else if (strcmp(pattern, "none")) exit(2);
    return NULL;
}

int main(int argc, char **argv) {
    if (argc != 4) return 2;
    pattern = argv[1];
    pairs = atol(argv[2]);
    int threads = atoi(argv[3]);
    pthread_t ids[64];
    struct timespec a, b;
    clock_gettime(CLOCK_MONOTONIC, &a);
    for (int i = 1; i < threads; i++) pthread_create(&ids[i], NULL, work, NULL);
    work(NULL);
    for (int i = 1; i < threads; i++) pthread_join(ids[i], NULL);
    clock_gettime(CLOCK_MONOTONIC, &b);
    double ns = (b.tv_sec - a.tv_sec) * 1e9 + (b.tv_nsec - a.tv_nsec);
    printf("%.3f\n", ns / pairs);
    return 0;
}
