/* The library of Handles.java: a copy of the input in memory of its own, which the caller must release. */
#include <jni.h>
#include <stdint.h>
#include <stdlib.h>

static void *copy(JNIEnv *env, jbyteArray input) {
    jsize length = (*env)->GetArrayLength(env, input);
    void *block = malloc(length);
    if (block != NULL)
        (*env)->GetByteArrayRegion(env, input, 0, length, block);
    return block;
}

JNIEXPORT jlong JNICALL Java_Handles_00024Codec_encode(JNIEnv *env, jclass class, jbyteArray input) {
    (void)class;
    return (jlong)(intptr_t)copy(env, input);
}

JNIEXPORT void JNICALL Java_Handles_00024Codec_release(JNIEnv *env, jclass class, jlong handle) {
    (void)env;
    (void)class;
    free((void *)(intptr_t)handle);
}
