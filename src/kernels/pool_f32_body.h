/* Pooling; included once per instruction set. */
#include <math.h>

#include "kernels/functions_math.h"
#include "kernels/pool_f32.h"

static inline FbV pool_larger(FbV best, FbV v)
{
    const FbV larger = fb_v_max(best, v); /* v when either is NaN */
    return fb_v_select(fb_v_le(best, best), larger, best);
}

static void pool_max(const FbPoolF32 *p)
{
    for (size_t pixel = 0; pixel < p->pixels; pixel++) {
        const float *const *x = p->x + pixel * p->taps;
        float *y = p->y + pixel * p->channels;
        for (size_t c = 0; c < p->channels; c += FB_LANES) {
            const size_t n = p->channels - c < FB_LANES ? p->channels - c : FB_LANES;
            FbV best = fb_v_set(-INFINITY);
            for (size_t t = 0; t < p->taps; t++) {
                if (x[t]) {
                    best = pool_larger(best, fb_v_load_n(x[t] + c, n));
                }
            }
            fb_v_store_n(y + c, best, n);
        }
    }
}

static void pool_average(const FbPoolF32 *p)
{
    for (size_t pixel = 0; pixel < p->pixels; pixel++) {
        const float *const *x = p->x + pixel * p->taps;
        float *y = p->y + pixel * p->channels;
        const FbV divisor = fb_v_set(p->divisor[pixel]);
        for (size_t c = 0; c < p->channels; c += FB_LANES) {
            const size_t n = p->channels - c < FB_LANES ? p->channels - c : FB_LANES;
            FbV sum = fb_v_set(0.0f);
            for (size_t t = 0; t < p->taps; t++) {
                if (x[t]) {
                    sum = fb_v_add(sum, fb_v_load_n(x[t] + c, n));
                }
            }
            fb_v_store_n(y + c, fb_v_div(sum, divisor), n);
        }
    }
}

const FbPoolF32Kernel FB_ISA(fb_pool_f32) = {FB_ISA_NAME, FB_ISA_NEEDS, pool_max, pool_average};
