/* Running Attention in float: keys and values of every head are packed as panels, then blocks of queries make scores, softmax and the sum of
 * values. Every score and every output element is one fma chain, so the result depends on neither the block nor the batch. */
#include <math.h>
#include <string.h>

#include "kernels/functions.h"
#include "kernels/product_f32.h"
#include "kernels/reduce.h"
#include "ops/attention.h"
#include "ops/elements.h"

enum { ROUND = 16, ROW_TILE_MAX = 64 };

static size_t rounded(size_t count) { return (count + ROUND - 1) / ROUND * ROUND; }

typedef struct Job {
    const FbCall *call;
    const FbAttentionParams *params;
    FbAttentionSizes size;
    const FbProductF32Kernel *kernel;
    const FbReduceF32Kernel *reduce;
    FbUnaryF32 exp, tanh;
    float scale;
    size_t tile, blocks;            /* queries of a block; blocks of a head */
    float *keys, *values;           /* packed, per batch and kv head */
    size_t key_count, value_count;  /* floats of one */
    float *rows;                    /* scratch per head for un-packed keys or values: [keys, wider depth] */
    float *slots;                   /* scratch per block: scores, queries, outputs */
    size_t row_count, slot_count;
} Job;

static void fill_sizes(Job *job)
{
    const FbAttentionSizes *s = &job->size;
    job->tile = job->kernel->row_tile < ROW_TILE_MAX ? job->kernel->row_tile : ROW_TILE_MAX;
    job->blocks = ((size_t)s->queries + job->tile - 1) / job->tile;
    job->key_count = rounded(fb_product_f32_packed_count(job->kernel, (size_t)s->depth, (size_t)s->keys));
    job->value_count = rounded(fb_product_f32_packed_count(job->kernel, (size_t)s->keys, (size_t)s->value_depth));
    job->row_count = rounded((size_t)s->keys * (size_t)(s->depth > s->value_depth ? s->depth : s->value_depth));
    job->slot_count = rounded(job->tile * (size_t)(s->keys + s->depth + s->value_depth));
}

static FbStatus make_job(const FbCall *call, Job *job, FbError *err)
{
    unsigned cpu = fb_context_cpu(call->context);
    FbShape q = fb_tensor_shape(call->inputs[0]), k = fb_tensor_shape(call->inputs[1]), v = fb_tensor_shape(call->inputs[2]);
    FbShape past = {.rank = -1};
    *job = (Job){.call = call, .params = call->params, .kernel = fb_product_f32_pick(cpu), .reduce = fb_reduce_f32_pick(cpu),
                 .exp = fb_unary_f32_pick(cpu, FB_UNARY_EXP), .tanh = fb_unary_f32_pick(cpu, FB_UNARY_TANH)};
    if (fb_call_input(call, 4)) {
        past = fb_tensor_shape(call->inputs[4]);
    }
    FB_TRY(fb_attention_sizes(call->params, &q, &k, &v, &past, &job->size, err));
    job->scale = job->params->has_scale ? job->params->scale : 1.0F / sqrtf((float)job->size.depth);
    fill_sizes(job);
    return FB_OK;
}

size_t fb_attention_scratch(const FbCall *call)
{
    Job job;
    if (make_job(call, &job, NULL) != FB_OK) {
        return 0; /* run reports it */
    }
    size_t heads = (size_t)(job.size.batch * job.size.kv_heads), slots = (size_t)fb_context_threads(call->context);
    return (heads * (job.key_count + job.value_count) + slots * (job.row_count + job.slot_count)) * sizeof(float);
}

/* Element number of (batch, head, position, 0) of a query, key or value tensor. */
static int64_t element_at(bool flat, int64_t heads, int64_t length, int64_t depth, int64_t batch, int64_t head, int64_t position)
{
    return flat ? ((batch * length + position) * heads + head) * depth : ((batch * heads + head) * length + position) * depth;
}

/* Past and fresh rows of one head, as floats [keys, depth]; `present` receives a copy in its own type. */
static void join_rows(const Job *job, int64_t batch, int64_t head, const FbTensor *fresh, const FbTensor *past, FbTensor *present, int64_t depth,
                      float *rows)
{
    const FbAttentionSizes *s = &job->size;
    size_t width = (size_t)fb_dtype_bits(fresh->dtype) / 8;
    for (int64_t t = 0; t < s->keys; t++) {
        bool old = t < s->past;
        const FbTensor *from = old ? past : fresh;
        int64_t at = old ? element_at(false, s->kv_heads, s->past, depth, batch, head, t)
                         : element_at(s->flat, s->kv_heads, s->fresh, depth, batch, head, t - s->past);
        fb_work_load(from->dtype, from->data, at, 1, FB_WORK_F32, rows + t * depth, (size_t)depth);
        if (present) {
            int64_t to = element_at(false, s->kv_heads, s->keys, depth, batch, head, t);
            memcpy((char *)present->data + (size_t)to * width, (const char *)from->data + (size_t)at * width, (size_t)depth * width);
        }
    }
}

