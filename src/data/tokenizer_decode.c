/* Ids to text, all at once or as they come; and what may be asked about a vocabulary. */
#include <string.h>

#include "data/tokenizer_parts.h"
#include "data/tokenizer_unicode.h"

static const FbPiece *piece_of(const FbTokenizer *tokenizer, int32_t id)
{
    if (id < 0 || (uint32_t)id >= tokenizer->id_count) {
        return NULL;
    }
    const FbPiece *piece = &tokenizer->vocabulary.pieces.items[id];
    return (piece->flags & FB_PIECE_HERE) != 0 ? piece : NULL;
}

/* `started`: something was decoded before. */
static FbStatus append(const FbTokenizer *tokenizer, int32_t id, unsigned flags, bool *started, FbText *out, FbError *err)
{
    const FbPiece *piece = piece_of(tokenizer, id);
    if (piece == NULL) {
        return fb_error_set(err, FB_ERR_ARGUMENT, "there is no token %ld: ids go to %lu", (long)id, (unsigned long)tokenizer->id_count - 1);
    }
    if ((piece->flags & FB_PIECE_SPECIAL) != 0 && (flags & FB_TOKENS_SHOW_SPECIAL) == 0) {
        return FB_OK;
    }
    const char *text = tokenizer->vocabulary.pool.data + piece->text_at;
    size_t bytes = piece->text_bytes;
    if (!*started && (tokenizer->decode.strip == FB_STRIP_ONE || tokenizer->decode.strip == FB_STRIP_EACH)) {
        bool space = bytes > 0 && text[0] == ' ';
        *started = bytes > (space && tokenizer->decode.strip == FB_STRIP_EACH);
        text += space;
        bytes -= space;
    } else if (!*started && tokenizer->decode.strip == FB_STRIP_FIRST_TOKEN) {
        *started = true;
        for (size_t i = 0; i < bytes; i++) {
            fb_text_add_n(out, text + i, text[i] != ' ');
        }
        bytes = 0;
    }
    fb_text_add_n(out, text, bytes);
    return out->failed ? fb_error_memory(tokenizer->context, err, "decoded text", out->length) : FB_OK;
}

FbStatus fb_tokenizer_decode(const FbTokenizer *tokenizer, const int32_t *ids, size_t count, unsigned flags, char **text, size_t *bytes,
                             FbError *err)
{
    FbText out;
    bool started = false;
    *text = NULL;
    *bytes = 0;
    fb_text_init(&out, tokenizer->context);
    fb_text_add(&out, "");
    for (size_t i = 0; i < count; i++) {
        FbStatus status = append(tokenizer, ids[i], flags, &started, &out, err);
        if (status != FB_OK) {
            fb_text_reset(&out);
            return status;
        }
    }
    if (tokenizer->decode.suffix.count > 0 && out.length > 0 && out.data[out.length - 1] == ' ') { /* of the last word */
        out.data[--out.length] = '\0';
    }
    *bytes = out.length;
    *text = fb_text_take(&out);
    return *text != NULL ? FB_OK : fb_error_memory(tokenizer->context, err, "decoded text", 0);
}

/* ---- asking ---- */

size_t fb_tokenizer_count(const FbTokenizer *tokenizer) { return tokenizer->id_count; }

const char *fb_tokenizer_piece(const FbTokenizer *tokenizer, int32_t id, size_t *bytes)
{
    const FbPiece *piece = piece_of(tokenizer, id);
    *bytes = piece != NULL ? piece->text_bytes : 0;
    return piece != NULL ? tokenizer->vocabulary.pool.data + piece->text_at : NULL;
}

int32_t fb_tokenizer_find(const FbTokenizer *tokenizer, const char *piece, size_t bytes)
{
    const FbVocabulary *vocabulary = &tokenizer->vocabulary;
    for (uint32_t id = 0; id < tokenizer->id_count; id++) {
        const FbPiece *here = &vocabulary->pieces.items[id];
        if ((here->flags & FB_PIECE_HERE) != 0 && here->bytes == bytes && memcmp(fb_piece_data(vocabulary, id), piece, bytes) == 0) {
            return (int32_t)id;
        }
    }
    return -1;
}

int32_t fb_tokenizer_special(const FbTokenizer *tokenizer, FbSpecialToken which)
{
    return (unsigned)which < FB_TOKEN_SPECIAL_COUNT ? tokenizer->special[which] : -1;
}

bool fb_tokenizer_is_special(const FbTokenizer *tokenizer, int32_t id)
{
    const FbPiece *piece = piece_of(tokenizer, id);
    return piece != NULL && (piece->flags & FB_PIECE_SPECIAL) != 0;
}

bool fb_tokenizer_ends(const FbTokenizer *tokenizer, int32_t id)
{
    const FbPiece *piece = piece_of(tokenizer, id);
    return piece != NULL && (piece->flags & FB_PIECE_END) != 0;
}

const char *fb_tokenizer_kind(const FbTokenizer *tokenizer)
{
    static const char *const names[] = {"bpe", "unigram", "wordpiece"};
    return names[tokenizer->model.kind];
}

/* ---- streams ---- */

struct FbTokenStream {
    const FbTokenizer *tokenizer;
    unsigned flags;
    bool started;
    size_t given;  /* bytes of `text` that the caller has */
    FbText text;
};

FbStatus fb_token_stream_create(const FbTokenizer *tokenizer, unsigned flags, FbTokenStream **out, FbError *err)
{
    FbTokenStream *stream = fb_alloc_zero(tokenizer->context, sizeof *stream);
    *out = stream;
    if (stream == NULL) {
        return fb_error_memory(tokenizer->context, err, "a stream of tokens", sizeof *stream);
    }
    stream->tokenizer = tokenizer;
    stream->flags = flags;
    fb_text_init(&stream->text, tokenizer->context);
    return FB_OK;
}

void fb_token_stream_free(FbTokenStream *stream)
{
    if (stream != NULL) {
        FbContext *context = stream->tokenizer->context;
        fb_text_reset(&stream->text);
        fb_free(context, stream);
    }
}

/* Bytes at the end that may be the start of a character. */
static size_t incomplete(const char *text, size_t bytes)
{
    for (size_t back = 1; back <= 3 && back <= bytes; back++) {
        uint8_t byte = (uint8_t)text[bytes - back];
        if (byte >= 0xc0) {
            size_t length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
            return length > back ? back : 0;
        }
        if (byte < 0x80) {
            return 0;
        }
    }
    return 0;
}

FbStatus fb_token_stream_add(FbTokenStream *stream, int32_t id, const char **text, size_t *bytes, FbError *err)
{
    FbText *pending = &stream->text;
    *text = "";
    *bytes = 0;
    if (stream->given > 0) {
        memmove(pending->data, pending->data + stream->given, pending->length - stream->given);
        pending->length -= stream->given;
        stream->given = 0;
    }
    FB_TRY(append(stream->tokenizer, id, stream->flags, &stream->started, pending, err));
    stream->given = pending->length - incomplete(pending->data, pending->length);
    if (stream->given > 0) {
        *text = pending->data;
        *bytes = stream->given;
    }
    return FB_OK;
}

void fb_token_stream_end(FbTokenStream *stream, const char **text, size_t *bytes)
{
    *bytes = stream->text.length - stream->given;
    *text = *bytes > 0 ? stream->text.data + stream->given : "";
    stream->given = stream->text.length;
}
