// A library that brings its own operators, from a pool, and is linked to them as -Bsymbolic libraries are; parts of the
// C++ library, however, look them up.
#define LIBRARY
#include "program.h"
#include <new>
#include <string>

static char pool[1 << 20];
static size_t used;
static long taken, given;

void *operator new(size_t size) {
    void *block = pool + used;
    used += (size + 15) & ~size_t{15};
    ++taken;
    require(used <= sizeof pool, "the pool is full");
    return block;
}
void operator delete(void *block) noexcept {
    require(block >= pool && block < pool + sizeof pool, "a block of the pool");
    ++given;
}
void operator delete(void *block, size_t) noexcept { operator delete(block); }

extern "C" long use() {
    {
        std::string text(100, 'x'); // allocated here, grown and freed in the C++ library
        for (int i = 0; i < 100; i++) text.append(50, 'y');
        keep(const_cast<char *>(text.data()));
    }
    require(taken > 2 && taken == given, "everything came from the pool and went back");
    return taken;
}
