/* The epilogue over a stored part of C; included after one of the simd_*.h. */
#ifndef FB_KERNELS_PRODUCT_LOWBIT_EPILOGUE_H
#define FB_KERNELS_PRODUCT_LOWBIT_EPILOGUE_H

#include "kernels/epilogue_math.h"

static void fb_lowbit_epilogue(const FbEpilogue *epilogue, size_t rows, size_t cols, float *c, size_t c_stride)
{
    for (size_t r = 0; r < rows; r++) {
        for (size_t n = 0; n < cols; n += FB_LANES) {
            const size_t count = cols - n < FB_LANES ? cols - n : FB_LANES;
            float *at = c + r * c_stride + n;
            fb_v_store_n(at, fb_epilogue_lanes(fb_v_load_n(at, count), epilogue, r, n, count), count);
        }
    }
}

#endif
