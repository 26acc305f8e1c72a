/* Loading and storing elements of any type as one of the four work types. */
#include "ops/elements.h"

#include <math.h>

FbWork fb_work_of(FbDtype dtype)
{
    const FbDtypeInfo *info = fb_dtype_info(dtype);
    if (info->kind == FB_KIND_FLOAT) {
        return dtype == FB_DTYPE_F64 ? FB_WORK_F64 : FB_WORK_F32;
    }
    return dtype == FB_DTYPE_U64 ? FB_WORK_U64 : FB_WORK_S64;
}

size_t fb_work_bytes(FbWork work) { return work == FB_WORK_F32 ? sizeof(float) : sizeof(double); }

int64_t fb_double_to_s64(double value)
{
    if (!(value >= -9223372036854775808.0)) {
        return isnan(value) ? 0 : INT64_MIN;
    }
    return value >= 9223372036854775808.0 ? INT64_MAX : (int64_t)value;
}

uint64_t fb_double_to_u64(double value)
{
    if (!(value > -1.0)) {
        return 0;
    }
    return value >= 18446744073709551616.0 ? UINT64_MAX : (uint64_t)value;
}

/* Copies elements of one C type into the work type through `convert`. */
#define LOAD_LOOP(T, W, convert)                                     \
    do {                                                             \
        const T *from = (const T *)data + first;                     \
        W *out = to;                                                 \
        for (size_t i = 0; i < count; i++) {                         \
            out[i] = (W)convert(from[(int64_t)i * stride]);          \
        }                                                            \
    } while (0)
#define LOAD_INTEGERS(W)                                                                     \
    switch (dtype) {                                                                         \
    case FB_DTYPE_U8: case FB_DTYPE_BOOL: LOAD_LOOP(uint8_t, W, ); return true;              \
    case FB_DTYPE_S8: LOAD_LOOP(int8_t, W, ); return true;                                   \
    case FB_DTYPE_U16: LOAD_LOOP(uint16_t, W, ); return true;                                \
    case FB_DTYPE_S16: LOAD_LOOP(int16_t, W, ); return true;                                 \
    case FB_DTYPE_U32: LOAD_LOOP(uint32_t, W, ); return true;                                \
    case FB_DTYPE_S32: LOAD_LOOP(int32_t, W, ); return true;                                 \
    case FB_DTYPE_U64: LOAD_LOOP(uint64_t, W, ); return true;                                \
    case FB_DTYPE_S64: LOAD_LOOP(int64_t, W, ); return true;                                 \
    default: return false;                                                                   \
    }

static bool load_f32(FbDtype dtype, const void *data, int64_t first, int64_t stride, float *to, size_t count)
{
    if (dtype == FB_DTYPE_F32) {
        LOAD_LOOP(float, float, );
        return true;
    }
    if (dtype == FB_DTYPE_F64) {
        LOAD_LOOP(double, float, );
        return true;
    }
    if (dtype == FB_DTYPE_F16) {
        LOAD_LOOP(uint16_t, float, fb_f16_to_f32);
        return true;
    }
    if (dtype == FB_DTYPE_BF16) {
        LOAD_LOOP(uint16_t, float, fb_bf16_to_f32);
        return true;
    }
    LOAD_INTEGERS(float)
}

static bool load_f64(FbDtype dtype, const void *data, int64_t first, int64_t stride, double *to, size_t count)
{
    if (dtype == FB_DTYPE_F32) {
        LOAD_LOOP(float, double, );
        return true;
    }
    if (dtype == FB_DTYPE_F64) {
        LOAD_LOOP(double, double, );
        return true;
    }
    if (dtype == FB_DTYPE_F16) {
        LOAD_LOOP(uint16_t, double, fb_f16_to_f32);
        return true;
    }
    if (dtype == FB_DTYPE_BF16) {
        LOAD_LOOP(uint16_t, double, fb_bf16_to_f32);
        return true;
    }
    LOAD_INTEGERS(double)
}

static bool load_s64(FbDtype dtype, const void *data, int64_t first, int64_t stride, int64_t *to, size_t count)
{
    LOAD_INTEGERS(int64_t)
}

