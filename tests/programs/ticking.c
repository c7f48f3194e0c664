/* A timer's handler that allocates, wherever the program is: also inside of malloc itself, so it runs with a malloc that
 * allows that (bump.c). Says how often the handler came; ends when it came often enough. */
#include "program.h"
#include <signal.h>
#include <setjmp.h>
#include <sys/time.h>

enum { ENOUGH = 200 };
static volatile sig_atomic_t ticks;
static uint64_t objects;
static sigjmp_buf out;
static volatile sig_atomic_t may_jump;
static int jumps;

NOINLINE static void by_handler(void) { free(keep(malloc(700))); }
NOINLINE static void by_program(void) {
    free(keep(malloc(701)));
    keep(malloc(702));
    objects++;
}

static void handler(int signal) {
    (void)signal;
    ticks++;
    by_handler();
    if (may_jump && ticks % 8 == 0) {
        may_jump = 0;
        siglongjmp(out, 1);
    }
}

/* What a jump cuts short is freed or not, as it happens: no truth about it. */
NOINLINE static void by_interrupted(void) {
    for (;;) free(keep(malloc(703)));
}

int main(void) {
    struct sigaction action = {.sa_handler = handler};
    sigaction(SIGALRM, &action, NULL);
    struct itimerval each = {{0, 1000}, {0, 1000}};
    setitimer(ITIMER_REAL, &each, NULL);
    while (ticks < ENOUGH) by_program();
    while (ticks < 2 * ENOUGH) {
        if (sigsetjmp(out, 1)) {
            jumps++;
            by_program();
            continue;
        }
        may_jump = 1;
        by_interrupted();
    }
    setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL);
    require(jumps > 5, "jumps out of whatever was running");
    /* Whatever state the last jump left: recording goes on. */
    for (int i = 0; i < 100; i++) by_program();
    truth("by_program", 702 * objects, objects);
}
