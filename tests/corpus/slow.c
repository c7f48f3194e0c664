/* Messages that are sent and freed, one hundred at a time. `leak` forgets one of each hundred. */
#include "corpus.h"

enum { MESSAGE = 4 << 10, BATCH = 100 };

static NOINLINE void *message(void) {
    return filled(malloc(MESSAGE), MESSAGE); /* THE LEAK */
}

int main(int count, char **arguments) {
    double seconds;
    int leaks = is_leak(count, arguments, &seconds);
    for (double end = now() + seconds; now() < end;) {
        void *batch[BATCH];
        for (int i = 0; i < BATCH; i++)
            batch[i] = message();
        nap(0.003);
        for (int i = leaks ? 1 : 0; i < BATCH; i++)
            free(batch[i]);
    }
    puts("done");
    return 0;
}
