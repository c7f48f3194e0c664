/* A C program that opens a C++ library with operators of its own, for itself alone. */
#include "program.h"
#include <dlfcn.h>

NOINLINE static void by_malloc(void) {
    keep(malloc(1007));
    truth("by_malloc", 1007, 1);
}

int main(int count, char **arguments) {
    require(count == 2, "the library's path");
    require(dlsym(RTLD_DEFAULT, "_Znwm") == NULL, "no operators before there is C++");
    void *library = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL);
    require(library != NULL, "the library opens");
    long (*use)(void) = (long (*)(void))dlsym(library, "use");
    require(use && use() > 2, "its operators are used");
    by_malloc();
}
