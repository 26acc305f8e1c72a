/* GGUF files: what is read, and what is refused with which message. Ids name the cases of the test catalogue. */
#define _POSIX_C_SOURCE 200809L /* mkdtemp */
#include "context_test.h"
#include "io/checkpoint_test.h"
#include "io/gguf/gguf.h"
#include "tensor/block_type.h"

static FbError err;
static char folder[64];

static int setup(void **state)
{
    strcpy(folder, "/tmp/fewbit-gguf-XXXXXX");
    return mkdtemp(folder) != NULL ? context_setup(state) : -1;
}

static int teardown(void **state)
{
    remove_folder(folder);
    return context_teardown(state);
}

/* ---- making files ---- */

enum { U8, S8, U16, S16, U32, S32, F32, BOOL, STRING, ARRAY, U64, S64, F64 };

static void put_text(Bytes *b, const char *text)
{
    bytes_number(b, strlen(text), 8);
    bytes_text(b, text);
}

static Bytes header(uint64_t tensors, uint64_t keys)
{
    Bytes b = {0};
    bytes_text(&b, "GGUF");
    bytes_number(&b, 3, 4);
    bytes_number(&b, tensors, 8);
    bytes_number(&b, keys, 8);
    return b;
}

static void key(Bytes *b, const char *name, uint32_t type)
{
    put_text(b, name);
    bytes_number(b, type, 4);
}

static void architecture(Bytes *b)
{
    key(b, "general.architecture", STRING);
    put_text(b, "llama");
}

static void number(Bytes *b, const char *name, uint32_t type, uint64_t value, size_t width)
{
    key(b, name, type);
    bytes_number(b, value, width);
}

static void info(Bytes *b, const char *name, uint32_t rank, const uint64_t *dims, uint32_t type, uint64_t offset)
{
    put_text(b, name);
    bytes_number(b, rank, 4);
    for (uint32_t i = 0; i < rank && i < 8; i++) {
        bytes_number(b, dims[i], 8);
    }
    bytes_number(b, type, 4);
    bytes_number(b, offset, 8);
}

static void align(Bytes *b, size_t alignment) { bytes_zeros(b, (alignment - b->count % alignment) % alignment); }

/* ---- checking ---- */

static FbStatus load(const void *bytes, size_t count, FbCheckpoint **table)
{
    FbSource *source;
    err = (FbError){0};
    assert_int_equal(fb_source_from_memory(context, bytes, count, &source, NULL), FB_OK);
    FbStatus status = fb_gguf_open_source(context, source, "m.gguf", table, &err);
    assert_true((status == FB_OK) == (*table != NULL));
    assert_true(status == FB_OK || (err.status == status && err.message[0] != '\0'));
    fb_source_release(source);
    return status;
}

static void expect_bytes(const void *bytes, size_t count, FbStatus status, const char *says)
{
    FbCheckpoint *table;
    FbStatus got = load(bytes, count, &table);
    fb_checkpoint_free(table);
    if (got != status || (says != NULL && strstr(err.message, says) == NULL)) {
        fail_msg("status %d (%s), expected %d and '%s'", got, err.message, status, says == NULL ? "" : says);
    }
}

/* Takes the bytes. */
static void expect(Bytes b, FbStatus status, const char *says)
{
    uint8_t *exact = malloc(b.count > 0 ? b.count : 1); /* no room behind, so that an over-read shows */
    assert_non_null(exact);
    memcpy(exact, b.data, b.count);
    expect_bytes(exact, b.count, status, says);
    free(exact);
    free(b.data);
}

/* One tensor of 64 f32 unless said otherwise, behind an architecture. */
static void expect_info(const char *name, uint32_t rank, const uint64_t *dims, uint32_t type, uint64_t offset, size_t data, FbStatus status,
                        const char *says)
{
    Bytes b = header(1, 1);
    architecture(&b);
    info(&b, name, rank, dims, type, offset);
    align(&b, 32);
    bytes_zeros(&b, data);
    expect(b, status, says);
}

