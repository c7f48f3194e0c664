/* Stacks of every shape that compilers make, without frame pointers. */
#include <stdlib.h>
#include <string.h>

typedef void (*callback_t)(void *);

__attribute__((noinline)) static void plain(int depth, callback_t callback, void *argument) {
    volatile char room[40];
    room[0] = (char)depth;
    if (depth > 0) plain(depth - 1, callback, argument); else callback(argument);
    room[1] = room[0];
}

/* A frame whose size is known only at run time needs rbp. */
__attribute__((noinline)) static void dynamic(int depth, callback_t callback, void *argument) {
    volatile char *room = __builtin_alloca((size_t)depth * 24 + 8);
    room[0] = 1;
    if (depth > 0) dynamic(depth - 1, callback, argument); else plain(3, callback, argument);
    room[0] = 2;
}

/* An over-aligned frame: gcc realigns the stack, and describes the CFA by an expression where it must. */
__attribute__((noinline)) static void aligned(int depth, callback_t callback, void *argument) {
    volatile char room[64] __attribute__((aligned(64)));
    volatile char *more = __builtin_alloca((size_t)depth * 40 + 8);
    room[0] = 1;
    more[0] = 1;
    if (depth > 0) aligned(depth - 1, callback, argument); else dynamic(3, callback, argument);
    room[0] = more[0];
}

/* A frame too large for one word of the rule cache (1 MiB). */
__attribute__((noinline)) static void large(callback_t callback, void *argument) {
    volatile char room[(1 << 20) + 4096];
    room[0] = 1;
    callback(argument);
    room[sizeof room - 1] = 2;
}

/* All registers are in use, rbp among them, as general ones. */
__attribute__((noinline)) static long busy(long a, long b, long c, long d, callback_t callback, void *argument) {
    long e = a * b, f = b * c, g = c * d, h = d * a;
    callback(argument);
    return a + b + c + d + e + f + g + h;
}

static struct { callback_t callback; void *argument; int depth; } state;
void recurse_through_qsort(int depth, callback_t callback, void *argument);

static int compare(const void *left, const void *right) {
    if (state.callback) {
        callback_t callback = state.callback;
        if (state.depth > 0) {
            state.depth--;
            recurse_through_qsort(state.depth, callback, state.argument);
        } else {
            state.callback = 0;
            callback(state.argument);
        }
    }
    return *(const int *)left - *(const int *)right;
}

void recurse_through_qsort(int depth, callback_t callback, void *argument) {
    int numbers[4] = {3, 1, 2, 0};
    state.callback = callback;
    state.argument = argument;
    state.depth = depth;
    qsort(numbers, 4, sizeof numbers[0], compare);
}

void recurse(int depth, callback_t callback, void *argument) { plain(depth, callback, argument); }
void every_shape(int depth, callback_t callback, void *argument) { aligned(depth, callback, argument); }
void large_frame(int depth, callback_t callback, void *argument) { (void)depth; large(callback, argument); }
void busy_registers(int depth, callback_t callback, void *argument) {
    if (busy(depth, depth + 1, depth + 2, depth + 3, callback, argument) == 42) abort();
}
