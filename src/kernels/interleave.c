/* Interleaving rows of 16-bit numbers: squares of eight by eight are turned over in registers, by pairs of 16, 32 and 64 bits. */
#include "kernels/interleave.h"

#include <string.h>

enum { NUMBER = 2, SQUARE = 8, LINE = FB_INTERLEAVE_ROWS * NUMBER };

#if defined(__SSE2__)
#include <emmintrin.h>
typedef __m128i Eight;
static inline Eight load(const uint8_t *at) { return _mm_loadu_si128((const __m128i *)(const void *)at); }
static inline void store(uint8_t *at, Eight x) { _mm_storeu_si128((__m128i *)(void *)at, x); }
static inline Eight low16(Eight a, Eight b) { return _mm_unpacklo_epi16(a, b); }
static inline Eight high16(Eight a, Eight b) { return _mm_unpackhi_epi16(a, b); }
static inline Eight low32(Eight a, Eight b) { return _mm_unpacklo_epi32(a, b); }
static inline Eight high32(Eight a, Eight b) { return _mm_unpackhi_epi32(a, b); }
static inline Eight low64(Eight a, Eight b) { return _mm_unpacklo_epi64(a, b); }
static inline Eight high64(Eight a, Eight b) { return _mm_unpackhi_epi64(a, b); }
#define HAVE_SQUARES 1
#elif defined(__aarch64__) && defined(__ARM_NEON)
#include <arm_neon.h>
typedef uint8x16_t Eight;
static inline Eight load(const uint8_t *at) { return vld1q_u8(at); }
static inline void store(uint8_t *at, Eight x) { vst1q_u8(at, x); }
static inline Eight low16(Eight a, Eight b) { return vreinterpretq_u8_u16(vzip1q_u16(vreinterpretq_u16_u8(a), vreinterpretq_u16_u8(b))); }
static inline Eight high16(Eight a, Eight b) { return vreinterpretq_u8_u16(vzip2q_u16(vreinterpretq_u16_u8(a), vreinterpretq_u16_u8(b))); }
static inline Eight low32(Eight a, Eight b) { return vreinterpretq_u8_u32(vzip1q_u32(vreinterpretq_u32_u8(a), vreinterpretq_u32_u8(b))); }
static inline Eight high32(Eight a, Eight b) { return vreinterpretq_u8_u32(vzip2q_u32(vreinterpretq_u32_u8(a), vreinterpretq_u32_u8(b))); }
static inline Eight low64(Eight a, Eight b) { return vreinterpretq_u8_u64(vzip1q_u64(vreinterpretq_u64_u8(a), vreinterpretq_u64_u8(b))); }
static inline Eight high64(Eight a, Eight b) { return vreinterpretq_u8_u64(vzip2q_u64(vreinterpretq_u64_u8(a), vreinterpretq_u64_u8(b))); }
#define HAVE_SQUARES 1
#endif

#ifdef HAVE_SQUARES
/* Four numbers of each row, of which a holds rows 0 and 1, b 2 and 3, c 4 and 5, d 6 and 7 in turns. */
static inline void store_four(uint8_t *to, Eight a, Eight b, Eight c, Eight d)
{
    const Eight first = low32(a, b), second = low32(c, d), third = high32(a, b), fourth = high32(c, d);
    store(to, low64(first, second));
    store(to + LINE, high64(first, second));
    store(to + 2 * LINE, low64(third, fourth));
    store(to + 3 * LINE, high64(third, fourth));
}

static inline void turn_square(const uint8_t *const *rows, size_t offset, uint8_t *to)
{
    Eight x[SQUARE];
    for (size_t r = 0; r < SQUARE; r++) {
        x[r] = load(rows[r] + offset);
    }
    store_four(to, low16(x[0], x[1]), low16(x[2], x[3]), low16(x[4], x[5]), low16(x[6], x[7]));
    store_four(to + 4 * LINE, high16(x[0], x[1]), high16(x[2], x[3]), high16(x[4], x[5]), high16(x[6], x[7]));
}
#endif

void fb_interleave_halves(const uint8_t *const *rows, size_t count, uint8_t *to)
{
    size_t k = 0;
#ifdef HAVE_SQUARES
    for (; k + SQUARE <= count; k += SQUARE) {
        turn_square(rows, k * NUMBER, to + k * LINE);
    }
#endif
    for (; k < count; k++) {
        for (size_t r = 0; r < FB_INTERLEAVE_ROWS; r++) {
            memcpy(to + k * LINE + r * NUMBER, rows[r] + k * NUMBER, NUMBER);
        }
    }
}
