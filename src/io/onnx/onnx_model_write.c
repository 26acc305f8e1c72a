/* FbModel -> ONNX file. A clone is unfolded and sorted, its size is counted, then it is streamed; the final name appears last. */
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/option_struct.h"
#include "io/onnx/onnx_writer.h"
#include "passes/quant_fold.h"

enum { EXTERNAL_THRESHOLD = 1024, EXTERNAL_ALIGNMENT = 4096 };
#define INSIDE_MAX ((uint64_t)3 << 29)  /* 1.5 GiB: beyond, weights go to a file of their own */
#define FILE_MAX ((uint64_t)INT32_MAX)  /* protobuf's limit */

static bool write_property(pb_ostream_t *stream, const void *subject, const FbGraph *graph)
{
    const FbProperty *property = subject;
    (void)graph;
    return fb_onnx_put_text(stream, fb_onnx_StringStringEntry_key_tag, property->key) &&
           fb_onnx_put_text(stream, fb_onnx_StringStringEntry_value_tag, property->value);
}

bool fb_onnx_write_model(pb_ostream_t *stream, const FbModel *model)
{
    bool ok = fb_onnx_put_int(stream, fb_onnx_Model_ir_version_tag, model->ir_version) &&
              fb_onnx_put_text(stream, fb_onnx_Model_producer_name_tag, model->producer_name) &&
              fb_onnx_put_text(stream, fb_onnx_Model_producer_version_tag, model->producer_version) &&
              fb_onnx_put_text(stream, fb_onnx_Model_domain_tag, model->domain) &&
              (!model->has_model_version || fb_onnx_put_int(stream, fb_onnx_Model_model_version_tag, model->model_version)) &&
              fb_onnx_put_text(stream, fb_onnx_Model_doc_string_tag, model->doc) &&
              fb_onnx_put_message(stream, fb_onnx_Model_graph_tag, fb_onnx_write_graph, NULL, model->graph);
    for (size_t i = 0; i < model->opset_count && ok; i++) {
        ok = fb_onnx_put_message(stream, fb_onnx_Model_opset_import_tag, fb_onnx_write_opset, &model->opsets[i], NULL);
    }
    for (size_t i = 0; i < model->property_count && ok; i++) {
        ok = fb_onnx_put_message(stream, fb_onnx_Model_metadata_props_tag, write_property, &model->properties[i], NULL);
    }
    for (size_t i = 0; i < model->function_count && ok; i++) {
        ok = fb_onnx_put_message(stream, fb_onnx_Model_functions_tag, fb_onnx_write_function, &model->functions[i],
                                 model->functions[i].body);
    }
    return ok && fb_onnx_put_raw(stream, model->extra);
}

/* ---- preparing ---- */

static FbStatus sort_graph(FbGraph *graph, FbError *err)
{
    FB_TRY(fb_graph_sort(graph, graph->arena, &graph->written, &graph->written_count, err));
    for (size_t i = 0; i < graph->written_count; i++) {
        const FbNode *node = graph->nodes[graph->written[i]];
        if (strcmp(node->domain, "fewbit") == 0) {
            return fb_error_set(err, FB_ERR_UNSUPPORTED, "node '%.96s' (%.32s) has no form in ONNX", node->name, node->op_type);
        }
    }
    for (size_t i = 0; i < graph->subgraph_count; i++) {
        FB_TRY(sort_graph(graph->subgraphs[i], err)); /* depth is capped by the loader */
    }
    return FB_OK;
}

static FbStatus prepare(const FbModel *model, FbModel **clone, FbError *err)
{
    FB_TRY(fb_model_clone(model, clone, err));
    FB_TRY(fb_model_unfold_quants(*clone, err));
    FB_TRY(sort_graph((*clone)->graph, err));
    for (size_t i = 0; i < (*clone)->function_count; i++) {
        FB_TRY(sort_graph((*clone)->functions[i].body, err));
    }
    return FB_OK;
}

static FbStatus count_bytes(FbOnnxWriter *writer, const FbModel *model, uint64_t *bytes)
{
    pb_ostream_t counter = fb_onnx_counter(writer);
    if (!fb_onnx_write_model(&counter, model)) {
        return writer->status != FB_OK ? writer->status : fb_error_set(writer->err, FB_ERR_INTERNAL, "the model cannot be counted");
    }
    *bytes = counter.bytes_written;
    return FB_OK;
}

