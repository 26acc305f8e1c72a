/* What the integer products (MatMulInteger, QLinearMatMul, ConvInteger, QLinearConv) share: exact sums and requantization. */
#ifndef FB_OPS_INTEGER_PRODUCT_H
#define FB_OPS_INTEGER_PRODUCT_H

#include "kernels/product_f32.h"
#include "ops/check.h"

enum {
    FB_INTEGER_BLOCK = 256,   /* outputs of one task */
    FB_INTEGER_CHUNK = 32768  /* products that an int32 sum holds for certain: 255 * 255 * 32768 < 2^31 */
};

/* Sums of a block of outputs: 32 bits for up to FB_INTEGER_CHUNK products, then added up in 64. */
typedef struct FbIntegerSums {
    int32_t part[FB_INTEGER_BLOCK];
    int64_t total[FB_INTEGER_BLOCK];
    int64_t pending; /* products per output in `part` */
} FbIntegerSums;

void fb_integer_begin(FbIntegerSums *sums, size_t count);
/* Call before each round of products that adds one product to every sum. */
static inline bool fb_integer_full(const FbIntegerSums *sums) { return sums->pending == FB_INTEGER_CHUNK; }
void fb_integer_flush(FbIntegerSums *sums, size_t count);

/* A tile of outputs through the float product: a code less its zero point is a whole number of at most 255, so that FB_INTEGER_DEPTH
 * products sum exactly in float (255 * 255 * 256 < 2^24), whatever the order and the instruction set. The sums of such chunks are added as
 * integers. */
enum { FB_INTEGER_ROWS = 64, FB_INTEGER_COLS = 64, FB_INTEGER_DEPTH = 256 };
typedef struct FbIntegerTile {
    const FbProductF32Kernel *kernel;
    size_t rows, cols;                                 /* cols <= fb_integer_cols(kernel) */
    int chunks;                                        /* in `part` */
    float panel[FB_INTEGER_DEPTH * FB_INTEGER_COLS];   /* weights of the chunk: [depth][kernel->col_tile], columns past `cols` zero */
    float sums[FB_INTEGER_ROWS * FB_INTEGER_COLS];
    int32_t part[FB_INTEGER_ROWS * FB_INTEGER_COLS];
    int64_t total[FB_INTEGER_ROWS * FB_INTEGER_COLS];  /* [rows][cols], complete after fb_integer_tile_end */
} FbIntegerTile;

extern const float fb_integer_padding[FB_INTEGER_DEPTH]; /* zeros */
size_t fb_integer_cols(const FbProductF32Kernel *kernel); /* columns of a tile */
void fb_integer_tile_begin(FbIntegerTile *tile, const FbProductF32Kernel *kernel, size_t rows, size_t cols);
/* One chunk with `panel` filled: a[taps][FB_INTEGER_ROWS] pointers to `depth` floats each, or fb_integer_padding; taps * depth <=
 * FB_INTEGER_DEPTH. `offset` floats are added to the pointers, not to fb_integer_padding. */
void fb_integer_tile_add(FbIntegerTile *tile, const float *const *a, size_t taps, size_t depth, ptrdiff_t offset);
void fb_integer_tile_end(FbIntegerTile *tile);

/* One 8-bit code as a number. */
static inline int32_t fb_code_at(const FbTensor *tensor, int64_t i)
{
    return tensor->dtype == FB_DTYPE_S8 ? ((const int8_t *)tensor->data)[i] : ((const uint8_t *)tensor->data)[i];
}

/* Codes first, first + stride, ... less `zero`, as floats. */
void fb_integer_center(const FbTensor *tensor, int64_t first, int64_t stride, float zero, float *to, size_t count);
/* clamp(round_half_even(float(sum) * multiplier) + zero) as an 8-bit code; the multiplier is rounded once from double. */
void fb_integer_requantize(int64_t sum, double multiplier, int32_t zero, FbTensor *to, int64_t at);

#define FB_MASK_CODES8 (FB_MASK(FB_DTYPE_U8) | FB_MASK(FB_DTYPE_S8))
#define FB_MASK_SCALES (FB_MASK(FB_DTYPE_F32) | FB_MASK(FB_DTYPE_F16) | FB_MASK(FB_DTYPE_BF16))
/* Types of a (codes, scale, zero point) triple from input `first` on. */
FbStatus fb_integer_check_triple(const FbInfer *infer, int first, FbError *err);
/* FB_ERR_FORMAT unless the tensor (NULL passes) holds 1, `many` or `more` numbers. */
FbStatus fb_integer_check_count(const FbTensor *tensor, int64_t many, int64_t more, const char *what, FbError *err);

#endif
