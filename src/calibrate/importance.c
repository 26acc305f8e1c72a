/* One pass of a language model over windows of a text: sums of squares of the values that enter the products with its layers' matrices. */
#include "fewbit/importance.h"

#include <string.h>

#include "base/file_error.h"
#include "base/option_struct.h"
#include "calibrate/importance_watch.h"
#include "data/token_text.h"
#include "run/language_ports.h"

/* Windows as llama-imatrix has them; longer ones are run in pieces. */
enum { WINDOW_TOKENS = 512, WINDOW_MIN = 8, TOKENS_OF_RUN = 512 };

typedef struct FbImportancePass {
    FbContext *context;
    FbLanguagePorts ports;
    FbTokenText text;
    size_t window, windows;
    FbImatrix *seen;    /* of the text */
    FbImatrix *merged;  /* of the files, and of the text then; NULL: there are none */
    FbImportanceWatch watch;
    FbSession *session;
} FbImportancePass;

/* ---- the pass ---- */

static FbStatus cut_windows(FbImportancePass *pass, const char *data, const FbImportanceOptions *options, FbError *err)
{
    size_t most = pass->ports.positions < WINDOW_TOKENS ? (size_t)pass->ports.positions : WINDOW_TOKENS;
    char shown[200];
    pass->window = options->context > 0 ? options->context : most;
    if (pass->window < WINDOW_MIN) {
        return fb_error_set(err, FB_ERR_ARGUMENT, "windows of %zu tokens: a window has at least %d", pass->window, WINDOW_MIN);
    }
    if (pass->window > pass->ports.positions) {
        return fb_error_set(err, FB_ERR_ARGUMENT, "windows of %zu tokens, but the model was loaded for %llu", pass->window,
                            (unsigned long long)pass->ports.positions);
    }
    if (pass->text.is_choice) {
        return fb_error_set(err, FB_ERR_ARGUMENT, "%s has questions; importance is measured on a text", fb_path_shown(data, shown, sizeof shown));
    }
    size_t found = pass->text.count / pass->window;
    pass->windows = options->windows > 0 ? options->windows : found;
    if (found == 0) {
        return fb_error_set(err, FB_ERR_ARGUMENT, "%s: its tokens (%zu) do not fill one window of %zu", fb_path_shown(data, shown, sizeof shown),
                            pass->text.count, pass->window);
    }
    if (pass->windows > found) {
        return fb_error_set(err, FB_ERR_ARGUMENT, "%s has %zu tokens: %zu windows of %zu, not %zu", fb_path_shown(data, shown, sizeof shown),
                            pass->text.count, found, pass->window, pass->windows);
    }
    for (size_t i = 0; i < pass->windows && pass->text.bos >= 0; i++) {
        pass->text.ids[i * pass->window] = pass->text.bos;
    }
    return FB_OK;
}

/* Some tokens of a window; position 0 forgets the window before. */
static FbStatus run_piece(FbImportancePass *pass, size_t window, size_t first, size_t count, FbError *err)
{
    int64_t numbers[FB_PORT_COUNT][TOKENS_OF_RUN] = {{0}};
    FbTensor inputs[FB_PORT_COUNT], logits;
    for (size_t i = 0; i < count; i++) {
        numbers[FB_PORT_IDS][i] = pass->text.ids[window * pass->window + first + i];
        numbers[FB_PORT_POSITIONS][i] = (int64_t)(first + i);
    }
    for (int p = 0; p < FB_PORT_COUNT; p++) {
        size_t length = p == FB_PORT_ROWS ? 1 : count; /* logits are of no use here, but a graph has those of one row at least */
        inputs[pass->ports.index[p]] = (FbTensor){.dtype = FB_DTYPE_S64, .rank = 1, .dims = {(int64_t)length}, .data = numbers[p],
                                                  .bytes = length * sizeof(int64_t)};
    }
    return fb_session_run(pass->session, inputs, FB_PORT_COUNT, &logits, 1, err);
}

static FbStatus run_windows(FbImportancePass *pass, FbError *err)
{
    FbSessionOptions options = {.struct_bytes = sizeof options, .mode = FB_MODE_FLOAT, .observed = pass->watch.names,
                                .observed_count = pass->watch.value_count, .observe = fb_importance_observe, .observe_user = &pass->watch,
                                .cache_capacity = pass->window, .cache_sequences = 1};
    FB_TRY(fb_session_create(pass->context, pass->watch.model, &options, &pass->session, err));
    FbStatus status = FB_OK;
    fb_progress_begin(pass->context, "calibrate", pass->windows * pass->window);
    for (size_t w = 0; w < pass->windows && status == FB_OK; w++) {
        for (size_t first = 0; first < pass->window && status == FB_OK; first += TOKENS_OF_RUN) {
            size_t left = pass->window - first, count = left < TOKENS_OF_RUN ? left : TOKENS_OF_RUN;
            status = fb_check_cancel(pass->context, err);
            status = status == FB_OK ? run_piece(pass, w, first, count, err) : status;
            fb_progress_step(pass->context, w * pass->window + first + count);
        }
    }
    fb_progress_end(pass->context);
    return status;
}

