/* One row of logits and what it says about the next token: log-probabilities, divergence from another row, and the short form that is stored. */
#ifndef FB_EVALUATE_TOKEN_SCORE_H
#define FB_EVALUATE_TOKEN_SCORE_H

#include "kernels/functions.h"

/* log p(i) = logits[i] - largest - log_sum. */
typedef struct FbLogitRow {
    const float *logits;
    size_t count;
    FbUnaryF32 exponential;
    int32_t best;   /* the largest logit, of equal ones the first */
    double largest, log_sum;
} FbLogitRow;

/* exponential: fb_unary_f32_pick(cpu, FB_UNARY_EXP). False: a logit is NaN or +infinity, or all are -infinity. */
bool fb_logit_row_init(FbLogitRow *row, const float *logits, size_t count, FbUnaryF32 exponential);
/* exp(logits[i] - largest) for a strip from `first` on; returns how many. Divided by exp(log_sum) they are probabilities. */
enum { FB_LOGIT_STRIP = 1024 };
size_t fb_logit_row_strip(const FbLogitRow *row, size_t first, float out[FB_LOGIT_STRIP]);
double fb_logit_row_log(const FbLogitRow *row, size_t index);
/* sum over i of p(i) (log p(i) - log q(i)) with p of `baseline`, q of `model`; the counts must agree. */
double fb_logit_row_divergence(const FbLogitRow *baseline, const FbLogitRow *model);

/* A row in short: the `top` most probable tokens, and `samples` drawn from all others in proportion to their probability, so that a mean over
 * them stands for the rest. Codes are -2,048 log p, rounded; ids and codes hold the top tokens in falling order, then the samples. */
enum { FB_LOG_STEPS = 2048 };
typedef struct FbShortRow {
    size_t top, samples;
    uint32_t *ids;   /* [top + samples] */
    uint16_t *codes; /* [top + samples] */
    float target;    /* log-probability of the token that came */
    float rest;      /* probability of all but the top tokens */
} FbShortRow;

/* `number` of the row in its file decides where sampling begins. short_row has its counts and buffers; top <= row->count, samples 0 when equal. */
void fb_short_row_make(FbShortRow *short_row, const FbLogitRow *row, size_t target, uint64_t number);
/* Whether ids and codes can be those of a row over `vocabulary` tokens: every id below it, codes of the top tokens falling, probabilities that
 * sum to 1 up to rounding. */
bool fb_short_row_valid(const FbShortRow *short_row, size_t vocabulary);
/* Divergence from the stored row; *variance receives the variance of what the samples add. The model's row may be any over the same vocabulary. */
double fb_short_row_divergence(const FbShortRow *baseline, const FbLogitRow *model, double *variance);

#endif
