/* Rows of any numeric type to f32 and back, and sub-byte integers to bytes and back. */
#include <string.h>

#include "tensor/dtype.h"
#include "tensor/float_bits.h"
#include "tensor/packing.h"

/* Loads may be unaligned: bytes of a file may start anywhere. */
#define DECODE_LOOP(T, expression)                                   \
    for (size_t i = 0; i < count; i++) {                             \
        T value;                                                     \
        memcpy(&value, bytes + i * sizeof(T), sizeof(T));            \
        to[i] = (expression);                                        \
    }                                                                \
    break

/* fb_f16_to_f32 without branches, so that compilers make vectors of it. */
static void decode_halves(const unsigned char *bytes, float *to, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint16_t half;
        memcpy(&half, bytes + i * sizeof half, sizeof half);
        uint32_t magnitude = (half & 0x7fffu) << 13, sign = (half & 0x8000u) << 16;
        uint32_t small = fb_bits_of(fb_float_of(magnitude + 0x38800000u) - 0x1p-14f); /* 2^-14 + the value, if that is below 2^-14 */
        uint32_t large = magnitude + (magnitude >= 0x7c00u << 13 ? 0x70000000u : 0x38000000u);
        uint32_t quiet = magnitude > 0x7c00u << 13 ? 0x400000u : 0u;
        to[i] = fb_float_of(sign | (magnitude < 0x400u << 13 ? small : large | quiet));
    }
}

static void decode_small(FbDtype dtype, const void *from, uint64_t first, float *to, size_t count)
{
    float table[256];
    bool packed = dtype == FB_DTYPE_F4E2M1;
    for (int code = 0; code < (packed ? 16 : 256); code++) {
        table[code] = fb_f8_to_f32((uint8_t)code, dtype);
    }
    const uint8_t *bytes = from;
    for (size_t i = 0; i < count; i++) {
        uint64_t at = first + i;
        to[i] = packed ? table[bytes[at / 2] >> (at % 2 * 4) & 15] : table[bytes[at]];
    }
}

static void decode_codes(FbDtype dtype, const void *from, uint64_t first, float *to, size_t count)
{
    int8_t codes[256];
    for (size_t done = 0; done < count;) {
        size_t piece = count - done < sizeof codes ? count - done : sizeof codes;
        fb_unpack_codes(dtype, from, first + done, codes, piece);
        for (size_t i = 0; i < piece; i++) {
            to[done + i] = (float)codes[i];
        }
        done += piece;
    }
}

void fb_decode_f32(FbDtype dtype, const void *from, uint64_t first, float *to, size_t count)
{
    if (count == 0) {
        return;
    }
    const unsigned char *bytes = (const unsigned char *)from + (fb_dtype_bits(dtype) >= 8 ? first * ((uint64_t)fb_dtype_bits(dtype) / 8) : 0);
    switch (dtype) {
    case FB_DTYPE_F32:
        memcpy(to, bytes, count * sizeof *to);
        break;
    case FB_DTYPE_F64:
        DECODE_LOOP(double, (float)value);
    case FB_DTYPE_F16:
        decode_halves(bytes, to, count);
        break;
    case FB_DTYPE_BF16:
        DECODE_LOOP(uint16_t, fb_bf16_to_f32(value));
    case FB_DTYPE_U8:
    case FB_DTYPE_BOOL:
        DECODE_LOOP(uint8_t, (float)value);
    case FB_DTYPE_S8:
        DECODE_LOOP(int8_t, (float)value);
    case FB_DTYPE_U16:
        DECODE_LOOP(uint16_t, (float)value);
    case FB_DTYPE_S16:
        DECODE_LOOP(int16_t, (float)value);
    case FB_DTYPE_U32:
        DECODE_LOOP(uint32_t, (float)value);
    case FB_DTYPE_S32:
        DECODE_LOOP(int32_t, (float)value);
    case FB_DTYPE_U64:
        DECODE_LOOP(uint64_t, (float)value);
    case FB_DTYPE_S64:
        DECODE_LOOP(int64_t, (float)value);
    case FB_DTYPE_F8E4M3FN:
    case FB_DTYPE_F8E4M3FNUZ:
    case FB_DTYPE_F8E5M2:
    case FB_DTYPE_F8E5M2FNUZ:
    case FB_DTYPE_F8E8M0:
    case FB_DTYPE_F4E2M1:
        decode_small(dtype, from, first, to, count);
        break;
    case FB_DTYPE_U4:
    case FB_DTYPE_S4:
    case FB_DTYPE_U2:
    case FB_DTYPE_S2:
        decode_codes(dtype, from, first, to, count);
        break;
    case FB_DTYPE_NONE:
    case FB_DTYPE_STRING:
    case FB_DTYPE_C64:
    case FB_DTYPE_C128:
    case FB_DTYPE_COUNT:
        memset(to, 0, count * sizeof *to);
        break;
    }
}

/* Half to even, without the rounding mode of the machine coming in for values that are small enough to have a fraction. */
static double round_even(double value)
{
    const double magic = 0x1.8p52;
    return value > -0x1p51 && value < 0x1p51 ? value + magic - magic : value;
}

