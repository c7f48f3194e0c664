/* Threads that end in every way, and seven that stay; one that cannot be made. */
#include "program.h"
#include <errno.h>
#include <semaphore.h>
#include <sys/mman.h>

static sem_t waiting;

static void *returns(void *argument) { return argument; }
static void *exits(void *argument) { pthread_exit(argument); }
static void *waits(void *argument) {
    (void)argument;
    for (;;) sem_wait(&waiting);
    return NULL;
}

static int cleaned;
static void cleanup(void *unused) { (void)unused; cleaned++; }
static void *is_cancelled(void *unused) {
    pthread_cleanup_push(cleanup, NULL);
    waits(unused);
    pthread_cleanup_pop(0);
    return NULL;
}

NOINLINE static pthread_t spawn(void *(*body)(void *), void *argument) {
    pthread_t thread;
    require(pthread_create(&thread, NULL, body, argument) == 0, "pthread_create");
    return thread;
}

NOINLINE static void ended(void) {
    for (long i = 0; i < 50; i++) {
        void *answer;
        require(pthread_join(spawn(returns, (void *)i), &answer) == 0 && answer == (void *)i, "returned");
        require(pthread_join(spawn(exits, (void *)(i + 7)), &answer) == 0 && answer == (void *)(i + 7), "exited");
        pthread_t thread = spawn(is_cancelled, NULL);
        require(pthread_cancel(thread) == 0 && pthread_join(thread, &answer) == 0, "cancelled");
        require(answer == PTHREAD_CANCELED, "as cancelled");
    }
}

NOINLINE static void seven(void) {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 300 << 10);
    pthread_t thread;
    for (int i = 0; i < 7; i++) require(pthread_create(&thread, &attributes, waits, NULL) == 0, "pthread_create");
    pthread_attr_destroy(&attributes);
}

NOINLINE static void two(void) {
    for (int i = 0; i < 2; i++) spawn(waits, NULL);
}

NOINLINE static void on_own_stack(void) {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    void *stack = mmap(NULL, 64 << 10, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    pthread_attr_setstack(&attributes, stack, 64 << 10);
    pthread_t thread;
    require(pthread_create(&thread, &attributes, waits, NULL) == 0, "pthread_create");
}

NOINLINE static void impossible(void) {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, (size_t)1 << 46);
    pthread_t thread;
    for (int i = 0; i < 3; i++) require(pthread_create(&thread, &attributes, waits, NULL) == EAGAIN, "refused");
}

int main(void) {
    sem_init(&waiting, 0, 0);
    pthread_attr_t defaults;
    size_t default_bytes;
    pthread_attr_init(&defaults);
    pthread_attr_getstacksize(&defaults, &default_bytes);
    ended();
    seven();
    two();
    on_own_stack();
    impossible();
    require(cleaned == 50, "cancellation unwinds");
    truth("ended", 0, 0);
    truth("seven", 7 * (300 << 10), 7);
    truth("two", 2 * default_bytes, 2);
    truth("impossible", 0, 0);
    return 0;
}
