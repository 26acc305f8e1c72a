/* Attention and QAttention of domain com.microsoft: one product makes queries, keys and values, then ONNX's Attention works on them. */
#include <math.h>

#include "ops/attention.h"
#include "ops/dense.h"
#include "ops/integer_matmul.h"

typedef struct PackedParams {
    FbAttentionParams attention; /* first: Attention's functions read it */
    bool quantized, causal;
    float masked;                /* added to scores that must not be seen */
    int64_t sizes[3];            /* hidden sizes of queries, keys, values; 0: a third each */
} PackedParams;

/* Where the inputs of the two operators are. */
typedef struct Ports { int bias, mask, past; } Ports;

static Ports ports_of(const PackedParams *p) { return p->quantized ? (Ports){2, 5, 8} : (Ports){2, 3, 4}; }

static FbStatus decode_sizes(const FbNode *node, PackedParams *p, FbError *err)
{
    const int64_t *sizes;
    size_t count;
    FB_TRY(fb_attr_ints(node, "qkv_hidden_sizes", &sizes, &count, err));
    if (count != 0 && count != 3) {
        return fb_error_set(err, FB_ERR_FORMAT, "attribute 'qkv_hidden_sizes' has %zu entries, expected 3", count);
    }
    for (size_t i = 0; i < count; i++) {
        if (sizes[i] < 1 || sizes[i] > INT32_MAX || sizes[i] % p->attention.q_heads != 0 || sizes[1] != sizes[0]) {
            return fb_error_set(err, FB_ERR_FORMAT, "attribute 'qkv_hidden_sizes' does not fit %lld heads", (long long)p->attention.q_heads);
        }
        p->sizes[i] = sizes[i];
    }
    return FB_OK;
}

static FbStatus decode_packed(const FbNode *node, FbArena *arena, void *params, FbError *err)
{
    static const char *const refused[] = {"do_rotary", "past_present_share_buffer"};
    PackedParams *p = params;
    int64_t heads, rotary;
    bool on;
    (void)arena;
    p->quantized = strcmp(node->op_type, "QAttention") == 0;
    FB_TRY(fb_attr_required_int(node, "num_heads", &heads, err));
    FB_TRY(fb_attr_bool(node, "unidirectional", false, &p->causal, err));
    FB_TRY(fb_attr_float(node, "mask_filter_value", -10000.0f, &p->masked, err));
    FB_TRY(fb_attr_float(node, "scale", 0.0f, &p->attention.scale, err));
    FB_TRY(fb_attr_int(node, "rotary_embedding_dim", 0, &rotary, err));
    for (int i = 0; i < 2; i++) {
        FB_TRY(fb_attr_bool(node, refused[i], false, &on, err));
        if (on) {
            return fb_error_set(err, FB_ERR_UNSUPPORTED, "attribute '%s' of %s is not supported", refused[i], node->op_type);
        }
    }
    if (heads < 1 || heads > INT32_MAX) {
        return fb_error_set(err, FB_ERR_FORMAT, "attribute 'num_heads' is %lld", (long long)heads);
    }
    p->attention.has_scale = p->attention.scale != 0;
    p->attention.q_heads = p->attention.kv_heads = heads;
    return decode_sizes(node, p, err);
}

/* What both need of the shapes; dimensions may be unknown. */
typedef struct PackedSizes { int64_t batch, length, input, hidden, value_hidden, total; } PackedSizes;

static FbStatus sizes_of(const PackedParams *p, const FbShape *x, const FbShape *w, PackedSizes *s, FbError *err)
{
    *s = (PackedSizes){FB_DIM_UNKNOWN, FB_DIM_UNKNOWN, FB_DIM_UNKNOWN, FB_DIM_UNKNOWN, FB_DIM_UNKNOWN, FB_DIM_UNKNOWN};
    if (x->rank == 3) {
        s->batch = x->dims[0];
        s->length = x->dims[1];
        s->input = x->dims[2];
    }
    s->total = w->rank == 2 ? w->dims[1] : FB_DIM_UNKNOWN;
    if (w->rank == 2 && w->dims[0] >= 0 && s->input >= 0 && w->dims[0] != s->input) {
        return fb_error_set(err, FB_ERR_FORMAT, "the weight has %lld rows, the input %lld columns", (long long)w->dims[0], (long long)s->input);
    }
    if (p->sizes[0] != 0) {
        s->hidden = p->sizes[0];
        s->value_hidden = p->sizes[2];
        if (s->total >= 0 && s->total != p->sizes[0] + p->sizes[1] + p->sizes[2]) {
            return fb_error_set(err, FB_ERR_FORMAT, "the weight has %lld columns, attribute 'qkv_hidden_sizes' asks for %lld", (long long)s->total,
                                (long long)(p->sizes[0] + p->sizes[1] + p->sizes[2]));
        }
    } else if (s->total >= 0) {
        s->hidden = s->value_hidden = s->total / 3;
        if (s->total == 0 || s->total % 3 != 0 || s->hidden % p->attention.q_heads != 0) {
            return fb_error_set(err, FB_ERR_FORMAT, "%lld columns are not queries, keys and values of %lld heads", (long long)s->total,
                                (long long)p->attention.q_heads);
        }
    }
    return FB_OK;
}

