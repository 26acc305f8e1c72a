/* Comparing a tensor with the expected one. */
#include "compare.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Part i of a tensor of real or complex floats, or of floats in fewer bits. */
static double number(const FbTensor *tensor, int64_t i)
{
    switch (tensor->dtype) {
    case FB_DTYPE_C64: return ((const float *)tensor->data)[i];
    case FB_DTYPE_C128: return ((const double *)tensor->data)[i];
    default: return fb_tensor_number(tensor, i);
    }
}

static bool close_to(double got, double expected, double rtol, double atol)
{
    if (isnan(got) || isnan(expected)) {
        return isnan(got) && isnan(expected);
    }
    return got == expected || (isfinite(got) && isfinite(expected) && fabs(got - expected) <= atol + rtol * fabs(expected));
}

bool compare_tensors(const FbTensor *got, const FbTensor *expected, double rtol, double atol, char *why, size_t why_bytes)
{
    FbShape got_shape = fb_tensor_shape(got), expected_shape = fb_tensor_shape(expected);
    if (got->dtype != expected->dtype) {
        snprintf(why, why_bytes, "type %s, expected %s", fb_dtype_name(got->dtype), fb_dtype_name(expected->dtype));
        return false;
    }
    if (!fb_shape_equal(&got_shape, &expected_shape) || got->bytes != expected->bytes) {
        char a[96], b[96];
        fb_shape_text(&got_shape, a, sizeof a);
        fb_shape_text(&expected_shape, b, sizeof b);
        snprintf(why, why_bytes, "shape %s, expected %s", a, b);
        return false;
    }
    FbDtypeKind kind = fb_dtype_info(expected->dtype)->kind;
    if (kind != FB_KIND_FLOAT && kind != FB_KIND_COMPLEX) {
        if (expected->bytes == 0 || memcmp(got->data, expected->data, expected->bytes) == 0) {
            return true;
        }
    }
    int64_t count = fb_tensor_elements(expected) * (kind == FB_KIND_COMPLEX ? 2 : 1);
    for (int64_t i = 0; i < count; i++) {
        double a = number(got, i), b = number(expected, i);
        if (kind == FB_KIND_FLOAT || kind == FB_KIND_COMPLEX ? !close_to(a, b, rtol, atol) : a != b) {
            snprintf(why, why_bytes, "element %lld of %lld is %.9g, expected %.9g", (long long)i, (long long)count, a, b);
            return false;
        }
    }
    if (kind != FB_KIND_FLOAT && kind != FB_KIND_COMPLEX) {
        snprintf(why, why_bytes, "the bytes differ");
        return false;
    }
    return true;
}
