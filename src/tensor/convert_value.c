/* Single values of the small float types to f32 and back; rounding is half to even.
 * Sources: IEEE 754-2019; Micikevicius et al. 2022 (arXiv:2209.05433) for E4M3FN and E5M2; Noune et al. 2022 (arXiv:2206.02915) for the FNUZ
 * forms; OCP Microscaling Formats 1.0 for E2M1 and E8M0; ONNX operator Cast (opset 25) for what happens out of range. */
#include "tensor/dtype.h"
#include "tensor/float_bits.h"

/* The magnitude code of a float with `mantissa` bits and `bias`, before any limit. `bits` is a finite magnitude. */
static uint32_t round_magnitude(uint32_t bits, int mantissa, int bias)
{
    uint32_t least_normal = (uint32_t)(128 - bias) << 23; /* 2^(1-bias) */
    if (bits < least_normal) {
        /* A sum with this power of two leaves the subnormal's integer in the low bits, rounded half to even. */
        uint32_t magic = (uint32_t)(128 - bias - mantissa + 23) << 23;
        return fb_bits_of(fb_float_of(bits) + fb_float_of(magic)) - magic;
    }
    int shift = 23 - mantissa;
    uint32_t odd = (bits >> shift) & 1u;
    bits += (1u << (shift - 1)) - 1u + odd;
    return (bits >> shift) - ((uint32_t)(127 - bias) << mantissa);
}

/* The value of a magnitude code of a float with `mantissa` bits and `bias`, no special codes. */
static float magnitude_value(uint32_t code, int mantissa, int bias)
{
    uint32_t exponent = code >> mantissa, fraction = code & ((1u << mantissa) - 1u);
    if (exponent == 0) {
        return (float)fraction * fb_float_of((uint32_t)(128 - bias - mantissa) << 23);
    }
    return fb_float_of((exponent + 127u - (uint32_t)bias) << 23 | fraction << (23 - mantissa));
}

float fb_f16_to_f32(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000u) << 16, magnitude = half & 0x7fffu;
    if (magnitude >= 0x7c00u) {
        uint32_t quiet = magnitude > 0x7c00u ? 0x400000u : 0u; /* as the hardware conversion does */
        return fb_float_of(sign | 0x7f800000u | quiet | (magnitude & 0x3ffu) << 13);
    }
    return fb_float_of(sign | fb_bits_of(magnitude_value(magnitude, 10, 15)));
}

uint16_t fb_f32_to_f16(float value)
{
    uint32_t bits = fb_bits_of(value), magnitude = bits & 0x7fffffffu;
    uint16_t sign = (uint16_t)(bits >> 16 & 0x8000u);
    if (magnitude > 0x7f800000u) {
        return (uint16_t)(sign | 0x7e00u | (magnitude >> 13 & 0x3ffu));
    }
    uint32_t code = magnitude >= 0x47800000u ? 0x7c00u : round_magnitude(magnitude, 10, 15);
    return (uint16_t)(sign | (code > 0x7c00u ? 0x7c00u : code));
}

float fb_bf16_to_f32(uint16_t half)
{
    return fb_float_of((uint32_t)half << 16);
}

uint16_t fb_f32_to_bf16(float value)
{
    uint32_t bits = fb_bits_of(value);
    if ((bits & 0x7fffffffu) > 0x7f800000u) {
        return (uint16_t)(bits >> 16 | 0x40u);
    }
    return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

/* The small formats: how many bits, which code is the largest finite one, what stands for NaN and infinity (0: there is none). */
typedef struct Small {
    int mantissa, bias;
    uint8_t largest, infinity, nan, sign;
    bool unsigned_zero; /* FNUZ: the code of -0 is the NaN */
} Small;

static const Small e4m3fn = {3, 7, 0x7e, 0, 0x7f, 0x80, false};
static const Small e4m3fnuz = {3, 8, 0x7f, 0, 0x80, 0x80, true};
static const Small e5m2 = {2, 15, 0x7b, 0x7c, 0x7e, 0x80, false};
static const Small e5m2fnuz = {2, 16, 0x7f, 0, 0x80, 0x80, true};
static const Small e2m1 = {1, 1, 0x07, 0, 0, 0x08, false};

static const Small *small_of(FbDtype dtype)
{
    return dtype == FB_DTYPE_F8E4M3FN     ? &e4m3fn
           : dtype == FB_DTYPE_F8E4M3FNUZ ? &e4m3fnuz
           : dtype == FB_DTYPE_F8E5M2     ? &e5m2
           : dtype == FB_DTYPE_F8E5M2FNUZ ? &e5m2fnuz
                                          : &e2m1;
}

float fb_f8_to_f32(uint8_t code, FbDtype dtype)
{
    if (dtype == FB_DTYPE_F8E8M0) {
        return fb_float_of(code == 0 ? 0x400000u : code == 0xff ? 0x7fc00000u : (uint32_t)code << 23);
    }
    const Small *small = small_of(dtype);
    uint32_t magnitude = code & (uint32_t)(small->sign - 1), sign = code & small->sign ? 0x80000000u : 0u;
    if (small->unsigned_zero && code == small->nan) {
        return fb_float_of(0x7fc00000u);
    }
    if (magnitude > small->largest) {
        bool infinite = small->infinity && magnitude == small->infinity;
        return fb_float_of(sign | (infinite ? 0x7f800000u : 0x7fc00000u));
    }
    return fb_float_of(sign | fb_bits_of(magnitude_value(magnitude, small->mantissa, small->bias)));
}

uint8_t fb_f32_to_e8m0(float value, FbE8m0Round mode, bool saturate)
{
    uint32_t bits = fb_bits_of(value), exponent = bits >> 23 & 0xffu, fraction = bits & 0x7fffffu;
    if (exponent == 0xff) {
        return 0xff;
    }
    bool up = mode == FB_E8M0_UP && fraction != 0;
    if (mode == FB_E8M0_NEAREST) {
        up = fraction > 0x400000u || (fraction == 0x400000u && exponent > 0);
    }
    if (up && !(saturate && exponent == 0xfe)) {
        exponent++;
    }
    return (uint8_t)exponent;
}

uint8_t fb_f32_to_f8(float value, FbDtype dtype, bool saturate)
{
    if (dtype == FB_DTYPE_F8E8M0) {
        return fb_f32_to_e8m0(value, FB_E8M0_UP, saturate);
    }
    const Small *small = small_of(dtype);
    uint32_t bits = fb_bits_of(value), magnitude = bits & 0x7fffffffu;
    uint8_t sign = bits >> 31 ? small->sign : 0;
    if (magnitude > 0x7f800000u) {
        return small->nan ? (uint8_t)(small->unsigned_zero ? small->nan : small->nan | sign) : 0;
    }
    uint32_t code = magnitude == 0x7f800000u ? 0xffu : round_magnitude(magnitude, small->mantissa, small->bias);
    if (code > small->largest) {
        if (saturate || !small->nan) {
            code = small->largest;
        } else if (small->infinity) {
            code = small->infinity;
        } else {
            return (uint8_t)(small->unsigned_zero ? small->nan : small->nan | sign);
        }
    }
    if (code == 0 && small->unsigned_zero) {
        return 0;
    }
    return (uint8_t)(sign | code);
}
