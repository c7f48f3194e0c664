/* dlsym finds nothing, as where libdl is a library of its own and its file is missing: malloc must work all the same. */
#include <stdlib.h>
void *dlsym(void *handle, const char *name) { (void)handle; (void)name; return NULL; }
int main(void) {
    char *p = malloc(10);
    if (!p) return 2;
    p = realloc(p, 1000);
    if (!p) return 3;
    free(p);
    if (!(p = calloc(10, 10)) || p[99]) return 4;
    free(p);
    if (posix_memalign((void **)&p, 64, 100) || (size_t)p % 64) return 5;
    free(p);
    p = aligned_alloc(64, 128);
    if (!p) return 6;
    free(p);
    return 0;
}
