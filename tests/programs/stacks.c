/* Leaks 32 B from each of 131,072 different stacks of 60 frames, through 1,024 functions with eight calls each; answers
 * `ready`, and ends at the end of stdin. The worst that a program does to whoever has to write its stacks down. */
#include "program.h"

enum { STACKS = 1 << 17, DEPTH = 60, SHARED = 17 };

typedef void function(unsigned stack, unsigned level);
static function *const all[];

static inline unsigned mix(unsigned stack, unsigned level) {
    unsigned x = (stack * 64 + level) * 0x9E3779B1u;
    x = (x ^ x >> 15) * 0x85EBCA6Bu;
    return x ^ x >> 13;
}

/* Stacks begin alike, two ways at each of the first levels: there would be no room for them otherwise. */
NOINLINE static unsigned way(unsigned stack, unsigned level) {
    return level < SHARED ? (level * 2 + (stack >> level & 1)) << 3 : mix(stack, level);
}

NOINLINE static void leaf(unsigned stack, unsigned level) {
    (void)stack, (void)level;
    keep(malloc(32));
}

NOINLINE static function *next(unsigned stack, unsigned level) {
    return level + 1 == DEPTH ? leaf : all[way(stack, level + 1) >> 3 & 1023];
}

/* The comments keep the compiler from making one call of the eight. */
#define CALL(k) \
    case k: \
        next(stack, level)(stack, level + 1); \
        __asm__ volatile("# " #k); \
        break;
#define FUNCTION(n) \
    NOINLINE static void a_function_whose_name_is_as_long_as_names_of_methods_are_##n(unsigned stack, unsigned level) { \
        switch (way(stack, level) & 7) { CALL(0) CALL(1) CALL(2) CALL(3) CALL(4) CALL(5) CALL(6) CALL(7) } \
    }
#define NAME(n) a_function_whose_name_is_as_long_as_names_of_methods_are_##n,
#define SIXTEEN(X, n) \
    X(n##0) X(n##1) X(n##2) X(n##3) X(n##4) X(n##5) X(n##6) X(n##7) \
    X(n##8) X(n##9) X(n##a) X(n##b) X(n##c) X(n##d) X(n##e) X(n##f)
#define FUNCTIONS16(n) SIXTEEN(FUNCTION, n)
#define NAMES16(n) SIXTEEN(NAME, n)
#define SIXTEEN_AGAIN(X, n) \
    X(n##0) X(n##1) X(n##2) X(n##3) X(n##4) X(n##5) X(n##6) X(n##7) \
    X(n##8) X(n##9) X(n##a) X(n##b) X(n##c) X(n##d) X(n##e) X(n##f)
#define FUNCTIONS256(n) SIXTEEN_AGAIN(FUNCTIONS16, n)
#define NAMES256(n) SIXTEEN_AGAIN(NAMES16, n)
#define ALL(X) X(0) X(1) X(2) X(3)

ALL(FUNCTIONS256)
static function *const all[] = {ALL(NAMES256)};

int main(void) {
    char byte;
    for (unsigned stack = 0; stack < STACKS; stack++) all[way(stack, 0) >> 3](stack, 0);
    if (write(1, "ready\n", 6) < 0) return 98;
    while (read(0, &byte, 1) == 1) {}
    truth("leaf", (uint64_t)STACKS * 32, STACKS);
    return 0;
}
