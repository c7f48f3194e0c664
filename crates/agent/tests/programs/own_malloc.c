/* A program that brings a malloc of its own, as one linked with a static tcmalloc does, but not every function of the
   family: the shim's must hand its blocks to its functions, not to libc's. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
static char pool[1 << 20];
static size_t used;
static int is_ours(void *p) { return (char *)p >= pool && (char *)p < pool + sizeof pool; }
void *malloc(size_t n) { size_t *p = (size_t *)(pool + used); used += (n + 31) & ~15ul; *p = n; return p + 2; }
void free(void *p) { if (p && !is_ours(p)) abort(); }
void *calloc(size_t a, size_t b) { return malloc(a * b); }
void *realloc(void *p, size_t n) {
    if (p && !is_ours(p)) abort();
    void *q = malloc(n);
    if (p) memcpy(q, p, ((size_t *)p)[-2] < n ? ((size_t *)p)[-2] : n);
    return q;
}
void free_sized(void *, size_t) __attribute__((weak));
void free_aligned_sized(void *, size_t, size_t) __attribute__((weak));
int main(void) {
    volatile size_t large = (size_t)1 << 40;
    char *p = malloc(10);
    strcpy(p, "hello");
    p = reallocarray(p, 10, 10);
    if (strcmp(p, "hello") || !is_ours(p)) return 2;
    if (free_sized) free_sized(p, 100);
    if (free_aligned_sized) free_aligned_sized(malloc(16), 16, 16);
    return reallocarray(NULL, large, large) ? 3 : 0;
}
