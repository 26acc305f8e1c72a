/* Normalization of rows; included once per instruction set after reduce_body.h. */
#include <math.h>

#include "kernels/functions_math.h"
#include "kernels/norm_f32.h"

static void norm_moments(const float *x, size_t count, float epsilon, bool center, float *mean, float *inverse)
{
    *mean = center ? reduce_sum(x, count) / (float)count : 0.0f;
    const float variance = reduce_sum_squares(x, count, *mean) / (float)count;
    *inverse = 1.0f / sqrtf(variance + epsilon);
}

static void norm_apply(const float *x, float *y, size_t count, float mean, float inverse, const float *scale, const float *bias)
{
    const FbV m = fb_v_set(mean), f = fb_v_set(inverse);
    for (size_t i = 0; i < count; i += FB_LANES) {
        const size_t n = count - i < FB_LANES ? count - i : FB_LANES;
        FbV v = fb_v_mul(fb_v_sub(fb_v_load_n(x + i, n), m), f);
        if (scale && bias) {
            v = fb_v_fma(v, fb_v_load_n(scale + i, n), fb_v_load_n(bias + i, n));
        } else if (scale) {
            v = fb_v_mul(v, fb_v_load_n(scale + i, n));
        } else if (bias) {
            v = fb_v_add(v, fb_v_load_n(bias + i, n));
        }
        fb_v_store_n(y + i, v, n);
    }
}

static void norm_affine(const float *x, float *y, size_t count, float mean, float factor, float bias)
{
    const FbV m = fb_v_set(mean), f = fb_v_set(factor), b = fb_v_set(bias);
    for (size_t i = 0; i < count; i += FB_LANES) {
        const size_t n = count - i < FB_LANES ? count - i : FB_LANES;
        fb_v_store_n(y + i, fb_v_fma(fb_v_sub(fb_v_load_n(x + i, n), m), f, b), n);
    }
}

static void norm_affine_channels(const float *x, float *y, size_t count, const float *mean, const float *factor, const float *bias)
{
    for (size_t i = 0; i < count; i += FB_LANES) {
        const size_t n = count - i < FB_LANES ? count - i : FB_LANES;
        const FbV v = fb_v_sub(fb_v_load_n(x + i, n), fb_v_load_n(mean + i, n));
        fb_v_store_n(y + i, fb_v_fma(v, fb_v_load_n(factor + i, n), fb_v_load_n(bias + i, n)), n);
    }
}

const FbNormF32Kernel FB_ISA(fb_norm_f32) = {FB_ISA_NAME, FB_ISA_NEEDS, norm_moments, norm_apply, norm_affine, norm_affine_channels};
