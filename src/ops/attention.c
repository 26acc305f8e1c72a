/* Attention and RotaryEmbedding: meaning and shapes. */
#include "ops/attention.h"

#include "kernels/attention_f32.h"
#include "ops/elements.h"
#include "ops/table.h"

static FbStatus decode_attention(const FbNode *node, FbArena *arena, void *params, FbError *err)
{
    (void)arena;
    FbAttentionParams *p = params;
    int64_t precision;
    p->has_scale = fb_node_attribute(node, "scale") != NULL;
    FB_TRY(fb_attr_bool(node, "is_causal", false, &p->causal, err));
    FB_TRY(fb_attr_float(node, "scale", 0.0F, &p->scale, err));
    FB_TRY(fb_attr_float(node, "softcap", 0.0F, &p->softcap, err));
    FB_TRY(fb_attr_int(node, "q_num_heads", 0, &p->q_heads, err));
    FB_TRY(fb_attr_int(node, "kv_num_heads", 0, &p->kv_heads, err));
    FB_TRY(fb_attr_int(node, "qk_matmul_output_mode", 0, &p->score_output, err));
    FB_TRY(fb_attr_int(node, "softmax_precision", FB_DTYPE_F32, &precision, err)); /* always float here, which is at least as precise */
    if (p->q_heads < 0 || p->kv_heads < 0 || p->q_heads > INT32_MAX || p->kv_heads > INT32_MAX) {
        return fb_error_set(err, FB_ERR_FORMAT, "the numbers of heads are %lld and %lld", (long long)p->q_heads, (long long)p->kv_heads);
    }
    if (p->score_output < 0 || p->score_output > 3) {
        return fb_error_set(err, FB_ERR_FORMAT, "attribute 'qk_matmul_output_mode' is %lld, expected 0 to 3", (long long)p->score_output);
    }
    if (p->has_scale && !(p->scale >= 0)) {
        return fb_error_set(err, FB_ERR_FORMAT, "attribute 'scale' is %g, expected a positive number", (double)p->scale);
    }
    return FB_OK;
}

static FbStatus must_equal(int64_t a, int64_t b, const char *what, FbError *err)
{
    return a >= 0 && b >= 0 && a != b ? fb_error_set(err, FB_ERR_FORMAT, "%s differ: %lld and %lld", what, (long long)a, (long long)b) : FB_OK;
}

static FbStatus per_head(int64_t hidden, int64_t heads, int64_t *depth, FbError *err)
{
    *depth = FB_DIM_UNKNOWN;
    if (hidden >= 0 && hidden % heads != 0) {
        return fb_error_set(err, FB_ERR_FORMAT, "a last axis of %lld cannot be divided into %lld heads", (long long)hidden, (long long)heads);
    }
    if (hidden >= 0) {
        *depth = hidden / heads;
    }
    return FB_OK;
}

static FbStatus flat_sizes(const FbAttentionParams *p, const FbShape *q, const FbShape *k, const FbShape *v, FbAttentionSizes *s, FbError *err)
{
    int64_t k_depth;
    if (p->q_heads == 0 || p->kv_heads == 0) {
        return fb_error_set(err, FB_ERR_FORMAT, "3-D inputs need the attributes 'q_num_heads' and 'kv_num_heads'");
    }
    s->batch = q->dims[0];
    s->queries = q->dims[1];
    s->fresh = k->dims[1];
    s->q_heads = p->q_heads;
    s->kv_heads = p->kv_heads;
    FB_TRY(must_equal(k->dims[1], v->dims[1], "the lengths of keys and values", err));
    FB_TRY(per_head(q->dims[2], s->q_heads, &s->depth, err));
    FB_TRY(per_head(k->dims[2], s->kv_heads, &k_depth, err));
    FB_TRY(must_equal(s->depth, k_depth, "the head sizes of queries and keys", err));
    return per_head(v->dims[2], s->kv_heads, &s->value_depth, err);
}

