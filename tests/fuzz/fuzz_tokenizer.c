/* Encoding and decoding arbitrary bytes with fixed tokenizers of every kind: ids exist, a vocabulary with every byte gives the text back, a stream of
 * tokens says what decoding at once says, and all memory comes back. The first byte chooses the tokenizer and flags. */
#include <stdio.h>
#include <string.h>

#include "data/tokenizer_parts.h"
#include "fewbit/model.h"
#include "fuzz.h"

enum { KINDS = 6 };

static FbContext *context;

static const FbTokenizer *tokenizer_of(size_t kind)
{
    static const char *const names[KINDS] = {"gpt2", "llama3", "llama2", "gemma", "bert", "unigram_first"};
    static FbTokenizer *opened[KINDS];
    char path[1024];
    FbError err = {0};
    if (context == NULL) {
        FbContextOptions options = {.struct_bytes = sizeof options, .threads = 1};
        FUZZ_CHECK(fb_context_create(&options, &context, NULL) == FB_OK);
    }
    if (opened[kind] == NULL) {
        snprintf(path, sizeof path, "%s/tests/data/fixtures/tokenizers/%s.json", FB_SOURCE_DIR, names[kind]);
        if (fb_tokenizer_open(context, path, &opened[kind], &err) != FB_OK) {
            fprintf(stderr, "%s\n", err.message);
            abort();
        }
    }
    return opened[kind];
}

static void compare_stream(const FbTokenizer *tokenizer, const int32_t *ids, size_t count, const char *text, size_t bytes)
{
    FbTokenStream *stream;
    size_t at = 0;
    FUZZ_CHECK(fb_token_stream_create(tokenizer, FB_TOKENS_SHOW_SPECIAL, &stream, NULL) == FB_OK);
    for (size_t i = 0; i <= count; i++) {
        const char *part;
        size_t length;
        if (i < count) {
            FUZZ_CHECK(fb_token_stream_add(stream, ids[i], &part, &length, NULL) == FB_OK);
        } else {
            fb_token_stream_end(stream, &part, &length);
        }
        FUZZ_CHECK(length <= bytes - at && memcmp(part, text + at, length) == 0);
        at += length;
    }
    FUZZ_CHECK(at == bytes);
    fb_token_stream_free(stream);
}

/* Added tokens that take white space beside them do not return it, and SentencePiece's mark comes back as a space. */
static bool gives_back(const FbTokenizer *tokenizer, const char *text, size_t bytes)
{
    bool marked = false;
    for (size_t i = 0; i + 3 <= bytes; i++) {
        marked = marked || memcmp(text + i, FB_MARK, 3) == 0;
    }
    return tokenizer->lossless && tokenizer->added.normalized.count == 0 && (tokenizer->model.byte_level || !marked);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    const FbTokenizer *tokenizer = tokenizer_of(data[0] % KINDS);
    unsigned flags = data[0] / KINDS % 4;
    const char *text = (const char *)data + 1;
    uint64_t before = fb_context_memory_now(context);
    int32_t *ids;
    size_t count, bytes, streamed;
    char *decoded;
    FUZZ_CHECK(fb_tokenizer_encode(tokenizer, text, size - 1, flags, &ids, &count, NULL) == FB_OK);
    for (size_t i = 0; i < count; i++) {
        FUZZ_CHECK(ids[i] >= 0 && (size_t)ids[i] < fb_tokenizer_count(tokenizer) && fb_tokenizer_piece(tokenizer, ids[i], &bytes) != NULL);
    }
    FUZZ_CHECK(fb_tokenizer_decode(tokenizer, ids, count, FB_TOKENS_SHOW_SPECIAL, &decoded, &streamed, NULL) == FB_OK);
    compare_stream(tokenizer, ids, count, decoded, streamed);
    if (gives_back(tokenizer, text, size - 1) && flags == 0) {
        FUZZ_CHECK(streamed == size - 1 && memcmp(decoded, text, streamed) == 0);
    }
    fb_tokens_free(context, ids);
    fb_text_free(context, decoded);
    FUZZ_CHECK(fb_context_memory_now(context) == before);
    return 0;
}
