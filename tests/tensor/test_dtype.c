/* Conversions against the digests of an independent program (tests/golden/make_dtype_conversions.py), and hand-computed cases. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/sha256.h"
#include "tensor/dtype.h"

static FbContext *context;
static char golden[8192];

static int setup(void **state)
{
    (void)state;
    FILE *file = fopen(FB_SOURCE_DIR "/tests/golden/dtype_conversions.txt", "r");
    if (!file) {
        return -1;
    }
    size_t bytes = fread(golden, 1, sizeof golden - 1, file);
    golden[bytes] = '\0';
    fclose(file);
    FbContextOptions options = {.struct_bytes = sizeof options, .threads = 1};
    return fb_context_create(&options, &context, NULL) == FB_OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    fb_context_free(context);
    return 0;
}

static void expect_digest(const char *name, const void *bytes, size_t count)
{
    char hex[65], line[160];
    FbSha256 *hash = fb_sha256_create(context);
    fb_sha256_add(hash, bytes, count);
    fb_sha256_finish(hash, hex);
    snprintf(line, sizeof line, "\n%s %s\n", name, hex);
    if (!strstr(golden, line)) {
        fail_msg("%s: digest %s is not the golden one", name, hex);
    }
}

static uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* All codes of a type, decoded by rows, with every NaN made equal. */
static void check_decode(FbDtype dtype, const char *name, size_t codes, size_t element)
{
    uint16_t *wide = calloc(codes, sizeof *wide);
    uint8_t *narrow = calloc(codes, 1);
    uint8_t packed[8] = {0x10, 0x32, 0x54, 0x76, 0x98, 0xba, 0xdc, 0xfe};
    float *values = malloc(codes * sizeof *values);
    uint32_t *bits = malloc(codes * sizeof *bits);
    for (size_t i = 0; i < codes; i++) {
        wide[i] = (uint16_t)i;
        narrow[i] = (uint8_t)i;
    }
    const void *from = element == 2 ? (const void *)wide : element == 1 ? (const void *)narrow : packed;
    fb_decode_f32(dtype, from, 0, values, 5);
    fb_decode_f32(dtype, from, 5, values + 5, codes - 5); /* in two parts: rows may start anywhere */
    for (size_t i = 0; i < codes; i++) {
        bits[i] = values[i] != values[i] ? 0x7fc00000u : bits_of(values[i]);
    }
    expect_digest(name, bits, codes * sizeof *bits);
    free(wide);
    free(narrow);
    free(values);
    free(bits);
}

static void test_decode(void **state)
{
    (void)state;
    check_decode(FB_DTYPE_F16, "f16>f32", 65536, 2);
    check_decode(FB_DTYPE_BF16, "bf16>f32", 65536, 2);
    check_decode(FB_DTYPE_F8E4M3FN, "f8e4m3fn>f32", 256, 1);
    check_decode(FB_DTYPE_F8E4M3FNUZ, "f8e4m3fnuz>f32", 256, 1);
    check_decode(FB_DTYPE_F8E5M2, "f8e5m2>f32", 256, 1);
    check_decode(FB_DTYPE_F8E5M2FNUZ, "f8e5m2fnuz>f32", 256, 1);
    check_decode(FB_DTYPE_F8E8M0, "f8e8m0>f32", 256, 1);
    check_decode(FB_DTYPE_F4E2M1, "f4e2m1>f32", 16, 0);
}

enum { LOWS = 16, INPUTS = 65536 * LOWS };

