/* SentencePiece's model files that are malformed or ask for what is not supported: named errors; and what a Hugging Face folder adds to them. */
#define _POSIX_C_SOURCE 200809L /* mkdtemp */
#include <math.h>
#include <stdlib.h>

#include "io/checkpoint_test.h"
#include "io/sentencepiece/sentencepiece.h"
#include "tokenizer_test.h"

/* ---- writing models ---- */

typedef struct Proto {
    uint8_t data[1 << 16];
    size_t count;
} Proto;

static void put(Proto *out, const void *data, size_t count)
{
    assert_true(count <= sizeof out->data - out->count);
    memcpy(out->data + out->count, data, count);
    out->count += count;
}

static void put_varint(Proto *out, uint64_t value)
{
    for (; value >= 0x80; value >>= 7) {
        put(out, &(uint8_t){(uint8_t)(value | 0x80)}, 1);
    }
    put(out, &(uint8_t){(uint8_t)value}, 1);
}

static void put_number(Proto *out, unsigned tag, uint64_t value)
{
    put_varint(out, tag << 3);
    put_varint(out, value);
}

static void put_bytes(Proto *out, unsigned tag, const void *data, size_t count)
{
    put_varint(out, tag << 3 | 2);
    put_varint(out, count);
    put(out, data, count);
}

static void put_piece(Proto *out, const char *text, float score, unsigned type)
{
    static Proto piece;
    piece.count = 0;
    put_bytes(&piece, 1, text, strlen(text));
    put(&piece, "\x15", 1);
    put(&piece, &score, sizeof score);
    put_number(&piece, 3, type);
    put_bytes(out, 1, piece.data, piece.count);
}

/* A group of settings with one number. */
static void put_setting(Proto *out, unsigned group, unsigned tag, uint64_t value)
{
    static Proto settings;
    settings.count = 0;
    put_number(&settings, tag, value);
    put_bytes(out, group, settings.data, settings.count);
}

#define MARK "\xe2\x96\x81"

enum { TRAINER = 2, NORMALIZER = 3, DENORMALIZER = 5 };
enum { NORMAL = 1, UNKNOWN = 2, CONTROL = 3, USER = 4, UNUSED = 5, BYTE = 6 };
enum { UNIGRAM = 1, BPE = 2 };

static Proto *start(unsigned kind)
{
    static Proto model;
    model.count = 0;
    put_piece(&model, "<unk>", 0, UNKNOWN);
    put_piece(&model, "<s>", 0, CONTROL);
    put_piece(&model, "</s>", 0, CONTROL);
    put_piece(&model, MARK, -1, NORMAL);
    put_piece(&model, "a", -2, NORMAL);
    put_piece(&model, "b", -3, NORMAL);
    put_piece(&model, "ab", -4, NORMAL);
    put_piece(&model, MARK "ab", -5, NORMAL);
    put_setting(&model, TRAINER, 3, kind);
    return &model;
}

static FbStatus open_model(FbContext *context, const Proto *model, FbTokenizer **tokenizer, FbError *err)
{
    char folder[] = "/tmp/fewbit-pieces-XXXXXX", path[64];
    assert_non_null(mkdtemp(folder));
    write_file(folder, "m.model", model->data, model->count);
    snprintf(path, sizeof path, "%s/m.model", folder);
    FbStatus status = fb_tokenizer_open(context, path, tokenizer, err);
    remove_folder(folder);
    return status;
}

static void refuse(const Proto *model, FbStatus expected, const char *says)
{
    FbContext *context = test_context();
    FbTokenizer *tokenizer = NULL;
    FbError err = {0};
    FbStatus status = open_model(context, model, &tokenizer, &err);
    if (status != expected || strstr(err.message, says) == NULL) {
        fail_msg("status %d, '%s'; expected %d, '%s'", (int)status, err.message, (int)expected, says);
    }
    assert_null(tokenizer);
    assert_int_equal(fb_context_memory_now(context), 0);
    fb_context_free(context);
}

