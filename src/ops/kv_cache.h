/* Keys and values that a session keeps between runs, per layer and sequence, in blocks of FB_ATTENTION_KEYS places.
 *
 * A block of one head holds keys [depth][places] and values [places][value_depth] as f32 or f16, or as codes of 8 bits with one half per 32
 * numbers of a key or value (that of q8_0). Only the layer that owns them writes; different heads may be written and read at a time. */
#ifndef FB_OPS_KV_CACHE_H
#define FB_OPS_KV_CACHE_H

#include "fewbit/session.h"
#include "kernels/attention_f32.h"

enum { FB_KV_LAYERS_MAX = 1024, FB_KV_SEQUENCES_MAX = 65536, FB_KV_RUN = 32 };

typedef struct FbKvSequence {
    int64_t held;            /* places that are filled, from 0 */
    size_t blocks;           /* allocated */
    uint8_t *bytes;          /* [blocks][heads][head_bytes] */
    size_t mark;             /* of the layer's running step */
} FbKvSequence;

typedef struct FbKvLayer {
    size_t heads, depth, value_depth; /* heads 0: not used yet */
    size_t head_bytes, value_offset;  /* of one block of one head; its values begin at value_offset */
    FbKvSequence *sequences;
    size_t sequence_count;
} FbKvLayer;

typedef struct FbKvCache {
    FbContext *context;
    FbCacheType type;
    uint64_t capacity;       /* places per sequence; 0: grows */
    size_t sequence_limit;
    FbKvLayer *layers;
    size_t layer_count;
    uint64_t bytes;          /* allocated for keys and values */
} FbKvCache;

/* capacity 0: sequences and places grow to what is asked for. */
FbStatus fb_kv_cache_create(FbContext *context, FbCacheType type, uint64_t capacity, size_t sequences, FbKvCache **cache, FbError *err);
void fb_kv_cache_free(FbKvCache *cache); /* NULL is fine */
/* The record of a layer, whose sizes must be the same in every run. With a capacity, its memory is allocated here. */
FbStatus fb_kv_cache_layer(FbKvCache *cache, int64_t layer, size_t heads, size_t depth, size_t value_depth, FbKvLayer **out, FbError *err);
/* Room for places [0, places) of a sequence. */
FbStatus fb_kv_cache_reserve(FbKvCache *cache, FbKvLayer *layer, int64_t sequence, uint64_t places, FbError *err);
/* Bytes of one block of one head; false: no such layout (head sizes out of range). */
bool fb_kv_layout(FbCacheType type, size_t depth, size_t value_depth, size_t *head_bytes, size_t *value_offset);

/* Writes the key and value of one head at a place that is reserved. */
void fb_kv_store(const FbKvCache *cache, const FbKvLayer *layer, int64_t sequence, size_t head, uint64_t place, const float *key,
                 const float *value);
/* A block of one head as floats: keys, and values [first, end). They are the cache's own memory (f32) or written to
 * scratch [FB_ATTENTION_KEYS * (depth + value_depth)]. */
void fb_kv_load(const FbKvCache *cache, const FbKvLayer *layer, int64_t sequence, size_t head, size_t block, uint32_t first, uint32_t end,
                const FbAttentionKernel *kernel, float *scratch, const float **keys, const float **values);

#endif
