/* What the native programs of the corpus share: their two forms, their clock, functions that stay functions. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NOINLINE __attribute__((noinline, noclone))

static inline double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static inline void nap(double seconds) {
    struct timespec t = {(time_t)seconds, (long)((seconds - (time_t)seconds) * 1e9)};
    nanosleep(&t, NULL);
}

/* A block that was written to, or the end. */
static inline void *filled(void *block, size_t bytes) {
    if (block == NULL)
        _Exit(99);
    return memset(block, 1, bytes);
}

/* Whether this is the form with the fault; its length in seconds. */
static inline int is_leak(int count, char **arguments, double *seconds) {
    if (count != 3)
        _Exit(98);
    *seconds = atof(arguments[2]);
    return strcmp(arguments[1], "leak") == 0;
}