FbStatus fb_attention_sizes(const FbAttentionParams *params, const FbShape *q, const FbShape *k, const FbShape *v, const FbShape *past,
                            FbAttentionSizes *s, FbError *err)
{
    *s = (FbAttentionSizes){.flat = q->rank == 3};
    FB_TRY(must_equal(q->rank, k->rank, "the ranks of queries and keys", err));
    FB_TRY(must_equal(q->rank, v->rank, "the ranks of queries and values", err));
    FB_TRY(must_equal(q->dims[0], k->dims[0], "the batch sizes of queries and keys", err));
    FB_TRY(must_equal(q->dims[0], v->dims[0], "the batch sizes of queries and values", err));
    if (s->flat) {
        FB_TRY(flat_sizes(params, q, k, v, s, err));
    } else {
        s->batch = q->dims[0];
        s->q_heads = q->dims[1];
        s->kv_heads = k->dims[1];
        s->queries = q->dims[2];
        s->fresh = k->dims[2];
        s->depth = q->dims[3];
        s->value_depth = v->dims[3];
        FB_TRY(must_equal(k->dims[1], v->dims[1], "the heads of keys and values", err));
        FB_TRY(must_equal(k->dims[2], v->dims[2], "the lengths of keys and values", err));
        FB_TRY(must_equal(q->dims[3], k->dims[3], "the head sizes of queries and keys", err));
    }
    if (s->q_heads >= 0 && s->kv_heads >= 0 && (s->kv_heads == 0 || s->q_heads % s->kv_heads != 0)) {
        return fb_error_set(err, FB_ERR_FORMAT, "%lld query heads cannot share %lld key heads", (long long)s->q_heads, (long long)s->kv_heads);
    }
    if (s->depth == 0 || s->value_depth == 0) {
        return fb_error_set(err, FB_ERR_FORMAT, "heads of %lld and %lld numbers: there is nothing to attend to", (long long)s->depth,
                            (long long)s->value_depth);
    }
    s->past = past->rank == 4 ? past->dims[2] : 0;
    s->keys = s->past < 0 || s->fresh < 0 ? FB_DIM_UNKNOWN : s->past + s->fresh;
    return FB_OK;
}

/* A past tensor: [batch, kv heads, past, depth]. */
static FbStatus check_past(const FbInfer *infer, int i, const FbAttentionSizes *s, int64_t depth, FbError *err)
{
    FB_TRY(fb_check_rank(infer, i, 4, 4, err));
    if (!fb_infer_has(infer, i) || infer->inputs[i].shape.rank < 0) {
        return FB_OK;
    }
    const int64_t *dims = infer->inputs[i].shape.dims;
    FB_TRY(must_equal(dims[0], s->batch, "the batch sizes of the past and the queries", err));
    FB_TRY(must_equal(dims[1], s->kv_heads, "the heads of the past and the keys", err));
    FB_TRY(must_equal(dims[2], s->past, "the lengths of past keys and values", err));
    return must_equal(dims[3], depth, "the head sizes of the past and the present", err);
}

/* The mask broadcasts to [batch, heads, queries, keys]; its last axis may be shorter. */
static FbStatus check_mask(const FbInfer *infer, const FbAttentionSizes *s, FbError *err)
{
    FB_TRY(fb_check_input_dtype(infer, 3, FB_MASK_FLOATS | FB_MASK(FB_DTYPE_BOOL), err));
    FB_TRY(fb_check_rank(infer, 3, 1, 4, err));
    if (!fb_infer_has(infer, 3) || infer->inputs[3].shape.rank < 0) {
        return FB_OK;
    }
    const FbShape *mask = &infer->inputs[3].shape;
    const int64_t full[4] = {s->batch, s->q_heads, s->queries, s->keys};
    for (int i = 0; i < mask->rank; i++) {
        int64_t dim = mask->dims[mask->rank - 1 - i], limit = full[3 - i];
        bool bad = i == 0 ? dim > limit : dim != 1 && dim != limit;
        if (dim >= 0 && limit >= 0 && bad) {
            return fb_error_set(err, FB_ERR_FORMAT, "axis %d of the mask is %lld, expected %lld", mask->rank - 1 - i, (long long)dim,
                                (long long)limit);
        }
    }
    return FB_OK;
}

static FbStatus check_attention(const FbInfer *infer, const FbAttentionSizes *s, FbError *err)
{
    FB_TRY(check_past(infer, 4, s, s->depth, err));
    FB_TRY(check_past(infer, 5, s, s->value_depth, err));
    FB_TRY(check_mask(infer, s, err));
    if (fb_infer_has(infer, 4) != fb_infer_has(infer, 5)) {
        return fb_error_set(err, FB_ERR_FORMAT, "past key and past value go together");
    }
    FB_TRY(fb_check_input_dtype(infer, 6, FB_MASK_INDEX, err));
    FB_TRY(fb_check_rank(infer, 6, 1, 1, err));
    if (fb_infer_has(infer, 6) && infer->inputs[6].shape.rank == 1) {
        FB_TRY(must_equal(infer->inputs[6].shape.dims[0], s->batch, "the batch sizes of 'nonpad_kv_seqlen' and the queries", err));
    }
    return FB_OK;
}

