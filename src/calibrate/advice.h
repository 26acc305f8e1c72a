/* What makes a calibration doubtful, said through the log with stable ids. */
#ifndef FB_CALIBRATE_ADVICE_H
#define FB_CALIBRATE_ADVICE_H

#include "calibrate/statistics.h"
#include "graph/model.h"

/* Logs few-samples, duplicate-samples, constant-input, ranges-growing; with an evaluation set, which is read once, also
 * samples-in-evaluation-set and distribution-differs. */
FbStatus fb_calibration_advice(FbContext *context, const FbModel *model, const FbStatistics *statistics,
                               FbDataset *evaluation, FbError *err);
/* Largest distance between the two cumulative histograms, 0..1 (Kolmogorov and Smirnov). */
double fb_record_distance(const FbRecord *a, const FbRecord *b);
/* How many values' ranges grew by more than `share` during the last fifth of the samples; *counted of all. */
size_t fb_statistics_growing(const FbStatistics *statistics, double share, size_t *counted, const char **worst);

#endif
