/* Unique: the different elements, or the different slices along an axis, with where they stand. The size of every output is known only
 * from the values, so infer sorts and counts, and run sorts again. */
#include <math.h>

#include "ops/attribute.h"
#include "ops/check.h"
#include "ops/elements.h"

typedef struct UniqueParams {
    bool has_axis, sorted;
    int64_t axis;
} UniqueParams;

static FbStatus decode_unique(const FbNode *node, FbArena *arena, void *params, FbError *err)
{
    UniqueParams *p = params;
    (void)arena;
    p->has_axis = fb_node_attribute(node, "axis") != NULL;
    FB_TRY(fb_attr_int(node, "axis", 0, &p->axis, err));
    return fb_attr_bool(node, "sorted", true, &p->sorted, err);
}

/* Slices of a tensor: outer x count x inner; without an axis every element is one. */
typedef struct Slices {
    const FbTensor *tensor;
    int64_t outer, count, inner;
    FbWork type;
} Slices;

static FbStatus slices_of(const UniqueParams *p, const FbTensor *tensor, Slices *slices, FbError *err)
{
    int axis;
    *slices = (Slices){tensor, 1, fb_tensor_elements(tensor), 1, fb_work_of(tensor->dtype)};
    slices->type = slices->type == FB_WORK_F32 ? FB_WORK_F64 : slices->type;
    if (p->has_axis) {
        FB_TRY(fb_axis_normalize(p->axis, tensor->rank, &axis, err));
        slices->count = tensor->dims[axis];
        for (int d = 0; d < tensor->rank; d++) {
            slices->outer *= d < axis ? tensor->dims[d] : 1;
            slices->inner *= d > axis ? tensor->dims[d] : 1;
        }
    }
    return FB_OK;
}

static int compare_elements(const Slices *s, int64_t i, int64_t j)
{
    union { double f64; int64_t s64; uint64_t u64; } a, b;
    fb_work_load(s->tensor->dtype, s->tensor->data, i, 1, s->type, &a, 1);
    fb_work_load(s->tensor->dtype, s->tensor->data, j, 1, s->type, &b, 1);
    if (s->type == FB_WORK_F64) { /* NaN last, all alike */
        bool a_nan = isnan(a.f64), b_nan = isnan(b.f64);
        return a_nan || b_nan ? a_nan - b_nan : (a.f64 > b.f64) - (a.f64 < b.f64);
    }
    return s->type == FB_WORK_S64 ? (a.s64 > b.s64) - (a.s64 < b.s64) : (a.u64 > b.u64) - (a.u64 < b.u64);
}

static int compare_slices(const Slices *s, int64_t i, int64_t j)
{
    for (int64_t o = 0; o < s->outer; o++) {
        for (int64_t n = 0; n < s->inner; n++) {
            int order = compare_elements(s, (o * s->count + i) * s->inner + n, (o * s->count + j) * s->inner + n);
            if (order) {
                return order;
            }
        }
    }
    return 0;
}

/* Stable merge sort of slice numbers; `spare` holds as many. */
static void sort_slices(const Slices *s, int64_t *order, int64_t *spare)
{
    for (int64_t width = 1; width < s->count; width *= 2) {
        for (int64_t begin = 0; begin < s->count; begin += 2 * width) {
            int64_t middle = begin + width < s->count ? begin + width : s->count;
            int64_t end = middle + width < s->count ? middle + width : s->count, a = begin, b = middle;
            for (int64_t to = begin; to < end; to++) {
                bool left = a < middle && (b == end || compare_slices(s, order[a], order[b]) <= 0);
                spare[to] = left ? order[a++] : order[b++];
            }
        }
        memcpy(order, spare, (size_t)s->count * sizeof *order);
    }
}

/* first[k]: the slice that comes first of group k; group[i]: the group of slice i; size[k]. Groups by value, or by first appearance. */
typedef struct Groups {
    int64_t *first, *group, *size;
    int64_t count;
} Groups;

static void renumber_by_appearance(Groups *groups, int64_t slices, int64_t *spare)
{
    int64_t *number = spare, next = 0; /* old group -> new */
    for (int64_t k = 0; k < groups->count; k++) {
        number[k] = -1;
    }
    for (int64_t i = 0; i < slices; i++) {
        int64_t old = groups->group[i];
        number[old] = number[old] < 0 ? next++ : number[old];
        groups->group[i] = number[old];
    }
    for (int64_t k = 0; k < groups->count; k++) {
        groups->size[k] = 0;
    }
    for (int64_t i = slices - 1; i >= 0; i--) {
        groups->first[groups->group[i]] = i;
        groups->size[groups->group[i]]++;
    }
}