/* The mask: [batch] or [2 * batch] lengths, [batch, keys], [batch, queries, keys]. */
static FbStatus check_mask(const FbInfer *infer, int i, const PackedSizes *s, FbError *err)
{
    FB_TRY(fb_check_input_dtype(infer, i, FB_MASK(FB_DTYPE_S32), err));
    if (!fb_infer_has(infer, i) || infer->inputs[i].shape.rank < 0) {
        return FB_OK;
    }
    const FbShape *mask = &infer->inputs[i].shape;
    if (mask->rank == 4) {
        return fb_error_set(err, FB_ERR_UNSUPPORTED, "a mask of 4 axes is not supported");
    }
    int64_t expected[3] = {s->batch, s->length, s->length};
    bool bad = mask->rank < 1 || mask->rank > 3;
    for (int d = 0; !bad && d < mask->rank; d++) {
        bool pairs = mask->rank == 1 && s->batch >= 0 && s->batch < INT32_MAX && mask->dims[0] == 2 * s->batch;
        bad = mask->dims[d] >= 0 && expected[d] >= 0 && mask->dims[d] != expected[d] && !pairs;
    }
    return bad ? fb_error_set(err, FB_ERR_FORMAT, "the mask's shape does not fit %lld sequences of %lld tokens", (long long)s->batch,
                              (long long)s->length)
               : FB_OK;
}

static FbStatus refuse_rest(const FbInfer *infer, const Ports *ports, FbError *err)
{
    if (fb_infer_has(infer, ports->past)) {
        return fb_error_set(err, FB_ERR_UNSUPPORTED, "%s with a past state is not supported", infer->node->op_type);
    }
    for (int i = ports->past + 1; i < infer->input_count; i++) {
        if (fb_infer_has(infer, i)) {
            return fb_error_set(err, FB_ERR_UNSUPPORTED, "input %d of %s is not supported", i, infer->node->op_type);
        }
    }
    if (infer->output_count > 1 && infer->outputs[1].present) {
        return fb_error_set(err, FB_ERR_UNSUPPORTED, "the present state of %s is not computed", infer->node->op_type);
    }
    return FB_OK;
}

static FbStatus infer_packed(FbInfer *infer, FbError *err)
{
    const PackedParams *p = infer->params;
    Ports ports = ports_of(p);
    PackedSizes s;
    FbDtypeMask types = p->quantized ? FB_MASK_CODES8 : FB_MASK(FB_DTYPE_F32);
    FB_TRY(fb_check_input_dtype(infer, 0, types, err));
    FB_TRY(fb_check_input_dtype(infer, 1, types, err));
    FB_TRY(fb_check_input_dtype(infer, ports.bias, FB_MASK(FB_DTYPE_F32), err));
    FB_TRY(fb_check_rank(infer, 0, 3, 3, err));
    FB_TRY(fb_check_rank(infer, 1, 2, 2, err));
    FB_TRY(fb_check_rank(infer, ports.bias, 1, 1, err));
    if (p->quantized) {
        FB_TRY(fb_check_input_dtype(infer, 3, FB_MASK(FB_DTYPE_F32), err));
        FB_TRY(fb_check_input_dtype(infer, 4, FB_MASK(FB_DTYPE_F32), err));
        FB_TRY(fb_check_same_dtype(infer, 0, 6, err));
        FB_TRY(fb_check_same_dtype(infer, 1, 7, err));
    }
    FB_TRY(sizes_of(p, &infer->inputs[0].shape, &infer->inputs[1].shape, &s, err));
    FB_TRY(refuse_rest(infer, &ports, err));
    FB_TRY(check_mask(infer, ports.mask, &s, err));
    int64_t biases = fb_infer_has(infer, ports.bias) ? fb_shape_elements(&infer->inputs[ports.bias].shape) : -1;
    if (biases >= 0 && s.total >= 0 && biases != s.total) {
        return fb_error_set(err, FB_ERR_FORMAT, "the bias holds %lld numbers for %lld columns", (long long)biases, (long long)s.total);
    }
    const FbShape work = {.rank = 4, .dims = {s.batch, p->attention.q_heads, s.length, s.length}};
    const FbShape product = {.rank = 3, .dims = {s.batch, s.length, s.total}};
    FB_TRY(fb_check_size(infer, &work, FB_DTYPE_C128, err));
    FB_TRY(fb_check_size(infer, &product, FB_DTYPE_C128, err));
    infer->outputs[0].dtype = FB_DTYPE_F32;
    infer->outputs[0].shape = fb_shape_make(3, (int64_t[]){s.batch, s.length, s.value_hidden});
    return FB_OK;
}

