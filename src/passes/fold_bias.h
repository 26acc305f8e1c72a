/* Addition of a constant per channel becomes the bias of the product before it. */
#ifndef FB_PASSES_FOLD_BIAS_H
#define FB_PASSES_FOLD_BIAS_H

#include "graph/graph.h"

/* Conv or ConvTranspose with constant weights and no bias, whose only user adds a constant that has one value per channel: the constant
 * becomes the bias, and the product makes the sum's value. *folded (may be NULL) counts. */
FbStatus fb_pass_fold_bias(FbGraph *graph, size_t *folded, FbError *err);

#endif
