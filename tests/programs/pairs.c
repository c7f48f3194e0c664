/* Allocates and frees at once, as often as the second argument says, by the call that the first one names. */
#include "program.h"

int main(int argc, char **argv) {
    require(argc == 3, "CALL COUNT");
    long count = atol(argv[2]);
    void *volatile block;
#define IF(name, allocation)                                                                                           \
    if (!strcmp(argv[1], #name)) {                                                                                     \
        for (long i = 0; i < count; i++) {                                                                             \
            block = allocation;                                                                                        \
            free(block);                                                                                               \
        }                                                                                                              \
        return 0;                                                                                                      \
    }
    IF(malloc, malloc(64))
    IF(calloc, calloc(1, 64))
    IF(realloc, realloc(NULL, 64))
    IF(grow, realloc(malloc(24), 64))
    require(0, "no such call");
}
