/* The document "fewbit.evaluate/1" of a language model. */
#include <math.h>
#include <stdio.h>

#include "base/json.h"
#include "evaluate/paired.h"
#include "fewbit/language_evaluate.h"

static json_t *number(double value) { return isfinite(value) ? json_real(value) : json_null(); }

/* Puts the numbers of one metric under the stable keys; more keys may be added to the result. */
static json_t *metric(const FbPaired *p)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "baseline", number(p->baseline), "model", number(p->model), "difference",
                     number(p->difference), "low", number(p->low), "high", number(p->high), "p_value", number(p->p_value));
}

static int put(json_t *object, const char *key, double value) { return json_object_set_new(object, key, number(value)); }

static int put_spread(json_t *object, const FbSpread *spread)
{
    json_t *percentiles = json_object();
    int bad = put(object, "error", spread->error) | put(object, "median", spread->median) | put(object, "minimum", spread->minimum) |
              put(object, "maximum", spread->maximum);
    for (size_t i = 0; i < FB_PERCENTILE_COUNT; i++) {
        char key[16];
        snprintf(key, sizeof key, "%g", 100 * fb_percentile_fraction(i));
        bad |= put(percentiles, key, spread->percentiles[i]);
    }
    return bad | json_object_set_new(object, "percentiles", percentiles);
}

static json_t *perplexity(const FbTokenStatistics *t)
{
    const double reach = FB_Z_95 * t->difference.error;
    const FbPaired paired = {t->baseline_perplexity.value, t->perplexity.value, t->difference.value, t->difference.value - reach,
                             t->difference.value + reach, t->p_value};
    json_t *object = metric(&paired);
    int bad = put(object, "error", t->perplexity.error) | put(object, "baseline_error", t->baseline_perplexity.error) |
              put(object, "ratio", t->ratio.value) | put(object, "ratio_error", t->ratio.error) | put(object, "log_ratio", t->log_ratio.value) |
              put(object, "log_ratio_error", t->log_ratio.error) | put(object, "correlation", t->correlation);
    if (bad) {
        json_decref(object);
        return NULL;
    }
    return object;
}

static json_t *kld(const FbTokenStatistics *t)
{
    const double reach = FB_Z_95 * t->kld.error;
    const FbPaired paired = {0, t->kld.mean, t->kld.mean, t->kld.mean - reach, t->kld.mean + reach, NAN};
    json_t *object = metric(&paired);
    if (put_spread(object, &t->kld) | put(object, "stored_error", t->kld_stored_error)) {
        json_decref(object);
        return NULL;
    }
    return object;
}

static json_t *probability(const FbTokenStatistics *t)
{
    json_t *object = json_object();
    if (put(object, "mean", t->probability.mean) | put_spread(object, &t->probability) | put(object, "rms", t->probability_rms.value) |
        put(object, "rms_error", t->probability_rms.error)) {
        json_decref(object);
        return NULL;
    }
    return object;
}

/* Failed allocations leave NULL values behind, which json_object_set_new reports. */
static int fill_tokens(json_t *root, json_t *metrics, const FbLanguageEvaluation *e)
{
    const FbTokenStatistics *t = &e->tokens;
    int bad = json_object_set_new(root, "samples", json_integer((json_int_t)t->tokens)) |
              json_object_set_new(root, "windows", json_integer((json_int_t)e->windows)) |
              json_object_set_new(root, "context", json_integer((json_int_t)e->context)) |
              json_object_set_new(root, "text_tokens", json_integer((json_int_t)e->text_tokens)) |
              json_object_set_new(root, "added_bos", json_boolean(e->added_bos)) | json_object_set_new(metrics, "perplexity", perplexity(t));
    if (e->has_baseline) {
        const FbPaired same = {1, t->same_top, t->same_top - 1, t->same_top_low - 1, t->same_top_high - 1, NAN};
        bad |= json_object_set_new(metrics, "kld", kld(t)) | json_object_set_new(metrics, "same_top", metric(&same)) |
               json_object_set_new(root, "probability", probability(t)) | put(root, "agreement", t->same_top) |
               put(root, "agreement_low", t->same_top_low) | put(root, "agreement_high", t->same_top_high);
    }
    if (e->saved_bytes > 0) {
        bad |= json_object_set_new(root, "saved_bytes", json_integer((json_int_t)e->saved_bytes)) |
               json_object_set_new(root, "full_logit_bytes", json_integer((json_int_t)e->full_bytes));
    }
    return bad;
}

static json_t *choice_metric(const FbPaired *paired, double low, double high)
{
    json_t *object = metric(paired);
    if (put(object, "model_low", low) | put(object, "model_high", high)) {
        json_decref(object);
        return NULL;
    }
    return object;
}

static int fill_choices(json_t *root, json_t *metrics, const FbChoiceStatistics *c)
{
    return json_object_set_new(root, "samples", json_integer((json_int_t)c->questions)) |
           json_object_set_new(metrics, "acc", choice_metric(&c->accuracy, c->low, c->high)) |
           json_object_set_new(metrics, "acc_norm", choice_metric(&c->normalized, c->normalized_low, c->normalized_high));
}

static int fill(json_t *root, const FbLanguageEvaluation *e)
{
    static const char *const gates[] = {"perplexity_percent", "kld", "points"};
    json_t *metrics = json_object();
    int bad = json_object_set_new(root, "schema", json_string("fewbit.evaluate/1")) | json_object_set_new(root, "version", json_string(fb_version())) |
              json_object_set(root, "metrics", metrics);
    bad |= e->is_choice ? fill_choices(root, metrics, &e->choices) : fill_tokens(root, metrics, e);
    json_decref(metrics);
    if (e->has_loss) {
        json_t *loss = json_pack("{s:s, s:o, s:o, s:o}", "unit", gates[e->gate], "value", number(e->loss), "low", number(e->loss_low), "high",
                                 number(e->loss_high));
        if (e->gate != FB_GATE_KLD) {
            bad |= json_object_set_new(loss, "verdict", json_string(fb_verdict_of_loss(e->loss)->name));
        }
        bad |= json_object_set_new(root, "loss", loss);
    }
    if (e->gate_set) {
        bad |= json_object_set_new(root, "gate",
                                   json_pack("{s:b, s:o, s:I}", "passed", e->gate_passed, "threshold", number(e->gate_threshold), "samples_needed",
                                             (json_int_t)e->samples_needed));
    }
    return bad | json_object_set_new(root, "seconds",
                                     json_pack("{s:o, s:o}", "baseline", number(e->baseline_seconds), "model", number(e->model_seconds)));
}

FbStatus fb_language_evaluation_json(FbContext *context, const FbLanguageEvaluation *evaluation, char **json, FbError *err)
{
    json_t *root = json_object();
    *json = NULL;
    FbStatus status = root == NULL || fill(root, evaluation) != 0 ? fb_error_set(err, FB_ERR_NO_MEMORY, "no memory for the evaluation's JSON")
                                                                  : fb_json_dump(context, root, true, json, err);
    json_decref(root);
    return status;
}
