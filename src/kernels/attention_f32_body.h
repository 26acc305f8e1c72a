/* Attention blocks; included once per instruction set. */
#include <math.h>

#include "kernels/attention_f32.h"
#include "kernels/functions_math.h"

enum { ATTENTION_GROUPS = FB_ATTENTION_KEYS / FB_LANES };

static const float attention_places[FB_ATTENTION_KEYS] = {
    0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31,
    32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63};

/* Four rows and sixteen keys: as many sums as hide the latency of the chain. */
static void attention_scores_4(const FbAttentionBlock *b, const FbAttentionRow *rows, float *scores, size_t group)
{
    const float *keys = b->keys + group * FB_LANES;
    const float *q0 = rows[0].query, *q1 = rows[1].query, *q2 = rows[2].query, *q3 = rows[3].query;
    FbV s0 = fb_v_set(0.0f), s1 = s0, s2 = s0, s3 = s0;
    for (size_t d = 0; d < b->depth; d++) {
        const FbV k = fb_v_load(keys + d * FB_ATTENTION_KEYS);
        s0 = fb_v_fma(fb_v_set(q0[d]), k, s0);
        s1 = fb_v_fma(fb_v_set(q1[d]), k, s1);
        s2 = fb_v_fma(fb_v_set(q2[d]), k, s2);
        s3 = fb_v_fma(fb_v_set(q3[d]), k, s3);
    }
    scores += group * FB_LANES;
    fb_v_store(scores, s0);
    fb_v_store(scores + FB_ATTENTION_KEYS, s1);
    fb_v_store(scores + 2 * FB_ATTENTION_KEYS, s2);
    fb_v_store(scores + 3 * FB_ATTENTION_KEYS, s3);
}

/* One row and all keys. */
static void attention_scores_1(const FbAttentionBlock *b, const FbAttentionRow *row, float *scores)
{
    FbV s0 = fb_v_set(0.0f), s1 = s0, s2 = s0, s3 = s0;
    const float *k = b->keys;
    for (size_t d = 0; d < b->depth; d++, k += FB_ATTENTION_KEYS) {
        const FbV q = fb_v_set(row->query[d]);
        s0 = fb_v_fma(q, fb_v_load(k), s0);
        s1 = fb_v_fma(q, fb_v_load(k + FB_LANES), s1);
        s2 = fb_v_fma(q, fb_v_load(k + 2 * FB_LANES), s2);
        s3 = fb_v_fma(q, fb_v_load(k + 3 * FB_LANES), s3);
    }
    fb_v_store(scores, s0);
    fb_v_store(scores + FB_LANES, s1);
    fb_v_store(scores + 2 * FB_LANES, s2);
    fb_v_store(scores + 3 * FB_LANES, s3);
}

static void attention_scale(float *sum, size_t count, float factor)
{
    const FbV f = fb_v_set(factor);
    for (size_t i = 0; i < count; i += FB_LANES) {
        const size_t n = count - i < FB_LANES ? count - i : FB_LANES;
        fb_v_store_n(sum + i, fb_v_mul(fb_v_load_n(sum + i, n), f), n);
    }
}

static float attention_exp(float x)
{
    float lanes[FB_LANES];
    fb_v_store(lanes, fb_m_exp(fb_v_set(x)));
    return lanes[0];
}

/* The scores of a row as they go into the softmax: capped, sloped, -infinity where the row does not see. Returns the largest. */
static float attention_bias(const FbAttentionBlock *b, const FbAttentionRow *row, float *scores)
{
    const FbV cap = fb_v_set(b->softcap), slope = fb_v_set(row->slope), distance = fb_v_set(row->distance);
    const FbV first = fb_v_set((float)row->first), end = fb_v_set((float)row->end), never = fb_v_set(-INFINITY);
    FbV best = never;
    for (size_t i = 0; i < FB_ATTENTION_KEYS; i += FB_LANES) {
        const FbV place = fb_v_load(attention_places + i);
        FbV s = fb_v_load(scores + i);
        if (b->softcap > 0) {
            s = fb_v_mul(fb_m_tanh(fb_v_div(s, cap)), cap);
        }
        if (row->slope != 0) {
            s = fb_v_fma(slope, fb_v_add(distance, place), s);
        }
        s = fb_v_select(fb_v_lt(place, end), s, never);
        s = fb_v_select(fb_v_lt(place, first), never, s);
        best = fb_v_max(s, best);
        fb_v_store(scores + i, s);
    }
    float lanes[FB_LANES], top;
    fb_v_store(lanes, best);
    top = lanes[0];
    for (int lane = 1; lane < FB_LANES; lane++) {
        top = lanes[lane] > top ? lanes[lane] : top;
    }
    return top;
}

