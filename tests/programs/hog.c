/* Takes memory, megabyte by megabyte, and touches it: for ever, or as many megabytes as its argument says. Then it waits
 * for the end of its input. */
#include "program.h"

NOINLINE static void take(void) { memset(keep(malloc(1 << 20)), 1, 1 << 20); }

int main(int argc, char **argv) {
    long most = argc > 1 ? atol(argv[1]) : -1;
    for (long taken = 0; taken != most; taken++) take();
    puts("ready");
    fflush(stdout);
    while (getchar() != EOF) {}
    return 0;
}
