/* The bits of a float, and the float of bits. */
#ifndef FB_TENSOR_FLOAT_BITS_H
#define FB_TENSOR_FLOAT_BITS_H

#include <stdint.h>
#include <string.h>

static inline uint32_t fb_bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline float fb_float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

#endif
