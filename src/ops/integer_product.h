/* What the integer products (MatMulInteger, QLinearMatMul, ConvInteger, QLinearConv) share: exact sums and requantization. */
#ifndef FB_OPS_INTEGER_PRODUCT_H
#define FB_OPS_INTEGER_PRODUCT_H

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

/* One 8-bit code as a number. */
static inline int32_t fb_code_at(const FbTensor *tensor, int64_t i)
{
    return tensor->dtype == FB_DTYPE_S8 ? ((const int8_t *)tensor->data)[i] : ((const uint8_t *)tensor->data)[i];
}

/* clamp(round_half_even(float(sum) * multiplier) + zero) as an 8-bit code; the multiplier is rounded once from double. */
void fb_integer_requantize(int64_t sum, double multiplier, int32_t zero, FbTensor *to, int64_t at);

#define FB_MASK_CODES8 (FB_MASK(FB_DTYPE_U8) | FB_MASK(FB_DTYPE_S8))
#define FB_MASK_SCALES (FB_MASK(FB_DTYPE_F32) | FB_MASK(FB_DTYPE_F16) | FB_MASK(FB_DTYPE_BF16))
/* Types of a (codes, scale, zero point) triple from input `first` on. */
FbStatus fb_integer_check_triple(const FbInfer *infer, int first, FbError *err);
/* FB_ERR_FORMAT unless the tensor (NULL passes) holds 1, `many` or `more` numbers. */
FbStatus fb_integer_check_count(const FbTensor *tensor, int64_t many, int64_t more, const char *what, FbError *err);

#endif
