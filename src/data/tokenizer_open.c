/* Which format a tokenizer has, by content. */
#include <string.h>

#include "base/file.h"
#include "base/file_error.h"
#include "data/tokenizer_parts.h"
#include "io/sentencepiece/sentencepiece.h"

typedef enum TokenizerSource { SOURCE_GGUF, SOURCE_LLAMA2C, SOURCE_JSON, SOURCE_SENTENCEPIECE, SOURCE_FOLDER } TokenizerSource;

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), tail = strlen(end);
    return length >= tail && strcmp(text + length - tail, end) == 0;
}

static FbStatus source_of(FbContext *context, const char *path, TokenizerSource *out, FbError *err)
{
    const FbFileHooks *files = fb_context_files(context);
    int kind = FB_FILE_OTHER;
    uint64_t bytes;
    char start[64 + 1] = {0}, shown[200]; /* a NUL stays at its end */
    FbSource *source;
    int error = files->kind(files->user, path, &kind, &bytes);
    if (error != 0) {
        return fb_error_file(err, error, "open", path);
    }
    if (kind == FB_FILE_FOLDER) {
        *out = SOURCE_FOLDER;
        return FB_OK;
    }
    FB_TRY(fb_source_open(context, path, &source, err));
    bytes = fb_source_bytes(source);
    FbStatus status = fb_source_read(source, 0, start, bytes < sizeof start ? (size_t)bytes : sizeof start - 1, err);
    fb_source_release(source);
    FB_TRY(status);
    size_t first = strspn(start, " \t\r\n");
    if (memcmp(start, "GGUF", 4) == 0) {
        *out = SOURCE_GGUF;
    } else if (fb_sentencepiece_begins((const uint8_t *)start, sizeof start) || ends_with(path, ".model")) {
        *out = SOURCE_SENTENCEPIECE;
    } else if (start[first] == '{') {
        *out = SOURCE_JSON;
    } else if (ends_with(path, ".bin")) {
        *out = SOURCE_LLAMA2C;
    } else {
        return fb_error_set(err, FB_ERR_FORMAT, "%s: no tokenizer that is known: a tokenizer.json, a folder with one, a GGUF file, a SentencePiece "
                            "model, vocab.json and merges.txt, llama2.c's tokenizer.bin", fb_path_shown(path, shown, sizeof shown));
    }
    return FB_OK;
}

static FbStatus read_source(FbTokenizer *tokenizer, const char *path, TokenizerSource source, FbError *err)
{
    switch (source) {
    case SOURCE_GGUF:
        return fb_tokenizer_read_gguf(tokenizer, path, err);
    case SOURCE_LLAMA2C:
        return fb_tokenizer_read_llama2c(tokenizer, path, err);
    case SOURCE_JSON:
        return fb_tokenizer_read_json(tokenizer, path, err);
    case SOURCE_SENTENCEPIECE:
        return fb_tokenizer_read_sentencepiece(tokenizer, path, err);
    case SOURCE_FOLDER:
        return fb_tokenizer_read_folder(tokenizer, path, err);
    }
    return fb_error_set(err, FB_ERR_INTERNAL, "an unknown source of a tokenizer");
}

FbStatus fb_tokenizer_open(FbContext *context, const char *path, FbTokenizer **tokenizer, FbError *err)
{
    TokenizerSource source;
    char shown[200];
    *tokenizer = NULL;
    FB_TRY(source_of(context, path, &source, err));
    FB_TRY(fb_tokenizer_create(context, tokenizer, err));
    FbStatus status = read_source(*tokenizer, path, source, err);
    status = status == FB_OK ? fb_tokenizer_finish(*tokenizer, err) : status;
    if (status != FB_OK) {
        fb_tokenizer_free(*tokenizer);
        *tokenizer = NULL;
        fb_path_shown(path, shown, sizeof shown);
        bool told = err != NULL && strncmp(err->message, shown, strlen(shown)) == 0; /* some readers name the file themselves */
        return told ? status : fb_error_context(err, status, "%s", shown);
    }
    return FB_OK;
}
