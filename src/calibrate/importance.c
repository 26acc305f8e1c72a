/* One pass of a language model over windows of a text: sums of squares of the values that enter the products with its layers' matrices. */
#include "fewbit/importance.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file_error.h"
#include "base/option_struct.h"
#include "base/text.h"
#include "data/token_text.h"
#include "fewbit/session.h"
#include "graph/model.h"
#include "io/gguf/hf_model.h"
#include "io/gguf/imatrix.h"
#include "run/language_ports.h"

/* Windows as llama-imatrix has them; longer ones are run in pieces. */
enum { WINDOW_TOKENS = 512, WINDOW_MIN = 8, TOKENS_OF_RUN = 512, WEIGHT_NAME_BYTES = 256 };

typedef struct FbImportanceValue { /* in the session's order */
    const char *name;
    size_t columns, tokens;        /* tokens: seen so far */
    double *sums;
} FbImportanceValue;

typedef struct FbImportancePass {
    FbContext *context;
    FbArena *arena;
    const FbModel *model;
    FbLanguagePorts ports;
    FbTokenText text;
    size_t window, windows;
    FbImportanceValue *values; size_t value_count;
    const char **names;        /* of the values */
    size_t *place;             /* by the graph's value ids: 1 + index into values; 0: none */
    FbImatrix *imatrix;
    size_t *value_of;          /* by the matrix' rows: index into values */
    FbSession *session;
} FbImportancePass;

/* ---- which values ---- */

/* The name that the weight has in a GGUF file of the model, or its own where GGUF has none. `name`: of a constant, which may be some rows of the
 * weight: "x.weight.q". False: no matrix of a layer, or a name that is too long. */
static bool weight_name(const char *name, char to[WEIGHT_NAME_BYTES])
{
    static const FbHfFamily any = {"", "", 0}; /* families differ in the names of norms only */
    static const char tail[] = ".weight";
    const char *end = strstr(name, ".weight.");
    size_t length = end != NULL ? (size_t)(end - name) + sizeof tail - 1 : strlen(name);
    if (length == 0 || length >= WEIGHT_NAME_BYTES || strcmp(name, "output.weight") == 0 || strcmp(name, "token_embd.weight") == 0) {
        return false;
    }
    memcpy(to, name, length);
    to[length] = '\0';
    if (strncmp(to, "blk.", 4) == 0) {
        return true;
    }
    FbHfName found = fb_hf_name(&any, to);
    if (found.part != NULL && found.layer >= 0) {
        snprintf(to, WEIGHT_NAME_BYTES, "blk.%lld.%s%s", (long long)found.layer, found.part, found.suffix);
    }
    return found.part == NULL || found.layer >= 0;
}

static FbStatus add_value(FbImportancePass *pass, FbId id, size_t columns, size_t *index, FbError *err)
{
    if (pass->place[id] == 0) {
        FbImportanceValue *value = &pass->values[pass->value_count];
        *value = (FbImportanceValue){.name = pass->model->graph->values[id].name, .columns = columns};
        value->sums = fb_arena_array(pass->arena, columns, sizeof *value->sums);
        if (value->sums == NULL) {
            return fb_error_memory(pass->context, err, "sums of squares", columns * sizeof *value->sums);
        }
        pass->names[pass->value_count++] = value->name;
        pass->place[id] = pass->value_count;
    }
    *index = pass->place[id] - 1;
    return FB_OK;
}

static FbStatus add_product(FbImportancePass *pass, const FbNode *node, FbError *err)
{
    const FbGraph *graph = pass->model->graph;
    const FbConst *weight = node->input_count > 1 && node->inputs[1] != FB_NONE ? fb_graph_constant(graph, node->inputs[1]) : NULL;
    const FbAttribute *transposed = fb_node_attribute(node, "transB");
    char name[WEIGHT_NAME_BYTES], shown[160];
    size_t index = 0;
    if (weight == NULL || weight->shape.rank != 2 || node->inputs[0] == FB_NONE || !weight_name(graph->values[node->inputs[1]].name, name)) {
        return FB_OK;
    }
    size_t columns = (size_t)weight->shape.dims[transposed != NULL && transposed->i != 0 ? 1 : 0];
    FB_TRY(add_value(pass, node->inputs[0], columns, &index, err));
    const FbImatrixRow *there = fb_imatrix_find(pass->imatrix, name);
    if (pass->values[index].columns != columns || (there != NULL && pass->value_of[there - pass->imatrix->rows] != index)) {
        return fb_error_set(err, FB_ERR_UNSUPPORTED, "weight '%s' is multiplied with several values", fb_escape(name, shown, sizeof shown));
    }
    if (there == NULL) { /* otherwise other rows of it */
        FbImatrixRow *row;
        pass->value_of[pass->imatrix->row_count] = index;
        FB_TRY(fb_imatrix_add(pass->imatrix, name, columns, 1, &row, err));
    }
    return FB_OK;
}

