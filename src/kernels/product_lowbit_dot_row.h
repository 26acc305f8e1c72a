/* A row of the table that has its own products of blocks; for the rest it calls a lower one. Included after one of dot_lanes_*.h and
 *   DOT_KERNEL, DOT_NAME, DOT_NEEDS   the row
 *   DOT_LOWER                         the row that rounds A and does the epilogue */
#include "kernels/product_lowbit_dot.h"

extern const FbProductLowbitKernel DOT_LOWER;

static void lower_codes_32(const float *x, size_t groups, FbCodes32 *to) { DOT_LOWER.codes32(x, groups, to); }
static void lower_codes_256(const float *x, size_t groups, FbCodes256 *to) { DOT_LOWER.codes256(x, groups, to); }
static void lower_epilogue(const FbEpilogue *epilogue, size_t rows, size_t cols, float *c, size_t c_stride)
{
    DOT_LOWER.epilogue(epilogue, rows, cols, c, c_stride);
}

const FbProductLowbitKernel DOT_KERNEL = {DOT_NAME, DOT_NEEDS, lower_codes_32, lower_codes_256, lower_epilogue, {NULL, NULL, DOT_RUNS}};
