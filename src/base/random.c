/* Counter-based random numbers. Only exact operations (integers, division, sqrt) and our own logarithm: the same bits everywhere. */
#include "base/random.h"

#include <math.h>
#include <string.h>

static uint64_t mix(uint64_t z)
{
    z += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

uint64_t fb_random_u64(uint64_t seed, uint64_t stream, uint64_t counter)
{
    return mix(mix(mix(seed) ^ stream) ^ counter);
}

/* The high word of value * limit, from 32-bit halves. */
static uint64_t multiply_high(uint64_t a, uint64_t b, uint64_t *low)
{
    uint64_t a0 = a & 0xffffffffu, a1 = a >> 32, b0 = b & 0xffffffffu, b1 = b >> 32;
    uint64_t p00 = a0 * b0, p01 = a0 * b1, p10 = a1 * b0, p11 = a1 * b1;
    uint64_t middle = (p00 >> 32) + (p01 & 0xffffffffu) + (p10 & 0xffffffffu);
    *low = a * b;
    return p11 + (p01 >> 32) + (p10 >> 32) + (middle >> 32);
}

/* Multiply and keep the high word (Lemire 2019, arXiv:1805.10941); draws that would bias the result are taken again. */
uint64_t fb_random_below(uint64_t seed, uint64_t stream, uint64_t counter, uint64_t limit)
{
    uint64_t value = fb_random_u64(seed, stream, counter), low;
    uint64_t high = multiply_high(value, limit, &low);
    uint64_t biased = (0 - limit) % limit;
    while (low < biased) {
        value = mix(value);
        high = multiply_high(value, limit, &low);
    }
    return high;
}

double fb_random_unit(uint64_t seed, uint64_t stream, uint64_t counter)
{
    return (double)(fb_random_u64(seed, stream, counter) >> 11) * 0x1p-53;
}

/* ln x for 0 < x <= 1 with +, *, / only: x = m 2^e, ln m = 2 artanh((m-1)/(m+1)), m in [sqrt(1/2), sqrt(2)). */
static double log_exactly(double x)
{
    int exponent;
    double m = frexp(x, &exponent);
    if (m < 0.70710678118654757) {
        m *= 2.0;
        exponent--;
    }
    double t = (m - 1.0) / (m + 1.0), t2 = t * t, sum = 0.0;
    for (int k = 23; k >= 1; k -= 2) {
        sum = sum * t2 + 1.0 / k;
    }
    return exponent * 0.69314718055994531 + 2.0 * t * sum;
}

/* Marsaglia's polar method: two uniforms in the disc give a normal without sine or cosine. */
float fb_random_normal(uint64_t seed, uint64_t stream, uint64_t counter)
{
    uint64_t state = fb_random_u64(seed, stream, counter);
    for (;;) {
        double u = (double)(state >> 11) * 0x1p-52 - 1.0;
        state = mix(state);
        double v = (double)(state >> 11) * 0x1p-52 - 1.0;
        state = mix(state);
        double square = u * u + v * v;
        if (square > 0.0 && square < 1.0) {
            return (float)(u * sqrt(-2.0 * log_exactly(square) / square));
        }
    }
}
