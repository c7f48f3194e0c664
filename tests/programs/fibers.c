/* Fibers on stacks from malloc and from mmap, small and large, that allocate, switch, and are torn down. */
#include "program.h"
#include <sys/mman.h>
#include <ucontext.h>

enum { FIBERS = 24, ROUNDS = 50 };
static ucontext_t scheduler, fibers[FIBERS];
static int current;
static uint64_t objects;

NOINLINE static void by_fiber(void) {
    free(keep(malloc(600)));
    keep(malloc(601));
    objects++;
}

static void body(void) {
    for (int i = 0; i < ROUNDS; i++) {
        by_fiber();
        swapcontext(&fibers[current], &scheduler);
    }
}

NOINLINE static void *stack_from_malloc(size_t size) {
    char *block = malloc(256 + size);
    memset(block, 0x5a, 256); /* a neighbour below the stack, whom nobody may write over */
    return block + 256;
}
NOINLINE static void check_and_free(char *stack) {
    for (int i = 1; i <= 256; i++) require(stack[-i] == 0x5a, "what lies below the fiber's stack is whole");
    free(stack - 256);
}
static void *stack_from_mmap(size_t size) {
    char *pages = mmap(NULL, 4096 + size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    require(pages != MAP_FAILED && mprotect(pages + 4096, size, PROT_READ | PROT_WRITE) == 0, "a stack");
    return pages + 4096;
}

static void run(void *(*make)(size_t), void (*unmake)(char *), size_t size) {
    void *stacks[FIBERS];
    for (int i = 0; i < FIBERS; i++) {
        stacks[i] = make(size);
        getcontext(&fibers[i]);
        fibers[i].uc_stack.ss_sp = stacks[i];
        fibers[i].uc_stack.ss_size = size;
        fibers[i].uc_link = &scheduler;
        makecontext(&fibers[i], body, 0);
    }
    for (int round = 0; round <= ROUNDS; round++)
        for (current = 0; current < FIBERS; current++) swapcontext(&scheduler, &fibers[current]);
    for (int i = 0; i < FIBERS && unmake; i++) unmake(stacks[i]);
}

static void *on_a_thread(void *size) {
    run(stack_from_malloc, check_and_free, *(size_t *)size);
    run(stack_from_mmap, NULL, *(size_t *)size);
    return NULL;
}

int main(void) {
    size_t sizes[] = {8 << 10, 16 << 10, 256 << 10};
    for (int i = 0; i < 3; i++) {
        on_a_thread(&sizes[i]);
        pthread_t thread;
        require(pthread_create(&thread, NULL, on_a_thread, &sizes[i]) == 0, "pthread_create");
        pthread_join(thread, NULL);
    }
    truth("by_fiber", 601 * objects, objects);
    truth("stack_from_malloc", 0, 0);
}
