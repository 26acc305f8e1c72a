/* Searches for the scale, and the minimum, of a group of numbers that share one: weighted least squares around the plain grid.
 *
 * Source: the k-quants of ggml. A candidate grid rounds the numbers to codes; the scale (and minimum) that fit these codes best are solved for;
 * the candidate with the least weighted error stays. Every product and sum is rounded to float in the order of the formulas, from the first
 * element to the last, so that files are equal byte for byte to those of other tools built without fused multiply-add. */
#ifndef FB_TENSOR_BLOCK_SEARCH_H
#define FB_TENSOR_BLOCK_SEARCH_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* A group whose largest magnitude is below this is all zero. */
#define FB_GROUP_ZERO 1e-15f

/* The nearest integer, ties to even, for magnitudes up to 2^22. Beyond, the low bits of the sum as other tools take them: never a trap. */
static inline int fb_block_nearest(float x)
{
    float sum = x + 12582912.0f; /* 1.5 * 2^23: the integer is what the significand holds beyond 2^22 */
    uint32_t bits;
    memcpy(&bits, &sum, sizeof bits);
    return (int)(bits & 0x7FFFFFu) - 0x400000;
}

static inline int fb_block_clamp(int code, int low, int high)
{
    return code < low ? low : code > high ? high : code;
}

/* The element of the largest magnitude, with its sign; the first of equals; 0 if all are. */
float fb_block_extreme(const float *x, int count);
float fb_block_sum_squares(const float *x, int64_t count);
/* weights[i] = importance[i] * sqrt(sigma2 + x[i]^2); sigma2: mean square of the surroundings. */
void fb_block_weights(const float *x, const float *importance, int count, float sigma2, float *weights);
/* Whether any is not zero. */
bool fb_block_any(const float *importance, int count);

/* x ~ scale * (code - zero), codes in [0, 2 zero - 1]: the extreme element first gets code 0, then 18 other steps are tried. Returns the
 * scale. All zero: scale 0 and codes 0. */
float fb_search_signed(const float *x, const float *weights, int count, int zero, uint8_t *codes);

/* The same from one grid with weights x^2, then codes are moved one at a time while the fit gets better, five passes at most. */
float fb_search_signed_moves(const float *x, int count, int zero, uint8_t *codes);

/* x ~ scale * code - minimum, codes in [0, top], minimum >= 0. Candidate s of `steps` + 1 has the inverse scale (first + step s + top) / range. */
typedef struct FbRangeSearch {
    int top, steps;
    float first, step;
    bool absolute; /* errors count by magnitude, not by square */
} FbRangeSearch;
float fb_search_range(const FbRangeSearch *search, const float *x, const float *weights, int count, uint8_t *codes, float *minimum);

/* x ~ scale * code for x >= 0, codes in [0, top]: eight other steps, then moves as above. */
float fb_search_positive(const float *x, const float *weights, int count, int top, uint8_t *codes);

/* x ~ scale * level, of IQ4's sixteen levels: fourteen other steps. */
float fb_search_levels(const float *x, const float *weights, int count);
/* The level nearest to x; from between two equally near ones the higher. */
int fb_nearest_level(float x);
extern const float fb_iq4_bounds[15]; /* from where on the next level is nearer */

#endif
