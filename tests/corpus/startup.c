/* A service that loads its tables. `fixed` does it once, in its first second; `leak` forgets them and loads them again. */
#include "corpus.h"

enum { TABLE = 32 << 10, TABLES = 2000 };

static void *tables[TABLES];

static NOINLINE void load(int number) {
    tables[number] = filled(malloc(TABLE), TABLE); /* THE LEAK */
}

static NOINLINE void answer(void) {
    void *request = filled(malloc(4096), 4096);
    nap(0.002);
    free(request);
}

int main(int count, char **arguments) {
    double seconds;
    int leaks = is_leak(count, arguments, &seconds);
    double start = now();
    for (int number = 0; number < TABLES; number++) {
        load(number);
        if (number % 4 == 0)
            nap(0.001);
    }
    for (int number = 0; now() - start < seconds; number = (number + 1) % TABLES) {
        answer();
        if (leaks)
            load(number);
    }
    puts("done");
    return 0;
}
