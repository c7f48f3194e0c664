/* Locks its memory, as databases and real-time programs do; says how much became resident for it. */
#include "program.h"
#include <errno.h>
#include <sys/mman.h>

static long status(const char *name) {
    char line[200];
    long value = -1;
    FILE *file = fopen("/proc/self/status", "r");
    while (fgets(line, sizeof line, file))
        if (!strncmp(line, name, strlen(name))) value = atol(line + strlen(name));
    fclose(file);
    return value;
}

NOINLINE static void by_program(void) {
    char *block = keep(malloc(1 << 20));
    memset(block, 1, 1 << 20);
    truth("by_program", 1 << 20, 1);
}

static void *body(void *unused) {
    by_program();
    return unused;
}

int main(int count, char **arguments) {
    require(count == 2, "what to lock: current, future or all");
    int flags = 0;
    if (strcmp(arguments[1], "future")) flags |= MCL_CURRENT;
    if (strcmp(arguments[1], "current")) flags |= MCL_FUTURE;
    errno = 77;
    require(mlockall(flags) == 0, "mlockall");
    require(errno == 77, "errno is left alone");
    static char page[4096];
    unsigned char resident = 0;
    if (flags & MCL_CURRENT) {
        require(mincore((void *)((uintptr_t)page & -4096), 4096, &resident) == 0 && resident & 1, "is resident");
        require(status("VmLck:") > 1000, "much is locked");
    }
    if (flags & MCL_FUTURE) {
        char *fresh = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        require(mincore(fresh + 4096 * 99, 4096, &resident) == 0 && resident & 1, "later mappings are locked as well");
        munmap(fresh, 1 << 20);
    }
    pthread_t thread;
    require(pthread_create(&thread, NULL, body, NULL) == 0, "pthread_create");
    pthread_join(thread, NULL);
    printf("resident %ld\n", status("VmRSS:"));
    require(munlockall() == 0 && status("VmLck:") == 0, "nothing is locked any more");
}
