/* Reading and checking indices that come as data, before any use. */
#ifndef FB_OPS_INDEX_CHECK_H
#define FB_OPS_INDEX_CHECK_H

#include "ops/shape_util.h"

/* Element i of an s32 or s64 tensor. */
static inline int64_t fb_index_at(const FbTensor *indices, int64_t i)
{
    return indices->dtype == FB_DTYPE_S64 ? ((const int64_t *)indices->data)[i] : ((const int32_t *)indices->data)[i];
}

/* Every index must lie in [-limit, limit); FB_ERR_FORMAT naming the first that does not. */
FbStatus fb_check_indices(const FbTensor *indices, int64_t limit, FbError *err);
/* The last axis holds tuples; number k of each must lie in [-limits[k], limits[k]). */
FbStatus fb_check_index_tuples(const FbTensor *indices, const int64_t *limits, int width, FbError *err);
/* An axis attribute that infer may not be able to check yet: rank < 0 is unknown. */
FbStatus fb_check_axis(int64_t axis, int rank, int *out, FbError *err);

#endif
