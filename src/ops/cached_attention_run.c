/* Attention of domain fewbit: checks what the run says of positions, keeps the new keys and values, attends block by block. */
#include <math.h>

#include "ops/cached_attention.h"

enum { ROWS_MAX = 32, SMALL_WORK = 1 << 15 }; /* rows of a piece; multiply-accumulates that are not worth waking a thread */

typedef struct Span { /* tokens one after the other of one sequence */
    size_t first_token, count, first_tile;
    int64_t sequence, position;
} Span;

typedef struct CachedJob {
    const FbCall *call;
    const FbCachedParams *params;
    FbCachedSizes size;
    FbKvCache *cache;
    FbKvLayer *layer;
    const FbAttentionKernel *kernel;
    const float *slopes;
    float scale;
    Span *spans;
    size_t span_count, tile_count;
    size_t heads, parts, tokens;  /* of a tile: query heads, how many such make a group, tokens */
    uint8_t *slots;
    size_t slot_bytes;
} CachedJob;

/* A thread's memory. */
typedef struct CachedSlot { FbAttentionRow *rows; float *queries, *sums, *scores, *block; } CachedSlot;

static size_t aligned(size_t bytes) { return (bytes + 63) / 64 * 64; }

FbCachedSizes fb_cached_sizes(const FbCall *call)
{
    const FbCachedParams *p = call->params;
    FbCachedSizes s = {.tokens = (size_t)call->inputs[0]->dims[0], .q_heads = (size_t)p->q_heads, .kv_heads = (size_t)p->kv_heads};
    s.group = s.q_heads / s.kv_heads;
    s.depth = (size_t)call->inputs[0]->dims[1] / s.q_heads;
    s.value_depth = (size_t)call->inputs[2]->dims[1] / s.kv_heads;
    return s;
}

/* Bytes of the parts of a thread's memory, in their order. */
typedef struct SlotBytes { size_t rows, queries, sums, scores, block; } SlotBytes;

static SlotBytes slot_bytes(const FbCachedSizes *s)
{
    return (SlotBytes){aligned(ROWS_MAX * sizeof(FbAttentionRow)), aligned(ROWS_MAX * s->depth * sizeof(float)),
                       aligned(ROWS_MAX * s->value_depth * sizeof(float)), ROWS_MAX * FB_ATTENTION_KEYS * sizeof(float),
                       FB_ATTENTION_KEYS * (s->depth + s->value_depth) * sizeof(float)};
}

static size_t slot_total(const FbCachedSizes *s)
{
    const SlotBytes b = slot_bytes(s);
    return b.rows + b.queries + b.sums + b.scores + b.block;
}

static CachedSlot lay_slot(const FbCachedSizes *s, uint8_t *base)
{
    const SlotBytes b = slot_bytes(s);
    CachedSlot slot;
    slot.rows = (FbAttentionRow *)(void *)base;
    slot.queries = (float *)(void *)(base + b.rows);
    slot.sums = (float *)(void *)(base + b.rows + b.queries);
    slot.scores = (float *)(void *)(base + b.rows + b.queries + b.sums);
    slot.block = (float *)(void *)(base + b.rows + b.queries + b.sums + b.scores);
    return slot;
}

size_t fb_cached_scratch(const FbCall *call)
{
    FbCachedSizes s = fb_cached_sizes(call);
    return aligned((s.tokens + 1) * sizeof(Span)) + (size_t)fb_context_threads(call->context) * slot_total(&s);
}

static FbStatus check_token(const CachedJob *job, size_t t, int64_t sequence, const Span *last, FbError *err)
{
    int64_t position = ((const int64_t *)job->call->inputs[3]->data)[t], held = job->layer->sequences[sequence].held;
    if (position < 0 || position >= INT32_MAX) {
        return fb_error_set(err, FB_ERR_ARGUMENT, "token %zu is at position %lld", t, (long long)position);
    }
    if (last != NULL) {
        int64_t next = last->position + (int64_t)last->count;
        return position == next ? FB_OK
                                : fb_error_set(err, FB_ERR_ARGUMENT, "token %zu of sequence %lld is at position %lld, expected %lld behind the last",
                                               t, (long long)sequence, (long long)position, (long long)next);
    }
    return position <= held ? FB_OK
                            : fb_error_set(err, FB_ERR_ARGUMENT, "token %zu of sequence %lld is at position %lld, but only %lld tokens are held", t,
                                           (long long)sequence, (long long)position, (long long)held);
}