static float input(size_t i)
{
    static const uint16_t lows[LOWS] = {0,      1,      0x0fff, 0x1000, 0x1001, 0x1fff, 0x2000, 0x2fff,
                                        0x3000, 0x3001, 0x5000, 0x7fff, 0x8000, 0x8001, 0xf000, 0xffff};
    uint32_t bits = (uint32_t)(i / LOWS) << 16 | lows[i % LOWS];
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static void test_encode_small(void **state)
{
    (void)state;
    static const struct {
        FbDtype dtype;
        uint8_t nan;
        const char *plain, *saturating;
    } types[] = {
        {FB_DTYPE_F8E4M3FN, 0x7f, "f32>f8e4m3fn", "f32>f8e4m3fn,saturate"},
        {FB_DTYPE_F8E4M3FNUZ, 0x80, "f32>f8e4m3fnuz", "f32>f8e4m3fnuz,saturate"},
        {FB_DTYPE_F8E5M2, 0x7f, "f32>f8e5m2", "f32>f8e5m2,saturate"},
        {FB_DTYPE_F8E5M2FNUZ, 0x80, "f32>f8e5m2fnuz", "f32>f8e5m2fnuz,saturate"},
        {FB_DTYPE_F4E2M1, 0, NULL, "f32>f4e2m1,saturate"},
    };
    uint8_t *codes = malloc(INPUTS);
    for (size_t t = 0; t < sizeof types / sizeof types[0]; t++) {
        for (int saturate = 0; saturate < 2; saturate++) {
            for (size_t i = 0; i < INPUTS; i++) {
                codes[i] = fb_f32_to_f8(input(i), types[t].dtype, saturate);
                float back = fb_f8_to_f32(codes[i], types[t].dtype);
                if (back != back) {
                    codes[i] = types[t].nan;
                }
            }
            const char *name = saturate ? types[t].saturating : types[t].plain;
            if (name) {
                expect_digest(name, codes, INPUTS);
            }
        }
    }
    static const char *const modes[] = {"f32>f8e8m0,up",   "f32>f8e8m0,up,saturate", "f32>f8e8m0,down", "f32>f8e8m0,down,saturate",
                                        "f32>f8e8m0,nearest", "f32>f8e8m0,nearest,saturate"};
    for (int mode = 0; mode < 6; mode++) {
        for (size_t i = 0; i < INPUTS; i++) {
            codes[i] = fb_f32_to_e8m0(input(i), (FbE8m0Round)(mode / 2), mode % 2);
        }
        expect_digest(modes[mode], codes, INPUTS);
    }
    free(codes);
}

static void test_encode_rows(void **state)
{
    (void)state;
    float *x = malloc(INPUTS * sizeof *x);
    for (size_t i = 0; i < INPUTS; i++) {
        x[i] = input(i);
    }
    uint16_t *half = malloc(INPUTS * sizeof *half);
    fb_encode_f32(FB_DTYPE_F16, x, half, 0, INPUTS);
    for (size_t i = 0; i < INPUTS; i++) {
        half[i] = x[i] != x[i] ? 0x7e00 : half[i];
    }
    expect_digest("f32>f16", half, INPUTS * sizeof *half);
    fb_encode_f32(FB_DTYPE_BF16, x, half, 0, INPUTS);
    for (size_t i = 0; i < INPUTS; i++) {
        half[i] = x[i] != x[i] ? 0x7fc0 : half[i];
    }
    expect_digest("f32>bf16", half, INPUTS * sizeof *half);
    int32_t *whole = malloc(INPUTS * sizeof *whole);
    static const struct {
        FbDtype dtype;
        const char *name;
    } types[] = {{FB_DTYPE_U8, "f32>u8"}, {FB_DTYPE_S8, "f32>s8"}, {FB_DTYPE_U16, "f32>u16"}, {FB_DTYPE_S16, "f32>s16"}, {FB_DTYPE_S32, "f32>s32"}};
    for (size_t t = 0; t < sizeof types / sizeof types[0]; t++) {
        fb_encode_f32(types[t].dtype, x, whole, 0, 7);
        fb_encode_f32(types[t].dtype, x + 7, whole, 7, INPUTS - 7);
        expect_digest(types[t].name, whole, INPUTS * (size_t)fb_dtype_bits(types[t].dtype) / 8);
    }
    free(whole);
    free(half);
    free(x);
}

static void test_pack(void **state)
{
    (void)state;
    static const struct {
        FbDtype dtype;
        int low, levels;
        const char *name;
    } types[] = {{FB_DTYPE_U4, 0, 16, "pack,u4"}, {FB_DTYPE_S4, -8, 16, "pack,s4"}, {FB_DTYPE_U2, 0, 4, "pack,u2"}, {FB_DTYPE_S2, -2, 4, "pack,s2"}};
    enum { COUNT = 1001 };
    int8_t codes[COUNT], back[COUNT];
    uint8_t packed[COUNT];
    for (size_t t = 0; t < sizeof types / sizeof types[0]; t++) {
        for (int i = 0; i < COUNT; i++) {
            codes[i] = (int8_t)(i * 7 % types[t].levels + types[t].low);
        }
        uint64_t bytes = 0;
        assert_true(fb_dtype_storage(types[t].dtype, COUNT, &bytes));
        memset(packed, 0, sizeof packed);
        fb_pack_codes(types[t].dtype, codes + 500, packed, 500, COUNT - 500); /* the ranges meet inside a byte */
        fb_pack_codes(types[t].dtype, codes, packed, 0, 501);
        expect_digest(types[t].name, packed, bytes);
        fb_unpack_codes(types[t].dtype, packed, 3, back, COUNT - 3);
        assert_memory_equal(back, codes + 3, COUNT - 3);
    }
}

static void test_wide_and_table(void **state)
{
    (void)state;
    float values[4] = {1e30f, -1e30f, 2.5f, 0.0f / 1.0f};
    int64_t s64[4];
    uint64_t u64[4];
    fb_encode_f32(FB_DTYPE_S64, values, s64, 0, 4);
    assert_true(s64[0] == INT64_MAX && s64[1] == INT64_MIN && s64[2] == 2 && s64[3] == 0);
    fb_encode_f32(FB_DTYPE_U64, values, u64, 0, 4);
    assert_true(u64[0] == UINT64_MAX && u64[1] == 0 && u64[2] == 2);
    uint64_t bytes = 0;
    assert_true(fb_dtype_storage(FB_DTYPE_U2, 5, &bytes));
    assert_int_equal(bytes, 2);
    assert_false(fb_dtype_storage(FB_DTYPE_F32, UINT64_MAX / 2, &bytes));
    assert_false(fb_dtype_storage(FB_DTYPE_STRING, 1, &bytes));
    for (int i = 1; i < FB_DTYPE_COUNT; i++) {
        assert_non_null(fb_dtype_info((FbDtype)i)->name);
        assert_non_null(fb_dtype_info((FbDtype)i)->onnx);
    }
    assert_string_equal(fb_dtype_name((FbDtype)77), "?");
}

/* Rows of halves are decoded another way than single ones. */
static void test_halves_in_rows(void **state)
{
    (void)state;
    static uint16_t halves[0x10000];
    static float row[0x10000];
    for (uint32_t i = 0; i < 0x10000; i++) {
        halves[i] = (uint16_t)i;
    }
    fb_decode_f32(FB_DTYPE_F16, halves, 1, row, 0xFFFF);
    for (uint32_t i = 1; i < 0x10000; i++) {
        float value = fb_f16_to_f32((uint16_t)i);
        assert_memory_equal(&row[i - 1], &value, sizeof value);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decode), cmocka_unit_test(test_encode_small),   cmocka_unit_test(test_encode_rows),
        cmocka_unit_test(test_pack),   cmocka_unit_test(test_wide_and_table), cmocka_unit_test(test_halves_in_rows),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