typedef struct PlannedConst {
    const FbConst *constant;
    size_t position; /* among the initializers */
} PlannedConst;

static int by_bytes_then_position(const void *a, const void *b)
{
    const PlannedConst *x = a;
    const PlannedConst *y = b;
    const FbPlane *p = &x->constant->planes[FB_PLANE_CODES];
    const FbPlane *q = &y->constant->planes[FB_PLANE_CODES];
    const void *home[2] = {p->buffer != NULL ? (const void *)p->buffer : p->source, q->buffer != NULL ? (const void *)q->buffer : q->source};
    if (home[0] != home[1]) {
        return (uintptr_t)home[0] < (uintptr_t)home[1] ? -1 : 1;
    }
    if (p->offset != q->offset || p->bytes != q->bytes) {
        return p->offset < q->offset || (p->offset == q->offset && p->bytes < q->bytes) ? -1 : 1;
    }
    return x->position < y->position ? -1 : x->position > y->position;
}

static bool same_place(const FbConst *a, const FbConst *b)
{
    const FbPlane *p = &a->planes[FB_PLANE_CODES];
    const FbPlane *q = &b->planes[FB_PLANE_CODES];
    return p->buffer == q->buffer && p->source == q->source && p->offset == q->offset && p->bytes == q->bytes;
}

/* Tied weights share their bytes in the data file, as they did where they came from: the first of them is the one that is written. Where the
 * sort puts a group depends on addresses, which member is first does not. */
static FbStatus find_tied(const FbOnnxWriter *writer, const FbModel *model, const FbConst **first)
{
    const FbGraph *graph = model->graph;
    PlannedConst *list = fb_arena_array(model->arena, graph->initializer_count, sizeof *list);
    if (list == NULL) {
        return fb_error_memory(writer->context, writer->err, "external data", graph->initializer_count * sizeof *list);
    }
    for (size_t i = 0; i < graph->initializer_count; i++) {
        list[i] = (PlannedConst){graph->values[graph->initializers[i]].constant, i};
    }
    if (graph->initializer_count > 1) {
        qsort(list, graph->initializer_count, sizeof *list, by_bytes_then_position);
    }
    for (size_t i = 0; i < graph->initializer_count; i++) {
        bool tied = i > 0 && same_place(list[i - 1].constant, list[i].constant);
        first[list[i].constant->index] = tied ? first[list[i - 1].constant->index] : list[i].constant;
    }
    return FB_OK;
}

/* Offsets in the data file for the initializers of the main graph that are large enough. */
static FbStatus plan_external(FbOnnxWriter *writer, const FbModel *model, const char *location, uint64_t threshold)
{
    const FbGraph *graph = model->graph;
    uint64_t *offsets = fb_arena_array(model->arena, graph->constant_count, sizeof *offsets);
    const FbConst **first = fb_arena_array(model->arena, graph->constant_count, sizeof *first);
    uint64_t at = 0;
    if (offsets == NULL || first == NULL) {
        return fb_error_memory(writer->context, writer->err, "external data", graph->constant_count * sizeof *offsets);
    }
    FB_TRY(find_tied(writer, model, first));
    memset(offsets, 0xff, graph->constant_count * sizeof *offsets);
    for (size_t i = 0; i < graph->initializer_count; i++) {
        const FbConst *constant = graph->values[graph->initializers[i]].constant;
        uint64_t bytes = constant->planes[FB_PLANE_CODES].bytes;
        if (bytes < threshold || bytes == 0 || constant->strings.count > 0 || offsets[constant->index] != UINT64_MAX) {
            continue;
        }
        if (first[constant->index] != constant) {
            offsets[constant->index] = offsets[first[constant->index]->index];
            continue;
        }
        offsets[constant->index] = at;
        if (!fb_add_u64(at, bytes + EXTERNAL_ALIGNMENT - 1, &at)) {
            return fb_error_set(writer->err, FB_ERR_BUDGET, "the weights are too large");
        }
        at -= at % EXTERNAL_ALIGNMENT;
    }
    writer->external = (FbOnnxExternalPlan){graph, offsets, location};
    return FB_OK;
}