/* An integer in [low, high], whose ends are exact in double. */
static int64_t to_integer(float value, int64_t low, int64_t high)
{
    double rounded = round_even((double)value);
    if (rounded != rounded) {
        return 0;
    }
    return rounded <= (double)low ? low : rounded >= (double)high ? high : (int64_t)rounded;
}

static uint64_t to_u64(float value)
{
    double rounded = round_even((double)value);
    return !(rounded > 0.0) ? 0 : rounded >= 0x1p64 ? UINT64_MAX : (uint64_t)rounded;
}

#define ENCODE_LOOP(T, expression)                            \
    for (size_t i = 0; i < count; i++) {                      \
        T value = (expression);                               \
        memcpy(bytes + i * sizeof(T), &value, sizeof(T));     \
    }                                                         \
    break

static void encode_codes(FbDtype dtype, const float *from, void *to, uint64_t first, size_t count)
{
    const FbDtypeInfo *info = fb_dtype_info(dtype);
    int8_t codes[256];
    for (size_t done = 0; done < count;) {
        size_t piece = count - done < sizeof codes ? count - done : sizeof codes;
        for (size_t i = 0; i < piece; i++) {
            codes[i] = dtype == FB_DTYPE_F4E2M1 ? (int8_t)fb_f32_to_f8(from[done + i], dtype, true)
                                                : (int8_t)to_integer(from[done + i], (int64_t)info->low, (int64_t)info->high);
        }
        fb_pack_codes(dtype, codes, to, first + done, piece);
        done += piece;
    }
}

void fb_encode_f32(FbDtype dtype, const float *from, void *to, uint64_t first, size_t count)
{
    if (count == 0) {
        return;
    }
    unsigned char *bytes = (unsigned char *)to + (fb_dtype_bits(dtype) >= 8 ? first * ((uint64_t)fb_dtype_bits(dtype) / 8) : 0);
    switch (dtype) {
    case FB_DTYPE_F32:
        memcpy(bytes, from, count * sizeof *from);
        break;
    case FB_DTYPE_F64:
        ENCODE_LOOP(double, (double)from[i]);
    case FB_DTYPE_F16:
        ENCODE_LOOP(uint16_t, fb_f32_to_f16(from[i]));
    case FB_DTYPE_BF16:
        ENCODE_LOOP(uint16_t, fb_f32_to_bf16(from[i]));
    case FB_DTYPE_U8:
        ENCODE_LOOP(uint8_t, (uint8_t)to_integer(from[i], 0, UINT8_MAX));
    case FB_DTYPE_S8:
        ENCODE_LOOP(int8_t, (int8_t)to_integer(from[i], INT8_MIN, INT8_MAX));
    case FB_DTYPE_U16:
        ENCODE_LOOP(uint16_t, (uint16_t)to_integer(from[i], 0, UINT16_MAX));
    case FB_DTYPE_S16:
        ENCODE_LOOP(int16_t, (int16_t)to_integer(from[i], INT16_MIN, INT16_MAX));
    case FB_DTYPE_U32:
        ENCODE_LOOP(uint32_t, (uint32_t)to_integer(from[i], 0, UINT32_MAX));
    case FB_DTYPE_S32:
        ENCODE_LOOP(int32_t, (int32_t)to_integer(from[i], INT32_MIN, INT32_MAX));
    case FB_DTYPE_U64:
        ENCODE_LOOP(uint64_t, to_u64(from[i]));
    case FB_DTYPE_S64:
        ENCODE_LOOP(int64_t, to_integer(from[i], INT64_MIN, INT64_MAX));
    case FB_DTYPE_BOOL:
        ENCODE_LOOP(uint8_t, from[i] != 0.0f);
    case FB_DTYPE_F8E4M3FN:
    case FB_DTYPE_F8E4M3FNUZ:
    case FB_DTYPE_F8E5M2:
    case FB_DTYPE_F8E5M2FNUZ:
    case FB_DTYPE_F8E8M0:
        ENCODE_LOOP(uint8_t, fb_f32_to_f8(from[i], dtype, true));
    case FB_DTYPE_F4E2M1:
    case FB_DTYPE_U4:
    case FB_DTYPE_S4:
    case FB_DTYPE_U2:
    case FB_DTYPE_S2:
        encode_codes(dtype, from, to, first, count);
        break;
    case FB_DTYPE_NONE:
    case FB_DTYPE_STRING:
    case FB_DTYPE_C64:
    case FB_DTYPE_C128:
    case FB_DTYPE_COUNT:
        break;
    }
}

void fb_unpack_codes(FbDtype dtype, const void *from, uint64_t first, int8_t *to, size_t count)
{
    int bits = fb_dtype_bits(dtype);
    if (bits >= 8) {
        if (count) {
            memcpy(to, (const int8_t *)from + first, count);
        }
        return;
    }
    fb_unpack_bits(bits, fb_dtype_info(dtype)->kind == FB_KIND_SIGNED, from, first, to, count);
}

void fb_pack_codes(FbDtype dtype, const int8_t *from, void *to, uint64_t first, size_t count)
{
    int bits = fb_dtype_bits(dtype);
    if (bits >= 8) {
        if (count) {
            memcpy((int8_t *)to + first, from, count);
        }
        return;
    }
    fb_pack_bits(bits, from, to, first, count);
}
