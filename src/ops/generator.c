/* Operators that make tensors: constants, ranges, identity matrices, one-hot codes, triangles, shapes and sizes. */
#include <math.h>

#include "ops/attribute.h"
#include "ops/elements.h"
#include "ops/shape_util.h"

enum { ELEMENT_MAX = 16 };

/* ---- Constant ---- */

typedef struct ConstantParams {
    const FbConst *tensor;   /* NULL: the lists below */
    FbDtype dtype;           /* F32 or S64 */
    bool scalar;
    size_t count;
    const float *floats;
    const int64_t *ints;
} ConstantParams;

static FbStatus decode_constant(const FbNode *node, FbArena *arena, void *params, FbError *err)
{
    ConstantParams *p = params;
    (void)arena;
    if (node->attribute_count != 1) {
        return fb_error_set(err, FB_ERR_FORMAT, "Constant has %zu attributes, expected one", node->attribute_count);
    }
    const FbAttribute *a = &node->attributes[0];
    p->scalar = strcmp(a->name, "value_float") == 0 || strcmp(a->name, "value_int") == 0;
    if (strcmp(a->name, "value") == 0) {
        if (a->type != FB_ATTR_TENSOR || !a->tensor) {
            return fb_error_set(err, FB_ERR_FORMAT, "attribute 'value' of Constant holds no tensor");
        }
        p->tensor = a->tensor;
        p->dtype = a->tensor->dtype;
        return FB_OK;
    }
    if (strcmp(a->name, "value_float") == 0 || strcmp(a->name, "value_floats") == 0) {
        p->dtype = FB_DTYPE_F32;
        p->floats = p->scalar ? &a->f : NULL;
        p->count = 1;
        return p->scalar ? (a->type == FB_ATTR_FLOAT ? FB_OK : fb_error_set(err, FB_ERR_FORMAT, "attribute 'value_float' holds no number"))
                         : fb_attr_floats(node, "value_floats", &p->floats, &p->count, err);
    }
    if (strcmp(a->name, "value_int") == 0 || strcmp(a->name, "value_ints") == 0) {
        p->dtype = FB_DTYPE_S64;
        p->ints = p->scalar ? &a->i : NULL;
        p->count = 1;
        return p->scalar ? (a->type == FB_ATTR_INT ? FB_OK : fb_error_set(err, FB_ERR_FORMAT, "attribute 'value_int' holds no number"))
                         : fb_attr_ints(node, "value_ints", &p->ints, &p->count, err);
    }
    return fb_error_set(err, FB_ERR_UNSUPPORTED, "Constant with attribute '%s' is not supported", a->name);
}

static FbStatus infer_constant(FbInfer *infer, FbError *err)
{
    const ConstantParams *p = infer->params;
    (void)err;
    if (p->dtype == FB_DTYPE_STRING) {
        return fb_error_set(err, FB_ERR_UNSUPPORTED, "Constant of strings is not supported");
    }
    infer->outputs[0].dtype = p->dtype;
    infer->outputs[0].shape = p->tensor ? p->tensor->shape : (FbShape){.rank = p->scalar ? 0 : 1, .dims = {p->scalar ? 0 : (int64_t)p->count}};
    return FB_OK;
}

static FbStatus run_constant(const FbCall *call, FbError *err)
{
    const ConstantParams *p = call->params;
    FbTensor *to = call->outputs[0];
    if (p->tensor) {
        FbTensor value;
        FB_TRY(fb_const_load(call->context, p->tensor, &value, err));
        FbStatus status = value.bytes == to->bytes ? FB_OK : fb_error_set(err, FB_ERR_INTERNAL, "Constant was prepared for another size");
        if (status == FB_OK && to->bytes) {
            memcpy(to->data, value.data, to->bytes);
        }
        fb_free(call->context, value.data);
        return status;
    }
    if (to->bytes) {
        memcpy(to->data, p->floats ? (const void *)p->floats : (const void *)p->ints, to->bytes);
    }
    return FB_OK;
}

/* ---- ConstantOfShape ---- */

typedef struct FillParams {
    FbDtype dtype;
    uint8_t element[ELEMENT_MAX];
} FillParams;

