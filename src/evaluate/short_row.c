/* A row of log-probabilities in short: the most probable tokens, and a sample of the rest. */
#include <math.h>

#include "base/random.h"
#include "evaluate/token_score.h"

/* Whether token a comes after token b: smaller logit, or an equal one and a larger id. */
static bool after(const float *logits, uint32_t a, uint32_t b) { return logits[a] < logits[b] || (logits[a] == logits[b] && a > b); }

/* A heap whose root is the last of its tokens. */
static void sink(const float *logits, uint32_t *heap, size_t count, size_t at)
{
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= count) {
            return;
        }
        if (child + 1 < count && after(logits, heap[child + 1], heap[child])) {
            child++;
        }
        if (!after(logits, heap[child], heap[at])) {
            return;
        }
        uint32_t moved = heap[at];
        heap[at] = heap[child];
        heap[child] = moved;
        at = child;
    }
}

/* The `top` largest logits in falling order. */
static void choose_top(const float *logits, size_t count, uint32_t *ids, size_t top)
{
    for (size_t i = 0; i < top; i++) {
        ids[i] = (uint32_t)i;
    }
    for (size_t i = top / 2; i-- > 0;) {
        sink(logits, ids, top, i);
    }
    for (size_t i = top; i < count; i++) {
        if (after(logits, ids[0], (uint32_t)i)) {
            ids[0] = (uint32_t)i;
            sink(logits, ids, top, 0);
        }
    }
    for (size_t left = top; left > 1;) {
        uint32_t last = ids[0];
        ids[0] = ids[--left];
        ids[left] = last;
        sink(logits, ids, left, 0);
    }
}

static uint16_t encode_log(double log_probability)
{
    double code = rint(-log_probability * FB_LOG_STEPS);
    return code < 0 ? 0 : code < UINT16_MAX ? (uint16_t)code : UINT16_MAX;
}

static double decode_log(uint16_t code) { return -(double)code / FB_LOG_STEPS; }

/* The probability of all tokens after the last of the top ones. */
static double sum_rest(const FbLogitRow *row, uint32_t last)
{
    float strip[FB_LOGIT_STRIP];
    double sum = 0;
    for (size_t first = 0; first < row->count; first += FB_LOGIT_STRIP) {
        size_t n = fb_logit_row_strip(row, first, strip);
        for (size_t i = 0; i < n; i++) {
            sum += after(row->logits, (uint32_t)(first + i), last) ? strip[i] : 0;
        }
    }
    return sum * exp(-row->log_sum);
}

/* Systematic sampling (Madow 1949): points at equal distances on the line of summed probabilities, from a random offset on. */
static void sample_rest(FbShortRow *out, const FbLogitRow *row, double rest, uint64_t number)
{
    float strip[FB_LOGIT_STRIP];
    double distance = rest * exp(row->log_sum) / (double)out->samples, sum = 0, point = distance * fb_random_unit(0, 0x66626c, number);
    uint32_t last_top = out->ids[out->top - 1], last = last_top, *samples = out->ids + out->top;
    size_t drawn = 0;
    for (size_t first = 0; first < row->count && drawn < out->samples; first += FB_LOGIT_STRIP) {
        size_t n = fb_logit_row_strip(row, first, strip);
        for (size_t i = 0; i < n; i++) {
            uint32_t id = (uint32_t)(first + i);
            if (after(row->logits, id, last_top)) {
                last = strip[i] > 0 ? id : last;
                sum += strip[i];
                for (; drawn < out->samples && point < sum; point += distance) {
                    samples[drawn++] = id;
                }
            }
        }
    }
    while (drawn < out->samples) { /* the sum was rounded to less than the last points */
        samples[drawn++] = last;
    }
}

void fb_short_row_make(FbShortRow *out, const FbLogitRow *row, size_t target, uint64_t number)
{
    choose_top(row->logits, row->count, out->ids, out->top);
    double rest = out->samples > 0 ? sum_rest(row, out->ids[out->top - 1]) : 0;
    if (out->samples > 0) {
        sample_rest(out, row, rest, number);
    }
    for (size_t i = 0; i < out->top + out->samples; i++) {
        out->codes[i] = encode_log(fb_logit_row_log(row, out->ids[i]));
    }
    double log_target = fb_logit_row_log(row, target);
    out->target = (float)(log_target < 0 ? log_target : 0);
    out->rest = (float)(rest < 1 ? rest : 1);
}

/* What the stored probabilities sum to; 1 but for their rounding. */
static double total(const FbShortRow *row)
{
    double sum = row->rest;
    for (size_t i = 0; i < row->top; i++) {
        sum += exp(decode_log(row->codes[i]));
    }
    return sum;
}

bool fb_short_row_valid(const FbShortRow *row, size_t vocabulary)
{
    for (size_t i = 0; i < row->top + row->samples; i++) {
        if (row->ids[i] >= vocabulary || (i > 0 && i < row->top && row->codes[i] < row->codes[i - 1])) {
            return false;
        }
    }
    return row->rest >= 0 && row->rest <= 1 && row->target <= 0 && row->target > -1e30f && fabs(total(row) - 1) < 0.002;
}

/* With r = q / p, sum p log(p / q) = sum p (r - 1 - log r), because p and q both sum to 1. No term is negative, and where r is near 1 it is
 * only (r - 1)^2 / 2: a few samples give the rest closely, which they would not with log(p / q). The rounding of the codes counts only times
 * log(p / q). */
double fb_short_row_divergence(const FbShortRow *baseline, const FbLogitRow *model, double *variance)
{
    double sum = 0, mean = 0, squares = 0, count = (double)baseline->samples;
    for (size_t i = 0; i < baseline->top; i++) {
        double p_log = decode_log(baseline->codes[i]), q_log = fb_logit_row_log(model, baseline->ids[i]), p = exp(p_log);
        bool nothing = baseline->codes[i] == UINT16_MAX; /* 1e-14 or less, maybe no probability at all */
        sum += nothing ? exp(q_log) : p * (p_log - q_log) + (exp(q_log) - p);
    }
    if (baseline->rest == 0) { /* then samples stand for nothing */
        *variance = 0;
        return sum;
    }
    for (size_t i = baseline->top; i < baseline->top + baseline->samples; i++) {
        double log_ratio = fb_logit_row_log(model, baseline->ids[i]) - decode_log(baseline->codes[i]);
        double term = expm1(log_ratio) - log_ratio;
        mean += term / count;
        squares += term * term / count;
    }
    double spread = baseline->samples > 1 ? (squares - mean * mean) / (count - 1) : squares, rest = baseline->rest;
    *variance = spread > 0 ? rest * rest * spread : 0;
    return baseline->samples > 0 ? sum + rest * mean : sum;
}
