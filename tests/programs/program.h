/* What the target programs share: functions that stay functions, blocks that stay allocated, and the truth on stdout.
 *
 * A program prints one line `live FUNCTION BYTES OBJECTS` for what a function allocated and nobody freed. The tests
 * compare these with what leakscope reports for sites whose stack holds FUNCTION. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline, noclone))

/* The compiler must not prove a block unused. */
static void *volatile sink;
static inline void *keep(void *block) {
    sink = block;
    return block;
}

/* The buffer that printf would allocate is not a function's own. A library leaves stdout alone: it may be closed. */
#ifndef LIBRARY
static char output[1 << 12];
__attribute__((constructor)) static void buffer_output(void) { setvbuf(stdout, output, _IOFBF, sizeof output); }
#endif

static inline void truth(const char *function, uint64_t bytes, uint64_t objects) {
    printf("live %s %" PRIu64 " %" PRIu64 "\n", function, bytes, objects);
}

/* A program that cannot do what it is for must not look like a pass. */
static inline void require(int holds, const char *what) {
    if (!holds) {
        fprintf(stderr, "program: %s\n", what);
        _exit(99);
    }
}
