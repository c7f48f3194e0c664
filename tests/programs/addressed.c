/* Takes the addresses of the allocation calls. In an executable that is not position independent these are entries in
 * the executable itself, for every library. */
#include "program.h"

static void *(*volatile allocate)(size_t) = malloc;
static void *(*volatile clear)(size_t, size_t) = calloc;
static void *(*volatile again)(void *, size_t) = realloc;
static void (*volatile give_back)(void *) = free;

NOINLINE static void by_pointer(void) {
    give_back(keep(allocate(500)));
    keep(allocate(501));
    keep(again(keep(clear(1, 502)), 503));
    truth("by_pointer", 501 + 503, 2);
}

int main(void) { by_pointer(); }
