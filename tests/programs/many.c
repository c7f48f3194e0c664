/* many BLOCKS: keeps so many blocks of 24 bytes. */
#include "program.h"

static void **kept;

NOINLINE static void keep_many(uint64_t blocks) {
    for (uint64_t i = 0; i < blocks; i++) kept[i] = malloc(24);
    truth("keep_many", 24 * blocks, blocks);
}

int main(int count, char **arguments) {
    require(count == 2, "how many");
    uint64_t blocks = strtoull(arguments[1], NULL, 10);
    kept = malloc(blocks * sizeof *kept);
    require(kept != NULL, "room");
    keep_many(blocks);
}
