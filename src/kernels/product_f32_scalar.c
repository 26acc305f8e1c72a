/* The float product in plain C. */
#include "kernels/simd_scalar.h"

#define PRODUCT_EACH_ROW(X) X(0) X(1) X(2) X(3)
enum { PRODUCT_ROW_TILE = 4 };
#include "kernels/product_f32_panel1.h"

#include "kernels/product_f32_body.h"
