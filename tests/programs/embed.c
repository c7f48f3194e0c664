/* A C program with a JVM in it (ARGV[1] = libjvm.so) which drops its user while leakscope's helper thread is there:
 * glibc signals every thread for that and waits for all of them. */
#include "program.h"
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <jni.h>

typedef jint (*create_vm)(JavaVM **, void **, void *);

/* Runs SEE for each thread of this process: name, effective user. */
static int threads(int (*see)(const char *name, long user)) {
    DIR *tasks = opendir("/proc/self/task");
    require(tasks != NULL, "/proc/self/task");
    int found = 0;
    for (struct dirent *entry; (entry = readdir(tasks));) {
        char path[300], name[64] = "", line[256];
        long user = -1;
        snprintf(path, sizeof path, "/proc/self/task/%s/status", entry->d_name);
        FILE *file = entry->d_name[0] == '.' ? NULL : fopen(path, "r");
        if (!file) continue;
        while (fgets(line, sizeof line, file)) {
            sscanf(line, "Name: %63[^\n]", name);
            sscanf(line, "Uid: %*d %ld", &user);
        }
        fclose(file);
        found += see(name, user);
    }
    closedir(tasks);
    return found;
}
static int is_helper(const char *name, long user) {
    (void)user;
    return strcmp(name, "leakscope") == 0;
}
static int is_root(const char *name, long user) {
    (void)name;
    return user == 0;
}
static void *idle(void *argument) {
    (void)argument;
    for (;;) pause();
    return NULL;
}

int main(int argc, char **argv) {
    require(argc > 2, "libjvm.so, and whether a helper is expected");
    void *library = dlopen(argv[1], RTLD_NOW | RTLD_GLOBAL);
    require(library != NULL, "no libjvm.so");
    create_vm create = (create_vm)dlsym(library, "JNI_CreateJavaVM");
    JavaVMOption option = {.optionString = "-Xmx64m"};
    JavaVMInitArgs arguments = {.version = JNI_VERSION_1_8, .nOptions = 1, .options = &option};
    JavaVM *vm;
    void *environment;
    require(create(&vm, &environment, &arguments) == JNI_OK, "no JVM");
    pthread_t thread;
    for (int i = 0; i < 4; i++) require(!pthread_create(&thread, NULL, idle, NULL), "no thread");
    if (atoi(argv[2])) {
        int polls = 0;
        while (threads(is_helper) == 0) require(usleep(10000) == 0 && polls++ < 3000, "no helper thread in 30 s");
    }
    require(setuid(65534) == 0, "setuid");
    require(threads(is_root) == 0, "a thread is still root");
    printf("all threads dropped\n");
    return 0;
}
