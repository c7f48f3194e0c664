/* A fork server: a parent with blocks of its own and a busy thread forks workers one after the other. What a worker does
 * is ARGV[1]; each says what it holds and waits for a line on stdin before it ends, so that all live at once.
 *
 *   blocks    allocates
 *   map       maps memory and allocates nothing
 *   thread    makes a thread which allocates
 *   nested    forks a worker of its own, and ends before that one does
 *   vfork     makes a vforked child allocate before it does so itself
 *   close     closes every descriptor, then opens as many of its own as it can; then allocates
 *   exec      allocates and executes another program
 *   sessions  allocates, and says how many sessions it has mapped and open
 *   chain     five generations, each of which begins when the one before has ended
 *   sandbox   goes into a seccomp sandbox which kills whoever makes a socket, then allocates
 *   signal    is forked by a signal handler in the midst of the parent's allocations, returns into these and allocates
 *   crowd     allocates, as one of a hundred, each forked when the one before has allocated
 *   nothing   allocates nothing */
#include "program.h"
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>

enum { WORKERS = 3, CROWD = 100, INHERITED = 500, SIZE = 1237, MAPPED = 1 << 20 };
static void *inherited[INHERITED];
static atomic_int stop;
static int done[2], hold[2];

NOINLINE static void parent_block(void) {
    for (int i = 0; i < INHERITED; i++) inherited[i] = keep(malloc(777));
}
NOINLINE static void worker_block(int n) {
    for (int i = 0; i < n; i++) keep(malloc(SIZE));
}
/* Half of what was inherited is freed, the other half grown. */
NOINLINE static void worker_grown(void) {
    for (int i = 0; i < INHERITED / 2; i++) free(inherited[i]);
    for (int i = INHERITED / 2; i < INHERITED; i++) inherited[i] = keep(realloc(inherited[i], 3001));
}
NOINLINE static void worker_map(void) {
    require(mmap(NULL, MAPPED, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED, "mmap");
}
NOINLINE static void *worker_thread(void *argument) {
    worker_block(*(int *)argument);
    return NULL;
}
NOINLINE static void vforked_block(void) { keep(malloc(4242)); }

static void *busy(void *argument) {
    (void)argument;
    while (!atomic_load(&stop)) free(keep(malloc(555)));
    return NULL;
}

static void say(const char *line) {
    ssize_t bytes = (ssize_t)strlen(line);
    require(write(done[1], line, bytes) == bytes, "the pipe");
}

/* Without stdio, which allocates. */
static void say_sessions(void) {
    static char text[1 << 16];
    char link[64], said[64];
    int mapped = 0, opened = 0, maps = open("/proc/self/maps", O_RDONLY);
    size_t length = 0;
    for (ssize_t got; (got = read(maps, text + length, sizeof text - 1 - length)) > 0;) length += got;
    close(maps);
    for (char *at = text; (at = strstr(at, "/memfd:leakscope")); at++) mapped++;
    for (int fd = 0; fd < 2000; fd++) {
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t bytes = readlink(link, text, sizeof text - 1);
        opened += bytes > 0 && !strncmp(text, "/memfd:leakscope", 16);
    }
    snprintf(said, sizeof said, "sessions mapped %d open %d\n", mapped, opened);
    say(said);
}

static void chain(int generation) {
    int gone[2];
    worker_block(100 * generation);
    if (generation == 5) return say_sessions();
    require(pipe(gone) == 0, "pipe");
    pid_t child = fork();
    require(child >= 0, "fork");
    if (child > 0) _exit(0);
    char byte;
    close(gone[1]);
    require(read(gone[0], &byte, 1) == 0, "the end of the generation before");
    close(gone[0]);
    chain(generation + 1);
}

static void wait_for_leave(void) {
    char byte;
    require(read(hold[0], &byte, 1) == 0, "the parent's end");
}

static void enter_sandbox(void) {
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_memfd_create, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    };
    struct sock_fprog program = {.len = sizeof code / sizeof *code, .filter = code};
    require(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "no new privileges");
    require(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0, "seccomp");
}

static volatile sig_atomic_t forked, is_child;

static void on_timer(int signal) {
    (void)signal;
    if (is_child || forked == WORKERS) return;
    pid_t child = fork();
    require(child >= 0, "fork");
    if (child == 0) {
        is_child = 1;
        worker_map(); /* a hook in a hook, perhaps */
    } else {
        forked++;
    }
}

