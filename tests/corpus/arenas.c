/* Waves of short-lived threads. What is live stays flat; each wave leaves a few blocks at the top of its arenas, so that
 * glibc keeps all that lies below them, in more arenas with every wave. `fixed` trims. Nine in eight seconds: a second's wave
 * would keep step with the timeline. */
#include "corpus.h"

enum { BLOCK = 8 << 10, BLOCKS = 400, WAVES = 9, MOST = 18 };

static pthread_barrier_t together;
static void *pins[WAVES * MOST];

struct job {
    int number;
};

static NOINLINE void *wave(void *argument) {
    struct job *job = argument;
    void **blocks = filled(calloc(BLOCKS, sizeof *blocks), BLOCKS * sizeof *blocks);
    /* All at once, so that each thread has an arena of its own. */
    pthread_barrier_wait(&together);
    for (int i = 0; i < BLOCKS; i++)
        blocks[i] = filled(malloc(BLOCK), BLOCK);
    pins[job->number] = filled(malloc(64), 64);
    pthread_barrier_wait(&together);
    for (int i = 0; i < BLOCKS; i++)
        free(blocks[i]);
    free(blocks);
    return NULL;
}

int main(int count, char **arguments) {
    double seconds;
    int leaks = is_leak(count, arguments, &seconds);
    for (int w = 0; w < WAVES; w++) {
        /* Two threads more each time: two arenas more. */
        int threads = 2 * (w + 1);
        pthread_t ids[MOST];
        struct job jobs[MOST];
        pthread_barrier_init(&together, NULL, threads);
        for (int t = 0; t < threads; t++) {
            jobs[t].number = w * MOST + t;
            pthread_create(&ids[t], NULL, wave, &jobs[t]);
        }
        for (int t = 0; t < threads; t++)
            pthread_join(ids[t], NULL);
        pthread_barrier_destroy(&together);
        if (!leaks)
            malloc_trim(0);
        nap(seconds / WAVES);
    }
    puts("done");
    return 0;
}
