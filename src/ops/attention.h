/* What the two halves of Attention share. */
#ifndef FB_OPS_ATTENTION_H
#define FB_OPS_ATTENTION_H

#include "ops/shape_util.h"

typedef struct FbAttentionParams {
    bool causal, has_scale;
    float scale, softcap;
    int64_t q_heads, kv_heads;  /* attributes for 3-D inputs; 0: absent */
    int64_t score_output;       /* qk_matmul_output_mode */
} FbAttentionParams;

/* Logical sizes, whatever the rank of the inputs; dimensions may be negative at load time. */
typedef struct FbAttentionSizes {
    bool flat;                  /* 3-D inputs: heads are part of the last axis */
    int64_t batch, q_heads, kv_heads, queries, fresh, past, keys, depth, value_depth; /* keys = past + fresh */
} FbAttentionSizes;

/* From the types of q, k, v and past key (rank -1: absent); checks what is known. */
FbStatus fb_attention_sizes(const FbAttentionParams *params, const FbShape *q, const FbShape *k, const FbShape *v, const FbShape *past,
                            FbAttentionSizes *sizes, FbError *err);
size_t fb_attention_scratch(const FbCall *call);
FbStatus fb_attention_run(const FbCall *call, FbError *err);

#endif
