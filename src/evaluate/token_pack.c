/* Lays sequences out in runs, and runs them. */
#include "evaluate/token_pack.h"

#include <string.h>

enum { TOKENS_OF_RUN = 512, SLOTS_MAX = 64, ROWS_MIN = 16, LOGIT_BYTES = 64 << 20 };

/* As many rows as their logits fit a fixed number of bytes: the sizes of runs depend on the vocabulary only. */
static size_t limit_of_rows(size_t vocabulary)
{
    size_t rows = LOGIT_BYTES / sizeof(float) / vocabulary;
    return rows < ROWS_MIN ? ROWS_MIN : rows < TOKENS_OF_RUN ? rows : TOKENS_OF_RUN;
}

size_t fb_token_pack_longest(const FbTokenPack *pack)
{
    size_t longest = 0;
    for (size_t i = 0; i < pack->sequence_count; i++) {
        longest = pack->sequences[i].count > longest ? pack->sequences[i].count : longest;
    }
    return longest;
}

FbStatus fb_token_pack_init(FbTokenPack *pack, FbContext *context, const FbScoredSequence *sequences, size_t count, size_t vocabulary, FbError *err)
{
    *pack = (FbTokenPack){.context = context, .sequences = sequences, .sequence_count = count, .token_limit = TOKENS_OF_RUN,
                          .row_limit = limit_of_rows(vocabulary)};
    /* Caches are as long as the longest sequence: fewer of them when that is long. Two let a run end one sequence and begin the next. */
    size_t longest = fb_token_pack_longest(pack), slots = 16 * (size_t)TOKENS_OF_RUN / (longest > 0 ? longest : 1);
    pack->slots = slots < 2 ? 2 : slots < SLOTS_MAX ? slots : SLOTS_MAX;
    bool fits = true;
    for (int i = 0; i < FB_PORT_COUNT; i++) {
        pack->numbers[i] = fb_alloc_array(context, TOKENS_OF_RUN, sizeof *pack->numbers[i]);
        fits = fits && pack->numbers[i] != NULL;
    }
    pack->targets = fb_alloc_array(context, pack->row_limit, sizeof *pack->targets);
    return fits && pack->targets != NULL ? FB_OK : fb_error_memory(context, err, "a run of tokens", TOKENS_OF_RUN * sizeof(int64_t));
}

void fb_token_pack_reset(FbTokenPack *pack)
{
    for (int i = 0; i < FB_PORT_COUNT; i++) {
        fb_free(pack->context, pack->numbers[i]);
    }
    fb_free(pack->context, pack->targets);
    memset(pack, 0, sizeof *pack);
}

/* Tokens of the current sequence, as long as the run has room; false when it is full. The last token of a sequence predicts nothing that is
 * scored and is not run. */
static bool add_tokens(FbTokenPack *pack)
{
    const FbScoredSequence *sequence = &pack->sequences[pack->sequence];
    for (; pack->position + 1 < sequence->count; pack->position++) {
        bool scored = pack->position >= sequence->first;
        if (pack->tokens == pack->token_limit || (scored && pack->rows == pack->row_limit)) {
            return false;
        }
        if (scored) {
            pack->targets[pack->rows] = sequence->ids[pack->position + 1];
            pack->numbers[FB_PORT_ROWS][pack->rows++] = (int64_t)pack->tokens;
        }
        pack->numbers[FB_PORT_IDS][pack->tokens] = sequence->ids[pack->position];
        pack->numbers[FB_PORT_POSITIONS][pack->tokens] = (int64_t)pack->position;
        pack->numbers[FB_PORT_SEQUENCES][pack->tokens++] = (int64_t)(pack->sequence % pack->slots);
    }
    return true;
}

bool fb_token_pack_next(FbTokenPack *pack)
{
    size_t begun = pack->sequence;
    pack->done_rows += pack->rows;
    pack->tokens = pack->rows = 0;
    while (pack->sequence < pack->sequence_count && pack->sequence - begun < pack->slots && add_tokens(pack)) {
        pack->sequence++;
        pack->position = 0;
    }
    pack->done_tokens += pack->tokens;
    return pack->tokens > 0;
}

FbStatus fb_token_runner_init(FbTokenRunner *runner, FbContext *context, const FbModel *model, FbMode mode, const FbTokenPack *pack, FbError *err)
{
    size_t longest = fb_token_pack_longest(pack);
    memset(runner, 0, sizeof *runner);
    FB_TRY(fb_language_ports(model, &runner->ports, err));
    if (longest > runner->ports.positions) {
        return fb_error_set(err, FB_ERR_ARGUMENT, "a sequence of %zu tokens, but the model was loaded for %llu", longest,
                            (unsigned long long)runner->ports.positions);
    }
    FbSessionOptions options = {.struct_bytes = sizeof options, .mode = mode, .cache_capacity = longest, .cache_sequences = pack->slots};
    return fb_session_create(context, model, &options, &runner->session, err);
}

void fb_token_runner_reset(FbTokenRunner *runner)
{
    fb_session_free(runner->session);
    memset(runner, 0, sizeof *runner);
}

FbStatus fb_token_runner_run(FbTokenRunner *runner, const FbTokenPack *pack, const float **logits, FbError *err)
{
    FbTensor inputs[FB_PORT_COUNT], output;
    int64_t first = 0;
    size_t asked = pack->rows > 0 ? pack->rows : 1; /* a graph has logits of one row at least */
    for (int i = 0; i < FB_PORT_COUNT; i++) {
        size_t count = i == FB_PORT_ROWS ? asked : pack->tokens;
        inputs[runner->ports.index[i]] = (FbTensor){.dtype = FB_DTYPE_S64, .rank = 1, .dims = {(int64_t)count},
                                                    .data = i == FB_PORT_ROWS && pack->rows == 0 ? &first : pack->numbers[i],
                                                    .bytes = count * sizeof(int64_t)};
    }
    double start = fb_clock_seconds();
    FB_TRY(fb_session_run(runner->session, inputs, FB_PORT_COUNT, &output, 1, err));
    runner->seconds += fb_clock_seconds() - start;
    if (output.rank != 2 || output.dtype != FB_DTYPE_F32 || (size_t)output.dims[0] != asked || (size_t)output.dims[1] != runner->ports.vocabulary) {
        return fb_error_set(err, FB_ERR_FORMAT, "the model's output is not one row of %zu logits per asked token", runner->ports.vocabulary);
    }
    *logits = pack->rows > 0 ? output.data : NULL;
    return FB_OK;
}
