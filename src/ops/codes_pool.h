/* Pooling of values held as codes. */
#ifndef FB_OPS_CODES_POOL_H
#define FB_OPS_CODES_POOL_H

#include "ops/lowering.h"

extern const FbLowering fb_codes_pool_lowering;   /* MaxPool, AveragePool, GlobalAveragePool on channels-last codes */
extern const FbLowering fb_codes_reduce_lowering; /* ReduceMean over neighbouring axes */

/* reduce.c: which axes a mean is taken over; false: not a mean, or not known. `axes`: the value of input 1, or NULL. */
bool fb_reduce_mean_axes(const void *params, const FbTensor *axes, int rank, bool *marked);

#endif
