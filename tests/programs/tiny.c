/* Threads with the smallest stack there is, which allocate ever nearer to its end. */
#include "program.h"
#include <limits.h>
#include <sys/mman.h>

static uint64_t calls;

NOINLINE static void by_tiny(void) {
    free(keep(malloc(500)));
    keep(malloc(501));
    calls++;
}

/* Goes down until so many bytes are left above `lowest`. */
NOINLINE static void descend(char *lowest, size_t left) {
    volatile char room[128];
    room[0] = 1;
    if ((size_t)((char *)room - lowest) > left + 256) descend(lowest, left);
    else by_tiny();
    room[1] = room[0];
}

static void *body(void *given) {
    pthread_attr_t attributes;
    void *lowest;
    size_t size;
    require(pthread_getattr_np(pthread_self(), &attributes) == 0, "pthread_getattr_np");
    require(pthread_attr_getstack(&attributes, &lowest, &size) == 0, "pthread_attr_getstack");
    pthread_attr_destroy(&attributes);
    if (given) require(lowest == given, "the given stack");
    for (size_t left = 1024; left < 8 << 10; left += 256) descend(lowest, left);
    return NULL;
}

static void run(void *given, size_t size) {
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    if (given) require(pthread_attr_setstack(&attributes, given, size) == 0, "pthread_attr_setstack");
    else require(pthread_attr_setstacksize(&attributes, size) == 0, "pthread_attr_setstacksize");
    require(pthread_create(&thread, &attributes, body, given) == 0, "pthread_create");
    pthread_join(thread, NULL);
}

int main(void) {
    by_tiny(); /* the loader binds functions at their first call, which takes much room */
    run(NULL, PTHREAD_STACK_MIN);
    run(NULL, PTHREAD_STACK_MIN + 4096);
    char *pages = mmap(NULL, 4096 + PTHREAD_STACK_MIN, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    require(pages != MAP_FAILED, "pages");
    require(mprotect(pages + 4096, PTHREAD_STACK_MIN, PROT_READ | PROT_WRITE) == 0, "mprotect");
    run(pages + 4096, PTHREAD_STACK_MIN);
    printf("called %" PRIu64 "\n", calls);
}
