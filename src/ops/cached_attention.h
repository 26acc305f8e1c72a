/* What the two halves of fewbit's Attention share. */
#ifndef FB_OPS_CACHED_ATTENTION_H
#define FB_OPS_CACHED_ATTENTION_H

#include "ops/kv_cache.h"
#include "ops/shape_util.h"

typedef struct FbCachedParams {
    int64_t q_heads, kv_heads, layer, window; /* window 0: none */
    float scale, softcap;                     /* scale 0: 1 / sqrt(depth); softcap 0: none */
} FbCachedParams;

typedef struct FbCachedSizes { size_t tokens, q_heads, kv_heads, group, depth, value_depth; } FbCachedSizes;

/* From concrete inputs that infer has accepted. */
FbCachedSizes fb_cached_sizes(const FbCall *call);
size_t fb_cached_scratch(const FbCall *call);
FbStatus fb_cached_run(const FbCall *call, FbError *err);

#endif
