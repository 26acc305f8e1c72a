/* Attention blocks: every table row against the scalar one bit for bit, rows together against rows alone, and the scalar one against sums in
 * double. Conversions of what a cache stores, and rotations. */
#include "kernels/attention_f32.h"
#include "kernels/check.h"
#include "kernels/emulated/emulated.h"

#include "tensor/dtype.h"

enum { KEYS = FB_ATTENTION_KEYS, ROWS = 11, BLOCKS = 3 };

typedef struct AttentionCase {
    size_t depth, value_depth;
    float softcap, slope;
    bool ragged;
} AttentionCase;

static const AttentionCase cases[] = {{8, 8, 0, 0, false},     {64, 64, 0, 0, true},    {33, 100, 2.5f, 0, true}, {1, 1, 0, 0.3f, true},
                                      {128, 128, 0, 0, false}, {17, 15, 1.5f, 0.2f, true}};
enum { CASES = sizeof cases / sizeof cases[0] };

static float *random_floats(uint64_t stream, size_t count, float size)
{
    float *data = malloc((count + 1) * sizeof *data);
    assert_non_null(data);
    for (size_t i = 0; i < count; i++) {
        data[i] = size * fb_random_normal(9, stream, i);
    }
    return data;
}

/* Which keys of a block row r sees: with gaps between the rows of a tile, and rows that see nothing. */
static void set_view(const AttentionCase *c, size_t block, size_t r, FbAttentionRow *row)
{
    row->first = c->ragged ? (uint32_t)(r * 7 % 30) : 0;
    row->end = c->ragged && block == BLOCKS - 1 ? (uint32_t)(20 + r * 4) : KEYS;
    if (c->ragged && (r + block) % 5 == 0) {
        row->end = row->first;
    }
    row->slope = c->slope;
    row->distance = (float)((int)block * KEYS) - 500.0f + (float)r;
}

/* All blocks of a case, `together` rows at a time; sums and the state of the rows go to `out` [ROWS][value_depth + 2]. */
static void attend(const FbAttentionKernel *kernel, const AttentionCase *c, size_t together, float *out)
{
    float *queries = random_floats(1, ROWS * c->depth, 0.8f), *keys = random_floats(2, BLOCKS * c->depth * KEYS, 1);
    float *values = random_floats(3, BLOCKS * c->value_depth * KEYS, 1), *sums = calloc(ROWS * c->value_depth, sizeof *sums), scores[ROWS * KEYS];
    FbAttentionRow rows[ROWS];
    assert_non_null(sums);
    for (size_t r = 0; r < ROWS; r++) {
        rows[r] = (FbAttentionRow){.query = queries + r * c->depth, .sum = sums + r * c->value_depth, .max = -INFINITY};
    }
    for (size_t first = 0; first < ROWS; first += together) {
        for (size_t block = 0; block < BLOCKS; block++) {
            const size_t count = ROWS - first < together ? ROWS - first : together;
            for (size_t r = first; r < first + count; r++) {
                set_view(c, block, r, &rows[r]);
            }
            FbAttentionBlock b = {c->depth, c->value_depth, count, rows + first, keys + block * c->depth * KEYS, values + block * c->value_depth * KEYS,
                                  c->softcap, scores};
            kernel->add(&b);
        }
    }
    for (size_t r = 0; r < ROWS; r++) {
        kernel->finish(&rows[r], c->value_depth);
        memcpy(out, rows[r].sum, c->value_depth * sizeof *out);
        out[c->value_depth] = rows[r].max;
        out[c->value_depth + 1] = rows[r].total;
        out += c->value_depth + 2;
    }
    free(queries), free(keys), free(values), free(sums);
}

/* The definition, for one row. */
static void define(const AttentionCase *c, size_t r, double *y)
{
    float *queries = random_floats(1, ROWS * c->depth, 0.8f), *keys = random_floats(2, BLOCKS * c->depth * KEYS, 1);
    float *values = random_floats(3, BLOCKS * c->value_depth * KEYS, 1);
    double total = 0;
    memset(y, 0, c->value_depth * sizeof *y);
    for (size_t block = 0; block < BLOCKS; block++) {
        FbAttentionRow row = {0};
        set_view(c, block, r, &row);
        for (size_t j = row.first; j < row.end; j++) {
            double score = 0;
            for (size_t d = 0; d < c->depth; d++) {
                score += (double)queries[r * c->depth + d] * (double)keys[(block * c->depth + d) * KEYS + j];
            }
            score = c->softcap > 0 ? (double)c->softcap * tanh(score / (double)c->softcap) : score;
            score += (double)c->slope * ((double)row.distance + (double)j);
            const double weight = exp(score);
            total += weight;
            for (size_t d = 0; d < c->value_depth; d++) {
                y[d] += weight * (double)values[(block * KEYS + j) * c->value_depth + d];
            }
        }
    }
    for (size_t d = 0; d < c->value_depth; d++) {
        y[d] /= total;
    }
    free(queries), free(keys), free(values);
}

