/* Known live bytes in ten functions, sizes 16 B to 16 MiB, allocated by ARGV[1] threads; a third of all blocks is
 * freed again. Threads start to sample one after another, so a seed gives the same run again. */
#include "program.h"

struct site {
    const char *name;
    void (*leak)(long);
    uint64_t size;
    long live;
};

#define SITE(size)                                                                                                     \
    NOINLINE static void leak_##size(long live) {                                                                      \
        for (long i = 0; i < live; i++) {                                                                              \
            keep(malloc(size));                                                                                        \
            if (i % 2) free(keep(malloc(size)));                                                                       \
        }                                                                                                              \
    }
SITE(16)
SITE(64)
SITE(256)
SITE(1000)
SITE(4096)
SITE(65536)
SITE(300000)
SITE(1048576)
SITE(4194304)
SITE(16777216)

/* Between 1 and 130 samples are expected at 512 KiB: the hard region of the intervals, and the easy one. */
static const struct site SITES[] = {
    {"leak_16", leak_16, 16, 6 << 16},           {"leak_64", leak_64, 64, 8192},
    {"leak_256", leak_256, 256, 6144},           {"leak_1000", leak_1000, 1000, 3146},
    {"leak_4096", leak_4096, 4096, 5120},        {"leak_65536", leak_65536, 65536, 160},
    {"leak_300000", leak_300000, 300000, 37},    {"leak_1048576", leak_1048576, 1048576, 24},
    {"leak_4194304", leak_4194304, 4194304, 16}, {"leak_16777216", leak_16777216, 16777216, 4},
};
enum { N = sizeof SITES / sizeof SITES[0] };

static long threads;
static atomic_long started;

static void *worker(void *argument) {
    long me = (long)argument;
    while (atomic_load(&started) != me) usleep(50);
    free(keep(malloc(1)));
    atomic_store(&started, me + 1);
    for (int s = 0; s < N; s++) SITES[s].leak(SITES[s].live / threads + (me < SITES[s].live % threads));
    return NULL;
}

int main(int argc, char **argv) {
    pthread_t thread[8];
    threads = argc > 1 ? atol(argv[1]) : 1;
    require(threads >= 1 && threads <= 8, "1 to 8 threads");
    for (long t = 0; t < threads; t++) require(!pthread_create(&thread[t], NULL, worker, (void *)t), "no thread");
    for (long t = 0; t < threads; t++) pthread_join(thread[t], NULL);
    for (int s = 0; s < N; s++) truth(SITES[s].name, SITES[s].size * SITES[s].live, SITES[s].live);
}
