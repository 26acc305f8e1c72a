/* fb_evaluate_language: from a text to windows, from windows to scores, from scores to figures and the gate. */
#include <math.h>
#include <string.h>

#include "base/option_struct.h"
#include "data/token_text.h"
#include "evaluate/language_choices.h"
#include "evaluate/language_run.h"
#include "evaluate/paired.h"

enum { WINDOW_TOKENS = 512, WINDOW_MIN = 8 };

typedef struct LanguageEvaluator {
    FbContext *context;
    const FbLanguageEvaluateOptions *options;
    FbLanguagePorts ports;
    FbTokenText text;
    FbLogitHeader header;          /* of the stored or the saved rows; context and windows are those in use */
    FbScoredSequence *sequences;
    size_t sequence_count, scored;
    FbLanguageRun run;
} LanguageEvaluator;

static FbStatus read_options(const FbLanguageEvaluateOptions *given, FbLanguageEvaluateOptions *options, FbError *err)
{
    *options = (FbLanguageEvaluateOptions){.struct_bytes = sizeof *options, .mode = FB_MODE_INTEGER, .max_loss = -1};
    FB_TRY(fb_options_read(options, sizeof *options, given, "FbLanguageEvaluateOptions", err));
    bool compared = options->baseline != NULL || options->baseline_outputs != NULL;
    if (options->baseline != NULL && options->baseline_outputs != NULL) {
        return fb_error_set(err, FB_ERR_ARGUMENT, "a baseline model and stored baseline outputs: give one of them");
    }
    return options->max_loss >= 0 && !compared ? fb_error_set(err, FB_ERR_ARGUMENT, "a gate on the loss needs a baseline") : FB_OK;
}

/* How long a window is and how many there are; a stored baseline decides what the caller left open. */
static FbStatus choose_windows(LanguageEvaluator *e, const FbLogitHeader *stored, FbError *err)
{
    const FbLanguageEvaluateOptions *options = e->options;
    size_t most = e->ports.positions < WINDOW_TOKENS ? (size_t)e->ports.positions : WINDOW_TOKENS;
    size_t context = options->context > 0 ? options->context : stored != NULL ? stored->context : most;
    if (context < WINDOW_MIN) {
        return fb_error_set(err, FB_ERR_ARGUMENT, "windows of %zu tokens: a window has at least %d", context, WINDOW_MIN);
    }
    if (context > e->ports.positions) {
        return fb_error_set(err, FB_ERR_ARGUMENT, "windows of %zu tokens: %d to %llu are possible with this model", context, WINDOW_MIN,
                            (unsigned long long)e->ports.positions);
    }
    if (stored != NULL && context != stored->context) {
        return fb_error_set(err, FB_ERR_ARGUMENT, "%s was saved with windows of %u tokens, not %zu", options->baseline_outputs,
                            (unsigned)stored->context, context);
    }
    size_t found = e->text.count / context, windows = options->windows > 0 ? options->windows : stored != NULL ? stored->windows : found;
    if (found == 0) {
        return fb_error_set(err, FB_ERR_ARGUMENT, "the text's tokens (%zu) do not fill one window of %zu", e->text.count, context);
    }
    if (windows > found) {
        return fb_error_set(err, FB_ERR_ARGUMENT, "the text has %zu tokens: %zu windows of %zu, not %zu", e->text.count, found, context, windows);
    }
    if (stored != NULL && windows != stored->windows) {
        return fb_error_set(err, FB_ERR_ARGUMENT, "%s was saved with %u windows, not %zu", options->baseline_outputs, (unsigned)stored->windows, windows);
    }
    e->header = (FbLogitHeader){.vocabulary = (uint32_t)e->ports.vocabulary, .context = (uint32_t)context, .windows = (uint32_t)windows,
                                .rows = (uint32_t)(context - context / 2 - 1)};
    return FB_OK;
}

/* Windows as llama.cpp cuts them: each is run by itself, begins with the token that the model puts before a text, in place of its own first,
 * and its second half is scored but for the token in the middle, which nothing in that half predicts. */
static FbStatus cut_windows(LanguageEvaluator *e, FbError *err)
{
    size_t context = e->header.context, windows = e->header.windows;
    e->sequences = fb_alloc_array(e->context, windows, sizeof *e->sequences);
    if (e->sequences == NULL) {
        return fb_error_memory(e->context, err, "windows", windows * sizeof *e->sequences);
    }
    for (size_t i = 0; i < windows; i++) {
        int32_t *ids = e->text.ids + i * context;
        ids[0] = e->text.bos >= 0 ? e->text.bos : ids[0];
        e->sequences[i] = (FbScoredSequence){.ids = ids, .count = context, .first = context / 2};
    }
    e->sequence_count = windows;
    e->scored = windows * e->header.rows;
    return fb_logit_hash(e->context, e->text.ids, windows * context, e->header.tokens, err);
}