static bool load_u64(FbDtype dtype, const void *data, int64_t first, int64_t stride, uint64_t *to, size_t count)
{
    LOAD_INTEGERS(uint64_t)
}

/* Packed and rare types, one element at a time. */
static double load_one(FbDtype dtype, const void *data, int64_t index)
{
    if (fb_dtype_bits(dtype) < 8 && dtype != FB_DTYPE_F4E2M1) {
        int8_t code;
        fb_unpack_codes(dtype, data, (uint64_t)index, &code, 1);
        return code;
    }
    float value;
    if (dtype == FB_DTYPE_F64) {
        return ((const double *)data)[index];
    }
    fb_decode_f32(dtype, data, (uint64_t)index, &value, 1);
    return value;
}

/* A row of 4- or 2-bit integers. */
static void load_packed(FbDtype dtype, const void *data, int64_t first, FbWork work, void *to, size_t count)
{
    int8_t codes[FB_WORK_BLOCK];
    for (size_t at = 0; at < count; at += FB_WORK_BLOCK) {
        size_t n = count - at < FB_WORK_BLOCK ? count - at : FB_WORK_BLOCK;
        fb_unpack_codes(dtype, data, (uint64_t)first + at, codes, n);
        fb_work_load(FB_DTYPE_S8, codes, 0, 1, work, (char *)to + at * fb_work_bytes(work), n);
    }
}

void fb_work_load(FbDtype dtype, const void *data, int64_t first, int64_t stride, FbWork work, void *to, size_t count)
{
    bool done = false;
    switch (work) {
    case FB_WORK_F32: done = load_f32(dtype, data, first, stride, to, count); break;
    case FB_WORK_F64: done = load_f64(dtype, data, first, stride, to, count); break;
    case FB_WORK_S64: done = load_s64(dtype, data, first, stride, to, count); break;
    case FB_WORK_U64: done = load_u64(dtype, data, first, stride, to, count); break;
    }
    if (!done && stride == 1 && fb_dtype_bits(dtype) < 8 && dtype != FB_DTYPE_F4E2M1) {
        load_packed(dtype, data, first, work, to, count);
        return;
    }
    for (size_t i = 0; !done && i < count; i++) {
        double value = load_one(dtype, data, first + (int64_t)i * stride);
        switch (work) {
        case FB_WORK_F32: ((float *)to)[i] = (float)value; break;
        case FB_WORK_F64: ((double *)to)[i] = value; break;
        case FB_WORK_S64: ((int64_t *)to)[i] = fb_double_to_s64(value); break;
        case FB_WORK_U64: ((uint64_t *)to)[i] = fb_double_to_u64(value); break;
        }
    }
}

#define STORE_LOOP(T, W, convert)                   \
    do {                                            \
        T *out = (T *)data + first;                 \
        const W *in = from;                         \
        for (size_t i = 0; i < count; i++) {        \
            out[i] = (T)convert(in[i]);             \
        }                                           \
    } while (0)

/* A float whose further rounding to a narrower format is the rounding of `value`: truncated, with the last bit set when inexact. */
static float round_to_odd(double value)
{
    float nearest = (float)value;
    if ((double)nearest == value || isnan(value) || isinf(nearest)) {
        return nearest;
    }
    float truncated = fabs((double)nearest) > fabs(value) ? nextafterf(nearest, 0.0f) : nearest;
    uint32_t bits;
    memcpy(&bits, &truncated, sizeof bits);
    bits |= 1;
    memcpy(&truncated, &bits, sizeof bits);
    return truncated;
}

static uint16_t double_to_f16(double value) { return fb_f32_to_f16(round_to_odd(value)); }
static uint16_t double_to_bf16(double value) { return fb_f32_to_bf16(round_to_odd(value)); }

