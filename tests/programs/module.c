/* A library of which hundreds of copies are opened and closed: with thread-local storage, and blocks of its own. */
#define LIBRARY
#include "program.h"

static __thread char local[1 << 10] = "here";
static void *kept;

__attribute__((constructor)) static void load(void) { kept = malloc(801); }
__attribute__((destructor)) static void unload(void) { free(kept); }

NOINLINE static void *by_module(size_t size) {
    free(keep(malloc(802)));
    return malloc(size);
}

/* The storage itself is allocated in here, by the loader, at the first use of each copy on each thread. */
NOINLINE void *enter(size_t size) {
    require(strcmp(local, "here") == 0, "the thread's own copy");
    local[100]++;
    return by_module(size);
}
