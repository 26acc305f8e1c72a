/* The inside of a tokenizer: added tokens -> normalizer -> pre-tokenizer -> model -> what stands around; and the way back.
 *
 * Every file format is brought into this one form when it is opened; encoding and decoding know no formats. A tokenizer does not change once it
 * is open. */
#ifndef FB_DATA_TOKENIZER_PARTS_H
#define FB_DATA_TOKENIZER_PARTS_H

#include "base/arena.h"
#include "base/array.h"
#include "base/file.h"
#include "base/text.h"
#include "data/tokenizer_merge.h"
#include "data/tokenizer_pattern.h"
#include "data/tokenizer_trie.h"
#include "fewbit/checkpoint.h"
#include "fewbit/tokenizer.h"
#include "graph/graph.h"

enum {
    FB_TOKENIZER_FILE_MAX = 256 << 20, /* bytes of a tokenizer.json and the like */
    FB_TOKENIZER_IDS_MAX = 1 << 22,
    FB_TOKENIZER_PIECE_MAX = 65536,    /* bytes of a token */
    FB_TOKENIZER_ADDED_MAX = 1024,     /* bytes of a token that is looked for everywhere in a text */
    FB_TOKENIZER_STEPS_MAX = 64        /* of a normalizer, of a pre-tokenizer */
};

#define FB_MARK "\xe2\x96\x81" /* U+2581, SentencePiece's space */

/* ---- vocabulary ---- */

enum { /* what a token is */
    FB_PIECE_HERE = 1 << 0,    /* the id exists */
    FB_PIECE_MODEL = 1 << 1,   /* the model may give it for a word */
    FB_PIECE_SPECIAL = 1 << 2, /* left out of decoded text */
    FB_PIECE_ADDED = 1 << 3,   /* looked for in the text before the model sees it */
    FB_PIECE_BYTE = 1 << 4,    /* stands for one byte */
    FB_PIECE_END = 1 << 5,     /* ends generation */
    FB_PIECE_RAW = 1 << 6      /* ByteLevel: its text is what the file says, not bytes in disguise */
};

typedef struct FbPiece {
    uint32_t at, bytes;           /* in the pool: as the model knows it; with ByteLevel, the bytes it stands for */
    uint32_t text_at, text_bytes; /* decoded */
    double score;
    uint8_t flags;
} FbPiece;

typedef struct FbVocabulary {
    FbText pool;
    FB_ARRAY(FbPiece) pieces;
} FbVocabulary;

/* A token at `id`, which must be free; `what` names it in messages. Holes below it are filled with absent ones. */
FbStatus fb_vocabulary_add(FbVocabulary *vocabulary, uint32_t id, const char *piece, size_t bytes, double score, unsigned flags, FbError *err);
FbStatus fb_vocabulary_set_text(FbVocabulary *vocabulary, uint32_t id, const char *text, size_t bytes, FbError *err);
/* Keeps a text in the pool. */
FbStatus fb_vocabulary_keep(FbVocabulary *vocabulary, const char *text, size_t bytes, uint32_t *at, FbError *err);
static inline const char *fb_piece_data(const FbVocabulary *vocabulary, uint32_t id)
{
    return vocabulary->pool.data + vocabulary->pieces.items[id].at;
}

/* ---- steps ---- */

typedef enum FbNormalKind {
    FB_NORMAL_FORM,          /* Unicode normalization form: `form` */
    FB_NORMAL_LOWERCASE,
    FB_NORMAL_STRIP_ACCENTS, /* combining marks */
    FB_NORMAL_REPLACE,       /* `pattern` by `to` */
    FB_NORMAL_PREPEND,       /* `to` before a text that is not empty */
    FB_NORMAL_APPEND,
    FB_NORMAL_STRIP,         /* white space at the ends */
    FB_NORMAL_BERT_CLEAN,    /* controls dropped, white space to U+0020 */
    FB_NORMAL_BERT_CHINESE,  /* spaces around CJK ideographs */
    FB_NORMAL_STRIP_MARKS,   /* nonspacing marks */
    FB_NORMAL_CHARSMAP,      /* SentencePiece's precompiled map, applied as the tokenizers library does */
    FB_NORMAL_NMT,
    FB_NORMAL_PIECES         /* SentencePiece's normalizer whole: `charsmap` (NULL: none), then `spaces` */
} FbNormalKind;

