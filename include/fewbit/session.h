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
} FbSessionOptions;

/* The session keeps a reference to nothing of the model's memory that an edit would change: the model may be edited or freed afterwards. */
FB_API FB_MUST_CHECK FbStatus fb_session_create(FbContext *context, const FbModel *model, const FbSessionOptions *options,
                                                FbSession **session, FbError *err);
/* inputs: fb_model_input_count tensors in that order. outputs: receives fb_model_output_count views into the session, valid until the
 * next run or free. The second and later runs with the same shapes allocate nothing (models with data-dependent shapes excepted). */
FB_API FB_MUST_CHECK FbStatus fb_session_run(FbSession *session, const FbTensor *inputs, size_t input_count, FbTensor *outputs,
                                             size_t output_count, FbError *err);
FB_API void fb_session_free(FbSession *session);

#ifdef __cplusplus
}
#endif
#endif
