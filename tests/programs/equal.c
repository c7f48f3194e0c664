/* Three leaks of the same 64 MiB, in blocks of 64 B, 64 KiB and 4 MiB, taken by turns. A modulo counter on raw sizes
 * reports them as 8 KiB, 8 MiB and 64 MiB. */
#include "program.h"

NOINLINE static void leak_64(void) {
    for (int i = 0; i < 65536; i++) keep(malloc(64));
}
NOINLINE static void leak_65536(void) {
    for (int i = 0; i < 64; i++) keep(malloc(65536));
}
NOINLINE static void leak_4194304(void) { keep(malloc(4194304)); }

int main(void) {
    for (int i = 0; i < 16; i++) {
        leak_64();
        leak_65536();
        leak_4194304();
    }
    truth("leak_64", 64 << 20, 1 << 20);
    truth("leak_65536", 64 << 20, 1024);
    truth("leak_4194304", 64 << 20, 16);
}
