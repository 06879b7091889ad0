/* What the stand-in's classes call of LiteRT 2's C interface, for tests on Linux. LiteRT's library is that of the
   Python package ai-edge-litert. Only what is used of the interface is declared. */

#include <jni.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CPU = 1, FOR_READING = 0, FOR_WRITING = 1, MOST_TENSORS = 64 };

typedef struct {
    int32_t type;
    uint32_t rank; /* in the 7 lowest bits */
    int32_t dimensions[8];
    uint32_t strides[8];
} TensorType;

extern int LiteRtCreateEnvironment(int count, const void *options, void **environment);
extern void LiteRtDestroyEnvironment(void *environment);
extern int LiteRtCreateModelFromFile(void *environment, const char *file, void **model);
extern void LiteRtDestroyModel(void *model);
extern int LiteRtCreateOptions(void **options);
extern void LiteRtDestroyOptions(void *options);
extern int LiteRtSetOptionsHardwareAccelerators(void *options, int accelerators);
extern int LiteRtCreateOpaqueOptions(const char *kind, void *data, void (*destroy)(void *), void **options);
extern int LiteRtAddOpaqueOptions(void *options, void *opaque);
extern int LiteRtCreateCompiledModel(void *environment, void *model, void *options, void **compiled);
extern void LiteRtDestroyCompiledModel(void *compiled);
extern int LiteRtGetNumModelSignatures(void *model, size_t *count);
extern int LiteRtGetModelSignature(void *model, size_t index, void **signature);
extern int LiteRtGetSignatureKey(void *signature, const char **key);
extern int LiteRtGetNumSignatureInputs(void *signature, size_t *count);
extern int LiteRtGetNumSignatureOutputs(void *signature, size_t *count);
extern int LiteRtGetSignatureInputTensorByIndex(void *signature, size_t index, void **tensor);
extern int LiteRtGetSignatureOutputTensorByIndex(void *signature, size_t index, void **tensor);
extern int LiteRtGetRankedTensorType(void *tensor, TensorType *type);
extern int LiteRtGetCompiledModelInputBufferRequirements(void *compiled, size_t signature, size_t index, void **found);
extern int LiteRtGetCompiledModelOutputBufferRequirements(void *compiled, size_t signature, size_t index, void **found);
extern int LiteRtCreateManagedTensorBufferFromRequirements(void *environment, const TensorType *type, void *wanted,
                                                           void **buffer);
extern void LiteRtDestroyTensorBuffer(void *buffer);
extern int LiteRtLockTensorBuffer(void *buffer, void **memory, int mode);
extern int LiteRtUnlockTensorBuffer(void *buffer);
extern int LiteRtRunCompiledModel(void *compiled, size_t signature, size_t ins, void **in, size_t outs, void **out);

typedef struct {
    void *environment, *model, *compiled;
} Opened;

#define CLASS(name) Java_com_google_ai_edge_litert_##name
#define OPENED ((Opened *)(intptr_t)handle)

/* Throw LiteRtException unless a status is that of success; returns whether it is. */
static bool ok(JNIEnv *env, int status, const char *what) {
    if (status != 0) {
        char text[128];
        snprintf(text, sizeof text, "LiteRT could not %s: status %d", what, status);
        (*env)->ThrowNew(env, (*env)->FindClass(env, "com/google/ai/edge/litert/LiteRtException"), text);
    }
    return status == 0;
}

static void close_all(Opened *opened) {
    if (opened->compiled) LiteRtDestroyCompiledModel(opened->compiled);
    if (opened->model) LiteRtDestroyModel(opened->model);
    if (opened->environment) LiteRtDestroyEnvironment(opened->environment);
    free(opened);
}

static int compile(Opened *opened, char *settings) {
    void *options = NULL, *opaque = NULL;
    int status = LiteRtCreateOptions(&options);
    if (!status) status = LiteRtSetOptionsHardwareAccelerators(options, CPU);
    if (!status) status = LiteRtCreateOpaqueOptions("xnnpack", settings, free, &opaque);
    if (!status) status = LiteRtAddOpaqueOptions(options, opaque);
    if (!status) status = LiteRtCreateCompiledModel(opened->environment, opened->model, options, &opened->compiled);
    if (options) LiteRtDestroyOptions(options);
    return status;
}

JNIEXPORT jlong JNICALL CLASS(CompiledModel_create)(JNIEnv *env, jclass type, jstring file, jint threads,
                                                    jstring packed) {
    const char *path = (*env)->GetStringUTFChars(env, file, NULL);
    const char *cache = (*env)->GetStringUTFChars(env, packed, NULL);
    Opened *opened = calloc(1, sizeof *opened);
    size_t size = strlen(cache) + 80;
    char *settings = malloc(size);
    snprintf(settings, size, "num_threads = %d\nweight_cache_file_path = \"%s\"\n", threads, cache);
    int status = LiteRtCreateEnvironment(0, NULL, &opened->environment);
    if (!status) status = LiteRtCreateModelFromFile(opened->environment, path, &opened->model);
    if (!status) status = compile(opened, settings);
    (*env)->ReleaseStringUTFChars(env, file, path);
    (*env)->ReleaseStringUTFChars(env, packed, cache);
    if (!ok(env, status, "compile the model")) {
        close_all(opened);
        return 0;
    }
    return (jlong)(intptr_t)opened;
}

JNIEXPORT void JNICALL CLASS(CompiledModel_destroy)(JNIEnv *env, jclass type, jlong handle) { close_all(OPENED); }

