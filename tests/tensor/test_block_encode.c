/* Encoding of the block types against llama.cpp's encoders built without fused multiply-add (fixtures/encoded, see make_encoded.py), and what
 * the fixtures do not hold. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/sha256.h"
#include "tensor/block_search.h"
#include "tensor/block_type.h"

enum { ROWS = 24, COLS = 512, BYTES_MOST = ROWS * COLS * 2 };

static float rows[ROWS * COLS], importance[COLS];

static void read_floats(const char *name, float *to, size_t count)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", FB_SOURCE_DIR "/tests/tensor/fixtures/encoded", name);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fread(to, sizeof *to, count, file), count);
    fclose(file);
}

static int setup(void **state)
{
    (void)state;
    read_floats("rows.f32", rows, ROWS * COLS);
    read_floats("importance.f32", importance, COLS);
    return 0;
}

static void digest(const uint8_t *bytes, size_t count, char hex[65])
{
    FbContext *context = NULL;
    FbError err;
    assert_int_equal(fb_context_create(NULL, &context, &err), FB_OK);
    FbSha256 *hash = fb_sha256_create(context);
    assert_non_null(hash);
    fb_sha256_add(hash, bytes, count);
    fb_sha256_finish(hash, hex);
    fb_context_free(context);
}

static void test_equal_files(void **state)
{
    (void)state;
    static uint8_t bytes[BYTES_MOST];
    char name[16], kind[16], expected[65], hex[65];
    int seen = 0;
    FILE *file = fopen(FB_SOURCE_DIR "/tests/tensor/fixtures/encoded/encoded.txt", "r");
    assert_non_null(file);
    while (fscanf(file, "%15s %15s %64s", name, kind, expected) == 3) {
        const FbBlockType *type = fb_block_type_find(name);
        assert_non_null(type);
        size_t blocks = (size_t)(COLS / type->elements);
        FbBlockRows job = {type, NULL, strcmp(kind, "plain") == 0 ? NULL : importance, blocks};
        FbError err = {0};
        assert_int_equal(fb_block_encode_rows(&job, rows, 0, bytes, ROWS, NULL, &err), FB_OK);
        digest(bytes, blocks * ROWS * (size_t)type->bytes, hex);
        if (strcmp(hex, expected) != 0) {
            fail_msg("%s %s: %s, expected %s", name, kind, hex, expected);
        }
        seen++;
    }
    fclose(file);
    assert_int_equal(seen, 30);
}

static const char *const searched[] = {"q4_0", "q4_1", "q5_0", "q5_1", "q2_K", "q3_K", "q4_K", "q5_K", "q6_K", "iq4_nl", "iq4_xs"};

static double squared_error(const FbBlockType *type, const uint8_t *bytes, const float *x, const float *weights, size_t count)
{
    static float back[ROWS * COLS];
    double sum = 0;
    type->decode(bytes, back, count / (size_t)type->elements);
    for (size_t i = 0; i < count; i++) {
        double difference = (double)back[i] - (double)x[i];
        sum += difference * difference * (weights ? (double)weights[i % COLS] : 1.0);
    }
    return sum;
}

/* Importance makes the weighted error smaller; what has no importance at all is encoded as without; a block of a row without importance too. */
static void test_importance(void **state)
{
    (void)state;
    static uint8_t plain[BYTES_MOST], weighted[BYTES_MOST];
    static float none[COLS], half[COLS], steep[COLS];
    static float row[COLS];
    FbError err = {0};
    float extreme = fb_block_extreme(rows + 12 * COLS, COLS);
    for (int i = 0; i < COLS; i++) {
        row[i] = rows[12 * COLS + i] / extreme; /* normal numbers */
        half[i] = i < 256 ? 0.0f : importance[i];
        steep[i] = i % 8 == 0 ? 1.0f : 1e-3f;
    }
    for (size_t t = 0; t < sizeof searched / sizeof *searched; t++) {
        const FbBlockType *type = fb_block_type_find(searched[t]);
        size_t blocks = (size_t)(COLS / type->elements), bytes = blocks * (size_t)type->bytes;
        assert_int_equal(fb_block_encode(type, row, 0, plain, blocks, NULL, &err), FB_OK);
        FbBlockRows job = {type, NULL, none, blocks};
        assert_int_equal(fb_block_encode_rows(&job, row, 0, weighted, 1, NULL, &err), FB_OK);
        assert_memory_equal(plain, weighted, bytes);
        job.importance = half;
        assert_int_equal(fb_block_encode_rows(&job, row, 0, weighted, 1, NULL, &err), FB_OK);
        assert_memory_equal(plain, weighted, bytes / 2);
        assert_memory_not_equal(plain, weighted, bytes);
        job.importance = steep;
        assert_int_equal(fb_block_encode_rows(&job, row, 0, weighted, 1, NULL, &err), FB_OK);
        assert_true(squared_error(type, weighted, row, steep, COLS) < squared_error(type, plain, row, steep, COLS));
    }
    assert_int_equal(fb_block_check_importance(importance, COLS, &err), FB_OK);
    half[300] = NAN;
    assert_int_equal(fb_block_check_importance(half, COLS, &err), FB_ERR_NUMERIC);
    assert_string_equal(err.message, "importance 300 is not a number");
    half[300] = -1.0f;
    assert_int_equal(fb_block_check_importance(half, COLS, &err), FB_ERR_NUMERIC);
    assert_string_equal(err.message, "importance 300 is negative");
    half[300] = INFINITY;
    assert_int_equal(fb_block_check_importance(half, COLS, &err), FB_ERR_NUMERIC);
}

