/* Which values of a language model an importance matrix is made of, and the sums of their squares. See importance_watch.h. */
#include "calibrate/importance_watch.h"

#include <math.h>
#include <stdio.h>

#include "base/text.h"
#include "io/gguf/hf_model.h"

/* Inputs of a mixture as ops/experts.c has them; columns of one piece of work. */
enum { FIRST_WEIGHT = 2, KINDS = 3, WEIGHT_NAME_BYTES = 256, GRAIN = 128 };

static FbStatus no_memory(const FbImportanceWatch *watch, size_t bytes, FbError *err)
{
    return fb_error_memory(watch->context, err, "sums of squares", bytes);
}

/* ---- which weights ---- */

/* The name that the weight has in a GGUF file of the model, or its own where GGUF has none. `name`: of a constant, which may be some rows of the
 * weight, "x.weight.q", or one of its matrices. False: no matrix of a layer, or a name that is too long. */
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

static FbStatus add_sums(const FbImportanceWatch *watch, FbImportanceSums *sums, size_t columns, size_t matrices, FbError *err)
{
    *sums = (FbImportanceSums){.columns = columns, .matrices = matrices};
    sums->sums = matrices <= SIZE_MAX / columns ? fb_arena_array(watch->arena, columns * matrices, sizeof *sums->sums) : NULL;
    sums->rows = fb_arena_array(watch->arena, matrices, sizeof *sums->rows);
    return sums->sums != NULL && sums->rows != NULL ? FB_OK : no_memory(watch, columns * sizeof *sums->sums, err);
}

/* Rows of `columns` that some values of the graph have. */
static FbStatus add_value(FbImportanceWatch *watch, FbId id, size_t columns, size_t *index, FbError *err)
{
    char shown[160];
    if (watch->place[id] == 0) {
        const char *name = watch->model->graph->values[id].name;
        watch->values[watch->value_count] = (FbImportanceValue){.name = name, .columns = columns};
        watch->names[watch->value_count++] = name;
        watch->place[id] = watch->value_count;
    }
    *index = watch->place[id] - 1;
    return watch->values[*index].columns == columns ? FB_OK
               : fb_error_set(err, FB_ERR_UNSUPPORTED, "value '%s' is multiplied with weights of %zu and of %zu columns",
                              fb_escape(watch->values[*index].name, shown, sizeof shown), watch->values[*index].columns, columns);
}

/* The row of a weight that the matrices from `first` on of some sums are of. */
static FbStatus add_weight(FbImportanceWatch *watch, const char *name, const FbImportanceSums *sums, size_t first, size_t matrices, FbError *err)
{
    const FbImatrixRow *there = fb_imatrix_find(watch->imatrix, name);
    FbImatrixRow *row;
    char shown[160];
    if (there != NULL) { /* other rows of it */
        const FbImportanceWeight *weight = &watch->weights[there - watch->imatrix->rows];
        return weight->sums == sums && weight->first == first && there->matrices == matrices ? FB_OK
                   : fb_error_set(err, FB_ERR_UNSUPPORTED, "weight '%s' is multiplied with several values", fb_escape(name, shown, sizeof shown));
    }
    watch->weights[watch->imatrix->row_count] = (FbImportanceWeight){sums, first};
    return fb_imatrix_add(watch->imatrix, name, sums->columns, matrices, &row, err);
}

static FbStatus add_product(FbImportanceWatch *watch, const FbNode *node, FbError *err)
{
    const FbGraph *graph = watch->model->graph;
    const FbConst *weight = node->input_count > 1 && node->inputs[1] != FB_NONE ? fb_graph_constant(graph, node->inputs[1]) : NULL;
    const FbAttribute *transposed = fb_node_attribute(node, "transB");
    char name[WEIGHT_NAME_BYTES];
    size_t index;
    if (weight == NULL || weight->shape.rank != 2 || node->inputs[0] == FB_NONE || !weight_name(graph->values[node->inputs[1]].name, name)) {
        return FB_OK;
    }
    size_t columns = (size_t)weight->shape.dims[transposed != NULL && transposed->i != 0 ? 1 : 0];
    if (columns == 0) {
        return FB_OK;
    }
    FB_TRY(add_value(watch, node->inputs[0], columns, &index, err));
    FbImportanceValue *value = &watch->values[index];
    if (value->sums == NULL) {
        value->sums = fb_arena_alloc(watch->arena, sizeof *value->sums);
        FB_TRY(value->sums != NULL ? add_sums(watch, value->sums, columns, 1, err) : no_memory(watch, sizeof *value->sums, err));
    }
    return add_weight(watch, name, value->sums, 0, 1, err);
}

