// The same many bytes by each form of `new`.
#include "program.h"
#include <new>

static const int count = 40000;
static const size_t bytes = 200;

extern "C" {
NOINLINE static void by_new() {
    for (int i = 0; i < count; i++) keep(operator new(bytes));
    truth("by_new", count * bytes, count);
}
NOINLINE static void by_new_array() {
    for (int i = 0; i < count; i++) keep(operator new[](bytes));
    truth("by_new_array", count * bytes, count);
}
NOINLINE static void by_new_nothrow() {
    for (int i = 0; i < count; i++) keep(operator new(bytes, std::nothrow));
    truth("by_new_nothrow", count * bytes, count);
}
NOINLINE static void by_new_aligned() {
    for (int i = 0; i < count; i++) keep(operator new(bytes, std::align_val_t(64)));
    truth("by_new_aligned", count * bytes, count);
}
}

int main() {
    by_new();
    by_new_array();
    by_new_nothrow();
    by_new_aligned();
}
