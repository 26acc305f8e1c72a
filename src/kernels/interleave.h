/* Eight rows of 16-bit numbers as one, number by number: to[8 k + r] = rows[r][k], in bytes as they lie. In plain C, and with what every
 * processor of its architecture has (SSE2, NEON), so that there is nothing to dispatch. */
#ifndef FB_KERNELS_INTERLEAVE_H
#define FB_KERNELS_INTERLEAVE_H

#include <stddef.h>
#include <stdint.h>

enum { FB_INTERLEAVE_ROWS = 8 };

/* `count` numbers of each row; no alignment is asked for. */
void fb_interleave_halves(const uint8_t *const *rows, size_t count, uint8_t *to);

#endif
