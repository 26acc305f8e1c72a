/* The float product for AVX-512: 12 x 32. Fourteen rows would fill the vector registers, but not leave a pointer register for each row. */
#include "kernels/simd_avx512.h"

#include "kernels/product_f32_12x32.h"
