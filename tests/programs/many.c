/* many BLOCKS: keeps so many blocks of 24 bytes to its end. */
#include <stdlib.h>

static void **kept;

__attribute__((noinline)) static void keep(long blocks) {
    for (long i = 0; i < blocks; i++) kept[i] = malloc(24);
}

int main(int count, char **words) {
    long blocks = count > 1 ? atol(words[1]) : 0;
    kept = malloc(blocks * sizeof *kept);
    if (kept == NULL) return 1;
    keep(blocks);
    return blocks > 0 && kept[blocks - 1] == NULL;
}
