// Every form of operator new, each in a function of its own.
#include "program.h"
#include <new>

struct alignas(128) Wide {
    char bytes[1024];
};
extern "C" {
NOINLINE static void by_new() {
    keep(operator new(2011));
    operator delete(keep(operator new(2011)));
    truth("by_new", 2011, 1);
}
NOINLINE static void by_new_array() {
    keep(new char[2012]);
    delete[] static_cast<char *>(keep(new char[2012]));
    truth("by_new_array", 2012, 1);
}
NOINLINE static void by_new_nothrow() {
    keep(operator new(2013, std::nothrow));
    truth("by_new_nothrow", 2013, 1);
}
NOINLINE static void by_new_aligned() {
    keep(new Wide);
    delete static_cast<Wide *>(keep(new Wide));
    truth("by_new_aligned", sizeof(Wide), 1);
}
}

int main() {
    by_new();
    by_new_array();
    by_new_nothrow();
    by_new_aligned();
}
