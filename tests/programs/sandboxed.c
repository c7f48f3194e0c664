/* Puts itself into a sandbox that kills for any system call but the few that malloc and threads themselves need, and then
 * allocates, frees and maps, on its first thread and on one that was made before. */
#include "program.h"
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#define ALLOW(name)                                                                                                    \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##name, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

static atomic_int stage;
static uint64_t objects[2];

NOINLINE static void deeper(int depth, int thread) {
    volatile char room[1000];
    room[0] = 1;
    if (depth > 0) deeper(depth - 1, thread);
    free(keep(malloc(1101)));
    keep(malloc(1102));
    free(keep(realloc(keep(malloc(10)), 5000)));
    void *pages = mmap(NULL, 8192, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    require(munmap(keep(pages), 8192) == 0, "munmap");
    objects[thread]++;
    room[1] = room[0];
}

static void *body(void *unused) {
    atomic_store(&stage, 1);
    while (atomic_load(&stage) < 2) sched_yield();
    deeper(200, 1);
    atomic_store(&stage, 3);
    return unused;
}

int main(void) {
    pthread_t thread;
    require(pthread_create(&thread, NULL, body, NULL) == 0, "pthread_create");
    while (atomic_load(&stage) < 1) sched_yield();
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        ALLOW(read), ALLOW(write), ALLOW(brk), ALLOW(mmap), ALLOW(munmap), ALLOW(mremap), ALLOW(mprotect),
        ALLOW(madvise), ALLOW(futex), ALLOW(sched_yield), ALLOW(exit), ALLOW(exit_group), ALLOW(rt_sigprocmask),
        ALLOW(newfstatat), ALLOW(getrandom),
        /* Leakscope itself: which threads have ended, at exit and when one is made. */
        ALLOW(tgkill),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    };
    struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
    require(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "no new privileges");
    require(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) == 0, "seccomp");
    deeper(200, 0);
    atomic_store(&stage, 2);
    while (atomic_load(&stage) < 3) sched_yield();
    pthread_join(thread, NULL);
    truth("deeper", 1102 * (objects[0] + objects[1]), objects[0] + objects[1]);
}