/* The parent allocates until enough children have been forked from a handler; each comes back right here. */
NOINLINE static void fork_by_signals(void) {
    struct itimerval often = {{0, 700}, {0, 700}}, never = {{0, 0}, {0, 0}};
    signal(SIGALRM, on_timer);
    require(setitimer(ITIMER_REAL, &often, NULL) == 0, "timer");
    while (forked < WORKERS && !is_child) {
        void *block = keep(malloc(100));
        block = keep(realloc(block, 5000));
        free(block);
    }
    setitimer(ITIMER_REAL, &never, NULL);
}

static void work(const char *what, int number) {
    int n = 100 + number;
    close(hold[1]);
    if (!strcmp(what, "blocks")) {
        worker_block(n);
        worker_grown();
    } else if (!strcmp(what, "map")) {
        worker_map();
    } else if (!strcmp(what, "thread")) {
        pthread_t thread;
        require(!pthread_create(&thread, NULL, worker_thread, &n), "no thread");
        pthread_join(thread, NULL);
    } else if (!strcmp(what, "nested")) {
        worker_block(n);
        pid_t child = fork();
        require(child >= 0, "fork");
        if (child > 0) return; /* ends first */
        worker_block(1000);
    } else if (!strcmp(what, "vfork")) {
        pid_t child = vfork();
        require(child >= 0, "vfork");
        if (child == 0) {
            vforked_block();
            _exit(0);
        }
        require(waitpid(child, NULL, 0) == child, "the vforked child");
        worker_block(n);
    } else if (!strcmp(what, "close")) {
        int up = dup2(done[1], 3), down = dup2(hold[0], 4);
        require(up == 3 && down == 4, "dup2");
        done[1] = up, hold[0] = down;
        struct rlimit limit;
        require(getrlimit(RLIMIT_NOFILE, &limit) == 0, "getrlimit");
        for (rlim_t fd = 5; fd < limit.rlim_cur && fd < 65536; fd++) close(fd);
        int last = 4;
        for (int fd; last < 2000 && (fd = open("/dev/null", O_RDONLY)) >= 0;) last = fd;
        worker_block(n);
        for (int fd = 5; fd <= last; fd++) require(fcntl(fd, F_GETFD) >= 0, "a descriptor of ours was closed");
    } else if (!strcmp(what, "sandbox")) {
        enter_sandbox();
        worker_block(n);
    } else if (!strcmp(what, "signal") || !strcmp(what, "crowd")) {
        worker_block(100);
    } else if (!strcmp(what, "exec")) {
        worker_block(n);
        execl("/bin/sh", "sh", "-c", "exit 0", NULL);
        require(0, "exec");
    }
    if (!strcmp(what, "sessions")) {
        worker_block(n);
        say_sessions();
    } else if (!strcmp(what, "chain")) {
        chain(1);
    } else {
        say("worker\n");
    }
    wait_for_leave();
}

int main(int argc, char **argv) {
    require(argc > 1, "what the workers do");
    require(pipe(done) == 0 && pipe(hold) == 0, "pipe");
    parent_block();
    pthread_t thread;
    int by_signals = !strcmp(argv[1], "signal"), workers = strcmp(argv[1], "crowd") ? WORKERS : CROWD;
    /* libc's fork and malloc take locks once there are threads; then no handler may fork. */
    if (by_signals)
        fork_by_signals();
    else
        require(!pthread_create(&thread, NULL, busy, NULL), "no thread");
    for (int i = 0; i < workers && (!by_signals || is_child); i++) {
        pid_t child = is_child ? 0 : fork();
        require(child >= 0, "fork");
        if (child == 0) {
            work(argv[1], i);
            _exit(10 + i);
        }
        if (workers == CROWD)
            for (char byte = 0; byte != '\n';) require(read(done[0], &byte, 1) == 1, "its line");
    }
    close(done[1]);
    /* Each worker's line, until all have ended or wait. */
    int lines = strcmp(argv[1], "exec") && workers != CROWD ? workers : 0;
    for (char byte; lines > 0 && read(done[0], &byte, 1) == 1; lines -= byte == '\n') require(write(1, &byte, 1) == 1, "");
    require(write(1, "ready\n", 6) == 6, "stdout");
    for (char byte; read(0, &byte, 1) == 1;) {}
    close(hold[1]);
    int codes = 0, status;
    while (wait(&status) > 0) codes += WIFEXITED(status) ? WEXITSTATUS(status) : 1000;
    codes &= 127;
    while (read(done[0], &status, 1) > 0) {} /* until the last grandchild has ended */
    atomic_store(&stop, 1);
    if (!by_signals) pthread_join(thread, NULL);
    truth("parent_block", 777L * INHERITED, INHERITED);
    return codes;
}
