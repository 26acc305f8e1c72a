/* How one output of the model differs from the baseline's, summed over samples. */
#ifndef FB_EVALUATE_DIFFERENCE_H
#define FB_EVALUATE_DIFFERENCE_H

#include "base/context.h"
#include "fewbit/evaluate.h"
#include "fewbit/tensor.h"

typedef struct FbDifferenceSums {
    double baseline_squares, difference_squares, absolute, largest, low, high, cosines;
    uint64_t elements, samples;
} FbDifferenceSums;

/* Adds one sample. Shapes must agree; a value that is not finite and differs is FB_ERR_NUMERIC. `what` names output and sample. */
FbStatus fb_difference_add(FbDifferenceSums *sums, const char *what, const FbTensor *baseline, const FbTensor *model, FbError *err);
/* SQNR, cosine, mean and largest difference, range; name is left alone. */
void fb_difference_finish(const FbDifferenceSums *sums, FbOutputDifference *out);

/* Element i of a numeric tensor. */
double fb_output_value(const FbTensor *tensor, int64_t i);

#endif
