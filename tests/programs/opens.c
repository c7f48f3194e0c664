/* Opens a library late, and uses it: its frames are on the stacks of what it allocates. */
#include "program.h"
#include <dlfcn.h>

NOINLINE static void by_main(void *(*enter)(size_t)) {
    for (int i = 0; i < 100; i++) keep(enter(1201));
    truth("by_main", 1201 * 100, 100);
    truth("by_module", 1201 * 100, 100);
}

int main(int count, char **arguments) {
    require(count == 2, "the library's path");
    keep(malloc(10)); /* recording has begun, and the library is not there */
    void *library = dlopen(arguments[1], RTLD_NOW);
    require(library != NULL, "the library opens");
    by_main((void *(*)(size_t))dlsym(library, "enter"));
}
