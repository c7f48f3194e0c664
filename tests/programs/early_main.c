/* early_main [LIBRARY]: closes what a constructor has opened (early.c) and opens LIBRARY, which comes to lie in its place:
 * the same code, with other frames. Without LIBRARY it ends at once, beside whatever the constructor has started. */
#include "program.h"
#include <dlfcn.h>
#include <link.h>

extern void *early_opened;

NOINLINE static void work_in(void *library, int blocks) {
    void *(*work)(void) = (void *(*)(void))dlsym(library, "work");
    require(work != NULL, "it has work");
    for (int i = 0; i < blocks; i++) keep(work());
}

NOINLINE static void in_the_successor(void *library) {
    work_in(library, 5);
    truth("in_the_successor", 5 * 1001, 5);
}

int main(int count, char **arguments) {
    if (count < 2) {
        fflush(stdout);
        _exit(early_opened != NULL);
    }
    uintptr_t place = ((struct link_map *)early_opened)->l_addr;
    work_in(early_opened, 1);
    require(dlclose(early_opened) == 0, "it closes");
    void *library = dlopen(arguments[1], RTLD_NOW);
    require(library != NULL, "the other opens");
    require(((struct link_map *)library)->l_addr == place, "in its place");
    in_the_successor(library);
    truth("work", 6 * 1001, 6);
}
