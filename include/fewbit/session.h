/* Running a model. Compile once, bind per shape (cached), run without allocating. */
#ifndef FEWBIT_SESSION_H
#define FEWBIT_SESSION_H

#include "fewbit/model.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct FbSession FbSession;

typedef enum FbMode {
    FB_MODE_SIMULATED = 0, /* a Quant runs as quantize-then-dequantize in float; a float model just runs in float */
    FB_MODE_FLOAT,         /* Quants are switched off, encoded weights are decoded */
    FB_MODE_INTEGER        /* 8-bit Quants and encoded weights run on integers wherever an operator has a form on codes */
} FbMode;

/* How a session keeps the keys and values of language models. */
typedef enum FbCacheType {
    FB_CACHE_F32 = 0,
    FB_CACHE_F16,
    FB_CACHE_Q8_0 /* codes of 8 bits with one half for every 32 numbers */
} FbCacheType;

/* Called right after the step that produced an observed value; `tensor` is valid during the call only. channels_last: the memory order
 * is N, spatial..., C although tensor->dims is logical (N, C, spatial...). A status other than FB_OK stops the run. */
typedef FbStatus (*FbObserve)(void *user, size_t index, const FbTensor *tensor, int channels_last, FbError *err);

typedef struct FbSessionOptions {
    size_t struct_bytes;
    FbMode mode;
    const char *const *observed; /* value names; each must exist in the graph */
    size_t observed_count;
    FbObserve observe;
    void *observe_user;
    /* Language models only: the cache of keys and values. Its memory is allocated with the session; capacity 0: it grows with the runs. */
    uint64_t cache_capacity;     /* positions per sequence */
    size_t cache_sequences;      /* 0: one, or with capacity 0 any number */
    FbCacheType cache_type;
} FbSessionOptions;

/* The session keeps a reference to nothing of the model's memory that an edit would change: the model may be edited or freed afterwards. */
FB_API FB_MUST_CHECK FbStatus fb_session_create(FbContext *context, const FbModel *model, const FbSessionOptions *options,
                                                FbSession **session, FbError *err);
/* inputs: fb_model_input_count tensors in that order. outputs: receives fb_model_output_count views into the session, valid until the
 * next run or free. The second and later runs with the same shapes allocate nothing (models with data-dependent shapes excepted). */
FB_API FB_MUST_CHECK FbStatus fb_session_run(FbSession *session, const FbTensor *inputs, size_t input_count, FbTensor *outputs,
                                             size_t output_count, FbError *err);
FB_API void fb_session_free(FbSession *session);
/* Bytes that the session holds for keys and values. */
FB_API uint64_t fb_session_cache_bytes(const FbSession *session);

#ifdef __cplusplus
}
#endif
#endif
