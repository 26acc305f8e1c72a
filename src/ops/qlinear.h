/* Codes of one scale and zero point, computed with in double: what the QLinear operators share. */
#ifndef FB_OPS_QLINEAR_H
#define FB_OPS_QLINEAR_H

#include <math.h>

#include "ops/integer_product.h"

typedef struct FbGrid8 {
    double scale;
    int32_t zero;
} FbGrid8;

/* Inputs first and first + 1; the zero point may be absent. */
static inline FbStatus fb_grid8_read(const FbCall *call, int first, FbGrid8 *grid, FbError *err)
{
    const FbTensor *scale = fb_call_input(call, first), *zero = fb_call_input(call, first + 1);
    FB_TRY(fb_integer_check_count(scale, 1, 1, "scale", err));
    FB_TRY(fb_integer_check_count(zero, 1, 1, "zero point", err));
    grid->scale = fb_tensor_number(scale, 0);
    grid->zero = zero ? fb_code_at(zero, 0) : 0;
    return FB_OK;
}

static inline uint8_t fb_grid8_code(double real, FbGrid8 grid, FbDtype dtype)
{
    double code = rint(real / grid.scale) + grid.zero, low = dtype == FB_DTYPE_S8 ? -128 : 0, high = dtype == FB_DTYPE_S8 ? 127 : 255;
    return (uint8_t)(int)(code > low ? (code < high ? code : high) : low); /* NaN: low */
}

/* The value of the code in byte `bits`. */
static inline double fb_grid8_real(uint8_t bits, FbGrid8 grid, FbDtype dtype)
{
    return grid.scale * ((dtype == FB_DTYPE_S8 ? (int8_t)bits : bits) - grid.zero);
}

/* Types of codes at input 0 with their grid, and of the output's grid at inputs 3 and 4; the output is like input 0. */
FbStatus fb_qlinear_infer_unary(FbInfer *infer, FbError *err);

#endif
