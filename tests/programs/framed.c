/* A library of which there are two, with the same code at the same places but for the size of its frames (FRAME, small
 * enough for the same instructions). */
#define LIBRARY
#include "program.h"

NOINLINE static void *leaf(void) {
    volatile char frame[FRAME];
    frame[0] = 1;
    void *block = malloc(1001);
    return frame[0] ? block : NULL;
}

NOINLINE void *work(void) {
    volatile char frame[FRAME];
    frame[0] = 1;
    void *block = leaf();
    return frame[0] ? block : NULL;
}
