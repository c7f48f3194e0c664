/* Handlers that allocate on alternative signal stacks of all sizes, each above a page that must not be touched. */
#include "program.h"
#include <signal.h>
#include <sys/auxv.h>
#include <sys/mman.h>

enum { ROUNDS = 3, PAGE = 4096 };
static volatile sig_atomic_t handled;

NOINLINE static void by_handler(void) {
    free(keep(malloc(400)));
    keep(malloc(401));
}

static void handler(int signal) {
    (void)signal;
    by_handler();
    handled++;
}

int main(void) {
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_ONSTACK};
    require(sigaction(SIGUSR1, &action, NULL) == 0, "sigaction");
    /* The loader binds functions at their first call, which takes much room. */
    by_handler();
    /* What the kernel puts there, and a little for the handler and malloc itself. */
    size_t least = getauxval(AT_MINSIGSTKSZ) + 1024;
    for (size_t size = least; size < least + (12 << 10); size += 512) {
        size_t room = (size + PAGE - 1) / PAGE * PAGE;
        char *pages = mmap(NULL, PAGE + room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        require(pages != MAP_FAILED && mprotect(pages + PAGE, room, PROT_READ | PROT_WRITE) == 0, "a stack");
        stack_t stack = {.ss_sp = pages + PAGE, .ss_size = size};
        /* The stack begins where the forbidden page ends, whatever the kernel adds to its size at the top. */
        require(sigaltstack(&stack, NULL) == 0, "sigaltstack");
        for (int i = 0; i < ROUNDS; i++) raise(SIGUSR1);
    }
    printf("handled %d\n", (int)handled);
}
