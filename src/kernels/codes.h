/* Rows of u8 codes: tables, arithmetic on two coded values, pooling. x and y may be the same where both are codes. Same bits on every row
 * of the table. FbCodeGrid: epilogue.h. */
#ifndef FB_KERNELS_CODES_H
#define FB_KERNELS_CODES_H

#include "base/context.h"
#include "kernels/epilogue.h"

/* One of two operands: scale * (code - zero) of its grid, or scale * real. The scale may be negative: a difference. */
typedef struct FbCodesOperand {
    const uint8_t *codes;        /* NULL: reals */
    const float *reals;
    FbCodeGrid grid;             /* scale; of codes zero */
    bool single;                 /* one element for all rows */
    size_t row_stride;           /* elements from row to row; of more than one row, not single */
} FbCodesOperand;

/* a + b or a * b, then `after`, each operation rounded as the operators on reals do it, the store by a true division as QuantizeLinear's: what
 * comes out is what a step through reals gives, to the bit. */
typedef struct FbCodesBinary {
    size_t count;                /* of a row */
    size_t rows;                 /* 0: one */
    FbCodesOperand a, b;
    bool multiply;               /* false: a + b */
    FbIntegerEpilogue after;     /* only `real` (bias NULL), codes, grid, table are read */
    void *y;                     /* uint8_t or float as after.codes says */
    size_t y_stride;             /* elements from row to row; of more than one */
} FbCodesBinary;

typedef struct FbCodesPool {     /* channels-last rows */
    size_t pixels, channels, taps;
    const uint8_t *const *x;     /* [pixels][taps]; NULL: padding, left out */
    const int32_t *divisor;      /* average, per pixel: taps that count, at least those that are not NULL */
    FbCodeGrid from;
    bool codes;                  /* average: store codes of `to`; false: reals */
    FbCodeGrid to;
    void *y;                     /* [pixels][y_stride], of which the first `channels` are written */
    size_t y_stride;
} FbCodesPool;

typedef struct FbCodesKernel {
    const char *name;
    unsigned needs; /* FbCpu bits */
    void (*map_u8)(const uint8_t *x, uint8_t *y, size_t count, const uint8_t table[256]);
    void (*map_rows)(const uint8_t *x, size_t x_stride, uint8_t *y, size_t y_stride, size_t rows, size_t count, const uint8_t table[256]);
    void (*map_f32)(const uint8_t *x, float *y, size_t count, const float table[256]);
    void (*quantize)(const float *x, uint8_t *y, size_t count, const FbCodeGrid *grid);    /* clamp(rint(x / scale) + zero): ONNX's division */
    void (*dequantize)(const uint8_t *x, float *y, size_t count, const FbCodeGrid *grid);  /* scale * (code - zero) */
    void (*binary)(const FbCodesBinary *binary);
    void (*max_pool)(const FbCodesPool *pool);      /* y: uint8_t of the same grid; 0 where every tap is padding */
    void (*average_pool)(const FbCodesPool *pool);          /* the reals of the taps added in order, over the divisor; then the store, by a
                                                               division: the bits of AveragePool on reals between two Quants */
    void (*transpose)(const uint8_t *x, size_t x_stride, size_t rows, size_t cols, uint8_t *y, size_t y_stride); /* y[c][r] = x[r][c]; apart */
} FbCodesKernel;

extern const FbCodesKernel *const fb_codes_kernels[]; /* best first, ends with scalar */
extern const size_t fb_codes_kernel_count;
const FbCodesKernel *fb_codes_pick(unsigned cpu);

#endif
