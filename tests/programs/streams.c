/* Copies stdin to stdout, writes every byte value to both streams, and exits with ARGV[1]. */
#include "program.h"

static void put(int stream, const unsigned char *bytes, size_t count) {
    while (count > 0) {
        ssize_t written = write(stream, bytes, count);
        require(written > 0, "write");
        bytes += written, count -= written;
    }
}

int main(int argc, char **argv) {
    unsigned char bytes[256];
    for (int i = 0; i < 256; i++) bytes[i] = i;
    for (int i = 0; i < 300; i++) put(1, bytes, 256), put(2, bytes, 256);
    ssize_t count;
    while ((count = read(0, bytes, sizeof bytes)) > 0) put(1, bytes, count);
    put(2, (const unsigned char *)"\nlast words", 11);
    return argc > 1 ? atoi(argv[1]) : 0;
}
