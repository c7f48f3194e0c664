/* A C program that has a JVM late (ARGV[1] = libjvm.so, ARGV[2] = class path): after it has allocated, with threads there
 * already, upon a line on stdin. It runs `Busy 500 wait`. With ARGV[3] it forks first, and only the child has the JVM. */
#include "program.h"
#include <dlfcn.h>
#include <jni.h>
#include <sys/wait.h>

typedef jint (*create_vm)(JavaVM **, void **, void *);
static atomic_int stop;

NOINLINE static void early_block(void) {
    for (int i = 0; i < 100; i++) keep(malloc(2221));
}
static void *busy(void *argument) {
    (void)argument;
    while (!atomic_load(&stop)) free(keep(malloc(555))), sched_yield();
    return NULL;
}

static void run_java(const char *path, const char *classes) {
    void *library = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
    require(library != NULL, "no libjvm.so");
    create_vm create = (create_vm)dlsym(library, "JNI_CreateJavaVM");
    static char class_path[4096];
    snprintf(class_path, sizeof class_path, "-Djava.class.path=%s", classes);
    JavaVMOption options[] = {{.optionString = "-Xmx64m"}, {.optionString = class_path}};
    JavaVMInitArgs arguments = {.version = JNI_VERSION_1_8, .nOptions = 2, .options = options};
    JavaVM *vm;
    JNIEnv *env;
    require(create(&vm, (void **)&env, &arguments) == JNI_OK, "no JVM");
    jclass program = (*env)->FindClass(env, "Busy");
    require(program != NULL, "no class");
    jmethodID main = (*env)->GetStaticMethodID(env, program, "main", "([Ljava/lang/String;)V");
    jobjectArray words = (*env)->NewObjectArray(env, 2, (*env)->FindClass(env, "java/lang/String"), NULL);
    (*env)->SetObjectArrayElement(env, words, 0, (*env)->NewStringUTF(env, "500"));
    (*env)->SetObjectArrayElement(env, words, 1, (*env)->NewStringUTF(env, "wait"));
    (*env)->CallStaticVoidMethod(env, program, main, words);
    require(!(*env)->ExceptionCheck(env), "an exception");
    require((*vm)->DestroyJavaVM(vm) == 0, "its end");
}

int main(int argc, char **argv) {
    require(argc > 2, "libjvm.so and a class path");
    pthread_t thread;
    early_block();
    require(!pthread_create(&thread, NULL, busy, NULL), "no thread");
    if (argc > 3) {
        pid_t child = fork();
        require(child >= 0, "fork");
        if (child == 0) {
            run_java(argv[1], argv[2]);
            exit(3);
        }
        int status;
        require(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 3, "the child");
    } else {
        char line;
        require(write(1, "waiting\n", 8) == 8 && read(0, &line, 1) == 1, "the pipe");
        run_java(argv[1], argv[2]);
    }
    atomic_store(&stop, 1);
    pthread_join(thread, NULL);
    truth("early_block", 222100, 100);
}
