/* The public session: a plan, one instance of it, and the checks of what the caller feeds. */
#include "base/option_struct.h"
#include "base/text.h"
#include "ops/kv_cache.h"
#include "run/plan.h"

struct FbSession {
    FbContext *context;
    FbPlan *plan;
    FbInstance *instance;
    FbKvCache *cache;
    const FbTensor **inputs;
};

void fb_session_free(FbSession *session)
{
    if (session == NULL) {
        return;
    }
    fb_instance_free(session->instance);
    fb_kv_cache_free(session->cache);
    fb_plan_free(session->plan);
    fb_free(session->context, session->inputs);
    fb_free(session->context, session);
}

static FbStatus read_options(const FbSessionOptions *given, FbSessionOptions *options, FbError *err)
{
    *options = (FbSessionOptions){.struct_bytes = sizeof *options};
    FB_TRY(fb_options_read(options, sizeof *options, given, "FbSessionOptions", err));
    if (options->observed_count > 0 && (options->observed == NULL || options->observe == NULL)) {
        return fb_error_set(err, FB_ERR_ARGUMENT, "observed values need names and an observe function");
    }
    return FB_OK;
}

static FbStatus build(FbSession *session, const FbModel *model, const FbSessionOptions *options, FbError *err)
{
    FbPlanOptions plan_options = {.mode = options->mode, .observed = options->observed, .observed_count = options->observed_count};
    FB_TRY(fb_plan_create(session->context, model, &plan_options, &session->plan, err));
    FB_TRY(fb_instance_create(session->plan, &session->instance, err));
    FB_TRY(fb_instance_keep(session->instance, options, &session->cache, err));
    fb_instance_observe(session->instance, options->observe, options->observe_user);
    session->inputs = fb_alloc_zero(session->context, (session->plan->input_count + 1) * sizeof(FbTensor *));
    return session->inputs != NULL ? FB_OK : fb_error_memory(session->context, err, "a session", 0);
}

FbStatus fb_session_create(FbContext *context, const FbModel *model, const FbSessionOptions *given, FbSession **out, FbError *err)
{
    FbSessionOptions options;
    *out = NULL;
    FB_TRY(read_options(given, &options, err));
    FbSession *session = fb_alloc_zero(context, sizeof *session);
    if (session == NULL) {
        return fb_error_memory(context, err, "a session", sizeof *session);
    }
    session->context = context;
    FbStatus status = build(session, model, &options, err);
    if (status != FB_OK) {
        fb_session_free(session);
        return status;
    }
    *out = session;
    return FB_OK;
}

/* A tensor of the caller against the declaration of an input. */
static FbStatus check_input(const char *name, const FbType *declared, const FbTensor *given, FbError *err)
{
    char shown[160], got[128], want[128];
    FbShape shape = fb_shape_make(given->rank < 0 || given->rank > FB_RANK_MAX ? -1 : given->rank, given->dims);
    fb_escape(name, shown, sizeof shown);
    fb_shape_text(&shape, got, sizeof got);
    fb_shape_text(&declared->shape, want, sizeof want);
    if (declared->dtype != FB_DTYPE_NONE && given->dtype != declared->dtype) {
        return fb_error_set(err, FB_ERR_ARGUMENT, "input '%s' is of type %s, expected %s", shown, fb_dtype_name(given->dtype),
                            fb_dtype_name(declared->dtype));
    }
    bool fits = shape.rank >= 0 && (declared->shape.rank < 0 || declared->shape.rank == shape.rank);
    for (int i = 0; fits && i < shape.rank; i++) {
        fits = shape.dims[i] >= 0 && (declared->shape.rank < 0 || declared->shape.dims[i] < 0 || declared->shape.dims[i] == shape.dims[i]);
    }
    if (!fits) {
        return fb_error_set(err, FB_ERR_ARGUMENT, "input '%s' has shape %s, expected %s", shown, got, want);
    }
    int64_t elements = fb_shape_elements(&shape);
    uint64_t bytes;
    if (elements < 0 || !fb_dtype_storage(given->dtype, (uint64_t)elements, &bytes) || bytes != given->bytes) {
        return fb_error_set(err, FB_ERR_ARGUMENT, "input '%s' of type %s and shape %s does not have the %zu bytes given", shown,
                            fb_dtype_name(given->dtype), got, given->bytes);
    }
    size_t element = (size_t)fb_dtype_bits(given->dtype) / 8;
    if ((given->data == NULL && bytes > 0) || (element > 1 && (uintptr_t)given->data % element != 0)) {
        return fb_error_set(err, FB_ERR_ARGUMENT, "input '%s' has no data, or data that is not aligned to its elements", shown);
    }
    return FB_OK;
}

FbStatus fb_session_run(FbSession *session, const FbTensor *inputs, size_t input_count, FbTensor *outputs, size_t output_count, FbError *err)
{
    const FbPlan *plan = session->plan;
    if (input_count != plan->input_count || output_count != plan->output_count) {
        return fb_error_set(err, FB_ERR_ARGUMENT, "the model has %zu inputs and %zu outputs, got %zu and %zu", plan->input_count,
                            plan->output_count, input_count, output_count);
    }
    for (size_t i = 0; i < input_count; i++) {
        FB_TRY(check_input(plan->values[plan->inputs[i]].name, &plan->input_types[i], &inputs[i], err));
        session->inputs[i] = &inputs[i];
    }
    return fb_instance_run(session->instance, session->inputs, outputs, err);
}

size_t fb_session_step_count(const FbSession *session)
{
    return fb_instance_step_count(session->instance);
}

int fb_session_step(const FbSession *session, size_t index, FbStepInfo *info)
{
    return fb_instance_step(session->instance, index, info);
}

void fb_session_profile(FbSession *session, int on)
{
    fb_instance_profile(session->instance, on != 0);
}

uint64_t fb_session_cache_bytes(const FbSession *session)
{
    return session->cache != NULL ? session->cache->bytes : 0;
}

const FbPlan *fb_session_plan(const FbSession *session)
{
    return session->plan;
}

FbInstance *fb_session_instance(FbSession *session)
{
    return session->instance;
}
