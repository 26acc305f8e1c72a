/* What one pass over the samples adds up: decisions, differences, and what becomes of them. No session here: outputs come in as tensors. */
#ifndef FB_EVALUATE_TALLY_H
#define FB_EVALUATE_TALLY_H

#include "base/arena.h"
#include "evaluate/difference.h"
#include "evaluate/judge.h"
#include "evaluate/paired.h"

typedef struct FbTally {
    FbContext *context;
    const char *const *names; /* of the outputs */
    size_t output_count, judged; /* judged: which output decides */
    int mask_input;           /* which input is the attention mask; -1: none */
    FbDifferenceSums *sums;   /* per output */
    FbPairCounts top1, top5;
    uint64_t samples, same_top1;
    int64_t classes;          /* 0 before the first sample or when the judged output is no class vector */
    bool labels;              /* the first sample had one: all must */
    FbInputWatch watch;
} FbTally;

/* names must outlive the tally. */
FbStatus fb_tally_init(FbTally *tally, FbContext *context, const char *const *names, size_t output_count, size_t judged, FbError *err);
/* baseline is NULL when there is none; else output_count tensors in the model's order. */
FbStatus fb_tally_add(FbTally *tally, const FbSample *sample, const FbTensor *baseline, const FbTensor *model, FbError *err);
/* The proportions so far; agreement: with the baseline's best class. */
void fb_tally_proportions(const FbTally *tally, bool has_baseline, FbPaired *top1, FbPaired *top5, double *agreement);
/* Fills the evaluation (outputs and names in the arena); max_loss < 0: no gate. Logs the warning about preprocessing. */
FbStatus fb_tally_finish(const FbTally *tally, bool has_baseline, double max_loss, FbArena *arena, FbEvaluation *evaluation, FbError *err);
void fb_tally_reset(FbTally *tally);

#endif