static FbStatus decode_fill(const FbNode *node, FbArena *arena, void *params, FbError *err)
{
    FillParams *p = params;
    const FbAttribute *value = fb_node_attribute(node, "value");
    p->dtype = FB_DTYPE_F32;
    if (!value) {
        return FB_OK;
    }
    if (value->type != FB_ATTR_TENSOR || !value->tensor || fb_shape_elements(&value->tensor->shape) != 1) {
        return fb_error_set(err, FB_ERR_FORMAT, "attribute 'value' must be a tensor of one element");
    }
    FbTensor tensor;
    p->dtype = value->tensor->dtype;
    if (!(FB_MASK(p->dtype) & FB_MASK_ALL)) {
        return fb_error_set(err, FB_ERR_UNSUPPORTED, "ConstantOfShape of element type %s is not supported", fb_dtype_name(p->dtype));
    }
    FB_TRY(fb_const_load(fb_arena_context(arena), value->tensor, &tensor, err));
    memcpy(p->element, tensor.data, tensor.bytes < ELEMENT_MAX ? tensor.bytes : ELEMENT_MAX);
    fb_free(fb_arena_context(arena), tensor.data);
    return FB_OK;
}

static FbStatus infer_fill(FbInfer *infer, FbError *err)
{
    const FillParams *p = infer->params;
    FbShape *out = &infer->outputs[0].shape;
    const FbShape *from = &infer->inputs[0].shape;
    FbIntList list;
    infer->outputs[0].dtype = p->dtype;
    out->rank = -1;
    FB_TRY(fb_check_input_dtype(infer, 0, FB_MASK(FB_DTYPE_S64), err));
    FB_TRY(fb_check_rank(infer, 0, 1, 1, err));
    FB_TRY(fb_list_from_infer(infer, 0, "shape", &list, err));
    if (!list.known) {
        if (from->rank == 1 && from->dims[0] >= 0 && from->dims[0] <= FB_RANK_MAX) {
            *out = fb_shape_unknown((int)from->dims[0]);
        }
        return FB_OK;
    }
    if (list.count > FB_RANK_MAX) {
        return fb_error_set(err, FB_ERR_UNSUPPORTED, "a tensor of rank %d, at most %d is supported", list.count, FB_RANK_MAX);
    }
    for (int i = 0; i < list.count; i++) {
        if (list.items[i] < 0) {
            return fb_error_set(err, FB_ERR_FORMAT, "dimension %d of the shape is negative", i);
        }
    }
    *out = fb_shape_make(list.count, list.items);
    return fb_check_size(infer, out, p->dtype, err);
}

static FbStatus run_fill(const FbCall *call, FbError *err)
{
    const FillParams *p = call->params;
    FbTensor *to = call->outputs[0];
    int bits = fb_dtype_bits(p->dtype);
    size_t element = bits < 8 ? 1 : (size_t)bits / 8;
    uint8_t pattern[ELEMENT_MAX];
    (void)err;
    memcpy(pattern, p->element, sizeof pattern);
    for (int shift = bits; bits < 8 && shift < 8; shift += bits) {
        pattern[0] = (uint8_t)(pattern[0] | p->element[0] << shift);
    }
    for (size_t at = 0; at + element <= to->bytes; at += element) {
        memcpy((uint8_t *)to->data + at, pattern, element);
    }
    int64_t used = fb_tensor_elements(to) * bits % 8;
    if (bits < 8 && used && to->bytes) { /* unused bits of the last byte are zero */
        ((uint8_t *)to->data)[to->bytes - 1] &= (uint8_t)((1 << used) - 1);
    }
    return FB_OK;
}

/* ---- Range ---- */

#define RANGE_TYPES (FB_MASK_FLOATS | FB_MASK(FB_DTYPE_S16) | FB_MASK(FB_DTYPE_S32) | FB_MASK(FB_DTYPE_S64))

