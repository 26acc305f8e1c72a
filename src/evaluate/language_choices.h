/* Multiple choice: which answer a model finds most likely. */
#ifndef FB_EVALUATE_LANGUAGE_CHOICES_H
#define FB_EVALUATE_LANGUAGE_CHOICES_H

#include "data/token_text.h"
#include "evaluate/token_pack.h"
#include "evaluate/token_statistics.h"

/* One sequence per choice, in order; freed with fb_free. */
FbStatus fb_choice_sequences(const FbTokenText *text, FbScoredSequence **sequences, size_t *count, FbError *err);
/* scores: of all sequences, one after the other. */
FbStatus fb_choice_statistics(const FbTokenText *text, const FbScoredSequence *sequences, const FbTokenScore *scores, bool has_baseline,
                              FbChoiceStatistics *out, FbError *err);

#endif
