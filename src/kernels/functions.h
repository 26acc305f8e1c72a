/* Elementary functions in float with the same bits on every instruction set: one static-inline definition made of fmaf, + - * / and bit
 * operations, compiled once per instruction set. Used by operators and epilogues alike. */
#ifndef FB_KERNELS_FUNCTIONS_H
#define FB_KERNELS_FUNCTIONS_H

#include <stddef.h>

#include "base/context.h"

/* Rows of a unary function: y[i] = f(x[i]); x and y may be the same. a and b are the function's parameters. */
typedef void (*FbUnaryF32)(const float *x, float *y, size_t count, float a, float b);

typedef enum FbUnaryKind {
    FB_UNARY_EXP = 0, FB_UNARY_LOG, FB_UNARY_TANH, FB_UNARY_ERF, FB_UNARY_SIGMOID, FB_UNARY_SILU, FB_UNARY_GELU_ERF, FB_UNARY_GELU_TANH,
    FB_UNARY_SQRT, FB_UNARY_RELU, FB_UNARY_CLAMP, FB_UNARY_LEAKY, FB_UNARY_HARD_SIGMOID, FB_UNARY_HARD_SWISH, FB_UNARY_ABS, FB_UNARY_NEG,
    FB_UNARY_RECIPROCAL, FB_UNARY_SOFTPLUS, FB_UNARY_MISH, FB_UNARY_COUNT
} FbUnaryKind;

typedef struct FbUnaryF32Kernel {
    const char *name;
    unsigned needs; /* FbCpu bits */
    FbUnaryF32 run[FB_UNARY_COUNT];
} FbUnaryF32Kernel;

extern const FbUnaryF32Kernel *const fb_unary_f32_kernels[]; /* best first, ends with scalar */
extern const size_t fb_unary_f32_kernel_count;
FbUnaryF32 fb_unary_f32_pick(unsigned cpu, FbUnaryKind kind);

#endif