static FbTokenizer *accept(FbContext *context, const Proto *model)
{
    FbTokenizer *tokenizer = NULL;
    FbError err = {0};
    assert_ok(open_model(context, model, &tokenizer, &err));
    return tokenizer;
}

/* ---- malformed models ---- */

static void test_not_a_model(void **state)
{
    (void)state;
    Proto *model = start(BPE);
    refuse(&(Proto){.count = 0}, FB_ERR_FORMAT, "0 pieces");
    refuse(&(Proto){.data = "pieces of text", .count = 14}, FB_ERR_FORMAT, "damaged or not a SentencePiece model");
    model->count -= 1;
    refuse(model, FB_ERR_FORMAT, "a length beyond the end (a truncated file?)");
    model = start(BPE);
    put_number(model, 1, 7);
    refuse(model, FB_ERR_FORMAT, "a known field with the wrong wire type");
    model = start(BPE);
    put_setting(model, 1, 1, 7);
    refuse(model, FB_ERR_FORMAT, "a known field with the wrong wire type");
}

static void test_bad_pieces(void **state)
{
    (void)state;
    static char longer[66000];
    Proto *model = start(BPE);
    put_piece(model, "", -1, NORMAL);
    refuse(model, FB_ERR_FORMAT, "piece 8 is empty");
    model = start(BPE);
    put_piece(model, "c", NAN, NORMAL);
    refuse(model, FB_ERR_FORMAT, "piece 8 ('c') has a score that is no number");
    model = start(UNIGRAM);
    put_piece(model, "c", -1, 7);
    refuse(model, FB_ERR_FORMAT, "piece 8 ('c') has the type 7, which is not known");
    model = start(UNIGRAM);
    put_piece(model, "<unk2>", 0, UNKNOWN);
    refuse(model, FB_ERR_FORMAT, "2 pieces are the unknown one, expected 1");
    model = start(BPE);
    put_bytes(model, 1, "\x0a\x02" "a\0", 4);
    refuse(model, FB_ERR_FORMAT, "a text with a NUL character inside");
    model = start(BPE);
    put_piece(model, "\xff", -1, NORMAL);
    refuse(model, FB_ERR_FORMAT, "token 8 is no UTF-8");
    memset(longer, 'a', sizeof longer - 1);
    model = start(UNIGRAM);
    longer[2000] = '\0';
    put_piece(model, longer, -1, NORMAL);
    refuse(model, FB_ERR_BUDGET, "token 8 has 2000 bytes");
}

static void test_bytes(void **state)
{
    (void)state;
    Proto *model = start(BPE);
    put_setting(model, TRAINER, 35, 1);
    refuse(model, FB_ERR_FORMAT, "0 pieces stand for bytes, expected 256 (byte_fallback is true)");
    model = start(BPE);
    put_piece(model, "<0x0A>", 0, BYTE);
    refuse(model, FB_ERR_FORMAT, "1 pieces stand for bytes, expected 0 (byte_fallback is false)");
}

static void test_not_supported(void **state)
{
    (void)state;
    Proto *model = start(3);
    refuse(model, FB_ERR_UNSUPPORTED, "the model type 3 (word) is not supported");
    refuse(start(4), FB_ERR_UNSUPPORTED, "the model type 4 (char) is not supported");
    refuse(start(9), FB_ERR_FORMAT, "the model type 9 is not supported");
    model = start(BPE);
    put_setting(model, TRAINER, 24, 1);
    refuse(model, FB_ERR_UNSUPPORTED, "treat_whitespace_as_suffix");
    model = start(BPE);
    put_bytes(model, DENORMALIZER, "\x12\x01x", 3);
    refuse(model, FB_ERR_UNSUPPORTED, "denormalizer_spec");
}