typedef enum FbUnicodeForm { FB_FORM_C, FB_FORM_D, FB_FORM_KC, FB_FORM_KD } FbUnicodeForm;

/* What SentencePiece does about spaces. */
typedef struct FbPieceSpaces {
    bool prefix, prefix_first; /* one in front of each text between special tokens; only of the first */
    bool squeeze;              /* runs to one, none at the ends */
    bool escape;               /* they become U+2581 */
} FbPieceSpaces;

typedef struct FbNormalStep {
    FbNormalKind kind;
    FbUnicodeForm form;
    bool left, right;     /* STRIP */
    FbPieceSpaces spaces;
    FbBytes to;
    FbPattern *pattern;
    struct FbCharsmap *charsmap;
} FbNormalStep;

typedef enum FbSplitKind {
    FB_SPLIT_PATTERN,
    FB_SPLIT_WHITESPACE,      /* at white space, which goes */
    FB_SPLIT_WORDS,           /* runs of word characters, runs of other marks; white space goes */
    FB_SPLIT_BERT,            /* white space goes, punctuation alone */
    FB_SPLIT_PUNCTUATION,
    FB_SPLIT_DIGITS,          /* runs of digits; with `single` each */
    FB_SPLIT_METASPACE,
    FB_SPLIT_PREFIX_SPACE,    /* ByteLevel's add_prefix_space */
    FB_SPLIT_CHARACTER        /* at `mark`, which goes */
} FbSplitKind;

typedef enum FbSplitBehavior {
    FB_SPLIT_REMOVED, FB_SPLIT_ISOLATED, FB_SPLIT_MERGED_PREVIOUS, FB_SPLIT_MERGED_NEXT, FB_SPLIT_CONTIGUOUS
} FbSplitBehavior;

typedef enum FbPrepend { FB_PREPEND_NEVER, FB_PREPEND_FIRST, FB_PREPEND_ALWAYS } FbPrepend;

typedef struct FbSplitStep {
    FbSplitKind kind;
    FbSplitBehavior behavior;
    bool invert, single, split;
    FbPrepend prepend;        /* METASPACE */
    FbBytes mark;             /* METASPACE, CHARACTER */
    FbPattern *pattern;
} FbSplitStep;

typedef enum FbModelKind { FB_MODEL_BPE, FB_MODEL_UNIGRAM, FB_MODEL_WORDPIECE } FbModelKind;

typedef struct FbWordModel {
    FbModelKind kind;
    bool byte_level;          /* BPE: symbols are bytes */
    bool byte_fallback, fuse_unknown, whole_words; /* whole_words: a word that is a token is taken before any merge (ignore_merges) */
    int32_t unknown;          /* -1: unknown characters vanish */
    int32_t bytes[256];       /* tokens of single bytes; -1 */
    FbBytes prefix, suffix;   /* of a word's other symbols, of its last one */
    FbTrie pieces;            /* words and symbols to ids */
    FbTrie continuing;        /* WORDPIECE: pieces inside a word, without their prefix */
    FbTrie characters;        /* BPE by scores: characters inside pieces that are no token: ids from the vocabulary's count on */
    FbMergeTable merges;
    FbBytes cut_before;       /* BPE: no token has this mark behind anything but itself, so that long words are cut there; empty: no such mark */
    double unknown_score;     /* UNIGRAM */
    bool single_scores;       /* UNIGRAM: sums are kept in single precision, as SentencePiece does */
    uint32_t longest_word;    /* WORDPIECE: characters; longer is unknown */
} FbWordModel;

typedef struct FbAddedToken {
    uint32_t id;
    uint32_t at, bytes;       /* what to look for, in the vocabulary's pool; bytes 0: the piece itself */
    bool single_word, left_strip, right_strip, normalized, special;
    bool exact;               /* SentencePiece's normalizer leaves it alone; with `normalized`: looked for as it stands here, otherwise the model finds it */
} FbAddedToken;

typedef struct FbAddedTokens {
    FB_ARRAY(FbAddedToken) items;
    FbTrie raw, normalized;   /* content to index in items */
    FbTrie exact;
} FbAddedTokens;

