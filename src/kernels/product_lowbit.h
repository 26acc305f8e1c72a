/* C = A * W^T with weights of few bits, as packed by eights of rows (ops/packed_blocks.h): one panel is eight columns of C.
 *
 * A is rounded to 8 bits on the fly, in groups as long as the blocks of W: 32 elements, or 256. Sums within a block are exact integers; an
 * element of C is one fma chain over the blocks in order, starting from 0:
 *
 *   32:   c = fma(d * a.scale, sum of code * a.code, c);           with a minimum:  c = fma(minimum, a.scaled_sum, c)
 *   256:  c = fma(d * a.scale, sum over runs of scale * (sum of code * a.code), c);
 *         with minima:  c = fma(-(dmin * a.scale), sum over runs of minimum * (sum of a.code), c)
 *   halves, where A stays float:  c = fma(a, w, c) per element: the chain of product_f32.h
 *
 * A column has a lane of its own, so the bits are those of the scalar row, whatever the instruction set and the number of rows. Integers
 * become floats rounding to even. Source of the formulas: those by which the block types are decoded (tensor/block_type.h). */
#ifndef FB_KERNELS_PRODUCT_LOWBIT_H
#define FB_KERNELS_PRODUCT_LOWBIT_H

#include <stdbool.h>

#include "base/context.h"
#include "kernels/epilogue.h"

enum { FB_LOWBIT_COLS = 8 }; /* of C in a panel */

/* Parts of a kernel's body: the number of rows has to be known in them. Builds with emulated instructions or sanitizers call them instead, which
 * compiles in seconds. */
#ifndef LOWBIT_INLINE
#define LOWBIT_INLINE static inline __attribute__((always_inline))
#endif

typedef enum FbLowbitForm {
    FB_LOWBIT_F16 = 0, FB_LOWBIT_BF16, FB_LOWBIT_Q4_0, FB_LOWBIT_Q4_1, FB_LOWBIT_Q5_0, FB_LOWBIT_Q5_1, FB_LOWBIT_Q8_0, FB_LOWBIT_IQ4_NL,
    FB_LOWBIT_MXFP4, FB_LOWBIT_Q2_K, FB_LOWBIT_Q3_K, FB_LOWBIT_Q4_K, FB_LOWBIT_Q5_K, FB_LOWBIT_Q6_K, FB_LOWBIT_IQ4_XS, FB_LOWBIT_TQ2_0,
    FB_LOWBIT_COUNT
} FbLowbitForm;

typedef struct FbLowbitFormInfo {
    int number;              /* of the block type */
    int elements, bytes;     /* of a block of one row */
} FbLowbitFormInfo;
extern const FbLowbitFormInfo fb_lowbit_forms[FB_LOWBIT_COUNT];
FbLowbitForm fb_lowbit_form_of(int number); /* of a block type; FB_LOWBIT_COUNT: none */

/* 32 or 256 elements of A. scale = max |x| / 127, code = rint(x * (127 / max |x|)). A group whose largest number is below 2^-100 is zero; one
 * with a number that is not finite has a scale that is not a number. */
typedef struct FbCodes32 {
    float scale, scaled_sum; /* scaled_sum = scale * (float)sum of the codes */
    int32_t sum8;            /* 8 times the sum of the codes */
    int8_t codes[32];
} FbCodes32;
typedef struct FbCodes256 {
    float scale;
    int16_t sums32[8], sums16[16]; /* of the codes, by runs of 32 and of 16 */
    int8_t codes[256];
} FbCodes256;

typedef struct FbProductLowbit {
    size_t rows;             /* any number > 0 */
    size_t blocks;           /* in a row */
    size_t panels;           /* one after the other */
    const uint8_t *w;        /* [panels][blocks][8 * bytes] */
    const void *a;           /* rows of FbCodes32, FbCodes256 or float; [blocks] each */
    size_t a_stride;         /* bytes between rows */
    float *c;                /* [rows][c_stride]: 8 * panels columns are written */
    size_t c_stride;
} FbProductLowbit;

typedef void (*FbLowbitRun)(const FbProductLowbit *product);

typedef struct FbProductLowbitKernel {
    const char *name;
    unsigned needs;          /* FbCpu bits */
    void (*codes32)(const float *x, size_t groups, FbCodes32 *to);
    void (*codes256)(const float *x, size_t groups, FbCodes256 *to);
    /* The epilogue over a stored part of C: operands and bias as of its first row and column. */
    void (*epilogue)(const FbEpilogue *epilogue, size_t rows, size_t cols, float *c, size_t c_stride);
    FbLowbitRun run[FB_LOWBIT_COUNT]; /* NULL: the next row of the table serves */
} FbProductLowbitKernel;

extern const FbProductLowbitKernel *const fb_product_lowbit_kernels[]; /* best first, ends with scalar, which serves all */
extern const size_t fb_product_lowbit_kernel_count;
const FbProductLowbitKernel *fb_product_lowbit_pick(unsigned cpu);
FbLowbitRun fb_product_lowbit_run(unsigned cpu, FbLowbitForm form);

#endif
