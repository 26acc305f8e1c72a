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

#endif
