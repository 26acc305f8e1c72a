/* Texts and questions as token ids, for what measures language models. */
#ifndef FB_DATA_TOKEN_TEXT_H
#define FB_DATA_TOKEN_TEXT_H

#include "base/context.h"
#include "fewbit/tokenizer.h"

/* A choice: the question's tokens, then the answer's, of which the first is `answer`. */
typedef struct FbTokenChoice {
    size_t offset, count, answer; /* in FbTokenText.ids; answer counts from offset, 0 < answer < count */
    size_t characters;            /* of the answer's text, at least 1 */
} FbTokenChoice;

typedef struct FbTokenQuestion {
    size_t first, count; /* in FbTokenText.choices */
    size_t right;
} FbTokenQuestion;

typedef struct FbTokenText {
    FbContext *context;
    int32_t *ids;
    size_t count, capacity;
    int32_t bos; /* what the tokenizer puts before every text; -1: nothing */
    bool is_choice;
    FbTokenChoice *choices;
    size_t choice_count, choice_capacity;
    FbTokenQuestion *questions;
    size_t question_count, question_capacity;
} FbTokenText;

/* path: as fb_evaluate_language says. Ids are below `vocabulary`. *text is freed with fb_token_text_reset, on failure, too. */
FbStatus fb_token_text_load(FbTokenText *text, FbContext *context, const FbTokenizer *tokenizer, const char *path, size_t vocabulary, FbError *err);
/* The same of `bytes` bytes in memory with a NUL behind them; `name` as the file's. */
FbStatus fb_token_text_parse(FbTokenText *text, FbContext *context, const FbTokenizer *tokenizer, const char *name, const char *data, size_t bytes,
                             size_t vocabulary, FbError *err);
void fb_token_text_reset(FbTokenText *text);

#endif
