// `new` that fails: by exception, by null, after the new-handler was asked. Exceptions pass through whoever serves it.
#include "program.h"
#include <new>

static int asked;
static volatile size_t impossible = SIZE_MAX / 2;

struct Counted {
    Counted() { ++live; }
    ~Counted() { --live; }
    static int live;
};
int Counted::live;

extern "C" {
NOINLINE static void by_new() {
    keep(operator new(3011));
    truth("by_new", 3011, 1);
}
NOINLINE static void fails() {
    Counted here;
    keep(operator new(impossible));
}
NOINLINE static void fails_aligned() {
    Counted here;
    keep(operator new(impossible, std::align_val_t(64)));
}
}

static int caught(void (*call)()) {
    try {
        call();
    } catch (const std::bad_alloc &) {
        return 1;
    }
    return 0;
}

int main() {
    by_new();
    for (int i = 0; i < 100; i++) {
        require(caught(fails) && caught(fails_aligned), "an exception");
        require(Counted::live == 0, "destructors on the way");
        require(operator new(impossible, std::nothrow) == nullptr, "null");
    }
    std::set_new_handler([] {
        if (++asked == 3) std::set_new_handler(nullptr);
    });
    require(caught(fails), "an exception in the end");
    require(asked == 3, "the new-handler is asked again and again");
}
