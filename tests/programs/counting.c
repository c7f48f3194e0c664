/* A library to preload: counts the calls of malloc and free, and passes them on to whoever comes next. */
#define LIBRARY
#include "program.h"
#include <dlfcn.h>

static atomic_ulong calls;
static void *(*next_malloc)(size_t);
static void (*next_free)(void *);

__attribute__((constructor)) static void find_next(void) {
    next_malloc = (void *(*)(size_t))dlsym(RTLD_NEXT, "malloc");
    next_free = (void (*)(void *))dlsym(RTLD_NEXT, "free");
}

void *malloc(size_t size) {
    if (!next_malloc) find_next();
    atomic_fetch_add(&calls, 1);
    return next_malloc(size);
}

void free(void *block) {
    if (!next_free) find_next();
    atomic_fetch_add(&calls, 1);
    next_free(block);
}

__attribute__((destructor)) static void tell(void) {
    require(atomic_load(&calls) > 0, "nobody called");
    printf("counted\n");
}