/* ---- mixtures of experts ---- */

/* The weights of one kind: a stack, or the experts one by one, which have one name in GGUF or each its own. */
static FbStatus add_expert_weights(FbImportanceWatch *watch, const FbId *inputs, size_t count, const FbImportanceSums *sums, FbError *err)
{
    const FbGraph *graph = watch->model->graph;
    char name[WEIGHT_NAME_BYTES], last[WEIGHT_NAME_BYTES];
    bool known = weight_name(graph->values[inputs[0]].name, name);
    if (count == 1 || (known && weight_name(graph->values[inputs[count - 1]].name, last) && strcmp(name, last) == 0)) {
        return known ? add_weight(watch, name, sums, 0, sums->matrices, err) : FB_OK;
    }
    for (size_t e = 0; e < count; e++) {
        if (weight_name(graph->values[inputs[e]].name, name)) {
            FB_TRY(add_weight(watch, name, sums, e, 1, err));
        }
    }
    return FB_OK;
}

/* One more output of a mixture, observed. */
static FbStatus add_told(FbImportanceWatch *watch, FbId node, FbImportanceMixture *mixture, bool active, FbError *err)
{
    FbGraph *graph = watch->own->graph;
    const char *name = fb_graph_unique_name(graph, active ? "experts.active" : "experts.chosen");
    FbId id;
    FB_TRY(name != NULL ? fb_graph_add_value(graph, name, &id, err) : no_memory(watch, 0, err));
    FB_TRY(fb_graph_add_node_output(graph, node, id, err));
    watch->values[watch->value_count] =
        (FbImportanceValue){.name = name, .columns = active ? mixture->down.columns : mixture->top_k, .mixture = mixture, .active = active};
    watch->names[watch->value_count++] = name;
    return FB_OK;
}

static bool is_mixture(const FbGraph *graph, const FbNode *node, size_t *experts, size_t *columns, size_t *width, size_t *top_k)
{
    const FbAttribute *chosen = fb_node_attribute(node, "top_k");
    size_t each = node->input_count < FIRST_WEIGHT || (node->input_count - FIRST_WEIGHT) % KINDS != 0 ? 0 : (node->input_count - FIRST_WEIGHT) / KINDS;
    if (each == 0 || node->output_count != 1 || chosen == NULL || chosen->i < 1) {
        return false;
    }
    for (uint32_t i = 0; i < node->input_count; i++) {
        const FbConst *weight = node->inputs[i] != FB_NONE && i >= FIRST_WEIGHT ? fb_graph_constant(graph, node->inputs[i]) : NULL;
        if (node->inputs[i] == FB_NONE || (i >= FIRST_WEIGHT && (weight == NULL || weight->shape.rank != (each == 1 ? 3 : 2)))) {
            return false;
        }
    }
    const FbShape *gate = &fb_graph_constant(graph, node->inputs[FIRST_WEIGHT])->shape;
    *experts = each == 1 ? (size_t)gate->dims[0] : each;
    *columns = (size_t)gate->dims[gate->rank - 1];
    *width = (size_t)gate->dims[gate->rank - 2];
    *top_k = (size_t)chosen->i;
    return *experts > 0 && *columns > 0 && *width > 0 && *top_k <= *experts;
}

static FbStatus add_mixture(FbImportanceWatch *watch, const FbNode *node, FbError *err)
{
    FbImportanceMixture *mixture = fb_arena_alloc(watch->arena, sizeof *mixture);
    size_t experts, columns, width, top_k;
    if (mixture == NULL) {
        return no_memory(watch, sizeof *mixture, err);
    }
    if (!is_mixture(watch->model->graph, node, &experts, &columns, &width, &top_k)) {
        return fb_error_set(err, FB_ERR_UNSUPPORTED, "a mixture of experts whose weights are no constants is not observed");
    }
    size_t each = (node->input_count - FIRST_WEIGHT) / KINDS;
    mixture->top_k = top_k;
    FB_TRY(add_sums(watch, &mixture->in, columns, experts, err));
    FB_TRY(add_sums(watch, &mixture->down, width, experts, err));
    FB_TRY(add_value(watch, node->inputs[0], columns, &mixture->x, err));
    watch->values[mixture->x].kept = true;
    FB_TRY(add_told(watch, node->id, mixture, false, err));
    FB_TRY(add_told(watch, node->id, mixture, true, err));
    for (size_t kind = 0; kind < KINDS; kind++) {
        FB_TRY(add_expert_weights(watch, node->inputs + FIRST_WEIGHT + kind * each, each, kind == KINDS - 1 ? &mixture->down : &mixture->in, err));
    }
    watch->mixtures[watch->mixture_count++] = mixture;
    return FB_OK;
}

