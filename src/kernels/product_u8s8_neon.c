/* The integer product for NEON without dot products: two rows, each with two partial sums per column. */
#include "kernels/simd_neon.h"

enum { ROW_TILE = 2 };
#include "kernels/product_u8s8_neon_signed.h"

typedef struct Sums { int32x4_t c0, c2, c4, c6, c8, c10, c12, c14; } Sums; /* two columns each */

/* A product has at most 2^14, two of them could leave int16: each is widened before it is added. */
PRODUCT_INLINE int32x4_t add_low(int32x4_t sum, int8x16_t w, int8x16_t codes)
{
    return vpadalq_s16(sum, vmull_s8(vget_low_s8(w), vget_low_s8(codes)));
}
PRODUCT_INLINE int32x4_t add_high(int32x4_t sum, int8x16_t w, int8x16_t codes) { return vpadalq_s16(sum, vmull_high_s8(w, codes)); }

PRODUCT_INLINE Sums sums_step(Sums s, const int8_t *w, int8x16_t codes)
{
    const int8x16_t w0 = vld1q_s8(w), w1 = vld1q_s8(w + 16), w2 = vld1q_s8(w + 32), w3 = vld1q_s8(w + 48);
    return (Sums){add_low(s.c0, w0, codes), add_high(s.c2, w0, codes),  add_low(s.c4, w1, codes),  add_high(s.c6, w1, codes),
                  add_low(s.c8, w2, codes), add_high(s.c10, w2, codes), add_low(s.c12, w3, codes), add_high(s.c14, w3, codes)};
}

PRODUCT_INLINE FbVi sums_total(Sums s, FbVi start)
{
    const FbVi pairs = {vpaddq_s32(s.c0, s.c2), vpaddq_s32(s.c4, s.c6), vpaddq_s32(s.c8, s.c10), vpaddq_s32(s.c12, s.c14)};
    return fb_vi_add(pairs, start);
}

static void product_tile(const FbProductU8S8 *p, const FbIntegerPlan *plan, size_t row, size_t rows)
{
    const int32x4_t zero = vdupq_n_s32(0);
    const Sums none = {zero, zero, zero, zero, zero, zero, zero, zero};
    Sums sum0 = none, sum1 = none;
    const int8_t *w = product_panel(p);
    const size_t quads = product_quads(p), last = row + rows - 1; /* of one row: computed twice */
    for (size_t tap = 0; tap < p->w->taps; tap++) {
        const uint8_t *a0 = product_row(p, tap, row), *a1 = product_row(p, tap, last);
        for (size_t quad = 0; quad < quads; quad++, w += COL_TILE * FB_U8S8_STEP) {
            sum0 = sums_step(sum0, w, product_codes(a0 + quad * FB_U8S8_STEP));
            sum1 = sums_step(sum1, w, product_codes(a1 + quad * FB_U8S8_STEP));
        }
    }
    const FbVi start = product_start(p);
    product_store(p, plan, row, sums_total(sum0, start));
    if (rows > 1) {
        product_store(p, plan, last, sums_total(sum1, start));
    }
}

const FbProductU8S8Kernel fb_product_u8s8_neon = {"neon", FB_CPU_NEON, ROW_TILE, COL_TILE, product_pack, product_run};