static FbStatus collect(FbImportancePass *pass, const FbModel *model, const FbTokenizer *tokenizer, const char *data,
                        const FbImportanceOptions *options, FbImportanceReport *report, FbError *err)
{
    const char *slash = strrchr(data, '/'), *name = slash != NULL ? slash + 1 : data;
    FB_TRY(fb_language_ports(model, &pass->ports, err));
    FB_TRY(fb_imatrix_create(pass->context, &pass->seen, err));
    pass->watch = (FbImportanceWatch){.context = pass->context, .arena = pass->seen->arena, .model = model, .imatrix = pass->seen,
                                      .tokens = TOKENS_OF_RUN};
    FB_TRY(fb_importance_choose(&pass->watch, err));
    FB_TRY(fb_token_text_load(&pass->text, pass->context, tokenizer, data, pass->ports.vocabulary, err));
    FB_TRY(cut_windows(pass, data, options, err));
    FB_TRY(run_windows(pass, err));
    FB_TRY(fb_importance_fill(&pass->watch, &report->experts, &report->unseen, err));
    FB_TRY(fb_imatrix_add_datasets(pass->seen, &(FbBytes){(const uint8_t *)name, strlen(name)}, 1, err));
    pass->seen->chunks = (int64_t)pass->windows;
    pass->seen->chunk_size = (int64_t)pass->window;
    report->text_tokens = pass->text.count;
    report->windows = pass->windows;
    report->context = pass->window;
    report->values = pass->watch.value_count;
    report->added_bos = pass->text.bos >= 0;
    if (report->unseen > 0) {
        fb_log(pass->context, FB_LOG_WARNING, "unseen-experts",
               "%zu of %zu experts saw no token of this text: their columns will count equally, as without importance", report->unseen, report->experts);
    }
    return FB_OK;
}

/* Adds up the files. */
static FbStatus merge_files(FbImportancePass *pass, const FbImportanceOptions *options, FbError *err)
{
    FB_TRY(fb_imatrix_create(pass->context, &pass->merged, err));
    for (size_t i = 0; i < options->merged_count; i++) {
        const char *path = options->merged[i];
        FbImatrix *other;
        char shown[200];
        FB_TRY(fb_imatrix_read(pass->context, path, &other, err));
        int64_t size = options->context > 0 ? (int64_t)options->context : pass->merged->chunk_size > 0 ? pass->merged->chunk_size : other->chunk_size;
        FbStatus status = fb_imatrix_merge(pass->merged, other, size > 0 ? size : WINDOW_TOKENS, err);
        fb_imatrix_free(other);
        if (status != FB_OK) {
            return fb_error_context(err, status, "%s", fb_path_shown(path, shown, sizeof shown));
        }
    }
    return FB_OK;
}

static FbStatus run_all(FbImportancePass *pass, const FbModel *model, const FbTokenizer *tokenizer, const char *data,
                        const FbImportanceOptions *options, FbImportanceReport *report, FbError *err)
{
    if (data == NULL && options->merged_count == 0) {
        return fb_error_set(err, FB_ERR_ARGUMENT, "importance needs a text, or matrices to add up");
    }
    FB_TRY(options->merged_count > 0 ? merge_files(pass, options, err) : FB_OK); /* what is wrong with a file shows before the long part */
    FB_TRY(data != NULL ? collect(pass, model, tokenizer, data, options, report, err) : FB_OK);
    if (data != NULL && pass->merged != NULL) {
        FB_TRY(fb_imatrix_merge(pass->merged, pass->seen, (int64_t)pass->window, err));
    }
    return FB_OK;
}

FbStatus fb_importance_collect(FbContext *context, const FbModel *model, const FbTokenizer *tokenizer, const char *data, const char *output,
                               const FbImportanceOptions *given, FbImportanceReport *report, FbError *err)
{
    FbImportanceOptions options = {.struct_bytes = sizeof options};
    FbImportancePass pass = {.context = context, .text = {.context = context}};
    FbImportanceReport told = {0};
    FB_TRY(fb_options_read(&options, sizeof options, given, "FbImportanceOptions", err));
    FbStatus status = run_all(&pass, model, tokenizer, data, &options, &told, err);
    const FbImatrix *made = pass.merged != NULL ? pass.merged : pass.seen;
    status = status == FB_OK ? fb_imatrix_write(made, output, options.overwrite != 0, err) : status;
    told.weights = made != NULL ? made->row_count : 0;
    if (report != NULL) {
        *report = status == FB_OK ? told : (FbImportanceReport){0};
    }
    fb_session_free(pass.session);
    fb_importance_reset(&pass.watch);
    fb_imatrix_free(pass.seen);
    fb_imatrix_free(pass.merged);
    fb_token_text_reset(&pass.text);
    return status;
}
