/* A C library whose leak site is inlined twice; build with -O2. */
#include <stdlib.h>
#include <string.h>

struct node {
    struct node *next;
    char name[48];
};

static struct node *head;

static inline __attribute__((always_inline)) void *allocate(size_t size) {
    void *block = malloc(size);
    if (!block)
        abort();
    return block;
}

static inline __attribute__((always_inline)) struct node *make_node(const char *name) {
    struct node *node = allocate(sizeof *node);
    strncpy(node->name, name, sizeof node->name - 1);
    node->name[sizeof node->name - 1] = 0;
    return node;
}

__attribute__((noinline)) static int local_sum(const int *values, int count) {
    int sum = 0;
    for (int i = 0; i < count; i++)
        sum += values[i] * (i + 1);
    return sum;
}

void leak_node(const char *name) {
    struct node *node = make_node(name);
    node->next = head;
    head = node;
}

int sum_copy(const int *values, int count) {
    int *copy = allocate((size_t)count * sizeof *copy);
    memcpy(copy, values, (size_t)count * sizeof *copy);
    int sum = local_sum(copy, count);
    free(copy);
    return sum;
}

/* The call is the last instruction: a return address lies past the end of this function. */
__attribute__((noinline, noreturn)) void give_up(void) {
    abort();
}

int after_give_up(int x) {
    return x * 3 + 1;
}