/* ---- run ---- */

/* The inner call: queries, keys, values and a mask as tensors in the scratch memory. */
typedef struct Inner {
    PackedSizes size;
    FbTensor parts[3], mask;
    const FbTensor *inputs[4];
    FbTensor *outputs[1];
    FbCall call;
    float *reals;             /* [rows][total]: the product before it is divided */
    float *product;           /* packed weights, or the codes of the input less their zero point */
    size_t inner_bytes, bytes; /* of the inner call; of all */
} Inner;

static size_t aligned(size_t bytes) { return (bytes + 63) / 64 * 64; }

static FbTensor part_tensor(int64_t batch, int64_t length, int64_t width)
{
    FbTensor t = {.dtype = FB_DTYPE_F32, .rank = 3, .dims = {batch, length, width}};
    t.bytes = (size_t)(batch * length * width) * sizeof(float);
    return t;
}

/* Lays the scratch memory out; `base` NULL: sizes only. */
static FbStatus plan_inner(const FbCall *call, char *base, Inner *inner, FbError *err)
{
    const PackedParams *p = call->params;
    FbShape x = fb_tensor_shape(call->inputs[0]), w = fb_tensor_shape(call->inputs[1]);
    PackedSizes *s = &inner->size;
    *inner = (Inner){.bytes = 0};
    FB_TRY(sizes_of(p, &x, &w, s, err));
    size_t rows = (size_t)(s->batch * s->length), at = 0;
    for (int i = 0; i < 3; i++) {
        inner->parts[i] = part_tensor(s->batch, s->length, i == 2 ? s->value_hidden : s->hidden);
        inner->parts[i].data = base ? base + at : NULL;
        inner->inputs[i] = &inner->parts[i];
        at += aligned(inner->parts[i].bytes);
    }
    if (fb_call_input(call, ports_of(p).mask) || p->causal) {
        inner->mask = (FbTensor){.dtype = FB_DTYPE_F32, .rank = 4, .dims = {s->batch, 1, s->length, s->length}};
        inner->mask.bytes = (size_t)(s->batch * s->length * s->length) * sizeof(float);
        inner->mask.data = base ? base + at : NULL;
        inner->inputs[3] = &inner->mask;
        at += aligned(inner->mask.bytes);
    }
    inner->outputs[0] = call->outputs[0];
    inner->call = (FbCall){.context = call->context, .node = call->node, .params = &p->attention, .input_count = inner->inputs[3] ? 4 : 3,
                           .output_count = 1, .inputs = inner->inputs, .outputs = inner->outputs};
    const FbProductF32Kernel *kernel = fb_product_f32_pick(fb_context_cpu(call->context));
    size_t product = p->quantized ? rows * (size_t)s->input : fb_product_f32_packed_count(kernel, (size_t)s->input, (size_t)s->total);
    inner->reals = base ? (float *)(void *)(base + at) : NULL;
    size_t first = at + aligned(rows * (size_t)s->total * sizeof(float));
    inner->product = base ? (float *)(void *)(base + first) : NULL;
    inner->inner_bytes = fb_attention_scratch(&inner->call);
    inner->call.scratch = base ? base + at : NULL; /* the product is done with when attention begins */
    inner->call.scratch_bytes = inner->inner_bytes;
    size_t both = first - at + product * sizeof(float);
    inner->bytes = at + (both > inner->inner_bytes ? both : inner->inner_bytes);
    return FB_OK;
}

static size_t scratch_packed(const FbCall *call)
{
    Inner inner;
    return plan_inner(call, NULL, &inner, NULL) == FB_OK ? inner.bytes : 0; /* run reports it */
}

