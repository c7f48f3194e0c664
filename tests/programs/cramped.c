/* The library of Cramped.java: allocates on the stack of its caller, on a fiber's, and in a handler whose signal stack has room
 * for native frames and not for Java's. */
#define LIBRARY
#include "program.h"
#include <jni.h>
#include <signal.h>
#include <sys/auxv.h>
#include <ucontext.h>

NOINLINE static void by_caller(void) { keep(malloc(600)); }
NOINLINE static void by_fiber(void) { keep(malloc(700)); }
NOINLINE static void by_handler(int number) {
    (void)number;
    keep(malloc(800));
}

static _Alignas(64) char fiber_stack[32 << 10], signal_stack[64 << 10];

static void on_a_fiber(void) {
    static ucontext_t caller, fiber;
    require(getcontext(&fiber) == 0, "getcontext");
    fiber.uc_stack.ss_sp = fiber_stack;
    fiber.uc_stack.ss_size = sizeof fiber_stack;
    fiber.uc_link = &caller;
    makecontext(&fiber, by_fiber, 0);
    require(swapcontext(&caller, &fiber) == 0, "swapcontext");
}

static void in_a_handler(void) {
    /* What the kernel puts there itself differs from machine to machine. */
    stack_t before, stack = {.ss_sp = signal_stack, .ss_size = getauxval(AT_MINSIGSTKSZ) + (6 << 10)};
    struct sigaction action_before, action = {.sa_handler = by_handler, .sa_flags = SA_ONSTACK};
    require(stack.ss_size < sizeof signal_stack && sigaltstack(&stack, &before) == 0, "sigaltstack");
    require(sigaction(SIGURG, &action, &action_before) == 0 && raise(SIGURG) == 0, "a signal");
    require(sigaction(SIGURG, &action_before, NULL) == 0 && sigaltstack(&before, NULL) == 0, "put back");
}

JNIEXPORT void JNICALL Java_Cramped_allocate(JNIEnv *env, jclass class) {
    (void)env;
    (void)class;
    by_caller();
    on_a_fiber();
    in_a_handler();
}