static void compare_blocks(const FbAttentionKernel *kernel)
{
    for (size_t i = 0; i < CASES; i++) {
        const AttentionCase *c = &cases[i];
        const size_t count = ROWS * (c->value_depth + 2);
        float *want = malloc(count * sizeof *want), *got = malloc(count * sizeof *got);
        double exact[128];
        assert_true(want && got);
        attend(fb_attention_f32_pick(0), c, 1, want);
        for (size_t together = 1; together <= ROWS; together += 5) {
            attend(kernel, c, together, got);
            check_same("attention", kernel->name, want, got, count);
        }
        for (size_t r = 0; r < ROWS; r++) {
            define(c, r, exact);
            for (size_t d = 0; d < c->value_depth; d++) {
                const double away = fabs((double)want[r * (c->value_depth + 2) + d] - exact[d]);
                if (!(away < 5e-5)) {
                    fail_msg("case %zu, row %zu is off by %g", i, r, away);
                }
            }
        }
        free(want), free(got);
    }
}

static void compare_conversions(const FbAttentionKernel *kernel)
{
    enum { HALVES = 1 << 16 };
    uint16_t *halves = malloc(HALVES * sizeof *halves);
    float *want = malloc(HALVES * sizeof *want), *got = malloc(HALVES * sizeof *got);
    int8_t *codes = malloc(HALVES);
    assert_true(halves && want && got && codes);
    for (int i = 0; i < HALVES; i++) {
        halves[i] = (uint16_t)i;
        want[i] = fb_f16_to_f32(halves[i]);
    }
    kernel->halves(halves, got, HALVES);
    check_same("halves", kernel->name, want, got, HALVES);
    for (size_t count = 0; count < 40; count++) { /* numbers up to the count, and nothing behind it */
        for (size_t i = 0; i < 50; i++) {
            got[i] = -7;
        }
        kernel->halves(halves + 15000, got, count);
        check_same("halves", kernel->name, want + 15000, got, count);
        assert_true(got[count] == -7);
    }
    float *scale = random_floats(4, 300, 0.01f);
    for (int i = 0; i < 300; i++) {
        codes[i] = (int8_t)(i - 128);
        want[i] = (float)codes[i] * scale[i];
        want[300 + i] = (float)codes[i] * scale[7];
    }
    kernel->codes_each(codes, scale, got, 300);
    kernel->codes(codes, scale[7], got + 300, 300);
    check_same("codes", kernel->name, want, got, 600);
    free(halves), free(want), free(got), free(codes), free(scale);
}

static void compare_rotations(const FbAttentionKernel *kernel)
{
    float *x = random_floats(5, 200, 1), *c = random_floats(6, 100, 1), *s = random_floats(7, 100, 1), want[200], got[200];
    for (size_t pairs = 0; pairs <= 100; pairs += pairs < 20 ? 1 : 16) {
        for (int interleaved = 0; interleaved < 2; interleaved++) {
            for (size_t i = 0; i < pairs; i++) {
                const size_t a = interleaved ? 2 * i : i, b = interleaved ? 2 * i + 1 : pairs + i;
                want[a] = c[i] * x[a] - s[i] * x[b];
                want[b] = s[i] * x[a] + c[i] * x[b];
            }
            kernel->rotate(x, c, s, pairs, interleaved, got);
            check_same("rotate", kernel->name, want, got, 2 * pairs);
        }
    }
    free(x), free(c), free(s);
}

static void rows_agree(void **state)
{
    (void)state;
    const unsigned cpu = fb_cpu_detect();
    for (size_t i = 0; i < fb_attention_f32_kernel_count; i++) {
        if ((fb_attention_f32_kernels[i]->needs & ~cpu) == 0) {
            compare_blocks(fb_attention_f32_kernels[i]);
            compare_conversions(fb_attention_f32_kernels[i]);
            compare_rotations(fb_attention_f32_kernels[i]);
        }
    }
    if ((cpu & FB_CPU_AVX2) != 0) {
        compare_blocks(&fb_attention_f32_emulated);
        compare_conversions(&fb_attention_f32_emulated);
        compare_rotations(&fb_attention_f32_emulated);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(rows_agree)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