/* Scores to weights exp(score - max); what came before is scaled to the new largest score. */
static void attention_weights(const FbAttentionBlock *b, FbAttentionRow *row, float *scores)
{
    const float best = attention_bias(b, row, scores);
    const float top = best > row->max ? best : row->max;
    FbV lanes = fb_v_set(0.0f);
    if (top == -INFINITY) {
        row->end = row->first;
        return;
    }
    if (top > row->max && row->total > 0) {
        const float factor = attention_exp(row->max - top);
        row->total *= factor;
        attention_scale(row->sum, b->value_depth, factor);
    }
    row->max = top;
    for (size_t i = 0; i < FB_ATTENTION_KEYS; i += FB_LANES) {
        const FbV e = fb_m_exp(fb_v_sub(fb_v_load(scores + i), fb_v_set(top)));
        fb_v_store(scores + i, e);
        lanes = fb_v_add(lanes, e);
    }
    row->total += fb_v_sum(lanes);
}

static void attention_values_4(const FbAttentionBlock *b, FbAttentionRow *rows, const float *weights, uint32_t first, uint32_t end)
{
    for (size_t i = 0; i < b->value_depth; i += FB_LANES) {
        const size_t n = b->value_depth - i < FB_LANES ? b->value_depth - i : FB_LANES;
        FbV s0 = fb_v_load_n(rows[0].sum + i, n), s1 = fb_v_load_n(rows[1].sum + i, n);
        FbV s2 = fb_v_load_n(rows[2].sum + i, n), s3 = fb_v_load_n(rows[3].sum + i, n);
        for (uint32_t j = first; j < end; j++) {
            const float *value = b->values + j * b->value_depth + i;
            const FbV v = n == FB_LANES ? fb_v_load(value) : fb_v_load_n(value, n);
            s0 = fb_v_fma(fb_v_set(weights[j]), v, s0);
            s1 = fb_v_fma(fb_v_set(weights[FB_ATTENTION_KEYS + j]), v, s1);
            s2 = fb_v_fma(fb_v_set(weights[2 * FB_ATTENTION_KEYS + j]), v, s2);
            s3 = fb_v_fma(fb_v_set(weights[3 * FB_ATTENTION_KEYS + j]), v, s3);
        }
        fb_v_store_n(rows[0].sum + i, s0, n);
        fb_v_store_n(rows[1].sum + i, s1, n);
        fb_v_store_n(rows[2].sum + i, s2, n);
        fb_v_store_n(rows[3].sum + i, s3, n);
    }
}

static void attention_values_1(const FbAttentionBlock *b, FbAttentionRow *row, const float *weights, uint32_t first, uint32_t end)
{
    size_t i = 0;
    for (; i + 4 * FB_LANES <= b->value_depth; i += 4 * FB_LANES) {
        float *sum = row->sum + i;
        FbV s0 = fb_v_load(sum), s1 = fb_v_load(sum + FB_LANES), s2 = fb_v_load(sum + 2 * FB_LANES), s3 = fb_v_load(sum + 3 * FB_LANES);
        for (uint32_t j = first; j < end; j++) {
            const FbV w = fb_v_set(weights[j]);
            const float *value = b->values + j * b->value_depth + i;
            s0 = fb_v_fma(w, fb_v_load(value), s0);
            s1 = fb_v_fma(w, fb_v_load(value + FB_LANES), s1);
            s2 = fb_v_fma(w, fb_v_load(value + 2 * FB_LANES), s2);
            s3 = fb_v_fma(w, fb_v_load(value + 3 * FB_LANES), s3);
        }
        fb_v_store(sum, s0);
        fb_v_store(sum + FB_LANES, s1);
        fb_v_store(sum + 2 * FB_LANES, s2);
        fb_v_store(sum + 3 * FB_LANES, s3);
    }
    for (; i < b->value_depth; i += FB_LANES) {
        const size_t n = b->value_depth - i < FB_LANES ? b->value_depth - i : FB_LANES;
        FbV s = fb_v_load_n(row->sum + i, n);
        for (uint32_t j = first; j < end; j++) {
            s = fb_v_fma(fb_v_set(weights[j]), fb_v_load_n(b->values + j * b->value_depth + i, n), s);
        }
        fb_v_store_n(row->sum + i, s, n);
    }
}