static FbStatus multiply(const FbCall *call, Inner *inner, FbError *err)
{
    const PackedParams *p = call->params;
    const PackedSizes *s = &inner->size;
    const FbTensor *const *in = call->inputs, *bias = fb_call_input(call, ports_of(p).bias);
    if (p->quantized) {
        FbTensor to = {.dtype = FB_DTYPE_F32, .rank = 3, .dims = {s->batch, s->length, s->total}, .data = inner->reals};
        FbIntegerMatmul work = {.a = in[0], .b = in[1], .a_scale = in[3], .b_scale = in[4], .a_zero = fb_call_input(call, 6),
                                .b_zero = fb_call_input(call, 7), .bias = bias, .store = FB_STORE_REALS, .alpha = 1, .to = &to};
        FB_TRY(fb_integer_check_count(in[3], 1, 1, "input's scale", err));
        FB_TRY(fb_integer_check_count(fb_call_input(call, 6), 1, 1, "input's zero point", err));
        return fb_integer_matmul_run(call->context, &work, inner->product, err);
    }
    FbDense dense = {.kernel = fb_product_f32_pick(fb_context_cpu(call->context)), .a = in[0]->data, .rows = (size_t)(s->batch * s->length),
                     .depth = (size_t)s->input, .cols = (size_t)s->total, .packed = inner->product, .bias = bias ? bias->data : NULL,
                     .c = inner->reals, .c_stride = (size_t)s->total};
    if (s->input > 0) {
        fb_product_f32_pack(dense.kernel, in[1]->data, dense.cols, 1, dense.depth, dense.cols, inner->product);
    }
    fb_dense_f32(call->context, &dense);
    return FB_OK;
}

static void divide(const Inner *inner)
{
    const PackedSizes *s = &inner->size;
    for (int64_t row = 0; row < s->batch * s->length; row++) {
        const float *from = inner->reals + row * s->total;
        for (int i = 0; i < 3; i++) {
            int64_t width = inner->parts[i].dims[2];
            if (width > 0 && inner->parts[i].data != NULL) {
                memcpy((float *)inner->parts[i].data + row * width, from, (size_t)width * sizeof *from);
            }
            from += width;
        }
    }
}

/* Whether query `q` of sequence `b` may see key `k`, by the mask alone. */
static bool visible(const FbTensor *mask, const PackedSizes *s, int64_t b, int64_t q, int64_t k)
{
    const int32_t *m = mask->data;
    if (mask->rank == 1) { /* ends, then beginnings when there are twice as many numbers */
        return k < m[b] && (mask->dims[0] == s->batch || k >= m[s->batch + b]);
    }
    return m[mask->rank == 2 ? b * s->length + k : (b * s->length + q) * s->length + k] > 0;
}

static void fill_mask(const FbCall *call, const Inner *inner)
{
    const PackedParams *p = call->params;
    const PackedSizes *s = &inner->size;
    const FbTensor *mask = fb_call_input(call, ports_of(p).mask);
    float *to = inner->mask.data;
    for (int64_t i = 0; i < s->batch * s->length * s->length; i++) {
        int64_t k = i % s->length, q = i / s->length % s->length, b = i / s->length / s->length;
        to[i] = mask && !visible(mask, s, b, q, k) ? p->masked : 0;
        if (p->causal && k > q) {
            to[i] = -INFINITY;
        }
    }
}

static FbStatus run_packed(const FbCall *call, FbError *err)
{
    Inner inner;
    FB_TRY(plan_inner(call, call->scratch, &inner, err));
    if (fb_tensor_elements(call->outputs[0]) == 0) {
        return FB_OK;
    }
    FB_TRY(multiply(call, &inner, err));
    divide(&inner);
    if (inner.inputs[3]) {
        fill_mask(call, &inner);
    }
    return fb_attention_run(&inner.call, err);
}

static const char *const attention_names[] = {"do_rotary", "mask_filter_value", "num_heads", "past_present_share_buffer", "qkv_hidden_sizes",
                                              "rotary_embedding_dim", "scale", "unidirectional", NULL};
static const char *const quantized_names[] = {"do_rotary", "mask_filter_value", "num_heads", "past_present_share_buffer", "scale", "unidirectional",
                                              NULL};

static const FbOp rows[] = {
    {.domain = "com.microsoft", .name = "Attention", .summary = "self-attention with the product that makes queries, keys and values", .since = 1,
     .newest = 1, .min_inputs = 2, .max_inputs = 7, .min_outputs = 1, .max_outputs = 2, .params_bytes = sizeof(PackedParams),
     .decode = decode_packed, .infer = infer_packed, .scratch = scratch_packed, .run = run_packed, .attributes = attention_names},
    {.domain = "com.microsoft", .name = "QAttention", .summary = "Attention whose first product is of 8-bit codes", .since = 1, .newest = 1,
     .min_inputs = 5, .max_inputs = 9, .min_outputs = 1, .max_outputs = 2, .params_bytes = sizeof(PackedParams), .decode = decode_packed,
     .infer = infer_packed, .scratch = scratch_packed, .run = run_packed, .attributes = quantized_names},
};

const FbOpFamily fb_ops_packed_attention = {rows, sizeof rows / sizeof rows[0]};
