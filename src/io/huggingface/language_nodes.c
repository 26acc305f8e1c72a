/* Nodes, attributes and small constants of a language model's graph. */
#include <stdio.h>
#include <string.h>

#include "io/huggingface/language_build.h"

enum { NAME_BYTES = 160, OPSET = 23, OPERANDS = 16 };

FbStatus fb_build_fail(FbLanguageBuild *b, FbStatus status)
{
    if (b->status == FB_OK) {
        b->status = status;
    }
    return b->status;
}

static const char *name_of(const FbLanguageBuild *b, const char *name, char *out)
{
    if (b->layer < 0) {
        snprintf(out, NAME_BYTES, "%s", name);
    } else {
        snprintf(out, NAME_BYTES, "layers.%lld.%s", (long long)b->layer, name);
    }
    return out;
}

static FbId new_value(FbLanguageBuild *b, const char *name)
{
    char full[NAME_BYTES];
    FbId value = FB_NONE;
    if (b->status == FB_OK) {
        fb_build_fail(b, fb_graph_add_value(b->graph, name_of(b, name, full), &value, b->err));
    }
    return value;
}

static void add_node(FbLanguageBuild *b, const char *domain, const char *op_type, const char *name, const FbId *inputs, size_t count,
                     const FbId *outputs, size_t output_count)
{
    char full[NAME_BYTES];
    while (count > 0 && inputs[count - 1] == FB_NONE) {
        count--;
    }
    if (b->status == FB_OK) {
        int version = domain[0] == '\0' ? OPSET : 1;
        fb_build_fail(b, fb_graph_add_node(b->graph, domain, op_type, version, name_of(b, name, full), inputs, count, outputs, output_count,
                                           FB_NONE, &b->node, b->err));
    }
}

FbId fb_build_node(FbLanguageBuild *b, const char *domain, const char *op_type, const char *name, const FbId *inputs, size_t count)
{
    FbId output = new_value(b, name);
    add_node(b, domain, op_type, name, inputs, count, &output, 1);
    return b->status == FB_OK ? output : FB_NONE;
}

FbId fb_build_1(FbLanguageBuild *b, const char *op_type, const char *name, FbId x)
{
    return fb_build_node(b, "", op_type, name, &x, 1);
}

FbId fb_build_2(FbLanguageBuild *b, const char *op_type, const char *name, FbId x, FbId y)
{
    return fb_build_node(b, "", op_type, name, (const FbId[]){x, y}, 2);
}

void fb_build_int(FbLanguageBuild *b, const char *attribute, int64_t value)
{
    if (b->status == FB_OK) {
        fb_build_fail(b, fb_graph_set_attribute_int(b->graph, b->node, attribute, value, b->err));
    }
}

void fb_build_float(FbLanguageBuild *b, const char *attribute, double value)
{
    if (b->status == FB_OK) {
        fb_build_fail(b, fb_graph_set_attribute_float(b->graph, b->node, attribute, (float)value, b->err));
    }
}

void fb_build_text(FbLanguageBuild *b, const char *attribute, const char *value)
{
    if (b->status == FB_OK) {
        fb_build_fail(b, fb_graph_set_attribute_string(b->graph, b->node, attribute, value, b->err));
    }
}

void fb_build_split(FbLanguageBuild *b, const char *const *names, FbId x, int64_t axis, const int64_t *sizes, size_t count, FbId *parts)
{
    char name[NAME_BYTES];
    int length = snprintf(name, sizeof name, "split");
    for (size_t i = 0; i < count; i++) {
        parts[i] = new_value(b, names[i]);
        length += snprintf(name + length, sizeof name - (size_t)length, ".%lld", (long long)sizes[i]);
    }
    FbId inputs[] = {x, fb_build_ints(b, name, sizes, count)};
    add_node(b, "", "Split", names[0], inputs, 2, parts, count);
    fb_build_int(b, "axis", axis);
}

FbId fb_build_reshape(FbLanguageBuild *b, const char *name, FbId x, const int64_t *dims, int rank)
{
    char shape[NAME_BYTES];
    int length = snprintf(shape, sizeof shape, "shape");
    for (int i = 0; i < rank; i++) {
        length += snprintf(shape + length, sizeof shape - (size_t)length, dims[i] < 0 ? ".all" : ".%lld", (long long)dims[i]);
    }
    return fb_build_2(b, "Reshape", name, x, fb_build_ints(b, shape, dims, (size_t)rank));
}

/* ---- constants ---- */

static FbId constant_of(FbLanguageBuild *b, const char *name, const FbTensor *tensor)
{
    FbId value = b->status == FB_OK ? fb_graph_find_value(b->graph, name) : FB_NONE;
    if (b->status == FB_OK && value == FB_NONE) {
        fb_build_fail(b, fb_graph_add_constant(b->graph, name, tensor, &value, b->err));
    }
    return b->status == FB_OK ? value : FB_NONE;
}

FbId fb_build_ints(FbLanguageBuild *b, const char *name, const int64_t *values, size_t count)
{
    int64_t copy[OPERANDS];
    memcpy(copy, values, count * sizeof *values);
    FbTensor tensor = {.dtype = FB_DTYPE_S64, .rank = 1, .dims = {(int64_t)count}, .data = copy, .bytes = count * sizeof *values};
    return constant_of(b, name, &tensor);
}

FbId fb_build_scalar(FbLanguageBuild *b, const char *name, double value)
{
    float number = (float)value;
    FbTensor tensor = {.dtype = FB_DTYPE_F32, .rank = 0, .data = &number, .bytes = sizeof number};
    return constant_of(b, name, &tensor);
}

FbId fb_build_floats(FbLanguageBuild *b, const char *name, int rank, const int64_t *dims, float **data)
{
    FbShape shape = fb_shape_make(rank, dims);
    int64_t elements = fb_shape_elements(&shape);
    FbId value = FB_NONE;
    if (b->status != FB_OK) {
        return FB_NONE;
    }
    uint64_t bytes = (uint64_t)elements * sizeof **data;
    FbBuffer *buffer = elements >= 0 && bytes / sizeof **data == (uint64_t)elements ? fb_buffer_create(b->context, (size_t)bytes) : NULL;
    FbConst *constant = buffer != NULL ? fb_graph_new_const(b->graph) : NULL;
    if (constant == NULL) {
        fb_buffer_release(buffer);
        fb_build_fail(b, fb_error_memory(b->context, b->err, name, bytes));
        return FB_NONE;
    }
    constant->dtype = FB_DTYPE_F32;
    constant->shape = shape;
    constant->planes[FB_PLANE_CODES] = (FbPlane){.bytes = bytes, .buffer = buffer};
    *data = fb_buffer_data(buffer);
    fb_build_fail(b, fb_graph_add_value(b->graph, name, &value, b->err));
    if (b->status == FB_OK) {
        fb_build_fail(b, fb_graph_set_initializer(b->graph, value, constant, b->err));
    }
    return b->status == FB_OK ? value : FB_NONE;
}
