/* The low-bit product in plain C: the definition. Each form unpacks the codes of one row's block; the sums are the same for all. */
#include "kernels/simd_scalar.h"

#include "kernels/product_lowbit.h"
#include "kernels/product_lowbit_epilogue.h"
#include "tensor/block_type.h"

/* A block of 32 or 256, one row: scales and minima by runs of 16 in blocks of 256. */
typedef struct LowbitBlock {
    float d, minimum;
    int scales[16], minima[16];
    int codes[256];
} LowbitBlock;

typedef struct LowbitForm {
    size_t bytes;
    bool has_minimum;
    void (*unpack)(const uint8_t *w, size_t lane, LowbitBlock *block);
} LowbitForm;

/* Byte i of the part that begins `offset` bytes into a block, interleaved by 4 bytes. */
static int part(const uint8_t *w, size_t offset, size_t i, size_t lane)
{
    return w[offset * FB_LOWBIT_COLS + i / 4 * 4 * FB_LOWBIT_COLS + lane * 4 + i % 4];
}

/* A byte, 0 .. 255, as the signed number it is. */
static int signed_byte(int byte) { return (byte ^ 128) - 128; }

static float half_part(const uint8_t *w, size_t offset, size_t lane)
{
    return fb_block_half(w + offset * FB_LOWBIT_COLS + lane * 2);
}

static int nibble(const uint8_t *w, size_t offset, size_t i, size_t lane)
{
    return i < 16 ? part(w, offset, i, lane) & 15 : part(w, offset, i - 16, lane) >> 4;
}

static void unpack_q4_0(const uint8_t *w, size_t lane, LowbitBlock *block)
{
    block->d = half_part(w, 0, lane);
    for (size_t i = 0; i < 32; i++) {
        block->codes[i] = nibble(w, 2, i, lane) - 8;
    }
}

static void unpack_q4_1(const uint8_t *w, size_t lane, LowbitBlock *block)
{
    block->d = half_part(w, 0, lane);
    block->minimum = half_part(w, 2, lane);
    for (size_t i = 0; i < 32; i++) {
        block->codes[i] = nibble(w, 4, i, lane);
    }
}

static int fifth_bit(const uint8_t *w, size_t offset, size_t i, size_t lane) { return (part(w, offset, i / 8, lane) >> i % 8 & 1) << 4; }

static void unpack_q5_0(const uint8_t *w, size_t lane, LowbitBlock *block)
{
    block->d = half_part(w, 0, lane);
    for (size_t i = 0; i < 32; i++) {
        block->codes[i] = (nibble(w, 6, i, lane) | fifth_bit(w, 2, i, lane)) - 16;
    }
}

static void unpack_q5_1(const uint8_t *w, size_t lane, LowbitBlock *block)
{
    block->d = half_part(w, 0, lane);
    block->minimum = half_part(w, 2, lane);
    for (size_t i = 0; i < 32; i++) {
        block->codes[i] = nibble(w, 8, i, lane) | fifth_bit(w, 4, i, lane);
    }
}

static void unpack_q8_0(const uint8_t *w, size_t lane, LowbitBlock *block)
{
    block->d = half_part(w, 0, lane);
    for (size_t i = 0; i < 32; i++) {
        block->codes[i] = signed_byte(part(w, 2, i, lane));
    }
}

static void unpack_iq4_nl(const uint8_t *w, size_t lane, LowbitBlock *block)
{
    block->d = half_part(w, 0, lane);
    for (size_t i = 0; i < 32; i++) {
        block->codes[i] = signed_byte((uint8_t)fb_iq4_levels[nibble(w, 2, i, lane)]);
    }
}

static void unpack_mxfp4(const uint8_t *w, size_t lane, LowbitBlock *block)
{
    static const int twice[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12}; /* of the E2M1 values */
    const uint32_t e = w[lane], bits = e < 2 ? UINT32_C(0x00200000) << e : (e - 1) << 23; /* 2^(e - 128) */
    memcpy(&block->d, &bits, sizeof bits);
    for (size_t i = 0; i < 32; i++) {
        block->codes[i] = twice[nibble(w, 1, i, lane)];
    }
}