/* Find a signature by its key; gives its index, or throws and gives -1. */
static long find(JNIEnv *env, Opened *opened, jstring key, void **signature) {
    const char *wanted = (*env)->GetStringUTFChars(env, key, NULL);
    size_t count = 0;
    long found = -1;
    LiteRtGetNumModelSignatures(opened->model, &count);
    for (size_t i = 0; i < count && found < 0; i++) {
        const char *name = NULL;
        if (!LiteRtGetModelSignature(opened->model, i, signature) && !LiteRtGetSignatureKey(*signature, &name) &&
            !strcmp(name, wanted))
            found = (long)i;
    }
    (*env)->ReleaseStringUTFChars(env, key, wanted);
    ok(env, found < 0, "find the signature");
    return found;
}

JNIEXPORT jint JNICALL CLASS(CompiledModel_count)(JNIEnv *env, jclass type, jlong handle, jstring key,
                                                  jboolean output) {
    void *signature;
    size_t count = 0;
    if (find(env, OPENED, key, &signature) >= 0)
        ok(env, (output ? LiteRtGetNumSignatureOutputs : LiteRtGetNumSignatureInputs)(signature, &count), "count");
    return (jint)count;
}

static bool tensor_type(JNIEnv *env, void *signature, jint place, jboolean output, TensorType *type) {
    void *tensor;
    int status = (output ? LiteRtGetSignatureOutputTensorByIndex : LiteRtGetSignatureInputTensorByIndex)(
        signature, (size_t)place, &tensor);
    if (!status) status = LiteRtGetRankedTensorType(tensor, type);
    return ok(env, status, "tell a tensor's type");
}

JNIEXPORT jintArray JNICALL CLASS(CompiledModel_describe)(JNIEnv *env, jclass class, jlong handle, jstring key,
                                                          jint place, jboolean output) {
    void *signature;
    TensorType type;
    if (find(env, OPENED, key, &signature) < 0 || !tensor_type(env, signature, place, output, &type)) return NULL;
    jint rank = (jint)(type.rank & 127);
    jintArray found = (*env)->NewIntArray(env, 1 + rank);
    (*env)->SetIntArrayRegion(env, found, 0, 1, &type.type);
    (*env)->SetIntArrayRegion(env, found, 1, rank, type.dimensions);
    return found;
}

JNIEXPORT jlong JNICALL CLASS(CompiledModel_buffer)(JNIEnv *env, jclass class, jlong handle, jstring key, jint place,
                                                    jboolean output) {
    void *signature, *wanted, *buffer = NULL;
    TensorType type;
    long index = find(env, OPENED, key, &signature);
    if (index < 0 || !tensor_type(env, signature, place, output, &type)) return 0;
    int status = (output ? LiteRtGetCompiledModelOutputBufferRequirements
                         : LiteRtGetCompiledModelInputBufferRequirements)(OPENED->compiled, (size_t)index,
                                                                          (size_t)place, &wanted);
    if (!status) status = LiteRtCreateManagedTensorBufferFromRequirements(OPENED->environment, &type, wanted, &buffer);
    ok(env, status, "make a buffer");
    return (jlong)(intptr_t)buffer;
}

JNIEXPORT void JNICALL CLASS(CompiledModel_run)(JNIEnv *env, jclass type, jlong handle, jstring key, jlongArray in,
                                                jlongArray out) {
    void *signature, *read[MOST_TENSORS], *written[MOST_TENSORS];
    jsize ins = (*env)->GetArrayLength(env, in), outs = (*env)->GetArrayLength(env, out);
    long index = find(env, OPENED, key, &signature);
    if (index < 0 || !ok(env, ins > MOST_TENSORS || outs > MOST_TENSORS, "take so many tensors")) return;
    (*env)->GetLongArrayRegion(env, in, 0, ins, (jlong *)read); /* pointers of 64 bits */
    (*env)->GetLongArrayRegion(env, out, 0, outs, (jlong *)written);
    ok(env, LiteRtRunCompiledModel(OPENED->compiled, (size_t)index, (size_t)ins, read, (size_t)outs, written), "run");
}

JNIEXPORT void JNICALL CLASS(TensorBuffer_write)(JNIEnv *env, jclass type, jlong handle, jfloatArray data) {
    void *memory, *buffer = (void *)(intptr_t)handle;
    if (!ok(env, LiteRtLockTensorBuffer(buffer, &memory, FOR_WRITING), "write a buffer")) return;
    (*env)->GetFloatArrayRegion(env, data, 0, (*env)->GetArrayLength(env, data), memory);
    LiteRtUnlockTensorBuffer(buffer);
}

JNIEXPORT void JNICALL CLASS(TensorBuffer_read)(JNIEnv *env, jclass type, jlong handle, jfloatArray data) {
    void *memory, *buffer = (void *)(intptr_t)handle;
    if (!ok(env, LiteRtLockTensorBuffer(buffer, &memory, FOR_READING), "read a buffer")) return;
    (*env)->SetFloatArrayRegion(env, data, 0, (*env)->GetArrayLength(env, data), memory);
    LiteRtUnlockTensorBuffer(buffer);
}

JNIEXPORT void JNICALL CLASS(TensorBuffer_destroy)(JNIEnv *env, jclass type, jlong handle) {
    LiteRtDestroyTensorBuffer((void *)(intptr_t)handle);
}
