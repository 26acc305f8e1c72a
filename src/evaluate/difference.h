/* How one output of the model differs from the baseline's, summed over samples. */
#ifndef FB_EVALUATE_DIFFERENCE_H
#define FB_EVALUATE_DIFFERENCE_H

#include "base/context.h"
#include "fewbit/evaluate.h"
#include "fewbit/tensor.h"

typedef struct FbDifferenceSums {
    double baseline_squares, difference_squares, absolute, largest, low, high, cosines;
    uint64_t elements, differing, samples, pooled; /* pooled: samples whose cosine is that of the pooled embedding */
} FbDifferenceSums;

/* Adds one sample. Shapes must agree; a value that is not finite and differs is FB_ERR_NUMERIC. `what` names output and sample. mask: NULL,
 * or the attention mask of a sentence encoder: where the output is (1, S, H) and the mask has S elements, the cosine is that of the mean
 * over the positions with mask 1, otherwise of the flattened output. */
FbStatus fb_difference_add(FbDifferenceSums *sums, const char *what, const FbTensor *baseline, const FbTensor *model, const FbTensor *mask,
                           FbError *err);
/* SQNR, cosine, mean and largest difference, range; name is left alone. */
void fb_difference_finish(const FbDifferenceSums *sums, FbOutputDifference *out);

/* Element i of a numeric tensor. */
double fb_output_value(const FbTensor *tensor, int64_t i);

#endif
