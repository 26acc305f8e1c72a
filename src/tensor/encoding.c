/* The code table and the arithmetic of encodings. */
#include "tensor/encoding.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "base/checked.h"
#include "tensor/block_type.h"

/* NormalFloat 4: quantiles of the normal distribution, scaled to [-1, 1] (Dettmers et al. 2023, arXiv:2305.14314, appendix E). */
static const float nf4_levels[16] = {-1.0f,
                                     -0.6961928009986877f,
                                     -0.5250730514526367f,
                                     -0.39491748809814453f,
                                     -0.28444138169288635f,
                                     -0.18477343022823334f,
                                     -0.09105003625154495f,
                                     0.0f,
                                     0.07958029955625534f,
                                     0.16093020141124725f,
                                     0.24611230194568634f,
                                     0.33791524171829224f,
                                     0.44070982933044434f,
                                     0.5626170039176941f,
                                     0.7229568362236023f,
                                     1.0f};

const FbCode fb_codes[] = {
    /* name         summary                          storage               bits low        high       symmetric   zero   levels */
    {"s2",         "signed 2-bit integer",           FB_DTYPE_S2,         2,   -2,        1,         -2,         0,     NULL},
    {"s3",         "signed 3-bit integer",           FB_DTYPE_S4,         3,   -4,        3,         -4,         0,     NULL},
    {"s4",         "signed 4-bit integer",           FB_DTYPE_S4,         4,   -8,        7,         -8,         0,     NULL},
    {"s5",         "signed 5-bit integer",           FB_DTYPE_S8,         5,   -16,       15,        -15,        0,     NULL},
    {"s6",         "signed 6-bit integer",           FB_DTYPE_S8,         6,   -32,       31,        -31,        0,     NULL},
    {"s7",         "signed 7-bit integer",           FB_DTYPE_S8,         7,   -64,       63,        -63,        0,     NULL},
    {"s8",         "signed 8-bit integer",           FB_DTYPE_S8,         8,   -128,      127,       -127,       0,     NULL},
    {"u2",         "unsigned 2-bit integer",         FB_DTYPE_U2,         2,   0,         3,         0,          2,     NULL},
    {"u3",         "unsigned 3-bit integer",         FB_DTYPE_U4,         3,   0,         7,         0,          4,     NULL},
    {"u4",         "unsigned 4-bit integer",         FB_DTYPE_U4,         4,   0,         15,        0,          8,     NULL},
    {"u5",         "unsigned 5-bit integer",         FB_DTYPE_U8,         5,   0,         31,        0,          16,    NULL},
    {"u6",         "unsigned 6-bit integer",         FB_DTYPE_U8,         6,   0,         63,        0,          32,    NULL},
    {"u7",         "unsigned 7-bit integer",         FB_DTYPE_U8,         7,   0,         127,       0,          64,    NULL},
    {"u8",         "unsigned 8-bit integer",         FB_DTYPE_U8,         8,   0,         255,       0,          128,   NULL},
    {"s16",        "signed 16-bit integer",          FB_DTYPE_S16,        16,  INT16_MIN, INT16_MAX, -INT16_MAX, 0,     NULL},
    {"u16",        "unsigned 16-bit integer",        FB_DTYPE_U16,        16,  0,         65535,     0,          32768, NULL},
    {"s32",        "signed 32-bit integer (biases)", FB_DTYPE_S32,        32,  INT32_MIN, INT32_MAX, -INT32_MAX, 0,     NULL},
    {"f16",        "IEEE half",                      FB_DTYPE_F16,        16,  0,         65535,     0,          0,     NULL},
    {"bf16",       "bfloat16",                       FB_DTYPE_BF16,       16,  0,         65535,     0,          0,     NULL},
    {"f8e4m3fn",   "8-bit float, largest 448",       FB_DTYPE_F8E4M3FN,   8,   0,         255,       0,          0,     NULL},
    {"f8e4m3fnuz", "8-bit float, largest 240",       FB_DTYPE_F8E4M3FNUZ, 8,   0,         255,       0,          0,     NULL},
    {"f8e5m2",     "8-bit float, largest 57344",     FB_DTYPE_F8E5M2,     8,   0,         255,       0,          0,     NULL},
    {"f8e5m2fnuz", "8-bit float, largest 57344, one zero", FB_DTYPE_F8E5M2FNUZ, 8, 0,     255,       0,          0,     NULL},
    {"f4e2m1",     "4-bit float, largest 6",         FB_DTYPE_F4E2M1,     4,   0,         15,        0,          0,     NULL},
    {"nf4",        "4-bit NormalFloat table",        FB_DTYPE_U4,         4,   0,         15,        0,          7,     nf4_levels},
};
const size_t fb_code_count = sizeof fb_codes / sizeof fb_codes[0];

