// What runs when threads and the process end: thread-local destructors, destructors of keys (in several rounds), exit
// handlers and destructors of statics, each of which allocates and frees.
#include <atomic>
#include "program.h"

static pthread_key_t key;
static std::atomic<uint64_t> *kept;

extern "C" {
NOINLINE static void by_destructor() {
    free(keep(malloc(901)));
    keep(malloc(902));
    kept->fetch_add(1);
}
NOINLINE static void of_thread(void *round) {
    by_destructor();
    // Some rounds more, as libraries do that come back after others.
    if (reinterpret_cast<uintptr_t>(round) < 3)
        pthread_setspecific(key, reinterpret_cast<void *>(reinterpret_cast<uintptr_t>(round) + 1));
}
static void at_end(void) { by_destructor(); }
}

struct Local {
    void *block = malloc(903);
    ~Local() {
        free(block);
        by_destructor();
    }
};
static thread_local Local local;

struct Static {
    ~Static() {
        by_destructor();
        // The last to run: says what is true now.
        truth("by_destructor", 902 * kept->load(), kept->load());
        fflush(stdout);
    }
};

static void *body(void *how) {
    keep(local.block);
    pthread_setspecific(key, reinterpret_cast<void *>(1));
    if (how) pthread_exit(nullptr);
    return nullptr;
}

int main() {
    static Static last;
    kept = new std::atomic<uint64_t>{0};
    pthread_key_create(&key, of_thread);
    atexit(at_end);
    for (intptr_t i = 0; i < 20; i++) {
        pthread_t thread;
        require(pthread_create(&thread, nullptr, body, reinterpret_cast<void *>(i % 2)) == 0, "pthread_create");
        pthread_join(thread, nullptr);
    }
    keep(local.block);
    return 0;
}