/* Cuts the tokens into spans, checks them, and makes room. Nothing of the cache has changed when this fails but its capacity. */
static FbStatus find_spans(CachedJob *job, FbError *err)
{
    const int64_t *sequences = job->call->inputs[4]->data;
    for (size_t t = 0; t < job->size.tokens; t++) {
        FB_TRY(fb_kv_cache_reserve(job->cache, job->layer, sequences[t], 0, err));
        size_t *mark = &job->layer->sequences[sequences[t]].mark; /* its last span, if that is of this run */
        Span *last = *mark < job->span_count && job->spans[*mark].sequence == sequences[t] ? &job->spans[*mark] : NULL;
        FB_TRY(check_token(job, t, sequences[t], last, err));
        if (last != NULL && last->first_token + last->count == t) {
            last->count++;
            continue;
        }
        *mark = job->span_count;
        job->spans[job->span_count++] = (Span){.first_token = t, .count = 1, .sequence = sequences[t],
                                               .position = ((const int64_t *)job->call->inputs[3]->data)[t]};
    }
    for (size_t s = 0; s < job->span_count; s++) {
        Span *span = &job->spans[s];
        span->first_tile = job->tile_count;
        job->tile_count += (span->count + job->tokens - 1) / job->tokens;
        FB_TRY(fb_kv_cache_reserve(job->cache, job->layer, span->sequence, (uint64_t)span->position + span->count, err));
    }
    return FB_OK;
}

static void store_task(void *arg, size_t slot, size_t begin, size_t end)
{
    const CachedJob *job = arg;
    const FbCachedSizes *s = &job->size;
    const float *keys = job->call->inputs[1]->data, *values = job->call->inputs[2]->data;
    (void)slot;
    for (size_t head = begin; head < end; head++) {
        for (size_t i = 0; i < job->span_count; i++) {
            const Span *span = &job->spans[i];
            for (size_t t = 0; t < span->count; t++) {
                const size_t row = (span->first_token + t) * s->kv_heads + head;
                fb_kv_store(job->cache, job->layer, span->sequence, head, (uint64_t)span->position + t, keys + row * s->depth,
                            values + row * s->value_depth);
            }
        }
    }
}

/* The rows of a tile: its tokens, each with the query heads of one part of a group. */
static size_t make_rows(const CachedJob *job, const Span *span, size_t first, size_t count, size_t q_head, size_t heads, const CachedSlot *slot)
{
    const FbCachedSizes *s = &job->size;
    const float *queries = job->call->inputs[0]->data;
    size_t n = 0;
    for (size_t t = first; t < first + count; t++) {
        for (size_t h = q_head; h < q_head + heads; h++, n++) {
            const float *from = queries + ((span->first_token + t) * s->q_heads + h) * s->depth;
            float *to = slot->queries + n * s->depth;
            for (size_t d = 0; d < s->depth; d++) {
                to[d] = from[d] * job->scale;
            }
            slot->rows[n] = (FbAttentionRow){.query = to, .sum = slot->sums + n * s->value_depth, .max = -INFINITY,
                                             .slope = job->slopes != NULL ? job->slopes[h] : 0.0f};
        }
    }
    memset(slot->sums, 0, n * s->value_depth * sizeof *slot->sums);
    return n;
}

/* What the rows at positions [position, position + count) see of a block; *first and *end: what any of them does. */
static void set_views(const CachedJob *job, const CachedSlot *slot, size_t heads, size_t count, int64_t position, int64_t block, uint32_t *first,
                      uint32_t *end)
{
    const int64_t start = block * FB_ATTENTION_KEYS, window = job->params->window;
    *first = FB_ATTENTION_KEYS;
    *end = 0;
    for (size_t t = 0; t < count; t++) {
        const int64_t at = position + (int64_t)t;
        int64_t low = window > 0 && at - window + 1 > start ? at - window + 1 - start : 0;
        int64_t high = at - start + 1 < FB_ATTENTION_KEYS ? at - start + 1 : FB_ATTENTION_KEYS;
        high = high < 0 ? 0 : high;
        low = low > high ? high : low;
        *first = low < *first && low < high ? (uint32_t)low : *first;
        *end = high > *end && low < high ? (uint32_t)high : *end;
        for (size_t h = 0; h < heads; h++) {
            FbAttentionRow *row = &slot->rows[t * heads + h];
            row->first = (uint32_t)low;
            row->end = (uint32_t)high;
            row->distance = (float)(start - at);
        }
    }
}

