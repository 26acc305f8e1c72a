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
    double cosine;           /* mean over samples of the flattened output, or of the pooled embedding */
    int pooled;              /* the model has an attention_mask: cosine is that of the mean over the masked positions */
    double mean_difference;  /* mean |b - m| */
    double max_difference;   /* max |b - m| */
    double range;            /* max b - min b */
    size_t elements, differing; /* compared; not equal */
} FbOutputDifference;

typedef struct FbEvaluation {
    size_t samples;
    int has_labels, has_baseline;
    int has_top1, has_top5;  /* labels are there and the judged output is a class vector (of more than 5 classes for top-5) */
    int has_agreement;       /* a baseline is there and the judged output is a class vector */
    int has_loss;            /* loss_* below are meaningful */
    size_t classes;          /* of the judged output; 0: it is no class vector */
    FbPaired top1, top5;     /* without a baseline only `model` is a number, the rest are NaN */
    double agreement, agreement_low, agreement_high; /* same top-1 as the baseline, Wilson interval */
    size_t differing_top1;
    const char *judged;      /* name of the judged output */
    FbOutputDifference *outputs;
    size_t output_count;
    double loss_points;                            /* what the gate looks at: 100 * (baseline - model) of top-1, or 100 * (1 - agreement) */
    double loss_low, loss_high;
    int gate_set, gate_passed;
    double gate_threshold;
    size_t samples_needed;                         /* 0, or about how many samples would decide the gate */
    double baseline_seconds, model_seconds;
    void *owner;
    int has_executions;      /* mode INTEGER: what is above ran on integers, and the same samples ran simulated, too */
    FbPaired simulated_top1, simulated_top5; /* the simulated execution against the baseline */
    double simulated_agreement;
    size_t execution_differing_top1;         /* samples whose best class is another on integers than simulated */
    FbOutputDifference *execution_outputs;   /* integers (as model) against simulated (as baseline) */
    size_t execution_output_count;
    size_t code_samples;                     /* the first samples, on which the codes of all values quantized with a fixed range were compared */
    size_t codes_compared, codes_differing;
} FbEvaluation;

typedef struct FbEvaluateOptions {
    size_t struct_bytes;
    const FbModel *baseline;      /* NULL: none */
    const char *baseline_outputs; /* .npz of baseline outputs; NULL: none */
    const char *output;           /* which output is judged; NULL: the first */
    double max_loss;              /* points; < 0: no gate */
    const char *save_inputs;      /* .npz to write what the model saw; NULL: none */
    int overwrite;                /* save_inputs and save_outputs may replace a file */
    const char *save_outputs;     /* .npz to write what the model answered; NULL: none. Outputs after the judged one take another pass each. */
    FbMode mode;                  /* how the model runs. INTEGER: simulated, too, and FbEvaluation says where both differ */
} FbEvaluateOptions;

/* One pass over the data: the baseline in float, the model as options->mode says, on the same samples. On failure *evaluation is zeroed. */
FB_API FB_MUST_CHECK FbStatus fb_evaluate(FbContext *context, const FbModel *model, FbDataset *data, const FbEvaluateOptions *options,
                                          FbEvaluation *evaluation, FbError *err);
FB_API void fb_evaluation_free(FbContext *context, FbEvaluation *evaluation);

/* The document "fewbit.evaluate/1"; freed with fb_text_free. */
FB_API FB_MUST_CHECK FbStatus fb_evaluation_json(FbContext *context, const FbEvaluation *evaluation, char **json, FbError *err);

/* What a loss in points means. The rows cover all losses; `below` of the last is infinite. */
typedef struct FbVerdict {
    double below; /* points */
    const char *name, *summary;
} FbVerdict;
FB_API const FbVerdict *fb_verdict_of_loss(double loss_points); /* never NULL; NaN gets the last row */
FB_API const FbVerdict *fb_verdict_row(size_t index);           /* NULL past the end */

/* The statistics behind it, for other tools. Formulas and sources: docs/METRICS.md. */
FB_API FbPaired fb_paired_compare(uint64_t both_right, uint64_t baseline_only, uint64_t model_only, uint64_t both_wrong);

#ifdef __cplusplus
}
#endif
#endif
