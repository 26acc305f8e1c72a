/* The range of one run's data as a scale and zero point: what DynamicQuantizeLinear, Quant and the integer lowerings share. */
#include "ops/dynamic_range.h"

#include <math.h>

#include "kernels/scan.h"

typedef struct RangeWork {
    const float *x;
    const FbScanF32Kernel *kernel;
    FbRangeF32 *ranges; /* per slot */
} RangeWork;

static void range_task(void *arg, size_t slot, size_t begin, size_t end)
{
    const RangeWork *work = arg;
    FbRangeF32 range = work->kernel->range(work->x + begin, end - begin), *all = &work->ranges[slot];
    all->low = range.low < all->low ? range.low : all->low;
    all->high = range.high > all->high ? range.high : all->high;
}

enum { RANGE_SLOTS = 256, RANGE_GRAIN = 65536 };

void fb_dynamic_range(FbContext *context, const float *x, size_t count, float *scale, uint8_t *zero)
{
    FbRangeF32 ranges[RANGE_SLOTS];
    RangeWork work = {x, fb_scan_f32_pick(fb_context_cpu(context)), ranges};
    float low = 0, high = 0;
    for (int i = 0; i < RANGE_SLOTS; i++) {
        ranges[i] = (FbRangeF32){.low = INFINITY, .high = -INFINITY};
    }
    if (fb_context_threads(context) <= RANGE_SLOTS) {
        fb_parallel(context, range_task, &work, count, RANGE_GRAIN);
    } else if (count > 0) {
        range_task(&work, 0, 0, count);
    }
    for (int i = 0; i < RANGE_SLOTS; i++) {
        low = ranges[i].low < low ? ranges[i].low : low;
        high = ranges[i].high > high ? ranges[i].high : high;
    }
    fb_dynamic_grid(low, high, scale, zero);
}

void fb_dynamic_grid(float low, float high, float *scale, uint8_t *zero)
{
    float width = high - low;
    *scale = width > 0 ? (isinf(width) ? high / 255 - low / 255 : width / 255) : 1.0f;
    if (*scale == 0) { /* a range below the smallest step */
        *scale = 1.0f;
    }
    float point = rintf(0 - low / *scale);
    *zero = (uint8_t)(point < 0 ? 0 : point > 255 ? 255 : point);
}