static FbStatus open_stored(LanguageEvaluator *e, FbLogitHeader *stored, FbError *err)
{
    const char *path = e->options->baseline_outputs;
    FB_TRY(fb_source_open(e->context, path, &e->run.stored, err));
    FB_TRY(fb_logit_header_read(e->run.stored, stored, err));
    return stored->vocabulary == e->ports.vocabulary
               ? FB_OK
               : fb_error_set(err, FB_ERR_ARGUMENT, "%s: saved from a model with a vocabulary of %u tokens, this one has %zu", path,
                              (unsigned)stored->vocabulary, e->ports.vocabulary);
}

static FbStatus prepare_text(LanguageEvaluator *e, FbError *err)
{
    FbLogitHeader stored;
    bool has_stored = e->options->baseline_outputs != NULL;
    if (has_stored) {
        FB_TRY(open_stored(e, &stored, err));
    }
    FB_TRY(choose_windows(e, has_stored ? &stored : NULL, err));
    FB_TRY(cut_windows(e, err));
    if (has_stored && strcmp(stored.tokens, e->header.tokens) != 0) {
        return fb_error_set(err, FB_ERR_ARGUMENT, "%s: saved from other tokens: another text, or another tokenizer", e->options->baseline_outputs);
    }
    if (has_stored) {
        e->header = stored;
    }
    return FB_OK;
}

static FbStatus prepare_choices(LanguageEvaluator *e, FbError *err)
{
    if (e->options->baseline_outputs != NULL || e->options->save_outputs != NULL) {
        return fb_error_set(err, FB_ERR_UNSUPPORTED, "log-probabilities are saved for texts, not for questions; name the baseline model");
    }
    FB_TRY(fb_choice_sequences(&e->text, &e->sequences, &e->sequence_count, err));
    for (size_t i = 0; i < e->sequence_count; i++) {
        e->scored += e->sequences[i].count - 1 - e->sequences[i].first;
    }
    return FB_OK;
}

/* Models and files of the run. */
static FbStatus prepare_run(LanguageEvaluator *e, const FbModel *model, FbError *err)
{
    FbLanguageRun *run = &e->run;
    const FbLanguageEvaluateOptions *options = e->options;
    run->context = e->context;
    run->exponential = fb_unary_f32_pick(fb_context_cpu(e->context), FB_UNARY_EXP);
    FB_TRY(fb_token_pack_init(&run->pack, e->context, e->sequences, e->sequence_count, e->ports.vocabulary, err));
    run->scores = fb_alloc_array(e->context, e->scored, sizeof *run->scores);
    if (run->scores == NULL) {
        return fb_error_memory(e->context, err, "scores of tokens", e->scored * sizeof *run->scores);
    }
    if (options->baseline != NULL) {
        FB_TRY(fb_token_runner_init(&run->baseline, e->context, options->baseline, FB_MODE_FLOAT, &run->pack, err));
        if (run->baseline.ports.vocabulary != e->ports.vocabulary) {
            return fb_error_set(err, FB_ERR_ARGUMENT, "the baseline has a vocabulary of %zu tokens, the model one of %zu",
                                run->baseline.ports.vocabulary, e->ports.vocabulary);
        }
    }
    FB_TRY(fb_token_runner_init(&run->model, e->context, model, options->mode, &run->pack, err));
    if (run->stored != NULL) {
        FB_TRY(fb_logit_rows_init(&run->stored_rows, e->context, &e->header, run->pack.row_limit, err));
    }
    if (options->save_outputs != NULL) {
        FbLogitHeader saved = e->header;
        fb_logit_header_size(&saved, options->stored_tokens);
        FB_TRY(fb_logit_rows_init(&run->saved_rows, e->context, &saved, run->pack.row_limit, err));
        FB_TRY(fb_output_create(e->context, options->save_outputs, options->overwrite != 0, &run->saved, err));
        FB_TRY(fb_logit_header_write(run->saved, &saved, err));
    }
    return FB_OK;
}

/* ---- figures ---- */