static FbStatus write_data_file(FbOnnxWriter *writer, const FbModel *model, FbOutput *data)
{
    const FbGraph *graph = model->graph;
    for (size_t i = 0; i < graph->initializer_count; i++) {
        const FbConst *constant = graph->values[graph->initializers[i]].constant;
        uint64_t offset = writer->external.offsets[constant->index];
        if (offset == UINT64_MAX || offset < fb_output_position(data)) {
            continue; /* inside the model, or written already for another name */
        }
        FB_TRY(fb_output_pad(data, EXTERNAL_ALIGNMENT, writer->err));
        FB_TRY(fb_onnx_put_plane(writer, data, &constant->planes[FB_PLANE_CODES]));
    }
    return FB_OK;
}

/* ---- saving ---- */

typedef struct Save {
    FbContext *context;
    FbOnnxWriter writer;
    FbModel *model;        /* the unfolded clone */
    const char *path;
    FbSaveOptions options;
    FbOutput *main, *data;
} Save;

static FbStatus layout(Save *save, bool *external)
{
    FbOnnxWriter *writer = &save->writer;
    uint64_t bytes;
    uint64_t threshold = save->options.external_threshold;
    FB_TRY(count_bytes(writer, save->model, &bytes));
    *external = save->options.force_external || (bytes >= INSIDE_MAX && threshold != UINT64_MAX);
    if (*external) {
        const char *slash = strrchr(save->path, '/');
        char *location = fb_arena_printf(save->model->arena, "%s.data", slash == NULL ? save->path : slash + 1);
        if (location == NULL) {
            return fb_error_memory(save->context, writer->err, "a name", strlen(save->path));
        }
        FB_TRY(plan_external(writer, save->model, location, threshold == 0 ? EXTERNAL_THRESHOLD : threshold));
        FB_TRY(count_bytes(writer, save->model, &bytes));
    }
    if (bytes > FILE_MAX) {
        return fb_error_set(writer->err, FB_ERR_UNSUPPORTED, "the model file would have %llu bytes; ONNX files end at 2 GiB. Write the "
                            "weights as external data", (unsigned long long)bytes);
    }
    return FB_OK;
}

static FbStatus write_files(Save *save, bool external)
{
    FbOnnxWriter *writer = &save->writer;
    if (external) {
        char *path = fb_arena_printf(save->model->arena, "%s.data", save->path);
        if (path == NULL) {
            return fb_error_memory(save->context, writer->err, "a name", strlen(save->path));
        }
        FB_TRY(fb_output_create(save->context, path, save->options.overwrite != 0, &save->data, writer->err));
    }
    FB_TRY(fb_output_create(save->context, save->path, save->options.overwrite != 0, &save->main, writer->err));
    if (external) {
        FB_TRY(write_data_file(writer, save->model, save->data));
    }
    writer->output = save->main;
    pb_ostream_t stream = fb_onnx_stream(writer);
    if (!fb_onnx_write_model(&stream, save->model)) {
        return writer->status != FB_OK ? writer->status : fb_error_set(writer->err, FB_ERR_INTERNAL, "the model cannot be written");
    }
    return FB_OK;
}

static FbStatus commit(Save *save, char *sha256)
{
    FbStatus status = FB_OK;
    if (save->data != NULL) {
        status = fb_output_commit(save->data, NULL, save->writer.err);
        save->data = NULL;
    }
    if (status == FB_OK) {
        status = fb_output_commit(save->main, sha256, save->writer.err);
        save->main = NULL;
    }
    return status;
}

FbStatus fb_model_save(FbContext *context, const FbModel *model, const char *path, const FbSaveOptions *options, char *sha256, FbError *err)
{
    FbError local;
    Save save = {.context = context, .path = path, .writer = {.context = context, .err = err == NULL ? &local : err}};
    bool external = false;
    FB_TRY(fb_options_read(&save.options, sizeof save.options, options, "FbSaveOptions", err));
    save.writer.chunk = fb_alloc(context, FB_ONNX_CHUNK);
    FbStatus status = save.writer.chunk == NULL ? fb_error_memory(context, err, "copying", FB_ONNX_CHUNK) : prepare(model, &save.model, err);
    if (status == FB_OK) {
        status = layout(&save, &external);
    }
    if (status == FB_OK) {
        status = write_files(&save, external);
    }
    if (status == FB_OK) {
        status = commit(&save, sha256);
    }
    fb_output_abandon(save.main);
    fb_output_abandon(save.data);
    fb_model_free(save.model);
    fb_free(context, save.writer.chunk);
    return status;
}
