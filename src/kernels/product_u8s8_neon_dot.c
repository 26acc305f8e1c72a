/* The integer product for NEON with dot products: 6 x 16, twenty-four of the thirty-two registers are sums. */
#include "kernels/simd_neon.h"

enum { ROW_TILE = 6 };
#include "kernels/product_u8s8_neon_signed.h"

typedef struct Weights { int8x16_t q0, q1, q2, q3; } Weights;

PRODUCT_INLINE FbVi sums_step(FbVi sum, Weights w, int8x16_t codes)
{
    return (FbVi){vdotq_laneq_s32(sum.q0, w.q0, codes, 0), vdotq_laneq_s32(sum.q1, w.q1, codes, 0), vdotq_laneq_s32(sum.q2, w.q2, codes, 0),
                  vdotq_laneq_s32(sum.q3, w.q3, codes, 0)};
}

#define EACH_ROW(X) X(0) X(1) X(2) X(3) X(4) X(5)

/* `rows` is a constant of the caller: what lies beyond it disappears when this is inlined. */
PRODUCT_INLINE void tile_of(const FbProductU8S8 *p, const FbIntegerPlan *plan, size_t row, const size_t rows)
{
    const FbVi start = product_start(p);
#define TILE_START(i) FbVi sum##i = start;
    EACH_ROW(TILE_START)
    const int8_t *w = product_panel(p);
    const size_t quads = product_quads(p);
    for (size_t tap = 0; tap < p->w->taps; tap++) {
#define TILE_POINTER(i) const uint8_t *a##i = i < rows ? product_row(p, tap, row + i) : NULL;
        EACH_ROW(TILE_POINTER)
        for (size_t quad = 0; quad < quads; quad++, w += COL_TILE * FB_U8S8_STEP) {
            const Weights weights = {vld1q_s8(w), vld1q_s8(w + 16), vld1q_s8(w + 32), vld1q_s8(w + 48)};
#define TILE_STEP(i)                                                                     \
    if (i < rows) {                                                                      \
        sum##i = sums_step(sum##i, weights, product_codes(a##i + quad * FB_U8S8_STEP));  \
    }
            EACH_ROW(TILE_STEP)
        }
    }
#define TILE_STORE(i)                              \
    if (i < rows) {                                \
        product_store(p, plan, row + i, sum##i);   \
    }
    EACH_ROW(TILE_STORE)
#undef TILE_START
#undef TILE_POINTER
#undef TILE_STEP
#undef TILE_STORE
}

static void product_tile(const FbProductU8S8 *p, const FbIntegerPlan *plan, size_t row, size_t rows)
{
#define TILE_CASE(i)                            \
    if (rows == ROW_TILE - i) {                 \
        tile_of(p, plan, row, ROW_TILE - i);    \
        return;                                 \
    }
    EACH_ROW(TILE_CASE)
#undef TILE_CASE
}

const FbProductU8S8Kernel fb_product_u8s8_neon_dot = {"neon_dot", FB_CPU_NEON | FB_CPU_NEON_DOT, ROW_TILE, COL_TILE, product_pack, product_run};
