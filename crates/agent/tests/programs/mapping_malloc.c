/* Built three times. ALLOCATOR: a library to preload before the shim, which maps its memory through the PLT under a lock
   that does not nest, as jemalloc does when it starts. EARLY: a library that allocates in its constructor, which runs
   before the shim's. Else the program. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#ifdef ALLOCATOR
static int locked;
void *malloc(size_t n) {
    static const char nested[] = "malloc was called inside malloc\n";
    if (__atomic_exchange_n(&locked, 1, __ATOMIC_ACQUIRE)) {
        write(2, nested, sizeof nested - 1);
        _exit(3);
    }
    char *p = mmap(NULL, n + 64, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    __atomic_store_n(&locked, 0, __ATOMIC_RELEASE);
    return p == MAP_FAILED ? NULL : p + 64;
}
void free(void *p) { (void)p; }
void *calloc(size_t a, size_t b) { return malloc(a * b); }
void *realloc(void *p, size_t n) {
    void *q = malloc(n);
    if (p && q) memcpy(q, p, n < 4096 - 64 ? n : 4096 - 64);
    return q;
}
#elif defined EARLY
void *early;
__attribute__((constructor)) static void start(void) { early = malloc(100); }
#else
extern void *early;
int main(void) { return early && malloc(10) ? 0 : 2; }
#endif
