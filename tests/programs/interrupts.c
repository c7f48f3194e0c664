/* Says `caught` for each SIGINT; at SIGTERM how many there were, and ends. One signal is dealt with after the other. */
#include "program.h"
#include <signal.h>

static volatile sig_atomic_t interrupts;

static void interrupted(int signal) {
    (void)signal;
    interrupts++;
    if (write(1, "caught\n", 7) < 0) _exit(98);
}

static void terminated(int signal) {
    (void)signal;
    char text[] = "0 interrupts\n";
    text[0] += interrupts;
    _exit(write(1, text, sizeof text - 1) < 0 ? 98 : 0);
}

int main(void) {
    struct sigaction action = {.sa_handler = interrupted};
    sigfillset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    action.sa_handler = terminated;
    sigaction(SIGTERM, &action, NULL);
    keep(malloc(4242));
    if (write(1, "ready\n", 6) < 0) return 98;
    for (;;) pause();
}
