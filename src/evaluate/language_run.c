/* Run by run: logits of the model and of its baseline, then the rows in parallel. */
#include "evaluate/language_run.h"

#include <math.h>

enum { ROW_GRAIN = 4 };

/* A score that could not be had; the reason follows from what is there. */
static const FbTokenScore no_score = {.loss = NAN};

/* What a row gives that needs no other row. */
static FbTokenScore score_row(FbLanguageRun *run, size_t r)
{
    const size_t vocabulary = run->model.ports.vocabulary, target = (size_t)run->pack.targets[r];
    FbLogitRow model, baseline;
    FbTokenScore score = {0};
    if (!fb_logit_row_init(&model, run->logits + r * vocabulary, vocabulary, run->exponential)) {
        return no_score;
    }
    score.loss = -fb_logit_row_log(&model, target);
    if (run->baseline_logits != NULL) {
        if (!fb_logit_row_init(&baseline, run->baseline_logits + r * vocabulary, vocabulary, run->exponential)) {
            return no_score;
        }
        score.baseline_loss = -fb_logit_row_log(&baseline, target);
        score.divergence = fb_logit_row_divergence(&baseline, &model);
        score.same_top = model.best == baseline.best;
    } else if (run->stored != NULL) {
        if (!fb_logit_rows_decode(&run->stored_rows, r)) {
            return no_score;
        }
        const FbShortRow *row = &run->stored_rows.rows[r];
        score.baseline_loss = -(double)row->target;
        score.divergence = fb_short_row_divergence(row, &model, &score.variance);
        score.same_top = (uint32_t)model.best == row->ids[0];
    }
    if (run->saved != NULL) {
        fb_short_row_make(&run->saved_rows.rows[r], &model, target, run->pack.done_rows + r);
        fb_logit_rows_encode(&run->saved_rows, r);
    }
    return score;
}

static void score_rows(void *arg, size_t slot, size_t begin, size_t end)
{
    FbLanguageRun *run = arg;
    (void)slot;
    for (size_t r = begin; r < end; r++) {
        run->scores[run->pack.done_rows + r] = score_row(run, r);
    }
}

static FbStatus explain(const FbLanguageRun *run, size_t r, FbError *err)
{
    const size_t vocabulary = run->model.ports.vocabulary;
    FbLogitRow row;
    const char *which = "model";
    if (fb_logit_row_init(&row, run->logits + r * vocabulary, vocabulary, run->exponential)) {
        if (run->stored != NULL) {
            return fb_error_set(err, FB_ERR_FORMAT, "%s: row %zu is damaged: its numbers are no probabilities of tokens", fb_source_path(run->stored),
                                run->pack.done_rows + r);
        }
        which = "baseline";
    }
    return fb_error_set(err, FB_ERR_NUMERIC, "scored token %zu: the %s's logits hold NaN or infinity", run->pack.done_rows + r, which);
}

static FbStatus check_scores(const FbLanguageRun *run, FbError *err)
{
    for (size_t r = 0; r < run->pack.rows; r++) {
        const FbTokenScore *score = &run->scores[run->pack.done_rows + r];
        if (isnan(score->loss)) {
            return explain(run, r, err);
        }
        if (!isfinite(score->loss) || !isfinite(score->baseline_loss) || !isfinite(score->divergence)) {
            return fb_error_set(err, FB_ERR_NUMERIC, "scored token %zu: a probability is zero: perplexity or divergence is infinite",
                                run->pack.done_rows + r);
        }
    }
    return FB_OK;
}

static FbStatus run_once(FbLanguageRun *run, FbError *err)
{
    FbTokenPack *pack = &run->pack;
    FB_TRY(fb_token_runner_run(&run->model, pack, &run->logits, err));
    if (run->baseline.session != NULL) {
        FB_TRY(fb_token_runner_run(&run->baseline, pack, &run->baseline_logits, err));
    }
    if (pack->rows == 0) {
        return FB_OK;
    }
    if (run->stored != NULL) {
        FB_TRY(fb_logit_rows_read(run->stored, &run->stored_rows, pack->done_rows, pack->rows, err));
    }
    fb_parallel(run->context, score_rows, run, pack->rows, ROW_GRAIN);
    FB_TRY(check_scores(run, err));
    return run->saved == NULL ? FB_OK
                              : fb_output_write(run->saved, run->saved_rows.bytes, pack->rows * (size_t)fb_logit_row_bytes(&run->saved_rows.header), err);
}

FbStatus fb_language_run(FbLanguageRun *run, FbError *err)
{
    FbStatus status = FB_OK;
    uint64_t total = 0;
    for (size_t i = 0; i < run->pack.sequence_count; i++) {
        total += run->pack.sequences[i].count - 1;
    }
    fb_progress_begin(run->context, "evaluate", total);
    while (status == FB_OK && fb_token_pack_next(&run->pack)) {
        status = fb_check_cancel(run->context, err);
        status = status == FB_OK ? run_once(run, err) : status;
        fb_progress_step(run->context, run->pack.done_tokens);
    }
    fb_progress_end(run->context);
    return status;
}