static Bytes two_tensors(uint64_t second_offset, size_t data)
{
    Bytes b = header(2, 1);
    architecture(&b);
    info(&b, "a", 1, (uint64_t[]){5}, 0, 0);
    info(&b, "b", 2, (uint64_t[]){32, 2}, 8, second_offset);
    align(&b, 32);
    bytes_zeros(&b, data);
    return b;
}

static void test_values(void **state)
{
    (void)state;
    FbCheckpoint *table;
    int64_t integer;
    double real;
    Bytes b = header(2, 8);
    architecture(&b);
    number(&b, "s8", S8, 0xfe, 1);
    number(&b, "u64", U64, 1ULL << 40, 8);
    number(&b, "f32", F32, 0x3f000000, 4);
    number(&b, "yes", BOOL, 1, 1);
    number(&b, "general.alignment", U32, 64, 4);
    key(&b, "numbers", ARRAY);
    bytes_number(&b, S16, 4);
    bytes_number(&b, 3, 8);
    bytes_number(&b, 7, 2);
    bytes_number(&b, 0xffff, 2);
    bytes_number(&b, 9, 2);
    key(&b, "texts", ARRAY);
    bytes_number(&b, STRING, 4);
    bytes_number(&b, 3, 8);
    put_text(&b, "one");
    put_text(&b, "");
    put_text(&b, "three");
    info(&b, "a", 2, (uint64_t[]){3, 2}, 0, 0); /* innermost first */
    info(&b, "q", 2, (uint64_t[]){32, 1}, 8, 64);
    align(&b, 64);
    for (int i = 0; i < 6; i++) {
        float value = (float)i;
        bytes_add(&b, &value, 4);
    }
    align(&b, 64);
    bytes_number(&b, 0x3800, 2); /* one half */
    for (int i = 0; i < 32; i++) {
        bytes_number(&b, (uint64_t)(i - 16), 1);
    }
    assert_int_equal(load(b.data, b.count, &table), FB_OK);
    assert_int_equal(table->version, 3);
    assert_int_equal(table->alignment, 64);
    assert_true(fb_meta_integer(fb_checkpoint_meta(table, "s8"), &integer) && integer == -2);
    assert_true(fb_meta_integer(fb_checkpoint_meta(table, "u64"), &integer) && integer == 1LL << 40);
    assert_true(fb_meta_number(fb_checkpoint_meta(table, "f32"), &real) && real == 0.5);
    assert_false(fb_meta_integer(fb_checkpoint_meta(table, "f32"), &integer));
    assert_string_equal(fb_meta_text(fb_checkpoint_meta(table, "general.architecture")), "llama");
    double numbers[2];
    assert_int_equal(fb_meta_read_numbers(fb_checkpoint_meta(table, "numbers"), 1, 2, numbers, &err), FB_OK);
    assert_true(numbers[0] == -1.0 && numbers[1] == 9.0);
    assert_int_equal(fb_meta_read_numbers(fb_checkpoint_meta(table, "numbers"), 2, 2, numbers, &err), FB_ERR_FORMAT);
    FbArena *arena = fb_arena_create(context);
    FbBytes *texts;
    assert_int_equal(fb_meta_read_strings(arena, fb_checkpoint_meta(table, "texts"), &texts, &err), FB_OK);
    assert_string_equal((const char *)texts[0].data, "one");
    assert_int_equal(texts[1].count, 0);
    assert_string_equal((const char *)texts[2].data, "three");
    fb_arena_free(arena);
    const FbConst *a = &fb_checkpoint_tensor(table, "a")->constant;
    assert_int_equal(a->shape.dims[0], 2);
    assert_int_equal(a->shape.dims[1], 3);
    const FbConst *q = &fb_checkpoint_tensor(table, "q")->constant;
    assert_string_equal(q->encoding->code->name, "q8_0");
    float values[8];
    uint64_t bits;
    assert_int_equal(fb_const_read_f32(context, a, 4, 2, values, &err), FB_OK);
    assert_true(values[0] == 4.0f && values[1] == 5.0f);
    assert_int_equal(fb_const_read_f32(context, q, 15, 3, values, &err), FB_OK);
    assert_true(values[0] == -0.5f && values[1] == 0.0f && values[2] == 0.5f);
    assert_true(fb_encoding_bits(q->encoding, &q->shape, &bits) && bits == 34 * 8);
    fb_checkpoint_free(table);
    free(b.data);
}

