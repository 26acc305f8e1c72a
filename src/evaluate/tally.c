/* Adding up samples and drawing the conclusions. */
#include "evaluate/tally.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

FbStatus fb_tally_init(FbTally *tally, FbContext *context, const char *const *names, size_t output_count, size_t judged, FbError *err)
{
    memset(tally, 0, sizeof *tally);
    tally->context = context;
    tally->names = names;
    tally->output_count = output_count;
    tally->judged = judged;
    tally->mask_input = -1;
    fb_watch_init(&tally->watch, context);
    tally->sums = fb_alloc_zero(context, (output_count + 1) * sizeof *tally->sums);
    return tally->sums != NULL ? FB_OK : fb_error_memory(context, err, "evaluation", output_count * sizeof *tally->sums);
}

void fb_tally_reset(FbTally *tally)
{
    if (tally->context != NULL) {
        fb_free(tally->context, tally->sums);
        fb_watch_reset(&tally->watch);
    }
    memset(tally, 0, sizeof *tally);
}

static void count_pair(FbPairCounts *counts, bool baseline, bool model)
{
    uint64_t *cell = baseline ? (model ? &counts->both : &counts->baseline_only) : model ? &counts->model_only : &counts->neither;
    ++*cell;
}

static FbStatus check_label(FbTally *t, const FbSample *sample, const FbJudged *judged, FbError *err)
{
    if (t->samples == 0) {
        t->labels = sample->label >= 0;
        t->classes = judged->classes;
    }
    if (t->labels != (sample->label >= 0)) {
        return fb_error_set(err, FB_ERR_FORMAT, "sample '%s' has %s label, the first sample has %s", sample->name, t->labels ? "no" : "a",
                            t->labels ? "one" : "none");
    }
    if (judged->classes != t->classes) {
        return fb_error_set(err, FB_ERR_FORMAT, "sample '%s' gives %" PRId64 " classes, the first gave %" PRId64, sample->name, judged->classes,
                            t->classes);
    }
    if (judged->classes > 0 && sample->label >= judged->classes) {
        return fb_error_set(err, FB_ERR_FORMAT, "sample '%s' has label %" PRId64 ", but output '%s' has %" PRId64 " classes (0 to %" PRId64 ")",
                            sample->name, sample->label, t->names[t->judged], judged->classes, judged->classes - 1);
    }
    return FB_OK;
}

FbStatus fb_tally_add(FbTally *t, const FbSample *sample, const FbTensor *baseline, const FbTensor *model, FbError *err)
{
    char what[200];
    FbJudged judged;
    snprintf(what, sizeof what, "sample '%.80s', output '%.80s'", sample->name, t->names[t->judged]);
    FB_TRY(fb_judge_find(what, &model[t->judged], sample->position, &judged, err));
    FB_TRY(check_label(t, sample, &judged, err));
    const FbTensor *mask = t->mask_input >= 0 && (size_t)t->mask_input < sample->input_count ? &sample->inputs[t->mask_input] : NULL;
    for (size_t i = 0; baseline != NULL && i < t->output_count; i++) {
        snprintf(what, sizeof what, "sample '%.80s', output '%.80s'", sample->name, t->names[i]);
        FB_TRY(fb_difference_add(&t->sums[i], what, &baseline[i], &model[i], mask, err));
    }
    t->samples++;
    if (judged.classes == 0) {
        return FB_OK;
    }
    const FbTensor *float_output = baseline != NULL ? &baseline[t->judged] : &model[t->judged];
    if (baseline != NULL && fb_judge_best(float_output, &judged) == fb_judge_best(&model[t->judged], &judged)) {
        t->same_top1++;
    }
    if (t->labels) {
        int64_t mine = fb_judge_rank(&model[t->judged], &judged, sample->label), reference = fb_judge_rank(float_output, &judged, sample->label);
        count_pair(&t->top1, reference == 0, mine == 0);
        count_pair(&t->top5, reference < 5, mine < 5);
    }
    return fb_watch_add(&t->watch, sample, float_output, &judged, err);
}

