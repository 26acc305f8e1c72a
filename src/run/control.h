/* What the control operators share when they run. */
#ifndef FB_RUN_CONTROL_H
#define FB_RUN_CONTROL_H

#include "run/instance.h"

typedef struct FbControl {
    FbContext *context;
    FbBinding *binding;
    FbStage *stage;
    const FbStep *step;
    FbInstance **bodies;
    FbInstance *body;         /* chosen by fb_control_body */
    const FbTensor **inputs;  /* of the body; captures are filled in */
    FbTensor *outputs;
} FbControl;

typedef struct FbKept { /* a value carried from one run of a body to the next */
    FbTensor tensor;
    void *memory;
    size_t capacity;
} FbKept;

FbStatus fb_control_scalar(const FbTensor *tensor, FbDtype dtype, const char *what, int64_t *out, FbError *err);
const FbTensor *fb_control_input(const FbControl *control, uint32_t input); /* of the node; NULL: absent */
FbStatus fb_control_body(FbControl *control, uint32_t body, FbError *err);
FbStatus fb_control_output(const FbControl *control, uint32_t output, const FbTensor *tensor, FbError *err); /* copies */
FbStatus fb_control_keep(const FbControl *control, FbKept *kept, const FbTensor *tensor, FbError *err);      /* copies */

/* control_scan.c */
FbStatus fb_control_scan(FbControl *control, FbError *err);

#endif
