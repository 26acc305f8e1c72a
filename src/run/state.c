/* What a session keeps between runs: one cache of keys and values for all steps that need it, those of nested plans included. */
#include "ops/cached_attention.h"
#include "run/compile.h"
#include "run/instance.h"

enum { LAYER_WORDS = FB_KV_LAYERS_MAX / 64 };

/* Checks that no two steps share a layer; makes room for the layer when its sizes are known. */
static FbStatus keep_step(const FbPlan *plan, const FbStep *step, FbKvCache *cache, uint64_t *used, FbError *err)
{
    const FbCachedParams *p = step->params;
    uint64_t bit = (uint64_t)1 << p->layer % 64, *word = &used[p->layer / 64];
    if (*word & bit) {
        return fb_error_set(err, FB_ERR_FORMAT, "two nodes keep their keys and values in layer %lld", (long long)p->layer);
    }
    *word |= bit;
    const FbShape *key = &plan->values[step->inputs[1]].shape, *value = &plan->values[step->inputs[2]].shape;
    if (cache->capacity == 0 || key->rank != 2 || value->rank != 2 || key->dims[1] <= 0 || value->dims[1] <= 0) {
        return FB_OK;
    }
    FbKvLayer *layer;
    return fb_kv_cache_layer(cache, p->layer, (size_t)p->kv_heads, (size_t)(key->dims[1] / p->kv_heads), (size_t)(value->dims[1] / p->kv_heads),
                             &layer, err);
}

static bool has_state(const FbPlan *plan)
{
    for (size_t s = 0; s < plan->step_count; s++) {
        const FbStep *step = &plan->steps[s];
        if (step->op != NULL && (step->op->flags & FB_OP_STATE) != 0) {
            return true;
        }
        for (uint32_t b = 0; b < step->body_count; b++) {
            if (has_state(step->bodies[b])) {
                return true;
            }
        }
    }
    return false;
}

static FbStatus keep_steps(FbInstance *instance, FbKvCache *cache, uint64_t *used, FbError *err)
{
    const FbPlan *plan = instance->plan;
    instance->cache = cache;
    for (size_t s = 0; s < plan->step_count; s++) {
        const FbStep *step = &plan->steps[s];
        if (step->op != NULL && (step->op->flags & FB_OP_STATE) != 0) {
            FbStatus status = keep_step(plan, step, cache, used, err);
            if (status != FB_OK) {
                return fb_node_error(step->node, status, err);
            }
        }
        for (uint32_t b = 0; b < step->body_count; b++) {
            FB_TRY(keep_steps(instance->bodies[s][b], cache, used, err));
        }
    }
    return FB_OK;
}

FbStatus fb_instance_keep(FbInstance *instance, const FbSessionOptions *options, FbKvCache **cache, FbError *err)
{
    uint64_t used[LAYER_WORDS] = {0};
    *cache = NULL;
    if (!has_state(instance->plan)) {
        return FB_OK;
    }
    FB_TRY(fb_kv_cache_create(instance->context, options->cache_type, options->cache_capacity, options->cache_sequences, cache, err));
    return keep_steps(instance, *cache, used, err);
}
