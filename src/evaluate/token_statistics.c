/* Perplexity, divergence and their uncertainty, with the formulas of llama.cpp's perplexity tool. */
#include "evaluate/token_statistics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "evaluate/paired.h"

static const double fractions[FB_PERCENTILE_COUNT] = {0.999, 0.99, 0.95, 0.9, 0.75, 0.25, 0.1, 0.05, 0.01, 0.001};

double fb_percentile_fraction(size_t index) { return index < FB_PERCENTILE_COUNT ? fractions[index] : NAN; }

/* Mean and standard error of the mean of sums over `count` numbers. */
static FbEstimate estimate(double sum, double squares, double count)
{
    double mean = sum / count, variance = squares / count - mean * mean;
    return (FbEstimate){mean, count > 1 && variance > 0 ? sqrt(variance / (count - 1)) : 0};
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The point at `fraction` of sorted numbers, between neighbours by straight line. */
static double percentile(const double *sorted, size_t count, double fraction)
{
    double place = fraction * (double)(count - 1);
    size_t low = (size_t)place, high = low + 1 < count ? low + 1 : low;
    double part = place - (double)low;
    return part > 0 ? (1 - part) * sorted[low] + part * sorted[high] : sorted[low];
}

/* Sorts the numbers. */
static FbSpread spread_of(double *numbers, size_t count)
{
    FbSpread spread;
    double sum = 0, squares = 0;
    for (size_t i = 0; i < count; i++) {
        sum += numbers[i];
        squares += numbers[i] * numbers[i];
    }
    FbEstimate mean = estimate(sum, squares, (double)count);
    qsort(numbers, count, sizeof *numbers, compare_doubles);
    spread.mean = mean.value;
    spread.error = mean.error;
    spread.minimum = numbers[0];
    spread.maximum = numbers[count - 1];
    spread.median = percentile(numbers, count, 0.5);
    for (size_t i = 0; i < FB_PERCENTILE_COUNT; i++) {
        spread.percentiles[i] = percentile(numbers, count, fractions[i]);
    }
    return spread;
}

static FbSpread unknown_spread(void)
{
    FbSpread spread = {NAN, NAN, NAN, NAN, NAN, {0}};
    for (size_t i = 0; i < FB_PERCENTILE_COUNT; i++) {
        spread.percentiles[i] = NAN;
    }
    return spread;
}

/* exp of an estimate: the error by the first derivative. */
static FbEstimate exponential(FbEstimate log_estimate)
{
    double value = exp(log_estimate.value);
    return (FbEstimate){value, value * log_estimate.error};
}

static void compare_losses(const FbTokenScore *scores, size_t count, FbEstimate loss, FbTokenStatistics *out)
{
    double n = (double)count, sum = 0, squares = 0, products = 0, model_sum = 0;
    for (size_t i = 0; i < count; i++) {
        sum += scores[i].baseline_loss;
        squares += scores[i].baseline_loss * scores[i].baseline_loss;
        products += scores[i].loss * scores[i].baseline_loss;
        model_sum += scores[i].loss;
    }
    FbEstimate baseline = estimate(sum, squares, n);
    double covariance = count > 1 ? (products / n - model_sum / n * (sum / n)) / (n - 1) : 0;
    double variance = loss.error * loss.error + baseline.error * baseline.error - 2 * covariance;
    out->baseline_perplexity = exponential(baseline);
    out->correlation = loss.error > 0 && baseline.error > 0 ? covariance / (loss.error * baseline.error) : 1;
    out->log_ratio = (FbEstimate){loss.value - baseline.value, variance > 0 ? sqrt(variance) : 0};
    out->ratio = exponential(out->log_ratio);
    FbEstimate p = out->perplexity, b = out->baseline_perplexity;
    double difference_variance = p.error * p.error + b.error * b.error - 2 * p.value * b.value * covariance;
    out->difference = (FbEstimate){p.value - b.value, difference_variance > 0 ? sqrt(difference_variance) : 0};
    out->p_value = out->log_ratio.error > 0   ? erfc(fabs(out->log_ratio.value) / out->log_ratio.error / sqrt(2.0))
                   : out->log_ratio.value == 0 ? 1
                                               : 0;
}

static void compare_rows(const FbTokenScore *scores, size_t count, double *numbers, FbTokenStatistics *out)
{
    double variance = 0, squares = 0, fourths = 0;
    for (size_t i = 0; i < count; i++) {
        numbers[i] = scores[i].divergence;
        variance += scores[i].variance;
        out->same_top_count += scores[i].same_top;
    }
    out->kld = spread_of(numbers, count);
    out->kld_stored_error = sqrt(variance) / (double)count;
    for (size_t i = 0; i < count; i++) {
        numbers[i] = exp(-scores[i].loss) - exp(-scores[i].baseline_loss);
        double square = numbers[i] * numbers[i];
        squares += square;
        fourths += square * square;
    }
    out->probability = spread_of(numbers, count);
    FbEstimate mean_square = estimate(squares, fourths, (double)count);
    double rms = sqrt(mean_square.value);
    out->probability_rms = (FbEstimate){rms, rms > 0 ? 0.5 / rms * mean_square.error : 0};
    out->same_top = (double)out->same_top_count / (double)count;
    fb_wilson_interval(out->same_top_count, count, FB_Z_95, &out->same_top_low, &out->same_top_high);
}

FbStatus fb_token_statistics(FbContext *context, const FbTokenScore *scores, size_t count, bool has_baseline, FbTokenStatistics *out, FbError *err)
{
    const FbEstimate unknown = {NAN, NAN};
    double sum = 0, squares = 0;
    *out = (FbTokenStatistics){.tokens = count, .baseline_perplexity = unknown, .ratio = unknown, .log_ratio = unknown, .difference = unknown,
                               .correlation = NAN, .p_value = NAN, .kld = unknown_spread(), .probability = unknown_spread(),
                               .probability_rms = unknown, .same_top = NAN, .same_top_low = NAN, .same_top_high = NAN};
    if (count == 0) {
        return fb_error_set(err, FB_ERR_ARGUMENT, "no token was scored");
    }
    for (size_t i = 0; i < count; i++) {
        sum += scores[i].loss;
        squares += scores[i].loss * scores[i].loss;
    }
    FbEstimate loss = estimate(sum, squares, (double)count);
    out->perplexity = exponential(loss);
    if (!has_baseline) {
        return FB_OK;
    }
    double *numbers = fb_alloc_array(context, count, sizeof *numbers);
    if (numbers == NULL) {
        return fb_error_memory(context, err, "scores of tokens", count * sizeof *numbers);
    }
    compare_losses(scores, count, loss, out);
    compare_rows(scores, count, numbers, out);
    fb_free(context, numbers);
    return FB_OK;
}