static FbStatus infer_attention(FbInfer *infer, FbError *err)
{
    const FbShape *q = &infer->inputs[0].shape, *k = &infer->inputs[1].shape, *v = &infer->inputs[2].shape;
    const FbShape none = {.rank = -1}, *past = fb_infer_has(infer, 4) ? &infer->inputs[4].shape : &none;
    FbAttentionSizes s;
    for (int i = 0; i < 3; i++) {
        FB_TRY(fb_check_input_dtype(infer, i, FB_MASK(FB_DTYPE_F32) | FB_MASK(FB_DTYPE_F16) | FB_MASK(FB_DTYPE_BF16), err));
        FB_TRY(fb_check_rank(infer, i, 3, 4, err));
    }
    FB_TRY(fb_check_same_dtype(infer, 0, 1, err));
    FB_TRY(fb_check_same_dtype(infer, 1, 4, err));
    FB_TRY(fb_check_same_dtype(infer, 2, 5, err));
    for (int i = 0; i < infer->output_count; i++) {
        infer->outputs[i].dtype = infer->inputs[i == 2 ? 2 : 0].dtype;
        infer->outputs[i].shape = i == 0 ? fb_shape_unknown(q->rank) : fb_shape_unknown(4);
    }
    if (q->rank < 0 || k->rank < 0 || v->rank < 0 || (fb_infer_has(infer, 4) && past->rank < 0)) {
        return FB_OK;
    }
    FB_TRY(fb_attention_sizes(infer->params, q, k, v, past, &s, err));
    FB_TRY(check_attention(infer, &s, err));
    const FbShape work = {.rank = 4, .dims = {s.batch, s.q_heads, s.keys, s.depth}}; /* packed keys of every head */
    FB_TRY(fb_check_size(infer, &work, FB_DTYPE_C128, err));
    const int64_t hidden = s.value_depth < 0 || s.q_heads < 0 ? FB_DIM_UNKNOWN : s.q_heads * s.value_depth;
    const int64_t y3[3] = {s.batch, s.queries, hidden}, y4[4] = {s.batch, s.q_heads, s.queries, s.value_depth};
    const int64_t key[4] = {s.batch, s.kv_heads, s.keys, s.depth}, value[4] = {s.batch, s.kv_heads, s.keys, s.value_depth};
    const int64_t scores[4] = {s.batch, s.q_heads, s.queries, s.keys};
    infer->outputs[0].shape = s.flat ? fb_shape_make(3, y3) : fb_shape_make(4, y4);
    for (int i = 1; i < infer->output_count; i++) {
        infer->outputs[i].shape = fb_shape_make(4, i == 1 ? key : i == 2 ? value : scores);
    }
    return FB_OK;
}

/* ---- RotaryEmbedding ---- */

enum { ROTARY_GRAIN = 1 << 14 }; /* numbers of a piece */

typedef struct RotaryParams {
    int64_t heads, rotated;   /* 0: absent */
    bool interleaved;
} RotaryParams;

static FbStatus decode_rotary(const FbNode *node, FbArena *arena, void *params, FbError *err)
{
    (void)arena;
    RotaryParams *p = params;
    FB_TRY(fb_attr_int(node, "num_heads", 0, &p->heads, err));
    FB_TRY(fb_attr_int(node, "rotary_embedding_dim", 0, &p->rotated, err));
    FB_TRY(fb_attr_bool(node, "interleaved", false, &p->interleaved, err));
    if (p->heads < 0 || p->heads > INT32_MAX || p->rotated < 0 || p->rotated % 2 != 0) {
        return fb_error_set(err, FB_ERR_FORMAT, "'num_heads' is %lld and 'rotary_embedding_dim' %lld", (long long)p->heads, (long long)p->rotated);
    }
    return FB_OK;
}

typedef struct RotarySizes { int64_t batch, heads, length, depth, rotated; } RotarySizes;

