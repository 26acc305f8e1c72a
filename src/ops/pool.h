/* Parameters of the pooling operators. */
#ifndef FB_OPS_POOL_H
#define FB_OPS_POOL_H

#include "ops/window.h"

typedef struct FbPoolParams {
    FbWindowParams window;
    bool count_include_pad; /* AveragePool */
    bool column_major;      /* MaxPool's indices */
    int64_t p;              /* LpPool, GlobalLpPool */
} FbPoolParams;

/* How many taps of output pixel `out` an average counts: those in the input, or in the padded input. */
int64_t fb_pool_divisor(const FbWindow *window, bool include_pad, int64_t out);

#endif