static void judge_tokens(const FbLanguageEvaluateOptions *options, FbLanguageEvaluation *out)
{
    const FbTokenStatistics *tokens = &out->tokens;
    if (options->gate == FB_GATE_KLD) {
        out->loss = tokens->kld.mean;
        out->loss_low = tokens->kld.mean - FB_Z_95 * tokens->kld.error;
        out->loss_high = tokens->kld.mean + FB_Z_95 * tokens->kld.error;
    } else {
        const double reach = FB_Z_95 * tokens->log_ratio.error;
        out->loss = 100 * expm1(tokens->log_ratio.value);
        out->loss_low = 100 * expm1(tokens->log_ratio.value - reach);
        out->loss_high = 100 * expm1(tokens->log_ratio.value + reach);
    }
    out->gate = options->gate == FB_GATE_KLD ? FB_GATE_KLD : FB_GATE_PERPLEXITY;
}

static void judge_choices(FbLanguageEvaluation *out)
{
    out->gate = FB_GATE_ACCURACY;
    out->loss = -100 * out->choices.normalized.difference + 0.0;
    out->loss_low = -100 * out->choices.normalized.high;
    out->loss_high = -100 * out->choices.normalized.low;
}

static FbStatus finish(LanguageEvaluator *e, FbLanguageEvaluation *out, FbError *err)
{
    const FbLanguageEvaluateOptions *options = e->options;
    out->has_baseline = options->baseline != NULL || e->run.stored != NULL;
    out->is_choice = e->text.is_choice;
    out->text_tokens = e->text.count;
    out->added_bos = e->text.bos >= 0;
    out->model_seconds = e->run.model.seconds;
    out->baseline_seconds = e->run.baseline.seconds;
    if (e->text.is_choice) {
        FB_TRY(fb_choice_statistics(&e->text, e->sequences, e->run.scores, out->has_baseline, &out->choices, err));
    } else {
        out->windows = e->header.windows;
        out->context = e->header.context;
        FB_TRY(fb_token_statistics(e->context, e->run.scores, e->scored, out->has_baseline, &out->tokens, err));
    }
    if (out->has_baseline) {
        out->has_loss = 1;
        if (out->is_choice) {
            judge_choices(out);
        } else {
            judge_tokens(options, out);
        }
    }
    out->gate_set = options->max_loss >= 0;
    if (out->gate_set) {
        size_t samples = out->is_choice ? out->choices.questions : e->scored;
        out->gate_threshold = options->max_loss;
        out->gate_passed = out->loss < options->max_loss;
        out->samples_needed = fb_samples_needed(samples, out->loss, out->loss_low, out->loss_high, options->max_loss);
    }
    return FB_OK;
}

static FbStatus save(LanguageEvaluator *e, FbLanguageEvaluation *out, FbError *err)
{
    FbOutput *output = e->run.saved;
    e->run.saved = NULL;
    out->saved_bytes = fb_logit_file_bytes(&e->run.saved_rows.header);
    out->full_bytes = (uint64_t)e->scored * e->ports.vocabulary * 2;
    return fb_output_commit(output, NULL, err);
}

static void reset(LanguageEvaluator *e)
{
    fb_token_runner_reset(&e->run.model);
    fb_token_runner_reset(&e->run.baseline);
    fb_output_abandon(e->run.saved);
    if (e->run.saved_rows.context != NULL) {
        fb_logit_rows_reset(&e->run.saved_rows);
    }
    if (e->run.stored_rows.context != NULL) {
        fb_logit_rows_reset(&e->run.stored_rows);
    }
    fb_source_release(e->run.stored);
    fb_free(e->context, e->run.scores);
    if (e->run.pack.context != NULL) {
        fb_token_pack_reset(&e->run.pack);
    }
    fb_free(e->context, e->sequences);
    fb_token_text_reset(&e->text);
}

FbStatus fb_evaluate_language(FbContext *context, const FbModel *model, const FbTokenizer *tokenizer, const char *data,
                              const FbLanguageEvaluateOptions *given, FbLanguageEvaluation *evaluation, FbError *err)
{
    FbLanguageEvaluateOptions options;
    LanguageEvaluator e = {.context = context, .options = &options, .text = {.context = context}};
    memset(evaluation, 0, sizeof *evaluation);
    FB_TRY(read_options(given, &options, err));
    FB_TRY(fb_language_ports(model, &e.ports, err));
    FbStatus status = fb_token_text_load(&e.text, context, tokenizer, data, e.ports.vocabulary, err);
    if (status == FB_OK) {
        status = e.text.is_choice ? prepare_choices(&e, err) : prepare_text(&e, err);
    }
    status = status == FB_OK ? prepare_run(&e, model, err) : status;
    status = status == FB_OK ? fb_language_run(&e.run, err) : status;
    status = status == FB_OK && e.run.saved != NULL ? save(&e, evaluation, err) : status;
    status = status == FB_OK ? finish(&e, evaluation, err) : status;
    if (status != FB_OK) {
        memset(evaluation, 0, sizeof *evaluation);
    }
    reset(&e);
    return status;
}