static FbStatus choose_values(FbImportancePass *pass, FbError *err)
{
    const FbGraph *graph = pass->model->graph;
    pass->values = fb_arena_array(pass->arena, graph->node_count + 1, sizeof *pass->values);
    pass->names = fb_arena_array(pass->arena, graph->node_count + 1, sizeof *pass->names);
    pass->value_of = fb_arena_array(pass->arena, graph->node_count + 1, sizeof *pass->value_of);
    pass->place = fb_arena_array(pass->arena, graph->value_count + 1, sizeof *pass->place);
    if (pass->values == NULL || pass->names == NULL || pass->value_of == NULL || pass->place == NULL) {
        return fb_error_memory(pass->context, err, "observed values", graph->node_count);
    }
    for (size_t n = 0; n < graph->node_count; n++) {
        const FbNode *node = graph->nodes[n];
        if (node->removed) {
            continue;
        }
        if (fb_node_is(node, "fewbit", "Experts")) {
            return fb_error_set(err, FB_ERR_UNSUPPORTED, "the model is a mixture of experts: what each of them sees is not observed; take an importance "
                                "matrix of llama-imatrix, or none");
        }
        if (fb_node_is(node, "", "Gemm")) {
            FB_TRY(add_product(pass, node, err));
        }
    }
    return pass->value_count > 0 ? FB_OK : fb_error_set(err, FB_ERR_UNSUPPORTED, "the model has no matrices of layers whose columns could matter");
}

/* ---- the pass ---- */

static FbStatus observe(void *user, size_t index, const FbTensor *tensor, int channels_last, FbError *err)
{
    FbImportancePass *pass = user;
    FbImportanceValue *value = &pass->values[index];
    char shown[160];
    (void)channels_last; /* there is no such order of two axes */
    if (tensor->dtype != FB_DTYPE_F32 || tensor->rank != 2 || tensor->dims[1] != (int64_t)value->columns) {
        return fb_error_set(err, FB_ERR_UNSUPPORTED, "value '%s' is no matrix of floats as wide as the weight it is multiplied with",
                            fb_escape(value->name, shown, sizeof shown));
    }
    const float *row = tensor->data;
    for (int64_t t = 0; t < tensor->dims[0]; t++, row += value->columns) {
        for (size_t i = 0; i < value->columns; i++) {
            value->sums[i] += (double)row[i] * (double)row[i];
        }
    }
    value->tokens += (size_t)tensor->dims[0];
    return FB_OK;
}

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
    FbSessionOptions options = {.struct_bytes = sizeof options, .mode = FB_MODE_FLOAT, .observed = pass->names, .observed_count = pass->value_count,
                                .observe = observe, .observe_user = pass, .cache_capacity = pass->window, .cache_sequences = 1};
    FB_TRY(fb_session_create(pass->context, pass->model, &options, &pass->session, err));
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

static FbStatus fill_matrix(FbImportancePass *pass, const char *data, FbError *err)
{
    const char *slash = strrchr(data, '/');
    char shown[160];
    pass->imatrix->dataset = slash != NULL ? slash + 1 : data;
    pass->imatrix->chunks = (int64_t)pass->windows;
    pass->imatrix->chunk_size = (int64_t)pass->window;
    for (size_t r = 0; r < pass->imatrix->row_count; r++) {
        FbImatrixRow *row = &pass->imatrix->rows[r];
        const FbImportanceValue *value = &pass->values[pass->value_of[r]];
        row->counts[0] = (float)value->tokens;
        for (size_t i = 0; i < row->columns; i++) {
            row->sums[i] = (float)value->sums[i];
            if (!isfinite(row->sums[i])) {
                return fb_error_set(err, FB_ERR_NUMERIC, "value '%s', column %zu: the sum of its squares is not finite",
                                    fb_escape(value->name, shown, sizeof shown), i);
            }
        }
    }
    return FB_OK;
}

static FbStatus collect(FbImportancePass *pass, const FbTokenizer *tokenizer, const char *data, const FbImportanceOptions *options, FbError *err)
{
    FB_TRY(fb_language_ports(pass->model, &pass->ports, err));
    pass->arena = fb_arena_create(pass->context);
    if (pass->arena == NULL) {
        return fb_error_memory(pass->context, err, "sums of squares", 0);
    }
    FB_TRY(fb_imatrix_create(pass->context, &pass->imatrix, err));
    FB_TRY(choose_values(pass, err));
    FB_TRY(fb_token_text_load(&pass->text, pass->context, tokenizer, data, pass->ports.vocabulary, err));
    FB_TRY(cut_windows(pass, data, options, err));
    FB_TRY(run_windows(pass, err));
    return fill_matrix(pass, data, err);
}

FbStatus fb_importance_collect(FbContext *context, const FbModel *model, const FbTokenizer *tokenizer, const char *data, const char *output,
                               const FbImportanceOptions *given, FbImportanceReport *report, FbError *err)
{
    FbImportanceOptions options = {.struct_bytes = sizeof options};
    FbImportancePass pass = {.context = context, .model = model, .text = {.context = context}};
    FbImportanceReport told = {0};
    FB_TRY(fb_options_read(&options, sizeof options, given, "FbImportanceOptions", err));
    FbStatus status = collect(&pass, tokenizer, data, &options, err);
    status = status == FB_OK ? fb_imatrix_write(pass.imatrix, output, options.overwrite != 0, err) : status;
    if (status == FB_OK) {
        told = (FbImportanceReport){.text_tokens = pass.text.count, .windows = pass.windows, .context = pass.window,
                                    .weights = pass.imatrix->row_count, .values = pass.value_count, .added_bos = pass.text.bos >= 0};
    }
    if (report != NULL) {
        *report = told;
    }
    fb_session_free(pass.session);
    fb_imatrix_free(pass.imatrix);
    fb_token_text_reset(&pass.text);
    fb_arena_free(pass.arena);
    return status;
}
