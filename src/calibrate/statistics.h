/* The statistics of one model: per activation a record and each sample's extremes, and which samples they come from. */
#ifndef FB_CALIBRATE_STATISTICS_H
#define FB_CALIBRATE_STATISTICS_H

#include "calibrate/record.h"
#include "fewbit/calibrate.h"

enum { FB_DIGEST_BYTES = 16 };

typedef struct FbSampleMark {
    uint64_t index;                   /* in the data set */
    uint8_t digest[FB_DIGEST_BYTES];  /* of the inputs' types, shapes and bytes */
} FbSampleMark;

/* Kept per sample because a moving average depends on the order: 8 bytes per activation and sample, beside which the bins weigh as much
 * as 4,096 samples. low > high: the activation did not occur in that sample. */
typedef struct FbSampleRange {
    float low, high;
} FbSampleRange;

typedef struct FbValueStatistics {
    char *name;
    FbRecord *record;
    FbSampleRange *ranges; /* sample_count of the statistics, in the order of its samples */
} FbValueStatistics;

struct FbStatistics {
    FbContext *context;
    char model_hash[65];
    FbSelection selection;
    uint64_t seed;
    uint64_t rejected;           /* samples with NaN or infinity */
    FbSampleMark *samples;       /* strictly ascending by index, then digest */
    size_t sample_count, sample_capacity;
    FbValueStatistics *values;   /* strictly ascending by name */
    size_t value_count;
};

/* Takes names in any order; duplicates count once. */
FbStatus fb_statistics_create(FbContext *context, const char model_hash[65], const char *const *names, size_t count,
                              FbStatistics **statistics, FbError *err);
/* NULL: not there, or never seen. */
const FbValueStatistics *fb_statistics_find(const FbStatistics *statistics, const char *name);
/* Room for one more sample in every value; the sample's ranges start empty (low > high). */
FbStatus fb_statistics_add_sample(FbStatistics *statistics, const FbSampleMark *mark, size_t *row, FbError *err);
/* SHA-256 over the samples' indices and digests. */
FbStatus fb_statistics_data_hash(const FbStatistics *statistics, char sha256[65], FbError *err);
int fb_sample_mark_compare(const FbSampleMark *a, const FbSampleMark *b);

/* The file's bytes and back; `what` names the source in messages. The caller frees *bytes with fb_free. */
FbStatus fb_statistics_encode(const FbStatistics *statistics, uint8_t **bytes, size_t *count, FbError *err);
FbStatus fb_statistics_decode(FbContext *context, const uint8_t *bytes, size_t count, const char *what, FbStatistics **statistics,
                              FbError *err);

#endif