const FbCode *fb_code_find(const char *name)
{
    for (size_t i = 0; i < fb_code_count; i++) {
        if (strcmp(fb_codes[i].name, name) == 0) {
            return &fb_codes[i];
        }
    }
    return NULL;
}

const FbCode *fb_code_of_dtype(FbDtype dtype)
{
    for (size_t i = 0; i < fb_code_count; i++) {
        if (fb_codes[i].storage == dtype && fb_codes[i].bits == fb_dtype_bits(dtype) && !fb_codes[i].levels) {
            return &fb_codes[i];
        }
    }
    return NULL;
}

FbShape fb_encoding_scale_shape(const FbEncoding *encoding, const FbShape *shape)
{
    FbShape result = {.rank = 0};
    if (encoding->grain == FB_GRAIN_AXIS) {
        result.rank = 1;
        result.dims[0] = shape->dims[encoding->axis];
    } else if (encoding->grain == FB_GRAIN_BLOCK) {
        result = *shape;
        int64_t dim = shape->dims[encoding->axis];
        result.dims[encoding->axis] = dim / encoding->block + (dim % encoding->block != 0);
    }
    return result;
}

bool fb_encoding_bits(const FbEncoding *encoding, const FbShape *shape, uint64_t *bits)
{
    if (encoding->blocks != NULL) {
        int64_t count = fb_shape_elements(shape);
        return count >= 0 && fb_mul_u64((uint64_t)count / (uint64_t)encoding->blocks->elements, 8 * (uint64_t)encoding->blocks->bytes, bits);
    }
    FbShape scales = fb_encoding_scale_shape(encoding, shape);
    int64_t elements = fb_shape_elements(shape), scale_count = fb_shape_elements(&scales);
    uint64_t codes, extra;
    uint64_t per_scale = (uint64_t)fb_dtype_bits(encoding->scale) + (encoding->has_zero ? (uint64_t)encoding->code->bits : 0);
    if (elements < 0 || scale_count < 0 || !fb_mul_u64((uint64_t)elements, (uint64_t)encoding->code->bits, &codes) ||
        !fb_mul_u64((uint64_t)scale_count, per_scale, &extra)) {
        return false;
    }
    return fb_add_u64(codes, extra, bits);
}

/* A run of consecutive elements: scale index base + step * i. */
typedef struct Run {
    uint64_t base;
    unsigned step; /* 0: one scale for the run; 1: the next scale for every element */
    size_t length;
} Run;

/* Walks the row-major elements in runs. inner: elements behind the axis. */
typedef struct Walk {
    FbGrain grain;
    uint64_t dim, inner, block, blocks;
} Walk;

static Walk walk_start(const FbEncoding *encoding, const FbShape *shape)
{
    Walk walk = {encoding->grain, 1, 1, 1, 1};
    if (encoding->grain == FB_GRAIN_TENSOR) {
        return walk;
    }
    for (int i = encoding->axis + 1; i < shape->rank; i++) {
        walk.inner *= (uint64_t)shape->dims[i];
    }
    walk.dim = (uint64_t)shape->dims[encoding->axis];
    if (encoding->grain == FB_GRAIN_BLOCK) {
        walk.block = (uint64_t)encoding->block;
        walk.blocks = walk.dim / walk.block + (walk.dim % walk.block != 0);
    }
    return walk;
}

static Run walk_at(const Walk *walk, uint64_t element, size_t left)
{
    if (walk->grain == FB_GRAIN_TENSOR) {
        return (Run){0, 0, left};
    }
    uint64_t behind = element % walk->inner, along = element / walk->inner % walk->dim, before = element / walk->inner / walk->dim;
    Run run;
    uint64_t length = walk->inner - behind;
    if (walk->grain == FB_GRAIN_AXIS) {
        run = (Run){along, 0, 0};
    } else if (walk->inner == 1) {
        uint64_t in_block = along % walk->block, end = along - in_block + walk->block;
        length = (end < walk->dim ? end : walk->dim) - along;
        run = (Run){before * walk->blocks + along / walk->block, 0, 0};
    } else {
        run = (Run){(before * walk->blocks + along / walk->block) * walk->inner + behind, 1, 0};
    }
    run.length = length < left ? (size_t)length : left;
    return run;
}