/* G1, G2 */
static void test_header(void **state)
{
    (void)state;
    Bytes b = header(0, 1);
    architecture(&b);
    expect_bytes(b.data, b.count, FB_OK, NULL);
    static const struct { uint32_t version; FbStatus status; const char *says; } versions[] = {
        {0, FB_ERR_FORMAT, "version 0"},   {1, FB_ERR_UNSUPPORTED, "version 1"},           {2, FB_OK, NULL},
        {4, FB_ERR_UNSUPPORTED, "version 4"}, {0x80000000u, FB_ERR_UNSUPPORTED, "big-endian"}, {0x03000000u, FB_ERR_UNSUPPORTED, "big-endian"},
    };
    for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
        for (int byte = 0; byte < 4; byte++) {
            b.data[4 + byte] = (uint8_t)(versions[i].version >> 8 * byte);
        }
        expect_bytes(b.data, b.count, versions[i].status, versions[i].says);
    }
    b.data[0] = 'X';
    expect_bytes(b.data, b.count, FB_ERR_FORMAT, "does not begin with GGUF");
    memcpy(b.data, "FUGG", 4);
    expect_bytes(b.data, b.count, FB_ERR_FORMAT, "swapped");
    free(b.data);
    expect(header(UINT64_MAX, 0), FB_ERR_FORMAT, "-1 tensors");
    expect(header(1ULL << 40, 0), FB_ERR_FORMAT, "do not fit");
    expect(header(0, UINT64_MAX), FB_ERR_FORMAT, "-1 keys");
    expect(header(0, 1ULL << 40), FB_ERR_FORMAT, "do not fit");
    expect(header(0, 0), FB_ERR_FORMAT, "general.architecture is missing"); /* G20 */
}

static Bytes with_key(void)
{
    Bytes b = header(0, 2);
    architecture(&b);
    return b;
}

static void expect_key_length(uint64_t length, const char *says)
{
    Bytes b = with_key();
    bytes_number(&b, length, 8);
    bytes_zeros(&b, 200);
    expect(b, FB_ERR_FORMAT, says);
}

/* G4, G5, G6, G8 */
static void test_keys(void **state)
{
    (void)state;
    expect_key_length(0, "a name of 0 bytes");
    expect_key_length(UINT64_MAX, "a name of");
    expect_key_length(65536, "a name of");
    expect_key_length(201, "201 bytes");
    expect_key_length(20, "zero byte");
    Bytes b = with_key();
    architecture(&b);
    expect(b, FB_ERR_FORMAT, "'general.architecture' is there twice");
    static const uint32_t types[] = {13, 14, 0x7fffffff, 0xffffffff};
    for (size_t i = 0; i < 4; i++) {
        b = with_key();
        number(&b, "k", types[i], 0, 8);
        expect(b, FB_ERR_FORMAT, "unknown");
    }
    b = with_key();
    number(&b, "k", BOOL, 7, 1);
    expect(b, FB_ERR_FORMAT, "0 or 1");
    b = with_key();
    key(&b, "k", STRING);
    bytes_number(&b, 6, 8);
    bytes_text(&b, "hello");
    expect(b, FB_ERR_FORMAT, "key 'k'");
    b = with_key();
    key(&b, "k", STRING);
    bytes_number(&b, UINT64_MAX, 8);
    bytes_text(&b, "hello");
    expect(b, FB_ERR_FORMAT, "key 'k'");
    b = with_key();
    number(&b, "k", F64, 0, 7);
    expect(b, FB_ERR_FORMAT, "key 'k'");
}

