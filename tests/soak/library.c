/* A library as Java programs unpack and load them: it allocates while it is loaded, and has thread-local storage. */
#include <stdlib.h>

static __thread char storage[4096];
static void *blocks[4];

__attribute__((constructor)) static void loaded(void)
{
    storage[0] = 1;
    for (int i = 0; i < 4; i++)
        blocks[i] = malloc(200000 + i);
}

__attribute__((destructor)) static void unloaded(void)
{
    for (int i = 0; i < 4; i++)
        free(blocks[i]);
}
