/* Shared parts of the passes that rewrite integer operators, see expand_node.h. */
#include "passes/expand_node.h"

#include <math.h>

static FbStatus no_memory(const FbExpand *expand) { return fb_error_memory(expand->graph->context, expand->err, "an integer operator", 0); }

/* The numbers of a small plain constant, one or `many` of them; *count 0: it is no such constant. */
static FbStatus read_numbers(const FbExpand *expand, FbId value, int64_t many, double **numbers, size_t *count)
{
    const FbGraph *graph = expand->graph;
    const FbConst *constant = value == FB_NONE ? NULL : fb_graph_constant(graph, value);
    int64_t elements = constant == NULL || constant->encoding != NULL ? -1 : fb_shape_elements(&constant->shape);
    *count = 0;
    if (elements < 1 || (elements != 1 && elements != many)) {
        return FB_OK;
    }
    FbTensor tensor = {0};
    *numbers = fb_arena_array(expand->arena, (size_t)elements, sizeof **numbers);
    if (*numbers == NULL) {
        return no_memory(expand);
    }
    FB_TRY(fb_const_load(graph->context, constant, &tensor, expand->err));
    for (int64_t i = 0; i < elements; i++) {
        (*numbers)[i] = fb_tensor_number(&tensor, i);
    }
    fb_free(graph->context, tensor.data);
    *count = (size_t)elements;
    return FB_OK;
}

FbStatus fb_expand_read_grid(const FbExpand *expand, const FbNode *node, uint32_t first, int64_t many, FbDtype code, FbExpandGrid *grid,
                             bool *ok)
{
    const FbGraph *graph = expand->graph;
    size_t scale_count = 0, zero_count = 1;
    double *scales = NULL, *zeros = NULL;
    *grid = (FbExpandGrid){.scale = fb_expand_input(node, first), .zero = fb_expand_input(node, first + 1), .code = code};
    *ok = false;
    FB_TRY(read_numbers(expand, grid->scale, many, &scales, &scale_count));
    if (scale_count == 0 || fb_graph_constant(graph, grid->scale)->dtype != FB_DTYPE_F32) {
        return FB_OK;
    }
    if (grid->zero != FB_NONE) {
        FB_TRY(read_numbers(expand, grid->zero, many, &zeros, &zero_count));
        if (zero_count == 0) {
            return FB_OK;
        }
        grid->code = fb_graph_constant(graph, grid->zero)->dtype;
    }
    if (grid->code != FB_DTYPE_U8 && grid->code != FB_DTYPE_S8) {
        return FB_OK;
    }
    grid->count = scale_count > zero_count ? scale_count : zero_count;
    grid->scales = fb_arena_array(expand->arena, grid->count, sizeof *grid->scales);
    grid->zeros = fb_arena_array(expand->arena, grid->count, sizeof *grid->zeros);
    if (grid->scales == NULL || grid->zeros == NULL) {
        return no_memory(expand);
    }
    for (size_t i = 0; i < grid->count; i++) {
        grid->scales[i] = (float)scales[scale_count == 1 ? 0 : i];
        grid->zeros[i] = zeros == NULL ? 0 : (int32_t)zeros[zero_count == 1 ? 0 : i];
        if (!isnormal(grid->scales[i]) || grid->scales[i] < 0) {
            return FB_OK;
        }
    }
    *ok = true;
    return FB_OK;
}

bool fb_expand_same_grid(const FbExpandGrid *a, const FbExpandGrid *b)
{
    return a->count == 1 && b->count == 1 && a->code == b->code && a->scales[0] == b->scales[0] && a->zeros[0] == b->zeros[0];
}

FbStatus fb_expand_value(const FbExpand *expand, const char *base, const char *suffix, FbId *value)
{
    FbGraph *graph = expand->graph;
    const char *text = fb_arena_printf(graph->arena, "%s%s", base, suffix);
    const char *name = text == NULL ? NULL : fb_graph_unique_name(graph, text);
    return name == NULL ? no_memory(expand) : fb_graph_add_value(graph, name, value, expand->err);
}

FbStatus fb_expand_emit(const FbExpand *expand, const FbNode *beside, const char *op_type, int version, const FbId *inputs, size_t count,
                        FbId *value, FbNode **made)
{
    FbGraph *graph = expand->graph;
    FbId node = FB_NONE;
    if (*value == FB_NONE) {
        const char *base = beside->outputs[0] != FB_NONE ? graph->values[beside->outputs[0]].name : "expanded";
        FB_TRY(fb_expand_value(expand, base, "_real", value));
    }
    const char *domain = strcmp(op_type, "Quant") == 0 ? "fewbit" : "";
    FB_TRY(fb_graph_add_node(graph, domain, op_type, version, beside->name, inputs, count, value, 1, beside->id, &node, expand->err));
    if (made != NULL) {
        *made = graph->nodes[node];
    }
    return FB_OK;
}

FbStatus fb_expand_copy_attributes(const FbExpand *expand, const FbNode *from, FbNode *to)
{
    FB_TRY(fb_graph_copy_attributes(expand->graph, from->attributes, from->attribute_count, &to->attributes, expand->err));
    to->attribute_count = from->attribute_count;
    return FB_OK;
}