/* ceil((limit - start) / delta), at least 0; -1 when it cannot be. */
static int64_t range_count(const FbTensor *start, const FbTensor *limit, const FbTensor *delta)
{
    if (fb_work_of(start->dtype) == FB_WORK_S64) {
        int64_t from = fb_tensor_int(start, 0), to = fb_tensor_int(limit, 0), step = fb_tensor_int(delta, 0);
        if (step == 0 || (step > 0 ? from >= to : from <= to)) {
            return step == 0 ? -1 : 0;
        }
        uint64_t width = step > 0 ? (uint64_t)to - (uint64_t)from : (uint64_t)from - (uint64_t)to;
        uint64_t size = step > 0 ? (uint64_t)step : 0 - (uint64_t)step, count = width / size + (width % size != 0);
        return count > INT64_MAX ? -1 : (int64_t)count;
    }
    double count = ceil((fb_tensor_number(limit, 0) - fb_tensor_number(start, 0)) / fb_tensor_number(delta, 0));
    return count <= 0 ? 0 : count < 9e18 && fb_tensor_number(delta, 0) != 0 ? (int64_t)count : -1;
}

static FbStatus infer_range(FbInfer *infer, FbError *err)
{
    const FbTensor *values[3];
    FB_TRY(fb_check_input_dtype(infer, 0, RANGE_TYPES, err));
    for (int i = 0; i < 3; i++) {
        FB_TRY(fb_check_same_dtype(infer, 0, i, err));
        FB_TRY(fb_check_rank(infer, i, 0, 1, err));
        values[i] = fb_infer_value(infer, i);
        if (values[i] && fb_tensor_elements(values[i]) != 1) {
            return fb_error_set(err, FB_ERR_FORMAT, "Range takes single numbers, input %d holds %lld", i, (long long)fb_tensor_elements(values[i]));
        }
    }
    infer->outputs[0].dtype = infer->inputs[0].dtype;
    infer->outputs[0].shape = fb_shape_unknown(1);
    if (!values[0] || !values[1] || !values[2]) {
        return FB_OK;
    }
    int64_t count = range_count(values[0], values[1], values[2]);
    if (count < 0) {
        return fb_error_set(err, FB_ERR_FORMAT, "Range never ends: the step is 0 or not a number");
    }
    infer->outputs[0].shape.dims[0] = count;
    return fb_check_size(infer, &infer->outputs[0].shape, infer->outputs[0].dtype, err);
}

static FbStatus run_range(const FbCall *call, FbError *err)
{
    FbTensor *to = call->outputs[0];
    FbWorkBlock block;
    FbWork type = fb_work_of(to->dtype);
    double start = fb_tensor_number(call->inputs[0], 0), delta = fb_tensor_number(call->inputs[2], 0);
    uint64_t first = type == FB_WORK_S64 ? (uint64_t)fb_tensor_int(call->inputs[0], 0) : 0;
    uint64_t step = type == FB_WORK_S64 ? (uint64_t)fb_tensor_int(call->inputs[2], 0) : 0;
    (void)err;
    for (int64_t at = 0; at < to->dims[0]; at += FB_WORK_BLOCK) {
        size_t n = (size_t)(to->dims[0] - at < FB_WORK_BLOCK ? to->dims[0] - at : FB_WORK_BLOCK);
        for (size_t i = 0; i < n; i++) {
            uint64_t k = (uint64_t)at + i;
            if (type == FB_WORK_S64) {
                block.u64[i] = first + k * step;
            } else if (type == FB_WORK_F64) {
                block.f64[i] = start + (double)k * delta;
            } else {
                block.f32[i] = (float)start + (float)k * (float)delta;
            }
        }
        fb_work_store(to->dtype, to->data, at, type, &block, n);
    }
    return FB_OK;
}

/* ---- EyeLike ---- */

typedef struct EyeParams {
    FbDtype dtype; /* NONE: the input's */
    int64_t k;
} EyeParams;

static FbStatus decode_eye(const FbNode *node, FbArena *arena, void *params, FbError *err)
{
    EyeParams *p = params;
    int64_t number;
    (void)arena;
    FB_TRY(fb_attr_int(node, "dtype", 0, &number, err));
    FB_TRY(fb_attr_int(node, "k", 0, &p->k, err));
    if (number < 0 || number >= FB_DTYPE_COUNT) {
        return fb_error_set(err, FB_ERR_FORMAT, "attribute 'dtype' holds %lld, which is no element type", (long long)number);
    }
    p->dtype = (FbDtype)number;
    return FB_OK;
}

