/* Entropy and mean squared error: search for the clipping range on the histogram. Both look at bin middles, of which there are at least
 * 1,024 between 0 and the largest magnitude. */
#include "calibrate/observer_search.h"

#include <math.h>
#include <string.h>

/* Half to even for |x| < 2^51, without a call. */
static double round_even(double x)
{
    const double magic = 6755399441055744.0; /* 1.5 * 2^52 */
    return (x + magic) - magic;
}

double fb_record_squared_error(const FbRecord *record, const FbObserverSettings *settings, double low, double high)
{
    float scale = 1;
    int32_t zero = 0;
    fb_range_to_scale(settings->code, settings->symmetric, low, high, &scale, &zero);
    double least = (settings->symmetric ? settings->code->symmetric_low : settings->code->low) - (double)zero;
    double most = settings->code->high - (double)zero;
    double inverse = 1 / (double)scale, error = 0, total = 0;
    size_t first = 0, end = 0;
    fb_record_span(record, &first, &end);
    for (size_t i = first; i < end; i++) {
        if (record->bins[i] == 0) {
            continue;
        }
        double x = fb_record_center(record->exponent, i);
        double scaled = x * inverse;
        scaled = scaled < least ? least : scaled > most ? most : scaled;
        double difference = x - round_even(scaled) * (double)scale;
        error += (double)record->bins[i] * difference * difference;
        total += (double)record->bins[i];
    }
    return total > 0 ? error / total : 0;
}

/* Tries shrunk versions of one end and keeps the best. `other` is the other end; sign tells which is which. */
static void shrink_end(const FbRecord *record, const FbObserverSettings *settings, double full, double from, double to, int steps, bool both,
                       double *low, double *high, bool upper, double *best)
{
    double best_end = upper ? *high : *low, best_low = *low;
    for (int i = 0; i <= steps; i++) {
        double end = full * (from + (to - from) * i / steps);
        double tried_low = both ? (*low < -end ? -end : *low) : upper ? *low : end;
        double error = fb_record_squared_error(record, settings, tried_low, upper ? end : *high);
        if (error < *best) {
            *best = error;
            best_end = end;
            best_low = tried_low;
        }
    }
    if (upper) {
        *high = best_end;
        *low = both ? best_low : *low;
    } else {
        *low = best_end;
    }
}

/* Coordinate descent over the two ends, from the full range downwards; an end at 0 stays. Symmetric codes have one magnitude. */
void fb_observer_mse(const FbStatistics *statistics, const FbValueStatistics *value, const FbObserverSettings *settings, double *low,
                     double *high)
{
    enum { STEPS = 64, ROUNDS = 2 };
    const FbRecord *record = value->record;
    (void)statistics;
    *low = record->low < 0 ? record->low : 0;
    *high = record->high > 0 ? record->high : 0;
    double best = fb_record_squared_error(record, settings, *low, *high);
    if (settings->symmetric) {
        double largest = -*low > *high ? -*low : *high;
        *low = -largest;
        *high = largest;
        shrink_end(record, settings, largest, 1, 0.1, 2 * STEPS, true, low, high, true, &best);
        return;
    }
    double full_low = *low, full_high = *high;
    for (int round = 0; round < ROUNDS; round++) {
        if (full_high > 0) {
            shrink_end(record, settings, full_high, 1, 0.1, STEPS, false, low, high, true, &best);
        }
        if (full_low < 0) {
            shrink_end(record, settings, full_low, 1, 0, STEPS, false, low, high, false, &best);
        }
    }
}

/* Natural logarithm from exact operations and a fixed series, so that the chosen range is the same on every machine: with m in
 * [sqrt(1/2), sqrt 2) and s = (m - 1) / (m + 1), log m = 2 (s + s^3/3 + s^5/5 + ...), |s| < 0.172. */
