/* Exact integer sums and requantization of products. */
#include "ops/integer_product.h"

#include <math.h>

void fb_integer_begin(FbIntegerSums *sums, size_t count)
{
    memset(sums->part, 0, count * sizeof sums->part[0]);
    memset(sums->total, 0, count * sizeof sums->total[0]);
    sums->pending = 0;
}

void fb_integer_flush(FbIntegerSums *sums, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        sums->total[i] += sums->part[i];
        sums->part[i] = 0;
    }
    sums->pending = 0;
}

void fb_integer_requantize(int64_t sum, double multiplier, int32_t zero, FbTensor *to, int64_t at)
{
    float real = rintf((float)sum * (float)multiplier) + (float)zero;
    float low = to->dtype == FB_DTYPE_S8 ? -128.0f : 0.0f, high = to->dtype == FB_DTYPE_S8 ? 127.0f : 255.0f;
    float code = real > low ? (real < high ? real : high) : low; /* NaN, from a scale that is one: low */
    ((uint8_t *)to->data)[at] = (uint8_t)(int)code;
}

FbStatus fb_integer_check_triple(const FbInfer *infer, int first, FbError *err)
{
    FB_TRY(fb_check_input_dtype(infer, first, FB_MASK_CODES8, err));
    FB_TRY(fb_check_input_dtype(infer, first + 1, FB_MASK_SCALES, err));
    return fb_check_same_dtype(infer, first, first + 2, err);
}

FbStatus fb_integer_check_count(const FbTensor *tensor, int64_t many, int64_t more, const char *what, FbError *err)
{
    int64_t count = tensor ? fb_tensor_elements(tensor) : 1;
    if (count == 1 || count == many || count == more) {
        return FB_OK;
    }
    return fb_error_set(err, FB_ERR_FORMAT, "the %s holds %lld numbers, expected 1 or %lld", what, (long long)count, (long long)many);
}