typedef enum FbStrip { FB_STRIP_NONE, FB_STRIP_ONE, FB_STRIP_EACH, FB_STRIP_FIRST_TOKEN } FbStrip;

/* How the text of a token comes from what the vocabulary has; texts of tokens one after the other are the decoded text. */
typedef struct FbDecodeRule {
    FbBytes mark;              /* becomes a space */
    FbBytes suffix;            /* at the end becomes a space */
    bool bytes;                /* <0x41> is the byte 0x41 */
    bool words;                /* WordPiece: a space before what does not begin with `prefix`, which goes */
    FbBytes prefix;
    bool cleanup;              /* WordPiece: no space before punctuation */
    FbStrip strip;             /* spaces at the start of the text: one; one of each token until something else comes; all those of the first token */
} FbDecodeRule;

struct FbTokenizer {
    FbContext *context;
    FbArena *arena;
    FbVocabulary vocabulary;
    FbAddedTokens added;
    FB_ARRAY(FbNormalStep) normals;
    FB_ARRAY(FbSplitStep) splits;
    FbWordModel model;
    FB_ARRAY(int32_t) before;  /* FB_TOKENS_ADD_SPECIAL */
    FB_ARRAY(int32_t) after;
    FbDecodeRule decode;
    uint32_t id_count;         /* one more than the largest id; characters of a BPE by scores follow in the vocabulary */
    bool lossless;             /* every byte has a token */
    int32_t special[FB_TOKEN_SPECIAL_COUNT];
    const char *chat;          /* the template's text, without white space at its ends; NULL: none */
    char chat_sha256[65];
};

/* ---- making one (the readers') ---- */

FbStatus fb_tokenizer_create(FbContext *context, FbTokenizer **tokenizer, FbError *err);
/* Copies into the arena. */
FbStatus fb_tokenizer_keep(FbTokenizer *tokenizer, const void *data, size_t count, FbBytes *out, FbError *err);
FbStatus fb_tokenizer_add_normal(FbTokenizer *tokenizer, FbNormalStep step, FbError *err);
FbStatus fb_tokenizer_add_split(FbTokenizer *tokenizer, FbSplitStep step, FbError *err);
FbStatus fb_tokenizer_split_pattern(FbTokenizer *tokenizer, const char *pattern, FbError *err); /* a regular expression, its matches alone */
/* A token to look for; `token.id` is in the vocabulary. */
FbStatus fb_tokenizer_add_token(FbTokenizer *tokenizer, FbAddedToken token, FbError *err);
FbStatus fb_tokenizer_add_around(FbTokenizer *tokenizer, bool before, int32_t id, FbError *err);
/* Sets special[which] and marks ends; an id that does not exist is FB_ERR_FORMAT. */
FbStatus fb_tokenizer_set_special(FbTokenizer *tokenizer, FbSpecialToken which, int64_t id, const char *where, FbError *err);
FbStatus fb_tokenizer_set_end(FbTokenizer *tokenizer, int64_t id, const char *where, FbError *err);
/* First, when the vocabulary is complete: the tries of the model and the tokens of single bytes. */
FbStatus fb_tokenizer_index(FbTokenizer *tokenizer, FbError *err);
/* Last: tries of added tokens, decoded texts, ends. */
FbStatus fb_tokenizer_finish(FbTokenizer *tokenizer, FbError *err);
/* Takes merges whose ids exist. */
FbStatus fb_tokenizer_set_merges(FbTokenizer *tokenizer, const FbMerge *merges, size_t count, FbError *err);
/* Merges of BPE by scores: every way to make a token of two symbols, best score first. */
FbStatus fb_tokenizer_merges_from_scores(FbTokenizer *tokenizer, FbError *err);
/* Long words may be cut before `mark` when the vocabulary allows it: sets model.cut_before. */
void fb_tokenizer_find_cuts(FbTokenizer *tokenizer, FbBytes mark);
FbStatus fb_vocabulary_decode_all(FbTokenizer *tokenizer, FbError *err);

/* ByteLevel's alphabet: bytes that print are themselves, the others U+0100 and up. False: some character is not in it. */
bool fb_byte_level_decode(const char *text, size_t bytes, FbText *out);

