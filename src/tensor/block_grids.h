/* The codebooks of the IQ1, IQ2 and IQ3 block types (block_grids.c). */
#ifndef FB_TENSOR_BLOCK_GRIDS_H
#define FB_TENSOR_BLOCK_GRIDS_H

#include <stdint.h>

extern const uint16_t fb_grid_iq2_xxs[256], fb_grid_iq2_xs[512], fb_grid_iq2_s[1024]; /* levels 8, 25, 43 */
extern const uint16_t fb_grid_iq1[2048];                                              /* levels -1, 0, 1 */
extern const uint16_t fb_grid_iq3_xxs[256];                                           /* levels 4, 12, 20, 28, 36, 44, 52, 62 */
extern const uint16_t fb_grid_iq3_s[512];                                             /* levels 1, 3, .. 15 */

#endif
