/* The cache of keys and values: layout, growth, and conversion to and from what is stored. */
#include "ops/kv_cache.h"

#include <math.h>
#include <string.h>

#include "base/checked.h"
#include "tensor/dtype.h"

enum { KEYS = FB_ATTENTION_KEYS, HEAD_SIZE_MAX = 1 << 16 };

static size_t aligned(size_t bytes) { return (bytes + 63) / 64 * 64; }
static size_t runs_of(size_t count) { return (count + FB_KV_RUN - 1) / FB_KV_RUN; }

/* Bytes of KEYS vectors of `count` numbers; codes are followed by their scales. */
static size_t part_bytes(FbCacheType type, size_t count)
{
    switch (type) {
    case FB_CACHE_F32:
        return KEYS * count * sizeof(float);
    case FB_CACHE_F16:
        return KEYS * count * sizeof(uint16_t);
    case FB_CACHE_Q8_0:
        return KEYS * (count + runs_of(count) * sizeof(uint16_t));
    }
    return 0;
}

bool fb_kv_layout(FbCacheType type, size_t depth, size_t value_depth, size_t *head_bytes, size_t *value_offset)
{
    if (depth == 0 || value_depth == 0 || depth > HEAD_SIZE_MAX || value_depth > HEAD_SIZE_MAX) {
        return false;
    }
    *value_offset = aligned(part_bytes(type, depth));
    *head_bytes = *value_offset + aligned(part_bytes(type, value_depth));
    return true;
}

FbStatus fb_kv_cache_create(FbContext *context, FbCacheType type, uint64_t capacity, size_t sequences, FbKvCache **out, FbError *err)
{
    *out = NULL;
    if (type != FB_CACHE_F32 && type != FB_CACHE_F16 && type != FB_CACHE_Q8_0) {
        return fb_error_set(err, FB_ERR_ARGUMENT, "cache type %d is none of f32, f16, q8_0", (int)type);
    }
    if (capacity > INT32_MAX || sequences > FB_KV_SEQUENCES_MAX) {
        return fb_error_set(err, FB_ERR_ARGUMENT, "a cache of %zu sequences of %llu positions: at most %d of %d are possible", sequences,
                            (unsigned long long)capacity, FB_KV_SEQUENCES_MAX, INT32_MAX);
    }
    FbKvCache *cache = fb_alloc_zero(context, sizeof *cache);
    if (cache == NULL) {
        return fb_error_memory(context, err, "a cache of keys and values", sizeof *cache);
    }
    cache->context = context;
    cache->type = type;
    cache->capacity = capacity;
    cache->sequence_limit = sequences > 0 ? sequences : capacity > 0 ? 1 : FB_KV_SEQUENCES_MAX;
    *out = cache;
    return FB_OK;
}

void fb_kv_cache_free(FbKvCache *cache)
{
    if (cache == NULL) {
        return;
    }
    for (size_t l = 0; l < cache->layer_count; l++) {
        for (size_t s = 0; s < cache->layers[l].sequence_count; s++) {
            fb_free(cache->context, cache->layers[l].sequences[s].bytes);
        }
        fb_free(cache->context, cache->layers[l].sequences);
    }
    fb_free(cache->context, cache->layers);
    fb_free(cache->context, cache);
}

static FbStatus grow_layers(FbKvCache *cache, size_t count, FbError *err)
{
    if (count <= cache->layer_count) {
        return FB_OK;
    }
    FbKvLayer *layers = fb_realloc_array(cache->context, cache->layers, count, sizeof *layers);
    if (layers == NULL) {
        return fb_error_memory(cache->context, err, "a cache of keys and values", count * sizeof *layers);
    }
    memset(layers + cache->layer_count, 0, (count - cache->layer_count) * sizeof *layers);
    cache->layers = layers;
    cache->layer_count = count;
    return FB_OK;
}

static FbStatus grow_sequences(FbKvCache *cache, FbKvLayer *layer, size_t count, FbError *err)
{
    if (count <= layer->sequence_count) {
        return FB_OK;
    }
    FbKvSequence *sequences = fb_realloc_array(cache->context, layer->sequences, count, sizeof *sequences);
    if (sequences == NULL) {
        return fb_error_memory(cache->context, err, "a cache of keys and values", count * sizeof *sequences);
    }
    memset(sequences + layer->sequence_count, 0, (count - layer->sequence_count) * sizeof *sequences);
    layer->sequences = sequences;
    layer->sequence_count = count;
    return FB_OK;
}