static void attend_tile(const CachedJob *job, const Span *span, size_t tile, size_t head, const CachedSlot *slot)
{
    const FbCachedSizes *s = &job->size;
    const size_t first = tile * job->tokens, count = span->count - first < job->tokens ? span->count - first : job->tokens;
    const size_t kv_head = head / job->parts, part = head % job->parts * job->heads;
    const size_t heads = s->group - part < job->heads ? s->group - part : job->heads, q_head = kv_head * s->group + part;
    const int64_t position = span->position + (int64_t)first, last = position + (int64_t)count - 1, window = job->params->window;
    const size_t rows = make_rows(job, span, first, count, q_head, heads, slot);
    FbAttentionBlock block = {.depth = s->depth, .value_depth = s->value_depth, .row_count = rows, .rows = slot->rows,
                              .softcap = job->params->softcap, .scores = slot->scores};
    int64_t b = window > 0 && position - window + 1 > 0 ? (position - window + 1) / FB_ATTENTION_KEYS : 0;
    for (; b <= last / FB_ATTENTION_KEYS; b++) {
        uint32_t low, high;
        set_views(job, slot, heads, count, position, b, &low, &high);
        if (low < high) {
            fb_kv_load(job->cache, job->layer, span->sequence, kv_head, (size_t)b, low, high, job->kernel, slot->block, &block.keys, &block.values);
            job->kernel->add(&block);
        }
    }
    float *output = job->call->outputs[0]->data;
    for (size_t n = 0; n < rows; n++) {
        float *to = output + ((span->first_token + first + n / heads) * s->q_heads + q_head + n % heads) * s->value_depth;
        job->kernel->finish(&slot->rows[n], s->value_depth);
        memcpy(to, slot->rows[n].sum, s->value_depth * sizeof *to);
    }
}

static const Span *span_of_tile(const CachedJob *job, size_t tile)
{
    size_t low = 0, high = job->span_count; /* the answer is in [low, high) */
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        *(job->spans[middle].first_tile <= tile ? &low : &high) = middle;
    }
    return &job->spans[low];
}

static void cached_task(void *arg, size_t slot_number, size_t begin, size_t end)
{
    const CachedJob *job = arg;
    const size_t heads = job->size.kv_heads * job->parts;
    const CachedSlot slot = lay_slot(&job->size, job->slots + slot_number * job->slot_bytes);
    for (size_t i = begin; i < end && !fb_cancelled(job->call->context); i++) {
        const Span *span = span_of_tile(job, i / heads);
        attend_tile(job, span, i / heads - span->first_tile, i % heads, &slot);
    }
}

static void cached_job(const FbCall *call, CachedJob *job)
{
    const FbTensor *slopes = fb_call_input(call, 5);
    *job = (CachedJob){.call = call, .params = call->params, .size = fb_cached_sizes(call), .cache = call->cache};
    const FbCachedSizes *s = &job->size;
    job->kernel = fb_attention_f32_pick(fb_context_cpu(call->context));
    job->slopes = slopes != NULL ? slopes->data : NULL;
    job->scale = job->params->scale > 0 ? job->params->scale : 1.0f / sqrtf((float)s->depth);
    job->heads = s->group < ROWS_MAX ? s->group : ROWS_MAX;
    job->parts = (s->group + job->heads - 1) / job->heads;
    job->tokens = ROWS_MAX / job->heads;
    job->spans = call->scratch;
    job->slots = (uint8_t *)call->scratch + aligned((s->tokens + 1) * sizeof(Span));
    job->slot_bytes = slot_total(s);
}

FbStatus fb_cached_run(const FbCall *call, FbError *err)
{
    CachedJob job;
    if (call->cache == NULL) {
        return fb_error_set(err, FB_ERR_UNSUPPORTED, "no session keeps the keys and values of this run");
    }
    cached_job(call, &job);
    const FbCachedSizes *s = &job.size;
    FB_TRY(fb_kv_cache_layer(job.cache, job.params->layer, s->kv_heads, s->depth, s->value_depth, &job.layer, err));
    if (s->tokens == 0) {
        return FB_OK;
    }
    FB_TRY(find_spans(&job, err));
    const size_t stored = s->tokens * (s->depth + s->value_depth);
    fb_parallel(call->context, store_task, &job, s->kv_heads, stored * s->kv_heads < SMALL_WORK ? s->kv_heads : 1);
    uint64_t seen = 0;
    for (size_t i = 0; i < job.span_count; i++) {
        const Span *span = &job.spans[i];
        job.layer->sequences[span->sequence].held = span->position + (int64_t)span->count;
        seen += ((uint64_t)span->position + span->count) * span->count;
    }
    const size_t pieces = job.tile_count * s->kv_heads * job.parts;
    const bool small = seen < SMALL_WORK && seen * s->q_heads * (s->depth + s->value_depth) < SMALL_WORK;
    fb_parallel(call->context, cached_task, &job, pieces, small ? pieces : 1);
    return fb_check_cancel(call->context, err);
}
