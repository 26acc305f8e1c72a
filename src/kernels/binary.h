/* Rows of the element-wise binary operations, y[i] = f(a[i], b[i]); y may be a or b. Same bits on every row of the table. */
#ifndef FB_KERNELS_BINARY_H
#define FB_KERNELS_BINARY_H

#include "base/context.h"

typedef enum FbBinaryKind {
    FB_BINARY_ADD = 0,
    FB_BINARY_SUB,
    FB_BINARY_MUL,
    FB_BINARY_DIV,
    FB_BINARY_MIN, /* NaN when either is */
    FB_BINARY_MAX,
    FB_BINARY_COUNT
} FbBinaryKind;

/* Which operand stands still: a row with a row, one number a[0] with a row, a row with one number b[0]. */
typedef enum FbBinaryForm { FB_BINARY_ROWS = 0, FB_BINARY_A_SCALAR, FB_BINARY_B_SCALAR, FB_BINARY_FORMS } FbBinaryForm;

typedef void (*FbBinaryF32)(const float *a, const float *b, float *y, size_t count);

typedef struct FbBinaryF32Kernel {
    const char *name;
    unsigned needs; /* FbCpu bits */
    FbBinaryF32 run[FB_BINARY_COUNT][FB_BINARY_FORMS];
} FbBinaryF32Kernel;

extern const FbBinaryF32Kernel *const fb_binary_f32_kernels[]; /* best first, ends with scalar */
extern const size_t fb_binary_f32_kernel_count;
FbBinaryF32 fb_binary_f32_pick(unsigned cpu, FbBinaryKind kind, FbBinaryForm form);

#endif
