/* Observers: how the statistics of an activation become the range that its codes cover. */
#ifndef FB_CALIBRATE_OBSERVER_H
#define FB_CALIBRATE_OBSERVER_H

#include "calibrate/statistics.h"
#include "tensor/encoding.h"

typedef struct FbObserverSettings {
    const FbCode *code;
    bool symmetric;
    double percentile; /* per cent of the values kept, e.g. 99.999 */
} FbObserverSettings;

/* A row of the table of observers. */
typedef struct FbObserver {
    const char *name, *summary;
    void (*range)(const FbStatistics *statistics, const FbValueStatistics *value, const FbObserverSettings *settings, double *low,
                  double *high);
} FbObserver;

extern const FbObserver fb_observers[];
extern const size_t fb_observer_count;
const FbObserver *fb_observer_find(const char *name); /* NULL: unknown */

/* Mean squared error of quantizing the histogram with the parameters that the range gives. */
double fb_record_squared_error(const FbRecord *record, const FbObserverSettings *settings, double low, double high);

#endif
