/* How much of the stack each allocation call takes: of a painted stack, what is no longer paint. */
#include "program.h"
#include <sys/mman.h>
#include <ucontext.h>

enum { STACK = 256 << 10, PAINT = 0xa5 };
static ucontext_t outside, inside;
static unsigned char *stack;
static void (*volatile call)(void);

static void with_malloc(void) { free(keep(malloc(100))); }
static void with_calloc(void) { free(keep(calloc(10, 10))); }
static void with_realloc(void) { free(keep(realloc(keep(malloc(10)), 1000))); }
static void with_memalign(void) {
    void *block = NULL;
    require(posix_memalign(&block, 64, 100) == 0, "posix_memalign");
    free(keep(block));
}
static void with_mmap(void) {
    void *block = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    require(munmap(keep(block), 4096) == 0, "munmap");
}

static void body(void) {
    for (int i = 0; i < 3; i++) call();
}

static void measure(const char *name, void (*function)(void)) {
    call = function;
    memset(stack, PAINT, STACK);
    getcontext(&inside);
    inside.uc_stack.ss_sp = stack;
    inside.uc_stack.ss_size = STACK;
    inside.uc_link = &outside;
    makecontext(&inside, body, 0);
    swapcontext(&outside, &inside);
    size_t unused = 0;
    while (unused < STACK && stack[unused] == PAINT) unused++;
    printf("depth %s %zu\n", name, STACK - unused);
}

int main(void) {
    stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    require(stack != MAP_FAILED, "a stack");
    with_malloc(), with_calloc(), with_realloc(), with_memalign(), with_mmap();
    measure("malloc", with_malloc);
    measure("calloc", with_calloc);
    measure("realloc", with_realloc);
    measure("memalign", with_memalign);
    measure("mmap", with_mmap);
}
