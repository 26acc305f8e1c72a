/* Sequences of tokens in runs of a language model: laid one after the other, cut where a run is full. */
#ifndef FB_EVALUATE_TOKEN_PACK_H
#define FB_EVALUATE_TOKEN_PACK_H

#include "fewbit/session.h"
#include "run/language_ports.h"

/* Scored are the tokens first + 1 .. count - 1, each by the logits of the token before it. first < count - 1. */
typedef struct FbScoredSequence {
    const int32_t *ids;
    size_t count, first;
} FbScoredSequence;

typedef struct FbTokenPack {
    FbContext *context;
    const FbScoredSequence *sequences;
    size_t sequence_count, sequence, position; /* of the next token */
    size_t token_limit, row_limit, slots;      /* of a run; slots: caches, so also sequences of a run */
    size_t tokens, rows;                       /* of this run */
    int64_t *numbers[FB_PORT_COUNT];           /* by FbLanguagePort */
    int32_t *targets;                          /* [row_limit] */
    size_t done_rows;                          /* of the runs before this one */
    size_t done_tokens;                        /* with this run */
} FbTokenPack;

/* The sequences must outlive the pack. */
FbStatus fb_token_pack_init(FbTokenPack *pack, FbContext *context, const FbScoredSequence *sequences, size_t count, size_t vocabulary, FbError *err);
void fb_token_pack_reset(FbTokenPack *pack);
/* Lays out the next run; rows come in the order of sequences and positions. False: nothing is left. */
bool fb_token_pack_next(FbTokenPack *pack);
size_t fb_token_pack_longest(const FbTokenPack *pack);

/* One model that runs what a pack has laid out. */
typedef struct FbTokenRunner {
    FbSession *session;
    FbLanguagePorts ports;
    double seconds;
} FbTokenRunner;

FbStatus fb_token_runner_init(FbTokenRunner *runner, FbContext *context, const FbModel *model, FbMode mode, const FbTokenPack *pack, FbError *err);
void fb_token_runner_reset(FbTokenRunner *runner);
/* *logits: one row of ports.vocabulary per row of the pack, valid until the next run; NULL when the pack's run has no rows. */
FbStatus fb_token_runner_run(FbTokenRunner *runner, const FbTokenPack *pack, const float **logits, FbError *err);

#endif
