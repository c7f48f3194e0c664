/* An executable with a hole of unmapped memory between its segments, as node has: FAR is linked elsewhere. */
#include <stdlib.h>
__attribute__((section(".far"), noinline)) void *far_away(int depth) {
    void *p = depth ? far_away(depth - 1) : malloc(123457);
    __asm__ volatile("" : : "r"(p) : "memory");
    return p;
}
int main(void) { return far_away(5) ? 0 : 1; }