static void unpack_q2_k(const uint8_t *w, size_t lane, LowbitBlock *block)
{
    block->d = half_part(w, 0, lane);
    block->minimum = half_part(w, 2, lane);
    for (size_t s = 0; s < 16; s++) {
        block->scales[s] = part(w, 4, s, lane) & 15;
        block->minima[s] = part(w, 4, s, lane) >> 4;
    }
    for (size_t i = 0; i < 256; i++) {
        block->codes[i] = part(w, 20, i / 128 * 32 + i % 32, lane) >> i % 128 / 32 * 2 & 3;
    }
}

static void unpack_q3_k(const uint8_t *w, size_t lane, LowbitBlock *block)
{
    block->d = half_part(w, 0, lane);
    for (size_t s = 0; s < 16; s++) {
        const int low = s < 8 ? part(w, 2, s, lane) & 15 : part(w, 2, s - 8, lane) >> 4;
        block->scales[s] = (low | (part(w, 2, 8 + s % 4, lane) >> s / 4 * 2 & 3) << 4) - 32;
    }
    for (size_t i = 0; i < 256; i++) {
        const int low = part(w, 46, i / 128 * 32 + i % 32, lane) >> i % 128 / 32 * 2 & 3;
        block->codes[i] = low - (part(w, 14, i % 32, lane) >> i / 32 & 1 ? 0 : 4);
    }
}

/* Scales and minima of q4_K and q5_K, 6 bits each, by runs of 32. */
static void unpack_scales(const uint8_t *w, size_t lane, LowbitBlock *block)
{
    block->d = half_part(w, 0, lane);
    block->minimum = half_part(w, 2, lane);
    for (size_t s = 0; s < 16; s++) {
        const size_t j = s / 2;
        if (j < 4) {
            block->scales[s] = part(w, 4, j, lane) & 63;
            block->minima[s] = part(w, 4, j + 4, lane) & 63;
        } else {
            block->scales[s] = (part(w, 4, j + 4, lane) & 15) | part(w, 4, j - 4, lane) >> 6 << 4;
            block->minima[s] = part(w, 4, j + 4, lane) >> 4 | part(w, 4, j, lane) >> 6 << 4;
        }
    }
}

static void unpack_q4_k(const uint8_t *w, size_t lane, LowbitBlock *block)
{
    unpack_scales(w, lane, block);
    for (size_t i = 0; i < 256; i++) {
        block->codes[i] = part(w, 16, i / 64 * 32 + i % 32, lane) >> i % 64 / 32 * 4 & 15;
    }
}

static void unpack_q5_k(const uint8_t *w, size_t lane, LowbitBlock *block)
{
    unpack_scales(w, lane, block);
    for (size_t i = 0; i < 256; i++) {
        const int low = part(w, 48, i / 64 * 32 + i % 32, lane) >> i % 64 / 32 * 4 & 15;
        block->codes[i] = low | (part(w, 16, i % 32, lane) >> i / 32 & 1) << 4;
    }
}

static void unpack_q6_k(const uint8_t *w, size_t lane, LowbitBlock *block)
{
    block->d = half_part(w, 0, lane);
    for (size_t s = 0; s < 16; s++) {
        block->scales[s] = signed_byte(part(w, 2, s, lane));
    }
    for (size_t i = 0; i < 256; i++) {
        const size_t half = i / 128, quarter = i % 128 / 32, within = i % 32;
        const int low = part(w, 18, half * 64 + quarter % 2 * 32 + within, lane) >> quarter / 2 * 4 & 15;
        block->codes[i] = (low | (part(w, 146, half * 32 + within, lane) >> quarter * 2 & 3) << 4) - 32;
    }
}

