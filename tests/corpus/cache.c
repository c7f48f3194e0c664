/* A cache of pages. `fixed` has room for so many and replaces the oldest, `leak` keeps all. */
#include "corpus.h"

enum { PAGE = 16 << 10, ROOM = 2000, MOST = 1 << 20 };

static void *pages[MOST];

static NOINLINE void put(int at) {
    pages[at] = filled(malloc(PAGE), PAGE); /* THE LEAK */
}

int main(int count, char **arguments) {
    double seconds;
    int leaks = is_leak(count, arguments, &seconds);
    double start = now(), elapsed;
    /* Full after a third of the time. */
    for (int n = 0; (elapsed = now() - start) < seconds && n < MOST; n++) {
        if (leaks) {
            put(n);
        } else {
            free(pages[n % ROOM]);
            put(n % ROOM);
        }
        nap(seconds / 3 / ROOM - 60e-6 > 0 ? seconds / 3 / ROOM - 60e-6 : 1e-4);
    }
    puts("done");
    return 0;
}
