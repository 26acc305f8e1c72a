/* The float product for NEON: 6 x 16, twenty-four of the thirty-two registers are accumulators. */
#include "kernels/simd_neon.h"

#define PRODUCT_EACH_ROW(X) X(0) X(1) X(2) X(3) X(4) X(5)
enum { PRODUCT_ROW_TILE = 6 };
#include "kernels/product_f32_panel1.h"

#include "kernels/product_f32_body.h"