static void test_bad_map(void **state)
{
    (void)state;
    Proto *model = start(UNIGRAM);
    put_bytes(model, NORMALIZER, "\x12\x03" "abc", 5);
    refuse(model, FB_ERR_FORMAT, "the map of characters is cut or damaged: 3 bytes");
    model = start(UNIGRAM);
    put_bytes(model, NORMALIZER, "\x12\x0b\x04\0\0\0\0\0\0\0ok\xff", 13);
    refuse(model, FB_ERR_FORMAT, "the map of characters has a text that is no UTF-8, at byte 2");
}

/* ---- what is read ---- */

static void test_defaults(void **state)
{
    (void)state;
    FbContext *context = test_context();
    Proto *model = start(BPE); /* no NormalizerSpec: spaces are squeezed, one stands in front */
    FbTokenizer *tokenizer = accept(context, model);
    assert_string_equal(fb_tokenizer_kind(tokenizer), "bpe");
    assert_ids(context, tokenizer, "  ab  a ", 0, " 7 3 4");
    assert_ids(context, tokenizer, "   ", 0, "");
    assert_ids(context, tokenizer, "zzab", FB_TOKENS_ADD_SPECIAL, " 1 3 0 6");
    assert_int_equal(fb_tokenizer_special(tokenizer, FB_TOKEN_BOS), 1);
    assert_int_equal(fb_tokenizer_special(tokenizer, FB_TOKEN_EOS), 2);
    assert_int_equal(fb_tokenizer_special(tokenizer, FB_TOKEN_UNK), 0);
    assert_true(fb_tokenizer_ends(tokenizer, 2));
    assert_ids(context, tokenizer, "ab</s>ab", FB_TOKENS_PARSE_SPECIAL, " 7 2 7");
    fb_tokenizer_free(tokenizer);
    tokenizer = accept(context, start(UNIGRAM));
    assert_string_equal(fb_tokenizer_kind(tokenizer), "unigram");
    assert_ids(context, tokenizer, "ab", FB_TOKENS_ADD_SPECIAL, " 7 2");
    fb_tokenizer_free(tokenizer);
    fb_context_free(context);
}

/* Pieces of the user: found everywhere, never made of others; unused ones are not made at all. */
static void test_user_pieces(void **state)
{
    (void)state;
    FbContext *context = test_context();
    for (unsigned kind = UNIGRAM; kind <= BPE; kind++) {
        Proto *model = start(kind);
        put_piece(model, "ba", 0, USER);
        put_piece(model, "aa", -0.5f, UNUSED);
        FbTokenizer *tokenizer = accept(context, model);
        assert_ids(context, tokenizer, "abab", 0, " 3 4 8 5");
        assert_ids(context, tokenizer, "aa", 0, " 3 4 4");
        fb_tokenizer_free(tokenizer);
    }
    fb_context_free(context);
}

/* ---- folders ---- */

typedef struct FolderFile {
    const char *name, *text;
} FolderFile;

static FbTokenizer *open_folder(FbContext *context, const char *model_name, const Proto *model, const FolderFile *files, FbStatus expected, const char *says)
{
    char folder[] = "/tmp/fewbit-pieces-XXXXXX";
    FbTokenizer *tokenizer = NULL;
    FbError err = {0};
    assert_non_null(mkdtemp(folder));
    write_file(folder, model_name, model->data, model->count);
    for (size_t i = 0; files[i].name != NULL; i++) {
        write_file(folder, files[i].name, files[i].text, strlen(files[i].text));
    }
    FbStatus status = fb_tokenizer_open(context, folder, &tokenizer, &err);
    remove_folder(folder);
    if (status != expected || strstr(err.message, says) == NULL) {
        fail_msg("status %d, '%s'; expected %d, '%s'", (int)status, err.message, (int)expected, says);
    }
    return tokenizer;
}

