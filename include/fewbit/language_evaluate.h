/* Language models on text: perplexity and divergence with llama.cpp's conventions, and multiple choice. Formulas: docs/METRICS.md. */
#ifndef FEWBIT_LANGUAGE_EVALUATE_H
#define FEWBIT_LANGUAGE_EVALUATE_H

#include "fewbit/evaluate.h"
#include "fewbit/tokenizer.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct FbEstimate {
    double value, error; /* error: one standard error */
} FbEstimate;

enum { FB_PERCENTILE_COUNT = 10 };
/* 0.999, 0.99, 0.95, 0.9, 0.75, 0.25, 0.1, 0.05, 0.01, 0.001; NaN past the end. */
FB_API double fb_percentile_fraction(size_t index);

/* Many numbers in short. */
typedef struct FbSpread {
    double mean, error; /* of the mean */
    double median, minimum, maximum;
    double percentiles[FB_PERCENTILE_COUNT];
} FbSpread;

/* Text cut into windows. What has to do with a baseline is NaN without one. */
typedef struct FbTokenStatistics {
    size_t tokens; /* scored */
    FbEstimate perplexity, baseline_perplexity;
    FbEstimate ratio, log_ratio, difference; /* model / baseline, its logarithm, model - baseline; errors of the paired tokens */
    double correlation;                      /* of both log-probabilities over the tokens */
    double p_value;                          /* two-sided: the ratio is 1 */
    FbSpread kld;                            /* divergence of the model from the baseline, per token, in nats */
    double kld_stored_error;                 /* part of the mean's error that comes from a stored baseline's sampling; 0 with a model as baseline */
    FbSpread probability;                    /* model - baseline of the probability of the token that came */
    FbEstimate probability_rms;
    size_t same_top_count;
    double same_top, same_top_low, same_top_high; /* share of tokens with the same best token; Wilson interval */
} FbTokenStatistics;

typedef struct FbChoiceStatistics {
    size_t questions;
    FbPaired accuracy, normalized; /* by the sum of log-probabilities; by the sum per character of the choice. Without a baseline as FbEvaluation.top1 */
    double low, high;              /* Wilson interval of the model's accuracy */
    double normalized_low, normalized_high;
} FbChoiceStatistics;

typedef enum FbLanguageGate { FB_GATE_PERPLEXITY = 0, FB_GATE_KLD, FB_GATE_ACCURACY } FbLanguageGate;

typedef struct FbLanguageEvaluation {
    int has_baseline, is_choice;   /* is_choice: `choices` is filled, otherwise `tokens` */
    size_t text_tokens;            /* of the whole text */
    size_t windows, context;
    int added_bos;                 /* windows begin with the model's first token */
    FbTokenStatistics tokens;
    FbChoiceStatistics choices;
    FbLanguageGate gate;           /* which figure `loss` is: per cent of perplexity, nats, or points of normalized accuracy */
    int has_loss;
    double loss, loss_low, loss_high; /* 95 % */
    int gate_set, gate_passed;
    double gate_threshold;
    size_t samples_needed;
    double baseline_seconds, model_seconds;
    uint64_t saved_bytes, full_bytes; /* save_outputs: the file, and all logits in 2 bytes each */
} FbLanguageEvaluation;

typedef struct FbLanguageEvaluateOptions {
    size_t struct_bytes;
    FbMode mode;                  /* how the model runs: INTEGER (as text is generated), or FLOAT */
    const FbModel *baseline;      /* runs in FLOAT; NULL: none */
    const char *baseline_outputs; /* what save_outputs of another evaluation wrote; NULL: none */
    const char *save_outputs;     /* write the model's log-probabilities in short; NULL: no */
    int overwrite;                /* save_outputs may replace a file */
    size_t context;               /* tokens of a window; 0: 512, or as baseline_outputs has it */
    size_t windows;               /* 0: all, or as baseline_outputs has them */
    size_t stored_tokens;         /* save_outputs: tokens per row; 0: as many as make the file 1/20 of 2-byte logits, at least 256 */
    FbLanguageGate gate;
    double max_loss;              /* < 0: no gate */
} FbLanguageEvaluateOptions;

/* data: a text (.txt: one corpus), or lines of JSON (.jsonl): {"text": "..."} or {"ids": [...]}, joined to one sequence of tokens; or questions
 * {"question": "..." or "context": "...", "choices": [...], "answer": 0}. tokenizer: of the model; may be NULL when all lines have ids. */
FB_API FB_MUST_CHECK FbStatus fb_evaluate_language(FbContext *context, const FbModel *model, const FbTokenizer *tokenizer, const char *data,
                                                   const FbLanguageEvaluateOptions *options, FbLanguageEvaluation *evaluation, FbError *err);

/* The document "fewbit.evaluate/1"; freed with fb_text_free. */
FB_API FB_MUST_CHECK FbStatus fb_language_evaluation_json(FbContext *context, const FbLanguageEvaluation *evaluation, char **json, FbError *err);

#ifdef __cplusplus
}
#endif
#endif
