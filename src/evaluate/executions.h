/* The simulated execution beside the integer one, on the same samples: what each gets right, and where they differ. */
#ifndef FB_EVALUATE_EXECUTIONS_H
#define FB_EVALUATE_EXECUTIONS_H

#include "evaluate/code_count.h"
#include "evaluate/tally.h"
#include "fewbit/session.h"

typedef struct FbExecutions {
    FbContext *context;
    FbSession *session;   /* simulated; NULL: nothing to compare */
    FbTensor *outputs;
    size_t output_count;
    FbTally simulated;    /* against the baseline */
    FbTally between;      /* integer (as model) against simulated (as baseline) */
    FbCodeCount codes;
} FbExecutions;

/* `like` is the tally of the integer execution; names must outlive the executions. */
FbStatus fb_executions_init(FbExecutions *executions, FbContext *context, const FbModel *model, const FbTally *like, FbError *err);
/* Runs the sample; baseline NULL: none. */
FbStatus fb_executions_add(FbExecutions *executions, const FbSample *sample, const FbTensor *baseline, const FbTensor *integer, FbError *err);
FbStatus fb_executions_finish(const FbExecutions *executions, bool has_baseline, FbArena *arena, FbEvaluation *evaluation, FbError *err);
void fb_executions_reset(FbExecutions *executions);

#endif
