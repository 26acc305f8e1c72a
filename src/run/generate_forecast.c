/* What a generator will hold, from the model's configuration and the table of its weights. */
#include <stdlib.h>
#include <string.h>

#include "fewbit/generate.h"
#include "fewbit/language.h"
#include "graph/model.h"
#include "ops/kv_cache.h"

enum { FORECAST_CHUNK = 512 };

static int by_number(uint64_t a, uint64_t b) { return (a > b) - (a < b); }

static int by_plane(const void *left, const void *right)
{
    const FbPlane *a = &(*(FbConst *const *)left)->planes[FB_PLANE_CODES], *b = &(*(FbConst *const *)right)->planes[FB_PLANE_CODES];
    int order = by_number((uintptr_t)a->source, (uintptr_t)b->source);
    order = order != 0 ? order : by_number((uintptr_t)a->buffer, (uintptr_t)b->buffer);
    order = order != 0 ? order : by_number(a->offset, b->offset);
    return order != 0 ? order : by_number(a->bytes, b->bytes);
}

/* The same bytes stand for several constants where weights are shared: they count once. */
static FbStatus stored_bytes(const FbGraph *graph, uint64_t *bytes, FbError *err)
{
    FbContext *context = fb_arena_context(graph->arena);
    const size_t count = graph->constant_count;
    FbConst **sorted = fb_alloc_array(context, count + 1, sizeof(FbConst *));
    *bytes = 0;
    if (sorted == NULL) {
        return fb_error_memory(context, err, "a list of weights", count * sizeof(FbConst *));
    }
    for (size_t i = 0; i < count; i++) {
        sorted[i] = graph->constants[i];
    }
    qsort(sorted, count, sizeof(FbConst *), by_plane);
    for (size_t i = 0; i < count; i++) {
        *bytes += i == 0 || by_plane(&sorted[i - 1], &sorted[i]) != 0 ? fb_const_stored_bytes(sorted[i]) : 0;
    }
    fb_free(context, sorted);
    return FB_OK;
}

static uint64_t larger(uint64_t a, uint64_t b) { return a > b ? a : b; }

/* Values that live at the same time: in the feed-forward part, or around attention; codes of a product's input; one row of logits each. */
static uint64_t scratch_bytes(const FbContext *context, const FbLanguageInfo *info, uint64_t tokens, uint64_t sequences)
{
    const uint64_t hidden = (uint64_t)info->hidden, inner = (uint64_t)info->feed_forward, head = (uint64_t)info->head_dim;
    const uint64_t queries = (uint64_t)info->q_heads * head, keys = (uint64_t)info->kv_heads * head;
    const uint64_t values = larger(2 * hidden + 2 * inner, 2 * hidden + 2 * queries + 3 * keys) * sizeof(float);
    const uint64_t codes = larger(inner, hidden) + larger(inner, hidden) / 8;
    const uint64_t slots = (uint64_t)fb_context_threads(context) * (FB_ATTENTION_KEYS + 32) * 2 * head * sizeof(float);
    return tokens * (values + codes) + sequences * (uint64_t)info->vocabulary * sizeof(float) + slots;
}

FbStatus fb_generator_forecast(const FbContext *context, const FbModel *model, const FbGeneratorOptions *options, FbMemoryForecast *forecast,
                               FbError *err)
{
    const FbLanguageInfo *info = fb_language_info(model);
    size_t head_bytes, unused;
    *forecast = (FbMemoryForecast){0};
    if (info == NULL || info->layers < 1 || info->layers > FB_KV_LAYERS_MAX || info->kv_heads < 1 || info->head_dim < 1 ||
        !fb_kv_layout(options->cache_type, (size_t)info->head_dim, (size_t)info->head_dim, &head_bytes, &unused)) {
        return fb_error_set(err, FB_ERR_UNSUPPORTED, "not a language model whose configuration tells what it keeps");
    }
    if (options->context > INT32_MAX || options->sequences > FB_KV_SEQUENCES_MAX) {
        return fb_error_set(err, FB_ERR_ARGUMENT, "a context of %llu tokens for %zu sequences", (unsigned long long)options->context, options->sequences);
    }
    FB_TRY(stored_bytes(model->graph, &forecast->weights, err));
    const uint64_t sequences = options->sequences > 0 ? options->sequences : 1;
    const uint64_t positions = options->context > 0 ? options->context : (uint64_t)info->positions;
    const uint64_t chunk = options->chunk > 0 ? (uint64_t)options->chunk : FORECAST_CHUNK;
    const uint64_t blocks = (positions + FB_ATTENTION_KEYS - 1) / FB_ATTENTION_KEYS;
    forecast->per_block = sequences * (uint64_t)info->layers * (uint64_t)info->kv_heads * head_bytes;
    forecast->cache = blocks * forecast->per_block;
    forecast->scratch = scratch_bytes(context, info, positions < chunk ? positions : chunk, sequences);
    return FB_OK;
}
