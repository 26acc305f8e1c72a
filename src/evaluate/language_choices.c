/* The choice with the largest log-probability wins, as it is and divided by the length of its text; equal ones: the first. */
#include "evaluate/language_choices.h"

#include <math.h>

#include "evaluate/paired.h"

FbStatus fb_choice_sequences(const FbTokenText *text, FbScoredSequence **sequences, size_t *count, FbError *err)
{
    *count = text->choice_count;
    *sequences = fb_alloc_array(text->context, text->choice_count, sizeof **sequences);
    if (*sequences == NULL) {
        return fb_error_memory(text->context, err, "choices", text->choice_count * sizeof **sequences);
    }
    for (size_t i = 0; i < text->choice_count; i++) {
        const FbTokenChoice *choice = &text->choices[i];
        (*sequences)[i] = (FbScoredSequence){.ids = text->ids + choice->offset, .count = choice->count, .first = choice->answer - 1};
    }
    return FB_OK;
}

/* Winners of one question: by the sum and by the sum per character, of the model and of the baseline. */
typedef struct ChoiceWinners {
    size_t plain, normalized, baseline_plain, baseline_normalized;
} ChoiceWinners;

static ChoiceWinners judge_question(const FbTokenText *text, const FbTokenQuestion *question, const FbScoredSequence *sequences,
                                    const FbTokenScore **scores)
{
    ChoiceWinners winners = {0, 0, 0, 0};
    double best[4] = {INFINITY, INFINITY, INFINITY, INFINITY};
    size_t *winner[4] = {&winners.plain, &winners.normalized, &winners.baseline_plain, &winners.baseline_normalized};
    for (size_t c = 0; c < question->count; c++) {
        const FbScoredSequence *sequence = &sequences[question->first + c];
        double length = (double)text->choices[question->first + c].characters, loss = 0, baseline = 0;
        for (size_t i = sequence->first + 1; i < sequence->count; i++, ++*scores) {
            loss += (*scores)->loss;
            baseline += (*scores)->baseline_loss;
        }
        const double losses[4] = {loss, loss / length, baseline, baseline / length};
        for (int k = 0; k < 4; k++) {
            if (losses[k] < best[k]) {
                best[k] = losses[k];
                *winner[k] = c;
            }
        }
    }
    return winners;
}

static void count_outcome(FbPairCounts *counts, bool baseline, bool model)
{
    uint64_t *count = baseline && model ? &counts->both : baseline ? &counts->baseline_only : model ? &counts->model_only : &counts->neither;
    ++*count;
}

static FbPaired compare_outcomes(const FbPairCounts *counts, bool has_baseline)
{
    FbPaired paired = fb_paired_from_counts(counts);
    if (!has_baseline) {
        paired.baseline = paired.difference = paired.low = paired.high = paired.p_value = NAN;
    }
    return paired;
}

FbStatus fb_choice_statistics(const FbTokenText *text, const FbScoredSequence *sequences, const FbTokenScore *scores, bool has_baseline,
                              FbChoiceStatistics *out, FbError *err)
{
    FbPairCounts plain = {0}, normalized = {0};
    if (text->question_count == 0) {
        return fb_error_set(err, FB_ERR_ARGUMENT, "there is no question in the data");
    }
    for (size_t q = 0; q < text->question_count; q++) {
        const FbTokenQuestion *question = &text->questions[q];
        ChoiceWinners winners = judge_question(text, question, sequences, &scores);
        count_outcome(&plain, winners.baseline_plain == question->right, winners.plain == question->right);
        count_outcome(&normalized, winners.baseline_normalized == question->right, winners.normalized == question->right);
    }
    *out = (FbChoiceStatistics){.questions = text->question_count, .accuracy = compare_outcomes(&plain, has_baseline),
                                .normalized = compare_outcomes(&normalized, has_baseline)};
    fb_wilson_interval(plain.both + plain.model_only, text->question_count, FB_Z_95, &out->low, &out->high);
    fb_wilson_interval(normalized.both + normalized.model_only, text->question_count, FB_Z_95, &out->normalized_low, &out->normalized_high);
    return FB_OK;
}
