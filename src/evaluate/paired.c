/* Proportions with their uncertainty, each from its published formula. */
#include "evaluate/paired.h"

#include <math.h>

void fb_wilson_interval(uint64_t hits, uint64_t count, double z, double *low, double *high)
{
    if (count == 0) {
        *low = 0;
        *high = 1;
        return;
    }
    /* Wilson 1927: centre and half-width solve (p - q)^2 = z^2 q (1 - q) / n for q. */
    double n = (double)count, p = (double)hits / n, z2 = z * z;
    double centre = (p + z2 / (2 * n)) / (1 + z2 / n);
    double half = z / (1 + z2 / n) * sqrt(p * (1 - p) / n + z2 / (4 * n * n));
    *low = hits == 0 ? 0 : centre - half;
    *high = hits == count ? 1 : centre + half;
}

/* Tango's score statistic for a difference of delta: b pairs for, c against, n in all. The probability of a pair against, given delta, is
 * the larger root of A q^2 + B q + C = 0 (Tango 1998, Statistics in Medicine 17: 891-908, equations for the restricted estimate). */
static double tango_score(double b, double c, double n, double delta)
{
    double A = 2 * n, B = -b - c + (2 * n - b + c) * delta, C = -c * delta * (1 - delta);
    double root = B * B - 4 * A * C;
    double q = (sqrt(root > 0 ? root : 0) - B) / (2 * A);
    double variance = n * (2 * q + delta * (1 - delta));
    double distance = b - c - n * delta;
    if (variance <= 0) {
        return distance > 0 ? INFINITY : distance < 0 ? -INFINITY : 0;
    }
    return distance / sqrt(variance);
}

/* The score falls as delta rises: bisection to the last bits. */
static double tango_solve(double b, double c, double n, double target, double low, double high)
{
    for (int i = 0; i < 200 && low < high; i++) {
        double middle = low + (high - low) / 2;
        if (middle <= low || middle >= high) {
            break;
        }
        if (tango_score(b, c, n, middle) > target) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low + (high - low) / 2;
}

void fb_tango_interval(const FbPairCounts *counts, double z, double *low, double *high)
{
    double b = (double)counts->model_only, c = (double)counts->baseline_only;
    double n = b + c + (double)counts->both + (double)counts->neither;
    if (n == 0) {
        *low = -1;
        *high = 1;
        return;
    }
    double estimate = (b - c) / n;
    *low = tango_solve(b, c, n, z, -1, estimate);
    *high = tango_solve(b, c, n, -z, estimate, 1);
}

double fb_mcnemar_exact(uint64_t baseline_only, uint64_t model_only)
{
    uint64_t n = baseline_only + model_only, fewer = baseline_only < model_only ? baseline_only : model_only;
    double log_term = -(double)n * log(2.0), tail = 0; /* log of C(n, 0) / 2^n */
    for (uint64_t k = 0; k <= fewer; k++) {
        tail += exp(log_term);
        log_term += log((double)(n - k) / (double)(k + 1));
    }
    return 2 * tail < 1 ? 2 * tail : 1;
}

FbPaired fb_paired_from_counts(const FbPairCounts *counts)
{
    FbPaired paired = {0};
    double n = (double)(counts->both + counts->baseline_only + counts->model_only + counts->neither);
    if (n > 0) {
        paired.baseline = (double)(counts->both + counts->baseline_only) / n;
        paired.model = (double)(counts->both + counts->model_only) / n;
        paired.difference = ((double)counts->model_only - (double)counts->baseline_only) / n;
    }
    fb_tango_interval(counts, FB_Z_95, &paired.low, &paired.high);
    paired.p_value = fb_mcnemar_exact(counts->baseline_only, counts->model_only);
    return paired;
}

FbPaired fb_paired_compare(uint64_t both_right, uint64_t baseline_only, uint64_t model_only, uint64_t both_wrong)
{
    FbPairCounts counts = {both_right, baseline_only, model_only, both_wrong};
    return fb_paired_from_counts(&counts);
}

size_t fb_samples_needed(size_t count, double estimate, double low, double high, double threshold)
{
    const double most = 1e9;
    if (threshold <= low || threshold >= high || threshold == estimate) {
        return 0;
    }
    double half = threshold > estimate ? high - estimate : estimate - low;
    double ratio = half / fabs(threshold - estimate);
    double needed = ceil((double)count * ratio * ratio);
    return needed < most ? (size_t)needed : (size_t)most;
}
