/* A library whose constructor opens another one (EARLY_OPENS) before that of a preloaded library has run; with EARLY_STORM
 * it also starts a thread that opens and closes it over and over. */
#define LIBRARY
#include "program.h"
#include <dlfcn.h>

void *early_opened;

static void *storm(void *path) {
    for (;;) {
        void *library = dlopen(path, RTLD_NOW);
        if (library != NULL) dlclose(library);
    }
    return NULL;
}

__attribute__((constructor)) static void begin(void) {
    char *path = getenv("EARLY_OPENS");
    require(path != NULL, "EARLY_OPENS");
    pthread_t thread;
    if (getenv("EARLY_STORM") == NULL) {
        early_opened = dlopen(path, RTLD_NOW);
        require(early_opened != NULL, "it opens");
        return;
    }
    require(!pthread_create(&thread, NULL, storm, path), "no thread");
    usleep(10000); /* it shall be at it when the next constructors run */
}
