/* What a tokenizer from a hostile file may cost: time about linear in the text, memory about linear in it, and the same tokens however long a
 * search takes. */
#include "tokenizer_open_text.h"

#include <time.h>

#include "data/tokenizer_charsmap.h"
#include "data/tokenizer_merge.h"
#include "data/tokenizer_parts.h"

static FbTokenizer *accept(FbContext *context, const char *json)
{
    FbTokenizer *tokenizer = NULL;
    FbError err = {0};
    assert_ok(open_text(context, json, strlen(json), &tokenizer, &err));
    return tokenizer;
}

static void refuse(const char *json, FbStatus expected, const char *says)
{
    FbContext *context = test_context();
    FbTokenizer *tokenizer = NULL;
    FbError err = {0};
    assert_int_equal(open_text(context, json, strlen(json), &tokenizer, &err), expected);
    assert_non_null(strstr(err.message, says));
    fb_context_free(context);
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

#define MODEL "\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"ba\":2,\"x\":3},\"merges\":[\"b a\"]}}"
#define SPLIT(pattern) "{\"pre_tokenizer\":{\"type\":\"Split\",\"behavior\":\"Isolated\",\"pattern\":{\"Regex\":\"" pattern "\"}}," MODEL

/* A file of spaces has no NUL within the bytes by which its format is told. */
static void test_only_spaces(void **state)
{
    (void)state;
    char spaces[65];
    memset(spaces, ' ', sizeof spaces - 1);
    spaces[64] = '\0';
    refuse(spaces, FB_ERR_FORMAT, "no tokenizer that is known");
}

/* A search is made in steps whose size the clock decides: what a pattern says of the place where a search began cannot be kept. */
static void test_where_a_search_begins(void **state)
{
    (void)state;
    refuse(SPLIT("\\\\Ga"), FB_ERR_UNSUPPORTED, "the pattern has '\\G' at byte 0");
}

/* Oniguruma's meaning differs from PCRE2's: refused, or written so that it does not. */
static void test_dialect(void **state)
{
    (void)state;
    refuse(SPLIT("a(?i)b|c"), FB_ERR_UNSUPPORTED, "the pattern has '(?i)b|c' at byte 1");
    refuse(SPLIT("a{2}?"), FB_ERR_UNSUPPORTED, "repeated intervals");
    FbContext *context = test_context();
    FbTokenizer *tokenizer = accept(context, SPLIT("(?i)B|X"));
    assert_ids(context, tokenizer, "baxba", 0, " 1 0 3 1 0");
    fb_tokenizer_free(tokenizer);
    tokenizer = accept(context, SPLIT("[]\\\\s]+|b"));
    assert_ids(context, tokenizer, "] ba", 0, " 1 0");
    fb_tokenizer_free(tokenizer);
    tokenizer = accept(context, SPLIT("b{,}"));
    assert_ids(context, tokenizer, "ba", 0, " 2");
    fb_tokenizer_free(tokenizer);
    fb_context_free(context);
}

/* White space that is a token and takes the white space behind it. */
static void test_tokens_of_white_space(void **state)
{
    (void)state;
    enum { COUNT = 400000 };
    FbContext *context = test_context();
    FbTokenizer *tokenizer = accept(context, "{\"added_tokens\":[{\"id\":4,\"content\":\" \",\"rstrip\":true,\"normalized\":false},"
                                             "{\"id\":5,\"content\":\"\\t\",\"normalized\":false}]," MODEL);
    char *text = malloc(COUNT + 2);
    int32_t *ids;
    size_t count;
    FbError err = {0};
    for (size_t i = 0; i < COUNT; i++) {
        text[i] = i % 3 == 2 ? '\t' : ' ';
    }
    strcpy(text + COUNT, "a");
    double start = seconds();
    assert_ok(fb_tokenizer_encode(tokenizer, text, COUNT + 1, 0, &ids, &count, &err));
    assert_true(seconds() - start < 20); /* 0.02 s; several minutes when every space walks through all that follow */
    assert_int_equal(count, COUNT + 1);
    assert_true(ids[0] == 4 && ids[2] == 5 && ids[COUNT] == 0);
    fb_tokens_free(context, ids);
    free(text);
    fb_tokenizer_free(tokenizer);
    fb_context_free(context);
}

static void test_long_marks(void **state)
{
    (void)state;
    refuse("{\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"ab\"}," MODEL, FB_ERR_FORMAT, "a replacement of 2 bytes, expected one character");
    refuse("{\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"\"}," MODEL, FB_ERR_FORMAT, "a replacement of 0 bytes");
    refuse("{\"pre_tokenizer\":{\"type\":\"CharDelimiterSplit\",\"delimiter\":\"ab\"}," MODEL, FB_ERR_FORMAT, "a delimiter of 2 bytes");
}

/* What a piece of text may grow by for nothing is given once, not once per piece between added tokens. */
static void test_many_pieces(void **state)
{
    (void)state;
    enum { PREFIX = 60000, PIECES = 2000 };
    char *json = malloc(PREFIX + 1024), *text = malloc(2 * PIECES + 1);
    size_t used = (size_t)sprintf(json, "{\"added_tokens\":[{\"id\":4,\"content\":\"x\",\"normalized\":false}],\"normalizer\":{\"type\":\"Prepend\",\"prepend\":\"");
    memset(json + used, 'a', PREFIX);
    strcpy(json + used + PREFIX, "\"},\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"x\":4},\"merges\":[]}}");
    for (size_t i = 0; i < PIECES; i++) {
        memcpy(text + 2 * i, "ax", 3);
    }
    FbContext *context = test_context();
    FbTokenizer *tokenizer = accept(context, json);
    int32_t *ids;
    size_t count;
    FbError err = {0};
    assert_ok(fb_tokenizer_encode(tokenizer, text, 1, 0, &ids, &count, &err));
    assert_int_equal(count, PREFIX + 1);
    fb_tokens_free(context, ids);
    assert_int_equal(fb_tokenizer_encode(tokenizer, text, 2 * PIECES, 0, &ids, &count, &err), FB_ERR_BUDGET);
    assert_non_null(strstr(err.message, "64 times longer"));
    fb_tokenizer_free(tokenizer);
    fb_context_free(context);
    free(json);
    free(text);
}

/* ---- maps of characters ---- */

enum { UNITS = 1024, TEXT = 1 << 20 };

static void put_unit(uint8_t *data, size_t unit, uint32_t value)
{
    for (size_t i = 0; i < 4; i++) {
        data[4 + 4 * unit + i] = (uint8_t)(value >> 8 * i);
    }
}

/* A trie of UNITS units, then `texts` bytes of 'z' and a NUL. */
static uint8_t *empty_map(size_t texts, size_t *bytes)
{
    *bytes = 4 + 4 * UNITS + texts + 1;
    uint8_t *data = calloc(*bytes, 1);
    data[0] = 4 * UNITS & 255;
    data[1] = 4 * UNITS >> 8;
    memset(data + 4 + 4 * UNITS, 'z', texts);
    return data;
}

/* The map alone, as SentencePiece's normalizer applies it. */
static FbStatus apply_longest(FbContext *context, FbCharsmap *map, const char *text, FbText *out, FbError *err)
{
    FbTokenizer *tokenizer;
    FbNormalStep step = {.kind = FB_NORMAL_PIECES, .charsmap = map};
    FB_TRY(fb_tokenizer_create(context, &tokenizer, err));
    FbTokenWork work = {.tokenizer = tokenizer, .context = context, .err = err};
    FbStatus status = fb_normalize_pieces(&work, &step, text, TEXT, TEXT, out);
    fb_tokenizer_free(tokenizer);
    return status;
}

/* 'a' leads back to the root: a sequence without end. */
static void test_endless_sequence(void **state)
{
    (void)state;
    FbContext *context = test_context();
    FbArena *arena = fb_arena_create(context);
    FbCharsmap *map;
    FbError err = {0};
    FbText out;
    size_t bytes;
    uint8_t *data = empty_map(1, &bytes);
    char *text = malloc(TEXT);
    put_unit(data, 'a', 'a' << 10 | 'a');
    memset(text, 'a', TEXT);
    assert_ok(fb_charsmap_read(arena, data, bytes, &map, &err));
    fb_text_init(&out, context);
    double start = seconds();
    assert_ok(apply_longest(context, map, text, &out, &err));
    assert_true(seconds() - start < 60); /* 0.5 s; half an hour when the whole rest is walked from every place */
    assert_int_equal(out.length, TEXT);
    fb_text_reset(&out);
    free(text);
    free(data);
    fb_arena_free(arena);
    fb_context_free(context);
}

/* 'a' becomes a megabyte: the text is given up before it is made. */
static void test_long_replacement(void **state)
{
    (void)state;
    enum { LONG = 1 << 20 };
    FbContext *context = test_context();
    FbArena *arena = fb_arena_create(context);
    FbCharsmap *map;
    FbError err = {0};
    size_t bytes;
    uint8_t *data = empty_map(LONG, &bytes);
    char *text = malloc(TEXT);
    put_unit(data, 'a', 0x100 << 10 | 0x100 | 'a');
    put_unit(data, 0x100 ^ 'a', 0x80000000u);
    memset(text, 'a', TEXT);
    assert_ok(fb_charsmap_read(arena, data, bytes, &map, &err));
    for (int longest = 0; longest < 2; longest++) {
        FbText out;
        fb_text_init(&out, context);
        if (longest) {
            assert_int_equal(apply_longest(context, map, text, &out, &err), FB_ERR_BUDGET);
            assert_true(out.length > 64 * LONG && out.length <= 66 * LONG);
        } else {
            fb_charsmap_apply(map, text, TEXT, 10 * LONG, &out);
            assert_true(out.length > 10 * LONG && out.length <= 11 * LONG);
        }
        assert_false(out.failed);
        fb_text_reset(&out);
    }
    free(text);
    free(data);
    fb_arena_free(arena);
    fb_context_free(context);
}

/* ---- merges ---- */

/* As in tokenizer_merge.c; that it still is so is checked. */
static uint64_t place_of(uint32_t left, uint32_t right, uint64_t seed)
{
    uint64_t pair = ((uint64_t)left << 32 | right) ^ seed;
    pair = (pair ^ pair >> 31) * 0x9e3779b97f4a7c15u;
    pair = (pair ^ pair >> 29) * 0xbf58476d1ce4e5b9u;
    return pair ^ pair >> 32;
}

/* Pairs that fill half of the table without a gap: each is found at once, but one that is not there only behind all of them. */
static void test_one_run_of_merges(void **state)
{
    (void)state;
    enum { COUNT = 4096, CAPACITY = 2 * COUNT };
    const uint64_t first_seed = 0xd1342543de82ef95u;
    FbContext *context = test_context();
    FbMerge *merges = calloc(COUNT, sizeof *merges);
    bool *taken = calloc(CAPACITY, sizeof *taken);
    FbMergeTable table;
    FbError err = {0};
    size_t count = 0;
    for (uint32_t left = 0; count < COUNT; left++) {
        uint64_t place = place_of(left, 7, first_seed) & (CAPACITY - 1);
        if (place < COUNT && !taken[place]) {
            taken[place] = true;
            merges[count++] = (FbMerge){left, 7, 1, left};
        }
    }
    assert_ok(fb_merge_table_build(context, merges, COUNT, &table, &err));
    assert_int_equal(table.capacity, CAPACITY);
    assert_true(table.seed == 2 * first_seed); /* the first was tried and left; equal to it, if the hash above is no longer that of the table */
    fb_merge_table_reset(context, &table);
    free(merges);
    free(taken);
    fb_context_free(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_spaces),       cmocka_unit_test(test_where_a_search_begins), cmocka_unit_test(test_dialect),
        cmocka_unit_test(test_tokens_of_white_space), cmocka_unit_test(test_long_marks),        cmocka_unit_test(test_many_pieces),
        cmocka_unit_test(test_endless_sequence),  cmocka_unit_test(test_long_replacement),      cmocka_unit_test(test_one_run_of_merges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
