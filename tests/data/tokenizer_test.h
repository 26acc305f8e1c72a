/* What the tests of tokenizers share: opening, encoding to a text of ids, decoding. */
#ifndef TOKENIZER_TEST_H
#define TOKENIZER_TEST_H

#include <stdlib.h>

#include "data_test.h"
#include "fewbit/model.h"
#include "fewbit/tokenizer.h"

static inline FbTokenizer *test_tokenizer(FbContext *context, const char *path)
{
    FbTokenizer *tokenizer = NULL;
    FbError err = {0};
    assert_ok(fb_tokenizer_open(context, path, &tokenizer, &err));
    return tokenizer;
}

/* " 15496 995": as llama.cpp writes ids. Valid until the next call. */
static inline const char *test_ids(FbContext *context, const FbTokenizer *tokenizer, const char *text, size_t bytes, unsigned flags)
{
    static char shown[65536];
    int32_t *ids = NULL;
    size_t count = 0, used = 0;
    FbError err = {0};
    assert_ok(fb_tokenizer_encode(tokenizer, text, bytes, flags, &ids, &count, &err));
    shown[0] = '\0';
    for (size_t i = 0; i < count && used < sizeof shown - 16; i++) {
        used += (size_t)snprintf(shown + used, sizeof shown - used, " %d", (int)ids[i]);
    }
    fb_tokens_free(context, ids);
    return shown;
}

static inline void assert_ids(FbContext *context, const FbTokenizer *tokenizer, const char *text, unsigned flags, const char *expected)
{
    assert_string_equal(test_ids(context, tokenizer, text, strlen(text), flags), expected);
}

/* Encoded and decoded again, also as a stream of tokens, the text is the same. */
static inline void assert_round_trip(FbContext *context, const FbTokenizer *tokenizer, const char *text, size_t bytes)
{
    int32_t *ids = NULL;
    size_t count = 0, decoded_bytes = 0, streamed = 0;
    char *decoded = NULL, *pieces = malloc(bytes + 16);
    FbTokenStream *stream = NULL;
    FbError err = {0};
    assert_ok(fb_tokenizer_encode(tokenizer, text, bytes, 0, &ids, &count, &err));
    assert_ok(fb_tokenizer_decode(tokenizer, ids, count, FB_TOKENS_SHOW_SPECIAL, &decoded, &decoded_bytes, &err));
    assert_int_equal(decoded_bytes, bytes);
    assert_memory_equal(decoded, text, bytes);
    assert_ok(fb_token_stream_create(tokenizer, FB_TOKENS_SHOW_SPECIAL, &stream, &err));
    for (size_t i = 0; i <= count; i++) {
        const char *part;
        size_t length;
        if (i < count) {
            assert_ok(fb_token_stream_add(stream, ids[i], &part, &length, &err));
        } else {
            fb_token_stream_end(stream, &part, &length);
        }
        assert_true(length <= bytes - streamed);
        memcpy(pieces + streamed, part, length);
        streamed += length;
    }
    assert_int_equal(streamed, bytes);
    assert_memory_equal(pieces, text, bytes);
    fb_token_stream_free(stream);
    fb_tokens_free(context, ids);
    fb_text_free(context, decoded);
    free(pieces);
}

#endif
