/* Block types: golden vectors of an independent program (fixtures/blocks.bin, see make_blocks.py), round trips, refusals. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "tensor/block_type.h"

enum { ELEMENTS_MAX = 4096, BYTES_MAX = 4096 };

typedef struct Entry {
    char name[16], kind[16];
    int bytes, elements, blocks;
    uint8_t data[BYTES_MAX];
    float floats[ELEMENTS_MAX];
} Entry;

static bool next_entry(FILE *file, Entry *entry)
{
    char line[128];
    if (fgets(line, sizeof line, file) == NULL) {
        return false;
    }
    assert_int_equal(sscanf(line, "%15s %d %d %d %15s", entry->name, &entry->bytes, &entry->elements, &entry->blocks, entry->kind), 5);
    size_t bytes = (size_t)(entry->bytes * entry->blocks), elements = (size_t)(entry->elements * entry->blocks);
    assert_true(bytes <= BYTES_MAX && elements <= ELEMENTS_MAX);
    assert_int_equal(fread(entry->data, 1, bytes, file), bytes);
    assert_int_equal(fread(entry->floats, 4, elements, file), elements);
    return true;
}

static const FbBlockType *type_of(const Entry *entry)
{
    char name[16];
    size_t length = strlen(entry->name);
    for (size_t i = 0; i <= length; i++) { /* "Q4_K" is "q4_K", "IQ4_NL" is "iq4_nl" */
        char c = entry->name[i];
        bool keep = i + 1 == length && c == 'K' && entry->name[i - 1] == '_';
        name[i] = (char)(c >= 'A' && c <= 'Z' && !keep ? c + 32 : c);
    }
    const FbBlockType *type = fb_block_type_find(name);
    assert_non_null(type);
    assert_int_equal(type->bytes, entry->bytes);
    assert_int_equal(type->elements, entry->elements);
    return type;
}

static void test_golden(void **state)
{
    (void)state;
    static Entry entry;
    static float decoded[ELEMENTS_MAX];
    static uint8_t encoded[BYTES_MAX];
    int entries = 0;
    FILE *file = fopen(FB_SOURCE_DIR "/tests/tensor/fixtures/blocks.bin", "rb");
    assert_non_null(file);
    while (next_entry(file, &entry)) {
        const FbBlockType *type = type_of(&entry);
        size_t elements = (size_t)(entry.elements * entry.blocks);
        if (strcmp(entry.kind, "decoded") == 0) {
            type->decode(entry.data, decoded, (size_t)entry.blocks);
            for (size_t i = 0; i < elements; i++) {
                if (memcmp(&decoded[i], &entry.floats[i], 4) != 0) {
                    fail_msg("%s: element %zu is %.9g, expected %.9g", entry.name, i, (double)decoded[i], (double)entry.floats[i]);
                }
            }
        } else {
            FbError err;
            assert_int_equal(fb_block_encode(type, entry.floats, 0, encoded, (size_t)entry.blocks, NULL, &err), FB_OK);
            for (int i = 0; i < entry.bytes * entry.blocks; i++) {
                if (encoded[i] != entry.data[i]) {
                    fail_msg("%s: byte %d of block %d is %02x, expected %02x", entry.name, i % entry.bytes, i / entry.bytes, encoded[i], entry.data[i]);
                }
            }
        }
        entries++;
    }
    fclose(file);
    assert_int_equal(entries, 31);
}

/* The error of every element stays within the step of its block, and encoding what was decoded changes nothing for types whose scale
 * comes back (the extreme element is a level). */
static void test_round_trips(void **state)
{
    (void)state;
    static const struct { const char *name; double levels; } types[] = {
        {"q4_0", 16}, {"q4_1", 15}, {"q5_0", 32}, {"q5_1", 31}, {"q8_0", 254}};
    for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
        const FbBlockType *type = fb_block_type_find(types[t].name);
        for (uint64_t block = 0; block < 200; block++) {
            float x[32], y[32];
            uint8_t bytes[FB_BLOCK_BYTES_MAX];
            FbError err;
            double low = 0, high = 0;
            for (int i = 0; i < 32; i++) {
                x[i] = fb_random_normal(3, block, (uint64_t)i) * 0.05f;
                low = fmin(low, (double)x[i]);
                high = fmax(high, (double)x[i]);
            }
            assert_int_equal(fb_block_encode(type, x, 0, bytes, 1, NULL, &err), FB_OK);
            type->decode(bytes, y, 1);
            bool minimum = strchr(types[t].name, '1') != NULL;
            double range = minimum ? high - low : 2 * fmax(high, -low);
            for (int i = 0; i < 32; i++) {
                /* half a step; a whole one at the end that a signed grid does not have; and the rounding of scale and minimum */
                double allowed = range / types[t].levels * (minimum || type->number == 8 ? 0.5 : 1.0) + range * 0x1p-10;
                assert_true(fabs((double)y[i] - (double)x[i]) <= allowed);
            }
        }
    }
}

