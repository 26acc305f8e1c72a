/* From a checkpoint to the graph of its model. */
#include "io/huggingface/language_build.h"

#include <string.h>

#include "base/file_error.h"

enum { IR_VERSION = 11, OPSET = 23, CONTEXT_DEFAULT = 4096 };

/* ---- ports ---- */

static FbId add_input(FbLanguageBuild *b, const char *name, const char *symbol)
{
    FbId value = FB_NONE;
    if (b->status == FB_OK) {
        fb_build_fail(b, fb_graph_add_value(b->graph, name, &value, b->err));
    }
    if (b->status == FB_OK) {
        int64_t dim = fb_graph_symbol(b->graph, symbol);
        b->graph->values[value].dtype = FB_DTYPE_S64;
        b->graph->values[value].shape = fb_shape_make(1, &dim);
        fb_build_fail(b, dim == 0 ? fb_error_memory(b->context, b->err, "a graph", 0) : fb_graph_add_input(b->graph, value, b->err));
    }
    return b->status == FB_OK ? value : FB_NONE;
}

static void add_inputs(FbLanguageBuild *b)
{
    const int64_t zero = 0;
    b->ids = add_input(b, "input_ids", "tokens");
    b->positions = add_input(b, "positions", "tokens");
    b->sequences = add_input(b, "sequences", "tokens");
    b->rows = add_input(b, "output_rows", "rows");
    b->slopes = FB_NONE;
    if (b->spec->positions == FB_POSITIONS_ROTARY) {
        b->position_row = fb_build_2(b, "Unsqueeze", "positions.row", b->positions, fb_build_ints(b, "axis.0", &zero, 1));
        fb_build_rotary_tables(b);
    } else if (b->spec->positions == FB_POSITIONS_ALIBI) {
        fb_build_slopes(b);
    }
}

static void add_output(FbLanguageBuild *b, FbId logits)
{
    if (b->status == FB_OK) {
        FbValue *value = &b->graph->values[logits];
        int64_t dims[] = {fb_graph_symbol(b->graph, "rows"), b->spec->info.vocabulary};
        value->dtype = FB_DTYPE_F32;
        value->shape = fb_shape_make(2, dims);
        fb_build_fail(b, fb_graph_add_output(b->graph, logits, b->err));
    }
}

/* ---- the model ---- */

static int64_t embedding_width(const FbLanguageSpec *spec) { return spec->embedding_width != 0 ? spec->embedding_width : spec->info.hidden; }

static FbId embed(FbLanguageBuild *b)
{
    const FbLanguageSpec *spec = b->spec;
    FbId table = fb_build_matrix(b, FB_ROLE_EMBEDDING, 0, spec->info.vocabulary, embedding_width(spec));
    FbId x = fb_build_2(b, "Gather", "embedding", table, b->ids);
    if (spec->embedding_scale != 1.0) {
        x = fb_build_2(b, "Mul", "embedding.scaled", x, fb_build_scalar(b, "embedding.scale", spec->embedding_scale));
    }
    if (spec->embedding_width != 0) {
        x = fb_build_linear(b, FB_ROLE_WIDEN, "embedding.wide", x, spec->info.hidden, spec->embedding_width);
    }
    if (spec->positions == FB_POSITIONS_LEARNED) {
        int64_t offset = spec->position_offset, count = spec->info.context_length;
        FbId places = fb_build_rows(b, FB_ROLE_POSITIONS, "rows", count + offset, offset, count, spec->info.hidden);
        x = fb_build_2(b, "Add", "embedding.placed", x, fb_build_2(b, "Gather", "embedding.positions", places, b->positions));
    }
    return spec->embedding_norm ? fb_build_norm(b, FB_ROLE_EMBEDDING_NORM, "embedding.norm", x, spec->info.hidden) : x;
}

/* A part's norm, where it stands in front of it (behind: false) or behind the sum. */
static FbId norm_at(FbLanguageBuild *b, bool behind, FbLanguageRole role, const char *name, FbId x)
{
    return b->spec->norms_behind == behind ? fb_build_norm(b, role, name, x, b->spec->info.hidden) : x;
}