static FbPaired proportions(const FbPairCounts *counts, bool has_baseline)
{
    FbPaired paired = fb_paired_from_counts(counts);
    if (!has_baseline) {
        paired.baseline = paired.difference = paired.low = paired.high = paired.p_value = NAN;
    }
    return paired;
}

/* The loss in points: of top-1 when there are labels, otherwise the share of changed answers. */
static void judge_loss(FbEvaluation *e)
{
    e->has_loss = e->has_baseline && (e->has_top1 || e->has_agreement);
    if (e->has_loss && e->has_top1) {
        e->loss_points = -100 * e->top1.difference;
        e->loss_low = -100 * e->top1.high;
        e->loss_high = -100 * e->top1.low;
    } else if (e->has_loss) {
        e->loss_points = 100 * (1 - e->agreement);
        e->loss_low = 100 * (1 - e->agreement_high);
        e->loss_high = 100 * (1 - e->agreement_low);
    }
    e->loss_points += 0.0; /* no negative zero */
}

void fb_tally_proportions(const FbTally *t, bool has_baseline, FbPaired *top1, FbPaired *top5, double *agreement)
{
    *top1 = proportions(&t->top1, has_baseline);
    *top5 = proportions(&t->top5, has_baseline);
    *agreement = t->samples > 0 ? (double)t->same_top1 / (double)t->samples : 0;
}

FbStatus fb_tally_finish(const FbTally *t, bool has_baseline, double max_loss, FbArena *arena, FbEvaluation *e, FbError *err)
{
    e->samples = (size_t)t->samples;
    e->has_labels = t->labels;
    e->has_baseline = has_baseline;
    e->classes = (size_t)t->classes;
    e->has_top1 = t->labels && t->classes > 0;
    e->has_top5 = e->has_top1 && t->classes > 5;
    e->has_agreement = has_baseline && t->classes > 0;
    fb_tally_proportions(t, has_baseline, &e->top1, &e->top5, &e->agreement);
    e->differing_top1 = e->has_agreement ? (size_t)(t->samples - t->same_top1) : 0;
    fb_wilson_interval(t->same_top1, t->samples, FB_Z_95, &e->agreement_low, &e->agreement_high);
    e->judged = fb_arena_strdup(arena, t->names[t->judged]);
    e->output_count = has_baseline ? t->output_count : 0;
    e->outputs = fb_arena_array(arena, t->output_count + 1, sizeof *e->outputs);
    if (e->judged == NULL || e->outputs == NULL) {
        return fb_error_memory(t->context, err, "evaluation", t->output_count * sizeof *e->outputs);
    }
    for (size_t i = 0; i < e->output_count; i++) {
        fb_difference_finish(&t->sums[i], &e->outputs[i]);
        e->outputs[i].name = fb_arena_strdup(arena, t->names[i]);
        e->judged = i == t->judged ? e->outputs[i].name : e->judged;
        if (e->outputs[i].name == NULL) {
            return fb_error_memory(t->context, err, "evaluation", strlen(t->names[i]));
        }
    }
    judge_loss(e);
    if (max_loss >= 0 && !e->has_loss) {
        return fb_error_set(err, FB_ERR_ARGUMENT, "a gate on the loss needs %s", has_baseline ? "an output that is a vector of class scores" : "a baseline");
    }
    e->gate_set = max_loss >= 0;
    e->gate_threshold = e->gate_set ? max_loss : 0;
    e->gate_passed = e->gate_set && e->loss_points < max_loss;
    e->samples_needed = e->gate_set ? fb_samples_needed(e->samples, e->loss_points, e->loss_low, e->loss_high, max_loss) : 0;
    (void)fb_watch_report(&t->watch);
    return FB_OK;
}