/* Each reads an open file into an empty tokenizer, up to and without fb_tokenizer_finish. */
FbStatus fb_tokenizer_read_gguf(FbTokenizer *tokenizer, const char *path, FbError *err);
FbStatus fb_tokenizer_read_llama2c(FbTokenizer *tokenizer, const char *path, FbError *err);
FbStatus fb_tokenizer_read_llama2c_bytes(FbTokenizer *tokenizer, const uint8_t *data, size_t bytes, FbError *err);
FbStatus fb_tokenizer_read_gguf_table(FbTokenizer *tokenizer, const FbCheckpoint *table, FbError *err); /* one that fb_gguf_check accepts */
FbStatus fb_tokenizer_read_json(FbTokenizer *tokenizer, const char *path, FbError *err);   /* tokenizer.json, or vocab.json */
FbStatus fb_tokenizer_read_json_text(FbTokenizer *tokenizer, const char *text, size_t bytes, const char *path, FbError *err);
FbStatus fb_tokenizer_read_folder(FbTokenizer *tokenizer, const char *path, FbError *err); /* a Hugging Face folder */
/* SentencePiece's model file; of one that is called as in a Hugging Face folder the settings beside it are read, too. */
FbStatus fb_tokenizer_read_sentencepiece(FbTokenizer *tokenizer, const char *path, FbError *err);
FbStatus fb_tokenizer_read_sentencepiece_source(FbTokenizer *tokenizer, FbSource *source, const char *folder, FbError *err); /* folder: NULL: none */

/* ---- encoding ---- */

typedef struct FbWord {
    size_t begin, end;
} FbWord;

/* The best way to the end of a prefix of a word. */
typedef struct FbBest {
    double score;
    uint32_t from;
    int32_t id;                /* of its last token; -1: nothing leads here */
} FbBest;

/* One call of encode: its answer and its scratch. */
typedef struct FbTokenWork {
    const FbTokenizer *tokenizer;
    FbContext *context;
    unsigned flags;
    bool first;                /* nothing of the text lies before this piece of it */
    bool continued;            /* bytes that are no UTF-8 lie before it: no space is put in front */
    FB_ARRAY(int32_t) ids;
    size_t given, normalized;  /* bytes of all pieces, before and after */
    FbText normal[2];          /* text between steps, in turn */
    FbText split[2];
    FB_ARRAY(FbWord) words[2];
    FbMergeWork merge;
    FB_ARRAY(FbBest) best;     /* UNIGRAM */
    FbPatternRun **runs;       /* one per step that has a pattern, made when first used: normals, then splits */
    FbError *err;
} FbTokenWork;

/* The tokenizer, context and err are set, the rest is zero. */
FbStatus fb_work_start(FbTokenWork *work);
void fb_work_end(FbTokenWork *work);
FbStatus fb_work_add(FbTokenWork *work, int32_t id);
FbStatus fb_work_memory(const FbTokenWork *work, const char *what);
/* *out lies in work->normal, or is the input. */
FbStatus fb_normalize(FbTokenWork *work, const char *text, size_t bytes, const char **out, size_t *out_bytes);
/* A text so much longer than the one before normalizing is FB_ERR_BUDGET. */
FbStatus fb_normalize_check(const FbTokenWork *work, const FbText *out, size_t original);
FbStatus fb_normalize_pieces(FbTokenWork *work, const FbNormalStep *step, const char *text, size_t bytes, size_t original, FbText *out);
/* Words of a normalized text: *text and spans in it. */
FbStatus fb_split_words(FbTokenWork *work, const char *text, size_t bytes, const char **out, const FbWord **words, size_t *count);
FbStatus fb_encode_bpe(FbTokenWork *work, const char *word, size_t bytes);
FbStatus fb_encode_unigram(FbTokenWork *work, const char *word, size_t bytes);
FbStatus fb_encode_wordpiece(FbTokenWork *work, const char *word, size_t bytes);
/* Bytes that are no UTF-8, where every byte has a token. */
FbStatus fb_encode_bytes(FbTokenWork *work, const char *word, size_t bytes);

/* ---- chat ---- */

FbStatus fb_tokenizer_set_chat(FbTokenizer *tokenizer, const char *text, size_t bytes, FbError *err);

#endif
