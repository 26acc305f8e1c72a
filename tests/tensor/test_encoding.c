/* Encodings, packings and shapes: hand-computed cases, and row ranges equal to the whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "tensor/encoding.h"
#include "tensor/packing.h"

static void test_quantize_by_hand(void **state)
{
    (void)state;
    FbEncoding encoding = {fb_code_find("u8"), FB_GRAIN_TENSOR, 0, 0, FB_DTYPE_F32, true, NULL};
    FbShape shape = fb_shape_make(1, (int64_t[]){8});
    float x[8] = {0.0f, 1.0f, 1.25f, 1.75f, -64.0f, -65.0f, 200.0f, 0.0f / 1.0f}, back[8];
    float scale = 0.5f;
    int32_t zero = 128, codes[8];
    fb_encoding_quantize(&encoding, &shape, &scale, &zero, x, 0, 8, codes);
    static const int32_t expected[8] = {128, 130, 130 /* 2.5 to even */, 132 /* 3.5 to even */, 0, 0, 255, 128};
    assert_memory_equal(codes, expected, sizeof expected);
    fb_encoding_dequantize(&encoding, &shape, &scale, &zero, codes, 0, 8, back);
    static const float values[8] = {0.0f, 1.0f, 1.0f, 2.0f, -64.0f, -64.0f, 63.5f, 0.0f};
    assert_memory_equal(back, values, sizeof values);

    encoding.code = fb_code_find("nf4");
    float levels[4] = {-5.0f, 0.03f, 0.9f, 0.04f};
    fb_encoding_quantize(&encoding, &shape, NULL, NULL, levels, 0, 4, codes);
    assert_int_equal(codes[0], 0);
    assert_int_equal(codes[1], 7);
    assert_int_equal(codes[2], 15);
    assert_int_equal(codes[3], 8);

    encoding.code = fb_code_find("f8e4m3fn");
    float small[3] = {1.0f, -2.0f, 1e9f};
    scale = 2.0f;
    fb_encoding_quantize(&encoding, &shape, &scale, NULL, small, 0, 3, codes);
    fb_encoding_dequantize(&encoding, &shape, &scale, NULL, codes, 0, 3, back);
    assert_true(back[0] == 1.0f && back[1] == -2.0f && back[2] == 896.0f);
}

/* Scale indices by the definition, one element at a time. */
static uint64_t scale_index(const FbEncoding *encoding, const FbShape *shape, uint64_t element)
{
    uint64_t index[FB_RANK_MAX] = {0}, at = 0;
    for (int i = shape->rank - 1; i >= 0; i--) {
        index[i] = element % (uint64_t)shape->dims[i];
        element /= (uint64_t)shape->dims[i];
    }
    if (encoding->grain == FB_GRAIN_TENSOR) {
        return 0;
    }
    if (encoding->grain == FB_GRAIN_AXIS) {
        return index[encoding->axis];
    }
    FbShape scales = fb_encoding_scale_shape(encoding, shape);
    index[encoding->axis] /= (uint64_t)encoding->block;
    for (int i = 0; i < scales.rank; i++) {
        at = at * (uint64_t)scales.dims[i] + index[i];
    }
    return at;
}

