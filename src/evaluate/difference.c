/* Differences of outputs: double sums in the order of samples and elements, so that results do not depend on threads. */
#include "evaluate/difference.h"

#include <inttypes.h>
#include <math.h>

#include "tensor/tensor.h"

double fb_output_value(const FbTensor *tensor, int64_t i)
{
    return tensor->dtype == FB_DTYPE_F32 ? (double)((const float *)tensor->data)[i] : fb_tensor_number(tensor, i);
}

/* Two zero vectors point the same way; one alone has no direction. Equal vectors are at most 1 whatever the rounding. */
static double cosine_of(double dot, double a_squares, double b_squares)
{
    double cosine = a_squares == 0 && b_squares == 0 ? 1 : a_squares == 0 || b_squares == 0 ? 0 : dot / (sqrt(a_squares) * sqrt(b_squares));
    return cosine > 1 ? 1 : cosine;
}

static bool can_pool(const FbTensor *output, const FbTensor *mask)
{
    return mask != NULL && output->rank == 3 && output->dims[0] == 1 && output->dims[1] > 0 && fb_tensor_elements(mask) == output->dims[1];
}

/* The mean's length drops out of the cosine, so sums over the masked positions do. */
static double pooled_cosine(const FbTensor *baseline, const FbTensor *model, const FbTensor *mask)
{
    int64_t positions = baseline->dims[1], width = baseline->dims[2];
    double dot = 0, a_squares = 0, b_squares = 0;
    for (int64_t h = 0; h < width; h++) {
        double a = 0, b = 0;
        for (int64_t s = 0; s < positions; s++) {
            double weight = fb_output_value(mask, s);
            a += weight * fb_output_value(baseline, s * width + h);
            b += weight * fb_output_value(model, s * width + h);
        }
        dot += a * b;
        a_squares += a * a;
        b_squares += b * b;
    }
    return cosine_of(dot, a_squares, b_squares);
}

FbStatus fb_difference_add(FbDifferenceSums *sums, const char *what, const FbTensor *baseline, const FbTensor *model, const FbTensor *mask,
                           FbError *err)
{
    FbShape a = fb_tensor_shape(baseline), b = fb_tensor_shape(model);
    int64_t count = fb_tensor_elements(baseline);
    double dot = 0, baseline_norm = 0, model_norm = 0;
    if (!fb_shape_equal(&a, &b)) {
        char want[120], got[120];
        fb_shape_text(&a, want, sizeof want);
        fb_shape_text(&b, got, sizeof got);
        return fb_error_set(err, FB_ERR_ARGUMENT, "%s: the model gives shape %s, the baseline %s", what, got, want);
    }
    for (int64_t i = 0; i < count; i++) {
        double x = fb_output_value(baseline, i), y = fb_output_value(model, i);
        if (!isfinite(x) || !isfinite(y)) {
            if (x == y) {
                continue; /* the same infinity, such as a mask: no difference and no range */
            }
            return fb_error_set(err, FB_ERR_NUMERIC, "%s: element %" PRId64 " is %g, the baseline's is %g", what, i, y, x);
        }
        double difference = fabs(x - y);
        sums->baseline_squares += x * x;
        sums->difference_squares += difference * difference;
        sums->absolute += difference;
        sums->largest = difference > sums->largest ? difference : sums->largest;
        sums->low = sums->elements == 0 || x < sums->low ? x : sums->low;
        sums->high = sums->elements == 0 || x > sums->high ? x : sums->high;
        sums->elements++;
        sums->differing += difference > 0;
        dot += x * y;
        baseline_norm += x * x;
        model_norm += y * y;
    }
    bool pool = can_pool(baseline, mask);
    sums->cosines += pool ? pooled_cosine(baseline, model, mask) : cosine_of(dot, baseline_norm, model_norm);
    sums->pooled += pool ? 1 : 0;
    sums->samples++;
    return FB_OK;
}

void fb_difference_finish(const FbDifferenceSums *sums, FbOutputDifference *out)
{
    out->sqnr_db = sums->difference_squares == 0 ? INFINITY : 10 * log10(sums->baseline_squares / sums->difference_squares);
    out->cosine = sums->samples > 0 ? sums->cosines / (double)sums->samples : 1;
    out->pooled = sums->samples > 0 && sums->pooled == sums->samples;
    out->mean_difference = sums->elements > 0 ? sums->absolute / (double)sums->elements : 0;
    out->max_difference = sums->largest;
    out->elements = (size_t)sums->elements;
    out->differing = (size_t)sums->differing;
    out->range = sums->elements > 0 ? sums->high - sums->low : 0;
}
