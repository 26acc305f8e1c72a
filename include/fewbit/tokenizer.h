/* Text to token ids and back, and conversations to text, as a model was trained with. */
#ifndef FEWBIT_TOKENIZER_H
#define FEWBIT_TOKENIZER_H

#include <stdbool.h>

#include "fewbit/context.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct FbTokenizer FbTokenizer;

enum {
    FB_TOKENS_ADD_SPECIAL = 1 << 0,   /* encode: what the model expects around a text (BOS, [CLS] ... [SEP]) */
    FB_TOKENS_PARSE_SPECIAL = 1 << 1, /* encode: the names of special tokens ("<|im_end|>") in the text become those tokens */
    FB_TOKENS_SHOW_SPECIAL = 1 << 2   /* decode: special tokens appear by name; otherwise they are left out */
};

typedef enum FbSpecialToken { FB_TOKEN_BOS = 0, FB_TOKEN_EOS, FB_TOKEN_EOT, FB_TOKEN_UNK, FB_TOKEN_PAD, FB_TOKEN_SPECIAL_COUNT } FbSpecialToken;

/* A tokenizer.json, a Hugging Face folder (tokenizer.json, or tokenizer.model, or vocab.json and merges.txt, with its configuration files), a vocab.json
 * with merges.txt beside it, SentencePiece's .model, a GGUF file, llama2.c's tokenizer .bin; told by content. Needs no file afterwards. *tokenizer is NULL on failure. */
FB_API FB_MUST_CHECK FbStatus fb_tokenizer_open(FbContext *context, const char *path, FbTokenizer **tokenizer, FbError *err);
FB_API void fb_tokenizer_free(FbTokenizer *tokenizer); /* NULL is fine */

/* Any bytes are taken: what is no UTF-8 becomes byte tokens where the vocabulary has them, and U+FFFD where not. `text` needs no NUL. On
 * success *ids is freed with fb_tokens_free, also when *count is 0. */
FB_API FB_MUST_CHECK FbStatus fb_tokenizer_encode(const FbTokenizer *tokenizer, const char *text, size_t bytes, unsigned flags, int32_t **ids,
                                                  size_t *count, FbError *err);
FB_API void fb_tokens_free(FbContext *context, int32_t *ids); /* NULL is fine */

/* The bytes that the tokens stand for, with a NUL behind them; a text cut inside a character is no UTF-8. The caller frees *text with
 * fb_text_free. An id outside the vocabulary is FB_ERR_ARGUMENT. */
FB_API FB_MUST_CHECK FbStatus fb_tokenizer_decode(const FbTokenizer *tokenizer, const int32_t *ids, size_t count, unsigned flags, char **text,
                                                  size_t *bytes, FbError *err);

/* One more than the largest id. */
FB_API size_t fb_tokenizer_count(const FbTokenizer *tokenizer);
/* The bytes of one token by itself: a space where the vocabulary writes U+2581, one byte for a byte token, the name of a special token. They live
 * as long as the tokenizer, with a NUL behind them; NULL: no such id. */
FB_API const char *fb_tokenizer_piece(const FbTokenizer *tokenizer, int32_t id, size_t *bytes);
FB_API int32_t fb_tokenizer_find(const FbTokenizer *tokenizer, const char *piece, size_t bytes); /* the token so written in the file; -1: none */
FB_API int32_t fb_tokenizer_special(const FbTokenizer *tokenizer, FbSpecialToken which);         /* -1: none */
FB_API bool fb_tokenizer_is_special(const FbTokenizer *tokenizer, int32_t id);                   /* left out of decoded text */
FB_API bool fb_tokenizer_ends(const FbTokenizer *tokenizer, int32_t id);                         /* generation ends with this token */
FB_API const char *fb_tokenizer_kind(const FbTokenizer *tokenizer);                              /* "bpe", "unigram", "wordpiece" */

/* Decoding as tokens come. What is given out is whole characters only; text that is no UTF-8 comes out as it is, late. */
typedef struct FbTokenStream FbTokenStream;
FB_API FB_MUST_CHECK FbStatus fb_token_stream_create(const FbTokenizer *tokenizer, unsigned flags, FbTokenStream **stream, FbError *err);
/* *text is valid until the next call on the stream; *bytes may be 0. */
FB_API FB_MUST_CHECK FbStatus fb_token_stream_add(FbTokenStream *stream, int32_t id, const char **text, size_t *bytes, FbError *err);
FB_API void fb_token_stream_end(FbTokenStream *stream, const char **text, size_t *bytes); /* what was held back */
FB_API void fb_token_stream_free(FbTokenStream *stream); /* NULL is fine */

typedef struct FbChatMessage {
    const char *role; /* "system", "user", "assistant" */
    const char *content;
} FbChatMessage;

/* A conversation as the text that the model's chat template makes of it; encode it with FB_TOKENS_PARSE_SPECIAL and without
 * FB_TOKENS_ADD_SPECIAL. `add_assistant` opens the assistant's turn. Templates are known ones, by hash; others are FB_ERR_UNSUPPORTED and
 * named. The caller frees *text with fb_text_free. */
FB_API FB_MUST_CHECK FbStatus fb_chat_render(FbContext *context, const FbTokenizer *tokenizer, const FbChatMessage *messages, size_t count,
                                             bool add_assistant, char **text, FbError *err);
/* The name of the template in the table ("chatml", "llama-3", ...); NULL: the model has none, or an unknown one. */
FB_API const char *fb_chat_template(const FbTokenizer *tokenizer);

#ifdef __cplusplus
}
#endif
#endif