static void test_grains(void **state)
{
    (void)state;
    FbShape shape = fb_shape_make(3, (int64_t[]){3, 7, 5});
    enum { COUNT = 105 };
    float x[COUNT], scale[COUNT], back[COUNT];
    int32_t zero[COUNT], whole[COUNT], parts[COUNT];
    for (uint64_t i = 0; i < COUNT; i++) {
        x[i] = fb_random_normal(3, 0, i);
        scale[i] = (float)(1 + i % 11) * 0.03125f;
        zero[i] = (int32_t)(i % 5) - 2;
    }
    for (int grain = 0; grain < 3; grain++) {
        for (int axis = 0; axis < 3; axis++) {
            for (int64_t block = 1; block < 9; block += 3) {
                FbEncoding encoding = {fb_code_find("s8"), (FbGrain)grain, axis, block, FB_DTYPE_F32, true, NULL};
                fb_encoding_quantize(&encoding, &shape, scale, zero, x, 0, COUNT, whole);
                for (uint64_t i = 0; i < COUNT; i++) {
                    uint64_t at = scale_index(&encoding, &shape, i);
                    FbEncoding one = {encoding.code, FB_GRAIN_TENSOR, 0, 0, FB_DTYPE_F32, true, NULL};
                    int32_t expected;
                    fb_encoding_quantize(&one, &shape, &scale[at], &zero[at], &x[i], 0, 1, &expected);
                    assert_int_equal(whole[i], expected);
                }
                for (uint64_t first = 0; first < COUNT; first += 13) {
                    size_t count = COUNT - first < 13 ? (size_t)(COUNT - first) : 13;
                    fb_encoding_quantize(&encoding, &shape, scale, zero, x + first, first, count, parts + first);
                    fb_encoding_dequantize(&encoding, &shape, scale, zero, parts + first, first, count, back + first);
                }
                assert_memory_equal(whole, parts, sizeof whole);
                for (uint64_t i = 0; i < COUNT; i++) {
                    uint64_t at = scale_index(&encoding, &shape, i);
                    assert_true(back[i] == (float)(whole[i] - zero[at]) * scale[at]);
                }
            }
        }
    }
}

static void test_bits(void **state)
{
    (void)state;
    FbShape shape = fb_shape_make(2, (int64_t[]){10, 100});
    FbEncoding encoding = {fb_code_find("s4"), FB_GRAIN_BLOCK, 1, 32, FB_DTYPE_F16, true, NULL};
    uint64_t bits = 0;
    assert_true(fb_encoding_bits(&encoding, &shape, &bits));
    assert_int_equal(bits, 1000 * 4 + 40 * (16 + 4)); /* four blocks a row, the last of 4 elements */
    FbShape scales = fb_encoding_scale_shape(&encoding, &shape);
    assert_int_equal(scales.dims[1], 4);
    shape.dims[0] = INT64_MAX / 2;
    assert_false(fb_encoding_bits(&encoding, &shape, &bits));
}

static void test_range_to_scale(void **state)
{
    (void)state;
    float scale;
    int32_t zero;
    fb_range_to_scale(fb_code_find("u8"), false, -1.0, 3.0, &scale, &zero);
    assert_true(scale == (float)(4.0 / 255.0));
    assert_int_equal(zero, 64); /* 63.75 */
    fb_range_to_scale(fb_code_find("u8"), false, 2.0, 5.1, &scale, &zero); /* widened to hold 0 */
    assert_true(scale == (float)(5.1 / 255.0));
    assert_int_equal(zero, 0);
    fb_range_to_scale(fb_code_find("s8"), true, -2.54, 1.0, &scale, &zero);
    assert_true(scale == (float)(5.08 / 254.0));
    assert_int_equal(zero, 0);
    fb_range_to_scale(fb_code_find("s4"), true, -3.0, 1.0, &scale, &zero);
    assert_true(scale == (float)(6.0 / 15.0));
    fb_range_to_scale(fb_code_find("u8"), true, -1.0, 1.0, &scale, &zero);
    assert_int_equal(zero, 128);
    fb_range_to_scale(fb_code_find("s8"), false, 0.0, 0.0, &scale, &zero);
    assert_true(scale == 1.0f && zero == 0);
    fb_range_to_scale(fb_code_find("s8"), false, 0.0, 1e-40, &scale, &zero);
    assert_true(scale == 1.0f && zero == 0);
    fb_range_to_scale(fb_code_find("u8"), false, -3e38, 3e38, &scale, &zero);
    assert_true(scale > 0.0f && scale < 1e37f);
}

