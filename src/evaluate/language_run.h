/* Runs a model, and its baseline, over sequences of tokens, and scores every wanted token. */
#ifndef FB_EVALUATE_LANGUAGE_RUN_H
#define FB_EVALUATE_LANGUAGE_RUN_H

#include "evaluate/logit_file.h"
#include "evaluate/token_pack.h"
#include "evaluate/token_statistics.h"

typedef struct FbLanguageRun {
    FbContext *context;
    FbTokenPack pack;
    FbTokenRunner model, baseline; /* baseline.session NULL: none */
    FbSource *stored;              /* NULL, or a file of the baseline's rows, which are in stored_rows run by run */
    FbLogitRows stored_rows;
    FbOutput *saved;               /* NULL, or where the model's rows go */
    FbLogitRows saved_rows;
    FbUnaryF32 exponential;
    const float *logits, *baseline_logits; /* of this run */
    FbTokenScore *scores;          /* [all scored tokens], filled in order */
} FbLanguageRun;

/* run: context, pack, runners and files are set up. */
FbStatus fb_language_run(FbLanguageRun *run, FbError *err);

#endif