static void unpack_iq4_xs(const uint8_t *w, size_t lane, LowbitBlock *block)
{
    block->d = half_part(w, 0, lane);
    const int high = w[2 * FB_LOWBIT_COLS + lane * 2] | w[2 * FB_LOWBIT_COLS + lane * 2 + 1] << 8;
    for (size_t s = 0; s < 16; s++) {
        const size_t j = s / 2;
        block->scales[s] = ((part(w, 4, j / 2, lane) >> j % 2 * 4 & 15) | (high >> j * 2 & 3) << 4) - 32;
    }
    for (size_t i = 0; i < 256; i++) {
        block->codes[i] = signed_byte((uint8_t)fb_iq4_levels[nibble(w, 8 + i / 32 * 16, i % 32, lane)]);
    }
}

static void unpack_tq2_0(const uint8_t *w, size_t lane, LowbitBlock *block)
{
    block->d = half_part(w, 0, lane);
    for (size_t s = 0; s < 16; s++) {
        block->scales[s] = 1;
    }
    for (size_t i = 0; i < 256; i++) {
        block->codes[i] = (part(w, 2, i / 128 * 32 + i % 32, lane) >> i % 128 / 32 * 2 & 3) - 1;
    }
}

/* ---- sums ---- */

static float add_32(const LowbitBlock *w, bool minimum, const FbCodes32 *a, float c)
{
    int32_t sum = 0;
    for (int i = 0; i < 32; i++) {
        sum += w->codes[i] * a->codes[i];
    }
    c = fmaf(w->d * a->scale, (float)sum, c);
    return minimum ? fmaf(w->minimum, a->scaled_sum, c) : c;
}

static float add_256(const LowbitBlock *w, bool minimum, const FbCodes256 *a, float c)
{
    int32_t sum = 0, minima = 0;
    for (int s = 0; s < 16; s++) {
        int32_t run = 0;
        for (int i = 0; i < 16; i++) {
            run += w->codes[s * 16 + i] * a->codes[s * 16 + i];
        }
        sum += w->scales[s] * run;
        minima += w->minima[s] * a->sums16[s];
    }
    c = fmaf(w->d * a->scale, (float)sum, c);
    return minimum ? fmaf(-(w->minimum * a->scale), (float)minima, c) : c;
}

/* Eight lanes of all panels and rows, one after the other. */
static void run_blocks(const FbProductLowbit *p, size_t elements, const LowbitForm *form)
{
    LowbitBlock block = {0};
    for (size_t panel = 0; panel < p->panels; panel++) {
        for (size_t lane = 0; lane < FB_LOWBIT_COLS; lane++) {
            float *c = p->c + panel * FB_LOWBIT_COLS + lane;
            for (size_t b = 0; b < p->blocks; b++) {
                form->unpack(p->w + (panel * p->blocks + b) * form->bytes * FB_LOWBIT_COLS, lane, &block);
                for (size_t r = 0; r < p->rows; r++) {
                    const char *row = (const char *)p->a + r * p->a_stride;
                    const float sum = b > 0 ? c[r * p->c_stride] : 0.0f;
                    c[r * p->c_stride] = elements == 32 ? add_32(&block, form->has_minimum, (const FbCodes32 *)(const void *)row + b, sum)
                                                        : add_256(&block, form->has_minimum, (const FbCodes256 *)(const void *)row + b, sum);
                }
            }
        }
    }
}

static void run_halves(const FbProductLowbit *p, float (*number)(uint16_t half))
{
    for (size_t col = 0; col < p->panels * FB_LOWBIT_COLS; col++) {
        const uint8_t *w = p->w + (col / FB_LOWBIT_COLS * p->blocks * FB_LOWBIT_COLS + col % FB_LOWBIT_COLS) * 2;
        for (size_t r = 0; r < p->rows; r++) {
            const float *a = (const float *)(const void *)((const char *)p->a + r * p->a_stride);
            float sum = 0;
            for (size_t k = 0; k < p->blocks; k++) {
                const uint8_t *at = w + k * 2 * FB_LOWBIT_COLS;
                sum = fmaf(a[k], number((uint16_t)(at[0] | at[1] << 8)), sum);
            }
            p->c[r * p->c_stride + col] = sum;
        }
    }
}

