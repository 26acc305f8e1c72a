/* A vocabulary on its way into a GGUF file: a text, a score and a type for each row of the embedding. */
#ifndef FB_IO_GGUF_HF_VOCABULARY_H
#define FB_IO_GGUF_HF_VOCABULARY_H

#include <string.h>

#include "io/gguf/hf_model.h"

/* GGUF's types of tokens, which are SentencePiece's. */
enum { FB_HF_TOKEN_NORMAL = 1, FB_HF_TOKEN_UNKNOWN = 2, FB_HF_TOKEN_CONTROL = 3, FB_HF_TOKEN_USER = 4, FB_HF_TOKEN_UNUSED = 5, FB_HF_TOKEN_BYTE = 6 };

#define FB_HF_ADDED_SCORE (-1000.0f) /* what llama.cpp's converter gives to added tokens */

typedef struct FbHfVocabulary {
    const FbHfModel *model;
    FbArena *arena;
    size_t count;
    FbBytes *tokens;
    float *scores;
    int32_t *types;
    struct FbNameTable *ids; /* of texts that merges make */
} FbHfVocabulary;

static inline FbBytes fb_hf_bytes(const char *text) { return (FbBytes){(const uint8_t *)text, strlen(text)}; }

/* Tokens that are meant to control, whatever the files say of them. */
bool fb_hf_looks_special(const char *text);
/* A row for a token that was added: control, or of the user, whose U+2581 becomes a space. `text` stays where it is. */
FbStatus fb_hf_set_added(FbHfVocabulary *vocabulary, size_t at, const char *text, bool control, FbError *err);
/* Last: names for rows that no token has, and for tokens with the text of another. */
FbStatus fb_hf_complete_vocabulary(FbHfVocabulary *vocabulary, FbError *err);
FbStatus fb_hf_put_tokens(const FbHfVocabulary *vocabulary, const char *kind, const char *pre, bool scores, FbGgufWriter *writer, FbError *err);

/* The vocabulary of model->pieces: "llama" or "t5". */
FbStatus fb_hf_put_pieces(FbHfVocabulary *vocabulary, FbGgufWriter *writer, FbError *err);

#endif
