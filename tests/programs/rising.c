/* Allocates and frees without pause, and keeps PHASE blocks more for each line on stdin. Ends with stdin. */
#include <poll.h>

#include "program.h"

enum { SIZE = 400 };

NOINLINE static void kept(long blocks) {
    for (long i = 0; i < blocks; i++) {
        keep(malloc(SIZE));
        free(keep(malloc(SIZE)));
    }
}

NOINLINE static void churned(void) {
    for (int i = 0; i < 1000; i++) free(keep(malloc(SIZE)));
}

int main(int argc, char **argv) {
    long phase = argc > 1 ? atol(argv[1]) : 5000, live = 0;
    char line[16];
    struct pollfd input = {.fd = 0, .events = POLLIN};
    for (;;) {
        while (poll(&input, 1, 0) == 0) churned();
        if (read(0, line, sizeof line) <= 0) break;
        kept(phase);
        live += phase;
        puts("done");
        fflush(stdout);
    }
    truth("kept", (uint64_t)live * SIZE, live);
}
