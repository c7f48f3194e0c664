/* Leaks ten blocks of 10007 B for each line on stdin and answers `done`; ends at the end of stdin. With an argument it
 * first closes every descriptor but the standard ones, as daemons do. */
#include "program.h"

NOINLINE static void step(void) {
    for (int i = 0; i < 10; i++) keep(malloc(10007));
}

int main(int argc, char **argv) {
    char line;
    (void)argv;
    if (argc > 1)
        for (int descriptor = 3; descriptor < 65536; descriptor++) close(descriptor);
    long steps = 0;
    if (write(1, "ready\n", 6) < 0) return 98;
    while (read(0, &line, 1) == 1) {
        if (line != '\n') continue;
        step();
        steps++;
        if (write(1, "done\n", 5) < 0) return 98;
    }
    truth("step", steps * 100070, steps * 10);
    return 0;
}
