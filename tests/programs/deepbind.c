/* Blocks that cross a library which is bound directly to libc: freed there, so that the shim misses the frees; and made
 * there, so that it misses the calls of malloc. */
#include "program.h"
#include <dlfcn.h>

enum { BLOCKS = 100 };
static void *(*bound_malloc)(size_t);
static void (*bound_free)(void *);

/* Freed unseen, and handed out again at once: the second block stands in the place of the first. */
NOINLINE static void freed_unseen(void) {
    for (int i = 0; i < BLOCKS; i++) bound_free(keep(malloc(7001)));
}
NOINLINE static void stands_there(void) {
    void *old = malloc(7100);
    bound_free(old);
    void *new = keep(malloc(7100));
    require(new == old, "libc hands the block out again");
    truth("stands_there", 7100, 1);
}
NOINLINE static void made_unseen(void) {
    for (int i = 0; i < BLOCKS; i++) free(keep(bound_malloc(7003)));
    void *grown = realloc(keep(bound_malloc(7004)), 7005);
    keep(grown);
    truth("made_unseen", 7005, 1);
}

int main(int count, char **arguments) {
    require(count == 2, "the library's path");
    void *library = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
    require(library != NULL, "the library opens");
    bound_malloc = (void *(*)(size_t))dlsym(library, "bound_malloc");
    bound_free = (void (*)(void *))dlsym(library, "bound_free");
    freed_unseen();
    stands_there();
    made_unseen();
}
