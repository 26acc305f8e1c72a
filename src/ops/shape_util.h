/* Helpers of the operators that compute shapes: short lists of integers from attributes or inputs, and axes in channels-last order. */
#ifndef FB_OPS_SHAPE_UTIL_H
#define FB_OPS_SHAPE_UTIL_H

#include "ops/attribute.h"
#include "ops/check.h"

enum { FB_INT_LIST_MAX = 2 * FB_RANK_MAX };

/* At most two integers per dimension, as axes, pads and shapes need. */
typedef struct FbIntList {
    bool known;             /* false: absent, or an input whose value is not known yet */
    int count;
    int64_t items[FB_INT_LIST_MAX];
} FbIntList;

#define FB_MASK_INDEX (FB_MASK(FB_DTYPE_S64) | FB_MASK(FB_DTYPE_S32))

FbStatus fb_list_from_attribute(const FbNode *node, const char *name, FbIntList *list, FbError *err);
/* A scalar or 1-D tensor of integers; longer lists than FB_INT_LIST_MAX are FB_ERR_UNSUPPORTED. */
FbStatus fb_list_from_tensor(const FbTensor *tensor, const char *what, FbIntList *list, FbError *err);
/* Input i of an infer; known = false when it is absent or its value is not there (pending is set then). */
FbStatus fb_list_from_infer(FbInfer *infer, int i, const char *what, FbIntList *list, FbError *err);
/* A long list of integers of an attribute, copied into the arena. */
FbStatus fb_ints_copy(const FbNode *node, const char *name, FbArena *arena, int64_t **ints, size_t *count, FbError *err);

/* Axes in [-rank, rank) -> a bit mask; a repeated axis is FB_ERR_FORMAT. */
FbStatus fb_axes_mask(const FbIntList *axes, int rank, unsigned *mask, FbError *err);
/* list->items become axes in [0, rank), none twice. */
FbStatus fb_axes_normalize(FbIntList *axes, int rank, FbError *err);

/* Where logical axis `axis` (N, C, spatial...) lies in memory: the same, or N, spatial..., C. */
static inline int fb_physical_axis(int axis, int rank, bool last)
{
    return !last || axis == 0 ? axis : axis == 1 ? rank - 1 : axis - 1;
}

/* All dimensions unknown. */
FbShape fb_shape_unknown(int rank);
/* FB_ERR_FORMAT when the shape is known and its bytes overflow. */
FbStatus fb_check_size(const FbInfer *infer, const FbShape *shape, FbDtype dtype, FbError *err);

#endif
