/* What happens to a product's float accumulators before they are stored, in order: bias, then up to FB_EPILOGUE_MAX of the kinds below.
 * Element-wise kinds share their arithmetic with the stand-alone operators, so that fusing changes no bit. */
#ifndef FB_KERNELS_EPILOGUE_H
#define FB_KERNELS_EPILOGUE_H

#include <stddef.h>
#include <stdint.h>

enum { FB_EPILOGUE_MAX = 4 };

typedef enum FbEpilogueKind {
    FB_EPILOGUE_CLAMP = 0,   /* min(max(x, a), b); Relu: a = 0, b = +inf. NaN stays NaN. */
    FB_EPILOGUE_ADD,         /* x + operand */
    FB_EPILOGUE_MUL,         /* x * operand */
    FB_EPILOGUE_ROUND,       /* (clamp(round_half_even(x / a) + b, low, high) - b) * a: to a grid and back; a scale, b zero point */
    FB_EPILOGUE_LEAKY,       /* x >= 0 ? x : a * x */
    FB_EPILOGUE_SIGMOID,
    FB_EPILOGUE_SILU,        /* x * sigmoid(x) */
    FB_EPILOGUE_TANH,
    FB_EPILOGUE_HARD_SIGMOID,/* clamp(a * x + b, 0, 1) */
    FB_EPILOGUE_HARD_SWISH,  /* x * clamp(x / 6 + 0.5, 0, 1) */
    FB_EPILOGUE_GELU_ERF     /* 0.5 x (1 + erf(x / sqrt 2)) */
} FbEpilogueKind;

typedef struct FbEpilogueOp {
    FbEpilogueKind kind;
    float a, b;
    int32_t low, high;
    const float *operand;    /* ADD, MUL: element of this tile's first row and column */
    size_t operand_stride;   /* floats between rows */
} FbEpilogueOp;

typedef struct FbEpilogue {
    const float *bias;       /* per column, or NULL */
    int count;
    FbEpilogueOp ops[FB_EPILOGUE_MAX];
} FbEpilogue;

#endif
