/* The low-bit product for NEON with dot products. */
#include <arm_neon.h>

#define dot_quarter(sum, w, a, i) vdotq_laneq_s32(sum, w, a, i)
#include "kernels/dot_lanes_neon.h"

#define DOT_KERNEL fb_product_lowbit_neon_dot
#define DOT_NAME "neon_dot"
#define DOT_NEEDS (FB_CPU_NEON | FB_CPU_NEON_DOT)
#define DOT_LOWER fb_product_lowbit_neon
#include "kernels/product_lowbit_dot_row.h"