static void test_packings(void **state)
{
    (void)state;
    enum { ROWS = 9, COLS = 21, COUNT = ROWS * COLS };
    int8_t codes[COUNT], back[COUNT];
    for (size_t p = 0; p < fb_packing_count; p++) {
        const FbPacking *packing = &fb_packings[p];
        uint64_t bytes = 0;
        assert_true(fb_packing_bytes(packing, ROWS, COLS, &bytes));
        for (int is_signed = 0; is_signed < 2; is_signed++) {
            int low = is_signed ? -(1 << (packing->bits - 1)) : 0;
            for (uint64_t i = 0; i < COUNT; i++) {
                codes[i] = (int8_t)((int)fb_random_below(p, (uint64_t)is_signed, i, 1u << packing->bits) + low);
            }
            uint8_t *whole = calloc(bytes, 1), *parts = calloc(bytes, 1); /* exact size: a step outside shows under ASan */
            fb_packing_pack(packing, codes, whole, COLS, 0, ROWS);
            for (int row = ROWS - 1; row >= 0; row -= 2) { /* from the end, two rows at a time */
                int first = row > 0 ? row - 1 : 0;
                fb_packing_pack(packing, codes + first * COLS, parts, COLS, (uint64_t)first, (size_t)(row - first + 1));
            }
            assert_memory_equal(whole, parts, bytes);
            fb_packing_unpack(packing, is_signed, whole, COLS, 0, ROWS, back);
            assert_memory_equal(back, codes, COUNT);
            memset(back, 0, sizeof back);
            fb_packing_unpack(packing, is_signed, whole, COLS, 4, 3, back);
            assert_memory_equal(back, codes + 4 * COLS, 3 * COLS);
            free(whole);
            free(parts);
        }
    }
    /* By hand: 3-bit codes 1..8 mod 8 from the lowest bits on. */
    int8_t eight[8] = {1, 2, 3, 4, 5, 6, 7, 0};
    uint8_t stream[3] = {0};
    fb_pack_bits(3, eight, stream, 0, 8);
    assert_int_equal(stream[0], 0xd1); /* 001, 010, low two bits of 011 */
    assert_int_equal(stream[1], 0x58); /* 0, 100, 101, low bit of 110 */
    assert_int_equal(stream[2], 0x1f); /* 11, 111, 000 */
    uint64_t bytes;
    assert_true(fb_packing_bytes(fb_packing_find("rows3"), 2, 3, &bytes));
    assert_int_equal(bytes, 4);
    assert_false(fb_packing_bytes(fb_packing_find("onnx4"), UINT64_MAX, 3, &bytes));
    assert_null(fb_packing_find("x"));
}

static void test_shapes(void **state)
{
    (void)state;
    char text[40];
    FbShape shape = fb_shape_make(4, (int64_t[]){1, 3, 224, 224}), symbol = fb_shape_make(2, (int64_t[]){-5, 3}), unknown = {.rank = -1};
    fb_shape_text(&shape, text, sizeof text);
    assert_string_equal(text, "1x3x224x224");
    fb_shape_text(&symbol, text, sizeof text);
    assert_string_equal(text, "?x3");
    fb_shape_text(&unknown, text, sizeof text);
    assert_string_equal(text, "unknown");
    fb_shape_text(&shape, text, 5);
    assert_string_equal(text, "1x3x");
    assert_true(fb_shape_equal(&symbol, &symbol));
    assert_false(fb_shape_is_known(&symbol));
    symbol.dims[0] = FB_DIM_UNKNOWN;
    assert_false(fb_shape_equal(&symbol, &symbol));
    assert_false(fb_shape_equal(&unknown, &unknown));
    assert_int_equal(fb_shape_elements(&shape), 150528);
    assert_int_equal(fb_shape_elements(&unknown), -1);

    int16_t numbers[3] = {-5, 7, -32768};
    FbTensor tensor = {FB_DTYPE_S16, 1, {3}, numbers, sizeof numbers};
    assert_int_equal(fb_tensor_int(&tensor, 0), -5);
    assert_true(fb_tensor_number(&tensor, 2) == -32768.0);
    uint8_t nibbles[2] = {0x9f, 0x01};
    FbTensor packed = {FB_DTYPE_S4, 1, {3}, nibbles, sizeof nibbles};
    assert_int_equal(fb_tensor_int(&packed, 0), -1);
    assert_int_equal(fb_tensor_int(&packed, 1), -7);
    assert_int_equal(fb_tensor_int(&packed, 2), 1);
    double wide = 0.1;
    FbTensor real = {FB_DTYPE_F64, 0, {0}, &wide, sizeof wide};
    assert_true(fb_tensor_number(&real, 0) == 0.1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quantize_by_hand), cmocka_unit_test(test_grains),   cmocka_unit_test(test_bits),
        cmocka_unit_test(test_range_to_scale),   cmocka_unit_test(test_packings), cmocka_unit_test(test_shapes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
