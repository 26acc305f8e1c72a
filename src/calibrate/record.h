/* What calibration keeps of one activation: exact extremes and a histogram that widens and merges without rounding, so that the result
 * does not depend on threads, batches or the order of samples. */
#ifndef FB_CALIBRATE_RECORD_H
#define FB_CALIBRATE_RECORD_H

#include "base/context.h"

enum {
    FB_RECORD_HALF = 2048,              /* bins on each side of 0 */
    FB_RECORD_BINS = 2 * FB_RECORD_HALF,
    FB_RECORD_EXPONENT_MIN = -126,      /* the bin width is 2^exponent; limits keep width and its inverse normal floats */
    FB_RECORD_EXPONENT_MAX = 117        /* 2048 * 2^117 = 2^128: every finite float fits */
};

/* With w = 2^exponent, bin HALF + k counts x in [k w, (k+1) w) for x >= 0, bin HALF - 1 - k counts -x in the same interval for x < 0. The
 * exponent is the smallest that holds the largest |x| seen, hence a function of the values alone. */
typedef struct FbRecord {
    uint64_t count;
    float low, high; /* exact; +infinity, -infinity while count is 0 */
    int exponent;
    uint64_t bins[FB_RECORD_BINS];
} FbRecord;

/* The same of one sample that is not finished yet: it is committed only when every value of the sample was finite. */
typedef struct FbRecordDraft {
    uint32_t count;
    bool finite;
    float low, high;
    int exponent;
    uint32_t bins[FB_RECORD_BINS];
} FbRecordDraft;

void fb_record_reset(FbRecord *record);
void fb_record_merge(FbRecord *into, const FbRecord *from);
/* False (and `into` untouched) when a count would overflow. */
bool fb_record_can_merge(const FbRecord *into, const FbRecord *from);
void fb_record_commit(FbRecord *into, const FbRecordDraft *draft);
/* The smallest exponent whose bins hold |x| <= largest (finite). */
int fb_record_exponent(float largest);
/* The part of the bins that can be non-zero: [*first, *end). */
void fb_record_span(const FbRecord *record, size_t *first, size_t *end);
/* Middle of bin i; exact. */
double fb_record_center(int exponent, size_t bin);

/* Scratch of the threads that fill drafts. */
typedef struct FbRecorder FbRecorder;
FbRecorder *fb_recorder_create(FbContext *context); /* NULL: no memory */
void fb_recorder_free(FbRecorder *recorder);
/* Fills *draft from count floats (< 2^32), using all threads. `exponent` is that of the record it will be committed to: it saves a pass
 * when it is large enough. Bins are undefined when a value was not finite. */
void fb_recorder_fill(FbRecorder *recorder, const float *x, size_t count, int exponent, FbRecordDraft *draft);

#endif
