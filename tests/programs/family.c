/* Every allocation call of C, each in a function of its own, with a size of its own; and each freed twin.
 * `program no-pvalloc`: without the one that some allocators lack, whose blocks they could not free. */
#include "program.h"
#include <malloc.h>

#define CALL(name, size, expression)                                                                                   \
    NOINLINE static void by_##name(void) {                                                                             \
        void *block;                                                                                                   \
        for (int i = 0; i < 3; i++) block = (expression), keep(block);                                                 \
        free(block);                                                                                                   \
        truth("by_" #name, 2 * (size), 2);                                                                             \
    }
static void *aligned(size_t alignment, size_t size) {
    void *block = NULL;
    require(posix_memalign(&block, alignment, size) == 0, "posix_memalign");
    return block;
}
CALL(malloc, 1011, malloc(1011))
CALL(calloc, 17 * 63, calloc(17, 63))
CALL(realloc, 1013, realloc(NULL, 1013))
CALL(reallocarray, 19 * 61, reallocarray(NULL, 19, 61))
CALL(memalign, 1015, memalign(256, 1015))
CALL(posix_memalign, 1016, aligned(512, 1016))
CALL(aligned_alloc, 2048, aligned_alloc(1024, 2048))
CALL(valloc, 1018, valloc(1018))
CALL(pvalloc, 1019, pvalloc(1019))
CALL(strdup, 26, strdup("twenty-five characters!!!"))

NOINLINE static void by_nothing(void) {
    /* An object all the same; leakscope takes its 0 bytes for 1, so that it can be sampled. */
    keep(malloc(0));
    truth("by_nothing", 1, 1);
}

int main(int count, char **arguments) {
    by_malloc();
    by_calloc();
    by_realloc();
    by_reallocarray();
    by_memalign();
    by_posix_memalign();
    by_aligned_alloc();
    by_valloc();
    if (count < 2 || strcmp(arguments[1], "no-pvalloc")) by_pvalloc();
    by_strdup();
    by_nothing();
}
