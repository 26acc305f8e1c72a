/* Small tokenizers of every kind against ids and texts that the tokenizers library gave (make_tokenizers.py), and sentencepiece
 * (make_sentencepieces.py). */
#include <dirent.h>
#include <stdlib.h>

#include "tokenizer_test.h"

static size_t from_hex(char *hex)
{
    size_t bytes = strlen(hex) / 2;
    for (size_t i = 0; i < bytes; i++) {
        unsigned value;
        assert_int_equal(sscanf(hex + 2 * i, "%2x", &value), 1);
        hex[i] = (char)value; /* i <= 2 * i: what is left to read stays */
    }
    return bytes;
}

/* The library writes U+FFFD where bytes are no UTF-8; here they stay. */
static bool same_text(const char *ours, size_t bytes, const char *theirs, size_t theirs_bytes)
{
    size_t at = 0, i = 0;
    while (at < bytes && i < theirs_bytes && ours[at] == theirs[i]) {
        at++;
        i++;
    }
    return (at == bytes && i == theirs_bytes) || (i + 3 <= theirs_bytes && memcmp(theirs + i, "\xef\xbf\xbd", 3) == 0);
}

static size_t check_lines(FbContext *context, const FbTokenizer *tokenizer, unsigned flags, const char *name, FILE *file)
{
    static char line[1 << 16];
    size_t count = 0;
    for (; fgets(line, sizeof line, file) != NULL; count++) {
        char *text = line, *expected = strchr(text, '\t') + 1, *decoded = strchr(expected, '\t');
        expected[-1] = '\0';
        size_t bytes = from_hex(text), ids_count, out_bytes;
        int32_t *ids;
        char *out;
        FbError err = {0};
        *decoded++ = '\0';
        decoded[strcspn(decoded, "\r\n")] = '\0';
        const char *got = test_ids(context, tokenizer, text, bytes, flags);
        if (strcmp(got + (got[0] == ' '), expected) != 0) {
            fail_msg("%s, line %zu: '%s', expected '%s'", name, count + 1, got, expected);
        }
        assert_ok(fb_tokenizer_encode(tokenizer, text, bytes, flags & ~(unsigned)FB_TOKENS_ADD_SPECIAL, &ids, &ids_count, &err));
        assert_ok(fb_tokenizer_decode(tokenizer, ids, ids_count, 0, &out, &out_bytes, &err));
        size_t decoded_bytes = from_hex(decoded);
        if (!same_text(out, out_bytes, decoded, decoded_bytes)) {
            fail_msg("%s, line %zu decodes to '%.*s', expected '%.*s'", name, count + 1, (int)out_bytes, out, (int)decoded_bytes, decoded);
        }
        fb_tokens_free(context, ids);
        fb_text_free(context, out);
    }
    return count;
}

/* Every tokenizer of a folder whose name ends so; returns how many. */
static size_t check_folder(const char *folder_name, const char *ending, unsigned flags)
{
    char path[512];
    snprintf(path, sizeof path, "fixtures/%s", folder_name);
    DIR *folder = opendir(test_path(path));
    size_t tokenizers = 0;
    assert_non_null(folder);
    for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        const char *dot = strrchr(entry->d_name, '.');
        if (dot == NULL || strcmp(dot, ending) != 0) {
            continue;
        }
        FbContext *context = test_context();
        snprintf(path, sizeof path, "fixtures/%s/%s", folder_name, entry->d_name);
        FbTokenizer *tokenizer = test_tokenizer(context, test_path(path));
        strcpy(strrchr(path, '.'), ".tsv");
        FILE *file = fopen(test_path(path), "r");
        assert_non_null(file);
        assert_true(check_lines(context, tokenizer, flags, entry->d_name, file) > 50);
        fclose(file);
        fb_tokenizer_free(tokenizer);
        assert_int_equal(fb_context_memory_now(context), 0);
        fb_context_free(context);
        tokenizers++;
    }
    closedir(folder);
    return tokenizers;
}

static void test_library_vectors(void **state)
{
    (void)state;
    assert_int_equal(check_folder("tokenizers", ".json", FB_TOKENS_ADD_SPECIAL | FB_TOKENS_PARSE_SPECIAL), 19);
}

static void test_sentencepiece_vectors(void **state)
{
    (void)state;
    assert_int_equal(check_folder("sentencepiece", ".model", 0), 6); /* that library knows no special tokens in a text */
}

/* ---- what the vectors do not show ---- */

