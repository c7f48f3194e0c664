/* Unmaps by direct system calls, which no interposed function sees. Waits for the end of stdin. */
#include <sys/mman.h>
#include <sys/syscall.h>

#include "program.h"

#define P 4096L

static inline __attribute__((always_inline)) char *map_here(long pages) {
    char *p = mmap(NULL, pages * P, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    require(p != MAP_FAILED, "mmap");
    return p;
}

static void unmap(char *at, long pages) { require(syscall(SYS_munmap, at, pages * P) == 0, "munmap"); }

NOINLINE static void in_part(void) { unmap(map_here(10) + 3 * P, 4); }

NOINLINE static void wholly(void) { unmap(map_here(20), 20); }

int main(void) {
    in_part();
    wholly();
    puts("ready");
    fflush(stdout);
    while (getchar() != EOF) {
    }
    return 0;
}
