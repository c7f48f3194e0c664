/* The same many bytes by each call that a libc may serve by calling another one. */
#include "program.h"
#include <malloc.h>

enum { COUNT = 20000, BYTES = 400 };

#define CALL(name, expression)                                                                                         \
    NOINLINE static void by_##name(void) {                                                                             \
        for (int i = 0; i < COUNT; i++) keep(expression);                                                              \
        truth("by_" #name, (uint64_t)COUNT * BYTES, COUNT);                                                            \
    }
static void *aligned(size_t alignment, size_t size) {
    void *block = NULL;
    require(posix_memalign(&block, alignment, size) == 0, "posix_memalign");
    return block;
}
CALL(malloc, malloc(BYTES))
CALL(calloc, calloc(4, BYTES / 4))
CALL(memalign, memalign(64, BYTES))
CALL(posix_memalign, aligned(64, BYTES))
CALL(aligned_alloc, aligned_alloc(16, BYTES))

int main(void) {
    by_malloc();
    by_calloc();
    by_memalign();
    by_posix_memalign();
    by_aligned_alloc();
}
