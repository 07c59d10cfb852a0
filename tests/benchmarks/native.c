/* Measures a .tflite file in LiteRT without Python. Usage: native LIBRARY MODEL
 *
 * For each number N that it reads from standard input, it runs the model N times and prints a line with N durations in
 * nanoseconds. LiteRT's library ships without headers, so the parts of its C interface used here are declared below.
 */
#define _POSIX_C_SOURCE 199309L
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef int32_t Status; /* 0 for success */
typedef void *Handle;

typedef struct {
    int32_t element_type;
    struct {
        unsigned rank : 7;
        unsigned has_strides : 1;
        int32_t dimensions[8];
        uint32_t strides[8];
    } layout;
} TensorType;

enum { ON_CPU = 1, FOR_WRITING = 1 };

static void *library;

static void die(const char *what) {
    fprintf(stderr, "%s failed\n", what);
    exit(1);
}

/* Looks up a function. The pointer is copied, because ISO C does not convert object pointers to function pointers. */
static void look_up(const char *name, void *function) {
    void *found = dlsym(library, name);
    if (!found) die(name);
    memcpy(function, &found, sizeof found);
}

#define CALL(name, types, ...)                    \
    do {                                          \
        Status(*function) types;                  \
        look_up(#name, &function);                \
        if (function(__VA_ARGS__) != 0) die(#name); \
    } while (0)

static Handle environment, model, signature, compiled;

static Handle buffer_of(int is_input) {
    Handle tensor, requirements, buffer;
    TensorType type;
    if (is_input) {
        CALL(LiteRtGetSignatureInputTensorByIndex, (Handle, size_t, Handle *), signature, 0, &tensor);
        CALL(LiteRtGetCompiledModelInputBufferRequirements, (Handle, size_t, size_t, Handle *), compiled, 0, 0,
             &requirements);
    } else {
        CALL(LiteRtGetSignatureOutputTensorByIndex, (Handle, size_t, Handle *), signature, 0, &tensor);
        CALL(LiteRtGetCompiledModelOutputBufferRequirements, (Handle, size_t, size_t, Handle *), compiled, 0, 0,
             &requirements);
    }
    CALL(LiteRtGetRankedTensorType, (Handle, TensorType *), tensor, &type);
    if (type.layout.dimensions[0] < 0) type.layout.dimensions[0] = 1; /* a batch of any size */
    CALL(LiteRtCreateManagedTensorBufferFromRequirements, (Handle, const TensorType *, Handle, Handle *), environment,
         &type, requirements, &buffer);
    return buffer;
}

static void clear(Handle buffer) {
    void *content;
    size_t size;
    CALL(LiteRtGetTensorBufferPackedSize, (Handle, size_t *), buffer, &size);
    CALL(LiteRtLockTensorBuffer, (Handle, void **, int), buffer, &content, FOR_WRITING);
    memset(content, 0, size);
    CALL(LiteRtUnlockTensorBuffer, (Handle), buffer);
}

static int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

int main(int count, char **arguments) {
    Handle options, input, output;
    Status (*run)(Handle, size_t, size_t, Handle *, size_t, Handle *);
    int times;
    if (count != 3) die("usage: native LIBRARY MODEL;");
    library = dlopen(arguments[1], RTLD_NOW);
    if (!library) die(dlerror());
    CALL(LiteRtCreateEnvironment, (int, const void *, Handle *), 0, NULL, &environment);
    CALL(LiteRtCreateModelFromFile, (Handle, const char *, Handle *), environment, arguments[2], &model);
    CALL(LiteRtGetModelSignature, (Handle, size_t, Handle *), model, 0, &signature);
    CALL(LiteRtCreateOptions, (Handle *), &options);
    CALL(LiteRtSetOptionsHardwareAccelerators, (Handle, int), options, ON_CPU);
    CALL(LiteRtCreateCompiledModel, (Handle, Handle, Handle, Handle *), environment, model, options, &compiled);
    input = buffer_of(1);
    output = buffer_of(0);
    clear(input);
    look_up("LiteRtRunCompiledModel", &run);
    while (scanf("%d", &times) == 1) {
        for (int k = 0; k < times; k++) {
            int64_t start = now_ns();
            if (run(compiled, 0, 1, &input, 1, &output) != 0) die("LiteRtRunCompiledModel");
            printf("%lld ", (long long)(now_ns() - start));
        }
        printf("\n");
        fflush(stdout);
    }
    return 0;
}
