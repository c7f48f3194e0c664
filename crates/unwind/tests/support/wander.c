/* Goes down and up at random, through frames of several shapes, and calls back from there. Frames are alike, so that the same
   place on the stack is often reached by another way: through another caller, or with another rbp. */
typedef void (*callback_t)(void *);

static unsigned state;
static int calls_left, shallowest, deepest;
static callback_t callback;
static void *argument;

static unsigned die(void) { return (state = state * 1664525u + 1013904223u) >> 16; }

static void step(int depth);

#define SHAPES(n)                                                                                                              \
    __attribute__((noinline, noclone)) static void plain##n(int depth) {                                                       \
        step(depth);                                                                                                           \
        __asm__ volatile("nop # " #n);                                                                                         \
    }                                                                                                                          \
    /* A frame whose size is known only at run time needs rbp. */                                                              \
    __attribute__((noinline, noclone)) static void dynamic##n(int depth) {                                                     \
        volatile char *room = __builtin_alloca(8 + die() % 4 * 16);                                                            \
        room[0] = n;                                                                                                           \
        step(depth);                                                                                                           \
        room[0] = 2;                                                                                                           \
    }                                                                                                                          \
    /* The CFA of this one is a word in memory. */                                                                             \
    __attribute__((noinline, noclone)) static void aligned##n(int depth) {                                                     \
        volatile char room[32] __attribute__((aligned(64)));                                                                   \
        volatile char *more = __builtin_alloca(8 + die() % 2 * 16);                                                            \
        room[0] = more[0] = n;                                                                                                 \
        step(depth);                                                                                                           \
        room[0] = more[0];                                                                                                     \
    }
SHAPES(1)
SHAPES(2)

static void (*const shapes[])(int) = {plain1, plain2, dynamic1, dynamic2, plain1, plain2, aligned1, aligned2};

__attribute__((noinline)) static void step(int depth) {
    while (calls_left > 0) {
        unsigned face = die() % 10;
        if (face < 3 && depth > 0) return;
        if (face < 6 && depth >= shallowest) {
            calls_left--;
            callback(argument);
        } else if (face >= 6 && depth < deepest) {
            shapes[die() % 8](depth + 1);
        }
    }
}

/* Calls back `calls` times, at most `most` shapes deep; where `far` is set, not from less than half of that. */
void wander(int seed, int most, int far, int calls, callback_t back, void *of) {
    state = (unsigned)seed;
    calls_left = calls;
    deepest = most;
    shallowest = far ? most / 2 : 0;
    callback = back;
    argument = of;
    step(0);
}
