/* A program with a malloc of its own, which it exports: every library's calls come here, and none reach the shim. */
#include "program.h"
#include <sys/mman.h>

static char arena[1 << 20];
static atomic_size_t used;

void *malloc(size_t size) {
    size_t room = (size + 31) & ~(size_t)15;
    size_t at = atomic_fetch_add(&used, room);
    require(at + room <= sizeof arena, "the arena is full");
    *(size_t *)(arena + at) = size;
    return arena + at + 16;
}
void free(void *block) { (void)block; }
void *calloc(size_t count, size_t size) { return malloc(count * size); }
void *realloc(void *block, size_t size) {
    void *moved = malloc(size);
    size_t old = block ? ((size_t *)block)[-2] : 0;
    if (block) memcpy(moved, block, old < size ? old : size);
    return moved;
}

NOINLINE static void by_malloc(void) { keep(malloc(1001)); }
NOINLINE static void by_strdup(void) { keep(strdup("from within libc")); }
NOINLINE static void by_mmap(void) {
    void *block = mmap(NULL, 12288, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    require(keep(block) != MAP_FAILED, "mmap");
}

int main(void) {
    by_malloc();
    by_strdup();
    by_mmap();
    puts("done");
}