static FbId add_layer(FbLanguageBuild *b, FbId x)
{
    const FbLanguageSpec *spec = b->spec;
    int64_t hidden = spec->info.hidden;
    FbId read = norm_at(b, false, FB_ROLE_ATTENTION_NORM, "attention.norm", x);
    FbId attended = fb_build_attention(b, read);
    if (spec->after_norms) {
        attended = fb_build_norm(b, FB_ROLE_AFTER_ATTENTION_NORM, "attention.after", attended, hidden);
    }
    FbId middle = spec->parallel ? x : fb_build_2(b, "Add", "middle", spec->norm_is_residual ? read : x, attended);
    middle = norm_at(b, true, FB_ROLE_ATTENTION_NORM, "attention.norm", middle);
    read = norm_at(b, false, FB_ROLE_FEED_NORM, "feed.norm", middle);
    FbId fed = fb_build_feed_forward(b, read);
    if (spec->after_norms) {
        fed = fb_build_norm(b, FB_ROLE_AFTER_FEED_NORM, "feed.after", fed, hidden);
    }
    if (spec->parallel) {
        fed = fb_build_2(b, "Add", "both", fed, attended);
    }
    x = fb_build_2(b, "Add", "out", spec->norm_is_residual ? read : middle, fed);
    return norm_at(b, true, FB_ROLE_FEED_NORM, "feed.norm", x);
}

static FbId head(FbLanguageBuild *b, FbId x)
{
    const FbLanguageSpec *spec = b->spec;
    bool own = b->gguf ? fb_build_has(b, FB_ROLE_HEAD, 0, ".weight") : !spec->tied;
    x = fb_build_2(b, "Gather", "rows", x, b->rows);
    if (!spec->no_final_norm) {
        x = fb_build_norm(b, FB_ROLE_FINAL_NORM, "final.norm", x, spec->info.hidden);
    }
    if (spec->embedding_width != 0) {
        x = fb_build_linear(b, FB_ROLE_NARROW, "final.narrow", x, spec->embedding_width, spec->info.hidden);
    }
    double cap = spec->logit_softcap;
    x = fb_build_linear(b, own ? FB_ROLE_HEAD : FB_ROLE_EMBEDDING, cap != 0.0 ? "logits.raw" : "logits", x, spec->info.vocabulary,
                        embedding_width(spec));
    if (cap != 0.0) {
        x = fb_build_2(b, "Mul", "logits.divided", x, fb_build_scalar(b, "logits.reciprocal", 1.0 / cap));
        x = fb_build_2(b, "Mul", "logits", fb_build_1(b, "Tanh", "logits.bent", x), fb_build_scalar(b, "logits.cap", cap));
    }
    return x;
}

static FbStatus build_graph(FbLanguageBuild *b)
{
    add_inputs(b);
    FbId x = embed(b);
    for (b->layer = 0; b->layer < b->spec->info.layers && b->status == FB_OK; b->layer++) {
        x = add_layer(b, x);
    }
    b->layer = -1;
    add_output(b, head(b, x));
    return fb_build_check_used(b);
}

/* ---- around it ---- */

/* GGUF files need not say how many tokens there are. */
static FbStatus find_vocabulary(const FbLanguageBuild *b, FbLanguageSpec *spec)
{
    char name[160];
    if (spec->info.vocabulary != 0) {
        return FB_OK;
    }
    fb_language_tensor_name(spec, b->gguf, FB_ROLE_EMBEDDING, 0, 0, ".weight", name, sizeof name);
    const FbTableTensor *tensor = fb_checkpoint_tensor(b->checkpoint, name);
    if (tensor == NULL) {
        return fb_error_set(b->err, FB_ERR_FORMAT, "tensor '%s' is missing", name);
    }
    const FbShape *shape = &tensor->constant.shape;
    if (shape->rank != 2 || shape->dims[0] < 1 || shape->dims[0] > FB_LANGUAGE_SIZE_MAX) {
        return fb_error_set(b->err, FB_ERR_FORMAT, "tensor '%s' is no embedding", name);
    }
    spec->info.vocabulary = shape->dims[0];
    return FB_OK;
}