/* memory: 5 * slices numbers. */
static void find_groups(const UniqueParams *p, const Slices *s, int64_t *memory, Groups *groups)
{
    int64_t *order = memory, *spare = memory + s->count;
    *groups = (Groups){memory + 2 * s->count, memory + 3 * s->count, memory + 4 * s->count, 0};
    for (int64_t i = 0; i < s->count; i++) {
        order[i] = i;
    }
    sort_slices(s, order, spare);
    for (int64_t i = 0; i < s->count; i++) {
        if (i == 0 || compare_slices(s, order[i - 1], order[i]) != 0) {
            groups->first[groups->count] = order[i]; /* the sort is stable: the lowest number of the group */
            groups->size[groups->count++] = 0;
        }
        groups->group[order[i]] = groups->count - 1;
        groups->size[groups->count - 1]++;
    }
    if (!p->sorted) {
        renumber_by_appearance(groups, s->count, spare);
    }
}

static FbStatus groups_of(FbContext *context, const UniqueParams *p, const FbTensor *tensor, Slices *slices, int64_t **memory, Groups *groups,
                          FbError *err)
{
    FB_TRY(slices_of(p, tensor, slices, err));
    *memory = fb_alloc_array(context, (size_t)slices->count + 1, 5 * sizeof(int64_t));
    if (!*memory) {
        return fb_error_memory(context, err, "the order of Unique's elements", (uint64_t)slices->count * 5 * sizeof(int64_t));
    }
    find_groups(p, slices, *memory, groups);
    return FB_OK;
}

static FbStatus infer_unique(FbInfer *infer, FbError *err)
{
    const UniqueParams *p = infer->params;
    FbShape shape = infer->inputs[0].shape;
    int64_t count = FB_DIM_UNKNOWN, slices = FB_DIM_UNKNOWN;
    int axis = 0;
    FB_TRY(fb_check_input_dtype(infer, 0, FB_MASK_NUMBERS | FB_MASK(FB_DTYPE_BOOL), err));
    if (p->has_axis && shape.rank >= 0) {
        FB_TRY(fb_axis_normalize(p->axis, shape.rank, &axis, err));
        slices = shape.dims[axis];
    } else if (!p->has_axis) {
        slices = fb_shape_elements(&shape);
        shape = (FbShape){.rank = 1};
    }
    const FbTensor *value = fb_infer_value(infer, 0);
    if (value) {
        Slices cut;
        Groups groups;
        int64_t *memory;
        FB_TRY(groups_of(infer->context, p, value, &cut, &memory, &groups, err));
        fb_free(infer->context, memory);
        count = groups.count;
    }
    if (shape.rank >= 0) {
        shape.dims[axis] = count;
    }
    for (int i = 0; i < infer->output_count; i++) {
        infer->outputs[i].dtype = i == 0 ? infer->inputs[0].dtype : FB_DTYPE_S64;
        infer->outputs[i].shape = i == 0 ? shape : (FbShape){.rank = 1, .dims = {i == 2 ? slices : count}};
    }
    return FB_OK;
}

static void copy_slice(const Slices *s, int64_t from, FbTensor *to, int64_t at, int64_t count)
{
    size_t element = (size_t)fb_dtype_bits(to->dtype) / 8, bytes = (size_t)s->inner * element;
    for (int64_t o = 0; bytes && o < s->outer; o++) {
        memcpy((char *)to->data + (size_t)(o * count + at) * bytes, (const char *)s->tensor->data + (size_t)(o * s->count + from) * bytes, bytes);
    }
}

static FbStatus run_unique(const FbCall *call, FbError *err)
{
    Slices slices;
    Groups groups;
    int64_t *memory;
    FB_TRY(groups_of(call->context, call->params, call->inputs[0], &slices, &memory, &groups, err));
    FbTensor *to[4];
    for (int i = 0; i < 4; i++) {
        to[i] = fb_call_output(call, i);
    }
    for (int i = 1; i < 4; i += 2) {
        if (to[i] && to[i]->dims[0] != groups.count) {
            fb_free(call->context, memory);
            return fb_error_set(err, FB_ERR_INTERNAL, "Unique was prepared for other values");
        }
    }
    for (int64_t k = 0; k < groups.count; k++) {
        if (to[0]) {
            copy_slice(&slices, groups.first[k], to[0], k, groups.count);
        }
        if (to[1]) {
            ((int64_t *)to[1]->data)[k] = groups.first[k];
        }
        if (to[3]) {
            ((int64_t *)to[3]->data)[k] = groups.size[k];
        }
    }
    if (to[2] && slices.count) {
        memcpy(to[2]->data, groups.group, (size_t)slices.count * sizeof(int64_t));
    }
    fb_free(call->context, memory);
    return FB_OK;
}

static const char *const names[] = {"axis", "sorted", NULL};

static const FbOp rows[] = {
    {.domain = "", .name = "Unique", .summary = "the different elements or slices", .since = 11, .newest = FB_OPSET_NEWEST, .min_inputs = 1,
     .max_inputs = 1, .min_outputs = 1, .max_outputs = 4, .params_bytes = sizeof(UniqueParams), .decode = decode_unique,
     .infer = infer_unique, .run = run_unique, .attributes = names},
};

const FbOpFamily fb_ops_unique = {rows, sizeof rows / sizeof rows[0]};
