/* Preloaded: the clock on the wall, ahead by the seconds in the file that $STEPPED_CLOCK names, or behind. */
#include "program.h"
#include <fcntl.h>
#include <sys/syscall.h>
#include <time.h>

int clock_gettime(clockid_t clock, struct timespec *time) {
    int result = syscall(SYS_clock_gettime, clock, time);
    const char *path = getenv("STEPPED_CLOCK");
    int file = clock == CLOCK_REALTIME && path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0) return result;
    char text[32] = "";
    if (read(file, text, sizeof text - 1) > 0) time->tv_sec += atol(text);
    close(file);
    return result;
}
