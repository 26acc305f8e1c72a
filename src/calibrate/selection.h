/* Which samples of a data set calibrate. */
#ifndef FB_CALIBRATE_SELECTION_H
#define FB_CALIBRATE_SELECTION_H

#include "base/context.h"
#include "fewbit/calibrate.h"

/* The chosen indices, ascending; freed with fb_free. `wanted` 0 or more than there are: all of them. Stratified reads every sample for its
 * label and takes equally from each class as far as the class reaches. */
FbStatus fb_select_samples(FbContext *context, FbDataset *data, FbSelection selection, size_t wanted, uint64_t seed, size_t **indices,
                           size_t *count, FbError *err);

/* The same for stratified selection when the labels are known. */
FbStatus fb_select_stratified(FbContext *context, const int64_t *labels, size_t count, size_t wanted, uint64_t seed, size_t *indices,
                              FbError *err);

#endif
