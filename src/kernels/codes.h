/* Rows of u8 codes: tables, arithmetic on two coded values, pooling. x and y may be the same where both are codes. Same bits on every row
 * of the table. FbCodeGrid: epilogue.h. */
#ifndef FB_KERNELS_CODES_H
#define FB_KERNELS_CODES_H

#include "base/context.h"
#include "kernels/epilogue.h"

/* One operand of two: codes, or reals when `codes` is NULL. step 0: one element for the whole row. */
typedef struct FbCodesBinary {
    size_t count;
    const uint8_t *a, *b;
    FbCodeGrid a_grid, b_grid;
    bool multiply;               /* false: a + b */
    FbIntegerEpilogue after;     /* only `real` (bias NULL), codes, inverse, grid, table are read: real is in units of the store */
    void *y;                     /* uint8_t or float as after.codes says */
} FbCodesBinary;

typedef struct FbCodesPool {     /* channels-last rows */
    size_t pixels, channels, taps;
    const uint8_t *const *x;     /* [pixels][taps]; NULL: padding, left out */
    const int32_t *taken;        /* average: divisor per pixel (taps that count) */
    FbCodeGrid from;
    bool codes;                  /* average: store codes of `to`; false: reals */
    FbCodeGrid to;
    void *y;                     /* [pixels][channels] */
} FbCodesPool;

typedef struct FbCodesKernel {
    const char *name;
    unsigned needs; /* FbCpu bits */
    void (*map_u8)(const uint8_t *x, uint8_t *y, size_t count, const uint8_t table[256]);
    void (*map_f32)(const uint8_t *x, float *y, size_t count, const float table[256]);
    void (*quantize)(const float *x, uint8_t *y, size_t count, const FbCodeGrid *grid);    /* clamp(rint(x / scale) + zero): ONNX's division */
    void (*dequantize)(const uint8_t *x, float *y, size_t count, const FbCodeGrid *grid);  /* scale * (code - zero) */
    void (*binary)(const FbCodesBinary *binary);
    void (*max_pool)(const FbCodesPool *pool);      /* y: uint8_t of the same grid; 0 where every tap is padding */
    void (*average_pool)(const FbCodesPool *pool);  /* exact int32 sum of codes, then ((float)(sum - n * zero) * (scale / n)) and the store */
} FbCodesKernel;

extern const FbCodesKernel *const fb_codes_kernels[]; /* best first, ends with scalar */
extern const size_t fb_codes_kernel_count;
const FbCodesKernel *fb_codes_pick(unsigned cpu);

#endif