static void test_edges(void **state)
{
    (void)state;
    float x[64] = {0}, y[64];
    uint8_t bytes[2 * FB_BLOCK_BYTES_MAX];
    FbError err;
    uint64_t zeroed = 0;
    static const char *const names[] = {"q4_0", "q4_1", "q5_0", "q5_1", "q8_0"};
    for (size_t t = 0; t < 5; t++) {
        const FbBlockType *type = fb_block_type_find(names[t]);
        memset(x, 0, sizeof x);
        zeroed = 0;
        assert_int_equal(fb_block_encode(type, x, 0, bytes, 2, &zeroed, &err), FB_OK);
        type->decode(bytes, y, 2);
        for (int i = 0; i < 64; i++) {
            assert_true(y[i] == 0.0f);
        }
        assert_int_equal(zeroed, 0);
        x[40] = 1e-30f; /* its scale is no half */
        x[41] = 1e-42f;
        assert_int_equal(fb_block_encode(type, x, 0, bytes, 2, &zeroed, &err), FB_OK);
        assert_int_equal(zeroed, 1);
        x[40] = 1e30f;
        assert_int_equal(fb_block_encode(type, x, 1000, bytes, 2, NULL, &err), FB_ERR_NUMERIC);
        assert_non_null(strstr(err.message, "element 1032"));
        x[40] = NAN;
        assert_int_equal(fb_block_encode(type, x, 1000, bytes, 2, NULL, &err), FB_ERR_NUMERIC);
        assert_non_null(strstr(err.message, "element 1040 is not a number"));
        x[40] = -INFINITY;
        assert_int_equal(fb_block_encode(type, x, 1000, bytes, 2, NULL, &err), FB_ERR_NUMERIC);
        assert_non_null(strstr(err.message, "infinite"));
    }
    assert_int_equal(fb_block_encode(fb_block_type_find("q8_1"), y, 0, bytes, 1, NULL, &err), FB_ERR_UNSUPPORTED);
    assert_null(fb_block_type_find("q9_9"));
    assert_null(fb_block_type_of_number(0));
    assert_null(fb_block_type_of_number(1));
    assert_null(fb_block_type_of_number(30));
    assert_ptr_equal(fb_block_type_of_number(12), fb_block_type_find("q4_K"));
}

/* Halves are blocks of one element. */
static void test_halves(void **state)
{
    (void)state;
    const uint8_t bytes[] = {0x00, 0x3c, 0x01, 0x80, 0x00, 0xfc};
    float x[3];
    fb_block_type_find("f16")->decode(bytes, x, 3);
    assert_true(x[0] == 1.0f && x[1] == -0x1p-24f && isinf(x[2]) && x[2] < 0);
    fb_block_type_find("bf16")->decode(bytes, x, 3);
    assert_true(x[0] == 0x1p-7f && x[1] == -0x1p-133f && x[2] == -0x1p121f);
}

/* The type that the judge does not know. */
static void test_one_bit(void **state)
{
    (void)state;
    uint8_t bytes[18] = {0x00, 0x3E, 0x05};
    float x[128];
    bytes[17] = 0x80;
    fb_block_type_find("q1_0")->decode(bytes, x, 1);
    for (int i = 0; i < 128; i++) {
        assert_true(x[i] == (i == 0 || i == 2 || i == 127 ? 1.5f : -1.5f));
    }
}

/* What the table says of itself. */
static void test_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < fb_block_type_count; i++) {
        const FbBlockType *type = &fb_block_types[i];
        assert_true(type->elements <= FB_BLOCK_ELEMENTS_MAX && type->bytes <= FB_BLOCK_BYTES_MAX && type->elements % type->run == 0);
        assert_ptr_equal(fb_block_type_find(type->code.name), type);
        assert_ptr_equal(fb_block_type_of_number((uint32_t)type->number), type->elements > 1 ? type : NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_golden), cmocka_unit_test(test_round_trips), cmocka_unit_test(test_edges), cmocka_unit_test(test_halves),
                                       cmocka_unit_test(test_one_bit), cmocka_unit_test(test_table)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
