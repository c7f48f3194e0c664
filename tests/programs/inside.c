/* A program with an allocator linked into it under a name of its own, as many are with jemalloc. */
#include "program.h"
#include <sys/mman.h>

NOINLINE void *je_malloc(size_t size) {
    static char *chunk;
    static size_t used;
    if (!chunk) chunk = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    void *block = chunk + used;
    used += (size + 15) & ~(size_t)15;
    return block;
}

NOINLINE static void by_malloc(void) { keep(malloc(1001)); }
NOINLINE static void by_inner(void) { keep(je_malloc(2002)); }

int main(void) {
    by_malloc();
    by_inner();
    truth("by_malloc", 1001, 1);
}
