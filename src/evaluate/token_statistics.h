/* Scores of single tokens and what they say together. */
#ifndef FB_EVALUATE_TOKEN_STATISTICS_H
#define FB_EVALUATE_TOKEN_STATISTICS_H

#include "base/context.h"
#include "fewbit/language_evaluate.h"

typedef struct FbTokenScore {
    double loss;          /* -log probability of the token that came */
    double baseline_loss; /* the baseline's */
    double divergence;    /* of the model from the baseline over the whole vocabulary */
    double variance;      /* of `divergence`, where it was estimated from a stored row */
    bool same_top;
} FbTokenScore;

/* scores may be in any order but decide the last bits of the sums with it. Without a baseline only `loss` is read. */
FbStatus fb_token_statistics(FbContext *context, const FbTokenScore *scores, size_t count, bool has_baseline, FbTokenStatistics *out, FbError *err);

#endif
