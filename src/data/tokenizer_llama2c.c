/* llama2.c's tokenizer file: the longest token, then score, length and bytes of each token. A SentencePiece BPE whose spaces are spaces. */
#include <math.h>
#include <string.h>

#include "base/file.h"
#include "data/tokenizer_parts.h"

enum { BOS = 1, EOS = 2, FIRST_BYTE = 3, LEAST_TOKENS = FIRST_BYTE + 256 };

static uint32_t little(const uint8_t *data)
{
    return (uint32_t)data[0] | (uint32_t)data[1] << 8 | (uint32_t)data[2] << 16 | (uint32_t)data[3] << 24;
}

static FbStatus read_tokens(FbTokenizer *tokenizer, const uint8_t *data, size_t bytes, FbError *err)
{
    static const char *const names[] = {"<unk>", "<s>", "</s>"};
    uint32_t longest = bytes >= 4 ? little(data) : 0, id = 0;
    for (size_t at = 4; at < bytes; id++) {
        if (bytes - at < 8 || little(data + at + 4) > bytes - at - 8 || little(data + at + 4) > longest || id >= FB_TOKENIZER_IDS_MAX) {
            return fb_error_set(err, FB_ERR_FORMAT, "token %u at byte %zu does not fit (a file of llama2.c's tokenizer?)", (unsigned)id, at);
        }
        uint32_t bits = little(data + at), length = little(data + at + 4);
        float score;
        memcpy(&score, &bits, sizeof score);
        bool special = id < FIRST_BYTE, byte = id >= FIRST_BYTE && id < LEAST_TOKENS;
        const char *piece = special ? names[id] : (const char *)data + at + 8;
        unsigned flags = FB_PIECE_HERE | (special ? FB_PIECE_SPECIAL : byte ? FB_PIECE_BYTE : FB_PIECE_MODEL);
        FB_TRY(fb_vocabulary_add(&tokenizer->vocabulary, id, piece, special ? strlen(names[id]) : length, score, flags, err));
        at += 8 + (size_t)length;
    }
    return id >= LEAST_TOKENS ? FB_OK
                              : fb_error_set(err, FB_ERR_FORMAT, "%u tokens, llama2.c's tokenizers have at least %d", (unsigned)id, LEAST_TOKENS);
}

static FbStatus build(FbTokenizer *tokenizer, FbError *err)
{
    static const char space[] = " ";
    FbNormalStep prefix = {.kind = FB_NORMAL_PREPEND, .to = {(const uint8_t *)space, 1}};
    tokenizer->model.kind = FB_MODEL_BPE;
    tokenizer->model.byte_fallback = true;
    tokenizer->model.unknown = 0;
    tokenizer->decode.bytes = true;
    tokenizer->decode.strip = FB_STRIP_ONE;
    FB_TRY(fb_tokenizer_add_normal(tokenizer, prefix, err));
    for (uint32_t id = BOS; id <= EOS; id++) {
        FB_TRY(fb_tokenizer_add_token(tokenizer, (FbAddedToken){.id = id, .special = true}, err));
    }
    FB_TRY(fb_tokenizer_set_special(tokenizer, FB_TOKEN_UNK, 0, "llama2.c", err));
    FB_TRY(fb_tokenizer_set_special(tokenizer, FB_TOKEN_BOS, BOS, "llama2.c", err));
    FB_TRY(fb_tokenizer_set_special(tokenizer, FB_TOKEN_EOS, EOS, "llama2.c", err));
    FB_TRY(fb_tokenizer_set_end(tokenizer, BOS, "llama2.c", err)); /* its models separate texts by BOS */
    FB_TRY(fb_tokenizer_add_around(tokenizer, true, BOS, err));
    FB_TRY(fb_tokenizer_index(tokenizer, err));
    FB_TRY(fb_tokenizer_merges_from_scores(tokenizer, err));
    fb_tokenizer_find_cuts(tokenizer, prefix.to);
    return FB_OK;
}

FbStatus fb_tokenizer_read_llama2c_bytes(FbTokenizer *tokenizer, const uint8_t *data, size_t bytes, FbError *err)
{
    FB_TRY(read_tokens(tokenizer, data, bytes, err));
    return build(tokenizer, err);
}

FbStatus fb_tokenizer_read_llama2c(FbTokenizer *tokenizer, const char *path, FbError *err)
{
    char *data = NULL;
    size_t bytes;
    FB_TRY(fb_file_read_all(tokenizer->context, path, FB_TOKENIZER_FILE_MAX, &data, &bytes, err));
    FbStatus status = fb_tokenizer_read_llama2c_bytes(tokenizer, (const uint8_t *)data, bytes, err);
    fb_free(tokenizer->context, data);
    return status;
}