static void run_f16(const FbProductLowbit *p) { run_halves(p, fb_f16_to_f32); }
static void run_bf16(const FbProductLowbit *p) { run_halves(p, fb_bf16_to_f32); }

#define LOWBIT_RUN(name, elements, bytes, minimum)                               \
    static void run_##name(const FbProductLowbit *p)                             \
    {                                                                            \
        static const LowbitForm form = {bytes, minimum, unpack_##name};          \
        run_blocks(p, elements, &form);                                          \
    }
LOWBIT_RUN(q4_0, 32, 18, false)
LOWBIT_RUN(q4_1, 32, 20, true)
LOWBIT_RUN(q5_0, 32, 22, false)
LOWBIT_RUN(q5_1, 32, 24, true)
LOWBIT_RUN(q8_0, 32, 34, false)
LOWBIT_RUN(iq4_nl, 32, 18, false)
LOWBIT_RUN(mxfp4, 32, 17, false)
LOWBIT_RUN(q2_k, 256, 84, true)
LOWBIT_RUN(q3_k, 256, 110, false)
LOWBIT_RUN(q4_k, 256, 144, true)
LOWBIT_RUN(q5_k, 256, 176, true)
LOWBIT_RUN(q6_k, 256, 210, false)
LOWBIT_RUN(iq4_xs, 256, 136, false)
LOWBIT_RUN(tq2_0, 256, 66, false)

/* ---- rounding A ---- */

/* The scale of a group; the factor by which its numbers become codes. */
static float scale_of(const float *x, size_t count, float *inverse)
{
    uint32_t most = 0; /* magnitudes compare as their bits do */
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, &x[i], sizeof bits);
        bits &= UINT32_C(0x7fffffff);
        most = bits > most ? bits : most;
    }
    float largest;
    memcpy(&largest, &most, sizeof largest);
    *inverse = 0.0f;
    if (most >= UINT32_C(0x7f800000)) {
        return NAN;
    }
    if (largest < 0x1p-100f) {
        return 0.0f;
    }
    *inverse = 127.0f / largest;
    return largest / 127.0f;
}

static int code_of(float x, float inverse)
{
    return inverse == 0.0f ? 0 : (int)rintf(x * inverse);
}

static void codes_32(const float *x, size_t groups, FbCodes32 *to)
{
    for (size_t g = 0; g < groups; g++, x += 32, to++) {
        float inverse;
        int32_t sum = 0;
        to->scale = scale_of(x, 32, &inverse);
        for (int i = 0; i < 32; i++) {
            to->codes[i] = (int8_t)code_of(x[i], inverse);
            sum += to->codes[i];
        }
        to->sum8 = 8 * sum;
        to->scaled_sum = to->scale * (float)sum;
    }
}

static void codes_256(const float *x, size_t groups, FbCodes256 *to)
{
    for (size_t g = 0; g < groups; g++, x += 256, to++) {
        float inverse;
        to->scale = scale_of(x, 256, &inverse);
        memset(to->sums16, 0, sizeof to->sums16);
        for (int i = 0; i < 256; i++) {
            to->codes[i] = (int8_t)code_of(x[i], inverse);
            to->sums16[i / 16] = (int16_t)(to->sums16[i / 16] + to->codes[i]);
        }
        for (int i = 0; i < 8; i++) {
            to->sums32[i] = (int16_t)(to->sums16[2 * i] + to->sums16[2 * i + 1]);
        }
    }
}

const FbProductLowbitKernel fb_product_lowbit_scalar = {
    "scalar", 0, codes_32, codes_256, fb_lowbit_epilogue,
    {run_f16, run_bf16, run_q4_0, run_q4_1, run_q5_0, run_q5_1, run_q8_0, run_iq4_nl, run_mxfp4, run_q2_k, run_q3_k, run_q4_k, run_q5_k, run_q6_k,
     run_iq4_xs, run_tq2_0}};
