/* The simulated execution beside the integer one. */
#include "evaluate/executions.h"

#include <string.h>

FbStatus fb_executions_init(FbExecutions *x, FbContext *context, const FbModel *model, const FbTally *like, FbError *err)
{
    FbSessionOptions options = {.struct_bytes = sizeof options, .mode = FB_MODE_SIMULATED};
    *x = (FbExecutions){.context = context, .output_count = like->output_count};
    FB_TRY(fb_session_create(context, model, &options, &x->session, err));
    x->outputs = fb_alloc_zero(context, (x->output_count + 1) * sizeof *x->outputs);
    if (x->outputs == NULL) {
        return fb_error_memory(context, err, "evaluation", x->output_count * sizeof *x->outputs);
    }
    FB_TRY(fb_tally_init(&x->simulated, context, like->names, like->output_count, like->judged, err));
    FB_TRY(fb_tally_init(&x->between, context, like->names, like->output_count, like->judged, err));
    x->simulated.mask_input = x->between.mask_input = like->mask_input;
    return fb_code_count_init(&x->codes, context, model, err);
}

FbStatus fb_executions_add(FbExecutions *x, const FbSample *sample, const FbTensor *baseline, const FbTensor *integer, FbError *err)
{
    FB_TRY(fb_session_run(x->session, sample->inputs, sample->input_count, x->outputs, x->output_count, err));
    FB_TRY(fb_tally_add(&x->simulated, sample, baseline, x->outputs, err));
    FB_TRY(fb_tally_add(&x->between, sample, x->outputs, integer, err));
    return fb_code_count_add(&x->codes, sample, err);
}

FbStatus fb_executions_finish(const FbExecutions *x, bool has_baseline, FbArena *arena, FbEvaluation *e, FbError *err)
{
    const FbTally *between = &x->between;
    e->has_executions = 1;
    e->code_samples = (size_t)x->codes.samples;
    e->codes_compared = (size_t)x->codes.compared;
    e->codes_differing = (size_t)x->codes.differing;
    fb_tally_proportions(&x->simulated, has_baseline, &e->simulated_top1, &e->simulated_top5, &e->simulated_agreement);
    e->execution_differing_top1 = between->classes > 0 ? (size_t)(between->samples - between->same_top1) : 0;
    e->execution_outputs = fb_arena_array(arena, between->output_count + 1, sizeof *e->execution_outputs);
    if (e->execution_outputs == NULL) {
        return fb_error_memory(x->context, err, "evaluation", between->output_count * sizeof *e->execution_outputs);
    }
    e->execution_output_count = between->output_count;
    for (size_t i = 0; i < between->output_count; i++) {
        fb_difference_finish(&between->sums[i], &e->execution_outputs[i]);
        e->execution_outputs[i].name = fb_arena_strdup(arena, between->names[i]);
        if (e->execution_outputs[i].name == NULL) {
            return fb_error_memory(x->context, err, "evaluation", strlen(between->names[i]));
        }
    }
    return FB_OK;
}

void fb_executions_reset(FbExecutions *x)
{
    if (x->context != NULL) {
        fb_tally_reset(&x->simulated);
        fb_tally_reset(&x->between);
        fb_code_count_reset(&x->codes);
        fb_free(x->context, x->outputs);
        fb_session_free(x->session);
    }
    memset(x, 0, sizeof *x);
}
