/* Differences of outputs: double sums in the order of samples and elements, so that results do not depend on threads. */
#include "evaluate/difference.h"

#include <inttypes.h>
#include <math.h>

#include "tensor/tensor.h"

double fb_output_value(const FbTensor *tensor, int64_t i)
{
    return tensor->dtype == FB_DTYPE_F32 ? (double)((const float *)tensor->data)[i] : fb_tensor_number(tensor, i);
}

FbStatus fb_difference_add(FbDifferenceSums *sums, const char *what, const FbTensor *baseline, const FbTensor *model, FbError *err)
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
        dot += x * y;
        baseline_norm += x * x;
        model_norm += y * y;
    }
    /* Two zero vectors point the same way; one alone has no direction. Equal vectors are exactly 1 whatever the rounding. */
    double cosine = baseline_norm == 0 && model_norm == 0 ? 1 : baseline_norm == 0 || model_norm == 0 ? 0 : dot / (sqrt(baseline_norm) * sqrt(model_norm));
    sums->cosines += cosine > 1 ? 1 : cosine;
    sums->samples++;
    return FB_OK;
}

void fb_difference_finish(const FbDifferenceSums *sums, FbOutputDifference *out)
{
    out->sqnr_db = sums->difference_squares == 0 ? INFINITY : 10 * log10(sums->baseline_squares / sums->difference_squares);
    out->cosine = sums->samples > 0 ? sums->cosines / (double)sums->samples : 1;
    out->mean_difference = sums->elements > 0 ? sums->absolute / (double)sums->elements : 0;
    out->max_difference = sums->largest;
    out->range = sums->elements > 0 ? sums->high - sums->low : 0;
}