static void test_folder(void **state)
{
    (void)state;
    static const FolderFile files[] = {
        {"tokenizer_config.json", "{\"tokenizer_class\":\"LlamaTokenizer\",\"add_eos_token\":true,\"eos_token\":\"<end>\",\"legacy\":false,"
                                  "\"added_tokens_decoder\":{\"1\":{\"content\":\"<s>\",\"special\":true},\"8\":{\"content\":\"<end>\",\"special\":true}}}"},
        {"added_tokens.json", "{\"<end>\":8,\"plain\":9}"},
        {NULL, NULL},
    };
    FbContext *context = test_context();
    FbTokenizer *tokenizer = open_folder(context, "tokenizer.model", start(BPE), files, FB_OK, "");
    assert_int_equal(fb_tokenizer_count(tokenizer), 10);
    assert_ids(context, tokenizer, "ab", FB_TOKENS_ADD_SPECIAL, " 1 7 8");
    assert_ids(context, tokenizer, "ab<end>ab plain", FB_TOKENS_PARSE_SPECIAL, " 7 8 6 9");
    assert_ids(context, tokenizer, "abplainab", 0, " 7 9 6"); /* legacy is false: one space, in front of the text */
    assert_true(fb_tokenizer_ends(tokenizer, 8));
    assert_true(fb_tokenizer_is_special(tokenizer, 8));
    assert_false(fb_tokenizer_is_special(tokenizer, 9));
    fb_tokenizer_free(tokenizer);
    fb_context_free(context);
}

static void test_folder_of_t5(void **state)
{
    (void)state;
    static const FolderFile files[] = {{"tokenizer_config.json", "{\"tokenizer_class\":\"T5TokenizerFast\",\"extra_ids\":3}"}, {NULL, NULL}};
    FbContext *context = test_context();
    FbTokenizer *tokenizer = open_folder(context, "spiece.model", start(UNIGRAM), files, FB_OK, "");
    assert_int_equal(fb_tokenizer_count(tokenizer), 11);
    assert_ids(context, tokenizer, "ab<extra_id_0>", FB_TOKENS_ADD_SPECIAL | FB_TOKENS_PARSE_SPECIAL, " 7 10 2");
    fb_tokenizer_free(tokenizer);
    fb_context_free(context);
}

static void test_folder_errors(void **state)
{
    (void)state;
    static const FolderFile other[] = {{"tokenizer_config.json", "{\"tokenizer_class\":\"XLMRobertaTokenizer\"}"}, {NULL, NULL}};
    static const FolderFile far[] = {{"added_tokens.json", "{\"<x>\":5000000}"}, {NULL, NULL}};
    static const FolderFile taken[] = {{"added_tokens.json", "{\"<x>\":4}"}, {NULL, NULL}};
    static const FolderFile many[] = {{"tokenizer_config.json", "{\"tokenizer_class\":\"T5Tokenizer\",\"extra_ids\":1000000}"}, {NULL, NULL}};
    static const FolderFile nothing[] = {{"tokenizer_config.json", "{\"add_bos_token\":true}"}, {NULL, NULL}};
    FbContext *context = test_context();
    Proto bare = {.count = 0};
    open_folder(context, "tokenizer.model", start(BPE), other, FB_ERR_UNSUPPORTED, "SentencePiece model of a XLMRobertaTokenizer is not supported");
    open_folder(context, "tokenizer.model", start(BPE), far, FB_ERR_FORMAT, "'<x>' has the id 5000000");
    open_folder(context, "tokenizer.model", start(BPE), taken, FB_ERR_FORMAT, "which the vocabulary gives to another token");
    open_folder(context, "spiece.model", start(UNIGRAM), many, FB_ERR_FORMAT, "extra_ids is 1000000");
    put_piece(&bare, "<unk>", 0, UNKNOWN);
    put_piece(&bare, "a", 0, NORMAL);
    open_folder(context, "tokenizer.model", &bare, nothing, FB_ERR_FORMAT, "add_bos_token is true, but there is no such token");
    open_folder(context, "other.txt", &bare, (const FolderFile[]){{NULL, NULL}}, FB_ERR_FORMAT, "neither tokenizer.json nor tokenizer.model");
    fb_context_free(context);
}

