/* Corner cases of the allocation calls. Each is as the C library has it, recorded or not. */
#define _GNU_SOURCE
#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#define CHECK(condition) do { if (!(condition)) { fprintf(stderr, "line %d: %s\n", __LINE__, #condition); return 1; } } while (0)

static int sizes(void) {
    static const size_t huge[] = {SIZE_MAX, SIZE_MAX - 4096, (size_t)1 << 63, (size_t)3 << 62, SIZE_MAX / 2};
    for (int i = 0; i < 5; i++) {
        volatile size_t n = huge[i];
        errno = 0;
        CHECK(!malloc(n) && errno == ENOMEM);
        CHECK(!calloc(1, n) && !calloc(n, 16) && !realloc(NULL, n) && !reallocarray(NULL, n, 2));
        CHECK(!memalign(64, n) && !aligned_alloc(64, n) && !valloc(n) && !pvalloc(n));
        void *p = malloc(100);
        CHECK(p && !realloc(p, n) && !reallocarray(p, n, 3));
        free(p);
    }
    free(malloc(0));
    free(calloc(0, 8));
    free(realloc(malloc(5), 0));
    free(NULL);
    return 0;
}

static int aligned(void) {
    void *p = (void *)1;
    CHECK(posix_memalign(&p, 3, 10) == EINVAL && p == (void *)1);
    CHECK(posix_memalign(&p, 4096, 10) == 0 && (uintptr_t)p % 4096 == 0);
    CHECK(malloc_usable_size(p) >= 10 && malloc_usable_size(NULL) == 0);
    free(p);
    p = pvalloc(1);
    CHECK(malloc_usable_size(p) >= 4096);
    free(p);
    return 0;
}

static int contents(void) {
    char *p = malloc(64);
    memset(p, 7, 64);
    for (size_t n = 64; n < 100000; n = n * 3 / 2) {
        p = realloc(p, n);
        CHECK(p[0] == 7 && p[63] == 7);
    }
    free(p);
    for (int i = 0; i < 1000; i++) {
        unsigned char *zero = calloc(i + 1, 3);
        for (int k = 0; k < (i + 1) * 3; k++) CHECK(zero[k] == 0);
        memset(zero, 9, (i + 1) * 3);
        free(zero);
    }
    return 0;
}

static int errno_is_kept(void) {
    for (int i = 0; i < 1000; i++) {
        errno = 77;
        void *p = malloc(i);
        CHECK(errno == 77);
        p = realloc(p, i * 2 + 1);
        CHECK(errno == 77);
        free(p);
        CHECK(errno == 77);
    }
    return 0;
}

static int forks(void) {
    void *before = malloc(100);
    pid_t child = fork();
    if (child == 0) {
        free(before);
        for (int i = 0; i < 1000; i++) free(realloc(malloc(i), i * 2 + 1));
        _exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    free(before);
    child = vfork();
    if (child == 0) {
        execl("/bin/true", "true", (char *)0);
        _exit(127);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    return 0;
}

int main(void) {
    if (sizes() || aligned() || contents() || errno_is_kept() || forks()) return 1;
    for (int fd = 3; fd < 1024; fd++) close(fd);
    if (contents()) return 1;
    char *leak = malloc(4242);
    return leak ? 0 : 1;
}
