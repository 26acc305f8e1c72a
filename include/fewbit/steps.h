/* What a session runs, step by step: for `fewbit inspect --plan`, `fewbit bench --profile`, and tools of your own. */
#ifndef FEWBIT_STEPS_H
#define FEWBIT_STEPS_H

#include "fewbit/session.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Texts belong to the session. */
typedef struct FbStepInfo {
    const char *name;      /* of the node; of the value where a step has no node */
    const char *type;      /* operator; "layout": another memory order; "to codes", "to reals": between both forms of a value */
    const char *kernel;    /* the primitive that serves the step (see `fewbit cpu`), or "operator": its plain form */
    const char *isa;       /* the row of that primitive; "" where there is none */
    const char *reason;    /* integer mode: why the step works in float; "" otherwise */
    char fused[88];        /* operators behind it that became part of it: "Add, Relu"; cut with "..." */
    int integer;           /* works on codes of 8 bits; steps between reals and codes do not count */
    FbTensor input, output; /* the first ones: type as held (u8: codes), logical shape, no data; rank -1: there is none */
    uint64_t macs;         /* multiply-accumulates; 0 for steps that are no products */
    uint64_t weight_bytes, input_bytes, output_bytes; /* constants as the step reads them; run-time inputs and outputs */
    const char *weight;    /* how its largest constant is stored: "q4_0", "s8", "f32"; "" where there is none */
    double seconds;        /* profiled: the shortest run; 0 otherwise */
} FbStepInfo;

/* Steps of the session's last run, in their order; 0 before the first. Steps inside If, Loop and Scan are not listed. */
FB_API size_t fb_session_step_count(const FbSession *session);
/* Step `index`; 0 when there is none. Valid until the next run. */
FB_API int fb_session_step(const FbSession *session, size_t index, FbStepInfo *info);
/* Times every step from now on, or no more. */
FB_API void fb_session_profile(FbSession *session, int on);

#ifdef __cplusplus
}
#endif
#endif
