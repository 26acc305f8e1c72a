/* Counter-based random numbers: the value depends on (seed, stream, counter) only. SplitMix64's finaliser (Steele et al. 2014). */
#ifndef FB_BASE_RANDOM_H
#define FB_BASE_RANDOM_H

#include <stdint.h>

uint64_t fb_random_u64(uint64_t seed, uint64_t stream, uint64_t counter);
uint64_t fb_random_below(uint64_t seed, uint64_t stream, uint64_t counter, uint64_t limit); /* uniform in [0, limit), limit > 0 */
double fb_random_unit(uint64_t seed, uint64_t stream, uint64_t counter);                    /* uniform in [0, 1) */
float fb_random_normal(uint64_t seed, uint64_t stream, uint64_t counter);                   /* standard normal, own log/sqrt: same bits everywhere */

#endif
