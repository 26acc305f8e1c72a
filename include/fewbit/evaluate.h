/* Evaluation: baseline against model on the same samples, with the uncertainty. Definitions: "Metrics, exactly" in docs/METRICS.md. */
#ifndef FEWBIT_EVALUATE_H
#define FEWBIT_EVALUATE_H

#include "fewbit/dataset.h"
#include "fewbit/session.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A proportion compared on the same samples. Fractions 0..1. difference = model - baseline; [low, high] its 95 % interval by the paired
 * score method (Tango 1998); p_value two-sided exact McNemar. */
typedef struct FbPaired {
    double baseline, model, difference, low, high, p_value;
} FbPaired;

/* How one output of the model differs from the baseline's. */
typedef struct FbOutputDifference {
    const char *name;
    double sqnr_db;          /* +infinity: equal outputs ("exact") */
    double cosine;           /* mean over samples of the flattened output */
    double mean_difference;  /* mean |b - m| */
    double max_difference;   /* max |b - m| */
    double range;            /* max b - min b */
} FbOutputDifference;

typedef struct FbEvaluation {
    size_t samples;
    int has_labels, has_baseline;
    FbPaired top1, top5;                           /* when labels are there */
    double agreement, agreement_low, agreement_high; /* same top-1 as the baseline, Wilson interval */
    size_t differing_top1;
    FbOutputDifference *outputs;
    size_t output_count;
    double loss_points;                            /* what the gate looks at: 100 * (baseline - model) of top-1, or 100 * (1 - agreement) */
    double loss_low, loss_high;
    int gate_set, gate_passed;
    double gate_threshold;
    size_t samples_needed;                         /* 0, or about how many samples would decide the gate */
    double baseline_seconds, model_seconds;
    void *owner;
} FbEvaluation;

typedef struct FbEvaluateOptions {
    size_t struct_bytes;
    const FbModel *baseline;      /* NULL: none */
    const char *baseline_outputs; /* .npz of baseline outputs; NULL: none */
    const char *output;           /* which output is judged; NULL: the first */
    double max_loss;              /* points; < 0: no gate */
    const char *save_inputs;      /* .npz to write what the model saw; NULL: none */
} FbEvaluateOptions;

FB_API FB_MUST_CHECK FbStatus fb_evaluate(FbContext *context, const FbModel *model, FbDataset *data, const FbEvaluateOptions *options,
                                          FbEvaluation *evaluation, FbError *err);
FB_API void fb_evaluation_free(FbContext *context, FbEvaluation *evaluation);

#ifdef __cplusplus
}
#endif
#endif
