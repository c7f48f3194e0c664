/* A library to open with RTLD_DEEPBIND: its malloc and free are libc's own, whatever is preloaded. */
#define LIBRARY
#include "program.h"
#include <dlfcn.h>

void *bound_malloc(size_t size) { return malloc(size); }
void bound_free(void *block) { free(block); }