/* Four rows that see different keys: what all see together, the rest by row, each in the order of its keys. */
static void attention_values_tile(const FbAttentionBlock *b, FbAttentionRow *rows, const float *weights)
{
    uint32_t first = 0, end = FB_ATTENTION_KEYS;
    for (int r = 0; r < 4; r++) {
        first = rows[r].first > first ? rows[r].first : first;
        end = rows[r].end < end ? rows[r].end : end;
    }
    if (first >= end) {
        first = end = 0;
    }
    for (int r = 0; r < 4; r++) {
        const uint32_t stop = first < end ? first : rows[r].end;
        attention_values_1(b, &rows[r], weights + r * FB_ATTENTION_KEYS, rows[r].first, stop);
    }
    if (first < end) {
        attention_values_4(b, rows, weights, first, end);
        for (int r = 0; r < 4; r++) {
            attention_values_1(b, &rows[r], weights + r * FB_ATTENTION_KEYS, end, rows[r].end);
        }
    }
}

static void attention_add(const FbAttentionBlock *b)
{
    size_t r = 0;
    for (; r + 4 <= b->row_count; r += 4) {
        float *scores = b->scores + r * FB_ATTENTION_KEYS;
        for (size_t group = 0; group < ATTENTION_GROUPS; group++) {
            attention_scores_4(b, b->rows + r, scores, group);
        }
        for (size_t i = 0; i < 4; i++) {
            attention_weights(b, b->rows + r + i, scores + i * FB_ATTENTION_KEYS);
        }
        attention_values_tile(b, b->rows + r, scores);
    }
    for (; r < b->row_count; r++) {
        float *scores = b->scores + r * FB_ATTENTION_KEYS;
        attention_scores_1(b, b->rows + r, scores);
        attention_weights(b, b->rows + r, scores);
        attention_values_1(b, b->rows + r, scores, b->rows[r].first, b->rows[r].end);
    }
}

static void attention_finish(const FbAttentionRow *row, size_t value_depth)
{
    const FbV total = fb_v_set(row->total);
    for (size_t i = 0; i < value_depth; i += FB_LANES) {
        const size_t n = value_depth - i < FB_LANES ? value_depth - i : FB_LANES;
        fb_v_store_n(row->sum + i, fb_v_div(fb_v_load_n(row->sum + i, n), total), n);
    }
}

static void attention_halves(const uint16_t *from, float *to, size_t count)
{
    size_t i = 0;
    for (; i + FB_LANES <= count; i += FB_LANES) {
        fb_v_store(to + i, fb_v_load_half(from + i));
    }
    if (i < count) {
        uint16_t tail[FB_LANES] = {0};
        memcpy(tail, from + i, (count - i) * sizeof *tail);
        fb_v_store_n(to + i, fb_v_load_half(tail), count - i);
    }
}

static void attention_codes(const int8_t *from, float scale, float *to, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        to[i] = (float)from[i] * scale;
    }
}

static void attention_codes_each(const int8_t *from, const float *scale, float *to, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        to[i] = (float)from[i] * scale[i];
    }
}

static void attention_rotate(const float *restrict x, const float *restrict cosine, const float *restrict sine, size_t pairs, bool interleaved,
                             float *restrict y)
{
    if (interleaved) {
        for (size_t i = 0; i < pairs; i++) {
            const float a = x[2 * i], b = x[2 * i + 1], c = cosine[i], d = sine[i];
            y[2 * i] = c * a - d * b;
            y[2 * i + 1] = d * a + c * b;
        }
        return;
    }
    for (size_t i = 0; i < pairs; i++) {
        const float a = x[i], b = x[pairs + i], c = cosine[i], d = sine[i];
        y[i] = c * a - d * b;
        y[pairs + i] = d * a + c * b;
    }
}

const FbAttentionKernel FB_ISA(fb_attention_f32) = {FB_ISA_NAME,      FB_ISA_NEEDS,    attention_add,        attention_finish,
                                                    attention_halves, attention_codes, attention_codes_each, attention_rotate};
