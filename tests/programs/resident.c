/* Mappings that are touched, half touched and never touched, and threads that touch a part of their stacks. Waits for the
 * end of stdin. */
#include <sys/mman.h>

#include "program.h"

enum { ROUNDS = 10, PAGES = 64, PAGE = 4096, THREADS = 10, STACK = 1 << 20, USED = 256 << 10 };

static void map(int touched) {
    char *pages = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    require(pages != MAP_FAILED, "cannot map");
    /* The kernel joins neighbours; a huge page would fill more than was touched. */
    madvise(pages, PAGES * PAGE, MADV_NOHUGEPAGE);
    for (int page = 0; page < touched; page++) pages[page * PAGE] = 1;
}

NOINLINE static void whole(void) { map(PAGES); }
NOINLINE static void half(void) { map(PAGES / 2); }
NOINLINE static void never(void) { map(0); }

static atomic_int running;

static void *worker(void *argument) {
    volatile char room[USED];
    for (int at = 0; at < USED; at += PAGE) room[at] = 1;
    require(room[0] == 1, "the stack forgets");
    atomic_fetch_add(&running, 1);
    for (;;) pause();
    return argument;
}

static void *ended(void *argument) { return argument; }

/* The compiler must not make two calls of one. */
static void *(*volatile routine)(void *) = ended;

NOINLINE static void workers(void) {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK);
    /* The first three end at once. All are created in one place. */
    for (int i = 0; i < 3 + THREADS; i++) {
        pthread_t thread;
        require(!pthread_create(&thread, &attributes, routine, NULL), "no thread");
        if (i < 3) pthread_join(thread, NULL);
        if (i == 2) routine = worker;
    }
}

int main(void) {
    for (int i = 0; i < ROUNDS; i++) whole(), half(), never();
    workers();
    while (atomic_load(&running) < THREADS) usleep(1000);
    puts("ready");
    fflush(stdout);
    while (getchar() != EOF) {
    }
    return 0;
}