static void store_float(FbDtype dtype, void *data, int64_t first, FbWork work, const void *from, size_t count)
{
    bool wide = work == FB_WORK_F64;
    if (dtype == FB_DTYPE_F32) {
        if (wide) {
            STORE_LOOP(float, double, );
        } else {
            STORE_LOOP(float, float, );
        }
    } else if (dtype == FB_DTYPE_F64) {
        if (wide) {
            STORE_LOOP(double, double, );
        } else {
            STORE_LOOP(double, float, );
        }
    } else if (dtype == FB_DTYPE_F16) {
        if (wide) {
            STORE_LOOP(uint16_t, double, double_to_f16);
        } else {
            STORE_LOOP(uint16_t, float, fb_f32_to_f16);
        }
    } else if (dtype == FB_DTYPE_BF16) {
        if (wide) {
            STORE_LOOP(uint16_t, double, double_to_bf16);
        } else {
            STORE_LOOP(uint16_t, float, fb_f32_to_bf16);
        }
    } else {
        for (size_t i = 0; i < count; i++) {
            float value = wide ? round_to_odd(((const double *)from)[i]) : ((const float *)from)[i];
            fb_encode_f32(dtype, &value, data, (uint64_t)first + i, 1);
        }
    }
}

static void store_integer(FbDtype dtype, void *data, int64_t first, const void *from, size_t count)
{
    switch (dtype) {
    case FB_DTYPE_BOOL: STORE_LOOP(uint8_t, uint64_t, 0 !=); break;
    case FB_DTYPE_U8: case FB_DTYPE_S8: STORE_LOOP(uint8_t, uint64_t, ); break;
    case FB_DTYPE_U16: case FB_DTYPE_S16: STORE_LOOP(uint16_t, uint64_t, ); break;
    case FB_DTYPE_U32: case FB_DTYPE_S32: STORE_LOOP(uint32_t, uint64_t, ); break;
    case FB_DTYPE_U64: case FB_DTYPE_S64: STORE_LOOP(uint64_t, uint64_t, ); break;
    default: /* packed below a byte: keep the low bits, as the wider types do */
        for (size_t i = 0; i < count; i++) {
            int bits = fb_dtype_bits(dtype);
            int code = (int)(((const uint64_t *)from)[i] & ((1u << bits) - 1));
            bool is_signed = fb_dtype_info(dtype)->kind == FB_KIND_SIGNED;
            int8_t value = (int8_t)(is_signed && code >= 1 << (bits - 1) ? code - (1 << bits) : code);
            fb_pack_codes(dtype, &value, data, (uint64_t)first + i, 1);
        }
    }
}

/* A float as the bits of an integer or bool; see the header for values out of range. */
static uint64_t float_code(FbDtype dtype, double value)
{
    switch (dtype) {
    case FB_DTYPE_BOOL: return value != 0.0; /* NaN is true */
    case FB_DTYPE_U64: return fb_double_to_u64(value);
    case FB_DTYPE_U32: return value > 0 ? (uint64_t)(value < 4294967295.0 ? value : 4294967295.0) : 0;
    case FB_DTYPE_S32:
        if (!(value > -2147483648.0)) {
            return isnan(value) ? 0 : (uint64_t)INT32_MIN;
        }
        return (uint64_t)(int64_t)(value < 2147483647.0 ? value : 2147483647.0);
    default: return (uint64_t)fb_double_to_s64(value);
    }
}

void fb_work_store(FbDtype dtype, void *data, int64_t first, FbWork work, const void *from, size_t count)
{
    bool from_float = work == FB_WORK_F32 || work == FB_WORK_F64;
    if (fb_dtype_info(dtype)->kind == FB_KIND_FLOAT) {
        if (from_float) {
            store_float(dtype, data, first, work, from, count);
            return;
        }
        for (size_t i = 0; i < count; i++) {
            double value = work == FB_WORK_S64 ? (double)((const int64_t *)from)[i] : (double)((const uint64_t *)from)[i];
            store_float(dtype, data, first + (int64_t)i, FB_WORK_F64, &value, 1);
        }
    } else if (!from_float) {
        store_integer(dtype, data, first, from, count);
    } else {
        uint64_t codes[FB_WORK_BLOCK];
        for (size_t at = 0; at < count; at += FB_WORK_BLOCK) {
            size_t n = count - at < FB_WORK_BLOCK ? count - at : FB_WORK_BLOCK;
            for (size_t i = 0; i < n; i++) {
                codes[i] = float_code(dtype, work == FB_WORK_F64 ? ((const double *)from)[at + i] : (double)((const float *)from)[at + i]);
            }
            store_integer(dtype, data, first + (int64_t)at, codes, n);
        }
    }
}
