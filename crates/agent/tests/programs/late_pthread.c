/* pthread_create cannot be found at start, but later: before glibc 2.34 a plug-in may bring it. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <string.h>
static int asked;
void *dlsym(void *handle, const char *name) {
    (void)handle;
    void *libc = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
    void *(*real)(void *, const char *) = (void *(*)(void *, const char *))dlvsym(libc, "dlsym", "GLIBC_2.34");
    if (!strcmp(name, "pthread_create") && !asked++) return NULL;
    return real ? real(libc, name) : NULL;
}
static void *body(void *argument) { return argument; }
int main(void) {
    pthread_t thread;
    if (!asked) return 2;
    return pthread_create(&thread, NULL, body, NULL) ? 3 : pthread_join(thread, NULL);
}
