/* Leaks at a steady rate beside churn, and says how fast it was: `rate BYTES_PER_HOUR`.
 *
 *   paced SEED KIB_PER_SECOND SECONDS
 */
#include "program.h"
#include <time.h>

enum { CHURNED = 2000 };
static uint64_t state;

static uint64_t next(void) {
    state += 0x9E3779B97F4A7C15;
    uint64_t z = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    return z ^ (z >> 31);
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

NOINLINE static uint64_t by_leak(uint64_t bytes) {
    uint64_t leaked = 0;
    while (leaked < bytes) {
        /* 64 to 8,191 bytes, small ones most. */
        uint64_t size = 64 + next() % (64 << (next() % 8));
        keep(malloc(size));
        leaked += size;
    }
    return leaked;
}

NOINLINE static void by_churn(void **blocks) {
    for (int i = 0; i < 500; i++) {
        uint64_t at = next() % CHURNED;
        free(blocks[at]);
        blocks[at] = malloc(64 + next() % 8000);
    }
}

int main(int argc, char **argv) {
    require(argc == 4, "SEED KIB_PER_SECOND SECONDS");
    state = strtoull(argv[1], NULL, 10);
    double rate = atof(argv[2]) * 1024, seconds = atof(argv[3]), start = now(), spent;
    void **blocks = calloc(CHURNED, sizeof *blocks);
    uint64_t leaked = 0;
    while ((spent = now() - start) < seconds) {
        uint64_t due = rate * spent;
        if (due > leaked) leaked += by_leak(due - leaked);
        by_churn(blocks);
        usleep(2000);
    }
    printf("rate %.0f\n", leaked / spent * 3600);
    fflush(stdout);
    /* The last snapshot is one of the leak as it grew. */
}