static FbStatus infer_eye(FbInfer *infer, FbError *err)
{
    const EyeParams *p = infer->params;
    FbDtype dtype = p->dtype != FB_DTYPE_NONE ? p->dtype : infer->inputs[0].dtype;
    FB_TRY(fb_check_rank(infer, 0, 2, 2, err));
    if (dtype != FB_DTYPE_NONE && !(FB_MASK(dtype) & (FB_MASK_NUMBERS | FB_MASK(FB_DTYPE_BOOL)))) {
        return fb_error_set(err, FB_ERR_UNSUPPORTED, "EyeLike does not make element type %s", fb_dtype_name(dtype));
    }
    infer->outputs[0].dtype = dtype;
    infer->outputs[0].shape = infer->inputs[0].shape;
    return FB_OK;
}

static FbStatus run_eye(const FbCall *call, FbError *err)
{
    const EyeParams *p = call->params;
    FbTensor *to = call->outputs[0];
    const int64_t one = 1;
    (void)err;
    if (to->bytes) {
        memset(to->data, 0, to->bytes);
    }
    for (int64_t row = 0; row < to->dims[0]; row++) {
        if (p->k >= -row && p->k < to->dims[1] - row) {
            fb_work_store(to->dtype, to->data, row * to->dims[1] + row + p->k, FB_WORK_S64, &one, 1);
        }
    }
    return FB_OK;
}

/* ---- OneHot ---- */

typedef struct AxisParams { int64_t axis; } AxisParams;

static FbStatus decode_one_hot(const FbNode *node, FbArena *arena, void *params, FbError *err)
{
    AxisParams *p = params;
    (void)arena;
    return fb_attr_int(node, "axis", -1, &p->axis, err);
}

static FbStatus infer_one_hot(FbInfer *infer, FbError *err)
{
    const AxisParams *p = infer->params;
    const FbShape *indices = &infer->inputs[0].shape;
    FbShape *out = &infer->outputs[0].shape;
    int axis;
    FB_TRY(fb_check_input_dtype(infer, 0, FB_MASK_NUMBERS, err));
    FB_TRY(fb_check_input_dtype(infer, 1, FB_MASK_NUMBERS, err));
    FB_TRY(fb_check_input_dtype(infer, 2, FB_MASK_BYTES, err));
    FB_TRY(fb_check_rank(infer, 1, 0, 1, err));
    FB_TRY(fb_check_rank(infer, 2, 1, 1, err));
    infer->outputs[0].dtype = infer->inputs[2].dtype;
    out->rank = -1;
    const FbTensor *depth = fb_infer_value(infer, 1);
    if (indices->rank < 0) {
        return FB_OK;
    }
    if (indices->rank == FB_RANK_MAX) {
        return fb_error_set(err, FB_ERR_UNSUPPORTED, "OneHot of rank %d is not supported", indices->rank);
    }
    FB_TRY(fb_axis_normalize(p->axis, indices->rank + 1, &axis, err));
    out->rank = indices->rank + 1;
    for (int d = 0; d < out->rank; d++) {
        out->dims[d] = d < axis ? indices->dims[d] : d > axis ? indices->dims[d - 1] : FB_DIM_UNKNOWN;
    }
    if (depth) {
        double count = fb_tensor_elements(depth) == 1 ? fb_tensor_number(depth, 0) : -1;
        if (!(count >= 0) || count > 9e15) {
            return fb_error_set(err, FB_ERR_FORMAT, "OneHot's depth (input 1) must be one number, not negative");
        }
        out->dims[axis] = (int64_t)count;
    }
    return fb_check_size(infer, out, infer->outputs[0].dtype, err);
}

