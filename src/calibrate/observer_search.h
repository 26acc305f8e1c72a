/* The observers that search for a range on the histogram. */
#ifndef FB_CALIBRATE_OBSERVER_SEARCH_H
#define FB_CALIBRATE_OBSERVER_SEARCH_H

#include "calibrate/observer.h"

void fb_observer_entropy(const FbStatistics *statistics, const FbValueStatistics *value, const FbObserverSettings *settings, double *low,
                         double *high);
void fb_observer_mse(const FbStatistics *statistics, const FbValueStatistics *value, const FbObserverSettings *settings, double *low,
                     double *high);

#endif