FbStatus fb_kv_cache_layer(FbKvCache *cache, int64_t number, size_t heads, size_t depth, size_t value_depth, FbKvLayer **out, FbError *err)
{
    if (number < 0 || number >= FB_KV_LAYERS_MAX) {
        return fb_error_set(err, FB_ERR_FORMAT, "attribute 'layer' is %lld, expected 0 to %d", (long long)number, FB_KV_LAYERS_MAX - 1);
    }
    FB_TRY(grow_layers(cache, (size_t)number + 1, err));
    FbKvLayer *layer = &cache->layers[number];
    *out = layer;
    if (layer->heads != 0) {
        bool same = layer->heads == heads && layer->depth == depth && layer->value_depth == value_depth;
        return same ? FB_OK : fb_error_set(err, FB_ERR_FORMAT, "layer %lld has another number or size of heads than before", (long long)number);
    }
    if (heads == 0 || !fb_kv_layout(cache->type, depth, value_depth, &layer->head_bytes, &layer->value_offset)) {
        return fb_error_set(err, FB_ERR_UNSUPPORTED, "a cache of %zu heads of %zu and %zu numbers", heads, depth, value_depth);
    }
    layer->heads = heads;
    layer->depth = depth;
    layer->value_depth = value_depth;
    for (size_t s = 0; cache->capacity > 0 && s < cache->sequence_limit; s++) {
        FB_TRY(fb_kv_cache_reserve(cache, layer, (int64_t)s, cache->capacity, err));
    }
    return FB_OK;
}

FbStatus fb_kv_cache_reserve(FbKvCache *cache, FbKvLayer *layer, int64_t sequence, uint64_t places, FbError *err)
{
    if (sequence < 0 || (uint64_t)sequence >= cache->sequence_limit) {
        return fb_error_set(err, FB_ERR_ARGUMENT, "sequence %lld, but the cache holds %zu", (long long)sequence, cache->sequence_limit);
    }
    if (places > (cache->capacity > 0 ? cache->capacity : INT32_MAX)) {
        return fb_error_set(err, FB_ERR_ARGUMENT, "sequence %lld reaches %llu positions, but the cache holds %llu (the context)",
                            (long long)sequence, (unsigned long long)places, (unsigned long long)cache->capacity);
    }
    FB_TRY(grow_sequences(cache, layer, (size_t)sequence + 1, err));
    FbKvSequence *kept = &layer->sequences[sequence];
    size_t blocks = (size_t)((places + KEYS - 1) / KEYS), block_bytes, bytes;
    if (blocks <= kept->blocks) {
        return FB_OK;
    }
    if (cache->capacity == 0 && blocks < 2 * kept->blocks) {
        blocks = 2 * kept->blocks; /* so that a growing sequence is copied a few times only */
    }
    if (!fb_mul_size(layer->heads, layer->head_bytes, &block_bytes) || !fb_mul_size(blocks, block_bytes, &bytes)) {
        return fb_error_set(err, FB_ERR_BUDGET, "a cache of %zu blocks has no size that fits in memory", blocks);
    }
    uint8_t *grown = fb_realloc_array(cache->context, kept->bytes, blocks, block_bytes);
    if (grown == NULL) {
        return fb_error_memory(cache->context, err, "a cache of keys and values", bytes);
    }
    cache->bytes += bytes - kept->blocks * block_bytes;
    kept->bytes = grown;
    kept->blocks = blocks;
    return FB_OK;
}

/* ---- elements ---- */

/* One run of numbers to codes of `step` apart; returns the scale as stored, which is none where a number is not finite: that must not be lost. */
static uint16_t encode_run(const float *from, size_t count, int8_t *to, size_t step)
{
    float largest = 0.0f;
    bool finite = true;
    for (size_t i = 0; i < count; i++) {
        finite = finite && isfinite(from[i]);
        largest = fabsf(from[i]) > largest ? fabsf(from[i]) : largest;
    }
    const float scale = largest / 127.0f, inverse = scale > 0 ? 1.0f / scale : 0.0f;
    for (size_t i = 0; i < count; i++) {
        float code = roundf(from[i] * inverse);
        to[i * step] = code >= -127.0f && code <= 127.0f ? (int8_t)code : code > 0 ? 127 : code < 0 ? -127 : 0;
    }
    return fb_f32_to_f16(finite ? scale : NAN);
}

