/* Prints which descriptors are open of all that there may be, and how many those are. */
#include "program.h"
#include <sys/stat.h>

int main(void) {
    long most = sysconf(_SC_OPEN_MAX);
    struct stat status;
    for (int fd = 0; fd < most; fd++)
        if (fstat(fd, &status) == 0) printf("open %d\n", fd);
    printf("of %ld\n", most);
    keep(malloc(100));
}