/* ---- encoded constants ---- */

static FbStatus new_plane(const FbExpand *expand, FbConst *constant, FbPlaneKind kind, const void *data, size_t bytes)
{
    FbBuffer *buffer = fb_buffer_create(expand->graph->context, bytes);
    if (buffer == NULL) {
        return no_memory(expand);
    }
    constant->planes[kind] = (FbPlane){.bytes = bytes, .buffer = buffer};
    if (data != NULL) {
        memcpy(fb_buffer_data(buffer), data, bytes);
    }
    return FB_OK;
}

static void share_codes(FbConst *to, const FbConst *from)
{
    FbPlane plane = from->planes[FB_PLANE_CODES];
    fb_buffer_retain(plane.buffer);
    if (plane.source != NULL) {
        fb_source_retain(plane.source);
    }
    to->planes[FB_PLANE_CODES] = plane;
}

/* u8 codes less 128, as s8. */
static FbStatus shift_codes(const FbExpand *expand, FbConst *to, const FbConst *from)
{
    const FbPlane *plane = &from->planes[FB_PLANE_CODES];
    FB_TRY(new_plane(expand, to, FB_PLANE_CODES, NULL, (size_t)plane->bytes));
    uint8_t *codes = fb_buffer_data(to->planes[FB_PLANE_CODES].buffer);
    FB_TRY(fb_plane_read(plane, 0, codes, (size_t)plane->bytes, expand->err));
    for (uint64_t i = 0; i < plane->bytes; i++) {
        codes[i] ^= 0x80;
    }
    return FB_OK;
}

/* A constant with an encoding of its own, still without planes, as the value "<codes>_real". */
static FbStatus new_encoded(const FbExpand *expand, FbId codes, FbDtype code, size_t count, int axis, FbConst **made, FbEncoding **encoding,
                            FbId *value)
{
    FbGraph *graph = expand->graph;
    FbConst *constant = fb_graph_new_const(graph);
    *encoding = fb_arena_alloc(graph->arena, sizeof **encoding);
    if (constant == NULL || *encoding == NULL) {
        return no_memory(expand);
    }
    **encoding = (FbEncoding){.code = fb_code_of_dtype(code), .grain = count > 1 ? FB_GRAIN_AXIS : FB_GRAIN_TENSOR, .axis = count > 1 ? axis : 0,
                              .scale = FB_DTYPE_F32};
    constant->dtype = FB_DTYPE_F32;
    constant->shape = fb_graph_constant(graph, codes)->shape;
    constant->encoding = *encoding;
    *made = constant;
    FB_TRY(fb_expand_value(expand, graph->values[codes].name, "_real", value));
    graph->values[*value].dtype = FB_DTYPE_F32;
    graph->values[*value].shape = constant->shape;
    return FB_OK;
}

static bool all_equal(const int32_t *numbers, size_t count, int32_t wanted)
{
    for (size_t i = 0; i < count; i++) {
        if (numbers[i] != wanted) {
            return false;
        }
    }
    return true;
}

FbStatus fb_expand_encoded(const FbExpand *expand, FbId codes, int axis, const FbExpandGrid *grid, FbId *value)
{
    const FbConst *from = fb_graph_constant(expand->graph, codes);
    bool shift = grid->code == FB_DTYPE_U8 && all_equal(grid->zeros, grid->count, 128);
    FbConst *made = NULL;
    FbEncoding *encoding = NULL;
    FB_TRY(new_encoded(expand, codes, shift ? FB_DTYPE_S8 : grid->code, grid->count, axis, &made, &encoding, value));
    if (shift) {
        FB_TRY(shift_codes(expand, made, from));
    } else {
        share_codes(made, from);
    }
    FB_TRY(new_plane(expand, made, FB_PLANE_SCALE, grid->scales, grid->count * sizeof *grid->scales));
    encoding->has_zero = !shift && !all_equal(grid->zeros, grid->count, 0);
    if (encoding->has_zero) {
        FB_TRY(new_plane(expand, made, FB_PLANE_ZERO, NULL, grid->count));
        uint8_t *zeros = fb_buffer_data(made->planes[FB_PLANE_ZERO].buffer);
        for (size_t i = 0; i < grid->count; i++) {
            zeros[i] = (uint8_t)grid->zeros[i];
        }
    }
    return fb_graph_set_initializer(expand->graph, *value, made, expand->err);
}

FbStatus fb_expand_bias(const FbExpand *expand, FbId codes, const float *scales, size_t count, FbId *value)
{
    FbConst *made = NULL;
    FbEncoding *encoding = NULL;
    const FbConst *from = fb_graph_constant(expand->graph, codes);
    FB_TRY(new_encoded(expand, codes, FB_DTYPE_S32, count, from->shape.rank - 1, &made, &encoding, value));
    share_codes(made, from);
    FB_TRY(new_plane(expand, made, FB_PLANE_SCALE, scales, count * sizeof *scales));
    return fb_graph_set_initializer(expand->graph, *value, made, expand->err);
}