static FbStatus choose_positions(FbLanguageBuild *b, FbLanguageSpec *spec, const FbLanguageOptions *options)
{
    FbLanguageInfo *info = &spec->info;
    int64_t asked = options != NULL ? options->context : 0;
    if (asked < 0 || asked > FB_LANGUAGE_CONTEXT_MAX) {
        return fb_error_set(b->err, FB_ERR_ARGUMENT, "a context of %lld positions, expected 1 to %d", (long long)asked, FB_LANGUAGE_CONTEXT_MAX);
    }
    if (spec->positions == FB_POSITIONS_LEARNED && asked > info->context_length) {
        return fb_error_set(b->err, FB_ERR_ARGUMENT, "a context of %lld positions, the model has learned %lld", (long long)asked,
                            (long long)info->context_length);
    }
    info->positions = asked != 0 ? asked : info->context_length < CONTEXT_DEFAULT ? info->context_length : CONTEXT_DEFAULT;
    b->table_positions = info->positions;
    return FB_OK;
}

static FbStatus fill_model(FbLanguageBuild *b)
{
    FbModel *model = b->model;
    FbLanguageInfo *info = fb_arena_alloc(model->arena, sizeof *info);
    char *architecture = fb_arena_strdup(model->arena, b->spec->info.architecture);
    model->path = fb_arena_strdup(model->arena, b->checkpoint->path);
    if (info == NULL || architecture == NULL || model->path == NULL) {
        return fb_error_memory(b->context, b->err, "a model", sizeof *info);
    }
    *info = b->spec->info;
    info->architecture = architecture;
    model->language = info;
    model->ir_version = IR_VERSION;
    model->producer_name = "fewbit";
    model->file_bytes = b->checkpoint->file_bytes;
    FB_TRY(fb_model_set_opset(model, "", OPSET, b->err));
    FB_TRY(fb_model_set_opset(model, "fewbit", 1, b->err));
    FB_TRY(fb_graph_create(b->context, NULL, &model->graph, b->err));
    b->graph = model->graph;
    b->graph->name = "language";
    return build_graph(b);
}

static FbStatus build(FbLanguageBuild *b, FbLanguageSpec *spec, const FbLanguageOptions *options)
{
    FB_TRY(fb_language_spec_read(b->context, b->checkpoint, b->scratch, spec, b->err));
    FB_TRY(find_vocabulary(b, spec));
    FB_TRY(choose_positions(b, spec, options));
    b->spec = spec;
    b->used = fb_arena_array(b->scratch, b->checkpoint->tensor_count + 1, sizeof *b->used);
    if (b->used == NULL) {
        return fb_error_memory(b->context, b->err, "a list of tensors", b->checkpoint->tensor_count);
    }
    FB_TRY(fb_model_create(b->context, &b->model, b->err));
    return fill_model(b);
}

FbStatus fb_language_build(FbContext *context, const FbCheckpoint *checkpoint, const FbLanguageOptions *options, FbModel **model, FbError *err)
{
    FbLanguageSpec spec;
    FbLanguageBuild b = {.context = context, .checkpoint = checkpoint, .err = err, .layer = -1,
                         .gguf = strcmp(checkpoint->format, "safetensors") != 0, .scratch = fb_arena_create(context)};
    FbStatus status = b.scratch != NULL ? build(&b, &spec, options) : fb_error_memory(context, err, "a model", 0);
    fb_arena_free(b.scratch);
    *model = NULL;
    if (status != FB_OK) {
        char shown[200];
        fb_model_free(b.model);
        return fb_error_context(err, status, "%s", fb_path_shown(checkpoint->path, shown, sizeof shown));
    }
    *model = b.model;
    return FB_OK;
}

FbStatus fb_language_describe(FbContext *context, const FbCheckpoint *checkpoint, FbLanguageInfo *info, FbError *err)
{
    FbLanguageSpec spec;
    FbArena *arena = fb_arena_create(context);
    *info = (FbLanguageInfo){.architecture = NULL};
    if (arena == NULL) {
        return fb_error_memory(context, err, "a configuration", 0);
    }
    FbLanguageBuild b = {.checkpoint = checkpoint, .err = err, .gguf = strcmp(checkpoint->format, "safetensors") != 0};
    FbStatus status = fb_language_spec_read(context, checkpoint, arena, &spec, err);
    status = status == FB_OK ? find_vocabulary(&b, &spec) : status;
    if (status == FB_OK) {
        *info = spec.info;
        info->architecture = fb_arena_strdup(checkpoint->arena, spec.info.architecture);
        status = info->architecture != NULL ? FB_OK : fb_error_memory(context, err, "a configuration", 0);
    }
    fb_arena_free(arena);
    return status;
}

const FbLanguageInfo *fb_language_info(const FbModel *model)
{
    return model->language;
}
