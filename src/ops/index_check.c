/* Reading and checking indices that come as data. */
#include "ops/index_check.h"

static FbStatus outside(int64_t at, int64_t value, int64_t limit, FbError *err)
{
    return fb_error_set(err, FB_ERR_FORMAT, "index %lld at position %lld is outside of [%lld, %lld]", (long long)value, (long long)at,
                        (long long)-limit, (long long)limit - 1);
}

FbStatus fb_check_indices(const FbTensor *indices, int64_t limit, FbError *err)
{
    int64_t count = fb_tensor_elements(indices);
    for (int64_t i = 0; i < count; i++) {
        int64_t value = fb_index_at(indices, i);
        if (value < -limit || value >= limit) {
            return outside(i, value, limit, err);
        }
    }
    return FB_OK;
}

FbStatus fb_check_index_tuples(const FbTensor *indices, const int64_t *limits, int width, FbError *err)
{
    int64_t count = fb_tensor_elements(indices);
    for (int64_t i = 0; i < count; i++) {
        int64_t value = fb_index_at(indices, i), limit = limits[i % width];
        if (value < -limit || value >= limit) {
            return outside(i, value, limit, err);
        }
    }
    return FB_OK;
}

FbStatus fb_check_axis(int64_t axis, int rank, int *out, FbError *err)
{
    *out = 0;
    return rank < 0 ? FB_OK : fb_axis_normalize(axis, rank, out, err);
}
