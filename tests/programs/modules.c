/* Opens and closes copies of a library by the hundred, a few at a time and many at once, on two threads. */
#include "program.h"
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>

enum { COPIES = 200, AT_ONCE = 40 };
static const char *folder;
static atomic_ulong objects;

static void copy(const char *from, int number, char *to) {
    static char bytes[1 << 20];
    int in = open(from, O_RDONLY);
    ssize_t size = read(in, bytes, sizeof bytes);
    close(in);
    sprintf(to, "%s/module-%d.so", folder, number);
    int out = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0700);
    require(size > 0 && write(out, bytes, size) == size && close(out) == 0, "a copy of the library");
}

static void *use(void *first) {
    void *open_ones[AT_ONCE] = {0};
    for (int i = 0; i < COPIES + AT_ONCE; i++) {
        void **slot = &open_ones[i % AT_ONCE];
        if (*slot) require(dlclose(*slot) == 0, "dlclose"), *slot = NULL;
        if (i >= COPIES) continue;
        char path[200];
        sprintf(path, "%s/module-%ld.so", folder, (long)first + i);
        *slot = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        require(*slot != NULL, "dlopen");
        void *(*enter)(size_t) = (void *(*)(size_t))dlsym(*slot, "enter");
        keep(enter(803));
        free(enter(804));
        atomic_fetch_add(&objects, 1);
    }
    return NULL;
}

int main(int count, char **arguments) {
    require(count == 3, "a library and a folder");
    folder = arguments[2];
    for (int i = 0; i < 2 * COPIES; i++) {
        char path[200];
        copy(arguments[1], i, path);
    }
    pthread_t thread;
    require(pthread_create(&thread, NULL, use, (void *)COPIES) == 0, "pthread_create");
    use((void *)0);
    pthread_join(thread, NULL);
    truth("by_module", 803 * atomic_load(&objects), atomic_load(&objects));
}
