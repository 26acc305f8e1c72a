/* The range of a row; included once per instruction set. */
#include <math.h>

#include "kernels/functions_math.h"
#include "kernels/scan.h"

static FbRangeF32 scan_range(const float *x, size_t count)
{
    FbV low = fb_v_set(INFINITY), high = fb_v_set(-INFINITY);
    const FbV largest = fb_v_set(0x1.fffffep+127f);
    size_t finite = 0;
    for (size_t i = 0; i < count; i += FB_LANES) {
        size_t n = count - i < FB_LANES ? count - i : FB_LANES;
        FbV v = n == FB_LANES ? fb_v_load(x + i) : fb_v_load_n(x + i, n);
        FbVm good = fb_v_le(fb_m_abs(v), largest);
        finite += fb_vm_count(good, n);
        if (n < FB_LANES) { /* the lanes that are not there repeat the first */
            float lanes[FB_LANES];
            fb_v_store(lanes, fb_v_set(x[i]));
            fb_v_store_n(lanes, v, n);
            v = fb_v_load(lanes);
            good = fb_v_le(fb_m_abs(v), largest);
        }
        low = fb_v_select(good, fb_v_min(v, low), low);
        high = fb_v_select(good, fb_v_max(v, high), high);
    }
    float lows[FB_LANES], highs[FB_LANES];
    fb_v_store(lows, low);
    fb_v_store(highs, high);
    FbRangeF32 range = {lows[0], highs[0], count - finite};
    for (int lane = 1; lane < FB_LANES; lane++) {
        range.low = lows[lane] < range.low ? lows[lane] : range.low;
        range.high = highs[lane] > range.high ? highs[lane] : range.high;
    }
    return range;
}

const FbScanF32Kernel FB_ISA(fb_scan_f32) = {FB_ISA_NAME, FB_ISA_NEEDS, scan_range};
