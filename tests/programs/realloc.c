/* Each way that realloc can go, in a function of its own. */
#include "program.h"

NOINLINE static void from_null(void) {
    keep(realloc(NULL, 1001));
    truth("from_null", 1001, 1);
}
NOINLINE static void fails(void) {
    void *block = keep(malloc(2002));
    volatile size_t too_much = PTRDIFF_MAX;
    require(realloc(block, too_much) == NULL, "this realloc should have failed");
    truth("fails", 2002, 1);
}
NOINLINE static void shrinks(void) {
    keep(realloc(keep(malloc(30003)), 303));
    truth("shrinks", 303, 1);
}
NOINLINE static void grows_in_place(void) {
    void *block = keep(malloc(4001));
    void *same = keep(realloc(block, 4004));
    require(same == block, "this realloc should have stayed in place");
    truth("grows_in_place", 4004, 1);
}
NOINLINE static void moves(void) {
    void *block = keep(malloc(5005));
    void *volatile wall = malloc(5005);
    void *other = keep(realloc(block, 50050));
    require(wall && other != block, "this realloc should have moved");
    truth("moves", 5005 + 50050, 2);
}
NOINLINE static void to_zero(void) {
    volatile size_t nothing = 0;
    require(realloc(keep(malloc(6006)), nothing) == NULL, "size 0 frees in glibc");
    truth("to_zero", 0, 0);
}
NOINLINE static void remapped(void) {
    void *block = keep(malloc(8 << 20));
    for (int mib = 9; mib <= 64; mib += 11) block = keep(realloc(block, mib << 20));
    truth("remapped", 64 << 20, 1);
}
NOINLINE static void many_times(void) {
    void *block = NULL;
    for (int size = 1; size <= 3003; size++) block = keep(realloc(block, size));
    truth("many_times", 3003, 1);
}
NOINLINE static void then_freed(void) {
    free(keep(realloc(keep(malloc(7007)), 70070)));
    truth("then_freed", 0, 0);
}
NOINLINE static void *lends(void) { return keep(malloc(90)); }
NOINLINE static void *elsewhere(void *block) {
    keep(realloc(block, 9009));
    return NULL;
}
static void hand_over(void) {
    pthread_t thread;
    require(!pthread_create(&thread, NULL, elsewhere, lends()), "no thread");
    pthread_join(thread, NULL);
    truth("lends", 0, 0);
    truth("elsewhere", 9009, 1);
}
NOINLINE static void as_array(void) {
    keep(reallocarray(keep(reallocarray(NULL, 3, 5)), 11, 13));
    truth("as_array", 143, 1);
}

int main(void) {
    from_null();
    fails();
    shrinks();
    grows_in_place();
    moves();
    to_zero();
    remapped();
    many_times();
    then_freed();
    hand_over();
    as_array();
}