/* Room for the rows of the value that enters a mixture, and for the choices, until the mixture has told. */
static FbStatus add_kept(FbImportanceWatch *watch, FbError *err)
{
    size_t columns = 0, top_k = 0;
    for (size_t i = 0; i < watch->mixture_count; i++) {
        const FbImportanceMixture *mixture = watch->mixtures[i];
        columns = mixture->in.columns > columns ? mixture->in.columns : columns;
        top_k = mixture->top_k > top_k ? mixture->top_k : top_k;
    }
    watch->kept_value = SIZE_MAX;
    watch->kept = fb_arena_array(watch->arena, watch->tokens, columns * sizeof *watch->kept);
    watch->chosen = fb_arena_array(watch->arena, watch->tokens, top_k * sizeof *watch->chosen);
    return watch->kept != NULL && watch->chosen != NULL ? FB_OK : no_memory(watch, watch->tokens * columns * sizeof *watch->kept, err);
}

static FbStatus choose_all(FbImportanceWatch *watch, size_t node_count, FbError *err)
{
    for (size_t n = 0; n < node_count; n++) {
        const FbNode *node = watch->model->graph->nodes[n];
        if (node->removed) {
            continue;
        }
        if (watch->own != NULL && fb_node_is(node, "fewbit", "Experts")) {
            FB_TRY(add_mixture(watch, node, err));
        }
        if (fb_node_is(node, "", "Gemm")) {
            FB_TRY(add_product(watch, node, err));
        }
    }
    return watch->mixture_count > 0 ? add_kept(watch, err) : FB_OK;
}

FbStatus fb_importance_choose(FbImportanceWatch *watch, FbError *err)
{
    size_t mixtures = 0, weights = 1;
    for (size_t n = 0; n < watch->model->graph->node_count; n++) {
        const FbNode *node = watch->model->graph->nodes[n];
        bool mixture = !node->removed && fb_node_is(node, "fewbit", "Experts");
        mixtures += mixture;
        weights += mixture ? node->input_count : 1;
    }
    if (mixtures > 0) {
        FB_TRY(fb_model_clone(watch->model, &watch->own, err));
        watch->model = watch->own;
    }
    const FbGraph *graph = watch->model->graph;
    size_t values = graph->node_count + 2 * mixtures + 1; /* a node has one value that enters weights, a mixture tells two more */
    watch->values = fb_arena_array(watch->arena, values, sizeof *watch->values);
    watch->names = fb_arena_array(watch->arena, values, sizeof *watch->names);
    watch->weights = fb_arena_array(watch->arena, weights, sizeof *watch->weights);
    watch->place = fb_arena_array(watch->arena, graph->value_count + 1, sizeof *watch->place);
    watch->mixtures = fb_arena_array(watch->arena, mixtures + 1, sizeof(FbImportanceMixture *));
    if (watch->values == NULL || watch->names == NULL || watch->weights == NULL || watch->place == NULL || watch->mixtures == NULL) {
        return fb_error_memory(watch->context, err, "observed values", values * sizeof *watch->values);
    }
    FB_TRY(choose_all(watch, graph->node_count, err));
    return watch->imatrix->row_count > 0 ? FB_OK
                                         : fb_error_set(err, FB_ERR_UNSUPPORTED, "the model has no matrices of layers whose columns could matter");
}

/* ---- the sums ---- */

typedef struct ImportanceTask {
    const FbImportanceSums *sums;
    const float *data;
    size_t rows, repeat;   /* `repeat` rows after another are one row of data */
    const int64_t *chosen; /* the matrix of each row; NULL: there is one */
} ImportanceTask;

/* Columns begin..end of all rows, in their order. */
static void add_columns(void *arg, size_t slot, size_t begin, size_t end)
{
    const ImportanceTask *task = arg;
    const size_t columns = task->sums->columns;
    (void)slot;
    for (size_t r = 0; r < task->rows; r++) {
        const float *row = task->data + r / task->repeat * columns;
        double *to = task->sums->sums + (task->chosen != NULL ? (size_t)task->chosen[r] : 0) * columns;
        for (size_t i = begin; i < end; i++) {
            to[i] += (double)row[i] * (double)row[i];
        }
    }
}

static void add_squares(const FbImportanceWatch *watch, ImportanceTask task)
{
    fb_parallel(watch->context, add_columns, &task, task.sums->columns, GRAIN);
    for (size_t r = 0; r < task.rows; r++) {
        task.sums->rows[task.chosen != NULL ? task.chosen[r] : 0]++;
    }
}