static FbStatus run_one_hot(const FbCall *call, FbError *err)
{
    const AxisParams *p = call->params;
    const FbTensor *indices = call->inputs[0], *values = call->inputs[2];
    FbTensor *to = call->outputs[0];
    size_t element = (size_t)fb_dtype_bits(to->dtype) / 8;
    int axis;
    FB_TRY(fb_axis_normalize(p->axis, to->rank, &axis, err));
    if (fb_tensor_elements(values) != 2) {
        return fb_error_set(err, FB_ERR_FORMAT, "OneHot's values (input 2) hold %lld numbers, expected 2", (long long)fb_tensor_elements(values));
    }
    int64_t depth = to->dims[axis], inner = 1, count = fb_tensor_elements(indices);
    const char *off = values->data, *on = off + element;
    for (int d = axis + 1; d < to->rank; d++) {
        inner *= to->dims[d];
    }
    for (size_t at = 0; at < to->bytes; at += element) {
        memcpy((char *)to->data + at, off, element);
    }
    for (int64_t i = 0; i < count; i++) { /* an index out of range stays off everywhere */
        int64_t index;
        fb_work_load(indices->dtype, indices->data, i, 1, FB_WORK_S64, &index, 1);
        index += index < 0 ? depth : 0;
        if (index >= 0 && index < depth) {
            int64_t at = (i / inner * depth + index) * inner + i % inner;
            memcpy((char *)to->data + (size_t)at * element, on, element);
        }
    }
    return FB_OK;
}

/* ---- Trilu ---- */

typedef struct TriluParams { bool upper; } TriluParams;

static FbStatus decode_trilu(const FbNode *node, FbArena *arena, void *params, FbError *err)
{
    TriluParams *p = params;
    (void)arena;
    return fb_attr_bool(node, "upper", true, &p->upper, err);
}

static FbStatus infer_trilu(FbInfer *infer, FbError *err)
{
    FB_TRY(fb_check_input_dtype(infer, 0, FB_MASK_BYTES, err));
    FB_TRY(fb_check_input_dtype(infer, 1, FB_MASK(FB_DTYPE_S64), err));
    FB_TRY(fb_check_rank(infer, 0, 2, FB_RANK_MAX, err));
    FB_TRY(fb_check_rank(infer, 1, 0, 1, err));
    fb_infer_same_as(infer, 0);
    return FB_OK;
}

static FbStatus run_trilu(const FbCall *call, FbError *err)
{
    const TriluParams *p = call->params;
    const FbTensor *from = call->inputs[0], *k_tensor = fb_call_input(call, 1);
    size_t element = (size_t)fb_dtype_bits(from->dtype) / 8;
    int64_t rows = from->dims[from->rank - 2], cols = from->dims[from->rank - 1], lines = fb_tensor_elements(from) / (cols ? cols : 1);
    if (k_tensor && fb_tensor_elements(k_tensor) != 1) {
        return fb_error_set(err, FB_ERR_FORMAT, "Trilu's k (input 1) must be one number");
    }
    int64_t k = k_tensor ? fb_tensor_int(k_tensor, 0) : 0;
    for (int64_t line = 0; line < lines; line++) {
        const char *x = (const char *)from->data + (size_t)(line * cols) * element;
        char *y = (char *)call->outputs[0]->data + (size_t)(line * cols) * element;
        int64_t row = line % rows;
        /* upper keeps columns from row + k on, lower those up to it; the sum is bounded without overflow */
        int64_t edge = k > cols ? cols : k < -rows ? -rows : k;
        edge += row + (p->upper ? 0 : 1);
        edge = edge < 0 ? 0 : edge > cols ? cols : edge;
        size_t begin = (size_t)(p->upper ? edge : 0) * element, end = (size_t)(p->upper ? cols : edge) * element;
        memset(y, 0, begin);
        memmove(y + begin, x + begin, end - begin);
        memset(y + end, 0, (size_t)cols * element - end);
    }
    return FB_OK;
}

/* ---- Shape, Size ---- */

typedef struct ShapeParams { int64_t start, end; } ShapeParams;

static FbStatus decode_shape(const FbNode *node, FbArena *arena, void *params, FbError *err)
{
    ShapeParams *p = params;
    (void)arena;
    FB_TRY(fb_attr_int(node, "start", 0, &p->start, err));
    return fb_attr_int(node, "end", INT64_MAX, &p->end, err);
}

