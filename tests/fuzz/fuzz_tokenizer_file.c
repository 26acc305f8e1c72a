/* Files of tokenizers: tokenizer.json and vocab.json, GGUF, SentencePiece, llama2.c. What is accepted encodes and decodes a text, or says that a limit was met; all
 * memory comes back. */
#include <string.h>

#include "base/file.h"
#include "data/tokenizer_json.h"
#include "fewbit/model.h"
#include "fuzz.h"
#include "io/gguf/gguf.h"

static FbStatus read_gguf(FbContext *context, FbTokenizer *tokenizer, const uint8_t *data, size_t size)
{
    FbSource *source = NULL;
    FbCheckpoint *table = NULL;
    FbStatus status = fb_source_from_memory(context, data, size, &source, NULL);
    status = status == FB_OK ? fb_gguf_open_source(context, source, "t.gguf", &table, NULL) : status;
    status = status == FB_OK ? fb_gguf_check(table, NULL) : status;
    status = status == FB_OK ? fb_tokenizer_read_gguf_table(tokenizer, table, NULL) : status;
    fb_checkpoint_free(table);
    fb_source_release(source);
    return status;
}

static FbStatus read_pieces(FbContext *context, FbTokenizer *tokenizer, const uint8_t *data, size_t size)
{
    FbSource *source = NULL;
    FbStatus status = fb_source_from_memory(context, data, size, &source, NULL);
    status = status == FB_OK ? fb_tokenizer_read_sentencepiece_source(tokenizer, source, NULL, NULL) : status;
    fb_source_release(source);
    return status;
}

static void use(FbContext *context, const FbTokenizer *tokenizer)
{
    static const char text[] = "ab <s> Hello, w\xc3\xb6rld\xe2\x80\xa6 \xf0\x9f\x99\x82 123 'll\n\n\t it's \xff\xfe </s>\xef\xac\x81 i\xcc\x87";
    int32_t *ids;
    size_t count, bytes;
    char *decoded;
    FbStatus status = fb_tokenizer_encode(tokenizer, text, sizeof text - 1, FB_TOKENS_ADD_SPECIAL | FB_TOKENS_PARSE_SPECIAL, &ids, &count, NULL);
    FUZZ_CHECK(status == FB_OK || status == FB_ERR_BUDGET);
    if (status == FB_OK) {
        FUZZ_CHECK(fb_tokenizer_decode(tokenizer, ids, count, FB_TOKENS_SHOW_SPECIAL, &decoded, &bytes, NULL) == FB_OK);
        fb_text_free(context, decoded);
    }
    fb_tokens_free(context, ids);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    FbContextOptions options = {.struct_bytes = sizeof options, .threads = 1, .max_memory = 128 << 20};
    FbContext *context = NULL;
    FbTokenizer *tokenizer = NULL;
    FUZZ_CHECK(fb_context_create(&options, &context, NULL) == FB_OK && fb_tokenizer_create(context, &tokenizer, NULL) == FB_OK);
    FbStatus status = size >= 4 && memcmp(data, "GGUF", 4) == 0 ? read_gguf(context, tokenizer, data, size)
                      : size > 0 && data[0] == '\n'              ? read_pieces(context, tokenizer, data, size) /* a first piece, or any of its mutations */
                      : size > 0 && data[0] == '{'              ? fb_tokenizer_read_json_text(tokenizer, (const char *)data, size, "t.json", NULL)
                                                                : fb_tokenizer_read_llama2c_bytes(tokenizer, data, size, NULL);
    if (status == FB_OK && fb_tokenizer_finish(tokenizer, NULL) == FB_OK) {
        use(context, tokenizer);
    }
    fb_tokenizer_free(tokenizer);
    FUZZ_CHECK(fb_context_memory_now(context) == 0);
    fb_context_free(context);
    return 0;
}