static FbStatus observe_chosen(FbImportanceWatch *watch, const FbImportanceMixture *mixture, const FbTensor *tensor, FbError *err)
{
    const int64_t *chosen = tensor->data;
    size_t count = (size_t)tensor->dims[0] * mixture->top_k;
    if (watch->kept_value != mixture->x || watch->kept_rows != (size_t)tensor->dims[0]) {
        return fb_error_set(err, FB_ERR_UNSUPPORTED, "a mixture of experts does not follow the value that enters it");
    }
    for (size_t i = 0; i < count; i++) {
        if (chosen[i] < 0 || (uint64_t)chosen[i] >= mixture->in.matrices) {
            return fb_error_set(err, FB_ERR_INTERNAL, "expert %lld of %zu was chosen", (long long)chosen[i], mixture->in.matrices);
        }
    }
    memcpy(watch->chosen, chosen, count * sizeof *chosen);
    watch->chosen_rows = count;
    add_squares(watch, (ImportanceTask){&mixture->in, watch->kept, count, mixture->top_k, watch->chosen});
    return FB_OK;
}

static FbStatus observe_active(FbImportanceWatch *watch, const FbImportanceMixture *mixture, const FbTensor *tensor, FbError *err)
{
    if (watch->chosen_rows != (size_t)tensor->dims[0] * mixture->top_k || tensor->dims[1] != (int64_t)mixture->top_k) {
        return fb_error_set(err, FB_ERR_INTERNAL, "a mixture tells what enters its experts before which they are");
    }
    add_squares(watch, (ImportanceTask){&mixture->down, tensor->data, watch->chosen_rows, 1, watch->chosen});
    return FB_OK;
}

FbStatus fb_importance_observe(void *user, size_t index, const FbTensor *tensor, int channels_last, FbError *err)
{
    FbImportanceWatch *watch = user;
    const FbImportanceValue *value = &watch->values[index];
    const FbImportanceMixture *mixture = value->mixture;
    char shown[160];
    (void)channels_last; /* there is no such order of two axes */
    int rank = value->active ? 3 : 2;
    if (tensor->dtype != (mixture != NULL && !value->active ? FB_DTYPE_S64 : FB_DTYPE_F32) || tensor->rank != rank ||
        tensor->dims[rank - 1] != (int64_t)value->columns || tensor->dims[0] < 0 || (size_t)tensor->dims[0] > watch->tokens) {
        return fb_error_set(err, FB_ERR_UNSUPPORTED, "value '%s' is no matrix of floats as wide as the weight it is multiplied with",
                            fb_escape(value->name, shown, sizeof shown));
    }
    if (mixture != NULL) {
        return value->active ? observe_active(watch, mixture, tensor, err) : observe_chosen(watch, mixture, tensor, err);
    }
    size_t rows = (size_t)tensor->dims[0];
    if (value->kept) {
        memcpy(watch->kept, tensor->data, rows * value->columns * sizeof *watch->kept);
        watch->kept_value = index;
        watch->kept_rows = rows;
    }
    if (value->sums != NULL) {
        add_squares(watch, (ImportanceTask){value->sums, tensor->data, rows, 1, NULL});
    }
    return FB_OK;
}

FbStatus fb_importance_fill(const FbImportanceWatch *watch, size_t *experts, size_t *unseen, FbError *err)
{
    char shown[160];
    *experts = *unseen = 0;
    for (size_t r = 0; r < watch->imatrix->row_count; r++) {
        FbImatrixRow *row = &watch->imatrix->rows[r];
        const FbImportanceSums *from = watch->weights[r].sums;
        size_t first = watch->weights[r].first;
        for (size_t m = 0; m < row->matrices; m++) {
            row->counts[m] = (float)from->rows[first + m];
        }
        for (size_t i = 0; i < row->matrices * row->columns; i++) {
            row->sums[i] = (float)from->sums[first * row->columns + i];
            if (!isfinite(row->sums[i])) {
                return fb_error_set(err, FB_ERR_NUMERIC, "what enters weight '%s', column %zu: the sum of its squares is not finite",
                                    fb_escape(row->name, shown, sizeof shown), i % row->columns);
            }
        }
    }
    for (size_t i = 0; i < watch->mixture_count; i++) {
        const FbImportanceSums *in = &watch->mixtures[i]->in;
        *experts += in->matrices;
        for (size_t m = 0; m < in->matrices; m++) {
            *unseen += in->rows[m] == 0;
        }
    }
    return FB_OK;
}

void fb_importance_reset(FbImportanceWatch *watch)
{
    fb_model_free(watch->own);
    watch->own = NULL;
}