static void test_special_tokens(void **state)
{
    (void)state;
    FbContext *context = test_context();
    FbTokenizer *tokenizer = test_tokenizer(context, test_path("fixtures/tokenizers/gpt2.json"));
    size_t bytes;
    assert_string_equal(fb_tokenizer_kind(tokenizer), "bpe");
    assert_int_equal(fb_tokenizer_find(tokenizer, "</s>", 4), 2);
    assert_string_equal(fb_tokenizer_piece(tokenizer, 2, &bytes), "</s>");
    assert_int_equal(bytes, 4);
    assert_null(fb_tokenizer_piece(tokenizer, 1000000, &bytes));
    assert_null(fb_tokenizer_piece(tokenizer, -1, &bytes));
    assert_true(fb_tokenizer_is_special(tokenizer, 2));
    assert_false(fb_tokenizer_is_special(tokenizer, 10));
    assert_ids(context, tokenizer, "</s>", FB_TOKENS_PARSE_SPECIAL, " 2");
    const char *plain = test_ids(context, tokenizer, "</s>", 4, 0);
    assert_null(strstr(plain, " 2 "));
    assert_string_not_equal(plain, " 2"); /* what a user writes is no control token */
    int32_t ids[] = {2, 40, 2};
    char *text;
    FbError err = {0};
    assert_ok(fb_tokenizer_decode(tokenizer, ids, 3, 0, &text, &bytes, &err));
    assert_null(strstr(text, "</s>"));
    fb_text_free(context, text);
    assert_ok(fb_tokenizer_decode(tokenizer, ids, 3, FB_TOKENS_SHOW_SPECIAL, &text, &bytes, &err));
    assert_non_null(strstr(text, "</s>"));
    fb_text_free(context, text);
    ids[1] = 99999;
    assert_int_equal(fb_tokenizer_decode(tokenizer, ids, 3, 0, &text, &bytes, &err), FB_ERR_ARGUMENT);
    assert_non_null(strstr(err.message, "no token 99999"));
    fb_tokenizer_free(tokenizer);
    fb_context_free(context);
}

/* Every byte alone and all in a row, through byte tokens and through ByteLevel. */
static void test_round_trips(void **state)
{
    (void)state;
    static const char *const names[] = {"gpt2", "llama2", "llama3", "smollm", "gemma"};
    static const char *const texts[] = {" leading", "two  spaces ", "\xe4\xbd\xa0\xf0\x9f\x98\x80 x", "a\nb\r\n\tc", "\xf0\x9f\x98", ""};
    FbContext *context = test_context();
    char all[512];
    for (int i = 0; i < 512; i++) {
        all[i] = (char)(i * 7 + i / 256);
    }
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[128];
        snprintf(path, sizeof path, "fixtures/tokenizers/%s.json", names[i]);
        FbTokenizer *tokenizer = test_tokenizer(context, test_path(path));
        for (size_t j = 0; j < sizeof texts / sizeof *texts; j++) {
            assert_round_trip(context, tokenizer, texts[j], strlen(texts[j]));
        }
        assert_round_trip(context, tokenizer, all, sizeof all);
        fb_tokenizer_free(tokenizer);
    }
    fb_context_free(context);
}

/* A stream gives whole characters: four byte tokens show as one, the leading space not at all. */
static void test_stream(void **state)
{
    (void)state;
    FbContext *context = test_context();
    FbTokenizer *tokenizer = test_tokenizer(context, test_path("fixtures/tokenizers/llama2.json"));
    int32_t *ids;
    size_t count, bytes, parts = 0;
    const char *text;
    FbTokenStream *stream;
    FbError err = {0};
    assert_ok(fb_tokenizer_encode(tokenizer, "\xf0\x9f\xa6\x99", 4, 0, &ids, &count, &err));
    assert_int_equal(count, 5); /* the mark and four bytes */
    assert_ok(fb_token_stream_create(tokenizer, 0, &stream, &err));
    for (size_t i = 0; i < count; i++) {
        assert_ok(fb_token_stream_add(stream, ids[i], &text, &bytes, &err));
        parts += bytes > 0;
        assert_true(bytes == 0 || (i == count - 1 && bytes == 4 && memcmp(text, "\xf0\x9f\xa6\x99", 4) == 0));
    }
    assert_int_equal(parts, 1);
    assert_ok(fb_token_stream_add(stream, ids[1], &text, &bytes, &err)); /* a character that never ends */
    assert_int_equal(bytes, 0);
    fb_token_stream_end(stream, &text, &bytes);
    assert_int_equal(bytes, 1);
    assert_int_equal((unsigned char)text[0], 0xf0);
    fb_token_stream_free(stream);
    fb_tokens_free(context, ids);
    fb_tokenizer_free(tokenizer);
    fb_context_free(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_library_vectors),
        cmocka_unit_test(test_sentencepiece_vectors),
        cmocka_unit_test(test_special_tokens),
        cmocka_unit_test(test_round_trips),
        cmocka_unit_test(test_stream),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