static void expect_array(uint32_t type, uint64_t count, size_t data, FbStatus status, const char *says)
{
    Bytes b = with_key();
    key(&b, "k", ARRAY);
    bytes_number(&b, type, 4);
    bytes_number(&b, count, 8);
    bytes_zeros(&b, data);
    expect(b, status, says);
}

/* G7 */
static void test_array_lengths(void **state)
{
    (void)state;
    expect_array(U32, 4, 16, FB_OK, NULL);
    expect_array(U32, 4, 15, FB_ERR_FORMAT, "does not fit");
    expect_array(U32, 1ULL << 62, 16, FB_ERR_FORMAT, "does not fit");
    expect_array(STRING, 1ULL << 61, 8, FB_ERR_FORMAT, "does not fit");
    expect_array(STRING, 2, 16, FB_OK, NULL);
    expect_array(STRING, 3, 16, FB_ERR_FORMAT, "does not fit");
    expect_array(13, 1, 16, FB_ERR_FORMAT, "unknown type");
    expect_array(ARRAY, 1, 800, FB_ERR_UNSUPPORTED, "arrays of arrays");
    Bytes b = with_key();
    key(&b, "k", ARRAY);
    for (int depth = 0; depth < 64; depth++) {
        bytes_number(&b, ARRAY, 4);
        bytes_number(&b, 1, 8);
    }
    expect(b, FB_ERR_UNSUPPORTED, "arrays of arrays");
    b = with_key();
    key(&b, "k", ARRAY);
    bytes_number(&b, STRING, 4);
    bytes_number(&b, 2, 8);
    put_text(&b, "a");
    bytes_number(&b, 2, 8);
    bytes_text(&b, "b");
    expect(b, FB_ERR_FORMAT, "key 'k'");
    b = with_key();
    key(&b, "k", ARRAY);
    bytes_number(&b, BOOL, 4);
    bytes_number(&b, 2, 8);
    bytes_number(&b, 0x201, 2);
    expect(b, FB_ERR_FORMAT, "0 or 1");
}

