/* A busy server: connections of random length on four threads, each with buffers. `leak` does not close one in ten. */
#include "corpus.h"

enum { THREADS = 4, OPEN = 200 };

struct connection {
    char *in, *out;
    struct connection *next;
};

static int leaks;
static double end;

static NOINLINE struct connection *accepted(void) {
    struct connection *c = filled(malloc(sizeof *c), sizeof *c);
    c->in = filled(malloc(8 << 10), 8 << 10);
    c->out = filled(malloc(16 << 10), 16 << 10); /* THE LEAK */
    return c;
}

static void closed(struct connection *c) {
    free(c->in);
    free(c->out);
    free(c);
}

static void *serve(void *argument) {
    unsigned seed = (unsigned)(uintptr_t)argument;
    struct connection *open[OPEN] = {0};
    for (unsigned n = 0; now() < end; n++) {
        int at = rand_r(&seed) % OPEN;
        if (open[at] != NULL && !(leaks && n % 10 == 0))
            closed(open[at]);
        open[at] = accepted();
        nap(0.002);
    }
    return NULL;
}

int main(int count, char **arguments) {
    double seconds;
    leaks = is_leak(count, arguments, &seconds);
    end = now() + seconds;
    pthread_t ids[THREADS];
    for (uintptr_t t = 0; t < THREADS; t++)
        pthread_create(&ids[t], NULL, serve, (void *)(t + 1));
    for (int t = 0; t < THREADS; t++)
        pthread_join(ids[t], NULL);
    puts("done");
    return 0;
}