static void pack_task(void *arg, size_t slot, size_t begin, size_t end)
{
    const Job *job = arg;
    const FbAttentionSizes *s = &job->size;
    const FbCall *call = job->call;
    float *rows = job->rows + slot * job->row_count;
    size_t depth = (size_t)s->depth, value_depth = (size_t)s->value_depth, keys = (size_t)s->keys;
    for (size_t i = begin; i < end; i++) {
        int64_t batch = (int64_t)i / s->kv_heads, head = (int64_t)i % s->kv_heads;
        join_rows(job, batch, head, call->inputs[1], fb_call_input(call, 4), fb_call_output(call, 1), s->depth, rows);
        if (depth && keys) {
            fb_product_f32_pack(job->kernel, rows, 1, depth, depth, keys, job->keys + i * job->key_count);
        }
        join_rows(job, batch, head, call->inputs[2], fb_call_input(call, 5), fb_call_output(call, 2), s->value_depth, rows);
        if (value_depth && keys) {
            fb_product_f32_pack(job->kernel, rows, value_depth, 1, keys, value_depth, job->values + i * job->value_count);
        }
    }
}

static void multiply(const Job *job, const float *a, size_t rows, size_t depth, const float *panels, size_t cols, float *c)
{
    const float *pointers[ROW_TILE_MAX];
    for (size_t r = 0; r < rows; r++) {
        pointers[r] = a + r * depth;
    }
    FbProductF32 product = {.rows = rows, .depth = depth, .taps = 1, .a = pointers, .a_row_stride = rows, .c_stride = cols};
    for (size_t n = 0; n < cols; n += job->kernel->col_tile) {
        product.cols = cols - n < job->kernel->col_tile ? cols - n : job->kernel->col_tile;
        product.w = panels + n * depth;
        product.c = c + n;
        job->kernel->run(&product);
    }
}

/* Adds the mask to one row of scores; what must not be seen becomes -infinity. */
static void mask_row(const Job *job, int64_t batch, int64_t head, int64_t query, float *scores)
{
    const FbAttentionSizes *s = &job->size;
    const FbTensor *mask = fb_call_input(job->call, 3), *lengths = fb_call_input(job->call, 6);
    int64_t seen = s->keys;
    if (mask) {
        const int64_t index[3] = {query, head, batch};
        int64_t width = mask->dims[mask->rank - 1], at = 0, stride = width;
        for (int i = 0; i < mask->rank - 1; i++) {
            int64_t dim = mask->dims[mask->rank - 2 - i];
            at += dim == 1 ? 0 : index[i] * stride;
            stride *= dim;
        }
        for (int64_t t = 0; t < width; t++) {
            if (mask->dtype == FB_DTYPE_BOOL) {
                scores[t] = ((const uint8_t *)mask->data)[at + t] ? scores[t] : -INFINITY;
            } else {
                float bias;
                fb_work_load(mask->dtype, mask->data, at + t, 1, FB_WORK_F32, &bias, 1);
                scores[t] += bias;
            }
        }
        seen = width;
    }
    if (job->params->causal && query + s->past + 1 < seen) {
        seen = query + s->past + 1;
    }
    if (lengths) {
        int64_t valid = fb_tensor_int(lengths, batch);
        seen = valid < seen ? valid : seen;
    }
    for (int64_t t = seen; t < s->keys; t++) {
        scores[t] = -INFINITY;
    }
}

static void softmax_row(const Job *job, float *row, size_t count)
{
    float largest = job->reduce->max(row, count);
    for (size_t i = 0; i < count; i++) {
        row[i] -= largest;
    }
    job->exp(row, row, count, 0, 0);
    float sum = job->reduce->sum(row, count);
    for (size_t i = 0; i < count; i++) {
        row[i] /= sum;
    }
}

