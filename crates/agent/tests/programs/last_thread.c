/* libjvm.so is loaded, but no JVM is made, and main ends by pthread_exit: the process ends with its last thread, by
   exit(0), although leakscope's helper is still waiting for the JVM. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
static void bye(void) { puts("exit handlers ran"); }
static void *body(void *argument) { return argument; }
int main(int count, char **arguments) {
    pthread_t thread;
    if (count != 2 || !dlopen(arguments[1], RTLD_NOW)) return 2;
    atexit(bye);
    pthread_create(&thread, NULL, body, NULL);
    pthread_exit(NULL);
}