/* The folder's tokenizer.json is what its models were trained with, too, and says more. */
static void test_json_wins(void **state)
{
    (void)state;
    static const FolderFile files[] = {{"tokenizer.json", "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"q\":0},\"merges\":[]}}"}, {NULL, NULL}};
    FbContext *context = test_context();
    FbTokenizer *tokenizer = open_folder(context, "tokenizer.model", start(BPE), files, FB_OK, "");
    assert_int_equal(fb_tokenizer_count(tokenizer), 1);
    fb_tokenizer_free(tokenizer);
    fb_context_free(context);
}

/* ---- a file that somebody writes to between the two passes over it ---- */

enum { CHANGING_BYTES = 100003 };
static struct { uint8_t before[CHANGING_BYTES], after[CHANGING_BYTES]; size_t starts, change_at; } changing;

static int changing_read(void *user, void *handle, uint64_t offset, void *buffer, size_t bytes, size_t *done)
{
    (void)user;
    (void)handle;
    changing.starts += offset == 0;
    const uint8_t *data = changing.starts > changing.change_at ? changing.after : changing.before;
    *done = offset >= CHANGING_BYTES ? 0 : bytes < CHANGING_BYTES - offset ? bytes : (size_t)(CHANGING_BYTES - offset);
    memcpy(buffer, data + offset, *done);
    return 0;
}

/* Pieces of `each` bytes of text up to the end of the file. */
static void fill_pieces(uint8_t *to, size_t each)
{
    static Proto piece;
    char text[128];
    size_t at = 0;
    memset(text, 'x', sizeof text);
    for (size_t left = CHANGING_BYTES; left > 0; left = CHANGING_BYTES - at) {
        piece.count = 0;
        size_t count = left < 2 * (each + 4) ? left - 4 : each; /* the last one takes what is left */
        put_bytes(&piece, 1, text, count);
        assert_true(count < 120);
        to[at++] = 0x0a;
        to[at++] = (uint8_t)piece.count;
        memcpy(to + at, piece.data, piece.count);
        at += piece.count;
    }
    assert_int_equal(at, CHANGING_BYTES);
}

static void test_changing_file(void **state)
{
    (void)state;
    char folder[] = "/tmp/fewbit-pieces-XXXXXX", path[64];
    FbContext *plain = test_context(), *context = NULL;
    FbFileHooks files = *fb_context_files(plain);
    files.read_at = changing_read;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/m.model", folder);
    for (int grows = 0; grows < 2; grows++) {
        FbArena *arena = NULL;
        FbSentencePieceModel model;
        FbError err = {0};
        FbContextOptions options = {.struct_bytes = sizeof options, .threads = 1, .files = &files};
        fill_pieces(changing.before, grows ? 40 : 4);
        fill_pieces(changing.after, grows ? 4 : 40);
        write_file(folder, "m.model", changing.before, CHANGING_BYTES);
        changing.starts = 0;
        changing.change_at = 1;
        assert_int_equal(fb_context_create(&options, &context, &err), FB_OK);
        arena = fb_arena_create(context);
        assert_non_null(arena);
        assert_int_equal(fb_sentencepiece_load(arena, path, &model, &err), FB_ERR_IO);
        assert_non_null(strstr(err.message, "the file changed while it was read"));
        fb_arena_free(arena);
        fb_context_free(context);
    }
    remove_folder(folder);
    fb_context_free(plain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_not_a_model),   cmocka_unit_test(test_bad_pieces),   cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_not_supported), cmocka_unit_test(test_bad_map),      cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_user_pieces),   cmocka_unit_test(test_folder),       cmocka_unit_test(test_folder_of_t5),
        cmocka_unit_test(test_folder_errors), cmocka_unit_test(test_json_wins),    cmocka_unit_test(test_changing_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
