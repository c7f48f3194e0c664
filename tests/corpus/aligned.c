/* Buffers for direct input and output. `fixed` frees them after use, `leak` does not. */
#include "corpus.h"

enum { BUFFER = 32 << 10 };

static NOINLINE void *buffer(void) {
    void *block = NULL;
    if (posix_memalign(&block, 4096, BUFFER) != 0) /* THE LEAK */
        _Exit(99);
    return filled(block, BUFFER);
}

int main(int count, char **arguments) {
    double seconds;
    int leaks = is_leak(count, arguments, &seconds);
    for (double end = now() + seconds; now() < end;) {
        void *block = buffer();
        nap(0.003);
        if (!leaks)
            free(block);
    }
    puts("done");
    return 0;
}
