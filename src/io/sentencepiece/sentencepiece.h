/* SentencePiece's model file (tokenizer.model, spiece.model): pieces, and how text is normalized before they are looked for. */
#ifndef FB_IO_SENTENCEPIECE_H
#define FB_IO_SENTENCEPIECE_H

#include "base/arena.h"
#include "base/file.h"
#include "graph/graph.h"

enum {
    FB_SENTENCEPIECE_FILE_MAX = 256 << 20,
    FB_SENTENCEPIECE_COUNT_MAX = 1 << 22
};

/* Numbers are the file's. */
typedef enum FbSentencePieceType {
    FB_SENTENCEPIECE_NORMAL = 1,
    FB_SENTENCEPIECE_UNKNOWN = 2,
    FB_SENTENCEPIECE_CONTROL = 3,
    FB_SENTENCEPIECE_USER = 4,   /* is one token wherever it stands in a text */
    FB_SENTENCEPIECE_UNUSED = 5,
    FB_SENTENCEPIECE_BYTE = 6
} FbSentencePieceType;

typedef enum FbSentencePieceKind { FB_SENTENCEPIECE_UNIGRAM = 1, FB_SENTENCEPIECE_BPE = 2 } FbSentencePieceKind;

typedef struct FbSentencePiece {
    FbBytes text;                /* ends with a NUL behind it, has none inside */
    float score;                 /* finite */
    FbSentencePieceType type;
} FbSentencePiece;

typedef struct FbSentencePieceModel {
    FbSentencePieceKind kind;
    FbSentencePiece *pieces;     /* id is the place */
    size_t count;
    uint32_t unknown;            /* the one piece of that type */
    bool byte_fallback;          /* then all 256 bytes are there */
    bool dummy_prefix, remove_extra_whitespaces, escape_whitespaces;
    FbBytes charsmap;            /* count 0: text stays as it is */
    const char *bos, *eos, *pad; /* what these are called, where they are there */
} FbSentencePieceModel;

/* Everything that `model` points to lies in the arena. What changes tokens and is not supported is FB_ERR_UNSUPPORTED and named. */
FbStatus fb_sentencepiece_read(FbArena *arena, FbSource *source, FbSentencePieceModel *model, FbError *err);
FbStatus fb_sentencepiece_load(FbArena *arena, const char *path, FbSentencePieceModel *model, FbError *err);

/* Whether a file that begins so can be one. */
bool fb_sentencepiece_begins(const uint8_t *head, size_t bytes);

/* The id of a control piece; -1: none has that name. */
int64_t fb_sentencepiece_control(const FbSentencePieceModel *model, const char *name);

#endif
