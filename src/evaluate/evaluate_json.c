/* The document "fewbit.evaluate/1". */
#include <math.h>

#include "base/json.h"
#include "evaluate/paired.h"

/* NaN and infinity have no JSON form: null. */
static json_t *number(double value) { return isfinite(value) ? json_real(value) : json_null(); }

static json_t *paired(const FbPaired *p)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "baseline", number(p->baseline), "model", number(p->model), "difference",
                     number(p->difference), "low", number(p->low), "high", number(p->high), "p_value", number(p->p_value));
}

static json_t *output(const FbOutputDifference *o)
{
    return json_pack("{s:s, s:o, s:b, s:o, s:b, s:o, s:o, s:o, s:I, s:I}", "name", o->name, "sqnr_db", number(o->sqnr_db), "exact",
                     isinf(o->sqnr_db) && o->sqnr_db > 0, "cosine", number(o->cosine), "pooled", o->pooled, "mean_difference", number(o->mean_difference),
                     "max_difference", number(o->max_difference), "range", number(o->range), "elements", (json_int_t)o->elements, "differing",
                     (json_int_t)o->differing);
}

static const FbOutputDifference *judged_output(const FbEvaluation *e)
{
    for (size_t i = 0; i < e->output_count; i++) {
        if (e->judged != NULL && e->outputs[i].name == e->judged) {
            return &e->outputs[i];
        }
    }
    return e->output_count > 0 ? &e->outputs[0] : NULL;
}

/* Integers against their simulation. */
static json_t *executions(const FbEvaluation *e)
{
    json_t *root = json_object(), *outputs = json_array();
    int bad = 0;
    json_int_t differing = 0;
    for (size_t i = 0; i < e->execution_output_count; i++) {
        bad |= json_array_append_new(outputs, output(&e->execution_outputs[i]));
        differing += (json_int_t)e->execution_outputs[i].differing;
    }
    bad |= json_object_set_new(root, "differing", json_integer(differing));
    bad |= json_object_set_new(root, "differing_top1", json_integer((json_int_t)e->execution_differing_top1));
    bad |= json_object_set_new(root, "outputs", outputs);
    bad |= json_object_set_new(root, "codes",
                               json_pack("{s:I, s:I, s:I}", "samples", (json_int_t)e->code_samples, "compared", (json_int_t)e->codes_compared, "differing",
                                         (json_int_t)e->codes_differing));
    if (e->has_top1) {
        bad |= json_object_set_new(root, "simulated_top1", paired(&e->simulated_top1));
    }
    if (e->has_top5) {
        bad |= json_object_set_new(root, "simulated_top5", paired(&e->simulated_top5));
    }
    if (e->has_agreement) {
        bad |= json_object_set_new(root, "simulated_agreement", number(e->simulated_agreement));
    }
    if (bad) {
        json_decref(root);
        return NULL;
    }
    return root;
}

/* Failed allocations leave NULL values behind, which the json_object_set_new calls report. */
static int fill(json_t *root, const FbEvaluation *e)
{
    json_t *metrics = json_object(), *outputs = json_array();
    int bad = 0;
    if (e->has_top1) {
        bad |= json_object_set_new(metrics, "top1", paired(&e->top1));
    }
    if (e->has_top5) {
        bad |= json_object_set_new(metrics, "top5", paired(&e->top5));
    }
    for (size_t i = 0; i < e->output_count; i++) {
        bad |= json_array_append_new(outputs, output(&e->outputs[i]));
    }
    bad |= json_object_set_new(root, "schema", json_string("fewbit.evaluate/1"));
    bad |= json_object_set_new(root, "version", json_string(fb_version()));
    bad |= json_object_set_new(root, "samples", json_integer((json_int_t)e->samples));
    bad |= json_object_set_new(root, "labels", json_boolean(e->has_labels));
    bad |= json_object_set_new(root, "output", json_string(e->judged));
    bad |= json_object_set_new(root, "metrics", metrics);
    if (e->has_agreement) {
        bad |= json_object_set_new(root, "agreement", number(e->agreement));
        bad |= json_object_set_new(root, "agreement_low", number(e->agreement_low));
        bad |= json_object_set_new(root, "agreement_high", number(e->agreement_high));
        bad |= json_object_set_new(root, "differing_top1", json_integer((json_int_t)e->differing_top1));
    }
    const FbOutputDifference *first = judged_output(e);
    if (first != NULL) {
        bad |= json_object_set_new(root, "sqnr_db", number(first->sqnr_db));
        bad |= json_object_set_new(root, "exact", json_boolean(isinf(first->sqnr_db) && first->sqnr_db > 0));
        bad |= json_object_set_new(root, "cosine", number(first->cosine));
    }
    bad |= json_object_set_new(root, "outputs", outputs);
    if (e->has_loss) {
        bad |= json_object_set_new(root, "loss",
                                   json_pack("{s:o, s:o, s:o, s:s}", "points", number(e->loss_points), "low", number(e->loss_low), "high",
                                             number(e->loss_high), "verdict", fb_verdict_of_loss(e->loss_points)->name));
    }
    if (e->gate_set) {
        bad |= json_object_set_new(root, "gate",
                                   json_pack("{s:b, s:o, s:I}", "passed", e->gate_passed, "threshold", number(e->gate_threshold),
                                             "samples_needed", (json_int_t)e->samples_needed));
    }
    if (e->has_executions) {
        bad |= json_object_set_new(root, "integer_against_simulated", executions(e));
    }
    bad |= json_object_set_new(root, "seconds",
                               json_pack("{s:o, s:o}", "baseline", number(e->baseline_seconds), "model", number(e->model_seconds)));
    return bad;
}

FbStatus fb_evaluation_json(FbContext *context, const FbEvaluation *evaluation, char **json, FbError *err)
{
    json_t *root = json_object();
    *json = NULL;
    FbStatus status = root == NULL || fill(root, evaluation) != 0 ? fb_error_set(err, FB_ERR_NO_MEMORY, "no memory for the evaluation's JSON")
                                                                  : fb_json_dump(context, root, true, json, err);
    json_decref(root);
    return status;
}