/* A vector of `count` numbers whose elements lie `step` apart; `base` is where the part begins, `place` the vector's number in it. */
static void store_part(FbCacheType type, uint8_t *base, size_t place, const float *from, size_t count, bool transposed)
{
    const size_t step = transposed ? KEYS : 1, at = transposed ? place : place * count;
    if (type == FB_CACHE_F32) {
        float *to = (float *)(void *)base + at;
        for (size_t i = 0; i < count; i++) {
            to[i * step] = from[i];
        }
    } else if (type == FB_CACHE_F16) {
        uint16_t *to = (uint16_t *)(void *)base + at;
        for (size_t i = 0; i < count; i++) {
            to[i * step] = fb_f32_to_f16(from[i]);
        }
    } else {
        uint16_t *scales = (uint16_t *)(void *)(base + KEYS * count);
        for (size_t run = 0; run < runs_of(count); run++) {
            const size_t first = run * FB_KV_RUN, n = count - first < FB_KV_RUN ? count - first : FB_KV_RUN;
            scales[transposed ? run * KEYS + place : place * runs_of(count) + run] =
                encode_run(from + first, n, (int8_t *)base + at + first * step, step);
        }
    }
}

void fb_kv_store(const FbKvCache *cache, const FbKvLayer *layer, int64_t sequence, size_t head, uint64_t place, const float *key,
                 const float *value)
{
    uint8_t *base = layer->sequences[sequence].bytes + ((size_t)(place / KEYS) * layer->heads + head) * layer->head_bytes;
    if (place % KEYS == 0) {
        memset(base, 0, layer->value_offset); /* scores are computed for keys that are not there yet, too */
    }
    store_part(cache->type, base, (size_t)(place % KEYS), key, layer->depth, true);
    store_part(cache->type, base + layer->value_offset, (size_t)(place % KEYS), value, layer->value_depth, false);
}

static void load_codes(const FbKvLayer *layer, const uint8_t *base, uint32_t first, uint32_t end, const FbAttentionKernel *kernel, float *keys,
                       float *values)
{
    const size_t depth = layer->depth, value_depth = layer->value_depth, runs = runs_of(value_depth);
    const uint16_t *key_scales = (const uint16_t *)(const void *)(base + KEYS * depth);
    float scales[KEYS];
    for (size_t d = 0; d < depth; d++) {
        if (d % FB_KV_RUN == 0) {
            kernel->halves(key_scales + d / FB_KV_RUN * KEYS, scales, KEYS);
        }
        kernel->codes_each((const int8_t *)base + d * KEYS, scales, keys + d * KEYS, KEYS);
    }
    base += layer->value_offset;
    const uint16_t *value_scales = (const uint16_t *)(const void *)(base + KEYS * value_depth);
    for (uint32_t j = first; j < end; j++) {
        for (size_t run = 0; run < runs; run++) {
            const size_t from = run * FB_KV_RUN, n = value_depth - from < FB_KV_RUN ? value_depth - from : FB_KV_RUN;
            kernel->codes((const int8_t *)base + j * value_depth + from, fb_f16_to_f32(value_scales[j * runs + run]),
                          values + j * value_depth + from, n);
        }
    }
}

void fb_kv_load(const FbKvCache *cache, const FbKvLayer *layer, int64_t sequence, size_t head, size_t block, uint32_t first, uint32_t end,
                const FbAttentionKernel *kernel, float *scratch, const float **keys, const float **values)
{
    const uint8_t *base = layer->sequences[sequence].bytes + (block * layer->heads + head) * layer->head_bytes;
    float *value_scratch = scratch + KEYS * layer->depth;
    if (cache->type == FB_CACHE_F32) {
        *keys = (const float *)(const void *)base;
        *values = (const float *)(const void *)(base + layer->value_offset);
        return;
    }
    *keys = scratch;
    *values = value_scratch;
    if (cache->type == FB_CACHE_F16) {
        const uint16_t *halves = (const uint16_t *)(const void *)(base + layer->value_offset);
        kernel->halves((const uint16_t *)(const void *)base, scratch, KEYS * layer->depth);
        kernel->halves(halves + first * layer->value_depth, value_scratch + first * layer->value_depth, (end - first) * layer->value_depth);
    } else {
        load_codes(layer, base, first, end, kernel, scratch, value_scratch);
    }
}