/* The part [*start, *end) of a shape of this rank. */
static void shape_part(const ShapeParams *p, int rank, int *start, int *end)
{
    int64_t from = p->start < 0 ? p->start + rank : p->start, to = p->end < 0 ? p->end + rank : p->end;
    *start = (int)(from < 0 ? 0 : from > rank ? rank : from);
    *end = (int)(to < 0 ? 0 : to > rank ? rank : to);
    *end = *end < *start ? *start : *end;
}

static FbStatus infer_shape(FbInfer *infer, FbError *err)
{
    int start, end, rank = infer->inputs[0].shape.rank;
    (void)err;
    infer->outputs[0].dtype = FB_DTYPE_S64;
    infer->outputs[0].shape = fb_shape_unknown(1);
    if (rank >= 0) {
        shape_part(infer->params, rank, &start, &end);
        infer->outputs[0].shape.dims[0] = end - start;
    }
    return FB_OK;
}

static FbStatus run_shape(const FbCall *call, FbError *err)
{
    int start, end;
    (void)err;
    shape_part(call->params, call->inputs[0]->rank, &start, &end);
    for (int d = start; d < end; d++) {
        ((int64_t *)call->outputs[0]->data)[d - start] = call->inputs[0]->dims[d];
    }
    return FB_OK;
}

static FbStatus infer_size(FbInfer *infer, FbError *err)
{
    (void)err;
    infer->outputs[0].dtype = FB_DTYPE_S64;
    infer->outputs[0].shape = (FbShape){.rank = 0};
    return FB_OK;
}

static FbStatus run_size(const FbCall *call, FbError *err)
{
    (void)err;
    *(int64_t *)call->outputs[0]->data = fb_tensor_elements(call->inputs[0]);
    return FB_OK;
}

static const char *const constant_names[] = {"value",        "value_float", "value_floats", "value_int",
                                             "value_ints",   "value_string", "value_strings", "sparse_value", NULL};
static const char *const fill_names[] = {"value", NULL};
static const char *const range_names[] = {"stash_type", NULL};
static const char *const eye_names[] = {"dtype", "k", NULL};
static const char *const axis_names[] = {"axis", NULL};
static const char *const trilu_names[] = {"upper", NULL};
static const char *const shape_names[] = {"start", "end", NULL};

#define MAKER(NAME, TEXT, SINCE, INPUTS_MIN, INPUTS_MAX, PARAMS, DECODE, INFER, RUN, NAMES)                                    \
    {                                                                                                                          \
        .domain = "", .name = NAME, .summary = TEXT, .since = SINCE, .newest = FB_OPSET_NEWEST, .min_inputs = INPUTS_MIN,      \
        .max_inputs = INPUTS_MAX, .min_outputs = 1, .max_outputs = 1, .params_bytes = PARAMS, .decode = DECODE,                \
        .infer = INFER, .run = RUN, .attributes = NAMES                                                                        \
    }

static const FbOp rows[] = {
    MAKER("Constant", "a tensor of the file", 1, 0, 0, sizeof(ConstantParams), decode_constant, infer_constant, run_constant, constant_names),
    MAKER("ConstantOfShape", "one number repeated", 9, 1, 1, sizeof(FillParams), decode_fill, infer_fill, run_fill, fill_names),
    MAKER("EyeLike", "ones on a diagonal", 9, 1, 1, sizeof(EyeParams), decode_eye, infer_eye, run_eye, eye_names),
    MAKER("OneHot", "indices as rows of one mark", 9, 3, 3, sizeof(AxisParams), decode_one_hot, infer_one_hot, run_one_hot, axis_names),
    MAKER("Range", "numbers at equal steps", 11, 3, 3, 0, NULL, infer_range, run_range, range_names),
    MAKER("Shape", "the dimensions of a tensor", 1, 1, 1, sizeof(ShapeParams), decode_shape, infer_shape, run_shape, shape_names),
    MAKER("Size", "the number of elements", 1, 1, 1, 0, NULL, infer_size, run_size, NULL),
    MAKER("Trilu", "a triangle of a matrix, the rest zero", 14, 1, 2, sizeof(TriluParams), decode_trilu, infer_trilu, run_trilu, trilu_names),
};

const FbOpFamily fb_ops_generator = {rows, sizeof rows / sizeof rows[0]};
