/* Leaks ten blocks of 10007 B for each line on stdin and answers `done`; ends at the end of stdin. */
#include "program.h"

NOINLINE static void step(void) {
    for (int i = 0; i < 10; i++) keep(malloc(10007));
}

int main(void) {
    char line;
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
