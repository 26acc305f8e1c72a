/* The table of observers and those that need no search; all of them read the same streaming statistics. */
#include "calibrate/observer.h"

#include <math.h>
#include <string.h>

#include "calibrate/observer_search.h"

static void min_max(const FbStatistics *statistics, const FbValueStatistics *value, const FbObserverSettings *settings, double *low,
                    double *high)
{
    (void)statistics;
    (void)settings;
    *low = value->record->low;
    *high = value->record->high;
}

/* Exponential mean of each sample's extremes in the order of the samples' indices; the weight of a new sample is ONNX Runtime's. */
static void moving_average(const FbStatistics *statistics, const FbValueStatistics *value, const FbObserverSettings *settings, double *low,
                           double *high)
{
    const double weight = 0.01;
    bool first = true;
    (void)settings;
    for (size_t i = 0; i < statistics->sample_count; i++) {
        const FbSampleRange *range = &value->ranges[i];
        if (range->low > range->high) {
            continue;
        }
        *low = first ? range->low : (1 - weight) * *low + weight * range->low;
        *high = first ? range->high : (1 - weight) * *high + weight * range->high;
        first = false;
    }
    if (first) {
        min_max(statistics, value, settings, low, high);
    }
}

/* Largest |x| of which the share `keep` of all values is not larger; both signs together. */
static double magnitude_percentile(const FbRecord *record, double keep)
{
    double wanted = keep * (double)record->count, seen = 0, width = ldexp(1.0, record->exponent);
    for (size_t k = 0; k < FB_RECORD_HALF; k++) {
        seen += (double)(record->bins[FB_RECORD_HALF + k] + record->bins[FB_RECORD_HALF - 1 - k]);
        if (seen >= wanted) {
            return width * (double)(k + 1);
        }
    }
    return width * FB_RECORD_HALF;
}

static double clip(double x, double low, double high)
{
    return x < low ? low : x > high ? high : x;
}

/* Cuts (100 - percentile) / 2 per cent off each end, at the outer edge of a bin, never beyond the extremes. Symmetric: off the magnitudes. */
static void percentile(const FbStatistics *statistics, const FbValueStatistics *value, const FbObserverSettings *settings, double *low,
                       double *high)
{
    const FbRecord *record = value->record;
    double keep = settings->percentile / 100, width = ldexp(1.0, record->exponent);
    min_max(statistics, value, settings, low, high);
    if (settings->symmetric) {
        double magnitude = magnitude_percentile(record, keep);
        *low = clip(-magnitude, record->low, record->high);
        *high = clip(magnitude, record->low, record->high);
        return;
    }
    double cut = (1 - keep) / 2 * (double)record->count, seen = 0;
    size_t first = 0, end = 0;
    fb_record_span(record, &first, &end);
    for (size_t i = first; i < end; i++) {
        seen += (double)record->bins[i];
        if (seen > cut) {
            *low = clip(width * ((double)i - FB_RECORD_HALF), record->low, record->high);
            break;
        }
    }
    seen = 0;
    for (size_t i = end; i-- > first;) {
        seen += (double)record->bins[i];
        if (seen > cut) {
            *high = clip(width * ((double)i + 1 - FB_RECORD_HALF), record->low, record->high);
            break;
        }
    }
}

const FbObserver fb_observers[] = {
    {"min-max", "the exact extremes over all samples", min_max},
    {"moving-average", "exponential mean of each sample's extremes", moving_average},
    {"percentile", "extremes after cutting a small share of the values off both ends", percentile},
    {"entropy", "the range whose codes lose the least information (Kullback-Leibler, Migacz 2017)", fb_observer_entropy},
    {"mse", "the range with the smallest mean squared error of the values", fb_observer_mse},
};
const size_t fb_observer_count = sizeof fb_observers / sizeof fb_observers[0];

const FbObserver *fb_observer_find(const char *name)
{
    for (size_t i = 0; i < fb_observer_count; i++) {
        if (strcmp(fb_observers[i].name, name) == 0) {
            return &fb_observers[i];
        }
    }
    return NULL;
}
