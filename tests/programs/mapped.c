/* Every call that maps memory, in every way that matters: each function leaves what it says, in whole pages. */
#include "program.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>

#define P 4096L
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)

static char *map(long pages, int flags, void *at) {
    char *p = mmap(at, pages * P, PROT_READ | PROT_WRITE, ANON | flags, -1, 0);
    require(p != MAP_FAILED, "mmap");
    return p;
}

/* Inlined into the functions below: the stack is theirs. */
#define MAP(pages) map_here(pages)
static inline __attribute__((always_inline)) char *map_here(long pages) {
    char *p = mmap(NULL, pages * P, PROT_READ | PROT_WRITE, ANON, -1, 0);
    require(p != MAP_FAILED, "mmap");
    return p;
}

NOINLINE static void unmapped(void) { require(munmap(MAP(11), 11 * P) == 0, "munmap"); }

NOINLINE static void odd_length(void) {
    keep(mmap(NULL, 5 * P + 1, PROT_READ, ANON, -1, 0));
    truth("odd_length", 6 * P, 1);
}

NOINLINE static void ends_cut(void) {
    char *p = MAP(10);
    require(munmap(p, P) == 0 && munmap(p + 8 * P, 2 * P) == 0, "munmap");
    truth("ends_cut", 7 * P, 1);
}

NOINLINE static void middle_cut(void) {
    char *p = MAP(10);
    require(munmap(p + 3 * P, 2 * P) == 0, "munmap");
    truth("middle_cut", 8 * P, 2);
}

NOINLINE static void two_in_one(void) {
    char *p = MAP(20);
    require(munmap(p, 20 * P) == 0, "munmap");
    for (int i = 0; i < 2; i++)
        require(mmap(p + i * 5 * P, 5 * P, PROT_READ, ANON | MAP_FIXED, -1, 0) == p + i * 5 * P, "fixed");
    require(munmap(p + 2 * P, 6 * P) == 0, "munmap");
    truth("two_in_one", 4 * P, 2);
}

NOINLINE static void over(char *p) {
    require(mmap(p + 2 * P, 3 * P, PROT_READ, ANON | MAP_FIXED, -1, 0) == p + 2 * P, "fixed");
    truth("over", 3 * P, 1);
}

NOINLINE static void under(void) {
    char *p = MAP(9);
    over(p);
    /* over() is called from here: its pages count for both. */
    truth("under", 9 * P, 3);
}

NOINLINE static void failures(void) {
    char *p = MAP(4);
    errno = 0;
    require(mmap(NULL, 0, PROT_READ, ANON, -1, 0) == MAP_FAILED && errno == EINVAL, "no length");
    require(mmap(NULL, P, PROT_READ, MAP_PRIVATE, -1, 0) == MAP_FAILED && errno == EBADF, "no file");
    errno = 0;
    require(munmap(p + 1, P) == -1 && errno == EINVAL, "odd address");
    require(munmap(p, 0) == -1 && errno == EINVAL, "nothing");
    errno = 0;
    require(mremap(p, 4 * P, 1L << 46, MREMAP_MAYMOVE) == MAP_FAILED && errno == ENOMEM, "too large");
    require(shmdt(p) == -1 && errno == EINVAL, "no segment");
    p[4 * P - 1] = 1;
    truth("failures", 4 * P, 1);
}

NOINLINE static void shrunk(void) {
    char *p = MAP(10);
    require(mremap(p, 10 * P, 6 * P, 0) == p, "mremap");
    truth("shrunk", 6 * P, 1);
}

NOINLINE static void grown(void) {
    char *p = MAP(20);
    require(munmap(p + 10 * P, 10 * P) == 0, "munmap");
    require(mremap(p, 10 * P, 13 * P, 0) == p, "mremap");
    truth("grown", 13 * P, 1);
}

NOINLINE static void moved(void) {
    char *p = MAP(7), *to = MAP(30);
    p[0] = 42;
    require(munmap(to, 30 * P) == 0, "munmap");
    to = mremap(p, 7 * P, 9 * P, MREMAP_MAYMOVE | MREMAP_FIXED, to);
    require(to != MAP_FAILED && to != p && to[0] == 42, "mremap");
    truth("moved", 9 * P, 1);
}

NOINLINE static void moved_over(void) {
    char *p = MAP(5), *to = MAP(12);
    p[0] = 42;
    to = mremap(p, 5 * P, 5 * P, MREMAP_MAYMOVE | MREMAP_FIXED, to + 3 * P);
    require(to != MAP_FAILED && to[0] == 42, "mremap");
    truth("moved_over", 12 * P, 3);
}

NOINLINE static void kept_behind(void) {
    char *p = MAP(5);
    p[0] = 42;
    char *to = mremap(p, 5 * P, 5 * P, MREMAP_MAYMOVE | 4 /* DONTUNMAP */, NULL);
    require(to != MAP_FAILED && to[0] == 42 && p[0] == 0, "mremap");
    truth("kept_behind", 10 * P, 2);
}

NOINLINE static void twice(void) {
    char *p = mmap(NULL, 3 * P, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    char *q = mremap(p, 0, 3 * P, MREMAP_MAYMOVE);
    require(q != MAP_FAILED, "mremap");
    p[0] = 7;
    require(q[0] == 7, "the same memory");
    truth("twice", 6 * P, 2);
}

NOINLINE static void file(void) {
    int fd = open("/proc/self/exe", O_RDONLY);
    require(fd >= 0, "open");
    keep(mmap(NULL, 100, PROT_READ, MAP_PRIVATE, fd, 0));
    keep(mmap64(NULL, 2 * P, PROT_READ, MAP_SHARED, fd, P));
    close(fd);
    truth("file", 3 * P, 2);
}

NOINLINE static void segment(void) {
    int id = shmget(IPC_PRIVATE, 3 * P + 5, 0600 | IPC_CREAT);
    require(id >= 0, "shmget");
    char *p = shmat(id, NULL, 0), *q = shmat(id, NULL, 0);
    shmctl(id, IPC_RMID, NULL);
    require(p != (char *)-1 && q != (char *)-1 && shmdt(q) == 0, "shmat");
    truth("segment", 4 * P, 1);
}

NOINLINE static void segment_over(void) {
    int id = shmget(IPC_PRIVATE, 4 * P, 0600 | IPC_CREAT);
    char *p = MAP(10);
    require(id >= 0 && shmat(id, p + 2 * P, SHM_REMAP) == p + 2 * P, "shmat");
    shmctl(id, IPC_RMID, NULL);
    truth("segment_over", 10 * P, 3);
}

NOINLINE static void reserved(void) {
    keep(mmap(NULL, 1000 * P, PROT_NONE, ANON | MAP_NORESERVE, -1, 0));
    truth("reserved", 1000 * P, 1);
}

/* Threads that map, cut and unmap at once: nothing may be left. */
static void *churn(void *unused) {
    for (int i = 0; i < 3000; i++) {
        char *p = map(6, 0, NULL);
        require(munmap(p + 2 * P, P) == 0 && munmap(p, 6 * P) == 0, "munmap");
    }
    return unused;
}

int main(void) {
    unmapped();
    odd_length();
    ends_cut();
    middle_cut();
    two_in_one();
    under();
    failures();
    shrunk();
    grown();
    moved();
    moved_over();
    kept_behind();
    twice();
    file();
    segment();
    segment_over();
    reserved();
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) require(pthread_create(&threads[i], NULL, churn, NULL) == 0, "thread");
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    truth("unmapped", 0, 0);
    truth("churn", 0, 0);
    return 0;
}
