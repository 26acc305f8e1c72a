/* Calibration: one pass of the float model over samples, kept as a statistics file that is reusable and mergeable. */
#ifndef FEWBIT_CALIBRATE_H
#define FEWBIT_CALIBRATE_H

#include "fewbit/dataset.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct FbStatistics FbStatistics;

typedef enum FbSelection { FB_SELECT_ALL = 0, FB_SELECT_FIRST, FB_SELECT_RANDOM, FB_SELECT_STRATIFIED } FbSelection;

typedef struct FbCalibrateOptions {
    size_t struct_bytes;
    FbSelection selection;
    size_t samples;        /* how many; 0: all */
    uint64_t seed;
    size_t batch;          /* samples per run; 0: 1. The result does not depend on it. */
    FbDataset *evaluation; /* NULL, or the set used for evaluation: shared samples are warned of */
} FbCalibrateOptions;

FB_API FB_MUST_CHECK FbStatus fb_calibrate(FbContext *context, const FbModel *model, FbDataset *data, const FbCalibrateOptions *options,
                                           FbStatistics **statistics, FbError *err);
FB_API FB_MUST_CHECK FbStatus fb_statistics_load(FbContext *context, const char *path, FbStatistics **statistics, FbError *err);
FB_API FB_MUST_CHECK FbStatus fb_statistics_save(FbContext *context, const FbStatistics *statistics, const char *path, int overwrite,
                                                 FbError *err);
/* Adds `other` into `statistics`; both must be of one model. Counts, minima, maxima and histograms merge exactly. */
FB_API FB_MUST_CHECK FbStatus fb_statistics_merge(FbStatistics *statistics, const FbStatistics *other, FbError *err);
FB_API void fb_statistics_free(FbStatistics *statistics);

#ifdef __cplusplus
}
#endif
#endif