/* Numbers at the ends of float: no trap, no write beyond the block, a named refusal where the scale is no half. */
static void test_extremes(void **state)
{
    (void)state;
    static const float sizes[] = {1e-45f, 1e-38f, 1e-20f, 1e-8f, 1e3f, 1e6f, 1e20f, 3e38f};
    uint8_t bytes[FB_BLOCK_BYTES_MAX + 1];
    float x[FB_BLOCK_ELEMENTS_MAX], y[FB_BLOCK_ELEMENTS_MAX];
    FbError err;
    for (size_t t = 0; t < fb_block_type_count; t++) {
        const FbBlockType *type = &fb_block_types[t];
        for (size_t s = 0; type->encode != NULL && s < sizeof sizes / sizeof *sizes; s++) {
            for (int with = 0; with < 2; with++) {
                for (int i = 0; i < type->elements; i++) {
                    x[i] = rows[i + 12 * COLS] / 4.0f * sizes[s];
                }
                x[0] = sizes[s];
                bytes[type->bytes] = 0xA5;
                uint64_t zeroed = 0;
                FbBlockRows job = {type, NULL, with ? importance : NULL, 1};
                FbStatus status = fb_block_encode_rows(&job, x, 0, bytes, 1, &zeroed, &err);
                assert_int_equal(bytes[type->bytes], 0xA5);
                assert_true(status == FB_OK || (status == FB_ERR_NUMERIC && sizes[s] > 1e4f));
                if (status == FB_OK) {
                    type->decode(bytes, y, 1);
                    assert_true(isfinite(y[0]) && (type->scale_at < 0 || sizes[s] > 1e-7f || zeroed == 1 || y[0] != 0.0f));
                }
            }
        }
    }
}

static void test_nearest(void **state)
{
    (void)state;
    static const struct { float x; int nearest; } cases[] = {{0, 0}, {0.5f, 0}, {1.5f, 2}, {-0.5f, 0}, {-1.5f, -2}, {-2.5f, -2}, {4194303, 4194303}, {-4194303, -4194303}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(fb_block_nearest(cases[i].x), cases[i].nearest);
    }
    for (int level = 0; level < 16; level++) {
        assert_int_equal(fb_nearest_level((float)fb_iq4_levels[level]), level);
    }
    assert_int_equal(fb_nearest_level(-1000.0f), 0);
    assert_int_equal(fb_nearest_level(1000.0f), 15);
    assert_int_equal(fb_nearest_level(7.0f), 9); /* between 1 and 13: the higher */
    assert_int_equal(fb_nearest_level(6.9f), 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_equal_files), cmocka_unit_test(test_importance), cmocka_unit_test(test_extremes),
                                       cmocka_unit_test(test_nearest)};
    return cmocka_run_group_tests(tests, setup, NULL);
}
