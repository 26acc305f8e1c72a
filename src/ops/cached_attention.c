/* Attention of domain fewbit: meaning and shapes. ONNX's Attention whose past lies in a cache that the session owns, one per layer and
 * sequence; tokens of any number of sequences lie in a row.
 *
 *   Q [T, q heads * depth]   K [T, kv heads * depth]   V [T, kv heads * value depth]   positions [T]   sequences [T]   slopes [q heads]? */
#include <math.h>

#include "ops/cached_attention.h"

static FbStatus decode_cached(const FbNode *node, FbArena *arena, void *params, FbError *err)
{
    FbCachedParams *p = params;
    (void)arena;
    FB_TRY(fb_attr_required_int(node, "q_num_heads", &p->q_heads, err));
    FB_TRY(fb_attr_required_int(node, "kv_num_heads", &p->kv_heads, err));
    FB_TRY(fb_attr_int(node, "layer", 0, &p->layer, err));
    FB_TRY(fb_attr_int(node, "window", 0, &p->window, err));
    FB_TRY(fb_attr_float(node, "scale", 0.0f, &p->scale, err));
    FB_TRY(fb_attr_float(node, "softcap", 0.0f, &p->softcap, err));
    if (p->kv_heads < 1 || p->q_heads < p->kv_heads || p->q_heads > INT32_MAX || p->q_heads % p->kv_heads != 0) {
        return fb_error_set(err, FB_ERR_FORMAT, "%lld query heads cannot share %lld key heads", (long long)p->q_heads, (long long)p->kv_heads);
    }
    if (p->layer < 0 || p->layer >= FB_KV_LAYERS_MAX || p->window < 0 || p->window > INT32_MAX) {
        return fb_error_set(err, FB_ERR_FORMAT, "attributes 'layer' and 'window' are %lld and %lld", (long long)p->layer, (long long)p->window);
    }
    if (!(p->scale >= 0 && p->scale < INFINITY) || !(p->softcap >= 0 && p->softcap < INFINITY)) {
        return fb_error_set(err, FB_ERR_FORMAT, "attributes 'scale' and 'softcap' are %g and %g, expected positive numbers", (double)p->scale,
                            (double)p->softcap);
    }
    return FB_OK;
}

/* Numbers per head of a matrix [T, heads * numbers]; -1: not known. */
static FbStatus head_size(const FbInfer *infer, int i, int64_t heads, int64_t *size, FbError *err)
{
    const FbShape *shape = &infer->inputs[i].shape;
    *size = -1;
    if (shape->rank == 2 && shape->dims[1] >= 0) {
        *size = shape->dims[1] / heads;
        if (shape->dims[1] == 0 || shape->dims[1] % heads != 0 || *size > 1 << 16) {
            return fb_error_set(err, FB_ERR_FORMAT, "input %d has %lld columns, which are not those of %lld heads", i,
                                (long long)shape->dims[1], (long long)heads);
        }
    }
    return FB_OK;
}

static FbStatus check_rows(const FbInfer *infer, int i, int64_t rows, const char *what, FbError *err)
{
    const FbShape *shape = &infer->inputs[i].shape;
    if (fb_infer_has(infer, i) && shape->rank > 0 && shape->dims[0] >= 0 && rows >= 0 && shape->dims[0] != rows) {
        return fb_error_set(err, FB_ERR_FORMAT, "input %d is of %lld %s, expected %lld", i, (long long)shape->dims[0], what, (long long)rows);
    }
    return FB_OK;
}

static FbStatus infer_cached(FbInfer *infer, FbError *err)
{
    const FbCachedParams *p = infer->params;
    const FbShape *q = &infer->inputs[0].shape, *v = &infer->inputs[2].shape;
    int64_t depth, key_depth, value_depth;
    for (int i = 0; i < 6; i++) {
        FB_TRY(fb_check_input_dtype(infer, i, FB_MASK(i == 3 || i == 4 ? FB_DTYPE_S64 : FB_DTYPE_F32), err));
        FB_TRY(fb_check_rank(infer, i, i < 3 ? 2 : 1, i < 3 ? 2 : 1, err));
    }
    FB_TRY(head_size(infer, 0, p->q_heads, &depth, err));
    FB_TRY(head_size(infer, 1, p->kv_heads, &key_depth, err));
    FB_TRY(head_size(infer, 2, p->kv_heads, &value_depth, err));
    if (depth >= 0 && key_depth >= 0 && depth != key_depth) {
        return fb_error_set(err, FB_ERR_FORMAT, "heads of queries have %lld numbers, those of keys %lld", (long long)depth, (long long)key_depth);
    }
    for (int i = 1; i < 5; i++) {
        FB_TRY(check_rows(infer, i, q->rank == 2 ? q->dims[0] : -1, "tokens", err));
    }
    FB_TRY(check_rows(infer, 5, p->q_heads, "slopes", err));
    int64_t rows = q->rank == 2 ? q->dims[0] : v->rank == 2 ? v->dims[0] : FB_DIM_UNKNOWN;
    infer->outputs[0].dtype = FB_DTYPE_F32;
    infer->outputs[0].shape = fb_shape_make(2, (int64_t[]){rows, value_depth < 0 ? FB_DIM_UNKNOWN : value_depth * p->q_heads});
    return fb_check_size(infer, &infer->outputs[0].shape, FB_DTYPE_C128, err);
}

static const char *const cached_attributes[] = {"kv_num_heads", "layer", "q_num_heads", "scale", "softcap", "window", NULL};

static const FbOp rows[] = {
    {.name = "Attention", .domain = "fewbit", .summary = "causal attention to keys and values that the session keeps", .since = 1, .newest = 1,
     .min_inputs = 5, .max_inputs = 6, .min_outputs = 1, .max_outputs = 1, .params_bytes = sizeof(FbCachedParams), .flags = FB_OP_STATE,
     .attributes = cached_attributes, .decode = decode_cached, .infer = infer_cached, .scratch = fb_cached_scratch, .run = fb_cached_run},
};
const FbOpFamily fb_ops_cached_attention = {rows, sizeof rows / sizeof rows[0]};
