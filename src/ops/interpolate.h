/* What the two halves of Resize share. */
#ifndef FB_OPS_INTERPOLATE_H
#define FB_OPS_INTERPOLATE_H

#include "ops/interpolate_axis.h"
#include "ops/shape_util.h"

typedef struct FbResizeParams {
    FbResizeRule rule;
    int policy;                     /* 0 stretch, 1 not larger, 2 not smaller */
    float extrapolation;
    FbIntList axes;
    float *scales;                  /* Upsample 7 to 8; NULL: an input */
    size_t scale_count;
    int roi_input, scales_input, sizes_input; /* numbers of the inputs; -1: this version has none */
    bool last;                      /* channels last in memory */
} FbResizeParams;

/* Sizes and scales of every logical axis; NULL: the input is absent (or, for roi, not known yet). */
FbStatus fb_resize_axes(const FbResizeParams *params, const int64_t *dims, int rank, const FbTensor *roi, const FbTensor *scales,
                        const FbTensor *sizes, FbResizeAxis *axes, FbError *err);
size_t fb_resize_scratch(const FbCall *call);
FbStatus fb_resize_run(const FbCall *call, FbError *err);

#endif