static double natural_log(double x)
{
    int exponent = 0;
    double m = frexp(x, &exponent);
    if (m < 0.70710678118654752) {
        m *= 2;
        exponent--;
    }
    double s = (m - 1) / (m + 1), square = s * s, sum = 0;
    for (int k = 21; k >= 1; k -= 2) {
        sum = sum * square + 1.0 / k;
    }
    return 2 * s * sum + 0.69314718055994531 * exponent;
}

/* The two bins beside 0 count as their outer neighbours do: 0 itself, often half of all values behind a Relu, is a code of every grid, and
 * its spike must not draw the range together. */
static double bin_count(const FbRecord *record, size_t i)
{
    return (double)record->bins[i == FB_RECORD_HALF ? i + 1 : i == FB_RECORD_HALF - 1 ? i - 1 : i];
}

/* Kullback-Leibler divergence between the histogram clipped to bins [first, end), outliers added to its ends, and the same bins as
 * `levels` codes can tell them apart. Empty bins stay empty in both. Source: Migacz, "8-bit inference with TensorRT" (2017). */
static double divergence(const FbRecord *record, size_t first, size_t end, size_t span_first, size_t span_end, size_t levels)
{
    size_t count = end - first;
    double below = 0, above = 0, total = 0, kept = 0, sum = 0;
    for (size_t i = span_first; i < span_end; i++) {
        double c = bin_count(record, i);
        total += c;
        below += i < first ? c : 0;
        above += i >= end ? c : 0;
    }
    kept = total - below - above;
    if (kept <= 0) {
        return INFINITY;
    }
    const double smallest = 1e-4 / total; /* a share no clipped bin of the reference is matched below */
    for (size_t level = 0; level < levels; level++) {
        size_t from = first + level * count / levels, to = first + (level + 1) * count / levels;
        double mass = 0;
        size_t filled = 0;
        for (size_t i = from; i < to; i++) {
            mass += bin_count(record, i);
            filled += bin_count(record, i) > 0;
        }
        for (size_t i = from; i < to; i++) {
            double p = bin_count(record, i) + (i == first ? below : 0) + (i == end - 1 ? above : 0);
            double q = bin_count(record, i) > 0 ? mass / (double)filled / kept : smallest;
            if (p > 0) {
                p /= total;
                sum += p * natural_log(p / q);
            }
        }
    }
    return sum;
}

/* Candidates clip both sides at one magnitude, from as many bins as there are codes up to the whole range. */
void fb_observer_entropy(const FbStatistics *statistics, const FbValueStatistics *value, const FbObserverSettings *settings, double *low,
                         double *high)
{
    enum { CANDIDATES = 128 };
    const FbRecord *record = value->record;
    size_t span_first = 0, span_end = 0, levels = (size_t)1 << (settings->code->bits < 8 ? settings->code->bits : 8);
    (void)statistics;
    *low = record->low;
    *high = record->high;
    fb_record_span(record, &span_first, &span_end);
    size_t most = span_end - FB_RECORD_HALF > FB_RECORD_HALF - span_first ? span_end - FB_RECORD_HALF : FB_RECORD_HALF - span_first;
    double best = INFINITY, width = ldexp(1.0, record->exponent);
    size_t best_bins = most;
    for (size_t i = CANDIDATES; i > 0; i--) {
        size_t bins = most * i / CANDIDATES;
        size_t first = FB_RECORD_HALF - bins > span_first ? FB_RECORD_HALF - bins : span_first;
        size_t end = FB_RECORD_HALF + bins < span_end ? FB_RECORD_HALF + bins : span_end;
        if (bins == 0 || first >= end || end - first < levels) {
            break;
        }
        double found = divergence(record, first, end, span_first, span_end, levels);
        if (found < best) {
            best = found;
            best_bins = bins;
        }
    }
    if (best_bins < most) {
        double edge = width * (double)best_bins;
        *low = *low < -edge ? -edge : *low;
        *high = *high > edge ? edge : *high;
    }
}