static void show_scores(const Job *job, int64_t mode, int64_t batch, int64_t head, int64_t query, const float *row)
{
    FbTensor *out = fb_call_output(job->call, 3);
    const FbAttentionSizes *s = &job->size;
    if (out && mode == job->params->score_output) {
        fb_work_store(out->dtype, out->data, ((batch * s->q_heads + head) * s->queries + query) * s->keys, FB_WORK_F32, row, (size_t)s->keys);
    }
}

static void score_row(const Job *job, int64_t batch, int64_t head, int64_t query, float *row)
{
    size_t keys = (size_t)job->size.keys;
    float cap = job->params->softcap;
    show_scores(job, 0, batch, head, query, row);
    if (cap > 0) {
        for (size_t i = 0; i < keys; i++) {
            row[i] /= cap;
        }
        job->tanh(row, row, keys, 0, 0);
        for (size_t i = 0; i < keys; i++) {
            row[i] *= cap;
        }
    }
    show_scores(job, 1, batch, head, query, row);
    mask_row(job, batch, head, query, row);
    show_scores(job, 2, batch, head, query, row);
    softmax_row(job, row, keys);
    show_scores(job, 3, batch, head, query, row);
}

static void attend_task(void *arg, size_t slot, size_t begin, size_t end)
{
    const Job *job = arg;
    const FbAttentionSizes *s = &job->size;
    const FbTensor *q = job->call->inputs[0];
    FbTensor *y = job->call->outputs[0];
    size_t keys = (size_t)s->keys, depth = (size_t)s->depth, value_depth = (size_t)s->value_depth;
    float *scores = job->slots + slot * job->slot_count, *queries = scores + job->tile * keys, *sums = queries + job->tile * depth;
    for (size_t i = begin; i < end; i++) {
        int64_t head = (int64_t)(i / job->blocks) % s->q_heads, batch = (int64_t)(i / job->blocks) / s->q_heads;
        int64_t first = (int64_t)(i % job->blocks * job->tile);
        size_t rows = (size_t)(s->queries - first) < job->tile ? (size_t)(s->queries - first) : job->tile;
        size_t shared = (size_t)(batch * s->kv_heads + head / (s->q_heads / s->kv_heads));
        for (size_t r = 0; r < rows; r++) {
            float *row = queries + r * depth;
            int64_t at = element_at(s->flat, s->q_heads, s->queries, s->depth, batch, head, first + (int64_t)r);
            fb_work_load(q->dtype, q->data, at, 1, FB_WORK_F32, row, depth);
            for (size_t d = 0; d < depth; d++) {
                row[d] *= job->scale;
            }
        }
        memset(scores, 0, rows * keys * sizeof *scores);
        if (depth) {
            multiply(job, queries, rows, depth, job->keys + shared * job->key_count, keys, scores);
        }
        for (size_t r = 0; r < rows; r++) {
            score_row(job, batch, head, first + (int64_t)r, scores + r * keys);
        }
        multiply(job, scores, rows, keys, job->values + shared * job->value_count, value_depth, sums);
        for (size_t r = 0; y && r < rows; r++) {
            int64_t at = element_at(s->flat, s->q_heads, s->queries, s->value_depth, batch, head, first + (int64_t)r);
            fb_work_store(y->dtype, y->data, at, FB_WORK_F32, sums + r * value_depth, value_depth);
        }
    }
}

FbStatus fb_attention_run(const FbCall *call, FbError *err)
{
    Job job;
    FB_TRY(make_job(call, &job, err));
    const FbTensor *lengths = fb_call_input(call, 6);
    for (int64_t b = 0; lengths && b < job.size.batch; b++) {
        int64_t valid = fb_tensor_int(lengths, b);
        if (valid < 0 || valid > job.size.keys) {
            return fb_error_set(err, FB_ERR_FORMAT, "sample %lld has %lld keys that are not padding, of %lld", (long long)b, (long long)valid,
                                (long long)job.size.keys);
        }
    }
    size_t heads = (size_t)(job.size.batch * job.size.kv_heads), slots = (size_t)fb_context_threads(call->context);
    job.keys = call->scratch;
    job.values = job.keys + heads * job.key_count;
    job.rows = job.values + heads * job.value_count;
    job.slots = job.rows + slots * job.row_count;
    fb_parallel(call->context, pack_task, &job, heads, 1);
    if (job.size.keys == 0) {
        if (call->outputs[0]) {
            memset(call->outputs[0]->data, 0, call->outputs[0]->bytes);
        }
        return FB_OK;
    }
    fb_parallel(call->context, attend_task, &job, (size_t)(job.size.batch * job.size.q_heads) * job.blocks, 1);
    return fb_check_cancel(call->context, err);
}