static FbStatus rotary_sizes(const RotaryParams *p, const FbShape *x, RotarySizes *s, FbError *err)
{
    if (x->rank == 3 && p->heads == 0) {
        return fb_error_set(err, FB_ERR_FORMAT, "a 3-D input needs the attribute 'num_heads'");
    }
    s->batch = x->dims[0];
    s->heads = x->rank == 3 ? p->heads : x->dims[1];
    s->length = x->dims[x->rank == 3 ? 1 : 2];
    s->depth = x->rank == 4 ? x->dims[3] : FB_DIM_UNKNOWN;
    if (x->rank == 3) {
        FB_TRY(per_head(x->dims[2], p->heads, &s->depth, err));
    }
    s->rotated = p->rotated ? p->rotated : s->depth;
    if (s->depth >= 0 && (s->rotated > s->depth || s->rotated % 2 != 0)) {
        return fb_error_set(err, FB_ERR_FORMAT, "%lld of a head's %lld numbers cannot be rotated in pairs", (long long)s->rotated,
                            (long long)s->depth);
    }
    return FB_OK;
}

/* A table of sines or cosines: [positions, rotated / 2], or [batch, length, rotated / 2] without position numbers. */
static FbStatus check_table(const FbInfer *infer, int i, const RotarySizes *s, FbError *err)
{
    bool by_position = fb_infer_has(infer, 3);
    FB_TRY(fb_check_rank(infer, i, by_position ? 2 : 3, by_position ? 2 : 3, err));
    FB_TRY(fb_check_same_dtype(infer, 0, i, err));
    const FbShape *table = &infer->inputs[i].shape;
    if (table->rank < 0) {
        return FB_OK;
    }
    if (!by_position) {
        FB_TRY(must_equal(table->dims[0], s->batch, "the batch sizes of input and table", err));
        FB_TRY(must_equal(table->dims[1], s->length, "the lengths of input and table", err));
    }
    return must_equal(table->dims[table->rank - 1], s->rotated < 0 ? -1 : s->rotated / 2, "the rotated pairs and the table's last axis", err);
}

static FbStatus infer_rotary(FbInfer *infer, FbError *err)
{
    const FbShape *x = &infer->inputs[0].shape;
    RotarySizes s;
    FB_TRY(fb_check_input_dtype(infer, 0, FB_MASK(FB_DTYPE_F32) | FB_MASK(FB_DTYPE_F16) | FB_MASK(FB_DTYPE_BF16), err));
    FB_TRY(fb_check_input_dtype(infer, 3, FB_MASK_INDEX, err));
    FB_TRY(fb_check_rank(infer, 0, 3, 4, err));
    FB_TRY(fb_check_rank(infer, 3, 2, 2, err));
    fb_infer_same_as(infer, 0);
    if (x->rank < 0) {
        return FB_OK;
    }
    FB_TRY(rotary_sizes(infer->params, x, &s, err));
    FB_TRY(check_table(infer, 1, &s, err));
    FB_TRY(check_table(infer, 2, &s, err));
    if (fb_infer_has(infer, 3) && infer->inputs[3].shape.rank == 2) {
        FB_TRY(must_equal(infer->inputs[3].shape.dims[0], s.batch, "the batch sizes of input and positions", err));
        FB_TRY(must_equal(infer->inputs[3].shape.dims[1], s.length, "the lengths of input and positions", err));
    }
    return FB_OK;
}

static float element(const FbTensor *tensor, int64_t i)
{
    float value;
    fb_work_load(tensor->dtype, tensor->data, i, 1, FB_WORK_F32, &value, 1);
    return value;
}

static void rotate_row(const FbCall *call, const RotaryParams *p, const RotarySizes *s, int64_t from, int64_t table)
{
    const FbTensor *x = call->inputs[0], *cosine = call->inputs[1], *sine = call->inputs[2];
    FbTensor *y = call->outputs[0];
    int64_t half = s->rotated / 2;
    for (int64_t i = 0; i < half; i++) {
        int64_t first = from + (p->interleaved ? 2 * i : i), second = from + (p->interleaved ? 2 * i + 1 : half + i);
        float a = element(x, first), b = element(x, second), c = element(cosine, table + i), d = element(sine, table + i);
        float real = c * a - d * b, imaginary = d * a + c * b;
        fb_work_store(y->dtype, y->data, first, FB_WORK_F32, &real, 1);
        fb_work_store(y->dtype, y->data, second, FB_WORK_F32, &imaginary, 1);
    }
    for (int64_t i = s->rotated; i < s->depth; i++) {
        float value = element(x, from + i);
        fb_work_store(y->dtype, y->data, from + i, FB_WORK_F32, &value, 1);
    }
}

