/* Statistics of proportions: Wilson's interval, Tango's interval of a paired difference, exact McNemar. docs/METRICS.md has the formulas. */
#ifndef FB_EVALUATE_PAIRED_H
#define FB_EVALUATE_PAIRED_H

#include <stddef.h>
#include <stdint.h>

#include "fewbit/evaluate.h"

#define FB_Z_95 1.959963984540054 /* the 97.5 % point of the standard normal distribution */

/* Paired yes/no outcomes of two classifiers on the same samples. */
typedef struct FbPairCounts {
    uint64_t both;          /* both right */
    uint64_t baseline_only; /* the baseline right, the model wrong */
    uint64_t model_only;
    uint64_t neither;
} FbPairCounts;

/* Wilson 1927: the score interval of `hits` of `count`; [0, 1] when count is 0. */
void fb_wilson_interval(uint64_t hits, uint64_t count, double z, double *low, double *high);
/* Tango 1998: the score interval of model - baseline. [-1, 1] when there are no samples. */
void fb_tango_interval(const FbPairCounts *counts, double z, double *low, double *high);
/* Two-sided exact McNemar test: the binomial test of the discordant pairs against 1/2. 1 when there are none. */
double fb_mcnemar_exact(uint64_t baseline_only, uint64_t model_only);
/* All of the above at 95 %. */
FbPaired fb_paired_from_counts(const FbPairCounts *counts);

/* About how many samples would decide whether `estimate` is on one side of `threshold`, when `count` samples gave [low, high] around it:
 * half-widths shrink with the square root of the count. 0 when the interval does not hold the threshold or no number would do. */
size_t fb_samples_needed(size_t count, double estimate, double low, double high, double threshold);

#endif