/* G9 */
static void test_alignment(void **state)
{
    (void)state;
    static const struct { uint32_t type; uint64_t value; size_t width; FbStatus status; } cases[] = {
        {U32, 32, 4, FB_OK},         {U32, 8, 4, FB_OK},          {U32, 0, 4, FB_ERR_FORMAT},  {U32, 13, 4, FB_ERR_FORMAT},
        {U32, 1u << 31, 4, FB_ERR_FORMAT}, {S32, 32, 4, FB_ERR_FORMAT}, {U64, 32, 8, FB_ERR_FORMAT}, {U32, 24, 4, FB_ERR_FORMAT},
        {F32, 0x42000000, 4, FB_ERR_FORMAT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Bytes b = with_key();
        number(&b, "general.alignment", cases[i].type, cases[i].value, cases[i].width);
        expect(b, cases[i].status, cases[i].status == FB_OK ? NULL : "general.alignment");
    }
}

/* G10 to G15 */
static void test_infos(void **state)
{
    (void)state;
    static const uint64_t dims[8] = {64, 1, 1, 1, 1, 1, 1, 1};
    char name[70] = "";
    expect_info("a", 1, dims, 0, 0, 256, FB_OK, NULL);
    memset(name, 'x', 63);
    expect_info(name, 1, dims, 0, 0, 256, FB_OK, NULL);
    name[63] = 'x';
    expect_info(name, 1, dims, 0, 0, 256, FB_ERR_FORMAT, "a name of 64 bytes");
    expect_info("", 1, dims, 0, 0, 256, FB_ERR_FORMAT, "a name of 0 bytes");
    expect_info("a", 0, dims, 0, 0, 256, FB_ERR_FORMAT, "0 dimensions");
    expect_info("a", 4, dims, 0, 0, 256, FB_OK, NULL);
    expect_info("a", 5, dims, 0, 0, 256, FB_ERR_FORMAT, "5 dimensions");
    expect_info("a", UINT32_MAX, dims, 0, 0, 256, FB_ERR_FORMAT, "dimensions");
    expect_info("a", 2, (uint64_t[]){64, 0}, 0, 0, 256, FB_ERR_FORMAT, "a dimension is 0");
    expect_info("a", 2, (uint64_t[]){64, UINT64_MAX}, 0, 0, 256, FB_ERR_FORMAT, "a dimension is -1");
    expect_info("a", 2, (uint64_t[]){64, (1ULL << 42) + 1}, 0, 0, 256, FB_ERR_FORMAT, "do not fit");
    expect_info("a", 4, (uint64_t[]){1ULL << 20, 1ULL << 20, 1ULL << 20, 16}, 0, 0, 256, FB_ERR_FORMAT, "too many elements");
    expect_info("a", 1, (uint64_t[]){(1ULL << 62) + 1}, 0, 0, 256, FB_ERR_FORMAT, "too many elements");
    expect_info("a", 1, (uint64_t[]){0x7FFFFFFFFFFFFFC0ULL}, 24, 0, 256, FB_ERR_FORMAT, "do not fit");
    expect_info("a", 1, dims, UINT32_MAX, 0, 256, FB_ERR_FORMAT, "type -1");
    expect_info("a", 1, dims, 4, 0, 256, FB_ERR_UNSUPPORTED, "no longer in use");
    expect_info("a", 1, dims, 31, 0, 256, FB_ERR_UNSUPPORTED, "no longer in use");
    expect_info("a", 1, dims, 1000, 0, 256, FB_ERR_UNSUPPORTED, "not known yet");
    expect_info("a", 1, (uint64_t[]){63}, 2, 0, 256, FB_ERR_FORMAT, "whole blocks of 32 (q4_0)");
    expect_info("a", 2, (uint64_t[]){64, 4}, 12, 0, 256, FB_ERR_FORMAT, "whole blocks of 256 (q4_K)");
    expect_info("a", 1, dims, 0, 1, 256, FB_ERR_FORMAT, "multiple of 32");
    expect_info("a", 1, dims, 0, 32, 288, FB_ERR_FORMAT, "a hole");
    expect_info("a", 1, dims, 0, 1ULL << 63, 256, FB_ERR_FORMAT, "a hole");
    expect(two_tensors(32, 32 + 68), FB_OK, NULL);
    expect(two_tensors(0, 200), FB_ERR_FORMAT, "overlap");
    expect(two_tensors(64, 200), FB_ERR_FORMAT, "a hole");
    Bytes b = header(2, 1);
    architecture(&b);
    info(&b, "a", 1, dims, 0, 0);
    info(&b, "a", 1, dims, 0, 256);
    align(&b, 32);
    bytes_zeros(&b, 512);
    expect(b, FB_ERR_FORMAT, "'a' is there twice");
    b = header(2, 1); /* G13 */
    architecture(&b);
    info(&b, "a", 1, (uint64_t[]){0x7FFFFFFFFFFFFFC0ULL}, 24, 0);
    info(&b, "b", 1, (uint64_t[]){0x7FFFFFFFFFFFFFC0ULL}, 24, 0x7FFFFFFFFFFFFFC0ULL);
    align(&b, 32);
    expect(b, FB_ERR_FORMAT, "do not fit");
}

/* G16: every cut. The padding behind the last tensor may be missing. */
static void test_truncation(void **state)
{
    (void)state;
    Bytes b = two_tensors(32, 32 + 68);
    for (size_t count = 0; count < b.count; count++) {
        uint8_t *exact = malloc(count + 1);
        memcpy(exact, b.data, count);
        expect_bytes(exact, count, FB_ERR_FORMAT, "m.gguf");
        free(exact);
    }
    bytes_zeros(&b, 28);
    expect_bytes(b.data, b.count, FB_OK, NULL);
    free(b.data);
}

/* ---- the vocabulary ---- */

static void strings(Bytes *b, const char *name, const char *const *texts, size_t count)
{
    key(b, name, ARRAY);
    bytes_number(b, STRING, 4);
    bytes_number(b, count, 8);
    for (size_t i = 0; i < count; i++) {
        put_text(b, texts[i]);
    }
}

static void zeros(Bytes *b, const char *name, uint32_t type, uint64_t count, size_t width)
{
    key(b, name, ARRAY);
    bytes_number(b, type, 4);
    bytes_number(b, count, 8);
    bytes_zeros(b, (size_t)count * width);
}

static const char *const three_tokens[] = {"<s>", "a", "b"};

/* G17 */
static void test_vocabulary(void **state)
{
    (void)state;
    static const struct { const char *name; uint32_t type; uint64_t count; size_t width; FbStatus status; const char *says; } cases[] = {
        {"tokenizer.ggml.scores", F32, 3, 4, FB_OK, NULL},
        {"tokenizer.ggml.scores", U8, 3, 1, FB_ERR_FORMAT, "array of f32"},
        {"tokenizer.ggml.scores", F32, 2, 4, FB_ERR_FORMAT, "has 2 elements"},
        {"tokenizer.ggml.token_type", S32, 3, 4, FB_OK, NULL},
        {"tokenizer.ggml.token_type", F32, 3, 4, FB_ERR_FORMAT, "array of s32"},
        {"tokenizer.ggml.token_type", S32, 4, 4, FB_ERR_FORMAT, "has 4 elements"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Bytes b = header(0, 3);
        architecture(&b);
        strings(&b, "tokenizer.ggml.tokens", three_tokens, 3);
        zeros(&b, cases[i].name, cases[i].type, cases[i].count, cases[i].width);
        expect(b, cases[i].status, cases[i].says);
    }
    Bytes b = with_key();
    zeros(&b, "tokenizer.ggml.tokens", U32, 3, 4);
    expect(b, FB_ERR_FORMAT, "array of string");
    b = with_key();
    zeros(&b, "tokenizer.ggml.scores", F32, 3, 4);
    expect(b, FB_ERR_FORMAT, "tokens is not");
    b = with_key();
    number(&b, "tokenizer.ggml.tokens", U32, 0, 4);
    expect(b, FB_ERR_FORMAT, "a single u32");
    b = with_key();
    key(&b, "tokenizer.ggml.tokens", ARRAY);
    bytes_number(&b, STRING, 4);
    bytes_number(&b, 1ULL << 31, 8);
    bytes_zeros(&b, 100);
    expect(b, FB_ERR_FORMAT, "does not fit");
    static const char *const merges[] = {"a b", "ab", " b", "a ", "\xc4\xa0 t"};
    for (size_t i = 0; i < 5; i++) {
        b = with_key();
        strings(&b, "tokenizer.ggml.merges", &merges[i], 1);
        expect(b, i == 0 || i == 4 ? FB_OK : FB_ERR_FORMAT, i == 0 || i == 4 ? NULL : "no pair");
    }
}

/* ---- several files ---- */

static Bytes part(uint64_t number_of, uint64_t count, uint64_t tensors, const char *architecture_name, const char *tensor)
{
    Bytes b = header(1, architecture_name != NULL ? 4 : 3);
    if (architecture_name != NULL) {
        key(&b, "general.architecture", STRING);
        put_text(&b, architecture_name);
    }
    number(&b, "split.no", U16, number_of, 2);
    number(&b, "split.count", U16, count, 2);
    number(&b, "split.tensors.count", S32, tensors, 4);
    info(&b, tensor, 2, (uint64_t[]){32, 2}, 2, 0);
    align(&b, 32);
    bytes_zeros(&b, 36);
    return b;
}

#define PART1 "m-00001-of-00002.gguf"
#define PART2 "m-00002-of-00002.gguf"

static void expect_file(const char *name, FbStatus status, const char *says)
{
    char path[256];
    FbCheckpoint *table;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    err = (FbError){0};
    FbStatus got = fb_checkpoint_open(context, path, &table, &err);
    if (got != status || (says != NULL && strstr(err.message, says) == NULL)) {
        fail_msg("status %d (%s), expected %d and '%s'", got, err.message, status, says == NULL ? "" : says);
    }
    if (got == FB_OK) {
        assert_int_equal(table->tensor_count, 2);
        assert_int_equal(table->file_count, 2);
        assert_string_equal(table->tensors[1].name, "b");
        assert_string_equal(fb_meta_text(fb_checkpoint_meta(table, "general.architecture")), "llama");
        float value;
        assert_int_equal(fb_const_read_f32(context, &table->tensors[1].constant, 63, 1, &value, &err), FB_OK);
    }
    fb_checkpoint_free(table);
}

/* G18 */
static void test_split(void **state)
{
    (void)state;
    write_bytes(folder, PART1, part(0, 2, 2, "llama", "a"));
    expect_file(PART1, FB_ERR_IO, PART2);
    write_bytes(folder, PART2, part(1, 2, 2, NULL, "b"));
    expect_file(PART1, FB_OK, NULL);
    expect_file(PART2, FB_OK, NULL);
    write_bytes(folder, "other.gguf", part(0, 2, 2, "llama", "a"));
    expect_file("other.gguf", FB_ERR_FORMAT, "should end in -00001-of-00002.gguf");
    write_bytes(folder, PART2, part(1, 2, 2, "qwen2", "b"));
    expect_file(PART1, FB_ERR_FORMAT, "another model");
    write_bytes(folder, PART2, part(0, 2, 2, NULL, "b"));
    expect_file(PART1, FB_ERR_FORMAT, "another model");
    write_bytes(folder, PART2, part(1, 3, 2, NULL, "b"));
    expect_file(PART1, FB_ERR_FORMAT, "another model");
    write_bytes(folder, PART2, part(1, 2, 2, NULL, "a"));
    expect_file(PART1, FB_ERR_FORMAT, "'a' is there twice");
    write_bytes(folder, PART1, part(0, 2, 3, "llama", "a"));
    write_bytes(folder, PART2, part(1, 2, 3, NULL, "b"));
    expect_file(PART1, FB_ERR_FORMAT, "split.tensors.count is 3");
    write_bytes(folder, PART1, part(0, 0, 2, "llama", "a"));
    expect_file(PART1, FB_ERR_FORMAT, "no part of a set");
    write_bytes(folder, PART1, part(2, 2, 2, "llama", "a"));
    expect_file(PART1, FB_ERR_FORMAT, "no part of a set");
    write_bytes(folder, PART1, part(0, 2, 2, NULL, "a")); /* G20 */
    write_bytes(folder, PART2, part(1, 2, 2, NULL, "b"));
    expect_file(PART1, FB_ERR_FORMAT, "general.architecture is missing");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_values, setup, teardown),        cmocka_unit_test_setup_teardown(test_header, setup, teardown),
        cmocka_unit_test_setup_teardown(test_keys, setup, teardown),          cmocka_unit_test_setup_teardown(test_array_lengths, setup, teardown),
        cmocka_unit_test_setup_teardown(test_alignment, setup, teardown),     cmocka_unit_test_setup_teardown(test_infos, setup, teardown),
        cmocka_unit_test_setup_teardown(test_truncation, setup, teardown),    cmocka_unit_test_setup_teardown(test_vocabulary, setup, teardown),
        cmocka_unit_test_setup_teardown(test_split, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
