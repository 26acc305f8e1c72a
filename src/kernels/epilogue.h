/* What happens to a product's float accumulators before they are stored, in order: bias, then up to FB_EPILOGUE_MAX of the kinds below.
 * Element-wise kinds share their arithmetic with the stand-alone operators, so that fusing changes no bit.
 *
 * Integer products (product_u8s8.h, depthwise_u8s8.h) use the same kinds between a scale per column and a store as reals or as codes:
 *
 *   x = (float)(acc + offset[c]) * scale[c] [+ bias[c]];   x = op(x) for each op;   store x, or clamp(rint(x * inverse) + zero, low, high)
 *
 * with one rounding per operation, rint to even, ROUND by a multiplication with 1 / a where nothing but ADD and CLAMP follows, the same bits
 * on every instruction set. Source: Jacob et al. 2018 (arXiv:1712.05877),
 * section 2.2, with the multiplier in float. */
#ifndef FB_KERNELS_EPILOGUE_H
#define FB_KERNELS_EPILOGUE_H

#include <stdbool.h>
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
    const uint8_t *codes;    /* ADD, MUL, instead of operand: a * ((float)code - b) */
    size_t operand_stride;   /* elements between rows, of operand or codes */
} FbEpilogueOp;

typedef struct FbEpilogue {
    const float *bias;       /* per column, or NULL */
    int count;
    FbEpilogueOp ops[FB_EPILOGUE_MAX];
} FbEpilogue;

/* Codes inside the engine are u8 whatever the model says: s8 codes and zero points are moved up by 128 together, narrower ones by half
 * their range. real = scale * (code - zero). */
typedef struct FbCodeGrid {
    float scale;             /* > 0 */
    int32_t zero;            /* 0..255 */
    int32_t low, high;       /* 0..255 */
} FbCodeGrid;

typedef struct FbIntegerEpilogue {
    const int32_t *offset;   /* per column: integer bias - zero point of A * column sum of W, and what a packing asks for; not NULL */
    const float *scale;      /* per column: computed in double, rounded once; not NULL */
    FbEpilogue real;         /* bias and ops, in the unit of the store */
    bool codes;              /* c is uint8_t: store codes of `grid`; false: c is float */
    float inverse;           /* 1 / grid.scale, or 1 when scale, bias and ops are already in units of grid.scale */
    FbCodeGrid grid;
    const uint8_t *table;    /* codes: 256 entries looked up last; NULL: none */
} FbIntegerEpilogue;

#endif
