/* The shape of the AVX-512 product; included after its simd_*.h. */
#define PRODUCT_EACH_ROW(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11)
enum { PRODUCT_ROW_TILE = 12 };
#include "kernels/product_f32_panel2.h"

#include "kernels/product_f32_body.h"