static bool is_float_code(const FbCode *code)
{
    return fb_dtype_info(code->storage)->kind == FB_KIND_FLOAT;
}

static int32_t float_code(const FbCode *code, float value)
{
    return code->storage == FB_DTYPE_F16    ? (int32_t)fb_f32_to_f16(value)
           : code->storage == FB_DTYPE_BF16 ? (int32_t)fb_f32_to_bf16(value)
                                            : (int32_t)fb_f32_to_f8(value, code->storage, true);
}

static float float_code_value(const FbCode *code, int32_t q)
{
    return code->storage == FB_DTYPE_F16    ? fb_f16_to_f32((uint16_t)q)
           : code->storage == FB_DTYPE_BF16 ? fb_bf16_to_f32((uint16_t)q)
                                            : fb_f8_to_f32((uint8_t)q, code->storage);
}

/* The nearest of ascending levels; a tie goes to the lower one, NaN to the canonical zero. */
static int32_t nearest_level(const FbCode *code, float value)
{
    int32_t low = 0, high = (1 << code->bits) - 1;
    if (value != value) {
        return code->canonical_zero;
    }
    while (high - low > 1) {
        int32_t middle = (low + high) / 2;
        if (code->levels[middle] <= value) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return (double)code->levels[high] - (double)value < (double)value - (double)code->levels[low] ? high : low;
}

/* clamp(round_half_even(value) + zero, low, high); NaN gives the clamped zero. */
static int32_t integer_code(const FbCode *code, float value, int32_t zero)
{
    const double magic = 0x1.8p52; /* rounds half to even for |value| < 2^51; larger floats are whole numbers already */
    double x = (double)value;
    double rounded = x > -0x1p51 && x < 0x1p51 ? x + magic - magic : x;
    double sum = rounded != rounded ? (double)zero : rounded + (double)zero;
    return sum <= (double)code->low ? code->low : sum >= (double)code->high ? code->high : (int32_t)sum;
}

void fb_encoding_quantize(const FbEncoding *encoding, const FbShape *shape, const float *scale, const int32_t *zero, const float *from,
                          uint64_t first, size_t count, int32_t *codes)
{
    const FbCode *code = encoding->code;
    Walk walk = walk_start(encoding, shape);
    bool floating = is_float_code(code);
    for (size_t done = 0; done < count;) {
        Run run = walk_at(&walk, first + done, count - done);
        for (size_t i = 0; i < run.length; i++) {
            uint64_t at = run.base + run.step * i;
            float value = scale ? from[done + i] / scale[at] : from[done + i];
            codes[done + i] = floating       ? float_code(code, value)
                              : code->levels ? nearest_level(code, value)
                                             : integer_code(code, value, zero ? zero[at] : 0);
        }
        done += run.length;
    }
}

void fb_encoding_dequantize(const FbEncoding *encoding, const FbShape *shape, const float *scale, const int32_t *zero,
                            const int32_t *codes, uint64_t first, size_t count, float *to)
{
    const FbCode *code = encoding->code;
    Walk walk = walk_start(encoding, shape);
    bool floating = is_float_code(code);
    for (size_t done = 0; done < count;) {
        Run run = walk_at(&walk, first + done, count - done);
        for (size_t i = 0; i < run.length; i++) {
            uint64_t at = run.base + run.step * i;
            int32_t q = codes[done + i];
            float value = floating       ? float_code_value(code, q)
                          : code->levels ? code->levels[q]
                                         : (float)((int64_t)q - (zero ? zero[at] : 0));
            to[done + i] = scale ? value * scale[at] : value;
        }
        done += run.length;
    }
}

void fb_range_to_scale(const FbCode *code, bool symmetric, double low, double high, float *scale, int32_t *zero)
{
    low = low < 0.0 ? low : 0.0;
    high = high > 0.0 ? high : 0.0;
    double qmin = symmetric ? code->symmetric_low : code->low, qmax = code->high;
    double width = high - low;
    if (symmetric) {
        width = 2.0 * (high > -low ? high : -low);
    }
    double step = width / (qmax - qmin);
    *scale = 1.0f;
    *zero = code->canonical_zero;
    if (!(step >= (double)FLT_MIN) || step > (double)FLT_MAX) {
        return; /* empty, underflowing or not a number */
    }
    *scale = (float)step;
    if (!symmetric) {
        double point = rint(qmin - low / step);
        *zero = (int32_t)(point < qmin ? qmin : point > qmax ? qmax : point);
    }
}