typedef struct RotaryJob {
    const FbCall *call;
    const RotaryParams *params;
    const RotarySizes *size;
    const FbAttentionKernel *kernel; /* NULL: not all tensors are f32 */
} RotaryJob;

/* Rows of one head and place. */
static void rotary_task(void *arg, size_t slot, size_t begin, size_t end)
{
    const RotaryJob *job = arg;
    const RotarySizes *s = job->size;
    const FbTensor *positions = fb_call_input(job->call, 3);
    int64_t half = s->rotated / 2;
    (void)slot;
    for (int64_t n = (int64_t)begin; n < (int64_t)end; n++) {
        /* 3-D: batch, position, head; 4-D: batch, head, position */
        int64_t position = job->call->inputs[0]->rank == 3 ? n / s->heads % s->length : n % s->length, batch = n / (s->heads * s->length);
        int64_t row = batch * s->length + position, from = n * s->depth, table = (positions ? fb_tensor_int(positions, row) : row) * half;
        if (job->kernel == NULL) {
            rotate_row(job->call, job->params, s, from, table);
            continue;
        }
        const float *x = (const float *)job->call->inputs[0]->data + from;
        float *y = (float *)job->call->outputs[0]->data + from;
        job->kernel->rotate(x, (const float *)job->call->inputs[1]->data + table, (const float *)job->call->inputs[2]->data + table, (size_t)half,
                            job->params->interleaved, y);
        memcpy(y + s->rotated, x + s->rotated, (size_t)(s->depth - s->rotated) * sizeof *y);
    }
}

static FbStatus run_rotary(const FbCall *call, FbError *err)
{
    const FbTensor *x = call->inputs[0], *positions = fb_call_input(call, 3);
    FbShape shape = fb_tensor_shape(x);
    RotarySizes s;
    FB_TRY(rotary_sizes(call->params, &shape, &s, err));
    int64_t limit = positions ? call->inputs[1]->dims[0] : 0;
    if (positions && call->inputs[2]->dims[0] != limit) {
        return fb_error_set(err, FB_ERR_FORMAT, "the tables have %lld and %lld positions", (long long)limit, (long long)call->inputs[2]->dims[0]);
    }
    for (int64_t n = 0; positions && n < s.batch * s.length; n++) {
        int64_t at = fb_tensor_int(positions, n);
        if (at < 0 || at >= limit) {
            return fb_error_set(err, FB_ERR_FORMAT, "position %lld at place %lld is outside of [0, %lld]", (long long)at, (long long)n,
                                (long long)limit - 1);
        }
    }
    if (call->outputs[0]) {
        bool plain = x->dtype == FB_DTYPE_F32 && call->inputs[1]->dtype == FB_DTYPE_F32 && call->inputs[2]->dtype == FB_DTYPE_F32;
        RotaryJob job = {call, call->params, &s, plain ? fb_attention_f32_pick(fb_context_cpu(call->context)) : NULL};
        size_t grain = s.depth > 0 ? (size_t)(ROTARY_GRAIN / s.depth) + 1 : 1;
        fb_parallel(call->context, rotary_task, &job, (size_t)(s.batch * s.heads * s.length), grain);
    }
    return FB_OK;
}

static const char *const attention_attributes[] = {"is_causal", "kv_num_heads", "q_num_heads", "qk_matmul_output_mode", "scale", "softcap",
                                                   "softmax_precision", NULL};
static const char *const rotary_attributes[] = {"interleaved", "num_heads", "rotary_embedding_dim", NULL};

static const FbOp rows[] = {
    {.name = "Attention", .domain = "", .summary = "scaled dot-product attention with masks and a key-value cache", .since = 23,
     .newest = FB_OPSET_NEWEST, .min_inputs = 3, .max_inputs = 7, .min_outputs = 1, .max_outputs = 4, .params_bytes = sizeof(FbAttentionParams),
     .attributes = attention_attributes, .decode = decode_attention, .infer = infer_attention, .scratch = fb_attention_scratch,
     .run = fb_attention_run},
    {.name = "RotaryEmbedding", .domain = "", .summary = "rotates pairs of numbers by their position", .since = 23, .newest = FB_OPSET_NEWEST,
     .min_inputs = 3, .max_inputs = 4, .min_outputs = 1, .max_outputs = 1, .params_bytes = sizeof(RotaryParams),
     .attributes = rotary_attributes, .decode = decode_rotary, .infer = infer_rotary, .run = run_rotary},
};
const FbOpFamily fb_ops_attention = {rows, sizeof rows / sizeof rows[0]};
