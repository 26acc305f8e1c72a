/* Log-probabilities of a row of logits and the divergence of two rows. */
#include "evaluate/token_score.h"

#include <math.h>

size_t fb_logit_row_strip(const FbLogitRow *row, size_t first, float out[FB_LOGIT_STRIP])
{
    size_t count = row->count - first < FB_LOGIT_STRIP ? row->count - first : FB_LOGIT_STRIP;
    float largest = (float)row->largest;
    for (size_t i = 0; i < count; i++) {
        out[i] = row->logits[first + i] - largest;
    }
    row->exponential(out, out, count, 0, 0);
    return count;
}

bool fb_logit_row_init(FbLogitRow *row, const float *logits, size_t count, FbUnaryF32 exponential)
{
    float strip[FB_LOGIT_STRIP];
    size_t best = 0;
    double sum = 0;
    for (size_t i = 0; i < count; i++) {
        if (isnan(logits[i])) {
            return false;
        }
        best = logits[i] > logits[best] ? i : best;
    }
    if (count == 0 || !isfinite(logits[best])) {
        return false;
    }
    *row = (FbLogitRow){.logits = logits, .count = count, .exponential = exponential, .best = (int32_t)best, .largest = logits[best]};
    for (size_t first = 0; first < count; first += FB_LOGIT_STRIP) {
        size_t n = fb_logit_row_strip(row, first, strip);
        for (size_t i = 0; i < n; i++) {
            sum += strip[i];
        }
    }
    row->log_sum = log(sum);
    return true;
}

double fb_logit_row_log(const FbLogitRow *row, size_t index) { return (double)row->logits[index] - row->largest - row->log_sum; }

double fb_logit_row_divergence(const FbLogitRow *baseline, const FbLogitRow *model)
{
    /* With e(i) = exp(b(i) - max b): sum e(i) ((b(i) - max b) - (m(i) - max m)) / sum e, and the logs of both sums once. */
    float strip[FB_LOGIT_STRIP];
    double sum = 0, weighted = 0;
    for (size_t first = 0; first < baseline->count; first += FB_LOGIT_STRIP) {
        size_t n = fb_logit_row_strip(baseline, first, strip);
        for (size_t i = 0; i < n; i++) {
            if (strip[i] > 0) {
                double b = (double)baseline->logits[first + i] - baseline->largest, m = (double)model->logits[first + i] - model->largest;
                sum += strip[i];
                weighted += strip[i] * (b - m);
            }
        }
    }
    return weighted / sum - baseline->log_sum + model->log_sum;
}
